"""What a user of the commands meets: first of both, then of train_mlp_numpy.py alone."""

import functools
import io
import os
import re
import sys
import types

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from tqdm import tqdm

import perceptron
import plots
import train_mlp_numpy as trainer
from mlp_numpy import MLP
from modules import CrossEntropy
from tests.helpers import (
    ODD_SETTINGS,
    all_equal,
    help_text,
    params_of,
    refusal,
    run_twice_at_once,
    skip_without_compiled_loop,
    status_without_reader,
    watch_replacements,
)

FIGURE_1 = "figure1_perceptron.png"
FIGURES = ["figure2_data.png", "figure3_curves.png", "decision_boundary.png"]
FILES = ["history.csv", "model.npz", *FIGURES]  # of the trainer, in the order of writing
SHORT = ["--n_samples", "50", "--max_steps", "3"]  # 40 rows for training, 10 for testing


def short_trainer(flags):
    return trainer.main([*SHORT, *flags])


BOTH = pytest.mark.parametrize("main", [perceptron.main, short_trainer], ids=["part 1", "trainer"])


@pytest.fixture
def small_figures(monkeypatch):
    """Let the commands draw small figures, which takes less time."""

    def figure_1(results):
        figure = plt.figure(figsize=(1, 1))
        figure.text(0, 0.5, "text")
        return figure

    def of_run(*args):
        figures = {}
        for name in FIGURES:
            figures[name] = Figure(figsize=(1, 1))
            figures[name].text(0, 0.5, "text")
        return figures

    monkeypatch.setattr(perceptron, "figure_1", figure_1)
    monkeypatch.setattr(plots, "of_run", of_run)
    yield
    plt.close("all")


@pytest.fixture
def no_work(monkeypatch, tmp_path):
    """Let it be an error if the commands begin to work."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(perceptron, "run_cases", None)
    monkeypatch.setattr(trainer, "load_data", None)


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


# Both commands: wrong flags


@BOTH
@pytest.mark.parametrize("below", ["", "below"])
def test_a_file_given_as_the_folder_is_refused_before_any_work(
    main, below, no_work, tmp_path, capsys
):
    file = tmp_path / "notes.txt"
    file.touch()
    line = refusal(main, ["--output_dir", str(file / below)], capsys)
    assert "--output_dir" in line
    assert f"{file} is a file" in line


@BOTH
def test_a_folder_that_cannot_be_written_is_refused_before_any_work(
    main, no_work, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    line = refusal(main, ["--output_dir", str(tmp_path / "new")], capsys)
    assert "--output_dir" in line
    assert "another folder" in line
    assert files_of(tmp_path) == []


@BOTH
def test_show_without_a_display_is_refused_before_any_work(main, no_work, capsys, monkeypatch):
    monkeypatch.setattr(plt, "get_backend", lambda: "agg")
    line = refusal(main, ["--show", "--no_output"], capsys)
    assert "--show" in line
    assert "display" in line


@BOTH
def test_a_flag_is_not_abbreviated(main, no_work, capsys):
    assert "--no_out" in refusal(main, ["--no_out"], capsys)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--learning_rate", "0"),
        ("--learning_rate", "nan"),
        ("--learning_rate", "inf"),
        ("--learning_rate", "fast"),
        ("--max_epochs", "0"),
        ("--max_epochs", "1.5"),
        ("--repeats", "0"),
        ("--seed", "-1"),
        ("--seed", "4294967296"),
    ],
)
def test_a_wrong_value_for_the_perceptron_is_refused_before_any_work(no_work, capsys, flag, value):
    line = refusal(perceptron.main, [flag, value], capsys)
    assert flag in line
    assert value in line


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--max_steps", "0"),
        ("--max_steps", "1.5"),
        ("--eval_freq", "0"),
        ("--batch_size", "0"),
        ("--batch_size", "half"),
        ("--learning_rate", "0"),
        ("--learning_rate", "inf"),
        ("--learning_rate", "nan"),
        ("--dnn_hidden_units", "0"),
        ("--dataset", "moon"),
        ("--n_samples", "1"),
        ("--noise", "-0.1"),
        ("--seed", "-1"),
        ("--data_seed", "4294967296"),
        ("--backend", "torch"),
    ],
)
def test_a_wrong_value_for_the_trainer_is_refused_with_the_remedy_before_any_work(
    no_work, capsys, flag, value
):
    line = refusal(trainer.main, [flag, value], capsys)
    assert flag in line
    assert f"'{value}'" in line
    assert re.search("give|choose", line)


@pytest.mark.parametrize("value", ["None", "20,,20", ""])
def test_the_error_for_wrong_hidden_units_mentions_commas_and_none(no_work, capsys, value):
    line = refusal(trainer.main, ["--dnn_hidden_units", value], capsys)
    assert "--dnn_hidden_units" in line
    assert "commas" in line
    assert "none" in line


def test_the_error_for_a_wrong_batch_size_mentions_full(no_work, capsys):
    assert "full" in refusal(trainer.main, ["--batch_size", "all"], capsys)


def test_more_rows_than_there_are_digits_are_refused(capsys):
    line = refusal(trainer.main, ["--dataset", "digits", "--n_samples", "1798"], capsys)
    assert "--n_samples" in line
    assert "1797" in line
    assert short_trainer(["--n_samples", "1798", "--no_output"]) == 0  # of moons there are more


def test_the_backend_numba_is_refused_where_numba_is_missing(no_work, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "speed.any_numba", raising=False)
    monkeypatch.delitem(sys.modules, "speed.compiled", raising=False)
    line = refusal(trainer.main, ["--backend", "numba", "--no_output"], capsys)
    assert "--backend" in line
    assert "requirements-extra.txt" in line


def test_a_compiled_loop_with_other_results_is_refused(no_work, capsys, monkeypatch):
    def fail(train_epoch):
        raise ValueError("the compiled loop differs")

    monkeypatch.setitem(sys.modules, "speed.compiled", types.SimpleNamespace(check_equal=fail))
    line = refusal(trainer.main, ["--backend", "numba", "--no_output"], capsys)
    assert "--backend" in line
    assert "differs" in line


def test_a_seed_is_too_large_if_the_last_of_the_repeats_is(small_figures, capsys):
    flags = ["--seed", "4294967290", "--no_output"]
    assert perceptron.main([*flags, "--repeats", "6"]) == 0
    capsys.readouterr()
    assert "--seed" in refusal(perceptron.main, [*flags, "--repeats", "7"], capsys)


@BOTH
@pytest.mark.parametrize("seed", ["0", "4294967295"])
def test_the_smallest_and_the_largest_seed_can_be_used(main, seed, small_figures):
    assert main(["--seed", seed, "--no_output"]) == 0


def test_no_noise_can_be_asked_for():
    assert short_trainer(["--noise", "0", "--no_output"]) == 0


@BOTH
def test_help_opens_with_a_sentence_and_ends_with_an_example(main, capsys):
    text = help_text(main, capsys)
    assert text.startswith("Train ")
    assert re.match("Example: python .*py --", text.splitlines()[-1])


# Both commands: files


@BOTH
def test_no_output_writes_nothing(main, small_figures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--no_output"]) == 0
    assert files_of(tmp_path) == []


@pytest.mark.parametrize(
    ("main", "names"),
    [(perceptron.main, [FIGURE_1]), (short_trainer, FILES)],
    ids=["part 1", "trainer"],
)
def test_files_are_named_and_are_whole_when_they_get_their_names(
    main, names, small_figures, tmp_path, capsys, monkeypatch
):
    sizes = watch_replacements(monkeypatch)
    folder = tmp_path / "new" / "folder"
    assert main(["--output_dir", str(folder)]) == 0
    assert files_of(folder) == sorted(names)
    out = capsys.readouterr().out
    for name in names:
        assert sizes[name] == (folder / name).stat().st_size
        assert f"wrote {folder / name}\n" in out


@BOTH
def test_a_tilde_in_the_folder_s_name_is_the_home_folder(
    main, small_figures, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # on Windows
    assert main(["--output_dir", "~/results"]) == 0
    assert files_of(tmp_path) == ["results"]


@pytest.mark.parametrize("name", [FIGURE_1, *FILES])
def test_a_file_that_is_there_survives_a_failed_write(small_figures, tmp_path, monkeypatch, name):
    main = perceptron.main if name == FIGURE_1 else short_trainer
    replace = os.replace

    def replace_or_fail(scratch, path):
        if os.path.basename(path) == name:
            raise OSError("no space left")
        replace(scratch, path)

    (tmp_path / name).write_text("the old one")
    monkeypatch.setattr(os, "replace", replace_or_fail)
    with pytest.raises(OSError, match="no space left"):
        main(["--output_dir", str(tmp_path)])
    assert (tmp_path / name).read_text() == "the old one"


@pytest.mark.parametrize("name", [FIGURE_1, *FILES])
def test_two_runs_into_one_folder_at_the_same_time_succeed(small_figures, tmp_path, name):
    main = perceptron.main if name == FIGURE_1 else short_trainer
    statuses = []

    def run():
        statuses.append(main(["--output_dir", str(tmp_path)]))

    run_twice_at_once(run, name)
    assert statuses == [0, 0]
    assert not list(tmp_path.glob("*.tmp"))


@BOTH
def test_figures_are_the_same_whatever_the_user_s_settings_of_matplotlib(
    main, small_figures, tmp_path
):
    main(["--output_dir", str(tmp_path / "plain")])
    with plt.rc_context(ODD_SETTINGS):
        main(["--output_dir", str(tmp_path / "odd")])
    for plain in (tmp_path / "plain").glob("*.png"):
        odd = tmp_path / "odd" / plain.name
        assert odd.read_bytes() == plain.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error on Windows")
@pytest.mark.parametrize("script", [perceptron, trainer], ids=["part 1", "trainer"])
def test_a_reader_who_leaves_gets_no_traceback(script, monkeypatch):
    flags = ["--no_output", "--seed", "1"]
    if script is trainer:
        flags += SHORT
    assert status_without_reader(script.__file__, flags, monkeypatch) == 1


# The trainer: what it trains and prints


def run_into(folder, *flags):
    """Run the trainer; return the history and the network in its files."""
    assert trainer.main([*SHORT, *flags, "--output_dir", str(folder)]) == 0
    return read(folder)


def read(folder):
    history = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    return history, MLP.load(folder / "model.npz")


@pytest.fixture(scope="module")
def default_lines():
    """What a run without flags prints."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        assert trainer.main(["--no_output"]) == 0
        return sys.stdout.getvalue().splitlines()


@pytest.mark.parametrize(
    ("part", "numbers"), [("train", [0.3011, 86.88]), ("test", [0.3088, 84.5])]
)
def test_the_default_run_ends_with_the_report_s_losses_and_accuracies(default_lines, part, numbers):
    (line,) = [line for line in default_lines if line.startswith(f"{part}: ")]
    loss, percent = re.findall(r"\d+\.\d+", line)
    assert [float(loss), float(percent)] == pytest.approx(numbers, abs=2e-4)


def test_progress_is_about_twenty_lines_from_the_first_epoch_to_the_last(default_lines):
    lines = [line for line in default_lines if line.startswith("epoch ") and "loss" in line]
    assert 15 <= len(lines) <= 25
    assert lines[0].startswith("epoch 0: ")
    assert lines[-1].startswith("epoch 1500: ")


def test_a_line_of_progress_has_the_training_loss_and_the_test_accuracy(default_lines):
    (progress,) = [line for line in default_lines if line.startswith("epoch 1500: ")]
    (train,) = [line for line in default_lines if line.startswith("train: ")]
    (test,) = [line for line in default_lines if line.startswith("test: ")]
    loss, percent = re.findall(r"\d+\.\d+", progress)
    assert f"loss {loss}," in train
    assert f"accuracy {percent} %" in test


def test_the_last_epoch_and_the_seconds_of_training_are_printed_last(monkeypatch, capsys):
    readings = iter([100.0, 102.5])
    clock = types.SimpleNamespace(perf_counter=lambda: next(readings))
    monkeypatch.setattr(trainer, "time", clock)
    short_trainer(["--no_output"])
    last_line = capsys.readouterr().out.splitlines()[-1]
    assert re.findall(r"[\d.]+", last_line) == ["3", "2.50"]


def test_the_settings_are_printed_first(capsys):
    flags = ["--dataset", "blobs", "--n_samples", "50", "--data_seed", "6"]
    flags += ["--dnn_hidden_units", "9,8", "--seed", "7"]
    flags += ["--batch_size", "16", "--learning_rate", "0.5", "--max_steps", "1"]
    trainer.main([*flags, "--no_output"])
    data, network, training, *_ = capsys.readouterr().out.splitlines()
    assert re.findall(r"blobs|\d+", data) == ["blobs", "40", "10", "6"]
    assert re.findall(r"[\d-]+|numpy", network) == ["2-9-8-3", "7", "numpy"]
    assert re.findall(r"[\d.]+", training) == ["16", "3", "0.5"]  # 3 updates per epoch


@pytest.mark.parametrize("batch_size", ["full", "40", "41"])
def test_a_batch_size_of_all_rows_or_more_is_printed_as_the_full_batch(capsys, batch_size):
    short_trainer(["--batch_size", batch_size, "--no_output"])
    training = capsys.readouterr().out.splitlines()[2]
    assert "batch size full" in training
    assert "updates per epoch 1," in training


def test_the_command_trains_as_its_functions_do(small_figures, tmp_path):
    data = trainer.load_data("blobs", 60, 0.1, seed=3)
    rng = np.random.RandomState(5)
    expected = MLP(2, [4, 3], 3, rng)
    expected_history = trainer.train(
        expected, data, learning_rate=0.5, max_steps=7, eval_freq=3, batch_size=8, rng=rng
    )
    flags = ["--dataset", "blobs", "--n_samples", "60", "--noise", "0.1", "--data_seed", "3"]
    flags += ["--dnn_hidden_units", "4,3", "--seed", "5", "--learning_rate", "0.5"]
    flags += ["--max_steps", "7", "--eval_freq", "3", "--batch_size", "8"]
    history, model = run_into(tmp_path, *flags)
    assert all_equal(params_of(model), params_of(expected))
    assert (tmp_path / "history.csv").read_text().startswith("epoch,train_loss,")
    assert history.dtype.names == tuple(expected_history)
    for name, values in expected_history.items():
        assert np.array_equal(history[name], values)  # in full precision


def test_the_last_entry_of_the_history_is_of_the_network_in_the_file(small_figures, tmp_path):
    history, model = run_into(tmp_path)
    metrics = trainer.evaluate(model, trainer.load_data(n_samples=50))
    for name, value in metrics.items():
        assert history[name][-1] == value


def test_the_first_loss_depends_on_the_seed_and_on_the_data_seed(small_figures, tmp_path):
    def first_loss(*flags):
        history, _ = run_into(tmp_path, *flags)
        return history["train_loss"][0]

    default = first_loss()
    assert first_loss("--seed", "42", "--data_seed", "42") == default
    assert first_loss("--seed", "1") != default
    assert first_loss("--data_seed", "1") != default


def test_hidden_units_may_be_none(small_figures, tmp_path):
    _, model = run_into(tmp_path, "--dnn_hidden_units", "none")
    assert len(model.linear_layers) == 1


def test_the_backend_numba_uses_the_compiled_loop_and_gives_the_same_losses(
    small_figures, tmp_path, monkeypatch
):
    skip_without_compiled_loop()
    backends = []
    train = trainer.train

    def watched(*args, **options):
        backends.append(options["backend"])
        return train(*args, **options)

    monkeypatch.setattr(trainer, "train", watched)
    plain, _ = run_into(tmp_path, "--batch_size", "8")
    compiled, _ = run_into(tmp_path, "--batch_size", "8", "--backend", "numba")
    assert backends == ["numpy", "numba"]
    assert compiled["train_loss"] == pytest.approx(plain["train_loss"], rel=1e-9)


# The trainer: its figures


@pytest.fixture
def drawn(monkeypatch):
    """A dict that gets the figures of a run, instead of files and windows."""
    figures = {}
    monkeypatch.setattr(plots, "finish", lambda drawn, args: figures.update(drawn))
    return figures


def test_the_figures_show_the_data_the_history_and_the_network_of_the_run(drawn, tmp_path):
    history, model = run_into(tmp_path)
    data = trainer.load_data(n_samples=50)
    train, test = drawn["figure2_data.png"].axes[0].collections
    assert np.array_equal(train.get_offsets(), data.x_train)
    assert np.array_equal(test.get_offsets(), data.x_test)
    line = drawn["figure3_curves.png"].axes[0].lines[0]
    assert np.array_equal(line.get_ydata(), history["train_loss"])
    shades = drawn["decision_boundary.png"].axes[0].images[0]
    expected = plots.decision_boundary(model.forward, data).axes[0].images[0]
    assert np.array_equal(shades.get_array(), expected.get_array())


def test_the_titles_have_the_batch_size_and_the_seed(drawn, tmp_path):
    run_into(tmp_path, "--batch_size", "16", "--seed", "7", "--data_seed", "8")
    curves = drawn["figure3_curves.png"].get_suptitle()
    boundary = drawn["decision_boundary.png"].axes[0].get_title()
    assert re.findall(r"moons|\d+", curves) == ["moons", "16", "7"]
    assert re.findall(r"moons|\d+", boundary) == ["moons", "16", "7"]


def test_digits_are_trained_and_it_is_said_why_there_is_no_boundary(
    small_figures, tmp_path, capsys
):
    _, model = run_into(tmp_path, "--dataset", "digits")
    assert params_of(model)[0].shape == (64, 20)
    last_line = capsys.readouterr().out.splitlines()[-1]
    assert "no decision boundary" in last_line
    assert "2 features" in last_line
    assert "64" in last_line


def test_without_output_figures_are_drawn_only_to_be_shown(drawn, monkeypatch):
    short_trainer(["--no_output"])
    assert list(drawn) == []
    monkeypatch.setattr(plt, "get_backend", lambda: "tkagg")
    short_trainer(["--no_output", "--show"])
    assert list(drawn) == FIGURES


# The trainer: runs that go wrong or are stopped


def test_a_run_that_diverges_names_the_epoch_and_the_remedy_and_writes_nothing(tmp_path, capsys):
    epochs = []
    rng = np.random.RandomState(42)
    with pytest.raises(FloatingPointError):
        trainer.train(
            MLP(2, [20], 2, rng),
            trainer.load_data(n_samples=50),
            learning_rate=1e9,
            rng=rng,
            callback=lambda epoch, metrics: epochs.append(epoch),
        )
    folder = tmp_path / "new"
    flags = ["--learning_rate", "1e9", "--n_samples", "50", "--output_dir", str(folder)]
    assert trainer.main(flags) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"epoch {epochs[-1] + 1}," in line
    assert "learning rate" in line
    assert "nothing was written" in line
    assert not folder.exists()


def training_in_which(metric):
    """Return a stand-in for `train`: at the end this metric is greater than at the beginning."""

    def train(*args, **options):
        history = {"epoch": np.array([0, 1, 2])}
        for name in trainer.METRICS:
            history[name] = np.array([0.7, 0.3, 0.5])  # it may rise, if it ends lower
        history[metric] = np.array([0.7, 0.3, 0.8])
        return history

    return train


def test_a_training_loss_that_rose_is_an_error_with_a_remedy_and_the_files_are_written(
    small_figures, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(trainer, "train", training_in_which("train_loss"))
    assert trainer.main(["--learning_rate", "5", "--output_dir", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert re.findall(r"0\.\d+", error) == ["0.7000", "0.8000"]
    assert "learning rate below 5" in error
    assert files_of(tmp_path) == sorted(FILES)


def test_a_test_loss_that_rose_is_no_error(capsys, monkeypatch):
    monkeypatch.setattr(trainer, "train", training_in_which("test_loss"))
    assert trainer.main(["--no_output"]) == 0
    assert capsys.readouterr().err == ""


def interrupt_at(monkeypatch, *numbers):
    """Let Ctrl-C come at these calls of the loss, from 1; return a list of its numbers of rows."""
    n_rows = []
    forward = CrossEntropy.forward

    def interrupted(loss, predictions, targets):
        n_rows.append(len(targets))
        if len(n_rows) in numbers:
            raise KeyboardInterrupt
        return forward(loss, predictions, targets)

    monkeypatch.setattr(CrossEntropy, "forward", interrupted)
    return n_rows


FIVE_BATCHES = ["--n_samples", "50", "--batch_size", "8"]
# In the third batch of epoch 13, after two evaluations, of training and test data, and 12 epochs.
CALL = 2 + 2 + 12 * 5 + 3


def test_ctrl_c_stops_within_an_epoch_and_the_files_are_written(
    small_figures, tmp_path, monkeypatch, capsys
):
    n_rows = interrupt_at(monkeypatch, CALL)
    assert trainer.main([*FIVE_BATCHES, "--output_dir", str(tmp_path)]) == 130
    assert n_rows[CALL:] == [40, 10]  # no batch more, but training and test data
    printed = capsys.readouterr()
    (line,) = printed.err.splitlines()
    assert "epoch 13" in line
    assert "unfinished" in line

    history, model = read(tmp_path)
    metrics = trainer.evaluate(model, trainer.load_data(n_samples=50))
    assert history["epoch"].tolist() == [0, 10, 13]
    assert history["test_loss"][-1] == metrics["test_loss"]
    assert f"test: loss {metrics['test_loss']:.4f}" in printed.out
    assert re.search("^epoch 13,", printed.out, re.M)
    assert files_of(tmp_path) == sorted(FILES)


def test_ctrl_c_before_the_first_entry_writes_the_network_as_it_was(
    small_figures, tmp_path, monkeypatch
):
    interrupt_at(monkeypatch, 1)
    assert trainer.main([*FIVE_BATCHES, "--output_dir", str(tmp_path)]) == 130
    history, model = read(tmp_path)
    assert history["epoch"] == 0
    assert all_equal(params_of(model), params_of(MLP(2, [20], 2, rng=42)))


def test_a_second_ctrl_c_ends_without_a_traceback(tmp_path, monkeypatch):
    interrupt_at(monkeypatch, CALL, CALL + 1)
    assert trainer.main([*FIVE_BATCHES, "--output_dir", str(tmp_path)]) == 130
    assert files_of(tmp_path) == []


def test_a_terminal_gets_a_bar_instead_of_lines_until_training_ends(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stdout", terminal)
    # However fast it is, each step of the bar is drawn.
    monkeypatch.setattr(trainer, "tqdm", functools.partial(tqdm, mininterval=0, miniters=1))
    short_trainer(["--no_output"])
    text = terminal.getvalue()
    assert sorted(set(re.findall(r"(\d+)/", text))) == ["0", "1", "2", "3"]
    assert "train loss 0." in text
    assert "epoch 0: " not in text
    for line in text.split("\n"):
        shown_in_the_end = line.rpartition("\r")[2]
        assert "/3" not in shown_in_the_end
