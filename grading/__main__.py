"""Grade submissions: python -m grading PATH..., each a submission or a folder of many.

This file has the command line, the report on the terminal, and the files for teachers.
"""

import argparse
import csv
import json
import os
import re
import shutil
import sys
import textwrap
import tomllib
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from joblib import Parallel, delayed
from tqdm import tqdm

from grading.bench import Row
from grading.judge import Judge
from grading.submission import Submission, submissions

PARTS = ("perceptron", "layers", "network", "trainer")
COLUMNS = ("submission", "part", "check", "status", "message", "points")


class Result(NamedTuple):
    """What was found out about one submission; points has one number for each of the rows."""

    name: str
    rows: list[Row]
    points: list[float]
    max_points: list[float]
    read_as: list[str]
    prints: str

    def of(self, part):
        """Return the points of a part."""
        pairs = zip(self.rows, self.points, strict=True)
        return round(sum(n for row, n in pairs if row.part == part), 2)


def grade(name, folder, points, **limits):
    """Return the Result of the submission in a folder; `points` has a number for each part."""
    with Submission(folder, **limits) as submission:
        rows = Judge(submission).judge()
        prints = submission.prints
    counts = {part: sum(row.part == part for row in rows) for part in PARTS}
    most = [points[row.part] / counts[row.part] for row in rows]
    given = [n if row.status == "right" else 0.0 for row, n in zip(rows, most, strict=True)]
    return Result(name, rows, given, most, list(dict.fromkeys(submission.read_as)), prints)


def groups(rows):
    """Yield rows, those in a row that are not judged for one reason as one, with all names."""
    kept = None
    for row in rows:
        if kept and (row.status, row.message) == (kept.status, kept.message) and row.message:
            kept = kept._replace(check=f"{kept.check}, {row.check}")
            continue
        if kept:
            yield kept
        kept = row
    if kept:
        yield kept


def report(result, points, width):
    """Return the report on one submission as lines of text."""
    lines = [f"{result.name}: {sum(result.points):.4g} of {sum(points.values()):g} points"]
    fill = {"width": width, "break_on_hyphens": False}
    if result.read_as:
        text = "read as: " + "; ".join(result.read_as)
        lines += textwrap.wrap(text, subsequent_indent="         ", **fill)
    for part in PARTS:
        rows = [row for row in result.rows if row.part == part]
        lines += ["", f"{part}: {result.of(part):.4g} of {points[part]:g}"]
        for row in groups(rows):
            head, indent = f"  {row.status:<10}  {row.check}", " " * 14
            short = f"{head:<42} {row.message}"
            is_short = row.message and len(head) < 42 and len(short) <= width
            lines += (
                textwrap.wrap(head, subsequent_indent=indent, **fill) if not is_short else [short]
            )
            for text in (*[row.message] * (not is_short), *row.detail):
                lines += textwrap.wrap(
                    text, initial_indent=indent, subsequent_indent=indent, **fill
                )
    if result.prints:
        lines += ["", "printed:", *result.prints.rstrip().splitlines()[-10:]]
    return lines


def table(results, points, width):
    """Return a table with a line for each submission."""
    longest = max(len("submission"), *(len(r.name) for r in results))
    heads = [f"{part} /{points[part]:g}" for part in PARTS]
    lines = [f"{'submission':<{longest}}  {'  '.join(heads)}  total  what is wrong"]
    for result in results:
        cells = [f"{result.of(p):>{len(h)}.4g}" for p, h in zip(PARTS, heads, strict=True)]
        told = [
            row.message
            for row in result.rows
            if row.message and not row.message.startswith("because")
        ]
        parts = "  ".join([f"{result.name:<{longest}}", *cells, f"{sum(result.points):>5.4g}"])
        line = f"{parts}  {'; '.join(told)}"
        lines.append(line if len(line) <= width else line[: width - 1] + "…")
    return lines


def page(result, points):
    """Return a page for the student, in Markdown."""
    lines = [f"# {result.name}: {sum(result.points):.4g} of {sum(points.values()):g} points", ""]
    if result.read_as:
        lines += ["Your solution was read as follows.", "", *(f"- {t}" for t in result.read_as), ""]
    for part in PARTS:
        lines += [f"## {part}: {result.of(part):.4g} of {points[part]:g}", ""]
        for row in groups(row for row in result.rows if row.part == part):
            text = f": {row.message}" if row.message else ""
            lines += [f"- **{row.status}** {row.check}{text}", *(f"  - `{t}`" for t in row.detail)]
        lines.append("")
    if result.prints:
        lines += ["## What it printed", "", *("    " + t for t in result.prints.splitlines()), ""]
    return "\n".join(lines)


def gradescope(result):
    """Return the result as Gradescope's autograder reads it."""
    tests = []
    for row, given, most in zip(result.rows, result.points, result.max_points, strict=True):
        output = "\n".join([row.status, *filter(None, [row.message]), *row.detail])
        test = {
            "name": f"{row.part}: {row.check}",
            "score": round(given, 2),
            "max_score": round(most, 2),
        }
        tests.append({**test, "output": output})
    score = {"score": round(sum(result.points), 2), "max_score": round(sum(result.max_points), 2)}
    return {**score, "tests": tests}


def folder(text):
    path = Path(os.path.expanduser(text))
    if not path.is_dir():
        told = (
            f"is a file, name the folder it is in: {path.parent}"
            if path.exists()
            else "there is no such folder"
        )
        raise argparse.ArgumentTypeError(f"{text!r}: {told}")
    return path


def read_points(text):
    try:
        points = tomllib.loads(Path(text).read_text())
        if {*points} == {*PARTS} and all(float(n) >= 0 for n in points.values()):
            return points
        error = f"it must have a number for each of {', '.join(PARTS)}, got {points}"
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
    flag("--n_jobs", type=int, default=-1, help="submissions at a time; -1 is one on each core")
    flag("--call_limit", type=above_0, default=10, help="seconds that one call may take")
    flag("--total_limit", type=above_0, default=120, help="seconds that a submission may take")
    flag("--memory", type=above_0, default=4, help="GiB that a submission may use")
    flag("--points", type=read_points, default=str(toml), help="TOML file with the points")
    args = parser.parse_args(argv)
    found = [item for path in args.paths for item in submissions(path).items()]
    names = [name for name, _ in found]
    found = [(n if names.count(n) == 1 else f"{p.resolve().parent.name}_{n}", p) for n, p in found]
    if args.output_dir:
        out = args.output_dir.expanduser()
        found = [(n, p) for n, p in found if p.resolve() != out.resolve()]
        try:
            out.mkdir(parents=True, exist_ok=True)
            file = open(out / "results.csv", "w", newline="")  # noqa: SIM115
        except OSError as error:
            parser.error(f"argument --output_dir: {error}; name a folder that can be written")
    limits = {"call_limit": args.call_limit, "total_limit": args.total_limit}
    limits["memory"] = int(args.memory * 2**30)
    jobs = (delayed(grade)(name, path, args.points, **limits) for name, path in found)
    running = Parallel(args.n_jobs, backend="threading", return_as="generator")(jobs)
    results = []
    with ExitStack() as stack:
        if args.output_dir:
            rows = csv.writer(stack.enter_context(file))
            rows.writerow(COLUMNS)
        bar = tqdm(
            running,
            total=len(found),
            unit="submission",
            disable=not sys.stderr.isatty() or len(found) == 1,
        )
        for result in bar:
            results.append(result)
            if args.output_dir:
                for row, points in zip(result.rows, result.points, strict=True):
                    told = " | ".join(filter(None, [row.message, *row.detail]))
                    rows.writerow(
                        [result.name, row.part, row.check, row.status, told, round(points, 2)]
                    )
                file.flush()
                stem = re.sub(r"[^\w.-]+", "_", result.name)
                (out / f"{stem}.md").write_text(page(result, args.points), encoding="utf-8")
                (out / f"{stem}.json").write_text(json.dumps(gradescope(result), indent=1))
    is_terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if is_terminal else 100
    if len(results) == 1:
        print("\n".join(report(results[0], args.points, max(width, 40))))
    else:
        print("\n".join(table(results, args.points, width if is_terminal else 10**9)))
    if args.output_dir:
        print(f"the results are in {out}")
    return int(any(row.status != "right" for result in results for row in result.rows))


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        Submission.stop_all()
        print("interrupted", file=sys.stderr)
        status = 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.stdout.flush()
    os._exit(status)  # at once, whatever threads are still waiting
