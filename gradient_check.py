"""Part II: check every hand-written gradient by finite differences.

    python gradient_check.py

prints, layer by layer and for whole networks, the largest relative error among all elements of
each gradient. The errors of right gradients are about 1e-9 or less. Those of wrong ones are far
above LIMIT, however well their network may train.
"""

import argparse
import math
import sys
from typing import NamedTuple

import numpy as np

from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax

LIMIT = 1e-7  # a gradient with this relative error, or more, is wrong
KINK = 1e-2  # the least distance of a ReLU's input from its kink at 0; `h` moves it far less


def numerical_gradient(f, array, h=1e-5):
    """Return the gradient of f at `array` by central differences, of the shape of `array`.

    df/da = (f(a + h) - f(a - h)) / (2h) + O(h^2), for one element a at a time.

    This has two errors. The neglected term is h^2 / 6 times the third derivative. And f is rounded
    in its 16th digit, which is divided by h. With h = 1e-5, both are near 1e-11.

    Args:
        f: a function from an array of that shape to a number.
        array: where to take the gradient; it is not changed.
        h: as in the formula.
    """
    array = np.asarray(array, dtype=float)  # in an array of ints, h would be lost
    gradient = np.zeros(array.shape)
    for index in np.ndindex(array.shape):
        above = array.copy()
        below = array.copy()
        above[index] += h
        below[index] -= h
        gradient[index] = (f(above) - f(below)) / (2 * h)
    return gradient


def relative_error(analytic, numerical):
    """Return max |analytic - numerical| / max(|analytic|, |numerical|).

    Both maxima are over all elements. We do not divide element by element: a tiny element is often
    a sum of large terms that cancel. Their rounding errors remain, and would be a large part of it.

    The error is infinite if nothing can be compared: if the shapes differ, if all elements are 0,
    or if there is a NaN or an infinity.
    """
    if np.shape(analytic) != np.shape(numerical):
        return math.inf
    scale = np.abs([analytic, numerical]).max()
    if not 0 < scale < math.inf:  # it is 0, infinite or NaN
        return math.inf
    return float(np.abs(analytic - numerical).max() / scale)


class Check(NamedTuple):
    """The comparison of one gradient with its numerical estimate."""

    subject: str  # the layer or network
    gradient: str  # what the gradient is with respect to
    elements: int  # how many there are, all of them compared
    error: float  # see relative_error
    in_network: bool = False  # whether the subject is a network

    @property
    def is_right(self):
        """Whether the error is below the LIMIT; NaN is not."""
        return self.error < LIMIT


def check_layer(layer, x, rng):
    """Check a layer's gradients at the input x: of its parameters, if any, and of x.

    The loss is L = sum(dout * out), because then dL/dout is `dout`. It is random: with equal
    elements, some mistakes would cancel out.
    """
    out = layer.forward(x)
    dout = rng.normal(size=out.shape)
    dx = layer.backward(dout)
    subject = type(layer).__name__

    def loss_at_x(moved_x):
        return np.sum(dout * layer.forward(moved_x))

    def loss():
        return loss_at_x(x)

    checks = []
    if isinstance(layer, Linear):
        for name in ("weight", "bias"):
            numerical = numerical_param_gradient(layer, name, loss)
            error = relative_error(layer.grads[name], numerical)
            checks.append(Check(subject, name, numerical.size, error))
    numerical = numerical_gradient(loss_at_x, x)
    error = relative_error(dx, numerical)
    checks.append(Check(subject, "input", numerical.size, error))
    return checks


def numerical_param_gradient(linear, name, loss):
    """Return the gradient of loss() with respect to `linear.params[name]`, by differences."""
    param = linear.params[name]

    def loss_with(moved_param):
        linear.params[name] = moved_param
        return loss()

    gradient = numerical_gradient(loss_with, param)
    linear.params[name] = param  # put it back
    return gradient


def check_softmax_cross_entropy(logits, targets):
    """Check the gradient of softmax and cross-entropy together with respect to the logits."""
    softmax = SoftMax()
    cross_entropy = CrossEntropy()

    def loss_at_logits(moved_logits):
        return cross_entropy.forward(softmax.forward(moved_logits), targets)

    loss_at_logits(logits)  # `backward` needs what `forward` keeps
    analytic = cross_entropy.backward()
    numerical = numerical_gradient(loss_at_logits, logits)
    error = relative_error(analytic, numerical)
    return Check("SoftMax + CrossEntropy", "logits", numerical.size, error)


def check_network(n_inputs, n_hidden, n_classes, rng, n_rows=6, network=MLP):
    """Check every parameter of a network with random weights and biases on random rows.

    `network(n_inputs, n_hidden, n_classes)` returns the model to check. It is MLP, or a function
    that returns an MLP with a bug.
    """
    labels = rng.integers(n_classes, size=n_rows)
    targets = np.eye(n_classes)[labels]
    cross_entropy = CrossEntropy()
    model = network(n_inputs, n_hidden, n_classes)
    x = draw_checkable_point(model, n_inputs, n_rows, rng)

    def loss():
        return cross_entropy.forward(model.forward(x), targets)

    # Another batch, -x, goes first: gradients that are not overwritten are then wrong.
    for batch in (-x, x):
        cross_entropy.forward(model.forward(batch), targets)
        model.backward(cross_entropy.backward())

    checks = []
    sizes = [n_inputs, *n_hidden, n_classes]
    subject = "MLP " + "-".join(str(size) for size in sizes)
    for i, linear in enumerate(model.linear_layers):
        for name in ("weight", "bias"):
            numerical = numerical_param_gradient(linear, name, loss)
            error = relative_error(linear.grads[name], numerical)
            check = Check(subject, f"{name}_{i}", numerical.size, error, in_network=True)
            checks.append(check)
    return checks


def draw_checkable_point(model, n_inputs, n_rows, rng):
    """Draw new parameters for the model, and rows x; return x.

    They are drawn again until `can_be_checked` says yes.
    """
    for _ in range(1000):
        x = rng.normal(size=(n_rows, n_inputs))
        for linear in model.linear_layers:
            for name, param in linear.params.items():
                linear.params[name] = rng.normal(0, 0.7, param.shape)
        if can_be_checked(model, x):
            return x
    raise RuntimeError(
        "no network of 1000 could be checked: each had ReLU inputs near 0, or rows of 0 after a "
        "ReLU; does ReLU.forward keep its input as it was?"
    )


def can_be_checked(model, x):
    """Return whether finite differences can check the gradients of the model on x.

    No input of a ReLU may be near its kink at 0. In each row, some output of each ReLU must be
    above 0: else the row's gradients are 0, even with a bug.
    """
    model.forward(x)
    for layer in model.layers:
        if isinstance(layer, ReLU):
            is_near_kink = np.abs(layer.x) < KINK
            row_is_0 = np.all(layer.x <= 0, axis=1)
            if is_near_kink.any() or row_is_0.any():
                return False
    return True


def check_all(seed=0):
    """Return the Checks of every layer and of networks with 0 to 3 hidden layers."""
    rng = np.random.default_rng(seed)
    linear = Linear(4, 3)
    linear.params["weight"] = rng.normal(size=(4, 3))
    linear.params["bias"] = rng.normal(size=3)
    off_kink = rng.choice([-1, 1], (5, 4)) * rng.uniform(KINK, 2, (5, 4))
    labels = rng.integers(4, size=5)
    targets = np.eye(4)[labels]

    checks = []
    checks += check_layer(linear, rng.normal(size=(5, 4)), rng)
    checks += check_layer(ReLU(), off_kink, rng)
    checks += check_layer(SoftMax(), rng.normal(size=(5, 4)), rng)
    checks.append(check_softmax_cross_entropy(rng.normal(size=(5, 4)), targets))
    for n_classes in (2, 5):
        for n_hidden in ([], [7], [7, 6], [7, 6, 5]):
            checks += check_network(3, n_hidden, n_classes, rng)
    return checks


def error_text(error):
    """Return an error as text, without digits that differ from one machine to another."""
    if error < LIMIT:
        return f"below {LIMIT:.0e}"
    return f"{error:.1e}"


def table(checks):
    """Return the Checks as lines of text."""
    rows = rows_of(checks)
    lines = [f"{'':<23} {'gradient':<21} {'elements':>8} {'relative error':>15}  verdict"]
    n_elements = 0
    n_wrong = 0
    for row in rows:
        n_elements += row.elements
        verdict = "right"
        if not row.is_right:
            verdict = "WRONG"
            n_wrong += 1
        lines.append(
            f"{row.subject:<23} {row.gradient:<21} {row.elements:>8} {row.error:>15.1e}  {verdict}"
        )
    lines.append(
        f"{n_elements} elements compared, "
        f"{n_wrong} of {len(rows)} rows wrong (error of {LIMIT:g} or more)"
    )
    return lines


def rows_of(checks):
    """Return the Checks to print: those of a network are merged into one if all are right."""
    groups = {}  # the Checks of each subject
    for check in checks:
        groups.setdefault(check.subject, []).append(check)

    rows = []
    for subject, group in groups.items():
        is_network = group[0].in_network
        all_right = all(check.is_right for check in group)
        if is_network and all_right:
            elements = sum(check.elements for check in group)
            error = max(check.error for check in group)
            rows.append(Check(subject, "every weight and bias", elements, error))
        else:
            rows += group
    return rows


# Below is the command line. Nothing above needs it.


def main(argv=None):
    """Print the table; return 1 if a gradient is wrong, else 0."""
    parser = argparse.ArgumentParser(
        description="Check every hand-written gradient by finite differences.",
        epilog="Example: python gradient_check.py",
        usage=argparse.SUPPRESS,
    )
    parser.parse_args(argv)
    checks = check_all()
    print("\n".join(table(checks)))
    all_right = all(check.is_right for check in checks)
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main())
