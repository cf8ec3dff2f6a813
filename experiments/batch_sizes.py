"""Part III: what the batch size does, over many seeds instead of one.

    python -m experiments.batch_sizes --output_dir figures

trains each batch size from a hundred seeds, prints how losses and accuracies spread, and draws
Figure 4. A seed gives the initial weights and the shuffles; the data stay the same. The comparison
is one at equal epochs, as in the report, or, with `--budget updates`, at equal numbers of updates.

pandas has the tables, joblib runs the training, on the cores of this machine or on a Dask cluster.
"""

import argparse
import json
import math
import signal
import sys
import time
import warnings
from contextlib import closing
from importlib import import_module

import numpy as np

try:
    import pandas as pd
    from joblib import Parallel, delayed, effective_n_jobs, parallel_config
except ImportError as error:
    raise ImportError(f"{error}: .venv/bin/pip install -r requirements-extra.txt") from None
from matplotlib import colormaps
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from tqdm import tqdm

import plots
from experiments import report
from experiments.runs import STUCK_ABOVE, fastest_backend, train_from_seed
from mlp_numpy import open_whole
from train_mlp_numpy import METRICS, PARSER, add_flags, check_flags, load_data, number, run

QUANTILES = {"low": 0.025, "median": 0.5, "high": 0.975}  # the median and the central 95 %
STUCK_RULE = f"""stuck: a final training loss above {STUCK_ABOVE}, counted only where at least
a quarter of the runs are below it; - where most are still on their way"""
COLORS = ("#D55E00", "#0072B2", "#009E73", "#56B4E9", "#CC79A7")


def compare(data, batch_sizes, seeds, n_hidden=(20,), n_jobs=-1, **options):
    """Train every batch size from every seed; return the histories, one below the other.

    Args:
        data: a train_mlp_numpy.Data.
        batch_sizes: ints, and None for the full batch.
        seeds: ints; each gives the initial weights and the shuffles of a run.
        n_hidden: the units of each hidden layer.
        n_jobs: runs at the same time, -1 for as many as there are cores.
        options: those of `train`, but for the batch size.

    Returns:
        A DataFrame with the columns batch_size (a text, such as "16" or "full"), seed, step and
        METRICS, and a row for each entry of each history.

    Raises:
        FloatingPointError: when a run diverges.
    """
    keys = [(size, seed) for size in batch_sizes for seed in seeds]
    tasks = [(data, n_hidden, size, seed, options) for size, seed in keys]
    runs = {run[:2]: as_table(*run[:3]) for run in finished_runs(tasks, n_jobs)}
    return pd.concat([runs[name_of(size), seed] for size, seed in keys], ignore_index=True)


def name_of(batch_size):
    """Return a batch size as text; None, the full batch, is "full"."""
    return str(batch_size or "full")


def as_table(name, seed, history):
    """Return a history as a table, with the batch size and the seed of its run."""
    return pd.DataFrame({"batch_size": name, "seed": seed, **history})


def ends_of(histories):
    """Return the last row of each history, in a table as `compare` returns it."""
    return histories.groupby(["batch_size", "seed"], sort=False).tail(1)


def summarise(runs):
    """Return how the runs of each batch size spread, a row for each; `ends_of` returns runs.

    The columns are, for each metric, the quantiles metric_low, metric_median and metric_high, and
    `stuck`, the share of runs that are stuck.
    """
    groups = runs.groupby("batch_size", sort=False)
    quantiles = {
        f"{metric}_{end}": groups[metric].quantile(q)
        for metric in METRICS
        for end, q in QUANTILES.items()
    }
    stuck = groups["train_loss"].agg(stuck_share)
    return pd.DataFrame({"runs": groups.size(), **quantiles, "stuck": stuck})


def stuck_share(losses):
    """Return the share of runs whose final training loss, in a Series, is above STUCK_ABOVE.

    It is NaN unless a quarter of them are below: most are still on their way then.
    """
    return (losses > STUCK_ABOVE).mean() if losses.quantile(0.25) < STUCK_ABOVE else math.nan


def as_text(summary, with_report=False):
    """Return what `summarise` returns as it is printed: accuracies in percent, losses, stuck."""

    def spread(metric, scale, digits):
        rows = scale * summary[[f"{metric}_{end}" for end in QUANTILES]]
        return [
            f"{median:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
            for low, median, high in rows.to_numpy()
        ]

    table = pd.DataFrame(index=summary.index.rename("batch size"))
    for metric in ("train_accuracy", "test_accuracy"):
        table[f"{metric.replace('_', ' ')}, %"] = spread(metric, 100, 2)
    for metric in ("train_loss", "test_loss"):
        table[metric.replace("_", " ")] = spread(metric, 1, 3)
    table["stuck"] = (100 * summary["stuck"]).map("{:.0f} %".format).replace("nan %", "-")
    if with_report:
        table["report"] = [" / ".join(report.ACCURACIES.get(name, "-")) for name in table.index]
    return table


def figure_4(histories, title=None, x_label="epoch", with_report=False):
    """Figure 4: how the curves of many seeds spread at each batch size, and where they end.

    Lines are medians, bands hold the central 95 %. In the last row each dot is where a run ends.

    Args:
        histories: what `compare` returns.
        title: what to write above.
        x_label: what its column `step` counts.
        with_report: whether to mark the accuracies of the report's runs.
    """
    figure, panels = plots.new_figure(10, 11.5, 3, 2, sharey="row")
    accuracies = ["train_accuracy", "test_accuracy"]
    groups = histories.assign(**100 * histories[accuracies]).groupby("batch_size", sort=False)
    names, colors, lows = list(groups.groups), COLORS, []
    if len(names) > len(COLORS):
        colors = colormaps["viridis"](np.linspace(0, 0.9, len(names)))
    for k, part in enumerate(("train", "test")):
        loss, accuracy, end = panels[:, k]
        for i, ((name, group), color) in enumerate(zip(groups, colors, strict=False)):
            draw_band(loss, group, f"{part}_loss", color)
            low = draw_band(accuracy, group, f"{part}_accuracy", color)
            lows.append(low[len(low) // 10 :].min())
            values = ends_of(group)[f"{part}_accuracy"]
            end.scatter(i + abreast(values), values, s=9, color=color)
            if with_report and name in report.MARKS:
                end.plot(i, report.MARKS[name][k], **plots.REPORT_MARK)
        loss.set(xlabel=x_label, title=f"{part} loss")
        accuracy.set(xlabel=x_label, title=f"{part} accuracy")
        end.set(xlabel="batch size", title=f"final {part} accuracy of each run")
        end.set_xticks(range(len(names)), names)
        end.grid(alpha=0.3, axis="y")
    units = "cross-entropy (nats)", "accuracy (%)", "accuracy (%)"
    for axes, unit in zip(panels[:, 0], units, strict=True):
        axes.set_ylabel(unit)
    # Accuracies begin at chance, far below what is to be seen: the first tenth may leave the panel.
    panels[1, 0].set_ylim(min(lows) - 1, 100.5)
    handles = [Line2D([], [], color=c, label=n) for n, c in zip(names, colors, strict=False)]
    if with_report:
        handles.append(Line2D([], [], label="the report's run", **plots.REPORT_MARK))
    place = {"loc": "outside lower center", "ncols": min(len(handles), 8)}
    figure.legend(handles=handles, title="batch size", **place)
    figure.suptitle(title)
    return figure


def draw_band(axes, group, metric, color):
    """Draw the median of runs as a line and the central 95 % as a band; return its lower edge."""
    quantiles = group.groupby("step")[metric].quantile(list(QUANTILES.values())).unstack()
    steps, (low, median, high) = quantiles.index, quantiles.to_numpy().T
    shades = {"facecolor": to_rgba(color, 0.15), "edgecolor": to_rgba(color, 0.6)}
    axes.fill_between(steps, low, high, linewidth=0.6, **shades)
    marker = "o" if len(steps) == 1 else None  # a line of one point cannot be seen
    axes.plot(steps, median, color=color, marker=marker)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    return low


def abreast(values, bin_width=0.25, width=0.84):
    """Return by how much to move the dots of a Series sideways, for equal ones to lie abreast."""
    bins = values.groupby((values / bin_width).round())
    sizes = bins.transform("size")
    return min(0.06, width / sizes.max()) * (bins.cumcount() - (sizes - 1) / 2)


# Below is the study: runs on many cores, on disk as they finish, and the command line.

HISTORIES, RUNS, SUMMARY = "histories.jsonl", "runs.csv", "summary.csv"
FIGURE = "figure4_batch_sizes.png"
SETTINGS = ["budget", "max_steps", "eval_freq", "learning_rate", "dnn_hidden_units"]
SETTINGS += ["dataset", "n_samples", "noise", "data_seed", "backend"]

# What --max_steps and --eval_freq count, and their defaults: the epochs of the report, or the
# updates that these are at batch size 16.
BUDGETS = {
    "epochs": {"max_steps": 1500, "eval_freq": 10},
    "updates": {"max_steps": 75_000, "eval_freq": 500},
}


def train_run(data, n_hidden, batch_size, seed, options):
    """Train one network; return the text of its batch size, its seed, history and seconds."""
    name, start = name_of(batch_size), time.perf_counter()
    try:
        _, history = train_from_seed(data, seed, n_hidden, batch_size=batch_size, **options)
    except (FloatingPointError, ValueError) as error:
        raise type(error)(f"batch size {name}, seed {seed}: {error}") from error
    return name, seed, history, round(time.perf_counter() - start, 4)


def finished_runs(tasks, n_jobs=-1, client=None):
    """Return an iterator of what `train_run` returns for the tasks, its arguments, as they end.

    They run here, `n_jobs` at a time, or where a `client` of a Dask cluster sends them.
    """
    place = {"n_jobs": min(effective_n_jobs(n_jobs), max(len(tasks), 1))}  # idle ones take memory
    if client:
        place = {"backend": "dask", "client": client}
    # The terminal sends Ctrl-C to every process; those that are started here shall ignore it.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with parallel_config(**place):
            # A batch of joblib's is one run, so that none that has finished waits for another.
            parallel = Parallel(batch_size=1, return_as="generator_unordered")
            return parallel(delayed(train_run)(*task) for task in tasks)
    finally:
        signal.signal(signal.SIGINT, handler)


class Study:
    """The runs that have finished, dicts by batch size and seed, and the file that keeps them.

    Each is a line of histories.jsonl, written when it has finished: whoever is killed loses the
    runs under way, but no other. Without a folder, None, nothing is read or written.
    """

    def __init__(self, folder, settings):
        self.folder, self.settings, self.runs = folder, settings, {}

    def begin(self, resume):
        """Take in the runs of the folder to resume them, or see that there are none to lose.

        Raises:
            ValueError: when they have other settings, or are not finished and not resumed.
        """
        path = self.folder / HISTORIES
        content = path.read_bytes() if path.exists() else b""
        lines = content[: content.rfind(b"\n") + 1].splitlines(True)  # the last may be cut off
        if not resume:
            if lines and not (self.folder / SUMMARY).exists():
                state = f"{path} has {len(lines)} runs of a study that was not finished"
                raise ValueError(f"{state}; pass --resume to go on with it, or remove the file")
            return
        try:
            entries = [json.loads(line) for line in lines]
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is damaged ({error}); remove the line or the file") from None
        for entry in entries:
            for name, value in self.settings.items():
                if entry.get(name) != value:
                    raise ValueError(f"{path} is of --{name} {entry.get(name)}, not {value}")
            self.runs[entry["batch_size"], entry["seed"]] = entry
        with open_whole(path) as file:
            file.writelines(lines)

    def add(self, name, seed, history, seconds):
        """Take in a run that has finished."""
        history = {key: values.tolist() for key, values in history.items()}
        entry = {"batch_size": name, "seed": seed, "seconds": seconds, "history": history}
        if self.folder:
            (self.folder / SUMMARY).unlink(missing_ok=True)  # it would be of another study
            with open(self.folder / HISTORIES, "a" if self.runs else "w") as file:
                file.write(json.dumps(self.settings | entry) + "\n")
        self.runs[name, seed] = entry

    def tables(self, keys):
        """Return the histories of these runs, and the rows of runs.csv."""
        histories = pd.concat([as_table(*key, self.runs[key]["history"]) for key in keys])
        seconds = [self.runs[key]["seconds"] for key in keys]
        ends = ends_of(histories).drop(columns="step")
        return histories, ends.assign(seconds=seconds, **self.settings)


def batch_sizes(text):
    """Parse `--batch_sizes`: whole numbers or `full`, with commas between."""
    return list(dict.fromkeys(number(int, 1, full=None)(size) for size in text.split(",")))


def parse_args(argv):
    """Return the parser and the parsed command line."""
    parser = argparse.ArgumentParser(description="Compare batch sizes over many seeds.", **PARSER)
    flag, positive, by_budget = parser.add_argument, number(int, 1), {"default": argparse.SUPPRESS}
    flag("--batch_sizes", type=batch_sizes, default="1,16,64,256,full", help="such as 16,64,full")
    flag("--n_seeds", type=positive, default=100, help="runs of each batch size, from --seed on")
    flag("--budget", choices=BUDGETS, default="epochs", help="what every run gets as many of")
    flag("--max_steps", type=positive, help="how many (1500 epochs or 75000 updates)", **by_budget)
    flag("--eval_freq", type=positive, help="between entries of a history (10, 500)", **by_budget)
    flag("--resume", action="store_true", help="go on with the study in the output folder")
    add_flags(parser, fastest_backend())
    parser.set_defaults(seed=0)
    flag = parser.add_mutually_exclusive_group().add_argument
    flag("--n_jobs", type=number(int, 1, 1000, all=-1), default="all", help="runs at a time")
    flag("--dask", metavar="ADDRESS", help="run on the Dask cluster of this scheduler")
    args = parser.parse_args(argv)
    for name, value in BUDGETS[args.budget].items():
        vars(args).setdefault(name, value)
    if args.seed + args.n_seeds > 2**32:
        parser.error("argument --n_seeds: the seeds pass 4294967295; give a smaller --seed")
    if args.resume and args.no_output:
        parser.error("argument --resume: with --no_output there are no files to go on with")
    check_flags(parser, args)
    return parser, args


def connect(parser, address):
    """Return a client of the Dask cluster whose scheduler is at this address, or exit."""
    try:
        from distributed import Client

        client = Client(address, timeout=10)
        client.run(import_module, "experiments.runs")
    except (ImportError, OSError, ValueError) as error:
        parser.error(f"argument --dask: {error}; experiments/README.md says how to start one")
    return client


def main(argv=None):
    """Compare from the command line; return the exit status."""
    parser, args = parse_args(argv)
    settings = {name: str(getattr(args, name)) for name in SETTINGS}
    settings["dnn_hidden_units"] = ",".join(map(str, args.dnn_hidden_units)) or "none"
    study = Study(None if args.no_output else args.output_dir, settings)
    try:
        if study.folder:
            study.begin(args.resume)
    except ValueError as error:
        parser.error(f"argument --output_dir: {error}")
    client = connect(parser, args.dask) if args.dask else None

    data = load_data(args.dataset, args.n_samples, args.noise, seed=args.data_seed)
    n_rows, n_updates, tasks = len(data.x_train), {}, {}
    for size in args.batch_sizes:
        name = name_of(size)
        n_updates[name] = math.ceil(n_rows / (size or n_rows))  # in an epoch
        unit = n_updates[name] if args.budget == "updates" else 1
        options = {
            "learning_rate": args.learning_rate,
            "max_steps": math.ceil(args.max_steps / unit),
            "eval_freq": max(1, args.eval_freq // unit),
            "backend": args.backend,
        }
        for seed in range(args.seed, args.seed + args.n_seeds):
            tasks[name, seed] = data, args.dnn_hidden_units, size, seed, options

    left = [task for key, task in tasks.items() if key not in study.runs]
    n_runs, n_done = len(tasks), len(tasks) - len(left)
    if args.resume:
        print(f"{n_done} of {n_runs} runs are there already", flush=True)
    try:
        with (
            warnings.catch_warnings(),
            closing(finished_runs(left, args.n_jobs, client)) as results,
            tqdm(total=n_runs, initial=n_done, unit="run", disable=None) as bar,  # on a terminal
        ):
            warnings.filterwarnings("ignore", ".*tasks which were still being", UserWarning)
            for result in results:
                study.add(*result)
                bar.update()
    except (KeyboardInterrupt, Exception) as error:
        stopped = isinstance(error, KeyboardInterrupt)
        reason = "interrupted" if stopped else f"error: {' '.join(str(error).split())}"
        count = f"{len(tasks.keys() & study.runs.keys())} of {n_runs} runs are done"
        hint = "; the same command with --resume goes on from there" if study.folder else ""
        print(f"{parser.prog}: {reason}; {count}{hint}", file=sys.stderr)
        return 130 if stopped else 1

    histories, runs = study.tables(tasks)
    n_epochs = histories.groupby("batch_size")["step"].max()
    summary = summarise(runs)
    summary.insert(1, "epochs", n_epochs)
    summary.insert(2, "updates", n_epochs * pd.Series(n_updates))
    summary["seconds"] = runs.groupby("batch_size")["seconds"].median()
    with_report = settings.items() >= report.SETTINGS.items()
    table, losses = as_text(summary, with_report), ["train loss", "test loss"]
    print(f"median [central 95 %] of {args.n_seeds} seeds\n")
    print(table.drop(columns=losses).to_string(), end="\n\n")
    print(table[losses].join(summary[["updates", "seconds"]].round(2)).to_string(), end="\n\n")
    print(STUCK_RULE)
    if study.folder:
        for name, content in (RUNS, runs), (SUMMARY, summary.reset_index()):
            with open_whole(study.folder / name) as file:
                content.to_csv(file, index=False)
            print(f"wrote {study.folder / name}")
    if study.folder or args.show:
        x_label, study_of = "epoch", f"{args.max_steps:,} {args.budget} on {args.dataset}"
        if args.budget == "updates":
            histories["step"] *= histories["batch_size"].map(n_updates)
            x_label = "updates"
        spread = f"median and central 95 % of {args.n_seeds} seeds"
        title = f"{study_of}, learning rate {args.learning_rate:g}: {spread}"
        plots.finish({FIGURE: figure_4(histories, title, x_label, with_report)}, args)
    return 0


if __name__ == "__main__":
    run(main)
