"""A network drawn, and one point taken through a tiny one by hand; the notebook shows both."""

from itertools import pairwise

import numpy as np

import plots
from experiments.notebook import PRE
from mlp_numpy import MLP
from modules import CrossEntropy


def worked_example(x, y, weight_1, bias_1, weight_2, bias_2, learning_rate):
    """Take a row x of class y, one-hot, through a network with one hidden layer, and back.

    Returns a table: what each step computes, its formula, and what the project's layers give.
    """
    from IPython.display import HTML

    x = np.atleast_2d(x)
    y = np.atleast_2d(y)
    loss = CrossEntropy()
    model = MLP(x.shape[1], [len(bias_1)], y.shape[1])
    first, relu, last, softmax = model.layers
    first.params = {"weight": np.array(weight_1, float), "bias": np.array(bias_1, float)}
    last.params = {"weight": np.array(weight_2, float), "bias": np.array(bias_2, float)}
    a = first.forward(x)
    h = relu.forward(a)
    z = last.forward(h)
    p = softmax.forward(z)
    before = loss.forward(p, y)
    dz = loss.backward()
    dh = last.backward(dz)
    da = relu.backward(dh)
    first.backward(da)
    steps = [
        ("the point", "x", x),
        ("first Linear", "a = x W₁ + b₁", a),
        ("ReLU: hidden units", "h = max(0, a)", h),
        ("last Linear: logits", "z = h W₂ + b₂", z),
        ("SoftMax: probabilities", "p = softmax(z)", p),
        ("its class, one-hot", "y", y),
        ("CrossEntropy: the loss", "L = &minus;Σ y log p", before),
        ("back through CrossEntropy and SoftMax", "dz = (p &minus; y) / N", dz),
        ("back through the last Linear: weights", "dW₂ = hᵀ dz", last.grads["weight"]),
        ("its biases", "db₂ = Σₙ dz", last.grads["bias"]),
        ("its input", "dh = dz W₂ᵀ", dh),
        ("back through ReLU", "da = dh ⊙ [a > 0]", da),
        ("back through the first Linear: weights", "dW₁ = xᵀ da", first.grads["weight"]),
        ("its biases", "db₁ = Σₙ da", first.grads["bias"]),
    ]
    model.update(learning_rate)
    after = model.forward(x)
    steps += [
        ("after an update: probabilities", f"p, with θ ← θ &minus; {learning_rate:g} dθ", after),
        ("and the loss", "L, with this p", loss.forward(after, y)),
    ]
    left = 'style="text-align: left"'
    rows = (
        f'<tr><td {left}>{step}</td><td {left}><i style="white-space: nowrap">{formula}</i></td>'
        f'<td><pre style="{PRE}">{as_text(numbers)}</pre></td></tr>'
        for step, formula, numbers in steps
    )
    head = f"<tr><th {left}>step</th><th {left}>formula</th><th>numbers</th></tr>"
    return HTML(f"<table>{head}{''.join(rows)}</table>")


def as_text(numbers):
    """Return a number, a vector or a matrix as text, rounded to four places, row by row."""
    rows = np.atleast_2d(np.round(numbers, 4)) + 0.0  # which makes 0 of -0
    return "\n".join("".join(f"{number:9g}" for number in row) for row in rows)


def draw_network(sizes):
    """Draw a network with these layer sizes, such as [2, 20, 2]: its units, weights and shapes.

    Of a layer with more than twenty units the first and the last are drawn, and dots between.
    """
    shapes, last = list(pairwise(sizes)), len(sizes) - 1
    names = ["inputs x", *["hidden units h"] * (last - 1), "logits z", "probabilities p"]
    below = [f"$W_{k}$ {n, m}\n$b_{k}$ {(m,)}" for k, (n, m) in enumerate(shapes, 1)] + ["softmax"]
    columns = [unit_heights(size) for size in [*sizes, sizes[-1]]]
    figure, axes = plots.new_figure(2 * len(columns), 4.4)
    for k, text in enumerate(below):
        ends = np.array([[(k, y), (k + 1, z)] for y in columns[k] for z in columns[k + 1]])
        axes.plot(*ends.transpose(2, 1, 0), color="0.75", linewidth=0.6, zorder=0)
        axes.text(k + 0.5, -0.68, text, ha="center", va="center")
    for k, (name, heights) in enumerate(zip(names, columns, strict=True)):
        is_small, size, letter = len(heights) <= 4, sizes[min(k, last)], name[-1]
        colors = plots.CLASS_COLORS[:size] if is_small and k >= last else "black"
        look = {"facecolors": "white", "edgecolors": colors, "linewidths": 2.5 if k >= last else 1}
        axes.scatter([k] * len(heights), heights, 400 if is_small else 70, **look)
        axes.text(k, 0.66, f"{size} {name[:-1]}${letter}$", ha="center", va="center")
        for i, height in enumerate(heights if is_small else []):
            label = f"${letter}_{i if k >= last else i + 1}$"  # classes are counted from 0
            axes.text(k, height, label, ha="center", va="center")
        if len(heights) < size:
            axes.text(k, 0, "⋮", ha="center", va="center", fontsize="x-large")
    axes.set(xlim=(-0.5, last + 1.5), ylim=(-0.8, 0.75))
    axes.set_axis_off()
    n_parameters = sum(n * m + m for n, m in shapes)
    axes.set_title(f"A network {'-'.join(map(str, sizes))}: {n_parameters} parameters")
    return figure


def unit_heights(size):
    """Return where units are drawn, within -0.5 and 0.5: at most twenty of a layer."""
    n = min(size, 21)
    heights = (np.arange(n)[::-1] - (n - 1) / 2) / max(n - 1, 4)
    return heights if size <= 20 else heights[np.abs(heights) > 0.06]  # room for the dots
