"""The notebook: it runs in a fresh kernel, says what it said, and its parts do as they say."""

import re

import ipywidgets
import nbformat
import numpy as np
import pytest

import notebook_parts
import train_mlp_numpy
from modules import Linear, SoftMax
from notebook_parts import Playground, beside_source, source_lines
from tests.run_notebook import PATH, WIDGET, executed
from train_mlp_numpy import train

COMMITTED = nbformat.read(PATH, as_version=4)
CODE = [cell for cell in COMMITTED.cells if cell.cell_type == "code"]


def texts(notebook):
    """Return the text outputs of a notebook, by the cell and the kind of text."""
    found = {}
    for cell in notebook.cells:
        for i, output in enumerate(cell.get("outputs", [])):
            found[cell.id, i, output.output_type] = output.get("text")
            for kind, text in output.get("data", {}).items():
                found[cell.id, i, kind] = text if kind.startswith("text/") else "a picture"
    return found


def test_it_runs_from_top_to_bottom_and_comes_out_the_same():
    assert texts(executed()) == texts(COMMITTED), "run `python -m tests.run_notebook`"


def test_it_is_committed_with_the_outputs_of_one_run():
    assert [cell.execution_count for cell in CODE] == list(range(1, len(CODE) + 1))
    assert all(cell.outputs for cell in CODE[1:])
    assert PATH.stat().st_size < 5e6
    nbformat.validate(COMMITTED)


def test_no_output_tells_a_time_or_a_path():
    for key, text in texts(COMMITTED).items():
        assert not re.search(r"/home|/root|/tmp|/work|\d+ ?m?s\b|seconds", text or ""), key


def test_its_cells_call_the_project_and_hold_no_logic():
    for cell in CODE:
        assert len(cell.source.splitlines()) <= 16, cell.id
        assert not re.search(
            r"^\s*(def|class|while|with|import numpy|.*matplotlib\.py)", cell.source
        )


def test_without_a_kernel_the_playground_is_a_picture():
    (output,) = CODE[-1].outputs
    assert WIDGET not in output.data
    assert "image/png" in output.data
    assert "nothing is running" in COMMITTED.cells[-2].source


def test_source_is_shown_without_docstring_and_refusals():
    lines = source_lines(Linear.forward).splitlines()
    assert lines[0] == "def forward(self, x):"
    assert lines[-1] == "    return out"
    assert not any(word in line for line in lines for word in ('"""', "raise", "if "))
    assert "    out = x.dot(weight)" in lines


def test_every_line_shown_stands_in_the_file():
    shown = source_lines(SoftMax.forward)
    with open(notebook_parts.inspect.getsourcefile(SoftMax)) as file:
        source = file.read().splitlines()
    assert all(f"    {line}" in source for line in shown.splitlines())


def test_formulas_stand_beside_their_source():
    text = beside_source(("$a$", Linear.forward), ("$b$", Linear.backward)).data
    rows = re.findall(r"<tr><td>\n\n(.*?)\n\n</td><td>\n\n```python\n(.*?)\n```", text, re.S)
    assert rows == [("$a$", source_lines(Linear.forward)), ("$b$", source_lines(Linear.backward))]


@pytest.fixture
def playground():
    playground = Playground()
    playground.controls["epochs"].value = 10
    return playground


def runs_of(monkeypatch):
    """Return a list that takes the arguments of every run from now on."""
    runs, run = [], notebook_parts.run

    def recorded(**settings):
        runs.append(settings)
        return run(**settings)

    monkeypatch.setattr(notebook_parts, "run", recorded)
    return runs


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", "1"),
        ("batch_size", "full"),
        ("learning_rate", 0.1),
        ("hidden_units", 0),
        ("epochs", 30),
        ("noise", 0.0),
        ("dataset", "blobs"),
        ("seed", 5),
    ],
)
def test_every_control_trains_and_draws_anew(playground, monkeypatch, name, value):
    runs, picture = runs_of(monkeypatch), bytes(playground.picture.value)
    before = {key: c.value for key, c in playground.controls.items() if key != "same_start"}
    playground.controls[name].value = value
    assert runs == [before | {name: value}]
    assert bytes(playground.picture.value) != picture


def test_same_start_keeps_the_initial_weights(playground, monkeypatch):
    starts = []

    def recorded(model, *args, **options):
        starts.append(model.layers[0].params["weight"])
        return train(model, *args, **options)

    monkeypatch.setattr(train_mlp_numpy, "train", recorded)
    for name, value in (("batch_size", "1"), ("learning_rate", 0.1), ("batch_size", "full")):
        playground.controls[name].value = value
    assert len(starts) == 3
    assert all(np.array_equal(start, starts[0]) for start in starts)
    playground.controls["same_start"].value = False
    playground.controls["batch_size"].value = "1"
    assert not np.array_equal(starts[-1], starts[0])


def test_without_same_start_every_change_takes_the_next_seed_once(playground, monkeypatch):
    runs = runs_of(monkeypatch)
    playground.controls["same_start"].value = False
    assert runs == []
    playground.controls["seed"].value = 99
    playground.controls["noise"].value = 0.1
    playground.controls["batch_size"].value = "4"
    assert [run["seed"] for run in runs] == [99, 0, 1]
    assert runs[-1]["batch_size"] == "4"


def test_a_run_that_diverges_is_said_and_leaves_the_picture(playground, monkeypatch):
    def fail(**settings):
        raise FloatingPointError("the loss is no longer finite at epoch 3")

    monkeypatch.setattr(notebook_parts, "run", fail)
    picture = playground.picture.value
    playground.controls["learning_rate"].value = 1.0
    assert "no longer finite at epoch 3" in playground.status.value
    assert playground.picture.value == picture


def test_a_front_end_gets_the_controls_and_a_picture(playground):
    bundle = playground._repr_mimebundle_()
    assert isinstance(playground.box, ipywidgets.VBox)
    assert bundle[WIDGET]["model_id"] == playground.box.model_id
    assert bundle["image/png"].startswith(b"\x89PNG")
