"""In the submission's process: what its trainer does with the loss that it is given.

A loss is handed out as a number or an array that notes when its mean is taken, or when it is
divided.
"""

import numpy as np


class LossSeen:
    """Whether the loss was called, and what became of it."""

    def __init__(self):
        self.is_called = False
        self.is_array = False  # it gives a number for each row
        self.is_averaged = False  # and their mean is taken, or a single number is divided

    def watched(self, result):
        """Return a loss that notes when it is averaged."""
        if isinstance(result, np.ndarray) and result.size > 1:
            self.is_array = True
            rows = result.view(LossOfRows)
            rows.seen = self
            return rows
        if isinstance(result, float):
            total = TotalLoss(result)
            total.seen = self
            return total
        return result


class LossOfRows(np.ndarray):
    """A loss of one number a row, which notes that its mean is taken."""

    seen = None

    def __array_finalize__(self, source):
        self.seen = getattr(source, "seen", None)

    def mean(self, *args, **options):
        self.note_average()
        return np.asarray(self).mean(*args, **options)

    def sum(self, *args, **options):
        total = TotalLoss(np.asarray(self).sum())
        total.seen = self.seen
        return total

    def __truediv__(self, other):
        self.note_average()
        return np.asarray(self) / other

    def note_average(self):
        if self.seen is not None:
            self.seen.is_averaged = True


class TotalLoss(np.float64):
    """A loss of all rows, or a sum of such, which notes that it is divided."""

    seen = None

    def __add__(self, other):
        if np.ndim(other) > 0:
            return np.float64(self) + other
        total = TotalLoss(float(self) + other)
        total.seen = self.seen
        return total

    __radd__ = __add__

    def __truediv__(self, other):
        if self.seen is not None:
            self.seen.is_averaged = True
        return np.float64(self) / other
