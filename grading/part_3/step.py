"""Judges the steps of a trainer: p <- p - learning_rate * dL/dp, after every batch.

Each cause has a name, and is told once: the same mistake shows in several runs.
"""

import numpy as np

from grading.checks import judged, not_judged, right
from grading.part_3.seen import merges, readable, trainings_of
from grading.process.calls import RATE

CHECK = "train: step"
MOST = 0.8  # of the updates, that have the same cause; the last or an extra one may differ
SUM = 7  # rho of a loss that sums: it was measured with so many rows
GRADIENT = "the own gradient"  # a cause that is to be found in the layers

STILL = "gradients are computed, but no parameter changes: the update is missing"
STALE = (
    "the loss is computed after backward: each step is against the gradient of the predictions and "
    "targets of the batch before"
)
EARLY = "update stands before backward: each step is against the gradient of the batch before"
LAST = "takes the gradient of the last sample alone: each backward overwrites the one before"
EXTRA = (
    "makes a step beyond those asked for, such as one more at the end of an epoch, against a "
    "gradient that was used before"
)


def judge(trained, rho, gradient_is_right):
    """Return the row on whether every step is against learning_rate * the gradient.

    Args:
        trained: runs with trainings.
        rho: the submission's loss / the lecture's, or None.
        gradient_is_right: whether the network's own gradient is right, or None.
    """
    causes = {}
    notes = []
    pairs = trainings_of(with_known_rate(trained))
    if not all(training["is_chain"] for _, training in pairs):
        return not_judged(CHECK, "where the layers keep their parameters is not understood")
    n_rows = max(len(set(training["order"])) for _, training in pairs)
    once_an_epoch = any(merges(training) for _, training in pairs)
    for run, training in pairs:
        if once_an_epoch and len(training["steps"][0]["pass_sizes"]) > 1:
            continue  # the batch size's fault
        rate = RATE
        if "learning_rate" not in run["given"]:
            rate = own_rate(training)
            notes = [f"at a learning rate of its own, {rate:.3g}"] if rate else []
        for name, words in causes_of_step(training, rho, rate, n_rows).items():
            causes.setdefault(name, words)
    drop_repeated(causes)
    is_own = causes.pop(GRADIENT, None) is not None
    if "other" in causes and not gradient_is_right and not knows_own(pairs):
        unknown = "it is not against the lecture's gradient, and the own one was not found"
        return not_judged(CHECK, unknown if gradient_is_right is None else "")
    if causes:
        return judged(CHECK, list(causes.values()))
    if not any(readable(training) for _, training in pairs):
        return not_judged(CHECK, "the steps are so small that rounding hides them")
    if is_own and not gradient_is_right:
        return not_judged(CHECK)
    return right(CHECK, *notes)


def drop_repeated(causes):
    """Drop the causes that are another one, seen in another run."""
    if "extra" in causes:
        causes.pop("twice", None)  # the extra step, with the full batch
    if any(name in causes for name in ("extra", "share", "times")):
        causes.pop("rate", None)
    if len(set(causes) - {GRADIENT}) > 1:
        causes.pop("other", None)


def with_known_rate(trained):
    """Return the runs whose learning rate was given, or all if there are none."""
    return [run for run in trained if "learning_rate" in run["given"]] or trained


def factor(runs):
    """Return the trainer's step / (learning_rate * own gradient): 1, "1/N" or None."""
    for run, training in trainings_of(runs):
        if "learning_rate" not in run["given"]:
            continue
        steps = [step for step in readable(training) if step["own"] is not None]
        factors = [step["own"] for step in steps]
        if most_are(factors, [1] * len(steps)):
            return 1
        if most_are(factors, [1 / step["n"] for step in steps]):
            return "1/N"
    return None


def same(a, b):
    """Return whether a factor is the wanted one."""
    return a is not None and b is not None and abs(a - b) <= 1e-2 * abs(b)


def all_are(factors, wanted):
    """Return whether there are factors, and each is the wanted one."""
    pairs = zip(factors, wanted, strict=True)
    return bool(factors) and all(same(f, target) for f, target in pairs)


def most_are(factors, wanted):
    """Return whether most of the factors are the wanted ones."""
    fits = [same(f, target) for f, target in zip(factors, wanted, strict=True)]
    return sum(fits) > MOST * len(fits)


def knows_own(pairs):
    """Return whether a step is a multiple of the own gradient, or of the lecture's."""
    return any(step["own"] is not None for _, training in pairs for step in training["steps"])


def own_rate(training):
    """Return the learning rate of a training that could not be told one, or None."""
    known = []
    for step in readable(training):
        f = step["true"] if step["own"] is None else step["own"]
        if f is not None:
            known.append(f)
    return float(np.median(known)) * RATE if known else None


def causes_of_step(training, rho, rate, n_rows):
    """Return what is wrong with the steps of a training, by names: nothing if they are right.

    Args:
        training: what updates.training_of returned.
        rho: the submission's loss / the lecture's, or None.
        rate: the learning rate that it was given, or its own.
        n_rows: in the training set.
    """
    steps = readable(training)
    if training["is_stale"]:
        return {"stale": STALE}
    if not any(step["moved"] for step in training["steps"]):
        return {"still": STILL}
    if not steps:
        return {}
    sizes = [step["n"] for step in steps]
    true = scaled([step["true"] for step in steps], rate)
    own = scaled([step["own"] for step in steps], rate)
    is_sum = all_are(true, sizes) and same(rho, SUM)
    if all_are(true, [1] * len(steps)) or is_sum:
        return {}
    if training["is_early"]:
        return {"early": EARLY}
    if sum(step["is_of_last"] for step in steps) > MOST * len(steps):
        return {"last": LAST}
    kind = still_kind(steps)
    if kind:
        return {"still": f"does not update the {kind}"}
    if adds_up(training) or follows_own(true, own, sizes):
        return {GRADIENT: ""}
    factors = own if any(f is not None for f in own) else true
    found = constant_causes(factors, sizes, n_rows)
    return found or other_cause(training, steps, factors)


def adds_up(training):
    """Return whether gradients add up from batch to batch, as nobody sets them to zero."""
    return "adds_up" in training["explained"]


def scaled(factors, rate):
    """Return factors of RATE as those of another learning rate."""
    if not rate or rate < 0:
        return factors
    return [f if f is None else f * RATE / rate for f in factors]


def follows_own(true, own, sizes):
    """Return whether the steps are against the own gradient, so that this one is to blame.

    If the step is divided by N, it is not known whether the gradient is, too, unless it is of the
    lecture's direction.
    """
    shares = [1 / n for n in sizes]
    is_divided = all_are(own, shares) and max(sizes) > 1
    return all_are(own, [1] * len(own)) or (is_divided and not all_are(true, shares))


def still_kind(steps):
    """Return the kind of parameter that stays as it is in most steps, or an empty text."""
    for kind in "bias", "weight":
        n_still = sum(kind in step["still"] for step in steps)
        if n_still > len(steps) / 2:
            return kind
    return ""


def constant_causes(factors, sizes, n_rows):
    """Return the causes of steps that are one multiple of the right ones, by names."""
    n = len(factors)
    named = [
        ("", [1] * n, ""),
        ("up", [-1] * n, "goes up the gradient, but should go down"),
        ("no rate", [1 / RATE] * n, "leaves out the learning rate"),
        ("up", [-1 / RATE] * n, "leaves out the learning rate, and goes up the gradient"),
        ("twice", [2] * n, "takes every step twice"),
    ]
    if max(sizes) > 1:
        by_size = [1 / size for size in sizes]
        words = "the step is divided by N, the size of the batch, though the gradient already is"
        named.append(("share", by_size, words))
        named.append(("times", sizes, "the step is multiplied by N, the size of the batch"))
    words = f"the step is divided by {n_rows}, the number of all rows"
    named.append(("share", [1 / n_rows] * n, words))
    known = [f for f in factors if f is not None]
    if known:
        middle = float(np.median(known))
        named.append(("rate", [middle] * n, rate_in_words(middle * RATE)))
    for name, wanted, words in named:
        if most_are(factors, wanted):
            found = {name: words} if name else {}
            return {**found, **extra_step(factors, wanted)}
    return {}


def extra_step(factors, wanted):
    """Return the cause of a few steps that are longer than the others."""
    longer = []
    for f, target in zip(factors, wanted, strict=True):
        if f is not None and not same(f, target):
            longer.append(f / target > 1)
    if not longer or not all(longer):
        return {}
    return {"extra": EXTRA}


def rate_in_words(rate):
    if rate < 0:
        return f"goes up the gradient, with a learning rate of {-rate:.3g}, whatever it is told"
    return f"takes a learning rate of {rate:.3g}, whatever the flag says"


def other_cause(training, steps, factors):
    """Return the cause of steps that are no one multiple of the right ones."""
    found = training["explained"]
    if "momentum" in found:
        words = (
            f"has a momentum of {found['momentum']:.2g}: {found['momentum']:.2g} of the step "
            "before is added to learning_rate * gradient"
        )
        return {"momentum": words}
    if "adapts" in found and any(f is None for f in factors):
        words = (
            "is no multiple of the gradient: at first every parameter moves equally far, as with "
            "Adam or RMSProp"
        )
        return {"adapts": words}
    if "weight_decay" in found:
        words = (
            f"has a weight decay of {found['weight_decay']:.2g}: the lecture's step is against "
            "the gradient of the loss alone"
        )
        return {"decay": words}
    if "length" in found:
        length = found["length"]
        return {"length": f"cuts the gradient to a length of {length:.2g}"}
    known = [f for f in factors if f is not None]
    if len(known) > MOST * len(factors):
        first = known[0] * RATE
        last = known[-1] * RATE
        words = f"changes the learning rate on its way, from {first:.3g} to {last:.3g}"
        return {"changing": words}
    if known or any(step["true"] is not None for step in steps):
        return {"other": "some steps are no multiple of the gradient of their batch"}
    return {"other": "is not learning_rate * the gradient of the batch"}
