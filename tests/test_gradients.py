"""Every gradient against finite differences; a slip in modules.py shows here first, by its name."""

import math
from functools import cache

import numpy as np
import pytest

import gradient_check
from experiments.gradient_bugs import BUGS, gradient_error
from gradient_check import LIMIT, check_all, check_layer, relative_error
from modules import Linear, ReLU, SoftMax


@cache
def five_checks():
    return [check for seed in range(5) for check in check_all(seed)]


def error_of(subject, gradient):
    """Return the largest relative error of a gradient, over five seeds."""
    return max(c.error for c in five_checks() if (c.subject, c.gradient) == (subject, gradient))


def test_linear_its_weight_gradient_is_x_transposed_times_dout():
    assert error_of("Linear", "weight") < LIMIT


def test_linear_its_bias_gradient_is_dout_summed_over_the_rows_of_the_batch():
    assert error_of("Linear", "bias") < LIMIT


def test_linear_its_input_gradient_is_dout_times_the_weight_transposed():
    assert error_of("Linear", "input") < LIMIT


def test_relu_lets_dout_pass_where_its_input_was_positive():
    assert error_of("ReLU", "input") < LIMIT


def test_softmax_its_gradient_is_s_times_dout_minus_their_sum_of_products():
    assert error_of("SoftMax", "input") < LIMIT


def test_cross_entropy_its_gradient_for_the_logits_is_p_minus_y_over_n():
    assert error_of("SoftMax + CrossEntropy", "logits") < LIMIT


@pytest.mark.parametrize("seed", [0, 1, 2, 16, 39, 192])  # 16 and up: networks drawn anew, kinks
def test_networks_of_zero_to_three_hidden_layers_have_the_right_gradients(seed):
    wrong = {(c.subject, c.gradient): c.error for c in check_all(seed) if not c.error < LIMIT}
    assert wrong == {}


# What finds a wrong gradient must itself be tried on wrong ones.


@pytest.mark.parametrize("bug", BUGS)
def test_a_network_with_a_bug_of_the_catalogue_fails_the_check(bug):
    assert gradient_error(bug) > 100 * LIMIT
    assert gradient_error(None) < LIMIT


class OneElementWrong(Linear):
    def backward(self, dout):
        dx = super().backward(dout)
        dx[2, 1] *= 1.001
        return dx


class NotANumber(Linear):
    def backward(self, dout):
        return np.nan * super().backward(dout)


class Leaky(ReLU):
    def backward(self, dout):
        return dout * np.where(self.x > 0, 1, 0.01)


class PassesThrough(SoftMax):
    def backward(self, dout):
        return dout


@pytest.mark.parametrize("kind", [OneElementWrong, NotANumber, Leaky, PassesThrough])
def test_a_layer_with_a_wrong_gradient_fails_the_check(kind):
    rng = np.random.default_rng(0)
    layer = kind(3, 4) if issubclass(kind, Linear) else kind()
    assert not all(c.error < LIMIT for c in check_layer(layer, rng.normal(size=(5, 3)), rng))


def test_a_relu_that_overwrites_its_input_is_told_and_not_checked_for_ever(monkeypatch):
    def forward(self, x):
        self.x = self.out = np.maximum(x, 0.0, out=x)
        return x

    monkeypatch.setattr(ReLU, "forward", forward)
    with pytest.raises(RuntimeError, match=r"does ReLU\.forward keep its input as it was"):
        gradient_check.check_network(3, (4,), 3, np.random.default_rng(0))


def test_every_element_of_every_gradient_is_compared():
    sizes = {"Linear": 12 + 3 + 20, "MLP 3-7-6-2": 3 * 7 + 7 + 7 * 6 + 6 + 6 * 2 + 2}
    for subject, size in sizes.items():
        assert sum(c.elements for c in check_all() if c.subject == subject) == size
    assert len(check_all()) == 46


def test_relative_error_of_known_arrays():
    assert relative_error(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 0.5
    assert relative_error(np.zeros(3), np.zeros(3)) == math.inf  # nothing to compare
    assert relative_error(np.array([np.nan]), np.array([1.0])) == math.inf
    with pytest.raises(ValueError, match=r"shape \(1, 2\), expected \(2, 1\)"):
        relative_error(np.zeros((1, 2)), np.zeros((2, 1)))


def test_the_command_prints_each_gradient_and_fails_when_one_is_wrong(monkeypatch, capsys):
    assert gradient_check.main([]) == 0
    right = capsys.readouterr().out.splitlines()
    assert right[-1] == "700 elements, 0 of 46 gradients above 1e-07"
    assert [line.split()[0] for line in right[1:5]] == ["Linear"] * 3 + ["ReLU"]
    monkeypatch.setattr(gradient_check, "SoftMax", PassesThrough)
    assert gradient_check.main([]) == 1
    assert "1 of 46 gradients above 1e-07" in capsys.readouterr().out
