"""Part III: an animated picture of decision boundaries as they form, a panel for each batch size.

    python -m experiments.boundary --output_dir figures

trains a network with the full batch, one in batches of 16 and one row by row, all from the same
initial weights, and draws them side by side at the same epochs.
"""

import copy
import io
import os
import sys
from pathlib import Path

import numpy as np
from matplotlib.colors import LightSource, to_rgba_array
from matplotlib.figure import Figure
from PIL import Image

import plots
from experiments.runs import batch_sizes, fastest_backend, name_of, progress, status_of
from mlp_numpy import MLP
from modules import as_rng
from train_mlp_numpy import (
    accuracy,
    add_flags,
    check_flags,
    load_data,
    new_parser,
    number,
    train,
)

FILE = "boundary.gif"


def epochs_to_show(max_steps, n_frames=40):
    """Return the epochs of the frames, from 0 to max_steps, close at first and far apart later.

    The k-th is proportional to k cubed, because in the first epochs the boundary moves most.
    """
    return sorted({round(max_steps * (k / (n_frames - 1)) ** 3) for k in range(n_frames)})


def snapshots(data, epochs, seed, n_hidden=(20,), **options):
    """Train a network and return copies of it, a dict by epoch, up to the last of the epochs.

    Epoch 0 is before the first update. The seed gives the initial weights and the shuffles; the
    options are those of `train`.
    """
    networks, rng, n = {}, as_rng(seed), max(epochs)
    model = MLP(data.x_train.shape[1], n_hidden, data.y_train.shape[1], rng)

    def keep(epoch, metrics):
        if epoch in epochs:
            networks[epoch] = copy.deepcopy(model)

    train(model, data, max_steps=n, eval_freq=n, rng=rng, callback=keep, **options)
    return networks


def test_percent(network, data):
    """Return the accuracy on the test data as text."""
    return f"test accuracy {100 * accuracy(network.forward(data.x_test), data.y_test):.1f} %"


def boundary_frames(runs, data, resolution=120):
    """Draw decision boundaries side by side; yield the same Figure for each epoch, redrawn.

    Args:
        runs: for each batch size, a text, what `snapshots` returns, with the same epochs.
        data: a train_mlp_numpy.Data of two features, whose test points are drawn.
        resolution: the points along each side of the grid on which the networks are evaluated.
    """
    figure = empty_panels(runs, data)
    for epoch in next(iter(runs.values())):
        networks = [run[epoch] for run in runs.values()]
        artists = draw_frame(figure, epoch, networks, data, resolution)
        yield figure
        for artist in artists:
            artist.remove()


def empty_panels(names, data):
    """Return a Figure with a panel for each batch size, a text, that shows the test points."""
    figure, panels = plots.new_figure(3.2 * len(names), 3.4, 1, len(names), squeeze=False)
    for axes, name in zip(panels[0], names, strict=True):
        plots.scatter(axes, data.x_test, data.y_test.argmax(axis=1), "test")
        plots.fit_limits(axes, np.concatenate([data.x_train, data.x_test]))
        axes.set(xticks=[], yticks=[])
        axes.set_title("full batch" if name == "full" else f"batch size {name}")
    classes = [f"class {k}" for k in range(data.y_test.shape[1])]
    plots.legend_below(figure, plots.legend_handles(classes, ["test"]))
    return figure


def draw_frame(figure, epoch, networks, data, resolution):
    """Draw the decision boundaries of networks, one in each panel; return what to remove again."""
    artists = []
    for axes, network in zip(figure.axes, networks, strict=True):
        artists += plots.draw_regions(axes, network.forward, resolution)
        axes.set_xlabel(test_percent(network, data))
    figure.suptitle(f"epoch {epoch}")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # from now on everything stays where it is
    return artists


def stages(data, batch_sizes, epochs, seed, resolution=80, **options):
    """Train with each batch size, and draw the boundary at each of the epochs, row by row.

    Below each panel is the accuracy on the test points, which are drawn. The options are those of
    `snapshots`. More than two features are a ValueError.
    """
    check_plane(data)
    shape = len(batch_sizes), len(epochs)
    figure, panels = plots.new_figure(2.4 * shape[1], 2.05 * shape[0] + 0.7, *shape, squeeze=False)
    for axes, epoch in zip(panels[0], epochs, strict=True):
        axes.set_title(f"epoch {epoch}")
    for row, size in zip(panels, progress(batch_sizes), strict=True):
        networks = snapshots(data, epochs, seed, batch_size=size, **options)
        for axes, network in zip(row, map(networks.get, epochs), strict=True):
            plots.scatter(axes, data.x_test, data.y_test.argmax(axis=1), "test")
            plots.fit_limits(axes, np.concatenate([data.x_train, data.x_test]))
            plots.draw_regions(axes, network.forward, resolution)
            axes.set(xticks=[], yticks=[], xlabel=test_percent(network, data))
        row[0].set_ylabel(f"batch size {size}" if size else "full batch")
    classes = [f"class {k}" for k in range(data.y_test.shape[1])]
    plots.legend_below(figure, plots.legend_handles(classes, ["test"]))
    return figure


def check_plane(data):
    """Raise a ValueError unless the data have two features."""
    if data.x_train.shape[1] != 2:
        raise ValueError(f"a boundary in the plane has two features, not {data.x_train.shape[1]}")


def sheet_figure(predict, data, title=None, x_2=0.25, resolution=80):
    """Draw the log-odds of two classes as a sheet above the plane, and a cut through it at one x_2.

    Where they are above 0 the sheet has the colour of class 1, elsewhere that of class 0. `predict`
    is that of plots.decision_boundary. More classes or features are a ValueError.
    """
    check_plane(data)
    n_classes = data.y_train.shape[1]
    if n_classes != 2:
        raise ValueError(f"log-odds compare two classes, and these data have {n_classes}")

    def log_odds(x, y):
        p = np.maximum(predict(np.column_stack([x.ravel(), y.ravel()])), 1e-15)
        return np.log(p[:, 1] / p[:, 0]).reshape(x.shape)

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    sheet, cut = figure.add_subplot(121, projection="3d"), figure.add_subplot(122)
    plots.fit_limits(cut, data.x_train)  # for the grid
    x, y = plots.grid(cut, resolution)
    heights = log_odds(x, y)
    colors = to_rgba_array(plots.CLASS_COLORS)[(heights > 0).astype(int), :3]
    colors = 1 - plots.SHADE * (1 - colors)
    look = {"rcount": resolution, "ccount": resolution, "linewidth": 0, "antialiased": False}
    light = LightSource(azdeg=-75, altdeg=75)
    sheet.computed_zorder = False  # the lines lie on the sheet
    sheet.plot_surface(x, y, heights, facecolors=colors, lightsource=light, **look)
    sheet.plot_wireframe(x, y, heights, rcount=12, ccount=16, color="black", linewidth=0.3)
    if heights.min() < 0 < heights.max():
        sheet.contour(x, y, heights, levels=[0], colors="black", linewidths=2)
    sheet.view_init(elev=45, azim=-75)
    sheet.set(xlabel="$x_1$", ylabel="$x_2$", zlabel="log-odds")
    sheet.set_title("The sheet, black where it is at 0")
    x = np.linspace(*cut.get_xlim(), 500)
    heights = log_odds(x, np.full(500, x_2))
    cut.axhline(0, color="0.5", linewidth=0.8)
    for axes, line in ((sheet, (x, np.full(500, x_2), heights)), (cut, (x, heights))):
        axes.plot(*line, "--", color="black")
    cut.set(xlabel="$x_1$", ylabel="log-odds", aspect="auto")
    cut.autoscale(axis="y")
    cut.grid(alpha=0.3)
    cut.set_title(f"A cut through it, dashed there, at $x_2 = {x_2:g}$")
    figure.suptitle(title)
    return figure


def animation(figures, dpi=96):
    """Return an animation that repeats for ever, as the bytes of a GIF.

    Args:
        figures: its frames, matplotlib Figures of one size, or the same one, changed meanwhile.
            Each stays for 0.15 seconds, the last for two.
        dpi: pixels per inch of the figures.
    """
    images = []
    for figure in figures:
        pixels = io.BytesIO()
        figure.savefig(pixels, format="rgba", dpi=dpi)
        size = tuple(int(dpi * inches) for inches in figure.get_size_inches())
        images.append(Image.frombytes("RGBA", size, pixels.getvalue()).convert("RGB"))
    # With one palette, made of the last and a few other frames, and no dithering, places that stay
    # the same do not flicker and the file stays small.
    sampled = images[::-1][:: 1 + len(images) // 8]
    sample = np.concatenate([np.asarray(image) for image in sampled])
    palette = Image.fromarray(sample).quantize(128, dither=Image.Dither.NONE)
    colors = np.reshape(palette.getpalette(), (-1, 3))
    colors[colors.min(axis=1) > 245] = 255  # or Pillow would take one of these for white paper
    palette.putpalette(colors.ravel().tolist())
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    options = {"duration": [150] * (len(images) - 1) + [2000], "loop": 0}
    file = io.BytesIO()
    images[0].save(file, "GIF", save_all=True, append_images=images[1:], **options)
    return file.getvalue()


def main(argv=None):
    """Draw the animation from the command line; return the exit status."""
    parser = new_parser(
        "Animate the decision boundaries of several batch sizes as they form.",
        "python -m experiments.boundary --output_dir figures",
    )
    flag = parser.add_argument
    flag("--batch_sizes", type=batch_sizes, default="full,16,1", help="a panel for each")
    flag("--max_steps", type=number(int, 1), default=1500, help="the epoch of the last frame")
    add_flags(parser, fastest_backend())
    args = parser.parse_args(argv)
    if args.dataset == "digits":
        parser.error("argument --dataset: a boundary has two features, digits 64; choose another")
    if args.show:
        parser.error(f"argument --show: windows show no animation; open {FILE} instead")
    check_flags(parser, args)
    plots.plt.style.use("default")  # whatever the user's settings of matplotlib are
    data = load_data(args.dataset, args.n_samples, args.noise, seed=args.data_seed)
    runs = {}
    for size in args.batch_sizes:
        networks = snapshots(
            data,
            epochs_to_show(args.max_steps),
            args.seed,
            args.dnn_hidden_units,
            batch_size=size,
            learning_rate=args.learning_rate,
            backend=args.backend,
        )
        runs[name_of(size)] = networks
        last = test_percent(networks[args.max_steps], data)
        print(f"batch size {name_of(size)}: {last} at epoch {args.max_steps}", flush=True)
    if not args.no_output:
        args.output_dir.mkdir(parents=True, exist_ok=True)
        path = args.output_dir / FILE
        scratch = Path(f"{path}.{os.getpid()}.tmp")
        scratch.write_bytes(animation(boundary_frames(runs, data)))
        os.replace(scratch, path)  # only now, so that there is never half a file at `path`
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(status_of(main))
