"""Part II: accuracy lies. How far a network gets with a wrong gradient.

    python -m experiments.gradient_bugs

trains the network with each of nine classic bugs of backpropagation. Beside the accuracies that it
reaches, it prints the error that the gradient check finds, and the angle between the wrong gradient
and the right one. The angle tells why many bugs get far: below 90 degrees, a small update still
leads downhill.

The batches are of 16 rows. With the full batch, in so many epochs, even the right gradient gets no
further than a line.

Not here: the check itself (gradient_check.py).
"""

import sys
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

import plots
from experiments.runs import progress, status_of
from gradient_check import LIMIT, check_network, error_text
from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU
from train_mlp_numpy import load_data, new_parser, train

# Each bug is a `backward` as it would stand in its class. The first four are those of a Linear.


def bias_missing(self, dout):
    """dL/db stays 0."""
    self.grads["weight"] = self.x.T @ dout
    return dout @ self.params["weight"].T


def bias_averaged(self, dout):
    """dL/db is the mean of dout over the batch, not the sum."""
    self.grads["weight"] = self.x.T @ dout
    self.grads["bias"] = dout.mean(axis=0)
    return dout @ self.params["weight"].T


def weight_transposed(self, dout):
    """dL/dW is transposed, and reshaped so that it fits again."""
    self.grads["weight"] = (dout.T @ self.x).reshape(self.params["weight"].shape)
    self.grads["bias"] = dout.sum(axis=0)
    return dout @ self.params["weight"].T


def weight_stale(self, dout):
    """dL/dW is that of the batch before, and 0 in the first."""
    new = self.x.T @ dout
    self.grads["weight"] = getattr(self, "old", np.zeros(new.shape))
    self.grads["bias"] = dout.sum(axis=0)
    self.old = new
    return dout @ self.params["weight"].T


# Those of a ReLU.


def mask_missing(self, dout):
    """dL/dx is dout everywhere."""
    return dout


def mask_inverted(self, dout):
    """dL/dx is dout where x <= 0, not where x > 0."""
    return dout * (self.x <= 0)


def mask_of_dout(self, dout):
    """dL/dx is dout where dout > 0, not where x > 0."""
    return dout * (dout > 0)


# Those of an MLP.


def not_divided(self, dout):
    """The loss does not divide by the N rows of the batch."""
    n_rows = len(dout)
    MLP.backward(self, n_rows * dout)


def softmax_twice(self, dout):
    """The gradient of the logits passes through the softmax again."""
    softmax = self.layers[-1]
    MLP.backward(self, softmax.backward(dout))


class Bug(NamedTuple):
    """A wrong `backward`, and the class that it belongs to."""

    kind: type  # Linear, ReLU or MLP
    backward: Callable


BUGS = {
    "Bias gradient missing": Bug(Linear, bias_missing),
    "Bias gradient averaged over the batch": Bug(Linear, bias_averaged),
    "Weight gradient transposed and reshaped": Bug(Linear, weight_transposed),
    "Weight gradient of the batch before": Bug(Linear, weight_stale),
    "ReLU mask missing": Bug(ReLU, mask_missing),
    "ReLU mask inverted": Bug(ReLU, mask_inverted),
    "ReLU mask taken from dout": Bug(ReLU, mask_of_dout),
    "Gradient not divided by N": Bug(MLP, not_divided),
    "Softmax Jacobian applied twice": Bug(MLP, softmax_twice),
}

# With this bug training is chaotic: each processor gets other accuracies.
CHAOTIC = "Weight gradient transposed and reshaped"
STEADY = [name for name in BUGS if name != CHAOTIC]


def network_with(bug, n_inputs, n_hidden, n_classes, rng=None):
    """Return an MLP with a bug, a name in BUGS, or None for no bug. The rest is as for an MLP."""
    model = MLP(n_inputs, n_hidden, n_classes, rng)
    if bug is not None:
        kind, wrong_backward = BUGS[bug]
        for part in [model, *model.layers]:
            if isinstance(part, kind):
                part.backward = partial(wrong_backward, part)  # part is its `self`
    return model


class Verdict(NamedTuple):
    """What judges a bug, in three ways."""

    name: str  # of the bug, or "No bug"
    accuracies: np.ndarray  # of each seed, see accuracies_with
    angle: float  # in degrees, see angle
    error: float  # see gradient_error


def verdicts(
    data,
    seeds=range(5),
    bugs=tuple(BUGS),
    *,
    n_hidden=(20,),
    batch_size=16,
    learning_rate=0.1,
    max_steps=150,
):
    """Return a list of Verdicts: first of no bug, then of each of the bugs, names in BUGS.

    With the defaults, networks come about as far as in 1500 epochs with a learning rate of 0.01, in
    a tenth of the time. From none of the five seeds the right network gets stuck; from others it
    may (see batch_sizes.py).

    Args:
        data: a train_mlp_numpy.Data.
        seeds: ints, one for each network to train.
        bugs: names in BUGS.
        n_hidden: the number of units in each hidden layer.
        batch_size: the number of rows in a batch; None is the full batch.
        learning_rate: an update is the gradient times this.
        max_steps: the number of epochs.
    """
    settings = {"n_hidden": n_hidden, "batch_size": batch_size, "learning_rate": learning_rate}
    judged = []
    for bug in progress([None, *bugs]):
        accuracies = accuracies_with(bug, data, seeds, max_steps=max_steps, **settings)
        degrees = angle(bug, data, **settings)
        error = gradient_error(bug)
        name = "No bug" if bug is None else bug
        judged.append(Verdict(name, accuracies, degrees, error))
    return judged


def accuracies_with(bug, data, seeds, *, n_hidden, batch_size, learning_rate, max_steps):
    """Train a network with this bug, or with None, from each seed; return the accuracies.

    They are those on the test data after training, an array; one is NaN if training diverged. The
    arguments are those of `verdicts`.
    """
    n_inputs = data.x_train.shape[1]
    n_classes = data.y_train.shape[1]
    accuracies = []
    for seed in seeds:
        rng = np.random.RandomState(seed)
        model = network_with(bug, n_inputs, n_hidden, n_classes, rng)
        try:
            history = train(
                model,
                data,
                learning_rate=learning_rate,
                max_steps=max_steps,
                eval_freq=max_steps,
                batch_size=batch_size,
                rng=rng,
            )
            accuracies.append(history["test_accuracy"][-1])
        except FloatingPointError:
            accuracies.append(np.nan)
    return np.array(accuracies)


@np.errstate(over="ignore", invalid="ignore")  # of training that diverges
def angle(bug, data, *, n_hidden=(20,), batch_size=16, learning_rate=0.1):
    """Return the angle in degrees between the gradient with this bug, or None, and the right one.

    It is the median over the batches of the first epoch. The updates follow the wrong gradient. The
    arguments are those of `verdicts`.
    """
    n_rows, n_inputs = data.x_train.shape
    n_classes = data.y_train.shape[1]
    if batch_size is None:
        batch_size = n_rows
    rng = np.random.RandomState(0)
    wrong = network_with(bug, n_inputs, n_hidden, n_classes, rng)
    right = MLP(n_inputs, n_hidden, n_classes)
    for ours, theirs in zip(right.linear_layers, wrong.linear_layers, strict=True):
        ours.params = theirs.params  # the same weights, now and after every update

    cosines = []
    order = rng.permutation(n_rows)
    for start in range(0, n_rows, batch_size):
        rows = order[start : start + batch_size]
        x = data.x_train[rows]
        targets = data.y_train[rows]
        wrong_gradient = gradient_of(wrong, x, targets)
        right_gradient = gradient_of(right, x, targets)
        lengths = np.linalg.norm(wrong_gradient) * np.linalg.norm(right_gradient)
        if lengths > 0:  # a gradient of 0 has no direction
            cosines.append(wrong_gradient @ right_gradient / lengths)
        wrong.update(learning_rate)
    cosine = np.clip(np.median(cosines), -1, 1)  # rounding may have taken it beyond
    return np.degrees(np.arccos(cosine))


def gradient_of(model, x, targets):
    """Return the gradient of the loss with respect to all parameters, as one vector."""
    cross_entropy = CrossEntropy()
    cross_entropy.forward(model.forward(x), targets)
    model.backward(cross_entropy.backward())
    parts = []
    for linear in model.linear_layers:
        parts.append(linear.grads["weight"].ravel())
        parts.append(linear.grads["bias"])
    return np.concatenate(parts)


def gradient_error(bug):
    """Return the largest relative error of any gradient in a network with this bug, or None."""
    rng = np.random.default_rng(0)
    network = partial(network_with, bug)
    checks = check_network(3, [7], 4, rng, network=network)
    return max(check.error for check in checks)


def verdict_table(judged):
    """Return the Verdicts as a pandas table: median accuracies, and [the least, the greatest]."""
    import pandas as pd  # here, because the rest does without it

    rows = {}
    for verdict in judged:
        rows[verdict.name] = [
            spread_text(verdict.accuracies),
            f"{verdict.angle:.0f}°",
            error_text(verdict.error),
        ]
    columns = ["test accuracy, %", "angle", "gradient error"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def spread_text(accuracies):
    """Return median [least, greatest] in percent, or how many runs diverged, if any did."""
    n_diverged = np.isnan(accuracies).sum()
    if n_diverged > 0:
        return f"{n_diverged} of {len(accuracies)} diverged"
    low, median, high = np.quantile(100 * accuracies, [0, 0.5, 1])
    return f"{median:.1f} [{low:.1f}, {high:.1f}]"


def verdict_figure(judged, title=None):
    """Draw the accuracies beside the gradient errors: each of the Verdicts has a line."""
    n_lines = len(judged)
    figure, (left, right) = plots.new_figure(10, 0.38 * n_lines + 1.5, 1, 2, sharey=True)
    for i, verdict in enumerate(judged):
        percents = 100 * verdict.accuracies
        heights = np.full(len(percents), i)
        left.plot(percents, heights, "o", color="black", alpha=0.6, markeredgewidth=0)
        if verdict.error < LIMIT:
            right.plot(verdict.error, i, "o", color=plots.GOOD)
        else:
            right.plot(verdict.error, i, "X", color=plots.BAD)

    names = [verdict.name for verdict in judged]
    left.set_yticks(range(n_lines), names)
    left.invert_yaxis()
    left.set_title("What the accuracy says")
    left.set_xlabel("test accuracy (%), darker where runs agree")
    left.grid(alpha=0.3)

    right.axvline(LIMIT, color="black", linestyle="--")
    right.text(LIMIT, 0.02, " limit", transform=right.get_xaxis_transform())
    right.set_title("What the gradient check says")
    right.set_xscale("log")
    right.set_xlabel("relative error")
    right.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


# Below is the command line.


def main(argv=None):
    """Print the table; return the exit status."""
    parser = new_parser(
        "Train networks with classic bugs, and check their gradients.",
        "python -m experiments.gradient_bugs",
    )
    parser.parse_args(argv)
    judged = verdicts(load_data())
    n_runs = len(judged[0].accuracies)
    print(verdict_table(judged).to_string())
    print(f"accuracy: median [least, most] of {n_runs} runs")
    print("angle: between the gradient and the right one, in the first epoch")
    print(f"gradient error: that of a right one is below {LIMIT:.0e}")
    return 0


if __name__ == "__main__":
    sys.exit(status_of(main))
