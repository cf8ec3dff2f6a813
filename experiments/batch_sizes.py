"""Part III: what the batch size does, over many seeds instead of one.

    python -m experiments.batch_sizes --output_dir figures

trains each batch size from a hundred seeds, prints how losses and accuracies spread, and draws
Figure 4. A seed gives the initial weights and the shuffles; the data stay the same. The comparison
is one at equal epochs, as in the report, or, with `--budget updates`, at equal numbers of updates.

Here are the command, what it plans, and what it makes of the runs. How they are trained and saved
is in study.py, on several machines in cluster.py. The tables are made in spread.py, and the figure
in spread_figures.py.
"""

import argparse
import math
import os
import signal
import sys
import warnings
from contextlib import closing
from typing import NamedTuple

import joblib
import pandas as pd
from tqdm import tqdm

import plots
from experiments import report
from experiments.cluster import connect, finished_runs_of_cluster
from experiments.runs import batch_size_list, fastest_backend, name_of, status_of, text_of
from experiments.spread import NO_GROUPS, as_table, ends_of, spread_name, summarise, text_table
from experiments.spread_figures import figure_4
from experiments.study import RUNS, Study, finished_runs
from train_mlp_numpy import add_flags, check_flags, load_data, new_parser, number

SUMMARY = "summary.csv"
FIGURE = "figure4_batch_sizes.png"


def main(argv=None):
    """Compare from the command line; return the exit status."""
    parser, args = parse_flags(argv)
    plots.plt.style.use("default")  # whatever the user's settings of matplotlib are
    data = load_data(args.dataset, args.n_samples, args.noise, seed=args.data_seed)
    plan = plan_of(args, data)
    study = Study(None if args.no_output else args.output_dir, settings_of(args))
    try:
        begin_study(parser, study, plan, args.resume)
        client = connect(parser, args.dask)
        train_all(study, plan, data, args.n_jobs, client)
        results = tabulate(study, plan)
        print_results(results, args.n_seeds)
        figure = draw(results, args)
        if study.folder is not None:
            write_results(study.folder, results, figure)
    except KeyboardInterrupt:
        print_stop(parser, study, plan, "interrupted", can_resume=True)
        return 130
    except BrokenPipeError:
        raise  # for status_of
    except ConnectionError as error:  # of the cluster
        print_stop(parser, study, plan, f"error: {text_of(error)}", can_resume=True)
        return 1
    except Exception as error:
        print_stop(parser, study, plan, f"error: {text_of(error)}")
        return 1
    finally:
        study.close()
    if args.show:
        plots.show({FIGURE: figure})
    return 0


class Plan(NamedTuple):
    """What is to be trained: every batch size from every seed."""

    batch_sizes: list  # ints, and None for the full batch
    names: list  # the same, as texts
    seeds: range
    n_hidden: list
    n_updates: dict  # in an epoch, by name
    options: dict  # of `train`: a dict by name

    @property
    def n_runs(self):
        """The number of runs."""
        return len(self.names) * len(self.seeds)

    def run_keys(self):
        """Yield the key of each run, in the order of the results."""
        for name in self.names:
            for seed in self.seeds:
                yield name, seed

    def n_done(self, study):
        """Return how many of the runs a study has."""
        n_done = 0
        for name, seed in study.runs:
            if name in self.names and seed in self.seeds:
                n_done += 1
        return n_done

    def tasks_left(self, study, data):
        """Yield the arguments of `train_run` for each run that a study does not have."""
        for batch_size, name in zip(self.batch_sizes, self.names, strict=True):
            for seed in self.seeds:
                if (name, seed) not in study.runs:
                    yield data, self.n_hidden, batch_size, seed, self.options[name]


def plan_of(args, data):
    """Return the Plan that the flags ask for."""
    n_rows = len(data.x_train)
    names = []
    n_updates = {}
    options = {}
    for batch_size in args.batch_sizes:
        name = name_of(batch_size)
        n_updates_per_epoch = math.ceil(n_rows / (batch_size or n_rows))
        if args.budget == "epochs":
            max_epochs = args.max_steps
            eval_epochs = args.eval_freq
        else:
            max_epochs = math.ceil(args.max_steps / n_updates_per_epoch)
            eval_epochs = max(1, args.eval_freq // n_updates_per_epoch)
        names.append(name)
        n_updates[name] = n_updates_per_epoch
        options[name] = {
            "learning_rate": args.learning_rate,
            "max_steps": max_epochs,
            "eval_freq": eval_epochs,
            "backend": args.backend,
        }
    seeds = range(args.seed, args.seed + args.n_seeds)
    return Plan(args.batch_sizes, names, seeds, args.dnn_hidden_units, n_updates, options)


def settings_of(args):
    """Return what all runs of a study have in common: texts by the names of the flags."""
    n_hidden = ",".join(str(n_units) for n_units in args.dnn_hidden_units)
    return {
        "budget": args.budget,
        "max_steps": str(args.max_steps),
        "eval_freq": str(args.eval_freq),
        "learning_rate": str(args.learning_rate),
        "dnn_hidden_units": n_hidden or "none",
        "dataset": args.dataset,
        "n_samples": str(args.n_samples),
        "noise": str(args.noise),
        "data_seed": str(args.data_seed),
        "backend": args.backend,
    }


def begin_study(parser, study, plan, resume):
    """Open the file of a study; end the program with an error of the parser if it must not go on.

    Without a folder there is nothing to open.
    """
    if study.folder is None:
        return
    try:
        study.begin(plan.names, plan.seeds, resume)
    except (OSError, ValueError) as error:
        parser.error(f"argument --output_dir: {text_of(error)}")
    if resume:
        print(f"{plan.n_done(study)} of {plan.n_runs} runs are there already", flush=True)


def train_all(study, plan, data, n_jobs, client):
    """Train what the study does not have yet, here or on a Dask cluster, and add it."""
    n_done = plan.n_done(study)
    n_left = plan.n_runs - n_done
    tasks = plan.tasks_left(study, data)
    if client is None:
        n_jobs = min(joblib.effective_n_jobs(n_jobs), max(n_left, 1))  # idle ones take memory
        runs = finished_runs(tasks, n_jobs)
    else:
        runs = finished_runs_of_cluster(tasks, client)
    bar = tqdm(total=plan.n_runs, initial=n_done, unit="run", disable=None)  # on a terminal
    with bar, warnings.catch_warnings(), closing(runs):
        # If it ends early, joblib warns of the runs under way. We say so in a sentence of our own.
        warnings.filterwarnings("ignore", ".*tasks which were still being", UserWarning)
        for name, seed, history, seconds in runs:
            study.add(name, seed, history, seconds)
            bar.update()


class Results(NamedTuple):
    """What a study has found, as tables, and whether it was trained as the report's runs were."""

    histories: pd.DataFrame  # with a column `updates`
    runs: pd.DataFrame  # how each run ends, its seconds and the settings; as in runs.csv
    summary: pd.DataFrame  # as in summary.csv
    is_as_report: bool


def tabulate(study, plan):
    """Return the Results of a study that has all the runs of the plan."""
    tables = []
    seconds = []
    for name, seed in plan.run_keys():
        run = study.runs[name, seed]
        table = as_table(name, seed, run.history)
        table["updates"] = plan.n_updates[name] * table["epoch"]
        tables.append(table)
        seconds.append(run.seconds)
    histories = pd.concat(tables, ignore_index=True)

    ends = ends_of(histories)
    runs = ends.drop(columns=["epoch", "updates"])
    runs["seconds"] = seconds
    for name, text in study.settings.items():
        runs[name] = text

    groups = ends.groupby("batch_size", sort=False)
    summary = summarise(ends)
    summary.insert(1, "epochs", groups["epoch"].max())
    summary.insert(2, "updates", groups["updates"].max())
    summary["seconds"] = runs.groupby("batch_size")["seconds"].median()
    is_as_report = report.SETTINGS.items() <= study.settings.items()
    return Results(histories, runs, summary, is_as_report)


def print_results(results, n_seeds):
    """Print the summary as two tables, and what their columns mean."""
    table = text_table(results.summary, results.is_as_report)
    table["updates"] = results.summary["updates"]
    table["seconds"] = results.summary["seconds"].round(2)
    second = ["train loss", "test loss", "stuck", "updates", "seconds"]
    print(f"median [{spread_name(n_seeds)}] of {n_seeds} seeds")
    print()
    print(table.drop(columns=second).to_string())
    print()
    print(table[second].to_string())
    print()
    print("stuck: the share of runs in the upper of two groups, by final train loss")
    print(f"{NO_GROUPS}: no gap between the losses, or fewer than ten runs")


def draw(results, args):
    """Return Figure 4 of these Results."""
    x = "epoch" if args.budget == "epochs" else "updates"
    title = (
        f"Figure 4: {args.n_seeds} runs with each batch size, of {args.max_steps:,} "
        f"{args.budget} on {args.dataset}, learning rate {args.learning_rate:g}"
    )
    return figure_4(results.histories, title, x, results.is_as_report)


def write_results(folder, results, figure):
    """Write the two tables and the figure.

    Everything is made first, and only then put in place. So if this is interrupted, there are no
    new tables beside an old figure.
    """
    paths = [folder / RUNS, folder / SUMMARY, folder / FIGURE]
    scratches = [folder / f"{path.name}.{os.getpid()}.tmp" for path in paths]
    try:
        results.runs.to_csv(scratches[0], index=False)
        results.summary.to_csv(scratches[1])
        figure.savefig(scratches[2], format="png", dpi=150)
        for scratch, path in zip(scratches, paths, strict=True):
            os.replace(scratch, path)
    finally:
        for scratch in scratches:
            scratch.unlink(missing_ok=True)
    for path in paths:
        print(f"wrote {path}")


def print_stop(parser, study, plan, reason, can_resume=False):
    """Print why a study ends early, how far it is, and how it goes on if the cause was outside."""
    count = f"{plan.n_done(study)} of {plan.n_runs} runs are done"
    hint = ""
    if can_resume and study.folder is not None:
        hint = "; the same command with --resume goes on from there"
    print(f"{parser.prog}: {reason}; {count}{hint}", file=sys.stderr)


# Below are the flags.

# What --max_steps and --eval_freq count, and their defaults: the epochs of the report, or the
# updates that these are at batch size 16.
BUDGETS = {
    "epochs": {"max_steps": 1500, "eval_freq": 10},
    "updates": {"max_steps": 75_000, "eval_freq": 500},
}


def parse_flags(argv):
    """Return the parser and the flags. A wrong one ends the program with status 2."""
    parser = new_parser(
        "Compare batch sizes over many seeds.", "python -m experiments.batch_sizes --n_seeds 20"
    )
    add = parser.add_argument
    one_or_more = number(int, 1)
    add(
        "--batch_sizes", type=batch_size_list, default="1,16,64,256,full", help="such as 16,64,full"
    )
    add("--n_seeds", type=one_or_more, default=100, help="runs of each batch size, from --seed on")
    add("--budget", choices=BUDGETS, default="epochs", help="what every run gets as many of")
    by_budget = {"type": one_or_more, "default": argparse.SUPPRESS}  # the default is set below
    add("--max_steps", **by_budget, help="how many (1500 epochs or 75000 updates)")
    add("--eval_freq", **by_budget, help="between entries of a history (10, 500)")
    add("--resume", action="store_true", help="go on with the study in the output folder")
    add_flags(parser, fastest_backend())
    parser.set_defaults(seed=0)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--n_jobs", type=jobs_or_all, default="all", help="runs at a time")
    place.add_argument(
        "--dask", metavar="ADDRESS", help="run on the Dask cluster of this scheduler"
    )
    args = parser.parse_args(argv)
    for name, default in BUDGETS[args.budget].items():
        if name not in args:
            setattr(args, name, default)
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


if __name__ == "__main__":
    # `kill` shall end it as Ctrl-C does; or the processes that train would stay for some minutes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(status_of(main))
