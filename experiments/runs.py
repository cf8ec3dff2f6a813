"""What the experiments share: a network, made and trained from one seed, and their commands."""

import builtins
import importlib.util
import sys
from typing import NamedTuple

from tqdm import tqdm

from mlp_numpy import MLP
from modules import as_rng
from train_mlp_numpy import discard_output, rows_or_full, train


def train_from_seed(data, seed, n_hidden=(20,), **options):
    """Make an MLP that fits a Data and train it, all from one seed; return it and its history.

    The seed gives the initial weights first and the shuffles then, as on the command line. So with
    the same `n_hidden` the initial weights are the same, whatever the batch size and the learning
    rate. `seed` may also be a generator, to go on drawing from; `options` are those of `train`.
    """
    rng = as_rng(seed)
    model = MLP(len(data[0][0]), n_hidden, len(data[1][0]), rng)
    return model, train(model, data, rng=rng, **options)


class Run(NamedTuple):
    """A network and how it was trained."""

    batch_size: str  # as `name_of` gives it
    seed: int
    model: MLP
    history: dict


def progress(items, total=None):
    """Yield the items, under a bar in a notebook and on a terminal; the bar goes with the last."""
    in_notebook = hasattr(builtins, "__IPYTHON__")
    yield from tqdm(items, total=total, leave=False, disable=False if in_notebook else None)
    if in_notebook:
        from IPython.display import clear_output

        clear_output()  # where the bar was, an empty output would be left


def fastest_backend():
    """Return "numba" where Numba is installed, else "numpy"."""
    return "numba" if importlib.util.find_spec("numba") else "numpy"


def batch_sizes(text):
    """Parse --batch_sizes: whole numbers or `full`, with commas between."""
    sizes = [rows_or_full(size) for size in text.split(",")]
    return list(dict.fromkeys(sizes))  # each of them once


def name_of(batch_size):
    """Return a batch size as text; None, the full batch, is "full"."""
    return str(batch_size or "full")


def status_of(main):
    """Run the `main` of a command; return its exit status, also where it is cut short."""
    try:
        status = main()
        sys.stdout.flush()  # here, so that a BrokenPipeError is raised here
    except KeyboardInterrupt:
        return 130  # as shells expect it after Ctrl-C
    except BrokenPipeError:  # the reader has gone, as with `| head -1`
        discard_output()
        return 1
    return status
