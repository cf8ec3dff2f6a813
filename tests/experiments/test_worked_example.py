"""One point taken through a tiny network: the table shows what a pencil gives."""

import html
import re

import numpy as np
import pytest

from experiments.worked_example import worked_example

X = [1, 2]
Y = [0, 1]
WEIGHT_1 = [[1, 0, -1], [0.5, -1, 1]]
BIAS_1 = [0, 0.5, 0]
WEIGHT_2 = [[0.5, -0.5], [-1, 1], [-0.5, 1]]
BIAS_2 = [0, 0]
LEARNING_RATE = 0.1

P = 1 / (1 + np.exp(-0.5))  # the probability of class 0: the logits are 0.5 and 0


@pytest.fixture(scope="module")
def shown():
    """Return the numbers of the table, as a matrix for each formula, by what it gives: a, h, ..."""
    table = worked_example(X, Y, WEIGHT_1, BIAS_1, WEIGHT_2, BIAS_2, LEARNING_RATE).data
    without_css = re.sub(' style="[^"]*"', "", table)
    cells = re.findall("<i>(.*?)</i>.*?<pre>(.*?)</pre>", without_css)
    matrices = {}
    for formula, numbers in cells:
        name = html.unescape(formula).split()[0]
        rows = []
        for line in numbers.split("<br>"):
            rows.append([float(number) for number in line.split()])
        matrices[name] = np.array(rows)
    return matrices


def close_to(matrix):
    """What a matrix is when it is rounded to four places."""
    return pytest.approx(np.array(matrix), abs=6e-5)


def test_the_way_forward_is_what_a_pencil_gives(shown):
    assert shown["x"].tolist() == [[1, 2]]
    assert shown["y"].tolist() == [[0, 1]]
    assert shown["a"].tolist() == [[1 + 1, -2 + 0.5, -1 + 2]]
    assert shown["h"].tolist() == [[2, 0, 1]]  # the second unit is silent
    assert shown["z"].tolist() == [[2 * 0.5 - 0.5, -2 * 0.5 + 1]]
    assert shown["p"] == close_to([[P, 1 - P]])
    assert shown["L"] == close_to([[-np.log(1 - P)]])


def test_the_way_back_is_what_a_pencil_gives(shown):
    assert shown["dz"] == close_to([[P, -P]])
    assert shown["dW₂"] == close_to([[2 * P, -2 * P], [0, 0], [P, -P]])
    assert shown["db₂"] == close_to([[P, -P]])
    assert shown["dh"] == close_to([[P / 2 + P / 2, -P - P, -P / 2 - P]])
    assert shown["da"] == close_to([[P, 0, -1.5 * P]])
    assert shown["dW₁"] == close_to([[P, 0, -1.5 * P], [2 * P, 0, -3 * P]])
    assert shown["db₁"] == close_to([[P, 0, -1.5 * P]])


def test_after_the_update_it_is_what_the_changed_parameters_give(shown):
    weight_1 = WEIGHT_1 - LEARNING_RATE * shown["dW₁"]
    bias_1 = BIAS_1 - LEARNING_RATE * shown["db₁"]
    weight_2 = WEIGHT_2 - LEARNING_RATE * shown["dW₂"]
    bias_2 = BIAS_2 - LEARNING_RATE * shown["db₂"]
    h = np.maximum(0, X @ weight_1 + bias_1)
    powers = np.exp(h @ weight_2 + bias_2)
    p = powers / powers.sum()
    assert shown["p,"] == pytest.approx(p, abs=2e-4)
    assert shown["L,"] == pytest.approx(-np.log(p[:, 1:]), abs=2e-4)
