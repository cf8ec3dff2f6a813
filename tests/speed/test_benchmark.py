"""The benchmark: what it measures is the same work, and what it shows is what it measured."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from speed import benchmark, contenders, rounds
from speed.benchmark import HEADINGS, LARGE, SMALL, STYLES
from speed.rounds import Case, measure

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "figures/benchmarks"
ROWS = benchmark.read_rows(FOLDER / "side_by_side.csv")
REPORT = (FOLDER / "side_by_side.md").read_text(encoding="utf-8")
README = " ".join((ROOT / "speed/README.md").read_text(encoding="utf-8").split())
TINY = Case((2, 3, 2), "random", 40, 16)


class Over(BaseException):
    """Ends the training of a contender."""


def epochs_of(contender, work, n_epochs):
    """Return the parameters of a contender after each of its first epochs."""
    found = []

    def epoch_done(params):
        found.append(params())
        if len(found) == n_epochs:
            raise Over

    with pytest.raises(Over):
        contender(work, epoch_done)
    return found


@pytest.mark.slow
def test_contenders_do_the_same_work_and_take_turns(capfd):
    """Those that are not installed are named and left out."""
    others = [getattr(contenders, name) for name in HEADINGS if name != "compiled"]
    rows = measure(TINY, contenders.compiled, others, n_rounds=3, seconds=0.001)
    missing = capfd.readouterr().err.splitlines()
    assert all(re.search(r": no \w+: (ModuleNotFound|Import)Error: ", line) for line in missing)
    assert len(rows) + len(missing) == 1 + len(others)
    assert {row.contender for row in rows} >= {"straightforward", "numpy_layers", "scikit_learn"}
    for row in rows:
        assert row.case == "2-3-2, batch 16"
        assert 0 < row.low <= row.seconds <= row.high
    assert rows[0].ratio == 1


@pytest.mark.filterwarnings("ignore:Got `batch_size`")
@pytest.mark.parametrize("name", ["straightforward", "scikit_learn", "limit_in_c"])
@pytest.mark.parametrize(
    ("sizes", "batch_size"), [((2, 20, 2), 1), ((2, 16, 16, 2), 16), ((64, 32, 10), 40)]
)
def test_a_contender_comes_to_our_parameters(name, sizes, batch_size):
    rng = np.random.default_rng(0)
    targets = np.eye(sizes[-1])[rng.integers(sizes[-1], size=40)]
    work = contenders.Work(sizes, rng.normal(size=(40, sizes[0])), targets, batch_size, 0.1)
    try:
        found = epochs_of(getattr(contenders, name), work, 2)
    except ImportError as error:
        pytest.skip(str(error))
    expected = epochs_of(contenders.numpy_layers, work, 2)
    assert np.abs(expected[1] - expected[0]).max() > 1e-3
    assert np.array(found) == pytest.approx(np.array(expected), abs=1e-12)
    assert np.float64(2.0**-1022) / 2 > 0  # code compiled with -ffast-math did not change the rules


def learns_nothing(work, epoch_done):
    while True:
        epoch_done(lambda: contenders.flat(contenders.pairs(contenders.initial(work).layers)))


def shuffles_otherwise(work, epoch_done):
    order = np.random.RandomState(2).permutation(len(work.x))
    contenders.numpy_layers(work._replace(x=work.x[order], targets=work.targets[order]), epoch_done)


@pytest.mark.parametrize(
    ("wrong", "batch_size"),
    [(learns_nothing, 1), (learns_nothing, 40), (shuffles_otherwise, 1), (shuffles_otherwise, 16)],
)
def test_a_contender_that_does_other_work_is_refused(wrong, batch_size):
    work = rounds.make_work(TINY._replace(batch_size=batch_size))
    (reference,) = epochs_of(contenders.numpy_layers, work, 1)
    (params,) = epochs_of(wrong, work, 1)
    rounds.check_same("right", reference + 1e-12, reference, work)
    with pytest.raises(ValueError, match="wrong: its parameters after an epoch are off by"):
        rounds.check_same("wrong", params, reference, work)


def breaks(work, epoch_done):
    raise ValueError("it cannot do this")


def dies_later(work, epoch_done):
    contenders.numpy_layers(work, lambda params: epoch_done(params) or os._exit(4))


def test_who_fails_is_named_and_left_out_and_who_does_other_work_ends_it(capfd):
    others = [breaks, dies_later]
    (row,) = measure(TINY, contenders.numpy_layers, others, n_rounds=1, seconds=0.001)
    assert row.contender == "numpy_layers"
    assert capfd.readouterr().err.splitlines() == [
        "2-3-2, batch 16: no breaks: ValueError: it cannot do this",
        "2-3-2, batch 16: no dies_later: its process ended with status 4",
    ]
    with pytest.raises(ValueError, match="learns_nothing, 2-3-2, batch 16: its parameters"):
        measure(TINY, contenders.numpy_layers, [learns_nothing], n_rounds=1)


def test_without_ours_there_is_nothing_to_compare_with():
    with pytest.raises(RuntimeError, match="breaks fails: ValueError: it cannot do this"):
        measure(TINY, breaks, [contenders.numpy_layers], n_rounds=1)


def test_times_are_told_in_three_digits():
    row = ROWS[1]._replace(ratio=1234.5)
    assert [benchmark.in_words(row._replace(seconds=t)) for t in (12.345, 0.0789, 2.5e-7)] == [
        "12.3 s (1230x)",
        "78.9 ms (1230x)",
        "0.25 µs (1230x)",
    ]


def test_the_saved_report_is_that_of_the_rows_beside_it():
    assert REPORT.startswith(benchmark.report(ROWS, machine=REPORT.splitlines()[2]))


def test_the_saved_picture_is_that_of_the_rows_beside_it(tmp_path):
    from matplotlib.testing.compare import compare_images

    benchmark.draw(ROWS).savefig(tmp_path / "side_by_side.png", dpi=150)
    images = FOLDER / "side_by_side.png", tmp_path / "side_by_side.png"
    assert compare_images(*images, tol=2) is None


@pytest.mark.parametrize("contender", [name for name in HEADINGS if name != "compiled"])
def test_what_is_missing_leaves_a_gap(contender):
    heading = HEADINGS[contender]
    rows = [row for row in ROWS if (row.contender, row.case) != (contender, ROWS[0].case)]
    assert benchmark.table(rows).count("| - |") == (contender != "matrix_products")
    rows = [row for row in ROWS if row.contender != contender]
    assert (f"| {heading} |" in benchmark.table(rows)) == (heading == "limit")
    benchmark.draw(rows)


def test_main_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "measure_all", lambda n_rounds: ROWS[:n_rounds])
    monkeypatch.setattr(os, "sched_setaffinity", lambda *args: None, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert benchmark.main(["--n_rounds", "8", "--output_dir", str(tmp_path / "new")]) == 0
    assert benchmark.read_rows(tmp_path / "new/side_by_side.csv") == ROWS[:8]
    text = (tmp_path / "new/side_by_side.md").read_text(encoding="utf-8")
    assert benchmark.table(ROWS[:8]) in text
    assert capsys.readouterr().out.endswith(f"\n{text}\n")
    assert (tmp_path / "new/side_by_side.png").read_bytes().startswith(b"\x89PNG")


def test_the_readme_shows_the_table_and_its_claims_are_those_of_the_rows():
    table = " ".join(benchmark.table(ROWS).split())
    assert table in README
    assert "python -m speed.benchmark --output_dir figures/benchmarks" in README
    assert f"quartiles are off by {benchmark.spread(ROWS)}" in README
    ratio = {(row.case, row.contender): benchmark.three_digits(row.ratio) for row in ROWS}
    deep, shallow = (
        [ratio[f"{sizes}, batch 1", name] for name in ("scikit_learn", "jax_scan")]
        for sizes in ("2-16-16-2", "2-20-2")
    )
    lead = f"scikit-learn takes {deep[0]} times as long, JAX {deep[1]} times. For 2-20-2 these are"
    assert f"{lead} {' and '.join(shallow)}." in README


def test_the_goals_are_reached():
    """All but those that the README names as missed."""
    seconds = {(row.case, row.contender): row.seconds for row in ROWS}
    peers = "scikit_learn", "torch_eager", "torch_compiled", "jax_scan"
    for case in map(str, SMALL + LARGE):
        assert all(seconds[case, peer] > seconds[case, "compiled"] for peer in peers), case
    for case in map(str, SMALL):
        assert seconds[case, "compiled"] < 2 * seconds[case, "limit_in_c"], case
    for case in map(str, LARGE):
        assert seconds[case, "compiled"] < 1.2 * seconds[case, "matrix_products"], case
    ratios = {row.contender: row.ratio for row in ROWS if row.case == "2-20-2, batch 1"}
    for peer, goal in {"straightforward": 100, "torch_eager": 300, "scikit_learn": 300}.items():
        assert ratios[peer] > goal
    assert list(STYLES) == list(dict.fromkeys(HEADINGS.values()))
