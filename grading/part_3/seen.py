"""What the judges of a trainer share: its runs, the trainings in them, and their steps."""


def trainings_of(runs):
    """Return pairs of a run and a training of it."""
    pairs = []
    for run in runs:
        for training in run["trainings"]:
            pairs.append((run, training))
    return pairs


def readable(training):
    """Return the steps that are larger than what rounding hides."""
    return [step for step in training["steps"] if not step["is_tiny"]]


def merges(training):
    """Return whether an update comes after several backward passes, each of a batch."""
    for step in training["steps"]:
        sizes = step["pass_sizes"]
        if step["moved"] and len(sizes) > 3 and max(sizes) > 1:
            return True
    return False


def pass_sizes(training):
    """Return the number of rows of each backward pass."""
    sizes = []
    for step in training["steps"]:
        sizes += step["pass_sizes"]
    return sizes


def take_batches(runs):
    """Return whether a backward pass is of several rows, in any run."""
    return any(max(pass_sizes(training)) > 1 for _, training in trainings_of(runs))


def batch_sizes(training, by_pass):
    """Return the number of rows of each batch.

    Where layers take one sample at a time, a batch is what an update is made of; else a pass.
    """
    moves = any(step["moved"] for step in training["steps"])
    if by_pass or training["is_early"] or not moves:
        return pass_sizes(training)
    return [step["n"] for step in training["steps"]]


def most_frequent(values):
    return max(values, key=values.count)
