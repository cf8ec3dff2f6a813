"""The accuracy: the share of rows whose largest prediction is at the target's 1.

`measure` runs in the submission's process and returns numbers. `judge` turns them into a row.
"""

import ast
from functools import wraps

import numpy as np

from grading import lecture
from grading.checks import Row, judged, not_judged, to_do, wrong
from grading.process.calls import parameters_of
from grading.process.loading import load
from grading.process.raised import described, row_of

CHECK = "accuracy"
N_ROWS = 31
FORMS = {  # what a trainer gives to accuracy: the forms that are tried, with a note on each
    "probabilities": {"probabilities": "", "labels": "it takes targets as class numbers"},
    "decisions": {"decisions": "it takes decisions"},
    "class numbers": {"class numbers": "it takes class numbers"},
    "columns": {"columns": "it takes samples as columns"},
}


# In the submission's process

space_seen = None  # the names that a script defined which has trained
given_seen = []  # what its accuracy was given: keys of FORMS


def with_note(tree):
    """Return a script in which its function accuracy notes what it is given."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "accuracy":
            node.decorator_list.append(ast.Name("_noted", ast.Load()))
    return ast.fix_missing_locations(tree)


def noted(function):
    """Return the function accuracy, so that it notes what it is given."""

    @wraps(function)
    def accuracy(*args, **options):
        given_seen.append(form_of([*args, *options.values()][0]))
        return function(*args, **options)

    return accuracy


NOTE = {"_noted": noted}


def form_of(predictions):
    """Return the form of predictions, a key of FORMS."""
    array = np.asarray(predictions)
    if array.ndim < 2:
        return "class numbers"
    if np.isin(array, [0, 1]).all():
        return "decisions"
    if 1 < array.shape[0] < array.shape[1]:
        return "columns"  # fewer classes than samples
    return "probabilities"


def measure(path):
    """Return what a trainer's accuracy gives for predictions in the forms that it may take.

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
    given = max(FORMS, key=given_seen.count)  # most of the time; the first one if never
    got = {"given": given, "of_3": {}, "of_2": {}}
    for form in FORMS[given]:
        for n_classes in 3, 2:
            p, y = problem(n_classes, form)
            try:
                value = plain(function(p, y))
            except Exception as error:
                value = {"raised": described(error)}
            got[f"of_{n_classes}"][form] = value
    return got


def function_of(path):
    """Return the trainer's function accuracy."""
    if space_seen is None:
        function = getattr(load(path), "accuracy", None)
    else:
        function = space_seen.get("accuracy")
    if function is None:
        raise NotImplementedError("there is no function accuracy")
    return function


def problem(n_classes, form="probabilities"):
    """Return predictions and targets of N_ROWS rows, of which 2 of 3 fit or so."""
    rng = np.random.default_rng(1472)
    p = lecture.softmax(rng.normal(0, 1, (N_ROWS, n_classes)))
    is_hit = rng.uniform(size=N_ROWS) < 0.6
    decided = p.argmax(axis=1)
    labels = np.where(is_hit, decided, rng.integers(n_classes, size=N_ROWS))
    one_hot = np.eye(n_classes)
    forms = {
        "probabilities": (p, one_hot[labels]),
        "labels": (p, labels),
        "decisions": (one_hot[decided], one_hot[labels]),
        "class numbers": (decided, labels),
        "columns": (p.T.copy(), one_hot[labels].T.copy()),
    }
    return forms[form]


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
        if got["raised"]["kind"] == "to do":
            return row_of(CHECK, got["raised"])
        return Row(CHECK, "not judged", rests_on="train: run")
    forms = FORMS[got["given"]]
    for form, note in forms.items():
        value = got["of_3"][form]
        if is_share(value, 3):
            return judged(CHECK, [], note, "it gives a percentage" if value > 1 else "")
    first = next(iter(forms))
    value = got["of_3"][first]
    if not isinstance(value, dict):
        return wrong(CHECK, cause(value, got["of_2"][first]))
    if "raised" in value:
        return row_of(CHECK, value["raised"])
    if value["is"] == "None":
        return to_do(CHECK, "it returns None")
    return wrong(CHECK, f"gives {value['is']}")


def share(n_classes):
    p, y = problem(n_classes)
    return lecture.accuracy(p, y)[0]


def is_share(value, n_classes):
    """Return whether a value is the right share, or the right percentage."""
    if isinstance(value, dict):
        return False
    right = share(n_classes)
    return bool(np.isclose(value, right) or np.isclose(value, 100 * right))


def cause(value, of_two):
    """Return in words what a wrong share is; of_two is that of two classes."""
    p, y = problem(3)
    _, mistakes = lecture.accuracy(p, y)
    for column in y.T:
        words = "compares class numbers with one column of the targets: take the argmax of both"
        hits = (p.argmax(axis=1) == column).mean()
        mistakes += [(words, hits), (words, 100 * hits)]
    for words, other in mistakes:
        if np.isclose(value, other):
            return words
    if is_share(of_two, 2):
        return "is right for two classes alone, not for three"
    return f"gives {value:.3g} where {share(3):.3g} of the rows are right"
