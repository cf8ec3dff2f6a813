"""The accuracy: the share of rows whose largest prediction is at the target's 1.

`measure` runs in the submission's process and returns numbers. `judge` turns them into a row.
"""

import ast
from copy import deepcopy
from functools import wraps

import numpy as np

from grading import lecture
from grading.checks import Row, judged, not_judged, to_do, wrong
from grading.process.calls import parameters_of
from grading.process.loading import load
from grading.process.raised import described, row_of

CHECK = "accuracy"
N_ROWS = 31
FORMS = {  # what a trainer may give to accuracy: the forms that are tried for it
    "probabilities": ("probabilities", "probabilities and class numbers"),
    "decisions": ("decisions",),
    "class numbers": ("class numbers",),
    "columns": ("columns",),
}


# In the submission's process

function_seen = []  # the submission's accuracy, as its script defined it
given_seen = []  # what it was given: keys of FORMS
scripts_seen = []  # the names that its script defined, if it trained


def with_note(tree):
    """Return a script in which its function accuracy notes what it is given."""
    tree = deepcopy(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "accuracy":
            node.decorator_list.append(ast.Name("_noted", ast.Load()))
    return ast.fix_missing_locations(tree)


def noted(function):
    """Return the function accuracy, so that it notes what it is given."""
    function_seen[:] = [function]

    @wraps(function)
    def accuracy(*args, **options):
        given = [*args, *options.values()]
        if given:
            note_given(given[0])
        return function(*args, **options)

    return accuracy


NOTE = {"_noted": noted}


def note_given(first):
    """Note whether accuracy is given probabilities, decisions or class numbers."""
    try:
        array = np.asarray(first, dtype=float)
    except (TypeError, ValueError):
        return
    form = "probabilities"
    if array.ndim < 2:
        form = "class numbers"
    elif np.isin(array, [0, 1]).all():
        form = "decisions"
    elif array.ndim == 2 and 1 < array.shape[0] < array.shape[1]:
        form = "columns"  # fewer classes than samples
    given_seen.append(form)


def remember(space, has_trained):
    """Remember what a script defines, and a function accuracy that it imports."""
    function = space.get("accuracy")
    if callable(function) and not function_seen:
        function_seen.append(function)
    if has_trained:
        scripts_seen.append(space)


def measure(path):
    """Return what a trainer's accuracy gives for predictions in several forms.

    Args:
        path: the trainer's file.
    """
    try:
        function = function_of(path)
    except BaseException as error:  # an exit and an interrupt as well
        return {"raised": described(error)}
    required = [p for p in parameters_of(function) if p.default is p.empty]
    if len(required) != 2:
        return {"is_unclear": True}
    got = {"values": {}, "given": usual_form()}
    for n_classes in 3, 2:
        for form, (p, y) in problems(n_classes).items():
            key = f"{form} {n_classes}"
            try:
                got["values"][key] = plain(function(p, y))
            except Exception as error:
                got["values"][key] = {"raised": described(error)}
    return got


def function_of(path):
    """Return the trainer's function accuracy."""
    if function_seen:
        return function_seen[-1]
    function = None
    if not scripts_seen:
        function = getattr(load(path), "accuracy", None)
    if function is None:
        raise NotImplementedError("there is no function accuracy")
    return function


def usual_form():
    """Return the form in which the trainer gives predictions to accuracy, most of the time."""
    if not given_seen:
        return "probabilities"
    return max(FORMS, key=given_seen.count)


def problems(n_classes):
    """Return predictions and targets in each form."""
    p, y = problem(n_classes)
    decided = p.argmax(axis=1)
    labels = y.argmax(axis=1)
    return {
        "probabilities": (p, y),
        "probabilities and class numbers": (p, labels),
        "decisions": (np.eye(n_classes)[decided], y),
        "class numbers": (decided, labels),
        "columns": (p.T.copy(), y.T.copy()),
    }


def problem(n_classes):
    """Return probabilities and one-hot targets, (N_ROWS, classes), of which 2 of 3 fit or so."""
    rng = np.random.default_rng(1472)
    p = lecture.softmax(rng.normal(0, 1, (N_ROWS, n_classes)))
    is_hit = rng.uniform(size=N_ROWS) < 0.6
    labels = np.where(is_hit, p.argmax(axis=1), rng.integers(n_classes, size=N_ROWS))
    return p, np.eye(n_classes)[labels]


def plain(value):
    """Return a number as a float, and anything else as words that say what it is."""
    if value is None:
        return {"is": "None"}
    if isinstance(value, str):
        return {"is": f'the text "{value[:40]}", not a number'}
    if callable(value):
        return {"is": "a function, not a number: is it called?"}
    if np.size(value) != 1:
        return {"is": f"{np.size(value)} values, not a number"}
    return float(np.ravel(value)[0])


# Here


def judge(got):
    """Return the row of accuracy."""
    if got.get("is_unclear"):
        return not_judged(CHECK, "it takes other arguments than predictions and targets")
    if "raised" in got:
        return not_run(got["raised"])
    given = got["given"]
    values = got["values"]
    for form in FORMS[given]:
        value = values[f"{form} 3"]
        if is_share(value, 3):
            return judged(CHECK, [], note_of_form(given, form), note_of_percentage(value))
    first = FORMS[given][0]
    value = values[f"{first} 3"]
    if isinstance(value, dict) and "raised" in value:
        return row_of(CHECK, value["raised"])
    if isinstance(value, dict):
        if value["is"] == "None":
            return to_do(CHECK, "it returns None")
        return wrong(CHECK, f"gives {value['is']}")
    return wrong(CHECK, cause(value, values[f"{first} 2"]))


def not_run(raised):
    """Return the row where the trainer's file could not be run up to accuracy."""
    if raised["kind"] == "to do":
        return row_of(CHECK, raised)
    return Row(CHECK, "not judged", rests_on="train: run")


def share(n_classes):
    p, y = problem(n_classes)
    return lecture.accuracy(p, y)[0]


def is_share(value, n_classes):
    """Return whether a value is the right share, or the right percentage."""
    if isinstance(value, dict):
        return False
    right = share(n_classes)
    return bool(np.isclose(value, right) or np.isclose(value, 100 * right))


def note_of_form(given, form):
    if form == "probabilities":
        return ""
    if form == "probabilities and class numbers":
        return "it takes targets as class numbers"
    if form == "columns":
        return "it takes samples as columns"
    return f"it takes {given}"


def note_of_percentage(value):
    return "it gives a percentage" if value > 1 else ""


def one_column(p, y):
    """Return pairs of a mistake and its value: class numbers compared with a column of targets."""
    words = "compares class numbers with one column of the targets: take the argmax of both"
    found = []
    for column in y.T:
        hits = (p.argmax(axis=1) == column).mean()
        found += [(words, hits), (words, 100 * hits)]
    return found


def cause(value, of_two):
    """Return in words what a wrong share is; of_two is that of two classes."""
    p, y = problem(3)
    _, mistakes = lecture.accuracy(p, y)
    for words, other in [*mistakes, *one_column(p, y)]:
        if np.isclose(value, other):
            return words
    if is_share(of_two, 2):
        return "is right for two classes alone, not for three"
    return f"gives {value:.3g} where {share(3):.3g} of the rows are right"
