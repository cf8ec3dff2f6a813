"""What the tests of the study of batch sizes share: its files, as tables."""

import pandas as pd

from experiments.study import read_runs
from train_mlp_numpy import METRICS


def runs_of(folder):
    """Return how each run of a study ends, by batch size and seed, as a table of the METRICS."""
    return by_key(read_runs(folder))


def by_key(ends):
    """Return a table of ends with the METRICS alone, by batch size and seed."""
    return ends.set_index(["batch_size", "seed"])[list(METRICS)]


def summary_of(folder):
    """Return the summary that a study has left in its folder."""
    path = folder / "summary.csv"
    return pd.read_csv(path, dtype={"batch_size": str}, index_col="batch_size")


def assert_same(table, other, tolerance=1e-9):
    assert table.index.tolist() == other.index.tolist()
    assert table.columns.tolist() == other.columns.tolist()
    assert (table - other).abs().max(axis=None) < tolerance
