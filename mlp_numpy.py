"""Part II: the multi-layer perceptron (MLP), composed of the layers of modules.py.

It predicts, passes gradients back, takes a step of gradient descent, and goes to and from a file.
It knows nothing of data, batches or epochs; train_mlp_numpy.py does.
"""

import zipfile
from itertools import pairwise

import numpy as np

from common import as_rng, check_whole, open_whole
from modules import Linear, ReLU, SoftMax


class MLP:
    """Hidden layers of Linear and ReLU, then Linear and SoftMax.

    Args:
        n_inputs: the number of features.
        n_hidden: the units of each hidden layer, a sequence of ints; empty gives softmax
            regression.
        n_classes: the number of classes.
        rng: a Generator or RandomState, an int seed, or None, for the initial weights.

    Attributes:
        layers: the layers in the order of the forward pass; every other one, from the first on,
            is Linear.
    """

    def __init__(self, n_inputs, n_hidden, n_classes, rng=None):
        try:
            n_hidden = list(n_hidden)
        except TypeError:
            raise ValueError(f"n_hidden must be a list such as [20], got {n_hidden!r}") from None
        check_whole("n_inputs", n_inputs)
        for units in n_hidden:
            check_whole("every entry of n_hidden", units)
        check_whole("n_classes", n_classes, least=2)
        rng = as_rng(rng)
        self.layers = []
        for in_features, out_features in pairwise([n_inputs, *n_hidden, n_classes]):
            self.layers += [Linear(in_features, out_features, rng), ReLU()]
        self.layers[-1] = SoftMax()

    def forward(self, x):
        """Return the probabilities of the classes, (N, n_classes), for x of (N, n_inputs)."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        """Set the `grads` of every Linear layer.

        Args:
            dout: the gradient of the loss with respect to the *logits*, of shape (N, n_classes),
                as `CrossEntropy.backward` returns it. It has passed the softmax already, so the
                way back begins at the last Linear layer.
        """
        first, *others = self.layers[:-1]  # all but the softmax
        for layer in reversed(others):
            dout = layer.backward(dout)
        first.backward(dout, input_gradient=False)

    def update(self, learning_rate):
        """Take a step of gradient descent: every parameter p becomes p - learning_rate * dL/dp."""
        learning_rate = np.asarray(learning_rate)  # 0-d arrays multiply faster
        for linear in self.layers[::2]:
            for name, gradient in linear.grads.items():
                # Not `-=`: the array may be one that the caller assigned or keeps.
                linear.params[name] = linear.params[name] - learning_rate * gradient

    def save(self, path):
        """Write the parameters to `path`, a NumPy .npz file, whole or not at all.

        The arrays are named weight_0, bias_0, weight_1, ... from the first Linear layer to the
        last.

        Raises:
            OSError: when the file cannot be written.
            ValueError: when a parameter is not finite, as in a network that diverged.
        """
        arrays = {}
        for name, layer, key in self._named_params():
            arrays[name] = np.asarray(layer.params[key], dtype=float)
            if not np.isfinite(arrays[name]).all():
                raise ValueError(f"cannot save {path}: {name} is not finite; the network diverged")
        with open_whole(path, "wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path):
        """Return the network that `save` wrote to `path`. Nothing in the file is executed.

        Raises:
            OSError: when the file cannot be read.
            ValueError: when it is not a network that `save` wrote; names the file and the reason.
        """
        try:
            with open(path, "rb") as file:
                if not zipfile.is_zipfile(file):
                    raise ValueError("it is not an .npz archive")
                file.seek(0)
                with np.load(file, allow_pickle=False) as archive:
                    arrays = dict(archive)
            return cls._of_arrays(arrays)
        except OSError:
            raise
        except Exception as error:  # a broken archive fails in more ways than one can list
            raise ValueError(f"{path} is not a saved MLP: {error}") from error

    @classmethod
    def _of_arrays(cls, arrays):
        """Return the network with these parameters, named as in a file, or raise ValueError."""
        weights = [arrays.get(f"weight_{i}") for i in range(len(arrays) // 2)]
        if not weights or any(weight is None or weight.ndim != 2 for weight in weights):
            raise ValueError(
                f"it holds {sorted(arrays)}, where matrices weight_0, weight_1, ... are expected"
            )
        n_inputs, *n_hidden = (weight.shape[0] for weight in weights)
        model = cls(n_inputs, n_hidden, n_classes=weights[-1].shape[1])
        for name, layer, key in model._named_params():
            array, shape = arrays.pop(name, None), layer.params[key].shape
            if array is None or array.shape != shape or array.dtype != float:
                found = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
                raise ValueError(f"{name} must be float64 of shape {shape}, but is {found}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} is not finite")
            layer.params[key] = array
        if arrays:
            raise ValueError(f"it also holds {sorted(arrays)}")
        return model

    def _named_params(self):
        """Yield each parameter's name in a file, its layer and its key in `layer.params`."""
        for i, linear in enumerate(self.layers[::2]):
            for key in linear.params:
                yield f"{key}_{i}", linear, key
