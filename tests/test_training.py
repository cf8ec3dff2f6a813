"""The training loop against the mathematics, its history, its data, and what it refuses."""

import math
import pickle

import numpy as np
import pytest

from mlp_numpy import MLP
from train_mlp_numpy import DATASETS, METRICS, Data, accuracy, evaluate, load_data, train


@pytest.fixture(scope="module")
def moons():
    return load_data(n_samples=100)


@pytest.fixture(scope="module")
def blobs():
    return load_data("blobs", n_samples=50, noise=0.5)


def params_of(model):
    return [param.copy() for layer in model.layers[::2] for param in layer.params.values()]


class Recorder(MLP):
    """A network that notes the rows of every batch it learns from."""

    batches = ()

    def backward(self, dout):
        self.batches = [*self.batches, self.layers[0].x.copy()]
        super().backward(dout)


def test_one_step_worked_by_hand():
    """Two rows through 2-2-2; the second meets the ReLU exactly at its kink.

    Row 1: z = [1, -1], a = [1, 0], logits [ln 3, 0], p = [3/4, 1/4], target the second class.
    Row 2: z = [0, -1], a = [0, 0], logits [0, 0], p = [1/2, 1/2], target the first class.
    So dlogits = [[3/8, -3/8], [-1/4, 1/4]]; behind the ReLU only the first unit of row 1 is
    left, with dz = 3/8 ln 3 = 0.411980.
    """
    model = MLP(2, [2], 2)
    hidden, output = model.layers[0], model.layers[2]
    hidden.params["weight"] = np.array([[0.5, -1.0], [0.25, 0.5]])
    hidden.params["bias"] = np.array([0.0, -1.0])
    output.params["weight"] = np.array([[math.log(3), 0.0], [2.0, 1.0]])
    x, targets = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    history = train(model, Data(x, targets, x, targets), learning_rate=1.0, max_steps=1)
    assert history["train_loss"][0] == pytest.approx(1.0397208, abs=1e-7)  # 3/2 ln 2
    assert history["train_accuracy"][0] == 0.5
    close = {"abs": 1e-6}
    assert hidden.params["weight"] == pytest.approx(
        np.array([[0.088020, -1.0], [-0.573959, 0.5]]), **close
    )
    assert hidden.params["bias"] == pytest.approx(np.array([-0.411980, -1.0]), **close)
    assert output.params["weight"] == pytest.approx(
        np.array([[0.723612, 0.375], [2.0, 1.0]]), **close
    )
    assert output.params["bias"] == pytest.approx(np.array([-0.125, 0.125]), **close)


@pytest.mark.parametrize("n_hidden", [(8,), (8, 6)])
def test_full_batch_gives_the_parameters_of_scikit_learn(blobs, n_hidden):
    from sklearn.neural_network import MLPClassifier

    model = MLP(2, n_hidden, 3, rng=0)
    peer = MLPClassifier(
        n_hidden,
        solver="sgd",
        alpha=0,
        momentum=0,
        nesterovs_momentum=False,
        learning_rate_init=0.5,
        batch_size=len(blobs.x_train),
        shuffle=False,
    )
    labels = blobs.y_train.argmax(axis=1)
    peer.partial_fit(blobs.x_train, labels, classes=[0, 1, 2])  # makes the arrays, to be replaced
    for layer, weight, bias in zip(model.layers[::2], peer.coefs_, peer.intercepts_, strict=True):
        layer.params["weight"] = 5 * layer.params["weight"]  # to have learned much in 50 epochs
        weight[...], bias[...] = layer.params["weight"], layer.params["bias"]
    train(model, blobs, learning_rate=0.5, max_steps=50)
    for _ in range(50):
        peer.partial_fit(blobs.x_train, labels)
    for layer, weight, bias in zip(model.layers[::2], peer.coefs_, peer.intercepts_, strict=True):
        assert np.abs(layer.params["weight"] - weight).max() < 1e-10
        assert np.abs(layer.params["bias"] - bias).max() < 1e-10
    assert accuracy(model.forward(blobs.x_train), blobs.y_train) > 0.9  # it did learn


@pytest.mark.parametrize("batch_size", [1, 7, 16, 80, None])
def test_each_epoch_visits_every_row_once_in_a_new_order(moons, batch_size):
    model = Recorder(2, [3], 2, rng=0)
    train(model, moons, max_steps=3, batch_size=batch_size, rng=0)
    size = batch_size or 80
    sizes = [size] * (80 // size) + [80 % size] * (80 % size > 0)
    assert [len(batch) for batch in model.batches] == 3 * sizes
    epochs = np.concatenate(model.batches).reshape(3, 80, 2)
    for epoch in epochs:
        assert sorted(map(tuple, epoch)) == sorted(map(tuple, moons.x_train))
    orders = [moons.x_train, *epochs]
    assert not any(np.array_equal(orders[i], orders[j]) for i in range(4) for j in range(i))


def test_targets_are_shuffled_with_their_rows():
    # The class is the sign of x, so a network that sees them apart stays at chance.
    x = np.linspace(-1, 1, 40)[:, None]
    data = Data(x, np.eye(2)[(x[:, 0] > 0).astype(int)], x, np.eye(2)[(x[:, 0] > 0).astype(int)])
    history = train(MLP(1, [], 2, 0), data, learning_rate=1.0, max_steps=20, batch_size=4, rng=0)
    assert history["train_accuracy"][-1] > 0.9


def test_a_batch_size_above_the_rows_is_the_full_batch(moons):
    histories = [
        train(MLP(2, [3], 2, 0), moons, max_steps=5, batch_size=size, rng=0)
        for size in (None, 80, 5000)
    ]
    for history in histories[1:]:
        assert all(np.array_equal(history[key], histories[0][key]) for key in history)


@pytest.mark.parametrize("batch_size", [16, None])
def test_the_same_seed_gives_the_same_bits_and_another_does_not(moons, batch_size):
    def run(seed):
        rng = np.random.default_rng(seed)
        model = MLP(2, [5], 2, rng)
        history = train(model, moons, max_steps=10, eval_freq=3, batch_size=batch_size, rng=rng)
        return [*history.values(), *params_of(model)]

    first, again, other = run(0), run(0), run(1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], other[1])  # the training loss
    assert not np.array_equal(first[-2], other[-2])  # the last weights


@pytest.mark.parametrize(
    ("max_steps", "eval_freq", "epochs"),
    [
        (10, 5, [0, 5, 10]),
        (10, 4, [0, 4, 8, 10]),
        (3, 10, [0, 3]),
        (1, 1, [0, 1]),
        (4, 1, [0, 1, 2, 3, 4]),
        (5, 5, [0, 5]),
    ],
)
def test_history_is_kept_at_0_at_every_eval_freq_and_once_at_the_end(
    moons, max_steps, eval_freq, epochs
):
    model = MLP(2, [3], 2, 0)
    before = evaluate(model, moons)
    history = train(model, moons, max_steps=max_steps, eval_freq=eval_freq, rng=0)
    assert set(history) == {"epoch", *METRICS, "step"}
    assert history["epoch"].tolist() == history["step"].tolist() == epochs
    assert all(len(values) == len(epochs) for values in history.values())
    assert {key: history[key][0] for key in METRICS} == before
    assert {key: history[key][-1] for key in METRICS} == evaluate(model, moons)


def test_metrics_are_of_the_part_they_name():
    x, targets = np.array([[1.0], [2.0]]), np.eye(2)
    model = MLP(1, [], 2)
    model.layers[0].params["weight"] = np.array([[0.0, 1.0]])  # prefers class 1 for x > 0
    metrics = evaluate(model, Data(x[:1], targets[1:], x[1:], targets[:1]))
    assert metrics["train_accuracy"] == 1
    assert metrics["test_accuracy"] == 0
    assert metrics["train_loss"] == pytest.approx(math.log(1 + math.exp(-1)))
    assert metrics["test_loss"] == pytest.approx(math.log(1 + math.exp(2)))


def test_the_callback_hears_of_every_epoch(moons):
    calls = []
    history = train(
        MLP(2, [3], 2, 0),
        moons,
        max_steps=5,
        eval_freq=2,
        callback=lambda epoch, metrics: calls.append((epoch, metrics)),
    )
    assert [epoch for epoch, _ in calls] == [0, 1, 2, 3, 4, 5]
    heard = [{"epoch": epoch, **metrics} for epoch, metrics in calls if metrics]
    keys = "epoch", *METRICS
    assert heard == [{key: history[key][i] for key in keys} for i in range(4)]


def test_training_changes_neither_the_data_nor_the_generator_of_numpy(moons):
    copies = [array.copy() for array in moons]
    before = pickle.dumps(np.random.get_state())
    train(MLP(2, [3], 2), moons, max_steps=2, batch_size=7)
    assert all(np.array_equal(a, b) for a, b in zip(moons, copies, strict=True))
    assert pickle.dumps(np.random.get_state()) == before


def test_a_callback_that_returns_true_ends_training_with_an_entry(moons):
    model = MLP(2, [3], 2, 0)
    history = train(model, moons, rng=0, callback=lambda epoch, metrics: epoch == 13)
    assert history["epoch"].tolist() == [0, 10, 13]
    assert {key: history[key][-1] for key in METRICS} == evaluate(model, moons)


@pytest.mark.parametrize(("eval_freq", "last"), [(100, 2), (1, 1)])
def test_a_diverging_run_stops_names_the_epoch_and_keeps_the_history(moons, eval_freq, last):
    epochs, options = [], {"learning_rate": 1e200, "max_steps": 100, "eval_freq": eval_freq}
    message = rf"finite at epoch {last}: try .* below 1e\+200"
    with pytest.raises(FloatingPointError, match=message) as info:
        train(MLP(2, [5, 5], 2, 0), moons, callback=lambda e, _: epochs.append(e), **options)
    assert epochs == [*range(last)]
    assert info.value.history["epoch"].tolist() == [0]


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 0},
        {"learning_rate": math.nan},
        {"learning_rate": math.inf},
        {"max_steps": 0},
        {"eval_freq": 0},
        {"batch_size": 0},
        {"batch_size": -3},
        {"batch_size": 1.5},
        {"batch_size": math.inf},
        {"batch_size": math.nan},
        {"max_steps": 2.5},
        {"eval_freq": 0.5},
    ],
)
def test_an_option_out_of_range_is_an_error(moons, options):
    with pytest.raises(ValueError, match="learning_rate, max_steps, eval_freq, batch_size must be"):
        train(MLP(2, [3], 2), moons, **options)


def test_whole_numbers_of_any_type_are_equal(moons):
    histories = [
        train(MLP(2, [3], 2, 0), moons, max_steps=kind(4), eval_freq=kind(2), batch_size=kind(16))
        for kind in (int, float, np.int8, np.float32)
    ]
    for history in histories:
        assert history["epoch"].tolist() == [0, 2, 4]


def test_an_unknown_backend_is_an_error(moons):
    with pytest.raises(ValueError, match="backend must be numpy or numba, got 'torch'"):
        train(MLP(2, [3], 2), moons, backend="torch")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_train": np.zeros((79, 2))}, r"one-hot rows, got \(79, 2\)"),
        ({"x_train": np.zeros((80, 3))}, "not aligned"),
        ({"y_train": np.full((80, 2), 0.5)}, "one-hot"),
        ({"y_test": np.zeros((20, 2))}, "one-hot"),
        ({"y_train": np.zeros(80)}, r"one-hot rows, got \(80, 2\)"),
    ],
)
def test_data_that_do_not_fit_are_an_error(moons, change, message):
    with pytest.raises(ValueError, match=message):
        train(MLP(2, [3], 2), moons._replace(**change))


def test_data_that_are_not_finite_are_an_error(moons):
    x_train = moons.x_train.copy()
    x_train[3, 1] = np.nan
    with pytest.raises(
        FloatingPointError, match="the loss is not finite at epoch 0: check the data"
    ):
        train(MLP(2, [3], 2), moons._replace(x_train=x_train))


def test_lists_and_float32_train_like_float64():
    x, targets = np.array([[0.5, 1.0], [-1.5, 2.0], [0.25, -3.0]]), np.eye(2)[[0, 1, 0]]
    weights = []
    for convert in (np.asarray, np.ndarray.tolist, np.float32):
        model = MLP(2, [3], 2, rng=0)
        data = map(convert, Data(x, targets, x[:2], targets[:2]))
        train(model, data, max_steps=3, batch_size=2, rng=0)
        weights.append(np.concatenate([param.ravel() for param in params_of(model)]))
    assert np.array_equal(weights[0], weights[1])
    assert np.array_equal(weights[0], weights[2])


def test_the_defaults_are_1500_epochs_and_an_entry_every_tenth():
    x, targets = np.array([[0.5], [-1.5]]), np.eye(2)
    history = train(MLP(1, [], 2, rng=0), Data(x, targets, x, targets), rng=0)
    assert history["epoch"].tolist() == [*range(0, 1501, 10)]


# Data


def test_the_default_data_are_the_report_s():
    from sklearn.datasets import make_moons
    from sklearn.model_selection import train_test_split

    x, labels = make_moons(n_samples=1000, noise=0.2, random_state=42)
    x_train, x_test, y_train, y_test = train_test_split(
        x, np.eye(2)[labels], test_size=0.2, random_state=42
    )
    for array, expected in zip(load_data(), (x_train, y_train, x_test, y_test), strict=True):
        assert np.array_equal(array, expected)


@pytest.mark.parametrize(
    ("dataset", "n_features", "n_classes"),
    [("moons", 2, 2), ("circles", 2, 2), ("blobs", 2, 3), ("digits", 64, 10)],
)
def test_every_data_set_has_rows_and_one_hot_targets(dataset, n_features, n_classes):
    data = load_data(dataset, n_samples=500, test_size=0.3, seed=1)
    assert data.x_train.shape == (350, n_features)
    assert data.x_test.shape == (150, n_features)
    assert data.y_train.shape == (350, n_classes)
    targets = np.concatenate([data.y_train, data.y_test])
    assert set(targets.sum(axis=1)) == {1}
    assert (targets.sum(axis=0) > 0).all()
    assert not np.array_equal(data.x_train, load_data(dataset, 500, 0.2, 0.3, seed=2).x_train)


@pytest.mark.parametrize("dataset", ["moons", "circles", "blobs"])
def test_noise_is_the_standard_deviation_of_the_coordinates(dataset):
    clean, noisy = (load_data(dataset, 1000, noise, seed=0) for noise in (0.0, 0.5))
    for k in range(clean.y_train.shape[1]):
        spreads = [data.x_train[data.y_train[:, k] == 1].var(axis=0) for data in (clean, noisy)]
        assert spreads[1] - spreads[0] == pytest.approx([0.25, 0.25], abs=0.1)


@pytest.mark.parametrize("dataset", ["moons", "circles", "blobs"])
def test_no_noise_is_no_noise_whatever_its_sign(dataset):
    first, *others = (load_data(dataset, 20, noise) for noise in (0, -0.0, None))
    assert all(
        np.array_equal(*parts) for other in others for parts in zip(first, other, strict=True)
    )


def test_circles_lie_one_inside_the_other():
    data = load_data("circles", noise=0)
    radii = np.linalg.norm(data.x_train, axis=1)
    assert radii == pytest.approx(np.where(data.y_train[:, 0] == 1, 1.0, 0.5))


def test_digits_are_the_real_images_scaled_to_one():
    from sklearn.datasets import load_digits

    data = load_data("digits", n_samples=1797)
    images, labels = load_digits(return_X_y=True)
    known = {(*image, label) for image, label in zip(images / 16, labels, strict=True)}
    for x, targets in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert {(*row, label) for row, label in zip(x, targets.argmax(1), strict=True)} <= known
    assert data.x_train.max() == 1


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_seed_fixes_the_data_and_the_split(dataset):
    first, again, other = (load_data(dataset, n_samples=60, seed=seed) for seed in (1, 1, 2))
    assert all(map(np.array_equal, first, again))
    assert not np.array_equal(first.x_train, other.x_train)


def test_blobs_lie_at_the_corners_of_a_triangle_on_the_unit_circle():
    data = load_data("blobs", n_samples=30, noise=0)
    height = math.sqrt(3) / 2
    for x, targets in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x == pytest.approx(targets @ [[0, 1], [-height, -0.5], [height, -0.5]])


def test_an_unknown_data_set_is_an_error():
    with pytest.raises(ValueError, match="one of moons, circles, blobs, digits, got 'moon'"):
        load_data("moon")


def test_accuracy_is_the_fraction_of_right_rows():
    predictions = [[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]]
    assert accuracy(predictions, [[1, 0], [1, 0], [1, 0]]) == 2 / 3
    with pytest.raises(ValueError, match=r"one-hot rows, got \(3, 2\)"):
        accuracy(predictions, [[1, 0]])
    with pytest.raises(ValueError, match="got NaN"):
        accuracy([[math.nan, 1]], [[1, 0]])
    with pytest.raises(ValueError, match="one-hot"):
        accuracy([[0.5, 0.5]], [[0.5, 0.5]])
