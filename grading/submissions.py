"""Finds the submissions at a path, names them, and finds which file of each plays which role.

A submission is a folder in which each role has its file once, in parts (Part_1, Part_2) or not.
Where a role repeats in folders side by side, each of these folders is one. Files are read as text;
nothing is imported. Not here: copies (copying.py), and what is in the files (conventions.py).
"""

import ast
import os
import re
import tokenize
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from grading.process.conventions import CLASSES
from grading.process.copying import LEFT_OUT

STEMS = {  # by role: the assignment's own name of the file, without .py
    "perceptron": "perceptron",
    "modules": "modules",
    "mlp": "mlp_numpy",
    "trainer": "train_mlp_numpy",
}
DEFINES = {  # by role: the classes of which the file has at least one
    "perceptron": {"Perceptron"},
    "modules": {"Linear", "ReLU", "SoftMax", "CrossEntropy"},
    "mlp": {"MLP"},
}
PART = (  # words in the name of a folder that is a part or a version, not a student's
    "part|task|question|exercise|ex|q|problem|assignment|homework|hw|"
    "perceptron|mlp|network|modules|layers|numpy|pytorch|torch|"
    "batch|minibatch|mini|full|sgd|stochastic|training|"
    "code|src|source|python|version|final|draft|attempt|try|"
    "report|docs|data|figures|plots|images|outputs|results|notebook|notebooks|analysis"
)
OLD = "old|backup|bak|copy|archive|unused|test|tests"
NUMBER = r"\d+|\w|one|two|three|ii|iii|iv"
ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")
RESULTS = "submission,part,check,status,"  # how the grader's own results.csv begins
MOST_BYTES = 10**7  # of a file; what is larger is not read


@dataclass
class Submission:
    """A submission: where it is, and its files by role."""

    name: str  # no other submission has it, and a file can have it
    folder: Path
    files: dict  # by role, a path or None; trainer_modules and trainer_mlp only if they differ
    read_as: list  # sentences on which file was taken for which
    refusal: str = ""  # why nothing of it can be judged, and what to do


def find(paths, are="guess", output_dir=None):
    """Return the submissions at these paths, each once.

    Args:
        paths: folders, or files that were handed in instead.
        are: "one" if each path is a submission, "class" if each folder in it is one; "guess" finds
            out.
        output_dir: a folder that is none.
    """
    found = {}
    for path in paths:
        path = Path(os.path.abspath(path))
        for inner in split(path, are):
            is_output = output_dir is not None and inner.resolve() == output_dir.resolve()
            if inner == path or not is_output:
                found.setdefault(inner.resolve(), inner)
    folders = list(found.values())
    names = unique_names(folders)
    return [submission_at(folder, name) for folder, name in zip(folders, names, strict=True)]


def split(path, are):
    """Return the paths of the submissions at a path."""
    if path.is_file():
        return [path]
    roles = python_files(path)
    if is_result(path, roles):
        return []
    if are == "one":
        return [path]
    if are == "class":
        return entries_of(path, roles)
    return guessed(path, roles)


# What is one submission


def guessed(folder, roles):
    """Return the folder, or the paths of the submissions in it.

    Args:
        folder: a folder.
        roles: of each Python file below it, the set of roles that it may play.
    """
    entries = entries_of(folder, roles)
    is_own = any(plays for path, plays in roles.items() if path.parent == folder)
    found = []
    for entry in entries:
        inside = below(entry, roles)
        is_empty = not any(inside.values())
        found.append([entry] if is_own or is_empty else guessed(entry, inside))
    holds_many = any(len(inner) > 1 for inner in found)
    if holds_many or roles_repeat(entries, roles, is_own):
        return [path for inner in found for path in inner]
    return [folder]


def roles_repeat(entries, roles, is_own):
    """Return whether a role repeats in entries side by side that are no parts of one solution.

    If the folder above has files of its own, both a perceptron and modules must repeat.
    """
    counts = Counter()
    for entry in entries:
        if is_part(entry.stem):
            continue
        inside = below(entry, roles)
        held = set().union(*inside.values())
        if is_own and {"perceptron", "modules"} <= held:
            counts["both"] += 1
        if not is_own:
            is_closed = not inside and packed_files(entry)
            counts.update(list(STEMS) if is_closed else held)  # an archive may hold everything
    return max(counts.values(), default=0) > 1


def is_part(name):
    """Return whether a name is of a part or a version: Part_2, "Task II", src, old."""
    words = words_of(name)
    is_named = any(re.fullmatch(f"{PART}|{OLD}", word) for word in words)
    return is_named and all(re.fullmatch(f"{PART}|{OLD}|{NUMBER}", word) for word in words)


def words_of(name):
    """Return the words and numbers in a name, in small letters: part and 2 of Part_2 or part2."""
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    return re.findall(r"[^\W\d_]+|\d+", parted.lower())


def entries_of(folder, roles):
    """Return what in a folder may be a submission: folders, and archives and notebooks."""
    entries = []
    for path in list_folder(folder):
        if is_left_out(path.name):
            continue
        if path.is_dir():
            leads_back = path.resolve() in [folder.resolve(), *folder.resolve().parents]
            if not leads_back and not is_result(path, roles):
                entries.append(path)
        elif is_packed(path) and not path.with_suffix("").is_dir():  # unless it was unpacked there
            entries.append(path)
    return entries


def list_folder(folder):
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def is_result(folder, roles):
    """Return whether a folder holds the grader's own results, and no solution."""
    if below(folder, roles):
        return False
    tables = [path for path in files_below(folder) if path.name == "results.csv"]
    return any(read(path).startswith(RESULTS) for path in tables)


def is_left_out(name):
    return name == "__MACOSX" or any(Path(name).match(pattern) for pattern in LEFT_OUT)


def is_packed(path):
    """Return whether a file holds Python in another form: an archive or a notebook."""
    return path.suffix.lower() in (*ARCHIVES, ".ipynb") and path.is_file()


def packed_files(path):
    """Return the archives and notebooks below a path, or the path itself if it is one."""
    if path.is_file():
        return [path]
    return [file for file in files_below(path) if is_packed(file)]


def files_below(folder):
    """Return the files below a folder, without those of environments, hidden ones, pipes."""
    found = []
    for path, folders, names in os.walk(folder):  # does not follow links
        folders[:] = [name for name in sorted(folders) if not is_left_out(name)]
        if "pyvenv.cfg" in names and Path(path) != folder:  # an environment, whatever its name
            folders.clear()
            continue
        files = [Path(path, name) for name in sorted(names) if not is_left_out(name)]
        found += [file for file in files if file.is_file()]
    return found


def below(folder, roles):
    """Return the roles of those files that are below a folder."""
    start = f"{folder}{os.sep}"
    return {path: plays for path, plays in roles.items() if str(path).startswith(start)}


# Names


def unique_names(paths):
    """Return a name for each path: its last part, with those above as far as others share it.

    Names that differ only in capitals count as one, since for some systems they are one file.
    """
    names = []
    for path in paths:
        others = [other for other in paths if whole(other) != whole(path)]
        names.append(shortest_name(path, others))
    return numbered(names)


def shortest_name(path, others):
    """Return the name of a path, of no more parts than it takes to differ from the others."""
    for n_parts in range(1, len(path.parts) + 1):
        name = as_file(path, n_parts)
        if all(as_file(other, n_parts) != name for other in others):
            break
    return name_of(path, n_parts)


def whole(path):
    return as_file(path, len(path.parts))


@cache
def as_file(path, n_parts):
    """Return what a file system may take for the same as the name of the last parts of a path."""
    return same_for_files(name_of(path, n_parts))


def same_for_files(name):
    return unicodedata.normalize("NFKC", name).casefold()


def name_of(path, n_parts):
    """Return the last parts of a path as one name, of characters that a file's name can have."""
    text = "_".join(path.parts[-n_parts:])
    text = re.sub(r'[<>:"/\\|?*]', "_", text)
    text = "".join(char if char.isprintable() else "_" for char in text)
    short = text.encode()[-200:].decode(errors="ignore").strip(" .")
    return short or "submission"


def numbered(names):
    """Return the names, with a number behind each that was there before."""
    unique = []
    taken = set()
    for name in names:
        candidate = name
        n = 1
        while same_for_files(candidate) in taken:
            n += 1
            candidate = f"{name} {n}"
        taken.add(same_for_files(candidate))
        unique.append(candidate)
    return unique


# The files of one submission


def submission_at(path, name):
    """Return the Submission at a path, which has got this name."""
    roles = {}
    if path.is_dir():
        roles = python_files(path)
    candidates = {}
    for role in STEMS:
        plays_it = [file for file, plays in roles.items() if role in plays]
        candidates[role] = sorted(plays_it, key=lambda file: likeliness(file, path, role))
    if not any(candidates.values()):
        return Submission(name, path, dict.fromkeys(STEMS), [], refusal_of(path, list(roles)))
    files = chosen(candidates)
    return Submission(name, path, files, read_as(files, candidates, path))


def python_files(folder):
    """Return by path the roles that each Python file below a folder may play."""
    roles = {}
    for path in files_below(folder):
        if path.suffix == ".py":
            roles[path] = roles_of(path)
    return roles


def roles_of(path):
    """Return the roles that a file may play, by its name or by what it defines."""
    text = read(path)
    if "torch" in path.stem.lower() or is_built_on_torch(text):
        return set()
    roles = {role for role, stem in STEMS.items() if path.stem.lower() == stem}
    defined = classes_in(text)
    for role, classes in DEFINES.items():
        if defined & classes:
            roles.add(role)
    is_for_network = re.search(r"\bMLP\b|\bmlp\w*\b|\bmodules\b", text)
    is_named_so = re.match("train|main", path.stem, re.I)
    if is_for_network and (trains(text) or is_named_so):
        roles.add("trainer")
    return roles


def read(path):
    """Return the text of a file, in the encoding that it names, or else without errors."""
    try:
        if path.stat().st_size > MOST_BYTES:
            return ""
        with tokenize.open(path) as file:
            return file.read()
    except OSError:
        return ""
    except (SyntaxError, ValueError, LookupError):
        return path.read_text(encoding="utf-8", errors="replace")


def trains(text):
    """Return whether a text defines a function or a class that trains."""
    return re.search(r"^def\s+train|^class\s+\w*Trainer\b", text, re.M) is not None


def classes_in(text):
    """Return the assignment's names of the classes that a text defines."""
    found = set()
    for name in re.findall(r"^class\s+(\w+)", text, re.M):
        plain = name.lower().replace("_", "")
        for ours, pattern in CLASSES.items():
            if re.fullmatch(pattern, plain):
                found.add(ours)
    return found


def is_built_on_torch(text):
    """Return whether a text uses torch.nn or torch.optim; some only import torch to seed it."""
    if "torch" not in text:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return re.search(r"^\s*(import|from)\s+torch.*\bnn\b", text, re.M) is not None
    names = imported_from_torch(nodes)
    for node in nodes:
        if isinstance(node, ast.Name) and node.id in names:
            return True
        if isinstance(node, ast.Attribute) and ast.unparse(node) in TORCH:
            return True
    return False


TORCH = ("torch.nn", "torch.optim")


def imported_from_torch(nodes):
    """Return the names by which a module has torch.nn, torch.optim, or what is in them."""
    names = set()
    for node in nodes:
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        module = getattr(node, "module", None)
        for alias in node.names:
            origin = f"{module}.{alias.name}" if module else alias.name
            is_of_torch = origin in TORCH or module in TORCH
            if is_of_torch and (module or alias.asname):
                names.add(alias.asname or alias.name)
    return names


def likeliness(path, folder, role):
    """Return what the candidates for a role are sorted by, the likeliest first.

    The trainer is looked for in Part III first, and is one that takes a batch size.
    """
    inside = path.relative_to(folder)
    is_old = any(re.fullmatch(OLD, word) for word in words_of(str(inside)))
    has_other_name = path.stem.lower() != STEMS[role]
    words = words_of(str(inside.parent))
    is_part_3 = "3" in words or "iii" in words or "three" in words
    place = (len(inside.parts), str(inside))
    if role == "trainer":
        text = read(path)
        is_only_named_so = has_other_name and not trains(text)
        takes_batches = re.search(r"batch_?size|mini_?batch|stochastic_size", text, re.I)
        is_unlikely = is_old or is_only_named_so
        return is_unlikely, not is_part_3, takes_batches is None, has_other_name, place
    return is_old, has_other_name, is_part_3, place


def chosen(candidates):
    """Return by role the file that plays it, or None.

    The network is taken from the folder of the modules. The trainer's folder may have a network of
    its own, as trainer_modules and trainer_mlp.
    """
    files = {}
    for role, paths in candidates.items():
        files[role] = paths[0] if paths else None
    if files["modules"] is not None:
        files["mlp"] = first_beside(files["modules"], candidates["mlp"]) or files["mlp"]
    if files["trainer"] is not None:
        for role in ("modules", "mlp"):
            own = first_beside(files["trainer"], candidates[role])
            if own is not None and own != files[role]:
                files[f"trainer_{role}"] = own
    return files


def first_beside(path, candidates):
    """Return the first of the candidates that is in the folder of a path, or None."""
    for candidate in candidates:
        if candidate.parent == path.parent:
            return candidate
    return None


def read_as(files, candidates, folder):
    """Return a sentence for each role of which the file is not plain."""
    sentences = []
    used = list(files.values())
    for role, stem in STEMS.items():
        if files[role] is None:
            continue
        text = f"{stem}.py is {files[role].relative_to(folder)}"
        others = [str(path.relative_to(folder)) for path in candidates[role] if path not in used]
        if others:
            text += f", not {listed(others)}"
        if others or files[role].stem != stem:
            sentences.append(text)
    own = [files[name] for name in ("trainer_modules", "trainer_mlp") if name in files]
    if own:
        names = listed([str(path.relative_to(folder)) for path in dict.fromkeys(own)])
        sentences.append(f"{files['trainer'].relative_to(folder)} is graded with {names}")
    return sentences


def listed(names):
    """Return some names as text, and how many more there are."""
    text = ", ".join(names[:3])
    if len(names) > 3:
        text += f" and {len(names) - 3} more"
    return text


def refusal_of(path, python):
    """Return why nothing at a path can be judged, and what to do.

    Args:
        path: a folder, or a file that was handed in instead of one.
        python: its Python files, of which none plays a role.
    """
    if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
        return "the folder cannot be read"
    files = [path] if path.is_file() else files_below(path)
    notebooks = [file.name for file in files if file.suffix.lower() == ".ipynb"]
    archives = [file.name for file in files if is_packed(file) and file.name not in notebooks]
    if archives:
        return f"{listed(archives)}: unpack this archive and grade the folder"
    if notebooks:
        return f"{listed(notebooks)}: save this notebook as .py (jupyter nbconvert --to script)"
    if python:
        names = listed([file.name for file in python])
        expected = ", ".join(f"{stem}.py" for stem in STEMS.values())
        return f"{names}: no file of the assignment ({expected}), or built on torch.nn"
    if files:
        return f"there is no Python file, only {listed([file.name for file in files])}"
    return "the folder is empty"
