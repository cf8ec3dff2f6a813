"""Judges the loss: CrossEntropy.forward and CrossEntropy.backward.

Its gradient is judged by that of whole networks, if these have one; else by its own formula.
"""

import numpy as np

from grading import lecture
from grading.checks import Fault, not_judged, right, wrong
from grading.part_2.gradients import name_of_factor, same
from grading.part_2.judge_layers import close, fault_of, joined, row_if_failed, total
from grading.part_2.layers import CERTAIN_LABELS, DOUT, LABELS, N, P, X, Y

FORWARD = "CrossEntropy.forward"
BACKWARD = "CrossEntropy.backward"
N_CLASSES = 4
FACTORS = {  # own gradient / the lecture's: what is wrong
    "N": "is not divided by N, the size of the batch",
    "1/N": "is divided by N, the size of the batch, twice",
    "N/C": "is divided by the number of classes, but should be by that of the rows",
    "1/C": "is divided by N and by the number of classes: divide by N alone",
    "-1": "has the wrong sign",
    "-N": "has the wrong sign, and is not divided by N",
}


def rows_of(facts):
    """Return the rows of the loss and of its gradient."""
    alone = facts.layers["CrossEntropy"]
    at_zero = facts.layers["CrossEntropy at 0"]
    forward = row_if_failed(FORWARD, alone, "loss")
    if forward is None or facts.q is not None:
        forward = judge_loss(facts)
    if facts.q is None or is_of_layers(facts):
        backward = row_if_failed(BACKWARD, alone, "dx") or judge_gradient_alone(facts)
    else:
        backward = judge_gradient(facts)
    return [
        with_faults(forward, edge_faults_of_loss(alone, at_zero, forward.status == "right")),
        with_faults(backward, edge_faults_of_gradient(alone, at_zero)),
    ]


def with_faults(row, faults):
    """Return a row with more faults: each of a check is conventions."""
    if not faults or row.status == "to do":
        return row
    known = [fault for fault in row.faults if fault.is_known]
    return wrong(row.check, *known, *faults)


# The loss


def judge_loss(facts):
    """Return the row of the loss, but for edge cases."""
    conventions = facts.conventions
    alone = facts.layers["CrossEntropy"]
    factor = factor_of_loss(facts)
    is_one_by_one = conventions.form.startswith("one")
    if conventions.loss_gives == "a number a row" and not is_one_by_one:
        if facts.seen.get("loss_is_averaged"):
            return right(FORWARD, "the loss is one number a row, and the trainer takes the mean")
        return wrong(FORWARD, "gives a number for each row, but should give their mean")
    if alone.get("takes_logits") and conventions.outputs == "probabilities" and facts.has_run:
        return wrong(FORWARD, "takes the softmax of what are probabilities already")
    if factor == "1" or (factor == "N" and is_one_by_one):
        return right(FORWARD)
    if factor == "N":
        return judge_sum(facts)
    fault = fault_of("", alone.get("loss"), lecture.cross_entropy(P, Y))
    return wrong(FORWARD, fault) if fault else right(FORWARD)


def judge_sum(facts):
    """Return the row of a loss that is summed: right if its gradient or the step fits."""
    if factor_of_gradient(facts) == "N":
        return right(FORWARD, "the loss is a sum over the batch, and so is its gradient")
    if facts.seen and facts.step == 1:
        return right(
            FORWARD,
            "the loss is the sum over the batch, not its mean; the steps are right all the same",
        )
    if facts.seen and facts.step is None:
        return not_judged(FORWARD, "is a sum over the batch: right if the trainer divides it by N")
    return wrong(
        FORWARD, "is the sum over the batch, but its gradient is that of the mean: divide by N"
    )


def factor_of_loss(facts):
    """Return the loss / the lecture's, as of name_of_factor."""
    loss = facts.layers["CrossEntropy"].get("loss")
    name = ""
    if loss is not None:
        name = name_of_factor(loss / lecture.cross_entropy(P, Y)[0], N, N_CLASSES)
    return name or name_of_factor(facts.rho)


def factor_of_gradient(facts):
    """Return the gradient / the lecture's, as of name_of_factor."""
    if facts.q is not None:
        return name_of_factor(facts.q)
    return factor_alone(facts.layers["CrossEntropy"])


def edge_faults_of_loss(alone, at_zero, is_right):
    """Return faults that a network does not show.

    Args:
        alone: what was measured of usual probabilities.
        at_zero: what was measured of probabilities of 0 and 1.
        is_right: whether the loss is right otherwise.
    """
    faults = []
    for name in alone.get("changed", []):
        faults.append(Fault(f"changes its {name} in place", spoils=False))
    if "loss" not in at_zero:
        return faults
    if not np.isfinite(at_zero["loss"]):
        words = "log(0): the loss is not finite at p = 0; clip the probabilities first"
        faults.append(Fault(words, "log", spoils=False))
    elif is_right and "loss" in alone and is_clipped_too_far(alone, at_zero):
        words = "the clip is too large: a probability of 0 costs next to nothing; use 1e-15"
        faults.append(Fault(words, "log", spoils=False))
    return faults


def is_clipped_too_far(alone, at_zero):
    """Return whether rows with p = 0 cost less than three times what usual rows do."""
    usual = abs(alone["loss"])
    worst = abs(at_zero["loss"])
    is_sum = close(alone["loss"], N * lecture.cross_entropy(P, Y)[0])
    if is_sum:
        usual = usual / len(LABELS)
        worst = worst / len(CERTAIN_LABELS)
    return worst < 3 * usual


# Its gradient


def judge_gradient(facts):
    """Return the row of the gradient, by that of networks."""
    factor = name_of_factor(facts.q)
    if factor == "1":
        return right(BACKWARD)
    if factor == "N" and same(facts.r, 1):
        is_one_by_one = facts.conventions.form.startswith("one")
        note = "the loss is a sum over the batch, and so is its gradient"
        return right(BACKWARD, "" if is_one_by_one else note)
    if factor == "N" and facts.step == "1/N":
        return right(BACKWARD, "the gradient is p - y; the division by N follows in the update")
    if factor == "N" and facts.step is None and facts.seen:
        return not_judged(BACKWARD, "the gradient is p - y: right if the trainer divides by N")
    if factor:
        return wrong(BACKWARD, FACTORS[factor])
    return wrong(BACKWARD, f"is {facts.q:.3g} times the gradient of the loss")


def is_of_layers(facts):
    """Return whether a wrong factor of networks' gradients comes from the layers, not the loss."""
    return judge_gradient(facts).spoils and not explains_factor(facts)


def explains_factor(facts):
    """Return whether the gradient of the loss alone has the factor that networks' gradients have.

    Also where its own factor is not known.
    """
    alone = factor_alone(facts.layers["CrossEntropy"])
    return alone in ("", name_of_factor(facts.q))


def judge_gradient_alone(facts):
    """Return the row of the gradient by its own formula.

    It need not be divided by N if the loss is a sum, too, or if Linear divides by N.
    """
    alone = facts.layers["CrossEntropy"]
    is_divided_elsewhere = factor_of_loss(facts) == "N" or averages(facts.layers["Linear"])
    if factor_alone(alone) == "N" and is_divided_elsewhere:
        return right(BACKWARD)
    dx = joined(alone.get("dx"), N_CLASSES, alone["form"])
    if close(dx, -Y / P / N):  # with respect to the probabilities
        return right(BACKWARD)
    fault = fault_of("the gradient", dx, lecture.cross_entropy_gradient(P, Y))
    return wrong(BACKWARD, fault) if fault else right(BACKWARD)


def factor_alone(alone):
    """Return the gradient of given probabilities / (p - y) / N or -y / p / N, or an empty text."""
    dx = joined(alone.get("dx"), N_CLASSES, alone["form"])
    for expected in (P - Y) / N, -Y / P / N:
        if dx is not None and dx.shape == expected.shape:
            factor = float((dx * expected).sum() / (expected**2).sum())
            if close(dx, factor * expected):
                return name_of_factor(factor, N, N_CLASSES)
    return ""


def averages(linear):
    """Return whether a Linear divides both gradients by the number of rows."""
    dw = total(linear.get("weight"))
    db = total(linear.get("bias"))
    return close(dw, X.T @ DOUT / N) and close(np.ravel(db), DOUT.mean(axis=0))


def edge_faults_of_gradient(alone, at_zero):
    """Return faults of the gradient that a network does not show."""
    faults = []
    if not all(np.isfinite(dx).all() for dx in at_zero.get("dx", [])):
        words = "is not finite at p = 0, where it divides by 0: clip the probabilities first"
        faults.append(Fault(words, spoils=False))
    changed = alone.get("changed_in_backward", [])
    for name in changed:
        faults.append(Fault(f"changes its {name} in place", spoils=False))
    if not changed and differs_when_called_twice(alone):
        words = "gives something else when it is called twice: it changes what forward kept"
        faults.append(Fault(words, spoils=False))
    return faults


def differs_when_called_twice(alone):
    for first, second in zip(alone.get("dx", []), alone.get("twice", []), strict=False):
        if not np.allclose(first, second, equal_nan=True, rtol=1e-4, atol=1e-6):
            return True
    return False
