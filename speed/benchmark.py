"""Part III: how long an epoch takes, compared with what people would use instead.

    python -m speed.benchmark --output_dir figures/benchmarks

Every contender of contenders.py trains the same network on the same rows, in double precision on
one thread. First it proves that it does the same work: after an epoch, its parameters equal ours.
(Only the bare products of matrices prove nothing.) Then all take turns (rounds.py). The results are
shown in a table and a picture (side_by_side.py).
"""

import importlib.metadata
import math
import os
import platform
import re
import sys
from pathlib import Path

from speed import contenders
from speed.rounds import Case, measure
from train_mlp_numpy import check_folder, discard_output, folder_path, new_parser, number

SMALL = [
    Case((2, 20, 2), "moons", 800, 1),
    Case((2, 20, 2), "moons", 800, 16),
    Case((2, 20, 2), "moons", 800, 64),
    Case((2, 20, 2), "moons", 800, 256),
    Case((2, 20, 2), "moons", 800, 800),
    Case((2, 16, 16, 2), "moons", 800, 1),
    Case((2, 16, 16, 2), "moons", 800, 64),
    Case((64, 32, 10), "digits", 1437, 16),
    Case((64, 32, 10), "digits", 1437, 128),
]
LARGE = [
    Case((784, 256, 10), "random", 60_000, 64),
    Case((784, 512, 512, 10), "random", 60_000, 128),
]
OURS = contenders.compiled_loop
OTHERS = [
    contenders.straightforward,
    contenders.numpy_layers,
    contenders.scikit_learn,
    contenders.torch_eager,
    contenders.torch_compiled,
    contenders.jax_scan,
]


def measure_all(n_rounds):
    """Yield the Results of all cases, which have a third of the rounds if they are large."""
    for case in SMALL:
        yield from measure(case, OURS, [*OTHERS, contenders.plain_c], n_rounds)
    for case in LARGE:
        others = [*OTHERS, contenders.matrix_products]
        yield from measure(case, OURS, others, math.ceil(n_rounds / 3))


# Below is the command line.


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
        "Time an epoch of ours and of others, in ten to twenty minutes.",
        "python -m speed.benchmark --n_rounds 3",
    )
    add = parser.add_argument
    files = "folder for side_by_side.md, .csv, .png"
    add("--n_rounds", type=number(int, 1), default=15, help="how often each is timed")
    add("--output_dir", type=folder_path, default="outputs", help=files)
    args = parser.parse_args(argv)
    check_folder(parser, args.output_dir)
    return args


def measure_and_report(args):
    """Measure as the flags say, print each result as soon as it is there, and write all."""
    # Not at the top of this file, because each contender's process imports it, too.
    import pandas as pd

    from speed import side_by_side

    machine = this_machine()
    tell(machine)
    measured = []
    for result in measure_all(args.n_rounds):
        measured.append(result)
        heading = side_by_side.HEADINGS[result.contender]
        tell(f"{result.case}: {heading} {side_by_side.in_words(result)}")

    results = pd.DataFrame(measured)
    text = side_by_side.report(results, machine)
    tell(f"\n{text}")
    side_by_side.write(args.output_dir, results, text)


def this_machine():
    """Return a line about the machine, the versions, and the processor that BLAS is made for."""
    from threadpoolctl import threadpool_info

    kernels = {pool["architecture"] for pool in threadpool_info() if "architecture" in pool}
    packages = ["numpy", "numba", "scikit-learn", "torch", "jax"]
    parts = [
        processor_name(),
        f"{os.cpu_count()} cores",
        platform.system(),
        f"Python {platform.python_version()}",
        *[name_and_version(package) for package in packages],
        f"BLAS for {', '.join(sorted(kernels))}",
    ]
    return ", ".join(parts)


def processor_name():
    """Return the name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*: (.*)", info.read_text())
        if found:
            return found[1]
    return platform.processor()


def name_and_version(package):
    """Return a package and its version as text."""
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"no {package}"


def tell(text):
    """Print a text immediately, with u for µ, which not every stdout can take."""
    print(text.replace("µ", "u"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
