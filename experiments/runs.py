"""What the experiments share: networks that are trained from seeds, and parts of their commands.

The training itself is in train_mlp_numpy.py. What is made of many runs is in spread.py.
"""

import builtins
import importlib.util
import sys
from typing import NamedTuple

from joblib import Parallel, delayed
from tqdm import tqdm

from mlp_numpy import MLP
from modules import as_rng
from train_mlp_numpy import discard_output, fail, rows_or_full, train


def train_from_seed(data, seed, n_hidden=(20,), **options):
    """Make an MLP that fits a Data and train it, all from one seed; return it and its history.

    The seed gives the initial weights first, and then the shuffles, as on the command line. So with
    the same `n_hidden` the initial weights are the same, whatever the batch size and the learning
    rate. `seed` may also be a generator, to go on drawing from. `options` are those of `train`.
    """
    rng = as_rng(seed)
    model = new_network(data, n_hidden, rng)
    history = train(model, data, rng=rng, **options)
    return model, history


def new_network(data, n_hidden, rng):
    """Return a new MLP that fits a Data, with hidden layers of `n_hidden` units."""
    n_features = data.x_train.shape[1]
    n_classes = data.y_train.shape[1]
    return MLP(n_features, n_hidden, n_classes, rng)


class Run(NamedTuple):
    """A network and how it was trained."""

    batch_size: str  # as `name_of` gives it
    seed: int
    model: MLP
    history: dict


def compare(data, batch_sizes, seeds, n_hidden=(20,), n_jobs=-1, **options):
    """Train every batch size from every seed; return a list of Runs.

    Args:
        data: a train_mlp_numpy.Data.
        batch_sizes: ints, and None for the full batch; one given twice counts once.
        seeds: ints; each gives the initial weights and the shuffles of a run.
        n_hidden: the units of each hidden layer.
        n_jobs: how many runs at a time, -1 for as many as there are cores.
        options: those of `train`, except for the batch size.

    Raises:
        FloatingPointError: if a run diverges.
    """
    tasks = []
    for batch_size in dict.fromkeys(batch_sizes):
        for seed in seeds:
            task = delayed(run_from_seed)(data, batch_size, seed, n_hidden, options)
            tasks.append(task)
    parallel = Parallel(n_jobs, batch_size=1, return_as="generator")
    return list(progress(parallel(tasks), len(tasks)))


def run_from_seed(data, batch_size, seed, n_hidden, options):
    """Train a network from a seed; return the Run."""
    model, history = train_from_seed(data, seed, n_hidden, batch_size=batch_size, **options)
    return Run(name_of(batch_size), seed, model, history)


def name_of(batch_size):
    """Return a batch size as text; that of None, the full batch, is "full"."""
    if batch_size is None:
        return "full"
    return str(batch_size)


def batch_size_text(batch_size):
    """Return a batch size, or the name of one, as it is written in titles."""
    name = name_of(batch_size)
    if name == "full":
        return "full batch"
    return f"batch size {name}"


def fastest_backend():
    """Return "numba" where Numba is installed, else "numpy"."""
    if importlib.util.find_spec("numba"):
        return "numba"
    return "numpy"


def progress(items, total=None):
    """Yield the items, under a bar in a notebook and on a terminal; the bar goes with the last."""
    in_notebook = hasattr(builtins, "__IPYTHON__")
    disable = False if in_notebook else None  # None: no bar where stderr is no terminal
    yield from tqdm(items, total=total, leave=False, disable=disable)
    if in_notebook:
        from IPython.display import clear_output

        clear_output()  # or an empty output would be left where the bar was


# Below are parts of the commands.


def batch_size_list(text):
    """Parse --batch_sizes: whole numbers or `full`, with commas between. Each is taken once."""
    sizes = []
    for part in text.split(","):
        size = rows_or_full(part)
        if size not in sizes:
            sizes.append(size)
    return sizes


def status_of(main):
    """Run the `main` of a command; return its exit status, also where it fails or is cut short."""
    try:
        status = main()
        sys.stdout.flush()  # print all now, so that a BrokenPipeError comes inside this try
    except KeyboardInterrupt:
        return 130  # as shells expect it after Ctrl-C
    except BrokenPipeError:  # the program behind the pipe has ended, as with `| head -1`
        discard_output()
        return 1
    except (FloatingPointError, OSError) as error:  # such as a loss of NaN, or a full disk
        return fail(text_of(error))
    return status


def text_of(error):
    """Return the text of an error in one line; the name of its type if it has none."""
    words = str(error).split()
    return " ".join(words) or type(error).__name__
