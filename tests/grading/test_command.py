"""The commands: what a learner, a teacher with a folder of solutions, and Gradescope get."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import grading
from grading.starter import TO_WRITE
from grading.submission import Submission, submissions

ROOT = Path(__file__).parents[2]
RIGHT = Path(__file__).with_name("right")
FILES = ("perceptron.py", "modules.py", "mlp_numpy.py", "train_mlp_numpy.py")
README = (ROOT / "grading" / "README.md").read_text(encoding="utf-8")


def run(module, *args):
    command = [sys.executable, "-m", module, *map(str, args)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def empty(tmp_path):
    """The assignment as a student gets it."""
    status, *_ = run("grading.starter", tmp_path / "mine")
    assert status == 0
    return tmp_path / "mine"


def fill(file, old, new):
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_of_an_empty_solution_every_piece_is_to_do(empty):
    status, out, _ = run("grading", empty)
    assert status == 1
    assert "mine: 0 of 100 points" in out
    assert not re.search("right|wrong", out)
    for names in TO_WRITE.values():
        for name in names:
            assert re.search(rf"to do\s+(.*, )?{name}\b", out), name


def test_what_a_student_is_given_works(empty):
    code = "import perceptron, train_mlp_numpy; print(train_mlp_numpy.load_data().x_train.shape)"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=empty, capture_output=True, text=True)
    assert result.stdout == "(800, 2)\n", result.stderr


def test_a_student_is_given_no_formula(empty):
    for file in FILES:
        text = (empty / file).read_text(encoding="utf-8")
        assert not re.search(r"@|\.T\b|sum|exp\(|log\b|max\(|learning_rate \*", text), file


def test_a_learner_is_told_what_is_wrong_and_then_that_it_is_right(empty):
    blocks = re.findall(r"```(?:python)?\n(.*?)```", README, re.S)
    wrong = next(block for block in blocks if "def backward" in block)
    told = next(block for block in blocks if "averaged over the batch" in block)
    text = (empty / "modules.py").read_text()
    for code in re.split(r"\n(?=def )", wrong):
        head, body = code.rstrip().split("\n", 1)
        start = text.index(f"    {head}")
        end = text.index("raise NotImplementedError", start) + len("raise NotImplementedError")
        docstring = text[start:end].rsplit("\n", 1)[0]
        text = f"{text[:start]}{docstring}\n{textwrap.indent(body, '    ')}{text[end:]}"
    (empty / "modules.py").write_text(text)
    _, out, _ = run("grading", empty)
    for line in told.strip().splitlines():
        assert line in out
    fill(empty / "modules.py", "dout.mean(axis=0)", "dout.sum(axis=0)")
    _, out, _ = run("grading", empty)
    assert "wrong" not in out
    assert "right       Linear.backward: bias" in out


def test_the_starter_never_overwrites(empty):
    before = (empty / "modules.py").read_text()
    status, _, err = run("grading.starter", empty)
    assert status == 2
    assert "name a new or an empty folder" in err
    assert (empty / "modules.py").read_text() == before


def test_a_folder_of_many_gives_a_table_and_files(empty):
    many = empty.parent / "many"
    for name in ("ada", "grace"):
        for file in FILES:
            target = many / name / ("Part 2" if file != "perceptron.py" else "Part_1") / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(RIGHT / file, target)
    fill(many / "grace" / "Part 2" / "modules.py", "np.sum(dout, axis=0)", "np.mean(dout, axis=0)")
    (many / "nobody").mkdir()
    status, out, _ = run("grading", many, "--output_dir", many / "results", "--n_jobs", 2)
    assert status == 1
    lines = out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["ada", "grace", "nobody"]
    assert "100" in lines[1]
    assert "the bias gradient is averaged over the batch, but should be summed: Part 2" in lines[2]
    assert "there is no Python file of the assignment" in lines[3]
    with open(many / "results" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["submission", "part", "check", "status", "message", "points"]
    assert {row["part"] for row in rows} == {"perceptron", "layers", "network", "trainer"}
    assert {row["status"] for row in rows} == {"right", "wrong", "not judged"}
    ada = [row for row in rows if row["submission"] == "ada"]
    assert {row["status"] for row in ada} == {"right"}
    assert sum(float(row["points"]) for row in ada) == pytest.approx(100, abs=0.1)
    for part, points in ("perceptron", 20), ("trainer", 15):
        of_part = [float(row["points"]) for row in ada if row["part"] == part]
        assert sum(of_part) == pytest.approx(points, abs=0.1)
    result = json.loads((many / "results" / "ada.json").read_text())
    assert result["score"] == result["max_score"] == 100
    assert {*result["tests"][0]} == {"name", "score", "max_score", "output"}
    assert "averaged over the batch" in (many / "results" / "grace.md").read_text()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nowhere"], "is not there"),
        (["modules.py"], "is a file; give its folder"),
        (["grading", "--call_limit", "0"], "give a number above 0"),
        (["grading", "--points", "requirements.txt"], "has no points"),
        ([], "the following arguments are required: PATH"),
    ],
)
def test_a_wrong_flag_is_one_sentence(args, says):
    status, _, err = run("grading", *args)
    assert status == 2
    assert says in err
    assert "Traceback" not in err


def ask(folder, file, code, **limits):
    (folder / file).write_text(code)
    with Submission(folder, **limits) as submission:
        return submission.ask("import", file.removesuffix(".py"), role=file.removesuffix(".py"))[
            1
        ], submission


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import os\nos._exit(0)", "ended"),
        ("while True: pass", "late"),
        ("import time, signal\nsignal.alarm = print\ntime.sleep(60)", "late"),
        ("x = bytearray(10**10)", "MemoryError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("input()", "EOFError"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("import conftest_that_is_not_there", "ModuleNotFoundError"),
    ],
)
def test_what_a_submission_does_to_its_process_is_told(code, kind, tmp_path):
    raised, _ = ask(tmp_path, "modules.py", code, call_limit=2, memory=3 * 2**30)
    assert raised["type"] == kind


def test_files_for_python_and_pytest_in_a_submission_have_no_effect(tmp_path):
    for name in ("sitecustomize.py", "usercustomize.py", "conftest.py"):
        (tmp_path / name).write_text("raise SystemExit('used')")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --collect-only")
    assert ask(tmp_path, "modules.py", "")[0]["type"] == "empty"
    assert ask(tmp_path, "modules.py", "print('hello' * 3)")[0] is None


def test_nothing_of_this_project_stands_in_for_a_submission(tmp_path):
    raised, _ = ask(tmp_path, "mlp_numpy.py", "import modules")
    assert raised["type"] == "ModuleNotFoundError"
    for path in (ROOT / "grading").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"^\s*(from|import) (perceptron|modules|mlp_numpy|train_mlp_numpy)\b", text, re.M
        )


def test_folders_of_one_and_of_many_are_told_apart(tmp_path):
    one = tmp_path / "one"
    for part in ("Part_1", "Part_2", "Part_3"):
        (one / part).mkdir(parents=True)
        (one / part / "modules.py").write_text("x = 1")
    assert submissions(one) == [one]
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "modules.py").write_text("x = 1")
    assert submissions(tmp_path) == [one, tmp_path / "two"]


def test_the_readme_names_what_there_is():
    assert grading.__doc__
    for path in (ROOT / "grading").glob("[!_]*.*"):
        assert f"`{path.name}`" in README or path.name == "README.md"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_everything_that_was_started(sent, tmp_path):
    psutil = pytest.importorskip("psutil")
    for name in ("ada", "vera"):
        (tmp_path / name).mkdir()
        for file in ("perceptron.py", "modules.py"):
            (tmp_path / name / file).write_text("while True: pass")
    command = [sys.executable, "-m", "grading", str(tmp_path), "--n_jobs", "2"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        probes = []
        while len(probes) < 2 and process.poll() is None:
            probes = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(sent)
        assert process.wait(timeout=30) == 130
    _, alive = psutil.wait_procs(probes, timeout=5)
    assert alive == []


def test_an_odd_submission_does_not_end_the_work_on_a_class(tmp_path):
    for name in ("ada", "vera", "quin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "perceptron.py").write_text("x = 1")
    os.mkfifo(tmp_path / "ada" / "pipe")
    (tmp_path / "ada" / "self").symlink_to(".")
    (tmp_path / "vera" / "perceptron.py").write_text("# coding: rot13\nx = 1")
    status, out, err = run("grading", tmp_path, "--output_dir", tmp_path / "out")
    assert status == 1
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["ada", "quin", "vera"]
    assert err == ""
