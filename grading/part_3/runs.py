"""In the submission's process: runs the trainer as a user does, under a watch.

By default, with batches, and with batches of one row. Where the script does not show what its
training does at our learning rate, `train` is called (call_train.py).
"""

import ast
import os
import sys
from unittest.mock import MagicMock, patch

from grading.part_3 import accuracy
from grading.part_3.call_train import call_train
from grading.part_3.command_line import (
    SIZE,
    Line,
    Parsed,
    batch_lines,
    default_line,
    stopped_at_parser,
)
from grading.part_3.updates import training_of
from grading.part_3.watch import FEW_PASSES, MOST_PASSES, Enough, Watch
from grading.process.loading import within
from grading.process.raised import TooLong, described

SECONDS = 10  # that a run may take


def measure(path, found, told):
    """Return what the runs of a trainer were seen to do, in plain values.

    Args:
        path: its file.
        found: the classes of the submission, by the assignment's names.
        told: a Conventions, with the paths of weight and bias.
    """
    script = Script(path, found, told)
    try:
        script.run_as_user()
    except Exception as error:
        script.runs = [{**new_run(Line()), "raised": described(error)}]
    if needs_call(script.runs):
        script.runs += call_train(script)
    return {
        "runs": script.runs,
        "is_empty": is_empty(script.tree),
        "walks_through_rows": walks_through_rows(script.tree),
        "uses_network": script.uses_network(),
        "seen": {
            "softmax_outside": script.softmax_outside,
            "loss_is_averaged": averages_loss(script.tree),
        },
    }


def needs_call(runs):
    """Return whether `train` must be called: the script does not show all."""
    raised = runs[0]["raised"]
    if raised and raised["kind"] in ("package", "file", "version"):
        return False
    is_shown = any(run["trainings"] and "learning_rate" in run["given"] for run in runs)
    has_batches = any("batch_size" in run["given"] for run in runs)
    return not is_shown or not has_batches


class Script:
    """A trainer's file, run as a script, again and again."""

    def __init__(self, path, found, told):
        self.path = path
        self.found = found
        self.told = told
        self.tree = ast.Module([], [])
        self.code = None
        self.actions = []  # the flags of its parser
        self.space = {}  # the names that the last run defined
        self.runs = []
        self.softmax_outside = False  # the loss was given the softmax of the network's output

    def run_as_user(self):
        """Run the script by default, with batches, and with batches of one row.

        Raises:
            SyntaxError: if it is no Python.
            NotUnderstood: if it demands a flag that is not understood.
        """
        os.chdir(self.path.parent)
        self.tree = ast.parse(self.path.read_bytes(), str(self.path))
        self.code = compile(accuracy.with_note(self.tree), str(self.path), "exec")
        try:
            with stopped_at_parser(self.actions):
                self.runs = [self.run(Line())]
            return
        except Parsed:
            plain = default_line(self.actions)
        self.runs = [self.run(plain)]
        lines = batch_lines(self.actions, self.tree, plain, SIZE)
        single = batch_lines(self.actions, self.tree, plain, 1)
        for i, line in enumerate(lines):
            run = self.run(line)
            if usual_size(run) == SIZE or i == len(lines) - 1:
                self.runs.append(run)
                if "batch_size" in line.given:  # many have a branch of their own for 1
                    self.runs.append(self.run(single[i], FEW_PASSES))
                break

    def run(self, line, most_passes=MOST_PASSES):
        """Return what a run with a command line was seen to do."""
        run = self.watch(lambda: self.execute(line.words), line, most_passes)
        if run["trainings"]:
            accuracy.space_seen = self.space
        return run

    def execute(self, words):
        """Run the script with a command line."""
        folder = str(self.path.parent)
        os.chdir(folder)
        sys.path[:] = [folder, *[entry for entry in sys.path if entry != folder]]
        self.space = {"__name__": "__main__", "__file__": str(self.path), **accuracy.NOTE}
        with patch.object(sys, "argv", [str(self.path), *words]):
            exec(self.code, self.space)

    def watch(self, function, line, most_passes=MOST_PASSES):
        """Return what a function was seen to do, in plain values.

        Args:
            function: what is run.
            line: a Line, with what was given to it.
            most_passes: that are looked at.
        """
        watch = Watch(self.told, most_passes)
        run = new_run(line)
        figure = sys.modules.get("matplotlib.figure", MagicMock()).Figure
        with watch.hooks(self.found), patch.object(figure, "savefig"):  # that would take long
            try:
                with within(SECONDS):
                    function()
            except Enough:
                run["is_cut"] = True
            except Parsed:
                raise
            except BaseException as error:  # an exit and an interrupt as well
                run["is_cut"] = isinstance(error, TooLong)
                run["raised"] = raised_by(error, has_trained=watch.n_passes > 0)
        watch.end(has_crashed=run["raised"] is not None)
        ids = {}
        for network in watch.networks:
            if network.passes:
                is_cut = run["is_cut"] and network is watch.networks[-1]
                training = training_of(network, is_cut, watch.evaluated, ids)
                run["trainings"].append(training)
        run["n_evaluated"] = len(watch.evaluated)
        self.softmax_outside = self.softmax_outside or watch.softmax_outside
        return run

    def uses_network(self):
        """Return whether the script knows the classes that are watched."""
        watched = list(self.found.values())
        return any(value in watched for value in self.space.values() if isinstance(value, type))


def new_run(line):
    """Return a run of which nothing is known yet."""
    return {
        "how": line.how,  # it differs from the run by default
        "given": line.given,  # to it, by role
        "is_called": False,  # `train` was called, not the script run
        "raised": None,
        "is_cut": False,  # it was stopped
        "trainings": [],
        "n_evaluated": 0,
    }


def raised_by(error, has_trained):
    """Return what ended a run as plain values, or None if that is no fault of it."""
    is_exit = isinstance(error, SystemExit)
    if is_exit and not error.code:
        return None
    if has_trained and (is_exit or isinstance(error, TooLong)):
        return None
    raised = described(error)
    if is_exit:
        raised["kind"] = "unclear"
        raised["text"] = f"it ends with exit status {error.code} before it trains"
    return raised


def usual_size(run):
    """Return the most frequent number of rows of a backward pass, or None."""
    sizes = []
    for training in run["trainings"]:
        for step in training["steps"]:
            sizes += step["pass_sizes"]
    return max(sizes, key=sizes.count, default=None)


# Read from the text


def is_empty(tree):
    """Return whether `train` has nothing in it but a docstring, pass or `return None`."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "train":
            return not any(isinstance(part, ast.Call | ast.Raise) for part in ast.walk(node))
    return False


def walks_through_rows(tree):
    """Return whether there is a range such as range(0, n_rows, batch_size)."""
    for node in ast.walk(tree):
        is_range = isinstance(node, ast.Call) and ast.unparse(node.func) == "range"
        if is_range and len(node.args) == 3 and not isinstance(node.args[2], ast.Constant):
            return True
    return False


def averages_loss(tree):
    """Return whether the mean of something called loss is taken, or it is divided."""
    for node in ast.walk(tree):
        is_mean = isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mean")
        is_quotient = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
        if (is_mean or is_quotient) and "loss" in ast.unparse(node).lower():
            return True
    return False
