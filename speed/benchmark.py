"""Part III: how long an epoch takes, beside what people would use instead.

    python -m speed.benchmark --output_dir figures/benchmarks

Every contender of contenders.py trains the same network on the same rows, in double precision on
one thread. First it proves that it does the same work: after one epoch its parameters are ours.
Then all take turns (rounds.py). The table gives the median time of an epoch, its shuffle
included, and the median of its ratio to our compiled loop within a round.
"""

import argparse
import csv
import importlib.metadata
import io
import math
import os
import platform
import re
import statistics
from pathlib import Path

from mlp_numpy import open_whole
from speed import contenders
from speed.rounds import TABLE, Case, Row, measure
from train_mlp_numpy import PARSER, number, run

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
SMALL = [
    *(Case((2, 20, 2), "moons", 800, size) for size in (1, 16, 64, 256, 800)),
    *(Case((2, 16, 16, 2), "moons", 800, size) for size in (1, 64)),
    *(Case((64, 32, 10), "digits", 1437, size) for size in (16, 128)),
]
LARGE = [
    Case((784, 256, 10), "random", 60_000, 64),
    Case((784, 512, 512, 10), "random", 60_000, 128),
]
STYLES = {
    "straightforward": {"color": "#56B4E9", "marker": "o"},
    "ours: numpy": {"color": "#0072B2", "marker": "s"},
    "ours: numba": {"color": "black", "marker": "D"},
    "scikit-learn": {"color": "#E69F00", "marker": "v"},
    "PyTorch": {"color": "#D55E00", "marker": "^"},
    "PyTorch compiled": {"color": "#CC79A7", "marker": ">"},
    "JAX": {"color": "#009E73", "marker": "P"},
    "limit": {"color": "0.5", "marker": "|", "markersize": 16, "markeredgewidth": 2},
}


def measure_all(n_rounds):
    """Yield the Rows of all contenders in all cases."""
    for case in SMALL + LARGE:
        left_out = "limit_in_c" if case in LARGE else "matrix_products"
        names = [name for name in HEADINGS if name not in ("compiled", left_out)]
        others = [getattr(contenders, name) for name in names]
        n = math.ceil(n_rounds / 3) if case in LARGE else n_rounds
        yield from measure(case, contenders.compiled, others, n)


def table(rows):
    """Return the times as a table in Markdown, each with its ratio to ours."""
    found = {(row.case, HEADINGS[row.contender]): row for row in rows}
    headings = [name for name in STYLES if any(name == heading for _, heading in found)]
    lines = [["network, rows of a batch", *headings], ["---"] * (1 + len(headings))]
    for case in dict.fromkeys(row.case for row in rows):
        lines.append([case, *(in_words(found.get((case, heading))) for heading in headings)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def in_words(row):
    """Return the time of a Row in three digits and a unit, and its ratio."""
    if row is None:
        return "-"
    t = row.seconds
    unit, factor = ("s", 1) if t >= 1 else ("ms", 1e3) if t >= 1e-3 else ("µs", 1e6)
    ratio = "" if row.contender == "compiled" else f" ({three_digits(row.ratio)}x)"
    return f"{three_digits(t * factor)} {unit}{ratio}"


def three_digits(number):
    """Return a number rounded to three digits, without an exponent."""
    return f"{float(f'{number:.3g}'):g}" if number < 1e5 else f"{number:.0f}"


def spread(rows):
    """Return how far the quartiles are from the medians, at most and in the middle."""
    parts = [max(row.high - row.seconds, row.seconds - row.low) / row.seconds for row in rows]
    return f"{100 * max(parts):.0f} % at most, {100 * statistics.median(parts):.1f} % in the median"


def report(rows, machine):
    """Return what was measured as a text in Markdown."""
    return (
        f"# An epoch, side by side\n\n{machine}\n\n"
        f"## One thread, all in float64\n\n{table(rows)}\n\n"
        "The median time of an epoch and, in brackets, how many times as long as numba it takes. "
        f"The quartiles are off by {spread(rows)}.\n"
    )


def this_machine():
    """Return a line about the machine, the versions and the kernels of NumPy's BLAS."""
    from threadpoolctl import threadpool_info

    model, info = platform.processor(), Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"model name\s*: (.*)", info.read_text())):
        model = found[1]
    installed = {package.name: package.version for package in importlib.metadata.distributions()}
    names = "numpy", "numba", "scikit-learn", "torch", "jax"
    versions = [
        f"{name} {installed[name]}" if name in installed else f"no {name}" for name in names
    ]
    kernels = {pool["architecture"] for pool in threadpool_info() if "architecture" in pool}
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, "
        f"Python {platform.python_version()}, {', '.join(versions)}, "
        f"NumPy's BLAS for {', '.join(sorted(kernels))}"
    )


def draw(rows):
    """Return a matplotlib Figure of how many times as long as ours others take."""
    from matplotlib.figure import Figure

    cases = list(dict.fromkeys(row.case for row in rows))
    figure = Figure(figsize=(8.4, 1.9 + 0.36 * len(cases)), layout="constrained")
    axes = figure.subplots()
    for name, style in STYLES.items():
        mine = [row for row in rows if HEADINGS[row.contender] == name]
        places = [cases.index(row.case) for row in mine]
        axes.plot([row.ratio for row in mine], places, linestyle="", label=name, **style)
    axes.axvline(1, color="0.6", zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.set_xlabel("time of an epoch, as a multiple of ours: numba")
    figure.legend(loc="outside lower center", ncols=4)
    return figure


def read_rows(path):
    """Return the Rows in a CSV file that `main` wrote."""
    with open(path, newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["table"] == TABLE]
    return [
        Row(*(line[k] for k in Row._fields[:3]), *(float(line[k]) for k in Row._fields[3:]))
        for line in lines
    ]


def main(argv=None):
    """Measure, on one thread and, if it can be, one core; print and write."""
    about = "Time an epoch of ours and of others, in about ten minutes."
    parser = argparse.ArgumentParser(description=about, **PARSER)
    flag = parser.add_argument
    flag("--n_rounds", type=number(int, 1), default=15, help="how often each is timed")
    flag(
        "--output_dir", type=Path, default="outputs", help="folder for side_by_side.md, .csv, .png"
    )
    args = parser.parse_args(argv)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    for name in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ[f"{name}_NUM_THREADS"] = "1"  # for the processes to come
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    machine, rows = this_machine(), []
    print(machine)
    for row in measure_all(args.n_rounds):
        rows.append(row)
        print(f"{row.case}: {HEADINGS[row.contender]} {in_words(row)}", flush=True)
    text, lines, picture = report(rows, machine), io.StringIO(), io.BytesIO()
    print(f"\n{text}")
    csv.writer(lines, lineterminator="\n").writerows([Row._fields, *rows])
    draw(rows).savefig(picture, dpi=150)
    contents = {"md": text.encode(), "csv": lines.getvalue().encode(), "png": picture.getvalue()}
    for ending, content in contents.items():
        with open_whole(args.output_dir / f"side_by_side.{ending}") as file:
            file.write(content)
    return 0


if __name__ == "__main__":
    run(main)
