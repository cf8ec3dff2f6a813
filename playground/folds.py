"""Parts II and III: what the hidden units of a trained network do: each folds the log-odds.

A network with one hidden layer and two classes says class 1 where its log-odds are above 0:

    log(p_1 / p_0) = c + sum over units j of v_j max(0, a_j),   v_j = W_j1 - W_j0

where a_j is the input of unit j's ReLU, an affine function of x, and W the output layer's weight.
The unit is flat where a_j < 0 and a tilted plane where a_j > 0: it folds the log-odds along the
line a_j = 0, upwards if v_j > 0, downwards if v_j < 0. A sum of downward folds is a concave
function, and the region where a concave function is above 0 is convex: it has no dent. So a network
that folds one way only can enclose one of the classes in a convex region, and no more.

Tables and figures of many networks are in experiments/hidden_units.py.
"""

import copy
from typing import NamedTuple

import numpy as np

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
        if self.twin is not None:
            return f"like {self.twin}"
        return ""


def unit_inputs(model, x):
    """Return a, the inputs of the hidden layer's ReLU, of shape (N, n_units), for x (N, n_inputs).

    Raises:
        ValueError: when the network is not of the form above.
    """
    weights = [linear.params["weight"] for linear in model.linear_layers]
    sizes = [len(weight) for weight in weights]
    n_classes = weights[-1].shape[1]
    if len(model.layers) != 4 or n_classes != 2:
        shape = "-".join(str(size) for size in [*sizes, n_classes])
        raise ValueError(f"the network must have one hidden layer and two classes, got {shape}")
    return model.layers[0].forward(x)


def output_weights(model):
    """Return v, of shape (n_units,): how much the log-odds rise with each unit's output."""
    weight = model.layers[2].params["weight"]
    return weight[:, 1] - weight[:, 0]


def describe(model, x):
    """Return a Unit for each hidden unit, on the rows of x, by size of the fold, largest first.

    What bends is what no plane can do: the fold is the root mean square, over the rows, of what is
    left of v_j max(0, a_j) when the best plane is taken away. It is 0 for a unit that never fires,
    and for one that always does.
    """
    outputs = np.maximum(unit_inputs(model, x), 0)
    v = output_weights(model)
    terms = v * outputs
    bends = terms - best_planes(x, terms)
    folds = np.sign(v) * np.sqrt((bends**2).mean(axis=0))
    fires = (outputs > 0).mean(axis=0)
    by_size = np.argsort(-np.abs(folds), kind="stable").tolist()
    twins = twins_of(outputs, by_size)
    units = []
    for j in by_size:
        favours = int(v[j] > 0)
        units.append(Unit(j, float(fires[j]), favours, float(folds[j]), twins[j]))
    return units


def best_planes(x, terms):
    """Return for each column of terms, (N, n_units), the plane over the rows of x nearest to it.

    A plane is an affine function of x, and the nearest one is that of least squares.
    """
    planes = np.column_stack([x, np.ones(len(x))])  # each plane is a weighted sum of these
    q, _ = np.linalg.qr(planes)  # lstsq would start threads
    return q @ (q.T @ terms)


def twins_of(outputs, by_size):
    """Return a list of each unit's twin, None where it has none.

    Two units are twins when they fire in proportion: the cosine between their outputs on the rows
    is above TWIN_ABOVE. Together they do no more than one of them could.

    Args:
        outputs: of the units on the rows, of shape (N, n_units).
        by_size: the units by size of their folds, largest first; that is the order of who is whose
            twin, and the first of several twins has none itself.
    """
    lengths = np.linalg.norm(outputs, axis=0)
    directions = outputs / np.where(lengths > 0, lengths, 1)
    cosines = directions.T @ directions
    twins = len(by_size) * [None]
    firsts = []
    for j in by_size:
        alike = [k for k in firsts if cosines[j, k] > TWIN_ABOVE]
        if alike:
            twins[j] = alike[0]
        else:
            firsts.append(j)
    return twins


def fold_sums(units):
    """Return the sums of the downward and of the upward folds, both as positive numbers."""
    folds = np.array([unit.fold for unit in units])
    down = -folds[folds < 0].sum()
    up = folds[folds > 0].sum()
    return down, up


def with_fold(model, x, sign, x_1=1):
    """Return a copy of a network in which a unit folds the log-odds along a vertical line.

    The unit with the smallest fold on the rows of x, of shape (N, 2), becomes
    a = (x_1 - x[:, 0]) / 2, with v = 0.4 sign: upwards for a sign of 1, downwards for -1.
    """
    least = describe(model, x)[-1].index
    model = copy.deepcopy(model)
    hidden = model.layers[0].params
    output = model.layers[2].params
    hidden["weight"][:, least] = (-0.5, 0)
    hidden["bias"][least] = 0.5 * x_1
    output["weight"][least] = (-0.2 * sign, 0.2 * sign)
    return model
