"""What an exception of a submission means: a fault, something to do, or no verdict at all."""

import re
import traceback
from pathlib import Path

from grading.checks import Fault, not_judged, to_do, wrong

PACKAGES = "numpy|sklearn|matplotlib|pandas|scipy|torch"


class NotUnderstood(Exception):  # noqa: N818
    """The submission has a parameter, or keeps something, in a way that is not understood."""


class TooLong(BaseException):
    """A call did not come back in its time."""


KINDS = (  # by the class of an exception, what row_of makes of it; else it is a fault
    (SyntaxError, "import"),
    (NotImplementedError, "to do"),
    (NotUnderstood, "unclear"),
    (TooLong, "late"),
    (ModuleNotFoundError, "package"),
    (FileNotFoundError, "file"),
    (EOFError, "input"),
)
HERE = Path(__file__).parents[1]

# In the submission's process


def described(error, folder=None):
    """Return an exception as plain values: type, text, where, and kind.

    Args:
        error: the exception.
        folder: the submission's folder; None is the current one.
    """
    folder = Path(folder or Path.cwd()).resolve()
    where, is_ours = origin(error, folder)
    record = {"type": type(error).__name__, "text": one_line(error), "where": where}
    record["kind"] = kind_of(error, is_ours, folder)
    if record["kind"] == "package":
        record["text"] = error.name or record["text"]
    if record["kind"] == "file" and error.filename:
        record["text"] = Path(str(error.filename)).name
    if isinstance(error, SyntaxError) and error.filename:
        record["where"] = place(Path(error.filename), error.lineno, folder)
    return record


def origin(error, folder):
    """Return the innermost place in a submission, and whether the grader's own lines are within."""
    where = ""
    is_ours = True
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if folder in path.parents:
            where = place(path, frame.lineno, folder)
            is_ours = False
        elif HERE in path.parents:
            is_ours = True
    return where, is_ours


def place(path, line, folder):
    name = path.relative_to(folder) if folder in path.parents else path.name
    return f"{name} line {line}"


def kind_of(error, is_ours, folder):
    """Return what an exception means. One in the grader's own lines is never a fault."""
    for kind_of_error, kind in KINDS:
        if isinstance(error, kind_of_error):
            return kind
    if is_of_other_version(error, folder):
        return "version"
    return "unclear" if is_ours else "raised"


def one_line(error):
    """Return the text of an exception as one line, without addresses and not too long."""
    text = getattr(error, "msg", None) or str(error)
    text = re.sub(r" at 0x[0-9a-f]+| \(/.*\.py\)", "", " ".join(str(text).split()))
    return text if len(text) <= 200 else f"{text[:199]}…"


def is_of_other_version(error, folder):
    """Return whether a package no longer has a name that is asked for, or takes an argument."""
    text = str(error)
    if isinstance(error, AttributeError):
        return re.match(rf"module '({PACKAGES})", text) is not None
    if isinstance(error, ImportError):
        return re.match(rf"({PACKAGES})\b", error.name or "") is not None
    if isinstance(error, TypeError) and "unexpected keyword argument" in text:
        name = re.match(r"\w*", text)[0]  # of OneHotEncoder.__init__() or subplots()
        return not is_own(name, folder)
    return False


def is_own(name, folder):
    """Return whether a file of the submission defines a class or function of this name."""
    for path in folder.rglob("*.py"):
        text = path.read_text(encoding="utf-8", errors="replace")
        if re.search(rf"^\s*(class|def) {name}\b", text, re.MULTILINE):
            return True
    return False


# Here


def row_of(check, raised):
    """Return the row of a check that ended with an exception."""
    text = raised["text"]
    words = f"{raised['type']}: {text}" if text else raised["type"]
    kind = raised["kind"]
    if kind == "to do":
        place = f": {raised['where']}" if raised["where"] else ""
        return to_do(check, (text or "to be written") + place)
    if kind == "unclear":
        return not_judged(check, text or words)
    if kind == "package":
        return not_judged(check, f"needs the package {text}, which is not installed")
    if kind == "file":
        return not_judged(check, f"needs the file {text}, which is not there")
    if kind == "input":
        return not_judged(check, "waits for input()")
    if kind == "version":
        return not_judged(check, f"needs another version of a package: {words}")
    if kind == "late":
        return wrong(check, Fault(f"does not end: it {text}", where=raised["where"]))
    is_known = raised["type"] != "ImportError"  # of a class that is not there
    return wrong(check, Fault(f"raises {words}", where=raised["where"], is_known=is_known))
