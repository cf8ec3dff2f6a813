"""The grader's verdicts on cases.json: solutions in other conventions, with faults, or unusable."""

import json
from pathlib import Path

import pytest

from grading.judge import Judge
from grading.submission import Submission

CASES = json.loads(Path(__file__).with_name("cases.json").read_text(encoding="utf-8"))


MOONS = """import numpy as np

def make_moons(n_samples, noise, random_state):
    rng = np.random.RandomState(random_state)
    y = rng.randint(2, size=n_samples)
    return rng.normal(0, 1, (n_samples, 2)) + y[:, None], y
"""


def build(case, folder):
    """Write the files of a case, and a scikit-learn that takes no second to import."""
    (folder / "sklearn").mkdir()
    (folder / "sklearn" / "__init__.py").touch()
    (folder / "sklearn" / "datasets.py").write_text(MOONS)
    for name, text in (CASES["base"] | case["files"]).items():
        if name not in case["without"]:
            (folder / name).write_text(text, encoding="utf-8")


def messages(rows, status):
    """Return what is said with this status, but for what only points to another cause."""
    return [r.message for r in rows if r.status == status and not r.message.startswith("because")]


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_a_case_gets_the_verdict_of_a_fair_teacher(case, tmp_path):
    build(case, tmp_path)
    with Submission(tmp_path, call_limit=3 if "loop" in case["name"] else 10) as submission:
        rows = Judge(submission).judge()
    of_part = [row for row in rows if case["part"] in (row.part, "all")]
    if case["truth"] == "right":
        assert [row for row in of_part if row.status != "right"] == []
        return
    told = messages(rows, "wrong" if case["truth"] == "wrong" else "not judged")
    assert len(told) == len(case["says"]), told
    for message, says in zip(told, case["says"], strict=True):
        assert says in message
    if case["truth"] == "unusable":
        assert "right" not in [row.status for row in of_part]


def test_a_part_that_is_missing_is_said_once_and_gets_nothing(tmp_path):
    build(next(c for c in CASES["cases"] if c["name"] == "f_only_perceptron"), tmp_path)
    with Submission(tmp_path) as submission:
        rows = Judge(submission).judge()
    files = ["modules.py", "mlp_numpy.py", "train_mlp_numpy.py"]
    assert messages(rows, "not judged") == [f"{file} is missing" for file in files]
    assert {row.status for row in rows if row.part != "perceptron"} == {"not judged"}


def test_what_a_solution_writes_stays_in_its_copy(tmp_path):
    case = next(c for c in CASES["cases"] if c["name"] == "f_write")
    build(case, tmp_path)
    before = sorted(tmp_path.iterdir())
    with Submission(tmp_path) as submission:
        Judge(submission).judge()
    assert sorted(tmp_path.iterdir()) == before
    assert not Path("i_was_here.txt").exists()
