"""A run as a script: it trains the same network to the same digits."""

import pytest

from mlp_numpy import MLP
from playground.answers import Answers
from playground.run import Code
from tests.helpers import skip_without_compiled_loop
from tests.playground.asking import (
    CHANGES,
    OWN_POINTS,
    POINT,
    RATE,
    ask,
    saved,
    train_to,
    trained,
    what,
)


def script_of(answers, epoch):
    """Return the script of an epoch as the browser saves it."""
    name, data = saved(answers, "save_script", epoch=epoch)
    assert name == "run.py"
    return data.decode()


def printed_by(script, capsys):
    """Run a script; return the lines that it prints."""
    capsys.readouterr()
    exec(script, {})
    return capsys.readouterr().out.splitlines()


def told_of(moment):
    """Return the metrics of a moment as a script prints them: with all digits."""
    return [f"{name} {value!r}" for name, value in moment.metrics.items()]


@pytest.mark.parametrize(
    "texts",
    [
        {},
        {"dataset": "circles", "noise": "0.1", "data_seed": "3", "seed": "9"},
        {"dataset": "blobs", "hidden_units": "4,3", "batch_size": "64"},
        {"dataset": "xor", "hidden_units": "none", "learning_rate": "1e-3"},
        {"dataset": "spiral", "batch_size": "full"},
        OWN_POINTS,
    ],
)
def test_a_script_prints_what_the_run_had_digit_for_digit(texts, capsys):
    answers = trained(3, **texts)
    for epoch in (0, 2, 3):
        script = script_of(answers, epoch)
        told = told_of(answers.run.moments[epoch])
        assert printed_by(script, capsys) == told
        assert "\n".join(f"    {line}" for line in told) in script  # so that one can compare


def test_the_same_with_the_plain_loop(capsys, monkeypatch):
    skip_without_compiled_loop()
    monkeypatch.setattr("playground.run.fastest_backend", lambda: "numpy")
    monkeypatch.setattr("playground.script.fastest_backend", lambda: "numpy")
    answers = trained(3)
    assert printed_by(script_of(answers, 3), capsys) == told_of(answers.run.moments[3])


@pytest.mark.parametrize("change", CHANGES, ids=what)
@pytest.mark.parametrize("epoch", [0, 2])
def test_a_change_is_in_the_script(change, epoch, capsys):
    answers = trained(2)
    ask(answers, "change", change={"epoch": epoch, **change})
    changed = answers.run.moments[epoch]
    assert ("# Epochs 1 to 2." in script_of(answers, epoch)) == (epoch == 2)
    assert printed_by(script_of(answers, epoch), capsys) == told_of(changed)
    train_to(answers, 4)
    assert printed_by(script_of(answers, 4), capsys) == told_of(answers.run.moments[4])


def test_all_changes_are_in_the_script_and_none_of_later_epochs(capsys):
    answers = trained(1)
    for change in [*CHANGES, POINT]:
        ask(answers, "change", change={"epoch": answers.run.epoch, **change})
        train_to(answers, answers.run.epoch + 1)
    ask(answers, "change", change={"epoch": answers.run.epoch, **RATE})
    ask(answers, "change", change={"epoch": answers.run.epoch, **POINT})
    for epoch, moment in enumerate(answers.run.moments):
        assert printed_by(script_of(answers, epoch), capsys) == told_of(moment)


def test_of_a_student_s_own_layers_there_is_no_script():
    answers = Answers(load_code=lambda: Code(MLP, epoch_runner=None))
    content = ask(answers, "save_script", epoch=0)
    assert "without a folder" in content["note"]
    assert "file" not in content
