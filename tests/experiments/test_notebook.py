"""The notebook: it runs in a fresh kernel, says what it said, and any viewer can show it."""

import base64
import inspect
import io
import re
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import skip_if_another_matplotlib_drew

PATH = Path(__file__).parents[2] / "mlp_visualization.ipynb"
REMEDY = "run `python -m tests.experiments.run_notebook`"


@pytest.fixture(scope="module")
def committed():
    import nbformat

    return nbformat.read(PATH, as_version=4)


@pytest.fixture(scope="module")
def code(committed):
    return [cell for cell in committed.cells if cell.cell_type == "code"]


def outputs(notebook):
    """Return the outputs of a notebook that are texts, by cell, output and kind of text."""
    texts = {}
    for cell in notebook.cells:
        for i, output in enumerate(cell.get("outputs", [])):
            for kind, text in output.get("data", {}).items():
                if isinstance(text, str) and kind != "image/png":
                    texts[cell.id, i, kind] = text
            if "text" in output:
                texts[cell.id, i, "stream"] = without_rounding(output["text"])
    return texts


def without_rounding(text):
    """Replace errors such as 5.4e-11, whose digits differ between processors."""
    return re.sub(r"\d\.\de-(09|1\d)", "tiny   ", text)


def pictures(notebook):
    """Return the pictures of a notebook, by cell and output: PNG files, as bytes."""
    found = {}
    for cell in notebook.cells:
        for i, output in enumerate(cell.get("outputs", [])):
            png = output.get("data", {}).get("image/png")
            if png:
                found[cell.id, i] = base64.b64decode(png)
    return found


def colors(png):
    """Return the colours of a picture as an array."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(float)


def differ(picture, other):
    """Return whether two arrays of colours differ by more than fonts do between machines."""
    return picture.shape != other.shape or np.sqrt(((picture - other) ** 2).mean()) > 2


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["Haswell", "SkylakeX"])
def test_it_comes_out_the_same_on_every_processor(committed, kernels, monkeypatch):
    from tests.experiments.run_notebook import executed

    if kernels == "SkylakeX" and "avx512f" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX-512")
    monkeypatch.setenv("OPENBLAS_CORETYPE", kernels)
    notebook = executed()
    assert outputs(notebook) == outputs(committed), REMEDY
    ours = pictures(notebook)
    theirs = pictures(committed)
    assert ours.keys() == theirs.keys()
    skip_if_another_matplotlib_drew(io.BytesIO(next(iter(theirs.values()))))
    for key, png in ours.items():
        assert not differ(colors(png), colors(theirs[key])), (key, REMEDY)


def test_a_picture_that_has_changed_is_noticed():
    picture = np.zeros((100, 100, 3))
    picture[50] = 255  # a line
    assert not differ(picture, picture.copy())
    assert differ(picture, np.roll(picture, 2, axis=0))


def test_it_is_committed_with_the_outputs_of_one_run(committed, code):
    import nbformat

    nbformat.validate(committed)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    silent = [cell.id for cell in code if not cell.outputs]
    assert silent == ["setup", "settings"]
    assert PATH.stat().st_size < 5e6


def test_the_source_that_it_shows_stands_in_the_files_of_today(committed):
    from bs4 import BeautifulSoup

    import mlp_numpy
    import modules
    import train_mlp_numpy
    from experiments import gradient_bugs
    from playground import folds

    lines = set()
    for file in (modules, mlp_numpy, train_mlp_numpy, gradient_bugs, folds):
        lines |= {line.strip() for line in inspect.getsource(file).splitlines()}
    shown = []
    for text in outputs(committed).values():
        for code in BeautifulSoup(text, "html.parser").select(".highlight code"):
            shown += [line.strip() for line in code.get_text().splitlines()]
    assert len(shown) > 60
    assert set(shown) <= lines, REMEDY


def test_every_viewer_can_show_its_outputs(committed):
    # GitHub removes styles and scripts; pandas' own tables do without theirs.
    for (cell, _, kind), text in outputs(committed).items():
        assert kind in ("text/plain", "text/html", "text/markdown", "stream"), cell
        if kind == "text/html":
            without_pandas = re.sub("<style scoped>.*?</style>", "", text, flags=re.S)
            assert not re.search(r"<img|<script|<svg|white-space|<style", without_pandas), cell
    assert len(pictures(committed)) > 14


def test_without_a_kernel_it_shows_a_picture_of_the_playground_and_how_to_start(committed, code):
    widget, picture = code[-1].outputs
    assert "application/vnd.jupyter.widget-view+json" in widget.data
    assert "image/png" in picture.data
    assert "Run All Cells" in picture.data["text/plain"]
    assert "widgets" not in committed.metadata
    assert "nothing is running" in committed.cells[-2].source


def test_no_formula_needs_more_than_text(committed):
    for cell in committed.cells:  # MathJax, say, comes from the network
        assert cell.cell_type == "code" or "$" not in cell.source, cell.id
