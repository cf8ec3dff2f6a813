"""In the submission's process: how its perceptron is made, asked for labels and trained.

Weights and bias are read and written as w, (n_inputs,), and b, wherever they are kept. The first
way to call a method that runs is taken, never the one that gives the lecture's result.
Not here: what its training does (runs.py).
"""

import random
from itertools import product

import numpy as np

from grading.process.calls import RATE, call, parameters_of, role_of
from grading.process.conventions import GRADIENT, WEIGHT, get, method, put, slots
from grading.process.loading import within
from grading.process.raised import NotUnderstood

SECONDS = 5  # that one training may take
BIAS_NAMES = {"b", "bias", "biases", "b0", "w0", "theta0", "intercept"}
FORWARD_NAMES = ("forward", "predict", "__call__")
TRAIN_NAMES = ("train", "fit", "learn")
CHANGES = (  # the arguments that `train` may write to, and the type of the labels
    ("", "float"),
    ("points", "float"),
    ("labels", "int"),
    ("labels", "float"),
    ("points and labels", "float"),
)


class Student:
    """A submission's perceptron, and how it does things.

    `find`, `predict` and `settle` fill in the fields, in this order.
    """

    def __init__(self, kind, n_inputs):
        self.kind = kind
        self.n_inputs = n_inputs
        self.weights = ""  # their path
        self.shape = ()
        self.has_bias = True
        self.bias = ""  # the path of the bias, if it is apart
        self.bias_place = -1  # or its place among the weights
        self.forward_ones = ""  # where `forward` wants a 1 in each point: "last" or "first"
        self.one_by_one = False  # `forward` takes one point
        self.train_ones = ""
        self.has_label_columns = False  # `train` wants labels of shape (N, 1)
        self.changes = "points and labels"  # the arguments that `train` writes to
        self.has_changed = False  # it writes other values than were there
        self.label_type = "float"
        self.begins_anew = False  # `train` does not begin with the weights that are there

    def new(self, n_epochs=1, seed=0):
        """Make a perceptron."""
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        return call(
            self.kind,
            n_inputs=self.n_inputs,
            number=self.n_inputs,
            max_steps=n_epochs,
            learning_rate=RATE,
        )

    # Its weights

    def find(self, perceptron):
        """Find where a perceptron keeps its weights, and the bias if it is apart."""
        own = {}
        for path, value in slots(perceptron):
            if not GRADIENT.search(path):
                own[path] = value
        with_bias = arrays_of_size(own, self.n_inputs + 1)
        without = arrays_of_size(own, self.n_inputs)
        if with_bias:
            self.weights = with_bias[0]
        elif without:
            self.weights = without[0]
            self.bias = bias_of(own)
            self.has_bias = self.bias != ""
        else:
            raise no_weights(own, self.n_inputs)
        self.shape = np.shape(own[self.weights])

    def read(self, perceptron):
        """Return w and b."""
        kept = np.array(get(perceptron, self.weights), dtype=float)
        if kept.size != np.prod(self.shape):
            raise NotUnderstood(f"train makes an array of shape {kept.shape} of the weights")
        w = kept.ravel()
        if self.bias:
            return w, float(np.ravel(get(perceptron, self.bias))[0])
        if not self.has_bias:
            return w, 0.0
        return np.delete(w, self.bias_place), w[self.bias_place]

    def write(self, perceptron, w, b):
        """Give a perceptron w and b, in the shapes that it keeps them in."""
        if self.bias:
            shape = np.shape(get(perceptron, self.bias))
            put(perceptron, self.bias, np.full(shape, b) if shape else b)
        elif self.has_bias:
            w = np.append(b, w) if self.bias_place == 0 else np.append(w, b)
        put(perceptron, self.weights, np.array(w, dtype=float).reshape(self.shape))

    # Its labels

    def predict(self, perceptron, x):
        """Return the labels of points, (N,)."""
        forward = method(perceptron, *FORWARD_NAMES)
        first_error = None
        for ones, one_by_one in product(("", "last", "first"), (False, True)):
            points = with_ones(x, ones)
            try:
                with within(SECONDS):
                    given = [call(forward, part) for part in (points if one_by_one else [points])]
                labels = labels_in(given, len(x))
            except NotImplementedError:
                raise
            except Exception as error:
                first_error = first_error or error
                continue
            self.forward_ones = ones
            self.one_by_one = one_by_one
            self.has_label_columns = np.shape(given[0]) == (len(x), 1)
            return labels
        raise first_error

    # Its training

    def settle(self, train_once):
        """Find how `train` takes points and labels: the first way in which `train_once` runs."""
        ones = dict.fromkeys(["", self.forward_ones])
        columns = self.has_label_columns, not self.has_label_columns
        first_error = None
        for way in product(ones, columns, CHANGES):
            self.train_ones, self.has_label_columns, (self.changes, self.label_type) = way
            try:
                return train_once()
            except Exception as error:
                first_error = first_error or error
        raise first_error

    def learn(self, perceptron, x, y, n_epochs):
        """Train a perceptron."""
        train = method(perceptron, *TRAIN_NAMES)
        roles = [role_of(p.name) for p in parameters_of(train)]
        if len(roles) < 2:
            raise NotUnderstood("Perceptron.train does not take points and labels")
        points = with_ones(x, self.train_ones)
        labels = y.astype(self.label_type)
        if self.has_label_columns:
            labels = labels[:, None]
        values = {
            "x_test": points[:2].copy(),
            "y_test": labels[:2].copy(),
            "learning_rate": RATE,
            "max_steps": n_epochs,
        }
        points.flags.writeable = "points" in self.changes
        labels.flags.writeable = "labels" in self.changes
        before = points.copy(), labels.copy()
        certain = [points, labels]
        if roles[0] == "targets":
            certain.reverse()
        with within(SECONDS):
            call(train, *certain, **values)
        is_same = np.array_equal(points, before[0]) and np.array_equal(labels, before[1])
        self.has_changed = self.has_changed or not is_same


def arrays_of_size(own, size):
    """Return the paths of arrays and lists of so many numbers, those named like weights first."""
    paths = []
    for path, value in own.items():
        if isinstance(value, np.ndarray | list) and np.size(value) == size:
            paths.append(path)
    paths.sort(key=lambda path: WEIGHT.search(path) is None)
    return paths


def bias_of(own):
    """Return the path of a number that is named like a bias, or ""."""
    for path, value in own.items():
        name = path.split(".")[-1].replace("_", "").lower()
        if name in BIAS_NAMES and np.size(value) == 1:
            return path
    return ""


def no_weights(own, n):
    """Return the exception for a perceptron that keeps no n + 1 or n weights."""
    for path, value in own.items():
        if WEIGHT.search(path) and value is None:
            return NotImplementedError(f"{path} is None")
    return NotUnderstood(f"Perceptron keeps no {n + 1} weights, with the bias, for {n} inputs")


def with_ones(x, place):
    """Return a copy of points with a 1 in each: "first", "last", or "" for none."""
    ones = np.ones((len(x), 1))
    if place == "last":
        return np.hstack([x, ones])
    if place == "first":
        return np.hstack([ones, x])
    return x.copy()


def labels_in(given, n):
    """Return n labels of what `forward` gave; of a tuple the place that holds labels."""
    if given[0] is None:
        raise NotImplementedError("Perceptron.forward returns None")
    places = [given]
    if isinstance(given[0], tuple):
        places = list(zip(*given, strict=True))
    columns = []
    for values in places:
        column = np.concatenate([np.ravel(value) for value in values]).astype(float)
        if column.size == n:
            columns.append(column)
    if not columns:
        raise NotUnderstood("Perceptron.forward does not give a number for each point")
    columns.sort(key=lambda column: not np.isin(column, [-1, 0, 1]).all())
    return columns[0]
