"""Judges each layer alone, by the lecture's formula.

Where the gradients of whole networks are right, a layer's own formula is a convention: so then only
edge cases count.
"""

import numpy as np

from grading import lecture
from grading.checks import LINEAR_GRADIENTS, Fault, judged, not_judged, right, to_do, wrong
from grading.part_2.layers import (
    BIAS,
    DOUT,
    DOUT_BEFORE,
    EXTREME,
    WEIGHT,
    X_BEFORE,
    P,
    X,
    Z,
)
from grading.process.raised import row_of

TOLERANCE = 2e-3  # relative to the largest element: for float32 and small epsilons


def rows_of(facts, is_right):
    """Return the rows of Linear, ReLU and SoftMax.

    Args:
        facts: the Facts.
        is_right: whether the gradients of networks are right, up to a factor of the loss.
    """
    pieces = facts.layers
    uses_softmax = any(result.get("uses_softmax_backward") for result in facts.networks)
    relu = judge_relu(pieces["ReLU"], pieces["ReLU at 0"], is_right, facts.activation)
    if "ReLU" not in facts.classes and pieces["other activations"]:
        relu = [other_activation(row) for row in relu]
    if is_right and uses_softmax:
        softmax_backward = right("SoftMax.backward")
    else:
        softmax_backward = judge_softmax_backward(pieces["SoftMax"], is_right)
    return [
        judge_init(pieces["Linear.__init__"]),
        *judge_linear(pieces["Linear"], is_right),
        *relu,
        judge_softmax(pieces["SoftMax"], pieces["SoftMax, extreme"], is_right),
        softmax_backward,
    ]


def other_activation(row):
    """Return the row of a ReLU that is not there, while there is another activation."""
    if row.status == "to do":
        return not_judged(row.check, "there is another activation, and no network ran with it")
    return row


# Values


def close(value, expected):
    """Return whether arrays have one shape, and agree."""
    if value is None or np.shape(value) != np.shape(expected):
        return False
    largest = np.abs(expected).max(initial=0) or 1
    return bool(np.abs(np.asarray(value) - expected).max(initial=0) <= TOLERANCE * largest)


def joined(arrays, n_columns, form):
    """Return what the parts of a batch gave as one (N, columns), or None."""
    if not arrays or any(array is None for array in arrays):
        return None
    if form == "columns":
        return arrays[0].T if arrays[0].ndim == 2 else None
    if form == "batch":
        return arrays[0]
    sizes = {np.size(array) for array in arrays}
    total = sum(np.size(array) for array in arrays)
    if len(sizes) > 1 or total % n_columns:
        return None
    flat = np.concatenate([np.ravel(array) for array in arrays])
    return flat.reshape(-1, n_columns)


def total(arrays):
    """Return the sum of what the parts of a batch gave, or None."""
    if not arrays or any(array is None for array in arrays):
        return None
    if len({np.shape(array) for array in arrays}) > 1:
        return None
    return np.sum(arrays, axis=0)


def fault_of(what, value, formula, about=""):
    """Return the Fault of a value, or None if it is right.

    Args:
        what: its name in words.
        value: what the submission gave, or None.
        formula: the right value, and pairs of a mistake and its value: what a function of
            lecture.py returns.
        about: see Fault.
    """
    expected, mistakes = formula
    expected = np.asarray(expected, dtype=float)
    if value is None:
        return Fault(f"{what} is None: return or set an array", about)
    if close(value, expected):
        return None
    general = [("is zero", 0 * expected), ("has the wrong sign", -expected)]
    for words, other in [*mistakes, *general]:
        if close(value, np.asarray(other, dtype=float)):
            return Fault(f"{what} {words}".strip(), about)
    if np.shape(value) != expected.shape:
        shapes = f"{np.shape(value)}, but should have {expected.shape}"
        return Fault(f"{what} has the shape {shapes}", about)
    return Fault(f"{what} is wrong{example(value, expected)}".strip(), about, is_known=False)


def example(value, expected):
    """Return the number that is furthest from what it should be, beside it, as words."""
    value = np.asarray(value)
    expected = np.asarray(expected)
    if value.shape != expected.shape:
        return f": its shape is {value.shape}, but should be {expected.shape}"
    distance = np.nan_to_num(np.abs(value - expected), nan=np.inf)
    index = np.unravel_index(distance.argmax(), expected.shape)
    return f": {value[index]:.4g} where {expected[index]:.4g} is right"


def row_if_failed(check, got, needed):
    """Return the row of a check whose value is not there, as an exception came first, or None."""
    if got.get(needed):
        return None
    if "raised" in got:
        return row_of(check, got["raised"])
    return not_judged(check)


# The layers


def judge_init(got):
    """Return the row of the initial weights."""
    name = "Linear.__init__"
    if "raised" in got:
        return row_of(name, got["raised"])
    faults = []
    if got["units_are_alike"]:
        faults.append("the initial weights of some units are the same: draw all of them at random")
    elif got["is_alike"]:
        words = "two layers of one size start with the same weights"
        faults.append(f"{words}: do you set a seed in Linear.__init__?")
    faults += faults_of_scale(got)
    if got["bias"] != 0:
        words = f"the bias does not start at 0, but at numbers such as {got['bias']:.2g}"
        faults.append(Fault(words, "bias"))
    note = ""
    if not 0.08 < got["std 200"] < 0.12:
        note = f"for 200 inputs, initial weights have a standard deviation of {got['std 200']:.2g}"
    for i, fault in enumerate(faults):
        if isinstance(fault, str):
            faults[i] = Fault(fault, "weight", spoils=False)
        else:
            fault.spoils = False
    return judged(name, faults, note)


def faults_of_scale(got):
    """Return what is wrong with the mean and the standard deviation of the initial weights."""
    faults = []
    error = 6 * got["std 200"] / np.sqrt(50 * 200)  # of the mean of that many
    if abs(got["mean 200"]) > max(error, 1e-12) and not got["units_are_alike"]:
        faults.append(
            f"the initial weights are around {got['mean 200']:.2g}, but should be around 0"
        )
    if got["std 200"] < 1e-6 and not got["units_are_alike"]:
        faults.append("the initial weights are next to 0: too small to learn from")
    grows = got["std 200"] > 2 * got["std 20"]
    if grows:
        words = "the initial weights grow with the number of inputs"
        faults.append(f"{words}: multiply by He's factor sqrt(2 / n), or take 0.1")
    elif got["std 200"] > 1.5 and got["std 20"] > 1.5:
        words = f"the initial weights have a standard deviation of {got['std 200']:.2g}"
        faults.append(f"{words}: too large, the lecture has 0.1")
    return faults


def judge_linear(got, is_right):
    """Return the rows of Linear.forward and of its three gradients."""
    rows = [judge_linear_forward(got)]
    if is_right:
        return rows + [right(name) for name in LINEAR_GRADIENTS]
    if not got.get("out"):
        return rows + [not_judged(name) for name in LINEAR_GRADIENTS]
    faults = faults_of_linear(got)
    gradients = [judged(name, faults[name]) for name in LINEAR_GRADIENTS]
    if not got.get("dx"):
        blame_first_missing(gradients, got)
    return rows + gradients


def blame_first_missing(rows, got):
    """Give the exception of Linear.backward to the first gradient that is not right."""
    failed = [row for row in rows if row.status != "right"]
    rows[rows.index(failed[0])] = row_of(failed[0].check, got["raised"])
    for row in failed[1:]:
        rows[rows.index(row)] = not_judged(row.check)


def judge_linear_forward(got):
    name = "Linear.forward"
    failed = row_if_failed(name, got, "out")
    if failed:
        return failed
    out = joined(got["out"], 4, got["form"])
    faults = []
    fault = fault_of("the output", out, lecture.linear_forward(X, WEIGHT, BIAS))
    if fault:
        faults.append(fault)
    if "x" in got["changed"]:
        faults = [Fault("changes x, its argument, in place; the caller still needs it", "x")]
    return judged(name, faults)


def faults_of_linear(got):
    """Return lists of the faults of the three gradients of a Linear, by check."""
    dx = joined(got["dx"], 3, got["form"])
    dw = total(got["weight"])
    db = total(got["bias"])
    if db is not None and 1 in np.shape(db):
        db = np.ravel(db)
    formulas = {
        "weight": ("the weight gradient", dw, lecture.weight_gradient(X, DOUT)),
        "bias": ("the bias gradient", db, lecture.bias_gradient(DOUT)),
        "input": ("the input gradient", dx, lecture.input_gradient(X, DOUT, WEIGHT)),
    }
    faults = {}
    for kind, (words, value, formula) in formulas.items():
        fault = fault_of(words, value, formula, kind)
        faults[f"Linear.backward: {kind}"] = [fault] if fault else []
    for kind in "weight", "bias":
        if kind in got["changed"]:
            words = f"a pass changes the {kind}; only the update may do so"
            faults[f"Linear.backward: {kind}"] = [Fault(words, kind)]
    weight_faults = faults["Linear.backward: weight"]
    stale = fault_of_second_batch(got)
    if stale and not any(np.any(dw) for fault in weight_faults if fault.is_known):
        faults["Linear.backward: weight"] = [stale]
    return faults


def fault_of_second_batch(got):
    """Return the Fault of a weight gradient that hangs on the batch before, or None."""
    again = total(got.get("again"))
    if again is None or not np.any(again) or got["form"] != "batch":
        return None
    stale = (X_BEFORE.T @ DOUT, X_BEFORE.T @ DOUT_BEFORE, total(got["other"]))
    if any(close(again, value) for value in stale if value is not None):
        words = "the weight gradient is that of the batch before: keep x in each forward"
        return Fault(words, "weight")
    first = total(got.get("first"))
    other = total(got.get("other"))
    if first is not None and other is not None and close(again, other + first):
        words = "the weight gradient is added to that of the batch before, but should replace it"
        return Fault(words, "weight")
    return None


def judge_relu(got, at_zero, is_right, activation):
    """Return the rows of ReLU.forward and ReLU.backward."""
    names = ("ReLU.forward", "ReLU.backward")
    if activation:
        note = f"hidden layers have {activation}"
        return [right(name, note) for name in names]
    is_missing = "raised" in got and got["raised"]["kind"] == "to do" and not got.get("out")
    if is_missing and is_right:
        return [right(name, "there is no class ReLU: the network computes it") for name in names]
    forward = row_if_failed(names[0], got, "out")
    if not forward:
        out = joined(got["out"], 4, got["form"])
        fault = fault_of("the output", out, lecture.relu_forward(Z))
        faults = [fault] if fault else []
        if "x" in got["changed"]:
            words = "changes x, its argument, in place: return a new array"
            if not is_right:
                words += "; the mask is wrong, too"
            faults.append(Fault(words, "x", spoils=not is_right))
        forward = judged(names[0], faults)
    backward = row_if_failed(names[1], got, "dx")
    if not backward and any(dx is None for dx in got["dx"]):
        backward = to_do(names[1], "ReLU.backward returns None")
    if not backward:
        backward = judged(names[1], faults_of_relu_backward(got, at_zero, is_right))
    return [forward, backward]


def is_relu_wrong(got):
    """Return whether the class ReLU alone gives something else than the lecture's."""
    out = joined(got.get("out"), 4, got["form"])
    return out is not None and fault_of("", out, lecture.relu_forward(Z)) is not None


def faults_of_relu_backward(got, at_zero, is_right):
    """Return the faults of ReLU.backward, also at 0 and in place."""
    faults = []
    dx = joined(got["dx"], 4, got["form"])
    fault = None if is_right else fault_of("dx", dx, lecture.relu_backward(Z, DOUT))
    if fault:
        faults.append(fault)
    if "dout" in got["changed"]:
        faults.append(Fault("changes dout, its argument, in place", "dout", spoils=False))
    dx = joined(at_zero.get("dx"), 4, at_zero["form"])
    if dx is not None and close(dx, DOUT) and not fault:
        words = "at x = 0 it passes dout, but should give 0"
        faults.append(Fault(words, spoils=False))
    return faults


@np.errstate(all="ignore")
def judge_softmax(got, extreme, is_right):
    """Return the row of SoftMax.forward: its formula, and large logits."""
    name = "SoftMax.forward"
    if is_right and "raised" in got and not got.get("out"):
        return right(name, "there is no class SoftMax: the network computes it")
    failed = row_if_failed(name, got, "out")
    if failed:
        return failed
    out = joined(got["out"], 4, got["form"])
    fault = fault_of("the output", out, lecture.softmax_forward(Z))
    if fault:
        return wrong(name, fault)
    out = joined(extreme.get("out"), 4, extreme["form"])
    expected, shifts = lecture.softmax_of_large_logits(EXTREME)
    if out is not None and not np.allclose(out, expected, atol=1e-6):
        words = "is wrong at logits of 1000 and -1000: subtract each row's maximum first"
        for mistake, value in shifts:
            if np.allclose(out, value, equal_nan=True, atol=1e-6):
                words = mistake
        return wrong(name, Fault(words, spoils=False))
    note = "SoftMax works in place: it changes x" if "x" in got["changed"] else ""
    return right(name, note)


def judge_softmax_backward(got, is_right):
    """Return the row of SoftMax.backward: the Jacobian, or dout, if the loss accounts for it."""
    name = "SoftMax.backward"
    if "raised" in got:
        row = row_of(name, got["raised"])
        if row.status == "wrong":
            row = not_judged(name, f"{row.faults[0].words}: is it used?")
        return row
    if not got["dx"] and is_right:
        return right(name, "there is no SoftMax.backward; nothing uses it")
    if not got["dx"]:
        return to_do(name, "there is no SoftMax.backward")
    if any(dx is None for dx in got["dx"]):
        words = "SoftMax.backward returns None"
        return right(name, f"{words}; nothing uses it") if is_right else to_do(name, words)
    dx = joined(got["dx"], 4, got["form"])
    if close(dx, DOUT):
        note = "SoftMax.backward returns dout; CrossEntropy.backward contains the softmax"
        return right(name, note)
    fault = fault_of("dx", dx, lecture.softmax_backward(P, DOUT))
    if fault is None:
        return right(name)
    if fault.is_known:
        return wrong(name, fault)
    return not_judged(name, "it could not be tested: it may take something else than dout")
