"""Parts II and III: what hidden units do, claim by claim."""

import copy
import re

import numpy as np
import pytest

from compare_batch_sizes import STUCK_ABOVE
from hidden_units import (
    Run,
    comparison,
    describe,
    runs_by_outcome,
    total_folds,
    trained_on,
    unit_inputs,
    with_fold,
)
from mlp_numpy import MLP
from tests.test_readme import PROSE
from train_mlp_numpy import fastest_backend, load_data


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
    assert notes == {0: "like 1", 1: "", 2: "", 3: ""}
    assert units[0].index == 1
    assert [abs(unit.fold) for unit in units] == sorted((abs(u.fold) for u in units), reverse=True)


def run_of(*network_arguments, x):
    model = network(*network_arguments)
    return Run(0, model, {}, describe(model, x))


def test_the_comparison_gives_means(x):
    one = run_of([[1, 0], [2, 0], [1, 0], [1, 0]], [0, 0, 0, -9], [1, 1, -5, 1], x=x)
    other = run_of([[1, 0], [0, 1]], [0, 0], [1, 1], x=x)
    heading, row, last = comparison({"name": [one, other], "other": [other]})
    assert heading.split() == ["mean", "of", "dead", "copies", "folds", "down", "folds", "up"]
    down, up = (np.array(total_folds(one.units)) + total_folds(other.units)) / 2
    assert row.split() == ["2", "name", "0.5", "1.0", f"{down:.2f}", f"{up:.2f}"]
    assert last.split()[:5] == ["1", "other", "0.0", "0.0", "0.00"]


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_least_unit_gets_a_fold(x, sign):
    model = network([[1, 0], [0, 1], [1, 1]], [0, 9, 0], [1, 1, -1])
    before = copy.deepcopy(model)
    folded = with_fold(model, x, sign)
    steps = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0]])  # across the line x_1 = 1
    slopes = np.diff(np.maximum(unit_inputs(folded, steps)[:, 1], 0))
    assert slopes == pytest.approx([-0.5, 0, 0])
    unit = next(unit for unit in describe(folded, x) if unit.index == 1)
    assert np.sign(unit.fold) == sign
    assert unit.favours == (sign == 1)
    for k, axis in ((0, 1), (2, 0)):
        weight, old = (m.layers[k].params["weight"] for m in (folded, before))
        assert np.array_equal(np.delete(weight, 1, axis), np.delete(old, 1, axis))
        assert np.array_equal(model.layers[k].params["weight"], old)  # the network itself stays


@pytest.mark.parametrize("arguments", [(2, [], 2), (2, [4, 3], 2), (2, [4], 3)])
def test_other_networks_are_refused(x, arguments):
    with pytest.raises(ValueError, match="one hidden layer and two classes, got layers"):
        describe(MLP(*arguments, rng=0), x)


def runs_at_batch_size_16(seeds):
    options = {"batch_size": 16, "eval_freq": 1500, "backend": fastest_backend()}
    return runs_by_outcome(load_data(), seeds, **options)


def folds_of(group):
    """Return the total folds of each run, of shape (n_runs, 2)."""
    return np.array([total_folds(run.units) for run in group])


@pytest.fixture(scope="module")
def runs():
    return runs_at_batch_size_16(range(20))


def test_runs_are_told_apart_by_their_final_loss(runs):
    assert sorted(run.seed for group in runs.values() for run in group) == list(range(20))
    for name, group in runs.items():
        assert len(group) > 0
        for run in group:
            assert (run.history["train_loss"][-1] > STUCK_ABOVE) == (name == "stuck")
            assert run.units == describe(run.model, load_data().x_train)


def test_the_stuck_among_twenty_runs_lack_upward_folds(runs):
    stuck, others = map(folds_of, (runs["stuck"], runs["not stuck"]))
    assert stuck[:, 1].max() < 0.2
    assert others[:, 1].min() > 4
    assert min(stuck[:, 0].min(), others[:, 0].min()) > 1


def test_an_upward_fold_sets_every_stuck_network_free_and_a_downward_one_does_not(runs):
    options = {"batch_size": 16, "eval_freq": 1500, "backend": fastest_backend()}
    _, unchanged, down, up = trained_on(runs["stuck"], load_data(), **options)
    n = len(runs["stuck"])
    n_free = [int(re.search(rf"(\d+) of {n} ", line)[1]) for line in (unchanged, down, up)]
    assert n_free[2] == n
    assert max(n_free[:2]) < n / 2
    assert re.search(r"0\.0\d\d \[0\.0\d\d, 0\.0\d\d\]$", up)


@pytest.mark.slow
def test_the_stuck_among_a_hundred_runs_lack_upward_folds_as_the_readme_says():
    text = (
        "In all of the 33 stuck networks at batch size 16 the upward folds sum up to less than "
        "0.2, and in all of the other 67 to more than 4."
    )
    assert text in PROSE
    runs = runs_at_batch_size_16(range(100))
    stuck, others = map(folds_of, (runs["stuck"], runs["not stuck"]))
    assert len(stuck) == 33
    assert "Given one upward fold and trained on, every stuck network comes free" in PROSE
    options = {"batch_size": 16, "eval_freq": 1500, "backend": fastest_backend()}
    _, _, down, up = trained_on(runs["stuck"], load_data(), **options)
    assert "33 of 33" in up
    assert int(re.search(r"(\d+) of 33", down)[1]) < 7
    assert stuck[:, 1].max() < 0.2
    assert others[:, 1].min() > 4
