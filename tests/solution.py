"""A solution of the assignment, of any of the conventions that solutions come in.

Which gradient is right does not depend on who takes the step or on whether the loss is told its
arguments twice. So what is a convention is accepted and noted here; test_solution.py judges.
"""

import importlib
import inspect
import sys
from contextlib import contextmanager
from functools import cached_property
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


class Solution:
    """The classes and functions of a folder, as test_solution.py calls them.

    Attributes:
        conventions: what differs from this project without being wrong, a list of sentences.
    """

    def __init__(self, folder):
        self.folder, self.conventions, self.files = folder.resolve(), [], {}

    def note(self, convention):
        """Take note of a convention."""
        if convention not in self.conventions:
            self.conventions.append(convention)

    def get(self, file, name):
        """Return what a file calls `name`; the check is skipped where the file is missing."""
        if file not in self.files:
            if not (self.folder / f"{file}.py").is_file():
                pytest.skip(f"not checked: there is no {file}.py")
            try:
                self.files[file] = importlib.import_module(file)
            except (Exception, SystemExit) as error:
                pytest.fail(f"{file}.py cannot be imported: {error!r}", pytrace=False)
        if not hasattr(self.files[file], name):
            pytest.fail(f"{file}.py defines no {name}", pytrace=False)
        return getattr(self.files[file], name)

    def linear(self, n_in, n_out):
        """Return a Linear layer as it starts."""
        kind = self.get("modules", "Linear")
        if not takes(kind, "rng"):
            self.note("layers take no rng: their initial weights cannot be repeated")
        layer = kind(n_in, n_out)
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
        weight = getattr(layer, values)["weight"]
        return np.transpose(weight) if self.is_transposed and weight is not None else weight

    @staticmethod
    def bias(layer, values="params"):
        """Return the bias, or with values="grads" its gradient, in the shape (out,)."""
        bias = getattr(layer, values)["bias"]
        return np.ravel(bias) if np.shape(bias) == (1, np.size(bias)) else bias

    def loss(self, predictions, targets):
        """Return the loss and its gradient."""
        loss = self.get("modules", "CrossEntropy")()
        value = loss.forward(predictions, targets)
        if all(
            p.default is not p.empty for p in inspect.signature(loss.backward).parameters.values()
        ):
            return value, loss.backward()
        self.note("CrossEntropy.backward is given its arguments once more")
        return value, loss.backward(predictions, targets)

    def network(self, n_inputs, n_hidden, n_classes, rng):
        """Return an MLP with weights and biases from this generator, and its Linear layers."""
        model = self.get("mlp_numpy", "MLP")(n_inputs, n_hidden, n_classes)
        layers = in_order_of_use(
            linear_layers(model), lambda: model.forward(np.ones((1, n_inputs)))
        )
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
        if hasattr(model, "update"):
            model.update(learning_rate)
            return
        self.note("the trainer takes the step, not the MLP: MLP.update is not checked")
        for layer in linear_layers(model):
            for name in ("weight", "bias"):
                layer.params[name] = layer.params[name] - learning_rate * layer.grads[name]

    def perceptron(self, n_inputs, **options):
        """Return a Perceptron."""
        return self.get("perceptron", "Perceptron")(n_inputs, **options)

    def labels(self, perceptron, points):
        """Return the labels that it predicts for points of shape (N, n_inputs)."""
        try:
            labels = np.asarray(perceptron.forward(points))
            if labels.shape in ((len(points),), (len(points), 1)):
                return labels.ravel()
        except (ValueError, TypeError):
            pass
        self.note("Perceptron.forward takes one point at a time")
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
        return train


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


def in_order_of_use(layers, forward):
    """Return the layers in the order in which a forward pass calls them."""
    called = []

    def noting(layer):
        original = layer.forward

        def note_and_call(*args, **options):
            called.append(layer)
            return original(*args, **options)

        return note_and_call

    for layer in layers:
        layer.forward = noting(layer)
    try:
        forward()
    finally:
        for layer in layers:
            del layer.forward
    return sorted(layers, key=lambda layer: called.index(layer) if layer in called else len(called))
