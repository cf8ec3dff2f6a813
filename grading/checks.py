"""The checks, in the order of the lecture: their parts, formulas, and what each rests on.

A new check is an entry of CHECKS, and a function that returns its Row.
"""

from dataclasses import dataclass, field

PARTS = ("perceptron", "layers", "network", "trainer")


@dataclass
class Check:
    """A thing that is right or wrong."""

    name: str
    part: str
    formula: str
    rests_on: tuple = ()  # checks that must be right first, the likeliest cause first


LINEAR_GRADIENTS = (
    "Linear.backward: weight",
    "Linear.backward: bias",
    "Linear.backward: input",
)
FORWARDS = ("Linear.forward", "ReLU.forward", "SoftMax.forward")
LAYERS = (
    *FORWARDS,
    *LINEAR_GRADIENTS,
    "ReLU.backward",
    "SoftMax.backward",
    "CrossEntropy.forward",
    "CrossEntropy.backward",
)
CHECKS = [
    Check(
        "generate_dataset",
        "perceptron",
        "100 points each of normal(mean, cov_scale * I), 160 to train, 40 to test",
    ),
    Check("Perceptron.__init__", "perceptron", "w = 0, b = 0"),
    Check(
        "Perceptron.forward",
        "perceptron",
        "f(x) = sign(w.x + b), sign(0) = +1",
        ("Perceptron.__init__",),
    ),
    Check(
        "Perceptron.train: step",
        "perceptron",
        "w <- w + learning_rate * the mean of y_i x_i over the misclassified points, "
        "and b with the mean of y_i",
        ("Perceptron.forward", "Perceptron.__init__"),
    ),
    Check(
        "Perceptron.train: end",
        "perceptron",
        "at the first epoch without a mistake, or after max_epochs",
        ("Perceptron.train: step", "Perceptron.forward", "Perceptron.__init__"),
    ),
    Check("Linear.__init__", "layers", "W from normal(0, 0.1), b = 0"),
    Check("Linear.forward", "layers", "out = x @ W + b", ("Linear.__init__",)),
    Check(
        "Linear.backward: weight",
        "layers",
        "dW = x.T @ dout",
        ("Linear.forward", "Linear.__init__"),
    ),
    Check(
        "Linear.backward: bias",
        "layers",
        "db = the sum of dout over the rows",
        ("Linear.forward", "Linear.__init__", "Linear.backward: weight"),
    ),
    Check(
        "Linear.backward: input",
        "layers",
        "dx = dout @ W.T",
        ("Linear.forward", "Linear.__init__", "Linear.backward: weight"),
    ),
    Check("ReLU.forward", "layers", "out = max(0, x)"),
    Check("ReLU.backward", "layers", "dx = dout where x > 0, else 0", ("ReLU.forward",)),
    Check(
        "SoftMax.forward",
        "layers",
        "p_j = exp(x_j - m) / sum_k exp(x_k - m), m the row's maximum",
    ),
    Check(
        "SoftMax.backward",
        "layers",
        "dx = p * (dout - the sum of dout * p over the row)",
        ("SoftMax.forward",),
    ),
    Check("CrossEntropy.forward", "layers", "L = -(1/N) sum of y log p, with p at least 1e-15"),
    Check(
        "CrossEntropy.backward",
        "layers",
        "dz = (p - y) / N, z the logits",
        ("CrossEntropy.forward", "SoftMax.forward"),
    ),
    Check(
        "MLP.__init__",
        "network",
        "a Linear for each step of n_inputs, n_hidden[0], ..., n_classes",
        ("Linear.__init__",),
    ),
    Check(
        "MLP.forward",
        "network",
        "Linear and ReLU for each hidden layer, then Linear and SoftMax",
        ("MLP.__init__", *FORWARDS),
    ),
    Check(
        "MLP.backward",
        "network",
        "each layer's backward, from the last Linear to the first",
        ("MLP.forward", *LAYERS),
    ),
    Check(
        "MLP.update",
        "network",
        "p <- p - learning_rate * dL/dp",
        ("MLP.backward", "MLP.forward", *LAYERS),
    ),
    Check(
        "load_data",
        "trainer",
        "no row is both for training and for the test, and each keeps its target",
    ),
    Check(
        "accuracy",
        "trainer",
        "the share of rows whose largest prediction is at the target's 1",
        ("train: run",),
    ),
    Check("train: run", "trainer", "the command trains the network", ("MLP.__init__", *LAYERS)),
    Check(
        "train: step",
        "trainer",
        "p <- p - learning_rate * dL/dp, after every batch",
        ("train: run", "MLP.update", "MLP.backward", "MLP.forward", *LAYERS),
    ),
    Check(
        "train: epochs",
        "trainer",
        "every epoch visits each training row once, in a new random order",
        ("train: run",),
    ),
    Check(
        "train: batch size",
        "trainer",
        "every batch has batch_size rows, but for a short last one",
        ("train: run",),
    ),
]
BY_NAME = {check.name: check for check in CHECKS}


@dataclass
class Fault:
    """A mistake in words: what the checked thing does, such as "forgets the bias"."""

    words: str
    about: str = ""  # what is wrong, such as "bias": the line that assigns to it is looked for
    where: str = ""  # file and line, where they are known
    spoils: bool = True  # False for an edge case: what rests on the check can be judged
    is_known: bool = True  # False if it is only seen that something is wrong, not what


@dataclass
class Row:
    """The verdict on a check: right, wrong, to do or not judged."""

    check: str
    status: str = "right"
    faults: list = field(default_factory=list)
    reason: str = ""  # why it is to do, or not judged
    rests_on: str = ""  # or the check that must be right first
    notes: list = field(default_factory=list)  # conventions, in words

    @property
    def spoils(self):
        """Whether what rests on this check cannot be judged."""
        if self.status == "wrong":
            return any(fault.spoils for fault in self.faults)
        return self.status != "right"


def right(check, *notes):
    """Return the row of a check that is right; notes are of conventions, empty ones left out."""
    return Row(check, "right", notes=[note for note in notes if note])


def wrong(check, *faults):
    """Return the row of a check that is wrong; a fault may be given as its words."""
    made = [Fault(fault) if isinstance(fault, str) else fault for fault in faults]
    return Row(check, "wrong", made)


def to_do(check, reason):
    """Return the row of a check of what is still to be written."""
    return Row(check, "to do", reason=reason)


def not_judged(check, reason=""):
    """Return the row of a check that was not made. Without a reason, what it rests on tells."""
    return Row(check, "not judged", reason=reason)


def judged(check, faults, *notes):
    """Return the row of a check: wrong if there are faults, else right."""
    if faults:
        return wrong(check, *faults)
    return right(check, *notes)


def with_causes(rows):
    """Let rows name the check that must be right first.

    So does a row that was not judged, and has no reason of its own. And a row of which it is only
    seen that something is wrong, where something that it rests on is wrong, too.
    """
    by_name = {row.check: row for row in rows}
    for row in rows:
        cause = cause_of(row, by_name)
        if row.status == "wrong" and cause:
            row.faults = [fault for fault in row.faults if fault.is_known]
            if not row.faults:
                row.status = "not judged"
        if row.status == "not judged" and not row.reason:
            row.rests_on = cause
    for row in rows:
        assert not row.rests_on or by_name[row.rests_on].status != "right"
    return rows


def cause_of(row, by_name):
    """Return the first check that a row rests on and that is wrong, or else to do or not judged."""
    needed = [by_name[name] for name in BY_NAME[row.check].rests_on if name in by_name]
    for status in "wrong", "to do", "not judged":
        for other in needed:
            if other.status == status and other.spoils:
                return other.check
    return ""
