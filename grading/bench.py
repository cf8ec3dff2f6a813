"""What every check needs: to ask the probe, to compare, and to come to a verdict."""

import ast
import re
from typing import NamedTuple

import numpy as np

from grading.lecture import FORMULAS
from grading.probe_roles import CLASSES
from grading.submission import source

OF_FILE = {
    "perceptron": ("Perceptron", "generate_dataset"),
    "modules": ("Linear", "ReLU", "SoftMax", "CrossEntropy"),
    "mlp_numpy": ("MLP",),
    "train_mlp_numpy": ("train", "accuracy"),
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
    """Ends a check: the words for it, the place, and pairs of numbers in words."""

    def __init__(self, text, place="", *detail, status="wrong", is_formula=True):
        super().__init__(text)
        self.text, self.place, self.detail, self.status = text, place, detail, status
        self.is_formula = is_formula and status == "wrong"


def same(got, expected, tolerance=1e-3):
    """Return whether arrays agree to what float32 or a small epsilon changes; (1, n) is (n,)."""
    if not is_array(got):
        return False
    got, expected = np.squeeze(np.asarray(got, dtype=float)), np.squeeze(expected)
    scale = tolerance * np.abs(expected).max(initial=0) + 1e-9
    return got.shape == expected.shape and bool((np.abs(got - expected) <= scale).all())


def is_array(value):
    return isinstance(value, np.ndarray | int | float)


def flat(nested):
    """Return nested lists of arrays as one vector; None where an entry is no array."""
    if isinstance(nested, list):
        parts = [flat(entry) for entry in nested]
        return None if any(p is None for p in parts) else np.concatenate([np.empty(0), *parts])
    return np.ravel(nested).astype(float) if is_array(nested) else None


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


def compare(what, got, expected, mistakes=(), place=""):
    """Raise the Fault whose value this is, unless it is the right one."""
    if got is None:
        raise Fault(f"{what} is None: nothing is returned or set, it is still empty", place)
    if not is_array(got):
        raise Fault(f"{what} should be an array, but is {got}", place)
    got, expected = np.asarray(got, dtype=float), np.asarray(expected, dtype=float)
    if same(got, expected):
        return
    is_shape = np.squeeze(got).shape != np.squeeze(expected).shape
    words = "has the wrong shape" if is_shape else "is wrong"
    words = words if np.isfinite(got).all() else "is not finite"
    words = next((words for words, value in mistakes if same(got, value)), words)
    raise Fault(f"{what} {words}", place, values_text(got, expected))


class Bench:
    """One submission on the bench; `rows` are its verdicts, in the order of the lecture."""

    def __init__(self, submission):
        self.submission, self.rows, self.causes = submission, [], {}
        self.note = submission.read_as.append

    def ask(self, do, *roles, **values):
        """Ask the probe; what a layer that hangs is part of is not asked again."""
        if do in ("network", "train", "initial_mlp") and self.hangs:
            return {}, self.hangs
        got, raised = self.submission.ask(do, *roles, **values)
        raised = raised and {
            "call": got.get("call") or values.get("name") or CALLS.get(do, do),
            **raised,
        }
        if raised and raised["type"] in ("late", "ended") and roles and roles[0] == "modules":
            self.hangs = raised
        return got, raised

    hangs = None

    def check(self, part, name, function, *args):
        """Add the row of a check: the Fault that it raises, or right."""
        row = Row(part, name, "right")
        try:
            self.to_do(name)
            function(*args)
        except Fault as fault:
            message = f"{fault.text}: {fault.place}" if fault.place else fault.text
            formula = [f"the lecture: {FORMULAS[name][0]}"] * fault.is_formula
            row = Row(part, name, fault.status, message, (*formula, *fault.detail))
            self.causes.setdefault(name, fault.text)
        except (ValueError, TypeError, LookupError, AttributeError) as error:  # results of any form
            row = Row(part, name, "not judged", f"what it gives cannot be compared: {error}")
        self.rows.append(row)

    def to_do(self, name):
        """Raise a Fault if what is checked does nothing but raise NotImplementedError."""
        kind, _, method = name.split(":")[0].partition(".")
        role = next((role for role, names in OF_FILE.items() if kind in names), None)
        node, place = self.locate(role, kind, method), self.place(role, kind, method)
        body = [ast.unparse(n) for n in node.body if not isinstance(n, ast.Expr)] if node else []
        if body in (["raise NotImplementedError"], ["raise NotImplementedError()"]):
            self.causes.setdefault(place, f"{kind}{'.' * bool(method)}{method} is to be written")
            raise Fault("to be written", place, status="to do")

    def needs(self, *names):
        """Raise a Fault that hands on the first cause among these checks, if there is one."""
        for name in names:
            if name in self.causes:
                text = self.causes[name]
                text = text if text.startswith("because") else f"because of {name}, see there"
                raise Fault(text, status="not judged")

    def stopped(self, raised):
        """Raise the Fault that an exception of the submission is, if there was one.

        What several checks run into is told once, by the first.
        """
        if not raised:
            return
        kind, text, role = raised["type"], raised.get("text", ""), raised.get("role")
        where = f"{raised['file']} line {raised['line']}" if "file" in raised else ""
        what, status = raised["call"], "wrong"
        if role:
            file, status = self.submission.files.get(role, f"{role}.py"), "not judged"
            is_there = kind not in ("missing", "empty")
            told = f"{file} cannot be imported" if is_there else f"{file} is {kind}"
            if not self.submission.files:
                told, role = "there is no Python file of the assignment", "any"
        elif kind == "NotImplementedError":
            told, status = text or "to be written", "to do"
        elif kind in ("late", "ended", "Unclear") or (kind == "TypeError" and not where):
            told = {"late": what, "ended": what}.get(kind, f"{what} could not be called")
            told, status = text if kind == "Unclear" else told, "not judged"
        else:
            told = f"{what} raises {kind}"
        if (key := where or (role, told)) in self.causes:
            raise Fault(f"because {self.causes[key]}", status="not judged")
        self.causes[key] = told
        if role and is_there and kind not in ("late", "ended"):
            told += f": {kind}"
        if text and status != "to do" and kind != "Unclear":
            told += f" {text}" if kind in ("late", "ended") and not role else f": {text}"
        raise Fault(told, where, status=status, is_formula=False)

    def locate(self, role, name, method=""):
        """Return the syntax of a class, of a method of it or of a function, or None."""
        try:
            tree = ast.parse(source(self.submission.folder / self.submission.files[role]))
        except (SyntaxError, KeyError):
            return None
        kinds = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef | ast.FunctionDef)]
        fits = [n for n in kinds if n.name == name] or [
            n
            for n in kinds
            if re.fullmatch(CLASSES.get(name, "(?!)"), n.name.lower().replace("_", ""))
        ]
        if not method:
            return fits[-1] if fits else None
        bases = {ast.unparse(base) for n in fits for base in getattr(n, "bases", ())}
        fits = [n for n in kinds if n.name in bases] + fits
        methods = [m for n in reversed(fits) for m in n.body if isinstance(m, ast.FunctionDef)]
        return next((m for m in methods if re.fullmatch(method, m.name)), None)

    def place(self, role, name="", method="", target=r"(?!)", line=r"(?!)"):
        """Return the file and the line of a method: where it assigns to `target`, or returns.

        `line` is what the line may hold instead.
        """
        node, file = self.locate(role, name, method), self.submission.files.get(role, "")
        if node is None:
            return file
        assigns = [n for n in ast.walk(node) if isinstance(n, ast.Assign | ast.AugAssign)]
        targets = [(n, t) for n in assigns for t in getattr(n, "targets", None) or [n.target]]
        lines = [n.lineno for n, t in targets if re.search(target, ast.unparse(t))]
        text = source(self.submission.folder / file).splitlines()
        lines += [
            i for i in range(node.lineno, node.end_lineno + 1) if re.search(line, text[i - 1])
        ]
        lines += [n.lineno for n in ast.walk(node) if isinstance(n, ast.Return)][::-1] * bool(
            method
        )
        return f"{file} line {(lines or [node.lineno])[0]}"
