"""Parts II and III: what the hidden units of a trained network do, and what a stuck one lacks.

A network with one hidden layer and two classes says class 1 where its log-odds are above 0:

    log(p_1 / p_0) = c + sum over units j of v_j max(0, z_j),   v_j = W_j1 - W_j0

where z_j is the input of unit j's ReLU, an affine function of x, and W the output layer's weight.
The unit is flat where z_j < 0 and a tilted plane where z_j > 0: it folds the log-odds along the
line z_j = 0, upwards if v_j > 0, downwards if v_j < 0. A sum of upward folds is a convex function,
one of downward folds a concave one, whose positive part is convex as a region. So a network that
folds one way only can enclose one of the classes in a convex region, and no more. That this is what
holds a stuck network up, and no mere symptom, is shown by giving it the fold: see `with_fold`.
"""

import copy
from typing import NamedTuple

import numpy as np

from compare_batch_sizes import STUCK_ABOVE
from mlp_numpy import MLP
from modules import Linear, ReLU, SoftMax
from train_mlp_numpy import train, train_from_seed

TWIN_ABOVE = 0.999  # the cosine from which on two units count as one


class Unit(NamedTuple):
    """What a hidden unit does on the rows of a data set."""

    index: int  # its column in the weight of the hidden layer
    fires: float  # the fraction of the rows on which its output is above 0
    favours: int  # the class whose probability it raises: 1 if v_j > 0, else 0
    fold: float  # how much it bends the log-odds, see `describe`; the sign is that of v_j
    twin: int | None  # a unit with a larger fold that fires in proportion, if there is one

    @property
    def note(self):
        """What stands out about it, in a word or two."""
        if self.fires == 0:
            return "dead"
        return "" if self.twin is None else f"like {self.twin}"


class Run(NamedTuple):
    """A network, how it was trained, and what its units do on the training data."""

    seed: int
    model: MLP
    history: dict
    units: list  # of Unit


def unit_inputs(model, x):
    """Return z, the inputs of the hidden layer's ReLU, of shape (N, n_units), for x (N, n_inputs).

    Raises:
        ValueError: for a network of another form than the one above.
    """
    if [type(layer) for layer in model.layers] != [Linear, ReLU, Linear, SoftMax] or (
        model.layers[2].params["weight"].shape[1] != 2
    ):
        raise ValueError(
            "units are described for an MLP with one hidden layer and two classes, "
            f"got layers {[type(layer).__name__ for layer in model.layers]}"
        )
    hidden = model.layers[0].params
    return np.asarray(x, dtype=float) @ hidden["weight"] + hidden["bias"]


def describe(model, x):
    """Return a Unit for each hidden unit, on the rows of x, by size of the fold, largest first.

    What bends is what no plane can do: the fold is the root mean square, over the rows, of what
    least squares leave of v_j max(0, z_j) after the best affine function of x. It is 0 for a unit
    that never fires, and for one that always does.

    Two units are twins when they fire in proportion: the cosine between their outputs on the rows
    is above TWIN_ABOVE. Together they do no more than one of them could.
    """
    outputs = np.maximum(unit_inputs(model, x), 0)
    weight = model.layers[2].params["weight"]
    v = weight[:, 1] - weight[:, 0]
    terms = v * outputs
    planes = np.column_stack([x, np.ones(len(x))])
    rest = terms - planes @ np.linalg.lstsq(planes, terms)[0]
    folds = np.sign(v) * np.sqrt((rest**2).mean(axis=0))
    fires = (outputs > 0).mean(axis=0)
    lengths = np.linalg.norm(outputs, axis=0)
    directions = outputs / np.where(lengths > 0, lengths, 1)
    cosines = directions.T @ directions
    units, leaders = [], []
    for j in np.argsort(-np.abs(folds), kind="stable").tolist():
        twin = next((k for k in leaders if cosines[j, k] > TWIN_ABOVE), None)
        if twin is None and fires[j] > 0:
            leaders.append(j)
        units.append(Unit(j, float(fires[j]), int(v[j] > 0), float(folds[j]), twin))
    return units


def total_folds(units):
    """Return the sums of the downward and of the upward folds, both as positive numbers."""
    folds = [unit.fold for unit in units]
    return -sum(min(fold, 0.0) for fold in folds), sum(max(fold, 0.0) for fold in folds)


def runs_by_outcome(data, seeds, **options):
    """Train a network from each seed; return the Runs, lists by how they end.

    A run is "stuck" if its final training loss is above compare_batch_sizes.STUCK_ABOVE. The
    options are those of `train_from_seed`.
    """
    runs = {"not stuck": [], "stuck": []}
    for seed in seeds:
        model, history = train_from_seed(data, seed, **options)
        outcome = "stuck" if history["train_loss"][-1] > STUCK_ABOVE else "not stuck"
        runs[outcome].append(Run(seed, model, history, describe(model, data.x_train)))
    return runs


def comparison(runs):
    """Return a table, as lines of text, of how many units do what, means of each group of runs.

    Args:
        runs: as `runs_by_outcome` returns them.
    """
    lines = [f"{'mean of':<15}{'dead':>6}{'copies':>8}{'folds down':>12}{'folds up':>10}"]
    for name, group in runs.items():
        n_dead = np.mean([sum(unit.fires == 0 for unit in run.units) for run in group])
        n_copies = np.mean([sum(unit.twin is not None for unit in run.units) for run in group])
        down, up = np.mean([total_folds(run.units) for run in group], axis=0)
        label = f"{len(group)} {name}"
        lines.append(f"{label:<15}{n_dead:>6.1f}{n_copies:>8.1f}{down:>12.2f}{up:>10.2f}")
    return lines


def with_fold(model, x, sign):
    """Return a copy of a network whose least unit folds the log-odds along the line x_1 = 1.

    The unit with the smallest fold on the rows of x, of shape (N, 2), becomes
    z = (1 - x_1) / 2, with v = 0.4 sign: an upward fold for a sign of 1, a downward one for -1.
    """
    least = describe(model, x)[-1].index
    model = copy.deepcopy(model)
    hidden, output = model.layers[0].params, model.layers[2].params
    hidden["weight"][:, least], hidden["bias"][least] = (-0.5, 0), 0.5
    output["weight"][least] = -0.2 * sign, 0.2 * sign
    return model


def trained_on(runs, data, **options):
    """Train the networks of the Runs on, unchanged or with a fold planted; return a table.

    It tells, in lines of text, how many come free and with which training losses they end: the
    median, the least and the greatest. The options are those of `train`.
    """
    lines = [f"{'trained on':<24}{'free':>9}   final training loss"]
    changes = {"as they are": None, "with a fold downwards": -1, "with a fold upwards": 1}
    for name, sign in changes.items():
        losses = []
        for run in runs:
            model = with_fold(run.model, data.x_train, sign) if sign else copy.deepcopy(run.model)
            losses.append(train(model, data, rng=run.seed, **options)["train_loss"][-1])
        free = f"{np.sum(np.array(losses) <= STUCK_ABOVE)} of {len(runs)}"
        low, median, high = np.quantile(losses, (0, 0.5, 1))
        lines.append(f"{name:<24}{free:>9}   {median:.3f} [{low:.3f}, {high:.3f}]")
    return lines
