"""Every figure of the project, drawn from the data it is given.

Each function returns a matplotlib Figure and neither saves nor shows it. Classes are told apart by
colours that the colour-blind can tell apart too (the palette of Okabe and Ito), training and test
data by marker or line style. Nothing here trains or predicts: networks come as functions.
"""

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

CLASS_COLORS = ("#0072B2", "#D55E00", "#009E73")
LINE_COLORS = {"train": "#0072B2", "test": "#D55E00"}
MARKERS = {"train": "o", "test": "^"}
SHADE = 0.6  # how much of its colour a region takes where its class is certain


def _new_figure(width, height, n_rows=1, n_columns=1):
    """Return a Figure of width x height inches and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(n_rows, n_columns)


def _scatter(axes, points, classes, part):
    """Draw points, of shape (N, 2), in the colours of their classes, of shape (N,)."""
    style = {"linewidths": 0.6, "edgecolors": "white"}
    if part == "test":
        style = {"linewidths": 0.9, "edgecolors": "black"}
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=(22 if part == "train" else 30) * min(1, 1500 / len(points)),
        c=[CLASS_COLORS[k] for k in classes],
        marker=MARKERS[part],
        label=part,
        **style,
    )


def _fit_limits(axes, points):
    """Fit the limits of the axes to points, of shape (N, 2), with a margin of 5 %."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.05 * np.where(high > low, high - low, 1)
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])


def _legend_handles(class_names):
    """Return legend entries: a colour for each class, a marker each for training and test."""
    colors = [
        Line2D([], [], marker="s", linestyle="", color=color, label=name)
        for name, color in zip(class_names, CLASS_COLORS, strict=False)
    ]
    markers = [
        Line2D([], [], marker=marker, linestyle="", color="0.4", label=part)
        for part, marker in MARKERS.items()
    ]
    return colors + markers


def perceptron_cases(results):
    """Figure 1: data, decision boundary and accuracy of each perceptron.Result, a panel each."""
    figure, panels = _new_figure(9, 8.4, 2, 2)
    for number, (axes, result) in enumerate(zip(panels.flat, results, strict=True), start=1):
        parts = {
            "train": (result.train_points, result.train_labels),
            "test": (result.test_points, result.test_labels),
        }
        for part, (points, labels) in parts.items():
            _scatter(axes, points, np.where(labels == 1, 0, 1), part)
        _fit_limits(axes, np.concatenate([result.train_points, result.test_points]))
        _draw_boundary(axes, result.weights)
        axes.set_title(
            f"Case {number}: {result.case.name}\n"
            f"test accuracy {result.test_accuracy:.3f}, Bayes-optimal {result.bayes_accuracy:.3f}"
        )
        axes.set(xlabel="$x_1$", ylabel="$x_2$")
    handles = _legend_handles(["class +1", "class -1"])
    handles.append(Line2D([], [], color="black", label="decision boundary"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_boundary(axes, weights):
    """Draw the line w.x + b = 0 across the whole panel; where there is none, say so."""
    *normal, bias = np.array(weights) / (np.abs(weights[:2]).max() or 1)
    length = np.hypot(*normal)
    missing = "no boundary: w = 0"
    if length > 0:
        normal /= length
        foot = -bias / length * normal  # the point of the line nearest to the origin
        along = np.array([-normal[1], normal[0]])
        axes.axline(foot, foot + along, color="black")
        missing = "the boundary lies outside"
        corners = np.array([(x, y) for x in axes.get_xlim() for y in axes.get_ylim()])
        scores = (corners - foot) @ normal
        if scores.min() <= 0 <= scores.max():
            return
    box = {"facecolor": "white", "edgecolor": "black"}
    axes.text(0.5, 0.05, missing, transform=axes.transAxes, ha="center", bbox=box)


def data_set(data, title=None):
    """Figure 2: a train_mlp_numpy.Data; points in the plane, or some of the images of digits."""
    if data.x_train.shape[1] != 2:
        return _digits(data, title)
    figure, axes = _new_figure(6.2, 5)
    _scatter_data(figure, axes, data)
    axes.set_title(title)
    return figure


def _scatter_data(figure, axes, data):
    """Draw both parts of a two-dimensional Data with a legend below the panel."""
    _scatter(axes, data.x_train, data.y_train.argmax(axis=1), "train")
    _scatter(axes, data.x_test, data.y_test.argmax(axis=1), "test")
    _fit_limits(axes, np.concatenate([data.x_train, data.x_test]))
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
    names = [f"class {k}" for k in range(data.y_train.shape[1])]
    handles = _legend_handles(names)
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _digits(data, title, n_columns=10):
    """Draw two rows of training images and two of test images, with their labels."""
    figure, panels = _new_figure(9, 4.4, 4, n_columns)
    for axes in panels.flat:
        axes.set_axis_off()
    parts = (("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test))
    for rows, (part, images, targets) in zip((panels[:2], panels[2:]), parts, strict=True):
        for axes, image, target in zip(rows.flat, images, targets, strict=False):
            axes.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(f"{part}: {target.argmax()}", fontsize="small")
    figure.suptitle(title)
    return figure


def curves(history, title=None):
    """Figure 3: loss and accuracy on training and test data against the epoch, from `train`."""
    figure, panels = _new_figure(10, 4.3, 1, 2)
    scales = {"loss": 1, "accuracy": 100}
    for axes, (metric, scale) in zip(panels, scales.items(), strict=True):
        for part, style in (("train", "-"), ("test", "--")):
            values = scale * np.asarray(history[f"{part}_{metric}"])
            marker = "o" if len(values) == 1 else None  # a line of one point cannot be seen
            color = LINE_COLORS[part]
            axes.plot(history["step"], values, style, marker=marker, color=color, label=part)
        axes.set(xlabel="epoch", title=metric.capitalize())
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    panels[0].set_ylabel("cross-entropy (nats)")
    panels[1].set_ylabel("accuracy (%)")
    figure.suptitle(title)
    return figure


def decision_boundary(predict, data, title=None, resolution=300):
    """Draw the regions that a classifier makes of the plane, and the points of a Data.

    The colour of a place is that of its most probable class, the deeper the more probable; white
    is undecided. Black lines are where the most probable class changes.

    Args:
        predict: a function from points, of shape (N, 2), to probabilities, of shape (N, C).
        data: a train_mlp_numpy.Data of two features.
        title: what to write above.
        resolution: the points along each side of the grid on which `predict` is evaluated.
    """
    figure, axes = _new_figure(7, 5.2)
    _scatter_data(figure, axes, data)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x, y = np.meshgrid(np.linspace(left, right, resolution), np.linspace(bottom, top, resolution))
    probabilities = predict(np.column_stack([x.ravel(), y.ravel()]))
    probabilities = probabilities.reshape(*x.shape, -1)
    n_classes = probabilities.shape[-1]
    # 0 where all classes are equally probable, 1 where one is certain.
    certainty = (probabilities.max(axis=-1) * n_classes - 1) / (n_classes - 1)
    colors = np.array([to_rgb(color) for color in CLASS_COLORS])[probabilities.argmax(axis=-1)]
    image = 1 - SHADE * certainty[..., None] * (1 - colors)
    axes.imshow(image, extent=(left, right, bottom, top), origin="lower", aspect="auto", zorder=0)
    for k in range(n_classes if n_classes > 2 else 1):
        others = np.delete(probabilities, k, axis=-1).max(axis=-1)
        margin = probabilities[..., k] - others
        if margin.min() < 0 < margin.max():
            axes.contour(x, y, margin, levels=[0], colors="black", linewidths=1.5)
    if n_classes == 2:
        shades = [1 - SHADE * (1 - np.array(to_rgb(color))) for color in CLASS_COLORS[:2]]
        cmap = LinearSegmentedColormap.from_list("classes", [shades[0], "white", shades[1]])
        scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 1), cmap)
        figure.colorbar(scale, ax=axes, label="predicted probability of class 1")
    elif n_classes > 2:
        axes.set_xlabel("$x_1$\nthe deeper the colour, the more probable its class")
    axes.set_title(title)
    return figure


def show(figures):
    """Open the figures, a dict by name, in windows and wait until they are closed."""
    import matplotlib.pyplot as plt

    for name, figure in figures.items():
        plt.figure(figure).canvas.manager.set_window_title(name)
    plt.show()
