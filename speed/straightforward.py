"""The training loop that one writes first: the simplest one that ours is compared with.

Each formula is in its plainest form: every batch is gathered by an index of its own, the loss is
evaluated on every batch, and the gradient is passed back to the input.
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
        """Set the gradients; return that of x."""
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
        """Return the gradient of x."""
        return dout * (self.x > 0)


def soft_max(x):
    """Return the probabilities of rows of logits."""
    exp = np.exp(x - np.max(x, axis=1, keepdims=True))
    return exp / np.sum(exp, axis=1, keepdims=True)


def cross_entropy(predictions, targets):
    """Return the loss."""
    return -np.sum(targets * np.log(np.clip(predictions, 1e-15, 1))) / len(targets)


def run_epoch(layers, x, targets, learning_rate, batch_size, order):
    """Train for an epoch, with the rows in this order; the layers end with a Linear one."""
    for start in range(0, len(x), batch_size):
        rows = order[start : start + batch_size]
        out = x[rows]
        y = targets[rows]
        for layer in layers:
            out = layer.forward(out)
        predictions = soft_max(out)
        cross_entropy(predictions, y)
        dout = (predictions - y) / len(y)
        for layer in reversed(layers):
            dout = layer.backward(dout)
        for layer in layers[::2]:
            for name, gradient in layer.grads.items():
                layer.params[name] = layer.params[name] - learning_rate * gradient
