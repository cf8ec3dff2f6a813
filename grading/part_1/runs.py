"""In the submission's process: what its perceptron's training does to known weights and points.

Each of N points lies on an axis of its own, so that each weight tells of one point. There are these
starts: FAR on the wrong side the same points stay misclassified for many epochs; NEAR to the line
one step makes them right; of ONE_WRONG a single point is misclassified, and of NONE_WRONG none.
Many equal points tell after how many of them a step is made. Points that no line separates tell
whether training ends. If `train` begins with weights of its own, only these can be seen.

A perceptron that takes points of the plane alone is trained once for each point: this one lies on
the first axis, and the others share the second.

Not here: how the perceptron is called (perceptron_student.py), and what its steps tell
(perceptron.py).
"""

import numpy as np

from grading.part_1.student import (
    FORWARD_NAMES,
    TRAIN_NAMES,
    ShapeError,
    Student,
    is_empty,
    method_of,
)
from grading.process.calls import RATE
from grading.process.conventions import WEIGHT, slots
from grading.process.raised import NotUnderstood, TooLong, described

SIZES = np.array([1.0, 2.5, 2.0, 3.0, 2.25, 2.75, 1.25, 1.75])  # a_i
LABELS = np.array([1, 1, -1, -1, -1, 1, 1, 1])
N = len(SIZES)
IS_WRONG = np.array([0, 1, 1, 1, 1, 1, 0, 0], dtype=bool)  # misclassified at the start
FAR = LABELS * np.where(IS_WRONG, -100.0, 100.0)  # scores w.x + b
NEAR = LABELS * np.where(IS_WRONG, -0.2 * RATE, 100.0)
THE_ONE = 3  # the point that is misclassified alone
ONE_WRONG = LABELS * np.where(np.arange(N) == THE_ONE, -100.0, 100.0)
NONE_WRONG = LABELS * 0.5
N_EQUAL = 160  # equal points
NEAR_SCORE = 0.2 * RATE  # of these: one step makes them right
FAR_SCORE = 1e4  # many steps leave them wrong
SLOPE = 50.0  # in the plane, the weight of the axis that points share
PLANE = 2
BIAS = 0.5  # when labels are asked for
PRODUCTS = np.array([-BIAS, -0.4, 2.0, -0.6, 1.0, -1.25, 0.3, 0.8])  # w.x: the first score is 0


def measure(module, kind):
    """Return what the rows are judged by, as plain values and arrays.

    Args:
        module: the submission's perceptron.py.
        kind: its class Perceptron, or None if there is none.

    Returns:
        A dict: "start" has the weights of new perceptrons, "forward" labels, "runs" what trainings
        did to weights, and "told" the conventions. An exception stands for each in a dict, as
        "raised". If there is no class, {"is_missing": True}.
    """
    if kind is None:
        return {"is_missing": True}
    got = first_look(module, kind, N)
    if not has_right_labels(got):
        in_plane = first_look(module, kind, PLANE)
        is_only_there = "raised" in got["start"] and "raised" not in in_plane["start"]
        if is_only_there or has_right_labels(in_plane):
            got = in_plane
    student = got.pop("student")
    got["forward_is_empty"] = is_empty(method_of(kind, FORWARD_NAMES))
    got["train_is_empty"] = is_empty(method_of(kind, TRAIN_NAMES))
    if "raised" not in got["start"]:
        got["runs"] = all_runs(student)
        got["told"] = student.told()
    return got


def tried(function, *arguments):
    """Return what a function returns, or {"raised": the exception}."""
    try:
        return function(*arguments)
    except ShapeError as error:
        return {"raised": {"type": "", "text": str(error), "where": "", "kind": "misshaped"}}
    except (Exception, SystemExit, TooLong) as error:
        return {"raised": described(error)}


def first_look(module, kind, n_inputs):
    """Make a perceptron for so many inputs, and ask it for labels."""
    student = Student(kind, n_inputs, module)
    got = {"student": student}
    got["start"] = tried(measure_start, student)
    if "raised" not in got["start"]:
        got["forward"] = tried(measure_forward, student)
    return got


def has_right_labels(got):
    labels = got.get("forward", {}).get("labels")
    if labels is None:
        return False
    scores = PRODUCTS + BIAS
    return np.array_equal(labels[1:], np.sign(scores[1:]))


def measure_start(student):
    """Return the weights of two new perceptrons, the bias last."""
    perceptron = student.new()
    size_before = number_of_weights(perceptron)
    try:
        student.find(perceptron)
    except (NotUnderstood, NotImplementedError):
        try:  # perhaps `train` makes them
            student.learn(perceptron, points_of(student, SIZES), LABELS, 1)
        except Exception:
            student.find(perceptron)  # raises again
        student.find(perceptron)
        return {"size_before": size_before}
    first = student.read(student.new(seed=0))
    second = student.read(student.new(seed=1))
    return {"first": np.append(*first), "second": np.append(*second)}


def number_of_weights(perceptron):
    """Return the size of an array that is named like weights, or None if there is none."""
    for path, value in slots(perceptron):
        if WEIGHT.search(path) and isinstance(value, np.ndarray | list):
            return int(np.size(value))
    return None


def points_of(student, values):
    """Return a point for each value, on an axis of its own or, in the plane, all on the first."""
    if student.n_inputs == N:
        return np.diag(values)
    return np.column_stack([values, np.zeros(N)])


def measure_forward(student):
    """Return the labels for known scores."""
    perceptron = student.new()
    products = PRODUCTS + BIAS
    if student.has_room:
        find_bias(student, perceptron)
        products = PRODUCTS
    student.write(perceptron, np.ones(student.n_inputs), BIAS)
    return {"labels": student.predict(perceptron, points_of(student, products))}


def find_bias(student, perceptron):
    """Find whether the bias is the last or the first weight.

    With w = (-5, 0, ...) and b = 1, a point with x_1 = 1 has another class than one with x_1 = 0.
    """
    x = np.zeros((N, student.n_inputs))
    x[0, 0] = 1
    w = np.zeros(student.n_inputs)
    w[0] = -5.0
    for place in (-1, 0):
        student.bias_place = place
        student.write(perceptron, w, 1.0)
        labels = student.predict(perceptron, x)
        if labels[0] != labels[1]:
            return
    student.bias_place = -1


def all_runs(student):
    """Train perceptrons from several starts; return what each training did, as `run` does."""
    settled = tried(settle, student)
    if settled:
        return {"settled": settled}
    runs = {"own start": tried(run, student, np.zeros(N), 1, True)}
    if student.own_start is not None:
        runs["any points"] = tried(run_any, student, 1)
        runs["any points, 2 epochs"] = tried(run_any, student, 2)
    else:
        runs["near"] = tried(run, student, NEAR, 3)
        runs["far"] = tried(run, student, FAR, 1)
        runs["far, 3 epochs"] = tried(run, student, FAR, 3)
        runs["one wrong"] = tried(run, student, ONE_WRONG, 3)
        runs["none wrong"] = tried(run, student, NONE_WRONG, 3)
        runs["none wrong, 12 epochs"] = tried(run, student, NONE_WRONG, 12)
        runs["equal, near"] = tried(run_equal, student, NEAR_SCORE, -np.ones(N_EQUAL), 1)
        runs["equal, far"] = tried(run_equal, student, FAR_SCORE, -np.ones(N_EQUAL), 1)
    runs["no line"] = tried(run_equal, student, NEAR_SCORE, LABELS, 3)
    return runs


def settle(student):
    """Find how `train` is called, and whether it begins with weights of its own."""
    student.settle(lambda: run(student, FAR, 1))
    if student.label_type is int and differs_for_floats(student):
        student.prefer_floats()
    first = tried(run, student, NONE_WRONG, 1)
    again = tried(run, student, NONE_WRONG, 1)
    other = tried(run, student, 2 * NONE_WRONG, 1)
    if "raised" in first or not np.isfinite(first["after"]).all():
        return
    if not same(first["after"], again["after"]):
        raise NotUnderstood("train begins with other random weights each time")
    if same(first["after"], other["after"]):
        student.own_start = find_own_start(student)


def differs_for_floats(student):
    """Return whether `train` does something else if labels are floats, not integers."""
    by_integers = tried(run, student, FAR, 1)
    student.label_type = float
    by_floats = tried(run, student, FAR, 1)
    student.label_type = int
    if "raised" in by_integers or "raised" in by_floats:
        return False
    return not same(by_integers["after"], by_floats["after"])


def find_own_start(student):
    """Return w and b after a training for no epoch, of points whose labels are those of zeros."""
    perceptron = student.new(0)
    try:
        student.learn(perceptron, points_of(student, SIZES), np.ones(N), 0)
        w, b = student.read(perceptron)
    except Exception:
        return np.zeros(student.n_inputs), 0.0
    if student.n_inputs == PLANE and np.append(w, b).any():
        raise NotUnderstood("train begins with weights of its own")
    return w, b


def same(a, b):
    return np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)


def layouts(student, scores):
    """Yield points x, weights w that give them these scores, and the points on an axis alone.

    These are a point for each of the first axes.
    """
    if student.n_inputs == N:
        yield np.diag(SIZES), scores / SIZES, range(N)
        return
    for k in range(N):
        x = np.column_stack([np.zeros(N), scores / SLOPE])
        x[k] = SIZES[k], 0
        yield x, np.array([scores[k] / SIZES[k], SLOPE]), [k]


def run(student, scores, n_epochs, is_own_start=False):
    """Train from weights that give these scores and b = 0, or from the perceptron's own start.

    Returns:
        A dict: "before" and "after" have the weight of each point's axis, (N,), "bias_before" and
        "bias_after" the bias, "predicted" the labels of `forward` before, (N,), "changed" the
        arguments that `train` has changed, "n_forward" how often it has called `forward`.
    """
    got = {"before": np.zeros(N), "after": np.zeros(N), "predicted": np.zeros(N), "changed": []}
    bias_steps = []
    for x, w, alone in layouts(student, scores):
        perceptron = student.new(n_epochs)
        if is_own_start:
            w_before, b_before = begin_at_own(student, perceptron)
        else:
            student.write(perceptron, w, 0.0)
            w_before, b_before = w, 0.0
        predicted = labels_before(student, perceptron, x)
        calls = student.count_forward(perceptron)
        got["changed"] += student.learn(perceptron, x, LABELS, n_epochs)
        got["n_forward"] = len(calls)
        w_after, b_after = student.read(perceptron)
        for axis, point in enumerate(alone):
            got["before"][point] = w_before[axis]
            got["after"][point] = w_after[axis]
            got["predicted"][point] = predicted[point]
        bias_steps.append(b_after - b_before)
        got["bias_before"] = b_before
    got["bias_after"] = got["bias_before"] + bias_steps[0]
    if not same(bias_steps, bias_steps[0]):
        raise NotUnderstood("train does not do the same for the same points")
    return got


def begin_at_own(student, perceptron):
    """Return the w and b that training begins with.

    Those of `__init__` should be 0, and are set to it if they are not. Zeros are left as they are,
    since they may be integers.
    """
    if student.own_start is not None:
        student.write(perceptron, *student.own_start)
        return student.own_start
    w = np.zeros(student.n_inputs)
    try:
        is_zero = not np.append(*student.read(perceptron)).any()
    except (TypeError, ValueError, ShapeError):
        is_zero = True  # there are none yet
    if not is_zero:
        student.write(perceptron, w, 0.0)
    return w, 0.0


def labels_before(student, perceptron, x):
    """Return the labels of points by `forward`, or NaN if it fails."""
    try:
        return student.predict(perceptron, x)
    except Exception:
        return np.full(N, np.nan)


def run_any(student, n_epochs):
    """Train with points that need more than an epoch; return the weights and the bias."""
    rng = np.random.RandomState(1)
    x = rng.normal(size=(N, student.n_inputs))
    if student.n_inputs == N:
        x = x + x.T  # so that it does not matter whether points are rows or columns
    perceptron = student.new(n_epochs)
    student.learn(perceptron, x, LABELS, n_epochs)
    return {"weights": np.append(*student.read(perceptron))}


def run_equal(student, score, labels, n_epochs):
    """Train with equal points of this score; return how often y x = -x was added to w."""
    perceptron = student.new(n_epochs)
    w = np.full(student.n_inputs, score / student.n_inputs)
    student.write(perceptron, w, 0.0)
    points = np.ones((len(labels), student.n_inputs))
    student.learn(perceptron, points, labels, n_epochs)
    w_after, _ = student.read(perceptron)
    return {"total": (w[0] - w_after[0]) / RATE}
