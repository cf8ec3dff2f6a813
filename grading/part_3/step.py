"""Judges the steps of a trainer: p <- p - learning_rate * dL/dp, after every batch.

Each cause has a name, and is told once: the same mistake shows in several runs.
"""

import numpy as np

from grading.checks import judged, not_judged, right
from grading.process.calls import RATE

CHECK = "train: step"
MOST = 0.8  # of the updates, that have the same cause; the last or an extra one may differ
SUM = 7  # rho of a loss that sums: it was measured with so many rows
GRADIENT = "the own gradient"  # a cause that is to be found in the layers
WORDS = {
    "still": "gradients are computed, but no parameter changes: the update is missing",
    "stale": "the loss of a batch is computed after backward, which so uses the batch before",
    "early": "the update comes before backward: it takes the gradient of the batch before",
    "last": "takes the gradient of the last sample alone: each backward overwrites the one before",
    "extra": "makes one step too many, for example at the end of an epoch",
    "up": "goes up the gradient, but should go down",
    "no rate": "leaves out the learning rate",
    "twice": "takes every step twice",
    "share": "the step is divided by N, the size of the batch, though the gradient already is",
    "times": "the step is multiplied by N, the size of the batch",
    "adapts": "is no multiple of the gradient: at first every parameter moves equally far, as with "
    "Adam or RMSProp",
    "other": "is not learning_rate * the gradient of the batch",
}


def judge(trained, rho, gradient_is_right):
    """Return the row on whether every step is against learning_rate * the gradient.

    Args:
        trained: pairs of a run and a training.
        rho: the submission's loss / the lecture's, or None.
        gradient_is_right: whether the network's own gradient is right, or None.
    """
    with_rate = [pair for pair in trained if "learning_rate" in pair[0]["given"]]
    pairs = with_rate or trained
    steps = [step for _, training in pairs for step in training["steps"]]
    if not any(step["is_compared"] for step in steps):
        return not_judged(CHECK, "no gradient is known that its steps can be compared with")
    once_an_epoch = any(merges(training) for _, training in pairs)
    causes = {}
    notes = []
    for _, training in pairs:
        if once_an_epoch and len(training["steps"][0]["pass_sizes"]) > 1:
            continue  # the batch size's fault
        rate = RATE
        if not with_rate:
            rate = own_rate(training)
            notes = [f"at a learning rate of its own, {rate:.3g}"] if rate else []
        causes = {**causes_of_step(training, rho, rate), **causes}
    drop_repeated(causes)
    is_own = causes.pop(GRADIENT, None) is not None
    if causes:
        return judged(CHECK, list(causes.values()))
    if all(step["is_tiny"] for step in steps):
        return not_judged(CHECK, "the steps are so small that rounding hides them")
    if is_own and not gradient_is_right:
        return not_judged(CHECK)
    return right(CHECK, *notes)


def causes_of_step(training, rho, rate):
    """Return what is wrong with the steps of a training, by names: nothing if they are right.

    Args:
        training: what updates.training_of returned.
        rho: the submission's loss / the lecture's, or None.
        rate: the learning rate that it was given, or its own.
    """
    steps = readable(training)
    if training["is_stale"]:
        return named("stale")
    if not any(step["moves"] for step in training["steps"]):
        return named("still")
    sizes = [step["n"] for step in steps]
    true = scaled([step["true"] for step in steps], rate)
    own = scaled([step["own"] for step in steps], rate)
    is_sum = all_are(true, sizes) and same(rho, SUM)
    if is_sum or all_are(true, [1] * len(steps)):
        return {}
    if training["is_early"]:
        return named("early")
    if most(step["is_of_last"] for step in steps):
        return named("last")
    for kind in "bias", "weight":
        if most(kind in step["still"] for step in steps):
            return {"still": f"does not update the {kind}"}
    if adds_up(training) or follows_own(true, own, sizes):
        return {GRADIENT: ""}
    factors = own if any(own) else true
    return constant_causes(factors, sizes) or other_cause(training, factors)


def named(*names):
    return {name: WORDS[name] for name in names}


def drop_repeated(causes):
    """Drop the causes that are another one, seen in another run."""
    if "extra" in causes:
        causes.pop("twice", None)  # the extra step, with the full batch
    if any(name in causes for name in ("extra", "share", "times")):
        causes.pop("rate", None)
    if len(set(causes) - {GRADIENT}) > 1:
        causes.pop("other", None)


# Factors: the step / (learning_rate * gradient) of each update


def step_factor(trained):
    """Return the trainer's step / (learning_rate * own gradient): 1, "1/N" or None."""
    for run, training in trained:
        if "learning_rate" in run["given"]:
            steps = [step for step in readable(training) if step["own"]]
            factors = [step["own"] for step in steps]
            if most_are(factors, [1] * len(steps)):
                return 1
            if most_are(factors, [1 / step["n"] for step in steps]):
                return "1/N"
    return None


def readable(training):
    """Return the steps that are larger than what rounding hides."""
    return [step for step in training["steps"] if not step["is_tiny"]]


def merges(training):
    """Return whether an update comes after several backward passes, each of a batch."""
    for step in training["steps"]:
        sizes = step["pass_sizes"]
        if step["moves"] and len(sizes) > 3 and max(sizes) > 1:
            return True
    return False


def adds_up(training):
    """Return whether gradients add up from batch to batch, as nobody sets them to zero."""
    return "adds_up" in training["explained"]


def same(a, b):
    """Return whether a factor is the wanted one."""
    return a is not None and b is not None and abs(a - b) <= 1e-2 * abs(b)


def all_are(factors, wanted):
    return all(map(same, factors, wanted))


def most_are(factors, wanted):
    return most(map(same, factors, wanted))


def most(conditions):
    """Return whether most of these hold: not all, as a last or an extra update may differ."""
    conditions = list(conditions)
    return sum(conditions) > MOST * len(conditions)


def own_rate(training):
    """Return the learning rate of a training that could not be told one, or None."""
    factors = [step["own"] or step["true"] for step in readable(training)]
    known = [f for f in factors if f is not None]
    return float(np.median(known)) * RATE if known else None


def scaled(factors, rate):
    """Return factors of RATE as those of another learning rate."""
    if not rate or rate < 0:
        return factors
    return [f and f * RATE / rate for f in factors]


def follows_own(true, own, sizes):
    """Return whether the steps are against the own gradient, so that this one is to blame.

    If the step is divided by N, it is not known whether the gradient is, too, unless it is of the
    lecture's direction.
    """
    shares = [1 / n for n in sizes]
    is_divided = all_are(own, shares) and max(sizes) > 1
    return all_are(own, [1] * len(own)) or (is_divided and not all_are(true, shares))


def constant_causes(factors, sizes):
    """Return the causes of steps that are one multiple of the right ones, by names."""
    n = len(factors)
    known = [f for f in factors if f is not None]
    middle = float(np.median(known)) if known else 0
    wanted = {
        "": [1] * n,
        "up": [-1] * n,
        "no rate": [1 / RATE] * n,
        "twice": [2] * n,
        "share": [1 / size for size in sizes],
        "times": sizes,
        "rate": [middle] * n,
    }
    if max(sizes) == 1:
        del wanted["share"], wanted["times"]
    rate_in_words = f"uses the learning rate {middle * RATE:.3g}, not the one that it is given"
    for name, targets in wanted.items():
        if most_are(factors, targets):
            found = {name: WORDS.get(name, rate_in_words)} if name else {}
            if has_longer(factors, targets):
                found["extra"] = WORDS["extra"]
            return found
    return {}


def has_longer(factors, wanted):
    """Return whether the few steps that are not as long as wanted are longer."""
    others = []
    for f, target in zip(factors, wanted, strict=True):
        if f is not None and not same(f, target):
            others.append(f / target)
    return bool(others) and min(others) > 1


def other_cause(training, factors):
    """Return the cause of steps that are no one multiple of the right ones."""
    found = training["explained"]
    if "momentum" in found:
        part = f"{found['momentum']:.2g}"
        words = f"has a momentum of {part}: {part} of the step before is added to each"
        return {"momentum": words}
    if "adapts" in found and None in factors:
        return named("adapts")
    known = [f * RATE for f in factors if f is not None]
    if len(known) > MOST * len(factors) and not same(known[0], known[-1]):
        words = f"changes the learning rate on its way, from {known[0]:.3g} to {known[-1]:.3g}"
        return {"changing": words}
    return named("other")
