"""The notebook after an edit of its settings: each cell works, and what it shows is still true."""

import ast
import re
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.experiments.run_notebook import edited

PATH = Path(__file__).parents[2] / "mlp_visualization.ipynb"
CHEAP = {"epochs": 3, "n_seeds": 10}

EDITS = {
    "the first settings, for a shorter time": {"n_seeds": 2},
    "circles": {
        "dataset": "circles",
        "noise": 0,
        "n_samples": 60,
        "hidden_units": 3,
        "batch_size": 64,
        "n_seeds": 2,
    },
    "xor": {
        "dataset": "xor",
        "noise": 0.5,
        "data_seed": 1,
        "hidden_units": 40,
        "batch_size": None,
        "n_seeds": 2,
    },
    "spiral": {"dataset": "spiral", "seed": 7, "learning_rate": 0.1, "batch_size": 1},
}


@pytest.fixture(scope="module")
def cells():
    import nbformat

    notebook = nbformat.read(PATH, as_version=4)
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}


def run_cell(source, names):
    """Run the source of a cell; return the value of its last line, which Jupyter would show."""
    source = re.sub("^%.*", "", source, flags=re.M)
    *body, last = ast.parse(source).body
    exec(compile(ast.Module(body, []), "a cell", "exec"), names)
    mode = "eval" if isinstance(last, ast.Expr) else "exec"
    return eval(compile(ast.unparse(last), "a cell", mode), names)


def run_all(cells, settings, monkeypatch):
    """Run the cells with these settings; return what each shows, by its id."""
    monkeypatch.chdir(PATH.parent)
    names = {}
    shown = {}
    for cell, source in cells.items():
        if cell == "settings":
            source = edited(source, CHEAP | settings)
        if cell != "playground":  # it has tests of its own
            shown[cell] = run_cell(source, names)
        if cell == "setup":
            names["compare"] = partial(names["compare"], n_jobs=1)
    return shown


def texts_in(value):
    """Return all texts of a figure or a table."""
    if isinstance(value, Figure):
        return [text.get_text() for text in value.findobj(Text)]
    if isinstance(value, pd.DataFrame):
        return [value.to_string()]
    return []


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITS)
def test_each_cell_shows_what_its_settings_give(cells, name, monkeypatch):
    settings = EDITS[name]
    # So short runs form no two groups. Where there are many, let half of them be stuck.
    monkeypatch.setattr(
        "experiments.hidden_units.stuck_bound",
        lambda losses: np.median(losses) if len(losses) >= 10 else np.inf,
    )
    shown = run_all(cells, settings, monkeypatch)

    of_other_settings = ["equal-updates"]  # of committed runs, as its title says
    for cell, value in shown.items():
        said = " ".join(texts_in(value))
        assert cell in of_other_settings or "report" not in said, cell

    dataset = settings.get("dataset", "moons")
    assert dataset in shown["data"].axes[0].get_title()
    batch_size = settings.get("batch_size", 16)
    size = "full batch" if batch_size is None else f"batch size {batch_size}"
    seed = settings.get("seed", 42)
    title = shown["learned"].axes[0].get_title()
    assert f"{size}, seed {seed}" in title
    rate = settings.get("learning_rate", 0.01)
    assert f"learning rate {rate}" in shown["full-batch"].get_suptitle()
    n_units = settings.get("hidden_units", 20)
    assert f"2-{n_units}-2" in shown["drawing"].axes[0].get_title()
    n_maps = sum(axes.axison for axes in shown["hidden-units"].axes)
    assert n_maps == n_units
    groups = ["no two groups"] if settings.get("n_seeds") else ["not stuck", "stuck"]
    assert list(shown["compare-units"].index) == groups


def test_more_classes_than_it_explains_are_refused_at_once(cells):
    names = {}
    run_cell(cells["setup"], names)
    run_cell(edited(cells["settings"], {"dataset": "blobs"}), names)
    with pytest.raises(AssertionError, match="blobs has 3 classes; choose one with two"):
        run_cell(cells["data"], names)
