"""What any solution of the assignment must do, and what is wrong with one that does not.

    python -m pytest grading --solution PATH

runs these checks against the solution in a folder; without the option they run against this
project. They share no code with what they check, and speak in the terms of the lecture.
tests/grading/test_planted_bugs.py proves that each of them finds the mistakes it is there for.
"""

import math
import pickle
import re
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import pytest

from grading.solution import call, needs_arguments, takes


def fail(text):
    pytest.fail(text, pytrace=False)


def is_close(a, b, rtol, atol):
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol, atol, equal_nan=True)


def compare(what, got, expected, suspects=(), rtol=1e-9, atol=1e-12):
    """Fail unless `got` is `expected`, with the diagnosis whose array it is, if there is one.

    `suspects` are pairs of a diagnosis and the array, or number, that it would lead to.
    """
    if got is None:
        fail(f"{what} is None: nothing is returned or set")
    got, expected = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)
    if is_close(got, expected, rtol, atol):
        return
    for diagnosis, suspect in suspects:
        if is_close(got, suspect, rtol, atol):
            fail(f"{what} {diagnosis}")
    if got.shape != expected.shape:
        fail(f"{what} has shape {got.shape}, but should have {expected.shape}")
    if not np.isfinite(got).all():
        fail(f"{what} is not finite")
    index = np.unravel_index(np.abs(got - expected).argmax(), got.shape)
    where = f" at {tuple(map(int, index))}" if index else ""
    fail(f"{what} is wrong{where}: {got[index]:.10g}, but should be {expected[index]:.10g}")


def numerical_gradient(function, x, h=1e-6):
    """Return the gradient of a function of an array, by central differences."""
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = h
        gradient[index] = (function(x + step) - function(x - step)) / (2 * h)
    return gradient


def one_hot(rng, n_rows, n_classes):
    return np.eye(n_classes)[rng.integers(n_classes, size=n_rows)]


def soft_max(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def unchanged(what, calls, *arrays):
    """Fail if one of the calls changes one of the arrays."""
    for name, method in calls.items():
        before = [array.copy() for array in arrays]
        method()
        if not all(map(np.array_equal, arrays, before)):
            fail(f"{what}.{name} changes its argument in place; the caller still needs it")


# Linear


@pytest.fixture
def affine(solution):
    """A Linear layer of 3 inputs and 4 outputs after a forward pass, with all it was given."""
    rng = np.random.default_rng(0)
    layer = solution.linear(3, 4)
    x, weight, bias = rng.normal(size=(5, 3)), rng.normal(size=(3, 4)), rng.normal(size=4)
    solution.set(layer, weight, bias)
    return layer, x, weight, bias, rng.normal(size=(5, 4))


def test_linear_computes_x_times_weight_plus_bias(affine):
    layer, x, weight, bias, _ = affine
    suspects = [
        ("forgets the bias", x @ weight),
        ("subtracts the bias, but should add it", x @ weight - bias),
        ("cuts off below zero, which is the ReLU's work", np.maximum(x @ weight + bias, 0)),
    ]
    compare("the output of Linear.forward", layer.forward(x), x @ weight + bias, suspects)


def test_linear_sums_the_weight_gradient_over_the_batch(solution, affine):
    layer, x, _, _, dout = affine
    layer.forward(x)
    layer.backward(dout)
    right = x.T @ dout
    suspects = [
        ("is averaged over the batch, but should be summed over it", right / 5),
        ("is zero: backward does not set it", 0 * right),
        ("has the wrong sign", -right),
        ("is transposed and reshaped: x.T @ dout, not dout.T @ x", (dout.T @ x).reshape(3, 4)),
        ("is transposed: it should be x.T @ dout, not dout.T @ x", dout.T @ x),
        ("leaves out the sum over all rows but the first", np.outer(x[0], dout[0])),
        ("uses the magnitude of x", np.abs(x).T @ dout),
    ]
    got = solution.weight(layer, "grads")
    compare("the weight gradient of Linear.backward", got, right, suspects)


def test_linear_sums_the_bias_gradient_over_the_batch(solution, affine):
    layer, x, _, bias, dout = affine
    layer.forward(x)
    layer.backward(dout)
    right = dout.sum(axis=0)
    suspects = [
        ("is averaged over the batch, but should be summed over it", right / 5),
        ("is zero: the bias is left out of the backward pass", 0 * right),
        ("has the wrong sign", -right),
        ("is summed over the outputs (axis 1), but should be over the batch", dout.sum(axis=1)),
        ("is not summed over the batch", dout),
        ("is that of the first row alone", dout[0]),
        ("is multiplied with the bias", right * bias),
    ]
    got = solution.bias(layer, "grads")
    compare("the bias gradient of Linear.backward", got, right, suspects)


@pytest.mark.parametrize("n_in", [4, 3])  # a square weight can be taken without its transpose
def test_linear_returns_the_gradient_of_its_input(solution, n_in):
    rng = np.random.default_rng(0)
    layer, x, dout = solution.linear(n_in, 4), rng.normal(size=(5, n_in)), rng.normal(size=(5, 4))
    weight = rng.normal(size=(n_in, 4))
    solution.set(layer, weight, rng.normal(size=4))
    layer.forward(x)
    right = dout @ weight.T
    suspects = [
        ("is averaged over the batch, but each row has its own", right / 5),
        ("has the wrong sign", -right),
        ("is multiplied with the input", right * x),
        ("is transposed: it should be dout @ W.T", right.T),
    ]
    if n_in == 4:
        suspects.append(("lacks the transpose of the weight: dout @ W.T", dout @ weight))
    compare("the input gradient of Linear.backward", layer.backward(dout), right, suspects)


def test_linear_overwrites_its_gradients(solution, affine):
    layer, x, *_, dout = affine
    layer.forward(x)
    layer.backward(dout)
    readers = {"weight": solution.weight, "bias": solution.bias}
    first = {name: np.array(read(layer, "grads"), float) for name, read in readers.items()}
    layer.backward(dout)
    for name, right in first.items():
        suspects = [("is added to that of the backward before, but should replace it", 2 * right)]
        what = f"the {name} gradient of a second Linear.backward"
        compare(what, readers[name](layer, "grads"), right, suspects)


def test_linear_uses_its_latest_input(solution, affine):
    layer, x, *_, dout = affine
    layer.forward(x)
    layer.forward(x[::-1].copy())
    layer.backward(dout)
    suspects = [("belongs to an earlier forward: the input kept is stale", x.T @ dout)]
    got, right = solution.weight(layer, "grads"), x[::-1].T @ dout
    compare("the weight gradient after a second forward", got, right, suspects)


def test_linear_changes_neither_its_arguments_nor_its_parameters(solution, affine):
    layer, x, weight, bias, dout = affine
    calls = {"forward": lambda: layer.forward(x), "backward": lambda: layer.backward(dout)}
    unchanged("Linear", calls, x, dout)
    params = (solution.weight(layer), weight), (np.ravel(layer.params["bias"]), bias)
    if not all(np.array_equal(now, before) for now, before in params):
        fail("Linear changes its parameters in a pass; only the update may do so")


def test_linear_starts_with_small_random_weights_and_no_bias(solution):
    layer = solution.linear(300, 200)
    weight, bias = solution.weight(layer), layer.params["bias"]
    if len(np.unique(weight, axis=1).T) < 200:
        fail("the initial weights of some units are all the same: so are the units, and stay so")
    compare("the initial bias", np.ravel(bias), np.zeros(200))
    if not (abs(weight.mean()) < 0.01 and 0.095 < weight.std() < 0.105):
        solution.note(
            f"initial weights have a mean of {weight.mean():.2g} and a standard deviation of "
            f"{weight.std():.2g} for 300 inputs; the report's are normal(0, 0.1)"
        )


# ReLU


def test_relu_cuts_off_below_zero(solution):
    x = np.array([[-2.0, -0.5, 0.0, 0.5, 3.0]])
    suspects = [
        ("is the absolute value", np.abs(x)),
        ("cuts off above zero, but should below", np.minimum(x, 0)),
        ("lets negative values pass", x),
    ]
    got = solution.layer("ReLU").forward(x.copy())
    compare("the output of ReLU.forward", got, np.maximum(x, 0), suspects)


def test_relu_lets_the_gradient_pass_where_its_input_is_positive(solution):
    rng = np.random.default_rng(1)
    x, dout = rng.normal(size=(2, 6, 5))
    x[0, 0] = 0.0
    relu = solution.layer("ReLU")
    relu.forward(x.copy())
    right = dout * (x > 0)
    suspects = [
        ("is not masked: dout passes where the input was negative, too", dout),
        ("is masked the wrong way round", dout * (x <= 0)),
        ("is masked by the sign of dout, but should be by that of the input", dout * (dout > 0)),
        ("at an input of 0 is dout, but should be 0", dout * (x >= 0)),
        ("is the mask alone: dout is left out", x > 0),
        ("is multiplied with the input", dout * np.maximum(x, 0)),
    ]
    compare("the gradient of ReLU.backward", relu.backward(dout.copy()), right, suspects)


def test_relu_uses_its_latest_input(solution):
    rng = np.random.default_rng(2)
    first, second, dout = rng.normal(size=(3, 4, 5))
    relu = solution.layer("ReLU")
    relu.forward(first.copy())
    relu.forward(second.copy())
    suspects = [("belongs to an earlier forward: the mask kept is stale", dout * (first > 0))]
    got = relu.backward(dout)
    compare("the gradient of ReLU after a second forward", got, dout * (second > 0), suspects)


@pytest.mark.parametrize("kind", ["ReLU", "SoftMax"])
def test_a_layer_without_parameters_changes_none_of_its_arguments(solution, kind):
    layer = solution.layer(kind)
    x, dout = np.random.default_rng(3).normal(size=(2, 4, 3))
    calls = {"forward": lambda: layer.forward(x), "backward": lambda: layer.backward(dout)}
    unchanged(kind, calls, x, dout)


# SoftMax


def wrong_softmaxes(logits):
    """Return suspects: a softmax shifted wrongly, or normalised over the wrong axis, or both."""
    rows = logits.max(axis=1, keepdims=True)
    shifts = {
        "is right in itself": rows,
        "overflows at large logits: subtract each row's maximum first": 0,
        "overflows at large logits: each row's maximum is added, not subtracted": -rows,
        "is shifted by the maximum of the whole batch, but should be by each row's": logits.max(),
        "is shifted by the maximum of each column, but should be by each row's": logits.max(axis=0),
    }
    suspects = []
    with np.errstate(all="ignore"):
        for shifted_wrongly, shift in shifts.items():
            powers = np.exp(logits - shift)
            over_batch = "is normalised over the batch (axis 0), but should be in each row"
            over_all = "is normalised over the whole batch, not within each row"
            suspects += [
                (shifted_wrongly, powers / powers.sum(axis=1, keepdims=True)),
                (over_batch, powers / powers.sum(axis=0)),
                (over_all, powers / powers.sum()),
                ("is not normalised: the rows do not sum to 1", powers),
            ]
    return suspects


def test_softmax_makes_probabilities_of_each_row(solution):
    logits = np.random.default_rng(4).normal(0, 3, (4, 5))
    suspects = [*wrong_softmaxes(logits), ("takes exp(-x), but should exp(x)", soft_max(-logits))]
    got = solution.layer("SoftMax").forward(logits.copy())
    compare("the output of SoftMax.forward", got, soft_max(logits), suspects, rtol=1e-6)


def test_softmax_of_large_logits_does_not_overflow(solution):
    logits = np.array([[1000.0, 999.0, 998.0], [-1000.0, -1001.0, -1003.0]])
    with np.errstate(all="ignore"):
        got = solution.layer("SoftMax").forward(logits.copy())
    what = "SoftMax.forward at logits of 1000 and -1000"
    compare(what, got, soft_max(logits), wrong_softmaxes(logits), rtol=1e-6)


def softmax_gradient(solution, logits, dout):
    layer = solution.layer("SoftMax")
    layer.forward(logits.copy())
    return layer.backward(dout.copy())


def test_softmax_has_its_true_derivative_or_passes_the_gradient_through(solution):
    logits, dout = np.random.default_rng(5).normal(size=(2, 4, 3))
    s = soft_max(logits)
    got = softmax_gradient(solution, logits, dout)
    if np.shape(got) == dout.shape and np.allclose(got, dout):
        solution.note("SoftMax.backward passes the gradient through, as the loss accounts for it")
        return
    right = s * (dout - (dout * s).sum(axis=1, keepdims=True))
    suspects = [
        ("is the diagonal of the Jacobian alone, s (1 - s) dout", s * (1 - s) * dout),
        ("leaves out the sum: s dout, not s (dout - sum of s dout)", s * dout),
        ("sums over the batch, but should within each row", s * (dout - (dout * s).sum(axis=0))),
        ("forgets the factor s", dout - (dout * s).sum(axis=1, keepdims=True)),
        ("has the wrong sign", -right),
        ("has a plus for a minus", s * (dout + (dout * s).sum(axis=1, keepdims=True))),
    ]
    compare("the gradient of SoftMax.backward", got, right, suspects)


def test_softmax_uses_its_latest_output(solution):
    first, second, dout = np.random.default_rng(5).normal(size=(3, 4, 3))
    stale, right = (softmax_gradient(solution, logits, dout) for logits in (first, second))
    layer = solution.layer("SoftMax")
    layer.forward(first)
    layer.forward(second)
    suspects = [("belongs to an earlier forward: the output kept is stale", stale)]
    compare("the gradient of SoftMax after a second forward", layer.backward(dout), right, suspects)


# CrossEntropy


@pytest.fixture
def predicted():
    rng = np.random.default_rng(6)
    return soft_max(rng.normal(size=(6, 3))), one_hot(rng, 6, 3)


def test_cross_entropy_is_the_mean_over_the_batch(solution, predicted):
    predictions, targets = predicted
    right = -np.log(predictions[targets == 1]).mean()
    suspects = [
        ("is summed over the batch, but should be averaged over it", 6 * right),
        ("is divided by the number of classes, too", right / 3),
        ("is divided by the number of classes, not by that of the rows", 2 * right),
        ("has the wrong sign", -right),
        ("takes the logarithm to the base of 2", right / math.log(2)),
        ("takes the logarithm to the base of 10", right / math.log(10)),
        ("is divided by the size of the batch twice", right / 6),
        ("leaves out the logarithm", -predictions[targets == 1].mean()),
    ]
    got, _ = solution.loss(predictions.copy(), targets.copy())
    if np.shape(got) != ():
        fail(f"the loss has shape {np.shape(got)}, but should be a number: the mean of the rows")
    # As precise as with a small number added to the probabilities, against log(0).
    compare("the loss of CrossEntropy.forward", got, right, suspects, rtol=1e-6)


def test_cross_entropy_of_a_probability_of_zero_is_large_but_finite(solution):
    loss = solution.layer("CrossEntropy")
    right = np.array([[1.0, 0.0]])
    with np.errstate(all="ignore"):
        got, perfect, usual = (
            np.float64(loss.forward(np.array([[p, 1 - p]]), right.copy())) for p in (0.0, 1.0, 0.5)
        )
        got /= usual / math.log(2)  # what else may be wrong with the loss is another check's
    if not np.isfinite(got) or not np.isfinite(perfect):
        fail("the loss at a probability of 0 is not finite: clip the probabilities before the log")
    if got < 15:
        fail(f"the loss at a probability of 0 is {got:.3g}: clipped too far from 0 (1e-15 will do)")
    if abs(perfect) > 1e-6:
        fail(f"the loss of a perfect prediction is {perfect:.3g}, but should be 0")


def test_cross_entropy_has_the_gradient_of_the_logits_or_of_the_probabilities(solution, predicted):
    predictions, targets = predicted
    _, got = solution.loss(predictions.copy(), targets.copy())
    of_logits, of_probabilities = (predictions - targets) / 6, -targets / predictions / 6
    if np.shape(got) == targets.shape and np.allclose(got, of_probabilities):
        dout = np.random.default_rng(0).normal(size=(6, 3))
        if np.allclose(softmax_gradient(solution, np.log(predictions), dout), dout):
            fail(
                "CrossEntropy.backward is the gradient of the probabilities, -y / (p N), and "
                "SoftMax.backward passes it through: the derivative of the softmax is missing"
            )
        solution.note("CrossEntropy.backward is the gradient of the probabilities, -y / (p N)")
        return
    suspects = [
        ("is not divided by N, the size of the batch", 6 * of_logits),
        ("is divided by N, the size of the batch, twice", of_logits / 6),
        ("is divided by the number of classes, but should be by that of the rows", 2 * of_logits),
        ("has the wrong sign", -of_logits),
        ("is not divided by N, the size of the batch", 6 * of_probabilities),
        ("has the wrong sign", -of_probabilities),
        ("is the loss's share, not its gradient", predictions / 6),
    ]
    compare("the gradient of CrossEntropy.backward", got, of_logits, suspects)


def test_cross_entropy_uses_its_latest_predictions(solution, predicted):
    predictions, targets = predicted
    loss = solution.layer("CrossEntropy")
    if needs_arguments(loss.backward):
        return  # it is given them anew each time
    loss.forward(predictions, targets)
    first = np.array(loss.backward())
    loss.forward(predictions[::-1], targets[::-1])
    suspects = [("belongs to an earlier forward: what was kept is stale", first)]
    compare("the gradient after a second forward", loss.backward(), first[::-1], suspects)


def test_cross_entropy_changes_none_of_its_arguments(solution, predicted):
    loss = solution.layer("CrossEntropy")
    calls = {
        "forward": lambda: loss.forward(*predicted),
        "backward": lambda: solution.loss(*predicted),
    }
    unchanged("CrossEntropy", calls, *predicted)


# The network

DEPTHS = pytest.mark.parametrize("n_hidden", [[], [5], [5, 4]], ids=str)


def logits_of(solution, layers, x, hidden=lambda z: np.maximum(z, 0)):
    for i, layer in enumerate(layers):
        x = x @ solution.weight(layer) + np.ravel(layer.params["bias"])
        x = hidden(x) if i < len(layers) - 1 else x
    return x


@DEPTHS
def test_the_network_is_linear_and_relu_then_linear_and_softmax(solution, n_hidden):
    rng = np.random.default_rng(7)
    model, layers = solution.network(3, n_hidden, 2, rng)
    x = rng.normal(size=(6, 3))
    logits = logits_of(solution, layers, x)
    linear = logits_of(solution, layers, x, lambda z: z)
    suspects = [
        ("holds logits: the softmax at the end is missing", logits),
        ("is that of hidden layers without a ReLU", soft_max(linear)),
        ("is that of a ReLU behind the last Linear layer, too", soft_max(np.maximum(logits, 0))),
    ]
    got = model.forward(x.copy())
    compare("the output of MLP.forward", got, soft_max(logits), suspects)


@DEPTHS
def test_every_gradient_of_the_network_is_that_of_its_loss(solution, n_hidden):
    rng = np.random.default_rng(8)
    model, layers = solution.network(3, n_hidden, 4, rng)
    x, targets = rng.normal(size=(6, 3)), one_hot(rng, 6, 4)

    def loss():
        return -np.log(soft_max(logits_of(solution, layers, x))[targets == 1]).mean()

    gradient = solution.loss(model.forward(x), targets)[1]
    raised = None
    try:
        model.backward(gradient)
    except pytest.fail.Exception as failure:
        raised = failure.msg
    if raised and (layers[-1], "backward") not in solution.calls:
        raised += "; it does not get to the last Linear layer, where the way back should begin"
    if raised:
        fail(raised)
    predictions = soft_max(logits_of(solution, layers, x))
    d = (predictions - targets) / 6
    twice = predictions * (d - (d * predictions).sum(axis=1, keepdims=True))
    enters_last = np.maximum(logits_of(solution, layers[:-1], x), 0) if layers[1:] else x
    for i in reversed(range(len(layers))):
        layer, found = layers[i], {}
        for name in ("weight", "bias"):
            kept, read = layer.params[name], getattr(solution, name)

            def loss_at(value, layer=layer, name=name):
                layer.params[name] = value
                return loss()

            layer.params[name] = numerical_gradient(loss_at, kept)
            found[name] = read(layer, "grads"), read(layer)
            layer.params[name] = kept
        scaled = "is divided by N, the size of the batch, twice"
        if not all(is_close(got, right / 6, 1e-6, 1e-8) for got, right in found.values()):
            scaled = "is averaged over the batch in Linear.backward, but should be summed over it"
        for name, (got, right) in found.items():
            suspects = [
                ("is not divided by N, the size of the batch", 6 * right),
                (scaled, right / 6),
                ("has the wrong sign", -right),
                ("is zero: the gradient does not arrive there", 0 * right),
            ]
            if i == len(layers) - 1:
                text = "has passed the derivative of the softmax twice: the loss's holds it already"
                doubled = enters_last.T @ twice if name == "weight" else twice.sum(axis=0)
                suspects.append((text, doubled))
            what = f"the {name} gradient of layer {i + 1} of {len(layers)} of the MLP"
            compare(what, got, right, suspects, rtol=1e-6, atol=1e-8)


def test_the_update_takes_a_step_against_every_gradient(solution):
    rng = np.random.default_rng(9)
    model, layers = solution.network(3, [5], 2, rng)
    x, targets = rng.normal(size=(6, 3)), one_hot(rng, 6, 2)
    model.backward(solution.loss(model.forward(x), targets)[1])
    grads = [{name: np.array(layer.grads[name]) for name in layer.grads} for layer in layers]
    for when in ("after the update", "after a second update with the same gradients"):
        before = [{name: layer.params[name].copy() for name in layer.params} for layer in layers]
        for layer, grad in zip(layers, grads, strict=True):
            layer.grads.update({name: value.copy() for name, value in grad.items()})
        solution.update(model, 0.3)
        for i, layer in enumerate(layers):
            for name in ("weight", "bias"):
                param, grad = before[i][name], grads[i][name]
                suspects = [
                    ("goes up the gradient, but should go down", param + 0.3 * grad),
                    ("leaves out the learning rate", param - grad),
                    ("is not updated", param),
                    ("is replaced by the step", -0.3 * grad),
                    ("takes the step twice", param - 0.6 * grad),
                ]
                if when != "after the update":
                    got = np.asarray(layer.params[name])
                    factor = np.ravel((param - got) / (0.3 * grad))[0]
                    text = f"has taken {factor:.3g} times the first step: is there a momentum?"
                    suspects.append((text, param - factor * 0.3 * grad))
                what = f"the {name} of layer {i + 1} {when}"
                compare(what, layer.params[name], param - 0.3 * grad, suspects)


def test_a_small_step_lowers_the_loss(solution):
    rng = np.random.default_rng(10)
    model, _ = solution.network(3, [6], 3, rng)
    x, targets = rng.normal(size=(20, 3)), one_hot(rng, 20, 3)
    losses = []
    for _ in range(5):
        value, gradient = solution.loss(model.forward(x), targets)
        losses.append(value)
        model.backward(gradient)
        solution.update(model, 0.01)
    if not all(after < before for before, after in pairwise(losses)):
        fail(f"small steps do not lower the loss: {', '.join(f'{loss:.6f}' for loss in losses)}")


# The training loop, where it is called as this project's


class Rows(NamedTuple):
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def rows_with_targets(n_train=23, n_test=9):
    """Return rows, each of which tells its number and, by its sign, its class."""
    numbers = np.arange(1.0, n_train + n_test + 1)
    numbers[::3] *= -1
    x, targets = np.stack([numbers, numbers**2], axis=1), np.eye(2)[(numbers > 0).astype(int)]
    return Rows(x[:n_train], targets[:n_train], x[n_train:], targets[n_train:])


class Spy:
    """A model that learns nothing, always predicts 3/4 and 1/4, and notes what it is told."""

    def __init__(self):
        self.batches, self.gradients, self.rates, self.calls = [], [], [], []

    def forward(self, x):
        self.x = np.array(x)
        self.calls.append("forward")
        return np.tile([0.75, 0.25], (len(x), 1))

    def backward(self, dout):
        self.calls.append("backward")
        self.batches.append(self.x)
        self.gradients.append(np.array(dout))

    def update(self, learning_rate):
        self.calls.append("update")
        self.rates.append(learning_rate)


def spy_on(solution, data, **options):
    spy = Spy()
    options = {"learning_rate": 0.25, "max_steps": 4, "eval_freq": 4, "rng": 0} | options
    history = solution.train(spy, data, **options)
    return spy, history


def checked_history(solution, history):
    """Return the history that train returned, if it is one like this project's."""
    columns = {"step", "train_loss", "train_accuracy", "test_loss", "test_accuracy"}
    if not isinstance(history, dict) or not columns <= {*history}:
        solution.note("train returns a history of its own, or none: it is not checked")
        pytest.skip(f"not checked: train returns no dict of {', '.join(sorted(columns))}")
    return history


@pytest.mark.parametrize("batch_size", [1, 5, 8, 23, 100, None])
def test_an_epoch_visits_every_row_once_in_a_new_order(solution, batch_size):
    data = rows_with_targets()
    spy, _ = spy_on(solution, data, batch_size=batch_size)
    size = min(batch_size or 23, 23)
    sizes = [size] * (23 // size) + [23 % size] * (23 % size > 0)
    if len(spy.batches) != 4 * len(sizes):
        fail(
            f"4 epochs of 23 rows in batches of {size} are {len(spy.batches)} updates, but should "
            f"be {4 * len(sizes)}: the short last batch counts, and none is repeated"
        )
    if [len(batch) for batch in spy.batches] != 4 * sizes:
        fail(f"the batches have {[len(b) for b in spy.batches]} rows, but should have {4 * sizes}")
    numbers = np.concatenate(spy.batches)[:, 0].reshape(4, 23)
    for epoch in numbers:
        if not np.array_equal(np.sort(epoch), np.sort(data.x_train[:, 0])):
            fail("an epoch does not visit every training row exactly once")
    if np.array_equal(numbers[0], data.x_train[:, 0]):
        fail("the rows are not shuffled")
    if any(np.array_equal(numbers[0], other) for other in numbers[1:]):
        fail("every epoch has the same order: draw a new permutation in each")
    # Of two permutations, about 2 neighbours in one are neighbours in the other.
    neighbours = [{*map(frozenset, np.stack([row, np.roll(row, 1)], axis=1))} for row in numbers]
    if any(len(one & other) > 12 for one, other in combinations(neighbours, 2)):
        fail("an epoch has the order of another, rolled or in parts: draw a new permutation")
    batches = [{*map(frozenset, np.split(epoch, range(size, 23, size)))} for epoch in numbers]
    if 1 < size < 23 and any(one & other for one, other in combinations(batches, 2)):
        fail("the same rows make a batch in two epochs: draw a new permutation in each")


def test_rows_are_shuffled_together_with_their_targets(solution):
    spy, _ = spy_on(solution, rows_with_targets(), batch_size=5)
    factors = []
    for x, gradient in zip(spy.batches, spy.gradients, strict=True):
        targets = np.eye(2)[(x[:, 0] > 0).astype(int)]
        _, right = solution.loss(np.tile([0.75, 0.25], (len(x), 1)), targets)
        factors.append((gradient * right).sum() / (right * right).sum())
        if not np.allclose(gradient, factors[-1] * right):
            fail("the rows come with the targets of other rows: shuffle both in the same order")
    if not np.allclose(factors, 1):
        fail(f"MLP.backward is given {factors[0]:.3g} times the gradient of the loss")


def test_every_batch_is_forward_backward_and_update_at_the_learning_rate(solution):
    spy, _ = spy_on(solution, rows_with_targets(), batch_size=5, max_steps=40, eval_freq=100)
    if len(spy.rates) != 200:
        fail(f"40 epochs of 5 batches are {len(spy.rates)} updates, but should be 200")
    if {float(rate) for rate in spy.rates} != {0.25}:
        fail(f"the updates are at the rates {sorted({*spy.rates})}, but should all be at 0.25")
    # But for the evaluations, which are forward passes alone.
    learning = [call for call in spy.calls if call != "forward"]
    if learning != 200 * ["backward", "update"]:
        fail("an update does not follow each backward pass")


@pytest.mark.parametrize(
    ("max_steps", "eval_freq", "steps"),
    [(6, 2, [0, 2, 4, 6]), (5, 2, [0, 2, 4, 5]), (3, 10, [0, 3]), (2, 1, [0, 1, 2])],
)
def test_the_history_is_taken_at_0_every_eval_freq_and_at_the_end(
    solution, max_steps, eval_freq, steps
):
    options = {"max_steps": max_steps, "eval_freq": eval_freq}
    _, history = spy_on(solution, rows_with_targets(), **options)
    history = checked_history(solution, history)
    got = [int(step) for step in history["step"]]
    if got != steps:
        fail(f"the history is of epochs {got}, but should be of {steps}")
    if {len(values) for values in history.values()} != {len(steps)}:
        fail("the columns of the history are not equally long")


def test_the_history_is_of_the_network_of_its_epoch_and_of_the_split_it_names(solution):
    rng = np.random.default_rng(11)
    model, layers = solution.network(2, [4], 2, rng)
    x, targets = rng.normal(size=(30, 2)), one_hot(rng, 30, 2)
    data = Rows(x[:20], targets[:20], x[20:], targets[20:])

    def metrics():
        found = {}
        for part in ("train", "test"):
            x, targets = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
            predictions = soft_max(logits_of(solution, layers, x))
            found[f"{part}_loss"] = -np.log(predictions[targets == 1]).mean()
            found[f"{part}_accuracy"] = np.mean(predictions.argmax(1) == targets.argmax(1))
        return found

    learning = {"learning_rate": 0.5, "max_steps": 1, "eval_freq": 1, "batch_size": 7, "rng": 0}
    for _ in range(2):
        before = metrics()
        history = checked_history(solution, solution.train(model, data, **learning))
        after = metrics()
        for key in before:
            part, metric = key.split("_")
            others = "test" if part == "train" else "train"
            other, right = f"{others}_{metric}", [before[key], after[key]]
            suspects = [
                (f"is that of the {others} rows", [before[other], after[other]]),
                ("does not change: it is always that of the start", [before[key]] * 2),
            ]
            got = np.asarray(history[key], dtype=float)
            if "accuracy" in key and got.max() > 1:
                solution.note("the accuracies of the history are percentages")
                got = got / 100
            compare(f"{key} in the history", got, right, suspects)


def test_the_same_seed_trains_the_same_network(solution):
    rng = np.random.default_rng(12)
    x, targets = rng.normal(size=(30, 2)), one_hot(rng, 30, 2)
    data = Rows(x[:20], targets[:20], x[20:], targets[20:])
    weights = []
    for seed in (1, 1, 2):
        model, layers = solution.network(2, [4], 2, np.random.default_rng(0))
        state = pickle.dumps(np.random.get_state())
        solution.train(model, data, learning_rate=0.5, max_steps=3, batch_size=4, rng=seed)
        if pickle.dumps(np.random.get_state()) != state:
            fail("training draws from NumPy's global generator, not from the rng it is given")
        weights.append(layers[0].params["weight"])
    if not np.array_equal(weights[0], weights[1]):
        fail("the same seed does not train the same network")
    if np.array_equal(weights[0], weights[2]):
        fail("another seed trains the same network: the rng is not used")


def test_accuracy_is_the_share_of_rows_whose_largest_prediction_is_right(solution):
    accuracy = solution.get("train_mlp_numpy", "accuracy", optional=True)
    predictions = np.array([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6], [0.4, 0.2, 0.4], [0.2, 0.7, 0.1]])
    targets = np.eye(3)[[0, 2, 1, 1]]
    suspects = [
        ("is the number of rows, but should be their share", 3),
        ("is the share of wrong rows", 0.25),
        ("compares every element with 1/2, but should the largest of each row", 11 / 12),
        ("compares the columns' largest (axis 0), but should the rows' (axis 1)", 2 / 3),
    ]
    got = call("accuracy", {}, accuracy, predictions, targets)
    if is_close(got, 75, 1e-9, 0):
        solution.note("accuracy is a percentage")
        got = 0.75
    compare("the accuracy", got, 0.75, suspects)


# The perceptron


def test_the_perceptron_starts_at_zero_with_the_bias_as_its_last_weight(solution):
    perceptron = solution.perceptron(3)
    suspects = [
        ("has no place for the bias: there is one weight for each input", np.zeros(3)),
        ("is all ones, but should be zeros", np.ones(4)),
    ]
    got = np.ravel(perceptron.weights)
    compare("Perceptron.weights at the start", got, np.zeros(4), suspects)


def test_the_perceptron_predicts_the_sign_and_plus_one_at_zero(solution):
    perceptron = solution.perceptron(2, [1.0, 2.0, -3.0])
    points = np.array([[1.0, 1.0], [1.0, 0.5], [0.0, 2.0], [4.0, 0.0]])
    scores = points @ [1.0, 2.0] - 3.0
    suspects = [
        ("at w.x + b = 0 is not +1", np.where(scores > 0, 1, -1)),
        ("at w.x + b = 0 is not +1", np.sign(scores)),
        ("leaves out the bias", np.where(points @ [1.0, 2.0] >= 0, 1, -1)),
        ("has the wrong sign", np.where(scores >= 0, -1, 1)),
        ("takes the bias from the first weight", np.where(points @ [2.0, -3.0] + 1 >= 0, 1, -1)),
        ("is w.x + b, not its sign", scores),
        ("is 1 or 0, but should be +1 or -1", np.where(scores >= 0, 1, 0)),
    ]
    got = solution.labels(perceptron, points)
    compare("the label of Perceptron.forward", got, np.where(scores >= 0, 1, -1), suspects)


def trained(solution, points, labels, start, **options):
    perceptron = solution.perceptron(points.shape[1], start, **options)
    history = perceptron.train(points.copy(), labels.copy())
    return np.ravel(perceptron.weights), history


def compare_entry(history, name, expected, suspects=()):
    """Compare an entry of a history, if there is such a history."""
    if isinstance(history, dict) and name in history:
        compare(f"{name} in the perceptron's history", history[name], expected, suspects)


def gradient_step(rows, labels, wrong):
    """Return 0.1 times the mean of y (x, 1) over these points."""
    return 0.1 * labels[wrong] @ rows[wrong] / wrong.sum()


def online(rows, labels, weights):
    """Return the weights after an epoch that goes from point to point."""
    for row, label in zip(rows, labels, strict=True):
        if (1 if row @ weights >= 0 else -1) != label:
            weights = weights + 0.1 * label * row
    return weights


@pytest.fixture
def mixed():
    """Points that no line tells apart, of shape (20, 2), with ones added, and unequal classes."""
    x = np.random.default_rng(13).normal(size=(20, 2))
    return x, np.column_stack([x, np.ones(20)]), np.array(5 * [1, -1, -1, -1])


def test_an_epoch_averages_the_gradient_over_the_misclassified_points(solution, mixed):
    x, rows, labels = mixed
    start = np.zeros(3) if solution.trains_from_zero else np.array([0.5, -1.0, 0.2])
    wrong = np.where(rows @ start >= 0, 1, -1) != labels
    step, n_wrong = gradient_step(rows, labels, wrong), wrong.sum()
    got, _ = trained(solution, x, labels, start, max_epochs=1, learning_rate=0.1)
    suspects = [
        ("goes up the gradient, but should go down", start - step),
        ("sums the gradient, but should average it", start + step * n_wrong),
        ("sums the gradient of w, but should average it", start + step * [n_wrong, n_wrong, 1]),
        ("sums the gradient of b, but should average it", start + step * [1, 1, n_wrong]),
        ("averages over all points, not over the misclassified", start + step * n_wrong / 20),
        ("leaves the bias as it is", start + step * [1, 1, 0]),
        ("updates the bias alone", start + step * [0, 0, 1]),
        ("leaves out the learning rate", start + step / 0.1),
        ("learns from the points that are right", start + gradient_step(rows, labels, ~wrong)),
        ("learns from all points", start + 0.1 * labels @ rows / 20),
        ("does nothing", start),
        ("leaves out the labels", start + gradient_step(rows, labels**2, wrong)),
        ("takes a step for each point, not for the whole set", online(rows, labels, start)),
    ]
    compare("an epoch of Perceptron.train", got, start + step, suspects)


def test_the_first_epoch_takes_a_score_of_zero_for_plus_one(solution, mixed):
    x, rows, labels = mixed
    first = gradient_step(rows, labels, labels == -1)  # from zero weights, every score is 0
    of_all, of_positive = (gradient_step(rows, labels, labels > least) for least in (-2, 0))
    got, _ = trained(solution, x, labels, np.zeros(3), max_epochs=1, learning_rate=0.1)
    suspects = [
        ("counts points at w.x + b = 0 as misclassified, but sign(0) is +1", of_all),
        ("takes sign(0) for -1, but it is +1", of_positive),
        ("goes up the gradient, but should go down", -first),
        ("sums the gradient, but should average it", 15 * first),
        ("averages over all points, but should over the misclassified", 15 * first / 20),
    ]
    compare("the first epoch from zero weights", got, first, suspects)
    second = gradient_step(rows, labels, np.where(rows @ first >= 0, 1, -1) != labels)
    got, _ = trained(solution, x, labels, np.zeros(3), max_epochs=2, learning_rate=0.1)
    suspects = [
        ("replaces the weights by its step", second),
        ("is the first once more", 2 * first),
        ("does nothing", first),
    ]
    compare("the second epoch from zero weights", got, first + second, suspects)


@pytest.mark.parametrize("makes_mistakes", [True, False])
def test_training_stops_at_the_first_epoch_without_a_mistake(solution, makes_mistakes):
    points, labels = np.array([[2.0, 1.0], [-1.0, -3.0]]), np.array([1, -1])
    start, end, epoch = np.zeros(3), np.array([0.01, 0.03, -0.01]), 1
    if not makes_mistakes:
        if solution.trains_from_zero:
            return
        start = end = np.array([1.0, 1.0, 0.0])
        epoch = 0
    raised = None
    try:
        with np.errstate(all="ignore"):
            got, history = trained(solution, points, labels, start)
    except pytest.fail.Exception as failure:
        raised, got = failure.msg, np.nan
    if raised and not re.search("ZeroDivision|FloatingPoint", raised):
        fail(raised)
    if not np.isfinite(got).all():
        fail("an epoch without a misclassified point divides by zero: training should end there")
    compare("a perceptron that makes no mistake any more", got, end)
    suspects = [("counts epochs from 1, but should from 0", epoch + 1)]
    compare_entry(history, "converged_epoch", epoch, suspects)


def test_training_takes_no_more_than_max_epochs_steps(solution):
    points, labels = np.array([[1.0], [1.0]]), np.array([1, -1])  # cannot be told apart
    start = [0.0, 0.0 if solution.trains_from_zero else 0.5]
    got, history = trained(solution, points, labels, start, max_epochs=7, learning_rate=1.0)
    # It predicts +1 and goes one down, then predicts -1 and goes one up, and so on.
    suspects = [("takes one epoch too many or too few", start)]
    compare("training for 7 epochs", got, np.subtract(start, 1), suspects)
    compare_entry(history, "misclassified", 7 * [1])
    # Both score the same, before each step or after it; one of them is wrong.
    loss = np.array([start[1], 2 - start[1]] * 4)[:7]
    compare_entry(history, "loss", loss, [("has the wrong sign", -loss)])


def test_training_the_perceptron_changes_none_of_its_arguments(solution):
    rng = np.random.default_rng(14)
    points, labels = rng.normal(size=(20, 2)), rng.choice([-1, 1], 20)
    perceptron = solution.perceptron(2)
    calls = {"train": lambda: perceptron.train(points, labels)}
    unchanged("Perceptron", calls, points, labels)


def test_the_two_gaussians_are_pooled_shuffled_and_split(solution):
    generate = solution.get("perceptron", "generate_dataset", optional=True)
    options = {"rng": 0} if takes(generate, "rng") else {}
    means = {1: [50.0, 20.0], -1: [-50.0, 10.0]}
    drawn = call("generate_dataset", {}, generate, means[1], means[-1], 4.0, **options)
    points, labels, test_points, test_labels = map(np.asarray, drawn)
    if points.shape != (160, 2) or test_points.shape != (40, 2):
        fail(
            f"the data are split into {points.shape[0]} and {test_points.shape[0]} points of "
            f"shape {points.shape[1:]}, but should be into 160 and 40 of shape (2,)"
        )
    x, y = np.concatenate([points, test_points]), np.concatenate([labels, test_labels])
    if len({*map(tuple, x)}) < 200:
        fail("some points occur twice: do training and test data overlap, or the classes?")
    if sorted(y.tolist()) != [-1] * 100 + [1] * 100:
        fail("the labels are not 100 times +1 and 100 times -1")
    if not np.array_equal(x[:, 0] > 0, y == 1):
        fail("the points come with the labels of others: shuffle both in the same order")
    if len(set(y[:20].tolist())) == 1:
        fail("the classes are not shuffled before the split")
    for label, mean in means.items():
        # Of a hundred points, the mean errs by 0.2 and the covariance by 0.6.
        of_class = x[y == label]
        got, cov = of_class.mean(axis=0), np.cov(of_class.T)
        if not np.allclose(got, mean, rtol=0, atol=1):
            fail(f"class {label:+} has its mean near {got.round(1)}, but should near {mean}")
        if not ((cov.diagonal() > 2) & (cov.diagonal() < 7)).all():
            got = f"with 4 the points of class {label:+} vary by {cov.diagonal().round(1)}"
            fail(f"cov_scale is the variance: {got}")
        if abs(cov[0, 1]) > 2:
            fail(f"the coordinates of class {label:+} are correlated, but should not be")
