"""Run mlp_visualization.ipynb from top to bottom in a fresh kernel, and keep its outputs.

    python -m tests.run_notebook

Whoever changes what the notebook shows runs this and commits the result; test_notebook.py compares.
"""

import signals

if __name__ == "__main__":
    signals.die_quietly()  # on Ctrl-C, until `run` knows better: the rest takes a while to import

import base64
import io
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

from command_line import ArgumentParser, run
from common import open_whole

PATH = Path(__file__).parent.parent / "mlp_visualization.ipynb"
WIDGET = "application/vnd.jupyter.widget-view+json"


def executed():
    """Return the notebook with the outputs of a run."""
    notebook = nbformat.read(PATH, as_version=4)
    folder = {"metadata": {"path": str(PATH.parent)}}
    client = NotebookClient(
        notebook, timeout=600, resources=folder, store_widget_state=False, record_timing=False
    )
    client.execute()
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
    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    if image.mode == "P":  # as the animation is already
        return picture
    file = io.BytesIO()
    # Without k-means the few grey pixels of a legend would take a colour that is frequent.
    image = image.convert("RGB").quantize(256, kmeans=3, dither=Image.Dither.NONE)
    image.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def main(argv=None):
    """Write the notebook with its outputs."""
    ArgumentParser("Run the notebook and write it with its outputs.").parse_args(argv)
    notebook = executed()
    with open_whole(PATH, encoding="utf-8") as file:
        nbformat.write(notebook, file)
    print(f"wrote {PATH.name}, {PATH.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    run(main)
