"""The contenders: the same training, as one would write it with each of several libraries.

Each is a function of a Work and of `epoch_done`. It trains for ever, and at the end of every epoch
it calls `epoch_done(get_params)`, where `get_params()` returns its parameters in one flat array.
(Only matrix_products has none, and gives None.) `epoch_done` may raise an exception to end the
training. All start from `initial(work)` and take the rows in the order of `shuffles(work)`.

A contender imports its library itself, so that the others run where it is not installed. Where a
library is given the rows batch by batch, they are copied about two thousand at a time, for speed.
"""

import ctypes
import shutil
import subprocess
import tempfile
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlp_numpy import MLP
from speed import straightforward as simple
from train_mlp_numpy import Data, train


class Work(NamedTuple):
    """What is to be done."""

    sizes: tuple  # the units of the layers, from the inputs to the classes
    x: np.ndarray  # of shape (N, n_inputs)
    targets: np.ndarray  # one-hot, of shape (N, n_classes)
    batch_size: int
    learning_rate: float


def initial(work):
    """Return the network from whose parameters all start."""
    n_inputs, *n_hidden, n_classes = work.sizes
    return MLP(n_inputs, n_hidden, n_classes, rng=0)


def pairs(linear_layers):
    """Return the weight and the bias of each of these Linear layers."""
    return [(linear.params["weight"], linear.params["bias"]) for linear in linear_layers]


def flat(params):
    """Return pairs of a weight and a bias as one array."""
    arrays = []
    for weight, bias in params:
        arrays.append(np.ravel(weight))
        arrays.append(np.ravel(bias))
    return np.concatenate(arrays)


def shuffles(work):
    """Yield the order of the rows in each epoch: as `train` does with rng=1."""
    rng = np.random.RandomState(1)
    while True:
        yield rng.permutation(len(work.x))


def parts(work, order):
    """Yield the row numbers of an epoch in pieces of about two thousand.

    Each piece is of whole batches; only the last batch of all can be short.
    """
    n_batches = max(1, 2000 // work.batch_size)
    size = n_batches * work.batch_size
    for start in range(0, len(order), size):
        yield order[start : start + size]


def straightforward(work, epoch_done):
    """The plainest NumPy: straightforward.py."""
    layers = []
    for weight, bias in pairs(initial(work).linear_layers):
        layers.append(simple.Linear(weight, bias))
        layers.append(simple.ReLU())
    layers.pop()  # there is no ReLU after the last Linear layer
    linear_layers = layers[::2]

    def get_params():
        return flat(pairs(linear_layers))

    for order in shuffles(work):
        simple.run_epoch(layers, work.x, work.targets, work.learning_rate, work.batch_size, order)
        epoch_done(get_params)


def ours(work, epoch_done, backend):
    """`train` of train_mlp_numpy.py, without an end; evaluated only once, at first."""
    model = initial(work)
    data = Data(work.x, work.targets, work.x[:1], work.targets[:1])

    def get_params():
        return flat(pairs(model.linear_layers))

    def callback(epoch, metrics):
        if epoch > 0:  # 0 is before training
            epoch_done(get_params)

    train(
        model,
        data,
        learning_rate=work.learning_rate,
        max_steps=10**9,
        eval_freq=10**9,
        batch_size=work.batch_size,
        rng=1,
        backend=backend,
        callback=callback,
    )


def numpy_layers(work, epoch_done):
    """The layers of modules.py."""
    ours(work, epoch_done, "numpy")


def compiled_loop(work, epoch_done):
    """The loop of compiled.py."""
    ours(work, epoch_done, "numba")


def scikit_learn(work, epoch_done):
    """MLPClassifier: gradient descent with neither momentum nor penalty."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        work.sizes[1:-1],
        solver="sgd",
        alpha=0,
        momentum=0,
        nesterovs_momentum=False,
        learning_rate_init=work.learning_rate,
        batch_size=work.batch_size,
        shuffle=False,  # the rows come in the order that is asked for
    )
    # This makes its arrays, which are set below. For two classes it would have one logistic output.
    # One-hot targets and this activation give it one output for each class, as all others have.
    model.partial_fit(work.x[:1], work.targets[:1], classes=np.arange(work.sizes[-1]))
    model.out_activation_ = "softmax"
    for i, (weight, bias) in enumerate(pairs(initial(work).linear_layers)):
        model.coefs_[i][...] = weight
        model.intercepts_[i][...] = bias

    def get_params():
        return flat(zip(model.coefs_, model.intercepts_, strict=True))

    for order in shuffles(work):
        for rows in parts(work, order):
            model.partial_fit(work.x[rows], work.targets[rows])
        epoch_done(get_params)


def torch_eager(work, epoch_done):
    """PyTorch as in its tutorials, but faster: without a DataLoader, and with `fused`."""
    import torch
    from torch import nn

    layers = []
    for weight, bias in pairs(initial(work).linear_layers):
        n_in, n_out = weight.shape
        linear = nn.Linear(n_in, n_out)
        linear.weight = nn.Parameter(torch.tensor(weight.T))
        linear.bias = nn.Parameter(torch.tensor(bias))
        layers.append(linear)
        layers.append(nn.ReLU())
    layers.pop()  # there is no ReLU after the last Linear layer
    model = nn.Sequential(*layers)
    optimizer = torch.optim.SGD(model.parameters(), lr=work.learning_rate, fused=True)
    loss = nn.CrossEntropyLoss()

    def get_params():
        linear_layers = layers[::2]
        return flat((linear.weight.detach().T, linear.bias.detach()) for linear in linear_layers)

    all_x = torch.from_numpy(work.x)
    all_labels = torch.from_numpy(work.targets.argmax(axis=1))
    for order in shuffles(work):
        for x, labels in torch_batches(work, order, all_x, all_labels):
            optimizer.zero_grad()
            loss(model(x), labels).backward()
            optimizer.step()
        epoch_done(get_params)


def torch_batches(work, order, all_x, all_labels):
    """Yield the rows and the labels of each batch, all as tensors."""
    import torch

    for part in parts(work, order):
        rows = torch.from_numpy(part)
        x = all_x[rows].split(work.batch_size)
        labels = all_labels[rows].split(work.batch_size)
        yield from zip(x, labels, strict=True)


def torch_compiled(work, epoch_done):
    """PyTorch with the whole update, from the batch to the new parameters, in torch.compile."""
    import torch
    from torch.nn.functional import cross_entropy, linear, relu

    def loss(params, x, labels):
        *hidden, (last_weight, last_bias) = params
        for weight, bias in hidden:
            x = relu(linear(x, weight, bias))
        logits = linear(x, last_weight, last_bias)
        return cross_entropy(logits, labels)

    @torch.compile(fullgraph=True, dynamic=False)
    def update(params, x, labels):
        gradients = torch.func.grad(loss)(params, x, labels)
        for (weight, bias), (dweight, dbias) in zip(params, gradients, strict=True):
            weight.sub_(work.learning_rate * dweight)
            bias.sub_(work.learning_rate * dbias)

    params = []
    for weight, bias in pairs(initial(work).linear_layers):
        params.append((torch.tensor(weight.T.copy()), torch.tensor(bias)))

    def get_params():
        return flat((weight.T, bias) for weight, bias in params)

    all_x = torch.from_numpy(work.x)
    all_labels = torch.from_numpy(work.targets.argmax(axis=1))
    for order in shuffles(work):
        for x, labels in torch_batches(work, order, all_x, all_labels):
            update(params, x, labels)
        epoch_done(get_params)


def jax_scan(work, epoch_done):
    """JAX with the whole epoch in one compiled function: lax.scan over the batches."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    n_rows = len(work.x)
    size = work.batch_size
    n_whole = n_rows // size * size  # rows in batches of full size

    def loss(params, x, targets):
        *hidden, (last_weight, last_bias) = params
        for weight, bias in hidden:
            x = jax.nn.relu(x @ weight + bias)
        logits = x @ last_weight + last_bias
        return -jnp.sum(targets * jax.nn.log_softmax(logits)) / len(x)

    def run_epoch(params, x, targets, order):
        def update(params, rows):
            gradients = jax.grad(loss)(params, x[rows], targets[rows])
            params = jax.tree.map(lambda p, g: p - work.learning_rate * g, params, gradients)
            return params, None  # scan would collect whatever stood here instead of None

        whole_batches = order[:n_whole].reshape(-1, size)
        params, _ = jax.lax.scan(update, params, whole_batches)
        if n_whole < n_rows:
            params, _ = update(params, order[n_whole:])
        return params

    run_epoch = jax.jit(run_epoch, donate_argnums=0)  # it may overwrite the old params
    params = jax.tree.map(jnp.array, pairs(initial(work).linear_layers))
    x = jnp.asarray(work.x)
    targets = jnp.asarray(work.targets)
    for order in shuffles(work):
        params = jax.block_until_ready(run_epoch(params, x, targets, order))
        epoch_done(partial(flat, params))


def plain_c(work, epoch_done):
    """A loop in C over the rows, for a small network: plain.c, compiled for its sizes."""
    run_epoch = compile_plain_c(work.sizes)
    params, views = params_of_plain_c(work)
    x = np.ascontiguousarray(work.x)
    targets = np.ascontiguousarray(work.targets)

    def get_params():
        return flat(views)

    for order in shuffles(work):
        order = order.astype(np.int64, copy=False)
        run_epoch(
            params.ctypes.data,
            x.ctypes.data,
            targets.ctypes.data,
            order.ctypes.data,
            len(x),
            work.batch_size,
            work.learning_rate,
        )
        epoch_done(get_params)


def compile_plain_c(sizes):
    """Return `run_epoch` of plain.c, compiled for a network of these sizes."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise ImportError("there is no C compiler")
    layers = [f"LAYER({n_in}, {n_out})" for n_in, n_out in pairwise(sizes)]
    flags = [
        "-O3",
        "-march=native",
        "-ffast-math",
        "-fPIC",
        f"-DFORWARD={' '.join(layers)}",
        f"-DBACKWARD={' '.join(reversed(layers))}",
        f"-DINPUTS={sizes[0]}",
        f"-DCLASSES={sizes[-1]}",
    ]
    source = Path(__file__).with_name("plain.c")
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "plain.o"
        library = Path(folder) / "plain.so"
        subprocess.run([compiler, *flags, "-c", source, "-o", code], check=True)
        # Linked without -ffast-math: with it, loading the library would make the whole process
        # round the smallest numbers (below 2.2e-308) to zero.
        subprocess.run([compiler, "-shared", code, "-o", library, "-lm"], check=True)
        run_epoch = ctypes.CDLL(str(library)).run_epoch
    run_epoch.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int64,
        ctypes.c_int64,
        ctypes.c_double,
    ]
    run_epoch.restype = None
    return run_epoch


def params_of_plain_c(work):
    """Return the parameters in one array, and its views: the weight and the bias of each layer."""
    params = flat(pairs(initial(work).linear_layers))
    views = []
    begin = 0
    for weight, bias in pairs(initial(work).linear_layers):
        n_in, n_out = weight.shape
        matrix = params[begin : begin + weight.size]
        begin += weight.size
        bias_view = params[begin : begin + bias.size]
        begin += bias.size
        if n_in <= n_out or n_out >= 16:  # as in plain.c: there the matrix is W, else W.T
            weight_view = matrix.reshape(n_in, n_out)
        else:
            weight_view = matrix.reshape(n_out, n_in).T
        weight_view[...] = weight
        views.append((weight_view, bias_view))
    return params, views


def matrix_products(work, epoch_done):
    """Only the products of matrices in the updates of a large network."""
    weights = [weight for weight, _ in pairs(initial(work).linear_layers)]
    gradients = [np.empty_like(weight) for weight in weights]
    outputs = [np.ones((work.batch_size, size)) for size in work.sizes]
    douts = [np.ones((work.batch_size, size)) for size in work.sizes]
    while True:
        for start in range(0, len(work.x), work.batch_size):
            n = min(work.batch_size, len(work.x) - start)
            for i, weight in enumerate(weights):
                np.dot(outputs[i][:n], weight, out=outputs[i + 1][:n])
            for i in range(len(weights) - 1, -1, -1):
                np.dot(outputs[i][:n].T, douts[i + 1][:n], out=gradients[i])
                if i > 0:
                    np.dot(douts[i + 1][:n], weights[i].T, out=douts[i][:n])
        epoch_done(None)
