"""Part III: the training loop of train_mlp_numpy.py, compiled with Numba: for speed, no more.

`train(..., backend="numba")` uses it. It teaches nothing that modules.py does not say better: the
same formulas as loops over rows and units, for any number of layers. A test proves that both come
to the same parameters. A layer that is changed in modules.py is not changed here.

All arrays are flat, since then one compiled kernel serves every network. A weight lies in memory
as `matrix`, of shape (p, q): as W, or as W.T where its own rows are too short for a processor that
takes several numbers at a time, as in the last layer of most networks. That makes every product of
a layer one of three, between a `narrow` array, of shape (n, p), and a `wide` one, of shape (n, q),
for n rows:

    matrix = W:    forward by expand,    backward by contract
    matrix = W.T:  forward by contract,  backward by expand

and `descend` subtracts the gradient. Large products are left to BLAS.
"""

import importlib
from itertools import pairwise

import numpy as np

from mlp_numpy import MLP
from modules import Linear, ReLU, SoftMax, check_same_shape

try:
    from numba import njit, types

    importlib.import_module("scipy.linalg.cython_blas")  # what xxgemm calls, unchecked
except ImportError as error:
    raise ImportError(
        f"backend 'numba' needs Numba ({error}): pip install numba, or choose backend 'numpy'"
    ) from error

BLOCK = 128  # rows that go through the network together: few enough to stay in the cache
BLAS_FROM = 16  # rows and units, all: for less, the call costs more than it gains
WORK_PER_CALL = 50_000_000  # parameters times rows, but one batch at least: under 0.1 s, mostly

# Sums may be reordered, but NaN and infinity keep their meaning: they tell that training diverged.
# _nrt=False, undocumented but there from Numba 0.61 to 0.68 at least, leaves out the reference
# counts of views, which would double the time of a step at batch size 1. In return, these functions
# can neither make nor return an array.
OPTIONS = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    "_nrt": False,
}

# The product of matrices of SciPy's BLAS. Unlike np.dot, it adds to what is there, so that neither
# a bias nor an update takes a pass of its own. Numba keeps it for itself, from 0.61 to 0.68 at
# least.
xxgemm = types.ExternalFunction(
    "numba_xxgemm",
    types.intc(
        *(3 * [types.char]),
        *(3 * [types.intp]),
        *(types.voidptr, types.voidptr, types.intp, types.voidptr, types.intp),
        *(types.voidptr, types.voidptr, types.intp),
    ),
)
ONE, MINUS_ONE = np.array([1.0]), np.array([-1.0])
DOUBLE, PLAIN, TRANSPOSED = map(ord, "dnt")


@njit(**OPTIONS)
def gemm(trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, c):
    """Add alpha op(A) op(B) to C, of shape (m, n); all lie column by column, as in Fortran."""
    xxgemm(
        *(DOUBLE, trans_a, trans_b, m, n, k),
        *(alpha.ctypes, a.ctypes, lda, b.ctypes, ldb, ONE.ctypes, c.ctypes, m),
    )


@njit(**OPTIONS)
def is_wide(n_in, n_out):
    """Return whether the matrix of a layer is W; otherwise it is W.T."""
    return n_in <= n_out or n_out >= BLAS_FROM


@njit(**OPTIONS)
def expand(narrow, matrix, wide, n, p, q):
    """Add narrow @ matrix to wide."""
    if min(n, p, q) >= BLAS_FROM:
        gemm(PLAIN, PLAIN, q, n, p, ONE, matrix, q, narrow, p, wide)
        return
    for r in range(n):
        for i in range(p):
            factor = narrow[r * p + i]
            for j in range(q):
                wide[r * q + j] += factor * matrix[i * q + j]


@njit(**OPTIONS)
def contract(narrow, matrix, wide, n, p, q):
    """Add wide @ matrix.T to narrow."""
    if min(n, p, q) >= BLAS_FROM:
        gemm(TRANSPOSED, PLAIN, p, n, q, ONE, matrix, q, wide, q, narrow)
        return
    for r in range(n):
        for i in range(p):
            total = 0.0
            for j in range(q):
                total += wide[r * q + j] * matrix[i * q + j]
            narrow[r * p + i] += total


@njit(**OPTIONS)
def descend(narrow, matrix, wide, n, p, q):
    """Subtract narrow.T @ wide from the matrix."""
    if min(n, p, q) >= BLAS_FROM:
        gemm(PLAIN, TRANSPOSED, q, p, n, MINUS_ONE, wide, q, narrow, p, matrix)
        return
    for r in range(n):
        for i in range(p):
            factor = narrow[r * p + i]
            for j in range(q):
                matrix[i * q + j] -= factor * wide[r * q + j]


@njit(**OPTIONS)
def forward_layer(params, x, out, n, n_in, n_out, is_last):
    """Set out = x @ W + b, or max(0, x @ W + b) unless the layer is the last."""
    bias = params[n_in * n_out :]
    for r in range(n):
        for j in range(n_out):
            out[r * n_out + j] = bias[j]
    if is_wide(n_in, n_out):
        expand(x, params, out, n, n_in, n_out)
    else:
        contract(out, params, x, n, n_out, n_in)
    if not is_last:
        for k in range(n * n_out):
            out[k] = 0.0 if out[k] <= 0.0 else out[k]  # NaN stays NaN


@njit(**OPTIONS)
def backward_layer(params, updated, x, dout, dx, n, n_in, n_out, is_first):
    """Set dx, the gradient in front of the ReLU that made x, unless there is none; descend."""
    if not is_first:
        dx[: n * n_in] = 0.0
        if is_wide(n_in, n_out):
            contract(dx, params, dout, n, n_in, n_out)
        else:
            expand(dout, params, dx, n, n_out, n_in)
        for k in range(n * n_in):
            dx[k] = dx[k] if x[k] > 0.0 else 0.0
    bias = updated[n_in * n_out :]
    if is_wide(n_in, n_out):
        descend(x, updated, dout, n, n_in, n_out)
        for r in range(n):
            for j in range(n_out):
                bias[j] -= dout[r * n_out + j]
    else:
        descend(dout, updated, x, n, n_out, n_in)
        for j in range(n_out):  # so few that each sum stays in a register
            total = 0.0
            for r in range(n):
                total += dout[r * n_out + j]
            bias[j] -= total


@njit(forceinline=True, **OPTIONS)
def soft_max(row, n_classes):
    """Turn a row of logits into probabilities; return a number that is NaN when they are."""
    largest = row[0]
    for k in range(1, n_classes):
        largest = max(largest, row[k])
    total = 0.0
    for k in range(n_classes):
        row[k] = np.exp(row[k] - largest)
        total += row[k]
    for k in range(n_classes):
        row[k] /= total
    return total


@njit(inline="always", **OPTIONS)  # at batch size 1 the call would take a tenth of the time
def forward(params, sizes, x, rows, outputs):
    """Take these rows of x through the layers; return where in `outputs` the logits begin."""
    n, n_layers = len(rows), len(sizes) - 1
    for r in range(n):
        for i in range(sizes[0]):
            outputs[r * sizes[0] + i] = x[rows[r], i]
    param, out = 0, 0
    for layer in range(n_layers):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        is_last = layer == n_layers - 1
        forward_layer(
            params[param:], outputs[out:], outputs[out + n * n_in :], n, n_in, n_out, is_last
        )
        param += (n_in + 1) * n_out
        out += n * n_in
    return out


@njit(forceinline=True, **OPTIONS)
def descend_block(params, updated, sizes, x, labels, rows, rate, outputs, gradients):
    """Subtract from `updated` the gradients of these rows, times `rate`.

    The gradients carry that factor from the logits on and are subtracted as they come. Returns
    what `soft_max` returns.
    """
    n, n_layers, n_classes = len(rows), len(sizes) - 1, sizes[-1]
    out = forward(params, sizes, x, rows, outputs)
    total = 0.0
    for r in range(n):
        first = r * n_classes
        predictions = outputs[out + first :]
        total += soft_max(predictions, n_classes)
        for k in range(n_classes):
            gradients[first + k] = rate * (predictions[k] - (labels[rows[r]] == k))
    here, there = 0, len(gradients) // 2  # the gradients of two layers take turns
    param = len(params)
    for layer in range(n_layers - 1, -1, -1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        param -= (n_in + 1) * n_out
        out -= n * n_in
        backward_layer(
            params[param:],
            updated[param:],
            outputs[out:],
            gradients[here:],
            gradients[there:],
            n,
            n_in,
            n_out,
            layer == 0,
        )
        here, there = there, here
    return total


@njit(**OPTIONS)
def run_updates(
    params,
    sizes,
    x,
    labels,
    order,
    batch_size,
    learning_rate,
    outputs,
    gradients,
    updated,
):
    """Update `params` on the rows of x in this order, batch by batch.

    Args:
        params: of every layer the matrix and the bias, one behind the other.
        sizes: the units of the layers, from the inputs to the classes.
        x: of shape (N, n_inputs).
        labels: the classes, of shape (N,).
        order: numbers of rows.
        batch_size: how many of them make an update.
        learning_rate: the factor of the gradient.
        outputs: room for the outputs of all layers, and the inputs, of a block.
        gradients: room for those of two layers.
        updated: room for the parameters.

    Returns:
        A number that is NaN when a prediction for the last batch is.
    """
    total = 0.0
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        rate = learning_rate / len(batch)
        if len(batch) <= BLOCK:
            total = descend_block(params, params, sizes, x, labels, batch, rate, outputs, gradients)
            continue
        # All blocks of a batch see the same parameters.
        for k in range(len(params)):
            updated[k] = params[k]
        total = 0.0
        for first in range(0, len(batch), BLOCK):
            rows = batch[first : first + BLOCK]
            total += descend_block(
                params, updated, sizes, x, labels, rows, rate, outputs, gradients
            )
        for k in range(len(params)):
            params[k] = updated[k]
    return total


@njit(**OPTIONS)
def predict(params, sizes, x, rows, outputs, probabilities):
    """Set the probabilities, of shape (N, n_classes), for these rows of x."""
    n_classes = sizes[-1]
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        out = forward(params, sizes, x, block, outputs)
        for r in range(len(block)):
            predictions = outputs[out + r * n_classes :]
            soft_max(predictions, n_classes)
            for k in range(n_classes):
                probabilities[start + r, k] = predictions[k]


class CompiledLoop:
    """What `train_mlp_numpy.train` does in an epoch, and the network's predictions, compiled.

    The parameters stay with the model: each call copies them in, and `run_epoch` puts new arrays
    into every `layer.params`. It leaves `layer.grads` as they are.

    Args:
        model: an MLP of Linear, ReLU, ..., Linear and SoftMax layers.
        data: a train_mlp_numpy.Data of float arrays.
        learning_rate: the factor of the gradient in an update.
        batch_size: the rows of a batch.

    Raises:
        ValueError: for any other model, or shapes that do not fit.
    """

    def __init__(self, model, data, learning_rate, batch_size):
        linears = linear_layers(model)
        check_same_shape(model.forward(data.x_train[:1]), data.y_train[:1])
        self.learning_rate, self.batch_size = learning_rate, batch_size
        self.x, self.labels = plain_array(data.x_train), data.y_train.argmax(axis=1)
        inputs = [linear.params["weight"].shape[0] for linear in linears]
        self.sizes = np.array([*inputs, data.y_train.shape[1]])
        self.params = aligned(sum((n_in + 1) * n_out for n_in, n_out in pairwise(self.sizes)))
        self.views = []  # of them: the weight and the bias of each layer
        begin = 0
        for n_in, n_out in pairwise(self.sizes):
            end = begin + n_in * n_out
            weight = self.params[begin:end]
            if is_wide(n_in, n_out):
                weight = weight.reshape(n_in, n_out)
            else:
                weight = weight.reshape(n_out, n_in).T
            self.views += [weight, self.params[end : end + n_out]]
            begin = end + n_out
        self.model = model
        self._bind(linears)
        self.outputs = aligned(BLOCK * self.sizes.sum())
        self.gradients = aligned(2 * BLOCK * self.sizes[1:].max())
        self.updated = aligned(len(self.params))
        self.rows_per_call = batch_size * max(1, WORK_PER_CALL // (batch_size * len(self.params)))
        self._run_updates(np.arange(0))  # compiles, if need be, before anyone takes the time

    def _bind(self, linears):
        self.layers = list(self.model.layers)
        slots = [(linear, name) for linear in linears for name in ("weight", "bias")]
        self.slots = [(*slot, view) for slot, view in zip(slots, self.views, strict=True)]

    def _run_updates(self, order):
        return run_updates(
            self.params,
            self.sizes,
            self.x,
            self.labels,
            order,
            self.batch_size,
            self.learning_rate,
            self.outputs,
            self.gradients,
            self.updated,
        )

    def run_epoch(self, order):
        """Update the model on the training rows in this order; return NaN if it diverged."""
        self._copy_in()
        try:
            for start in range(0, len(order), self.rows_per_call):  # between calls, Ctrl-C is heard
                total = self._run_updates(order[start : start + self.rows_per_call])
        finally:  # after Ctrl-C, too
            for linear, name, view in self.slots:
                linear.params[name] = view.copy()
        return total

    def forward(self, x):
        """Return the model's probabilities, of shape (N, n_classes), for x of (N, n_inputs)."""
        x = plain_array(x)
        if x.ndim != 2 or x.shape[1] != self.sizes[0]:
            raise ValueError(f"x must have shape (N, {self.sizes[0]}), got {x.shape}")
        self._copy_in()
        probabilities = np.empty((len(x), self.sizes[-1]))
        rows = np.arange(len(x))
        predict(self.params, self.sizes, x, rows, self.outputs, probabilities)
        return probabilities

    def _copy_in(self):
        if self.model.layers != self.layers:  # a callback may do anything
            self._bind(linear_layers(self.model))
        for linear, name, view in self.slots:
            param = linear.params[name]
            if param.shape != view.shape:
                raise ValueError(f"{name} must have shape {view.shape}, got {param.shape}")
            view[...] = param


def linear_layers(model):
    """Return the Linear layers of an MLP, or raise ValueError unless it is as the kernel has it."""
    layers = getattr(model, "layers", [])
    kinds = [type(layer) for layer in layers]
    known = [Linear, ReLU] * (len(kinds) // 2 - 1) + [Linear, SoftMax]
    replaced = [
        name
        for name in ("forward", "backward", "update")
        for part in (model, *layers)
        if name in getattr(part, "__dict__", {})
    ]
    if replaced or len({*map(id, layers)}) < len(layers):
        raise ValueError(
            "backend 'numba' knows no model with "
            + (f"a {replaced[0]} of its own" if replaced else "one layer in two places")
            + "; choose backend 'numpy'"
        )
    if type(model) is not MLP or kinds != known:
        names = ", ".join(kind.__name__ for kind in kinds)
        raise ValueError(
            "backend 'numba' knows no model but the MLP of Linear, ReLU, ..., Linear, SoftMax, "
            f"got {type(model).__name__} of {names or 'no layers'}; choose backend 'numpy'"
        )
    return model.layers[::2]


def plain_array(x):
    """Return x, or a copy, of the one kind that the kernel is compiled for: not read-only, say."""
    return np.require(x, float, ["C", "A", "W"])


def aligned(length):
    """Return an empty array that begins with a line of the cache, 64 bytes: a tenth faster."""
    room = np.empty(length + 8)
    begin = -room.ctypes.data % 64 // 8
    return room[begin : begin + length]
