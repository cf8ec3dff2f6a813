"""Part II: the planted bugs are real, go unnoticed by the accuracy and are found by the check."""

import numpy as np
import pytest

import backprop_bugs
from backprop_bugs import BUGS, accuracies_with, gradient_error, network_with
from gradient_check import LIMIT
from mlp_numpy import MLP
from train_mlp_numpy import load_data, train


def test_the_check_passes_what_is_right_and_finds_every_bug():
    assert gradient_error(None) < LIMIT
    assert len(BUGS) == 9
    for bug in BUGS:
        assert gradient_error(bug) > 0.1, bug


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
    rng = np.random.RandomState(3)
    history = train(MLP(2, [20], 2, rng), data, max_steps=30, rng=rng)
    assert ours == history["test_accuracy"][-1]


def test_most_bugs_reach_a_plausible_accuracy():
    medians = {name: np.median(a) for name, a, _ in backprop_bugs.measure(load_data(), [1])}
    assert len(medians) == 10
    right = medians.pop("No bug")
    assert sum(accuracy > right - 0.05 for accuracy in medians.values()) > len(medians) / 2
    assert max(medians.values()) > right  # one of them even looks better


def test_a_network_that_diverges_has_no_accuracy():
    (accuracy,) = accuracies_with(
        "Gradient not divided by N", load_data(n_samples=60), [0], max_steps=5, learning_rate=1e300
    )
    assert np.isnan(accuracy)
    assert "nan" in backprop_bugs.table_row("name", np.array([accuracy]), 1.0)


@pytest.mark.parametrize(("error", "text"), [(9e-8, "below 1e-07"), (1e-7, "1.0e-07")])
def test_the_table_tells_no_rounding_errors_apart(error, text):
    assert backprop_bugs.table_row("name", np.array([0.5]), error).split("  ")[-1].strip() == text
