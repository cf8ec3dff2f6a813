"""In the submission's process: networks of three sizes, their gradients and differences.

For each network, what a trainer would do is done with weights that are known: a forward pass, the
loss, a backward pass, an update. Beside the submission's own gradient stands the central difference
of its own loss. judge_network.py judges.
"""

import re
from contextlib import contextmanager, suppress
from functools import cache, wraps
from itertools import pairwise
from unittest.mock import patch

import numpy as np

from grading import lecture
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
    of_loss,
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
SLOPES = (0, *lecture.SLOPES)  # of a ReLU, and of leaky ones
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
    return drawn(sizes, clear_seed(sizes))


@cache
def clear_seed(sizes):
    """Return a seed with which no hidden unit is near its kink."""
    for seed in range(1000):
        x, _, parameters = drawn(sizes, seed)
        if min(distance_from_kinks(x, parameters, slope) for slope in SLOPES) > MARGIN:
            return seed
    raise RuntimeError("no seed is clear of the kinks")


def drawn(sizes, seed):
    """Return x (N, sizes[0]), labels (N,) and parameters, drawn with a seed."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (N_ROWS, sizes[0]))
    parameters = []
    for n_in, n_out in pairwise(sizes):
        weight = rng.normal(0, 0.8, (n_in, n_out))
        bias = rng.normal(0, 0.4, n_out)
        parameters.append([weight, bias])
    labels = rng.permutation(np.arange(N_ROWS) % sizes[-1])
    return x, labels, parameters


def distance_from_kinks(x, parameters, slope):
    """Return the smallest magnitude of what goes into a leaky ReLU of this slope."""
    distance = np.inf
    for weight, bias in parameters[:-1]:
        z = x @ weight + bias
        distance = min(distance, np.abs(z).min())
        x = np.where(z > 0, z, slope * z)
    return distance


def measure(found, conventions, got):
    """Return a result for each of NETWORKS, or an empty list where there is no network.

    Args:
        found: the submission's classes by the assignment's names.
        conventions: the Conventions, which are filled.
        got: what was measured; an exception before the first network is put into it.
    """
    got["network_at"] = "MLP.__init__"
    if not {"MLP", "Linear"} <= set(found):
        return []
    try:
        find_parameters(new_linear(found, 3, 4), 3, 4, conventions)
        network = Network(found, conventions, NETWORKS[0])
        if len(network.layers) != len(NETWORKS[0]) - 1:
            return [{"sizes": NETWORKS[0], "n_layers": len(network.layers)}]
        got["network_at"] = "MLP.forward"
        find_conventions(found, conventions)
    except Exception as error:
        got["network_raised"] = described(error)
        return []
    return [measure_network(found, conventions, sizes) for sizes in NETWORKS]


def measure_network(found, conventions, sizes):
    """Return what a network gives, and with `raised` what kept it from more.

    The values are in the order of the passes: n_layers, outputs, loss, own, outputs_after,
    differences, update.
    """
    result = {"sizes": sizes}
    try:
        network = Network(found, conventions, sizes)
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
        network = Network(found, conventions, sizes)
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

    def __init__(self, found, conventions, sizes):
        self.found = found
        self.conventions = conventions
        self.x, self.labels, self.parameters = problem(sizes)
        self.y = np.eye(sizes[-1])[self.labels]
        self.model = new_network(found, sizes, N_ROWS)
        self.layers = linears_of(self.model, found, conventions)

    def write(self, parameters):
        """Give the layers these parameters."""
        for layer, (weight, bias) in zip(self.layers, parameters, strict=True):
            write_parameters(layer, self.conventions, weight, bias)

    def parts(self):
        """Return pairs of inputs and targets, one for each call, in the submission's form."""
        xs = FORMS[self.conventions.form](self.x.copy())
        ys = targets_in(self.conventions, self.labels, self.y.shape[1])
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
        if self.conventions.form == "columns":
            return outs[0].T
        flat = np.concatenate([np.ravel(out) for out in outs])
        return flat.reshape(N_ROWS, -1)

    def predictions(self, out):
        """Return what the loss is given for an output."""
        if self.conventions.loss_takes == "their softmax":
            return method(self.found["SoftMax"](), "forward", "__call__")(out)
        return out

    def loss_of(self, loss, p, y):
        given = of_loss(method(loss, "forward", "__call__"), p, y)
        total, self.conventions.loss_gives = number_of(given, p)
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
        if self.conventions.mlp_backward == "nothing":
            give_targets(self.model, x, y)
            self.model.backward()
            return
        loss = self.new_loss()
        self.loss_of(loss, p, y)
        dout = self.gradient_of_loss(loss, p, y)
        first = y if self.conventions.mlp_backward == "targets" else dout
        call(self.model.backward, first, targets=y, learning_rate=RATE)

    def gradient_of_loss(self, loss, p, y):
        """Return what goes into MLP.backward, after the loss of the same arguments."""
        if self.conventions.loss_backward == "in forward":
            return self.gradient
        dout = of_loss(method(loss, "backward"), p, y)
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
            if self.conventions.adds_up:
                now = combined(now, before, np.subtract)
            if self.conventions.backward_steps:
                now = self.with_steps(now)
            self.write(self.parameters)
            totals = now if totals is None else combined(totals, now, np.add)
        return totals

    def with_steps(self, gradients):
        """Return gradients, or what they must have been if `backward` took the step itself."""
        for i, layer in enumerate(self.layers):
            for k, new in enumerate(read_parameters(layer, self.conventions)):
                if gradients[i][k] is None:
                    gradients[i][k] = (self.parameters[i][k] - new) / RATE
        return gradients

    def kept_gradients(self):
        """Return the gradients that the layers hold, [[dW, db], ...]."""
        return [list(read_gradients(layer, self.conventions)) for layer in self.layers]

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


def give_targets(model, x, y):
    """Call the method that computes the loss, of y or of x and y, of a network that keeps them."""
    for name in dir(model):
        function = getattr(model, name)
        if "loss" not in name.lower() or not callable(function):
            continue
        if len(required(function)) == 1:
            function(y)
        elif len(required(function)) == 2:
            function(x, y)


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


def find_conventions(found, conventions):
    """Fill the conventions of layers, network and loss, with a network of one hidden layer.

    The form in which samples are given is the first that runs and can be passed back; if there is
    none, the first that runs.
    """
    ranks = {}
    raised = []
    for form in forms_to_try(found, conventions):
        conventions.form = form
        try:
            ranks[form] = rank_of(fresh_network(found, conventions), conventions)
        except MISFIT as error:
            raised.append(error)
    if not ranks:
        conventions.form = "batch"
        raise raised[0]
    conventions.form = max(ranks, key=ranks.get)
    with suppress(*MISFIT):  # the networks will tell
        rank_of(fresh_network(found, conventions), conventions)


def forms_to_try(found, conventions):
    """Return the forms of samples that come into question.

    If Linear takes a batch, and the trainer is not seen to take single samples, an activation that
    fails for a batch is a mistake.
    """
    if conventions.takes_batches is False:
        return list(FORMS)
    if linear_takes_batches(found):
        return ["batch"]
    if conventions.takes_batches:
        return [form for form in FORMS if not form.startswith("one")]
    return list(FORMS)


def linear_takes_batches(found):
    """Return whether a Linear from 3 to 4 features takes 5 samples, one in each row, both ways."""
    layer = new_linear(found, 3, 4)
    try:
        out = method(layer, "forward", "__call__")(np.ones((5, 3)))
        call(layer.backward, np.ones((5, 4)), learning_rate=RATE)
    except Exception:
        return False
    return np.shape(out) == (5, 4)


def fresh_network(found, conventions):
    """Return a new network of one hidden layer, with the parameters of its problem."""
    network = Network(found, conventions, NETWORKS[0])
    network.write(network.parameters)
    return network


def rank_of(network, conventions):
    """Return how far a form of samples leads: 1 if it runs, 2 if it can be passed back, too.

    Whether the result is right is not asked: a softmax over the whole batch is right for one row.
    """
    conventions.targets = "one-hot"
    out = network.outputs()
    if out.shape != network.y.shape:
        raise ValueError("MLP.forward gives no number for each row and class")
    try:
        find_outputs(network, conventions)
        find_loss(network, conventions)
        find_backward(network, conventions)
    except MISFIT:
        return 1
    return 2


def find_outputs(network, conventions):
    """Find whether the network gives probabilities or logits, and which of them the loss takes."""
    conventions.outputs = "probabilities"
    conventions.loss_takes = "the outputs"
    out = network.outputs()
    are_probabilities = np.allclose(out.sum(axis=1), 1, atol=1e-3) and out.min() >= 0
    if are_probabilities:
        return
    conventions.outputs = "logits"
    if conventions.softmax_outside and "SoftMax" in network.found:
        conventions.loss_takes = "their softmax"


def find_loss(network, conventions):
    """Find what the loss takes: one-hot rows or class numbers, and what its backward takes."""
    raised = None
    for targets in "one-hot", "class numbers":
        conventions.targets = targets
        try:
            network.loss()
            break
        except MISFIT as error:
            raised = raised or error
    else:
        conventions.targets = "one-hot"
        raise raised
    loss = network.new_loss()
    conventions.loss_backward = "alone"
    if not hasattr(loss, "backward") and network.gradient is not None:
        conventions.loss_backward = "in forward"


def find_backward(network, conventions):
    """Find where gradients are, whether they add up, and what MLP.backward takes."""
    takes_nothing = not required(network.model.backward)
    conventions.mlp_backward = "nothing" if takes_nothing else "dout"
    network.write(network.parameters)
    network.backward(*network.parts()[0])
    for layer in network.layers:
        find_gradients(layer, conventions)
    conventions.backward_steps = has_stepped(network)
    find_whether_it_adds_up(fresh_network(network.found, conventions), conventions)
    if conventions.mlp_backward == "dout" and not last_is_right(network):
        conventions.mlp_backward = "targets"
        try:
            is_better = last_is_right(network)
        except MISFIT:
            is_better = False
        if not is_better:
            conventions.mlp_backward = "dout"


def has_stepped(network):
    """Return whether a backward pass has taken a step against the gradient."""
    for layer, (weight, _) in zip(network.layers, network.parameters, strict=True):
        step = read_parameters(layer, network.conventions)[0] - weight
        gradient = read_gradients(layer, network.conventions)[0]
        if np.any(step) and (gradient is None or ratio(step, gradient) is not None):
            return True
    return False


def find_whether_it_adds_up(network, conventions):
    """Find whether a second backward pass adds its gradients to those of the first."""
    x, y = network.parts()[0]
    network.backward(x, y)
    once = read_gradients(network.layers[-1], conventions)[0]
    network.write(network.parameters)
    network.backward(x, y)
    twice = read_gradients(network.layers[-1], conventions)[0]
    conventions.adds_up = False
    if once is not None and np.abs(once).max() > 0:
        is_double = np.allclose(twice, 2 * once, rtol=1e-3)
        conventions.adds_up = bool(is_double and not np.allclose(twice, once))


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
    if name is None or network.conventions.backward_steps:
        return None
    update = getattr(network.model, name)
    takes_rate = any(role_of(p.name) == "learning_rate" for p in parameters_of(update))
    record = {"name": name, "takes_rate": takes_rate, "steps": []}
    try:
        for _ in range(2):
            record["steps"].append(steps_of(network, update))
        record["sets_to_zero"] = not np.any(network.kept_gradients()[-1][0])
    except Exception as error:
        record["raised"] = described(error)
    return record


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
    before = [read_parameters(layer, network.conventions) for layer in network.layers]
    n_rows = 1 if network.conventions.form.startswith("one") else N_ROWS
    call(update, learning_rate=RATE, batch_size=n_rows, number=n_rows)
    steps = []
    for i, layer in enumerate(network.layers):
        after = read_parameters(layer, network.conventions)
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
