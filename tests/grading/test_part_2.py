"""Part II is judged fairly: right in any convention, and each fault found once, with its cause.

Bugs are planted in the submission of right/, one at a time; so are those of gradient_bugs.py.
"""

import inspect
import re
import textwrap
from pathlib import Path

import pytest

from experiments.gradient_bugs import BUGS as CATALOGUE
from tests.grading.judging import RIGHT, copy_right, faults_in, replace, rows_at, statuses

ROOT = Path(__file__).parents[2]
MODULES = "modules.py"
NETWORK = "mlp_numpy.py"

# A bug: the file, what is replaced in it, by what, the check that it is about, and words that must
# be said of it, as a regular expression.

INIT = "Linear.__init__"
WEIGHT = "Linear.backward: weight"
BIAS = "Linear.backward: bias"
INPUT = "Linear.backward: input"
NORMAL = "np.random.normal(0, 0.1, (in_features, out_features))"
DRAW = "np.random.normal(0, 0.1, "
OUT = 'np.dot(x, self.params["weight"]) + self.params["bias"]'
DW = "np.dot(self.x.T, dout)"
DB = "np.sum(dout, axis=0)"
DX = 'np.dot(dout, self.params["weight"].T)'
LINEAR = [
    (DRAW, "np.random.normal(1, 0.1, ", INIT, "around 1"),
    (DRAW, "np.random.uniform(0, 1, ", INIT, "around 0.[45]"),
    (DRAW, "np.random.normal(0, 5, ", INIT, "standard deviation of [45]"),
    (DRAW, "np.random.RandomState(0).normal(0, 0.1, ", INIT, "start with the same"),
    (DRAW, "np.sqrt(in_features / 2) * np.random.normal(0, 1, ", INIT, "He's factor"),
    (DRAW, "0 * np.random.normal(0, 1, ", INIT, "of some units"),
    (NORMAL, f"{DRAW}(in_features, 1)) + np.zeros(out_features)", INIT, "of some units"),
    ("np.zeros(out_features)", "np.ones(out_features)", INIT, "bias does not start at 0"),
    (f"return {OUT}", f"x.sort()\n        return {OUT}", "Linear.forward", "in place"),
    (DW, f"0 * {DW}", WEIGHT, "is zero"),
    (DW, f'self.grads["weight"] + {DW}', WEIGHT, "added to that of the batch before"),
    (DB, f"0 * {DB}", BIAS, "is zero"),
    (DB, f'{DB}\n        self.params["weight"] *= 0.9', WEIGHT, "a pass changes the weight"),
    (f"return {DX}", DX, INPUT, "None"),
    (DX, "np.dot(dout, self.weight.T)", INPUT, "AttributeError"),
]
SLOW_LINEAR = [
    (OUT, 'np.dot(x, self.params["weight"])', "Linear.forward", "forgets the bias"),
    (OUT, OUT.replace("+", "-"), "Linear.forward", "subtracts the bias"),
    (OUT, f"np.maximum({OUT}, 0)", "Linear.forward", "the ReLU's work"),
    (DW, f"{DW} / len(dout)", WEIGHT, "averaged over the batch"),
    (DW, f"-{DW}", WEIGHT, "wrong sign"),
    (DW, f"{DW}.T", WEIGHT, "transposed"),
    (DW, "np.dot(np.abs(self.x).T, dout)", WEIGHT, "the magnitude of x"),
    (DB, "np.mean(dout, axis=0)", BIAS, "averaged over the batch"),
    (DB, "np.sum(dout, axis=1)", BIAS, "summed over the outputs"),
    (DB, "dout", BIAS, "not summed over the batch"),
    (DB, "np.sum(dout)", BIAS, "one number"),
    (DX, f"{DX} / len(dout)", INPUT, "averaged over the batch"),
    (DX, f"-{DX}", INPUT, "wrong sign"),
    (DX, f"{DX}.T", INPUT, "transposed"),
]

RELU = "np.where(x > 0, x, 0)"
MASKED = "np.where(self.x > 0, dout, 0)"
SORTED = f"out = {RELU}\n        x.sort()\n        return out"
SHIFTED = "x - np.max(x, axis=1, keepdims=True)"
TOTAL = "np.sum(powers, axis=1, keepdims=True)"
MEAN = "np.sum(self.probs * dout, axis=1, keepdims=True)"
JACOBIAN = "self.probs * (dout - mean)"
ACTIVATIONS = [
    (f"return {RELU}", SORTED, "ReLU.forward", "changes x, its argument"),
    (MASKED, "np.where(self.x >= 0, dout, 0)", "ReLU.backward", "at x = 0"),
    (SHIFTED, SHIFTED.replace("-", "+"), "SoftMax.forward", "at logits of 1000"),
]
SLOW_ACTIVATIONS = [
    (RELU, "np.abs(x)", "ReLU.forward", "absolute value"),
    (RELU, "np.where(x < 0, x, 0)", "ReLU.forward", "cuts off above zero"),
    (MASKED, "np.where(self.x > 0, 1, 0)", "ReLU.backward", "the mask alone"),
    (MASKED, "dout", "ReLU.backward", "not masked"),
    (MASKED, "np.where(self.x > 0, 0, dout)", "ReLU.backward", "the wrong way round"),
    (MASKED, "np.where(dout > 0, dout, 0)", "ReLU.backward", "by the sign of dout"),
    (MASKED, "np.where(self.x > 0, dout * self.x, 0)", "ReLU.backward", "by the input"),
    (TOTAL, "np.sum(powers, axis=0)", "SoftMax.forward", "over the batch"),
    (TOTAL, "np.sum(powers)", "SoftMax.forward", "over the whole batch"),
    ("powers / total", "powers", "SoftMax.forward", "rows do not sum to 1"),
    (SHIFTED, "x", "SoftMax.forward", "overflows"),
    (SHIFTED, "x - np.max(x)", "SoftMax.forward", "maximum of the whole batch"),
    (SHIFTED, "x - np.max(x, axis=0)", "SoftMax.forward", "maximum of each column"),
    (SHIFTED, "-x", "SoftMax.forward", "exp"),
    (JACOBIAN, "self.probs * dout", "SoftMax.backward", "leaves out the sum"),
    (JACOBIAN, "self.probs * (1 - self.probs) * dout", "SoftMax.backward", "diagonal"),
    (JACOBIAN, "self.probs * (dout + mean)", "SoftMax.backward", "a plus for a minus"),
    (JACOBIAN, f"-{JACOBIAN}", "SoftMax.backward", "wrong sign"),
    (MEAN, "np.sum(self.probs * dout, axis=0)", "SoftMax.backward", "sums over the batch"),
]

LOSS = "-np.sum(targets * logs) / len(targets)"
CLIPPED = "np.maximum(predictions, 1e-12)"
DZ = "(self.probs - self.targets) / len(self.targets)"
IN_PLACE = "self.probs -= self.targets\n        return self.probs / len(self.targets)"
OF_CLASSES = "(self.probs - self.targets) / self.targets.shape[1]"
LOSSES = [
    (LOSS, f"{LOSS} + 0.1", "CrossEntropy.forward", "is wrong: .* is right"),
    (LOSS, f"min({LOSS}, 4.0)", "CrossEntropy.forward", "clip is too large"),
    (LOSS, "-np.sum(targets * logs, axis=1)", "CrossEntropy.forward", "a number for each row"),
    (CLIPPED, "predictions", "CrossEntropy.forward", "not finite"),
    (f"return {DZ}", IN_PLACE, "CrossEntropy.backward", "changes its predictions in place"),
]
SLOW_LOSSES = [
    (LOSS, "-np.sum(targets * logs)", "CrossEntropy.forward", "the sum over the batch"),
    (LOSS, f"{LOSS} / targets.shape[1]", "CrossEntropy.forward", "number of classes"),
    (LOSS, "np.sum(targets * logs) / len(targets)", "CrossEntropy.forward", "wrong sign"),
    (LOSS, f"{LOSS} / np.log(10)", "CrossEntropy.forward", "base of 10"),
    (LOSS, "np.mean((predictions - targets) ** 2)", "CrossEntropy.forward", "mean square"),
    (DZ, "(self.probs - self.targets)", "CrossEntropy.backward", "is not divided by N"),
    (DZ, f"{DZ} / len(self.targets)", "CrossEntropy.backward", "divided by N.* twice"),
    (DZ, OF_CLASSES, "CrossEntropy.backward", "should be by that of the rows"),
    (DZ, f"-{DZ}", "CrossEntropy.backward", "wrong sign"),
    (DZ, "self.probs / len(self.targets)", "CrossEntropy.backward", "targets are left out"),
]

FORTH = "for layer in self.layers:"
BACK = "self.layers[-2::-1]"
STEP = "-= learning_rate * linear.grads[name]"
MOMENTUM = """step = learning_rate * linear.grads[name] + vars(linear).get(name, 0)
                linear.params[name] = linear.params[name] - step
                vars(linear)[name] = step"""
WITH_RELU = "for layer in [*self.layers[:-1], ReLU(), self.layers[-1]]:"
ONE_LAYER = "sizes = [n_inputs, *n_hidden[:1], n_classes]"
MLP = [
    ("sizes = [n_inputs, *n_hidden, n_classes]", ONE_LAYER, "MLP.__init__", "yours has 2"),
    ("return x", "return -ReLU().forward(x)", "MLP.forward", "output .* is wrong"),
    (BACK, "self.layers[-2:0:-1]", "MLP.backward", "layer 1 of 2 gets no gradient"),
    (BACK, "self.layers[-3::-1]", "MLP.backward", "begin at the last Linear"),
    ("layer.backward(dout)", "layer.backward(2 * dout)", "MLP.backward", "2 times"),
    (STEP, "+= learning_rate * linear.grads[name]", "MLP.update", "goes up the gradient"),
    (STEP, "-= linear.grads[name]", "MLP.update", "leaves out the learning rate"),
    (STEP, "-= 2 * learning_rate * linear.grads[name]", "MLP.update", "twice"),
    (STEP, "= -learning_rate * linear.grads[name]", "MLP.update", "replaces the parameters"),
    (f"linear.params[name] {STEP}", MOMENTUM, "MLP.update", "momentum"),
    ("in self.linears:", "in self.linears[1:]:", "MLP.update", "of layer 1"),
    ('["weight", "bias"]', '["weight"]', "MLP.update", "the bias of any layer"),
]
SLOW_MLP = [
    (FORTH, "for layer in self.layers[:-1]:", "MLP.forward", "softmax at the end is missing"),
    (FORTH, "for layer in [*self.linears, self.layers[-1]]:", "MLP.forward", "no ReLU"),
    (FORTH, WITH_RELU, "MLP.forward", "ReLU behind the last Linear"),
    (BACK, "self.layers[::-1]", "MLP.backward", "derivative of the softmax twice"),
    (BACK, "self.layers[-2::-2]", "MLP.backward", "not gone through ReLU.backward"),
]
QUICK = [
    *[(MODULES, *bug) for bug in LINEAR + ACTIVATIONS + LOSSES],
    *[(NETWORK, *bug) for bug in MLP],
]
SLOW = [  # test_lecture.py tells the mistakes behind these from each other, at once
    *[(MODULES, *bug) for bug in SLOW_LINEAR + SLOW_ACTIVATIONS + SLOW_LOSSES],
    *[(NETWORK, *bug) for bug in SLOW_MLP],
]
BUGS = []
for bug in QUICK + SLOW:
    _, _, _, check, says = bug
    marks = pytest.mark.slow if bug in SLOW else ()
    BUGS.append(pytest.param(*bug, id=f"{check}: {says}", marks=marks))


@pytest.fixture
def folder(tmp_path):
    copy_right(tmp_path, MODULES, NETWORK)
    return tmp_path


def only_fault(rows):
    """Return the check and the words of the one fault in the rows.

    What rests on it is not judged, and says on what it waits.
    """
    faults = faults_in(rows)
    assert len(faults) == 1, faults
    for row in rows.values():
        if row.status == "not judged":
            assert row.reason or row.rests_on, row.check
    return faults[0]


@pytest.mark.parametrize(("file", "old", "new", "check", "says"), BUGS)
def test_a_planted_bug_is_found_once_and_named(file, old, new, check, says, folder):
    replace(folder / file, old, new)
    rows, _ = rows_at(folder)
    found, words = only_fault(rows)
    assert found == check, words
    assert re.search(says, words)
    assert rows[check].faults[0].where.startswith(f"{file} line ")


CAUSES = {
    "Bias gradient missing": (BIAS, "is zero"),
    "Bias gradient averaged over the batch": (BIAS, "averaged over the batch"),
    "Weight gradient transposed and reshaped": (WEIGHT, "transposed and reshaped"),
    "Weight gradient of the batch before": (WEIGHT, "the batch before"),
    "ReLU mask missing": ("ReLU.backward", "not masked"),
    "ReLU mask inverted": ("ReLU.backward", "masked the wrong way round"),
    "ReLU mask taken from dout": ("ReLU.backward", "masked by the sign of dout"),
    "Gradient not divided by N": ("MLP.backward", "is not divided by N"),
    "Softmax Jacobian applied twice": ("MLP.backward", "derivative of the softmax twice"),
}


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_bug_of_the_catalogue_is_found_once_and_named(name, folder):
    bug = CATALOGUE[name]
    kind = bug.kind.__name__
    code = inspect.getsource(bug.backward)
    code = re.sub(r"def \w+", "def backward", code, count=1)
    code = code.replace(f"{kind}.backward(self, ", "super().backward(")
    with open(folder / (NETWORK if kind == "MLP" else MODULES), "a") as file:
        file.write(f"\n\nclass {kind}({kind}):\n{textwrap.indent(code, '    ')}")
    rows, _ = rows_at(folder)
    found, words = only_fault(rows)
    check, says = CAUSES[name]
    assert found == check
    assert says in words


@pytest.mark.parametrize("source", [ROOT, RIGHT], ids=["our own", "right"])
def test_a_right_network_is_right_in_everything(source, tmp_path):
    for name in (MODULES, NETWORK):
        (tmp_path / name).write_text((source / name).read_text())
    rows, read_as = rows_at(tmp_path)
    part_2 = [row for row in rows.values() if row.status != "to do"]
    assert len(part_2) == 15
    assert {row.status for row in part_2} == {"right"}
    assert read_as == []


# Several changes, and what is said of the rows that are not right without a note.

SEVERAL = {
    "two mistakes in one network": (
        [(MODULES, DB, "np.mean(dout, axis=0)"), (NETWORK, BACK, "self.layers[::-1]")],
        [(BIAS, "averaged"), ("MLP.backward", "softmax twice")],
    ),
    "two mistakes of one loss": (
        [(MODULES, LOSS, f"{LOSS} / targets.shape[1]"), (MODULES, CLIPPED, "predictions")],
        [("CrossEntropy.forward", "number of classes"), ("CrossEntropy.forward", "not finite")],
    ),
    "a division by N in Linear, and one in the loss": (
        [(MODULES, DW, f"{DW} / len(dout)"), (MODULES, DB, f"{DB} / len(dout)")],
        [(WEIGHT, "averaged"), (BIAS, "averaged")],
    ),
    "a leaky ReLU": (
        [
            (MODULES, RELU, "np.where(x > 0, x, 0.1 * x)"),
            (MODULES, MASKED, "np.where(self.x > 0, dout, 0.1 * dout)"),
        ],
        [("ReLU.forward", "leaky ReLU, with a slope of 0.1")],
    ),
    "a wrong derivative of another activation": (
        [
            (MODULES, "class ReLU:", "class LeakyReLU:"),
            (NETWORK, "import Linear, ReLU,", "import LeakyReLU, Linear,"),
            (NETWORK, "append(ReLU())", "append(LeakyReLU())"),
            (MODULES, RELU, "np.where(x > 0, x, 0.01 * x)"),
        ],
        [("ReLU.backward", "not the derivative")],
    ),
}


@pytest.mark.parametrize(("changes", "says"), SEVERAL.values(), ids=SEVERAL)
def test_several_faults_are_all_named(changes, says, folder):
    for file, old, new in changes:
        replace(folder / file, old, new)
    rows, _ = rows_at(folder)
    faults = faults_in(rows)
    assert [check for check, _ in faults] == [check for check, _ in says], faults
    for (_, words), (_, expected) in zip(faults, says, strict=True):
        assert expected in words


CONVENTIONS = {
    "the gradient of the probabilities, and the softmax's": [
        (MODULES, DZ, "-self.targets / self.probs / len(self.targets)"),
        (MODULES, "self.probs = predictions", "self.probs = np.maximum(predictions, 1e-12)"),
        (NETWORK, BACK, "self.layers[::-1]"),
    ],
    "a leaky ReLU, called so": [
        (MODULES, "class ReLU:", "class LeakyReLU:"),
        (NETWORK, "import Linear, ReLU,", "import LeakyReLU, Linear,"),
        (NETWORK, "append(ReLU())", "append(LeakyReLU())"),
        (MODULES, RELU, "np.where(x > 0, x, 0.07 * x)"),
        (MODULES, MASKED, "np.where(self.x > 0, dout, 0.07 * dout)"),
    ],
    "a loss of targets and predictions": [
        (MODULES, "forward(self, predictions, targets)", "forward(self, targets, predictions)"),
    ],
}


def test_a_softmax_that_fails_for_a_batch_is_no_convention(folder):
    powers = "np.sum(np.exp(x - np.max(x)), axis=1)"
    replace(folder / MODULES, TOTAL, powers)
    replace(folder / MODULES, "self.probs = powers / total", "self.probs = powers / total + 0 * x")
    rows, read_as = rows_at(folder)
    assert rows["SoftMax.forward"].status == "wrong"
    assert read_as == []


@pytest.mark.parametrize("changes", CONVENTIONS.values(), ids=CONVENTIONS)
def test_another_convention_is_right(changes, folder):
    for file, old, new in changes:
        replace(folder / file, old, new)
    rows, _ = rows_at(folder)
    assert statuses(rows) == {"right", "to do"}  # there is no perceptron and no trainer


def test_a_row_that_is_not_judged_names_the_check_that_must_be_right_first(folder):
    replace(folder / MODULES, DW, f"{DW} / len(dout)")
    rows, _ = rows_at(folder)
    assert rows["MLP.backward"].status == "not judged"
    assert rows["MLP.backward"].rests_on == WEIGHT


@pytest.mark.parametrize(
    ("old", "new", "check", "says"),
    [
        (f'"weight": {"weight"}', '"weight": None', INIT, "None"),
        ("return self.probs\n", "pass\n", "SoftMax.forward", "None"),
        (f"return {DZ}", "raise NotImplementedError", "CrossEntropy.backward", "to be written"),
        ("class ReLU:", "class Rectifier:", "ReLU.forward", "no class ReLU"),
    ],
    ids=["no weight", "no probabilities", "an error on purpose", "no class"],
)
def test_what_is_not_written_yet_is_to_do(old, new, check, says, folder):
    path = folder / MODULES
    path.write_text(path.read_text().replace(old, new, 1))
    rows, _ = rows_at(folder)
    assert rows[check].status == "to do"
    assert says in rows[check].reason
    assert faults_in(rows) == []
