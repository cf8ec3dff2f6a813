from Modules import *

class MLP:
    def __init__(self, n_inputs, n_hidden, n_classes):
        self.layers = []
        for n in n_hidden:
            self.layers += [Linear(n_inputs, n), ReLU()]
            n_inputs = n
        self.layers += [Linear(n_inputs, n_classes), SoftMax()]

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
