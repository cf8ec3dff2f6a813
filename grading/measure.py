"""Measures a submission: each piece in a process of its own, on a copy, with limits.

Where the system has a fork server, NumPy is imported once, and for a class scikit-learn and
Matplotlib, too; each process begins with them. On Windows each imports them itself, and memory has
no limit.

This is no sandbox: a submission can read files and use the network.
"""

import json
import multiprocessing
import os
import signal
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from unittest.mock import patch

from grading import judge, probe
from grading.process.copying import copy

FOR_MANY = [  # what is imported once for all submissions of a class
    "matplotlib.pyplot",
    "sklearn.datasets",
    "sklearn.metrics",
    "sklearn.model_selection",
    "sklearn.preprocessing",
]
ENVIRONMENT = {
    "MPLBACKEND": "Agg",  # no windows
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
server_is_started = threading.Lock()
running = []  # the processes that were started and have not ended


def rows_of(folder, files, time_limit=60, memory=4 * 2**30, given=None):
    """Return the rows of a submission, and sentences on its conventions.

    Args:
        folder: the folder of the submission.
        files: its files by role, as paths: perceptron, modules, mlp, trainer, and, if the trainer
            has a network of its own, trainer_modules and trainer_mlp. None is a missing file.
        time_limit: seconds that a piece may take.
        memory: bytes that a piece may use.
        given: fields of Conventions that the teacher knows.
    """
    start_server()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        target = Path(scratch, "submission").resolve()
        copy(folder, target)
        names = {}
        for role, path in files.items():
            if path is not None:
                names[role] = Path(path).relative_to(folder)
        measured = measure(target, names, Limits(time_limit, memory), given or {})
    return judge.rows_of(measured, names, Path(folder))


@dataclass
class Limits:
    """What a piece may use: seconds and bytes."""

    seconds: float
    memory: int


def measure(folder, names, limits, given):
    """Return what was measured of each piece, or {"missing": role}."""
    known = {**given, "given": tuple(given)}
    part_1 = Piece("perceptron", folder, names, {"perceptron": "perceptron"}, limits, {})
    part_3 = Piece("trainer", folder, names, files_of_trainer(names), limits, known)
    measured = {"trainer": part_3.wait()}
    of_network = {"modules": "modules", "mlp": "mlp"}
    seen = measured["trainer"].get("seen", {})
    known["softmax_outside"] = bool(seen.get("softmax_outside"))
    known["takes_batches"] = takes_batches(measured["trainer"].get("runs", []))
    measured["layers"] = Piece("layers", folder, names, of_network, limits, known).wait()
    measured["perceptron"] = part_1.wait()
    return measured


def takes_batches(runs):
    """Return whether the trainer passed several samples at a time; None if it passed nothing."""
    most = 0
    for run in runs:
        for training in run["trainings"]:
            for step in training["steps"]:
                most = max(most, *step["pass_sizes"])
    return most > 1 if most else None


def files_of_trainer(names):
    """Return by role the names of the files that the trainer uses: its own, if it has some."""
    of_trainer = {"trainer": "trainer"}
    for role in "modules", "mlp":
        own = f"trainer_{role}"
        of_trainer[role] = own if own in names else role
    return of_trainer


class Piece:
    """A piece of a submission, which is measured in a process of its own."""

    def __init__(self, piece, folder, names, roles, limits, known):
        self.limits = limits
        self.process = None
        self.paths = {}
        for role, name in roles.items():
            if name in names:
                self.paths[role] = folder / names[name]
        needed = {"layers": "modules"}.get(piece, piece)
        self.missing = needed not in self.paths
        if self.missing:
            return
        self.connection, other = context().Pipe(duplex=False)
        arguments = (piece, self.paths, known, folder, limits.memory, other)
        self.process = context().Process(target=probe.run, args=arguments)
        running.append(self.process)
        self.process.start()
        other.close()

    def wait(self):
        """Return what was measured."""
        if self.missing:
            return {"missing": True}
        try:
            if self.connection.poll(self.limits.seconds):
                answer = self.connection.recv_bytes()
                return json.loads(answer, object_hook=probe.of_json)
            text = f"took longer than {self.limits.seconds:g} s"
            return {"raised": {"type": "", "kind": "late", "text": text, "where": ""}}
        except (EOFError, OSError, ValueError):
            text = "ended the process by itself"
            return {"raised": {"type": "", "kind": "ended", "text": text, "where": ""}}
        finally:
            stop(self.process)
            self.connection.close()


def start_server(for_many=False):
    """Start the server that processes begin with, if there is one and it does not run yet.

    Args:
        for_many: whether it imports what the submissions of a class import. For a single one, its
            own imports take no longer.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        os.environ.update(ENVIRONMENT)
        return
    with server_is_started:
        imported = [probe.__name__]
        if for_many:
            imported += FOR_MANY
        multiprocessing.set_forkserver_preload(imported)
        root = str(Path(__file__).parents[1])
        with patch.dict(os.environ, {**ENVIRONMENT, "PYTHONPATH": root}):
            forkserver.ensure_running()


def context():
    """Return the way in which processes are started."""
    has_server = "forkserver" in multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if has_server else "spawn")


def stop(process):
    """End a process, and all that it has started."""
    if process.pid:
        with suppress(ProcessLookupError, PermissionError, AttributeError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(ProcessLookupError):
            process.kill()
        process.join()
    with suppress(ValueError):
        running.remove(process)


def stop_all():
    """End all processes that were started."""
    for process in list(running):
        stop(process)
