"""The run of a playground: it is what `train` does, bit for bit, and every change can be undone."""

import sys
from functools import partial

import numpy as np
import pytest

from mlp_numpy import MLP
from modules import as_rng
from playground.problems import load_problem
from playground.run import Code, Run
from playground.settings import FIRST
from tests.helpers import skip_without_compiled_loop
from tests.playground.asking import (
    BATCH,
    CHANGES,
    FOLD,
    PLANTED,
    POINT,
    RATE,
    SMALL,
    WEIGHT,
    all_same,
    is_same,
    what,
)
from train_mlp_numpy import epoch_runner, evaluate, train


def new_run(n_epochs=0, **texts):
    run = Run(FIRST | SMALL | texts)
    advance(run, n_epochs)
    return run


def advance(run, n_epochs):
    for _ in range(n_epochs):
        run.advance()


def flat(model):
    """Return all parameters of an MLP, one behind the other."""
    arrays = []
    for linear in model.linear_layers:
        arrays.append(linear.params["weight"].ravel())
        arrays.append(linear.params["bias"])
    return np.concatenate(arrays)


class Trained:
    """What `train` does from a seed on; it can be called again, to go on."""

    def __init__(self, data, n_hidden, seed, backend):
        self.rng = as_rng(seed)
        self.model = MLP(2, n_hidden, data.y_train.shape[1], self.rng)
        self.backend = backend
        self.params = [flat(self.model)]  # of each epoch
        self.metrics = [evaluate(self.model, data)]

    def go_on(self, data, n_epochs, batch_size, learning_rate=0.01):
        train(
            self.model,
            data,
            learning_rate=learning_rate,
            max_steps=n_epochs,
            eval_freq=1,
            batch_size=batch_size,
            rng=self.rng,
            backend=self.backend,
            callback=self.keep,
        )

    def keep(self, epoch, metrics):
        if epoch > 0:
            self.params.append(flat(self.model))
            self.metrics.append(metrics)

    def is_equal(self, run):
        params = [moment.params for moment in run.moments]
        metrics = [moment.metrics for moment in run.moments]
        return np.array_equal(params, self.params) and metrics == self.metrics


@pytest.fixture(params=["numpy", "numba"])
def backend(request, monkeypatch):
    """Each backend that a run may have: Numba where it is installed, or else NumPy."""
    if request.param == "numba":
        skip_without_compiled_loop()
    else:
        monkeypatch.setitem(sys.modules, "speed.compiled", None)  # as if Numba were missing
    return request.param


@pytest.mark.parametrize(
    ("dataset", "hidden_units", "batch_size"),
    [("moons", [20], 16), ("spiral", [], None), ("blobs", [4, 3], 300), ("xor", [1], 1000)],
)
def test_each_epoch_is_that_of_train_bit_for_bit(dataset, hidden_units, batch_size, backend):
    run = Run(
        FIRST
        | {
            "dataset": dataset,
            "noise": "0.1",
            "data_seed": "3",
            "hidden_units": ",".join(map(str, hidden_units)) or "none",
            "batch_size": str(batch_size or "full"),
            "learning_rate": "0.1",
            "seed": "7",
        }
    )
    advance(run, 4)
    data = load_problem(dataset, noise=0.1, seed=3)
    expected = Trained(data, hidden_units, 7, backend)
    expected.go_on(data, 4, batch_size, learning_rate=0.1)
    assert expected.is_equal(run)


@pytest.mark.parametrize("change", CHANGES, ids=what)
def test_after_a_change_it_is_what_train_makes_of_the_changed_network(change, backend):
    run = new_run(3)
    run.change({"epoch": 3, **change})
    advance(run, 2)

    data = load_problem("moons")
    expected = Trained(data, [3], 42, backend)
    expected.go_on(data, 3, 300)
    options = {"batch_size": 300, "learning_rate": 0.01}
    hidden = expected.model.layers[0].params
    if change is RATE:
        options["learning_rate"] = 0.3
    elif change is BATCH:
        options["batch_size"] = 64
    elif change is POINT:
        x_train = np.vstack([data.x_train, [0.5, -2]])
        y_train = np.vstack([data.y_train, [0, 1]])
        data = data._replace(x_train=x_train, y_train=y_train)
    elif change is WEIGHT:
        expected.model.layers[2].params["weight"][2, 0] = -0.75
    else:
        hidden["weight"][:, 1] = [0.5, -1]
        hidden["bias"][1] = 0.25
    if change is PLANTED:
        expected.model.layers[2].params["weight"][1] = [-0.2, 0.2]
    expected.params[3] = flat(expected.model)
    expected.metrics[3] = evaluate(expected.model, data)
    expected.go_on(data, 2, **options)
    assert expected.is_equal(run)


def test_the_first_two_of_three_layers_have_the_fold_that_is_planted():
    run = new_run(hidden_units="3,4")
    run.change({"epoch": 0, **FOLD, "output": [1, 2, 3, 4]})
    first, second, _ = run.linears
    assert first.params["weight"][:, 1].tolist() == [0.5, -1]
    assert second.params["weight"][1].tolist() == [1, 2, 3, 4]


def test_going_back_and_on_gives_the_same_digits():
    run = new_run(5)
    once = run.moments
    run.go_back(2)
    assert len(run.moments) == 3
    advance(run, 3)
    assert all_same(run.moments, once)


@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("change", CHANGES, ids=what)
def test_undo_brings_the_moment_before_a_change_back_and_keeps_nothing_of_it(change, epoch):
    run = new_run(4)
    once = run.moments
    run.change({"epoch": epoch, **change})
    advance(run, 2)
    run.undo()
    assert run.changes == []
    assert len(run.moments) == epoch + 1
    advance(run, 4 - epoch)
    assert all_same(run.moments, once)


def test_changes_at_one_epoch_add_up_and_are_undone_one_by_one():
    run = new_run(1)
    moments = [run.moments[1]]
    for change in CHANGES:
        run.change({"epoch": 1, **change})
        moments.append(run.moments[1])
    assert (run.epoch, run.learning_rate, run.batch_size) == (1, 0.3, 64)
    assert len(run.data.x_train) == 801
    for moment in reversed(moments[:-1]):
        run.undo()
        assert is_same(run.moments[1], moment)
    with pytest.raises(ValueError, match="no change"):
        run.undo()


def test_a_change_forgets_the_later_ones_and_keeps_the_earlier_ones():
    run = new_run(1)
    run.change({"epoch": 1, **RATE})
    advance(run, 2)
    run.change({"epoch": 3, **POINT})
    run.change({"epoch": 2, **BATCH})
    assert [change["epoch"] for change in run.changes] == [1, 2]
    assert (run.learning_rate, run.batch_size, len(run.data.x_train)) == (0.3, 64, 800)


def test_a_point_is_learned_from_its_epoch_on_and_no_earlier():
    run = new_run(3)
    before = run.moments
    run.change({"epoch": 2, **POINT})
    run.advance()
    for epoch, n_rows in ((0, 800), (1, 800), (2, 801), (3, 801)):
        assert len(run.data_at(epoch).x_train) == n_rows
        _, batch = run.within_epoch(epoch, 3)  # the last of the epoch
        assert len(batch) == n_rows - 600
    assert run.data.x_train[-1].tolist() == [0.5, -2]
    assert run.data.y_train[-1].tolist() == [0, 1]
    assert all_same(run.moments[:2], before[:2])
    assert np.array_equal(run.moments[2].params, before[2].params)
    assert run.moments[2].metrics != before[2].metrics  # the point counts in them


def test_the_full_batch_takes_the_points_that_are_added():
    run = new_run(batch_size="full")
    run.change({"epoch": 0, **POINT})
    _, batch = run.within_epoch(0, 1)
    assert sorted(batch) == list(range(801))


# Within an epoch.


def test_the_batches_of_an_epoch_take_each_row_once_and_lead_to_the_next_epoch():
    run = new_run(2)
    rows = []
    for n_batches in (1, 2, 3):
        moment, batch = run.within_epoch(1, n_batches)
        rows.append(len(batch))
        assert is_same(moment, run.moments[2]) == (n_batches == 3)
    assert rows == [300, 300, 200]
    batches = [run.within_epoch(1, n_batches)[1] for n_batches in (1, 2, 3)]
    assert sorted(np.concatenate(batches)) == list(range(800))


def test_what_is_within_an_epoch_is_as_it_was_before_later_changes_and_leaves_the_run():
    run = new_run(3)
    moment, batch = run.within_epoch(1, 2)
    for change in CHANGES:
        run.change({"epoch": 2, **change})
    run.advance()
    expected = new_run(2)
    for change in CHANGES:
        expected.change({"epoch": 2, **change})
    advance(expected, 2)

    again, same_batch = run.within_epoch(1, 2)
    assert is_same(again, moment)
    assert np.array_equal(batch, same_batch)
    run.advance()
    assert all_same(run.moments, expected.moments)


# What cannot be done.


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("dataset", "moon", "Dataset: 'moon' .* moons, circles"),
        ("noise", "2", "Noise: '2' .* from 0 to 1"),
        ("data_seed", "-1", "Data seed: '-1' .* from 0"),
        ("hidden_units", "8,8,8", "Hidden units: '8,8,8' .* at most 2 layers"),
        ("hidden_units", "41", "Hidden units: '41' .* at most 40"),
        ("learning_rate", "nan", "Learning rate: 'nan' .* a number from"),
        ("batch_size", "0", "Batch size: '0' .* or full"),
        ("seed", "1.5", "Seed: '1.5' .* a whole number"),
        ("epochs", "20001", "Epochs: '20001' .* 20000"),
    ],
)
def test_the_error_for_a_setting_says_what_would_be_valid(name, text, told):
    with pytest.raises(ValueError, match=told):
        new_run(**{name: text})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({**FOLD, "epoch": 3}, "no epoch 3; the last is 2"),
        ({**FOLD, "epoch": -1}, "epoch .* from 0 .* -1"),
        ({**FOLD, "epoch": "1"}, "epoch .* whole number .* '1'"),
        ({**FOLD, "unit": 3}, "unit .* from 0 to 2, got 3"),
        ({**FOLD, "weight": [1, 2, 3]}, "weight .* 2 numbers, got 3"),
        ({**FOLD, "bias": float("nan")}, "bias .* a number from .* nan"),
        ({**FOLD, "output": [1]}, "output .* 2 numbers, got 1"),
        ({**WEIGHT, "layer": 2}, "layer .* from 0 to 1, got 2"),
        ({**WEIGHT, "from": 3}, "from .* from 0 to 2, got 3"),
        ({**WEIGHT, "to": 2}, "to .* from 0 to 1, got 2"),
        ({**WEIGHT, "value": None}, "weight .* a number from .* None"),
        ({**POINT, "point": [None, 0]}, "point .* a number from .* None"),  # what was typed is none
        ({**POINT, "point": [0, 11]}, "point .* a number from -10 to 10, got 11"),
        ({**POINT, "class": 2}, "class .* from 0 to 1, got 2"),
        ({**RATE, "value": "fast"}, "Learning rate: 'fast' .* a number from"),
        ({**BATCH, "value": "0"}, "Batch size: '0' .* or full"),
        ({"what": "seed", "value": "1"}, "seed.* is not a change"),
        ({"what": "point"}, "point.* is not a change"),
        ({"what": []}, "is not a change"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused_and_leaves_the_run_as_it_was(change, told):
    run = new_run(2)
    moments = run.moments
    with pytest.raises(ValueError, match=told):
        run.change({"epoch": 0} | change)
    assert run.moments is moments
    assert run.changes == []
    assert is_same(run.now(), moments[2])


def test_without_hidden_units_there_is_no_fold_to_change():
    run = new_run(hidden_units="none")
    with pytest.raises(ValueError, match="no hidden units"):
        run.change({"epoch": 0, **FOLD})


def test_a_change_after_which_a_network_gives_nan_leaves_the_run_as_it_was():
    class Overflowing(MLP):
        def forward(self, x):
            powers = np.exp(100 * super().forward(x) + 100 * np.abs(x))
            return powers / powers.sum(axis=1, keepdims=True)

    run = Run(FIRST | SMALL, Code(Overflowing, partial(epoch_runner, "numpy")))
    advance(run, 2)
    before = run.moments
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        run.change({"epoch": 1, **POINT, "point": [10, 10]})
    assert (run.moments, run.changes) == (before, [])
    run.advance()
    expected = run.moments
    run.go_back(2)
    run.advance()
    assert is_same(run.moments[3], expected[3])
