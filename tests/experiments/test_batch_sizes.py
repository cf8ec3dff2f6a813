"""Part III: the study of batch sizes: what it prints and draws, the files it leaves, its README."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mlp_numpy import MLP
from playground.seeds import stuck_bound
from tests.helpers import pixels
from train_mlp_numpy import METRICS, load_data, train

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "experiments/README.md").read_text(encoding="utf-8")
PROSE = " ".join(README.split())
COMMAND = [sys.executable, "-m", "experiments.batch_sizes"]
PIPES = {"cwd": ROOT, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
SMALL = ["--batch_sizes", "7,16,full", "--n_seeds", "3", "--n_samples", "60", "--max_steps", "25"]
SMALL += ["--backend", "numpy"]  # nothing to compile
NAMES = ["7", "16", "full"]
HEADINGS = ["train accuracy, %", "test accuracy, %", "report"]
HEADINGS += ["train loss", "test loss", "stuck", "updates", "seconds"]


def main(*args):
    from experiments.batch_sizes import main

    return main([*SMALL, "--n_jobs", "1", *map(str, args)])


def usage_error(capsys, *args):
    with pytest.raises(SystemExit) as end:
        main(*args)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def runs_of(folder):
    """Return how each run of a study ends, by batch size and seed, as a table of the METRICS."""
    import pandas as pd

    runs = pd.read_csv(folder / "runs.csv", dtype={"batch_size": str})
    return runs.set_index(["batch_size", "seed"])[[*METRICS]]


def summary_of(folder):
    import pandas as pd

    return pd.read_csv(folder / "summary.csv", dtype={"batch_size": str}, index_col="batch_size")


def lines_of(folder):
    """Return the lines of histories.jsonl, without one that was cut off."""
    content = (folder / "histories.jsonl").read_text()
    return content[: content.rfind("\n") + 1].splitlines()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def printed_rows(text):
    """Return the cells of the printed tables, by batch size and heading."""
    rows = {}
    for block in re.findall(r"^batch size .*(?:\n.+)*", text, re.M):
        heading, *lines = block.splitlines()
        # Every column but the first ends where its heading ends.
        ends = {name: heading.index(name) + len(name) for name in HEADINGS if name in heading}
        for line in lines:
            start = len("batch size")
            row = rows.setdefault(line[:start].strip(), {})
            for name, end in ends.items():
                row[name], start = line[start:end].strip(), end
    return rows


def assert_same(runs, others, tolerance=1e-9):
    assert runs.index.tolist() == others.index.tolist()
    assert (runs - others).abs().max(axis=None) < tolerance


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return the folder of a small study, run in two processes, and what it printed."""
    folder = tmp_path_factory.mktemp("study")
    flags = ["--n_jobs", "2", "--output_dir", folder]
    result = subprocess.run([*COMMAND, *SMALL, *flags], **PIPES, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
    return folder, result.stdout


@pytest.fixture
def unfinished(study, tmp_path):
    """Return a folder with the histories of that study alone, as if it had been interrupted."""
    shutil.copy(study[0] / "histories.jsonl", tmp_path)
    return tmp_path


@pytest.fixture
def committed(study, tmp_path):
    """Return a folder with the results of that study alone, as they would be committed."""
    for name in ("runs.csv", "summary.csv", "figure4_batch_sizes.png"):
        shutil.copy(study[0] / name, tmp_path)
    return tmp_path


@pytest.fixture
def drawn(monkeypatch):
    """Return the figures, by the names of their files, that are drawn later."""
    figures = {}
    monkeypatch.setattr("plots.finish", lambda new, args: figures.update(new))
    return figures


def synthetic(n_runs, sizes=("16", "full")):
    """Return histories in which everything at epoch e is e + seed / 100, plus 1 at the second."""
    import pandas as pd

    rows = [
        {"batch_size": name, "seed": seed, "epoch": epoch}
        | dict.fromkeys(METRICS, epoch + seed / 100 + i)
        for i, name in enumerate(sizes)
        for seed in range(n_runs)
        for epoch in (0, 2, 3)
    ]
    return pd.DataFrame(rows)


def test_each_row_is_how_a_run_of_train_ends(study):
    runs = runs_of(study[0])
    assert runs.index.tolist() == [(name, seed) for name in NAMES for seed in range(3)]
    for (name, seed), metrics in runs.iterrows():
        rng = np.random.RandomState(seed)
        size = None if name == "full" else int(name)
        options = {"batch_size": size, "max_steps": 25, "rng": rng}
        history = train(MLP(2, [20], 2, rng), load_data(n_samples=60), **options)
        assert metrics.tolist() == pytest.approx([history[m][-1] for m in METRICS], abs=1e-9)


def test_the_summary_is_of_the_runs(study):
    import pandas as pd

    folder, summary = study[0], summary_of(study[0])
    assert summary.index.tolist() == NAMES
    columns = summary[["runs", "epochs", "updates"]]
    assert columns.to_numpy().tolist() == [[3, 25, 175], [3, 25, 75], [3, 25, 25]]
    for name, row in summary.iterrows():
        for metric in METRICS:
            found = [row[f"{metric}_{end}"] for end in ("low", "median", "high")]
            assert found == pytest.approx(sorted(runs_of(folder)[metric][name]))
        seconds = pd.read_csv(folder / "runs.csv", index_col="batch_size")["seconds"][name]
        assert row["seconds"] == sorted(seconds)[1] > 0
        assert np.isnan(row["stuck"])  # three runs tell of no groups


def test_what_is_printed_is_the_summary(study):
    folder, printed = study
    rows = printed_rows(printed)
    assert [*rows] == NAMES
    for name, row in summary_of(folder).iterrows():
        for metric in METRICS:
            scale, digits = (100, 2) if "accuracy" in metric else (1, 3)
            values = (scale * row[f"{metric}_{end}"] for end in ("low", "median", "high"))
            low, median, high = (f"{value:.{digits}f}" for value in values)
            heading = metric.replace("_", " ") + (", %" if "accuracy" in metric else "")
            assert rows[name][heading] == f"{median} [{low}, {high}]"
        assert rows[name]["stuck"] == "no two groups"
        assert rows[name]["updates"] == str(int(row["updates"]))
        assert float(rows[name]["seconds"]) == pytest.approx(row["seconds"], abs=0.0051)
    assert printed.startswith("median [least to greatest] of 3 seeds\n")
    assert max(map(len, printed.splitlines())) <= 80 + len(str(folder))
    named = re.findall(r"^wrote .*/(.*)$", printed, re.M)
    assert {*named, "histories.jsonl"} == {path.name for path in folder.iterdir()}


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar_and_the_same_results(study):
    import pty
    import termios

    main_end, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    command = [*COMMAND, *SMALL, "--n_jobs", "2", "--no_output"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=terminal, stderr=terminal)
    os.close(terminal)
    text = b""
    try:
        while chunk := os.read(main_end, 10_000):
            text += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    assert process.wait() == 0
    text = text.decode().replace("\r\n", "\n")
    assert re.search(r"100%.* 9/9 ", text)
    assert "wrote" not in text
    ours, others = printed_rows(text), printed_rows(study[1])
    for row in (*ours.values(), *others.values()):
        del row["seconds"]
    assert ours == others


def test_the_report_stands_beside_its_own_settings_however_they_are_written(study, capsys):
    assert "report" not in study[1]
    settings = ("--n_samples", "1_000", "--max_steps", "1500", "--learning_rate", "1e-2")
    settings += ("--noise", ".20", "--batch_sizes", "128,full", "--n_seeds", "1", "--no_output")
    assert main(*settings) == 0
    rows = printed_rows(capsys.readouterr().out)
    assert {name: row["report"] for name, row in rows.items()} == {
        "128": "-",
        "full": "86.88 / 84.50",
    }


@pytest.mark.parametrize(
    ("n_runs", "name", "quantiles"),
    [(19, "least to greatest", (0, 0.09, 0.18)), (20, "central 95 %", (0.00475, 0.095, 0.18525))],
)
def test_from_twenty_runs_on_the_spread_is_the_central_95_percent(n_runs, name, quantiles):
    from experiments.batch_sizes import ends_of, figure_4, summarise

    histories = synthetic(n_runs)
    summary = summarise(ends_of(histories))
    for i, row in enumerate(summary.to_dict("records")):
        found = [row[f"test_loss_{end}"] for end in ("low", "median", "high")]
        assert found == pytest.approx([3 + i + q for q in quantiles])
    figure = figure_4(histories)
    assert name in [text.get_text() for text in figure.legends[0].get_texts()]
    assert name in figure.axes[0].collections[0].get_label()


@pytest.mark.parametrize(
    ("losses", "share", "shown"),
    [
        ([*9 * [0.1], *3 * [0.25]], 0.25, "25 %"),
        ([*5 * [0.1], *11 * [0.25]], 11 / 16, "69 %"),
        (12 * [0.25], None, "no two groups"),
        ([*6 * [0.1], *3 * [0.25]], None, "no two groups"),  # too few runs
    ],
)
def test_the_share_of_stuck_runs_is_shown_where_there_are_two_groups(losses, share, shown):
    import pandas as pd

    from experiments.batch_sizes import as_text, summarise

    runs = pd.DataFrame({"batch_size": "16", **dict.fromkeys(METRICS, 0.3), "train_loss": losses})
    summary = summarise(runs)
    (found,) = summary["stuck"]
    assert found == share or (np.isnan(found) and share is None)
    assert as_text(summary)["stuck"].tolist() == [shown]
    (row,) = summary.to_csv(header=False).splitlines()
    assert row.endswith(f",{share or ''}")  # empty, and not 0


def test_equal_updates_are_rounded_up_to_whole_epochs(tmp_path, drawn):
    budget = ("--budget", "updates", "--max_steps", "15", "--eval_freq", "7")
    assert main(*budget, "--output_dir", tmp_path) == 0
    runs = [json.loads(line) for line in lines_of(tmp_path)]
    epochs = {run["batch_size"]: run["history"]["epoch"] for run in runs}
    # Epochs of 7 updates, of 3 and of one.
    assert epochs == {"7": [0, 1, 2, 3], "16": [0, 2, 4, 5], "full": [0, 7, 14, 15]}
    assert summary_of(tmp_path)["updates"].tolist() == [21, 15, 15]
    figure = drawn["figure4_batch_sizes.png"]
    assert "each batch size, of 15 updates on moons" in figure.get_suptitle()
    axes = figure.axes
    assert [[*panel.lines[0].get_xdata()] for panel in axes[:3]] == [
        [0, 7, 14, 21],
        [0, 6, 12, 15],
        [0, 7, 14, 15],
    ]
    assert axes[9].get_xlabel().startswith("updates")


def test_the_title_of_figure_4_says_what_was_trained(drawn, tmp_path):
    flags = ("--learning_rate", "0.1", "--dataset", "circles", "--output_dir", tmp_path)
    assert main(*flags) == 0
    title = drawn["figure4_batch_sizes.png"].get_suptitle()
    assert (
        title == "Figure 4: 3 runs with each batch size, of 25 epochs on circles, learning rate 0.1"
    )


def test_figure_4_draws_the_spread_the_median_and_the_end_of_every_run():
    from experiments.batch_sizes import figure_4

    figure = figure_4(synthetic(5), "the title")
    panels = np.reshape(figure.axes, (5, 2))
    assert [axes.get_title() for axes in panels[0]] == ["batch size 16", "full batch"]
    names = ["train loss", "test loss", "train accuracy", "test accuracy", "final accuracy"]
    labels = [axes.get_ylabel() for axes in panels[:, 0]]
    assert all(map(str.startswith, labels, names))
    for i, column in enumerate(panels.T):
        for k, axes in enumerate(column[:4]):
            scale = 1 if k < 2 else 100
            epochs, lines = np.array([0, 2, 3]), {line.get_label(): line for line in axes.lines}
            median = lines["median of the runs"]
            assert median.get_xdata().tolist() == epochs.tolist()
            assert median.get_ydata() == pytest.approx(scale * (epochs + i + 0.02))
            others = lines["medians of the other columns"]
            assert others.get_ydata() == pytest.approx(scale * (epochs + 1 - i + 0.02))
            corners = axes.collections[0].get_paths()[0].vertices
            for epoch in epochs:
                edges = corners[corners[:, 0] == epoch, 1]
                low, high = scale * (epoch + i), scale * (epoch + i + 0.04)
                assert (edges.min(), edges.max()) == pytest.approx((low, high))
            assert axes.get_xticks()[-1] == 3
        train_dots, test_dots = (dots.get_offsets() for dots in column[4].collections)
        ends = 100 * (3 + i + np.arange(5) / 100)
        for k, dots in enumerate((train_dots, test_dots)):
            assert dots[:, 1].tolist() == pytest.approx(ends.tolist())
            assert np.abs(dots[:, 0] - k).max() < 0.5
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == [
        "median of the runs",
        "least to greatest",
        "medians of the other columns",
        "the end of a run",
    ]


def test_figure_4_shows_every_end_and_says_where_accuracies_begin():
    from experiments.batch_sizes import figure_4

    histories = synthetic(5)
    histories[["train_accuracy", "test_accuracy"]] = 0.5
    histories.loc[histories["epoch"] == 3, "train_accuracy"] = 0.95
    histories.loc[histories["epoch"] == 3, "test_accuracy"] = 0.86
    panels = np.reshape(figure_4(histories).axes, (5, 2))
    for axes in panels[2:].flat:
        assert axes.get_ylim() == (85, 100.5)
    for axes in panels[2:, 0]:
        assert axes.get_ylabel().endswith("(%)\naxis begins at 85")
    for axes in panels[:2].flat:
        assert axes.get_ylim() == pytest.approx((0, 1.05 * 4.04))


def test_figure_4_marks_the_report_s_runs_and_a_bound_as_a_bound():
    from matplotlib.markers import CARETUPBASE

    from experiments.batch_sizes import figure_4

    sizes = ("1", "16", "30")
    figure = figure_4(synthetic(2, sizes), with_report=True)
    marks = {
        name: [(*line.get_xydata()[0], line.get_marker()) for line in axes.lines]
        for name, axes in zip(sizes, figure.axes[-3:], strict=True)
    }
    assert marks == {
        "1": [(0, 96, CARETUPBASE), (1, 97, "D")],
        "16": [(0, 88, "D"), (1, 88, "D")],
        "30": [],
    }
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[-2:] == ["the report's run, over 96 %", "the report's run"]


def test_the_ends_of_studies_lie_side_by_side():
    from experiments.batch_sizes import ends_figure, read_runs

    studies = {"epochs": read_runs(EPOCHS), "updates": read_runs(UPDATES)}
    figure = ends_figure(studies, "the title")
    pixels(figure)
    assert figure.get_suptitle() == "the title"
    assert [axes.get_title() for axes in figure.axes] == ["epochs", "updates"]
    assert figure.axes[0].get_ylabel() == "final test accuracy (%)"
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    for axes, folder in zip(figure.axes, (EPOCHS, UPDATES), strict=True):
        accuracies = 100 * runs_of(folder)["test_accuracy"]
        names = [label.get_text() for label in axes.get_xticklabels()]
        assert sorted(names) == sorted({*accuracies.index.get_level_values("batch_size")})
        for k, (name, dots, line) in enumerate(
            zip(names, axes.collections, axes.lines, strict=True)
        ):
            x, y = dots.get_offsets().T
            assert sorted(y) == pytest.approx(sorted(accuracies[name]))
            assert np.abs(x - k).max() < 0.5
            assert {*line.get_ydata()} == {accuracies[name].median()}


def test_compare_returns_a_run_for_each_batch_size_and_seed():
    from experiments.batch_sizes import compare, histories_of
    from experiments.runs import train_from_seed

    data = load_data(n_samples=40)
    runs = compare(data, [8, None], [3, 5], [4], n_jobs=1, max_steps=2, eval_freq=1)
    assert [run[:2] for run in runs] == [("8", 3), ("8", 5), ("full", 3), ("full", 5)]
    model, history = train_from_seed(data, 5, [4], batch_size=8, max_steps=2, eval_freq=1)
    assert np.array_equal(runs[1].model.forward(data.x_test), model.forward(data.x_test))
    table = histories_of(runs)
    assert table["seed"].tolist() == 2 * [3, 3, 3, 5, 5, 5]
    assert table["train_loss"][3:6].tolist() == history["train_loss"].tolist()


def test_equal_ends_lie_abreast():
    import pandas as pd

    from experiments.batch_sizes import abreast

    places = abreast(pd.Series([90, 95, 90, 90, 95]))
    assert places.tolist() == pytest.approx([-0.06, -0.03, 0, 0.06, 0.03])
    assert np.ptp(abreast(pd.Series([90] * 100))) < 0.84  # of the one that two columns have


@pytest.mark.parametrize("n_bytes", [0, 400])
def test_resume_repeats_only_a_run_that_was_cut_off(unfinished, study, n_bytes, capsys):
    with open(unfinished / "histories.jsonl", "r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - n_bytes)
    before = lines_of(unfinished)
    assert len(before) == 9 - (n_bytes > 0)
    assert main("--resume", "--output_dir", unfinished) == 0
    assert f"{len(before)} of 9 runs are there already" in capsys.readouterr().out
    assert lines_of(unfinished)[: len(before)] == before
    assert len([json.loads(line) for line in lines_of(unfinished)]) == 9  # whole, each of them
    assert_same(runs_of(unfinished), runs_of(study[0]))


def test_resume_adds_seeds_and_batch_sizes(unfinished, capsys):
    more = ("--batch_sizes", "30,7", "--n_seeds", "4", "--resume")
    assert main(*more, "--output_dir", unfinished) == 0
    assert "3 of 8 runs are there already" in capsys.readouterr().out
    assert runs_of(unfinished).index.tolist() == [(s, k) for s in ("30", "7") for k in range(4)]
    assert len(lines_of(unfinished)) == 9 + 5  # those that were not asked for are kept


def test_resume_takes_equal_settings_for_equal(unfinished, study, capsys):
    same = ("--learning_rate", "1e-2", "--noise", ".20", "--n_samples", "060")
    assert main("--resume", *same, "--output_dir", unfinished) == 0
    assert "9 of 9 runs are there already" in capsys.readouterr().out
    assert_same(runs_of(unfinished), runs_of(study[0]), 1e-15)


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize("flags", [[], ["--seed", "7"]])
def test_a_study_is_not_replaced(unfinished, study, finished, flags, capsys):
    if finished:
        shutil.copytree(study[0], unfinished, dirs_exist_ok=True)
    before = contents(unfinished)
    error = usage_error(capsys, *flags, "--output_dir", unfinished)
    assert "histories.jsonl has 9 runs; pass --resume to add to them, name another" in error
    assert contents(unfinished) == before


def test_results_alone_are_replaced_by_the_same_runs_and_more(committed, study):
    assert main("--n_seeds", "4", "--output_dir", committed) == 0
    assert_same(runs_of(committed).drop(3, level="seed"), runs_of(study[0]))


@pytest.mark.parametrize(
    "flags",
    [
        ["--seed", "1"],
        ["--n_seeds", "2"],
        ["--batch_sizes", "7,16"],
        ["--noise", "0.3"],
        ["--n_seeds", "2", "--resume"],
    ],
)
def test_results_alone_are_not_replaced_by_others(committed, flags, capsys):
    before = contents(committed)
    error = usage_error(capsys, *flags, "--output_dir", committed)
    assert "runs.csv has runs that are not to be made again; name another folder or" in error
    assert contents(committed) == before


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_somebody_else_s_results_are_not_replaced(tmp_path, content, capsys):
    (tmp_path / "runs.csv").write_bytes(content)
    assert "name another folder" in usage_error(capsys, "--output_dir", tmp_path)
    assert contents(tmp_path) == {"runs.csv": content}


@pytest.mark.parametrize(
    ("flag", "values"),
    [
        ("--max_steps", ("25", "26")),
        ("--backend", ("numpy", "numba")),
        ("--dnn_hidden_units", ("20", "20,5")),
        ("--budget", ("epochs", "updates")),
    ],
)
def test_resume_refuses_other_settings_and_names_them(unfinished, flag, values, capsys):
    error = usage_error(capsys, flag, values[1], "--resume", "--output_dir", unfinished)
    assert f"histories.jsonl is of {flag} {values[0]}, not {values[1]}" in error


def with_history(value):
    return lambda entry: entry | {"history": dict.fromkeys(entry["history"], value)}


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: "a text",
        lambda entry: [entry],
        lambda entry: {},
        lambda entry: {key: value for key, value in entry.items() if key != "noise"},
        lambda entry: entry | {"seed": "0"},
        lambda entry: entry | {"batch_size": 7},
        lambda entry: entry | {"seconds": "long"},
        lambda entry: entry | {"history": [1, 2]},
        lambda entry: entry | {"history": entry["history"] | {"test_loss": [0.1]}},
        lambda entry: entry | {"history": {"epoch": [0]}},
        with_history([]),
        with_history(["0"]),
        with_history(1),
        with_history([np.nan]),
        None,
    ],
)
def test_a_line_that_is_no_run_is_named_and_never_taken_for_one(unfinished, change, capsys):
    lines = lines_of(unfinished)
    lines[1] = json.dumps(change(json.loads(lines[1]))) if change else "[" * 100_000
    (unfinished / "histories.jsonl").write_text("\n".join(lines) + "\n")
    before = contents(unfinished)
    error = usage_error(capsys, "--resume", "--output_dir", unfinished)
    place = f"line 2 of {unfinished / 'histories.jsonl'}"
    assert f"{place} is no run of a study; remove the line or the file" in error
    assert contents(unfinished) == before


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_diverges_is_named_and_costs_no_other(unfinished, n_jobs, capsys):
    flags = ("--learning_rate", "1e9", "--n_jobs", n_jobs, "--output_dir", unfinished / "new")
    assert main(*flags) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"error: batch size 7, seed \d: the loss is (nan|inf): try a lower", line)
    assert "; 0 of 9 runs are done; the same command with --resume" in line
    assert contents(unfinished / "new") == {}


def test_a_changed_module_is_told_before_any_run(monkeypatch, capsys):
    monkeypatch.setattr("modules.ReLU.backward", lambda self, dout: dout)
    assert "argument --backend: " in usage_error(capsys, "--backend", "numba", "--no_output")


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_study_with_the_runs_so_far(unfinished, name, monkeypatch, capsys):
    from experiments.study import Study

    signum, add = getattr(signal, name), Study.add
    before = signal.signal(signum, signal.default_int_handler)  # a shell may have it ignored

    def interrupted(*args):
        add(*args)
        signal.raise_signal(signum)

    monkeypatch.setattr(Study, "add", interrupted)
    try:
        more = ("--resume", "--batch_sizes", "30,7", "--n_seeds", "4")
        assert main(*more, "--output_dir", unfinished) == 128 + signum
        assert signal.getsignal(signum) is signal.default_int_handler
    finally:
        signal.signal(signum, before)
    (line,) = capsys.readouterr().err.splitlines()
    assert "interrupted; 4 of 8 runs are done; the same command with --resume" in line
    assert len(lines_of(unfinished)) == 9 + 1


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
def test_a_signal_that_is_ignored_stays_ignored():
    from experiments.study import interrupt, signals_to

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with signals_to(interrupt, "SIGHUP"):
            signal.raise_signal(signal.SIGHUP)
    finally:
        assert signal.signal(signal.SIGHUP, before) == signal.SIG_IGN


def test_a_study_runs_in_another_thread_than_the_first(capsys):
    status = []
    thread = threading.Thread(target=lambda: status.append(main("--no_output")))
    thread.start()
    thread.join()
    assert status == [0]
    assert [*printed_rows(capsys.readouterr().out)] == NAMES


@pytest.mark.parametrize(
    ("run", "last_line"),
    [
        ("runpy.run_module('experiments.batch_sizes', run_name='__main__')", ""),
        ("import experiments.batch_sizes", "ImportError: "),
    ],
)
def test_without_pandas_the_last_line_is_the_remedy(run, last_line):
    code = f"import runpy, sys; sys.modules['pandas'] = None; {run}"
    result = subprocess.run([sys.executable, "-c", code], **PIPES, timeout=60)
    assert result.returncode == 1
    *others, last = result.stderr.splitlines()
    assert last.startswith(f"{last_line}import of pandas")
    assert last.endswith("install -r requirements-extra.txt")
    assert others == [] or last_line


@pytest.mark.slow
def test_large_data_need_no_temporary_file():
    flags = ["--n_samples", "200000", "--max_steps", "1", "--batch_sizes", "full", "--n_jobs", "2"]
    options = PIPES | {"env": os.environ | {"JOBLIB_TEMP_FOLDER": "/proc/self"}}  # no such folder
    result = subprocess.run(
        [*COMMAND, *flags, "--n_seeds=2", "--no_output"], **options, timeout=300
    )
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_study_that_is_stopped_keeps_the_runs_that_have_finished(tmp_path, name, capsys):
    flags = ["--batch_sizes", "1", "--n_seeds", "4000", "--n_jobs", "2", "--output_dir", tmp_path]

    def reset():  # a shell in the background ignores SIGINT, nohup SIGHUP; children inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)

    options = PIPES | {"start_new_session": True, "preexec_fn": reset}
    with subprocess.Popen([*COMMAND, *SMALL, *flags], **options) as process:
        while not (tmp_path / "histories.jsonl").exists() and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, getattr(signal, name))
        _, errors = process.communicate(timeout=60)
    before = lines_of(tmp_path)
    if name != "SIGKILL":
        assert process.returncode == 128 + getattr(signal, name)
        (line,) = errors.splitlines()
        assert f"interrupted; {len(before)} of 4000 runs are done; the same command with" in line
    n_seeds = len(before) + 3
    n_left = n_seeds - sum(json.loads(line)["seed"] < n_seeds for line in before)
    assert main(*flags, "--n_jobs", "1", "--n_seeds", n_seeds, "--resume") == 0
    assert f"{n_seeds - n_left} of {n_seeds} runs are there already" in capsys.readouterr().out
    assert lines_of(tmp_path)[: len(before)] == before
    assert len(lines_of(tmp_path)) == len(before) + n_left


@pytest.mark.slow
def test_a_cluster_gets_the_rows_that_this_machine_gets(study, tmp_path):
    pytest.importorskip("distributed", reason="needs pip install 'dask[distributed]'")
    file, dask = tmp_path / "scheduler.json", [sys.executable, "-m", "dask"]
    flags = ["--no-dashboard", "--scheduler-file", file]
    place = {"cwd": ROOT, "stderr": subprocess.DEVNULL}  # the project's folder, as we say
    with subprocess.Popen([*dask, "scheduler", "--port", "0", *flags], **place) as scheduler:
        while not file.exists() and scheduler.poll() is None:
            time.sleep(0.1)
        with subprocess.Popen([*dask, "worker", "--nthreads", "1", *flags], **place) as worker:
            flags = ["--dask", json.loads(file.read_text())["address"], "--output_dir", tmp_path]
            result = subprocess.run([*COMMAND, *SMALL, *flags], **PIPES, timeout=120)
            worker.terminate()
        scheduler.terminate()
    assert result.returncode == 0, result.stderr
    assert_same(runs_of(tmp_path), runs_of(study[0]))


# Below: experiments/README.md tells what the committed files hold, and these come out here.


def rows_below(heading):
    """Return the rows, lists of cells, of the table of the README that has this heading."""
    table = README[README.index(f"| {heading} |") :].split("\n\n")[0]
    rows = []
    for line in table.splitlines()[2:]:
        cells = line.strip("|").split("|")
        rows.append([cell.strip() for cell in cells])
    return rows


def table_of(heading):
    """Return the cells of such a table, by batch size."""
    return {row[0]: row[1:] for row in rows_below(heading)}


EPOCHS, UPDATES = ROOT / "figures", ROOT / "figures/updates"


@pytest.mark.parametrize("folder", [EPOCHS, UPDATES], ids=["epochs", "updates"])
def test_the_tables_are_those_of_the_files(folder):
    from experiments.batch_sizes import as_text, summarise

    runs, committed = runs_of(folder), summary_of(folder)
    summary = summarise(runs.reset_index())
    assert_same(summary, committed[summary.columns])
    for name, shown in as_text(summary).iterrows():
        if folder == UPDATES:
            epochs, *cells = table_of("batch size | epochs")[name]
            assert int(epochs.replace(" ", "")) == committed["epochs"][name]
        else:
            _, one_run, *cells = table_of("batch size | report: train / test")[name]
            percents = 100 * runs.loc[name, 42][["train_accuracy", "test_accuracy"]]
            assert one_run == " / ".join(f"{percent:.2f}" for percent in percents)
        assert cells == shown.tolist()


def test_every_accuracy_of_the_report_lies_within_the_95_percent():
    from experiments import report

    for name, row in summary_of(EPOCHS).iterrows():
        texts = report.ACCURACIES[name]
        shown = table_of("batch size | report: train / test")[name][0]
        assert shown.startswith(" / ".join(texts))
        for part, text in zip(("train", "test"), texts, strict=True):
            ends = (100 * row[f"{part}_accuracy_{end}"] for end in ("low", "high"))
            low, high = (round(end, len(text.partition(".")[2])) for end in ends)
            assert float(text.removeprefix("over ")) <= high
            assert low <= float(text.removeprefix("over ")) or text.startswith("over ")


def stuck_of(folder, name):
    losses = runs_of(folder)["train_loss"][name]
    return {*losses.index[losses > stuck_bound(losses)]}


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
    losses = runs_of(EPOCHS)["train_loss"]
    largest = {}
    for name in ("1", "16", "64", "256", "full"):
        ordered = np.sort(losses[name])
        largest[name] = (ordered[1:] / ordered[:-1]).max()
    assert "ratio is above 1.5" in PROSE
    assert "This ratio is 2.2 at batch size 1 and 2.6 at 16." in PROSE
    assert largest["1"] == pytest.approx(2.2, abs=0.05)
    assert largest["16"] == pytest.approx(2.6, abs=0.05)
    assert "At 64, 256 and full it is below 1.05" in PROSE
    assert max(largest["64"], largest["256"], largest["full"]) < 1.05


def test_the_table_of_stuck_seeds_counts_them_in_the_files():
    stuck_at_16 = stuck_of(UPDATES, "16")
    table = table_of("batch size | seeds that get stuck")
    assert [*table] == ["1", "16", "64", "256", "full"]
    for name, cells in table.items():
        stuck = stuck_of(UPDATES, name)
        counts = [len(stuck), len(stuck & stuck_at_16), len(stuck - stuck_at_16)]
        assert [int(cell) for cell in cells] == counts, name


def test_the_table_of_seeds_that_come_free_at_batch_size_1_counts_them_in_the_files():
    stuck = stuck_of(EPOCHS, "16")
    free = stuck - stuck_of(EPOCHS, "1")
    rows = rows_below("batch size | epochs | updates | of the 33 seeds, no longer stuck")
    assert rows[0] == ["16", "1 500", "75 000", "0"]
    assert rows[2] == ["1", "1 500", "1 200 000", str(len(free))]
    assert len(rows) == 3


@pytest.mark.parametrize("name", ["full", "256", "64", "16", "1"])
@pytest.mark.parametrize(
    "folder", [EPOCHS, pytest.param(UPDATES, marks=pytest.mark.slow)], ids=["epochs", "updates"]
)
def test_committed_runs_come_out_the_same_here(folder, name):
    from experiments.batch_sizes import compare, ends_of, histories_of

    sizes, n_epochs = (
        [None if name == "full" else int(name)],
        int(summary_of(folder)["epochs"][name]),
    )
    options = {"max_steps": n_epochs, "eval_freq": n_epochs, "backend": "numba"}
    ends = ends_of(histories_of(compare(load_data(), sizes, [0, 99], n_jobs=1, **options)))
    ours = ends.set_index(["batch_size", "seed"])[[*METRICS]]
    assert_same(ours, runs_of(folder).loc[ours.index], 1e-6)


@pytest.mark.slow
def test_a_fifth_of_the_study_comes_out_the_same_here(tmp_path):
    from experiments.batch_sizes import main

    assert main(["--n_seeds", "20", "--output_dir", str(tmp_path)]) == 0
    committed = runs_of(EPOCHS)
    first = committed[committed.index.get_level_values("seed") < 20]
    assert_same(runs_of(tmp_path), first, 1e-6)


@pytest.mark.slow
def test_as_many_updates_at_batch_size_16_free_fewer_than_at_1():
    from experiments.batch_sizes import compare, ends_of, histories_of

    rows = rows_below("batch size | epochs | updates | of the 33 seeds, no longer stuck")
    assert rows[1] == ["16", "24 000", "1 200 000", "9"]
    options = {"max_steps": 24_000, "eval_freq": 24_000, "backend": "numba"}
    runs = compare(load_data(), [16], sorted(stuck_of(EPOCHS, "16")), **options)
    ends = ends_of(histories_of(runs))
    assert (ends["train_loss"] < stuck_bound(runs_of(EPOCHS)["train_loss"]["16"])).sum() == 9
