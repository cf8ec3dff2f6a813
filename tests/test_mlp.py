"""The network as a composition of layers, and its file."""

import io
import os
import pickle
import tracemalloc
import zipfile

import numpy as np
import pytest

from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU, SoftMax


@pytest.fixture
def model():
    return MLP(3, [5, 4], 2, rng=0)


def test_hidden_layers_are_linear_and_relu_and_the_output_is_linear_and_softmax(model):
    kinds = [type(layer) for layer in model.layers]
    assert kinds == [Linear, ReLU, Linear, ReLU, Linear, SoftMax]
    shapes = [layer.params["weight"].shape for layer in model.layers[::2]]
    assert shapes == [(3, 5), (5, 4), (4, 2)]


def test_without_hidden_layers_it_is_softmax_regression():
    model, x = MLP(3, [], 4, rng=0), np.random.default_rng(0).normal(size=(6, 3))
    assert [type(layer) for layer in model.layers] == [Linear, SoftMax]
    weight, bias = model.layers[0].params.values()
    assert model.forward(x) == pytest.approx(SoftMax().forward(x @ weight + bias))


def test_the_layers_draw_from_one_generator():
    weights = [layer.params["weight"] for layer in MLP(2, [2], 2, rng=7).layers[::2]]
    assert np.array_equal(weights, np.random.RandomState(7).normal(0, 0.1, (2, 2, 2)))
    generator = np.random.default_rng(7)
    weights = [layer.params["weight"] for layer in MLP(2, [2], 2, rng=generator).layers[::2]]
    assert np.array_equal(weights, np.random.default_rng(7).normal(0, 0.1, (2, 2, 2)))


def test_backward_begins_at_the_last_linear_layer(model):
    x, dlogits = np.random.default_rng(0).normal(size=(2, 4, 3))
    model.forward(x)
    model.backward(dlogits[:, :2])
    assert np.array_equal(model.layers[-2].grads["bias"], dlogits[:, :2].sum(axis=0))


def test_update_steps_against_the_gradient(model):
    x, targets, loss = np.ones((4, 3)), np.eye(2)[[0, 0, 0, 1]], CrossEntropy()
    loss.forward(model.forward(x), targets)
    model.backward(loss.backward())
    before = [dict(layer.params) for layer in model.layers[::2]]
    model.update(0.5)
    for layer, params in zip(model.layers[::2], before, strict=True):
        for name, param in params.items():
            assert layer.grads[name].any()
            assert np.array_equal(layer.params[name], param - 0.5 * layer.grads[name])


def test_an_assigned_parameter_simply_works():
    model = MLP(2, [], 2)
    weight = np.array([[1, 0], [0, 1]])  # of ints, as one writes them by hand
    model.layers[0].params["weight"] = weight
    assert model.forward([[3.0, 3.0]]).tolist() == [[0.5, 0.5]]
    model.backward([[1.0, 0.0]])
    model.update(0.5)
    assert model.layers[0].params["weight"].tolist() == [[-0.5, 0.0], [-1.5, 1.0]]
    assert weight.tolist() == [[1, 0], [0, 1]]  # still the caller's


def test_permuting_the_rows_permutes_the_predictions(model):
    rng = np.random.default_rng(0)
    x, order = rng.normal(size=(20, 3)), rng.permutation(20)
    assert model.forward(x[order]) == pytest.approx(model.forward(x)[order], rel=1e-14)


@pytest.mark.parametrize("seed", range(20))
def test_a_step_that_is_small_enough_lowers_the_loss(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 8, size=rng.integers(2, 5))
    model, loss = MLP(sizes[0], sizes[1:], 3, rng), CrossEntropy()
    x, targets = rng.normal(size=(9, sizes[0])), np.eye(3)[rng.integers(3, size=9)]
    before = loss.forward(model.forward(x), targets)
    model.backward(loss.backward())
    model.update(1e-4)
    assert loss.forward(model.forward(x), targets) < before


@pytest.mark.parametrize("sizes", [(0, [2], 2), (2, [3, 0], 2), (2, [2], 1)])
def test_sizes_that_make_no_network_are_an_error(sizes):
    with pytest.raises(ValueError, match="all sizes must be at least 1 and n_classes at least 2"):
        MLP(*sizes)


# The file


@pytest.mark.parametrize("n_hidden", [[], [20], [8, 7, 6]])
def test_a_saved_network_predicts_the_same_bits(tmp_path, n_hidden):
    model, x = MLP(2, n_hidden, 3, rng=0), np.random.default_rng(0).normal(size=(50, 2))
    path = tmp_path / "network"  # no suffix is added
    model.save(path)
    assert np.array_equal(MLP.load(path).forward(x), model.forward(x))
    assert [file.name for file in tmp_path.iterdir()] == ["network"]


def test_parameters_of_any_type_are_saved_as_float64(tmp_path, model):
    model.layers[0].params["bias"] = [1, 2, 3, 4, 5]
    model.save(tmp_path / "model.npz")
    assert MLP.load(tmp_path / "model.npz").layers[0].params["bias"].tolist() == [1, 2, 3, 4, 5]


def test_a_failed_save_leaves_the_old_file_whole(tmp_path, model, monkeypatch):
    path = tmp_path / "model.npz"
    model.save(path)
    before = path.read_bytes()

    def fail(file, **arrays):
        file.write(b"half of it")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="No space left"):
        MLP(3, [5, 4], 2, rng=1).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


def saved(**changes):
    """Return the bytes of the file of a 3-4-2 network with some arrays replaced, or left out."""
    arrays = {"weight_0": np.ones((3, 4)), "bias_0": np.ones(4)}
    arrays |= {"weight_1": np.ones((4, 2)), "bias_1": np.ones(2)} | changes
    file = io.BytesIO()
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})
    return file.getvalue()


def compressed(n_bytes, method=zipfile.ZIP_DEFLATED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("weight_0.npy", bytes(n_bytes))
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a zip file"),
        (b"text", "not a zip file"),
        (saved()[:-30], "not a zip file"),
        (compressed(10**8), "it is compressed"),
        (compressed(10, zipfile.ZIP_BZIP2), "it is compressed"),
        (saved(bias_1=None), r"it holds \['bias_0', 'weight_0', 'weight_1'\]"),
        (saved(extra=np.ones(1), more=np.ones(1)), "it holds"),
        (saved(weight_0=np.ones((2, 5))), r"weight_0 is float64 of shape \(2, 5\)"),
        (saved(weight_1=np.ones((5, 2))), r"weight_1 is float64 of shape \(5, 2\)"),
        (saved(weight_1=np.ones((4, 2), dtype=np.float32)), "weight_1 is float32"),
        (saved(weight_1=np.array([{}])), "Object arrays cannot be loaded"),
        (saved(bias_1=np.ones((1, 2))), r"bias_1 is float64 of shape \(1, 2\), not .* \(2,\)"),
        (saved(weight_0=np.ones((0, 4))), "sizes must be at least 1"),
    ],
)
def test_a_file_that_is_no_network_is_refused_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "file.npz"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=f"file.npz is not a saved MLP: .*{reason}"):
        MLP.load(path)
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_nothing_in_a_file_is_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    evil = np.array([Evil()], dtype=object)
    for content in (saved(weight_0=evil), pickle.dumps(Evil())):
        (tmp_path / "file.npz").write_bytes(content)
        with pytest.raises(ValueError, match="not a saved MLP"):
            MLP.load(tmp_path / "file.npz")
    assert not (tmp_path / "executed").exists()


def test_a_file_with_a_changed_byte_is_refused_or_is_a_network(tmp_path):
    rng, content, outcomes = np.random.default_rng(0), saved(), {True: 0, False: 0}
    for _ in range(300):
        mutated = bytearray(content)
        mutated[rng.integers(len(content))] = rng.integers(256)
        (tmp_path / "file.npz").write_bytes(mutated)
        try:
            is_network = MLP.load(tmp_path / "file.npz").forward(np.ones((1, 3))).shape == (1, 2)
        except ValueError:
            is_network = False
        outcomes[is_network] += 1
    assert min(outcomes.values()) > 10


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        MLP.load(tmp_path / "nowhere")
