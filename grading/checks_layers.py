"""Part II: the layers, each by itself and all together, and the network.

The gradients of all layers together decide. Where they are right, a factor N that one layer has
and another lacks is a convention. Where they are not, each layer's own formula tells the cause.
"""

import math

import numpy as np

from grading.bench import Bench, Fault, compare, flat, is_array, same, values_text
from grading.lecture import (
    FORMULAS,
    gradients,
    logits,
    mlp_gradients,
    softmax,
    softmax_backward,
    softmax_shifts,  # fmt: skip
)
from grading.probe_roles import RATE

PATHS = ("skip", "softmax", "logits")  # see Chain in probe.py
GRADIENTS = [f"Linear.backward: {what}" for what in ("weight", "bias", "input")]
LAYERS = ["Linear.forward", *GRADIENTS, "ReLU.forward", "ReLU.backward", "SoftMax.forward",
          "SoftMax.backward", "CrossEntropy.forward", "CrossEntropy.backward"]  # fmt: skip
STALE = "belongs to the batch before: what forward keeps is stale"
ADDS = "gradients add up from one backward to the next, and nobody sets them to zero"


def factor(got, expected, n):
    """Return whether gradients are those of the `mean` or of the `sum` over n rows, or None."""
    got, expected = flat(got), flat(expected)
    return (
        None
        if got is None
        else "mean"
        if same(got, expected)
        else "sum"
        if same(got, n * expected)
        else None
    )


class LayerChecks(Bench):
    """The checks of modules.py and mlp_numpy.py."""

    def ask_layers(self):
        """Ask about all layers and the network, as one may answer for another."""
        rng, n_rows = np.random.default_rng(0), (5, 7)
        self.parameters = [
            [rng.normal(0, 0.4, s), rng.normal(0, 0.4, s[1])] for s in ((3, 6), (6, 4))
        ]
        self.deep = [
            [rng.normal(0, 0.4, s), rng.normal(0, 0.4, s[1])]
            for s in ((3, 6), (6, 6), (6, 6), (6, 4))
        ]
        self.x = [rng.normal(size=(n, 3)) for n in n_rows]
        self.y = [np.eye(4)[rng.permutation(np.arange(n) % 4)] for n in n_rows]
        self.p = [softmax(logits(self.parameters, x)) for x in self.x]
        self.linear = [rng.normal(size=(3, 4)), rng.normal(size=4)]
        self.z, self.dout = ([rng.normal(size=(n, 4)) for n in n_rows] for _ in "zd")
        self.right = [
            gradients(self.parameters, *batch) for batch in zip(self.x, self.y, strict=True)
        ]
        for z in self.z:
            z[0, :2] = 20, -20
        self.extreme = np.array([[1000.0, 999, 998], [-1000, -1001, -1003]])
        network = {"parameters": self.parameters, "x": self.x, "y": self.y}
        both = ("modules", "mlp_numpy")
        self.found = {
            "initial": self.ask("initial", "modules", shape=[100, 80]),
            "Linear": self.ask("layer", "modules", name="Linear", x=self.x, dout=self.dout,
                               parameters=self.linear),
            "ReLU": self.ask("layer", "modules", name="ReLU", x=self.z, dout=self.dout),
            "SoftMax": self.ask("layer", "modules", name="SoftMax", x=self.z, dout=self.dout),
            "CrossEntropy": self.ask("loss", "modules", x=self.p, y=self.y),
            "far logits": self.ask("layer", "modules", name="SoftMax", x=[self.extreme],
                                   dout=[self.extreme]),
            "extreme p": self.ask("loss", "modules", y=[np.array([[1.0, 0]])] * 3,
                                  x=[np.array([[p, 1 - p]]) for p in (0.0, 1.0, 0.5)]),
            **{path: self.ask("network", "modules", path=path, **network) for path in PATHS},
            "MLP": self.ask("network", *both, path="MLP", **network),
            "MLP, softmax": self.ask("network", *both, path="MLP, softmax", **network),
            "deep": self.ask("network", *both, path="MLP", **network | {"parameters": self.deep}),
            "initial MLP": self.ask("initial_mlp", *both, sizes=[3, 7, 7, 7, 2]),
        }  # fmt: skip
        self.kinds = {path: self.kind(path) for path in (*PATHS, "MLP", "MLP, softmax")}
        self.path = next((path for path in PATHS if self.kinds[path] in ("mean", "sum")), None)
        self.adds = any(self.kinds[path] == "adds" for path in PATHS)
        losses = self.found["CrossEntropy"][0].get("loss", [])
        means = [-np.log(p[y == 1]).mean() for p, y in zip(self.p, self.y, strict=True)]
        kinds = {factor(loss, m, n) for loss, m, n in zip(losses, means, n_rows, strict=False)}
        self.loss_kind = kinds.pop() if len(kinds) == 1 else None

    def kind(self, name):
        """Return of what the gradients of a network are in both batches, the mean or the sum.

        Where those of the first batch are added to the second's, it is `adds`; else None.
        """
        grads = self.found[name][0].get("grads", [])
        if len(grads) < 2:
            return None
        first, second = (factor(g, r, n) for g, r, n in zip(grads, self.right, (5, 7), strict=True))
        one, two, right = flat(grads[0]), flat(grads[1]), flat(self.right[1])
        if first and not second and two is not None and factor(two - one, right, 7) == first:
            return "adds"
        return first if first == second else None

    def layers(self):
        """Add the rows of modules.py."""
        self.check("layers", "Linear.__init__", self.initial)
        self.check("layers", "Linear.forward", self.forward, "Linear", self.x, *self.linear)
        for i, name in enumerate(GRADIENTS):
            self.check("layers", name, self.linear_backward, i)
        self.check("layers", "ReLU.forward", self.forward, "ReLU", self.z)
        self.check("layers", "ReLU.backward", self.relu_backward)
        self.check("layers", "SoftMax.forward", self.softmax_forward)
        self.check("layers", "SoftMax.backward", self.softmax_backward)
        self.check("layers", "CrossEntropy.forward", self.loss_forward)
        self.check("layers", "CrossEntropy.backward", self.loss_backward)
        self.check("layers", "layers together", self.together)

    def got(self, name, key, n=2, what=""):
        """Return what the submission gave for both batches, or raise why it gave nothing."""
        got, raised = self.found[name]
        if len(got.get(key, [])) < n:
            self.needs(f"{name}.forward")
            if name == "Linear" and raised and raised["type"] == "ValueError":
                self.square(what)
            self.stopped(raised)
        return got.get(key, [])

    def square(self, what):
        """Raise what is wrong with a Linear that fails, but not where all sizes are equal."""
        rng = np.random.default_rng(2)
        weight, bias, *others = (rng.normal(size=s) for s in ((4, 4), 4, *[(4, 4)] * 4))
        x, dout = others[:2], others[2:]
        values = {"parameters": [weight, bias], "x": x, "dout": dout}
        got, _ = self.ask("layer", "modules", name="Linear", **values)
        if len(got.get("dx", [])) < 2 or len(got.get("grads", [])) < 2:
            return
        for i, (x_i, dout_i) in enumerate(zip(x, dout, strict=True)):
            for name, value, given in (("weight", got["grads"][i][0], (x_i, dout_i)),
                                       ("bias", got["grads"][i][1], (dout_i, bias)),
                                       ("input", got["dx"][i], (x_i, dout_i, weight))):  # fmt: skip
                right, mistakes = FORMULAS[f"Linear.backward: {name}"][1](*given)
                if name == "weight" and i:
                    mistakes.append((STALE, x[0].T @ dout_i))
                if not same(value, right) and name != what:
                    raise Fault(
                        f"because of Linear.backward: {name}, see there", status="not judged"
                    )
                compare(
                    f"the {name} gradient",
                    value,
                    right,
                    mistakes,
                    self.place("modules", "Linear", "backward"),
                )

    def initial(self):
        got, raised = self.found["initial"]
        self.stopped(raised)
        place = self.place("modules", "Linear", "__init__", r"(?i)w(eights?)?('\])?$|params$")
        weight, bias = got["layers"][0]
        n, mean, std = len(weight), weight.mean(), weight.std()
        if len(np.unique(weight, axis=1).T) < weight.shape[1]:
            raise Fault(
                "the initial weights of some units are all the same: so they stay alike", place
            )
        if abs(mean) > 0.2 * std:
            raise Fault(f"the initial weights are around {mean:.2g}, but should be around 0", place)
        if std > 1.5:
            is_he = same(std, math.sqrt(n / 2), 0.1)
            remedy = "multiply by He's factor, do not divide by it" if is_he else "for example 0.1"
            told = f"have a standard deviation of {std:.2g} for {n} inputs: {remedy}"
            raise Fault(f"the initial weights {told}", place)
        if np.abs(bias).mean() > 0.2:
            place = self.place("modules", "Linear", "__init__", r"(?i)b(ias(es)?)?('\])?$")
            raise Fault(f"the initial bias is around {bias.mean():.2g}, but should be 0", place)
        if not 0.08 < std < 0.12:
            self.note(f"initial weights have a standard deviation of {std:.2g} for {n} inputs")
        of_mlp = self.found["initial MLP"][0].get("layers", [])[1:3]
        one, other = of_mlp if len(of_mlp) == 2 else got["layers"]
        if one[0].shape == other[0].shape and same(one[0], other[0]):
            told = "layers of one size start with the same weights"
            raise Fault(f"{told}: is the generator seeded anew in each?", place)

    def forward(self, name, inputs, *others):
        """Judge the output of a layer for both batches."""
        outs, place = self.got(name, "out", 1), self.place("modules", name, "forward|__call__")
        for x, out in zip(inputs, outs, strict=False):
            right, mistakes = FORMULAS[f"{name}.forward"][1](x, *others)
            compare(f"{name}.forward", out, right, mistakes, place)
        if name == "Linear" and "x" in self.found[name][0]["changed"]:
            told = "Linear.forward changes its argument in place; the caller still needs it"
            raise Fault(told, self.place("modules", name, "forward|__call__", r"^\w+(\[.*\])?$"))
        if {"x", "dout"} & {*self.found[name][0]["changed"]}:
            self.note(f"{name} works in place: it overwrites its argument")

    def linear_backward(self, index):
        """Judge the gradient of the weight, of the bias, or of the input."""
        name, pattern = (("weight", "w(eights?)?"), ("bias", "b(ias(es)?)?"), ("input", "(?!)"))[
            index
        ]
        grads, dx = self.got("Linear", "grads", what=name), self.got("Linear", "dx", what=name)
        place = self.place(
            "modules", "Linear", "backward", rf"(?i)(\b|_|d|\['){pattern}(_?grad\w*)?('\])?$"
        )
        if name in self.found["Linear"][0]["changed"]:
            raise Fault(f"Linear changes its {name} in a pass; only the update may do so", place)
        if self.adds and index < 2:
            if (
                index == 0
                and self.kinds["MLP"] not in ("mean", "sum")
                and not self.steps_are_right()
            ):
                raise Fault(ADDS, place)
            self.note("gradients add up until they are set to zero")
            return
        if self.path:
            return
        weight, bias = self.linear
        first = None
        for i, (x, dout) in enumerate(zip(self.x, self.dout, strict=True)):
            given = ((x, dout), (dout, bias), (x, dout, weight))[index]
            right, mistakes = FORMULAS[f"Linear.backward: {name}"][1](*given)
            got = dx[i] if index == 2 else grads[i][index]
            if index < 2 and self.division(index, got, place, right, len(x)):
                return
            if i and index < 2:
                added = "is added to that of the batch before, but should replace it"
                mistakes += [(STALE, first), (added, first + right)]
            compare(f"the {name} gradient", got, right, mistakes, place)
            first = right

    def division(self, index, got, place, right, n):
        """Return whether a gradient is right as it is divided by N here and not in the loss."""
        grads = self.found["Linear"][0]["grads"][0]
        rights = [self.x[0].T @ self.dout[0], self.dout[0].sum(axis=0)]
        averaged = [same(g, r / 5) for g, r in zip(grads, rights, strict=True)]
        of, what = self.loss_gradient(), f"the {('weight', 'bias')[index]} gradient"
        if of is None and all(averaged):
            told = "right only if CrossEntropy.backward does not divide by N, as the lecture's does"
            raise Fault(f"{what} is averaged over the batch: {told}", place, status="not judged")
        if of and of[1] == "sum" and averaged[1 - index] and same(got, right):
            told = "is summed over the batch, but the other is averaged"
            told += ", and CrossEntropy.backward does not divide by N"
            raise Fault(f"{what} {told}", place, values_text(got, right / n))
        return bool(of) and of[1] == "sum" and same(got, right / n)

    def loss_gradient(self):
        """Return of what CrossEntropy.backward is the gradient, and of which loss, or None."""
        got = self.found["CrossEntropy"][0].get("gradient", [])
        pairs = list(zip(self.p, self.y, strict=True))
        for what, rights in {
            "logits": [p - y for p, y in pairs],
            "probabilities": [-y / p for p, y in pairs],
            "logits, softmax inside": [softmax(p) - y for p, y in pairs],
        }.items():
            kinds = {factor(g, r / len(r), len(r)) for g, r in zip(got, rights, strict=False)}
            if len(kinds) == 1 and None not in kinds:
                return what, kinds.pop()
        return None

    def relu_backward(self):
        dx, place = self.got("ReLU", "dx"), self.place("modules", "ReLU", "backward")
        for i, (z, dout) in enumerate(zip(self.z, self.dout, strict=True)):
            right, mistakes = FORMULAS["ReLU.backward"][1](z, dout)
            try:
                compare("ReLU.backward", dx[i], right, mistakes, place)
            except Fault as fault:
                if "x" in self.found["ReLU"][0]["changed"]:
                    fault.text += (
                        ", as ReLU.forward changes its argument, and so the mask, in place"
                    )
                raise

    @np.errstate(all="ignore")
    def softmax_forward(self):
        self.forward("SoftMax", self.z)
        got, raised = self.found["far logits"]
        if not got.get("out"):
            self.stopped(raised)
        out = got["out"][0]
        place = self.place("modules", "SoftMax", "forward|__call__", r"^\w+$")
        right, mistakes = softmax_shifts(self.extreme)
        for told, value in mistakes if not same(out, right) and is_array(out) else ():
            if np.allclose(out, value, 1e-3, equal_nan=True):
                numbers = f"yours for logits of 1000 and -1000: {np.round(out, 3).tolist()}"
                raise Fault(f"SoftMax.forward {told}", place, numbers)
        compare("SoftMax.forward at logits of 1000 and -1000", out, right, (), place)

    def softmax_backward(self):
        got, raised = self.found["SoftMax"]
        if self.path == "softmax":
            return
        dx = got.get("dx", [])
        if self.path and not raised and (not dx or dx[0] is None):
            self.note("SoftMax has no backward, as nothing calls it")
            return
        dx, place = self.got("SoftMax", "dx"), self.place("modules", "SoftMax", "backward")
        if not dx:
            self.needs("SoftMax.forward")
            raise Fault("SoftMax has no backward", place, status="to do")
        if self.passes_through():
            self.note("SoftMax.backward passes the gradient through, the loss accounts for it")
            return
        first = None
        for i, (z, dout) in enumerate(zip(self.z, self.dout, strict=True)):
            p = got["out"][i] if np.shape(got["out"][i]) == z.shape else softmax(z)
            right, mistakes = softmax_backward(p, dout)
            if i:
                stale = softmax_backward(first, dout[: len(first)])[0]
                mistakes.append((STALE, stale))
            compare("SoftMax.backward", dx[i], right, mistakes, place)
            first = p

    def passes_through(self):
        dx = self.found["SoftMax"][0].get("dx", [])
        return bool(dx) and all(same(d, dout) for d, dout in zip(dx, self.dout, strict=False))

    def loss_forward(self):
        losses, place = (
            self.got("CrossEntropy", "loss", 1),
            self.place("modules", "CrossEntropy", "forward|__call__"),
        )
        if self.path == "logits":
            p = self.found["MLP"][0].get("p")
            if p and same(p[0], self.p[0]):
                raise Fault(
                    "CrossEntropy.forward takes the softmax of what are probabilities already",
                    place,
                )
            self.note("CrossEntropy is given logits, and takes their softmax itself")
            return
        of = self.loss_gradient()
        is_sum = self.loss_kind == "sum" and bool(
            self.kinds.get(self.path) != "mean" if self.path else of and of[1] == "sum"
        )
        one_by_one = "layers take one sample at a time" in self.submission.read_as
        is_sum |= self.loss_kind == "sum" and (one_by_one or self.is_loss_divided())
        for loss, p, y in zip(losses, self.p, self.y, strict=False) if not is_sum else ():
            if is_array(loss) and np.size(loss) > 1:
                told = f"the loss is an array of shape {np.shape(loss)}, but should be one number"
                raise Fault(f"{told}: the mean over the rows", place)
            right, mistakes = FORMULAS["CrossEntropy.forward"][1](p, y)
            compare("the loss", loss, right, mistakes, place)
        if is_sum:
            self.note("the loss is summed over the batch")
        changed = [k for k in self.found["CrossEntropy"][0]["changed"] if k.startswith("forward")]
        if changed:
            raise Fault(
                f"CrossEntropy.forward changes its argument in place: the {changed[0].split()[1]}",
                place,
            )
        got, raised = self.found["extreme p"]
        if len(got.get("loss", [])) < 3:
            self.stopped(raised)
        zero, perfect, usual = (float(np.ravel(loss)[0]) for loss in got["loss"])
        if not (np.isfinite(zero) and np.isfinite(perfect)):
            told = "clip the probabilities before the logarithm"
            raise Fault(f"the loss at a probability of 0 is not finite: {told}", place)
        if zero < 12 * usual:
            raise Fault(
                f"the loss at a probability of 0 is {zero:.3g}: clipped too far, 1e-15 will do",
                place,
            )
        if abs(perfect) > 1e-2:
            raise Fault(
                f"the loss of a perfect prediction is {perfect:.3g}, but should be 0", place
            )

    def loss_backward(self):
        gradient, place = (
            self.got("CrossEntropy", "gradient"),
            self.place("modules", "CrossEntropy", "backward"),
        )
        changed = [k for k in self.found["CrossEntropy"][0]["changed"] if k.startswith("backward")]
        if changed:
            place = self.place("modules", "CrossEntropy", "backward", r"^\w+(\[.*\])?$")
            told = f"the {changed[0].split()[1]} that it was given"
            raise Fault(f"CrossEntropy.backward changes its argument in place: {told}", place)
        of, kind = self.loss_gradient(), self.kinds.get(self.path)
        if kind == "mean" or (kind == "sum" and self.loss_kind != "mean"):
            return
        if self.kinds["MLP"] == "mean" or self.steps_are_right():
            self.note("the division by N is behind the layers, in the MLP or the trainer")
            return
        if of and of[0] == "probabilities":
            if self.passes_through():
                told = (
                    "SoftMax.backward passes it through: the derivative of the softmax is missing"
                )
                raise Fault(
                    f"CrossEntropy.backward is the gradient of probabilities, -y / p, and {told}",
                    place,
                )
            if of[1] == "mean":
                return
        if of == ("logits", "sum") and not kind:
            grads = self.found["Linear"][0].get("grads", [])
            rights = [self.x[0].T @ self.dout[0] / 5, self.dout[0].mean(axis=0)]
            if grads and any(same(g, r) for g, r in zip(grads[0], rights, strict=True)):
                return
        first = None
        lengths = [np.linalg.norm(g) if is_array(g) else 0 for g in gradient]
        rights = [np.linalg.norm(p - y) for p, y in zip(self.p, self.y, strict=True)]
        factors = [right / (n or np.nan) for right, n in zip(rights, lengths, strict=True)]
        for got, p, y in zip(gradient, self.p, self.y, strict=True):
            right, mistakes = FORMULAS["CrossEntropy.backward"][1](p, y)
            if same(factors[0], factors[1]):
                mistakes.append(
                    (
                        f"is divided by {factors[0]:.4g} for any batch, not by N",
                        right * len(y) / factors[0],
                    )
                )
            if first is not None:
                mistakes.append((STALE, first))
            compare("CrossEntropy.backward", got, right, mistakes, place)
            first = right

    def together(self):
        if self.path or self.adds:
            self.needs(*GRADIENTS, "CrossEntropy.backward")
            return
        self.needs(*LAYERS)
        got, raised = self.found["skip"]
        self.stopped(raised)
        self.compare_gradients("of the layers together", got["grads"], "modules")

    def compare_gradients(self, where, grads, role, place=""):
        """Raise what is wrong with the gradients of a network, from its end to its beginning."""
        for g, x, y in zip(grads, self.x, self.y, strict=True):
            right, mistakes = mlp_gradients(self.parameters, x, y)
            for i in (1, 0):
                for k, name in enumerate(("weight", "bias")):
                    values = [(words, value[i][k]) for words, value in mistakes]
                    what = f"the {name} gradient of layer {i + 1} of 2 {where}"
                    compare(what, g[i][k], right[i][k], values, place)
        raise Fault(f"the gradients {where} are right for one batch, but not for another", place)

    def network(self):
        """Add the rows of mlp_numpy.py."""
        if self.kinds["MLP"] is None and self.kinds["MLP, softmax"] and self.steps_are_right():
            self.found["MLP"], self.kinds["MLP"] = (
                self.found["MLP, softmax"],
                self.kinds["MLP, softmax"],
            )
            self.note("the softmax is outside the MLP")
        self.check("network", "MLP.__init__", self.mlp_init)
        self.check("network", "MLP.forward", self.mlp_forward)
        self.check("network", "MLP.backward", self.mlp_backward)
        if "update" in self.found["MLP"][0] or self.locate("mlp_numpy", "MLP", "update"):
            self.check("network", "MLP.update", self.mlp_update)
        elif self.found["MLP"][1] is None:
            self.note("the trainer takes the step, not the MLP")

    def mlp_init(self):
        place, names = self.place("mlp_numpy", "MLP", "__init__"), ["MLP", "deep"]
        if "n_hidden is a number: there is one hidden layer" in self.submission.read_as:
            names = ["MLP"]
        for name, parameters in zip(names, (self.parameters, self.deep), strict=False):
            got, raised = self.found[name]
            hidden, right = [6] * (len(parameters) - 1), [weight.shape for weight, _ in parameters]
            if "shapes" not in got:
                if raised and "role" not in raised:
                    self.needs("Linear.__init__", *LAYERS)
                self.stopped(raised)
            shapes = [tuple(shape) for shape in got["shapes"]]
            if not shapes:
                raise Fault("the MLP uses no Linear of modules.py", place, status="not judged")
            if shapes != right:
                told = f"has weights of {shapes}, but should have {right}"
                raise Fault(
                    f"an MLP of 3 inputs, {hidden} hidden units and 4 classes {told}", place
                )

    def mlp_forward(self):
        got, raised = self.found["MLP"]
        self.needs("MLP.__init__")
        if not got.get("p"):
            self.needs(*LAYERS)
            self.stopped(raised)
        place = self.place("mlp_numpy", "MLP", "forward|__call__")
        outside = "the softmax is outside the MLP" in self.submission.read_as
        for p, x, chained in zip(
            got["p"], self.x, self.found["skip"][0].get("p", [None] * 2), strict=False
        ):
            right, mistakes = FORMULAS["MLP.forward"][1](self.parameters, x)
            if (self.path == "logits" or outside) and same(p, mistakes[0][1]):
                continue
            if chained is not None and is_array(p) and same(p, chained) and not same(p, right):
                self.needs(*LAYERS)
            compare("MLP.forward", p, right, mistakes, place)
        if "x" in got["changed"]:
            raise Fault("MLP.forward changes its argument in place: the data", place)
        deep, right = self.found["deep"][0].get("p", []), softmax(logits(self.deep, self.x[0]))
        is_usual = self.path != "logits" and not outside and not {*LAYERS} & {*self.causes}
        if deep and is_usual and self.kinds["MLP"]:
            compare("MLP.forward with three hidden layers", deep[0], right, (), place)

    def mlp_backward(self):
        got, raised = self.found["MLP"]
        grads, place, kind = (
            got.get("grads", []),
            self.place("mlp_numpy", "MLP", "backward"),
            self.kinds["MLP"],
        )
        if len(grads) < 2:
            self.needs("MLP.forward", *LAYERS)
            if raised and "order" in got and got["order"][:1] != [1]:
                told = "MLP.backward does not begin at the last Linear layer, where it should"
                raise Fault(f"{told}, and raises {raised['type']}", place)
            self.stopped(raised)
        if kind == "mean" or (kind == "sum" and self.kinds.get(self.path) == "sum"):
            if kind == "sum":
                self.needs("CrossEntropy.backward")
            deep, raised = self.found["deep"]
            rights = [gradients(self.deep, *batch) for batch in zip(self.x, self.y, strict=True)]
            outside = "the softmax is outside the MLP" in self.submission.read_as
            if (
                len(deep.get("shapes", [])) == 4
                and "MLP.forward" not in self.causes
                and not outside
            ):
                self.stopped(raised)
                if any(
                    factor(g, r, n) != kind
                    for g, r, n in zip(deep["grads"], rights, (5, 7), strict=True)
                ):
                    raise Fault("the gradients of an MLP with three hidden layers are wrong", place)
            return
        if kind == "adds":
            self.needs(*GRADIENTS)
            if not self.steps_are_right():
                raise Fault(ADDS, place)
            return
        for path in PATHS:
            chained = flat(self.found[path][0].get("grads", []))
            if (
                chained is not None
                and len(chained)
                and flat(grads) is not None
                and same(flat(grads), flat(chained.tolist()))
            ):
                if (
                    path == "softmax"
                    and self.loss_gradient()
                    and self.loss_gradient()[0] == "logits"
                    and not self.passes_through()
                ):
                    told = "passes the derivative of the softmax twice: the loss's holds it already"
                    raise Fault(f"MLP.backward {told}", place)
                self.needs(*LAYERS)
                if path == "skip":
                    told = "leaves out SoftMax.backward, which the loss's gradient does not hold"
                    raise Fault(f"MLP.backward {told}", place)
        self.needs("MLP.forward")
        missing = [i + 1 for i, g in enumerate(grads[0]) if flat(g) is None]
        if missing:
            self.needs(*GRADIENTS)
            raise Fault(f"MLP.backward sets no gradient of layer {missing[0]}", place)
        try:
            self.compare_gradients("in the MLP", grads, "mlp_numpy", place)
        except Fault:
            self.needs(*LAYERS)
            raise

    def mlp_update(self):
        got, raised = self.found["MLP"]
        if len(got.get("updated", [])) < 3:
            self.needs("MLP.forward", "MLP.backward")
            self.stopped(raised)
        name, states, g = (
            got["update"],
            [flat(s) for s in got["updated"]],
            flat(got["update_grads"]),
        )
        what, place = f"MLP.{name}", self.place("mlp_numpy", "MLP", name, r"(?i)param|w|b")
        if name != "update":
            self.note(f"{what} is MLP.update")
        if g is None or len({len(state) for state in states} | {len(g)}) > 1:
            self.needs(*GRADIENTS, "MLP.backward")
            raise Fault(
                f"{what} has no gradients of the parameters' shapes to update with",
                place,
                status="not judged",
            )
        step, again = states[1] - states[0], states[2] - states[1]
        end, still = 0, []
        for i, pair in enumerate(got["updated"][0], 1):
            for kind, array in zip(("weight", "bias"), pair, strict=True):
                of = slice(end, end := end + np.size(array))
                still += [f"the {kind} of layer {i}"] * (not step[of].any() and bool(g[of].any()))
        if 0 < len(still) < 2 * len(got["updated"][0]):
            raise Fault(f"{what} does not update {', '.join(still)}", place)
        right, mistakes = FORMULAS["MLP.update"][1](states[0], g, RATE)
        times = float(step @ right / (right @ right or 1))
        mistakes.append((f"is {times:.3g} times learning_rate * gradient", times * right))
        compare(f"{what}: the step", step, right, mistakes, place)
        if not same(again, right):
            times = float(again @ right / (right @ right))
            raise Fault(
                f"a second {what} takes {times:.3g} times the first step: is there a momentum?",
                place,
            )
