"""Run mlp_visualization.ipynb from top to bottom in a fresh kernel, and keep its outputs.

    python -m tests.experiments.run_notebook

Whoever changes what the notebook shows runs this and commits the result; test_notebook.py compares.
"""

import re
from pathlib import Path

PATH = Path(__file__).parent.parent.parent / "mlp_visualization.ipynb"


def executed():
    """Return the notebook with the outputs of a run, as JupyterLab would save it."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(PATH, as_version=4)
    # Without the state of the playground: the picture beside it shows what it needs a kernel for.
    options = {"timeout": 600, "store_widget_state": False, "record_timing": False}
    folder = {"metadata": {"path": str(PATH.parent)}}
    NotebookClient(notebook, resources=folder, **options).execute()
    return notebook


def edited(source, settings):
    """Return the source of the cell of settings with other values."""
    for name, value in settings.items():
        assignment = rf"^( *{name} =) [^#\n]*"
        assert re.search(assignment, source, re.M), name
        source = re.sub(assignment, rf"\1 {value!r}  ", source, flags=re.M)
    return source


if __name__ == "__main__":
    import nbformat

    outcome = executed()
    nbformat.write(outcome, PATH)
    print(f"wrote {PATH.name}, {PATH.stat().st_size / 1e6:.1f} MB")
