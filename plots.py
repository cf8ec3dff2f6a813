"""Every figure of the project, drawn from the data it is given.

Each function returns a matplotlib Figure and neither saves nor shows it. Classes are told apart by
colours that the colour-blind can tell apart too (the palette of Okabe and Ito), training and test
data by marker or line. Nothing here trains or predicts: networks come as functions.
"""

import io

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from PIL import Image

CLASS_COLORS = ("#0072B2", "#D55E00", "#009E73")
BATCH_SIZE_COLORS = ("#D55E00", "#0072B2", "#009E73", "#56B4E9", "#CC79A7")
LINE_COLORS = {"train": "black", "test": "0.55"}
BAD, GOOD = "#882255", "#44AA99"  # of runs and gradients, which belong to no class
MARKERS = {"train": "o", "test": "^"}
CONTENDER_STYLES = {
    "straightforward": {"color": "#56B4E9", "marker": "o"},
    "ours: numpy": {"color": "#0072B2", "marker": "s"},
    "ours: numba": {"color": "black", "marker": "D"},
    "scikit-learn": {"color": "#E69F00", "marker": "v"},
    "PyTorch": {"color": "#D55E00", "marker": "^"},
    "PyTorch compiled": {"color": "#CC79A7", "marker": ">"},
    "JAX": {"color": "#009E73", "marker": "P"},
    "limit": {"color": "0.5", "marker": "|", "markersize": 16, "markeredgewidth": 2},
}
REPORT_MARK = {"marker": "D", "color": "black", "markeredgecolor": "white", "linestyle": ""}
SHADE = 0.6  # how much of its colour a region takes where its class is certain


def _new_figure(width, height, n_rows=1, n_columns=1, **options):
    """Return a Figure of width x height inches and its axes."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(n_rows, n_columns, **options)


def _scatter(axes, points, classes, part, **options):
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
        **style | options,
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


def _legend_below(figure, handles):
    """Add a legend of one line below everything else."""
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


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
    _legend_below(figure, handles)
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
    _legend_below(figure, _scatter_data(axes, data))
    axes.set_title(title)
    return figure


def _scatter_data(axes, data, **options):
    """Draw both parts of a two-dimensional Data; return the entries of a legend."""
    _scatter(axes, data.x_train, data.y_train.argmax(axis=1), "train", **options)
    _scatter(axes, data.x_test, data.y_test.argmax(axis=1), "test", **options)
    _fit_limits(axes, np.concatenate([data.x_train, data.x_test]))
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
    return _legend_handles([f"class {k}" for k in range(data.y_train.shape[1])])


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


def curves(history, title=None, marks=None):
    """Figure 3: loss and accuracy on training and test data against the epoch, from `train`.

    Args:
        history: a dict of equally long arrays, as `train` returns it.
        title: what to write above.
        marks: the report's final figures, to mark at the last epoch, by the keys of the history.
    """
    figure, panels = _new_figure(10, 4.3, 1, 2)
    _draw_curves(panels, history, marks or {})
    figure.suptitle(title)
    return figure


def _draw_curves(panels, history, marks=()):
    """Draw the losses on the first of two axes and the accuracies on the second."""
    scales = {"loss": 1, "accuracy": 100}
    for axes, (metric, scale) in zip(panels, scales.items(), strict=True):
        for part, style in (("train", "-"), ("test", "--")):
            values = scale * np.asarray(history[f"{part}_{metric}"])
            marker = "o" if len(values) == 1 else None  # a line of one point cannot be seen
            color = LINE_COLORS[part]
            axes.plot(history["step"], values, style, marker=marker, color=color, label=part)
        for part in LINE_COLORS:
            if f"{part}_{metric}" in marks:
                axes.plot(
                    history["step"][-1],
                    scale * marks[f"{part}_{metric}"],
                    **REPORT_MARK | {"color": LINE_COLORS[part]},
                    label=f"the report's {part}",
                )
        axes.set(xlabel="epoch", title=metric.capitalize())
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    panels[0].set_ylabel("cross-entropy (nats)")
    panels[1].set_ylabel("accuracy (%)")


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
    _legend_below(figure, _scatter_data(axes, data))
    _draw_regions(axes, predict, resolution)
    n_classes = data.y_train.shape[1]
    if n_classes == 2:
        _probability_bar(figure, axes)
    elif n_classes > 2:
        axes.set_xlabel("$x_1$\nthe deeper the colour, the more probable its class")
    axes.set_title(title)
    return figure


def _probability_bar(figure, axes):
    """Add the colour bar of two classes beside the axes."""
    shades = [1 - SHADE * (1 - np.array(to_rgb(color))) for color in CLASS_COLORS[:2]]
    cmap = LinearSegmentedColormap.from_list("classes", [shades[0], "white", shades[1]])
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 1), cmap)
    figure.colorbar(scale, ax=axes, label="predicted probability of class 1")


def _grid(axes, resolution):
    """Return coordinates that fill the axes, x and y, each of shape (resolution, resolution)."""
    limits = axes.get_xlim(), axes.get_ylim()
    return np.meshgrid(*(np.linspace(*ends, resolution) for ends in limits))


def _draw_shades(axes, depth, colors):
    """Fill the axes, below everything else, with colours on white; return the artist.

    Args:
        axes: the axes, with the limits that they are to keep.
        depth: of shape (n, n), from 0 for white to 1 for the colour itself.
        colors: of shape (n, n, 3), or (3,).
    """
    image = 1 - depth[..., None] * (1 - np.asarray(colors))
    extent = (*axes.get_xlim(), *axes.get_ylim())
    return axes.imshow(image, extent=extent, origin="lower", aspect="auto", zorder=0)


def _draw_regions(axes, predict, resolution):
    """Shade the axes by the most probable class, with lines between; return the artists."""
    x, y = _grid(axes, resolution)
    probabilities = predict(np.column_stack([x.ravel(), y.ravel()]))
    probabilities = probabilities.reshape(*x.shape, -1)
    n_classes = probabilities.shape[-1]
    # 0 where all classes are equally probable, 1 where one is certain.
    certainty = (probabilities.max(axis=-1) * n_classes - 1) / (n_classes - 1)
    colors = np.array([to_rgb(color) for color in CLASS_COLORS])[probabilities.argmax(axis=-1)]
    artists = [_draw_shades(axes, SHADE * certainty, colors)]
    for k in range(n_classes if n_classes > 2 else 1):
        others = np.delete(probabilities, k, axis=-1).max(axis=-1)
        margin = probabilities[..., k] - others
        if margin.min() < 0 < margin.max():
            artists.append(axes.contour(x, y, margin, levels=[0], colors="black", linewidths=1.5))
    return artists


def training_run(predict, history, data, title=None, resolution=120):
    """Draw what a run came to in one row: its decision boundary, its losses, its accuracies.

    Args:
        predict: as in `decision_boundary`.
        history: as in `curves`.
        data: a train_mlp_numpy.Data of two features.
        title: what to write above.
        resolution: as in `decision_boundary`.
    """
    # Where everything goes is known: having it found out would take a third of the time to draw.
    figure = Figure(figsize=(12.5, 3.9))
    figure.subplots_adjust(left=0.055, right=0.99, bottom=0.24, top=0.84, wspace=0.29)
    panels = figure.subplots(1, 3)
    _legend_below(figure, _scatter_data(panels[0], data, linewidths=0.5))
    _draw_regions(panels[0], predict, resolution)
    panels[0].set_title("Decision boundary")
    _draw_curves(panels[1:], history)
    figure.suptitle(title)
    return figure


def boundary_frames(frames, data, resolution=120):
    """Draw decision boundaries side by side, as they change; yield the same Figure for each frame.

    Args:
        frames: for each, its title and a dict by the name of a panel, a batch size, say, of a
            function `predict`, as in `decision_boundary`, and a caption.
        data: a train_mlp_numpy.Data of two features, whose test points are drawn.
        resolution: as in `decision_boundary`.
    """
    figure = None
    for title, regions in frames:
        if figure is None:
            width = 3.2 * len(regions)
            figure, panels = _new_figure(width, 3.7, 1, len(regions), squeeze=False)
            panels = dict(zip(regions, panels[0], strict=True))
            for axes in panels.values():
                classes = data.y_test.argmax(axis=1)
                _scatter(axes, data.x_test, classes, "test", edgecolors="white", linewidths=0.4)
                _fit_limits(axes, np.concatenate([data.x_train, data.x_test]))
                axes.set(xticks=[], yticks=[])
        artists = []
        for name, (predict, caption) in regions.items():
            artists += _draw_regions(panels[name], predict, resolution)
            panels[name].set_title(name)
            panels[name].set_xlabel(caption)
        figure.suptitle(title)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # from now on everything stays where it is
        yield figure
        for artist in artists:
            artist.remove()


def animation(figures, file_format, dpi=96, seconds_per_frame=0.15):
    """Return an animation that repeats for ever, as the bytes of a picture.

    Args:
        figures: its frames, matplotlib Figures of one size, or the same one, changed meanwhile.
        file_format: "GIF", or "PNG", which notebooks show wherever they are shown. Programs that
            cannot animate a PNG show the last frame.
        dpi: pixels per inch of the figures.
        seconds_per_frame: how long each stays; the last stays for two seconds.
    """
    images = []
    for figure in figures:
        pixels = io.BytesIO()
        figure.savefig(pixels, format="rgba", dpi=dpi)
        size = tuple(int(dpi * inches) for inches in figure.get_size_inches())
        images.append(Image.frombytes("RGBA", size, pixels.getvalue()).convert("RGB"))
    # With one palette, made of the last and a few other frames, and no dithering, places that stay
    # the same do not flicker and the file stays small.
    from_the_last = images[::-1]
    sampled = from_the_last[:: 1 + len(images) // 8]
    sample = np.concatenate([np.asarray(image) for image in sampled])
    palette = Image.fromarray(sample).quantize(128, dither=Image.Dither.NONE)
    colors = np.reshape(palette.getpalette(), (-1, 3))
    colors[colors.min(axis=1) > 245] = 255  # or Pillow would take one of these for white paper
    palette.putpalette(colors.ravel().tolist())
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    options = {"duration": [round(1000 * seconds_per_frame)] * (len(images) - 1) + [2000]}
    if file_format == "PNG":
        images.insert(0, images[-1])
        options["default_image"] = True
    file = io.BytesIO()
    images[0].save(file, file_format, save_all=True, append_images=images[1:], loop=0, **options)
    return file.getvalue()


def hidden_units(unit_inputs, units, data, title=None, resolution=60):
    """Draw a small map of the plane for each hidden unit: where it fires, and how much.

    A unit that raises the log-odds of class 1 has the colour of class 1, the others that of class
    0; the deeper, the larger its output, up to its own largest. The black line is its fold,
    the number above how much that bends the log-odds.

    Args:
        unit_inputs: a function from points, of shape (N, 2), to the inputs of the units' ReLU,
            of shape (N, n_units).
        units: a list of hidden_units.Unit, in the order of the maps.
        data: a train_mlp_numpy.Data of two features, whose training points are drawn.
        title: what to write above.
        resolution: the points along each side of a map.
    """
    n_columns = min(5, len(units))
    n_rows = -(-len(units) // n_columns)
    figure, panels = _new_figure(1.9 * n_columns, 1.6 * n_rows + 0.4, n_rows, n_columns)
    panels = np.atleast_1d(panels).ravel()
    for axes in panels[len(units) :]:
        axes.set_axis_off()
    _fit_limits(panels[0], data.x_train)
    x, y = _grid(panels[0], resolution)
    z = unit_inputs(np.column_stack([x.ravel(), y.ravel()])).reshape(*x.shape, -1)
    for axes, unit in zip(panels, units, strict=False):
        axes.set(xlim=panels[0].get_xlim(), ylim=panels[0].get_ylim(), xticks=[], yticks=[])
        output = np.maximum(z[..., unit.index], 0)
        depth = 0.85 * output / (output.max() or 1)
        _draw_shades(axes, depth, to_rgb(CLASS_COLORS[unit.favours]))
        if z[..., unit.index].min() < 0 < z[..., unit.index].max():
            axes.contour(x, y, z[..., unit.index], levels=[0], colors="black", linewidths=1)
        axes.scatter(*data.x_train.T, s=1, color="0.35", linewidths=0)
        note = f" ({unit.note})" if unit.note else ""
        axes.set_title(f"unit {unit.index}: {unit.fold:+.2f}{note}", fontsize="small")
    figure.suptitle(title)
    return figure


def folds(groups, title=None):
    """Draw how much the units of each run fold the log-odds downwards and upwards, as a mark.

    Args:
        groups: runs that ended well and badly, by name: arrays of shape (n_runs, 2), see
            hidden_units.total_folds.
        title: what to write above.
    """
    figure, axes = _new_figure(6.2, 4.6)
    n_runs = sum(map(len, groups.values()))
    # Hollow and thin, because the stuck lie close together.
    looks = (
        {"marker": "o", "facecolors": "none", "edgecolors": GOOD},
        {"marker": "x", "color": BAD},
    )
    for (name, totals), look in zip(groups.items(), looks, strict=True):
        label = f"{name}: {len(totals)} of {n_runs} runs"
        axes.scatter(*np.transpose(totals), label=label, linewidths=1, **look)
    axes.set(xlabel="sum of downward folds", ylabel="sum of upward folds", title=title)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left")
    return figure


def bugs(results, limit, title=None):
    """Draw the accuracies that networks with planted bugs reach beside their gradient errors.

    Args:
        results: a list, for each bug, of its name, its test accuracies, fractions of shape
            (n_runs,), NaN where it diverged, and its relative error in the gradient check.
        limit: the error below which a gradient counts as right.
        title: what to write above.
    """
    figure, (left, right) = _new_figure(10, 0.38 * len(results) + 1.5, 1, 2, sharey=True)
    for i, (_, accuracies, error) in enumerate(results):
        left.plot(100 * np.asarray(accuracies), np.full(len(accuracies), i), "o", alpha=0.6)
        left.lines[-1].set(color="black", markeredgewidth=0)
        caught = error >= limit
        right.plot(error, i, "X" if caught else "o", color=BAD if caught else GOOD)
    left.set_yticks(range(len(results)), [name for name, *_ in results])
    left.invert_yaxis()
    left.set(xlabel="test accuracy (%) of each run", title="What the accuracy says")
    right.axvline(limit, color="black", linestyle="--")
    right.set(xscale="log", xlabel="relative error", title="What the gradient check says")
    right.text(limit, 0.02, " limit", transform=right.get_xaxis_transform())
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.suptitle(title)
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
                end.plot(i, marks[name][k], **REPORT_MARK)
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
        handles.append(Line2D([], [], label="the report's run", **REPORT_MARK))
    figure.legend(
        handles=handles, title="batch size", loc="outside lower center", ncols=min(len(handles), 8)
    )
    figure.suptitle(title)
    return figure


def side_by_side(ratios, ours):
    """How many times as long as ours others take, on a logarithmic scale.

    Args:
        ratios: by contender, one of CONTENDER_STYLES, dicts of ratios by case.
        ours: the contender whose ratios are 1.
    """
    cases = list(ratios[ours])
    figure, axes = _new_figure(8.4, 1.9 + 0.36 * len(cases))
    for name, by_case in ratios.items():
        places, style = [cases.index(case) for case in by_case], CONTENDER_STYLES[name]
        axes.plot(list(by_case.values()), places, linestyle="", label=name, **style)
    axes.axvline(1, color="0.6", zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel(f"time of an epoch, as a multiple of {ours}")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def growth(curves):
    """How the time of an epoch grows with the work, a panel for each kind of size.

    Args:
        curves: by kind of size, dicts by contender of dicts of seconds by size.
    """
    figure, panels = _new_figure(9, 7.4, 2, 2)
    for axes, (what, by_contender) in zip(panels.flat, curves.items(), strict=True):
        for name, seconds in by_contender.items():
            sizes, style = [*map(int, seconds)], CONTENDER_STYLES[name]
            axes.plot(sizes, list(seconds.values()), linewidth=1, label=name, **style)
        axes.set(xscale="log", yscale="log", xlabel=what, ylabel="seconds of an epoch")
        axes.set_xticks(sizes, [f"{size:,}".replace(",", " ") for size in sizes])
        axes.minorticks_off()
        axes.grid(color="0.9")
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
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
