"""Part II: what hidden units do, claim by claim."""

import numpy as np
import pytest

from compare_batch_sizes import STUCK_ABOVE
from hidden_units import comparison, describe, total_folds, unit_inputs
from mlp_numpy import MLP
from tests.test_readme import PROSE
from train_mlp_numpy import fastest_backend, load_data, train_from_seed


def network(hidden_weight, hidden_bias, v):
    """Return a network of these hidden units, whose outputs reach the logit of class 1 times v."""
    model = MLP(2, [len(v)], 2, rng=0)
    hidden, output = model.layers[0].params, model.layers[2].params
    hidden["weight"], hidden["bias"] = (
        np.array(hidden_weight, float).T,
        np.array(hidden_bias, float),
    )
    output["weight"] = np.column_stack([np.zeros(len(v)), v])
    return model


def log_odds(model, x):
    p = model.forward(x)
    return np.log(p[:, 1] / p[:, 0])


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(200, 2))


def test_the_log_odds_are_the_sum_of_the_units(x):
    model = MLP(2, [7], 2, rng=1)
    weight, bias = model.layers[2].params["weight"], model.layers[2].params["bias"]
    bias += [0.3, -0.4]
    v = weight[:, 1] - weight[:, 0]
    g = bias[1] - bias[0] + np.maximum(unit_inputs(model, x), 0) @ v
    assert log_odds(model, x) == pytest.approx(g)


@pytest.mark.parametrize("sign", [-1, 1])
def test_folds_of_one_sign_make_the_region_of_one_class_convex(x, sign):
    rng = np.random.default_rng(2)
    model = network(rng.normal(size=(9, 2)), rng.normal(size=9), sign * rng.random(9))
    a, b = x[:100], x[100:]
    middle = log_odds(model, (a + b) / 2)
    assert (sign * middle <= sign * (log_odds(model, a) + log_odds(model, b)) / 2 + 1e-12).all()


def test_a_unit_that_always_fires_and_one_that_never_does_fold_nothing(x):
    always, never = describe(network([[1, 0], [1, 0]], [9, -9], [1, 1]), x)
    assert (always.index, always.fires, always.note) == (0, 1.0, "")
    assert (never.index, never.fires, never.note) == (1, 0.0, "dead")
    assert abs(always.fold) < 1e-12
    assert never.fold == 0


def test_a_fold_has_the_sign_and_the_scale_of_what_the_unit_adds(x):
    weights, biases = [[1, 0], [2, 0], [1, 0], [0, 1]], [0, 0, 0, -1]
    units = {unit.index: unit for unit in describe(network(weights, biases, [1, 1, -3, 1]), x)}
    assert [units[j].favours for j in range(4)] == [1, 1, 0, 1]
    assert units[1].fold == pytest.approx(2 * units[0].fold)
    assert units[2].fold == pytest.approx(-3 * units[0].fold)
    half = np.maximum(x[:, 0], 0)  # |x| / 2 plus a plane: what bends is |x| / 2
    bend, planes = np.abs(x[:, 0]) / 2, np.column_stack([x, np.ones(len(x))])
    rest = bend - planes @ np.linalg.lstsq(planes, bend)[0]
    assert units[0].fold == pytest.approx(np.sqrt((rest**2).mean()))
    assert units[0].fires == np.mean(half > 0)


def test_twins_fire_in_proportion_and_the_largest_fold_leads(x):
    weights, biases = [[1, 1], [3, 3], [1, 1.5], [-1, -1]], [0.5, 1.5, 0.5, -0.5]
    units = describe(network(weights, biases, [1, 1, 1, 1]), x)
    notes = {unit.index: unit.note for unit in units}
    assert notes == {0: "like unit 1", 1: "", 2: "", 3: ""}
    assert units[0].index == 1
    assert [abs(unit.fold) for unit in units] == sorted((abs(u.fold) for u in units), reverse=True)


def test_the_comparison_counts(x):
    units = describe(network([[1, 0], [2, 0], [1, 0], [1, 0]], [0, 0, 0, -9], [1, 1, -5, 1]), x)
    heading, row = comparison({"name": units})
    assert heading.split() == ["units", "dead", "copies", "folds", "down", "folds", "up"]
    down, up = total_folds(units)
    assert row.split() == ["name", "4", "1", "2", f"{down:.2f}", f"{up:.2f}"]
    assert down == pytest.approx(5 / 3 * up)


@pytest.mark.parametrize("arguments", [(2, [], 2), (2, [4, 3], 2), (2, [4], 3)])
def test_other_networks_are_refused(x, arguments):
    with pytest.raises(ValueError, match="one hidden layer and two classes, got layers"):
        describe(MLP(*arguments, rng=0), x)


def folds_at_batch_size_16(seeds):
    """Return whether each run is stuck, and its total folds, of shape (n_runs, 2)."""
    data, stuck, totals = load_data(), [], []
    options = {"batch_size": 16, "eval_freq": 1500, "backend": fastest_backend()}
    for seed in seeds:
        model, history = train_from_seed(data, seed, **options)
        stuck.append(history["train_loss"][-1] > STUCK_ABOVE)
        totals.append(total_folds(describe(model, data.x_train)))
    return np.array(stuck), np.array(totals)


def test_the_stuck_among_twenty_runs_lack_upward_folds():
    stuck, totals = folds_at_batch_size_16(range(20))
    assert 0 < stuck.sum() < 20
    assert totals[stuck, 1].max() < 0.2
    assert totals[~stuck, 1].min() > 4
    assert totals[:, 0].min() > 1


@pytest.mark.slow
def test_the_stuck_among_a_hundred_runs_lack_upward_folds_as_the_readme_says():
    text = (
        "In all of the 33 stuck networks at batch size 16 the upward folds sum up to less than "
        "0.2, and in all of the other 67 to more than 4."
    )
    assert text in PROSE
    stuck, totals = folds_at_batch_size_16(range(100))
    assert stuck.sum() == 33
    assert totals[stuck, 1].max() < 0.2
    assert totals[~stuck, 1].min() > 4
