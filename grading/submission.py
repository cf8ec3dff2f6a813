"""A submission: its files, found wherever they lie, and the process that runs a copy of them.

That process is probe.py. It is stopped when a call or the whole takes too long, and whatever it
does or replaces there stays there. It is no sandbox: what must not touch your files or the network
belongs into a container.
"""

import ast
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tokenize
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from grading.probe_roles import as_json, of_json

FILES = {  # by role: other names of the file, and what it defines
    "perceptron": (r"(my)?perceptron\w*", r"^class\s+Perceptron"),
    "modules": (r"modules?\w*|layers?\w*", r"^class\s+(Linear|ReLU|Relu|SoftMax|Softmax)"),
    "mlp_numpy": (r"mlp\w*|network|nn", r"^class\s+(MLP|NeuralNet)"),
    "train_mlp_numpy": (r"train\w*|main", r"^def\s+train(?s:.*)(MLP|modules)"),
}
NOT_IT = re.compile(r"torch|keras|test|old|copy|backup|\bbak", re.I)
IS_PART = re.compile(r"(part|task|question|exercise|step|problem|code|src|version|old|backup|final)"
                     r"([\W_]*(\d+|[ivx]+)|[\W_]+[a-d])?|(q|ex|v)[\W_]*\d+", re.I)  # fmt: skip
LEFT_OUT = (".*", "__pycache__", "venv", "env", "site-packages", "node_modules")


def source(path):
    """Return the text of a Python file, in the encoding that it names, or else without errors."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (SyntaxError, ValueError, LookupError):
        return path.read_text(encoding="utf-8", errors="replace")


def is_empty(text):
    """Return whether a file holds nothing, or comments alone."""
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return not ast.parse(text).body
    return False


def candidates(folder):
    """Return the files below a folder that may play each role, the likeliest first."""
    paths = [path for path in folder.rglob("*.py") if path.is_file() and os.access(path, os.R_OK)]
    paths = [path for path in paths if not any(
        Path(part).match(name) for part in path.relative_to(folder).parts for name in LEFT_OUT
    )]  # fmt: skip
    scores = {role: {} for role in FILES}
    for path in paths:
        text, stem = source(path), path.stem.lower()
        for role, (name, defines) in FILES.items():
            is_it, has_it = stem == role, re.search(defines, text, re.M)
            if is_it or has_it:
                score = 4 * is_it + 3 * bool(has_it) + bool(re.fullmatch(name, stem))
                is_other = NOT_IT.search(str(path.relative_to(folder))) or "import torch" in text
                scores[role][path] = score - 6 * bool(is_other)
    part_2 = [path.parent for role in [*FILES][1:] for path in scores[role]]
    for role in FILES:
        scores[role] = sorted(scores[role], key=lambda p, role=role: (
            -scores[role][p], -part_2.count(p.parent), len(p.parts), str(p)))  # fmt: skip
    return scores


def submissions(path):
    """Return the folders of the submissions at a path: itself, or each folder in it.

    It is a folder of many if at least two folders in it hold the same part, and one of them holds
    all or each of them that part; but not if they are called parts or versions, as Part_2, Part_3.
    """
    path = path.resolve()
    folders = [
        p for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith((".", "__"))
    ]
    roles = {p: {role for role, files in candidates(p).items() if files} for p in folders}
    is_own = any(file.parent == path for files in candidates(path).values() for file in files)
    inner = {p: submissions(p) for p in folders if roles[p] and not is_own}
    students = [roles[p] for p in folders if roles[p] and not IS_PART.fullmatch(p.name)]
    n_whole = sum({"perceptron", "modules"} <= held for held in students)
    is_same = len(students) > 1 and bool(set.intersection(*students) or n_whole)
    if n_whole > 1 or (is_same and not is_own) or any(len(found) > 1 for found in inner.values()):
        return [found for p in folders for found in inner.get(p, [p])]
    return [path]


class Submission:
    """A copy of a submission and the process that runs it: a context manager.

    `call_limit` and `total_limit` are seconds, `memory` is bytes.
    """

    def __init__(self, folder, call_limit=10, total_limit=120, memory=4 * 2**30):
        self.folder, self.limits, self.memory = folder.resolve(), (call_limit, total_limit), memory
        self.files, self.read_as, self.broken, self.process = {}, [], {}, None
        self.prints = ""  # the last 2,000 characters that it printed
        for role, paths in candidates(self.folder).items():
            names = [str(path.relative_to(self.folder)) for path in paths]
            if names:
                self.files[role] = names[0]
            if names[1:]:
                self.read_as.append(f"{role}.py is {names[0]}, not {', '.join(names[1:])}")
            elif names and Path(names[0]).name != f"{role}.py":
                self.read_as.append(f"{role}.py is {names[0]}")
            if not names:
                self.broken[role] = {"type": "missing"}
            elif is_empty(source(paths[0])):
                self.broken[role] = {"type": "empty"}

    running: ClassVar[list] = []  # all that were entered and not left

    @classmethod
    def stop_all(cls):
        """End every process, for good, and remove the copies."""
        cls.start = lambda self: sys.exit()
        for submission in cls.running[:]:
            with suppress(Exception):
                submission.__exit__()

    def __enter__(self):
        self.running.append(self)
        self.scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.copy = Path(self.scratch.name).resolve() / "work" / self.folder.name
        shutil.copytree(self.folder, self.copy, ignore=self.left_out, symlinks=True)
        self.ends = time.monotonic() + self.limits[1]
        return self

    @staticmethod
    def left_out(folder, names):
        """Return what is not copied: environments, pipes, and what cannot be read."""
        paths = {name: Path(folder, name) for name in names}
        plain = {name for name, p in paths.items() if p.is_file() or p.is_dir() or p.is_symlink()}
        readable = {name for name in plain if os.access(paths[name], os.R_OK)}
        return ({*names} - readable) | shutil.ignore_patterns(*LEFT_OUT)(folder, names)

    def __exit__(self, *_):
        self.stop()
        self.scratch.cleanup()
        if self in self.running:
            self.running.remove(self)

    def start(self):
        """Start the process, where nothing of the submission is on Python's path."""
        env = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL")}
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("probe.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.scratch.name,
            env={**env, **threads, "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"},
            start_new_session=True,
            text=True,
        )
        self.answers = queue.SimpleQueue()
        for listen in (self.listen, self.keep_prints):
            threading.Thread(target=listen, args=(self.process, self.answers), daemon=True).start()
        self.send({"folder": str(self.copy), "files": self.files, "memory": self.memory})
        with suppress(queue.Empty):
            if not self.answers.get(timeout=60):  # it is ready, or has ended
                self.answers.put("")

    @staticmethod
    def listen(process, answers):
        with suppress(ValueError, OSError), process.stdout:
            for line in process.stdout:
                answers.put(line)
        answers.put("")

    def keep_prints(self, process, _):
        with suppress(ValueError, OSError), process.stderr:
            while text := os.read(process.stderr.fileno(), 2**16):
                text = text.decode(errors="replace").replace(f"{self.copy}{os.sep}", "")
                self.prints = (self.prints + text)[-2000:]

    def send(self, request):
        with suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(request, default=as_json) + "\n")
            self.process.stdin.flush()

    def stop(self):
        """End the process and all that it has started; the threads close its pipes."""
        process, self.process = self.process, None
        if process:
            with suppress(ProcessLookupError, PermissionError, AttributeError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            with suppress(OSError):
                process.stdin.close()

    def ask(self, do, *roles, **values):
        """Return what a `do_` function of probe.py got, and the exception it ended with, or None.

        `roles` are the files that it needs. An exception is a dict: its type, text, file, line.
        """
        for role in reversed(roles):
            if (self.broken.get(role) or {}).get("type") in ("missing", "empty"):
                return {}, {**self.broken[role], "role": role}
        for role in roles:
            if role not in self.broken:
                self.broken[role] = self.exchange({"do": "import", "role": role})[1]
            if self.broken[role]:
                return {}, {**self.broken[role], "role": role}
        return self.exchange({"do": do, **values})

    def exchange(self, request):
        if self.process is None:
            self.start()
        left = self.ends - time.monotonic()
        self.send(request)
        try:
            answer = json.loads(
                self.answers.get(timeout=max(0, min(self.limits[0], left))), object_hook=of_json
            )
        except queue.Empty:
            self.stop()
            seconds = self.limits[0] if left > self.limits[0] else self.limits[1]
            in_all = "" if left > self.limits[0] else " in all"
            return {}, {"type": "late", "text": f"took longer than {seconds:g} s{in_all}"}
        except ValueError:  # no more answers
            self.stop()
            return {}, {"type": "ended", "text": "ended by itself"}
        self.read_as += [text for text in answer["read_as"] if text not in self.read_as]
        return answer["got"], answer.get("raised")
