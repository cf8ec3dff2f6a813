"""Parts II and III: the accuracy, and what the training loop was seen to do."""

import ast
import math
import re
from contextlib import suppress
from itertools import pairwise

import numpy as np

from grading.bench import Bench, Fault, compare, flat, is_array, same
from grading.checks_layers import GRADIENTS, LAYERS
from grading.lecture import FORMULAS, gradients, softmax
from grading.probe_roles import RATE
from grading.submission import source

NETWORK = ("MLP.forward", "MLP.backward", "MLP.update")


class TrainerChecks(Bench):
    """The checks of train_mlp_numpy.py."""

    def ask_trainer(self):
        """Run the trainer with the full batch and with batches of 64, and keep what was seen."""
        needs, self.runs = ("modules", "mlp_numpy", "train_mlp_numpy"), {}
        for size in (None, 64):
            got, raised = self.ask("train", *needs, max_steps=3, batch_size=size)
            if size and not got.get("takes_batch_size"):
                break
            run = Updates(got, 3)
            run.evaluated = got.get("evaluated", [])
            if len(run.found) == 3 and max(run.sizes()) <= 128 and not self.breaks():
                self.note("max_steps counts updates, not epochs")
                got, raised = self.ask("train", *needs, max_steps=26, batch_size=size)
                run = Updates(got, 2)
                run.counts_updates = True
            self.runs[size] = run, raised, got.get("takes_hidden")

    def breaks(self):
        """Return whether a loop of the trainer ends by a break, as after its first batch."""
        node = self.locate("train_mlp_numpy", "train")
        return node is not None and any(isinstance(n, ast.Break) for n in ast.walk(node))

    def steps_are_right(self):
        """Return whether every update that was seen is against the true gradient of its rows."""
        factors = [run.factors(run.true_gradient) for run, *_ in self.runs.values()]
        return bool(factors) and all(
            f is not None and same(f, np.ones(len(f)), 0.02) for f in factors
        )

    def is_loss_divided(self):
        """Return whether the trainer divides the loss by a number of rows for its report."""
        file = self.submission.files.get("train_mlp_numpy")
        text = source(self.submission.folder / file) if file else ""
        divides = re.search(r"(?i)loss.*/\s*(len\(|n\b|n_|num|batch|\w+\.shape\[0\])", text)
        return bool(divides) and (self.steps_are_right() or not self.runs[None][0].found)

    def trainer(self):
        """Add the rows of train_mlp_numpy.py."""
        self.check("trainer", "accuracy", self.accuracy)
        self.check("trainer", "train: step", self.step)
        self.check("trainer", "train: epochs", self.epochs)
        if 64 in self.runs:
            self.check("trainer", "train: batch size", self.batch_size)
        elif not self.runs[None][1]:
            self.note("train takes no batch_size: only what it does by itself is judged")
        else:
            self.check("trainer", "train: batch size", self.ran)

    def accuracy(self):
        rng = np.random.default_rng(364)
        p = softmax(rng.normal(0, 1, (31, 3)))
        y = np.eye(3)[
            np.where(rng.uniform(size=31) < 0.6, p.argmax(axis=1), rng.integers(3, size=31))
        ]
        needs = "modules", "mlp_numpy", "train_mlp_numpy"
        got, raised = self.ask("accuracy", *needs, predictions=p, targets=y)
        self.stopped(raised)
        right, mistakes = FORMULAS["accuracy"][1](p, y)
        fits = [i for i, v in enumerate(got["values"]) if same(v, right) or same(v, 100 * right)]
        first = next((v for v in got["values"] if v is not None), None)
        rounds = any(same(first, value) for words, value in mistakes if "1/2" in words)
        if not fits or (fits[0] == 3 and rounds):
            place = self.place("train_mlp_numpy", "accuracy")
            two = self.ask(
                "accuracy", *needs, predictions=p[:, :2], targets=np.eye(2)[y.argmax(axis=1) % 2]
            )[0]
            share = (p[:, :2].argmax(axis=1) == y.argmax(axis=1) % 2).mean()
            if not any(same(first, value) for _, value in mistakes) and any(
                same(v, share) for v in two.get("values", [])
            ):
                raise Fault("accuracy is right for two classes alone, not for three", place)
            compare("accuracy", first, right, mistakes, place)
        if fits[0]:
            self.note(
                "accuracy takes "
                + ("class numbers", "class numbers", "decisions", "the model")[fits[0] - 1]
            )
        if same(got["values"][fits[0]], 100 * right):
            self.note("accuracy is a percentage")

    def ran(self):
        """Return the runs, or raise why one of them did not come to an end."""
        for run, raised, _ in self.runs.values():
            if raised and "role" not in raised:
                is_own = raised.get("file") == self.submission.files.get("train_mlp_numpy")
                is_shape = raised["type"] in ("ValueError", "TypeError")
                self.needs(*(GRADIENTS * is_shape if is_own else (*LAYERS, *NETWORK)))
            self.stopped(raised)
            if not run.found:
                told = "no step of training was seen: does train use Linear of modules.py?"
                raise Fault(told, self.place("train_mlp_numpy", "train"), status="not judged")
        return {size: run for size, (run, *_) in self.runs.items()}

    def step(self):
        place = self.place("train_mlp_numpy", "train", line="grad|update|step\\(")
        for run in self.ran().values():
            first = run.found[0]["before"]
            units = len(first[0][1])
            if units != 20 and self.runs[None][2] and first[1:]:
                raise Fault(
                    f"train ignores dnn_hidden_units: it uses {units}, but should use 20", place
                )
            self.needs("MLP.update")
            if run.still():
                raise Fault(f"the trainer does not update {run.still()}", place)
            if run.mixes_targets():
                told = "rows come with the targets of other rows: shuffle both in the same order"
                raise Fault(told, place)
            if not run.moves():
                raise Fault("training changes no parameter: the step is missing", place)
            true, own = run.factors(run.true_gradient), run.factors(run.own_gradient)
            if not run.known:
                continue
            if true is not None and same(true, np.ones(len(true)), 0.02):
                continue
            told = self.wrong_step(own, run.sizes()) if own is not None else ""
            if told is None:  # it follows the gradient that there is: is that right?
                if (
                    true is None
                    or not self.path
                    or {*LAYERS, *NETWORK} & {*self.causes}
                    or "sum" == self.kinds[self.path] == self.loss_kind
                ):
                    continue
                told = f"is {np.median(true):.3g} times learning_rate * the gradient of the loss"
            self.needs(*LAYERS, *NETWORK) if own is None else None
            told = told or "is not learning_rate * the gradient of the batch"
            raise Fault(f"the trainer's step {told}", place)

    def wrong_step(self, own, n):
        """Return what is wrong with steps that are such factors of the gradients, or None."""
        if same(own, np.ones(len(own)), 0.02) or (
            same(own * n, np.ones(len(own)), 0.02) and self.kinds.get(self.path) == "sum"
        ):
            return None
        f = float(np.median(own))
        if same(own * n, np.ones(len(own)), 0.02):
            return "is divided by N, the size of the batch, though the gradient is already"
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
        place = self.place("train_mlp_numpy", "train", line="permut|shuffle|choice|randint|range")
        runs = self.ran()
        self.needs(*["train: step"] * (not all(run.moves() for run in runs.values())))
        n_rows = max(len({*run.rows()}) for run in runs.values())
        for size, run in runs.items():
            rows = run.rows()
            pieces = [rows[i : i + n_rows] for i in range(0, len(rows), n_rows)]
            if (
                not run.counts_updates
                and len(pieces) != 3
                and all(len({*p}) == n_rows for p in pieces)
            ):
                raise Fault(f"max_steps=3 makes {len(pieces)} epochs", place)
            if run.tests_what_it_trains(n_rows):
                raise Fault("train learns from the test rows, too: keep them apart", place)
            if min(run.sizes()) == n_rows == len({*rows[:n_rows]}):
                continue  # a full batch has no order
            if run.counts_updates:
                step = max(run.sizes())
                if all(
                    {*rows[:step]} == {*rows[i : i + step]}
                    for i in range(0, len(rows) - step, step)
                ):
                    raise Fault("every update uses the same rows", place)
                if len({*rows[:n_rows]}) < 0.95 * n_rows:
                    self.note("each update draws its rows at random: there are no epochs")
                    continue
            self.judge_epochs(size, run.epochs(n_rows), n_rows, max(run.sizes()), place)

    def judge_epochs(self, size, epochs, n_rows, step, place):
        length, n_different = len(epochs[0]), min(len({*epoch}) for epoch in epochs)
        if length < n_rows:
            is_short = size and length == n_rows // size * size
            told = "leaves out the short last batch" if is_short else "leaves out some rows"
            raise Fault(f"an epoch {told}: it visits {length} of {n_rows}", place)
        if n_different < length:
            raise Fault(
                f"an epoch visits some rows twice: of {length}, only {n_different} are different",
                place,
            )
        if any(epochs[0] == other for other in epochs[1:]):
            raise Fault("every epoch has the same order: draw a new permutation in each", place)
        pairs = [{*map(frozenset, pairwise(e))} for e in epochs[:2]]
        if len(pairs[0] & pairs[1]) > n_rows / 2:
            raise Fault(
                "an epoch has the order of another, rolled or in parts: draw a new permutation",
                place,
            )
        batches = [{frozenset(e[i : i + step]) for i in range(0, length, step)} for e in epochs[:2]]
        if 1 < step < n_rows and batches[0] & batches[1]:
            raise Fault(
                "the same rows make a batch in two epochs: draw a new permutation in each", place
            )

    def batch_size(self):
        place, runs = self.place("train_mlp_numpy", "train", line="range|batch"), self.ran()
        self.needs(*["train: step"] * (not runs[64].moves()))
        if runs[64].merged and max(runs[64].merged) > 10:
            raise Fault(
                "train makes small batches, but updates the parameters only once an epoch", place
            )
        sizes = [int(size) for size in runs[64].sizes()]
        if abs(sizes[0] - 64) > 6:
            told = (
                "ignores its batch size: every update uses"
                if len({*sizes}) == 1
                else "makes batches of"
            )
            raise Fault(f"train {told} {sizes[0]} rows, but should use 64", place)
        n_epochs = max(3, sum(sizes) // max(len({*runs[64].rows()}), 1))
        if (
            sum(abs(size - 64) > 6 for size in sizes) > n_epochs
        ):  # but for the short last one of each epoch
            raise Fault(f"the batches have {sorted({*sizes})} rows, but should have 64", place)


class Updates:
    """The updates of a run of a trainer: what was learned from until the parameters changed."""

    counts_updates, evaluated = False, ()

    def __init__(self, got, n_epochs):
        self.found, self.n_epochs, self.merged = [], n_epochs, []
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
        for step, after in zip(self.found, ends, strict=False):
            before, after = flat(step["before"]), flat(after)
            known = before is not None and after is not None and len(before) == len(after)
            step["step"] = after - before if known else None
        self.known = [step for step in self.found if step["step"] is not None and step.get("grads")]

    def sizes(self):
        return np.array([len(step["x"]) for step in self.found])

    def rows(self):
        """Return the rows in the order of learning, as something to compare them by."""
        return [row.tobytes() for step in self.found for row in step["x"]]

    def epochs(self, n_rows):
        rows = self.rows()
        length = n_rows if self.counts_updates else len(rows) // self.n_epochs
        return [rows[i : i + length] for i in range(0, length * self.n_epochs, length)]

    @staticmethod
    def targets(step):
        """Return the one-hot targets of an update, or None."""
        y, n = step["y"], len(step["x"])
        if not is_array(y) or np.size(y) not in (n, 2 * n):
            return None
        return np.reshape(y, (n, 2)) if np.size(y) == 2 * n else np.eye(2)[np.ravel(y).astype(int)]

    def mixes_targets(self):
        """Return whether one row comes with two targets."""
        known = {}
        for step in self.found:
            y = self.targets(step)
            for row, target in zip(step["x"], y, strict=True) if y is not None else ():
                if known.setdefault(row.tobytes(), target.tobytes()) != target.tobytes():
                    return True
        return False

    def still(self):
        """Return the parameters that are never updated though they have a gradient, in words."""
        names, moved = [], {}
        for update in self.known:
            for i, (layer, grads) in enumerate(
                zip(update["before"], update["grads"], strict=True), 1
            ):
                for name, array, g in zip(("weight", "bias"), layer, grads, strict=True):
                    names += [(f"the {name} of layer {i}", np.size(array))] * (
                        update is self.known[0]
                    )
                    moved.setdefault(f"the {name} of layer {i}", not (is_array(g) and np.any(g)))
            end = 0
            for name, size in names:
                of = slice(end, end := end + size)
                moved[name] |= (
                    update["step"] is None or len(update["step"]) < end or update["step"][of].any()
                )
        still = [name for name in moved if not moved[name]]
        return ", ".join(still) if len(still) < len(moved) else ""

    def tests_what_it_trains(self, n_rows):
        """Return whether all that is evaluated is learned from, too, also what is no batch."""
        trained, sizes = {*self.rows()}, {*self.sizes(), n_rows}
        seen = [x for x in self.evaluated if len(x) > 20]
        is_test = any(len(x) not in sizes for x in seen)
        return is_test and all(row.tobytes() in trained for x in seen for row in x)

    def moves(self):
        return len(self.found) > 1 or any(step["step"].any() for step in self.known)

    def true_gradient(self, step):
        y = self.targets(step)
        return None if y is None else flat(gradients(step["before"], step["x"], y))

    def own_gradient(self, step):
        return flat(step["grads"])

    def factors(self, gradient):
        """Return f of each step = -f RATE gradient(update), or None where a step is no multiple."""
        factors = []
        for update in self.known:
            step, g = update["step"], None
            with suppress(ValueError):  # of shapes that do not fit
                g = gradient(update)
            if step is None or g is None or step.shape != g.shape:
                return None
            f = float(step @ g / -(RATE * (g @ g) or 1))
            if not np.linalg.norm(step + f * RATE * g) <= 0.02 * np.linalg.norm(step) + 1e-12:
                return None
            factors.append(f)
        return np.array(factors) if factors else None
