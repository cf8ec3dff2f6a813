"""A script's flags, from its own parser, and the command lines with which it is run.

Only flags whose role is certain get a value, and only values that they take.
"""

import argparse
import ast
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from grading.process.calls import RATE, role_of
from grading.process.raised import NotUnderstood

SIZE = 48  # 800 rows make 16 batches and a short one
HIDDEN = 7
VALUES = {"max_steps": 3, "eval_freq": 1, "learning_rate": RATE, "hidden": HIDDEN}
MOST_LINES = 4  # that are tried
MODES = ("mode", "method", "optim", "type")  # in the names of flags
SMALL = ("mini", "sgd", "stoch", "batch")  # what words for training in batches have in them


class Parsed(BaseException):
    """The script has come to its command line."""


@contextmanager
def stopped_at_parser(actions):
    """Stop a script where it parses its command line; its flags are entered into a list."""

    def stop(parser, *_, **__):
        actions.extend(parser._actions)
        raise Parsed

    with patch.object(argparse.ArgumentParser, "parse_known_args", stop):  # parse_args calls it
        yield


@dataclass
class Line:
    """A command line: its words, and what was given, by role."""

    words: list = field(default_factory=list)
    given: dict = field(default_factory=dict)
    how: str = ""  # what makes it different from the line by default

    def with_flag(self, action, *values):
        """Return a line with one more flag that makes it different; a switch has no value."""
        new = [flag(action), *map(str, values)]
        given = dict(self.given)
        if role_of_action(action):
            given[role_of_action(action)] = values[0]
        how = " ".join([self.how, *new]).strip()
        return Line([*self.words, *new], given, how)


def default_line(actions):
    """Return the command line by default: with few epochs, and a learning rate of ours.

    Raises:
        NotUnderstood: if the script demands something else.
    """
    line = Line()
    for action in actions:
        role = role_of_action(action)
        if role in VALUES and takes(action, VALUES[role]):
            line = line.with_flag(action, VALUES[role])
        elif action.required:
            raise NotUnderstood(f"its command line demands {flag(action)}: what is it for?")
    return Line(line.words, line.given)


def batch_lines(actions, tree, plain, size):
    """Return the lines that may make batches, the likeliest first.

    Args:
        actions: the flags.
        tree: the script's; words that it compares something with may be values of a flag.
        plain: the line by default.
        size: of the batches.
    """
    lines = []
    for action in actions:
        if role_of_action(action) == "batch_size" and takes(action, size):
            plain = plain.with_flag(action, size)
            lines = [plain]
    for action in actions:
        for values in switches_of(action, tree):
            lines.append(plain.with_flag(action, *values))
    return lines[:MOST_LINES]


def role_of_action(action):
    """Return what a flag is for, or None."""
    return role_of(flag(action).lstrip("-").replace("-", "_")) or role_of(action.dest)


def flag(action):
    """Return the name of a flag, the long one if there is one."""
    return max(action.option_strings, key=len, default=action.dest)


def takes(action, value):
    """Return whether a flag takes a value."""
    if action.nargs == 0 or not action.option_strings:
        return False
    convert = action.type or str
    return action.choices is None or convert(str(value)) in action.choices


def switches_of(action, tree):
    """Return the values of a flag that may switch to small batches; () stands for none."""
    name = flag(action).lower()
    is_about_batches = any(word in name for word in SMALL)
    if action.nargs == 0:
        return [()] if is_about_batches else []
    is_mode = action.choices or any(word in name for word in MODES)
    if not is_mode or role_of_action(action):
        return []
    if action.type is int:
        return [(1,)]
    words = action.choices
    if not words:
        compared = dict.fromkeys(words_compared(tree))
        words = [word for word in compared if any(part in word.lower() for part in SMALL)]
    others = [word for word in words if word != action.default]
    others.sort(key=lambda word: likeliness(str(word).lower()))
    return [(word,) for word in others]


def likeliness(word):
    """Return the place of a word among those that may stand for mini-batches."""
    is_about_batches = any(part in word for part in SMALL)
    return not word.startswith("m"), not is_about_batches


def words_compared(tree):
    """Return the words that a script compares something with, such as "SGD"."""
    words = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for side in [node.left, *node.comparators]:
                if isinstance(side, ast.Constant) and isinstance(side.value, str):
                    words.append(side.value)
    return words
