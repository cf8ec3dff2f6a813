"""Properties instead of examples: what holds at every size, depth and scale.

Hypothesis draws the cases, the same ones in every run.
"""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax
from perceptron import Perceptron
from train_mlp_numpy import BACKENDS, METRICS, Data, accuracy, train

settings.register_profile(
    "the same in every run",
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # a loaded machine is no failure
)
settings.load_profile("the same in every run")

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 12)
scales = st.floats(-8, 8).map(lambda exponent: 10.0**exponent)
depths = st.lists(st.integers(1, 8), max_size=3)


def logits_up_to(bound):
    """Draw a batch of logits, of any shape."""
    shapes = st.tuples(sizes, st.integers(2, 6))
    return arrays(float, shapes, elements=st.floats(-bound, bound))


def one_hot(rng, n_rows, n_classes):
    return np.eye(n_classes)[rng.integers(n_classes, size=n_rows)]


def loss_of(model, x, targets):
    return CrossEntropy().forward(model.forward(x), targets)


@st.composite
def networks(draw):
    """Draw a network, with weights of up to some size, rows of some scale and their targets."""
    rng = np.random.default_rng(draw(seeds))
    n_inputs, n_classes, n_rows = draw(sizes), draw(st.integers(2, 5)), draw(sizes)
    model = MLP(n_inputs, draw(depths), n_classes, rng)
    factor = draw(st.sampled_from([0.1, 1.0, 10.0]))
    for linear in model.layers[::2]:
        for name, param in linear.params.items():
            linear.params[name] = rng.normal(0, factor, param.shape)
    x = draw(scales) * rng.normal(size=(n_rows, n_inputs))
    return model, x, one_hot(rng, n_rows, n_classes)


# Layers


@given(sizes, sizes, sizes, scales, seeds)
def test_linear_keeps_the_shapes_and_is_linear_in_its_input_and_in_dout(
    n, n_in, n_out, scale, seed
):
    rng = np.random.default_rng(seed)
    layer, x, dout = (
        Linear(n_in, n_out, rng),
        rng.normal(size=(n, n_in)),
        rng.normal(size=(n, n_out)),
    )
    layer.params["bias"] = rng.normal(size=n_out)
    without_bias = layer.forward(x) - layer.params["bias"]
    dx = layer.backward(dout)
    assert (without_bias.shape, dx.shape) == ((n, n_out), (n, n_in))
    assert {name: grad.shape for name, grad in layer.grads.items()} == {
        name: param.shape for name, param in layer.params.items()
    }
    grads = dict(layer.grads)
    bias = layer.params["bias"]
    np.testing.assert_allclose(
        layer.forward(scale * x), scale * without_bias + bias, rtol=1e-9, atol=1e-9 * (1 + scale)
    )
    np.testing.assert_allclose(layer.backward(scale * dout), scale * dx, 1e-12, 1e-13 * scale)
    np.testing.assert_allclose(layer.grads["bias"], scale * grads["bias"], 1e-12, 1e-13 * scale)
    squared = scale**2  # of the input and of dout
    np.testing.assert_allclose(
        layer.grads["weight"], squared * grads["weight"], 1e-11, 1e-12 * squared
    )


@given(logits_up_to(1e8))
def test_relu_is_never_negative_and_splits_what_it_gets(x):
    out = ReLU().forward(x)
    assert out.shape == x.shape
    assert (out >= 0).all()
    assert np.array_equal(out - ReLU().forward(-x), x)


@given(logits_up_to(1e4))
def test_softmax_makes_probabilities(logits):
    p = SoftMax().forward(logits)
    assert p.shape == logits.shape
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=0, atol=1e-14)
    # In the order of the logits, so the prediction is that of the largest.
    order = logits.argsort(axis=1)
    assert (np.diff(np.take_along_axis(p, order, axis=1)) >= 0).all()


@given(logits_up_to(1e4), st.floats(-1e4, 1e4))
def test_softmax_does_not_see_what_is_added_to_a_whole_row(logits, shift):
    p, shifted = SoftMax().forward(logits), SoftMax().forward(logits + shift)
    np.testing.assert_allclose(shifted, p, rtol=1e-10, atol=1e-14)


@given(logits_up_to(1e4), scales, seeds)
def test_the_gradient_of_softmax_sums_to_zero_in_each_row(logits, scale, seed):
    layer, dout = SoftMax(), scale * np.random.default_rng(seed).normal(size=logits.shape)
    layer.forward(logits)
    dx = layer.backward(dout)
    assert np.isfinite(dx).all()
    np.testing.assert_allclose(dx.sum(axis=1), 0, rtol=0, atol=1e-13 * scale)


@given(logits_up_to(1e4), seeds)
def test_the_loss_is_finite_and_never_negative_and_its_gradient_is_bounded(logits, seed):
    n_rows, n_classes = logits.shape
    targets = one_hot(np.random.default_rng(seed), n_rows, n_classes)
    loss = CrossEntropy()
    value = loss.forward(SoftMax().forward(logits), targets)
    assert 0 <= value <= -np.log(1e-15) + 1e-9
    gradient = loss.backward()
    assert gradient.shape == logits.shape
    assert (np.abs(gradient) <= 1 / n_rows).all()
    np.testing.assert_allclose(gradient.sum(axis=1), 0, rtol=0, atol=1e-14)
    assert (gradient[targets == 1] <= 0).all()  # more of the right logit never hurts


# Networks


@given(networks())
def test_a_network_keeps_shapes_and_stays_finite(case):
    model, x, targets = case
    predictions = model.forward(x)
    assert predictions.shape == targets.shape
    assert ((predictions >= 0) & (predictions <= 1)).all()
    np.testing.assert_allclose(predictions.sum(axis=1), 1, rtol=0, atol=1e-14)
    loss = CrossEntropy()
    assert 0 <= loss.forward(predictions, targets) < 35
    model.backward(loss.backward())
    for linear in model.layers[::2]:
        assert linear.grads.keys() == linear.params.keys()
        for name, grad in linear.grads.items():
            assert grad.shape == linear.params[name].shape
            assert np.isfinite(grad).all()


@given(networks(), seeds)
def test_permuted_rows_give_permuted_predictions_and_the_same_gradient(case, seed):
    model, x, targets = case
    order = np.random.default_rng(seed).permutation(len(x))
    found = []
    for rows, labels in ((x, targets), (x[order], targets[order])):
        loss = CrossEntropy()
        value = loss.forward(model.forward(rows), labels)
        model.backward(loss.backward())
        grads = [grad for linear in model.layers[::2] for grad in linear.grads.values()]
        found.append((model.forward(rows), value, grads))
    (p, loss, grads), (permuted, permuted_loss, permuted_grads) = found
    # Where logits of 1e9 cancel, a product of matrices in another order may round differently.
    rounding = 1e-13 * max(1.0, *(abs(array).max() for array in logits_of(model, x)))
    np.testing.assert_allclose(permuted, p[order], rtol=0, atol=min(rounding, 1))
    assert permuted_loss == pytest.approx(loss, rel=1e-9, abs=35 * rounding)
    for grad, other in zip(grads, permuted_grads, strict=True):
        np.testing.assert_allclose(
            other, grad, rtol=1e-9, atol=1e-9 * (1 + abs(grad).max()) + rounding * abs(grad).max()
        )


def logits_of(model, x):
    """Return the outputs of the Linear layers."""
    outputs = []
    for layer in model.layers[:-1]:
        x = layer.forward(x)
        outputs.append(x)
    return outputs


@given(networks())
def test_a_step_that_is_small_enough_lowers_the_loss(case):
    model, x, targets = case
    loss = CrossEntropy()
    predictions = model.forward(x)
    before = loss.forward(predictions, targets)
    model.backward(loss.backward())
    params = [dict(linear.params) for linear in model.layers[::2]]
    square = sum((grad**2).sum() for linear in model.layers[::2] for grad in linear.grads.values())
    assume(before > 1e-6)  # else it is all but perfect
    assume(predictions[targets == 1].min() > 1e-14)  # else the loss is clipped, and flat
    assume(np.isfinite(square) and square > 1e-12)
    # Whether curved or bent by a ReLU, the loss is a straight line close enough to where it is.
    for exponent in range(1, 12):
        learning_rate = 10.0**-exponent * before / square
        model.update(learning_rate)
        after = loss_of(model, x, targets)
        for linear, kept in zip(model.layers[::2], params, strict=True):
            linear.params.update(kept)
        if after < before:
            return
    raise AssertionError(f"no step lowers the loss of {before}")


@given(networks())
def test_a_saved_network_comes_back_bit_by_bit(case):
    model, x, _ = case
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.npz")
        loaded = MLP.load(Path(folder) / "model.npz")
    assert np.array_equal(loaded.forward(x), model.forward(x))


# Training


def test_training_ends_with_a_whole_history_or_says_that_it_diverged():
    outcomes = set()

    @given(
        networks(),
        st.sampled_from(BACKENDS),
        st.one_of(st.none(), st.integers(1, 20)),  # of up to 12 rows
        st.integers(1, 4),
        st.integers(1, 5),
        st.floats(-3, 300).map(lambda exponent: 10.0**exponent) | st.just(0.01),
    )
    def check(case, backend, batch_size, max_steps, eval_freq, learning_rate):
        model, x, targets = case
        data = Data(x, targets, x[:1], targets[:1])
        options = {"max_steps": max_steps, "eval_freq": eval_freq, "batch_size": batch_size}
        options |= {"learning_rate": learning_rate, "backend": backend}
        try:
            history = train(model, data, rng=0, **options)
        except FloatingPointError:
            assert learning_rate > 0.01 or np.abs(x).max() > 1  # else it does not diverge
            outcomes.add("diverged")
            return
        steps = [s for s in range(max_steps + 1) if s % eval_freq == 0 or s == max_steps]
        assert history["step"].tolist() == steps
        for key in METRICS:
            assert history[key].shape == (len(steps),)
            assert (history[key] >= 0).all()
            assert (history[key] <= (1 if "accuracy" in key else 35)).all()
        if learning_rate <= 1:  # after larger steps, rounding decides
            loss = loss_of(model, x, targets)
            assert history["train_loss"][-1] == pytest.approx(loss, rel=1e-9)
        outcomes.add("whole")

    check()
    assert outcomes == {"whole", "diverged"}


@given(networks(), st.one_of(st.none(), st.integers(1, 20)))
def test_both_backends_take_the_same_steps(case, batch_size):
    model, x, targets = case
    x = x / np.abs(x).max()  # larger ones make of rounding what they like
    twin = MLP(1, [], 2)
    twin.layers = [type(layer).__new__(type(layer)) for layer in model.layers]
    for layer, original in zip(twin.layers, model.layers, strict=True):
        layer.__dict__.update(original.__dict__)
        if hasattr(original, "params"):
            layer.params, layer.grads = dict(original.params), dict(original.grads)
    data = Data(x, targets, x, targets)
    for network, backend in ((model, "numpy"), (twin, "numba")):
        train(network, data, max_steps=3, batch_size=batch_size, rng=0, backend=backend)
    for linear, other in zip(model.layers[::2], twin.layers[::2], strict=True):
        for name, param in linear.params.items():
            np.testing.assert_allclose(other.params[name], param, rtol=1e-9, atol=1e-9)


@given(sizes, st.integers(2, 6), seeds)
def test_accuracy_is_a_fraction_that_no_order_changes(n_rows, n_classes, seed):
    rng = np.random.default_rng(seed)
    predictions, targets = rng.random((n_rows, n_classes)), one_hot(rng, n_rows, n_classes)
    value, order = accuracy(predictions, targets), rng.permutation(n_rows)
    assert value in [k / n_rows for k in range(n_rows + 1)]
    assert accuracy(predictions[order], targets[order]) == value
    assert accuracy(targets, targets) == 1.0


# The perceptron


@given(sizes, st.integers(1, 5), scales, seeds)
def test_the_perceptron_sees_directions_and_not_scales(n_rows, n_inputs, scale, seed):
    rng = np.random.default_rng(seed)
    x, labels = scale * rng.normal(size=(n_rows, n_inputs)), rng.choice([-1, 1], n_rows)
    perceptron = Perceptron(n_inputs, max_epochs=20)
    history = perceptron.train(x, labels)
    n_epochs = len(history["misclassified"])
    assert 1 <= n_epochs <= 20
    assert ((history["misclassified"] >= 0) & (history["misclassified"] <= n_rows)).all()
    assert (history["loss"] >= 0).all()
    assert np.isfinite(perceptron.weights).all()
    predicted = perceptron.forward(x)
    assert {*predicted} <= {-1, 1}
    if history["converged_epoch"] is not None:
        assert history["converged_epoch"] == n_epochs - 1
        assert np.array_equal(predicted, labels)
    order = rng.permutation(n_rows)
    away = np.abs(x @ perceptron.weights[:-1] + perceptron.weights[-1]) > 1e-12 * scale**2
    assert np.array_equal(perceptron.forward(x[order])[away[order]], predicted[order][away[order]])
    perceptron.weights = 2.0**40 * perceptron.weights
    assert np.array_equal(perceptron.forward(x), predicted)
