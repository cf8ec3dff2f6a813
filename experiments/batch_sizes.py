"""Part III: what the batch size does, over many seeds instead of one.

    python -m experiments.batch_sizes --output_dir figures

trains each batch size from a hundred seeds, prints how losses and accuracies spread, and draws
Figure 4. A seed gives the initial weights and the shuffles; the data stay the same. The comparison
is one at equal epochs, as in the report, or, with `--budget updates`, at equal numbers of updates.

pandas has the tables. Runs on many cores, and their file, are in study.py.
"""

import argparse
import math
import os
import signal
import sys
import warnings
from contextlib import closing
from importlib import import_module

try:
    import pandas as pd
    from joblib import Parallel, delayed

    from experiments.study import RUNS, Study, finished_runs, interrupt, signals_to
except ImportError as error:
    where = "run python -m experiments.batch_sizes in the project's folder"
    remedy = f"{error}: {where}, after .venv/bin/pip install -r requirements-extra.txt"
    raise (SystemExit if __name__ == "__main__" else ImportError)(remedy) from None
from matplotlib.markers import CARETUPBASE
from tqdm import tqdm

import plots
from experiments import report
from experiments.runs import (
    Run,
    batch_sizes,
    fastest_backend,
    name_of,
    progress,
    status_of,
    train_from_seed,
)
from playground.seeds import stuck_bound
from train_mlp_numpy import (
    COLUMNS,
    METRICS,
    add_flags,
    check_flags,
    load_data,
    new_parser,
    number,
)

NO_GROUPS = "no two groups"  # instead of a share of stuck runs
COLOR = "#542788"  # of runs: not that of a class


def compare(data, batch_sizes, seeds, n_hidden=(20,), n_jobs=-1, **options):
    """Train every batch size from every seed; return the Runs.

    Args:
        data: a train_mlp_numpy.Data.
        batch_sizes: ints, and None for the full batch.
        seeds: ints; each gives the initial weights and the shuffles of a run.
        n_hidden: the units of each hidden layer.
        n_jobs: runs at the same time, -1 for as many as there are cores.
        options: those of `train`, but for the batch size.

    Raises:
        FloatingPointError: when a run diverges.
    """
    keys = [(size, seed) for size in batch_sizes for seed in seeds]
    parallel = Parallel(n_jobs, batch_size=1, return_as="generator", max_nbytes=None)
    results = parallel(
        delayed(train_from_seed)(data, seed, n_hidden, batch_size=size, **options)
        for size, seed in keys
    )
    ends = zip(keys, progress(results, len(keys)), strict=True)
    return [Run(name_of(size), seed, *result) for (size, seed), result in ends]


def histories_of(runs):
    """Return the histories of Runs as one table, one below the other.

    It has the columns batch_size (a text, such as "16" or "full"), seed, epoch and METRICS, and a
    row for each entry of each history.
    """
    tables = [as_table(run.batch_size, run.seed, run.history) for run in runs]
    return pd.concat(tables, ignore_index=True)


def as_table(name, seed, history):
    """Return a history as a table, with the batch size and the seed of its run."""
    return pd.DataFrame({"batch_size": name, "seed": seed, **{c: history[c] for c in COLUMNS}})


def ends_of(histories):
    """Return the last row of each history, in a table as `histories_of` returns it."""
    return histories.groupby(["batch_size", "seed"], sort=False).tail(1)


def spread_of(n_runs):
    """Return the name of the spread that so many runs can show, and its quantiles."""
    if n_runs < 20:  # each is more than 5 % of them
        return "least to greatest", {"low": 0, "median": 0.5, "high": 1}
    return "central 95 %", {"low": 0.025, "median": 0.5, "high": 0.975}


def summarise(runs):
    """Return how the runs of each batch size spread, a row for each; `ends_of` returns runs.

    The columns are, for each metric, the quantiles metric_low, metric_median and metric_high, of
    the spread that the smallest number of runs can show, and the share of runs that are stuck. It
    is NaN where there are no two groups: see `stuck_bound`.
    """
    groups = runs.groupby("batch_size", sort=False)
    _, spread = spread_of(groups.size().min())
    quantiles = {
        f"{metric}_{end}": groups[metric].quantile(q)
        for metric in METRICS
        for end, q in spread.items()
    }
    stuck = groups["train_loss"].agg(stuck_share)
    return pd.DataFrame({"runs": groups.size(), **quantiles, "stuck": stuck})


def stuck_share(losses):
    """Return the fraction of runs that are stuck, of their final losses; NaN without two groups."""
    bound = stuck_bound(losses)
    if bound == math.inf:
        return math.nan
    return (losses > bound).mean()


def as_text(summary, with_report=False):
    """Return what `summarise` returns as it is printed: accuracies in percent, and losses."""

    def spread(metric, scale, digits):
        rows = scale * summary[[f"{metric}_{end}" for end in ("low", "median", "high")]]
        return [
            f"{median:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
            for low, median, high in rows.to_numpy()
        ]

    table = pd.DataFrame(index=summary.index)
    for metric in ("train_accuracy", "test_accuracy"):
        table[f"{metric.replace('_', ' ')}, %"] = spread(metric, 100, 2)
    for metric in ("train_loss", "test_loss"):
        table[metric.replace("_", " ")] = spread(metric, 1, 3)
    table["stuck"] = [NO_GROUPS if math.isnan(k) else f"{100 * k:.0f} %" for k in summary["stuck"]]
    if with_report:
        table["report"] = [" / ".join(report.ACCURACIES.get(name, "-")) for name in table.index]
    return table.rename_axis(index=None, columns="batch size")  # the heading of the first column


def figure_4(histories, title=None, x="epoch", with_report=False):
    """Figure 4: how the curves of many seeds spread, a column for each batch size.

    A line is the median of the runs, a band their spread. Thin lines are the medians of the other
    batch sizes. In the last row each dot is the accuracy with which a run ends.

    Args:
        histories: what `histories_of` returns.
        title: what to write above.
        x: the column to draw against: epoch, or one that was added.
        with_report: whether to mark the accuracies of the report's runs.
    """
    losses, accuracies = ["train_loss", "test_loss"], ["train_accuracy", "test_accuracy"]
    histories = histories.assign(**100 * histories[accuracies])
    ends = ends_of(histories).groupby("batch_size", sort=False)
    spread, quantiles = spread_of(ends.size().min())
    curves = {
        name: group.groupby(x)[losses + accuracies].quantile(list(quantiles.values())).unstack()
        for name, group in histories.groupby("batch_size", sort=False)
    }
    options = {"sharey": "row", "squeeze": False, "height_ratios": [1, 1, 1, 1, 1.4]}
    figure, panels = plots.new_figure(max(2 * len(curves), 8.5), 11, 5, len(curves), **options)
    for column, (name, table), (_, runs) in zip(panels.T, curves.items(), ends, strict=True):
        for axes, metric in zip(column[:4], losses + accuracies, strict=True):
            low, median, high = table[metric].to_numpy().T
            axes.plot(table.index, median, color=COLOR, label="median of the runs")
            band = {"color": COLOR, "alpha": 0.2, "linewidth": 0, "label": spread}
            axes.fill_between(table.index, low, high, **band)
            for other in curves.keys() - {name}:
                look = {"color": "0.7", "linewidth": 0.8, "zorder": 1}
                axes.plot(curves[other][metric, 0.5], **look, label="medians of the other columns")
            plots.epoch_axis(axes, table.index[-1], x)
            axes.tick_params("x", labelsize="small", rotation=60, labelbottom=axes is column[3])
            axes.set_xlabel(axes.get_xlabel() if axes is column[3] else None, size="small")
        column[0].set_title("full batch" if name == "full" else f"batch size {name}")
        for k, metric in enumerate(accuracies):
            dots = k + abreast(runs[metric])
            column[4].scatter(dots, runs[metric], s=3, color=COLOR, label="the end of a run")
        for k, text in enumerate(report.ACCURACIES.get(name, ()) if with_report else ()):
            over, _, percent = text.rpartition(" ")
            label = f"the report's run{over and f', {text} %'}"
            look = {"markersize": 5} | ({"marker": CARETUPBASE, "markersize": 8} if over else {})
            column[4].plot(k, float(percent), **plots.REPORT_MARK | look, label=label)
        column[4].set_xticks((0, 1), ("train", "test"))
        column[4].set_xlim(-0.5, 1.5)
    # Accuracies begin at chance, far below where they end: what is sure to be shown are the ends.
    least = max(0, 5 * math.floor(ends[accuracies].min().min(axis=None) / 5 - 0.2))
    most = max(table[losses].max(axis=None) for table in curves.values())
    for axes, name in zip(panels[:, 0], [*losses, *accuracies, "final_accuracy"], strict=True):
        is_loss = name in losses
        axes.locator_params("y", integer=not is_loss)
        axes.set_ylim((0, 1.05 * most) if is_loss else (least, 100.5))
        unit = "\n(nats)" if is_loss else f" (%)\naxis begins at {least}"
        axes.set_ylabel(name.replace("_", " ") + unit)
    handles = {}
    for axes in panels.flat:
        axes.grid(alpha=0.3)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=3)
    figure.suptitle(title)
    return figure


def read_runs(folder):
    """Return how the runs of a study ended: the table of its output folder."""
    return pd.read_csv(f"{folder}/{RUNS}", dtype={"batch_size": str})


def ends_figure(studies, title=None):
    """Draw the test accuracies with which runs end, a panel for each study, a dict by its title.

    Each dot is a run, and each line the median of a batch size. `read_runs` returns a study.
    """
    figure, panels = plots.new_figure(10, 4.6, 1, len(studies), sharey=True, squeeze=False)
    for axes, (name, runs) in zip(panels[0], studies.items(), strict=True):
        groups = (100 * runs["test_accuracy"]).groupby(runs["batch_size"], sort=False)
        for k, (_, accuracies) in enumerate(groups):
            axes.scatter(k + abreast(accuracies), accuracies, s=4, color=COLOR, label="a run")
            ends = k - 0.45, k + 0.45
            axes.plot(ends, 2 * [accuracies.median()], color="black", label="their median")
        axes.set_xticks(range(len(groups)), groups.groups)
        axes.set(xlabel="batch size", title=name)
        axes.grid(axis="y", alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[:2], labels[:2], loc="lower left")
    panels[0, 0].set_ylabel("final test accuracy (%)")
    figure.suptitle(title)
    return figure


def abreast(values, bin_width=0.25, width=0.84):
    """Return by how much to move the dots of a Series sideways, for equal ones to lie abreast."""
    bins = values.groupby((values / bin_width).round())
    sizes = bins.transform("size")
    return min(0.06, width / sizes.max()) * (bins.cumcount() - (sizes - 1) / 2)


# Below is the command line.

SUMMARY, FIGURE = "summary.csv", "figure4_batch_sizes.png"
SETTINGS = ["budget", "max_steps", "eval_freq", "learning_rate", "dnn_hidden_units"]
SETTINGS += ["dataset", "n_samples", "noise", "data_seed", "backend"]

# What --max_steps and --eval_freq count, and their defaults: the epochs of the report, or the
# updates that these are at batch size 16.
BUDGETS = {
    "epochs": {"max_steps": 1500, "eval_freq": 10},
    "updates": {"max_steps": 75_000, "eval_freq": 500},
}


def parse_args(argv):
    """Return the parser and the parsed command line."""
    parser = new_parser(
        "Compare batch sizes over many seeds.", "python -m experiments.batch_sizes --n_seeds 20"
    )
    flag = parser.add_argument
    positive = number(int, 1)
    by_budget = {"default": argparse.SUPPRESS}
    flag("--batch_sizes", type=batch_sizes, default="1,16,64,256,full", help="such as 16,64,full")
    flag("--n_seeds", type=positive, default=100, help="runs of each batch size, from --seed on")
    flag("--budget", choices=BUDGETS, default="epochs", help="what every run gets as many of")
    flag("--max_steps", type=positive, help="how many (1500 epochs or 75000 updates)", **by_budget)
    flag("--eval_freq", type=positive, help="between entries of a history (10, 500)", **by_budget)
    flag("--resume", action="store_true", help="go on with the study in the output folder")
    add_flags(parser, fastest_backend())
    parser.set_defaults(seed=0)
    flag = parser.add_mutually_exclusive_group().add_argument
    flag("--n_jobs", type=jobs_or_all, default="all", help="runs at a time")
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


def jobs_or_all(text):
    """Parse --n_jobs: a whole number, or `all`, which is -1."""
    if text == "all":
        return -1
    return number(int, 1, 1000)(text)


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
    plots.plt.style.use("default")  # whatever the user's settings of matplotlib are
    settings = {name: str(getattr(args, name)) for name in SETTINGS}
    settings["dnn_hidden_units"] = ",".join(map(str, args.dnn_hidden_units)) or "none"

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

    study = Study(None if args.no_output else args.output_dir, settings)
    try:
        if study.folder:
            study.begin(tasks, args.resume)
            study.folder.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        parser.error(f"argument --output_dir: {error}")
    client = connect(parser, args.dask) if args.dask else None
    left = [task for key, task in tasks.items() if key not in study.runs]
    n_runs, n_done = len(tasks), len(tasks) - len(left)
    if args.resume:
        print(f"{n_done} of {n_runs} runs are there already", flush=True)
    try:
        with (
            signals_to(interrupt, "SIGINT", "SIGTERM", "SIGHUP"),
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
        return 128 + (error.args or (signal.SIGINT,))[0] if stopped else 1

    histories = pd.concat([as_table(*key, study.runs[key][0]) for key in tasks])
    seconds = [study.runs[key][1] for key in tasks]
    runs = ends_of(histories).drop(columns="epoch").assign(seconds=seconds, **settings)
    n_epochs = histories.groupby("batch_size")["epoch"].max()
    summary = summarise(runs)
    summary.insert(1, "epochs", n_epochs)
    summary.insert(2, "updates", n_epochs * pd.Series(n_updates))
    summary["seconds"] = runs.groupby("batch_size")["seconds"].median()
    with_report = settings.items() >= report.SETTINGS.items()
    table = as_text(summary, with_report).assign(**summary[["updates", "seconds"]].round(2))
    second = ["train loss", "test loss", "stuck", "updates", "seconds"]
    print(f"median [{spread_of(args.n_seeds)[0]}] of {args.n_seeds} seeds\n")
    print(table.drop(columns=second).to_string(), end="\n\n")
    print(table[second].to_string(), end="\n\n")
    print("stuck: the share of runs in the upper of two groups, by final train loss")
    print(f"{NO_GROUPS}: no gap between the losses, or fewer than ten runs")
    if study.folder:
        for name, content in (RUNS, runs), (SUMMARY, summary.reset_index()):
            path = study.folder / name
            scratch = f"{path}.{os.getpid()}.tmp"
            content.to_csv(scratch, index=False)
            os.replace(scratch, path)  # only now, so that there is never half a file at `path`
            print(f"wrote {path}")
    if study.folder or args.show:
        x = "epoch"
        if args.budget == "updates":
            x = "updates"
            histories[x] = histories["epoch"] * histories["batch_size"].map(n_updates)
        title = (
            f"Figure 4: {args.n_seeds} runs with each batch size, of {args.max_steps:,} "
            f"{args.budget} on {args.dataset}, learning rate {args.learning_rate:g}"
        )
        plots.finish({FIGURE: figure_4(histories, title, x, with_report)}, args)
    return 0


if __name__ == "__main__":
    sys.exit(status_of(main))
