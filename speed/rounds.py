"""Contenders take turns, each in a process of its own with one thread and, if possible, one core.

In each round, each of them trains for a twentieth to a tenth of a second, or for one epoch if that
takes longer. So a change of the machine's speed hits all alike, and none is slowed by the threads
of another.
"""

import multiprocessing
import os
import signal
import sys
import time
import warnings
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from speed import contenders
from train_mlp_numpy import load_data

TOLERANCE = 1e-5  # the largest difference of a parameter, as a fraction of the largest change


class Case(NamedTuple):
    """A network and its data."""

    sizes: tuple  # the units of the layers, from the inputs to the classes
    dataset: str  # of load_data, or "random"
    n_rows: int  # for training
    batch_size: int

    def __str__(self):
        sizes = "-".join(str(size) for size in self.sizes)
        if self.batch_size == self.n_rows:
            return f"{sizes}, full batch"
        return f"{sizes}, batch {self.batch_size}"


class Result(NamedTuple):
    """What was measured for a contender in a case."""

    case: str
    contender: str
    seconds: float  # of an epoch with its shuffle: the median of all rounds
    low: float  # the first quartile of the seconds
    high: float  # the third
    ratio: float  # to the seconds of ours in the same round: the median


def measure(case, ours, others, n_rounds, seconds=0.1):
    """Return the Results of a case, of `ours` and of the others, which are compared with it.

    Each is timed `n_rounds` times, for half of these seconds up to all of them, or for one epoch if
    that takes longer. A contender that fails is named on stderr and left out.

    Raises:
        ValueError: if a contender does other work than ours.
        RuntimeError: if ours fails in its first epoch.
    """
    processes = {}
    for contender in (ours, *others):
        processes[contender.__name__] = Process(contender, case)
    try:
        check_first_epoch(case, ours.__name__, processes)
        n_epochs = {}
        for name, process in processes.items():
            n_epochs[name] = epochs_in_a_round(process, seconds)
        times = take_turns(processes, n_epochs, n_rounds)
    finally:
        for process in processes.values():
            process.close()

    results = []
    for name, process in processes.items():
        if process.failure:
            print(f"{case}: no {name}: {process.failure}", file=sys.stderr)
        else:
            results.append(as_result(case, name, times[name], times[ours.__name__]))
    return results


def check_first_epoch(case, our_name, processes):
    """Have each train for an epoch, and raise an error unless all come to our parameters."""
    ours = processes[our_name]
    _, our_params = ours.run(1)
    if ours.failure:
        raise RuntimeError(f"{case}: {our_name} fails: {ours.failure}")
    work = make_work(case)
    for name, process in processes.items():
        if name == our_name:
            continue
        _, params = process.run(1)
        if params is not None:  # matrix_products has none
            check_same(f"{name}, {case}", params, our_params, work)


def epochs_in_a_round(process, seconds):
    """Return a number of epochs that takes at least half of these seconds; 1 if it fails."""
    n_epochs = 1
    while process.run(n_epochs)[0] < seconds / 2:
        n_epochs *= 2
    return n_epochs


def take_turns(processes, n_epochs, n_rounds):
    """Return, for each name, an array of the seconds that an epoch took in each round."""
    times = {name: [] for name in processes}
    names = list(processes)
    for _ in range(n_rounds):
        for name in names:
            seconds, _ = processes[name].run(n_epochs[name])
            times[name].append(seconds / n_epochs[name])
        first = names.pop(0)
        names.append(first)  # so that the first one goes last in the next round
    return {name: np.array(seconds) for name, seconds in times.items()}


def as_result(case, name, times, our_times):
    """Return the Result of a contender from the seconds of all rounds, its own and ours."""
    low, median, high = np.percentile(times, [25, 50, 75])
    ratio = np.median(times / our_times)
    return Result(str(case), name, float(median), float(low), float(high), float(ratio))


def make_work(case):
    """Return the Work of a case."""
    if case.dataset == "random":
        rng = np.random.default_rng(0)
        labels = rng.integers(case.sizes[-1], size=case.n_rows)
        x = rng.normal(0, 0.1, (case.n_rows, case.sizes[0]))
        targets = np.eye(case.sizes[-1])[labels]
    else:
        n_samples = case.n_rows * 5 // 4  # load_data keeps a fifth for testing
        if case.dataset == "digits":
            n_samples = 1797
        data = load_data(case.dataset, n_samples)
        x = data.x_train
        targets = data.y_train
    return contenders.Work(case.sizes, x, targets, case.batch_size, learning_rate=0.01)


def check_same(name, params, our_params, work):
    """Raise ValueError if, after an epoch, these parameters differ from ours too much."""
    start = contenders.flat(contenders.pairs(contenders.initial(work).linear_layers))
    change = np.abs(our_params - start).max()
    relative_error = np.abs(params - our_params).max() / change
    if not relative_error <= TOLERANCE:  # not >, so that NaN is an error
        raise ValueError(
            f"{name}: after an epoch its parameters differ from ours by {relative_error:.0e} of "
            "what the epoch changed"
        )


class Process:
    """A contender in a process of its own; `failure` says why it cannot take part, or is None."""

    def __init__(self, contender, case):
        context = multiprocessing.get_context("spawn")
        self.failure = None
        self.connection, other_end = context.Pipe()
        self.process = context.Process(target=serve, args=(other_end, contender, case), daemon=True)
        self.process.start()
        other_end.close()

    def run(self, n_epochs):
        """Return the seconds of so many epochs, or NaN if it fails, and the parameters or None.

        Only its first answer has parameters.
        """
        if self.failure is None:
            answer = self.ask(n_epochs)
            if not isinstance(answer, str):
                return answer
            self.failure = answer
        return np.nan, None

    def ask(self, n_epochs):
        """Return the answer of the process, or a text that says why there is none."""
        try:
            self.connection.send(n_epochs)
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return f"its process ended with status {self.process.exitcode}"

    def close(self):
        """End it."""
        self.process.terminate()
        self.process.join()


def serve(connection, contender, case):
    """Train when the main process asks for it; this is what a contender's process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process
    warnings.simplefilter("ignore")
    keep_to_one_thread()
    try:
        work = make_work(case)
        clock = EpochClock(connection)
        clock.wait()
        contender(work, clock.epoch_done)
    except (EOFError, BrokenPipeError):  # nobody asks any more
        return
    except Exception as error:  # not installed, or it cannot do this
        first_line = str(error).partition("\n")[0]
        connection.send(f"{type(error).__name__}: {first_line}")


def keep_to_one_thread():
    """Give this process one thread and, where it can be, one core."""
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = "1"
    threadpool_limits(1)  # of what is loaded already
    if hasattr(os, "sched_setaffinity"):
        core = max(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {core})


class EpochClock:
    """Times as many epochs as the main process asks for, again and again.

    It answers with the seconds that they took and, after the first epoch only, the parameters.
    """

    def __init__(self, connection):
        self.connection = connection
        self.is_first = True

    def wait(self):
        """Wait until the main process asks for epochs."""
        self.n_epochs = self.connection.recv()
        self.start = time.perf_counter()

    def epoch_done(self, get_params):
        """Count an epoch, and answer after the last. A contender calls it, see contenders.py."""
        self.n_epochs -= 1
        if self.n_epochs > 0:
            return
        seconds = time.perf_counter() - self.start
        params = None
        if self.is_first and get_params is not None:
            params = get_params()
        self.is_first = False
        self.connection.send((seconds, params))
        self.wait()
