"""Parts II and III: a network that is trained in pieces, and pictures of it on the way.

The notebook's playground shows them. Its controls are in playground.py, its data in problems.py;
what a hidden unit does is found out in hidden_units.py.
"""

import copy
import math

import contourpy
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import plots
from experiments.boundary import epochs_to_show
from experiments.hidden_units import describe, fold_sums, output_weights
from experiments.runs import fastest_backend
from mlp_numpy import MLP
from modules import ReLU, as_rng
from train_mlp_numpy import epoch_runner, evaluate


class Training:
    """A network that is trained in pieces, and copies of it as it was on the way.

    Attributes:
        model: the network as it is now.
        n_updates: how many it has had; `epoch` counts them in epochs, with a fraction.
        entries: for each copy its epoch and what `evaluate` returns.
        networks: the copies; the first is from before training.
    """

    def __init__(self, data, n_hidden, seed, batch_size, learning_rate):
        n_rows, n_inputs = data.x_train.shape
        self.data, self.rng, self.learning_rate = data, as_rng(seed), learning_rate
        self.batch_size = batch_size or n_rows
        self.n_batches = math.ceil(n_rows / self.batch_size)
        self.order = np.empty(0, int)  # the rows that are left of an epoch
        self.n_updates, self.entries, self.networks = 0, [], []
        self.go_on_with(MLP(n_inputs, n_hidden, data.y_train.shape[1], self.rng))

    @property
    def epoch(self):
        """How many epochs it has been trained."""
        return self.n_updates / self.n_batches

    def go_on_with(self, model):
        """Train this network from now on."""
        self.model, backend = model, fastest_backend()
        self.run = epoch_runner(backend, model, self.data, self.batch_size, self.learning_rate)
        self.keep()

    def advance(self, one_batch=False):
        """Train on the next batch, or on all rows that are left of the epoch.

        Raises FloatingPointError where training diverges.
        """
        if len(self.order) == 0:
            self.order = self.rng.permutation(len(self.data.x_train))
        rows, self.order = np.split(self.order, [self.batch_size if one_batch else len(self.order)])
        with np.errstate(over="ignore", invalid="ignore"):
            loss = self.run(rows)  # or, compiled, a number that is finite as long as the loss is
        if not math.isfinite(loss):
            remedy = f"try a learning rate below {self.learning_rate:g}"
            raise FloatingPointError(f"training diverged after epoch {self.epoch:.0f}: {remedy}")
        self.n_updates += math.ceil(len(rows) / self.batch_size)

    def pieces(self, end):
        """Train to the epoch `end`, piece by piece; yield True after each kept copy, else False."""
        begin = int(self.epoch)
        for moment in epochs_to_show(end - begin)[1:]:
            while self.epoch < begin + moment:
                self.advance()
                yield False
            self.keep()
            yield True

    @np.errstate(over="ignore", invalid="ignore")  # where training diverges, evaluate says so
    def keep(self):
        """Keep a copy of the network as it is now, and how well it does.

        Raises:
            FloatingPointError: if a loss is infinite or NaN; then no copy is kept.
        """
        self.entries.append({"epoch": self.epoch, **evaluate(self.model, self.data)})
        self.model.forward(self.data.x_test[:1])  # or the copy would hold on to all rows
        self.networks.append(copy.deepcopy(self.model))


# The pictures have one size, and are sharp up to 720 pixels wide.


def new_panels(n_rows=1, bottom=0.13):
    """Return a Figure and its axes, one below the other."""
    # A fixed layout: to compute one would take longer than to draw.
    figure = Figure(figsize=(5.4, 4.4), dpi=720 / 5.4)
    figure.subplots_adjust(left=0.12, right=0.97, bottom=bottom, top=0.92)
    return figure, figure.subplots(n_rows, sharex=True)


def boundary_figure(network, data, title):
    """Draw the decision boundary, and dotted the lines where the first hidden layer folds."""
    figure, axes = new_panels(bottom=0.2)
    handles = plots.scatter_data(axes, data)
    plots.draw_regions(axes, network.forward, 100)
    if len(network.layers) > 2:
        look = {"color": "black", "linewidth": 1, "linestyle": ":"}
        weight, bias = network.layers[0].params.values()
        length = np.maximum(np.linalg.norm(weight, axis=0), 1e-12)
        # Of each line the point nearest to 0, and a long way along it.
        foot, along = -bias * weight / length**2, 99 * np.array([-weight[1], weight[0]]) / length
        folds = np.stack([foot - along, foot + along]).transpose(2, 0, 1)
        axes.add_collection(LineCollection(folds, **look), autolim=False)
        handles.append(Line2D([], [], label="folds", **look))
    plots.legend_below(figure, handles)
    axes.set_title(title, y=1.01)
    return figure


def units_figure(network, data):
    """Draw a map of each hidden unit: how far its input is above 0, and the line where it is 0.

    With one hidden layer and two classes the units are sorted by their folds, and a map has the
    colour of the class that its unit makes more probable (see hidden_units.py). Else the units are
    numbered layer by layer, and grey.
    """
    figure, axes = new_panels(bottom=0.03)
    plots.fit_limits(axes, data.x_train)
    side = 40  # pixels of a map
    x, y = plots.grid(axes, side)
    network.forward(np.column_stack([x.ravel(), y.ravel()]))
    layers = []
    for layer in network.layers:
        if isinstance(layer, ReLU):
            layers.append(layer.x.reshape(side, side, -1))
    title = "The hidden units" if layers else "No hidden units"
    if len(layers) == 1 and data.y_train.shape[1] == 2:
        units = describe(network, data.x_train)
        maps = (layers[0] * np.abs(output_weights(network)))[..., [unit.index for unit in units]]
        maps = maps / max(maps.max(), 1e-300)
        names = [f"{unit.index}: {f'{unit.fold:+.2f}' if unit.fires else 'dead'}" for unit in units]
        colors = [plots.CLASS_COLORS[unit.favours] for unit in units]
        down, up = fold_sums(units)
        title += f": folds sum to {abs(down):.2f} down, {up:.2f} up"
    else:
        maps = np.dstack([np.empty((side, side, 0)), *(z / max(z.max(), 1e-300) for z in layers)])
        names = [f"{i + 1}.{k}" for i, z in enumerate(layers) for k in range(z.shape[-1])]
        colors = len(names) * ["0.3"]
    # All in one image, which is faster than axes for each.
    n_columns = max(2, math.ceil(math.sqrt(len(names))))
    n_rows = max(1, math.ceil(len(names) / n_columns))
    width, height = side + 4, side + 14  # with a gap, and room for the name
    paper, lines, points = np.ones((n_rows * height, n_columns * width, 3)), [], []
    pixels = np.arange(side) + 0.5
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    dots = side * (data.x_test - low) / (high - low)
    for k, (name, color) in enumerate(zip(names, colors, strict=True)):
        corner = left, bottom = width * (k % n_columns), height * (n_rows - 1 - k // n_columns)
        depth = 0.85 * np.sqrt(np.maximum(maps[..., k, None], 0))
        paper[bottom : bottom + side, left : left + side] -= depth * (1 - np.array(to_rgb(color)))
        fold = contourpy.contour_generator(pixels, pixels, maps[..., k]).lines(0)
        lines += [line + corner for line in fold]
        points.append(dots + corner)
        axes.text(left, bottom + side + 1, name, fontsize=min(9, 42 / n_columns))
    axes.imshow(paper, origin="lower", extent=(0, n_columns * width, 0, n_rows * height))
    axes.add_collection(LineCollection(lines, colors="black", linewidths=0.8))
    axes.plot(*np.reshape(points, (-1, 2)).T, ",", color="0.4")
    axes.set(xlim=(0, n_columns * width), ylim=(0, n_rows * height), aspect=3 / 4)
    axes.set_title(title, y=1.01)
    axes.set_axis_off()
    return figure


def curves_figure(history, epoch, before, best, limits):
    """Draw the losses and the accuracies up to now, those of the run before in grey.

    Args:
        history: as `train` returns it.
        epoch: of the moment that the other pictures show; it is marked.
        before: the history of the run before, or None.
        best: the test accuracy of the best rule there is.
        limits: the last epoch, the greatest loss and the least accuracy in percent.
    """
    figure, panels = new_panels(2, bottom=0.11)
    looks = {"train": "-", "test": "--"}
    for axes, (metric, scale) in zip(panels, (("loss", 1), ("accuracy", 100)), strict=True):
        for run, color in ((before, "0.7"), (history, "black")):
            for part, dashes in looks.items() if run else ():
                values = scale * run[f"{part}_{metric}"]
                axes.plot(run["epoch"], values, dashes, color=color, label=part)
        axes.axvline(epoch, color="black", linewidth=0.6)
        axes.grid(alpha=0.3)
    title = "in grey: the run before" if before else None
    look = {"loc": "upper right", "fontsize": "small", "title_fontsize": "small"}
    panels[0].legend(handles=panels[0].lines[-3:-1], title=title, **look)
    look = {"color": plots.GOOD, "label": "the best rule there is, on the test data"}
    axes.legend(handles=[axes.axhline(100 * best, **look)], loc="lower right", fontsize="small")
    last, most, least = limits
    plots.epoch_axis(axes, last)
    panels[0].set(ylim=(0, most), ylabel="loss (nats)")
    panels[1].set(ylim=(least, 101), ylabel="accuracy (%)")
    return figure


def ends_figure(ends, title):
    """Draw where runs end: `ends` has an entry of a Training for each, its last."""
    figure, axes = new_panels()
    for end in ends:
        place = end["train_loss"], 100 * end["test_accuracy"]
        axes.plot(*place, "o", color="black", fillstyle="none")
    axes.set(xlabel="final training loss (nats)", ylabel="final test accuracy (%)")
    axes.set_title(title, size="medium")
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    return figure
