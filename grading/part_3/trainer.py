"""Judges what the runs of a trainer were seen to do: that it runs, its steps, epochs and batches.

The steps are judged in step.py, the epochs in epochs.py, and the data in load_data.py.
"""

from grading.checks import Fault, judged, not_judged, right, to_do
from grading.part_3 import epochs, load_data, step
from grading.part_3.seen import (
    batch_sizes,
    merges,
    most_frequent,
    pass_sizes,
    take_batches,
    trainings_of,
)
from grading.process.raised import row_of

RUN = "train: run"
BATCHES = "train: batch size"


def judge(got, rho, told, gradient_is_right=None):
    """Return the rows of the trainer.

    Args:
        got: what runs.measure returned.
        rho: the submission's loss / the lecture's, or None if that is unknown.
        told: a Conventions.
        gradient_is_right: whether the network's own gradient is right, so that a step against it is
            right, too; None if that is unknown.
    """
    trained = [run for run in got["runs"] if run["trainings"]]
    run_row = judge_run(got, trained)
    if not trained:
        return [run_row, *rows_without_training(got, run_row)]
    data_row = load_data.judge(trained)
    return [
        *([data_row] if data_row else []),
        run_row,
        step.judge(trained, rho, gradient_is_right),
        epochs.judge(trained),
        judge_batches(got, trained),
    ]


def adds_up(got):
    """Return whether a training adds its gradients up, as nobody sets them to zero."""
    return any(step.adds_up(training) for _, training in trainings_of(got["runs"]))


def step_factor(got):
    """Return the trainer's step / (learning_rate * own gradient): 1, "1/N" or None."""
    return step.factor(got["runs"])


def rows_without_training(got, run_row):
    """Return the other rows, where no update was seen."""
    rows = []
    for check in step.CHECK, epochs.CHECK, BATCHES:
        if check == step.CHECK and never_learns(got):
            rows.append(judged(check, ["the network is evaluated, but backward is never called"]))
        elif run_row.status == "to do":
            rows.append(to_do(check, run_row.reason))
        else:
            rows.append(not_judged(check))
    return rows


# That it runs


def judge_run(got, trained):
    """Return the row on whether the command trains the network."""
    faults = []
    notes = []
    others = []
    for run in got["runs"]:
        if run["raised"] is None:
            continue
        row = row_of(RUN, run["raised"])
        if row.status == "wrong":
            faults += [in_run(fault, run) for fault in row.faults]
        elif trained:
            notes.append(f"{in_words(run)} is not judged: {row.reason}")
        else:
            others.append(row)
    faults += hidden_faults(trained)
    if faults:
        return judged(RUN, different(faults))
    if others:
        return others[0]
    if not trained:
        return nothing_trained(got)
    if not any(run["n_evaluated"] for run in got["runs"]):
        notes.append("it never evaluates the network")
    return right(RUN, *notes)


def in_run(fault, run):
    """Return a fault that says in which run it is, if not in the default one."""
    if not run["how"] and not run["is_called"]:
        return fault
    return Fault(f"{in_words(run)} {fault.words}", fault.about, fault.where, fault.spoils)


def in_words(run):
    """Return what a run is."""
    what = "train" if run["is_called"] else "the script"
    return f"{what} with {run['how']}" if run["how"] else what


def different(faults):
    """Return faults without those that come from the same line in another run."""
    found = {}
    for fault in faults:
        found.setdefault(fault.where or fault.words, fault)
    return list(found.values())


def hidden_faults(trained):
    """Return the fault of a network that has other hidden units than it was asked for."""
    for run, training in trainings_of(trained):
        wanted = run["given"].get("hidden")
        widths = training["widths"][:-1]
        if wanted is None or wanted in widths or not widths:
            continue
        words = f"has {widths[0]} hidden units, whatever --dnn_hidden_units says"
        return [Fault(words, spoils=False)]
    return []


def nothing_trained(got):
    """Return the row where nothing raised an exception, and no update was seen."""
    if got["is_empty"]:
        return to_do(RUN, "train is empty")
    n_evaluated = sum(run["n_evaluated"] for run in got["runs"])
    if n_evaluated:
        return not_judged(RUN, "no backward pass of the Linear layers was seen")
    if got["uses_network"]:
        return to_do(RUN, "nothing is trained yet: no forward pass of the network was seen")
    return not_judged(RUN, "no pass of the Linear layers was seen: does it use others?")


def never_learns(got):
    """Return whether the network was evaluated again and again, and never changed."""
    for run in got["runs"]:
        if run["raised"] is None and run["n_evaluated"] > 2 and not run["moves_unseen"]:
            return True
    return False


# The batch size


def judge_batches(got, trained):
    """Return the row on whether every batch has batch_size rows, but for a short last one."""
    if any(merges(training) for _, training in trainings_of(trained)):
        words = "makes small batches, but updates the parameters only once an epoch"
        return judged(BATCHES, [words])
    sized = [run for run in trained if "batch_size" in run["given"]]
    if not sized:
        return without_size(got, trained)
    by_pass = take_batches(trained)
    for run, training in trainings_of(sized):
        words = wrong_size(run, training, by_pass)
        if words:
            return judged(BATCHES, [words])
    return right(BATCHES)


def without_size(got, trained):
    """Return the row where no run was given a batch size."""
    if got["has_batch_flag"] or any("batch_size" in run["given"] for run in got["runs"]):
        has_crashed = any(run["raised"] for run in got["runs"])
        reason = "" if has_crashed else "no update was seen in the run with a batch size"
        return not_judged(BATCHES, reason)
    for run in trained:
        has_switch = run["how"] and not run["is_called"]
        if has_switch:
            size = most_frequent(pass_sizes(run["trainings"][0]))
            return right(BATCHES, f"batches of {size} by {run['how']}; no other size can be given")
    return not_judged(BATCHES, "no flag and no parameter takes a batch size")


def wrong_size(run, training, by_pass):
    """Return what is wrong with the sizes of batches, or None."""
    wanted = run["given"]["batch_size"]
    sizes = batch_sizes(training, by_pass)
    usual = most_frequent(sizes)
    others = [size for size in sizes if abs(size - wanted) > max(1, 0.1 * wanted)]
    if usual in others:
        return f"the batch size is ignored: batches of {usual} rows where {wanted} are asked for"
    n_epochs = len(training["order"]) / max(len(set(training["order"])), 1)
    if len(others) > n_epochs + 1:  # an epoch may have a short last one
        found = ", ".join(map(str, sorted(set(sizes))))
        return f"makes batches of {found} rows where {wanted} are asked for"
    return None
