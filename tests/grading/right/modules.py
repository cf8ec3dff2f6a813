"""Part II: the layers."""

import numpy as np


class Linear:
    """A fully connected layer."""

    def __init__(self, in_features, out_features):
        weight = np.random.normal(0, 0.1, (in_features, out_features))
        bias = np.zeros(out_features)
        self.params = {"weight": weight, "bias": bias}
        self.grads = {"weight": np.zeros_like(weight), "bias": np.zeros_like(bias)}

    def forward(self, x):
        self.x = x
        return np.dot(x, self.params["weight"]) + self.params["bias"]

    def backward(self, dout):
        self.grads["weight"] = np.dot(self.x.T, dout)
        self.grads["bias"] = np.sum(dout, axis=0)
        return np.dot(dout, self.params["weight"].T)


class ReLU:
    """Cuts off what is negative."""

    def forward(self, x):
        self.x = x
        return np.where(x > 0, x, 0)

    def backward(self, dout):
        return np.where(self.x > 0, dout, 0)


class SoftMax:
    """Makes probabilities of logits, row by row."""

    def forward(self, x):
        shifted = x - np.max(x, axis=1, keepdims=True)
        powers = np.exp(shifted)
        total = np.sum(powers, axis=1, keepdims=True)
        self.probs = powers / total
        return self.probs

    def backward(self, dout):
        mean = np.sum(self.probs * dout, axis=1, keepdims=True)
        return self.probs * (dout - mean)


class CrossEntropy:
    """The loss; its backward includes that of the softmax."""

    def forward(self, predictions, targets):
        self.probs = predictions
        self.targets = targets
        logs = np.log(np.maximum(predictions, 1e-12))
        return -np.sum(targets * logs) / len(targets)

    def backward(self):
        return (self.probs - self.targets) / len(self.targets)
