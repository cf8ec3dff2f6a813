"""Ways to plant a bug: classes and functions of this project, each wrong in one place.

A class is a subclass of the right one with one other method; a function has the name of the right
one, whose place it takes in a test of test_planted_bugs.py.
"""

from functools import partial, wraps
from itertools import count
from types import SimpleNamespace

import numpy as np

from mlp_numpy import MLP
from modules import CrossEntropy, Linear, SoftMax
from perceptron import Perceptron, generate_dataset
from train_mlp_numpy import train


def variant(kind, **methods):
    """Return a class of the same name that has these methods."""
    return type(kind.__name__, (kind,), methods)


def after(method, kind, change):
    """Return a class whose method returns change(self, result, *arguments), or if None, result."""
    right = getattr(kind, method)

    @wraps(right)  # so that it tells the same names of its arguments
    def wrong(self, *given, **options):
        result = right(self, *given, **options)
        changed = change(self, result, *given)
        return result if changed is None else changed

    return variant(kind, **{method: wrong})


start, forward, backward = (partial(after, name) for name in ("__init__", "forward", "backward"))


def grad(name, change):
    """Return a Linear whose gradient of this name is change(gradient, x, dout)."""
    return backward(
        Linear,
        lambda self, _, dout: self.grads.update({name: change(self.grads[name], self.x, dout)}),
    )


def accumulating(name):
    """Return a Linear that adds to its gradient of this name."""

    def backward(self, dout):
        old = self.grads[name]
        dx = Linear.backward(self, dout)
        self.grads[name] = self.grads[name] + old
        return dx

    return variant(Linear, backward=backward)


def stale(kind):
    """Return a layer or a loss that goes back with what its first forward pass was given."""

    def forward(self, *given):
        vars(self).setdefault("first", given)
        return kind.forward(self, *given)

    @wraps(kind.backward)
    def backward(self, *given):
        kind.forward(self, *self.first)
        return kind.backward(self, *given)

    return variant(kind, forward=forward, backward=backward)


def soft_max(axis=1, shift=lambda x: x.max(axis=1, keepdims=True)):
    """Return a SoftMax normalised over another axis, or with logits shifted otherwise."""

    def out(self, _, x):
        powers = np.exp(x - shift(x))
        return powers / powers.sum(axis=axis, keepdims=True)

    return forward(SoftMax, out)


def through(method, layers):
    """Return an MLP whose forward or backward pass goes through layers(self)."""

    def go(self, x):
        for layer in layers(self):
            x = getattr(layer, method)(x)
        return x

    return variant(MLP, **{method: go})


def update(step, layers=slice(None, None, 2), names=("weight", "bias")):
    """Return an MLP that updates a parameter to step(parameter, gradient, learning_rate)."""

    def update(self, learning_rate):
        for linear in self.layers[layers]:
            for name in names:
                args = linear.params[name], linear.grads[name], learning_rate
                linear.params[name] = step(*args)

    return variant(MLP, update=update)


def momentum(self, learning_rate):
    for linear in self.layers[::2]:
        velocity = vars(linear).setdefault("velocity", {"weight": 0, "bias": 0})
        for name, gradient in linear.grads.items():
            velocity[name] = 0.9 * velocity[name] + gradient
            linear.params[name] = linear.params[name] - learning_rate * velocity[name]


def split(order, size):
    return np.split(order, range(size, len(order), size))


def learn(model, gradient, learning_rate, is_last):
    model.backward(gradient)
    model.update(learning_rate)


def epoch(batches=split, targets=None, learn=learn):
    """Return a train_epoch with other batches, targets in another order, or another step."""

    def train_epoch(model, data, batch_size, learning_rate, order):
        found = batches(order, batch_size)
        others = split(targets(order), batch_size) if targets else found
        for i, (rows, targets_of) in enumerate(zip(found, others, strict=True), 1):
            predictions = model.forward(data.x_train[rows])
            gradient = CrossEntropy().backward(predictions, data.y_train[targets_of])
            learn(model, gradient, learning_rate, is_last=i == len(found))
        return 0.0

    return train_epoch


def fixed(order):
    """Return the same permutation of so many rows each time."""
    return np.random.RandomState(0).permutation(len(order))


epochs, updates = count(), count()  # of all runs together, from the first on


def rolled(order, size):
    return split(np.roll(fixed(order), next(epochs)), size)


def reordered(order, size):
    return [order[np.isin(order, rows)] for rows in split(fixed(order), size)]


def decaying(model, gradient, learning_rate, is_last):
    learn(model, gradient, learning_rate * 0.999 ** next(updates), is_last)


def named(name, function):
    function.__name__ = name
    return function


def history(change, **options):
    """Return a train whose history is change(history, eval_freq)."""

    @wraps(train)
    def wrong(model, data, eval_freq=10, **given):
        return change(train(model, data, **{"eval_freq": eval_freq} | given | options), eval_freq)

    return wrong


@wraps(train)
def an_epoch_too_few(*args, max_steps, **options):
    return train(*args, max_steps=max_steps - 1, **options)


def entries(is_kept, **options):
    """Return a train whose history has the entries where is_kept(epoch, eval_freq)."""
    return history(lambda h, freq: {key: h[key][is_kept(h["step"], freq)] for key in h}, **options)


def misclassified(scores, y):
    return np.where(scores >= 0, 1, -1) != y


def descent(step=lambda w, g, _: w - g, wrong=misclassified, stops=True):
    """Return a Perceptron that goes from w to step(w, g, s).

    g is the learning rate times s.mean(s.wrong), the mean gradient of the points that are wrong.
    """

    def train(self, points, y):
        x, rate = np.column_stack([points, np.ones(len(y))]), self.learning_rate

        def mean(mask):
            return -(y[mask] @ x[mask]) / max(mask.sum(), stops)

        for _ in range(self.max_epochs):
            mask = wrong(x @ self.weights, y)
            if stops and not mask.any():
                return
            s = SimpleNamespace(x=x, y=y, wrong=mask, n=mask.sum(), rate=rate, mean=mean)
            self.weights = step(self.weights, rate * mean(mask), s)

    return variant(Perceptron, train=train)


def scaled(g, of_w, of_b):
    return np.append(of_w * g[:-1], of_b * g[-1])


def online(w, _, s):
    for row, label in zip(s.x, s.y, strict=True):
        w = w + s.rate * label * row * misclassified(row @ w, label)
    return w


def drawn(change):
    """Return a generate_dataset of points and labels change(x, y, means of their classes)."""

    def generate(mean_pos, mean_neg, cov_scale=0.5, rng=None):
        parts = generate_dataset(mean_pos, mean_neg, cov_scale, rng)
        x, y = np.concatenate(parts[::2]), np.concatenate(parts[1::2])
        x, y = change(x, y, np.where(y[:, None] > 0, mean_pos, mean_neg))
        return x[:160], y[:160], x[160:], y[160:]

    return named("generate_dataset", generate)
