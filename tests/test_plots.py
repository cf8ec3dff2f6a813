"""The trainer's figures show the data, the history and the probabilities they are given."""

import io

import numpy as np
import pytest

from mlp_numpy import MLP
from train_mlp_numpy import METRICS, Data, load_data


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


def data_of(n_classes, seed=0):
    rng = np.random.default_rng(seed)
    x, targets = rng.normal(size=(60, 2)), np.eye(n_classes)[np.arange(60) % n_classes]
    return Data(x[:40], targets[:40], x[40:], targets[40:])


def history_of(n=4):
    values = {name: np.linspace(0.2, 0.8, n) + i / 100 for i, name in enumerate(METRICS)}
    return {"step": np.arange(n) * 10, **values}


@pytest.mark.parametrize("n_classes", [2, 3])
def test_figure_2_shows_every_point_in_the_colour_of_its_class(plots, n_classes):
    from matplotlib.colors import to_rgba

    data = data_of(n_classes)
    (axes,) = drawn(plots.data_set(data, "the title")).axes
    assert axes.get_title() == "the title"
    parts = (data.x_train, data.y_train), (data.x_test, data.y_test)
    for dots, (x, targets) in zip(axes.collections, parts, strict=True):
        assert np.array_equal(dots.get_offsets(), x)
        expected = [to_rgba(plots.CLASS_COLORS[k]) for k in targets.argmax(axis=1)]
        assert np.array_equal(dots.get_facecolors(), expected)
    outlines = [dots.get_paths()[0].vertices.shape for dots in axes.collections]
    assert outlines[0] != outlines[1]  # training and test points have other markers
    texts = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert texts == [*(f"class {k}" for k in range(n_classes)), "train", "test"]


def test_figure_2_shows_digits_as_images_with_their_labels(plots):
    data = load_data("digits", n_samples=100)
    figure = drawn(plots.data_set(data, "digits"))
    first, last = figure.axes[0], figure.axes[20]
    assert np.array_equal(first.images[0].get_array(), data.x_train[0].reshape(8, 8))
    assert first.get_title() == f"train: {data.y_train[0].argmax()}"
    assert np.array_equal(last.images[0].get_array(), data.x_test[0].reshape(8, 8))
    assert last.get_title() == f"test: {data.y_test[0].argmax()}"


def test_figure_3_shows_losses_and_accuracies_of_both_parts(plots):
    history = history_of()
    figure = drawn(plots.curves(history, "the title", marks={"train_loss": 0.3, "test_loss": 0.4}))
    for axes, metric, scale in zip(figure.axes, ("loss", "accuracy"), (1, 100), strict=True):
        lines = {line.get_label(): line for line in axes.lines}
        for part in ("train", "test"):
            assert np.array_equal(lines[part].get_xdata(), history["step"])
            assert np.array_equal(lines[part].get_ydata(), scale * history[f"{part}_{metric}"])
        assert lines["train"].get_linestyle() != lines["test"].get_linestyle()
        assert axes.get_xlabel() == "epoch"
    losses = {line.get_label(): line for line in figure.axes[0].lines}
    assert [losses[f"the report's {part}"].get_ydata()[0] for part in ("train", "test")] == [
        0.3,
        0.4,
    ]


def test_a_history_of_one_entry_can_be_seen(plots):
    figure = drawn(plots.curves(history_of(1)))
    assert all(line.get_marker() == "o" for axes in figure.axes for line in axes.lines)


def test_the_boundary_is_where_the_most_probable_class_changes(plots):
    from matplotlib.colors import to_rgb

    data = data_of(2)

    def predict(x):  # class 1 to the right of x_1 = 0.5
        p = 1 / (1 + np.exp(-8 * (x[:, 0] - 0.5)))
        return np.column_stack([1 - p, p])

    axes = drawn(plots.decision_boundary(predict, data, resolution=100)).axes[0]
    (line,) = lines_between_classes(axes)
    (path,) = line.get_paths()
    assert path.vertices[:, 0] == pytest.approx(0.5, abs=0.01)
    shades = np.asarray(axes.images[0].get_array())
    left, right = shades[50, 0], shades[50, -1]
    for shade, color in (left, plots.CLASS_COLORS[0]), (right, plots.CLASS_COLORS[1]):
        assert shade == pytest.approx(1 - plots.SHADE * (1 - np.array(to_rgb(color))), abs=0.01)
    bottom, *_, top = axes.get_ylim()
    assert axes.images[0].get_extent()[2:] == [bottom, top]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_colour_bar_belongs_to_two_classes_only(plots, n_classes):
    model = MLP(2, [4], n_classes, rng=0)
    figure = drawn(plots.decision_boundary(model.forward, data_of(n_classes), resolution=20))
    labels = [axes.get_ylabel() for axes in figure.axes[1:]]
    assert labels == (["predicted probability of class 1"] if n_classes == 2 else [])


def test_a_network_that_predicts_one_class_everywhere_has_no_boundary(plots):
    axes = plots.decision_boundary(lambda x: np.tile([0.9, 0.1], (len(x), 1)), data_of(2)).axes[0]
    assert not lines_between_classes(axes)


def test_show_opens_each_figure_as_a_window(plots, monkeypatch):
    import argparse

    from matplotlib import pyplot as plt

    plt.close("all")
    shown = []
    monkeypatch.setattr(plt, "show", lambda: shown.extend(map(plt.figure, plt.get_fignums())))
    figures = {"a": plots.curves(history_of()), "b": plots.data_set(data_of(2))}
    plots.finish(figures, argparse.Namespace(no_output=True, show=True))
    assert shown == list(figures.values())
    assert plt.get_figlabels() == ["a", "b"]
    plt.close("all")
