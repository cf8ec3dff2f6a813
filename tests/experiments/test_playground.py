"""The notebook's playground: what it trains is what `train` trains, and its controls do as said."""

import asyncio
import base64
import io
import re

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

import plots
from experiments import playground as module
from experiments import watching
from experiments.hidden_units import describe, fold_sums
from experiments.problems import PROBLEMS, bayes_accuracy, load_problem
from experiments.runs import train_from_seed
from experiments.trials import TRIALS
from experiments.watching import Training
from mlp_numpy import MLP
from tests.helpers import BLUE, ORANGE
from train_mlp_numpy import as_history, evaluate, load_data

# The data sets.


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_row_is_one_of_the_places_of_its_class_plus_noise(name):
    places, data = load_problem(name, noise=0), load_problem(name, noise=0.01, seed=3)
    centers, classes = np.vstack(places[::2]), np.vstack(places[1::2])
    x, y = np.vstack(data[::2]), np.vstack(data[1::2])
    assert (len(data.x_train), len(data.x_test)) == (800, 200)
    distances = np.linalg.norm(x[:, None] - centers, axis=-1)
    assert np.array_equal(classes[distances.argmin(axis=1)], y)
    assert distances.min(axis=1).max() < 0.06
    assert y.sum(axis=0) == pytest.approx(1000 / y.shape[1], abs=1)


def test_the_data_set_has_the_noise_and_the_seed_that_it_was_asked_for():
    places, rows = (load_problem("xor", noise, seed=5, n_samples=4000) for noise in (0, 0.3))
    assert np.std(rows.x_train - places.x_train) == pytest.approx(0.3, rel=0.03)
    assert not np.array_equal(rows.x_train, load_problem("xor", 0.3, 6, 4000).x_train)
    assert not np.array_equal(places.y_train, load_problem("xor", 0, 6, 4000).y_train)  # the split
    assert np.array_equal(load_problem("moons", 0.1, 7).x_test, load_data(noise=0.1, seed=7).x_test)
    with pytest.raises(ValueError, match="got 'nonsense'"):
        load_problem("nonsense")


def test_opposite_quadrants_are_of_one_class():
    data = load_problem("xor", noise=0)
    assert {(*row, *target) for row, target in zip(data.x_test, data.y_test, strict=True)} == {
        (0.5, 0.5, 1, 0),
        (-0.5, -0.5, 1, 0),
        (-0.5, 0.5, 0, 1),
        (0.5, -0.5, 0, 1),
    }


def test_the_best_rule_is_as_good_as_theory_says():
    from statistics import NormalDist

    one_axis = NormalDist().cdf(0.5 / 0.4)  # that noise of 0.4 leaves a coordinate its sign
    data = load_problem("xor", noise=0.4, n_samples=20_000)
    expected = one_axis**2 + (1 - one_axis) ** 2
    assert bayes_accuracy("xor", 0.4, data) == pytest.approx([expected] * 2, abs=0.012)
    assert bayes_accuracy("moons", 0.2, load_data()) == [0.9725, 0.975]
    assert bayes_accuracy("spiral", 0, load_problem("spiral", 0)) == [1, 1]


# Training in pieces.


def train_to(training, end):
    return [training.epoch for is_kept in training.pieces(end) if is_kept]


@pytest.mark.parametrize("batch_size", [64, None])
def test_pieces_come_to_the_same_network_as_one_call_of_train(batch_size):
    data, options = load_data(), {"learning_rate": 0.1}
    model, history = train_from_seed(
        data, 3, [5], batch_size=batch_size, max_steps=60, eval_freq=60, backend="numpy", **options
    )
    training = Training(data, [5], 3, batch_size, 0.1)
    moments = train_to(training, 60)
    assert moments[-1] == 60
    assert training.model.forward(data.x_test) == pytest.approx(model.forward(data.x_test))
    assert training.entries[-1]["train_loss"] == pytest.approx(history["train_loss"][-1])
    kept = as_history(training.entries)
    assert kept["epoch"].tolist() == [0, *moments]
    for network, entry in zip(training.networks, training.entries, strict=True):
        assert len(network.layers[0].x) == 1  # and not all the rows
        assert entry.items() >= evaluate(network, data).items()


def test_batch_after_batch_is_an_epoch():
    data = load_data(n_samples=100)  # 80 rows, the last batch has 16 of 32
    by_batch, by_epoch = (Training(data, [4], 0, 32, 0.5) for _ in range(2))
    seen = []
    for _ in range(3):
        by_batch.advance(one_batch=True)
        seen.append(by_batch.epoch)
    by_epoch.advance()
    assert seen == pytest.approx([1 / 3, 2 / 3, 1])
    assert by_epoch.epoch == 1
    ours = by_batch.model.linear_layers
    theirs = by_epoch.model.linear_layers
    for one, other in zip(ours, theirs, strict=True):
        assert one.params["weight"] == pytest.approx(other.params["weight"])
    by_batch.advance(one_batch=True)
    by_batch.advance()  # what is left of it
    assert by_batch.epoch == 2
    assert train_to(by_batch, 9)[0] == 3  # goes on from there


def test_a_network_that_diverges_says_so_and_is_not_kept():
    training = Training(load_data(n_samples=100), [4], 0, 1, 1e300)
    with pytest.raises(FloatingPointError, match=r"diverged .*: try a learning rate below 1e\+300"):
        train_to(training, 5)
    assert len(training.entries) == 1


def test_a_network_that_diverges_with_its_last_update_is_not_kept():
    training = Training(load_data(n_samples=100), [4], 0, None, 1e300)
    training.advance()
    with pytest.raises(FloatingPointError, match="try a lower learning rate"):
        training.keep()
    assert len(training.entries) == len(training.networks) == 1


# The pictures.


@pytest.fixture(scope="module")
def data():
    return load_data()


def hand_made(v):
    """Return a network: unit 0 fires where x_1 < 0.5, unit 1 nowhere, unit 2 where x_2 > 0."""
    model = MLP(2, [3], 2, rng=0)
    model.layers[0].params = {
        "weight": np.array([[-1.0, 0, 0], [0, 0, 1]]),
        "bias": np.array([0.5, -1, 0]),
    }
    model.layers[2].params["weight"] = np.column_stack([np.zeros(3), v])
    return model


def test_the_boundary_has_points_regions_and_the_lines_of_the_folds(data):
    figure = watching.boundary_figure(hand_made([1, 1, -1]), data, "the title")
    (axes,) = figure.axes
    assert axes.get_title() == "the title"
    train, test, *boundary, folds = axes.collections
    assert np.array_equal(train.get_offsets(), data.x_train)
    assert np.array_equal(test.get_offsets(), data.x_test)
    assert (len(axes.images), len(boundary)) == (1, 1)
    upright, _, level = folds.get_segments()
    assert upright[:, 0] == pytest.approx([0.5, 0.5])
    assert level[:, 1] == pytest.approx([0, 0])
    assert axes.get_ylim()[1] < 3  # the lines end where the axes do
    slanted = hand_made([1, 1, -1])
    slanted.layers[0].params["weight"][:, 0] = 1, 2
    (folds,) = watching.boundary_figure(slanted, data, "").axes[0].collections[-1:]
    assert folds.get_segments()[0] @ [1, 2] == pytest.approx([-0.5, -0.5])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["class 0", "class 1", "train", "test", "folds"]
    straight = watching.boundary_figure(MLP(2, [], 2, 0), data, "")
    assert "folds" not in [text.get_text() for text in straight.legends[0].get_texts()]


def ink_of(figure, k, n_columns=2):
    """Return the map of the k-th unit: what it takes from white, of shape (40, 40, 3), upwards."""
    (image,) = figure.axes[0].images
    row, column = divmod(k, n_columns)
    ink = 1 - np.asarray(image.get_array())
    bottom = len(ink) - 54 * (row + 1)
    return ink[bottom : bottom + 40, 44 * column : 44 * column + 40]


def test_each_unit_has_a_map_in_the_colour_of_its_class_sorted_by_folds(data):
    model = hand_made([-0.5, 1, 1])
    figure = watching.units_figure(model, data)
    (axes,) = figure.axes
    units = describe(model, data.x_train)
    names = [f"{k}: {'dead' if k == 1 else f'{fold:+.2f}'}" for k, *_, fold, _ in units]
    assert [text.get_text() for text in axes.texts] == names
    down, up = fold_sums(units)
    assert axes.get_title() == f"The hidden units: folds sum to {down:.2f} down, {up:.2f} up"
    assert min(down, up) > 0.1
    inks = {unit.index: ink_of(figure, k) for k, unit in enumerate(units)}
    blue, orange = (0.85 * (1 - np.array(to_rgb(color))) for color in (BLUE, ORANGE))
    # One scale for all: unit 2 is the deepest, in the upper corners.
    assert inks[2][-1, 0] == pytest.approx(orange)
    assert inks[2][0].max() == inks[1].max() == 0
    assert inks[0][0, -1].max() == 0
    _, panel = plots.new_figure(1, 1)
    plots.fit_limits(panel, data.x_train)
    share = 0.5 * (0.5 - panel.get_xlim()[0]) / panel.get_ylim()[1]  # of |v_j| z_j in unit 2
    assert inks[0][0, 0] == pytest.approx(blue * share**0.5)
    lines = axes.collections[0].get_segments()
    assert len(lines) == 2  # unit 1 has none in sight
    assert {tuple(np.round(line.mean(axis=0) // 44)) for line in lines} == {(0, 1), (1, 1)}
    (points,) = axes.lines
    places = points.get_xydata().reshape(3, len(data.x_test), 2)
    assert places[1] - places[0] == pytest.approx(np.full_like(places[0], (44, 0)))
    assert places[0] - places[2] == pytest.approx(np.full_like(places[0], (0, 54)))
    weak = watching.units_figure(hand_made([-0.05, 0.1, 0.1]), data)  # the scale is its own
    assert ink_of(weak, [unit.index for unit in units].index(2))[-1, 0] == pytest.approx(orange)


def test_units_of_deeper_networks_and_of_more_classes_are_grey_and_numbered_by_layer(data):
    blobs = load_data("blobs")
    for model, rows in ((MLP(2, [2, 3], 2, 0), data), (MLP(2, [2, 3], 3, 0), blobs)):
        figure = watching.units_figure(model, rows)
        (axes,) = figure.axes
        names = ["1.0", "1.1", "2.0", "2.1", "2.2"]
        assert [text.get_text() for text in axes.texts] == names
        assert axes.get_title() == "The hidden units"
        for k in range(5):
            ink = ink_of(figure, k, n_columns=3)
            assert np.ptp(ink, axis=-1).max() < 1e-12  # grey
    (axes,) = watching.units_figure(MLP(2, [], 2, 0), data).axes
    assert (axes.get_title(), axes.texts[:]) == ("No hidden units", [])


def a_history(*losses):
    return as_history(
        [
            {"epoch": k, "train_loss": loss, "train_accuracy": 0.5 + k / 10}
            | {"test_loss": 2 * loss, "test_accuracy": 0.6 + k / 10}
            for k, loss in enumerate(losses)
        ]
    )


def test_the_curves_are_drawn_over_those_of_the_run_before_on_axes_that_are_given():
    now, before = a_history(0.6, 0.4, 0.3), a_history(0.7, 0.5)
    figure = watching.curves_figure(now, 1, before, 0.97, (500, 0.8, 40))
    loss, accuracy = figure.axes
    for axes, metric, scale in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        for line, (run, color, part, dashes) in zip(
            axes.lines,
            [
                (run, color, part, dashes)
                for run, color in ((before, "0.7"), (now, "black"))
                for part, dashes in (("train", "-"), ("test", "--"))
            ],
            strict=False,
        ):
            assert (
                line.get_xydata().tolist()
                == np.column_stack([run["epoch"], scale * run[f"{part}_{metric}"]]).tolist()
            )
            assert (line.get_linestyle(), to_hex(line.get_color())) == (dashes, to_hex(color))
        assert set(axes.lines[4].get_xdata()) == {1}  # the moment that is shown
        assert axes.get_xlim()[1] == pytest.approx(1.04 * 500)
    assert set(accuracy.lines[5].get_ydata()) == {97}
    assert (loss.get_ylim(), accuracy.get_ylim()) == ((0, 0.8), (40, 101))
    legend = loss.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["train", "test"]
    assert {line.get_color() for line in legend.get_lines()} == {"black"}
    assert legend.get_title().get_text() == "in grey: the run before"
    assert len(watching.curves_figure(now, 1, None, 0.97, (500, 0.8, 40)).axes[0].lines) == 3


def test_a_ring_is_where_a_run_ended():
    ends = [{"train_loss": 0.1, "test_accuracy": 0.9}, {"train_loss": 0.3, "test_accuracy": 0.5}]
    (axes,) = watching.ends_figure(ends, "the title").axes
    assert axes.get_title() == "the title"
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[0.1, 90]], [[0.3, 50]]]
    assert (axes.get_xlabel(), axes.get_xlim()[0]) == ("final training loss (nats)", 0)
    assert axes.get_ylabel() == "final test accuracy (%)"


# The controls. Every test runs in an event loop, as in a notebook's kernel.


@pytest.fixture
def drawn(monkeypatch):
    """The figures that a Playground has drawn last, by name."""
    figures = {}
    monkeypatch.setattr(module.Playground, "_draw", lambda _, *drawn: figures.update([drawn]))
    return figures


@pytest.fixture
def playground(drawn):
    """A playground with a run of 30 epochs, not yet trained."""
    playground = module.Playground()
    playground.controls["epochs"].value = 30
    return playground


def click(playground, *names):
    """Click on buttons, one after the other, and wait for what that begins."""

    async def clicks():
        for name in names:
            playground.buttons[name].click()
            if playground.task:
                await playground.task

    asyncio.run(clicks())


def told(playground, text="status"):
    return re.sub(r"<[^>]*>", "", playground.texts[text].value)


def settings_of(training):
    sizes = [len(layer.params["bias"]) for layer in training.model.linear_layers]
    return sizes, training.batch_size, training.learning_rate


def test_it_begins_with_a_run_that_has_ended_and_can_be_looked_through(drawn):
    playground = module.Playground()
    assert playground.training.epoch == playground.scrubber.value == playground.scrubber.max == 1500
    assert told(playground).startswith("Epoch 1500 of 1500. Training loss 0.08")
    best = (
        r"Accuracy: train 9\d\.\d % \(best rule 97\.2 %\), test 9\d\.\d % \(best rule 97\.5 %\)\."
    )
    assert re.search(best, told(playground))
    assert drawn["boundary"].axes[0].get_title() == "Decision boundary, epoch 1500"


CHANGES = {
    "data_set": ("blobs", ([20, 3], 16, 0.01)),
    "noise": (0.0, ([20, 2], 16, 0.01)),
    "data_seed": (7, ([20, 2], 16, 0.01)),
    "hidden_units": ("4,3", ([4, 3, 2], 16, 0.01)),
    "batch_size": ("full", ([20, 2], 800, 0.01)),
    "learning_rate": (0.1, ([20, 2], 16, 0.1)),
    "epochs": (100, ([20, 2], 16, 0.01)),
    "seed": (5, ([20, 2], 16, 0.01)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_a_control_begins_a_run_with_it(playground, name):
    value, expected = CHANGES[name]
    before = playground.training
    playground.controls[name].value = value
    training, (data_set, noise, data_seed, *_) = (
        playground.training,
        [control.value for control in playground.controls.values()],
    )
    assert training is not before
    assert training.epoch == 0
    assert settings_of(training) == expected
    assert np.array_equal(training.data.x_train, load_problem(data_set, noise, data_seed).x_train)
    seed = value if name == "seed" else 42
    weight = MLP(2, expected[0][:-1], expected[0][-1], seed).layers[0].params["weight"]
    assert np.array_equal(training.model.layers[0].params["weight"], weight)
    assert playground.end == (value if name == "epochs" else 30)
    assert told(playground).startswith(f"Epoch 0 of {playground.end}")


def test_every_control_is_tested():
    assert {*CHANGES, "same_start"} == {*module.Playground().controls}


def test_same_start_keeps_the_seed_and_without_every_change_takes_the_next(playground):
    playground.controls["batch_size"].value = "32"
    assert "Its initial weights are those of the run before." in told(playground)
    playground.controls["hidden_units"].value = "19"
    assert "A network of another shape cannot have the same initial weights." in told(playground)
    assert playground.controls["seed"].value == 42
    playground.controls["same_start"].value = False
    playground.controls["batch_size"].value = "64"
    assert playground.controls["seed"].value == playground.settings["seed"] == 43
    assert "Its initial weights are not those of the run before." in told(playground)
    playground.controls["seed"].value = 8
    assert playground.settings["seed"] == 8


@pytest.mark.parametrize("text", ["0", "8,x", "", "60,60", "4,4,4"])
def test_hidden_units_that_cannot_be_are_told_and_leave_the_run(playground, text):
    async def change():
        playground.buttons["Play"].click()
        await asyncio.sleep(0)
        playground.controls["hidden_units"].value = text

    training = playground.training
    asyncio.run(change())
    remedy = "give 20, say, or 8,8, or none: at most two layers and 100 units"
    assert told(playground) == f"hidden units &#x27;{text}&#x27; are not valid; {remedy}"
    assert playground.training is training
    assert playground.task is None


def test_play_trains_to_the_end_and_draws_on_the_way(playground, drawn, monkeypatch):
    titles, draw = [], module.boundary_figure
    monkeypatch.setattr(
        module, "boundary_figure", lambda *args: titles.append(args[2]) or draw(*args)
    )
    click(playground, "Play")
    epochs = [int(title.removeprefix("Decision boundary, epoch ")) for title in titles]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) > 10
    assert epochs[-1] == playground.training.epoch == 30
    assert playground.buttons["Play"].description == "Play"
    click(playground, "To the start")
    titles.clear()
    click(playground, "To the end")
    assert titles == ["Decision boundary, epoch 30"]


def test_pause_stops_it_and_play_goes_on(playground):
    async def clicks():
        playground.buttons["Play"].click()
        assert playground.buttons["Play"].description == "Pause"
        while playground.training.epoch < 5:
            await asyncio.sleep(0)
        playground.buttons["Play"].click()
        assert playground.buttons["Play"].description == "Play"
        epoch = playground.training.epoch
        assert playground.training.entries[-1]["epoch"] == epoch
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert playground.training.epoch == epoch < 30
        assert told(playground).startswith(f"Epoch {epoch:.0f} of 30")
        playground.buttons["Play"].click()
        await playground.task

    asyncio.run(clicks())
    assert playground.training.epoch == 30


def test_a_run_is_stopped_within_an_epoch_even_where_an_epoch_takes_long(playground, monkeypatch):
    advance = Training.advance
    monkeypatch.setattr(
        Training, "advance", lambda *args: advance(*args) or setattr(playground, "next_pause", 0)
    )
    playground.controls["epochs"].value = 30_000  # far apart are the moments that are drawn

    async def clicks():
        playground.buttons["To the end"].click()
        while playground.training.epoch < 2:
            await asyncio.sleep(0)
        playground.buttons["Play"].click()

    asyncio.run(clicks())
    assert playground.training.epoch <= 3
    assert playground.training.entries[-1]["epoch"] == playground.training.epoch  # is kept
    assert playground.scrubber.max == playground.training.epoch


def test_a_control_that_is_moved_while_it_plays_plays_a_new_run(playground):
    async def clicks():
        playground.buttons["Play"].click()
        await asyncio.sleep(0)
        playground.controls["seed"].value = 7
        await playground.task

    asyncio.run(clicks())
    assert (playground.settings["seed"], playground.training.epoch) == (7, 30)


def test_a_control_that_is_moved_during_the_twenty_seeds_ends_them_and_plays_nothing(playground):
    async def clicks():
        playground.buttons["20 seeds"].click()
        await asyncio.sleep(0)
        playground.controls["seed"].value = 7

    asyncio.run(clicks())
    assert playground.task is None
    assert playground.training.epoch == 0


def test_one_batch_one_epoch_and_back(playground):
    click(playground, "One batch")
    assert playground.training.n_updates == 1
    assert told(playground).startswith("Epoch 0.02 of 30")
    playground.scrubber.value = 0
    assert told(playground).startswith("Epoch 0 of 30")
    playground.scrubber.value = 1
    assert told(playground).startswith("Epoch 0.02 of 30")
    click(playground, "One epoch")
    assert playground.training.n_updates == 50
    click(playground, "To the start")
    assert playground.training.n_updates == 0
    click(playground, "To the end", "One epoch")
    assert told(playground).startswith("Epoch 31 of 31")
    click(playground, "To the end")  # once more
    assert playground.training.epoch == 30


def test_the_scrubber_shows_the_network_as_it_was(playground, drawn):
    click(playground, "To the end")
    playground.scrubber.value = 7
    training = playground.training
    k = [entry["epoch"] for entry in training.entries].index(7)
    assert drawn["boundary"].axes[0].get_title() == "Decision boundary, epoch 7"
    assert told(playground).startswith(
        f"Epoch 7 of 30. Training loss {training.entries[k]['train_loss']:.3f}"
    )
    names = [text.get_text() for text in drawn["units"].axes[0].texts]
    units = describe(training.networks[k], training.data.x_train)
    assert names == [f"{unit.index}: {unit.fold:+.2f}" for unit in units]
    assert set(drawn["curves"].axes[0].lines[-1].get_xdata()) == {7}
    assert playground.scrubber.max == 30


def test_the_scrubber_goes_to_the_next_epoch_there_is_in_its_direction(playground):
    playground.controls["epochs"].value = 1500
    click(playground, "To the end")
    kept = [entry["epoch"] for entry in playground.training.entries]
    playground.scrubber.value = kept[-3]
    playground.scrubber.value += 1
    assert playground.scrubber.value == kept[-2] > kept[-3] + 2
    playground.scrubber.value -= 1
    assert playground.scrubber.value == kept[-3]


def test_the_run_before_stays_in_grey_and_all_runs_in_the_table(playground, drawn):
    click(playground, "To the end")
    first = playground.training
    playground.controls["batch_size"].value = "full"
    click(playground, "One epoch")
    line = drawn["curves"].axes[0].lines[0]
    assert to_hex(line.get_color()) == to_hex("0.7")
    assert line.get_ydata().tolist() == [entry["train_loss"] for entry in first.entries]
    table = playground.texts["table"].value
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in table.split("<tr>")[1:]]
    test = first.entries[-1]["test_accuracy"]
    assert rows[1][:7] == ["moons 0.2", "42", "20", "16", "0.01", "42", "30"]
    assert rows[1][8] == f"{100 * test:.1f}"
    assert rows[0][:7] == ["moons 0.2", "42", "20", "full", "0.01", "42", "1"]
    assert [row[6] for row in rows] == ["1", "30", "1500"]
    playground.controls["seed"].value = 3  # the one with no epoch leaves no row
    playground.controls["seed"].value = 4
    assert playground.texts["table"].value.count("<tr>") == 4


def test_the_axes_stay_put_until_they_are_reset(playground, drawn):
    def limits():
        loss, accuracy = drawn["curves"].axes
        return loss.get_xlim()[1] / 1.04, loss.get_ylim()[1], accuracy.get_ylim()[0]

    last, most, least = limits()
    assert (last, most) == (pytest.approx(1500), 0.8)
    playground.controls["data_set"].value = "blobs"  # begins with a loss of log(3), all wrong
    _, most, least = limits()
    assert most > 1.09
    assert least < 50
    playground.controls["data_set"].value = "moons"
    assert limits() == (last, most, least)
    click(playground, "Reset the axes")
    last, most, least = limits()
    assert (last, most, least) == (pytest.approx(30), 0.8, 50)


def test_a_fold_is_planted_and_the_run_goes_on(playground):
    click(playground, "To the end")
    before = fold_sums(describe(playground.training.model, playground.data.x_train))[1]
    click(playground, "Plant a fold up")
    assert (
        fold_sums(describe(playground.training.model, playground.data.x_train))[1] > before + 0.03
    )
    assert told(playground).startswith("Epoch 30 of 60")
    assert told(playground).endswith("One unit now folds upwards along the line x1 = 1. Play on.")
    assert playground._row()["units"] == "20 + fold"
    click(playground, "Play")
    assert playground.training.epoch == 60
    playground.controls["data_set"].value = "xor"
    click(playground, "Plant a fold up")
    assert told(playground) == "no fold planted: it is one that the moons need"
    assert playground._row()["units"] == "20"
    playground.controls["data_set"].value = "moons"
    playground.controls["hidden_units"].value = "3,3"
    click(playground, "Plant a fold up")
    assert told(playground).startswith("no fold planted: the network must have one hidden layer")


def test_a_fold_that_is_planted_while_it_plays_plays_on(playground):
    async def clicks():
        playground.buttons["Play"].click()
        await asyncio.sleep(0)
        playground.buttons["Plant a fold up"].click()
        await playground.task

    asyncio.run(clicks())
    assert playground.planted
    assert playground.training.epoch == playground.end > 30


def test_the_ends_go_with_the_settings_and_stay_with_another_seed(playground):
    playground.pictures["ends"].value = "a picture"
    playground.controls["seed"].value = 3
    assert playground.pictures["ends"].value == "a picture"
    playground.controls["noise"].value = 0.1
    assert playground.pictures["ends"].value == module.NO_ENDS


def test_twenty_seeds_are_trained_from_the_one_that_is_set(playground, drawn):
    playground.controls["epochs"].value = 10
    playground.controls["seed"].value = 5
    visible, values = [], []
    playground.bar.layout.observe(lambda change: visible.append(change.new), "display")
    playground.bar.observe(lambda change: values.append(change.new), "value")
    click(playground, "20 seeds")
    assert visible == [None, "none"]
    assert values == [*range(1, 20)]
    (axes,) = drawn["ends"].axes
    assert axes.get_title() == "Seeds 5 to 24: 20 of 20 end above a loss of 0.2"
    _, history = train_from_seed(playground.data, 24, batch_size=16, max_steps=10, eval_freq=10)
    last = axes.lines[-1].get_xydata()[0]
    assert len(axes.lines) == 20
    assert last == pytest.approx([history["train_loss"][-1], 100 * history["test_accuracy"][-1]])
    assert playground.training.epoch == 0  # of the run that is shown


def test_a_run_that_diverges_says_so_and_shows_what_was_last(playground):
    playground.controls["learning_rate"].options = [1e300]
    click(playground, "Play")
    assert "Training diverged after epoch 0: try a learning rate below 1e+300." in told(playground)
    assert told(playground).startswith("Epoch 0 of 30")
    assert playground.buttons["Play"].description == "Play"
    click(playground, "Plant a fold up")
    assert told(playground).startswith("Epoch 0 of 30")


def test_a_run_that_diverges_with_its_last_update_can_be_paused(playground):
    playground.controls["batch_size"].value = "full"
    playground.controls["learning_rate"].options = [1e300]
    playground.next_pause = 0  # after the first update

    async def clicks():
        playground.buttons["Play"].click()
        while playground.training.n_updates == 0:
            await asyncio.sleep(0)
        playground.buttons["Play"].click()

    asyncio.run(clicks())
    assert told(playground).startswith("Epoch 0 of 30")
    assert playground.scrubber.max == 1  # it shows that there was an update
    click(playground, "Play")
    assert "try a learning rate below 1e+300" in told(playground)


@pytest.mark.parametrize("method", ["advance", "keep"])  # on the way, or with the last update
def test_seeds_that_diverge_are_counted(playground, drawn, monkeypatch, method):
    started = []
    begin = playground._new_training
    right = getattr(Training, method)

    def new_training(seed):
        started.append(seed)
        return begin(seed)

    def diverge_every_other_time(training):
        is_new = method == "keep" and training.n_updates == 0
        if len(started) % 2 == 1 and not is_new:
            raise FloatingPointError
        right(training)

    monkeypatch.setattr(playground, "_new_training", new_training)
    monkeypatch.setattr(Training, method, diverge_every_other_time)
    playground.settings["epochs"] = 1
    click(playground, "20 seeds")
    title = drawn["ends"].axes[0].get_title()
    assert title == "Seeds 42 to 61: 10 of 20 end above a loss of 0.2, 10 diverged"


def test_whatever_goes_wrong_is_told(playground, monkeypatch):
    def fail(*args):
        raise RuntimeError("a <b>bug</b>")

    monkeypatch.setattr(Training, "advance", fail)
    click(playground, "Play")
    assert "RuntimeError: a &lt;b&gt;bug&lt;/b&gt;" in playground.texts["status"].value
    assert playground.buttons["Play"].description == "Play"


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_a_trial_sets_it_up_asks_and_then_shows_what_to_look_at(playground, drawn, trial):
    playground.controls["noise"].value = 0.4  # is set back
    click(playground, trial.name)
    values = {name: control.value for name, control in playground.controls.items()}
    assert values == playground.first_settings | trial.settings
    assert values != playground.first_settings
    assert told(playground, "question") == f"{trial.question} What do you expect?"
    assert playground.training.epoch == 0
    assert tuple(button.description for button in playground.answers.children) == trial.answers
    playground.end = playground.settings["epochs"] = 3

    async def answer():
        playground.answers.children[-1].click()
        await playground.task

    asyncio.run(answer())
    assert told(playground, "question") == (
        f"{trial.question} You expect: {trial.answers[-1]}. Look at {trial.look_at}"
    )
    assert playground.training.epoch == (3 if trial.button == "Play" else 0)
    assert (trial.button == "20 seeds") == ("ends" in drawn)
    assert playground.answers.children == ()


def test_a_front_end_gets_the_controls_and_any_other_a_picture_and_how_to_start():
    playground = module.Playground()
    data = playground._repr_mimebundle_()
    assert str(data[module.VIEW]["model_id"]) == module.stage().model_id
    alt, picture = picture_in(data["text/html"])
    width, height = playground.drawn["units"].size
    assert picture.shape == (height, 3 * width, 3)
    assert alt.startswith("the decision boundary")
    assert f"<p>{module.HINT}</p>" in data["text/html"]
    alt, picture = picture_in(playground.pictures["units"].value)
    assert alt == "a small map of each hidden unit"
    assert np.abs(picture - np.asarray(playground.drawn["units"], float)).mean() < 3


def picture_in(html):
    """Return the alternative text and the colours of a picture in HTML."""
    from PIL import Image

    alt, source = re.search(
        '<img alt="([^"]*)".* src="data:image/webp;base64,([^"]*)"', html
    ).groups()
    return alt, np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))


def test_a_new_one_takes_the_place_of_the_old_one_and_stops_it(drawn):
    async def play():
        first = module.Playground()
        first.controls["epochs"].value = 30_000
        first.buttons["To the end"].click()
        return first, module.Playground()

    first, second = asyncio.run(play())
    assert first.task is None
    shown = set(module.stage().children)
    assert second.scrubber in shown
    assert first.scrubber not in shown
