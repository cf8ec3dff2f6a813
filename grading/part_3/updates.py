"""In the submission's process: from passes to the updates of a training, in numbers.

Passes with equal parameters are one update: trainers that take one sample at a time make many.
The step of an update is compared with the lecture's gradient of its rows, and with the own one.
"""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from grading import lecture
from grading.part_3.watch import same_parameters
from grading.process.calls import RATE

ROUNDING = 1e-6  # of float32, relative to the largest parameter
TOLERANCE = 5e-3  # of a step, relative to its largest element
FIT = 2e-2  # of what explains a step in two parts
MOST_STEPS = 300  # that are compared with gradients
FEW_STEPS = 40  # in which a second part is looked for


@dataclass
class Update:
    """What was learned from until the parameters changed."""

    before: list  # [(W, b), ...]
    passes: list = field(default_factory=list)
    after: list = field(default_factory=list)
    moved: np.ndarray | None = None  # all parameters in one vector
    true: np.ndarray | None = None  # the lecture's gradient, if it is known
    own: np.ndarray | None = None  # the submission's gradient, the sum of all passes
    last_own: np.ndarray | None = None  # that of the last pass, for gradients that add up
    has_own: np.ndarray | None = None  # where it is known

    @property
    def n_rows(self):
        return sum(len(one.x) for one in self.passes)


def training_of(network, is_cut, ids):
    """Return in plain values what the training of a network was seen to do.

    Args:
        network: a watch.Network.
        is_cut: the run was stopped at any place, so that the last update may not be whole.
        ids: a dict that numbers the rows of a run; new ones are entered.
    """
    updates = updates_of(network)
    if is_cut and len(updates) > 1:
        updates.pop()
    for update in updates[:MOST_STEPS]:
        fill(update)
    steps = [step_of(update) for update in updates]
    told = {
        "widths": [len(bias) for _, bias in updates[0].before],
        "steps": steps,
        "order": order_of(updates, ids),
        "mixes_targets": mixes_targets(updates),
        "draws_all": draws_all(network.passes),
        "is_early": is_early(updates),
        "is_chain": is_chain(updates[0].before),
        "is_stale": any(one.is_stale for one in network.passes),
        "is_cut": is_cut,
        "explained": {},
    }
    if not all(is_one(step["true"]) or step["is_tiny"] for step in steps):
        told["explained"] = explained(updates[:FEW_STEPS])
    return told


def updates_of(network):
    """Return the updates of a network's passes.

    After a pass with a gradient near 0, parameters are equal, though there may be an update.
    """
    updates = []
    before = None
    for one in network.passes:
        is_next = before is None or not same_parameters(before.before, one.before)
        if is_next or moves_nothing(before):
            if updates:
                updates[-1].after = one.before
            updates.append(Update(one.before))
        updates[-1].passes.append(one)
        before = one
    updates[-1].after = network.final
    return updates


def moves_nothing(one):
    """Return whether the gradient of a pass is so small that its step is lost in rounding."""
    own, is_known = own_gradient(one)
    start = flat(one.before)
    return bool(is_known.all() and np.array_equal(start - RATE * own, start))


def order_of(updates, ids):
    """Return the rows in the order of learning, as numbers."""
    order = []
    for update in updates:
        for one in update.passes:
            order += numbered(one.x, ids)
    return order


def numbered(x, ids):
    """Return the numbers of the rows of x; a new row gets a new one."""
    found = []
    for row in np.round(x, 9) + 0.0:  # no -0.0
        found.append(ids.setdefault(row.tobytes(), len(ids)))
    return found


def mixes_targets(updates):
    """Return whether one row comes with two targets."""
    known = {}
    for update in updates:
        for one in update.passes:
            if one.y is None:
                continue
            for row, target in zip(one.x, one.y, strict=True):
                if known.setdefault(row.tobytes(), target.tobytes()) != target.tobytes():
                    return True
    return False


def draws_all(passes):
    """Return whether a new order of far more rows than its own is drawn for every pass."""
    before_last = passes[:-1]
    return bool(before_last) and all(one.drawn > 2 * len(one.x) for one in before_last)


def is_early(updates):
    """Return whether parameters change between the forward and the backward pass."""
    for update in updates:
        for one in update.passes:
            if one.at_backward is None:
                return False
            if not np.array_equal(flat(one.before), flat(one.at_backward)):
                return True
    return False


# The vectors of an update


def fill(update):
    """Fill the vectors of an update."""
    before = flat(update.before)
    after = flat(update.after)
    if after.shape != before.shape:
        return
    update.moved = after - before
    x = np.concatenate([one.x for one in update.passes])
    y = targets_of(update, len(update.before[-1][1]))
    if y is not None and is_chain(update.before):
        update.true = flat(lecture.gradients(update.before, x, y))
    owns = [own_gradient(one) for one in update.passes]
    has_own = np.all([has for _, has in owns], axis=0)
    if has_own.any():
        update.has_own = has_own
        update.own = np.sum([own for own, _ in owns], axis=0)
        update.last_own = owns[-1][0]


def is_chain(parameters):
    """Return whether each layer has as many inputs as the one before has outputs."""
    widths = [weight.shape for weight, _ in parameters]
    return all(one[1] == other[0] for one, other in pairwise(widths))


def flat(parameters):
    """Return parameters or gradients, [(W, b), ...], as one vector."""
    if not parameters:
        return np.zeros(0)
    return np.concatenate([np.ravel(array) for pair in parameters for array in pair])


def targets_of(update, n_classes):
    """Return the targets of an update as one-hot rows, (N, classes), or None."""
    parts = []
    for one in update.passes:
        y = one.y
        if y is None:
            return None
        if y.ndim == 1:
            if y.min() < 0 or y.max() >= n_classes:
                return None
            y = np.eye(n_classes)[y.astype(int)]
        if y.shape[1] != n_classes:
            return None
        parts.append(y)
    return np.concatenate(parts)


def own_gradient(one):
    """Return the own gradient of a pass as one vector, and where it is known."""
    values = []
    known = []
    for i, pair in enumerate(one.before):
        gradients = one.own.get(i, (None, None))
        for array, gradient in zip(pair, gradients, strict=True):
            fits = gradient is not None and gradient.size == array.size
            values.append(np.ravel(gradient) if fits else np.zeros(array.size))
            known.append(np.full(array.size, fits))
    return np.concatenate(values), np.concatenate(known)


# A step in numbers


def step_of(update):
    """Return a step in plain values.

    `true` and `own` are step / (-RATE * gradient), of the lecture's and the own one; None if the
    step has another direction, or the gradient is not known.
    """
    step = {
        "n": update.n_rows,
        "pass_sizes": [len(one.x) for one in update.passes],
        "moved": False,
        "is_tiny": True,  # so that rounding hides its direction, or it was not compared
        "true": None,
        "own": None,
        "is_of_last": False,  # `own` is that of the last pass of several
        "still": [],
    }
    if update.moved is None:
        return step
    rounding = ROUNDING * np.abs(flat(update.before)).max()
    largest = np.abs(update.moved).max()
    step["moved"] = bool(largest > 0)
    step["is_tiny"] = bool(largest <= 100 * rounding)
    if step["is_tiny"]:
        return step
    if update.true is not None:
        step["true"] = factor(update.moved, update.true, rounding)
    if update.own is not None:
        set_own_factor(step, update, rounding)
    if not is_one(step["true"]):
        step["still"] = still(update)
    return step


def set_own_factor(step, update, rounding):
    """Enter the factor of the own gradient: of the sum of all passes, or of the last one."""
    known = update.has_own
    moved = update.moved[known]
    step["own"] = factor(moved, update.own[known], rounding)
    if step["own"] is None and len(update.passes) > 1:
        step["own"] = factor(moved, update.last_own[known], rounding)
        step["is_of_last"] = step["own"] is not None


def factor(moved, gradient, rounding):
    """Return the number f of moved = -f RATE gradient, or None if there is none."""
    if not np.abs(gradient).max() > 0:
        return None
    f = float(moved @ gradient / -(RATE * (gradient @ gradient)))
    rest = np.abs(moved + f * RATE * gradient).max()
    is_fit = rest <= TOLERANCE * np.abs(moved).max() + rounding
    return f if is_fit and f != 0 else None


def is_one(f):
    return f is not None and abs(f - 1) <= 1e-2


def still(update):
    """Return the kinds of parameters that stay as they were, though they have a gradient."""
    gradient = update.true if update.own is None else update.own * update.has_own
    if gradient is None:
        return []
    kinds = {"weight": False, "bias": False}
    start = 0
    for pair in update.before:
        for kind, array in zip(kinds, pair, strict=True):
            part = slice(start, start + array.size)
            start += array.size
            has_gradient = np.abs(gradient[part]).max() > 1e-9
            if has_gradient and not update.moved[part].any():
                kinds[kind] = True
    return [kind for kind, is_still in kinds.items() if is_still]


# What explains steps that are no multiple of the gradient


def explained(updates):
    """Return what is found in the steps: each a number, where there is one for all of them.

    momentum: the part of the step before that is in a step.
    weight_decay: what the parameters are multiplied with, in the gradient.
    length: of each step, if all are equally long, in units of RATE.
    adds_up: the factor of the sum of all gradients up to now, if a step is against that.
    adapts: the first step of every parameter, if they are equal, in units of RATE.
    """
    known = [update for update in updates if update.moved is not None and update.moved.any()]
    found = {}
    for name in "own", "true":
        if not known or any(getattr(update, name) is None for update in known):
            continue
        if name == "own" and not all(update.has_own.all() for update in known):
            continue
        gradients = [getattr(update, name) for update in known]
        find_parts(known, gradients, found)
    if known and known[0].moved is not None:
        find_lengths(known, found)
    return found


def find_parts(updates, gradients, found):
    """Find steps that have a second part beside the gradient."""
    steps = [update.moved for update in updates]
    starts = [flat(update.before) for update in updates]
    momentum = [second(steps[i], gradients[i], steps[i - 1]) for i in range(1, len(steps))]
    decay = [second(steps[i], gradients[i], starts[i]) for i in range(len(steps))]
    momentum = common([m for m in momentum if m is not None], len(steps) - 1)
    decay = common([d for d in decay if d is not None], len(steps))
    if momentum is not None:
        found.setdefault("momentum", momentum)
    if decay is not None:
        found.setdefault("weight_decay", -decay / RATE)
    sums = np.cumsum(gradients, axis=0)
    factors = [factor(step, total, 0) for step, total in zip(steps, sums, strict=True)]
    factors = common([f for f in factors if f is not None], len(steps))
    if len(steps) > 2 and factors is not None:
        found["adds_up"] = factors


def second(step, gradient, other):
    """Return the number b of step = a gradient + b other, or None if there are no such numbers."""
    parts = np.stack([gradient, other], axis=1)
    numbers, *_ = np.linalg.lstsq(parts, step, rcond=None)
    rest = np.abs(step - parts @ numbers).max()
    return float(numbers[1]) if rest <= TOLERANCE * np.abs(step).max() else None


def common(numbers, n):
    """Return the number that all n updates have in common, or None; numbers near 0 are none."""
    if n < 1 or len(numbers) < n:
        return None
    middle = float(np.median(numbers))
    is_common = np.abs(np.array(numbers) - middle).max() <= FIT * abs(middle)
    return middle if is_common and abs(middle) > 1e-5 else None


def find_lengths(updates, found):
    """Find steps that are equally long, and a first step that is equal for all parameters."""
    lengths = np.array([np.linalg.norm(update.moved) for update in updates])
    if len(lengths) > 1 and np.ptp(lengths) <= 1e-3 * lengths[0]:
        found["length"] = float(lengths[0]) / RATE
    first = np.abs(updates[0].moved)
    first = first[first > 0]
    if len(first) > 4 and np.ptp(first) <= FIT * first.max():
        found["adapts"] = float(np.median(first)) / RATE
