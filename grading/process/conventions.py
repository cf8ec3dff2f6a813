"""How a submission does things: found out once, kept in the fields of a `Conventions`.

It runs in the submission's process, but for `in_words`. It judges nothing. A new convention is a
field, a line of `in_words`, and the function here or in network.py that finds it.
"""

import re
from dataclasses import dataclass

import numpy as np

from grading.process.calls import RATE, call, parameters_of, required, role_of
from grading.process.raised import NotUnderstood

CLASSES = {  # in small letters, without underscores
    "Linear": r"(linear|dense|affine|fullyconnected|fc)(module|layer)?",
    "ReLU": r"relu(module|layer|activation)?",
    "SoftMax": r"softmax(module|layer|activation)?",
    "CrossEntropy": r"(softmax)?crossentropy(module|layer|loss)?",
    "MLP": r"mlp(numpy|net|network)?|neuralnet(work)?|multilayerperceptron",
    "Perceptron": r"(?!multi)\w*perceptron\w*",
}
GRADIENT = re.compile(r"grad|delta|(^|\.)_?d_?[wb]", re.I)
OTHER_STATE = re.compile(r"veloc|moment|cache|(^|\.)_?[vm]_?[wb]?$|input|output", re.I)
WEIGHT = re.compile(r"(^|\.)_?(w|theta|kernel)", re.I)
BIAS = re.compile(r"(^|\.)_?b", re.I)
FORMS = {  # how a submission takes N samples: the parts that its forward is called with
    "batch": lambda x: [x],
    "batch of (1, d)": lambda x: [x[:, None, :]],
    "one (d,)": lambda x: list(x),
    "one (1, d)": lambda x: [row[None, :] for row in x],
    "columns": lambda x: [x.T],
}


@dataclass
class Conventions:
    """How a submission does things. A teacher may give the same fields in the TOML file."""

    weight: str = ""  # where a Linear keeps it: "params.weight"
    bias: str = ""
    weight_gradient: str = ""
    bias_gradient: str = ""
    is_transposed: bool = False  # weights have the shape (out, in)
    form: str = "batch"  # a key of FORMS
    targets: str = "one-hot"  # or "class numbers"
    outputs: str = "probabilities"  # or "logits": of MLP.forward
    softmax_outside: bool = False  # the trainer was seen to take the softmax of the outputs
    takes_batches: object = None  # the trainer was seen to pass several samples at a time
    loss_takes: str = "the outputs"  # or "their softmax"
    loss_gives: str = "a number"  # or "a number a row", "a tuple"
    loss_backward: str = "alone"  # or "in forward", which then gives the gradient, too
    mlp_backward: str = "dout"  # or "targets", "nothing"
    adds_up: bool = False  # gradients of one backward are added to those before
    backward_steps: bool = False  # backward changes the parameters itself
    given: tuple = ()  # the fields that the teacher has given

    def __setattr__(self, name, value):
        """Set a field, but not one that the teacher has given."""
        if name not in vars(self).get("given", ()):
            super().__setattr__(name, value)


CHOICES = {  # of the fields that are words
    "form": list(FORMS),
    "targets": ["one-hot", "class numbers"],
    "outputs": ["probabilities", "logits"],
    "loss_takes": ["the outputs", "their softmax"],
    "loss_gives": ["a number", "a number a row", "a tuple"],
    "loss_backward": ["alone", "in forward"],
    "mlp_backward": ["dout", "targets", "nothing"],
}


def check(fields):
    """Raise a ValueError if these are no fields of Conventions, or have no such values.

    Args:
        fields: a dict, as a teacher gives it.
    """
    known = Conventions()
    names = [name for name in vars(known) if name != "given"]
    for name, value in fields.items():
        if name not in names:
            raise ValueError(f"there is no convention {name!r}; known are {', '.join(names)}")
        choices = CHOICES.get(name, [value])
        if value not in choices:
            raise ValueError(f"{name} is {value!r}, but should be one of {', '.join(choices)}")
        kind = type(getattr(known, name))
        if name != "takes_batches" and not isinstance(value, kind):
            raise ValueError(f"{name} is {value!r}, but should be of type {kind.__name__}")


def in_words(conventions):
    """Return a sentence for each convention that is not the lecture's."""
    samples = {
        "batch of (1, d)": "samples come in batches of shape (N, 1, d)",
        "one (d,)": "layers take one sample at a time, of shape (d,)",
        "one (1, d)": "layers take one sample at a time, of shape (1, d)",
        "columns": "samples are columns",
    }
    known = {
        f"a Linear keeps its weight in {conventions.weight}": conventions.weight
        not in ("", "params.weight"),
        f"a Linear keeps its bias in {conventions.bias}": conventions.bias
        not in ("", "params.bias"),
        "weights have the shape (out, in)": conventions.is_transposed,
        samples.get(conventions.form): conventions.form != "batch",
        "targets are class numbers, not one-hot rows": conventions.targets == "class numbers",
        "MLP.forward gives logits": conventions.outputs == "logits",
        "the trainer takes the softmax, not the MLP": conventions.loss_takes == "their softmax",
        "the loss is one of several values that are returned": conventions.loss_gives == "a tuple",
        "the loss gives its gradient, too": conventions.loss_backward == "in forward",
        "MLP.backward takes the targets": conventions.mlp_backward == "targets",
        "MLP.backward takes no arguments": conventions.mlp_backward == "nothing",
        "gradients add up until they are set to zero": conventions.adds_up,
        "backward takes the step itself": conventions.backward_steps,
    }
    return [words for words, holds in known.items() if holds]


def classes_of(module):
    """Return the classes of a module by the names that the assignment has for them."""
    found = {}
    for name, value in vars(module).items():
        if not isinstance(value, type):
            continue
        plain = name.lower().replace("_", "")
        for role, pattern in CLASSES.items():
            is_better = name == role or role not in found
            if re.fullmatch(pattern, plain) and is_better:
                found[role] = value
    return found


def has_activation(module):
    """Return whether a module has a class of any activation, such as ELU."""
    for name, value in vars(module).items():
        if isinstance(value, type) and re.search(r"elu|activation|sigmoid|tanh", name, re.I):
            return True
    return False


# Where a layer keeps its arrays


def slots(thing):
    """Yield the attributes of an object by name, and what these hold by a path such as params.W.

    They may hold it in a dict, in a list, or as objects with a value and a gradient.
    """
    for name, value in getattr(thing, "__dict__", {}).items():
        yield name, value
        for key, entry in entries_of(value):
            yield f"{name}.{key}", entry


def entries_of(value):
    """Return pairs of a key and what a dict, a list or another object holds."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list):
        return list(enumerate(value))
    return list(getattr(value, "__dict__", {}).items())


def get(thing, path):
    """Return what is at a path of `slots`, or None."""
    name, _, key = path.partition(".")
    value = getattr(thing, name, None)
    if not key:
        return value
    for entry_key, entry in entries_of(value):
        if str(entry_key) == key:
            return entry
    return None


def put(thing, path, value):
    """Set what is at a path of `slots`."""
    name, _, key = path.partition(".")
    holder = getattr(thing, name, None)
    if not key:
        setattr(thing, name, value)
    elif isinstance(holder, list):
        holder[int(key)] = value
    elif isinstance(holder, dict):
        holder[key] = value
    else:
        setattr(holder, key, value)


def find_parameters(layer, n_in, n_out, conventions):
    """Find the weight and the bias of a Linear from n_in to n_out features."""
    arrays = {}
    for path, value in slots(layer):
        is_other = GRADIENT.search(path) or OTHER_STATE.search(path)
        if isinstance(value, np.ndarray | int | float) and not is_other:
            arrays[path] = np.asarray(value)
    for path, array in arrays.items():
        if sorted(array.shape) == sorted([n_in, n_out]) and not conventions.weight:
            conventions.weight = path
            conventions.is_transposed = array.shape == (n_out, n_in)
    for path, array in arrays.items():
        is_bias_size = array.size == n_out or (array.ndim == 0 and BIAS.search(path))
        if is_bias_size and path != conventions.weight and not conventions.bias:
            conventions.bias = path
    if not conventions.weight:
        shapes = [sorted(array.shape) for array in arrays.values()]
        if sorted([n_in + 1, n_out]) in shapes:
            raise NotUnderstood("Linear has weight and bias in one array, which is not understood")
        raise missing_parameter(layer, WEIGHT, "an array of shape (in, out)")
    if not conventions.bias:
        raise missing_parameter(layer, BIAS, "an array of shape (out,)")


def missing_parameter(layer, pattern, wanted):
    """Return the exception for a Linear without a weight or a bias."""
    for path, value in slots(layer):
        is_named = pattern.search(path) and not GRADIENT.search(path)
        if is_named and (value is None or isinstance(value, int | float)):
            return NotImplementedError(f"{path} of Linear is {value}, but should be {wanted}")
    return NotUnderstood(f"no attribute of Linear is {wanted}")


def find_gradients(layer, conventions):
    """Find the gradients after a backward: under the parameter's own name, or by d and its name."""
    own = []
    for path, value in slots(layer):
        if GRADIENT.search(path) and isinstance(value, np.ndarray | np.number | float):
            own.append(path)
    for which in "weight", "bias":
        if not getattr(conventions, f"{which}_gradient"):
            parameter = getattr(conventions, which)
            fits = [path for path in own if is_gradient_of(path, parameter)]
            setattr(conventions, f"{which}_gradient", fits[0] if fits else "")


def is_gradient_of(path, parameter):
    """Return whether a path is named like the gradient of a parameter.

    That of params.W may be grads.W, grad_W, dW or W_grad; that of W.value is W.grad.
    """
    own_holder, _, own_key = path.rpartition(".")
    holder, _, key = parameter.rpartition(".")
    is_object = WEIGHT.search(holder) or BIAS.search(holder)
    if own_holder == holder and is_object:
        return True
    return own_key == key or first_letter(own_key) == first_letter(key) != ""


def first_letter(name):
    """Return the first letter of a name, without its word for a gradient: w of grad_W."""
    plain = re.sub(r"(?i)grad(ient)?s?|delta|^_?d(?=_?[a-z])|[_\d]", "", name)
    return plain[:1].lower()


def read_parameters(layer, conventions):
    """Return weight, as (in, out), and bias, as (out,)."""
    if get(layer, conventions.weight) is None:
        raise NotUnderstood(f"not every Linear keeps its weight in {conventions.weight}")
    weight = np.array(get(layer, conventions.weight), dtype=float)
    weight = weight.T if conventions.is_transposed else weight
    bias = np.array(get(layer, conventions.bias), dtype=float).ravel()
    if bias.size == 1:
        bias = np.full(weight.shape[1], bias[0])
    return weight.copy(), bias.copy()


def write_parameters(layer, conventions, weight, bias):
    """Write weight, (in, out), and bias, (out,), in the shapes that the layer has."""
    put(layer, conventions.weight, (weight.T if conventions.is_transposed else weight).copy())
    shape = np.shape(get(layer, conventions.bias))
    if shape and np.prod(shape) == bias.size:
        bias = bias.reshape(shape)
    put(layer, conventions.bias, bias.copy())


def read_gradients(layer, conventions):
    """Return the gradients of weight and bias as they are, or None where there is none."""
    weight = get(layer, conventions.weight_gradient) if conventions.weight_gradient else None
    bias = get(layer, conventions.bias_gradient) if conventions.bias_gradient else None
    if weight is not None:
        weight = np.array(weight, dtype=float)
        weight = weight.T if conventions.is_transposed and weight.ndim == 2 else weight
    if bias is not None:
        bias = np.array(bias, dtype=float)
    return weight, bias


# Layers and networks


def new_linear(found, n_in, n_out):
    """Make a Linear from n_in to n_out features, in the order that its parameters say."""
    sizes = [n_in, n_out]
    if roles_of(found["Linear"]) == ["n_classes", "n_inputs"]:
        sizes = [n_out, n_in]
    return call(found["Linear"], *sizes, learning_rate=RATE)


def roles_of(function):
    """Return what the first two parameters of a function are for."""
    return [role_of(p.name) for p in parameters_of(function)[:2]]


def of_loss(function, p, y):
    """Call a method of the loss with predictions and targets, in the order of its parameters."""
    if not parameters_of(function):
        return function()
    if roles_of(function) == ["targets", "predictions"]:
        return function(y, p)
    return function(p, y)


def new_network(found, sizes, n_rows):
    """Make an MLP of these sizes; it may want the hidden ones as a list, as text or as a number.

    Args:
        found: the submission's classes by the assignment's names.
        sizes: the numbers of inputs, of units in each hidden layer, and of classes.
        n_rows: the batch size, for a network that asks for it.
    """
    hidden = list(sizes[1:-1])
    forms = [hidden, ",".join(map(str, hidden))]
    if len(hidden) == 1:
        forms.append(hidden[0])
    values = {"learning_rate": RATE, "batch_size": n_rows, "slope": 0.02}
    if "alpha" in [p.name for p in parameters_of(found["MLP"])]:
        del values["learning_rate"]  # it is the slope of a leaky ReLU, or its own default will do
    raised = None
    for form in forms:
        try:
            return call(found["MLP"], *arguments_of(found["MLP"], sizes, form), **values)
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raised = raised or error
    raise raised


def arguments_of(kind, sizes, hidden):
    """Return the first arguments of an MLP: those of the assignment, or all sizes in one list."""
    needed = required(kind)
    takes_all_in_one = len(needed) == 1 and role_of(needed[0]) in ("hidden", "sizes")
    if takes_all_in_one:
        return [list(sizes)]
    if len(parameters_of(kind)) < 3:
        raise NotUnderstood("MLP takes other arguments than n_inputs, n_hidden and n_classes")
    return [sizes[0], hidden, sizes[-1]]


def walk(thing, kind, seen):
    """Yield all objects of a class that an object holds, in its lists and dicts, too."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, kind):
        yield thing
    if isinstance(thing, list | tuple):
        inner = list(thing)
    elif isinstance(thing, dict):
        inner = list(thing.values())
    else:
        inner = list(getattr(thing, "__dict__", {}).values())
    for value in inner:
        if isinstance(value, list | tuple | dict) or hasattr(value, "__dict__"):
            yield from walk(value, kind, seen)


def linears_of(model, found, conventions):
    """Return the Linear layers of a network, each followed by the one that takes its outputs."""
    layers = list(walk(model, found["Linear"], set()))
    shapes = [read_parameters(layer, conventions)[0].shape for layer in layers]
    ends = [n_out for _, n_out in shapes]
    current = 0
    for i, (n_in, _) in enumerate(shapes):
        if n_in not in ends:
            current = i
    in_order = []
    while layers and len(in_order) < len(layers):
        in_order.append(layers[current])
        following = [i for i, (n_in, _) in enumerate(shapes) if n_in == ends[current]]
        if not following:
            break
        current = following[0]
    if len(in_order) < len(layers):
        raise NotUnderstood(
            "the output size of one Linear layer of MLP is not the input size of the next"
        )
    return in_order


def method(thing, *names):
    """Return the first of these methods that an object has."""
    for name in names:
        if hasattr(thing, name):
            return getattr(thing, name)
    raise NotImplementedError(f"{type(thing).__name__} has no {names[0]}")


def targets_in(conventions, labels, n_classes):
    """Return the targets of samples for each call, in the submission's form.

    Args:
        conventions: the Conventions.
        labels: the classes of the samples, (N,).
        n_classes: how many there are.
    """
    if conventions.targets == "one-hot":
        return FORMS[conventions.form](np.eye(n_classes)[labels])
    if conventions.form == "one (d,)":
        return list(labels.copy())
    if conventions.form == "one (1, d)":
        return [np.array([label]) for label in labels]
    return [labels.copy()]


def gradient_in(given, predictions):
    """Return the gradient that a loss gives beside its number, or None."""
    if isinstance(given, tuple):
        for part in given:
            if np.shape(part) == np.shape(predictions):
                return part
    return None


def number_of(given, predictions):
    """Return the total of what a loss gives, and how it was given, as in `loss_gives`."""
    how = "a number"
    if isinstance(given, tuple):
        how = "a tuple"
        scalars = [part for part in given if np.size(part) == 1]
        others = [part for part in given if np.shape(part) != np.shape(predictions)]
        given = (scalars or others or list(given))[0]
    if given is None:
        raise NotImplementedError("CrossEntropy.forward returns None")
    if callable(given):
        raise TypeError("CrossEntropy.forward returns a function, not a number")
    array = np.asarray(given, dtype=float)
    if array.size > 1:
        how = "a number a row"
    return float(array.sum()), how
