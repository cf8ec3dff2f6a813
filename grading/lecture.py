"""The lecture's formulas, and what the known mistakes in each of them lead to.

FORMULAS has an entry for each check: the formula in words, and a function that returns what is
right for its inputs, and pairs of a mistake, in words, and the value that it gives instead.
Nothing here is taken from what is judged.
"""

import math
from itertools import permutations, product

import numpy as np

FORMULAS = {}


def softmax(z):
    powers = np.exp(z - z.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def logits(parameters, x, hidden=lambda z: np.maximum(z, 0)):
    """Return the logits of a network of these weights and biases, [[W, b], ...]."""
    for weight, bias in parameters[:-1]:
        x = hidden(x @ weight + bias)
    return x @ parameters[-1][0] + parameters[-1][1]


def gradients(parameters, x, y, change=lambda dz: dz, masks=True):
    """Return the gradient of the mean loss for each weight and bias, [[dW, db], ...]."""
    inputs, found = [x], []
    for weight, bias in parameters[:-1]:
        inputs.append(np.maximum(inputs[-1] @ weight + bias, 0))
    dout = change((softmax(logits(parameters, x)) - y) / len(x))
    for a, (weight, _) in reversed([*zip(inputs, parameters, strict=True)]):
        found.insert(0, [a.T @ dout, dout.sum(axis=0)])
        dout = (dout @ weight.T) * ((a > 0) | (not masks))
    return found


def check(name, formula):
    """Return a decorator that enters a function into FORMULAS."""

    def enter(function):
        FORMULAS[name] = formula, function
        return function

    return enter


@check("Linear.forward", "out = x @ W + b")
def linear_forward(x, weight, bias):
    out = x @ weight + bias
    return out, [
        ("forgets the bias", x @ weight),
        ("subtracts the bias, but should add it", x @ weight - bias),
        ("cuts off below zero, which is the ReLU's work", np.maximum(out, 0)),
    ]


@check("Linear.backward: weight", "dW = x.T @ dout")
def weight_gradient(x, dout):
    right = x.T @ dout
    return right, [
        ("is averaged over the batch, but should be summed", right / len(x)),
        ("is zero: backward does not set it", 0 * right),
        ("has the wrong sign", -right),
        ("is transposed: x.T @ dout, not dout.T @ x", right.T),
        ("is transposed and reshaped: x.T @ dout, not dout.T @ x", right.T.reshape(right.shape)),
        ("is that of the first row alone", np.outer(x[0], dout[0])),
        ("is that of the last row alone", np.outer(x[-1], dout[-1])),
        ("uses the magnitude of x", np.abs(x).T @ dout),
    ]


@check("Linear.backward: bias", "db = the sum of dout over the rows")
def bias_gradient(dout, bias):
    right = dout.sum(axis=0)
    return right, [
        ("is averaged over the batch, but should be summed", right / len(dout)),
        ("is zero: it is left out of the backward pass", 0 * right),
        ("has the wrong sign", -right),
        ("is summed over the outputs (axis 1), but should be over the batch", dout.sum(axis=1)),
        ("is not summed over the batch", dout),
        ("is that of the first row alone", dout[0]),
        ("is that of the last row alone", dout[-1]),
        ("is one number, the sum of everything: sum over axis 0 alone", dout.sum()),
        ("is the same for all outputs: sum over axis 0 alone", np.full_like(bias, dout.sum())),
        ("is one number, the mean of everything: sum over axis 0 alone", dout.mean()),
        ("is multiplied with the bias", right * bias),
        ("is all ones: dout is left out", np.ones_like(bias)),
    ]


@check("Linear.backward: input", "dx = dout @ W.T")
def input_gradient(x, dout, weight):
    right = dout @ weight.T
    return right, [
        ("uses the gradient of the weight, not the weight", dout @ (x.T @ dout).T),
        ("is averaged over the batch, but each row has its own", right / len(x)),
        ("has the wrong sign", -right),
        ("is transposed: it should be dout @ W.T", right.T),
        ("is multiplied with the input", right * x),
        ("is dout: the weight is left out", dout),
        ("is zero", 0 * right),
        *[("lacks the transpose: it should be dout @ W.T", dout @ weight)
          for _ in range(weight.shape[0] == weight.shape[1])],
    ]  # fmt: skip


@check("ReLU.forward", "out = max(0, x)")
def relu_forward(x):
    return np.maximum(x, 0), [
        ("is the absolute value", np.abs(x)),
        ("cuts off above zero, but should below", np.minimum(x, 0)),
        ("lets negative values pass", x),
        ("is 1 where x > 0, but should be x", x > 0),
        ("is a sigmoid", 1 / (1 + np.exp(-x))),
        ("is a tanh", np.tanh(x)),
        ("is that of a leaky ReLU", np.maximum(x, 0.01 * x)),
    ]


@check("ReLU.backward", "dx = dout where x > 0, else 0")
def relu_backward(x, dout):
    return dout * (x > 0), [
        ("is not masked: dout passes where the input was negative, too", dout),
        ("is masked the wrong way round", dout * (x <= 0)),
        ("is masked by the sign of dout, but should be by that of the input", dout * (dout > 0)),
        ("is the mask alone: dout is left out", x > 0),
        ("is multiplied with the input", dout * np.maximum(x, 0)),
        ("has the wrong sign", -dout * (x > 0)),
        ("is zero", 0 * dout),
    ]


@check("SoftMax.forward", "p_j = exp(x_j - m) / sum_k exp(x_k - m), m the row's maximum")
def softmax_forward(x):
    by_column = np.exp(x - x.max(axis=0))
    mistakes = [
        ("shifts by the maximum of each column, but should by each row's",
         by_column / by_column.sum(axis=1, keepdims=True)),
        ("takes exp(-x), but should exp(x)", softmax(-x)),
        ("is a sigmoid", 1 / (1 + np.exp(-x))),
        ("holds the logits, not probabilities", x),
    ]  # fmt: skip
    for e in np.exp(x), np.exp(x - x.max(axis=1, keepdims=True)), np.exp(x - x.max()):
        mistakes += [
            ("is normalised over the batch (axis 0), but should be in each row", e / e.sum(axis=0)),
            ("is normalised over the whole batch, not within each row", e / e.sum()),
            ("is not normalised: the rows do not sum to 1", e),
        ]
    return softmax(x), mistakes


def softmax_shifts(x):
    """Return the right softmax of extreme logits, and what it is with another shift."""
    mistakes = []
    for words, shift in (
        ("overflows at large logits: subtract each row's maximum first", 0),
        ("shifts by the maximum of the whole batch, but should by each row's: a row far below it "
         "becomes 0/0", x.max()),
        ("shifts by the mean, but should by each row's maximum", x.mean(axis=1, keepdims=True)),
    ):  # fmt: skip
        powers = np.exp(x - shift)
        mistakes.append((words, powers / powers.sum(axis=1, keepdims=True)))
    return softmax(x), mistakes


@check("SoftMax.backward", "dx = p * (dout - the sum of dout * p over the row)")
def softmax_backward(p, dout):
    right = p * (dout - (dout * p).sum(axis=1, keepdims=True))
    return right, [
        ("is the diagonal of the Jacobian alone, p (1 - p) dout", p * (1 - p) * dout),
        ("leaves out the sum: p dout, not p (dout - sum of p dout)", p * dout),
        ("sums over the batch, but should within each row", p * (dout - (dout * p).sum(axis=0))),
        ("forgets the factor p", dout - (dout * p).sum(axis=1, keepdims=True)),
        ("has the wrong sign", -right),
        ("has a plus for a minus", p * (dout + (dout * p).sum(axis=1, keepdims=True))),
    ]


@check("CrossEntropy.forward", "L = -(1/N) sum of y log p, with p at least 1e-15")
def cross_entropy(p, y):
    n, n_classes = y.shape
    right, others = -np.log(p[y == 1]).mean(), -np.log(1 - p[y == 0]).sum() / n
    return right, [
        ("is summed over the batch, but its gradient is averaged", n * right),
        ("is divided by the number of classes, too", right / n_classes),
        ("is divided by the number of classes, but should be by that of the rows",
         n * right / n_classes),
        ("has the wrong sign", -right),
        ("has the wrong sign, and is not averaged", -n * right),
        ("takes the logarithm to the base of 2", right / math.log(2)),
        ("takes the logarithm to the base of 10", right / math.log(10)),
        ("is divided by the size of the batch twice", right / n),
        ("leaves out the logarithm", -p[y == 1].mean()),
        ("is the mean square, not the cross-entropy", ((p - y) ** 2).mean()),
        ("is the square, not the cross-entropy", ((p - y) ** 2).sum() / n),
        ("is that of two classes: it adds (1 - y) log(1 - p)", right + others),
        ("is that of two classes: it adds (1 - y) log(1 - p)", (right + others) / n_classes),
        ("is that of the first row alone", -np.log(p[y == 1][0])),
    ]  # fmt: skip


@check("CrossEntropy.backward", "dz = (p - y) / N, z the logits")
def cross_entropy_gradient(p, y):
    right, of_p, (n, n_classes) = (p - y) / len(y), -y / p / len(y), y.shape
    return right, [
        ("is not divided by N, the size of the batch", n * right),
        ("is divided by N, the size of the batch, twice", right / n),
        ("is divided by the number of classes, but should be by that of the rows",
         n * right / n_classes),
        ("is divided by the number of classes, too", right / n_classes),
        ("has the wrong sign", -right),
        ("has the wrong sign, and is not divided by N", -n * right),
        ("is not divided by N, the size of the batch", n * of_p),
        ("has the wrong sign", -of_p),
        ("has the wrong sign, and is not divided by N", -n * of_p),
        ("is p, not p - y: the targets are left out", p / n),
        ("is p, not p - y: the targets are left out", p),
        ("is that of the mean square, not of the cross-entropy", 2 * right),
        ("is p + y, not p - y", (p + y) / n),
    ]  # fmt: skip


@check("MLP.forward", "Linear and ReLU for each hidden layer, then Linear and SoftMax")
def mlp_forward(parameters, x):
    z = logits(parameters, x)
    return softmax(z), [
        ("holds logits: the softmax at the end is missing", z),
        ("is that of hidden layers without a ReLU", softmax(logits(parameters, x, lambda h: h))),
        ("is that of a ReLU behind the last Linear layer, too", softmax(np.maximum(z, 0))),
        ("has passed the softmax twice", softmax(softmax(z))),
        (
            "has a sigmoid in place of the ReLU",
            softmax(logits(parameters, x, lambda h: 1 / (1 + np.exp(-h)))),
        ),
        ("has a tanh in place of the ReLU", softmax(logits(parameters, x, np.tanh))),
        ("holds sigmoids, not a softmax", 1 / (1 + np.exp(-z))),
    ]


def mlp_gradients(parameters, x, y):
    """Return the gradients of the mean loss, and pairs of a mistake and what it makes of them."""
    p, z = softmax(logits(parameters, x)), logits(parameters, x)
    right = gradients(parameters, x, y)
    scaled = [(words, [[factor * g for g in pair] for pair in right]) for words, factor in (
        ("is not divided by N, the size of the batch", len(x)),
        ("is divided by N, the size of the batch, twice", 1 / len(x)),
        ("has the wrong sign", -1),
        ("is zero: the gradient does not arrive there", 0))]  # fmt: skip
    return right, [
        *scaled,
        ("has not passed ReLU.backward", gradients(parameters, x, y, masks=False)),
        ("has passed the derivative of the softmax twice",
         gradients(parameters, x, y, lambda d: softmax_backward(p, d)[0])),
        ("has passed a ReLU behind the last Linear layer",
         gradients(parameters, x, y, lambda d: d * (z > 0))),
        ("has passed a ReLU behind the last Linear layer",
         gradients(parameters, x, y, lambda d: d * (d > 0))),
    ]  # fmt: skip


@check("MLP.update", "p <- p - learning_rate * dL/dp")
def mlp_update(before, gradient, rate):
    right = -rate * gradient
    return right, [
        ("goes up the gradient, but should go down", -right),
        ("goes up the gradient, and twice as far", -2 * right),
        ("leaves out the learning rate", -gradient),
        ("leaves out the learning rate, and goes up the gradient", gradient),
        ("changes nothing", 0 * right),
        ("takes the step twice", 2 * right),
        ("replaces the parameters by the step", right - before),
        ("multiplies with the parameters", right * before),
    ]


@check("accuracy", "the share of rows whose largest prediction is at the target's 1")
def accuracy(p, y):
    hits, halves = p.argmax(axis=1) == y.argmax(axis=1), (p > 0.5) == y
    mistakes = [
        ("is the number of rows, but should be their share", hits.sum()),
        ("is the share of wrong rows", 1 - hits.mean()),
        ("rounds the probabilities: a right row whose largest probability is below 1/2 counts as "
         "wrong", halves.all(axis=1).mean()),
        ("compares every element with 1/2, but should the largest of each row", halves.mean()),
        ("compares every element with 1/2, and divides by the rows", halves.sum() / len(y)),
        ("looks at one class alone", halves[:, 1].mean()),
        ("looks at the first class alone", halves[:, 0].mean()),
        ("looks at the first two classes alone", halves[:, :2].all(axis=1).mean()),
        ("takes the smallest prediction, not the largest",
         (p.argmin(axis=1) == y.argmax(axis=1)).mean()),
        ("compares the columns' largest (axis 0), but should the rows' (axis 1)",
         (p.argmax(axis=0) == y.argmax(axis=0)).mean()),
        ("divides by the number of classes, but should by that of the rows", hits.sum() / len(y.T)),
        ("divides by the number of all elements", hits.sum() / y.size),
        ("is always 1", 1),
    ]  # fmt: skip
    return hits.mean(), mistakes + [(words, 100 * value) for words, value in mistakes]


@check("Perceptron.forward", "f(x) = sign(w.x + b), sign(0) = +1")
def signs(points, weights, bias):
    scores, of_w = points @ weights + bias, points @ weights
    return np.where(scores >= 0, 1, -1), [
        ("at w.x + b = 0 is 0, a point there gets no class", np.sign(scores)),
        ("leaves out the bias", np.where(of_w >= 0, 1, -1)),
        ("subtracts the bias, but should add it", np.where(of_w - bias >= 0, 1, -1)),
        ("has the wrong sign", np.where(scores > 0, -1, 1)),
        ("has the wrong sign", np.where(scores >= 0, -1, 1)),
        ("is w.x + b, not its sign", scores),
        ("is 1 or 0, but should be +1 or -1", scores >= 0),
        ("is 1 or 0, but should be +1 or -1", scores > 0),
        ("is +1 for every point", np.ones(len(points))),
        ("is -1 for every point", -np.ones(len(points))),
    ]


TIES = {  # which points count as misclassified, by scores and labels
    "": lambda s, y: np.where(s >= 0, 1, -1) != y,
    "a score of 0 is class -1, the lecture has +1": lambda s, y: np.where(s > 0, 1, -1) != y,
    "a score of 0 counts as a mistake, another lecture's rule": lambda s, y: s * y <= 0,
}


def descend(start, points, labels, epochs, rate, is_wrong, step=None):
    """Return the weights, the bias last, after so many epochs of batch gradient descent."""
    rows, w = np.column_stack([points, np.ones(len(points))]), start
    for _ in range(epochs):
        wrong = is_wrong(rows @ w, labels)
        if not wrong.any():
            break
        mean = labels[wrong] @ rows[wrong] / wrong.sum()
        w = step(w, mean, wrong, rows, labels, rate) if step else w + rate * mean
    return w


def reachable(start, points, labels, epochs, rate, is_wrong, factors=1):
    """Return all weights that so many epochs of the online rule lead to, over all orders.

    `factors` are what each step is multiplied with.
    """
    rows, ends = np.column_stack([points, np.ones(len(points))]), {tuple(start): start}
    for _ in range(epochs):
        starts, ends = ends, {}
        for w, order in product(starts.values(), permutations(range(len(rows)))):
            for i in order:
                if is_wrong(rows[i] @ w, labels[i]):
                    w = w + factors * rate * labels[i] * rows[i]
            ends[tuple(w.round(9))] = w
    return list(ends.values())


def sums(*which):
    return lambda w, g, wrong, x, y, rate: w + rate * g * np.where(which, wrong.sum(), 1)


def learns_from(mask, n=lambda wrong, mask: mask.sum()):
    def step(w, g, wrong, x, y, rate):
        of = mask(wrong)
        return w + rate * (y[of] @ x[of]) / max(n(wrong, of), 1)

    return step


def scales(w_factor, step_factor=lambda wrong: 1):
    return lambda w, g, wrong, x, y, rate: w_factor * w + rate * g * step_factor(wrong)


SHOULD = "over the misclassified points, but should average it"
STEPS = {  # what may stand for the step of the perceptron: by the words, as `step` of descend
    f"sums the gradient {SHOULD}": sums(1, 1, 1),
    f"sums the gradient of w {SHOULD}": sums(1, 1, 0),
    f"sums the gradient of b {SHOULD}": sums(0, 0, 1),
    "goes up the gradient, but should go down": scales(1, lambda wrong: -1),
    "goes up the gradient, and sums it": scales(1, lambda wrong: -wrong.sum()),
    "averages over all points, but should over the misclassified": scales(1, np.mean),
    "updates w alone, not the bias": lambda w, g, wrong, x, y, rate: w + rate * g * [1, 1, 0],
    "updates w alone, not the bias, and sums the gradient":
        lambda w, g, wrong, x, y, rate: w + rate * g * wrong.sum() * [1, 1, 0],
    "moves the bias twice as far": lambda w, g, wrong, x, y, rate: w + rate * g * [1, 1, 2],
    "updates the bias alone, not w": lambda w, g, wrong, x, y, rate: w + rate * g * [0, 0, 1],
    "moves w right, but the bias the wrong way":
        lambda w, g, wrong, x, y, rate: w + rate * g * [1, 1, -1],
    "leaves out the learning rate": lambda w, g, wrong, x, y, rate: w + g,
    "leaves out the learning rate, and sums the gradient":
        lambda w, g, wrong, x, y, rate: w + g * wrong.sum(),
    "leaves out the learning rate for the bias":
        lambda w, g, wrong, x, y, rate: w + g * [rate, rate, 1],
    "replaces the weights by the step": scales(0),
    "learns from the points that are right": learns_from(lambda wrong: ~wrong),
    "learns from all points": learns_from(lambda wrong: wrong | True),
    "sums the gradient of all points": learns_from(lambda wrong: wrong | True, lambda *_: 1),
    "learns from the first misclassified point alone":
        lambda w, g, wrong, x, y, rate: w + rate * y[wrong][0] * x[wrong][0],
    "learns from the last misclassified point alone":
        lambda w, g, wrong, x, y, rate: w + rate * y[wrong][-1] * x[wrong][-1],
    "leaves out the labels": lambda w, g, wrong, x, y, rate: w + rate * x[wrong].mean(axis=0),
    "takes the step twice": scales(1, lambda wrong: 2),
    "takes another learning rate than it is given, 0.01": scales(1, lambda wrong: 0.1),
    "does nothing: the weights stay as they were": scales(1, lambda wrong: 0),
}  # fmt: skip

ONLINE = {  # what each step of the online rule may be multiplied with: w, w and the bias
    "": 1,
    "a step with y - f(x), that is twice y": 2,
    "goes up the gradient, but should go down": -1,
    "updates w alone, not the bias": np.array([1, 1, 0]),
    "updates the bias alone, not w": np.array([0, 0, 1]),
}

for name, formula in {
    "generate_dataset": "100 points each of normal(mean, cov_scale * I), 160 to train, 40 to test",
    "Perceptron.__init__": "w = 0, b = 0",
    "Perceptron.train: step": "w <- w + learning_rate * the mean of y_i x_i over the misclassified "
    "points, and b with the mean of y_i",
    "Perceptron.train: end": "at the first epoch without a mistake, or after max_epochs",
    "Perceptron.train: arguments": "points and labels stay as they were",
    "Linear.__init__": "W from normal(0, 0.1), b = 0",
    "layers together": "dL/dW and dL/db of every layer, of the loss L",
    "MLP.__init__": "a Linear for each step of n_inputs, n_hidden[0], ..., n_classes",
    "MLP.backward": "each layer's backward, from the last Linear to the first",
    "train: step": "p <- p - learning_rate * dL/dp, after every batch",
    "train: epochs": "every epoch visits each training row once, in a new random order",
    "train: batch size": "every batch has batch_size rows, but for a short last one",
}.items():  # checks of another kind, which judge.py makes
    FORMULAS[name] = formula, None
