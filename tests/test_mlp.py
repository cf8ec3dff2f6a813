"""Part II: the network as a composition of layers, and its file."""

import io
import zipfile

import numpy as np
import pytest

import mlp_numpy
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
    assert not np.array_equal(*weights)
    expected = np.random.RandomState(7).normal(0, 0.1, (2, 2, 2))
    assert np.array_equal(weights, expected)


def test_update_steps_against_the_gradient(model):
    x, targets, loss = np.ones((4, 3)), np.eye(2)[[0, 0, 0, 1]], CrossEntropy()
    loss.forward(model.forward(x), targets)
    model.backward(loss.backward())
    before = [dict(layer.params) for layer in model.layers[::2]]
    model.update(0.5)
    for layer, params in zip(model.layers[::2], before, strict=True):
        for name, param in params.items():
            assert np.array_equal(layer.params[name], param - 0.5 * layer.grads[name])


def test_an_assigned_parameter_simply_works():
    model = MLP(2, [], 2)
    weight = np.array([[1, 0], [0, 1]])  # of ints, as one writes them by hand
    model.layers[0].params["weight"] = weight
    assert model.forward([[3.0, 3.0]]).tolist() == [[0.5, 0.5]]
    model.backward(np.array([[1.0, 0.0]]))
    model.update(0.5)
    assert model.layers[0].params["weight"].tolist() == [[-0.5, 0.0], [-1.5, 1.0]]
    assert weight.tolist() == [[1, 0], [0, 1]]  # still the caller's


def test_permuting_the_rows_permutes_the_predictions(model):
    rng = np.random.default_rng(0)
    x, order = rng.normal(size=(20, 3)), rng.permutation(20)
    assert model.forward(x[order]) == pytest.approx(model.forward(x)[order], rel=1e-14)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, [2], 2), "n_inputs must be a whole number of at least 1, got 0"),
        ((2, [3, 0], 2), "every entry of n_hidden must be .* got 0"),
        ((2, [2.5], 2), "every entry of n_hidden must be .* got 2.5"),
        ((2, 20, 2), r"n_hidden must be a list such as \[20\], got 20"),
        ((2, [2], 1), "n_classes must be a whole number of at least 2, got 1"),
    ],
)
def test_sizes_that_make_no_network_are_an_error(sizes, message):
    with pytest.raises(ValueError, match=message):
        MLP(*sizes)


@pytest.mark.parametrize("n_hidden", [[], [20], [8, 7, 6]])
def test_a_saved_network_predicts_the_same_bits(tmp_path, n_hidden):
    model, x = MLP(2, n_hidden, 3, rng=0), np.random.default_rng(0).normal(size=(50, 2))
    path = tmp_path / "network"  # no suffix is added
    model.save(path)
    loaded = MLP.load(path)
    assert np.array_equal(loaded.forward(x), model.forward(x))
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in model.layers]
    assert [file.name for file in tmp_path.iterdir()] == ["network"]


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


def test_saving_follows_a_link(tmp_path, model):
    (tmp_path / "link").symlink_to(tmp_path / "model.npz")
    model.save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    MLP.load(tmp_path / "model.npz")


def test_saving_replaces_no_folder_or_device(tmp_path, model):
    with pytest.raises(OSError, match="not a regular file"):
        model.save(tmp_path)


def arrays_of(model):
    file = io.BytesIO()
    np.savez(
        file,
        **{
            f"{name}_{i}": param
            for i, layer in enumerate(model.layers[::2])
            for name, param in layer.params.items()
        },
    )
    return dict(np.load(io.BytesIO(file.getvalue())))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.clear(), "is not a saved MLP: it holds"),
        (lambda arrays: arrays.pop("weight_1"), "is not a saved MLP: it holds"),
        (lambda arrays: arrays.pop("bias_0"), r"bias_0 must have shape \(5,\), but is missing"),
        (
            lambda arrays: arrays.update(bias_1=np.zeros(3)),
            r"bias_1 must have shape \(4,\), but is of shape \(3,\)",
        ),
        (lambda arrays: arrays.update(weight_1=np.zeros((9, 4))), "weights do not fit one another"),
        (lambda arrays: arrays.update(weight_2=np.zeros(4)), "is not a saved MLP"),
        (lambda arrays: arrays.update(weight_2=np.zeros((4, 1))), "n_classes must be"),
        (lambda arrays: arrays.update(extra=np.zeros(1)), r"also holds \['extra'\]"),
        (
            lambda arrays: arrays.update(bias_0=np.full(5, np.nan)),
            "bias_0 is not finite",
        ),
        (lambda arrays: arrays.update(bias_0=np.zeros(5, int)), "bias_0 must be float64"),
        (
            lambda arrays: arrays.update(bias_0=np.array([{}] * 5)),
            "bias_0 must be float64, but is object",
        ),
    ],
)
def test_a_file_that_is_no_network_is_refused(tmp_path, model, change, message):
    path, arrays = tmp_path / "model.npz", arrays_of(model)
    change(arrays)
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message) as error:
        MLP.load(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04 broken", b"\x93NUMPY"])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "model.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a saved MLP") as error:
        MLP.load(path)
    assert str(path) in str(error.value)


def test_a_parameter_of_another_type_is_saved_as_float64(tmp_path):
    model = MLP(2, [], 2)
    model.layers[0].params["weight"] = np.array([[1, 2], [3, 4]])
    model.save(tmp_path / "model.npz")
    assert MLP.load(tmp_path / "model.npz").layers[0].params["weight"].tolist() == [[1, 2], [3, 4]]


def test_a_network_that_diverged_is_not_saved(tmp_path, model):
    model.layers[2].params["bias"] = np.full(4, np.inf)
    with pytest.raises(ValueError, match=r"cannot save .* bias_1 is not finite"):
        model.save(tmp_path / "model.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_plain_array_or_another_archive_is_refused(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("weight_0", "text")
    for name in ("array.npy", "other.zip"):
        with pytest.raises(ValueError, match="is not a saved MLP"):
            MLP.load(tmp_path / name)


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        MLP.load(tmp_path / "none.npz")


def test_a_failure_without_words_is_named_by_its_type(tmp_path, model, monkeypatch):
    def fail(content):
        raise EOFError

    model.save(tmp_path / "model.npz")
    monkeypatch.setattr(mlp_numpy, "read_arrays", fail)
    with pytest.raises(ValueError, match=r"model\.npz is not a saved MLP: EOFError$"):
        MLP.load(tmp_path / "model.npz")


def test_a_long_reason_is_cut(tmp_path, model, monkeypatch):
    def fail(content):
        raise OverflowError(1000 * "x y\n")

    model.save(tmp_path / "model.npz")
    monkeypatch.setattr(mlp_numpy, "read_arrays", fail)
    with pytest.raises(ValueError, match="MLP: x y x y x y") as error:
        MLP.load(tmp_path / "model.npz")
    assert len(str(error.value).partition("MLP: ")[2]) == 200
