import argparse
import numpy as np
from sklearn.datasets import make_moons
from mlp_numpy import MLP
from modules import CrossEntropy, Linear

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.01)
FLAGS = parser.parse_args()
def accuracy(predictions, targets):
    return (predictions.argmax(1) == targets.argmax(1)).mean() * 100

def train(dnn_hidden_units, learning_rate, max_steps, eval_freq, batch_size=None):
    x, y = make_moons(1000, noise=0.2, random_state=0)
    y = np.eye(2)[y]
    x_train, x_test, y_train, y_test = x[:800], x[800:], y[:800], y[800:]
    model, loss = MLP(2, [int(n) for n in dnn_hidden_units.split(",")], 2), CrossEntropy()
    for step in range(max_steps):
        order = np.random.permutation(800)
        for i in range(0, 800, batch_size or 800):
            rows = order[i:i + (batch_size or 800)]
            p = model.forward(x_train[rows])
            model.backward(loss.backward(p, y_train[rows]))
            for layer in model.layers:
                if isinstance(layer, Linear):
                    for k in layer.params:
                        layer.params[k] = layer.params[k] - learning_rate * layer.grads[k]
    return accuracy(model.forward(x_test), y_test)
