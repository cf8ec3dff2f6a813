"""Contenders take turns: each in a process of its own, a round of an epoch or a few at a time.

So none is slowed by the threads or the memory of another, and a change of the machine's speed hits
all alike. `measure` does this for one case; side_by_side.py says which cases there are.
"""

import math
import multiprocessing
import os
import re
import resource
import signal
import statistics
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import contenders
from train_mlp_numpy import load_data

LEARNING_RATE = 0.01
TOLERANCES = {"float64": 1e-6, "float32": 1e-3}  # of the loss after an epoch


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
    seconds: float  # the median of an epoch, or of a process
    low: float  # the quartiles
    high: float
    ratio: float  # to ours in the same round, the median
    first: float  # seconds until the first epoch is done
    megabytes: float  # the most memory held


def make_data(case):
    """Return the rows of a case and their one-hot targets."""
    if case.dataset == "random":  # of the size of MNIST
        rng = np.random.default_rng(0)
        labels = rng.integers(case.sizes[-1], size=case.n_rows)
        return rng.normal(0, 0.1, (case.n_rows, case.sizes[0])), np.eye(case.sizes[-1])[labels]
    n_samples = 1797 if case.dataset == "digits" else case.n_rows * 5 // 4
    data = load_data(case.dataset, n_samples)
    assert len(data.x_train) == case.n_rows
    return data.x_train, data.y_train


def loss_of(params, work):
    """Return the loss of our network with these parameters, of a thousand rows at a time."""
    model, begin = contenders.initial(work), 0
    for layer in model.layers[::2]:
        for param in layer.params.values():
            param[...] = params[begin : begin + param.size].reshape(param.shape)
            begin += param.size
    total = 0.0
    for start in range(0, len(work.x), 1000):
        rows = slice(start, start + 1000)
        predictions = model.forward(work.x[rows])
        total -= np.sum(work.targets[rows] * np.log(np.maximum(predictions, 1e-15)))
    return total / len(work.x)


def check_same(name, params, reference, work, tolerance):
    """Raise AssertionError unless both come from the same work: an epoch of training.

    The losses must agree to `tolerance`. And since in a short epoch little changes the loss, the
    parameters must have gone the same way: they differ by little of what the epoch changed.
    """
    difference = abs(loss_of(params, work) - loss_of(reference, work))
    assert difference <= tolerance, f"{name}: its loss after an epoch is off by {difference:.1e}"
    way = np.abs(reference - contenders.params_of(contenders.initial(work))).max()
    part = np.abs(params - reference).max() / way
    assert part <= 10 * tolerance, f"{name}: its parameters are off by {part:.1e} of their way"


def peak_memory():
    """Return the most memory that this process has held, in megabytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss would start with what the parent held
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # in bytes on macOS


class Over(BaseException):
    """Ends the training of a contender, which knows no end."""


def serve(connection, contender, case, folder, dtype):
    """Train in a process of its own, so many epochs at a time as the other end asks for.

    Sends the seconds, the peak memory and, after the first epoch, the parameters. A failure is
    sent as a text.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process hears it
    warnings.simplefilter("ignore")
    x, targets = (np.load(f"{folder}/{name}.npy").astype(dtype, copy=False) for name in "xy")
    work = contenders.Work(case.sizes, x, targets, case.batch_size, LEARNING_RATE)
    n_epochs, is_first, start = 1, True, time.perf_counter()

    def epoch_done(params):
        nonlocal n_epochs, is_first, start
        n_epochs -= 1
        if n_epochs > 0:
            return
        seconds, megabytes = time.perf_counter() - start, peak_memory()
        try:
            connection.send((seconds, megabytes, params() if is_first and params else None))
            n_epochs = connection.recv()
        except (EOFError, OSError):
            raise Over from None
        is_first = False
        start = time.perf_counter()

    try:
        contender(work, epoch_done)
    except Over:
        pass
    except Exception as error:  # not installed, or it cannot do this
        connection.send(f"{type(error).__name__}: {error}".splitlines()[0])


class Process:
    """A contender in a process of its own.

    Args:
        contender: a function as in contenders.py.
        case: a Case.
        folder: where its data are.
        dtype: the type of its data, "float64" or "float32".

    Attributes:
        n_epochs: how many make a round.
        megabytes: the most memory that it has held.
        failure: why it cannot take part, or None.
    """

    def __init__(self, contender, case, folder, dtype):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(
            target=serve, args=(other, contender, case, folder, dtype), daemon=True
        )
        self.process.start()
        other.close()
        self.n_epochs, self.megabytes, self.failure = 1, math.nan, None

    def first_epoch(self):
        """Return its seconds, with import, set-up and compilation, and the parameters after it."""
        return self._receive()

    def time_epoch(self):
        """Return the seconds of an epoch, the mean of a round; NaN if it fails."""
        with suppress(OSError):  # if it has ended, that is seen next
            self.connection.send(self.n_epochs)
        return self._receive()[0] / self.n_epochs

    def close(self):
        """End it."""
        self.connection.close()
        self.process.join(timeout=10)  # it ends when its round does
        self.process.terminate()
        self.process.join()

    def _receive(self):
        try:
            answer = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            answer = f"its process ended with status {self.process.exitcode}"
        if isinstance(answer, str):
            self.failure = answer
            return math.nan, None
        seconds, self.megabytes, params = answer
        return seconds, params


@contextmanager
def environment(variables):
    """Set environment variables for the block."""
    before = os.environ.copy()
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


@contextmanager
def one_thread():
    """Bind processes that are started in the block to one thread and, where it can be, one core."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with environment(dict.fromkeys(THREADS, "1")):
        try:
            if cores:
                os.sched_setaffinity(0, {max(cores)})
            yield
        finally:
            if cores:
                os.sched_setaffinity(0, cores)


@contextmanager
def all_cores():
    """Let processes that are started in the block use all cores."""
    with environment({}):
        for name in THREADS:
            os.environ.pop(name, None)
        yield


def measure(table, case, ours, others, n_rounds, dtype="float64", seconds=0.1):
    """Return the Rows of a case.

    A contender that fails is named on stderr and left out.

    Args:
        table: the name of the table that they belong to.
        case: a Case.
        ours: the contender that the others are compared with, in float64.
        others: the other contenders.
        n_rounds: how often each is timed.
        dtype: the type of the others' data.
        seconds: what a round of each takes at least, or one epoch if that takes longer.

    Raises:
        AssertionError: when one does other work than ours.
        RuntimeError: when ours fails.
    """
    x, targets = make_data(case)
    work = contenders.Work(case.sizes, x, targets, case.batch_size, LEARNING_RATE)
    processes, firsts, reference = {}, {}, None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        np.save(f"{folder}/x.npy", x)
        np.save(f"{folder}/y.npy", targets)
        try:
            for contender in (ours, *others):
                name, is_ours = contender.__name__, contender is ours
                process = Process(contender, case, folder, "float64" if is_ours else dtype)
                processes[name] = process
                firsts[name], params = process.first_epoch()
                if is_ours:
                    reference = params
                    if process.failure:
                        raise RuntimeError(f"{case}: {name} fails: {process.failure}")
                elif params is not None:  # the bare products have none
                    check_same(f"{name}, {case}", params, reference, work, TOLERANCES[dtype])
            names = [name for name, process in processes.items() if not process.failure]
            for name in names:  # warm, and how many epochs make a round
                process = processes[name]
                while process.time_epoch() * process.n_epochs < seconds / 2:
                    process.n_epochs *= 2
            rounds = []
            for k in range(n_rounds):
                turn = k % len(names)  # nobody always comes after the same one's threads
                times = {name: processes[name].time_epoch() for name in names[turn:] + names[:turn]}
                rounds.append(times)
        finally:
            for process in processes.values():
                process.close()
    rows = []
    for name, process in processes.items():
        if process.failure:
            print(f"{table}, {case}: no {name}: {process.failure}", file=sys.stderr)
            continue
        low, median, high = np.percentile([times[name] for times in rounds], [25, 50, 75]).tolist()
        ratio = statistics.median(times[name] / times[ours.__name__] for times in rounds)
        numbers = median, low, high, ratio, firsts[name], process.megabytes
        rows.append(Row(table, str(case), name, *numbers))
    return rows
