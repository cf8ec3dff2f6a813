"""The benchmark: what it measures is the same work, and what it shows is what it measured."""

import os
import re
import time
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.testing.compare import compare_images
from threadpoolctl import threadpool_info

from speed import benchmark, contenders, rounds, side_by_side
from speed.benchmark import LARGE, OTHERS, SMALL
from speed.rounds import Case, Process, Result, measure
from speed.side_by_side import HEADINGS
from tests.helpers import (
    ODD_SETTINGS,
    refusal,
    run_twice_at_once,
    skip_if_another_matplotlib_drew,
    status_without_reader,
    watch_replacements,
)
from train_mlp_numpy import load_data

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "figures/benchmarks"
RESULTS = pd.read_csv(FOLDER / "side_by_side.csv")
REPORT = (FOLDER / "side_by_side.md").read_text(encoding="utf-8")
README = " ".join((ROOT / "speed/README.md").read_text(encoding="utf-8").split())
TINY = Case((2, 3, 2), "random", 40, 16)

# All contenders do the same work.


class Over(BaseException):
    """Ends the training of a contender."""


def epochs_of(contender, work, n_epochs):
    """Return the parameters of a contender, if it has any, after each of its first epochs."""
    found = []

    def epoch_done(get_params):
        found.append(get_params() if get_params else None)
        if len(found) == n_epochs:
            raise Over

    with pytest.raises(Over):
        contender(work, epoch_done)
    return found


@pytest.mark.filterwarnings("ignore:Got `batch_size`")
@pytest.mark.parametrize(
    "contender", [contenders.straightforward, contenders.scikit_learn, contenders.plain_c]
)
@pytest.mark.parametrize(
    ("sizes", "batch_size"), [((2, 20, 2), 1), ((2, 16, 16, 2), 16), ((64, 32, 10), 40)]
)
def test_a_contender_comes_to_our_parameters(contender, sizes, batch_size):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, sizes[0]))
    targets = np.eye(sizes[-1])[rng.integers(sizes[-1], size=40)]
    work = contenders.Work(sizes, x, targets, batch_size, 0.1)
    try:
        found = epochs_of(contender, work, 2)
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
    shuffled = work._replace(x=work.x[order], targets=work.targets[order])
    contenders.numpy_layers(shuffled, epoch_done)


@pytest.mark.parametrize(
    ("wrong", "batch_size"),
    [(learns_nothing, 1), (learns_nothing, 40), (shuffles_otherwise, 1), (shuffles_otherwise, 16)],
)
def test_a_contender_that_does_other_work_is_refused(wrong, batch_size):
    work = rounds.make_work(TINY._replace(batch_size=batch_size))
    (expected,) = epochs_of(contenders.numpy_layers, work, 1)
    (params,) = epochs_of(wrong, work, 1)
    rounds.check_same("right", expected + 1e-12, expected, work)
    for other in (params, expected * np.nan):
        with pytest.raises(ValueError, match="wrong: after an epoch its parameters differ"):
            rounds.check_same("wrong", other, expected, work)


def test_how_far_off_a_contender_may_be_depends_on_how_far_it_went():
    work = rounds.make_work(TINY)
    way = np.linspace(0, 1e-3, len(start_of(work)))
    end = start_of(work) + way
    rounds.check_same("near", end + 0.9e-8, end, work)
    with pytest.raises(ValueError, match=r"far: after an epoch .* by 1e-05 of"):
        rounds.check_same("far", end + 1.1e-8, end, work)


def test_the_bare_products_are_those_of_an_update(monkeypatch):
    """Forward, the gradients of the weights, and backward but for the inputs."""
    work = contenders.Work((4, 3, 2), np.zeros((10, 4)), np.zeros((10, 2)), 8, 0.1)
    products = []
    monkeypatch.setattr(np, "dot", lambda a, b, out: products.append((a.shape, b.shape, out.shape)))
    epochs_of(contenders.matrix_products, work, 1)
    expected = []
    for n in (8, 2):
        expected += [
            ((n, 4), (4, 3), (n, 3)),
            ((n, 3), (3, 2), (n, 2)),
            ((3, n), (n, 2), (3, 2)),
            ((n, 2), (2, 3), (n, 3)),
            ((4, n), (n, 3), (4, 3)),
        ]
    assert products == expected


def test_ours_is_timed_without_evaluations(monkeypatch):
    calls = []
    monkeypatch.setattr("train_mlp_numpy.evaluate", lambda *args: calls.append(args) or {"loss": 0})
    epochs_of(contenders.numpy_layers, rounds.make_work(TINY), 3)
    assert len(calls) == 1  # before training


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_the_data_are_those_of_the_case(case):
    work = rounds.make_work(case)
    data = load_data(case.dataset, 1797 if case.dataset == "digits" else 1000)
    assert np.array_equal(work.x, data.x_train)
    assert np.array_equal(work.targets, data.y_train)
    assert len(work.x) == case.n_rows


# They take turns.


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

    asked = None

    def __init__(self, contender, case):
        self.name = contender.__name__
        self.failure = None
        self.times = iter(SECONDS[self.name])

    def run(self, n_epochs):
        self.asked.append((self.name, n_epochs))
        return n_epochs * next(self.times), None

    def close(self):
        self.asked.append((self.name, "end"))


def test_all_take_turns_and_are_compared_within_a_round(monkeypatch):
    monkeypatch.setattr(Recorded, "asked", [])
    monkeypatch.setattr(rounds, "Process", Recorded)
    ours = contenders.numpy_layers
    results = measure(TINY, ours, [contenders.straightforward], n_rounds=5, seconds=2)
    a = "numpy_layers"
    b = "straightforward"
    to_find_the_length = [(a, 1), (b, 1), (a, 1), (a, 2), (a, 4), (a, 8), (b, 1), (b, 2), (b, 4)]
    assert Recorded.asked[:9] == to_find_the_length
    a_first = [(a, 8), (b, 4)]
    b_first = [(b, 4), (a, 8)]
    assert Recorded.asked[9:] == [
        *(a_first + b_first + a_first + b_first + a_first),
        (a, "end"),
        (b, "end"),
    ]
    assert results == [
        Result("2-3-2, batch 16", a, seconds=3, low=2, high=4, ratio=1),
        Result("2-3-2, batch 16", b, seconds=8, low=3, high=10, ratio=2),
    ]


def test_every_case_has_all_contenders_and_the_large_ones_a_third_of_the_rounds(monkeypatch):
    calls = []
    monkeypatch.setattr(benchmark, "measure", lambda *args: calls.append(args) or [len(calls)])
    assert list(benchmark.measure_all(10)) == list(range(1, 12))
    assert [case for case, *_ in calls] == SMALL + LARGE
    for case, ours, others, n_rounds in calls:
        assert ours is contenders.compiled_loop
        names = {ours.__name__, *(other.__name__ for other in others)}
        if case in LARGE:
            assert names == set(HEADINGS) - {"plain_c"}
            assert n_rounds == 4
        else:
            assert names == set(HEADINGS) - {"matrix_products"}
            assert n_rounds == 10


def breaks(work, epoch_done):
    threads = max(pool["num_threads"] for pool in threadpool_info())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    raise ValueError(f"{threads} of {os.environ['OMP_NUM_THREADS']} threads on {cores} core")


def dies_later(work, epoch_done):
    contenders.numpy_layers(work, lambda get_params: epoch_done(get_params) or os._exit(4))


def surroundings():
    """Return what a contender may change, in its own process alone: variables, cores, threads."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    return dict(os.environ), cores, [pool["num_threads"] for pool in threadpool_info()]


class Answered:
    """Stands for a Process that has trained for an epoch and come to these parameters."""

    failure = None

    def __init__(self, params):
        self.params = params

    def run(self, n_epochs):
        return 1, self.params


def test_who_does_other_work_is_named():
    work = rounds.make_work(TINY)
    (ours,) = epochs_of(contenders.numpy_layers, work, 1)
    (other,) = epochs_of(learns_nothing, work, 1)
    processes = {"ours": Answered(ours), "same": Answered(ours.copy()), "other": Answered(other)}
    with pytest.raises(ValueError, match="other, 2-3-2, batch 16: after an epoch"):
        rounds.check_first_epoch(TINY, "ours", processes)


@pytest.mark.slow
def test_who_fails_is_named_and_left_out(capfd, monkeypatch):
    """Each has one thread and one core; the process that measures keeps its own."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    before = surroundings()
    others = [breaks, dies_later]
    (result,) = measure(TINY, contenders.numpy_layers, others, n_rounds=1, seconds=0.001)
    assert result.contender == "numpy_layers"
    assert capfd.readouterr().err.splitlines() == [
        "2-3-2, batch 16: no breaks: ValueError: 1 of 1 threads on 1 core",
        "2-3-2, batch 16: no dies_later: its process ended with status 4",
    ]
    assert surroundings() == before


@pytest.mark.slow
def test_without_ours_there_is_nothing_to_compare_with():
    with pytest.raises(RuntimeError, match="breaks fails: ValueError: 1 of 1 threads"):
        measure(TINY, breaks, [contenders.numpy_layers], n_rounds=1)


@pytest.mark.slow
def test_contenders_end_in_silence_when_nobody_asks_any_more(capfd):
    """As when the benchmark is killed, before a contender has begun or after."""
    processes = [Process(learns_nothing, TINY), Process(learns_nothing, TINY)]
    processes[1].run(1)
    for process in processes:
        process.connection.close()
        process.process.join()
        assert process.process.exitcode == 0
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_all_contenders_are_measured_but_those_not_installed(capfd):
    others = [*OTHERS, contenders.plain_c, contenders.matrix_products]
    results = measure(TINY, contenders.compiled_loop, others, n_rounds=3, seconds=0.001)
    missing = capfd.readouterr().err.splitlines()
    for line in missing:
        assert re.search(r": no \w+: (ModuleNotFound|Import)Error: ", line)
    assert len(results) + len(missing) == 1 + len(others)
    names = {result.contender for result in results}
    assert names >= {"straightforward", "numpy_layers", "scikit_learn"}
    for result in results:
        assert result.case == "2-3-2, batch 16"
        assert 0 < result.low <= result.seconds <= result.high
    assert results[0].ratio == 1


# The table, the picture and the text are those of the results.


@pytest.mark.parametrize(
    ("seconds", "words"), [(12.345, "12.3 s"), (0.0789, "78.9 ms"), (2.5e-7, "0.25 µs")]
)
def test_times_are_written_in_three_digits(seconds, words):
    result = Result("a case", "jax_scan", seconds, seconds, seconds, ratio=1234.5)
    assert side_by_side.in_words(result) == f"{words} (1230x)"
    assert side_by_side.in_words(result._replace(contender="compiled_loop")) == words


def test_each_cell_of_the_table_is_that_of_its_case_and_contender():
    lines = side_by_side.table(RESULTS).splitlines()
    headings = lines[0].strip("| ").split(" | ")
    cells = {}
    for line in lines[2:]:
        case, *times = line.strip("| ").split(" | ")
        for heading, time_in_words in zip(headings[1:], times, strict=True):
            cells[case, heading] = time_in_words
    for result in RESULTS.itertuples():
        heading = HEADINGS[result.contender]
        assert cells.pop((result.case, heading)) == side_by_side.in_words(result)
    assert set(cells.values()) == {"-"}


def test_a_contender_that_is_missing_has_no_column():
    results = RESULTS[RESULTS["contender"] != "jax_scan"]
    assert "JAX" in side_by_side.table(RESULTS)
    assert "JAX" not in side_by_side.table(results)
    side_by_side.draw(results)


def test_the_saved_report_is_that_of_the_results_beside_it():
    machine = REPORT.splitlines()[2]
    assert side_by_side.report(RESULTS, machine) == REPORT


def test_the_saved_picture_is_that_of_the_results_beside_it(tmp_path):
    """Whatever settings of matplotlib the user has."""
    saved = FOLDER / "side_by_side.png"
    skip_if_another_matplotlib_drew(saved)
    with rc_context(ODD_SETTINGS):
        side_by_side.draw(RESULTS).savefig(tmp_path / saved.name, dpi=150)
    assert compare_images(saved, tmp_path / saved.name, tol=2) is None


def test_each_marker_of_the_picture_is_at_the_ratio_and_the_case_of_its_result():
    (axes,) = side_by_side.draw(RESULTS).axes
    cases = [label.get_text() for label in axes.get_yticklabels()]
    drawn = {}
    for line in axes.get_lines():
        heading = line.get_label()
        if heading.startswith("_"):  # the line at 1
            continue
        for ratio, place in zip(line.get_xdata(), line.get_ydata(), strict=True):
            drawn[cases[round(place)], heading] = ratio
    expected = {}
    for result in RESULTS.itertuples():
        expected[result.case, HEADINGS[result.contender]] = result.ratio
    assert drawn == expected


# The command.


def results_of(table):
    return [Result(*values) for values in table.itertuples(index=False)]


def test_main_writes_what_it_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "measure_all", lambda n_rounds: results_of(RESULTS)[:n_rounds])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    sizes = watch_replacements(monkeypatch)
    assert benchmark.main(["--n_rounds", "8", "--output_dir", "~/new"]) == 0
    folder = tmp_path / "new"
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sizes == files  # each was whole when it was put in place
    assert sorted(files) == ["side_by_side.csv", "side_by_side.md", "side_by_side.png"]
    written = pd.read_csv(folder / "side_by_side.csv")
    pd.testing.assert_frame_equal(written, RESULTS[:8], rtol=1e-12)
    text = (folder / "side_by_side.md").read_text(encoding="utf-8")
    assert side_by_side.table(RESULTS[:8]) in text
    printed = capsys.readouterr().out
    assert printed.endswith(f"\n{text}\n".replace("µ", "u"))
    assert printed.isascii()
    for result in RESULTS[:8].itertuples():
        words = side_by_side.in_words(result).replace("µ", "u")
        assert f"\n{result.case}: {HEADINGS[result.contender]} {words}\n" in printed


def test_two_benchmarks_may_write_into_one_folder_at_the_same_time(tmp_path):
    def write():
        side_by_side.write(tmp_path, RESULTS, REPORT)

    run_twice_at_once(write, "side_by_side.md")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(benchmark, "measure_all", None)
    file = tmp_path / "file"
    file.touch()
    line = refusal(benchmark.main, ["--output_dir", str(file / "new")], capsys)
    assert f"argument --output_dir: {file} is a file; name a folder" in line


def test_ctrl_c_ends_it_without_a_traceback_and_nothing_is_written(tmp_path, monkeypatch):
    def measure_all(n_rounds):
        yield results_of(RESULTS)[0]
        raise KeyboardInterrupt

    monkeypatch.setattr(benchmark, "measure_all", measure_all)
    assert benchmark.main(["--output_dir", str(tmp_path / "new")]) == 130
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="a closed pipe is another error on Windows")
def test_a_reader_who_leaves_gets_no_traceback(tmp_path, monkeypatch):
    flags = ["--n_rounds", "1", "--output_dir", str(tmp_path)]
    assert status_without_reader(benchmark.__file__, flags, monkeypatch) == 1
    assert not list(tmp_path.iterdir())


# What the README says of it.


def test_the_readme_shows_the_table_and_its_claims_are_those_of_the_results():
    table = " ".join(side_by_side.table(RESULTS).split())
    assert table in README
    assert "python -m speed.benchmark --output_dir figures/benchmarks" in README
    assert f"quartiles are off by {side_by_side.spread(RESULTS)}" in README
    ratios = {}
    for result in RESULTS.itertuples():
        ratios[result.case, result.contender] = side_by_side.three_digits(result.ratio)
    deep = "2-16-16-2, batch 1"
    shallow = "2-20-2, batch 1"
    assert (
        f"scikit-learn takes {ratios[deep, 'scikit_learn']} times as long, "
        f"JAX {ratios[deep, 'jax_scan']} times. "
        f"For 2-20-2 these are {ratios[shallow, 'scikit_learn']} and {ratios[shallow, 'jax_scan']}."
    ) in README


def test_plain_c_is_slower_where_the_readme_says():
    plain_c = RESULTS[RESULTS["contender"] == "plain_c"]
    slower = plain_c[plain_c["ratio"] > 1]
    assert "In three lines of the table `numba` is faster, because there it leaves" in README
    with_blas = [str(case) for case in SMALL if uses_blas(case)]
    assert len(with_blas) == 3
    assert "For 2-16-16-2 at batch size 1 it is faster, too" in README
    assert set(slower["case"]) == {*with_blas, "2-16-16-2, batch 1"}


def uses_blas(case):
    """Return whether any of a layer's rows, inputs and units are all 16 or more."""
    return any(min(case.batch_size, *layer) >= 16 for layer in pairwise(case.sizes))


def test_the_goals_are_reached():
    """Ours is ahead of all peers, and at most three times as slow as what knows every size."""
    seconds = RESULTS.pivot(index="case", columns="contender", values="seconds")
    ours = seconds["compiled_loop"]
    for peer in ("scikit_learn", "torch_eager", "torch_compiled", "jax_scan"):
        assert (seconds[peer] > 0.98 * ours).all(), peer
    small = [str(case) for case in SMALL]
    large = [str(case) for case in LARGE]
    assert (ours[small] < 3 * seconds["plain_c"][small]).all()
    assert (ours[large] < 1.2 * seconds["matrix_products"][large]).all()
    stochastic = seconds.loc["2-20-2, batch 1"] / ours["2-20-2, batch 1"]
    assert stochastic["straightforward"] > 100
    assert stochastic["torch_eager"] > 300
    assert stochastic["scikit_learn"] > 300
