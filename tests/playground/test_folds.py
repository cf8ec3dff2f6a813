"""What hidden units do: the claims of playground/folds.py, on networks made by hand."""

import numpy as np
import pytest

from mlp_numpy import MLP
from playground.folds import Unit, describe, fold_sums, unit_inputs, with_fold


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(200, 2))


def network(weights, biases, v):
    """Return a network of these hidden units, whose outputs reach the logit of class 1 times v."""
    model = MLP(2, [len(v)], 2, rng=0)
    hidden = model.layers[0].params
    output = model.layers[2].params
    hidden["weight"] = np.array(weights, float).T
    hidden["bias"] = np.array(biases, float)
    output["weight"] = np.column_stack([np.zeros(len(v)), v])
    return model


def log_odds(model, x):
    p = model.forward(x)
    return np.log(p[:, 1] / p[:, 0])


def test_the_log_odds_are_the_sum_of_the_units(x):
    v = [1, -2, 0.5]
    model = network([[1, 0], [0, 1], [1, 1]], [0.1, 0.2, 0.3], v)
    outputs = np.maximum(unit_inputs(model, x), 0)
    assert log_odds(model, x) == pytest.approx(outputs @ v)


def test_a_fold_is_what_no_plane_can_do(x):
    # max(0, x_1), twice that, three times that downwards, a unit always and one never above 0.
    weights = [[1, 0], [2, 0], [1, 0], [1, 0], [1, 0]]
    biases = [0, 0, 0, 9, -9]
    units = describe(network(weights, biases, [1, 1, -3, 1, 1]), x)
    assert [unit.index for unit in units] == [2, 1, 0, 3, 4]  # by size
    assert [unit.favours for unit in units] == [0, 1, 1, 1, 1]
    assert [unit.fires for unit in units] == [*3 * [np.mean(x[:, 0] > 0)], 1, 0]
    assert [unit.note for unit in units] == ["", "like 2", "like 2", "", "dead"]
    # max(0, x_1) is |x_1| / 2 plus a plane, and what bends is |x_1| / 2.
    bend = np.abs(x[:, 0]) / 2
    planes = np.column_stack([x, np.ones(len(x))])
    rest = bend - planes @ np.linalg.lstsq(planes, bend)[0]
    fold = np.sqrt((rest**2).mean())
    assert [unit.fold for unit in units] == pytest.approx([-3 * fold, 2 * fold, fold, 0, 0])


def test_folds_are_summed_by_direction_downward_ones_first():
    units = [Unit(0, 0.5, int(fold > 0), fold, None) for fold in (-5, 4, -1, 0, 2.5)]
    assert fold_sums(units) == (6, 6.5)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("x_1", [1, -0.5])
def test_the_least_unit_of_a_copy_gets_a_fold_along_a_vertical_line(x, sign, x_1):
    model = network([[1, 0], [0, 1], [1, 1]], [0, 9, 0], [1, 1, -1])
    before = model.forward(x)
    folded = with_fold(model, x, sign, x_1)
    across = np.array([[x_1 - 1, 5], [x_1, 0], [x_1 + 1, -5]])
    assert unit_inputs(folded, across)[:, 1] == pytest.approx([0.5, 0, -0.5])
    (unit,) = (unit for unit in describe(folded, x) if unit.index == 1)
    assert sign * unit.fold > 0.01
    assert np.array_equal(model.forward(x), before)


def test_a_planted_fold_adds_a_plane_on_one_side_of_its_line_and_nothing_on_the_other(x):
    # The least unit is dead, so what the copy adds to the log-odds is 0.4 max(0, (1 - x_1) / 2).
    model = network([[1, 0], [0, 1], [0, 0]], [0, 0, -1], [1, -1, 1])
    added = log_odds(with_fold(model, x, sign=1), x) - log_odds(model, x)
    assert added == pytest.approx(0.2 * np.maximum(0, 1 - x[:, 0]))


@pytest.mark.parametrize(
    ("sizes", "told"), [((2, [], 2), "2-2"), ((2, [4, 3], 2), "2-4-3-2"), ((2, [4], 3), "2-4-3")]
)
def test_other_networks_are_refused(x, sizes, told):
    with pytest.raises(ValueError, match=f"one hidden layer and two classes, got {told}$"):
        describe(MLP(*sizes), x)
