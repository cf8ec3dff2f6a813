"""How long an epoch takes, beside what people would use instead: tables and pictures.

    python -m benchmarks.side_by_side --output_dir figures/benchmarks

Every contender of contenders.py trains the same network on the same rows. First it proves that it
does the same work: after one epoch its loss and its parameters are ours. Then all take turns
(rounds.py). A table gives the median time of an epoch, its shuffle included, and for each contender
the median of its ratio to our compiled loop within a round. What an import and a compilation take
is told apart, as the time until the first epoch is done: that of the first case, which finds the
caches of compiled code empty.
"""

import signals

if __name__ == "__main__":
    signals.die_quietly()  # on Ctrl-C, until `run` knows better: the rest takes a while to import

import csv
import importlib.metadata
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_info

from benchmarks.contenders import (
    compiled,
    jax_scan,
    limit_in_c,
    matrix_products,
    numpy_layers,
    scikit_learn,
    straightforward,
    torch_compiled,
    torch_eager,
)
from benchmarks.rounds import Case, Row, all_cores, environment, measure, one_thread
from command_line import (
    ArgumentParser,
    add_output_dir_flag,
    finish_figures,
    prepare_output,
    run,
    whole_number,
    write_files,
)
from common import open_whole

ROOT = Path(__file__).parent.parent
HEADINGS = {  # of the functions in contenders.py
    "straightforward": "straightforward",
    "numpy_layers": "ours: numpy",
    "compiled": "ours: numba",
    "scikit_learn": "scikit-learn",
    "torch_eager": "PyTorch",
    "torch_compiled": "PyTorch compiled",
    "jax_scan": "JAX",
    "limit_in_c": "limit",  # for small networks
    "matrix_products": "limit",  # for large ones
}
OURS = compiled.__name__
MAIN = "one thread, float64"  # the table that the README shows
START_UP = "start-up"
PEERS = [scikit_learn, torch_eager, torch_compiled, jax_scan]
CACHES = ("NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR")
LIBRARIES = ("numpy", "scipy", "sklearn", "matplotlib", "numba", "joblib")


SMALL = [
    *(Case((2, 20, 2), "moons", 800, size) for size in (1, 16, 64, 256, 800)),
    *(Case((2, 16, 16, 2), "moons", 800, size) for size in (1, 64)),
    *(Case((64, 32, 10), "digits", 1437, size) for size in (16, 128)),
]
LARGE = [
    Case((784, 256, 10), "random", 60_000, 64),
    Case((784, 512, 512, 10), "random", 60_000, 128),
]
GROWTH = {
    "rows": {n: Case((2, 20, 2), "moons", n, 64) for n in (100, 1000, 10_000, 100_000, 10**6)},
    "batch size": {n: Case((2, 20, 2), "moons", 4096, n) for n in (1, 8, 64, 512, 4096)},
    "width": {n: Case((2, n, 2), "moons", 800, 64) for n in (8, 32, 128, 512, 2048)},
    "depth": {n: Case((2, *n * [32], 2), "moons", 800, 64) for n in (1, 2, 4, 8, 16)},
}
COMMANDS = {
    "--help": ["--help"],
    "one epoch, numpy": ["--max_steps", "1", "--no_output"],
    "one epoch, numba": ["--max_steps", "1", "--no_output", "--backend", "numba"],
    "full default run": ["--output_dir", "{folder}"],
}


def measure_side_by_side(n_rounds):
    """Yield the Rows of all contenders: one thread and all cores, float64 and float32."""
    for threads, limited in (("one thread", one_thread), ("all cores", all_cores)):
        with limited():
            for case in SMALL + LARGE:
                limit, rounds = limit_in_c, n_rounds
                if case in LARGE:
                    limit, rounds = matrix_products, math.ceil(n_rounds / 3)
                others = [straightforward, numpy_layers, *PEERS, limit]
                yield from measure(f"{threads}, float64", case, compiled, others, rounds)
                yield from measure(f"{threads}, float32", case, compiled, PEERS, rounds, "float32")


def measure_growth(n_rounds):
    """Yield the Rows of how the time grows with the work, on one thread."""
    others = [straightforward, numpy_layers, scikit_learn, torch_eager, jax_scan]
    with one_thread():
        for what, cases in GROWTH.items():
            for size, case in cases.items():
                for row in measure(what, case, compiled, others, n_rounds):
                    yield row._replace(case=str(size))


def measure_start_up(n_rounds):
    """Yield the Rows of whole processes of train_mlp_numpy.py; `contender` is what it imports."""
    with tempfile.TemporaryDirectory() as folder:
        for name, args in COMMANDS.items():
            script = [ROOT / "train_mlp_numpy.py", *(arg.format(folder=folder) for arg in args)]
            times = []
            for _ in range(n_rounds):
                start = time.perf_counter()
                subprocess.run([sys.executable, *script], check=True, stdout=subprocess.DEVNULL)
                times.append(time.perf_counter() - start)
            command = [sys.executable, "-X", "importtime", *script]
            log = subprocess.run(command, check=True, capture_output=True, text=True).stderr
            imported = {line.split("|")[-1].strip() for line in log.splitlines()}
            low, middle, high = np.percentile(times, [25, 50, 75])
            libraries = ", ".join(library for library in LIBRARIES if library in imported)
            nan = float("nan")
            yield Row(START_UP, name, libraries, middle, low, high, nan, nan, nan)


def three_digits(number):
    """Return a number rounded to three digits, without an exponent."""
    return f"{float(f'{number:.3g}'):g}" if number < 1e5 else f"{number:.0f}"


def in_words(seconds):
    """Return a time in three digits and a unit."""
    unit, factor = ("s", 1) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("µs", 1e6)
    return f"{three_digits(seconds * factor)} {unit}"


def as_table(heading, lines):
    """Return a table in Markdown."""
    lines = [heading, ["---"] * len(heading), *lines]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def select(rows, table):
    """Return the Rows of a table by case and heading, its cases and its headings."""
    rows = [row for row in rows if row.table == table]
    found = {(row.case, HEADINGS[row.contender]): row for row in rows}
    headings = dict.fromkeys(HEADINGS.values())
    present = [heading for heading in headings if any(heading == other for _, other in found)]
    return found, list(dict.fromkeys(row.case for row in rows)), present


def side_by_side_table(rows, table):
    """Return the times, each with its ratio to ours."""
    found, cases, headings = select(rows, table)

    def cell(row):
        if row is None:
            return "-"
        ratio = "" if row.contender == OURS else f" ({three_digits(row.ratio)}x)"
        return in_words(row.seconds) + ratio

    lines = [[case, *(cell(found.get((case, heading))) for heading in headings)] for case in cases]
    return as_table(["network, rows of a batch", *headings], lines)


def spread(rows, table):
    """Return how far the quartiles of a table are from the medians, at most and in the middle."""
    parts = [
        max(row.high - row.seconds, row.seconds - row.low) / row.seconds
        for row in rows
        if row.table == table
    ]
    return f"{100 * max(parts):.0f} % at most, {100 * statistics.median(parts):.1f} % in the median"


def slope(sizes, seconds):
    """Return the power of the size by which the time grows: the slope of a line of logarithms."""
    return np.polyfit(np.log(sizes), np.log(seconds), 1)[0]


def growth_table(rows, what):
    """Return the times by size, and the slopes."""
    found, sizes, headings = select(rows, what)
    columns = []
    for heading in headings:
        seconds = {size: found[size, heading].seconds for size in sizes if (size, heading) in found}
        times = [in_words(seconds[size]) if size in seconds else "-" for size in sizes]
        power = slope([*map(int, seconds)], [*seconds.values()]) if len(seconds) > 1 else math.nan
        columns.append([*times, f"{power:.2f}"])
    return as_table([what, *headings], [*zip([*sizes, "slope"], *columns, strict=True)])


def tables(rows, machine):
    """Return all that was measured as a text in Markdown."""
    parts = ["# An epoch, side by side", machine]
    for table in dict.fromkeys(row.table for row in rows if "float" in row.table):
        note = "ours in float64, the others in float32" if "float32" in table else "all in float64"
        parts.append(f"## {table.split(',')[0].capitalize()}, {note}")
        parts.append(side_by_side_table(rows, table))
        parts.append(
            "The median time of an epoch and, in brackets, how many times as long as numba it "
            f"takes. The quartiles are off by {spread(rows, table)}."
        )
    found, _, headings = select(rows, MAIN)
    lines = [
        [
            heading,
            in_words(small.first) if (small := found.get((str(SMALL[0]), heading))) else "-",
            f"{large.megabytes:,.0f} MB"
            if (large := found.get((str(LARGE[-1]), heading)))
            else "-",
        ]
        for heading in headings
    ]
    n_numbers = LARGE[-1].n_rows * (LARGE[-1].sizes[0] + LARGE[-1].sizes[-1])
    parts += [
        "## Until the first epoch is done, and memory",
        as_table(["", f"first epoch, {SMALL[0]}", f"peak memory, {LARGE[-1]}"], lines),
        "The first epoch with import, set-up and compilation, from empty caches, on one thread. Of "
        f"the memory, the rows and their targets are {8e-6 * n_numbers:.0f} MB.",
        "## As the work grows",
        *(growth_table(rows, what) for what in GROWTH),
        "An epoch on one thread: of 2-20-2 at batch size 64; of 4096 rows where the batch size "
        "grows, and of 800 where the width of the hidden layer grows or the number of hidden "
        "layers of 32. The slope is the power of the size that the time grows by.",
        "## Start-up of `train_mlp_numpy.py`",
        as_table(
            ["whole process", "time", "imports"],
            [
                [row.case, in_words(row.seconds), row.contender]
                for row in rows
                if row.table == START_UP
            ],
        ),
    ]
    return "\n\n".join(parts) + "\n"


def this_machine():
    """Return a line about the machine, the versions and the kernels of NumPy's BLAS."""
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*: (.*)", info.read_text())):
        model = found[1]
    versions = []
    for name in ("numpy", "numba", "scikit-learn", "torch", "jax"):
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {name}")
    kernels = {pool["architecture"] for pool in threadpool_info() if "architecture" in pool}
    versions.append(f"NumPy's BLAS for {', '.join(sorted(kernels))}")
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python "
        f"{platform.python_version()}, {', '.join(versions)}"
    )


def save_rows(rows, path):
    """Write the Rows as CSV."""
    with open_whole(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Row._fields)
        writer.writerows(rows)


def read_rows(path):
    """Return the Rows that `save_rows` wrote."""
    with open(path, newline="") as file:
        _, *lines = csv.reader(file)
    return [Row(*line[:3], *map(float, line[3:])) for line in lines]


def save_text(text, path):
    """Write a text."""
    with open_whole(path, encoding="utf-8") as file:
        file.write(text)


def draw_figures(rows):
    """Return the pictures, a dict of matplotlib Figures by file name."""
    import plots

    def curves(table, value):
        """Return by contender the values by case."""
        found, cases, headings = select(rows, table)
        return {
            heading: {
                case: getattr(found[case, heading], value)
                for case in cases
                if (case, heading) in found
            }
            for heading in headings
        }

    return {
        "side_by_side.png": plots.side_by_side(curves(MAIN, "ratio"), HEADINGS[OURS]),
        "growth.png": plots.growth({what: curves(what, "seconds") for what in GROWTH}),
    }


def main(argv=None):
    """Measure, print and write."""
    parser = ArgumentParser(
        "Time an epoch of ours and of others, in half an hour; writes side_by_side.md, .csv "
        "and .png, and growth.png."
    )
    parser.add_argument(
        "--rounds",
        metavar="N",
        type=whole_number(1),
        default=15,
        help="how often each contender is timed (default: %(default)s)",
    )
    add_output_dir_flag(parser)
    args = parser.parse_args(argv)
    folder = prepare_output(parser, args, ["side_by_side.md", "side_by_side.csv"])
    rows, machine = [], this_machine()
    print(machine)
    try:
        with tempfile.TemporaryDirectory() as empty, environment(dict.fromkeys(CACHES, empty)):
            for measured in (measure_side_by_side, measure_growth):
                for row in measured(args.rounds):
                    rows.append(row)
                    ratio = three_digits(row.ratio)
                    what = f"{row.table}, {row.case}: {row.contender}"
                    print(f"{what} {in_words(row.seconds)}, {ratio}x", flush=True)
        rows += measure_start_up(args.rounds)
    finally:  # what has been measured is kept
        written = write_files(folder, {"side_by_side.csv": partial(save_rows, rows)})
    text = tables(rows, machine)
    print(f"\n{text}")
    written &= write_files(folder, {"side_by_side.md": partial(save_text, text)})
    return int(not (finish_figures(draw_figures(rows), folder, show=False) and written))


if __name__ == "__main__":
    run(main)
