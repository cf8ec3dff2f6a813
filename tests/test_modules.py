"""The layers beyond their gradients: worked examples, contracts, and what they refuse."""

import math
import subprocess
import sys

import numpy as np
import pytest

import modules
from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax


def make(kind):
    return Linear(3, 3, rng=0) if kind is Linear else kind()


LAYERS = pytest.mark.parametrize("kind", [Linear, ReLU, SoftMax])


def as_frame(rows):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(rows) if np.ndim(rows) == 2 else pandas.Series(rows)


def as_objects(rows):
    return np.array(rows, dtype=object)


CONTAINERS = pytest.mark.parametrize("convert", [list, np.array, np.float32, as_objects, as_frame])


def test_linear_worked_by_hand():
    layer = Linear(2, 3)
    layer.params = {"weight": np.array([[1, 2, 3], [4, 5, 6]]), "bias": np.array([10, 20, 30])}
    assert layer.forward([[1, 0], [1, 1]]).tolist() == [[11, 22, 33], [15, 27, 39]]
    assert layer.backward([[1, 0, 0], [0, 0, 2]]).tolist() == [[1, 4], [6, 12]]
    assert layer.grads["weight"].tolist() == [[1, 0, 2], [0, 0, 2]]
    assert layer.grads["bias"].tolist() == [1, 0, 2]


def test_linear_starts_with_weights_of_normal_0_and_a_tenth_and_with_biases_of_zero():
    layer = Linear(300, 400, rng=0)
    weight = layer.params["weight"]
    assert weight.mean() == pytest.approx(0, abs=0.002)
    assert weight.std() == pytest.approx(0.1, rel=0.02)
    assert np.mean(np.abs(weight) < 0.1) == pytest.approx(0.683, abs=0.005)  # normal, not uniform
    assert not layer.params["bias"].any()
    assert not any(grad.any() for grad in layer.grads.values())
    assert {name: grad.shape for name, grad in layer.grads.items()} == {
        name: param.shape for name, param in layer.params.items()
    }


def test_relu_and_its_derivative_are_zero_at_zero():
    relu = ReLU()
    assert relu.forward([[-2.0, 0.0, 3.0]]).tolist() == [[0, 0, 3]]
    assert relu.backward([[5.0, 5.0, 5.0]]).tolist() == [[0, 0, 5]]


def test_softmax_of_known_logits():
    probabilities = SoftMax().forward(np.log([[1.0, 2.0, 5.0], [3.0, 3.0, 3.0]]))
    assert probabilities == pytest.approx(np.array([[1 / 8, 2 / 8, 5 / 8], [1 / 3, 1 / 3, 1 / 3]]))


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e3, 1e8])
def test_rows_of_softmax_are_probabilities_at_any_scale(scale):
    logits = scale * np.random.default_rng(0).normal(size=(50, 7))
    probabilities = SoftMax().forward(logits)
    assert (probabilities >= 0).all()
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(50), rel=1e-14)
    assert np.array_equal(probabilities.argmax(axis=1), logits.argmax(axis=1))


def test_softmax_ignores_what_is_added_to_a_whole_row():
    logits = np.random.default_rng(0).normal(size=(4, 3))
    shifted = logits + np.array([[0.0], [50.0], [-700.0], [1000.0]])
    assert SoftMax().forward(shifted) == pytest.approx(SoftMax().forward(logits), rel=1e-12)


def test_the_gradient_of_softmax_sums_to_zero_in_each_row():
    softmax, (logits, dout) = SoftMax(), np.random.default_rng(0).normal(size=(2, 6, 4))
    softmax.forward(logits)
    assert softmax.backward(dout).sum(axis=1) == pytest.approx(np.zeros(6), abs=1e-15)


def test_logits_of_a_thousand_give_a_finite_loss_and_gradient():
    logits = np.array([[1000.0, -1000.0], [1000.0, -1000.0], [-1000.0, 1000.0]])
    targets, loss = np.eye(2)[[0, 1, 1]], CrossEntropy()
    # The second row is certain of the wrong class; its probability of 0 is clipped to 1e-15.
    assert loss.forward(SoftMax().forward(logits), targets) == pytest.approx(-math.log(1e-15) / 3)
    assert loss.backward() == pytest.approx(np.array([[0, 0], [1, -1], [0, 0]]) / 3)


def test_cross_entropy_of_known_probabilities():
    targets, loss = np.eye(2), CrossEntropy()
    assert loss.forward([[0.5, 0.5], [0.75, 0.25]], targets) == pytest.approx(1.5 * math.log(2))
    assert loss.backward() == pytest.approx(np.array([[-0.25, 0.25], [0.375, -0.375]]))
    assert math.copysign(1, loss.forward(targets, targets)) == 1  # 0.0, not -0.0
    assert type(loss.forward(targets, targets)) is float


def test_cross_entropy_takes_the_gradient_of_arrays_without_a_forward():
    p, y = [[0.2, 0.8], [0.5, 0.5]], [[1, 0], [0, 1]]
    assert CrossEntropy().backward(p, y) == pytest.approx(np.array([[-0.4, 0.4], [0.25, -0.25]]))


def test_cross_entropy_keeps_what_backward_is_not_given():
    loss, p, y = CrossEntropy(), [[0.2, 0.8], [0.5, 0.5]], [[1, 0], [0, 1]]
    loss.forward(p, y)
    for given in ((), (p,), (None, y)):
        assert loss.backward(*given) == pytest.approx(np.array([[-0.4, 0.4], [0.25, -0.25]]))
    assert loss.backward(y) == pytest.approx(np.zeros((2, 2)))
    assert loss.backward(targets=y[::-1]) == pytest.approx(np.array([[0.1, -0.1], [-0.25, 0.25]]))


@CONTAINERS
def test_the_loss_takes_any_container_of_numbers(convert):
    loss, p, y = CrossEntropy(), convert([[0.25, 0.75], [1, 0]]), convert([[0, 1], [1, 0]])
    right = [[0.125, -0.125], [0, 0]]
    assert loss.forward(p, y) == -np.log(0.75) / 2
    for gradient in (loss.backward(), loss.backward(p, y), CrossEntropy().backward(p, y)):
        assert type(gradient) is np.ndarray
        assert gradient.dtype == np.float64
        assert gradient.tolist() == right


def test_duplicating_the_batch_changes_neither_loss_nor_gradients():
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(6, 3)), np.eye(4)[rng.integers(4, size=6)]
    results = []
    for copies in (1, 2):
        model, loss = MLP(3, [5], 4, rng=0), CrossEntropy()
        value = loss.forward(model.forward(np.tile(x, (copies, 1))), np.tile(targets, (copies, 1)))
        model.backward(loss.backward())
        grads = [grad.ravel() for layer in model.layers[::2] for grad in layer.grads.values()]
        results.append(np.concatenate([[value], *grads]))
    assert results[1] == pytest.approx(results[0], rel=1e-12, abs=1e-15)


@LAYERS
def test_backward_twice_gives_the_same_gradients(kind):
    layer, (x, dout) = make(kind), np.random.default_rng(0).normal(size=(2, 4, 3))
    layer.forward(x)
    dx = layer.backward(dout)
    grads = {name: grad.copy() for name, grad in getattr(layer, "grads", {}).items()}
    assert np.array_equal(layer.backward(dout), dx)
    assert all(np.array_equal(layer.grads[name], grad) for name, grad in grads.items())


@LAYERS
def test_backward_uses_the_latest_forward(kind):
    first, second, dout = np.random.default_rng(0).normal(size=(3, 4, 3))
    used, fresh = make(kind), make(kind)
    used.forward(first)
    used.forward(second)
    fresh.forward(second)
    assert np.array_equal(used.backward(dout), fresh.backward(dout))
    if kind is Linear:
        assert np.array_equal(used.grads["weight"], fresh.grads["weight"])


@LAYERS
def test_what_a_layer_has_returned_does_not_change_with_the_next_batch(kind):
    layer, (first, second) = make(kind), np.random.default_rng(0).normal(size=(2, 2, 4, 3))

    def returned(x, dout):
        return [layer.forward(x), layer.backward(dout), *getattr(layer, "grads", {}).values()]

    kept = returned(*first)
    copies = [array.copy() for array in kept]
    returned(*second)
    assert all(map(np.array_equal, kept, copies))


@LAYERS
def test_layers_change_none_of_their_arguments(kind):
    layer, (x, dout) = make(kind), np.random.default_rng(0).normal(size=(2, 4, 3))
    kept = x.copy(), dout.copy()
    layer.forward(x)
    layer.backward(dout)
    assert np.array_equal((x, dout), kept)


def test_cross_entropy_changes_none_of_its_arguments():
    predictions, targets, loss = np.full((2, 2), 0.5), np.eye(2), CrossEntropy()
    loss.forward(predictions, targets)
    loss.backward()
    assert np.array_equal((predictions, targets), (np.full((2, 2), 0.5), np.eye(2)))


@LAYERS
@CONTAINERS
def test_layers_give_the_answer_of_float64_for_any_container_of_numbers(kind, convert):
    layer, x, dout = make(kind), [[1, -2, 3]], [[4, 0, -1]]
    right = layer.forward(np.array(x, float)), layer.backward(np.array(dout, float))
    got = layer.forward(convert(x)), layer.backward(convert(dout))
    assert np.array(got) == pytest.approx(np.array(right), rel=1e-12)
    for array in got:
        assert type(array) is np.ndarray
        assert array.dtype == np.float64


@CONTAINERS
def test_parameters_may_be_any_container_of_numbers(convert):
    weight, bias = [[1, -2], [3, 4], [0, 5]], [6, 7]
    x, dout = np.random.default_rng(0).normal(size=(2, 4, 3))
    results = []
    for params in (
        [np.array(weight, float), np.array(bias, float)],
        [convert(weight), convert(bias)],
    ):
        model = MLP(3, [], 2)
        linear = model.layers[0]
        linear.params = dict(zip(("weight", "bias"), params, strict=True))
        linear.forward(x)
        dx = linear.backward(dout[:, :2])
        model.update(0.1)
        results.append([linear.forward(x), dx, *linear.grads.values()])
    for got, right in zip(*results[::-1], strict=True):
        assert type(got) is np.ndarray
        assert got.dtype == np.float64
        assert got == pytest.approx(right, rel=1e-12)


@LAYERS
def test_not_a_number_passes_through(kind):
    assert np.isnan(make(kind).forward([[1.0, np.nan, 2.0]])).any()


def test_the_loss_of_not_a_number_is_not_a_number():
    assert math.isnan(CrossEntropy().forward([[np.nan, np.nan]], [[1, 0]]))


@LAYERS
def test_an_empty_batch_has_no_output_and_gradients_of_zero(kind):
    layer, empty = make(kind), np.empty((0, 3))
    assert layer.forward(empty).shape == (0, 3)
    assert layer.backward(empty).shape == (0, 3)
    assert not any(grad.any() for grad in getattr(layer, "grads", {}).values())


@pytest.mark.parametrize("kind", [Linear, ReLU, SoftMax, CrossEntropy])
def test_backward_before_forward_is_a_clear_error(kind):
    args = () if kind is CrossEntropy else (np.ones((1, 3)),)
    with pytest.raises(RuntimeError, match="call forward first"):
        make(kind).backward(*args)


@LAYERS
@pytest.mark.parametrize("shape", [(4, 1), (1, 3), (3,), ()])
def test_a_dout_that_would_broadcast_is_an_error(kind, shape):
    layer = make(kind)
    layer.forward(np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"dout must have shape \(4, 3\), got"):
        layer.backward(np.ones(shape))


@pytest.mark.parametrize(
    "targets",
    [
        [[1.0, 1.0]],
        [[0.0, 0.0]],
        [[0.5, 0.5]],
        [[2.0, -1.0]],
        [[np.nan, 1.0]],
        [1],
        [[1.0, 0.0, 0.0]],
        [[1.0, 0.0], [1.0, 0.0]],
        [],
    ],
)
def test_targets_that_are_not_one_hot_are_an_error_with_the_remedy(targets):
    with pytest.raises(ValueError, match=r"must be one-hot rows, got \(1, 2\) for .* np\.eye\(C\)"):
        CrossEntropy().forward([[0.5, 0.5]], targets)


def test_a_batch_with_one_bad_target_is_an_error():
    with pytest.raises(ValueError, match="one-hot"):
        CrossEntropy().forward(np.full((3, 2), 0.5), [[1, 0], [1, 1], [0, 0]])


def test_the_gradient_of_targets_of_another_shape_is_an_error():
    for targets in (np.eye(2)[:1], np.eye(2)[0], np.eye(3)[[0, 0, 1, 1]]):
        with pytest.raises(ValueError, match=r"predictions must have shape .* got \(4, 2\)"):
            CrossEntropy().backward(np.full((4, 2), 0.5), targets)


@pytest.mark.parametrize("shape", [(0, 2), (2,), (2, 2, 2)])
def test_the_loss_needs_rows_of_classes(shape):
    with pytest.raises(ValueError, match="must be one-hot rows, got"):
        CrossEntropy().forward(np.ones(shape), np.ones(shape))


# Of one row without a batch around it, the gradient would be a scalar, or divided by C.


@pytest.mark.parametrize("shape", [(3,), (2, 2, 3), (3, 3, 3)])
def test_a_gradient_that_would_not_be_summed_over_rows_is_an_error(shape):
    linear, array = Linear(3, 3), np.ones(shape)
    linear.forward(array)
    with pytest.raises(ValueError, match="dout must have a row for each sample, got shape"):
        linear.backward(array)
    with pytest.raises(ValueError, match="predictions must have a row for each sample, got shape"):
        CrossEntropy().backward(array, array)


@pytest.mark.parametrize("kind", [ReLU, SoftMax])
def test_relu_and_softmax_work_on_the_last_axis_of_any_shape(kind):
    layer, (x, dout) = kind(), np.random.default_rng(0).normal(size=(2, 4, 3))
    right = layer.forward(x), layer.backward(dout)
    for shape in ((2, 2, 3), (1, 4, 1, 3)):
        got = layer.forward(x.reshape(shape)), layer.backward(dout.reshape(shape))
        assert np.reshape(got, (2, 4, 3)) == pytest.approx(np.array(right), rel=1e-12)
    for i in range(4):
        got = layer.forward(x[i]), layer.backward(dout[i])
        assert np.array(got) == pytest.approx(np.array(right)[:, i], rel=1e-12)


def test_run_as_a_script_it_says_what_to_run_instead():
    done = subprocess.run([sys.executable, modules.__file__], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("modules.py is no script: run train_mlp_numpy.py")
