"""Parts II and III: the assignment's figures 2 and 3 and the decision boundary.

The first functions each return a matplotlib Figure. Classes differ in colour (from the palette of
Okabe and Ito, which colour-blind people can tell apart). Training and test data differ in the
marker of their points, or in the style of their lines. Nothing here trains: `predict` is a function
that returns probabilities, such as the `forward` of an MLP. The parts below also serve the figures
of the experiments. The perceptron's Figure 1 is in perceptron.py.
"""

import os

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

CLASS_COLORS = ("#0072B2", "#E69F00", "#009E73", "#F0E442")
BAD = "#882255"  # a gradient or a run, in the experiments
GOOD = "#44AA99"
LINE_COLORS = {"train": "black", "test": "0.55"}  # a grey
LINE_STYLES = {"train": "-", "test": "--"}
POINTS = {
    "train": {"marker": "o", "s": 22, "edgecolors": "white", "linewidths": 0.6},
    "test": {"marker": "^", "s": 30, "edgecolors": "black", "linewidths": 0.9},
}
MOST_POINTS = {"train": 1500, "test": 375}  # that are drawn; more would hide what is behind them
REPORT_MARK = {"marker": "D", "color": "black", "markeredgecolor": "white", "linestyle": ""}
SHADE = 0.6  # how much of the colour is mixed with white where a class is certain


def data_set(data, title=None):
    """Draw Figure 2: the points of a train_mlp_numpy.Data, or some of the images of digits.

    Raises:
        ValueError: if the points are not in the plane, or of more than four classes.
    """
    if data.x_train.shape[1] == 64:
        return digits(data, title)
    figure, axes = new_figure(6.2, 5)
    handles = scatter_data(axes, data)
    legend_below(figure, handles)
    axes.set_title(title)
    return figure


def curves(history, title=None, marks=None):
    """Draw Figure 3: loss and accuracy on training and test data against the epoch.

    Args:
        history: a dict of equally long arrays, as `train` returns it.
        title: what to write above.
        marks: the report's final losses and accuracies, to be marked at the last epoch: a dict with
            keys of the history.
    """
    if marks is None:
        marks = {}
    figure, (left, right) = new_figure(10, 4.3, 1, 2)
    draw_curves(left, history, "loss", 1, marks)
    draw_curves(right, history, "accuracy", 100, marks)
    left.set_ylabel("cross-entropy (nats)")
    right.set_ylabel("accuracy (%)")
    figure.suptitle(title)
    return figure


def decision_boundary(predict, data, title=None, resolution=300):
    """Draw the regions that a classifier makes of the plane, and the points of a Data.

    Each place has the colour of its most probable class. The more probable this class is, the
    deeper is the colour. Where all classes are equally probable, it is white. Black lines are where
    the most probable class changes.

    Args:
        predict: a function from points, of shape (N, 2), to probabilities, of shape (N, C).
        data: a train_mlp_numpy.Data of two features and at most four classes.
        title: what to write above.
        resolution: the points along each side of the grid on which `predict` is evaluated.

    Raises:
        ValueError: if the data have other features, or more classes.
    """
    figure, axes = new_figure(7, 5.2)
    handles = scatter_data(axes, data)
    draw_regions(axes, predict, resolution)
    if data.y_train.shape[1] == 2:
        probability_bar(figure, axes)
        legend_below(figure, handles)
    else:
        note = "the deeper the colour of a place, the more probable its class"
        legend_below(figure, handles, note)
    axes.set_title(title)
    return figure


def of_run(data, history, predict, name, settings):
    """Return all figures of a training run: a dict of Figures by the names of their files.

    Args:
        data: a train_mlp_numpy.Data.
        history: what `train` returned.
        predict: the function of the trained network, as for `decision_boundary`.
        name: the name of the data set.
        settings: how the network was trained, for the titles.
    """
    rows = f"{len(data.x_train)} for training, {len(data.x_test)} for testing"
    figures = {
        "figure2_data.png": data_set(data, f"{name}: {rows}"),
        "figure3_curves.png": curves(history, f"{name}, {settings}"),
    }
    if data.x_train.shape[1] == 2:
        figures["decision_boundary.png"] = decision_boundary(predict, data, f"{name}, {settings}")
    return figures


# Below are the parts that these figures are made of.


def new_figure(width, height, n_rows=1, n_columns=1, **options):
    """Return a new Figure of width x height inches, and its axes. No window opens."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(n_rows, n_columns, **options)
    return figure, axes


def scatter_data(axes, data):
    """Draw both parts of a two-dimensional Data; return the entries of a legend."""
    scatter(axes, data.x_train, np.argmax(data.y_train, axis=1), "train")
    scatter(axes, data.x_test, np.argmax(data.y_test, axis=1), "test")
    fit_limits(axes, np.concatenate([data.x_train, data.x_test]))
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
    n_classes = data.y_train.shape[1]
    class_names = [f"class {k}" for k in range(n_classes)]
    n_rows = {"train": len(data.x_train), "test": len(data.x_test)}
    return legend_handles(class_names, n_rows)


def scatter(axes, points, classes, part):
    """Draw points, of shape (N, 2), in the colours of their classes, of shape (N,).

    Of many points, only the first are drawn, as many as MOST_POINTS says. The rows of a Data are
    shuffled, so these are a random sample.

    Raises:
        ValueError: if the points have another shape, or there are more classes than colours.
    """
    n_classes = np.max(classes) + 1
    if points.shape[1] != 2 or n_classes > len(CLASS_COLORS):
        raise ValueError(
            f"can draw points of shape (N, 2) in at most {len(CLASS_COLORS)} classes, "
            f"got shape {points.shape} and {n_classes} classes"
        )
    first_points = points[: MOST_POINTS[part]]
    first_classes = classes[: MOST_POINTS[part]]
    colors = [CLASS_COLORS[k] for k in first_classes]
    axes.scatter(first_points[:, 0], first_points[:, 1], c=colors, label=part, **POINTS[part])


def fit_limits(axes, points):
    """Set the limits of the axes so that points, of shape (N, 2), fit in, at equal scales.

    The axes are 4 wide to 3 high. The points span their width or their height, with a margin.
    """
    shape = np.array([4, 3])
    low = np.min(points, axis=0)
    high = np.max(points, axis=0)
    unit = np.max((high - low) / shape)  # the axes are 4 units wide and 3 high
    middle = (low + high) / 2
    half_size = 0.55 * unit * shape  # 0.5, and a tenth more for the margin
    left, bottom = middle - half_size
    right, top = middle + half_size
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")


def legend_handles(class_names, n_rows):
    """Return legend entries: a colour for each class, a marker for each part of the data.

    `n_rows` is a dict of the number of rows of each part. Where `scatter` does not draw all of
    them, the entry says how many it draws.
    """
    handles = []
    for name, color in zip(class_names, CLASS_COLORS, strict=False):
        handles.append(Line2D([], [], marker="s", linestyle="", color=color, label=name))
    for part in n_rows:
        look = POINTS[part]
        handle = Line2D(
            [],
            [],
            linestyle="",
            color="0.5",
            marker=look["marker"],
            markersize=look["s"] ** 0.5,  # `s` is an area
            markeredgecolor=look["edgecolors"],
            markeredgewidth=look["linewidths"],
            label=part,
        )
        if n_rows[part] > MOST_POINTS[part]:
            handle.set_label(f"{part} ({MOST_POINTS[part]:,} drawn)")
        handles.append(handle)
    return handles


def legend_below(figure, handles, title=None):
    """Add a legend of one line below everything else."""
    figure.legend(
        handles=handles,
        title=title,
        loc="outside lower center",
        ncols=len(handles),
        handlelength=1,
        handletextpad=0.4,
        columnspacing=1.2,
    )


def digits(data, title):
    """Draw two rows of training images and two of test images, with their labels."""
    figure, panels = new_figure(9, 4.4, 4, 10)
    for axes in panels.flat:
        axes.set_axis_off()
    draw_images(panels[:2], data.x_train, data.y_train, "train")
    draw_images(panels[2:], data.x_test, data.y_test, "test")
    figure.suptitle(title)
    return figure


def draw_images(panels, images, targets, part):
    """Draw an image of 8x8 pixels into each of the axes, as far as there are images."""
    for axes, image, target in zip(panels.flat, images, targets, strict=False):
        axes.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(f"{part}: {np.argmax(target)}", fontsize="small")


def draw_curves(axes, history, metric, scale, marks):
    """Draw a metric, `loss` or `accuracy`, on training and test data, times `scale`."""
    epochs = history["epoch"]
    for part in ("train", "test"):
        values = scale * np.asarray(history[f"{part}_{metric}"])
        marker = "o" if len(values) == 1 else None  # a line of one point cannot be seen
        look = {"color": LINE_COLORS[part], "linestyle": LINE_STYLES[part], "marker": marker}
        axes.plot(epochs, values, label=part, **look)
    for part in ("train", "test"):
        if f"{part}_{metric}" in marks:
            value = scale * marks[f"{part}_{metric}"]
            look = {**REPORT_MARK, "color": LINE_COLORS[part]}
            axes.plot(epochs[-1], value, label=f"the report's {part}", **look)
    axes.set_title(metric.capitalize())
    epoch_axis(axes, epochs[-1])
    axes.grid(alpha=0.3)
    axes.legend()


def epoch_axis(axes, last, unit="epoch"):
    """Let the x-axis run from 0 to `last`, on a square-root scale: it stretches the first epochs.

    There are ticks at both ends and, where their labels have room, at 1, 2, 5, 10, 20 and so on.
    """
    last = max(int(last), 1)
    axes.set(xlim=(0, 1.04 * last), xlabel=f"{unit} (square-root scale)")
    axes.set_xscale("function", functions=(np.sqrt, np.square))

    n_digits = len(str(last))
    room = 0.03 * (1 + n_digits)  # for a label, as a fraction of the axis
    # From the largest tick to the smallest: keep those with room on both sides. A place is a
    # fraction of the axis, 0 at its left end and 1 at `last`.
    ticks = [last]
    place_of_right_neighbour = 1
    for exponent in reversed(range(n_digits)):
        for digit in (5, 2, 1):
            tick = digit * 10**exponent
            place = np.sqrt(tick / last)
            if room < place < place_of_right_neighbour - room:
                ticks.append(tick)
                place_of_right_neighbour = place
    ticks.append(0)
    ticks.reverse()
    axes.set_xticks(ticks, ticks)


def draw_regions(axes, predict, resolution):
    """Colour the axes by the most probable class, with lines between; return what was drawn."""
    x, y = grid(axes, resolution)
    points = np.column_stack([x.ravel(), y.ravel()])
    probabilities = predict(points)
    n_classes = probabilities.shape[1]
    probabilities = probabilities.reshape(resolution, resolution, n_classes)
    winner = probabilities.argmax(axis=-1)
    # The largest of C probabilities is between 1/C and 1; certainty is between 0 and 1.
    certainty = (n_classes * probabilities.max(axis=-1) - 1) / (n_classes - 1)
    class_colors = np.array([to_rgb(color) for color in CLASS_COLORS])
    colors = class_colors[winner]  # of each place, of shape (resolution, resolution, 3)
    artists = [draw_shades(axes, SHADE * certainty, colors)]

    for k in range(n_classes):
        others = np.delete(probabilities, k, axis=-1)
        lead = probabilities[..., k] - others.max(axis=-1)  # of class k; at the line it is 0
        if lead.min() < 0 < lead.max():
            line = axes.contour(x, y, lead, levels=[0], colors="black", linewidths=1.5)
            artists.append(line)
        if n_classes == 2:
            break  # the line of the other class is the same
    return artists


def grid(axes, resolution):
    """Return coordinates that fill the axes, x and y, each of shape (resolution, resolution)."""
    x = np.linspace(*axes.get_xlim(), resolution)
    y = np.linspace(*axes.get_ylim(), resolution)
    return np.meshgrid(x, y)


def draw_shades(axes, depth, colors):
    """Fill the axes with colours, below everything else; return what was drawn.

    Args:
        axes: the axes, with the limits that they are to keep.
        depth: of shape (n, n), from 0 for white to 1 for the colour itself.
        colors: of shape (n, n, 3), or (3,).
    """
    image = mix_with_white(colors, depth[..., np.newaxis])
    extent = (*axes.get_xlim(), *axes.get_ylim())
    return axes.imshow(image, extent=extent, origin="lower", zorder=0)


def mix_with_white(colors, depth):
    """Return the colours where depth is 1, white where it is 0, and mixtures between."""
    white = 1
    return white - depth * (white - np.asarray(colors))


def probability_bar(figure, axes):
    """Add the colour bar of two classes beside the axes."""
    class_0 = mix_with_white(to_rgb(CLASS_COLORS[0]), SHADE)
    class_1 = mix_with_white(to_rgb(CLASS_COLORS[1]), SHADE)
    cmap = LinearSegmentedColormap.from_list("classes", [class_0, "white", class_1])
    scale = ScalarMappable(Normalize(0, 1), cmap)
    beside = axes.inset_axes([1.04, 0, 0.04, 1])  # as high as the axes
    figure.colorbar(scale, cax=beside, label="predicted probability of class 1")


# Below is what the scripts do with figures.


def finish(figures, args):
    """Write figures to args.output_dir, unless args.no_output, and open windows if args.show."""
    if not args.no_output:
        for name, figure in figures.items():
            path = args.output_dir / name
            scratch = f"{path}.{os.getpid()}.tmp"
            figure.savefig(scratch, format="png", dpi=150)
            os.replace(scratch, path)  # only now, so that there is never half a file at `path`
            print(f"wrote {path}")
    if args.show:
        show(figures)


def show(figures):
    """Open a window for each figure, and wait until all windows are closed."""
    for name, figure in figures.items():
        open_window(figure, name)
    plt.show(block=True)
    for name in figures:
        plt.close(name)


def open_window(figure, name):
    """Open a window for a figure that was made without one."""

    # pyplot calls FigureClass to make the figure of a new window; here it gets this one.
    def take_this_figure(**options):
        return figure

    plt.figure(name, FigureClass=take_this_figure)


def check_display(parser):
    """End the program with an error of the parser if matplotlib cannot open windows here."""
    if plt.get_backend().lower() == "agg":
        parser.error("argument --show: no display or no window toolkit here; leave it out")
