"""Parts II and III: train the network, with batches of any size."""

import numpy as np

from mlp_numpy import MLP
from modules import CrossEntropy


def accuracy(predictions, targets):
    guess = predictions.argmax(axis=1)
    truth = targets.argmax(axis=1)
    return np.mean(guess == truth)


def train(
    model,
    x_train,
    y_train,
    x_test,
    y_test,
    learning_rate=0.01,
    max_steps=1500,
    eval_freq=10,
    batch_size=None,
    rng=None,
):
    """Train the model, and return its test accuracy, every eval_freq epochs."""
    rng = np.random.default_rng(rng)
    loss = CrossEntropy()
    n_rows = len(x_train)
    if batch_size is None:
        batch_size = n_rows
    curve = []
    for epoch in range(max_steps):
        order = rng.permutation(n_rows)
        for start in range(0, n_rows, batch_size):
            rows = order[start : start + batch_size]
            predictions = model.forward(x_train[rows])
            loss.forward(predictions, y_train[rows])
            model.backward(loss.backward())
            model.update(learning_rate)
        if epoch % eval_freq == 0:
            curve.append(accuracy(model.forward(x_test), y_test))
    return curve


def main():
    from sklearn.datasets import make_moons

    x, labels = make_moons(1000, noise=0.2, random_state=42)
    y = np.eye(2)[labels]
    model = MLP(2, [20], 2)
    curve = train(model, x[:800], y[:800], x[800:], y[800:])
    print("test accuracy", curve[-1])


if __name__ == "__main__":
    main()
