"""Part II: the layers, each by itself and all together, and the network.

The gradients of all layers together decide. Where they are right, a factor N that one layer has
and another lacks is a convention. Where they are not, each layer's own formula tells the cause.
"""

import math
from itertools import pairwise

import numpy as np

from grading import lecture
from grading.bench import Bench, Fault, compare, flat, is_array, same, still, values_text
from grading.lecture import gradients, logits, softmax
from grading.probe_roles import RATE

N_ROWS = (5, 7)  # of the two batches
PATHS = ("skip", "softmax", "logits")  # see Chain in probe.py
GRADIENTS = [f"Linear.backward: {what}" for what in ("weight", "bias", "input")]
LAYERS = ["Linear.forward", *GRADIENTS, "ReLU.forward", "ReLU.backward", "SoftMax.forward",
          "SoftMax.backward", "CrossEntropy.forward", "CrossEntropy.backward"]  # fmt: skip
STALE = "belongs to the batch before: what forward keeps is stale"
ADDED = "is added to that of the batch before, but should replace it"
ADDS = "gradients add up from one backward to the next, and nobody sets them to zero"
ARGUMENT = r"^\w+(\[.*\])?$"  # what a line assigns to that changes an argument


def kind(got, expected, n):
    """Return whether values are the `mean` over n rows, as expected, or the `sum`, or None."""
    if same(flat(got), flat(expected)):
        return "mean"
    return "sum" if same(flat(got), n * flat(expected)) else None


def kind_of_both(got, expected):
    """Return the kind of the values of both batches, or None where it is not one."""
    kinds = {kind(g, e, n) for g, e, n in zip(got, expected, N_ROWS, strict=False)}
    return kinds.pop() if len(kinds) == 1 else None


def compare_both(what, got, formula, batches, *mistakes):
    """Compare values with a formula's for each batch; more mistakes have a value for each, too."""
    before = None
    for i, (value, batch) in enumerate(zip(got, batches, strict=False)):
        right, known = formula(*batch)
        known += [(words, values[i]) for words, values in mistakes]
        if before is not None:
            known.append((STALE, before))
            if before.shape == right.shape:
                known.append((ADDED, before + right))
        compare(what, value, right, known)
        before = np.asarray(right)


class LayerChecks(Bench):
    """The checks of modules.py and mlp_numpy.py."""

    def ask_layers(self):
        """Ask about all layers and the network, as one may answer for another."""
        rng = np.random.default_rng(0)
        self.parameters, self.deep = (
            [[rng.normal(0, 0.4, s), rng.normal(0, 0.4, s[1])] for s in pairwise(sizes)]
            for sizes in ((3, 6, 4), (3, 6, 6, 6, 4))
        )
        self.x = [rng.normal(size=(n, 3)) for n in N_ROWS]
        self.y = [np.eye(4)[rng.permutation(np.arange(n) % 4)] for n in N_ROWS]
        self.p = [softmax(logits(self.parameters, x)) for x in self.x]
        self.linear = [rng.normal(size=(3, 4)), rng.normal(size=4)]
        self.z, self.dout = ([rng.normal(size=(n, 4)) for n in N_ROWS] for _ in "zd")
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
        self.find_conventions()

    def find_conventions(self):
        """Find out what is the mean over a batch and what the sum, and where gradients add up."""
        self.batches = list(zip(self.x, self.y, strict=True))
        self.right = [gradients(self.parameters, *batch) for batch in self.batches]
        self.kinds = {path: self.kind_of(path) for path in (*PATHS, "MLP", "MLP, softmax")}
        self.path = next((path for path in PATHS if self.kinds[path] in ("mean", "sum")), None)
        self.adds = any(self.kinds[path] == "adds" for path in PATHS)
        loss, pairs = self.found["CrossEntropy"][0], list(zip(self.p, self.y, strict=True))
        means = [-np.log(p[y == 1]).mean() for p, y in pairs]
        self.loss_kind = kind_of_both(loss.get("loss", []), means)
        self.gradient_of = self.gradient_kind = None  # of what CrossEntropy.backward's is
        for of, rights in {
            "logits": [(p - y) / len(y) for p, y in pairs],
            "probabilities": [-y / p / len(y) for p, y in pairs],
            "logits, softmax inside": [(softmax(p) - y) / len(y) for p, y in pairs],
        }.items():
            if not self.gradient_of and (known := kind_of_both(loss.get("gradient", []), rights)):
                self.gradient_of, self.gradient_kind = of, known
        linear = self.found["Linear"][0].get("grads") or [()]
        x, dout = self.x[0], self.dout[0]
        rights = x.T @ dout / len(x), dout.mean(axis=0)
        self.averaged = [same(g, right) for g, right in zip(linear[0], rights, strict=False)]

    def kind_of(self, name):
        """Return the kind of a network's gradients, or `adds` where the second batch's add up."""
        grads = self.found[name][0].get("grads", [])
        if len(grads) < 2:
            return None
        first, second = map(kind, grads, self.right, N_ROWS)
        one, two = flat(grads[0]), flat(grads[1])
        if first and not second and two is not None and len(one) == len(two):
            return "adds" if kind(two - one, self.right[1], N_ROWS[1]) == first else None
        return first if first == second else None

    def layers(self):
        """Add the rows of modules.py."""
        x, z = [(x, *self.linear) for x in self.x], [(z,) for z in self.z]
        self.check("layers", "Linear.__init__", self.initial)
        self.check("layers", "Linear.forward", self.forward, "Linear", lecture.linear_forward, x)
        for i, name in enumerate(GRADIENTS):
            self.check("layers", name, self.linear_backward, i)
        self.check("layers", "ReLU.forward", self.forward, "ReLU", lecture.relu_forward, z)
        self.check("layers", "ReLU.backward", self.relu_backward)
        self.check("layers", "SoftMax.forward", self.softmax_forward, z)
        self.check("layers", "SoftMax.backward", self.softmax_backward)
        self.check("layers", "CrossEntropy.forward", self.loss_forward)
        self.check("layers", "CrossEntropy.backward", self.loss_backward)
        self.check("layers", "layers together", self.together)

    def got(self, name, key, n=2, what=""):
        """Return what the submission gave for both batches, or raise why it gave nothing."""
        got, raised = self.found[name]
        if len(got.get(key, [])) < n:
            self.needs(f"{name}.forward")
            if what and raised and raised["type"] == "ValueError":
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
        stale = (STALE, [x[0].T @ d for d in dout])
        for name, *compared in self.linear_gradients(got, x, dout, weight):
            try:
                compare_both(*compared, *[stale] * (name == "weight"))
            except Fault:
                if name != what:
                    told = f"because of Linear.backward: {name}"
                    raise Fault(told, place="", status="not judged") from None
                raise

    @staticmethod
    def linear_gradients(got, x, dout, weight):
        """Return name, words, values, formula and its inputs for each gradient of a Linear."""
        pairs = list(zip(x, dout, strict=True))
        weights, biases = zip(*got["grads"], strict=True)
        return [
            ("weight", "the weight gradient", weights, lecture.weight_gradient, pairs),
            ("bias", "the bias gradient", biases, lecture.bias_gradient, [(d,) for d in dout]),
            ("input", "the input gradient", got["dx"], lecture.input_gradient,
             [(*pair, weight) for pair in pairs]),
        ]  # fmt: skip

    def initial(self):
        got, raised = self.found["initial"]
        self.stopped(raised)
        weight, bias = got["layers"][0]
        n, mean, std = len(weight), weight.mean(), weight.std()
        if len(np.unique(weight, axis=1).T) < weight.shape[1]:
            raise Fault("the initial weights of some units are all the same: so they stay alike")
        if abs(mean) > 0.2 * std:
            raise Fault(f"the initial weights are around {mean:.2g}, but should be around 0")
        if std < 1e-6:
            raise Fault(f"the initial weights are about {std:.0e}: too small to learn from")
        if std > 1.5:
            is_he = same(std, math.sqrt(n / 2), 0.1)
            remedy = "multiply by He's factor, do not divide by it" if is_he else "for example 0.1"
            told = f"have a standard deviation of {std:.2g} for {n} inputs: {remedy}"
            raise Fault(f"the initial weights {told}")
        if np.abs(bias).mean() > 0.2:
            place = self.place("Linear.__init__", r"(?i)b(ias(es)?)?('\])?$")
            told = f"the initial bias is around {bias.mean():.2g}, but should be 0"
            raise Fault(told, place=place)
        if not 0.08 < std < 0.12:
            self.note(f"initial weights have a standard deviation of {std:.2g} for {n} inputs")
        of_mlp = self.found["initial MLP"][0].get("layers", [])[1:3]
        one, other = of_mlp if len(of_mlp) == 2 else got["layers"]
        if one[0].shape == other[0].shape and same(one[0], other[0]):
            told = "layers of one size start with the same weights"
            raise Fault(f"{told}: is the generator seeded anew in each?")

    def forward(self, name, formula, inputs):
        """Judge the output of a layer for both batches."""
        compare_both(f"{name}.forward", self.got(name, "out", 1), formula, inputs)
        changed = self.found[name][0]["changed"]
        if name == "Linear" and "x" in changed:
            told = "Linear.forward changes its argument in place; the caller still needs it"
            raise Fault(told, place=self.place("Linear.forward", ARGUMENT))
        if {"x", "dout"} & {*changed}:
            self.note(f"{name} works in place: it overwrites its argument")

    def linear_backward(self, index):
        """Judge the gradient of the weight, of the bias, or of the input."""
        name = ("weight", "bias", "input")[index]
        for key in ("grads", "dx"):
            self.got("Linear", key, what=name)
        got = self.found["Linear"][0]
        if name in got["changed"]:
            raise Fault(f"Linear changes its {name} in a pass; only the update may do so")
        if self.adds and index < 2:
            is_zeroed = self.kinds["MLP"] in ("mean", "sum") or self.steps_are_right()
            if name == "weight" and not is_zeroed:
                raise Fault(ADDS)
            self.note("gradients add up until they are set to zero")
        elif not self.path and not (index < 2 and self.is_averaged(index, name)):
            compared = self.linear_gradients(got, self.x, self.dout, self.linear[0])
            compare_both(*compared[index][1:])

    def is_averaged(self, index, name):
        """Return whether a gradient is divided by N here, and rightly, as the loss's is not."""
        if not self.gradient_of and all(self.averaged):
            told = "right only if CrossEntropy.backward does not divide by N, as the lecture's does"
            told = f"the {name} gradient is averaged over the batch: {told}"
            raise Fault(told, status="not judged")
        if self.gradient_kind != "sum":
            return False
        if self.averaged[1 - index]:
            got, x, dout = self.found["Linear"][0]["grads"][0][index], self.x[0], self.dout[0]
            right = (x.T @ dout, dout.sum(axis=0))[index]
            if same(got, right):
                told = "is summed over the batch, but the other is averaged"
                told += ", and CrossEntropy.backward does not divide by N"
                raise Fault(f"the {name} gradient {told}", values_text(got, right / len(x)))
        return self.averaged[index]

    def relu_backward(self):
        dx, batches = self.got("ReLU", "dx"), zip(self.z, self.dout, strict=True)
        try:
            compare_both("ReLU.backward", dx, lecture.relu_backward, batches)
        except Fault as fault:
            if "x" in self.found["ReLU"][0]["changed"]:
                fault.text += ", as ReLU.forward changes its argument, and so the mask, in place"
            raise

    @np.errstate(all="ignore")
    def softmax_forward(self, z):
        self.forward("SoftMax", lecture.softmax_forward, z)
        got, raised = self.found["far logits"]
        if not got.get("out"):
            self.stopped(raised)
        out = got["out"][0]
        right, mistakes = lecture.softmax_shifts(self.extreme)
        for told, value in mistakes if is_array(out) and not same(out, right) else ():
            if np.allclose(out, value, 1e-3, equal_nan=True):
                numbers = f"yours for logits of 1000 and -1000: {np.round(out, 3).tolist()}"
                place = self.place("SoftMax.forward", r"^\w+$")
                raise Fault(f"SoftMax.forward {told}", numbers, place=place)
        compare("SoftMax.forward at logits of 1000 and -1000", out, right)

    def softmax_backward(self):
        got, raised = self.found["SoftMax"]
        if self.path == "softmax":
            return
        dx = got.get("dx", [])
        if self.path and not raised and (not dx or dx[0] is None):
            self.note("SoftMax has no backward, as nothing calls it")
            return
        dx = self.got("SoftMax", "dx")
        if not dx:
            self.needs("SoftMax.forward")
            raise Fault("SoftMax has no backward", status="to do")
        if self.passes_through():
            self.note("SoftMax.backward passes the gradient through, the loss accounts for it")
            return
        outs = zip(got["out"], self.z, self.dout, strict=True)
        batches = [(out if np.shape(out) == z.shape else softmax(z), d) for out, z, d in outs]
        compare_both("SoftMax.backward", dx, lecture.softmax_backward, batches)

    def passes_through(self):
        dx = self.found["SoftMax"][0].get("dx", [])
        return bool(dx) and all(same(d, dout) for d, dout in zip(dx, self.dout, strict=False))

    def loss_forward(self):
        losses = self.got("CrossEntropy", "loss", 1)
        if self.path == "logits":
            p = self.found["MLP"][0].get("p")
            if p and same(p[0], self.p[0]):
                told = "takes the softmax of what are probabilities already"
                raise Fault(f"CrossEntropy.forward {told}")
            self.note("CrossEntropy is given logits, and takes their softmax itself")
            return
        if self.loss_kind == "sum" and self.may_be_summed():
            self.note("the loss is summed over the batch")
        else:
            for loss in losses:
                if is_array(loss) and np.size(loss) > 1:
                    told = f"an array of shape {np.shape(loss)}, but should be one number"
                    raise Fault(f"the loss is {told}: the mean over the rows")
            batches = zip(self.p, self.y, strict=True)
            compare_both("the loss", losses, lecture.cross_entropy, batches)
        self.argument_stays("forward")
        got, raised = self.found["extreme p"]
        if len(got.get("loss", [])) < 3:
            self.stopped(raised)
        zero, perfect, usual = (float(np.ravel(loss)[0]) for loss in got["loss"])
        at_0 = "the loss at a probability of 0 is"
        if not (np.isfinite(zero) and np.isfinite(perfect)):
            raise Fault(f"{at_0} not finite: clip the probabilities before the logarithm")
        if zero < 12 * usual:
            raise Fault(f"{at_0} {zero:.3g}: clipped too far, 1e-15 will do")
        if abs(perfect) > 1e-2:
            raise Fault(f"the loss of a perfect prediction is {perfect:.3g}, but should be 0")

    def may_be_summed(self):
        """Return whether a summed loss is a convention: its gradient is, too, or others divide."""
        grads_kind = self.kinds[self.path] if self.path else self.gradient_kind
        one_by_one = "layers take one sample at a time" in self.submission.read_as
        return grads_kind == "sum" or one_by_one or self.is_loss_divided()

    def argument_stays(self, method):
        """Raise a Fault if a method of CrossEntropy changes what it is given."""
        for changed in self.found["CrossEntropy"][0]["changed"]:
            if changed.startswith(method):
                name = f"CrossEntropy.{method}"
                told = f"changes its argument in place: the {changed.split()[1]}"
                raise Fault(f"{name} {told}", place=self.place(name, ARGUMENT))

    def loss_backward(self):
        gradient = self.got("CrossEntropy", "gradient")
        self.argument_stays("backward")
        network = self.kinds.get(self.path)
        if network == "mean" or (network == "sum" and self.loss_kind != "mean"):
            return
        if self.kinds["MLP"] == "mean" or self.steps_are_right():
            self.note("the division by N is behind the layers, in the MLP or the trainer")
            return
        if self.gradient_of == "probabilities":
            if self.passes_through():
                told = (
                    "CrossEntropy.backward is the gradient of probabilities, -y / p, and SoftMax."
                )
                told += "backward passes it through: the derivative of the softmax is missing"
                raise Fault(told)
            if self.gradient_kind == "mean":
                return
        is_sum = (self.gradient_of, self.gradient_kind) == ("logits", "sum")
        if is_sum and not network and any(self.averaged):
            return  # Linear divides by N
        pairs, mistakes = list(zip(self.p, self.y, strict=True)), []
        if all(map(is_array, gradient)):
            norms = [np.linalg.norm(g) or np.nan for g in gradient]
            divisors = [np.linalg.norm(p - y) / n for (p, y), n in zip(pairs, norms, strict=True)]
            if same(divisors[0], divisors[1]):
                words = f"is divided by {divisors[0]:.4g} for any batch, not by N"
                mistakes = [(words, [(p - y) / divisors[0] for p, y in pairs])]
        compare_both("CrossEntropy.backward", gradient, lecture.cross_entropy_gradient, pairs,
                     *mistakes)  # fmt: skip

    def together(self):
        if self.path or self.adds:
            self.needs(*GRADIENTS, "CrossEntropy.backward")
            return
        self.needs(*LAYERS)
        got, raised = self.found["skip"]
        self.stopped(raised)
        self.compare_gradients("of the layers together", got["grads"])

    def compare_gradients(self, where, grads):
        """Raise what is wrong with the gradients of a network, from its end to its beginning."""
        for g, batch in zip(grads, self.batches, strict=True):
            right, mistakes = lecture.mlp_gradients(self.parameters, *batch)
            for i in (1, 0):
                for k, name in enumerate(("weight", "bias")):
                    values = [(words, value[i][k]) for words, value in mistakes]
                    what = f"the {name} gradient of layer {i + 1} of 2 {where}"
                    compare(what, g[i][k], right[i][k], values)
        raise Fault(f"the gradients {where} are right for one batch, but not for another")

    def network(self):
        """Add the rows of mlp_numpy.py."""
        is_mended = self.kinds["MLP"] is None and self.kinds["MLP, softmax"]  # by a softmax
        self.is_outside = is_mended and self.steps_are_right()
        if self.is_outside:
            for of in (self.found, self.kinds):
                of["MLP"] = of["MLP, softmax"]
            self.note("the softmax is outside the MLP")
        self.check("network", "MLP.__init__", self.mlp_init)
        self.check("network", "MLP.forward", self.mlp_forward)
        self.check("network", "MLP.backward", self.mlp_backward)
        node = self.locate("MLP.update")[1]
        if "update" in self.found["MLP"][0] or (node and node.name == "update"):
            self.check("network", "MLP.update", self.mlp_update)
        elif self.found["MLP"][1] is None:
            self.note("the trainer takes the step, not the MLP")

    def mlp_init(self):
        one_layer = "n_hidden is a number: there is one hidden layer" in self.submission.read_as
        networks = {"MLP": self.parameters} | ({} if one_layer else {"deep": self.deep})
        for name, parameters in networks.items():
            got, raised = self.found[name]
            if "shapes" not in got:
                if raised and "role" not in raised:
                    self.needs("Linear.__init__", *LAYERS)
                self.stopped(raised)
            hidden, right = [6] * (len(parameters) - 1), [weight.shape for weight, _ in parameters]
            shapes = [tuple(shape) for shape in got["shapes"]]
            if not shapes:
                raise Fault("the MLP uses no Linear of modules.py", status="not judged")
            if shapes != right:
                told = f"has weights of {shapes}, but should have {right}"
                raise Fault(f"an MLP of 3 inputs, {hidden} hidden units and 4 classes {told}")

    def mlp_forward(self):
        got, raised = self.found["MLP"]
        self.needs("MLP.__init__")
        if not got.get("p"):
            self.needs(*LAYERS)
            self.stopped(raised)
        gives_logits = self.path == "logits" or self.is_outside
        chained = self.found["skip"][0].get("p", [None] * 2)
        for p, x, of_layers in zip(got["p"], self.x, chained, strict=False):
            right, mistakes = lecture.mlp_forward(self.parameters, x)
            if gives_logits and same(p, logits(self.parameters, x)):
                continue
            if of_layers is not None and same(p, of_layers) and not same(p, right):
                self.needs(*LAYERS)
            compare("MLP.forward", p, right, mistakes)
        if "x" in got["changed"]:
            raise Fault("MLP.forward changes its argument in place: the data")
        deep = self.found["deep"][0].get("p")
        if deep and not gives_logits and self.kinds["MLP"] and not {*LAYERS} & {*self.causes}:
            right = softmax(logits(self.deep, self.x[0]))
            compare("MLP.forward with three hidden layers", deep[0], right)

    def mlp_backward(self):
        got, raised = self.found["MLP"]
        grads, kind = got.get("grads", []), self.kinds["MLP"]
        if len(grads) < 2:
            self.needs("MLP.forward", *LAYERS)
            if raised and "order" in got and got["order"][:1] != [1]:
                told = "MLP.backward does not begin at the last Linear layer, where it should"
                raise Fault(f"{told}, and raises {raised['type']}")
            self.stopped(raised)
        if kind == "mean":
            self.deep_backward(kind)
        elif kind == "sum" == self.kinds.get(self.path):
            self.needs("CrossEntropy.backward")
            self.deep_backward(kind)
        elif kind == "adds":
            self.needs(*GRADIENTS)
            if not self.steps_are_right():
                raise Fault(ADDS)
        else:
            self.wrong_backward(grads)

    def deep_backward(self, kind):
        """Raise a Fault if the gradients of three hidden layers are not as those of one."""
        deep, raised = self.found["deep"]
        is_deep = len(deep.get("shapes", [])) == len(self.deep)
        if is_deep and not self.is_outside and "MLP.forward" not in self.causes:
            if len(deep.get("grads", [])) < 2:
                self.stopped(raised)
            rights = [gradients(self.deep, *batch) for batch in self.batches]
            if kind_of_both(deep["grads"], rights) != kind:
                raise Fault("the gradients of an MLP with three hidden layers are wrong")

    def wrong_backward(self, grads):
        """Raise what is wrong with the gradients of an MLP."""
        for path in PATHS:
            chained = flat(self.found[path][0].get("grads", []))
            if chained is None or not same(flat(grads), chained):
                continue
            if path == "softmax" and self.gradient_of == "logits" and not self.passes_through():
                told = "passes the derivative of the softmax twice: the loss's holds it already"
                raise Fault(f"MLP.backward {told}")
            self.needs(*LAYERS)
            if path == "skip":
                told = "leaves out SoftMax.backward, which the loss's gradient does not hold"
                raise Fault(f"MLP.backward {told}")
        self.needs("MLP.forward")
        for i, g in enumerate(grads[0], 1):
            if flat(g) is None:
                self.needs(*GRADIENTS)
                raise Fault(f"MLP.backward sets no gradient of layer {i}")
        try:
            self.compare_gradients("in the MLP", grads)
        except Fault:
            self.needs(*LAYERS)
            raise

    def mlp_update(self):
        got, raised = self.found["MLP"]
        if len(got.get("updated", [])) < 3:
            self.needs("MLP.forward", "MLP.backward")
            self.stopped(raised)
        name, g = f"MLP.{got['update']}", flat(got["update_grads"])
        start, once, twice = map(flat, got["updated"])
        if name != "MLP.update":
            self.note(f"{name} is MLP.update")
        if g is None or not len(start) == len(once) == len(twice) == len(g):
            self.needs(*GRADIENTS, "MLP.backward")
            told = f"{name} has no gradients of the parameters' shapes to update with"
            raise Fault(told, status="not judged")
        step, again = once - start, twice - once
        if left_out := still(got["updated"][0], step, g):
            raise Fault(f"{name} does not update {left_out}")
        right, mistakes = lecture.mlp_update(start, g, RATE)
        times = float(step @ right / (right @ right or 1))
        mistakes.append((f"is {times:.3g} times learning_rate * gradient", times * right))
        compare(f"{name}: the step", step, right, mistakes)
        if not same(again, right):
            times = float(again @ right / (right @ right))
            told = f"takes {times:.3g} times the first step: is there a momentum?"
            raise Fault(f"a second {name} {told}")
