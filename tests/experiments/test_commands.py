"""What the three commands of experiments/ share."""

import os
import runpy
import sys
from pathlib import Path

import pytest

from experiments import batch_sizes, boundary, gradient_bugs
from tests.helpers import (
    ODD_SETTINGS,
    help_text,
    run_twice_at_once,
    status_without_reader,
)

COMMANDS = [batch_sizes, boundary, gradient_bugs]
FEW = ["--n_samples=40", "--max_steps=2", "--batch_sizes=8", "--backend=numpy"]


def name_of(module):
    return Path(module.__file__).stem


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_the_help_begins_with_what_it_does_and_ends_with_an_example(command, capsys):
    text = help_text(command.main, capsys)
    first_line = text.splitlines()[0]
    last_line = text.splitlines()[-1]
    assert first_line.endswith(".")
    assert last_line.startswith(f"Example: python -m experiments.{name_of(command)}")


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_ctrl_c_ends_it_with_status_130_and_without_a_traceback(
    command, tmp_path, monkeypatch, capsys
):
    def interrupted(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("train_mlp_numpy.load_data", interrupted)
    monkeypatch.setattr(sys, "argv", [name_of(command)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(command.__file__, run_name="__main__")
    assert end.value.code == 130
    assert capsys.readouterr().err == ""


def test_a_study_has_100_seeds_from_0_on_and_as_many_updates_as_the_report_at_batch_size_16():
    _, by_epochs = batch_sizes.parse_flags(["--no_output"])
    _, by_updates = batch_sizes.parse_flags(["--no_output", "--budget", "updates"])
    assert (by_epochs.max_steps, by_epochs.eval_freq) == (1500, 10)
    assert (by_updates.max_steps, by_updates.eval_freq) == (50 * 1500, 50 * 10)
    assert (by_epochs.seed, by_epochs.n_seeds) == (0, 100)


def test_the_animation_has_the_report_s_epochs_and_three_batch_sizes():
    animation = boundary.parse_flags(["--no_output"])
    assert (animation.max_steps, animation.batch_sizes) == (1500, [None, 16, 1])


def test_two_animations_may_be_written_to_one_folder_at_the_same_time(tmp_path):
    def run():
        assert boundary.main([*FEW, f"--output_dir={tmp_path}"]) == 0

    run_twice_at_once(run, "boundary.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["boundary.gif"]


@pytest.mark.skipif(os.name == "nt", reason="needs a pipe of POSIX")
def test_a_reader_that_has_gone_ends_it_with_status_1(monkeypatch):
    assert status_without_reader(boundary.__file__, [*FEW, "--no_output"], monkeypatch) == 1


@pytest.mark.parametrize(
    ("command", "flags", "picture"),
    [
        (batch_sizes, ["--n_seeds=2", "--n_jobs=1"], "figure4_batch_sizes.png"),
        (boundary, [], "boundary.gif"),
    ],
    ids=["batch_sizes", "boundary"],
)
def test_its_picture_does_not_depend_on_the_settings_of_the_user(command, flags, picture, tmp_path):
    from matplotlib import rc_context

    plain = tmp_path / "plain"
    odd = tmp_path / "odd"
    with rc_context():
        command.main([*FEW, *flags, f"--output_dir={plain}"])
    with rc_context(ODD_SETTINGS):
        command.main([*FEW, *flags, f"--output_dir={odd}"])
    assert (odd / picture).read_bytes() == (plain / picture).read_bytes()
