"""The playground's data sets: what they are made of, and the best accuracy that can be had."""

from statistics import NormalDist

import numpy as np
import pytest

from playground.problems import PROBLEMS, bayes_accuracy, load_problem
from train_mlp_numpy import load_data


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_row_is_one_of_the_places_of_its_class_plus_noise(name):
    places = load_problem(name, noise=0)
    data = load_problem(name, noise=0.01, seed=3)
    assert len(data.x_train) == 800
    assert len(data.x_test) == 200
    centers = np.vstack([places.x_train, places.x_test])
    classes = np.vstack([places.y_train, places.y_test])
    x = np.vstack([data.x_train, data.x_test])
    y = np.vstack([data.y_train, data.y_test])
    distances = np.linalg.norm(x[:, None] - centers, axis=-1)
    assert np.array_equal(classes[distances.argmin(axis=1)], y)
    assert distances.min(axis=1).max() < 0.06
    assert y.sum(axis=0) == pytest.approx(1000 / y.shape[1], abs=1)


def test_the_data_set_has_the_noise_and_the_seed_that_it_was_asked_for():
    places = load_problem("xor", 0, seed=5, n_samples=4000)
    rows = load_problem("xor", 0.3, seed=5, n_samples=4000)
    assert np.std(rows.x_train - places.x_train) == pytest.approx(0.3, rel=0.03)
    assert not np.array_equal(rows.x_train, load_problem("xor", 0.3, 6, 4000).x_train)
    assert not np.array_equal(places.y_train, load_problem("xor", 0, 6, 4000).y_train)  # the split
    assert np.array_equal(load_problem("moons", 0.1, 7).x_test, load_data(noise=0.1, seed=7).x_test)


def test_a_data_set_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="'nonsense'"):
        load_problem("nonsense")


def test_opposite_quadrants_are_of_one_class():
    data = load_problem("xor", noise=0)
    rows = np.column_stack([data.x_test, data.y_test])
    assert np.unique(rows, axis=0).tolist() == [
        [-0.5, -0.5, 1, 0],
        [-0.5, 0.5, 0, 1],
        [0.5, -0.5, 0, 1],
        [0.5, 0.5, 1, 0],
    ]


def test_an_arm_of_the_spiral_is_the_other_one_turned_by_half_a_circle():
    data = load_problem("spiral", noise=0, n_samples=2000)
    x = np.vstack([data.x_train, data.x_test])
    y = np.vstack([data.y_train, data.y_test])
    arm = x[y[:, 0] == 1]
    other = x[y[:, 1] == 1]
    distances = np.linalg.norm(arm[:, None] + other, axis=-1)
    assert distances.min(axis=1).max() < 0.01
    assert np.linalg.norm(arm[:, None] - other, axis=-1).min() > 0.3  # they never meet


def test_the_best_rule_is_as_good_as_theory_says():
    one_axis = NormalDist().cdf(0.5 / 0.4)  # that noise of 0.4 leaves a coordinate its sign
    data = load_problem("xor", noise=0.4, n_samples=6000)
    expected = one_axis**2 + (1 - one_axis) ** 2
    assert bayes_accuracy("xor", 0.4, data) == pytest.approx([expected] * 2, abs=0.02)
    assert bayes_accuracy("moons", 0.2, load_data()) == [0.9725, 0.975]
    assert bayes_accuracy("spiral", 0, load_problem("spiral", 0)) == [1, 1]
