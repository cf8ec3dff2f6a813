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

import re
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from grading.checks import Fault, judged, not_judged, to_do, wrong
from grading.part_1.runs import (
    BIAS,
    LABELS,
    N_EQUAL,
    PLANE,
    PRODUCTS,
    SIZES,
    THE_ONE,
    N,
    measure,
    same,
)
from grading.process.calls import RATE
from grading.process.raised import row_of

__all__ = ["judge", "measure"]

TOLERANCE = 2e-3
SMALLEST = 1e-3  # what counts less is nothing

INIT = "Perceptron.__init__"
FORWARD = "Perceptron.forward"
STEP = "Perceptron.train: step"
END = "Perceptron.train: end"


def judge(got):
    """Return the rows of Part I, but for the data."""
    if got.get("is_missing"):
        return [to_do(name, "there is no class Perceptron") for name in (INIT, FORWARD, STEP, END)]
    if "raised" in got["start"]:
        return [row_of_raised(INIT, got["start"]["raised"]), *rows_unseen(got)]
    forward = judge_forward(got)
    reading = Reading(got)
    if got["train_is_empty"]:
        return [judge_init(got), forward, *rows_unseen(got)[1:]]
    step = judge_step(got, reading, forward)
    return [judge_init(got), forward, step, judge_end(reading, forward, step)]


def rows_unseen(got):
    """Return the rows of what could not be called; what has no body is to do."""
    forward = not_judged(FORWARD)
    if got["forward_is_empty"]:
        forward = to_do(FORWARD, "Perceptron.forward is to be written")
    if got["train_is_empty"]:
        reason = "Perceptron.train is to be written"
        return [forward, to_do(STEP, reason), to_do(END, reason)]
    return [forward, not_judged(STEP), not_judged(END)]


def judge_init(got):
    """Return the row of the first weights."""
    told = got["told"]
    faults = []
    if not told["has_bias"] and not told["source_of_ones"]:
        faults.append(edge("there is no bias: as many weights as inputs, so one is missing"))
    is_in_plane = told["n_inputs"] == PLANE and "first" in got["start"]
    if is_in_plane and told["takes_n_inputs"]:
        faults.append(edge("ignores n_inputs: works for 2 inputs alone"))
    size_before = got["start"].get("size_before")
    if size_before:
        faults.append(edge(f"ignores n_inputs: for {N} inputs it makes {size_before} weights"))
    first = got["start"].get("first", np.zeros(1))
    second = got["start"].get("second", first)
    if told["own_start"] is not None:  # `train` begins with it
        first = second = told["own_start"]
    if first.any():
        faults.append(edge(words_of_start(first, second)))
    return judged(INIT, faults, *notes_on_weights(told))


def notes_on_weights(told):
    """Return notes on where weights and bias are."""
    notes = []
    if told["bias_is_first"]:
        notes.append("the bias is the first weight")
    if told["bias_is_apart"]:
        notes.append("the bias is apart from the weights")
    if told["source_of_ones"] == "data":
        notes.append("the bias is the weight of a 1 that each point has")
    if told["source_of_ones"] == "text":
        notes.append("the bias is the weight of a 1 that each point has, as the file's text says")
    if told["n_inputs"] == PLANE:
        notes.append("the perceptron takes points of the plane alone")
    return notes


def edge(words):
    """Return a fault that leaves what rests on the check to be judged."""
    return Fault(words, spoils=False)


def words_of_start(first, second):
    """Return what is wrong with the first weights, the bias last, of two perceptrons."""
    what = "the weights start"
    if not first[:-1].any():
        what = "the bias starts"
    numbers = first[first != 0]
    if np.array_equal(first, second) and len(np.unique(numbers)) == 1:
        return f"{what} at {numbers[0]:g}, but should at 0"
    return f"{what} at random, but should at 0"


def judge_forward(got):
    """Return the row of the labels."""
    if "raised" in got["forward"]:
        return row_of_raised(FORWARD, got["forward"]["raised"])
    labels = got["forward"]["labels"]
    at_zero = labels[0]
    scores = PRODUCTS[1:] + BIAS
    words = words_of_labels(labels[1:], scores)
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
    if np.array_equal(labels, np.sign(scores - 2 * BIAS)):
        return "subtracts the bias, but should add it"
    return "its labels are not those of sign(w.x + b)"


# What is read off the runs


class Reading:
    """What is read off the runs: how much each point counts in an epoch, and how many are made."""

    def __init__(self, got):
        self.runs = {}  # those that came to an end
        self.raised = {}  # the exceptions of the others
        for name, result in got["runs"].items():
            if "raised" in result:
                self.raised[name] = result["raised"]
            else:
                self.runs[name] = result
        self.source = None  # the run that is read, or None if no weight moves
        self.counts = None  # c_i, (N,)
        self.bias = None  # what b moves by, over the learning rate
        self.n_epochs = None  # that are made where 1 is asked for; None if nobody knows
        self.is_steady = True  # the steps of all epochs are the same
        self.ignores_epochs = False
        self.has_bias = got["told"]["has_room"]
        self.read()

    def total_of(self, name):
        """Return what a run with equal points tells, or None."""
        total = self.runs.get(name, {}).get("total")
        if total is None or not np.isfinite(total):
            return None
        return total

    def read(self):
        """Find the run that tells most, and read it."""
        far = self.runs.get("far")
        three = self.runs.get("far, 3 epochs")
        if far and three:
            self.read_far(far, three)
        for name in ("near", "far", "own start"):
            result = self.runs.get(name)
            if self.source is None and result and moves(result):
                self.source = result
                self.counts = counts_of(result)
                self.bias = bias_of(result)
        self.ignores_epochs = self.source is not None and self.makes_the_same()

    def read_far(self, far, three):
        """Read one epoch as half of the difference of three epochs and one."""
        one = numbers_of(far)
        each = (numbers_of(three) - one) / 2
        if np.abs(each).max() < SMALLEST:
            return
        self.source = far
        self.n_epochs = whole_ratio(one, each)
        self.is_steady = self.n_epochs is not None
        numbers = each if self.is_steady else one
        self.counts = numbers[:-1]
        self.bias = numbers[-1]

    def makes_the_same(self):
        """Return whether training does the same, whatever max_epochs is."""
        far = self.runs.get("far")
        three = self.runs.get("far, 3 epochs")
        if far and three and moves(far):
            return same(numbers_of(far), numbers_of(three))
        one = self.runs.get("any points")
        two = self.runs.get("any points, 2 epochs")
        if one and two:
            return same(one["weights"], two["weights"])
        return False


def counts_of(result):
    """Return how much each point counts in a run, (N,)."""
    return (result["after"] - result["before"]) / (RATE * LABELS * SIZES)


def bias_of(result):
    return (result["bias_after"] - result["bias_before"]) / RATE


def numbers_of(result):
    """Return how much each point counts, and then what the bias moves by, (N + 1,)."""
    return np.append(counts_of(result), bias_of(result))


def moves(result):
    """Return whether a run changes w or b, and leaves them finite."""
    numbers = numbers_of(result)
    return bool(np.isfinite(numbers).all() and np.abs(numbers).max() > SMALLEST)


def mistakes_of(result):
    """Return which points may be the misclassified at the start of a run, as masks."""
    scores = result["before"] * SIZES + result["bias_before"]
    if scores.any():
        return [LABELS * scores < 0]
    return [result["predicted"] != LABELS, np.ones(N, dtype=bool)]


def part_of(counts, mask):
    """Return how much each point of a mask counts, if it is the same and no other does; else 0."""
    value = counts[mask].mean() if mask.any() else 0.0
    if abs(value) < SMALLEST:
        return 0.0
    is_even = np.allclose(counts[mask], value, rtol=TOLERANCE)
    has_others = np.abs(counts[~mask]).max(initial=0) > SMALLEST
    return float(value) if is_even and not has_others else 0.0


def is_close(a, b):
    return abs(a - b) < TOLERANCE * abs(b) + SMALLEST / 10


# The step


@dataclass
class Rule:
    """What a step does, in words."""

    faults: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    is_other: bool = False  # not all mistakes count the same, or not they alone
    is_known: bool = True
    is_by_own_labels: bool = False  # it learns from what a wrong `forward` holds to be mistakes


def judge_step(got, reading, forward):
    """Return the row of a step."""
    failed = first_failure(reading)
    if failed and reading.source is None:
        return row_of_failure(STEP, failed, got, forward)
    if reading.source is None:
        if forward.spoils:
            return not_judged(STEP)
        return wrong(STEP, "changes no weight: not even where points are misclassified")
    if reading.ignores_epochs and reading.source is reading.runs.get("far"):
        reason = "nobody knows how many epochs were made, so no single step can be seen"
        return not_judged(STEP, reason)
    rule = rule_of(reading)
    is_guess = not rule.is_known or np.isnan(reading.source["predicted"]).any()
    if forward.spoils and rule.is_other and is_guess:
        return not_judged(STEP)
    if forward.spoils and not reading.is_steady:
        return not_judged(STEP)
    faults = faults_of_arguments(reading, got["told"])
    if not faults or not rule.is_other:
        faults += rule.faults
    faults += faults_of_cases(reading)
    if not rule.is_other:
        faults += faults_at_zero(reading, got)
    if rule.is_by_own_labels and forward.spoils and not faults:
        return not_judged(STEP)
    return judged(STEP, faults, *rule.notes, note_on_zero(reading))


def first_failure(reading):
    """Return the exception of the first run that ended with one, or None."""
    for raised in reading.raised.values():
        return raised
    return None


def row_of_failure(check, raised, got, forward):
    """Return the row of a check where training has not come to its end."""
    by_forward = got["forward"].get("raised", {})
    is_of_forward = raised["where"] and raised["where"] == by_forward.get("where")
    if is_of_forward or (forward.status == "to do" and raised["kind"] == "raised"):
        return not_judged(check)
    if raised["kind"] == "late":
        return not_judged(check, "training does not end, so that no single step can be seen")
    return row_of_raised(check, raised)


def row_of_raised(check, raised):
    """Return the row of a check that ended with an exception."""
    if raised["kind"] == "misshaped":
        return wrong(check, raised["text"])
    if raised["type"] == "SystemExit":
        words = "ends the program (sys.exit), but should return"
        return wrong(check, Fault(words, where=raised["where"]))
    return row_of(check, raised)


def faults_of_arguments(reading, told):
    """Return what is wrong with the treatment of points and labels."""
    changed = set()
    for result in reading.runs.values():
        changed |= set(result.get("changed", []))
    raised = told["fails_for_integers"]
    faults = []
    if raised:
        faults.append(fault_of_integers(raised))
    if changed:
        faults.append(Fault(f"changes its {' and '.join(sorted(changed))} in place"))
    return faults[:1]


def fault_of_integers(raised):
    """Return what is wrong if training fails for labels that are integers."""
    words = "does another step for labels that are integers than for floats"
    if raised["kind"] != "differs":
        words = f"fails for labels that are integers: {raised['type']}: {raised['text']}"
        if re.search("cast|UFunc", words):
            words = "changes its labels in place, which fails for integers"
    return Fault(words, where=raised["where"])


def faults_of_cases(reading):
    """Return what is wrong if training fails with zeros, or with a single mistake."""
    faults = []
    cases = {"own start": "with its first weights", "one wrong": "where one point is misclassified"}
    for name, case in cases.items():
        raised = reading.raised.get(name, {"kind": ""})
        if raised["kind"] == "raised":
            words = f"raises {raised['type']} {case}: {raised['text']}"
            faults.append(Fault(words, where=raised["where"]))
    return faults


def faults_at_zero(reading, got):
    """Return what is wrong if nothing moves from w = 0 and b = 0."""
    first = got["start"].get("first")
    result = reading.runs.get("own start")
    if result is None or moves(result) or not reading.n_epochs:
        return []
    if first is not None and first.any():
        return []
    return [Fault("counts no point as misclassified while all scores are 0, so it never begins")]


def note_on_zero(reading):
    """Return a note if all points count as misclassified where scores are 0, or ""."""
    result = reading.runs.get("own start")
    if not result or not np.isin(result["predicted"], [-1, 1]).all():
        return ""
    if part_of(counts_of(result), np.ones(N, dtype=bool)):
        return "a score of 0 counts as a mistake, another lecture's rule"
    return ""


def rule_of(reading):
    """Return the rule that the coefficients show."""
    counts = reading.counts
    masks = mistakes_of(reading.source)
    for mask in masks:
        value = part_of(counts, mask)
        if value:
            return rule_of_mistakes(reading, mask, value)
    if is_online(reading, masks):
        return online_rule(reading, np.abs(counts[counts != 0]).min())
    by_forward = reading.source["predicted"] != LABELS
    value = part_of(counts, by_forward)
    if value and np.isfinite(reading.source["predicted"]).all():
        rule = rule_of_mistakes(reading, by_forward, value)
        rule.is_by_own_labels = True
        return rule
    return other_rule(reading, masks[0])


def rule_of_mistakes(reading, mask, value):
    """Return the rule where each misclassified point, and no other, counts so much."""
    near = reading.total_of("equal, near")
    if near is not None and is_close(near, value) and mask.sum() > 1:
        return online_rule(reading, value)
    n = int(mask.sum())
    words = words_of(value, n)
    sum_of_labels = LABELS[mask].sum()
    if reading.has_bias and not is_close(reading.bias, value * sum_of_labels):
        words = with_words_on_bias(words, reading.bias, sum_of_labels, n)
    size = batch_size_of(reading, value, n)
    if size and size < N_EQUAL:
        words.append(f"makes a step for each {size} points, but should make one for all")
    if not reading.is_steady:
        words.append("takes steps that change from epoch to epoch: is the learning rate changed?")
    return Rule([Fault(text) for text in words])


def with_words_on_bias(words, bias, sum_of_labels, n):
    """Return what is wrong with a step, where the bias moves by another rule than w."""
    if abs(bias) < SMALLEST:
        return [*words, "updates w alone, not the bias"]
    of_bias = ["does not go by the mean of y_i"]
    if sum_of_labels:
        of_bias = words_of(bias / sum_of_labels, n)
    told = [f"for w, it {text}" for text in words]
    if of_bias:
        told.append(f"for the bias, it {', and '.join(of_bias)}")
    return told


def batch_size_of(reading, value, n):
    """Return how many of N_EQUAL equal points a step is made of, or None if nobody knows.

    Far from the line, the steps of a mean count once each. Near to it, the first step of a sum, in
    which each point counts once, makes all points right.
    """
    near = reading.total_of("equal, near")
    far = reading.total_of("equal, far")
    if reading.ignores_epochs or not reading.is_steady:
        return None
    if is_close(value, 1 / n) and far is not None:
        return round(N_EQUAL * (reading.n_epochs or 1) / max(far, 1))
    if is_close(value, 1) and near is not None:
        return round(near)
    return None


def words_of(value, n):
    """Return what is wrong if each of n misclassified points counts so much, as a list of words."""
    directions = [(1, ""), (-1, "goes up the gradient, but should go down")]
    rates = [
        (1, ""),
        (1 / RATE, "leaves out the learning rate"),
        (RATE, "multiplies with the learning rate twice"),
        (0.01 / RATE, "takes 0.01 for the learning rate, whatever is given"),
    ]
    sizes = [
        (1 / n, ""),
        (1, "sums over the misclassified points, but should average"),
        (1 / N, "averages over all points, but should over the misclassified"),
        (2 / n, "takes y - f(x), which is twice y, in place of y"),
        (2, "sums y - f(x), which is twice y, but should average y"),
        (2 / N, "averages y - f(x), which is twice y, over all points"),
        (1 / n**2, "divides by the number of misclassified points twice"),
    ]
    for direction, rate, size in product(directions, rates, sizes):
        if is_close(value, direction[0] * rate[0] * size[0]):
            return [words for _, words in (direction, rate, size) if words]
    return [f"lets a misclassified point count {value:.3g} times, but should {1 / n:.3g} times"]


def is_online(reading, masks):
    """Return whether only some mistakes count, each as often as one of N equal points does.

    So it is where the online rule was near to the line, or began with zeros.
    """
    counts = reading.counts
    moved = np.abs(counts) > SMALLEST
    is_far = "far" in reading.runs and not reading.ignores_epochs
    if is_far or moved.sum() < 2:
        return False
    unit = np.abs(counts[moved]).min()
    ratios = counts[moved] / unit
    are_whole = np.abs(ratios - ratios.round()).max() < TOLERANCE
    total = reading.total_of("equal, near")
    if total is None:
        total = unit
    scores = reading.source["before"] * SIZES + reading.source["bias_before"]
    is_near = np.abs(scores) < RATE  # a step for another point may make it a mistake
    are_mistakes = not moved[~masks[0] & ~is_near].any()
    return are_whole and are_mistakes and is_close(abs(total), unit)


def online_rule(reading, value):
    """Return the online rule, whose steps count so much."""
    counts = reading.counts
    notes = ["the online rule of another lecture: a step for each point, not for the set"]
    if is_close(abs(value), 2):
        value = value / 2
        notes.append("a step with y - f(x), which is twice y")
    words = words_of(value, 1)
    if not reading.has_bias:
        return Rule([Fault(text) for text in words], notes)
    if abs(reading.bias) < SMALLEST and abs((counts * LABELS).sum()) > SMALLEST:
        words.append("updates w alone, not the bias")
    elif not is_close(reading.bias, (counts * LABELS).sum()):
        words.append("does not move the bias with the points")
    return Rule([Fault(text) for text in words], notes)


def other_rule(reading, mask):
    """Return a rule where not all mistakes count the same, or not they alone."""
    counts = reading.counts
    everywhere = np.ones(N, dtype=bool)
    moved = np.abs(counts) > SMALLEST
    scores = reading.source["before"] * SIZES + reading.source["bias_before"]
    after = reading.source["after"] / (RATE * LABELS * SIZES)
    steps = reading.source["after"] - reading.source["before"]
    known = [
        (not moved.any(), "updates the bias alone, not w"),
        (part_of(counts, ~mask), "learns from the points that are right, not from the mistakes"),
        (part_of(counts, everywhere), words_of_all(counts)),
        (part_of(counts * LABELS, mask), words_of_one_label(part_of(counts * LABELS, mask), mask)),
        (part_of(counts * LABELS, everywhere), "takes one number for all points, not each one's y"),
        (np.ptp(steps) < SMALLEST * np.abs(steps).max(), "adds the same number to all weights"),
        (part_of(counts, mask & (LABELS == 1)), "learns from the mistakes of class +1 alone"),
        (part_of(counts, mask & (LABELS == -1)), "learns from the mistakes of class -1 alone"),
        (moved.sum() == 1, "learns from one misclassified point in an epoch, not from all"),
        (part_of(after, mask), "replaces the weights by the step, but should add it"),
        (
            part_of(counts / (1 - LABELS * scores), everywhere),
            "learns from w.x + b itself, not from its sign (that is the Adaline)",
        ),
    ]
    for is_so, words in known:
        if is_so:
            return Rule([Fault(words)], is_other=True)
    if not reading.is_steady:
        words = "takes steps that change from epoch to epoch: is the learning rate changed?"
        return Rule([Fault(words)], is_other=True, is_known=False)
    words = "does not move w along the mean of y_i x_i over the misclassified points"
    return Rule([Fault(words)], is_other=True, is_known=False)


def words_of_one_label(value, mask):
    """Return what is wrong if x_i of each misclassified point counts so much, whatever its y_i."""
    n = max(int(mask.sum()), 1)
    for size in 1, 1 / N, 1 / n:
        if is_close(abs(value), size):
            return "leaves out the labels: it adds x_i, not y_i x_i"
    return "takes one number for all points, not each one's y"


def words_of_all(counts):
    """Return what is wrong if all points count the same."""
    does = "lets count"
    if is_close(counts[0], 1):
        does = "sums over"
    if is_close(counts[0], 1 / N):
        does = "averages over"
    return f"{does} all points, also those that are right"


# The end


def judge_end(reading, forward, step):
    """Return the row of the end of training."""
    for name, raised in reading.raised.items():
        if raised["kind"] == "late" and name != "none wrong, 12 epochs":  # pictures may take long
            words = "does not end at max_epochs"
            if name == "no line":
                words += ": it goes on until no point is misclassified"
            return wrong(END, Fault(words, where=raised["where"]))
    if reading.source is None:
        reason = "" if step.spoils or forward.spoils else "no epoch could be seen"
        return not_judged(END, reason)
    begins_anew = "any points" in reading.runs
    if begins_anew and reading.ignores_epochs and step.spoils:
        return not_judged(END)
    faults = faults_of_number(reading)
    faults += faults_without_mistakes(reading, step, forward)
    faults += faults_with_one_mistake(reading)
    if faults:
        return wrong(END, *faults)
    if is_uncertain(reading):
        has_cause = step.spoils or forward.spoils
        return not_judged(END, "" if has_cause else reason_of_doubt(reading))
    return judged(END, [], note_on_going_on(reading))


def faults_of_number(reading):
    """Return what is wrong with the number of epochs."""
    if reading.ignores_epochs:
        made = "the same number of epochs"
        if "near" in reading.runs and "far" in reading.runs:
            n = whole_ratio(numbers_of(reading.runs["far"]), numbers_of(reading.runs["near"]))
            made = {None: made, 1: "one epoch"}.get(n, f"{n} epochs")
        return [Fault(f"makes {made}, whatever max_epochs is")]
    if reading.n_epochs == 2:
        return [Fault("max_epochs is one epoch too many")]
    if reading.n_epochs == 0:
        return [Fault("max_epochs is one epoch too few")]
    return []


def whole_ratio(numbers, units):
    """Return how many times the units the numbers are, or None if they are no whole multiple."""
    k = np.argmax(np.abs(units))
    ratio = numbers[k] / units[k] if units[k] else np.nan
    if not np.allclose(numbers, ratio * units, rtol=TOLERANCE, atol=SMALLEST):
        return None
    return round(ratio) if is_close(ratio, round(ratio)) else None


def faults_with_one_mistake(reading):
    """Return what is wrong if nothing moves for a mistake, where it does for several."""
    result = reading.runs.get("one wrong")
    does_count = abs(reading.counts[THE_ONE]) > SMALLEST
    if result and does_count and reading.n_epochs and not moves(result):
        return [Fault(f"ends though a point is misclassified: the only one of {N}")]
    return []


def faults_without_mistakes(reading, step, forward):
    """Return what is wrong with training where no point is misclassified."""
    raised = reading.raised.get("none wrong")
    if raised:
        words = f"raises {raised['type']} where no point is misclassified: {raised['text']}"
        if raised["type"] == "SystemExit":
            words = "ends the program (sys.exit) where no point is misclassified"
        return [Fault(words, where=raised["where"])]
    result = reading.runs.get("none wrong")
    if result is None:
        return []
    if not np.isfinite(np.append(result["after"], result["bias_after"])).all():
        words = "goes on where no point is misclassified: it divides by 0, and the weights are NaN"
        return [Fault(words)]
    if moves(result) and not step.spoils and not forward.spoils:
        return [Fault("changes the weights where no point is misclassified: is there a margin?")]
    return []


def is_uncertain(reading):
    """Return whether the number of epochs, or what happens without mistakes, is not known."""
    if "any points" in reading.runs:  # from an own start, they are not counted
        return False
    none = reading.runs.get("none wrong")
    is_counted = reading.n_epochs == 1
    return not is_counted or none is None or moves(none)


def reason_of_doubt(reading):
    """Return why the epochs could not be counted."""
    far = reading.runs.get("far, 3 epochs")
    if far and not moves(far):
        return "no step is seen where it makes no fewer mistakes: are the best weights kept?"
    return "the epochs could not be counted"


def note_on_going_on(reading):
    """Return a note if epochs are made where no point is misclassified, or ""."""
    few = reading.runs.get("none wrong")
    many = reading.runs.get("none wrong, 12 epochs")
    if few and many and many["n_forward"] > 2 * few["n_forward"]:
        return "goes on to max_epochs where no point is misclassified, which changes nothing"
    return ""
