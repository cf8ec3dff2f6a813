"""The notebook: it runs in a fresh kernel, and says what it said."""

import base64
import html
import inspect
import io
import re
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parent.parent.parent / "mlp_visualization.ipynb"
PICTURE = re.compile(r'(?<=src="data:image/webp;base64,)[^"]+')


@pytest.fixture(scope="module")
def committed():
    import nbformat

    return nbformat.read(PATH, as_version=4)


@pytest.fixture(scope="module")
def code(committed):
    return [cell for cell in committed.cells if cell.cell_type == "code"]


def outputs(notebook):
    """Return the text outputs of a notebook, by the cell, its output and the kind of text."""
    return {
        (cell.id, i, kind): PICTURE.sub("a picture", text)
        for cell in notebook.cells
        for i, output in enumerate(cell.get("outputs", []))
        for kind, text in [*output.get("data", {}).items(), ("stream", output.get("text", ""))]
        if isinstance(text, str) and kind != "image/png"
    }


def pictures(notebook):
    """Return the pictures of a notebook, by cell and output: arrays of colours."""
    found = {}
    for cell in notebook.cells:
        for i, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            sources = PICTURE.findall(data.get("text/html", ""))
            if "image/png" in data:
                sources.append(data["image/png"])
            for source in sources:
                found[cell.id, i] = colors(base64.b64decode(source))
    return found


def colors(file):
    """Return the colours of a picture's file as an array."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(float)


def changed(ours, theirs):
    """Return the pictures that differ by more than fonts do between machines."""
    assert ours.keys() == theirs.keys()
    return [
        key
        for key, picture in ours.items()
        if picture.shape != theirs[key].shape or np.sqrt(((picture - theirs[key]) ** 2).mean()) > 2
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["Haswell", "SkylakeX", "Zen"])
def test_it_comes_out_the_same_on_every_processor(committed, kernels, monkeypatch):
    from tests.experiments.run_notebook import executed

    if kernels == "SkylakeX" and "avx512f" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX-512")
    monkeypatch.setenv("OPENBLAS_CORETYPE", kernels)
    notebook = executed()
    remedy = "run `python -m tests.experiments.run_notebook`"
    assert outputs(notebook) == outputs(committed), remedy
    assert changed(pictures(notebook), pictures(committed)) == []


def test_a_picture_that_has_changed_is_noticed(committed):
    key, picture = next(iter(pictures(committed).items()))
    assert changed({key: picture}, {key: np.roll(picture, 2, axis=0)}) == [key]


def test_it_is_committed_with_the_outputs_of_one_run(committed, code):
    import nbformat

    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert all(cell.outputs for cell in code[1:])
    assert PATH.stat().st_size < 5e6
    nbformat.validate(committed)
    for key, text in outputs(committed).items():  # no path, no time
        assert not re.search(r"/home|/root|/tmp|/work|\d+ ?m?s\b|seconds", text), key


def test_the_source_that_it_shows_stands_in_the_files_of_today(committed):
    import mlp_numpy
    import modules
    import train_mlp_numpy
    from experiments import gradient_bugs

    files = [modules, mlp_numpy, train_mlp_numpy, gradient_bugs]
    lines = {line.strip() for file in files for line in inspect.getsource(file).splitlines()}
    shown = [
        html.unescape(re.sub("<[^>]+>", "", line)).strip()
        for text in outputs(committed).values()
        for block in re.findall(r'<div class="highlight".*?<pre[^>]*>(.*?)</pre>', text, re.S)
        for line in block.splitlines()
    ]
    assert len(shown) > 60
    assert {*shown} <= lines


def test_its_cells_call_the_project_and_hold_no_logic(code):
    logic = r"^(def|class|for|while|if|with|try)\b|(import|from) (numpy|matplotlib|sklearn)\b"
    for cell in code:
        assert len(cell.source.splitlines()) <= 16, cell.id
        source = cell.source.removeprefix("try:\n") if cell.id == "setup" else cell.source
        assert not re.search(logic, source, re.M), cell.id


def test_without_a_kernel_it_shows_a_picture_of_the_playground_and_how_to_start(committed, code):
    widget, picture = code[-1].outputs
    assert "application/vnd.jupyter.widget-view+json" in widget.data
    assert "image/png" in picture.data
    assert "Run All Cells" in picture.data["text/plain"]
    assert "widgets" not in committed.metadata
    assert "nothing is running" in committed.cells[-2].source


def test_every_picture_has_a_text_that_survives_in_html(committed):
    from bs4 import BeautifulSoup
    from nbconvert import HTMLExporter

    page, _ = HTMLExporter().from_notebook_node(committed)
    images = BeautifulSoup(page, "html.parser").find_all("img")
    assert len(images) > 15
    for image in images[:-1]:  # the last is a PNG of the playground, which cannot have one
        assert len(image["alt"]) > 20, image.attrs["src"][:50]


def test_no_formula_needs_more_than_text(committed):
    for cell in committed.cells:  # MathJax, say, comes from the network
        assert cell.cell_type == "code" or "$" not in cell.source, cell.id
