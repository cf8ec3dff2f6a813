"""The forming boundaries: what each picture shows, and the file that the command writes."""

import io

import numpy as np
import pytest
from PIL import Image

import plots
from experiments import boundary
from mlp_numpy import MLP
from tests.helpers import pixels, refusal
from train_mlp_numpy import load_data, train


@pytest.fixture(scope="module")
def data():
    return load_data(n_samples=60)


class Split:
    """A network that is sure that class 1 is to the right of x_1 = edge."""

    def __init__(self, edge):
        self.edge = edge

    def forward(self, points):
        classes = (points[:, 0] > self.edge).astype(int)
        return np.eye(2)[classes]


def check_panel(axes, network, data):
    """Check that a panel shows the boundary of this network, its accuracy and the test points."""
    assert np.array_equal(axes.collections[0].get_offsets(), data.x_test)
    is_right = network.forward(data.x_test).argmax(axis=1) == data.y_test.argmax(axis=1)
    assert axes.get_xlabel() == f"test accuracy {100 * is_right.mean():.1f} %"
    (image,) = axes.images  # of this network, and of none before
    colors = image.get_array()
    n = len(colors)
    x, y = plots.grid(axes, n)
    points = np.column_stack([x.ravel(), y.ravel()])
    is_class_1 = network.forward(points).argmax(axis=1).reshape(n, n) == 1
    is_orange = colors[..., 0] > colors[..., 2]  # more red than blue
    assert np.array_equal(is_orange, is_class_1)


# A figure of some epochs.


def test_a_snapshot_is_the_network_at_that_epoch(data):
    networks = boundary.snapshots(data, [0, 5], 7, [4], batch_size=16)
    rng = np.random.RandomState(7)
    model = MLP(2, [4], 2, rng)
    assert np.array_equal(networks[0].forward(data.x_test), model.forward(data.x_test))
    train(model, data, max_steps=5, batch_size=16, rng=rng)
    assert np.array_equal(networks[5].forward(data.x_test), model.forward(data.x_test))


def test_the_stages_are_those_of_networks_trained_that_long(data):
    settings = {"n_hidden": [4], "learning_rate": 0.5}
    figure = boundary.stages(data, [None, 16], [3, 1], 7, "the title", **settings)
    pixels(figure)
    assert figure.get_suptitle() == "the title"
    assert [axes.get_title() for axes in figure.axes] == ["epoch 3", "epoch 1", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["full batch", "", "batch size 16", ""]
    full = boundary.snapshots(data, [1, 3], 7, **settings)
    of_16 = boundary.snapshots(data, [1, 3], 7, batch_size=16, **settings)
    check_panel(figure.axes[0], full[3], data)
    check_panel(figure.axes[1], full[1], data)
    check_panel(figure.axes[2], of_16[3], data)
    check_panel(figure.axes[3], of_16[1], data)


# The animation.


def test_the_frames_go_from_the_first_epoch_to_the_last_and_are_closer_at_first():
    epochs = boundary.epochs_to_show(1500)
    assert (epochs[0], epochs[-1]) == (0, 1500)
    assert np.diff(epochs).min() > 0
    assert np.diff(epochs[:5]).max() < np.diff(epochs[-5:]).min()


def test_a_frame_shows_every_batch_size_at_the_same_epoch(data):
    runs = {None: {0: Split(0), 2: Split(1)}, 16: {0: Split(-0.5), 2: Split(0.5)}}
    places = []
    for epoch, figure in zip([0, 2], boundary.boundary_frames(runs, data), strict=True):
        pixels(figure)
        assert figure.get_suptitle() == f"epoch {epoch}"
        left, right = figure.axes
        assert left.get_title() == "full batch"
        assert right.get_title() == "batch size 16"
        check_panel(left, runs[None][epoch], data)
        check_panel(right, runs[16][epoch], data)
        places.append([left.get_position().bounds, right.get_position().bounds])
    assert places[0] == places[1]  # nothing moves between frames


def test_an_animation_has_every_frame_and_repeats(data):
    # The whole plane turns from class 1 to class 0.
    run = {0: Split(-9), 1: Split(-9), 2: Split(9)}
    content = boundary.animation(boundary.boundary_frames({None: run}, data), dpi=40)
    image = Image.open(io.BytesIO(content))
    assert image.info["loop"] == 0
    durations = []
    is_orange = []
    for k in range(image.n_frames):
        image.seek(k)
        durations.append(image.info["duration"])
        colors = np.asarray(image.convert("RGB")).astype(int)
        red, _, blue = colors[60:90, 50:80].mean(axis=(0, 1))
        is_orange.append(red > blue)
        assert (colors[0] == 255).all()  # the paper is white
    assert durations == [150, 150, 2000]
    assert is_orange == [True, True, False]


# The command.

FEW = ["--n_samples=60", "--max_steps=2", "--batch_sizes=16", "--backend=numpy"]


@pytest.mark.parametrize("at", ["plots.draw_regions", "os.replace"])
def test_ctrl_c_leaves_the_old_animation_and_nothing_else(at, tmp_path, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    path = tmp_path / "boundary.gif"
    path.write_bytes(b"old")
    monkeypatch.setattr(at, interrupted)
    with pytest.raises(KeyboardInterrupt):
        boundary.main([*FEW, f"--output_dir={tmp_path}"])
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("flags", [["--dataset", "digits"], ["--show"], ["--batch_sizes", "0"]])
def test_the_command_refuses_what_it_cannot_draw(flags, capsys):
    assert flags[0] in refusal(boundary.main, [*flags, "--no_output"], capsys)
