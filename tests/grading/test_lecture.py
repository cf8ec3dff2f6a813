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


def leaky(z, passes):
    """Return pairs of words and values, for each slope of a leaky ReLU: `passes` where z > 0."""
    pairs = []
    for slope in lecture.SLOPES:
        factors = np.where(z > 0, 1, slope)
        pairs.append((f"slope of {slope}", factors * passes))
    return pairs


def normalised_otherwise(shift):
    """Return pairs of words and values of a softmax that is not normalised in each row."""
    powers = np.exp(Z - shift)
    return [
        ("over the batch (axis 0)", powers / sum(powers)),
        ("over the whole batch", powers / np.sum(powers)),
        ("is not normalised", powers),
    ]


# A formula: what the lecture makes of its inputs, the right value, and for each mistake, in the
# order of lecture.py, some of its words and its value.
FORMULAS = {
    "linear_forward": (
        lecture.linear_forward(X, WEIGHT, BIAS),
        X @ WEIGHT + BIAS,
        [
            ("forgets the bias", X @ WEIGHT),
            ("subtracts the bias", X @ WEIGHT - BIAS),
            ("the ReLU's work", (X @ WEIGHT + BIAS).clip(0)),
        ],
    ),
    "weight_gradient": (
        lecture.weight_gradient(X, DOUT),
        DW,
        [
            ("averaged over the batch", DW / N),
            ("is transposed:", DW.T),
            ("transposed and reshaped", DW.T.reshape(3, 4)),
            ("first row", np.outer(X[0], DOUT[0])),
            ("last row", np.outer(X[-1], DOUT[-1])),
            ("magnitude of x", np.abs(X).T @ DOUT),
        ],
    ),
    "bias_gradient": (
        lecture.bias_gradient(DOUT),
        DB,
        [
            ("averaged over the batch", DB / N),
            ("over the outputs", DOUT @ np.ones(4)),
            ("not summed", DOUT),
            ("first row", DOUT[0]),
            ("last row", DOUT[-1]),
            ("one number", np.array(DB.sum())),
            ("the same for all", DB.sum() * np.ones(4)),
        ],
    ),
    "input_gradient": (
        lecture.input_gradient(X, DOUT, WEIGHT),
        DOUT @ WEIGHT.T,
        [
            ("gradient of the weight", DOUT @ DW.T),
            ("averaged", DOUT @ WEIGHT.T / N),
            ("is transposed", WEIGHT @ DOUT.T),
            ("is dout", DOUT),
        ],
    ),
    "relu_forward": (
        lecture.relu_forward(Z),
        Z.clip(0),
        [
            ("absolute value", np.sqrt(Z**2)),
            ("above zero", -(-Z).clip(0)),
            ("negative values pass", Z),
            ("is 1 where", np.heaviside(Z, 0)),
            ("sigmoid", 1 / (1 + np.exp(-Z))),
            ("tanh", 2 / (1 + np.exp(-2 * Z)) - 1),
            *leaky(Z, Z),
        ],
    ),
    "relu_backward": (
        lecture.relu_backward(Z, DOUT),
        np.where(Z > 0, DOUT, 0),
        [
            ("is not masked", DOUT),
            ("wrong way round", np.where(Z > 0, 0, DOUT)),
            ("sign of dout", DOUT.clip(0)),
            ("mask alone", np.heaviside(Z, 0)),
            ("by the input", Z.clip(0) * DOUT),
            ("by the input", Z * DOUT),
            *leaky(Z, DOUT),
        ],
    ),
    "softmax_forward": (
        lecture.softmax_forward(Z),
        P,
        [
            ("maximum of each column", softmax(Z - Z.max(axis=0))),
            ("takes exp(-x)", softmax(-Z)),
            ("holds the logits", Z),
            *normalised_otherwise(0),
            *normalised_otherwise(np.array([[max(row)] for row in Z])),
            *normalised_otherwise(np.max(Z)),
        ],
    ),
    "softmax_backward": (
        lecture.softmax_backward(P, DOUT),
        P * (DOUT - INNER),
        [
            ("only the diagonal", P * (1 - P) * DOUT),
            ("leaves out the sum", P * DOUT),
            ("sums over the batch", P * (DOUT - np.sum(P * DOUT, axis=0))),
            ("sums over everything", P * (DOUT - INNER.sum())),
            ("forgets the factor p", DOUT - INNER),
            ("a plus for a minus", P * (DOUT + INNER)),
        ],
    ),
    "cross_entropy": (
        lecture.cross_entropy(P, Y),
        LOSS,
        [
            ("is the sum over the batch", N * LOSS),
            ("by N and by the number of classes", LOSS / 4),
            ("by that of the rows", N * LOSS / 4),
            ("wrong sign, and is not averaged", -N * LOSS),
            ("base of 10", -np.log10(P[range(N), LABELS]).mean()),
            ("leaves out the logarithm", -P[range(N), LABELS].mean()),
            ("mean square", np.square(P - Y).mean()),
            ("that of two classes", -(Y * np.log(P) + (1 - Y) * np.log(1 - P)).sum() / N),
        ],
    ),
    "cross_entropy_gradient": (
        lecture.cross_entropy_gradient(P, Y),
        DZ,
        [
            ("is not divided by N", P - Y),
            ("by N, the size of the batch, twice", (P - Y) / N**2),
            ("by that of the rows", (P - Y) / 4),
            ("by N and by the number of classes", (P - Y) / (4 * N)),
            ("wrong sign, and is not divided", Y - P),
            ("is not divided by N", -Y / P),
            ("has the wrong sign", Y / P / N),
            ("wrong sign, and is not divided", Y / P),
            ("is p, not p - y", P / N),
            ("is p, not p - y", P),
            ("mean square", 2 * DZ),
        ],
    ),
    "mlp_forward": (
        lecture.mlp_forward(PARAMETERS, X),
        softmax(LOGITS),
        [
            ("softmax at the end is missing", LOGITS),
            ("no ReLU", softmax(LINEAR_LOGITS)),
            ("behind the last Linear", softmax(LOGITS.clip(0))),
            ("softmax twice", softmax(softmax(LOGITS))),
            ("sigmoids", 1 / (1 + np.exp(-LOGITS))),
        ],
    ),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_each_known_mistake_is_named(name):
    (right, mistakes), right_value, wrong_values = FORMULAS[name]
    assert np.allclose(right, right_value)
    for (words, value), (key, wrong_value) in zip(mistakes, wrong_values, strict=True):
        assert key in words
        assert np.shape(value) == np.shape(wrong_value)
        assert np.allclose(value, wrong_value), words
        assert fault_of("", wrong_value, (right, mistakes)).words.startswith(words)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_right_value_is_no_mistake(name):
    formula, value, _ = FORMULAS[name]
    assert fault_of("", value, formula) is None


def test_zero_and_the_wrong_sign_are_named_for_any_formula():
    formula = lecture.weight_gradient(X, DOUT)
    assert "is zero" in fault_of("", 0 * DW, formula).words
    assert "wrong sign" in fault_of("", -DW, formula).words


def test_the_softmax_of_large_logits_and_its_known_mistakes_fail_where_they_should():
    z = np.array([[1000.0, 0, -1000], [-1000, -1001, -1002], [1, 2, 3]])
    rows_that_fail = {
        "overflows": [True, True, False],
        "maximum of the whole batch": [False, True, True],
        "each row's mean": [True, False, False],
    }
    with np.errstate(all="ignore"):
        right, mistakes = lecture.softmax_of_large_logits(z)
    assert np.allclose(right, softmax(z - z.max(axis=1, keepdims=True)))
    for (words, value), (key, fails) in zip(mistakes, rows_that_fail.items(), strict=True):
        assert key in words
        assert np.isnan(value).any(axis=1).tolist() == fails


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
    p = np.array(
        [
            [1, 0, 0],
            [0.4, 0.3, 0.3],  # right, but below 1/2
            [0.1, 0.3, 0.6],  # wrong
            [0.2, 0.5, 0.3],  # wrong
            [0.9, 0.1, 0],
            [0.1, 0.8, 0.1],
            [0.2, 0.1, 0.7],
        ]
    )
    y = np.eye(3)[[0, 0, 1, 2, 0, 1, 2]]
    expected = {
        "the number of rows": 5,
        "wrong rows": 2 / 7,
        "rounds the probabilities": 4 / 7,
        "every element with 1/2, not": 17 / 21,
        "compares every element, not": 4 / 21,
        "and divides by the rows": 17 / 7,
        "one class alone": 6 / 7,
        "the smallest prediction": 0,
        "each column": 1 / 3,
        "by the number of classes": 5 / 3,
    }
    right, mistakes = lecture.accuracy(p, y)
    assert right == 5 / 7
    assert len(mistakes) == 2 * len(expected)  # also in per cent
    in_per_cent = mistakes[len(expected) :]
    for i, (key, value) in enumerate(expected.items()):
        assert key in mistakes[i][0]
        assert mistakes[i][1] == pytest.approx(value), key
        assert in_per_cent[i] == (mistakes[i][0], pytest.approx(100 * value))
