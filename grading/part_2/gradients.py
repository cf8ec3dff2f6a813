"""The numbers by which Part II is judged.

One number decides about gradients: r = the submission's own gradient of a parameter / the central
difference of its own loss. It is one constant for all elements of all parameters if the backward
passes are right. With rho, the submission's loss / the lecture's, q = r rho is the own gradient /
the lecture's: 1 is right, N is p - y without the division, 1/N divides twice. Whatever the trainer
then multiplies the gradient with is its step.
"""

from dataclasses import dataclass, field

import numpy as np

from grading import lecture
from grading.part_2.network import N_ROWS, problem, ratio
from grading.process.conventions import Conventions

N_CLASSES = 3
KINDS = ("weight", "bias")


@dataclass
class Facts:
    """What is known of a submission's layers and network."""

    conventions: Conventions = field(default_factory=Conventions)
    classes: dict = field(default_factory=dict)  # the names of the classes by the assignment's
    layers: dict = field(default_factory=dict)  # what was measured of each layer alone
    networks: list = field(default_factory=list)  # and of three networks
    activation: str = ""  # what hidden layers have in place of the ReLU
    seen: dict = field(default_factory=dict)  # what was seen of the trainer, empty without one
    step: object = None  # of it / (learning_rate * own gradient): 1, "1/N", or None if unknown
    r: float = None
    rho: float = None
    q: float = None

    @property
    def has_run(self):
        """Whether a network gave outputs."""
        return any("outputs" in result for result in self.networks)


def same(value, expected):
    """Return whether a factor is the expected one; None is no factor."""
    return value is not None and abs(value - expected) <= 5e-3 * abs(expected)


def ratios(result, others):
    """Return own gradient / another, by layer (from 1) and kind; None where it is no constant.

    Args:
        result: what was measured of a network.
        others: what the gradients are divided by, [[dW, db], ...].
    """
    found = {}
    for i, (own, other) in enumerate(zip(result["own"], others, strict=True)):
        for kind, a, b in zip(KINDS, own, other, strict=True):
            found[i + 1, kind] = None if a is None else ratio(np.asarray(a), np.asarray(b))
    return found


def constant(values):
    """Return the value that all are, or None if there is none."""
    values = list(values)
    if not values or any(value is None for value in values):
        return None
    if all(same(value, values[0]) for value in values):
        return values[0]
    return None


def r_of(results):
    """Return r, own gradient / central difference of the own loss, or None if it is no constant."""
    values = []
    for result in results:
        if "differences" in result:
            values += ratios(result, result["differences"]).values()
    return constant(values)


def against_lecture(results):
    """Return own gradient / the lecture's, or None if it is no constant."""
    values = []
    for result in results:
        if "own" in result:
            x, y, parameters = problem_of(result)
            values += ratios(result, lecture.gradients(parameters, x, y)).values()
    return constant(values)


def problem_of(result):
    """Return x, one-hot targets and parameters of a network."""
    x, labels, parameters = problem(tuple(result["sizes"]))
    return x, np.eye(result["sizes"][-1])[labels], parameters


def rho_of(results, conventions):
    """Return the own loss / the lecture's mean loss of the same outputs, or None."""
    for result in results:
        if "loss" in result:
            p = np.asarray(result["outputs"])
            if conventions.outputs == "logits":
                p = lecture.softmax(p)
            _, y, _ = problem_of(result)
            return result["loss"] / lecture.cross_entropy(np.clip(p, 1e-15, 1 - 1e-15), y)[0]
    return None


def q_of(facts):
    """Return own gradient / the lecture's, if it is one number for all networks, or None."""
    for result in facts.networks:
        if "raised" in result and "loss" in result:
            return None
    if not facts.activation:
        q = against_lecture(facts.networks)
        if q is not None:
            return q
    if facts.r is None or facts.rho is None:
        return None
    return facts.r * facts.rho


def name_of_factor(factor, n_rows=N_ROWS, n_classes=N_CLASSES):
    """Return what a factor is, such as "1" or "1/N", or an empty text."""
    values = {
        "1": 1,
        "N": n_rows,
        "1/N": 1 / n_rows,
        "N/C": n_rows / n_classes,
        "1/C": 1 / n_classes,
        "-1": -1,
        "-N": -n_rows,
    }
    for name, value in values.items():
        if same(factor, value):
            return name
    return ""
