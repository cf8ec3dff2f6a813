"""Run mlp_visualization.ipynb from top to bottom in a fresh kernel, and keep its outputs.

    python -m tests.experiments.run_notebook

Whoever changes what the notebook shows runs this and commits the result; test_notebook.py compares.
"""

import base64
import io
from pathlib import Path

import nbformat

PATH = Path(__file__).parent.parent.parent / "mlp_visualization.ipynb"
WIDGET = "application/vnd.jupyter.widget-view+json"


def executed():
    """Return the notebook with the outputs of a run."""
    from nbclient import NotebookClient

    notebook = nbformat.read(PATH, as_version=4)
    options = {"timeout": 600, "store_widget_state": False, "record_timing": False}
    folder = {"metadata": {"path": str(PATH.parent)}}
    NotebookClient(notebook, resources=folder, **options).execute()
    notebook.metadata.language_info = {"name": "python"}  # and not which version ran it
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop(WIDGET, None)  # it names a widget of the kernel, which has gone
            if "image/png" in data:
                data["image/png"] = compact(data["image/png"])
    return notebook


def compact(picture):
    """Return a PNG picture, in base64 as a notebook has it, in 256 colours: a third of the size."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    if image.mode == "P":  # as the animation is already
        return picture
    file = io.BytesIO()
    # Without k-means the few grey pixels of a legend would take a colour that is frequent.
    image = image.convert("RGB").quantize(256, kmeans=3, dither=Image.Dither.NONE)
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    outcome = executed()
    nbformat.write(outcome, PATH)
    print(f"wrote {PATH.name}, {PATH.stat().st_size / 1e6:.1f} MB")
