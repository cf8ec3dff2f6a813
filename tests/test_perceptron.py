"""Part I: the report's figures, the perceptron's mathematics, Figure 1 and the command."""

import math
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import perceptron as script
from gradient_check import numerical_gradient
from perceptron import CASES, Perceptron, bayes_accuracy, generate_dataset, run_cases


def test_seed_42_reproduces_the_report_to_the_digit():
    results = run_cases()
    assert [result.test_accuracy for result in results] == [1.000, 0.525, 0.850, 0.375]
    assert [result.history["converged_epoch"] for result in results] == [1, None, None, None]
    assert [round(result.train_accuracy, 3) for result in results] == [1.0, 0.706, 0.769, 0.525]


def test_another_seed_gives_other_figures():
    accuracies = [result.test_accuracy for result in run_cases(43)]
    assert accuracies != [1.000, 0.525, 0.850, 0.375]


def test_a_data_set_has_100_points_of_each_class_split_160_to_40():
    train_points, train_labels, test_points, test_labels = generate_dataset([2, 2, 2], [0, 0, 0])
    assert train_points.shape == (160, 3)
    assert test_points.shape == (40, 3)
    labels = np.concatenate([train_labels, test_labels])
    assert sorted(labels) == [-1] * 100 + [1] * 100
    assert list(labels) != sorted(labels)  # pooled and shuffled


def test_points_follow_the_gaussian_of_their_label():
    points, labels, *_ = generate_dataset([50, 0], [-50, 10], cov_scale=4.0, rng=0)
    assert np.array_equal(points[:, 0] > 0, labels == 1)
    positive = points[labels == 1]
    assert positive.mean(axis=0) == pytest.approx([50, 0], abs=1)
    assert np.cov(positive.T) == pytest.approx(4.0 * np.eye(2), abs=1.5)


@pytest.mark.parametrize("make_rng", [np.random.RandomState, np.random.default_rng, int])
def test_the_same_seed_draws_the_same_bits(make_rng):
    first, second = (generate_dataset([1, 1], [0, 0], 1.0, make_rng(7)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b)


def test_randomness_is_passed_in():
    before = pickle.dumps(np.random.get_state())
    rng = np.random.RandomState(7)
    first, *_ = generate_dataset([1, 1], [0, 0], 1.0, rng)
    second, *_ = generate_dataset([1, 1], [0, 0], 1.0, rng)
    assert not np.array_equal(first, second)  # the generator went on
    assert pickle.dumps(np.random.get_state()) == before


def test_sign_of_zero_is_plus_one():
    perceptron = Perceptron(2)
    assert perceptron.forward([[0.3, -5.0]]).tolist() == [1]
    assert perceptron.forward([0.3, -5.0]) == 1  # a single point, a single label


def test_the_bias_is_the_last_weight():
    perceptron = Perceptron(2)
    perceptron.weights = np.array([1.0, 2.0, -3.0])
    assert perceptron.forward([[1.0, 1.0], [1.0, 0.9], [0.0, 2.0]]).tolist() == [1, -1, 1]


def test_two_epochs_worked_by_hand():
    # With zero weights every point is predicted +1: the two points of class -1 are wrong. The
    # averaged gradient is ([1, 3] + [3, 1]) / 2 = [2, 2] and 1 for the bias.
    x, labels = [[4.0, 4.0], [1.0, 3.0], [3.0, 1.0]], [1, -1, -1]
    perceptron = Perceptron(2, max_epochs=1, learning_rate=0.5)
    history = perceptron.train(x, labels)
    assert perceptron.weights.tolist() == [-1.0, -1.0, -0.5]
    assert history["misclassified"].tolist() == [2]
    assert history["loss"].tolist() == [0.0]
    # Now [4, 4] alone is wrong, by w.x + b = -8.5; its gradient is -[4, 4] and -1.
    history = perceptron.train(x, labels)
    assert perceptron.weights.tolist() == [1.0, 1.0, 0.0]
    assert history["misclassified"].tolist() == [1]
    assert history["loss"].tolist() == [8.5]
    assert history["converged_epoch"] is None


def test_a_step_follows_the_gradient_of_the_loss():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(30, 3)), rng.choice([-1, 1], 30)
    start = rng.normal(size=4)

    def loss(weights):
        signed = labels * (x @ weights[:-1] + weights[-1])
        return -float(signed[signed < 0].sum())

    perceptron = Perceptron(3, max_epochs=1, learning_rate=0.1)
    perceptron.weights = start.copy()
    history = perceptron.train(x, labels)
    n_wrong = int(np.sum(labels * (x @ start[:-1] + start[-1]) < 0))
    step = -0.1 * numerical_gradient(loss, start) / n_wrong
    assert history["misclassified"].tolist() == [n_wrong]
    assert history["loss"] == pytest.approx([loss(start)])
    assert perceptron.weights - start == pytest.approx(step, rel=1e-8)


def test_training_stops_at_the_first_epoch_without_errors():
    perceptron = Perceptron(1, max_epochs=50, learning_rate=1.0)
    history = perceptron.train([[2.0], [-1.0]], [1, -1])
    assert history["converged_epoch"] == len(history["misclassified"]) - 1
    assert history["misclassified"][-1] == 0
    assert (history["misclassified"][:-1] > 0).all()
    assert perceptron.forward([[2.0], [-1.0]]).tolist() == [1, -1]


def test_training_gives_up_after_max_epochs():
    history = Perceptron(1, max_epochs=7).train([[1.0], [1.0]], [1, -1])
    assert history["converged_epoch"] is None
    assert len(history["misclassified"]) == len(history["loss"]) == 7


def test_training_changes_none_of_its_arguments():
    x, labels, *_ = generate_dataset([1, 1], [0, 0], 1.0, 0)
    kept_x, kept_labels = x.copy(), labels.copy()
    perceptron = Perceptron(2)
    weights = perceptron.weights
    perceptron.train(x, labels)
    assert np.array_equal(x, kept_x)
    assert np.array_equal(labels, kept_labels)
    assert not weights.any()


def test_bayes_accuracy_of_the_four_cases():
    accuracies = [bayes_accuracy(*case) for case in CASES.values()]
    assert accuracies == pytest.approx([1.000, 0.691, 0.841, 0.550], abs=5e-4)


def test_bayes_accuracy_is_what_the_nearest_mean_reaches():
    positive, negative, cov_scale = np.array([1.0, 0.0]), np.array([0.0, 2.0]), 1.5
    rng = np.random.default_rng(0)
    points = positive + math.sqrt(cov_scale) * rng.normal(size=(200_000, 2))
    right = np.linalg.norm(points - positive, axis=1) < np.linalg.norm(points - negative, axis=1)
    # The standard error of the share is 0.001.
    assert right.mean() == pytest.approx(bayes_accuracy(positive, negative, cov_scale), abs=0.004)


@pytest.mark.parametrize("labels", [[0, 1], [1, 2], [np.nan, 1], [1], [[1, 1]]])
def test_labels_that_are_not_plus_or_minus_one_are_an_error(labels):
    with pytest.raises(ValueError, match=r"labels must be \+1 or -1, one for each of the 2"):
        Perceptron(1).train([[1.0], [2.0]], labels)


def test_points_that_are_not_finite_are_an_error():
    with pytest.raises(ValueError, match="points must be finite"):
        Perceptron(1).train([[1.0], [np.nan]], [1, -1])


def test_points_of_any_type_are_numbers():
    perceptron, x = Perceptron(1, learning_rate=1.0), np.array([[2], [-1]], dtype=object)
    assert perceptron.train(x, [1, -1])["converged_epoch"] is not None
    assert perceptron.forward(x).tolist() == [1, -1]


def test_the_learning_rate_and_the_epochs_are_those_of_the_flags(tmp_path, capsys):
    flags = ["--learning_rate", "0.5", "--max_epochs", "7", "--output_dir", str(tmp_path / "a/b")]
    for _ in range(2):  # the folder may exist
        script.main(flags)
        _, *lines, wrote = capsys.readouterr().out.splitlines()
        results = run_cases(42, 7, 0.5)
        assert [line[47:54].strip() for line in lines] == [
            f"{r.train_accuracy:.3f}" for r in results
        ]
        assert "not in 7" in lines[1]
        assert wrote == f"wrote {tmp_path / 'a/b/figure1_perceptron.png'}"


def test_the_defaults_are_the_report_s():
    perceptron = Perceptron(2)
    assert (perceptron.max_epochs, perceptron.learning_rate) == (100, 0.01)
    drawn = generate_dataset([2, 2], [0, 0], rng=0), generate_dataset([2, 2], [0, 0], 0.5, rng=0)
    assert all(map(np.array_equal, *drawn))


def test_figure_1_shows_all_points_and_the_boundary_of_each_case():
    results = run_cases()
    figure = script.figure_1(results)
    for axes, result in zip(figure.axes, results, strict=True):
        title = axes.get_title()
        assert result.name in title
        assert f"test accuracy {result.test_accuracy:.3f}" in title
        drawn = [np.asarray(dots.get_offsets()) for dots in axes.collections]
        train_points, train_labels, test_points, test_labels = result.data
        assert np.array_equal(drawn[0], train_points[train_labels == 1])
        assert np.array_equal(drawn[3], test_points[test_labels == -1])
        assert sum(map(len, drawn)) == 200
        (line,) = axes.lines
        for point in (line.get_xy1(), line.get_xy2()):
            assert np.dot(result.weights, [*point, 1]) == pytest.approx(0, abs=1e-12)
    colors = [tuple(dots.get_facecolor()[0]) for dots in axes.collections]
    assert colors[0] == colors[1] != colors[2] == colors[3]


def run(*args, cwd=None, script=script.__file__, **options):
    command = [sys.executable, script, *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, **options)


def test_copied_alone_into_an_empty_folder_it_runs_and_draws(tmp_path):
    shutil.copy(script.__file__, tmp_path)
    result = run(cwd=tmp_path, script="perceptron.py", env={**os.environ, "PYTHONPATH": ""})
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1:] == [
        "1 Separable                    at epoch 1       1.000  1.000  1.000",
        "2 Close means                  not in 100       0.706  0.525  0.691",
        "3 High variance                not in 100       0.769  0.850  0.841",
        "4 Close means + high variance  not in 100       0.525  0.375  0.550",
        f"wrote {Path('outputs', 'figure1_perceptron.png')}",
    ]
    assert [file.name for file in (tmp_path / "outputs").iterdir()] == ["figure1_perceptron.png"]


def test_repeats_add_the_mean_and_the_deviation_over_the_seeds(capsys):
    script.main(["--repeats", "5", "--seed", "7", "--no_output"])
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.endswith("test, mean and std of 5 seeds")
    accuracies = [[r.test_accuracy for r in run_cases(seed)] for seed in range(7, 12)]
    for line, mean, std in zip(
        lines, np.mean(accuracies, axis=0), np.std(accuracies, axis=0, ddof=1), strict=True
    ):
        assert line.split()[-2:] == [f"{mean:.3f}", f"{std:.3f}"]


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--learning_rate", "0"),
        ("--learning_rate", "nan"),
        ("--max_epochs", "1.5"),
        ("--repeats", "0"),
        ("--seed", "-1"),
        ("--output_dir", __file__),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_flag(capsys, flag, value):
    with pytest.raises(SystemExit) as end:
        script.main([flag, value])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"error: argument {flag}: " in line
    assert value.removesuffix("__.py") in line


@pytest.mark.parametrize("args", [["--max_epoch", "3"], ["--rate", "1"], ["more"]])
def test_an_unknown_argument_is_an_error(capsys, args):
    with pytest.raises(SystemExit) as end:
        script.main(args)
    assert end.value.code == 2
    assert f"unrecognized arguments: {args[0]}" in capsys.readouterr().err


def test_show_opens_a_window_or_says_that_it_cannot(capsys, monkeypatch):
    from matplotlib import pyplot as plt

    with pytest.raises(SystemExit) as end:
        script.main(["--no_output", "--show"])
    assert end.value.code == 2
    assert "argument --show: no display" in capsys.readouterr().err
    plt.close("all")
    shown = []
    monkeypatch.setattr(plt, "get_backend", lambda: "tkagg")
    monkeypatch.setattr(plt, "show", lambda: shown.extend(plt.get_fignums()))
    script.main(["--no_output", "--show"])
    assert len(shown) == 1


def test_a_folder_that_cannot_be_written_is_told_before_any_work(tmp_path, capsys, monkeypatch):
    def fail(**options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(script.tempfile, "TemporaryFile", fail)
    monkeypatch.setattr(script, "run_cases", None)
    with pytest.raises(SystemExit) as end:
        script.main(["--output_dir", str(tmp_path)])
    assert end.value.code == 2
    assert "argument --output_dir: [Errno 13] Permission denied" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        command = [sys.executable, script.__file__, "--no_output"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("error: [Errno 28] No space left on device")


@pytest.mark.skipif(os.name == "nt", reason="needs a shell with head")
def test_a_reader_who_leaves_gets_no_traceback(tmp_path):
    command = f"{sys.executable} {script.__file__} --no_output | head -c 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=tmp_path)
    assert (result.stdout, result.stderr) == ("c", "")
