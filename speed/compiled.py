"""Part III: the training loop of train_mlp_numpy.py, compiled with Numba.

`train(..., backend="numba")` uses it. It teaches nothing that modules.py does not say better: the
same formulas as loops over rows and units, for any number of layers. So before it is used, it is
compared with the layers as they are.

All arrays are flat: then one compiled function serves every network. A weight lies in memory as
`matrix`, of shape (p, q). That is W, or W.T where rows of W would be too short for a processor that
takes several numbers at a time, as in the last layer of most networks. So every product of a layer
is one of three, between a `narrow` array, of shape (n, p), and a `wide` one, of shape (n, q):

    matrix = W:    forward by expand,    backward by contract
    matrix = W.T:  forward by contract,  backward by expand

and `descend` subtracts the gradient. Large products are left to BLAS.
"""

import importlib
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from mlp_numpy import MLP
from modules import Linear, ReLU, SoftMax

try:
    from numba import njit, types

    importlib.import_module("scipy.linalg.cython_blas")  # what xxgemm calls, unchecked
except (ImportError, OSError) as error:  # OSError: it is there, but not all of it
    raise ImportError(
        f"backend 'numba' needs Numba ({error}): pip install -r requirements-extra.txt, "
        "or choose backend 'numpy'"
    ) from error

BLOCK = 128  # rows that go through the network together: few enough to stay in the cache
BLAS_FROM = 16  # rows and units, all: for less, the call costs more than it gains

# Sums may be reordered, but NaN and infinity keep their meaning: they tell that training diverged.
# _nrt=False, undocumented but there from Numba 0.61 to 0.68 at least, leaves out the reference
# counts of views, which would double the time of an update at batch size 1. In return, these
# functions can neither make nor return an array.
OPTIONS = {
    "cache": True,
    "error_model": "numpy",
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
    "_nrt": False,
}
try:
    njit(cache=True)(lambda: None)
except RuntimeError:  # no folder for the cache can be written: compile at every start
    OPTIONS["cache"] = False


def compile_epoch(plain, model, data, batch_size, learning_rate):
    """Return a compiled `plain(model, data, batch_size, learning_rate, order)`, of `order` alone.

    `plain` is train_mlp_numpy.train_epoch. Each call reads the parameters from the model's layers
    and assigns new arrays in the end; their gradients stay as they are. It returns a number that is
    finite as long as the loss of the last batch is.

    Raises:
        ValueError: for a model that is no MLP of Linear, ReLU, ..., Linear, SoftMax, when the
            compiled loop and `plain` differ, or when there is no compiling.
    """
    check_equal(plain)
    return unchecked_epoch(model, data, batch_size, learning_rate)


def check_equal(plain):
    """Raise ValueError unless compiled and `plain` training come to the same parameters.

    Both take a few updates of a small network, made of modules.py and mlp_numpy.py as they are. It
    is large enough for BLAS, its batches for two blocks, and its last batch is short.
    """
    rng = np.random.RandomState(0)
    x, targets = rng.normal(0, 1, (140, 17)), np.eye(3)[rng.randint(3, size=140)]
    x[0] = 0  # without a bias, every unit is at the kink of its ReLU
    data, order = SimpleNamespace(x_train=x, y_train=targets), rng.permutation(140)
    models = MLP(17, [20, 18], 3), MLP(17, [20, 18], 3)
    check_model(models[0])
    layers = list(zip(models[0].linear_layers, models[1].linear_layers, strict=True))
    for pair in layers:  # from weights of our own: those of modules.py may be anything
        weight = rng.normal(0, 0.3, pair[0].params["weight"].shape)
        for linear in pair:
            linear.params = {"weight": weight.copy(), "bias": np.zeros(weight.shape[1])}
    load(lambda: unchecked_epoch(models[1], data, 140, 0.1)(order[:0]))
    for batch_size in (140, 40):
        plain(models[0], data, batch_size, 0.1, order)
        unchecked_epoch(models[1], data, batch_size, 0.1)(order)
        for i, (expected, linear) in enumerate(layers):
            for name, param in linear.params.items():
                if not np.allclose(param, expected.params[name], rtol=1e-9, atol=1e-9):
                    raise ValueError(
                        "the compiled loop and the layers of modules.py give different results, "
                        f"first in the {name} of Linear layer {i}, as after a change of modules.py "
                        "or with NUMBA_DISABLE_JIT; choose backend 'numpy'"
                    )


def load(run):
    """Have Numba compile what `run` calls, or load it from its cache: anew if that is damaged."""
    try:
        run()
    except Exception as error:  # a damaged file can raise anything
        folder = run_updates.stats.cache_path
        try:
            for path in Path(folder).glob("compiled.*.nb[ic]"):
                path.unlink(missing_ok=True)
            run()
        except Exception:
            raise ValueError(
                f"Numba fails with {type(error).__name__}: {str(error).partition(chr(10))[0]}; "
                f"remove its cache, {folder}, or set NUMBA_CACHE_DIR to another folder, "
                "or choose backend 'numpy'"
            ) from error


def unchecked_epoch(model, data, batch_size, learning_rate):
    """Return what `compile_epoch` returns."""
    check_model(model)
    x = np.require(data.x_train, float, ["C", "A", "W"])  # the one kind that is compiled for
    labels = data.y_train.argmax(axis=1)
    inputs = [len(linear.params["weight"]) for linear in model.linear_layers[1:]]
    kinds = [*map(type, model.layers)]
    sizes = np.array([x.shape[1], *inputs, data.y_train.shape[1]])
    params = aligned(sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes)))
    slots, end = [], 0
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        begin, end = end, end + (n_in + 1) * n_out
        weight, bias = np.split(params[begin:end], [n_in * n_out])
        wide = is_wide(n_in, n_out)
        weight = weight.reshape(n_in, n_out) if wide else weight.reshape(n_out, n_in).T
        slots.append((i, "weight", weight))
        slots.append((i, "bias", bias))
    outputs = aligned(BLOCK * sizes.sum())
    gradients = aligned(2 * BLOCK * sizes[1:].max())
    updated = aligned(len(params))
    numbers = int(batch_size), float(learning_rate)
    work = params, sizes, x, labels, *numbers, outputs, gradients, updated

    def run_epoch(order):
        if [*map(type, model.layers)] != kinds:
            raise ValueError("the layers have changed since training began; choose backend 'numpy'")
        linear_layers = model.linear_layers
        for i, name, view in slots:
            param = linear_layers[i].params[name]
            if np.shape(param) != view.shape:
                raise ValueError(f"{name} must have shape {view.shape}, got {np.shape(param)}")
            view[...] = param
        total = run_updates(order, *work)
        for i, name, view in slots:
            linear_layers[i].params[name] = view.copy()
        return total

    return run_epoch


def check_model(model):
    """Raise ValueError unless the model is as it is compiled."""
    layers = getattr(model, "layers", [])
    kinds = [type(layer) for layer in layers]
    params = [layer.params for layer in layers if isinstance(layer, Linear)]
    parts = [*layers, *params]
    is_plain = (
        type(model) is MLP
        and kinds == [Linear, ReLU] * (len(kinds) // 2 - 1) + [Linear, SoftMax]
        and len({*map(id, parts)}) == len(parts)
        and not any({"forward", "backward", "update"} & {*vars(part)} for part in (model, *layers))
    )
    if not is_plain:
        names = ", ".join(kind.__name__ for kind in kinds) or "no layers"
        raise ValueError(
            "backend 'numba' trains an MLP of Linear, ReLU, ..., Linear, SoftMax, each once, with "
            "params of its own and the methods of its class, "
            f"got {type(model).__name__} of {names}; "
            "choose backend 'numpy'"
        )


def aligned(length):
    """Return an empty array that begins with a line of the cache, 64 bytes: a tenth faster."""
    room = np.empty(length + 8)
    begin = -room.ctypes.data % 64 // 8
    return room[begin : begin + length]


@njit(**OPTIONS)
def run_updates(
    order, params, sizes, x, labels, batch_size, learning_rate, outputs, gradients, updated
):
    """Update `params` on the rows of x in this order; return a number that tells of divergence.

    It is the sum of the denominators of the softmax in the rows of the last batch. Each of them is
    from 1 to the number of classes, or NaN where the probabilities are. So the sum is finite as
    long as the loss is, and takes no logarithm.

    `params` has the matrix and the bias of every layer, one behind the other, and `sizes` the
    units, from the inputs to the classes. The last three are room for what is computed: the inputs
    and the outputs of all layers, of a block; the gradients of two layers; the parameters.
    """
    total = 0.0
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        rate, total = learning_rate / len(batch), 0.0
        one_block = len(batch) <= BLOCK
        target = params if one_block else updated
        if not one_block:  # all blocks of a batch see the same parameters
            for k in range(len(params)):
                updated[k] = params[k]
        for first in range(0, len(batch), BLOCK):
            rows = batch[first : first + BLOCK]
            total += descend_block(params, target, sizes, x, labels, rows, rate, outputs, gradients)
        if not one_block:
            for k in range(len(params)):
                params[k] = updated[k]
    return total


@njit(forceinline=True, **OPTIONS)
def descend_block(params, updated, sizes, x, labels, rows, rate, outputs, gradients):
    """Subtract from `updated` the gradients of these rows, times `rate`.

    The gradients carry that factor from the logits on and are subtracted as they come. Returns
    the sum of the denominators of the softmax, which is finite as long as the loss is.
    """
    n, n_layers, n_classes = len(rows), len(sizes) - 1, sizes[-1]
    for r in range(n):
        for i in range(sizes[0]):
            outputs[r * sizes[0] + i] = x[rows[r], i]
    param, out = 0, 0
    for layer in range(n_layers):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        forward_layer(params[param:], outputs[out:], n, n_in, n_out, layer == n_layers - 1)
        param += (n_in + 1) * n_out
        out += n * n_in
    sums, dout, dx = 0.0, gradients[: len(gradients) // 2], gradients[len(gradients) // 2 :]
    for r in range(n):
        logits, dlogits = outputs[out + r * n_classes :], dout[r * n_classes :]
        largest, total = logits[0], 0.0
        for k in range(1, n_classes):
            largest = max(largest, logits[k])
        for k in range(n_classes):
            dlogits[k] = np.exp(logits[k] - largest)
            total += dlogits[k]
        for k in range(n_classes):
            dlogits[k] = rate * (dlogits[k] / total - (labels[rows[r]] == k))
        sums += total
    for layer in range(n_layers - 1, -1, -1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        param -= (n_in + 1) * n_out
        out -= n * n_in
        x_in = outputs[out:]
        backward_layer(params[param:], updated[param:], x_in, dout, dx, n, n_in, n_out, layer > 0)
        dout, dx = dx, dout
    return sums


@njit(**OPTIONS)
def forward_layer(params, x, n, n_in, n_out, is_last):
    """Set what follows x to x @ W + b, or to max(0, x @ W + b) unless the layer is the last."""
    out, bias = x[n * n_in :], params[n_in * n_out :]
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
def backward_layer(params, updated, x, dout, dx, n, n_in, n_out, has_dx):
    """Set dx, the gradient in front of the ReLU that made x, if there is one; descend."""
    if has_dx:
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
