"""All parts: what the axes of each figure contain."""

import io
from functools import partial

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.layout_engine import ConstrainedLayoutEngine

import plots
from hidden_units import Unit, describe, unit_inputs
from mlp_numpy import MLP
from perceptron import run_cases
from train_mlp_numpy import METRICS, load_data


def save(figure):
    """Draw the figure for real; a warning, such as of a layout that fails, is an error."""
    figure.savefig(io.BytesIO(), format="png")
    return figure


def points_of(collection):
    return np.asarray(collection.get_offsets())


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.fixture
def results():
    return run_cases(42)


def test_figure_1_has_a_panel_for_each_case_with_its_points(results):
    figure = save(plots.perceptron_cases(results))
    assert legend_of(figure) == ["class +1", "class -1", "train", "test", "decision boundary"]
    for axes, result in zip(figure.axes, results, strict=True):
        train, test = axes.collections
        assert np.array_equal(points_of(train), result.train_points)
        assert np.array_equal(points_of(test), result.test_points)
        assert train.get_paths()[0].vertices.shape != test.get_paths()[0].vertices.shape
        colors = np.where(result.test_labels[:, None] == 1, *map(to_rgba, plots.CLASS_COLORS[:2]))
        assert np.array_equal(test.get_facecolors(), colors)
        colors = np.where(result.train_labels[:, None] == 1, *map(to_rgba, plots.CLASS_COLORS[:2]))
        assert np.array_equal(train.get_facecolors(), colors)
        assert result.case.name in axes.get_title()
        assert f"{result.test_accuracy:.3f}" in axes.get_title()


def test_figure_1_fits_the_limits_to_the_data_of_each_panel(results):
    figure = save(plots.perceptron_cases(results))
    for axes, result in zip(figure.axes, results, strict=True):
        points = np.concatenate([result.train_points, result.test_points])
        for (low, high), values in zip((axes.get_xlim(), axes.get_ylim()), points.T, strict=True):
            extent = values.max() - values.min()
            assert low == pytest.approx(values.min() - 0.05 * extent)
            assert high == pytest.approx(values.max() + 0.05 * extent)


@pytest.mark.parametrize(
    "weights",
    [[1.0, 2.0, 0.5], [1.0, 0.0, -2.0], [0.0, 3.0, 6.0], [-2.0, 1e-9, 0.0], [1e-9, 2e-9, 1e-9]],
)
def test_the_boundary_spans_the_panel_where_the_score_is_zero(results, weights):
    figure = save(plots.perceptron_cases([results[2]._replace(weights=np.array(weights))] * 4))
    (line,) = figure.axes[0].lines
    axes = figure.axes[0]
    # The line as it is drawn, from the edge of the panel to the edge.
    ends = line.get_transform().transform(line.get_path().vertices)
    box = axes.bbox
    for x, y in ends:
        assert min(abs(x - box.x0), abs(x - box.x1), abs(y - box.y0), abs(y - box.y1)) < 1e-6
    x, y = axes.transData.inverted().transform(ends).T
    scores = weights[0] * x + weights[1] * y + weights[2]
    assert scores == pytest.approx(np.zeros(2), abs=1e-9 * np.abs(weights).max())


@pytest.mark.parametrize("weights", [[1e-200, 2e-200, -1e-200], [1e200, -1e200, 1e200]])
def test_the_boundary_is_drawn_however_small_or_large_the_weights(results, weights):
    figure = save(plots.perceptron_cases([results[2]._replace(weights=np.array(weights))] * 4))
    x, y = figure.axes[0].lines[0].get_xy1()
    scores = np.array(weights) / weights[0] * [x, y, 1]
    assert scores.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("weights", "note"),
    [([0.0, 0.0, 0.0], "no boundary: w = 0"), ([1.0, 1.0, 99.0], "the boundary lies outside")],
)
def test_where_no_boundary_can_be_seen_the_panel_says_so(results, weights, note):
    figure = save(plots.perceptron_cases([results[0]._replace(weights=np.array(weights))] * 4))
    assert [text.get_text() for text in figure.axes[0].texts] == [note]
    figure = save(plots.perceptron_cases(results))
    assert not any(axes.texts for axes in figure.axes)


@pytest.mark.parametrize(("dataset", "n_classes"), [("moons", 2), ("blobs", 3)])
def test_figure_2_tells_training_and_test_points_apart(dataset, n_classes):
    data = load_data(dataset, n_samples=60)
    figure = save(plots.data_set(data))
    train, test = figure.axes[0].collections
    assert np.array_equal(points_of(train), data.x_train)
    assert np.array_equal(points_of(test), data.x_test)
    assert legend_of(figure) == [*(f"class {k}" for k in range(n_classes)), "train", "test"]


def test_figure_2_of_digits_shows_images_with_their_labels():
    data = load_data("digits", n_samples=100)
    figure = save(plots.data_set(data))
    assert np.array_equal(figure.axes[0].images[0].get_array(), data.x_train[0].reshape(8, 8))
    assert figure.axes[0].get_title() == f"train: {data.y_train[0].argmax()}"
    assert np.array_equal(figure.axes[20].images[0].get_array(), data.x_test[0].reshape(8, 8))


def test_figure_2_of_few_digits_leaves_places_empty():
    figure = save(plots.data_set(load_data("digits", n_samples=5)))
    assert sum(len(axes.images) for axes in figure.axes) == 5


def test_figure_3_draws_the_history():
    history = {"step": np.array([0, 5, 7])}
    history |= {key: np.arange(3) / 10 + i for i, key in enumerate(METRICS)}
    figure = save(plots.curves(history, "title"))
    for axes, metric, scale in zip(figure.axes, ("loss", "accuracy"), (1, 100), strict=True):
        assert len({to_rgba(line.get_color()) for line in axes.lines}) == 2
        assert len({line.get_linestyle() for line in axes.lines}) == 2
        for line, part in zip(axes.lines, ("train", "test"), strict=True):
            assert line.get_label() == part
            assert line.get_xdata().tolist() == [0, 5, 7]
            assert line.get_ydata() == pytest.approx(scale * history[f"{part}_{metric}"])


def test_figure_3_marks_what_the_report_gives():
    history = {key: np.array([0.9, 0.5]) for key in METRICS} | {"step": np.array([0, 7])}
    figure = save(plots.curves(history, "title", {"test_loss": 0.4, "train_accuracy": 0.8}))
    loss, accuracy = ([line.get_label() for line in axes.lines] for axes in figure.axes)
    assert loss == ["train", "test", "the report's test"]
    assert accuracy == ["train", "test", "the report's train"]
    assert figure.axes[0].lines[2].get_xydata().tolist() == [[7, 0.4]]
    assert figure.axes[1].lines[2].get_xydata().tolist() == [[7, 80]]


def test_figure_3_of_a_single_entry_shows_it():
    figure = save(plots.curves({key: np.array([0.5]) for key in ("step", *METRICS)}))
    assert all(line.get_marker() == "o" for axes in figure.axes for line in axes.lines)


def test_the_limits_of_the_boundary_fit_training_and_test_points():
    data = load_data(n_samples=60)
    data = data._replace(x_test=data.x_test + 10)
    figure = save(
        plots.decision_boundary(lambda points: np.tile([0.9, 0.1], (len(points), 1)), data)
    )
    axes = figure.axes[0]
    for (low, high), k in ((axes.get_xlim(), 0), (axes.get_ylim(), 1)):
        assert low < data.x_train[:, k].min()
        assert high > data.x_test[:, k].max()


def test_up_is_up_in_the_shading_and_in_the_colour_bar():
    def predict(points):  # class 1 at the top
        return np.column_stack([points[:, 1] < 0, points[:, 1] >= 0]).astype(float)

    figure = save(plots.decision_boundary(predict, load_data(n_samples=60)))
    axes, bar = figure.axes
    image = axes.images[0]
    assert image.origin == "lower"
    assert image.get_extent() == [*axes.get_xlim(), *axes.get_ylim()]
    top, bottom = image.get_array()[-1, 0], image.get_array()[0, 0]
    assert top[0] > top[2]  # orange, class 1
    assert bottom[2] > bottom[0]  # blue, class 0
    assert bar.get_ylabel() == "predicted probability of class 1"
    colors = bar.collections[-1].cmap([0.0, 1.0])[:, :3]
    assert colors == pytest.approx(np.array([bottom, top]), abs=0.01)


def test_the_shading_is_of_the_class_predicted_and_the_line_where_it_changes():
    data = load_data(n_samples=60)

    def predict(points):  # class 1 to the right of x = 0.5
        probability = 1 / (1 + np.exp(-4 * (points[:, 0] - 0.5)))
        return np.column_stack([1 - probability, probability])

    figure = save(plots.decision_boundary(predict, data))
    axes = figure.axes[0]
    image = axes.images[0].get_array()
    blue, orange = image[0, 0], image[0, -1]
    assert blue[2] > blue[0]
    assert orange[0] > orange[2]
    assert image[0].sum(axis=1).max() == pytest.approx(3, abs=0.03)  # white where undecided
    contour = axes.collections[-1].get_paths()[0].vertices
    assert contour[:, 0] == pytest.approx(np.full(len(contour), 0.5), abs=1e-3)
    assert contour[:, 1].min() == pytest.approx(axes.get_ylim()[0])
    assert contour[:, 1].max() == pytest.approx(axes.get_ylim()[1])


def test_a_boundary_can_be_drawn_of_three_classes_and_of_none_in_sight():
    blobs = load_data("blobs", n_samples=60)
    save(plots.decision_boundary(MLP(2, [4], 3, 0).forward, blobs))
    figure = save(
        plots.decision_boundary(lambda points: np.tile([0.9, 0.1], (len(points), 1)), load_data())
    )
    assert len(figure.axes[0].collections) == 2  # the points alone


def right_of(edge):
    """Return a classifier of two classes, sure that class 1 lies to the right of x = edge."""
    return lambda points: np.eye(2)[(points[:, 0] > edge).astype(int)]


def colors_of(axes):
    """Return the colours along a horizontal line through the middle of an axes' image."""
    image = axes.images[0].get_array()
    return image[len(image) // 2]


def test_a_training_run_shows_the_boundary_and_both_curves():
    data = load_data("blobs", n_samples=60)
    history = {"step": np.array([0, 5])} | {key: np.array([0.2, 0.4]) for key in METRICS}
    figure = save(plots.training_run(MLP(2, [4], 3, 0).forward, history, data, "title"))
    boundary, loss, accuracy = figure.axes
    train, test = boundary.collections[:2]
    assert np.array_equal(points_of(train), data.x_train)
    assert np.array_equal(points_of(test), data.x_test)
    assert len(boundary.images) == 1
    assert [line.get_ydata().tolist() for line in loss.lines] == 2 * [[0.2, 0.4]]
    assert [line.get_ydata().tolist() for line in accuracy.lines] == 2 * [[20, 40]]
    assert legend_of(figure) == ["class 0", "class 1", "class 2", "train", "test"]
    assert figure.get_suptitle() == "title"


def test_frames_show_every_moment_side_by_side_in_one_figure():
    data = load_data(n_samples=60)
    moments = [
        (f"epoch {k}", {"a": (right_of(k), f"a{k}"), "b": (right_of(-k), f"b{k}")}) for k in (0, 1)
    ]
    figures = []
    for (title, panels), figure in zip(moments, plots.boundary_frames(moments, data), strict=True):
        figures.append(save(figure))
        assert figure.get_suptitle() == title
        assert [axes.get_title() for axes in figure.axes] == ["a", "b"]
        for axes, (predict, caption) in zip(figure.axes, panels.values(), strict=True):
            assert axes.get_xlabel() == caption
            assert np.array_equal(points_of(axes.collections[0]), data.x_test)
            colors = colors_of(axes)
            x = np.linspace(*axes.get_xlim(), len(colors))
            is_orange = colors[:, 0] > colors[:, 2]
            assert np.array_equal(is_orange, predict(x[:, None])[:, 1] == 1)
            assert len(axes.images) == 1  # of this moment, none of the one before
    assert figures[0] is figures[1]
    engine = figures[0].get_layout_engine()
    assert not isinstance(engine, ConstrainedLayoutEngine)  # so that nothing moves


def test_the_maps_of_hidden_units_are_in_order_with_their_colour_fold_and_note():
    data = load_data(n_samples=60)
    units = [
        Unit(2, fires=0.5, favours=1, fold=1.234, twin=None),
        Unit(0, fires=0.5, favours=0, fold=-0.5, twin=2),
        Unit(1, fires=0.0, favours=1, fold=0.0, twin=None),
    ]

    def unit_inputs(points):  # to the right of 0.5, to the left of it, nowhere
        x = points[:, 0] - 0.5
        return np.column_stack([-x, np.full(len(x), -1.0), x])

    figure = save(plots.hidden_units(unit_inputs, units, data, "title"))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["unit 2: +1.23", "unit 0: -0.50 (like 2)", "unit 1: +0.00 (dead)"]
    right, left, nowhere = map(colors_of, figure.axes)
    assert right[0].tolist() == [1, 1, 1]  # white: silent
    for color, k in ((right[-1], 1), (left[0], 0)):  # deep, where the output is largest
        whole = np.array(to_rgba(plots.CLASS_COLORS[k])[:3])
        assert np.allclose(1 - color, 0.85 * (1 - whole), atol=0.01)
    assert left[-1].tolist() == [1, 1, 1]
    assert nowhere.min() == 1
    lines = [[c for c in axes.collections if hasattr(c, "levels")] for axes in figure.axes]
    assert list(map(len, lines)) == [1, 1, 0]
    assert lines[0][0].get_paths()[0].vertices[:, 0] == pytest.approx(0.5)
    for axes in figure.axes:
        assert np.array_equal(points_of(axes.collections[-1]), data.x_train)


@pytest.mark.parametrize(("n_units", "n_axes"), [(1, 1), (5, 5), (6, 10)])
def test_any_number_of_hidden_units_can_be_drawn(n_units, n_axes):
    data, model = load_data(n_samples=60), MLP(2, [n_units], 2, 0)
    units = describe(model, data.x_train)
    figure = save(plots.hidden_units(partial(unit_inputs, model), units, data))
    assert len(figure.axes) == n_axes
    assert sum(len(axes.images) for axes in figure.axes) == n_units


def test_folds_tell_stuck_runs_from_the_others():
    figure = save(plots.folds({"not stuck": [(5, 6), (4, 5)], "stuck": [(1, 0.1)]}, "title"))
    (axes,) = figure.axes
    assert [points_of(dots).tolist() for dots in axes.collections] == [[[5, 6], [4, 5]], [[1, 0.1]]]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["not stuck: 2 of 3 runs", "stuck: 1 of 3 runs"]
    colors = [to_rgba(dots.get_edgecolors()[0]) for dots in axes.collections]
    assert colors == [to_rgba(plots.GOOD), to_rgba(plots.BAD)]
    # `total_folds` gives first the downward, then the upward ones.
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "sum of downward folds",
        "sum of upward folds",
    )


def test_bugs_are_drawn_with_their_accuracies_and_errors():
    results = [
        ("No bug", np.array([0.9, 0.8]), 1e-10),
        ("a bug", np.array([0.85, np.nan]), 0.5),
    ]
    left, right = save(plots.bugs(results, 1e-7, "title")).axes
    titles = "What the accuracy says", "What the gradient check says"
    assert (left.get_title(), right.get_title()) == titles
    assert (left.get_xscale(), right.get_xscale()) == ("linear", "log")
    assert [label.get_text() for label in left.get_yticklabels()] == ["No bug", "a bug"]
    for i, (dots, (_, accuracies, _)) in enumerate(zip(left.lines, results, strict=True)):
        assert dots.get_xdata() == pytest.approx(100 * accuracies, nan_ok=True)
        assert set(dots.get_ydata()) == {i}
    *errors, limit = right.lines
    assert [line.get_xydata().tolist() for line in errors] == [[[1e-10, 0]], [[0.5, 1]]]
    assert [line.get_marker() for line in errors] == ["o", "X"]
    assert set(limit.get_xdata()) == {1e-7}


def make_curves(names, n_runs=40, n_points=21):
    """Return curves of random runs: the median of the first is lowest, of the last highest."""
    rng = np.random.default_rng(0)
    curves = {}
    for i, name in enumerate(names):
        curves[name] = {"x": np.arange(n_points) * 5}
        for key in METRICS:
            curves[name][key] = (i + rng.random((n_runs, n_points))) / len(names)
    return curves


def test_figure_4_draws_the_median_and_the_central_95_percent():
    curves = make_curves(["1", "full"])
    figure = save(plots.batch_sizes(curves, "epoch", {"1": (90.0, 91.0)}, "title"))
    panels = dict(zip(("loss", "accuracy"), (figure.axes[:2], figure.axes[2:4]), strict=True))
    for metric, scale in (("loss", 1), ("accuracy", 100)):
        for axes, part in zip(panels[metric], ("train", "test"), strict=True):
            assert axes.get_title() == f"{part} {metric}"
            assert axes.get_xlabel() == "epoch"
            for line, band, (name, arrays) in zip(
                axes.lines, axes.collections, curves.items(), strict=True
            ):
                values = scale * arrays[f"{part}_{metric}"]
                assert line.get_label() == name
                assert line.get_xdata() == pytest.approx(arrays["x"])
                assert line.get_ydata() == pytest.approx(np.median(values, axis=0))
                edges = band.get_paths()[0].vertices
                for x, k in ((0, 0), (100, 20)):
                    ends = np.quantile(values[:, k], (0.025, 0.975))
                    ys = edges[edges[:, 0] == x, 1]
                    assert (ys.min(), ys.max()) == pytest.approx(tuple(ends))


def test_figure_4_leaves_out_of_the_accuracies_only_their_beginning():
    curves = make_curves(["1", "full"])
    for arrays in curves.values():
        arrays["train_accuracy"], arrays["test_accuracy"] = (
            0.6 + 0.4 * arrays[key] for key in ("train_accuracy", "test_accuracy")
        )
    curves["1"]["train_accuracy"][:, :2] = 0.01
    axes = save(plots.batch_sizes(curves, "epoch", {})).axes
    for left, right in (axes[:2], axes[2:4], axes[4:]):
        assert left.get_ylim() == right.get_ylim()
    low, high = axes[2].get_ylim()
    shown = [100 * c[k][:, 2:] for c in curves.values() for k in METRICS if "accuracy" in k]
    assert 50 < low <= np.quantile(np.concatenate(shown, axis=1), 0.025, axis=0).min()
    assert high > 100


def test_figure_4_has_a_dot_for_each_run_and_a_mark_for_the_report():
    curves = make_curves(["1", "full"])
    figure = save(plots.batch_sizes(curves, "epoch", {"1": (90.0, 91.0)}))
    for axes, part, mark in zip(figure.axes[4:], ("train", "test"), (90.0, 91.0), strict=True):
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "full"]
        for i, (dots, arrays) in enumerate(zip(axes.collections, curves.values(), strict=True)):
            x, y = points_of(dots).T
            assert y == pytest.approx(100 * arrays[f"{part}_accuracy"][:, -1])
            assert np.abs(x - i).max() < 0.5
        (line,) = axes.lines
        assert line.get_xydata().tolist() == [[0, mark]]
    assert legend_of(figure) == ["1", "full", "the report's run"]
    assert legend_of(save(plots.batch_sizes(curves, "epoch", {}))) == ["1", "full"]


def test_equal_ends_lie_abreast():
    curves = make_curves(["16"])
    curves["16"]["test_accuracy"][:, -1] = [*30 * [0.88], *10 * [0.97]]
    figure = save(plots.batch_sizes(curves, "epoch", {}))
    x, y = points_of(figure.axes[5].collections[0]).T
    for accuracy in (88, 97):
        places = np.sort(x[np.isclose(y, accuracy)])
        assert np.diff(places).min() > 0.02
        assert places.mean() == pytest.approx(0)


def test_figure_4_tells_any_number_of_batch_sizes_apart():
    names = [str(k) for k in range(9)]
    figure = save(plots.batch_sizes(make_curves(names), "updates", {}))
    assert legend_of(figure) == names
    assert len({to_rgba(line.get_color()) for line in figure.axes[0].lines}) == 9


def test_figure_4_of_a_single_entry_shows_it():
    figure = save(plots.batch_sizes(make_curves(["1"], n_runs=1, n_points=1), "epoch", {}))
    assert all(line.get_marker() == "o" for axes in figure.axes[:4] for line in axes.lines)


def test_side_by_side_puts_every_ratio_in_its_line():
    ratios = {
        "ours: numba": {"small": 1, "large": 1},
        "JAX": {"small": 6.5, "large": 2},
        "limit": {"large": 0.8},
    }
    (axes,) = plots.side_by_side(ratios, "ours: numba").axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["small", "large"]
    assert axes.get_xscale() == "log"
    assert "multiple of ours: numba" in axes.get_xlabel()
    drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert drawn["JAX"] == [[6.5, 0], [2, 1]]
    assert drawn["limit"] == [[0.8, 1]]
    assert axes.yaxis_inverted()  # the first is above
    legend = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert legend == ["ours: numba", "JAX", "limit"]


def test_growth_draws_seconds_against_sizes_in_a_panel_each():
    kinds = ("rows", "batch size", "width", "depth")
    curves = {
        kind: {"PyTorch": {"1": 0.5, "1000": 4.0}, "JAX": {"1": 0.1, "1000": 2.0}} for kind in kinds
    }
    figure = plots.growth(curves)
    assert [axes.get_xlabel() for axes in figure.axes] == [*kinds]
    for axes in figure.axes:
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        assert "seconds" in axes.get_ylabel()
        drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
        assert drawn == {"PyTorch": [[1, 0.5], [1000, 4]], "JAX": [[1, 0.1], [1000, 2]]}
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "1 000"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["PyTorch", "JAX"]
