"""Judges the network: MLP.__init__, forward, backward and update."""

import numpy as np

from grading import lecture
from grading.checks import FORWARDS, Fault, judged, not_judged, right, to_do, wrong
from grading.part_2 import judge_loss
from grading.part_2.gradients import KINDS, constant, name_of_factor, problem_of, ratios, same
from grading.part_2.judge_layers import example
from grading.part_2.network import N_ROWS
from grading.process.calls import RATE
from grading.process.raised import row_of

INIT = "MLP.__init__"
FORWARD = "MLP.forward"
BACKWARD = "MLP.backward"
UPDATE = "MLP.update"

HIDDEN = {  # what hidden layers may have in place of the ReLU
    "an ELU": lambda z: np.where(z > 0, z, np.exp(np.minimum(z, 0)) - 1),
    "a tanh": np.tanh,
    "a sigmoid": lecture.sigmoid,
    "a leaky ReLU of slope 0.01": lambda z: np.where(z > 0, z, 0.01 * z),
}


def rows_of(facts, layer_rows):
    """Return the rows of the network.

    Args:
        facts: the Facts.
        layer_rows: the rows of the layers and the loss, by check.
    """
    if not facts.networks:
        return [not_judged(INIT), not_judged(FORWARD), not_judged(BACKWARD)]
    init = judge_sizes(facts.networks)
    forward = judge_forward(facts, init)
    is_of_layers = any(layer_rows[check].spoils for check in FORWARDS)
    for fault in forward.faults:
        fault.is_known = fault.is_known and not is_of_layers
    before = {**layer_rows, FORWARD: forward}
    rows = [init, forward, judge_backward(facts, before)]
    update = judge_update(facts.networks)
    if update:
        rows.append(update)
    return rows


# The forward pass


def judge_forward(facts, init):
    """Return the row of MLP.forward; `init` is that of MLP.__init__."""
    failed = []
    faults = []
    for result in facts.networks:
        is_asked_for = len(result["sizes"]) > 2
        if "outputs" in result:
            fault = fault_of_outputs(result, facts)
            if fault and fault.words not in [other.words for other in faults]:
                faults.append(fault)
        elif "raised" in result and is_asked_for:
            failed.append(result)
    if not faults and lacks_softmax(facts):
        words = "gives logits, and the loss takes them for probabilities"
        faults.append(Fault(f"{words}: the softmax at the end is missing"))
    if not facts.has_run or (failed and not faults and init.status == "right"):
        return failed_row(FORWARD, failed)
    note = ""
    if facts.activation:
        note = f"hidden layers have {facts.activation}"
    known = [fault for fault in faults if fault.is_known]
    return judged(FORWARD, known or faults[:1], note)


def lacks_softmax(facts):
    """Return whether logits are given to a loss that does not take their softmax."""
    conventions = facts.conventions
    if conventions.outputs != "logits" or conventions.loss_takes != "the outputs":
        return False
    return not same(facts.rho, 1) and not same(facts.rho, N_ROWS)


def failed_row(check, failed):
    """Return the row of a check that ended with an exception in the first of these networks."""
    if not failed:
        return not_judged(check)
    raised = failed[0]["raised"]
    row = row_of(check, raised)
    if row.status == "to do" and (check == BACKWARD or raised["where"]):
        return not_judged(check)  # it is a layer that is to do
    for fault in row.faults:
        fault.is_known = False  # it may be a layer that failed
    return row


def judge_sizes(results):
    """Return the row of MLP.__init__."""
    faults = []
    notes = []
    for result in results:
        n_hidden = len(result["sizes"]) - 2
        if "n_layers" not in result and n_hidden == 0:
            notes.append("a network without a hidden layer fails; it is not asked for")
        elif "n_layers" not in result:
            row = row_of(INIT, result["raised"])
            if row.status != "wrong":
                return row
            row.faults[0].words = f"with {hidden_layers(n_hidden)}, it {row.faults[0].words}"
            row.faults[0].is_known = False
            faults += row.faults
        elif result["n_layers"] != n_hidden + 1 and n_hidden == 0:
            notes.append("a network without a hidden layer has no Linear; it is not asked for")
        elif result["n_layers"] == 0:
            return to_do(INIT, "MLP makes no Linear layer")
        elif result["n_layers"] != n_hidden + 1:
            words = f"a network with {hidden_layers(n_hidden)} has {n_hidden + 1} Linear layers"
            faults.append(Fault(f"{words}, but yours has {result['n_layers']}"))
    return judged(INIT, faults[:1], *notes)


def is_near(out, expected):
    return np.shape(out) == np.shape(expected) and np.allclose(out, expected, atol=1e-3)


def activation_of(networks, conventions, r):
    """Return what hidden layers have in place of the ReLU, in words, or an empty text.

    If it is none of HIDDEN, it is one where all else is right: the network without a hidden layer,
    and the gradients of the others, r.
    """
    ran = [result for result in networks if "outputs" in result]
    deep = [result for result in ran if len(result["sizes"]) > 2]
    for result in deep:
        x, _, parameters = problem_of(result)
        for name, function in HIDDEN.items():
            if is_near(result["outputs"], outputs_of(parameters, x, conventions, function)):
                return name
    flat = [result for result in ran if len(result["sizes"]) == 2]
    if r is None or not deep or not flat:
        return ""
    is_known = any(is_right_or_known(result, conventions) for result in deep)
    is_flat_right = all(is_right_or_known(result, conventions) for result in flat)
    return "" if is_known or not is_flat_right else "another activation than the ReLU"


def outputs_of(parameters, x, conventions, hidden):
    """Return the outputs of a network with this activation in its hidden layers."""
    z = lecture.logits(parameters, x, hidden)
    return z if conventions.outputs == "logits" else lecture.softmax(z)


def is_right_or_known(result, conventions):
    """Return whether the outputs are the lecture's, or those of a known mistake."""
    x, _, parameters = problem_of(result)
    values = [outputs_of(parameters, x, conventions, lecture.relu)]
    for _, value in lecture.mlp_forward(parameters, x)[1]:
        values.append(value)
    return any(is_near(result["outputs"], value) for value in values)


def fault_of_outputs(result, facts):
    """Return the Fault of what a network gives, or None."""
    n_hidden = len(result["sizes"]) - 2
    if facts.activation and n_hidden > 0:
        return None
    x, _, parameters = problem_of(result)
    out = np.asarray(result["outputs"])
    expected, mistakes = lecture.mlp_forward(parameters, x)
    if facts.conventions.outputs == "logits":
        expected = lecture.logits(parameters, x)
    if is_near(out, expected):
        return None
    for words, value in mistakes:
        if is_near(out, value):
            return Fault(words)
    words = f"the output of a network with {hidden_layers(n_hidden)} is wrong"
    return Fault(f"{words}{example(out, expected)}", is_known=False)


def hidden_layers(n):
    """Return so many hidden layers in words."""
    return "1 hidden layer" if n == 1 else f"{n} hidden layers"


# The backward pass


def judge_backward(facts, rows):
    """Return the row of MLP.backward.

    Args:
        facts: the Facts.
        rows: the rows of the layers, the loss and MLP.forward, by check.
    """
    ran = [result for result in facts.networks if "loss" in result]
    if len(ran) > 1:  # a network without a hidden layer is not asked for
        ran = [result for result in ran if len(result["sizes"]) > 2 or "raised" not in result]
    if not ran:
        return not_judged(BACKWARD)
    for result in ran:
        fault = fault_after(result)
        if fault:
            return wrong(BACKWARD, fault)
    failed = [result for result in ran if "own" not in result]
    is_of_layers = is_any_wrong(rows)
    if failed and not failed[0]["begins_at_last"] and failed[0]["raised"]["kind"] == "raised":
        words = f"does not begin at the last Linear layer, and raises {failed[0]['raised']['type']}"
        return wrong(BACKWARD, Fault(words, is_known=not is_of_layers))
    if failed:
        return failed_row(BACKWARD, failed)
    if facts.q is not None:
        return judge_factor(facts, is_of_layers)
    known = known_mistake(ran, rows, facts.activation)
    if known:
        return wrong(BACKWARD, f"the gradient {known}")
    return wrong(BACKWARD, Fault(uneven(ran), is_known=not is_of_layers))


def judge_factor(facts, is_of_layers):
    """Return the row where all gradients are one multiple of the lecture's.

    The loss or the layers account for it. If they do not, the network does.
    """
    factor = name_of_factor(facts.q)
    if is_of_layers or not judge_loss.is_of_layers(facts) or factor not in judge_loss.FACTORS:
        return right(BACKWARD)
    return wrong(BACKWARD, f"the gradient {judge_loss.FACTORS[factor]}")


def fault_after(result):
    """Return the Fault of a backward pass after which the network cannot run forward, or None."""
    if "own" in result and "outputs_after" not in result and "raised" in result:
        text = result["raised"]["text"]
        return Fault(f"after it, the same network fails in forward: {text}")
    if "outputs_after" in result and not is_near(result["outputs_after"], result["outputs"]):
        return Fault("after it, the same network gives other outputs for the same input")
    return None


def is_any_wrong(rows):
    """Return whether one of the layers is wrong, and not only in an edge case."""
    return any(row.status != "right" and row.spoils for row in rows.values())


def known_mistake(ran, rows, activation):
    """Return in words the known mistake that all comparable gradients show, or None.

    What a layer that is wrong has spoilt is not compared.
    """
    candidates = None
    for result in ran:
        if activation and len(result["sizes"]) > 2:
            continue  # the lecture's mistakes are of a ReLU
        names = comparable(result, rows)
        x, y, parameters = problem_of(result)
        expected, mistakes = lecture.mlp_gradients(parameters, x, y)
        fits = set()
        if names and not fits_all(result, expected, names):
            for words, gradients in mistakes:
                makes_no_difference = are_equal(gradients, expected)
                if makes_no_difference or fits_all(result, gradients, names):
                    fits.add(words)
            candidates = fits if candidates is None else candidates & fits
    return sorted(candidates)[0] if candidates else None


def are_equal(gradients, others):
    """Return whether gradients, [[dW, db], ...], are the same."""
    pairs = zip(gradients, others, strict=True)
    return all(np.allclose(a[0], b[0]) and np.allclose(a[1], b[1]) for a, b in pairs)


def comparable(result, rows):
    """Return the parameters, (layer, kind), whose gradients no layer that is wrong has spoilt."""
    n_layers = len(result["own"])
    passes = ("Linear.backward: input", "ReLU.backward")
    is_last_alone = any(rows[check].spoils for check in passes)
    names = []
    for layer in range(1, n_layers + 1):
        if is_last_alone and layer < n_layers:
            continue
        for kind in KINDS:
            if not rows[f"Linear.backward: {kind}"].spoils:
                names.append((layer, kind))
    return names


def fits_all(result, gradients, names):
    """Return whether these gradients are one multiple of others, and not 0."""
    found = ratios(result, gradients)
    factor = constant(found[name] for name in names)
    return factor is not None and abs(factor) > 1e-6


def uneven(ran):
    """Return in words where the gradients of networks are wrong, from their end on."""
    for result in ran:
        words = uneven_in(result)
        if words:
            hidden = hidden_layers(len(result["sizes"]) - 2)
            return f"{words} in a network with {hidden}"
    return "the gradient is not that of the loss"


def uneven_in(result):
    """Return in words what is wrong with the gradients of one network, or None."""
    n_layers = len(result["own"])
    missing = []
    for layer in range(n_layers, 0, -1):
        if is_empty(result["own"][layer - 1]):
            missing.append(str(layer))
    if missing:
        return f"layer {' and '.join(missing)} of {n_layers} gets no gradient"
    if "differences" not in result:
        return None
    found = ratios(result, result["differences"])
    for layer in range(n_layers, 0, -1):
        for kind in KINDS:
            factor = found[layer, kind]
            words = f"the {kind} gradient of layer {layer} of {n_layers}"
            if factor is None:
                return f"{words} is not that of the loss"
            if not same(factor, 1):
                return f"{words} is {factor:.3g} times that of the loss"
    return None


def is_last_constant(networks):
    """Return whether the gradients of last layers are right, up to one factor."""
    values = []
    for result in networks:
        if "differences" in result:
            last = len(result["own"])
            found = ratios(result, result["differences"])
            values += [found[last, kind] for kind in KINDS]
    return constant(values) is not None


def is_empty(pair):
    """Return whether a layer has no gradient, or only zeros."""
    return all(array is None or not np.any(array) for array in pair)


# The update


def judge_update(networks):
    """Return the row of MLP.update, or None if the network has none."""
    updates = [result["update"] for result in networks if result.get("update")]
    if not updates:
        return None
    update = updates[0]
    if "raised" in update:
        row = row_of(UPDATE, update["raised"])
        for fault in row.faults:
            fault.is_known = False  # it may be a gradient of another shape
        return row
    first, second = update["steps"]
    if not first:
        return not_judged(UPDATE)
    words = wrong_update(first, second, update["takes_rate"])
    if words:
        return wrong(UPDATE, words)
    name = "" if update["name"] == "update" else f"MLP.{update['name']} takes the step"
    divides = "it divides by N" if name_of_factor(first[0]["step"]) == "1/N" else ""
    return right(UPDATE, name, divides)


def wrong_update(first, second, takes_rate):
    """Return what is wrong with the steps of two updates, or None."""
    still = [step for step in first if not step["moved"]]
    if len(still) == len(first):
        return "changes nothing"
    if still:
        return f"does not update {names_of(still, first)}"
    factors = [step["step"] for step in first]
    factor = constant(factors)
    if factor is None and constant(step["value"] for step in first) is not None:
        return "replaces the parameters by the step"
    if factor is None:
        return "the step is not learning_rate * the gradient"
    if constant([factor, *[step["step"] for step in second]]) is None:
        return "a second step is not like the first: is there a momentum?"
    return wrong_step(factor, takes_rate)


def names_of(still, steps):
    """Return in words which parameters do not move."""
    for kind in KINDS:
        of_kind = [step for step in steps if step["kind"] == kind]
        if still == of_kind:
            return f"the {kind} of any layer"
    return " and ".join(f"the {step['kind']} of layer {step['layer']}" for step in still)


def wrong_step(factor, takes_rate):
    """Return what is wrong with a step that is so many times learning_rate * gradient, or None."""
    if factor < 0:
        twice = ", and twice as far" if same(factor, -2) else ""
        no_rate = ", and leaves out the learning rate" if same(factor, -1 / RATE) else ""
        return f"goes up the gradient, but should go down{twice}{no_rate}"
    if not takes_rate or name_of_factor(factor) in ("1", "1/N"):
        return None
    if same(factor, 1 / RATE):
        return "leaves out the learning rate"
    if same(factor, 2):
        return "takes the step twice"
    return f"the step is {factor:.3g} times what it should be, learning_rate * the gradient"


def step_of_update(networks):
    """Return the step of MLP.update / (learning_rate * own gradient): 1, "1/N", or None."""
    for result in networks:
        update = result.get("update") or {}
        if update.get("steps"):
            factor = constant(step["step"] for step in update["steps"][0])
            return {"1": 1, "1/N": "1/N"}.get(name_of_factor(factor))
    return None
