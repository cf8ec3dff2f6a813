"""The scripts as a user meets them: real processes, their output, files and exit status."""

import csv
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

import train_mlp_numpy
from mlp_numpy import MLP
from perceptron import run_cases
from train_mlp_numpy import METRICS, evaluate, load_data

ROOT = Path(__file__).parent.parent
TRAINER, PERCEPTRON = "train_mlp_numpy.py", "perceptron.py"
COMPARE, ANIMATE = "compare_batch_sizes.py", "animate_boundary.py"
BUGS = "backprop_bugs.py"
QUICK = ("--n_samples", "60", "--max_steps", "20")
ENVIRONMENT = {**os.environ, "MPLBACKEND": "agg"}


def command(script, *args):
    return [sys.executable, "-W", "error", str(ROOT / script), *args]


def run(folder, script, *args):
    """Run a script in `folder` with its output piped, as a warning-free process."""
    return subprocess.run(
        command(script, *args),
        cwd=folder,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_perceptron_prints_the_report_and_draws_figure_1(tmp_path):
    result = run(tmp_path, PERCEPTRON)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["1", "Separable", "at", "epoch", "1", *3 * ["1.000"]]
    assert [line.split()[-2:] for line in lines[2:5]] == [
        ["0.525", "0.691"],
        ["0.850", "0.841"],
        ["0.375", "0.550"],
    ]
    assert all("not in 100" in line for line in lines[2:5])
    assert lines[5] == "wrote outputs/figure1_perceptron.png"
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*")] == [lines[5].split()[1]]


def test_perceptron_repeats_add_the_mean_and_deviation_over_seeds(tmp_path):
    before = os.times()
    result = run(tmp_path, PERCEPTRON, "--repeats", "100", "--no_output")
    after = os.times()  # of the processor, which another test may share
    seconds = after.children_user + after.children_system
    seconds -= before.children_user + before.children_system
    assert result.returncode == 0, result.stderr
    separable = result.stdout.splitlines()[1].split()
    assert float(separable[-2]) > 0.99
    assert float(separable[-1]) < 0.01
    assert seconds < 3
    assert list(tmp_path.iterdir()) == []


def test_perceptron_flags_reach_the_training(tmp_path):
    args = ("--no_output", "--max_epochs", "3", "--seed", "7", "--repeats", "1")
    result = run(tmp_path, PERCEPTRON, *args)
    assert result.returncode == 0, result.stderr
    results = run_cases(7, max_epochs=3)
    for line, case in zip(result.stdout.splitlines()[1:], results, strict=True):
        *_, accuracy, _, mean, deviation = line.split()
        assert accuracy == mean == f"{case.test_accuracy:.3f}"
        assert deviation == "-"  # one seed has none
    assert "not in 3 " in result.stdout


@pytest.mark.parametrize("backend", train_mlp_numpy.BACKENDS)
@pytest.mark.parametrize("batch_size", ["1", "16", "full", "1000"])
def test_every_regime_trains(tmp_path, batch_size, backend):
    flags = ("--batch_size", batch_size, "--backend", backend, "--no_output")
    result = run(tmp_path, TRAINER, *QUICK, *flags)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    says_so = "batch size 1000 exceeds the 48 training rows: using the full batch"
    assert (says_so in result.stdout) == (batch_size == "1000")
    assert re.search(r"epoch 20, [0-9.]+ s, [0-9,]+ updates/s", result.stdout)
    assert list(tmp_path.iterdir()) == []


def test_a_run_writes_what_it_says(tmp_path):
    result = run(tmp_path, TRAINER, *QUICK, "--batch_size", "16", "--output_dir", "a/b")
    assert result.returncode == 0, result.stderr
    written = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("wrote")]
    assert written == [
        "a/b/history.csv",
        "a/b/model.npz",
        "a/b/figure2_data.png",
        "a/b/figure3_curves.png",
        "a/b/decision_boundary.png",
    ]
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*")) == sorted(written)
    with open(tmp_path / "a/b/history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", *METRICS]
    assert [row["step"] for row in rows] == ["0", "10", "20"]
    metrics = evaluate(MLP.load(tmp_path / "a/b/model.npz"), load_data(n_samples=60))
    assert {key: float(rows[-1][key]) for key in METRICS} == metrics  # to the bit
    for part in ("train", "test"):
        table = rf"{part} +{metrics[f'{part}_loss']:.4f} +{100 * metrics[f'{part}_accuracy']:.2f} %"
        assert re.search(table, result.stdout)


def test_piped_output_is_at_most_about_twenty_plain_lines(tmp_path):
    args = ("--n_samples", "60", "--max_steps", "1000", "--eval_freq", "1", "--no_output")
    result = run(tmp_path, TRAINER, *args)
    assert len([line for line in result.stdout.splitlines() if line.startswith("epoch")]) <= 22
    assert re.search(r"^epoch 1000: train loss 0\.\d{4}, test accuracy", result.stdout, re.M)
    assert not re.search(r"[^\x20-\x7e\n]", result.stdout)
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_gets_a_bar_with_epoch_loss_and_accuracy(tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen(
        command(TRAINER, *QUICK, "--no_output"),
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=theirs,
    ) as process:
        os.close(theirs)
        output, chunk = b"", b"-"
        while chunk:
            output += chunk
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # what Linux says when the other end is closed
                chunk = b""
    os.close(ours)
    assert process.returncode == 0
    bar = output.decode().split("\r")
    assert any(
        re.search(r"epoch 20/20, train loss 0\.\d+, test accuracy \d+\.\d+ % ", line)
        for line in bar
    )
    assert "epoch 10:" not in output.decode()
    assert re.search(r"train +0\.\d{4} +\d+\.\d\d %", output.decode())


@pytest.mark.parametrize(
    "environment",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},  # as Jupyter sets it
        {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"},
    ],
)
def test_files_are_written_whatever_the_environment(tmp_path, environment):
    result = subprocess.run(
        command(PERCEPTRON, "--output_dir", "ünï"),
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "ünï/figure1_perceptron.png").exists()


def test_a_backend_that_does_not_exist_is_found_before_training(tmp_path):
    result = subprocess.run(
        command(PERCEPTRON, "--show"),
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "nonsense"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert "argument --show: no display here" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_closed_output_is_no_error(tmp_path):
    script = shlex.join(command(PERCEPTRON, "--no_output"))
    result = subprocess.run(
        ["bash", "-c", f"{script} >&-"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True
    )
    assert result.returncode == 0
    assert result.stderr == b""


def test_a_perceptron_that_overflows_is_status_1_and_one_line(tmp_path):
    result = run(tmp_path, PERCEPTRON, "--learning_rate", "1e308")
    assert result.returncode == 1
    assert re.fullmatch(r"perceptron.py: error: w.x.* smaller than 1e\+308\n", result.stderr)


def test_matplotlib_is_not_imported_when_no_figure_is_asked_for(tmp_path):
    for script in (TRAINER, PERCEPTRON):
        program = (
            "import runpy, sys; sys.argv = sys.argv[1:]\n"
            "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
            "except SystemExit as end: assert end.code == 0\n"
            "assert 'matplotlib' not in sys.modules\n"
        )
        args = QUICK if script == TRAINER else ()
        result = subprocess.run(
            [sys.executable, "-c", program, str(ROOT / script), *args, "--no_output"],
            cwd=tmp_path,
            env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr


def test_divergence_is_status_1_and_keeps_the_history_so_far(tmp_path):
    args = ("--learning_rate", "1e200", "--eval_freq", "1")
    result = run(tmp_path, TRAINER, *QUICK, *args)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert re.search(r"no longer finite at epoch \d+: try a learning rate smaller than", line)
    with open(tmp_path / "outputs/history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["step"] == "0"
    assert np.isfinite([float(value) for row in rows for value in row.values()]).all()
    assert [path.name for path in (tmp_path / "outputs").iterdir()] == ["history.csv"]


@pytest.mark.parametrize("backend", train_mlp_numpy.BACKENDS)
def test_ctrl_c_writes_what_there_is_and_exits_with_130(tmp_path, backend):
    with subprocess.Popen(
        command(TRAINER, "--max_steps", "1000000", "--eval_freq", "7", "--backend", backend),
        cwd=tmp_path,
        # A shell in the background ignores SIGINT, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.readline()  # training is under way
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    (line,) = errors.splitlines()
    epoch = int(re.search(r"interrupted in epoch (\d+) of 1000000", line)[1])
    with open(tmp_path / "outputs/history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [*range(0, epoch, 7), epoch]
    metrics = evaluate(MLP.load(tmp_path / "outputs/model.npz"), load_data())
    assert {key: float(rows[-1][key]) for key in METRICS} == metrics  # of the network as saved
    assert "wrote outputs/figure3_curves.png" in output
    assert "wrote outputs/decision_boundary.png" in output


def test_a_closed_pipe_ends_quietly(tmp_path):
    trainer = shlex.join(command(TRAINER, "--max_steps", "2000", "--no_output"))
    result = subprocess.run(
        ["bash", "-c", f"{trainer} | head -1; echo ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert result.stderr == ""
    assert result.stdout.splitlines()[0].startswith("epoch 0: train loss")
    assert result.stdout.splitlines()[1] == "141"


SCRIPTS = [
    path
    for path in (*ROOT.glob("*.py"), *ROOT.glob("tests/*.py"))
    if "run(main)\n" in path.read_text()
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_ctrl_c_during_the_imports_ends_quietly(tmp_path, path):
    (tmp_path / "numpy.py").write_text("import time; print('now', flush=True); time.sleep(60)")
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    with subprocess.Popen(
        [sys.executable, "-m", module],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert errors == ""


A_SCRIPT = """
import os, signal, sys
from command_line import run
sys.argv = ["script.py"]
signal.signal(signal.SIGINT, signal.default_int_handler)
interrupt = lambda *_: os.kill(os.getpid(), signal.SIGINT)
class Lost:
    __del__ = interrupt
def again():
    try:
        interrupt()
    finally:
        interrupt()
class HalfMade:
    def __init__(self):
        interrupt()
        self.file = None
    def __del__(self):
        self.file
def mistake():
    1 / 0
def mistake_after_a_lost_signal():
    Lost()
    1 / 0
run({})
"""


@pytest.mark.parametrize(
    ("main", "status", "told"),
    [
        ("interrupt", 130, "script.py: interrupted"),
        ("again", 130, "script.py: interrupted"),
        ("HalfMade", 130, "script.py: interrupted"),
        ("mistake_after_a_lost_signal", 130, r"script.py: interrupted \(ZeroDivisionError.*\)"),
        ("mistake", 1, r"Traceback (.*\n)*ZeroDivisionError: division by zero"),
    ],
)
def test_a_signal_is_told_in_a_line_and_hides_no_mistake(main, status, told):
    result = subprocess.run(
        [sys.executable, "-c", A_SCRIPT.format(main)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == status
    assert re.fullmatch(told + r"\n", result.stderr)
