"""Part III: the runs of a study, trained on many cores, and saved as they finish.

A run is known by its *key*: the batch size, a text such as "16" or "full", and the seed. What is
compared is in batch_sizes.py, what is made of the runs in spread.py, and how several machines train
them in cluster.py.
"""

import json
import signal
import sys
import time
from contextlib import suppress
from typing import NamedTuple

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from experiments.runs import name_of, train_from_seed
from train_mlp_numpy import COLUMNS

HISTORIES = "histories.jsonl"
RUNS = "runs.csv"


class FinishedRun(NamedTuple):
    """What is kept of a run."""

    history: dict  # as `train` returns it
    seconds: float  # that it took


class Study:
    """The runs that have finished, in memory and, if there is a folder, in a file there.

    Each run is a line of histories.jsonl, written when it has finished. So whoever is interrupted
    or killed loses the runs under way, and no other.

    Attributes:
        folder: the Path of the folder, or None: then nothing is read or written.
        settings: how all runs are trained: a dict of texts by the names of flags.
        runs: a dict of FinishedRuns by their keys.
    """

    def __init__(self, folder, settings):
        self.folder = folder
        self.settings = settings
        self.runs = {}
        self.file = None

    def begin(self, names, seeds, resume):
        """Open the file of the folder, and take in its runs if they are to be resumed.

        The file is locked until `close`, so that no other command makes the same runs.

        Args:
            names: the batch sizes that are to be trained, as texts.
            seeds: the seeds that each of them is to be trained from, a range.
            resume: whether to take in the runs.

        Raises:
            ValueError: if there are runs that are not resumed, that have other settings or that
                would be lost; if a file is damaged; or if another command has locked the file.
            OSError: if the folder or the file cannot be opened.
        """
        path = self.folder / HISTORIES
        self.folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            self.check_results(names, seeds)  # before there is a new, empty file
        self.file = open(path, "a+b")  # noqa: SIM115 (`close` closes it)
        lock(self.file, self.folder)
        end_of_last_line = self.take_in(path, resume)
        self.check_results(names, seeds)
        self.file.truncate(end_of_last_line)

    def check_results(self, names, seeds):
        """Raise ValueError if runs.csv has a run that is neither planned nor in the study.

        Results without histories are what is committed: of each run only its end is left.
        """
        path = self.folder / RUNS
        if not path.exists():
            return
        try:
            runs = pd.read_csv(path, dtype=str, na_filter=False).to_dict("records")
            reasons = [self.reason_to_keep(run, names, seeds) for run in runs]
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"{path} is no table of runs; name another folder or remove it"
            ) from error
        for reason in reasons:
            if reason is not None:
                raise ValueError(
                    f"{path} has runs that this command would not make again ({reason}); "
                    "name another folder or remove it"
                )

    def reason_to_keep(self, run, names, seeds):
        """Return why a run of runs.csv would be lost, or None; `run` is a dict of texts."""
        for name, value in self.settings.items():
            if run[name] != value:
                return f"--{name} {run[name]}"
        key = (run["batch_size"], int(run["seed"]))
        is_planned = key[0] in names and key[1] in seeds
        if is_planned or key in self.runs:
            return None
        return f"batch size {key[0]}, seed {key[1]}"

    def take_in(self, path, resume):
        """Read the runs of the file, which is at `path`; return where its last whole line ends."""
        self.file.seek(0)
        content = self.file.read()
        end_of_last_line = content.rfind(b"\n") + 1
        lines = content[:end_of_last_line].splitlines()
        n_runs = sum(1 for line in lines if line.strip())
        if n_runs > 0 and not resume:
            raise ValueError(
                f"{path} has {n_runs} runs; pass --resume to add to them, "
                "name another folder or remove the file"
            )
        for number, line in enumerate(lines, 1):
            if line.strip():
                self.take_in_line(line, f"line {number} of {path}")
        return end_of_last_line

    def take_in_line(self, line, place):
        """Take in the run of a line, which is at `place`."""
        try:
            entry = json.loads(line)
            key = (entry["batch_size"], entry["seed"])
            run = FinishedRun(as_arrays(entry["history"]), float(entry["seconds"]))
            settings = {name: entry[name] for name in self.settings}
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{place} is no run of a study; remove the line or the file"
            ) from error
        for name, value in settings.items():
            if value != self.settings[name]:
                raise ValueError(
                    f"{place} is of --{name} {value}, not {self.settings[name]}; "
                    "give the same, name another folder or remove the file"
                )
        self.runs[key] = run

    def add(self, name, seed, history, seconds):
        """Take in a run that has finished, and write its line if there is a file."""
        if self.file is not None:
            self.write(name, seed, history, seconds)
        self.runs[name, seed] = FinishedRun(history, seconds)

    def write(self, name, seed, history, seconds):
        """Write the line of a run."""
        entry = dict(self.settings)
        entry["batch_size"] = name
        entry["seed"] = seed
        entry["seconds"] = seconds
        entry["history"] = {column: history[column].tolist() for column in COLUMNS}
        line = json.dumps(entry) + "\n"
        self.file.write(line.encode())
        self.file.flush()

    def close(self):
        """Close the file, which also unlocks it."""
        if self.file is not None:
            with suppress(OSError):  # the disk is full: `write` has told of it
                self.file.close()


def read_runs(folder):
    """Return the runs.csv that a study has left in its output folder, as a table of ends."""
    return pd.read_csv(f"{folder}/{RUNS}", dtype={"batch_size": str})


def as_arrays(history):
    """Return the history of a line, a dict of lists, as `train` returned it.

    Raises:
        KeyError, TypeError, ValueError: if it is not such a dict, with lists of equal length.
    """
    table = np.array([history[column] for column in COLUMNS], dtype=float)
    if table.ndim != 2 or table.size == 0:
        raise ValueError("a history has entries")
    arrays = dict(zip(COLUMNS, table, strict=True))
    arrays["epoch"] = arrays["epoch"].astype(int)
    return arrays


def lock(file, folder):
    """Lock the file of a study in this folder; where there are no locks, print that.

    Raises:
        ValueError: if another command has locked it.
    """
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ValueError(
            f"another command is at work in {folder}; wait for its end, or name another folder"
        ) from error
    except (ImportError, OSError):  # on Windows, and on some disks of a network
        print(
            f"no file can be locked in {folder}: see that no other command works there meanwhile",
            file=sys.stderr,
        )


def finished_runs(tasks, n_jobs):
    """Return a generator of the runs, as `train_run` returns them, in the order of their ends.

    Args:
        tasks: an iterator of tuples, the arguments of `train_run`. A task is taken when there is
            soon room for it, so there may be any number.
        n_jobs: how many runs at a time, -1 for as many as there are cores.
    """
    # A batch of joblib's is one run here, so that none that has finished waits for another.
    parallel = Parallel(n_jobs, batch_size=1, return_as="generator_unordered")
    # A terminal sends Ctrl-C to every process. Those that start here ignore it, as they inherit
    # that: it is for us to end them.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return parallel(delayed(train_run)(*task) for task in tasks)
    finally:
        signal.signal(signal.SIGINT, handler)


def train_run(data, n_hidden, batch_size, seed, options):
    """Train one network; return the text of its batch size, its seed, history and seconds.

    Raises:
        FloatingPointError: if it diverges.
    """
    name = name_of(batch_size)
    start = time.perf_counter()
    try:
        _, history = train_from_seed(data, seed, n_hidden, batch_size=batch_size, **options)
    except FloatingPointError as error:
        raise FloatingPointError(f"batch size {name}, seed {seed}: {error}") from error
    seconds = time.perf_counter() - start
    return name, seed, history, round(seconds, 4)
