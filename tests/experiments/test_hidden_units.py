"""Hidden units of many networks: tables, figures, and what a stuck network lacks."""

import numpy as np
import pytest

from mlp_numpy import MLP
from playground.folds import Unit, describe, fold_sums, with_fold
from tests.helpers import BLUE, ORANGE, pixels
from train_mlp_numpy import Data, load_data


@pytest.fixture
def hidden_units():
    from experiments import hidden_units

    return hidden_units


@pytest.fixture(scope="module")
def data():
    return load_data()


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(200, 2))


def network(weights, biases, v):
    """Return a network of these hidden units, whose outputs reach the logit of class 1 times v."""
    model = MLP(2, [len(v)], 2, rng=0)
    hidden, output = model.layers[0].params, model.layers[2].params
    hidden["weight"], hidden["bias"] = np.array(weights, float).T, np.array(biases, float)
    output["weight"] = np.column_stack([np.zeros(len(v)), v])
    return model


@pytest.fixture
def run_of(hidden_units, monkeypatch):
    """Return a function that makes a Run of one network, whose units have these folds."""
    from experiments.runs import Run

    monkeypatch.setattr(hidden_units, "describe", lambda model, x: model)

    def make(*folds, dead=0, copies=0):
        units = [Unit(0, 0.5, int(fold > 0), fold, None) for fold in folds]
        units += dead * [Unit(0, 0, 0, 0.0, None)]
        units += copies * [Unit(0, 0.5, 0, 0.0, twin=0)]
        return Run("16", 7, units, {})

    return make


def test_the_table_has_the_means_of_each_group_that_has_runs(hidden_units, run_of, data):
    one, other = run_of(-2, -1, 6, dead=1, copies=3), run_of(-4, 9)
    groups = {"stuck": [one, other], "others": [other]}
    rows = {
        "2 stuck": {
            "dead units": "0.5",
            "copies": "1.5",
            "sum of folds down": "3.5",
            "sum of folds up": "7.5",
        },
        "1 others": {
            "dead units": "0.0",
            "copies": "0.0",
            "sum of folds down": "4.0",
            "sum of folds up": "9.0",
        },
    }
    assert hidden_units.mean_counts(groups, data).to_dict("index") == rows
    del rows["2 stuck"]
    assert hidden_units.mean_counts(groups | {"stuck": []}, data).to_dict("index") == rows
    with pytest.raises(ValueError, match="no runs of this batch size"):
        hidden_units.mean_counts({"stuck": [], "others": []}, data)


def runs_that_end(losses, batch_size="16"):
    """Return a Run without a network for each final training loss."""
    from experiments.runs import Run

    return [
        Run(batch_size, seed, None, {"train_loss": [0.9, loss]}) for seed, loss in enumerate(losses)
    ]


def test_runs_of_a_batch_size_are_told_apart_by_their_final_losses(hidden_units):
    low = runs_that_end(7 * [0.08])
    high = runs_that_end(3 * [0.25])
    others = runs_that_end([0.01, 0.9], batch_size="1")
    groups = hidden_units.by_outcome([*high, *others, *low], "16")
    assert groups == {"not stuck": low, "stuck": high}
    assert hidden_units.by_outcome([*high, *low], "64") == {"not stuck": [], "stuck": []}


@pytest.mark.parametrize("losses", [np.linspace(0.15, 0.3, 20), [*5 * [0.08], *4 * [0.25]]])
def test_without_two_groups_or_with_too_few_runs_none_is_stuck(hidden_units, losses):
    runs = runs_that_end(losses)
    groups = hidden_units.by_outcome(runs, "16")
    assert groups == {"not stuck": runs, "stuck": []}
    with pytest.raises(ValueError, match=f"none of these {len(runs)} runs is stuck.*two groups"):
        hidden_units.trained_on(groups, None)


def test_the_largest_folds_are_kept_and_the_others_left_out_or_made_a_plane(hidden_units):
    # Class 1 lies where |x_1| > 1: two folds. The planes, a unit that always fires, lift all by 9.
    x = np.random.default_rng(0).uniform(-2, 2, size=(400, 2))
    is_outer = np.abs(x[:, 0]) > 1
    data = Data(x, np.eye(2)[is_outer.astype(int)], x, None)
    model = network([[1, 0], [-2, 0], [0, 0]], [0, 0, 9], [1, 0.5, 1])
    model.layers[2].params["bias"] = np.array([0, -10.0])  # log-odds |x_1| - 1
    table = hidden_units.keep_largest(model, data, (0, 2, 9))
    assert list(table.index) == [0, 2, 3]
    inner, all_of_them = f"{100 * (~is_outer).mean():.0f} %", "100 %"
    assert table["the others left out"].tolist() == [inner, inner, all_of_them]
    assert table["the others as one plane"].tolist()[1:] == [all_of_them, all_of_them]
    assert table["the others as one plane"][0] != all_of_them


def test_a_few_folds_and_a_plane_are_enough_for_the_moons(hidden_units, data):
    from experiments.runs import train_from_seed

    options = {"batch_size": 16, "eval_freq": 1500, "backend": "numba"}
    network, _ = train_from_seed(data, 42, **options)
    table = hidden_units.keep_largest(network, data).map(lambda text: int(text.removesuffix(" %")))
    left_out, as_plane = (table[name] for name in table)
    assert max(left_out[2], left_out[4]) < 50
    assert as_plane[2] == pytest.approx(95, abs=1)
    assert [as_plane[4], as_plane[20]] == pytest.approx([97, 97], abs=1)


def test_the_table_of_planted_folds_tells_who_comes_free(hidden_units, data, monkeypatch):
    from experiments.runs import Run

    models = [MLP(2, [3], 2, rng=seed) for seed in (0, 1, 2)]
    stuck = [Run("16", k, model, {"train_loss": [9, 0.5]}) for k, model in enumerate(models)]
    groups = {"not stuck": runs_that_end(7 * [0.125]), "stuck": stuck}  # the bound is 0.25
    kept = [model.forward(data.x_test) for model in models]
    final = {0: [0.25, 0.3, 0.1], -1: [0.5, 0.6, 0.7], 1: [0.01, 0.02, 0.03]}

    def train(model, given, *, rng, batch_size):  # ends with a loss by how the network was changed
        assert (given is data, batch_size) == (True, 16)
        changed = {sign: with_fold(models[rng], data.x_train, sign) for sign in (-1, 1)}
        predictions = model.forward(data.x_test)
        (sign,) = (
            sign
            for sign, network in {0: models[rng], **changed}.items()
            if np.array_equal(network.forward(data.x_test), predictions)
        )
        model.layers.clear()  # the networks of the runs stay as they are
        return {"train_loss": [9, final[sign][rng]]}

    monkeypatch.setattr(hidden_units, "train", train)
    table = hidden_units.trained_on(groups, data, batch_size=16)
    assert list(table.columns) == ["free", "least loss", "median loss", "greatest loss"]
    assert table.T.to_dict("list") == {
        "as they are": ["2 of 3", "0.10", "0.25", "0.30"],
        "with a fold down": ["0 of 3", "0.50", "0.60", "0.70"],
        "with a fold up": ["3 of 3", "0.01", "0.02", "0.03"],
    }
    assert all(map(np.array_equal, kept, [model.forward(data.x_test) for model in models]))


@pytest.mark.parametrize(
    ("sizes", "told"), [((2, [], 2), "2-2"), ((2, [4, 3], 2), "2-4-3-2"), ((2, [4], 3), "2-4-3")]
)
def test_other_networks_are_refused(hidden_units, x, sizes, told):
    data = Data(x, np.eye(sizes[-1])[np.zeros(len(x), int)], x, None)
    for function in (hidden_units.keep_largest, hidden_units.unit_maps):
        with pytest.raises(ValueError, match=f"one hidden layer and two classes, got {told}$"):
            function(MLP(*sizes), data)


@pytest.mark.parametrize(
    ("n_runs", "n_stuck"), [(10, 4), pytest.param(100, 33, marks=pytest.mark.slow)]
)
def test_stuck_networks_lack_upward_folds_and_come_free_when_given_one(
    hidden_units, data, n_runs, n_stuck
):
    from experiments.runs import compare

    options = {"eval_freq": 1500, "backend": "numba"}
    groups = hidden_units.by_outcome(compare(data, [16], range(n_runs), **options), "16")
    sums = {
        name: np.array([fold_sums(describe(run.model, data.x_train)) for run in group])
        for name, group in groups.items()
    }
    stuck = groups["stuck"]
    assert len(stuck) == pytest.approx(n_stuck, abs=0.04 * n_runs + 1)  # depends on the processor
    assert sums["stuck"][:, 1].max() < 0.2
    assert sums["not stuck"][:, 1].min() > 4
    assert np.concatenate([*sums.values()])[:, 0].min() > 1
    table = hidden_units.trained_on(groups, data, batch_size=16, **options)
    unchanged, down, up = (int(free.split(" of ")[0]) for free in table["free"])
    assert up == len(stuck)
    assert max(unchanged, down) < len(stuck) / 2
    assert float(table["greatest loss"].iloc[-1]) < 0.1


def test_the_maps_show_where_each_unit_fires_in_the_colour_of_its_class(hidden_units, data):
    # Unit 0 fires to the left of x_1 = 0.5, unit 1 nowhere, unit 2 to the right, for class 1.
    model = network([[-1, 0], [0, 0], [2, 0]], [0.5, -1, -1], [-1, 1, 1])
    figure = hidden_units.unit_maps(model, data, "the title")
    pixels(figure)
    assert figure.get_suptitle() == "the title"
    titles = [axes.get_title() for axes in figure.axes]
    assert [title[:8] for title in titles] == ["unit 2: ", "unit 0: ", "unit 1: ", ""]
    up, down = (unit.fold for unit in describe(model, data.x_train)[:2])
    assert up > 0.1 > -0.1 > down
    assert titles[:3] == [f"unit 2: +{up:.2f}", f"unit 0: {down:.2f}", "unit 1: +0.00, dead"]
    right, left, nowhere = (axes.images[0].get_array()[40] for axes in figure.axes[:3])
    assert right[0].tolist() == left[-1].tolist() == [1, 1, 1]  # white: silent
    assert nowhere.min() == 1
    assert right[-1, 0] > right[-1, 2] + 0.5  # orange, class 1
    assert left[0, 2] > left[0, 0]  # blue
    fold, points = figure.axes[0].collections
    assert fold.get_paths()[0].vertices[:, 0] == pytest.approx(0.5)
    assert np.array_equal(points.get_offsets(), data.x_train[:200])
    for axes in figure.axes[:3]:
        (x0, y0), (x1, y1) = axes.transData.transform([(0, 0), (1, 1)])
        assert x1 - x0 == pytest.approx(y1 - y0)
    six = hidden_units.unit_maps(MLP(2, [6], 2, 0), data)
    assert [len(axes.images) for axes in six.axes] == 6 * [1] + 2 * [0]
    assert [axes.axison for axes in six.axes] == 6 * [True] + 2 * [False]


def test_all_maps_have_one_scale_that_of_what_a_unit_adds_to_the_log_odds(hidden_units, data):
    from matplotlib.colors import to_rgb

    # The same fold four times as high in unit 1, by its input, and a tenth of that in unit 2.
    model = network([[1, 0], [4, 0], [1, 0]], [0, 0, 0], [1, 1, -0.4])
    figure = hidden_units.unit_maps(model, data)
    deepest = 0.85 * (1 - np.array([to_rgb(ORANGE), to_rgb(ORANGE), to_rgb(BLUE)]))
    ink = [1 - axes.images[0].get_array()[40, -1] for axes in figure.axes[:3]]
    assert [axes.get_title()[:6] for axes in figure.axes[:3]] == ["unit 1", "unit 0", "unit 2"]
    assert np.array(ink) == pytest.approx(deepest * np.sqrt([[1], [0.25], [0.1]]))
    largest = 4 * figure.axes[0].get_xlim()[1]
    assert f"orange raises the log-odds by {largest:.3g}," in figure.get_supxlabel()


def test_the_fold_figure_tells_stuck_runs_from_the_others(hidden_units, run_of, data):
    from matplotlib.colors import to_rgba

    import plots

    runs = {"not stuck": [run_of(-5, 4, 2), run_of(-4, 5)], "stuck": [run_of(-1, 0.1)]}
    (axes,) = hidden_units.fold_figure(runs, data, "the title").axes
    assert axes.get_title() == "the title"
    assert axes.get_xlabel() == "sum of downward folds"
    assert axes.get_ylabel() == "sum of upward folds"
    good, bad = axes.collections
    assert good.get_offsets().tolist() == [[5, 6], [4, 5]]
    assert bad.get_offsets().tolist() == [[1, 0.1]]
    assert [good.get_label(), bad.get_label()] == ["not stuck: 2 of 3 runs", "stuck: 1 of 3 runs"]
    assert len(good.get_facecolors()) == 0  # a ring, the other a cross
    assert bad.get_paths()[0].codes.tolist() == [1, 2, 1, 2]
    colors = [tuple(dots.get_edgecolors()[0]) for dots in (good, bad)]
    assert colors == [to_rgba(plots.GOOD), to_rgba(plots.BAD)]
