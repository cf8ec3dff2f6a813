"""Part II: check every hand-written gradient by finite differences.

    python gradient_check.py
    python gradient_check.py --modules PATH    for the layers of another modules.py

prints, layer by layer and for whole networks, the largest relative error among all elements of
each gradient. A correct gradient agrees to nine digits; a wrong one, however well its network may
train, does not. The tests demand that every error stays below `LIMIT`.
"""

import argparse
import math
import os
import runpy
import sys
from itertools import groupby
from typing import NamedTuple
from unittest.mock import patch

import numpy as np

import mlp_numpy
from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax
from train_mlp_numpy import PARSER, run

LIMIT = 1e-7
KINK = 1e-2  # the least distance of a ReLU's inputs from 0: far more than `h` moves them


class Check(NamedTuple):
    """The comparison of one gradient with its numerical estimate."""

    subject: str  # the layer or network
    gradient: str  # what the gradient is with respect to
    elements: int  # how many there are, all of them compared
    error: float  # see relative_error


def numerical_gradient(f, array, h=1e-5):
    """Return the gradient of f at `array` by central differences, of the shape of `array`.

    df/da = (f(a + h) - f(a - h)) / 2h + O(h^2), for one element a at a time. With h = 1e-5 the
    neglected term, h^2 / 6 times the third derivative, and the rounding error of f, about
    1e-16 / h, are both near 1e-11.

    Args:
        f: a function from a float64 array of that shape to a number.
        array: where to take the gradient, of any type of number, or a list; it is not changed.
        h: as in the formula.
    """
    array = np.asarray(array, dtype=float)
    gradient = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        above, below = array.copy(), array.copy()
        above[index] += h
        below[index] -= h
        width = above[index] - below[index]  # 2h, rounded as the arrays are
        gradient[index] = np.subtract(f(above), f(below), dtype=float).item() / width
    return gradient


def relative_error(analytic, numerical):
    """Return the largest |a - n| of all elements, relative to the largest |a| or |n|.

    Every element counts, on the scale of the largest: a tiny one has the rounding error of the
    large terms that it comes from, and would fail by itself even if it were right. Arrays that are
    empty or all zero, or hold a NaN or an infinity, have an infinite error; arrays of different
    shapes are a ValueError.
    """
    analytic, numerical = np.asarray(analytic, dtype=float), np.asarray(numerical, dtype=float)
    if analytic.shape != numerical.shape:
        raise ValueError(f"the gradient has shape {analytic.shape}, expected {numerical.shape}")
    both = np.stack([analytic, numerical])
    if not both.any() or not np.isfinite(both).all():
        return math.inf
    a, n = both / np.abs(both).max()
    return float(np.abs(a - n).max())


def compare(subject, gradient, analytic, numerical):
    """Return the Check of a gradient; one of another shape has an infinite error."""
    same_shape = np.shape(analytic) == numerical.shape
    error = relative_error(analytic, numerical) if same_shape else math.inf
    return Check(subject, gradient, numerical.size, error)


def check_params(subject, layer, loss):
    """Check `layer.grads`, as they are now, against central differences of loss()."""
    checks = []
    for name, param in layer.params.items():

        def loss_at(value, name=name):  # the name as it is now
            layer.params[name] = value
            return loss()

        numerical = numerical_gradient(loss_at, param)
        layer.params[name] = param
        checks.append(compare(subject, name, layer.grads[name], numerical))
    return checks


def check_layer(layer, x, rng):
    """Check a layer's gradients at the input x: of its parameters, if any, and of x.

    The loss is sum(dout * out) with a random `dout`, not uniform, so that every element of the
    output counts on its own.
    """
    dout = rng.normal(size=layer.forward(x).shape)

    def loss_at(x):
        return np.sum(dout * layer.forward(x))

    layer.forward(x)
    dx = layer.backward(dout)
    name = type(layer).__name__
    checks = check_params(name, layer, lambda: loss_at(x)) if hasattr(layer, "params") else []
    return [*checks, compare(name, "input", dx, numerical_gradient(loss_at, x))]


def check_softmax_cross_entropy(logits, targets):
    """Check the gradient of softmax and cross-entropy together with respect to the logits."""
    softmax, loss = SoftMax(), CrossEntropy()

    def loss_at(logits):
        return loss.forward(softmax.forward(logits), targets)

    loss_at(logits)
    dlogits = loss.backward()
    numerical = numerical_gradient(loss_at, logits)
    return compare("SoftMax + CrossEntropy", "logits", dlogits, numerical)


def check_network(n_inputs, n_hidden, n_classes, rng, n_rows=6, network=MLP):
    """Check every parameter of a network with random weights and biases on random rows.

    They are drawn anew until (1) no input of a ReLU is near 0, where its slope changes, (2) every
    row passes through every layer, and (3) no probability is so small that the loss clips it.

    `network` makes it, from the first three arguments: MLP, or a replacement.
    """
    targets = np.eye(n_classes)[rng.integers(n_classes, size=n_rows)]
    loss = CrossEntropy()
    for _ in range(1000):
        x = out = rng.normal(size=(n_rows, n_inputs))
        model, relu_inputs = network(n_inputs, n_hidden, n_classes), []
        for layer in model.layers:
            for name, param in getattr(layer, "params", {}).items():
                layer.params[name] = rng.normal(0, 0.7, np.shape(param))
            if isinstance(layer, ReLU):
                relu_inputs.append(out)
            out = layer.forward(out)
        usable = all(np.abs(z).min() > KINK and (z > 0).any(axis=1).all() for z in relu_inputs)
        if usable and out.min() > 1e-12:
            break
    else:
        raise RuntimeError(
            "in 1000 draws the inputs of some ReLU were never all away from 0: "
            "does ReLU.forward keep its input as it was?"
        )
    # Another batch first, so that a gradient of the batch before is seen, and is not zero.
    for batch in (-x, x):
        loss.forward(model.forward(batch), targets)
        model.backward(loss.backward())
    subject = "MLP " + "-".join(str(n) for n in (n_inputs, *n_hidden, n_classes))
    return [
        check._replace(gradient=f"{check.gradient}_{i}")
        for i, linear in enumerate(model.layers[::2])  # the others have no parameters
        for check in check_params(subject, linear, lambda: loss.forward(model.forward(x), targets))
    ]


def check_all(seed=0):
    """Return the Checks of every layer and of networks with 0 to 3 hidden layers."""
    rng = np.random.default_rng(seed)
    linear = Linear(4, 3)
    for name, param in linear.params.items():
        linear.params[name] = rng.normal(size=np.shape(param))
    off_kink = rng.choice([-1, 1], (5, 4)) * rng.uniform(KINK, 2, (5, 4))
    targets = np.eye(4)[rng.integers(4, size=5)]
    checks = [
        *check_layer(linear, rng.normal(size=(5, 4)), rng),
        *check_layer(ReLU(), off_kink, rng),
        *check_layer(SoftMax(), rng.normal(size=(5, 4)), rng),
        check_softmax_cross_entropy(rng.normal(size=(5, 4)), targets),
    ]
    for n_classes in (2, 5):
        for n_hidden in ((), (7,), (7, 6), (7, 6, 5)):
            checks += check_network(3, n_hidden, n_classes, rng)
    return checks


def error_text(error, least=LIMIT):
    """Return an error as text. Below `least` it is rounding, so its value is not shown."""
    return f"below {least:.0e}" if error < least else f"{error:.1e}"


def table(checks, least=0):
    """Return the Checks as lines of text; a network whose gradients are all right takes one line.

    Errors below `least` are not told apart: which rounding errors occur differs between machines.
    """
    rows = []
    for subject, group in groupby(checks, key=lambda check: check.subject):
        group = list(group)
        if subject.startswith("MLP") and all(check.error < LIMIT for check in group):
            elements, error = sum(c.elements for c in group), max(c.error for c in group)
            group = [Check(subject, "every weight and bias", elements, error)]
        rows += group
    lines = [f"{'':<23} {'gradient':<21} {'elements':>8} {'relative error':>15}  verdict"]
    for subject, gradient, elements, error in rows:
        verdict = f"{error_text(error, least):>15}  {'right' if error < LIMIT else 'WRONG'}"
        lines.append(f"{subject:<23} {gradient:<21} {elements:>8} {verdict}")
    n_wrong = sum(not row.error < LIMIT for row in rows)
    wrong = f"{n_wrong} of {len(rows)} rows wrong (error of {LIMIT:g} or more)"
    return [*lines, f"{sum(row.elements for row in rows)} elements compared, {wrong}"]


# Below is the command line. Nothing above needs it.


def layers_of(path):
    """Parse `--modules`: return the layers that this file defines, a dict."""
    names, path = ("Linear", "ReLU", "SoftMax", "CrossEntropy"), os.path.expanduser(path)
    try:
        with patch("sys.path", [os.path.dirname(path), *sys.path]):  # for the files beside it
            defined = runpy.run_path(path)
        return {name: defined[name] for name in names}
    except (Exception, SystemExit) as error:
        message = f"{path} does not give {', '.join(names)}: {error!r}"
        raise argparse.ArgumentTypeError(message) from error


def main(argv=None):
    """Print the table; return 1 if a gradient is wrong, else 0."""
    parser = argparse.ArgumentParser(description="Check every gradient by differences.", **PARSER)
    flag = {"type": layers_of, "metavar": "PATH", "default": argparse.SUPPRESS}
    parser.add_argument("--modules", help="another modules.py, whose layers to check", **flag)
    layers = vars(parser.parse_args(argv)).get("modules", {})
    in_mlp = {**layers, "Linear": lambda n_in, n_out, rng: Linear(n_in, n_out)}  # if it has no rng
    with patch.dict(globals(), layers), patch.dict(vars(mlp_numpy), in_mlp):
        try:
            checks = check_all()
        except Exception as error:
            if layers:
                parser.error(f"argument --modules: its layers cannot be checked: {error!r}")
            raise
    print("\n".join(table(checks)))
    return 0 if all(check.error < LIMIT for check in checks) else 1


if __name__ == "__main__":
    run(main)
