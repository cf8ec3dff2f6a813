"""A drawn network: its units, its weights, and their shapes."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex

from experiments.network_drawing import draw_network
from mlp_numpy import MLP
from tests.helpers import BLUE, GREEN, ORANGE


def texts_of(figure):
    (axes,) = figure.axes
    return [text.get_text() for text in axes.texts]


def units_of(figure):
    """Return the number of units in each column."""
    (axes,) = figure.axes
    return [len(column.get_offsets()) for column in axes.collections]


def test_each_unit_and_each_weight_is_drawn():
    figure = draw_network([2, 20, 2])
    assert units_of(figure) == [2, 20, 2, 2]
    (axes,) = figure.axes
    assert len(axes.lines) == 2 * 20 + 20 * 2 + 2 * 2  # the last are those of the softmax


def test_inputs_are_counted_from_1_and_classes_from_0():
    texts = texts_of(draw_network([2, 20, 2]))
    labels = [text for text in texts if text.startswith("$") and text.endswith("$")]
    assert labels == ["$x_1$", "$x_2$", "$z_0$", "$z_1$", "$p_0$", "$p_1$"]


@pytest.mark.parametrize("sizes", [[2, 20, 2], [2, 2], [64, 30, 5, 10]])
def test_the_drawn_parameters_are_those_of_the_network(sizes):
    figure = draw_network(sizes)
    texts = texts_of(figure)
    n_parameters = 0
    model = MLP(sizes[0], sizes[1:-1], sizes[-1])
    for k, linear in enumerate(model.linear_layers, 1):
        weight = linear.params["weight"]
        bias = linear.params["bias"]
        assert f"$W_{k}$ {weight.shape}\n$b_{k}$ {bias.shape}" in texts
        n_parameters += weight.size + bias.size
    (axes,) = figure.axes
    assert f" {n_parameters} parameters" in axes.get_title()


def test_only_the_units_of_classes_have_the_colours_of_classes():
    (axes,) = draw_network([3, 3, 3]).axes
    colors = []
    for column in axes.collections:
        colors.append([to_hex(color).upper() for color in column.get_edgecolors()])
    classes = [BLUE, ORANGE, GREEN]
    assert colors == [["#000000"], ["#000000"], classes, classes]


def test_of_a_large_layer_a_part_is_drawn_with_dots_between():
    figure = draw_network([64, 20, 10])
    assert units_of(figure)[0] < 20
    assert units_of(figure)[1:] == [20, 10, 10]
    assert texts_of(figure).count("⋮") == 1
    assert "64 inputs $x$" in texts_of(figure)


@pytest.mark.parametrize("sizes", [[2, 2], [64, 30, 20, 10]])
def test_no_text_is_cut_off(sizes):
    figure = draw_network(sizes)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    (axes,) = figure.axes
    for text in [axes.title, *axes.texts]:
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
