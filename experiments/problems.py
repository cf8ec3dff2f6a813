"""Part III: the playground's data sets, and the best accuracy that can be had on each.

Every class is a set of places, such as a half circle, and a row is a place plus Gaussian noise.
So the density of a class is known: a mean of Gaussians, one around each of its places.
"""

import numpy as np
from sklearn.model_selection import train_test_split

from train_mlp_numpy import Data, accuracy, load_data

PROBLEMS = ("moons", "circles", "blobs", "xor", "spiral")


def load_problem(name, noise=0.2, seed=42, n_samples=1000):
    """Return one of PROBLEMS as a Data; `noise` is the standard deviation on each coordinate.

    `xor` has a cloud in each quadrant, opposite ones of one class. `spiral` has two arms. The
    others are those of `load_data`. Another name is a ValueError.
    """
    if name not in ("xor", "spiral"):
        return load_data(name, n_samples, noise, seed=seed)
    labels = np.arange(n_samples) % 2
    if name == "xor":
        quadrant = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
        places = 0.5 * quadrant[np.arange(n_samples) % 4]
    else:
        turned = np.linspace(0.5, 3, n_samples) * np.pi
        angle = turned + np.pi * labels
        places = 0.2 * turned[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    x = places + noise * np.random.RandomState(seed).normal(size=places.shape)
    split = train_test_split(x, np.eye(2)[labels], test_size=0.2, random_state=seed)
    return Data(split[0], split[2], split[1], split[3])


def bayes_accuracy(name, noise, data):
    """Return the accuracies on both parts of a Data, two fractions, of the best rule there is.

    The Bayes rule takes the class whose density is the greatest. On average no rule does better; on
    few rows one may, by luck. `data` is what `load_problem` returns for this noise.
    """
    places = load_problem(name, noise=0)
    centers, classes = np.vstack(places[::2]), np.vstack(places[1::2])

    def densities(x):
        distances = ((x[:, None] - centers) ** 2).sum(axis=-1)
        nearest = distances.min(axis=1, keepdims=True)
        return np.exp((nearest - distances) / (2 * max(noise, 1e-3) ** 2)) @ classes

    return [
        accuracy(densities(x), y)
        for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test))
    ]
