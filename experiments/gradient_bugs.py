"""Part II: accuracy lies. How far a network gets with a wrong gradient.

    python -m experiments.gradient_bugs

trains the network with each of the classic bugs of backpropagation, and prints the accuracies that
it reaches beside the error that the gradient check finds. A bug is a `backward` that takes the
place of the right one in a layer or in the network.

The batches are of 16: with the full batch even the right gradient gets no further than a line.
"""

import argparse
from functools import partial

import numpy as np

import plots
from gradient_check import LIMIT, check_network, error_text
from mlp_numpy import MLP
from modules import Linear, ReLU
from train_mlp_numpy import PARSER, load_data, run, train

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


def verdicts(data, seeds=range(5), **options):
    """Yield for no bug, and for each: its name, accuracies_with it, its gradient_error.

    From none of the five seeds does a right network get stuck, as others do (see batch_sizes.py).
    """
    for bug in (None, *BUGS):
        yield bug or "No bug", accuracies_with(bug, data, seeds, **options), gradient_error(bug)


def verdict_lines(judged):
    """Yield what `verdicts` yields as lines of text, under a heading and above a footer."""
    yield f"{'':<40}{'test accuracy, %':>19}{'gradient error':>16}"
    for name, accuracies, error in judged:
        low, median, high = np.quantile(100 * accuracies, (0, 0.5, 1))
        spread = f"{median:.1f} [{low:.1f}, {high:.1f}]"
        if n_diverged := np.isnan(accuracies).sum():
            spread = f"{n_diverged} of {len(accuracies)} diverged"
        yield f"{name:<40}{spread:>19}{error_text(error):>16}"
    yield (
        f"accuracy: median [least, most] of {len(accuracies)} runs; the error of a right gradient "
        f"is below {LIMIT:.0e}"
    )


@plots.plain_style
def verdict_figure(judged, title=None):
    """Draw the accuracies beside the gradient errors, a line for each of the `verdicts`, a list."""
    n_rows = len(judged)
    figure, (left, right) = plots.new_figure(10, 0.38 * n_rows + 1.5, 1, 2, sharey=True)
    for i, (_, accuracies, error) in enumerate(judged):
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
    """Print the table, bug by bug."""
    what = "Train networks with classic bugs, and check their gradients."
    argparse.ArgumentParser(description=what, **PARSER).parse_args(argv)
    for line in verdict_lines(verdicts(load_data())):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    run(main)
