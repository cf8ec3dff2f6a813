"""Runs one piece of a submission, in a process of its own, and sends what it measured.

It judges nothing. The pieces are the perceptron, the layers with the network, and the trainer.
"""

import dataclasses
import json
import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from grading.part_1 import generate_dataset, perceptron
from grading.part_2 import layers, network
from grading.part_3 import accuracy, runs
from grading.process.conventions import Conventions, classes_of, find_parameters, new_linear
from grading.process.loading import accept_old_sklearn, load, use_stand_ins
from grading.process.raised import described

ROOT = Path(__file__).parents[1]


def measure_perceptron(paths, _, got):
    module = imported(paths["perceptron"], got)
    got["data"] = generate_dataset.measure(module)
    kind = classes_of(module).get("Perceptron")
    got["perceptron"] = perceptron.measure(module, kind)


def measure_layers(paths, conventions, got):
    got["conventions"] = conventions
    found = classes_of(imported(paths["modules"], got))
    try:
        found = classes_of_network(paths, got) | found
    except Exception as error:  # the layers can be judged without a network
        got["network_raised"] = described(error)
    got["classes"] = {name: kind.__name__ for name, kind in found.items()}
    got["networks"] = network.measure(found, conventions, got)
    has_run = any("outputs" in result for result in got["networks"])
    got["layers"] = layers.measure(found, conventions, has_run)


def measure_trainer(paths, conventions, got):
    found = classes_of(imported(paths["modules"], got))
    found = classes_of_network(paths, got) | found
    find_parameters(new_linear(found, 3, 4), 3, 4, conventions)
    for path in paths["trainer"].parent.glob("*.py"):
        if "OneHotEncoder" in path.read_text(encoding="utf-8", errors="replace"):
            accept_old_sklearn()
    got.update(runs.measure(paths["trainer"], found, conventions))
    got["accuracy"] = accuracy.measure(paths["trainer"])


PIECES = {
    "perceptron": measure_perceptron,
    "layers": measure_layers,
    "trainer": measure_trainer,
}


def classes_of_network(paths, got):
    """Import the network; return the classes by the assignment's names."""
    if "mlp" not in paths:
        return {}
    return classes_of(imported(paths["mlp"], got))


def imported(path, got):
    """Import a file, and leave its name in `got` if that fails."""
    got["importing"] = path.name
    module = load(path)
    del got["importing"]
    return module


def run(piece, paths, conventions, folder, memory, connection):
    """Measure a piece, and send it as JSON: the main function of the process.

    Args:
        piece: a key of PIECES.
        paths: the files by role, in the copy of the submission.
        conventions: fields of Conventions that are known.
        folder: the copy.
        memory: bytes that may be used.
        connection: the end of a pipe.
    """
    send = connection.send_bytes
    dumps = json.dumps
    prepare(folder, memory)
    hold_numpy()
    got = {"files": {role: path.name for role, path in paths.items()}}
    try:
        PIECES[piece](paths, Conventions(**conventions), got)
    except BaseException as error:  # an exit and an interrupt as well
        got["raised"] = described(error, folder)
    send(dumps(got, default=as_json).encode())
    os._exit(0)


def prepare(folder, memory):
    """Set up the process: limits, no input, no output, nothing of this project on the path."""
    if hasattr(os, "setsid"):
        os.setsid()  # so that it can be ended with all that it starts
    limit_memory(memory)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in 0, 1, 2:
        os.dup2(nothing, stream)
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
    os.chdir(folder)
    warnings.filterwarnings("ignore")
    np.seterr(all="ignore")
    np.random.seed(0)  # noqa: NPY002
    use_stand_ins()


def limit_memory(memory):
    """Let no more memory be had, where the system knows such a limit."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def hold_numpy():
    """Give the grader's modules a NumPy of their own, whatever a submission makes of the other."""
    own = SimpleNamespace(**vars(np))
    for name, module in list(sys.modules.items()):
        if name.startswith("grading.") and hasattr(module, "np"):
            module.np = own


# What goes from process to process


def as_json(value):
    """Return what JSON lacks: an array as a dict of lists, anything else in words."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"array": value.tolist()}
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    return repr(value)[:100]


def of_json(value):
    """Return an array that `as_json` wrote."""
    return np.array(value["array"]) if set(value) == {"array"} else value
