"""The checks of grading/ are checked: a bug planted in a right submission is found, and named.

The submission is in right/. The bugs of experiments/gradient_bugs.py are planted there, too.
"""

import inspect
import re
import shutil
import textwrap
from pathlib import Path

import pytest

from experiments.gradient_bugs import BUGS as CATALOGUE
from grading.judge import Judge
from grading.submission import Submission

ROOT = Path(__file__).parents[2]
RIGHT = Path(__file__).with_name("right")
NEEDED = {  # to judge a file: itself, and those that it imports
    "perceptron.py": ["perceptron.py"],
    "modules.py": ["modules.py", "mlp_numpy.py"],
    "mlp_numpy.py": ["modules.py", "mlp_numpy.py"],
    "train_mlp_numpy.py": ["modules.py", "mlp_numpy.py", "train_mlp_numpy.py"],
}

# A bug: what is replaced, by what, and what must be said, as a regular expression.

NORMAL = "np.random.normal(0, 0.1, (in_features, out_features))"
DRAW = "np.random.normal(0, 0.1, "
OUT = 'np.dot(x, self.params["weight"]) + self.params["bias"]'
DW = "np.dot(self.x.T, dout)"
DB = "np.sum(dout, axis=0)"
DX = 'np.dot(dout, self.params["weight"].T)'
LINEAR = [
    (DRAW, "np.random.normal(1, 0.1, ", "initial weights are around 1"),
    (DRAW, "np.random.uniform(0, 1, ", "initial weights are around 0.[45]"),
    (DRAW, "np.random.normal(0, 5, ", "standard deviation of [45]"),
    (DRAW, "np.random.RandomState(0).normal(0, 0.1, ", "layers of one size start with the same"),
    (NORMAL, f"{DRAW}(in_features, 1)) + np.zeros(out_features)", "some units are all the same"),
    ("np.zeros(out_features)", "np.ones(out_features)", "initial bias is around 1"),
    (OUT, 'np.dot(x, self.params["weight"])', "Linear.forward forgets the bias"),
    (OUT, OUT.replace("+", "-"), "Linear.forward subtracts the bias"),
    (OUT, f"np.maximum({OUT}, 0)", "the ReLU's work"),
    (f"return {OUT}", f"x.sort()\n        return {OUT}", "Linear.forward is wrong"),
    (DW, f"{DW} / len(dout)", "the weight gradient is averaged over the batch"),
    (DW, f"0 * {DW}", "the weight gradient is zero"),
    (DW, f"-{DW}", "the weight gradient has the wrong sign"),
    (DW, f"{DW}.T", "the weight gradient is transposed"),
    (DW, f'self.grads["weight"] + {DW}', "is added to that of the batch before"),
    (DW, "np.dot(np.abs(self.x).T, dout)", "the magnitude of x"),
    (DB, "np.mean(dout, axis=0)", "the bias gradient is averaged over the batch"),
    (DB, "np.sum(dout, axis=1)", "the bias gradient is summed over the outputs"),
    (DB, "dout", "the bias gradient is not summed over the batch"),
    (DB, f"0 * {DB}", "the bias gradient is zero"),
    (DB, "np.sum(dout)", "the bias gradient is one number"),
    (DB, f'{DB}\n        self.params["weight"] *= 0.9', "changes its weight in a pass"),
    (DX, f"{DX} / len(dout)", "the input gradient is averaged over the batch"),
    (DX, f"-{DX}", "the input gradient has the wrong sign"),
    (DX, f"{DX}.T", "the input gradient is transposed"),
    (f"return {DX}", DX, "the input gradient is None"),
]

RELU = "np.where(x > 0, x, 0)"
MASKED = "np.where(self.x > 0, dout, 0)"
SHIFTED = "x - np.max(x, axis=1, keepdims=True)"
TOTAL = "np.sum(powers, axis=1, keepdims=True)"
MEAN = "np.sum(self.probs * dout, axis=1, keepdims=True)"
JACOBIAN = "self.probs * (dout - mean)"
ACTIVATIONS = [
    (RELU, "np.abs(x)", "ReLU.forward is the absolute value"),
    (RELU, "np.where(x < 0, x, 0)", "ReLU.forward cuts off above zero"),
    (
        f"return {RELU}",
        f"out = {RELU}\n        x.sort()\n        return out",
        "as ReLU.forward changes its argument",
    ),
    (MASKED, "np.where(self.x > 0, 1, 0)", "ReLU.backward is the mask alone"),
    (MASKED, "dout", "ReLU.backward is not masked"),
    (MASKED, "np.where(self.x > 0, 0, dout)", "masked the wrong way round"),
    (MASKED, "np.where(dout > 0, dout, 0)", "masked by the sign of dout"),
    (MASKED, "np.where(self.x > 0, dout * self.x, 0)", "is multiplied with the input"),
    (TOTAL, "np.sum(powers, axis=0)", "normalised over the batch"),
    (TOTAL, "np.sum(powers)", "normalised over the whole batch"),
    ("powers / total", "powers", "rows do not sum to 1"),
    (SHIFTED, "x", "overflows at large logits"),
    (SHIFTED, SHIFTED.replace("-", "+"), "overflows at large logits"),
    (SHIFTED, "x - np.max(x)", "shifts by the maximum of the whole batch"),
    (SHIFTED, "x - np.max(x, axis=0)", "shifts by the maximum of each column"),
    (SHIFTED, "-x", "SoftMax.forward takes exp"),
    (JACOBIAN, "self.probs * dout", "SoftMax.backward leaves out the sum"),
    (JACOBIAN, "self.probs * (1 - self.probs) * dout", "is the diagonal of the Jacobian"),
    (JACOBIAN, "self.probs * (dout + mean)", "SoftMax.backward has a plus for a minus"),
    (JACOBIAN, f"-{JACOBIAN}", "SoftMax.backward has the wrong sign"),
    (MEAN, "np.sum(self.probs * dout, axis=0)", "SoftMax.backward sums over the batch"),
]

LOSS = "-np.sum(targets * logs) / len(targets)"
DZ = "(self.probs - self.targets) / len(self.targets)"
LOSSES = [
    (LOSS, "-np.sum(targets * logs)", "the loss is summed over the batch"),
    (LOSS, f"{LOSS} / targets.shape[1]", "the loss is also divided by the number of classes"),
    (LOSS, "np.sum(targets * logs) / len(targets)", "the loss has the wrong sign"),
    (LOSS, f"{LOSS} / np.log(10)", "to the base of 10"),
    (LOSS, "np.mean((predictions - targets) ** 2)", "the loss is the mean square"),
    (LOSS, f"min({LOSS}, 4.0)", "clipped too far"),
    ("np.maximum(predictions, 1e-12)", "predictions", "not finite: clip"),
    (DZ, "(self.probs - self.targets)", "CrossEntropy.backward is not divided by N"),
    (DZ, f"{DZ} / len(self.targets)", "divided by N, the size of the batch, twice"),
    (DZ, "(self.probs - self.targets) / self.targets.shape[1]", "should be by that of the rows"),
    (DZ, f"-{DZ}", "CrossEntropy.backward has the wrong sign"),
    (DZ, "self.probs / len(self.targets)", "the targets are left out"),
    (
        f"return {DZ}",
        "self.probs -= self.targets\n        return self.probs / len(self.targets)",
        "changes its argument in place: the predictions",
    ),
]

FORTH = "for layer in self.layers:"
BACK = "self.layers[-2::-1]"
STEP = "-= learning_rate * linear.grads[name]"
MOMENTUM = """step = learning_rate * linear.grads[name] + vars(linear).get(name, 0)
                linear.params[name] = linear.params[name] - step
                vars(linear)[name] = step"""
NETWORK = [
    (FORTH, "for layer in self.layers[:-1]:", "the softmax at the end is missing"),
    (FORTH, "for layer in [*self.linears, self.layers[-1]]:", "has no ReLU behind its hidden"),
    (
        FORTH,
        "for layer in [*self.layers[:-1], ReLU(), self.layers[-1]]:",
        "has a ReLU behind the last Linear layer",
    ),
    ("return x", "return -ReLU().forward(x)", "MLP.forward is wrong"),
    (BACK, "self.layers[-2:0:-1]", "the weight gradient of layer 1 of 2 in the MLP is zero"),
    (BACK, "self.layers[-3::-1]", "does not begin at the last Linear layer"),
    (BACK, "self.layers[::-1]", "the derivative of the softmax twice"),
    (BACK, "self.layers[-2::-2]", "has not passed ReLU.backward"),
    ("layer.backward(dout)", "layer.backward(2 * dout)", "in the MLP is wrong"),
    (STEP, "+= learning_rate * linear.grads[name]", "goes up the gradient"),
    (STEP, "-= linear.grads[name]", "leaves out the learning rate"),
    (STEP, "-= 2 * learning_rate * linear.grads[name]", "takes the step twice"),
    (STEP, "= -learning_rate * linear.grads[name]", "replaces the parameters"),
    (f"linear.params[name] {STEP}", MOMENTUM, "is there a momentum"),
    ("in self.linears:", "in self.linears[1:]:", "the weight of layer 1, the bias of layer 1"),
    ('["weight", "bias"]', '["weight"]', "does not update the bias of layer 1, the bias"),
]

STARTS = "range(0, n_rows, batch_size)"
PERMUTATION = "rng.permutation(n_rows)"
EPOCH = "    for epoch in range(max_steps):\n"
ORDER = f"        order = {PERMUTATION}\n"
FULL = "    if batch_size is None:\n        batch_size = n_rows\n"
BACKWARD = "            model.backward(loss.backward())\n"
UPDATE = "            model.update(learning_rate)\n"
TRAINER = [
    (STARTS, "range(0, n_rows - batch_size + 1, batch_size)", "leaves out the short last batch"),
    (STARTS, f"[*{STARTS}, 0]", "makes 6 epochs"),
    ("start + batch_size]", "start + batch_size + 1]", "visits"),
    (PERMUTATION, "np.arange(n_rows)", "every epoch has the same order"),
    (EPOCH + ORDER, ORDER[4:] + EPOCH, "every epoch has the same order"),
    (PERMUTATION, f"{PERMUTATION} // 2 * 2", "visits some rows twice"),
    ("y_train[rows]", "y_train[start : start + batch_size]", "the targets of other rows"),
    (FULL, "    batch_size = n_rows\n", "ignores its batch size: .* 800 rows"),
    (FULL, "    batch_size = 1\n", "ignores its batch size: .* 1 rows"),
    (UPDATE, UPDATE[4:], "updates the parameters only once an epoch"),
    (UPDATE, "", "changes no parameter"),
    (UPDATE, "            model.update(-learning_rate)\n", "goes up the gradient"),
    (UPDATE, "            model.update(1.0)\n", "leaves out the learning rate"),
    (UPDATE, "            model.update(learning_rate / len(rows))\n", "is divided by N"),
    (UPDATE, f"{UPDATE}            learning_rate *= 0.9\n", "changes from update to update"),
    (BACKWARD + UPDATE, UPDATE + BACKWARD, "changes from update to update"),
    ("np.mean(guess == truth)", "np.mean((predictions > 0.5) == targets)", "every element"),
    ("np.mean(guess == truth)", "np.mean(guess != truth)", "is the share of wrong rows"),
    (
        "np.mean(guess == truth)",
        "np.mean(predictions.argmax(axis=0) == targets.argmax(axis=0))",
        "the largest of each column",
    ),
]

LABELS = "np.where(score < 0, -1, 1)"
STEP_UP = "self.weights += self.learning_rate * downhill"
MISTAKES = "            points = x[wrong]\n"
LOOP = "for _ in range(self.max_epochs):"
PERCEPTRON = [
    ("np.zeros(n_inputs + 1)", "np.ones(n_inputs + 1)", "initial weights are all 1"),
    (" + self.weights[-1]", "", "leaves out the bias"),
    (LABELS, "np.where(score < 0, 1, -1)", "the prediction has the wrong sign"),
    (LABELS, "np.where(score < 0, 0, 1)", "is 1 or 0"),
    (STEP_UP, "self.weights -= self.learning_rate * downhill", "goes up the gradient"),
    (STEP_UP, "self.weights += downhill", "leaves out the learning rate"),
    (STEP_UP, "self.weights = self.learning_rate * downhill", "replaces the weights by the step"),
    ("len(points)", "1", "sums the gradient over the misclassified"),
    ("len(points)", "len(x)", "averages over all points"),
    ("signs @ points / n", "signs @ points", "sums the gradient of w"),
    ("signs.sum() / n", "signs.sum()", "sums the gradient of b"),
    ("signs.sum() / n", "0", "updates w alone"),
    ("signs @ points / n", "0 * points[0]", "updates the bias alone"),
    (MISTAKES, f"            wrong = ~wrong\n{MISTAKES}", "learns from the points that are right"),
    (MISTAKES, f"            wrong[:] = True\n{MISTAKES}", "learns from all points"),
    ("labels[wrong]", "-np.ones(len(points))", "Perceptron.train|first epoch"),
    ("                break\n", "                pass\n", "once it makes no mistake any more"),
    (LOOP, "for _ in range(self.max_epochs + 1):", "max_epochs is one epoch too many"),
    (LOOP, "for _ in range(self.max_epochs - 1):", "max_epochs is one epoch too few"),
    (LOOP, f"labels.sort()\n        {LOOP}", "changes its argument in place: labels"),
]

PLANTED = [
    *[("modules.py", *bug) for bug in LINEAR + ACTIVATIONS + LOSSES],
    *[("mlp_numpy.py", *bug) for bug in NETWORK],
    *[("train_mlp_numpy.py", *bug) for bug in TRAINER],
    *[("perceptron.py", *bug) for bug in PERCEPTRON],
]
TOLD_TWICE = [  # a change in place spoils what another check sees
    "changes its weight in a pass",
    "Linear.forward is wrong",
    "changes its argument in place: labels",
]


def copy_files(source, folder, names):
    for name in names:
        shutil.copy(source / name, folder)


def judged(folder):
    with Submission(folder, call_limit=60) as submission:  # a busy computer is no bug
        return Judge(submission).judge()


def wrongs(folder):
    """Return what is said of all that is wrong."""
    return [row.message for row in judged(folder) if row.status == "wrong"]


@pytest.mark.parametrize("source", [ROOT, RIGHT], ids=["our own", "right"])
def test_a_right_solution_is_right_in_everything(source, tmp_path):
    copy_files(source, tmp_path, NEEDED)
    assert {row.status for row in judged(tmp_path)} == {"right"}


@pytest.mark.parametrize(
    ("file", "old", "new", "says"), PLANTED, ids=[f"{bug[0]}: {bug[3]}" for bug in PLANTED]
)
def test_a_planted_bug_is_found_and_named(file, old, new, says, tmp_path):
    copy_files(RIGHT, tmp_path, NEEDED[file])
    text = (tmp_path / file).read_text()
    assert text.count(old) == 1
    (tmp_path / file).write_text(text.replace(old, new))
    told = wrongs(tmp_path)
    assert any(re.search(says, message) for message in told), told
    assert len(told) == 1 + (says in TOLD_TWICE), told


CAUSES = {
    "Bias gradient missing": "the bias gradient is zero",
    "Bias gradient averaged over the batch": "the bias gradient is averaged over the batch",
    "Weight gradient transposed and reshaped": "the weight gradient is transposed and reshaped",
    "Weight gradient of the batch before": "the weight gradient is zero",
    "ReLU mask missing": "not masked",
    "ReLU mask inverted": "masked the wrong way round",
    "ReLU mask taken from dout": "masked by the sign of dout",
    "Gradient not divided by N": "is not divided by N, the size of the batch",
    "Softmax Jacobian applied twice": "the derivative of the softmax twice",
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_bug_of_the_catalogue_is_found_and_named(name, tmp_path):
    bug = CATALOGUE[name]
    kind = bug.__base__.__name__
    source = inspect.getsource(bug.backward)
    code = source.split("\n", 1)[1]  # what follows the decorator
    code = re.sub(r"def \w+", "def backward", code, count=1)
    code = code.replace(f"{kind}.backward(self, ", "super().backward(")
    copy_files(RIGHT, tmp_path, ["modules.py", "mlp_numpy.py"])
    path = tmp_path / ("mlp_numpy.py" if kind == "MLP" else "modules.py")
    with open(path, "a") as file:
        file.write(f"\n\nclass {kind}({kind}):\n{textwrap.indent(code, '    ')}")
    told = wrongs(tmp_path)
    assert len(told) == 1, told
    assert CAUSES[name] in told[0]
