"""Bugs of backpropagation: the accuracy does not tell them, and the table sets both side by side.

That the gradient check finds every one is tested in test_gradients.py, and in tests/grading that
they are what their names say.
"""

from pathlib import Path

import numpy as np
import pytest

import plots
from experiments import gradient_bugs
from experiments.gradient_bugs import BUGS, STEADY, Verdict, angle
from gradient_check import LIMIT
from tests.helpers import pixels
from train_mlp_numpy import load_data


def test_the_right_gradient_makes_no_angle_with_itself_nor_does_a_longer_one():
    data = load_data()
    assert angle(None, data) == pytest.approx(0, abs=1e-3)
    assert angle("Gradient not divided by N", data) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("bug", [bug for bug in BUGS if bug != "Gradient not divided by N"])
def test_a_wrong_gradient_still_leads_downhill(bug):
    assert 0.1 < angle(bug, load_data()) < 90


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
    right, _ = gradient_bugs.verdicts(
        data, [0, 1], ["ReLU mask missing"], learning_rate=1e300, max_steps=5
    )
    accuracies = np.array([0.5, *right.accuracies])
    table = gradient_bugs.verdict_table([Verdict("a bug", accuracies, 0, 0.5)])
    assert table["test accuracy, %"].tolist() == ["2 of 3 diverged"]


def test_five_networks_are_trained_with_each_bug(monkeypatch):
    n_trained = []
    train = gradient_bugs.accuracies_with

    def counted(bug, data, seeds, **options):
        n_trained.append(len(seeds))
        return train(bug, data, [], **options)

    monkeypatch.setattr(gradient_bugs, "accuracies_with", counted)
    gradient_bugs.verdicts(load_data(n_samples=60), bugs=["ReLU mask missing"])
    assert n_trained == [5, 5]


@pytest.mark.slow
def test_the_table_of_the_readme_is_what_the_command_prints():
    readme = Path(gradient_bugs.__file__).with_name("README.md").read_text(encoding="utf-8")
    judged = gradient_bugs.verdicts(load_data(), bugs=STEADY)
    table = gradient_bugs.verdict_table(judged)
    rows = {line[:40].strip(): line[40:].split() for line in readme.splitlines()}
    for name, cells in table.iterrows():
        assert rows[name] == " ".join(cells).split(), name


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
