"""The commands: what a learner, a teacher with a folder of solutions, and Gradescope get."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pandas as pd
import pytest

from grading import __main__ as command
from grading import measure, starter
from grading.checks import CHECKS, Fault, not_judged, right, to_do, wrong
from tests.grading.judging import has_ended
from tests.helpers import help_text, refusal, run_twice_at_once, watch_replacements

ROOT = Path(__file__).parents[2]
RIGHT = Path(__file__).with_name("right")
README = (ROOT / "grading" / "README.md").read_text(encoding="utf-8")
STAND_IN = "class Linear:\n    pass\n"  # a file that nobody runs


def run(module, *args, **options):
    """Run a command of the grader; return its exit status, and what it printed."""
    texts = [str(arg) for arg in args]
    result = subprocess.run(
        [sys.executable, "-m", module, *texts], cwd=ROOT, capture_output=True, text=True, **options
    )
    return result.returncode, result.stdout, result.stderr


def put(folder, *names):
    """Make a folder for each student, with a file that nobody runs."""
    for name in names:
        (folder / name).mkdir(parents=True)
        (folder / name / "modules.py").write_text(STAND_IN)


@pytest.fixture
def verdicts(monkeypatch):
    """A dict that is to be filled: rows by the name of a submission's folder, instead of checks."""
    rows = {}

    def rows_of(folder, *_, **__):
        found = rows[folder.name]
        if isinstance(found, BaseException):
            raise found
        return found, ["samples are columns"]

    monkeypatch.setattr(measure, "rows_of", rows_of)
    return rows


def all_right(*others):
    """Return a row for each check: the others, and right where there is none."""
    by_name = {row.check: row for row in others}
    return [by_name.get(check.name, right(check.name)) for check in CHECKS]


def graded(capsys, *args):
    """Grade in this process; return the exit status and the lines printed."""
    status = command.main([str(arg) for arg in args])
    return status, capsys.readouterr().out.splitlines()


# The walk through the starter


@pytest.fixture
def empty(tmp_path):
    """The assignment as a student gets it."""
    status = starter.main([str(tmp_path / "mine")])
    assert status == 0
    return tmp_path / "mine"


def test_a_right_solution_gets_all_points_and_nothing_else_is_printed():
    status, out, err = run("grading", RIGHT)  # alone: scikit-learn is imported by its own trainer
    assert "right: 100 of 100 points" in out
    assert status == 0
    assert err == ""


def test_of_an_empty_solution_every_piece_is_to_do(empty, capsys):
    status, lines = graded(capsys, empty)
    out = "\n".join(lines)
    assert status == 1
    assert "mine: 0 of 100 points" in out
    assert not re.search("right|wrong", out)
    for names in starter.TO_WRITE.values():
        for name in names:
            assert re.search(rf"to do\s+(.*, )?{name}\b", out), name


def test_a_learner_is_told_what_is_wrong_and_then_that_it_is_right(empty, capsys):
    """The walk in grading/README.md, as it is printed there."""
    blocks = re.findall(r"```(?:python)?\n(.*?)```", README, re.S)
    code = next(block for block in blocks if "def backward" in block)
    told = next(block for block in blocks if "the lecture: db" in block)
    fill_in(empty / "modules.py", code)
    _, lines = graded(capsys, empty)
    for line in told.strip().splitlines():
        assert line in "\n".join(lines)
    text = (empty / "modules.py").read_text()
    (empty / "modules.py").write_text(text.replace("dout.mean(axis=0)", "dout.sum(axis=0)"))
    _, lines = graded(capsys, empty)
    out = "\n".join(lines)
    assert "wrong" not in out
    assert "right       Linear.backward: bias" in out


def fill_in(file, code):
    """Replace the bodies of the first functions of these names, below their docstrings."""
    text = file.read_text()
    for function in re.split(r"\n(?=def )", code):
        head, body = function.rstrip().split("\n", 1)
        start = text.index(f"    {head}")
        end = text.index("raise NotImplementedError", start) + len("raise NotImplementedError")
        docstring = text[start:end].rsplit("\n", 1)[0]
        text = f"{text[:start]}{docstring}\n{textwrap.indent(body, '    ')}{text[end:]}"
    file.write_text(text)


def test_what_a_student_is_given_works(empty):
    code = "import perceptron, train_mlp_numpy; print(train_mlp_numpy.load_data().x_train.shape)"
    result = subprocess.run([sys.executable, "-c", code], cwd=empty, capture_output=True, text=True)
    assert result.stdout == "(800, 2)\n", result.stderr


def test_a_student_is_given_no_formula(empty):
    for file in starter.TO_WRITE:
        text = (empty / file).read_text(encoding="utf-8")
        assert not re.search(r"@|\.T\b|sum|exp\(|log\b|max\(|learning_rate \*", text), file


def test_the_starter_never_overwrites(empty, capsys):
    (empty / "perceptron.py").unlink()
    (empty / "modules.py").write_text("mine")
    line = refusal(starter.main, [str(empty)], capsys)
    assert "modules.py exists" in line
    assert "name a new or an empty folder" in line
    assert (empty / "modules.py").read_text() == "mine"
    assert not (empty / "perceptron.py").exists()


def test_two_starters_may_write_into_one_folder_at_the_same_time(tmp_path):
    run_twice_at_once(lambda: starter.write(tmp_path / "modules.py", "mine"), "modules.py")
    assert os.listdir(tmp_path) == ["modules.py"]


def test_the_starter_writes_nothing_if_our_own_files_are_broken(tmp_path, monkeypatch, capsys):
    for file in starter.TO_WRITE:
        shutil.copyfile(ROOT / file, tmp_path / file)
    (tmp_path / "train_mlp_numpy.py").write_text("def (")
    monkeypatch.setattr(starter, "ROOT", tmp_path)
    assert starter.main([str(tmp_path / "mine")]) == 1
    assert "train_mlp_numpy.py" in capsys.readouterr().err
    assert list((tmp_path / "mine").iterdir()) == []


def test_both_commands_show_an_example(capsys):
    assert "Example: python -m grading.starter" in help_text(starter.main, capsys)
    assert "Example: python -m grading " in help_text(command.main, capsys)


# One submission on the terminal


def test_a_wrong_row_tells_every_fault_and_the_formula(tmp_path, verdicts, capsys):
    put(tmp_path, "ada")
    faults = [Fault("averages over the batch", where="modules.py line 3"), Fault("forgets a row")]
    verdicts["ada"] = all_right(wrong("Linear.backward: bias", *faults))
    status, lines = graded(capsys, tmp_path / "ada")
    assert status == 1
    start = lines.index("  wrong       Linear.backward: bias")
    told = [line.strip() for line in lines[start + 1 : start + 4]]
    assert told[0] == "averages over the batch: modules.py line 3"
    assert told[1] == "forgets a row"
    assert told[2].startswith("the lecture: db = ")


def test_what_rests_on_another_check_says_which_to_fix_first(tmp_path, verdicts, capsys):
    put(tmp_path, "ada")
    row = not_judged("MLP.update")
    row.rests_on = "ReLU.forward"
    verdicts["ada"] = all_right(wrong("ReLU.forward", "is leaky"), row)
    _, lines = graded(capsys, tmp_path / "ada")
    (line,) = [line for line in lines if "MLP.update" in line]
    assert "not judged" in line
    assert "first fix ReLU.forward" in line


def test_neighbours_with_one_reason_are_shown_as_one(tmp_path, verdicts, capsys):
    put(tmp_path, "ada")
    names = ["MLP.__init__", "MLP.forward", "MLP.backward"]
    rows = [to_do(name, "there is no MLP") for name in names]
    verdicts["ada"] = all_right(*rows, to_do("accuracy", "there is no MLP"))
    _, lines = graded(capsys, tmp_path / "ada")
    assert "  to do       MLP.__init__, MLP.forward, MLP.backward" in lines
    assert len([line for line in lines if "there is no MLP" in line]) == 2


def test_conventions_are_listed_once_as_read(tmp_path, verdicts, capsys):
    put(tmp_path, "ada")
    (tmp_path / "ada" / "modules.py").rename(tmp_path / "ada" / "layers.py")
    note = "the loss is summed"
    names = ["CrossEntropy.forward", "CrossEntropy.backward"]
    verdicts["ada"] = all_right(*[right(name, note) for name in names])
    status, lines = graded(capsys, tmp_path / "ada")
    assert status == 0
    start = lines.index("read as")
    told = [line.strip() for line in lines[start + 1 : start + 4]]
    assert told == ["modules.py is layers.py", "samples are columns", note]
    assert lines.count(f"  {note}") == 1


def test_only_what_is_right_gets_points_and_the_total_is_a_lower_bound(tmp_path, verdicts, capsys):
    put(tmp_path, "ada")
    verdicts["ada"] = all_right(
        wrong("MLP.__init__", "x"),
        to_do("MLP.forward", "x"),
        not_judged("MLP.backward", "x"),
        not_judged("MLP.update", "x"),
    )
    _, lines = graded(capsys, tmp_path / "ada")
    assert "80 of 100" in lines[0]
    assert "and 10 not judged" in lines[0]
    assert "network: 0 of 20" in lines


def test_points_conventions_and_limits_may_be_given(tmp_path, verdicts, capsys, monkeypatch):
    put(tmp_path, "ada")
    verdicts["ada"] = all_right()
    points = tmp_path / "points.toml"
    text = 'perceptron = 1\nlayers = 2\nnetwork = 3\ntrainer = 0\nconventions.form = "columns"'
    points.write_text(text)
    passed = {}
    rows_of = measure.rows_of

    def watched(*args, **options):
        passed.update(options)
        return rows_of(*args)

    monkeypatch.setattr(measure, "rows_of", watched)
    limits = ["--memory", 2, "--time_limit", 7]
    _, lines = graded(capsys, tmp_path / "ada", "--points", points, *limits)
    assert "6 of 6" in lines[0]
    assert passed["time_limit"] == 7
    assert passed["given"] == {"form": "columns"}
    assert passed["memory"] == 2 * 2**30


# A class


@pytest.fixture
def many(tmp_path, verdicts):
    """Four students: all is right, partly wrong, the grader itself fails, a file to unpack."""
    put(tmp_path / "many", "ada", "grace", "vera")
    (tmp_path / "many" / "zuse").mkdir()
    (tmp_path / "many" / "zuse" / "hw.zip").touch()
    verdicts["ada"] = all_right()
    odd = "raises ValueError: \x1b[2J a\n\tvery " + "long " * 200 + "中文" * 200
    later = not_judged("MLP.forward")
    later.rests_on = "ReLU.forward"
    verdicts["grace"] = all_right(
        wrong("ReLU.forward", Fault("is leaky", where="modules.py line 9"), Fault(odd)),
        later,
        to_do("train: run", "train_mlp_numpy.py is missing"),
        not_judged("accuracy", "needs the package nowhere"),
    )
    verdicts["vera"] = RuntimeError("odd")
    return tmp_path / "many"


def test_a_class_gets_a_line_each_and_below_it_what_is_wrong(many, capsys):
    status, lines = graded(capsys, many)
    assert status == 1
    numbered = [line for line in lines if re.match(r" *\d", line)]
    assert [line.split()[-1] for line in numbered] == ["ada", "grace", "vera", "zuse"]
    assert lines[0].split()[:5] == ["total", "perceptron", "layers", "network", "trainer"]
    points_of_grace = ["85.9", "20.0", "40.9", "15.0", "10.0", "7.5"]  # the last: not judged
    assert numbered[1].split() == [*points_of_grace, "grace"]
    text = "\n".join(lines[lines.index(numbered[1]) : lines.index(numbered[2])])
    assert re.search(r"wrong +ReLU.forward\n +is leaky: modules.py line 9\n", text)
    assert "needs the package nowhere" in text
    assert "1 of 26 checks" in text
    assert "first fix" not in text  # a row that rests on another one is left out
    assert "RuntimeError: odd" in "\n".join(lines)
    assert "hw.zip: unpack" in "\n".join(lines)


@pytest.mark.parametrize("columns", [80, 60, 45])
def test_nothing_breaks_the_table_of_a_class(columns, many, verdicts, capsys, monkeypatch):
    long_name = "jane " * 12 + "中文" * 20
    try:
        put(many, long_name)
    except UnicodeEncodeError:
        pytest.skip("this locale has no such names")
    verdicts[long_name] = all_right()
    monkeypatch.setenv("COLUMNS", str(columns))
    _, lines = graded(capsys, many)
    wide = re.compile("[\u4e00-\u9fff]")
    assert max(len(line) + len(wide.findall(line)) for line in lines) <= columns
    assert all(line.isprintable() for line in lines)


def test_csv_page_json_and_terminal_show_the_same(many, tmp_path, capsys):
    folder = tmp_path / "results"
    graded(capsys, many, "--output_dir", folder, "--n_jobs", 2)
    table = pd.read_csv(folder / "results.csv", keep_default_na=False)
    columns = ["submission", "part", "check", "status", "message", "points", "out_of"]
    assert list(table) == columns
    totals = table.groupby("submission")["points"].sum()
    assert dict(totals.round(6)) == {"ada": 100, "grace": 85.909091, "vera": 0, "zuse": 0}
    assert table.groupby("submission")["out_of"].sum().tolist() == pytest.approx([100] * 4)
    of_grace = table[table["submission"] == "grace"]
    page = (folder / "grace.md").read_text(encoding="utf-8")
    data = json.loads((folder / "grace.json").read_text(encoding="utf-8"))
    _, lines = graded(capsys, many / "grace")
    terminal = " ".join(" ".join(lines).split())
    assert data["score"] == 85.91
    assert "85.91 of 100" in terminal
    assert "85.91 of 100" in page
    for row, test in zip(of_grace.itertuples(), data["tests"], strict=True):
        assert test["name"] == f"{row.part}: {row.check}"
        assert test["max_score"] == round(row.out_of, 2)
        assert test["output"].startswith(row.status)
        assert f"**{row.status}** `{row.check}`" in page
        assert f"{row.status:<10}  {row.check}".strip() in "\n".join(lines)
        first_words = row.message.split("; ")[0]
        assert first_words in test["output"]
        assert first_words in page
        assert first_words in terminal
    (wrong_row,) = of_grace[of_grace["status"] == "wrong"].itertuples()
    assert wrong_row.message.startswith("is leaky: modules.py line 9; raises ValueError")
    assert "the lecture: out = max(0, x)" in page


def test_a_page_keeps_names_and_signs_as_they_are(tmp_path, verdicts, capsys):
    put(tmp_path, "ada")
    verdicts["ada"] = all_right(wrong("MLP.__init__", "has no __len__ <b> *args [x]"))
    graded(capsys, tmp_path / "ada", "--output_dir", tmp_path)
    page = (tmp_path / "ada.md").read_text()
    assert r"no \_\_len\_\_ \<b\> \*args \[x\]" in page
    assert "`MLP.__init__`" in page


def test_submissions_of_like_names_have_points_and_files_of_their_own(tmp_path, verdicts, capsys):
    class_folder = tmp_path / "class"
    put(class_folder, "jane doe", "jane_doe", "Ada", "ada")
    verdicts.update(dict.fromkeys(["jane doe", "Ada"], all_right()))
    nothing = [to_do(check.name, "x") for check in CHECKS]
    verdicts.update(dict.fromkeys(["jane_doe", "ada"], nothing))
    graded(capsys, class_folder, "--output_dir", tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "results.csv")
    assert sorted(table.groupby("submission")["points"].sum().round(6)) == [0, 0, 100, 100]
    files = [path.name.casefold() for path in (tmp_path / "out").iterdir()]
    assert len(set(files)) == 1 + 2 * 4  # results.csv, and a page and a JSON file for each


def test_results_in_the_folder_of_the_class_are_not_graded_again(many, capsys):
    graded(capsys, many, "--output_dir", many / "first")
    _, before = graded(capsys, many)
    _, after = graded(capsys, many, "--output_dir", many / "second")
    assert after[:-1] == before
    assert "first" not in "\n".join(after)


def test_files_are_whole_when_they_appear(many, tmp_path, capsys, monkeypatch):
    sizes = watch_replacements(monkeypatch)
    graded(capsys, many, "--output_dir", tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        assert sizes[path.name] == path.stat().st_size


def test_only_if_all_submissions_are_right_the_status_is_0(tmp_path, verdicts, capsys):
    put(tmp_path, "ada", "grace")
    verdicts["grace"] = all_right()
    verdicts["ada"] = all_right(wrong("MLP.forward", "x"))
    assert graded(capsys, tmp_path)[0] == 1
    verdicts["ada"] = all_right()
    assert graded(capsys, tmp_path)[0] == 0


def test_two_commands_may_write_into_one_folder_at_the_same_time(tmp_path, verdicts, capsys):
    put(tmp_path, "ada")
    verdicts["ada"] = all_right()
    folder = tmp_path / "out"

    def run():
        status, _ = graded(capsys, tmp_path / "ada", "--output_dir", folder)
        assert status == 0

    run_twice_at_once(run, "results.csv")
    assert not list(folder.glob("*.tmp"))


def test_what_is_graded_before_an_interrupt_is_kept(many, verdicts, tmp_path, capsys):
    verdicts["grace"] = KeyboardInterrupt()
    flags = [str(many), "--n_jobs", "1", "--output_dir", str(tmp_path / "out")]
    assert command.main(flags) == 130
    assert pd.read_csv(tmp_path / "out" / "results.csv")["submission"].unique().tolist() == ["ada"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "results.csv",
        "ada.md",
        "ada.json",
    }


def test_what_is_graded_does_not_wait_for_a_slow_one_before_it(
    tmp_path, verdicts, capsys, monkeypatch
):
    class_folder = tmp_path / "class"
    put(class_folder, "ada", "grace")
    verdicts.update(dict.fromkeys(["ada", "grace"], all_right()))
    page = tmp_path / "out" / "grace.md"
    rows_of = measure.rows_of

    def slow_for_ada(folder, *args, **options):
        end = time.monotonic() + 10
        while folder.name == "ada" and not page.exists() and time.monotonic() < end:
            time.sleep(0.001)
        if folder.name == "ada" and not page.exists():
            raise TimeoutError("grace has no page yet")
        return rows_of(folder)

    monkeypatch.setattr(measure, "rows_of", slow_for_ada)
    status, lines = graded(capsys, class_folder, "--n_jobs", 2, "--output_dir", page.parent)
    assert status == 0
    assert [line.split()[-1] for line in lines if "100.0" in line] == ["ada", "grace"]
    assert pd.read_csv(page.parent / "results.csv")["submission"].unique().tolist() == [
        "ada",
        "grace",
    ]


def test_a_disk_that_is_full_is_reported_in_a_line(many, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert command.main([str(many), "--output_dir", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "results.csv cannot be written: No space left" in line


# Gradescope


def test_the_two_files_in_the_readme_are_what_gradescope_wants(tmp_path):
    blocks = re.findall(r"```bash\n(#!.*?)```", README, re.S)
    (script,) = [block for block in blocks if "results.json" in block]
    home = tmp_path / "autograder"
    for name in ("submission", "results"):
        (home / name).mkdir(parents=True)
    (home / "source").symlink_to(ROOT)
    (home / "submission" / "hw.zip").touch()
    script = script.replace("/autograder", str(home))
    script = re.sub(r"\S*bin/python", sys.executable, script)
    subprocess.run(["bash", "-c", script], cwd=home, check=True, capture_output=True)
    result = json.loads((home / "results" / "results.json").read_text())
    assert result["score"] == 0
    assert {"name", "score", "max_score", "output"} <= set(result["tests"][0])
    assert "unpack" in result["tests"][0]["output"]


# Errors and ends


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["nowhere"], "nowhere"),
        (["modules.py"], "give its folder"),
        (["grading", "--output_dir", ""], "name a folder"),
        (["grading", "--output_dir", "README.md/x"], "name another folder"),
        (["grading", "--time_limit", "0"], "give a number"),
        (["grading", "--n_jobs", "1.5"], "give a whole number"),
        (["grading", "--memory", "nan"], "give a number"),
        (["grading", "--points", "README.md"], "cannot be read"),
        (["grading", "--points", "pyproject.toml"], "for each of perceptron"),
        (["grading", "--one", "--class"], "not allowed with"),
        (["tests/grading/right", "--class"], "name another folder"),
        ([], "required: PATH"),
    ],
)
def test_a_wrong_flag_is_one_sentence(flags, says, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert says in refusal(command.main, flags, capsys)


@pytest.mark.parametrize(
    ("value", "says"),
    [("-1", "0 or more"), ("true", "0 or more"), ("inf", "0 or more"), ("1\nx = 1", "for each")],
)
def test_points_that_are_not_numbers_from_0_up_are_refused(value, says, tmp_path, capsys):
    path = tmp_path / "points.toml"
    path.write_text(f"perceptron = 1\nlayers = 1\nnetwork = 1\ntrainer = {value}")
    assert says in refusal(command.main, [str(tmp_path), "--points", str(path)], capsys)


def test_an_unknown_convention_is_refused(tmp_path, capsys):
    path = tmp_path / "points.toml"
    text = (ROOT / "grading" / "points.toml").read_text()
    path.write_text(f"{text}\nconventions.wieght = 1")
    assert "wieght" in refusal(command.main, [str(tmp_path), "--points", str(path)], capsys)


def test_an_output_that_cannot_be_written_is_reported_in_a_line(tmp_path, capsys, monkeypatch):
    (tmp_path / "hw.zip").touch()
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with open("/dev/full", "w") as full:  # writes what is left when it is closed, as at the end
        monkeypatch.setattr(sys, "stdout", full)
        assert command.main([str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "No space left" in line


def test_a_closed_standard_output_is_reported(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert command.main(["grading"]) == 2
    monkeypatch.undo()
    assert "standard output" in capsys.readouterr().err


def test_a_reader_that_has_ended_is_no_error(tmp_path, capsys, monkeypatch):
    (tmp_path / "hw.zip").touch()
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    with open(writing_end, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert command.main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("sent", "names", "n_jobs"),
    [
        pytest.param(signal.SIGINT, ["ada"], "1", id="Ctrl-C"),
        pytest.param(signal.SIGINT, ["ada", "vera"], "1", id="one job", marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, ["ada", "vera"], "2", id="two jobs", marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, ["ada", "vera"], "2", id="kill", marks=pytest.mark.slow),
    ],
)
def test_an_interrupt_ends_everything_that_was_started(sent, names, n_jobs, tmp_path):
    psutil = pytest.importorskip("psutil")
    marks = [tmp_path / "running" / name for name in names]
    for mark in marks:
        put(tmp_path, mark.name)
        mark.parent.mkdir(exist_ok=True)
        code = f"open({str(mark)!r}, 'w').close()\nwhile True: pass"
        (tmp_path / mark.name / "modules.py").write_text(code)
        (tmp_path / mark.name / "perceptron.py").write_text(code)
    flags = [sys.executable, "-m", "grading", str(tmp_path), "--class", "--n_jobs", n_jobs]
    # What pytest inherits may ignore Ctrl-C, as a command in the background does.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(flags, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, former)
    with process:
        while process.poll() is None and not marks[0].exists():
            time.sleep(0.05)
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(sent)
        _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert err == "interrupted\n"
    for child in started:
        assert has_ended(child.pid)


def test_an_odd_submission_does_not_end_the_work_on_a_class(tmp_path, capsys):
    put(tmp_path, "ada", "vera", "quin")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "ada" / "pipe")
        (tmp_path / "ada" / "self").symlink_to(".")
    (tmp_path / "vera" / "modules.py").write_text("# coding: rot13\nclass Linear: pass")
    (tmp_path / "quin" / "modules.py").write_bytes(b"\xff\xfe\0class Linear: pass")
    status, lines = graded(capsys, tmp_path, "--output_dir", tmp_path / "out")
    assert status == 1
    numbered = [line for line in lines if re.match(r" *\d", line)]
    assert [line.split()[-1] for line in numbered] == ["ada", "quin", "vera"]


def test_a_bar_is_shown_on_a_terminal_only(many, capsys, monkeypatch):
    graded(capsys, many)
    assert capsys.readouterr().err == ""
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    graded(capsys, many)
    assert "0/4" in terminal.getvalue()


def test_the_readme_names_each_file_of_code():
    folder = ROOT / "grading"
    for path in folder.rglob("[!_]*.*"):
        name = path.relative_to(folder).as_posix()
        if path.suffix in (".py", ".toml") and "__pycache__" not in name:
            assert f"`{name}`" in README
