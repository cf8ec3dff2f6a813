"""Part I: the report's figures, the perceptron's mathematics, Figure 1 and the command."""

import io
import math
import os
import pickle
import re
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb

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


def test_an_update_follows_the_gradient_of_the_loss():
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
    update = -0.1 * numerical_gradient(loss, start) / n_wrong
    assert history["misclassified"].tolist() == [n_wrong]
    assert history["loss"] == pytest.approx([loss(start)])
    assert perceptron.weights - start == pytest.approx(update, rel=1e-8)


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


@pytest.mark.parametrize(
    ("mean_neg", "cov_scale"),
    [
        ((math.inf, 0), 0.5),
        ((0, math.nan), 0.5),
        *(((0, 0), x) for x in (0, -1, math.nan, math.inf)),
    ],
)
def test_means_and_variances_that_make_no_gaussian_are_an_error(mean_neg, cov_scale):
    for means in ((1, 2), mean_neg), (mean_neg, (1, 2)):
        for function in generate_dataset, bayes_accuracy:
            with pytest.raises(ValueError, match="means must be finite, cov_scale > 0") as error:
                function(*means, cov_scale)
            assert str((*means, cov_scale)) in str(error.value)


@pytest.mark.parametrize("function", [generate_dataset, bayes_accuracy])
def test_means_of_different_lengths_are_an_error(function):
    with pytest.raises(ValueError, match="the same number of dimensions"):
        function([2, 2], [0], 0.5)


@pytest.mark.parametrize(
    ("labels", "given"),
    [
        ([0, 1], "[0, 1]"),
        ([2, 2], "[2]"),
        ([1, math.nan], "nan"),
        (["1", "1"], "['1']"),  # text is seen to be text
        (np.array(["-1", "-1"], dtype=object), "['-1']"),
        ([True, False], "False"),
        ([1], "shape (1,)"),
        ([[1], [1]], "shape (2, 1)"),
        (1, "shape ()"),
    ],
)
def test_labels_that_are_not_plus_or_minus_one_are_an_error(labels, given):
    with pytest.raises(
        ValueError, match=r"labels must be \+1 or -1, one for each of the 2"
    ) as error:
        Perceptron(1).train([[1.0], [2.0]], labels)
    assert given in str(error.value)


def test_nothing_cannot_be_learned():
    with pytest.raises(ValueError, match="one for each of the 0 points"):
        Perceptron(1).train(np.empty((0, 1)), [])


@pytest.mark.parametrize(
    "points",
    [[[1.0, math.nan]], [[1.0, -math.inf]], [[1.0, None]], [[1.0]], [[[1.0, 2.0]]], 1.0, []],
)
def test_points_of_another_shape_or_not_finite_are_an_error(points):
    shape = str(np.shape(points))
    perceptron = Perceptron(2)
    for use in perceptron.forward, lambda points: perceptron.train(points, [1]):
        with pytest.raises(ValueError, match=r"points must be finite, .* \(N, 2\)") as error:
            use(points)
        assert str(error.value).endswith(f"got {shape}")


@pytest.mark.parametrize(
    ("learning_rate", "scale", "max_epochs"),
    [
        (1e308, 10.0, 1),  # the weights, in the last update
        (1.0, 1e200, 2),  # the loss alone
        (math.nan, 1.0, 1),
    ],
)
@np.errstate(over="ignore", invalid="ignore")
def test_weights_or_losses_that_overflow_are_an_error(learning_rate, scale, max_epochs):
    perceptron = Perceptron(1, max_epochs, learning_rate)
    told = f"overflow: lower learning_rate={learning_rate} or scale x down"
    with pytest.raises(ValueError, match=re.escape(told)):
        perceptron.train([[scale], [scale]], [-1, 1])


X, Y = np.array([[3, -1], [-2, 0], [1, 1], [-4, 5], [0, 2]]), np.array([1, -1, -1, 1, -1])


@pytest.mark.parametrize("dtype", [int, "int8", "float16", "float32", object, list, "DataFrame"])
def test_points_and_labels_of_any_type_give_the_same_weights(dtype):
    # So many rows that a sum of labels in their own type would overflow or be rounded.
    n_copies = 500
    x, labels = np.tile(X, (n_copies, 1)), np.tile(Y, n_copies)
    expected = Perceptron(2, max_epochs=3)
    expected.weights = np.array([-1.0, 0.0, 0.5])
    history = expected.train(x.astype(float), labels.astype(float))
    if dtype == "DataFrame":
        table = pytest.importorskip("pandas").DataFrame(x).assign(label=labels)
        x, labels = table[[0, 1]].astype(object), table["label"].astype("Int64")
    else:
        x, labels = (a.tolist() if dtype is list else a.astype(dtype) for a in (x, labels))
    perceptron = Perceptron(2, max_epochs=3)
    perceptron.weights = np.array([-1.0, 0.0, 0.5])
    for key, value in perceptron.train(x, labels).items():
        assert np.array_equal(value, history[key])
    assert np.array_equal(perceptron.weights, expected.weights)
    assert np.array_equal(perceptron.forward(x), expected.forward(x))


@pytest.mark.parametrize("dtype", ["uint8", "uint64", bool])
def test_labels_without_a_sign_are_numbers(dtype):
    perceptron = Perceptron(1, max_epochs=1, learning_rate=1.0)
    perceptron.weights = np.array([0.0, -1.0])
    perceptron.train([[2.0], [4.0]], np.ones(2, dtype))
    assert perceptron.weights.tolist() == [3.0, 0.0]


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


COLORS = {1: "#0072B2", -1: "#E69F00"}


@pytest.fixture(scope="module")
def results():
    return run_cases()


@pytest.fixture(scope="module")
def figure(results):
    return script.figure_1(results)


def by_label(axes):
    return {line.get_label(): line for line in axes.lines}


def test_figure_1_shows_all_points_in_the_colour_of_their_class(figure, results):
    for axes, result in zip(figure.axes, results, strict=True):
        lines, (x_train, y_train, x_test, y_test) = by_label(axes), result.data
        for label, color in COLORS.items():
            train, test = lines[f"class {label:+d}, train"], lines[f"class {label:+d}, test"]
            assert np.array_equal(train.get_xydata(), x_train[y_train == label])
            assert np.array_equal(test.get_xydata(), x_test[y_test == label])
            assert (train.get_marker(), train.get_markeredgecolor()) == ("o", "white")
            assert (test.get_marker(), test.get_markeredgecolor()) == ("^", "black")
            for line in train, test:
                assert (line.get_linestyle(), line.get_markerfacecolor()) == ("None", color)


def test_figure_1_titles_each_case_with_its_accuracies(figure, results):
    for i, (axes, result) in enumerate(zip(figure.axes, results, strict=True)):
        case, accuracies = axes.get_title().splitlines()
        assert case == f"Case {i + 1}: {result.name}"
        test, bayes = f"{result.test_accuracy:.3f}", f"{result.bayes_accuracy:.3f}"
        assert accuracies == f"test accuracy {test}, Bayes-optimal {bayes}"


def test_the_panels_of_figure_1_have_one_scale_and_room_for_all_points(figure, results):
    for axes, result in zip(figure.axes, results, strict=True):
        assert axes.get_aspect() == 1
        assert axes.get_xlim() == axes.get_ylim() == figure.axes[0].get_xlim()
        low, high = axes.get_xlim()
        for points in result.data[::2]:
            assert low < points.min() < points.max() < high
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("$x_1$", "$x_2$")


@pytest.mark.parametrize("part", [0, 2])
def test_the_panels_of_figure_1_reach_as_far_as_any_point(results, part):
    data = [array.copy() for array in results[3].data]
    data[part][7] = (1, -40)
    far = [*results[:3], results[3]._replace(data=data)]
    for axes in script.figure_1(far).axes:
        assert axes.get_xlim() == axes.get_ylim() == pytest.approx((-42, 42))


def test_figure_1_marks_the_means_and_circles_of_one_and_two_sigma(figure, results):
    styles = by_label(figure.axes[-1])
    for axes, result in zip(figure.axes, results, strict=True):
        *means, cov_scale = CASES[result.name]
        circles = [patch for patch in axes.patches if isinstance(patch, plt.Circle)]
        for (label, color), mean in zip(COLORS.items(), means, strict=True):
            mark = by_label(axes)[f"class {label:+d}, mean"]
            assert mark.get_xydata().tolist() == [list(mean)]
            assert (mark.get_marker(), mark.get_markerfacecolor()) == ("X", color)
            own = {c.get_radius(): c for c in circles if to_rgb(c.get_edgecolor()) == to_rgb(color)}
            assert list(own) == pytest.approx([math.sqrt(cov_scale), 2 * math.sqrt(cov_scale)])
            for circle, name in zip(own.values(), ("1 sigma", "2 sigma"), strict=True):
                assert circle.center == mean
                assert circle.get_linestyle() == styles[name].get_linestyle()
                # Points do not hide it, and it does not hide the mean.
                assert by_label(axes)["class -1, test"].zorder < circle.zorder < mark.zorder


def contours(axes):
    """Return the shades of a panel and the boundary, which may be missing."""
    shades, *lines = (c for c in axes.collections if hasattr(c, "levels"))
    return shades, lines


def assert_shaded_as_predicted(axes, weights):
    perceptron = Perceptron(2)
    perceptron.weights = np.array(weights)
    shades, _ = contours(axes)
    low, high = axes.get_xlim()
    for place in np.random.default_rng(0).uniform(low, high, (50, 2)):
        inside = [path.contains_point(place) for path in shades.get_paths()]
        (color,) = shades.get_facecolor()[inside]
        assert to_rgb(color) == to_rgb(COLORS[int(perceptron.forward(place))])


def test_figure_1_shades_both_sides_and_draws_the_boundary_across_the_panel(figure, results):
    for axes, result in zip(figure.axes, results, strict=True):
        assert_shaded_as_predicted(axes, result.weights)
        _, (line,) = contours(axes)
        (path,) = line.get_paths()
        ends = np.array([path.vertices[0], path.vertices[-1]])
        assert ends @ result.weights[:2] == pytest.approx(-result.weights[2], abs=1e-9)
        assert np.abs(ends).max(axis=1) == pytest.approx(axes.get_xlim()[1])
        assert line.zorder > by_label(axes)["class -1, test"].zorder
        assert not axes.texts


@pytest.mark.parametrize("weights", [(0, 0, 0), (0, 0, -1), (0, 0, 1), (1e-3, 0, 5), (0, 1, -99)])
def test_a_boundary_outside_the_panel_is_told(results, weights):
    outside = [result._replace(weights=np.array(weights, float)) for result in results]
    for axes in script.figure_1(outside).axes:
        assert [text.get_text() for text in axes.texts] == ["the boundary lies outside"]
        assert_shaded_as_predicted(axes, weights)


def test_weights_of_any_size_have_a_boundary():
    for learning_rate in 5e-324, 1e-200, 1e9:
        for axes in script.figure_1(run_cases(42, 1, learning_rate)).axes:
            _, lines = contours(axes)
            assert len(lines) == 1


def test_the_legend_of_figure_1_shows_what_is_drawn(figure):
    (legend,) = figure.legends
    handles = {handle.get_label(): handle for handle in legend.legend_handles}
    lines = by_label(figure.axes[-1])
    assert [text.get_text() for text in legend.texts] == list(handles)
    classes = [f"class {c}, {part}" for c in ("+1", "-1") for part in ("train", "test", "mean")]
    shades = ["predicted +1", "predicted -1"]
    assert sorted(handles) == sorted(["boundary", "1 sigma", "2 sigma", *classes, *shades])
    for name in {*handles} - {*shades}:
        for aspect in "color", "linestyle", "marker", "markersize", "markeredgecolor":
            assert plt.getp(handles[name], aspect) == plt.getp(lines[name], aspect)
    _, (boundary,) = contours(figure.axes[-1])
    assert to_rgb(handles["boundary"].get_color()) == to_rgb(boundary.get_edgecolor()[0])
    for name, color in zip(shades, contours(figure.axes[-1])[0].get_facecolor(), strict=True):
        assert handles[name].get_facecolor() == pytest.approx(tuple(color))


def test_figure_1_is_the_same_whatever_the_settings_of_matplotlib_are(figure, results):
    def images(figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # as a window does
        pixels = bytes(canvas.buffer_rgba())
        figure.savefig(file := io.BytesIO(), format="png")
        return pixels, file.getvalue()

    plain = images(figure)
    others = {"savefig.dpi": 30, "savefig.bbox": "tight", "axes.unicode_minus": False}
    with plt.style.context(["dark_background", others, {"text.usetex": True, "font.size": 30}]):
        before = dict(matplotlib.rcParams)
        assert images(script.figure_1(results)) == plain
        assert dict(matplotlib.rcParams) == before


def run(*args, python=(), env=(), **options):
    # Without PYTHONUNBUFFERED, as users have it: what is unwritten at the end is tried once more.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    command = [sys.executable, *python, options.pop("script", script.__file__), *args]
    return subprocess.run(command, env={**environment, **dict(env)}, **options)


def test_copied_alone_into_an_empty_folder_it_runs_and_draws(tmp_path):
    shutil.copy(script.__file__, tmp_path)
    result = run(cwd=tmp_path, script="perceptron.py", env={"PYTHONPATH": ""})
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[1:] == [
        "1 Separable                    at epoch 1       1.000  1.000  1.000",
        "2 Close means                  not in 100       0.706  0.525  0.691",
        "3 High variance                not in 100       0.769  0.850  0.841",
        "4 Close means + high variance  not in 100       0.525  0.375  0.550",
        f"wrote {Path('outputs', 'figure1_perceptron.png')}",
    ]
    assert [file.name for file in (tmp_path / "outputs").iterdir()] == ["figure1_perceptron.png"]


@pytest.mark.parametrize(
    ("python", "env"), [(["-OO"], {}), ([], {"MPLBACKEND": "module://a_notebook.that.is.not.here"})]
)
def test_no_switch_of_python_or_matplotlib_changes_the_table(capsys, tmp_path, python, env):
    script.main(["--no_output"])
    result = run("--output_dir", "here", python=python, env=env, cwd=tmp_path)
    wrote = f"wrote {Path('here', 'figure1_perceptron.png')}\n"
    assert (result.stdout, result.stderr) == (capsys.readouterr().out + wrote, "")


def test_the_figure_is_that_of_the_first_seed(tmp_path, capsys):
    script.main(["--seed", "7", "--repeats", "2", "--output_dir", str(tmp_path)])
    script.figure_1(run_cases(7)).savefig(tmp_path / "expected.png", dpi=150)
    drawn, expected = (tmp_path / name for name in ("figure1_perceptron.png", "expected.png"))
    assert drawn.read_bytes() == expected.read_bytes()


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
    ("flag", "value", "told"),
    [
        ("--learning_rate", "-0", "-0.0 must be above 0 and below 10**9"),
        ("--learning_rate", "nan", "nan must be above 0 and below 10**9"),
        ("--learning_rate", "1e9", "1000000000.0 must be above 0 and below 10**9"),
        ("--learning_rate", "big", "invalid float value: 'big'"),
        ("--max_epochs", "1.5", "1.5 must be whole, above 0 and below 10**9"),
        ("--max_epochs", "inf", "inf must be whole, above 0 and below 10**9"),
        ("--repeats", "0", "0.0 must be whole, above 0 and below 10**9"),
        ("--seed", "-1", "-1.0 must be whole, above -1 and below 10**9"),
        ("--seed", "nan", "nan must be whole, above -1 and below 10**9"),
        ("--output_dir", __file__, "[Errno 17] File exists"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_flag(capsys, flag, value, told):
    with pytest.raises(SystemExit) as end:
        script.main([flag, value])
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"error: argument {flag}: {told}" in line


@pytest.mark.parametrize(
    "flags", [["--max_epochs", "1e2"], ["--seed", "42.0", "--repeats", "1e0"], ["--seed", "4.2e1"]]
)
def test_values_that_are_equal_are_accepted_alike(capsys, flags):
    script.main(["--no_output"])
    plain = capsys.readouterr().out
    script.main(["--no_output", *flags])
    assert capsys.readouterr().out == plain


def test_the_smallest_values_are_accepted(capsys):
    flags = ["--max_epochs", "1", "--learning_rate", "5e-324", "--seed", "-0"]
    script.main([*flags, "--no_output"])
    assert "not in 1 " in capsys.readouterr().out


@pytest.mark.parametrize("args", [["--max_epoch", "3"], ["--rate", "1"], ["more"]])
def test_an_unknown_argument_is_an_error(capsys, args):
    with pytest.raises(SystemExit) as end:
        script.main(args)
    assert end.value.code == 2
    assert f"unrecognized arguments: {args[0]}" in capsys.readouterr().err


def test_show_opens_a_window_or_says_that_it_cannot(capsys, monkeypatch):
    with pytest.raises(SystemExit) as end:
        script.main(["--no_output", "--show"])
    assert end.value.code == 2
    assert "argument --show: no display" in capsys.readouterr().err
    shown = []
    monkeypatch.setattr(plt, "get_backend", lambda: "tkagg")
    monkeypatch.setattr(plt, "show", lambda: shown.extend(map(plt.figure, plt.get_fignums())))
    script.main(["--no_output", "--show"])
    (figure,) = shown
    assert figure.axes[0].get_title().startswith("Case 1: Separable")
    assert plt.get_fignums() == []


def test_a_folder_that_cannot_be_written_is_told_before_any_work(tmp_path, capsys, monkeypatch):
    def fail(**options):
        raise PermissionError(13, "Permission denied", options["dir"])

    monkeypatch.setattr(script.tempfile, "TemporaryFile", fail)
    monkeypatch.setattr(script, "run_cases", None)
    with pytest.raises(SystemExit) as end:
        script.main(["--output_dir", str(tmp_path)])
    assert end.value.code == 2
    error = f"argument --output_dir: [Errno 13] Permission denied: {str(tmp_path)!r}; name a folder"
    assert error in capsys.readouterr().err


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch, capsys):
    for variable in "HOME", "USERPROFILE":  # of Windows
        monkeypatch.setenv(variable, str(tmp_path))
    script.main(["--output_dir=~/results"])
    assert (tmp_path / "results" / "figure1_perceptron.png").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no umask")
def test_the_figure_s_file_has_the_permissions_of_other_files(tmp_path, capsys):
    (tmp_path / "other").touch()
    script.main(["--output_dir", str(tmp_path)])
    modes = {file.stat().st_mode for file in tmp_path.iterdir()}
    assert len(modes) == 1


def as_a_script(monkeypatch, *flags):
    """Run the file as `%run`, IDLE and Spyder do: as __main__, in a process that lives on."""
    monkeypatch.setattr(sys, "argv", ["perceptron.py", *flags])
    runpy.run_path(script.__file__, run_name="__main__")


class Writer(list):
    def write(self, text):
        self.append(text)


@pytest.mark.parametrize("make_stdout", [io.StringIO, Writer, lambda: None])
def test_it_runs_where_stdout_is_no_text_file(tmp_path, monkeypatch, make_stdout):
    monkeypatch.setattr(sys, "stdout", make_stdout())
    as_a_script(monkeypatch, "--output_dir", str(tmp_path))
    assert (tmp_path / "figure1_perceptron.png").exists()
    if isinstance(sys.stdout, Writer):
        assert "1 Separable " in "".join(sys.stdout)


def test_it_leaves_its_host_as_it_was(tmp_path, monkeypatch):
    def state():
        streams = sys.stdin, sys.stdout, sys.stderr
        signals = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
        settings = [dict(matplotlib.rcParams), plt.get_fignums(), matplotlib.get_backend()]
        return [streams, signals, settings, dict(os.environ), os.getcwd(), sys.excepthook]

    before = state()
    as_a_script(monkeypatch, "--output_dir", str(tmp_path))
    assert state() == before


def test_ctrl_c_ends_with_the_status_that_shells_expect(monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "concatenate", interrupt)
    with pytest.raises(SystemExit) as end:
        as_a_script(monkeypatch, "--no_output")
    assert end.value.code == 130


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stdout", [io.StringIO(), Terminal()])
def test_a_full_disk_leaves_the_host_its_stdout(monkeypatch, stdout):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "concatenate", fail)
    monkeypatch.setattr(sys, "stdout", stdout)
    if stdout.isatty():
        monkeypatch.setattr(sys, "__stdout__", stdout)
    with pytest.raises(SystemExit) as end:
        as_a_script(monkeypatch, "--no_output")
    assert end.value.code == "error: [Errno 28] No space left on device"


@pytest.mark.parametrize("stdout", ["/dev/full", os.devnull])
def test_a_full_disk_is_one_line(stdout, tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs a device that is always full")
    (tmp_path / "figure1_perceptron.tmp").symlink_to("/dev/full")
    with open(stdout, "w") as full:
        result = run("--output_dir", str(tmp_path), stdout=full)
    assert result.returncode == 1
    assert result.stderr == "error: [Errno 28] No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error on Windows")
def test_a_reader_who_leaves_gets_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    result = run("--no_output", stdout=writer)
    os.close(writer)
    assert (result.returncode, result.stderr) == (1, "")
