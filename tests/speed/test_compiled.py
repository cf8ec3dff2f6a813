"""Part III: the compiled loop does what the layers do, or refuses to."""

import importlib
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest

from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU
from train_mlp_numpy import METRICS, Data, train, train_epoch

ROOT = Path(__file__).parent.parent.parent


def make_data(n_features=2, n_classes=2, n_rows=150):
    """Return rows around one random centre for each class; 150 are more than a block."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 1, (n_classes, n_features))
    labels = rng.integers(n_classes, size=2 * n_rows)
    x, targets = centers[labels] + rng.normal(0, 1, (2 * n_rows, n_features)), np.eye(n_classes)
    return Data(x[:n_rows], targets[labels[:n_rows]], x[n_rows:], targets[labels[n_rows:]])


def arrays_of(model):
    """Return the parameters themselves, no copies."""
    return [param for linear in model.linear_layers for param in linear.params.values()]


def assert_close(models, tolerance=1e-9):
    for param, expected in zip(*map(arrays_of, models), strict=True):
        assert np.abs(param - expected).max() < tolerance


def train_both(n_hidden, data, change=lambda model: None, **options):
    """Train the same network with both backends; return the models and the histories."""
    models, histories = [], []
    for backend in ("numba", "numpy"):
        model = MLP(data.x_train.shape[1], n_hidden, data.y_train.shape[1], 0)
        for linear in model.linear_layers:  # larger weights, to learn from the first epoch on
            linear.params["weight"] = 5 * linear.params["weight"]
        change(model)
        rng = np.random.RandomState(0)
        histories.append(train(model, data, rng=rng, backend=backend, **options))
        models.append(model)
    return models, histories


# Widths on both sides of BLAS_FROM, layers that widen and that narrow, batches of two blocks.
@pytest.mark.parametrize("n_hidden", [[], [20], [4], [18, 3], [6, 30], [17, 20, 9], [3, 2, 24]])
@pytest.mark.parametrize(
    ("batch_size", "n_classes"), [(1, 2), (7, 10), (16, 2), (60, 3), (129, 2), (None, 10)]
)
def test_both_backends_come_to_the_same_parameters(n_hidden, n_classes, batch_size):
    data = make_data(17 if len(n_hidden) == 3 else 2, n_classes)
    # A rate at which it learns but does not leap: leaps amplify the rounding errors of both.
    learning_rate = 0.02 if batch_size in (1, 7, 16) else 0.2
    options = {"max_steps": 20, "learning_rate": learning_rate, "batch_size": batch_size}
    models, (history, expected) = train_both(n_hidden, data, **options)
    assert_close(models)
    assert np.array_equal(history["epoch"], expected["epoch"])
    for key in METRICS:
        assert history[key] == pytest.approx(expected[key], abs=1e-9)
    assert history["train_loss"][-1] < history["train_loss"][0] - 0.01  # it did learn


@pytest.mark.parametrize("n_hidden", [[], [5, 20]])
@pytest.mark.parametrize("learning_rate", [3e2, 1e4, 1e300])
@pytest.mark.parametrize("batch_size", [1, 50, None])
def test_both_backends_diverge_in_the_same_epoch(n_hidden, learning_rate, batch_size):
    options = {"learning_rate": learning_rate, "max_steps": 5, "batch_size": batch_size, "rng": 0}
    outcomes = []
    for backend in ("numba", "numpy"):
        epochs = []

        def callback(epoch, metrics, epochs=epochs):
            epochs.append(epoch)

        message = None
        try:
            model = MLP(2, n_hidden, 2, 0)
            train(model, make_data(), backend=backend, callback=callback, **options)
        except FloatingPointError as error:
            message = str(error)
        outcomes.append((epochs, message))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize("batch_size", [1, 60, 150])
@pytest.mark.parametrize("k", range(4))
def test_a_parameter_that_is_no_number_is_not_lost(k, batch_size):
    """Not even in a unit whose ReLU might take it for something below 0."""
    from speed.compiled import compile_epoch

    model = MLP(2, [3], 2, 0)
    arrays_of(model)[k].flat[0] = np.nan
    order = np.arange(150)
    run_epoch = compile_epoch(train_epoch, model, make_data(), batch_size, 0.1)
    assert np.isnan(run_epoch(order))
    assert np.isnan(train_epoch(model, make_data(), batch_size, 0.1, order))


def test_a_probability_of_0_is_no_divergence():
    from speed.compiled import compile_epoch

    model = MLP(2, [3], 2, 0)
    arrays_of(model)[3][0] = -np.inf
    order = np.arange(150)
    run_epoch = compile_epoch(train_epoch, model, make_data(), 60, 0.1)
    assert np.isfinite(run_epoch(order))
    assert np.isfinite(train_epoch(model, make_data(), 60, 0.1, order))


def test_the_callback_meets_each_epoch_and_what_it_changes_is_trained_on():
    seen = {}
    for backend in ("numba", "numpy"):
        model, kept = MLP(2, [3], 2, 0), []

        def callback(epoch, metrics, model=model, kept=kept):
            kept.append([(param, param.copy()) for param in arrays_of(model)])
            model.layers[2].params["weight"] = 0.5 * model.layers[2].params["weight"]
            if epoch == 2:
                model.layers[0] = Linear(2, 3, rng=7)

        train(model, make_data(), max_steps=4, rng=0, backend=backend, callback=callback)
        seen[backend] = kept
    for epoch, expected in zip(*seen.values(), strict=True):
        for (param, then), (other, _) in zip(epoch, expected, strict=True):
            assert param == pytest.approx(other, abs=1e-12)
            assert np.array_equal(param, then)  # later epochs leave the array alone


def test_arrays_of_any_layout_are_used_and_left_alone():
    weight = np.asfortranarray(np.arange(6).reshape(2, 3)) / 10
    weight.flags.writeable = False

    def change(model):
        model.layers[0].params = {"weight": weight, "bias": np.zeros(3)}

    data = make_data()
    odd = Data(*map(np.asfortranarray, data))
    for array in odd:
        array.flags.writeable = False
    models, _ = train_both([3], odd, change, max_steps=2)
    assert_close(models, 1e-12)
    assert np.array_equal(weight, np.arange(6).reshape(2, 3) / 10)
    models_of_even, _ = train_both([3], data, change, max_steps=2)
    assert_close((models[0], models_of_even[0]), 1e-15)


class OwnLinear(Linear):
    """A layer that a student has changed."""


class OwnMLP(MLP):
    """A network that a student has changed."""


def with_layers(change):
    model = MLP(2, [2, 2], 2)
    change(model.layers)
    return model


def with_method(part):
    model = MLP(2, [2, 2], 2)
    part = model if part is None else model.layers[part]
    part.forward = lambda x: x
    return model


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (OwnMLP(2, [3], 2), "OwnMLP of Linear, ReLU, Linear, SoftMax"),
        (with_layers(lambda layers: layers.__setitem__(0, OwnLinear(2, 2))), "MLP of OwnLinear"),
        (with_layers(lambda layers: layers.pop(1)), "MLP of Linear, Linear, ReLU"),
        (with_layers(lambda layers: layers.pop()), "MLP of Linear, ReLU, Linear, ReLU, Linear;"),
        (with_layers(lambda layers: layers.__setitem__(2, layers[0])), "MLP of Linear"),
        (with_layers(lambda layers: setattr(layers[4], "params", layers[2].params)), "MLP of L"),
        (with_layers(lambda layers: layers.__setitem__(0, 1)), "MLP of int, ReLU"),
        (with_method(None), "MLP of Linear"),
        (with_method(0), "MLP of Linear"),
        (with_method(5), "MLP of Linear"),
        (object(), "object of no layers"),
    ],
)
def test_a_model_that_it_does_not_know_is_an_error(model, names):
    with pytest.raises(ValueError, match=rf"'numba' trains an MLP .* got {names}.* 'numpy'"):
        train(model, make_data(), backend="numba")


@pytest.mark.parametrize(
    ("i", "params", "message"),
    [
        (0, {"weight": np.zeros((1, 3))}, r"weight must have shape \(2, 3\), got \(1, 3\)"),
        (0, {"weight": np.zeros((3, 2))}, r"weight must have shape \(2, 3\), got \(3, 2\)"),
        (0, {"bias": np.zeros(1)}, r"bias must have shape \(3,\), got \(1,\)"),
        (2, {"weight": np.zeros((4, 2))}, r"weight must have shape \(2, 4\), got \(2, 3\)"),
        (2, {"weight": np.zeros((3, 1))}, r"weight must have shape \(3, 2\), got \(3, 1\)"),
    ],
)
def test_shapes_that_do_not_fit_are_an_error_before_anything_is_computed(i, params, message):
    from speed.compiled import compile_epoch

    model = MLP(2, [3], 2)
    model.layers[i].params.update(params)
    run_epoch = compile_epoch(train_epoch, model, make_data(), 16, 0.1)
    with pytest.raises(ValueError, match=message):
        run_epoch(np.arange(150))


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers.insert(2, ReLU()),
        lambda layers: layers.pop(1),
        lambda layers: layers.__setitem__(0, OwnLinear(2, 3)),
    ],
)
def test_a_callback_that_changes_the_layers_is_an_error(change):
    model = MLP(2, [3], 2)

    def callback(epoch, metrics):
        if epoch == 1:
            change(model.layers)

    with pytest.raises(ValueError, match="the layers have changed since training began"):
        train(model, make_data(), max_steps=2, backend="numba", callback=callback)


def mean_of_bias(self, dout, backward=Linear.backward):
    dx = backward(self, dout)
    self.grads["bias"] = self.grads["bias"] / len(dout)
    return dx


def update_of_first_layer(self, learning_rate):
    linear = self.layers[0]
    for name, gradient in linear.grads.items():
        linear.params[name] = linear.params[name] - learning_rate * gradient


@pytest.mark.parametrize(
    ("owner", "name", "method", "first"),
    [
        (CrossEntropy, "backward", lambda self: self.p - self.y, "weight of Linear layer 0"),
        (ReLU, "backward", lambda self, dout: dout * (self.x >= 0), "bias of Linear layer 0"),
        (ReLU, "backward", lambda self, dout: dout, "weight of Linear layer 0"),
        (Linear, "backward", mean_of_bias, "bias of Linear layer 0"),
        (MLP, "update", update_of_first_layer, "weight of Linear layer 1"),
    ],
)
def test_a_change_of_the_layers_is_refused(monkeypatch, owner, name, method, first):
    monkeypatch.setattr(owner, name, method)
    with pytest.raises(ValueError, match=f"give different results, first in the {first}.* 'numpy'"):
        train(MLP(2, [3], 2), make_data(), max_steps=1, backend="numba")


@pytest.mark.parametrize(
    "plain",
    [
        lambda model, data, size, rate, order: train_epoch(model, data, size, rate, order[::-1]),
        lambda model, data, size, rate, order: train_epoch(model, data, size, rate, order[:-1]),
        lambda model, data, size, rate, order: train_epoch(model, data, size, rate, np.sort(order)),
        lambda model, data, size, rate, order: train_epoch(model, data, size, 2 * rate, order),
        lambda model, data, size, rate, order: train_epoch(model, data, 2 * size, rate, order),
        lambda model, data, size, rate, order: None,
        lambda model, data, size, rate, order: train_epoch(model, data, size, np.nan, order),
    ],
)
def test_a_change_of_the_training_loop_is_refused(plain):
    from speed.compiled import check_equal

    check_equal(train_epoch)
    with pytest.raises(ValueError, match=r"different results, first in the .* of Linear layer 0"):
        check_equal(plain)


def test_what_a_broken_layer_raises_comes_through(monkeypatch):
    def backward(self, dout):
        raise NotImplementedError("to do")

    monkeypatch.setattr(Linear, "backward", backward)
    with pytest.raises(NotImplementedError, match="to do"):
        train(MLP(2, [3], 2), make_data(), backend="numba")


def test_an_update_in_place_is_no_difference(monkeypatch):
    def update(self, learning_rate):
        for linear in self.linear_layers:
            for name, gradient in linear.grads.items():
                linear.params[name] -= learning_rate * gradient

    monkeypatch.setattr(MLP, "update", update)
    models, _ = train_both([3], make_data(), max_steps=2)
    assert_close(models, 1e-12)


def run_python(code, **variables):
    command = [sys.executable, "-W", "error", "-c", code]
    environment = os.environ | variables
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


CHECK = "import speed.compiled as c, train_mlp_numpy as t; c.check_equal(t.train_epoch);"


def test_numba_without_its_compiler_is_refused():
    last_line = run_python(CHECK, NUMBA_DISABLE_JIT="1").stderr.splitlines()[-1]
    assert "different results" in last_line
    assert "NUMBA_DISABLE_JIT" in last_line


def import_anew(monkeypatch, cache):
    """Return speed.compiled, imported anew, with this folder for the cache."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(cache))
    monkeypatch.delitem(sys.modules, "speed.compiled")
    return importlib.import_module("speed.compiled")


@pytest.fixture
def module(monkeypatch, tmp_path):
    """speed.compiled with a cache of its own, which has what is loaded first."""
    from speed.compiled import check_equal, run_updates

    check_equal(train_epoch)  # compiles, unless it has been
    module = import_anew(monkeypatch, tmp_path)
    line = run_updates.py_func.__code__.co_firstlineno
    for path in Path(run_updates.stats.cache_path).glob(f"compiled.run_updates-{line}.*.nb[ic]"):
        shutil.copy(path, module.run_updates.stats.cache_path)
    return module


def misses(module):
    """Return how many functions were compiled, not loaded from the cache."""
    functions = [f for f in vars(module).values() if hasattr(f, "stats")]
    assert len(functions) >= 8
    return sum(sum(f.stats.cache_misses.values()) for f in functions)


@pytest.mark.parametrize(
    ("files", "part"),
    [("*.nbi", 0.0), pytest.param("*.nbc", 0.5, marks=pytest.mark.slow)],
)
def test_a_damaged_cache_is_made_anew(module, monkeypatch, tmp_path, files, part):
    for path in tmp_path.rglob(files):
        path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    module.check_equal(train_epoch)
    assert misses(module) > 0
    module = import_anew(monkeypatch, tmp_path)
    module.check_equal(train_epoch)
    assert not module.run_updates.stats.cache_misses


def test_only_numbas_files_of_this_module_are_removed_and_only_when_loading_fails(module, tmp_path):
    (index,), (code,) = (list(tmp_path.rglob(f"compiled.*.nb{kind}")) for kind in "ic")
    others = [index.with_name(name) for name in ("compiled.py", "compiled.pyc", "other.f.1.nbc")]
    for other in others:
        other.touch()
    outcomes = [pickle.UnpicklingError("invalid load key"), None]

    def run():
        if error := outcomes.pop(0):
            raise error

    module.load(lambda: None)
    assert index.exists()
    module.load(run)
    assert not outcomes
    assert not index.exists()
    assert not code.exists()
    assert all(other.exists() for other in others)


def test_a_cache_that_cannot_be_mended_is_named(module, tmp_path):
    (index,) = tmp_path.rglob("*.nbi")
    index.unlink()
    index.mkdir()
    message = f"IsADirectoryError: .*; remove its cache, {index.parent}, or set NUMBA_CACHE_DIR"
    with pytest.raises(ValueError, match=message):
        train(MLP(2, [3], 2), make_data(), backend="numba")


def test_where_nothing_can_be_kept_it_compiles_at_every_start(monkeypatch):
    def no_cache(*args):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba.core.caching.FunctionCache, "__init__", no_cache)
    module = import_anew(monkeypatch, "")
    assert not module.OPTIONS["cache"]
    assert module.run_updates.stats.cache_path is None


def test_a_second_start_compiles_nothing(monkeypatch):
    from speed.compiled import check_equal

    check_equal(train_epoch)  # compiles, unless it has been
    module = import_anew(monkeypatch, numba.config.CACHE_DIR)
    train(MLP(2, [3], 2), make_data(), max_steps=1, backend="numba")
    assert misses(module) == 0


def test_without_numba_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.delitem(sys.modules, "speed.compiled", raising=False)
    with pytest.raises(ImportError, match=r"needs Numba .*: pip install -r requirements-extra.txt"):
        train(MLP(2, [3], 2), make_data(), backend="numba")
