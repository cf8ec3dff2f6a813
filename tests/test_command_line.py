"""What a user of train_mlp_numpy.py meets: flags, files, progress, interrupts."""

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

import train_mlp_numpy as script
from mlp_numpy import MLP

SCRIPT = script.__file__
FILES = {
    "history.csv",
    "model.npz",
    "figure2_data.png",
    "figure3_curves.png",
    "decision_boundary.png",
}
SHORT = ["--max_steps", "3", "--n_samples", "50"]


def final(text, part):
    """Return the loss and the accuracy, in percent, that the summary prints."""
    pattern = rf"^{part}: +loss ([\d.]+), accuracy ([\d.]+) %$"
    return tuple(map(float, re.search(pattern, text, re.M).groups()))


def test_the_default_run_prints_the_report_s_accuracies(capsys):
    assert script.main(["--no_output"]) == 0
    out = capsys.readouterr().out
    assert final(out, "train") == pytest.approx((0.3011, 86.88), abs=2e-4)
    assert final(out, "test") == pytest.approx((0.3088, 84.50), abs=2e-4)
    progress = [line for line in out.splitlines() if line.startswith("epoch")]
    assert 15 <= len(progress) <= 25
    assert progress[-2].startswith("epoch 1500: train loss 0.3011, test accuracy 84.50 %")
    seconds, rate = re.fullmatch(
        r"epoch 1500, ([\d.]+) s, ([\d,]+) updates/s", progress[-1]
    ).groups()
    rate = float(rate.replace(",", ""))
    assert float(seconds) * rate == pytest.approx(1500, abs=0.006 * rate)


def test_what_is_trained_is_said_first(capsys):
    script.main(["--dataset", "blobs", "--batch_size", "16", *SHORT, "--seed", "7", "--no_output"])
    assert capsys.readouterr().out.splitlines()[:3] == [
        "data: blobs, 40 training rows, 10 test rows, seed 42",
        "network: 2-20-3, seed 7, backend numpy",
        "training: batch size 16, 3 updates an epoch, learning rate 0.01",
    ]
    flags = ["--dnn_hidden_units", "none", "--learning_rate", "1e-2", "--data_seed", "1"]
    script.main([*SHORT, *flags, "--no_output"])
    assert capsys.readouterr().out.splitlines()[:3] == [
        "data: moons, 40 training rows, 10 test rows, seed 1",
        "network: 2-2, seed 42, backend numpy",
        "training: batch size full, 1 update an epoch, learning rate 0.01",
    ]


def history_of(losses):
    n = len(losses)
    others = {name: np.full(n, 0.5) for name in script.METRICS}
    return {"epoch": np.arange(n), **others, "train_loss": np.array(losses)}


@pytest.mark.parametrize(
    ("losses", "is_ruined"),
    [
        ([0.70, 17.27, 17.27], True),  # at the ceiling, from above the loss of guessing
        ([0.69, 0.30, 0.71], True),  # worse than guessing, after it had been better
        ([0.69, 0.68, 0.70], False),  # by chance
        ([0.75, 0.60, 0.72], True),
        ([0.75, 0.70, 0.71], False),  # worse than guessing, but better than at the start
        ([0.75, 0.30, 0.69], False),
    ],
)
def test_a_network_that_ends_worse_than_guessing_is_a_failure_with_a_remedy(
    capsys, monkeypatch, losses, is_ruined
):
    monkeypatch.setattr(script, "train", lambda *args, **options: history_of(losses))
    assert script.main(["--learning_rate", "5", "--no_output"]) == is_ruined
    told = (
        f"error: the training loss, {losses[-1]:.4f}, is above log(2) = 0.6931, that of guessing: "
        "try a learning rate below 5\n"
    )
    assert capsys.readouterr().err.endswith(told) == is_ruined


def test_a_run_that_diverges_after_it_was_ruined_is_told_as_diverged(capsys, monkeypatch):
    def train(*args, **options):
        error = FloatingPointError("the loss is not finite at epoch 38")
        error.history = history_of([0.69, 17.27])
        raise error

    monkeypatch.setattr(script, "train", train)
    assert script.main(["--no_output"]) == 1
    assert capsys.readouterr().err.endswith("error: the loss is not finite at epoch 38\n")


def test_a_learning_rate_that_ruins_the_network_is_told_and_everything_is_written(tmp_path, capsys):
    flags = ["--learning_rate", "1e5", "--max_steps", "20", "--output_dir", str(tmp_path)]
    assert script.main(flags) == 1
    assert "try a learning rate below 100000" in capsys.readouterr().err
    assert {file.name for file in tmp_path.iterdir()} == FILES


@pytest.mark.parametrize(("seconds", "rate"), [(0.001, "3,000"), (0.25, "12"), (40, "0.075")])
def test_updates_per_second_have_two_digits_at_least(capsys, monkeypatch, seconds, rate):
    clock = iter([100.0, 100.0 + seconds])
    monkeypatch.setattr(script.time, "perf_counter", lambda: next(clock))
    script.main([*SHORT, "--no_output"])
    assert f" s, {rate} updates/s\n" in capsys.readouterr().out


def test_values_that_are_equal_are_accepted_alike(capsys):
    for flag, *values in [
        ("--max_steps", "3", "3.0", "+3", "0.3e1"),
        ("--batch_size", "10", "1e1", " 10"),
        ("--noise", "0", "-0", "0.0", "-1e-400"),
        ("--dnn_hidden_units", "4,3", "4.0, 3"),
        ("--n_samples", "50", "5e1"),
    ]:
        outputs = []
        for value in values:
            script.main([*SHORT, f"{flag}={value}", "--no_output"])
            outputs.append(capsys.readouterr().out.partition(" s, ")[0][:-5])
        assert set(outputs) == {outputs[0]}


def test_the_results_are_printed_also_where_they_cannot_be_written(tmp_path, capsys):
    (tmp_path / "history.csv").mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        script.main([*SHORT, "--output_dir", str(tmp_path)])
    assert final(capsys.readouterr().out, "train")[0] > 0


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert script.folder("~/results") == tmp_path / "results"
    assert script.folder("results~") == Path("results~")


def test_results_have_the_permissions_of_any_new_file(tmp_path):
    script.main([*SHORT, "--output_dir", str(tmp_path)])
    (tmp_path / "other").touch()
    modes = {file.stat().st_mode for file in tmp_path.iterdir()}
    assert len(modes) == 1


class OnlyWrites:
    """A standard output as a host may have it: no file, no encoding, no terminal."""

    text = ""

    def write(self, text):
        self.text += text


def test_it_trains_where_the_output_is_no_text_file(monkeypatch):
    for stream in (OnlyWrites(), None):
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit) as end:
            script.run(lambda: script.main([*SHORT, "--no_output"]))
        assert end.value.code == 0
        assert sys.stdout is stream
        assert stream is None or "test:  loss" in stream.text


def test_it_trains_in_a_thread_and_leaves_no_trace_in_the_process(tmp_path):
    import matplotlib

    def state():
        handlers = [signal.getsignal(signum) for signum in signal.valid_signals()]
        return handlers, dict(os.environ), dict(matplotlib.rcParams), np.geterr(), sys.stdout

    script.load_data()  # scikit-learn sets variables when it is imported
    before, statuses = state(), []
    flags = [*SHORT, "--output_dir", str(tmp_path)]
    thread = threading.Thread(target=lambda: statuses.append(script.main(flags)))
    thread.start()
    thread.join()
    statuses.append(script.main(flags))
    assert statuses == [0, 0]
    assert state() == before


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
def test_a_hang_up_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` does
    try:
        with script.watched(10, 1) as (show, came):
            signal.raise_signal(signal.SIGHUP)
            assert not show(1, {})
            assert came == []
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", ["modules", "mlp_numpy"])
def test_a_module_that_is_no_script_says_so(name):
    path = Path(SCRIPT).with_name(f"{name}.py")
    result = subprocess.run([sys.executable, path], capture_output=True, text=True)
    assert result.returncode == 1
    assert re.fullmatch(rf"{name}\.py is no script: run .*\n", result.stderr)


def test_the_files_hold_the_history_and_the_network_that_are_printed(tmp_path, capsys):
    args = [
        "--batch_size",
        "16",
        "--max_steps",
        "25",
        "--output_dir",
        str(tmp_path / "new" / "one"),
    ]
    assert script.main(args) == 0
    out, folder = capsys.readouterr().out, tmp_path / "new" / "one"
    assert {file.name for file in folder.iterdir()} == FILES
    history = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    assert history.dtype.names == ("epoch", *script.METRICS)
    assert history["epoch"].tolist() == [0, 10, 20, 25]
    assert (folder / "history.csv").read_text().startswith("epoch,train_loss,")
    metrics = script.evaluate(MLP.load(folder / "model.npz"), script.load_data())
    for name, value in metrics.items():
        assert history[name][-1] == value  # in full precision
    assert final(out, "test")[1] == pytest.approx(100 * metrics["test_accuracy"], abs=0.005)


def test_other_data_and_networks_are_trained(tmp_path, monkeypatch):
    import plots

    drawn = []
    monkeypatch.setattr(plots, "finish", lambda figures, args: drawn.extend(figures))
    args = ["--dataset", "digits", "--dnn_hidden_units", "8,6", "--max_steps", "1"]
    assert script.main([*args, "--output_dir", str(tmp_path)]) == 0
    assert drawn == ["figure2_data.png", "figure3_curves.png"]  # 64 features have no boundary
    layers = MLP.load(tmp_path / "model.npz").layers[::2]
    assert [layer.params["weight"].shape for layer in layers] == [(64, 8), (8, 6), (6, 10)]
    args = ["--dataset", "blobs", "--dnn_hidden_units", "none", "--no_output"]
    assert script.main([*SHORT, *args]) == 0


def test_the_seeds_decide_everything(capsys):
    def run(*args):
        script.main([*SHORT, "--batch_size", "8", "--learning_rate", "1", "--no_output", *args])
        return [line for line in capsys.readouterr().out.splitlines() if "updates/s" not in line]

    assert run() == run("--seed", "42", "--data_seed", "42")
    assert run() != run("--seed", "1")
    assert run() != run("--data_seed", "1")
    assert run() != run("--noise", "0")
    assert run("--seed", "0") != run("--dnn_hidden_units", "1", "--seed", "0")


def test_the_global_generator_of_numpy_is_left_alone():
    before = np.random.get_state()[1].copy()
    script.main([*SHORT, "--no_output"])
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--max_steps", "0"),
        ("--max_steps", "many"),
        ("--eval_freq", "-1"),
        ("--batch_size", "1.5"),
        ("--batch_size", "Full"),
        ("--learning_rate", "0"),
        ("--learning_rate", "inf"),
        ("--learning_rate", "nan"),
        ("--dnn_hidden_units", "20,,3"),
        ("--dnn_hidden_units", ""),
        ("--dataset", "moon"),
        ("--n_samples", "1"),
        ("--noise", "-0.1"),
        ("--seed", "-1"),
        ("--data_seed", "4294967296"),
        ("--backend", "torch"),
        ("--output_dir", ""),
    ],
)
def test_a_wrong_value_is_one_line_that_names_flag_value_and_remedy(tmp_path, capsys, flag, value):
    with pytest.raises(SystemExit) as end:
        script.main(["--output_dir", str(tmp_path / "out"), flag, value])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(
        rf"error: argument {flag}: .*('{value.split(',')[-1]}'|'').*(give|choose) ", line
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--max_step", "3"], "unrecognized arguments: --max_step"),
        (["--dataset", "digits", "--noise", "0.1"], "digits takes no --noise"),
        (["--dataset", "digits", "--n_samples", "1798"], "has 1797"),
        (["--max_steps", "0"], "'0' is not valid; give a whole number from 1 to 1000000000$"),
        (["--noise", "x"], "'x' is not valid; give a number from 0 to 1000000000$"),
        (["--batch_size", "x"], "give a whole number from 1 to 1000000000 or full$"),
        (["--dnn_hidden_units", "10001"], "from 1 to 10000$"),
        (["--output_dir", SCRIPT], "argument --output_dir: .*; name a folder"),
        (["--output_dir", f"{SCRIPT}/below"], "argument --output_dir: .*; name a folder"),
    ],
)
def test_what_cannot_work_is_told_before_any_work(capsys, monkeypatch, args, message):
    monkeypatch.setattr(script, "load_data", None)
    with pytest.raises(SystemExit) as end:
        script.main(args)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line)


def test_show_needs_a_display(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    with pytest.raises(SystemExit) as end:
        script.main([*SHORT, "--output_dir", str(tmp_path / "out"), "--show"])
    assert end.value.code == 2
    assert not (tmp_path / "out").exists()
    assert "argument --show: no display" in capsys.readouterr().err


def test_a_run_that_diverges_says_at_which_epoch_and_keeps_the_history(tmp_path, capsys):
    args = ["--learning_rate", "1e9", "--batch_size", "1", "--output_dir", str(tmp_path)]
    assert script.main(args) == 1
    out, error = capsys.readouterr()
    assert "error: the loss is not finite at epoch 1: try a learning rate below 1e+09" in error
    assert [file.name for file in tmp_path.iterdir()] == ["history.csv"]
    assert out.endswith(f"history.csv goes to {tmp_path}\n")


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_an_interrupt_ends_training_and_everything_is_written(
    tmp_path, capsys, monkeypatch, name, status
):
    from matplotlib.figure import Figure

    import plots

    evaluate, calls = script.evaluate, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 4:
            signal.raise_signal(getattr(signal, name))
        return evaluate(*args)

    monkeypatch.setattr(script, "evaluate", interrupted)
    monkeypatch.setattr(plots, "of_run", lambda *args: {"figure.png": Figure()})
    assert script.main(["--max_steps", "10000000", "--output_dir", str(tmp_path)]) == status
    out, error = capsys.readouterr()
    epoch = int(re.search(r": interrupted at epoch (\d+)\n$", error).group(1))
    assert {file.name for file in tmp_path.iterdir()} == {"history.csv", "model.npz", "figure.png"}
    history = np.genfromtxt(tmp_path / "history.csv", delimiter=",", names=True)
    assert history["epoch"][-1] == epoch
    metrics = evaluate(MLP.load(tmp_path / "model.npz"), script.load_data())
    assert history["test_loss"][-1] == metrics["test_loss"]
    assert epoch == 30
    assert final(out, "test")[0] == pytest.approx(metrics["test_loss"], abs=5e-5)


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
def test_a_second_interrupt_ends_the_process_at_once(tmp_path):
    code = """
import os, signal, train_mlp_numpy as script
with script.watched(10, 1) as (show, came):
    os.kill(os.getpid(), signal.SIGINT)
    assert show(1, {}) and came == [signal.SIGINT]
    os.kill(os.getpid(), signal.SIGINT)
    print("still here")
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(SCRIPT).parent, capture_output=True, text=True
    )
    told = "stopping after this epoch; once more loses all\n"
    assert (result.returncode, result.stdout, result.stderr) == (-signal.SIGINT, "", told)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_line():
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        command = [sys.executable, SCRIPT, *SHORT, "--no_output"]
        options = {"stdout": full, "stderr": subprocess.PIPE, "env": environment}
        result = subprocess.run(command, text=True, **options)
    assert result.returncode == 1
    assert result.stderr == "error: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="needs a shell with head")
def test_a_reader_who_leaves_gets_no_traceback(tmp_path):
    command = f"{sys.executable} {SCRIPT} --no_output | head -1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)
    assert re.fullmatch(r"data: moons, .*\n", result.stdout)
    assert result.stderr == ""


@contextmanager
def on_a_terminal(*args, columns=80):
    """Run the script on a terminal of its own; yield the process and the end we read from."""
    import pty
    import termios

    ours, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, columns))
    command, streams = [sys.executable, SCRIPT, *args], {"stdout": terminal, "stderr": terminal}
    process = subprocess.Popen(command, stdin=terminal, start_new_session=True, **streams)
    os.close(terminal)
    yield process, ours
    process.kill()
    process.wait()


def read_until(ours, pattern=None):
    """Return what comes from a terminal, up to a pattern or to the end."""
    text = ""
    with suppress(OSError):  # how Linux says that the other end is closed
        while chunk := os.read(ours, 10_000):
            text += chunk.decode()
            if pattern and re.search(pattern, text):
                break
    return text


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("columns", "least_bar", "test"), [(80, 18, ", test 77.50 %"), (50, 4, "")]
)
def test_a_terminal_gets_a_bar_with_room_for_itself(columns, least_bar, test):
    with on_a_terminal("--max_steps", "300", "--no_output", columns=columns) as (process, ours):
        text = read_until(ours)
        assert process.wait() == 0
    line = text.split("\r\n")[3].rpartition("\r")[2]
    bar = re.fullmatch(rf"epoch 300/300 \|(█+)\| 00:00 left, loss 0\.5578{test}", line)[1]
    assert len(bar) >= least_bar
    assert len(line) <= columns - len("^C")  # or it would break the line
    assert "epoch 10: " not in text
    assert final(text.replace("\r", ""), "train")[0] > 0


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_ctrl_c_leaves_one_bar_and_it_ends_where_training_did():
    with on_a_terminal("--max_steps", "10000000", "--no_output") as (process, ours):
        text = read_until(ours, r"epoch [1-9]\d*/")
        os.write(ours, b"\x03")  # is echoed as ^C
        process.send_signal(signal.SIGINT)
        text += read_until(ours)
        assert process.wait() == 130
    text, epoch = re.search(r"^(.*interrupted at epoch (\d+))\r\n$", text, re.S).groups()
    # What a terminal shows of a line is what follows its last return to the left.
    shown = [line.rpartition("\r")[2] for line in text.split("\r\n")]
    bars = [line for line in shown if "left" in line]
    assert len(bars) == 1
    assert bars[0].startswith(f"epoch {epoch}/10000000 |")
    assert [line for line in shown if "stopping" in line] == [
        "stopping after this epoch; once more loses all"
    ]


@pytest.mark.skipif(os.name == "nt", reason="needs a pseudo-terminal")
def test_a_terminal_that_is_closed_ends_training_and_everything_is_written(tmp_path):
    flags = ["--max_steps", "10000000", "--output_dir", str(tmp_path)]
    with on_a_terminal(*flags) as (process, ours):
        read_until(ours, r"epoch [1-9]\d*/")
        os.close(ours)
        process.send_signal(signal.SIGHUP)  # as the kernel does where it is the session's terminal
        process.wait()
    assert {file.name for file in tmp_path.iterdir()} == FILES
    history = np.genfromtxt(tmp_path / "history.csv", delimiter=",", names=True)
    metrics = script.evaluate(MLP.load(tmp_path / "model.npz"), script.load_data())
    assert history["test_loss"][-1] == metrics["test_loss"]


@pytest.mark.parametrize(
    ("end", "status"),
    [(None, 0), (3, 3), (KeyboardInterrupt(), 130), (OSError("disk"), "error: disk")],
)
def test_a_script_ends_with_its_status_and_without_a_traceback(end, status):
    def main():
        if isinstance(end, BaseException):
            raise end
        return end

    with pytest.raises(SystemExit) as info:
        script.run(main)
    assert (info.value.code or 0) == status


def test_help_shows_the_defaults(capsys):
    with pytest.raises(SystemExit) as end:
        script.main(["--help"])
    assert end.value.code == 0
    assert "default: 1500" in capsys.readouterr().out
