"""The playground's things to try: what each of them says comes out."""

import csv
from pathlib import Path

import numpy as np
import pytest

from playground.answers import Answers
from playground.run import Run
from playground.seeds import stuck_bound
from playground.settings import FIRST
from playground.trials import TRIALS
from tests.helpers import skip_without_compiled_loop
from tests.playground.asking import ask

RUNS = Path(__file__).parents[2] / "figures" / "runs.csv"
SETTINGS = {trial.name: trial.settings for trial in TRIALS}


@pytest.mark.parametrize("trial", TRIALS, ids=lambda trial: trial.name)
def test_each_has_valid_settings_of_its_own_and_a_question_with_answers(trial):
    content = ask(Answers(), "new_run", texts=trial.settings)
    assert content["note"] == ""
    for name, text in trial.settings.items():
        assert text != FIRST[name]
    assert trial.question.endswith("?")
    assert len(set(trial.answers)) == len(trial.answers) >= 2
    assert trial.work in ("play", "seeds")


# From the study's runs, which have the same settings and the seeds 0 to 99.


def losses_of(batch_size):
    """Return the final training losses of the study's runs, by seed."""
    with open(RUNS, newline="") as file:
        rows = list(csv.DictReader(file))
    return np.array([float(row["train_loss"]) for row in rows if row["batch_size"] == batch_size])


def test_with_the_full_batch_the_loss_falls_less_far():
    assert SETTINGS["Full batch"] == {"batch_size": "full"}
    assert losses_of("full")[42] > 3 * losses_of("16")[42]
    assert losses_of("16")[42] == pytest.approx(0.085, abs=0.001)  # as the question says


def test_another_seed_is_stuck_and_row_by_row_it_is_not():
    assert SETTINGS["Another seed"] == {"seed": "5"}
    assert SETTINGS["Row by row"] == {"seed": "5", "batch_size": "1"}
    for batch_size, is_stuck in (("16", True), ("1", False)):
        losses = losses_of(batch_size)
        assert (losses[5] > stuck_bound(losses)) == is_stuck


def test_many_seeds_come_out_in_two_groups():
    losses = losses_of("16")[42:62]
    n_stuck = np.sum(losses > stuck_bound(losses))
    assert 3 <= n_stuck <= 17


# From training.


def trained(run, n_epochs):
    """Train a run for so many epochs; return its metrics then."""
    for _ in range(n_epochs):
        run.advance()
    return run.moments[-1].metrics


def test_with_much_noise_the_best_rule_has_80_percent():
    content = ask(Answers(SETTINGS["Much noise"]), "show")
    assert content["best"] == pytest.approx(0.8, abs=0.02)


def test_large_steps_kill_every_unit_within_ten_epochs():
    run = Run(FIRST | SETTINGS["Large steps"])
    metrics = trained(run, 10)
    hidden = run.linears[0].params
    inputs = run.data.x_train @ hidden["weight"] + hidden["bias"]
    assert inputs.max() < 0
    assert metrics["test_accuracy"] < 0.6


# These take seconds without Numba.


@pytest.mark.parametrize(
    ("name", "most"), [("Few units", 0.9), ("A spiral", 0.75)], ids=["few units", "spiral"]
)
def test_too_few_units_do_not_learn_it(name, most):
    skip_without_compiled_loop()
    run = Run(FIRST | SETTINGS[name])
    assert trained(run, run.settings["epochs"])["test_accuracy"] < most


def test_a_stuck_network_is_set_free_by_batch_size_1_and_not_by_256():
    skip_without_compiled_loop()
    run = Run(FIRST | SETTINGS["Another batch size"])
    assert trained(run, 800)["train_loss"] > 0.2
    for batch_size, is_free in (("1", True), ("256", False)):
        run.change({"epoch": 800, "what": "batch_size", "value": batch_size})
        assert (trained(run, 800)["train_loss"] < 0.15) == is_free


def test_in_a_stuck_network_no_gradient_reaches_the_idle_units():
    skip_without_compiled_loop()
    answers = Answers(SETTINGS["Another seed"])
    trained(answers.run, 1000)
    gradient = np.array(ask(answers, "gradient", epoch=1000)["gradient"]["values"])
    of_weight = gradient[:40].reshape(2, 20)
    of_bias = gradient[40:60]
    inputs = answers.run.model.layers[0].forward(answers.run.data.x_train)
    n_points = (inputs > 0).sum(axis=0)
    idle = [7, 10, 14, 15]
    assert np.all(n_points[idle] < [1, 20, 1, 1])
    assert np.all(of_weight[:, idle] == 0)
    assert np.all(of_bias[idle] == 0)
    assert np.count_nonzero(of_bias) > 10


def test_a_planted_fold_sets_another_seed_free():
    skip_without_compiled_loop()
    answers = Answers(SETTINGS["Another seed"])
    trained(answers.run, 1000)
    ask(answers, "plant", epoch=1000)
    assert trained(answers.run, 500)["train_loss"] < 0.15
