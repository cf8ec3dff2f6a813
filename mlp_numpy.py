"""Part II: the multi-layer perceptron (MLP), composed of the layers of modules.py.

It predicts, passes gradients back, takes a step of gradient descent, and goes to and from a file.
It knows nothing of data, batches or epochs; train_mlp_numpy.py does.
"""

import math
import os
import warnings
import zipfile
from itertools import pairwise
from pathlib import Path

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
        """Return the network that `save` wrote to `path`.

        The file may come from anyone: nothing in it is executed, and it takes a few times its own
        size of memory, whatever it says of itself.

        Raises:
            OSError: when the file cannot be read.
            ValueError: when it is not a network that `save` wrote; names the file and the reason.
        """
        path = Path(path)
        if path.exists() and not path.is_file():  # from a pipe or a device one could read forever
            raise ValueError(f"{path} is not a saved MLP: it is not a regular file")
        with open(path, "rb") as file:
            try:
                return cls._of_arrays(read_arrays(file))
            except Exception as error:  # a broken archive fails in more ways than one can list
                words = "".join(c if c.isprintable() else " " for c in str(error))
                reason = " ".join(words.split())[:200] or type(error).__name__
                raise ValueError(f"{path} is not a saved MLP: {reason}") from error

    @classmethod
    def _of_arrays(cls, arrays):
        """Return the network with these parameters, named as in a file, or raise ValueError."""
        weights = [arrays.get(f"weight_{i}") for i in range(len(arrays) // 2)]
        if not weights or any(weight is None or weight.ndim != 2 for weight in weights):
            raise ValueError(
                f"it holds {sorted(arrays)}, where matrices weight_0, weight_1, ... are expected"
            )
        n_inputs, *n_hidden = (weight.shape[0] for weight in weights)
        n_classes = weights[-1].shape[1]
        shapes = [weight.shape for weight in weights]
        if shapes != list(pairwise([n_inputs, *n_hidden, n_classes])):
            raise ValueError(f"its weights do not fit one another, of shapes {shapes}")
        model = cls(n_inputs, n_hidden, n_classes)
        for name, layer, key in model._named_params():
            array, shape = arrays.pop(name, None), layer.params[key].shape
            if array is None or array.shape != shape:
                found = "missing" if array is None else f"of shape {array.shape}"
                raise ValueError(f"{name} must have shape {shape}, but is {found}")
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


def read_arrays(file):
    """Return the float64 arrays in an .npz file, by name; the file is open for reading bytes.

    An array is read only when all of its bytes are seen to be there. `save` compresses nothing, so
    the members of the archive are together no longer than the file.

    Raises:
        ValueError: when the file is no such archive; a broken one can raise other Exceptions, too.
    """
    if not zipfile.is_zipfile(file):
        raise ValueError("it is not an .npz archive")
    arrays, length = {}, os.fstat(file.fileno()).st_size
    with zipfile.ZipFile(file) as archive, warnings.catch_warnings():
        warnings.simplefilter("error")  # what the parser of a header warns of, `save` did not write
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise ValueError("it is compressed")
        if sum(member.file_size for member in members) > length:
            raise ValueError("its arrays overlap")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"it holds {name} twice")
            with archive.open(member) as array:
                if np.lib.format.read_magic(array) != (1, 0):
                    raise ValueError(f"{name} is not of version 1.0 of the .npy format")
                shape, _, dtype = np.lib.format.read_array_header_1_0(array)
                n_bytes = member.file_size - array.tell()
            if dtype != np.float64:
                raise ValueError(f"{name} must be float64, but is {dtype}")
            are_sizes = all(type(size) is int and size >= 0 for size in shape)
            if not are_sizes or math.prod(shape) * dtype.itemsize != n_bytes:
                raise ValueError(f"{name} has {n_bytes} bytes, which do not fit its shape {shape}")
            with archive.open(member) as array:
                arrays[name] = np.lib.format.read_array(array, allow_pickle=False)
    return arrays
