"""Finds the lines that checks are about, in the source of a submission."""

import ast
import re
from pathlib import Path

from grading.checks import to_do
from grading.process.conventions import CLASSES
from grading.submissions import read

FILES = {  # by class or function: the role of its file
    "Perceptron": "perceptron",
    "generate_dataset": "perceptron",
    "Linear": "modules",
    "ReLU": "modules",
    "SoftMax": "modules",
    "CrossEntropy": "modules",
    "MLP": "mlp",
    "train": "trainer",
    "accuracy": "trainer",
    "load_data": "trainer",
}
FUNCTIONS = {  # in small letters and without underscores
    "generate_dataset": r"(generate|make|create|gen|get)\w*(data|dataset|points|gaussians?)\w*",
    "train": r"train(ing)?(mlp|model|network|loop)?",
    "accuracy": r"\w*accuracy|acc",
    "load_data": r"(load|get|make|prepare|generate|create)(data|dataset|moons)\w*",
}
METHODS = {  # other names of a method, the likeliest first
    "forward": ("forward", "predict", "__call__"),
    "train": ("train", "fit", "learn"),
    "update": ("update.*", "(step|optimi[sz]e|apply_grad).*"),
}
TARGETS = {  # what a fault is about: what the line assigns to
    "weight": r"(?i)(\b|_|d|\[')w(eights?)?(_?grad\w*)?('\])?$|params$|theta$",
    "bias": r"(?i)(\b|_|d|\[')b(ias(es)?)?(_?grad\w*)?('\])?$",
    "labels": r"(?i)^(labels?|y|targets?)\b",
    "points": r"(?i)^(x|points|\w*inputs)\b",
    "x": r"^\w+(\[.*\])?$",
    "dout": r"^\w+(\[.*\])?$",
}
LINES = {  # what the line may hold instead
    "log": r"log\(",
    "step": r"grad|update|step\(",
    "epochs": r"permut|shuffle|choice|randint|range",
    "batch size": r"range|batch",
}


def tree_of(path):
    """Return the syntax of a file; nothing of one that Python cannot read."""
    try:
        return ast.parse(read(path))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def locate(name, files, folder):
    """Return the file of what a check is about, and its function or class, or None.

    Args:
        name: the check, such as "Linear.backward: bias".
        files: the files by role, relative to the folder.
        folder: the submission's folder.
    """
    kind, _, method = name.split(":")[0].partition(".")
    file = files.get(FILES[kind])
    if file is None:
        return None, None
    tree = tree_of(Path(folder, file))
    if kind not in CLASSES:
        return file, named(tree, ast.FunctionDef, FUNCTIONS[kind], kind)
    found = named(tree, ast.ClassDef, CLASSES[kind], kind)
    if not method or found is None:
        return file, found
    return file, method_of(found, method, tree)


def named(tree, kind_of_node, pattern, exactly):
    """Return the class or function of this name, or else of a name that fits, or None."""
    fits = []
    for node in ast.walk(tree):
        if isinstance(node, kind_of_node):
            if node.name == exactly:
                return node
            if re.fullmatch(pattern, node.name.lower().replace("_", "")):
                fits.append(node)
    return fits[0] if fits else None


def method_of(found, method, tree):
    """Return a method of a class or of one of its bases in the same file, or None."""
    classes = [found]
    bases = [ast.unparse(base) for base in found.bases]
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in bases:
            classes.append(node)
    for pattern in METHODS.get(method, (method,)):
        for kind in classes:
            for node in kind.body:
                if isinstance(node, ast.FunctionDef) and re.fullmatch(pattern, node.name):
                    return node
    return None


def is_empty(node):
    """Return whether a function has nothing but a docstring, and raises NotImplementedError."""
    body = [ast.unparse(part) for part in node.body if not isinstance(part, ast.Expr)]
    return body in (["raise NotImplementedError"], ["raise NotImplementedError()"])


def with_what_is_to_do(rows, files, folder):
    """Return the rows, with those of functions that are still empty as to do."""
    by_name = {row.check: row for row in rows}
    for name in [*by_name, "generate_dataset", "MLP.update"]:
        file, node = locate(name, files, folder)
        if isinstance(node, ast.FunctionDef) and is_empty(node):
            by_name[name] = to_do(name, f"to be written: {file} line {node.lineno}")
    return list(by_name.values())


def add_lines(rows, files, folder):
    """Give each fault that has no place the file and the line of what it is about."""
    for row in rows:
        for fault in row.faults:
            if not fault.where:
                fault.where = place(row.check, fault.about, files, folder)


def place(check, about, files, folder):
    """Return file and line of what a check is about, as text; of a function the likeliest line."""
    file, node = locate(check, files, folder)
    if node is None:
        return str(file or "")
    about = about or check.partition(": ")[2]
    lines = lines_that_assign(node, TARGETS.get(about))
    lines += lines_with(LINES.get(about), node, Path(folder, file))
    if "." in check:
        lines += returns_of(node)
    return f"{file} line {(lines or [node.lineno])[0]}"


def lines_that_assign(node, pattern):
    """Return the numbers of the lines in which something is assigned to that fits a pattern."""
    lines = []
    for part in ast.walk(node):
        targets = getattr(part, "targets", [])
        if isinstance(part, ast.AugAssign):
            targets = [part.target]
        for target in targets:
            if pattern and re.search(pattern, ast.unparse(target)):
                lines.append(part.lineno)
    return sorted(lines)


def lines_with(pattern, node, path):
    """Return the numbers of the lines of a function that fit a pattern."""
    if not pattern:
        return []
    text = read(path).splitlines()
    first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    numbers = range(first.lineno, node.end_lineno + 1)
    return [number for number in numbers if re.search(pattern, text[number - 1])]


def returns_of(node):
    """Return the number of the line of the last return."""
    numbers = [part.lineno for part in ast.walk(node) if isinstance(part, ast.Return)]
    return [max(numbers)] if numbers else []
