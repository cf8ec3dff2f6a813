"""The playground as a page: for the server, or with a recorded run in it, as one file."""

import base64
import json
import os
from pathlib import Path

HERE = Path(__file__).parent


def page(recorded=None):
    """Return the page. It asks the server or, if there is a packed answer, replays that."""
    text = (HERE / "page.html").read_text(encoding="utf-8")
    for name in ("playground.css", "playground.js"):
        text = text.replace(f"[{name}]", (HERE / name).read_text(encoding="utf-8"))
    return text.replace("[recorded]", in_script(recorded))


def in_script(value):
    """Return a value as JSON for a script in a page: nothing in it ends the script."""
    return json.dumps(value).replace("<", "\\u003c")


def packed(content, arrays):
    """Return an answer as what can be written as JSON."""
    buffers = [base64.b64encode(array.tobytes()).decode("ascii") for array in arrays]
    return {"content": content, "buffers": buffers}


def save(path, answers):
    """Train the run of these Answers to its end, and write it as a page that needs no Python.

    Where training diverges or is interrupted, the page ends there and says so. Returns what it
    says, or "".
    """
    note = ""
    end = answers.run.settings["epochs"]
    while answers.run.epoch < end and not note:
        values = {"n_epochs": end - answers.run.epoch}
        content, _ = answers.answer({"ask": "train", "values": values})
        note = content["note"]
    content, arrays = answers.answer({"ask": "show"})
    content["note"] = note
    text = page(packed(content, arrays))
    scratch = Path(f"{path}.{os.getpid()}.tmp")
    try:
        scratch.write_text(text, encoding="utf-8")
        os.replace(scratch, path)  # only now, so that there is never half a file at `path`
    finally:
        scratch.unlink(missing_ok=True)  # if the disk was full, or Ctrl-C came
    return note
