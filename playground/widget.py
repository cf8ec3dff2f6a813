"""The playground in a notebook: `Playground()` as the last line of a cell."""

import base64
import io
import time
from functools import partial
from pathlib import Path

import anywidget
from IPython.display import display

import plots
from playground import student
from playground.answers import Answers
from playground.page import save
from playground.points import text_of
from playground.run import Run
from playground.settings import FIRST, OWN
from train_mlp_numpy import as_history

HERE = Path(__file__).parent
STILL_SECONDS = 10  # the longest that the picture may train
HINT = "This is a picture. The playground itself needs a kernel: Run > Run All Cells."


class Playground(anywidget.AnyWidget):
    """A playground, with settings other than the first ones: Playground(hidden_units="8,8").

    JupyterLab hands its questions to a thread of the kernel, so that it plays on while another cell
    runs; elsewhere it waits for the cell. Where no kernel runs, a picture stands in its place, of
    how the run ends.
    """

    _esm = HERE / "playground.js"
    _css = HERE / "playground.css"

    def __init__(self, folder=None, data=None, **settings):
        """Begin a run.

        Args:
            folder: with a student's modules.py and mlp_numpy.py; None for this project's.
            data: a CSV file of your own points, with a line `x1,x2,class` for each; or None.
            settings: as on the command line, such as batch_size=1.

        Raises:
            OSError: if the file of points cannot be read.
            ValueError: if a setting or a point is not valid, or if there is no such setting.
        """
        super().__init__()
        for name in settings:
            if name not in FIRST:
                raise ValueError(f"there is no setting {name!r}; there are {', '.join(FIRST)}")
        texts = {name: str(value) for name, value in settings.items()}
        if data is not None:
            texts |= {"dataset": OWN, "points": text_of(data)}
        if folder is None:
            self.answers = Answers(texts)
        else:
            folder = Path(folder).expanduser().resolve()
            load_code = partial(student.load, folder)
            explain = partial(student.explained_in, folder)
            self.answers = Answers(texts, load_code, explain)
        self.on_msg(self.hear)

    def hear(self, _, question, buffers):
        """Answer a question of the browser."""
        content, arrays = self.answers.answer(question)
        told = {"tab": question["tab"], "number": question["number"]}
        self.send(content | told, [array.tobytes() for array in arrays])

    def save(self, path):
        """Train the run to its end, and write it as one page that needs no Python."""
        note = save(path, self.answers)
        print(f"wrote {path}")
        if note:
            print(note)

    def _ipython_display_(self):
        """Show the widget, and a picture that playground.css hides while a playground lives."""
        widget, _ = self._repr_mimebundle_()
        display(widget | {"text/plain": HINT}, raw=True)
        picture = base64.b64encode(still(self.answers)).decode("ascii")
        display({"image/png": picture, "text/plain": HINT}, raw=True)


def still(answers):
    """Return a PNG of how a run of these Answers ends: its boundary, loss and accuracy.

    It ends earlier where training takes long, diverges, or meets a mistake in a student's files.
    """
    run = Run(answers.run.texts, answers.run.code)
    end = time.monotonic() + STILL_SECONDS
    try:
        while run.epoch < run.settings["epochs"] and time.monotonic() < end:
            run.advance()
    except Exception:  # who plays is told what it was
        run.go_back(run.epoch)

    with plots.plt.style.context("default"):  # whatever the user's settings of matplotlib are
        figure, panels = plots.new_figure(12, 4.2, 1, 3)
        figure.suptitle(HINT)
        plots.scatter_data(panels[0], run.data)
        plots.draw_regions(panels[0], run.model.forward, 200)
        panels[0].set_title(f"Epoch {run.epoch}")
        entries = []
        for epoch, moment in enumerate(run.moments):
            entries.append({"epoch": epoch, **moment.metrics})
        history = as_history(entries)
        plots.draw_curves(panels[1], history, "loss", 1, {})
        plots.draw_curves(panels[2], history, "accuracy", 100, {})
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=80)
    return file.getvalue()
