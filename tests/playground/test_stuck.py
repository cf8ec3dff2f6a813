"""Which runs are stuck: where the final losses of many runs form two groups, those of the upper."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from playground.seeds import N_SEEDS, Seeds, stuck_bound
from playground.settings import FIRST

FIGURES = Path(__file__).parent.parent.parent / "figures"


def losses_of(folder, batch_size):
    """Return the final training losses of a study's runs with this batch size, a text."""
    with open(FIGURES / folder / "runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([float(row["train_loss"]) for row in rows if row["batch_size"] == batch_size])


def largest_ratio(losses):
    losses = np.sort(losses)
    return (losses[1:] / losses[:-1]).max()


def n_stuck(losses):
    return np.sum(np.array(losses) > stuck_bound(losses))


def test_the_bound_lies_halfway_between_the_groups_as_a_ratio():
    losses = [0.32, *4 * [0.08], 0.34, *4 * [0.06]]
    assert stuck_bound(losses) == pytest.approx(0.16)  # twice 0.08 and half of 0.32
    assert n_stuck(losses) == 2


def test_the_order_of_the_runs_does_not_count_and_they_stay_as_they_are():
    losses = np.array([0.3, 0.1] * 5)
    before = losses.copy()
    assert stuck_bound(losses) == stuck_bound(losses[::-1]) == stuck_bound(np.sort(losses))
    assert np.array_equal(losses, before)


def test_a_gap_among_networks_that_have_learned_does_not_count():
    learned = [*8 * [0.0003], 0.007]  # a wider gap, as a ratio
    assert n_stuck([*learned, 0.09, 0.27]) == 2


def test_a_loss_of_0_is_the_lower_group():
    assert n_stuck([0, *9 * [0.25]]) == 9


def test_one_run_of_ten_can_be_stuck_and_so_can_nine():
    assert n_stuck([*9 * [0.08], 0.25]) == 1
    assert n_stuck([0.08, *9 * [0.25]]) == 9


def test_the_unit_of_the_loss_does_not_count():
    losses = np.array([*6 * [0.08], *4 * [0.25]])
    assert stuck_bound(1000 * losses) == pytest.approx(1000 * stuck_bound(losses))


def test_of_several_gaps_the_one_of_the_largest_ratio_splits_the_runs():
    losses = [*4 * [0.01], *3 * [0.06], *3 * [0.24]]  # six times and four times as much
    assert n_stuck(losses) == 6


@pytest.mark.parametrize(
    "losses",
    [
        10 * [0.25],  # all alike, however high
        np.linspace(0.05, 0.3, 30),  # far apart, but with no gap
        [*5 * [0.2], *5 * [0.3]],  # a gap, but of no more than half as much again
        10 * [0],
        [*5 * [0.001], *5 * [0.01]],  # a gap, but all have learned their task
    ],
)
def test_without_a_gap_no_run_is_stuck(losses):
    assert stuck_bound(losses) == math.inf
    assert n_stuck(losses) == 0


@pytest.mark.parametrize("n_runs", [0, 1, 2, 9])
def test_fewer_than_ten_runs_tell_of_no_groups(n_runs):
    losses = [0.1, *8 * [0.3]]
    assert stuck_bound(losses[:n_runs]) == math.inf


def test_of_twenty_networks_one_that_diverges_is_in_no_group():
    losses = [*10 * [0.1], *9 * [0.3]]
    seeds = Seeds(FIRST, code=None)
    seeds.ends = [{"seed": seed, "train_loss": loss} for seed, loss in enumerate(losses)]
    seeds.ends.append({"seed": N_SEEDS - 1})  # without a loss
    assert seeds.told()["bound"] == stuck_bound(losses)


# The runs of the study, as they are committed.


@pytest.mark.parametrize(("batch_size", "ratio", "n"), [("1", 2.16, 5), ("16", 2.64, 33)])
def test_at_equal_epochs_small_batches_have_two_groups(batch_size, ratio, n):
    losses = losses_of(".", batch_size)
    assert len(losses) == 100
    assert largest_ratio(losses) == pytest.approx(ratio, abs=0.005)
    assert n_stuck(losses) == n
    assert n_stuck(losses) == np.sum(losses > 0.2)


@pytest.mark.parametrize(("batch_size", "ratio"), [("64", 1.038), ("256", 1.006), ("full", 1.014)])
def test_at_equal_epochs_large_batches_have_no_two_groups(batch_size, ratio):
    losses = losses_of(".", batch_size)
    assert largest_ratio(losses) == pytest.approx(ratio, abs=0.0005)
    assert stuck_bound(losses) == math.inf


@pytest.mark.parametrize(
    ("batch_size", "n"), [("1", 29), ("16", 33), ("64", 32), ("256", 33), ("full", 33)]
)
def test_at_equal_updates_every_batch_size_has_two_groups(batch_size, n):
    losses = losses_of("updates", batch_size)
    assert largest_ratio(losses) > 2.4
    assert n_stuck(losses) == n
    assert n_stuck(losses) == np.sum(losses > 0.2)
