"""Part III, Task 2: the comparison of batch sizes over many seeds, as claims about its files."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from contextlib import ExitStack, nullcontext
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import compare_batch_sizes
import plots
from compare_batch_sizes import COLUMNS, STUCK_RULE, main, parse_args, schedule, summarise
from mlp_numpy import MLP
from train_mlp_numpy import METRICS, load_data, train

ROOT = Path(__file__).parent.parent
SCRIPT = str(ROOT / "compare_batch_sizes.py")
SMALL = ("--batch_sizes", "7,full", "--n_seeds", "3", "--n_samples", "60", "--max_steps", "25")


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def without_seconds(path):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows_of(path)]


def run(folder, *args):
    """Run the script in `folder` as a process."""
    return subprocess.run(
        [sys.executable, SCRIPT, *args], cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Return the folder that a small study, run in two processes, has written into."""
    folder = tmp_path_factory.mktemp("study")
    result = run(folder, *SMALL, "--n_jobs", "2")
    assert (result.returncode, result.stderr) == (0, "")
    (folder / "printed").write_text(result.stdout)
    return folder


def test_each_row_is_what_train_returns(study):
    rows = rows_of(study / "outputs/runs.csv")
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["batch_size"], row["seed"]) for row in rows] == [
        (name, seed) for name in ("7", "full") for seed in "012"
    ]
    histories = rows_of(study / "outputs/histories.csv")
    data = load_data(n_samples=60)
    for row in rows:
        rng = np.random.RandomState(int(row["seed"]))
        size = None if row["batch_size"] == "full" else 7
        history = train(
            MLP(2, [20], 2, rng), data, max_steps=25, batch_size=size, rng=rng, backend="numba"
        )
        assert [float(row[key]) for key in METRICS] == [history[key][-1] for key in METRICS]
        entries = [
            h for h in histories if (h["batch_size"], h["seed"]) == (*list(row.values())[:2],)
        ]
        for key, values in history.items():
            assert [float(entry[key]) for entry in entries] == values.tolist()


def test_the_summary_is_of_the_runs(study):
    rows = rows_of(study / "outputs/runs.csv")
    for summary in rows_of(study / "outputs/summary.csv"):
        losses = sorted(
            float(row["test_loss"]) for row in rows if row["batch_size"] == summary["batch_size"]
        )
        assert summary["runs"] == "3"
        assert summary["epochs"] == "25"
        assert summary["updates"] == {"7": "175", "full": "25"}[summary["batch_size"]]
        seconds = [float(r["seconds"]) for r in rows if r["batch_size"] == summary["batch_size"]]
        assert float(summary["seconds"]) == sorted(seconds)[1]
        assert 0 < max(seconds) < 1  # what was compiled or imported first is not counted
        assert float(summary["test_loss_median"]) == losses[1]
        # Of three values the quantile 0.025 lies a twentieth of the way from first to second.
        assert float(summary["test_loss_low"]) == pytest.approx(
            losses[0] + 0.05 * (losses[1] - losses[0])
        )
        assert float(summary["test_loss_high"]) == pytest.approx(
            losses[2] - 0.05 * (losses[2] - losses[1])
        )
        assert summary["stuck"] == ""  # all are still far above
        printed = (study / "printed").read_text()
        low, median, high = (float(summary[f"test_loss_{k}"]) for k in ("low", "median", "high"))
        assert f"{median:.4f} [{low:.4f}, {high:.4f}]" in printed
        low, median, high = (
            100 * float(summary[f"train_accuracy_{k}"]) for k in ("low", "median", "high")
        )
        assert f"{median:.2f} [{low:.2f}, {high:.2f}]" in printed


def test_a_study_prints_what_it_does_and_writes_what_it_says(study):
    printed = (study / "printed").read_text()
    assert "6 of 6 runs\n" in printed
    assert STUCK_RULE in printed
    assert "median [central 95 %] of each batch size, seeds: 3\n" in printed
    assert max(map(len, printed.splitlines())) <= 80
    assert "report" not in printed  # these settings are not the report's
    written = re.findall(r"^wrote (.*)$", printed, re.M)
    assert sorted(written) == sorted(str(p.relative_to(study)) for p in study.glob("outputs/*"))
    assert len(written) == 4


def test_the_report_stands_beside_its_own_settings_alone(capsys):
    def prints_the_report(*args):
        settings = compare_batch_sizes.settings_of(parse_args(["--no_output", *args])[1])
        return settings.items() >= compare_batch_sizes.REPORT_SETTINGS.items()

    assert prints_the_report()
    assert prints_the_report("--backend", "numpy", "--eval_freq", "100", "--n_seeds", "3")
    assert not prints_the_report("--budget", "updates", "--max_steps", "1500")
    assert not prints_the_report("--max_steps", "1000")
    assert not prints_the_report("--noise", "0.3")


def test_stuck_is_above_the_plateau_while_the_best_quarter_is_below():
    def stuck(losses):
        rows = [dict.fromkeys(METRICS, loss) | {"seconds": 1.0} for loss in losses]
        return summarise("16", rows, 1500, 75_000)["stuck"]

    assert stuck([0.1, 0.1, 0.1, 0.25]) == 0.25
    assert stuck([0.1, 0.1, 0.1, 0.2]) == 0
    assert stuck([0.1, 0.1, 0.25, 0.25, 0.25]) == 0.6
    assert stuck([0.1, 0.25, 0.25, 0.25, 0.25, 0.25]) == ""  # they are slow, not stuck
    assert "above 0.2" in STUCK_RULE
    assert "a quarter of the runs are below it" in STUCK_RULE


def test_equal_updates_are_rounded_up_to_whole_epochs():
    args = parse_args(["--budget", "updates", "--no_output"])[1]
    assert (args.max_steps, args.eval_freq) == (75_000, 500)
    assert schedule(args, 800, 16) == (50, 1500, 10)
    assert schedule(args, 800, 1) == (800, 94, 1)
    assert schedule(args, 800, None) == (1, 75_000, 500)
    assert schedule(args, 800, 256) == (4, 18_750, 125)
    args = parse_args(["--no_output"])[1]
    assert [schedule(args, 800, size) for size in (1, None)] == [(800, 1500, 10), (1, 1500, 10)]


def test_a_study_of_equal_updates_gives_them(tmp_path, capsys):
    flags = ("--budget", "updates", "--max_steps", "14", "--eval_freq", "7")
    assert main([*SMALL, *flags, "--n_jobs", "1", "--output_dir", str(tmp_path)]) == 0
    steps = {"7": [], "full": []}
    for row in rows_of(tmp_path / "histories.csv"):
        if row["seed"] == "0":
            steps[row["batch_size"]].append(int(row["step"]))
    assert steps == {"7": [0, 1, 2], "full": [0, 7, 14]}  # epochs, of 7 updates and of one
    assert [row["updates"] for row in rows_of(tmp_path / "summary.csv")] == ["14", "14"]


def drawn(monkeypatch, folder, *args):
    """Return what Figure 4 of a study is drawn from."""
    calls = []
    monkeypatch.setattr(plots, "batch_sizes", lambda *args: calls.append(args) or Figure())
    assert main([*SMALL, *args, "--n_jobs", "1", "--output_dir", str(folder)]) == 0
    return calls[0]


def test_figure_4_is_drawn_from_the_histories(monkeypatch, tmp_path):
    monkeypatch.setattr(compare_batch_sizes, "REPORT_SETTINGS", {})
    curves, x_label, marks, title = drawn(monkeypatch, tmp_path)
    histories = rows_of(tmp_path / "histories.csv")
    for name in ("7", "full"):
        assert curves[name]["x"].tolist() == [0, 10, 20, 25]
        for key in METRICS:
            values = [float(row[key]) for row in histories if row["batch_size"] == name]
            assert curves[name][key].tolist() == np.reshape(values, (3, 4)).tolist()
    assert x_label == "epoch"
    assert marks["full"] == [86.88, 84.5]
    assert marks["1"] == [96, 97]
    assert title == "25 epochs on moons, learning rate 0.01: median and central 95 % of 3 seeds"


def test_figure_4_of_equal_updates_counts_updates(monkeypatch, tmp_path):
    flags = ("--budget", "updates", "--max_steps", "14", "--eval_freq", "7")
    curves, x_label, marks, title = drawn(monkeypatch, tmp_path, *flags)
    assert curves["7"]["x"].tolist() == curves["full"]["x"].tolist() == [0, 7, 14]
    assert (x_label, marks) == ("updates", {})
    assert title.startswith("14 updates on moons")


def test_without_output_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*SMALL, "--n_jobs", "1", "--no_output"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_the_layers_can_be_compared_too(study, tmp_path, capsys):
    assert main([*SMALL, "--backend", "numpy", "--n_jobs", "1", "--output_dir", str(tmp_path)]) == 0
    for row, ours in zip(
        rows_of(tmp_path / "runs.csv"), rows_of(study / "outputs/runs.csv"), strict=True
    ):
        for key in METRICS:
            assert float(row[key]) == pytest.approx(float(ours[key]), abs=1e-9)


def cut(path, n_bytes):
    with open(path, "r+b") as file:
        file.truncate(os.path.getsize(path) - n_bytes)


@pytest.mark.parametrize(
    ("break_off", "n_left"),
    [
        (lambda folder: None, 6),
        (lambda folder: cut(folder / "runs.csv", 5), 5),  # in the midst of its last row
        (lambda folder: cut(folder / "histories.csv", 5), 5),
        (lambda folder: cut(folder / "histories.csv", 300), 5),
        (lambda folder: (folder / "histories.csv").unlink(), 0),
        (lambda folder: (folder / "runs.csv").unlink(), 0),
    ],
)
def test_resume_repeats_no_run_that_the_files_hold_whole(
    study, tmp_path, break_off, n_left, capsys, monkeypatch
):
    for name in ("runs.csv", "histories.csv"):
        (tmp_path / name).write_bytes((study / "outputs" / name).read_bytes())
    before = (tmp_path / "histories.csv").read_bytes()
    break_off(tmp_path)
    runs = tmp_path / "runs.csv"
    rows_left = compare_batch_sizes.read_rows(runs, COLUMNS) if runs.exists() else []
    trained = []
    original = compare_batch_sizes.train_run
    monkeypatch.setattr(
        compare_batch_sizes,
        "train_run",
        lambda *task: trained.append(task) or original(*task),
    )
    assert main([*SMALL, "--n_jobs", "1", "--resume", "--output_dir", str(tmp_path)]) == 0
    assert len(trained) == 6 - n_left
    printed = capsys.readouterr().out
    assert (f"{n_left} of 6 runs are there already" in printed) == (n_left > 0)
    n_repeated = len(rows_left) - n_left
    says_so = f"{n_repeated} of 6 runs are repeated: their curves are not in histories.csv"
    assert (says_so in printed) == (n_repeated > 0)
    assert without_seconds(tmp_path / "runs.csv") == without_seconds(study / "outputs/runs.csv")
    assert (tmp_path / "histories.csv").read_bytes() == before


def test_resume_adds_seeds_and_batch_sizes(study, tmp_path, capsys):
    for name in ("runs.csv", "histories.csv"):
        (tmp_path / name).write_bytes((study / "outputs" / name).read_bytes())
    more = ("--batch_sizes", "16,7", "--n_seeds", "4")
    assert main([*SMALL, *more, "--n_jobs", "1", "--resume", "--output_dir", str(tmp_path)]) == 0
    assert "3 of 8 runs are there already" in capsys.readouterr().out
    rows = rows_of(tmp_path / "runs.csv")
    assert [row["batch_size"] for row in rows] == [*4 * ["16"], *4 * ["7"], *3 * ["full"]]
    summaries = rows_of(tmp_path / "summary.csv")
    assert [(row["batch_size"], row["runs"]) for row in summaries] == [("16", "4"), ("7", "4")]


def test_resume_keeps_the_rows_that_it_is_not_asked_for(study, tmp_path, capsys):
    (tmp_path / "runs.csv").write_bytes((study / "outputs/runs.csv").read_bytes())
    sizes = ("--batch_sizes", "full", "--n_jobs", "1")
    assert main([*SMALL, *sizes, "--resume", "--output_dir", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "3 of 3 runs are repeated: their curves are not in histories.csv" in printed
    rows = {(row["batch_size"], row["seed"]) for row in rows_of(tmp_path / "runs.csv")}
    assert rows == {(name, seed) for name in ("7", "full") for seed in "012"}


def test_a_new_study_does_not_replace_an_unfinished_one(study, tmp_path, capsys):
    (tmp_path / "runs.csv").write_bytes((study / "outputs/runs.csv").read_bytes())
    with pytest.raises(SystemExit) as end:
        main([*SMALL, "--output_dir", str(tmp_path)])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "runs.csv has 6 runs of a study that was not finished; pass --resume" in line
    assert (tmp_path / "runs.csv").read_bytes() == (study / "outputs/runs.csv").read_bytes()


def test_a_new_study_replaces_a_finished_one_once_it_has_a_run(study, tmp_path, capsys):
    for path in (study / "outputs").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    flags = ("--n_jobs", "1", "--output_dir", str(tmp_path))
    assert main([*SMALL, "--learning_rate", "1e300", *flags]) == 1  # diverges: there is none
    for path in (study / "outputs").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert main([*SMALL, "--seed", "7", *flags]) == 0
    assert {row["seed"] for row in rows_of(tmp_path / "runs.csv")} == {"7", "8", "9"}


def test_what_cannot_be_written_stops_the_study_in_one_line(tmp_path, monkeypatch, capsys):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compare_batch_sizes, "write_run", fail)
    assert main([*SMALL, "--n_jobs", "1", "--output_dir", str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "compare_batch_sizes.py: error: [Errno 28] No space left on device",
        "0 of 6 runs are done; --resume keeps them",
    ]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (("--max_steps", "26"), "--max_steps 25 instead of 26"),
        (("--eval_freq", "5"), "--eval_freq 10 instead of 5"),
        (("--dataset", "circles"), "--dataset moons instead of circles"),
        (("--n_samples", "61"), "--n_samples 60 instead of 61"),
        (("--backend", "numpy"), "--backend numba instead of numpy"),
        (("--learning_rate", "0.02"), "--learning_rate 0.01 instead of 0.02"),
        (("--dnn_hidden_units", "20,5"), "--dnn_hidden_units 20 instead of 20,5"),
        (
            ("--noise", "0.1", "--data_seed", "1"),
            "--noise 0.2 instead of 0.1, --data_seed 42 instead of 1",
        ),
        (("--budget", "updates"), "--budget epochs instead of updates"),
    ],
)
def test_resume_refuses_other_settings(study, change, difference, capsys):
    before = (study / "outputs/runs.csv").read_bytes()
    with pytest.raises(SystemExit) as end:
        main([*SMALL, *change, "--resume", "--output_dir", str(study / "outputs")])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"runs.csv was made with {difference}" in line
    assert (study / "outputs/runs.csv").read_bytes() == before


@pytest.mark.parametrize("resume", [["--resume"], []])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        ",".join(COLUMNS).encode() + b"\n1,2\n",
        b"\xd2\n",
        200_000 * b"x" + b"\n",
    ],
)
def test_a_file_of_someone_else_is_refused(tmp_path, content, resume, capsys):
    (tmp_path / "runs.csv").write_bytes(content)
    with pytest.raises(SystemExit) as end:
        main([*SMALL, *resume, "--output_dir", str(tmp_path)])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "runs.csv is not a file of this script" in line
    assert (tmp_path / "runs.csv").read_bytes() == content


@pytest.mark.parametrize("n_jobs", ["1", "2"])
def test_a_run_that_diverges_is_named(tmp_path, n_jobs):
    flags = ("--learning_rate", "1e300", "--n_jobs", n_jobs)
    result = run(tmp_path, *SMALL, *flags)
    assert result.returncode == 1
    line, count = result.stderr.splitlines()
    assert re.search(
        r"error: batch size 7, seed [012]: the loss is no longer finite at epoch", line
    )
    assert count == "0 of 6 runs are done; --resume keeps them"


def test_a_run_that_fails_is_named(monkeypatch, capsys):
    def fail(*args, **options):
        raise TypeError("something else")

    monkeypatch.setattr(compare_batch_sizes, "train_from_seed", fail)
    assert main([*SMALL, "--n_jobs", "1", "--no_output"]) == 1
    assert "error: batch size 7, seed 0: TypeError('something else')" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (CancelledError(), "error: the cluster is gone"),
        (TimeoutError("no worker\nafter 10 seconds"), "error: no worker after 10 seconds"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_whatever_stops_the_study_is_said_in_one_line(monkeypatch, capsys, error, message):
    def fail(*args):
        raise error

    monkeypatch.setattr(compare_batch_sizes, "finished_runs", fail)
    status = main([*SMALL, "--no_output"])
    assert status == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert capsys.readouterr().err.splitlines() == [
        f"compare_batch_sizes.py: {message}",
        "0 of 6 runs are done",
    ]


def test_a_closed_pipe_ends_quietly(tmp_path):
    script = shlex.join([sys.executable, SCRIPT, *SMALL, "--n_jobs", "2", "--n_seeds", "40"])
    result = subprocess.run(
        ["bash", "-c", f"{script} | head -1; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.stderr == ""
    assert result.stdout == "4 of 80 runs\n141\n"


def start(folder, *args, **options):
    """Start the script in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, SCRIPT, *args],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


LONG = ("--n_seeds", "20", "--max_steps", "300", "--batch_sizes", "1,16,full", "--n_jobs", "2")


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_study_that_is_killed_keeps_the_runs_that_have_finished(tmp_path, signal_number):
    def reset():  # a shell in the background ignores SIGINT, and its children inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with start(tmp_path, *LONG, preexec_fn=reset) as process:
        process.stdout.readline()  # the first runs are done
        os.killpg(process.pid, signal_number)
        _, errors = process.communicate(timeout=30)
    n_done = len(rows_of(tmp_path / "outputs/runs.csv"))
    assert 3 <= n_done < 60
    if signal_number == signal.SIGKILL:
        assert process.returncode == -signal_number
    else:
        assert process.returncode == 128 + signal_number
        assert errors.splitlines() == [
            "compare_batch_sizes.py: interrupted",
            f"{n_done} of 60 runs are done; --resume keeps them",
        ]
    kept = rows_of(tmp_path / "outputs/runs.csv")
    result = run(tmp_path, *LONG, "--resume")
    assert result.returncode == 0, result.stderr
    assert f"{n_done} of 60 runs are there already" in result.stdout
    rows = rows_of(tmp_path / "outputs/runs.csv")
    assert len(rows) == 60
    assert all(row in rows for row in kept)  # with the seconds that they took the first time


def test_ctrl_c_is_left_to_the_main_process(monkeypatch):
    handler = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(compare_batch_sizes, "train_run", lambda: signal.getsignal(signal.SIGINT))
    assert list(compare_batch_sizes.finished_runs([()] * 2, 2, None)) == [signal.SIG_IGN] * 2
    assert signal.getsignal(signal.SIGINT) is handler


def test_when_a_worker_is_killed_the_runs_under_way_are_named(monkeypatch, capsys):
    def die(*task):
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(compare_batch_sizes, "train_run", die)
    assert main([*SMALL, "--n_jobs", "2", "--no_output"]) == 1
    under_way = "batch size 7, seed 0; batch size 7, seed 1"
    assert capsys.readouterr().err.splitlines() == [
        "compare_batch_sizes.py: error: a worker was killed or out of memory; "
        f"under way: {under_way}",
        "0 of 6 runs are done",
    ]


@pytest.fixture
def cluster(tmp_path):
    """Return the address of a Dask cluster of two worker processes that know nothing of us."""
    pytest.importorskip("distributed", reason="needs pip install 'dask[distributed]'")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    options = {"cwd": tmp_path, "env": environment, "stderr": subprocess.DEVNULL}
    scheduler_file = tmp_path / "scheduler.json"
    with ExitStack() as stack:
        for command in (
            ["dask_scheduler", "--port", "0"],
            ["dask_worker", "--nworkers", "2", "--nthreads", "1", "--local-directory", "workers"],
        ):
            name, *flags = command
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", f"distributed.cli.{name}", *flags),
                    *("--no-dashboard", "--scheduler-file", str(scheduler_file)),
                ],
                **options,
            )
            stack.enter_context(process)
            stack.callback(process.terminate)
            deadline = time.monotonic() + 30
            while not scheduler_file.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
        yield json.loads(scheduler_file.read_text())["address"]


def test_a_cluster_and_the_cores_here_exclude_each_other(capsys):
    with pytest.raises(SystemExit) as end:
        parse_args(["--n_jobs", "1", "--dask", "tcp://localhost:1"])
    assert end.value.code == 2
    assert "argument --dask: not allowed with argument --n_jobs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("", "no scheduler answers at '' (the address is empty)"),
        ("x", "no scheduler answers at 'x'"),
    ],
)
def test_an_address_where_nobody_answers_is_a_usage_error(tmp_path, address, message):
    pytest.importorskip("distributed", reason="needs pip install 'dask[distributed]'")
    result = run(tmp_path, *SMALL, "--dask", address)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert f"argument --dask: {message}" in line
    assert list(tmp_path.iterdir()) == []


def test_without_dask_the_flag_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SystemExit) as end:
        main([*SMALL, "--dask", "tcp://localhost:1", "--output_dir", str(tmp_path)])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(r"argument --dask: needs Dask .*: pip install 'dask\[distributed\]'$", line)


def test_a_cluster_gets_exactly_the_rows_that_this_machine_gets(study, cluster, tmp_path):
    result = run(tmp_path, *SMALL, "--dask", cluster)
    assert result.returncode == 0, result.stderr
    rows = without_seconds(tmp_path / "outputs/runs.csv")
    assert rows == without_seconds(study / "outputs/runs.csv")
    theirs, ours = (folder / "outputs/histories.csv" for folder in (tmp_path, study))
    assert theirs.read_bytes() == ours.read_bytes()
    uploaded = {path.name for path in tmp_path.glob("workers/**/*.py")}
    assert {"modules.py", "mlp_numba.py", "train_mlp_numpy.py"} <= uploaded


def test_progress_is_at_most_about_twenty_lines(tmp_path, capsys):
    seeds = ("--n_seeds", "50", "--max_steps", "1", "--n_jobs", "1", "--no_output")
    assert main([*SMALL, *seeds]) == 0
    lines = re.findall(r"^\d+ of 100 runs$", capsys.readouterr().out, re.M)
    assert len(lines) == 20
    assert lines[-1] == "100 of 100 runs"


@pytest.mark.parametrize(("n_tasks", "n_jobs", "n_workers"), [(1, 12, 1), (3, 2, 2), (0, -1, 1)])
def test_no_more_workers_are_started_than_there_are_runs(monkeypatch, n_tasks, n_jobs, n_workers):
    asked = []

    def note(n_jobs, **options):
        asked.append(n_jobs)
        return nullcontext()

    monkeypatch.setattr("joblib.parallel_config", note)
    monkeypatch.setattr("joblib.Parallel", lambda **options: list)
    assert len(compare_batch_sizes.finished_runs([()] * n_tasks, n_jobs, None)) == n_tasks
    assert asked == [n_workers]
