"""Part III: the playground's data sets, and the best accuracy that can be had on each.

Every class is a set of places, such as a half circle, and a row is a place plus Gaussian noise.
So the density of a class is known: a mean of Gaussians, one around each of its places.
"""

import numpy as np
from sklearn.model_selection import train_test_split

from train_mlp_numpy import Data, accuracy, load_data

PROBLEMS = ("moons", "circles", "blobs", "xor", "spiral")


def load_problem(name, noise=0.2, seed=42, n_samples=1000):
    """Return one of PROBLEMS as a Data. Of `xor` and `spiral`, the places are below.

    Args:
        name: one of PROBLEMS.
        noise: the standard deviation of the Gaussian noise on each coordinate.
        seed: of the noise, and of the split.
        n_samples: rows in all; a fifth of them is for testing.

    Raises:
        ValueError: when there is no data set of this name.
    """
    if name == "xor":
        places, labels = xor_places(n_samples)
    elif name == "spiral":
        places, labels = spiral_places(n_samples)
    else:
        return load_data(name, n_samples, noise, seed=seed)
    rng = np.random.RandomState(seed)
    x = places + noise * rng.normal(size=places.shape)
    y = np.eye(2)[labels]
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=seed)
    return Data(x_train, y_train, x_test, y_test)


def xor_places(n_samples):
    """Return n_samples places and their labels: the middle of each quadrant in turn.

    Opposite quadrants are of one class.
    """
    corners = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    sample = np.arange(n_samples)
    places = 0.5 * corners[sample % 4]
    labels = sample % 2
    return places, labels


def spiral_places(n_samples):
    """Return n_samples places and their labels: two arms, one of them turned by half a circle."""
    labels = np.arange(n_samples) % 2
    turned = np.pi * np.linspace(0.5, 3, n_samples)
    radius = 0.2 * turned
    angle = turned + np.pi * labels
    places = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    return places, labels


def bayes_accuracy(name, noise, data):
    """Return the accuracies of the best rule there is: on the training rows, and on the test rows.

    The Bayes rule takes the class whose density is the greatest. On average no rule does better; on
    few rows one may, by luck. `data` is what `load_problem` returns for this name and noise.
    """
    without_noise = load_problem(name, noise=0)
    places = np.vstack([without_noise.x_train, without_noise.x_test])
    classes = np.vstack([without_noise.y_train, without_noise.y_test])
    on_train = densities(data.x_train, places, classes, noise)
    on_test = densities(data.x_test, places, classes, noise)
    return [accuracy(on_train, data.y_train), accuracy(on_test, data.y_test)]


def densities(x, places, classes, noise):
    """Return the density of each class at each row of x, times a number that differs by row.

    That number keeps the exponential of the nearest place at 1, else all could come out as 0.

    Args:
        x: rows, of shape (N, 2).
        places: those of all classes, of shape (K, 2).
        classes: of each place, one-hot, of shape (K, n_classes).
        noise: the standard deviation on each coordinate.
    """
    deviation = max(noise, 1e-3)  # without noise, the nearest place decides
    squares = ((x[:, None] - places) ** 2).sum(axis=-1)
    nearest = squares.min(axis=1, keepdims=True)
    gaussians = np.exp((nearest - squares) / (2 * deviation**2))
    return gaussians @ classes
