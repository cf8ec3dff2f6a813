"""A run as a script: the lines of Python that train the same network again, from scratch.

They are what one would write with `load_data` and `train`. A change by hand ends a call of `train`,
and the next call goes on with the same generator.
"""

from playground.points import as_csv
from playground.run import PROJECT, fastest_backend
from playground.settings import OWN
from train_mlp_numpy import DATASETS

DOCSTRING = '''"""A run of the playground, trained again from scratch.

Put this file beside train_mlp_numpy.py, and run it there:

    python run.py

It prints what the playground had at epoch {epoch}, with the same packages to the last digit:

{metrics}
"""

'''

DATA = """
data = {function}("{dataset}", noise={noise}, seed={data_seed})
"""

OWN_DATA = '''
POINTS = """{csv}"""

data = split_points(read_points(POINTS), seed={data_seed})
'''

NETWORK = """
rng = as_rng({seed})  # for the weights first, then for the orders
model = MLP(2, {hidden_units}, {n_classes}, rng)
"""

TRAINING = """
# Epochs {first} to {last}.
train(model, data, {options}, rng=rng, backend="{backend}")
"""

FOLD = """
# After epoch {epoch}: the fold of unit {unit}.
hidden = model.linear_layers[0].params
hidden["weight"][:, {unit}] = {weight}
hidden["bias"][{unit}] = {bias}
"""

OUTPUT = 'model.linear_layers[1].params["weight"][{unit}] = {output}\n'

WEIGHT = """
# After epoch {epoch}: a weight.
model.linear_layers[{layer}].params["weight"][{from}, {to}] = {value}
"""

POINT = """
# After epoch {epoch}: a point of class {class}.
data = data._replace(
    x_train=np.vstack([data.x_train, {point}]),
    y_train=np.vstack([data.y_train, {target}]),
)
"""

END = """
for name, value in evaluate(model, data).items():
    print(name, value)
"""


def script(run, epoch):
    """Return a script, as text, that trains the network of a Run up to this epoch.

    Raises:
        ValueError: if there is no such epoch, or if the layers are a student's own: the script
            would train this project's.
    """
    if run.code is not PROJECT:
        raise ValueError(
            "A script trains this project's layers, not yours. For one, start the playground "
            "without a folder."
        )
    metrics = run.moment_at(epoch).metrics
    told = [f"    {name} {value}" for name, value in metrics.items()]
    changes = [change for change in run.changes if change["epoch"] <= epoch]
    adds_points = any(change["what"] == "point" for change in changes)
    return (
        DOCSTRING.format(epoch=epoch, metrics="\n".join(told))
        + imports(run.settings["dataset"], adds_points)
        + loading(run.settings)
        + NETWORK.format(n_classes=run.n_classes, **run.settings)
        + training(run, changes, epoch)
        + END
    )


def imports(dataset, adds_points):
    """Return the lines that import what a script uses."""
    text = ""
    if adds_points:
        text += "import numpy as np\n\n"
    text += "from mlp_numpy import MLP\nfrom modules import as_rng\n"
    if dataset in DATASETS:
        return text + "from train_mlp_numpy import evaluate, load_data, train\n"
    if dataset == OWN:
        text += "from playground.points import read_points, split_points\n"
    else:
        text += "from playground.problems import load_problem\n"
    return text + "from train_mlp_numpy import evaluate, train\n"


def loading(settings):
    """Return the lines that make the data."""
    if settings["dataset"] == OWN:
        return OWN_DATA.format(csv=as_csv(settings["points"]), **settings)
    function = "load_problem"
    if settings["dataset"] in DATASETS:
        function = "load_data"
    return DATA.format(function=function, **settings)


def training(run, changes, epoch):
    """Return the lines that train up to an epoch, and make these changes on the way."""
    stops = sorted({change["epoch"] for change in changes} | {epoch})
    text = ""
    start = 0
    for stop in stops:
        if stop > start:
            text += training_between(run, start, stop)
        for change in changes:
            if change["epoch"] == stop:
                text += changing(change, run.n_classes)
        start = stop
    return text


def training_between(run, start, stop):
    """Return the lines that train from one epoch to another, without a change between them."""
    learning_rate = run.setting_at("learning_rate", start)
    batch_size = run.setting_at("batch_size", start)
    options = f"learning_rate={learning_rate}, max_steps={stop - start}"
    if batch_size is not None:
        options += f", batch_size={batch_size}"
    return TRAINING.format(first=start + 1, last=stop, options=options, backend=fastest_backend())


def changing(change, n_classes):
    """Return the lines that make a change; a new setting is in the next call of `train`."""
    if change["what"] == "fold":
        text = FOLD.format(**change)
        if "output" in change:
            text += OUTPUT.format(**change)
        return text
    if change["what"] == "weight":
        return WEIGHT.format(**change)
    if change["what"] == "point":
        target = n_classes * [0]
        target[change["class"]] = 1
        return POINT.format(target=target, **change)
    return ""
