"""Part II: one point taken through a tiny network and back, each number shown beside its formula.

The layers compute the numbers. They are few enough to be checked with a pencil, and the tests do.

Not here: a drawing of a network (network_drawing.py).
"""

from html import escape

import numpy as np

from mlp_numpy import MLP
from modules import CrossEntropy


def worked_example(x, y, weight_1, bias_1, weight_2, bias_2, learning_rate):
    """Take one sample through a network with one hidden layer, back, and through an update.

    Args:
        x: the sample, of shape (n_inputs,); here and below, lists will do.
        y: its class, one-hot, of shape (n_classes,).
        weight_1: of the hidden layer, of shape (n_inputs, n_units).
        bias_1: of the hidden layer, of shape (n_units,).
        weight_2: of the output layer, of shape (n_units, n_classes).
        bias_2: of the output layer, of shape (n_classes,).
        learning_rate: the update is the gradient times this.

    Returns:
        A table for a notebook, with a row for each step: what is computed, by which formula, and
        the numbers, rounded to four places.
    """
    from IPython.display import HTML

    x = np.array([x], dtype=float)  # a batch of one row
    y = np.array([y], dtype=float)
    model = MLP(x.shape[1], [len(bias_1)], y.shape[1])
    first, relu, last, softmax = model.layers
    first.params = {"weight": np.array(weight_1), "bias": np.array(bias_1)}
    last.params = {"weight": np.array(weight_2), "bias": np.array(bias_2)}
    cross_entropy = CrossEntropy()

    table = Table()
    table.add("the point", "x", x)
    a = first.forward(x)
    table.add("first Linear", "a = x W₁ + b₁", a)
    h = relu.forward(a)
    table.add("ReLU: hidden units", "h = max(0, a)", h)
    z = last.forward(h)
    table.add("last Linear: logits", "z = h W₂ + b₂", z)
    p = softmax.forward(z)
    table.add("SoftMax: probabilities", "p = softmax(z)", p)
    table.add("its class, one-hot", "y", y)
    loss = cross_entropy.forward(p, y)
    table.add("CrossEntropy: the loss", "L = -Σ y log p", loss)

    dz = cross_entropy.backward()
    table.add("back through CrossEntropy and SoftMax", "dz = (p - y) / N", dz)
    dh = last.backward(dz)
    table.add("back through the last Linear: weights", "dW₂ = hᵀ dz", last.grads["weight"])
    table.add("its biases", "db₂ = Σₙ dz", last.grads["bias"])
    table.add("its input", "dh = dz W₂ᵀ", dh)
    da = relu.backward(dh)
    table.add("back through ReLU", "da = dh ⊙ [a > 0]", da)
    first.backward(da)
    table.add("back through the first Linear: weights", "dW₁ = xᵀ da", first.grads["weight"])
    table.add("its biases", "db₁ = Σₙ da", first.grads["bias"])

    model.update(learning_rate)
    p = model.forward(x)
    update = f"θ ← θ - {learning_rate:g} dθ"
    table.add("after an update: probabilities", f"p, with {update}", p)
    loss = cross_entropy.forward(p, y)
    table.add("and the loss", "L, with this p", loss)
    return HTML(table.as_html())


# Below is the HTML. It needs no CSS, which some viewers remove: the styles are only for looks.

LEFT = 'style="text-align: left"'
NUMBERS = 'style="font-family: monospace; background: none"'
HEAD = f"<tr><th {LEFT}>step</th><th {LEFT}>formula</th><th {LEFT}>numbers</th></tr>"


class Table:
    """A table with a row for each step."""

    def __init__(self):
        self.rows = [HEAD]

    def add(self, step, formula, numbers):
        """Add a row: what is computed, its formula, and the numbers, as for `as_text`."""
        formula = escape(formula).replace(" ", "&nbsp;")  # so that it stays on one line
        self.rows.append(
            f"<tr><td {LEFT}>{step}</td>"
            f"<td {LEFT}><i>{formula}</i></td>"
            f"<td {LEFT}><pre {NUMBERS}>{as_text(numbers)}</pre></td></tr>"
        )

    def as_html(self):
        """Return the table as HTML."""
        rows = "".join(self.rows)
        return f"<table>{rows}</table>"


def as_text(numbers):
    """Return a number, a vector or a matrix as text, rounded to four places, row by row."""
    rounded = np.round(np.atleast_2d(numbers), 4) + 0.0  # which makes 0 of -0
    lines = []
    for line in rounded:
        lines.append("".join(f"{number:9g}" for number in line))
    return "<br>".join(lines)
