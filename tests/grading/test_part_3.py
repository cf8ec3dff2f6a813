"""The checks of the trainer are checked: a planted bug is found, once, with its cause.

The right one is in right/. Its script has no flags, so that `train` is called. WITH_FLAGS gives it
some, so that it is run as a user runs it.
"""

import re

import pytest

from grading.measure import Limits, Piece
from grading.part_3 import accuracy, trainer
from tests.grading.judging import copy_right, replace

FILES = {"modules": "modules.py", "mlp": "mlp_numpy.py", "trainer": "train_mlp_numpy.py"}
MAIN = """    model = MLP(2, [20], 2)
    curve = train(model, x[:800], y[:800], x[800:], y[800:])
"""
WITH_FLAGS = """    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--dnn_hidden_units", default="20")
    parser.add_argument("--learning_rate", type=float, default=0.01)
    parser.add_argument("--max_steps", type=int, default=1500)
    parser.add_argument("--eval_freq", type=int, default=10)
    parser.add_argument("--batch_size", type=int)
    flags = parser.parse_args()
    hidden = [int(n) for n in flags.dnn_hidden_units.split(",")]
    model = MLP(2, hidden, 2)
    test = slice(800, 1000)
    curve = train(
        model,
        x[:800],
        y[:800],
        x[test],
        y[test],
        learning_rate=flags.learning_rate,
        max_steps=flags.max_steps,
        eval_freq=flags.eval_freq,
        batch_size=flags.batch_size,
    )
"""

# A bug: what is replaced, by what, and key words of what must be said.

STARTS = "range(0, n_rows, batch_size)"
PERMUTATION = "rng.permutation(n_rows)"
EPOCH = "    for epoch in range(max_steps):\n"
ORDER = f"        order = {PERMUTATION}\n"
ORDER_BEFORE_THE_EPOCHS = f"    order = {PERMUTATION}\n"
FULL = "    if batch_size is None:\n        batch_size = n_rows\n"
FORWARD = "            predictions = model.forward(x_train[rows])\n"
LOSS = "            loss.forward(predictions, y_train[rows])\n"
BACKWARD = "            model.backward(loss.backward())\n"
UPDATE = "            model.update(learning_rate)\n"
UPDATE_AFTER_THE_BATCHES = "        model.update(learning_rate)\n"
HITS = "np.mean(guess == truth)"
LAST = '    print("test accuracy", curve[-1])\n'
MOMENTUM = """            for linear in model.linears:
                for name in ["weight", "bias"]:
                    step = learning_rate * linear.grads[name] + 0.9 * vars(linear).get(name, 0)
                    linear.params[name] = linear.params[name] - step
                    vars(linear)[name] = step
"""
SIGNS = """            for linear in model.linears:
                for name in ["weight", "bias"]:
                    step = learning_rate * np.sign(linear.grads[name])
                    linear.params[name] = linear.params[name] - step
"""
WEIGHTS_ALONE = """            for linear in model.linears:
                linear.params["weight"] -= learning_rate * linear.grads["weight"]
"""
COUNTED = """    for update in range(max_steps):
        rows = rng.choice(n_rows, batch_size, replace=False)
        predictions = model.forward(x_train[rows])
        loss.forward(predictions, y_train[rows])
        model.backward(loss.backward())
        model.update(learning_rate)
        epoch = update
"""
LOOP = f"""{EPOCH}{ORDER}        for start in {STARTS}:
            rows = order[start : start + batch_size]
{FORWARD}{LOSS}{BACKWARD}{UPDATE}"""
IN_TRAIN = [
    (STARTS, "range(0, n_rows - batch_size + 1, batch_size)", "short last batch.*768 of 800"),
    (STARTS, f"[*{STARTS}, 0]", "rows twice.*848"),
    (PERMUTATION, "np.arange(n_rows)", "same order.*permutation"),
    ("y_train[rows]", "y_train[start : start + batch_size]", "targets of other rows"),
    (FULL, "    batch_size = n_rows\n", "batch size is ignored.*800 rows"),
    (UPDATE, UPDATE_AFTER_THE_BATCHES, "updates.*only once an epoch"),
    (UPDATE, "", "no parameter changes.*update is missing"),
    (UPDATE, UPDATE + UPDATE, "every step twice"),
    (UPDATE, "            model.update(-learning_rate)\n", "goes up the gradient"),
    (UPDATE, "            model.update(0.01)\n", "learning rate 0.01, not the one"),
    (UPDATE, "            model.update(learning_rate / len(rows))\n", "divided by N.*already"),
    (UPDATE, f"{UPDATE}            learning_rate *= 0.9\n", "changes the learning rate.*0.137"),
    (UPDATE, MOMENTUM, "momentum of 0.9"),
    (UPDATE, SIGNS, "no multiple of the gradient.*Adam"),
    (UPDATE, WEIGHTS_ALONE, "does not update the bias"),
    (BACKWARD + UPDATE, UPDATE + BACKWARD, "update comes before backward"),
    ("range(max_steps)", "range(max_steps + 1)", "4 epochs where 3"),
    ("range(max_steps)", "range(1, max_steps)", "2 epochs where 3"),
]
SLOW_IN_TRAIN = [  # tried in slow tests alone
    (STARTS, "range(0, 700, batch_size)", "leaves out some rows.*720 of 800"),
    ("start + batch_size]", "start + batch_size + 1]", "rows twice.*816"),
    (EPOCH + ORDER, ORDER_BEFORE_THE_EPOCHS + EPOCH, "same order.*permutation"),
    (PERMUTATION, f"{PERMUTATION} // 2 * 2", "rows twice.*400 different"),
    (PERMUTATION, "rng.integers(n_rows, size=n_rows)", "rows twice.*leaves out others"),
    (FULL, "    batch_size = 1\n", "batch size is ignored.*1 rows"),
    (UPDATE, f"{UPDATE}        model.update(learning_rate)\n", "one step too many"),
    (UPDATE, "            model.update(1.0)\n", "leaves out the learning rate"),
    (UPDATE, f"{UPDATE}        learning_rate *= 0.9\n", "changes the learning rate.*0.137"),
    ("range(max_steps)", "range(1500)", "max_steps is ignored"),
    (UPDATE, f"{UPDATE}            break\n", "first batch"),
]
IN_MAIN = [  # planted in the script with flags
    ("MLP(2, hidden, 2)", "MLP(2, [20], 2)", "20 hidden units, not"),
    ("learning_rate=flags.learning_rate", "learning_rate=0.02", "rate 0.02, not the one"),
    ("batch_size=flags.batch_size", "batch_size=None", "batch size is ignored.*800 rows"),
    ("max_steps=flags.max_steps", "max_steps=5", "5 epochs where 3"),
    ("slice(800, 1000)", "slice(700, 1000)", "test rows are also trained on"),
    ("slice(800, 1000)", "slice(0, 200)", "test rows are also trained on"),
    (LAST, f"{LAST}    print(curve[1500])\n", "raises IndexError"),
    ("    model =", "    assert flags.batch_size != 1\n    model =", "1 raises AssertionError"),
]
OF_ACCURACY = [  # test_lecture.py tries all known values: here are one, and what is no number
    (HITS, "np.mean(guess != truth)", "share of wrong rows"),
    (HITS, "(guess == truth).mean", "a function"),
    (HITS, 'f"{np.mean(guess == truth):.1%}"', "the text.*not a number"),
    (HITS, "np.mean(guess == targets[:, 0])", "one column of the targets"),
]
BUGS = []
for bug in IN_TRAIN + OF_ACCURACY + IN_MAIN:
    BUGS.append(pytest.param(WITH_FLAGS, *bug, id=f"flags: {bug[2]}"))
for bug in SLOW_IN_TRAIN:
    BUGS.append(pytest.param(WITH_FLAGS, *bug, id=f"flags: {bug[2]}", marks=pytest.mark.slow))
for i, bug in enumerate(IN_TRAIN + SLOW_IN_TRAIN):  # without flags, so that `train` is called
    marks = pytest.mark.slow if i >= 2 else ()
    BUGS.append(pytest.param(MAIN, *bug, id=f"called: {bug[2]}", marks=marks))


def copy(folder, *replacements):
    """Copy the right submission, with parts of its trainer replaced."""
    copy_right(folder, *FILES.values())
    for old, new in replacements:
        replace(folder / FILES["trainer"], old, new)


def rows_of(folder, gradient_is_right=True):
    """Return the rows of the trainer, by check."""
    roles = {role: role for role in FILES}
    piece = Piece("trainer", folder.resolve(), FILES, roles, Limits(60, 4 * 2**30), {})
    got = piece.wait()
    assert "raised" not in got
    rows = trainer.judge(got, 1.0, gradient_is_right)
    rows.append(accuracy.judge(got["accuracy"]))
    return {row.check: row for row in rows}


def faults_of(rows):
    return [fault.words for row in rows.values() for fault in row.faults]


@pytest.mark.parametrize("main", [MAIN, WITH_FLAGS], ids=["called", "flags"])
def test_a_right_trainer_is_right_in_everything(main, tmp_path):
    copy(tmp_path, (MAIN, main))
    rows = rows_of(tmp_path)
    assert {row.status for row in rows.values()} == {"right"}
    assert len(rows) == 6


@pytest.mark.parametrize(("main", "old", "new", "says"), BUGS)
def test_a_planted_bug_is_found_and_named_once(main, old, new, says, tmp_path):
    copy(tmp_path, (MAIN, main), (old, new))
    told = faults_of(rows_of(tmp_path))
    assert len(told) == 1, told
    assert re.search(says, told[0]), told


def test_two_mistakes_are_both_named(tmp_path):
    last = (STARTS, "range(0, n_rows - batch_size + 1, batch_size)")
    order = (PERMUTATION, "np.arange(n_rows)")
    rate = (UPDATE, "            model.update(0.01)\n")
    copy(tmp_path, (MAIN, WITH_FLAGS), last, order, rate)
    rows = rows_of(tmp_path)
    words = " ".join(fault.words for fault in rows["train: epochs"].faults)
    assert "short last batch" in words
    assert "same order" in words
    assert len(rows["train: step"].faults) == 1


def test_a_loss_after_its_backward_is_that_of_the_batch_before(tmp_path):
    first = f"            if epoch == start == 0:\n    {LOSS}"
    late = (LOSS + BACKWARD + UPDATE, first + BACKWARD + UPDATE + LOSS)
    last = (STARTS, "range(0, n_rows - batch_size + 1, batch_size)")
    copy(tmp_path, (MAIN, WITH_FLAGS), late, last)
    rows = rows_of(tmp_path)
    [fault] = rows["train: step"].faults
    assert "computed after backward" in fault.words
    assert len(faults_of(rows)) == 2


def test_the_accuracy_may_be_an_object_that_is_called(tmp_path):
    class_and_object = """@dataclass
class Accuracy:
    name: str = "test accuracy"

    def __call__(self, predictions, targets):
        return share(predictions, targets)


accuracy = Accuracy()


def train("""
    is_called = ("def accuracy(", "def share("), ("def train(", class_and_object)
    copy(tmp_path, *is_called, ("import numpy", "from dataclasses import dataclass\nimport numpy"))
    assert {row.status for row in rows_of(tmp_path).values()} == {"right"}


def test_max_steps_may_count_updates(tmp_path):
    copy(tmp_path, (MAIN, WITH_FLAGS), (LOOP, COUNTED))
    rows = rows_of(tmp_path)
    assert faults_of(rows) == []
    assert any("counts updates" in note for note in rows["train: epochs"].notes)


def test_an_accuracy_may_be_a_percentage(tmp_path):
    copy(tmp_path, (HITS, f"100 * {HITS}"))
    row = rows_of(tmp_path)["accuracy"]
    assert row.status == "right"
    assert any("percentage" in note for note in row.notes)


def test_a_step_against_a_wrong_gradient_rests_on_that(tmp_path):
    copy(tmp_path)
    path = tmp_path / "modules.py"
    path.write_text(path.read_text().replace("self.x > 0, dout", "self.x < 0, dout"))
    row = rows_of(tmp_path, gradient_is_right=False)["train: step"]
    assert row.status == "not judged"
    assert row.reason == ""


def test_a_step_against_the_gradient_of_another_activation_is_right(tmp_path):
    copy(tmp_path)
    path = tmp_path / "modules.py"
    text = path.read_text().replace("np.where(x > 0, x, 0)", "np.where(x > 0, x, 0.1 * x)")
    path.write_text(text.replace("x > 0, dout, 0)", "x > 0, dout, 0.1 * dout)"))
    assert rows_of(tmp_path)["train: step"].status == "right"


NOTHING = {
    "a package": ("import numpy as np\n", "import numpy as np\nimport toolkit_of_nobody\n"),
    "a file": ("    model = MLP(2, [20], 2)\n", "    model = np.load('of_nobody.npy')\n"),
}


@pytest.mark.parametrize("what", NOTHING)
def test_what_is_not_there_is_no_fault(what, tmp_path):
    copy(tmp_path, NOTHING[what])
    rows = rows_of(tmp_path)
    assert faults_of(rows) == []
    assert rows["train: run"].status == "not judged"
    assert "of_nobody" in rows["train: run"].reason


def test_nothing_is_given_to_a_parameter_that_is_not_understood(tmp_path):
    copy(tmp_path, ("    model,\n    x_train,", "    model,\n    flavour,\n    x_train,"))
    rows = rows_of(tmp_path)
    assert rows["train: step"].status == "not judged"
    assert rows["train: run"].status == "wrong"  # main passes no flavour: Python raises
    assert not any("flavour" in fault for fault in faults_of(rows) if "missing" not in fault)


def test_an_empty_train_is_to_do(tmp_path):
    copy(tmp_path)
    path = tmp_path / FILES["trainer"]
    text = path.read_text()
    start = text.index("    rng = np.random")
    end = text.index("def main")
    rest = text[end:].replace(LAST, "")
    path.write_text(f"{text[:start]}    pass\n\n\n{rest}")
    rows = rows_of(tmp_path)
    assert faults_of(rows) == []
    assert rows["train: run"].status == "to do"
    assert rows["train: step"].status == "to do"
