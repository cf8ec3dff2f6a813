"""Part II: the planted bugs are real, go unnoticed by the accuracy and are found by the check."""

import numpy as np
import pytest

import backprop_bugs
from backprop_bugs import BUGS, accuracies_with, gradient_error, network_with, table
from gradient_check import LIMIT
from mlp_numpy import MLP
from train_mlp_numpy import load_data, train


def test_the_check_passes_what_is_right_and_finds_every_bug():
    assert gradient_error(None) < LIMIT
    assert len(BUGS) == 9
    for bug in BUGS:
        assert gradient_error(bug) > 0.1, bug


def linear_grads(x, dout):
    return {"weight": x.T @ dout, "bias": dout.sum(axis=0)}


# What each bug in a Linear makes of its gradients, and each in a ReLU of the way back.
LINEAR = {
    "Bias gradient missing": lambda x, dout, grads: {"bias": np.zeros(4)},
    "Bias gradient averaged over the batch": lambda x, dout, grads: {"bias": grads["bias"] / 5},
    "Weight gradient transposed and reshaped": lambda x, dout, grads: {
        "weight": grads["weight"].T.reshape(3, 4)
    },
    "Weight gradient of the step before": lambda x, dout, grads: {
        "weight": linear_grads(2 * x, dout)["weight"]
    },
}
RELU = {
    "ReLU mask missing": lambda x, dout: dout,
    "ReLU mask inverted": lambda x, dout: np.where(x > 0, 0, dout),
    "ReLU mask taken from dout": lambda x, dout: np.maximum(dout, 0),
}
NETWORK = {
    "Gradient not divided by N": lambda s, dlogits: 5 * dlogits,
    "Softmax Jacobian applied twice": lambda s, dlogits: np.stack(
        [(np.diag(p) - np.outer(p, p)) @ d for p, d in zip(s, dlogits, strict=True)]
    ),
}


def test_every_bug_is_compared_with_its_formula():
    assert {*LINEAR, *RELU, *NETWORK} == {*BUGS}


@pytest.mark.parametrize("bug", LINEAR)
def test_a_bug_of_linear_is_what_its_name_says(bug):
    rng = np.random.default_rng(0)
    layer, x, dout = BUGS[bug](3, 4, rng=0), rng.normal(size=(5, 3)), rng.normal(size=(5, 4))
    for batch in (2 * x, x):
        layer.forward(batch)
        dx = layer.backward(dout)
    grads = linear_grads(x, dout)
    for name, gradient in (grads | LINEAR[bug](x, dout, grads)).items():
        assert layer.grads[name] == pytest.approx(gradient), name
    assert dx == pytest.approx(dout @ layer.params["weight"].T)


@pytest.mark.parametrize("bug", RELU)
def test_a_bug_of_relu_is_what_its_name_says(bug):
    rng = np.random.default_rng(0)
    layer, x, dout = BUGS[bug](), 3 * rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
    layer.forward(x)
    assert np.array_equal(layer.backward(dout), RELU[bug](x, dout))


@pytest.mark.parametrize("bug", NETWORK)
def test_a_bug_of_the_network_is_what_its_name_says(bug):
    rng = np.random.default_rng(0)
    x, dlogits = rng.normal(size=(5, 2)), rng.normal(size=(5, 3))
    wrong, right = (network_with(name, 2, [20], 3, rng=0) for name in (bug, None))
    wrong.forward(x)
    wrong.backward(dlogits)
    right.backward(NETWORK[bug](right.forward(x), dlogits))
    for k in (0, 2):
        for name, gradient in right.layers[k].grads.items():
            assert wrong.layers[k].grads[name] == pytest.approx(gradient), (k, name)


def test_the_check_finds_a_late_gradient_by_its_value():
    error = gradient_error("Weight gradient of the step before")
    assert error != 1  # as it would be of one that is compared while it is still zero


def test_a_bug_changes_the_way_back_and_nothing_else():
    x = np.random.default_rng(0).normal(size=(5, 2))
    right = MLP(2, [20], 3, rng=0)
    for bug in BUGS:
        wrong = network_with(bug, 2, [20], 3, rng=0)
        assert np.array_equal(wrong.forward(x), right.forward(x)), bug


def test_without_a_bug_the_network_is_the_project_s_own():
    data = load_data(n_samples=60)
    model = network_with(None, 2, [20], 2, rng=3)
    assert type(model) is MLP
    (ours,) = accuracies_with(None, data, [3], max_steps=30)
    rng, options = np.random.RandomState(3), {"batch_size": 16, "learning_rate": 0.1}
    history = train(MLP(2, [20], 2, rng), data, max_steps=30, rng=rng, **options)
    assert ours == history["test_accuracy"][-1]


def test_most_bugs_reach_a_plausible_accuracy():
    accuracies = {name: a for name, a, _ in backprop_bugs.measure(load_data(), [1])}
    assert len(accuracies) == 10
    right = accuracies.pop("No bug")
    assert right > 0.95  # not stuck
    assert sum(a > right - 0.02 for a in accuracies.values()) == 4  # as if nothing were wrong
    assert sum(a > 0.85 for a in accuracies.values()) == 7  # as the report has it, or better


def test_a_network_that_diverges_has_no_accuracy():
    (accuracy,) = accuracies_with(
        "Gradient not divided by N", load_data(n_samples=60), [0], max_steps=5, learning_rate=1e300
    )
    assert np.isnan(accuracy)
    assert "nan" in list(table([("name", np.array([accuracy]), 1.0)]))[1]


@pytest.mark.parametrize(("error", "text"), [(9e-8, "below 1e-07"), (1e-7, "1.0e-07")])
def test_the_table_tells_no_rounding_errors_apart(error, text):
    heading, row, footer = table([("name", np.array([0.5, 0.7, 0.8]), error)])
    assert heading.split() == ["test", "accuracy,", "%", "gradient", "error"]
    assert row.split("  ")[-1].strip() == text
    assert "70.0 [50.0, 80.0]" in row
    assert "of 3 runs" in footer
