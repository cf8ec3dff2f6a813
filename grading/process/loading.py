"""In the submission's process: imports its files, with stand-ins for what only decorates.

Not here: classes and parameters within the files (conventions.py).
"""

import importlib
import importlib.util
import os
import signal
import sys
from contextlib import contextmanager
from unittest.mock import MagicMock

from grading.process.raised import TooLong

DECORATION = (  # packages that a trainer runs without
    "colorama",
    "loguru",
    "rich",
    "seaborn",
    "tensorboard",
    "tensorboardX",
    "wandb",
)
BARS = ("tqdm", "tqdm.auto", "tqdm.notebook")  # nobody sees them, and tqdm leaves a semaphore
SECONDS = 10  # that an import, or another call, may take


class StandIn(MagicMock):
    """A package that only decorates: everything can be called, and a bar gives back its items."""

    def __call__(self, *args, **options):
        """Return the first argument if it can be iterated over, as a progress bar does."""
        if args and hasattr(args[0], "__iter__") and not isinstance(args[0], str):
            return args[0]
        return MagicMock()


def use_stand_ins():
    """Let packages be imported that only decorate, and are not installed."""
    for name in BARS:
        sys.modules[name] = StandIn(name=name)
    for name in DECORATION:
        if importlib.util.find_spec(name) is None:
            sys.modules[name] = StandIn(name=name)


def accept_old_sklearn():
    """Let OneHotEncoder be called with `sparse`, which became `sparse_output`."""
    from sklearn import preprocessing

    original = preprocessing.OneHotEncoder

    class OneHotEncoder(original):
        def __init__(self, *, sparse=None, sparse_output=True, **options):
            is_sparse = sparse_output if sparse is None else sparse
            super().__init__(sparse_output=is_sparse, **options)
            self.sparse = sparse

    preprocessing.OneHotEncoder = OneHotEncoder


def load(path):
    """Import a file by its name, as its neighbours do, with its folder as the current one."""
    os.chdir(path.parent)
    folder = str(path.parent)
    sys.path[:] = [folder, *[entry for entry in sys.path if entry != folder]]
    sys.argv = [str(path)]
    with within(SECONDS):
        return importlib.import_module(path.stem)


@contextmanager
def within(seconds):
    """Interrupt what runs in this block after so many seconds of CPU time, where there is an alarm.

    On a busy computer, seconds of the clock would make a fault of what is right.
    """

    def stop(*_):
        raise TooLong(f"took longer than {seconds} s")

    if not hasattr(signal, "SIGPROF"):
        yield
        return
    kept = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, kept)
