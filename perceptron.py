"""Part I: the perceptron, trained by batch gradient descent on two Gaussians in the plane.

    python perceptron.py --repeats 100

prints the report's four cases, their averages over a hundred seeds and the best accuracy possible,
and draws Figure 1. This file needs no other; Part II, from layers to networks, is in modules.py.
"""

import argparse
import math
import os
import sys
import tempfile
from collections import namedtuple
from pathlib import Path
from statistics import NormalDist

import numpy as np

CASES = {  # the means of class +1 and of class -1, and the covariance scale
    "Separable": ((2, 2), (-2, -2), 0.5),
    "Close means": ((2, 2), (2.5, 2.5), 0.5),
    "High variance": ((2, 2), (-2, -2), 8.0),
    "Close means + high variance": ((2, 2), (2.5, 2.5), 8.0),
}


class Perceptron:
    """A linear classifier f(x) = sign(w.x + b), with sign(0) = +1.

    `weights`, of shape (n_inputs + 1,), start at zero; the last one is the bias b.
    """

    def __init__(self, n_inputs, max_epochs=100, learning_rate=0.01):
        self.max_epochs, self.learning_rate = max_epochs, learning_rate
        self.weights = np.zeros(n_inputs + 1)

    def forward(self, x):
        """Return the labels, +1 or -1, of shape (N,), for points x of shape (N, n_inputs)."""
        scores = np.asarray(x, dtype=float) @ self.weights[:-1] + self.weights[-1]
        return np.where(scores >= 0, 1, -1)

    def train(self, x, labels):
        """Minimise the loss L(w, b) = -sum over the misclassified points of y_i (w.x_i + b).

        Over these points, dL/dw = -sum y_i x_i and dL/db = -sum y_i. Each epoch takes one step
        along these sums, divided by the number of misclassified, until there are none; labels have
        the shape (N,). Returns a dict: the arrays `misclassified` and `loss`, measured before each
        epoch's step, and `converged_epoch`, counted from 0, or None if max_epochs were too few.
        """
        x, labels = np.asarray(x, dtype=float), np.asarray(labels)
        if labels.shape != (len(x),) or not np.isin(labels, (1, -1)).all():
            raise ValueError(f"labels must be +1 or -1, one for each of the {len(x)} points")
        if not np.isfinite(x).all():
            raise ValueError("points must be finite, got NaN or infinity; remove those rows")
        misclassified, losses, converged_epoch = [], [], None
        for epoch in range(self.max_epochs):
            wrong = self.forward(x) != labels
            x_wrong, y_wrong = x[wrong], labels[wrong]
            misclassified.append(len(y_wrong))
            losses.append(-(y_wrong @ (x_wrong @ self.weights[:-1] + self.weights[-1])))
            if not wrong.any():
                converged_epoch = epoch
                break
            grad_w, grad_b = -(y_wrong @ x_wrong), -y_wrong.sum()
            grad = np.append(grad_w, grad_b) / len(y_wrong)
            self.weights = self.weights - self.learning_rate * grad
        arrays = {"misclassified": np.array(misclassified), "loss": np.array(losses)}
        return {**arrays, "converged_epoch": converged_epoch}


def generate_dataset(mean_pos, mean_neg, cov_scale=0.5, rng=None):
    """Draw 100 points of each class from Gaussians with covariance cov_scale * I, and split them.

    The report pools and shuffles the points and keeps 160 for training; the handout keeps 80 of
    each class, which gives other accuracies. `rng` is a generator, an int seed or None. Returns
    train_points (160, d), train_labels (160,), test_points (40, d), test_labels (40,).
    """
    if not isinstance(rng, np.random.Generator | np.random.RandomState):
        rng = np.random.RandomState(rng)
    cov = cov_scale * np.eye(len(mean_pos))
    draws = [rng.multivariate_normal(mean, cov, 100) for mean in (mean_pos, mean_neg)]
    points, labels = np.concatenate(draws), np.repeat([1, -1], 100)
    train, test = np.split(rng.permutation(200), [160])
    return points[train], labels[train], points[test], labels[test]


def bayes_accuracy(mean_pos, mean_neg, cov_scale):
    """Return the accuracy of the best possible classifier, Phi(d / (2 sigma)).

    Its boundary lies halfway between the means, at distance d. A point is misclassified if its
    noise in that direction, of standard deviation sigma, exceeds d / 2.
    """
    return NormalDist().cdf(math.dist(mean_pos, mean_neg) / (2 * math.sqrt(cov_scale)))


FIELDS = "name data weights history train_accuracy test_accuracy bayes_accuracy"
Result = namedtuple("Result", FIELDS)


def run_cases(seed=42, max_epochs=100, learning_rate=0.01):
    """Draw and learn the four cases, all from one generator; return a list of Results."""
    rng, results = np.random.RandomState(seed), []
    for name, case in CASES.items():
        data = x_train, y_train, x_test, y_test = generate_dataset(*case, rng)
        model = Perceptron(2, max_epochs, learning_rate)
        history = model.train(x_train, y_train)
        scores = [np.mean(model.forward(x) == y) for x, y in [(x_train, y_train), (x_test, y_test)]]
        results.append(Result(name, data, model.weights, history, *scores, bayes_accuracy(*case)))
    return results


def figure_1(results):
    """Draw the data, the decision boundary and the accuracy of each case, in four panels."""
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(9, 8.4), layout="constrained")
    looks = {"train": {"s": 22, "ec": "white"}, "test": {"s": 30, "ec": "black", "marker": "^"}}
    for i, (axes, result) in enumerate(zip(panels.flat, results, strict=True)):
        for label, color in (1, "#0072B2"), (-1, "#D55E00"):  # told apart by the colour-blind, too
            for k, (part, look) in enumerate(looks.items()):
                points, labels = result.data[2 * k : 2 * k + 2]  # train, then test
                x, y = points[labels == label].T
                axes.scatter(x, y, color=color, label=f"class {label:+d}, {part}", **look)
        *w, b = result.weights
        foot = -b * np.array(w) / np.dot(w, w)  # the point of the boundary nearest to 0
        axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim(), xlabel="$x_1$", ylabel="$x_2$")
        axes.axline(foot, foot + np.array([-w[1], w[0]]), color="black", label="boundary")
        test, bayes = result.test_accuracy, result.bayes_accuracy
        accuracies = f"test accuracy {test:.3f}, Bayes-optimal {bayes:.3f}"
        axes.set_title(f"Case {i + 1}: {result.name}\n{accuracies}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


# Below is the command line. Nothing above needs it.


def print_table(runs, max_epochs):
    """Print a line for each case, of the first run and, if there are others, of all."""
    accuracies = np.array([[result.test_accuracy for result in run] for run in runs])
    spread = f"   test, mean and std of {len(runs)} seeds" if len(runs) > 1 else ""
    print(f"{'case':<30} {'converged':<14} {'train':>7}{'test':>7}{'Bayes':>7}{spread}")
    for i, (name, _, _, history, *figures) in enumerate(runs[0]):
        epoch = history["converged_epoch"]
        converged = f"not in {max_epochs}" if epoch is None else f"at epoch {epoch}"
        if len(runs) > 1:
            spread = f"   {accuracies[:, i].mean():.3f}  {accuracies[:, i].std(ddof=1):.3f}"
        print(f"{i + 1} {name:<28} {converged:<14} {''.join(f'{x:7.3f}' for x in figures)}{spread}")


def main(argv=None):
    """Run the four cases from the command line."""
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, allow_abbrev=False)
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    flag = parser.add_argument
    flag("--learning_rate", type=float, default=0.01, help="step size")
    flag("--max_epochs", type=int, default=100, help="give up after so many epochs")
    flag("--seed", type=int, default=42, help="seed of the data; 42 gives the report's")
    flag("--repeats", type=int, default=1, help="seeds to average over, from --seed on")
    flag("--output_dir", type=Path, default="outputs", help="folder for Figure 1")
    flag("--no_output", action="store_true", help="print only, write no file")
    flag("--show", action="store_true", help="also open Figure 1 in a window")
    args = parser.parse_args(argv)
    for name, above in {"learning_rate": 0, "max_epochs": 0, "repeats": 0, "seed": -1}.items():
        if not above < (value := getattr(args, name)) < 10**9:
            parser.error(f"argument --{name}: {value} must be above {above} and below 10**9")
    from matplotlib import pyplot as plt

    if args.show and plt.get_backend().lower() == "agg":
        parser.error("argument --show: no display or no window toolkit here; leave it out")
    try:
        if not args.no_output:
            args.output_dir.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=args.output_dir).close()  # fails if it cannot be written
    except OSError as error:
        parser.error(f"argument --output_dir: {error}; name a folder that can be written")
    seeds = range(args.seed, args.seed + args.repeats)
    runs = [run_cases(seed, args.max_epochs, args.learning_rate) for seed in seeds]
    print_table(runs, args.max_epochs)
    figure, path = figure_1(runs[0]), args.output_dir / "figure1_perceptron.png"
    if not args.no_output:
        figure.savefig(scratch := path.with_suffix(".tmp"), format="png", dpi=150)
        print(f"wrote {scratch.replace(path)}")
    if args.show:
        plt.show()
    plt.close(figure)


if __name__ == "__main__":
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads on, as with `| head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"error: {error}")
