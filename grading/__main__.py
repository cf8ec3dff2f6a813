"""Grade solutions of the assignment: python -m grading PATH...

    python -m grading mine                            one solution
    python -m grading class --output_dir results      each solution in a folder

This file has the command line. What is one submission is in submissions.py, how it is measured in
measure.py, and what is printed and written in report.py.
"""

import argparse
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import tomllib
import warnings
from contextlib import closing
from pathlib import Path

from tqdm import tqdm

from grading import measure, report, submissions
from grading.checks import CHECKS, PARTS, not_judged
from grading.process import conventions


def main(argv=None):
    """Grade from the command line; return the exit status: 0 if everything is right."""
    if sys.stdout is None:
        return fail("standard output is closed", 2)
    sys.stdout.reconfigure(errors="backslashreplace")  # for what a terminal has no characters
    try:
        args = parse_flags(argv)
        status = grade_and_report(args)
        sys.stdout.flush()  # print all now, so that an error comes inside this try
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one shall not keep it from ending
        status = fail("interrupted", 130)  # as shells expect it after Ctrl-C
    except BrokenPipeError:  # the program behind the pipe has ended, as with `| head -1`
        discard_output()
        status = 1
    except OSError as error:  # such as standard output on a full disk
        discard_output()
        status = fail(f"error: {error}", 1)
    except WriteError as error:
        status = fail(f"error: {error}", 1)
    finally:
        measure.stop_all()
    return status


def fail(message, status):
    """Print a message; return the exit status."""
    print(message, file=sys.stderr)
    return status


def discard_output():
    """Discard what is not printed yet. Else Python prints it at exit: the same error again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def grade_and_report(args):
    """Grade all submissions, print and write the results; return the exit status."""
    measure.start_server(for_many=len(args.submissions) > 1)  # it imports while we do
    order = [submission.name for submission in args.submissions]
    found = {}
    results = []
    with warnings.catch_warnings(), closing(graded(args)) as coming:
        # joblib's warning, if an error or Ctrl-C ends the work early
        warnings.filterwarnings("ignore", ".*tasks which were still being", UserWarning)
        for result in coming:
            found[result.name] = result
            results = [found[name] for name in order if name in found]
            if args.output_dir is not None:
                save(args.output_dir, result, results)
    width = min(max(shutil.get_terminal_size().columns, 40), 100)
    if len(results) == 1:
        lines = report.report(results[0], width)
    else:
        lines = report.class_table(results, width)
    print("\n".join(lines))
    if args.output_dir is not None:
        print(f"wrote results.csv, pages and JSON files to {args.output_dir}")
    is_right = all((result.table["status"] == "right").all() for result in results)
    return 0 if is_right else 1


def graded(args):
    """Yield the Result of each submission when it is there, while others are graded."""
    from joblib import Parallel, delayed

    n_jobs = min(args.n_jobs, len(args.submissions))
    parallel = Parallel(n_jobs, backend="threading", return_as="generator_unordered")
    results = parallel(delayed(grade)(submission, args) for submission in args.submissions)
    is_one = len(args.submissions) == 1
    yield from tqdm(
        results,
        total=len(args.submissions),
        unit="submission",
        leave=False,
        disable=True if is_one else None,  # None: a bar on a terminal only
    )


def grade(submission, args):
    """Return the Result of a submission, however odd it is."""
    read_as = submission.read_as
    reason = submission.refusal
    if not reason:
        try:
            rows, told = measure.rows_of(
                submission.folder,
                submission.files,
                time_limit=args.time_limit,
                memory=int(args.memory * 2**30),
                given=args.conventions,
            )
            read_as = read_as + told
        except Exception as error:  # one odd submission must not end the work on a class
            reason = f"it cannot be judged: {type(error).__name__}: {error}"
    if reason:
        rows = [not_judged(check.name, reason) for check in CHECKS]
    return report.result_of(submission.name, rows, read_as, args.points)


def save(folder, new, results):
    """Write the page and the JSON file of the new result, and results.csv of all so far."""
    gradescope = json.dumps(report.gradescope(new), indent=1)
    write(folder / "results.csv", report.as_csv(results))
    write(folder / f"{new.name}.md", report.page(new))
    write(folder / f"{new.name}.json", gradescope)


class WriteError(Exception):
    """A file of the results cannot be written."""


def write(path, text):
    """Write a file as a whole."""
    scratch = Path(f"{path}.{os.getpid()}.tmp")
    try:
        scratch.write_text(text, encoding="utf-8", newline="\n")
        os.replace(scratch, path)  # only now, so that there is never half a file at `path`
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise WriteError(f"{path} cannot be written: {error.strerror}") from error


def parse_flags(argv):
    """Return the flags. A wrong one ends the program with status 2, before any work."""
    parser = argparse.ArgumentParser(
        prog="python -m grading",
        description="Grade solutions of the assignment, and explain each mistake.",
        epilog="Example: python -m grading class --output_dir results",
        usage=argparse.SUPPRESS,  # an error is one line, without usage
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_flags(parser)
    args = parser.parse_args(argv)
    args.points, args.conventions = args.points
    are = "guess"
    if args.one:
        are = "one"
    if vars(args)["class"]:
        are = "class"
    args.submissions = submissions.find(args.paths, are, args.output_dir)
    if not args.submissions:
        parser.error("argument PATH: there is no submission in it; name another folder")
    if args.output_dir is not None:
        make_folder(parser, args.output_dir)
    return args


def add_flags(parser):
    """Add the flags. A default that is text is parsed, too."""
    points = str(Path(__file__).with_name("points.toml"))
    add = parser.add_argument
    add(
        "paths",
        metavar="PATH",
        nargs="+",
        type=path_given,
        help="a submission, or a folder of many",
    )
    by_hand = parser.add_mutually_exclusive_group().add_argument
    by_hand("--one", action="store_true", help="each PATH is one submission")
    by_hand("--class", action="store_true", help="each folder in PATH is one submission")
    add(
        "--output_dir",
        type=folder_path,
        help="folder for results.csv, and a page and JSON for each",
    )
    add("--n_jobs", type=number(int, 1, 1000), default=os.cpu_count(), help="submissions at a time")
    add("--time_limit", type=number(float, 1), default=60, help="seconds for a piece of one")
    add("--memory", type=number(float, 0.5), default=4, help="GiB for a piece of one")
    add("--points", type=points_file, default=points, help="TOML file with the points")


def make_folder(parser, folder):
    """Make a folder, or end the program with an error of the parser if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        parser.error(
            f"argument --output_dir: {folder} cannot be written: {error.strerror}; "
            "name another folder"
        )


def path_given(text):
    """Parse a PATH: a folder, or a file that was handed in instead of one."""
    path = Path(text).expanduser()
    if not text or not (path.is_dir() or path.is_file()):
        raise argparse.ArgumentTypeError(f"{text!r} is not there; name a folder")
    if path.suffix == ".py" and path.is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is a file; give its folder, {path.parent}")
    return path


def folder_path(text):
    """Parse --output_dir: a path, in which ~ is the home folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is no name; name a folder")
    return Path(text).expanduser()


def number(kind, least, most=10**6):
    """Return a function that parses a flag: a number of this kind, int or float, in this range."""
    name = "a whole number" if kind is int else "a number"

    def parse(text):
        message = f"{text!r} is not valid; give {name} from {least} to {most}"
        try:
            value = kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(message) from error
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(message)
        return value

    return parse


def points_file(text):
    """Parse --points: a TOML file. Return the points by part, and the conventions by name."""
    try:
        points = tomllib.loads(Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be read: {error}") from error
    given = points.pop("conventions", {})
    if set(points) != set(PARTS) or not all(is_amount(value) for value in points.values()):
        raise argparse.ArgumentTypeError(
            f"{text!r} has no points: give a number, 0 or more, for each of {', '.join(PARTS)}"
        )
    try:
        conventions.check(given)
    except (ValueError, AttributeError) as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error
    return points, given


def is_amount(value):
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 <= value < math.inf


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
