"""Part I: the report's figures, and claims about the perceptron's mathematics."""

import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

from gradient_check import numerical_gradient
from perceptron import (
    CASES,
    Perceptron,
    Result,
    bayes_accuracy,
    generate_dataset,
    print_table,
    run_cases,
)


def test_seed_42_reproduces_the_report_to_the_digit():
    results = run_cases(42)
    assert [result.test_accuracy for result in results] == [1.000, 0.525, 0.850, 0.375]
    assert [result.history["converged_epoch"] for result in results] == [1, None, None, None]
    assert [round(result.train_accuracy, 3) for result in results] == [1.0, 0.706, 0.769, 0.525]


def test_another_seed_gives_other_figures():
    accuracies = [result.test_accuracy for result in run_cases(43)]
    assert accuracies != [1.000, 0.525, 0.850, 0.375]


def test_a_data_set_has_100_points_of_each_class_split_160_to_40():
    train_points, train_labels, test_points, test_labels = generate_dataset([2, 2, 2], [0, 0, 0])
    assert train_points.shape == (160, 3)
    assert test_points.shape == (40, 3)
    labels = np.concatenate([train_labels, test_labels])
    assert sorted(labels) == [-1] * 100 + [1] * 100
    assert list(labels) != sorted(labels)  # pooled and shuffled


def test_points_follow_the_gaussian_of_their_label():
    points, labels, *_ = generate_dataset([50, 0], [-50, 10], cov_scale=4.0, rng=0)
    assert np.array_equal(points[:, 0] > 0, labels == 1)
    positive = points[labels == 1]
    assert positive.mean(axis=0) == pytest.approx([50, 0], abs=1)
    assert np.cov(positive.T) == pytest.approx(4.0 * np.eye(2), abs=1.5)


@pytest.mark.parametrize("make_rng", [np.random.RandomState, np.random.default_rng, int])
def test_the_same_seed_draws_the_same_bits(make_rng):
    first, second = (generate_dataset([1, 1], [0, 0], 1.0, make_rng(7)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(a, b)


def test_randomness_is_passed_in():
    before = pickle.dumps(np.random.get_state())
    rng = np.random.RandomState(7)
    first, *_ = generate_dataset([1, 1], [0, 0], 1.0, rng)
    second, *_ = generate_dataset([1, 1], [0, 0], 1.0, rng)
    assert not np.array_equal(first, second)  # the generator went on
    assert pickle.dumps(np.random.get_state()) == before


def test_sign_of_zero_is_plus_one():
    perceptron = Perceptron(2)
    assert perceptron.forward([[0.3, -5.0]]).tolist() == [1]
    label = perceptron.forward([0.3, -5.0])  # a single point, a single label
    assert label == 1
    assert np.shape(label) == ()


def test_the_bias_is_the_last_weight():
    perceptron = Perceptron(2)
    perceptron.weights = np.array([1.0, 2.0, -3.0])
    assert perceptron.forward([[1.0, 1.0], [1.0, 0.9], [0.0, 2.0]]).tolist() == [1, -1, 1]


def test_two_epochs_worked_by_hand():
    # With zero weights every point is predicted +1: the two points of class -1 are wrong. The
    # averaged gradient is ([1, 3] + [3, 1]) / 2 = [2, 2] and 1 for the bias.
    x, labels = [[4.0, 4.0], [1.0, 3.0], [3.0, 1.0]], [1, -1, -1]
    perceptron = Perceptron(2, max_epochs=1, learning_rate=0.5)
    history = perceptron.train(x, labels)
    assert perceptron.weights.tolist() == [-1.0, -1.0, -0.5]
    assert history["misclassified"].tolist() == [2]
    assert history["loss"].tolist() == [0.0]
    # Now [4, 4] alone is wrong, by w.x + b = -8.5; its gradient is -[4, 4] and -1.
    history = perceptron.train(x, labels)
    assert perceptron.weights.tolist() == [1.0, 1.0, 0.0]
    assert history["misclassified"].tolist() == [1]
    assert history["loss"].tolist() == [8.5]
    assert history["converged_epoch"] is None


def test_a_step_follows_the_gradient_of_the_loss():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(30, 3)), rng.choice([-1, 1], 30)
    start = rng.normal(size=4)

    def loss(weights):
        signed = labels * (x @ weights[:-1] + weights[-1])
        return -float(signed[signed < 0].sum())

    perceptron = Perceptron(3, max_epochs=1, learning_rate=0.1)
    perceptron.weights = start.copy()
    history = perceptron.train(x, labels)
    n_wrong = int(np.sum(labels * (x @ start[:-1] + start[-1]) < 0))
    step = -0.1 * numerical_gradient(loss, start) / n_wrong
    assert history["misclassified"].tolist() == [n_wrong]
    assert history["loss"] == pytest.approx([loss(start)])
    assert perceptron.weights - start == pytest.approx(step, rel=1e-8)


def test_training_stops_at_the_first_epoch_without_errors():
    perceptron = Perceptron(1, max_epochs=50, learning_rate=1.0)
    history = perceptron.train([[2.0], [-1.0]], [1, -1])
    assert history["converged_epoch"] == len(history["misclassified"]) - 1
    assert history["misclassified"][-1] == 0
    assert (history["misclassified"][:-1] > 0).all()
    assert perceptron.forward([[2.0], [-1.0]]).tolist() == [1, -1]


def test_training_gives_up_after_max_epochs():
    history = Perceptron(1, max_epochs=7).train([[1.0], [1.0]], [1, -1])
    assert history["converged_epoch"] is None
    assert len(history["misclassified"]) == len(history["loss"]) == 7


def test_training_changes_none_of_its_arguments():
    x, labels, *_ = generate_dataset([1, 1], [0, 0], 1.0, 0)
    kept_x, kept_labels = x.copy(), labels.copy()
    perceptron = Perceptron(2)
    weights = perceptron.weights
    perceptron.train(x, labels)
    assert np.array_equal(x, kept_x)
    assert np.array_equal(labels, kept_labels)
    assert not weights.any()


def test_bayes_accuracy_of_the_four_cases():
    accuracies = [bayes_accuracy(*case[1:]) for case in CASES]
    assert accuracies == pytest.approx([1.000, 0.691, 0.841, 0.550], abs=5e-4)


def test_bayes_accuracy_is_what_the_nearest_mean_reaches():
    positive, negative, cov_scale = np.array([1.0, 0.0]), np.array([0.0, 2.0]), 1.5
    rng = np.random.default_rng(0)
    points = positive + math.sqrt(cov_scale) * rng.normal(size=(200_000, 2))
    right = np.linalg.norm(points - positive, axis=1) < np.linalg.norm(points - negative, axis=1)
    # The standard error of the share is 0.001.
    assert right.mean() == pytest.approx(bayes_accuracy(positive, negative, cov_scale), abs=0.004)


def test_weights_that_overflow_end_training_with_the_epoch():
    perceptron = Perceptron(1, learning_rate=1e308)
    with pytest.raises(FloatingPointError, match=r"after epoch 0: try a learning rate smaller"):
        perceptron.train([[100.0], [-1.0]], [-1, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generate_dataset([1, 2], [1]), r"same length, got shapes \(2,\) and \(1,\)"),
        (lambda: generate_dataset([], []), "vectors of the same length"),
        (lambda: generate_dataset([np.nan], [1]), "means must be finite"),
        (lambda: generate_dataset([1], [2], 0), "cov_scale must be a finite number above 0, got 0"),
        (lambda: generate_dataset([1], [2], np.inf), "cov_scale must be .* got inf"),
        (lambda: bayes_accuracy([1], [2], -1), "cov_scale must be .* got -1"),
        (lambda: Perceptron(0), "n_inputs must be a whole number of at least 1, got 0"),
        (lambda: Perceptron(2, max_epochs=1.5), "max_epochs must be .* got 1.5"),
        (lambda: Perceptron(2, learning_rate=0), "learning_rate must be .* got 0"),
        (lambda: Perceptron(2).forward([[1.0]]), r"points must have shape \(N, 2\), got \(1, 1\)"),
        (lambda: Perceptron(1).forward([[np.inf]]), "points must be finite"),
        (lambda: Perceptron(1).train([[1.0]], [0]), r"labels must be \+1 or -1, got 0"),
        (lambda: Perceptron(1).train([[1.0]] * 4, [1, -1, 2, 3]), r"labels must be .* got 2;"),
        (lambda: Perceptron(1).train([[1.0]], [np.nan]), r"labels must be \+1 or -1, got nan"),
        (
            lambda: Perceptron(1).train([[1.0]], [1, 1]),
            r"labels must have shape \(1,\), got \(2,\)",
        ),
        (lambda: Perceptron(1).train([[np.nan]], [1]), "points must be finite"),
        (lambda: Perceptron(1).train(np.empty((0, 1)), []), "no points to train on"),
    ],
)
def test_bad_input_is_a_value_error_that_says_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_defaults_are_the_report_s():
    perceptron = Perceptron(2)
    assert (perceptron.max_epochs, perceptron.learning_rate) == (100, 0.01)
    drawn = generate_dataset([2, 2], [0, 0], rng=0), generate_dataset([2, 2], [0, 0], 0.5, rng=0)
    assert all(map(np.array_equal, *drawn))


def test_numbers_of_any_kind_will_do():
    half = Fraction(1, 2)
    drawn = [generate_dataset([m, 2], [0, m], rng=0) for m in (half, 0.5)]
    assert all(map(np.array_equal, *drawn))
    assert bayes_accuracy([half], [0], 1.0) == bayes_accuracy([0], [half], 1.0)
    assert bayes_accuracy([half], [0], 1.0) == bayes_accuracy([0.5], [0.0], 1.0)
    perceptron = Perceptron(1)
    perceptron.train([[half], [-half]], [1, -1])
    assert perceptron.forward([[half], [-half]]).tolist() == [1, -1]
    assert perceptron.forward([-half]) == -1


def test_weights_that_overflow_are_one_error_and_no_warning():
    perceptron = Perceptron(2, learning_rate=1e308)
    with pytest.raises(
        FloatingPointError, match=r"w\.x \+ b is no longer finite after epoch 0: try a"
    ):
        perceptron.train([[-50.0, 0.0], [0.0, 1.0]], [-1, 1])  # 0 times infinity is one


RESULT = Result(CASES[0], *5 * [None], {"converged_epoch": 3}, 0.25, 0.5, 0.75)
NEVER = RESULT._replace(case=CASES[3], history={"converged_epoch": None})


def test_the_table_has_a_line_for_each_case(capsys):
    print_table([RESULT, NEVER], 7)
    assert capsys.readouterr().out == (
        "case                           converged         train   test  Bayes\n"
        "1 Separable                    at epoch 3        0.250  0.500  0.750\n"
        "2 Close means + high variance  not in 7          0.250  0.500  0.750\n"
    )


@pytest.mark.parametrize(
    ("repeats", "ends"),
    [
        ([[0.5, 1.0], [0.7, 1.0]], ["0.600  0.141", "1.000  0.000"]),  # of a sample: N - 1
        ([[0.5, 1.0], [0.6, 0.9], [0.7, 0.5]], ["0.600  0.100", "0.800  0.265"]),
        ([[0.5, 1.0]], ["0.500  -", "1.000  -"]),
    ],
)
def test_repeats_add_the_mean_and_the_deviation(capsys, repeats, ends):
    print_table([RESULT, NEVER], 7, np.array(repeats))
    heading, *lines = capsys.readouterr().out.splitlines()
    columns = "case                           converged         train   test  Bayes   "
    assert heading == f"{columns}test, mean and std of {len(repeats)} seeds"
    starts = [
        "1 Separable                    at epoch 3        0.250  0.500  0.750   ",
        "2 Close means + high variance  not in 7          0.250  0.500  0.750   ",
    ]
    assert lines == [start + end for start, end in zip(starts, ends, strict=True)]
