"""Grade submissions: python -m grading PATH..., each a submission or a folder of many.

This file has the command line, the report on the terminal, and the files for teachers.
"""

import argparse
import json
import math
import os
import re
import shutil
import signal
import sys
import tempfile
import textwrap
import tomllib
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from joblib import Parallel, cpu_count, delayed
from tqdm import tqdm

from grading.bench import Row
from grading.judge import Judge
from grading.submission import Submission, submissions

PARTS = ("perceptron", "layers", "network", "trainer")


class Result(NamedTuple):
    """What was found out about a submission; `points` are (given, most) for each of the rows."""

    name: str
    rows: list[Row]
    points: list[tuple[float, float]]
    read_as: list[str]
    prints: str

    def of(self, part=None):
        """Return the points of a part, or of all, as in "12.5 of 20"."""
        pairs = [p for r, p in zip(self.rows, self.points, strict=True) if part in (r.part, None)]
        given, most = map(sum, zip(*pairs, strict=True))
        return f"{given:.4g} of {most:.4g}"

    def not_judged(self):
        """Return the points of what could not be judged."""
        pairs = zip(self.rows, self.points, strict=True)
        return sum(most for row, (_, most) in pairs if row.status == "not judged")


def grade(name, folder, points, **limits):
    """Return the Result of the submission in a folder; `points` has a number for each part."""
    read_as, prints = [], ""
    try:
        with Submission(folder, **limits) as submission:
            rows = Judge(submission).judge()
            read_as, prints = list(dict.fromkeys(submission.read_as)), submission.prints
    except Exception as error:  # one odd folder must not end the work on a class
        told = f"it cannot be judged: {type(error).__name__}: {error}"
        rows = [Row(part, "all", "not judged", told) for part in PARTS]
    counts = Counter(row.part for row in rows)
    most = [points[row.part] / counts[row.part] for row in rows]
    pairs = [(n * (row.status == "right"), n) for row, n in zip(rows, most, strict=True)]
    return Result(name, rows, pairs, read_as, prints)


def grouped(rows):
    """Return rows, neighbours that are not right for the same reason as one, with all names."""
    groups = groupby(rows, lambda row: (row.status, row.message, row.check * (not row.message)))
    groups = [list(group) for _, group in groups]
    return [group[0]._replace(check=", ".join(row.check for row in group)) for group in groups]


def report(result, width):
    """Return the report on one submission as lines of text."""

    def wrapped(text, indent):
        return textwrap.wrap(
            text, width, subsequent_indent=indent, break_on_hyphens=False, initial_indent=indent
        )

    lines = [f"{result.name}: {result.of()} points"]
    if result.read_as:
        lines += ["read as", *(line for text in result.read_as for line in wrapped(text, "  "))]
    for part in PARTS:
        lines += ["", f"{part}: {result.of(part)}"]
        for row in grouped(row for row in result.rows if row.part == part):
            head = f"  {row.status:<10}  {row.check}"
            line = f"{head:<42} {row.message}"
            is_short = len(head) < 42 and len(line) <= width
            lines += [line.rstrip()] if is_short else wrapped(head.strip(), "  ")
            for text in row.detail if is_short else (row.message, *row.detail):
                lines += wrapped(text, " " * 14)
    return lines + (["", "printed", *result.prints.splitlines()[-10:]] if result.prints else [])


def findings(result):
    """Return in a line what is wrong, and what keeps something from being judged."""
    told = [row.message for row in result.rows if row.status in ("wrong", "not judged")]
    told = [message for message in told if not message.startswith("because")]
    n_to_do = sum(row.status == "to do" for row in result.rows)
    return "; ".join(told + [f"{n_to_do} to do"] * (n_to_do > 0))


def table_of(results):
    """Return the checks of all results as a pandas DataFrame, the columns of results.csv."""
    import pandas as pd

    rows = [
        (r.name, row.part, row.check, row.status, " | ".join((row.message, *row.detail)), n)
        for r in results
        for row, (n, _) in zip(r.rows, r.points, strict=True)
    ]
    names = ["submission", "part", "check", "status", "message", "points"]
    return pd.DataFrame(rows, columns=names)


def summary(results):
    """Return a table with a line for each submission: its points by part, and what is wrong."""
    points = table_of(results).groupby(["submission", "part"], sort=False)["points"].sum()
    table = points.unstack()[list(PARTS)].loc[[r.name for r in results]]
    table.insert(0, "total", table.sum(axis=1))
    table["not judged"] = [result.not_judged() for result in results]
    table.index = [f"{name[:23]}…" if len(name) > 24 else name for name in table.index]
    lines = table.round(1).rename_axis(columns="submission").to_string().splitlines()
    told = ["what is wrong", *map(findings, results)]
    return [f"{line}  {text}" for line, text in zip(lines, told, strict=True)]


def page(result):
    """Return a page for the student, in Markdown."""
    lines = [f"# {result.name}: {result.of()} points", ""]
    if result.read_as:
        lines += ["Your solution was read as follows.", "", *(f"- {t}" for t in result.read_as), ""]
    for part in PARTS:
        lines += [f"## {part}: {result.of(part)}", ""]
        for row in grouped(row for row in result.rows if row.part == part):
            lines.append(
                f"- **{row.status}** `{row.check}`" + f": {row.message}" * bool(row.message)
            )
            lines += [f"  - {text}" for text in row.detail]
        lines.append("")
    if result.prints:
        lines += ["## What it printed", "", *("    " + t for t in result.prints.splitlines()), ""]
    return "\n".join(lines)


def gradescope(result):
    """Return the result as Gradescope's autograder reads it."""
    tests = [
        {
            "name": f"{row.part}: {row.check}",
            "score": given,
            "max_score": most,
            "output": "\n".join(filter(None, (row.status, row.message, *row.detail))),
        }
        for row, (given, most) in zip(result.rows, result.points, strict=True)
    ]
    score, max_score = (round(sum(n), 2) for n in zip(*result.points, strict=True))
    return {"score": score, "max_score": max_score, "tests": tests}


def folder(text):
    path = Path(os.path.expanduser(text))
    if not path.is_dir():
        told = f"is a file; give its folder, {path.parent}" if path.exists() else "is not there"
        raise argparse.ArgumentTypeError(f"{text!r} {told}")
    return path


def read_points(text):
    try:
        points = {part: float(n) for part, n in tomllib.loads(Path(text).read_text()).items()}
        if {*points} == {*PARTS} and all(0 <= n < math.inf for n in points.values()):
            return points
        error = f"it must have a number, 0 or more, for each of {', '.join(PARTS)}; got {points}"
    except (OSError, ValueError, TypeError) as cause:
        error = cause
    raise argparse.ArgumentTypeError(f"{text!r} has no points: {error}")


def above_0(text):
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not valid; give a number above 0")
    return value


def unique(path, paths):
    """Return a name for a submission: its folder's, with those above as far as others have it."""
    for n in range(1, len(path.parts) + 1):
        names = ["_".join(re.sub(r"[^\w.-]+", "_", part) for part in p.parts[-n:]) for p in paths]
        name = names[paths.index(path)]
        if [other.lower() for other in names].count(name.lower()) == 1:
            break
    return name


def main(argv=None):
    """Grade from the command line; return the exit status, 0 if all is judged and right."""
    parser = argparse.ArgumentParser(
        prog="python -m grading",
        description="Grade solutions of the assignment.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    flag, toml = parser.add_argument, Path(__file__).with_name("points.toml")
    flag("paths", metavar="PATH", nargs="+", type=folder, help="a submission, or a folder of many")
    flag("--output_dir", type=Path, help="folder for results.csv, and a page and JSON for each")
    flag("--n_jobs", type=above_0, default=cpu_count(), help="submissions at a time")
    flag("--call_limit", type=above_0, default=10, help="seconds that one call may take")
    flag("--total_limit", type=above_0, default=120, help="seconds that a submission may take")
    flag("--memory", type=above_0, default=4, help="GiB that a submission may use")
    flag("--points", type=read_points, default=str(toml), help="TOML file with the points")
    args = parser.parse_args(argv)
    found = list(dict.fromkeys(folder for path in args.paths for folder in submissions(path)))
    if out := args.output_dir and args.output_dir.expanduser().resolve():
        found = [path for path in found if path != out or len(found) == 1]
        try:
            out.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=out).close()
        except OSError as error:
            parser.error(f"argument --output_dir: {error}; name a folder that can be written")
    limits = {"call_limit": args.call_limit, "total_limit": args.total_limit}
    limits["memory"] = int(args.memory * 2**30)
    jobs = (delayed(grade)(unique(p, found), p, args.points, **limits) for p in found)
    running = Parallel(math.ceil(args.n_jobs), backend="threading", return_as="generator")(jobs)
    is_quiet, results = len(found) == 1 or not sys.stderr.isatty(), []
    for result in tqdm(running, total=len(found), unit=" submissions", disable=is_quiet):
        results.append(result)
        if out:
            for end, text in (".md", page(result)), (".json", json.dumps(gradescope(result))):
                path = out / f"{result.name}{end}"
                path.write_text(text, encoding="utf-8", errors="backslashreplace")
            table_of(results).to_csv(out / "results.csv", index=False, errors="backslashreplace")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 10**4
    is_one = len(results) == 1
    lines = report(results[0], max(40, min(width, 100))) if is_one else summary(results)
    print("\n".join(line if len(line) <= width else f"{line[: width - 1]}…" for line in lines))
    if out:
        print(f"the results are in {args.output_dir}")
    return int(any(row.status != "right" for result in results for row in result.rows))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        Submission.stop_all()
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.stdout.flush()
    os._exit(status)  # at once, whatever threads are still waiting
