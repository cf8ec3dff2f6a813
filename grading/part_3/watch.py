"""In the submission's process: hooks on its classes see a run's networks, pass after pass.

A pass is a forward pass that was followed by a backward pass. What the passes tell of the updates
is in updates.py.
"""

from contextlib import ExitStack
from dataclasses import dataclass, field
from unittest.mock import patch

import numpy as np

from grading import lecture
from grading.process.conventions import find_gradients, read_gradients, read_parameters

MOST_ROWS = 30_000  # that are learned from before a run is stopped
MOST_PASSES = 2_600
FEW_PASSES = 920  # of single rows: an epoch and a part of the second
FIRST_PASSES = 60  # in which it is looked at what comes in what order


class Enough(BaseException):
    """So much was seen that the run can stop."""


@dataclass
class Pass:
    """The rows of a forward pass, their targets, and the parameters of that moment."""

    network: "Network"
    x: np.ndarray  # (N, features)
    before: list = field(default_factory=list)  # parameters, [(W, b), ...]
    y: np.ndarray | None = None  # the targets: class numbers (N,), or one-hot rows
    output: np.ndarray | None = None  # of the network
    own: dict = field(default_factory=dict)  # position of a layer: its gradients
    comes_back: bool = False  # a backward pass has begun
    is_early: bool = False  # and then the parameters were no longer those of the forward pass
    lacks_loss: bool = False  # the loss went back before it was computed
    is_stale: bool = False  # and then it was computed


class Network:
    """The Linear layers of a network, in the order of its forward pass, and its passes."""

    def __init__(self):
        self.layers = []
        self.passes = []
        self.final = []  # parameters at the end of the run
        self.is_complete = False  # all its layers are known

    def position(self, layer):
        """Return the position of a layer, or None if it is none of this network."""
        for i, own in enumerate(self.layers):
            if own is layer:
                return i
        return None


class Watch:
    """Sees each pass of the networks that a run makes of the submission's Linear layers."""

    def __init__(self, told, most_passes=MOST_PASSES):
        self.told = told
        self.most_passes = most_passes
        self.networks = []
        self.now = None  # the pass under way
        self.evaluated = []  # rows that came forward and not back
        self.n_rows = 0
        self.n_passes = 0
        self.softmax_outside = False  # the loss was given the softmax of the network's output

    def hooks(self, found):
        """Return a context in which the submission's classes tell what they are given.

        Args:
            found: the classes, by the assignment's names.
        """
        wanted = [
            ("Linear", "forward", self.before_linear, None),
            ("Linear", "backward", self.before_linear_backward, self.after_linear_backward),
            ("MLP", "forward", None, self.after_network),
            ("MLP", "backward", self.note_targets, None),
            ("CrossEntropy", "forward", self.before_loss, None),
            ("CrossEntropy", "backward", self.before_loss_backward, None),
        ]
        stack = ExitStack()
        for role, name, before, after in wanted:
            kind = found.get(role)
            for own_name in names_of(kind, name):
                stack.enter_context(hooked(kind, own_name, before, after))
        return stack

    # Linear

    def before_linear(self, layer, x, *_):
        """Note what goes into a layer, and its parameters."""
        network = self.network_of(layer)
        if layer is network.layers[0]:
            self.finish()
            self.stop_if_enough()
            self.now = Pass(network, self.rows(layer, x))
        if self.now and self.now.network is network:
            self.now.before.append(read_parameters(layer, self.told))

    def network_of(self, layer):
        """Return the network of a layer; an unknown one is of the pass under way, or begins one."""
        for network in self.networks:
            if network.position(layer) is not None:
                if layer is network.layers[0]:
                    network.is_complete = True
                return network
        if self.now is None or self.now.network.is_complete:
            self.networks.append(Network())
        network = self.networks[-1]
        network.layers.append(layer)
        return network

    def rows(self, layer, x):
        """Return what a layer is given as (N, features), in whatever form it takes samples."""
        x = np.array(x, dtype=float)
        n_in = len(read_parameters(layer, self.told)[0])
        if x.ndim == 2 and x.shape[1] != n_in and x.shape[0] == n_in:
            x = x.T
        return x.reshape(-1, x.shape[-1])

    def before_linear_backward(self, layer, *_):
        """Note that the pass comes back, and whether an update came before."""
        now = self.now
        if now is None or now.comes_back or now.network.position(layer) is None:
            return
        now.comes_back = True
        now.network.is_complete = True
        if self.n_passes < FIRST_PASSES:
            now.is_early = not same_parameters(now.before, self.parameters(now.network))

    def after_linear_backward(self, _, layer, *__):
        """Note the gradients of a layer."""
        position = self.now.network.position(layer) if self.now else None
        if position is None:
            return
        if not self.told.weight_gradient:
            find_gradients(layer, self.told)
        self.now.own[position] = read_gradients(layer, self.told)

    def parameters(self, network):
        return [read_parameters(layer, self.told) for layer in network.layers]

    # Network and loss

    def after_network(self, result, *_):
        """Note what the network gives."""
        if self.now and isinstance(result, np.ndarray):
            self.now.output = result

    def before_loss(self, loss, *arrays):
        """Note what the loss is given."""
        now = self.now
        if now is None:
            return
        now.is_stale = now.lacks_loss
        self.note_targets(loss, *arrays)
        if arrays and self.n_passes < FIRST_PASSES:
            self.softmax_outside |= is_softmax(arrays[0], now.output)

    def before_loss_backward(self, _, *arrays):
        """Note whether the loss knows the pass under way."""
        if self.now and not arrays:
            self.now.lacks_loss = self.now.y is None
        self.note_targets(_, *arrays)

    def note_targets(self, _, *arrays):
        """Find the targets of the pass under way among the arguments of loss or network."""
        if self.now is None or self.now.y is not None:
            return
        for given in arrays:
            if given is not self.now.output:  # saturated predictions look like targets
                y = as_targets(np.asarray(given), len(self.now.x))
                self.now.y = self.now.y if y is None else y

    # The end of a pass, and of the run

    def finish(self):
        """Keep the pass that was under way: as one of training if it came back."""
        now = self.now
        self.now = None
        if now is None:
            return
        if not now.comes_back:
            self.evaluated.append(now.x)
            return
        now.network.passes.append(now)
        self.n_passes += 1
        self.n_rows += len(now.x)

    def stop_if_enough(self):
        n_seen = self.n_passes + len(self.evaluated) / 4
        if self.n_rows > MOST_ROWS or n_seen > self.most_passes:
            raise Enough

    def end(self, has_crashed):
        """Finish what is under way, and note the parameters at the end.

        Args:
            has_crashed: the run ended with an exception, perhaps before a last update.
        """
        self.finish()
        for network in self.networks:
            network.final = self.parameters(network)
            passes = network.passes
            if has_crashed and passes and same_parameters(passes[-1].before, network.final):
                passes.pop()


def names_of(kind, name):
    """Return the names of a class for a method: forward may be __call__, or both be the same."""
    if kind is None:
        return []
    names = [name, "__call__"] if name == "forward" else [name]
    defined = [other for other in names if any(other in vars(base) for base in kind.__mro__)]
    return [other for other in defined if getattr(kind, other) is getattr(kind, defined[0])]


def hooked(kind, name, before, after):
    """Return a patch of a method that tells what it is given, and what it gives.

    Args:
        kind: the class.
        name: of the method.
        before: called with the object and all arguments, or None.
        after: called with the result, the object and all arguments, or None.
    """
    original = getattr(kind, name)

    def method(self, *args, **options):
        given = [*args, *options.values()]
        if before:
            before(self, *given)
        result = original(self, *args, **options)
        if after:
            after(result, self, *given)
        return result

    method.__wrapped__ = original
    return patch.object(kind, name, method)


def flat(parameters):
    """Return parameters or gradients, [(W, b), ...], as one vector."""
    return np.concatenate([np.ravel(array) for pair in parameters for array in pair])


def same_parameters(one, other):
    return np.array_equal(flat(one), flat(other), equal_nan=True)


def as_targets(array, n):
    """Return an array as targets of n rows, or None if it is not: class numbers or one-hot rows."""
    if array.dtype.kind not in "iubf" or array.size == 0 or array.size % n:
        return None
    if array.size == n and np.array_equal(array, np.round(array)):
        return np.ravel(array).astype(float)
    if array.ndim == 2 and len(array) != n and array.shape[1] == n:
        array = array.T  # samples are columns
    rows = array.reshape(n, -1)
    is_one_hot = np.isin(rows, [0, 1]).all() and (rows.sum(axis=1) == 1).all()
    return rows.astype(float) if is_one_hot else None


def is_softmax(given, output):
    """Return whether the loss is given the softmax of what the network gave."""
    if output is None or np.shape(given) != output.shape or np.allclose(given, output):
        return False
    return np.allclose(given, lecture.softmax(output), atol=1e-4)
