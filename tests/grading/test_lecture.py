"""If a value is what a known mistake gives, the grader names the mistake.

The values are computed again here, with another formula where there is one.
"""

import numpy as np
import pytest

from grading import lecture
from grading.part_2.judge_layers import fault_of

RNG = np.random.default_rng(0)
N = 5
X = RNG.normal(size=(N, 3))
WEIGHT = RNG.normal(size=(3, 4))
BIAS = RNG.normal(size=4)
DOUT = RNG.normal(size=(N, 4))
Z = RNG.normal(size=(N, 4))
POWERS = np.exp(Z)
P = POWERS / POWERS.sum(axis=1, keepdims=True)
LABELS = np.array([0, 1, 2, 3, 1])
Y = np.eye(4)[LABELS]
LOSS = sum(-np.log(P[i, label]) for i, label in enumerate(LABELS)) / N
DZ = (P - Y) / N
DW = sum(np.outer(X[i], DOUT[i]) for i in range(N))
DB = sum(DOUT)
INNER = np.array([[np.dot(P[i], DOUT[i])] for i in range(N)])  # of p and dout, in each row
PARAMETERS = [(RNG.normal(size=(3, 6)), RNG.normal(size=6)), (RNG.normal(size=(6, 4)), BIAS)]
HIDDEN = X @ PARAMETERS[0][0] + PARAMETERS[0][1]
LOGITS = HIDDEN.clip(0) @ PARAMETERS[1][0] + BIAS
LINEAR_LOGITS = HIDDEN @ PARAMETERS[1][0] + BIAS


def softmax(z):
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


# A formula: what the lecture makes of its inputs, the right value, and values by the mistake.
FORMULAS = {
    "linear_forward": (
        lecture.linear_forward(X, WEIGHT, BIAS),
        X @ WEIGHT + BIAS,
        {
            "forgets the bias": X @ WEIGHT,
            "subtracts the bias": X @ WEIGHT - BIAS,
            "the ReLU's work": (X @ WEIGHT + BIAS).clip(0),
        },
    ),
    "weight_gradient": (
        lecture.weight_gradient(X, DOUT),
        DW,
        {
            "averaged over the batch": DW / N,
            "is transposed:": DW.T,
            "transposed and reshaped": DW.T.reshape(3, 4),
            "first row": np.outer(X[0], DOUT[0]),
            "last row": np.outer(X[-1], DOUT[-1]),
            "magnitude of x": np.abs(X).T @ DOUT,
            "is zero": 0 * DW,
            "wrong sign": -DW,
        },
    ),
    "bias_gradient": (
        lecture.bias_gradient(DOUT),
        DB,
        {
            "averaged over the batch": DB / N,
            "over the outputs": DOUT @ np.ones(4),
            "not summed": DOUT,
            "first row": DOUT[0],
            "last row": DOUT[-1],
            "one number": np.array(DB.sum()),
            "the same for all": DB.sum() * np.ones(4),
        },
    ),
    "input_gradient": (
        lecture.input_gradient(X, DOUT, WEIGHT),
        DOUT @ WEIGHT.T,
        {
            "gradient of the weight": DOUT @ DW.T,
            "averaged": DOUT @ WEIGHT.T / N,
            "is transposed": WEIGHT @ DOUT.T,
            "is dout": DOUT,
        },
    ),
    "relu_forward": (
        lecture.relu_forward(Z),
        Z.clip(0),
        {
            "absolute value": np.sqrt(Z**2),
            "above zero": -(-Z).clip(0),
            "negative values pass": Z,
            "is 1 where": np.heaviside(Z, 0),
            "sigmoid": 1 / (1 + np.exp(-Z)),
            "tanh": 2 / (1 + np.exp(-2 * Z)) - 1,
            "slope of 0.02": Z.clip(0) - 0.02 * (-Z).clip(0),
            "slope of 0.2": Z.clip(0) - 0.2 * (-Z).clip(0),
        },
    ),
    "relu_backward": (
        lecture.relu_backward(Z, DOUT),
        np.where(Z > 0, DOUT, 0),
        {
            "is not masked": DOUT,
            "wrong way round": np.where(Z > 0, 0, DOUT),
            "sign of dout": DOUT.clip(0),
            "mask alone": np.heaviside(Z, 0),
            "by the input": Z * DOUT,
            "slope of 0.1": np.where(Z > 0, 1, 0.1) * DOUT,
        },
    ),
    "softmax_forward": (
        lecture.softmax_forward(Z),
        P,
        {
            "maximum of each column": softmax(Z - Z.max(axis=0)),
            "takes exp(-x)": softmax(-Z),
            "holds the logits": Z,
            "over the batch (axis 0)": POWERS / POWERS.sum(axis=0),
            "over the whole batch": POWERS / POWERS.sum(),
            "is not normalised": POWERS,
        },
    ),
    "softmax_backward": (
        lecture.softmax_backward(P, DOUT),
        P * (DOUT - INNER),
        {
            "only the diagonal": P * (1 - P) * DOUT,
            "leaves out the sum": P * DOUT,
            "sums over the batch": P * (DOUT - np.sum(P * DOUT, axis=0)),
            "sums over everything": P * (DOUT - INNER.sum()),
            "forgets the factor p": DOUT - INNER,
            "a plus for a minus": P * (DOUT + INNER),
        },
    ),
    "cross_entropy": (
        lecture.cross_entropy(P, Y),
        LOSS,
        {
            "is the sum over the batch": N * LOSS,
            "by N and by the number of classes": LOSS / 4,
            "by that of the rows": N * LOSS / 4,
            "wrong sign, and is not averaged": -N * LOSS,
            "base of 10": -np.log10(P[range(N), LABELS]).mean(),
            "leaves out the logarithm": -P[range(N), LABELS].mean(),
            "mean square": np.square(P - Y).mean(),
            "that of two classes": -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).sum() / N,
            "has the wrong sign": -LOSS,
        },
    ),
    "cross_entropy_gradient": (
        lecture.cross_entropy_gradient(P, Y),
        DZ,
        {
            "is not divided by N": P - Y,
            "by N, the size of the batch, twice": (P - Y) / N**2,
            "by that of the rows": (P - Y) / 4,
            "by N and by the number of classes": (P - Y) / (4 * N),
            "wrong sign, and is not divided": Y - P,
            "is p, not p - y": P / N,
            "mean square": 2 * DZ,
            "has the wrong sign": -DZ,
        },
    ),
    "mlp_forward": (
        lecture.mlp_forward(PARAMETERS, X),
        softmax(LOGITS),
        {
            "softmax at the end is missing": LOGITS,
            "no ReLU": softmax(LINEAR_LOGITS),
            "behind the last Linear": softmax(LOGITS.clip(0)),
            "softmax twice": softmax(softmax(LOGITS)),
            "sigmoids": 1 / (1 + np.exp(-LOGITS)),
        },
    ),
}
MISTAKES = []
for name, (formula, _, values) in FORMULAS.items():
    for words, value in values.items():
        MISTAKES.append(pytest.param(formula, words, value, id=f"{name}: {words}"))


@pytest.mark.parametrize(("formula", "words", "value"), MISTAKES)
def test_a_known_mistake_is_named(formula, words, value):
    assert words in fault_of("", value, formula).words


@pytest.mark.parametrize("name", FORMULAS)
def test_the_right_value_is_no_mistake(name):
    formula, value, _ = FORMULAS[name]
    assert fault_of("", value, formula) is None


@pytest.mark.parametrize("name", FORMULAS)
def test_each_mistake_in_lecture_py_is_tried_here(name):
    (_, mistakes), _, values = FORMULAS[name]
    for words, _ in mistakes:
        is_here = any(key in words for key in values)
        assert is_here or lecture.LEAKY in words, words  # of the slopes, a few are tried


def test_the_gradients_of_a_network_and_of_its_known_mistakes_differ_as_they_should():
    p = softmax(LOGITS)
    dz = (p - Y) / N
    through_softmax = p * (dz - (p * dz).sum(axis=1, keepdims=True))
    (weight, _) = PARAMETERS[1]
    expected = {
        "ReLU.backward": X.T @ (dz @ weight.T),
        "the softmax twice": X.T @ (through_softmax @ weight.T * (HIDDEN > 0)),
        "lacks the derivative": X.T @ (-Y / p / N @ weight.T * (HIDDEN > 0)),
        "behind the last Linear": X.T @ ((dz * (LOGITS > 0)) @ weight.T * (HIDDEN > 0)),
    }
    right, mistakes = lecture.mlp_gradients(PARAMETERS, X, Y)
    assert np.allclose(right[0][0], X.T @ (dz @ weight.T * (HIDDEN > 0)))
    for (words, gradients), (key, value) in zip(mistakes, expected.items(), strict=True):
        assert key in words
        assert np.allclose(gradients[0][0], value)


def test_the_accuracy_and_those_of_its_known_mistakes_are_what_they_should_be():
    p = np.array([[1, 0, 0], [0.4, 0.3, 0.3], [0.1, 0.3, 0.6], [0.2, 0.5, 0.3], [0.9, 0.1, 0]])
    y = np.eye(3)[[0, 0, 1, 2, 0]]
    # Rows 1, 2 and 5 are right. In row 2, the largest probability is below 1/2.
    expected = {
        "the number of rows": 3,
        "wrong rows": 2 / 5,
        "rounds the probabilities": 2 / 5,
        "every element with 1/2, not": 11 / 15,
        "compares every element, not": 4 / 15,
        "and divides by the rows": 11 / 5,
        "one class alone": 4 / 5,
        "the smallest prediction": 0,
        "each column": 1 / 3,
        "by the number of classes": 3 / 3,
    }
    right, mistakes = lecture.accuracy(p, y)
    assert right == 3 / 5
    in_per_cent = mistakes[len(expected) :]
    for i, (key, value) in enumerate(expected.items()):
        assert key in mistakes[i][0]
        assert mistakes[i][1] == pytest.approx(value), key
        assert in_per_cent[i] == (mistakes[i][0], pytest.approx(100 * value))
