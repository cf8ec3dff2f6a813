"""Copies a submission, so that nothing that it writes or deletes is its own."""

import os
import re
import shutil
import stat
from pathlib import Path

LEFT_OUT = (".*", "__pycache__", "venv", "env", "site-packages", "node_modules")
MOST_BYTES = 50 * 2**20  # of a file; what is larger is no source code


def copy(folder, target):
    """Copy a folder, with imports of its own files rewritten to plain ones."""
    shutil.copytree(folder, target, ignore=left_out)
    for path in target.rglob("*.py"):
        text = path.read_bytes().decode("utf-8", errors="surrogateescape")
        plain = with_plain_imports(text, path.parent)
        if plain != text:
            path.write_bytes(plain.encode("utf-8", errors="surrogateescape"))


def left_out(folder, names):
    """Return which names in a folder are not copied."""
    ignored = set(shutil.ignore_patterns(*LEFT_OUT)(folder, names))
    for name in names:
        if not can_be_copied(Path(folder, name)):
            ignored.add(name)
    return ignored


def can_be_copied(path):
    """Return whether a path is a folder or a file of usual size that can be read."""
    if path.is_symlink() and path.is_dir():
        return False  # it may lead back to a folder above
    try:
        info = path.stat()
    except OSError:
        return False
    if stat.S_ISDIR(info.st_mode):
        is_environment = Path(path, "pyvenv.cfg").exists()
        return not is_environment and os.access(path, os.R_OK | os.X_OK)
    is_small = info.st_size <= MOST_BYTES
    return stat.S_ISREG(info.st_mode) and is_small and os.access(path, os.R_OK)


def with_plain_imports(text, folder):
    """Return the text of a file with plain imports of the files beside it.

    `from Part_2.modules import x` becomes `from modules import x`, and `from . import modules`
    becomes `import modules`.
    """
    stems = {path.stem for path in folder.glob("*.py")}

    def from_import(match):
        indent, module, names = match.groups()
        if module in stems:
            return f"{indent}from {module} import {names}"
        first_name = names.split()[0].rstrip(",")
        if first_name in stems:
            return f"{indent}import {names}"
        return match.group()

    def import_as(match):
        indent, module, name = match.groups()
        if module in stems:
            return f"{indent}import {module} as {name}"
        return match.group()

    dotted_from = r"^([ \t]*)from +(?:[\w.]*\.)?(\w*) +import +(.*)"
    dotted_as = r"^([ \t]*)import +[\w.]+\.(\w+) +as +(\w+)"
    text = text.replace("torch.utils.tensorboard", "tensorboardX")  # the same, without torch
    text = re.sub(dotted_from, from_import, text, flags=re.MULTILINE)
    return re.sub(dotted_as, import_as, text, flags=re.MULTILINE)
