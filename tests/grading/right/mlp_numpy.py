"""Part II: the network."""

from modules import Linear, ReLU, SoftMax


class MLP:
    """Linear and ReLU for each hidden layer, then Linear and SoftMax."""

    def __init__(self, n_inputs, n_hidden, n_classes):
        sizes = [n_inputs, *n_hidden, n_classes]
        self.linears = []
        self.layers = []
        for i in range(len(sizes) - 1):
            linear = Linear(sizes[i], sizes[i + 1])
            self.linears.append(linear)
            self.layers.append(linear)
            self.layers.append(ReLU())
        self.layers[-1] = SoftMax()  # the last ReLU is one too many

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout):
        for layer in self.layers[-2::-1]:  # the loss has done the softmax
            dout = layer.backward(dout)

    def update(self, learning_rate):
        for linear in self.linears:
            for name in ["weight", "bias"]:
                linear.params[name] -= learning_rate * linear.grads[name]
