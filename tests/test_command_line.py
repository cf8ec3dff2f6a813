"""The scripts as a user meets them: real processes, their output, files and exit status."""

import csv
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.figure import Figure

import command_line
import perceptron
import plots
import train_mlp_numpy
from mlp_numpy import MLP
from perceptron import run_cases
from train_mlp_numpy import METRICS, evaluate, load_data, main, parse_args

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
    start = time.perf_counter()
    result = run(tmp_path, PERCEPTRON, "--repeats", "100", "--no_output")
    seconds = time.perf_counter() - start
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


def test_the_learning_rate_scales_the_weights_of_every_case():
    # From zero weights the first step is proportional to it, and with it all that follow.
    for one, other in zip(run_cases(0), run_cases(0, learning_rate=0.02), strict=True):
        assert other.weights == pytest.approx(2 * one.weights)


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


@pytest.mark.parametrize("dataset", ["circles", "blobs", "digits"])
def test_the_other_data_sets_train(tmp_path, dataset, capsys):
    assert main([*QUICK, "--dataset", dataset, "--output_dir", str(tmp_path)]) == 0
    assert (tmp_path / "figure2_data.png").exists()
    assert (tmp_path / "decision_boundary.png").exists() == (dataset != "digits")
    assert ("no decision boundary: the data have 64 features" in capsys.readouterr().out) == (
        dataset == "digits"
    )


def test_every_flag_reaches_the_training(capsys):
    def epochs(*args):
        assert main([*QUICK, "--no_output", *args]) == 0
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]

    base = epochs()[:-1]  # without the time taken
    assert epochs()[:-1] == base
    for change in (
        ("--seed", "1"),
        ("--data_seed", "1"),
        ("--noise", "0"),
        ("--learning_rate", "0.5"),
        ("--batch_size", "8"),
        ("--dnn_hidden_units", "none"),
        ("--dnn_hidden_units", "5,4"),
        ("--n_samples", "61"),
        ("--max_steps", "19"),
        ("--eval_freq", "7"),
    ):
        assert epochs(*change)[:-1] != base, change


def test_what_an_earlier_run_left_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--max_steps", "2", "--n_samples", "30"]) == 0
    assert "earlier" not in capsys.readouterr().out
    assert main(["--max_steps", "2", "--n_samples", "30", "--dataset", "digits"]) == 0
    assert "from an earlier run: outputs/decision_boundary.png" in capsys.readouterr().out


def test_history_and_model_are_safe_before_anything_is_drawn(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(plots, "data_set", interrupt)
    with pytest.raises(KeyboardInterrupt):
        main([*QUICK, "--output_dir", str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "model.npz"]


def test_one_file_that_fails_does_not_cost_the_others(tmp_path, monkeypatch, capsys):
    def fail(model, path):
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(MLP, "save", fail)
    assert main(["--max_steps", "2", "--n_samples", "30"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "cannot write outputs/model.npz: No space left on device\n"
    assert captured.out.count("wrote") == 4


def test_a_folder_in_the_place_of_a_file_is_found_before_training(tmp_path, capsys):
    (tmp_path / "history.csv").mkdir()
    with pytest.raises(SystemExit) as end:
        main(["--output_dir", str(tmp_path)])
    assert end.value.code == 2
    assert "history.csv in it is a folder" in capsys.readouterr().err


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


def test_show_opens_a_window_for_each_figure(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(command_line, "can_show", lambda: True)
    monkeypatch.setattr(plots, "show", lambda figures: shown.extend(figures))
    assert main([*QUICK, "--no_output", "--show"]) == 0
    assert shown == ["figure2_data.png", "figure3_curves.png", "decision_boundary.png"]
    assert perceptron.main(["--no_output", "--show"]) == 0
    assert shown[3:] == ["figure1_perceptron.png"]


def test_show_hands_the_figures_to_pyplot(monkeypatch):
    titles = []
    monkeypatch.setattr(plt, "show", lambda: titles.extend(plt.get_fignums()))
    monkeypatch.setattr(
        FigureManagerBase, "set_window_title", lambda self, name: titles.append(name)
    )
    plots.show({"a": Figure(), "b": Figure()})
    plt.close("all")
    assert [title for title in titles if title in ("a", "b", 1, 2)] == ["a", "b", 1, 2]


@pytest.mark.parametrize("error", [ImportError, RuntimeError, ValueError])
def test_a_backend_that_does_not_load_cannot_show(monkeypatch, error):
    def fail(backend):
        raise error(f"{backend} does not work here")

    monkeypatch.setattr(plt, "switch_backend", fail)
    assert not command_line.can_show()


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


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), MemoryError("too much"), FloatingPointError("inf")],
)
def test_what_fails_at_run_time_is_status_1_and_one_line(capsys, error):
    def fail():
        raise error

    with pytest.raises(SystemExit) as end:
        command_line.run(fail)
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"error: {error}")


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


def test_updates_are_counted_with_the_short_last_batch(monkeypatch):
    summaries = []
    monkeypatch.setattr(
        train_mlp_numpy, "print_summary", lambda *args, updates: summaries.append(updates)
    )
    assert main([*QUICK, "--no_output", "--batch_size", "7"]) == 0
    assert summaries == [20 * 7]  # 48 rows: six batches of 7 and one of 6


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


BAD_ARGUMENTS = [
    (TRAINER, ["--batchsize", "16"], "did you mean --batch_size?"),
    (TRAINER, ["--batch", "16"], "did you mean --batch_size?"),
    (TRAINER, ["16"], "--help lists the flags"),
    (TRAINER, ["-x"], "--help lists the flags"),
    (TRAINER, ["--batch_size", "0"], "such as 16, or full"),
    (TRAINER, ["--batch_size", "-3"], "such as 16, or full"),
    (TRAINER, ["--batch_size", "abc"], "such as 16, or full"),
    (TRAINER, ["--batch_size", "1.5"], "such as 16, or full"),
    (TRAINER, ["--batch_size", ""], "such as 16, or full"),
    (TRAINER, ["--batch_size"], "expected one argument"),
    (TRAINER, ["--dnn_hidden_units", "20,,5"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "0"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "x"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "20,-5"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "10001"], "such as 20 or 64,32"),
    (TRAINER, ["--dnn_hidden_units", "9999,9999,9999"], "give fewer units"),
    (TRAINER, ["--learning_rate", "0"], "give a finite number above 0"),
    (TRAINER, ["--learning_rate", "-0.1"], "give a finite number above 0"),
    (TRAINER, ["--learning_rate", "-1e-3"], "give a finite number above 0"),
    (TRAINER, ["--learning_rate", "nan"], "give a finite number above 0"),
    (TRAINER, ["--learning_rate", "inf"], "give a finite number above 0"),
    (TRAINER, ["--learning_rate", "-inf"], "give a finite number above 0"),
    (TRAINER, ["--learning_rate", "1e400"], "give a finite number above 0"),
    (TRAINER, ["--max_steps", "0"], "give a whole number of at least 1"),
    (TRAINER, ["--max_steps", "-5"], "give a whole number of at least 1"),
    (TRAINER, ["--eval_freq", "0"], "give a whole number of at least 1"),
    (TRAINER, ["--eval_freq", "-1"], "give a whole number of at least 1"),
    (TRAINER, ["--n_samples", "0"], "give a whole number from 2 to 1000000"),
    (TRAINER, ["--n_samples", "-10"], "give a whole number from 2 to 1000000"),
    (TRAINER, ["--n_samples", "1"], "give a whole number from 2 to 1000000"),
    (TRAINER, ["--noise", "-0.1"], "give a finite number from 0 to 1e100"),
    (TRAINER, ["--noise", "1e308"], "give a finite number from 0 to 1e100"),
    (TRAINER, ["--noise", "inf"], "give a finite number from 0 to 1e100"),
    (TRAINER, ["--dataset", "moon"], "choose from"),
    (TRAINER, ["--dataset", "digits", "--noise", "0.1"], "leave out"),
    (TRAINER, ["--dataset", "digits", "--n_samples", "1798"], "from 2 to 1797"),
    (TRAINER, ["--backend", "torch"], "choose from"),
    (TRAINER, ["--seed", "-1"], "give a whole number from 0 to 4294967295"),
    (TRAINER, ["--seed", "4294967296"], "whole number from 0 to 4294967295"),
    (TRAINER, ["--data_seed", "x"], "give a whole number from 0 to 4294967295"),
    (TRAINER, ["--output_dir", ""], "name a folder"),
    (TRAINER, ["--output_dir", "/dev/null"], "name a folder"),
    (TRAINER, ["--output_dir", "/dev/null/below"], "name a folder"),
    (TRAINER, ["--output_dir", 300 * "x"], "File name too long"),
    (TRAINER, ["--show"], "no display"),
    (PERCEPTRON, ["--repeat", "3"], "did you mean --repeats?"),
    (PERCEPTRON, ["--repeats", "0"], "give a whole number of at least 1"),
    (PERCEPTRON, ["--seed", "4294967295", "--repeats", "2"], "give a smaller --seed"),
    (PERCEPTRON, ["--max_epochs", "0"], "give a whole number of at least 1"),
    (PERCEPTRON, ["--learning_rate", "0"], "give a finite number above 0"),
    (PERCEPTRON, ["--seed", "1.5"], "give a whole number from 0 to 4294967295"),
    (PERCEPTRON, ["--output_dir", "/dev/null"], "it is a file"),
    (PERCEPTRON, ["--batch_size", "1"], "unknown argument"),
    (COMPARE, ["--batch_size", "16"], "did you mean --batch_sizes?"),
    (COMPARE, ["--batch_sizes", "16,,1"], "such as 16,64,full"),
    (COMPARE, ["--batch_sizes", "16,16"], "each once"),
    (COMPARE, ["--batch_sizes", "0,full"], "such as 16,64,full"),
    (COMPARE, ["--batch_sizes", "16, 1"], "such as 16,64,full"),
    (COMPARE, ["--batch_sizes", "801"], "all of the 800 training rows or more; give full"),
    (COMPARE, ["--batch_sizes", "16,016"], "each once"),
    (COMPARE, ["--n_seeds", "0"], "give a whole number of at least 1"),
    (COMPARE, ["--seed", "4294967295", "--n_seeds", "2"], "give a smaller --seed"),
    (COMPARE, ["--budget", "steps"], "choose from"),
    (COMPARE, ["--max_steps", "0"], "give a whole number of at least 1"),
    (COMPARE, ["--eval_freq", "1.5"], "give a whole number of at least 1"),
    (COMPARE, ["--n_jobs", "0"], "give a whole number of at least 1"),
    (COMPARE, ["--learning_rate", "-1"], "give a finite number above 0"),
    (COMPARE, ["--dataset", "digits", "--noise", "0.1"], "leave out"),
    (COMPARE, ["--output_dir", "/dev/null"], "it is a file"),
    (COMPARE, ["--no_output", "--resume"], "there are no files to go on with"),
    (ANIMATE, ["--batch_size", "16"], "did you mean --batch_sizes?"),
    (ANIMATE, ["--batch_sizes", "16,,1"], "such as 16,64,full"),
    (ANIMATE, ["--max_steps", "0"], "give a whole number of at least 1"),
    (ANIMATE, ["--seed", "-1"], "give a whole number from 0 to 4294967295"),
    (ANIMATE, ["--dataset", "digits"], "choose moons, circles or blobs"),
    (ANIMATE, ["--output_dir", "/dev/null"], "it is a file"),
    (ANIMATE, ["--no_output"], "unknown argument"),
    (BUGS, ["--seed", "3"], "--help lists the flags"),
]


@pytest.mark.parametrize(("script", "args", "remedy"), BAD_ARGUMENTS)
def test_a_usage_error_is_status_2_and_one_line(tmp_path, script, args, remedy):
    result = run(tmp_path, script, *args)
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{script}: error: ")
    assert remedy in line
    assert all(arg in line for arg in args[-2:])  # the flag and its value
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_found_before_training(tmp_path, monkeypatch, capsys):
    def refuse(**options):  # a locked folder would not do: root may write anywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(SystemExit) as end:
        parse_args(["--output_dir", str(tmp_path)])
    assert end.value.code == 2
    assert f"cannot write to '{tmp_path}' (Permission denied)" in capsys.readouterr().err
