"""A perceptron that predicts a point at a time, and keeps a history of its own."""

import numpy as np


def generate_dataset(mean_pos, mean_neg, cov_scale=0.5):
    cov = cov_scale * np.eye(2)
    positive = np.random.multivariate_normal(mean_pos, cov, 100)
    negative = np.random.multivariate_normal(mean_neg, cov, 100)
    x, y = np.vstack([positive, negative]), np.hstack([np.ones(100), -np.ones(100)])
    order = np.random.permutation(200)
    x, y = x[order], y[order]
    return x[:160], y[:160], x[160:], y[160:]


class Perceptron:
    def __init__(self, n_inputs, max_epochs=100, learning_rate=0.01):
        self.max_epochs, self.learning_rate = max_epochs, learning_rate
        self.weights = np.zeros(n_inputs + 1)

    def forward(self, point):
        return 1 if np.dot(self.weights[:-1], point) + self.weights[-1] >= 0 else -1

    def train(self, points, labels):
        errors = []
        for _ in range(self.max_epochs):
            total, n_wrong = np.zeros_like(self.weights), 0
            for point, label in zip(points, labels, strict=True):
                if self.forward(point) != label:
                    total += label * np.append(point, 1)
                    n_wrong += 1
            errors.append(n_wrong)
            if n_wrong == 0:
                break
            self.weights += self.learning_rate * total / n_wrong
        return {"errors": errors}
