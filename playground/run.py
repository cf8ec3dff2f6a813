"""A network in training: every epoch of it so far, and the changes that were made by hand.

Of each epoch, the parameters and the state of the random generator are kept. So going back to an
epoch and training on from there gives the same numbers again, to the last digit.

Not here: what a browser may ask (answers.py), and drawing (playground.js).
"""

import math
from typing import NamedTuple

import numpy as np

from mlp_numpy import MLP
from modules import as_rng
from playground.changes import checked
from playground.points import split_points
from playground.problems import load_problem
from playground.settings import OWN, parsed, value_of
from train_mlp_numpy import epoch_runner, evaluate, train_epoch

LARGEST = 1e9  # a larger parameter counts as diverged; the browser draws in single precision


class Code(NamedTuple):
    """What makes and trains a network: this project's code, or a student's (student.py)."""

    make_network: object  # called as make_network(n_inputs, n_hidden, n_classes, rng)
    epoch_runner: object  # called as epoch_runner(model, data, batch_size, learning_rate)


def fastest_backend():
    """Return "numba" where it is installed and computes what modules.py does, else "numpy"."""
    try:
        from speed.compiled import check_equal

        check_equal(train_epoch)
    except (ImportError, ValueError):
        return "numpy"
    return "numba"


def fastest_runner(model, data, batch_size, learning_rate):
    """Return run_epoch(order) of the fastest backend."""
    return epoch_runner(fastest_backend(), model, data, batch_size, learning_rate)


PROJECT = Code(MLP, fastest_runner)


class Moment(NamedTuple):
    """A network after an epoch, how well it does, and the generator of the next shuffles."""

    params: np.ndarray  # flat: weight, bias, weight, bias and so on
    metrics: dict  # as `evaluate` returns it
    rng_state: tuple


class Run:
    """A network in training.

    Attributes:
        texts: the settings as they were typed.
        settings: their values.
        data: the Data that it learns now, with the points that were added by hand.
        moments: a Moment for each epoch so far; the first is from before training.
        changes: the changes made by hand, as `checked` returns them, in the order of their epochs.
        before_changes: for `undo`, the Moment before each change and the setting `epochs` then.
        planned: changes that are made when training comes to their epoch.
    """

    def __init__(self, texts, code=PROJECT, planned=()):
        self.texts = texts
        self.settings = parsed(texts)
        self.first_data = data_of(self.settings)
        self.data = self.first_data
        self.n_classes = self.data.y_train.shape[1]
        self.sizes = [2, *self.settings["hidden_units"], self.n_classes]
        self.rng = as_rng(self.settings["seed"])
        self.code = code
        self.model = code.make_network(2, self.settings["hidden_units"], self.n_classes, self.rng)
        self.shapes = shapes_of(self.linears)
        self.moments = []
        self.changes = []
        self.before_changes = []
        self.planned = [checked(change, self.sizes) for change in planned]
        self.prepare(epoch=0)
        self.keep()
        self.make_planned_changes()

    @property
    def epoch(self):
        """How many epochs it has been trained."""
        return len(self.moments) - 1

    @property
    def linears(self):
        """The layers that have parameters."""
        return linears_of(self.model)

    def params(self):
        """Return all parameters in one flat array: weight, bias, weight, bias and so on."""
        arrays = []
        for linear in self.linears:
            arrays.append(linear.params["weight"].ravel())
            arrays.append(linear.params["bias"].ravel())
        return np.concatenate(arrays)

    # Training.

    def advance(self):
        """Train for an epoch, and keep it. Raise FloatingPointError where training diverges."""
        self.train_epoch()
        self.keep()
        self.make_planned_changes()

    def train_epoch(self):
        """Train for an epoch that is not kept."""
        order = self.rng.permutation(len(self.data.x_train))
        self.train_on(order)

    def train_on(self, order):
        """Train on these rows, in batches."""
        if self.run_epoch is None:
            self.run_epoch = self.code.epoch_runner(
                self.model, self.data, self.batch_size, self.learning_rate
            )
        with np.errstate(all="ignore"):
            self.run_epoch(order)
        is_small_enough = np.abs(self.params()).max() < LARGEST  # False for NaN, too
        if not is_small_enough:
            raise FloatingPointError(
                f"Training diverged: try a learning rate below {self.learning_rate:g}."
            )

    def keep(self):
        """Keep the network as it is now."""
        self.moments.append(self.now())

    def now(self):
        """Return the Moment of the network as it is now."""
        with np.errstate(all="ignore"):
            metrics = evaluate(self.model, self.data)
        return Moment(self.params(), metrics, self.rng.get_state())

    def within_epoch(self, epoch, n_batches):
        """Return the Moment after n_batches of the epoch that follows this one, and the last batch.

        The run stays as it is. The batch is an array of the numbers of its training points.
        """
        self.resume(epoch)
        try:
            order = self.rng.permutation(len(self.data.x_train))
            end = n_batches * self.batch_size
            self.train_on(order[:end])
            return self.now(), order[end - self.batch_size : end]
        finally:
            self.resume(self.epoch)

    # Any epoch so far.

    def moment_at(self, epoch):
        """Return the Moment of an epoch."""
        if not 0 <= epoch <= self.epoch:
            raise ValueError(f"There is no epoch {epoch}; the last is {self.epoch}.")
        return self.moments[epoch]

    def network_at(self, epoch):
        """Return an MLP of this project with the parameters of an epoch."""
        model = MLP(2, self.settings["hidden_units"], self.n_classes)
        set_params(
            model.linear_layers, self.moment_at(epoch).params, shapes_of(model.linear_layers)
        )
        return model

    def data_at(self, epoch):
        """Return the Data, with the points that were added up to an epoch."""
        x = self.first_data.x_train
        y = self.first_data.y_train
        for change in self.changes:
            if change["what"] == "point" and change["epoch"] <= epoch:
                x = np.vstack([x, change["point"]])
                y = np.vstack([y, np.eye(self.n_classes)[change["class"]]])
        return self.first_data._replace(x_train=x, y_train=y)

    def own_points(self):
        """Return the points of one's own as rows x1, x2, class: of a file, and added by hand."""
        rows = []
        if self.settings["dataset"] == OWN:
            rows.extend(self.settings["points"])
        for change in self.changes:
            if change["what"] == "point":
                rows.append([*change["point"], change["class"]])
        return rows

    def setting_at(self, name, epoch):
        """Return the value of a setting: the first one, or what it was changed to last."""
        value = self.settings[name]
        for change in self.changes:
            if change["what"] == name and change["epoch"] <= epoch:
                value = value_of(name, change["value"])
        return value

    def prepare(self, epoch):
        """Take the data and the settings of an epoch."""
        self.data = self.data_at(epoch)
        self.learning_rate = self.setting_at("learning_rate", epoch)
        self.batch_size = self.setting_at("batch_size", epoch)
        if self.batch_size is None:
            self.batch_size = len(self.data.x_train)
        self.run_epoch = None  # made with the next epoch: to compile it may take seconds

    def resume(self, epoch):
        """Go on from an epoch as it was kept."""
        moment = self.moment_at(epoch)
        self.rng.set_state(moment.rng_state)
        set_params(self.linears, moment.params, self.shapes)
        self.prepare(epoch)

    def go_back(self, epoch):
        """Forget what came after this epoch, and go on from there."""
        self.resume(epoch)
        self.moments = self.moments[: epoch + 1]
        self.changes = [change for change in self.changes if change["epoch"] <= epoch]
        self.before_changes = self.before_changes[: len(self.changes)]

    # Changes by hand.

    def change(self, change):
        """Make a change at an epoch so far; what came after it is forgotten.

        If the network cannot be evaluated then, the run stays as it was.
        """
        change = checked(change, self.sizes)
        kept = self.moments, self.changes, self.before_changes
        try:
            self.make(change)
        except BaseException:
            self.moments, self.changes, self.before_changes = kept
            self.resume(self.epoch)
            raise

    def make(self, change):
        """Make a change that is checked."""
        epoch = change["epoch"]
        self.go_back(epoch)
        self.changes.append(change)
        self.before_changes.append((self.moments.pop(), self.texts["epochs"]))
        if change["what"] == "fold":
            self.set_unit(change)
        elif change["what"] == "weight":
            weight = self.linears[change["layer"]].params["weight"]
            weight[change["from"], change["to"]] = change["value"]
        self.prepare(epoch)
        self.keep()

    def set_unit(self, fold):
        """Give a hidden unit of the first layer these parameters."""
        unit = fold["unit"]
        hidden = self.linears[0].params
        hidden["weight"][:, unit] = fold["weight"]
        hidden["bias"][..., unit] = fold["bias"]  # `...`: a student's bias may be a row, (1, n)
        if "output" in fold:
            self.linears[1].params["weight"][unit] = fold["output"]

    def make_planned_changes(self):
        """Make the changes that are planned for this epoch."""
        while self.planned and self.planned[0]["epoch"] <= self.epoch:
            self.change(self.planned.pop(0))

    def end_at(self, text):
        """Set the epoch at which the run ends, as text."""
        self.settings = self.settings | {"epochs": value_of("epochs", text)}
        self.texts = self.texts | {"epochs": text}

    def undo(self):
        """Take the last change back, and stand at its epoch; later epochs are forgotten."""
        if not self.changes:
            raise ValueError("There is no change to take back.")
        epoch = self.changes[-1]["epoch"]
        self.go_back(epoch)
        self.changes.pop()
        moment, epochs = self.before_changes.pop()
        self.moments[epoch] = moment
        self.end_at(epochs)
        self.resume(epoch)


def data_of(settings):
    """Return the Data of these settings."""
    dataset = settings["dataset"]
    seed = settings["data_seed"]
    if dataset == OWN:
        return split_points(settings["points"], seed)
    return load_problem(dataset, settings["noise"], seed)


def linears_of(model):
    """Return the layers of a network that have parameters; a student's others may have none."""
    return [layer for layer in model.layers if getattr(layer, "params", None)]


def shapes_of(linears):
    """Return the shapes of the weight and the bias of each layer."""
    return [(linear.params["weight"].shape, linear.params["bias"].shape) for linear in linears]


def set_params(linears, params, shapes):
    """Give layers these parameters, from one flat array."""
    start = 0
    for linear, layer_shapes in zip(linears, shapes, strict=True):
        for name, shape in zip(("weight", "bias"), layer_shapes, strict=True):
            end = start + math.prod(shape)
            old = linear.params[name]
            linear.params[name] = params[start:end].reshape(shape).astype(old.dtype)
            start = end
