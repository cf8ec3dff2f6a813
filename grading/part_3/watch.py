"""In the submission's process: what is seen of a run's networks, pass after pass.

A pass is a forward pass that was followed by a backward pass. What tells the Watch of them is in
hooks.py; what the passes tell of the updates is in updates.py.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from grading import lecture
from grading.part_3.loss_seen import LossSeen
from grading.process.conventions import find_gradients, read_gradients, read_parameters

MOST_ROWS = 30_000  # that are learned from before a run is stopped
MOST_PASSES = 2_600
FIRST_PASSES = 60  # in which it is looked at what comes in what order
PATIENCE = 2  # seconds for what follows when enough was seen
MOST_EVALUATED = 100  # sets of rows that are kept


class Enough(BaseException):
    """So much was seen that the run can stop."""


@dataclass
class Pass:
    """The rows of a forward pass, their targets, and the parameters of that moment."""

    network: "Network"
    x: np.ndarray  # (N, features)
    before: list = field(default_factory=list)  # parameters at the forward pass, [(W, b), ...]
    y: np.ndarray | None = None  # the targets, as they were given to the loss
    output: np.ndarray | None = None  # of the network
    given_to_loss: np.ndarray | None = None
    comes_back: bool = False  # a backward pass has begun
    at_backward: list | None = None  # parameters of that moment, in the first passes
    own: dict = field(default_factory=dict)  # position of a layer: its gradients
    softmax_outside: bool = False  # a SoftMax was called that is not the network's own
    has_loss: bool = False  # the loss was computed since the forward pass
    lacks_loss: bool = False  # the loss went back without that, and was given nothing
    is_stale: bool = False  # and then it was computed
    drawn: int = 0  # rows of which an order was drawn

    def continue_from(self, other):
        """Take over what the loss was given, if the same rows come forward for a second time."""
        if other is None or other.comes_back or not np.array_equal(other.x, self.x):
            return
        self.y = other.y
        self.given_to_loss = other.given_to_loss
        self.has_loss = other.has_loss
        self.softmax_outside = other.softmax_outside


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

    def __init__(self, told, most_passes=MOST_PASSES, goes_on=False):
        self.told = told
        self.most_passes = most_passes
        self.goes_on = goes_on  # the run, unseen, when enough was seen
        self.is_full = False
        self.last_moment = None  # when the run is stopped that goes on unseen
        self.networks = []
        self.now = None  # the pass under way
        self.evaluated = []  # sets of rows that came forward and not back, with their targets
        self.n_evaluated = 0
        self.n_rows = 0
        self.n_passes = 0
        self.n_inside = 0  # calls of MLP.forward under way
        self.drawn = 0  # rows of which an order was drawn since the last pass
        self.first_still = None  # the first pass that did not come back
        self.moves_unseen = False  # parameters changed, though nothing came back
        self.loss = LossSeen()

    # Linear

    def before_linear(self, layer, x, *_):
        """Note what goes into a layer, and its parameters."""
        if self.is_full:
            self.stop_in_time()
            return
        network = self.network_of(layer)
        if layer is network.layers[0]:
            before = self.now
            self.finish()
            self.stop_if_enough()
            if self.is_full:
                return
            self.now = Pass(network, self.rows(layer, x))
            self.now.continue_from(before)
        if self.now is not None and self.now.network is network:
            self.now.before.append(read_parameters(layer, self.told))

    def network_of(self, layer):
        """Return the network of a layer; an unknown one is of the pass under way, or begins one."""
        for network in self.networks:
            if network.position(layer) is not None:
                if layer is network.layers[0]:
                    network.is_complete = True
                return network
        if self.now is None or self.now.network.is_complete:
            network = Network()
            self.networks.append(network)
        else:
            network = self.now.network
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
        """Note the parameters when the backward pass begins."""
        if self.now is None or self.now.network.position(layer) is None:
            return
        self.now.network.is_complete = True
        if self.now.comes_back:
            return
        self.now.comes_back = True
        if self.n_passes < FIRST_PASSES:
            self.now.at_backward = self.parameters(self.now.network)

    def after_linear_backward(self, layer, *_):
        """Note the gradients of a layer."""
        if self.now is None:
            return
        position = self.now.network.position(layer)
        if position is None:
            return
        if not self.told.weight_gradient and self.n_passes < FIRST_PASSES:
            find_gradients(layer, self.told)
        self.now.own[position] = read_gradients(layer, self.told)

    def parameters(self, network):
        return [read_parameters(layer, self.told) for layer in network.layers]

    # The pass under way

    def finish(self):
        """Keep the pass that was under way: as one of training if it came back."""
        now = self.now
        self.now = None
        if now is None:
            return
        if not now.comes_back:
            self.keep_evaluated(now)
            return
        now.network.passes.append(now)
        now.drawn = self.drawn
        self.drawn = 0
        self.n_passes += 1
        self.n_rows += len(now.x)

    def keep_evaluated(self, now):
        """Keep rows that came forward and not back; single ones in sequence are one set."""
        self.note_movement(now)
        self.n_evaluated += 1
        if len(self.evaluated) >= MOST_EVALUATED:
            return
        entry = {"x": [now.x], "y": [now.y], "n_passes": self.n_passes}
        if self.evaluated and len(now.x) == 1:
            last = self.evaluated[-1]
            is_next = last["n_passes"] == self.n_passes
            if is_next and len(last["x"][-1]) == 1:
                last["x"].append(now.x)
                last["y"].append(now.y)
                return
        self.evaluated.append(entry)

    def note_movement(self, now):
        """Note whether parameters change between passes, of which none came back."""
        if self.n_passes or self.moves_unseen:
            return
        if self.first_still is None:
            self.first_still = now
            return
        first = self.first_still
        if first.network is now.network and len(first.before) == len(now.before):
            self.moves_unseen = not same_parameters(first.before, now.before)

    def stop_if_enough(self):
        """Stop the run, or look at it no more, once enough was seen."""
        n_seen = self.n_passes + self.n_evaluated / 4
        if self.n_rows <= MOST_ROWS and n_seen <= self.most_passes:
            return
        self.end()
        self.is_full = True
        self.last_moment = time.monotonic() + PATIENCE
        if not self.goes_on:
            raise Enough

    def stop_in_time(self):
        if time.monotonic() > self.last_moment:
            raise Enough

    def end(self):
        """Finish what is under way, and note the parameters at the end."""
        if self.is_full:
            return
        self.finish()
        for network in self.networks:
            network.final = self.parameters(network)

    def drop_unfinished(self):
        """Forget a last pass after which nothing changed, as the run ended with an exception."""
        for network in self.networks[-1:]:
            passes = network.passes
            if passes and same_parameters(passes[-1].before, network.final):
                passes.pop()

    def note_draw(self, x):
        """Note of how many rows an order is drawn."""
        self.drawn = np.size(x, 0) if np.ndim(x) else int(x)

    # Loss and network

    def before_loss(self, _, *arrays):
        """Note the targets, and what the loss is given for predictions."""
        if self.now is None or self.is_full:
            return
        first = np.asarray(arrays[0]) if arrays else np.zeros(0)
        if self.now.given_to_loss is None and first.dtype.kind == "f":
            self.now.given_to_loss = first.astype(float)
        if self.now.y is None:
            self.now.y = self.targets_in(arrays)

    def targets_in(self, arrays):
        """Return the targets among the arguments of a loss, or None."""
        found = None
        for given in arrays:
            if given is self.now.output:
                continue  # saturated predictions look like targets
            y = as_targets(np.asarray(given), len(self.now.x))
            if y is not None:
                found = y
        return found

    def after_loss(self, result, *_):
        """Note that the loss is called, and hand it out so that its mean is noticed."""
        self.loss.is_called = True
        if self.now is not None:
            self.now.has_loss = True
            self.now.is_stale = self.now.lacks_loss
        return self.loss.watched(result)

    def before_loss_backward(self, loss, *arrays):
        """Note whether the loss knows the pass under way."""
        if self.now is not None and not arrays and not self.now.has_loss:
            self.now.lacks_loss = True
        self.before_loss(loss, *arrays)

    def before_network_backward(self, _, *arrays):
        """Some give the targets to the network itself."""
        if self.now is not None and self.now.y is None:
            self.now.y = self.targets_in(arrays)

    def before_network(self, *_):
        self.n_inside += 1

    def after_network(self, result, *_):
        """Note what the network gives."""
        self.n_inside -= 1
        if self.now is not None and isinstance(result, np.ndarray):
            self.now.output = result
        return result

    def before_softmax(self, *_):
        if self.now is not None and not self.n_inside:
            self.now.softmax_outside = True

    def softmax_outside(self):
        """Return whether the loss was given the softmax of what the network gave, in training."""
        for network in self.networks:
            for one in network.passes[:FIRST_PASSES]:
                if takes_softmax(one):
                    return True
        return False


def same_parameters(one, other):
    """Return whether two lists [(W, b), ...] hold the same numbers."""
    for pair, other_pair in zip(one, other, strict=True):
        for a, b in zip(pair, other_pair, strict=True):
            if not np.array_equal(a, b):
                return False
    return True


def as_targets(array, n):
    """Return an array as targets of n rows, or None if it is not: class numbers or one-hot rows."""
    if array.dtype.kind not in "iubf" or array.size == 0 or array.size % n:
        return None
    if array.size == n and np.array_equal(array, np.round(array)):
        return np.ravel(array).astype(float)
    if array.ndim == 2 and len(array) != n and array.shape[1] == n:
        array = array.T  # samples are columns
    rows = array.reshape(n, -1)
    is_binary = (rows == 0) | (rows == 1)
    if is_binary.all() and (rows.sum(axis=1) == 1).all():
        return rows.astype(float)
    return None


def takes_softmax(one):
    """Return whether a pass gave the loss the softmax of the network's output."""
    if one.output is None or one.given_to_loss is None:
        return False
    output = np.asarray(one.output, dtype=float)
    given = one.given_to_loss
    if given.shape != output.shape or output.ndim == 0 or np.allclose(given, output):
        return False
    return one.softmax_outside or np.allclose(given, lecture.softmax(output), atol=1e-4)
