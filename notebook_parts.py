"""Parts II and III: what only the notebook needs, source beside formulas and the playground.

The rest of mlp_visualization.ipynb comes from the scripts and from plots.py.
"""

import ast
import html
import inspect
import io
import math
import textwrap
import tokenize

import ipywidgets
from IPython.display import Markdown

import plots
from train_mlp_numpy import batch_size_or_full, fastest_backend, load_data, train_from_seed


def source_lines(function):
    """Return the source of a function but its docstring, comments and checks of the input.

    A check is an `if` that does nothing but raise, or a call of a function `check_...`. What is
    left is what computes.
    """
    source = textwrap.dedent(inspect.getsource(function))
    lines, (definition,) = source.splitlines(), ast.parse(source).body
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    left_out = [definition.body[0]] if ast.get_docstring(definition) else []
    left_out += [statement for statement in definition.body if is_check(statement)]
    for statement in reversed(left_out):
        del lines[statement.lineno - 1 : statement.end_lineno]
    return "\n".join(line for line in lines if line)


def is_check(statement):
    """Return whether a statement, an ast node, only checks; see `source_lines`."""
    if isinstance(statement, ast.If):
        return isinstance(statement.body[0], ast.Raise)
    call = getattr(statement, "value", None)
    return isinstance(call, ast.Call) and ast.unparse(call.func).startswith("check_")


def beside_source(*pairs):
    """Return a table for the notebook: formulas, in LaTeX, beside the source that computes them.

    Args:
        pairs: pairs of a formula, Markdown, and a function or method.
    """
    # The blank lines let Markdown be read as such inside HTML.
    rows = [
        f"<tr><td>\n\n{formula}\n\n</td><td>\n\n```python\n{source_lines(function)}\n```\n\n</td></tr>"
        for formula, function in pairs
    ]
    return Markdown("<table>" + "".join(rows) + "</table>")


LABELS = {"dataset": "Data set"}  # of the controls whose names do not read as such


class Playground:
    """Controls for a network, its data and its training, and a picture of the run they ask for.

    Every change trains anew from the initial weights of the seed, and draws the run. With "Same
    start" unchecked, every change but that of the seed takes the next seed: other initial weights.

    A front end with a kernel shows the controls and the picture, any other the picture alone.

    Attributes:
        controls: the widgets, by the names of the arguments of `run`, and `same_start`.
        status: the widget of the line that says how the run ended.
        picture: the widget of its figure.
    """

    def __init__(self):
        layout = {"width": "auto", "margin": "2px"}
        look = {"style": {"description_width": "7em"}, "layout": layout}
        slider = look | {"continuous_update": False}  # trains when it is let go
        sizes = ("1", "2", "4", "8", "16", "32", "64", "128", "256", "full")
        rates = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
        epochs = (10, 30, 100, 300, 700, 1500, 3000)
        choose, whole = ipywidgets.SelectionSlider, ipywidgets.IntSlider
        self.controls = {
            "batch_size": choose(options=sizes, value="16", **slider),
            "learning_rate": choose(options=rates, value=0.01, **slider),
            "hidden_units": whole(min=0, max=50, value=20, **slider),
            "epochs": choose(options=epochs, value=1500, **slider),
            "noise": ipywidgets.FloatSlider(min=0, max=0.5, step=0.05, value=0.2, **slider),
            "dataset": ipywidgets.Dropdown(options=("moons", "circles", "blobs"), **look),
            "seed": whole(min=0, max=99, value=42, **slider),
            "same_start": ipywidgets.Checkbox(value=True, indent=False),
        }
        for name, control in self.controls.items():
            control.description = LABELS.get(name, name.replace("_", " ").capitalize())
            control.observe(self._respond, "value")
        self.status = ipywidgets.HTML()
        self.picture = ipywidgets.Image(layout={"max_width": "100%"})
        columns = "repeat(auto-fit, minmax(22em, 1fr))"
        grid = ipywidgets.GridBox(
            list(self.controls.values()), layout={"grid_template_columns": columns}
        )
        self.box = ipywidgets.VBox([grid, self.status, self.picture])
        self._train()

    def _respond(self, change):
        seed, same_start = self.controls["seed"], self.controls["same_start"]
        if change.owner is same_start:
            return
        if change.owner is seed or same_start.value:
            self._train()
        else:
            seed.value = (seed.value + 1) % (seed.max + 1)  # to which we respond by training

    def _train(self):
        settings = {name: control.value for name, control in self.controls.items()}
        del settings["same_start"]
        self.status.value = "training ..."
        try:
            self.status.value, figure = run(**settings)
        except Exception as error:  # the person who moved a control shall see it, whatever it is
            self.status.value = (
                f"<b>{type(error).__name__}: {html.escape(str(error))}</b>. "
                "The picture is still of the run before."
            )
            return
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100)
        self.picture.value = file.getvalue()

    def _repr_mimebundle_(self, **options):
        return self.box._repr_mimebundle_(**options) | {
            "image/png": bytes(self.picture.value),
            "text/plain": "the controls need a kernel; this is the picture of their first settings",
        }


def run(batch_size, learning_rate, hidden_units, epochs, noise, dataset, seed):
    """Train a network with this many hidden units; return how it ended, and its figure.

    `batch_size` is a text, a number of rows or "full". The other arguments are as on the command
    line of train_mlp_numpy.py.
    """
    data = load_data(dataset, noise=noise)
    n_rows = len(data.x_train)
    size = batch_size_or_full(batch_size) or n_rows
    model, history = train_from_seed(
        data,
        seed,
        [hidden_units] if hidden_units else [],
        batch_size=size,
        learning_rate=learning_rate,
        max_steps=epochs,
        eval_freq=max(1, epochs // 150),
        backend=fastest_backend(),
    )
    train_percent, test_percent = (
        100 * history[f"{part}_accuracy"][-1] for part in ("train", "test")
    )
    status = (
        f"{epochs * math.ceil(n_rows / size):,} updates: train accuracy {train_percent:.2f} %, "
        f"test accuracy {test_percent:.2f} %"
    )
    units = "1 hidden unit" if hidden_units == 1 else f"{hidden_units} hidden units"
    title = (
        f"{dataset}, noise {noise:g}, batch size {batch_size}, learning rate {learning_rate:g}, "
        f"{units}, {epochs} epochs, seed {seed}"
    )
    return status, plots.training_run(model.forward, history, data, title)
