"""A network that goes back through all of its layers and leaves the step to the trainer."""

from itertools import pairwise

from modules import Linear, ReLU, SoftMax


class MLP:
    def __init__(self, n_inputs, n_hidden, n_classes):
        sizes = [n_inputs, *n_hidden]
        self.output, self.softmax = Linear(sizes[-1], n_classes), SoftMax()
        self.hidden = [(Linear(a, b), ReLU()) for a, b in pairwise(sizes)]

    def forward(self, x):
        for linear, relu in self.hidden:
            x = relu.forward(linear.forward(x))
        return self.softmax.forward(self.output.forward(x))

    def backward(self, dout):
        dout = self.output.backward(self.softmax.backward(dout))
        for linear, relu in reversed(self.hidden):
            dout = linear.backward(relu.backward(dout))
