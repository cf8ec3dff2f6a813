"""The changes that a person may make in the middle of a run.

A change is a dict, which can be written as JSON. All have `epoch`, and `what`:

    fold            `unit`, `weight` and `bias`: of a unit of the first hidden layer; where a fold
                    was planted, also `output`, the unit's weights in the next layer
    weight          `layer`, `from`, `to` and `value`: the weight from input `from` to output `to`
                    of a Linear layer; the first layer is 0
    point           `point` and `class`: one more training point
    learning_rate   `value`: the new one, as it was typed
    batch_size      `value`: the new one, as it was typed
"""

from playground.points import FARTHEST
from playground.settings import MOST_EPOCHS, value_of

LARGEST = 1e6  # the largest parameter in a change


def checked(change, sizes):
    """Return a change with nothing else in it; raise ValueError if it cannot be made.

    `sizes` are the numbers of units of a network, from the inputs to the classes.
    """
    try:
        epoch = whole(change["epoch"], MOST_EPOCHS, "epoch")
        what = change["what"]
        rest = CHECKS[what](change, sizes)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{change} is not a change that the playground knows.") from error
    return {"epoch": epoch, "what": what, **rest}


def checked_fold(change, sizes):
    """Return what a fold has."""
    if len(sizes) == 2:
        raise ValueError("this network has no hidden units")
    fold = {
        "unit": whole(change["unit"], sizes[1] - 1, "unit"),
        "weight": numbers(change["weight"], 2, "weight", LARGEST),
        "bias": checked_number(change["bias"], "bias", LARGEST),
    }
    if "output" in change:
        fold["output"] = numbers(change["output"], sizes[2], "output", LARGEST)
    return fold


def checked_weight(change, sizes):
    """Return what a weight has."""
    layer = whole(change["layer"], len(sizes) - 2, "layer")
    return {
        "layer": layer,
        "from": whole(change["from"], sizes[layer] - 1, "from"),
        "to": whole(change["to"], sizes[layer + 1] - 1, "to"),
        "value": checked_number(change["value"], "weight", LARGEST),
    }


def checked_point(change, sizes):
    """Return what a point has."""
    return {
        "point": numbers(change["point"], 2, "point", FARTHEST),
        "class": whole(change["class"], sizes[-1] - 1, "class"),
    }


def checked_setting(change, _):
    """Return what a setting has."""
    text = str(change["value"])
    value_of(change["what"], text)
    return {"value": text}


CHECKS = {
    "fold": checked_fold,
    "weight": checked_weight,
    "point": checked_point,
    "learning_rate": checked_setting,
    "batch_size": checked_setting,
}


def whole(value, most, name):
    """Return a whole number from 0 to `most`."""
    if not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{name} must be a whole number from 0 to {most}, got {value!r}")
    return value


def numbers(values, n, name, largest):
    """Return n numbers, as floats."""
    if len(values) != n:
        raise ValueError(f"{name} must be {n} numbers, got {len(values)}")
    return [checked_number(value, name, largest) for value in values]


def checked_number(value, name, largest):
    """Return a number that is at most as large as this, as a float."""
    is_number = isinstance(value, int | float)
    if not is_number or not abs(value) <= largest:  # `not`, for NaN
        raise ValueError(
            f"{name} must be a number from {-largest:,.0f} to {largest:,.0f}, got {value!r}"
        )
    return float(value)
