"""Part II: the multi-layer perceptron (MLP), composed of the layers of modules.py.

It predicts, passes gradients back, updates its parameters, and is saved and loaded.
Not here: data, batches and epochs (train_mlp_numpy.py).
"""

import os
import zipfile
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import numpy as np

from modules import Linear, ReLU, SoftMax, as_rng


class MLP:
    """Hidden layers of Linear and ReLU, then Linear and SoftMax.

    `n_hidden` is a list of the number of units in each hidden layer, such as [20]; if it is empty,
    the network is softmax regression. `rng` is a generator, an int seed or None, for the weights.
    """

    def __init__(self, n_inputs, n_hidden, n_classes, rng=None):
        rng, sizes = as_rng(rng), [n_inputs, *n_hidden, n_classes]
        if min(sizes) < 1 or n_classes < 2:
            raise ValueError(f"all sizes must be at least 1 and n_classes at least 2, got {sizes}")
        self.layers = []
        for in_features, out_features in pairwise(sizes):
            self.layers += [Linear(in_features, out_features, rng), ReLU()]
        self.layers[-1] = SoftMax()  # in place of the last ReLU

    def forward(self, x):
        """Return the probabilities, of shape (N, n_classes), for x of shape (N, n_inputs)."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        """Set the `grads` of every Linear layer, from the gradient with respect to the logits.

        CrossEntropy.backward returns it, of shape (N, n_classes). It includes the derivative of the
        softmax, so the backward pass begins at the last Linear layer.
        """
        for layer in reversed(self.layers[:-1]):
            dout = layer.backward(dout)

    def update(self, learning_rate):
        """Move against the gradient: every parameter p becomes p - learning_rate * dL/dp."""
        for linear in self.layers[::2]:  # the others have no parameters
            for name, gradient in linear.grads.items():
                linear.params[name] = linear.params[name] - learning_rate * gradient

    def save(self, path):
        """Write the parameters to a NumPy .npz file, as weight_0, bias_0, weight_1 and so on."""
        params = {
            f"{name}_{i}": np.asarray(param, dtype=float)
            for i, linear in enumerate(self.layers[::2])
            for name, param in linear.params.items()
        }
        with open_whole(path) as file:
            np.savez(file, **params)

    @classmethod
    def load(cls, path):
        """Return the network in a file that `save` wrote; raise ValueError for any other file.

        It may come from anyone: nothing is executed, and memory stays within a few times its size.
        """
        with open(path, "rb") as file:
            try:
                members = zipfile.ZipFile(file).infolist()
                stored = [m.file_size for m in members if m.compress_type == zipfile.ZIP_STORED]
                if len(stored) < len(members) or sum(stored) > os.path.getsize(path):
                    raise ValueError("it is compressed")
                file.seek(0)
                return cls._of_params(dict(np.load(file, allow_pickle=False)))
            except Exception as error:  # an archive can be broken in many ways
                raise ValueError(f"{path} is not a saved MLP: {error}") from error

    @classmethod
    def _of_params(cls, params):
        n_layers = len(params) // 2
        names = {f"{name}_{i}" for name in ("weight", "bias") for i in range(n_layers)}
        if not names or names != set(params):
            raise ValueError(f"it holds {sorted(params)}, not weight_0, bias_0, weight_1, ...")
        sizes = [len(params["weight_0"]), *(params[f"bias_{i}"].size for i in range(n_layers))]
        for i, shape in enumerate(pairwise(sizes)):  # (in_features, out_features)
            for name, expected in (f"weight_{i}", shape), (f"bias_{i}", shape[1:]):
                found = params[name]
                if found.shape != expected or found.dtype != float:
                    found_one = f"{name} is {found.dtype} of shape {found.shape}"
                    raise ValueError(f"{found_one}, not float64 of shape {expected}")
        model = cls(sizes[0], sizes[1:-1], sizes[-1])
        for i, linear in enumerate(model.layers[::2]):
            linear.params = {name: params[f"{name}_{i}"] for name in linear.params}
        return model


@contextmanager
def open_whole(path):
    """Open a file for writing bytes that replaces `path` at the end of the block, when whole."""
    scratch = Path(f"{path}.{os.getpid()}.tmp")
    try:
        with open(scratch, "wb") as file:
            yield file
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


if __name__ == "__main__":
    raise SystemExit("mlp_numpy.py is no script: run train_mlp_numpy.py")
