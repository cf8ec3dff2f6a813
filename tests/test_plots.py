"""The trainer's figures show the data, the history and the probabilities they are given."""

import argparse
import io
import runpy
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mlp_numpy import MLP
from train_mlp_numpy import METRICS, Data, load_data

ROOT = Path(__file__).parents[1]
BLUE, ORANGE, GREEN, YELLOW = "#0072B2", "#E69F00", "#009E73", "#F0E442"
# What a user's matplotlibrc may hold, each of which changes a figure that does not mind itself.
OTHER_STYLE = {
    "text.usetex": True,  # LaTeX need not be installed
    "font.size": 30,
    "lines.linewidth": 9,
    "lines.marker": "s",
    "scatter.edgecolors": "red",
    "image.origin": "lower",
    "image.aspect": "auto",
    "xtick.color": "red",
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.xmargin": 0.4,
    "legend.loc": "center",
    "legend.fontsize": 5,
    "contour.linewidth": 5,
    "figure.dpi": 33,
    "figure.facecolor": "red",
    "figure.constrained_layout.w_pad": 0.9,
    "path.sketch": (1, 100, 2),
    "savefig.bbox": "tight",
    "savefig.transparent": True,
    "savefig.facecolor": "yellow",
    "savefig.format": "svg",
}


@pytest.fixture
def plots():
    """The module; matplotlib is not loaded before the first test needs it."""
    import plots

    return plots


def lines_between_classes(axes):
    from matplotlib.contour import QuadContourSet

    return [artist for artist in axes.collections if isinstance(artist, QuadContourSet)]


def drawn(figure):
    """Return the figure after it was drawn, which fails on bad labels and overfull layouts."""
    figure.savefig(io.BytesIO(), format="png", dpi=50)
    return figure


def pixels(figure):
    """Return what a file of a figure shows, as bytes."""
    figure.savefig(file := io.BytesIO(), format="png", dpi=50)
    return file.getvalue()


def pixels_in_window(figure):
    """Return what a window of a figure shows, as bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return bytes(canvas.buffer_rgba())


def same_in_any_style(draw):
    """Return whether draw() gives the same whatever the user's settings, and lets these be."""
    from matplotlib import rcParams, style

    plain = draw()
    with style.context(["dark_background", OTHER_STYLE]):
        before = rcParams.copy()
        return draw() == plain and rcParams.copy() == before


def data_of(n_classes, seed=0, n_rows=60):
    rng = np.random.default_rng(seed)
    x, targets = rng.normal(size=(n_rows, 2)), np.eye(n_classes)[np.arange(n_rows) % n_classes]
    n = n_rows * 2 // 3
    return Data(x[:n], targets[:n], x[n:], targets[n:])


def history_of(n=4):
    values = {name: np.linspace(0.2, 0.8, n) + i / 100 for i, name in enumerate(METRICS)}
    return {"epoch": np.arange(n) * 10, **values}


def class_1_right_of(edge):
    """Return a classifier of two classes, unsure near x_1 = edge alone."""

    def predict(x):
        p = 1 / (1 + np.exp(-8 * (x[:, 0] - edge)))
        return np.column_stack([1 - p, p])

    return predict


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_figure_2_shows_every_point_in_the_colour_of_its_class(plots, n_classes):
    from matplotlib.colors import to_rgba
    from matplotlib.markers import MarkerStyle

    data = data_of(n_classes)
    (axes,) = drawn(plots.data_set(data, "the title")).axes
    assert axes.get_title() == "the title"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$x_1$", "$x_2$")
    colors = [BLUE, ORANGE, GREEN, YELLOW][:n_classes]
    parts = (data.x_train, data.y_train, "o", "white"), (data.x_test, data.y_test, "^", "black")
    for dots, (x, targets, marker, outline) in zip(axes.collections, parts, strict=True):
        assert np.array_equal(dots.get_offsets(), x)
        expected = [to_rgba(colors[k]) for k in targets.argmax(axis=1)]
        assert np.array_equal(dots.get_facecolors(), expected)
        assert np.array_equal(dots.get_edgecolors(), [to_rgba(outline)])
        style = MarkerStyle(marker)
        shape = style.get_path().transformed(style.get_transform()).vertices
        assert np.array_equal(dots.get_paths()[0].vertices, shape)
    # The legend has the colours of the classes, and markers as they are drawn.
    (legend,) = axes.figure.legends
    entries = [(mark.get_label(), mark.get_markerfacecolor()) for mark in legend.legend_handles]
    assert entries[:-2] == [(f"class {k}", color) for k, color in enumerate(colors)]
    for mark, part, dots in zip(
        legend.legend_handles[-2:], ("train", "test"), axes.collections, strict=True
    ):
        assert (mark.get_label(), mark.get_marker()) == (part, {"train": "o", "test": "^"}[part])
        assert to_rgba(mark.get_markeredgecolor()) == tuple(dots.get_edgecolors()[0])
        assert [mark.get_markeredgewidth()] == dots.get_linewidths()
        assert mark.get_markersize() ** 2 == pytest.approx(dots.get_sizes()[0])
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= axes.figure.bbox.x1
    assert box.height < box.width / 5  # one line


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("n", [4000, 30_000, 200_000])
def test_classes_can_be_told_however_many_points_there_are(plots, part, n):
    rng = np.random.default_rng(0)
    classes = rng.integers(2, size=n)
    figure, axes = plots.new_figure(3, 2)
    plots.scatter(axes, rng.normal(size=(n, 2)) + 6 * classes[:, None], classes, part)
    assert axes.collections[0].get_sizes()[0] * n < 40_000  # square points, of 100,000 there are
    axes.set_axis_off()
    figure.savefig(file := io.BytesIO(), format="rgba", dpi=100)
    picture = np.frombuffer(file.getbuffer(), np.uint8).reshape(200, 300, 4).astype(int)
    for pixel, more, less in (((150, 80), 2, 0), ((55, 220), 0, 2)):  # the middle of either
        y, x = pixel
        mean = picture[y - 10 : y + 10, x - 10 : x + 10].mean(axis=(0, 1))
        assert mean[more] > mean[less] + 40


def test_figure_2_shows_digits_as_images_with_their_labels(plots):
    data = load_data("digits", n_samples=100)
    figure = plots.data_set(data, "digits")
    assert figure.get_suptitle() == "digits"
    for k, part, i in ((0, "train", 0), (19, "train", 19), (20, "test", 0), (39, "test", 19)):
        images, targets = (data.x_train, data.y_train) if part == "train" else data[2:]
        axes = figure.axes[k]
        assert np.array_equal(axes.images[0].get_array(), images[i].reshape(8, 8))
        assert axes.get_title() == f"{part}: {targets[i].argmax()}"
        assert axes.images[0].cmap(1.0)[:3] == (0, 0, 0)  # ink is black


@pytest.mark.parametrize("shape", [(6, 1), (6, 3), (6,)])
def test_points_that_are_not_in_the_plane_are_refused(plots, shape):
    data = Data(np.ones(shape), np.eye(2)[[0, 1] * 3], np.ones(shape), np.eye(2)[[0, 1] * 3])
    predict = class_1_right_of(0)
    for draw in (plots.data_set, lambda data: plots.decision_boundary(predict, data)):
        with pytest.raises(ValueError, match=r"points of shape \(N, 2\) .* got shape \(6,"):
            draw(data)


def test_more_classes_than_there_are_colours_are_refused(plots):
    for draw in (plots.data_set, lambda data: plots.decision_boundary(len, data)):
        with pytest.raises(ValueError, match=r"at most 4 classes, got .* and 5 classes"):
            draw(data_of(5))


@pytest.mark.parametrize("key", ["epoch", "step"])  # as it is called now, and was before
def test_figure_3_shows_losses_and_accuracies_of_both_parts(plots, key):
    history = history_of()
    epochs = history["epoch"]
    history = {key: history.pop("epoch"), **history}
    marks = {"train_loss": 0.3, "test_loss": 0.4, "train_accuracy": 0.5, "test_accuracy": 0.6}
    figure = drawn(plots.curves(history, "the title", marks))
    assert figure.get_suptitle() == "the title"
    assert [axes.get_title() for axes in figure.axes] == ["Loss", "Accuracy"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["cross-entropy (nats)", "accuracy (%)"]
    for axes, metric, scale in zip(figure.axes, ("loss", "accuracy"), (1, 100), strict=True):
        lines = {line.get_label(): line for line in axes.lines}
        for part, dashes in (("train", "-"), ("test", "--")):
            line, mark = lines[part], lines[f"the report's {part}"]
            assert np.array_equal(line.get_xdata(), epochs)
            assert np.array_equal(line.get_ydata(), scale * history[f"{part}_{metric}"])
            assert line.get_linestyle() == dashes
            assert mark.get_xydata().tolist() == [[30, scale * marks[f"{part}_{metric}"]]]
            assert (mark.get_marker(), mark.get_color()) == ("D", line.get_color())
        assert lines["train"].get_color() != lines["test"].get_color()
        assert axes.get_xlabel() == "epoch (square-root scale)"
        assert axes.get_xticks()[-1] == 30


def test_marks_of_the_report_are_drawn_only_where_asked_for(plots):
    for axes in plots.curves(history_of()).axes:
        assert [line.get_label() for line in axes.lines] == ["train", "test"]


def test_a_history_of_one_entry_can_be_seen(plots):
    figure = drawn(plots.curves(history_of(1)))
    assert all(line.get_marker() == "o" for axes in figure.axes for line in axes.lines)


def test_the_first_of_the_epochs_have_room_for_a_fast_start(plots):
    figure, axes = plots.new_figure(4, 3)
    plots.epoch_axis(axes, 1500)
    drawn(figure)
    start, early, end = (axes.transData.transform((epoch, 0))[0] for epoch in (0, 60, 1500))
    assert (early - start) / (end - start) == pytest.approx(0.2)  # 4 % of the epochs


@pytest.mark.parametrize(
    "last", [*range(1, 31), 99, 150, 999, 1000, 1500, 7777, 75_000, 123_456, 10**7, 10**9]
)
def test_epochs_have_ticks_at_whole_numbers_from_0_to_the_last_without_overlap(plots, last):
    figure, axes = plots.new_figure(3.4, 2)
    plots.epoch_axis(axes, np.int64(last))
    labels = drawn(figure).axes[0].get_xticklabels()
    values = [int(label.get_text()) for label in labels]
    assert (values[0], values[-1]) == (0, last)
    assert len(values) <= 7
    assert np.array_equal(axes.get_xticks(), values)
    boxes = [label.get_window_extent() for label in labels]
    assert all(a.x1 + 3 < b.x0 for a, b in pairwise(boxes))


def test_the_boundary_is_where_the_most_probable_class_changes(plots):
    from matplotlib.colors import to_rgb

    axes = drawn(
        plots.decision_boundary(class_1_right_of(0.5), data_of(2), "the title", resolution=100)
    ).axes[0]
    assert axes.get_title() == "the title"
    (line,) = lines_between_classes(axes)
    (path,) = line.get_paths()
    assert path.vertices[:, 0] == pytest.approx(0.5, abs=0.01)
    shades = np.asarray(axes.images[0].get_array())
    left, right = shades[50, 0], shades[50, -1]
    for shade, color in (left, BLUE), (right, ORANGE):
        assert shade == pytest.approx(1 - 0.6 * (1 - np.array(to_rgb(color))), abs=0.01)
    assert shades.min(axis=-1).max() > 0.9  # white where neither is more probable


def test_three_classes_have_three_regions_with_lines_between(plots):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import to_rgb

    def predict(x):  # the largest of x_1, x_2 and their negative sum
        scores = np.exp(9 * np.column_stack([x, -x.sum(axis=1)]))
        return scores / scores.sum(axis=1, keepdims=True)

    figure = plots.decision_boundary(predict, data_of(3), resolution=100)
    canvas, axes = FigureCanvasAgg(figure), figure.axes[0]
    canvas.draw()
    assert len(lines_between_classes(axes)) == 3
    picture = np.asarray(canvas.buffer_rgba())[::-1, :, :3] / 255  # rows from below
    for place, color in ((2.5, 0), BLUE), ((-1.5, 2), ORANGE), ((-1.5, -1.5), GREEN):  # no points
        column, row = axes.transData.transform(place).round().astype(int)
        expected = 1 - 0.6 * (1 - np.array(to_rgb(color)))
        assert picture[row, column] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("stretch", [(1, 1), (3, 1), (1, 3)])
def test_circles_are_circles_and_the_shades_fill_the_axes(plots, stretch):
    data = data_of(2)
    data = data._replace(x_train=data.x_train * stretch, x_test=data.x_test * stretch)
    both = np.concatenate([data.x_train, data.x_test])
    boundary = plots.decision_boundary(class_1_right_of(0), data, resolution=20)
    for figure in (boundary, plots.data_set(data)):
        axes = drawn(figure).axes[0]
        (x0, y0), (x1, y1) = axes.transData.transform([(0, 0), (1, 1)])
        assert x1 - x0 == pytest.approx(y1 - y0)
        limits = np.array([axes.get_xlim(), axes.get_ylim()])
        assert (limits[:, 0] < both.min(axis=0)).all()
        assert (limits[:, 1] > both.max(axis=0)).all()
    assert boundary.axes[0].images[0].get_extent() == pytest.approx(
        [*boundary.axes[0].get_xlim(), *boundary.axes[0].get_ylim()]
    )


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_colour_bar_belongs_to_two_classes_only(plots, n_classes):
    from matplotlib.colors import to_rgb

    model = MLP(2, [4], n_classes, rng=0)
    figure = drawn(plots.decision_boundary(model.forward, data_of(n_classes), resolution=20))
    axes, (legend,) = figure.axes[0], figure.legends
    what = legend.get_title().get_text()
    if n_classes == 3:
        assert not axes.child_axes
        assert what == "the deeper the colour of a place, the more probable its class"
        return
    (bar,) = axes.child_axes
    assert (bar.get_ylabel(), bar.get_ylim()) == ("predicted probability of class 1", (0, 1))
    (mesh,) = [artist for artist in bar.collections if artist.get_cmap().name == "classes"]
    for probability, color in (0, BLUE), (1, ORANGE):
        expected = 1 - 0.6 * (1 - np.array(to_rgb(color)))
        assert mesh.get_cmap()(float(probability))[:3] == pytest.approx(expected)
    assert what == ""
    assert bar.get_position().height == pytest.approx(axes.get_position().height)


def test_a_network_that_predicts_one_class_everywhere_has_no_boundary(plots):
    axes = plots.decision_boundary(lambda x: np.tile([0.9, 0.1], (len(x), 1)), data_of(2)).axes[0]
    assert not lines_between_classes(axes)


def test_the_figures_of_a_run_say_of_what_they_are(plots):
    figures = plots.of_run(data_of(2), history_of(), class_1_right_of(0), "moons, batch size 16")
    two, three, boundary = figures.values()
    assert list(figures) == ["figure2_data.png", "figure3_curves.png", "decision_boundary.png"]
    assert two.axes[0].get_title() == "moons: 40 training rows, 20 test rows"
    assert three.get_suptitle() == boundary.axes[0].get_title() == "moons, batch size 16"


def test_no_figure_depends_on_the_settings_of_the_user(plots):
    predict = class_1_right_of(0)

    def draw():
        return [
            pixels(plots.new_figure(3, 2)[0]),
            pixels(plots.data_set(data_of(2), "title")),
            pixels(plots.decision_boundary(MLP(2, [4], 3, 0).forward, data_of(3), "title")),
            pixels_in_window(plots.curves(history_of(), "title", {"train_loss": 0.3})),
            pixels_in_window(plots.decision_boundary(predict, data_of(2), "title")),
        ]

    assert same_in_any_style(draw)


def arguments(**values):
    return argparse.Namespace(**{"no_output": False, "show": False} | values)


def test_all_files_are_written_before_anything_is_printed(plots, tmp_path, monkeypatch):
    class Closed(io.StringIO):
        def write(self, text):
            raise OSError("the terminal is closed")

    figures = {name: plots.curves(history_of()) for name in ("a.png", "b.png")}
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(OSError, match="closed"):
        plots.finish(figures, arguments(output_dir=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_the_files_are_named_when_they_are_written(plots, tmp_path, capsys):
    plots.finish({"a.png": plots.curves(history_of())}, arguments(output_dir=tmp_path))
    assert capsys.readouterr().out == f"wrote {tmp_path / 'a.png'}\n"
    plots.finish({"b.png": plots.curves(history_of())}, arguments(no_output=True))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_show_opens_each_figure_as_a_window_until_it_is_closed(plots, monkeypatch):
    from matplotlib import pyplot as plt

    theirs = plt.figure("of another program")
    shown = []

    def show(block):
        assert block  # or the script would end, and its windows with it
        shown.extend((label, plt.figure(label)) for label in plt.get_figlabels())

    monkeypatch.setattr(plt, "show", show)
    figures = {"a": plots.curves(history_of()), "b": plots.data_set(data_of(2))}
    plots.finish(figures, arguments(no_output=True, show=True))
    assert dict(shown) == {"of another program": theirs} | figures
    assert plt.get_figlabels() == ["of another program"]
    plt.close(theirs)


# Instead of waiting for the user, say which windows there are, and close them.
AT_THE_MAIN_LOOP = """
import runpy, sys, tkinter
from matplotlib import pyplot as plt

def mainloop(window, n=0):
    window.update()
    for k in plt.get_fignums():
        manager = plt.figure(k).canvas.manager
        print("seen:", manager.get_window_title(), manager.window.winfo_viewable())
    plt.close("all")

tkinter.Misc.mainloop = mainloop
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.skipif(not shutil.which("Xvfb"), reason="needs Xvfb, of the Debian package xvfb")
@pytest.mark.parametrize(
    ("script", "flags", "titles"),
    [
        ("perceptron.py", [], ["Figure 1"]),
        pytest.param(
            "train_mlp_numpy.py",
            ["--max_steps=1", "--n_samples=40"],
            ["figure2_data.png", "figure3_curves.png", "decision_boundary.png"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_show_opens_windows(script, flags, titles, monkeypatch):
    pytest.importorskip("tkinter")
    server = ["Xvfb", "-displayfd", "1", "-nolisten", "tcp", "-screen", "0", "1600x1200x24"]
    with subprocess.Popen(server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as xvfb:
        try:
            monkeypatch.setenv("DISPLAY", f":{int(xvfb.stdout.readline())}")
            monkeypatch.setenv("MPLBACKEND", "tkagg")
            command = [sys.executable, "-c", AT_THE_MAIN_LOOP, script, "--show", "--no_output"]
            done = subprocess.run([*command, *flags], cwd=ROOT, capture_output=True, text=True)
        finally:
            xvfb.terminate()
    seen = [line for line in done.stdout.splitlines() if line.startswith("seen: ")]
    assert (seen, done.stderr) == ([f"seen: {title} 1" for title in titles], "")
    assert done.returncode == 0


def test_show_is_not_refused_where_there_are_windows(plots, monkeypatch):
    from matplotlib import pyplot as plt

    monkeypatch.setattr(plt, "get_backend", lambda: "TkAgg")
    plots.check_display(argparse.ArgumentParser())


@pytest.mark.parametrize("backend", ["agg", "svg", "pdf"])
def test_show_is_refused_where_nothing_can_be_shown(plots, backend, monkeypatch, capsys):
    from matplotlib import pyplot as plt

    monkeypatch.setattr(plt, "get_backend", lambda: backend)
    with pytest.raises(SystemExit) as end:
        plots.check_display(argparse.ArgumentParser())
    assert end.value.code == 2
    assert "--show: no display or no window toolkit" in capsys.readouterr().err


def test_a_module_that_is_no_script_says_what_to_run():
    with pytest.raises(SystemExit, match=r"plots.py is no script; run .*train_mlp_numpy.py"):
        runpy.run_path(str(ROOT / "plots.py"), run_name="__main__")
