"""Parts II and III: what the hidden units of a trained network do, and what a stuck one lacks.

A network with one hidden layer and two classes says class 1 where its log-odds are above 0:

    log(p_1 / p_0) = c + sum over units j of v_j max(0, a_j),   v_j = W_j1 - W_j0

where a_j is the input of unit j's ReLU, an affine function of x, and W the output layer's weight.
The unit is flat where a_j < 0 and a tilted plane where a_j > 0: it folds the log-odds along the
line a_j = 0, upwards if v_j > 0, downwards if v_j < 0. A sum of upward folds is a convex function,
one of downward folds a concave one, whose positive part is convex as a region. So a network that
folds one way only can enclose one of the classes in a convex region, and no more. That this is what
holds a stuck network up, and no mere symptom, is shown by giving it the fold: see `with_fold`.
"""

import copy
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

import plots
from experiments.runs import STUCK_ABOVE, progress
from train_mlp_numpy import train

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


def unit_inputs(model, x):
    """Return a, the inputs of the hidden layer's ReLU, of shape (N, n_units), for x (N, n_inputs).

    A network of another form than the one above is a ValueError.
    """
    weights = [linear.params["weight"] for linear in model.linear_layers]
    if len(model.layers) != 4 or weights[-1].shape[1] != 2:
        shape = "-".join(str(len(weight)) for weight in weights) + f"-{weights[-1].shape[1]}"
        raise ValueError(f"the network must have one hidden layer and two classes, got {shape}")
    return model.layers[0].forward(x)


def output_weights(model):
    """Return v, of shape (n_units,): how much the log-odds rise with each unit's output."""
    weight = model.layers[2].params["weight"]
    return weight[:, 1] - weight[:, 0]


def describe(model, x):
    """Return a Unit for each hidden unit, on the rows of x, by size of the fold, largest first.

    What bends is what no plane can do: the fold is the root mean square, over the rows, of what
    least squares leave of v_j max(0, a_j) after the best affine function of x. It is 0 for a unit
    that never fires, and for one that always does.

    Two units are twins when they fire in proportion: the cosine between their outputs on the rows
    is above TWIN_ABOVE. Together they do no more than one of them could.
    """
    outputs = np.maximum(unit_inputs(model, x), 0)
    v = output_weights(model)
    terms = v * outputs
    planes, _ = np.linalg.qr(np.column_stack([x, np.ones(len(x))]))  # lstsq would start threads
    rest = terms - planes @ (planes.T @ terms)
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


def fold_sums(units):
    """Return the sums of the downward and of the upward folds, both as positive numbers."""
    folds = np.array([unit.fold for unit in units])
    return -folds[folds < 0].sum(), folds[folds > 0].sum()


def keep_largest(model, data, numbers=(0, 2, 4, 10)):
    """Return a table of the training accuracy with the units of the largest folds alone.

    There is a row for each of the numbers of units kept. In the first column all other units are
    left out; in the second, the plane that fits their sum best, by least squares, replaces them.
    """
    outputs = np.maximum(unit_inputs(model, data.x_train), 0)
    terms = output_weights(model) * outputs
    terms = terms[:, [unit.index for unit in describe(model, data.x_train)]]
    planes = np.column_stack([data.x_train, np.ones(len(terms))])
    bias, classes = model.layers[2].params["bias"], data.y_train.argmax(axis=1)
    rows = {}
    for n in (*(n for n in numbers if n < terms.shape[1]), terms.shape[1]):
        log_odds, rest = bias[1] - bias[0] + terms[:, :n].sum(axis=1), terms[:, n:].sum(axis=1)
        plane = planes @ np.linalg.lstsq(planes, rest)[0]
        right = [((log_odds + others > 0) == classes).mean() for others in (0, plane)]
        rows[n] = [f"{100 * fraction:.0f} %" for fraction in right]
    names = ["the others left out", "the others as one plane"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names).rename_axis("units kept")


def by_outcome(runs, batch_size):
    """Return the runs of a batch size, a text such as "16", as two lists by how they end.

    A run is "stuck" if its final training loss is above STUCK_ABOVE, else "not stuck". The runs are
    what `compare` in batch_sizes.py returns.
    """
    groups = {"not stuck": [], "stuck": []}
    for run in runs:
        if run.batch_size == batch_size:
            is_stuck = run.history["train_loss"][-1] > STUCK_ABOVE
            groups["stuck" if is_stuck else "not stuck"].append(run)
    return groups


def mean_counts(groups, data):
    """Return a table of what the units do, means over each group of runs of `by_outcome`."""
    rows = {}
    for name, group in groups.items():
        networks = [describe(run.model, data.x_train) for run in group]
        dead = [sum(unit.fires == 0 for unit in units) for units in networks]
        copies = [sum(unit.twin is not None for unit in units) for units in networks]
        folds = np.reshape([fold_sums(units) for units in networks], (-1, 2))
        if group:
            means = np.mean(np.column_stack([dead, copies, folds]), axis=0)
            rows[f"{len(group)} {name}"] = [f"{mean:.1f}" for mean in means]
    if not rows:
        raise ValueError("there are no runs of this batch size")
    names = ["dead units", "copies", "sum of folds down", "sum of folds up"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def with_fold(model, x, sign):
    """Return a copy of a network whose least unit folds the log-odds along the line x_1 = 1.

    The unit with the smallest fold on the rows of x, of shape (N, 2), becomes
    a = (1 - x_1) / 2, with v = 0.4 sign: an upward fold for a sign of 1, a downward one for -1.
    """
    least = describe(model, x)[-1].index
    model = copy.deepcopy(model)
    hidden, output = model.layers[0].params, model.layers[2].params
    hidden["weight"][:, least], hidden["bias"][least] = (-0.5, 0), 0.5
    output["weight"][least] = -0.2 * sign, 0.2 * sign
    return model


def trained_on(runs, data, **options):
    """Train the networks of runs on, unchanged or with a fold planted; return a table.

    It tells how many come free and with which training losses they end: the least, the median and
    the greatest. The options are those of `train`.
    """
    if not runs:
        raise ValueError("none of these runs is stuck")
    signs = {"as they are": 0, "with a fold down": -1, "with a fold up": 1}
    losses = {name: [] for name in signs}
    for name, run in progress([(name, run) for name in signs for run in runs]):
        sign = signs[name]
        model = with_fold(run.model, data.x_train, sign) if sign else copy.deepcopy(run.model)
        losses[name].append(train(model, data, rng=run.seed, **options)["train_loss"][-1])
    rows = {}
    for name, ends in losses.items():
        free = f"{np.sum(np.array(ends) <= STUCK_ABOVE)} of {len(runs)}"
        rows[name] = [free, *(f"{loss:.2f}" for loss in np.quantile(ends, (0, 0.5, 1)))]
    names = ["free", "least loss", "median loss", "greatest loss"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=names)


def unit_maps(model, data, title=None, resolution=80):
    """Draw a small map of the plane for each hidden unit: where it fires, and what it contributes.

    A unit that raises the log-odds has the colour of class 1, one that lowers them that of class 0;
    the deeper, the larger |v_j| max(0, a_j): as its square root, so that small ones can be seen,
    and on one scale for all maps. The black line is its fold, the number above how much that bends
    the log-odds. The points are 200 of the training points.
    """
    units = describe(model, data.x_train)
    n_rows = -(-len(units) // 4)
    figure, panels = plots.new_figure(9.5, 2 * n_rows + 0.9, n_rows, 4, squeeze=False)
    panels = panels.ravel()
    plots.fit_limits(panels[0], data.x_train)
    x, y = plots.grid(panels[0], resolution)
    inputs = unit_inputs(model, np.column_stack([x.ravel(), y.ravel()]))
    terms = np.abs(output_weights(model)) * np.maximum(inputs, 0)
    largest = terms.max()
    for axes, unit in zip(panels, units, strict=False):
        plots.fit_limits(axes, data.x_train)
        axes.set(xticks=[], yticks=[])
        a, term = (values[:, unit.index].reshape(x.shape) for values in (inputs, terms))
        depth = 0.85 * np.sqrt(term / max(largest, 1e-300))
        plots.draw_shades(axes, depth, to_rgb(plots.CLASS_COLORS[unit.favours]))
        if a.min() < 0 < a.max():
            axes.contour(x, y, a, levels=[0], colors="black", linewidths=1.5)
        axes.scatter(*data.x_train[:200].T, s=4, color="0.35", linewidths=0)
        note = f", {unit.note}" if unit.note else ""
        axes.set_title(f"unit {unit.index}: {unit.fold:+.2f}{note}", fontsize="medium")
    for axes in panels[len(units) :]:
        axes.set_axis_off()
    figure.suptitle(title)
    figure.supxlabel(
        f"The deepest orange raises the log-odds by {largest:.3g}, the deepest blue lowers them by "
        "as much.\nThe depth grows with the square root.",
        fontsize="medium",
    )
    return figure


def fold_figure(groups, data, title=None):
    """Draw the fold sums of each run of `by_outcome` as a mark, the stuck as crosses."""
    figure, axes = plots.new_figure(6.2, 4.6)
    n_runs = sum(map(len, groups.values()))
    # Hollow and thin, because the stuck lie close together.
    looks = (
        {"marker": "o", "facecolors": "none", "edgecolors": plots.GOOD},
        {"marker": "x", "color": plots.BAD},
    )
    for (name, group), look in zip(groups.items(), looks, strict=True):
        sums = [fold_sums(describe(run.model, data.x_train)) for run in group]
        x, y = np.reshape(sums, (-1, 2)).T
        axes.scatter(x, y, label=f"{name}: {len(group)} of {n_runs} runs", linewidths=1, **look)
    axes.set(xlabel="sum of downward folds", ylabel="sum of upward folds", title=title)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left")
    return figure
