"""What any solution of the assignment must do, and what is wrong with one that does not.

    python -m pytest tests --solution PATH

runs these checks against the solution in a folder; without the option they run against this
project. They share no code with what they check, and speak in the terms of the lecture.
tests/test_planted_bugs.py proves that each of them finds the mistakes it is there for.
"""

import inspect
import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest


def fail(text):
    pytest.fail(text, pytrace=False)


def compare(what, got, expected, suspects=(), rtol=1e-9, atol=1e-12):
    """Fail unless `got` is `expected`, with the diagnosis whose array it is, if there is one.

    `suspects` are pairs of a diagnosis and the array, or number, that it would lead to.
    """
    if got is None:
        fail(f"{what} is None: nothing is returned or set")
    got, expected = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)

    def is_close(a, b):
        return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol, atol, equal_nan=True)

    if is_close(got, expected):
        return
    for diagnosis, suspect in suspects:
        if is_close(got, suspect):
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
    for name, call in calls.items():
        before = [array.copy() for array in arrays]
        call()
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


def test_linear_returns_the_gradient_of_its_input(affine):
    layer, x, weight, _, dout = affine
    layer.forward(x)
    right = dout @ weight.T
    suspects = [
        ("is averaged over the batch, but each row has its own", right / 5),
        ("has the wrong sign", -right),
        ("is multiplied with the input", right * x),
    ]
    compare("the input gradient of Linear.backward", layer.backward(dout), right, suspects)


def test_linear_overwrites_its_gradients(affine):
    layer, x, *_, dout = affine
    layer.forward(x)
    layer.backward(dout)
    first = {name: np.array(layer.grads[name], dtype=float) for name in ("weight", "bias")}
    layer.backward(dout)
    for name, right in first.items():
        suspects = [("is added to that of the backward before, but should replace it", 2 * right)]
        what = f"the {name} gradient of a second Linear.backward"
        compare(what, layer.grads[name], right, suspects)


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
    if not np.array_equal(solution.weight(layer), weight) or not np.array_equal(
        np.ravel(layer.params["bias"]), bias
    ):
        fail("Linear changes its parameters in a pass; only the update may do so")


def test_linear_starts_with_small_random_weights_and_no_bias(solution):
    layer = solution.linear(300, 200)
    weight, bias = layer.params["weight"], layer.params["bias"]
    if weight.std() == 0:
        fail("the initial weights are all the same: so are the units, and they stay so")
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
    got = solution.get("modules", "ReLU")().forward(x.copy())
    compare("the output of ReLU.forward", got, np.maximum(x, 0), suspects)


def test_relu_lets_the_gradient_pass_where_its_input_is_positive(solution):
    rng = np.random.default_rng(1)
    x, dout = rng.normal(size=(2, 6, 5))
    x[0, 0] = 0.0
    relu = solution.get("modules", "ReLU")()
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
    relu = solution.get("modules", "ReLU")()
    relu.forward(first.copy())
    relu.forward(second.copy())
    suspects = [("belongs to an earlier forward: the mask kept is stale", dout * (first > 0))]
    got = relu.backward(dout)
    compare("the gradient of ReLU after a second forward", got, dout * (second > 0), suspects)


@pytest.mark.parametrize("kind", ["ReLU", "SoftMax"])
def test_a_layer_without_parameters_changes_none_of_its_arguments(solution, kind):
    layer = solution.get("modules", kind)()
    x, dout = np.random.default_rng(3).normal(size=(2, 4, 3))
    calls = {"forward": lambda: layer.forward(x), "backward": lambda: layer.backward(dout)}
    unchanged(kind, calls, x, dout)


# SoftMax


def test_softmax_makes_probabilities_of_each_row(solution):
    logits = np.random.default_rng(4).normal(0, 3, (4, 5))
    suspects = [("takes exp(-x), but should exp(x)", soft_max(-logits))]
    for powers in (np.exp(logits), np.exp(logits - logits.max(axis=1, keepdims=True))):
        over_the_batch = powers / powers.sum(axis=0)
        suspects += [
            ("is normalised over the batch (axis 0), but should be in each row", over_the_batch),
            ("is normalised over the whole batch, not within each row", powers / powers.sum()),
            ("is not normalised: the rows do not sum to 1", powers),
        ]
    got = solution.get("modules", "SoftMax")().forward(logits.copy())
    compare("the output of SoftMax.forward", got, soft_max(logits), suspects, rtol=1e-6)


def test_softmax_of_large_logits_does_not_overflow(solution):
    logits = np.array([[1000.0, 1000.0, 0.0], [-1000.0, -1000.0, -2000.0]])
    right = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]])
    with np.errstate(all="ignore"):
        got = solution.get("modules", "SoftMax")().forward(logits.copy())
    got = np.asarray(got, dtype=float)
    if not np.isfinite(got[0]).all():
        fail("SoftMax.forward overflows at logits of 1000: subtract each row's maximum first")
    if not np.isfinite(got[1]).all() or not np.allclose(got[1], right[1]):
        fail(
            "SoftMax.forward loses a row of small logits beside one of large ones: the maximum "
            "of the whole batch is subtracted, but should be that of each row"
        )
    compare("the output of SoftMax.forward at large logits", got, right)


def softmax_gradient(solution, logits, dout):
    layer = solution.get("modules", "SoftMax")()
    layer.forward(logits.copy())
    return layer.backward(dout.copy())


def test_softmax_has_its_true_derivative_or_passes_the_gradient_through(solution):
    logits, dout = np.random.default_rng(5).normal(size=(2, 4, 3))
    s = soft_max(logits)
    got = softmax_gradient(solution, logits, dout)
    if np.shape(got) == dout.shape and np.allclose(got, dout):
        solution.note(
            "SoftMax.backward passes the gradient through, as the loss has accounted for it"
        )
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
    with np.errstate(all="ignore"):
        loss = solution.get("modules", "CrossEntropy")()
        got = loss.forward(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]))
        perfect = loss.forward(np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]]))
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
    loss = solution.get("modules", "CrossEntropy")()
    has_own = solution.loss(predictions, targets) and not any(
        p.default is p.empty for p in inspect.signature(loss.backward).parameters.values()
    )
    if not has_own:
        return  # it is given them anew each time
    loss.forward(predictions, targets)
    first = np.array(loss.backward())
    loss.forward(predictions[::-1], targets[::-1])
    suspects = [("belongs to an earlier forward: what was kept is stale", first)]
    compare("the gradient after a second forward", loss.backward(), first[::-1], suspects)


def test_cross_entropy_changes_none_of_its_arguments(solution, predicted):
    loss = solution.get("modules", "CrossEntropy")()
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
    suspects = [
        ("are logits: the softmax at the end is missing", logits),
        (
            "come from hidden layers without a ReLU",
            soft_max(logits_of(solution, layers, x, lambda z: z)),
        ),
        (
            "come from a ReLU behind the last Linear layer, too",
            soft_max(np.maximum(logits, 0)),
        ),
    ]
    got = model.forward(x.copy())
    compare("the predictions of MLP.forward", got, soft_max(logits), suspects)


@DEPTHS
def test_every_gradient_of_the_network_is_that_of_its_loss(solution, n_hidden):
    rng = np.random.default_rng(8)
    model, layers = solution.network(3, n_hidden, 4, rng)
    x, targets = rng.normal(size=(6, 3)), one_hot(rng, 6, 4)

    def loss():
        return -np.log(soft_max(logits_of(solution, layers, x))[targets == 1]).mean()

    gradient = solution.loss(model.forward(x), targets)[1]
    try:
        model.backward(gradient)
    except Exception as error:
        fail(f"MLP.backward fails; it should go from the last layer to the first: {error!r}")
    predictions = soft_max(logits_of(solution, layers, x))
    d = (predictions - targets) / 6
    twice = predictions * (d - (d * predictions).sum(axis=1, keepdims=True))
    before = x  # what enters the last Linear layer
    for i in range(len(layers) - 1):
        before = np.maximum(logits_of(solution, layers[i : i + 1], before), 0)
    for i in reversed(range(len(layers))):
        for name in ("weight", "bias"):
            layer = layers[i]
            kept, read = layer.params[name], getattr(solution, name)

            def loss_at(value, layer=layer, name=name):
                layer.params[name] = value
                return loss()

            layer.params[name] = numerical_gradient(loss_at, kept)
            right, got = read(layer), read(layer, "grads")
            layer.params[name] = kept
            suspects = [
                ("is not divided by N, the size of the batch", 6 * right),
                ("is divided by N, the size of the batch, twice", right / 6),
                ("has the wrong sign", -right),
                ("is zero: the gradient does not arrive there", 0 * right),
            ]
            if i == len(layers) - 1:
                doubled = before.T @ twice if name == "weight" else twice.sum(axis=0)
                suspects.append(
                    (
                        "has passed the derivative of the softmax twice: CrossEntropy.backward "
                        "holds it already",
                        doubled,
                    )
                )
            what = f"the {name} gradient of layer {i + 1} of {len(layers)} of the MLP"
            compare(what, got, right, suspects, rtol=1e-6, atol=1e-8)


def step_of(solution, learning_rate):
    """Take a step; return the layers, their parameters before it, and their gradients."""
    rng = np.random.default_rng(9)
    model, layers = solution.network(3, [5], 2, rng)
    x, targets = rng.normal(size=(6, 3)), one_hot(rng, 6, 2)
    model.backward(solution.loss(model.forward(x), targets)[1])
    before = [{name: layer.params[name].copy() for name in layer.params} for layer in layers]
    grads = [{name: np.array(layer.grads[name]) for name in layer.grads} for layer in layers]
    solution.update(model, learning_rate)
    return layers, before, grads


def test_the_update_takes_a_step_against_every_gradient(solution):
    for i, (layer, before, grads) in enumerate(zip(*step_of(solution, 0.3), strict=True)):
        for name in ("weight", "bias"):
            param, grad = before[name], grads[name]
            suspects = [
                ("goes up the gradient, but should go down", param + 0.3 * grad),
                ("leaves out the learning rate", param - grad),
                ("is not updated", param),
                ("is replaced by the step", -0.3 * grad),
                ("takes the step twice", param - 0.6 * grad),
            ]
            what = f"the {name} of layer {i + 1} after the update"
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
    numbers = np.arange(1.0, n_train + n_test + 1) * np.where(
        np.arange(n_train + n_test) % 3, 1, -1
    )
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


def test_rows_are_shuffled_together_with_their_targets(solution):
    spy, _ = spy_on(solution, rows_with_targets(), batch_size=5)
    for x, gradient in zip(spy.batches, spy.gradients, strict=True):
        targets = np.eye(2)[(x[:, 0] > 0).astype(int)]
        _, right = solution.loss(np.tile([0.75, 0.25], (len(x), 1)), targets)
        if not np.allclose(gradient, right):
            fail("the rows come with the targets of other rows: shuffle both in the same order")


def test_every_batch_is_forward_backward_and_update_at_the_learning_rate(solution):
    spy, _ = spy_on(solution, rows_with_targets(), batch_size=5, eval_freq=100)
    if [float(rate) for rate in spy.rates] != 20 * [0.25]:
        fail(f"the updates are at the rates {spy.rates}, but should be 20 at 0.25")
    # But for the evaluations, which are forward passes alone.
    learning = [call for call in spy.calls if call != "forward"]
    if learning != 20 * ["backward", "update"]:
        fail("an update does not follow each backward pass")


@pytest.mark.parametrize(
    ("max_steps", "eval_freq", "steps"),
    [(6, 2, [0, 2, 4, 6]), (5, 2, [0, 2, 4, 5]), (3, 10, [0, 3]), (2, 1, [0, 1, 2])],
)
def test_the_history_is_taken_at_0_every_eval_freq_and_at_the_end(
    solution, max_steps, eval_freq, steps
):
    spy = Spy()
    history = solution.train(
        spy, rows_with_targets(), max_steps=max_steps, eval_freq=eval_freq, rng=0
    )
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

    seen = [metrics()]
    learning = {"learning_rate": 0.5, "eval_freq": 1, "batch_size": 7, "rng": 0}
    histories = [solution.train(model, data, max_steps=1, **learning)]
    seen.append(metrics())
    histories.append(solution.train(model, data, max_steps=1, **learning))
    seen.append(metrics())
    for history, before, after in zip(histories, seen, seen[1:], strict=False):
        for key, other in (
            ("train_loss", "test_loss"),
            ("test_loss", "train_loss"),
            ("train_accuracy", "test_accuracy"),
            ("test_accuracy", "train_accuracy"),
        ):
            right = [before[key], after[key]]
            suspects = [
                (f"is that of the {other.split('_')[0]} rows", [before[other], after[other]]),
                ("does not change: it is always that of the start", [before[key]] * 2),
                ("is a percentage, but should be a fraction", [100 * value for value in right]),
            ]
            compare(f"{key} in the history", history[key], right, suspects)


def test_the_same_seed_trains_the_same_network(solution):
    rng = np.random.default_rng(12)
    x, targets = rng.normal(size=(30, 2)), one_hot(rng, 30, 2)
    data = Rows(x[:20], targets[:20], x[20:], targets[20:])
    weights = []
    for seed in (1, 1, 2):
        model, layers = solution.network(2, [4], 2, np.random.default_rng(0))
        state = np.random.get_state()[1].copy()
        solution.train(model, data, learning_rate=0.5, max_steps=3, batch_size=4, rng=seed)
        if not np.array_equal(state, np.random.get_state()[1]):
            fail(
                "training draws from NumPy's global generator, but should from the rng it is given"
            )
        weights.append(layers[0].params["weight"])
    if not np.array_equal(weights[0], weights[1]):
        fail("the same seed does not train the same network")
    if np.array_equal(weights[0], weights[2]):
        fail("another seed trains the same network: the rng is not used")


def test_accuracy_is_the_share_of_rows_whose_largest_prediction_is_right(solution):
    accuracy = solution.get("train_mlp_numpy", "accuracy")
    predictions = np.array([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6], [0.4, 0.2, 0.4], [0.2, 0.7, 0.1]])
    targets = np.eye(3)[[0, 2, 1, 1]]
    suspects = [
        ("is a percentage, but should be a fraction", 75),
        ("is the number of rows, but should be their share", 3),
        ("is the share of wrong rows", 0.25),
        ("compares every element, but should compare rows", 0.75 * 2 / 3 + 0.25 / 3),
    ]
    compare("the accuracy", accuracy(predictions, targets), 0.75, suspects)


# The perceptron


def test_the_perceptron_starts_at_zero_with_the_bias_as_its_last_weight(solution):
    perceptron = solution.perceptron(3)
    compare("the perceptron's initial weights", np.ravel(perceptron.weights), np.zeros(4))


def test_the_perceptron_predicts_the_sign_and_plus_one_at_zero(solution):
    perceptron = solution.perceptron(2)
    points = np.array([[1.0, 1.0], [1.0, 0.5], [0.0, 2.0], [4.0, 0.0]])
    perceptron.weights = np.array([1.0, 2.0, -3.0])
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
    perceptron = solution.perceptron(points.shape[1], **options)
    perceptron.weights = np.array(start)
    history = perceptron.train(points.copy(), labels.copy())
    return np.ravel(perceptron.weights), history


def compare_entry(history, name, expected):
    """Compare an entry of a history, if there is such a history."""
    if isinstance(history, dict) and name in history:
        compare(f"{name} in the perceptron's history", history[name], expected)


def test_an_epoch_averages_the_gradient_over_the_misclassified_points(solution):
    rng = np.random.default_rng(13)
    x, labels, start = rng.normal(size=(20, 2)), rng.choice([-1, 1], 20), rng.normal(size=3)
    rows = np.column_stack([x, np.ones(20)])
    wrong = np.where(rows @ start >= 0, 1, -1) != labels
    total, n_wrong = labels[wrong] @ rows[wrong], int(wrong.sum())
    step = 0.1 * total / n_wrong
    got, _ = trained(solution, x, labels, start, max_epochs=1, learning_rate=0.1)
    suspects = [
        ("goes up the gradient, but should go down", start - step),
        ("sums the gradient, but should average it", start + 0.1 * total),
        (
            "averages over all points, but should over the misclassified",
            start + 0.1 * total / 20,
        ),
        ("leaves the bias as it is", start + step * [1, 1, 0]),
        ("updates the bias alone", start + step * [0, 0, 1]),
        ("leaves out the learning rate", start + step / 0.1),
        (
            "learns from the points that are right, but should from the wrong ones",
            start + 0.1 * labels[~wrong] @ rows[~wrong] / (20 - n_wrong),
        ),
        ("learns from all points", start + 0.1 * labels @ rows / 20),
        ("does nothing", start),
        ("leaves out the labels", start + 0.1 * rows[wrong].sum(axis=0) / n_wrong),
    ]
    compare("an epoch of Perceptron.train", got, start + step, suspects)


def test_training_stops_at_the_first_epoch_without_a_mistake(solution):
    points, labels = np.array([[2.0, 1.0], [-1.0, -3.0]]), np.array([1, -1])
    start = np.array([1.0, 1.0, 0.0])  # makes none
    try:
        with np.errstate(all="ignore"):
            got, history = trained(solution, points, labels, start)
    except ArithmeticError:
        got = np.nan
    if not np.isfinite(got).all():
        fail("an epoch without a misclassified point divides by zero: training should end there")
    compare("a perceptron that makes no mistake", got, start, [])
    compare_entry(history, "converged_epoch", 0)
    got, history = trained(solution, points, labels, np.zeros(3))
    compare_entry(history, "converged_epoch", 1)


def test_training_takes_no_more_than_max_epochs_steps(solution):
    points, labels = np.array([[1.0], [1.0]]), np.array([1, -1])  # cannot be told apart
    start = [0.0, 0.5]
    got, history = trained(solution, points, labels, start, max_epochs=7, learning_rate=1.0)
    # It predicts +1 and goes one down, then predicts -1 and goes one up, and so on.
    suspects = [("are one epoch too many or too few", start)]
    compare("7 epochs of training", got, [-1.0, -0.5], suspects)
    compare_entry(history, "misclassified", 7 * [1])
    # Before its first step both score 1/2, after it -3/2; one of them is wrong.
    compare_entry(history, "loss", [0.5, 1.5, 0.5, 1.5, 0.5, 1.5, 0.5])


def test_training_the_perceptron_changes_none_of_its_arguments(solution):
    rng = np.random.default_rng(14)
    points, labels = rng.normal(size=(20, 2)), rng.choice([-1, 1], 20)
    perceptron = solution.perceptron(2)
    calls = {"train": lambda: perceptron.train(points, labels)}
    unchanged("Perceptron", calls, points, labels)


def test_the_two_gaussians_are_pooled_shuffled_and_split(solution):
    generate = solution.get("perceptron", "generate_dataset")
    options = {"rng": 0} if "rng" in inspect.signature(generate).parameters else {}
    drawn = generate([50.0, 0.0], [-50.0, 10.0], 4.0, **options)
    points, labels, test_points, test_labels = map(np.asarray, drawn)
    if points.shape != (160, 2) or test_points.shape != (40, 2):
        fail(
            f"the data are split into {points.shape[0]} and {test_points.shape[0]} points of "
            f"shape {points.shape[1:]}, but should be into 160 and 40 of shape (2,)"
        )
    x, y = np.concatenate([points, test_points]), np.concatenate([labels, test_labels])
    if sorted(y.tolist()) != [-1] * 100 + [1] * 100:
        fail("the labels are not 100 times +1 and 100 times -1")
    if not np.array_equal(x[:, 0] > 0, y == 1):
        fail("the points come with the labels of others: shuffle both in the same order")
    if len(set(y[:20].tolist())) == 1:
        fail("the classes are not shuffled before the split")
    if len({*map(tuple, x)}) < 200:
        fail("some points occur twice: training and test data overlap")
    spread = x[y == 1].var(axis=0)
    if not ((spread > 2) & (spread < 7)).all():
        fail(f"cov_scale is the variance: with 4 the points vary by {spread.round(1)}")
