"""Part III: the study of batch sizes: what it prints, the files it leaves, and its README."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mlp_numpy import MLP
from train_mlp_numpy import METRICS, load_data, train

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "experiments/README.md").read_text(encoding="utf-8")
PROSE = " ".join(README.split())
COMMAND = [sys.executable, "-m", "experiments.batch_sizes"]
PIPES = {"cwd": ROOT, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
SMALL = ["--batch_sizes", "7,full", "--n_seeds", "3", "--n_samples", "60", "--max_steps", "25"]


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
    (tmp_path / "histories.jsonl").write_bytes((study[0] / "histories.jsonl").read_bytes())
    return tmp_path


def test_each_row_is_how_a_run_of_train_ends(study):
    runs = runs_of(study[0])
    assert runs.index.tolist() == [(name, seed) for name in ("7", "full") for seed in range(3)]
    for (name, seed), metrics in runs.iterrows():
        rng = np.random.RandomState(seed)
        options = {"batch_size": 7 if name == "7" else None, "max_steps": 25, "rng": rng}
        history = train(MLP(2, [20], 2, rng), load_data(n_samples=60), **options)
        assert metrics.tolist() == pytest.approx([history[m][-1] for m in METRICS], abs=1e-9)


def test_the_summary_is_of_the_runs_and_printed(study):
    folder, printed = study
    summary = summary_of(folder)
    columns = summary[["runs", "epochs", "updates"]]
    assert columns.to_numpy().tolist() == [[3, 25, 175], [3, 25, 25]]
    for name, row in summary.iterrows():
        for metric in METRICS:
            low, median, high = sorted(runs_of(folder)[metric][name])
            # Of three values the quantile 0.025 lies a twentieth of the way from first to second.
            expected = [0.95 * low + 0.05 * median, median, 0.95 * high + 0.05 * median]
            found = [row[f"{metric}_{end}"] for end in ("low", "median", "high")]
            assert found == pytest.approx(expected)
            scale, digits = (100, 2) if "accuracy" in metric else (1, 3)
            low, median, high = (f"{scale * value:.{digits}f}" for value in found)
            assert f" {median} [{low}, {high}] " in printed
    assert "median [central 95 %] of 3 seeds\n" in printed
    named = re.findall(r"^wrote .*/(.*)$", printed, re.M)
    assert {*named, "histories.jsonl"} == {path.name for path in folder.iterdir()}


def test_the_report_stands_beside_its_own_settings_alone(study, capsys):
    assert "report" not in study[1]
    report_settings = ("--n_samples", "1000", "--max_steps", "1500")
    assert main(*report_settings, "--batch_sizes", "128,full", "--n_seeds", "1", "--no_output") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^full .* 86\.88 / 84\.50$", printed, re.M)
    assert re.search(r"^128 .* -$", printed, re.M)


@pytest.mark.parametrize(
    ("losses", "shown"),
    [
        ([0.1, 0.1, 0.1, 0.25], "25 %"),
        ([0.1, 0.1, 0.1, 0.2], "0 %"),
        ([0.1, 0.1, 0.25, 0.25, 0.25], "60 %"),
        ([0.1, 0.25, 0.25, 0.25, 0.25, 0.25], "-"),  # they are slow, not stuck
    ],
)
def test_stuck_is_above_the_plateau_where_a_quarter_is_below(losses, shown):
    import pandas as pd

    from experiments.batch_sizes import as_text, summarise

    runs = pd.DataFrame({"batch_size": "16", **dict.fromkeys(METRICS, losses)})
    assert as_text(summarise(runs))["stuck"].tolist() == [shown]


def test_equal_updates_are_rounded_up_to_whole_epochs(tmp_path, capsys):
    budget = ("--budget", "updates", "--max_steps", "15", "--eval_freq", "7")
    assert main(*budget, "--output_dir", tmp_path) == 0
    runs = [json.loads(line) for line in lines_of(tmp_path)]
    steps = {run["batch_size"]: run["history"]["step"] for run in runs}
    assert steps == {"7": [0, 1, 2, 3], "full": [0, 7, 14, 15]}  # epochs, of 7 updates and of one
    assert summary_of(tmp_path)["updates"].tolist() == [21, 15]


def test_figure_4_shows_every_run_its_median_and_the_report():
    from matplotlib.colors import to_hex

    from experiments.batch_sizes import compare, ends_of, figure_4

    sizes, options = [5, 8, 16, 20, 30, None], {"max_steps": 4, "eval_freq": 2}
    histories = compare(load_data(n_samples=60), sizes, range(3), n_jobs=1, **options)
    loss, _, accuracy, _, dots, _ = figure_4(histories, with_report=True).axes
    of_full = histories[histories["batch_size"] == "full"]
    medians = of_full.groupby("step")["train_loss"].median()
    assert loss.lines[-1].get_xydata().tolist() == [[*pair] for pair in medians.items()]
    ends = 100 * ends_of(of_full)["train_accuracy"]
    assert dots.collections[-1].get_offsets()[:, 1].tolist() == ends.tolist()
    assert [line.get_xydata().tolist() for line in dots.lines] == [[[2, 88]], [[5, 86.88]]]
    assert len({to_hex(line.get_color()) for line in accuracy.lines}) == len(sizes)


@pytest.mark.parametrize("n_bytes", [0, 400])
def test_resume_repeats_only_a_run_that_was_cut_off(unfinished, study, n_bytes, capsys):
    with open(unfinished / "histories.jsonl", "r+b") as file:
        file.truncate(file.seek(0, os.SEEK_END) - n_bytes)
    before = lines_of(unfinished)
    assert len(before) == 6 - (n_bytes > 0)
    assert main("--resume", "--output_dir", unfinished) == 0
    assert f"{len(before)} of 6 runs are there already" in capsys.readouterr().out
    assert lines_of(unfinished)[: len(before)] == before
    assert_same(runs_of(unfinished), runs_of(study[0]))


def test_resume_adds_seeds_and_batch_sizes(unfinished, capsys):
    more = ("--batch_sizes", "16,7", "--n_seeds", "4", "--resume")
    assert main(*more, "--output_dir", unfinished) == 0
    assert "3 of 8 runs are there already" in capsys.readouterr().out
    assert runs_of(unfinished).index.tolist() == [(s, k) for s in ("16", "7") for k in range(4)]
    assert len(lines_of(unfinished)) == 6 + 5  # those that were not asked for are kept


def test_an_unfinished_study_is_not_replaced(unfinished, capsys):
    error = usage_error(capsys, "--output_dir", unfinished)
    assert "has 6 runs of a study that was not finished; pass --resume" in error
    assert len(lines_of(unfinished)) == 6


@pytest.mark.parametrize(
    ("flag", "values"),
    [
        ("--max_steps", ("25", "26")),
        ("--backend", ("numba", "numpy")),
        ("--dnn_hidden_units", ("20", "20,5")),
        ("--budget", ("epochs", "updates")),
    ],
)
def test_resume_refuses_other_settings_and_names_them(unfinished, flag, values, capsys):
    error = usage_error(capsys, flag, values[1], "--resume", "--output_dir", unfinished)
    assert f"histories.jsonl is of {flag} {values[0]}, not {values[1]}" in error


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_diverges_is_named_and_costs_no_earlier_study(study, n_jobs, capsys):
    before = {path: path.read_bytes() for path in study[0].iterdir()}
    assert main("--learning_rate", "1e9", "--n_jobs", n_jobs, "--output_dir", study[0]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"error: batch size 7, seed \d: the loss is not finite at epoch \d", line)
    assert "; 0 of 6 runs are done" in line
    assert {path: path.read_bytes() for path in study[0].iterdir()} == before


def test_a_changed_module_is_told_before_any_run(monkeypatch, capsys):
    monkeypatch.setattr("modules.ReLU.backward", lambda self, dout: dout)
    assert "argument --backend: " in usage_error(capsys, "--no_output")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGKILL"])
def test_a_study_that_is_stopped_keeps_the_runs_that_have_finished(tmp_path, name, capsys):
    flags = ["--batch_sizes", "1", "--n_seeds", "4000", "--n_jobs", "2", "--output_dir", tmp_path]

    def reset():  # a shell in the background ignores SIGINT, and its children inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)

    options = PIPES | {"start_new_session": True, "preexec_fn": reset}
    with subprocess.Popen([*COMMAND, *SMALL, *flags], **options) as process:
        while not (tmp_path / "histories.jsonl").exists() and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, getattr(signal, name))
        _, errors = process.communicate(timeout=60)
    before = lines_of(tmp_path)
    if name == "SIGINT":
        assert process.returncode == 130
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


def table_of(heading):
    """Return the cells of a table of the README, by batch size."""
    table = README[README.index(f"| {heading} |") :].split("\n\n")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}


EPOCHS, UPDATES = ROOT / "figures", ROOT / "figures/updates"


@pytest.mark.parametrize("folder", [EPOCHS, UPDATES], ids=["epochs", "updates"])
def test_the_tables_are_those_of_the_files(folder):
    from experiments.batch_sizes import as_text, summarise

    runs, committed = runs_of(folder), summary_of(folder)
    summary = summarise(runs.reset_index())
    assert_same(summary.fillna(-1), committed[summary.columns].fillna(-1))
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
    return {*losses.index[losses > 0.2]}


def test_what_the_text_says_of_stuck_runs_is_in_the_files():
    stuck = stuck_of(EPOCHS, "16")
    ends = runs_of(EPOCHS).loc["16"].loc[sorted(stuck)]
    assert "near a loss of 0.25 and 88 %" in PROSE
    assert (ends["train_loss"] - 0.25).abs().max() < 0.01
    assert (ends["train_accuracy"] - 0.88).abs().max() < 0.01
    assert "`--seed 5` gets stuck, the default seed 42 does not" in PROSE
    assert (5 in stuck, 42 in stuck) == (True, False)
    assert "33 of the 100 at batch size 16, and the very same with the full batch" in PROSE
    assert "At 64 one seed differs from these, at 256 four, and at 1 ten." in PROSE
    sizes = "16", "full", "64", "256", "1"
    assert [len(stuck_of(UPDATES, name) ^ stuck) for name in sizes] == [0, 0, 1, 4, 10]
    assert "28 of those 33 seeds are no longer stuck" in PROSE
    assert (len(stuck), len(stuck - stuck_of(EPOCHS, "1"))) == (33, 28)


@pytest.mark.parametrize("name", ["full", "256", "64", "16", "1"])
def test_committed_runs_come_out_the_same_here(name):
    from experiments.batch_sizes import compare, ends_of

    sizes = [None if name == "full" else int(name)]
    options = {"n_jobs": 1, "eval_freq": 1500, "backend": "numba"}
    ends = ends_of(compare(load_data(), sizes, [0, 99], **options))
    ours = ends.set_index(["batch_size", "seed"])[[*METRICS]]
    assert_same(ours, runs_of(EPOCHS).loc[ours.index], 1e-6)


@pytest.mark.slow
def test_a_fifth_of_the_study_comes_out_the_same_here(tmp_path):
    from experiments.batch_sizes import main

    assert main(["--n_seeds", "20", "--output_dir", str(tmp_path)]) == 0
    committed = runs_of(EPOCHS)
    first = committed[committed.index.get_level_values("seed") < 20]
    assert_same(runs_of(tmp_path), first, 1e-6)


@pytest.mark.slow
def test_as_many_steps_at_batch_size_16_free_fewer_than_at_1():
    from experiments.batch_sizes import compare, ends_of

    assert "at batch size 16, which are 24 000 epochs, only 9 are no longer stuck" in PROSE
    options = {"max_steps": 24_000, "eval_freq": 24_000, "backend": "numba"}
    ends = ends_of(compare(load_data(), [16], sorted(stuck_of(EPOCHS, "16")), **options))
    assert (ends["train_loss"] < 0.2).sum() == 9
