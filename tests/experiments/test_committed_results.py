"""What experiments/README.md says is in the committed results, and these come out here."""

from pathlib import Path

import pytest

from experiments import report
from experiments.runs import compare
from experiments.spread import ends_of, histories_of, summarise, text_table
from playground.seeds import stuck_bound
from tests.experiments.tables import assert_same, by_key, runs_of, summary_of
from train_mlp_numpy import load_data

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "experiments/README.md").read_text(encoding="utf-8")
PROSE = " ".join(README.split())
EPOCHS = ROOT / "figures"
UPDATES = ROOT / "figures/updates"


def rows_below(heading):
    """Return the rows, lists of cells, of the table of the README that has this heading."""
    start = README.index(f"| {heading} |")
    table = README[start:].split("\n\n")[0]
    rows = []
    for line in table.splitlines()[2:]:
        cells = line.strip("|").split("|")
        rows.append([cell.strip() for cell in cells])
    return rows


def table_of(heading):
    """Return the cells of such a table, by batch size."""
    return {row[0]: row[1:] for row in rows_below(heading)}


def stuck_of(folder, name):
    """Return the seeds that get stuck with the batch size of this name."""
    losses = runs_of(folder)["train_loss"][name]
    return set(losses.index[losses > stuck_bound(losses)])


@pytest.mark.parametrize("folder", [EPOCHS, UPDATES], ids=["epochs", "updates"])
def test_the_summary_is_of_the_runs(folder):
    committed = summary_of(folder)
    summary = summarise(runs_of(folder).reset_index())
    assert_same(summary, committed[summary.columns])


def test_the_table_at_equal_epochs_is_that_of_the_files():
    runs = runs_of(EPOCHS)
    shown = text_table(summary_of(EPOCHS))
    for name, cells in table_of("batch size | report: train / test").items():
        _, one_run, *others = cells
        ends = 100 * runs.loc[name, 42]
        assert one_run == f"{ends['train_accuracy']:.2f} / {ends['test_accuracy']:.2f}"
        assert others == shown.loc[name].tolist()


def test_the_table_at_equal_updates_is_that_of_the_files():
    summary = summary_of(UPDATES)
    shown = text_table(summary)
    for name, cells in table_of("batch size | epochs").items():
        epochs, *others = cells
        assert int(epochs.replace(" ", "")) == summary["epochs"][name]
        assert others == shown.loc[name].tolist()


@pytest.mark.parametrize("part", ["train", "test"])
def test_every_accuracy_of_the_report_lies_within_the_95_percent(part):
    table = table_of("batch size | report: train / test")
    for name, row in summary_of(EPOCHS).iterrows():
        accuracies = report.ACCURACIES[name]
        assert table[name][0].startswith(" / ".join(accuracies))
        text = accuracies[0] if part == "train" else accuracies[1]
        number = text.removeprefix("over ")
        n_digits = len(number.partition(".")[2])
        assert float(number) <= round(100 * row[f"{part}_accuracy_high"], n_digits)
        if number == text:  # it is no bound
            assert float(number) >= round(100 * row[f"{part}_accuracy_low"], n_digits)


def test_what_the_text_says_of_stuck_runs_is_in_the_files():
    stuck = stuck_of(EPOCHS, "16")
    ends = runs_of(EPOCHS).loc["16"].loc[sorted(stuck)]
    assert "near a loss of 0.25 and an accuracy of 88 %" in PROSE
    assert (ends["train_loss"] - 0.25).abs().max() < 0.01
    assert (ends["train_accuracy"] - 0.88).abs().max() < 0.01
    assert "Two thirds end with a loss below 0.1. The others are *stuck*" in PROSE
    assert (runs_of(EPOCHS)["train_loss"]["16"] < 0.1).sum() == 67
    assert "In all of the 33 stuck networks at batch size 16" in PROSE
    assert len(stuck) == 33
    assert "gets stuck with `--seed 5`, but not with its default seed 42" in PROSE
    assert 5 in stuck
    assert 42 not in stuck


def test_what_the_text_says_of_the_largest_ratio_of_neighbouring_losses_is_in_the_files():
    largest = {}
    for name, losses in runs_of(EPOCHS)["train_loss"].groupby("batch_size"):
        ordered = losses.sort_values()
        largest[name] = (ordered / ordered.shift()).max()
    assert (
        f"This ratio is {largest['1']:.1f} at batch size 1 and {largest['16']:.1f} at 16." in PROSE
    )
    assert "At 64, 256 and full it is below 1.05" in PROSE
    assert max(largest["64"], largest["256"], largest["full"]) < 1.05


def test_the_table_of_stuck_seeds_counts_them_in_the_files():
    stuck_at_16 = stuck_of(UPDATES, "16")
    table = table_of("batch size | seeds that get stuck")
    assert list(table) == ["1", "16", "64", "256", "full"]
    for name, cells in table.items():
        stuck = stuck_of(UPDATES, name)
        counts = [len(stuck), len(stuck & stuck_at_16), len(stuck - stuck_at_16)]
        assert [int(cell) for cell in cells] == counts, name


NO_LONGER_STUCK = "batch size | epochs | updates | of the 33 seeds, no longer stuck"


def test_the_table_of_seeds_that_are_no_longer_stuck_at_batch_size_1_counts_them_in_the_files():
    free = stuck_of(EPOCHS, "16") - stuck_of(EPOCHS, "1")
    rows = rows_below(NO_LONGER_STUCK)
    assert rows[0] == ["16", "1 500", "75 000", "0"]
    assert rows[2] == ["1", "1 500", "1 200 000", str(len(free))]
    assert len(rows) == 3


@pytest.mark.parametrize("name", ["full", "256", "64", "16", "1"])
@pytest.mark.parametrize(
    "folder", [EPOCHS, pytest.param(UPDATES, marks=pytest.mark.slow)], ids=["epochs", "updates"]
)
def test_committed_runs_come_out_the_same_here(folder, name):
    batch_size = None if name == "full" else int(name)
    n_epochs = int(summary_of(folder)["epochs"][name])
    options = {"max_steps": n_epochs, "eval_freq": n_epochs, "backend": "numba"}
    runs = compare(load_data(), [batch_size], [0, 99], n_jobs=1, **options)
    ours = by_key(ends_of(histories_of(runs)))
    assert_same(ours, runs_of(folder).loc[ours.index], 1e-6)


@pytest.mark.slow
def test_as_many_updates_at_batch_size_16_free_fewer_than_at_1():
    rows = rows_below(NO_LONGER_STUCK)
    assert rows[1] == ["16", "24 000", "1 200 000", "9"]
    options = {"max_steps": 24_000, "eval_freq": 24_000, "backend": "numba"}
    runs = compare(load_data(), [16], sorted(stuck_of(EPOCHS, "16")), **options)
    ends = ends_of(histories_of(runs))
    bound = stuck_bound(runs_of(EPOCHS)["train_loss"]["16"])
    assert (ends["train_loss"] < bound).sum() == 9
