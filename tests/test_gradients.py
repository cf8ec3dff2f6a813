"""Every gradient against finite differences; a slip in modules.py shows here first, by its name."""

import math
import sys
from functools import cache

import numpy as np
import pytest

import gradient_check
import mlp_numpy
from experiments.gradient_bugs import BUGS, gradient_error
from gradient_check import (
    LIMIT,
    check_all,
    check_layer,
    check_network,
    check_softmax_cross_entropy,
    error_text,
    numerical_gradient,
    relative_error,
    table,
)
from modules import Linear, ReLU, SoftMax


@cache
def five_checks():
    return [check for seed in range(5) for check in check_all(seed)]


def error_of(subject, gradient):
    """Return the largest relative error of a gradient, over five seeds."""
    return max(c.error for c in five_checks() if (c.subject, c.gradient) == (subject, gradient))


def test_linear_its_weight_gradient_is_x_transposed_times_dout():
    assert error_of("Linear", "weight") < LIMIT


def test_linear_its_bias_gradient_is_dout_summed_over_the_rows_of_the_batch():
    assert error_of("Linear", "bias") < LIMIT


def test_linear_its_input_gradient_is_dout_times_the_weight_transposed():
    assert error_of("Linear", "input") < LIMIT


def test_relu_lets_dout_pass_where_its_input_was_positive():
    assert error_of("ReLU", "input") < LIMIT


def test_softmax_its_gradient_is_s_times_dout_minus_their_sum_of_products():
    assert error_of("SoftMax", "input") < LIMIT


def test_cross_entropy_its_gradient_for_the_logits_is_p_minus_y_over_n():
    assert error_of("SoftMax + CrossEntropy", "logits") < LIMIT


@pytest.mark.parametrize("seed", [0, 1, 2, 16, 39])  # the first draws of 16 and 39 are not usable
def test_networks_of_zero_to_three_hidden_layers_have_the_right_gradients(seed):
    wrong = {(c.subject, c.gradient): c.error for c in check_all(seed) if not c.error < LIMIT}
    assert wrong == {}


def test_networks_are_checked_where_they_are_smooth_and_every_row_passes_through():
    models = []

    def network(*sizes):
        models.append(mlp_numpy.MLP(*sizes))
        return models[-1]

    for seed in range(10):
        check_network(3, (4, 4), 3, np.random.default_rng(seed), network=network)
        *layers, softmax = models[-1].layers
        for relu in layers[1::2]:
            assert np.abs(relu.x).min() > 9e-3
            assert (relu.x > 0).any(axis=1).all()
        assert softmax.out.min() > 1e-12
    assert len(models) > 15  # other draws were not so


# What finds a wrong gradient must itself be tried on wrong ones.


@pytest.mark.parametrize("bug", BUGS)
def test_a_network_with_a_bug_of_the_catalogue_fails_the_check(bug):
    assert gradient_error(bug) > 100 * LIMIT
    assert gradient_error(None) < LIMIT


class OneElementWrong(Linear):
    def backward(self, dout):
        dx = super().backward(dout)
        dx[2, 1] *= 1.001
        return dx


class NotANumber(Linear):
    def backward(self, dout):
        return np.nan * super().backward(dout)


class Infinite(Linear):
    def backward(self, dout):
        dx = super().backward(dout)
        self.grads["weight"][1, 2] = np.inf
        return dx


class OfAnotherShape(Linear):
    def backward(self, dout):
        dx = super().backward(dout)
        self.grads["bias"] = dout.sum(axis=0, keepdims=True)
        return dx


class Leaky(ReLU):
    def backward(self, dout):
        return dout * np.where(self.x > 0, 1, 0.01)


class PassesThrough(SoftMax):
    def backward(self, dout):
        return dout


@pytest.mark.parametrize(
    ("kind", "gradient"),
    [
        (OneElementWrong, "input"),
        (NotANumber, "input"),
        (Infinite, "weight"),
        (OfAnotherShape, "bias"),
        (Leaky, "input"),
        (PassesThrough, "input"),
    ],
)
def test_a_layer_with_a_wrong_gradient_fails_the_check_of_this_gradient_alone(kind, gradient):
    rng = np.random.default_rng(0)
    layer = kind(3, 4) if issubclass(kind, Linear) else kind()
    checks = check_layer(layer, rng.normal(size=(5, 3)), rng)
    assert [c.gradient for c in checks if not c.error < LIMIT] == [gradient]
    assert max(c.error for c in checks) > 100 * LIMIT


def test_a_relu_that_overwrites_its_input_is_told_and_not_checked_for_ever(monkeypatch):
    def forward(self, x):
        self.x = np.maximum(x, 0.0, out=x)
        return x

    monkeypatch.setattr(ReLU, "forward", forward)
    with pytest.raises(RuntimeError, match=r"does ReLU\.forward keep its input as it was"):
        check_network(3, (4,), 3, np.random.default_rng(0))


def test_a_network_whose_gradients_add_up_over_batches_fails_the_check(monkeypatch):
    class AddsUp(Linear):
        def backward(self, dout):
            before = dict(self.grads)
            dx = super().backward(dout)
            self.grads = {name: grad + before[name] for name, grad in self.grads.items()}
            return dx

    monkeypatch.setattr(mlp_numpy, "Linear", AddsUp)
    checks = check_network(3, (4,), 3, np.random.default_rng(0))
    assert min(check.error for check in checks) > 100 * LIMIT


def test_every_element_of_every_gradient_is_compared():
    sizes = {"Linear": 12 + 3 + 20, "MLP 3-7-6-2": 3 * 7 + 7 + 7 * 6 + 6 + 6 * 2 + 2}
    for subject, size in sizes.items():
        assert sum(c.elements for c in check_all() if c.subject == subject) == size
    assert len(check_all()) == 46


# The differences themselves


@pytest.mark.parametrize("convert", [list, np.array, np.float16, np.float32, np.uint8])
def test_the_numerical_gradient_is_that_of_float64_whatever_the_numbers_are(convert):
    at = convert([1, 2, 3])
    gradient = numerical_gradient(lambda a: np.sum(a**2), at)
    assert gradient == pytest.approx(np.array([2, 4, 6]), abs=1e-9)
    assert gradient.dtype == np.float64
    assert list(at) == [1, 2, 3]


@pytest.mark.parametrize(
    "result", [int, np.uint8, np.array, lambda a: np.array([a]), lambda a: [a]]
)
def test_the_numerical_gradient_takes_any_single_number_of_f(result):
    assert numerical_gradient(lambda a: result(3 - a.sum()), [1.0, 1.0], h=1) == pytest.approx(
        np.array([-1, -1])
    )
    with pytest.raises(ValueError, match="size 1"):
        numerical_gradient(lambda a: a, [1.0, 1.0])


def test_the_numerical_gradient_is_exact_to_ten_digits():
    assert numerical_gradient(np.sin, 1.0) == pytest.approx(math.cos(1), abs=1e-10)
    assert numerical_gradient(lambda a: np.sum(np.exp(a)), [[0.0], [1.0]]) == pytest.approx(
        np.exp([[0.0], [1.0]]), abs=1e-9
    )


def test_its_h_is_that_of_the_formula():
    cubed = numerical_gradient(lambda a: a.item() ** 3, [2.0], h=0.5)
    assert cubed.tolist() == [12 + 0.5**2]  # 3a^2 + h^2, exactly


def test_the_numerical_gradient_of_an_f_that_overwrites_its_argument_is_right():
    gradient = numerical_gradient(lambda a: np.sum(np.square(a, out=a)), [1.0, 2.0])
    assert gradient == pytest.approx(np.array([2, 4]), abs=1e-9)


@pytest.mark.parametrize("convert", [lambda rows: rows, np.array, np.float32])
def test_layers_and_loss_are_checked_at_ints_lists_and_float32_as_at_float64(convert):
    linear, rng = Linear(2, 2), np.random.default_rng(0)
    linear.params = {"weight": convert([[1, 2], [3, -4]]), "bias": convert([1, 0])}
    checks = [
        *check_layer(linear, convert([[1, 2], [0, -1], [3, 3]]), rng),
        *check_layer(SoftMax(), convert([[1, 2], [0, -1]]), rng),
        check_softmax_cross_entropy(convert([[1, 2], [0, -1]]), convert([[0, 1], [1, 0]])),
    ]
    assert [c.elements for c in checks] == [4, 2, 6, 4, 4]
    assert max(c.error for c in checks) < LIMIT
    assert np.array_equal(linear.params["weight"], [[1, 2], [3, -4]])  # still the caller's


def test_relative_error_of_known_arrays():
    assert relative_error([1, 2], np.array([1.0, 4.0])) == 0.5
    assert relative_error([[-3.0, 0.5]], [[1.0, 0.5]]) == pytest.approx(4 / 3)
    assert relative_error(np.uint8([1, 2]), np.float32([2, 2])) == 0.5
    assert relative_error([1e308], [-1e308]) == 2
    with pytest.raises(ValueError, match=r"shape \(1, 2\), expected \(2, 1\)"):
        relative_error(np.zeros((1, 2)), np.zeros((2, 1)))


@pytest.mark.parametrize(
    ("analytic", "numerical"),
    [
        ([], []),
        ([0, 0], [0.0, 0.0]),
        ([np.nan, 1], [1, 1]),
        ([1, 1], [1, np.nan]),
        ([np.inf, 1], [1, 1]),
        ([1, 1], [-np.inf, 1]),
        ([np.inf, 1], [np.inf, 1]),
    ],
)
def test_where_nothing_can_be_compared_the_error_is_infinite(analytic, numerical):
    assert relative_error(analytic, numerical) == math.inf


@pytest.mark.parametrize(
    ("error", "text"),
    [(9.9e-8, "below 1e-07"), (1e-7, "1.0e-07"), (0.5, "5.0e-01"), (math.inf, "inf")],
)
def test_only_an_error_below_the_limit_is_called_below(error, text):
    assert error_text(error) == text
    assert error_text(math.nan) == "nan"


# The command


def verdicts(lines):
    """Return the rows of a table: verdicts by subject and gradient."""
    rows = [(line[:23].strip(), line[24:45].strip(), line.split()[-1]) for line in lines[1:-1]]
    return {(subject, gradient): verdict for subject, gradient, verdict in rows}


def test_the_command_prints_a_verdict_on_each_row_and_counts_them(capsys):
    assert gradient_check.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == table(check_all())
    assert [*verdicts(lines).items()][2:5] == [
        (("Linear", "input"), "right"),
        (("ReLU", "input"), "right"),
        (("SoftMax", "input"), "right"),
    ]
    assert {*verdicts(lines).values()} == {"right"}
    assert len(verdicts(lines)) == 14
    assert all(0 < float(line.split()[-2]) < LIMIT for line in lines[1:-1])
    assert lines[-1].startswith("700 elements compared, 0 of 14 rows wrong")


def test_a_wrong_gradient_of_a_network_is_told_by_layer_and_parameter(monkeypatch):
    class Slip(Linear):
        def backward(self, dout):
            dx = super().backward(dout)
            if dout.shape[1] == 6:
                self.grads["bias"] = -self.grads["bias"]
            return dx

    monkeypatch.setattr(mlp_numpy, "Linear", Slip)
    checks = [check for check in check_all() if check.subject in ("Linear", "MLP 3-7-6-2")]
    found = verdicts(table(checks))
    assert [row for row in found if found[row] == "WRONG"] == [("MLP 3-7-6-2", "bias_1")]
    assert found["MLP 3-7-6-2", "weight_1"] == "right"
    assert table(checks)[-1].startswith("125 elements compared, 1 of 9 rows wrong")


@pytest.mark.parametrize("error", [LIMIT, 0.5, math.inf, math.nan])
def test_an_error_of_the_limit_or_more_is_wrong_and_the_status_1(monkeypatch, capsys, error):
    checks = [gradient_check.Check("MLP 3-2", "bias_0", 20, e) for e in (0.9 * LIMIT, error)]
    monkeypatch.setattr(gradient_check, "check_all", lambda: checks)
    assert gradient_check.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[1:-1]] == ["right", "WRONG"]
    assert lines[-1].startswith("40 elements compared, 1 of 2 rows wrong")
    assert [line[55:70].strip() for line in table(checks, least=LIMIT)[1:-1]] == [
        "below 1e-07",
        error_text(error),
    ]


TWICE = """
from modules import CrossEntropy, Linear, ReLU, SoftMax

class {0}({0}):
    def backward(self, *args):
        return 2 * super().backward(*args)
"""


@pytest.mark.parametrize(
    ("layer", "wrong", "right"),
    [
        ("Linear", [("Linear", "input"), ("MLP 3-7-2", "bias_0")], ("MLP 3-7-2", "weight_1")),
        ("ReLU", [("ReLU", "input"), ("MLP 3-7-2", "bias_0")], ("MLP 3-7-2", "weight_1")),
        ("SoftMax", [("SoftMax", "input")], ("SoftMax + CrossEntropy", "logits")),
        ("CrossEntropy", [("SoftMax + CrossEntropy", "logits"), ("MLP 3-2", "bias_0")],
            ("SoftMax", "input")),
    ],
)  # fmt: skip
def test_another_modules_py_is_checked_layer_by_layer_and_in_networks(
    tmp_path, capsys, layer, wrong, right
):
    path = tmp_path / "theirs.py"
    path.write_text(TWICE.format(layer))
    before = dict(vars(mlp_numpy)), dict(vars(gradient_check))
    assert gradient_check.main(["--modules", str(path)]) == 1
    found = verdicts(capsys.readouterr().out.splitlines())
    assert [found[row] for row in wrong] == ["WRONG"] * len(wrong)
    assert found[right] == "right"
    assert (vars(mlp_numpy), vars(gradient_check)) == before  # ours are back


def test_another_linear_may_take_no_rng(tmp_path, capsys, monkeypatch):
    (tmp_path / "theirs.py").write_text("""
from modules import CrossEntropy, Linear, ReLU, SoftMax

class Linear(Linear):
    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
""")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert gradient_check.main(["--modules=~/theirs.py"]) == 0
    assert capsys.readouterr().out.splitlines() == table(check_all())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "No such file"),
        ("from modules import CrossEntropy, ReLU, SoftMax", "KeyError('Linear')"),
        ("import a_package_that_is_missing", "No module named 'a_package_that_is_missing'"),
        ("raise SystemExit('no script')", "SystemExit('no script')"),
        ("def forward(", "SyntaxError"),
    ],
)
def test_a_file_without_the_layers_is_told_in_one_line(tmp_path, capsys, text, why):
    path = tmp_path / "theirs.py"
    if text:
        path.write_text(text)
    with pytest.raises(SystemExit) as exit_:
        gradient_check.main(["--modules", str(path)])
    assert exit_.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert f"argument --modules: {path} does not give Linear, ReLU" in err
    assert why in err


def test_another_modules_py_may_import_the_files_beside_it(tmp_path, capsys):
    (tmp_path / "beside_it.py").write_text("from modules import *")
    (tmp_path / "theirs.py").write_text("from beside_it import *")
    before = list(sys.path)
    assert gradient_check.main(["--modules", str(tmp_path / "theirs.py")]) == 0
    assert sys.path == before


def test_layers_that_are_called_otherwise_are_told_in_one_line(tmp_path, capsys):
    text = TWICE.format("CrossEntropy").replace("*args", "predictions, targets")
    (tmp_path / "theirs.py").write_text(text)
    with pytest.raises(SystemExit) as exit_:
        gradient_check.main(["--modules", str(tmp_path / "theirs.py")])
    assert exit_.value.code == 2
    told = "argument --modules: its layers cannot be checked: TypeError("
    assert told in capsys.readouterr().err
