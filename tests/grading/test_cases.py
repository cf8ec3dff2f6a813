"""The grader's verdicts on cases.json: solutions in other conventions, with faults, or unusable."""

import json
from pathlib import Path

import pytest

from grading.checks import BY_NAME
from tests.grading.judging import rows_at

CASES = json.loads(Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))
BY_CASE = {case["name"]: case for case in CASES["cases"]}


def build(case, folder):
    """Write the files of a case."""
    for name, text in (CASES["base"] | case["files"]).items():
        if name not in case["without"]:
            (folder / name).write_text(text, encoding="utf-8")


def rows_of_part(rows, part):
    return [row for row in rows.values() if part in (BY_NAME[row.check].part, "all")]


def what_is_said(rows):
    """Return all sentences on what is not right, each once."""
    said = []
    for row in rows:
        said += [fault.words for fault in row.faults]
        if row.reason:
            said.append(row.reason)
    return list(dict.fromkeys(said))


@pytest.mark.parametrize("name", BY_CASE)
def test_a_case_gets_the_verdict_of_a_fair_teacher(name, tmp_path):
    case = BY_CASE[name]
    build(case, tmp_path)
    rows, _ = rows_at(tmp_path, time_limit=3 if name == "loop_import" else 60)
    of_part = rows_of_part(rows, case["part"])
    found = {row.status for row in of_part}
    if case["truth"] == "right":
        assert found == {"right"}
        return
    if case["truth"] == "unusable":
        assert found == {"not judged"}
        said = what_is_said(of_part)
    elif case["truth"] == "to do":
        assert "to do" in found
        assert "wrong" not in found
        said = what_is_said(of_part)
    else:
        assert "wrong" in found
        assert "to do" not in found
        said = [fault.words for row in of_part for fault in row.faults]
    assert len(said) == len(case["says"]), said
    for sentence, words in zip(said, case["says"], strict=True):
        assert words in sentence


def test_a_part_that_is_missing_is_to_do_and_says_so(tmp_path):
    build(BY_CASE["f_only_perceptron"], tmp_path)
    rows, _ = rows_at(tmp_path)
    assert what_is_said(rows_of_part(rows, "layers")) == ["modules.py is missing"]
    assert what_is_said(rows_of_part(rows, "trainer")) == ["train_mlp_numpy.py is missing"]
    assert {row.status for row in rows_of_part(rows, "perceptron")} == {"right"}


def test_what_a_solution_writes_stays_in_its_copy(tmp_path):
    build(BY_CASE["f_write"], tmp_path)
    before = sorted(tmp_path.iterdir())
    rows_at(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert not Path("i_was_here.txt").exists()
