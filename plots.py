"""Parts I to III: the assignment's figures 2 and 3 and the decision boundary.

Each function returns a matplotlib Figure. Classes differ in colour (the palette of Okabe and Ito,
which the colour-blind can tell apart), training and test data in marker or line. Nothing here
trains: a network comes as its function `predict`. The helpers below also draw the experiments'
figures; the perceptron's Figure 1 is in perceptron.py.
"""

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.colors import LinearSegmentedColormap, to_rgb, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlp_numpy import open_whole

CLASS_COLORS = ("#0072B2", "#E69F00", "#009E73", "#F0E442")
BAD, GOOD = "#882255", "#44AA99"  # for gradients and runs
LINE_COLORS = {"train": "black", "test": "0.55"}
POINTS = {
    "train": {"marker": "o", "s": 22, "edgecolors": "white", "linewidths": 0.6},
    "test": {"marker": "^", "s": 30, "edgecolors": "black", "linewidths": 0.9},
}
REPORT_MARK = {"marker": "D", "color": "black", "markeredgecolor": "white", "linestyle": ""}
SHADE = 0.6  # the depth of colour where a class is certain

# Everything is drawn with matplotlib's own settings: those of the user, such as a dark background
# or text by LaTeX, are put aside while a function with this decorator runs.
plain_style = style.context("default")


class PlainFigure(Figure):
    """A Figure that is also drawn and saved in this style: its ticks are made no earlier."""

    draw = plain_style(Figure.draw)
    savefig = plain_style(Figure.savefig)


@plain_style
def data_set(data, title=None):
    """Figure 2: a train_mlp_numpy.Data; points in the plane, or some of the images of digits.

    Other data, or more than four classes in the plane, are a ValueError.
    """
    if np.shape(data.x_train)[1:] == (64,):
        return _digits(data, title)
    figure, axes = new_figure(6.2, 5)
    legend_below(figure, scatter_data(axes, data))
    axes.set_title(title)
    return figure


@plain_style
def curves(history, title=None, marks=None):
    """Figure 3: loss and accuracy on training and test data against the epoch, from `train`.

    Args:
        history: a dict of equally long arrays, as `train` returns it.
        title: what to write above.
        marks: the report's final figures, to mark at the last epoch, by the keys of the history.
    """
    figure, panels = new_figure(10, 4.3, 1, 2)
    draw_curves(panels, history, marks or {})
    figure.suptitle(title)
    return figure


@plain_style
def decision_boundary(predict, data, title=None, resolution=300):
    """Draw the regions that a classifier makes of the plane, and the points of a Data.

    Each place has the colour of its most probable class, deeper if it is more probable and white
    if it is undecided. Black lines are where the most probable class changes.

    Args:
        predict: a function from points, of shape (N, 2), to probabilities, of shape (N, C).
        data: a train_mlp_numpy.Data of two features and at most four classes, else a ValueError.
        title: what to write above.
        resolution: the points along each side of the grid on which `predict` is evaluated.
    """
    figure, axes = new_figure(7, 5.2)
    handles, note = scatter_data(axes, data), None
    draw_regions(axes, predict, resolution)
    if np.shape(data.y_train)[1] == 2:
        probability_bar(figure, axes)
    else:
        note = "the deeper the colour of a place, the more probable its class"
    legend_below(figure, handles, note)
    axes.set_title(title)
    return figure


def of_run(data, history, predict, title):
    """Return the figures of a training run, by the names of their files.

    The title tells the data set and, after a comma, how the network was trained.
    """
    rows = f"{len(data.x_train)} training rows, {len(data.x_test)} test rows"
    figures = {
        "figure2_data.png": data_set(data, f"{title.split(',')[0]}: {rows}"),
        "figure3_curves.png": curves(history, title),
    }
    if data.x_train.shape[1] == 2:
        figures["decision_boundary.png"] = decision_boundary(predict, data, title)
    return figures


@plain_style
def new_figure(width, height, n_rows=1, n_columns=1, **options):
    """Return a Figure of width x height inches and its axes."""
    figure = PlainFigure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(n_rows, n_columns, **options)


@plain_style
def scatter(axes, points, classes, part):
    """Draw points, of shape (N, 2), in the colours of their classes, of shape (N,).

    The more there are, the smaller they are, and the thinner their outlines. Points of another
    shape, or more classes than there are colours, are a ValueError.
    """
    points, classes = np.asarray(points), np.asarray(classes)
    if points.shape[1:] != (2,) or classes.max() >= len(CLASS_COLORS):
        raise ValueError(
            f"can draw points of shape (N, 2) in at most {len(CLASS_COLORS)} classes, "
            f"got shape {points.shape} and {classes.max() + 1} classes"
        )
    look, at_most = POINTS[part], {"train": 1500, "test": 375}[part]  # from there on they shrink
    shrink = at_most / max(at_most, len(points))
    look = look | {"s": look["s"] * shrink, "linewidths": round(look["linewidths"] * shrink, 1)}
    axes.scatter(*points.T, c=to_rgba_array(CLASS_COLORS)[classes], label=part, **look)


@plain_style
def fit_limits(axes, points):
    """Fit the limits of the axes to points, of shape (N, 2), on a box of 4 to 3, at equal scales.

    Around the points is a margin of 5 %, or more in one of the directions.
    """
    low, high, shape = np.min(points, axis=0), np.max(points, axis=0), np.array([4, 3])
    reach = 0.55 * (np.max((high - low) / shape) or 1) * shape
    (left, bottom), (right, top) = (low + high) / 2 - reach, (low + high) / 2 + reach
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


@plain_style
def legend_handles(class_names, parts=tuple(POINTS)):
    """Return legend entries: a colour for each class, a marker for each part of the data."""
    handles = [
        Line2D([], [], marker="s", linestyle="", color=color, label=name)
        for name, color in zip(class_names, CLASS_COLORS, strict=False)
    ]
    for part in parts:
        marker, size, edge, width = POINTS[part].values()
        look = {"marker": marker, "markeredgecolor": edge, "markeredgewidth": width}
        look |= {"markersize": size**0.5, "linestyle": "", "color": "0.5"}  # a size is an area
        handles.append(Line2D([], [], label=part, **look))
    return handles


@plain_style
def legend_below(figure, handles, title=None):
    """Add a legend of one line below everything else."""
    look = {"handlelength": 1, "handletextpad": 0.4, "columnspacing": 1.2, "ncols": len(handles)}
    figure.legend(handles=handles, title=title, loc="outside lower center", **look)


@plain_style
def scatter_data(axes, data):
    """Draw both parts of a two-dimensional Data; return the entries of a legend."""
    scatter(axes, data.x_train, np.argmax(data.y_train, axis=1), "train")
    scatter(axes, data.x_test, np.argmax(data.y_test, axis=1), "test")
    fit_limits(axes, np.concatenate([data.x_train, data.x_test]))
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
    return legend_handles([f"class {k}" for k in range(np.shape(data.y_train)[1])])


@plain_style
def _digits(data, title, n_columns=10):
    """Draw two rows of training images and two of test images, with their labels."""
    figure, panels = new_figure(9, 4.4, 4, n_columns)
    for axes in panels.flat:
        axes.set_axis_off()
    parts = (("train", data.x_train, data.y_train), ("test", data.x_test, data.y_test))
    for rows, (part, images, targets) in zip((panels[:2], panels[2:]), parts, strict=True):
        for axes, image, target in zip(rows.flat, images, targets, strict=False):
            axes.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(f"{part}: {target.argmax()}", fontsize="small")
    figure.suptitle(title)
    return figure


@plain_style
def draw_curves(panels, history, marks=()):
    """Draw the losses on the first of two axes and the accuracies on the second."""
    epochs = history["epoch" if "epoch" in history else "step"]  # as it was called before
    scales = {"loss": 1, "accuracy": 100}
    for axes, (metric, scale) in zip(panels, scales.items(), strict=True):
        for part, dashes in (("train", "-"), ("test", "--")):
            values = scale * np.asarray(history[f"{part}_{metric}"])
            marker = "o" if len(values) == 1 else None  # a line of one point cannot be seen
            color = LINE_COLORS[part]
            axes.plot(epochs, values, dashes, marker=marker, color=color, label=part)
        for part in LINE_COLORS:
            if f"{part}_{metric}" in marks:
                axes.plot(
                    epochs[-1],
                    scale * marks[f"{part}_{metric}"],
                    **REPORT_MARK | {"color": LINE_COLORS[part]},
                    label=f"the report's {part}",
                )
        axes.set_title(metric.capitalize())
        epoch_axis(axes, epochs[-1])
        axes.grid(alpha=0.3)
        axes.legend()
    panels[0].set_ylabel("cross-entropy (nats)")
    panels[1].set_ylabel("accuracy (%)")


@plain_style
def epoch_axis(axes, last, unit="epoch"):
    """Let the x-axis run from 0 to `last` on a square-root scale, which leaves room for the start.

    There are ticks at both ends and, where their labels have room, at 1, 2, 5, 10 and so on.
    """
    last = max(int(last), 1)
    axes.set(xlim=(0, 1.04 * last), xlabel=f"{unit} (square-root scale)")
    axes.set_xscale("function", functions=(np.sqrt, np.square))
    apart, ticks = 0.03 * (1 + len(str(last))), [last]  # in widths of the axes
    for tick in (m * 10**k for k in reversed(range(len(str(last)))) for m in (5, 2, 1)):
        if apart < np.sqrt(tick / last) < np.sqrt(ticks[0] / last) - apart:
            ticks.insert(0, tick)
    axes.set_xticks([0, *ticks], [0, *ticks])


@plain_style
def probability_bar(figure, axes):
    """Add the colour bar of two classes beside the axes."""
    shades = [1 - SHADE * (1 - np.array(to_rgb(color))) for color in CLASS_COLORS[:2]]
    cmap = LinearSegmentedColormap.from_list("classes", [shades[0], "white", shades[1]])
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 1), cmap)
    beside = axes.inset_axes([1.04, 0, 0.04, 1])  # as high as the axes
    figure.colorbar(scale, cax=beside, label="predicted probability of class 1")


def grid(axes, resolution):
    """Return coordinates that fill the axes, x and y, each of shape (resolution, resolution)."""
    limits = axes.get_xlim(), axes.get_ylim()
    return np.meshgrid(*(np.linspace(*ends, resolution) for ends in limits))


@plain_style
def draw_shades(axes, depth, colors):
    """Fill the axes, below everything else, with colours on white; return the artist.

    Args:
        axes: the axes, with the limits that they are to keep.
        depth: of shape (n, n), from 0 for white to 1 for the colour itself.
        colors: of shape (n, n, 3), or (3,).
    """
    image = 1 - depth[..., None] * (1 - np.asarray(colors))
    extent = (*axes.get_xlim(), *axes.get_ylim())
    return axes.imshow(image, extent=extent, origin="lower", zorder=0)


@plain_style
def draw_regions(axes, predict, resolution):
    """Shade the axes by the most probable class, with lines between; return the artists."""
    x, y = grid(axes, resolution)
    probabilities = predict(np.column_stack([x.ravel(), y.ravel()]))
    probabilities = probabilities.reshape(*x.shape, -1)
    n_classes = probabilities.shape[-1]
    # 0 where all classes are equally probable, 1 where one is certain.
    certainty = (probabilities.max(axis=-1) * n_classes - 1) / (n_classes - 1)
    colors = to_rgba_array(CLASS_COLORS)[probabilities.argmax(axis=-1), :3]
    artists = [draw_shades(axes, SHADE * certainty, colors)]
    for k in range(n_classes if n_classes > 2 else 1):
        others = np.delete(probabilities, k, axis=-1).max(axis=-1)
        margin = probabilities[..., k] - others
        if margin.min() < 0 < margin.max():
            artists.append(axes.contour(x, y, margin, levels=[0], colors="black", linewidths=1.5))
    return artists


# Below is what the scripts do with figures.


def finish(figures, args):
    """Write figures to args.output_dir, unless args.no_output, and open windows if args.show."""
    if not args.no_output:
        for name, figure in figures.items():
            with open_whole(args.output_dir / name) as file:
                figure.savefig(file, format="png", dpi=150)
        for name in figures:  # only now, because where a terminal was closed nothing can be printed
            print(f"wrote {args.output_dir / name}")
    if args.show:
        import matplotlib.pyplot as plt

        for name, figure in figures.items():
            plt.figure(name, FigureClass=lambda figure=figure, **options: figure)  # adopts it
        plt.show(block=True)
        for name in figures:
            plt.close(name)


def check_display(parser):
    """Exit with an error of the parser where matplotlib cannot open windows."""
    import matplotlib.pyplot as plt

    if plt.get_backend().lower() in ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template"):
        parser.error("argument --show: no display or no window toolkit here; leave it out")


if __name__ == "__main__":
    raise SystemExit("plots.py is no script; run perceptron.py or train_mlp_numpy.py for figures")
