"""The data of a trainer: are test rows trained on, and does each row keep its target?

`measure` runs in the submission's process and returns plain values. `judge` turns them into a row.
"""

import sys
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np

from grading.checks import Fault, judged
from grading.part_3.seen import pass_sizes
from grading.part_3.updates import numbered
from grading.part_3.watch import FIRST_PASSES

CHECK = "load_data"
MAKERS = ("make_moons", "make_circles", "make_blobs", "make_classification")
FEWEST = 20  # rows that make a test
MOST = 5_000  # rows; more are the points of a picture
MOST_FAULTY = 0.05  # of the targets, as label noise


# In the submission's process


@contextmanager
def noted(made):
    """Enter into a list what scikit-learn makes: pairs of x and labels."""

    def noting(original):
        def make(*args, **options):
            result = original(*args, **options)
            if isinstance(result, tuple) and len(result) >= 2:
                made.append((np.array(result[0]), np.array(result[1])))
            return result

        make.__wrapped__ = original
        return make

    datasets = sys.modules.get("sklearn.datasets")
    with ExitStack() as stack:
        for name in MAKERS:
            if hasattr(datasets, name):
                original = getattr(datasets, name)
                stack.enter_context(patch.object(datasets, name, noting(original)))
        yield


def measure(watch, trainings, made, ids):
    """Return what was seen of the data of a run.

    Args:
        watch: a watch.Watch.
        trainings: what updates.training_of returned of its networks.
        made: pairs of x and labels, as scikit-learn made them.
        ids: a dict that numbers the rows of the run; new ones are entered.
    """
    sets = []
    for entry in watch.evaluated:
        x = np.concatenate(entry["x"])
        if FEWEST <= len(x) <= MOST:
            sets.append(numbered(x, ids))
    shared = None
    for training in trainings:
        if shared is None or shared == 0:
            shared = shared_rows(training, sets)
    return {"shared_rows": shared, "strange_targets": strange_targets(watch, made, ids)}


def shared_rows(training, sets):
    """Return how many test rows are trained on, or None where no test was seen.

    What is evaluated may also be a batch, all rows that are trained on, or all rows that there are.

    Args:
        training: what updates.training_of returned.
        sets: the rows that were evaluated, as numbers.
    """
    trained = set(training["order"])
    sizes = set(pass_sizes(training))
    sizes.update(step["n"] for step in training["steps"])
    shared = None
    for rows in sets:
        different = set(rows)
        is_batch = len(rows) in sizes and different <= trained
        if is_batch or trained <= different:
            continue
        n_shared = len(different & trained)
        if n_shared == 0:
            return 0  # there is a test of its own
        shared = n_shared
    return shared


def strange_targets(watch, made, ids):
    """Return the share of rows whose target is not that of their label, or None if unknown."""
    labels = {}
    for x, of_x in made:
        if x.ndim == 2 and len(x) == len(of_x):
            rows = numbered(x, ids)
            labels.update(zip(rows, of_x.tolist(), strict=True))
    pairs = []
    for network in watch.networks:
        for one in network.passes[:FIRST_PASSES]:
            if one.y is not None:
                pairs += pairs_of(one, labels, ids)
    if len(pairs) < FEWEST:
        return None
    return share_of_strangers(pairs)


def pairs_of(one, labels, ids):
    """Return (label, class of the target) for each row of a pass whose label is known."""
    classes = one.y if one.y.ndim == 1 else one.y.argmax(axis=1)
    pairs = []
    for row, of_row in zip(numbered(one.x, ids), classes.tolist(), strict=True):
        if row in labels:
            pairs.append((labels[row], of_row))
    return pairs


def share_of_strangers(pairs):
    """Return the share of pairs that are not the most frequent one of their label."""
    counts = {}
    for label, of_row in pairs:
        of_label = counts.setdefault(label, {})
        of_label[of_row] = of_label.get(of_row, 0) + 1
    n_usual = sum(max(of_label.values()) for of_label in counts.values())
    return 1 - n_usual / len(pairs)


# Here


def judge(runs):
    """Return the row of load_data, or None where nothing was seen of a test.

    Args:
        runs: runs with trainings.
    """
    words = set()
    has_test = False
    for run in runs:
        shared = run["shared_rows"]
        has_test = has_test or shared is not None
        if shared:
            words.add("the test rows are also trained on")
        mixes = any(training["mixes_targets"] for training in run["trainings"])
        strange = run["strange_targets"]
        if strange is not None and strange > MOST_FAULTY and not mixes:
            words.add("the rows come with the targets of other rows")
    if not has_test and not words:
        return None
    return judged(CHECK, [Fault(text, spoils=False) for text in sorted(words)])
