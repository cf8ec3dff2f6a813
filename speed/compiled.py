"""Part III: the loop of train_mlp_numpy.py, compiled: what `train(..., backend="numba")` runs.

Numba turns the functions of the first half into machine code. They have the formulas of modules.py,
as loops over rows and units, and check nothing. Before they train, check_equal compares them with
the layers. Not here: what they need of Numba, and what to do where it is missing (any_numba.py).

Every array is flat: row behind row, and layer behind layer. So one compiled function serves every
network. For 2 inputs, 20 hidden units, 3 classes and a batch of n rows:

    params      | W_0: 2 x 20         b_0: 20 | W_1.T: 3 x 20      b_1: 3 |
                ^ params[param:] of layer 0   ^ params[param:] of layer 1

    outputs     | x: n x 2 | hidden: n x 20 | logits: n x 3 |
                ^ x        ^ out, of layer 0
                           ^ x              ^ out, of layer 1

    gradients   | dout, of the widest layer at most | dx, the same |

The matrix of a layer lies there as W, or as W.T where the rows of W would be short (has_long_rows).
In every product, the innermost loop runs along a row of the matrix, and a processor takes several
numbers of it at once. So three products do all the work of a Linear layer:

                                   the matrix is W            the matrix is W.T
    add_product             +=     forward    x @ W           backward   dout @ W.T
    add_product_transposed  +=     backward   dout @ W.T      forward    x @ W
    subtract_gradient       -=     update     x.T @ dout      update     dout.T @ x
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np

from mlp_numpy import MLP
from modules import Linear, ReLU, SoftMax
from speed.any_numba import (
    HAS_GEMM,
    MINUS_ONE,
    ONE,
    PLAIN,
    TRANSPOSED,
    compiled,
    gemm,
    inlined,
    load,
)

BLOCK = 128  # rows that go through the network together: few enough to stay in the cache
BLAS_FROM = 16  # rows and units, all: for less, the call of BLAS costs more than it gains
LONG_ROW = 16  # units


@compiled
def run_updates(
    order, batch_size, learning_rate, x, labels, sizes, params, updated, outputs, gradients
):
    """Train for an epoch, as train_epoch does: update `params` for each batch of this order.

    Returns a number that is finite as long as the loss of the last batch is: see softmax.

    `sizes` are the numbers of units, from the inputs to the classes. `updated`, `outputs` and
    `gradients` are room for what is computed.
    """
    total = 0.0
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        rate = learning_rate / len(batch)
        is_one_block = len(batch) <= BLOCK
        target = params
        if not is_one_block:  # all blocks of a batch are to see the same parameters
            copy(params, updated)
            target = updated
        total = 0.0
        for first in range(0, len(batch), BLOCK):
            rows = batch[first : first + BLOCK]
            gather(x, rows, outputs)
            logits = forward(params, sizes, len(rows), outputs)
            total += softmax(outputs[logits:], labels, rows, rate, sizes[-1], gradients)
            backward(params, target, sizes, len(rows), outputs, logits, gradients)
        if not is_one_block:
            copy(updated, params)
    return total


@inlined
def copy(source, target):
    """target = source."""
    for k in range(len(source)):
        target[k] = source[k]


@inlined
def gather(x, rows, outputs):
    """Put these rows of x in front of the outputs."""
    n_features = x.shape[1]
    for r in range(len(rows)):
        for i in range(n_features):
            outputs[r * n_features + i] = x[rows[r], i]


@inlined
def forward(params, sizes, n, outputs):
    """Compute the outputs of all layers for n rows; return where the logits begin."""
    n_layers = len(sizes) - 1
    param = 0
    x = 0
    for layer in range(n_layers):
        n_in = sizes[layer]
        n_out = sizes[layer + 1]
        out = x + n * n_in
        linear_forward(params[param:], outputs[x:], outputs[out:], n, n_in, n_out)
        if layer < n_layers - 1:
            relu_forward(outputs[out:], n * n_out)
        param += n_in * n_out + n_out
        x = out
    return x


@inlined
def softmax(logits, labels, rows, rate, n_classes, dlogits):
    """Set dlogits to rate * (p - y), where p is the softmax of the logits.

    This is CrossEntropy.backward, where the rate is 1 / N. Here it is learning_rate / N, and it
    stays in all gradients from here on. So they can be subtracted from the parameters as they are.

    Returns the sum of all denominators of the softmax. Each is from 1 to the number of classes, or
    NaN where the probabilities are. So it is finite as long as the loss is, without a logarithm.
    """
    sum_of_all = 0.0
    for r in range(len(rows)):
        row = r * n_classes
        largest = logits[row]
        for k in range(1, n_classes):
            largest = max(largest, logits[row + k])
        denominator = 0.0
        for k in range(n_classes):
            power = np.exp(logits[row + k] - largest)
            dlogits[row + k] = power
            denominator += power
        for k in range(n_classes):
            p = dlogits[row + k] / denominator
            y = labels[rows[r]] == k
            dlogits[row + k] = rate * (p - y)
        sum_of_all += denominator
    return sum_of_all


@inlined
def backward(params, updated, sizes, n, outputs, logits, gradients):
    """Take the gradient back through all layers, and subtract from `updated` those of params."""
    half = len(gradients) // 2
    dout = gradients[:half]
    dx = gradients[half:]
    param = len(params)
    out = logits
    for layer in range(len(sizes) - 2, -1, -1):
        n_in = sizes[layer]
        n_out = sizes[layer + 1]
        param -= n_in * n_out + n_out
        x = out - n * n_in
        if layer > 0:
            linear_backward(params[param:], dout, dx, n, n_in, n_out)
            relu_backward(outputs[x:], dx, n * n_in)
        linear_update(updated[param:], outputs[x:], dout, n, n_in, n_out)
        dout, dx = dx, dout
        out = x


@compiled
def linear_forward(params, x, out, n, n_in, n_out):
    """out = x @ W + b, for n rows."""
    bias = params[n_in * n_out :]
    for r in range(n):
        for j in range(n_out):
            out[r * n_out + j] = bias[j]
    if has_long_rows(n_in, n_out):
        add_product(x, params, out, n, n_in, n_out)
    else:
        add_product_transposed(x, params, out, n, n_out, n_in)


@compiled
def linear_backward(params, dout, dx, n, n_in, n_out):
    """dx = dout @ W.T, for n rows."""
    dx[: n * n_in] = 0.0
    if has_long_rows(n_in, n_out):
        add_product_transposed(dout, params, dx, n, n_in, n_out)
    else:
        add_product(dout, params, dx, n, n_out, n_in)


@compiled
def linear_update(params, x, dout, n, n_in, n_out):
    """W -= x.T @ dout and b -= dout.sum(axis=0): the rate is in dout."""
    bias = params[n_in * n_out :]
    if has_long_rows(n_in, n_out):
        subtract_gradient(x, dout, params, n, n_in, n_out)
        for r in range(n):
            for j in range(n_out):
                bias[j] -= dout[r * n_out + j]
    else:
        subtract_gradient(dout, x, params, n, n_out, n_in)
        for j in range(n_out):  # so few that each sum stays in a register
            total = 0.0
            for r in range(n):
                total += dout[r * n_out + j]
            bias[j] -= total


@inlined
def relu_forward(out, length):
    """out = max(0, out); NaN stays NaN."""
    for k in range(length):
        out[k] = 0.0 if out[k] <= 0.0 else out[k]


@inlined
def relu_backward(x, dx, length):
    """dx = 0 where x, which the ReLU made, is 0."""
    for k in range(length):
        dx[k] = dx[k] if x[k] > 0.0 else 0.0


@compiled
def has_long_rows(n_in, n_out):
    """Return whether W lies in memory as it is; otherwise W.T does."""
    return n_in <= n_out or n_out >= LONG_ROW


# The three products: the matrix is of shape (p, q).


@compiled
def add_product(a, matrix, out, n, p, q):
    """out += a @ matrix. a: (n, p), out: (n, q)."""
    if is_for_blas(n, p, q):
        gemm(ONE, a, PLAIN, matrix, PLAIN, out, n, p, q)
        return
    for r in range(n):
        for i in range(p):
            factor = a[r * p + i]
            for j in range(q):
                out[r * q + j] += factor * matrix[i * q + j]


@compiled
def add_product_transposed(a, matrix, out, n, p, q):
    """out += a @ matrix.T. a: (n, q), out: (n, p)."""
    if is_for_blas(n, p, q):
        gemm(ONE, a, PLAIN, matrix, TRANSPOSED, out, n, q, p)
        return
    for r in range(n):
        for i in range(p):
            total = 0.0
            for j in range(q):
                total += a[r * q + j] * matrix[i * q + j]
            out[r * p + i] += total


@compiled
def subtract_gradient(a, b, matrix, n, p, q):
    """matrix -= a.T @ b. a: (n, p), b: (n, q)."""
    if is_for_blas(n, p, q):
        gemm(MINUS_ONE, a, TRANSPOSED, b, PLAIN, matrix, p, n, q)
        return
    for r in range(n):
        for i in range(p):
            factor = a[r * p + i]
            for j in range(q):
                matrix[i * q + j] -= factor * b[r * q + j]


@compiled
def is_for_blas(n, p, q):
    """Return whether a product of this size is left to BLAS."""
    return HAS_GEMM and min(n, p, q) >= BLAS_FROM


# Below is what calls the compiled loop, in Python.


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


def unchecked_epoch(model, data, batch_size, learning_rate):
    """Return what `compile_epoch` returns."""
    check_model(model)
    kinds = [type(layer) for layer in model.layers]
    x = np.require(data.x_train, float, ["C", "A", "W"])  # the one kind that is compiled for
    labels = data.y_train.argmax(axis=1)
    sizes = sizes_of(model, data)
    params = aligned(n_params(sizes))
    views = views_of(params, sizes)
    updated = aligned(len(params))
    outputs = aligned(BLOCK * sizes.sum())
    gradients = aligned(2 * BLOCK * sizes[1:].max())
    settings = int(batch_size), float(learning_rate)

    def run_epoch(order):
        if [type(layer) for layer in model.layers] != kinds:
            raise ValueError("the layers have changed since training began; choose backend 'numpy'")
        read_params(model, views)
        total = run_updates(order, *settings, x, labels, sizes, params, updated, outputs, gradients)
        write_params(model, views)
        return total

    return run_epoch


def sizes_of(model, data):
    """Return the numbers of units, from the inputs to the classes."""
    n_features = data.x_train.shape[1]
    n_classes = data.y_train.shape[1]
    n_hidden = [len(linear.params["weight"]) for linear in model.linear_layers[1:]]
    return np.array([n_features, *n_hidden, n_classes])


def n_params(sizes):
    """Return the number of parameters of a network."""
    return sum(n_in * n_out + n_out for n_in, n_out in pairwise(sizes))


def views_of(params, sizes):
    """Return, for each layer, the parts of `params` that are its weight and its bias."""
    views = []
    begin = 0
    for n_in, n_out in pairwise(sizes):
        matrix = params[begin : begin + n_in * n_out]
        if has_long_rows(n_in, n_out):
            weight = matrix.reshape(n_in, n_out)
        else:
            weight = matrix.reshape(n_out, n_in).T
        begin += n_in * n_out
        bias = params[begin : begin + n_out]
        begin += n_out
        views.append({"weight": weight, "bias": bias})
    return views


def read_params(model, views):
    """Copy the parameters of the model into the views."""
    for linear, views_of_layer in zip(model.linear_layers, views, strict=True):
        for name, view in views_of_layer.items():
            param = linear.params[name]
            if np.shape(param) != view.shape:
                raise ValueError(f"{name} must have shape {view.shape}, got {np.shape(param)}")
            view[...] = param


def write_params(model, views):
    """Give the model new arrays with what is in the views."""
    for linear, views_of_layer in zip(model.linear_layers, views, strict=True):
        for name, view in views_of_layer.items():
            linear.params[name] = view.copy()


def aligned(length):
    """Return an empty array that begins with a line of the cache, 64 bytes: a tenth faster."""
    room = np.empty(length + 8)
    begin = -room.ctypes.data % 64 // 8
    return room[begin : begin + length]


def check_model(model):
    """Raise ValueError unless the model is as it is compiled."""
    layers = getattr(model, "layers", [])
    kinds = [type(layer) for layer in layers]
    n_hidden = len(kinds) // 2 - 1
    is_plain = (
        type(model) is MLP
        and kinds == [Linear, ReLU] * n_hidden + [Linear, SoftMax]
        and not is_shared(layers)
        and not any(has_own_method(part) for part in [model, *layers])
    )
    if not is_plain:
        names = ", ".join(kind.__name__ for kind in kinds) or "no layers"
        raise ValueError(
            "backend 'numba' trains an MLP of Linear, ReLU, ..., Linear, SoftMax, each once, with "
            "params of its own and the methods of its class, "
            f"got {type(model).__name__} of {names}; "
            "choose backend 'numpy'"
        )


def is_shared(layers):
    """Return whether a layer, or the params of one, are there twice."""
    parts = list(layers)
    for layer in layers:
        if isinstance(layer, Linear):
            parts.append(layer.params)
    return len({id(part) for part in parts}) < len(parts)


def has_own_method(part):
    """Return whether this layer or model has a method that is not that of its class."""
    return any(name in vars(part) for name in ("forward", "backward", "update"))


def check_equal(plain):
    """Raise ValueError unless compiled and `plain` training come to the same parameters.

    Both take a few updates of a small network, made of modules.py and mlp_numpy.py as they are. It
    is large enough for BLAS, its batches for two blocks, and its last batch is short.
    """
    rng = np.random.RandomState(0)
    x = rng.normal(0, 1, (140, 17))
    x[0] = 0  # without a bias, every unit is at the kink of its ReLU
    targets = np.eye(3)[rng.randint(3, size=140)]
    data = SimpleNamespace(x_train=x, y_train=targets)
    order = rng.permutation(140)
    model, expected = two_of_the_same(rng)
    load(run_updates, lambda: unchecked_epoch(model, data, 140, 0.1)(order[:0]))
    for batch_size in (140, 40):
        plain(expected, data, batch_size, 0.1, order)
        unchecked_epoch(model, data, batch_size, 0.1)(order)
        check_same_params(model, expected)


def two_of_the_same(rng):
    """Return two models with the same weights: not those of modules.py, which may be anything."""
    models = [MLP(17, [20, 18], 3), MLP(17, [20, 18], 3)]
    check_model(models[0])
    for linear, other in zip(models[0].linear_layers, models[1].linear_layers, strict=True):
        weight = rng.normal(0, 0.3, linear.params["weight"].shape)
        bias = np.zeros(weight.shape[1])
        linear.params = {"weight": weight, "bias": bias}
        other.params = {"weight": weight.copy(), "bias": bias.copy()}
    return models


def check_same_params(model, expected):
    """Raise ValueError unless both have the same parameters, to 1e-9."""
    layers = zip(model.linear_layers, expected.linear_layers, strict=True)
    for i, (linear, expected_linear) in enumerate(layers):
        for name, param in linear.params.items():
            if not np.allclose(param, expected_linear.params[name], rtol=1e-9, atol=1e-9):
                raise ValueError(
                    "the compiled loop and the layers of modules.py give different results, "
                    f"first in the {name} of Linear layer {i}, as after a change of modules.py "
                    "or with NUMBA_DISABLE_JIT; choose backend 'numpy'"
                )
