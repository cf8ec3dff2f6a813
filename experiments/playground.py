"""Parts II and III: the notebook's playground: watch a network learn, stop it, and try things.

These are its controls. What they train and draw is in watching.py, the data sets are in
problems.py, things to try in trials.py.
"""

import argparse
import asyncio
import html
import math
import time
from contextlib import suppress
from functools import cache, partial

import ipywidgets
import numpy as np
import pandas as pd
from PIL import Image

from experiments.hidden_units import with_fold
from experiments.notebook import as_html, image_of
from experiments.problems import PROBLEMS, bayes_accuracy, load_problem
from experiments.runs import STUCK_ABOVE
from experiments.trials import TRIALS
from experiments.watching import (
    Training,
    boundary_figure,
    curves_figure,
    ends_figure,
    units_figure,
)
from train_mlp_numpy import as_history, hidden_units

BATCH_SIZES = {str(size): size for size in (1, 2, 4, 8, 16, 32, 64, 128, 256)} | {"full": None}
RATES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
EPOCHS = (10, 30, 100, 300, 700, 1500, 3000, 10_000, 30_000)
N_SEEDS = 20
NO_ENDS = f"<i>Here <b>{N_SEEDS} seeds</b> will show where each run ends.</i>"
LIMITS = (10, 0.8, 50)  # of the curves: the last epoch, the greatest loss, the least accuracy
PICTURES = {
    "boundary": "the decision boundary over the points, with the lines along which units fold",
    "units": "a small map of each hidden unit",
    "curves": "loss and accuracy against the epoch, with those of the run before in grey",
    "ends": "final test accuracy against final training loss, a ring for each seed",
}
VIEW, MODEL = "application/vnd.jupyter.widget-view+json", "7"  # the same in every run
HINT = "The buttons come when all cells have run: Run → Run All Cells."


class Playground:
    """Controls, and pictures of a network as it learns.

    A change of a control begins a new run, "Play" trains it. With "Same start" unchecked, every
    change but that of the seed takes the next seed: other initial weights. A front end with a
    kernel shows all this, any other a picture of how the first run ended.

    Attributes:
        controls, buttons, pictures, texts: the widgets, by name.
        training: the Training of the run; `moment` is the index of its copy that is shown.
        end: the epoch at which it ends.
    """

    def __init__(self):
        look = {"layout": {"width": "auto"}, "style": {"description_width": "8em"}}
        whole = {"min": 0, "max": 2**31 - 1, **look}
        self.controls = {
            "data_set": ipywidgets.Dropdown(options=PROBLEMS, **look),
            "noise": ipywidgets.BoundedFloatText(0.2, min=0, max=1, step=0.05, **look),
            "data_seed": ipywidgets.BoundedIntText(42, **whole),
            "hidden_units": ipywidgets.Text("20", continuous_update=False, **look),
            "batch_size": ipywidgets.Dropdown(options=list(BATCH_SIZES), value="16", **look),
            "learning_rate": ipywidgets.Dropdown(options=RATES, value=0.01, **look),
            "epochs": ipywidgets.Dropdown(options=EPOCHS, value=1500, **look),
            "seed": ipywidgets.BoundedIntText(42, **whole),
            "same_start": ipywidgets.Checkbox(True, indent=False, layout={"width": "auto"}),
        }
        for name, control in self.controls.items():
            control.description = name.replace("_", " ").capitalize()
            control.observe(self._changed, "value")
        self.first_settings = {name: control.value for name, control in self.controls.items()}
        self.buttons = {}
        for name, act in {
            "Play": self._play_or_pause,
            "One batch": partial(self._start, self._advance, True),
            "One epoch": partial(self._start, self._advance),
            "To the end": partial(self._go, watch=False),
            "To the start": self._begin,
            f"{N_SEEDS} seeds": partial(self._start, self._try_seeds),
            "Plant a fold up": self._plant,
            "Reset the axes": self._reset_axes,
            **{trial.name: partial(self._ask, trial) for trial in TRIALS},
        }.items():
            self.buttons[name] = ipywidgets.Button(description=name, layout={"width": "auto"})
            self.buttons[name].on_click(lambda _, act=act: act())
        self.scrubber = ipywidgets.IntSlider(description="Epoch shown", **look)
        self.scrubber.observe(self._scrub, "value")
        self.bar = ipywidgets.IntProgress(max=N_SEEDS, layout={"width": "auto", "display": "none"})
        self.texts = {name: ipywidgets.HTML() for name in ("question", "status", "table")}
        self.answers = ipywidgets.HBox()
        self.pictures, self.drawn = {name: ipywidgets.HTML() for name in PICTURES}, {}
        self.is_setting, self.rows, self.limits, self.next_pause = False, [], LIMITS, 0
        self.settings = {}
        self.task = self.training = self.before = None
        self._begin()
        list(self.training.pieces(self.end))
        self._show_last()
        stage().children = self._rows()
        if before := getattr(stage(), "owner", None):
            before._stop()
        stage().owner = self

    def _rows(self):
        def grid(label, widgets, least_width):
            columns = f"repeat(auto-fit, minmax({least_width}, 1fr))"
            label = [ipywidgets.HTML(f"<b>{label}:</b>")] if label else []
            layout = {"grid_template_columns": columns}
            return ipywidgets.GridBox([*label, *widgets], layout=layout)

        buttons = list(self.buttons.values())
        acts, trials = buttons[: -len(TRIALS)], buttons[-len(TRIALS) :]
        boundary, units, curves, ends = self.pictures.values()
        return [
            *(grid("Try", trials, "9em"), self.texts["question"], self.answers),
            *(grid("Set", self.controls.values(), "16em"), grid("Train", acts, "11em")),
            *(self.scrubber, self.texts["status"], self.bar),
            *(grid("", [boundary, curves, units, ends], "24em"), self.texts["table"]),
        ]

    # What happens when a control is changed, or a button clicked.

    def _changed(self, change):
        seed, same_start = self.controls["seed"], self.controls["same_start"]
        if self.is_setting or change.owner is same_start:
            return
        if change.owner is not seed and not same_start.value:
            self._set(seed=seed.value + 1)
        if self.answers.children:  # to a question about other settings
            self.answers.children, self.texts["question"].value = (), ""
        stopped = self._stop()
        if self._begin() and stopped == self._play:
            self._start(self._play)

    def _set(self, **values):
        """Set controls, all for one run."""
        self.is_setting = True
        for name, value in values.items():
            self.controls[name].value = value
        self.is_setting = False

    def _ask(self, trial):
        """Set up something to try, and ask what will come of it."""
        self._set(**self.first_settings | trial.settings)
        self._begin()
        self.texts["question"].value = f"<b>{trial.question}</b> What do you expect?"
        self.answers.children = [ipywidgets.Button(description=text) for text in trial.answers]
        for button in self.answers.children:
            button.on_click(partial(self._answered, trial))

    def _answered(self, trial, button):
        self.answers.children = []
        expected = f"{trial.question} You expect: <b>{button.description}</b>."
        self.texts["question"].value = f"{expected} Look at {trial.look_at}"
        self.buttons[trial.button].click()

    def _play_or_pause(self):
        if self._stop():
            self._show_last()
        else:
            self._go()

    def _go(self, watch=True):
        """Train to the end; if it is there already, once more from the start."""
        if self.training.epoch < self.end or self._begin():
            self._start(self._play, watch)

    def _begin(self):
        """Begin a run with the settings of the controls; the one before stays, in grey.

        Returns whether it has begun: there may be no such hidden units.
        """
        self._stop()
        settings = {name: control.value for name, control in self.controls.items()}
        try:
            sizes = hidden_units(settings["hidden_units"])
        except argparse.ArgumentTypeError:
            sizes = [math.inf]
        if len(sizes) > 2 or sum(sizes) > 100:
            remedy = "give 20, say, or 8,8, or none: at most two layers and 100 units"
            self._tell(f"hidden units {settings['hidden_units']!r} are not valid; {remedy}")
            return False
        if self.training and self.training.n_updates:
            self.rows.insert(0, self._row())
            self.before = as_history(self.training.entries)
        old, settings["hidden_units"] = self.training and self.training.networks[0], sizes
        if {**self.settings, "seed": 0} != {**settings, "seed": 0}:
            self.pictures["ends"].value = NO_ENDS  # those there were are of other runs
        self.settings, self.end = settings, settings["epochs"]
        name, noise = settings["data_set"], settings["noise"]
        self.data = load_problem(name, noise, settings["data_seed"])
        self.best = bayes_accuracy(name, noise, self.data)
        self.training, self.planted = self._new_training(settings["seed"]), ""
        self._show_last(self._about_start(old))
        return True

    def _new_training(self, seed):
        batch_size, rate = BATCH_SIZES[self.settings["batch_size"]], self.settings["learning_rate"]
        return Training(self.data, self.settings["hidden_units"], seed, batch_size, rate)

    def _about_start(self, old):
        """Say how the initial weights relate to those of the network `old`, if there is one."""
        if old is None:
            return ""
        weights = [linear.params["weight"] for linear in self.training.model.linear_layers]
        old_weights = [linear.params["weight"] for linear in old.linear_layers]
        if [weight.shape for weight in old_weights] != [weight.shape for weight in weights]:
            return "A network of another shape cannot have the same initial weights."
        same = all(map(np.array_equal, old_weights, weights))
        return f"Its initial weights are {'those' if same else 'not those'} of the run before."

    def _plant(self):
        stopped = self._stop()
        try:
            if self.settings["data_set"] != "moons":
                raise ValueError("it is one that the moons need")
            model = with_fold(self.training.networks[-1], self.data.x_train, 1)
        except ValueError as error:
            self._tell(f"no fold planted: {error}")
            return
        self.training.go_on_with(model)
        self.planted = " + fold"
        self.end = math.ceil(self.training.epoch) + self.settings["epochs"]
        self._show_last("One unit now folds upwards along the line x<sub>1</sub> = 1. Play on.")
        if stopped == self._play:
            self._start(self._play)

    def _reset_axes(self):
        self.limits = LIMITS
        self._show(self.moment)

    def _scrub(self, change):
        """Show the nearest epoch there is, in the direction in which the slider was moved."""
        if not self.is_setting:
            self._stop()
            epochs = [entry["epoch"] for entry in self.training.entries]
            # Within an epoch the slider's end lies above the last one, where no entry is found.
            if change.new > change.old:
                self._show(min(np.searchsorted(epochs, change.new), len(epochs) - 1))
            else:
                self._show(np.searchsorted(epochs, change.new, side="right") - 1)

    # What takes its time.

    def _start(self, work, *args):
        """Begin an async function; the button "Play" is "Pause" until it has ended."""
        self._stop()
        self.work, self.task = work, asyncio.ensure_future(self._watch(work, *args))
        self.buttons["Play"].description = "Pause"

    def _stop(self):
        """End what runs, if anything does, and return it."""
        task, self.task = self.task, None
        self.buttons["Play"].description, self.bar.layout.display = "Play", "none"
        if task:
            task.cancel()
            with suppress(FloatingPointError):  # it has just diverged; "Play" will say so
                self.training.keep()
        return task and self.work

    async def _watch(self, work, *args):
        told = ""
        try:
            await work(*args)
        except FloatingPointError as error:
            told = f"<b>{str(error).capitalize()}.</b>"
        except Exception as error:  # whoever clicked shall see it, whatever it is
            told = f"<b>{type(error).__name__}: {html.escape(str(error))}</b>"
        self.task = None
        self._stop()
        self._show_last(told)

    async def _play(self, watch=True):
        for is_kept in self.training.pieces(self.end):
            if is_kept and watch:
                self._show_last()
            await self._breathe(is_kept and watch)

    async def _advance(self, one_batch=False):
        self.training.advance(one_batch)
        self.training.keep()
        self.end = max(self.end, math.ceil(self.training.epoch))

    async def _try_seeds(self):
        """Train from this seed and the next ones, and draw where each ends."""
        ends, n_diverged, first = [], 0, self.settings["seed"]
        self.bar.layout.display = None
        for k, seed in enumerate(range(first, first + N_SEEDS)):
            self.bar.value = k
            training = self._new_training(seed)
            try:
                while training.epoch < self.settings["epochs"]:
                    training.advance()
                    await self._breathe()
                training.keep()
            except FloatingPointError:
                n_diverged += 1
                continue
            ends.append(training.entries[-1])
            n_above = sum(end["train_loss"] > STUCK_ABOVE for end in ends)
            title = (
                f"Seeds {first} to {seed}: {n_above} of {k + 1} end above a loss of {STUCK_ABOVE}"
            )
            title += f", {n_diverged} diverged" * (n_diverged > 0)
            self._draw("ends", ends_figure(ends, title))

    async def _breathe(self, now=False):
        """Let the kernel see, ten times a second, whether a button has been clicked."""
        if now or time.monotonic() > self.next_pause:
            await asyncio.sleep(0.005)
            self.next_pause = time.monotonic() + 0.1

    # What is seen.

    def _show_last(self, note=""):
        """Show the network as it is now, and a note."""
        self._show(len(self.training.entries) - 1, note)

    def _show(self, moment, note=""):
        """Show the network as it was at this entry."""
        training, self.moment = self.training, moment
        network, entry = training.networks[moment], training.entries[moment]
        history = as_history(training.entries)
        last, most, least = self.limits
        most = max(most, 1.05 * max(history["train_loss"].max(), history["test_loss"].max()))
        worst = min(history["train_accuracy"].min(), history["test_accuracy"].min())
        self.limits = max(last, self.end), most, min(least, 10 * math.floor(10 * worst))
        when = f"epoch {entry['epoch']:.2f}".removesuffix(".00")
        self._draw("boundary", boundary_figure(network, self.data, f"Decision boundary, {when}"))
        self._draw("units", units_figure(network, self.data))
        self._draw(
            "curves", curves_figure(history, entry["epoch"], self.before, self.best[1], self.limits)
        )
        accuracies = (
            f"{part} {100 * entry[f'{part}_accuracy']:.1f} % (best rule {100 * best:.1f} %)"
            for part, best in zip(("train", "test"), self.best, strict=True)
        )
        self.texts["status"].value = (
            f"<b>{when.capitalize()}</b> of {self.end}. Training loss {entry['train_loss']:.3f}. "
            f"Accuracy: {', '.join(accuracies)}. {note}"
        )
        table = pd.DataFrame([self._row(), *self.rows]).to_html(index=False, border=0)
        # The looks of tables in JupyterLab, and before it.
        look = "class='jp-RenderedHTMLCommon rendered_html' style='overflow-x: auto'"
        self.texts["table"].value = f"<div {look}><b>The runs so far</b>{table}</div>"
        self.is_setting = True
        self.scrubber.max = math.ceil(training.epoch)
        self.scrubber.value = math.ceil(entry["epoch"])
        self.is_setting = False

    def _row(self):
        """Return the run as a row of the table: its settings, and how far it got."""
        settings, end = self.settings, self.training.entries[-1]
        return {
            "data": "{data_set} {noise:g}".format_map(settings),
            "data seed": settings["data_seed"],
            "units": (",".join(map(str, settings["hidden_units"])) or "none") + self.planted,
            "batch": settings["batch_size"],
            "rate": f"{settings['learning_rate']:g}",
            "seed": settings["seed"],
            "epochs": f"{end['epoch']:.2f}".removesuffix(".00"),
            "train loss": f"{end['train_loss']:.3f}",
            "test, %": f"{100 * end['test_accuracy']:.1f}",
        }

    def _tell(self, error):
        self.texts["status"].value = f"<b>{html.escape(str(error))}</b>"

    def _draw(self, name, figure):
        self.drawn[name] = image_of(figure)
        self.pictures[name].value = as_html(self.drawn[name], PICTURES[name], "width: 100%")

    def _repr_mimebundle_(self, **options):
        names = "boundary", "units", "curves"
        pictures = [self.drawn[name] for name in names]
        alt = "; ".join(PICTURES[name] for name in names)
        picture = as_html(Image.fromarray(np.hstack(pictures)), alt, "width: 100%")
        data = stage()._repr_mimebundle_()
        # A number, though models have texts: JupyterLab finds the model all the same, while
        # nbconvert does not, and shows the picture.
        data[VIEW]["model_id"] = int(MODEL)
        return data | {"text/html": f"<p>{HINT}</p>{picture}", "text/plain": HINT}


@cache
def stage():
    """Return the widget that holds all the others; a kernel has one."""
    return ipywidgets.VBox(model_id=MODEL)
