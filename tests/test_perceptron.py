"""Part I: the report's figures, the perceptron's mathematics, Figure 1 and the command."""

import math
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.contour import QuadContourSet
from matplotlib.markers import MarkerStyle

import perceptron as script
from gradient_check import numerical_gradient
from perceptron import CASES, Perceptron, bayes_accuracy, generate_dataset, run_cases
from tests.helpers import all_equal

COLORS = {+1: "#0072b2", -1: "#e69f00"}  # of the classes: blue and orange
FIGURE = "figure1_perceptron.png"


@pytest.fixture(scope="module")
def results():
    return run_cases()


# The report


def test_the_report_s_accuracies_come_out_to_the_digit(results):
    assert [result.test_accuracy for result in results] == [1.000, 0.525, 0.850, 0.375]


def test_the_first_case_converges_at_epoch_1_and_the_others_do_not_in_100(results):
    epochs = [result.history["converged_epoch"] for result in results]
    assert epochs == [1, None, None, None]
    assert len(results[1].history["loss"]) == 100


def test_the_four_cases_are_learned_with_the_settings_that_are_given():
    rng = np.random.RandomState(3)
    for result in run_cases(seed=3, max_epochs=7, learning_rate=0.5):
        mean_pos, mean_neg, cov_scale = CASES[result.name]
        data = generate_dataset(mean_pos, mean_neg, cov_scale, rng)
        train_points, train_labels, _, _ = data
        model = Perceptron(2, max_epochs=7, learning_rate=0.5)
        model.train(train_points, train_labels)
        assert all_equal(result.data, data)
        assert np.array_equal(result.weights, model.weights)
        assert result.train_accuracy == np.mean(model.forward(train_points) == train_labels)


# The data


def test_100_points_of_each_class_are_split_into_160_and_40():
    train_points, train_labels, test_points, test_labels = generate_dataset([2, 2, 2], [0, 0, 0])
    assert train_points.shape == (160, 3)
    assert train_labels.shape == (160,)
    assert test_points.shape == (40, 3)
    assert test_labels.shape == (40,)
    assert sum(train_labels) + sum(test_labels) == 0  # as many +1 as -1


def test_no_point_is_both_in_training_and_in_test():
    train_points, _, test_points, _ = generate_dataset([2, 2], [0, 0])
    points = np.concatenate([train_points, test_points])
    assert len(np.unique(points, axis=0)) == 200


def test_points_follow_the_gaussian_of_their_label_and_cov_scale_is_its_variance():
    train_points, train_labels, test_points, test_labels = generate_dataset(
        [50, 0], [-50, 10], cov_scale=4.0, rng=0
    )
    points = np.concatenate([train_points, test_points])
    labels = np.concatenate([train_labels, test_labels])
    for label, mean in ((+1, [50, 0]), (-1, [-50, 10])):
        own = points[labels == label]
        assert own.mean(axis=0) == pytest.approx(mean, abs=1)
        assert np.cov(own.T) == pytest.approx(4.0 * np.eye(2), abs=1.5)


@pytest.mark.parametrize("make_rng", [int, np.random.RandomState, np.random.default_rng])
def test_the_same_seed_draws_the_same_bits_and_another_draws_others(make_rng):
    first = generate_dataset([1, 1], [0, 0], rng=make_rng(7))
    second = generate_dataset([1, 1], [0, 0], rng=make_rng(7))
    other = generate_dataset([1, 1], [0, 0], rng=make_rng(8))
    assert all_equal(first, second)
    assert not np.array_equal(first[0], other[0])


def test_a_generator_that_is_passed_in_goes_on():
    rng = np.random.RandomState(7)
    first = generate_dataset([1, 1], [0, 0], rng=rng)
    second = generate_dataset([1, 1], [0, 0], rng=rng)
    assert not np.array_equal(first[0], second[0])


def test_the_global_generator_of_numpy_is_left_alone():
    np.random.seed(1)
    expected = np.random.uniform()
    np.random.seed(1)
    run_cases()
    assert np.random.uniform() == expected


# The perceptron


def test_the_sign_of_zero_is_plus_one():
    assert Perceptron(2).forward(np.array([[0.3, -5.0]])).tolist() == [1]


def test_the_bias_is_the_last_weight():
    perceptron = Perceptron(2)
    perceptron.weights = np.array([1.0, 2.0, -3.0])
    x = np.array([[1.0, 1.0], [1.0, 0.9], [0.0, 2.0]])
    assert perceptron.forward(x).tolist() == [1, -1, 1]


def test_two_epochs_worked_by_hand():
    x = np.array([[4.0, 4.0], [1.0, 3.0], [3.0, 1.0]])
    labels = np.array([1, -1, -1])
    perceptron = Perceptron(2, max_epochs=1, learning_rate=0.5)

    # With zero weights every point is predicted +1: the two points of class -1 are wrong. The
    # averaged gradient is ([1, 3] + [3, 1]) / 2 = [2, 2] and 1 for the bias.
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
    x = rng.normal(size=(30, 3))
    labels = rng.choice([-1, 1], 30)
    start = rng.normal(size=4)

    def loss(weights):
        signed_scores = labels * (x @ weights[:-1] + weights[-1])
        return -np.sum(signed_scores[signed_scores < 0])

    perceptron = Perceptron(3, max_epochs=1, learning_rate=0.1)
    perceptron.weights = start
    n_wrong = np.sum(perceptron.forward(x) != labels)
    history = perceptron.train(x, labels)
    expected = start - 0.1 * numerical_gradient(loss, start) / n_wrong
    assert perceptron.weights == pytest.approx(expected, rel=1e-8)
    assert history["loss"] == pytest.approx([loss(start)])


def test_training_stops_at_the_first_epoch_without_errors():
    perceptron = Perceptron(1, max_epochs=50, learning_rate=1.0)
    history = perceptron.train(np.array([[2.0], [-1.0]]), np.array([1, -1]))
    # At first -1 alone is wrong. That step makes w = 1 and b = -1, and then none is.
    assert history["misclassified"].tolist() == [1, 0]
    assert history["converged_epoch"] == 1
    assert perceptron.weights.tolist() == [1.0, -1.0]


def test_training_changes_none_of_its_arguments():
    x, labels, _, _ = generate_dataset([1, 1], [0, 0], 1.0, 0)
    copies = [x.copy(), labels.copy()]
    perceptron = Perceptron(2)
    weights = perceptron.weights
    perceptron.train(x, labels)
    assert all_equal([x, labels], copies)
    assert not weights.any()


def test_the_defaults_are_the_report_s():
    perceptron = Perceptron(2)
    assert perceptron.max_epochs == 100
    assert perceptron.learning_rate == 0.01
    default = generate_dataset([2, 2], [0, 0], rng=0)
    assert all_equal(default, generate_dataset([2, 2], [0, 0], 0.5, rng=0))


@pytest.mark.parametrize(
    "labels",
    [[0, 1], [2, 2], [1], [[1], [1]]],
    ids=["0 and 1", "twos", "one for two points", "a column"],
)
def test_labels_that_are_not_plus_or_minus_one_for_each_point_are_refused(labels):
    x = np.array([[1.0], [2.0]])
    with pytest.raises(ValueError, match=r"labels must be \+1 or -1"):
        Perceptron(1).train(x, np.array(labels))


# The best possible accuracy


def test_bayes_accuracy_of_the_four_cases(results):
    accuracies = [result.bayes_accuracy for result in results]
    assert accuracies == pytest.approx([1.000, 0.691, 0.841, 0.550], abs=5e-4)


def test_bayes_accuracy_is_what_the_nearest_mean_reaches():
    positive = np.array([1.0, 0.0])
    negative = np.array([0.0, 2.0])
    cov_scale = 1.5
    noise = np.random.default_rng(0).normal(size=(200_000, 2))
    points = positive + math.sqrt(cov_scale) * noise
    to_positive = np.linalg.norm(points - positive, axis=1)
    to_negative = np.linalg.norm(points - negative, axis=1)
    share = np.mean(to_positive < to_negative)  # its standard error is 0.001
    assert share == pytest.approx(bayes_accuracy(positive, negative, cov_scale), abs=0.004)


# Figure 1


@pytest.fixture(scope="module")
def figure(results):
    return script.figure_1(results)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def dots_of(axes):
    """Return what is drawn as dots, by its name in the legend."""
    handles, labels = axes.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def regions_of(axes):
    (regions,) = [c for c in axes.collections if isinstance(c, QuadContourSet) and c.filled]
    return regions


def boundaries_of(axes):
    return [c for c in axes.collections if isinstance(c, QuadContourSet) and not c.filled]


def shape_of(marker):
    style = MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform()).vertices


def assert_shaded_as_predicted(axes, weights):
    perceptron = Perceptron(2)
    perceptron.weights = np.array(weights)
    regions = regions_of(axes)
    low, high = axes.get_xlim()
    places = np.random.default_rng(0).uniform(low, high, (50, 2))
    for place, label in zip(places, perceptron.forward(places), strict=True):
        is_inside = [path.contains_point(place) for path in regions.get_paths()]
        (color,) = regions.get_facecolor()[is_inside]
        assert to_hex(color) == COLORS[label]


@pytest.mark.parametrize("label", [+1, -1])
def test_points_and_means_have_the_colour_of_their_class_and_a_marker_of_their_part(
    figure, results, label
):
    for axes, result in zip(figure.axes, results, strict=True):
        train_points, train_labels, test_points, test_labels = result.data
        mean_pos, mean_neg, _ = CASES[result.name]
        expected = {
            "train": ("o", train_points[train_labels == label]),
            "test": ("^", test_points[test_labels == label]),
            "mean": ("X", [mean_pos if label == +1 else mean_neg]),
        }
        for part, (marker, points) in expected.items():
            dots = dots_of(axes)[f"class {label:+d}, {part}"]
            assert np.array_equal(dots.get_offsets(), points)
            assert to_hex(dots.get_facecolor()) == COLORS[label]
            assert np.array_equal(dots.get_paths()[0].vertices, shape_of(marker))


@pytest.mark.parametrize(("label", "place"), [(+1, 0), (-1, 1)])
def test_circles_have_radii_of_one_and_two_sigma_as_the_legend_says(figure, results, label, place):
    styles = {}
    for handle in figure.legends[0].legend_handles[-2:]:
        styles[handle.get_label()] = handle.get_linestyle()

    for axes, result in zip(figure.axes, results, strict=True):
        sigma = math.sqrt(CASES[result.name][2])
        circles = [c for c in axes.patches if to_hex(c.get_edgecolor()) == COLORS[label]]
        for circle, n_sigma in zip(circles, (1, 2), strict=True):
            assert circle.center == CASES[result.name][place]
            assert circle.get_radius() == pytest.approx(n_sigma * sigma)
            assert circle.get_linestyle() == styles[f"{n_sigma} sigma"]
            assert not circle.get_fill()


def test_each_title_has_the_case_and_its_test_and_bayes_accuracy(figure, results):
    for axes, result in zip(figure.axes, results, strict=True):
        title = axes.get_title()
        assert title.startswith(f"Case {result.number}: {result.name}\n")
        numbers = re.findall(r"\d\.\d{3}", title)
        assert numbers == [f"{result.test_accuracy:.3f}", f"{result.bayes_accuracy:.3f}"]


def test_cases_1_and_2_share_a_scale_and_3_and_4_share_another(figure):
    first, second, third, fourth = [axes.get_xlim() for axes in figure.axes]
    assert first == second
    assert third == fourth
    assert first[1] < third[1]


def test_the_axes_of_figure_1_have_equal_scales_and_names(figure):
    for axes in figure.axes:
        assert axes.get_aspect() == 1
        assert axes.get_xlim() == axes.get_ylim()
        assert axes.get_xlabel() == "$x_1$"
        assert axes.get_ylabel() == "$x_2$"


@pytest.mark.parametrize(("part", "place"), [("train", 0), ("test", 2)])
def test_all_points_are_inside_wherever_they_are(results, part, place):
    moved = list(results)
    for number, far_point in ((0, (-40, 1)), (3, (1, 50))):
        data = [array.copy() for array in results[number].data]
        data[place][7] = far_point
        moved[number] = results[number]._replace(data=data)

    limits = [axes.get_xlim()[1] for axes in script.figure_1(moved).axes]
    assert limits == pytest.approx([42, 42, 52.5, 52.5])  # 5 % more


def test_the_shading_agrees_with_the_prediction(figure, results):
    for axes, result in zip(figure.axes, results, strict=True):
        assert_shaded_as_predicted(axes, result.weights)


def test_the_boundary_goes_from_edge_to_edge_where_the_score_is_zero(figure, results):
    for axes, result in zip(figure.axes, results, strict=True):
        (boundary,) = boundaries_of(axes)
        (path,) = boundary.get_paths()
        scores = path.vertices @ result.weights[:2] + result.weights[2]
        assert scores == pytest.approx(np.zeros(len(scores)), abs=1e-9)
        ends = path.vertices[[0, -1]]
        edge = axes.get_xlim()[1]
        assert np.abs(ends).max(axis=1) == pytest.approx([edge, edge])
        assert not axes.texts


@pytest.mark.parametrize("weights", [(0, 0, -1), (0, 1, 99)])
def test_a_text_says_that_the_boundary_is_outside_the_panel(results, weights):
    moved = [result._replace(weights=np.array(weights)) for result in results]
    for axes in script.figure_1(moved).axes:
        (text,) = axes.texts
        assert "outside" in text.get_text()
        assert not boundaries_of(axes)
        assert_shaded_as_predicted(axes, weights)


def test_the_legend_shows_what_is_drawn_as_it_is_drawn(figure):
    axes = figure.axes[0]
    handles = {}
    for handle in figure.legends[0].legend_handles:
        handles[handle.get_label()] = handle

    for name, dots in dots_of(axes).items():
        handle = handles.pop(name)
        assert np.array_equal(handle.get_facecolor(), dots.get_facecolor())
        assert np.array_equal(handle.get_paths()[0].vertices, dots.get_paths()[0].vertices)
    minus, plus = regions_of(axes).get_facecolor()
    assert handles["predicted -1"].get_facecolor() == pytest.approx(tuple(minus))
    assert handles["predicted +1"].get_facecolor() == pytest.approx(tuple(plus))
    (boundary,) = boundaries_of(axes)
    assert to_hex(handles["boundary"].get_color()) == to_hex(boundary.get_edgecolor()[0])
    assert set(handles) == {"predicted -1", "predicted +1", "boundary", "1 sigma", "2 sigma"}


# The command


@pytest.fixture
def small_figure(monkeypatch):
    """Let the command draw an empty figure, which takes less time."""
    monkeypatch.setattr(script, "figure_1", lambda results: plt.figure(figsize=(1, 1)))


def assert_accuracies(row, *expected):
    """Assert that a row of the table has these accuracies, to three digits."""
    accuracies = [float(number) for number in re.findall(r"\d\.\d{3}", row)]
    assert accuracies == pytest.approx(expected, abs=5.1e-4)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Run the script in a folder where it is alone; return the process and the folder."""
    folder = tmp_path_factory.mktemp("alone")
    shutil.copy(script.__file__, folder)
    done = subprocess.run(
        [sys.executable, "perceptron.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    return done, folder


def test_copied_alone_into_an_empty_folder_it_runs(alone):
    done, folder = alone
    assert done.stderr == ""
    assert done.returncode == 0
    assert (folder / "outputs" / FIGURE).exists()


def test_the_table_has_the_results_under_their_names(alone, results):
    done, _ = alone
    heading, *rows, wrote = done.stdout.splitlines()
    assert re.findall("train|test|Bayes", heading) == ["train", "test", "Bayes"]
    for number, row, result in zip("1234", rows, results, strict=True):
        assert row.startswith(f"{number} {result.name} ")
        assert_accuracies(row, result.train_accuracy, result.test_accuracy, result.bayes_accuracy)
    assert "at epoch 1 " in rows[0]
    assert "not in 100 " in rows[1]
    assert FIGURE in wrote


def test_learning_rate_epochs_and_seed_are_those_of_the_flags(small_figure, capsys):
    flags = ["--learning_rate", "0.5", "--max_epochs", "7", "--seed", "3", "--no_output"]
    assert script.main(flags) == 0
    _, *rows = capsys.readouterr().out.splitlines()
    for row, result in zip(rows, run_cases(3, 7, 0.5), strict=True):
        assert_accuracies(row, result.train_accuracy, result.test_accuracy, result.bayes_accuracy)
    assert "not in 7 " in rows[1]


def test_repeats_add_the_mean_and_the_deviation_over_the_seeds(small_figure, capsys):
    script.main(["--repeats", "3", "--seed", "7", "--no_output"])
    _, *rows = capsys.readouterr().out.splitlines()
    for row, first, second, third in zip(
        rows, run_cases(7), run_cases(8), run_cases(9), strict=True
    ):
        accuracies = [result.test_accuracy for result in (first, second, third)]
        assert_accuracies(
            row,
            first.train_accuracy,
            first.test_accuracy,
            first.bayes_accuracy,
            np.mean(accuracies),
            np.std(accuracies, ddof=1),
        )


def test_repeats_say_every_thousand_seeds_how_far_they_are(
    small_figure, results, monkeypatch, capsys
):
    monkeypatch.setattr(script, "run_cases", lambda *args: results)
    script.main(["--repeats", "2500", "--no_output"])
    lines = capsys.readouterr().err.splitlines()
    assert [re.findall(r"\d+", line) for line in lines] == [["1000", "2500"], ["2000", "2500"]]


def test_show_opens_figure_1_of_the_first_seed_and_closes_it(monkeypatch):
    shown = []

    def show(block):
        assert block  # or the script would end, and its window with it
        shown.append(plt.gcf())

    monkeypatch.setattr(plt, "get_backend", lambda: "tkagg")
    monkeypatch.setattr(plt, "show", show)
    script.main(["--seed", "7", "--repeats", "2", "--no_output", "--show"])
    (figure,) = shown
    for axes, result in zip(figure.axes, run_cases(7), strict=True):
        assert f"{result.test_accuracy:.3f}" in axes.get_title()
    assert plt.get_fignums() == []


def test_ctrl_c_ends_with_the_status_that_shells_expect(monkeypatch, capsys):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "run_cases", interrupt)
    assert script.main(["--no_output"]) == 130
    assert capsys.readouterr().err == ""
