"""Part III: the runs of a study, on many cores, and on disk as they finish.

Not here: what is compared, and what is made of it (batch_sizes.py).
"""

import json
import math
import os
import signal
import threading
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
from joblib import Parallel, delayed, effective_n_jobs, parallel_config

from experiments.runs import name_of, train_from_seed
from train_mlp_numpy import COLUMNS

HISTORIES, RUNS = "histories.jsonl", "runs.csv"


def train_run(data, n_hidden, batch_size, seed, options):
    """Train one network; return the text of its batch size, its seed, history and seconds."""
    name, start = name_of(batch_size), time.perf_counter()
    try:
        _, history = train_from_seed(data, seed, n_hidden, batch_size=batch_size, **options)
    except (FloatingPointError, ValueError) as error:
        raise type(error)(f"batch size {name}, seed {seed}: {error}") from error
    return name, seed, history, round(time.perf_counter() - start, 4)


def finished_runs(tasks, n_jobs=-1, client=None):
    """Return an iterator of what `train_run` returns for the tasks, its arguments, as they end.

    They run here, `n_jobs` at a time, or where a `client` of a Dask cluster sends them.
    """
    place = {"n_jobs": min(effective_n_jobs(n_jobs), max(len(tasks), 1))}  # idle ones take memory
    if client:
        place = {"backend": "dask", "client": client}
    # A terminal sends these to every process; those that are started here shall ignore them.
    with signals_to(signal.SIG_IGN, "SIGINT", "SIGHUP"), parallel_config(**place):
        # A batch of joblib's is one run, so that none that has finished waits for another. The data
        # are small, and need no file that the processes share.
        parallel = Parallel(batch_size=1, return_as="generator_unordered", max_nbytes=None)
        return parallel(delayed(train_run)(*task) for task in tasks)


@contextmanager
def signals_to(handler, *names):
    """Give signals a handler, but for those that are ignored, as `nohup` has them ignored."""
    before = {}
    if threading.current_thread() is threading.main_thread():  # Python lets no other do this
        for signum in (signal.Signals[name] for name in names if hasattr(signal, name)):
            if signal.getsignal(signum) != signal.SIG_IGN:
                before[signum] = signal.signal(signum, handler)
    try:
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old)


def interrupt(signum, frame):
    """Stop as Ctrl-C does, and tell which signal it was."""
    raise KeyboardInterrupt(signum)


class Study:
    """The runs that have finished, histories and seconds by batch size and seed, and their file.

    Each is a line of histories.jsonl, written when it has finished: whoever is killed loses the
    runs under way, but no other. Without a folder, None, nothing is read or written.
    """

    def __init__(self, folder, settings):
        self.folder, self.settings, self.runs = folder, settings, {}

    def begin(self, keys, resume):
        """Take in the runs of the folder to resume them, or see that none is to be replaced.

        Args:
            keys: the runs that are to be made, pairs of a batch size, as text, and a seed.
            resume: whether to take in.

        Raises:
            ValueError: when there are runs that are not resumed, or have other settings, or when a
                file is damaged or somebody else's.
        """
        path, results = self.folder / HISTORIES, self.folder / RUNS
        content = path.read_bytes() if path.exists() else b""
        end = content.rfind(b"\n") + 1  # the last line may be cut off
        lines, remedy = content[:end].splitlines(), "name another folder or remove the file"
        if lines and not resume:
            raise ValueError(
                f"{path} has {len(lines)} runs; pass --resume to add to them, {remedy}"
            )
        for n, line in enumerate(lines, 1):
            try:
                key, run, settings = read_run(line)
                others = [name for name in self.settings if settings[name] != self.settings[name]]
            except Exception:  # a file can be broken in many ways
                what = f"line {n} of {path} is no run of a study"
                raise ValueError(f"{what}; remove the line or the file") from None
            if others:
                flag = f"--{others[0]} {settings[others[0]]}, not {self.settings[others[0]]}"
                raise ValueError(f"{path} is of {flag}; give the same, {remedy}")
            self.runs[key] = run
        # Results without histories, as they are committed, may be replaced by the same runs alone.
        if not lines and results.exists():
            ours = {(name, str(seed), *self.settings.values()) for name, seed in keys}
            if not rows_of(results, ["batch_size", "seed", *self.settings]) <= ours:
                raise ValueError(f"{results} has runs that are not to be made again; {remedy}")
        if end < len(content):
            os.truncate(path, end)

    def add(self, name, seed, history, seconds):
        """Take in a run that has finished."""
        history = {column: history[column].tolist() for column in COLUMNS}
        if self.folder:
            entry = {"batch_size": name, "seed": seed, "seconds": seconds, "history": history}
            with open(self.folder / HISTORIES, "a") as file:
                file.write(json.dumps(self.settings | entry) + "\n")
        self.runs[name, seed] = history, seconds


def read_run(line):
    """Return the key and the value of Study.runs for a line of histories.jsonl, and its settings.

    What is no such line, is some Exception.
    """
    settings = json.loads(line)
    name, seed, history = (settings.pop(key) for key in ("batch_size", "seed", "history"))
    columns = [history[name] for name in COLUMNS]
    values = np.array(columns)
    seconds = settings.pop("seconds")
    is_right = isinstance(name, str) and type(seed) is int and values.ndim == 2 and values.size
    if not (is_right and np.isfinite(values).all() and math.isfinite(seconds)):
        raise ValueError("wrong values")
    return (name, seed), (dict(zip(COLUMNS, columns, strict=True)), seconds), settings


def rows_of(path, columns):
    """Return these columns of a CSV file as a set of rows, or {None} if it does not have them."""
    try:
        table = pd.read_csv(path, dtype=str, na_filter=False)[columns]
    except (KeyError, ValueError):
        return {None}
    return {*table.itertuples(index=False, name=None)}
