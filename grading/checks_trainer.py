"""Parts II and III: the accuracy, and what the training loop was seen to do."""

import ast
import math
import re
from contextlib import suppress
from itertools import pairwise

import numpy as np

from grading import lecture
from grading.bench import Bench, Fault, compare, flat, is_array, same, still
from grading.checks_layers import GRADIENTS, LAYERS
from grading.lecture import gradients, softmax
from grading.probe_roles import RATE
from grading.submission import source

ALL_BEFORE = (*LAYERS, "MLP.forward", "MLP.backward", "MLP.update")
FILES = ("modules", "mlp_numpy", "train_mlp_numpy")


def all_are(number, factors):
    """Return whether there are factors, and each is this number."""
    return factors is not None and same(factors, np.full(len(factors), number), 0.02)


SIZE = 48  # of a batch, no usual one


class TrainerChecks(Bench):
    """The checks of train_mlp_numpy.py."""

    def ask_trainer(self):
        """Run the trainer with the full batch and with batches of SIZE, and keep what was seen."""
        self.runs = {}
        for size in (None, SIZE):
            got, raised = self.ask("train", *FILES, max_steps=3, batch_size=size)
            if size and not got.get("takes_batch_size"):
                break
            run = Updates(got, 3)
            if len(run.found) == 3 and max(run.sizes()) <= 128 and not self.breaks():
                self.note("max_steps counts updates, not epochs")
                got, raised = self.ask("train", *FILES, max_steps=34, batch_size=size)
                run = Updates(got, 2, counts_updates=True)
            self.runs[size] = run, raised, got.get("takes_hidden")

    def breaks(self):
        """Return whether a loop of the trainer ends by a break, as after its first batch."""
        node = self.locate("train")[1]
        return node is not None and any(isinstance(n, ast.Break) for n in ast.walk(node))

    def steps_are_right(self):
        """Return whether every update that was seen is against the true gradient of its rows."""
        factors = [run.factors("true") for run, *_ in self.runs.values()]
        return bool(factors) and all(all_are(1, f) for f in factors)

    def trainer_text(self):
        """Return the source of the trainer, or an empty text."""
        file = self.submission.files.get("train_mlp_numpy")
        return source(self.submission.folder / file) if file else ""

    def is_loss_divided(self):
        """Return whether the trainer divides the loss by a number of rows for its report."""
        pattern = r"(?i)loss.*/\s*(len\(|n\b|n_|num|batch|\w+\.shape\[0\])"
        divides = re.search(pattern, self.trainer_text())
        return bool(divides) and (self.steps_are_right() or not self.runs[None][0].found)

    def trainer(self):
        """Add the rows of train_mlp_numpy.py."""
        self.check("trainer", "accuracy", self.accuracy)
        self.check("trainer", "train: step", self.step)
        self.check("trainer", "train: epochs", self.epochs)
        if SIZE in self.runs:
            self.check("trainer", "train: batch size", self.batch_size)
        elif not self.runs[None][1]:
            self.note("train takes no batch_size: only what it does by itself is judged")
        else:
            self.check("trainer", "train: batch size", self.ran)

    def accuracy(self):
        rng = np.random.default_rng(1472)
        p = softmax(rng.normal(0, 1, (31, 3)))
        is_hit = rng.uniform(size=31) < 0.6
        y = np.eye(3)[np.where(is_hit, p.argmax(axis=1), rng.integers(3, size=31))]
        got, raised = self.ask("accuracy", *FILES, predictions=p, targets=y)
        self.stopped(raised)
        right, mistakes = lecture.accuracy(p, y)
        values = got["values"]
        fits = [i for i, v in enumerate(values) if same(v, right) or same(v, 100 * right)]
        first, text = next((v for v in values if v is not None), None), self.trainer_text()
        if values[0] is not None and "argmax" not in text:  # nothing gives it class numbers
            fits = [i for i in fits if i not in (1, 2)]
        rounds = any(same(first, value) for words, value in mistakes if "1/2" in words)
        if not fits or (fits[0] == 3 and rounds):  # it is right for decisions, not probabilities
            of_two = {"predictions": p[:, :2], "targets": np.eye(2)[y.argmax(axis=1) % 2]}
            two, _ = self.ask("accuracy", *FILES, **of_two)
            share = lecture.accuracy(*of_two.values())[0]
            is_known = any(same(first, value) for _, value in mistakes)
            if not is_known and any(same(v, share) for v in two.get("values", [])):
                raise Fault("accuracy is right for two classes alone, not for three")
            compare("accuracy", first, right, mistakes)
        if fits[0]:
            takes = ("class numbers", "class numbers", "decisions", "the model")[fits[0] - 1]
            self.note(f"accuracy takes {takes}")
        if same(values[fits[0]], 100 * right):
            self.note("accuracy is a percentage")

    def ran(self):
        """Return the runs, or raise why one of them did not come to an end."""
        for run, raised, _ in self.runs.values():
            if raised and "role" not in raised:
                is_own = raised.get("file") == self.submission.files.get("train_mlp_numpy")
                is_shape = raised["type"] in ("ValueError", "TypeError")
                self.needs(*(GRADIENTS * is_shape if is_own else ALL_BEFORE))
            self.stopped(raised)
            if not run.found:
                told = "no step of training was seen: does train use Linear of modules.py?"
                raise Fault(told, status="not judged")
        return {size: run for size, (run, *_) in self.runs.items()}

    def step(self):
        for run in self.ran().values():
            before = run.found[0]["before"]
            units = len(before[0][1])
            if units != 7 and self.runs[None][2] and len(before) > 1:
                raise Fault(f"train ignores dnn_hidden_units: it uses {units}, but should use 7")
            if run.mixes_targets():
                told = "rows come with the targets of other rows: shuffle both in the same order"
                raise Fault(told)
            true, own = run.factors("true"), run.factors("own")
            if all_are(1, true) or (run.moves() and not run.known):
                continue
            self.needs("MLP.update")
            if not run.moves():
                raise Fault("training changes no parameter: the step is missing")
            if left_out := run.still():
                raise Fault(f"the trainer does not update {left_out}")
            if own is None:
                self.needs(*ALL_BEFORE)
                raise Fault("the trainer's step is not learning_rate * the gradient of the batch")
            if told := self.wrong_step(own, run.sizes()):
                raise Fault(f"the trainer's step {told}")
            # It follows the gradient that there is; is that right?
            is_explained = not self.path or {*ALL_BEFORE} & {*self.causes}
            is_all_summed = "sum" == self.kinds.get(self.path) == self.loss_kind
            if true is not None and not is_explained and not is_all_summed:
                told = f"{np.median(true):.3g} times learning_rate * the gradient of the loss"
                raise Fault(f"the trainer's step is {told}")

    def wrong_step(self, own, n):
        """Return what is wrong with steps that are such factors of the gradients, or None."""
        if all_are(1, own):
            return None
        if all_are(1, own * n):
            is_sum = self.kinds.get(self.path) == "sum"
            told = "is divided by N, the size of the batch, though the gradient is already"
            return None if is_sum else told
        f = float(np.median(own))
        if np.ptp(own) > 0.02 * abs(f) or not math.isfinite(f):
            factors = f"it is {own[0]:.3g}, then {own[-1]:.3g} times learning_rate * gradient"
            return f"changes from update to update: {factors}"
        if same(f, -1, 0.02):
            return "goes up the gradient, but should go down"
        if same(f, 1 / RATE, 0.02):
            return "leaves out the learning rate"
        up = "up the gradient, with" if f < 0 else "with"
        return f"goes {up} {abs(f):.3g} times learning_rate"

    def epochs(self):
        runs = self.ran()
        if not all(run.moves() for run in runs.values()):
            self.needs("train: step")
        n_rows = max(len({*run.rows()}) for run in runs.values())
        for size, run in runs.items():
            rows, sizes = run.rows(), run.sizes()
            first = {*rows[:n_rows]}
            pieces = [rows[i : i + n_rows] for i in range(0, len(rows), n_rows)]
            are_epochs = all(len({*piece}) == n_rows for piece in pieces)
            if are_epochs and len(pieces) != 3 and not run.counts_updates:
                raise Fault(f"max_steps=3 makes {len(pieces)} epochs")
            if run.tests_what_it_trains(n_rows):
                raise Fault("train learns from the test rows, too: keep them apart")
            if min(sizes) == n_rows == len(first):
                continue  # a full batch has no order
            if run.counts_updates:
                step = max(sizes)
                updates = [{*rows[i : i + step]} for i in range(0, len(rows) - step, step)]
                if all(update == updates[0] for update in updates):
                    raise Fault("every update uses the same rows")
                if len(first) < 0.95 * n_rows:
                    self.note("each update draws its rows at random: there are no epochs")
                    continue
            self.judge_epochs(size, run.epochs(n_rows), n_rows, max(sizes))

    def judge_epochs(self, size, epochs, n_rows, step):
        length, n_different = len(epochs[0]), min(len({*epoch}) for epoch in epochs)
        if length < n_rows:
            is_short = size and length == n_rows // size * size
            told = "leaves out the short last batch" if is_short else "leaves out some rows"
            raise Fault(f"an epoch {told}: it visits {length} of {n_rows}")
        if n_different < length:
            told = f"of {length}, only {n_different} are different"
            raise Fault(f"an epoch visits some rows twice: {told}")
        remedy = "draw a new permutation in each"
        if any(epochs[0] == other for other in epochs[1:]):
            raise Fault(f"every epoch has the same order: {remedy}")
        neighbours = [{*map(frozenset, pairwise(epoch))} for epoch in epochs[:2]]
        if len(neighbours[0] & neighbours[1]) > n_rows / 2:
            raise Fault(f"an epoch has the order of another, rolled or in parts: {remedy}")
        starts = range(0, length, step)
        batches = [{frozenset(epoch[i : i + step]) for i in starts} for epoch in epochs[:2]]
        if 1 < step < n_rows and batches[0] & batches[1]:
            raise Fault(f"the same rows make a batch in two epochs: {remedy}")

    def batch_size(self):
        run = self.ran()[SIZE]
        if not run.moves():
            self.needs("train: step")
        if max(run.merged, default=0) > 3:
            raise Fault("train makes small batches, but updates the parameters only once an epoch")
        sizes = [int(size) for size in run.sizes()]
        others = [size for size in sizes if abs(size - SIZE) > 5]
        if sizes[0] in others:
            is_one = len({*sizes}) == 1
            told = "ignores its batch size: every update uses" if is_one else "makes batches of"
            raise Fault(f"train {told} {sizes[0]} rows, but should use {SIZE}")
        n_epochs = max(3, sum(sizes) // max(len({*run.rows()}), 1))
        if len(others) > n_epochs:  # each epoch may have a short last one
            raise Fault(f"the batches have {sorted({*sizes})} rows, but should have {SIZE}")


def targets(step):
    """Return the one-hot targets of an update, or None."""
    y, n = step["y"], len(step["x"])
    if not is_array(y) or np.size(y) not in (n, 2 * n):
        return None
    return np.reshape(y, (n, 2)) if np.size(y) == 2 * n else np.eye(2)[np.ravel(y).astype(int)]


class Updates:
    """The updates of a run of a trainer: what was learned from until the parameters changed."""

    def __init__(self, got, n_epochs, counts_updates=False):
        self.found, self.merged = [], []
        self.n_epochs, self.counts_updates = n_epochs, counts_updates
        self.evaluated = [] if counts_updates else got.get("evaluated", [])
        for step in got.get("steps", []):
            last = self.found[-1] if self.found else None
            if last and last["key"] == step["key"]:
                last["x"] = np.concatenate([last["x"], step["x"]])
                ys = last["y"], step["y"]
                last["y"] = np.concatenate(ys) if all(map(is_array, ys)) else None
                last["grads"] = step.get("grads")
                self.merged[-1] += len(step["x"]) > 1
            else:
                self.found.append(dict(step))
                self.merged.append(1)
        ends = [step["before"] for step in self.found[1:]] + [got.get("final")]
        self.known = []  # those whose step and gradient were seen
        for update, end in zip(self.found, ends, strict=False):
            before, after = flat(update["before"]), flat(end)
            if before is None or np.shape(after) != before.shape or not update.get("grads"):
                continue
            update |= {"step": after - before, "own": flat(update["grads"]), "true": None}
            if (y := targets(update)) is not None:
                with suppress(ValueError):  # of shapes that do not fit
                    update["true"] = flat(gradients(update["before"], update["x"], y))
            self.known.append(update)

    def sizes(self):
        return np.array([len(step["x"]) for step in self.found])

    def rows(self):
        """Return the rows in the order of learning, as something to compare them by."""
        return [row.tobytes() for step in self.found for row in step["x"]]

    def epochs(self, n_rows):
        rows = self.rows()
        length = n_rows if self.counts_updates else len(rows) // self.n_epochs
        return [rows[i : i + length] for i in range(0, length * self.n_epochs, length)]

    def mixes_targets(self):
        """Return whether one row comes with two targets."""
        known = {}
        for step in self.found:
            y = targets(step)
            for row, target in zip(step["x"], y, strict=True) if y is not None else ():
                if known.setdefault(row.tobytes(), target.tobytes()) != target.tobytes():
                    return True
        return False

    def still(self):
        """Return in words the parameters that no update moves though they have a gradient."""
        whole = [u for u in self.known if np.shape(u["own"]) == u["step"].shape]
        if not whole:
            return ""
        step, gradient = (sum(np.abs(u[of]) for u in whole) for of in ("step", "own"))
        return still(whole[0]["before"], step, gradient)

    def tests_what_it_trains(self, n_rows):
        """Return whether all that is evaluated is learned from, too, also what is no batch."""
        trained, sizes = {*self.rows()}, {*self.sizes(), n_rows}
        seen = [x for x in self.evaluated if len(x) > 20]
        is_test = any(len(x) not in sizes for x in seen)
        return is_test and all(row.tobytes() in trained for x in seen for row in x)

    def moves(self):
        return len(self.found) > 1 or any(update["step"].any() for update in self.known)

    def factors(self, of):
        """Return f of each step = -f RATE gradient, `true` or `own`; None if one has no such f."""
        factors = []
        for update in self.known:
            step, g = update["step"], update[of]
            if g is None or step.shape != g.shape:
                return None
            f = float(step @ g / -(RATE * (g @ g) or 1))
            if not np.linalg.norm(step + f * RATE * g) <= 0.02 * np.linalg.norm(step) + 1e-12:
                return None
            factors.append(f)
        return np.array(factors) if factors else None
