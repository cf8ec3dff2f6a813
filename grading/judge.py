"""From what was measured to the rows of a submission, in the order of the lecture."""

import numpy as np

from grading import places
from grading.checks import CHECKS, Fault, not_judged, right, to_do, with_causes
from grading.part_1 import generate_dataset, perceptron
from grading.part_2 import gradients, judge_layers, judge_loss, judge_network
from grading.part_2.gradients import Facts
from grading.part_3 import accuracy, trainer
from grading.process.conventions import Conventions, in_words
from grading.process.raised import row_of

FILES = {
    "perceptron": "perceptron.py",
    "modules": "modules.py",
    "mlp": "mlp_numpy.py",
    "trainer": "train_mlp_numpy.py",
}
WEIGHT = "Linear.backward: weight"
LOSS_GRADIENT = "CrossEntropy.backward"
OPTIONAL = ("generate_dataset", "MLP.update", "load_data")  # no row where there is nothing to judge


@np.errstate(all="ignore")
def rows_of(measured, files, folder):
    """Return the rows of a submission, and sentences on its conventions.

    Args:
        measured: what measure.measure returned.
        files: the submission's files by role, relative to its folder.
        folder: the folder.
    """
    rows = part_1(measured["perceptron"])
    of_trainer = measured["trainer"]
    more, facts = part_2(measured["layers"], of_trainer)
    rows += more
    rows += part_3(of_trainer, facts, {row.check: row for row in rows})
    rows = places.with_what_is_to_do(rows, files, folder)
    rows.sort(key=lambda row: [check.name for check in CHECKS].index(row.check))
    rows = with_causes(rows)
    places.add_lines(rows, files, folder)
    return rows, in_words(facts.conventions)


def names_in(*parts):
    """Return the checks of these parts that every submission has."""
    names = []
    for check in CHECKS:
        if check.part in parts and check.name not in OPTIONAL:
            names.append(check.name)
    return names


def failed(names, got, role):
    """Return the rows of a piece that could not be measured at all, or None.

    Args:
        names: its checks.
        got: what was measured.
        role: the role of its file.
    """
    if got.get("missing"):
        return [to_do(name, f"{FILES[role]} is missing") for name in names]
    raised = got.get("raised")
    if not raised:
        return None
    if got.get("importing"):
        reason = why_not_imported(got["importing"], raised)
        return [not_judged(name, reason) for name in names]
    if raised["kind"] == "to do":
        return [to_do(name, raised["text"]) for name in names]
    if raised["kind"] in ("late", "ended"):
        return [not_judged(name, f"{FILES[role]} {raised['text']}") for name in names]
    return [not_judged(name, in_one_line(raised)) for name in names]


def why_not_imported(file, raised):
    """Return in words why a file could not be imported."""
    if raised["kind"] == "package":
        return f"{file} needs the package {raised['text']}, which is not installed"
    if raised["kind"] == "late":
        return f"{file} cannot be imported: it {raised['text']}"
    return f"{file} cannot be imported: {in_one_line(raised)}"


def in_one_line(raised):
    """Return an exception in words, with its place."""
    parts = [raised["type"], raised["text"], raised["where"]]
    return ": ".join(part for part in parts if part)


def part_1(got):
    """Return the rows of the perceptron and its data."""
    names = names_in("perceptron")
    rows = failed(names, got, "perceptron")
    if not rows:
        rows = perceptron.judge(got["perceptron"])
    data = generate_dataset.judge(got["data"]) if "data" in got else None
    return [data, *rows] if data else rows


def part_2(got, of_trainer):
    """Return the rows of the layers and of the network, and the Facts."""
    rows = failed(names_in("layers"), got, "modules")
    if rows:
        reason = "" if got.get("missing") else rows[0].reason
        rows += [not_judged(name, reason) for name in names_in("network")]
        return rows, Facts()
    facts = facts_of(got, of_trainer)
    is_right = facts.q is not None and not judge_loss.is_of_layers(facts)
    rows = judge_layers.rows_of(facts, is_right)
    rows += judge_loss.rows_of(facts)
    by_name = {row.check: row for row in rows}
    if adds_up(facts, of_trainer):
        words = "is added to that of the batch before, and never set to zero"
        by_name[WEIGHT].status = "wrong"
        by_name[WEIGHT].faults = [Fault(f"the weight gradient {words}", "weight")]
    more = judge_network.rows_of(facts, by_name)
    if facts.activation and facts.q is None and judge_network.is_last_constant(facts.networks):
        blame_activation(by_name["ReLU.backward"], more, facts.activation)
    if not facts.networks:
        without_network(more, got)
    if not facts.has_run:
        not_understood(rows, facts.layers)
    return rows + more, facts


def facts_of(got, of_trainer):
    """Return the Facts, from what was measured of layers, networks and trainer."""
    facts = Facts(Conventions(**got["conventions"]), got["classes"], got["layers"], got["networks"])
    facts.r = gradients.r_of(facts.networks)
    if not judge_layers.is_relu_wrong(facts.layers["ReLU"]):
        facts.activation = judge_network.activation_of(facts.networks, facts.conventions, facts.r)
    facts.rho = gradients.rho_of(facts.networks, facts.conventions)
    facts.q = gradients.q_of(facts)
    if not of_trainer.get("missing"):
        facts.seen = {"is_there": True, **of_trainer.get("seen", {})}
    if of_trainer.get("runs"):
        facts.step = trainer.step_factor(of_trainer)
    else:
        facts.step = judge_network.step_of_update(facts.networks)
    return facts


def adds_up(facts, of_trainer):
    """Return whether gradients add up, and no trainer and no update sets them to zero."""
    if of_trainer.get("runs"):
        return trainer.adds_up(of_trainer)
    if not facts.conventions.adds_up or facts.seen:
        return False
    updates = [result["update"] for result in facts.networks if result.get("update")]
    return not any(update.get("sets_to_zero") for update in updates)


def blame_activation(relu_backward, network_rows, activation):
    """Blame an activation whose backward does not belong to its forward, not the network."""
    relu_backward.status = "wrong"
    relu_backward.faults = [Fault(f"is not the derivative of what forward does, {activation}")]
    for row in network_rows:
        if row.check == "MLP.backward":
            row.status = "not judged"
            row.faults = []


def without_network(rows, got):
    """Give the rows of the network, of which none could be made, the reason for it."""
    raised = got.get("network_raised")
    has_class = "MLP" in got["classes"]
    if raised and got.get("importing"):
        reason = why_not_imported(got["importing"], raised)
        rows[:] = [not_judged(row.check, reason) for row in rows]
    elif not has_class:
        reason = "there is no class MLP"
        if "mlp" not in got["files"]:
            reason = f"{FILES['mlp']} is missing"
        rows[:] = [to_do(row.check, reason) for row in rows]
    elif raised and got["network_at"] == "MLP.forward":
        rows[:2] = [right("MLP.__init__"), unknown(row_of("MLP.forward", raised))]
    elif raised:
        rows[0] = unknown(row_of("MLP.__init__", raised))


def unknown(row):
    """Return a row, whose faults may come from a layer."""
    for fault in row.faults:
        fault.is_known = False
    return row


def not_understood(rows, pieces):
    """If Linear could not be called, call no layer wrong: how samples are given is unknown."""
    raised = pieces["Linear"].get("raised") or pieces["Linear.__init__"].get("raised")
    if not raised or raised["kind"] != "unclear":
        return
    for row in rows:
        if row.status == "wrong" and row.spoils:
            row.status = "not judged"
            row.faults = []
            row.reason = raised["text"]


def part_3(got, facts, before):
    """Return the rows of the trainer; `before` has those of Parts I and II by check."""
    names = names_in("trainer")
    rows = failed(names, got, "trainer")
    if rows:
        is_of_layers = got.get("raised", {}).get("kind") == "to do"
        return [not_judged(name) for name in names] if is_of_layers else rows
    is_gradient_right = not before["MLP.backward"].spoils and not before[LOSS_GRADIENT].spoils
    rows = [accuracy.judge(got["accuracy"])]
    rows += trainer.judge(got, facts.rho, is_gradient_right)
    is_update_wrong = "MLP.update" in before and before["MLP.update"].spoils
    for row in rows:
        for fault in row.faults:
            if row.check == "train: run":  # else it may be a layer that failed
                is_own = got["files"]["trainer"] in fault.where
                fault.is_known = fault.is_known and is_own
            if row.check == "train: step" and is_update_wrong:
                fault.is_known = False
    return rows
