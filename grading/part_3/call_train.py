"""In the submission's process: calls `train`, where its script does not show what it does.

Every argument has a certain role. Nothing is given to a parameter that is not understood.
"""

import ast
from itertools import product

import numpy as np

from grading.part_3.command_line import HIDDEN, SIZE, VALUES, Line
from grading.part_3.watch import FEW_PASSES, MOST_PASSES
from grading.process.calls import call, parameters_of, role_of
from grading.process.conventions import new_network
from grading.process.raised import NotUnderstood

N_ROWS = 800  # to train on; 200 are for the test
OURS = {"model", "loss", "data", "x_train", "y_train", "x_test", "y_test"}


def call_train(script):
    """Return the runs of `train`: by default, with batches, and with batches of one row.

    Args:
        script: a runs.Script that was run; what it defined is called.
    """
    train = script.space.get("train")
    if not callable(train):
        return []
    takes_size = any(role_of(p.name) == "batch_size" for p in parameters_of(train))
    has_rate = any("learning_rate" in run["given"] and run["trainings"] for run in script.runs)
    sizes = [] if has_rate else [None]  # else the script has shown it
    if takes_size:
        sizes += [SIZE, 1]
    runs = []
    for size in sizes:
        runs.append(first_that_trains(script, train, size))
        if not runs[-1]["trainings"]:
            break
    return runs


def first_that_trains(script, train, size):
    """Return the run of the first form of arguments with which `train` trains, or does not raise.

    Hidden units may be text or a list, targets one-hot or class numbers.
    """
    runs = []
    for is_one_hot, hidden in product([True, False], [str(HIDDEN), [HIDDEN]]):
        values = {**VALUES, **data(is_one_hot), "hidden": hidden}
        how = ""
        if size:
            values["batch_size"] = size
            how = f"batch_size = {size}"
        arguments = Arguments(script, train, values)
        most_passes = FEW_PASSES if size == 1 else MOST_PASSES
        run = script.watch(arguments.call, Line(how=how), most_passes)
        given = {**VALUES, "batch_size": size} if size else VALUES
        run["given"] = {role: given[role] for role in given if role in arguments.roles}
        run["is_called"] = True
        raised = run["raised"]
        if raised and OURS & arguments.roles and raised["kind"] != "unclear":
            # what it was given may not be what it wants
            words = f"raises {raised['type']}: {raised['text']}"
            raised["text"] = f"train, called with data of ours, {words}"
            raised["kind"] = "unclear"
        if run["trainings"]:
            return run
        runs.append(run)
    return min(runs, key=lambda run: run["raised"] is not None)


class Arguments:
    """Arguments for `train`, each made for its role."""

    def __init__(self, script, train, values):
        self.script = script
        self.train = train
        self.values = values  # by role
        self.roles = set()  # of the parameters that got one

    def call(self):
        """Call `train`.

        Raises:
            NotUnderstood: if it wants something that is not understood.
        """
        arguments = {}
        for p in parameters_of(self.train):
            role = role_of(p.name)
            if role in self.values:
                arguments[p.name] = self.values[role]
            elif p.default is not p.empty:
                continue
            else:
                arguments[p.name] = self.needed(role, p.name)
            self.roles.add(role)
        self.train(**arguments)

    def needed(self, role, name):
        """Return the value for a parameter without a default."""
        found = self.script.found
        if role == "model":
            return new_network(found, (2, HIDDEN, 2), N_ROWS)
        if role == "loss":
            return call(found["CrossEntropy"])
        if role == "batch_size":
            return N_ROWS
        if role == "data":
            return self.data_in_order(name)
        for action in self.script.actions:
            if action.dest == name:
                return action.default
        raise NotUnderstood(f"train has a parameter {name}: what is it for?")

    def data_in_order(self, name):
        """Return the data in the order in which the trainer unpacks them."""
        for node in ast.walk(self.script.tree):
            is_unpacking = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
            if is_unpacking and ast.unparse(node.value) == name:
                roles = [role_of(ast.unparse(target)) for target in node.targets[0].elts]
                if all(role in self.values for role in roles):
                    return tuple(self.values[role] for role in roles)
        raise NotUnderstood(f"train has a parameter {name}: what is in it?")


def data(is_one_hot):
    """Return two half circles by role: 800 rows to train on, 200 for the test."""
    rng = np.random.RandomState(0)
    labels = np.arange(N_ROWS + 200) % 2
    angles = np.pi * rng.uniform(size=len(labels))
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = np.where(labels[:, None], [1, 0.5] - upper, upper)
    x = x + rng.normal(0, 0.2, x.shape)
    y = np.eye(2)[labels] if is_one_hot else labels
    return {
        "x_train": x[:N_ROWS],
        "y_train": y[:N_ROWS],
        "x_test": x[N_ROWS:],
        "y_test": y[N_ROWS:],
    }
