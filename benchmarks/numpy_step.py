"""How long one update of the NumPy path takes, against the straightforward loop.

    python -m benchmarks.numpy_step

The network is 2-20-2 on the 800 training rows of the default data set, on one thread. Both loops
run in alternation, so that a change of the machine's speed hits them alike; the table gives the
median times of an update and their ratio. Ours is timed as it is used: `train` whole, with its
checks and two evaluations a run.
"""

import time

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import straightforward
from command_line import ArgumentParser, run, whole_number
from mlp_numpy import MLP
from train_mlp_numpy import load_data, train

EPOCHS = {1: 5, 16: 50, 64: 100, 256: 200, 800: 300}  # per round, for similar times
LEARNING_RATE = 0.01


def run_ours(data, batch_size, n_epochs):
    """Train from seed 0; return the network and the seconds."""
    model, rng = MLP(2, [20], 2, rng=0), np.random.RandomState(1)
    start = time.perf_counter()
    train(
        model,
        data,
        learning_rate=LEARNING_RATE,
        max_steps=n_epochs,
        eval_freq=n_epochs,
        batch_size=batch_size,
        rng=rng,
    )
    return model, time.perf_counter() - start


def run_straightforward(data, batch_size, n_epochs):
    """Train the straightforward network from the same weights and shuffles; return the same."""
    model, rng = straightforward.MLP(MLP(2, [20], 2, rng=0)), np.random.RandomState(1)
    start = time.perf_counter()
    straightforward.train(
        model, data.x_train, data.y_train, LEARNING_RATE, n_epochs, batch_size, rng
    )
    return model, time.perf_counter() - start


def measure(data, batch_size, n_epochs, n_rounds):
    """Return the median microseconds of an update, straightforward and ours.

    Raises:
        AssertionError: when the two loops do not end with the same parameters, to 1e-12.
    """
    n_updates = n_epochs * -(-len(data.x_train) // batch_size)
    times = []
    for _ in range(n_rounds):
        plain, plain_seconds = run_straightforward(data, batch_size, n_epochs)
        ours, our_seconds = run_ours(data, batch_size, n_epochs)
        times.append((plain_seconds, our_seconds))
    for layer, plain_layer in zip(ours.layers[::2], plain.layers[::2], strict=True):
        for name, param in layer.params.items():
            np.testing.assert_allclose(param, plain_layer.params[name], rtol=0, atol=1e-12)
    return np.median(times, axis=0) / n_updates * 1e6


def main(argv=None):
    """Print the table, in Markdown."""
    parser = ArgumentParser("Time an update of the NumPy path against the straightforward loop.")
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=whole_number(1),
        default=21,
        help="runs of each loop (default: %(default)s)",
    )
    args = parser.parse_args(argv)
    data = load_data()
    print("| batch size | straightforward, µs a step | `train`, µs a step | ratio |")
    print("|---|---|---|---|")
    with threadpool_limits(1):
        for batch_size, n_epochs in EPOCHS.items():
            plain, ours = measure(data, batch_size, n_epochs, args.rounds)
            name = "full" if batch_size == len(data.x_train) else batch_size
            print(f"| {name} | {plain:.1f} | {ours:.1f} | {ours / plain:.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    run(main)
