"""Part III: what many seeds show and one does not: that some runs are stuck."""

import math
import time
from itertools import pairwise

from playground.run import Run
from playground.settings import parsed

N_SEEDS = 20
FEWEST_RUNS = 10  # with fewer, a gap may be chance
GAP = 1.5  # the ratio of neighbouring losses above which there are two groups
LEARNED = 0.05  # a network with a smaller loss is never stuck


def stuck_bound(losses):
    """Return the loss above which a run is stuck, or infinity where none is.

    This is what *stuck* means in this project. Sort the final training losses of at least
    FEWEST_RUNS runs with equal settings, and divide each by the one before. If the largest ratio is
    above GAP, the losses form two groups there, and the runs of the upper group are stuck. The
    bound is the geometric mean of the two losses beside the gap.

    Losses below LEARNED are never stuck, so a gap must end above it. One run alone is never stuck.
    """
    bound = math.inf
    if len(losses) < FEWEST_RUNS:
        return bound
    widest = GAP
    for lower, upper in pairwise(sorted(losses)):
        ratio = upper / max(lower, 1e-15)  # a loss may be 0
        if ratio > widest and upper >= LEARNED:
            widest = ratio
            bound = math.sqrt(lower * upper)
    return bound


class Seeds:
    """N_SEEDS networks with equal settings, from one seed on, each trained to its end.

    Attributes:
        texts: the settings; their seed is the first one.
        ends: of each network that has come to its end, a dict of its seed and its METRICS, or of
            its seed alone, if training diverged.
    """

    def __init__(self, texts, code):
        """Train nothing yet; raise ValueError if a setting is not valid."""
        self.texts = texts
        self.settings = parsed(texts)
        self.code = code
        self.ends = []
        self.run = None  # the one under way

    def go_on(self, seconds):
        """Train for so long, at least for an epoch, or until all have come to their end."""
        end = time.monotonic() + seconds
        while len(self.ends) < N_SEEDS:
            if self.run is None:
                self.begin_next()
            self.train_epoch()
            if time.monotonic() > end:
                return

    def begin_next(self):
        """Begin the run of the next seed."""
        seed = (self.settings["seed"] + len(self.ends)) % 2**32
        self.run = Run(self.texts | {"seed": str(seed)}, self.code)
        self.n_left = self.settings["epochs"]

    def train_epoch(self):
        """Train the network under way for an epoch; if that is its last, keep how it ends."""
        run = self.run
        metrics = {}
        try:
            run.train_epoch()
            self.n_left -= 1
            if self.n_left > 0:
                return
            metrics = run.now().metrics
        except FloatingPointError:
            pass  # it diverged: its end has no metrics
        self.ends.append({"seed": run.settings["seed"], **metrics})
        self.run = None

    def told(self):
        """Return what a browser is told: the texts, the ends, and the bound, None if there is none.

        There is a bound when all have come to their end.
        """
        losses = [end["train_loss"] for end in self.ends if "train_loss" in end]
        bound = math.inf
        if len(self.ends) == N_SEEDS:
            bound = stuck_bound(losses)
        return {
            "texts": self.texts,
            "ends": self.ends,
            "bound": bound if math.isfinite(bound) else None,
        }
