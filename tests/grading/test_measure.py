"""A submission runs in processes of its own: what it does there changes nothing here."""

import sys
from pathlib import Path

import pytest

from tests.grading.judging import copy_right, faults_in, has_ended, replace, rows_at, statuses

ROOT = Path(__file__).parents[2]
MODULES = "modules.py"


def reason_for(text, folder, **limits):
    """Return why nothing of a modules.py with this text is judged."""
    (folder / MODULES).write_text(text)
    rows, _ = rows_at(folder, **limits)
    assert rows["Linear.forward"].status == "not judged"
    return rows["Linear.forward"].reason


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import sys\nsys.exit(0)", "SystemExit"),
        ("input()", "EOFError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("open('weights.txt')", "weights.txt"),
    ],
)
def test_what_a_file_does_when_it_is_imported_is_reported(text, says, tmp_path):
    assert says in reason_for(text, tmp_path)


def test_an_error_is_reported_with_the_innermost_line_of_the_submission(tmp_path):
    copy_right(tmp_path, MODULES)
    old = "return np.where(x > 0, x, 0)"
    replace(tmp_path / MODULES, old, "return rectified(x)")
    with open(tmp_path / MODULES, "a") as file:
        file.write("\n\ndef rectified(x):\n    return x.clamp(0)\n")
    n_lines = len((tmp_path / MODULES).read_text().splitlines())
    rows, _ = rows_at(tmp_path)
    (fault,) = rows["ReLU.forward"].faults
    assert "AttributeError" in fault.words
    assert fault.where == f"{MODULES} line {n_lines}"


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_memory_is_limited(tmp_path):
    assert "MemoryError" in reason_for("x = bytearray(10**10)", tmp_path, memory=3 * 2**30)


@pytest.mark.skipif(sys.platform == "win32", reason="has no alarm")
def test_an_endless_loop_ends_also_if_the_submission_disarms_the_alarm(tmp_path):
    text = "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0)\nwhile True: pass"
    assert "took longer than 1 s" in reason_for(text, tmp_path, time_limit=1)


@pytest.mark.skipif(sys.platform == "win32", reason="has no groups of processes")
def test_what_a_submission_has_started_ends_with_it(tmp_path):
    pytest.importorskip("psutil")
    note = tmp_path / "started.txt"
    (tmp_path / "ada").mkdir()
    (tmp_path / "ada" / MODULES).write_text(
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '1000'])\n"
        f"open({str(note)!r}, 'w').write(str(child.pid))\n"
    )
    rows_at(tmp_path / "ada")
    assert has_ended(int(note.read_text()))


def test_nothing_of_this_project_stands_in_for_a_file_of_a_submission(tmp_path):
    copy_right(tmp_path, MODULES)
    (tmp_path / "mlp_numpy.py").write_text("import perceptron")
    rows, _ = rows_at(tmp_path)
    assert "perceptron" in rows["MLP.forward"].reason
    assert rows["Linear.forward"].status == "right"


CHEATS = [
    "np.allclose = lambda *args, **options: True",
    "np.abs = np.max = np.sum = lambda *args, **options: 0.0",
    "import json; json.dumps = lambda *args, **options: '{}'",
    "import os; os._exit = print",
]


@pytest.mark.parametrize("cheat", CHEATS)
def test_no_function_that_a_submission_replaces_changes_a_verdict(cheat, tmp_path):
    copy_right(tmp_path, MODULES, "mlp_numpy.py")
    replace(tmp_path / MODULES, "np.dot(self.x.T, dout)", "2 * np.dot(self.x.T, dout)")
    with open(tmp_path / MODULES, "a") as file:
        file.write(f"\n\n{cheat}\n")
    rows, _ = rows_at(tmp_path)
    assert rows["Linear.backward: weight"].status != "right"
    assert rows["MLP.backward"].status != "right"


@pytest.mark.parametrize(
    "line",
    [
        "from loguru import logger",
        "from torch.utils.tensorboard import SummaryWriter",
    ],
)
def test_a_trainer_is_judged_though_a_package_is_missing_that_only_decorates(line, tmp_path):
    trainer = "train_mlp_numpy.py"
    copy_right(tmp_path, MODULES, "mlp_numpy.py", trainer)
    replace(tmp_path / trainer, "import numpy as np", f"import numpy as np\n{line}")
    rows, _ = rows_at(tmp_path)
    assert rows["train: step"].status == "right"


def test_files_for_python_and_pytest_in_a_submission_have_no_effect(tmp_path):
    copy_right(tmp_path, MODULES, "mlp_numpy.py")
    for name in ("sitecustomize.py", "usercustomize.py", "conftest.py", "numpy.py", "grading.py"):
        (tmp_path / name).write_text("raise SystemExit('used')")
    rows, _ = rows_at(tmp_path)
    assert statuses(rows) == {"right", "to do"}
    assert faults_in(rows) == []


@pytest.mark.parametrize(
    "line",
    [
        "from Part_2.modules import Linear, ReLU, SoftMax",
        "from .modules import Linear, ReLU, SoftMax",
        "from ..Part_2.modules import Linear, ReLU, SoftMax",
    ],
)
def test_a_submission_may_import_its_own_files_in_any_way(line, tmp_path):
    part_2 = tmp_path / "Part_2"
    part_2.mkdir()
    copy_right(part_2, MODULES, "mlp_numpy.py")
    replace(part_2 / "mlp_numpy.py", "from modules import Linear, ReLU, SoftMax", line)
    rows, _ = rows_at(tmp_path)
    assert rows["MLP.backward"].status == "right"


def test_nothing_in_the_grader_imports_what_it_judges():
    for path in (ROOT / "grading").rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]) and len(words) > 1:
                assert words[1] not in ("perceptron", "modules", "mlp_numpy", "train_mlp_numpy")
