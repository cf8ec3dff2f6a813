"""Part I: the perceptron, trained by batch gradient descent on two Gaussians in the plane.

Four cases show what a linear classifier can and cannot do: means far apart or close, small or
large variance. Beside each result stands the Bayes-optimal accuracy, the best that any classifier
could reach on that distribution. `python perceptron.py` prints them and draws Figure 1; there are
no layers here and no backpropagation (see modules.py).
"""

import signals

if __name__ == "__main__":
    signals.die_quietly()  # on Ctrl-C, until `run` knows better: the rest takes a while to import

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from command_line import (
    ArgumentParser,
    add_output_flags,
    finish_figures,
    positive_number,
    prepare_output,
    run,
    seed_number,
    whole_number,
)
from common import as_rng, check_positive, check_whole

POINTS_PER_CLASS = 100
FIGURE_1 = "figure1_perceptron.png"
N_TRAIN = 160  # of the 2 x 100 points; the other 40 are for testing


class Case(NamedTuple):
    """Two Gaussians with means `mean_pos` and `mean_neg` and covariance `cov_scale * I`."""

    name: str
    mean_pos: tuple[float, ...]
    mean_neg: tuple[float, ...]
    cov_scale: float


CASES = (
    Case("Separable", (2, 2), (-2, -2), 0.5),
    Case("Close means", (2, 2), (2.5, 2.5), 0.5),
    Case("High variance", (2, 2), (-2, -2), 8.0),
    Case("Close means + high variance", (2, 2), (2.5, 2.5), 8.0),
)


def check_gaussians(mean_pos, mean_neg, cov_scale):
    """Return the means as float arrays of shape (d,), or raise ValueError."""
    mean_pos, mean_neg = np.asarray(mean_pos, dtype=float), np.asarray(mean_neg, dtype=float)
    if mean_pos.ndim != 1 or mean_pos.shape != mean_neg.shape or mean_pos.size == 0:
        raise ValueError(
            "mean_pos and mean_neg must be vectors of the same length, "
            f"got shapes {mean_pos.shape} and {mean_neg.shape}"
        )
    if not (np.isfinite(mean_pos).all() and np.isfinite(mean_neg).all()):
        raise ValueError(f"the means must be finite, got {mean_pos} and {mean_neg}")
    check_positive("cov_scale", cov_scale)
    return mean_pos, mean_neg


def generate_dataset(mean_pos, mean_neg, cov_scale=0.5, rng=None):
    """Draw 100 points from each of two Gaussians, pool, shuffle and split them.

    Args:
        mean_pos: the mean of class +1, of shape (d,).
        mean_neg: the mean of class -1, of shape (d,).
        cov_scale: the variance of every coordinate; the covariance is `cov_scale * I`.
        rng: a Generator or RandomState, an int seed, or None.

    Returns:
        train_points (160, d), train_labels (160,), test_points (40, d), test_labels (40,);
        the labels are the integers +1 and -1.

    Raises:
        ValueError: for means of unequal shape or not finite, or `cov_scale` not above 0.
    """
    mean_pos, mean_neg = check_gaussians(mean_pos, mean_neg, cov_scale)
    rng = as_rng(rng)
    cov = cov_scale * np.eye(len(mean_pos))
    # The order of these three draws reproduces the report from seed 42.
    positive = rng.multivariate_normal(mean_pos, cov, POINTS_PER_CLASS)
    negative = rng.multivariate_normal(mean_neg, cov, POINTS_PER_CLASS)
    order = rng.permutation(2 * POINTS_PER_CLASS)
    points = np.concatenate([positive, negative])[order]
    labels = np.repeat([1, -1], POINTS_PER_CLASS)[order]
    return points[:N_TRAIN], labels[:N_TRAIN], points[N_TRAIN:], labels[N_TRAIN:]


def bayes_accuracy(mean_pos, mean_neg, cov_scale):
    """Return the accuracy of the best possible classifier, Phi(d / (2 sigma)).

    Between two equally likely Gaussians with covariance sigma^2 I, the optimal boundary is the
    plane halfway between the means. A point errs when its noise along the line of the means
    exceeds half their distance d, which happens with probability Phi(-d / (2 sigma)).
    """
    mean_pos, mean_neg = check_gaussians(mean_pos, mean_neg, cov_scale)
    return NormalDist().cdf(math.dist(mean_pos, mean_neg) / (2 * math.sqrt(cov_scale)))


class Perceptron:
    """A linear classifier f(x) = sign(w.x + b), with sign(0) = +1.

    Args:
        n_inputs: the number of features of a point.
        max_epochs: the epochs after which `train` gives up.
        learning_rate: the step size, above 0.

    Attributes:
        weights: of shape (n_inputs + 1,), zero at first; the last one is the bias b.
    """

    def __init__(self, n_inputs, max_epochs=100, learning_rate=0.01):
        check_whole("n_inputs", n_inputs)
        check_whole("max_epochs", max_epochs)
        check_positive("learning_rate", learning_rate)
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.weights = np.zeros(n_inputs + 1)

    def _with_ones(self, x):
        """Return the points, of shape (N, n_inputs), with a column of ones for the bias."""
        x = np.asarray(x, dtype=float)
        n_inputs = len(self.weights) - 1
        if x.ndim != 2 or x.shape[1] != n_inputs:
            raise ValueError(f"points must have shape (N, {n_inputs}), got {x.shape}")
        if not np.isfinite(x).all():
            raise ValueError("points must be finite, got NaN or infinity; remove those rows")
        return np.column_stack([x, np.ones(len(x))])

    def forward(self, x):
        """Return the predicted labels, +1 or -1, of shape (N,), for points of shape (N, n_inputs).

        One point of shape (n_inputs,) gives one label.
        """
        labels = np.where(self._with_ones(np.atleast_2d(x)) @ self.weights >= 0, 1, -1)
        return labels if np.ndim(x) == 2 else labels[0]

    def train(self, x, labels):
        """Fit the weights by batch gradient descent on the misclassified points.

        The loss is L(w, b) = -sum over misclassified i of y_i (w.x_i + b). Each epoch predicts all
        points, averages the gradient over the misclassified ones alone and takes one step;
        training ends at the first epoch, counted from 0, that finds none. It goes on from the
        weights as they are: called again, it continues.

        Args:
            x: the points, of shape (N, n_inputs).
            labels: +1 or -1, of shape (N,).

        Returns:
            A history: a dict of `misclassified` (how many, int) and `loss` (L as above), both
            arrays with an entry for each epoch begun and measured before its step, and
            `converged_epoch`, an int, or None if `max_epochs` were not enough.

        Raises:
            ValueError: for wrong shapes, points that are not finite, labels other than +1 and -1.
            FloatingPointError: when w.x + b overflows; the message names the epoch.
        """
        x = self._with_ones(x)
        labels = np.asarray(labels)
        if labels.shape != (len(x),):
            raise ValueError(f"labels must have shape ({len(x)},), got {labels.shape}")
        if len(x) == 0:
            raise ValueError("there are no points to train on, got 0 rows")
        others = labels[~np.isin(labels, (1, -1))]
        if len(others) > 0:
            raise ValueError(f"labels must be +1 or -1, got {others[0]}; map your classes to these")
        history = {"misclassified": [], "loss": [], "converged_epoch": None}
        scores = x @ self.weights
        for epoch in range(self.max_epochs):
            wrong = np.where(scores >= 0, 1, -1) != labels
            n_wrong = int(wrong.sum())
            history["misclassified"].append(n_wrong)
            # 0.0 - ... and not -(...), which of no points would be -0.0.
            history["loss"].append(0.0 - labels[wrong] @ scores[wrong])
            if n_wrong == 0:
                history["converged_epoch"] = epoch
                break
            # The bias is the weight of the column of ones: both gradients are -sum y_i x_i.
            gradient = -(labels[wrong] @ x[wrong]) / n_wrong
            with np.errstate(over="ignore", invalid="ignore"):
                self.weights = self.weights - self.learning_rate * gradient
                scores = x @ self.weights
            if not np.isfinite(scores).all():
                raise FloatingPointError(
                    f"w.x + b is no longer finite after epoch {epoch}: "
                    f"try a learning rate smaller than {self.learning_rate:g}"
                )
        history["misclassified"] = np.array(history["misclassified"])
        history["loss"] = np.array(history["loss"])
        return history


class Result(NamedTuple):
    """What one case came to: the data it drew, the weights it learned, the accuracies."""

    case: Case
    train_points: np.ndarray  # (160, 2)
    train_labels: np.ndarray  # (160,)
    test_points: np.ndarray  # (40, 2)
    test_labels: np.ndarray  # (40,)
    weights: np.ndarray  # (3,)
    history: dict
    train_accuracy: float
    test_accuracy: float
    bayes_accuracy: float


def run_cases(rng, max_epochs=100, learning_rate=0.01):
    """Draw and learn the four cases, one after the other from one `rng`; return four Results."""
    rng = as_rng(rng)
    results = []
    for case in CASES:
        gaussians = case.mean_pos, case.mean_neg, case.cov_scale
        train_points, train_labels, test_points, test_labels = generate_dataset(*gaussians, rng)
        perceptron = Perceptron(train_points.shape[1], max_epochs, learning_rate)
        history = perceptron.train(train_points, train_labels)
        results.append(
            Result(
                case=case,
                train_points=train_points,
                train_labels=train_labels,
                test_points=test_points,
                test_labels=test_labels,
                weights=perceptron.weights,
                history=history,
                train_accuracy=float(np.mean(perceptron.forward(train_points) == train_labels)),
                test_accuracy=float(np.mean(perceptron.forward(test_points) == test_labels)),
                bayes_accuracy=bayes_accuracy(*gaussians),
            )
        )
    return results


def print_table(results, max_epochs, repeats=None):
    """Print a line for each Result; `repeats`, of shape (N, 4), are test accuracies of N seeds."""
    heading = f"{'case':<30} {'converged':<16} {'train':>6} {'test':>6} {'Bayes':>6}"
    if repeats is not None:
        heading += f"   test, mean and std of {len(repeats)} seeds"
    print(heading)
    for i, result in enumerate(results):
        epoch = result.history["converged_epoch"]
        converged = f"not in {max_epochs}" if epoch is None else f"at epoch {epoch}"
        line = (
            f"{i + 1} {result.case.name:<28} {converged:<16} {result.train_accuracy:6.3f} "
            f"{result.test_accuracy:6.3f} {result.bayes_accuracy:6.3f}"
        )
        if repeats is not None:
            spread = f"{repeats[:, i].std(ddof=1):.3f}" if len(repeats) > 1 else "-"
            line += f"   {repeats[:, i].mean():.3f}  {spread}"
        print(line)


def main(argv=None):
    """Run the four cases from the command line."""
    parser = ArgumentParser("The perceptron on four pairs of Gaussians; draws Figure 1.")
    parser.add_argument(
        "--learning_rate",
        metavar="X",
        type=positive_number,
        default=0.01,
        help="step size of gradient descent (default: %(default)s)",
    )
    parser.add_argument(
        "--max_epochs",
        metavar="N",
        type=whole_number(1),
        default=100,
        help="give up after so many epochs (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=seed_number,
        default=42,
        help="seed of the data (default: %(default)s, which gives the report's)",
    )
    parser.add_argument(
        "--repeats",
        metavar="N",
        type=whole_number(1),
        help="also give mean and standard deviation over N seeds, from --seed on",
    )
    add_output_flags(parser)
    args = parser.parse_args(argv)
    if args.repeats and args.seed + args.repeats > 2**32:
        parser.error(
            f"argument --repeats: {args.repeats} seeds from {args.seed} on pass the last, "
            "4294967295; give a smaller --seed"
        )
    output_dir = prepare_output(parser, args, [FIGURE_1])

    results = run_cases(args.seed, args.max_epochs, args.learning_rate)
    repeats = None
    if args.repeats:
        seeds = range(args.seed, args.seed + args.repeats)
        runs = [run_cases(seed, args.max_epochs, args.learning_rate) for seed in seeds]
        repeats = np.array([[result.test_accuracy for result in run] for run in runs])
    print_table(results, args.max_epochs, repeats)
    written = True
    if output_dir or args.show:
        import plots

        figures = {FIGURE_1: plots.perceptron_cases(results)}
        written = finish_figures(figures, output_dir, args.show)
    return 0 if written else 1


if __name__ == "__main__":
    run(main)
