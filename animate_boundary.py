"""Part III: an animated picture of decision boundaries as they form, a panel for each batch size.

    python animate_boundary.py

trains a network with the full batch, one in batches of 16 and one row by row, all from the same
initial weights, and draws them side by side at the same epochs.
"""

import signals

if __name__ == "__main__":
    signals.die_quietly()  # on Ctrl-C, until `run` knows better: the rest takes a while to import

import copy

from command_line import (
    ArgumentParser,
    add_output_dir_flag,
    prepare_output,
    run,
    whole_number,
    write_files,
)
from common import as_rng, open_whole
from compare_batch_sizes import batch_sizes
from mlp_numpy import MLP
from train_mlp_numpy import (
    accuracy,
    add_seed_flag,
    add_training_flags,
    check_data,
    check_training_flags,
    fastest_backend,
    load_data,
    train,
)

FILE = "boundary.gif"


def epochs_to_show(max_steps, n_frames=40):
    """Return the epochs of the frames, from 0 to max_steps, close at first and far apart later.

    The k-th is proportional to k cubed, because in the first epochs the boundary moves most.
    """
    return sorted({round(max_steps * (k / (n_frames - 1)) ** 3) for k in range(n_frames)})


def snapshots(data, epochs, seed, n_hidden=(20,), **options):
    """Train a network and return copies of it, a dict of MLPs by epoch.

    Args:
        data: a Data.
        epochs: when to copy it, ints; 0 is before the first update, the largest ends the training.
        seed: an int, for the initial weights and the shuffles.
        n_hidden: the units of each hidden layer.
        options: those of `train`, but max_steps, eval_freq, rng and callback.
    """
    networks, rng, data = {}, as_rng(seed), check_data(data)
    model = MLP(data.x_train.shape[1], n_hidden, data.y_train.shape[1], rng)

    def keep(step, metrics):
        if step in epochs:
            networks[step] = copy.deepcopy(model)

    n = max(epochs)
    train(model, data, max_steps=n, eval_freq=n, rng=rng, callback=keep, **options)
    return networks


def frames(data, runs):
    """Return what plots.boundary_frames draws: for each epoch a title and its panels.

    Args:
        data: a Data.
        runs: for each batch size, by name, what `snapshots` returns, with the same epochs.
    """
    moments = []
    for epoch in next(iter(runs.values())):
        panels = {}
        for name, networks in runs.items():
            percent = 100 * accuracy(networks[epoch].forward(data.x_test), data.y_test)
            title = "full batch" if name == "full" else f"batch size {name}"
            panels[title] = networks[epoch].forward, f"test accuracy {percent:.1f} %"
        moments.append((f"epoch {epoch}", panels))
    return moments


def parse_args(argv=None):
    """Return the parsed command line and the folder to write to."""
    parser = ArgumentParser("Animate the decision boundaries of several batch sizes as they form.")
    flag = parser.add_argument
    flag(
        "--batch_sizes",
        metavar="N,N,...",
        type=batch_sizes,
        default="full,16,1",
        help="the batch sizes, a panel each (default: %(default)s)",
    )
    flag(
        "--max_steps",
        metavar="N",
        type=whole_number(1),
        default=1500,
        help="the epoch of the last frame (default: %(default)s)",
    )
    add_seed_flag(parser)
    add_training_flags(parser, backend=fastest_backend())
    add_output_dir_flag(parser)
    args = parser.parse_args(argv)
    check_training_flags(parser, args)
    if args.dataset == "digits":
        parser.error(
            "argument --dataset: digits has 64 features, and a boundary can be drawn of 2 only; "
            "choose moons, circles or blobs"
        )
    return args, prepare_output(parser, args, [FILE])


def main(argv=None):
    """Draw the animation from the command line; return the exit status."""
    args, output_dir = parse_args(argv)
    import plots

    data = load_data(args.dataset, args.n_samples, args.noise, seed=args.data_seed)
    epochs, runs = epochs_to_show(args.max_steps), {}
    for name, batch_size in args.batch_sizes.items():
        runs[name] = snapshots(
            data,
            epochs,
            args.seed,
            args.dnn_hidden_units,
            batch_size=batch_size,
            learning_rate=args.learning_rate,
            backend=args.backend,
        )
    moments = frames(data, runs)
    title, panels = moments[-1]
    for name, (_, caption) in panels.items():
        print(f"{name}: {caption} at {title}", flush=True)

    def save(path):
        picture = plots.animation(plots.boundary_frames(moments, data), "GIF")
        with open_whole(path, "wb") as file:
            file.write(picture)

    return int(not write_files(output_dir, {FILE: save}))


if __name__ == "__main__":
    run(main)
