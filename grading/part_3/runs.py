"""In the submission's process: runs the trainer as a user does, under a watch.

By default, with batches, and with batches of one row. Where the script does not show what its
training does at our learning rate, `train` is called (call_train.py).
"""

import ast
import os
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from grading.part_3 import accuracy, load_data
from grading.part_3.call_train import call_train
from grading.part_3.command_line import (
    MANY_EPOCHS,
    SIZE,
    Line,
    Parsed,
    batch_flag,
    batch_lines,
    default_line,
    stopped_at_parser,
    takes,
    with_size,
)
from grading.part_3.hooks import hooks
from grading.part_3.updates import training_of
from grading.part_3.watch import MOST_PASSES, Enough, Watch
from grading.process.loading import within
from grading.process.raised import NotUnderstood, TooLong, described

SECONDS = 10  # that a run may take
FEW_PASSES = 920  # of single rows: an epoch and a part of the second


def measure(path, found, told):
    """Return what the runs of a trainer were seen to do, in plain values.

    Args:
        path: its file.
        found: the classes of the submission, by the assignment's names.
        told: a Conventions, with the paths of weight and bias.
    """
    script = Script(path, Runner(found, told))
    script.run_as_user()
    runs = script.runs
    if needs_call(runs):
        runs = runs + call_train(script)
    return {
        "runs": runs,
        "has_train": callable(script.space.get("train")),
        "is_empty": is_empty(script.tree, "train"),
        "uses_network": script.uses_network(),
        "has_batch_flag": batch_flag(script.actions) is not None,
        "seen": script.runner.seen,
    }


def needs_call(runs):
    """Return whether `train` must be called: the script does not show all."""
    default = runs[0]
    if default["raised"] and default["raised"]["kind"] in ("package", "file", "version"):
        return False
    is_shown = any(run["trainings"] and "learning_rate" in run["given"] for run in runs)
    has_batches = any("batch_size" in run["given"] for run in runs)
    return not is_shown or not has_batches


class Runner:
    """Runs things under a watch, and collects what is seen in all of them."""

    def __init__(self, found, told):
        self.found = found
        self.told = told
        self.seen = {"softmax_outside": False, "calls_loss": False, "loss_is_averaged": False}

    def run(self, function, line, most_passes=MOST_PASSES, goes_on=False):
        """Return what a run was seen to do, in plain values.

        Args:
            function: what is run.
            line: a Line, with what was given to it.
            most_passes: that are looked at.
            goes_on: when enough was seen, the run is not stopped, so that a crash at its end shows.
        """
        watch = Watch(self.told, most_passes, goes_on)
        run = new_run(line)
        made = []
        with hooks(self.found, watch), load_data.noted(made), without_pictures():
            try:
                with within(SECONDS):
                    function()
            except Enough:
                pass
            except Parsed:
                raise
            except BaseException as error:  # an exit and an interrupt as well
                self.note_end(run, watch, error)
        run["is_cut"] = run["is_cut"] or watch.is_full
        watch.end()
        if run["raised"]:
            watch.drop_unfinished()
        self.describe(run, watch, made)
        self.note_seen(watch)
        return run

    def describe(self, run, watch, made):
        """Enter into a run what was seen in it."""
        ids = {}
        for network in watch.networks:
            if network.passes:
                is_cut = run["is_cut"] and network is watch.networks[-1]
                run["trainings"].append(training_of(network, is_cut, ids))
        run.update(load_data.measure(watch, run["trainings"], made, ids))
        run["moves_unseen"] = watch.moves_unseen
        run["n_evaluated"] = watch.n_evaluated

    def note_end(self, run, watch, error):
        """Note how a run ended before its time."""
        has_trained = any(network.passes for network in watch.networks)
        if isinstance(error, TooLong):
            run["is_cut"] = True
            if not has_trained:
                run["raised"] = described(error)
        elif isinstance(error, SystemExit):
            is_crash = error.code not in (None, 0) and not has_trained
            if is_crash:  # another status after training is none
                run["raised"] = told_of_exit(error)
        else:
            run["raised"] = described(error)
            if isinstance(error, EOFError):
                run["raised"]["kind"] = "unclear"
                run["raised"]["text"] = "it waits for input"

    def note_seen(self, watch):
        """Collect what the layers' judge needs."""
        seen = self.seen
        seen["calls_loss"] = seen["calls_loss"] or watch.loss.is_called
        seen["loss_is_averaged"] = seen["loss_is_averaged"] or watch.loss.is_averaged
        seen["softmax_outside"] = seen["softmax_outside"] or watch.softmax_outside()


@contextmanager
def without_pictures():
    """Let no figure be drawn that is saved: that would take most of the time."""
    figure = sys.modules.get("matplotlib.figure")
    with ExitStack() as stack:
        if figure is not None:
            stack.enter_context(patch.object(figure.Figure, "savefig", save_nothing))
        yield


def save_nothing(_, target, **__):
    """Leave an empty file where a figure is to be saved."""
    if isinstance(target, str | os.PathLike):
        with suppress(OSError):
            Path(target).touch()


class Script:
    """A trainer's file, run as a script, again and again."""

    def __init__(self, path, runner):
        self.path = path
        self.runner = runner
        self.text = path.read_text(encoding="utf-8", errors="replace")
        self.tree = ast.Module([], [])
        self.code = None
        self.actions = []  # the flags of its parser
        self.space = {}  # the names that the last run defined
        self.runs = []
        self.first_modules = set(sys.modules)

    def run_as_user(self):
        """Run the script by default, with batches, and with batches of one row."""
        try:
            self.tree = ast.parse(self.path.read_bytes(), str(self.path))
            self.code = compile(accuracy.with_note(self.tree), str(self.path), "exec")
        except (SyntaxError, ValueError) as error:
            self.runs = [failed(error, self.path.parent)]
            return
        try:
            with stopped_at_parser(self.actions):
                self.runs = [self.run(Line())]
        except Parsed:
            self.run_with_flags()

    def run_with_flags(self):
        """Run the script with flags of its parser."""
        try:
            line = default_line(self.actions)
        except NotUnderstood as error:
            self.runs = [failed(error, self.path.parent)]
            return
        default = self.run(line)
        if default["raised"] and default["raised"]["kind"] == "raised":
            default = self.run_longer(default)
        self.runs = [default]
        self.run_batches(line)

    def run_longer(self, crashed):
        """Return a run of more epochs, if only so few make the script crash; else the crash."""
        longer = self.run(default_line(self.actions, max_steps=MANY_EPOCHS))
        return crashed if longer["raised"] else longer

    def run_batches(self, plain):
        """Run the script with batches, and with batches of one row."""
        lines = batch_lines(self.actions, self.text, plain)
        if not lines:
            return
        for line in lines:
            run = self.run(line)
            if usual_size(run) == line.given.get("batch_size", SIZE):
                break
        if counts_updates(run):
            more = default_line(self.actions, max_steps=MANY_EPOCHS)
            longer = batch_lines(self.actions, self.text, more)[lines.index(line)]
            run = self.run(longer)
        self.runs.append(run)
        action = batch_flag(self.actions)
        if "batch_size" in line.given and takes(action, 1):
            single = with_size(line, action, 1)  # many have a branch of their own for 1
            self.runs.append(self.run(single, FEW_PASSES))

    def run(self, line, most_passes=MOST_PASSES):
        """Return what a run with a command line was seen to do."""
        has_own_epochs = "max_steps" not in line.given
        goes_on = has_own_epochs or most_passes < MOST_PASSES

        def run():
            self.execute(line.words)

        result = self.runner.run(run, line, most_passes, goes_on)
        accuracy.remember(self.space, has_trained=bool(result["trainings"]))
        return result

    def execute(self, words):
        """Run the script with a command line."""
        self.forget_modules()
        os.chdir(self.path.parent)
        folder = str(self.path.parent)
        sys.path[:] = [folder, *[entry for entry in sys.path if entry != folder]]
        self.space = {"__name__": "__main__", "__file__": str(self.path)}
        self.space.update(accuracy.NOTE)
        with patch.object(sys, "argv", [str(self.path), *words]):
            exec(self.code, self.space)

    def uses_network(self):
        """Return whether the script knows the classes that are watched."""
        watched = list(self.runner.found.values())
        return any(value in watched for value in self.space.values() if isinstance(value, type))

    def forget_modules(self):
        """Forget what the script imported of its own: it may keep the flags of the run before."""
        for name in set(sys.modules) - self.first_modules:
            file = getattr(sys.modules[name], "__file__", None)
            if file and self.path.parent in Path(file).parents:
                del sys.modules[name]


def new_run(line):
    """Return a run of which nothing is known yet."""
    return {
        "how": line.how,  # it differs from the run by default
        "given": line.given,  # to it, by role
        "is_called": False,  # `train` was called, not the script run
        "raised": None,
        "is_cut": False,  # it was stopped, or not seen to its end
        "trainings": [],
        "shared_rows": None,
        "strange_targets": None,
        "moves_unseen": False,
        "n_evaluated": 0,
    }


def failed(error, folder):
    """Return a run that could not be made."""
    return {**new_run(Line()), "raised": described(error, folder)}


def told_of_exit(error):
    """Return an exit with a status as plain values; 2 is that of a parser."""
    told = {"type": "SystemExit", "text": str(error.code), "where": "", "kind": "raised"}
    if error.code == 2:
        told["kind"] = "unclear"
        told["text"] = "its command line does not take what its parser asks for"
    return told


def usual_size(run):
    """Return the most frequent number of rows of a backward pass, or None."""
    sizes = sizes_of_passes(run)
    return max(sizes, key=sizes.count) if sizes else None


def counts_updates(run):
    """Return whether a run made as many passes as it was asked for epochs, each of a batch."""
    sizes = sizes_of_passes(run)
    is_small = usual_size(run) == run["given"].get("batch_size")
    return is_small and len(sizes) == run["given"].get("max_steps")


def sizes_of_passes(run):
    """Return the number of rows of each backward pass."""
    sizes = []
    for training in run["trainings"]:
        for step in training["steps"]:
            sizes += step["pass_sizes"]
    return sizes


def is_empty(tree, name):
    """Return whether a function has nothing in it but a docstring, pass or ...."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return all(says_nothing(statement) for statement in node.body)
    return False


def says_nothing(statement):
    """Return whether a statement does nothing: pass, a docstring, `return None`."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Return):
        return statement.value is None or isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Pass)
