"""Part III: how runs spread, in tables and in figures."""

import threading
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from matplotlib.markers import CARETUPBASE

from experiments.runs import compare, train_from_seed
from experiments.spread import ends_of, histories_of, summarise, text_table
from experiments.spread_figures import ends_figure, figure_4
from experiments.study import read_runs
from tests.experiments.tables import runs_of
from train_mlp_numpy import METRICS, load_data

FIGURES = Path(__file__).parent.parent.parent / "figures"


def synthetic(n_runs, names=("16", "full")):
    """Return histories in which all metrics at epoch e are e + seed / 100; 1 more in each size."""
    rows = []
    for i, name in enumerate(names):
        for seed in range(n_runs):
            for epoch in (0, 2, 3):
                row = {"batch_size": name, "seed": seed, "epoch": epoch}
                for metric in METRICS:
                    row[metric] = epoch + seed / 100 + i
                rows.append(row)
    return pd.DataFrame(rows)


def legend_texts(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


# Tables


def test_compare_returns_a_run_for_each_batch_size_and_seed():
    data = load_data(n_samples=40)
    runs = compare(data, [8, None], [3, 5], [4], n_jobs=1, max_steps=2, eval_freq=1)
    keys = [(run.batch_size, run.seed) for run in runs]
    assert keys == [("8", 3), ("8", 5), ("full", 3), ("full", 5)]
    model, history = train_from_seed(data, 5, [4], batch_size=8, max_steps=2, eval_freq=1)
    assert np.array_equal(runs[1].model.forward(data.x_test), model.forward(data.x_test))
    table = histories_of(runs)
    assert table["seed"].tolist() == [3, 3, 3, 5, 5, 5, 3, 3, 3, 5, 5, 5]
    assert table["train_loss"][3:6].tolist() == history["train_loss"].tolist()


def test_compare_returns_runs_in_the_order_asked_for_whichever_ends_first(monkeypatch):
    second_has_ended = threading.Event()

    def run_from_seed(data, batch_size, seed, *_):
        if seed == 0:
            second_has_ended.wait(10)
        else:
            second_has_ended.set()
        return seed

    monkeypatch.setattr("experiments.runs.run_from_seed", run_from_seed)
    with joblib.parallel_config("threading"):
        assert compare(None, [16], [0, 1], n_jobs=2) == [0, 1]


@pytest.mark.parametrize(
    ("n_runs", "name", "quantiles"),
    [(19, "least to greatest", (0, 0.09, 0.18)), (20, "central 95 %", (0.00475, 0.095, 0.18525))],
)
def test_from_twenty_runs_on_the_spread_is_the_central_95_percent(n_runs, name, quantiles):
    histories = synthetic(n_runs)
    summary = summarise(ends_of(histories))
    for i, row in enumerate(summary.to_dict("records")):
        found = [row["test_loss_low"], row["test_loss_median"], row["test_loss_high"]]
        assert found == pytest.approx([3 + i + quantile for quantile in quantiles])
    assert name in legend_texts(figure_4(histories))


@pytest.mark.parametrize(
    ("losses", "share", "shown"),
    [
        (9 * [0.1] + 3 * [0.25], 0.25, "25 %"),
        (5 * [0.1] + 11 * [0.25], 11 / 16, "69 %"),
        (12 * [0.25], np.nan, "no two groups"),
        (6 * [0.1] + 3 * [0.25], np.nan, "no two groups"),  # too few runs
    ],
)
def test_the_share_of_stuck_runs_is_shown_where_there_are_two_groups(losses, share, shown):
    ends = pd.DataFrame({"batch_size": "16", "train_loss": losses})
    for metric in ("train_accuracy", "test_loss", "test_accuracy"):
        ends[metric] = 0.3
    summary = summarise(ends)
    assert summary["stuck"].tolist() == pytest.approx([share], nan_ok=True)
    assert text_table(summary)["stuck"].tolist() == [shown]


# Figures


@pytest.mark.parametrize("n_rows", [1, 4])
def test_figure_4_has_one_width_and_panels_of_one_size(n_rows):
    names = [str(k) for k in range(1, n_rows + 1)]
    figure = figure_4(synthetic(2, names), "the title")
    assert figure.get_suptitle() == "the title"
    figure.draw_without_rendering()
    assert figure.get_figwidth() == 11
    for axes in figure.axes:
        assert axes.bbox.width > 1.5 * figure.dpi
        assert axes.bbox.height > 1.2 * figure.dpi


@pytest.mark.parametrize("column", [0, 1, 2, 3])
def test_figure_4_draws_the_median_and_the_spread_of_the_runs_and_the_other_medians(column):
    scale = 1 if column < 2 else 100
    epochs = np.array([0, 2, 3])
    histories = synthetic(5)
    histories.loc[histories["seed"] == 4, list(METRICS)] += 1  # so that the mean is no median
    panels = np.reshape(figure_4(histories).axes, (2, 5))
    for i, axes in enumerate(panels[:, column]):
        lines = {line.get_label(): line for line in axes.lines}
        median = lines["median of the runs"]
        assert np.array_equal(median.get_xdata(), epochs)
        assert median.get_ydata() == pytest.approx(scale * (epochs + i + 0.02))
        other = lines["medians of the other rows"]
        assert other.get_ydata() == pytest.approx(scale * (epochs + 1 - i + 0.02))
        corners = axes.collections[0].get_paths()[0].vertices
        for epoch in epochs:
            edges = corners[corners[:, 0] == epoch, 1]
            assert edges.min() == pytest.approx(scale * (epoch + i))
            assert edges.max() == pytest.approx(scale * (epoch + i + 1.04))
        assert axes.get_xticks()[-1] == 3


def test_figure_4_draws_the_end_of_every_run():
    panels = np.reshape(figure_4(synthetic(5)).axes, (2, 5))
    for i, axes in enumerate(panels[:, 4]):
        for place, dots in enumerate(axes.collections):  # of training, of testing
            x, y = dots.get_offsets().T
            assert y.tolist() == pytest.approx(100 * (3 + i + np.arange(5) / 100))
            assert np.abs(x - place).max() < 0.5


def test_figure_4_has_one_scale_for_losses_and_one_for_accuracies_and_says_where_it_begins():
    histories = synthetic(5)
    histories["train_accuracy"] = 0.5
    histories["test_accuracy"] = 0.5
    histories.loc[histories["epoch"] == 3, "train_accuracy"] = 0.95
    histories.loc[histories["epoch"] == 3, "test_accuracy"] = 0.86
    panels = np.reshape(figure_4(histories).axes, (2, 5))
    for axes in panels[:, :2].flat:
        assert axes.get_ylim() == pytest.approx((0, 1.05 * 4.04))
    for axes in panels[:, 2:].flat:
        assert axes.get_ylim() == (85, 100.5)
    for axes in panels[0, 2:]:
        assert "begins at 85" in axes.get_title()


def test_figure_4_marks_the_report_s_runs_and_a_bound_as_a_bound():
    figure = figure_4(synthetic(2, ("1", "16", "30")), with_report=True)
    panels = np.reshape(figure.axes, (3, 5))
    marks = []
    for axes in panels[:, 4]:
        marks.append([(*line.get_xydata()[0], line.get_marker()) for line in axes.lines])
        assert axes.get_ylim()[0] < 88
    assert marks[0] == [(0, 96, CARETUPBASE), (1, 97, "D")]
    assert marks[1] == [(0, 88, "D"), (1, 88, "D")]
    assert marks[2] == []
    assert legend_texts(figure)[-2:] == ["the report's run, over 96 %", "the report's run"]


def test_the_ends_of_studies_lie_side_by_side():
    folders = {"epochs": FIGURES, "updates": FIGURES / "updates"}
    figure = ends_figure({title: read_runs(folder) for title, folder in folders.items()})
    left, right = figure.axes
    assert left.get_ylim() == right.get_ylim()
    for axes, (title, folder) in zip(figure.axes, folders.items(), strict=True):
        assert axes.get_title() == title
        accuracies = 100 * runs_of(folder)["test_accuracy"]
        for place, name in enumerate(["1", "16", "64", "256", "full"]):
            x, y = axes.collections[place].get_offsets().T
            assert sorted(y) == pytest.approx(sorted(accuracies[name]))
            assert np.abs(x - place).max() < 0.5
