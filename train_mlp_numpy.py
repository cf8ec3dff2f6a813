"""Parts II and III: train the MLP by gradient descent: full batch, mini-batch or stochastic.

    python train_mlp_numpy.py                    full batch
    python train_mlp_numpy.py --batch_size 16    mini-batches of 16; 1 is stochastic

The layers are in modules.py, the network is in mlp_numpy.py, the figures are in plots.py.
"""

import argparse
import math
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlp_numpy import MLP, open_whole
from modules import CrossEntropy, as_one_hot, as_rng

METRICS = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
DATASETS = ("moons", "circles", "blobs", "digits")


def train_epoch(model, data, batch_size, learning_rate, order):
    """Update the model on the training rows in this order, batch by batch; the last may be short.

    Returns the sum of the last predictions: NaN if training has diverged.
    """
    x, y, loss = data.x_train[order], data.y_train[order], CrossEntropy()
    for start in range(0, len(order), batch_size):
        batch = slice(start, start + batch_size)
        predictions = model.forward(x[batch])
        model.backward(loss.backward(predictions, y[batch]))
        model.update(learning_rate)
    return predictions.sum()


@np.errstate(over="ignore", invalid="ignore")  # an overflow becomes a loss of NaN
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
    """Train the model in place, for max_steps epochs (the assignment's name); return the history.

    Each epoch visits every row once, in a new random order, drawn from `rng`, a generator, an int
    seed or None. A batch_size of None is the full batch. The backend "numba" is `train_epoch`
    compiled (see speed/). The history is a dict of equally long arrays: `epoch`, METRICS, and
    `step`, which equals `epoch`. They have an entry before training, one every eval_freq epochs,
    and one at the end.
    `callback(epoch, metrics)` is called before training, with epoch 0, and after each epoch; where
    there is no entry, metrics is empty. If it returns True, training ends.

    Raises ValueError for options or data that cannot work, and FloatingPointError when the loss is
    no longer finite; the `history` of this error has the entries before.
    """
    whole = [max_steps, eval_freq, 1 if batch_size is None else batch_size]
    if not (0 < learning_rate < math.inf and all(n > 0 and n % 1 == 0 for n in whole)):
        names = "learning_rate, max_steps, eval_freq, batch_size"
        got = [learning_rate, *whole]
        raise ValueError(f"{names} must be above 0 and, but for the first, whole, got {got}")
    data, rng = Data(*(np.asarray(part, dtype=float) for part in data)), as_rng(rng)
    n_rows, max_steps, eval_freq = len(data.x_train), int(max_steps), int(eval_freq)
    run_epoch = epoch_runner(backend, model, data, int(batch_size or n_rows), learning_rate)
    entries = []
    for epoch in range(max_steps + 1):
        nan_if_diverged = run_epoch(rng.permutation(n_rows)) if epoch > 0 else 0.0
        metrics = evaluate(model, data) if epoch % eval_freq == 0 or epoch == max_steps else {}
        if not np.isfinite([nan_if_diverged, *metrics.values()]).all():
            remedy = f"try a learning rate below {learning_rate:g}" if epoch else "check the data"
            error = FloatingPointError(f"the loss is not finite at epoch {epoch}: {remedy}")
            error.history = as_history(entries)
            raise error
        if metrics:
            entries.append({"epoch": epoch, **metrics})
        if callback and callback(epoch, metrics):
            break
    if entries[-1]["epoch"] < epoch:
        entries.append({"epoch": epoch, **evaluate(model, data)})
    return as_history(entries)


def epoch_runner(backend, *settings):
    """Return `train_epoch` with these settings, or the same compiled, as a function of `order`."""
    if backend == "numpy":
        return partial(train_epoch, *settings)
    if backend == "numba":
        from speed.compiled import compile_epoch

        return compile_epoch(train_epoch, *settings)
    raise ValueError(f"backend must be numpy or numba, got {backend!r}")


def accuracy(predictions, targets):
    """Return the fraction, in [0, 1], of rows whose largest prediction is at the target's 1.

    Both have the shape (N, C). NaN, or targets that are not one-hot, are a ValueError.
    """
    predictions = np.asarray(predictions, dtype=float)
    targets = as_one_hot(targets, predictions.shape)
    if np.isnan(predictions).any():
        raise ValueError("predictions must be numbers, got NaN")
    return float(np.mean(predictions.argmax(axis=1) == targets.argmax(axis=1)))


def evaluate(model, data):
    """Return the loss and the accuracy on both parts of the data, a dict with the keys METRICS."""
    values = []
    for x, targets in (data.x_train, data.y_train), (data.x_test, data.y_test):
        predictions = model.forward(x)
        loss = CrossEntropy().forward(predictions, targets)
        values += [loss, accuracy(predictions, targets) if math.isfinite(loss) else math.nan]
    return dict(zip(METRICS, values, strict=True))


class Data(NamedTuple):
    """A data set, split for training and testing: rows of features and their one-hot targets."""

    x_train: np.ndarray  # (N, n_features)
    y_train: np.ndarray  # (N, n_classes)
    x_test: np.ndarray  # (M, n_features)
    y_test: np.ndarray  # (M, n_classes)


def load_data(dataset="moons", n_samples=1000, noise=0.2, test_size=0.2, seed=42):
    """Return one of scikit-learn's data sets as a Data; the default is the report's.

    `moons` and `circles` have two classes in the plane, `blobs` three, and `noise` is the standard
    deviation on each coordinate. `digits` are 1797 images of 8x8 pixels in ten classes, without
    noise. n_samples counts training and test rows; test_size is the fraction for testing.
    """
    from sklearn import datasets, utils
    from sklearn.model_selection import train_test_split

    noise = noise or 0.0  # NumPy refuses -0.0
    if dataset == "moons":
        x, labels = datasets.make_moons(n_samples, noise=noise, random_state=seed)
    elif dataset == "circles":
        x, labels = datasets.make_circles(n_samples, noise=noise, factor=0.5, random_state=seed)
    elif dataset == "blobs":
        corners = [(0.0, 1.0), (-(0.75**0.5), -0.5), (0.75**0.5, -0.5)]  # on the unit circle
        x, labels = datasets.make_blobs(
            n_samples, centers=corners, cluster_std=noise, random_state=seed
        )
    elif dataset == "digits":
        x, labels = datasets.load_digits(return_X_y=True)
        x, labels = utils.shuffle(x / 16, labels, n_samples=n_samples, random_state=seed)
    else:
        raise ValueError(f"dataset must be one of {', '.join(DATASETS)}, got {dataset!r}")
    targets = np.eye({"moons": 2, "circles": 2, "blobs": 3, "digits": 10}[dataset])[labels]
    x_train, x_test, y_train, y_test = train_test_split(
        x, targets, test_size=test_size, random_state=seed
    )
    return Data(x_train, y_train, x_test, y_test)


def as_history(entries):
    """Return a history, a dict of arrays, from its entries, dicts of numbers."""
    history = {key: np.array([entry[key] for entry in entries]) for key in ("epoch", *METRICS)}
    return {**history, "step": history["epoch"]}  # the assignment's name for it


# Below is the command line. Nothing above needs it.

PARSER = {"usage": argparse.SUPPRESS, "allow_abbrev": False}  # an error is one line, without usage
PARSER["formatter_class"] = argparse.ArgumentDefaultsHelpFormatter


def number(kind, least, most=10**9, **words):
    """Return an argparse type: a number from `least` to `most`, or a word, such as full=None."""

    def parse(text):
        if text in words:
            return words[text]
        with suppress(ValueError):
            value = float(text)  # also where `kind` is int: 1e3 is 1000
            if least <= value <= most and kind(value) == value:
                return kind(value)
        what = "a whole number" if kind is int else "a number"
        wanted = " or ".join([f"{what} from {least} to {most}", *words])
        raise argparse.ArgumentTypeError(f"{text!r} is not valid; give {wanted}")

    return parse


def hidden_units(text):
    """Parse `--dnn_hidden_units`: whole numbers with commas between, or `none`."""
    return [] if text == "none" else [number(int, 1, 10_000)(units) for units in text.split(",")]


def folder(text):
    """Parse `--output_dir`: a path, in which ~ is the home folder."""
    if not text:  # as of a variable that is not set
        raise argparse.ArgumentTypeError("'' is not valid; give a path")
    return Path(os.path.expanduser(text))


def add_flags(parser, backend="numpy"):
    """Add the flags that experiments have as well."""
    flag, seed = parser.add_argument, number(int, 0, 2**32 - 1)
    flag("--dnn_hidden_units", type=hidden_units, default="20", help="such as 20 or 64,32, or none")
    flag("--learning_rate", type=number(float, 1e-300), default=0.01, help="factor of the gradient")
    flag("--backend", choices=("numpy", "numba"), default=backend, help="layers, or compiled loop")
    flag("--dataset", choices=DATASETS, default="moons", help="data set")
    flag("--n_samples", type=number(int, 2, 10**6), default=1000, help="a fifth is for testing")
    flag("--noise", type=number(float, 0), default=0.2, help="standard deviation; not for digits")
    flag("--data_seed", type=seed, default=42, help="seed of the data set and its split")
    flag("--seed", type=seed, default=42, help="seed of the initial weights and the shuffles")
    flag("--output_dir", type=folder, default="outputs", help="folder for the files it writes")
    flag("--no_output", action="store_true", help="print only, write no file")
    flag("--show", action="store_true", help="also open the figures in windows")


def check_flags(parser, args):
    """Exit with status 2, before any work, if what the flags ask for cannot be done."""
    if args.dataset == "digits" and (args.noise != 0.2 or args.n_samples > 1797):
        parser.error("argument --dataset: digits takes no --noise and has 1797 --n_samples")
    if args.show or not args.no_output:
        import plots  # if it cannot be, then now

        if args.show:
            plots.check_display(parser)
    try:
        if args.backend == "numba":
            from speed.compiled import check_equal

            check_equal(train_epoch)
        if not args.no_output:
            args.output_dir.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=args.output_dir).close()
    except (ImportError, ValueError) as error:
        parser.error(f"argument --backend: {error}")
    except OSError as error:
        parser.error(f"argument --output_dir: {error}; name a folder that can be written")


@contextmanager
def watched(max_steps, eval_freq):
    """Yield a callback that shows progress and stops at a signal, and the list of these signals.

    They are those of Ctrl-C, of `kill`, and of a terminal that is closed.
    """
    from tqdm import tqdm

    came, is_terminal = [], getattr(sys.stdout, "isatty", bool)()
    layout = "epoch {n_fmt}/{total_fmt} |{bar:-2}| {remaining} left{postfix}"  # -2: for ^C
    options = {"bar_format": layout, "dynamic_ncols": True, "disable": not is_terminal}
    bar = tqdm(total=max_steps, file=sys.stdout, **options)
    line_freq = eval_freq * math.ceil(max_steps / (20 * eval_freq))  # else some 20 lines

    def note(signum, frame):
        came.append(signum)
        signal.signal(signum, signal.SIG_DFL)  # a second one ends the process
        with suppress(OSError):  # of a terminal that is closed
            bar.write("stopping after this epoch; once more loses all", file=sys.stderr)

    def show(epoch, metrics):
        bar.update(epoch - bar.n)
        if metrics:
            loss = f"loss {metrics['train_loss']:.4f}"
            percent = f"{100 * metrics['test_accuracy']:.2f} %"
            if is_terminal:
                is_narrow = 0 < (bar.ncols or 0) < 64
                bar.set_postfix_str(loss if is_narrow else f"{loss}, test {percent}", refresh=False)
            elif epoch % line_freq == 0 or epoch == max_steps:
                print(f"epoch {epoch}: train {loss}, test accuracy {percent}")
                flush()
        return bool(came)

    signums = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
    if threading.current_thread() is not threading.main_thread():
        signums = {}  # no other thread hears them
    before = {signum: signal.getsignal(signum) for signum in signums}
    for signum, handler in before.items():
        if handler != signal.SIG_IGN:  # as `nohup` has it
            signal.signal(signum, note)
    try:
        yield show, came
    finally:
        bar.close()
        for signum, handler in before.items():
            signal.signal(signum, handler)


def main(argv=None):
    """Train from the command line; return the exit status."""
    parser = argparse.ArgumentParser(description="Train an MLP by gradient descent.", **PARSER)
    flag, positive = parser.add_argument, number(int, 1)
    flag("--max_steps", type=positive, default=1500, help="epochs, full passes over the data")
    flag("--eval_freq", type=positive, default=10, help="epochs between entries of the history")
    flag("--batch_size", type=number(int, 1, full=None), default="full", help="rows of a batch")
    add_flags(parser)
    args = parser.parse_args(argv)
    check_flags(parser, args)
    data = load_data(args.dataset, args.n_samples, args.noise, seed=args.data_seed)
    rng, (n_rows, n_features) = as_rng(args.seed), data.x_train.shape
    sizes = [n_features, *args.dnn_hidden_units, n_classes := data.y_train.shape[1]]
    model = MLP(n_features, args.dnn_hidden_units, n_classes, rng)
    n_updates, rate = math.ceil(n_rows / (args.batch_size or n_rows)), f"{args.learning_rate:g}"
    rows = f"{args.dataset}, {n_rows} training rows, {len(data.x_test)} test rows"
    batches = f"batch size {args.batch_size or 'full'}"
    per_epoch = f"{n_updates} update{'s' * (n_updates > 1)} an epoch"
    print(f"data: {rows}, seed {args.data_seed}")
    print(f"network: {'-'.join(map(str, sizes))}, seed {args.seed}, backend {args.backend}")
    print(f"training: {batches}, {per_epoch}, learning rate {rate}")
    names = "learning_rate", "max_steps", "eval_freq", "batch_size", "backend"
    options = {name: getattr(args, name) for name in names}
    failure, start = None, time.perf_counter()
    with watched(args.max_steps, args.eval_freq) as (show, came):
        try:
            history = train(model, data, rng=rng, callback=show, **options)
        except FloatingPointError as error:
            history, failure = error.history, f"error: {error}"
    seconds, epoch, diverged = time.perf_counter() - start, history["epoch"][-1], bool(failure)
    losses, guessing = history["train_loss"], math.log(n_classes)
    is_worse = losses[-1] > 1.01 * guessing  # beyond chance
    if came:
        failure = f"interrupted at epoch {epoch}"
    elif not diverged and is_worse and (losses[-1] > losses[0] or losses.min() < guessing):
        worse = f"the training loss, {losses[-1]:.4f}, is above log({n_classes}) = {guessing:.4f}"
        failure = f"error: {worse}, that of guessing: try a learning rate below {rate}"
    with suppress(OSError if came else ()):  # of a terminal that is closed
        for part in ("train", "test"):
            loss, percent = history[f"{part}_loss"][-1], 100 * history[f"{part}_accuracy"][-1]
            print(f"{part + ':':<6} loss {loss:.4f}, accuracy {percent:.2f} %")
        speed = epoch * n_updates / seconds
        speed = f"{speed:,.0f}" if speed > 10 else f"{speed:.2g}"
        print(f"epoch {epoch}, {seconds:.2f} s, {speed} updates/s")
        if not args.no_output:
            print(f"{'history.csv goes' if diverged else 'the results go'} to {args.output_dir}")
    if not args.no_output:
        with open_whole(args.output_dir / "history.csv") as file:
            table = np.column_stack([history[name] for name in ("epoch", *METRICS)])
            header = ",".join(("epoch", *METRICS))
            np.savetxt(file, table, "%d,%s,%s,%s,%s", header=header, comments="")
        if not diverged:  # or the network is useless
            model.save(args.output_dir / "model.npz")
    if not diverged and (args.show or not args.no_output):
        import plots

        title = f"{args.dataset}, {batches}, seed {args.seed}"
        plots.finish(plots.of_run(data, history, model.forward, title), args)
    if failure:
        print(f"{parser.prog}: {failure}", file=sys.stderr)
    return 128 + came[0] if came else 1 if failure else 0  # as shells do


def flush():
    """Flush the standard output, which in a notebook or an IDE may be of any kind."""
    getattr(sys.stdout, "flush", bool)()


def run(main):
    """Run a script and exit; an interrupt, a closed pipe or a failing file gives no traceback."""
    try:
        status = main()
        flush()
    except KeyboardInterrupt:
        status = 130
    except (OSError, MemoryError) as error:  # such as a full disk, or, as with `| head -1`,
        is_closed = isinstance(error, BrokenPipeError)  # a pipe that nobody reads on
        status = 1 if is_closed else f"error: {error}"
        if sys.stdout is sys.__stdout__ and not sys.stdout.isatty():  # Python would try once more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


if __name__ == "__main__":
    run(main)
