"""The contenders: the same training, as one would write it with each of several libraries.

Each is a function of a Work and of `epoch_done`. It trains for ever and calls `epoch_done(params)`
at the end of every epoch, where `params` is a function that returns all its parameters in one flat
array. `epoch_done` takes the time and may raise an exception to end the training. All start from
`initial(work)` and take the rows in the order of `shuffles(work)`.

A contender imports its library itself, so that nobody misses those not installed. Where a library
is given the rows batch by batch, they are gathered some two thousand at a time, for speed.
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
from speed import straightforward as plain
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
    return MLP(work.sizes[0], work.sizes[1:-1], work.sizes[-1], rng=0)


def pairs(linear_layers):
    """Return the weight and the bias of each of these Linear layers."""
    return [(linear.params["weight"], linear.params["bias"]) for linear in linear_layers]


def flat(params):
    """Return pairs of a weight and a bias as one array."""
    return np.concatenate([np.ravel(array) for pair in params for array in pair])


def shuffles(work):
    """Yield the order of the rows in each epoch."""
    rng = np.random.RandomState(1)
    while True:
        yield rng.permutation(len(work.x))


def parts(work, order):
    """Yield the rows of an epoch in this order, two thousand or so: whole batches, but the last."""
    size = work.batch_size * max(1, 2000 // work.batch_size)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def straightforward(work, epoch_done):
    """The plainest NumPy: straightforward.py."""
    layers = []
    for weight, bias in pairs(initial(work).linear_layers):
        layers.append(plain.Linear(weight, bias))
        layers.append(plain.ReLU())
    layers.pop()  # there is no ReLU behind the last Linear layer
    for order in shuffles(work):
        plain.run_epoch(layers, work.x, work.targets, work.learning_rate, work.batch_size, order)
        epoch_done(lambda: flat(pairs(layers[::2])))


def ours(work, epoch_done, backend):
    """`train` as everybody uses it."""
    model = initial(work)

    def callback(epoch, metrics):
        if epoch > 0:  # 0 is before training
            epoch_done(lambda: flat(pairs(model.linear_layers)))

    train(
        model,
        Data(work.x, work.targets, work.x[:1], work.targets[:1]),
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


def compiled(work, epoch_done):
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
    # Makes the arrays, to be replaced. For two classes it would take one logistic output; with a
    # column for each and this activation it does as the others do.
    model.partial_fit(work.x[:1], work.targets[:1], classes=np.arange(work.sizes[-1]))
    model.out_activation_ = "softmax"
    for i, (weight, bias) in enumerate(pairs(initial(work).linear_layers)):
        model.coefs_[i][...], model.intercepts_[i][...] = weight, bias
    for order in shuffles(work):
        for rows in parts(work, order):
            model.partial_fit(work.x[rows], work.targets[rows])
        epoch_done(lambda: flat(zip(model.coefs_, model.intercepts_, strict=True)))


def torch_eager(work, epoch_done):
    """PyTorch as its tutorials have it, but for the DataLoader, which would only slow it down."""
    import torch
    from torch import nn

    layers = []
    for weight, bias in pairs(initial(work).linear_layers):
        linear = nn.Linear(*weight.shape)
        linear.weight = nn.Parameter(torch.tensor(weight.T))
        linear.bias = nn.Parameter(torch.tensor(bias))
        layers += [linear, nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    optimizer = torch.optim.SGD(model.parameters(), lr=work.learning_rate, fused=True)
    loss = nn.CrossEntropyLoss()
    x, labels = torch.from_numpy(work.x), torch.from_numpy(work.targets.argmax(axis=1))
    for order in shuffles(work):
        for rows in map(torch.from_numpy, parts(work, order)):
            batches = x[rows].split(work.batch_size), labels[rows].split(work.batch_size)
            for batch, batch_labels in zip(*batches, strict=True):
                optimizer.zero_grad()
                loss(model(batch), batch_labels).backward()
                optimizer.step()
        epoch_done(
            lambda: flat((linear.weight.detach().T, linear.bias.detach()) for linear in layers[::2])
        )


def torch_compiled(work, epoch_done):
    """PyTorch with the whole update, from the batch to the new parameters, in torch.compile."""
    import torch
    from torch.nn.functional import cross_entropy, linear, relu

    def loss(params, x, labels):
        for weight, bias in params[:-1]:
            x = relu(linear(x, weight, bias))
        return cross_entropy(linear(x, *params[-1]), labels)

    @torch.compile(fullgraph=True, dynamic=False)
    def update(params, x, labels):
        gradients = torch.func.grad(loss)(params, x, labels)
        for pair, gradient in zip(params, gradients, strict=True):
            for param, g in zip(pair, gradient, strict=True):
                param.sub_(work.learning_rate * g)

    params = []
    for weight, bias in pairs(initial(work).linear_layers):
        params.append((torch.tensor(weight.T.copy()), torch.tensor(bias)))
    x, labels = torch.from_numpy(work.x), torch.from_numpy(work.targets.argmax(axis=1))
    for order in shuffles(work):
        for rows in map(torch.from_numpy, parts(work, order)):
            batches = x[rows].split(work.batch_size), labels[rows].split(work.batch_size)
            for batch, batch_labels in zip(*batches, strict=True):
                update(params, batch, batch_labels)
        epoch_done(lambda: flat((w.T, b) for w, b in params))


def jax_scan(work, epoch_done):
    """JAX with the whole epoch in one compiled function: lax.scan over the batches."""
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    n_rows, size = len(work.x), work.batch_size
    n_whole = n_rows // size * size  # rows in batches of full size

    def loss(params, x, targets):
        for weight, bias in params[:-1]:
            x = jax.nn.relu(x @ weight + bias)
        weight, bias = params[-1]
        return -jnp.sum(targets * jax.nn.log_softmax(x @ weight + bias)) / len(x)

    def run_epoch(params, x, targets, order):
        def update(params, rows):
            gradients = jax.grad(loss)(params, x[rows], targets[rows])
            return jax.tree.map(lambda p, g: p - work.learning_rate * g, params, gradients), None

        params, _ = jax.lax.scan(update, params, order[:n_whole].reshape(-1, size))
        if n_whole < n_rows:
            params, _ = update(params, order[n_whole:])
        return params

    run_epoch = jax.jit(run_epoch, donate_argnums=0)
    params = jax.tree.map(jnp.array, pairs(initial(work).linear_layers))
    x, targets = jnp.asarray(work.x), jnp.asarray(work.targets)
    for order in shuffles(work):
        params = jax.block_until_ready(run_epoch(params, x, targets, order))
        epoch_done(partial(flat, params))


def plain_c(work, epoch_done):
    """A loop in C over the rows, for a small network: plain.c, compiled for its sizes."""
    layers = [f"LAYER({n_in}, {n_out})" for n_in, n_out in pairwise(work.sizes)]
    flags = [
        *("-O3", "-march=native", "-ffast-math", "-fPIC"),
        f"-DFORWARD={' '.join(layers)}",
        f"-DBACKWARD={' '.join(reversed(layers))}",
        f"-DINPUTS={work.sizes[0]}",
        f"-DCLASSES={work.sizes[-1]}",
    ]
    compiler, source = shutil.which("cc"), Path(__file__).with_name("plain.c")
    if compiler is None:
        raise ImportError("there is no C compiler")
    with tempfile.TemporaryDirectory() as folder:
        code, library = Path(folder) / "plain.o", Path(folder) / "plain.so"
        subprocess.run([compiler, *flags, "-c", source, "-o", code], check=True)
        # Linked without -ffast-math: with it, loading the library would make the whole process
        # round the smallest numbers (below 2.2e-308) to zero.
        subprocess.run([compiler, "-shared", code, "-o", library, "-lm"], check=True)
        run_epoch = ctypes.CDLL(str(library)).run_epoch
    run_epoch.argtypes = 4 * [ctypes.c_void_p] + 2 * [ctypes.c_int64] + [ctypes.c_double]
    run_epoch.restype = None

    params, views, end = flat(pairs(initial(work).linear_layers)), [], 0
    for weight, bias in pairs(initial(work).linear_layers):
        begin, end = end, end + weight.size + bias.size
        view = params[begin : begin + weight.size]
        wide = weight.shape[0] <= weight.shape[1] or weight.shape[1] >= 16  # as in plain.c
        view = view.reshape(weight.shape) if wide else view.reshape(weight.T.shape).T
        view[...] = weight
        views.append((view, params[end - bias.size : end]))
    x, targets = np.ascontiguousarray(work.x), np.ascontiguousarray(work.targets)
    for order in shuffles(work):
        order = order.astype(np.int64, copy=False)
        pointers = [array.ctypes.data for array in (params, x, targets, order)]
        run_epoch(*pointers, len(x), work.batch_size, work.learning_rate)
        epoch_done(lambda: flat(views))


def matrix_products(work, epoch_done):
    """Of the updates of a large network, the products of matrices, and nothing else."""
    weights = [weight for weight, _ in pairs(initial(work).linear_layers)]
    gradients = [np.empty_like(weight) for weight in weights]
    sizes = len(weights[0]), *(weight.shape[1] for weight in weights)
    outputs = [np.ones((work.batch_size, size)) for size in sizes]
    douts = [np.ones((work.batch_size, size)) for size in sizes]
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
