"""Parts II and III: the log-odds of a network, drawn as a sheet above the plane of its inputs.

For two classes the log-odds are log(p_1 / p_0), the difference of the logits. They are above 0
where class 1 is more probable, and 0 on the decision boundary. Those of a network of ReLUs are a
sheet of flat pieces, with folds between.

What each hidden unit adds to the sheet is in playground/folds.py and hidden_units.py.
"""

import numpy as np
from matplotlib.colors import LightSource, to_rgb
from matplotlib.figure import Figure

import plots

RESOLUTION = 80  # the points along each side of the plane at which the network is evaluated


def log_odds(model, x_1, x_2):
    """Return the log-odds of class 1 at points of the plane: z_1 - z_0, of the logits.

    Args:
        model: an MLP of two inputs and two classes.
        x_1: the first coordinates of the points, an array of any shape.
        x_2: the second coordinates, of the same shape, which is also that of the log-odds.
    """
    logits = np.column_stack([x_1.ravel(), x_2.ravel()])
    for layer in model.layers[:-1]:  # all but the softmax
        logits = layer.forward(logits)
    difference = logits[:, 1] - logits[:, 0]
    return difference.reshape(x_1.shape)


def sheet_figure(model, data, title=None):
    """Draw the log-odds of two classes as a sheet above the plane, and a cut through the sheet.

    Where they are above 0, the sheet has the colour of class 1, elsewhere that of class 0.

    Args:
        model: an MLP, as for `log_odds`.
        data: a train_mlp_numpy.Data of two features and two classes. The sheet spans its training
            points.
        title: what to write above.
    """
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    sheet = figure.add_subplot(1, 2, 1, projection="3d")
    cut = figure.add_subplot(1, 2, 2)

    plots.fit_limits(cut, data.x_train)  # these limits are the drawn plane
    grid_1, grid_2 = plots.grid(cut, RESOLUTION)
    x_2 = np.mean(cut.get_ylim())  # the cut is in the middle
    line_1 = np.linspace(*cut.get_xlim(), 500)
    line_2 = np.full(500, x_2)
    line_heights = log_odds(model, line_1, line_2)

    draw_sheet(sheet, grid_1, grid_2, log_odds(model, grid_1, grid_2))
    sheet.plot(line_1, line_2, line_heights, "--", color="black")
    draw_cut(cut, line_1, line_heights)
    cut.set_title(f"A cut along the dashed line, at $x_2 = {x_2:.3g}$")
    figure.suptitle(title)
    return figure


def draw_sheet(axes, x_1, x_2, heights):
    """Draw a sheet into axes of three dimensions; all arrays have the shape (n, n)."""
    n = len(heights)
    is_class_1 = (heights > 0).astype(int)
    class_colors = np.array([to_rgb(color) for color in plots.CLASS_COLORS])
    colors = plots.mix_with_white(class_colors[is_class_1], plots.SHADE)

    axes.computed_zorder = False  # the lines lie on the sheet
    axes.plot_surface(
        x_1,
        x_2,
        heights,
        facecolors=colors,
        lightsource=LightSource(azdeg=-75, altdeg=75),
        rcount=n,
        ccount=n,
        linewidth=0,
        antialiased=False,
    )
    axes.plot_wireframe(x_1, x_2, heights, rcount=12, ccount=16, color="black", linewidth=0.3)
    if heights.min() < 0 < heights.max():
        axes.contour(x_1, x_2, heights, levels=[0], colors="black", linewidths=2)
    axes.view_init(elev=45, azim=-75)
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
    axes.set_zlabel("log-odds", labelpad=8)  # room for the numbers
    axes.locator_params("z", nbins=6)
    axes.set_title("The sheet, black where it is at 0")


def draw_cut(axes, x_1, heights):
    """Draw the log-odds along a line; both arrays have the shape (n,)."""
    axes.axhline(0, color="0.5", linewidth=0.8)
    axes.plot(x_1, heights, "--", color="black")
    axes.set(xlabel="$x_1$", ylabel="log-odds", aspect="auto")
    axes.autoscale(axis="y")
    axes.grid(alpha=0.3)
