"""The checks of grading/ are checked: a bug planted in our own solution is found, and named.

Each takes the place of a piece of one of our files. The catalogue of experiments/ is planted, too.
"""

import inspect
import re
import textwrap
from pathlib import Path

import pytest

from experiments.gradient_bugs import BUGS as CATALOGUE
from grading.judge import Judge
from grading.submission import Submission

ROOT = Path(__file__).parents[2]
MOONS = '''

def load_data():
    """Data without scikit-learn, to be quick."""
    rng = np.random.default_rng(0)
    y = np.eye(2)[rng.integers(2, size=300)]
    x = rng.normal(size=(300, 2)) + y
    return Data(x[:230], y[:230], x[230:], y[230:])
'''
X, B = "self.x.T.dot(dout)", "dout.sum(axis=0)"
DX = 'dout.dot(np.asarray(self.params["weight"], dtype=float).T)'
MASK = 'as_shaped(dout, self.x, "dout") * (self.x > 0)'
SHIFT = "columns - columns.max(axis=0)"
NORMAL = "powers.sum(axis=0)"
JACOBIAN = "self.out * (dout - (dout * self.out).sum(axis=-1, keepdims=True))"
LOSS = "float(np.sum(self.y * -np.log(np.maximum(self.p, 1e-15))) / len(self.y))"
DZ = '(as_shaped(p, y, "predictions", is_batch=True) - y) / len(y)'
OUT = 'self.x.dot(weight) + np.asarray(self.params["bias"], dtype=float)'
STEP = "linear.params[name] - learning_rate * gradient"
LEARN = "            x_wrong, y_wrong = x[wrong], y[wrong].astype(float)\n"
GRAD = "grad = np.append(grad_w, grad_b) / len(y_wrong)"
EPOCH = "for start in range(0, len(order), batch_size):"

LAYERS = [  # of modules.py: what is replaced, by what, and what must be said
    (OUT, "self.x.dot(weight)", "Linear.forward forgets the bias"),
    (OUT, OUT.replace("+", "-"), "subtracts the bias"),
    (OUT, f"np.maximum({OUT}, 0)", "the ReLU's work"),
    ("normal(0, 0.1, (in", "normal(1, 0.1, (in", "initial weights are around 1"),
    ("normal(0, 0.1, (in", "uniform(0, 1, (in", "initial weights are around 0.[45]"),
    ("normal(0, 0.1, (in", "normal(0, 5, (in", "standard deviation of 5"),
    ("normal(0, 0.1, (in_features, out_features))", "normal(0, 0.1, (in_features, 1)).repeat(out_features, 1)",
        "weights of some units are all the same"),
    ("as_rng(rng).normal", "np.random.RandomState(0).normal", "start with the same weights"),
    ('"bias": np.zeros(out_features)}', '"bias": np.ones(out_features)}', "initial bias is around 1"),
    (X, f"{X} / len(dout)", "the weight gradient is averaged over the batch, but should be summed"),
    (X, f"0 * {X}", "the weight gradient is zero"),
    (X, f"-{X}", "the weight gradient has the wrong sign"),
    (X, f"{X}.T", "the weight gradient is transposed"),
    (X, f"self.grads['weight'] + {X}", "is added to that of the batch before"),
    (X, "np.abs(self.x).T.dot(dout)", "the magnitude of x"),
    (B, "dout.mean(axis=0)", "the bias gradient is averaged over the batch, but should be summed"),
    (B, "dout.sum(axis=1)", "summed over the outputs"),
    (B, "dout", "not summed over the batch"),
    (B, "0 * dout.sum(axis=0)", "the bias gradient is zero"),
    (B, "dout.sum()", "is one number"),
    (f'{B}\n', f'{B}\n        self.params["weight"] = 0.9 * self.params["weight"]\n', "changes its weight in a pass"),
    (f"return {DX}", f"return {DX} / len(dout)", "each row has its own"),
    (f"return {DX}", f"return -{DX}", "the input gradient has the wrong sign"),
    (f"return {DX}", f"return {DX}.T", "the input gradient is transposed"),
    (f"return {DX}", f"{DX}", "the input gradient is None"),
    ("        self.out = self.x.dot", "        self.x.sort()\n        self.out = self.x.dot",
        "Linear.forward is wrong"),
    ("np.maximum(0.0, self.x)", "np.abs(self.x)", "ReLU.forward is the absolute value"),
    ("np.maximum(0.0, self.x)", "np.minimum(0.0, self.x)", "cuts off above zero"),
    ("return np.maximum(0.0, self.x)", "out = np.maximum(0.0, self.x)\n        self.x.sort()\n        return out", "as ReLU.forward changes its argument"),
    (MASK, "(self.x > 0) * 1.0", "the mask alone"),
    (MASK, "dout", "not masked"),
    (MASK, "dout * (self.x <= 0)", "the wrong way round"),
    (MASK, "dout * (dout > 0)", "by the sign of dout"),
    (MASK, "dout * np.maximum(self.x, 0)", "multiplied with the input"),
    (NORMAL, "powers.sum(axis=1, keepdims=True)", "normalised over the batch"),
    (NORMAL, "powers.sum()", "over the whole batch"),
    (f"/ {NORMAL}", "/ 1", "rows do not sum to 1"),
    (SHIFT, "columns", "overflows at large logits"),
    (SHIFT, "columns - columns.max()", "shifts by the maximum of the whole batch"),
    (SHIFT, "columns - columns.max(axis=1, keepdims=True)", "shifts by the maximum of each column"),
    (SHIFT, "columns + columns.max(axis=0)", "overflows at large logits"),
    (SHIFT, "-columns", "takes exp"),
    (JACOBIAN, "self.out * dout", "leaves out the sum"),
    (JACOBIAN, "self.out * (1 - self.out) * dout", "diagonal of the Jacobian"),
    (JACOBIAN, "self.out * (dout - (dout * self.out).sum(axis=0))", "sums over the batch"),
    (JACOBIAN, f"-{JACOBIAN}", "SoftMax.backward has the wrong sign"),
    (JACOBIAN, JACOBIAN.replace("-", "+", 1), "a plus for a minus"),
    (LOSS, f"{LOSS} * len(self.y)", "the loss is summed over the batch, but its gradient is averaged"),
    (LOSS, f"{LOSS} / self.y.shape[1]", "also divided by the number of classes"),
    (LOSS, f"-{LOSS}", "the loss has the wrong sign"),
    (LOSS, f"{LOSS} / np.log(10)", "to the base of 10"),
    (LOSS, "float(np.mean((self.p - self.y) ** 2))", "mean square"),
    (LOSS, "float(-np.log(self.p[self.y == 1]).mean())", "not finite: clip"),
    (LOSS, f"min({LOSS}, 4.0)", "clipped too far"),
    (DZ, "(p - y)", "CrossEntropy.backward is not divided by N"),
    (DZ, f"{DZ} / len(y)", "by N, the size of the batch, twice"),
    (DZ, "(p - y) / y.shape[1]", "should be by that of the rows"),
    (DZ, f"-{DZ}", "CrossEntropy.backward has the wrong sign"),
    (DZ, "p / len(y)", "the targets are left out"),
    (f"return {DZ}", "p -= y\n        return p / len(y)", "changes its argument in place: the predictions"),
]  # fmt: skip
NETWORK = [  # of mlp_numpy.py
    ("reversed(self.layers[:-1])", "self.layers[-2:0:-1]", "the weight gradient of layer 1 of 2 in the MLP is zero"),
    ("reversed(self.layers[:-1])", "reversed(self.layers[:-2])", "does not begin at the last Linear layer"),
    ("reversed(self.layers[:-1])", "reversed(self.layers)", "the derivative of the softmax twice"),
    ("reversed(self.layers[:-1])", "self.layers[-2::-2]", "has not passed ReLU.backward"),
    ("            dout = layer.backward(dout)", "            dout = layer.backward(2 * dout)", "in the MLP is wrong"),
    ("            x = layer.forward(x)\n        return", "            x = layer.forward(x)\n        x = ReLU().forward(x)\n        return -",
        "MLP.forward is wrong"),
    ("for layer in self.layers:\n            x", "for layer in self.layers[:-1]:\n            x", "the softmax at the end is missing"),
    ("for layer in self.layers:\n            x", "for layer in [*self.layers[:-1], ReLU(), self.layers[-1]]:\n            x",
        "has a ReLU behind the last Linear layer"),
    ("for layer in self.layers:\n            x", "for layer in [*self.layers[::2], self.layers[-1]]:\n            x", "has no ReLU behind its hidden layers"),
    (STEP, "linear.params[name] + learning_rate * gradient", "goes up the gradient"),
    (STEP, "linear.params[name] - gradient", "leaves out the learning rate"),
    (STEP, "linear.params[name] - 2 * learning_rate * gradient", "takes the step twice"),
    (STEP, "-learning_rate * gradient", "replaces the parameters"),
    ("in self.layers[::2]:  # the", "in self.layers[-2:-1]:  # the", "does not update the weight of layer 1, the bias of layer 1"),
    ("linear.grads.items():", '[("weight", linear.grads["weight"])]:', "does not update the bias of layer 1, the bias"),
    (STEP, f"{STEP} - vars(linear).setdefault(name, 0)\n                vars(linear)[name] = learning_rate * gradient",
        "is there a momentum"),
]  # fmt: skip
TRAINER = [  # of train_mlp_numpy.py
    (EPOCH, "for start in range(0, len(order) - batch_size + 1, batch_size):", "leaves out the short last batch"),
    (EPOCH, "for start in [*range(0, len(order), batch_size), 0]:", "makes 6 epochs"),
    ("slice(start, start + batch_size)", "slice(start, start + batch_size + 1)", "visits"),
    ("data.x_train[order], data.y_train[order]", "data.x_train, data.y_train", "the same order"),
    ("data.x_train[order], data.y_train[order]", "data.x_train[np.sort(order)], data.y_train[np.sort(order)]", "the same order"),
    ("data.x_train[order], data.y_train[order]", "data.x_train[order // 2 * 2], data.y_train[order // 2 * 2]", "twice"),
    ("data.x_train[order], data.y_train[order]", "data.x_train[order], data.y_train", "targets of other rows"),
    ("int(batch_size or n_rows)", "n_rows", "ignores its batch size"),
    ("int(batch_size or n_rows)", "1", "ignores its batch size"),
    ("        model.update(learning_rate)\n", "    model.update(learning_rate)\n", "only once an epoch"),
    ("        model.update(learning_rate)\n", "        pass\n", "changes no parameter"),
    ("        model.update(learning_rate)\n", "        model.update(-learning_rate)\n", "goes up the gradient"),
    ("        model.update(learning_rate)\n", "        model.update(1.0)\n", "leaves out the learning rate"),
    ("        model.update(learning_rate)\n", "        model.update(learning_rate / len(y[batch]))\n", "divided by N"),
    ("        model.update(learning_rate)\n", "        model.update(learning_rate)\n        learning_rate *= 0.9\n", "changes from update to update"),
    ("        model.backward(loss.backward(predictions, y[batch]))\n        model.update(learning_rate)\n",
     "        model.update(learning_rate)\n        model.backward(loss.backward(predictions, y[batch]))\n", "changes from update to update"),
    ("predictions.argmax(axis=1) == targets.argmax(axis=1)", "(predictions > 0.5) == targets", "compares every element"),
    ("predictions.argmax(axis=1) == targets.argmax(axis=1)", "predictions.argmax(axis=0) == targets.argmax(axis=0)", "the largest of each column"),
    ("predictions.argmax(axis=1) == targets.argmax(axis=1)", "predictions.argmax(axis=1) != targets.argmax(axis=1)", "share of wrong rows"),
]  # fmt: skip
PERCEPTRON = [  # of perceptron.py
    ("np.zeros(n_inputs + 1)", "np.ones(n_inputs + 1)", "initial weights are all 1"),
    ("@ self.weights[:-1] + self.weights[-1] >= 0, 1, -1)", "@ self.weights[:-1] >= 0, 1, -1)", "leaves out the bias"),
    ("self.weights[-1] >= 0, 1, -1)", "self.weights[-1] >= 0, -1, 1)", "has the wrong sign"),
    ("self.weights[-1] >= 0, 1, -1)", "self.weights[-1] >= 0, 1, 0)", "is 1 or 0"),
    ("self.weights - self.learning_rate * grad", "self.weights + self.learning_rate * grad", "goes up the gradient"),
    ("self.weights - self.learning_rate * grad", "self.weights - grad", "leaves out the learning rate"),
    ("self.weights - self.learning_rate * grad", "-self.learning_rate * grad", "replaces the weights by the step"),
    (GRAD, GRAD.removesuffix(" / len(y_wrong)"), "sums the gradient over the misclassified"),
    (GRAD, GRAD.replace("len(y_wrong)", "len(y)"), "averages over all points"),
    (GRAD, "grad = np.append(grad_w, grad_b / len(y_wrong))", "sums the gradient of w"),
    (GRAD, "grad = np.append(grad_w / len(y_wrong), grad_b)", "sums the gradient of b"),
    (GRAD, "grad = np.append(grad_w, 0) / len(y_wrong)", "updates w alone"),
    (GRAD, "grad = np.append(0 * grad_w, grad_b) / len(y_wrong)", "updates the bias alone"),
    (LEARN, LEARN.replace("x[wrong], y[wrong]", "x[~wrong], y[~wrong]"), "points that are right"),
    (LEARN, LEARN.replace("x[wrong], y[wrong]", "x, y"), "learns from all points"),
    (LEARN, LEARN.replace("y[wrong].astype(float)", "0.0 * y[wrong] - 1"), "Perceptron.train|first epoch"),
    ("                break\n", "                pass\n", "once it makes no mistake any more: training should end there"),
    ("range(self.max_epochs)", "range(self.max_epochs + 1)", "max_epochs is one epoch too many"),
    ("range(self.max_epochs)", "range(self.max_epochs - 1)", "max_epochs is one epoch too few"),
    ("misclassified, losses = [], []\n", "misclassified, losses = [], []\n        labels.sort()\n", "changes its argument in place: labels"),
]  # fmt: skip
TOLD_TWICE = [  # a change in place spoils what another check sees
    "changes its weight in a pass",
    "Linear.forward is wrong",
    "changes its argument in place: labels",
]
PLANTED = [
    *[(("modules.py", "mlp_numpy.py"), *bug) for bug in LAYERS],
    *[(("mlp_numpy.py", "modules.py"), *bug) for bug in NETWORK],
    *[(("train_mlp_numpy.py", "mlp_numpy.py", "modules.py"), *bug) for bug in TRAINER],
    *[(("perceptron.py",), *bug) for bug in PERCEPTRON],
]


def judged(folder):
    with Submission(folder) as submission:
        return Judge(submission).judge()


def copies(folder, files):
    for file in files:
        text = (ROOT / file).read_text(encoding="utf-8")
        (folder / file).write_text(text + MOONS * file.startswith("train"), encoding="utf-8")


@pytest.mark.parametrize(
    ("files", "old", "new", "says"), PLANTED, ids=[f"{p[0][0]}:{p[3]}" for p in PLANTED]
)
def test_a_planted_bug_is_found_and_named(files, old, new, says, tmp_path):
    copies(tmp_path, files)
    text = (tmp_path / files[0]).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / files[0]).write_text(text.replace(old, new, 1), encoding="utf-8")
    told = [row.message for row in judged(tmp_path) if row.status == "wrong"]
    assert any(re.search(says, message) for message in told), told
    assert len(told) == 1 + (says in TOLD_TWICE)


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
    code = (
        inspect.getsource(bug.backward)
        .split("\n", 1)[1]
        .replace(f"{kind}.backward(self, ", "super().backward(")
    )
    code = re.sub(r"def \w+", "def backward", code, count=1)
    copies(tmp_path, ("modules.py", "mlp_numpy.py"))
    with open(tmp_path / ("mlp_numpy.py" if kind == "MLP" else "modules.py"), "a") as file:
        file.write(f"\n\nclass {kind}({kind}):\n{textwrap.indent(code, '    ')}")
    told = [row.message for row in judged(tmp_path) if row.status == "wrong"]
    assert len(told) == 1
    assert CAUSES[name] in told[0]


def test_our_own_solution_is_right_in_everything(tmp_path):
    copies(tmp_path, ("perceptron.py", "modules.py", "mlp_numpy.py", "train_mlp_numpy.py"))
    assert {row.status for row in judged(tmp_path)} == {"right"}
