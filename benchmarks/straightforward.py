"""The straightforward NumPy training loop: what one writes first, and what ours is measured by.

The same layers, network and updates as modules.py and train_mlp_numpy.py, each formula in its
plainest form: every batch is gathered by its own fancy index, every operation makes a fresh array,
the loss is evaluated on every batch and the gradient passed back to the input.
"""

import numpy as np


class Linear:
    """The affine map x @ W + b."""

    def __init__(self, weight, bias):
        self.params = {"weight": weight.copy(), "bias": bias.copy()}
        self.grads = {}

    def forward(self, x):
        """Return x @ W + b."""
        self.x = x
        return x @ self.params["weight"] + self.params["bias"]

    def backward(self, dout):
        """Set the gradients; return that of the input."""
        self.grads["weight"] = self.x.T @ dout
        self.grads["bias"] = np.sum(dout, axis=0)
        return dout @ self.params["weight"].T


class ReLU:
    """The rectifier max(0, x)."""

    def forward(self, x):
        """Return max(0, x)."""
        self.x = x
        return np.maximum(0, x)

    def backward(self, dout):
        """Return the gradient of the input."""
        return dout * (self.x > 0)


class SoftMax:
    """Logits to probabilities."""

    def forward(self, x):
        """Return the probabilities of each row."""
        exp = np.exp(x - np.max(x, axis=1, keepdims=True))
        return exp / np.sum(exp, axis=1, keepdims=True)


class CrossEntropy:
    """The mean cross-entropy."""

    def forward(self, predictions, targets):
        """Return the loss."""
        self.predictions, self.targets = predictions, targets
        log = np.log(np.clip(predictions, 1e-15, 1))
        return -np.sum(targets * log) / len(targets)

    def backward(self):
        """Return the gradient of the logits."""
        return (self.predictions - self.targets) / len(self.targets)


class MLP:
    """A network with the weights of a mlp_numpy.MLP."""

    def __init__(self, model):
        params = [layer.params for layer in model.layers if hasattr(layer, "params")]
        self.layers = []
        for param in params:
            self.layers += [Linear(param["weight"], param["bias"]), ReLU()]
        self.layers[-1] = SoftMax()

    def forward(self, x):
        """Return the probabilities."""
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        """Pass the gradient of the logits back to the input."""
        for layer in reversed(self.layers[:-1]):
            dout = layer.backward(dout)
        return dout

    def update(self, learning_rate):
        """Take a step of gradient descent."""
        for layer in self.layers:
            if isinstance(layer, Linear):
                for name in layer.params:
                    step = learning_rate * layer.grads[name]
                    layer.params[name] = layer.params[name] - step


def run_epoch(model, x, targets, learning_rate, batch_size, order):
    """Train for an epoch, with the rows in this order."""
    loss = CrossEntropy()
    for start in range(0, len(x), batch_size):
        rows = order[start : start + batch_size]
        loss.forward(model.forward(x[rows]), targets[rows])
        model.backward(loss.backward())
        model.update(learning_rate)
