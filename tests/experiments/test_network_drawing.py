"""A drawn network: its units, its weights, and their shapes."""

import pytest

from experiments.network_drawing import draw_network
from mlp_numpy import MLP


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
