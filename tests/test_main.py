"""What `main` of the scripts does, called from Python. test_command_line.py runs processes."""

import io
import signal
import sys
import tempfile
import time

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.figure import Figure
from matplotlib.text import Text

import command_line
import perceptron
import plots
import signals
import train_mlp_numpy
from mlp_numpy import MLP
from perceptron import run_cases
from train_mlp_numpy import (
    METRICS,
    Progress,
    as_history,
    evaluate,
    load_data,
    main,
    parse_args,
    print_summary,
    save_history,
)

QUICK = ("--n_samples", "60", "--max_steps", "20")


def test_the_learning_rate_scales_the_weights_of_every_case():
    # From zero weights the first step is proportional to it, and with it all that follow.
    for one, other in zip(run_cases(0), run_cases(0, learning_rate=0.02), strict=True):
        assert other.weights == pytest.approx(2 * one.weights)


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


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), MemoryError("too much"), FloatingPointError("inf")],
)
def test_what_fails_at_run_time_is_status_1_and_one_line(capsys, monkeypatch, error):
    monkeypatch.setattr(signals, "raise_stopped", lambda: None)  # pytest keeps its own ways
    monkeypatch.setattr(signals, "let_go", lambda: None)

    def fail():
        raise error

    with pytest.raises(SystemExit) as end:
        command_line.run(fail)
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"error: {error}")


def test_updates_are_counted_with_the_short_last_batch(monkeypatch):
    summaries = []
    monkeypatch.setattr(
        train_mlp_numpy, "print_summary", lambda *args, updates: summaries.append(updates)
    )
    assert main([*QUICK, "--no_output", "--batch_size", "7"]) == 0
    assert summaries == [20 * 7]  # 48 rows: six batches of 7 and one of 6


def test_a_folder_that_cannot_be_written_is_found_before_training(tmp_path, monkeypatch, capsys):
    def refuse(**options):  # a locked folder would not do: root may write anywhere
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(SystemExit) as end:
        parse_args(["--output_dir", str(tmp_path)])
    assert end.value.code == 2
    assert f"cannot write to '{tmp_path}' (Permission denied)" in capsys.readouterr().err


METRICS_OF = {
    0: {"train_loss": 0.7, "train_accuracy": 0.5, "test_loss": 0.8, "test_accuracy": 0.25},
    2: {"train_loss": 0.61234, "train_accuracy": 0.75, "test_loss": 0.5, "test_accuracy": 0.8725},
}


class Stream(io.StringIO):
    """A stdout that counts its lines and how many of them were out at once."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal, self.seen = is_terminal, []

    def isatty(self):
        return self.is_terminal

    def flush(self):
        self.seen.append(self.getvalue().count("\n"))


@pytest.mark.parametrize(
    ("max_steps", "eval_freq", "shown"),
    [
        (5, 2, [0, 2, 4, 5]),
        (1000, 1, [*range(0, 1001, 50)]),
        (1001, 1, [*range(0, 1001, 51), 1001]),
        (1000, 7, [*range(0, 1000, 56), 1000]),
        (3, 10, [0, 3]),
    ],
)
def test_a_pipe_gets_about_twenty_lines_each_at_once(monkeypatch, max_steps, eval_freq, shown):
    stream = Stream(is_terminal=False)
    monkeypatch.setattr(sys, "stdout", stream)
    progress = Progress(max_steps, eval_freq)
    for step in range(max_steps + 1):
        has_entry = step % eval_freq == 0 or step == max_steps
        progress(step, METRICS_OF[2] if has_entry else None)
    progress.close()
    state = "train loss 0.6123, test accuracy 87.25 %"
    assert stream.getvalue().splitlines() == [f"epoch {step}: {state}" for step in shown]
    assert stream.seen == [*range(1, len(shown) + 1)]


class Bar:
    """A progress bar that notes what it is told."""

    def __init__(self, **options):
        self.options, self.n, self.postfix, self.is_closed = options, 0, [], False

    def update(self, n):
        self.n += n

    def set_postfix_str(self, text, refresh):
        assert refresh is False  # it is drawn with the next update
        self.postfix.append((self.n, text))

    def close(self):
        self.is_closed = True


def test_a_terminal_gets_a_bar_that_knows_the_epoch(monkeypatch):
    stream = Stream(is_terminal=True)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr("tqdm.tqdm", Bar)
    progress = Progress(4, 2)
    for step in range(5):
        progress(step, METRICS_OF.get(step))
        assert progress.bar.n == progress.step == step
    assert progress.bar.options == {
        "total": 4,
        "bar_format": "epoch {n_fmt}/{total_fmt}{postfix} |{bar}| {remaining}",
        "file": stream,
        "dynamic_ncols": True,
    }
    assert progress.bar.postfix == [
        (0, "train loss 0.7000, test accuracy 25.00 %"),
        (2, "train loss 0.6123, test accuracy 87.25 %"),
    ]
    assert progress.rows == [{"step": step, **metrics} for step, metrics in METRICS_OF.items()]
    progress.close()
    assert progress.bar.is_closed
    assert stream.getvalue() == ""


def test_time_counts_from_epoch_0_when_all_is_compiled(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    progress = Progress(2, 1)
    assert progress.start == 0
    for step in range(3):
        progress(step, None)
        assert progress.start == 1


def test_ctrl_c_before_the_first_epoch_writes_nothing(tmp_path, monkeypatch, capsys):
    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_mlp_numpy, "train", interrupt)
    assert main([*QUICK, "--output_dir", str(tmp_path)]) == 130
    captured = capsys.readouterr()
    assert captured.err == "train_mlp_numpy.py: interrupted in epoch 1 of 20\n"
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_in_an_epoch_writes_the_network_as_it_is(tmp_path, monkeypatch, capsys):
    updates, update = [], MLP.update

    def update_or_stop(model, learning_rate):
        if len(updates) == 38:  # 12 epochs of three, and two in the thirteenth
            raise KeyboardInterrupt
        updates.append(learning_rate)
        update(model, learning_rate)

    monkeypatch.setattr(MLP, "update", update_or_stop)
    monkeypatch.setattr(time, "perf_counter", iter(np.arange(100) / 4).__next__)
    args = ("--batch_size", "16", "--eval_freq", "5", "--output_dir", str(tmp_path))
    assert main([*QUICK, *args]) == 130
    captured = capsys.readouterr()
    assert captured.err == "train_mlp_numpy.py: interrupted in epoch 13 of 20\n"
    # The 36 of whole epochs, from the call at epoch 0 to the end a quarter of a second.
    assert "epoch 13, 0.25 s, 144 updates/s\n" in captured.out
    rows = np.genfromtxt(tmp_path / "history.csv", names=True, delimiter=",")
    assert rows["step"].tolist() == [0, 5, 10, 13]
    metrics = evaluate(MLP.load(tmp_path / "model.npz"), load_data(n_samples=60))
    assert {key: rows[key][-1] for key in METRICS} == metrics


@pytest.mark.parametrize(("stop_at", "steps"), [(0, [0]), (5, [0, 5]), (20, [0, 5, 10, 15, 20])])
def test_a_stop_while_an_entry_is_shown_adds_none(tmp_path, monkeypatch, stop_at, steps):
    record = Progress.record

    def record_and_stop(self, step, metrics):
        record(self, step, metrics)
        if step == stop_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "record", record_and_stop)
    args = ("--eval_freq", "5", "--output_dir", str(tmp_path))
    assert main([*QUICK, *args]) == 130
    rows = np.genfromtxt(tmp_path / "history.csv", names=True, delimiter=",")
    assert np.atleast_1d(rows["step"]).tolist() == steps


def test_a_signal_that_got_lost_is_found_at_the_end_of_the_epoch(tmp_path, monkeypatch):
    record = Progress.record

    def record_and_lose(self, step, metrics):
        record(self, step, metrics)
        signals.pending = signal.SIGTERM if step == 5 else signals.pending

    monkeypatch.setattr(Progress, "record", record_and_lose)
    assert main([*QUICK, "--eval_freq", "5", "--output_dir", str(tmp_path)]) == 143
    assert signals.pending is None
    rows = np.genfromtxt(tmp_path / "history.csv", names=True, delimiter=",")
    assert rows["step"].tolist() == [0, 5, 6]


def test_a_signal_that_waits_leaves_what_is_postponed_postponed():
    def wait():
        with signals.postponed():
            signals.stop(signal.SIGTERM)
            with pytest.raises(signals.Stopped), signals.heard():
                pytest.fail("it was not heard")
            assert signals.is_postponed

    with pytest.raises(signals.Stopped):
        wait()
    assert not signals.is_postponed
    assert signals.exit_status(signals.Stopped(signal.SIGTERM)) == 143


def test_the_summary_is_of_the_last_entry(capsys):
    print_summary(
        as_history([{"step": 0, **METRICS_OF[0]}, {"step": 2, **METRICS_OF[2]}]), 2.0, 3000
    )
    assert capsys.readouterr().out == (
        "\n          loss    accuracy\n"
        "train   0.6123     75.00 %\n"
        "test    0.5000     87.25 %\n"
        "epoch 2, 2.00 s, 1,500 updates/s\n\n"
    )


def test_a_history_is_written_in_full_precision_row_by_row(tmp_path):
    path = tmp_path / "history.csv"
    save_history({"step": np.array([0, 5]), "train_loss": np.array([0.1 + 0.2, 1e-300])}, path)
    assert path.read_bytes() == b"step,train_loss\n0,0.30000000000000004\n5,1e-300\n"
    with pytest.raises(ValueError, match="shorter"):
        save_history({"step": np.array([0, 5]), "train_loss": np.array([0.1])}, path)


def texts_of(figure):
    return {text.get_text() for text in figure.findobj(Text)}


def test_figures_say_what_was_trained(tmp_path, monkeypatch):
    figures = {}
    monkeypatch.setattr(
        train_mlp_numpy, "finish_figures", lambda drawn, *args: figures.update(drawn) or True
    )
    assert main([*QUICK, "--batch_size", "16", "--output_dir", str(tmp_path)]) == 0
    assert "rows for training: 48, for testing: 12" in texts_of(figures["figure2_data.png"])
    title = "moons, batch size 16, learning rate 0.01"
    for name in ("figure3_curves.png", "decision_boundary.png"):
        assert any(title in text for text in texts_of(figures[name])), name
    args = ("--dataset", "circles", "--learning_rate", "0.5", "--output_dir", str(tmp_path))
    assert main([*QUICK, *args]) == 0
    title = "circles, full batch, learning rate 0.5"
    assert any(title in text for text in texts_of(figures["decision_boundary.png"]))
