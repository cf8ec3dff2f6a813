"""Parts II and III: what hidden units do in many networks, and what a stuck network lacks.

A hidden unit folds the log-odds along a line: playground/folds.py has the mathematics, of one
network. Here are the tables and figures of the notebook:

    unit_maps      each unit of a network, where it fires and how it folds
    keep_largest   how few folds are enough
    by_outcome     runs in two groups, those that are stuck and those that are not
    mean_counts    how the units of both groups differ
    fold_figure    the folds of each network
    trained_on     what happens to stuck networks when they are given a fold, up or down
"""

import copy

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

import plots
from experiments.runs import name_of, progress
from experiments.spread import NO_GROUPS
from playground.folds import (
    best_planes,
    describe,
    fold_sums,
    output_weights,
    unit_inputs,
    with_fold,
)
from playground.seeds import stuck_bound
from train_mlp_numpy import train

N_COLUMNS = 4  # of maps, side by side

# The marks of each group in `fold_figure`. Hollow and thin, because the stuck lie close together.
MARKS = {
    "not stuck": {"marker": "o", "facecolors": "none", "edgecolors": plots.GOOD},
    "stuck": {"marker": "x", "color": plots.BAD},
    NO_GROUPS: {"marker": "o", "facecolors": "none", "edgecolors": "black"},
}


def unit_maps(model, data, title=None, resolution=80):
    """Draw a map of the plane for each hidden unit: where it fires, and what it adds.

    A unit that raises the log-odds has the colour of class 1, one that lowers them that of class 0.
    The colour is the deeper, the larger |v_j| max(0, a_j) is. The black line is the unit's fold.
    The number above is its size, as `describe` returns it. The points are 200 of the training
    points.

    Args:
        model: an MLP with one hidden layer and two classes.
        data: a train_mlp_numpy.Data of two features.
        title: what to write above.
        resolution: the points along each side of a map.

    Raises:
        ValueError: when the network is not of this form.
    """
    units = describe(model, data.x_train)
    n_rows = int(np.ceil(len(units) / N_COLUMNS))
    figure, panels = plots.new_figure(9.5, 2 * n_rows + 0.9, n_rows, N_COLUMNS, squeeze=False)
    panels = panels.ravel()
    for axes in panels:
        axes.set_axis_off()

    plots.fit_limits(panels[0], data.x_train)
    x, y = plots.grid(panels[0], resolution)
    places = np.column_stack([x.ravel(), y.ravel()])
    inputs = unit_inputs(model, places)
    terms = np.abs(output_weights(model)) * np.maximum(inputs, 0)
    largest = terms.max()

    depths = 0.85 * np.sqrt(terms / max(largest, 1e-300))  # the root, to see the small ones
    for axes, unit in zip(panels, units, strict=False):
        axes.set_axis_on()
        axes.set(xticks=[], yticks=[])
        plots.fit_limits(axes, data.x_train)
        depth = depths[:, unit.index].reshape(x.shape)
        plots.draw_shades(axes, depth, to_rgb(plots.CLASS_COLORS[unit.favours]))
        draw_fold(axes, x, y, inputs[:, unit.index].reshape(x.shape))
        axes.scatter(*data.x_train[:200].T, s=4, color="0.35", linewidths=0)
        axes.set_title(name_of_unit(unit), fontsize="medium")
    figure.suptitle(title)
    figure.supxlabel(
        "Orange raises the log-odds, blue lowers them.\n"
        f"The deepest colour stands for {largest:.3g}, and the depth grows with the square root.",
        fontsize="medium",
    )
    return figure


def draw_fold(axes, x, y, a):
    """Draw the line where a, the input of a unit's ReLU at the places (x, y), is 0."""
    if a.min() < 0 < a.max():
        axes.contour(x, y, a, levels=[0], colors="black", linewidths=1.5)


def name_of_unit(unit):
    """Return the title of a unit's map, such as "unit 3: -0.12, like 17"."""
    size = round(unit.fold, 3) + 0.0  # which makes 0 of -0
    name = f"unit {unit.index}: {size:g}"
    if unit.note:
        name = f"{name}, {unit.note}"
    return name


def keep_largest(model, data, numbers=(0, 2, 4, 10)):
    """Return a table of the training accuracy with the units of the largest folds alone.

    There is a row for each of the numbers of units kept, and one for all units. In the first column
    the other units are left out; in the second, the plane nearest to their sum replaces them.

    Raises:
        ValueError: when the network has not one hidden layer and two classes.
    """
    outputs = np.maximum(unit_inputs(model, data.x_train), 0)
    by_size = [unit.index for unit in describe(model, data.x_train)]
    terms = (output_weights(model) * outputs)[:, by_size]
    n_units = len(by_size)

    bias = model.layers[2].params["bias"]
    is_class_1 = data.y_train[:, 1] == 1
    rows = {}
    for n in [*numbers, n_units]:
        if n > n_units:
            continue
        kept = bias[1] - bias[0] + terms[:, :n].sum(axis=1)
        others = terms[:, n:].sum(axis=1)
        plane = best_planes(data.x_train, others)
        left_out = np.mean((kept > 0) == is_class_1)
        replaced = np.mean((kept + plane > 0) == is_class_1)
        rows[n] = [f"{100 * left_out:.0f} %", f"{100 * replaced:.0f} %"]
    columns = ["the others left out", "the others as one plane"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis("units kept")


def by_outcome(runs, batch_size):
    """Return the runs of a batch size in groups, lists by name, by how they end.

    The groups are "not stuck" and "stuck", as `stuck_bound` tells them apart. Where the runs do not
    form two groups, or are too few to tell, all are in the one group "no two groups".

    Args:
        runs: what `compare` in runs.py returns.
        batch_size: an int, or None for the full batch.
    """
    ours = [run for run in runs if run.batch_size == name_of(batch_size)]
    bound = stuck_bound([final_loss(run) for run in ours])
    if bound == np.inf:
        return {NO_GROUPS: ours}
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
        counts = [counts_of(run.model, data) for run in group]
        means = [f"{mean:.2g}" for mean in np.mean(counts, axis=0)]
        rows[name] = [len(group), *means]
    columns = ["runs", "dead units", "copies", "sum of folds down", "sum of folds up"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def counts_of(model, data):
    """Return a network's dead units, its copies of others, and its sums of folds down and up."""
    units = describe(model, data.x_train)
    n_dead = sum(unit.fires == 0 for unit in units)
    n_copies = sum(unit.twin is not None for unit in units)
    down, up = fold_sums(units)
    return [n_dead, n_copies, down, up]


def fold_figure(groups, data, title=None):
    """Draw each run of `by_outcome` as a mark, by the sums of its downward and upward folds."""
    figure, axes = plots.new_figure(6.2, 4.6)
    n_runs = sum(len(group) for group in groups.values())
    for name, group in groups.items():
        sums = [fold_sums(describe(run.model, data.x_train)) for run in group]
        down, up = np.transpose(sums)
        label = f"{name}: {len(group)} of {n_runs} runs"
        axes.scatter(down, up, label=label, linewidths=1, **MARKS[name])
    axes.axvline(0, color="0.5", linewidth=0.8)
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.set(xlabel="sum of downward folds", ylabel="sum of upward folds", title=title)
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def trained_on(groups, data, up_at=(1,), down_at=(1,), max_steps=1500, **options):
    """Train the stuck networks on, as they are or with a fold planted; return a table.

    A row tells how many of them come free, and with which training losses they end: the least, the
    median and the greatest. A run is free when its loss is not above the bound between the two
    groups. Where no run is stuck, the table has no losses.

    Args:
        groups: what `by_outcome` returns.
        data: that the networks were trained on.
        up_at: at each of these x_1 an upward fold is planted, in a copy of each network.
        down_at: the same for downward folds.
        max_steps: the number of epochs.
        options: others of `train`, such as the batch size.
    """
    stuck = groups.get("stuck", [])
    everyone = [run for group in groups.values() for run in group]
    bound = stuck_bound([final_loss(run) for run in everyone])

    plants = {"as they are": None}  # by name: the sign and the place of a fold
    for x_1 in up_at:
        plants[f"a fold up, at x₁ = {x_1}"] = (1, x_1)
    for x_1 in down_at:
        plants[f"a fold down, at x₁ = {x_1}"] = (-1, x_1)

    jobs = [(name, run) for name in plants for run in stuck]
    losses = {name: [] for name in plants}
    for name, run in progress(jobs):
        model = copy.deepcopy(run.model)
        if plants[name]:
            sign, x_1 = plants[name]
            model = with_fold(model, data.x_train, sign, x_1)
        history = train(
            model, data, max_steps=max_steps, eval_freq=max_steps, rng=run.seed, **options
        )
        losses[name].append(history["train_loss"][-1])

    rows = {name: how_they_end(ends, bound) for name, ends in losses.items()}
    columns = ["free", "least loss", "median loss", "greatest loss"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def how_they_end(losses, bound):
    """Return as texts how many losses are not above the bound, and their quantiles."""
    n_free = sum(loss <= bound for loss in losses)
    free = f"{n_free} of {len(losses)}"
    if len(losses) == 0:
        return [free, "-", "-", "-"]
    least, median, greatest = np.quantile(losses, [0, 0.5, 1])
    return [free, f"{least:.2f}", f"{median:.2f}", f"{greatest:.2f}"]
