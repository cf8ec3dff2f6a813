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
from matplotlib import pyplot as plt

CASES = {  # the means of class +1 and of class -1, and the covariance scale
    "Separable": ((2, 2), (-2, -2), 0.5),
    "Close means": ((2, 2), (2.5, 2.5), 0.5),
    "High variance": ((2, 2), (-2, -2), 8.0),
    "Close means + high variance": ((2, 2), (2.5, 2.5), 8.0),
}
Trial = namedtuple("Trial", "name data weights history train_accuracy test_accuracy bayes_accuracy")
plain_style = plt.style.context("default")  # whatever the user's settings of matplotlib are


class Perceptron:
    """A linear classifier f(x) = sign(w.x + b), with sign(0) = +1."""

    def __init__(self, n_inputs, max_epochs=100, learning_rate=0.01):
        self.max_epochs, self.learning_rate = max_epochs, learning_rate
        self.weights = np.zeros(n_inputs + 1)  # w, and last the bias b

    def forward(self, x):
        """Return the labels, +1 or -1, of shape (N,), for points x of shape (N, n_inputs)."""
        x, n = np.asarray(x, dtype=float), len(self.weights) - 1
        if x.ndim > 2 or x.shape[-1:] != (n,) or not np.isfinite(x).all():
            raise ValueError(f"points must be finite, no NaN, of shape (N, {n}); got {x.shape}")
        return np.where(x @ self.weights[:-1] + self.weights[-1] >= 0, 1, -1)

    def train(self, x, labels):
        """Minimise the loss L(w, b) = -sum over the misclassified points of y_i (w.x_i + b).

        Over these points, dL/dw = -sum y_i x_i and dL/db = -sum y_i. Each epoch makes one update,
        with means in place of these sums, until no point is misclassified. x has the shape
        (N, n_inputs), labels (N,); others, or an overflow, are a ValueError. Returns a dict: arrays
        `misclassified` and `loss`, from before each update, and `converged_epoch`, from 0, or None.
        """
        x, y = np.asarray(x, dtype=float), np.asarray(labels)
        if y.shape != self.forward(x).shape or not set() < set(y.flat) <= {1, -1}:
            got = f"got shape {y.shape}, values such as {list(set(y.ravel().tolist()))[:3]}"
            raise ValueError(f"labels must be +1 or -1, one for each of the {len(x)} points; {got}")
        misclassified, losses = [], []
        for _ in range(self.max_epochs):
            wrong = self.forward(x) != y
            x_wrong, y_wrong = x[wrong], y[wrong].astype(float)
            misclassified.append(len(y_wrong))
            losses.append(-y_wrong @ (x_wrong @ self.weights[:-1] + self.weights[-1]))
            if not wrong.any():
                break
            grad_w, grad_b = -y_wrong @ x_wrong, -y_wrong.sum()
            grad = np.append(grad_w, grad_b) / len(y_wrong)
            self.weights = self.weights - self.learning_rate * grad
        if not np.isfinite([*losses, *self.weights]).all():
            raise ValueError(f"overflow: lower learning_rate={self.learning_rate} or scale x down")
        arrays = {"misclassified": np.array(misclassified), "loss": np.array(losses)}
        return {**arrays, "converged_epoch": misclassified.index(0) if 0 in misclassified else None}


def generate_dataset(mean_pos, mean_neg, cov_scale=0.5, rng=None):
    """Draw 100 points of each class from Gaussians with covariance cov_scale * I, and split them.

    The report pools and shuffles the points and keeps 160 for training; the handout keeps 80 of
    each class, which gives other accuracies. `rng` is a generator, an int seed or None. Returns
    train_points (160, d), train_labels (160,), test_points (40, d), test_labels (40,).
    """
    bayes_accuracy(mean_pos, mean_neg, cov_scale)  # a ValueError if they make no Gaussians
    rng = rng if hasattr(rng, "permutation") else np.random.RandomState(rng)
    cov = cov_scale * np.eye(len(mean_pos))
    draws = [rng.multivariate_normal(mean, cov, 100) for mean in (mean_pos, mean_neg)]
    points, labels = np.concatenate(draws), np.repeat([1, -1], 100)
    train, test = np.split(rng.permutation(200), [160])
    return points[train], labels[train], points[test], labels[test]


def bayes_accuracy(mean_pos, mean_neg, cov_scale):
    """Return the accuracy of the best possible classifier, Phi(d / (2 sigma)).

    The means are d apart, and its boundary lies halfway. A point is misclassified if its
    noise in that direction, of standard deviation sigma, exceeds d / 2.
    """
    distance = math.dist(mean_pos, mean_neg)
    if not (distance < math.inf and 0 < cov_scale < math.inf):
        raise ValueError(f"means must be finite, cov_scale > 0: {mean_pos, mean_neg, cov_scale}")
    return NormalDist().cdf(distance / (2 * math.sqrt(cov_scale)))


def run_cases(seed=42, max_epochs=100, learning_rate=0.01):
    """Draw and learn the four cases, all from one generator; return a list of Trials."""
    rng, results = np.random.RandomState(seed), []
    for name, case in CASES.items():
        data = x_train, y_train, x_test, y_test = generate_dataset(*case, rng)
        model = Perceptron(2, max_epochs, learning_rate)
        history = model.train(x_train, y_train)
        scores = [np.mean(model.forward(x) == y) for x, y in [(x_train, y_train), (x_test, y_test)]]
        results.append(Trial(name, data, model.weights, history, *scores, bayes_accuracy(*case)))
    return results


@plain_style
def figure_1(results):
    """Draw each case, all to one scale: the points, the Gaussians and what is predicted where."""
    figure = plt.Figure(figsize=(9, 10.4), layout="constrained")
    figure.draw, figure.savefig = plain_style(figure.draw), plain_style(figure.savefig)
    ends = np.array([-1.05, 1.05]) * max(np.abs(r.data[k]).max() for r in results for k in (0, 2))
    look = {"aspect": "equal", "xlabel": "$x_1$", "ylabel": "$x_2$", "xlim": ends, "ylim": ends}
    shades = ("#0072B2", 0.25), ("#E69F00", 0.1)  # told apart in grey, too
    for i, axes in enumerate(figure.subplots(2, 2, subplot_kw=look).flat):
        case, (x, y, x_test, y_test), (w_1, w_2, b), *_, test, bayes = results[i]
        axes.set_title(f"Case {i + 1}: {case}\ntest accuracy {test:.3f}, Bayes-optimal {bayes:.3f}")
        scores = w_1 * ends + w_2 * ends[:, None] + b  # in the four corners
        axes.contourf(ends, ends, -scores, [-np.inf, 0, np.inf], colors=shades)
        if scores.min() < 0 < scores.max():
            axes.contour(ends, ends, scores, [0], colors="black", zorder=3)
        else:
            axes.text(0, 0.95 * ends[0], "the boundary lies outside", ha="center")
        *means, cov_scale = CASES[case]
        for label, mean, (color, depth) in zip((1, -1), means, shades, strict=True):
            name, train, test = f"class {label:+d}", x[y == label], x_test[y_test == label]
            axes.plot(*train.T, "o", c=color, mec="white", mew=0.6, ms=4.3, label=f"{name}, train")
            axes.plot(*test.T, "^", c=color, mec="black", mew=0.6, ms=5, label=f"{name}, test")
            axes.plot(*mean, "X", c=color, mec="white", ms=11, zorder=4, label=f"{name}, mean")
            axes.fill([], [], color=color, alpha=depth, label=f"predicted {label:+d}")
            for r, line in (cov_scale**0.5, "--"), (2 * cov_scale**0.5, ":"):
                axes.add_patch(plt.Circle(mean, r, ec=color, ls=line, lw=1.4, fill=False, zorder=3))
    for line, name in ("-", "boundary"), ("--", "1 sigma"), (":", "2 sigma"):
        axes.plot([], [], line, color="black", label=name)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


# Below is the command line. Nothing above needs it.
def main(argv=None):
    """Run the four cases from the command line."""
    parser = argparse.ArgumentParser(usage=argparse.SUPPRESS, allow_abbrev=False)
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    flag = parser.add_argument
    flag("--learning_rate", type=float, default=0.01, help="factor of the gradient")
    flag("--max_epochs", type=float, default=100, help="give up after so many epochs")
    flag("--seed", type=float, default=42, help="seed of the data; 42 gives the report's")
    flag("--repeats", type=float, default=1, help="seeds to average over, from --seed on")
    flag("--output_dir", type=os.path.expanduser, default="outputs", help="folder for Figure 1")
    flag("--no_output", action="store_true", help="print only, write no file")
    flag("--show", action="store_true", help="also open Figure 1 in a window")
    args = parser.parse_args(argv)
    for name, above in {"learning_rate": 0, "max_epochs": 0, "repeats": 0, "seed": -1}.items():
        value, whole = getattr(args, name), "whole, " * (name != "learning_rate")
        if not above < value < 10**9 or (whole and value % 1):
            parser.error(f"argument --{name}: {value} must be {whole}above {above} and below 10**9")
    max_epochs, repeats, seed = map(int, (args.max_epochs, args.repeats, args.seed))  # 1e2 is 100
    if args.show and plt.get_backend().lower() == "agg":
        parser.error("argument --show: no display or no window toolkit here; leave it out")
    try:
        if not args.no_output:
            os.makedirs(args.output_dir, exist_ok=True)
            tempfile.TemporaryFile(dir=args.output_dir).close()  # fails if it cannot be written
    except OSError as error:
        parser.error(f"argument --output_dir: {error}; name a folder that can be written")
    runs = [run_cases(seed + i, max_epochs, args.learning_rate) for i in range(repeats)]
    spread = f"   test, mean and std of {repeats} seeds" if repeats > 1 else ""
    print(f"{'case':<30} {'converged':<14} {'train':>7}{'test':>7}{'Bayes':>7}{spread}")
    for i, (name, _, _, history, *figures) in enumerate(runs[0]):
        epoch, tests = history["converged_epoch"], [run[i].test_accuracy for run in runs]
        converged = f"not in {max_epochs}" if epoch is None else f"at epoch {epoch}"
        spread = f"   {np.mean(tests):.3f}  {np.std(tests, ddof=1):.3f}" if repeats > 1 else ""
        print(f"{i + 1} {name:<28} {converged:<14} {''.join(f'{x:7.3f}' for x in figures)}{spread}")
    figure, path = figure_1(runs[0]), Path(args.output_dir, "figure1_perceptron.png")
    if not args.no_output:
        figure.savefig(scratch := path.with_suffix(".tmp"), format="png", dpi=150)
        print(f"wrote {scratch.replace(path)}")
    if args.show:
        plt.figure("Figure 1", FigureClass=lambda **options: figure)  # a window for it
        plt.show()
        plt.close(figure)


if __name__ == "__main__":
    try:
        main()
        getattr(sys.stdout, "flush", bool)()  # a notebook's or an IDE's may have none
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # such as a full disk, or, as with `| head -1`, nobody who reads on
        if sys.stdout is sys.__stdout__ and not sys.stdout.isatty():  # Python would try once more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1 if isinstance(error, BrokenPipeError) else f"error: {error}")
