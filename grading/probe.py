"""The side that runs a submission. It calls what it finds there, and judges nothing.

It is a process of its own: a request comes in as a line of JSON, and a line of JSON goes out, with
plain arrays, or with an exception and its file and line. What can be asked for is a function below
whose name begins with `do_`. probe_roles.py finds what it calls.
"""

import argparse
import ast
import inspect
import json
import os
import random
import re
import sys
import textwrap
import traceback
from contextlib import ExitStack, suppress
from importlib.machinery import SourceFileLoader
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from probe_roles import (
    IS_GRADIENT,
    RATE,
    ROLES,
    Unclear,
    as_json,
    assume,
    at,
    backward,
    best,
    call,
    changed,
    copy,
    find,
    forward,
    found,
    got,
    load,
    method,
    new_layer,
    new_linear,
    of_json,
    params,
    put,
    read_as,
    setting,
    slots,
    source_to_code,
    watched,
)


class Loss:
    """The submission's loss, which may want one-hot targets or class numbers, once or twice."""

    def __init__(self):
        self.loss = new_layer("CrossEntropy")

    def forward(self, p, y):
        function = method(self.loss, "forward", "__call__")
        try:
            return call("CrossEntropy.forward", function, predictions=p, targets=y)
        except (IndexError, ValueError, TypeError) as error:
            try:
                numbers = y.argmax(axis=-1)
                value = call("CrossEntropy.forward", function, predictions=p, targets=numbers)
            except (IndexError, ValueError, TypeError):
                raise error from None
            assume("targets are class numbers, not one-hot rows")
            return value

    def backward(self, p, y):
        if "targets are class numbers, not one-hot rows" in read_as:
            y = y.argmax(axis=-1)
        function = method(self.loss, "backward")
        return call("CrossEntropy.backward", function, predictions=p, targets=y)


def by_rows(do):
    """Let a request be answered row by row by layers that take one sample at a time."""

    def answer(x, **values):
        try:
            if "layers take one sample at a time" in read_as:
                raise ValueError  # without a text
            return do(x=x, **values)
        except (ValueError, TypeError, IndexError) as error:
            if error.args and (do is not take_layer or got.get("dx")):
                raise  # or Linear, asked first, would have failed at its first batch
            batch, rows = dict(got), []
            pairs = [name for name in ("dout", "y") if name in values]
            try:
                for shape in found.get("row shape", ((1, -1), (-1,))):
                    rows = []
                    with suppress(ValueError, TypeError, IndexError):
                        places = [
                            (i, j) for i, batch_x in enumerate(x) for j in range(len(batch_x))
                        ]
                        for i, j in places:
                            got.clear()
                            row = {name: [values[name][i][j].reshape(shape)] for name in pairs}
                            do(x=[x[i][j].reshape(shape)], **values | row)
                            rows.append((i, {k: v[0] for k, v in got.items() if k in ROWS and v}))
                            batch = batch or {k: v for k, v in got.items() if k not in ROWS}
                        break
            finally:
                got.clear()
                got.update(batch)
            if len(rows) < sum(map(len, x)):
                if not error.args:
                    return do(x=x, **values)
                raise error from None
            assume("layers take one sample at a time")
            found.setdefault("row shape", (shape,))
            for key in ROWS & {*rows[0][1]}:
                values_of = [[row[key] for k, row in rows if k == i] for i in range(len(x))]
                got[key] = [joined(key, values) for values in values_of]

    return answer


ROWS = {"out", "dx", "grads", "p", "loss", "gradient"}


def joined(key, values):
    """Return what rows give, put together as that of a batch."""
    if any(value is None for value in values):
        return None
    if key == "grads":
        layers = [values] if isinstance(values[0][0], np.ndarray) else zip(*values, strict=True)
        sums = [[sum(np.squeeze(g[k]) for g in layer) for k in (0, 1)] for layer in layers]
        return sums if len(sums) > 1 else sums[0]
    return sum(values) if key == "loss" else np.stack([np.ravel(value) for value in values])


# What the judge asks for. Each fills `got`, so that an exception leaves what came before it.


def do_import(role):
    load(role)


def do_initial(shape):
    """Initial weights and biases of Linear layers, made one after the other."""
    got["layers"] = [params().read(new_linear(*shape)) for _ in range(2)]


def take_layer(name, x, dout, parameters=None):
    """Forward and backward of Linear, ReLU or SoftMax for some batches."""
    layer = new_linear(*parameters[0].shape) if parameters else new_layer(name)
    got.update(out=[], dx=[], grads=[], changed=[])
    for x_i, dout_i in zip(x, dout, strict=True):
        before = [x_i.copy(), dout_i.copy()]
        if parameters:
            params().write([layer], [parameters])
            before += params().read(layer)
        out = forward(name, layer, x_i)
        got["out"].append(copy(out))
        got["changed"] += changed(x=(x_i, before[0]))
        if out is None or not hasattr(layer, "backward"):
            return
        got["dx"].append(copy(backward(name, layer, dout_i)))
        got["changed"] += changed(dout=(dout_i, before[1]))
        if parameters:
            got["grads"].append(params().gradients(layer, before[2:]))
            if "backward takes the step itself" not in read_as:
                now = params().read(layer)
                got["changed"] += changed(weight=(now[0], before[2]), bias=(now[1], before[3]))


do_layer = by_rows(take_layer)


@by_rows
def do_loss(x, y):
    """The loss and its gradient, of probabilities x, for some batches."""
    loss = Loss()
    got.update(loss=[], gradient=[], changed=[])
    for p, y_i in zip(x, y, strict=True):
        before = p.copy(), y_i.copy()
        got["loss"].append(copy(loss.forward(p, y_i)))
        forward_changed = changed(predictions=(p, before[0]), targets=(y_i, before[1]))
        got["gradient"].append(copy(loss.backward(p, y_i)))
        now = changed(predictions=(p, before[0]), targets=(y_i, before[1]))
        got["changed"] += [f"forward {name}" for name in forward_changed]
        got["changed"] += [f"backward {name}" for name in now if not forward_changed]


class Chain:
    """The submission's layers as a network, without its MLP.

    The gradient of the loss goes through the `softmax` or `skips` it; `logits` is for a loss that
    takes the softmax itself.
    """

    def __init__(self, path, sizes):
        self.path, self.softmax = path, new_layer("SoftMax")
        self.linears = [new_linear(*shape) for shape in pairwise(sizes)]
        self.relus = [new_layer("ReLU") for _ in self.linears[1:]]

    def forward(self, x):
        for linear, relu in zip(self.linears, self.relus, strict=False):
            x = forward("ReLU", relu, forward("Linear", linear, x))
        x = forward("Linear", self.linears[-1], x)
        return x if self.path == "logits" else forward("SoftMax", self.softmax, x)

    def backward(self, dout):
        dout = backward("SoftMax", self.softmax, dout) if self.path == "softmax" else dout
        dout = backward("Linear", self.linears[-1], dout)
        for linear, relu in [*zip(self.linears, self.relus, strict=False)][::-1]:
            dout = backward("Linear", linear, backward("ReLU", relu, dout))


def new_mlp(sizes):
    n_inputs, *hidden, n_classes = sizes
    kind = find("mlp_numpy", "MLP")
    values = {"n_inputs": n_inputs, "n_classes": n_classes, "learning_rate": RATE}
    first = None
    for form in (hidden, ",".join(map(str, hidden)), hidden[0]):
        try:
            model = call("MLP.__init__", kind, hidden=form, **values)
        except (TypeError, AttributeError, ValueError) as error:
            first = first or error
            continue
        if isinstance(form, int):
            assume("n_hidden is a number: there is one hidden layer")
        return model
    with suppress(TypeError, AttributeError, ValueError):
        model = kind(sizes)
        assume("MLP takes all sizes in one list")
        return model
    raise first


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


@by_rows
def do_network(path, parameters, x, y):
    """Forward and backward of the MLP, or of a Chain, and of the MLP two updates."""
    sizes = [len(weight) for weight, _ in parameters] + [len(parameters[-1][1])]
    model, loss = new_mlp(sizes) if "MLP" in path else Chain(path, sizes), Loss()
    layers = linears(model, sizes[0])
    got["shapes"] = [params().read(layer)[0].shape for layer in layers]
    got.update(p=[], loss=[], grads=[], changed=[])
    if got["shapes"] != [weight.shape for weight, _ in parameters]:
        return
    order = got.setdefault("order", [])
    for x_i, y_i in zip(x, y, strict=True):
        order.clear()
        params().write(layers, parameters)
        before, kept = [params().read(layer) for layer in layers], x_i.copy()
        p = forward("MLP", model, x_i)
        got["p"].append(copy(p))
        got["changed"] += changed(x=(x_i, kept))
        p = forward("SoftMax", new_layer("SoftMax"), p) if path == "MLP, softmax" else p
        got["loss"].append(copy(loss.forward(p, y_i)))
        dout, p = loss.backward(p, y_i), copy(p)
        values = {"dout": dout, "targets": y_i, "predictions": p, "x": x_i, "learning_rate": RATE}
        with watched(find("modules", "Linear"), "backward", lambda layer, *_: order.append(
            [layer is other for other in layers].index(True))):  # fmt: skip
            call("MLP.backward", method(model, "backward"), **values)
        got["grads"].append(
            [params().gradients(*pair) for pair in zip(layers, before, strict=True)]
        )
    names = [n for n in dir(model) if re.match("update|step|optimi[sz]e|apply_|gradient_desc", n)]
    if names and len(x) > 1:
        params().write(layers, parameters)
        do_update(model, layers, names[0])


def do_update(model, layers, name):
    """Two updates of the MLP with the same gradients."""
    for rate in ("learning_rate", "lr", "eta", "alpha"):
        if hasattr(model, rate):
            setattr(model, rate, RATE)
    before = [params().read(layer) for layer in layers]
    got["update"], got["updated"] = name, [before]
    got["update_grads"] = [params().gradients(*pair) for pair in zip(layers, before, strict=True)]
    for _ in range(2):
        call(f"MLP.{name}", getattr(model, name), learning_rate=RATE, batch_size=1)
        got["updated"].append([params().read(layer) for layer in layers])


def do_initial_mlp(sizes):
    """The initial weights of a network as it is made."""
    got["layers"] = [params().read(layer) for layer in linears(new_mlp(sizes), sizes[0])]


def do_accuracy(predictions, targets):
    """The accuracy, also of what a solution may take instead: decisions or class numbers."""
    function, n_classes = find("train_mlp_numpy", "accuracy"), targets.shape[1]
    decided, labels = predictions.argmax(axis=1), targets.argmax(axis=1)
    pairs = [(predictions, targets), (predictions, labels), (decided, labels),
             (np.eye(n_classes)[decided], targets)]  # fmt: skip
    values, error = [None] * 5, None
    for i, (p, y) in enumerate(pairs):
        try:
            values[i] = call("accuracy", function, predictions=p.copy(), targets=y.copy())
        except (IndexError, ValueError, TypeError) as raised:
            error = error or raised
    if error:
        with suppress(IndexError, ValueError, TypeError):
            model = SimpleNamespace(forward=np.copy, predict=np.copy)
            values[4] = call("accuracy", function, model=model, x=predictions, targets=targets)
    got["values"] = values
    if error and all(value is None for value in values):
        raise error


def moons(seed=0):
    """Return two half circles, and one-hot targets, for a trainer that is given its data."""
    rng = np.random.RandomState(seed)
    labels, angles = np.arange(1000) % 2, np.pi * rng.uniform(size=1000)
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    x = np.where(labels[:, None], [1, 0.5] - x, x) + rng.normal(0, 0.2, (1000, 2))
    return x[:800], np.eye(2)[labels[:800]], x[800:], np.eye(2)[labels[800:]]


def switches(train, parameters):
    """Return what may switch a trainer from the full batch to small ones, for its parameter."""
    for p in parameters:
        if re.fullmatch(ROLES["switch"], p.name.lower()):
            if isinstance(p.default, bool):
                return [True]
            tree = ast.parse(textwrap.dedent(inspect.getsource(train)))
            words = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)]
            words = [
                w
                for w in words
                if isinstance(w, str) and re.fullmatch(r"(?i)[-\w ]*(mini|mb|sgd|stoch)[-\w ]*", w)
            ]
            return sorted({*words}, key=lambda word: not re.search("m(ini|b)", word, re.I))
    return []


def do_train(max_steps, batch_size):
    """Run the trainer; return each update: its rows, targets, and parameters before and after.

    A batch_size of None is the full batch.
    """
    module, train = load("train_mlp_numpy"), find("train_mlp_numpy", "train")
    linear, loss, where = find("modules", "Linear"), find("modules", "CrossEntropy"), params()
    parameters = list(inspect.signature(train).parameters.values())
    wants = {r for r in ROLES for p in parameters
             if re.fullmatch(ROLES[r], p.name.lower()) and p.default is p.empty}  # fmt: skip
    flags = [v for v in vars(module).values() if isinstance(v, argparse.Namespace)]
    constants = {n: v for n, v in vars(module).items() if n.isupper() and type(v) in (int, float)}
    flags += [SimpleNamespace(**constants)] if not parameters else []
    names = [name for space in flags for name in vars(space)] + [p.name for p in parameters]
    got["takes_hidden"] = any(re.fullmatch(ROLES["hidden"], p.name.lower()) for p in parameters)
    got["takes_batch_size"] = any(re.fullmatch(ROLES["batch_size"], n.lower()) for n in names)
    default = [p.default for p in parameters if re.fullmatch(ROLES["batch_size"], p.name.lower())]
    size = batch_size or (None if default in ([], [None]) else 800)
    x, y, x_test, y_test = moons()
    values = {"learning_rate": RATE, "max_steps": max_steps, "eval_freq": max_steps, "rng": 0}
    for space in flags:
        for name in vars(space):
            for role in ("max_steps", "batch_size", "learning_rate"):
                if re.fullmatch(ROLES[role], name.lower()):
                    setattr(space, name, {**values, "batch_size": size or 800}[role])
                    if name in constants and not parameters:
                        setattr(module, name, getattr(space, name))
    values |= {"x": x, "targets": y, "x_test": x_test, "y_test": y_test, "hidden": "20"}
    values |= {"batch_size": size} if size or default == [inspect.Parameter.empty] else {}
    for role in ("model", "criterion", "args", "data", "optimizer"):
        if role in wants:
            values[role] = for_role(role, flags, values)
    if "data" in values:
        del values["x"], values["targets"]
    layers, keys, now, steps = [], [], {}, got.setdefault("steps", [])
    evaluated = got.setdefault("evaluated", [])

    def on_forward(layer, x, *_):
        if not any(layer is known for known in layers):
            weight, bias = where.read(layer)
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

    def before_backward(layer, *_):
        now.setdefault("before", [where.read(layer) for layer in layers])

    def after_backward(layer, *_):
        if layer is layers[0]:
            step = {
                "y": None,
                **now,
                "key": hash(b"".join(a.tobytes() for p in now["before"] for a in p)),
            }
            keys.append(step["key"])
            if len({*keys[-1000:]}) < 100:
                pairs = zip(layers, now["before"], strict=False)
                step["grads"] = [where.gradients(*pair) for pair in pairs]
            if keys[-2:-1] == keys[-1:] or len({*keys[-1000:]}) > 100:
                step["before"] = None  # known, or too many
            steps.append(step)

    with ExitStack() as stack:
        for name in ("forward", "__call__"):
            stack.enter_context(watched(loss, name, on_loss))
            if name == "forward" or not hasattr(linear, "forward"):
                stack.enter_context(watched(linear, name, on_forward))
        stack.enter_context(watched(loss, "backward", on_loss))
        stack.enter_context(watched(linear, "backward", before_backward, after_backward))
        tries = [
            {},
            *({"switch": word} for word in (switches(train, parameters) if batch_size else [])),
        ]
        for options in tries:
            for past in (steps, layers, evaluated, now, keys):
                past.clear()
            run_train(train, values | options, steps)
            if not steps or not batch_size or len(steps[0]["x"]) < 4 * batch_size:
                break
    if len({*keys[-1000:]}) <= 100 and steps:
        got["final"] = [where.read(layer) for layer in layers]


def run_train(train, values, steps):
    """Call the trainer, with the hidden units as text, as a list or as a number."""
    first = None
    for hidden in ("20", [20], 20):
        try:
            return call("train", train, **values | {"hidden": hidden})
        except (TypeError, ValueError, AttributeError) as error:
            first = first or error
            if steps or hidden == 20:
                raise first from None


def for_role(role, flags, values):
    """Return an object that a trainer wants to be given."""
    if role == "model":
        return new_mlp([2, 20, 2])
    if role == "criterion":
        return new_layer("CrossEntropy")
    if role == "args":
        names = {"dnn_hidden_units": "20", "lr": RATE, "epochs": values["max_steps"]}
        return flags[0] if flags else SimpleNamespace(**values, **names)
    if role == "optimizer":
        kind = find("modules", "Optimizer", optional=True) or find("train_mlp_numpy", "Optimizer")
        return call("Optimizer", kind, model=values.get("model"), learning_rate=RATE)
    source = find("train_mlp_numpy", "load_data", optional=True)
    return source() if source else moons()


def places(perceptron, n_inputs):
    """Return where a perceptron keeps its weights, and its bias if apart, as paths."""
    sizes = {path: np.size(v) for path, v in slots(perceptron) if isinstance(v, np.ndarray | list)}
    sizes = {p: n for p, n in sizes.items() if not IS_GRADIENT.search(p)}
    n_whole = n_inputs + ("without bias" not in found)
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
    weights, bias = places(perceptron, n_inputs)
    numbers = np.ravel(np.array(at(perceptron, weights), dtype=float))
    return numbers if bias is None else np.append(numbers, np.ravel(at(perceptron, bias)))


def with_ones(points):
    """Return points as a perceptron wants them that leaves the bias to its caller."""
    ones = np.ones((len(points), 1))
    return np.hstack([points, ones]) if "without bias" in found else points


def labels_of(perceptron, points):
    """Return the predictions, from a `forward` that may take points one at a time, or with a 1."""
    function, first = method(perceptron, "forward", "predict", "__call__"), None
    ones = np.ones((len(points), 1))
    for x, told in (
        (points, None),
        (np.hstack([points, ones]), "the 1 for the bias is part of a point, the last"),
        (np.hstack([ones, points]), "the 1 for the bias is part of a point, the first"),
    ):
        try:
            labels = call("Perceptron.forward", function, x=x)
            if labels is None:
                return None
            labels = of_tuple(labels, len(points))
        except (ValueError, TypeError, IndexError) as error:
            first = first or error
            labels = None
        if labels is None:
            with suppress(ValueError, TypeError, IndexError):
                labels = [of_tuple(call("Perceptron.forward", function, x=row), 1) for row in x]
                labels = None if any(label is None for label in labels) else np.ravel(labels)
                if labels is not None:
                    assume("Perceptron.forward takes one point at a time")
        if labels is not None:
            if told:
                assume(told)
            return labels
    raise first or Unclear("Perceptron.forward does not give a number for each point")


def of_tuple(labels, n):
    """Return n labels, of a tuple that has them in one of its places, or None."""
    options = list(labels) if isinstance(labels, tuple) else [labels]
    options = [np.ravel(np.asarray(o, dtype=float)) for o in options if o is not None]
    options = [o for o in options if o.size == n]
    return next(
        (o for o in options if np.isin(o, [-1, 0, 1]).all()), options[0] if options else None
    )


def new_perceptron(n_inputs, max_steps=100):
    kind = find("perceptron", "Perceptron")
    values = {"n_inputs": n_inputs, "max_steps": max_steps, "learning_rate": RATE}
    return call("Perceptron.__init__", kind, **values)


def learn(perceptron, x, y, max_steps):
    values = {"x": x, "targets": y, "x_test": x[:2].copy(), "y_test": y[:2].copy()}
    values |= {"max_steps": max_steps, "learning_rate": RATE}
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
            found["without bias"] = got["without_bias"] = True
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
    for kind in (int, float):
        perceptron = new_perceptron(points.shape[1], max_steps)
        with suppress(Unclear):  # `train` makes them
            got["before"] = vector(perceptron, points.shape[1])
        kept = points.copy(), labels.astype(kind)
        x, y = (array.copy() for array in kept)
        try:
            learn(perceptron, x, y, max_steps)
        except TypeError:
            if kind is float:
                raise
            continue  # is it that the labels are changed in place?
        finally:
            got["changed"] = changed(points=(x, kept[0]), labels=(y, kept[1]))
        break
    got["with_integers"] = kind is int
    got["after"] = vector(perceptron, points.shape[1])
    got.setdefault("before", 0 * got["after"])


def do_data(mean_pos, mean_neg, cov_scale):
    """The data, with a covariance that may be wanted as a number or as a matrix."""
    function = find("perceptron", "generate_dataset", optional=True)
    got["is_there"] = function is not None
    if function:
        got["is_named"] = "pos" in str(inspect.signature(function)).lower()
        values = {"mean_pos": mean_pos, "mean_neg": mean_neg, "rng": 0, "n_points": 100}
        try:
            parts = call("generate_dataset", function, **values, cov=cov_scale)
        except (ValueError, TypeError, IndexError):
            parts = call("generate_dataset", function, **values, cov=cov_scale * np.eye(2))
        parts = [p for part in parts for p in (part if isinstance(part, tuple) else [part])]
        got["parts"] = [np.asarray(part, dtype=float) for part in parts]


# The conversation


def described(error):
    """Return an exception as plain words, with the innermost place within the submission."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
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
