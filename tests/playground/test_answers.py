"""What a browser may ask, and what it is told: training, changes, states, seeds, files."""

import itertools
import math
import re

import numpy as np
import pytest

from mlp_numpy import MLP
from modules import CrossEntropy
from playground import answers as module
from playground.answers import Answers
from playground.folds import describe
from playground.points import read_points
from playground.problems import bayes_accuracy, load_problem
from playground.run import Code
from playground.settings import FIRST
from tests.playground.asking import (
    BATCH,
    CHANGES,
    OWN_CSV,
    OWN_POINTS,
    POINT,
    RATE,
    SMALL,
    are_same,
    ask,
    is_same,
    saved,
    state,
    train_to,
    trained,
)
from train_mlp_numpy import evaluate


@pytest.fixture
def no_time(monkeypatch):
    """Let every answer be late, so that it trains for one epoch."""
    monkeypatch.setattr(module, "SLICE", 0)


@pytest.fixture
def all_time(monkeypatch):
    """Let an answer take as long as it wants."""
    monkeypatch.setattr(module, "SLICE", math.inf)


# Training.


def test_an_answer_has_the_new_epochs_as_the_run_has_them(all_time):
    answers = trained(2)
    content, arrays = answers.answer({"ask": "train", "values": {"n_epochs": 3}})
    params, metrics = arrays  # and no points, which have not changed
    assert (content["known"], content["n_new"]) == (3, 3)
    for moment, its_params, its_metrics in zip(
        answers.run.moments[3:], params, metrics, strict=True
    ):
        assert np.array_equal(its_params, moment.params.astype("float32"))
        assert np.array_equal(its_metrics, np.array(list(moment.metrics.values()), "float32"))


def test_show_tells_all_epochs_and_all_points():
    answers = trained(2)
    ask(answers, "change", change={"epoch": 1, **POINT})
    content, (params, metrics, train, test) = answers.answer({"ask": "show"})
    assert (content["known"], content["n_new"]) == (0, 2)
    assert params.shape == (2, 17)  # of 2-3-2
    assert metrics.shape == (2, 4)
    data = load_problem("moons")
    assert len(train) == 801
    assert train[:-1, :2] == pytest.approx(data.x_train)
    assert train[-1].tolist() == [0.5, -2, 1]
    assert np.array_equal(test[:, 2], data.y_test.argmax(axis=1))


def test_many_epochs_an_answer_are_the_same_as_one(monkeypatch):
    runs = []
    for seconds in (0, math.inf):
        monkeypatch.setattr(module, "SLICE", seconds)
        answers = Answers(SMALL)
        ask(answers, "train", n_epochs=6)
        assert answers.run.epoch == (1 if seconds == 0 else 6)
        assert train_to(answers, 6) == ""
        runs.append(answers.run)
    assert are_same(*runs)


@pytest.mark.parametrize("hidden_units", ["20", "40,40"])
def test_where_training_diverges_it_says_so_and_can_go_on_more_slowly(hidden_units):
    answers = trained(2, hidden_units=hidden_units, batch_size="64")
    ask(answers, "change", change={"epoch": 2, "what": "learning_rate", "value": "100"})
    note = train_to(answers, 100)
    assert "diverged" in note
    assert "below 100" in note
    run = answers.run
    assert 2 <= run.epoch < 100
    params = np.array([moment.params for moment in run.moments])
    assert np.isfinite(params).all()
    last = run.epoch
    ask(answers, "change", change={"epoch": last, **RATE})
    assert train_to(answers, last + 1) == ""
    run.go_back(last)  # the same from there: nothing was left of the epoch that diverged
    again = run.moments[last]
    run.advance()
    assert np.array_equal(again.params, run.moments[last].params)


def test_set_epochs_moves_the_end_and_leaves_the_run():
    answers = trained(2)
    before = answers.run.moments
    content = ask(answers, "set_epochs", text="7")
    assert (content["known"], content["n_new"], content["texts"]["epochs"]) == (3, 0, "7")
    content = ask(answers, "set_epochs", text="seven")
    assert "Epochs: 'seven'" in content["note"]
    assert content["texts"]["epochs"] == "7"
    assert answers.run.moments is before


def test_no_run_is_longer_than_what_can_be_kept(monkeypatch, all_time):
    monkeypatch.setattr(module, "MOST_EPOCHS", 5)
    answers = trained(4)
    note = ask(answers, "train", n_epochs=9)["note"]
    assert (answers.run.epoch, note) == (5, "")
    note = ask(answers, "train", n_epochs=1)["note"]
    assert "at most 5 epochs" in note
    assert "new" in note
    ask(answers, "set_epochs", text="3")
    content = ask(answers, "change", change={"epoch": 4, **RATE})
    assert content["texts"]["epochs"] == "5"  # and not 3 more than 4


def test_the_answer_on_some_batches_of_an_epoch_has_their_rows():
    answers = trained(2)
    content = ask(answers, "train_batches", epoch=1, n_batches=2)
    moment, rows = answers.run.within_epoch(1, 2)
    assert content["n_new"] == 0
    assert content["within"] == {
        "epoch": 1,
        "batch": 2,
        "params": moment.params.tolist(),
        "metrics": list(moment.metrics.values()),
        "rows": rows.tolist(),
    }


@pytest.mark.parametrize("epoch", [1, 3])
def test_the_gradient_of_the_next_batch_is_that_of_backward(epoch):
    answers = trained(3)
    ask(answers, "change", change={"epoch": 3, **RATE})
    run = answers.run
    _, rows = run.within_epoch(epoch, 1)
    model = run.network_at(epoch)
    cross_entropy = CrossEntropy()
    cross_entropy.forward(model.forward(run.data.x_train[rows]), run.data.y_train[rows])
    model.backward(cross_entropy.backward())
    expected = []
    for linear in model.linear_layers:
        expected.extend(linear.grads["weight"].ravel())
        expected.extend(linear.grads["bias"])

    content, arrays = answers.answer({"ask": "gradient", "values": {"epoch": epoch}})
    assert content["gradient"]["epoch"] == epoch
    assert content["gradient"]["values"] == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert len(arrays) == 2  # it is a small answer, without the points
    assert (content["known"], content["n_new"]) == (4, 0)
    assert is_same(run.now(), run.moments[3])


# Changes and states.


def test_a_change_at_the_end_lengthens_the_run_and_undo_shortens_it_again():
    answers = trained(4, epochs="4")
    texts = answers.run.texts
    content = ask(answers, "change", change={"epoch": 3, **POINT})
    assert content["texts"]["epochs"] == "4"
    train_to(answers, 4)
    content = ask(answers, "change", change={"epoch": 4, **BATCH})
    assert (content["known"], content["n_new"], content["texts"]["epochs"]) == (4, 1, "8")
    assert train_to(answers, 8) == ""
    content = ask(answers, "undo")
    assert (content["known"], content["n_new"], content["texts"]) == (4, 1, texts)
    assert [change["what"] for change in content["changes"]] == ["point"]


def test_a_fold_is_planted_in_the_unit_that_is_missed_least():
    answers = trained(4, learning_rate="0.1")
    x = load_problem("moons").x_train
    unit = describe(answers.run.network_at(1), x)[-1].index
    assert unit != describe(answers.run.network_at(4), x)[-1].index  # of the one shown last
    content = ask(answers, "plant", epoch=1)
    fold = {"unit": unit, "weight": [-0.5, 0], "bias": 0.5, "output": [-0.2, 0.2]}
    assert content["changes"] == [{"epoch": 1, "what": "fold", **fold}]
    assert (content["known"], content["n_new"]) == (1, 1)


@pytest.mark.parametrize(
    ("texts", "can_plant"),
    [
        ({}, True),
        ({"dataset": "circles"}, False),
        ({"hidden_units": "none"}, False),
        ({"hidden_units": "3,3"}, False),
    ],
)
def test_a_fold_can_be_planted_on_the_moons_with_one_hidden_layer(texts, can_plant):
    assert ask(Answers(SMALL | texts), "show")["can_plant"] == can_plant


def test_where_no_fold_can_be_planted_the_run_goes_on_as_it_was():
    answers = trained(2, hidden_units="3,3")
    assert "one hidden layer" in ask(answers, "plant", epoch=0)["note"]
    train_to(answers, 3)
    assert are_same(answers.run, trained(3, hidden_units="3,3").run)


def state_of(answers):
    """Return the state of a run."""
    run = answers.run
    return state(run.epoch, run.changes, **run.texts)


def test_a_state_that_is_pasted_leads_to_the_same_digits(no_time):
    answers = trained(2, seed="9", noise="0.3", epochs="6")
    ask(answers, "plant", epoch=2)
    for change in CHANGES:
        train_to(answers, answers.run.epoch + 1)
        ask(answers, "change", change={"epoch": answers.run.epoch, **change})
    ask(answers, "change", change={"epoch": answers.run.epoch, **POINT})
    train_to(answers, 10)
    assert len(answers.run.changes) == 8

    other = Answers()
    content = ask(other, "restore", text=state_of(answers))
    assert (content["known"], content["n_new"], content["goal"]) == (0, 1, 10)
    assert train_to(other, 10) == ""
    assert are_same(other.run, answers.run)


def replay_of(answers):
    """Return Answers that begin to replay a run."""
    other = Answers()
    ask(other, "restore", text=state_of(answers))
    return other


def test_a_change_by_hand_or_undo_ends_a_replay():
    answers = trained(1)
    ask(answers, "change", change={"epoch": 1, **BATCH})
    train_to(answers, 3)
    ask(answers, "change", change={"epoch": 3, **RATE})

    other = replay_of(answers)
    train_to(other, 2)
    ask(other, "change", change={"epoch": 1, **POINT})
    train_to(other, 4)
    assert [change["what"] for change in other.run.changes] == ["batch_size", "point"]

    other = replay_of(answers)
    train_to(other, 2)
    ask(other, "undo")
    train_to(other, 4)
    assert are_same(other.run, trained(4).run)

    other = replay_of(answers)
    ask(other, "change", change={"epoch": 9, **POINT})  # there is none, so this ends nothing
    train_to(other, 3)
    assert are_same(other.run, answers.run)


def test_a_replay_tells_of_a_change_when_it_comes_to_it(no_time):
    answers = trained(2)
    ask(answers, "change", change={"epoch": 2, **POINT})
    other = replay_of(answers)
    for epoch in (1, 2, 3):
        content, arrays = other.answer({"ask": "train", "values": {"n_epochs": 1}})
        assert other.run.epoch == epoch
        assert ("changes" in content) == (epoch == 2)
        assert len(arrays) == (4 if epoch == 2 else 2)  # then the points, too


def test_what_a_state_leaves_out_is_as_it_is_at_first():
    answers = trained(1, seed="9", noise="0.3")
    content = ask(answers, "restore", text="seed=5&batch_size=1")
    assert content["texts"] == FIRST | {"seed": "5", "batch_size": "1"}
    assert (content["goal"], content["changes"]) == (0, [])


EARLY = {**POINT, "epoch": 1}
LATE = {**POINT, "epoch": 2}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        ("hello", "no setting 'hello'.* has dataset, .* epoch"),
        ("sed=5", "no setting 'sed'"),
        ("epoch=-1", "no state"),
        ("epoch=seven", "no state"),
        ("epoch=20001", "no state"),
        ("changes=3", "no state"),
        ("changes=[", "no state"),
        ("changes=" + "[" * 100_000, "no state"),
        ('changes=[{"what": "point"}]', "no state"),
        (state(3, [LATE, EARLY]), "no state"),
        (state(3, [{**LATE, "class": 7}]), "class .* 0 to 1"),
        (state(3, [{**LATE, **RATE, "value": "x"}]), "Learning rate: 'x'"),
        (state(3, noise="loud"), "Noise: 'loud'"),
        (state(3, dataset="own"), "Points: there are none"),
    ],
)
def test_what_is_no_state_is_refused_and_the_run_stays(text, told):
    answers = trained(1)
    run = answers.run
    content, arrays = answers.answer({"ask": "restore", "values": {"text": text}})
    assert re.search(told, content["note"])
    assert answers.run is run
    assert (content["known"], content["n_new"]) == (2, 0)
    assert len(arrays[0]) == 0


# Questions that nobody asks.


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ({}, "no question None"),
        ({"ask": "dance"}, "no question 'dance'"),
        ({"ask": ["show"]}, "list"),
        ({"ask": "train"}, "n_epochs"),
        ({"ask": "train", "values": {"n_epochs": "5"}}, "str"),
        ({"ask": "show", "values": {"epoch": 3}}, "epoch"),
        ({"ask": "show", "values": 3}, "int"),
        ({"ask": "train_batches", "values": {"epoch": 2, "n_batches": 1}}, "no epoch 2"),
        ({"ask": "plant", "values": {"epoch": -1}}, "no epoch -1"),
        ({"ask": "change", "values": {"change": LATE}}, "no epoch 2"),
        ({"ask": "change", "values": {"change": None}}, "None is not a change"),
        ({"ask": "new_run", "values": {"texts": {"seed": "x"}}}, "Seed: 'x'"),
        ({"ask": "try_seeds", "values": {"texts": {"seed": "x"}}}, "Seed: 'x'"),
        ({"ask": "undo"}, "no change to take back"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused_and_the_run_stays(question, told):
    answers = trained(1)
    run = answers.run
    content, arrays = answers.answer(question)
    assert told in content["note"]
    assert (content["known"], content["n_new"], len(arrays[0])) == (2, 0, 0)
    assert answers.run is run
    assert run.epoch == 1
    assert is_same(run.now(), run.moments[1])


# The best rule.


@pytest.mark.parametrize(("dataset", "noise"), [("moons", "0.5"), ("xor", "0.3")])
def test_the_best_rule_is_that_of_the_data_set_on_its_test_points(dataset, noise):
    answers = Answers(SMALL)
    content = ask(answers, "new_run", texts={"dataset": dataset, "noise": noise, "data_seed": "3"})
    data = load_problem(dataset, float(noise), 3)
    _, on_test = bayes_accuracy(dataset, float(noise), data)
    assert content["best"] == on_test


# Twenty seeds.


def test_each_of_twenty_seeds_ends_as_a_run_of_its_own(all_time):
    answers = trained(1)
    first = 2**32 - 3
    content = ask(answers, "try_seeds", texts={"seed": str(first), "epochs": "2"})
    ends = content["seeds"]["ends"]
    assert [end["seed"] for end in ends] == [first, first + 1, first + 2, *range(17)]
    for end in ends:
        own = trained(2, seed=str(end["seed"])).run
        assert end == {"seed": end["seed"], **own.moments[2].metrics}
    assert content["seeds"]["bound"] is None  # they are one group
    assert are_same(answers.run, trained(1).run)


def test_an_answer_trains_only_a_part_of_the_seeds(no_time):
    answers = Answers(SMALL | {"epochs": "2"})
    content = ask(answers, "try_seeds", texts={})
    n_ends = [len(content["seeds"]["ends"])]
    while n_ends[-1] < 20:
        content = ask(answers, "try_seeds")
        n_ends.append(len(content["seeds"]["ends"]))
    # An answer trains for one epoch, and each seed has two: 0, 1, 1, 2, 2 and so on up to 20.
    assert n_ends == [n_epochs // 2 for n_epochs in range(1, 41)]
    assert ask(answers, "try_seeds")["seeds"] == content["seeds"]  # there are no more


def code_with(biases, run_epoch):
    """Return a Code: its networks have these biases in turn, and run_epoch(model) trains them."""
    biases = itertools.cycle(biases)

    def new_network(*sizes_and_rng):
        model = MLP(*sizes_and_rng)
        output = model.linear_layers[-1].params
        output["weight"] = np.zeros((3, 2))
        output["bias"] = np.array(next(biases))
        return model

    def epoch_runner(model, *_):
        return lambda order: run_epoch(model)

    return Code(new_network, epoch_runner)


def test_there_is_a_bound_between_two_groups_when_all_have_ended(no_time):
    code = code_with([[0, 0], [3, -3]], run_epoch=lambda model: None)
    answers = Answers(SMALL | {"epochs": "1"}, lambda: code)
    seeds = ask(answers, "try_seeds", texts={})["seeds"]
    while len(seeds["ends"]) < 20:
        assert seeds["bound"] is None
        seeds = ask(answers, "try_seeds")["seeds"]
    losses = [end["train_loss"] for end in seeds["ends"]]
    assert seeds["bound"] == pytest.approx(math.sqrt(min(losses) * max(losses)))
    assert sum(loss > seeds["bound"] for loss in losses) == 10


def test_seeds_that_diverge_end_without_a_loss_and_without_a_bound(all_time):
    def explode(model):
        model.linear_layers[0].params["bias"] = np.full(3, np.inf)

    code = code_with([[0, 0]], explode)
    content = ask(Answers(SMALL, lambda: code), "try_seeds", texts={})
    assert content["note"] == ""
    assert content["seeds"]["ends"] == [{"seed": seed} for seed in range(42, 62)]
    assert content["seeds"]["bound"] is None


@pytest.mark.parametrize("question", ["new_run", "restore"])
@pytest.mark.parametrize(
    ("texts", "are_kept"), [({"seed": "3"}, True), ({"batch_size": "64"}, False)]
)
def test_seeds_are_kept_for_another_seed_alone(question, texts, are_kept, no_time):
    answers = Answers(SMALL)
    ask(answers, "try_seeds", texts={})
    if question == "new_run":
        content = ask(answers, question, texts=texts)
    else:
        content = ask(answers, question, text=state(0, **answers.run.texts | texts))
    for name, text in texts.items():
        assert content["texts"][name] == text
    assert (content["seeds"] is not None) == are_kept


# Points of one's own, and what can be taken away.


def test_points_of_one_s_own_are_a_data_set_without_a_best_rule():
    answers = Answers(SMALL)
    assert "own" not in ask(answers, "show")["datasets"]
    content, (*_, train, test) = answers.answer({"ask": "new_run", "values": {"texts": OWN_POINTS}})
    assert content["texts"]["dataset"] == "own"
    assert content["best"] is None
    assert content["note"] == ""
    assert (len(train), len(test)) == (32, 8)
    content = ask(answers, "new_run", texts={"dataset": "moons"})
    assert "own" in content["datasets"]  # they are still there
    assert ask(answers, "new_run", texts={"dataset": "own"})["sizes"][-1] == 3


@pytest.mark.parametrize(
    ("points", "told"), [("0,0,0\n1,1,1\nx,1,1", "Points: line 3: expected"), ("", "open a file")]
)
def test_a_bad_file_is_told_and_what_was_there_stays(points, told):
    answers = trained(1)
    run = answers.run
    content = ask(answers, "new_run", texts={"dataset": "own", "points": points})
    assert told in content["note"]
    assert answers.run is run


def add_points(answers, points):
    """Add points x1, x2, class, each at the last epoch, and train for an epoch after each."""
    for x1, x2, label in points:
        change = {"what": "point", "point": [x1, x2], "class": label}
        ask(answers, "change", change={"epoch": answers.run.epoch, **change})
        train_to(answers, answers.run.epoch + 1)


HAND = [[0.1, -2, 0], [0.2, -2, 1], [0.3, -2, 0], [0.4, -2, 1], [0.5, -2, 0]]


@pytest.mark.parametrize("texts", [{}, {"points": OWN_CSV}], ids=["none opened", "own elsewhere"])
def test_points_that_were_added_by_hand_are_saved_and_opened_again(texts):
    answers = Answers(SMALL | texts)  # of the moons
    add_points(answers, HAND)
    name, text = saved(answers, "save_points")
    assert name == "points.csv"
    assert text.decode().splitlines()[:3] == ["x1,x2,class", "0.1,-2.0,0", "0.2,-2.0,1"]
    ask(answers, "new_run", texts={"dataset": "own", "points": text.decode()})
    assert read_points(answers.run.texts["points"]).tolist() == HAND


def test_with_a_file_of_points_those_are_saved_that_were_added_to_it():
    answers = Answers(SMALL | OWN_POINTS)
    add_points(answers, HAND)
    _, text = saved(answers, "save_points")
    points = read_points(text.decode())
    assert np.array_equal(points[:-5], read_points(OWN_CSV))
    assert points[-5:].tolist() == HAND


@pytest.mark.parametrize(
    ("points", "told"),
    [([], "click into the map"), (HAND[:4], "from 5 to"), (5 * HAND[:1], "class")],
)
def test_points_that_could_not_be_opened_again_are_not_saved(points, told):
    answers = Answers(SMALL)
    add_points(answers, points)
    content = ask(answers, "save_points")
    assert told in content["note"]
    assert "file" not in content


def test_the_network_of_the_epoch_shown_is_saved_as_a_file_that_mlp_loads(tmp_path):
    answers = trained(3)
    name, data = saved(answers, "save_network", epoch=1)
    assert name == "model.npz"
    path = tmp_path / name
    path.write_bytes(data)
    assert evaluate(MLP.load(path), answers.run.data) == answers.run.moments[1].metrics
