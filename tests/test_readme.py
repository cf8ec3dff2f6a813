"""The README tells the truth: every figure in it is computed here once more."""

import csv
import importlib
import io
import math
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
import test_bad_arguments
import test_faults
import test_planted_bugs
import test_properties
import test_same_bits
import test_untrusted_files
from hypothesis import settings
from matplotlib.testing.compare import compare_images
from PIL import Image, ImageChops

import animate_boundary
import backprop_bugs
import compare_batch_sizes
import gradient_check
import perceptron
import train_mlp_numpy
from common import as_rng
from mlp_numpy import MLP
from train_mlp_numpy import BACKENDS, METRICS, load_data, train, train_from_seed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = " ".join(README.split())
NOTEBOOK = " ".join(
    " ".join(cell.source.split())
    for cell in nbformat.read(ROOT / "mlp_visualization.ipynb", 4).cells
)


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


REPORT_HEADING = "batch size | report: train / test | one run"
RESULTS = rows_of(REPORT_HEADING)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, marks=pytest.mark.slow if row[0] == "1" else ()) for row in RESULTS],
    ids=lambda row: row[0],
)
def test_a_run_of_each_batch_size_gives_the_figures_shown(row, capsys):
    assert train_mlp_numpy.main(["--batch_size", row[0], "--no_output"]) == 0
    accuracies = re.findall(r"^(?:train|test) .* ([0-9.]+) %", capsys.readouterr().out, re.M)
    assert row[2] == " / ".join(accuracies)


def summaries_of(folder):
    """Return the committed summary.csv of a study, row by row, numbers as such."""
    with open(ROOT / folder / "summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = ("batch_size",)
    return [{k: v if k in texts or v == "" else float(v) for k, v in row.items()} for row in rows]


def runs_of(folder):
    """Return the committed runs.csv of a study, row by row."""
    return compare_batch_sizes.read_rows(ROOT / folder / "runs.csv", compare_batch_sizes.COLUMNS)


@pytest.mark.parametrize(
    ("folder", "heading", "n_columns"),
    [("figures", REPORT_HEADING, 3), ("figures/updates", "batch size | epochs", 2)],
)
def test_the_tables_of_batch_sizes_are_those_of_the_files(folder, heading, n_columns):
    table, summaries = rows_of(heading), summaries_of(folder)
    assert [row[0] for row in table] == [summary["batch_size"] for summary in summaries]
    for row, summary in zip(table, summaries, strict=True):
        assert row[n_columns:] == [
            compare_batch_sizes.spread(summary, "train_accuracy", 100, 2),
            compare_batch_sizes.spread(summary, "test_accuracy", 100, 2),
            compare_batch_sizes.spread(summary, "train_loss", 1, 3),
            compare_batch_sizes.spread(summary, "test_loss", 1, 3),
            compare_batch_sizes.stuck_share(summary),
        ]


@pytest.mark.parametrize("folder", ["figures", "figures/updates"])
def test_the_summaries_are_of_the_runs(folder):
    runs = runs_of(folder)
    for summary in summaries_of(folder):
        rows = [row for row in runs if row["batch_size"] == summary["batch_size"]]
        assert [row["seed"] for row in rows] == list(range(100))
        counts = summary["epochs"], summary["updates"]
        assert compare_batch_sizes.summarise(summary["batch_size"], rows, *counts) == summary


def test_the_equal_numbers_of_updates_are_epochs_as_shown():
    args = compare_batch_sizes.parse_args(["--budget", "updates"])[1]
    for row in rows_of("batch size | epochs"):
        _, n_epochs, _ = compare_batch_sizes.schedule(args, 800, args.batch_sizes[row[0]])
        assert row[1] == f"{n_epochs:,}".replace(",", " ")


@pytest.mark.parametrize(
    ("folder", "name", "seeds"),
    [
        *(("figures", name, (0, 99)) for name in ("full", "256", "64", "16", "1")),
        *(("figures/updates", name, (0,)) for name in ("256", "64", "16", "1")),
    ],
)
def test_the_runs_come_out_the_same_here(folder, name, seeds):
    rows = {row["seed"]: row for row in runs_of(folder) if row["batch_size"] == name}
    args = compare_batch_sizes.parse_args(["--budget", rows[0]["budget"]])[1]
    _, max_steps, _ = compare_batch_sizes.schedule(args, 800, args.batch_sizes[name])
    for seed in seeds:
        rng = as_rng(seed)
        history = train(
            MLP(2, [20], 2, rng),
            load_data(),
            max_steps=max_steps,
            eval_freq=max_steps,
            batch_size=args.batch_sizes[name],
            rng=rng,
            backend="numba",
        )
        for key in METRICS:  # the rounding errors of so many steps differ between machines
            assert rows[seed][key] == pytest.approx(history[key][-1], abs=1e-6), key


def test_every_accuracy_of_the_report_lies_within_the_95_percent():
    for row, summary in zip(RESULTS, summaries_of("figures"), strict=True):
        train_figure, test_figure = compare_batch_sizes.REPORT[row[0]]
        assert row[1].startswith(f"{train_figure} / {test_figure}")
        for part, figure in (("train", train_figure), ("test", test_figure)):
            low, high = (100 * summary[f"{part}_accuracy_{end}"] for end in ("low", "high"))
            digits = len(figure.partition(".")[2])  # the report rounds
            number = float(figure.removeprefix("over "))
            assert number <= round(high, digits)
            assert figure.startswith("over ") or round(low, digits) <= number


def stuck_of(folder, name):
    """Return the stuck runs of a batch size, by seed."""
    runs = (row for row in runs_of(folder) if row["batch_size"] == name)
    return {row["seed"]: row for row in runs if row["train_loss"] > compare_batch_sizes.STUCK_ABOVE}


def test_what_the_text_says_of_batch_size_16_and_of_equal_updates():
    equal_epochs = {row["batch_size"]: row for row in summaries_of("figures")}
    assert "At batch size 16 a third of the runs are stuck" in PROSE
    assert equal_epochs["16"]["stuck"] == pytest.approx(1 / 3, abs=0.03)
    stuck = stuck_of("figures", "16")
    assert all(0.24 < row["train_loss"] < 0.255 for row in stuck.values())
    assert all(0.87 < row["train_accuracy"] < 0.89 for row in stuck.values())
    assert len(stuck) == 33
    text = (
        "33 of the 100 at batch size 16 and the very same with the full batch, while at "
        "64 one seed differs from these, at 256 four, and at 1 ten."
    )
    assert text in PROSE
    differ = {
        name: len(set(stuck_of("figures/updates", name)) ^ set(stuck))
        for name in ("16", "full", "64", "256", "1")
    }
    assert differ == {"16": 0, "full": 0, "64": 1, "256": 4, "1": 10}
    assert "28 of those 33 seeds come free" in PROSE
    assert len(set(stuck) - set(stuck_of("figures", "1"))) == 28
    assert set(stuck_of("figures", "1")) <= set(stuck)
    assert "At batch size 1 it is 13 after the same number of steps" in NOTEBOOK
    of_fifty = {seed for seed in stuck if seed < 50}
    assert len(of_fifty) == 18
    assert len(of_fifty - set(stuck_of("figures", "1"))) == 13
    equal_updates = summaries_of("figures/updates")
    for row in equal_updates:
        assert row["stuck"] == pytest.approx(1 / 3, abs=0.05)
        assert row["train_accuracy_median"] == pytest.approx(0.966, abs=0.001)


@pytest.mark.slow
def test_as_many_steps_at_batch_size_16_free_fewer_than_at_1():
    assert "with as many at batch size 16, in 24 000 epochs, 9 do." in PROSE
    options = {"batch_size": 16, "max_steps": 24_000, "eval_freq": 6000, "backend": "numba"}
    stuck = stuck_of("figures", "16")
    losses = np.array([train_from_seed(load_data(), k, **options)[1]["train_loss"] for k in stuck])
    free = losses < compare_batch_sizes.STUCK_ABOVE
    assert free[:, -1].sum() == 9
    assert "by 6000 epochs 4 of the 18 are free, by 24 000 epochs 7" in NOTEBOOK
    among_fifty = [k < 50 for k in stuck]
    assert free[among_fifty].sum(axis=0)[[1, -1]].tolist() == [4, 7]


@pytest.mark.slow
def test_the_study_of_the_readme_comes_out_the_same_here(tmp_path):
    assert compare_batch_sizes.main(["--output_dir", str(tmp_path)]) == 0
    ours = compare_batch_sizes.read_rows(tmp_path / "runs.csv", compare_batch_sizes.COLUMNS)
    for row, shown in zip(ours, runs_of("figures"), strict=True):
        assert (row["batch_size"], row["seed"]) == (shown["batch_size"], shown["seed"])
        assert [row[key] for key in METRICS] == pytest.approx(
            [shown[key] for key in METRICS], abs=1e-6
        )
    name = compare_batch_sizes.FIGURE_4
    difference = compare_images(ROOT / "figures" / name, tmp_path / name, tol=5)
    assert difference is None, difference


def test_the_plateau_at_batch_size_16_is_where_the_readme_says():
    rng = as_rng(5)
    assert "`--seed 5` gets stuck" in PROSE
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


def test_the_bugs_are_those_of_the_readme(capsys):
    assert backprop_bugs.main([]) is None
    assert capsys.readouterr().out in README


def test_figure_3_is_of_the_history_committed_beside_it():
    with open(ROOT / "figures/history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    rng = as_rng(42)
    history = train(MLP(2, [20], 2, rng), load_data(), rng=rng)
    for key, values in history.items():
        assert np.array([float(row[key]) for row in rows]) == pytest.approx(values, rel=1e-9), key


def test_the_map_of_the_files_is_complete():
    named = {re.match(r"`(.*?)/?`", row[0])[1] for row in rows_of("file | part | what it is")}
    scripts = {path.name for path in ROOT.glob("*.py")}
    assert named == scripts | {"mlp_visualization.ipynb", "tests", "benchmarks", "figures"}


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
    committed = {path.name for path in (ROOT / "figures").glob("*.png")}
    assert drawn == committed - {compare_batch_sizes.FIGURE_4}  # which a slow test draws
    for name in drawn:  # fonts are not rendered alike everywhere, hence the tolerance
        difference = compare_images(ROOT / "figures" / name, tmp_path / name, tol=5)
        assert difference is None, difference


def test_the_animation_is_the_one_that_its_command_draws(tmp_path):
    assert animate_boundary.main(["--output_dir", str(tmp_path)]) == 0
    paths = ROOT / "figures" / animate_boundary.FILE, tmp_path / animate_boundary.FILE
    assert paths[0].stat().st_size < 2e6
    ours, drawn = (Image.open(io.BytesIO(path.read_bytes())) for path in paths)
    assert ours.n_frames == drawn.n_frames >= 30
    for k in range(ours.n_frames):
        ours.seek(k)
        drawn.seek(k)
        difference = ImageChops.difference(ours.convert("RGB"), drawn.convert("RGB"))
        assert np.mean(np.asarray(difference)) < 1, k


def test_every_picture_shows_what_the_text_beside_it_says():
    pictures = dict(re.findall(r"!\[(.*?)\]\(figures/(.*?)\.png\)", README))
    assert {text.partition(":")[0]: name for text, name in pictures.items()} == {
        "Figure 1": "figure1_perceptron",
        "Figure 3": "figure3_curves",
        "The data, the decision boundary and the predicted probability": "decision_boundary",
        "Figure 4": "figure4_batch_sizes",
        "Figure 4 at equal updates": "updates/figure4_batch_sizes",
        "An epoch, side by side": "benchmarks/side_by_side",
    }
    assert re.findall(r"!\[Animation: .*?\]\((.*?)\)", README) == ["figures/boundary.gif"]


def test_the_loop_shown_is_the_loop_that_trains():
    shown = re.search(r"```python\n(for x, y.*?)```", README, re.S)[1]
    source = (ROOT / "train_mlp_numpy.py").read_text(encoding="utf-8")
    assert all(line.strip() in source for line in shown.splitlines())


def faults():
    """Return how many cases each test of test_faults.py has."""
    tests = [test for name, test in vars(test_faults).items() if name.startswith("test_")]
    return [
        math.prod(
            len(m.args[1]) for m in getattr(test, "pytestmark", []) if m.name == "parametrize"
        )
        for test in tests
    ]


TESTED = "what is tried | how often | what comes of it | `.venv/bin/python -m pytest` ..."


def test_how_it_is_tested_is_told_in_the_figures_of_the_tests():
    rows = rows_of(TESTED)
    shown = {row[-1]: row for row in rows}
    assert shown["`tests/test_planted_bugs.py`"][1] == str(len(test_planted_bugs.BUGS))
    assert shown["`tests/test_bad_arguments.py`"][1] == str(len(test_bad_arguments.BAD_ARGUMENTS))
    assert len(test_bad_arguments.SCRIPTS) == 8
    hostile, fuzzed = len(test_untrusted_files.HOSTILE), test_untrusted_files.N_FILES
    assert shown["`tests/test_untrusted_files.py`"][1] == (
        f"{hostile} and {fuzzed:,}".replace(",", " ")
    )
    caught = [rows[k][1] for k, row in enumerate(rows) if "test_faults" in row[-1]]
    moments, kills, *others = faults()
    n_moments, n_usual = test_faults.N_MOMENTS, test_faults.N_USUAL
    assert caught == [f"{n_moments} ({n_usual} unless asked for)", str(kills), str(sum(others))]
    assert moments == n_moments
    properties = [name for name in vars(test_properties) if name.startswith("test_")]
    assert shown["`tests/test_properties.py`"][1] == f"{len(properties)} properties, 100 cases each"
    assert settings.default.max_examples == 100
    n_runs = len(test_same_bits.BATCH_SIZES) * len(BACKENDS)
    assert shown["`tests/test_same_bits.py`"][1] == f"{n_runs} runs, twice and in 4 processes"


def test_the_score_of_mutation_testing_is_that_of_its_list():
    """A mutant that survives is told with its reason, or the score is wrong."""
    rows = rows_of(TESTED)
    (mutants,) = [row for row in rows if "mutation testing" in row[0]]
    listed = (ROOT / "tests/README.md").read_text(encoding="utf-8").split("## Mutants", 1)[1]
    survivors = sum(int(n) for n in re.findall(r"^\| (\d+) \|", listed, re.M))
    killed, left = re.match(r"([\d ]+) are caught, the other (\d+) ", mutants[2]).groups()
    assert int(mutants[1].replace(" ", "")) == int(killed.replace(" ", "")) + int(left)
    assert int(left) == survivors
