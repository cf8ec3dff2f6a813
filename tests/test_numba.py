"""Part III: the compiled loop does what the layers do."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import mlp_numba
from mlp_numba import BLOCK, CompiledLoop
from mlp_numpy import MLP
from modules import Linear
from train_mlp_numpy import METRICS, Data, load_data, train

ROOT = Path(__file__).parent.parent


def make_data(n_features=5, n_classes=2, n_rows=150):
    """Return rows around one random centre for each class; 150 are more than a block."""
    rng = np.random.default_rng(0)
    centers = rng.normal(0, 1, (n_classes, n_features))
    labels = rng.integers(n_classes, size=2 * n_rows)
    x, targets = centers[labels] + rng.normal(0, 1, (2 * n_rows, n_features)), np.eye(n_classes)
    return Data(x[:n_rows], targets[labels[:n_rows]], x[n_rows:], targets[labels[n_rows:]])


def params_of(model):
    return [param.copy() for layer in model.layers[::2] for param in layer.params.values()]


def train_both(n_hidden, data, **options):
    """Train the same network with both backends; return both models and histories."""
    results = []
    for backend in ("numpy", "numba"):
        rng = np.random.RandomState(0)
        model = MLP(data.x_train.shape[1], n_hidden, data.y_train.shape[1], rng)
        for layer in model.layers[::2]:
            layer.params["weight"] = 5 * layer.params["weight"]  # to learn from the first epoch on
        history = train(model, data, rng=rng, backend=backend, **options)
        results.append((model, history, rng.random()))
    return results


# Widths on both sides of BLAS_FROM, layers that widen and that narrow.
@pytest.mark.parametrize("n_hidden", [[], [20], [4], [18, 3], [6, 30], [17, 20, 9], [3, 2, 24]])
@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("batch_size", [1, 7, 16, 60, BLOCK + 1, None])
def test_both_backends_come_to_the_same_parameters(n_hidden, n_classes, batch_size):
    data = make_data(n_features=17 if len(n_hidden) == 3 else 2, n_classes=n_classes)
    # A rate at which it learns but does not leap: leaps amplify the rounding errors of both.
    learning_rate = 0.02 if batch_size in (1, 7, 16) else 0.2
    options = {"max_steps": 20, "learning_rate": learning_rate, "batch_size": batch_size}
    (plain, plain_history, plain_draw), (model, history, draw) = train_both(
        n_hidden, data, **options
    )
    for param, expected in zip(params_of(model), params_of(plain), strict=True):
        assert np.abs(param - expected).max() < 1e-9
    assert np.array_equal(history["step"], plain_history["step"])
    for key in METRICS:
        assert history[key] == pytest.approx(plain_history[key], abs=1e-9)
    assert draw == plain_draw  # the generators drew as much
    assert plain_history["train_loss"][-1] < plain_history["train_loss"][0] - 0.01  # it did learn


def test_the_default_network_on_the_default_data():
    (plain, *_), (model, *_) = train_both([20], load_data(), max_steps=20, batch_size=1)
    for param, expected in zip(params_of(model), params_of(plain), strict=True):
        assert np.abs(param - expected).max() < 1e-9


def test_a_small_step_of_a_large_network_is_the_same_too():
    data = make_data(n_features=100, n_classes=10, n_rows=130)
    (plain, *_), (model, *_) = train_both([80, 60], data, max_steps=3, batch_size=50)
    for param, expected in zip(params_of(model), params_of(plain), strict=True):
        assert np.abs(param - expected).max() < 1e-12


def test_predictions_are_those_of_the_layers():
    data = make_data(n_features=3, n_classes=4)
    model = MLP(3, [9], 4, rng=0)
    compiled = CompiledLoop(model, data, 0.1, 16)
    for scale in (0, 1, 1e4):  # up to logits at which exp would overflow
        x = scale * np.concatenate([data.x_train, data.x_test])
        assert compiled.forward(x) == pytest.approx(model.forward(x), abs=1e-14)
        assert compiled.forward(x[:1]) == pytest.approx(model.forward(x[:1]), abs=1e-14)
    assert compiled.forward(x.astype(int)[:, ::-1]).shape == (300, 4)  # any layout, any type
    with pytest.raises(ValueError, match=r"x must have shape \(N, 3\), got \(300, 2\)"):
        compiled.forward(x[:, :2])


def test_the_callback_meets_the_network_of_its_epoch():
    snapshots = {"numpy": [], "numba": []}
    for backend, kept in snapshots.items():
        model = MLP(2, [3], 2, 0)
        train(
            model,
            make_data(2),
            max_steps=4,
            batch_size=16,
            rng=0,
            backend=backend,
            callback=lambda step, metrics, model=model, kept=kept: kept.append(params_of(model)),
        )
    for plain, compiled in zip(*snapshots.values(), strict=True):
        for param, expected in zip(compiled, plain, strict=True):
            assert param == pytest.approx(expected, abs=1e-12)


def test_what_the_callback_changes_is_trained_on():
    models = []
    for backend in ("numpy", "numba"):
        model = MLP(2, [3], 2, 0)

        def halve(step, metrics, model=model):
            model.layers[2].params["weight"] *= 0.5

        train(model, make_data(2), max_steps=3, rng=0, backend=backend, callback=halve)
        models.append(params_of(model))
    for param, expected in zip(*models, strict=True):
        assert param == pytest.approx(expected, abs=1e-12)


def test_arrays_that_the_caller_assigned_are_used_and_left_alone():
    model, data = MLP(2, [3], 2, 0), make_data(2)
    params = model.layers[0].params
    weight = np.asfortranarray(np.arange(6).reshape(2, 3)) / 10
    weight.flags.writeable = False
    params["weight"], params["bias"] = weight, np.zeros(3, dtype=int)
    train(model, data, max_steps=2, rng=0, backend="numba")
    plain = MLP(2, [3], 2, 0)
    plain.layers[0].params["weight"] = weight
    train(plain, data, max_steps=2, rng=0)
    assert model.layers[0].params is params  # the same dict with new arrays
    assert params["weight"] == pytest.approx(plain.layers[0].params["weight"], abs=1e-12)
    assert params["bias"] == pytest.approx(plain.layers[0].params["bias"], abs=1e-12)
    assert np.array_equal(weight, np.arange(6).reshape(2, 3) / 10)


class OwnLinear(Linear):
    """A layer that a student has changed."""


class OwnMLP(MLP):
    """A network that a student has changed."""


def with_layer(i, layer):
    model = MLP(2, [3], 2)
    model.layers[i : i + 1] = [layer] if layer else []
    return model


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (OwnMLP(2, [3], 2), "OwnMLP of Linear, ReLU, Linear, SoftMax"),
        (with_layer(0, OwnLinear(2, 3)), "MLP of OwnLinear, ReLU, Linear, SoftMax"),
        (with_layer(1, None), "MLP of Linear, Linear, SoftMax"),
        (with_layer(3, None), "MLP of Linear, ReLU, Linear;"),
        (object(), "object of no layers"),
    ],
)
def test_a_model_that_it_does_not_know_is_an_error(model, names):
    with pytest.raises(ValueError, match=rf"backend 'numba' knows no model but .* got {names}"):
        train(model, make_data(2), backend="numba")


def with_method(part):
    """Return a network, one of whose parts has a forward of its own."""
    model = MLP(2, [3], 2)
    part = model if part is None else model.layers[part]
    part.forward = lambda x: x
    return model


@pytest.mark.parametrize("part", [None, 0, 3])
def test_a_method_of_one_object_is_an_error(part):
    with pytest.raises(ValueError, match="knows no model with a forward of its own; choose"):
        train(with_method(part), make_data(2), backend="numba")


def test_one_layer_in_two_places_is_an_error():
    model = MLP(2, [2, 2], 2)
    model.layers[2] = model.layers[0]
    with pytest.raises(ValueError, match="knows no model with one layer in two places; choose"):
        train(model, make_data(2), backend="numba")


def test_a_layer_that_the_callback_replaces_is_trained():
    models = []
    for backend in ("numpy", "numba"):
        model = MLP(2, [3], 2, 0)

        def replace(step, metrics, model=model):
            if step == 1:
                model.layers[0] = Linear(2, 3, rng=7)

        train(model, make_data(2), max_steps=3, rng=0, backend=backend, callback=replace)
        models.append(params_of(model))
    for param, expected in zip(*models, strict=True):
        assert param == pytest.approx(expected, abs=1e-12)


def test_a_parameter_of_another_shape_is_an_error():
    model = MLP(2, [3], 2, 0)

    def replace(step, metrics):
        model.layers[0].params["weight"] = np.zeros((1, 3))

    with pytest.raises(ValueError, match=r"weight must have shape \(2, 3\), got \(1, 3\)"):
        train(model, make_data(2), backend="numba", callback=replace)


def test_arrays_that_the_callback_keeps_stay_as_they_are():
    model, kept = MLP(2, [3], 2, 0), []
    train(
        model,
        make_data(2),
        max_steps=3,
        backend="numba",
        callback=lambda step, metrics: kept.append(model.layers[0].params["weight"]),
    )
    assert not any(np.array_equal(kept[i], kept[j]) for i in range(4) for j in range(i))


def test_data_of_any_layout_are_trained_on_by_the_same_compiled_code():
    data = make_data(2)
    train(MLP(2, [3], 2, 0), data, max_steps=1, backend="numba")
    before = len(mlp_numba.run_updates.signatures), len(mlp_numba.predict.signatures)
    odd = Data(*(np.asfortranarray(array) for array in data))
    for array in odd:
        array.flags.writeable = False
    models = MLP(2, [3], 2, 0), MLP(2, [3], 2, 0)
    for model, rows in zip(models, (data, odd), strict=True):
        train(model, rows, max_steps=3, rng=0, backend="numba")
    for param, expected in zip(*map(params_of, models), strict=True):
        assert np.array_equal(param, expected)
    assert (len(mlp_numba.run_updates.signatures), len(mlp_numba.predict.signatures)) == before


@pytest.mark.parametrize(
    "change",
    [
        {"x_train": np.zeros((150, 3))},
        {"x_test": np.zeros((150, 3))},
        {"y_train": np.eye(3)[np.zeros(150, int)]},
        {"y_test": np.eye(3)[np.zeros(150, int)]},
    ],
)
def test_shapes_that_do_not_fit_are_an_error(change):
    with pytest.raises(ValueError, match=r"x must .*\(N, 2\), got|must have the same shape"):
        train(MLP(2, [3], 2), make_data(2)._replace(**change), backend="numba")


def test_layers_that_do_not_fit_one_another_are_an_error():
    model = MLP(2, [3], 2)
    model.layers[0].params["weight"] = np.zeros((2, 1))
    model.layers[0].params["bias"] = np.zeros(1)
    with pytest.raises(ValueError, match=r"x must be \(N, 3\), got \(1, 1\)"):
        train(model, make_data(2), backend="numba")


@pytest.mark.parametrize("n_hidden", [[], [5], [5, 20]])
@pytest.mark.parametrize("learning_rate", [3e2, 1e4, 1e100, 1e300])
@pytest.mark.parametrize("batch_size", [1, 50, None])
def test_both_backends_diverge_in_the_same_epoch(n_hidden, learning_rate, batch_size):
    def outcome(backend):
        seen = []
        try:
            train(
                MLP(2, n_hidden, 2, 0),
                make_data(2),
                learning_rate=learning_rate,
                max_steps=5,
                batch_size=batch_size,
                rng=0,
                backend=backend,
                callback=lambda step, metrics: seen.append(step),
            )
        except FloatingPointError as error:
            return seen, str(error)
        return seen, None

    assert outcome("numba") == outcome("numpy")


def test_a_network_that_has_diverged_cannot_be_trained():
    model = MLP(2, [3], 2, 0)
    model.layers[0].params["weight"] = np.full((2, 3), np.nan)
    with pytest.raises(FloatingPointError, match=r"at epoch 0: .* take a new network"):
        train(model, make_data(2), backend="numba")


def test_long_epochs_come_back_to_python_in_between(monkeypatch):
    calls = []

    def run_updates(params, sizes, x, labels, order, *others):
        calls.append(len(order))
        return original(params, sizes, x, labels, order, *others)

    original = mlp_numba.run_updates
    monkeypatch.setattr(mlp_numba, "run_updates", run_updates)
    monkeypatch.setattr(mlp_numba, "WORK_PER_CALL", 17 * 33)  # the parameters times the rows
    (plain, *_), (model, *_) = train_both([3], make_data(2), max_steps=1, batch_size=16)
    assert calls == [0, 32, 32, 32, 32, 22]  # whole batches, after a call that only compiles
    for param, expected in zip(params_of(model), params_of(plain), strict=True):
        assert param == pytest.approx(expected, abs=1e-12)


def test_ctrl_c_leaves_the_network_as_it_stands(monkeypatch):
    def run_updates(params, sizes, x, labels, order, *others):
        if len(order):
            params += 1
            raise KeyboardInterrupt

    monkeypatch.setattr(mlp_numba, "run_updates", run_updates)
    model = MLP(2, [3], 2, 0)
    before = params_of(model)
    with pytest.raises(KeyboardInterrupt):
        train(model, make_data(2), backend="numba")
    for param, expected in zip(params_of(model), before, strict=True):
        assert param == pytest.approx(expected + 1)


def test_networks_can_be_trained_in_several_threads():
    data = load_data(n_samples=200)

    def run(seed):
        model = MLP(2, [20], 2, seed)
        train(model, data, max_steps=100, batch_size=1, rng=seed, backend="numba")
        return params_of(model)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, range(8)))
    for seed, params in enumerate(together):
        assert all(np.array_equal(a, b) for a, b in zip(params, run(seed), strict=True))


def run_python(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True
    )


def test_a_second_start_compiles_nothing():
    # That this process has compiled all, or found it compiled, is the work of the tests above.
    train(MLP(2, [3], 2), make_data(2), max_steps=1, backend="numba")
    result = run_python(
        "import mlp_numba, train_mlp_numpy;"
        "train_mlp_numpy.main('--backend numba --max_steps 1 --no_output'.split());"
        "functions = [f for f in vars(mlp_numba).values() if hasattr(f, 'stats')];"
        "print(len(functions), sum(sum(f.stats.cache_misses.values()) for f in functions))"
    )
    n_functions, n_misses = map(int, result.stdout.splitlines()[-1].split())
    assert n_functions >= 10
    assert n_misses == 0


WITHOUT_NUMBA = "import sys; sys.modules['numba'] = None; import train_mlp_numpy;"


def test_without_numba_the_flag_says_what_to_install():
    result = run_python(
        WITHOUT_NUMBA + "train_mlp_numpy.main('--backend numba --no_output'.split())"
    )
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert re.search(r"error: argument --backend: .* needs Numba .*: pip install numba", line)


def test_without_numba_everything_else_works():
    result = run_python(WITHOUT_NUMBA + "train_mlp_numpy.main('--max_steps 1 --no_output'.split())")
    assert (result.returncode, result.stderr) == (0, "")
