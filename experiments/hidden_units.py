"""Parts II and III: tables and figures of hidden units, and what a stuck network lacks.

What a hidden unit does, it does by folding the log-odds: playground/folds.py has the mathematics. A
stuck network folds one way only. That this is what holds it up, and no mere symptom, is shown by
giving it the other fold: see `trained_on`.
"""

import copy

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

import plots
from experiments.runs import progress
from playground.folds import describe, fold_sums, output_weights, unit_inputs, with_fold
from playground.seeds import stuck_bound
from train_mlp_numpy import train


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

    They are "stuck" or "not stuck", see `stuck_bound`. Where they do not form two groups, or are
    too few to tell, none is stuck. The runs are what `compare` in batch_sizes.py returns.
    """
    ours = [run for run in runs if run.batch_size == batch_size]
    bound = stuck_bound([final_loss(run) for run in ours])
    groups = {"not stuck": [], "stuck": []}
    for run in ours:
        name = "stuck" if final_loss(run) > bound else "not stuck"
        groups[name].append(run)
    return groups


def final_loss(run):
    """Return the training loss with which a run ends."""
    return run.history["train_loss"][-1]


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


def trained_on(groups, data, **options):
    """Train the stuck networks on, unchanged or with a fold planted; return a table.

    It tells how many come free and with which training losses they end: the least, the median and
    the greatest. A run is free when its loss is not above the bound between the two groups.

    Args:
        groups: what `by_outcome` returns.
        data: that the networks were trained on.
        options: those of `train`.

    Raises:
        ValueError: when no run is stuck.
    """
    stuck = groups["stuck"]
    everyone = groups["not stuck"] + stuck
    if not stuck:
        needed = "it takes ten or more whose final losses form two groups"
        raise ValueError(f"none of these {len(everyone)} runs is stuck: {needed}")
    bound = stuck_bound([final_loss(run) for run in everyone])
    signs = {"as they are": 0, "with a fold down": -1, "with a fold up": 1}
    losses = {name: [] for name in signs}
    for name, run in progress([(name, run) for name in signs for run in stuck]):
        sign = signs[name]
        model = with_fold(run.model, data.x_train, sign) if sign else copy.deepcopy(run.model)
        losses[name].append(train(model, data, rng=run.seed, **options)["train_loss"][-1])
    rows = {}
    for name, ends in losses.items():
        free = f"{np.sum(np.array(ends) <= bound)} of {len(stuck)}"
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
