"""In the submission's process: from passes to the updates of a training, in numbers.

Passes with equal parameters are one update: trainers that take one sample at a time make many.
The step of an update is compared with the lecture's gradient of its rows, and with the own one.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from grading import lecture
from grading.part_3.watch import flat, same_parameters
from grading.process.calls import RATE

ROUNDING = 1e-6  # of float32, relative to the largest parameter
TOLERANCE = 5e-3  # of a step, relative to its largest element
FIT = 2e-2  # of numbers that are equal in all updates
MOST_STEPS = 300  # that are compared with gradients
FEW_STEPS = 40  # in which a second part is looked for
FEWEST = 20  # rows that make a test
MOST_EVALUATED = 40  # sets of rows that are compared with those of the training


@dataclass
class Update:
    """What was learned from until the parameters changed."""

    before: list  # [(W, b), ...]
    passes: list = field(default_factory=list)
    after: list = field(default_factory=list)
    moved: np.ndarray | None = None  # all parameters in one vector
    true: np.ndarray | None = None  # the lecture's gradient, if it is known
    own: np.ndarray | None = None  # the submission's gradient, the sum of all passes
    last_own: np.ndarray | None = None  # that of the last pass: gradients may add up


def training_of(network, is_cut, evaluated, ids):
    """Return in plain values what the training of a network was seen to do.

    Args:
        network: a watch.Network.
        is_cut: the run was stopped at any place, so that the last update may not be whole.
        evaluated: arrays of rows that were not learned from.
        ids: a dict that numbers the rows of a run; new ones are entered.
    """
    updates = updates_of(network)
    if is_cut and len(updates) > 1:
        updates.pop()
    for update in updates[:MOST_STEPS]:
        fill(update)
    passes = [one for update in updates for one in update.passes]
    order = []
    for one in passes:
        order += numbered(one.x, ids)
    steps = [step_of(update) for update in updates]
    return {
        "widths": [len(bias) for _, bias in updates[0].before],
        "steps": steps,
        "order": order,
        "shared_rows": shared_rows(steps, order, evaluated, ids),
        "mixes_targets": mixes_targets(passes),
        "is_early": any(one.is_early for one in passes),
        "is_stale": any(one.is_stale for one in passes),
        "is_cut": is_cut,
        "explained": explained(updates[:FEW_STEPS], steps),
    }


def updates_of(network):
    """Return the updates of a network's passes."""
    updates = []
    for one in network.passes:
        if not updates or not same_parameters(updates[-1].before, one.before):
            updates.append(Update(one.before))
        updates[-1].passes.append(one)
    for update, following in pairwise(updates):
        update.after = following.before
    updates[-1].after = network.final
    return updates


# Rows


def numbered(x, ids):
    """Return the numbers of the rows of x; a new row gets a new one."""
    found = []
    for row in np.round(x, 9) + 0.0:  # no -0.0
        found.append(ids.setdefault(row.tobytes(), len(ids)))
    return found


def mixes_targets(passes):
    """Return whether one row comes with two targets."""
    known = {}
    for one in passes:
        if one.y is None:
            continue
        for row, target in zip(one.x, one.y, strict=True):
            if known.setdefault(row.tobytes(), target.tobytes()) != target.tobytes():
                return True
    return False


def shared_rows(steps, order, evaluated, ids):
    """Return how many test rows are trained on, or None where no test was seen.

    What is evaluated may also be a batch, all rows that are trained on, or all rows that there are.
    """
    trained = set(order)
    sizes = {size for step in steps for size in [step["n"], *step["pass_sizes"]]}
    shared = []
    for x in evaluated[:MOST_EVALUATED]:
        rows = set(numbered(x, ids))
        is_batch = len(x) in sizes and rows <= trained
        if len(x) >= FEWEST and not is_batch and not trained <= rows:
            shared.append(len(rows & trained))
    return min(shared, default=None)


# The vectors of an update


def fill(update):
    """Fill the vectors of an update."""
    before = flat(update.before)
    after = flat(update.after)
    if after.size != before.size:
        return  # not every pass goes through all layers
    update.moved = after - before
    x = np.concatenate([one.x for one in update.passes])
    y = targets_of(update, len(update.before[-1][1]))
    if y is not None and is_chain(update.before):
        update.true = flat(lecture.gradients(update.before, x, y))
    owns = [own_gradient(one) for one in update.passes]
    if all(own is not None for own in owns):
        update.own = np.sum(owns, axis=0)
        update.last_own = owns[-1]


def is_chain(parameters):
    """Return whether each layer has as many inputs as the one before has outputs."""
    shapes = [weight.shape for weight, _ in parameters]
    return all(one[1] == other[0] for one, other in pairwise(shapes))


def targets_of(update, n_classes):
    """Return the targets of an update as one-hot rows, (N, classes), or None."""
    parts = []
    for one in update.passes:
        y = one.y
        if y is None:
            return None
        if y.ndim == 1:
            y = (y[:, None] == np.arange(n_classes)).astype(float)
        if y.shape[1] != n_classes:
            return None
        parts.append(y)
    return np.concatenate(parts)


def own_gradient(one):
    """Return the own gradient of a pass as one vector, or None if a part of it is not known."""
    parts = []
    for i, pair in enumerate(one.before):
        gradients = one.own.get(i, (None, None))
        for array, gradient in zip(pair, gradients, strict=True):
            if gradient is None or gradient.size != array.size:
                return None
            parts.append(np.ravel(gradient))
    return np.concatenate(parts)


# A step in numbers


def step_of(update):
    """Return a step in plain values.

    `true` and `own` are step / (-RATE * gradient), of the lecture's and the own one; None if the
    step has another direction, or the gradient is not known.
    """
    step = {
        "n": sum(len(one.x) for one in update.passes),
        "pass_sizes": [len(one.x) for one in update.passes],
        "moves": False,
        "is_tiny": True,  # so that rounding hides its direction, or it was not compared
        "is_compared": update.true is not None or update.own is not None,
        "true": None,
        "own": None,
        "is_of_last": False,  # `own` is that of the last pass of several
        "still": [],  # kinds of parameters that stay as they were
    }
    if update.moved is None:
        return step
    rounding = ROUNDING * np.abs(flat(update.before)).max()
    largest = np.abs(update.moved).max()
    step["moves"] = bool(largest > 0)
    step["is_tiny"] = not largest > 100 * rounding  # so it is if parameters are NaN
    if step["is_tiny"]:
        return step
    step["true"] = factor(update.moved, update.true, rounding)
    step["own"] = factor(update.moved, update.own, rounding)
    if step["own"] is None:
        step["own"] = factor(update.moved, update.last_own, rounding)
        step["is_of_last"] = step["own"] is not None
    step["still"] = still(update)
    return step


def factor(moved, gradient, rounding=0):
    """Return the number f of moved = -f RATE gradient, or None if there is none."""
    if gradient is None or not gradient.any():
        return None
    f = float(moved @ gradient / -(RATE * (gradient @ gradient)))
    rest = np.abs(moved + f * RATE * gradient).max()
    is_fit = rest <= TOLERANCE * np.abs(moved).max() + rounding
    return f if is_fit and f != 0 else None


def still(update):
    """Return the kinds of parameters that stay as they are, though they have a gradient."""
    gradient = update.true if update.own is None else update.own
    if gradient is None:
        return []
    sizes = [array.size for pair in update.before for array in pair]
    is_bias = np.repeat(np.arange(len(sizes)) % 2, sizes) == 1
    kinds = []
    for kind, of_kind in [("weight", ~is_bias), ("bias", is_bias)]:
        has_gradient = np.abs(gradient[of_kind]).max() > 1e-9
        if has_gradient and not update.moved[of_kind].any():
            kinds.append(kind)
    return kinds


# What explains steps that are no multiple of the gradient


def explained(updates, steps):
    """Return what is found in the steps: each a number, where there is one for all of them.

    momentum: the part of the step before that is in a step.
    adds_up: the factor of the sum of all gradients up to now, if a step is against that.
    adapts: the first step of every parameter, if they are equal.
    """
    known = [update for update in updates if update.moved is not None and update.moved.any()]
    known = [update for update in known if np.isfinite(update.moved).all()]
    is_plain = all(step["true"] and abs(step["true"] - 1) < 1e-2 for step in steps)
    if is_plain or not known:
        return {}
    has_own = all(update.own is not None for update in known)
    gradients = [update.own if has_own else update.true for update in known]
    moved = [update.moved for update in known]
    first = np.abs(moved[0])
    found = {"adapts": common(first[first > 0], fewest=5)}
    if all(gradient is not None for gradient in gradients):
        found["momentum"] = common(list(map(second, moved[1:], gradients[1:], moved)))
    if all(update.true is not None for update in known):
        sums = np.cumsum([update.true for update in known], axis=0)
        found["adds_up"] = common(list(map(factor, moved, sums)), fewest=3)
    return {name: number for name, number in found.items() if number is not None}


def second(step, gradient, other):
    """Return the number b of step = a gradient + b other, or None if there are no such numbers."""
    parts = np.stack([gradient, other], axis=1)
    numbers, *_ = np.linalg.lstsq(parts, step, rcond=None)
    rest = np.abs(step - parts @ numbers).max()
    return float(numbers[1]) if rest <= TOLERANCE * np.abs(step).max() else None


def common(numbers, fewest=1):
    """Return the number that these are all near to, or None; 0 is none."""
    if len(numbers) < fewest or any(number is None for number in numbers):
        return None
    middle = float(np.median(numbers))
    is_common = np.abs(np.array(numbers) - middle).max() <= FIT * abs(middle)
    return middle if is_common and abs(middle) > 1e-5 else None
