"""Parts II and III: the notebook's playground: controls, and a picture of the run they ask for."""

import html
import io
import math

import ipywidgets

import plots
from experiments.runs import fastest_backend, train_from_seed
from train_mlp_numpy import load_data

BATCH_SIZES = {str(size): size for size in (1, 2, 4, 8, 16, 32, 64, 128, 256)} | {"full": None}


class Playground:
    """Controls for a network, its data and its training, and a picture of the run they ask for.

    Every change trains anew from the initial weights of the seed, and draws the run. With "Same
    start" unchecked, every change but that of the seed takes the next seed: other initial weights.

    A front end with a kernel shows the controls and the picture, any other the picture alone.

    Attributes:
        controls: the widgets, by the names of the arguments of `train_and_draw`, and `same_start`.
        status: the widget of the line that says how the run ended.
        picture: the widget of its figure.
    """

    def __init__(self):
        layout = {"width": "auto", "margin": "2px"}
        look = {"style": {"description_width": "7em"}, "layout": layout}
        slider = look | {"continuous_update": False}  # trains when it is let go
        rates = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
        epochs = (10, 30, 100, 300, 700, 1500, 3000)
        choose, whole = ipywidgets.SelectionSlider, ipywidgets.IntSlider
        self.controls = {
            "batch_size": choose(options=list(BATCH_SIZES), value="16", **slider),
            "learning_rate": choose(options=rates, value=0.01, **slider),
            "hidden_units": whole(min=0, max=50, value=20, **slider),
            "epochs": choose(options=epochs, value=1500, **slider),
            "noise": ipywidgets.FloatSlider(min=0, max=0.5, step=0.05, value=0.2, **slider),
            "data_set": ipywidgets.Dropdown(options=("moons", "circles", "blobs"), **look),
            "seed": whole(min=0, max=99, value=42, **slider),
            "same_start": ipywidgets.Checkbox(value=True, indent=False),
        }
        for name, control in self.controls.items():
            control.description = name.replace("_", " ").capitalize()
            control.observe(self._respond, "value")
        self.status = ipywidgets.HTML()
        self.picture = ipywidgets.Image(layout={"max_width": "100%"})
        columns = {"grid_template_columns": "repeat(auto-fit, minmax(22em, 1fr))"}
        grid = ipywidgets.GridBox(list(self.controls.values()), layout=columns)
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
            self.status.value, figure = train_and_draw(**settings)
        except Exception as error:  # the person who moved a control shall see it, whatever it is
            what = f"{type(error).__name__}: {html.escape(str(error))}"
            self.status.value = f"<b>{what}</b>. The picture is still of the run before."
            return
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100)
        self.picture.value = file.getvalue()

    def _repr_mimebundle_(self, **options):
        return self.box._repr_mimebundle_(**options) | {
            "image/png": bytes(self.picture.value),
            "text/plain": "the controls need a kernel; this is the picture of their first settings",
        }


def train_and_draw(batch_size, learning_rate, hidden_units, epochs, noise, data_set, seed):
    """Train a network with this many hidden units; return how it ended, and its figure.

    `batch_size` is one of BATCH_SIZES; the others are as on the command line of train_mlp_numpy.py.
    """
    data = load_data(data_set, noise=noise)
    n_rows = len(data.x_train)
    size = BATCH_SIZES[batch_size] or n_rows
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
    train, test = (100 * history[f"{part}_accuracy"][-1] for part in ("train", "test"))
    n_updates = epochs * math.ceil(n_rows / size)
    status = f"{n_updates:,} updates: train accuracy {train:.2f} %, test accuracy {test:.2f} %"
    units = "1 hidden unit" if hidden_units == 1 else f"{hidden_units} hidden units"
    title = (
        f"{data_set}, noise {noise:g}, batch size {batch_size}, learning rate {learning_rate:g}, "
        f"{units}, {epochs} epochs, seed {seed}"
    )
    return status, run_figure(model.forward, history, data, title)


@plots.plain_style
def run_figure(predict, history, data, title=None, resolution=120):
    """Draw what a run came to in one row: its decision boundary, its losses, its accuracies.

    The arguments are those of plots.decision_boundary and plots.curves.
    """
    # Where everything goes is known: having it found out would take a third of the time to draw.
    figure = plots.PlainFigure(figsize=(12.5, 3.9))
    figure.subplots_adjust(left=0.055, right=0.98, bottom=0.24, top=0.84, wspace=0.29)
    panels = figure.subplots(1, 3)
    plots.legend_below(figure, plots.scatter_data(panels[0], data))
    plots.draw_regions(panels[0], predict, resolution)
    panels[0].set_title("Decision boundary")
    plots.draw_curves(panels[1:], history)
    figure.suptitle(title)
    return figure


if __name__ == "__main__":
    raise SystemExit("playground.py is no script; open mlp_visualization.ipynb")
