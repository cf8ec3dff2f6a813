"""Part III: the study of batch sizes: what it prints, the files it leaves, and how it goes on."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from experiments import batch_sizes
from experiments.study import Study, finished_runs
from mlp_numpy import MLP
from tests.experiments.tables import assert_same, runs_of, summary_of
from tests.helpers import refusal
from train_mlp_numpy import METRICS, load_data, train

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "experiments.batch_sizes"]
PIPES = {"cwd": ROOT, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
SMALL = ["--batch_sizes=7,16,full", "--n_seeds=3", "--n_samples=60", "--max_steps=25"]
SMALL += ["--backend=numpy"]  # nothing to compile
NAMES = ["7", "16", "full"]
RESULTS = ["runs.csv", "summary.csv", "figure4_batch_sizes.png"]


def main(*args):
    flags = [str(arg) for arg in args]
    return batch_sizes.main([*SMALL, "--n_jobs=1", *flags])


def usage_error(capsys, *args):
    """Run the command, which refuses its flags; return the one line that it prints."""
    flags = [str(arg) for arg in args]
    return refusal(batch_sizes.main, [*SMALL, *flags], capsys)


def lines_of(folder):
    """Return the lines of histories.jsonl, without one that was cut off."""
    content = (folder / "histories.jsonl").read_text()
    whole = content[: content.rfind("\n") + 1]
    return whole.splitlines()


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return the folder of a small study, run in two processes, and what it printed."""
    folder = tmp_path_factory.mktemp("study")
    flags = ["--n_jobs", "2", "--output_dir", folder]
    result = subprocess.run([*COMMAND, *SMALL, *flags], **PIPES, timeout=120)
    assert result.stderr == ""
    assert result.returncode == 0
    return folder, result.stdout


@pytest.fixture
def unfinished(study, tmp_path):
    """Return a folder with the histories of that study alone, as if it had been interrupted."""
    shutil.copy(study[0] / "histories.jsonl", tmp_path)
    return tmp_path


@pytest.fixture
def committed(study, tmp_path):
    """Return a folder with the results of that study alone, as they would be committed."""
    for name in RESULTS:
        shutil.copy(study[0] / name, tmp_path)
    return tmp_path


# What it finds


def test_each_row_is_how_a_run_of_train_ends(study):
    runs = runs_of(study[0])
    assert runs.index.tolist() == [(name, seed) for name in NAMES for seed in range(3)]
    for (name, seed), metrics in runs.iterrows():
        rng = np.random.RandomState(seed)
        model = MLP(2, [20], 2, rng)
        batch_size = None if name == "full" else int(name)
        data = load_data(n_samples=60)
        history = train(model, data, batch_size=batch_size, max_steps=25, rng=rng)
        assert metrics.tolist() == pytest.approx([history[m][-1] for m in METRICS], abs=1e-9)


def test_the_summary_is_of_the_runs(study):
    runs = runs_of(study[0])
    summary = summary_of(study[0])
    assert summary.index.tolist() == NAMES
    assert summary["runs"].tolist() == [3, 3, 3]
    assert summary["epochs"].tolist() == [25, 25, 25]
    assert summary["updates"].tolist() == [175, 75, 25]
    assert (summary["seconds"] > 0).all()
    for name, row in summary.iterrows():
        for metric in METRICS:
            found = [row[f"{metric}_low"], row[f"{metric}_median"], row[f"{metric}_high"]]
            assert found == pytest.approx(sorted(runs[metric][name]))


def test_what_is_printed_is_the_summary(study):
    folder, printed = study
    assert "least to greatest" in printed
    assert "report" not in printed  # these are not its settings
    for name, row in summary_of(folder).iterrows():
        first, second = re.findall(rf"^{name} .*", printed, re.M)
        for metric in ("train_accuracy", "test_accuracy"):
            low, median, high = (100 * row[f"{metric}_{end}"] for end in ("low", "median", "high"))
            assert f"{median:.2f} [{low:.2f}, {high:.2f}]" in first
        for metric in ("train_loss", "test_loss"):
            low, median, high = (row[f"{metric}_{end}"] for end in ("low", "median", "high"))
            assert f"{median:.3f} [{low:.3f}, {high:.3f}]" in second
        assert re.search(rf" no two groups +{row['updates']:.0f} ", second)
    named = re.findall(r"^wrote .*/(.*)$", printed, re.M)
    assert named == RESULTS
    assert {path.name for path in folder.iterdir()} == {*RESULTS, "histories.jsonl"}


def test_the_report_stands_beside_its_own_settings_however_they_are_written(capsys):
    flags = ["--n_samples=1_000", "--max_steps=1500", "--learning_rate=1e-2", "--noise=.20"]
    assert main(*flags, "--batch_sizes=128,full", "--n_seeds=1", "--no_output") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^batch size .* report$", printed, re.M)
    assert re.search(r"^full .* 86.88 / 84.50$", printed, re.M)
    assert re.search(r"^128 .* -$", printed, re.M)


def test_equal_updates_are_rounded_up_to_whole_epochs(tmp_path, monkeypatch):
    drawn = []
    figure_4 = batch_sizes.figure_4

    def keep(*args):
        figure = figure_4(*args)
        drawn.append(figure)
        return figure

    monkeypatch.setattr(batch_sizes, "figure_4", keep)
    budget = ["--budget=updates", "--max_steps=15", "--eval_freq=7"]
    assert main(*budget, "--output_dir", tmp_path) == 0
    epochs = {}
    for line in lines_of(tmp_path):
        run = json.loads(line)
        epochs[run["batch_size"]] = run["history"]["epoch"]
    # Epochs of 7 updates, of 3 and of one.
    assert epochs == {"7": [0, 1, 2, 3], "16": [0, 2, 4, 5], "full": [0, 7, 14, 15]}
    assert summary_of(tmp_path)["updates"].tolist() == [21, 15, 15]

    (figure,) = drawn
    title = figure.get_suptitle()
    for said in ("3 runs", "15 updates", "moons", "learning rate 0.01"):
        assert said in title
    panels = np.reshape(figure.axes, (3, 5))
    updates = [axes.lines[0].get_xdata().tolist() for axes in panels[:, 0]]
    assert updates == [[0, 7, 14, 21], [0, 6, 12, 15], [0, 7, 14, 15]]
    assert panels[-1, 0].get_xlabel().startswith("updates")


def test_tasks_are_made_only_as_there_is_room_for_them():
    data = load_data(n_samples=20)
    _, args = batch_sizes.parse_flags([*SMALL, "--n_seeds=100000000", "--no_output"])
    plan = batch_sizes.plan_of(args, data)
    made = []

    def tasks():
        for task in plan.tasks_left(Study(None, {}), data):
            made.append(task)
            yield task

    runs = finished_runs(tasks(), n_jobs=1)
    _, seed, _, _ = next(runs)
    runs.close()
    assert seed == 0
    assert len(made) < 10


# How it goes on


@pytest.mark.parametrize("n_bytes", [0, 400])
def test_resume_repeats_only_a_run_that_was_cut_off(unfinished, study, n_bytes, capsys):
    path = unfinished / "histories.jsonl"
    os.truncate(path, path.stat().st_size - n_bytes)
    before = lines_of(unfinished)
    assert len(before) == (9 if n_bytes == 0 else 8)
    assert main("--resume", "--output_dir", unfinished) == 0
    assert f"{len(before)} of 9 runs are there already" in capsys.readouterr().out
    after = lines_of(unfinished)
    assert after[: len(before)] == before
    assert len([json.loads(line) for line in after]) == 9  # whole, each of them
    assert_same(runs_of(unfinished), runs_of(study[0]))


def test_resume_adds_seeds_and_batch_sizes(unfinished, capsys):
    more = ["--batch_sizes=30,7", "--n_seeds=4", "--resume"]
    assert main(*more, "--output_dir", unfinished) == 0
    assert "3 of 8 runs are there already" in capsys.readouterr().out
    keys = [(name, seed) for name in ("30", "7") for seed in range(4)]
    assert runs_of(unfinished).index.tolist() == keys
    assert len(lines_of(unfinished)) == 9 + 5  # those that were not asked for are kept


def test_resume_takes_equal_settings_for_equal_and_skips_blank_lines(unfinished, study, capsys):
    with open(unfinished / "histories.jsonl", "a") as file:
        file.write("\n \n")
    same = ["--learning_rate=1e-2", "--noise=.20", "--n_samples=060"]
    assert main("--resume", *same, "--output_dir", unfinished) == 0
    assert "9 of 9 runs are there already" in capsys.readouterr().out
    assert_same(runs_of(unfinished), runs_of(study[0]), 1e-15)


@pytest.mark.parametrize("is_finished", [False, True])
def test_a_study_is_not_replaced(unfinished, study, is_finished, capsys):
    if is_finished:
        shutil.copytree(study[0], unfinished, dirs_exist_ok=True)
    before = contents(unfinished)
    error = usage_error(capsys, "--output_dir", unfinished)
    assert "histories.jsonl has 9 runs" in error
    assert "--resume" in error
    assert contents(unfinished) == before


def test_results_alone_are_replaced_by_the_same_runs_and_more(committed, study):
    assert main("--n_seeds", "4", "--output_dir", committed) == 0
    assert_same(runs_of(committed).drop(3, level="seed"), runs_of(study[0]))


@pytest.mark.parametrize(
    "flags",
    [
        ["--seed=1"],
        ["--seed=1", "--n_seeds=100000000"],
        ["--batch_sizes=7,16"],
        ["--noise=0.3"],
        ["--n_seeds=2", "--resume"],
    ],
)
def test_results_alone_are_not_replaced_by_others(committed, flags, capsys):
    before = contents(committed)
    error = usage_error(capsys, *flags, "--output_dir", committed)
    assert "runs.csv" in error
    assert "name another folder" in error
    assert contents(committed) == before


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00"])
def test_somebody_else_s_results_are_not_replaced(tmp_path, content, capsys):
    (tmp_path / "runs.csv").write_bytes(content)
    assert "name another folder" in usage_error(capsys, "--output_dir", tmp_path)
    assert contents(tmp_path) == {"runs.csv": content}


@pytest.mark.parametrize(
    ("flag", "ours", "theirs"),
    [
        ("--max_steps", "25", "26"),
        ("--backend", "numpy", "numba"),
        ("--dnn_hidden_units", "20", "20,5"),
        ("--budget", "epochs", "updates"),
    ],
)
def test_resume_refuses_other_settings_and_names_them(unfinished, flag, ours, theirs, capsys):
    error = usage_error(capsys, flag, theirs, "--resume", "--output_dir", unfinished)
    assert f"{flag} {ours}, not {theirs}" in error


def without(key):
    def change(entry):
        del entry[key]

    return change


def with_short_history(entry):
    entry["history"]["test_loss"].pop()


def with_text_in_history(entry):
    entry["history"]["test_loss"][0] = "a text"


@pytest.mark.parametrize(
    "change", [without("noise"), without("history"), with_short_history, with_text_in_history]
)
def test_a_line_that_is_no_run_is_named_and_never_taken_for_one(unfinished, change, capsys):
    lines = lines_of(unfinished)
    entry = json.loads(lines[1])
    change(entry)
    lines[1] = json.dumps(entry)
    refuses_line_2(unfinished, lines, capsys)


@pytest.mark.parametrize("line", ['"a text"', "[]", "{", "not JSON"])
def test_a_line_of_something_else_is_named(unfinished, line, capsys):
    lines = lines_of(unfinished)
    lines[1] = line
    refuses_line_2(unfinished, lines, capsys)


def refuses_line_2(folder, lines, capsys):
    """Check that a study with these lines is refused, because of its second."""
    (folder / "histories.jsonl").write_text("\n".join(lines) + "\n")
    before = contents(folder)
    error = usage_error(capsys, "--resume", "--output_dir", folder)
    assert f"line 2 of {folder / 'histories.jsonl'}" in error
    assert "remove the line" in error
    assert contents(folder) == before


def test_two_commands_do_not_work_on_one_study_at_a_time(unfinished, capsys):
    fcntl = pytest.importorskip("fcntl", reason="needs the file locks of POSIX")
    before = contents(unfinished)
    with open(unfinished / "histories.jsonl", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as another command does
        error = usage_error(capsys, "--resume", "--output_dir", unfinished)
    assert f"another command is at work in {unfinished}" in error
    assert contents(unfinished) == before
    assert main("--resume", "--output_dir", unfinished) == 0  # now that the other has ended


@pytest.mark.parametrize("cause", ["Windows", "a disk"])
def test_where_there_are_no_file_locks_it_says_so_and_goes_on(
    unfinished, cause, monkeypatch, capsys
):
    if cause == "Windows":
        monkeypatch.setitem(sys.modules, "fcntl", None)  # cannot be imported
    else:
        fcntl = pytest.importorskip("fcntl", reason="needs the file locks of POSIX")
        monkeypatch.setattr(fcntl, "flock", raising(OSError("no locks available")))
    assert main("--resume", "--output_dir", unfinished) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert str(unfinished) in line
    assert "lock" in line


# How it ends early


def raising(error):
    """Return a function that raises this error."""

    def function(*args, **options):
        raise error

    return function


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_run_that_diverges_is_named_and_costs_no_other(unfinished, n_jobs, capsys):
    flags = ["--learning_rate=1e9", "--n_jobs", n_jobs, "--output_dir", unfinished / "new"]
    assert main(*flags) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"error: batch size 7, seed \d: the loss is (nan|inf)", line)
    assert "0 of 9 runs are done" in line
    assert lines_of(unfinished / "new") == []


def test_an_error_without_a_text_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Study, "add", raising(MemoryError()))
    assert main("--output_dir", tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "error: MemoryError; 0 of 9 runs are done" in line


def test_ctrl_c_ends_it_with_the_runs_so_far(unfinished, monkeypatch, capsys):
    add = Study.add

    def add_and_interrupt(*args):
        add(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Study, "add", add_and_interrupt)
    more = ["--resume", "--batch_sizes=30,7", "--n_seeds=4"]
    assert main(*more, "--output_dir", unfinished) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert "interrupted; 4 of 8 runs are done; the same command with --resume" in line
    assert len(lines_of(unfinished)) == 9 + 1


def test_ctrl_c_while_figure_4_is_drawn_leaves_the_old_results_together(
    unfinished, monkeypatch, capsys
):
    old = {name: name.encode() for name in RESULTS}
    for name, content in old.items():
        (unfinished / name).write_bytes(content)
    before = contents(unfinished)
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", raising(KeyboardInterrupt))
    assert main("--resume", "--output_dir", unfinished) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert "interrupted; 9 of 9 runs are done; the same command with --resume" in line
    assert contents(unfinished) == before


def test_without_pandas_it_names_the_remedy():
    run = "runpy.run_module('experiments.batch_sizes', run_name='__main__')"
    code = f"import runpy, sys; sys.modules['pandas'] = None; {run}"
    result = subprocess.run([sys.executable, "-c", code], **PIPES, timeout=60)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "pandas" in line
    assert line.endswith("pip install -r requirements-extra.txt")


def reset_signals():
    """Let Ctrl-C work in a process to come: a shell in the background has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_study_that_is_stopped_keeps_the_runs_that_have_finished(tmp_path, name, capsys):
    signum = getattr(signal, name)
    flags = ["--batch_sizes=1", "--n_seeds=4000", "--n_jobs=2", "--output_dir", tmp_path]
    options = {**PIPES, "start_new_session": True, "preexec_fn": reset_signals}
    path = tmp_path / "histories.jsonl"
    with subprocess.Popen([*COMMAND, *SMALL, *flags], **options) as process:
        while process.poll() is None and not (path.exists() and lines_of(tmp_path)):
            time.sleep(0.01)
        if name == "SIGTERM":
            os.kill(process.pid, signum)  # `kill` is for the command alone
        else:
            os.killpg(process.pid, signum)  # a terminal sends Ctrl-C to all its processes
        _, errors = process.communicate(timeout=60)  # until all have ended that could print
    before = lines_of(tmp_path)
    if name != "SIGKILL":
        assert process.returncode == 130
        (line,) = errors.splitlines()
        assert f"interrupted; {len(before)} of 4000 runs are done" in line

    n_seeds = len(before) + 3
    n_there = sum(json.loads(line)["seed"] < n_seeds for line in before)
    assert main(*flags, "--n_jobs=1", "--n_seeds", n_seeds, "--resume") == 0
    assert f"{n_there} of {n_seeds} runs are there already" in capsys.readouterr().out
    assert lines_of(tmp_path)[: len(before)] == before
    assert len(runs_of(tmp_path)) == n_seeds


@pytest.mark.slow
def test_large_data_need_no_temporary_file():
    flags = ["--n_samples=200000", "--max_steps=1", "--batch_sizes=full", "--n_jobs=2"]
    no_folder = {**os.environ, "JOBLIB_TEMP_FOLDER": "/proc/self"}
    command = [*COMMAND, *flags, "--n_seeds=2", "--no_output"]
    result = subprocess.run(command, **PIPES, env=no_folder, timeout=300)
    assert result.stderr == ""
    assert result.returncode == 0


# On a Dask cluster


@pytest.fixture
def needs_dask():
    pytest.importorskip("distributed", reason="needs pip install 'dask[distributed]'")


def test_an_address_where_no_scheduler_answers_is_refused(needs_dask, monkeypatch, capsys):
    monkeypatch.setattr("experiments.cluster.DASK_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:  # it takes calls and never answers
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        error = usage_error(capsys, "--no_output", "--dask", address)
    assert f"no answer from {address}" in error
    assert "experiments/README.md" in error


@pytest.mark.parametrize("address", ["nonsense", "http://127.0.0.1:8787"])
def test_what_is_no_address_of_a_scheduler_is_refused(needs_dask, address, capsys):
    assert "--dask" in usage_error(capsys, "--no_output", "--dask", address)


class Cluster:
    """A Dask scheduler, without workers at first."""

    def __init__(self, folder):
        self.file = folder / "scheduler.json"
        self.processes = []
        self.scheduler = self.start("scheduler", "--port=0")
        while not self.file.exists():
            assert self.scheduler.poll() is None
            time.sleep(0.1)
        self.address = json.loads(self.file.read_text())["address"]

    def start(self, *args):
        """Start a scheduler or a worker in the project's folder, as the README says."""
        command = [sys.executable, "-m", "dask", *args, "--no-dashboard"]
        command += ["--scheduler-file", self.file]
        process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(needs_dask, tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


@pytest.mark.slow
def test_a_cluster_gets_the_rows_that_this_machine_gets(cluster, study, tmp_path):
    command = [*COMMAND, *SMALL, "--output_dir", tmp_path, "--dask", cluster.address]
    with subprocess.Popen(command, **PIPES) as client:
        assert "waiting for a worker" in client.stdout.readline()
        cluster.start("worker", "--nthreads=1")
        _, errors = client.communicate(timeout=120)
    assert client.returncode == 0, errors
    assert_same(runs_of(tmp_path), runs_of(study[0]))


@pytest.mark.slow
def test_without_its_scheduler_it_ends(cluster, tmp_path):
    cluster.start("worker", "--nthreads=1")
    flags = ["--n_seeds=100000", "--output_dir", tmp_path, "--dask", cluster.address]
    path = tmp_path / "histories.jsonl"
    with subprocess.Popen([*COMMAND, *SMALL, *flags], **PIPES) as client:
        while client.poll() is None and not (path.exists() and lines_of(tmp_path)):
            time.sleep(0.01)
        cluster.scheduler.kill()
        _, errors = client.communicate(timeout=60)
    assert client.returncode == 1
    assert "error: the scheduler has gone" in errors
