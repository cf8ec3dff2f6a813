"""The side that runs a submission. It calls what it finds there, and judges nothing.

It is a process of its own: a request comes in as a line of JSON, and a line of JSON goes out, with
plain arrays, or with an exception and its file and line. What can be asked for is a function below
whose name begins with `do_`: it fills `got`, so that an exception leaves what came before it.
probe_roles.py finds what it calls.
"""

import argparse
import inspect
import json
import os
import random
import re
import sys
import traceback
import warnings
from contextlib import ExitStack, suppress
from importlib.machinery import SourceFileLoader
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np

# isort: off
from probe_roles import (
    IS_GRADIENT, MISFIT, RATE, Unclear, as_json, assume, at, backward, best, call, call_first,
    changed, copy, find, forward, got, load, method, new_layer, new_linear, of_json, parameters_of,
    params, plays, put, read_as, setting, slots, source_to_code, watched,
)  # fmt: skip

ONE_BY_ONE = "layers take one sample at a time"
CLASS_NUMBERS = "targets are class numbers, not one-hot rows"

# Layers and networks


def batches(do, make, x, y):
    """Put into `got` what `do` yields for each batch, or for its rows if layers take these."""
    made = make()
    for pair in zip(x, y, strict=True):
        for key, value in (ONE_BY_ONE in read_as and by_rows(do, make, *pair)) or do(made, *pair):
            got.setdefault(key, []).append(value)
    return made


def by_rows(do, make, x, y):
    """Return what `do` yields for all rows, each with new layers, or None if they fail."""
    for shape in setting.row_shapes:
        with suppress(*MISFIT):
            rows = [
                dict(do(make(), a.reshape(shape), b.reshape(shape)))
                for a, b in zip(x, y, strict=True)
            ]
            setting.row_shapes = [shape]
            return [(key, joined(key, [row[key] for row in rows])) for key in rows[0]]
    return None


def joined(key, values):
    """Return what rows give, as that of a batch: sums of the loss and of lists of gradients."""
    if any(value is None for value in values):
        return None
    if isinstance(values[0], list):
        return [joined("loss", part) for part in zip(*values, strict=True)]
    return sum(map(np.squeeze, values)) if key == "loss" else np.stack([*map(np.ravel, values)])


def of_loss(name, loss, p, y):
    """Call a method of the loss, which may want class numbers for one-hot targets."""
    numbers = (CLASS_NUMBERS, {"targets": y.argmax(axis=-1)})
    options = [numbers] if CLASS_NUMBERS in read_as else [("", {"targets": y}), numbers]
    names = ["forward", "__call__"] if name == "forward" else [name]
    return call_first(f"CrossEntropy.{name}", method(loss, *names), options, predictions=p)


def do_import(role):
    load(role)


def do_initial(shape):
    """Initial weights and biases of Linear layers, made one after the other."""
    got["layers"] = params().read([new_linear(*shape) for _ in range(2)])


def do_layer(name, x, dout, parameters=None):
    """Forward and backward of Linear, ReLU or SoftMax for some batches."""
    got["changed"] = []

    def make():
        return new_linear(*parameters[0].shape) if parameters else new_layer(name)

    def both(layer, x, dout):
        kept_x, kept_dout = x.copy(), dout.copy()
        if parameters:
            params().write([layer], [parameters])
            before = params().read([layer])
        out = forward(name, layer, x)
        yield "out", copy(out)
        changed(x=(x, kept_x))
        if out is None or not hasattr(layer, "backward"):
            return
        yield "dx", copy(backward(name, layer, dout))
        changed(dout=(dout, kept_dout))
        if parameters:
            yield "grads", params().gradients([layer], before)[0]
            if "backward takes the step itself" not in read_as:
                now = params().read([layer])
                changed(weight=(now[0][0], before[0][0]), bias=(now[0][1], before[0][1]))

    try:
        batches(both, make, x, dout)
    except MISFIT:
        if not parameters or got.get("dx") or not by_rows(both, make, x[0], dout[0]):
            raise  # Linear alone tells whether layers take one sample
        assume(ONE_BY_ONE)
        got["out"] = []
        batches(both, make, x, dout)


def do_loss(x, y):
    """The loss and its gradient, of probabilities x, for some batches."""
    got["changed"] = []

    def both(loss, p, y):
        kept = p.copy(), y.copy()
        yield "loss", copy(of_loss("forward", loss, p, y))
        is_changed = changed("forward ", predictions=(p, kept[0]), targets=(y, kept[1]))
        yield "gradient", copy(of_loss("backward", loss, p, y))
        if not is_changed:
            changed("backward ", predictions=(p, kept[0]), targets=(y, kept[1]))

    batches(both, lambda: new_layer("CrossEntropy"), x, y)


class Chain:
    """The submission's layers as a network, without its MLP.

    The gradient of the loss goes through the `softmax` or `skips` it; `logits` is for a loss that
    takes the softmax itself.
    """

    def __init__(self, path, sizes):
        self.layers = []
        for shape in pairwise(sizes):
            self.layers += [("Linear", new_linear(*shape)), ("ReLU", new_layer("ReLU"))]
        self.layers[-1] = ("SoftMax", new_layer("SoftMax"))
        self.there = self.layers[:-1] if path == "logits" else self.layers
        self.back = self.layers[::-1] if path == "softmax" else self.layers[-2::-1]

    def forward(self, x):
        for name, layer in self.there:
            x = forward(name, layer, x)
        return x

    def backward(self, dout):
        for name, layer in self.back:
            dout = backward(name, layer, dout)


def new_mlp(sizes):
    kind, (n_inputs, *hidden, n_classes) = find("mlp_numpy", "MLP"), sizes
    options = [
        ("", {"hidden": hidden}),
        ("", {"hidden": ",".join(map(str, hidden))}),
    ]
    if len(hidden) == 1:
        options.append(("n_hidden is a number: there is one hidden layer", {"hidden": hidden[0]}))
    takes = parameters_of(kind)
    is_one = sum(p.default is p.empty for p in takes) == 1
    if is_one and not any(plays(p.name, "n_classes") for p in takes):
        options = [("MLP takes all sizes in one list", {"n_inputs": sizes, "hidden": sizes})]
    values = {"n_inputs": n_inputs, "n_classes": n_classes, "learning_rate": RATE}
    return call_first("MLP.__init__", kind, options, **values)


def linears(model, n_inputs):
    """Return the Linear layers of a network in the order of the forward pass."""
    kind, layers = find("modules", "Linear"), []

    def note(layer, *_):
        if not any(layer is known for known in layers):
            layers.append(layer)

    with watched(kind, "forward" if hasattr(kind, "forward") else "__call__", note):
        try:
            forward("MLP", model, np.ones((1, n_inputs)))
        except ValueError:
            forward("MLP", model, np.ones(n_inputs))
    return layers


def do_network(path, parameters, x, y):
    """Forward and backward of the MLP, or of a Chain, and of the MLP two updates."""
    sizes = [len(weight) for weight, _ in parameters] + [len(parameters[-1][1])]
    got.update(order=[], changed=[])

    def make():
        model = new_mlp(sizes) if "MLP" in path else Chain(path, sizes)
        layers = linears(model, sizes[0])
        got["shapes"] = [weight.shape for weight, _ in params().read(layers)]
        return model, layers, new_layer("CrossEntropy")

    def both(made, x, y):
        model, layers, loss = made
        if got["shapes"] != [weight.shape for weight, _ in parameters]:
            return
        got["order"].clear()
        params().write(layers, parameters)
        before, kept = params().read(layers), x.copy()
        p = forward("MLP", model, x)
        yield "p", copy(p)
        changed(x=(x, kept))
        p = forward("SoftMax", new_layer("SoftMax"), p) if path == "MLP, softmax" else p
        yield "loss", copy(of_loss("forward", loss, p, y))
        dout, p = of_loss("backward", loss, p, y), copy(p)
        values = {"x": x, "predictions": p, "dout": dout, "targets": y, "learning_rate": RATE}
        with watched(find("modules", "Linear"), "backward", lambda layer, *_: got["order"].append(
            [layer is other for other in layers].index(True))):  # fmt: skip
            call("MLP.backward", method(model, "backward"), **values)
        yield "grads", params().gradients(layers, before)

    model, layers, _ = batches(both, make, x, y)
    names = [n for n in dir(model) if re.match("update|step|optimi[sz]e|apply_|gradient_desc", n)]
    if names and got.get("grads") and ONE_BY_ONE not in read_as:
        params().write(layers, parameters)
        do_update(model, layers, names[0])


def do_update(model, layers, name):
    """Two updates of the MLP with the same gradients."""
    for rate in ("learning_rate", "lr", "eta", "alpha"):
        if hasattr(model, rate):
            setattr(model, rate, RATE)
    before = params().read(layers)
    got["update"], got["updated"] = name, [before]
    got["update_grads"] = params().gradients(layers, before)
    for _ in range(2):
        call(f"MLP.{name}", getattr(model, name), learning_rate=RATE, batch_size=1)
        got["updated"].append(params().read(layers))


def do_initial_mlp(sizes):
    """The initial weights of a network as it is made."""
    got["layers"] = params().read(linears(new_mlp(sizes), sizes[0]))


# The trainer


def do_accuracy(predictions, targets):
    """The accuracy, also of what a solution may take instead: decisions, class numbers, a model."""
    function, n_classes = find("train_mlp_numpy", "accuracy"), targets.shape[1]
    decided, labels = predictions.argmax(axis=1), targets.argmax(axis=1)
    model = SimpleNamespace(forward=np.copy, predict=np.copy)
    options = [(predictions, targets), (predictions, labels), (decided, labels),
               (np.eye(n_classes)[decided], targets), (predictions, targets)]  # fmt: skip
    got["values"], raised = [None] * 5, None
    for i, (p, y) in enumerate(options):
        values = {"x": p, "model": model} if i == 4 else {"predictions": p.copy()}
        if i < 4 or raised:
            try:
                got["values"][i] = call("accuracy", function, **values, targets=y.copy())
            except MISFIT as error:
                raised = raised or error
    if all(value is None for value in got["values"]) and raised:
        raise raised


def moons(seed=0):
    """Return two half circles, and one-hot targets, for a trainer that is given its data."""
    rng = np.random.RandomState(seed)
    labels, angles = np.arange(1000) % 2, np.pi * rng.uniform(size=1000)
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = np.where(labels[:, None], [1, 0.5] - x, x) + rng.normal(0, 0.2, (1000, 2))
    return x[:800], np.eye(2)[labels[:800]], x[800:], np.eye(2)[labels[800:]]


def switches(train, parameters):
    """Return what may switch a trainer from the full batch to small ones, for its parameter."""
    switch = [p for p in parameters if plays(p.name, "switch")]
    if switch and isinstance(switch[0].default, bool):
        return [True]
    pattern = r"(?i)[\"']([-\w ]*(?:mini|mb|sgd|stoch)[-\w ]*)[\"']"
    words = re.findall(pattern, inspect.getsource(train)) if switch else []
    return sorted(dict.fromkeys(words), key=lambda word: not re.search("m(ini|b)", word, re.I))


def new_optimizer(model):
    kind = find("modules", "Optimizer", optional=True) or find("train_mlp_numpy", "Optimizer")
    return call("Optimizer", kind, model=model, learning_rate=RATE)


def trainer_values(module, parameters, max_steps, batch_size):
    """Return values for what a trainer may ask for, and set its flags and constants to them."""
    x, y, x_test, y_test = moons()
    values = {"x": x, "targets": y, "x_test": x_test, "y_test": y_test, "learning_rate": RATE,
              "max_steps": max_steps, "eval_freq": max_steps, "batch_size": batch_size or 800,
              "hidden": "7", "rng": 0}  # fmt: skip
    flags = [v for v in vars(module).values() if isinstance(v, argparse.Namespace)]
    names = [(space, name) for space in flags for name in vars(space)]
    if not parameters:
        names += [(module, name) for name, value in vars(module).items()
                  if name.isupper() and type(value) in (int, float)]  # fmt: skip
    for space, name in names:
        for role in ("max_steps", "batch_size", "learning_rate"):
            if plays(name, role):
                setattr(space, name, values[role])
    names = [name for _, name in names] + [p.name for p in parameters]
    got["takes_batch_size"] = any(plays(name, "batch_size") for name in names)
    got["takes_hidden"] = any(plays(p.name, "hidden") for p in parameters)
    if [p.default for p in parameters if plays(p.name, "batch_size")] == [None]:
        values["batch_size"] = batch_size
    args = SimpleNamespace(**values, dnn_hidden_units="7", lr=RATE, epochs=max_steps)
    for role, make in {
        "model": lambda: new_mlp([2, 7, 2]),
        "criterion": lambda: new_layer("CrossEntropy"),
        "args": lambda: flags[0] if flags else args,
        "data": lambda: (find("train_mlp_numpy", "load_data", optional=True) or moons)(),
        "optimizer": lambda: new_optimizer(values.get("model")),
    }.items():
        if any(plays(p.name, role) and p.default is p.empty for p in parameters):
            values[role] = make()
    if "data" in values:
        del values["x"], values["targets"]
    return values


def do_train(max_steps, batch_size):
    """Run the trainer; return each update: its rows, targets, and parameters before and after.

    A batch_size of None is the full batch.
    """
    module, train, where = load("train_mlp_numpy"), find("train_mlp_numpy", "train"), params()
    linear, loss, parameters = (
        find("modules", "Linear"),
        find("modules", "CrossEntropy"),
        parameters_of(train),
    )
    values = trainer_values(module, parameters, max_steps, batch_size)
    layers, states, now, steps, evaluated = [], set(), {}, [], []
    got.update(steps=steps, evaluated=evaluated)

    def on_forward(layer, x, *_):
        if not any(layer is known for known in layers):
            [(weight, bias)] = where.read([layer])
            rng = np.random.default_rng(len(layers))
            where.write([layer], [[rng.normal(0, 0.3, weight.shape), 0 * bias]])
            layers.append(layer)
        if layer is layers[0]:
            if "before" not in now and "x" in now and len(evaluated) < 100:
                evaluated.append(now["x"])
            now["x"] = np.array(x, dtype=float, ndmin=2)
            now.pop("before", None)

    def on_loss(_, *arrays):
        for array in map(np.asarray, arrays):
            if array.dtype.kind in "bif" and array.size and np.isin(array, [0, 1]).all():
                now["y"] = np.atleast_1d(array.astype(float))

    def before_backward(*_):
        now.setdefault("before", where.read(layers))

    def after_backward(layer, *_):
        if layer is layers[0]:
            key = hash(b"".join(array.tobytes() for pair in now["before"] for array in pair))
            step = {"y": None, **now, "key": key}
            states.add(key)
            if len(states) < 100:
                step["grads"] = where.gradients(layers, now["before"])
            if len(states) > 100 or (steps and steps[-1]["key"] == key):
                step["before"] = None  # known, or too many
            steps.append(step)

    name = "forward" if hasattr(linear, "forward") else "__call__"
    with ExitStack() as stack:
        for method_of_loss in ("forward", "__call__", "backward"):
            stack.enter_context(watched(loss, method_of_loss, on_loss))
        stack.enter_context(watched(linear, name, on_forward))
        stack.enter_context(watched(linear, "backward", before_backward, after_backward))
        for switch in [None, *(switches(train, parameters) if batch_size else ())]:
            for seen in (layers, states, now, steps, evaluated):
                seen.clear()
            values |= {"switch": switch} if switch else {}
            hidden = (("", {"hidden": form}) for form in ("7", [7], 7) if not steps)
            call_first("train", train, hidden, **values)
            if not steps or not batch_size or len(steps[0]["x"]) < 4 * batch_size:
                break
    if steps and len(states) <= 100:
        got["final"] = where.read(layers)


# The perceptron


def places(perceptron, n_inputs):
    """Return where a perceptron keeps its weights, and its bias if apart, as paths."""
    own = [(p, v) for p, v in slots(perceptron) if not IS_GRADIENT.search(p)]
    sizes = {p: np.size(v) for p, v in own if isinstance(v, np.ndarray | list)}
    n_whole = n_inputs + (not setting.without_bias)
    if whole := best([p for p, n in sizes.items() if n == n_whole], "w|theta"):
        return whole, None
    weights = best([p for p, n in sizes.items() if n == n_inputs], "w|theta")
    apart = [p for p, v in slots(perceptron) if np.size(v) == 1 and v is not None
             and re.match("_?b(ias)?$|w_?0|theta_?0|threshold", p)]  # fmt: skip
    if weights and apart:
        assume(f"the perceptron's bias is apart, in {apart[0]}")
        return weights, apart[0]
    if any(v is None and p.startswith("w") for p, v in slots(perceptron)):
        raise NotImplementedError("the weights of Perceptron are None")
    raise Unclear("Perceptron keeps no weights of n_inputs + 1 numbers")


def vector(perceptron, n_inputs):
    """Return the weights and the bias as one vector."""
    paths = [path for path in places(perceptron, n_inputs) if path]
    return np.concatenate([np.ravel(np.array(at(perceptron, p), dtype=float)) for p in paths])


def with_ones(points):
    """Return points as a perceptron wants them that leaves the bias to its caller."""
    return np.hstack([points, np.ones((len(points), 1))]) if setting.without_bias else points


def labels_of(perceptron, points):
    """Return the predictions, from a `forward` that may take points one at a time, or with a 1."""
    function, raised = method(perceptron, "forward", "predict", "__call__"), None
    ones = np.ones((len(points), 1))
    for told, x in (
        ("", points),
        ("the 1 for the bias is part of a point, the last", np.hstack([points, ones])),
        ("the 1 for the bias is part of a point, the first", np.hstack([ones, points])),
    ):
        for how, parts in ("", [x]), ("Perceptron.forward takes one point at a time", x):
            try:
                given = [call("Perceptron.forward", function, x=part) for part in parts]
                if given[0] is None:
                    return None
                labels = np.ravel([of_tuple(g, len(points) // len(parts)) for g in given])
            except (*MISFIT, Unclear) as error:
                raised = raised or error
            else:
                assume(told)
                assume(how)
                return labels
    raise raised


def of_tuple(labels, n):
    """Return n labels, of a tuple that has them in one of its places."""
    options = labels if isinstance(labels, tuple) else [labels]
    options = [np.ravel(np.asarray(o, dtype=float)) for o in options if o is not None]
    options = [o for o in options if o.size == n]
    if not options:
        raise Unclear("Perceptron.forward does not give a number for each point")
    return max(options, key=lambda o: np.isin(o, [-1, 0, 1]).all())


def new_perceptron(n_inputs, max_steps=100):
    kind = find("perceptron", "Perceptron")
    values = {"n_inputs": n_inputs, "max_steps": max_steps, "learning_rate": RATE}
    return call("Perceptron.__init__", kind, **values)


def learn(perceptron, x, y, max_steps):
    values = {"x": x, "targets": y, "x_test": x[:2].copy(), "y_test": y[:2].copy()}
    values |= {"learning_rate": RATE, "max_steps": max_steps}
    return call("Perceptron.train", method(perceptron, "train", "fit", "learn"), **values)


def do_perceptron(weights, points):
    """The initial weights, and the predictions with these weights, the bias last and first."""
    perceptron, n = new_perceptron(points.shape[1]), points.shape[1]
    try:
        got["initial"] = vector(perceptron, n)
    except Unclear:
        with suppress(Exception):  # perhaps `train` makes them
            learn(perceptron, points, np.sign(points[:, 0] + 0.1), 1)
        try:
            places(perceptron, n)
        except Unclear:
            setting.without_bias = got["without_bias"] = True
            points, n = with_ones(points), n + 1
            perceptron = new_perceptron(n)
        got["initial"] = vector(perceptron, n)
    where, apart = places(perceptron, n)
    for name, numbers in ("last", weights), ("first", np.roll(weights, 1)):
        put(perceptron, where, numbers[:-1] if apart else numbers)
        if apart:
            put(perceptron, apart, numbers[-1:])
        got[name] = labels_of(perceptron, points)
    got["of_three"] = len(vector(new_perceptron(3), 3))


def do_learn(points, labels, max_steps):
    """Train a perceptron for so many epochs; return its weights before and after."""
    points = with_ones(points)
    n = points.shape[1]
    for kind in (int, float):
        perceptron = new_perceptron(n, max_steps)
        with suppress(Unclear):  # `train` makes them
            got["before"] = vector(perceptron, n)
        x, y = points.copy(), labels.astype(kind)
        try:
            learn(perceptron, x, y, max_steps)
            break
        except TypeError:  # is it that the labels are changed in place?
            if kind is float:
                raise
        finally:
            got["changed"] = []
            changed(points=(x, points), labels=(y, labels))
    got["with_integers"] = kind is int
    got["after"] = vector(perceptron, n)
    got.setdefault("before", 0 * got["after"])


def do_data(mean_pos, mean_neg, cov_scale):
    """The data, with a covariance that may be wanted as a number or as a matrix."""
    function = find("perceptron", "generate_dataset", optional=True)
    got["is_there"] = function is not None
    if function:
        got["is_named"] = "pos" in str(inspect.signature(function)).lower()
        options = [("", {"cov": cov}) for cov in (cov_scale, cov_scale * np.eye(2))]
        values = {"mean_pos": mean_pos, "mean_neg": mean_neg, "rng": 0, "n_points": 100}
        parts = call_first("generate_dataset", function, options, **values)
        parts = [p for part in parts for p in (part if isinstance(part, tuple) else [part])]
        got["parts"] = [np.asarray(part, dtype=float) for part in parts]


# The conversation


def described(error):
    """Return an exception as plain words, with the innermost place within the submission."""
    text = getattr(error, "msg", None) or str(error)
    text = " ".join(str(text).split()).replace(f"{setting.folder}{os.sep}", "")
    told = {"type": type(error).__name__, "text": text[:300]}
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    for name, line in frames:
        if setting.folder in Path(name).parents:
            told |= {"file": str(Path(name).relative_to(setting.folder)), "line": line}
    return told


def limit_memory(n_bytes):
    """Let no more memory be had, where the system knows such a limit."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))


def main():
    requests, answers, own_pid = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w"), os.getpid()
    told = json.loads(requests.readline())
    setting.folder, setting.files = Path(told["folder"]), told["files"]
    parts = [part for file in setting.files.values() for part in Path(file).parts[:-1]]
    setting.own_names = {setting.folder.name, *parts}
    del sys.path[0]  # this folder
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what it prints is kept apart
    limit_memory(told["memory"])
    SourceFileLoader.source_to_code = source_to_code
    warnings.filterwarnings("ignore", category=RuntimeWarning)  # of the numbers that it is sent
    answers.write("{}\n")  # it is ready
    answers.flush()
    dumps, loads, flush = json.dumps, json.loads, sys.stdout.flush
    for line in requests:
        request = loads(line, object_hook=of_json)
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
        got.clear()
        answer = {"got": got, "read_as": read_as}
        try:
            globals()[f"do_{request.pop('do')}"](**request)
        except BaseException as error:  # an exit and an interrupt as well
            answer["raised"] = described(error)
        with suppress(Exception):
            flush()
        if os.getpid() != own_pid:  # a process that the submission forked
            os._exit(0)
        answers.write(dumps(answer, default=as_json) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
