"""Part II: the multi-layer perceptron (MLP), composed of the layers of modules.py.

It predicts, passes gradients back, updates its parameters, and is saved and loaded.
Not here: data, batches and epochs (train_mlp_numpy.py).
"""

import os

import numpy as np

from modules import Linear, ReLU, SoftMax, as_rng


class MLP:
    """Hidden layers of Linear and ReLU, then an output layer of Linear and SoftMax."""

    def __init__(self, n_inputs, n_hidden, n_classes, rng=None):
        """Make a network with random weights.

        Args:
            n_inputs: the number of features of a sample.
            n_hidden: a list of the number of units in each hidden layer, such as [20]. If it is
                empty, the network is softmax regression.
            n_classes: the number of classes, at least 2.
            rng: a NumPy generator for the weights, or an int seed for a new one, or None.

        Raises:
            ValueError: if there are fewer than two classes.
        """
        if n_classes < 2:
            raise ValueError(f"n_classes must be at least 2, got {n_classes}")
        rng = as_rng(rng)  # one for all layers: with one seed, each would draw the same numbers
        self.layers = []
        n_in = n_inputs
        for n_units in n_hidden:
            self.layers.append(Linear(n_in, n_units, rng))
            self.layers.append(ReLU())
            n_in = n_units
        self.layers.append(Linear(n_in, n_classes, rng))
        self.layers.append(SoftMax())

    def forward(self, x):
        """Return the probabilities, of shape (N, n_classes), for x of shape (N, n_inputs)."""
        out = x
        for layer in self.layers:
            out = layer.forward(out)
        return out

    def backward(self, dout):
        """Set the `grads` of every Linear layer.

        `dout` is the gradient with respect to the logits, of shape (N, n_classes), which
        CrossEntropy.backward returns. This gradient includes the derivative of the softmax, so the
        backward pass begins at the last Linear layer.
        """
        layers_before_softmax = self.layers[:-1]
        for layer in reversed(layers_before_softmax):
            dout = layer.backward(dout)  # dL/dx of this layer is dL/dout of the previous one

    def update(self, learning_rate):
        """Make an update: each W becomes W - learning_rate * dL/dW, and each b likewise."""
        for linear in self.linear_layers:
            for name, gradient in linear.grads.items():
                linear.params[name] = linear.params[name] - learning_rate * gradient

    @property
    def linear_layers(self):
        """The Linear layers, first to last. They alone have parameters."""
        return [layer for layer in self.layers if isinstance(layer, Linear)]

    def save(self, path):
        """Write the parameters to a NumPy .npz file, as weight_0, bias_0, weight_1 and so on.

        Raises:
            OSError: if the file cannot be written.
        """
        arrays = {}
        for i, linear in enumerate(self.linear_layers):
            arrays[f"weight_{i}"] = linear.params["weight"]
            arrays[f"bias_{i}"] = linear.params["bias"]

        scratch = f"{path}.{os.getpid()}.tmp"
        with open(scratch, "wb") as file:  # given a name only, savez might add .npz to it
            np.savez(file, **arrays)
        os.replace(scratch, path)  # only now, so that there is never half a file at `path`

    @classmethod
    def load(cls, path):
        """Return the network that `save` wrote to this file.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is not a saved MLP.
        """
        with open(path, "rb") as file:
            try:
                arrays = dict(np.load(file, allow_pickle=False))  # a pickle could run any code
                n_layers = len(arrays) // 2
                weights = [arrays[f"weight_{i}"] for i in range(n_layers)]
                biases = [arrays[f"bias_{i}"] for i in range(n_layers)]
                n_inputs = len(weights[0])
                *n_hidden, n_classes = [len(bias) for bias in biases]
                model = cls(n_inputs, n_hidden, n_classes)
                for linear, weight, bias in zip(model.linear_layers, weights, biases, strict=True):
                    linear.params = {"weight": weight, "bias": bias}
                model.forward(np.zeros((1, n_inputs)))  # fails if the shapes do not fit
            except Exception as error:  # which one depends on what the file is
                raise ValueError(
                    f"{path} is not a saved MLP: it does not hold weight_0, bias_0 and so on"
                ) from error
        return model
