"""Part III: the loop of train_mlp_numpy.py, compiled: what `train(..., backend="numba")` runs.

Numba turns the functions in the first half of this file into machine code. They have the formulas
of modules.py, as loops over rows and units, and check nothing. Before they train, check_equal
compares them with the layers. Not here: the features of Numba that they use, and what happens where
one is missing (any_numba.py).

Parameters, outputs and gradients each lie in one flat array, so that Numba compiles only once for
networks of any size and depth. (Two-dimensional views of these arrays would be plainer, but take
4.5 times as long at batch size 1.) Each matrix lies row after row. This is the layout for 2 inputs,
20 hidden units, 3 classes and n rows, where n is at most 128: a larger batch goes through the
network in blocks of 128 rows.

    params      | W_0: (2, 20)   b_0: (20,) | W_1.T: (3, 20)   b_1: (3,) |
                ^ layer 0 begins            ^ layer 1 begins

    outputs     | x: (n, 2) | hidden, after its ReLU: (n, 20) | logits: (n, 3) |
                ^ x_at      ^ out_at of layer 0, x_at of 1    ^ out_at of layer 1

    gradients   | dout | dx |
                Of one layer at a time; each half has room for the widest one. dx of a layer is dout
                of the previous layer, so after each layer the halves change places. dL/dW and dL/db
                are stored nowhere: they are subtracted from the parameters directly.

The matrix of a layer is W; or W.T, if the rows of W are short and those of W.T are longer (see
matrix_is_w). The innermost loop of each product runs along a row of the matrix, and in a long row
the processor can work on several numbers with one instruction. Three functions compute all products
of a Linear layer:

                                   the matrix is W            the matrix is W.T
    add_product             +=     forward    x @ W           backward   dout @ W.T
    add_product_transposed  +=     backward   dout @ W.T      forward    x @ W
    subtract_gradient       -=     update     x.T @ dout      update     dout.T @ x

Large products are left to BLAS, a library that NumPy's @ uses as well; its function is gemm.
"""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np

from mlp_numpy import MLP
from modules import Linear, ReLU, SoftMax
from speed.any_numba import HAS_GEMM, call_or_mend_cache, compiled, inlined, xxgemm

BLOCK = 128  # rows that go through the network together: few enough for the processor's cache
BLAS_FROM = 16  # rows, inputs and units: if any is below, the call costs more than it gains
LONG_ROW = 16  # numbers


@compiled
def run_updates(
    order, batch_size, learning_rate, x, labels, sizes, params, spare, outputs, gradients
):
    """Train for an epoch, as train_epoch does: update `params` for each batch of this order.

    x        (N, n_features), all training rows
    labels   (N,), the class of each row, from 0
    sizes    the numbers of units, from the inputs to the classes
    spare    room for as many numbers as `params`

    Returns the sum of the denominators of the softmax in the last batch. It is not the loss, but it
    is finite exactly when the loss of that batch is: see loss_gradient.
    """
    denominators = 0.0
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        rate = learning_rate / len(batch)  # the 1/N of CrossEntropy.backward is in it
        is_one_block = len(batch) <= BLOCK
        new_params = params
        if not is_one_block:  # all blocks of a batch must see the same parameters
            copy(params, spare)
            new_params = spare
        denominators = 0.0
        for first in range(0, len(batch), BLOCK):
            rows = batch[first : first + BLOCK]
            n = len(rows)
            gather(x, rows, outputs)
            logits_at = forward(params, sizes, n, outputs)
            denominators += loss_gradient(
                outputs[logits_at:], labels, rows, rate, sizes[-1], gradients
            )
            backward(params, new_params, sizes, n, outputs, logits_at, gradients)
        if not is_one_block:
            copy(spare, params)
    return denominators


@inlined
def copy(source, target):
    """target = source."""
    for k in range(len(source)):
        target[k] = source[k]


@inlined
def gather(x, rows, outputs):
    """Copy these rows of x to the beginning of `outputs`."""
    n_features = x.shape[1]
    for r in range(len(rows)):
        for i in range(n_features):
            outputs[r * n_features + i] = x[rows[r], i]


@inlined
def forward(params, sizes, n, outputs):
    """Compute the outputs of all layers for n rows; return where the logits begin."""
    n_layers = len(sizes) - 1
    param_at = 0
    x_at = 0
    for layer in range(n_layers):
        n_in = sizes[layer]
        n_out = sizes[layer + 1]
        out_at = x_at + n * n_in
        linear_forward(params[param_at:], outputs[x_at:], outputs[out_at:], n, n_in, n_out)
        if layer < n_layers - 1:
            relu_forward(outputs[out_at:], n * n_out)
        param_at += n_in * n_out + n_out
        x_at = out_at
    return x_at


@inlined
def loss_gradient(logits, labels, rows, rate, n_classes, dlogits):
    """Set dlogits to rate * (p - y), where p is the softmax of the logits.

    This is CrossEntropy.backward, but for the rate: there it is 1/N, here learning_rate / N. It
    stays in all gradients from here on. So they are subtracted from the parameters as they are.

    Returns the sum of the denominators of the softmax over the rows. Each is between 1 and
    n_classes, or NaN if the probabilities of its row are NaN. So the sum is finite exactly when the
    loss is, and it needs no logarithm.
    """
    denominators = 0.0
    for r in range(len(rows)):
        row_at = r * n_classes
        largest = logits[row_at]
        for k in range(1, n_classes):
            largest = max(largest, logits[row_at + k])
        denominator = 0.0
        for k in range(n_classes):
            power = np.exp(logits[row_at + k] - largest)
            dlogits[row_at + k] = power
            denominator += power
        for k in range(n_classes):
            p = dlogits[row_at + k] / denominator
            y = labels[rows[r]] == k  # True counts as 1
            dlogits[row_at + k] = rate * (p - y)
        denominators += denominator
    return denominators


@inlined
def backward(params, new_params, sizes, n, outputs, logits_at, gradients):
    """Take the gradient back through all layers, and subtract that of `params` from `new_params`.

    Both can be the same array. So a layer's dx comes before its update.
    """
    n_layers = len(sizes) - 1
    half = len(gradients) // 2
    dout = gradients[:half]  # loss_gradient has put dlogits here
    dx = gradients[half:]
    param_at = len(params)
    out_at = logits_at
    for layer in range(n_layers - 1, -1, -1):
        n_in = sizes[layer]
        n_out = sizes[layer + 1]
        param_at -= n_in * n_out + n_out
        x_at = out_at - n * n_in
        if layer > 0:
            linear_backward(params[param_at:], dout, dx, n, n_in, n_out)
            relu_backward(outputs[x_at:], dx, n * n_in)
        linear_update(new_params[param_at:], outputs[x_at:], dout, n, n_in, n_out)
        dout, dx = dx, dout  # dx of this layer is dout of the previous one
        out_at = x_at


# A Linear layer: x and dx have the shape (n, n_in), out and dout (n, n_out). `params` begins with
# the layer's matrix, then its bias; those of later layers may follow.


@compiled
def linear_forward(params, x, out, n, n_in, n_out):
    """out = x @ W + b, for n rows."""
    bias = params[n_in * n_out :]
    for r in range(n):
        for j in range(n_out):
            out[r * n_out + j] = bias[j]
    if matrix_is_w(n_in, n_out):
        add_product(x, params, out, n, n_in, n_out)
    else:
        add_product_transposed(x, params, out, n, n_out, n_in)


@compiled
def linear_backward(params, dout, dx, n, n_in, n_out):
    """dx = dout @ W.T, for n rows."""
    dx[: n * n_in] = 0.0
    if matrix_is_w(n_in, n_out):
        add_product_transposed(dout, params, dx, n, n_in, n_out)
    else:
        add_product(dout, params, dx, n, n_out, n_in)


@compiled
def linear_update(params, x, dout, n, n_in, n_out):
    """W -= x.T @ dout and b -= dout.sum(axis=0): the learning rate is in dout."""
    bias = params[n_in * n_out :]
    if matrix_is_w(n_in, n_out):
        subtract_gradient(x, dout, params, n, n_in, n_out)
        for r in range(n):
            for j in range(n_out):
                bias[j] -= dout[r * n_out + j]
    else:
        subtract_gradient(dout, x, params, n, n_out, n_in)
        for j in range(n_out):  # rows of dout are short here: finishing one sum is faster
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
def relu_backward(relu_out, dx, length):
    """dx = 0 where the output of the ReLU is 0: there its input is not above 0."""
    for k in range(length):
        dx[k] = dx[k] if relu_out[k] > 0.0 else 0.0


@compiled
def matrix_is_w(n_in, n_out):
    """Return whether the matrix of such a layer is W; else it is W.T."""
    return n_in <= n_out or n_out >= LONG_ROW


# The three products. The matrix has the shape (p, q).


@compiled
def add_product(a, matrix, out, n, p, q):
    """out += a @ matrix, where a is (n, p) and out (n, q)."""
    if is_for_blas(n, p, q):
        gemm(ONE, a, NO_TRANSPOSE, matrix, NO_TRANSPOSE, out, n, p, q)
        return
    for r in range(n):
        for i in range(p):
            factor = a[r * p + i]
            for j in range(q):
                out[r * q + j] += factor * matrix[i * q + j]


@compiled
def add_product_transposed(a, matrix, out, n, p, q):
    """out += a @ matrix.T, where a is (n, q) and out (n, p)."""
    if is_for_blas(n, p, q):
        gemm(ONE, a, NO_TRANSPOSE, matrix, TRANSPOSE, out, n, q, p)
        return
    for r in range(n):
        for i in range(p):
            total = 0.0
            for j in range(q):
                total += a[r * q + j] * matrix[i * q + j]
            out[r * p + i] += total


@compiled
def subtract_gradient(a, b, matrix, n, p, q):
    """matrix -= a.T @ b, where a is (n, p) and b (n, q)."""
    if is_for_blas(n, p, q):
        gemm(MINUS_ONE, a, TRANSPOSE, b, NO_TRANSPOSE, matrix, p, n, q)
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


DOUBLE = ord("d")
NO_TRANSPOSE = ord("n")
TRANSPOSE = ord("t")
ONE = np.array([1.0])  # BLAS is given the address of a factor
MINUS_ONE = np.array([-1.0])


@compiled
def gemm(factor, a, form_a, b, form_b, out, n_rows, n_inner, n_columns):
    """out += factor * op(a) @ op(b).

    op(a)   (n_rows, n_inner): a if form_a is NO_TRANSPOSE, a.T if it is TRANSPOSE
    op(b)   (n_inner, n_columns): b or b.T, as form_b says
    out     (n_rows, n_columns)

    Unlike np.dot, it adds the product to what is there.

    BLAS expects arrays column by column, but ours lie row by row, so it sees each of them as its
    transpose. We therefore ask it for the transposed formula, out.T += factor * op(b).T @ op(a).T;
    that is why b comes before a in the call.
    """
    row_length_a = n_inner if form_a == NO_TRANSPOSE else n_rows
    row_length_b = n_columns if form_b == NO_TRANSPOSE else n_inner
    if HAS_GEMM:  # if not, Numba leaves the call out: it compiles no branch that is never taken
        xxgemm(
            DOUBLE,
            form_b,
            form_a,
            n_columns,
            n_rows,
            n_inner,
            factor.ctypes,
            b.ctypes,
            row_length_b,
            a.ctypes,
            row_length_a,
            ONE.ctypes,  # the factor of what is there
            out.ctypes,
            n_columns,
        )


# Below is what calls the compiled loop, in Python.


def compile_epoch(train_epoch, model, data, batch_size, learning_rate):
    """Return a function run_epoch(order): it trains as `train_epoch` does, but compiled.

    The given `train_epoch`, that of train_mlp_numpy.py, is not what runs: it only serves for
    comparison, see check_equal.

    Each call of run_epoch reads the parameters from the model's layers and, at the end, puts new
    arrays into the layers. It leaves their `grads` alone. It returns a number that is finite
    exactly when the loss of the last batch is.

    Raises:
        ValueError: if the model is no MLP of Linear, ReLU, ..., Linear, SoftMax, if the compiled
            loop and `train_epoch` differ, or if Numba fails. run_epoch raises it if the layers of
            the model, or the shapes of their parameters, have changed.
    """
    check_equal(train_epoch)
    return unchecked_epoch(model, data, batch_size, learning_rate)


def unchecked_epoch(model, data, batch_size, learning_rate):
    """Return what compile_epoch returns, without check_equal."""
    check_model(model)
    kinds = [type(layer) for layer in model.layers]
    x = np.require(data.x_train, float, ["C", "A", "W"])  # one layout, so that Numba compiles once
    labels = data.y_train.argmax(axis=1)
    sizes = sizes_of(model, data)
    params = aligned(n_params(sizes))
    views = views_of(params, sizes)
    spare = aligned(len(params))
    outputs = aligned(BLOCK * sizes.sum())
    gradients = aligned(2 * BLOCK * sizes[1:].max())
    batch_size = int(batch_size)
    learning_rate = float(learning_rate)

    def run_epoch(order):
        if [type(layer) for layer in model.layers] != kinds:
            raise ValueError("the layers have changed since training began; choose backend 'numpy'")
        read_params(model, views)  # into `params`
        denominators = run_updates(
            order, batch_size, learning_rate, x, labels, sizes, params, spare, outputs, gradients
        )
        write_params(model, views)
        return denominators

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
        if matrix_is_w(n_in, n_out):
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
    for linear, layer_views in zip(model.linear_layers, views, strict=True):
        for name, view in layer_views.items():
            param = linear.params[name]
            if np.shape(param) != view.shape:
                raise ValueError(f"{name} must have shape {view.shape}, got {np.shape(param)}")
            view[...] = param


def write_params(model, views):
    """Give the model copies of the views."""
    for linear, layer_views in zip(model.linear_layers, views, strict=True):
        for name, view in layer_views.items():
            linear.params[name] = view.copy()


def aligned(length):
    """Return an uninitialised array whose address is a multiple of 64 bytes, a line of the cache.

    This makes training a tenth faster.
    """
    array = np.empty(length + 8)
    n_bytes = -array.ctypes.data % 64  # to the next multiple
    begin = n_bytes // 8
    return array[begin : begin + length]


def check_model(model):
    """Raise ValueError unless the compiled loop can train this model."""
    layers = getattr(model, "layers", [])
    kinds = [type(layer) for layer in layers]
    n_hidden = len(kinds) // 2 - 1
    is_known = (
        type(model) is MLP
        and kinds == [Linear, ReLU] * n_hidden + [Linear, SoftMax]
        and not is_shared(layers)
        and not any(has_own_method(part) for part in [model, *layers])
    )
    if not is_known:
        names = ", ".join(kind.__name__ for kind in kinds) or "no layers"
        raise ValueError(
            "backend 'numba' trains an MLP of Linear, ReLU, ..., Linear, SoftMax, each once, with "
            "params of its own and the methods of its class, "
            f"got {type(model).__name__} of {names}; "
            "choose backend 'numpy'"
        )


def is_shared(layers):
    """Return whether a layer, or the params of a layer, appears twice."""
    parts = list(layers)
    for layer in layers:
        if isinstance(layer, Linear):
            parts.append(layer.params)
    return len({id(part) for part in parts}) < len(parts)


def has_own_method(part):
    """Return whether a method of this layer or model was replaced on the object itself."""
    return any(name in vars(part) for name in ("forward", "backward", "update"))


def check_equal(train_epoch):
    """Raise ValueError unless the compiled loop and `train_epoch` come to the same parameters.

    Both train a small network, made of modules.py and mlp_numpy.py as they are now, for two epochs.
    Its hidden layers are large enough for BLAS. The first epoch is one batch of 140 rows, which
    makes two blocks; the second has batches of 40, of which the last is short.
    """
    rng = np.random.RandomState(0)
    x = rng.normal(0, 1, (140, 17))
    x[0] = 0  # biases are 0 at first, so in this row each ReLU is given exactly 0
    targets = np.eye(3)[rng.randint(3, size=140)]
    data = SimpleNamespace(x_train=x, y_train=targets)
    order = rng.permutation(140)
    model = MLP(17, [20, 18], 3)
    expected = MLP(17, [20, 18], 3)
    check_model(model)
    set_params(model, expected, rng)

    def compile_only():
        run_epoch = unchecked_epoch(model, data, 140, 0.1)
        run_epoch(order[:0])  # no rows

    call_or_mend_cache(compile_only, run_updates)
    for batch_size in (140, 40):
        train_epoch(expected, data, batch_size, 0.1, order)
        run_epoch = unchecked_epoch(model, data, batch_size, 0.1)
        run_epoch(order)
        check_same_params(model, expected)


def set_params(model, expected, rng):
    """Give both models the same random weights, of our own: Linear may have been changed."""
    for linear, other in zip(model.linear_layers, expected.linear_layers, strict=True):
        weight = rng.normal(0, 0.3, linear.params["weight"].shape)
        bias = np.zeros(weight.shape[1])
        linear.params = {"weight": weight, "bias": bias}
        other.params = {"weight": weight.copy(), "bias": bias.copy()}


def check_same_params(model, expected):
    """Raise ValueError unless both have the same parameters, to 1e-9."""
    layers = zip(model.linear_layers, expected.linear_layers, strict=True)
    for i, (linear, expected_linear) in enumerate(layers):
        for name, param in linear.params.items():
            if not np.allclose(param, expected_linear.params[name], rtol=1e-9, atol=1e-9):
                raise ValueError(
                    "the compiled loop and the layers of modules.py give different results, "
                    f"first in the {name} of Linear layer {i}: modules.py was changed, or "
                    "NUMBA_DISABLE_JIT is set; choose backend 'numpy'"
                )
