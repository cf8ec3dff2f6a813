"""What only the notebook needs: each part shows what it says."""

import inspect

import numpy as np

from experiments import report
from experiments.notebook import final_numbers, show_source
from modules import ReLU
from train_mlp_numpy import train_epoch


def test_a_formula_stands_above_the_source_as_it_stands():
    from bs4 import BeautifulSoup

    shown = show_source(("y < 2\nz", train_epoch), ("max(0, x)", ReLU.forward)).data
    page = BeautifulSoup(shown, "html.parser")
    assert [name.get_text() for name in page.find_all("b")] == ["train_epoch", "ReLU.forward"]
    first, second = page.find_all("blockquote")
    assert first.get_text("\n").splitlines() == ["y < 2", "z"]
    assert second.get_text() == "max(0, x)"
    epoch, forward = page.select("pre code")
    assert epoch.get_text() == inspect.getsource(train_epoch)
    assert forward.get_text().startswith("def forward(self, x):\n    ")  # at the left margin


def test_the_final_numbers_are_the_last_of_each_history_and_those_of_the_report():
    history = {
        "train_loss": np.array([1, 0.12346]),
        "train_accuracy": np.array([0, 0.5]),
        "test_loss": np.array([2, 0.25]),
        "test_accuracy": np.array([0, 0.75]),
    }
    table = final_numbers({"ours": history}, with_report=True)
    assert table["ours"].tolist() == [0.1235, 0.5, 0.25, 0.75]
    assert table["report: full batch"].to_dict() == report.FULL_BATCH


def test_settings_are_the_report_s_only_if_each_of_them_is():
    assert report.has_settings("moons", 1_000, 0.20, 42, 20, 1e-2, 1500)
    assert not report.has_settings("moons", 1_000, 0.21, 42, 20, 1e-2, 1500)
    assert not report.has_settings("moons", 1_000, 0.20, 42, 20, 1e-2, 1499)
