"""The settings of a run: as they are typed, and as the values that they stand for."""

import argparse

from playground.points import read_points
from playground.problems import PROBLEMS
from train_mlp_numpy import hidden_units, number, rows_or_full

MOST_UNITS = 40  # in a layer; the maps of more would be too small
MOST_LAYERS = 2
MOST_EPOCHS = 20_000  # a run keeps all of them

OWN = "own"  # the data set of one's own points

FIRST = {
    "dataset": "moons",
    "points": "",
    "noise": "0.2",
    "data_seed": "42",
    "hidden_units": "20",
    "learning_rate": "0.01",
    "batch_size": "16",
    "seed": "42",
    "epochs": "1500",
}


def problem(text):
    """Parse the name of a data set."""
    if text != OWN and text not in PROBLEMS:
        names = ", ".join(PROBLEMS)
        raise argparse.ArgumentTypeError(f"{text!r} is not valid; give one of {names}")
    return text


def own_points(text):
    """Parse the points of a CSV file; None if there are none."""
    if text == "":
        return None
    try:
        return read_points(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def layer_sizes(text):
    """Parse the numbers of hidden units."""
    message = (
        f"{text!r} is not valid; give at most {MOST_LAYERS} layers of at most {MOST_UNITS} units, "
        "such as 20 or 8,8, or none"
    )
    try:
        sizes = hidden_units(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(message) from error
    if len(sizes) > MOST_LAYERS or max(sizes, default=0) > MOST_UNITS:
        raise argparse.ArgumentTypeError(message)
    return sizes


any_seed = number(int, 0, 2**32 - 1)

PARSERS = {
    "dataset": problem,
    "points": own_points,
    "noise": number(float, 0, 1),
    "data_seed": any_seed,
    "hidden_units": layer_sizes,
    "learning_rate": number(float, 1e-6, 100),
    "batch_size": rows_or_full,
    "seed": any_seed,
    "epochs": number(int, 1, MOST_EPOCHS),
}


def parsed(texts):
    """Return the values of settings. The first one that is not valid is a ValueError."""
    values = {name: value_of(name, texts[name]) for name in PARSERS}
    if values["dataset"] == OWN and values["points"] is None:
        raise ValueError("Points: there are none; open a file, or start with --data FILE")
    return values


def value_of(name, text):
    """Return the value of a setting; a ValueError names it and says what would be valid."""
    parse = PARSERS[name]
    try:
        return parse(text)
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"{label_of(name)}: {error}") from error


def label_of(name):
    """Return the name of a setting as a person reads it: "Learning rate"."""
    return name.replace("_", " ").capitalize()
