"""The training loop against the mathematics, its history, what it refuses, and its data."""

import math

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_moons
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

from mlp_numpy import MLP
from tests.helpers import all_equal, params_of
from train_mlp_numpy import DATASETS, METRICS, Data, accuracy, evaluate, load_data, train


@pytest.fixture(scope="module")
def moons():
    """80 rows for training and 20 for testing."""
    return load_data(n_samples=100)


def new_model():
    return MLP(2, [3], 2, 0)


class Recorder(MLP):
    """A network that notes the rows of every batch that it learns from, and counts its updates."""

    def __init__(self, *args):
        super().__init__(*args)
        self.batches = []
        self.n_updates = 0

    def forward(self, x):
        self.rows = x.copy()
        return super().forward(x)

    def backward(self, dout):
        self.batches.append(self.rows)
        super().backward(dout)

    def update(self, learning_rate):
        self.n_updates += 1
        super().update(learning_rate)


def test_one_step_worked_by_hand():
    """Two rows through 2-2-2; the second meets the ReLU exactly at its kink.

    Row 1: z = [1, -1], a = [1, 0], logits [ln 3, 0], p = [3/4, 1/4], target the second class.
    Row 2: z = [0, -1], a = [0, 0], logits [0, 0], p = [1/2, 1/2], target the first class.
    So dlogits = [[3/8, -3/8], [-1/4, 1/4]]; behind the ReLU only the first unit of row 1 is
    left, with dz = 3/8 ln 3. The learning rate is 2.
    """
    ln3 = math.log(3)
    model = MLP(2, [2], 2)
    hidden, output = model.linear_layers
    hidden.params["weight"] = np.array([[0.5, -1.0], [0.25, 0.5]])
    hidden.params["bias"] = np.array([0.0, -1.0])
    output.params["weight"] = np.array([[ln3, 0.0], [2.0, 1.0]])
    x = np.array([[1.0, 2.0], [0.0, 0.0]])
    targets = np.array([[0.0, 1.0], [1.0, 0.0]])

    history = train(model, Data(x, targets, x, targets), learning_rate=2, max_steps=1)

    dz = 3 / 8 * ln3
    assert history["train_loss"][0] == pytest.approx(3 / 2 * math.log(2))
    assert history["train_accuracy"][0] == 0.5
    new_weight = np.array([[0.5 - 2 * dz, -1.0], [0.25 - 4 * dz, 0.5]])
    assert hidden.params["weight"] == pytest.approx(new_weight)
    assert hidden.params["bias"] == pytest.approx(np.array([-2 * dz, -1.0]))
    new_weight = np.array([[ln3 - 3 / 4, 3 / 4], [2.0, 1.0]])
    assert output.params["weight"] == pytest.approx(new_weight)
    assert output.params["bias"] == pytest.approx(np.array([-1 / 4, 1 / 4]))


def test_full_batch_gives_the_parameters_of_scikit_learn():
    blobs = load_data("blobs", n_samples=50, noise=0.5)
    labels = blobs.y_train.argmax(axis=1)
    peer = MLPClassifier(
        [8, 6],
        solver="sgd",
        alpha=0,
        momentum=0,
        nesterovs_momentum=False,
        learning_rate_init=0.5,
        batch_size=len(labels),
        shuffle=False,
    )
    peer.partial_fit(blobs.x_train, labels, classes=[0, 1, 2])  # makes the arrays, now replaced:
    model = MLP(2, [8, 6], 3, 0)
    for i, linear in enumerate(model.linear_layers):
        linear.params["weight"] = 5 * linear.params["weight"]  # to learn much in 50 epochs
        peer.coefs_[i][...] = linear.params["weight"]
        peer.intercepts_[i][...] = linear.params["bias"]

    train(model, blobs, learning_rate=0.5, max_steps=50)
    for _ in range(50):
        peer.partial_fit(blobs.x_train, labels)

    for i, linear in enumerate(model.linear_layers):
        assert linear.params["weight"] == pytest.approx(peer.coefs_[i], abs=1e-10)
        assert linear.params["bias"] == pytest.approx(peer.intercepts_[i], abs=1e-10)
    assert accuracy(model.forward(blobs.x_train), blobs.y_train) > 0.9  # it did learn


# Batches and their order


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(1, [1] * 80), (7, [7] * 11 + [3]), (80, [80]), (5000, [80]), (None, [80])],
)
def test_an_epoch_visits_each_row_once_and_only_its_last_batch_may_be_short(
    moons, batch_size, sizes
):
    model = Recorder(2, [3], 2, 0)
    train(model, moons, max_steps=1, batch_size=batch_size, rng=0)
    assert [len(batch) for batch in model.batches] == sizes
    rows = np.concatenate(model.batches)
    assert sorted(rows.tolist()) == sorted(moons.x_train.tolist())


def test_there_is_an_update_for_each_batch(moons):
    model = Recorder(2, [3], 2, 0)
    train(model, moons, max_steps=3, batch_size=16)
    assert model.n_updates == 3 * 5


@pytest.mark.parametrize("batch_size", [16, None])
def test_each_epoch_has_another_order(moons, batch_size):
    model = Recorder(2, [3], 2, 0)
    train(model, moons, max_steps=2, batch_size=batch_size, rng=0)
    first, second = np.concatenate(model.batches).reshape(2, 80, 2)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, moons.x_train)
    assert not np.array_equal(second, moons.x_train)


def test_targets_are_shuffled_with_their_rows():
    # The class is the sign of x: with targets of other rows, accuracy would stay at chance.
    x = np.linspace(-1, 1, 40).reshape(40, 1)
    is_positive = x[:, 0] > 0
    targets = np.eye(2)[is_positive.astype(int)]
    data = Data(x, targets, x, targets)
    model = MLP(1, [], 2, 0)
    history = train(model, data, learning_rate=1.0, max_steps=20, batch_size=4, rng=0)
    assert history["train_accuracy"][-1] > 0.9


def params_after_an_epoch(data, rng):
    model = new_model()
    train(model, data, max_steps=1, batch_size=16, rng=rng)
    return params_of(model)


def test_the_same_seed_gives_the_same_bits(moons):
    first = params_after_an_epoch(moons, rng=5)
    assert all_equal(params_after_an_epoch(moons, rng=5), first)


def test_another_seed_gives_another_order(moons):
    first = params_after_an_epoch(moons, rng=5)
    assert not all_equal(params_after_an_epoch(moons, rng=6), first)


def test_without_a_seed_the_order_is_new_each_time(moons):
    first = params_after_an_epoch(moons, rng=None)
    assert not all_equal(params_after_an_epoch(moons, rng=None), first)


def test_the_global_generator_of_numpy_is_left_alone():
    np.random.seed(5)
    expected = np.random.RandomState(5).random()
    data = load_data(n_samples=20)
    train(MLP(2, [3], 2), data, max_steps=2, batch_size=7)
    assert np.random.random() == expected


def test_training_leaves_the_data_as_they_were(moons):
    copies = [array.copy() for array in moons]
    train(new_model(), moons, max_steps=2, batch_size=7)
    assert all_equal(moons, copies)


# The history


@pytest.mark.parametrize(
    ("max_steps", "eval_freq", "epochs"),
    [
        (10, 5, [0, 5, 10]),
        (10, 4, [0, 4, 8, 10]),
        (3, 10, [0, 3]),
        (3, 1, [0, 1, 2, 3]),
    ],
)
def test_the_history_has_an_entry_at_0_at_every_eval_freq_and_at_the_end(
    moons, max_steps, eval_freq, epochs
):
    history = train(new_model(), moons, max_steps=max_steps, eval_freq=eval_freq)
    assert history["epoch"].tolist() == epochs
    for metric in METRICS:
        assert len(history[metric]) == len(epochs)


def test_the_columns_of_the_history_have_these_names_in_this_order(moons):
    history = train(new_model(), moons, max_steps=1)
    names = ["epoch", "train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    assert list(history) == names


def test_the_first_entry_is_of_the_model_before_training_and_the_last_of_that_after(moons):
    model = new_model()
    before = evaluate(model, moons)
    history = train(model, moons, learning_rate=0.1, max_steps=20)
    after = evaluate(model, moons)
    assert before["train_loss"] > after["train_loss"]
    for metric in METRICS:
        assert history[metric][0] == before[metric]
        assert history[metric][-1] == after[metric]


def test_metrics_are_of_the_part_that_they_name():
    model = MLP(1, [], 2)
    model.linear_layers[0].params["weight"] = np.array([[0.0, 1.0]])  # class 1 for x > 0
    x_train = np.array([[1.0]])
    x_test = np.array([[2.0]])
    class_0 = np.array([[1.0, 0.0]])
    class_1 = np.array([[0.0, 1.0]])
    metrics = evaluate(model, Data(x_train, class_1, x_test, class_0))
    assert metrics["train_accuracy"] == 1
    assert metrics["test_accuracy"] == 0
    assert metrics["train_loss"] == pytest.approx(math.log(1 + math.exp(-1)))
    assert metrics["test_loss"] == pytest.approx(math.log(1 + math.exp(2)))


def test_accuracy_is_the_fraction_of_rows_whose_largest_prediction_is_the_true_class():
    predictions = np.array([[0.2, 0.3, 0.5], [0.4, 0.35, 0.25], [0.3, 0.6, 0.1]])
    targets = np.array([[0, 0, 1], [0, 1, 0], [0, 1, 0]])
    assert accuracy(predictions, targets) == 2 / 3


def test_the_callback_hears_of_every_epoch_and_of_the_entries_of_the_history(moons):
    calls = {}

    def callback(epoch, metrics):
        calls[epoch] = metrics

    history = train(new_model(), moons, max_steps=5, eval_freq=2, callback=callback)
    assert list(calls) == [0, 1, 2, 3, 4, 5]
    assert calls[1] == calls[3] == {}
    for i, epoch in enumerate([0, 2, 4, 5]):
        assert calls[epoch] == {name: history[name][i] for name in METRICS}


def test_the_defaults_are_those_of_the_assignment():
    x = np.array([[0.5], [-1.5], [0.1]])
    targets = np.eye(2)[[0, 1, 1]]
    data = Data(x, targets, x, targets)
    by_default = train(MLP(1, [], 2, 0), data, rng=0)
    by_name = train(
        MLP(1, [], 2, 0),
        data,
        learning_rate=0.01,
        max_steps=1500,
        eval_freq=10,
        batch_size=3,
        backend="numpy",
        rng=0,
    )
    assert all_equal(by_default.values(), by_name.values())


# Divergence


# Evaluated after epoch 1, the loss is infinite. Else the first loss that shows it is a batch's in
# epoch 2.
@pytest.mark.parametrize(("eval_freq", "epochs"), [(1, [0]), (100, [0, 1])])
def test_training_that_diverges_stops_at_the_first_loss_that_is_not_finite(
    moons, eval_freq, epochs
):
    epochs_called = []
    with pytest.raises(FloatingPointError, match="learning rate"):
        train(
            MLP(2, [5, 5], 2, 0),
            moons,
            learning_rate=1e200,
            eval_freq=eval_freq,
            callback=lambda epoch, metrics: epochs_called.append(epoch),
        )
    assert epochs_called == epochs


@pytest.mark.parametrize("part", ["x_train", "x_test"])
def test_nan_in_one_part_of_the_data_is_found_before_training(moons, part):
    x = getattr(moons, part).copy()
    x[3, 1] = math.nan
    model = new_model()
    with pytest.raises(FloatingPointError, match="data"):
        train(model, moons._replace(**{part: x}))
    assert all_equal(params_of(model), params_of(new_model()))


# What is refused, before any training


def assert_refused(message, model, data, **options):
    """Assert that train raises a ValueError of this message before the first epoch."""
    epochs = []
    with pytest.raises(ValueError, match=message):
        train(model, data, callback=lambda epoch, metrics: epochs.append(epoch), **options)
    assert epochs == []


@pytest.mark.parametrize("name", ["learning_rate", "max_steps", "eval_freq", "batch_size"])
@pytest.mark.parametrize("value", [0, -3])
def test_an_option_that_is_not_above_0_is_refused_by_name_and_value(moons, name, value):
    assert_refused(f"{name} .*above 0.* {value}", new_model(), moons, **{name: value})


def test_an_unknown_backend_is_refused_with_those_there_are(moons):
    assert_refused("backend .*numpy.*numba.*torch", new_model(), moons, backend="torch")


ONE_HOT = np.eye(2)[[0, 1] * 10]
NOT_ONE_HOT = {
    "labels": np.zeros(20),
    "no class": np.zeros((20, 2)),
    "two classes": np.ones((20, 2)),
    "halves": np.full((20, 2), 0.5),
}


@pytest.mark.parametrize("part", ["y_train", "y_test"])
@pytest.mark.parametrize("kind", NOT_ONE_HOT)
def test_targets_that_are_not_one_hot_are_refused_with_the_remedy(part, kind):
    x = np.zeros((20, 2))
    data = Data(x, ONE_HOT, x, ONE_HOT)._replace(**{part: NOT_ONE_HOT[kind]})
    assert_refused(rf"{part} .*one-hot.*np\.eye\(C\)\[labels\]", new_model(), data)


@pytest.mark.parametrize("part", ["y_train", "y_test"])
def test_another_number_of_targets_than_of_rows_is_refused(part):
    x = np.zeros((20, 2))
    data = Data(x, ONE_HOT, x, ONE_HOT)._replace(**{part: ONE_HOT[:19]})
    assert_refused(f"{part} .*19.*20", new_model(), data)


# Data


@pytest.mark.parametrize("seed", [42, 7])
def test_moons_are_scikit_learn_s_of_this_seed_and_so_is_the_split(seed):
    x, labels = make_moons(n_samples=1000, noise=0.2, random_state=seed)
    targets = np.eye(2)[labels]
    x_train, x_test, y_train, y_test = train_test_split(
        x, targets, test_size=0.2, random_state=seed
    )
    assert all_equal(load_data(seed=seed), (x_train, y_train, x_test, y_test))


def test_the_default_seed_is_that_of_the_report():
    assert all_equal(load_data(), load_data(seed=42))


@pytest.mark.parametrize(
    ("dataset", "n_features", "n_classes"),
    [("moons", 2, 2), ("circles", 2, 2), ("blobs", 2, 3), ("digits", 64, 10)],
)
def test_every_data_set_has_so_many_rows_and_one_hot_targets(dataset, n_features, n_classes):
    data = load_data(dataset, n_samples=500, test_size=0.3)
    assert data.x_train.shape == (350, n_features)
    assert data.y_train.shape == (350, n_classes)
    assert data.x_test.shape == (150, n_features)
    assert data.y_test.shape == (150, n_classes)
    for targets in (data.y_train, data.y_test):
        assert sorted(np.unique(targets)) == [0, 1]
        assert (targets.sum(axis=1) == 1).all()
        assert targets.any(axis=0).all()  # every class is there


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_same_seed_gives_the_same_rows_and_another_seed_others(dataset):
    first = load_data(dataset, n_samples=60, seed=1)
    again = load_data(dataset, n_samples=60, seed=1)
    other = load_data(dataset, n_samples=60, seed=2)
    assert all_equal(first, again)
    rows = np.concatenate([first.x_train, first.x_test]).tolist()
    other_rows = np.concatenate([other.x_train, other.x_test]).tolist()
    assert sorted(rows) != sorted(other_rows)


@pytest.mark.parametrize("dataset", ["moons", "circles", "blobs"])
def test_noise_is_the_standard_deviation_of_each_coordinate(dataset):
    clean = load_data(dataset, 1000, noise=0, seed=0)
    noisy = load_data(dataset, 1000, noise=0.5, seed=0)
    for k in range(clean.y_train.shape[1]):
        clean_variance = clean.x_train[clean.y_train[:, k] == 1].var(axis=0)
        noisy_variance = noisy.x_train[noisy.y_train[:, k] == 1].var(axis=0)
        assert noisy_variance - clean_variance == pytest.approx([0.25, 0.25], abs=0.1)


def test_circles_are_the_unit_circle_and_one_of_half_its_size():
    data = load_data("circles", noise=0)
    radii = np.linalg.norm(data.x_train, axis=1)
    assert radii == pytest.approx(data.y_train @ [1, 0.5])


def test_blobs_lie_at_the_corners_of_a_triangle_on_the_unit_circle():
    data = load_data("blobs", n_samples=30, noise=0)
    height = math.sqrt(3) / 2
    corners = np.array([[0, 1], [-height, -0.5], [height, -0.5]])
    assert data.x_train == pytest.approx(data.y_train @ corners)


def test_digits_are_the_real_images_scaled_to_one_each_with_its_label():
    data = load_data("digits", n_samples=1797)
    images, labels = load_digits(return_X_y=True)
    known = np.column_stack([images / 16, labels])
    x = np.concatenate([data.x_train, data.x_test])
    targets = np.concatenate([data.y_train, data.y_test])
    loaded = np.column_stack([x, targets.argmax(axis=1)])
    assert sorted(loaded.tolist()) == sorted(known.tolist())


def test_an_unknown_data_set_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"dataset .*moons, circles, blobs, digits.*'moon'"):
        load_data("moon")
