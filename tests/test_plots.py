"""The trainer's figures show the data, the history and the probabilities they are given."""

import argparse
import re
from itertools import pairwise

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.contour import QuadContourSet
from matplotlib.markers import MarkerStyle

import plots
from train_mlp_numpy import METRICS, Data, load_data

COLORS = ["#0072b2", "#e69f00", "#009e73", "#f0e442"]  # blue, orange, green, yellow
BLUE, ORANGE, GREEN, _ = COLORS


def data_of(n_classes):
    """Return 40 random points for training and 20 for testing."""
    x = np.random.default_rng(0).normal(size=(60, 2))
    targets = np.eye(n_classes)[np.arange(60) % n_classes]
    return Data(x[:40], targets[:40], x[40:], targets[40:])


def history_of(n_entries=4):
    history = {"epoch": 10 * np.arange(n_entries)}
    for i, name in enumerate(METRICS):
        history[name] = np.linspace(0.2, 0.8, n_entries) + i / 100
    return history


def right_of_a_half(x):
    """Predict class 1 for x_1 > 0.5, and be unsure near there."""
    p = 1 / (1 + np.exp(-8 * (x[:, 0] - 0.5)))
    return np.column_stack([1 - p, p])


def largest_of_three(x):
    """Predict the largest of x_1, x_2 and their negative sum."""
    scores = np.exp(9 * np.column_stack([x, -x.sum(axis=1)]))
    return scores / scores.sum(axis=1, keepdims=True)


def shade_of(color):
    """Return what is drawn where a class of this colour is certain."""
    return 1 - 0.6 * (1 - np.array(to_rgb(color)))


def lines_between_classes(axes):
    return [artist for artist in axes.collections if isinstance(artist, QuadContourSet)]


def colors_at(axes, places):
    """Return the colours that a picture has around these places, means of 10 x 10 pixels."""
    canvas = FigureCanvasAgg(axes.figure)
    canvas.draw()
    picture = np.flipud(canvas.buffer_rgba())[..., :3] / 255  # from below, as the axes
    colors = []
    for column, row in axes.transData.transform(places).astype(int):
        pixels = picture[row - 5 : row + 5, column - 5 : column + 5]
        colors.append(pixels.mean(axis=(0, 1)))
    return colors


def shape_of(marker):
    style = MarkerStyle(marker)
    return style.get_path().transformed(style.get_transform()).vertices


# Figure 2


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("part", ["train", "test"])
def test_figure_2_shows_every_point_in_the_colour_of_its_class(n_classes, part):
    data = data_of(n_classes)
    (axes,) = plots.data_set(data).axes
    train, test = axes.collections
    points, targets, dots, marker = {
        "train": (data.x_train, data.y_train, train, "o"),
        "test": (data.x_test, data.y_test, test, "^"),
    }[part]
    expected = [COLORS[k] for k in targets.argmax(axis=1)]
    assert np.array_equal(dots.get_offsets(), points)
    assert [to_hex(color) for color in dots.get_facecolors()] == expected
    assert np.array_equal(dots.get_paths()[0].vertices, shape_of(marker))


def test_figure_2_has_a_title_and_names_its_axes():
    (axes,) = plots.data_set(data_of(2), "the title").axes
    assert axes.get_title() == "the title"
    assert axes.get_xlabel() == "$x_1$"
    assert axes.get_ylabel() == "$x_2$"


def test_the_legend_has_the_colours_of_the_classes_and_the_markers_of_the_parts():
    (legend,) = plots.data_set(data_of(3)).legends
    *classes, train, test = legend.legend_handles
    for k, handle in enumerate(classes):
        assert handle.get_label() == f"class {k}"
        assert to_hex(handle.get_color()) == COLORS[k]
    assert len(classes) == 3
    assert (train.get_label(), train.get_marker()) == ("train", "o")
    assert (test.get_label(), test.get_marker()) == ("test", "^")


def many_rows():
    """Return 2000 random points for training and 400 for testing, of three classes."""
    x = np.random.default_rng(0).normal(size=(2400, 2))
    targets = np.eye(3)[np.arange(2400) % 3]
    return Data(x[:2000], targets[:2000], x[2000:], targets[2000:])


def test_of_many_points_the_first_are_drawn_and_the_legend_says_so():
    data = many_rows()
    figure = plots.data_set(data)
    train, test = figure.axes[0].collections
    assert np.array_equal(train.get_offsets(), data.x_train[:1500])
    assert np.array_equal(test.get_offsets(), data.x_test[:375])
    expected = [COLORS[k] for k in np.arange(1500) % 3]
    assert [to_hex(color) for color in train.get_facecolors()] == expected
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[-2:] == ["train (1,500 drawn)", "test (375 drawn)"]


def test_the_legend_of_many_points_has_room():
    figure = plots.data_set(many_rows())
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0
    assert legend.x1 <= figure.bbox.x1


@pytest.mark.parametrize("stretch", [(3, 1), (1, 3)])
def test_all_points_are_inside_and_circles_are_circles(stretch):
    data = data_of(2)
    data = data._replace(x_train=data.x_train * stretch, x_test=2 * data.x_test * stretch)
    figure = plots.data_set(data)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    for points in (data.x_train, data.x_test):
        assert np.all(points > (left, bottom))
        assert np.all(points < (right, top))
    x_unit, y_unit = axes.transData.transform((1, 1)) - axes.transData.transform((0, 0))
    assert x_unit == pytest.approx(y_unit)


def test_digits_are_images_with_their_labels_and_have_no_boundary():
    data = load_data("digits", n_samples=100)
    figures = plots.of_run(data, history_of(), len, "digits", "batch size 16")
    assert list(figures) == ["figure2_data.png", "figure3_curves.png"]
    figure = figures["figure2_data.png"]
    assert "digits" in figure.get_suptitle()
    for i, axes in enumerate(figure.axes):
        part, images, targets = "train", data.x_train, data.y_train
        if i >= 20:
            part, images, targets = "test", data.x_test, data.y_test
        (image,) = axes.images
        assert np.array_equal(image.get_array(), images[i % 20].reshape(8, 8))
        assert axes.get_title() == f"{part}: {targets[i % 20].argmax()}"
        assert to_hex(image.cmap(image.norm(1))) == "#000000"  # ink is black


@pytest.mark.parametrize("n_features", [1, 3])
def test_points_that_are_not_in_the_plane_are_refused(n_features):
    points = np.ones((6, n_features))
    targets = np.eye(2)[[0, 1, 0, 1, 0, 1]]
    data = Data(points, targets, points, targets)
    with pytest.raises(ValueError, match=f"6, {n_features}"):
        plots.data_set(data)
    with pytest.raises(ValueError, match=f"6, {n_features}"):
        plots.decision_boundary(right_of_a_half, data)


def test_more_classes_than_there_are_colours_are_refused():
    with pytest.raises(ValueError, match="5 classes"):
        plots.data_set(data_of(5))
    with pytest.raises(ValueError, match="5 classes"):
        plots.decision_boundary(right_of_a_half, data_of(5))


# Figure 3


MARKS = {"train_loss": 0.3, "test_loss": 0.4, "train_accuracy": 0.5, "test_accuracy": 0.6}


@pytest.mark.parametrize(
    ("number", "metric", "label", "scale"),
    [(0, "loss", "cross-entropy (nats)", 1), (1, "accuracy", "accuracy (%)", 100)],
)
def test_figure_3_shows_a_metric_and_the_report_s_marks(number, metric, label, scale):
    history = history_of()
    figure = plots.curves(history, "the title", MARKS)
    assert figure.get_suptitle() == "the title"
    axes = figure.axes[number]
    assert axes.get_title() == metric.capitalize()
    assert axes.get_ylabel() == label
    lines = {line.get_label(): line for line in axes.lines}
    for part in ("train", "test"):
        name = f"{part}_{metric}"
        line = lines[part]
        assert np.array_equal(line.get_xdata(), history["epoch"])
        assert np.array_equal(line.get_ydata(), scale * history[name])
        mark = lines[f"the report's {part}"]
        assert mark.get_xydata().tolist() == [[30, scale * MARKS[name]]]
        assert mark.get_color() == line.get_color()


def test_training_and_test_differ_in_colour_and_line_and_have_a_legend():
    for axes in plots.curves(history_of()).axes:
        train, test = axes.lines
        assert train.get_color() != test.get_color()
        assert (train.get_label(), train.get_linestyle()) == ("train", "-")
        assert (test.get_label(), test.get_linestyle()) == ("test", "--")
        shown = [text.get_text() for text in axes.get_legend().texts]
        assert shown == ["train", "test"]


def test_a_history_of_one_entry_can_be_seen():
    for axes in plots.curves(history_of(1)).axes:
        for line in axes.lines:
            assert line.get_marker() == "o"


def test_the_first_epochs_have_more_room_than_the_others():
    figure, axes = plots.new_figure(4, 3)
    plots.epoch_axis(axes, 1500)
    figure.draw_without_rendering()
    start, early, end = axes.transData.transform([(0, 0), (60, 0), (1500, 0)])[:, 0]
    assert (early - start) / (end - start) == pytest.approx(0.2)  # 4 % of the epochs
    assert "epoch" in axes.get_xlabel()


@pytest.mark.parametrize("last", [1, 2, 30, 999, 1500, 10**9])
def test_epochs_have_ticks_at_0_at_the_last_and_where_there_is_room(last):
    figure, axes = plots.new_figure(3.4, 2)
    plots.epoch_axis(axes, last)
    figure.draw_without_rendering()
    labels = axes.get_xticklabels()
    ticks = [int(label.get_text()) for label in labels]
    assert np.array_equal(axes.get_xticks(), ticks)
    assert ticks[0] == axes.get_xlim()[0] == 0
    assert ticks[-1] == last < axes.get_xlim()[1]
    for label, following in pairwise(labels):
        assert label.get_window_extent().x1 < following.get_window_extent().x0


def test_epochs_have_round_ticks_between():
    _, axes = plots.new_figure(5, 4)
    plots.epoch_axis(axes, 1500)
    assert axes.get_xticks().tolist() == [0, 50, 200, 500, 1000, 1500]


# The decision boundary


def test_the_boundary_is_where_the_most_probable_class_changes():
    axes = plots.decision_boundary(right_of_a_half, data_of(2), resolution=100).axes[0]
    (line,) = lines_between_classes(axes)
    (path,) = line.get_paths()
    assert path.vertices[:, 0] == pytest.approx(0.5, abs=0.01)
    assert path.vertices[:, 1].min() == axes.get_ylim()[0]
    assert path.vertices[:, 1].max() == axes.get_ylim()[1]


def test_a_place_has_the_colour_of_its_class_and_is_white_where_undecided():
    axes = plots.decision_boundary(right_of_a_half, data_of(2), resolution=100).axes[0]
    (image,) = axes.images
    shades = np.asarray(image.get_array())
    assert shades[:, 0] == pytest.approx(np.tile(shade_of(BLUE), (100, 1)), abs=0.01)
    assert shades[:, -1] == pytest.approx(np.tile(shade_of(ORANGE), (100, 1)), abs=0.01)
    assert shades.min(axis=-1).max() > 0.9
    assert image.get_extent() == pytest.approx([*axes.get_xlim(), *axes.get_ylim()])


def test_three_classes_have_three_regions_at_their_places():
    axes = plots.decision_boundary(largest_of_three, data_of(3), resolution=100).axes[0]
    right, above, below = colors_at(axes, [(2.5, 0), (-1.5, 2), (-1.5, -1.5)])  # without points
    assert right == pytest.approx(shade_of(BLUE), abs=0.01)
    assert above == pytest.approx(shade_of(ORANGE), abs=0.01)
    assert below == pytest.approx(shade_of(GREEN), abs=0.01)


def test_three_classes_have_half_the_colour_halfway_from_a_third_to_certainty():
    def two_thirds_above_0(x):
        p = np.full((len(x), 3), 1 / 3)
        p[x[:, 1] > 0] = [4 / 6, 1 / 6, 1 / 6]
        return p

    axes = plots.decision_boundary(two_thirds_above_0, data_of(3), resolution=20).axes[0]
    shades = np.asarray(axes.images[0].get_array())
    half = (1 + shade_of(BLUE)) / 2
    assert shades[0] == pytest.approx(np.ones((20, 3)))
    assert shades[-1] == pytest.approx(np.tile(half, (20, 1)))


def test_the_lines_between_three_classes_are_where_two_are_equally_probable():
    axes = plots.decision_boundary(largest_of_three, data_of(3), resolution=100).axes[0]
    lines = lines_between_classes(axes)
    assert len(lines) == 3
    cell = np.ptp(axes.get_xlim()) / 99
    for line in lines:
        (path,) = line.get_paths()
        scores = np.column_stack([path.vertices, -path.vertices.sum(axis=1)])
        _, second, first = np.sort(scores, axis=1).T
        assert np.all(first - second < cell)


def test_the_boundary_shows_the_points_and_has_a_title():
    data = data_of(2)
    axes = plots.decision_boundary(right_of_a_half, data, "the title", resolution=20).axes[0]
    train, test = [dots for dots in axes.collections if dots not in lines_between_classes(axes)]
    assert axes.get_title() == "the title"
    assert np.array_equal(train.get_offsets(), data.x_train)
    assert np.array_equal(test.get_offsets(), data.x_test)
    assert axes.images[0].zorder < train.zorder  # or it would hide them


def test_two_classes_have_a_colour_bar_from_blue_to_orange():
    figure = plots.decision_boundary(right_of_a_half, data_of(2), resolution=20)
    (bar,) = figure.axes[0].child_axes
    assert "probability of class 1" in bar.get_ylabel()
    assert bar.get_ylim() == (0, 1)
    cmap = bar.collections[-1].get_cmap()
    assert cmap(0.0)[:3] == pytest.approx(shade_of(BLUE))
    assert cmap(1.0)[:3] == pytest.approx(shade_of(ORANGE))
    assert cmap(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.01)


def test_three_classes_have_a_note_on_the_colours_instead():
    figure = plots.decision_boundary(largest_of_three, data_of(3), resolution=20)
    assert figure.axes[0].child_axes == []
    assert "more probable" in figure.legends[0].get_title().get_text()


def test_a_network_that_predicts_one_class_everywhere_has_no_boundary():
    def always_0(x):
        return np.tile([0.9, 0.1], (len(x), 1))

    axes = plots.decision_boundary(always_0, data_of(2), resolution=20).axes[0]
    assert lines_between_classes(axes) == []


# The figures of a run, their files and their windows


def test_the_figures_of_a_run_say_what_they_show():
    figures = plots.of_run(data_of(2), history_of(), right_of_a_half, "moons", "batch size 16")
    assert list(figures) == ["figure2_data.png", "figure3_curves.png", "decision_boundary.png"]
    data, curves, boundary = figures.values()
    assert re.findall(r"moons|\d+", data.axes[0].get_title()) == ["moons", "40", "20"]
    assert curves.get_suptitle() == boundary.axes[0].get_title() == "moons, batch size 16"


def empty_figures():
    narrow, _ = plots.new_figure(1, 1)
    wide, _ = plots.new_figure(2, 1)
    return {"narrow.png": narrow, "wide.png": wide}


def test_each_figure_is_written_to_the_file_of_its_name(tmp_path, capsys):
    args = argparse.Namespace(output_dir=tmp_path, no_output=False, show=False)
    plots.finish(empty_figures(), args)
    assert {file.name for file in tmp_path.iterdir()} == {"narrow.png", "wide.png"}
    assert plt.imread(tmp_path / "narrow.png").shape[:2] == (150, 150)
    assert plt.imread(tmp_path / "wide.png").shape[:2] == (150, 300)
    first, second = capsys.readouterr().out.splitlines()
    assert str(tmp_path / "narrow.png") in first
    assert str(tmp_path / "wide.png") in second


def test_show_opens_a_window_for_each_figure_until_it_is_closed(monkeypatch):
    shown = {}

    def show(block):
        assert block  # or the script would end, and its windows with it
        for name in plt.get_figlabels():
            shown[name] = plt.figure(name)

    monkeypatch.setattr(plt, "show", show)
    figures = empty_figures()
    plots.finish(figures, argparse.Namespace(no_output=True, show=True))
    assert shown == figures
    assert plt.get_fignums() == []


def test_show_is_not_refused_where_there_are_windows(monkeypatch):
    monkeypatch.setattr(plt, "get_backend", lambda: "TkAgg")
    plots.check_display(argparse.ArgumentParser())


def test_show_is_refused_where_there_are_none(monkeypatch, capsys):
    monkeypatch.setattr(plt, "get_backend", lambda: "agg")
    with pytest.raises(SystemExit) as end:
        plots.check_display(argparse.ArgumentParser())
    assert end.value.code == 2
    assert "--show" in capsys.readouterr().err
