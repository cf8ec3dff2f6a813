"""Part II: check every hand-written gradient by finite differences.

    python gradient_check.py

prints, layer by layer and for whole networks, the largest relative error among all elements of
each gradient. A correct gradient agrees to nine digits; a wrong one, however well its network may
train, does not. The tests demand that every error stays below `LIMIT`.
"""

import argparse
import math
from itertools import groupby
from typing import NamedTuple

import numpy as np

from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax
from train_mlp_numpy import PARSER, run

LIMIT = 1e-7
KINK = 1e-2  # the least distance of a ReLU's inputs from 0: far more than `step` moves them


class Check(NamedTuple):
    """The comparison of one gradient with its numerical estimate."""

    subject: str  # the layer or network
    gradient: str  # what the gradient is with respect to
    elements: int  # how many there are, all of them compared
    error: float  # see relative_error


def numerical_gradient(f, array, step=1e-5):
    """Return the gradient of f at `array` by central differences, of the shape of `array`.

    df/da = (f(a + h) - f(a - h)) / 2h + O(h^2), for one element a at a time. With h = 1e-5 the
    neglected term, h^2 / 6 times the third derivative, and the rounding error of f, about
    1e-16 / h, are both near 1e-11.

    Args:
        f: a function from an array of that shape to a float.
        array: where to take the gradient; it is not changed.
        step: the h above.
    """
    gradient = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        above, below = array.copy(), array.copy()
        above[index] += step
        below[index] -= step
        gradient[index] = (f(above) - f(below)) / (above[index] - below[index])
    return gradient


def relative_error(analytic, numerical):
    """Return the largest |a - n| of all elements, relative to the largest |a| or |n|.

    Every element counts, on the scale of the largest: a tiny one has the rounding error of the
    large terms that it comes from, and would fail by itself even if it were right. Arrays that are
    all zero, or hold a NaN, have an infinite error.
    """
    if analytic.shape != numerical.shape:
        raise ValueError(f"the gradient has shape {analytic.shape}, expected {numerical.shape}")
    largest = max(np.abs(analytic).max(), np.abs(numerical).max())
    difference = np.abs(analytic - numerical).max()
    return float(difference / largest) if largest > 0 and difference < math.inf else math.inf


def check_params(subject, layer, loss):
    """Check `layer.grads`, as they are now, against central differences of loss()."""
    checks = []
    for name, param in layer.params.items():

        def loss_at(value, name=name):  # the name as it is now
            layer.params[name] = value
            return loss()

        analytic = layer.grads[name]
        error = relative_error(analytic, numerical_gradient(loss_at, param))
        layer.params[name] = param
        checks.append(Check(subject, name, param.size, error))
    return checks


def check_layer(layer, x, rng):
    """Check a layer's gradients at the input x: of its parameters, if any, and of x.

    The loss is sum(dout * out) with a random `dout`, not uniform, so that every element of the
    output counts on its own.
    """
    dout = rng.normal(size=layer.forward(x).shape)

    def loss_at(x):
        return float(np.sum(dout * layer.forward(x)))

    layer.forward(x)
    dx = layer.backward(dout)
    name = type(layer).__name__
    checks = check_params(name, layer, lambda: loss_at(x)) if hasattr(layer, "params") else []
    return [
        *checks,
        Check(name, "input", x.size, relative_error(dx, numerical_gradient(loss_at, x))),
    ]


def check_softmax_cross_entropy(logits, targets):
    """Check the gradient of softmax and cross-entropy together with respect to the logits."""
    softmax, loss = SoftMax(), CrossEntropy()

    def loss_at(logits):
        return loss.forward(softmax.forward(logits), targets)

    loss_at(logits)
    error = relative_error(loss.backward(), numerical_gradient(loss_at, logits))
    return Check("SoftMax + CrossEntropy", "logits", logits.size, error)


def check_network(n_inputs, n_hidden, n_classes, rng, n_rows=6, network=MLP):
    """Check every parameter of a network with random weights and biases on random rows.

    They are drawn anew until (1) no input of a ReLU is near 0, where its slope changes, (2) every
    row passes through every layer, and (3) no probability is so small that the loss clips it.

    `network` makes it, from the first three arguments: MLP, or a replacement.
    """
    targets = np.eye(n_classes)[rng.integers(n_classes, size=n_rows)]
    loss = CrossEntropy()
    for _ in range(1000):
        x = rng.normal(size=(n_rows, n_inputs))
        model = network(n_inputs, n_hidden, n_classes)
        linears = [layer for layer in model.layers if isinstance(layer, Linear)]
        for layer in linears:
            for name, param in layer.params.items():
                layer.params[name] = rng.normal(0, 0.7, param.shape)
        predictions = model.forward(x)
        kinks = [layer.x for layer in model.layers if isinstance(layer, ReLU)]
        usable = all(np.abs(z).min() > KINK and (z > 0).any(axis=1).all() for z in kinks)
        if usable and predictions.min() > 1e-12:
            break
    else:
        raise RuntimeError(
            "in 1000 draws the inputs of some ReLU were never all away from 0: "
            "does ReLU.forward keep its input as it was?"
        )
    # Another batch first, so that a gradient of the batch before is seen, and is not zero.
    loss.forward(model.forward(-x), targets)
    model.backward(loss.backward())
    loss.forward(model.forward(x), targets)
    model.backward(loss.backward())
    subject = "MLP " + "-".join(str(n) for n in (n_inputs, *n_hidden, n_classes))
    checks = []
    for i, layer in enumerate(linears):
        of_layer = check_params(subject, layer, lambda: loss.forward(model.forward(x), targets))
        checks += [check._replace(gradient=f"{check.gradient}_{i}") for check in of_layer]
    return checks


def check_all(seed=0):
    """Return the Checks of every layer and of networks with 0 to 3 hidden layers."""
    rng = np.random.default_rng(seed)
    linear = Linear(4, 3)
    linear.params["weight"] = rng.normal(size=(4, 3))
    linear.params["bias"] = rng.normal(size=3)
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
    return f"{error:.1e}" if error >= least else f"below {least:.0e}"


def table(checks, least=0):
    """Return the Checks as lines of text, those of a network taken together in one.

    Errors below `least` are not told apart: which rounding errors occur differs between machines.
    """
    rows = []
    for subject, group in groupby(checks, key=lambda check: check.subject):
        group = list(group)
        if subject.startswith("MLP"):
            elements = sum(check.elements for check in group)
            error = max(check.error for check in group)
            group = [Check(subject, "every weight and bias", elements, error)]
        rows += group
    return [
        f"{'':<23} {'gradient':<22} {'elements':>8} {'relative error':>15}",
        *(
            f"{r.subject:<23} {r.gradient:<22} {r.elements:>8} {error_text(r.error, least):>15}"
            for r in rows
        ),
    ]


def main(argv=None):
    """Print the table; the exit status says whether every error is below LIMIT."""
    argparse.ArgumentParser(
        description="Check every gradient by differences.", **PARSER
    ).parse_args(argv)
    checks = check_all()
    print("\n".join(table(checks)))
    failed = [check for check in checks if not check.error < LIMIT]
    total = sum(check.elements for check in checks)
    print(f"{total} elements, {len(failed)} of {len(checks)} gradients above {LIMIT:g}")
    return 1 if failed else 0


if __name__ == "__main__":
    run(main)
