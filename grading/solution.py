"""A solution of the assignment, of any of the conventions that solutions come in.

Which gradient is right does not depend on who takes the step or on whether the loss is told its
arguments twice. So what is a convention is accepted and noted here; test_solution.py judges.
"""

import importlib
import inspect
import sys
from contextlib import contextmanager
from functools import cached_property, wraps
from itertools import product
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


@contextmanager
def alone(folder):
    """Let what is imported come from this folder, and nothing from this project."""
    stems = {path.stem for place in (folder, ROOT) for path in place.glob("*.py")}
    kept = {stem: sys.modules.pop(stem) for stem in stems if stem in sys.modules}
    path = sys.path[:]
    sys.path[:] = [str(folder), *(entry for entry in path if Path(entry).resolve() != ROOT)]
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for stem in stems:
            sys.modules.pop(stem, None)
        sys.modules.update(kept)


def takes(function, *names):
    """Return whether the function has parameters of these names."""
    return {*names} <= {*inspect.signature(function).parameters}


def needs_arguments(function):
    """Return whether the function has parameters without a default."""
    return any(p.default is p.empty for p in inspect.signature(function).parameters.values())


def described(function, args, options):
    """Return in words what a function is given, by name: of an array its shape."""
    given = dict(zip(inspect.signature(function).parameters, args, strict=False)) | options
    return {
        name: f"{name} {value.shape if isinstance(value, np.ndarray) else repr(value)}"
        for name, value in given.items()
        if isinstance(value, np.ndarray | int | float | list)
    }


def call(what, given, function, *args, **options):
    """Call a function of the solution; where it raises, the check fails and says what it got."""
    given.update(described(function, args, options))
    try:
        return function(*args, **options)
    except (Exception, SystemExit) as error:
        raised = repr(error)
    told = f" for {', '.join(given.values())}" if given else ""
    pytest.fail(f"{what} raises {raised}{told}", pytrace=False)


class Solution:
    """The classes and functions of a folder, as test_solution.py calls them.

    Attributes:
        conventions: what differs from this project without being wrong, a list of sentences.
        calls: pairs of an object that is watched and the name of a method, as they were called.
    """

    def __init__(self, folder):
        self.folder, self.conventions, self.files = folder.resolve(), [], {}
        self.calls = []

    def watch(self, thing, *names):
        """Return the object; what these of its methods raise fails the check, and tells why."""
        given = {}

        def watched(name, method):
            @wraps(method)
            def note_and_call(*args, **options):
                self.calls.append((thing, name))
                what = f"{type(thing).__name__}.{name}"
                result = call(what, given, method, *args, **options)
                if name == "forward" and result is None:
                    pytest.fail(f"{what} returns None", pytrace=False)
                return result

            return note_and_call

        for name in names:
            if hasattr(thing, name):
                setattr(thing, name, watched(name, getattr(thing, name)))
        return thing

    def note(self, convention):
        """Take note of a convention."""
        if convention not in self.conventions:
            self.conventions.append(convention)

    def get(self, file, name, optional=False):
        """Return what a file calls `name`; the check is skipped where the file is missing."""
        if file not in self.files:
            if not (self.folder / f"{file}.py").is_file():
                pytest.skip(f"not checked: there is no {file}.py")
            try:
                self.files[file] = importlib.import_module(file)
            except (Exception, SystemExit) as error:
                self.files[file] = error
        found = self.files[file]
        if isinstance(found, BaseException):
            pytest.fail(f"{file}.py cannot be imported: {found!r}", pytrace=False)
        if not hasattr(found, name):
            if optional:
                pytest.skip(f"not checked: {file}.py defines no {name}")
            pytest.fail(f"{file}.py defines no {name}", pytrace=False)
        return getattr(found, name)

    def layer(self, name, *args):
        """Return a layer, or a loss, of modules.py."""
        return self.watch(call(name, {}, self.get("modules", name), *args), "forward", "backward")

    def linear(self, n_in, n_out):
        """Return a Linear layer as it starts."""
        kind = self.get("modules", "Linear")
        if not takes(kind, "rng"):
            self.note("layers take no rng: their initial weights cannot be repeated")
        layer = self.layer("Linear", n_in, n_out)
        for name in ("weight", "bias"):
            if not isinstance(getattr(layer, "params", {}).get(name), np.ndarray):
                pytest.fail(f"Linear.params holds no array {name!r}", pytrace=False)
        if layer.params["bias"].shape == (1, n_out):
            self.note("biases have the shape (1, out)")
        return layer

    @cached_property
    def is_transposed(self):
        """Whether weights have the shape (out, in)."""
        if self.linear(2, 3).params["weight"].shape != (3, 2):
            return False
        self.note("weights have the shape (out, in)")
        return True

    def set(self, layer, weight, bias):
        """Give a Linear layer these parameters, of shapes (in, out) and (out,)."""
        layer.params["weight"] = weight.T.copy() if self.is_transposed else weight.copy()
        layer.params["bias"] = bias.reshape(layer.params["bias"].shape).copy()

    def weight(self, layer, values="params"):
        """Return the weight, or with values="grads" its gradient, in the shape (in, out)."""
        weight = getattr(layer, values, {}).get("weight")
        return np.transpose(weight) if self.is_transposed and weight is not None else weight

    @staticmethod
    def bias(layer, values="params"):
        """Return the bias, or with values="grads" its gradient, in the shape (out,)."""
        bias = getattr(layer, values, {}).get("bias")
        return np.ravel(bias) if np.shape(bias) == (1, np.size(bias)) else bias

    def loss(self, predictions, targets):
        """Return the loss and its gradient."""
        loss = self.layer("CrossEntropy")
        value = loss.forward(predictions, targets)
        if not needs_arguments(loss.backward):
            return value, loss.backward()
        self.note("CrossEntropy.backward is given its arguments once more")
        return value, loss.backward(predictions, targets)

    def network(self, n_inputs, n_hidden, n_classes, rng):
        """Return an MLP with weights and biases from this generator, and its Linear layers."""
        model = call("MLP", {}, self.get("mlp_numpy", "MLP"), n_inputs, n_hidden, n_classes)
        layers = [self.watch(layer, "forward", "backward") for layer in linear_layers(model)]
        n_calls = len(self.calls)
        self.watch(model, "forward", "backward", "update").forward(np.ones((1, n_inputs)))
        used = [thing for thing, _ in self.calls[n_calls:]]  # in the order of the forward pass
        layers.sort(key=lambda layer: used.index(layer) if layer in used else len(used))
        sizes = [n_inputs, *n_hidden, n_classes]
        if len(layers) != len(sizes) - 1:
            pytest.fail(
                f"an MLP of {sizes} has {len(layers)} Linear layers, but should have "
                f"{len(sizes) - 1}",
                pytrace=False,
            )
        for layer, n_in, n_out in zip(layers, sizes, sizes[1:], strict=False):
            self.set(layer, rng.normal(0, 0.7, (n_in, n_out)), rng.normal(0, 0.7, n_out))
        return model, layers

    def update(self, model, learning_rate):
        """Take a step with the gradients that the layers hold."""
        for layer, name in product(linear_layers(model), ("weight", "bias")):
            if np.asarray(layer.grads.get(name)).dtype == object:
                pytest.fail(f"MLP.backward sets no gradient of a {name}", pytrace=False)
        if hasattr(model, "update"):
            model.update(learning_rate)
            return
        self.note("the trainer takes the step, not the MLP: MLP.update is not checked")
        for layer, name in product(linear_layers(model), ("weight", "bias")):
            layer.params[name] = layer.params[name] - learning_rate * layer.grads[name]

    def perceptron(self, n_inputs, weights=None, **options):
        """Return a Perceptron, with these weights, the bias last, or those that it starts with."""
        kind = self.get("perceptron", "Perceptron")
        perceptron = self.watch(call("Perceptron", {}, kind, n_inputs, **options), "train")
        if not isinstance(getattr(perceptron, "weights", None), np.ndarray):
            pytest.fail("Perceptron.weights is no array", pytrace=False)
        shape = perceptron.weights.shape
        if perceptron.weights.size != n_inputs + 1:
            shape = (n_inputs + 1,)  # there is no place for the bias; another check says so
        elif len(shape) > 1:
            self.note("the perceptron's weights have the shape (n + 1, 1) or (1, n + 1)")
        if weights is not None:
            perceptron.weights = np.array(weights, dtype=float).reshape(shape)
        return perceptron

    @cached_property
    def trains_from_zero(self):
        """Whether Perceptron.train begins with zero weights, whatever they were."""
        after = []
        for start in ([5.0, 5.0], [0.0, 0.0]):  # both are wrong
            perceptron = self.perceptron(1, start, max_epochs=1, learning_rate=1.0)
            perceptron.train(np.array([[1.0]]), np.array([-1]))
            after.append(np.ravel(perceptron.weights))
        if not np.array_equal(*after):
            return False
        self.note("Perceptron.train begins with zero weights itself")
        return True

    def labels(self, perceptron, points):
        """Return the labels that it predicts for points of shape (N, n_inputs)."""
        try:
            labels = np.asarray(perceptron.forward(points))
            if labels.shape in ((len(points),), (len(points), 1)):
                return labels.ravel()
        except (ValueError, TypeError):
            pass
        self.note("Perceptron.forward takes one point at a time")
        self.watch(perceptron, "forward")
        return np.array([perceptron.forward(point) for point in points]).ravel()

    @cached_property
    def train(self):
        """The training loop, where there is one that is called as this project's."""
        train = self.get("train_mlp_numpy", "train")
        wanted = ("model", "data", "learning_rate", "max_steps", "eval_freq", "batch_size", "rng")
        if not takes(train, *wanted):
            self.note("train has parameters of its own: the loop is not checked")
            pytest.skip("not checked: train does not take model, data and the options of ours")
        if not hasattr(self.get("mlp_numpy", "MLP"), "update"):
            pytest.skip("not checked: train takes the step itself, and cannot be watched")
        return lambda *args, **options: call("train", {}, train, *args, **options)


def linear_layers(model):
    """Return the layers of a model that have params and grads, wherever it keeps them."""
    found, seen = [], set()

    def visit(value):
        if id(value) in seen or isinstance(value, np.ndarray):
            return
        seen.add(id(value))
        if isinstance(getattr(value, "params", None), dict) and hasattr(value, "grads"):
            found.append(value)
        elif isinstance(value, dict | list | tuple):
            for item in value.values() if isinstance(value, dict) else value:
                visit(item)
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            visit(vars(value))

    visit(vars(model))
    return [layer for layer in found if layer.params.get("weight") is not None]
