"""Run mlp_visualization.ipynb from top to bottom in a fresh kernel, and keep its outputs.

    python -m tests.experiments.run_notebook

Whoever changes what the notebook shows runs this and commits the result; test_notebook.py compares.
"""

from pathlib import Path

import nbformat

PATH = Path(__file__).parent.parent.parent / "mlp_visualization.ipynb"
STATE = "application/vnd.jupyter.widget-state+json"


def executed():
    """Return the notebook with the outputs of a run, as JupyterLab would save it.

    What the metadata hold of the playground is shown where no kernel has its widgets.
    """
    from nbclient import NotebookClient

    notebook = nbformat.read(PATH, as_version=4)
    options = {"timeout": 600, "store_widget_state": False, "record_timing": False}
    folder = {"metadata": {"path": str(PATH.parent)}}
    NotebookClient(notebook, resources=folder, **options).execute()
    shown = notebook.cells[-1].outputs[-1].data
    model_id = str(shown["application/vnd.jupyter.widget-view+json"]["model_id"])
    state = state_of(model_id, shown["text/html"])
    notebook.metadata.widgets = {STATE: {"state": state, "version_major": 2, "version_minor": 0}}
    return notebook


def state_of(model_id, html):
    """Return the state of a widget that shows HTML."""
    from ipywidgets import HTML, Layout
    from ipywidgets.embed import dependency_state

    style = type(HTML().style)(model_id=f"{model_id}-style")
    layout = Layout(model_id=f"{model_id}-layout")
    widget = HTML(html, model_id=model_id, layout=layout, style=style)
    state = dependency_state([widget])
    for model in (widget, layout, style):
        model.close()  # or one more with these ids would clash with them
    return state


if __name__ == "__main__":
    outcome = executed()
    nbformat.write(outcome, PATH)
    print(f"wrote {PATH.name}, {PATH.stat().st_size / 1e6:.1f} MB")
