"""Part III: how the runs of each batch size spread, in figures.

The tables that are drawn here, of histories and of ends, are those of spread.py.
"""

import math

import numpy as np
from matplotlib.markers import CARETUPBASE

import plots
from experiments import report
from experiments.runs import batch_size_text
from experiments.spread import ends_of, quantiles_of, spread_name

LOSSES = ["train_loss", "test_loss"]
ACCURACIES = ["train_accuracy", "test_accuracy"]
COLOR = "#542788"  # of runs: not that of a class
OTHERS = {"color": "0.7", "linewidth": 0.8, "zorder": 1, "label": "medians of the other rows"}


def figure_4(histories, title=None, x="epoch", with_report=False):
    """Draw Figure 4: how the curves of many seeds spread, a row for each batch size.

    A line is the median of the runs, a band their spread. Thin lines are the medians of the other
    batch sizes. In the last column each dot is the accuracy with which a run ends.

    Args:
        histories: a table of histories.
        title: what to write above.
        x: the column to draw against: epoch, or one that was added.
        with_report: whether to mark the accuracies of the report's runs.
    """
    histories = in_percent(histories)
    ends = ends_of(histories)
    names = histories["batch_size"].unique()
    low, median, high = quantile_curves(histories, x)
    spread = spread_name(fewest_runs(ends))

    n_rows = len(names)
    height = 1.7 * n_rows + 1.9  # inches; the second part is for titles, ticks and legend
    figure, panels = plots.new_figure(11, height, n_rows, 5, squeeze=False)
    for row, name in zip(panels, names, strict=True):
        row[0].set_ylabel(batch_size_text(name), fontsize="large")
        for axes, metric in zip(row, LOSSES + ACCURACIES, strict=False):
            axes.plot(median[metric][name], color=COLOR, label="median of the runs")
            draw_band(axes, low[metric][name], high[metric][name], spread)
            draw_others(axes, median[metric], name)
        draw_ends(row[4], ends[ends["batch_size"] == name])
        if with_report:
            mark_report(row[4], name)

    set_loss_axes(panels[:, :2], high[LOSSES].max(axis=None))
    set_accuracy_axes(panels[:, 2:])
    set_x_axes(panels[:, :4], histories[x].max(), x)
    for axes in panels[:-1, 4]:
        axes.tick_params("x", labelbottom=False)
    for axes in panels.flat:
        axes.grid(alpha=0.3)
    legend_of_all(figure)
    figure.suptitle(title)
    return figure


def in_percent(table):
    """Return a copy of a table with the accuracies in percent."""
    table = table.copy()
    table[ACCURACIES] = 100 * table[ACCURACIES]
    return table


def quantile_curves(histories, x):
    """Return the low, the median and the high curves of the runs of each batch size.

    Each of the three is a table with a column for each metric, by batch size and x.
    """
    low, high = quantiles_of(fewest_runs(ends_of(histories)))
    groups = histories.groupby(["batch_size", x], sort=False)[LOSSES + ACCURACIES]
    return groups.quantile(low), groups.quantile(0.5), groups.quantile(high)


def fewest_runs(ends):
    """Return the number of runs of the batch size that has the fewest."""
    return ends["batch_size"].value_counts().min()


def draw_others(axes, medians, name):
    """Draw the median curves of all batch sizes but the one of this name."""
    for other in medians.index.unique("batch_size"):
        if other != name:
            axes.plot(medians[other], **OTHERS)


def draw_band(axes, low, high, label):
    """Draw the band between two curves, Series by x."""
    axes.fill_between(low.index, low, high, color=COLOR, alpha=0.2, linewidth=0, label=label)


def draw_ends(axes, ends):
    """Draw a dot for each run: train accuracies at the left, test accuracies at the right."""
    for place, metric in enumerate(ACCURACIES):
        x = place + abreast(ends[metric])
        axes.scatter(x, ends[metric], s=3, color=COLOR, label="the end of a run")
    axes.set_xticks([0, 1], ["train", "test"])
    axes.set_xlim(-0.5, 1.5)


def abreast(percents):
    """Return by how much to move the dots of a Series sideways, so that equal ones lie abreast.

    Values count as equal if they are in the same bin, a quarter of a percent. The dots of a bin are
    0.06 apart, or nearer if the fullest bin would be wider than 0.84.
    """
    bins = (percents / 0.25).round()
    groups = percents.groupby(bins)
    sizes = groups.transform("size")  # of the bin of each value
    places = groups.cumcount()  # of each value in its bin: 0, 1, 2 and so on
    step = min(0.06, 0.84 / sizes.max())
    return step * (places - (sizes - 1) / 2)


def mark_report(axes, name):
    """Mark the accuracies of the report's run, if it has one of this batch size."""
    for place, text in enumerate(report.ACCURACIES.get(name, [])):
        look = {"markersize": 5, "label": "the report's run"}
        if text.startswith("over "):  # a bound: the run lies above
            look = {"markersize": 8, "marker": CARETUPBASE, "label": f"the report's run, {text} %"}
        percent = float(text.removeprefix("over "))
        axes.plot(place, percent, **{**plots.REPORT_MARK, **look})


def set_loss_axes(panels, most):
    """Give the panels of the losses, of shape (n_rows, 2), one scale, and titles on top."""
    for axes in panels.flat:
        axes.set_ylim(0, 1.05 * most)
    panels[0, 0].set_title("train loss (nats)")
    panels[0, 1].set_title("test loss (nats)")
    for axes in panels[:, 1]:
        axes.tick_params("y", labelleft=False)


def set_accuracy_axes(panels):
    """Give the panels of the accuracies, of shape (n_rows, 3), one scale, and titles on top.

    The axes begin at a multiple of 5, at least one percent below all ends and marks of the last
    column. They do not show where the runs begin: these accuracies are those of chance.
    """
    least = min(axes.dataLim.ymin for axes in panels[:, 2])
    begin = 5 * math.floor((least - 1) / 5)
    begin = max(begin, 0)
    for axes in panels.flat:
        axes.locator_params("y", integer=True)
        axes.set_ylim(begin, 100.5)
    for axes, name in zip(panels[0], ["train", "test", "final"], strict=True):
        axes.set_title(f"{name} accuracy (%)\naxis begins at {begin}")
    for axes in panels[:, 1:].flat:
        axes.tick_params("y", labelleft=False)


def set_x_axes(panels, last, unit):
    """Let the x-axes of all panels run from 0 to `last`, with ticks below the last row."""
    for axes in panels.flat:
        plots.epoch_axis(axes, last, unit)
        axes.tick_params("x", rotation=60)
    for axes in panels[:-1].flat:
        axes.set_xlabel(None)
        axes.tick_params("x", labelbottom=False)


def legend_of_all(figure):
    """Add a legend below the panels, with one entry for all that have the same label."""
    entries = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            entries.setdefault(label, handle)
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3)


def ends_figure(studies, title=None):
    """Draw the test accuracies with which the runs of studies end, a panel for each study.

    Each dot is a run, and each line the median of a batch size.

    Args:
        studies: a dict of tables of ends, such as `read_runs` returns, by the title of the panel.
        title: what to write above.
    """
    figure, panels = plots.new_figure(10, 4.6, 1, len(studies), sharey=True, squeeze=False)
    for axes, (name, ends) in zip(panels[0], studies.items(), strict=True):
        draw_test_ends(axes, in_percent(ends))
        axes.set_title(name)
        axes.set_xlabel("batch size")
        axes.grid(axis="y", alpha=0.3)
    panels[0, 0].set_ylabel("final test accuracy (%)")
    handles, labels = panels[0, -1].get_legend_handles_labels()
    panels[0, -1].legend(handles[:2], labels[:2], loc="lower left")
    figure.suptitle(title)
    return figure


def draw_test_ends(axes, ends):
    """Draw the test accuracies of each batch size and their median, side by side."""
    names = ends["batch_size"].unique()
    for place, name in enumerate(names):
        accuracies = ends.loc[ends["batch_size"] == name, "test_accuracy"]
        x = place + abreast(accuracies)
        axes.scatter(x, accuracies, s=4, color=COLOR, label="a run")
        median = accuracies.median()
        line = [place - 0.45, place + 0.45]
        axes.plot(line, [median, median], color="black", label="their median")
    axes.set_xticks(np.arange(len(names)), names)
