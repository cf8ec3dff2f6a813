"""What every check needs: to ask the probe, to compare, and to come to a verdict."""

import ast
import re
from typing import NamedTuple

import numpy as np

from grading.lecture import FORMULAS
from grading.probe_roles import CLASSES
from grading.submission import source

OF_FILE = {"Perceptron": "perceptron", "generate_dataset": "perceptron", "MLP": "mlp_numpy",
           "train": "train_mlp_numpy", "accuracy": "train_mlp_numpy",
           **dict.fromkeys(("Linear", "ReLU", "SoftMax", "CrossEntropy"), "modules")}  # fmt: skip
METHODS = {  # other names of a method, the likeliest first
    "forward": ("forward", "predict", "__call__"),
    "train": ("train", "fit", "learn"),
    "update": ("update.*", "(step|optimi[sz]e|apply_|gradient_desc).*"),
}
TARGETS = {  # what a check is about: the line that assigns to it is named
    "Perceptron.__init__": r"\.\w*w\w*$",
    "Perceptron.train: step": r"\.\w*(w|weights?|theta)$",
    "Perceptron.train: arguments": r"(?i)^(labels?|y|targets?|x|points|\w*inputs)\b",
    "Linear.__init__": r"(?i)w(eights?)?('\])?$|params$",
    "Linear.backward: weight": r"(?i)(\b|_|d|\[')w(eights?)?(_?grad\w*)?('\])?$",
    "Linear.backward: bias": r"(?i)(\b|_|d|\[')b(ias(es)?)?(_?grad\w*)?('\])?$",
    "MLP.update": r"(?i)param|w|b",
}
LINES = {  # what the line may hold instead
    "train: step": r"grad|update|step\(",
    "train: epochs": r"permut|shuffle|choice|randint|range",
    "train: batch size": r"range|batch",
}
CALLS = {"learn": "Perceptron.train", "perceptron": "Perceptron", "data": "generate_dataset",
         "initial": "Linear", "loss": "CrossEntropy",
         "network": "MLP", "initial_mlp": "MLP"}  # fmt: skip


class Row(NamedTuple):
    """A verdict: status is right, wrong, to do or not judged; `detail` are further lines."""

    part: str
    check: str
    status: str
    message: str = ""
    detail: tuple = ()


class Fault(Exception):  # noqa: N818
    """Ends a check: the words for it, further lines, and the place, None for the check's own."""

    def __init__(self, text, *detail, place=None, status="wrong", is_formula=True):
        super().__init__(text)
        self.text, self.place, self.detail, self.status = text, place, detail, status
        self.is_formula = is_formula and status == "wrong"


def is_array(value):
    return isinstance(value, np.ndarray | int | float)


def same(got, expected, tolerance=1e-3):
    """Return whether arrays agree to what float32 or a small epsilon changes; (1, n) is (n,)."""
    if not is_array(got):
        return False
    got, expected = np.squeeze(np.asarray(got, dtype=float)), np.squeeze(expected)
    scale = tolerance * np.abs(expected).max(initial=0) + 1e-9
    return got.shape == expected.shape and bool((np.abs(got - expected) <= scale).all())


def flat(nested):
    """Return nested lists of arrays as one vector; None where an entry is no array."""
    if isinstance(nested, list):
        parts = [flat(entry) for entry in nested]
        return None if any(p is None for p in parts) else np.concatenate([np.empty(0), *parts])
    return np.ravel(nested).astype(float) if is_array(nested) else None


def still(parameters, step, gradient):
    """Return in words the weights and biases with a gradient that a step, if any, leaves out."""
    words, end = [], 0
    for i, pair in enumerate(parameters, 1):
        for name, array in zip(("weight", "bias"), pair, strict=True):
            own = slice(end, end := end + np.size(array))
            if gradient[own].any() and not step[own].any():
                words.append(f"the {name} of layer {i}")
    return ", ".join(words) if step.any() else ""


def values_text(got, expected):
    """Return the number that is furthest from what it should be, beside it."""
    got, expected = np.squeeze(got), np.squeeze(expected)
    if got.shape != expected.shape:
        return f"yours has shape {got.shape}, right is {expected.shape}"
    with np.errstate(invalid="ignore"):
        off = np.nan_to_num(np.abs(got - expected), nan=np.inf)
    index = np.unravel_index(off.argmax(), got.shape)
    at = f" at [{', '.join(map(str, index))}]" if index else ""
    return f"yours{at}: {got[index]:.6g}, right: {expected[index]:.6g}"


def compare(what, got, expected, mistakes=()):
    """Raise the Fault whose value this is, unless it is the right one."""
    if got is None:
        raise Fault(f"{what} is None: nothing is returned or set, it is still empty")
    if not is_array(got):
        raise Fault(f"{what} should be an array, but is {got}")
    got, expected = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)
    if same(got, expected):
        return
    is_shape = np.squeeze(got).shape != np.squeeze(expected).shape
    words = "has the wrong shape" if is_shape else "is wrong"
    words = words if np.isfinite(got).all() else "is not finite"
    if not what.endswith("forward"):  # a gradient, a loss or a prediction
        mistakes = [*mistakes, ("is zero", 0 * expected), ("has the wrong sign", -expected)]
    words = next((words for words, value in mistakes if same(got, value)), words)
    raise Fault(f"{what} {words}", values_text(got, expected))


class Bench:
    """One submission on the bench; `rows` are its verdicts, in the order of the lecture."""

    hangs = None  # the exception of a layer that took too long or ended the process

    def __init__(self, submission):
        self.submission, self.rows, self.causes = submission, [], {}
        self.note = submission.read_as.append

    def ask(self, do, *roles, **values):
        """Ask the probe; what a layer that hangs is part of is not asked again."""
        if do in ("network", "train", "initial_mlp") and self.hangs:
            return {}, self.hangs
        got, raised = self.submission.ask(do, *roles, **values)
        if raised:
            what = got.get("call") or values.get("name") or CALLS.get(do, do)
            raised = {"call": what, **raised}
            if raised["type"] in ("late", "ended") and roles[:1] == ("modules",):
                self.hangs = raised
        return got, raised

    def check(self, part, name, function, *args):
        """Add the row of a check: the Fault that it raises, or right."""
        row, self.now = Row(part, name, "right"), name.split(":")[0]
        try:
            self.to_do(name)
            function(*args)
        except Fault as fault:
            place = self.place(name) if fault.place is None else fault.place
            message = f"{fault.text}: {place}" if place else fault.text
            formula = [f"the lecture: {FORMULAS[name]}"] * fault.is_formula
            row = Row(part, name, fault.status, message, (*formula, *fault.detail))
            self.causes.setdefault(name, fault.text)
        except (ValueError, TypeError, LookupError, AttributeError) as error:  # results of any form
            row = Row(part, name, "not judged", f"what it gives cannot be compared: {error}")
        self.rows.append(row)

    def to_do(self, name):
        """Raise a Fault if what is checked does nothing but raise NotImplementedError."""
        file, node = self.locate(name)
        body = [ast.unparse(n) for n in node.body if not isinstance(n, ast.Expr)] if node else []
        if body in (["raise NotImplementedError"], ["raise NotImplementedError()"]):
            raise Fault("to be written", place=f"{file} line {node.lineno}", status="to do")

    def needs(self, *names):
        """Raise a Fault that hands on the first cause among these checks, if there is one."""
        for name in names:
            text = self.causes.get(name, f"because of {self.now}")
            if not text.startswith(f"because of {self.now}"):
                text = text if text.startswith("because") else f"because of {name}"
                raise Fault(text, place="", status="not judged")

    def stopped(self, raised):
        """Raise the Fault that an exception is, if there was one, in full for the first check."""
        if not raised:
            return
        kind, what, text, role = (raised.get(key) for key in ("type", "call", "text", "role"))
        if not role and what != self.now and what.split(".")[0] == self.now.split(".")[0]:
            raise Fault(f"because of {what}", place="", status="not judged")  # it has its own check
        where = f"{raised['file']} line {raised['line']}" if "file" in raised else ""
        more, status = f": {text}" if text else "", "not judged"
        file = self.submission.files.get(role, f"{role}.py")
        if role and not self.submission.files:
            told = "there is no Python file of the assignment"
        elif kind in ("missing", "empty"):
            told = f"{file} is {kind}"
        elif role:
            told = f"{file} cannot be imported"
            more = more if kind in ("late", "ended") else f": {kind}{more}"
        elif kind in ("late", "ended"):
            told, more = f"{what} {text}", ": is there an endless loop?" * (kind == "late")
        elif kind == "Unclear":
            told, more = text, ""
        elif kind == "TypeError" and not where:
            told = f"{what} could not be called"
        elif kind == "NotImplementedError":
            told, more, status = text or f"{what} is to be written", "", "to do"
        else:
            told, status = f"{what} raises {kind}", "wrong"
        if (cause := where or told) in self.causes:
            raise Fault(f"because {self.causes[cause]}", place="", status="not judged")
        self.causes[cause] = told
        raise Fault(told + more, place=where, status=status, is_formula=False)

    def locate(self, name):
        """Return the file of what a check is about, and its syntax, or None."""
        kind, _, method = name.split(":")[0].partition(".")
        file = self.submission.files.get(OF_FILE.get(kind), "")
        try:
            tree = ast.parse(source(self.submission.folder / file)) if file else ast.Module([], [])
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return file, None
        nodes = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef | ast.FunctionDef)]
        plain = {node: node.name.lower().replace("_", "") for node in nodes}
        fits = [n for n in nodes if n.name == kind]
        fits = fits or [n for n in nodes if re.fullmatch(CLASSES[kind], plain[n])]
        if not method:
            return file, fits[-1] if fits else None
        bases = {ast.unparse(base) for n in fits for base in getattr(n, "bases", ())}
        fits = [n for n in nodes if n.name in bases] + fits
        methods = [m for n in reversed(fits) for m in n.body if isinstance(m, ast.FunctionDef)]
        names = METHODS.get(method, (method,))
        return file, next((m for n in names for m in methods if re.fullmatch(n, m.name)), None)

    def place(self, name, target=None):
        """Return file and line of what a check is about: a target, one of LINES, or a return."""
        file, node = self.locate(name)
        if node is None:
            return file
        target, line = target or TARGETS.get(name, "(?!)"), LINES.get(name, "(?!)")
        assigns = [n for n in ast.walk(node) if isinstance(n, ast.Assign | ast.AugAssign)]
        targets = [(n, t) for n in assigns for t in getattr(n, "targets", None) or [n.target]]
        lines = [n.lineno for n, t in targets if re.search(target, ast.unparse(t))]
        text = source(self.submission.folder / file).splitlines()
        numbers = range(node.lineno, node.end_lineno + 1)
        lines += [i for i in numbers if re.search(line, text[i - 1])]
        if "." in name:
            lines += [n.lineno for n in ast.walk(node) if isinstance(n, ast.Return)][::-1]
        return f"{file} line {(lines or [node.lineno])[0]}"
