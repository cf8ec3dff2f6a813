"""The animated boundaries: what each frame shows, and the file that the command writes."""

import io

import numpy as np
import pytest

from mlp_numpy import MLP
from train_mlp_numpy import accuracy, load_data, train


@pytest.fixture
def boundary():
    from experiments import boundary

    return boundary


@pytest.fixture(scope="module")
def data():
    return load_data(n_samples=60)


class Split:
    """A network that is sure that class 1 lies to the right of x_1 = edge."""

    def __init__(self, edge):
        self.edge = edge

    def forward(self, points):
        return np.eye(2)[(points[:, 0] > self.edge).astype(int)]


def test_the_epochs_run_from_the_first_to_the_last_ever_further_apart(boundary):
    epochs = boundary.epochs_to_show(1500)
    assert (epochs[0], epochs[-1]) == (0, 1500)
    assert len(epochs) > 30
    assert (np.diff(epochs, 2) >= -1).all()  # but for rounding
    assert boundary.epochs_to_show(1) == [0, 1]


def test_a_snapshot_is_the_network_at_that_epoch(boundary, data):
    networks = boundary.snapshots(data, [0, 3, 5], 7, [4], batch_size=16)
    assert list(networks) == [0, 3, 5]
    for epoch, network in networks.items():
        rng = np.random.RandomState(7)
        model = MLP(2, [4], 2, rng)
        if epoch:
            train(model, data, max_steps=epoch, batch_size=16, rng=rng)
        assert np.array_equal(network.forward(data.x_test), model.forward(data.x_test))


def test_a_frame_shows_every_batch_size_at_the_same_epoch(boundary, data):
    runs = {"full": {0: Split(0), 2: Split(1)}, "16": {0: Split(-0.5), 2: Split(0.5)}}
    seen = []
    for epoch, figure in zip((0, 2), boundary.boundary_frames(runs, data), strict=True):
        figure.savefig(io.BytesIO())
        seen.append((figure, [axes.get_position().bounds for axes in figure.axes]))
        assert figure.get_suptitle() == f"epoch {epoch}"
        assert [axes.get_title() for axes in figure.axes] == ["full batch", "batch size 16"]
        for axes, networks in zip(figure.axes, runs.values(), strict=True):
            percent = 100 * accuracy(networks[epoch].forward(data.x_test), data.y_test)
            assert axes.get_xlabel() == f"test accuracy {percent:.1f} %"
            assert np.array_equal(axes.collections[0].get_offsets(), data.x_test)
            (image,) = axes.images  # of this epoch, none of the one before
            colors = image.get_array()[0]
            x = np.linspace(*axes.get_xlim(), len(colors))
            assert np.array_equal(colors[:, 0] > colors[:, 2], x > networks[epoch].edge)  # orange
    assert seen[0] == seen[1]  # the same figure, and nothing in it has moved


@pytest.mark.parametrize("file_format", ["GIF", "PNG"])
def test_an_animation_has_every_frame_and_repeats(boundary, data, file_format):
    from PIL import Image

    # The whole plane turns from class 1 to class 0.
    runs = {"full": {k: Split(edge) for k, edge in enumerate((-9, -9, 9, 9))}}
    picture = boundary.animation(boundary.boundary_frames(runs, data), file_format, dpi=40)
    image = Image.open(io.BytesIO(picture))
    assert image.info["loop"] == 0
    frames = []
    for k in range(image.n_frames):
        image.seek(k)
        frames.append((image.info.get("duration"), np.asarray(image.convert("RGB")).astype(int)))
    if file_format == "PNG":  # what a program shows that shows one picture only: the last
        assert np.array_equal(frames.pop(0)[1], frames[-1][1])
    assert [duration for duration, _ in frames] == [150, 150, 150, 2000]
    assert all((pixels[0] == 255).all() for _, pixels in frames)  # the paper is white
    red, _, blue = frames[0][1][60:90, 50:80].mean(axis=(0, 1))
    assert red > blue  # orange, class 1
    red, _, blue = frames[-1][1][60:90, 50:80].mean(axis=(0, 1))
    assert blue > red


def test_the_command_writes_the_animation(boundary, tmp_path, capsys):
    from PIL import Image

    flags = ["--n_samples=60", "--max_steps=6", "--backend=numpy", "--batch_sizes=16,1"]
    assert boundary.main([*flags, f"--output_dir={tmp_path}"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["boundary.gif"]
    with Image.open(tmp_path / "boundary.gif") as image:
        assert image.n_frames == len(boundary.epochs_to_show(6))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["batch size 16", "batch size 1"]
    assert lines[-1] == f"wrote {tmp_path / 'boundary.gif'}"


@pytest.mark.parametrize("flags", [["--dataset", "digits"], ["--show"], ["--batch_sizes", "0"]])
def test_the_command_refuses_what_it_cannot_draw(boundary, flags, capsys):
    with pytest.raises(SystemExit) as end:
        boundary.main([*flags, "--no_output"])
    assert end.value.code == 2
    assert flags[0] in capsys.readouterr().err
