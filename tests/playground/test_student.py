"""A student's layers in the playground: they train as written, and what is wrong is told."""

import os
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import mlp_numpy
import modules
from grading.starter import starter
from mlp_numpy import MLP
from playground import student
from playground.answers import Answers
from playground.run import Code, Run
from playground.settings import FIRST
from tests.playground.asking import (
    CHANGES,
    FOLD,
    PLANTED,
    SMALL,
    all_same,
    are_same,
    ask,
    is_same,
    train_to,
    what,
)
from train_mlp_numpy import epoch_runner, evaluate

ROOT = Path(__file__).parents[2]
FILES = ("modules.py", "mlp_numpy.py")
PLAIN = Code(MLP, partial(epoch_runner, "numpy"))  # this project's layers, without Numba


@pytest.fixture
def mine(tmp_path):
    """A student's folder, whose files are as this project's."""
    for file in FILES:
        shutil.copyfile(ROOT / file, tmp_path / file)
    return tmp_path


def edit(path, old, new):
    """Replace a text in a file where it stands first; return the number of its line."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    return text[: text.index(old)].count("\n") + 1


def rename(path, old, new):
    """Replace a text in a file wherever it stands."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def edit_unseen(path, old, new):
    """Edit a file so that it is as old and as large as before."""
    assert len(old) == len(new)
    stat = path.stat()
    edit(path, old, new)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def answers_of(folder, **texts):
    load_code = partial(student.load, folder)
    return Answers(SMALL | texts, load_code, partial(student.explained_in, folder))


def refusal(folder):
    """Return what is told when these files cannot be used."""
    try:
        answers_of(folder)
    except Exception as error:  # whatever a student's files raise
        return student.explained_in(folder, error)
    pytest.fail("these files were taken")


def plain_run(n_epochs, **texts):
    """Return a run of this project's layers."""
    run = Run(FIRST | SMALL | texts, PLAIN)
    for _ in range(n_epochs):
        run.advance()
    return run


# Right ones.


@pytest.mark.parametrize(
    "texts", [{}, {"hidden_units": "none"}, {"dataset": "blobs", "hidden_units": "4,3"}]
)
def test_right_files_train_as_this_project_does_bit_for_bit(texts, mine):
    answers = answers_of(mine, **texts)
    assert train_to(answers, 3) == ""
    assert type(answers.run.model) is not MLP
    assert are_same(answers.run, plain_run(3, **texts))


@pytest.mark.parametrize("change", CHANGES, ids=what)
def test_changes_are_made_and_undone_in_them_too(change, mine):
    answers = answers_of(mine)
    train_to(answers, 2)
    expected = plain_run(2)
    ask(answers, "change", change={"epoch": 1, **change})
    expected.change({"epoch": 1, **change})
    train_to(answers, 3)
    expected.advance()
    expected.advance()
    assert are_same(answers.run, expected)
    ask(answers, "undo")
    train_to(answers, 3)
    assert are_same(answers.run, plain_run(3))


def test_a_fold_is_planted_without_the_help_of_their_network(mine):
    rename(mine / "mlp_numpy.py", "linear_layers", "my_layers")
    answers = answers_of(mine)
    content = ask(answers, "plant", epoch=0)
    assert content["note"] == ""
    assert content["changes"][0]["output"] == PLANTED["output"]
    assert train_to(answers, 1) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("np.zeros(out_features)", "np.zeros((1, out_features))"),
        ("class ReLU:", "class ReLU:\n    params = {}\n"),
        ("class SoftMax:", "class SoftMax:\n    params = None\n"),
    ],
)
def test_a_bias_may_be_a_row_and_other_layers_may_have_empty_params(old, new, mine):
    edit(mine / "modules.py", old, new)
    answers = answers_of(mine)
    expected = plain_run(2)
    assert train_to(answers, 2) == ""
    assert are_same(answers.run, expected)
    change = {"epoch": 1, **FOLD}
    ask(answers, "change", change=change)
    expected.change(change)
    train_to(answers, 2)
    expected.advance()
    assert are_same(answers.run, expected)


def test_they_may_have_files_of_their_own(mine):
    relu = "import numpy as np\n\n\ndef relu(x):\n    return np.maximum(0, x)\n"
    (mine / "own.py").write_text(relu)
    edit(mine / "modules.py", "import numpy as np", "import numpy as np\nfrom own import relu")
    edit(mine / "modules.py", "return np.maximum(0, x)", "return relu(x)")
    path = list(sys.path)
    answers = answers_of(mine)
    train_to(answers, 2)
    assert are_same(answers.run, plain_run(2))
    assert "own" not in sys.modules
    assert sys.path == path
    assert sorted(os.listdir(mine)) == ["mlp_numpy.py", "modules.py", "own.py"]


def test_this_projects_modules_have_their_names_again_afterwards(mine):
    answers_of(mine)
    edit(mine / "mlp_numpy.py", "class MLP:", "class MLP")
    refusal(mine)
    assert sys.modules["modules"] is modules
    assert sys.modules["mlp_numpy"] is mlp_numpy


# Wrong ones, which train.


def test_a_relu_that_lets_every_gradient_pass_trains_on(mine):
    edit(mine / "modules.py", "return dout * (self.x > 0)", "return dout")
    answers = answers_of(mine)
    assert train_to(answers, 3) == ""
    expected = plain_run(3).moments
    assert is_same(answers.run.moments[0], expected[0])
    assert not np.array_equal(answers.run.moments[3].params, expected[3].params)


def test_the_gradient_of_their_loss_is_what_trains(mine):
    edit(mine / "modules.py", "return (self.p - self.y)", "return 2 * (self.p - self.y)")
    answers = answers_of(mine)
    train_to(answers, 3)
    expected = plain_run(3, learning_rate="0.02").moments
    assert all_same(answers.run.moments, expected)


def test_losses_are_measured_by_this_project_on_their_forward_pass(mine):
    edit(mine / "modules.py", "return np.maximum(0, x)", "return np.maximum(0.1 * x, x)")
    edit(mine / "modules.py", "return float(np.sum(-self.y * log_p)", "return float(0")
    run = answers_of(mine).run
    metrics = run.moments[0].metrics
    assert metrics == evaluate(run.model, run.data)
    assert 0 < metrics["train_loss"] != plain_run(0).moments[0].metrics["train_loss"]


# Wrong ones, which do not.


@pytest.mark.parametrize("file", FILES)
def test_the_error_for_a_missing_file_says_what_writes_it(file, mine):
    (mine / file).unlink()
    assert re.search(rf"no {file}.*grading\.starter", refusal(mine))


@pytest.mark.parametrize(
    ("file", "name"), [("modules.py", "CrossEntropy"), ("mlp_numpy.py", "MLP")]
)
def test_a_missing_class_is_named(file, name, mine):
    edit(mine / file, f"class {name}:", f"class My{name}:")
    assert re.search(f"{file} .* {name}", refusal(mine))


def test_what_is_not_written_yet_is_named_with_its_line(tmp_path):
    for file in FILES:
        (tmp_path / file).write_text(starter(file), "utf-8")
    place, message = refusal(tmp_path).split(": ")
    assert re.fullmatch(r"mlp_numpy.py, line \d+, __init__", place)
    assert "not written" in message


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("modules.py", "class ReLU:", "class ReLU", "SyntaxError"),
        ("mlp_numpy.py", "import numpy as np", "import numpi as np", "'numpi'"),
        ("modules.py", "rng.normal(", "random.normal(", "'random'"),
        ("modules.py", "return np.maximum(0, x)", "return np.maximum(0, xx)", "'xx'"),
        ("mlp_numpy.py", "layer.forward(out)", "layer.forwards(out)", "'forwards'"),
    ],
)
def test_what_cannot_run_is_named_with_its_line(file, old, new, told, mine):
    line = edit(mine / file, old, new)
    message = refusal(mine)
    assert re.match(f"{file}, line {line}[,:]", message)
    assert told in message
    assert message.count(file) == 1


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("modules.py", "self.y = targets", "self.y = targets[0, 0, 0]", "forward: IndexError"),
        ("modules.py", "return dout * (self.x > 0)", "raise NotImplementedError", "not written"),
        ("modules.py", "return dout @ self.params", "return dout.T @ self.params", "ValueError"),
        ("mlp_numpy.py", "linear.params[name] = linear", "linear.params[name] = liner", "'liner'"),
    ],
)
def test_what_fails_in_training_is_named_with_its_line_and_the_network_stays(
    file, old, new, told, mine
):
    line = edit(mine / file, old, new)
    answers = answers_of(mine)
    before = answers.run.moments[0]
    note = train_to(answers, 2)
    assert note.startswith(f"{file}, line {line}, ")
    assert told in note
    assert answers.run.epoch == 0
    assert is_same(answers.run.now(), before)
    assert ask(answers, "try_seeds", texts={})["note"] == note


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        (
            "modules.py",
            "in_features, out_features))",
            "out_features, in_features))",
            "weight.*2, 3",
        ),
        ("modules.py", '"weight": rng', '"W": rng', "weight.*2, 3"),
        ("modules.py", "np.zeros(out_features)", "np.zeros(5)", r"bias.*\(3,\).*\(5,\)"),
        ("mlp_numpy.py", "return out", "return out[:, 0]", r"forward.*\(3, 2\).*\(3,\)"),
        ("mlp_numpy.py", "n_classes, rng=None", "n_classes", "rng.*starter"),
    ],
)
def test_the_error_for_a_network_of_another_form_says_what_is_needed(file, old, new, told, mine):
    edit(mine / file, old, new)
    assert re.search(told, refusal(mine))


def test_a_gradient_of_another_shape_is_reported_and_training_goes_on_when_it_is_mended(mine):
    right = 'self.grads["bias"] = dout.sum(axis=0)'
    wrong = 'self.grads["bias"] = dout'
    edit(mine / "modules.py", right, wrong)
    answers = answers_of(mine, batch_size="16")
    content = ask(answers, "train", n_epochs=1)
    assert "`grads` must have the shapes of `params`" in content["note"]
    assert answers.run.epoch == 0
    edit(mine / "modules.py", wrong, right)
    assert ask(answers, "new_run", texts={})["note"] == ""
    assert ask(answers, "train", n_epochs=1)["note"] == ""


def test_a_file_that_ends_the_program_is_reported(mine):
    answers = answers_of(mine)
    edit(mine / "modules.py", "import numpy as np", "import numpy as np\nraise SystemExit(3)")
    assert "SystemExit: 3" in ask(answers, "new_run", texts={})["note"]


def test_a_network_without_a_list_of_its_layers_is_refused(mine):
    rename(mine / "mlp_numpy.py", "self.layers", "self.parts")
    assert "`layers`" in refusal(mine)


def test_the_error_for_weights_drawn_without_our_generator_mentions_rng():
    message = refusal(ROOT / "tests" / "grading" / "right")
    assert "rng" in message
    assert "(n_inputs, n_hidden, n_classes)" in message  # what theirs takes


# Edits.


def test_a_new_run_takes_the_files_as_they_are_now_however_quick_the_edit(mine):
    (mine / "scale.py").write_text("SCALE = 0.1\n")
    edit(mine / "modules.py", "import numpy as np", "import numpy as np\nfrom scale import SCALE")
    edit(mine / "modules.py", "rng.normal(0, 0.1,", "1.0 * rng.normal(0, SCALE,")
    answers = answers_of(mine)
    weights = answers.run.linears[0].params["weight"]
    edit_unseen(mine / "modules.py", "1.0 * rng", "2.0 * rng")
    train_to(answers, 1)
    assert is_same(answers.run.moments[1], plain_run(1).moments[1])  # as it was loaded
    ask(answers, "new_run", texts={})
    assert np.array_equal(answers.run.linears[0].params["weight"], 2 * weights)
    edit_unseen(mine / "scale.py", "0.1", "0.2")
    ask(answers, "new_run", texts={})
    assert answers.run.linears[0].params["weight"] == pytest.approx(4 * weights)


def test_a_broken_edit_is_reported_and_leaves_the_run_that_was_there(mine):
    answers = answers_of(mine)
    train_to(answers, 2)
    line = edit(mine / "modules.py", "return np.maximum(0, x)", "return np.maximum(0, x")
    for question in ("new_run", "try_seeds"):
        note = ask(answers, question, texts={"seed": "3"})["note"]
        assert note.startswith(f"modules.py, line {line}: SyntaxError")
    assert train_to(answers, 4) == ""
    assert are_same(answers.run, plain_run(4))
