"""The manners of the scripts: strict flags, errors in one line, output files, exit statuses.

Nothing here learns or draws.
"""

import argparse
import difflib
import errno
import io
import math
import os
import re
import shlex
import sys
import tempfile
from functools import partial
from pathlib import Path

import signals
from common import open_whole


class ArgumentParser(argparse.ArgumentParser):
    """An argparse parser that is strict and brief: no abbreviated flags, every error one line."""

    def __init__(self, description):
        super().__init__(description=description, allow_abbrev=False)

    def parse_args(self, args=None, namespace=None):
        """Parse the command line; an unknown argument is an error that suggests the nearest."""
        args = list(sys.argv[1:] if args is None else args)
        # argparse takes -1e-3, -inf and -nan for flags; joined to theirs they are values.
        for i in range(len(args) - 1, 0, -1):
            if args[i - 1].startswith("--") and re.match(r"-(\.?[0-9]|inf|nan)", args[i], re.I):
                args[i - 1 : i + 1] = [f"{args[i - 1]}={args[i]}"]
        namespace, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [flag for flag in self._option_string_actions if flag.startswith("--")]
            nearest = difflib.get_close_matches(unknown[0].partition("=")[0], flags, n=1)
            remedy = f"did you mean {nearest[0]}?" if nearest else "--help lists the flags"
            self.error(f"unknown argument {shlex.join(unknown)}: {remedy}")
        return namespace

    def error(self, message):
        """Print `message` as one line on stderr and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def whole_number(least, most=10**9):
    """Return an argparse type: a whole number from `least` to `most`, in plain digits."""

    def parse(text):
        if re.fullmatch(r"[+-]?[0-9]{1,30}", text):
            number = int(text)
            if least <= number <= most:
                return number
        raise argparse.ArgumentTypeError(
            f"{text!r} will not do; give a whole number from {least} to {most}"
        )

    return parse


def real_number(bound, is_within):
    """Return an argparse type: a finite number for which `is_within`; `bound` says it in words."""

    def parse(text):
        if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", text, re.I):
            number = float(text)
            if math.isfinite(number) and is_within(number):
                return number
        raise argparse.ArgumentTypeError(f"{text!r} will not do; give a finite number {bound}")

    return parse


positive_number = real_number("above 0, such as 0.01", lambda number: number > 0)
seed_number = whole_number(0, 2**32 - 1)  # what both of NumPy's generators accept


def add_output_dir_flag(parser):
    """Add the flag that says where the files of a script go."""
    parser.add_argument(
        "--output_dir",
        metavar="DIR",
        default="outputs",
        help="folder for the files it writes, made if missing (default: %(default)s)",
    )
    parser.set_defaults(no_output=False, show=False)


def add_output_flags(parser):
    """Add the flags that say where the results of a script go, if anywhere."""
    add_output_dir_flag(parser)
    parser.add_argument("--no_output", action="store_true", help="print only, write no file")
    parser.add_argument("--show", action="store_true", help="also open the figures in windows")


def can_show():
    """Return whether matplotlib can open windows here."""
    try:
        import matplotlib.pyplot as plt
        from matplotlib.backends import BackendFilter, backend_registry

        plt.switch_backend(plt.get_backend())  # fails without a display or a window library
    except (ImportError, RuntimeError, ValueError):  # as backends say that they cannot work
        return False
    return plt.get_backend().lower() in backend_registry.list_builtin(BackendFilter.INTERACTIVE)


def prepare_output(parser, args, names):
    """Return the folder for the files called `names`, or None for `--no_output`.

    Everything that could spoil the end of a long run is tried here, at its start: the folder is
    made and written to, and `--show` must find a display. What fails is a usage error.
    """
    if not args.show:
        os.environ["MPLBACKEND"] = "agg"  # files need no display, nor what a notebook sets here
    elif not can_show():
        parser.error(
            "argument --show: no display here, or no window toolkit such as python3-tk; "
            "leave --show out and open the files"
        )
    if args.no_output:
        return None
    folder = Path(args.output_dir)
    try:
        if not args.output_dir:
            raise FileNotFoundError(errno.ENOENT, "the name is empty")
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            if (folder / name).is_dir():
                raise IsADirectoryError(errno.EISDIR, f"{name} in it is a folder")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        parser.error(
            f"argument --output_dir: cannot write to {args.output_dir!r} ({reason}); "
            "name a folder that can be written"
        )
    return folder


def write_files(folder, writers):
    """Write files into `folder`; print the path of each. One that fails does not cost the others.

    Args:
        folder: a Path.
        writers: functions that write to the path they are given, a dict by file name.

    Returns:
        Whether all could be written.
    """
    failed = False
    for name, write in writers.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)  # it may have been removed by now
            write(folder / name)
        except (OSError, ValueError) as error:
            failed = True
            reason = getattr(error, "strerror", None) or error
            print(f"cannot write {folder / name}: {reason}", file=sys.stderr)
        else:
            print(f"wrote {folder / name}")
    return not failed


def finish_figures(figures, folder, show):
    """Write matplotlib Figures, a dict by file name, unless `folder` is None; then show them.

    Returns:
        Whether all could be written.
    """

    def save(figure, path):
        with open_whole(path, "wb") as file:
            figure.savefig(file, format="png", dpi=150)

    writers = {name: partial(save, figure) for name, figure in figures.items()}
    written = folder is None or write_files(folder, writers)
    if show:
        import plots

        plots.show(figures)
    return written


class Output:
    """A standard stream that may be lost, to a reader who left or a full disk.

    The script need not care. What it prints from then on goes nowhere; when the reader of stdout
    has left, that is taken as the wish that it should stop.
    """

    def __init__(self, stream):
        self.stream, self.error = stream, None
        self.is_stdout = stream is sys.stdout

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        """Write the text, unless the stream is lost."""
        return self._call(self.stream.write, text)

    def flush(self):
        """Flush the stream, unless it is lost."""
        self._call(self.stream.flush)

    def _call(self, method, *args):
        try:
            return method(*args)
        except OSError as error:
            # What is still in the buffer must go somewhere when Python flushes it at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            self.error = error
            if self.is_stdout and isinstance(error, BrokenPipeError):
                signals.stop(signals.SIGPIPE)


def run(main):
    """Run a script's `main` and exit with its status.

    128 plus the number of the signal after Ctrl-C (130), `kill` (143) and when the reader of a pipe
    has gone, as with `| head -1` (141); 1 with one line on stderr when numbers overflow or a file
    or the memory fails.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller, as by `>&-`
            setattr(sys, name, io.StringIO())
        else:  # any path can be printed, whatever the encoding
            getattr(sys, name).reconfigure(errors="backslashreplace")
            setattr(sys, name, Output(getattr(sys, name)))
    script = Path(sys.argv[0]).name
    status = 0
    try:
        try:
            signals.raise_stopped()
            try:
                status = main() or 0
            except SystemExit as end:  # of the parser
                status = end.code
            sys.stdout.flush()
        finally:
            signals.let_go()  # a signal that comes later ends the process at once
    except KeyboardInterrupt as interrupt:
        status = signals.exit_status(interrupt)
        if status != 128 + signals.SIGPIPE:
            print(f"{script}: interrupted", file=sys.stderr)
    except (FloatingPointError, OSError, MemoryError) as error:
        print(f"{script}: error: {error}", file=sys.stderr)
        status = 1
    except Exception as error:
        if signals.pending is None:
            raise
        # Foreign code made this of the signal; or it is a mistake of ours, so it is told.
        status = 128 + signals.pending
        print(f"{script}: interrupted ({error!r})", file=sys.stderr)
    lost = getattr(sys.stdout, "error", None)
    if lost is not None and status == 0:
        print(f"{script}: error: cannot write to stdout: {lost.strerror}", file=sys.stderr)
        status = 1
    sys.exit(status)
