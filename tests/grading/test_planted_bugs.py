"""The checks of grading/ are checked: each planted bug is found by the check that is there for it.

A bug is a class or a function that takes the place of the one of its name in this project, while
the check runs that must find it, and say what is wrong in the terms of the lecture.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from planting import (
    accumulating,
    after,
    an_epoch_too_few,
    backward,
    decaying,
    descent,
    drawn,
    entries,
    epoch,
    fixed,
    forward,
    grad,
    history,
    learn,
    momentum,
    named,
    online,
    reordered,
    rolled,
    scaled,
    soft_max,
    split,
    stale,
    start,
    through,
    update,
    variant,
)

import grading
import mlp_numpy
import modules
import perceptron
import train_mlp_numpy
from experiments.gradient_bugs import BUGS as CATALOGUE
from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax
from perceptron import Perceptron

# By the check that must find them: each bug, or its name in the catalogue of experiments/, and what
# must be said of it.
BUGS = {
    "linear_computes_x_times_weight_plus_bias": [
        (forward(Linear, lambda m, out, x: out - m.params["bias"]), "forgets the bias"),
        (forward(Linear, lambda m, out, x: out - 2 * m.params["bias"]), "subtracts the bias")],
    "linear_sums_the_weight_gradient_over_the_batch": [
        (grad("weight", lambda g, x, dout: g / len(x)), "averaged over the batch, but"),
        (grad("weight", lambda g, x, dout: 0 * g), "is zero"),
        (grad("weight", lambda g, x, dout: -g), "wrong sign"),
        (grad("weight", lambda g, x, dout: g.T), "is transposed"),
        (forward(Linear, lambda m, out, x: setattr(m, "x", None)),
            r"Linear.backward raises .* for x \(5, 3\), dout \(5, 4\)"),
        ("Weight gradient transposed and reshaped", "transposed"),
        ("Weight gradient of the batch before", "is zero")],
    "linear_sums_the_bias_gradient_over_the_batch": [
        (grad("bias", lambda g, x, dout: dout.sum(axis=1)), "summed over the outputs"),
        (grad("bias", lambda g, x, dout: dout), "not summed over the batch"),
        ("Bias gradient missing", "left out"),
        ("Bias gradient averaged over the batch", "averaged over the batch, but")],
    "linear_returns_the_gradient_of_its_input": [
        (backward(Linear, lambda m, dx, dout: dx / len(dx)), "each row has its own"),
        (backward(Linear, lambda m, dx, dout: dx.T), "is transposed"),
        (backward(Linear, lambda m, dx, dout: dout @ m.params["weight"]), "lacks the transpose"),
        (variant(Linear, backward=lambda m, dout: None), "nothing is returned")],
    "linear_overwrites_its_gradients": [
        (accumulating("weight"), "is added to that"),
        (accumulating("bias"), "is added to that")],
    "linear_uses_its_latest_input": [
        (stale(Linear), "stale")],
    "linear_changes_neither_its_arguments_nor_its_parameters": [
        (forward(Linear, lambda m, out, x: x.sort()), "Linear.forward changes its argument"),
        (backward(Linear, lambda m, dx, dout: dout.sort()), "Linear.backward changes"),
        (backward(Linear, lambda m, dx, dout: m.params.update(weight=0.9 * m.params["weight"])),
            "changes its parameters")],
    "linear_starts_with_small_random_weights_and_no_bias": [
        (start(Linear, lambda m, *_: m.params.update(weight=0 * m.params["weight"])),
            "all the same"),
        (start(Linear, lambda m, *_: m.params.update(
            weight=np.outer(m.params["weight"][:, 0], m.params["bias"] + 1))), "all the same"),
        (start(Linear, lambda m, *_: m.params.update(bias=m.params["bias"] + 1)), "initial bias")],
    "relu_cuts_off_below_zero": [
        (forward(ReLU, lambda m, out, x: np.abs(x)), "absolute value"),
        (forward(ReLU, lambda m, out, x: x - out), "cuts off above zero")],
    "relu_lets_the_gradient_pass_where_its_input_is_positive": [
        (backward(ReLU, lambda m, dx, dout: dout * (m.x >= 0)), "at an input of 0"),
        (backward(ReLU, lambda m, dx, dout: m.x > 0), "mask alone"),
        ("ReLU mask missing", "not masked"),
        ("ReLU mask inverted", "wrong way round"),
        ("ReLU mask taken from dout", "sign of dout")],
    "relu_uses_its_latest_input": [
        (stale(ReLU), "stale")],
    "a_layer_without_parameters_changes_none_of_its_arguments": [
        (forward(ReLU, lambda m, out, x: x.sort()), "ReLU.forward changes"),
        (forward(SoftMax, lambda m, s, x: x.sort()), "SoftMax.forward changes")],
    "softmax_makes_probabilities_of_each_row": [
        (soft_max(axis=0), "normalised over the batch"),
        (forward(SoftMax, lambda m, s, x: np.exp(x - x.max(axis=1)[:, None])), "do not sum to 1"),
        (soft_max(axis=None), "not within each row")],
    "softmax_of_large_logits_does_not_overflow": [
        (soft_max(axis=0), "normalised over the batch"),
        (soft_max(shift=lambda x: x.max(axis=0)), "maximum of each column"),
        (soft_max(shift=lambda x: 0), "overflows"),
        (soft_max(shift=lambda x: x.max()), "maximum of the whole batch"),
        (soft_max(shift=lambda x: -x.max(axis=1, keepdims=True)), "overflows")],
    "softmax_has_its_true_derivative_or_passes_the_gradient_through": [
        (backward(SoftMax, lambda m, dx, dout: m.out * dout), "leaves out the sum"),
        (backward(SoftMax, lambda m, dx, dout: m.out * (1 - m.out) * dout), "diagonal"),
        (backward(SoftMax, lambda m, dx, dout: m.out * (dout - (dout * m.out).sum(axis=0))),
            "sums over the batch")],
    "softmax_uses_its_latest_output": [
        (stale(SoftMax), "stale")],
    "cross_entropy_is_the_mean_over_the_batch": [
        (forward(CrossEntropy, lambda m, loss, p, y: loss * len(p)), "summed over the batch"),
        (forward(CrossEntropy, lambda m, loss, p, y: loss / y.shape[1]), "number of classes, too"),
        (forward(CrossEntropy, lambda m, loss, p, y: -loss), "wrong sign"),
        (forward(CrossEntropy, lambda m, loss, p, y: loss / np.log(10)), "base of 10")],
    "cross_entropy_of_a_probability_of_zero_is_large_but_finite": [
        (forward(CrossEntropy, lambda m, loss, p, y: -np.log(p[y == 1]).mean()), "not finite"),
        (forward(CrossEntropy, lambda m, loss, p, y: np.minimum(loss, 7)), "clipped too far")],
    "cross_entropy_has_the_gradient_of_the_logits_or_of_the_probabilities": [
        (backward(CrossEntropy, lambda m, g, *_: g * len(g)), "not divided by N"),
        (backward(CrossEntropy, lambda m, g, *_: g / len(g)), "N, .*, twice"),
        (backward(CrossEntropy, lambda m, g, *_: g * len(g) / g.shape[1]), "number of classes"),
        (backward(CrossEntropy, lambda m, g, *_: -g), "wrong sign")],
    "cross_entropy_uses_its_latest_predictions": [
        (stale(CrossEntropy), "stale")],
    "cross_entropy_changes_none_of_its_arguments": [
        (backward(CrossEntropy, lambda m, g, *_: m.p.sort()), "CrossEntropy.backward changes")],
    "every_gradient_of_the_network_is_that_of_its_loss": [
        (through("backward", lambda m: m.layers[-2:0:-1]), "is zero"),
        (through("backward", lambda m: m.layers[:-1]), "where the way back should begin"),
        ("Gradient not divided by N", "not divided by N"),
        ("Softmax Jacobian applied twice", "derivative of the softmax twice")],
    "the_network_is_linear_and_relu_then_linear_and_softmax": [
        (through("forward", lambda m: [*m.layers[:-1], ReLU(), m.layers[-1]]), "behind the last"),
        (through("forward", lambda m: [*m.layers[::2], m.layers[-1]]), "without a ReLU"),
        (through("forward", lambda m: m.layers[:-1]), "holds logits")],
    "the_update_takes_a_step_against_every_gradient": [
        (update(lambda p, g, rate: p + rate * g), "goes up the gradient"),
        (update(lambda p, g, rate: p - g), "leaves out the learning rate"),
        (update(lambda p, g, rate: p - rate * g, names=["weight"]), "bias of .* is not updated"),
        (update(lambda p, g, rate: p - rate * g, layers=slice(-2, -1)), "is not updated"),
        (update(lambda p, g, rate: -rate * g), "replaced by the step"),
        (update(lambda p, g, rate: p - 2 * rate * g), "takes the step twice"),
        (variant(MLP, update=momentum), "1.9 times the first step: is there a momentum")],
    "a_small_step_lowers_the_loss": [
        (update(lambda p, g, rate: p - 1000 * rate * g), "do not lower the loss")],
    "rows_are_shuffled_together_with_their_targets": [
        (epoch(targets=np.sort), "targets of other rows"),
        (epoch(targets=fixed), "targets of other rows"),
        (epoch(learn=lambda m, g, *_, **__: m.backward(g / 2)), "0.5 times the gradient")],
    "an_epoch_visits_every_row_once_in_a_new_order": [
        (epoch(lambda order, size: split(order, size)[: len(order) // size]), "short last batch"),
        (epoch(lambda order, size: [*split(order, size), order[-1:]]), "none is repeated"),
        (epoch(lambda order, size: [order[i : i + size + 1] for i in range(0, len(order), size)]),
            "the batches have"),
        (epoch(lambda order, size: split(order[1:], size)), "the batches have"),
        (epoch(lambda order, size: split(fixed(order), size)), "same order"),
        (epoch(rolled), "order of another, rolled"),
        (epoch(reordered), "same rows make a batch"),
        (epoch(lambda order, size: split(np.sort(order), size)), "not shuffled"),
        (epoch(lambda order, size: split(order // 2 * 2, size)), "exactly once")],
    "the_same_seed_trains_the_same_network": [
        (epoch(lambda order, size: split(np.random.permutation(order), size)), "global generator")],
    "every_batch_is_forward_backward_and_update_at_the_learning_rate": [
        (epoch(learn=lambda m, g, rate, is_last: (m.backward(g), is_last and m.update(rate))),
            "are 40 updates, but should be 200"),
        (epoch(learn=lambda m, g, rate, is_last: learn(m, g, rate / len(g), is_last)),
            "at the rates"),
        (epoch(learn=decaying), "at the rates"),
        (epoch(learn=lambda m, g, rate, is_last: (m.update(rate), m.backward(g))),
            "does not follow")],
    "the_history_is_taken_at_0_every_eval_freq_and_at_the_end": [
        (an_epoch_too_few, "history is of epochs"),
        (entries(lambda step, freq: step > 0), "history is of epochs"),
        (entries(lambda step, freq: (step - 1) % freq == 0, eval_freq=1), "history is of epochs"),
        (entries(lambda step, freq: step % freq == 0), "history is of epochs")],
    "the_history_is_of_the_network_of_its_epoch_and_of_the_split_it_names": [
        (history(lambda h, _: h | {"test_loss": h["train_loss"]}), "test_loss .* of the train"),
        (history(lambda h, _: h | {"test_loss": h["train_loss"], "train_loss": h["test_loss"]}),
            "train_loss .* is that of the test rows")],
    "accuracy_is_the_share_of_rows_whose_largest_prediction_is_right": [
        (named("accuracy", lambda p, y: np.mean((p > 0.5) == y)), "compares every element"),
        (named("accuracy", lambda p, y: np.mean(p.argmax(axis=0) == y.argmax(axis=0))),
            "compares the columns")],
    "the_perceptron_starts_at_zero_with_the_bias_as_its_last_weight": [
        (start(Perceptron, lambda m, *_: setattr(m, "weights", m.weights + 1)), "is all ones"),
        (start(Perceptron, lambda m, *_: setattr(m, "weights", m.weights[1:])), "no place for")],
    "the_perceptron_predicts_the_sign_and_plus_one_at_zero": [
        (forward(Perceptron, lambda m, y, x: np.sign(x @ m.weights[:-1] + m.weights[-1] - 1e-9)),
            r"at w\.x \+ b = 0"),
        (forward(Perceptron, lambda m, y, x: np.where(x @ m.weights[:-1] >= 0, 1, -1)),
            "leaves out the bias"),
        (forward(Perceptron, lambda m, y, x: -y), "wrong sign")],
    "an_epoch_averages_the_gradient_over_the_misclassified_points": [
        (descent(lambda w, g, s: w + g), "goes up"),
        (descent(lambda w, g, s: w - g / s.rate), "leaves out the learning rate"),
        (descent(lambda w, g, s: w - g * s.n), "sums the gradient,"),
        (descent(lambda w, g, s: w - scaled(g, s.n, 1)), "sums the gradient of w"),
        (descent(lambda w, g, s: w - scaled(g, 1, s.n)), "sums the gradient of b"),
        (descent(online), "takes a step for each point"),
        (descent(lambda w, g, s: w - g * s.n / len(s.y)), "over all points"),
        (descent(lambda w, g, s: w - s.rate * s.mean(~s.wrong)), "points that are right"),
        (descent(lambda w, g, s: w + s.rate * s.x[s.wrong].mean(axis=0)), "leaves out the labels"),
        (descent(lambda w, g, s: w - scaled(g, 1, 0)), "leaves the bias")],
    "the_first_epoch_takes_a_score_of_zero_for_plus_one": [
        (descent(wrong=lambda scores, y: scores * y <= 0), r"counts points at w\.x \+ b = 0"),
        (descent(lambda w, g, s: -g), "replaces the weights")],
    "training_stops_at_the_first_epoch_without_a_mistake": [
        (descent(stops=False), "divides by zero"),
        (after("train", Perceptron, lambda m, h, *_: h | {"converged_epoch": 2}),
            "counts epochs from 1")],
    "training_takes_no_more_than_max_epochs_steps": [
        (start(Perceptron, lambda m, *_: vars(m).update(max_epochs=m.max_epochs + 1)),
            "one epoch too many"),
        (after("train", Perceptron, lambda m, h, *_: h | {"loss": -h["loss"]}),
            "loss .* has the wrong sign")],
    "training_the_perceptron_changes_none_of_its_arguments": [
        (after("train", Perceptron, lambda m, h, x, y: y.sort()), "changes its argument")],
    "the_two_gaussians_are_pooled_shuffled_and_split": [
        (drawn(lambda x, y, _: (x, np.roll(y, 1))), "labels of others"),
        (drawn(lambda x, y, _: (x[np.argsort(y)], np.sort(y))), "not shuffled"),
        (drawn(lambda x, y, _: (x[np.r_[:160, :40]], y[np.r_[:160, :40]])), "occur twice"),
        (drawn(lambda x, y, mean: (mean + 2 * (x - mean), y)), "cov_scale is the variance"),
        (drawn(lambda x, y, mean: (x - (x - mean) / 2 * (y < 0)[:, None], y)),
            "points of class -1 vary"),
        (drawn(lambda x, y, mean: (x - mean / 2 * (y < 0)[:, None], y)),
            "class -1 has its mean near"),
        (drawn(lambda x, y, mean: (x - [0, 10] * (y > 0)[:, None], y)),
            r"class \+1 has its mean near"),
        (drawn(lambda x, y, mean: (mean + (x - mean)[:, :1], y)), "are correlated")],
}  # fmt: skip
PLANTED = [(check, *bug) for check, bugs in BUGS.items() for bug in bugs]


@pytest.fixture
def plant(monkeypatch):
    """A function that puts a bug, or that of this name in the catalogue, in its place."""

    def put(bug):
        if isinstance(bug, str):
            kind = CATALOGUE[bug]
            bug = type(kind.__base__.__name__, (kind,), {})
        for module in (modules, mlp_numpy, perceptron, train_mlp_numpy):
            if hasattr(module, bug.__name__):
                monkeypatch.setattr(module, bug.__name__, bug)

    return put


def test_the_code_without_a_bug_passes_every_check_and_has_the_lectures_conventions(verdict):
    found = verdict()
    assert found.failures == []
    assert found.told == set()


def test_every_bug_of_the_catalogue_is_planted_and_the_readme_tells_how_many_there_are():
    assert {*CATALOGUE} == {bug for _, bug, _ in PLANTED if isinstance(bug, str)}
    readme = Path(grading.__file__).with_name("README.md").read_text()
    assert f"{len(PLANTED)} planted bugs" in readme


@pytest.mark.parametrize(
    ("check", "bug", "says"), PLANTED, ids=[f"{check}:{says}" for check, _, says in PLANTED]
)
def test_a_planted_bug_is_caught_by_its_check(plant, verdict, check, bug, says):
    plant(bug)
    found = verdict(check=check).failures
    assert any(re.search(says, text) for text in found), found or "not caught"


@pytest.mark.parametrize(
    ("bug", "untrue"),
    [
        ("Bias gradient averaged over the batch", "size of the batch, twice"),
        (grad("weight", lambda g, x, dout: g / len(x)), "size of the batch, twice"),
        (forward(CrossEntropy, lambda m, loss, p, y: loss / y.shape[1]), "clipped"),
        (epoch(learn=lambda m, g, *_, **__: m.backward(g / 2)), "other rows"),
        (soft_max(axis=0), "overflows"),
        (soft_max(shift=lambda x: x.max(axis=0)), "whole batch"),
        (backward(Linear, lambda m, dx, dout: dout @ m.params["weight"]), "way back should begin"),
    ],
)
def test_nothing_untrue_is_said_of_a_bug(plant, verdict, bug, untrue):
    plant(bug)
    found = verdict().failures
    assert found
    assert not [text for text in found if re.search(untrue, text)]
    assert not [text for text in found if re.search("Traceback|^grading/|another exception", text)]


def test_percentages_and_a_history_of_its_own_are_conventions(plant, verdict, monkeypatch):
    accuracy = train_mlp_numpy.accuracy
    plant(named("accuracy", lambda predictions, targets: 100 * accuracy(predictions, targets)))
    found = verdict()
    assert found.failures == []
    percentages = {"accuracy is a percentage", "the accuracies of the history are percentages"}
    assert found.told == percentages
    plant(history(lambda h, _: None))
    found = verdict()
    assert found.failures == []
    assert "train returns a history of its own, or none: it is not checked" in found.told
    monkeypatch.delattr(train_mlp_numpy, "accuracy")
    found = verdict(check="accuracy_is_the_share_of_rows_whose_largest_prediction_is_right")
    assert found.told == {"Skipped: not checked: train_mlp_numpy.py defines no accuracy"}
