"""Judges the epochs of a trainer: each visits every training row once, in a new random order.

Rows are numbers here, in the order of learning. Each cause has a name, and is told once.
"""

from grading.checks import judged, right

CHECK = "train: epochs"
STRUCTURE = ("twice", "left out", "first batch")  # causes that change the number of visits, too


def judge(trained, walks_through_rows):
    """Return the row on whether every epoch visits each row once, in a new order.

    Args:
        trained: pairs of a run and a training.
        walks_through_rows: whether the text has a loop over the batches of an epoch.
    """
    causes = {}
    notes = []
    n_rows = max(len(set(training["order"])) for _, training in trained)
    for run, training in trained:
        if training["mixes_targets"]:
            words = "the rows come with the targets of other rows: shuffle both alike"
            causes["targets"] = words
        sizes = batch_sizes(training, trained)
        epochs = Epochs(run, training, sizes, n_rows)
        if not epochs.counts_updates():
            causes = {**epochs.causes(), **causes}
        elif walks_through_rows:
            words = "an epoch ends after its first batch: the other rows are left out"
            causes["first batch"] = words
        elif epochs.takes_same_rows():
            causes["first batch"] = "every update takes the same rows: the others are left out"
        else:
            notes = ["max_steps counts updates, not epochs"]
    if any(name in causes for name in STRUCTURE):
        causes.pop("count", None)
    if causes:
        return judged(CHECK, list(causes.values()))
    return right(CHECK, *notes)


class Epochs:
    """The rows of a training, and what is wrong with their order."""

    def __init__(self, run, training, sizes, n_rows):
        self.sizes = sizes  # of batches
        self.n_rows = n_rows  # in the training set
        self.order = training["order"]
        self.n_passes = len(pass_sizes(training))
        self.wanted = run["given"].get("max_steps")
        has_crashed = run["raised"] is not None
        self.is_cut = training["is_cut"] or has_crashed or not self.wanted

    def counts_updates(self):
        """Return whether there are as many batches as epochs were asked for, and not all rows."""
        is_short = len(self.order) < 0.9 * self.n_passes * self.n_rows
        return self.n_passes == self.wanted and is_short and not self.is_cut

    def takes_same_rows(self):
        updates = [set(rows) for rows in self.parts(self.sizes[0])]
        return len(updates) > 1 and len(updates[0]) > 1 and updates[0] == updates[1]

    def causes(self):
        """Return what is wrong, by names."""
        if len(self.order) < self.n_rows and self.is_cut:
            return {}
        length = self.length()
        whole = len(self.order) // length
        epochs = self.parts(length)
        n_different = min(len(set(epoch)) for epoch in epochs[: max(whole, 1)])
        if n_different < length:
            return {"twice": self.twice(length, n_different)}
        found = self.causes_of_number(len(self.order) / length)
        if length < self.n_rows:
            found["left out"] = self.left_out(length)
        if min(self.sizes) < self.n_rows and len(epochs) > 1:
            found.update(self.causes_of_order(*epochs[:2]))
        return found

    def length(self):
        """Return the number of rows that an epoch visits."""
        n_visits = len(self.order)
        if min(self.sizes) >= self.n_rows:
            return self.sizes[0]
        is_whole = self.is_cut or n_visits % self.n_rows == 0
        first_repetition = self.first_repetition()
        if is_whole and first_repetition >= self.n_rows:
            return self.n_rows
        if not self.is_cut and n_visits % self.wanted == 0:
            return n_visits // self.wanted
        if first_repetition < self.n_rows / 2:
            return self.n_rows  # rows are drawn at random
        length = 0
        for size in self.sizes:
            if length + size > first_repetition:
                break
            length += size
        return length or self.n_rows

    def first_repetition(self):
        """Return the position of the first row that was visited before."""
        visited = set()
        for position, row in enumerate(self.order):
            if row in visited:
                return position
            visited.add(row)
        return len(self.order)

    def parts(self, length):
        """Return the rows in parts of a length; the last one may be shorter."""
        starts = range(0, len(self.order), length)
        return [self.order[start : start + length] for start in starts]

    # What is wrong

    def causes_of_number(self, n_epochs):
        """Return the cause of another number of epochs than was asked for."""
        wanted = self.wanted
        if not wanted or n_epochs == wanted or (self.is_cut and n_epochs < wanted + 1):
            return {}
        words = f"makes {n_epochs:.3g} epoch{'' if n_epochs == 1 else 's'}"
        if self.is_cut:
            words = f"max_steps is ignored: goes on after {n_epochs:.0f} epochs"
        return {"count": f"{words} where {wanted} are asked for"}

    def twice(self, length, n_different):
        words = "an epoch visits some rows twice"
        if n_different < self.n_rows:
            words += ", and leaves out others"
        return f"{words}: {length} visits, {n_different} different rows"

    def left_out(self, length):
        size = most_frequent(self.sizes)
        what = "some rows"
        if length == self.n_rows // size * size:
            what = "the short last batch"
        return f"an epoch leaves out {what}: it visits {length} of {self.n_rows} rows"

    def causes_of_order(self, first, second):
        """Return what is wrong with the order of two epochs; the second may be cut."""
        is_same = second == first[: len(second)] and len(second) > self.n_rows / 10
        words = "every epoch has the same order: draw a new permutation in each"
        return {"order": words} if is_same else {}


# The sizes of batches


def pass_sizes(training):
    """Return the number of rows of each backward pass."""
    sizes = []
    for step in training["steps"]:
        sizes += step["pass_sizes"]
    return sizes


def batch_sizes(training, trained):
    """Return the number of rows of each batch.

    Where layers take one sample at a time, a batch is what an update is made of; else a pass.

    Args:
        training: what updates.training_of returned.
        trained: pairs of a run and a training, that show how layers take samples.
    """
    takes_batches = any(max(pass_sizes(other)) > 1 for _, other in trained)
    moves = any(step["moves"] for step in training["steps"])
    if takes_batches or training["is_early"] or not moves:
        return pass_sizes(training)
    return [step["n"] for step in training["steps"]]


def most_frequent(values):
    return max(values, key=values.count)
