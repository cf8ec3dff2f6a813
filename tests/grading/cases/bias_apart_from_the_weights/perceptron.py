import numpy as np

class Perceptron:
    def __init__(self, n_inputs, max_epochs=100, learning_rate=0.01):
        self.n_inputs, self.max_epochs, self.learning_rate = n_inputs, max_epochs, learning_rate
        self.weights, self.bias = np.zeros(n_inputs), 0.0

    def forward(self, x):
        return np.where(x @ self.weights + self.bias >= 0, 1, -1)

    def train(self, x, labels):
        for _ in range(self.max_epochs):
            wrong = self.forward(x) * labels < 0
            if not wrong.any():
                break
            rows = np.column_stack([x, np.ones(len(x))])[wrong]
            step = self.learning_rate * labels[wrong] @ rows / wrong.sum()
            self.weights, self.bias = self.weights + step[:-1], self.bias + step[-1]
