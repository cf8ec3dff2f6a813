"""The sheet of log-odds: its heights, its colours, and the cut through it."""

import numpy as np
import pytest
from mpl_toolkits.mplot3d import Axes3D

from experiments.log_odds import sheet_figure
from mlp_numpy import MLP
from tests.helpers import pixels
from train_mlp_numpy import load_data


@pytest.fixture
def model():
    """Return a network whose log-odds are 3 x_1 - x_2."""
    model = MLP(2, [], 2)
    model.layers[0].params["weight"] = np.array([[0.0, 3.0], [0.0, -1.0]])
    return model


@pytest.fixture
def data():
    return load_data(n_samples=60)


def test_the_sheet_has_the_height_of_the_log_odds_and_the_colour_of_its_class(
    model, data, monkeypatch
):
    drawn = {}

    def plot_surface(axes, x_1, x_2, heights, facecolors, **look):
        drawn.update(x_1=x_1, x_2=x_2, heights=heights, colors=facecolors)

    monkeypatch.setattr(Axes3D, "plot_surface", plot_surface)
    sheet_figure(model, data)
    assert drawn["heights"] == pytest.approx(3 * drawn["x_1"] - drawn["x_2"])
    red = drawn["colors"][..., 0]
    blue = drawn["colors"][..., 2]
    is_orange = red > blue  # class 1
    assert np.array_equal(is_orange, drawn["heights"] > 0)


def test_the_cut_is_a_line_on_the_sheet(model, data):
    figure = sheet_figure(model, data, "the title")
    pixels(figure)
    assert figure.get_suptitle() == "the title"
    sheet, cut = figure.axes
    zero, line = cut.lines
    x_1, heights = line.get_data()
    assert set(zero.get_ydata()) == {0}
    x_2 = 3 * x_1 - heights
    assert np.ptp(x_2) < 1e-9
    assert f"x_2 = {x_2[0]:.3g}" in cut.get_title()
    bottom, top = cut.get_ylim()
    assert bottom < heights.min() < heights.max() < top
    (dashed,) = sheet.lines
    assert np.allclose(dashed.get_data_3d(), [x_1, x_2, heights])
