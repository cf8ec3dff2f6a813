"""Bugs of backpropagation: the accuracy does not tell them, and the table sets both side by side.

That the gradient check finds every one is tested in test_gradients.py, and in tests/grading that
they are what their names say.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import plots
from experiments import gradient_bugs
from experiments.gradient_bugs import BUGS, CHAOTIC, STEADY, accuracies_with, network_with
from gradient_check import LIMIT
from mlp_numpy import MLP
from train_mlp_numpy import load_data


def test_a_bug_is_in_every_layer_of_its_kind_and_changes_no_prediction():
    x, right = np.random.default_rng(0).normal(size=(5, 2)), network_with(None, 2, [9, 9], 3, rng=0)
    assert type(right) is MLP
    for bug, kind in BUGS.items():
        model = network_with(bug, 2, [9, 9], 3, rng=0)
        for part, ours in zip((model, *model.layers), (right, *right.layers), strict=True):
            assert type(part) is (kind if issubclass(kind, type(ours)) else type(ours)), bug
        assert np.array_equal(model.forward(x), right.forward(x)), bug


def test_the_check_finds_a_late_gradient_by_its_value():
    error = gradient_bugs.gradient_error("Weight gradient of the batch before")
    assert error != 1  # as it would be of one that is compared while it is still zero


def test_a_plausible_accuracy_does_not_tell_a_bug():
    data, seeds = load_data(), [1]
    (right,) = accuracies_with(None, data, seeds)
    assert right > 0.95  # not stuck
    for bug in (  # whatever the processor, nobody would notice these
        "Bias gradient averaged over the batch",
        "Weight gradient of the batch before",
        "Gradient not divided by N",
        "Softmax Jacobian applied twice",
    ):
        assert accuracies_with(bug, data, seeds) > right - 0.04, bug


def test_the_angle_is_that_of_the_right_gradient_to_the_wrong_one():
    data = load_data()
    angles = {bug: gradient_bugs.angle(bug, data) for bug in (None, *BUGS)}
    assert angles[None] == pytest.approx(0, abs=1e-3)
    assert angles["Gradient not divided by N"] == pytest.approx(0, abs=1e-3)  # longer, that is all
    assert min(angles[bug] for bug in {*BUGS} - {"Gradient not divided by N"}) > 0.1
    assert max(angles.values()) < 90  # as the notebook says of those that it shows


def test_the_angle_of_a_gradient_made_by_hand(monkeypatch):
    def backward(self, dout):  # turned about by 180 degrees
        MLP.backward(self, -dout)

    monkeypatch.setitem(BUGS, "a bug", type("MLP", (MLP,), {"backward": backward}))
    assert gradient_bugs.angle("a bug", load_data(n_samples=60)) == pytest.approx(180, abs=1e-3)


@pytest.fixture(scope="module")
def judged():
    return gradient_bugs.verdicts(load_data(n_samples=60), [1, 2], max_steps=1)


def test_the_table_has_a_line_for_the_right_network_and_for_each_bug(judged):
    table = gradient_bugs.verdict_table(judged)
    assert list(table.index) == ["No bug", *BUGS]
    assert [error == "below 1e-07" for error in table["gradient error"]] == [True] + 9 * [False]
    judged = [("a bug", np.array([0.5, 0.7, 0.8]), 33.3, 1e-7)]
    assert gradient_bugs.verdict_table(judged).to_dict("index") == {
        "a bug": {
            "test accuracy, %": "70.0 [50.0, 80.0]",
            "angle": "33°",
            "gradient error": "1.0e-07",
        }
    }


def test_the_bugs_whose_accuracies_depend_on_the_processor_can_be_left_out():
    assert [*STEADY, CHAOTIC] == sorted(BUGS, key=lambda bug: bug == CHAOTIC)
    names = [name for name, *_ in gradient_bugs.verdicts(load_data(), [], STEADY[:2])]
    assert names == ["No bug", *STEADY[:2]]


def test_a_network_that_diverged_is_counted_not_averaged():
    judged = [("a bug", np.array([0.5, np.nan, np.nan]), 0, 0.5)]
    (spread,) = gradient_bugs.verdict_table(judged)["test accuracy, %"]
    assert spread == "2 of 3 diverged"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_gradient_that_is_no_number_is_never_called_right(monkeypatch, value):
    def backward(self, dout):
        MLP.backward(self, dout)
        self.layers[0].grads["bias"] = np.full(7, value)  # the others are right

    monkeypatch.setitem(BUGS, "a bug", type("MLP", (MLP,), {"backward": backward}))
    error = gradient_bugs.gradient_error("a bug")
    assert not error < LIMIT
    (told,) = gradient_bugs.verdict_table([("a bug", np.array([0.5]), 0, error)])["gradient error"]
    assert "below" not in told


def test_the_command_prints_the_verdicts_on_the_report_s_data(monkeypatch, capsys):
    def verdicts(data):
        assert np.array_equal(data.x_train, load_data().x_train)
        return [("a bug", np.array([0.5, 0.6]), 20, 0.5)]

    monkeypatch.setattr(gradient_bugs, "verdicts", verdicts)
    assert gradient_bugs.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["a", "bug", "55.0", "[50.0,", "60.0]", "20°", "5.0e-01"]
    assert lines[2] == "accuracy: median [least, most] of 2 runs"
    assert lines[-1] == "gradient error: that of a right one is below 1e-07"


def test_the_bugs_have_names_even_where_python_drops_docstrings():
    code = "from experiments.gradient_bugs import BUGS; print(len(BUGS))"
    command, folder = [sys.executable, "-OO", "-c", code], Path(plots.__file__).parent
    assert subprocess.check_output(command, cwd=folder, text=True) == "9\n"


def test_the_figure_has_every_accuracy_and_marks_the_wrong_gradients(judged):
    figure = gradient_bugs.verdict_figure(judged, "the title")
    left, right = figure.axes
    assert figure.get_suptitle() == "the title"
    assert [axes.get_title() for axes in figure.axes] == [
        "What the accuracy says",
        "What the gradient check says",
    ]
    assert left.get_xlabel() == "test accuracy (%), darker where runs agree"
    assert right.get_xlabel() == "relative error"
    assert left.get_ylim()[0] > left.get_ylim()[1]  # the first line is on top
    assert [label.get_text() for label in left.get_yticklabels()] == ["No bug", *BUGS]
    for i, (dots, (_, accuracies, *_)) in enumerate(zip(left.lines, judged, strict=True)):
        assert dots.get_xdata() == pytest.approx(100 * accuracies)
        assert set(dots.get_ydata()) == {i}
    *errors, limit = right.lines
    assert [mark.get_xydata().tolist() for mark in errors] == [
        [[error, i]] for i, (*_, error) in enumerate(judged)
    ]
    assert [mark.get_marker() for mark in errors] == ["o"] + 9 * ["X"]
    assert [mark.get_color() for mark in errors] == [plots.GOOD] + 9 * [plots.BAD]
    assert (right.get_xscale(), set(limit.get_xdata())) == ("log", {LIMIT})


def test_a_network_that_diverges_has_no_accuracy():
    bug, options = "Gradient not divided by N", {"max_steps": 5, "learning_rate": 1e300}
    assert np.isnan(accuracies_with(bug, load_data(n_samples=60), [0], **options)).all()
