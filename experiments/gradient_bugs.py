"""Part II: accuracy lies. How far a network gets with a wrong gradient.

    python -m experiments.gradient_bugs

trains the network with each of the classic bugs of backpropagation, and prints the accuracies that
it reaches beside the error that the gradient check finds. A bug is a `backward` that takes the
place of the right one in a layer or in the network. The angle between the wrong gradient and the
right one tells why many of them get far: below 90 degrees it still leads downhill.

The batches are of 16: with the full batch even the right gradient gets no further than a line.
"""

import sys
from functools import partial

import numpy as np

import plots
from experiments.runs import progress, status_of
from gradient_check import LIMIT, check_network, error_text
from mlp_numpy import MLP
from modules import CrossEntropy, Linear, ReLU
from train_mlp_numpy import load_data, new_parser, train

BUGS = {}  # by name: a subclass of Linear, ReLU or MLP that has the bug


def bug_in(kind):
    """Return a decorator: the function below it becomes the `backward` of a `kind` in BUGS."""

    def register(backward):
        name = (backward.__doc__ or backward.__name__).rstrip(".")  # -OO removes what is documented
        BUGS[name] = type(kind.__name__, (kind,), {"backward": backward})
        return backward

    return register


@bug_in(Linear)
def bias_missing(self, dout):
    """Bias gradient missing."""
    self.grads["weight"] = self.x.T @ dout
    return dout @ self.params["weight"].T


@bug_in(Linear)
def bias_averaged(self, dout):
    """Bias gradient averaged over the batch."""
    self.grads["weight"] = self.x.T @ dout
    self.grads["bias"] = dout.mean(axis=0)
    return dout @ self.params["weight"].T


@bug_in(Linear)
def weight_transposed(self, dout):
    """Weight gradient transposed and reshaped."""
    self.grads["weight"] = (dout.T @ self.x).reshape(self.params["weight"].shape)
    self.grads["bias"] = dout.sum(axis=0)
    return dout @ self.params["weight"].T


@bug_in(Linear)
def weight_stale(self, dout):
    """Weight gradient of the batch before."""
    self.grads["weight"] = getattr(self, "fresh", np.zeros_like(self.params["weight"]))
    self.fresh = self.x.T @ dout
    self.grads["bias"] = dout.sum(axis=0)
    return dout @ self.params["weight"].T


@bug_in(ReLU)
def mask_missing(self, dout):
    """ReLU mask missing."""
    return dout


@bug_in(ReLU)
def mask_inverted(self, dout):
    """ReLU mask inverted."""
    return dout * (self.x <= 0)


@bug_in(ReLU)
def mask_of_dout(self, dout):
    """ReLU mask taken from dout."""
    return dout * (dout > 0)


@bug_in(MLP)
def not_divided(self, dout):
    """Gradient not divided by N."""
    MLP.backward(self, dout * len(dout))


@bug_in(MLP)
def softmax_twice(self, dout):
    """Softmax Jacobian applied twice."""
    MLP.backward(self, self.layers[-1].backward(dout))


# With this bug training is chaotic: each processor gets other accuracies.
CHAOTIC = "Weight gradient transposed and reshaped"
STEADY = [name for name in BUGS if name != CHAOTIC]


def network_with(bug, n_inputs, n_hidden, n_classes, rng=None):
    """Return an MLP, as of these arguments, with the bug of this name in BUGS, or with None."""
    model = MLP(n_inputs, n_hidden, n_classes, rng)
    for part in (model, *model.layers):
        if bug is not None and issubclass(BUGS[bug], type(part)):
            part.__class__ = BUGS[bug]  # the very same object, weights and all, but for `backward`
    return model


def gradient_error(bug):
    """Return the largest relative error of any gradient in a network with this bug, or None."""
    network = partial(network_with, bug)
    rng = np.random.default_rng(0)
    return max(check.error for check in check_network(3, [7], 4, rng, network=network))


def accuracies_with(bug, data, seeds, *, learning_rate=0.1, max_steps=150):
    """Return the final test accuracies, an array, of networks with this bug, or None, by seed.

    They come as far as with 1500 epochs at a learning rate of 0.01, in a tenth of the updates. A
    network that diverged has NaN.
    """
    options = {"batch_size": 16, "learning_rate": learning_rate, "max_steps": max_steps}
    accuracies = []
    for seed in seeds:
        rng = np.random.RandomState(seed)
        model = network_with(bug, data.x_train.shape[1], [20], data.y_train.shape[1], rng)
        try:
            history = train(model, data, rng=rng, eval_freq=max_steps, **options)
            accuracies.append(history["test_accuracy"][-1])
        except FloatingPointError:
            accuracies.append(np.nan)
    return np.array(accuracies)


def angle(bug, data, seed=0, *, learning_rate=0.1, batch_size=16):
    """Return the angle in degrees between the gradient with this bug, or None, and the right one.

    It is the median over the updates of the first epoch, of which each follows the wrong gradient.
    """
    rng, loss, cosines = np.random.RandomState(seed), CrossEntropy(), []
    sizes = data.x_train.shape[1], [20], data.y_train.shape[1]
    wrong, right = network_with(bug, *sizes, rng), MLP(*sizes)
    for ours, theirs in zip(right.linear_layers, wrong.linear_layers, strict=True):
        ours.params = theirs.params  # the same weights, now and after every update
    order = rng.permutation(len(data.x_train))
    for rows in np.split(order, range(batch_size, len(order), batch_size)):
        gradients = []
        for model in (wrong, right):
            loss.forward(model.forward(data.x_train[rows]), data.y_train[rows])
            model.backward(loss.backward())
            parts = []
            for linear in model.linear_layers:
                parts.append(linear.grads["weight"].ravel())
                parts.append(linear.grads["bias"])
            gradients.append(np.concatenate(parts))
        lengths = np.linalg.norm(gradients, axis=1).prod()
        cosines += [gradients[0] @ gradients[1] / lengths] if lengths > 0 else []
        wrong.update(learning_rate)
    return np.degrees(np.arccos(np.clip(np.median(cosines), -1, 1)))


def verdicts(data, seeds=range(5), bugs=tuple(BUGS), **options):
    """Return for no bug, and for each of the bugs, names in BUGS: a tuple of what judges it.

    These are its name, accuracies_with it, its angle and its gradient_error. From none of the five
    seeds does a right network get stuck, as others do (see batch_sizes.py).
    """
    return [
        (
            bug or "No bug",
            accuracies_with(bug, data, seeds, **options),
            angle(bug, data),
            gradient_error(bug),
        )
        for bug in progress([None, *bugs])
    ]


def verdict_table(judged):
    """Return what `verdicts` returns as a table: median accuracies, and [the least, the most]."""
    import pandas as pd

    rows = {}
    for name, accuracies, degrees, error in judged:
        low, median, high = np.quantile(100 * accuracies, (0, 0.5, 1))
        spread = f"{median:.1f} [{low:.1f}, {high:.1f}]"
        if n_diverged := np.isnan(accuracies).sum():
            spread = f"{n_diverged} of {len(accuracies)} diverged"
        rows[name] = [spread, f"{degrees:.0f}°", error_text(error)]
    columns = ["test accuracy, %", "angle", "gradient error"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def verdict_figure(judged, title=None):
    """Draw the accuracies beside the gradient errors, a line for each of the `verdicts`."""
    n_rows = len(judged)
    figure, (left, right) = plots.new_figure(10, 0.38 * n_rows + 1.5, 1, 2, sharey=True)
    for i, (_, accuracies, _, error) in enumerate(judged):
        style = {"color": "black", "alpha": 0.6, "markeredgewidth": 0}
        left.plot(100 * accuracies, np.full(len(accuracies), i), "o", **style)
        marker, color = ("o", plots.GOOD) if error < LIMIT else ("X", plots.BAD)
        right.plot(error, i, marker, color=color)
    left.set_yticks(range(n_rows), [name for name, *_ in judged])
    left.invert_yaxis()
    left.set(xlabel="test accuracy (%), darker where runs agree", title="What the accuracy says")
    right.axvline(LIMIT, color="black", linestyle="--")
    right.set(xscale="log", xlabel="relative error", title="What the gradient check says")
    right.text(LIMIT, 0.02, " limit", transform=right.get_xaxis_transform())
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    return figure


def main(argv=None):
    """Print the table; return the exit status."""
    parser = new_parser(
        "Train networks with classic bugs, and check their gradients.",
        "python -m experiments.gradient_bugs",
    )
    parser.parse_args(argv)
    judged = verdicts(load_data())
    print(verdict_table(judged).to_string())
    print(f"accuracy: median [least, most] of {len(judged[0][1])} runs")
    print("angle: between the gradient and the right one, in the first epoch")
    print(f"gradient error: that of a right one is below {LIMIT:.0e}")
    return 0


if __name__ == "__main__":
    sys.exit(status_of(main))
