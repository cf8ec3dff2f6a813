"""In the submission's process: each layer alone, for what a network does not show.

These are the initial weights, large logits, log(0), inputs that are changed in place, the ReLU at
0, and the cause where the gradient of a network is wrong. judge_layers.py judges.
"""

import dataclasses
import sys

import numpy as np

from grading import lecture
from grading.process.calls import RATE, call
from grading.process.conventions import (
    FORMS,
    find_gradients,
    find_parameters,
    get,
    gradient_in,
    has_activation,
    method,
    new_linear,
    number_of,
    of_loss,
    read_gradients,
    read_parameters,
    targets_in,
    write_parameters,
)
from grading.process.raised import described

N = 5
RNG = np.random.default_rng(1472)
X = RNG.normal(0, 1, (N, 3))
WEIGHT = RNG.normal(0, 1, (3, 4))
BIAS = RNG.normal(0, 1, 4)
Z = RNG.normal(0, 1, (N, 4))
DOUT = RNG.normal(0, 1, (N, 4))
X_BEFORE = RNG.normal(0, 1, (N, 3))  # a batch that a layer has seen before
DOUT_BEFORE = RNG.normal(0, 1, (N, 4))
P = lecture.softmax(Z)
LABELS = np.array([0, 3, 1, 2, 0])
Y = np.eye(4)[LABELS]
EXTREME = np.array([[1000.0, 0, -1000, 5], [-1000, -1001, -1002, -1003]])  # logits
CERTAIN = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0]])  # probabilities; the second row is wrong
CERTAIN_LABELS = np.array([0, 2])


def measure(found, conventions, has_run):
    """Return for each piece what it gives, and with `raised` what kept it from more.

    Args:
        found: the submission's classes by the assignment's names.
        conventions: the Conventions, as far as the network conventions them.
        has_run: whether a network conventions them.
    """
    ways = ways_to_call(conventions, has_run)
    of_loss = with_class_numbers(ways)
    got = {
        "Linear.__init__": tried(measure_init, found, [conventions]),
        "Linear": tried(measure_linear, found, ways),
        "ReLU": tried(measure_plain, found, ways, "ReLU", Z, DOUT),
        "SoftMax": tried(measure_plain, found, ways, "SoftMax", Z, DOUT),
        "CrossEntropy": tried(measure_loss, found, of_loss, P, LABELS),
        "other activations": has_other_activation(found),
    }
    # Edge cases are given in the form in which usual values were.
    form = got["ReLU"]["form"]
    zeros = np.zeros((N, 4))
    got["ReLU at 0"] = tried(measure_plain, found, of_form(form, ways), "ReLU", zeros, DOUT)
    form = got["SoftMax"]["form"]
    got["SoftMax, extreme"] = tried(
        measure_plain, found, of_form(form, ways), "SoftMax", EXTREME, None
    )
    form = got["CrossEntropy"]["form"]
    got["CrossEntropy at 0"] = tried(
        measure_loss, found, of_form(form, of_loss), CERTAIN, CERTAIN_LABELS
    )
    return got


def with_class_numbers(ways):
    """Return each of these conventions, followed by it with class numbers for targets."""
    both = []
    for way in ways:
        both += [way, dataclasses.replace(way, targets="class numbers")]
    return both


def of_form(form, ways):
    return [way for way in ways if way.form == form]


def ways_to_call(conventions, has_run):
    """Return the conventions to try, the likeliest first."""
    forms = [conventions.form]
    if conventions.form == "one (d,)":
        forms.append("one (1, d)")  # some networks reshape a sample before its layers get it
    if not has_run:
        forms = ["batch", "columns", "batch of (1, d)", "one (d,)", "one (1, d)"]
    return [dataclasses.replace(conventions, form=form) for form in forms]


def tried(function, found, ways, *arguments):
    """Return what a measurement got the first way that it ran, or else that led furthest."""
    furthest = {}
    for conventions in ways:
        got = {"form": conventions.form}
        try:
            function(found, conventions, *arguments, got)
            return got
        except Exception as error:
            got["raised"] = described(error)
        if n_measured(got) > n_measured(furthest):
            furthest = got
    return furthest


def n_measured(got):
    """Return how many values there are, but for empty ones."""
    return sum(1 for value in got.values() if value not in ([], 0.0))


def class_of(found, name):
    if name not in found:
        raise NotImplementedError(f"there is no class {name}")
    return found[name]


def has_other_activation(found):
    """Return whether the files of the submission have another activation, such as ELU."""
    return any(has_activation(sys.modules[kind.__module__]) for kind in found.values())


def measure_init(found, conventions, got):
    """What new Linear layers from 200 and from 20 to 50 features start with."""
    class_of(found, "Linear")
    if not conventions.weight:
        find_parameters(new_linear(found, 3, 4), 3, 4, conventions)
    for n_in in 200, 20:
        weight, bias = read_parameters(new_linear(found, n_in, 50), conventions)
        again, _ = read_parameters(new_linear(found, n_in, 50), conventions)
        got[f"mean {n_in}"] = float(weight.mean())
        got[f"std {n_in}"] = float(weight.std())
        got["units_are_alike"] = len(np.unique(weight[0])) < 50
        got["bias"] = float(bias[np.abs(bias).argmax()])
        got["is_alike"] = bool(np.array_equal(weight, again))


def measure_linear(found, conventions, got):
    """A Linear, forward and backward, for each part of a batch; it has seen another one before."""
    class_of(found, "Linear")
    if not conventions.weight:
        find_parameters(new_linear(found, 3, 4), 3, 4, conventions)
    for name in "out", "dx", "weight", "bias", "changed":
        got[name] = []
    form = FORMS[conventions.form]
    befores = zip(form(X_BEFORE.copy()), form(DOUT_BEFORE.copy()), strict=True)
    for x, dout, before in zip(form(X.copy()), form(DOUT.copy()), befores, strict=True):
        layer = new_linear(found, 3, 4)
        write_parameters(layer, conventions, WEIGHT, BIAS)
        kept = x.copy()
        out = method(layer, "forward", "__call__")(x)
        if out is None:
            raise NotImplementedError("Linear.forward returns None")
        got["out"].append(np.array(out, dtype=float))
        note_change(got, "x", x, kept)
        note_change(got, "bias", np.ravel(get(layer, conventions.bias)), BIAS)
        x = kept if np.array_equal(x, kept) else x
        backward_of_linear(layer, conventions, dout, got)
        after_another_batch(layer, conventions, (kept, dout), before, got)


def note_change(got, name, now, before, where="changed"):
    """Note once that something is not as it was, but for an epsilon or a clip."""
    if not np.allclose(now, before, atol=1e-4) and name not in got[where]:
        got[where].append(name)


def backward_of_linear(layer, conventions, dout, got):
    """Put the gradients of a Linear into `got`, and which parameters have changed."""
    before = read_parameters(layer, conventions)
    try:
        dx = call(layer.backward, dout, learning_rate=RATE)
    finally:  # what is there if an exception came too early for dx
        find_gradients(layer, conventions)
        weight, bias = read_gradients(layer, conventions)
        got["weight"].append(weight)
        got["bias"].append(bias)
    got["dx"].append(None if dx is None else np.array(dx, dtype=float))
    if not conventions.backward_steps:
        after = read_parameters(layer, conventions)
        note_change(got, "weight", after[0], before[0])
        note_change(got, "bias", after[1], before[1])


def after_another_batch(layer, conventions, batch, before, got):
    """Put into `got` the weight gradient of a batch for a layer that has seen another one first."""
    first = read_gradients(layer, conventions)[0]
    other = weight_gradient_after(layer, conventions, *before)
    again = weight_gradient_after(layer, conventions, *batch)
    got.setdefault("first", []).append(first)
    got.setdefault("other", []).append(other)
    got.setdefault("again", []).append(again)


def weight_gradient_after(layer, conventions, x, dout):
    write_parameters(layer, conventions, WEIGHT, BIAS)
    method(layer, "forward", "__call__")(x.copy())
    call(layer.backward, dout.copy(), learning_rate=RATE)
    return read_gradients(layer, conventions)[0]


def measure_plain(found, conventions, name, x, dout, got):
    """Measure ReLU or SoftMax: forward, and backward if dout is given."""
    kind = class_of(found, name)
    form = FORMS[conventions.form]
    got.update(out=[], dx=[], changed=[])
    parts = form(x.copy())
    douts = [None] * len(parts) if dout is None else form(dout.copy())
    for part, dout_part in zip(parts, douts, strict=True):
        layer = kind()
        kept = part.copy()
        out = method(layer, "forward", "__call__")(part)
        if out is None:
            raise NotImplementedError(f"{name}.forward returns None")
        got["out"].append(np.array(out, dtype=float))
        note_change(got, "x", part, kept)
        if dout is None or not hasattr(layer, "backward"):
            continue
        kept = dout_part.copy()
        dx = call(layer.backward, dout_part)
        got["dx"].append(None if dx is None else np.array(dx, dtype=float))
        note_change(got, "dout", dout_part, kept)


def measure_loss(found, conventions, p, labels, got):
    """Measure the loss of probabilities, or of their logarithms if it takes logits."""
    kind = class_of(found, "CrossEntropy")
    targets = targets_in(conventions, labels, 4)
    given = p.copy()
    if takes_logits(kind, conventions, labels):
        got["takes_logits"] = True
        given = np.maximum(np.log(p), -1000)
    got.update(dx=[], twice=[], changed=[], changed_in_backward=[])
    total = 0.0
    for part, y in zip(FORMS[conventions.form](given), targets, strict=True):
        loss = kind()
        kept = part.copy()
        kept_y = np.array(y)
        result = of_loss(method(loss, "forward", "__call__"), part, y)
        number, got["gives"] = number_of(result, part)
        total += number
        got["loss"] = total
        note_change(got, "predictions", part, kept)
        note_change(got, "targets", y, kept_y)
        if not hasattr(loss, "backward") and gradient_in(result, part) is not None:
            got["dx"].append(np.array(gradient_in(result, part), dtype=float))
            continue
        after_forward = part.copy()
        got["dx"].append(gradient_of(loss, part, y))
        note_change(got, "predictions", part, after_forward, "changed_in_backward")
        note_change(got, "targets", y, kept_y, "changed_in_backward")
        got["twice"].append(gradient_of(loss, kept, kept_y))


def gradient_of(loss, p, y):
    """Return what the loss's backward gives, of a tuple the first."""
    dx = of_loss(loss.backward, p, y)
    if dx is None:
        raise NotImplementedError("CrossEntropy.backward returns None")
    return np.array(dx[0] if isinstance(dx, tuple) else dx, dtype=float)


def takes_logits(kind, conventions, labels):
    """Return whether a loss stays the same if its argument is shifted: it takes the softmax."""
    targets = targets_in(conventions, labels, 4)
    totals = []
    for shift in 0.0, 0.25:
        given = np.abs(np.log(P[: len(labels)]) - shift)
        total = 0.0
        for part, y in zip(FORMS[conventions.form](given), targets, strict=True):
            total += number_of(of_loss(method(kind(), "forward", "__call__"), part, y), part)[0]
        totals.append(total)
    return bool(np.allclose(*totals, rtol=1e-6))
