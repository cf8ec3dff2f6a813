"""The network as a composition of layers, and its file."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax
from tests.helpers import (
    all_equal,
    grads_of,
    params_of,
    run_twice_at_once,
    small_batch,
)


def new_model(seed=0):
    return MLP(3, [5, 4], 4, seed)


def pass_through(model, x, targets):
    """Return the loss, and leave its gradients in the model."""
    cross_entropy = CrossEntropy()
    loss = cross_entropy.forward(model.forward(x), targets)
    model.backward(cross_entropy.backward())
    return loss


def test_hidden_layers_are_linear_and_relu_and_the_output_is_linear_and_softmax():
    model = new_model()
    kinds = [type(layer) for layer in model.layers]
    assert kinds == [Linear, ReLU, Linear, ReLU, Linear, SoftMax]
    shapes = [linear.params["weight"].shape for linear in model.linear_layers]
    assert shapes == [(3, 5), (5, 4), (4, 4)]


def test_without_hidden_layers_it_is_softmax_regression():
    model = MLP(3, [], 4, 0)
    x, _ = small_batch()
    weight, bias = params_of(model)
    assert model.forward(x) == pytest.approx(SoftMax().forward(x @ weight + bias))


@pytest.mark.parametrize("new_rng", [np.random.RandomState, np.random.default_rng])
def test_all_layers_draw_from_the_one_generator_that_is_given(new_rng):
    model = MLP(2, [2], 2, new_rng(7))
    weights = [linear.params["weight"] for linear in model.linear_layers]
    assert np.array_equal(weights, new_rng(7).normal(0, 0.1, (2, 2, 2)))


def test_a_seed_is_that_of_a_random_state():
    model = MLP(2, [2], 2, 7)
    assert all_equal(params_of(model), params_of(MLP(2, [2], 2, np.random.RandomState(7))))


def test_a_network_of_fewer_than_two_classes_is_refused():
    with pytest.raises(ValueError, match=r"n_classes .*2.* 1"):
        MLP(2, [3], 1)


def test_backward_begins_at_the_last_linear_layer():
    model = new_model()
    x, _ = small_batch()
    dlogits = np.random.default_rng(1).normal(size=(6, 4))
    model.forward(x)
    model.backward(dlogits)
    assert np.array_equal(model.linear_layers[-1].grads["bias"], dlogits.sum(axis=0))


def test_update_moves_every_parameter_against_its_gradient():
    model = new_model()
    pass_through(model, *small_batch())
    before = params_of(model)
    model.update(0.5)
    for old, new, grad in zip(before, params_of(model), grads_of(model), strict=True):
        assert grad.any()
        assert np.array_equal(new, old - 0.5 * grad)


def test_update_leaves_an_array_that_was_assigned_as_it_was():
    model = MLP(3, [], 4)
    weight = np.ones((3, 4))
    model.linear_layers[0].params["weight"] = weight
    pass_through(model, *small_batch())
    model.update(0.5)
    assert (weight == 1).all()
    assert not np.array_equal(params_of(model)[0], weight)


@pytest.mark.parametrize("n_hidden", [[], [1], [5], [3, 4, 6]])
def test_a_step_that_is_small_enough_lowers_the_loss(n_hidden):
    model = MLP(3, n_hidden, 4, 0)
    x, targets = small_batch()
    before = pass_through(model, x, targets)
    model.update(1e-3)
    assert pass_through(model, x, targets) < before


# The file


@pytest.mark.parametrize("n_hidden", [[], [20], [8, 7, 6]])
def test_a_network_that_was_saved_and_loaded_has_the_same_bits(n_hidden, tmp_path):
    model = MLP(3, n_hidden, 4, 0)
    pass_through(model, *small_batch())
    model.update(0.5)  # now the biases are not 0
    model.save(tmp_path / "network")
    assert os.listdir(tmp_path) == ["network"]  # no suffix is added
    assert all_equal(params_of(MLP.load(tmp_path / "network")), params_of(model))


def test_a_save_that_fails_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    old = new_model(seed=0)
    old.save(path)

    def savez_on_a_full_disk(file, **arrays):
        file.write(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", savez_on_a_full_disk)
    with pytest.raises(OSError, match="No space left"):
        new_model(seed=1).save(path)
    assert all_equal(params_of(MLP.load(path)), params_of(old))


def test_the_new_file_is_whole_and_closed_before_it_takes_the_place_of_the_old_one(
    tmp_path, monkeypatch
):
    model = new_model()
    savez = np.savez
    replace = os.replace
    written = []
    replaced = []

    def noted_savez(file, **arrays):
        written.append(file)
        savez(file, **arrays)

    def noted_replace(scratch, path):
        assert all_equal(params_of(MLP.load(scratch)), params_of(model))
        assert written[0].closed  # Windows does not replace an open file
        assert Path(scratch).parent == tmp_path  # another folder may be on another disk
        replaced.append(path)
        replace(scratch, path)

    monkeypatch.setattr(np, "savez", noted_savez)
    monkeypatch.setattr(os, "replace", noted_replace)
    model.save(tmp_path / "model.npz")
    assert replaced == [tmp_path / "model.npz"]


def test_two_processes_may_save_to_one_path_at_the_same_time(tmp_path):
    path = tmp_path / "model.npz"
    run_twice_at_once(lambda: new_model().save(path), "model.npz")
    assert all_equal(params_of(MLP.load(path)), params_of(new_model()))
    assert os.listdir(tmp_path) == ["model.npz"]


def bytes_of_npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


WEIGHT = np.ones((3, 2))
BIAS = np.ones(2)
NO_NETWORKS = {
    "empty": b"",
    "text": b"epoch,train_loss\n",
    "cut off": bytes_of_npz(weight_0=WEIGHT, bias_0=BIAS)[:-30],
    "no arrays": bytes_of_npz(),
    "no bias": bytes_of_npz(weight_0=WEIGHT),
    "other names": bytes_of_npz(x=WEIGHT, y=BIAS),
    "layer 1 missing": bytes_of_npz(weight_0=WEIGHT, bias_0=BIAS, weight_2=WEIGHT, bias_2=BIAS),
    "other shapes": bytes_of_npz(weight_0=WEIGHT, bias_0=BIAS, weight_1=WEIGHT, bias_1=BIAS),
    "one class": bytes_of_npz(weight_0=np.ones((3, 1)), bias_0=np.ones(1)),
}


@pytest.mark.parametrize("kind", NO_NETWORKS)
def test_a_file_that_is_no_network_is_refused_by_its_path(kind, tmp_path):
    path = tmp_path / "file.npz"
    path.write_bytes(NO_NETWORKS[kind])
    with pytest.raises(ValueError, match=r"file\.npz is not a saved MLP"):
        MLP.load(path)


class Evil:
    """What makes a folder called `executed` when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("is_in_an_archive", [True, False])
def test_nothing_in_a_file_is_executed(is_in_an_archive, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps(Evil())
    if is_in_an_archive:
        content = bytes_of_npz(weight_0=np.array([Evil(), Evil()]), bias_0=BIAS)
    Path("file.npz").write_bytes(content)
    with pytest.raises(ValueError, match="not a saved MLP"):
        MLP.load("file.npz")
    assert os.listdir() == ["file.npz"]


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        MLP.load(tmp_path / "nowhere")
