"""Parts II and III: train the MLP by gradient descent - full batch, mini-batch or stochastic.

`load_data` makes the data set, `train` is the training loop, `main` the command line:

    python train_mlp_numpy.py --batch_size 16

The layers are in modules.py and the network in mlp_numpy.py. Figures are drawn by plots.py, which
is imported only when one is asked for, as scikit-learn is only when data are.
"""

import signals

if __name__ == "__main__":
    signals.die_quietly()  # on Ctrl-C, until `run` knows better: the rest takes a while to import

import argparse
import csv
import importlib.util
import math
import sys
import time
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from command_line import (
    ArgumentParser,
    add_output_flags,
    finish_figures,
    positive_number,
    prepare_output,
    real_number,
    run,
    seed_number,
    whole_number,
    write_files,
)
from common import as_rng, check_positive, check_whole, open_whole
from mlp_numpy import MLP
from modules import CrossEntropy, check_one_hot, check_same_shape

DATASETS = ("moons", "circles", "blobs", "digits")
FILES = (
    "history.csv",
    "model.npz",
    "figure2_data.png",
    "figure3_curves.png",
    "decision_boundary.png",
)
BACKENDS = ("numpy", "numba")
METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


class Data(NamedTuple):
    """A data set, split for training and testing: rows of features and their one-hot targets."""

    x_train: np.ndarray  # (N, n_features)
    y_train: np.ndarray  # (N, n_classes)
    x_test: np.ndarray  # (M, n_features)
    y_test: np.ndarray  # (M, n_classes)


def load_data(dataset="moons", n_samples=1000, noise=0.2, test_size=0.2, seed=42):
    """Make or load one of scikit-learn's data sets and split it.

    Args:
        dataset: `moons` (two interleaved half circles), `circles` (one inside the other), `blobs`
            (three Gaussians), each of two features, or `digits` (real images of 8x8 pixels scaled
            to [0, 1], ten classes).
        n_samples: how many samples, training and test together; `digits` draws that many of its
            1797.
        noise: the standard deviation of the Gaussian noise on every coordinate; `digits` is
            measured, not made, and takes none.
        test_size: the fraction of the samples that is kept for testing.
        seed: an int that fixes the data and the split.

    Returns:
        Data; the default is the report's data set, 800 rows for training and 200 for testing.

    Raises:
        ValueError: for an unknown data set or a number out of its range.
    """
    if dataset not in DATASETS:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, got {dataset!r}")
    check_whole("n_samples", n_samples, least=2)
    if not 0 <= noise <= 1e100:  # more would overflow on the way
        raise ValueError(f"noise must be at least 0 and at most 1e100, got {noise!r}")
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must be a fraction between 0 and 1, got {test_size!r}")

    from sklearn import datasets, utils
    from sklearn.model_selection import train_test_split

    if dataset == "moons":
        x, labels = datasets.make_moons(n_samples, noise=noise, random_state=seed)
    elif dataset == "circles":
        x, labels = datasets.make_circles(n_samples, noise=noise, factor=0.5, random_state=seed)
    elif dataset == "blobs":
        corners = [(0.0, 1.0), (-(0.75**0.5), -0.5), (0.75**0.5, -0.5)]  # on the unit circle
        x, labels = datasets.make_blobs(
            n_samples, centers=corners, cluster_std=noise, random_state=seed
        )
    else:
        x, labels = datasets.load_digits(return_X_y=True)
        if n_samples > len(x):
            raise ValueError(f"digits has {len(x)} images, got n_samples={n_samples}; ask for less")
        x, labels = utils.shuffle(x / 16, labels, n_samples=n_samples, random_state=seed)
    n_classes = {"blobs": 3, "digits": 10}.get(dataset, 2)
    targets = np.eye(n_classes)[labels]
    x_train, x_test, y_train, y_test = train_test_split(
        x, targets, test_size=test_size, random_state=seed
    )
    return Data(x_train, y_train, x_test, y_test)


def accuracy(predictions, targets):
    """Return the fraction, in [0, 1], of rows whose largest prediction is at the target's 1.

    Args:
        predictions: probabilities, of shape (N, C).
        targets: one-hot rows, of shape (N, C).

    Raises:
        ValueError: when the shapes differ, there are no rows, a prediction is not finite, or
            targets are not one-hot.
    """
    predictions, targets = np.asarray(predictions, dtype=float), check_one_hot("targets", targets)
    check_same_shape(predictions, targets)
    if not np.isfinite(predictions).all():
        raise ValueError("predictions must be finite, got NaN or infinity")
    return float(np.mean(predictions.argmax(axis=1) == targets.argmax(axis=1)))


def evaluate(model, data):
    """Return the loss and accuracy of `model` on both parts of `data`, a dict keyed by METRICS.

    A loss that is not finite comes with an accuracy of NaN: such predictions have no largest.
    """
    cross_entropy, values = CrossEntropy(), []
    for x, targets in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        # A few thousand rows at a time: the layers keep what they are given, and all they compute.
        parts = [model.forward(x[start : start + 4000]) for start in range(0, len(x), 4000)]
        predictions = np.concatenate(parts)
        loss = cross_entropy.forward(predictions, targets)
        values += [loss, accuracy(predictions, targets) if np.isfinite(loss) else np.nan]
    return dict(zip(METRICS, values, strict=True))


def train(
    model,
    data,
    *,
    learning_rate=0.01,
    max_steps=1500,
    eval_freq=10,
    batch_size=None,
    rng=None,
    backend="numpy",
    callback=None,
):
    """Train `model` in place by gradient descent.

    A step is an epoch: a pass over the training rows in a new random order, each row exactly once,
    in batches of `batch_size` and a last one of what remains. Every batch is one update.

    Args:
        model: an MLP, or whatever has its `forward`, `backward` and `update`.
        data: a Data, whose rows fit the model's inputs and classes.
        learning_rate: the factor of the gradient in an update, above 0.
        max_steps: the number of epochs.
        eval_freq: the epochs between two entries of the history.
        batch_size: the rows of a batch; None, or more than there are, means all (full batch).
        rng: a Generator or RandomState, an int seed, or None, for the order of the rows.
        backend: "numpy", the layers' own forward and backward, or "numba", the same compiled (see
            mlp_numba.py), for an MLP of layers that it knows.
        callback: called as callback(step, metrics) at the start, with step 0, and after each
            epoch; metrics is a dict keyed by METRICS where the history has an entry, else None.

    Returns:
        The history: a dict of equally long arrays, `step` and the METRICS, with an entry before the
        first update (step 0), at every `eval_freq`-th epoch, and at the last.

    Raises:
        ValueError: for data that are not finite, targets that are not one-hot, shapes that do not
            fit, an option out of its range, or a model that the backend does not know.
        ImportError: for backend "numba" without Numba.
        FloatingPointError: when the loss is no longer finite; the message names the epoch. Whoever
            wants the history up to then, or up to a Ctrl-C, keeps what the callback is told.
    """
    check_positive("learning_rate", learning_rate)
    check_whole("max_steps", max_steps)
    check_whole("eval_freq", eval_freq)
    if batch_size is not None:
        check_whole("batch_size", batch_size)
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, got {backend!r}")
    data = check_data(data)
    rng = as_rng(rng)
    n_rows = len(data.x_train)
    batch_size = min(batch_size or n_rows, n_rows)
    loss = CrossEntropy()
    compiled, rows = None, []

    def record(step):
        metrics = evaluate(compiled or model, data)
        check_finite(metrics["train_loss"] + metrics["test_loss"], step, learning_rate)
        rows.append({"step": step, **metrics})
        return metrics

    # An overflow is reported once, by check_finite, not by a warning for each operation.
    with np.errstate(over="ignore", invalid="ignore"):
        if backend == "numba":
            from mlp_numba import CompiledLoop

            compiled = CompiledLoop(model, data, learning_rate, batch_size)
        metrics = record(0)
        if callback:
            callback(0, metrics)
        for step in range(1, max_steps + 1):
            order = rng.permutation(n_rows)
            if compiled:
                total = compiled.run_epoch(order)
            else:
                for x, y in batches(data, order, batch_size):
                    predictions = model.forward(x)
                    model.backward(loss.backward(predictions, y))
                    model.update(learning_rate)
                total = predictions.sum()
            # The loss of the last batch is not evaluated, but is NaN when its predictions are.
            check_finite(total, step, learning_rate)
            metrics = record(step) if step % eval_freq == 0 or step == max_steps else None
            if callback:
                callback(step, metrics)
    return as_history(rows)


def batches(data, order, batch_size):
    """Yield the training rows and their targets in this order, `batch_size` at a time.

    Rows are gathered some two thousand at a time: for many small batches at once, since each call
    has its price, but never a whole large data set, for which each epoch would need new memory.
    """
    n_gathered = batch_size * math.ceil(2000 / batch_size)
    for first in range(0, len(order), n_gathered):
        rows = order[first : first + n_gathered]
        x, y = data.x_train.take(rows, axis=0), data.y_train.take(rows, axis=0)
        for start in range(0, len(rows), batch_size):
            batch = slice(start, start + batch_size)
            yield x[batch], y[batch]


def train_from_seed(data, seed, n_hidden=(20,), **options):
    """Make a network that fits `data` and train it, all from one seed; return it and its history.

    The seed gives the initial weights first and the shuffles then, as on the command line: with the
    same `n_hidden` it gives the same weights whatever the batch size and the learning rate.

    Args:
        data: a Data.
        seed: an int, or a generator to go on drawing from.
        n_hidden: the units of each hidden layer.
        options: those of `train`.
    """
    rng, data = as_rng(seed), check_data(data)
    model = MLP(data.x_train.shape[1], n_hidden, data.y_train.shape[1], rng)
    return model, train(model, data, rng=rng, **options)


def fastest_backend():
    """Return "numba" where Numba is installed, else "numpy"."""
    return "numba" if importlib.util.find_spec("numba") else "numpy"


def as_history(rows):
    """Return a history, a dict of arrays, from its entries, dicts of numbers."""
    return {key: np.array([row[key] for row in rows]) for key in ("step", *METRICS)}


def check_data(data):
    """Return `data` as float arrays, or raise ValueError naming what is wrong with it."""
    x_train, y_train, x_test, y_test = data
    data = Data(
        np.asarray(x_train, dtype=float),
        check_one_hot("y_train", y_train),
        np.asarray(x_test, dtype=float),
        check_one_hot("y_test", y_test),
    )
    for part in ("train", "test"):
        x, targets = getattr(data, f"x_{part}"), getattr(data, f"y_{part}")
        if x.ndim != 2 or len(x) != len(targets):
            raise ValueError(
                f"x_{part} must have shape (N, n_features) with a row for each of the "
                f"{len(targets)} targets, got {x.shape}"
            )
        if not np.isfinite(x).all():
            row = int(np.argmin(np.isfinite(x).all(axis=1)))
            raise ValueError(f"x_{part} must be finite, got {x[row]} in row {row}")
    return data


def check_finite(loss, step, learning_rate):
    """Raise FloatingPointError unless `loss`, measured in epoch `step`, is finite."""
    if not math.isfinite(loss):
        remedy = f"try a learning rate smaller than {learning_rate:g}"
        if step == 0:
            remedy = "the weights or the data are too large; take a new network or scale the data"
        raise FloatingPointError(f"the loss is no longer finite at epoch {step}: {remedy}")


def hidden_units(text):
    """Parse `--dnn_hidden_units`: comma-separated whole numbers, or `none` for no hidden layer."""
    try:
        units = [] if text == "none" else [whole_number(1, 10_000)(n) for n in text.split(",")]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} will not do; give the units of each hidden layer, from 1 to 10000, "
            "such as 20 or 64,32, or none"
        ) from None
    if sum(a * b for a, b in pairwise(units)) > 100_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is over 100 million weights; give fewer units")
    return units


def batch_size_or_full(text):
    """Parse `--batch_size`: a whole number of rows, or `full` (None)."""
    if text == "full":
        return None
    try:
        return whole_number(1)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, such as 16, or full") from None


def add_seed_flag(parser):
    """Add the flag of the seed of a single run."""
    parser.add_argument(
        "--seed",
        metavar="N",
        type=seed_number,
        default=42,
        help="seed of the initial weights and the shuffles (default: %(default)s)",
    )


def add_training_flags(parser, backend):
    """Add the flags of the network, its training and its data; `backend` is a default."""
    flag = parser.add_argument
    flag(
        "--dnn_hidden_units",
        metavar="N,N,...",
        type=hidden_units,
        default="20",
        help="units of each hidden layer, or none (default: %(default)s)",
    )
    flag(
        "--learning_rate",
        metavar="X",
        type=positive_number,
        default=0.01,
        help="step size of gradient descent (default: %(default)s)",
    )
    flag(
        "--backend",
        choices=BACKENDS,
        default=backend,
        help="what trains: the layers of modules.py, or the same compiled (default: %(default)s)",
    )
    flag(
        "--data_seed",
        metavar="N",
        type=seed_number,
        default=42,
        help="seed of the data set and its split (default: %(default)s)",
    )
    flag(
        "--dataset",
        choices=DATASETS,
        default="moons",
        help="the data set (default: %(default)s, which is the report's)",
    )
    flag(
        "--n_samples",
        metavar="N",
        type=whole_number(2, 1_000_000),
        default=1000,
        help="samples, a fifth of them for testing (default: %(default)s)",
    )
    flag(
        "--noise",
        metavar="X",
        type=real_number("from 0 to 1e100, such as 0.2", lambda noise: 0 <= noise <= 1e100),
        help="standard deviation of the noise on each coordinate (default: 0.2; none for digits)",
    )


def check_training_flags(parser, args):
    """End with a usage error where flags do not go together or Numba is missing."""
    if args.dataset == "digits":
        if args.noise is not None:
            parser.error(f"argument --noise: digits take none, so leave out {args.noise:g}")
        if args.n_samples > 1797:
            parser.error(
                f"argument --n_samples: {args.n_samples} is more than digits has; "
                "give a whole number from 2 to 1797"
            )
    if args.noise is None:
        args.noise = 0.2
    if args.backend == "numba":
        try:
            importlib.import_module("mlp_numba")
        except ImportError as error:
            parser.error(f"argument --backend: {error}")
        except RuntimeError as error:  # neither the project's folder nor the home can be written
            parser.error(
                f"argument --backend: Numba has no place for what it compiles ({error}); "
                "name a folder in the environment variable NUMBA_CACHE_DIR"
            )


def parse_args(argv=None):
    """Return the parsed command line and the folder to write to, None for `--no_output`."""
    parser = ArgumentParser(
        "Train an MLP by full-batch, mini-batch or stochastic gradient descent; draws Figures 2 "
        "and 3 and the decision boundary."
    )
    flag = parser.add_argument
    flag(
        "--max_steps",
        metavar="N",
        type=whole_number(1),
        default=1500,
        help="epochs, full passes over the training rows (default: %(default)s)",
    )
    flag(
        "--eval_freq",
        metavar="N",
        type=whole_number(1),
        default=10,
        help="epochs between two entries of the history (default: %(default)s)",
    )
    flag(
        "--batch_size",
        metavar="N|full",
        type=batch_size_or_full,
        default="full",
        help="rows of a batch: 1 is stochastic gradient descent (default: %(default)s)",
    )
    add_seed_flag(parser)
    add_training_flags(parser, backend="numpy")
    add_output_flags(parser)
    args = parser.parse_args(argv)
    check_training_flags(parser, args)
    return args, prepare_output(parser, args, FILES)


class Progress:
    """The callback of the command line: keeps the rows of the history, and shows them.

    A terminal gets a progress bar; a file or a pipe gets plain lines, about twenty in all.
    """

    def __init__(self, max_steps, eval_freq):
        self.step = 0  # the last epoch that is done
        self.epoch = 1  # the one under way
        self.start = time.perf_counter()
        self.rows = []  # of the history, each appended whole, at whatever moment Ctrl-C comes
        self.max_steps = max_steps
        self.line_freq = eval_freq * math.ceil(max_steps / (20 * eval_freq))
        self.bar = None
        if sys.stdout.isatty():
            from tqdm import tqdm

            layout = "epoch {n_fmt}/{total_fmt}{postfix} |{bar}| {remaining}"
            self.bar = tqdm(total=max_steps, bar_format=layout, file=sys.stdout, dynamic_ncols=True)

    def __call__(self, step, metrics):
        """Take note of an epoch, as `train` reports it."""
        signals.check()
        if step == 0:  # all is set up and, if need be, compiled
            self.start = time.perf_counter()
        if self.bar is not None:
            self.bar.update(step - self.step)
        self.step = self.epoch = step
        if metrics is not None:
            self.record(step, metrics)
        self.epoch = min(step + 1, self.max_steps)

    def record(self, step, metrics):
        """Add an entry to the history and show it."""
        self.rows.append({"step": step, **metrics})
        state = (
            f"train loss {metrics['train_loss']:.4f}, "
            f"test accuracy {100 * metrics['test_accuracy']:.2f} %"
        )
        if self.bar is not None:
            self.bar.set_postfix_str(state, refresh=False)
        elif step % self.line_freq == 0 or step == self.max_steps:
            print(f"epoch {step}: {state}", flush=True)

    def close(self):
        """Leave the bar as it stands."""
        if self.bar is not None:
            self.bar.close()


def print_summary(history, seconds, updates):
    """Print the last entry of the history as a table, and how long it took."""
    print(f"\n{'':<6}{'loss':>8}{'accuracy':>12}")
    for part in ("train", "test"):
        loss, percent = history[f"{part}_loss"][-1], 100 * history[f"{part}_accuracy"][-1]
        print(f"{part:<6}{loss:8.4f}{percent:10.2f} %")
    print(f"epoch {history['step'][-1]}, {seconds:.2f} s, {updates / seconds:,.0f} updates/s\n")


def save_history(history, path):
    """Write the history to `path` as CSV, a column for each key, in full precision."""
    with open_whole(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(history)
        writer.writerows(zip(*(values.tolist() for values in history.values()), strict=True))


def draw_figures(data, history, model, title):
    """Return the figures of a run, a dict of matplotlib Figures by the name of their file."""
    import plots

    rows = f"rows for training: {len(data.x_train)}, for testing: {len(data.x_test)}"
    figures = {
        "figure2_data.png": plots.data_set(data, rows),
        "figure3_curves.png": plots.curves(history, title),
    }
    if data.x_train.shape[1] == 2:
        figures["decision_boundary.png"] = plots.decision_boundary(model.forward, data, title)
    else:
        print(f"no decision boundary: the data have {data.x_train.shape[1]} features, not 2")
    return figures


def main(argv=None):
    """Train from the command line; return the exit status."""
    args, output_dir = parse_args(argv)
    data = load_data(args.dataset, args.n_samples, args.noise, seed=args.data_seed)
    n_rows, n_features = data.x_train.shape
    batch_size = args.batch_size or n_rows
    if batch_size > n_rows:
        print(f"batch size {batch_size} exceeds the {n_rows} training rows: using the full batch")
        batch_size = n_rows
    rng = as_rng(args.seed)
    model = MLP(n_features, args.dnn_hidden_units, data.y_train.shape[1], rng)

    status, progress = 0, Progress(args.max_steps, args.eval_freq)
    # What has been trained is written, whatever comes. Drawing takes a second and may be stopped.
    with signals.postponed():
        try:
            with signals.heard():
                train(
                    model,
                    data,
                    learning_rate=args.learning_rate,
                    max_steps=args.max_steps,
                    eval_freq=args.eval_freq,
                    batch_size=batch_size,
                    rng=rng,
                    backend=args.backend,
                    callback=progress,
                )
        except FloatingPointError as error:
            status, failure = 1, f"error: {error}"
        except KeyboardInterrupt as interrupt:
            status = signals.exit_status(interrupt)
            failure = f"interrupted in epoch {progress.epoch} of {args.max_steps}"
        seconds = time.perf_counter() - progress.start
        if status > 128 and progress.rows and progress.rows[-1]["step"] < progress.epoch:
            # The network as it will be saved, in the midst of this epoch, is the last entry.
            progress.record(progress.epoch, evaluate(model, data))
        progress.close()
        if status not in (0, 128 + signals.SIGPIPE):
            print(f"train_mlp_numpy.py: {failure}", file=sys.stderr)
        if not progress.rows:
            return status
        history = as_history(progress.rows)
        print_summary(history, seconds, updates=progress.step * math.ceil(n_rows / batch_size))

        writers = {"history.csv": partial(save_history, history)}
        if status != 1:  # what is left of a network that diverged is of no use
            writers["model.npz"] = model.save
        written = not output_dir or write_files(output_dir, writers)
    if status != 1 and (output_dir or args.show):
        size = "full batch" if batch_size == n_rows else f"batch size {batch_size}"
        title = f"{args.dataset}, {size}, learning rate {args.learning_rate:g}"
        figures = draw_figures(data, history, model, title)
        written &= finish_figures(figures, output_dir, args.show)
        writers |= figures
    if output_dir:
        for name in FILES:
            if name not in writers and (output_dir / name).exists():
                print(f"from an earlier run: {output_dir / name}")
    return status or int(not written)


if __name__ == "__main__":
    run(main)
