"""The notebook: it runs in a fresh kernel, says what it said, and its parts do as they say."""

import ast
import base64
import inspect
import io
import re
import time

import ipywidgets
import nbformat
import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from PIL import Image

import notebook_parts
import train_mlp_numpy
from modules import CrossEntropy, Linear, ReLU, SoftMax
from notebook_parts import Playground, beside_source, source_lines
from tests.run_notebook import PATH, WIDGET, executed
from train_mlp_numpy import load_data, train, train_from_seed

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


def pictures(notebook):
    """Return the pictures of a notebook, by the cell and the frame: arrays of colours."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                image = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
                for k in range(getattr(image, "n_frames", 1)):
                    image.seek(k)
                    found[cell.id, k] = np.asarray(image.convert("RGB")).astype(float)
    return found


def assert_same_pictures(ours, theirs):
    """Fail unless they differ no more than fonts do between machines."""
    assert ours.keys() == theirs.keys()
    for key, picture in ours.items():
        assert picture.shape == theirs[key].shape, key
        assert np.sqrt(((picture - theirs[key]) ** 2).mean()) < 2, key


def test_it_runs_from_top_to_bottom_and_comes_out_the_same():
    start = time.perf_counter()
    notebook = executed()
    assert time.perf_counter() - start < 240  # two minutes, where nothing else runs
    assert texts(notebook) == texts(COMMITTED), "run `python -m tests.run_notebook`"
    assert_same_pictures(pictures(notebook), pictures(COMMITTED))


def test_a_picture_that_has_changed_is_noticed():
    drawn = pictures(COMMITTED)
    assert len({cell for cell, _ in drawn}) == 13
    for key, picture in drawn.items():
        with pytest.raises(AssertionError):
            assert_same_pictures({key: picture}, {key: np.roll(picture, 2, axis=0)})
    with pytest.raises(AssertionError):
        assert_same_pictures(drawn, dict(list(drawn.items())[1:]))


def test_it_is_committed_with_the_outputs_of_one_run():
    assert [cell.execution_count for cell in CODE] == list(range(1, len(CODE) + 1))
    assert all(cell.outputs for cell in CODE[1:])
    assert PATH.stat().st_size < 5e6
    nbformat.validate(COMMITTED)


def test_no_output_tells_a_time_or_a_path():
    for key, text in texts(COMMITTED).items():
        assert not re.search(r"/home|/root|/tmp|/work|\d+ ?m?s\b|seconds", text or ""), key


LOGIC = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.If, ast.With, ast.Try)


def logic_in(source):
    """Return what a cell has that should stand in the project: statements, and imports of tools."""
    tree = ast.parse(TransformerManager().transform_cell(source))  # magics become calls
    found = [type(node).__name__ for node in ast.walk(tree) if isinstance(node, LOGIC)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [getattr(node, "module", None) or alias.name for alias in node.names]
            found += [name for name in names if re.match(r"(numpy|matplotlib|sklearn)\b", name)]
    return found


def test_its_cells_call_the_project_and_hold_no_logic():
    for cell in CODE:
        assert len(cell.source.splitlines()) <= 16, cell.id
        assert logic_in(cell.source) == [], cell.id


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("def f(x): return x", "FunctionDef"),
        ("for k in range(3): pass", "For"),
        ("import matplotlib.pyplot as plt", "matplotlib.pyplot"),
        ("from numpy import *", "numpy"),
    ],
)
def test_logic_is_noticed_wherever_it_stands(line, found):
    assert logic_in(f"%matplotlib inline\nimport plots\n{line}\n") == [found]


def test_the_line_does_as_well_as_the_full_batch_as_the_text_says():
    cells = {cell.id: cell.source for cell in COMMITTED.cells}
    assert "training loss is 0.286 and training accuracy 87.1 %" in cells["unfinished"]
    _, history = train_from_seed(
        load_data(), 42, [], learning_rate=0.1, batch_size=16, max_steps=300
    )
    assert history["train_loss"][-1] == pytest.approx(0.286, abs=5e-4)
    assert history["train_accuracy"][-1] == pytest.approx(0.871, abs=5e-4)
    full_batch = train_from_seed(load_data(), 42, eval_freq=1500)[1]
    assert full_batch["train_loss"][-1] > history["train_loss"][-1]
    assert full_batch["train_accuracy"][-1] < history["train_accuracy"][-1]


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


def test_source_is_shown_without_comments():
    assert "# NumPy is slow" in inspect.getsource(ReLU.backward)
    assert source_lines(ReLU.backward).splitlines() == [
        "def backward(self, dout):",
        "    return dout * (self.x > 0.0).astype(float)",
    ]
    assert "#" not in source_lines(SoftMax.forward)


def test_source_is_shown_without_calls_that_check():
    for method in (Linear.backward, ReLU.backward, CrossEntropy.forward, CrossEntropy.backward):
        assert "check_" in inspect.getsource(method)
        assert "check_" not in source_lines(method)


def test_every_line_shown_stands_in_the_file():
    shown = source_lines(SoftMax.forward)
    with open(inspect.getsourcefile(SoftMax)) as file:
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


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FloatingPointError("the loss is no longer finite at epoch 3"), "finite at epoch 3"),
        (KeyError("<i>"), "KeyError: &#x27;&lt;i&gt;&#x27;"),
    ],
)
def test_a_run_that_fails_is_said_and_leaves_the_picture(playground, monkeypatch, error, text):
    def fail(**settings):
        raise error

    monkeypatch.setattr(notebook_parts, "run", fail)
    picture = playground.picture.value
    playground.controls["learning_rate"].value = 1.0
    assert text in playground.status.value
    assert "<i>" not in playground.status.value
    assert playground.picture.value == picture


@pytest.mark.parametrize(("hidden_units", "text"), [(0, "0 hidden units"), (1, "1 hidden unit")])
def test_the_title_tells_every_setting(hidden_units, text):
    status, figure = notebook_parts.run("full", 0.03, hidden_units, 10, 0.25, "circles", 7)
    assert figure.get_suptitle().split(", ") == [
        "circles",
        "noise 0.25",
        "batch size full",
        "learning rate 0.03",
        text,
        "10 epochs",
        "seed 7",
    ]
    assert re.fullmatch(r"10 updates: train accuracy [\d.]+ %, test accuracy [\d.]+ %", status)


def test_the_default_network_is_trained_and_drawn_in_under_a_second():
    playground = Playground()  # compiles, if that has not been done
    start = time.process_time()  # whatever else the machine does meanwhile
    playground.controls["seed"].value = 1
    assert time.process_time() - start < 1
    assert playground.status.value.startswith("75,000 updates")


def test_a_front_end_gets_the_controls_and_a_picture(playground):
    bundle = playground._repr_mimebundle_()
    assert isinstance(playground.box, ipywidgets.VBox)
    assert bundle[WIDGET]["model_id"] == playground.box.model_id
    assert bundle["image/png"].startswith(b"\x89PNG")
