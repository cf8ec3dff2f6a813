"""Part II: accuracy lies. How far a network gets with a wrong gradient.

    python backprop_bugs.py

trains the network with each of the classic bugs of backpropagation for real, and prints the
accuracies that it reaches beside the error that the gradient check finds. A bug is a `backward`
below that takes the place of the right one in a layer or in the network.

It trains in batches of 16, since with the full batch even the right gradient gets no further than
a line would.
"""

import signals

if __name__ == "__main__":
    signals.die_quietly()  # on Ctrl-C, until `run` knows better: the rest takes a while to import

from functools import partial

import numpy as np

from command_line import ArgumentParser, run
from common import as_rng
from gradient_check import LIMIT, check_network, error_text
from mlp_numpy import MLP
from modules import Linear, ReLU
from train_mlp_numpy import load_data, train

# As far as 1500 epochs at a learning rate of 0.01, in a tenth of the steps.
TRAINING = {"batch_size": 16, "learning_rate": 0.1, "max_steps": 150}
SEEDS = range(5)  # from none of which a right network gets stuck, see compare_batch_sizes.py

BUGS = {}  # by name: the class, of a layer or a network, that has the bug; see `bug_in`


def bug_in(kind):
    """Return a decorator: the function below it becomes the `backward` of a `kind` in BUGS."""

    def register(backward):
        name = backward.__doc__.rstrip(".")
        BUGS[name] = type(kind.__name__, (kind,), {"backward": backward})
        return backward

    return register


@bug_in(Linear)
def bias_missing(self, dout, input_gradient=True):
    """Bias gradient missing."""
    self.grads["weight"] = self.x.T @ dout
    return dout @ self.params["weight"].T


@bug_in(Linear)
def bias_averaged(self, dout, input_gradient=True):
    """Bias gradient averaged over the batch."""
    self.grads["weight"] = self.x.T @ dout
    self.grads["bias"] = dout.mean(axis=0)
    return dout @ self.params["weight"].T


@bug_in(Linear)
def weight_transposed(self, dout, input_gradient=True):
    """Weight gradient transposed and reshaped."""
    self.grads["weight"] = (dout.T @ self.x).reshape(self.params["weight"].shape)
    self.grads["bias"] = dout.sum(axis=0)
    return dout @ self.params["weight"].T


@bug_in(Linear)
def weight_stale(self, dout, input_gradient=True):
    """Weight gradient of the step before."""
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


def accuracies_with(bug, data, seeds, **options):
    """Return the final test accuracies, an array, of networks with this bug, or None.

    One that diverged has NaN. The options are those of `train`, instead of TRAINING.
    """
    options = TRAINING | options
    accuracies = []
    for seed in seeds:
        rng = as_rng(seed)
        model = network_with(bug, data.x_train.shape[1], [20], data.y_train.shape[1], rng)
        try:
            history = train(model, data, eval_freq=options["max_steps"], rng=rng, **options)
            accuracies.append(history["test_accuracy"][-1])
        except FloatingPointError:
            accuracies.append(np.nan)
    return np.array(accuracies)


def measure(data, seeds=SEEDS, **options):
    """Yield for no bug and for each: its name, accuracies_with it, its gradient_error."""
    for bug in (None, *BUGS):
        yield bug or "No bug", accuracies_with(bug, data, seeds, **options), gradient_error(bug)


def table(results):
    """Yield what `measure` yields as lines of text, under a heading and above a footer."""
    yield f"{'':<40}{'test accuracy, %':>19}{'gradient error':>16}"
    for name, accuracies, error in results:
        low, median, high = np.quantile(100 * accuracies, (0, 0.5, 1))
        spread = f"{median:.1f} [{low:.1f}, {high:.1f}]"
        yield f"{name:<40}{spread:>19}{error_text(error):>16}"
    yield (
        f"accuracy: median [least, most] of {len(accuracies)} runs; the error of a right gradient "
        f"is below {LIMIT:.0e}"
    )


def main(argv=None):
    """Print the table, bug by bug."""
    ArgumentParser("Train networks with classic bugs, and check their gradients.").parse_args(argv)
    for line in table(measure(load_data())):
        print(line, flush=True)


if __name__ == "__main__":
    run(main)
