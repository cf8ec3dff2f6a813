"""Part III: how the runs of each batch size spread, in tables.

A table of *histories* has a row for each entry of the history of each run, and one of *ends* a row
for each run. They have the columns `batch_size` (a text, such as "16" or "full"), `seed` and
METRICS; histories also have `epoch`. A *summary* has a row for each batch size. The figures are in
spread_figures.py.
"""

import math

import pandas as pd

from experiments import report
from playground.seeds import stuck_bound
from train_mlp_numpy import COLUMNS, METRICS

NO_GROUPS = "no two groups"  # instead of a share of stuck runs
FEWEST_FOR_95_PERCENT = 20  # with fewer, each run is more than 5 % of them


def summarise(ends):
    """Return how the ends of each batch size spread: a table with a row for each of them.

    Its columns are the number of `runs`; for each metric the quantiles metric_low, metric_median
    and metric_high, see `quantiles_of`; and `stuck`, see `stuck_share`.
    """
    groups = ends.groupby("batch_size", sort=False)
    n_runs = groups.size()
    low, high = quantiles_of(n_runs.min())
    summary = pd.DataFrame({"runs": n_runs})
    for metric in METRICS:
        summary[f"{metric}_low"] = groups[metric].quantile(low)
        summary[f"{metric}_median"] = groups[metric].quantile(0.5)
        summary[f"{metric}_high"] = groups[metric].quantile(high)
    summary["stuck"] = groups["train_loss"].agg(stuck_share)
    return summary


def quantiles_of(n_runs):
    """Return the low and the high quantile of the spread that so many runs can show."""
    if n_runs < FEWEST_FOR_95_PERCENT:
        return 0, 1
    return 0.025, 0.975


def spread_name(n_runs):
    """Return the name of this spread."""
    if n_runs < FEWEST_FOR_95_PERCENT:
        return "least to greatest"
    return "central 95 %"


def stuck_share(losses):
    """Return the fraction of runs that are stuck, by their final losses; NaN without two groups.

    `stuck_bound` says what stuck means.
    """
    bound = stuck_bound(losses)
    if math.isinf(bound):
        return math.nan
    return (losses > bound).mean()


def histories_of(runs):
    """Return the table of the histories of Runs, one below the other."""
    tables = []
    for run in runs:
        tables.append(as_table(run.batch_size, run.seed, run.history))
    return pd.concat(tables, ignore_index=True)


def as_table(batch_size, seed, history):
    """Return the table of the history of one run."""
    table = pd.DataFrame({column: history[column] for column in COLUMNS})
    table.insert(0, "batch_size", batch_size)
    table.insert(1, "seed", seed)
    return table


def ends_of(histories):
    """Return the table of ends: the last row of each history."""
    return histories.groupby(["batch_size", "seed"], sort=False).tail(1)


def text_table(summary, with_report=False):
    """Return a summary as a table of texts: accuracies in percent, losses, and what is stuck.

    `with_report` adds a column with the accuracies of the report's runs.
    """
    table = pd.DataFrame(index=summary.index)
    table["train accuracy, %"] = medians_and_spreads(summary, "train_accuracy", "{:.2f}", 100)
    table["test accuracy, %"] = medians_and_spreads(summary, "test_accuracy", "{:.2f}", 100)
    table["train loss"] = medians_and_spreads(summary, "train_loss", "{:.3f}")
    table["test loss"] = medians_and_spreads(summary, "test_loss", "{:.3f}")
    table["stuck"] = [share_text(share) for share in summary["stuck"]]
    if with_report:
        table["report"] = [report_text(batch_size) for batch_size in summary.index]
    return table.rename_axis(index=None, columns="batch size")  # the heading of the first column


def medians_and_spreads(summary, metric, form, scale=1):
    """Return a text such as "0.08 [0.07, 0.25]" for each row: the median, and [low, high]."""
    texts = []
    for _, row in summary.iterrows():
        low = form.format(scale * row[f"{metric}_low"])
        median = form.format(scale * row[f"{metric}_median"])
        high = form.format(scale * row[f"{metric}_high"])
        texts.append(f"{median} [{low}, {high}]")
    return texts


def share_text(share):
    """Return a share of stuck runs as text."""
    if math.isnan(share):
        return NO_GROUPS
    return f"{100 * share:.0f} %"


def report_text(batch_size):
    """Return the report's accuracies on training and test data as text, or "-" if it has none."""
    if batch_size not in report.ACCURACIES:
        return "-"
    return " / ".join(report.ACCURACIES[batch_size])
