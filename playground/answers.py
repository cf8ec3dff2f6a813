"""What a browser may ask of a run, and the answers.

A question is a dict of `ask`, one of QUESTIONS, and `values`, the arguments of the method that
answers it. An answer is a dict, and a list of float32 arrays: the parameters and the metrics of the
epochs from number `known` on. Then come the training and the test points, but after the questions
in QUIET only if a change was made.

The browser asks, and asks again. So nothing here runs on its own: there is no thread and no queue,
and a browser that asks no more has stopped it. Training takes SLICE seconds of an answer at most.
"""

import base64
import json
import time
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qsl

import numpy as np

from playground.changes import whole
from playground.folds import describe, with_fold
from playground.points import as_csv, read_points
from playground.problems import PROBLEMS, bayes_accuracy, load_problem
from playground.run import PROJECT, Run
from playground.script import script
from playground.seeds import N_SEEDS, Seeds
from playground.settings import FIRST, MOST_EPOCHS, OWN
from playground.trials import TRIALS
from train_mlp_numpy import METRICS

SLICE = 0.05


def project_code():
    """Return the Code of this project."""
    return PROJECT


def explained(error):
    """Return what to say about an exception."""
    if isinstance(error, ValueError | FloatingPointError):
        return str(error)
    return f"{type(error).__name__}: {error}"


class Answers:
    """Answers questions about a run of its own.

    Attributes:
        run: the Run that is shown.
        seeds: the Seeds that were tried last, or None.
        seconds: of work so far, for those who measure.
    """

    def __init__(self, texts=None, load_code=project_code, explain=explained):
        """Begin a run.

        Args:
            texts: settings other than the first ones, as text.
            load_code: called for each new run; returns its Code.
            explain: called with an exception; returns what to say about it.
        """
        self.load_code = load_code
        self.explain = explain
        self.seeds = None
        self.seconds = 0.0
        self.sent_changes = None
        self.begin(FIRST | (texts or {}))

    def begin(self, texts, changes=()):
        """Begin a run with these settings, and with changes to come."""
        self.run = Run(texts, self.load_code(), changes)

    def answer(self, question):
        """Do what is asked; return an answer in any case."""
        start = time.thread_time()
        ask = question.get("ask")
        told = {"known": self.run.epoch + 1}  # the browser has all moments so far
        note = ""
        try:
            if ask not in QUESTIONS:
                raise ValueError(f"There is no question {ask!r}.")
            told = QUESTIONS[ask](self, **question.get("values", {}))
        except KeyboardInterrupt:
            note = "Interrupted."
        except (Exception, SystemExit) as error:  # the person who clicked must see it
            note = self.explain(error)
        self.seconds += time.thread_time() - start

        content, arrays = self.news(told["known"])
        if ask not in QUIET or self.run.changes != self.sent_changes:
            content |= self.circumstances()
            arrays += self.points()
        return content | told | {"ask": ask, "note": note}, arrays

    def news(self, known):
        """Return the moments that the browser does not know, as part of an answer."""
        moments = self.run.moments[known:]
        params = [moment.params for moment in moments]
        metrics = [listed(moment.metrics) for moment in moments]
        content = {"n_new": len(moments), "seconds": self.seconds}
        return content, [np.array(params, "float32"), np.array(metrics, "float32")]

    def circumstances(self):
        """Return all that an answer tells beside the moments and the points."""
        run = self.run
        self.sent_changes = list(run.changes)
        dataset = run.settings["dataset"]
        datasets = list(PROBLEMS)
        if run.texts["points"]:
            datasets.append(OWN)
        best = None  # how one's own points were drawn, nobody knows
        if dataset != OWN:
            best = best_accuracy(dataset, run.settings["noise"], run.settings["data_seed"])
        seeds = self.seeds.told() if self.seeds else None
        return {
            "texts": run.texts,
            "changes": run.changes,
            "sizes": run.sizes,
            "datasets": datasets,
            "first_texts": FIRST,
            "best": best,
            "can_plant": dataset == "moons" and len(run.sizes) == 3,
            "n_seeds": N_SEEDS,
            "seeds": seeds,
            "trials": [trial._asdict() for trial in TRIALS],
        }

    def points(self):
        """Return the training and the test points, and their classes, as rows of three numbers."""
        data = self.run.data
        train = np.column_stack([data.x_train, data.y_train.argmax(axis=1)])
        test = np.column_stack([data.x_test, data.y_test.argmax(axis=1)])
        return [train.astype("float32"), test.astype("float32")]

    # What can be asked for. Each method returns a dict: `known` is the number of moments that the
    # browser has and keeps, the rest is part of the answer.

    def show(self):
        """Show everything."""
        return {"known": 0}

    def new_run(self, texts):
        """Begin a run with other settings."""
        texts = self.run.texts | texts
        self.begin(texts)
        self.forget_other_seeds(texts)
        return {"known": 0}

    def restore(self, text):
        """Begin a run from a state, see `read_state`; the browser then trains to `goal`."""
        texts, changes, goal = read_state(text)
        self.begin(texts, changes)
        self.forget_other_seeds(texts)
        return {"known": 0, "goal": goal}

    def set_epochs(self, text):
        """Set where the run ends, which leaves the run as it is."""
        self.run.end_at(text)
        return {"known": self.run.epoch + 1}

    def train(self, n_epochs):
        """Train for so many epochs, or for as many as there is time for: at least one."""
        run = self.run
        if run.epoch >= MOST_EPOCHS:
            raise ValueError(f"A run has at most {MOST_EPOCHS} epochs: begin a new one.")
        known = run.epoch + 1
        end = time.monotonic() + SLICE
        try:
            for _ in range(min(n_epochs, MOST_EPOCHS - run.epoch)):
                run.advance()
                if time.monotonic() > end:
                    break
        except BaseException:
            run.go_back(run.epoch)  # to the last epoch that is whole
            raise
        return {"known": known}

    def train_batches(self, epoch, n_batches):
        """Show the network after n_batches of the epoch that follows this one."""
        moment, rows = self.run.within_epoch(epoch, n_batches)
        within = {
            "epoch": epoch,
            "batch": n_batches,
            "params": moment.params.tolist(),
            "metrics": listed(moment.metrics),
            "rows": rows.tolist(),
        }
        return {"known": self.run.epoch + 1, "within": within}

    def gradient(self, epoch):
        """Tell the gradient of the loss of the next batch, with respect to all parameters.

        An update is -learning_rate times the gradient. So it is seen from the update, whose layers
        these are and however they are trained.
        """
        run = self.run
        before = run.moment_at(epoch).params
        moment, _ = run.within_epoch(epoch, 1)
        gradient = (before - moment.params) / run.setting_at("learning_rate", epoch)
        told = {"epoch": epoch, "values": gradient.tolist()}
        return {"known": run.epoch + 1, "gradient": told}

    def change(self, change):
        """Make a change at an epoch; what came after it is forgotten."""
        run = self.run
        run.change(change)
        run.planned = []
        epochs = run.settings["epochs"]
        if run.epoch >= epochs:  # so that one can see what comes of it
            run.end_at(str(min(run.epoch + epochs, MOST_EPOCHS)))
        return {"known": run.epoch}

    def plant(self, epoch):
        """Plant an upward fold, which a stuck network lacks on the moons."""
        network = self.run.network_at(epoch)
        x = self.run.data_at(epoch).x_train
        unit = describe(network, x)[-1].index  # the smallest fold, which with_fold takes
        planted = with_fold(network, x, 1)
        hidden = planted.layers[0].params
        output = planted.layers[2].params
        return self.change(
            {
                "epoch": epoch,
                "what": "fold",
                "unit": unit,
                "weight": hidden["weight"][:, unit],
                "bias": hidden["bias"][unit],
                "output": output["weight"][unit],
            }
        )

    def undo(self):
        """Take back the last change."""
        self.run.undo()
        self.run.planned = []
        return {"known": self.run.epoch}

    def try_seeds(self, texts=None):
        """Train twenty networks to their end, as far as there is time; with `texts`, new ones."""
        if texts is not None:
            self.seeds = Seeds(self.run.texts | texts, self.load_code())
        self.seeds.go_on(3 * SLICE)
        return {"known": self.run.epoch + 1}

    def save_points(self):
        """Return the points of one's own, as a file that can be opened again."""
        points = self.run.own_points()
        if not points:
            raise ValueError("There are no points of your own: click into the map to add some.")
        text = as_csv(points)
        read_points(text)  # there may be too few to open them again
        return self.with_file("points.csv", text.encode())

    def save_network(self, epoch):
        """Return the network of an epoch, as MLP.save writes it."""
        with TemporaryDirectory() as folder:
            path = Path(folder, "model.npz")
            self.run.network_at(epoch).save(path)
            return self.with_file(path.name, path.read_bytes())

    def save_script(self, epoch):
        """Return a script that trains the network of an epoch again."""
        return self.with_file("run.py", script(self.run, epoch).encode())

    def with_file(self, name, content):
        """Return an answer with a file, which the browser saves."""
        file = {"name": name, "base64": base64.b64encode(content).decode("ascii")}
        return {"known": self.run.epoch + 1, "file": file}

    def forget_other_seeds(self, texts):
        """Forget the seeds that were tried with other settings than these."""
        if self.seeds and self.seeds.texts | {"seed": ""} != texts | {"seed": ""}:
            self.seeds = None


QUESTIONS = {
    "show": Answers.show,
    "new_run": Answers.new_run,
    "restore": Answers.restore,
    "set_epochs": Answers.set_epochs,
    "train": Answers.train,
    "train_batches": Answers.train_batches,
    "gradient": Answers.gradient,
    "change": Answers.change,
    "plant": Answers.plant,
    "undo": Answers.undo,
    "try_seeds": Answers.try_seeds,
    "save_points": Answers.save_points,
    "save_network": Answers.save_network,
    "save_script": Answers.save_script,
}


QUIET = ("train", "gradient")  # after these, nothing but the news is told


def read_state(text):
    """Return the settings, the changes and the epoch of a state, which is all there is to a run.

    A state is written as in the address of a page: seed=5&batch_size=1&epoch=700. What it leaves
    out is as it is at first. Its `changes` are JSON.
    """
    if text == "":
        raise ValueError("This state is empty: copy all of it.")
    given = dict(parse_qsl(text, keep_blank_values=True))
    state = FIRST | {"epoch": "0", "changes": "[]"} | given
    for name in given:
        if name not in FIRST and name not in ("epoch", "changes"):
            names = ", ".join([*FIRST, "epoch"])
            raise ValueError(f"There is no setting {name[:40]!r}. A state has {names} and changes.")
    try:
        epoch = whole(int(state["epoch"]), MOST_EPOCHS, "epoch")
        changes = json.loads(state["changes"])
        epochs = [change["epoch"] for change in changes]
        if epochs != sorted(epochs):
            raise ValueError("the changes must be in the order of their epochs")
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError("This is no state that a playground wrote: copy all of it.") from error
    texts = {name: state[name] for name in FIRST}
    return texts, changes, epoch


def listed(metrics):
    """Return metrics as a list, in the order of METRICS."""
    return [metrics[name] for name in METRICS]


@lru_cache(maxsize=32)
def best_accuracy(dataset, noise, data_seed):
    """Return the accuracy of the best rule on the test points."""
    data = load_problem(dataset, noise, data_seed)
    _, on_test = bayes_accuracy(dataset, noise, data)
    return on_test
