"""Parts II and III: train the MLP by gradient descent: full batch, mini-batch or stochastic.

    python train_mlp_numpy.py                    full batch
    python train_mlp_numpy.py --batch_size 16    mini-batches of 16; 1 is stochastic

The layers are in modules.py, the network is in mlp_numpy.py, the figures are in plots.py.
"""

import argparse
import math
import os
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.model_selection import train_test_split
from sklearn.utils import shuffle
from tqdm import tqdm

from mlp_numpy import MLP
from modules import CrossEntropy, as_rng


def train_epoch(model, data, batch_size, learning_rate, order):
    """Train for one epoch: make one update of gradient descent for each batch of training rows.

    `order` is an array of all row numbers, in the order in which the rows are visited. The last
    batch may be short. Returns the loss of the last batch, from before its update.
    """
    x = data.x_train[order]
    targets = data.y_train[order]
    cross_entropy = CrossEntropy()
    for start in range(0, len(order), batch_size):
        batch = slice(start, start + batch_size)
        predictions = model.forward(x[batch])
        loss = cross_entropy.forward(predictions, targets[batch])
        dlogits = cross_entropy.backward()
        model.backward(dlogits)
        model.update(learning_rate)
    return loss


@np.errstate(over="ignore", invalid="ignore")  # turns warnings off: check_finite raises errors
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
    """Train the model in place, and return the history of its loss and accuracy.

    Each epoch visits every training row once, in a new random order.

    Args:
        model: an MLP.
        data: a Data, such as load_data returns.
        learning_rate: an update is the gradient times this.
        max_steps: the number of epochs. (The assignment calls an epoch a step.)
        eval_freq: the model is evaluated before training, every eval_freq epochs, and at the end.
        batch_size: the number of rows in a batch; None is the full batch.
        rng: a NumPy generator for the orders, or an int seed for a new one, or None.
        backend: "numpy", or "numba" for the same training, compiled (see speed/).
        callback: called as callback(epoch, metrics) before training, with epoch 0, and after each
            epoch. `metrics` is what `evaluate` returns, or {} where the model is not evaluated.

    Returns:
        The history, a dict of arrays with an element for each evaluation: `epoch`, `train_loss`,
        `train_accuracy`, `test_loss` and `test_accuracy`.

    Raises:
        ValueError: if an option is not above 0, if there is no such backend, if the targets are not
            one-hot, or if features and targets differ in their number of rows.
        ImportError: if the backend is "numba", and Numba is missing.
        FloatingPointError: if training diverges, so that the loss is infinite or NaN.
    """
    rng = as_rng(rng)
    n_rows = len(data.x_train)
    if batch_size is None:
        batch_size = n_rows
    check_options(learning_rate, max_steps, eval_freq, batch_size)
    check_data(data)
    run_epoch = epoch_runner(backend, model, data, batch_size, learning_rate)

    entries = []
    for epoch in range(max_steps + 1):
        if epoch > 0:  # epoch 0 is the model before training
            order = rng.permutation(n_rows)
            loss = run_epoch(order)  # calls train_epoch above, or its compiled form
            check_finite(loss)
        metrics = {}
        if epoch % eval_freq == 0 or epoch == max_steps:
            metrics = evaluate(model, data)
            entries.append({"epoch": epoch, **metrics})
        if callback is not None:
            callback(epoch, metrics)
    return as_history(entries)


METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
COLUMNS = ("epoch", *METRICS)  # of a history


def evaluate(model, data):
    """Return a dict of the METRICS: the loss and the accuracy on both parts of the data.

    Raises:
        FloatingPointError: if a loss is infinite or NaN.
    """
    cross_entropy = CrossEntropy()
    train_predictions = model.forward(data.x_train)
    test_predictions = model.forward(data.x_test)
    train_loss = cross_entropy.forward(train_predictions, data.y_train)
    test_loss = cross_entropy.forward(test_predictions, data.y_test)
    check_finite(train_loss)
    check_finite(test_loss)
    return {
        "train_loss": train_loss,
        "train_accuracy": accuracy(train_predictions, data.y_train),
        "test_loss": test_loss,
        "test_accuracy": accuracy(test_predictions, data.y_test),
    }


def accuracy(predictions, targets):
    """Return the fraction, in [0, 1], of rows in which the true class has the largest prediction.

    Predictions and one-hot targets have the shape (N, C).
    """
    predicted_class = np.argmax(predictions, axis=1)
    true_class = np.argmax(targets, axis=1)
    return float(np.mean(predicted_class == true_class))


def as_history(entries):
    """Return a history: for each of the COLUMNS, an array of its values in `entries`."""
    history = {}
    for name in COLUMNS:
        history[name] = np.array([entry[name] for entry in entries])
    return history


def epoch_runner(backend, model, data, batch_size, learning_rate):
    """Return a function run_epoch(order), which trains for one epoch.

    With the backend "numpy" it calls train_epoch, and returns the loss of the last batch. With
    "numba" it runs the same loop, compiled, and returns a number that is finite when the loss is.
    """
    if backend == "numpy":

        def run_epoch(order):
            return train_epoch(model, data, batch_size, learning_rate, order)

        return run_epoch

    if backend == "numba":
        from speed.compiled import compile_epoch

        return compile_epoch(train_epoch, model, data, batch_size, learning_rate)

    raise ValueError(f"backend must be numpy or numba, got {backend!r}")


def check_finite(loss):
    """Raise FloatingPointError if the loss is infinite or NaN."""
    if not math.isfinite(loss):
        raise FloatingPointError(
            f"the loss is {loss}: try a lower learning rate, or look for NaN in the data"
        )


def check_options(learning_rate, max_steps, eval_freq, batch_size):
    """Raise ValueError unless each of these options is above 0."""
    options = {
        "learning_rate": learning_rate,
        "max_steps": max_steps,
        "eval_freq": eval_freq,
        "batch_size": batch_size,
    }
    for name, value in options.items():
        if value <= 0:
            raise ValueError(f"{name} must be above 0, got {value}")


def check_data(data):
    """Raise ValueError unless the targets are one-hot, and as many rows as the features."""
    check_targets("y_train", data.y_train, len(data.x_train))
    check_targets("y_test", data.y_test, len(data.x_test))


def check_targets(name, targets, n_rows):
    """Raise ValueError unless the targets are n_rows one-hot rows."""
    if len(targets) != n_rows:
        raise ValueError(f"number of rows: {name} has {len(targets)}, its features {n_rows}")
    is_one_hot = (
        targets.ndim == 2 and np.isin(targets, [0, 1]).all() and (targets.sum(axis=1) == 1).all()
    )
    if not is_one_hot:
        raise ValueError(
            f"{name} must hold one-hot rows, such as [0, 1, 0] for class 1 of 3; "
            "np.eye(C)[labels] makes them from labels 0 to C - 1"
        )


class Data(NamedTuple):
    """A data set, split for training and testing: rows of features and their one-hot targets."""

    x_train: np.ndarray  # (N, n_features)
    y_train: np.ndarray  # (N, n_classes)
    x_test: np.ndarray  # (M, n_features)
    y_test: np.ndarray  # (M, n_classes)


DATASETS = ("moons", "circles", "blobs", "digits")


def load_data(dataset="moons", n_samples=1000, noise=0.2, test_size=0.2, seed=42):
    """Return one of scikit-learn's data sets as a Data; the default is the report's.

    Args:
        dataset: `moons` and `circles` have two classes in the plane, and `blobs` has three.
            `digits` are 1797 images of 8x8 pixels, in ten classes.
        n_samples: the number of rows, training and test together.
        noise: the standard deviation of the noise on each coordinate; `digits` has none.
        test_size: the fraction of the rows that is for testing.
        seed: an int, which draws the rows and the split.

    Raises:
        ValueError: if there is no such data set.
    """
    if dataset == "moons":
        n_classes = 2
        x, labels = datasets.make_moons(n_samples, noise=noise, random_state=seed)
    elif dataset == "circles":
        n_classes = 2
        x, labels = datasets.make_circles(n_samples, noise=noise, factor=0.5, random_state=seed)
    elif dataset == "blobs":
        n_classes = 3
        angles = np.radians([90, 210, 330])  # of a triangle
        corners = np.column_stack([np.cos(angles), np.sin(angles)])
        x, labels = datasets.make_blobs(
            n_samples, centers=corners, cluster_std=noise, random_state=seed
        )
    elif dataset == "digits":
        n_classes = 10
        pixels, labels = datasets.load_digits(return_X_y=True)
        x = pixels / 16  # from 0 to 1
        x, labels = shuffle(x, labels, n_samples=n_samples, random_state=seed)
    else:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, got {dataset!r}")

    targets = np.eye(n_classes)[labels]  # one-hot: row k of the unit matrix for class k
    x_train, x_test, y_train, y_test = train_test_split(
        x, targets, test_size=test_size, random_state=seed
    )
    return Data(x_train, y_train, x_test, y_test)


# Below is the command line. Nothing above needs it.


def main(argv=None):
    """Train from the command line; return the exit status."""
    try:
        args = parse_flags(argv)
        status = train_and_report(args)
        sys.stdout.flush()  # print all now, so that a BrokenPipeError comes inside this try
    except KeyboardInterrupt:  # a second Ctrl-C, or one outside of training
        return 130
    except BrokenPipeError:  # the program behind the pipe has ended, as with `| head -1`
        discard_output()
        return 1
    return status


def train_and_report(args):
    """Train as the flags say, print and write the results; return the exit status."""
    data = load_data(args.dataset, args.n_samples, args.noise, seed=args.data_seed)
    rng = as_rng(args.seed)  # for the weights first, then for the orders
    n_features = data.x_train.shape[1]
    n_classes = data.y_train.shape[1]
    model = MLP(n_features, args.dnn_hidden_units, n_classes, rng)
    print_settings(args, data)

    progress = Progress(args.max_steps, args.eval_freq)
    start = time.perf_counter()
    try:
        history, is_interrupted = train_with_progress(args, model, data, rng, progress)
    except FloatingPointError as error:
        return fail(f"in epoch {progress.epoch}, {error}; nothing was written")
    seconds = time.perf_counter() - start

    print_results(history, seconds)
    if not args.no_output:
        save_results(args.output_dir, history, model)
    if args.show or not args.no_output:
        draw_results(args, data, history, model)

    if is_interrupted:
        return 130  # as shells expect it after Ctrl-C
    first_loss = history["train_loss"][0]
    last_loss = history["train_loss"][-1]
    if last_loss > first_loss:
        return fail(
            f"the training loss rose from {first_loss:.4f} to {last_loss:.4f}: "
            f"try a learning rate below {args.learning_rate:g}"
        )
    return 0


def fail(message):
    """Print an error; return the exit status that says so."""
    print(f"error: {message}", file=sys.stderr)
    return 1


def train_with_progress(args, model, data, rng, progress):
    """Train the model and show progress; return the history, and whether Ctrl-C ended it early."""
    try:
        history = train(
            model,
            data,
            learning_rate=args.learning_rate,
            max_steps=args.max_steps,
            eval_freq=args.eval_freq,
            batch_size=args.batch_size,
            rng=rng,
            backend=args.backend,
            callback=progress.show,
        )
        is_interrupted = False
    except KeyboardInterrupt:  # keep the model, though the last epoch may be half done
        epoch = progress.epoch
        message = f"interrupted: epoch {epoch}, the last entry, is unfinished"
        progress.bar.write(message, file=sys.stderr)
        last_entry = {"epoch": epoch, **evaluate(model, data)}
        history = as_history([*progress.entries, last_entry])
        is_interrupted = True
    finally:
        progress.bar.close()
    return history, is_interrupted


class Progress:
    """Shows progress: as a bar on a terminal, or else in about twenty lines.

    It also knows the epoch under way and the entries so far, in case Ctrl-C ends training.
    """

    def __init__(self, max_steps, eval_freq):
        self.bar = tqdm(
            total=max_steps,
            bar_format="|{bar}| {n}/{total} epochs, {remaining} left{postfix}",
            leave=False,
            file=sys.stdout,
            disable=None,  # no bar where stdout is no terminal
        )
        self.max_steps = max_steps
        # A multiple of eval_freq, for about 20 lines: every 80 epochs of 1500.
        self.line_freq = eval_freq * math.ceil(max_steps / (20 * eval_freq))
        self.epoch = 0  # the one under way
        self.entries = []

    def show(self, epoch, metrics):
        """Show the epoch that has ended and its metrics, if any: the callback of `train`."""
        self.epoch = epoch + 1
        if metrics:
            self.entries.append({"epoch": epoch, **metrics})
            loss = metrics["train_loss"]
            percent = 100 * metrics["test_accuracy"]
            text = f"train loss {loss:.4f}, test accuracy {percent:.2f} %"
            self.bar.set_postfix_str(text, refresh=False)
            is_time_for_a_line = epoch % self.line_freq == 0 or epoch == self.max_steps
            if self.bar.disable and is_time_for_a_line:
                print(f"epoch {epoch}: {text}", flush=True)
        if epoch > 0:
            self.bar.update()


def print_settings(args, data):
    """Print the data, the network and the settings of training."""
    n_train, n_features = data.x_train.shape
    n_test, n_classes = data.y_test.shape
    sizes = [n_features, *args.dnn_hidden_units, n_classes]
    network = "-".join(str(size) for size in sizes)
    batch_size = args.batch_size
    if batch_size is None:
        batch_size = n_train
    n_updates = math.ceil(n_train / batch_size)

    print(
        f"data: {args.dataset}, {n_train} for training, {n_test} for testing, seed {args.data_seed}"
    )
    print(f"network: {network}, seed {args.seed}, backend {args.backend}")
    print(
        f"training: batch size {batch_size_text(args, data)}, updates per epoch {n_updates}, "
        f"learning rate {args.learning_rate:g}"
    )


def batch_size_text(args, data):
    """Return the batch size as text; one that takes all training rows is the full batch."""
    if args.batch_size is None or args.batch_size >= len(data.x_train):
        return "full"
    return str(args.batch_size)


def print_results(history, seconds):
    """Print the loss and the accuracy at the end, and how long training took."""
    for part in ("train", "test"):
        loss = history[f"{part}_loss"][-1]
        percent = 100 * history[f"{part}_accuracy"][-1]
        print(f"{part}: loss {loss:.4f}, accuracy {percent:.2f} %")
    print(f"epoch {history['epoch'][-1]}, {seconds:.2f} s")


def save_results(folder, history, model):
    """Write history.csv, with a line for each entry, and model.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "history.csv"
    scratch = f"{path}.{os.getpid()}.tmp"
    table = np.column_stack([history[name] for name in COLUMNS])
    header = ",".join(COLUMNS)
    np.savetxt(scratch, table, "%d,%s,%s,%s,%s", header=header, comments="")  # %s: all digits
    os.replace(scratch, path)  # only now, so that there is never half a file at `path`
    print(f"wrote {path}")

    path = folder / "model.npz"
    model.save(path)
    print(f"wrote {path}")


def draw_results(args, data, history, model):
    """Draw figures 2 and 3 and, for two features, the decision boundary; write or show them."""
    from matplotlib import pyplot as plt

    import plots

    plt.style.use("default")  # whatever the user's settings of matplotlib are
    settings = f"batch size {batch_size_text(args, data)}, seed {args.seed}"
    figures = plots.of_run(data, history, model.forward, args.dataset, settings)
    plots.finish(figures, args)
    n_features = data.x_train.shape[1]
    if n_features != 2:
        print(f"no decision boundary: it needs 2 features, and {args.dataset} has {n_features}")


def discard_output():
    """Discard what is not printed yet. Else Python prints it at exit: BrokenPipeError again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def parse_flags(argv):
    """Return the flags. A wrong one ends the program with status 2, before any work."""
    parser = new_parser(
        "Train an MLP by gradient descent.", "python train_mlp_numpy.py --batch_size 16"
    )
    add = parser.add_argument
    one_or_more = number(int, 1)
    add("--max_steps", type=one_or_more, default=1500, help="epochs, full passes over the data")
    add("--eval_freq", type=one_or_more, default=10, help="epochs between entries of the history")
    add("--batch_size", type=rows_or_full, default="full", help="rows in a batch, or full")
    add_flags(parser)
    args = parser.parse_args(argv)
    check_flags(parser, args)
    return args


def new_parser(description, example):
    """Return a parser that shows the defaults in its help, and an error in one line."""
    return argparse.ArgumentParser(
        description=description,
        epilog=f"Example: {example}",
        usage=argparse.SUPPRESS,  # an error is one line, without usage
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )


def add_flags(parser, backend="numpy"):
    """Add the flags that the experiments have as well. A default that is text is parsed, too."""
    add = parser.add_argument
    any_seed = number(int, 0, 2**32 - 1)
    add("--dnn_hidden_units", type=hidden_units, default="20", help="such as 20 or 64,32, or none")
    add("--learning_rate", type=number(float, 1e-9), default=0.01, help="factor of the gradient")
    add("--backend", choices=("numpy", "numba"), default=backend, help="numba: the loop compiled")
    add("--dataset", choices=DATASETS, default="moons", help="data set to train on")
    add("--n_samples", type=number(int, 2), default=1000, help="rows, of which a fifth for testing")
    add("--noise", type=number(float, 0), default=0.2, help="standard deviation; not for digits")
    add("--data_seed", type=any_seed, default=42, help="seed of the data set and its split")
    add("--seed", type=any_seed, default=42, help="seed of the initial weights and the shuffles")
    add("--output_dir", type=folder_path, default="outputs", help="folder for the files it writes")
    add("--no_output", action="store_true", help="print only, write no file")
    add("--show", action="store_true", help="also open the figures in windows")


def check_flags(parser, args):
    """End the program with an error of the parser if these flags cannot work here."""
    if args.dataset == "digits" and args.n_samples > 1797:
        parser.error(f"argument --n_samples: digits has 1797 rows, got {args.n_samples}")
    if not args.no_output:
        check_folder(parser, args.output_dir)
    if args.show:
        import plots

        plots.check_display(parser)
    if args.backend == "numba":
        try:
            from speed.compiled import check_equal

            check_equal(train_epoch)  # that the compiled loop trains as train_epoch does
        except (ImportError, ValueError) as error:
            parser.error(f"argument --backend: {error}")


def check_folder(parser, folder):
    """End the program with an error of the parser if this folder cannot be made or written."""
    existing = [path for path in [folder, *folder.parents] if os.path.exists(path)]
    nearest = existing[0]
    if not os.path.isdir(nearest):
        parser.error(f"argument --output_dir: {nearest} is a file; name a folder")
    if not os.access(nearest, os.W_OK):
        parser.error(f"argument --output_dir: {nearest} cannot be written; name another folder")


def number(kind, least, most=10**9):
    """Return a function that parses a flag: a number of this kind, int or float, in this range."""
    name = "a whole number" if kind is int else "a number"

    def parse(text):
        message = f"{text!r} is not valid; give {name} from {least} to {most}"
        try:
            value = kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(message) from error
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(message)
        return value

    return parse


def rows_or_full(text):
    """Parse --batch_size: a whole number, or `full`, which is None."""
    if text == "full":
        return None
    try:
        return number(int, 1)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, or full") from error


def hidden_units(text):
    """Parse --dnn_hidden_units: whole numbers with commas between, or `none`."""
    if text == "none":
        return []
    parse_units = number(int, 1, 10_000)
    try:
        return [parse_units(units) for units in text.split(",")]
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not valid; give whole numbers from 1 to 10000 with commas between, "
            "such as 64,32, or none"
        ) from error


def folder_path(text):
    """Parse --output_dir: a path, in which ~ is the home folder."""
    return Path(text).expanduser()


if __name__ == "__main__":
    sys.exit(main())
