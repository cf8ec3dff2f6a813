"""Judges the epochs of a trainer: each visits every training row once, in a new random order.

Rows are numbers here, in the order of learning. Each cause has a name, and is told once.
"""

from itertools import pairwise

from grading.checks import judged, right
from grading.part_3.seen import batch_sizes, most_frequent, pass_sizes, take_batches, trainings_of

CHECK = "train: epochs"
ENOUGH = 100  # rows of a second epoch that are compared with those of the first
STRUCTURE = ("twice", "left out", "first batch")  # causes that change the number of visits, too


def judge(trained):
    """Return the row on whether every epoch visits each row once, in a new order."""
    causes = {}
    notes = []
    pairs = trainings_of(trained)
    n_rows = max(len(set(training["order"])) for _, training in pairs)
    by_pass = take_batches(trained)
    for run, training in pairs:
        epochs = Epochs(run, training, n_rows, by_pass)
        for name, words in epochs.causes().items():
            causes.setdefault(name, words)
        notes += epochs.notes
    if any(name in causes for name in STRUCTURE):
        causes.pop("count", None)
    if causes:
        return judged(CHECK, list(causes.values()))
    return right(CHECK, *dict.fromkeys(notes))


class Epochs:
    """The rows of a training, and what is wrong with their order."""

    def __init__(self, run, training, n_rows, by_pass):
        self.n_rows = n_rows  # in the training set
        self.order = training["order"]
        self.sizes = batch_sizes(training, by_pass)
        self.n_passes = len(pass_sizes(training))
        self.mixes_targets = training["mixes_targets"]
        self.draws_all = training["draws_all"]
        is_broken = run["raised"] and len(self.order) % n_rows > 0
        self.is_cut = training["is_cut"] or is_broken
        self.wanted = run["given"].get("max_steps")
        self.batch_size = run["given"].get("batch_size")
        self.notes = []

    def causes(self):
        """Return what is wrong, by names."""
        found = {}
        if self.mixes_targets:
            found["targets"] = "the rows come with the targets of other rows: shuffle both alike"
        if self.counts_updates():
            found.update(self.causes_in_updates())
        elif self.is_cut or self.wanted is None:
            found.update(self.causes_at_start())
        elif self.is_full_batch():
            found.update(self.causes_in_full_batches())
        else:
            found.update(self.causes_in_batches())
        return found

    # max_steps

    def counts_updates(self):
        """Return whether there are as many batches as epochs were asked for, and not all rows."""
        is_short = len(self.order) < 0.9 * self.n_passes * self.n_rows
        return self.n_passes == self.wanted and is_short

    def causes_in_updates(self):
        """Judge a training in which max_steps counts updates."""
        size = self.sizes[0]
        updates = self.parts(size)
        if self.draws_all:
            words = "an epoch ends after its first batch: the other rows are left out"
            return {"first batch": words}
        if size > 1 and all(set(update) == set(updates[0]) for update in updates):
            return {"first batch": "every update takes the same rows: the others are left out"}
        self.notes.append("max_steps counts updates, not epochs")
        n_in_epoch = self.n_rows // size * size
        first = self.order[:n_in_epoch]
        if len(set(first)) < len(first):
            self.notes.append("each update draws its rows at random")
        return {}

    def count(self, n_epochs):
        """Return the cause of another number of epochs than was asked for."""
        if n_epochs == self.wanted:
            return {}
        number = f"{n_epochs:.3g}"
        less = "only " if n_epochs < self.wanted else ""
        words = f"makes {less}{number} epochs where {self.wanted} are asked for"
        return {"count": words}

    # The rows of an epoch

    def is_full_batch(self):
        return min(self.sizes) >= self.n_rows

    def causes_in_full_batches(self):
        """Judge a training whose updates each take all rows: these have no order."""
        size = self.sizes[0]
        if self.n_rows < 0.9 * size:
            return self.twice(size, self.n_rows)
        return self.count(len(self.order) / size)

    def causes_in_batches(self):
        """Judge a whole training in batches, which are smaller than the training set."""
        n_epochs = len(self.order) / self.n_rows
        first = self.order[: self.n_rows]
        is_whole = n_epochs == round(n_epochs)
        if is_whole and n_epochs != self.wanted and len(set(first)) == self.n_rows:
            return {**self.count(n_epochs), **self.causes_of_order(self.parts(self.n_rows))}
        length = len(self.order) // self.wanted
        if length * self.wanted != len(self.order):
            return self.count(n_epochs)
        epochs = self.parts(length)
        n_different = min(len(set(epoch)) for epoch in epochs)
        found = {}
        if n_different < length:
            found = self.twice(length, n_different)
        elif length < self.n_rows:
            found = self.left_out(length)
        if n_different == length:
            found.update(self.causes_of_order(epochs))
        return found

    def causes_at_start(self):
        """Judge a training of which not all was seen, or whose epochs are its own."""
        n_epochs = len(self.order) / self.n_rows
        if self.wanted is not None and n_epochs > self.wanted + 1:
            words = f"max_steps is ignored: goes on after {n_epochs:.0f} epochs"
            return {"count": f"{words}, where {self.wanted} are asked for"}
        if self.is_full_batch() or len(self.order) < self.n_rows:
            return {}
        if len(set(self.order[: self.n_rows])) < self.n_rows:
            return self.causes_of_repetition()
        second = self.order[self.n_rows : self.n_rows + ENOUGH]
        if len(second) == ENOUGH and second == self.order[:ENOUGH]:
            return self.same_order()
        return {}

    def causes_of_repetition(self):
        """Judge rows that come again too early, where it is not known where epochs end."""
        position = self.first_repetition()
        if position < self.n_rows / 2:
            return self.twice(self.n_rows, len(set(self.order[: self.n_rows])))
        length = 0
        for size in self.sizes:
            if length + size > position:
                break
            length += size
        found = self.left_out(length)
        if self.order[length : length + ENOUGH] == self.order[:ENOUGH]:
            found.update(self.same_order())
        return found

    def first_repetition(self):
        """Return the position of the first row that was visited before."""
        visited = set()
        for position, row in enumerate(self.order):
            if row in visited:
                return position
            visited.add(row)
        return len(self.order)

    def twice(self, length, n_different):
        """Return the cause of rows that an epoch visits twice."""
        words = "an epoch visits some rows twice"
        if n_different < self.n_rows:
            words += ", and leaves out others"
        return {"twice": f"{words}: {length} visits, {n_different} different rows"}

    def left_out(self, length):
        """Return the cause of rows that an epoch leaves out."""
        size = self.batch_size or most_frequent(self.sizes)
        what = "some rows"
        if length == self.n_rows // size * size:
            what = "the short last batch"
        words = f"an epoch leaves out {what}: it visits {length} of {self.n_rows} rows"
        return {"left out": words}

    # The order

    def causes_of_order(self, epochs):
        """Return what is wrong with the order of epochs, of which each visits its rows once."""
        if len(epochs) < 2 or max(self.sizes) >= self.n_rows:
            return {}
        if epochs[0] == epochs[1]:
            return self.same_order()
        neighbours = [set(map(frozenset, pairwise(epoch))) for epoch in epochs[:2]]
        if len(neighbours[0] & neighbours[1]) > len(epochs[0]) / 2:
            words = "every epoch has the order of the first one, in parts or moved along"
            return {"order": f"{words}: draw a new permutation in each"}
        size = most_frequent(self.sizes)
        batches = [self.batches(epoch, size) for epoch in epochs[:2]]
        if size > 1 and len(batches[0] & batches[1]) > len(batches[0]) / 2:
            words = "the same rows make a batch in every epoch"
            return {"order": f"{words}: draw a new permutation in each"}
        return {}

    def same_order(self):
        return {"order": "every epoch has the same order: draw a new permutation in each"}

    def batches(self, epoch, size):
        """Return the batches of an epoch, as sets."""
        starts = range(0, len(epoch), size)
        return {frozenset(epoch[start : start + size]) for start in starts}

    def parts(self, length):
        """Return the rows in parts of a length."""
        starts = range(0, len(self.order) - length + 1, length)
        return [self.order[start : start + length] for start in starts]
