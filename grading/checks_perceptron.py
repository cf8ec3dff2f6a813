"""Part I: the data, the perceptron's predictions, its rule, and where it ends."""

from itertools import product

import numpy as np

from grading.bench import Bench, Fault, compare, same, values_text
from grading.lecture import FORMULAS, ONLINE, STEPS, TIES, descend, reachable
from grading.probe_roles import RATE


class PerceptronChecks(Bench):
    """The checks of perceptron.py."""

    learned = rule = None
    bias = "last or first"

    def perceptron(self):
        """Add the rows of Part I."""
        means = {"mean_pos": [50.0, 20.0], "mean_neg": [-50.0, 10.0]}
        data, raised = self.ask("data", "perceptron", **means, cov_scale=4.0)
        if data.get("is_there", True):
            self.check("perceptron", "generate_dataset", self.data, data, raised)
        else:
            self.note("there is no generate_dataset: the data are not judged")
        points = np.array([[1, 1], [1, 0.5], [0, 2], [4, 0], [-2, 1], [0.5, -4]], dtype=float)
        weights = np.array([1.0, 2, -3])
        got, raised = self.ask("perceptron", "perceptron", weights=weights, points=points)
        self.check("perceptron", "Perceptron.__init__", self.start, got, raised)
        self.check("perceptron", "Perceptron.forward", self.signs, got, raised, points)
        self.check("perceptron", "Perceptron.train: step", self.learning)
        self.check("perceptron", "Perceptron.train: end", self.end)
        self.check("perceptron", "Perceptron.train: arguments", self.arguments)

    def data(self, got, raised):
        self.stopped(raised)
        parts, place = got["parts"], self.place("perceptron", "generate_dataset")
        if len(parts) == 2:
            self.note("generate_dataset does not split the data")
            parts = [part[at] for at in (slice(160), slice(160, None)) for part in parts]
        if len(parts) != 4:
            raise Fault(f"generate_dataset returns {len(parts)} things, but should return 4", place)
        points = sorted((p for p in parts if np.ndim(p) == 2 and p.shape[1] == 2), key=len)
        labels = sorted((np.ravel(p) for p in parts if np.size(p) == len(p)), key=len)
        if [*map(len, points), *map(len, labels)] != [40, 160, 40, 160]:
            shapes = ", ".join(str(np.shape(p)) for p in parts)
            raise Fault("the data should be 160 points to train on and 40 to test with", place,
                        f"yours have the shapes {shapes}")  # fmt: skip
        x, y = np.concatenate(points), np.concatenate(labels)
        known = x[:, 0] > 0
        if (known != (y == 1)).all() and not got["is_named"]:
            self.note("the first mean is that of class -1")
            y = -y
        distance = np.abs(x[y == 1].mean(axis=0) - x[y != 1].mean(axis=0)).max()
        for is_wrong, told in (
            (len(np.unique(x, axis=0)) < 200, "some points occur twice: do the parts overlap?"),
            ({*y} == {0, 1}, "the labels are 0 and 1, but should be -1 and +1"),
            ({*y} != {-1, 1}, "the labels should be +1 and -1"),
            ((y == 1).sum() != 100, "there should be 100 points of each class"),
            (distance < 5, "both classes have the same mean"),
            ((known != (y == 1)).all(), "class +1 has the mean of class -1, and the reverse"),
            (
                (known != (y == 1)).any(),
                "points come with the labels of others: shuffle both",
            ),
            (len({*y[:40]}) == 1, "all test points are of one class: shuffle first"),
        ):
            if is_wrong:
                raise Fault(told, place)
        for label, mean in (1, [50, 20]), (-1, [-50, 10]):
            # Of a hundred points, the mean errs by 0.2 and the covariance by 0.6.
            found, cov = x[y == label].mean(axis=0), np.cov(x[y == label].T)
            if np.abs(found - mean).max() > 1:
                raise Fault(
                    f"class {label:+} has its mean near {found.round(1)}, but should near {mean}",
                    place,
                )
            if cov.diagonal().min() < 2 or cov.diagonal().max() > 7:
                told = f"with 4, class {label:+} varies by {cov.diagonal().round(1)}"
                raise Fault(f"cov_scale is the variance: {told}", place)
            if abs(cov[0, 1]) > 2:
                raise Fault(f"the coordinates of class {label:+} are correlated", place)

    def start(self, got, raised):
        if "initial" not in got:
            self.stopped(raised)
        w, place = got["initial"], self.place("perceptron", "Perceptron", "__init__", r"\.\w*w\w*$")
        if got.get("without_bias"):
            raise Fault(
                "the perceptron has no place for the bias: its weights are as many as its inputs",
                place,
            )
        if got.get("of_three", 4) != 4:
            raise Fault(
                f"a perceptron of 3 inputs has {got['of_three']} weights, with the bias", place
            )
        if np.ptp(w) == 0 and w[0] != 0:
            raise Fault(f"the initial weights are all {w[0]:g}, but should be 0", place)
        if np.any(w):
            self.note("the perceptron starts at random weights, not at zero")

    def signs(self, got, raised, points):
        if "first" not in got:
            self.stopped(raised)
        right, mistakes = FORMULAS["Perceptron.forward"][1](points, [1.0, 2], -3.0)
        other = np.where(points @ [1.0, 2] - 3 > 0, 1, -1)
        known = [right, other, *(value for _, value in mistakes)]
        ranks = {order: [same(got[order], value) for value in known] for order in ("last", "first")}
        fits = [order for order in ranks if any(ranks[order])]
        self.bias = min(fits, key=lambda order: ranks[order].index(True), default=self.bias)
        labels = got[self.bias if fits else "last"]
        if labels is None:
            compare("Perceptron.forward", None, right)
        if self.bias == "first":
            self.note("the perceptron's bias is its first weight")
        if same(labels, other):
            self.note("a score of 0 is class -1, the lecture has +1")
        else:
            place = self.place("perceptron", "Perceptron", "forward|predict")
            compare("the prediction", labels, right, mistakes, place)

    def learn(self, points, labels, max_steps):
        """Return the weights before and after, as pairs of both with the bias last."""
        values = {"points": points, "labels": labels, "max_steps": max_steps}
        got, raised = self.ask("learn", "perceptron", **values)
        self.learned = self.learned or (
            got if "with_integers" in got or got.get("changed") else None
        )
        if raised:
            self.needs("Perceptron.forward")
        self.stopped(raised)
        before, after = got["before"], got["after"]
        return {"last": (before, after), "first": (np.roll(before, -1), np.roll(after, -1))}

    def learning(self):
        """Find the rule that leads to the weights after one, two and three epochs."""
        points, labels = (
            3 * np.random.default_rng(13).normal(size=(20, 2)),
            np.array(5 * [1.0, -1, -1, -1]),
        )
        runs = [self.learn(points, labels, n) for n in (1, 2, 3)]
        place = self.place(
            "perceptron", "Perceptron", "train|fit|learn", r"\.\w*(w|weights?|theta)$"
        )
        orders = [order for order in ("last", "first") if order in self.bias]

        def fits(tie, epochs=lambda n: n, step=None):
            for order in orders:
                for factor in (1, 0):  # `train` may begin with zeros itself
                    ends = []
                    for n, (before, after) in enumerate((run[order] for run in runs), 1):
                        given = points, labels, epochs(n), RATE, tie, step
                        ends.append((after, descend(factor * before, *given)))
                    if all(same(after, end) for after, end in ends):
                        return True
            return False

        for more in (0, 1, -1):
            for name, tie in TIES.items():
                if fits(tie, lambda n, more=more: n + more):
                    self.rule = tie, more
                    return self.named(name)
        before, after = runs[1][orders[0]]
        numbers = values_text(after, descend(before, points, labels, 2, RATE, TIES[""]))
        for told, n in (
            ("makes 100 epochs, whatever max_epochs is", 100),
            ("stays where its first epoch led: it ends there, or starts anew in each", 1),
        ):
            if any(fits(tie, lambda _, n=n: n) for tie in TIES.values()):
                self.needs("Perceptron.forward")
                raise Fault(f"Perceptron.train {told}", place)
        for told, step in STEPS.items():
            if any(fits(tie, step=step) for tie in TIES.values()):
                self.needs(*["Perceptron.forward"] * ("right" in told or "all points" in told))
                raise Fault(f"Perceptron.train {told}", place, numbers)
        few = np.array([[1.0, 2], [-1, 1], [2, -1], [-2, -3]]), np.array([-1.0, 1, -1, 1])
        few_runs = [self.learn(*few, n) for n in (1, 2)]
        for (name, tie), (told, factors), order in product(TIES.items(), ONLINE.items(), orders):
            ends = [(run[order][1], reachable(run[order][0], *few, n, RATE, tie, factors))
                    for n, run in enumerate(few_runs, 1)]  # fmt: skip
            if all(any(same(after, w) for w in reached) for after, reached in ends):
                if np.ndim(factors) or factors < 0:
                    raise Fault(f"Perceptron.train {told}: a step for each point", place)
                apart = np.array([[-1.0, -2], [-2, -1], [5, 5]]), np.array([-1.0, -1, 1])
                if self.learn(*apart, 1)[order][1][-1] == 0:
                    raise Fault("Perceptron.train updates w alone, not the bias", place)
                self.rule = tie, None
                self.note("the online rule: a step for each point, not for the set")
                return [self.named(name), self.named(told)]
        self.needs("Perceptron.forward")
        raise Fault(
            "Perceptron.train goes elsewhere: its weights after two epochs are wrong",
            place,
            numbers,
        )

    def named(self, tie):
        if tie and not any(tie in text for text in self.submission.read_as):
            self.note(tie)

    def end(self):
        self.needs("Perceptron.train: step")
        (tie, more), place = self.rule, self.place("perceptron", "Perceptron", "train|fit|learn")
        if more:
            raise Fault(f"max_epochs is one epoch too {'many' if more > 0 else 'few'}", place)
        points, labels = np.array([[2.0, 1], [-1, -3]]), np.array([1.0, -1])
        should = "once it makes no mistake any more: training should end there"
        try:
            before, after = self.learn(points, labels, 60)[
                "last" if "last" in self.bias else "first"
            ]
        except Fault as fault:
            fault.text += f", {should}"
            raise
        if not np.isfinite(after).all():
            raise Fault(f"divides by zero, {should}", place)
        if tie(np.column_stack([points, [1, 1]]) @ after, labels).any():
            raise Fault("separable points are still misclassified after 60 epochs", place)
        ends = [descend(factor * before, points, labels, 60, RATE, tie) for factor in (1, 0)]
        if more is not None and not any(same(after, end) for end in ends):
            raise Fault(f"goes on, {should}", place, values_text(after, ends[0]))

    def arguments(self):
        if self.learned is None:
            self.needs("Perceptron.train: step")
        target = r"(?i)^(labels?|y|targets?|x|points|\w*inputs)\b"
        place = self.place("perceptron", "Perceptron", "train|fit|learn", target)
        if self.learned["changed"]:
            raise Fault(
                f"Perceptron.train changes its argument in place: {self.learned['changed'][0]}",
                place,
            )
        if not self.learned.get("with_integers"):
            raise Fault(
                "Perceptron.train changes its labels in place, which fails for integers", place
            )
