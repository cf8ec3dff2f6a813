"""Chores of the library: random generators, checks of numbers, files that are written whole.

What the scripts share beyond that, flags and output, is in command_line.py.
"""

import contextlib
import glob
import math
import numbers
import os
import time
from pathlib import Path

import numpy as np

ABANDONED = 600  # seconds after which nobody writes a scratch file any more


def as_rng(rng):
    """Return `rng` as a random generator.

    A `np.random.Generator` or `RandomState` comes back as it is, so that whoever passed it in goes
    on drawing from the same stream. An int seeds a new RandomState, NumPy's older generator,
    because it is the one behind the report's figures; None takes fresh entropy.
    """
    if isinstance(rng, np.random.Generator | np.random.RandomState):
        return rng
    if rng is not None and not isinstance(rng, numbers.Integral):
        raise ValueError(
            f"rng must be a np.random.Generator or RandomState, an int seed or None, got {rng!r}"
        )
    return np.random.RandomState(rng)


def check_whole(name, number, least=1):
    """Raise ValueError unless `number` is an int of at least `least`."""
    if not isinstance(number, numbers.Integral) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {number!r}")


def check_positive(name, number):
    """Raise ValueError unless `number` is finite and above 0."""
    if not (isinstance(number, numbers.Real) and math.isfinite(number) and number > 0):
        raise ValueError(f"{name} must be a finite number above 0, got {number!r}")


@contextlib.contextmanager
def open_whole(path, mode="w", **options):
    """Open a file for writing that replaces `path` only once it is complete.

    It is written under a scratch name in the same folder. When the block ends, it is flushed to
    the disk and renamed, which is atomic; when the block fails, `path` stays what it was. What
    a process that was killed left behind is removed. A symbolic link is followed.
    """
    path = Path(path).resolve()
    if path.exists() and not path.is_file():
        raise OSError(f"cannot write {path}: it exists and is not a regular file")
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    for other in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):  # somebody else may have removed it
            if time.time() - other.stat().st_mtime > ABANDONED:
                other.unlink()
    try:
        with open(scratch, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)
