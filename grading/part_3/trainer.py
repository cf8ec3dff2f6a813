"""Judges what the runs of a trainer were seen to do: that it runs, its data, and its batches.

The steps are judged in step.py, and the epochs in epochs.py.
"""

from grading.checks import Fault, judged, not_judged, right, to_do
from grading.part_3 import epochs, step
from grading.part_3.epochs import batch_sizes, most_frequent
from grading.process.raised import row_of

RUN = "train: run"
BATCHES = "train: batch size"
DATA = "load_data"


def judge(got, rho, gradient_is_right=None):
    """Return the rows of the trainer.

    Args:
        got: what runs.measure returned.
        rho: the submission's loss / the lecture's, or None if that is unknown.
        gradient_is_right: whether the network's own gradient is right, so that a step against it is
            right, too; None if that is unknown.
    """
    trained = trainings_of(got)
    run_row = judge_run(got, trained)
    if not trained:
        return [run_row, *rows_without_training(run_row)]
    return [
        *judge_data(trained),
        run_row,
        step.judge(trained, rho, gradient_is_right),
        epochs.judge(trained, got["walks_through_rows"]),
        judge_batches(got, trained),
    ]


def trainings_of(got):
    """Return pairs of a run and a training in it."""
    pairs = []
    for run in got["runs"]:
        for training in run["trainings"]:
            pairs.append((run, training))
    return pairs


def adds_up(got):
    """Return whether a training adds its gradients up, as nobody sets them to zero."""
    return any(step.adds_up(training) for _, training in trainings_of(got))


def step_factor(got):
    """Return the trainer's step / (learning_rate * own gradient): 1, "1/N" or None."""
    return step.step_factor(trainings_of(got))


def rows_without_training(run_row):
    """Return the other rows, where no update was seen."""
    checks = [step.CHECK, epochs.CHECK, BATCHES]
    if run_row.status == "to do":
        return [to_do(check, run_row.reason) for check in checks]
    return [not_judged(check) for check in checks]


# That it runs


def judge_run(got, trained):
    """Return the row on whether the command trains the network."""
    faults = {}  # by line: one line may fail in several runs
    notes = []
    others = []
    for run in got["runs"]:
        if run["raised"] is None:
            continue
        row = row_of(RUN, run["raised"])
        if row.status == "wrong":
            [fault] = row.faults
            fault.words = f"{in_words(run)} {fault.words}".strip()
            faults.setdefault(fault.where or fault.words, fault)
        elif trained:
            notes.append(f"{in_words(run) or 'the script'} is not judged: {row.reason}")
        else:
            others.append(row)
    for run, training in trained:
        words = other_width(run, training)
        if words:
            faults.setdefault("width", Fault(words, spoils=False))
    if faults:
        return judged(RUN, list(faults.values()))
    if others:
        return others[0]
    if not trained:
        return nothing_trained(got)
    if not any(run["n_evaluated"] for run in got["runs"]):
        notes.append("it never evaluates the network")
    return right(RUN, *notes)


def in_words(run):
    """Return what a run is, or "" of the default one."""
    if run["is_called"]:
        return f"train with {run['how']}" if run["how"] else "train"
    return f"the script with {run['how']}" if run["how"] else ""


def other_width(run, training):
    """Return the fault of a network that has other hidden units than it was asked for, or None."""
    wanted = run["given"].get("hidden")
    widths = training["widths"][:-1]
    if wanted and widths and wanted not in widths:
        return f"has {widths[0]} hidden units, not the number that it is given"
    return None


def nothing_trained(got):
    """Return the row where nothing raised an exception, and no update was seen."""
    if got["is_empty"]:
        return to_do(RUN, "train is empty")
    if any(run["n_evaluated"] for run in got["runs"]):
        return not_judged(RUN, "no backward pass of the Linear layers was seen")
    if got["uses_network"]:
        return to_do(RUN, "nothing is trained yet: no forward pass of the network was seen")
    return not_judged(RUN, "no pass of the Linear layers was seen: does it use others?")


# Its data


def judge_data(trained):
    """Return the row on whether test rows are trained on, or none where no test was seen."""
    shared = [training["shared_rows"] for _, training in trained]
    known = [n for n in shared if n is not None]
    if not known:
        return []
    words = "the test rows are also trained on"
    return [judged(DATA, [Fault(words, spoils=False)] if any(known) else [])]


# The batch size


def judge_batches(got, trained):
    """Return the row on whether every batch has batch_size rows, but for a short last one."""
    if any(step.merges(training) for _, training in trained):
        words = "makes small batches, but updates the parameters only once an epoch"
        return judged(BATCHES, [words])
    sized = [pair for pair in trained if "batch_size" in pair[0]["given"]]
    if not sized:
        return without_size(got, trained)
    for run, training in sized:
        sizes = batch_sizes(training, trained)
        words = wrong_size(run["given"]["batch_size"], sizes, training)
        if words:
            return judged(BATCHES, [words])
    return right(BATCHES)


def without_size(got, trained):
    """Return the row where no run with a batch size trained."""
    if any("batch_size" in run["given"] for run in got["runs"]):
        return not_judged(BATCHES)
    for run, training in trained:
        if run["how"]:
            size = most_frequent(batch_sizes(training, trained))
            return right(BATCHES, f"batches of {size} by {run['how']}; no other size can be given")
    return not_judged(BATCHES, "no flag and no parameter takes a batch size")


def wrong_size(wanted, sizes, training):
    """Return what is wrong with the sizes of batches, or None."""
    usual = most_frequent(sizes)
    others = [size for size in sizes if abs(size - wanted) > max(1, 0.1 * wanted)]
    if usual in others:
        return f"the batch size is ignored: batches of {usual} rows where {wanted} are asked for"
    n_epochs = len(training["order"]) / len(set(training["order"]))
    if len(others) > n_epochs + 1:  # an epoch may have a short last one
        found = ", ".join(map(str, sorted(set(sizes))))
        return f"makes batches of {found} rows where {wanted} are asked for"
    return None
