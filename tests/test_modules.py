"""Part II: claims about the layers, above all that their gradients are right."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import gradient_check
from gradient_check import LIMIT, check_all, check_layer, relative_error
from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax


@pytest.mark.parametrize("seed", range(5))
def test_every_gradient_agrees_with_central_differences(seed):
    checks = check_all(seed)
    assert len(checks) == 46
    assert {check.subject: check.error for check in checks if not check.error < LIMIT} == {}


@pytest.fixture
def batch():
    """Rows, a Linear layer with a bias that is not zero, and a random upstream gradient."""
    rng = np.random.default_rng(0)
    layer = Linear(3, 4, rng)
    layer.params["bias"] = rng.normal(size=4)
    return rng.normal(size=(5, 3)), layer, rng.normal(size=(5, 4))


class AveragedBias(Linear):
    def backward(self, dout, input_gradient=True):
        dx = super().backward(dout, input_gradient)
        self.grads["bias"] = dout.mean(axis=0)
        return dx


class Accumulating(Linear):
    def backward(self, dout, input_gradient=True):
        before = self.grads["weight"]
        dx = super().backward(dout, input_gradient)
        self.grads["weight"] = before + 1e-4 * self.grads["weight"]
        return dx


class OneElementWrong(Linear):
    def backward(self, dout, input_gradient=True):
        dx = super().backward(dout, input_gradient)
        dx[2, 1] *= 1.001
        return dx


class NotANumber(Linear):
    def backward(self, dout, input_gradient=True):
        return np.nan * super().backward(dout, input_gradient)


class Leaky(ReLU):
    def backward(self, dout):
        return dout * np.where(self.x > 0, 1, 0.01)


class PassesThrough(SoftMax):
    def backward(self, dout):
        return dout


@pytest.mark.parametrize(
    "layer",
    [
        AveragedBias(3, 4),
        Accumulating(3, 4),
        OneElementWrong(3, 4),
        NotANumber(3, 4),
        Leaky(),
        PassesThrough(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_the_check_fails_on_a_wrong_gradient(layer):
    rng = np.random.default_rng(0)
    checks = check_layer(layer, rng.normal(size=(5, 3)), rng)
    assert not all(check.error < LIMIT for check in checks)


def test_the_check_of_networks_fails_when_the_softmax_is_applied_twice(monkeypatch):
    def backward(self, dout):
        for layer in reversed(self.layers):
            dout = layer.backward(dout)

    monkeypatch.setattr(MLP, "backward", backward)
    checks = gradient_check.check_network(3, (4,), 3, np.random.default_rng(0))
    assert min(check.error for check in checks) > LIMIT


def test_the_check_fails_and_ends_when_relu_overwrites_its_input(monkeypatch):
    def forward(self, x):
        self.x = x
        return np.maximum(x, 0.0, out=x)

    monkeypatch.setattr(ReLU, "forward", forward)
    with pytest.raises(RuntimeError, match=r"does ReLU\.forward keep its input as it was"):
        gradient_check.check_network(3, (4,), 3, np.random.default_rng(0))


@pytest.mark.parametrize("seed", [16, 39, 88, 117, 164, 192])
def test_networks_that_cannot_be_checked_are_drawn_anew(seed):
    assert all(check.error < LIMIT for check in check_all(seed))


def test_networks_are_checked_with_biases_in_every_element(monkeypatch):
    seen = []
    monkeypatch.setattr(
        gradient_check,
        "check_params",
        lambda subject, layer, loss: seen.append(layer.params) or [],
    )
    gradient_check.check_network(3, (7, 6), 2, np.random.default_rng(0))
    assert [params["weight"].shape for params in seen] == [(3, 7), (7, 6), (6, 2)]
    assert all((params["bias"] != 0).all() for params in seen)


def test_every_element_is_compared():
    sizes = {"Linear": 12 + 3 + 20, "MLP 3-7-6-2": 3 * 7 + 7 + 7 * 6 + 6 + 6 * 2 + 2}
    for subject, size in sizes.items():
        assert sum(c.elements for c in check_all() if c.subject == subject) == size


def test_the_command_fails_when_a_gradient_is_wrong(monkeypatch, capsys):
    monkeypatch.setattr(gradient_check, "SoftMax", PassesThrough)
    assert gradient_check.main([]) == 1
    assert "1 of 46 gradients above 1e-07" in capsys.readouterr().out


def test_relative_error_of_known_arrays():
    assert relative_error(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 0.5
    assert relative_error(np.array([1.0]), np.array([1.0])) == 0
    assert relative_error(np.zeros(3), np.zeros(3)) == math.inf
    assert relative_error(np.array([np.nan]), np.array([1.0])) == math.inf
    assert relative_error(np.array([1.0]), np.array([np.nan])) == math.inf
    with pytest.raises(ValueError, match=r"shape \(1, 2\), expected \(2, 1\)"):
        relative_error(np.zeros((1, 2)), np.zeros((2, 1)))


def test_linear_worked_by_hand():
    layer = Linear(2, 3)
    layer.params["weight"] = np.array([[1, 2, 3], [4, 5, 6]])
    layer.params["bias"] = np.array([10, 20, 30])
    assert layer.forward([[1, 0], [1, 1]]).tolist() == [[11, 22, 33], [15, 27, 39]]
    dx = layer.backward(np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]))
    assert dx.tolist() == [[1, 4], [6, 12]]
    assert layer.grads["weight"].tolist() == [[1, 0, 2], [0, 0, 2]]
    assert layer.grads["bias"].tolist() == [1, 0, 2]


def test_linear_starts_with_normal_weights_of_scale_a_tenth_and_no_bias():
    layer = Linear(300, 400, rng=0)
    assert layer.params["weight"].mean() == pytest.approx(0, abs=0.002)
    assert layer.params["weight"].std() == pytest.approx(0.1, rel=0.02)
    assert not layer.params["bias"].any()
    for name, param in layer.params.items():
        assert layer.grads[name].shape == param.shape


def test_the_input_gradient_is_left_out_when_not_wanted(batch):
    x, layer, dout = batch
    layer.forward(x)
    layer.backward(dout)
    wanted = dict(layer.grads)
    assert layer.backward(dout, input_gradient=False) is None
    for name, gradient in wanted.items():
        assert np.array_equal(layer.grads[name], gradient)


def test_relu_and_its_derivative_are_zero_at_zero():
    relu = ReLU()
    assert relu.forward(np.array([[-2.0, 0.0, 3.0]])).tolist() == [[0, 0, 3]]
    assert relu.backward(np.array([[5.0, 5.0, 5.0]])).tolist() == [[0, 0, 5]]


def test_softmax_of_known_logits():
    probabilities = SoftMax().forward(np.log([[1.0, 2.0, 5.0], [3.0, 3.0, 3.0]]))
    assert probabilities == pytest.approx(np.array([[1 / 8, 2 / 8, 5 / 8], [1 / 3, 1 / 3, 1 / 3]]))


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e3, 1e8])
def test_rows_of_softmax_are_probabilities(scale):
    logits = scale * np.random.default_rng(0).normal(size=(50, 7))
    probabilities = SoftMax().forward(logits)
    assert (probabilities >= 0).all()
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(50), rel=1e-14)
    assert np.array_equal(probabilities.argmax(axis=1), logits.argmax(axis=1))


def test_softmax_ignores_a_shift_of_a_row():
    logits = np.random.default_rng(0).normal(size=(4, 3))
    shifted = logits + np.array([[0.0], [50.0], [-700.0], [1000.0]])
    assert SoftMax().forward(shifted) == pytest.approx(SoftMax().forward(logits), rel=1e-12)


def test_rows_of_very_different_size_do_not_spoil_each_other():
    assert SoftMax().forward(np.array([[1000.0, 1000.0], [-1000.0, -1000.0]])).tolist() == [
        [0.5, 0.5],
        [0.5, 0.5],
    ]


def test_logits_of_a_thousand_give_a_finite_loss_and_gradient():
    logits = np.array([[1000.0, -1000.0], [1000.0, -1000.0], [-1000.0, 1000.0]])
    targets = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    loss = CrossEntropy()
    # The second row is certain of the wrong class; its probability of 0 is clipped to 1e-15.
    assert loss.forward(SoftMax().forward(logits), targets) == pytest.approx(-math.log(1e-15) / 3)
    assert loss.backward() == pytest.approx(np.array([[0, 0], [1, -1], [0, 0]]) / 3)


def test_cross_entropy_of_known_probabilities():
    targets = np.eye(2)[[0, 1]]
    assert CrossEntropy().forward([[0.5, 0.5], [0.75, 0.25]], targets) == pytest.approx(
        1.5 * math.log(2)
    )
    perfect = CrossEntropy().forward(targets, targets)
    assert perfect == 0
    assert math.copysign(1, perfect) == 1  # not -0.0


def test_cross_entropy_gradient_is_p_minus_y_over_n():
    loss = CrossEntropy()
    predictions, targets = np.array([[0.2, 0.8], [0.5, 0.5]]), np.eye(2)
    loss.forward(predictions, targets)
    assert loss.backward() == pytest.approx(np.array([[-0.4, 0.4], [0.25, -0.25]]))
    assert np.array_equal(CrossEntropy().backward(predictions, targets), loss.backward())


def network_gradients(x, targets, rng=0):
    """Return the loss of a 3-5-4 network and the gradients of its parameters."""
    model, loss = MLP(3, [5], 4, rng=rng), CrossEntropy()
    value = loss.forward(model.forward(x), targets)
    model.backward(loss.backward())
    return value, [grad for layer in model.layers[::2] for grad in layer.grads.values()]


def test_duplicating_the_batch_changes_neither_loss_nor_gradients():
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(6, 3)), np.eye(4)[rng.integers(4, size=6)]
    once = network_gradients(x, targets)
    twice = network_gradients(np.tile(x, (2, 1)), np.tile(targets, (2, 1)))
    assert twice[0] == pytest.approx(once[0], rel=1e-14)
    for a, b in zip(once[1], twice[1], strict=True):
        assert b == pytest.approx(a, rel=1e-12, abs=1e-16)


def test_backward_twice_gives_the_same_gradients(batch):
    x, layer, dout = batch
    layer.forward(x)
    dx = layer.backward(dout)
    grads = {name: gradient.copy() for name, gradient in layer.grads.items()}
    assert np.array_equal(layer.backward(dout), dx)
    for name, gradient in grads.items():
        assert np.array_equal(layer.grads[name], gradient)


@pytest.mark.parametrize("make", [lambda: Linear(3, 3, 0), ReLU, SoftMax])
def test_backward_uses_the_latest_forward(make):
    rng = np.random.default_rng(0)
    first, second, dout = rng.normal(size=(3, 4, 3))
    used, fresh = make(), make()
    used.forward(first)
    used.forward(second)
    fresh.forward(second)
    assert np.array_equal(used.backward(dout), fresh.backward(dout))
    if isinstance(used, Linear):
        assert np.array_equal(used.grads["weight"], second.T @ dout)


def test_the_loss_uses_its_latest_forward():
    loss = CrossEntropy()
    loss.forward([[0.5, 0.5]], [[1.0, 0.0]])
    loss.forward([[0.25, 0.75]], [[0.0, 1.0]])
    assert loss.backward().tolist() == [[0.25, -0.25]]


@pytest.mark.parametrize(
    "layer", [Linear(3, 3, 0), ReLU(), SoftMax()], ids=lambda x: type(x).__name__
)
def test_layers_change_none_of_their_arguments(layer):
    rng = np.random.default_rng(0)
    x, dout = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    kept_x, kept_dout = x.copy(), dout.copy()
    layer.forward(x)
    layer.backward(dout)
    assert np.array_equal(x, kept_x)
    assert np.array_equal(dout, kept_dout)


def test_cross_entropy_changes_none_of_its_arguments():
    predictions, targets = np.full((2, 2), 0.5), np.eye(2)
    loss = CrossEntropy()
    loss.forward(predictions, targets)
    loss.backward()
    loss.backward(predictions, targets)
    assert np.array_equal(predictions, np.full((2, 2), 0.5))
    assert np.array_equal(targets, np.eye(2))


@pytest.mark.parametrize("kind", [Linear, ReLU, SoftMax])
def test_backward_before_forward_is_a_clear_error(kind):
    layer = Linear(2, 2) if kind is Linear else kind()
    with pytest.raises(RuntimeError, match=f"{type(layer).__name__}.backward .* call forward"):
        layer.backward(np.ones((1, 2)))


@pytest.mark.parametrize(
    "layer", [Linear(2, 2, 0), ReLU(), SoftMax()], ids=lambda x: type(x).__name__
)
def test_lists_do_as_well_as_arrays(layer):
    x, dout = [[1.0, -2.0]], [[0.5, 0.25]]
    out, dx = layer.forward(x), layer.backward(dout)
    assert np.array_equal(layer.forward(np.array(x)), out)
    assert np.array_equal(layer.backward(np.array(dout)), dx)


def test_the_gradient_of_targets_that_do_not_fit_is_an_error():
    predictions = np.full((4, 2), 0.5)
    for targets in (np.eye(2)[:1], np.eye(2)[0], np.eye(3)[[0, 0, 1, 1]]):
        with pytest.raises(ValueError, match=r"must have the same shape \(N, C\), got \(4, 2\)"):
            CrossEntropy().backward(predictions, targets)
    with pytest.raises(RuntimeError, match="or pass both"):
        CrossEntropy().backward(predictions)


def test_cross_entropy_backward_before_forward_is_a_clear_error():
    with pytest.raises(RuntimeError, match="call forward"):
        CrossEntropy().backward()


@pytest.mark.parametrize("kind", [Linear, ReLU, SoftMax])
def test_a_gradient_of_the_wrong_shape_is_an_error(kind):
    layer = Linear(3, 2) if kind is Linear else kind()
    layer.forward(np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"dout must have the output's shape .* got \(4, 1\)"):
        layer.backward(np.ones((4, 1)))


@pytest.mark.parametrize("shape", [(3,), (4, 2), (2, 4, 3)])
def test_linear_takes_rows_of_its_features_only(shape):
    with pytest.raises(ValueError, match=r"x must be \(N, 3\), got"):
        Linear(3, 2).forward(np.ones(shape))


def test_softmax_takes_rows_only():
    with pytest.raises(ValueError, match=r"x must have shape \(N, C\), got \(2,\)"):
        SoftMax().forward([1.0, 2.0])


@pytest.mark.parametrize("size", [0, -1, 2.0, "3", None])
def test_linear_needs_whole_sizes(size):
    with pytest.raises(ValueError, match="in_features must be a whole number of at least 1"):
        Linear(size, 1)
    with pytest.raises(ValueError, match="out_features must be a whole number of at least 1"):
        Linear(1, size)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([[1.0, 1.0]], "one-hot, .* row 0"),
        ([[0.0, 0.0]], "one-hot"),
        ([[0.5, 0.5]], "one-hot"),
        ([[2.0, -1.0]], "one-hot"),
        ([[np.nan, 1.0]], "one-hot"),
        ([1.0, 0.0], r"shape \(N, C\) with N > 0, got \(2,\)"),
        (np.empty((0, 2)), "N > 0"),
        ([[1.0, 0.0, 0.0]], r"same shape \(N, C\), got \(1, 2\) and \(1, 3\)"),
        ([[1.0, 0.0], [1.0, 0.0]], "same shape"),
    ],
)
def test_targets_that_are_not_one_hot_are_an_error(targets, message):
    with pytest.raises(ValueError, match=message):
        CrossEntropy().forward([[0.5, 0.5]], targets)


def test_the_row_that_is_not_one_hot_is_named():
    targets = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]]
    with pytest.raises(ValueError, match=r"targets must be one-hot, .* got \[1\. 1\.\] in row 2;"):
        CrossEntropy().forward(np.full((4, 2), 0.5), targets)
    targets[2] = [0.5, 0.5]
    with pytest.raises(ValueError, match=r"got \[0\.5 0\.5\] in row 2;"):
        CrossEntropy().forward(np.full((4, 2), 0.5), targets)


@pytest.mark.parametrize("kind", [Linear, ReLU, SoftMax])
def test_numbers_of_any_kind_are_taken_in_double_precision(kind):
    layer = Linear(2, 2, rng=0) if kind is Linear else kind()
    x, dout = [[0.5, 3.0], [-1.0, 0.0]], [[1.0, -2.0], [0.25, 4.0]]
    expected = layer.forward(np.array(x)), layer.backward(np.array(dout))
    for number in (Fraction, np.float32, Decimal):
        given = [[[number(value) for value in row] for row in rows] for rows in (x, dout)]
        for got, right in zip(
            (layer.forward(given[0]), layer.backward(given[1])), expected, strict=True
        ):
            assert got.dtype == np.float64
            assert np.array_equal(got, right)


def test_the_loss_takes_numbers_of_any_kind_too():
    loss = CrossEntropy()
    predictions = [[Fraction(1, 4), Fraction(3, 4)]]
    assert loss.forward(predictions, [[Fraction(0), Fraction(1)]]) == -np.log(0.75)
    assert loss.backward().dtype == np.float64
    assert loss.backward().tolist() == [[0.25, -0.25]]
