"""In the submission's process: how its perceptron is made, asked for labels and trained.

Weights and bias are read and written as w, (n_inputs,), and b, wherever they are kept. The first
way to call a method that runs is taken, never the one that gives the lecture's result.
Not here: what its training does (perceptron_runs.py).
"""

import dis
import inspect
import random
import re
from contextlib import suppress
from itertools import product

import numpy as np

from grading.part_1 import generate_dataset
from grading.process.calls import RATE, call, parameters_of, required, role_of
from grading.process.conventions import GRADIENT, WEIGHT, get, put, slots
from grading.process.loading import within
from grading.process.raised import NotUnderstood, described

SECONDS = 5  # that one training may take
BIAS_NAMES = {"b", "bias", "biases", "b0", "w0", "theta0", "intercept", "threshold"}
FORWARD_NAMES = ("forward", "predict", "__call__")
TRAIN_NAMES = ("train", "fit", "learn")
MAKES_ONES = re.compile(  # text that gives each point a 1, such as np.ones((len(x), 1))
    r"ones\(\s*[(\[][^)\]]*[)\]]?,\s*1\s*[)\]]|c_\[[^\]]*ones|(insert|append)\([^()]*, *1(\.0)?[,)]"
)


class ShapeError(Exception):
    """Training has made an array of another shape of the weights."""


class Student:
    """A submission's perceptron, and how it does things.

    `find`, `find_forward` and `settle` fill in the fields, in this order.
    """

    def __init__(self, kind, n_inputs, module):
        self.kind = kind
        self.n_inputs = n_inputs
        self.module = module
        self.data = generate_dataset.measure(module)
        self.roles = {role_of(p.name) for p in parameters_of(kind)}
        # its weights
        self.weights = ""  # their path
        self.shape = ()
        self.bias = ""  # the path of the bias, if it is apart
        self.bias_sign = 1.0  # -1 for a threshold: w.x >= threshold
        self.bias_place = -1  # or its place among the weights
        self.has_bias = True  # or it is the weight of a 1 that each point has
        self.has_room = True  # or there is no weight for such a 1
        # its labels
        self.forward_name = ""
        self.forward_ones = ""  # where `forward` wants a 1 in each point: "last" or "first"
        self.one_by_one = False  # `forward` takes one point
        # its training
        self.train_ones = ""
        self.label_type = int
        self.label_columns = None  # whether `train` wants labels of shape (N, 1)
        self.fails_for_integers = {}  # the exception, if it does
        self.own_start = None  # w and b that `train` begins with, whatever they were before

    def told(self):
        """Return the conventions that are worth a word, as plain values."""
        return {
            "n_inputs": self.n_inputs,
            "takes_n_inputs": bool(self.roles & {"n_inputs", "number"}),
            "bias_is_apart": bool(self.bias),
            "bias_is_first": self.is_bias_first(),
            "has_bias": self.has_bias,
            "has_room": self.has_room,
            "source_of_ones": "" if self.has_bias else self.source_of_ones(),
            "forward_ones": self.forward_ones,
            "one_by_one": self.one_by_one,
            "own_start": self.own_start and np.append(*self.own_start),
            "fails_for_integers": self.fails_for_integers,
        }

    def source_of_ones(self):
        """Return what shows that each point has a 1: the submission's "data", its "text", or ""."""
        if generate_dataset.has_ones(self.data):
            return "data"
        with suppress(OSError, TypeError):
            if MAKES_ONES.search(inspect.getsource(self.module)):
                return "text"
        return ""

    # Its weights

    def new(self, n_epochs=1, seed=0):
        """Make a perceptron."""
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        n_weights = self.n_inputs
        if not self.has_bias and self.has_room:
            n_weights += 1
        values = {
            "n_inputs": n_weights,
            "number": n_weights,
            "max_steps": n_epochs,
            "learning_rate": RATE,
        }
        if "seed" in [role_of(name) for name in required(self.kind)]:
            values["seed"] = seed
        perceptron = call(self.kind, **values)
        for path, value in list(slots(perceptron)):
            role = role_of(path)
            is_set = role in self.roles or role not in ("max_steps", "learning_rate")
            if not is_set and isinstance(value, int | float):
                put(perceptron, path, values[role])
        return perceptron

    def find(self, perceptron):
        """Find where a perceptron keeps its weights, and the bias if it is apart."""
        own = {}
        for path, value in slots(perceptron):
            if not GRADIENT.search(path) and not isinstance(value, bool):
                own[path] = value
        n = self.n_inputs
        whole = arrays_of_size(own, n + 1)
        parts = arrays_of_size(own, n)
        if whole:
            self.weights = whole[0]
        elif parts:
            self.weights = parts[0]
            self.bias = bias_of(own)
            self.has_bias = self.bias != ""
            if "threshold" in self.bias.lower():
                self.bias_sign = -1.0
        else:
            raise no_weights(own, n)
        self.shape = np.shape(own[self.weights])
        if not self.has_bias:
            self.find_room()

    def find_room(self):
        """Find whether a perceptron of one more input has one more weight."""
        weights = get(self.new(), self.weights)
        self.has_room = weights is None or np.size(weights) == self.n_inputs + 1
        if self.has_room:
            n = self.n_inputs
            self.shape = tuple(n + 1 if size == n else size for size in self.shape)

    def is_bias_first(self):
        return self.has_bias and not self.bias and self.bias_place == 0

    def read(self, perceptron):
        """Return w and b."""
        numbers = np.array(get(perceptron, self.weights), dtype=float)
        shape = numbers.shape
        if self.bias:
            bias = np.array(get(perceptron, self.bias), dtype=float)
            numbers = np.append(numbers, self.bias_sign * bias)
        if not self.has_room:
            numbers = np.append(numbers, 0.0)
        if numbers.size != self.n_inputs + 1:
            what = f"an array of shape {shape}" if shape else "a single number"
            raise ShapeError(f"makes {what} of the weights")
        numbers = numbers.ravel()
        if self.is_bias_first():
            return numbers[1:], numbers[0]
        return numbers[:-1], numbers[-1]

    def write(self, perceptron, w, b):
        """Give a perceptron w and b, in the shapes that it keeps them in."""
        numbers = np.append(w, b)
        if self.is_bias_first():
            numbers = np.append(b, w)
        if self.bias or not self.has_room:
            numbers = np.array(w)
        put(perceptron, self.weights, numbers.astype(float).reshape(self.shape))
        if self.bias:
            bias = self.bias_sign * float(b)
            shape = np.shape(get(perceptron, self.bias))
            is_array = len(shape) > 0
            put(perceptron, self.bias, np.full(shape, bias) if is_array else bias)

    def place_of_ones(self, wanted):
        """Return where a method wants a 1 in each point: "first", "last", or "" for nowhere."""
        if not self.has_bias and self.has_room:
            return "last"
        return wanted

    # Its labels

    def predict(self, perceptron, x):
        """Return the labels of points, (N,)."""
        if not self.forward_name:
            self.find_forward(perceptron, x)
        forward = getattr(perceptron, self.forward_name)
        points = with_ones(x, self.place_of_ones(self.forward_ones))
        with within(SECONDS):
            if self.one_by_one:
                given = [call(forward, point) for point in points]
            else:
                given = [call(forward, points)]
        labels = labels_in(given, len(x))
        if self.label_columns is None:
            self.label_columns = np.shape(given[0]) == (len(x), 1)
        return labels

    def find_forward(self, perceptron, x):
        """Find a method that gives labels, and how it takes points."""
        names = [name for name in FORWARD_NAMES if hasattr(perceptron, name)]
        if not names:
            raise NotImplementedError("Perceptron has no forward")
        first_error = None
        runs = []
        for way in product(names, ("", "last", "first"), (False, True)):
            self.forward_name, self.forward_ones, self.one_by_one = way
            try:
                labels = self.predict(perceptron, x)
            except NotImplementedError:
                raise
            except Exception as error:
                first_error = first_error or error
                continue
            runs.append(way)
            if np.isin(labels, [-1, 0, 1]).all():
                return
        if not runs:
            self.forward_name = ""
            raise first_error
        self.forward_name, self.forward_ones, self.one_by_one = runs[0]

    def count_forward(self, perceptron):
        """Return a list that grows with each call of `forward` of this perceptron."""
        calls = []
        forward = getattr(perceptron, self.forward_name, None)

        def counted(*arguments, **values):
            calls.append(1)
            return forward(*arguments, **values)

        with suppress(AttributeError, TypeError):
            setattr(perceptron, self.forward_name, counted)
        return calls

    # Its training

    def settle(self, train_once):
        """Find how `train` takes points and labels: the first way in which `train_once` runs."""
        as_columns = generate_dataset.has_column_labels(self.data)
        if as_columns is not None:
            self.label_columns = as_columns
        first_error = None
        ones = dict.fromkeys(["", self.forward_ones])
        columns = [self.label_columns]
        if as_columns is None:
            columns.append(not self.label_columns)
        for way in product(ones, columns, (int, float)):
            self.train_ones, self.label_columns, self.label_type = way
            try:
                train_once()
            except Exception as error:
                first_error = first_error or error
                continue
            if self.label_type is float:
                self.fails_for_integers = described(first_error)
            return
        raise first_error

    def prefer_floats(self):
        """Note that `train` does something else for labels that are integers."""
        self.label_type = float
        self.fails_for_integers = {"kind": "differs", "where": ""}

    def learn(self, perceptron, x, y, n_epochs):
        """Train a perceptron; return which of its arguments `train` has changed."""
        train = method_of(perceptron, TRAIN_NAMES)
        if train is None:
            raise NotImplementedError("Perceptron has no train")
        names = [p.name for p in parameters_of(train)]
        if len(names) < 2:
            raise NotUnderstood("Perceptron.train does not take points and labels")
        points = with_ones(x, self.place_of_ones(self.train_ones))
        labels = y.astype(self.label_type)
        if self.label_columns:
            labels = labels[:, None]
        kept_points = points.copy()
        kept_labels = labels.copy()
        certain = [points, labels]
        if role_of(names[0]) == "targets" and role_of(names[1]) != "targets":
            certain = [labels, points]
        values = {
            "x_test": points[:2].copy(),
            "y_test": labels[:2].copy(),
            "learning_rate": RATE,
            "max_steps": n_epochs,
        }
        with within(SECONDS):
            call(train, *certain, **values)
        changed = []
        if not np.array_equal(points, kept_points):
            changed.append("points")
        if not np.array_equal(labels, kept_labels):
            changed.append("labels")
        return changed


def method_of(thing, names):
    """Return the first of these methods that an object or a class has, or None."""
    for name in names:
        if hasattr(thing, name):
            return getattr(thing, name)
    return None


def is_empty(function):
    """Return whether a function has no body but `pass`, or raises NotImplementedError.

    A loop over the epochs may be around it.
    """
    code = getattr(function, "__code__", None)
    if code is None:
        return False
    operations = [instruction.opname for instruction in dis.get_instructions(code)]
    if any("JUMP" in name for name in operations) and "range" not in code.co_names:
        return False
    for name in code.co_names:  # what it calls, reads or sets
        if name not in ("range", "NotImplementedError") and role_of(name) != "max_steps":
            return False
    return True


def arrays_of_size(own, size):
    """Return the paths of arrays and lists of so many numbers, those named like weights first."""
    paths = []
    for path, value in own.items():
        if isinstance(value, np.ndarray | list) and np.size(value) == size:
            paths.append(path)
    paths.sort(key=lambda path: WEIGHT.search(path) is None)
    return paths


def no_weights(own, n):
    """Return the exception for a perceptron that keeps no n + 1 or n weights."""
    for path, value in own.items():
        if WEIGHT.search(path) and value is None:
            return NotImplementedError(f"{path} is None")
    should = f"{n + 1} weights, with the bias, for {n} inputs"
    for path, value in own.items():
        if WEIGHT.search(path) and isinstance(value, np.ndarray | list):
            return NotUnderstood(f"{path} has the shape {np.shape(value)}, not {should}")
    return NotUnderstood(f"Perceptron keeps no {should}")


def bias_of(own):
    """Return the path of a number that is named like a bias, or ""."""
    for path, value in own.items():
        name = path.split(".")[-1].replace("_", "").lower()
        if name in BIAS_NAMES and value is not None and np.size(value) == 1:
            return path
    return ""


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
    if any(value is None for value in given):
        raise NotImplementedError("Perceptron.forward returns None")
    places = []
    if isinstance(given[0], tuple):
        for values in zip(*given, strict=True):
            places.append(values)
    else:
        places.append(given)
    columns = []
    for values in places:
        column = np.concatenate([np.ravel(np.asarray(value, dtype=float)) for value in values])
        if column.size == n:
            columns.append(column)
    if not columns:
        raise NotUnderstood("Perceptron.forward does not give a number for each point")
    columns.sort(key=lambda column: not np.isin(column, [-1, 0, 1]).all())
    return columns[0]
