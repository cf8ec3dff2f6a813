"""A script's flags, from its own parser, and the command lines with which it is run.

Only flags whose role is certain get a value, and only values that they take.
"""

import argparse
import ast
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

from grading.process.calls import RATE, role_of
from grading.process.raised import NotUnderstood

SIZE = 48  # 800 rows make 16 batches and a short one
EPOCHS = 3
MANY_EPOCHS = 34  # two epochs of 17 batches, where max_steps counts updates
HIDDEN = 7
VALUES = {"max_steps": EPOCHS, "eval_freq": 1, "learning_rate": RATE, "hidden": HIDDEN}
MOST_SWITCHES = 3  # that are tried
SMALL = ("mini", "sgd", "stoch")  # what words for training in batches have in them


class Parsed(BaseException):
    """The script has come to its command line."""


@contextmanager
def stopped_at_parser(actions):
    """Stop a script where it parses its command line; its flags are entered into a list."""

    def stop(parser, *_, **__):
        actions.extend(parser._actions)
        raise Parsed

    with ExitStack() as stack:
        for name in "parse_args", "parse_known_args":
            stack.enter_context(patch.object(argparse.ArgumentParser, name, stop))
        yield


@dataclass
class Line:
    """A command line: its words, and what was given, by role."""

    words: list = field(default_factory=list)
    given: dict = field(default_factory=dict)
    how: str = ""  # what makes it different from the line by default

    def with_flag(self, name, value, role=None):
        """Return a line with one more flag; a value of None is a switch."""
        new = [name] if value is None else [name, str(value)]
        given = dict(self.given)
        if role is not None:
            given[role] = value
        if role in VALUES:
            return Line([*self.words, *new], given, self.how)
        how = " ".join([*self.how.split(), *new])
        return Line([*self.words, *new], given, how)


def default_line(actions, **changed):
    """Return the command line by default: with few epochs, and a learning rate of ours.

    Raises:
        NotUnderstood: if the script demands something else.
    """
    line = Line()
    values = {**VALUES, **changed}
    for action in actions:
        role = role_of_action(action)
        if role in values and takes(action, values[role]):
            name = flag(action)
            line = line.with_flag(name, values[role], role) if name else line
        elif action.required and action.nargs != 0:
            name = flag(action) or action.dest
            raise NotUnderstood(f"the command line wants {name}, which is not understood")
    return line


def role_of_action(action):
    """Return what a flag is for, or None."""
    name = (flag(action) or "").lstrip("-").replace("-", "_")
    return role_of(name) or role_of(action.dest)


def flag(action):
    """Return the name of a flag, the long one if there is one, or None of what has no name."""
    if not action.option_strings:
        return None
    return max(action.option_strings, key=len)


def takes(action, value):
    """Return whether a flag takes a value."""
    if action.nargs == 0:
        return False
    if action.choices is None:
        return True
    convert = action.type or str
    return convert(str(value)) in action.choices


def batch_flag(actions):
    """Return the flag of the batch size, or None."""
    for action in actions:
        if role_of_action(action) == "batch_size" and flag(action) and action.nargs != 0:
            return action
    return None


def size_for(action):
    """Return the size of small batches that a flag takes: ours, or one of its own."""
    if takes(action, SIZE):
        return SIZE
    sizes = [int(choice) for choice in action.choices if str(choice).isdigit()]
    small = [size for size in sizes if 1 < size < 400]
    return max(small, default=None)


def batch_lines(actions, text, plain):
    """Return the lines that may make batches, the likeliest first.

    Args:
        actions: the flags.
        text: the script; words that it compares something with may be values of a flag.
        plain: the line by default.
    """
    action = batch_flag(actions)
    size = None if action is None else size_for(action)
    lines = []
    if size:
        plain = plain.with_flag(flag(action), size, "batch_size")
        lines.append(plain)
    words = words_compared(text)
    for other in actions:
        is_switch = other.nargs == 0 or role_of_action(other) is None
        if is_switch and flag(other):
            for value in switches_of(other, words):
                lines.append(plain.with_flag(flag(other), value))
    return lines[: MOST_SWITCHES + 1]


def with_size(line, action, size):
    """Return a line with another batch size."""
    words = list(line.words)
    position = words.index(flag(action)) + 1
    words[position] = str(size)
    how = line.how.split()
    how[how.index(flag(action)) + 1] = str(size)
    return Line(words, {**line.given, "batch_size": size}, " ".join(how))


def words_compared(text):
    """Return the words that a script compares something with, such as "SGD"."""
    words = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Compare):
            continue
        for side in [node.left, *node.comparators]:
            if isinstance(side, ast.Constant) and isinstance(side.value, str):
                words.append(side.value)
    return words


def switches_of(action, words):
    """Return values of a flag that may switch to small batches; None stands for the flag alone."""
    name = flag(action).lstrip("-").lower()
    is_about_batches = any(word in name for word in ("sgd", "batch", "stoch"))
    if action.nargs == 0:
        return [None] if is_about_batches else []
    if is_about_batches:
        return ["False"] if name.startswith("use") else ["True"]
    is_mode = any(word in name for word in ("mode", "method", "optim", "type"))
    if not is_mode:
        return []
    if action.type is int:
        return [1]
    fitting = []
    for word in action.choices or words:
        is_small = any(part in str(word).lower() for part in SMALL)
        if is_small and word not in fitting:
            fitting.append(word)
    return sorted(fitting, key=lambda word: "mini" not in str(word).lower())
