"""Judges a submission: asks what it does, compares it with the lecture, and names the cause.

The gradient that counts is that of the whole network, from the loss to the step.
"""

from grading.checks_layers import LayerChecks
from grading.checks_perceptron import PerceptronChecks
from grading.checks_trainer import TrainerChecks


class Judge(PerceptronChecks, LayerChecks, TrainerChecks):
    """All checks, in the order of the lecture."""

    def judge(self):
        """Return the rows."""
        self.perceptron()
        self.ask_layers()
        self.ask_trainer()
        self.layers()
        self.network()
        self.trainer()
        return self.rows
