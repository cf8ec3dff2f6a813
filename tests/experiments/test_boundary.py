"""The animated boundaries: what each frame shows, and the file that the command writes."""

import io

import numpy as np
import pytest

import plots
from mlp_numpy import MLP
from tests.helpers import BLUE, GREEN, ORANGE, pixels
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


def test_an_animation_has_every_frame_and_repeats(boundary, data):
    from PIL import Image

    # The whole plane turns from class 1 to class 0.
    runs = {"full": {k: Split(edge) for k, edge in enumerate((-9, -9, 9, 9))}}
    picture = boundary.animation(boundary.boundary_frames(runs, data), dpi=40)
    image = Image.open(io.BytesIO(picture))
    assert image.info["loop"] == 0
    frames = []
    for k in range(image.n_frames):
        image.seek(k)
        frames.append((image.info.get("duration"), np.asarray(image.convert("RGB")).astype(int)))
    assert [duration for duration, _ in frames] == [150, 150, 150, 2000]
    assert all((pixels[0] == 255).all() for _, pixels in frames)  # the paper is white
    red, _, blue = frames[0][1][60:90, 50:80].mean(axis=(0, 1))
    assert red > blue  # orange, class 1
    red, _, blue = frames[-1][1][60:90, 50:80].mean(axis=(0, 1))
    assert blue > red


def test_the_stages_are_those_of_networks_trained_that_long(boundary, data):
    figure = boundary.stages(data, [None, 16], [3, 1], seed=7, learning_rate=0.5, n_hidden=[4])
    pixels(figure)
    assert [axes.get_title() for axes in figure.axes] == ["epoch 3", "epoch 1", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["full batch", "", "batch size 16", ""]
    runs = [(size, epoch) for size in (None, 16) for epoch in (3, 1)]
    for axes, (size, epoch) in zip(figure.axes, runs, strict=True):
        options = {"batch_size": size, "learning_rate": 0.5, "n_hidden": [4]}
        network = boundary.snapshots(data, [epoch], 7, **options)[epoch]
        assert axes.get_xlabel() == boundary.test_percent(network, data)
        assert np.array_equal(axes.collections[0].get_offsets(), data.x_test)
        points = np.column_stack([values.ravel() for values in plots.grid(axes, 80)])
        is_1 = network.forward(points).argmax(axis=1).reshape(80, 80) == 1
        colors = axes.images[0].get_array()
        assert np.array_equal(colors[..., 0] > colors[..., 2], is_1)  # orange
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["class 0", "class 1", "test"]


def test_the_sheet_has_the_height_of_the_log_odds_and_the_colour_of_its_class(
    boundary, data, monkeypatch
):
    from mpl_toolkits.mplot3d import Axes3D

    drawn, draw = [], Axes3D.plot_surface
    monkeypatch.setattr(
        Axes3D,
        "plot_surface",
        lambda *args, **look: drawn.append((args, look)) or draw(*args, **look),
    )

    def predict(points):  # log-odds of 3 x_1 - x_2
        p = 1 / (1 + np.exp(points @ [-3, 1]))
        return np.column_stack([1 - p, p])

    figure = boundary.sheet_figure(predict, data, "the title", x_2=0.5, resolution=20)
    pixels(figure)
    sheet, cut = figure.axes
    assert figure.get_suptitle() == "the title"
    assert (sheet.get_zlabel(), cut.get_ylabel()) == ("log-odds", "log-odds")
    (((_, x, y, heights), look),) = drawn
    assert heights == pytest.approx(3 * x - y)
    red, _, blue = np.moveaxis(look["facecolors"], -1, 0)
    assert np.array_equal(red > blue, heights > 0)  # orange
    zero, line = cut.lines
    assert {*zero.get_ydata()} == {0}
    assert line.get_ydata() == pytest.approx(3 * line.get_xdata() - 0.5)
    assert cut.get_title() == "A cut through it, dashed there, at $x_2 = 0.5$"
    (dashed,) = sheet.lines
    assert np.array_equal(dashed.get_data_3d()[2], line.get_ydata())
    assert set(dashed.get_data_3d()[1]) == {0.5}
    assert cut.get_ylim()[0] < min(line.get_ydata()) < max(line.get_ydata()) < cut.get_ylim()[1]


@pytest.mark.parametrize(
    ("data_set", "told"), [("blobs", "two classes, .* have 3"), ("digits", "two features, not 64")]
)
def test_data_without_such_a_sheet_are_refused(boundary, data_set, told):
    data = load_data(data_set, n_samples=60)
    with pytest.raises(ValueError, match=told):
        boundary.sheet_figure(None, data)


def test_data_that_are_no_plane_have_no_stages(boundary):
    with pytest.raises(ValueError, match="two features, not 64"):
        boundary.stages(load_data("digits"), [16], [1], 0)


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
    expected = boundary.animation(boundary.boundary_frames(runs, data))
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
