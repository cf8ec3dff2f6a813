"""What hidden units do: the claims of experiments/hidden_units.py, on networks made by hand."""

import io

import numpy as np
import pytest

from mlp_numpy import MLP
from train_mlp_numpy import load_data


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


def log_odds(model, x):
    p = model.forward(x)
    return np.log(p[:, 1] / p[:, 0])


def test_the_log_odds_are_the_sum_of_the_units(hidden_units, x):
    v = [1, -2, 0.5]
    model = network([[1, 0], [0, 1], [1, 1]], [0.1, 0.2, 0.3], v)
    outputs = np.maximum(hidden_units.unit_inputs(model, x), 0)
    assert log_odds(model, x) == pytest.approx(outputs @ v)


@pytest.mark.parametrize("sign", [-1, 1])
def test_folds_of_one_sign_make_the_region_of_one_class_convex(x, sign):
    rng = np.random.default_rng(2)
    model = network(rng.normal(size=(9, 2)), rng.normal(size=9), sign * rng.random(9))
    a, b = x[:100], x[100:]
    middle = log_odds(model, (a + b) / 2)
    assert (sign * middle <= sign * (log_odds(model, a) + log_odds(model, b)) / 2 + 1e-12).all()


def test_a_fold_is_what_no_plane_can_do(hidden_units, x):
    # max(0, x_1), twice that, three times that downwards, a unit always and one never above 0.
    weights, biases = [[1, 0], [2, 0], [1, 0], [1, 0], [1, 0]], [0, 0, 0, 9, -9]
    units = hidden_units.describe(network(weights, biases, [1, 1, -3, 1, 1]), x)
    assert [unit.index for unit in units] == [2, 1, 0, 3, 4]  # by size
    assert [unit.favours for unit in units] == [0, 1, 1, 1, 1]
    assert [unit.fires for unit in units] == [*3 * [np.mean(x[:, 0] > 0)], 1, 0]
    assert [unit.note for unit in units] == ["", "like 2", "like 2", "", "dead"]
    # max(0, x_1) is |x_1| / 2 plus a plane, and what bends is |x_1| / 2.
    bend, planes = np.abs(x[:, 0]) / 2, np.column_stack([x, np.ones(len(x))])
    rest = bend - planes @ np.linalg.lstsq(planes, bend)[0]
    fold = np.sqrt((rest**2).mean())
    assert [unit.fold for unit in units] == pytest.approx([-3 * fold, 2 * fold, fold, 0, 0])


def test_the_table_has_the_means_of_each_group(hidden_units, x):
    def run_of(*units):
        model = network(*units)
        return hidden_units.Run(0, model, {}, hidden_units.describe(model, x))

    one = run_of([[1, 0], [2, 0], [1, 0], [1, 0]], [0, 0, 0, -9], [1, 1, -5, 1])
    other = run_of([[1, 0], [0, 1]], [0, 0], [1, 1])
    table = hidden_units.mean_counts({"name": [one, other], "other": [other]})
    down, up = np.mean([hidden_units.fold_sums(run.units) for run in (one, other)], axis=0)
    assert table.loc["2 name"].tolist() == pytest.approx([0.5, 1, down, up], abs=0.005)
    assert table.loc["1 other"].tolist()[:3] == [0, 0, 0]


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_least_unit_of_a_copy_gets_a_fold(hidden_units, x, sign):
    model = network([[1, 0], [0, 1], [1, 1]], [0, 9, 0], [1, 1, -1])
    before = model.forward(x)
    folded = hidden_units.with_fold(model, x, sign)
    across = np.array([[0.0, 0], [1, 0], [2, 0]])  # the line x_1 = 1
    assert hidden_units.unit_inputs(folded, across)[:, 1] == pytest.approx([0.5, 0, -0.5])
    fold = sorted(hidden_units.describe(folded, x))[1].fold
    assert sign * fold > 0.01
    assert np.array_equal(model.forward(x), before)


@pytest.mark.parametrize(
    ("sizes", "told"), [((2, [], 2), "2-2"), ((2, [4, 3], 2), "2-4-3-2"), ((2, [4], 3), "2-4-3")]
)
def test_other_networks_are_refused(hidden_units, x, sizes, told):
    with pytest.raises(ValueError, match=f"one hidden layer and two classes, got {told}$"):
        hidden_units.describe(MLP(*sizes), x)


@pytest.mark.parametrize(
    ("n_runs", "n_stuck"), [(10, 4), pytest.param(100, 33, marks=pytest.mark.slow)]
)
def test_stuck_networks_lack_upward_folds_and_come_free_when_given_one(
    hidden_units, data, n_runs, n_stuck
):
    options = {"batch_size": 16, "eval_freq": 1500, "backend": "numba"}
    runs = hidden_units.runs_by_outcome(data, range(n_runs), **options)
    stuck, others = runs["stuck"], runs["not stuck"]
    assert len(stuck) == pytest.approx(n_stuck, abs=0.04 * n_runs + 1)  # depends on the processor
    assert max(hidden_units.fold_sums(run.units)[1] for run in stuck) < 0.2
    assert min(hidden_units.fold_sums(run.units)[1] for run in others) > 4
    assert min(hidden_units.fold_sums(run.units)[0] for run in stuck + others) > 1
    table = hidden_units.trained_on(stuck, data, **options)
    unchanged, down, up = (int(free.split(" of ")[0]) for free in table["free"])
    assert up == len(stuck)
    assert max(unchanged, down) < len(stuck) / 2
    assert table["greatest loss"].iloc[-1] < 0.1


def test_the_maps_show_where_each_unit_fires_in_the_colour_of_its_class(hidden_units, data):
    # Unit 0 fires to the left of x_1 = 0.5, unit 1 nowhere, unit 2 to the right, for class 1.
    model = network([[-1, 0], [0, 0], [2, 0]], [0.5, -1, -1], [-1, 1, 1])
    figure = hidden_units.unit_maps(model, data)
    figure.savefig(io.BytesIO())
    titles = [axes.get_title() for axes in figure.axes]
    assert [title[:8] for title in titles] == ["unit 2: ", "unit 0: ", "unit 1: "]
    assert titles[2] == "unit 1: +0.00 (dead)"
    right, left, nowhere = (axes.images[0].get_array()[30] for axes in figure.axes)
    assert right[0].tolist() == left[-1].tolist() == [1, 1, 1]  # white: silent
    assert nowhere.min() == 1
    assert right[-1, 0] > right[-1, 2] + 0.5  # orange, class 1
    assert left[0, 2] > left[0, 0] + 0.5
    fold, points = figure.axes[0].collections
    assert fold.get_paths()[0].vertices[:, 0] == pytest.approx(0.5)
    assert np.array_equal(points.get_offsets(), data.x_train)
    six = hidden_units.unit_maps(MLP(2, [6], 2, 0), data)
    assert [len(axes.images) for axes in six.axes] == 6 * [1] + 4 * [0]


def test_the_fold_figure_tells_stuck_runs_from_the_others(hidden_units):
    def run_of(*folds):
        units = [hidden_units.Unit(0, 0.5, int(fold > 0), fold, None) for fold in folds]
        return hidden_units.Run(0, None, {}, units)

    runs = {"not stuck": [run_of(-5, 4, 2), run_of(-4, 5)], "stuck": [run_of(-1, 0.1)]}
    (axes,) = hidden_units.fold_figure(runs).axes
    assert axes.get_xlabel() == "sum of downward folds"
    good, bad = axes.collections
    assert [good.get_offsets().tolist(), bad.get_offsets().tolist()] == [
        [[5, 6], [4, 5]],
        [[1, 0.1]],
    ]
    assert [good.get_label(), bad.get_label()] == ["not stuck: 2 of 3 runs", "stuck: 1 of 3 runs"]
