"""Contenders take turns: each in a process of its own, a round of an epoch or a few at a time.

Each process has one thread and, where it can be, one core. So none is slowed by the threads or the
memory of another, and a change of the machine's speed hits all alike.
"""

import multiprocessing
import os
import signal
import statistics
import sys
import time
import warnings
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from speed import contenders
from train_mlp_numpy import load_data

TABLE = "one thread, float64"  # what the rows of the benchmark are measured with
TOLERANCE = 1e-5  # of the parameters after an epoch, as a part of what it changed


class Case(NamedTuple):
    """A network and its data."""

    sizes: tuple
    dataset: str  # of load_data, or "random"
    n_rows: int  # for training
    batch_size: int

    def __str__(self):
        batch = "full batch" if self.batch_size == self.n_rows else f"batch {self.batch_size}"
        return f"{'-'.join(map(str, self.sizes))}, {batch}"


class Row(NamedTuple):
    """What was measured of a contender in a case."""

    table: str
    case: str
    contender: str
    seconds: float  # the median of an epoch
    low: float  # the quartiles
    high: float
    ratio: float  # to ours in the same round, the median


def measure(case, ours, others, n_rounds, seconds=0.1):
    """Return the Rows of a case, of `ours` and of the others, which are compared with it.

    Each is timed `n_rounds` times; a round takes so many seconds, or one epoch if that takes
    longer. A contender that fails is named on stderr and left out. When one does other work than
    ours, it is a ValueError; when ours fails, a RuntimeError.
    """
    work, reference = make_work(case), None
    processes = {contender.__name__: Process(contender, case) for contender in (ours, *others)}
    try:
        for name, process in processes.items():
            _, params = process.run(1)
            if process.failure and name == ours.__name__:
                raise RuntimeError(f"{case}: {name} fails: {process.failure}")
            reference = params if reference is None else reference
            if params is not None:  # the bare products have none
                check_same(f"{name}, {case}", params, reference, work)
        n_epochs = dict.fromkeys(processes, 1)
        for name, process in processes.items():  # warm, and how many epochs make a round
            while process.run(n_epochs[name])[0] < seconds / 2:
                n_epochs[name] *= 2
        rounds, names = [], list(processes)
        for k in range(n_rounds):
            turn = k % len(names)  # nobody always comes after the same one's threads
            turns = [(name, n_epochs[name]) for name in names[turn:] + names[:turn]]
            rounds.append({name: processes[name].run(n)[0] / n for name, n in turns})
    finally:
        for process in processes.values():
            process.close()
    rows = []
    for name, process in processes.items():
        if process.failure:
            print(f"{case}: no {name}: {process.failure}", file=sys.stderr)
            continue
        low, median, high = np.percentile([times[name] for times in rounds], [25, 50, 75]).tolist()
        ratio = statistics.median(times[name] / times[ours.__name__] for times in rounds)
        rows.append(Row(TABLE, str(case), name, median, low, high, ratio))
    return rows


def make_work(case):
    """Return the Work of a case."""
    if case.dataset == "random":  # of the size of MNIST
        rng = np.random.default_rng(0)
        labels = rng.integers(case.sizes[-1], size=case.n_rows)
        x = rng.normal(0, 0.1, (case.n_rows, case.sizes[0]))
        targets = np.eye(case.sizes[-1])[labels]
    else:
        n_samples = 1797 if case.dataset == "digits" else case.n_rows * 5 // 4
        x, targets, *_ = load_data(case.dataset, n_samples)
    return contenders.Work(case.sizes, x, targets, case.batch_size, learning_rate=0.01)


def check_same(name, params, reference, work):
    """Raise ValueError unless both come from the same work: an epoch of training.

    They must have gone the same way: they differ by little of what the epoch changed.
    """
    start = contenders.flat(contenders.pairs(contenders.initial(work).linear_layers))
    part = np.abs(params - reference).max() / np.abs(reference - start).max()
    if not part <= TOLERANCE:
        raise ValueError(
            f"{name}: its parameters after an epoch are off by {part:.0e} of their way"
        )


class Process:
    """A contender in a process of its own; `failure` says why it cannot take part, or is None."""

    def __init__(self, contender, case):
        context = multiprocessing.get_context("spawn")
        self.failure, (self.connection, other) = None, context.Pipe()
        self.process = context.Process(target=serve, args=(other, contender, case), daemon=True)
        self.process.start()
        other.close()

    def run(self, n_epochs):
        """Return the seconds of so many epochs, or NaN if it fails, and the parameters then."""
        if not self.failure:
            try:
                self.connection.send(n_epochs)
                answer = self.connection.recv()
            except (EOFError, OSError):
                self.process.join()
                answer = f"its process ended with status {self.process.exitcode}"
            if not isinstance(answer, str):
                return answer
            self.failure = answer
        return np.nan, None

    def close(self):
        """End it."""
        self.process.terminate()
        self.process.join()


def serve(connection, contender, case):
    """Train, so many epochs at a time as the other end asks for; send seconds and parameters.

    The parameters are sent after the first epoch only. A failure is sent as a text.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process hears it
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    threadpool_limits(1)  # of what is loaded already
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    warnings.simplefilter("ignore")
    work, n_epochs, is_first, start = make_work(case), None, True, None

    def epoch_done(params):
        nonlocal n_epochs, is_first, start
        n_epochs -= 1
        if n_epochs == 0:
            seconds = time.perf_counter() - start
            connection.send((seconds, params() if is_first and params else None))
            n_epochs, is_first, start = connection.recv(), False, time.perf_counter()

    try:
        n_epochs, start = connection.recv(), time.perf_counter()
        contender(work, epoch_done)
    except (EOFError, BrokenPipeError):  # nobody asks any more
        return
    except Exception as error:  # not installed, or it cannot do this
        connection.send(f"{type(error).__name__}: {error}".splitlines()[0])
