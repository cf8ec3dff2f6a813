"""Parts I to III: the assignment's figures 2 and 3 and the decision boundary.

Each function returns a matplotlib Figure. Classes differ in colour (the palette of Okabe and Ito,
which the colour-blind can tell apart), training and test data in marker or line. Nothing here
trains: a network comes as its function `predict`. The helpers below also draw the experiments'
figures; the perceptron's Figure 1 is in perceptron.py.
"""

import matplotlib
import numpy as np
from matplotlib import style
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mlp_numpy import open_whole

CLASS_COLORS = ("#0072B2", "#D55E00", "#009E73")
BAD, GOOD = "#882255", "#44AA99"  # for gradients and runs
LINE_COLORS = {"train": "black", "test": "0.55"}
MARKERS = {"train": "o", "test": "^"}
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
    """Figure 2: a train_mlp_numpy.Data; points in the plane, or some of the images of digits."""
    if data.x_train.shape[1] != 2:
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
        data: a train_mlp_numpy.Data of two features.
        title: what to write above.
        resolution: the points along each side of the grid on which `predict` is evaluated.
    """
    figure, axes = new_figure(7, 5.2)
    legend_below(figure, scatter_data(axes, data))
    draw_regions(axes, predict, resolution)
    n_classes = data.y_train.shape[1]
    if n_classes == 2:
        probability_bar(figure, axes)
    else:
        axes.set_xlabel("$x_1$\nthe deeper the colour, the more probable its class")
    axes.set_title(title)
    return figure


def of_run(data, history, predict, title):
    """Return the figures of a training run, by the names of their files."""
    rows = f"{len(data.x_train)} training rows, {len(data.x_test)} test rows"
    figures = {
        "figure2_data.png": data_set(data, rows),
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
def scatter(axes, points, classes, part, **options):
    """Draw points, of shape (N, 2), in the colours of their classes, of shape (N,)."""
    look = {"linewidths": 0.6, "edgecolors": "white"}
    if part == "test":
        look = {"linewidths": 0.9, "edgecolors": "black"}
    axes.scatter(
        points[:, 0],
        points[:, 1],
        s=(22 if part == "train" else 30) * min(1, 1500 / len(points)),
        c=[CLASS_COLORS[k] for k in classes],
        marker=MARKERS[part],
        label=part,
        **look | options,
    )


@plain_style
def fit_limits(axes, points):
    """Fit the limits of the axes to points, of shape (N, 2), with a margin of 5 %."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.05 * np.where(high > low, high - low, 1)
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1], high[1] + margin[1])


@plain_style
def legend_handles(class_names):
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


@plain_style
def legend_below(figure, handles):
    """Add a legend of one line below everything else."""
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


@plain_style
def scatter_data(axes, data, **options):
    """Draw both parts of a two-dimensional Data; return the entries of a legend."""
    scatter(axes, data.x_train, data.y_train.argmax(axis=1), "train", **options)
    scatter(axes, data.x_test, data.y_test.argmax(axis=1), "test", **options)
    fit_limits(axes, np.concatenate([data.x_train, data.x_test]))
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
    return legend_handles([f"class {k}" for k in range(data.y_train.shape[1])])


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
    scales = {"loss": 1, "accuracy": 100}
    for axes, (metric, scale) in zip(panels, scales.items(), strict=True):
        for part, dashes in (("train", "-"), ("test", "--")):
            values = scale * np.asarray(history[f"{part}_{metric}"])
            marker = "o" if len(values) == 1 else None  # a line of one point cannot be seen
            color = LINE_COLORS[part]
            axes.plot(history["step"], values, dashes, marker=marker, color=color, label=part)
        for part in LINE_COLORS:
            if f"{part}_{metric}" in marks:
                axes.plot(
                    history["step"][-1],
                    scale * marks[f"{part}_{metric}"],
                    **REPORT_MARK | {"color": LINE_COLORS[part]},
                    label=f"the report's {part}",
                )
        axes.set_title(metric.capitalize())
        epoch_axis(axes, history["step"][-1])
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
    axes.set(xlim=(0, last), xlabel=f"{unit} (square-root scale)")
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
    figure.colorbar(scale, ax=axes, label="predicted probability of class 1")


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
    return axes.imshow(image, extent=extent, origin="lower", aspect="auto", zorder=0)


@plain_style
def draw_regions(axes, predict, resolution):
    """Shade the axes by the most probable class, with lines between; return the artists."""
    x, y = grid(axes, resolution)
    probabilities = predict(np.column_stack([x.ravel(), y.ravel()]))
    probabilities = probabilities.reshape(*x.shape, -1)
    n_classes = probabilities.shape[-1]
    # 0 where all classes are equally probable, 1 where one is certain.
    certainty = (probabilities.max(axis=-1) * n_classes - 1) / (n_classes - 1)
    colors = np.array([to_rgb(color) for color in CLASS_COLORS])[probabilities.argmax(axis=-1)]
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
            print(f"wrote {args.output_dir / name}")
    if args.show:
        import matplotlib.pyplot as plt

        for name, figure in figures.items():
            plt.figure(name, FigureClass=lambda figure=figure, **options: figure)  # adopts it
        plt.show()


def check_display(parser):
    """Exit with an error of the parser where matplotlib cannot open windows."""
    import matplotlib.pyplot as plt

    if plt.get_backend().lower() == "agg":
        parser.error("argument --show: no display or no window toolkit here; leave it out")
