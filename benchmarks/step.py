"""How long an update takes: the straightforward loop, `train` with either backend, and the limit.

    python -m benchmarks.step

The network is 2-20-2 on the 800 training rows of the default data set, on one thread. The limit is
limit.c, compiled here for this machine. All start from the same weights and draw the same shuffles,
and the script makes sure that they come to the same parameters. They run in alternation, so that a
change of the machine's speed hits them alike; the table gives the median times of an update and
how many times as fast as the straightforward loop that is. `train` is timed as it is used: whole,
with its checks and two evaluations a run. The last line is of a network whose time goes into large
matrix products.
"""

import ctypes
import importlib
import shutil
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks import straightforward
from command_line import ArgumentParser, run, whole_number
from mlp_numpy import MLP
from train_mlp_numpy import BACKENDS, Data, load_data, train

# By batch size, the epochs of a run of the NumPy loops and of the compiled ones: some 50 ms each.
EPOCHS = {1: (2, 400), 16: (30, 800), 64: (80, 800), 256: (160, 800), 800: (240, 800)}
LEARNING_RATE = 0.01


def params_of(model):
    """Return all parameters of a network as one array."""
    layers = [layer for layer in model.layers if hasattr(layer, "params")]
    return np.concatenate([layer.params[k].ravel() for layer in layers for k in ("weight", "bias")])


def run_straightforward(data, batch_size, n_epochs):
    """Train from seed 0; return the parameters and the seconds."""
    model, rng = straightforward.MLP(MLP(2, [20], 2, rng=0)), np.random.RandomState(1)
    start = time.perf_counter()
    straightforward.train(
        model, data.x_train, data.y_train, LEARNING_RATE, n_epochs, batch_size, rng
    )
    return params_of(model), time.perf_counter() - start


def run_ours(data, batch_size, n_epochs, backend, n_hidden=(20,)):
    """Do the same with `train`."""
    sizes = data.x_train.shape[1], n_hidden, data.y_train.shape[1]
    model, rng = MLP(*sizes, rng=0), np.random.RandomState(1)
    start = time.perf_counter()
    train(
        model,
        data,
        learning_rate=LEARNING_RATE,
        max_steps=n_epochs,
        eval_freq=n_epochs,
        batch_size=batch_size,
        rng=rng,
        backend=backend,
    )
    return params_of(model), time.perf_counter() - start


def compile_limit(folder):
    """Compile limit.c into `folder`; return its run_epoch, or None without a C compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source = Path(__file__).with_name("limit.c")
    code, library = Path(folder) / "limit.o", Path(folder) / "limit.so"
    flags = ["-O3", "-march=native", "-ffast-math", "-fPIC"]
    subprocess.run([compiler, *flags, "-c", source, "-o", code], check=True)
    # Linked without -ffast-math: with it, loading the library would make the whole process round
    # the smallest numbers (below 2.2e-308) to zero.
    subprocess.run([compiler, "-shared", code, "-o", library, "-lm"], check=True)
    run_epoch = ctypes.CDLL(str(library)).run_epoch
    run_epoch.argtypes = 4 * [ctypes.c_void_p] + 2 * [ctypes.c_int64] + [ctypes.c_double]
    run_epoch.restype = None
    return run_epoch


def run_limit(run_epoch, data, batch_size, n_epochs):
    """Do the same with limit.c."""
    params, rng = params_of(MLP(2, [20], 2, rng=0)), np.random.RandomState(1)
    x, targets = np.ascontiguousarray(data.x_train), np.ascontiguousarray(data.y_train)
    start = time.perf_counter()
    for _ in range(n_epochs):
        order = rng.permutation(len(x)).astype(np.int64, copy=False)
        arrays = [array.ctypes.data for array in (params, x, targets, order)]
        run_epoch(*arrays, len(x), batch_size, LEARNING_RATE)
    return params, time.perf_counter() - start


def check_same(contenders, data, batch_size):
    """Raise AssertionError unless all come to the same parameters; this warms them up, too."""
    results = [contender(data, batch_size, 3)[0] for contender in contenders]
    for params in results[1:]:
        np.testing.assert_allclose(params, results[0], rtol=0, atol=1e-12)


def measure(contenders, data, batch_size, n_rounds):
    """Return the median seconds of an update for each of the contenders, a dict of epochs.

    Raises:
        AssertionError: when they do not come to the same parameters, to 1e-12.
    """
    check_same(contenders, data, batch_size)
    n_updates = -(-len(data.x_train) // batch_size)  # in an epoch
    seconds = [
        [
            contender(data, batch_size, n_epochs)[1] / (n_epochs * n_updates)
            for contender, n_epochs in contenders.items()
        ]
        for _ in range(n_rounds)
    ]
    return np.median(seconds, axis=0)


def print_small(data, limit, n_rounds):
    """Print the table of the 2-20-2 network, in Markdown."""
    layers, compiled = (partial(run_ours, backend=backend) for backend in BACKENDS)
    print("| batch size | straightforward | `numpy` | `numba` | limit in C |")
    print("|---|---|---|---|---|")
    for batch_size, (few, many) in EPOCHS.items():
        contenders = {run_straightforward: few, layers: few, compiled: many}
        if limit:
            contenders[partial(run_limit, limit)] = many
        base, *others = 1e6 * measure(contenders, data, batch_size, n_rounds)
        cells = [f"{base:.3g} µs"]
        cells += [f"{other:.3g} µs ({base / other:.3g}x)" for other in others]
        cells += (5 - 1 - len(cells)) * ["no C compiler"]
        name = "full" if batch_size == len(data.x_train) else batch_size
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def print_large(n_rounds):
    """Print the line of the 784-512-512-10 network."""
    rng = np.random.default_rng(0)
    x, targets = rng.normal(0, 1, (1280, 784)), np.eye(10)[rng.integers(10, size=1280)]
    data = Data(x, targets, x[:1], targets[:1])
    contenders = {partial(run_ours, backend=b, n_hidden=(512, 512)): 5 for b in BACKENDS}
    layers, compiled = 1e3 * measure(contenders, data, 128, n_rounds)
    print(
        f"\n784-512-512-10 at batch size 128: `numpy` {layers:.1f} ms, `numba` {compiled:.1f} ms, "
        f"ratio {compiled / layers:.2f}"
    )


def main(argv=None):
    """Print the tables."""
    parser = ArgumentParser("Time an update: straightforward NumPy, ours, and the limit in C.")
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=whole_number(1),
        default=21,
        help="runs of each loop (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    # Numba's BLAS is SciPy's; what is to be limited must be loaded.
    importlib.import_module("scipy.linalg")
    with threadpool_limits(1), tempfile.TemporaryDirectory() as folder:
        assert {pool["num_threads"] for pool in threadpool_info()} == {1}
        print_small(load_data(), compile_limit(folder), args.rounds)
        print_large(args.rounds)
    return 0


if __name__ == "__main__":
    run(main)
