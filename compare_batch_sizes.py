"""Part III, Task 2: what the batch size does, over many seeds instead of one.

    python compare_batch_sizes.py

trains every batch size from a hundred seeds, prints how the losses and accuracies spread, and draws
Figure 4. A seed gives the initial weights and the shuffles; the data stay the same. The comparison
can be one at equal epochs, as in the report, or at equal numbers of updates.

The training is that of train_mlp_numpy.py. joblib hands the runs to the cores of this machine or,
with --dask, to those of a cluster.
"""

import signals

if __name__ == "__main__":
    signals.die_quietly()  # on Ctrl-C, until `run` knows better: the rest takes a while to import

import argparse
import csv
import logging
import math
import signal
import sys
import time
import warnings
from collections import defaultdict
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from command_line import (
    ArgumentParser,
    add_output_flags,
    finish_figures,
    prepare_output,
    run,
    seed_number,
    whole_number,
    write_files,
)
from common import open_whole
from train_mlp_numpy import (
    METRICS,
    add_training_flags,
    as_history,
    batch_size_or_full,
    check_training_flags,
    load_data,
    train_from_seed,
)

FILES = RUNS, HISTORIES, SUMMARY, FIGURE_4 = (
    "runs.csv",
    "histories.csv",
    "summary.csv",
    "figure4_batch_sizes.png",
)
MODULES = (  # each after those that it imports
    "signals",
    "common",
    "modules",
    "mlp_numpy",
    "command_line",
    "train_mlp_numpy",
    "mlp_numba",
)

# What --max_steps and --eval_freq count, and their defaults: the epochs of the report, or the
# updates that these are at batch size 16.
BUDGETS = {"epochs": (1500, 10), "updates": (75_000, 500)}
SETTINGS = (
    "budget",
    "max_steps",
    "eval_freq",
    "learning_rate",
    "dnn_hidden_units",
    "dataset",
    "n_samples",
    "noise",
    "data_seed",
    "backend",
)
COLUMNS = ("batch_size", "seed", *METRICS, "seconds", *SETTINGS)
HISTORY_COLUMNS = ("batch_size", "seed", "step", *METRICS)

# The report's final train and test accuracies, in percent, one run each, and its settings.
REPORT = {
    "full": ("86.88", "84.50"),
    "256": ("87", "86"),
    "64": ("88", "89"),
    "16": ("88", "88"),
    "1": ("over 96", "97"),
}
REPORT_LOSSES = (0.3037, 0.3123)  # with the full batch; it gives no others
REPORT_SETTINGS = {
    "budget": "epochs",
    "max_steps": "1500",
    "learning_rate": "0.01",
    "dnn_hidden_units": "20",
    "dataset": "moons",
    "n_samples": "1000",
    "noise": "0.2",
    "data_seed": "42",
}
STUCK_ABOVE = 0.2
STUCK_RULE = f"""stuck: a final training loss above {STUCK_ABOVE}, counted only where at least
a quarter of the runs are below it; - where most are still on their way"""
CENTRAL = (0.025, 0.5, 0.975)  # quantiles: the central 95 % and the median


def batch_sizes(text):
    """Parse `--batch_sizes`: comma-separated batch sizes, each once; return them by name."""
    try:
        sizes = [batch_size_or_full(name) for name in text.split(",")]
    except argparse.ArgumentTypeError:
        sizes = []
    if not sizes or len({*sizes}) < len(sizes):
        raise argparse.ArgumentTypeError(
            f"{text!r} will not do; give whole numbers of at least 1 or full, each once, "
            "such as 16,64,full"
        )
    return {str(size or "full"): size for size in sizes}


def parse_args(argv=None):
    """Return the parser and the parsed command line."""
    parser = ArgumentParser("Compare batch sizes over many seeds; draws Figure 4.")
    flag = parser.add_argument
    flag(
        "--batch_sizes",
        metavar="N,N,...",
        type=batch_sizes,
        default="1,16,64,256,full",
        help="the batch sizes to compare (default: %(default)s)",
    )
    flag(
        "--n_seeds",
        metavar="N",
        type=whole_number(1),
        default=100,
        help="runs of each batch size (default: %(default)s)",
    )
    flag(
        "--seed",
        metavar="N",
        type=seed_number,
        default=0,
        help="the first seed, of the initial weights and the shuffles (default: %(default)s)",
    )
    flag(
        "--budget",
        choices=BUDGETS,
        default="epochs",
        help="what every run gets as many of (default: %(default)s)",
    )
    flag(
        "--max_steps",
        metavar="N",
        type=whole_number(1),
        help="how many of them; updates are rounded up to whole epochs (default: "
        + ", or ".join(f"{steps} {name}" for name, (steps, _) in BUDGETS.items())
        + ")",
    )
    flag(
        "--eval_freq",
        metavar="N",
        type=whole_number(1),
        help="how many between two points of a curve (default: "
        + ", or ".join(f"{freq} {name}" for name, (_, freq) in BUDGETS.items())
        + ")",
    )
    add_training_flags(parser, backend="numba")
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--n_jobs",
        metavar="N",
        type=whole_number(1, 1000),
        default=-1,
        help="runs at the same time (default: as many as there are cores)",
    )
    place.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="run on the Dask cluster whose scheduler is there, such as tcp://10.0.0.1:8786",
    )
    flag(
        "--resume",
        action="store_true",
        help=f"go on with the {RUNS} in the output folder instead of starting anew",
    )
    add_output_flags(parser)
    args = parser.parse_args(argv)
    check_training_flags(parser, args)
    args.max_steps = args.max_steps or BUDGETS[args.budget][0]
    args.eval_freq = args.eval_freq or BUDGETS[args.budget][1]
    if args.seed + args.n_seeds > 2**32:
        parser.error(
            f"argument --n_seeds: {args.n_seeds} seeds from {args.seed} on pass the last, "
            "4294967295; give a smaller --seed"
        )
    if args.resume and args.no_output:
        parser.error("argument --resume: with --no_output there are no files to go on with")
    return parser, args


def settings_of(args):
    """Return the settings that all runs of a study share, as the text that a file holds."""
    settings = {name: str(getattr(args, name)) for name in SETTINGS}
    settings["dnn_hidden_units"] = ",".join(map(str, args.dnn_hidden_units)) or "none"
    return settings


def schedule(args, n_rows, batch_size):
    """Return the updates in an epoch, and the epochs of a run and between its evaluations."""
    n_updates = math.ceil(n_rows / (batch_size or n_rows))
    if args.budget == "epochs":
        return n_updates, args.max_steps, args.eval_freq
    return n_updates, math.ceil(args.max_steps / n_updates), max(1, args.eval_freq // n_updates)


def make_task(args, data, name, seed, max_steps, eval_freq):
    """Return the arguments of `train_run` for a run, given by name of the batch size and seed."""
    options = {
        "learning_rate": args.learning_rate,
        "max_steps": max_steps,
        "eval_freq": eval_freq,
        "backend": args.backend,
    }
    return data, args.dnn_hidden_units, seed, name, args.batch_sizes[name], options


def train_run(data, n_hidden, seed, name, batch_size, options):
    """Train one network; return the name of its batch size, its seed, its history, the seconds.

    Raises:
        FloatingPointError: when it diverges.
        RuntimeError: when it fails for another reason. Both name the batch size and the seed.
    """
    times = {}

    def note_start(step, metrics):
        times.setdefault("start", time.perf_counter())  # all is set up and, if need be, compiled

    try:
        _, history = train_from_seed(
            data, seed, n_hidden, batch_size=batch_size, callback=note_start, **options
        )
    except FloatingPointError as error:
        raise FloatingPointError(f"batch size {name}, seed {seed}: {error}") from error
    except Exception as error:
        raise RuntimeError(f"batch size {name}, seed {seed}: {error!r}") from error
    return name, seed, history, time.perf_counter() - times["start"]


class Study:
    """The runs so far, kept in memory and, as they finish, in two files of `folder` (or None).

    runs.csv has a row for each run, with its last metrics; histories.csv has all of its history,
    written first. Whoever is killed between the two loses the run, but no other.

    Attributes:
        runs: the rows of runs.csv, dicts, by name of the batch size and seed.
        histories: the histories of `train`, by the same.
    """

    def __init__(self, folder, settings):
        self.folder, self.settings = folder, settings
        self.runs, self.histories = {}, {}

    def add(self, name, seed, history, seconds):
        """Take in a run that has finished."""
        last = {key: history[key][-1] for key in METRICS}
        row = {"batch_size": name, "seed": seed, **last, "seconds": round(seconds, 4)}
        row |= self.settings
        if self.folder:
            for path, write, entry in (
                (HISTORIES, write_history, history),
                (RUNS, write_run, row),
            ):
                with open(self.folder / path, "a", newline="") as file:
                    write(csv.writer(file, lineterminator="\n"), (name, seed), entry)
        self.histories[name, seed], self.runs[name, seed] = history, row

    def write(self, names):
        """Write both files whole, the runs in the order of these batch sizes and of the seeds."""
        for path, columns, write, entries in (
            (HISTORIES, HISTORY_COLUMNS, write_history, self.histories),
            (RUNS, COLUMNS, write_run, self.runs),
        ):
            with open_whole(self.folder / path, newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(columns)
                for key in sorted(entries, key=lambda key: ([*names, key[0]].index(key[0]), *key)):
                    write(writer, key, entries[key])

    def read(self, n_entries):
        """Take in the runs that the files hold, and those of their histories that are whole.

        Args:
            n_entries: the length of a history, by name of the batch size.

        Raises:
            ValueError: when a file is not of this script, or runs.csv is of other settings.
        """
        histories = defaultdict(list)
        for row in read_rows(self.folder / HISTORIES, HISTORY_COLUMNS):
            histories[row["batch_size"], row["seed"]].append(row)
        for row in read_rows(self.folder / RUNS, COLUMNS):
            differences = [
                f"--{name} {row[name]} instead of {value}"
                for name, value in self.settings.items()
                if row[name] != value
            ]
            if differences:
                raise ValueError(
                    f"{self.folder / RUNS} was made with {', '.join(differences)}; give that, or "
                    "another --output_dir"
                )
            key = row["batch_size"], row["seed"]
            self.runs[key], history = row, histories[key]
            if history and len(history) == n_entries.get(key[0], len(history)):
                self.histories[key] = as_history(history)


def write_history(writer, key, history):
    """Write the rows of a run to histories.csv."""
    columns = (values.tolist() for values in history.values())
    writer.writerows((*key, *values) for values in zip(*columns, strict=True))


def write_run(writer, key, row):
    """Write the row of a run to runs.csv."""
    writer.writerow(row[column] for column in COLUMNS)


def read_rows(path, columns):
    """Return the rows of a CSV file, dicts of these columns; none if there is no such file.

    A last line that was cut off is left out. Raises ValueError when the file is another one.
    """
    if not path.is_file():
        return []
    numbers = {"seed": int, "step": int, "seconds": float} | dict.fromkeys(METRICS, float)
    parsers = [numbers.get(name, str) for name in columns]
    try:
        with open(path, newline="") as file:
            rows = list(csv.reader(line for line in file if line.endswith("\n")))
        if not rows or tuple(rows[0]) != columns:
            raise ValueError("it has other columns")
        return [
            {name: parse(cell) for name, parse, cell in zip(columns, parsers, row, strict=True)}
            for row in rows[1:]
        ]
    except (ValueError, csv.Error) as error:  # a text that cannot be decoded is a ValueError
        raise ValueError(
            f"{path} is not a file of this script ({error}); name another --output_dir"
        ) from None


def check_replaceable(parser, folder):
    """End with a usage error where a new study would cost an unfinished one, or a foreign file."""
    try:
        rows = read_rows(folder / RUNS, COLUMNS)
    except ValueError as error:
        parser.error(f"argument --output_dir: {error}")
    if rows and not (folder / SUMMARY).exists():
        parser.error(
            f"argument --output_dir: {folder / RUNS} has {len(rows)} runs of a study that was not "
            "finished; pass --resume to finish it, or remove it"
        )


def connect(parser, address, backend):
    """Return a client of the Dask cluster at this address, after sending it the project's modules.

    What fails is a usage error.
    """
    try:
        from distributed import Client
    except ImportError as error:
        parser.error(f"argument --dask: needs Dask ({error}): pip install 'dask[distributed]'")
    try:
        if not address:
            raise ValueError("the address is empty")
        logging.getLogger("distributed").setLevel("CRITICAL")  # we say what goes wrong, in a line
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        parser.error(
            f"argument --dask: no scheduler answers at {address!r} ({error}); give the address "
            "that `dask scheduler` prints"
        )
    try:
        for name in (*MODULES, Path(__file__).stem):
            if name != "mlp_numba" or backend == "numba":
                client.upload_file(str(Path(__file__).with_name(f"{name}.py")))
    except Exception as error:  # whatever went wrong over there
        parser.error(
            f"argument --dask: the cluster cannot load the project's modules ({error}); its "
            "scheduler and its workers need the packages of requirements.txt"
        )
    return client


@contextmanager
def interrupts_ignored():
    """Ignore Ctrl-C, for a moment here and for good in the processes that are started meanwhile.

    The terminal sends it to every process, but only this one knows what to say and whom to stop.
    """
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def finished_runs(tasks, n_jobs, client):
    """Return an iterator of what `train_run` returns for the tasks, its arguments, as they end."""
    from joblib import Parallel, delayed, effective_n_jobs, parallel_config

    backend = {"backend": "dask", "client": client} if client else {"backend": "loky"}
    if not client:
        n_jobs = min(effective_n_jobs(n_jobs), max(len(tasks), 1))  # idle ones take memory
    with parallel_config(**backend, n_jobs=n_jobs), interrupts_ignored():
        # A batch of joblib's is one run, so that none that has finished waits for another.
        parallel = Parallel(batch_size=1, return_as="generator_unordered")
        return parallel(delayed(train_run)(*task) for task in tasks)


def compare(data, batch_sizes, seeds, n_hidden=(20,), n_jobs=-1, **options):
    """Train every batch size from every seed, as `main` does but without files.

    Args:
        data: a Data.
        batch_sizes: ints, and None for the full batch.
        seeds: ints; each gives the initial weights and the shuffles of a run.
        n_hidden: the units of each hidden layer.
        n_jobs: runs at the same time, -1 for as many as there are cores.
        options: those of `train`, but the batch size.

    Returns:
        The histories by batch size, a text such as "16" or "full", and seed.

    Raises:
        FloatingPointError: when a run diverges.
        RuntimeError: when it fails for another reason.
    """
    keys = [(str(size or "full"), seed) for size in batch_sizes for seed in seeds]
    tasks = [
        (data, n_hidden, seed, str(size or "full"), size, options)
        # The longest runs first: those that end the study shall be short.
        for size in sorted(batch_sizes, key=lambda size: size or len(data.x_train))
        for seed in seeds
    ]
    histories = {run[:2]: run[2] for run in finished_runs(tasks, n_jobs, None)}
    return {key: histories[key] for key in keys}


def curves_of(histories, names):
    """Return what plots.batch_sizes draws: histories, by batch size and seed, put together."""
    curves = {}
    for name in names:
        of_size = [history for key, history in histories.items() if key[0] == name]
        curves[name] = {key: np.array([history[key] for history in of_size]) for key in METRICS}
        curves[name]["x"] = of_size[0]["step"]
    return curves


def report_marks():
    """Return the report's accuracies as plots.batch_sizes marks them."""
    return {name: [float(text.split()[-1]) for text in both] for name, both in REPORT.items()}


def full_batch_report():
    """Return the report's final figures of the full batch, a dict keyed by METRICS."""
    accuracies = [float(text) / 100 for text in REPORT["full"]]
    return dict(
        zip(
            METRICS,
            (REPORT_LOSSES[0], accuracies[0], REPORT_LOSSES[1], accuracies[1]),
            strict=True,
        )
    )


def beside_report(history):
    """Return the final figures of a full-batch history beside the report's, as lines of text."""
    lines = [f"{'':<15}{'ours':>8}{'report':>10}"]
    for key, value in full_batch_report().items():
        ours, report = history[key][-1], value
        cells = f"{ours:>8.4f}{report:>10.4f}"
        if key.endswith("accuracy"):
            cells = f"{100 * ours:>6.2f} %{100 * report:>8.2f} %"
        lines.append(f"{key.replace('_', ' '):<15}{cells}")
    return lines


def reason_for_stopping(error, left, n_jobs):
    """Return in one line why the study stopped; `left` are the runs that were not done, in order.

    A process that was killed cannot say in which run it was: one of those that were under way.
    """
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, CancelledError):
        return "error: the cluster is gone"
    if isinstance(error, BrokenExecutor):
        from joblib import effective_n_jobs

        under_way = [f"batch size {k}, seed {seed}" for k, seed in left[: effective_n_jobs(n_jobs)]]
        return f"error: a worker was killed or out of memory; under way: {'; '.join(under_way)}"
    return f"error: {' '.join(str(error).split())}"


def with_progress(results, n_done, n_runs):
    """Yield the results, showing how many of all runs are done: a bar, or about twenty lines."""
    if sys.stdout.isatty():
        from tqdm import tqdm

        layout = "{n_fmt}/{total_fmt} runs |{bar}| {remaining}"
        yield from tqdm(
            results,
            initial=n_done,
            total=n_runs,
            bar_format=layout,
            file=sys.stdout,
            dynamic_ncols=True,
        )
        return
    for n, result in enumerate(results, start=n_done + 1):
        yield result
        if n % math.ceil(n_runs / 20) == 0 or n == n_runs:
            print(f"{n} of {n_runs} runs", flush=True)


def summarise(name, rows, n_epochs, n_updates):
    """Return the row of summary.csv for the runs of a batch size."""
    summary = {"batch_size": name, "runs": len(rows), "epochs": n_epochs, "updates": n_updates}
    summary |= outcome(rows)
    summary["seconds"] = float(np.median([row["seconds"] for row in rows]))
    return summary


def outcome(rows):
    """Return how the runs of a batch size ended: quantiles of the METRICS, the share of stuck."""
    quantiles = {}
    for key in METRICS:
        values = np.quantile([row[key] for row in rows], CENTRAL).tolist()
        quantiles |= dict(zip((f"{key}_low", f"{key}_median", f"{key}_high"), values, strict=True))
    losses = np.array([row["train_loss"] for row in rows])
    most_are_under_way = np.quantile(losses, 0.25) >= STUCK_ABOVE
    stuck = "" if most_are_under_way else float(np.mean(losses > STUCK_ABOVE))
    return quantiles | {"stuck": stuck}


def outcomes_of(histories):
    """Return the outcome of each batch size, a list, of the histories that `compare` returns."""
    rows = defaultdict(list)
    for (name, _), history in histories.items():
        rows[name].append({key: history[key][-1] for key in METRICS})
    return [{"batch_size": name} | outcome(of_size) for name, of_size in rows.items()]


def spread(summary, key, scale, digits):
    """Return a median and its central 95 % as text."""
    low, median, high = (scale * summary[f"{key}_{end}"] for end in ("low", "median", "high"))
    return f"{median:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def stuck_share(summary):
    """Return the share of stuck runs as text, a dash where the rule does not apply."""
    return "-" if summary["stuck"] == "" else f"{100 * summary['stuck']:.0f} %"


def accuracy_table(outcomes, with_report):
    """Return a table of accuracies in percent, as lines of text; rows of summary.csv will do."""
    heading = f"{'accuracy, %':<12}{'train':<24}{'test':<24}{'stuck':>5}"
    lines = [heading + with_report * "  report"]
    for row in outcomes:
        name = row["batch_size"]
        cells = [spread(row, f"{part}_accuracy", 100, 2) for part in ("train", "test")]
        line = f"{name:<12}{cells[0]:<24}{cells[1]:<24}{stuck_share(row):>5}"
        lines.append(line + with_report * f"  {' / '.join(REPORT.get(name, '-'))}")
    return lines


def print_tables(summaries, with_report):
    """Print the rows of summary.csv: the accuracies in percent, then the losses."""
    print(f"\nmedian [central 95 %] of each batch size, seeds: {summaries[0]['runs']}\n")
    print("\n".join(accuracy_table(summaries, with_report)))
    print(f"\n{'loss':<12}{'train':<24}{'test':<24}{'updates':>9}{'s a run':>9}")
    for summary in summaries:
        cells = [spread(summary, f"{part}_loss", 1, 4) for part in ("train", "test")]
        line = f"{summary['batch_size']:<12}{cells[0]:<24}{cells[1]:<24}"
        print(f"{line}{summary['updates']:9}{summary['seconds']:9.2f}")
    print(f"\n{STUCK_RULE}\n")


def save_summary(summaries, path):
    """Write the rows of summary.csv."""
    with open_whole(path, newline="") as file:
        writer = csv.DictWriter(file, list(summaries[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(summaries)


def draw_figure(study, wanted, schedules, args, with_report):
    """Return Figure 4 of these runs, a dict of one matplotlib Figure by the name of its file."""
    import plots

    curves = curves_of({key: study.histories[key] for key in wanted}, schedules)
    if args.budget == "updates":
        for name, (n_updates, _, _) in schedules.items():
            curves[name]["x"] = curves[name]["x"] * n_updates
    marks = report_marks() if with_report else {}
    title = (
        f"{args.max_steps:,} {args.budget} on {args.dataset}, learning rate "
        f"{args.learning_rate:g}: median and central 95 % of {args.n_seeds} seeds"
    )
    x_label = "updates" if args.budget == "updates" else "epoch"
    return {FIGURE_4: plots.batch_sizes(curves, x_label, marks, title)}


def main(argv=None):
    """Compare from the command line; return the exit status."""
    parser, args = parse_args(argv)
    data = load_data(args.dataset, args.n_samples, args.noise, seed=args.data_seed)
    n_rows = len(data.x_train)
    for name, size in args.batch_sizes.items():
        if size is not None and size >= n_rows:
            parser.error(
                f"argument --batch_sizes: {name} is all of the {n_rows} training rows or more; "
                "give full"
            )
    schedules = {name: schedule(args, n_rows, size) for name, size in args.batch_sizes.items()}
    study = Study(None if args.no_output else Path(args.output_dir), settings_of(args))
    if args.resume:
        try:
            study.read({name: 1 + math.ceil(n / freq) for name, (_, n, freq) in schedules.items()})
        except ValueError as error:
            parser.error(f"argument --resume: {error}")
    elif study.folder:
        check_replaceable(parser, study.folder)
    client = None if args.dask is None else connect(parser, args.dask, args.backend)
    output_dir = prepare_output(parser, args, FILES)

    seeds = range(args.seed, args.seed + args.n_seeds)
    wanted = [(name, seed) for name in args.batch_sizes for seed in seeds]
    missing = [key for key in wanted if key not in study.histories]
    # The longest runs first: those that end the study shall be short.
    missing.sort(key=lambda key: schedules[key[0]][:2], reverse=args.budget == "epochs")
    tasks = [make_task(args, data, *key, *schedules[key[0]][1:]) for key in missing]
    n_done = len(wanted) - len(missing)
    if n_done:
        print(f"{n_done} of {len(wanted)} runs are there already")
    n_repeated = sum(key in study.runs for key in missing)
    if n_repeated:
        print(
            f"{n_repeated} of {len(wanted)} runs are repeated: their curves are not in {HISTORIES}"
        )
    failures = FloatingPointError, RuntimeError, OSError, CancelledError, KeyboardInterrupt
    try:
        with (
            warnings.catch_warnings(),
            closing(finished_runs(tasks, args.n_jobs, client)) as results,
        ):
            # After Ctrl-C joblib says that it has cancelled runs, and we how many were done.
            warnings.filterwarnings("ignore", ".*tasks which were still being", UserWarning)
            for i, result in enumerate(with_progress(results, n_done, len(wanted))):
                if i == 0 and output_dir:  # from here on the files are of this study
                    study.write(args.batch_sizes)
                    for name in (SUMMARY, FIGURE_4):
                        (output_dir / name).unlink(missing_ok=True)
                with signals.postponed():
                    study.add(*result)
    except failures as error:
        status = signals.exit_status(error) if isinstance(error, KeyboardInterrupt) else 1
        if status != 128 + signals.SIGPIPE:  # that nobody reads on is no failure
            left = [key for key in missing if key not in study.histories]
            print(
                f"compare_batch_sizes.py: {reason_for_stopping(error, left, args.n_jobs)}\n"
                f"{len(wanted) - len(left)} of {len(wanted)} runs are done"
                + ("; --resume keeps them" if output_dir else ""),
                file=sys.stderr,
            )
        return status
    finally:
        if client:
            client.close()

    with_report = study.settings.items() >= REPORT_SETTINGS.items()
    summaries = []
    for name, (n_updates, n_epochs, _) in schedules.items():
        rows = [study.runs[key] for key in wanted if key[0] == name]
        summaries.append(summarise(name, rows, n_epochs, n_epochs * n_updates))
    print_tables(summaries, with_report)
    written = True
    if output_dir:
        study.write(args.batch_sizes)
        print(f"wrote {output_dir / RUNS}\nwrote {output_dir / HISTORIES}")
        written = write_files(output_dir, {SUMMARY: partial(save_summary, summaries)})
    if output_dir or args.show:
        figures = draw_figure(study, wanted, schedules, args, with_report)
        written &= finish_figures(figures, output_dir, args.show)
    return int(not written)


if __name__ == "__main__":
    run(main)
