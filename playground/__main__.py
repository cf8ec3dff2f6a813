"""Open the playground in the browser, or save a recorded run.

python -m playground                    this project's layers
python -m playground mine               a student's, in the folder `mine`
python -m playground --save run.html    one file, which needs no Python
"""

import argparse
import sys
import webbrowser
from functools import partial
from pathlib import Path
from threading import Thread

from playground import student
from playground.answers import Answers, explained
from playground.page import save
from playground.points import read_points, text_of
from playground.server import Server
from playground.settings import FIRST, OWN, PARSERS
from train_mlp_numpy import fail, new_parser, number

N_PORTS = 100  # ports to try, from --port upwards

HELP = {
    "dataset": "the data set",
    "noise": "standard deviation of the noise on the points",
    "data_seed": "seed of the data set",
    "hidden_units": "such as 20 or 8,8, or none",
    "learning_rate": "factor of the gradient",
    "batch_size": "rows in a batch, or full",
    "seed": "seed of the initial weights and the shuffles",
    "epochs": "where the run ends",
}


def main(argv=None):
    """Serve the page until Ctrl-C, or save a run; return the exit status."""
    try:
        args = parse_flags(argv)
        texts = {name: getattr(args, name) for name in HELP}
        if args.data is not None:
            texts |= {"dataset": OWN, "points": args.data}
        new_answers = partial(Answers, texts)
        explain = explained
        if args.folder is not None:
            explain = partial(student.explained_in, args.folder)
            load_code = partial(student.load, args.folder)
            new_answers = partial(Answers, texts, load_code, explain)
        try:
            answers = new_answers()  # a mistake in a student's files is told now
        except (Exception, SystemExit) as error:
            return fail(explain(error))
        if args.save is not None:
            return save_run(args.save, answers)
        return serve(new_answers, explain, args.port, not args.no_browser)
    except KeyboardInterrupt:
        return 130


def serve(new_answers, explain, port, opens_browser):
    """Serve the page until Ctrl-C."""
    server = new_server(port, new_answers, explain)
    if server is None:
        return fail(f"no port from {port} to {port + N_PORTS - 1} is free; give another --port")
    address = f"http://127.0.0.1:{server.server_port}/"
    if server.server_port != port:
        print(f"port {port} is taken")
    print(f"The playground is at {address} (Ctrl-C ends it)", flush=True)
    if opens_browser:
        # Beside the server: some browsers come back only when they are closed.
        Thread(target=webbrowser.open, args=[address], daemon=True).start()
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print(file=sys.stderr)  # the prompt comes on a line of its own
    return 0


def new_server(port, new_answers, explain):
    """Return a Server on this port or, if it is taken, on the next free one; None without any."""
    for free_port in range(port, min(port + N_PORTS, 2**16)):
        try:
            return Server(free_port, new_answers, explain)
        except OSError:
            continue
    return None


def save_run(path, answers):
    """Train a run to its end, and save it as a page."""
    print(f"training for {answers.run.settings['epochs']} epochs", flush=True)
    try:
        note = save(path, answers)
    except OSError as error:
        return fail(f"{path} was not written: {error.strerror}")
    print(f"wrote {path}")
    if note:
        return fail(f"after epoch {answers.run.epoch}: {note}")
    return 0


def parse_flags(argv):
    """Return the flags. A wrong one ends the program with status 2, before any work."""
    parser = new_parser(
        "Watch a network learn, and take hold of it, in the browser.",
        "python -m playground --batch_size 1",
    )
    parser.prog = "python -m playground"
    add = parser.add_argument
    add("folder", nargs="?", type=Path, help="with a student's modules.py and mlp_numpy.py")
    for name, words in HELP.items():
        add(f"--{name}", type=partial(checked_text, name), default=FIRST[name], help=words)
    add("--data", metavar="FILE", type=points_file, help="your own points: lines of x1,x2,class")
    add("--port", type=number(int, 1024, 65_535), default=8765, help="of the page")
    add("--no_browser", action="store_true", help="only print the address of the page")
    add("--save", metavar="FILE", type=Path, help="write a recorded run as one page, and end")
    args = parser.parse_args(argv)
    if args.folder is not None:
        args.folder = args.folder.expanduser().resolve()
    if args.save is not None:
        check_file(parser, args.save)
    return args


def check_file(parser, path):
    """End the program with an error of the parser if there can be no file of this name."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        parser.error(f"argument --save: {path} cannot be a file; name one in a folder that exists")


def checked_text(name, text):
    """Return the text of a setting, if it is valid."""
    PARSERS[name](text)
    return text


def points_file(path):
    """Return the text of a file of points, if it is valid."""
    try:
        text = text_of(path)
        read_points(text)
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise argparse.ArgumentTypeError(message) from error
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from error
    return text


if __name__ == "__main__":
    sys.exit(main())
