"""The layers beyond their gradients (test_gradients.py): worked examples and contracts."""

import math

import numpy as np
import pytest

from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax
from tests.helpers import all_equal, grads_of, small_batch


def test_linear_backward_worked_by_hand():
    linear = Linear(2, 3)
    linear.params["weight"] = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    linear.forward(np.array([[1.0, 0.0], [1.0, 1.0]]))
    dx = linear.backward(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
    assert dx.tolist() == [[1, 4], [6, 12]]
    assert linear.grads["weight"].tolist() == [[1, 0, 2], [0, 0, 2]]
    assert linear.grads["bias"].tolist() == [1, 0, 2]


def test_weights_start_from_a_normal_distribution_of_standard_deviation_0_1():
    weight = Linear(300, 400, rng=0).params["weight"]
    assert weight.mean() == pytest.approx(0, abs=0.002)
    assert weight.std() == pytest.approx(0.1, rel=0.02)
    within_one_deviation = np.abs(weight) < 0.1
    assert within_one_deviation.mean() == pytest.approx(0.683, abs=0.005)  # 0.577 if uniform


def test_biases_start_at_zero():
    assert Linear(2, 3).params["bias"].tolist() == [0, 0, 0]


def test_without_a_seed_the_weights_are_new_each_time():
    assert not np.array_equal(Linear(2, 3).params["weight"], Linear(2, 3).params["weight"])


def test_a_new_array_may_be_assigned_to_a_parameter():
    linear = Linear(2, 1)
    linear.params["weight"] = np.array([[3.0], [4.0]])
    assert linear.forward(np.array([[1.0, 2.0]])).tolist() == [[3 + 8]]
    assert linear.backward(np.array([[1.0]])).tolist() == [[3, 4]]


def test_the_derivative_of_relu_at_zero_is_zero():
    relu = ReLU()
    relu.forward(np.array([[-2.0, 0.0, 3.0]]))
    assert relu.backward(np.array([[5.0, 5.0, 5.0]])).tolist() == [[0, 0, 5]]


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e3, 1e8])
def test_rows_of_softmax_are_probabilities_at_any_scale(scale):
    logits = scale * np.random.default_rng(0).normal(size=(50, 7))
    probabilities = SoftMax().forward(logits)
    assert (probabilities >= 0).all()
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(50), rel=1e-14)
    assert np.array_equal(probabilities.argmax(axis=1), logits.argmax(axis=1))


def test_softmax_ignores_what_is_added_to_a_whole_row():
    logits = np.random.default_rng(0).normal(size=(4, 3))
    added = np.array([[0.0], [50.0], [-700.0], [1000.0]])
    probabilities = SoftMax().forward(logits)
    assert SoftMax().forward(logits + added) == pytest.approx(probabilities, rel=1e-12)


def test_cross_entropy_backward_worked_by_hand():
    cross_entropy = CrossEntropy()
    cross_entropy.forward(np.array([[0.5, 0.5], [0.75, 0.25]]), np.eye(2))
    assert cross_entropy.backward().tolist() == [[-0.25, 0.25], [0.375, -0.375]]


def test_a_row_that_is_certain_of_the_wrong_class_has_a_finite_loss_and_gradient():
    logits = np.array([[1000.0, -1000.0], [1000.0, -1000.0], [-1000.0, 1000.0]])
    targets = np.eye(2)[[0, 1, 1]]  # the second row is wrong
    cross_entropy = CrossEntropy()
    loss = cross_entropy.forward(SoftMax().forward(logits), targets)
    assert loss == pytest.approx(-math.log(1e-15) / 3)  # its probability of 0 counts as 1e-15
    assert cross_entropy.backward() == pytest.approx(np.array([[0, 0], [1, -1], [0, 0]]) / 3)


def test_the_loss_of_perfect_predictions_is_the_float_0():
    loss = CrossEntropy().forward(np.eye(2), np.eye(2))
    assert repr(loss) == "0.0"  # no array, and not -0.0


def loss_and_grads(x, targets):
    """Return the loss of a new network for a batch, and its gradients."""
    model = MLP(3, [5], 4, 0)
    cross_entropy = CrossEntropy()
    loss = cross_entropy.forward(model.forward(x), targets)
    model.backward(cross_entropy.backward())
    return loss, grads_of(model)


def test_a_batch_with_each_row_twice_has_the_same_loss_and_gradients():
    x, targets = small_batch()
    loss, grads = loss_and_grads(x, targets)
    x_twice = np.concatenate([x, x])
    targets_twice = np.concatenate([targets, targets])
    loss_of_twice, grads_of_twice = loss_and_grads(x_twice, targets_twice)
    assert loss_of_twice == pytest.approx(loss, rel=1e-12)
    for once, twice in zip(grads, grads_of_twice, strict=True):
        assert twice == pytest.approx(once, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("targets", [[1, 0], [[1], [0]], [[1, 0]], [[0, 1, 0], [1, 0, 0]]])
def test_targets_of_another_shape_are_refused_with_both_shapes_and_the_remedy(targets):
    targets = np.array(targets)
    predictions = np.full((2, 2), 0.5)
    with pytest.raises(ValueError, match=r"targets .*\(2, 2\).* got ") as refused:
        CrossEntropy().forward(predictions, targets)
    message = str(refused.value)
    assert f"got {targets.shape}" in message
    assert "np.eye(C)[labels]" in message


# What holds for every layer


def new_linear():
    return Linear(3, 3, rng=0)


EACH_LAYER = pytest.mark.parametrize("new_layer", [new_linear, ReLU, SoftMax])


def batch(seed):
    """Return a random x and dout, of four rows and three columns each."""
    return np.random.default_rng(seed).normal(size=(2, 4, 3))


def run(layer, x, dout):
    """Return all that the layer gives for x and dout: out, dx and, if it has any, its grads."""
    out = layer.forward(x)
    dx = layer.backward(dout)
    grads = getattr(layer, "grads", {})
    return [out, dx, *grads.values()]


@EACH_LAYER
def test_backward_twice_gives_the_same_gradients(new_layer):
    layer = new_layer()
    x, dout = batch(0)
    first = run(layer, x, dout)
    dx = layer.backward(dout)
    grads = getattr(layer, "grads", {})
    assert all_equal(first[1:], [dx, *grads.values()])


@EACH_LAYER
def test_the_gradients_are_those_of_the_latest_batch_alone(new_layer):
    layer = new_layer()
    run(layer, *batch(0))
    assert all_equal(run(layer, *batch(1)), run(new_layer(), *batch(1)))


@EACH_LAYER
def test_what_a_layer_has_returned_does_not_change_with_the_next_batch(new_layer):
    layer = new_layer()
    returned = run(layer, *batch(0))
    copies = [array.copy() for array in returned]
    run(layer, *batch(1))
    assert all_equal(returned, copies)


@EACH_LAYER
def test_a_layer_changes_none_of_its_arguments(new_layer):
    x, dout = batch(0)
    run(new_layer(), x, dout)
    assert all_equal([x, dout], batch(0))


def test_cross_entropy_changes_none_of_its_arguments():
    predictions = np.array([[0.0, 1.0], [0.5, 0.5]])
    targets = np.array([[1.0, 0.0], [0.0, 1.0]])
    cross_entropy = CrossEntropy()
    cross_entropy.forward(predictions, targets)
    cross_entropy.backward()
    assert predictions.tolist() == [[0.0, 1.0], [0.5, 0.5]]
    assert targets.tolist() == [[1.0, 0.0], [0.0, 1.0]]
