"""The notebook withstands its reader: whatever is edited, each later cell works or says why not."""

import ast
import inspect
import re
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent.parent / "mlp_visualization.ipynb"
CHEAPER = {  # the same in all cells, for the tests to be fast
    "seeds, backend=backend": "seeds, backend=backend, n_jobs=1",  # where the defaults are patched
    'range(30 if backend == "numba" else 10)': "range(2)",
    "[10, 50, 200, 1500]": "[1, 4]",
    "max_steps=300": "max_steps=20",
    "check_all()": "check_all()[:3]",
    "range(3), gradient_bugs.STEADY": "range(1), gradient_bugs.STEADY[:1]",
}
OF_ONE_LAYER = {"hidden-units", "stuck-units", "compare-units", "all-folds", "largest-folds"}
OF_THE_PLANE = {"line", "full-batch-boundary", "boundary-16", "stuck", "animation"}
OF_TWO_CLASSES = {"sheet", "roof"}


@pytest.fixture(scope="module")
def cells():
    import nbformat

    cells = nbformat.read(PATH, as_version=4).cells
    return {cell.id: cell.source for cell in cells if cell.cell_type == "code"}


@pytest.fixture
def sentences_of(cells, monkeypatch):
    """Return a function that runs the edited cells and returns what they say instead of showing."""
    from experiments import gradient_bugs
    from train_mlp_numpy import train

    monkeypatch.chdir(PATH.parent)
    monkeypatch.setitem(inspect.unwrap(train).__kwdefaults__, "max_steps", 4)
    monkeypatch.setitem(gradient_bugs.accuracies_with.__kwdefaults__, "max_steps", 2)
    # So few and short runs form no two groups.
    monkeypatch.setattr("experiments.hidden_units.stuck_bound", lambda losses: 0.2)

    def run(edits):
        sources = dict(cells)
        del sources["controls"]  # the playground has controls of its own
        for old, new in [*edits, *CHEAPER.items()]:
            hits = [name for name, source in sources.items() if old in source]
            assert hits or (edits and old in CHEAPER), old
            sources |= {name: sources[name].replace(old, new) for name in hits}
        names, said = {"display": lambda *shown: None}, {}
        for name, source in sources.items():
            value = run_cell(re.sub("^%.*", "", source, flags=re.M), names)
            value = getattr(value, "data", value)
            if isinstance(value, str) and "<" not in value:
                said[name] = value
        return said

    return run


def run_cell(source, names):
    """Run the source of a cell; return the value of its last line, which Jupyter would show."""
    *body, last = ast.parse(source).body
    exec(compile(ast.Module(body, []), "a cell", "exec"), names)
    mode = "eval" if isinstance(last, ast.Expr) else "exec"
    return eval(compile(ast.unparse(last), "a cell", mode), names)


EDITS = {  # by name: what is replaced, and the cells that then have nothing to show
    "nothing": ([], set()),
    "three classes": (
        [("load_data()", 'load_data("blobs")')],
        OF_ONE_LAYER | OF_TWO_CLASSES | {"train-on"},
    ),
    "circles": ([("load_data()", 'load_data("circles")')], set()),
    "64 features": (
        [("load_data()", 'load_data("digits")')],
        OF_THE_PLANE | OF_TWO_CLASSES | OF_ONE_LAYER | {"train-on"},
    ),
    "little noisy data": ([("load_data()", "load_data(n_samples=50, noise=0.5)")], set()),
    "no stuck run": (
        [
            ("[1, 16, 64, 256, None], seeds", "[16], range(5)"),
            ("seeds, backend=backend", "seeds, backend=backend, max_steps=1500"),
        ],
        {"train-on"},
    ),
    "other batch sizes": (
        [("[1, 16, 64, 256, None]", "[8, 900]"), ("[None, 16, 1]", "[64]")],
        {"compare-units", "train-on"},
    ),
    "no hidden layer": (
        [("data, 42, batch", "data, 42, [], batch")],
        {"hidden-units", "largest-folds"},
    ),
    "two hidden layers": (
        [
            ("data, 42, batch", "data, 42, [5, 4], batch"),
            ("seeds, backend", "seeds, [5, 4], backend"),
        ],
        OF_ONE_LAYER - {"stuck-units"} | {"train-on"},
    ),
    "three hidden units": (
        [("data, 42, batch", "data, 42, [3], batch"), ("seeds, backend", "seeds, [3], backend")],
        set(),
    ),
    "other rates": (
        [("batch_size=16, backend", "batch_size=16, learning_rate=1, backend"), ("0.1", "0.5")],
        set(),
    ),
    "other seeds": ([("42", "7"), ("data, 5", "data, 6"), ("range(3)", "range(9, 11)")], set()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EDITS)
def test_each_cell_works_or_says_in_a_sentence_why_not(sentences_of, name):
    edits, silent = EDITS[name]
    said = sentences_of(edits)
    assert {*said} == silent
    for sentence in said.values():
        assert re.fullmatch(r"[A-Z][^\n]+\.", sentence)


def test_the_sentence_is_what_the_library_raises():
    from experiments.hidden_units import mean_counts
    from experiments.notebook import or_reason

    said = or_reason(mean_counts, {"stuck": []}, None)
    assert said.startswith("Nothing to show")
    assert "no runs of this batch size" in said
    assert or_reason(sum, [1, 2], start=3) == 6


def test_a_notebook_has_a_bar_and_a_log_file_has_none(monkeypatch, capsys):
    import builtins

    from experiments.runs import progress

    assert list(progress("abc")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    assert list(progress(iter("abc"), 3)) == ["a", "b", "c"]
    assert "0/3" in capsys.readouterr().err


def test_of_the_bar_nothing_is_left_in_the_notebook():
    from nbclient import NotebookClient
    from nbformat import v4

    cell = v4.new_code_cell("from experiments.runs import progress\nlist(progress(range(3)))")
    folder = {"metadata": {"path": str(PATH.parent)}}
    NotebookClient(v4.new_notebook(cells=[cell]), resources=folder).execute()
    (output,) = cell.outputs
    assert output.data["text/plain"] == "[0, 1, 2]"
