"""Part III: the animated boundaries."""

import io

import numpy as np
import pytest
from PIL import Image

import animate_boundary
import plots
from animate_boundary import epochs_to_show, frames, main, snapshots
from mlp_numpy import MLP
from train_mlp_numpy import accuracy, load_data, train

QUICK = ["--n_samples", "60", "--max_steps", "6", "--backend", "numpy"]


@pytest.fixture
def data():
    return load_data(n_samples=60)


def test_the_epochs_run_from_the_first_to_the_last_ever_further_apart():
    epochs = epochs_to_show(1500)
    assert epochs[0] == 0
    assert epochs[-1] == 1500
    assert len(epochs) > 30
    assert (np.diff(epochs, 2) >= -1).all()  # but for rounding
    assert epochs_to_show(1) == [0, 1]


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_snapshot_is_the_network_at_that_epoch(data, backend):
    networks = snapshots(data, [0, 3, 5], 7, [4], batch_size=16, backend=backend)
    assert list(networks) == [0, 3, 5]
    for epoch, network in networks.items():
        rng = np.random.RandomState(7)
        model = MLP(2, [4], 2, rng)
        if epoch:
            train(model, data, max_steps=epoch, batch_size=16, rng=rng)
        assert network.forward(data.x_test) == pytest.approx(model.forward(data.x_test), abs=1e-9)


def test_a_frame_has_every_batch_size_at_the_same_epoch(data):
    sizes = {"full": None, "16": 16}
    runs = {name: snapshots(data, [0, 2], 7, batch_size=size) for name, size in sizes.items()}
    for epoch, (title, panels) in zip([0, 2], frames(data, runs), strict=True):
        assert title == f"epoch {epoch}"
        assert list(panels) == ["full batch", "batch size 16"]
        for name, (predict, caption) in zip(sizes, panels.values(), strict=True):
            assert predict == runs[name][epoch].forward
            percent = 100 * accuracy(predict(data.x_test), data.y_test)
            assert caption == f"test accuracy {percent:.1f} %"


def test_the_command_writes_an_animation(tmp_path, capsys):
    assert main([*QUICK, "--batch_sizes", "16,1", "--output_dir", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.iterdir()] == [animate_boundary.FILE]
    image = Image.open(io.BytesIO((tmp_path / animate_boundary.FILE).read_bytes()))
    assert image.n_frames == len(epochs_to_show(6))
    assert image.info["loop"] == 0
    out = capsys.readouterr().out
    assert "batch size 16: test accuracy" in out
    assert out.endswith(f"wrote {tmp_path / animate_boundary.FILE}\n")


def figures(n):
    """Yield a figure of which the first half of the area is dark in all but the last state."""
    data = load_data(n_samples=20)
    for k in range(n):
        p = k / (n - 1)
        yield from plots.boundary_frames(
            [(f"frame {k}", {"a": (lambda x, p=p: np.tile([1 - p, p], (len(x), 1)), "")})], data
        )


@pytest.mark.parametrize("file_format", ["GIF", "PNG"])
def test_an_animation_has_every_frame_and_repeats(file_format):
    image = Image.open(io.BytesIO(plots.animation(figures(4), file_format, dpi=40)))
    default = file_format == "PNG"  # shown by programs that show one picture only
    assert image.n_frames == 4 + default
    assert image.info["loop"] == 0
    states = []
    for k in range(image.n_frames):
        image.seek(k)
        states.append((image.info.get("duration"), np.asarray(image.convert("RGB")).astype(int)))
    if default:
        assert np.array_equal(states[0][1], states[-1][1])
        del states[0]
    assert [duration for duration, _ in states] == [150, 150, 150, 2000]
    assert all((pixels[0] == 255).all() for _, pixels in states)  # the paper is white
    center = [pixels[60:90, 50:80].mean(axis=(0, 1)) for _, pixels in states]
    assert center[0][2] > center[0][0]  # blue, class 0
    assert center[-1][0] > center[-1][2]  # orange, class 1


def test_an_animation_leaves_its_figures_as_they_are():
    figure = plots.data_set(load_data(n_samples=20))
    engine = figure.get_layout_engine()
    plots.animation([figure], "GIF", dpi=40)
    assert figure.get_layout_engine() is engine
