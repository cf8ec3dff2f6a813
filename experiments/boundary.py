"""Part III: how decision boundaries form, with the full batch, with mini-batches and row by row.

    python -m experiments.boundary --output_dir figures

trains three networks from the same initial weights, with the full batch, in batches of 16 and row
by row. It draws them side by side at the same epochs, as an animation: boundary.gif. The notebook
draws some of the epochs below each other, as one figure.

Not here: what a boundary is made of (hidden_units.py), and whether one run is like others
(batch_sizes.py).
"""

import copy
import io
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import plots
from experiments.runs import (
    batch_size_list,
    batch_size_text,
    fastest_backend,
    name_of,
    new_network,
    progress,
    status_of,
)
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


def snapshots(data, epochs, seed, n_hidden=(20,), **options):
    """Train a network up to the last of these epochs; return copies of it, a dict by epoch.

    Args:
        data: a train_mlp_numpy.Data.
        epochs: when to copy the network; epoch 0 is before the first update.
        seed: an int, for the initial weights and then for the orders of the rows.
        n_hidden: the number of units in each hidden layer.
        options: those of `train`, such as batch_size.
    """
    last = max(epochs)
    rng = as_rng(seed)
    model = new_network(data, n_hidden, rng)
    networks = {}

    def keep(epoch, metrics):
        if epoch in epochs:
            networks[epoch] = copy.deepcopy(model)

    train(model, data, max_steps=last, eval_freq=last, rng=rng, callback=keep, **options)
    return networks


def stages(data, batch_sizes, epochs, seed, title=None, resolution=80, **options):
    """Train with each batch size; return a figure of the boundaries, a row for each batch size.

    There is a column for each epoch. Below each panel is the accuracy on the test points, which are
    drawn.

    Args:
        data: a train_mlp_numpy.Data of two features and at most four classes.
        batch_sizes: a list of them; None is the full batch. Each is drawn once.
        epochs: the epochs to draw.
        seed: as for `snapshots`.
        title: what to write above.
        resolution: the points along each side of the grid on which the networks are evaluated.
        options: those of `snapshots`, such as n_hidden and learning_rate.

    Raises:
        ValueError: if the data have other features, or more classes.
    """
    batch_sizes = list(dict.fromkeys(batch_sizes))
    n_rows = len(batch_sizes)
    n_columns = len(epochs)
    width = 2.4 * n_columns
    height = 2.05 * n_rows + 0.7
    figure, panels = plots.new_figure(width, height, n_rows, n_columns, squeeze=False)
    for axes in panels.flat:
        draw_test_points(axes, data)
    for axes, epoch in zip(panels[0], epochs, strict=True):
        axes.set_title(f"epoch {epoch}")

    for row, batch_size in zip(panels, progress(batch_sizes), strict=True):
        row[0].set_ylabel(batch_size_text(batch_size))
        networks = snapshots(data, epochs, seed, batch_size=batch_size, **options)
        for axes, epoch in zip(row, epochs, strict=True):
            network = networks[epoch]
            plots.draw_regions(axes, network.forward, resolution)
            axes.set_xlabel(accuracy_text(network, data))
    legend_of_test_points(figure, data)
    figure.suptitle(title)
    return figure


def draw_test_points(axes, data):
    """Draw the test points, into axes whose limits fit all points."""
    plots.scatter(axes, data.x_test, data.y_test.argmax(axis=1), "test")
    plots.fit_limits(axes, np.concatenate([data.x_train, data.x_test]))
    axes.set(xticks=[], yticks=[])


def legend_of_test_points(figure, data):
    """Add a legend for draw_test_points below everything else."""
    n_classes = data.y_test.shape[1]
    names = [f"class {k}" for k in range(n_classes)]
    handles = plots.legend_handles(names, {"test": len(data.x_test)})
    plots.legend_below(figure, handles)


def accuracy_text(network, data):
    """Return the accuracy of a network on the test data as text."""
    fraction = accuracy(network.forward(data.x_test), data.y_test)
    return f"test accuracy {100 * fraction:.1f} %"


# From here on: the animation.


def epochs_to_show(max_steps, n_frames=40):
    """Return the epochs of the frames, from 0 to max_steps, close at first and far apart later.

    Frame k, counted from 0, is at an epoch proportional to k cubed, because in the first epochs the
    boundary moves most. No epoch is shown twice.
    """
    epochs = []
    for k in range(n_frames):
        fraction = k / (n_frames - 1)
        epoch = round(max_steps * fraction**3)
        if epoch not in epochs:
            epochs.append(epoch)
    return epochs


def boundary_frames(runs, data, resolution=120):
    """Draw decision boundaries side by side; yield the same Figure for each epoch, redrawn.

    Args:
        runs: a dict by batch size of what `snapshots` returns, with the same epochs.
        data: a train_mlp_numpy.Data of two features, whose test points are drawn.
        resolution: the points along each side of the grid on which the networks are evaluated.
    """
    figure = empty_panels(runs, data)
    first_run = next(iter(runs.values()))
    for epoch in first_run:
        networks = [run[epoch] for run in runs.values()]
        artists = draw_frame(figure, epoch, networks, data, resolution)
        yield figure
        for artist in artists:
            artist.remove()


def empty_panels(batch_sizes, data):
    """Return a Figure with a panel for each batch size, which shows the test points."""
    n_panels = len(batch_sizes)
    figure, panels = plots.new_figure(3.2 * n_panels, 3.4, 1, n_panels, squeeze=False)
    for axes, batch_size in zip(panels[0], batch_sizes, strict=True):
        draw_test_points(axes, data)
        axes.set_title(batch_size_text(batch_size))
    legend_of_test_points(figure, data)
    return figure


def draw_frame(figure, epoch, networks, data, resolution):
    """Draw the decision boundaries of networks, one in each panel; return what to remove again."""
    artists = []
    for axes, network in zip(figure.axes, networks, strict=True):
        artists += plots.draw_regions(axes, network.forward, resolution)
        axes.set_xlabel(accuracy_text(network, data))
    figure.suptitle(f"epoch {epoch}")
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # from now on everything stays where it is
    return artists


def animation(figures, dpi=96):
    """Return an animation that repeats for ever, as the bytes of a GIF.

    Args:
        figures: its frames, matplotlib Figures of one size, or the same one, changed meanwhile.
            Each stays for 0.15 seconds, the last for two.
        dpi: pixels per inch of the figures.
    """
    images = [image_of(figure, dpi) for figure in figures]
    palette = palette_of(images)
    # One palette for all, and no dithering: places that stay the same do not flicker, and the file
    # stays small.
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    durations = [150] * len(frames)  # in milliseconds
    durations[-1] = 2000
    file = io.BytesIO()
    frames[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,  # for ever
    )
    return file.getvalue()


def image_of(figure, dpi):
    """Return a Figure as a Pillow image without transparency."""
    file = io.BytesIO()
    figure.savefig(file, format="rgba", dpi=dpi)
    width = int(dpi * figure.get_figwidth())
    height = int(dpi * figure.get_figheight())
    image = Image.frombytes("RGBA", (width, height), file.getvalue())
    return image.convert("RGB")


def palette_of(images):
    """Return an image whose palette of 128 colours fits all images; they have one size.

    It is made of the last and of a few others, at equal distances.
    """
    distance = 1 + len(images) // 8
    some = images[::-1][::distance]
    pixels = np.concatenate([np.asarray(image) for image in some])
    palette = Image.fromarray(pixels).quantize(128, dither=Image.Dither.NONE)
    colors = np.reshape(palette.getpalette(), (-1, 3))
    is_nearly_white = colors.min(axis=1) > 245
    colors[is_nearly_white] = 255  # or Pillow would take one of these for the white paper
    palette.putpalette(colors.ravel().tolist())
    return palette


# Below is the command line.

FILE = "boundary.gif"


def main(argv=None):
    """Draw the animation from the command line; return the exit status."""
    args = parse_flags(argv)
    data = load_data(args.dataset, args.n_samples, args.noise, seed=args.data_seed)
    runs = train_runs(args, data)
    if not args.no_output:
        plots.plt.style.use("default")  # whatever the user's settings of matplotlib are
        content = animation(boundary_frames(runs, data))
        write_file(args.output_dir / FILE, content)
    return 0


def train_runs(args, data):
    """Train a network with each batch size, and print its accuracy; return the `runs`."""
    runs = {}
    for batch_size in args.batch_sizes:
        networks = snapshots(
            data,
            epochs_to_show(args.max_steps),
            args.seed,
            args.dnn_hidden_units,
            batch_size=batch_size,
            learning_rate=args.learning_rate,
            backend=args.backend,
        )
        runs[batch_size] = networks
        result = accuracy_text(networks[args.max_steps], data)
        name = name_of(batch_size)
        print(f"batch size {name}: {result} at epoch {args.max_steps}", flush=True)
    return runs


def write_file(path, content):
    """Write bytes to a file, also into a folder that is not there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(f"{path}.{os.getpid()}.tmp")
    try:
        scratch.write_bytes(content)
        os.replace(scratch, path)  # only now, so that there is never half a file at `path`
    finally:
        scratch.unlink(missing_ok=True)  # it is still there if Ctrl-C came first
    print(f"wrote {path}")


def parse_flags(argv):
    """Return the flags. A wrong one ends the program with status 2, before any work."""
    parser = new_parser(
        "Animate the decision boundaries of several batch sizes as they form.",
        "python -m experiments.boundary --output_dir figures",
    )
    add = parser.add_argument
    add("--batch_sizes", type=batch_size_list, default="full,16,1", help="a panel for each")
    add("--max_steps", type=number(int, 1), default=1500, help="the epoch of the last frame")
    add_flags(parser, fastest_backend())
    args = parser.parse_args(argv)
    if args.dataset == "digits":
        parser.error("argument --dataset: a boundary has two features, digits 64; choose another")
    if args.show:
        parser.error(f"argument --show: windows show no animation; open {FILE} instead")
    check_flags(parser, args)
    return args


if __name__ == "__main__":
    sys.exit(status_of(main))
