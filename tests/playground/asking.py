"""What the tests of the playground share: how they ask, and what they compare."""

import base64
import json
from urllib.parse import urlencode

import numpy as np

from playground.answers import Answers

SMALL = {"hidden_units": "3", "batch_size": "300"}  # the third batch of an epoch has 200 rows

# Points of one's own: 40 of them, in three classes, around three places.
OWN_CSV = "x1,x2,class\n" + "".join(f"{k % 3 + k / 100},{-k / 50},{k % 3}\n" for k in range(40))
OWN_POINTS = {"dataset": "own", "points": OWN_CSV}

# A change of each kind, for a network of SMALL.
FOLD = {"what": "fold", "unit": 1, "weight": [0.5, -1], "bias": 0.25}
PLANTED = {**FOLD, "output": [-0.2, 0.2]}
POINT = {"what": "point", "point": [0.5, -2], "class": 1}
RATE = {"what": "learning_rate", "value": "0.3"}
BATCH = {"what": "batch_size", "value": "64"}
WEIGHT = {"what": "weight", "layer": 1, "from": 2, "to": 0, "value": -0.75}
CHANGES = [FOLD, PLANTED, WEIGHT, POINT, RATE, BATCH]


def what(change):
    """Return the name of a change, for pytest."""
    return "planted" if "output" in change else change["what"]


def ask(answers, question, **values):
    """Ask; return the answer, without its arrays."""
    content, _ = answers.answer({"ask": question, "values": values})
    return content


def state(epoch, changes=(), **texts):
    """Return a state as the browser writes it."""
    return urlencode({**texts, "epoch": epoch, "changes": json.dumps(list(changes))})


def saved(answers, question, **values):
    """Ask for a file; return its name and its bytes."""
    file = ask(answers, question, **values)["file"]
    return file["name"], base64.b64decode(file["base64"])


def train_to(answers, epoch):
    """Ask until so many epochs are trained, or until there is a note; return it."""
    note = ""
    while answers.run.epoch < epoch and not note:
        note = ask(answers, "train", n_epochs=epoch - answers.run.epoch)["note"]
    return note


def trained(n_epochs, **texts):
    """Return Answers with a small run of so many epochs."""
    answers = Answers(SMALL | texts)
    assert train_to(answers, n_epochs) == ""
    return answers


def is_same(moment, other):
    """Return whether two Moments are the same, bit for bit."""
    return (
        np.array_equal(moment.params, other.params)
        and moment.metrics == other.metrics
        and repr(moment.rng_state) == repr(other.rng_state)
    )


def all_same(moments, others):
    """Return whether as many Moments are the same, each as its counterpart, bit for bit."""
    pairs = zip(moments, others, strict=True)
    return all(is_same(moment, other) for moment, other in pairs)


def are_same(run, other):
    """Return whether two runs are the same, bit for bit: each epoch, each change, each setting."""
    return (
        all_same(run.moments, other.moments)
        and run.changes == other.changes
        and run.texts == other.texts
    )
