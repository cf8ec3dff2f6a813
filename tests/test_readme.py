"""The README tells the truth: every figure in it is computed here once more."""

import csv
import importlib
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib.testing.compare import compare_images

import gradient_check
import perceptron
import train_mlp_numpy
from benchmarks import step
from common import as_rng
from mlp_numpy import MLP
from train_mlp_numpy import BACKENDS, load_data, train

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows_of(heading):
    """Return the cells of the table whose first heading is `heading`, row by row."""
    table = README[README.index(f"| {heading} |") :].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]


def test_the_perceptron_prints_what_the_readme_shows(capsys):
    perceptron.main(["--repeats", "100", "--no_output"])
    assert capsys.readouterr().out in README


def test_the_python_snippet_prints_what_its_comment_says(capsys):
    snippet = re.search(r"```python\n(from .*?)```", README, re.S)[1]
    exec(snippet, {})  # the README's own code
    assert capsys.readouterr().out.strip() == snippet.strip().rpartition("# ")[2]


RESULTS = rows_of("batch size | report: train / test accuracy")


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=pytest.mark.slow if row[0] == "1" else ()) for row in RESULTS],
    ids=lambda row: row[0],
)
def test_a_run_of_each_batch_size_gives_the_figures_shown(row, capsys):
    assert train_mlp_numpy.main(["--batch_size", row[0], "--no_output"]) == 0
    printed = re.findall(r"^(?:train|test) +([0-9.]+) +([0-9.]+ %)", capsys.readouterr().out, re.M)
    (train_loss, train_accuracy), (test_loss, test_accuracy) = printed
    assert row[2:] == [train_accuracy, test_accuracy, train_loss, test_loss]


def test_the_results_are_of_the_five_batch_sizes():
    assert [row[0] for row in RESULTS] == ["full", "256", "64", "16", "1"]


def test_the_plateau_at_batch_size_16_is_where_the_readme_says():
    rng = as_rng(5)
    assert "`--seed 5`" in README
    history = train(MLP(2, [20], 2, rng), load_data(), batch_size=16, rng=rng)
    assert history["train_loss"][-1] == pytest.approx(0.25, abs=0.01)
    assert history["train_accuracy"][-1] == pytest.approx(0.88, abs=0.01)


def test_the_gradient_checks_are_those_of_the_readme(capsys):
    assert gradient_check.main([]) == 0
    *ours, total = capsys.readouterr().out.splitlines()
    shown = README[README.index(ours[0]) :].split("```")[0].splitlines()
    assert shown[-1] == total
    for ours_line, shown_line in zip(ours[1:], shown[1:-1], strict=True):
        (our_name, our_error), (name, error) = (
            line.rsplit(maxsplit=1) for line in (ours_line, shown_line)
        )
        assert name == our_name
        # The errors are rounding errors, which differ from one machine to another.
        assert 0.1 < float(error) / float(our_error) < 10


def test_figure_3_is_of_the_history_committed_beside_it():
    with open(ROOT / "figures/history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    rng = as_rng(42)
    history = train(MLP(2, [20], 2, rng), load_data(), rng=rng)
    for key, values in history.items():
        assert np.array([float(row[key]) for row in rows]) == pytest.approx(values, rel=1e-9), key


def test_the_benchmark_runs_and_its_table_is_within_the_goals(capsys):
    step.main(["--rounds", "1"])  # raises unless all loops do the same work
    heading, _, *rows, _, large = capsys.readouterr().out.splitlines()
    shown = rows_of(heading.strip("| "))
    assert [row[0] for row in shown] == [row.split("|")[1].strip() for row in rows]
    # How many times as fast as the straightforward loop: numpy, numba.
    goals = {"1": (1.54, 100), "16": (1.54, 15), "64": (1, 4), "full": (1.18, 3)}
    for batch_size, plain, *others in shown:
        for cell, goal in zip(others, goals.get(batch_size, (1, 1)), strict=False):
            microseconds, factor = re.fullmatch(r"([0-9.]+) µs \(([0-9.]+)x\)", cell).groups()
            ratio = float(plain.split()[0]) / float(microseconds)
            assert float(factor) == pytest.approx(ratio, rel=0.01)  # as rounded
            assert float(factor) >= goal
    shown = README[README.index(large.split(":")[0]) :].split(".\n")[0]
    assert float(shown.rsplit(maxsplit=1)[1]) <= 1  # numba is no slower


def test_the_benchmark_refuses_loops_that_differ(monkeypatch):
    monkeypatch.setattr(MLP, "update", lambda model, learning_rate: None)
    contenders = {partial(step.run_ours, backend=backend): 1 for backend in BACKENDS}
    with pytest.raises(AssertionError):
        step.measure(contenders, load_data(n_samples=50), 8, 1)


def test_the_map_of_the_files_is_complete():
    named = {re.match(r"`(.*?)/?`", row[0])[1] for row in rows_of("file | part | what it is")}
    scripts = {path.name for path in ROOT.glob("*.py")}
    assert named == scripts | {"tests", "benchmarks", "figures"}


def test_every_command_of_the_readme_is_one_that_the_scripts_take(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    commands = re.findall(r"\.venv[/\\](?:bin|Scripts)[/\\]python (\w+)\.py([^`\n]*)", README)
    assert len(commands) >= 8
    for script, args in commands:
        # --help comes last: only what stands before it is parsed, and nothing is run.
        with pytest.raises(SystemExit) as end:
            importlib.import_module(script).main([*args.split(), "--help"])
        assert end.value.code == 0, (script, args)
        flags = re.findall(r"--\w+", capsys.readouterr().out)
        assert {arg for arg in args.split() if arg.startswith("--")} <= {*flags}, (script, args)


def test_the_figures_committed_are_those_that_the_commands_draw(tmp_path):
    assert perceptron.main(["--output_dir", str(tmp_path)]) == 0
    assert train_mlp_numpy.main(["--output_dir", str(tmp_path)]) == 0
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == {path.name for path in (ROOT / "figures").glob("*.png")}
    for name in drawn:  # fonts are not rendered alike everywhere, hence the tolerance
        difference = compare_images(ROOT / "figures" / name, tmp_path / name, tol=5)
        assert difference is None, difference


def test_every_picture_shows_what_the_text_beside_it_says():
    pictures = dict(re.findall(r"!\[(.*?)\]\(figures/(.*?)\.png\)", README))
    assert {text.partition(":")[0]: name for text, name in pictures.items()} == {
        "Figure 1": "figure1_perceptron",
        "Figure 3": "figure3_curves",
        "The data, the decision boundary and the predicted probability": "decision_boundary",
    }


def test_the_loop_shown_is_the_loop_that_trains():
    shown = re.search(r"```python\n(for start.*?)```", README, re.S)[1]
    source = (ROOT / "train_mlp_numpy.py").read_text(encoding="utf-8")
    assert all(line.strip() in source for line in shown.splitlines())
