"""Part II: the layers of a neural network, each with a forward and a hand-written backward pass.

`forward` computes a layer's output and keeps what `backward` needs. `backward` takes `dout`, the
gradient of the loss with respect to that output, and returns the gradient with respect to the
input: the chain rule, one layer at a time. N is the number of rows (samples) in a batch. The
layers know nothing of networks or training; mlp_numpy.py composes them and train_mlp_numpy.py
trains them. gradient_check.py checks every formula below by finite differences.

In every layer a wrong shape is a ValueError, and `backward` before `forward` a RuntimeError.
Arrays are kept as they are, not copied: whoever changes an input or an output in place between
`forward` and `backward` spoils the gradient.
"""

import numpy as np

from common import as_rng, check_whole


def check_dout(layer, output_shape, dout):
    """Return `dout` as an array, or raise: it must have the shape of the last forward's output."""
    if output_shape is None:
        raise RuntimeError(f"{layer}.backward needs what forward keeps: call forward(x) first")
    dout = np.asarray(dout, dtype=float)
    if dout.shape != output_shape:
        raise ValueError(
            f"{layer}.backward: dout must have the output's shape {output_shape}, got {dout.shape}"
        )
    return dout


class Linear:
    """The affine map `out = x @ W + b`.

    Scalar rule: out_j = sum over i of x_i W_ij + b_j. So W_ij reaches the loss through out_j alone
    and dL/dW_ij = x_i dL/dout_j, summed over the rows; dL/db_j = dL/dout_j, summed over the rows;
    and x_i reaches it through every out_j, dL/dx_i = sum over j of W_ij dL/dout_j.

    Args:
        in_features: the length of an input row.
        out_features: the length of an output row.
        rng: a Generator or RandomState, an int seed, or None, for the initial weights.

    Attributes:
        params: `weight` (in_features, out_features), drawn from normal(0, 0.1), and `bias`
            (out_features,), zero at first.
        grads: the gradients of the last `backward`, with the same keys and shapes.
    """

    def __init__(self, in_features, out_features, rng=None):
        check_whole("in_features", in_features)
        check_whole("out_features", out_features)
        weight = as_rng(rng).normal(0, 0.1, (in_features, out_features))
        self.params = {"weight": weight, "bias": np.zeros(out_features)}
        self.grads = {name: np.zeros_like(param) for name, param in self.params.items()}
        self.x = None

    # `a.dot(b)` is `a @ b` with half the overhead of a call, most of its time on small batches.

    def forward(self, x):
        """Return x @ W + b, of shape (N, out_features), for x of shape (N, in_features)."""
        x = np.asarray(x, dtype=float)
        weight, bias = self.params["weight"], self.params["bias"]
        if x.ndim != 2 or x.shape[1] != weight.shape[0]:
            raise ValueError(f"Linear.forward: x must be (N, {weight.shape[0]}), got {x.shape}")
        self.x = x
        out = x.dot(weight)
        out += bias
        return out

    def backward(self, dout, input_gradient=True):
        """Set `grads` from dout, of shape (N, out_features); return dL/dx, (N, in_features).

        With `input_gradient=False` dL/dx is neither computed nor returned: nothing comes before
        the first layer of a network that could use it.
        """
        x, weight = self.x, self.params["weight"]
        dout = check_dout("Linear", None if x is None else (x.shape[0], weight.shape[1]), dout)
        self.grads["weight"] = x.T.dot(dout)
        self.grads["bias"] = dout.sum(axis=0)
        return dout.dot(weight.T) if input_gradient else None


class ReLU:
    """The rectifier `out = max(0, x)`, element by element.

    Its derivative is 1 where x > 0 and 0 where x < 0. At 0 there is none; we take 0, as is usual.
    """

    def __init__(self):
        self.x = None

    def forward(self, x):
        """Return max(0, x), of the shape of x."""
        self.x = np.asarray(x, dtype=float)
        return np.maximum(self.x, 0.0)

    def backward(self, dout):
        """Return dL/dx = dout * (x > 0), of the shape of x."""
        dout = check_dout("ReLU", None if self.x is None else self.x.shape, dout)
        return dout * (self.x > 0.0).astype(float)  # NumPy is slow at mixing floats and bools


class SoftMax:
    """Logits to probabilities, row by row: `s_j = exp(x_j) / sum over k of exp(x_k)`.

    Subtracting a row's maximum from it cancels in the fraction and keeps exp from overflowing.

    Scalar rule: ds_j/dx_i = s_j ((i == j) - s_i). Hence dL/dx_i = sum over j of dout_j ds_j/dx_i
    = s_i (dout_i - sum over j of dout_j s_j).
    """

    def __init__(self):
        self.out = None

    def forward(self, x):
        """Return the probabilities, of shape (N, C), for logits of shape (N, C)."""
        x = np.asarray(x, dtype=float)
        if x.ndim != 2:
            raise ValueError(f"SoftMax.forward: x must have shape (N, C), got {x.shape}")
        # Transposed, maxima and sums over the few classes run along the many samples: on a full
        # batch of 800 that is four times as fast.
        out = x.T.copy()
        out -= out.max(axis=0)
        np.exp(out, out=out)
        out /= out.sum(axis=0)
        out = np.ascontiguousarray(out.T)
        self.out = out
        return out

    def backward(self, dout):
        """Return dL/dx = s * (dout - sum(dout * s)), of shape (N, C).

        This is the true derivative. A network whose gradient comes from `CrossEntropy.backward`
        must not call it, since that gradient has passed the softmax already.
        """
        dout = check_dout("SoftMax", None if self.out is None else self.out.shape, dout)
        return self.out * (dout - (dout * self.out).sum(axis=1, keepdims=True))


class CrossEntropy:
    """The mean cross-entropy `L = -(1/N) sum of y log p` of probabilities p and one-hot targets y.

    Its `backward` differentiates through the softmax that made p. With p = softmax(z) and target
    class t, L = -log p_t = log(sum over k of exp(z_k)) - z_t for one row, so dL/dz_j =
    p_j - (j == t): the gradient with respect to the logits is (p - y) / N. The two are taken
    together because 1/p_t in the derivative of the logarithm cancels against the softmax's p_t;
    taken apart, a p_t of 0 would divide by zero. Hence the contract: begin the backward pass with
    this gradient at the last Linear layer and leave out `SoftMax.backward`.

    The division by N happens here and nowhere else.
    """

    def __init__(self):
        self.predictions = None
        self.targets = None

    def forward(self, predictions, targets):
        """Return the loss, a float in nats.

        Args:
            predictions: probabilities, of shape (N, C); clipped to at least 1e-15 for the log.
            targets: one-hot rows, of shape (N, C).

        Raises:
            ValueError: for unequal shapes, no rows, or targets that are not one-hot.
        """
        predictions = np.asarray(predictions, dtype=float)
        targets = check_one_hot("targets", targets)
        check_same_shape(predictions, targets)
        self.predictions, self.targets = predictions, targets
        # The minus stands inside, where a loss of 0 does not become -0.0.
        return float(np.sum(targets * -np.log(np.maximum(predictions, 1e-15)))) / len(targets)

    def backward(self, predictions=None, targets=None):
        """Return (p - y) / N, the gradient with respect to the logits, of shape (N, C).

        Without arguments it is that of the last `forward`. Training passes them instead: it needs
        the gradient on every batch but the loss itself only now and then.
        """
        if predictions is None:
            predictions, targets = self.predictions, self.targets
        if predictions is None or targets is None:
            raise RuntimeError(
                "CrossEntropy.backward needs what forward keeps: "
                "call forward(predictions, targets) first, or pass both here"
            )
        check_same_shape(predictions, targets)
        dlogits = predictions - targets
        dlogits /= len(predictions)
        return dlogits


def check_same_shape(predictions, targets):
    """Raise ValueError unless both arrays have the same shape (N, C)."""
    if predictions.shape != targets.shape or predictions.ndim != 2:
        raise ValueError(
            "predictions and targets must have the same shape (N, C), "
            f"got {predictions.shape} and {targets.shape}"
        )


def check_one_hot(name, targets):
    """Return `targets` as a float array, or raise ValueError unless its rows are one-hot."""
    targets = np.asarray(targets, dtype=float)
    if targets.ndim != 2 or len(targets) == 0:
        raise ValueError(f"{name} must have shape (N, C) with N > 0, got {targets.shape}")
    is_one_hot = ((targets == 0) | (targets == 1)).all(axis=1) & (targets.sum(axis=1) == 1)
    if not is_one_hot.all():
        row = int(np.argmin(is_one_hot))
        raise ValueError(
            f"{name} must be one-hot, a single 1 in each row, got {targets[row]} in row {row}; "
            "np.eye(C)[labels] makes them from class numbers"
        )
    return targets
