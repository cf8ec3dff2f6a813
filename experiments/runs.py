"""What all experiments share: a network, made and trained from one seed."""

import importlib.util

from mlp_numpy import MLP
from modules import as_rng
from train_mlp_numpy import train

STUCK_ABOVE = 0.2  # the final training loss of a run that is stuck; see batch_sizes.py


def train_from_seed(data, seed, n_hidden=(20,), **options):
    """Make an MLP that fits a Data and train it, all from one seed; return it and its history.

    The seed gives the initial weights first and the shuffles then, as on the command line. So with
    the same `n_hidden` the initial weights are the same, whatever the batch size and the learning
    rate. `seed` may also be a generator, to go on drawing from; `options` are those of `train`.
    """
    rng = as_rng(seed)
    model = MLP(len(data[0][0]), n_hidden, len(data[1][0]), rng)
    return model, train(model, data, rng=rng, **options)


def fastest_backend():
    """Return "numba" where Numba is installed, else "numpy"."""
    return "numba" if importlib.util.find_spec("numba") else "numpy"
