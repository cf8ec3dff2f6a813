"""Hidden units of many networks: tables, figures, and what a stuck network lacks."""

import numpy as np
import pytest

from experiments import hidden_units
from experiments.runs import Run, compare
from mlp_numpy import MLP
from playground.folds import describe, fold_sums, with_fold
from tests.helpers import pixels
from train_mlp_numpy import Data, load_data

OPTIONS = {"batch_size": 16, "backend": "numba"}


@pytest.fixture(scope="module")
def data():
    return load_data()


def network(weights, biases, v):
    """Return a network of these hidden units, whose outputs reach the logit of class 1 times v."""
    model = MLP(2, [len(v)], 2, rng=0)
    hidden = model.layers[0].params
    output = model.layers[2].params
    hidden["weight"] = np.array(weights, float).T
    hidden["bias"] = np.array(biases, float)
    output["weight"] = np.column_stack([np.zeros(len(v)), v])
    return model


def right_of(x_1, v):
    """Return a network of one unit, which fires to the right of x_1."""
    return network([[1, 0]], [-x_1], [v])


def runs_that_end(losses, batch_size="16", model=None):
    """Return a Run of this network for each final training loss."""
    runs = []
    for seed, loss in enumerate(losses):
        runs.append(Run(batch_size, seed, model, {"train_loss": [0.9, loss]}))
    return runs


def test_runs_of_a_batch_size_are_told_apart_by_their_final_losses():
    low = runs_that_end(7 * [0.08])
    high = runs_that_end(3 * [0.25])
    others = runs_that_end([0.01, 0.9], batch_size="full")
    runs = [*high, *others, *low]
    assert hidden_units.by_outcome(runs, 16) == {"not stuck": low, "stuck": high}
    assert hidden_units.by_outcome(runs, None) == {"no two groups": others}


@pytest.mark.parametrize("losses", [np.linspace(0.15, 0.3, 20), [*5 * [0.08], *4 * [0.25]]])
def test_without_a_gap_or_with_too_few_runs_there_are_no_groups(losses, data):
    runs = runs_that_end(losses)
    groups = hidden_units.by_outcome(runs, 16)
    assert groups == {"no two groups": runs}
    table = hidden_units.trained_on(groups, data, batch_size=16)
    assert set(table["free"]) == {"0 of 0"}
    assert set(table["greatest loss"]) == {"-"}


def test_the_table_has_the_means_of_each_group(data):
    down = right_of(0.5, v=-1)
    up = right_of(0.5, v=3)
    dead = right_of(100, v=1)
    groups = {
        "not stuck": runs_that_end([0.1, 0.1], model=up),
        "stuck": [*runs_that_end([0.3], model=down), *runs_that_end([0.3], model=dead)],
    }
    table = hidden_units.mean_counts(groups, data)
    (size, _) = fold_sums(describe(down, data.x_train))
    expected = {
        "not stuck": [2, "0", "0", "0", f"{3 * size:.2g}"],
        "stuck": [2, "0.5", "0", f"{size / 2:.2g}", "0"],
    }
    assert table.T.to_dict("list") == expected


def test_two_units_that_fire_in_proportion_count_as_one_copy(data):
    model = network([[1, 0], [2, 0], [0, 1]], [0, 0, 0], [1, 1, 1])
    groups = {"no two groups": runs_that_end([0.1], model=model)}
    assert hidden_units.mean_counts(groups, data)["copies"].tolist() == ["1"]


def test_the_largest_folds_are_kept_and_the_others_left_out_or_made_a_plane():
    # Class 1 lies where |x_1| > 1: two folds. The planes, a unit that always fires, lift all by 9.
    x = np.random.default_rng(0).uniform(-2, 2, size=(400, 2))
    is_outer = np.abs(x[:, 0]) > 1
    data = Data(x, np.eye(2)[is_outer.astype(int)], x, None)
    model = network([[1, 0], [-2, 0], [0, 0]], [0, 0, 9], [1, 0.5, 1])
    model.layers[2].params["bias"] = np.array([0, -10.0])  # log-odds |x_1| - 1
    table = hidden_units.keep_largest(model, data, (0, 2, 9))
    assert list(table.index) == [0, 2, 3]
    inner = f"{100 * (~is_outer).mean():.0f} %"
    assert table["the others left out"].tolist() == [inner, inner, "100 %"]
    assert table["the others as one plane"].tolist()[1:] == ["100 %", "100 %"]
    assert table["the others as one plane"][0] != "100 %"


def test_each_stuck_network_is_trained_on_as_it_is_and_with_each_fold(data, monkeypatch):
    model = MLP(2, [3], 2, rng=0)
    before = model.forward(data.x_test)
    groups = {
        "not stuck": runs_that_end(7 * [0.1]),
        "stuck": runs_that_end(3 * [0.4], model=model),  # the bound is 0.2
    }
    trained = []

    def train(given, given_data, *, max_steps, eval_freq, rng, batch_size):
        assert given_data is data
        assert batch_size == 16
        assert max_steps == eval_freq == 7
        trained.append((given.forward(data.x_test), rng))
        n_before = len(trained) - 1
        given.layers.clear()  # the network of the run stays as it is
        return {"train_loss": [9, 0.1 * n_before]}

    monkeypatch.setattr(hidden_units, "train", train)
    table = hidden_units.trained_on(
        groups, data, up_at=[1], down_at=[-1], max_steps=7, batch_size=16
    )
    assert table.T.to_dict("list") == {
        "as they are": ["3 of 3", "0.00", "0.10", "0.20"],
        "a fold up, at x₁ = 1": ["0 of 3", "0.30", "0.40", "0.50"],
        "a fold down, at x₁ = -1": ["0 of 3", "0.60", "0.70", "0.80"],
    }
    up = with_fold(model, data.x_train, 1, 1)
    down = with_fold(model, data.x_train, -1, -1)
    starts = [model, model, model, up, up, up, down, down, down]
    for start, (output, rng), seed in zip(starts, trained, 3 * [0, 1, 2], strict=True):
        assert np.array_equal(output, start.forward(data.x_test))
        assert rng == seed
    assert np.array_equal(model.forward(data.x_test), before)


@pytest.mark.slow
def test_stuck_networks_lack_upward_folds_and_come_free_when_given_one(data):
    options = {"eval_freq": 1500, "backend": "numba"}
    runs = compare(data, [16], range(40), **options)
    groups = hidden_units.by_outcome(runs, 16)
    sums = {}
    for name, group in groups.items():
        sums[name] = np.array([fold_sums(describe(run.model, data.x_train)) for run in group])
    stuck = groups["stuck"]
    assert len(stuck) == pytest.approx(13, abs=3)  # depends on the processor
    assert sums["stuck"][:, 1].max() < 0.2  # upwards
    assert sums["not stuck"][:, 1].min() > 4
    assert sums["stuck"][:, 0].min() > 1  # downwards
    assert sums["not stuck"][:, 0].min() > 1

    table = hidden_units.trained_on(groups, data, up_at=[1, -1], **OPTIONS)
    n_free = {name: int(text.split(" of ")[0]) for name, text in table["free"].items()}
    assert n_free.pop("a fold up, at x₁ = 1") == len(stuck)
    assert max(n_free.values()) < len(stuck) / 2  # also upwards, at another place
    assert float(table["greatest loss"]["a fold up, at x₁ = 1"]) < 0.1


def test_a_map_shows_where_a_unit_fires_in_the_colour_of_its_class(data):
    # Unit 0 fires to the left of x_1 = 0.2, unit 1 nowhere, unit 2 right of 0.5, for class 1.
    model = network([[-1, 0], [0, 0], [2, 0]], [0.2, -1, -1], [-1, 1, 1])
    figure = hidden_units.unit_maps(model, data, "the title")
    pixels(figure)
    assert figure.get_suptitle() == "the title"
    up, down = (unit.fold for unit in describe(model, data.x_train)[:2])
    titles = [axes.get_title() for axes in figure.axes]
    expected = [f"unit 2: {round(up, 3)}", f"unit 0: {round(down, 3)}", "unit 1: 0, dead", ""]
    assert titles == expected
    right, left, nowhere = (axes.images[0].get_array()[40] for axes in figure.axes[:3])
    assert right[0].tolist() == [1, 1, 1]  # white: silent
    assert left[-1].tolist() == [1, 1, 1]
    assert nowhere.min() == 1
    assert right[-1, 0] > right[-1, 2] + 0.5  # orange, class 1
    assert left[0, 2] > left[0, 0]  # blue
    fold, points = figure.axes[0].collections
    assert fold.get_paths()[0].vertices[:, 0] == pytest.approx(0.5)
    fold_of_next, _ = figure.axes[1].collections
    assert fold_of_next.get_paths()[0].vertices[:, 0] == pytest.approx(0.2)
    assert np.array_equal(points.get_offsets(), data.x_train[:200])


def test_all_maps_have_one_scale(data):
    # The same fold four times as high in unit 1, by its input, and a tenth of that in unit 2.
    model = network([[1, 0], [4, 0], [1, 0]], [0, 0, 0], [1, 1, -0.4])
    figure = hidden_units.unit_maps(model, data)
    titles = [axes.get_title()[:6] for axes in figure.axes[:3]]
    assert titles == ["unit 1", "unit 0", "unit 2"]
    ink = [1 - axes.images[0].get_array()[40, -1].min() for axes in figure.axes[:3]]
    assert ink[1] / ink[0] == pytest.approx(np.sqrt(0.25))
    largest = 4 * figure.axes[0].get_xlim()[1]
    assert f"deepest colour stands for {largest:.3g}," in figure.get_supxlabel()


def test_the_fold_figure_has_a_mark_for_each_run_and_tells_the_groups_apart(data):
    groups = {
        "not stuck": runs_that_end([0.1, 0.1], model=right_of(0.5, v=3)),
        "stuck": runs_that_end([0.3], model=right_of(0.5, v=-1)),
    }
    figure = hidden_units.fold_figure(groups, data, "the title")
    (axes,) = figure.axes
    assert axes.get_title() == "the title"
    size = describe(right_of(0.5, v=1), data.x_train)[0].fold
    good, bad = axes.collections
    assert np.allclose(good.get_offsets(), [[0, 3 * size], [0, 3 * size]])
    assert np.allclose(bad.get_offsets(), [[size, 0]])
    assert good.get_label() == "not stuck: 2 of 3 runs"
    assert bad.get_label() == "stuck: 1 of 3 runs"
    assert not np.array_equal(good.get_edgecolors()[0], bad.get_edgecolors()[0])
