"""Part III: the compiled loop does what the layers do, or refuses to."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU
from train_mlp_numpy import METRICS, Data, train, train_epoch

try:
    import numba

    from speed import any_numba
    from speed.compiled import check_equal, compile_epoch
except Exception as error:
    pytest.skip(f"Numba fails: {error}", allow_module_level=True)

ROOT = Path(__file__).parent.parent.parent
N_ROWS = 150  # more than a block


def make_data(n_features=2, n_classes=2):
    """Return rows around one random centre for each class."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 1, (n_classes, n_features))
    labels = rng.integers(n_classes, size=2 * N_ROWS)
    x = centers[labels] + rng.normal(0, 1, (2 * N_ROWS, n_features))
    targets = np.eye(n_classes)[labels]
    return Data(x[:N_ROWS], targets[:N_ROWS], x[N_ROWS:], targets[N_ROWS:])


def arrays_of(model):
    """Return the arrays of all parameters themselves, no copies."""
    arrays = []
    for linear in model.linear_layers:
        arrays.append(linear.params["weight"])
        arrays.append(linear.params["bias"])
    return arrays


def assert_close(model, expected, tolerance):
    for param, expected_param in zip(arrays_of(model), arrays_of(expected), strict=True):
        assert np.abs(param - expected_param).max() < tolerance


def train_new_model(backend, n_hidden, data, **options):
    """Train a network, the same for both backends; return it and its history."""
    model = MLP(data.x_train.shape[1], n_hidden, data.y_train.shape[1], 0)
    for linear in model.linear_layers:  # larger weights, to learn from the first epoch on
        linear.params["weight"] = 5 * linear.params["weight"]
    history = train(model, data, rng=0, backend=backend, **options)
    return model, history


# Compiled and plain training agree.


# Widths on both sides of BLAS_FROM, layers that widen and that narrow, batches of two blocks.
@pytest.mark.parametrize("n_hidden", [[], [20], [4], [18, 3], [6, 30], [17, 20, 9], [3, 2, 24]])
@pytest.mark.parametrize(
    ("batch_size", "n_classes"), [(1, 2), (7, 10), (16, 2), (60, 3), (129, 2), (None, 10)]
)
def test_both_backends_come_to_the_same_parameters(n_hidden, n_classes, batch_size):
    data = make_data(17 if len(n_hidden) == 3 else 2, n_classes)
    # A rate at which it learns, but in steps so small that rounding errors do not grow.
    learning_rate = 0.02 if batch_size in (1, 7, 16) else 0.2
    options = {"max_steps": 20, "learning_rate": learning_rate, "batch_size": batch_size}
    model, history = train_new_model("numba", n_hidden, data, **options)
    expected, expected_history = train_new_model("numpy", n_hidden, data, **options)
    assert_close(model, expected, 1e-9)
    for name in METRICS:
        assert history[name] == pytest.approx(expected_history[name], abs=1e-9)
    assert history["train_loss"][-1] < history["train_loss"][0] - 0.01  # it did learn


@pytest.mark.parametrize("n_hidden", [[], [5, 20]])
@pytest.mark.parametrize("learning_rate", [3e2, 1e4, 1e300])
@pytest.mark.parametrize("batch_size", [1, 50, None])
def test_both_backends_diverge_in_the_same_epoch(n_hidden, learning_rate, batch_size):
    def epochs_until_it_diverges(backend):
        epochs = []
        model = MLP(2, n_hidden, 2, 0)
        try:
            train(
                model,
                make_data(),
                learning_rate=learning_rate,
                max_steps=5,
                batch_size=batch_size,
                rng=0,
                backend=backend,
                callback=lambda epoch, metrics: epochs.append(epoch),
            )
        except FloatingPointError as error:
            return epochs, str(error)
        return epochs, None

    assert epochs_until_it_diverges("numba") == epochs_until_it_diverges("numpy")


@pytest.mark.parametrize("batch_size", [1, 60, 150])
@pytest.mark.parametrize("k", range(4))
def test_a_parameter_that_is_no_number_is_not_lost(k, batch_size):
    """A ReLU does not turn NaN into 0."""
    model = MLP(2, [3], 2, 0)
    arrays_of(model)[k].flat[0] = np.nan
    order = np.arange(N_ROWS)
    run_epoch = compile_epoch(train_epoch, model, make_data(), batch_size, 0.1)
    assert np.isnan(run_epoch(order))
    assert np.isnan(train_epoch(model, make_data(), batch_size, 0.1, order))


def test_a_probability_of_0_is_no_divergence():
    model = MLP(2, [3], 2, 0)
    model.layers[2].params["bias"][0] = -np.inf
    order = np.arange(N_ROWS)
    run_epoch = compile_epoch(train_epoch, model, make_data(), 60, 0.1)
    assert np.isfinite(run_epoch(order))
    assert np.isfinite(train_epoch(model, make_data(), 60, 0.1, order))


def test_what_a_callback_changes_is_trained_on():
    def train_with_changes(backend):
        model = MLP(2, [3], 2, 0)

        def change(epoch, metrics):
            model.layers[2].params["weight"] = 0.5 * model.layers[2].params["weight"]
            if epoch == 2:
                model.layers[0] = Linear(2, 3, rng=7)

        train(model, make_data(), max_steps=4, rng=0, backend=backend, callback=change)
        return model

    assert_close(train_with_changes("numba"), train_with_changes("numpy"), 1e-12)


def test_arrays_that_a_callback_keeps_stay_as_they_are():
    model = MLP(2, [3], 2, 0)
    kept = []
    copies = []

    def keep(epoch, metrics):
        kept.extend(arrays_of(model))
        copies.extend(param.copy() for param in arrays_of(model))

    train(model, make_data(), max_steps=3, rng=0, backend="numba", callback=keep)
    for param, then in zip(kept, copies, strict=True):
        assert np.array_equal(param, then)


def test_arrays_of_any_layout_are_used_and_left_alone():
    usual = make_data()
    unusual = Data(*[np.asfortranarray(array) for array in usual])
    for array in unusual:
        array.flags.writeable = False
    weight = np.asfortranarray(np.arange(6).reshape(2, 3)) / 10
    weight.flags.writeable = False
    models = []
    for data in (unusual, usual):
        model = MLP(2, [3], 2, 0)
        model.layers[0].params["weight"] = weight
        train(model, data, max_steps=2, rng=0, backend="numba")
        models.append(model)
    assert_close(models[0], models[1], 1e-15)
    assert np.array_equal(weight, np.arange(6).reshape(2, 3) / 10)


# It refuses what it does not know.


class OwnLinear(Linear):
    """A layer that a student has changed."""


class OwnMLP(MLP):
    """A network that a student has changed."""


def replace_a_layer(model):
    model.layers[0] = OwnLinear(2, 2)


def leave_out_a_relu(model):
    model.layers.pop(1)


def leave_out_the_softmax(model):
    model.layers.pop()


def use_a_layer_twice(model):
    model.layers[2] = model.layers[0]


def share_parameters(model):
    model.layers[2].params = model.layers[0].params


def replace_a_method_of_a_layer(model):
    model.layers[0].forward = lambda x: x


def replace_a_method_of_the_model(model):
    model.forward = lambda x: x


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (replace_a_layer, "got MLP of OwnLinear"),
        (leave_out_a_relu, "got MLP of Linear, Linear, ReLU"),
        (leave_out_the_softmax, "got MLP of Linear, ReLU, Linear, ReLU, Linear;"),
        (use_a_layer_twice, "each once"),
        (share_parameters, "params of its own"),
        (replace_a_method_of_a_layer, "methods of its class"),
        (replace_a_method_of_the_model, "methods of its class"),
    ],
)
def test_a_model_that_it_does_not_know_is_an_error(change, words):
    model = MLP(2, [2, 2], 2)
    change(model)
    with pytest.raises(ValueError, match=f"{words}.* choose backend 'numpy'"):
        train(model, make_data(), backend="numba")


@pytest.mark.parametrize(
    ("model", "words"), [(OwnMLP(2, [3], 2), "OwnMLP of Linear"), (object(), "object of no layers")]
)
def test_a_model_of_another_class_is_an_error(model, words):
    with pytest.raises(ValueError, match=f"got {words}"):
        train(model, make_data(), backend="numba")


@pytest.mark.parametrize(
    ("layer", "name", "shape", "words"),
    [
        (0, "weight", (1, 3), r"weight must have shape \(2, 3\), got \(1, 3\)"),
        (0, "weight", (3, 2), r"weight must have shape \(2, 3\), got \(3, 2\)"),
        (0, "bias", (1,), r"bias must have shape \(3,\), got \(1,\)"),
        (2, "weight", (4, 2), r"weight must have shape \(2, 4\), got \(2, 3\)"),
        (2, "weight", (3, 1), r"weight must have shape \(3, 2\), got \(3, 1\)"),
    ],
)
def test_parameters_of_another_shape_are_an_error(layer, name, shape, words):
    model = MLP(2, [3], 2)
    model.layers[layer].params[name] = np.zeros(shape)
    run_epoch = compile_epoch(train_epoch, model, make_data(), 16, 0.1)
    with pytest.raises(ValueError, match=words):
        run_epoch(np.arange(N_ROWS))


@pytest.mark.parametrize("change", [replace_a_layer, leave_out_a_relu])
def test_a_callback_that_changes_the_layers_is_an_error(change):
    model = MLP(2, [2], 2)

    def callback(epoch, metrics):
        if epoch == 1:
            change(model)

    with pytest.raises(ValueError, match="the layers have changed since training began"):
        train(model, make_data(), max_steps=2, backend="numba", callback=callback)


def no_division_by_n(self):
    return self.p - self.y


def gradient_at_the_kink(self, dout):
    return dout * (self.x >= 0)


def no_relu(self, dout):
    return dout


def mean_for_the_bias(self, dout):
    self.grads["weight"] = self.x.T @ dout
    self.grads["bias"] = dout.mean(axis=0)
    return dout @ self.params["weight"].T


def update_of_the_first_layer(self, learning_rate):
    linear = self.layers[0]
    for name, gradient in linear.grads.items():
        linear.params[name] = linear.params[name] - learning_rate * gradient


@pytest.mark.parametrize(
    ("owner", "name", "method", "first"),
    [
        (CrossEntropy, "backward", no_division_by_n, "weight of Linear layer 0"),
        (ReLU, "backward", gradient_at_the_kink, "bias of Linear layer 0"),
        (ReLU, "backward", no_relu, "weight of Linear layer 0"),
        (Linear, "backward", mean_for_the_bias, "bias of Linear layer 0"),
        (MLP, "update", update_of_the_first_layer, "weight of Linear layer 1"),
    ],
)
def test_a_change_of_the_layers_is_refused(monkeypatch, owner, name, method, first):
    monkeypatch.setattr(owner, name, method)
    with pytest.raises(ValueError, match=f"different results, first in the {first}.* 'numpy'"):
        train(MLP(2, [3], 2), make_data(), max_steps=1, backend="numba")


@pytest.mark.parametrize(
    "changed_loop",
    [
        lambda model, data, size, rate, order: train_epoch(model, data, size, rate, order[::-1]),
        lambda model, data, size, rate, order: train_epoch(model, data, size, rate, order[:-1]),
        lambda model, data, size, rate, order: train_epoch(model, data, size, 2 * rate, order),
        lambda model, data, size, rate, order: train_epoch(model, data, 2 * size, rate, order),
        lambda model, data, size, rate, order: None,
        lambda model, data, size, rate, order: train_epoch(model, data, size, np.nan, order),
    ],
    ids=["reversed", "last row left out", "twice the rate", "twice the batch", "nothing", "nan"],
)
def test_a_change_of_the_training_loop_is_refused(changed_loop):
    check_equal(train_epoch)
    with pytest.raises(ValueError, match=r"different results, first in the .* of Linear layer 0"):
        check_equal(changed_loop)


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
    check_equal(train_epoch)


# Any Numba, and none.


@pytest.fixture
def import_anew(monkeypatch, tmp_path):
    """A function that imports speed.compiled anew, with an empty folder for Numba's cache."""
    import speed

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    # In the end both are again what they were, in sys.modules and in the package.
    for name in ("any_numba", "compiled"):
        monkeypatch.setitem(sys.modules, f"speed.{name}", sys.modules[f"speed.{name}"])
        monkeypatch.setattr(speed, name, sys.modules[f"speed.{name}"])

    def import_them():
        sys.modules.pop("speed.any_numba", None)
        sys.modules.pop("speed.compiled", None)
        return importlib.import_module("speed.compiled")

    return import_them


@pytest.mark.slow
def test_options_that_numba_does_not_document_can_be_missing(monkeypatch, import_anew):
    njit = numba.njit

    def njit_without_them(function=None, **options):
        unknown = {"_nrt", "forceinline"} & set(options)
        if unknown:
            raise KeyError(f"Unrecognized options: {unknown}")
        return njit(**options) if function is None else njit(function, **options)

    monkeypatch.setattr(numba, "njit", njit_without_them)
    compiled = import_anew()
    options = sys.modules["speed.any_numba"].INLINED
    assert not {"_nrt", "forceinline"} & set(options)
    compiled.check_equal(train_epoch)


@pytest.mark.slow
def test_a_function_that_numba_does_not_document_can_be_missing(monkeypatch, import_anew):
    monkeypatch.delattr("numba.np.linalg._BLAS")
    compiled = import_anew()
    assert not compiled.HAS_GEMM
    compiled.check_equal(train_epoch)


def test_an_option_that_numba_does_not_know_cannot_be_compiled_with():
    assert any_numba.can_compile(error_model="numpy")
    assert not any_numba.can_compile(no_such_option=True)


def test_without_numba_it_says_what_to_install(monkeypatch, import_anew):
    def version(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(ImportError, match=r"Numba is not installed; pip install .*'numpy'"):
        import_anew()


def test_the_error_of_a_numba_that_fails_has_its_version(monkeypatch, import_anew, tmp_path):
    (tmp_path / "numba.py").write_text("raise SystemError('initialization failed')")
    monkeypatch.delitem(sys.modules, "numba")
    monkeypatch.syspath_prepend(tmp_path)
    message = f"Numba {numba.__version__} fails .*initialization failed; pip install .*'numpy'"
    with pytest.raises(ImportError, match=message):
        import_anew()


@pytest.mark.slow
def test_numba_without_its_compiler_is_refused():
    code = "import speed.compiled as c, train_mlp_numpy as t; c.check_equal(t.train_epoch)"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    last_line = run.stderr.splitlines()[-1]
    assert "different results" in last_line
    assert "NUMBA_DISABLE_JIT" in last_line


# Numba's cache.


@pytest.mark.slow
def test_a_damaged_cache_is_made_anew(import_anew, tmp_path):
    import_anew().check_equal(train_epoch)  # compiles
    (code,) = tmp_path.rglob("compiled.run_updates-*.nbc")
    code.write_bytes(code.read_bytes()[: code.stat().st_size // 2])
    import_anew().check_equal(train_epoch)
    compiled = import_anew()
    compiled.check_equal(train_epoch)
    assert not compiled.run_updates.stats.cache_misses  # nothing was compiled any more


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A folder with two files of Numba and one of Python, and a function that is kept there."""
    monkeypatch.setitem(any_numba.OPTIONS, "cache", True)
    for name in ("compiled.f-1.nbi", "compiled.f-1.1.nbc", "compiled.cpython.pyc"):
        (tmp_path / name).touch()
    return tmp_path, SimpleNamespace(stats=SimpleNamespace(cache_path=tmp_path))


def test_numbas_files_are_removed_when_a_call_fails(cache):
    folder, function = cache
    errors = [EOFError("Ran out of input")]

    def fails_once():
        if errors:
            raise errors.pop()

    any_numba.call_or_mend_cache(fails_once, function)
    assert [path.name for path in folder.iterdir()] == ["compiled.cpython.pyc"]


def test_no_file_is_removed_when_a_call_succeeds(cache):
    folder, function = cache
    any_numba.call_or_mend_cache(lambda: None, function)
    assert len(list(folder.iterdir())) == 3


def test_a_cache_that_cannot_be_mended_is_named(cache):
    folder, function = cache

    def fails():
        raise EOFError("Ran out of input")

    message = f"Numba {numba.__version__} fails .*EOFError.* cache, {folder}, or .*'numpy'"
    with pytest.raises(ValueError, match=message):
        any_numba.call_or_mend_cache(fails, function)


def test_where_nothing_can_be_kept_it_compiles_at_every_start(monkeypatch, import_anew):
    def no_cache(*args):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba.core.caching.FunctionCache, "__init__", no_cache)
    compiled = import_anew()
    assert compiled.run_updates.stats.cache_path is None
