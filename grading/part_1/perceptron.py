"""Part I: the perceptron's rule is read off, point by point.

Each of N points lies on an axis of its own: x_i is a_i on axis i, and 0 on all others. The step of
an epoch can be written, whatever the rule is, as

    w <- w + learning_rate * sum_i c_i y_i x_i        b <- b + learning_rate * sum_i c_i y_i

so axis i shows how much point i counts: c_i = (the change of w_i) / (learning_rate y_i a_i).

    1/n for each of the n misclassified points, else 0     the mean over them, as in the lecture
    1                                                      their sum
    1/N                                                    a mean over all points
    2                                                      a sum with y - f(x) in place of y
    the same number for all points                         points that are right count, too

The change of b must be that of the same c_i. Where the same points stay misclassified, three epochs
are three equal steps. The online rule, a step for each point, is told by equal points: its first
step makes all of them right.

`measure` runs in the submission's process and returns numbers. `judge` turns them into rows.
"""

from itertools import product

import numpy as np

from grading.checks import Fault, judged, not_judged, to_do, wrong
from grading.part_1.runs import (
    BIAS,
    FAR,
    IS_WRONG,
    LABELS,
    PLANE,
    PRODUCTS,
    SIZES,
    THE_ONE,
    N,
    measure,
    start_of,
)
from grading.process.calls import RATE
from grading.process.raised import row_of

__all__ = ["judge", "measure"]

TOLERANCE = 2e-3
SMALLEST = 1e-3  # what counts less is nothing
EVERYWHERE = np.ones(N, dtype=bool)
NOTHING = np.array([np.nan])  # of a run that was not made, or did not come to its end

TWICE = "takes y - f(x), which is twice y, in place of y"
INIT = "Perceptron.__init__"
FORWARD = "Perceptron.forward"
STEP = "Perceptron.train: step"
END = "Perceptron.train: end"


def judge(got):
    """Return the rows of Part I, but for the data."""
    if got.get("is_missing"):
        return [to_do(name, "there is no class Perceptron") for name in (INIT, FORWARD, STEP, END)]
    init = judge_init(got)
    forward = judge_forward(got)
    if "runs" not in got:
        return [init, forward, not_judged(STEP), not_judged(END)]
    reading = Reading(got)
    step = judge_step(reading, forward)
    return [init, forward, step, judge_end(reading, forward, step)]


class Reading:
    """What is read off the runs: how much each point counts in an epoch, and how many are made."""

    def __init__(self, got):
        self.told = got["told"]
        self.runs = {}  # those that came to an end
        self.raised = {}  # the exceptions of the others
        for name, result in got["runs"].items():
            if isinstance(result, dict):
                self.raised[name] = result["raised"]
            else:
                self.runs[name] = result
        self.label_at_zero = got["forward"].get("labels", NOTHING)[0]
        self.forward_raised = got["forward"].get("raised", {"where": None})
        self.name = ""  # of the run that is read, or "" if no weight moves
        self.counts = None  # c_i, (N,)
        self.bias = None  # what b moves by, over the learning rate
        self.n_epochs = None  # that are made where 1 is asked for; None if nobody knows
        self.read()

    def run(self, name):
        return self.runs.get(name, NOTHING)

    def read(self):
        """Read an epoch as half of the difference of three and one, or else a run that moves w."""
        one = self.run("far")
        each = (self.run("far, 3 epochs") - one) / 2
        if moves(each):
            self.name = "far"
            self.n_epochs = whole_ratio(one, each)
        for name in ("near", "far", "own start"):
            if not self.name and moves(self.run(name)):
                self.name = name
        if self.name:
            numbers = each if self.n_epochs is not None else self.run(self.name)
            self.counts = numbers[:-1]
            self.bias = numbers[-1]

    def are_same(self, one, other):
        """Return whether two runs do the same, and more than nothing."""
        return moves(self.run(one)) and np.array_equal(self.run(one), self.run(other))


def moves(numbers):
    """Return whether a run changes w or b, and leaves them finite."""
    return bool(np.isfinite(numbers).all() and np.abs(numbers).max() > SMALLEST)


def whole_ratio(numbers, units):
    """Return how many times the units the numbers are, or None if they are no whole multiple."""
    k = np.argmax(np.abs(units))
    ratio = round(numbers[k] / units[k])
    is_whole = np.allclose(numbers, ratio * units, rtol=TOLERANCE, atol=SMALLEST)
    return ratio if is_whole else None


def part_of(counts, mask):
    """Return how much each point of a mask counts, if it is the same and no other does; else 0."""
    if not mask.any() or np.abs(counts[~mask]).max(initial=0) > SMALLEST:
        return 0.0
    value = counts[mask].mean()
    is_even = np.allclose(counts[mask], value, rtol=TOLERANCE)
    return value if is_even and abs(value) > SMALLEST else 0.0


def is_close(a, b):
    return abs(a - b) < TOLERANCE * abs(b) + SMALLEST / 10


# The step


def judge_step(reading, forward):
    """Return the row of a step."""
    if not reading.name and reading.raised:
        return row_without_a_step(reading, forward)
    of_changes = words_of_changes(reading.told)
    if of_changes:
        return wrong(STEP, of_changes)
    rule = rule_of(reading) if reading.name else None
    if rule is None and forward.spoils:
        return not_judged(STEP)
    if rule is None and reading.told["begins_anew"]:
        return not_judged(STEP, "train begins with weights of its own, which are not 0")
    if rule is None:
        return wrong(STEP, words_of_other(reading))
    words, notes = rule
    if reading.name == "far" and reading.n_epochs is None:
        words.append("takes steps that change from epoch to epoch: is the learning rate changed?")
    own_start = reading.run("own start")
    if reading.n_epochs and not own_start.any():
        words.append("counts no point as misclassified while all scores are 0, so it never begins")
    if moves(own_start) and part_of(own_start[:-1], EVERYWHERE) and reading.label_at_zero:
        notes.append("a score of 0 counts as a mistake, another lecture's rule")
    return judged(STEP, words, *notes)


def rule_of(reading):
    """Return what is wrong with a rule, and notes on it; None if it is not one of mistakes."""
    counts = reading.counts
    masks = [IS_WRONG]
    if reading.name == "own start":
        masks = [reading.label_at_zero != LABELS, EVERYWHERE]
    of_equal = reading.run("equal")[0]
    for mask in masks:
        value = part_of(counts, mask)
        if value and is_close(of_equal, value):
            return online_rule(reading, value)
        if value:
            return words_of_both(reading, value, mask.sum()), []
    moved = counts[np.abs(counts) > SMALLEST]
    if reading.name != "far" and len(moved) > 1 and of_equal:
        times = moved / of_equal  # near to the line, a step for one makes others right
        if np.allclose(times, times.round(), atol=TOLERANCE):
            return online_rule(reading, of_equal)
    return None


def online_rule(reading, value):
    """Return what is wrong with the online rule, where a mistake counts so much, and notes."""
    notes = ["the online rule of another lecture: a step for each point, not for the set"]
    words = words_of_both(reading, value, 1)
    if TWICE in words:
        words.remove(TWICE)
        notes.append("its step " + TWICE)
    return words, notes


def words_of_both(reading, value, n):
    """Return what is wrong with w and b, where each of n points counts so much for w."""
    words = words_of(value, n)
    expected = (reading.counts * LABELS).sum()
    if not reading.told["has_bias"] or is_close(reading.bias, expected):
        return words
    if abs(reading.bias) < SMALLEST:
        return [*words, "updates w alone, not the bias"]
    told = [f"for w, it {text}" for text in words]
    of_bias = words_of(value * reading.bias / expected, n)
    if of_bias:
        told.append(f"for the bias, it {', and '.join(of_bias)}")
    return told


def words_of(value, n):
    """Return what is wrong if each of n misclassified points counts so much, as a list of words."""
    directions = [(1, ""), (-1, "goes up the gradient, but should go down")]
    rates = [(1, ""), (1 / RATE, "leaves out the learning rate")]
    sizes = [
        (1 / n, ""),
        (1, "sums over the misclassified points, but should average"),
        (1 / N, "averages over all points, but should over the misclassified"),
        (2 / n, TWICE),
        (2, "sums y - f(x), which is twice y, but should average y"),
        (2 / N, "averages y - f(x), which is twice y, over all points"),
    ]
    for direction, rate, size in product(directions, rates, sizes):
        if is_close(value, direction[0] * rate[0] * size[0]):
            return [words for _, words in (direction, rate, size) if words]
    return [f"lets a misclassified point count {value:.3g} times, but should {1 / n:.3g} times"]


def words_of_other(reading):
    """Return what is wrong if not all mistakes count the same, or not they alone."""
    if not reading.name:
        return "changes no weight: not even where points are misclassified"
    counts = reading.counts
    if np.abs(counts).max() < SMALLEST:
        return "updates the bias alone, not w"
    if part_of(counts, ~IS_WRONG):
        return "learns from the points that are right, not from the mistakes"
    if part_of(counts, EVERYWHERE):
        does = {1: "sums over", 1 / N: "averages over"}.get(round(counts[0], 3), "lets count")
        return f"{does} all points, also those that are right"
    if part_of(counts * LABELS, IS_WRONG):
        return "leaves out the labels: it adds x_i, not y_i x_i"
    steps = counts * LABELS * SIZES
    if np.allclose(steps, steps[0], rtol=TOLERANCE):
        return "adds the same number to all weights"
    if part_of(counts + start_of(FAR), IS_WRONG):
        return "replaces the weights by the step, but should add it"
    return "does not move w along the mean of y_i x_i over the misclassified points"


def row_without_a_step(reading, forward):
    """Return the row of a step where training has not come to its end."""
    raised = next(iter(reading.raised.values()))
    if forward.status == "to do" or raised["where"] == reading.forward_raised["where"]:
        return not_judged(STEP)
    if raised["kind"] == "late":
        return not_judged(STEP, "training does not end, so that no single step can be seen")
    return row_of_raised(STEP, raised)


def words_of_changes(told):
    """Return what is wrong if training changes what it is given, or ""."""
    words = f"changes its {told['changes']} in place"
    if told["changes"] == "labels" and told["label_type"] == "float":
        return f"{words}, which fails for integers"
    return words if told["has_changed"] else ""


# The end


def judge_end(reading, forward, step):
    """Return the row of the end of training."""
    if step.status == "to do":
        return to_do(END, step.reason)
    for name, raised in reading.raised.items():
        if raised["kind"] == "late":
            words = "does not end at max_epochs"
            if name == "no line":
                words += ": it goes on until no point is misclassified"
            return wrong(END, Fault(words, where=raised["where"]))
    if reading.told["begins_anew"] and step.spoils:
        return not_judged(END)
    faults = faults_of_number(reading) + faults_of_mistakes(reading, forward, step)
    is_counted = reading.n_epochs == 1 and "none wrong" in reading.runs
    if faults or is_counted or "any points" in reading.runs:
        return judged(END, faults)
    has_cause = step.spoils or forward.spoils
    return not_judged(END, "" if has_cause else "the epochs could not be counted")


def faults_of_number(reading):
    """Return what is wrong with the number of epochs."""
    are_same = reading.are_same("far", "far, 3 epochs")
    if are_same or reading.are_same("any points", "any points, 2 epochs"):
        return ["makes the same number of epochs, whatever max_epochs is"]
    if reading.n_epochs == 2:
        return ["max_epochs is one epoch too many"]
    if reading.n_epochs == 0:
        return ["max_epochs is one epoch too few"]
    return []


def faults_of_mistakes(reading, forward, step):
    """Return what is wrong with training where no point is misclassified, or a single one."""
    raised = reading.raised.get("none wrong")
    if raised:
        words = f"raises {raised['type']} where no point is misclassified: {raised['text']}"
        words = words.removesuffix(": ")
        return [Fault(words, where=raised["where"])]
    none = reading.runs.get("none wrong", np.zeros(1))
    if not np.isfinite(none).all():
        return ["goes on where no point is misclassified: it divides by 0, and the weights are NaN"]
    if moves(none) and not step.spoils and not forward.spoils:
        return ["changes the weights where no point is misclassified: is there a margin?"]
    one = reading.run("one wrong")
    if reading.n_epochs and reading.counts[THE_ONE] and not one.any():
        return [f"ends though a point is misclassified: the only one of {N}"]
    return []


# The first weights, and the labels


def judge_init(got):
    """Return the row of the first weights."""
    if "raised" in got["start"]:
        return row_of_raised(INIT, got["start"]["raised"])
    told = got["told"]
    faults = []
    notes = []
    if told["bias"]:
        notes.append("the bias is apart from the weights")
    elif not told["has_bias"] and told["data_has_ones"]:
        notes.append("the bias is the weight of a 1 that each point has")
    elif not told["has_bias"]:
        faults.append(edge("there is no bias: as many weights as inputs, so one is missing"))
    elif told["bias_place"] == 0:
        notes.append("the bias is the first weight")
    if told["n_inputs"] == PLANE and told["takes_n_inputs"]:
        faults.append(edge("ignores n_inputs: works for 2 inputs alone"))
    elif told["n_inputs"] == PLANE:
        notes.append("the perceptron takes points of the plane alone")
    first, second = got["start"]["weights"]
    if first.any():
        what = "the weights start" if first[:-1].any() else "the bias starts"
        numbers = np.unique(first[first != 0])
        is_random = len(numbers) > 1 or not np.array_equal(first, second)
        where = "random" if is_random else f"{numbers[0]:g}"
        faults.append(edge(f"{what} at {where}, but should at 0"))
    return judged(INIT, faults, *notes)


def edge(words):
    """Return a fault that leaves what rests on the check to be judged."""
    return Fault(words, spoils=False)


def judge_forward(got):
    """Return the row of the labels."""
    if "raised" in got["start"]:
        return not_judged(FORWARD)
    if "raised" in got["forward"]:
        return row_of_raised(FORWARD, got["forward"]["raised"])
    at_zero, *labels = got["forward"]["labels"]
    words = words_of_labels(np.array(labels), PRODUCTS[1:] + BIAS)
    if words:
        return wrong(FORWARD, words)
    told = got["told"]
    faults = []
    notes = []
    if at_zero == 0:
        faults.append(edge("at w.x + b = 0 it gives 0: such a point gets no class"))
    if at_zero == -1:
        notes.append("a score of 0 is class -1, the lecture has +1")
    if told["one_by_one"]:
        notes.append("Perceptron.forward takes one point at a time")
    if told["forward_ones"]:
        notes.append(f"Perceptron.forward wants points with a 1, the {told['forward_ones']}")
    return judged(FORWARD, faults, *notes)


def words_of_labels(labels, scores):
    """Return what is wrong with the labels of points that are not on the line, or ""."""
    right = np.sign(scores)
    if np.array_equal(labels, right):
        return ""
    if np.array_equal(labels, -right):
        return "has the wrong sign: it gives -1 where w.x + b > 0"
    if np.isin(labels, [0, 1]).all():
        return "gives 0 and 1, but should give -1 and +1"
    if not np.isin(labels, [-1, 1]).all():
        return "gives another number than -1 or +1, such as w.x + b, not its sign"
    if np.array_equal(labels, np.sign(scores - BIAS)):
        return "leaves out the bias"
    return "its labels are not those of sign(w.x + b)"


def row_of_raised(check, raised):
    """Return the row of a check that ended with an exception."""
    if raised["type"] == "SystemExit":
        words = "ends the program (sys.exit), but should return"
        return wrong(check, Fault(words, where=raised["where"]))
    return row_of(check, raised)
