"""The grader's verdicts on solutions in other conventions, with faults, or unusable.

Each has a folder in cases/ with the files in which it differs from cases/base.
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from grading.checks import BY_NAME
from tests.grading.judging import rows_at

FOLDER = Path(__file__).with_name("cases")
NETWORK = ["modules.py", "mlp_numpy.py"]
TRAINER = [*NETWORK, "train_mlp_numpy.py"]
FILES = {  # that a part needs
    "perceptron": ["perceptron.py"],
    "layers": NETWORK,
    "network": NETWORK,
    "trainer": TRAINER,
    "all": ["perceptron.py", *TRAINER],
}


# By the status that is due: what other rows may be. A row that rests on a wrong one is not judged.
MAY_BE_BESIDE = {
    "right": set(),
    "wrong": {"right", "not judged"},
    "to do": {"right", "not judged"},
    "not judged": set(),
}


@dataclass
class Case:
    """A solution, and the verdict that it deserves.

    Args:
        name: that of its folder.
        part: the part of the assignment that it is about, or "all".
        truth: the status that is due: right, wrong, to do or not judged.
        says: for each sentence of the grader, in the order of the checks, some words of it. There
            must be no other sentence.
        without: files of cases/base that it lacks.
    """

    name: str
    part: str
    truth: str
    says: list = field(default_factory=list)
    without: list = field(default_factory=list)


CASES = [
    Case("as_most_write_it", "all", "right"),
    Case("division_by_n_in_linear", "layers", "right"),
    Case("epsilon_in_the_gradient", "layers", "right"),
    Case("float32", "layers", "right"),
    Case("loss_summed_over_the_batch", "layers", "right"),
    Case("data_split_as_in_the_handout", "perceptron", "right"),
    Case("data_in_another_order", "perceptron", "right"),
    Case("parameters_called_w_and_b", "layers", "right"),
    Case("parameters_with_an_underscore", "layers", "right"),
    Case("backward_takes_the_targets", "network", "right"),
    Case("network_takes_the_learning_rate", "network", "right"),
    Case("update_without_an_argument", "network", "right"),
    Case("softmax_without_backward", "layers", "right"),
    Case("bias_is_the_first_weight", "perceptron", "right"),
    Case("bias_apart_from_the_weights", "perceptron", "right"),
    Case("train_takes_test_data", "perceptron", "right"),
    Case("misclassified_at_zero", "perceptron", "right"),
    Case("bias_first_and_a_sum", "perceptron", "wrong", says=["sums over the misclassified"]),
    Case("sign_of_zero_is_zero", "perceptron", "wrong", says=["at w.x + b = 0 it gives 0"]),
    Case(
        "labels_changed_in_place",
        "perceptron",
        "wrong",
        says=["labels in place, which fails for integers"],
    ),
    Case("gradients_added_up", "layers", "wrong", says=["never set to zero"]),
    Case("loss_for_each_row", "layers", "wrong", says=["a number for each row"]),
    Case(
        "two_functions_pass",
        "layers",
        "to do",
        says=["ReLU.forward returns None", "CrossEntropy.forward returns None"],
    ),
    Case("accuracy_rounds", "trainer", "wrong", says=["rounds the probabilities"]),
    Case("weights_divided_by_he", "layers", "wrong", says=["He's factor"]),
    Case("global_seed_in_linear", "layers", "wrong", says=["start with the same weights"]),
    Case(
        "predictions_changed_in_place", "layers", "wrong", says=["changes its predictions in place"]
    ),
    Case("maximum_of_the_whole_batch", "layers", "wrong", says=["maximum of the whole batch"]),
    Case("rows_left_out", "trainer", "wrong", says=["visits 720 of 800 rows"]),
    Case("train_raises", "trainer", "wrong", says=["raises ValueError"]),
    Case(
        "update_goes_up_twice_as_far",
        "network",
        "wrong",
        says=["goes up the gradient, but should go down, and twice as far"],
    ),
    Case("file_name_in_capitals", "layers", "right", without=["modules.py"]),
    Case("relative_import", "network", "right"),
    Case("parser_at_import", "trainer", "right"),
    Case("writes_a_file", "all", "right"),
    Case(
        "package_is_missing",
        "trainer",
        "not judged",
        says=["needs the package a_package_nobody_has"],
    ),
    Case("python_2", "layers", "not judged", says=["modules.py cannot be imported: SyntaxError"]),
    Case(
        "interrupts_itself",
        "layers",
        "not judged",
        says=["modules.py cannot be imported: KeyboardInterrupt"],
    ),
    Case("exits_in_training", "perceptron", "wrong", says=["sys.exit"]),
    Case("ends_its_process", "layers", "not judged", says=["ended the process by itself"]),
    Case(
        "replaces_pytest_fail",
        "layers",
        "wrong",
        says=["the weight gradient is zero", "the bias gradient is averaged over the batch"],
    ),
]
BY_CASE = {case.name: case for case in CASES}


def build(name, folder):
    """Write the files of a case."""
    case = BY_CASE[name]
    for file in FILES[case.part]:
        if file not in case.without:
            shutil.copyfile(FOLDER / "base" / file, folder / file)
    for path in (FOLDER / name).glob("*.py"):
        shutil.copyfile(path, folder / path.name)


def rows_of_part(rows, part):
    """Return the rows of a part, or all."""
    return [row for row in rows.values() if part == "all" or BY_NAME[row.check].part == part]


def words_of_faults(rows):
    """Return the words of all faults."""
    return [fault.words for row in rows for fault in row.faults]


def reasons_in(rows):
    """Return why rows are to do or not judged, each reason once."""
    reasons = [row.reason for row in rows if row.reason]
    return list(dict.fromkeys(reasons))


@pytest.mark.parametrize("case", CASES, ids=BY_CASE)
def test_a_case_gets_the_verdict_of_a_fair_teacher(case, tmp_path):
    build(case.name, tmp_path)
    rows, _ = rows_at(tmp_path)
    of_part = rows_of_part(rows, case.part)
    found = {row.status for row in of_part}
    assert case.truth in found
    assert found <= MAY_BE_BESIDE[case.truth] | {case.truth}
    said = words_of_faults(of_part)
    if case.truth != "wrong":
        said += reasons_in(of_part)
    assert len(said) == len(case.says), said
    for sentence, words in zip(said, case.says, strict=True):
        assert words in sentence


def test_a_part_that_is_missing_is_to_do_and_says_so(tmp_path):
    shutil.copyfile(FOLDER / "base" / "perceptron.py", tmp_path / "perceptron.py")
    rows, _ = rows_at(tmp_path)
    assert reasons_in(rows_of_part(rows, "layers")) == ["modules.py is missing"]
    assert reasons_in(rows_of_part(rows, "trainer")) == ["train_mlp_numpy.py is missing"]
    assert {row.status for row in rows_of_part(rows, "perceptron")} == {"right"}


def test_what_a_solution_writes_stays_in_its_copy(tmp_path):
    build("writes_a_file", tmp_path)
    before = sorted(tmp_path.iterdir())
    rows_at(tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    assert not Path("i_was_here.txt").exists()
