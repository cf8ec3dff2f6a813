"""In the submission's process: calls `train`, where its script does not show what it does.

Every argument has a certain role. Nothing is given to a parameter that is not understood.
"""

import ast
import inspect

import numpy as np

from grading.part_3.command_line import HIDDEN, SIZE, VALUES, Line
from grading.part_3.watch import MOST_PASSES
from grading.process.calls import call, parameters_of, role_of
from grading.process.conventions import new_network
from grading.process.raised import NotUnderstood

N_ROWS = 800  # to train on; 200 are for the test
FEW_PASSES = 920  # of single rows: an epoch and a part of the second
OURS = ("model", "loss", "data", "x_train", "y_train", "x_test", "y_test")


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
    runs = []
    for size in None, SIZE, 1:
        if size and not takes_size:
            break
        if size is None and has_rate:
            continue  # the script has shown it
        run = first_that_trains(script, train, size)
        runs.append(run)
        if not run["trainings"]:
            break
    return runs


def first_that_trains(script, train, size):
    """Return the run of the first form of arguments with which `train` trains, or the first run."""
    runs = []
    for form in forms_of(train):
        given = {**VALUES, "hidden": HIDDEN}
        how = ""
        if size:
            given["batch_size"] = size
            how = f"batch_size = {size}"
        line = Line([], given, how)
        arguments = Arguments(script, train, form, size)
        most_passes = FEW_PASSES if size == 1 else MOST_PASSES
        run = script.runner.run(arguments.call, line, most_passes)
        run["given"] = {role: given[role] for role in given if role in arguments.roles}
        run["is_called"] = True
        if run["raised"] and set(OURS) & set(arguments.roles):
            # what it was given may not be what it wants
            run["raised"]["text"] = f"train, called with data of ours, {words_of(run['raised'])}"
            run["raised"]["kind"] = "unclear"
        if run["trainings"]:
            return run
        runs.append(run)
    return runs[0]


def words_of(raised):
    """Return an exception in words; what is unclear is said as it is."""
    if raised["kind"] == "unclear":
        return raised["text"]
    return f"raises {raised['type']}: {raised['text']}"


def forms_of(train):
    """Return forms of arguments: hidden units as text or as a list, targets one-hot or not."""
    roles = [role_of(p.name) for p in parameters_of(train)]
    hidden = [str(HIDDEN), [HIDDEN]] if "hidden" in roles else [None]
    takes_targets = "y_train" in roles or "data" in roles or "targets" in roles
    targets = ["one-hot", "class numbers"] if takes_targets else ["one-hot"]
    forms = []
    for of_targets in targets:
        for of_hidden in hidden:
            forms.append({"targets": of_targets, "hidden": of_hidden})
    return forms


class Arguments:
    """Arguments for `train`, each made for its role."""

    def __init__(self, script, train, form, size):
        self.script = script
        self.train = train
        self.form = form
        self.size = size
        self.roles = []

    def call(self):
        """Call `train`.

        Raises:
            NotUnderstood: if it wants something that is not understood.
        """
        arguments = {}
        for p in parameters_of(self.train):
            value = self.value_for(p)
            if value is not inspect.Parameter.empty:
                arguments[p.name] = value
        self.train(**arguments)

    def value_for(self, p):
        """Return the value for a parameter, or Parameter.empty to leave it at its default."""
        role = role_of(p.name)
        has_default = p.default is not p.empty
        value = self.values().get(role, p.empty)
        if value is p.empty and has_default:
            return p.empty
        if value is p.empty and role == "model":
            value = new_network(self.script.runner.found, (2, HIDDEN, 2), N_ROWS)
        elif value is p.empty and role == "loss":
            value = call(self.script.runner.found["CrossEntropy"])
        elif value is p.empty and role == "data":
            value = self.data_in_order(p.name)
        elif value is p.empty and role == "batch_size":
            value = N_ROWS
        elif value is p.empty and role == "seed":
            value = 0
        if value is p.empty:
            value = self.default_of_flag(p.name)
        self.roles.append(role)
        return value

    def values(self):
        """Return the values that are given whether or not a parameter has a default."""
        values = {**VALUES, **data(self.form["targets"]), "hidden": self.form["hidden"]}
        if self.size:
            values["batch_size"] = self.size
        return values

    def default_of_flag(self, name):
        """Return the script's own default of a flag of this name."""
        for action in self.script.actions:
            if action.dest == name:
                return action.default
        raise NotUnderstood(f"train wants {name}, which is not understood")

    def data_in_order(self, name):
        """Return the data in the order in which the trainer unpacks them, or by attributes."""
        values = data(self.form["targets"])
        for node in ast.walk(self.script.tree):
            is_unpacking = isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
            if is_unpacking and ast.unparse(node.value) == name:
                roles = [role_of(ast.unparse(target)) for target in node.targets[0].elts]
                if all(role in values for role in roles):
                    return tuple(values[role] for role in roles)
        load = self.script.space.get("load_data")
        if callable(load):
            return call(load)
        raise NotUnderstood(f"train wants {name}, in an order that is not understood")


def data(targets):
    """Return two half circles by role: 800 rows to train on, 200 for the test."""
    rng = np.random.RandomState(0)
    labels = np.arange(N_ROWS + 200) % 2
    angles = np.pi * rng.uniform(size=len(labels))
    upper = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = np.where(labels[:, None], [1, 0.5] - upper, upper)
    x = x + rng.normal(0, 0.2, x.shape)
    y = np.eye(2)[labels] if targets == "one-hot" else labels
    return {
        "x_train": x[:N_ROWS],
        "y_train": y[:N_ROWS],
        "x_test": x[N_ROWS:],
        "y_test": y[N_ROWS:],
    }
