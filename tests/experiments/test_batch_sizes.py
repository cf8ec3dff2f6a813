"""Part III: the study of batch sizes: what it prints, the files it leaves, and how it goes on."""

import contextlib
import io
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from joblib.parallel import ThreadingBackend
from matplotlib.figure import Figure

from experiments import batch_sizes
from experiments.cluster import finished_runs_of_cluster
from experiments.runs import train_from_seed
from experiments.study import Study, finished_runs, read_runs
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
    """Return the folder of a small study, and what it printed."""
    folder = tmp_path_factory.mktemp("study")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main("--output_dir", folder) == 0
    return folder, printed.getvalue()


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Draw nothing in Figure 4, which takes longer than the rest; return what it was given last.

    The fixture `study` has drawn it.
    """
    given = {}

    def figure_4(histories, title, x, with_report):
        given.update(title=title, x=x, with_report=with_report)
        return Figure()

    monkeypatch.setattr(batch_sizes, "figure_4", figure_4)
    return given


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


def test_what_is_printed_is_the_summary(study):
    folder, printed = study
    assert "least to greatest" in printed
    assert "report" not in printed  # these are not its settings
    for name, row in summary_of(folder).iterrows():
        first, second = re.findall(rf"^{name} .*", printed, re.M)
        low, median, high = (100 * row[f"test_accuracy_{end}"] for end in ("low", "median", "high"))
        assert f"{median:.2f} [{low:.2f}, {high:.2f}]" in first
        assert re.search(rf" no two groups +{row['updates']:.0f} ", second)
    assert re.findall(r"^wrote .*/(.*)$", printed, re.M) == RESULTS


def test_the_report_stands_beside_its_own_settings_however_they_are_written(drawn, capsys):
    flags = ["--n_samples=1_000", "--max_steps=1500", "--learning_rate=1e-2", "--noise=.20"]
    assert main(*flags, "--batch_sizes=400,full", "--n_seeds=1", "--no_output") == 0
    printed = capsys.readouterr().out
    assert re.search(r"^batch size .* report$", printed, re.M)
    assert re.search(r"^full .* 86.88 / 84.50$", printed, re.M)
    assert re.search(r"^400 .* -$", printed, re.M)
    assert drawn["with_report"]


def test_equal_updates_are_rounded_up_to_whole_epochs(tmp_path, drawn):
    budget = ["--budget=updates", "--max_steps=15", "--eval_freq=7"]
    assert main(*budget, "--output_dir", tmp_path) == 0
    epochs = {}
    for line in lines_of(tmp_path):
        run = json.loads(line)
        epochs[run["batch_size"]] = run["history"]["epoch"]
    # Epochs of 7 updates, of 3 and of one.
    assert epochs == {"7": [0, 1, 2, 3], "16": [0, 2, 4, 5], "full": [0, 7, 14, 15]}
    assert summary_of(tmp_path)["updates"].tolist() == [21, 15, 15]
    assert drawn["x"] == "updates"
    assert "3 runs" in drawn["title"]
    assert "15 updates" in drawn["title"]
    assert not drawn["with_report"]


def test_seconds_are_those_of_the_training_of_each_run(tmp_path, monkeypatch):
    now = 0
    durations = itertools.count(1)  # no two runs take equally long

    def slow_train(*args, **options):
        nonlocal now
        now += next(durations)
        return train_from_seed(*args, **options)

    monkeypatch.setattr("experiments.study.train_from_seed", slow_train)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    assert main("--output_dir", tmp_path) == 0
    assert read_runs(tmp_path)["seconds"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert summary_of(tmp_path)["seconds"].tolist() == [2, 5, 8]  # medians of three


def endless_tasks(made):
    """Yield tasks, and add each to the list `made` before."""
    data = load_data(n_samples=60)
    for seed in itertools.count():
        options = {"max_steps": 25}
        made.append(seed)
        yield data, [20], 7, seed, options


def test_tasks_are_made_only_as_there_is_room_for_them():
    made = []
    runs = finished_runs(endless_tasks(made), n_jobs=1)
    _, seed, _, _ = next(runs)
    runs.close()
    assert seed == 0
    assert len(made) < 10


@pytest.mark.slow
def test_two_processes_get_the_rows_that_one_gets(study, tmp_path):
    assert main("--n_jobs=2", "--output_dir", tmp_path) == 0
    assert_same(runs_of(tmp_path), runs_of(study[0]))


def test_rows_are_those_of_their_runs_in_whatever_order_these_end(study, tmp_path, monkeypatch):
    def last_first(*args):
        yield from reversed(list(finished_runs(*args)))

    monkeypatch.setattr(batch_sizes, "finished_runs", last_first)
    assert main("--output_dir", tmp_path) == 0
    first_line = lines_of(tmp_path)[0]
    assert json.loads(first_line)["seed"] == 2  # the last one of the study
    assert_same(runs_of(tmp_path), runs_of(study[0]), 1e-15)


def test_no_more_jobs_are_started_than_there_are_runs_left(monkeypatch):
    asked = []

    def recorded(tasks, n_jobs):
        asked.append(n_jobs)
        return finished_runs(tasks, n_jobs=1)

    monkeypatch.setattr(batch_sizes, "finished_runs", recorded)
    for n_jobs in (5, 50):
        assert main("--n_jobs", n_jobs, "--no_output") == 0
    assert asked == [5, 9]


class InBatches(ThreadingBackend):
    """Threads that are given ten runs at a time, as joblib gives short ones to its processes."""

    def compute_batch_size(self):
        return 10


def test_a_run_that_has_finished_does_not_wait_for_one_that_began_before(monkeypatch):
    first_may_end = threading.Event()

    def train_run(number):
        if number == 0:
            first_may_end.wait(10)
        return number

    monkeypatch.setattr("experiments.study.train_run", train_run)
    with joblib.parallel_config(InBatches()):
        runs = finished_runs(([number] for number in range(20)), n_jobs=2)
        assert next(runs) == 1
        first_may_end.set()
        assert set(runs) == {0, *range(2, 20)}


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
    assert len(after) == 9
    for line in after:
        json.loads(line)  # fails if it is half a line
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


def test_the_last_seed_may_be_the_largest_there_is(capsys):
    batch_sizes.parse_flags(["--no_output", "--seed", "4294967295", "--n_seeds", "1"])
    error = usage_error(capsys, "--no_output", "--seed", "4294967295", "--n_seeds", "2")
    assert "--n_seeds" in error
    assert "smaller --seed" in error


def test_a_study_is_not_replaced(unfinished, capsys):
    before = contents(unfinished)
    error = usage_error(capsys, "--output_dir", unfinished)
    assert "histories.jsonl has 9 runs" in error
    assert "--resume" in error
    assert contents(unfinished) == before


def test_results_alone_are_replaced_by_the_same_runs_and_more(committed, study):
    assert main("--n_seeds", "4", "--output_dir", committed) == 0
    assert_same(runs_of(committed).drop(3, level="seed"), runs_of(study[0]))


@pytest.mark.parametrize(
    ("flag", "reason"),
    [("--batch_sizes=7,16", "batch size full, seed 0"), ("--noise=0.3", "--noise 0.2")],
)
def test_results_alone_are_not_replaced_by_others(committed, flag, reason, capsys):
    before = contents(committed)
    error = usage_error(capsys, flag, "--output_dir", committed)
    assert f"runs.csv has runs that this command would not make again ({reason})" in error
    assert contents(committed) == before


def test_results_are_not_replaced_by_fewer_although_there_is_a_history(committed, study, capsys):
    first_line = lines_of(study[0])[0]
    (committed / "histories.jsonl").write_text(first_line + "\n")
    before = contents(committed)
    error = usage_error(capsys, "--resume", "--n_seeds=1", "--output_dir", committed)
    assert re.search(r"runs.csv has runs .* \(batch size \w+, seed [12]\)", error)
    assert contents(committed) == before


def test_a_file_that_cannot_be_opened_is_an_error_of_the_argument(tmp_path, capsys):
    (tmp_path / "histories.jsonl").mkdir()
    error = usage_error(capsys, "--output_dir", tmp_path)
    assert "argument --output_dir" in error
    assert "histories.jsonl" in error


@pytest.mark.parametrize(
    ("flag", "in_file", "asked_for"),
    [("--max_steps", "25", "26"), ("--dnn_hidden_units", "20", "20,5")],
)
def test_resume_refuses_other_settings_and_names_them(unfinished, flag, in_file, asked_for, capsys):
    error = usage_error(capsys, flag, asked_for, "--resume", "--output_dir", unfinished)
    assert f"{flag} {in_file}, not {asked_for}" in error


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"test_loss": [', '"test_loss": [0, '),
        ("{", ""),
    ],
    ids=["long history", "no JSON"],
)
def test_a_line_that_is_no_run_is_named(unfinished, old, new, capsys):
    path = unfinished / "histories.jsonl"
    lines = lines_of(unfinished)
    lines[1] = lines[1].replace(old, new, 1)
    path.write_text("\n".join(lines) + "\n")
    before = contents(unfinished)
    error = usage_error(capsys, "--resume", "--output_dir", unfinished)
    assert f"line 2 of {path}" in error
    assert "remove the line" in error
    assert contents(unfinished) == before


def test_two_commands_do_not_work_on_one_study_at_a_time(unfinished, capsys):
    fcntl = pytest.importorskip("fcntl", reason="needs the file locks of POSIX")
    before = contents(unfinished)
    with open(unfinished / "histories.jsonl", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as another command does
        error = usage_error(capsys, "--resume", "--output_dir", unfinished)
    assert f"another command is at work in {unfinished}" in error
    assert contents(unfinished) == before
    assert main("--resume", "--output_dir", unfinished) == 0  # now that the other has ended


def test_where_there_are_no_file_locks_it_says_so_and_goes_on(unfinished, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "fcntl", None)  # cannot be imported, as on Windows
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
def test_a_run_that_diverges_is_named(tmp_path, n_jobs, capsys):
    assert main("--learning_rate=1e9", "--n_jobs", n_jobs, "--output_dir", tmp_path) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"error: batch size 7, seed \d: the loss is (nan|inf)", line)
    assert "0 of 9 runs are done" in line
    assert "--resume" not in line  # it would diverge again


def test_a_full_disk_ends_it_in_one_line(tmp_path, capsys):
    resource = pytest.importorskip("resource", reason="needs the limits of POSIX")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # bytes
    try:
        assert main("--output_dir", tmp_path) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (line,) = capsys.readouterr().err.splitlines()
    assert "File too large; 0 of 9 runs are done" in line


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


def wait_for_a_run(process, folder):
    path = folder / "histories.jsonl"
    while process.poll() is None and not (path.exists() and lines_of(folder)):
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_a_study_that_is_stopped_keeps_the_runs_that_have_finished(tmp_path, name, capsys):
    flags = ["--batch_sizes=1", "--n_seeds=4000", "--n_jobs=2", "--output_dir", tmp_path]
    command = [*COMMAND, *SMALL, *flags]
    with subprocess.Popen(command, **PIPES, start_new_session=True) as process:
        wait_for_a_run(process, tmp_path)
        if name == "SIGTERM":
            process.terminate()  # `kill` is for the command alone
        else:
            os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate(timeout=60)  # until all have ended that could print
    before = lines_of(tmp_path)
    if name != "SIGKILL":
        assert process.returncode == 130
        (line,) = errors.splitlines()
        n_done = int(re.search(r"interrupted; (\d+) of 4000 runs are done", line)[1])
        assert len(before) - n_done in (0, 1)  # the last one was written, but not counted yet

    n_seeds = len(before) + 3
    n_there = sum(json.loads(line)["seed"] < n_seeds for line in before)
    assert main(*flags, "--n_jobs=1", "--n_seeds", n_seeds, "--resume") == 0
    assert f"{n_there} of {n_seeds} runs are there already" in capsys.readouterr().out
    assert lines_of(tmp_path)[: len(before)] == before
    assert len(runs_of(tmp_path)) == n_seeds


# On a Dask cluster


@pytest.fixture
def cluster():
    """Return a scheduler on this machine, without workers at first; `scale` adds some."""
    reason = "needs pip install 'dask[distributed]'"
    distributed = pytest.importorskip("distributed", reason=reason)
    options = {"processes": False, "protocol": "tcp", "dashboard_address": ":0"}
    with distributed.LocalCluster(n_workers=0, threads_per_worker=1, **options) as cluster:
        yield cluster


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_an_address_where_no_scheduler_answers_is_refused(answer, monkeypatch, capsys):
    pytest.importorskip("distributed", reason="needs pip install 'dask[distributed]'")
    monkeypatch.setattr("experiments.cluster.DASK_SECONDS", 0.5)

    def serve(server):
        connection, _ = server.accept()
        with connection:
            connection.sendall(answer)
            while connection.recv(1000):  # until the other has gone
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=[server], daemon=True).start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        error = usage_error(capsys, "--no_output", "--dask", address)
    assert address in error
    assert "experiments/README.md" in error


def test_workers_that_join_later_get_runs(cluster):
    made = []
    cluster.scale(1)
    with cluster.get_client() as client:
        client.wait_for_workers(1)
        runs = finished_runs_of_cluster(endless_tasks(made), client)
        next(runs)
        assert len(made) == 2  # one is trained, and one waits
        cluster.scale(3)
        client.wait_for_workers(3)
        next(runs)
        assert len(made) == 1 + 6  # one has ended; two for each of three workers


@pytest.mark.slow
def test_a_cluster_gets_the_rows_that_this_machine_gets(cluster, study, tmp_path):
    address = cluster.scheduler_address
    command = [*COMMAND, *SMALL, "--output_dir", tmp_path, "--dask", address]
    with subprocess.Popen(command, **PIPES) as client:
        assert "waiting for a worker" in client.stdout.readline()
        cluster.scale(1)
        _, errors = client.communicate(timeout=120)
    assert client.returncode == 0, errors
    assert_same(runs_of(tmp_path), runs_of(study[0]))


@pytest.mark.slow
def test_without_its_scheduler_it_ends(cluster, tmp_path):
    cluster.scale(1)
    address = cluster.scheduler_address
    flags = ["--n_seeds=100000", "--output_dir", tmp_path, "--dask", address]
    with subprocess.Popen([*COMMAND, *SMALL, *flags], **PIPES) as client:
        wait_for_a_run(client, tmp_path)
        cluster.close()
        _, errors = client.communicate(timeout=60)
    assert client.returncode == 1
    assert "error: the scheduler has gone" in errors
    assert "--resume" in errors
