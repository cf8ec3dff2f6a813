"""Part II: the layers of a neural network, each with its forward and its backward pass.

`forward` computes a layer's output and keeps what `backward` needs. `backward` takes `dout`, the
gradient of the loss L with respect to that output, and returns dx, the gradient with respect to
the input: the chain rule, one layer at a time. A batch has N rows; row n is a sample.

Not here: the network (mlp_numpy.py) and its training (train_mlp_numpy.py). A wrong shape is a
ValueError, `backward` before `forward` a RuntimeError.
"""

import numpy as np


class Linear:
    """The affine map from x, of shape (N, in_features), to out, of shape (N, out_features).

    `params` holds the `weight` W, of shape (in_features, out_features), drawn from normal(0, 0.1),
    and the `bias` b, of shape (out_features,), which starts at zero. `grads` holds the gradients of
    the last `backward`, under the same names. `rng` is a generator, an int seed or None.
    """

    def __init__(self, in_features, out_features, rng=None):
        weight = as_rng(rng).normal(0, 0.1, (in_features, out_features))
        self.params = {"weight": weight, "bias": np.zeros(out_features)}
        self.grads = {"weight": np.zeros_like(weight), "bias": np.zeros(out_features)}
        self.out = None

    def forward(self, x):
        """out_nj = sum_i x_ni W_ij + b_j, that is out = x @ W + b."""
        self.x, weight = np.asarray(x, dtype=float), np.asarray(self.params["weight"], dtype=float)
        self.out = self.x.dot(weight) + np.asarray(self.params["bias"], dtype=float)
        return self.out

    def backward(self, dout):
        """dW_ij = sum_n x_ni dout_nj: dW = x.T @ dout; db_j = sum_n dout_nj; dx = dout @ W.T."""
        dout = as_shaped(dout, self.out, "dout", is_batch=True)
        self.grads["weight"] = self.x.T.dot(dout)  # a.dot(b) is a @ b, at half the overhead
        self.grads["bias"] = dout.sum(axis=0)
        return dout.dot(np.asarray(self.params["weight"], dtype=float).T)


class ReLU:
    """The rectifier, element by element: out and dx have the shape of x."""

    x = None

    def forward(self, x):
        """out = max(0, x)."""
        self.x = np.asarray(x, dtype=float)
        return np.maximum(0.0, self.x)

    def backward(self, dout):
        """dx = dout where x > 0, else 0. At x = 0 there is no derivative; 0 is the usual choice."""
        return as_shaped(dout, self.x, "dout") * (self.x > 0)


class SoftMax:
    """Logits x to probabilities p, row by row; both have the shape (N, C), for C classes.

    Training does not call `backward`: CrossEntropy.backward already includes this derivative.
    """

    out = None

    def forward(self, x):
        """p_j = exp(x_j - m) / sum_k exp(x_k - m); m = max_k x_k prevents overflow."""
        columns = np.asarray(x, dtype=float).T.copy()  # (C, N): NumPy is fast along long rows
        powers = np.exp(columns - columns.max(axis=0))
        self.out = (powers / powers.sum(axis=0)).T
        return self.out

    def backward(self, dout):
        """dp_j/dx_i = p_j (delta_ij - p_i), so dx_i = p_i (dout_i - sum_j dout_j p_j)."""
        dout = as_shaped(dout, self.out, "dout")
        return self.out * (dout - (dout * self.out).sum(axis=-1, keepdims=True))


class CrossEntropy:
    """The mean loss of probabilities p (predictions) for one-hot targets y, both of shape (N, C).

    With p = softmax(z) and a row's true class t, its loss is -log p_t = log sum_k exp(z_k) - z_t,
    whose derivative with respect to z_j is p_j - delta_jt. `backward` returns that gradient, with
    respect to the *logits* z, so a network's backward pass begins at its last Linear layer.
    """

    p = y = None

    def forward(self, predictions, targets):
        """L = -(1/N) sum_nj y_nj log p_nj, a float in nats; p is clipped to at least 1e-15."""
        self.p = np.asarray(predictions, dtype=float)
        self.y = as_one_hot(targets, self.p.shape)
        return float(np.sum(self.y * -np.log(np.maximum(self.p, 1e-15))) / len(self.y))

    def backward(self, predictions=None, targets=None):
        """dz = (p - y) / N, of these arrays or those of `forward`; no layer divides by N again."""
        y = self.y if targets is None else np.asarray(targets, dtype=float)
        p = self.p if predictions is None else predictions
        return (as_shaped(p, y, "predictions", is_batch=True) - y) / len(y)


def as_rng(rng):
    """Return a NumPy generator as it is; an int seed, or None, becomes a RandomState."""
    is_generator = isinstance(rng, np.random.Generator | np.random.RandomState)
    return rng if is_generator else np.random.RandomState(rng)


def as_shaped(array, other, name, is_batch=False):
    """Return the array as floats; NumPy would broadcast one of another shape than `other`."""
    if other is None:
        raise RuntimeError("backward needs what forward keeps: call forward first")
    array = np.asarray(array, dtype=float)
    if array.shape != other.shape:
        raise ValueError(f"{name} must have shape {other.shape}, got {array.shape}")
    if is_batch and array.ndim != 2:
        raise ValueError(f"{name} must have a row for each sample, got shape {array.shape}")
    return array


def as_one_hot(targets, shape):
    """Return the targets as floats, or raise ValueError unless they are one-hot rows of (N, C)."""
    y = np.asarray(targets, dtype=float)
    is_batch = len(shape) == 2 and y.shape == shape and len(y) > 0  # like the predictions
    if not is_batch or np.count_nonzero(y) != len(y) or (y.max(axis=1) != 1).any():
        got = f"{shape} for predictions and {y.shape} for targets"
        raise ValueError(f"targets must be one-hot rows, got {got}; see np.eye(C)[labels]")
    return y


if __name__ == "__main__":
    raise SystemExit("modules.py is no script: run train_mlp_numpy.py, or gradient_check.py")
