"""The README tells the truth: what it shows is what its commands print."""

import inspect
import re
from pathlib import Path

import pytest
from matplotlib.testing.compare import compare_images

import gradient_check
import perceptron
import train_mlp_numpy
from tests.helpers import has_compiled_loop, skip_if_another_matplotlib_drew

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Of the table of batch sizes: the batch size, and the train and test accuracy of "one run".
ROWS = re.findall(r"^\| (full|\d+) \| .* \| ([\d.]+) / ([\d.]+) \| .* \|$", README, re.M)


def test_the_perceptron_prints_what_the_readme_shows(capsys):
    perceptron.main(["--repeats", "100", "--no_output"])
    assert capsys.readouterr().out in README


def test_the_training_loop_is_quoted_as_it_stands():
    assert inspect.getsource(train_mlp_numpy.train_epoch) in README


def test_the_python_snippet_prints_what_its_comment_says(capsys):
    snippet = re.search(r"```python\n(from .*?)```", README, re.S)[1]
    comment = snippet.strip().rpartition("# ")[2]
    exec(snippet, {})  # the README's own code
    assert capsys.readouterr().out.strip() == comment


def percents(text):
    """Return the train and test accuracy in the last lines of a training run, as text."""
    return re.findall(r"^(?:train|test): loss [\d.]+, accuracy ([\d.]+) %$", text, re.M)


def test_the_example_run_and_the_table_agree_for_batch_size_16():
    shown = percents(README)
    in_table = {batch_size: [train, test] for batch_size, train, test in ROWS}
    assert shown == in_table["16"]


RUNS = []
for row in ROWS:
    if row[0] == "256":
        RUNS.append(row)
    elif row[0] != "full":  # that is the default run, which is in test_command_line.py
        RUNS.append(pytest.param(*row, marks=pytest.mark.slow))


@pytest.mark.parametrize(("batch_size", "train_percent", "test_percent"), RUNS)
def test_one_run_of_each_batch_size_ends_as_shown(capsys, batch_size, train_percent, test_percent):
    backend = "numba" if has_compiled_loop() else "numpy"  # the same results, sooner
    flags = ["--batch_size", batch_size, "--backend", backend, "--no_output"]
    assert train_mlp_numpy.main(flags) == 0
    train, test = percents(capsys.readouterr().out)
    # A row is 0.125 % of the training data and 0.5 % of the test data.
    assert float(train) == pytest.approx(float(train_percent), abs=0.51)
    assert float(test) == pytest.approx(float(test_percent), abs=0.51)


def test_the_gradient_table_has_the_rows_and_elements_that_are_checked():
    heading, *rows, _ = gradient_check.table(gradient_check.check_all())  # the last line counts
    block = re.search(r"^ +gradient +elements.*?(?=^```)", README, re.S | re.M)[0]
    shown_heading, *shown_rows = block.splitlines()
    assert shown_heading == heading
    for line in shown_rows:
        *_, error, verdict = line.split()
        start = line[: line.index(error)]  # the digits of the error differ between processors
        assert any(row.startswith(start) for row in rows)
        assert float(error) < gradient_check.LIMIT
        assert verdict == "right"
    assert "(and seven more networks)" in README
    assert len(rows) == len(shown_rows) + 7


@pytest.mark.parametrize(
    ("script", "figures"),
    [
        (perceptron, ["figure1_perceptron.png"]),
        (train_mlp_numpy, ["figure2_data.png", "figure3_curves.png", "decision_boundary.png"]),
    ],
    ids=["part 1", "trainer"],
)
def test_the_committed_figures_are_those_that_are_drawn(tmp_path, script, figures):
    for name in figures:
        skip_if_another_matplotlib_drew(ROOT / "figures" / name)
    script.main(["--output_dir", str(tmp_path)])
    for name in figures:  # the tolerance is for another processor
        assert compare_images(str(ROOT / "figures" / name), str(tmp_path / name), tol=2) is None


def files_in_the_table():
    """Return the files and folders that the README names below its heading The files."""
    section = README.partition("## The files")[2]
    return re.findall(r"`([\w/]+(?:\.py|\.ipynb|/))`", section)


def test_each_file_in_the_table_exists():
    for name in files_in_the_table():
        assert (ROOT / name).exists(), name


def test_each_script_is_in_the_table():
    for path in ROOT.glob("*.py"):
        assert path.name in files_in_the_table()


def test_both_commands_install_the_requirements():
    first, second = re.findall(r"^python3 -m venv .*$", README, re.M)
    assert "-r requirements.txt &&" in first
    assert "-r requirements.txt -r requirements-extra.txt &&" in second
    assert second.endswith("-m pytest -n auto --dist loadfile")
