"""In the submission's process: hooks on its layers, loss and network, which tell a Watch.

What the Watch makes of it is in watch.py.
"""

from contextlib import ExitStack
from unittest.mock import patch

import numpy as np


def hooks(found, watch):
    """Return a context in which the methods of the submission's classes tell a Watch.

    Args:
        found: its classes, by the assignment's names.
        watch: a Watch.
    """
    forward = ("forward", "__call__")
    linear = (watch.before_linear_backward, watch.after_linear_backward)
    wanted = [
        ("Linear", forward, watch.before_linear, None),
        ("Linear", ["backward"], linear[0], lambda result, layer, *_: linear[1](layer)),
        ("CrossEntropy", forward, watch.before_loss, watch.after_loss),
        ("CrossEntropy", ["backward"], watch.before_loss_backward, None),
        ("SoftMax", forward, watch.before_softmax, None),
        ("MLP", forward, watch.before_network, watch.after_network),
        ("MLP", ["backward"], watch.before_network_backward, None),
    ]
    stack = ExitStack()
    for name, function in noted_draws(watch).items():
        stack.enter_context(patch.object(np.random, name, function))
    for role, names, before, after in wanted:
        if role in found:
            active = set()
            for name in names:
                if is_defined(found[role], name):
                    stack.enter_context(hooked(found[role], name, before, after, active))
    return stack


def noted_draws(watch):
    """Return functions of np.random, by name, that draw an order and tell the Watch of it."""
    permutation = np.random.permutation
    shuffle = np.random.shuffle
    default_rng = np.random.default_rng

    def noted_permutation(x):
        watch.note_draw(x)
        return permutation(x)

    def noted_shuffle(x):
        watch.note_draw(x)
        return shuffle(x)

    class NotedGenerator(np.random.Generator):
        def permutation(self, x, *args, **options):
            watch.note_draw(x)
            return super().permutation(x, *args, **options)

        def shuffle(self, x, *args, **options):
            watch.note_draw(x)
            return super().shuffle(x, *args, **options)

    def noted_default_rng(seed=None):
        generator = default_rng(seed)
        return generator if generator is seed else NotedGenerator(generator.bit_generator)

    return {
        "permutation": noted_permutation,
        "shuffle": noted_shuffle,
        "default_rng": noted_default_rng,
    }


def is_defined(kind, name):
    """Return whether a class, or one that it inherits from, defines a method."""
    return any(name in vars(base) for base in kind.__mro__)


def hooked(kind, name, before, after, active):
    """Return a patch of a method that tells what it is given, and what it gives.

    Args:
        kind: the class.
        name: of the method.
        before: called with the object and all arguments.
        after: called with the result, the object and all arguments; if that returns something,
            the method gives it. Or None.
        active: a set, of the objects within one of the methods that share it: where __call__
            calls forward, only the outer one tells.
    """
    original = getattr(kind, name)

    def method(self, *args, **options):
        if id(self) in active:
            return original(self, *args, **options)
        given = [*args, *options.values()]
        active.add(id(self))
        try:
            before(self, *given)
            result = original(self, *args, **options)
        finally:
            active.discard(id(self))
        if after is None:
            return result
        changed = after(result, self, *given)
        return result if changed is None else changed

    method.__wrapped__ = original
    return patch.object(kind, name, method)
