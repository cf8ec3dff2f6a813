"""In the submission's process: what its perceptron's training does to known weights and points.

Each of N points lies on an axis of its own, so that each weight tells of one point. There are these
starts: FAR on the wrong side the same points stay misclassified for many epochs; NEAR to the line
one step makes them right; of ONE_WRONG a single point is misclassified, and of NONE_WRONG none.
Equal points tell how many of them a step is made of. Points that no line separates tell whether
training ends. If `train` begins with weights of its own, these are taken to be 0.

A perceptron that takes points of the plane alone is trained once for each point: this one lies on
the first axis, and the others share the second.

Not here: how the perceptron is called (student.py), and what its steps tell (perceptron.py).
"""

import numpy as np

from grading.part_1 import generate_dataset
from grading.part_1.student import Student
from grading.process.calls import RATE, parameters_of, role_of
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
STARTS = {  # by the name of a run: the scores before it, and the number of epochs
    "near": (NEAR, 3),
    "far": (FAR, 1),
    "far, 3 epochs": (FAR, 3),
    "one wrong": (ONE_WRONG, 3),
    "none wrong": (NONE_WRONG, 3),
}
EQUAL_SCORE = 0.2 * RATE  # of equal points: one step makes them right
SLOPE = 50.0  # in the plane, the weight of the axis that points share
PLANE = 2
BIAS = 0.5  # when labels are asked for
PRODUCTS = np.array([-BIAS, -0.4, 2.0, -0.6, 1.0, -1.25, 0.3, 0.8])  # w.x: the first score is 0
LOOKS = ((N, False), (PLANE, False), (N, True))  # inputs; whether a training makes the weights


def measure(module, kind):
    """Return what the rows are judged by, as plain values and arrays.

    Args:
        module: the submission's perceptron.py.
        kind: its class Perceptron, or None if there is none.

    Returns:
        A dict: "start" has the weights of new perceptrons, "forward" labels, "runs" what trainings
        did to weights, and "told" the conventions. For each that raises an exception there is a
        dict with it, as "raised". If there is no class, {"is_missing": True}.
    """
    if kind is None:
        return {"is_missing": True}
    looks = []
    for n_inputs, is_trained in LOOKS:
        student = Student(kind, n_inputs)
        got = {"student": student, "start": tried(measure_start, student, is_trained)}
        got["forward"] = tried(measure_labels, student)
        looks.append(got)
        if quality(got) == 2:
            break
    got = max(looks, key=quality)
    student = got.pop("student")
    data = generate_dataset.measure(module)
    if "parts" in data:
        student.has_label_columns = any(part.shape[1:] == (1,) for part in data["parts"])
    if "raised" not in got["start"]:
        got["runs"] = all_runs(student)
    got["told"] = {name: value for name, value in vars(student).items() if name != "kind"}
    roles = {role_of(p.name) for p in parameters_of(kind)}
    got["told"]["takes_n_inputs"] = not roles.isdisjoint(["n_inputs", "number"])
    got["told"]["data_has_ones"] = generate_dataset.has_ones(data)
    return got


def tried(function, *arguments):
    """Return what a function returns, or {"raised": the exception}."""
    try:
        return function(*arguments)
    except (Exception, SystemExit, TooLong) as error:
        return {"raised": described(error)}


def quality(got):
    """Return 0 for a perceptron that has no weights, 2 for one that also gives right labels."""
    if "raised" in got["start"]:
        return 0
    if "raised" in got["forward"]:
        return 1
    scores = PRODUCTS + BIAS
    labels = got["forward"]["labels"]
    return 1 + np.array_equal(labels[1:], np.sign(scores[1:]))


def measure_start(student, is_trained):
    """Return the weights of two new perceptrons, the bias last; zeros if training makes them."""
    perceptron = student.new()
    if is_trained:
        student.learn(perceptron, np.diag(SIZES), LABELS, 1)
        student.find(perceptron)
        return {"weights": np.zeros((2, N + 1))}
    student.find(perceptron)
    first = np.append(*student.read(student.new(seed=0)))
    second = np.append(*student.read(student.new(seed=1)))
    return {"weights": np.array([first, second])}


def measure_labels(student):
    """Return the labels for known scores."""
    perceptron = student.new()
    products = PRODUCTS + BIAS
    if student.has_bias:
        products = PRODUCTS
        find_bias(student, perceptron)
    student.write(perceptron, np.ones(student.n_inputs), BIAS)
    x = np.diag(products)
    if student.n_inputs == PLANE:
        x = np.column_stack([products, np.zeros(N)])
    return {"labels": student.predict(perceptron, x)}


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
    """Train perceptrons from several starts; return what each training did."""
    far = tried(student.settle, lambda: run(student, FAR, 1))
    if isinstance(far, dict):  # it raised
        return {"far": far}
    student.begins_anew = begins_anew(student)
    runs = {"own start": tried(run, student, np.zeros(N), 1)}
    if student.begins_anew:
        runs["any points"] = tried(run_any, student, 1)
        runs["any points, 2 epochs"] = tried(run_any, student, 2)
    else:
        for name, (scores, n_epochs) in STARTS.items():
            runs[name] = tried(run, student, scores, n_epochs)
    runs["equal"] = tried(run_equal, student, -np.ones(N), 1)
    runs["no line"] = tried(run_equal, student, LABELS, 3)
    return runs


def begins_anew(student):
    """Return whether `train` ends with the same weights, whatever they were before."""
    ends = []
    for scores in NONE_WRONG, 2 * NONE_WRONG:
        counts = tried(run, student, scores, 1)
        if isinstance(counts, dict) or not np.isfinite(counts).all():
            return False
        ends.append(counts[:-1] + start_of(scores))
    return np.allclose(*ends, rtol=1e-9)


def start_of(scores):
    """Return w before a run, in the units of how much a point counts, (N,)."""
    return scores / SIZES / (RATE * LABELS * SIZES)


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


def run(student, scores, n_epochs):
    """Train from weights that give these scores, and b = 0.

    Returns:
        How much each point counted in the change of w, and at last the change of b, in units of the
        learning rate, (N + 1,).
    """
    counts = np.zeros(N)
    steps_of_bias = []
    for x, w, alone in layouts(student, scores):
        w_after, b_after = train(student, w, x, LABELS, n_epochs)
        steps_of_bias.append(b_after / RATE)
        for axis, point in enumerate(alone):
            moved = w_after[axis] - w[axis]
            counts[point] = moved / (RATE * LABELS[point] * SIZES[point])
    if np.ptp(steps_of_bias) > 1e-9:
        raise NotUnderstood("in the plane, the steps of train cannot be told apart")
    return np.append(counts, steps_of_bias[0])


def train(student, w, x, labels, n_epochs):
    """Train a new perceptron from w and b = 0; return what w and b become."""
    perceptron = student.new(n_epochs)
    student.write(perceptron, w, 0.0)
    student.learn(perceptron, x, labels, n_epochs)
    return student.read(perceptron)


def run_any(student, n_epochs):
    """Train with points that need more than an epoch; return the weights and the bias."""
    x = np.random.RandomState(1).normal(size=(N, student.n_inputs))
    if student.n_inputs == N:
        x = x + x.T  # so that it does not matter whether points are rows or columns
    return np.append(*train(student, np.zeros(student.n_inputs), x, LABELS, n_epochs))


def run_equal(student, labels, n_epochs):
    """Train with equal points; return how often x was taken from w, (1,)."""
    w = np.full(student.n_inputs, EQUAL_SCORE / student.n_inputs)
    x = np.ones((N, student.n_inputs))
    w_after, _ = train(student, w, x, labels, n_epochs)
    before = 0 if student.begins_anew else w[0]
    return np.array([before - w_after[0]]) / RATE
