"""Part I is judged fairly: right in any convention, and each fault found once, with its cause."""

import importlib.util
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from grading.checks import with_causes
from grading.part_1 import generate_dataset, perceptron

ROOT = Path(__file__).parents[2]
RIGHT = Path(__file__).with_name("right") / "perceptron.py"


def imported(text, folder, monkeypatch):
    """Import the text of a perceptron.py, from a folder of its own."""
    path = folder / "perceptron.py"
    path.write_text(text)
    monkeypatch.chdir(folder)
    # Else the next text might not be read: of the same length, and written in the same second.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = importlib.util.spec_from_file_location("perceptron", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "perceptron", module)
    spec.loader.exec_module(module)
    return module


DEFAULT_RNG = np.random.default_rng


@pytest.fixture(autouse=True)
def restore_the_global_generator():
    state = np.random.get_state()
    yield
    np.random.set_state(state)


def with_seed(seed, monkeypatch):
    """Let what draws without a seed draw with this one, but for a RandomState of its own."""
    np.random.seed(seed)
    monkeypatch.setattr(
        np.random, "default_rng", lambda rng=None: DEFAULT_RNG(seed if rng is None else rng)
    )


@pytest.fixture
def rows_of(tmp_path, monkeypatch):
    """Return a function that judges the text of a perceptron.py: rows by the name of the check."""

    def judged(text):
        with_seed(0, monkeypatch)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            module = imported(text, tmp_path, monkeypatch)
            kind = getattr(module, "Perceptron", None)
            rows = perceptron.judge(perceptron.measure(module, kind))
            data = generate_dataset.judge(generate_dataset.measure(module))
        rows = with_causes([data, *rows] if data else rows)
        return {row.check: row for row in rows}

    return judged


def changed(*pairs):
    """Return the right perceptron.py with texts in it replaced."""
    text = RIGHT.read_text()
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def faults_in(rows):
    """Return all faults, as pairs of the check and the words."""
    return [(row.check, fault.words) for row in rows.values() for fault in row.faults]


def notes_in(rows):
    return " ".join(note for row in rows.values() for note in row.notes)


START = "np.zeros(n_inputs + 1)"
LABELS = "np.where(score < 0, -1, 1)"
SCORE = "x @ self.weights[:-1] + self.weights[-1]"
STEP_UP = "self.weights += self.learning_rate * downhill"
MISTAKES = "            points = x[wrong]\n"
LOOP = "for _ in range(self.max_epochs):"
ARGUMENTS = "(self, x, labels)"
TRAIN = f"def train{ARGUMENTS}:"
IS_WRONG = "self.forward(x) != labels"
INIT = "Perceptron.__init__"
FORWARD = "Perceptron.forward"
STEP = "Perceptron.train: step"
END = "Perceptron.train: end"

# A bug: what is replaced, by what, the check that it is about, and words that must be said of it.
PLANTED = [
    (START, "np.ones(n_inputs + 1)", INIT, "start at 1"),
    (START, "np.random.normal(0, 0.1, n_inputs + 1)", INIT, "weights start at random"),
    (START, "np.append(np.zeros(n_inputs), np.random.normal())", INIT, "bias starts at random"),
    (START, "np.zeros(3)", INIT, "ignores n_inputs"),
    (" + self.weights[-1]", "", FORWARD, "leaves out the bias"),
    (LABELS, "np.where(score < 0, 1, -1)", FORWARD, "wrong sign"),
    (LABELS, "np.where(score < 0, 0, 1)", FORWARD, "0 and 1"),
    (LABELS, "np.sign(score)", FORWARD, "gets no class"),
    (SCORE, SCORE.replace("+", "-"), FORWARD, "not those of sign"),
    (LABELS, "score", FORWARD, "not its sign"),
    (STEP_UP, "self.weights -= self.learning_rate * downhill", STEP, "goes up"),
    (STEP_UP, "self.weights += downhill", STEP, "leaves out the learning rate"),
    (STEP_UP, "self.weights += 0.01 * downhill", STEP, "should 0.2 times"),
    (STEP_UP, "self.weights = self.learning_rate * downhill", STEP, "replaces the weights"),
    (STEP_UP, "self.weights += self.learning_rate * downhill.sum()", STEP, "same number"),
    (STEP_UP, f"{STEP_UP}\n            self.learning_rate *= 0.9", STEP, "from epoch to epoch"),
    ("len(points)", "1", STEP, "^sums"),
    ("len(points)", "len(x)", STEP, "over all points"),
    ("len(points)", "len(points) / 2", STEP, "twice y"),
    ("signs @ points / n", "signs @ points", STEP, "for w, it sums"),
    ("signs.sum() / n", "signs.sum()", STEP, "for the bias, it sums"),
    ("signs.sum() / n", "labels.sum() / n", STEP, "for the bias"),
    ("signs.sum() / n", "0", STEP, "w alone"),
    ("signs @ points / n", "0 * points[0]", STEP, "bias alone"),
    (MISTAKES, f"            wrong = ~wrong\n{MISTAKES}", STEP, "the points that are right"),
    (MISTAKES, f"            wrong[:] = True\n{MISTAKES}", STEP, "also those that are right"),
    (MISTAKES, f"            wrong[wrong.argmax() + 1 :] = 0\n{MISTAKES}", STEP, "does not move"),
    ("labels[wrong]", "-np.ones(len(points))", STEP, "leaves out the labels"),
    ("labels[wrong]", "labels[wrong].mean() * np.ones(len(points))", STEP, "leaves out the labels"),
    (IS_WRONG, "self.forward(x) > labels", STEP, "does not move"),
    (IS_WRONG, f"({SCORE}) * labels < 0", STEP, "never begins"),
    (LOOP, f"labels.sort()\n        {LOOP}", STEP, "labels in place"),
    (LOOP, f"labels *= 1.0\n        {LOOP}", STEP, "labels in place, which fails for integers"),
    (LOOP, f"x -= x.mean(axis=0)\n        {LOOP}", STEP, "points in place"),
    (LOOP, f"raise SystemExit\n        {LOOP}", STEP, "sys.exit"),
    (LOOP, f"nothing.there()\n        {LOOP}", STEP, "NameError"),
    ("                break\n", "                pass\n", END, "divides by 0"),
    ("                break\n", "                1 / 0\n", END, "ZeroDivisionError where no point"),
    ("                break\n", "                raise SystemExit\n", END, "SystemExit where"),
    ("not wrong.any()", "wrong.mean() < 0.3", END, "the only one"),
    (LOOP, "for _ in range(self.max_epochs + 1):", END, "too many"),
    (LOOP, "for _ in range(self.max_epochs - 1):", END, "too few"),
    (LOOP, "for _ in range(100):", END, "whatever max_epochs is"),
    (LOOP, "for _ in range(1):", END, "whatever max_epochs is"),
]


@pytest.mark.parametrize("source", [ROOT / "perceptron.py", RIGHT], ids=["our own", "right"])
def test_a_right_perceptron_is_right_without_a_note(source, rows_of):
    rows = rows_of(source.read_text())
    assert len(rows) == 5
    assert {row.status for row in rows.values()} == {"right"}
    assert notes_in(rows) == ""


@pytest.mark.parametrize(
    ("old", "new", "check", "says"), PLANTED, ids=[f"{bug[2]}: {bug[3]}" for bug in PLANTED]
)
def test_a_planted_bug_is_found_once_and_named(old, new, check, says, rows_of):
    rows = rows_of(changed((old, new)))
    faults = faults_in(rows)
    assert [name for name, _ in faults] == [check], faults
    assert re.search(says, faults[0][1])
    for row in rows.values():
        if row.status == "not judged":
            assert row.reason or row.rests_on


SEVERAL = {
    "a mean over all points behind sign(0) = 0": (
        [(LABELS, "np.sign(score)"), ("len(points)", "len(x)")],
        [(FORWARD, "gets no class"), (STEP, "over all points")],
    ),
    "a sum that leaves the bias alone": (
        [("len(points)", "1"), ("signs.sum() / n", "0")],
        [(STEP, "sums"), (STEP, "w alone")],
    ),
    "a sum, and an epoch too many": (
        [("len(points)", "1"), (LOOP, "for _ in range(self.max_epochs + 1):")],
        [(STEP, "sums"), (END, "too many")],
    ),
    "up the gradient, without the learning rate": (
        [(STEP_UP, "self.weights -= downhill")],
        [(STEP, "goes up"), (STEP, "leaves out the learning rate")],
    ),
    "a random start and a wrong end": (
        [(START, "np.random.normal(0, 1, n_inputs + 1)"), (LOOP, "for _ in range(50):")],
        [(INIT, "random"), (END, "whatever max_epochs is")],
    ),
}


@pytest.mark.parametrize(("pairs", "says"), SEVERAL.values(), ids=SEVERAL)
def test_several_faults_are_all_named(pairs, says, rows_of):
    faults = faults_in(rows_of(changed(*pairs)))
    assert [check for check, _ in faults] == [check for check, _ in says], faults
    for (_, words), (_, expected) in zip(faults, says, strict=True):
        assert expected in words


ONLINE = """for _ in range(self.max_epochs):
            for i in {order}:
                if self.forward(x[i : i + 1])[0] != labels[i]:
                    self.weights += self.learning_rate * labels[i] * np.append(x[i], 1)
        return
        {loop}"""
IN_PLANE = "x[:, 0] * self.weights[0] + x[:, 1] * self.weights[1] + self.weights[2]"
CONVENTIONS = {
    "the online rule": ([(LOOP, ONLINE.format(order="range(len(x))", loop=LOOP))], "online"),
    "the online rule in a random order": (
        [(LOOP, ONLINE.format(order="np.random.default_rng().permutation(len(x))", loop=LOOP))],
        "online",
    ),
    "a score of 0 is a mistake": ([(IS_WRONG, f"({SCORE}) * labels <= 0")], "counts as a mistake"),
    "a score of 0 is class -1": ([(LABELS, "np.where(score > 0, 1, -1)")], "is class -1"),
    "the bias first": (
        [
            (SCORE, "x @ self.weights[1:] + self.weights[0]"),
            ("np.append(towards_w, towards_b)", "np.append(towards_b, towards_w)"),
        ],
        "first weight",
    ),
    "one point at a time": (
        [
            (
                f"{SCORE}\n        return {LABELS}",
                f"{SCORE}\n        return 1 if score >= 0 else -1",
            ),
            (IS_WRONG, "np.array([self.forward(point) for point in x]) != labels"),
        ],
        "one point at a time",
    ),
    "weights (1, n + 1)": (
        [
            (START, "np.zeros((1, n_inputs + 1))"),
            (SCORE, "x @ self.weights[0, :-1] + self.weights[0, -1]"),
        ],
        "",
    ),
    "a 1 in each point that forward takes": (
        [
            (SCORE, "x @ self.weights"),
            (IS_WRONG, "self.forward(np.column_stack([x, np.ones(len(x))])) != labels"),
        ],
        "points with a 1",
    ),
    "no end before max_epochs, without effect": (
        [
            ("            if not wrong.any():\n                break\n", ""),
            ("len(points)", "max(len(points), 1)"),
        ],
        "",
    ),
    "in the plane alone": (
        [
            ("self, n_inputs, max_epochs=100", "self, max_epochs=100"),
            (START, "np.zeros(3)"),
            (SCORE, IN_PLANE),
        ],
        "plane",
    ),
    "weights that train sets to zero": (
        [(LOOP, f"self.weights = np.zeros(x.shape[1] + 1)\n        {LOOP}")],
        "",
    ),
    "labels that are floats": ([(LOOP, f"labels = labels.astype(float)\n        {LOOP}")], ""),
    "test data for train": ([(ARGUMENTS, "(self, x, labels, x_test, labels_test)")], ""),
    "labels before points": ([(ARGUMENTS, "(self, labels, x)")], ""),
    "epochs and rate for train": (
        [
            ("self, n_inputs, max_epochs=100, learning_rate=0.01", "self, n_inputs"),
            ("        self.max_epochs = max_epochs\n", ""),
            ("        self.learning_rate = learning_rate\n", ""),
            (ARGUMENTS, "(self, x, labels, epochs=100, lr=0.01)"),
            (LOOP, "for _ in range(epochs):"),
            (STEP_UP, "self.weights += lr * downhill"),
        ],
        "",
    ),
}


@pytest.mark.parametrize(("pairs", "note"), CONVENTIONS.values(), ids=CONVENTIONS)
def test_another_convention_is_right_with_a_note(pairs, note, rows_of):
    rows = rows_of(changed(*pairs))
    assert faults_in(rows) == []
    assert {row.status for row in rows.values()} == {"right"}
    assert note in notes_in(rows)
    assert note or notes_in(rows) == ""


COLUMNS = """
import numpy as np


class Perceptron:
    def __init__(self, n_inputs, max_epochs=100, learning_rate=0.01):
        self.max_epochs = max_epochs
        self.lr = learning_rate
        self.w = np.zeros((n_inputs, 1))
        self.b = 0

    def forward(self, x):
        return np.where(self.w.T @ x + self.b < 0, -1, 1)

    def train(self, x, labels):
        labels = labels.reshape(1, -1)
        for _ in range(self.max_epochs):
            wrong = (self.forward(x) != labels)[0]
            if not wrong.any():
                return
            self.w = self.w + self.lr * x[:, wrong] @ labels[:, wrong].T / wrong.sum()
            self.b = self.b + self.lr * labels[:, wrong].mean()
"""
WITH_ONES = """
import numpy as np


def generate_dataset(mean_pos, mean_neg, cov_scale=0.5):
    cov = cov_scale * np.eye(2)
    positive = np.random.multivariate_normal(mean_pos, cov, 100)
    negative = np.random.multivariate_normal(mean_neg, cov, 100)
    x = np.column_stack([np.concatenate([positive, negative]), np.ones(200)])
    y = np.repeat([1, -1], 100)[:, None]
    mixed = np.random.permutation(200)
    return x[mixed[:160]], y[mixed[:160]], x[mixed[160:]], y[mixed[160:]]


class Perceptron:
    def __init__(self, n_inputs, max_epochs=100, learning_rate=0.01):
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.weights = np.zeros((n_inputs, 1))

    def forward(self, x):
        return np.where(x @ self.weights >= 0, 1, -1)

    def train(self, x, labels):
        for _ in range(self.max_epochs):
            wrong = self.forward(x) != labels
            if not wrong.any():
                return
            step = x.T @ (labels * wrong) / wrong.sum()
            self.weights = self.weights + self.learning_rate * step
"""


@pytest.mark.parametrize(
    ("text", "note"),
    [(COLUMNS, "apart from the weights"), (WITH_ONES, "a 1 that each point has")],
    ids=["samples are columns, the bias is apart", "the bias is in the data, labels are columns"],
)
def test_another_form_is_right_with_a_note(text, note, rows_of):
    rows = rows_of(text)
    assert {row.status for row in rows.values()} == {"right"}
    assert note in notes_in(rows)


def test_weights_without_a_bias_are_wrong_and_the_rest_is_judged(rows_of):
    text = WITH_ONES[WITH_ONES.index("class") :]
    rows = rows_of("import numpy as np\n" + text)
    assert [(check, "no bias" in words) for check, words in faults_in(rows)] == [(INIT, True)]
    assert rows[STEP].status == rows[END].status == "right"


TO_DO = {
    "no class": ("class Perceptron:", "class Nothing:", [INIT, FORWARD, STEP, END]),
    "weights that are None": (START, "None", [INIT]),
    "no labels": (f"return {LABELS}", LABELS, [FORWARD]),
    "NotImplementedError": (
        TRAIN,
        f"{TRAIN}\n        raise NotImplementedError\n\n    def other(self):",
        [STEP, END],
    ),
}


@pytest.mark.parametrize(("old", "new", "checks"), TO_DO.values(), ids=TO_DO)
def test_what_is_not_written_yet_is_to_do(old, new, checks, rows_of):
    rows = rows_of(changed((old, new)))
    rows.pop("generate_dataset")
    assert faults_in(rows) == []
    assert [check for check, row in rows.items() if row.status == "to do"] == checks


def test_a_parameter_that_is_not_understood_gets_nothing_and_is_named(rows_of):
    rows = rows_of(changed(("self, n_inputs, max", "self, n_inputs, gizmo, max")))
    assert rows[INIT].status == "not judged"
    assert "gizmo" in rows[INIT].reason
    rows = rows_of(changed((ARGUMENTS, "(self, x, labels, gizmo)")))
    assert rows[FORWARD].status == "right"
    assert rows[STEP].status == "not judged"
    assert "gizmo" in rows[STEP].reason


def test_weights_for_two_classes_are_not_judged_with_a_reason(rows_of):
    rows = rows_of(changed((START, "np.zeros((2, n_inputs + 1))")))
    assert rows[INIT].status == "not judged"
    assert "weights" in rows[INIT].reason
    assert faults_in(rows) == []


@pytest.mark.parametrize("body", ["pass", "self.forward(x)"])
def test_a_training_that_never_ends_is_stopped_and_reported(body, rows_of, monkeypatch):
    monkeypatch.setattr("grading.part_1.student.SECONDS", 0.5)
    rows = rows_of(changed((LOOP, f"while True:\n            {body}\n        {LOOP}")))
    [(check, words)] = faults_in(rows)
    assert check == END
    assert "does not end" in words
    assert rows[STEP].status == "not judged"


def test_a_training_until_no_point_is_misclassified_is_reported_and_its_step_judged(
    rows_of, monkeypatch
):
    monkeypatch.setattr("grading.part_1.student.SECONDS", 1)
    rows = rows_of(changed((LOOP, "while True:"), ("len(points)", "1")))
    assert [check for check, _ in faults_in(rows)] == [STEP, END]
    assert "until" in faults_in(rows)[1][1]


# The data

DEVIATION = "deviation = np.sqrt(cov_scale)"
RETURNED = "return points[:160], labels[:160], points[160:], labels[160:]"
SIZES = "mean_neg, deviation, (100, 2)"
DATA_FAULTS = {
    "the variance as the deviation": (DEVIATION, "deviation = cov_scale", "as the standard"),
    "the deviation as the variance": (DEVIATION, "deviation = cov_scale ** 0.25", "not the one"),
    "another variance": (DEVIATION, "deviation = 0.7", "not the one that is given"),
    "of one coordinate": (
        DEVIATION,
        "deviation = np.sqrt([cov_scale, 4 * cov_scale])",
        "differ|not",
    ),
    "correlated": (SIZES, "0, deviation, (100, 1)) + (mean_neg", "correlated"),
    "train in test": ("points[160:], labels[160:]", "points[120:160], labels[120:160]", "overlap"),
    "points twice": (
        "    points = points[mixed]\n",
        "    mixed[1] = mixed[0]\n    points = points[mixed]\n",
        "twice|overlap",
    ),
    "labels 0 and 1": ("[-1] * 100", "[0] * 100", "-1 and .1"),
    "classes swapped": ("[1] * 100 + [-1] * 100", "[-1] * 100 + [1] * 100", "the reverse"),
    "labels shuffled": ("labels[mixed]", "rng.permutation(labels)", "labels of others"),
    "labels not shuffled": ("    labels = labels[mixed]\n", "", "labels of others"),
    "nothing shuffled": ("rng.permutation(200)", "np.arange(200)", "one class"),
    "150 to train on": (":160], labels[:160]", ":150], labels[:150]", "150 and 40"),
    "one mean for both": ("rng.normal(mean_neg", "rng.normal(mean_pos", "same mean"),
    "means that are not given": ("rng.normal(mean_neg", "rng.normal([-2, -2]", "mean"),
    "fewer labels": (RETURNED, RETURNED.replace("labels[:160]", "labels[:150]"), "labels"),
    "NameError": (DEVIATION, "deviation = scale", "NameError"),
}


@pytest.mark.parametrize(("old", "new", "says"), DATA_FAULTS.values(), ids=DATA_FAULTS)
def test_a_fault_of_the_data_is_found_once_and_named(old, new, says, rows_of):
    rows = rows_of(changed((old, new)))
    faults = faults_in(rows)
    assert [check for check, _ in faults] == ["generate_dataset"], faults
    assert re.search(says, faults[0][1])


HANDOUT = """train = np.r_[:80, 100:180]
    test = np.r_[80:100, 180:200]
    return points[train], labels[train], points[test], labels[test]"""
DATA_FORMS = {
    "80 + 80 and 20 + 20, as the handout says": (
        [("rng.permutation(200)", "np.arange(200)"), (RETURNED, HANDOUT)],
        "",
    ),
    "another order": (
        [(RETURNED, "return points[:160], points[160:], labels[:160], labels[160:]")],
        "",
    ),
    "pairs": (
        [(RETURNED, "return (points[:160], labels[:160]), (points[160:], labels[160:])")],
        "",
    ),
    "a dict": (
        [
            (
                RETURNED,
                "return dict(x=points[:160], y=labels[:160], a=points[160:], b=labels[160:])",
            )
        ],
        "",
    ),
    "labels as a column of the points": (
        [(RETURNED, "data = np.column_stack([points, labels])\n    return data[:160], data[160:]")],
        "",
    ),
    "columns": (
        [(RETURNED, "return points[:160].T, labels[:160], points[160:].T, labels[160:]")],
        "",
    ),
    "not split": ([(RETURNED, "return points, labels")], "does not split"),
    "a matrix": (
        [("cov_scale=0.5", "cov"), ("np.sqrt(cov_scale)", "np.sqrt(np.linalg.det(cov)) ** 0.5")],
        "",
    ),
    "other names": (
        [
            ("(mean_pos, mean_neg, cov_scale=0.5", "(mu1, mu2, cov=0.5"),
            (DEVIATION, "mean_pos, mean_neg, deviation = mu1, mu2, np.sqrt(cov)"),
        ],
        "",
    ),
    "the first mean is that of class -1": (
        [
            ("(mean_pos, mean_neg", "(mean1, mean2"),
            (DEVIATION, f"mean_neg, mean_pos = mean1, mean2\n    {DEVIATION}"),
        ],
        "class -1",
    ),
}


@pytest.mark.parametrize(("pairs", "note"), DATA_FORMS.values(), ids=DATA_FORMS)
def test_data_in_another_form_are_right(pairs, note, rows_of):
    row = rows_of(changed(*pairs))["generate_dataset"]
    assert (row.status, row.faults, row.reason) == ("right", [], "")
    assert note in " ".join(row.notes)
    assert note or not row.notes


def test_a_parameter_of_the_data_that_is_not_understood_is_named(rows_of):
    row = rows_of(changed(("mean_neg, cov_scale=0.5", "mean_neg, gizmo, cov_scale=0.5")))
    assert row["generate_dataset"].status == "not judged"
    assert "gizmo" in row["generate_dataset"].reason


def test_without_a_function_for_the_data_there_is_no_row(rows_of):
    text = RIGHT.read_text()
    assert "generate_dataset" not in rows_of(text[: text.index("def generate_dataset")])


def test_right_data_are_right_whatever_the_seed(tmp_path, monkeypatch):
    module = imported(RIGHT.read_text(), tmp_path, monkeypatch)
    for seed in range(100):
        with_seed(seed, monkeypatch)
        assert generate_dataset.judge(generate_dataset.measure(module)).status == "right"
