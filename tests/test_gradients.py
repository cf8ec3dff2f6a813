"""Every gradient against finite differences; a slip in modules.py shows here first, by its name."""

import math
from functools import cache

import numpy as np
import pytest

import gradient_check
from experiments.gradient_bugs import BUGS, gradient_error
from gradient_check import (
    LIMIT,
    Check,
    check_all,
    check_layer,
    check_network,
    check_softmax_cross_entropy,
    error_text,
    numerical_gradient,
    relative_error,
    table,
)
from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax

SEEDS = (0, 1, 2)

# First what `forward` returns: the gradients below are checked against it.


def test_linear_returns_x_times_the_weight_plus_the_bias():
    layer = Linear(2, 3)
    layer.params["weight"] = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    layer.params["bias"] = np.array([10.0, 20.0, 30.0])
    out = layer.forward(np.array([[1.0, 0.0], [1.0, 1.0]]))
    assert out.tolist() == [[11, 22, 33], [15, 27, 39]]


def test_relu_returns_x_where_x_is_positive_and_0_elsewhere():
    out = ReLU().forward(np.array([[-2.0, 0.0, 0.5, 3.0]]))
    assert out.tolist() == [[0, 0, 0.5, 3]]


def test_softmax_returns_exp_of_each_logit_over_their_sum_in_the_row():
    logits = np.log([[1.0, 2.0, 5.0], [3.0, 3.0, 3.0]])
    probabilities = SoftMax().forward(logits)
    assert probabilities == pytest.approx(np.array([[1 / 8, 2 / 8, 5 / 8], [1 / 3, 1 / 3, 1 / 3]]))


def test_cross_entropy_returns_the_mean_of_minus_log_p_of_the_true_classes():
    predictions = np.array([[0.5, 0.5], [0.75, 0.25]])
    targets = np.array([[1.0, 0.0], [0.0, 1.0]])
    loss = CrossEntropy().forward(predictions, targets)
    assert loss == pytest.approx((math.log(2) + math.log(4)) / 2)


# Then what `backward` returns.


# Each layer is checked apart, so that an exception in one fails the tests of that one.


def linear_checks(rng):
    linear = Linear(4, 3)
    linear.params["weight"] = rng.normal(size=(4, 3))
    linear.params["bias"] = rng.normal(size=3)
    return check_layer(linear, rng.normal(size=(5, 4)), rng)


def relu_checks(rng):
    away_from_0 = rng.choice([-1, 1], (5, 4)) * rng.uniform(0.01, 2, (5, 4))
    return check_layer(ReLU(), away_from_0, rng)


def softmax_checks(rng):
    return check_layer(SoftMax(), rng.normal(size=(5, 4)), rng)


def cross_entropy_checks(rng):
    targets = np.eye(4)[rng.integers(4, size=5)]
    return [check_softmax_cross_entropy(rng.normal(size=(5, 4)), targets)]


def error_of(checks_of_layer, gradient):
    """Return the largest relative error of this gradient, over all SEEDS."""
    errors = []
    for seed in SEEDS:
        for check in checks_of_layer(np.random.default_rng(seed)):
            if check.gradient == gradient:
                errors.append(check.error)
    return max(errors)


def test_the_weight_gradient_of_linear_is_x_transposed_times_dout():
    assert error_of(linear_checks, "weight") < LIMIT


def test_the_bias_gradient_of_linear_is_dout_summed_over_the_rows_of_the_batch():
    assert error_of(linear_checks, "bias") < LIMIT


def test_the_input_gradient_of_linear_is_dout_times_the_weight_transposed():
    assert error_of(linear_checks, "input") < LIMIT


def test_the_gradient_of_relu_is_dout_where_its_input_was_positive_and_0_elsewhere():
    assert error_of(relu_checks, "input") < LIMIT


def test_the_gradient_of_softmax_is_p_times_dout_minus_the_sum_of_dout_times_p():
    assert error_of(softmax_checks, "input") < LIMIT


def test_the_gradient_of_cross_entropy_for_the_logits_is_p_minus_y_divided_by_n():
    assert error_of(cross_entropy_checks, "logits") < LIMIT


@cache
def checks_of(seed):
    return check_all(seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_networks_of_zero_to_three_hidden_layers_have_the_right_gradients(seed):
    wrong = [check for check in checks_of(seed) if not check.is_right]
    assert wrong == []


# What finds a wrong gradient must itself be tried on wrong ones.


@pytest.mark.parametrize("bug", BUGS)
def test_a_network_with_a_bug_of_the_catalogue_fails_the_check(bug):
    assert gradient_error(bug) > 100 * LIMIT


@pytest.mark.parametrize("factor", [1.001, -1])
@pytest.mark.parametrize("name", ["weight", "bias", "input"])
def test_a_single_element_that_is_wrong_is_found_in_its_gradient_alone(name, factor):
    class OneElementWrong(Linear):
        def backward(self, dout):
            dx = super().backward(dout)
            gradients = {"input": dx, **self.grads}  # no copies: a change here is one there
            gradients[name].flat[1] *= factor
            return dx

    rng = np.random.default_rng(0)
    checks = check_layer(OneElementWrong(3, 4), rng.normal(size=(5, 3)), rng)
    assert [check.gradient for check in checks if not check.is_right] == [name]


def wrong_subjects():
    """Return the layers and networks that check_all finds wrong."""
    return {check.subject for check in check_all() if not check.is_right}


@pytest.mark.parametrize(
    ("layer", "subject", "is_used_in_training"),
    [
        (Linear, "Linear", True),
        (ReLU, "ReLU", True),
        (SoftMax, "SoftMax", False),  # CrossEntropy.backward includes its derivative
        (CrossEntropy, "SoftMax + CrossEntropy", True),
    ],
)
def test_a_backward_that_returns_twice_the_gradient_is_found(
    layer, subject, is_used_in_training, monkeypatch
):
    right_backward = layer.backward

    def twice(self, *args):
        return 2 * right_backward(self, *args)

    monkeypatch.setattr(layer, "backward", twice)
    wrong = wrong_subjects()
    assert subject in wrong
    assert ("MLP 3-7-2" in wrong) == is_used_in_training


@pytest.mark.parametrize(
    ("slope_below_0", "slope_above_0"), [(0.01, 1), (0, 1.01)], ids=["below 0", "above 0"]
)
def test_a_relu_with_a_wrong_slope_on_one_side_alone_is_found(
    slope_below_0, slope_above_0, monkeypatch
):
    def backward(self, dout):
        return dout * np.where(self.x > 0, slope_above_0, slope_below_0)

    monkeypatch.setattr(ReLU, "backward", backward)
    assert "ReLU" in wrong_subjects()


def test_gradients_that_add_up_over_batches_are_found(monkeypatch):
    right_backward = Linear.backward

    def backward(self, dout):
        before = self.grads["bias"]
        dx = right_backward(self, dout)
        self.grads["bias"] = before + self.grads["bias"]
        return dx

    monkeypatch.setattr(Linear, "backward", backward)
    assert "MLP 3-7-2" in wrong_subjects()


def test_the_error_names_a_forward_that_overwrites_its_input(monkeypatch):
    def forward(self, x):
        self.x = np.maximum(0, x, out=x)
        return x

    monkeypatch.setattr(ReLU, "forward", forward)
    with pytest.raises(RuntimeError, match=r"ReLU\.forward"):
        check_network(3, [4], 3, np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(5))
def test_networks_are_checked_where_no_relu_is_near_its_kink_and_each_row_has_an_active_unit(seed):
    model = MLP(3, [2, 2], 3)
    check_network(3, [2, 2], 3, np.random.default_rng(seed), network=lambda *sizes: model)
    for layer in model.layers:
        if isinstance(layer, ReLU):
            # At least KINK = 0.01 away, but for the small step of the last difference.
            assert np.abs(layer.x).min() > 9e-3
            assert (layer.x > 0).any(axis=1).all()


def test_every_element_of_every_gradient_is_compared():
    elements = {}
    for check in checks_of(0):
        elements[check.subject] = elements.get(check.subject, 0) + check.elements
    assert elements["Linear"] == 12 + 3 + 20  # weight, bias and input
    assert elements["ReLU"] == 20
    assert elements["MLP 3-2"] == 3 * 2 + 2
    assert elements["MLP 3-7-6-5-5"] == (3 * 7 + 7) + (7 * 6 + 6) + (6 * 5 + 5) + (5 * 5 + 5)


def test_the_same_seed_checks_the_same_numbers_and_another_seed_others():
    assert check_all(1) == checks_of(1)
    assert check_all(1) != checks_of(0)


# The differences themselves


def test_the_numerical_gradient_is_right_to_nine_digits():
    gradient = numerical_gradient(lambda a: np.sum(np.sin(a)), np.array([[0.0], [1.0]]))
    assert gradient == pytest.approx(np.cos([[0.0], [1.0]]), abs=1e-9)


def test_h_of_the_numerical_gradient_is_that_of_the_formula():
    gradient = numerical_gradient(lambda a: a[0] ** 3, np.array([2.0]), h=0.5)
    assert gradient.tolist() == [12 + 0.5**2]  # 3a^2 + h^2, exactly


def test_the_numerical_gradient_at_whole_numbers_does_not_lose_h():
    gradient = numerical_gradient(lambda a: np.sum(a**2), np.array([1, 2, 3]))
    assert gradient == pytest.approx(np.array([2, 4, 6]), abs=1e-9)


def test_the_numerical_gradient_leaves_the_array_as_it_was():
    array = np.array([1.0, 2.0])
    numerical_gradient(np.sum, array)
    assert array.tolist() == [1, 2]


def test_the_relative_error_is_on_the_scale_of_the_largest_element():
    assert relative_error(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 2 / 4
    assert relative_error(np.array([-3.0, 0.5]), np.array([1.0, 0.5])) == 4 / 3


@pytest.mark.parametrize(
    ("analytic", "numerical"),
    [
        ([0.0, 0.0], [0.0, 0.0]),
        ([np.nan, 1.0], [1.0, 1.0]),
        ([1.0, 1.0], [1.0, np.nan]),
        ([np.inf, 1.0], [np.inf, 1.0]),
        ([[1.0, 2.0]], [[1.0], [2.0]]),
    ],
    ids=["zeros", "NaN in the first", "NaN in the second", "infinities", "other shapes"],
)
def test_where_nothing_can_be_compared_the_error_is_infinite(analytic, numerical):
    assert relative_error(np.array(analytic), np.array(numerical)) == math.inf


# The command


def line_with(lines, *words):
    """Return the only line in which all of these words stand."""
    for word in words:
        lines = [line for line in lines if word in line]
    assert len(lines) == 1
    return lines[0]


def test_the_command_says_of_right_gradients_that_they_are_right(capsys):
    assert gradient_check.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "right" in line_with(lines, "Linear", "weight")
    assert "right" in line_with(lines, "MLP 3-7-6-2")
    assert "700 elements" in lines[-1]
    assert "0 of 14 rows" in lines[-1]


def test_the_command_says_which_gradient_is_wrong_and_its_status_is_1(capsys, monkeypatch):
    right_backward = Linear.backward

    def backward(self, dout):
        dx = right_backward(self, dout)
        if len(self.params["bias"]) == 6:
            self.grads["bias"] = -self.grads["bias"]
        return dx

    monkeypatch.setattr(Linear, "backward", backward)
    assert gradient_check.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "WRONG" in line_with(lines, "MLP 3-7-6-2", "bias_1")
    assert "right" in line_with(lines, "MLP 3-7-6-2", "weight_1")
    assert "right" in line_with(lines, "MLP 3-7-2")


@pytest.mark.parametrize("error", [LIMIT, 0.5, math.inf, math.nan])
def test_an_error_that_is_not_below_the_limit_is_wrong(error):
    right = Check("MLP 3-2", "weight_0", 20, 0.9 * LIMIT, in_network=True)
    wrong = Check("MLP 3-2", "bias_0", 20, error, in_network=True)
    also_wrong = Check("ReLU", "input", 20, error)
    lines = table([right, wrong, also_wrong])
    assert "right" in line_with(lines, "weight_0")
    assert "WRONG" in line_with(lines, "bias_0")
    assert "WRONG" in line_with(lines, "ReLU")


def test_the_last_line_counts_the_elements_and_the_wrong_rows():
    right = Check("MLP 3-2", "weight_0", 20, 0.9 * LIMIT, in_network=True)
    wrong = Check("MLP 3-2", "bias_0", 20, LIMIT, in_network=True)
    also_wrong = Check("ReLU", "input", 20, LIMIT)
    last_line = table([right, wrong, also_wrong])[-1]
    assert "60 elements" in last_line
    assert "2 of 3 rows" in last_line


def test_a_network_that_is_right_has_one_row_with_its_largest_error():
    smaller = Check("MLP 3-2", "weight_0", 20, 1e-11, in_network=True)
    larger = Check("MLP 3-2", "bias_0", 10, 3e-10, in_network=True)
    row = line_with(table([smaller, larger]), "MLP 3-2")
    assert "3.0e-10" in row
    assert " 30 " in row


def test_an_error_is_printed_in_digits_if_it_reaches_the_limit():
    assert "e-08" not in error_text(0.9 * LIMIT)
    assert error_text(LIMIT) == "1.0e-07"
