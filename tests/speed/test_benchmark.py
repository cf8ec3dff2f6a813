"""The benchmark: what it measures is the same work, and what it shows is what it measured."""

import os
import re
import time
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from speed import benchmark, contenders, rounds
from speed.benchmark import HEADINGS, LANES, LARGE, SMALL, STYLES
from speed.rounds import Case, Process, Row, measure
from tests.helpers import ODD_SETTINGS, refusal, status_without_reader, watch_replacements
from train_mlp_numpy import load_data

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "figures/benchmarks"
ROWS = benchmark.read_rows(FOLDER / "side_by_side.csv")
REPORT = (FOLDER / "side_by_side.md").read_text(encoding="utf-8")
README = " ".join((ROOT / "speed/README.md").read_text(encoding="utf-8").split())
TINY = Case((2, 3, 2), "random", 40, 16)


class Over(BaseException):
    """Ends the training of a contender."""


def epochs_of(contender, work, n_epochs):
    """Return the parameters of a contender, if it has any, after each of its first epochs."""
    found = []

    def epoch_done(params):
        found.append(params and params())
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
@pytest.mark.parametrize("name", ["straightforward", "scikit_learn", "plain_c"])
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


def start_of(work):
    return contenders.flat(contenders.pairs(contenders.initial(work).linear_layers))


def learns_nothing(work, epoch_done):
    while True:
        epoch_done(lambda: start_of(work))


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
    for other in (params, reference * np.nan):
        with pytest.raises(ValueError, match="wrong: its parameters after an epoch are off by"):
            rounds.check_same("wrong", other, reference, work)


def test_how_far_off_a_contender_may_be_depends_on_how_far_it_went():
    work = rounds.make_work(TINY)
    start = start_of(work)
    way = np.linspace(0, 1e-3, len(start))
    rounds.check_same("near", start + way + 0.9e-8, start + way, work)
    with pytest.raises(ValueError, match="far: its parameters after an epoch are off by 1e-05"):
        rounds.check_same("far", start + way + 1.1e-8, start + way, work)


def test_the_bare_products_are_those_of_an_update(monkeypatch):
    """Forward, the gradients of the weights, and backward but for the inputs."""
    work = contenders.Work((4, 3, 2), np.zeros((10, 4)), np.zeros((10, 2)), 8, 0.1)
    products = []
    monkeypatch.setattr(np, "dot", lambda a, b, out: products.append((a.shape, b.shape, out.shape)))
    epochs_of(contenders.matrix_products, work, 1)
    assert products == [
        product
        for n in (8, 2)
        for product in [
            ((n, 4), (4, 3), (n, 3)),
            ((n, 3), (3, 2), (n, 2)),
            ((3, n), (n, 2), (3, 2)),
            ((n, 2), (2, 3), (n, 3)),
            ((4, n), (n, 3), (4, 3)),
        ]
    ]


def test_ours_is_timed_without_evaluations(monkeypatch):
    calls = []
    monkeypatch.setattr("train_mlp_numpy.evaluate", lambda *args: calls.append(args) or {"loss": 0})
    epochs_of(contenders.numpy_layers, rounds.make_work(TINY), 3)
    assert len(calls) == 1  # before training


def test_the_data_are_those_of_the_case():
    for case in SMALL:
        work = rounds.make_work(case)
        x, targets, *_ = load_data(case.dataset, 1797 if case.dataset == "digits" else 1000)
        assert np.array_equal(work.x, x)
        assert np.array_equal(work.targets, targets)
        assert len(x) == case.n_rows
    assert rounds.make_work(TINY).x.shape == (40, 2)


def breaks(work, epoch_done):
    threads = max(pool["num_threads"] for pool in threadpool_info())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    raise ValueError(f"{threads} of {os.environ['OMP_NUM_THREADS']} threads on {cores} core")


def dies_later(work, epoch_done):
    contenders.numpy_layers(work, lambda params: epoch_done(params) or os._exit(4))


def surroundings():
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return dict(os.environ), cores, [pool["num_threads"] for pool in threadpool_info()]


def fails_in_its_fourth_epoch(work, epoch_done):
    time.perf_counter = count().__next__  # a clock that counts how often it is read
    for _ in range(3):
        epoch_done(lambda: np.ones(1))
    raise ValueError("the fourth epoch")


def test_a_process_trains_as_many_epochs_as_it_is_asked_for():
    process = Process(fails_in_its_fourth_epoch, TINY)
    try:
        assert process.run(1)[1] == [1.0]
        assert process.run(2) == (1, None)  # between two readings; parameters come once
        assert not process.failure
        process.run(1)
        assert process.failure == "ValueError: the fourth epoch"
    finally:
        process.close()


SECONDS = {  # of an epoch: of the first one, to find the length of a round, of the rounds
    "numpy_layers": [9, *(4 * [0.2]), 1, 2, 3, 4, 6],
    "straightforward": [9, *(3 * [0.4]), 10, 2, 3, 8, 60],
}


class Recorded:
    """Stands for a Process: its times are given, and what it is asked for is kept."""

    def __init__(self, contender, case):
        self.name, self.failure = contender.__name__, None
        self.times = iter(SECONDS[self.name])

    def run(self, n_epochs):
        self.asked.append((self.name, n_epochs))
        return n_epochs * next(self.times), None

    def close(self):
        self.asked.append((self.name, "end"))


def test_all_take_turns_and_are_compared_within_a_round(monkeypatch):
    Recorded.asked = asked = []
    monkeypatch.setattr(rounds, "Process", Recorded)
    ours, others = contenders.numpy_layers, [contenders.straightforward]
    rows = measure(TINY, ours, others, n_rounds=5, seconds=2)
    a, b = "numpy_layers", "straightforward"
    assert asked[:9] == [
        (a, 1),
        (b, 1),
        *((a, n) for n in (1, 2, 4, 8)),
        *((b, n) for n in (1, 2, 4)),
    ]
    turns = [(a, 8), (b, 4)], [(b, 4), (a, 8)]
    assert asked[9:] == [
        *turns[0],
        *turns[1],
        *turns[0],
        *turns[1],
        *turns[0],
        (a, "end"),
        (b, "end"),
    ]
    name = "2-3-2, batch 16"
    assert rows == [
        Row("one thread, float64", name, a, seconds=3, low=2, high=4, ratio=1),
        Row("one thread, float64", name, b, seconds=8, low=3, high=10, ratio=2),
    ]


def test_every_case_has_all_contenders_and_the_large_ones_a_third_of_the_rounds(monkeypatch):
    calls = []
    monkeypatch.setattr(benchmark, "measure", lambda *args: calls.append(args) or [len(calls)])
    assert list(benchmark.measure_all(10)) == list(range(1, 12))
    for case, ours, others, n_rounds in calls:
        assert ours is contenders.compiled
        names = {"compiled", *(other.__name__ for other in others)}
        only, n = ("matrix_products", 4) if case in LARGE else ("plain_c", 10)
        assert names == {*HEADINGS} - {"matrix_products", "plain_c"} | {only}
        assert n_rounds == n
    assert [case for case, *_ in calls] == SMALL + LARGE


def test_who_fails_is_named_and_left_out_and_who_does_other_work_ends_it(capfd, monkeypatch):
    """Each has one thread and one core; the process that measures keeps its own."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    before = surroundings()
    others = [breaks, dies_later]
    (row,) = measure(TINY, contenders.numpy_layers, others, n_rounds=1, seconds=0.001)
    assert row.contender == "numpy_layers"
    assert capfd.readouterr().err.splitlines() == [
        "2-3-2, batch 16: no breaks: ValueError: 1 of 1 threads on 1 core",
        "2-3-2, batch 16: no dies_later: its process ended with status 4",
    ]
    with pytest.raises(ValueError, match="learns_nothing, 2-3-2, batch 16: its parameters"):
        measure(TINY, contenders.numpy_layers, [learns_nothing], n_rounds=1)
    assert surroundings() == before


def test_contenders_end_in_silence_when_nobody_asks_any_more(capfd):
    """As when the benchmark is killed, before a contender has begun or after."""
    processes = [Process(learns_nothing, TINY) for _ in range(2)]
    processes[1].run(1)
    for process in processes:
        process.connection.close()
        process.process.join()
        assert process.process.exitcode == 0
    assert capfd.readouterr().err == ""


def test_without_ours_there_is_nothing_to_compare_with():
    with pytest.raises(RuntimeError, match="breaks fails: ValueError: 1 of 1 threads"):
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
    """Whatever settings of matplotlib the user has."""
    from matplotlib import rc_context
    from matplotlib.testing.compare import compare_images

    with rc_context(ODD_SETTINGS):
        benchmark.draw(ROWS).savefig(tmp_path / "side_by_side.png", dpi=150)
    images = FOLDER / "side_by_side.png", tmp_path / "side_by_side.png"
    assert compare_images(*images, tol=2) is None


@pytest.mark.parametrize("contender", [name for name in HEADINGS if name != "compiled"])
def test_what_is_missing_leaves_a_gap(contender):
    heading = HEADINGS[contender]
    rows = [row for row in ROWS if (row.contender, row.case) != (contender, ROWS[0].case)]
    gaps = benchmark.table(ROWS).count(" - ")
    assert benchmark.table(rows).count(" - ") == gaps + (contender != "matrix_products")
    rows = [row for row in ROWS if row.contender != contender]
    assert f"| {heading} |" not in benchmark.table(rows)
    benchmark.draw(rows)


def test_main_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "measure_all", lambda n_rounds: ROWS[:n_rounds])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    sizes = watch_replacements(monkeypatch)
    before = surroundings()
    assert benchmark.main(["--n_rounds", "8", "--output_dir", "~/new"]) == 0
    assert surroundings() == before
    files = {path.name: path.stat().st_size for path in (tmp_path / "new").iterdir()}
    assert sizes == files  # each was whole when it was put in place
    assert sorted(files) == ["side_by_side.csv", "side_by_side.md", "side_by_side.png"]
    assert benchmark.read_rows(tmp_path / "new/side_by_side.csv") == ROWS[:8]
    text = (tmp_path / "new/side_by_side.md").read_text(encoding="utf-8")
    assert benchmark.table(ROWS[:8]) in text
    printed = capsys.readouterr().out
    assert printed.endswith(f"\n{text}\n".replace("µ", "u"))
    assert "\n2-20-2, batch 1: ours: numba 88.2 us\n" in printed
    assert printed.isascii()
    assert (tmp_path / "new/side_by_side.png").read_bytes().startswith(b"\x89PNG")


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(benchmark, "measure_all", None)
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "new"):
        line = refusal(benchmark.main, ["--output_dir", str(place)], capsys)
        assert f"argument --output_dir: {file} is a file; name a folder" in line
    assert list(tmp_path.iterdir()) == [file]


def test_ctrl_c_ends_it_without_a_traceback_and_nothing_is_written(tmp_path, monkeypatch):
    def measure_all(n_rounds):
        yield ROWS[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "measure_all", measure_all)
    assert benchmark.main(["--output_dir", str(tmp_path / "new")]) == 130
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error on Windows")
def test_a_reader_who_leaves_gets_no_traceback(tmp_path, monkeypatch):
    flags = ["--n_rounds", "1", "--output_dir", str(tmp_path)]
    assert status_without_reader(benchmark.__file__, flags, monkeypatch) == 1
    assert not list(tmp_path.iterdir())


HEADER = b"table,case,contender,seconds,low,high,ratio\n"
LINE = b'"one thread, float64","2-20-2, batch 1",compiled,1,1,1,1\n'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"step,train_loss,train_accuracy,test_loss,test_accuracy,seed,batch_size\n0,1,1,1,1,1,1\n",
        HEADER,
        HEADER + LINE + LINE[:-5],
        HEADER + LINE.replace(b"1,1,1,1", b"1,1,fast,1"),
        HEADER + LINE.replace(b"compiled", b"abacus"),
        b"\x89PNG\r\n\x1a\n\x00",
    ],
)
def test_a_file_of_something_else_is_not_read(tmp_path, content):
    path = tmp_path / "rows.csv"
    path.write_bytes(HEADER + LINE)
    assert len(benchmark.read_rows(path)) == 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"rows\.csv was not written by this benchmark"):
        benchmark.read_rows(path)


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
    assert "In three lines of the table `numba` is faster, because there it leaves" in README
    slower = {row.case for row in ROWS if row.contender == "plain_c" and row.ratio > 1}
    assert slower == {str(case) for case in SMALL if uses_blas(case)}
    assert len(slower) == 3


def uses_blas(case):
    """Return whether any of a layer's rows, inputs and units are all 16 or more."""
    return any(min(case.batch_size, *layer) >= 16 for layer in pairwise(case.sizes))


def test_the_goals_are_reached():
    """All but those that the README names as missed."""
    seconds = {(row.case, row.contender): row.seconds for row in ROWS}
    peers = "scikit_learn", "torch_eager", "torch_compiled", "jax_scan"
    for case in map(str, SMALL + LARGE):
        assert all(seconds[case, peer] > seconds[case, "compiled"] for peer in peers), case
    for case in map(str, SMALL):
        assert seconds[case, "compiled"] < 2 * seconds[case, "plain_c"], case
    for case in map(str, LARGE):
        assert seconds[case, "compiled"] < 1.2 * seconds[case, "matrix_products"], case
    ratios = {row.contender: row.ratio for row in ROWS if row.case == "2-20-2, batch 1"}
    for peer, goal in {"straightforward": 100, "torch_eager": 300, "scikit_learn": 300}.items():
        assert ratios[peer] > goal
    assert list(STYLES) == list(HEADINGS.values())
    assert sorted(name for names in LANES for name in names) == sorted(STYLES)
