"""Part II: the layers of a neural network, each with its forward and its backward pass.

A layer's `forward` computes its output `out` from its input `x`, and keeps what `backward` needs.
Its `backward` is given `dout`, the gradient of the loss L with respect to `out`, and returns dL/dx,
the gradient of L with respect to `x`. This is the chain rule, one layer at a time. CrossEntropy
ends the forward pass, since its output is L itself, and its `backward` begins the backward pass.

All arrays hold floats. A batch has N rows, and row n is sample n.

Not here: the network (mlp_numpy.py) and its training (train_mlp_numpy.py).
"""

import numpy as np


class Linear:
    """An affine map, out = x @ W + b.

    x    (N, in_features)
    W    (in_features, out_features), in params["weight"]; at first from a normal distribution
         with mean 0 and standard deviation 0.1
    b    (out_features,), in params["bias"]; at first zero
    out  (N, out_features)

    `grads` has the names and shapes of `params`. Each `backward` overwrites it.
    """

    def __init__(self, in_features, out_features, rng=None):
        """`rng` is a NumPy generator for the weights, or an int seed for a new one, or None."""
        rng = as_rng(rng)
        self.params = {
            "weight": rng.normal(0, 0.1, (in_features, out_features)),
            "bias": np.zeros(out_features),
        }
        self.grads = {
            "weight": np.zeros((in_features, out_features)),
            "bias": np.zeros(out_features),
        }

    def forward(self, x):
        """out_nj = (sum_i x_ni W_ij) + b_j, for input i and output j: out = x @ W + b."""
        self.x = x
        return x @ self.params["weight"] + self.params["bias"]

    def backward(self, dout):
        """Set dL/dW and dL/db in `grads`; return dL/dx.

        dL/dW_ij = sum_n x_ni dout_nj    dL/dW = x.T @ dout
        dL/db_j  = sum_n dout_nj         dL/db = dout.sum(axis=0)
        dL/dx_ni = sum_j dout_nj W_ij    dL/dx = dout @ W.T
        """
        self.grads["weight"] = self.x.T @ dout
        self.grads["bias"] = dout.sum(axis=0)
        return dout @ self.params["weight"].T


class ReLU:
    """The rectifier, element by element: x, out and their gradients have the same shape."""

    def forward(self, x):
        """out = max(0, x)."""
        self.x = x
        return np.maximum(0, x)

    def backward(self, dout):
        """dL/dx = dout where x > 0, else 0. At x = 0 there is no derivative; 0 is usual."""
        return dout * (self.x > 0)


class SoftMax:
    """Turns each row of x into probabilities p, of the same shape (N, C), for C classes.

    The elements of x are called logits. They can be any numbers: the larger a logit, the more
    probable its class. Training does not use this `backward`, because CrossEntropy.backward already
    includes the derivative of the softmax.
    """

    def forward(self, x):
        """p_i = exp(x_i - m) / sum_k exp(x_k - m), in each row.

        m is the largest x_k of the row. It cancels out, but without it exp could overflow.
        """
        m = x.max(axis=1, keepdims=True)
        powers = np.exp(x - m)
        self.p = powers / powers.sum(axis=1, keepdims=True)
        return self.p

    def backward(self, dout):
        """Return dL/dx.

        dp_j/dx_i = p_j (delta_ij - p_i), in each row; delta_ij is 1 if i = j, else 0
        dL/dx_i   = sum_j dout_j p_j (delta_ij - p_i)
                  = dout_i p_i - (sum_j dout_j p_j) p_i
                  = p_i (dout_i - sum_j dout_j p_j)
        """
        weighted_sum = (dout * self.p).sum(axis=1, keepdims=True)
        return self.p * (dout - weighted_sum)


class CrossEntropy:
    """The loss L of predicted probabilities p for one-hot targets y, both of shape (N, C).

    `backward` returns the gradient with respect to the *logits* x, where p = softmax(x). So a
    network skips its SoftMax on the way back, and goes on with its last Linear layer. In a row
    whose true class is t, with log p_t = x_t - log(sum_k exp(x_k)),

        d(-log p_t)/dx_j = exp(x_j) / sum_k exp(x_k) - (1 if j = t, else 0) = p_j - y_j.

    `forward` clips p at 1e-15, because log 0 is infinite. `backward` needs no clip.
    """

    def forward(self, predictions, targets):
        """L = -(1/N) sum_n sum_j y_nj log p_nj, a float; log is the natural logarithm.

        Raises:
            ValueError: if the shapes differ.
        """
        check_same_shape(predictions, targets)
        self.p = predictions
        self.y = targets
        log_p = np.log(np.maximum(self.p, 1e-15))
        return float(np.sum(-self.y * log_p) / len(self.y))

    def backward(self):
        """dL/dx_nj = (p_nj - y_nj) / N. The division by N is here, and nowhere else."""
        return (self.p - self.y) / len(self.y)


def check_same_shape(predictions, targets):
    """Raise ValueError if the shapes differ. NumPy might broadcast them, and give no error."""
    if np.shape(targets) != np.shape(predictions):
        raise ValueError(
            f"targets must be one-hot rows, of the shape {np.shape(predictions)} of predictions, "
            f"got {np.shape(targets)}; np.eye(C)[labels] makes them from labels 0 to C - 1"
        )


def as_rng(rng):
    """Return a NumPy generator: `rng` itself if it is one, else a new one with this int seed.

    If `rng` is None, the new generator gives other numbers each time.
    """
    if isinstance(rng, np.random.Generator | np.random.RandomState):
        return rng
    return np.random.RandomState(rng)
