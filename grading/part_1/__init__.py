"""Part I: the perceptron and its data."""
