"""Every figure of the project, drawn from the data it is given.

Each function returns a matplotlib Figure and neither saves nor shows it. Classes are told apart by
colours that the colour-blind can tell apart too (the palette of Okabe and Ito), training and test
data by marker or line style. Nothing here trains or predicts: networks come as functions.
"""

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

CLASS_COLORS = ("#0072B2", "#D55E00", "#009E73")
BATCH_SIZE_COLORS = ("#D55E00", "#0072B2", "#009E73", "#56B4E9", "#CC79A7")
LINE_COLORS = {"train": "#0072B2", "test": "#D55E00"}
MARKERS = {"train": "o", "test": "^"}
SHADE = 0.6  # how much of its colour a region takes where its class is certain


def _new_figure(width, height, n_rows=1, n_columns=1, **options):
    """Return a Figure of width x height inches and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(n_rows, n_columns, **options)


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


def batch_sizes(curves, x_label, marks, title=None):
    """Figure 4: how the curves of many seeds spread at each batch size, and where they end.

    Lines are medians, bands hold the central 95 %. Below, each dot is where a run ends.

    Args:
        curves: for each batch size, by name, a dict of `x`, of shape (n_points,), and train_loss,
            test_loss, train_accuracy and test_accuracy, each of shape (n_runs, n_points).
        x_label: what `x` counts.
        marks: a pair of accuracies, training and test in percent, to mark among the dots, by the
            same names.
        title: what to write above.
    """
    figure, panels = _new_figure(10, 11.5, 3, 2, sharey="row")
    colors = BATCH_SIZE_COLORS
    if len(curves) > len(colors):
        colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(curves)))
    colors = dict(zip(curves, colors, strict=False))
    mark = {"marker": "D", "color": "black", "markeredgecolor": "white", "linestyle": ""}
    for k, part in enumerate(("train", "test")):
        loss, accuracy, end = panels[:, k]
        _draw_bands(loss, curves, f"{part}_loss", 1, colors)
        loss.set(xlabel=x_label, title=f"{part} loss")
        _draw_bands(accuracy, curves, f"{part}_accuracy", 100, colors)
        accuracy.set(xlabel=x_label, title=f"{part} accuracy")
        for i, (name, arrays) in enumerate(curves.items()):
            values = 100 * arrays[f"{part}_accuracy"][:, -1]
            end.scatter(i + _offsets(values), values, s=9, color=colors[name])
            if name in marks:
                end.plot(i, marks[name][k], **mark)
        end.set_xticks(range(len(curves)), curves)
        end.set(xlabel="batch size", title=f"final {part} accuracy of each run")
        end.grid(alpha=0.3, axis="y")
    for axes, label in zip(
        panels[:, 0], ("cross-entropy (nats)", *2 * ["accuracy (%)"]), strict=True
    ):
        axes.set_ylabel(label)
    # Accuracies begin at chance, far below what is to be seen: the first tenth may leave the panel.
    lows = [
        100 * np.quantile(arrays[key][:, arrays[key].shape[1] // 10 :], 0.025, axis=0).min()
        for arrays in curves.values()
        for key in ("train_accuracy", "test_accuracy")
    ]
    panels[1, 0].set_ylim(min(lows) - 1, 100.5)
    handles = [Line2D([], [], color=color, label=name) for name, color in colors.items()]
    if marks:
        handles.append(Line2D([], [], label="the report's run", **mark))
    figure.legend(
        handles=handles, title="batch size", loc="outside lower center", ncols=min(len(handles), 8)
    )
    figure.suptitle(title)
    return figure


def _draw_bands(axes, curves, key, scale, colors):
    """Draw the median of each batch size as a line and the central 95 % as a band."""
    for name, arrays in curves.items():
        low, median, high = scale * np.quantile(arrays[key], (0.025, 0.5, 0.975), axis=0)
        face, edge = to_rgba(colors[name], 0.15), to_rgba(colors[name], 0.6)
        axes.fill_between(arrays["x"], low, high, facecolor=face, edgecolor=edge, linewidth=0.6)
        marker = "o" if len(median) == 1 else None  # a line of one point cannot be seen
        axes.plot(arrays["x"], median, color=colors[name], marker=marker, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)


def _offsets(values, width=0.42, bin_width=0.25):
    """Return by how much to move points sideways, of shape (N,), for equal ones to lie abreast."""
    bins = np.round(np.asarray(values) / bin_width)
    counts = {b: int((bins == b).sum()) for b in set(bins.tolist())}
    spacing = min(0.06, 2 * width / max(counts.values()))
    offsets, seen = np.zeros(len(bins)), dict.fromkeys(counts, 0)
    for i, b in enumerate(bins.tolist()):
        offsets[i] = spacing * (seen[b] - (counts[b] - 1) / 2)
        seen[b] += 1
    return offsets


def show(figures):
    """Open the figures, a dict by name, in windows and wait until they are closed."""
    import matplotlib.pyplot as plt

    for name, figure in figures.items():
        plt.figure(figure).canvas.manager.set_window_title(name)
    plt.show()
