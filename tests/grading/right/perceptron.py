"""Part I: a perceptron for two clouds of points in the plane."""

import numpy as np


class Perceptron:
    """Tells the classes +1 and -1 apart by a line."""

    def __init__(self, n_inputs, max_epochs=100, learning_rate=0.01):
        self.max_epochs = max_epochs
        self.learning_rate = learning_rate
        self.weights = np.zeros(n_inputs + 1)  # the last one is the bias

    def forward(self, x):
        score = x @ self.weights[:-1] + self.weights[-1]
        return np.where(score < 0, -1, 1)

    def train(self, x, labels):
        for _ in range(self.max_epochs):
            wrong = self.forward(x) != labels
            if not wrong.any():
                break
            points = x[wrong]
            signs = labels[wrong]
            n = len(points)
            towards_w = signs @ points / n
            towards_b = signs.sum() / n
            downhill = np.append(towards_w, towards_b)
            self.weights += self.learning_rate * downhill


def generate_dataset(mean_pos, mean_neg, cov_scale=0.5, rng=None):
    """Draw both clouds, mix them, and keep 40 of the 200 points for the test."""
    rng = np.random.default_rng(rng)
    deviation = np.sqrt(cov_scale)
    positive = rng.normal(mean_pos, deviation, (100, 2))
    negative = rng.normal(mean_neg, deviation, (100, 2))
    points = np.vstack([positive, negative])
    labels = np.array([1] * 100 + [-1] * 100)

    mixed = rng.permutation(200)
    points = points[mixed]
    labels = labels[mixed]
    return points[:160], labels[:160], points[160:], labels[160:]


def main():
    data = generate_dataset([2, 2], [-2, -2])
    train_points, train_labels, test_points, test_labels = data
    perceptron = Perceptron(2)
    perceptron.train(train_points, train_labels)
    hits = perceptron.forward(test_points) == test_labels
    print("test accuracy", hits.mean())


if __name__ == "__main__":
    main()
