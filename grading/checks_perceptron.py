"""Part I: the data, the perceptron's predictions, its rule, and where it ends."""

from itertools import product

import numpy as np

from grading.bench import Bench, Fault, compare, same, values_text
from grading.lecture import ONLINE, STEPS, TIES, descend, reachable, signs
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
        parts = got["parts"]
        if len(parts) == 2:
            self.note("generate_dataset does not split the data")
            parts = [part[at] for at in (slice(160), slice(160, None)) for part in parts]
        if len(parts) != 4:
            raise Fault(f"generate_dataset returns {len(parts)} things, but should return 4")
        points = sorted((p for p in parts if np.ndim(p) == 2 and p.shape[1] == 2), key=len)
        labels = sorted((np.ravel(p) for p in parts if np.size(p) == len(p)), key=len)
        if [*map(len, points), *map(len, labels)] != [40, 160, 40, 160]:
            shapes = ", ".join(str(np.shape(p)) for p in parts)
            told = "the data should be 160 points to train on and 40 to test with"
            raise Fault(told, f"yours have the shapes {shapes}")
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
            ((known != (y == 1)).any(), "points come with the labels of others: shuffle both"),
            (len({*y[:40]}) == 1, "all test points are of one class: shuffle first"),
        ):
            if is_wrong:
                raise Fault(told)
        for label, mean in (1, [50, 20]), (-1, [-50, 10]):
            # Of a hundred points, the mean errs by 0.2 and the covariance by 0.6.
            found, cov = x[y == label].mean(axis=0), np.cov(x[y == label].T)
            variances, of_class = cov.diagonal(), f"of class {label:+}"
            if np.abs(found - mean).max() > 1:
                raise Fault(f"the mean {of_class} is near {found.round(1)}, but should be {mean}")
            if variances.min() < 2 or variances.max() > 7:
                told = f"with 4, the variances {of_class} are {variances.round(1)}"
                raise Fault(f"cov_scale is the variance: {told}")
            if abs(cov[0, 1]) > 2:
                raise Fault(f"the coordinates {of_class} are correlated")

    def start(self, got, raised):
        if "initial" not in got:
            self.stopped(raised)
        w = got["initial"]
        if got.get("without_bias"):
            told = "its weights are as many as its inputs"
            raise Fault(f"the perceptron has no place for the bias: {told}")
        if (n := got.get("of_three", 4)) != 4:
            raise Fault(f"a perceptron of 3 inputs has {n} weights; with the bias it should have 4")
        if np.ptp(w) == 0 and w[0] != 0:
            raise Fault(f"the initial weights are all {w[0]:g}, but should be 0")
        if np.any(w):
            self.note("the perceptron starts at random weights, not at zero")

    def signs(self, got, raised, points):
        if "first" not in got:
            self.stopped(raised)
        right, mistakes = signs(points, [1.0, 2], -3.0)
        other = np.where(points @ [1.0, 2] - 3 > 0, 1, -1)
        known = [right, other, *(value for _, value in mistakes)]
        ranks = {order: [same(got[order], value) for value in known] for order in ("last", "first")}
        fits = [order for order in ranks if any(ranks[order])]
        self.bias = min(fits, key=lambda order: ranks[order].index(True), default=self.bias)
        if self.bias == "first":
            self.note("the perceptron's bias is its first weight")
        labels = got[self.bias if fits else "last"]
        if same(labels, other):
            self.note("a score of 0 is class -1, the lecture has +1")
        else:
            compare("the prediction", labels, right, mistakes)

    def learn(self, points, labels, max_steps):
        """Return the weights before and after, as pairs of both with the bias last."""
        values = {"points": points, "labels": labels, "max_steps": max_steps}
        got, raised = self.ask("learn", "perceptron", **values)
        if self.learned is None and ("with_integers" in got or got.get("changed")):
            self.learned = got
        if raised:
            self.needs("Perceptron.forward")
        self.stopped(raised)
        before, after = got["before"], got["after"]
        return {"last": (before, after), "first": (np.roll(before, -1), np.roll(after, -1))}

    def learning(self):
        """Find the rule that leads to the weights after one, two and three epochs."""
        points = 3 * np.random.default_rng(13).normal(size=(20, 2))
        labels = np.array(5 * [1.0, -1, -1, -1])
        runs = [self.learn(points, labels, n) for n in (1, 2, 3)]
        orders = [order for order in ("last", "first") if order in self.bias]

        def leads_there(order, zeros, tie, epochs, step):
            for n, run in enumerate(runs, 1):
                before, after = run[order]
                start = 0 * before if zeros else before  # `train` may begin with zeros itself
                if not same(after, descend(start, points, labels, epochs(n), RATE, tie, step)):
                    return False
            return True

        def fits(tie, epochs=lambda n: n, step=None):
            return any(leads_there(*of, tie, epochs, step) for of in product(orders, (False, True)))

        for more, (name, tie) in product((0, 1, -1), TIES.items()):
            if fits(tie, lambda n, more=more: n + more):
                self.rule = tie, more
                self.named(name)
                return
        before, after = runs[1][orders[0]]
        numbers = values_text(after, descend(before, points, labels, 2, RATE, TIES[""]))
        for told, n in (
            ("makes 100 epochs, whatever max_epochs is", 100),
            ("stays where its first epoch led: it ends there, or starts anew in each", 1),
        ):
            if any(fits(tie, lambda _, n=n: n) for tie in TIES.values()):
                self.needs("Perceptron.forward")
                raise Fault(f"Perceptron.train {told}")
        for told, step in STEPS.items():
            if any(fits(tie, step=step) for tie in TIES.values()):
                if "right" in told or "all points" in told:  # or are the predictions wrong?
                    self.needs("Perceptron.forward")
                raise Fault(f"Perceptron.train {told}", numbers)
        if not self.is_online(orders):
            self.needs("Perceptron.forward")
            told = "Perceptron.train goes elsewhere: its weights after two epochs are wrong"
            raise Fault(told, numbers)

    def is_online(self, orders):
        """Return whether the rule is the online rule, or raise what is wrong with its steps."""
        few = np.array([[1.0, 2], [-1, 1], [2, -1], [-2, -3]]), np.array([-1.0, 1, -1, 1])
        runs = [self.learn(*few, n) for n in (1, 2)]
        for (name, tie), (told, factors), order in product(TIES.items(), ONLINE.items(), orders):
            ends = [(run[order][1], reachable(run[order][0], *few, n, RATE, tie, factors))
                    for n, run in enumerate(runs, 1)]  # fmt: skip
            if not all(any(same(after, w) for w in reached) for after, reached in ends):
                continue
            if np.ndim(factors) or factors < 0:
                raise Fault(f"Perceptron.train {told}: a step for each point")
            apart = np.array([[-1.0, -2], [-2, -1], [5, 5]]), np.array([-1.0, -1, 1])
            if self.learn(*apart, 1)[order][1][-1] == 0:
                raise Fault("Perceptron.train updates w alone, not the bias")
            self.rule = tie, None
            for text in ("the online rule: a step for each point, not for the set", name, told):
                self.named(text)
            return True
        return False

    def named(self, rule):
        """Note another lecture's rule, once."""
        if rule and not any(rule in text for text in self.submission.read_as):
            self.note(rule)

    def end(self):
        self.needs("Perceptron.train: step")
        tie, more = self.rule
        if more:
            raise Fault(f"max_epochs is one epoch too {'many' if more > 0 else 'few'}")
        points, labels = np.array([[2.0, 1], [-1, -3]]), np.array([1.0, -1])
        should = "once it makes no mistake any more: training should end there"
        try:
            run = self.learn(points, labels, 60)
        except Fault as fault:
            fault.text += f", {should}"
            raise
        before, after = run["last" if "last" in self.bias else "first"]
        if not np.isfinite(after).all():
            raise Fault(f"divides by zero, {should}")
        if tie(np.column_stack([points, [1, 1]]) @ after, labels).any():
            raise Fault("separable points are still misclassified after 60 epochs")
        ends = [descend(start, points, labels, 60, RATE, tie) for start in (before, 0 * before)]
        if more is not None and not any(same(after, end) for end in ends):
            raise Fault(f"goes on, {should}", values_text(after, ends[0]))

    def arguments(self):
        if self.learned is None:
            self.needs("Perceptron.train: step")
        if changed := self.learned["changed"]:
            raise Fault(f"Perceptron.train changes its argument in place: {changed[0]}")
        if not self.learned.get("with_integers"):
            told = "Perceptron.train changes its labels in place, which fails for integers"
            raise Fault(told)
