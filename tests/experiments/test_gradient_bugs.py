"""Bugs of backpropagation: the accuracy does not tell them, and the table sets both side by side.

That the gradient check finds every one is tested in test_gradients.py, and in tests/grading that
they are what their names say.
"""

import numpy as np
import pytest

import plots
from experiments import gradient_bugs
from experiments.gradient_bugs import BUGS, Bug, Verdict, accuracies_with, angle
from gradient_check import LIMIT
from mlp_numpy import MLP
from tests.helpers import grads_of, pixels, small_batch
from train_mlp_numpy import load_data


def gradients_with(bug):
    """Return the gradients, layer by layer, of a network with two hidden layers and this bug."""
    x, targets = small_batch()
    model = gradient_bugs.network_with(bug, 3, [9, 8], 4, rng=0)
    gradient_bugs.gradient_of(model, x, targets)
    return grads_of(model)


def test_a_bug_of_a_layer_is_in_each_of_its_kind():
    right = gradients_with(None)
    wrong = gradients_with("Bias gradient missing")
    for right_bias, wrong_bias in zip(right[1::2], wrong[1::2], strict=True):
        assert right_bias.any()
        assert not wrong_bias.any()


@pytest.fixture(scope="module")
def right_accuracy():
    (accuracy,) = accuracies_with(None, load_data(), [1])
    assert accuracy > 0.95  # this run is not stuck
    return accuracy


@pytest.mark.parametrize(
    "bug",
    [
        "Bias gradient averaged over the batch",
        "Weight gradient of the batch before",
        "Gradient not divided by N",
        "Softmax Jacobian applied twice",
    ],
)
def test_a_plausible_accuracy_does_not_tell_a_bug(bug, right_accuracy):
    (accuracy,) = accuracies_with(bug, load_data(), [1])
    assert accuracy > right_accuracy - 0.04


def test_the_right_gradient_makes_no_angle_with_itself_nor_does_a_longer_one():
    data = load_data()
    assert angle(None, data) == pytest.approx(0, abs=1e-3)
    assert angle("Gradient not divided by N", data) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug != "Gradient not divided by N"])
def test_a_wrong_gradient_still_leads_downhill(bug):
    assert 0.1 < angle(bug, load_data()) < 90


def test_a_gradient_turned_about_makes_an_angle_of_180_degrees(monkeypatch):
    def turned_about(self, dout):
        MLP.backward(self, -dout)

    monkeypatch.setitem(BUGS, "a bug", Bug(MLP, turned_about))
    assert angle("a bug", load_data(n_samples=60)) == pytest.approx(180, abs=1e-3)


def test_the_settings_hold_for_the_accuracies_and_for_the_angle():
    bug = "ReLU mask missing"
    data = load_data(n_samples=60)
    settings = {"n_hidden": [4], "batch_size": None, "learning_rate": 0.5}
    verdict = gradient_bugs.verdicts(data, [1, 2], [bug], max_steps=9, **settings)[1]
    accuracies = accuracies_with(bug, data, [1, 2], max_steps=9, **settings)
    assert verdict.accuracies.tolist() == accuracies.tolist()
    assert verdict.angle == angle(bug, data, **settings)
    assert verdict.angle != angle(bug, data)


@pytest.fixture(scope="module")
def judged():
    return gradient_bugs.verdicts(load_data(n_samples=60), [1, 2], max_steps=1)


def test_the_table_has_a_line_for_the_right_network_and_for_each_bug(judged):
    errors = gradient_bugs.verdict_table(judged)["gradient error"]
    assert list(errors.index) == ["No bug", *BUGS]
    assert errors["No bug"] == "below 1e-07"
    assert "below 1e-07" not in errors[1:].tolist()


def test_a_network_that_diverged_is_counted_not_averaged():
    data = load_data(n_samples=60)
    accuracies = accuracies_with(None, data, [0, 1], learning_rate=1e300, max_steps=5)
    accuracies = [0.5, *accuracies]
    judged = [Verdict("a bug", np.array(accuracies), 0, 0.5)]
    (spread,) = gradient_bugs.verdict_table(judged)["test accuracy, %"]
    assert spread == "2 of 3 diverged"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_no_number_is_never_called_right(monkeypatch, value):
    def with_value_in_a_bias(self, dout):
        MLP.backward(self, dout)
        self.layers[0].grads["bias"] = np.full(7, value)  # the others are right

    monkeypatch.setitem(BUGS, "a bug", Bug(MLP, with_value_in_a_bias))
    error = gradient_bugs.gradient_error("a bug")
    table = gradient_bugs.verdict_table([Verdict("a bug", np.array([0.5]), 0, error)])
    assert "below" not in table["gradient error"]["a bug"]


def test_the_figure_has_every_accuracy_and_marks_the_wrong_gradients(judged):
    figure = gradient_bugs.verdict_figure(judged, "the title")
    pixels(figure)
    left, right = figure.axes
    assert figure.get_suptitle() == "the title"
    names = [label.get_text() for label in left.get_yticklabels()]
    for i, verdict in enumerate(judged):
        assert names[i] == verdict.name
        dots = left.lines[i].get_xydata()
        assert dots[:, 0].tolist() == (100 * verdict.accuracies).tolist()
        assert set(dots[:, 1]) == {i}
        mark = right.lines[i]
        assert mark.get_xydata().tolist() == [[verdict.error, i]]
        assert mark.get_color() == (plots.GOOD if verdict.name == "No bug" else plots.BAD)
    limit = right.lines[-1]
    assert set(limit.get_xdata()) == {LIMIT}


def test_the_command_prints_the_verdicts_on_the_report_s_data(monkeypatch, capsys):
    def verdicts(data):
        assert np.array_equal(data.x_train, load_data().x_train)
        return [Verdict("a bug", np.array([0.7, 0.5, 0.8]), 33.3, 0.5)]

    monkeypatch.setattr(gradient_bugs, "verdicts", verdicts)
    assert gradient_bugs.main([]) == 0
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split() == ["a", "bug", "70.0", "[50.0,", "80.0]", "33°", "5.0e-01"]
