"""Part II: a network drawn as the lecture draws it, with its units, its weights and their shapes.

Its numbers play no part, only the sizes of its layers do. One point taken through a network, with
numbers, is in worked_example.py.
"""

import numpy as np

import plots

MOST_UNITS = 20  # a layer of more is drawn in part
LABELLED = 4  # the units of a layer up to this size have labels
# Heights: the units are between -0.5 and 0.5.
NAMES_AT = 0.66
SHAPES_AT = -0.68


def draw_network(sizes):
    """Draw a network with these layer sizes, such as [2, 20, 2].

    Each layer is a column of units. The first column is the input. The last two are the logits and,
    after the softmax, the probabilities. A line is a weight, but for those of the softmax. Of a
    layer of more than twenty units the first and the last are drawn, and dots between.
    """
    columns = [*sizes, sizes[-1]]
    softmax_at = len(columns) - 2  # its input is the column of this index
    figure, axes = plots.new_figure(2 * len(columns), 4.4)
    n_parameters = 0
    for k in range(softmax_at):
        n_in = columns[k]
        n_out = columns[k + 1]
        shapes = f"$W_{k + 1}$ ({n_in}, {n_out})\n$b_{k + 1}$ ({n_out},)"
        draw_lines(axes, k, n_in, n_out, shapes)
        n_parameters += n_in * n_out + n_out
    n_classes = columns[-1]
    draw_lines(axes, softmax_at, n_classes, n_classes, "softmax")

    draw_units(axes, 0, columns[0], "inputs", "x")
    for k in range(1, softmax_at):
        draw_units(axes, k, columns[k], "hidden units", "h")
    draw_units(axes, softmax_at, n_classes, "logits", "z", are_classes=True)
    draw_units(axes, softmax_at + 1, n_classes, "probabilities", "p", are_classes=True)

    axes.set(xlim=(-0.5, softmax_at + 1.5), ylim=(-0.8, 0.75))
    axes.set_axis_off()
    name = "-".join(str(size) for size in sizes)
    axes.set_title(f"A network {name}: {n_parameters} parameters")
    return figure


def draw_lines(axes, k, n_left, n_right, text):
    """Draw a line from each unit of column k to each of column k + 1, and a text below."""
    for left in unit_heights(n_left):
        for right in unit_heights(n_right):
            axes.plot([k, k + 1], [left, right], color="0.75", linewidth=0.6, zorder=0)
    axes.text(k + 0.5, SHAPES_AT, text, ha="center", va="center")


def draw_units(axes, k, size, name, letter, are_classes=False):
    """Draw the units of column k, with the name of the column above.

    A few units have labels, such as h_1, h_2, h_3. Those of classes are counted from 0, have thick
    outlines and, if they are few, the colours of their classes.
    """
    heights = unit_heights(size)
    is_small = size <= LABELLED
    edges = "black"
    if are_classes and is_small:
        edges = plots.CLASS_COLORS[:size]
    axes.scatter(
        np.full(len(heights), k),
        heights,
        400 if is_small else 70,
        facecolors="white",
        edgecolors=edges,
        linewidths=2.5 if are_classes else 1,
    )
    axes.text(k, NAMES_AT, f"{size} {name} ${letter}$", ha="center", va="center")
    if is_small:
        first = 0 if are_classes else 1
        for number, height in enumerate(heights, first):
            axes.text(k, height, f"${letter}_{number}$", ha="center", va="center")
    if size > MOST_UNITS:
        axes.text(k, 0, "⋮", ha="center", va="center", fontsize="x-large")


def unit_heights(size):
    """Return the heights at which the units of a layer are drawn, from the top, an array.

    They are within -0.5 and 0.5. Of a large layer they are fewer than its units.
    """
    is_large = size > MOST_UNITS
    n_places = MOST_UNITS + 1 if is_large else size
    n_spaces = max(n_places - 1, 4)  # few units are near each other
    places = np.arange(n_places - 1, -1, -1)
    heights = (places - (n_places - 1) / 2) / n_spaces
    if is_large:
        is_drawn = np.abs(heights) > 0.06  # the dots need room in the middle
        heights = heights[is_drawn]
    return heights
