"""In the submission's process: networks of three sizes, their gradients and differences.

For each network, what a trainer would do is done with weights that are known: a forward pass, the
loss, a backward pass, an update. Beside the submission's own gradient stands the central difference
of its own loss. gradients.py judges.
"""

import re
from contextlib import contextmanager, suppress
from functools import wraps
from itertools import pairwise
from unittest.mock import patch

import numpy as np

from grading.process.calls import RATE, call, parameters_of, required, role_of
from grading.process.conventions import (
    FORMS,
    find_gradients,
    find_parameters,
    gradient_in,
    linears_of,
    method,
    new_linear,
    new_network,
    number_of,
    read_gradients,
    read_parameters,
    targets_in,
    write_parameters,
)
from grading.process.raised import described

N_ROWS = 7  # no width of a layer, so that a factor N is not one of a width
NETWORKS = [(4, 5, 3), (4, 3), (4, 6, 5, 3)]  # the first one finds the conventions
EPSILON = 1e-3  # large, for submissions in float32
TOLERANCE = 2e-3  # relative to the largest element of a parameter
MARGIN = 0.02  # of every hidden unit from the kink of the ReLU
MISFIT = (  # what another convention raises
    AttributeError,
    AssertionError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def problem(sizes):
    """Return x (N, sizes[0]), labels (N,) and parameters, with no hidden unit near its kink."""
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        x = rng.normal(0, 1, (N_ROWS, sizes[0]))
        parameters = []
        for n_in, n_out in pairwise(sizes):
            weight = rng.normal(0, 0.8, (n_in, n_out))
            bias = rng.normal(0, 0.4, n_out)
            parameters.append([weight, bias])
        if distance_from_kinks(x, parameters) > MARGIN:
            labels = rng.permutation(np.arange(N_ROWS) % sizes[-1])
            return x, labels, parameters
    raise RuntimeError("no seed is clear of the kinks")


def distance_from_kinks(x, parameters):
    """Return the smallest magnitude of what goes into a ReLU."""
    distance = np.inf
    for weight, bias in parameters[:-1]:
        z = x @ weight + bias
        distance = min(distance, np.abs(z).min())
        x = np.maximum(z, 0)
    return distance


def measure(found, told, got):
    """Return a result for each of NETWORKS, or an empty list where there is no network.

    Args:
        found: the submission's classes by the assignment's names.
        told: the Conventions, which are filled.
        got: what was measured; an exception before the first network is put into it.
    """
    got["network_at"] = "MLP.__init__"
    if not {"MLP", "Linear"} <= set(found):
        return []
    try:
        find_parameters(new_linear(found, 3, 4), 3, 4, told)
        network = Network(found, told, NETWORKS[0])
        if len(network.layers) != len(NETWORKS[0]) - 1:
            return [{"sizes": NETWORKS[0], "n_layers": len(network.layers)}]
        got["network_at"] = "MLP.forward"
        find_conventions(found, told)
    except Exception as error:
        got["network_raised"] = described(error)
        return []
    return [measure_network(found, told, sizes) for sizes in NETWORKS]


def measure_network(found, told, sizes):
    """Return what a network gives, and with `raised` what kept it from more.

    The values are in the order of the passes: n_layers, outputs, loss, own, outputs_after,
    differences, update.
    """
    result = {"sizes": sizes}
    try:
        network = Network(found, told, sizes)
        result["n_layers"] = len(network.layers)
        if len(network.layers) != len(sizes) - 1:
            return result
        network.write(network.parameters)
        result["outputs"] = network.outputs()
        result["loss"] = network.loss()
        with calls_noted(found, "Linear") as linears, calls_noted(found, "SoftMax") as softmaxes:
            try:
                result["own"] = network.gradients()
            finally:
                result["begins_at_last"] = linears[:1] == network.layers[-1:]
                result["uses_softmax_backward"] = bool(softmaxes)
        network.write(network.parameters)
        result["outputs_after"] = network.outputs()
        network = Network(found, told, sizes)
        result["differences"] = network.differences()
        result["update"] = measure_update(network)
    except Exception as error:
        result["raised"] = described(error)
    return result


@contextmanager
def calls_noted(found, name):
    """Give a list of the layers of a class, in the order in which their `backward` is called."""
    kind = found.get(name)
    calls = []
    if not hasattr(kind, "backward"):
        yield calls
        return
    original = kind.backward

    def backward(layer, *args, **options):
        calls.append(layer)
        return original(layer, *args, **options)

    with patch.object(kind, "backward", wraps(original)(backward)):
        yield calls


class Network:
    """A network of a submission with its loss, called by its conventions."""

    def __init__(self, found, told, sizes):
        self.found = found
        self.told = told
        self.x, self.labels, self.parameters = problem(sizes)
        self.y = np.eye(sizes[-1])[self.labels]
        self.model = new_network(found, sizes, N_ROWS)
        self.layers = linears_of(self.model, found, told)

    def write(self, parameters):
        """Give the layers these parameters."""
        for layer, (weight, bias) in zip(self.layers, parameters, strict=True):
            write_parameters(layer, self.told, weight, bias)

    def parts(self):
        """Return pairs of inputs and targets, one for each call, in the submission's form."""
        xs = FORMS[self.told.form](self.x.copy())
        ys = targets_in(self.told, self.labels, self.y.shape[1])
        return list(zip(xs, ys, strict=True))

    def forward(self, x):
        """Return what the network gives for one of the parts."""
        out = method(self.model, "forward", "__call__")(x.copy())
        if out is None:
            raise NotImplementedError("MLP.forward returns None")
        return out

    def outputs(self):
        """Return what the network gives for all samples, (N, classes)."""
        outs = []
        for x, _ in self.parts():
            outs.append(np.array(self.forward(x), dtype=float))
        if self.told.form == "columns":
            return outs[0].T
        flat = np.concatenate([np.ravel(out) for out in outs])
        return flat.reshape(N_ROWS, -1)

    def predictions(self, out):
        """Return what the loss is given for an output."""
        if self.told.loss_takes == "their softmax":
            return method(self.found["SoftMax"](), "forward", "__call__")(out)
        return out

    def loss_of(self, loss, p, y):
        given = method(loss, "forward", "__call__")(p, y)
        total, self.told.loss_gives = number_of(given, p)
        self.gradient = gradient_in(given, p)
        return total

    def loss(self):
        """Return the loss of all samples: of the batch, or the sum over single samples."""
        total = 0.0
        for x, y in self.parts():
            p = self.predictions(self.forward(x))
            total += self.loss_of(self.new_loss(), p, y)
        return total

    def new_loss(self):
        if "CrossEntropy" not in self.found:
            raise NotImplementedError("there is no class CrossEntropy")
        return self.found["CrossEntropy"]()

    def backward(self, x, y):
        """Make one forward and one backward pass, as a trainer does."""
        p = self.predictions(self.forward(x))
        if self.told.mlp_backward == "nothing":
            give_targets(self.model, y)
            self.model.backward()
            return
        loss = self.new_loss()
        self.loss_of(loss, p, y)
        dout = self.gradient_of_loss(loss, p, y)
        first = y if self.told.mlp_backward == "targets" else dout
        call(self.model.backward, first, targets=y, learning_rate=RATE)

    def gradient_of_loss(self, loss, p, y):
        """Return what goes into MLP.backward, after the loss of the same arguments."""
        if self.told.loss_backward == "in forward":
            return self.gradient
        arguments = () if self.told.loss_backward == "nothing" else (p, y)
        dout = method(loss, "backward")(*arguments)
        if dout is None:
            raise NotImplementedError("CrossEntropy.backward returns None")
        return dout

    def gradients(self):
        """Return the own gradient of every parameter, of all samples."""
        totals = None
        for x, y in self.parts():
            self.write(self.parameters)
            before = self.kept_gradients()
            self.backward(x, y)
            now = self.kept_gradients()
            if self.told.adds_up:
                now = combined(now, before, np.subtract)
            if self.told.backward_steps:
                now = self.with_steps(now)
            self.write(self.parameters)
            totals = now if totals is None else combined(totals, now, np.add)
        return totals

    def with_steps(self, gradients):
        """Return gradients, or what they must have been if `backward` took the step itself."""
        for i, layer in enumerate(self.layers):
            for k, new in enumerate(read_parameters(layer, self.told)):
                if gradients[i][k] is None:
                    gradients[i][k] = (self.parameters[i][k] - new) / RATE
        return gradients

    def kept_gradients(self):
        """Return the gradients that the layers hold, [[dW, db], ...]."""
        return [list(read_gradients(layer, self.told)) for layer in self.layers]

    def differences(self):
        """Return the central difference of the own loss for every element of every parameter."""
        found = []
        for weight, bias in self.parameters:
            found.append([self.difference(weight), self.difference(bias)])
        self.write(self.parameters)
        return found

    def difference(self, array):
        """Return the central differences for the elements of one of the parameters."""
        result = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + EPSILON
            above = self.loss_of_parameters()
            array[index] = kept - EPSILON
            below = self.loss_of_parameters()
            array[index] = kept
            result[index] = (above - below) / (2 * EPSILON)
        return result

    def loss_of_parameters(self):
        self.write(self.parameters)
        return self.loss()


def give_targets(model, y):
    """Call the method that computes the loss, of a network that keeps its targets."""
    for name in dir(model):
        function = getattr(model, name)
        if "loss" in name.lower() and callable(function) and len(required(function)) == 1:
            function(y)


def combined(one, other, operation):
    """Return sums or differences of gradients, [[dW, db], ...], where both are there."""
    result = []
    for pair, more in zip(one, other, strict=True):
        new = []
        for a, b in zip(pair, more, strict=True):
            fits = a is not None and b is not None and a.shape == b.shape
            new.append(operation(a, b) if fits else a)
        result.append(new)
    return result


# The conventions


def find_conventions(found, told):
    """Fill the conventions of layers, network and loss, with a network of one hidden layer.

    The form in which samples are given is the first that runs and can be passed back; if there is
    none, the first that runs.
    """
    ranks = {}
    raised = []
    for form in FORMS:
        told.form = form
        try:
            ranks[form] = rank_of(fresh_network(found, told), told)
        except MISFIT as error:
            raised.append(error)
    if not ranks:
        told.form = "batch"
        raise raised[0]
    told.form = max(ranks, key=ranks.get)
    with suppress(*MISFIT):  # the networks will tell
        rank_of(fresh_network(found, told), told)


def fresh_network(found, told):
    """Return a new network of one hidden layer, with the parameters of its problem."""
    network = Network(found, told, NETWORKS[0])
    network.write(network.parameters)
    return network


def rank_of(network, told):
    """Return how far a form of samples leads: 1 if it runs, 2 if it can be passed back, too.

    Whether the result is right is not asked: a softmax over the whole batch is right for one row.
    """
    told.targets = "one-hot"
    out = network.outputs()
    if out.shape != network.y.shape:
        raise ValueError("MLP.forward gives no number for each row and class")
    try:
        find_outputs(network, told)
        find_loss(network, told)
        find_backward(network, told)
    except MISFIT:
        return 1
    return 2


def find_outputs(network, told):
    """Find whether the network gives probabilities or logits, and which of them the loss takes."""
    told.outputs = "probabilities"
    told.loss_takes = "the outputs"
    out = network.outputs()
    are_probabilities = np.allclose(out.sum(axis=1), 1, atol=1e-3) and out.min() >= 0
    if are_probabilities:
        return
    told.outputs = "logits"
    if told.softmax_outside and "SoftMax" in network.found:
        told.loss_takes = "their softmax"


def find_loss(network, told):
    """Find what the loss takes: one-hot rows or class numbers, and what its backward takes."""
    raised = None
    for targets in "one-hot", "class numbers":
        told.targets = targets
        try:
            network.loss()
            break
        except MISFIT as error:
            raised = raised or error
    else:
        told.targets = "one-hot"
        raise raised
    loss = network.new_loss()
    told.loss_backward = "predictions and targets"
    if not hasattr(loss, "backward") and network.gradient is not None:
        told.loss_backward = "in forward"
    elif not parameters_of(method(loss, "backward")):
        told.loss_backward = "nothing"


def find_backward(network, told):
    """Find where gradients are, whether they add up, and what MLP.backward takes."""
    takes_nothing = not required(network.model.backward)
    told.mlp_backward = "nothing" if takes_nothing else "dout"
    network.write(network.parameters)
    network.backward(*network.parts()[0])
    for layer in network.layers:
        find_gradients(layer, told)
    told.backward_steps = has_stepped(network)
    find_whether_it_adds_up(fresh_network(network.found, told), told)
    if told.mlp_backward == "dout" and not last_is_right(network):
        told.mlp_backward = "targets"
        try:
            is_better = last_is_right(network)
        except MISFIT:
            is_better = False
        if not is_better:
            told.mlp_backward = "dout"


def has_stepped(network):
    """Return whether a backward pass has taken a step against the gradient."""
    for layer, (weight, _) in zip(network.layers, network.parameters, strict=True):
        step = read_parameters(layer, network.told)[0] - weight
        gradient = read_gradients(layer, network.told)[0]
        if np.any(step) and (gradient is None or ratio(step, gradient) is not None):
            return True
    return False


def find_whether_it_adds_up(network, told):
    """Find whether a second backward pass adds its gradients to those of the first."""
    x, y = network.parts()[0]
    network.backward(x, y)
    once = read_gradients(network.layers[-1], told)[0]
    network.write(network.parameters)
    network.backward(x, y)
    twice = read_gradients(network.layers[-1], told)[0]
    told.adds_up = False
    if once is not None and np.abs(once).max() > 0:
        is_double = np.allclose(twice, 2 * once, rtol=1e-3)
        told.adds_up = bool(is_double and not np.allclose(twice, once))


def last_is_right(network):
    """Return whether the last layer's weight gradient is a multiple of the central difference."""
    own = network.gradients()[-1][0]
    difference = network.difference(network.parameters[-1][0])
    network.write(network.parameters)
    constant = ratio(own, difference)
    return constant is not None and abs(constant) > 1e-6


def ratio(own, difference):
    """Return the constant own / difference, or None if there is none.

    A bias gradient of shape (1, out) is one of (out,); a transposed weight gradient is none.
    """
    if own is None or own.ndim > 2 or own.size != difference.size:
        return None
    if own.shape != difference.shape and min(own.shape) != 1:
        return None
    own = own.reshape(difference.shape)
    largest = np.abs(difference).max()
    if largest < 1e-9:
        return None
    constant = float((own * difference).sum() / (difference**2).sum())
    rest = np.abs(own - constant * difference).max()
    if not rest <= TOLERANCE * max(abs(constant), 1e-9) * largest:
        return None
    return constant


# The update


def measure_update(network):
    """Return what MLP.update does after each of two backward passes, or None if there is none.

    `steps` has for each pass and parameter the layer (from 1), the kind (weight or bias), whether
    it moved, and two factors, each None if there is none: `step` / (-learning_rate * own gradient),
    and `value`, the same of the new value.
    """
    name = name_of_update(network.model)
    if name is None or network.told.backward_steps:
        return None
    update = getattr(network.model, name)
    takes_rate = any(role_of(p.name) == "learning_rate" for p in parameters_of(update))
    told = {"name": name, "takes_rate": takes_rate, "steps": []}
    try:
        for _ in range(2):
            told["steps"].append(steps_of(network, update))
        told["sets_to_zero"] = not np.any(network.kept_gradients()[-1][0])
    except Exception as error:
        told["raised"] = described(error)
    return told


def name_of_update(model):
    """Return the name of the method that takes a step, or None."""
    for name in dir(model):
        is_named = re.match(r"(update|step|optimi[sz]e|apply_grad)", name)
        if is_named and callable(getattr(model, name)):
            return name
    return None


def steps_of(network, update):
    """Return the steps of all parameters in an update after a new backward pass."""
    network.write(network.parameters)
    network.backward(*network.parts()[0])
    gradients = network.kept_gradients()
    before = [read_parameters(layer, network.told) for layer in network.layers]
    n_rows = 1 if network.told.form.startswith("one") else N_ROWS
    call(update, learning_rate=RATE, batch_size=n_rows, number=n_rows)
    steps = []
    for i, layer in enumerate(network.layers):
        after = read_parameters(layer, network.told)
        for k, kind in enumerate(("weight", "bias")):
            gradient = gradients[i][k]
            if gradient is None or gradient.size != after[k].size or not np.any(gradient):
                continue
            expected = -RATE * gradient.reshape(after[k].shape)
            step = after[k] - before[i][k]
            steps.append({
                "layer": i + 1,
                "kind": kind,
                "moved": bool(np.any(step)),
                "step": ratio(step, expected),
                "value": ratio(after[k], expected),
            })  # fmt: skip
    return steps
