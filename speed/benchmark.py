"""Part III: how long an epoch takes, beside what people would use instead.

    python -m speed.benchmark --output_dir figures/benchmarks

Every contender of contenders.py trains the same network on the same rows, in double precision on
one thread. First it proves that it does the same work: after one epoch its parameters are ours.
Then all take turns (rounds.py). The table gives the median time of an epoch, its shuffle
included, and the median of its ratio to our compiled loop within a round.
"""

import csv
import importlib.metadata
import io
import math
import os
import platform
import re
import statistics
import sys
from pathlib import Path

from speed import contenders
from speed.rounds import TABLE, Case, Row, measure
from train_mlp_numpy import check_folder, discard_output, folder_path, new_parser, number

HEADINGS = {  # of the functions in contenders.py
    "straightforward": "straightforward",
    "numpy_layers": "ours: numpy",
    "compiled": "ours: numba",
    "scikit_learn": "scikit-learn",
    "torch_eager": "PyTorch",
    "torch_compiled": "PyTorch compiled",
    "jax_scan": "JAX",
    "plain_c": "plain C",  # small networks only
    "matrix_products": "bare products",  # large ones only
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
    "plain C": {"color": "0.4", "marker": "|", "markersize": 9, "markeredgewidth": 3},
    "bare products": {"color": "0.4", "marker": "*", "markersize": 8},
}
LANES = [  # of a row of the picture, so that markers of equal values do not cover each other
    ("straightforward", "PyTorch", "bare products"),
    ("ours: numpy", "ours: numba", "scikit-learn"),
    ("PyTorch compiled", "JAX", "plain C"),
]


def measure_all(n_rounds):
    """Yield the Rows of all contenders in all cases."""
    for case in SMALL + LARGE:
        left_out = "plain_c" if case in LARGE else "matrix_products"
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
        f"The quartiles are off by {spread(rows)}. Plain C takes one row at a time; the bare "
        "products are those of matrices, and nothing else.\n"
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
    import plots  # not above: each contender's process imports this file as well

    plots.plt.style.use("default")  # whatever the user's settings of matplotlib are
    cases = list(dict.fromkeys(row.case for row in rows))
    figure, axes = plots.new_figure(9, 2.1 + 0.42 * len(cases))
    draw_ratios(figure, axes, rows, cases)
    return figure


def draw_ratios(figure, axes, rows, cases):
    """Draw each case on a line of its own, and the legend."""
    for name, style in STYLES.items():
        mine = [row for row in rows if HEADINGS[row.contender] == name]
        (lane,) = (k for k, names in enumerate(LANES) if name in names)
        places = [cases.index(row.case) + 0.25 * (lane - 1) for row in mine]
        axes.plot([row.ratio for row in mine], places, linestyle="", label=name, **style)
    axes.axvline(1, color="0.6", zorder=0)
    for place in range(0, len(cases), 2):
        axes.axhspan(place - 0.5, place + 0.5, color="0.95", zorder=-1)
    ticks = [digit * 10.0**power for power in range(-3, 6) for digit in (1, 2, 5)]
    low = max(tick for tick in ticks if tick <= min(row.ratio for row in rows))
    high = min(tick for tick in ticks if tick >= max(row.ratio for row in rows))
    axes.set_xscale("log")
    axes.set_xticks([tick for tick in ticks if low <= tick <= high])
    axes.set_xticks([], minor=True)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yticks(range(len(cases)), cases)
    axes.set_ylim(len(cases) - 0.5, -0.5)
    axes.grid(axis="x", color="0.85")
    axes.set_axisbelow(True)
    figure.suptitle(f"The time of an epoch as a multiple of ours: numba ({TABLE})")
    axes.set_xlabel("ratio of times, the median of all rounds")
    axes.set_ylabel("network, rows of a batch")
    figure.legend(loc="outside lower center", ncols=5)


def read_rows(path):
    """Return the Rows in a CSV file that `main` wrote; any other file is a ValueError."""
    with open(path, newline="", encoding="utf-8") as file:
        try:
            lines = [line for line in csv.DictReader(file) if line["table"] == TABLE]
            names, numbers = Row._fields[:3], Row._fields[3:]
            rows = [
                Row(*map(line.get, names), *(float(line[k]) for k in numbers)) for line in lines
            ]
            if not rows or not {row.contender for row in rows} <= {*HEADINGS}:
                raise ValueError("there are no rows of these contenders")
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise ValueError(f"{path} was not written by this benchmark: {error!r}") from error
    return rows


def tell(text):
    """Print a text at once, with u for µ, which not every stdout can take."""
    print(text.replace("µ", "u"), flush=True)


def main(argv=None):
    """Measure, print and write; return the exit status."""
    args = parse_flags(argv)
    try:
        measure_and_report(args)
    except KeyboardInterrupt:
        return 130  # as shells expect it after Ctrl-C
    except BrokenPipeError:  # the reader has gone, as with `| head -1`
        discard_output()
        return 1
    return 0


def parse_flags(argv):
    """Return the flags; exit with status 2, before any work, if the folder cannot be written."""
    parser = new_parser(
        "Time an epoch of ours and of others, in about ten minutes.",
        "python -m speed.benchmark --n_rounds 3",
    )
    flag = parser.add_argument
    files = "folder for side_by_side.md, .csv, .png"
    flag("--n_rounds", type=number(int, 1), default=15, help="how often each is timed")
    flag("--output_dir", type=folder_path, default="outputs", help=files)
    args = parser.parse_args(argv)
    check_folder(parser, args.output_dir)
    return args


def measure_and_report(args):
    """Measure as the flags say, print each row when it is there, and write the report."""
    machine = this_machine()
    tell(machine)
    rows = []
    for row in measure_all(args.n_rounds):
        rows.append(row)
        tell(f"{row.case}: {HEADINGS[row.contender]} {in_words(row)}")
    text = report(rows, machine)
    tell(f"\n{text}")
    write(args.output_dir, rows, text)


def write(folder, rows, text):
    """Write side_by_side.md, .csv and .png, each whole or not at all."""
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([Row._fields, *rows])
    picture = io.BytesIO()
    draw(rows).savefig(picture, dpi=150)
    contents = {"md": text.encode(), "csv": lines.getvalue().encode(), "png": picture.getvalue()}

    folder.mkdir(parents=True, exist_ok=True)
    for ending, content in contents.items():
        path = folder / f"side_by_side.{ending}"
        scratch = Path(f"{path}.{os.getpid()}.tmp")
        scratch.write_bytes(content)
        os.replace(scratch, path)  # only now, so that there is never half a file at `path`


if __name__ == "__main__":
    sys.exit(main())
