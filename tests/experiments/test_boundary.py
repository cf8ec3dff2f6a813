"""The animated boundaries: what each frame shows, and the file that the command writes."""

import io

import numpy as np
import pytest
from test_plots import BLUE, GREEN, ORANGE, pixels, same_in_any_style

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
    assert sum(epoch < 150 for epoch in epochs) > len(epochs) / 3  # in the first tenth
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
            (line,) = (part for part in axes.collections if "Contour" in type(part).__name__)
            edge = line.get_paths()[0].vertices[:, 0]
            assert edge == pytest.approx(networks[epoch].edge, abs=0.05)
            (x0, y0), (x1, y1) = axes.transData.transform([(0, 0), (1, 1)])
            assert x1 - x0 == pytest.approx(y1 - y0)  # circles are circles
    assert seen[0] == seen[1]  # the same figure, and nothing in it has moved


@pytest.mark.parametrize(("data_set", "colors"), [("moons", 2), ("blobs", 3)])
def test_a_frame_says_which_class_has_which_colour(boundary, data_set, colors):
    from matplotlib.colors import same_color, to_rgba

    colors, data = [BLUE, ORANGE, GREEN][:colors], load_data(data_set, n_samples=60)
    network = MLP(2, [], len(colors), rng=0)
    (figure,) = boundary.boundary_frames({"full": {0: network}}, data)
    figure.savefig(io.BytesIO())
    points = figure.axes[0].collections[0].get_facecolors()
    assert points.tolist() == [[*to_rgba(colors[k])] for k in data.y_test.argmax(axis=1)]
    (legend,) = figure.legends
    *classes, test = legend.legend_handles
    assert [mark.get_label() for mark in classes] == [f"class {k}" for k in range(len(colors))]
    assert all(map(same_color, [mark.get_color() for mark in classes], colors))
    assert (test.get_label(), test.get_marker()) == ("test", "^")
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1  # even in the narrowest figure


def test_the_animation_does_not_depend_on_the_settings_of_the_user(boundary, data):
    from matplotlib.figure import Figure

    runs, of_others = {"full": {0: Split(0), 1: Split(1)}}, [Figure((2, 1)), Figure((2, 1))]

    def draw():
        frames = [pixels(figure) for figure in boundary.boundary_frames(runs, data, 20)]
        return frames, boundary.animation(of_others, "GIF", dpi=40)

    assert same_in_any_style(draw)


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


def test_the_command_animates_what_its_flags_ask_for(boundary, tmp_path, capsys):
    flags = ["--n_samples=60", "--noise=0.1", "--data_seed=3", "--seed=4", "--dnn_hidden_units=5"]
    flags += ["--learning_rate=0.5", "--max_steps=6", "--backend=numpy", "--batch_sizes=16,full"]
    assert boundary.main([*flags, f"--output_dir={tmp_path}"]) == 0
    data = load_data(n_samples=60, noise=0.1, seed=3)
    epochs = boundary.epochs_to_show(6)
    runs = {
        name: boundary.snapshots(data, epochs, 4, [5], learning_rate=0.5, batch_size=batch_size)
        for name, batch_size in {"16": 16, "full": None}.items()
    }
    expected = boundary.animation(boundary.boundary_frames(runs, data), "GIF")
    (path,) = tmp_path.iterdir()
    assert (path.name, path.read_bytes() == expected) == ("boundary.gif", True)
    lines = capsys.readouterr().out.splitlines()
    for line, (name, networks) in zip(lines[:2], runs.items(), strict=True):
        percent = 100 * accuracy(networks[6].forward(data.x_test), data.y_test)
        assert line == f"batch size {name}: test accuracy {percent:.1f} % at epoch 6"
    assert lines[2:] == [f"wrote {path}"]


def test_without_output_nothing_is_drawn(boundary, monkeypatch, capsys):
    monkeypatch.delattr(boundary, "animation")
    flags = ["--n_samples=20", "--max_steps=1", "--batch_sizes=8", "--backend=numpy"]
    assert boundary.main([*flags, "--no_output"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("flags", [["--dataset", "digits"], ["--show"], ["--batch_sizes", "0"]])
def test_the_command_refuses_what_it_cannot_draw(boundary, flags, capsys):
    with pytest.raises(SystemExit) as end:
        boundary.main([*flags, "--no_output"])
    assert end.value.code == 2
    assert flags[0] in capsys.readouterr().err
