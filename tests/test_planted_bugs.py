"""The checks are checked: each planted bug is found by the check that is there for it.

A bug replaces a piece of a file, once, in a copy of the project. The check of test_solution.py
named beside it must fail, and say what is wrong in the terms of the lecture.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
LAYERS, NETWORK, PERCEPTRON, LOOP = (
    "modules.py",
    "mlp_numpy.py",
    "perceptron.py",
    "train_mlp_numpy.py",
)
FILES = (LAYERS, NETWORK, PERCEPTRON, LOOP, "common.py", "command_line.py", "signals.py")


class Bug(NamedTuple):
    """A mistake, the check that is there for it, and a part of what that check says."""

    name: str
    file: str
    right: str
    wrong: str
    check: str
    says: str


WEIGHT_GRADIENT = 'self.grads["weight"] = x.T.dot(dout)'
BIAS_GRADIENT = 'self.grads["bias"] = dout.sum(axis=0)'
LINEAR_X = "        self.x = x\n        out = x.dot(weight)"
RELU_X = "self.x = np.asarray(x, dtype=float)\n        return np.maximum(self.x, 0.0)"
MASK = "dout * (self.x > 0.0).astype(float)"
JACOBIAN = "self.out * (dout - (dout * self.out).sum(axis=1, keepdims=True))"
SHIFTED = "out -= out.max(axis=0)\n        np.exp(out, out=out)\n        out /= out.sum(axis=0)\n"
LOSS = "float(np.sum(targets * -np.log(np.maximum(predictions, 1e-15)))) / len(targets)"
DLOGITS = "dlogits = predictions - targets\n        dlogits /= len(predictions)"
KEPT = "self.predictions, self.targets = predictions, targets\n"
STEP = "linear.params[name] = linear.params[name] - learning_rate * gradient"
GATHER = "data.x_train.take(rows, axis=0), data.y_train.take(rows, axis=0)"
EPOCH = "            order = rng.permutation(n_rows)\n"
SPLITS = "((data.x_train, data.y_train), (data.x_test, data.y_test))"
BATCHES = "range(0, len(rows), batch_size)"
RECORD = "record(step) if step % eval_freq == 0 or step == max_steps else None"
RIGHT = "predictions.argmax(axis=1) == targets.argmax(axis=1)"
GRADIENT = "gradient = -(labels[wrong] @ x[wrong]) / n_wrong"
DESCEND = "self.weights = self.weights - self.learning_rate * gradient"

weight, bias, dx = (
    "test_linear_sums_the_weight_gradient_over_the_batch",
    "test_linear_sums_the_bias_gradient_over_the_batch",
    "test_linear_returns_the_gradient_of_its_input",
)
linear, once, stale, linear_args, start = (
    "test_linear_computes_x_times_weight_plus_bias",
    "test_linear_overwrites_its_gradients",
    "test_linear_uses_its_latest_input",
    "test_linear_changes_neither_its_arguments_nor_its_parameters",
    "test_linear_starts_with_small_random_weights_and_no_bias",
)
relu, mask, relu_stale, args = (
    "test_relu_cuts_off_below_zero",
    "test_relu_lets_the_gradient_pass_where_its_input_is_positive",
    "test_relu_uses_its_latest_input",
    "test_a_layer_without_parameters_changes_none_of_its_arguments",
)
softmax, overflow, jacobian, softmax_stale = (
    "test_softmax_makes_probabilities_of_each_row",
    "test_softmax_of_large_logits_does_not_overflow",
    "test_softmax_has_its_true_derivative_or_passes_the_gradient_through",
    "test_softmax_uses_its_latest_output",
)
loss, clip, dlogits, loss_stale, loss_args = (
    "test_cross_entropy_is_the_mean_over_the_batch",
    "test_cross_entropy_of_a_probability_of_zero_is_large_but_finite",
    "test_cross_entropy_has_the_gradient_of_the_logits_or_of_the_probabilities",
    "test_cross_entropy_uses_its_latest_predictions",
    "test_cross_entropy_changes_none_of_its_arguments",
)
network, gradients, update, lower = (
    "test_the_network_is_linear_and_relu_then_linear_and_softmax",
    "test_every_gradient_of_the_network_is_that_of_its_loss",
    "test_the_update_takes_a_step_against_every_gradient",
    "test_a_small_step_lowers_the_loss",
)
epoch, together, every_batch, history, split, seed, accuracy = (
    "test_an_epoch_visits_every_row_once_in_a_new_order",
    "test_rows_are_shuffled_together_with_their_targets",
    "test_every_batch_is_forward_backward_and_update_at_the_learning_rate",
    "test_the_history_is_taken_at_0_every_eval_freq_and_at_the_end",
    "test_the_history_is_of_the_network_of_its_epoch_and_of_the_split_it_names",
    "test_the_same_seed_trains_the_same_network",
    "test_accuracy_is_the_share_of_rows_whose_largest_prediction_is_right",
)
zero, sign, descent, zero_score, stops, most, perceptron_args, gaussians = (
    "test_the_perceptron_starts_at_zero_with_the_bias_as_its_last_weight",
    "test_the_perceptron_predicts_the_sign_and_plus_one_at_zero",
    "test_an_epoch_averages_the_gradient_over_the_misclassified_points",
    "test_the_first_epoch_takes_a_score_of_zero_for_plus_one",
    "test_training_stops_at_the_first_epoch_without_a_mistake",
    "test_training_takes_no_more_than_max_epochs_steps",
    "test_training_the_perceptron_changes_none_of_its_arguments",
    "test_the_two_gaussians_are_pooled_shuffled_and_split",
)

BUGS = [
    # Linear
    Bug("bias forgotten", LAYERS, "        out += bias\n", "", linear, "forgets the bias"),
    Bug("bias subtracted", LAYERS, "out += bias", "out -= bias", linear, "subtracts the bias"),
    Bug("weight gradient averaged", LAYERS, WEIGHT_GRADIENT, WEIGHT_GRADIENT + " / len(x)", weight,
        "averaged over the batch, but should be summed"),
    Bug("weight gradient transposed", LAYERS, WEIGHT_GRADIENT,
        'self.grads["weight"] = dout.T.dot(x).reshape(weight.shape)', weight, "transposed"),
    Bug("weight gradient forgotten", LAYERS, WEIGHT_GRADIENT, "pass", weight, "is zero"),
    Bug("weight gradient of the wrong sign", LAYERS, WEIGHT_GRADIENT,
        'self.grads["weight"] = -x.T.dot(dout)', weight, "wrong sign"),
    Bug("weight gradient of another shape", LAYERS, WEIGHT_GRADIENT,
        'self.grads["weight"] = dout.T.dot(x)', weight, "is transposed"),
    Bug("weight gradients accumulate", LAYERS, WEIGHT_GRADIENT,
        'self.grads["weight"] = self.grads["weight"] + x.T.dot(dout)', once, "is added to that"),
    Bug("bias gradients accumulate", LAYERS, BIAS_GRADIENT,
        'self.grads["bias"] = self.grads["bias"] + dout.sum(axis=0)', once, "is added to that"),
    Bug("bias gradient averaged", LAYERS, BIAS_GRADIENT,
        'self.grads["bias"] = dout.mean(axis=0)', bias,
        "averaged over the batch, but should be summed"),
    Bug("bias gradient forgotten", LAYERS, BIAS_GRADIENT, "pass", bias, "left out"),
    Bug("bias gradient over the wrong axis", LAYERS, BIAS_GRADIENT,
        'self.grads["bias"] = dout.sum(axis=1)', bias, "summed over the outputs"),
    Bug("bias gradient not summed", LAYERS, BIAS_GRADIENT, 'self.grads["bias"] = dout', bias,
        "not summed over the batch"),
    Bug("input gradient averaged", LAYERS, "return dout.dot(weight.T) if",
        "return dout.dot(weight.T) / len(x) if", dx, "each row has its own"),
    Bug("input gradient not transposed", LAYERS, "return dout.dot(weight.T) if",
        "return weight.dot(dout.T) if", dx, "is transposed"),
    Bug("weight not transposed on the way back", LAYERS, "return dout.dot(weight.T) if",
        "return dout.dot(weight) if", dx, "lacks the transpose of the weight"),
    Bug("input not kept", LAYERS, LINEAR_X, LINEAR_X.replace("self.x = x", "self.x = None"), weight,
        r"Linear.backward raises .* for x \(5, 3\), dout \(5, 4\)"),
    Bug("input gradient not returned", LAYERS, "return dout.dot(weight.T) if",
        "return None if", dx, "nothing is returned"),
    Bug("stale input", LAYERS, LINEAR_X,
        LINEAR_X.replace("= x\n", "= x if self.x is None else self.x\n"), stale, "stale"),
    Bug("input overwritten", LAYERS, "        out = x.dot(weight)\n",
        "        out = x.dot(weight)\n        x -= x.mean(axis=0)\n", linear_args,
        "Linear.forward changes its argument"),
    Bug("upstream gradient overwritten", LAYERS, WEIGHT_GRADIENT,
        WEIGHT_GRADIENT + "\n        dout /= len(x)", linear_args, "Linear.backward changes"),
    Bug("weights updated by backward", LAYERS, WEIGHT_GRADIENT,
        WEIGHT_GRADIENT + '\n        weight -= 0.01 * self.grads["weight"]', linear_args,
        "changes its parameters"),
    Bug("weights start at zero", LAYERS, "as_rng(rng).normal(0, 0.1, (in_features, out_features))",
        "np.zeros((in_features, out_features))", start, "all the same"),
    Bug("units start alike", LAYERS, "normal(0, 0.1, (in_features, out_features))",
        "normal(0, 0.1, (in_features, 1)).repeat(out_features, axis=1)", start, "all the same"),
    Bug("biases start at one", LAYERS, '"bias": np.zeros(out_features)',
        '"bias": np.ones(out_features)', start, "initial bias"),
    # ReLU
    Bug("absolute value for ReLU", LAYERS, "return np.maximum(self.x, 0.0)",
        "return np.abs(self.x)", relu, "absolute value"),
    Bug("ReLU upside down", LAYERS, "return np.maximum(self.x, 0.0)",
        "return np.minimum(self.x, 0.0)", relu, "cuts off above zero"),
    Bug("ReLU mask forgotten", LAYERS, MASK, "dout", mask, "not masked"),
    Bug("ReLU mask inverted", LAYERS, MASK, "dout * (self.x <= 0.0)", mask, "wrong way round"),
    Bug("ReLU mask of dout", LAYERS, MASK, "dout * (dout > 0.0)", mask, "sign of dout"),
    Bug("ReLU derivative of 1 at 0", LAYERS, MASK, "dout * (self.x >= 0.0)", mask,
        "at an input of 0"),
    Bug("ReLU mask alone", LAYERS, MASK, "(self.x > 0.0).astype(float)", mask, "mask alone"),
    Bug("stale ReLU mask", LAYERS, RELU_X,
        "x = np.asarray(x, dtype=float)\n        if self.x is None:\n            self.x = x\n"
        "        return np.maximum(x, 0.0)", relu_stale, "stale"),
    Bug("ReLU in place", LAYERS, "return np.maximum(self.x, 0.0)",
        "return np.maximum(self.x, 0.0, out=self.x)", args, "ReLU.forward changes"),
    # SoftMax
    Bug("softmax over the batch", LAYERS, "out /= out.sum(axis=0)",
        "out /= out.sum(axis=1, keepdims=True)", softmax, "normalised over the batch"),
    Bug("softmax not normalised", LAYERS, "        out /= out.sum(axis=0)\n", "", softmax,
        "do not sum to 1"),
    Bug("softmax over everything", LAYERS, "out /= out.sum(axis=0)", "out /= out.sum()", softmax,
        "not within each row"),
    Bug("softmax over the batch, shifted by row", LAYERS, SHIFTED,
        "out -= out.max(axis=0)\n        np.exp(out, out=out)\n"
        "        out /= out.sum(axis=1, keepdims=True)\n", overflow, "normalised over the batch"),
    Bug("softmax shifted by column", LAYERS, "out -= out.max(axis=0)",
        "out -= out.max(axis=1, keepdims=True)", overflow, "maximum of each column"),
    Bug("softmax without the shift", LAYERS, "        out -= out.max(axis=0)\n", "", overflow,
        "overflows"),
    Bug("softmax shifted by the global maximum", LAYERS, "out -= out.max(axis=0)",
        "out -= out.max()", overflow, "maximum of the whole batch"),
    Bug("softmax shift of the wrong sign", LAYERS, "out -= out.max(axis=0)",
        "out += out.max(axis=0)", overflow, "overflows"),
    Bug("softmax in place", LAYERS, "out = x.T.copy()", "out = x.T", args,
        "SoftMax.forward changes"),
    Bug("softmax derivative without the sum", LAYERS, JACOBIAN, "self.out * dout", jacobian,
        "leaves out the sum"),
    Bug("softmax derivative of the diagonal", LAYERS, JACOBIAN,
        "self.out * (1 - self.out) * dout", jacobian, "diagonal"),
    Bug("softmax derivative over the batch", LAYERS, JACOBIAN,
        "self.out * (dout - (dout * self.out).sum(axis=0))", jacobian, "sums over the batch"),
    Bug("stale softmax", LAYERS, "self.out = out\n",
        "self.out = out if self.out is None else self.out\n", softmax_stale, "stale"),
    # CrossEntropy
    Bug("loss summed", LAYERS, LOSS, LOSS.removesuffix(" / len(targets)"), loss,
        "summed over the batch, but should be averaged"),
    Bug("loss averaged over the elements", LAYERS, LOSS,
        LOSS.replace("len(targets)", "targets.size"), loss, "number of classes, too"),
    Bug("loss of the wrong sign", LAYERS, "* -np.log", "* np.log", loss, "wrong sign"),
    Bug("logarithm to the base of 10", LAYERS, "-np.log(", "-np.log10(", loss, "base of 10"),
    Bug("logarithm of zero", LAYERS, "np.maximum(predictions, 1e-15)", "predictions", clip,
        "not finite"),
    Bug("clipped far from zero", LAYERS, "1e-15)))", "1e-3)))", clip, "clipped too far"),
    Bug("gradient not divided by N", LAYERS, DLOGITS, DLOGITS.partition("\n")[0], dlogits,
        "not divided by N"),
    Bug("gradient divided by N twice", LAYERS, DLOGITS, DLOGITS + "**2", dlogits, "N, .*, twice"),
    Bug("gradient divided by the classes", LAYERS, DLOGITS,
        DLOGITS.replace("len(predictions)", "predictions.shape[1]"), dlogits, "number of classes"),
    Bug("gradient of the wrong sign", LAYERS, "predictions - targets\n", "targets - predictions\n",
        dlogits, "wrong sign"),
    Bug("stale predictions", LAYERS, KEPT,
        "if self.predictions is None:\n            " + KEPT, loss_stale, "stale"),
    Bug("predictions overwritten", LAYERS, DLOGITS,
        DLOGITS.replace("predictions - targets", "predictions; dlogits -= targets"), loss_args,
        "CrossEntropy.backward changes"),
    # The network
    Bug("softmax derivative taken twice", NETWORK, "self.layers[:-1]  # all but the softmax",
        "self.layers", gradients, "derivative of the softmax twice"),
    Bug("first layer left out of the way back", NETWORK,
        "        first.backward(dout, input_gradient=False)\n", "", gradients, "is zero"),
    Bug("way back in the order of the forward pass", NETWORK, "in reversed(others)", "in others",
        gradients, "not get to the last Linear layer, where the way back should begin"),
    Bug("ReLU behind the output layer", NETWORK, "self.layers[-1] = SoftMax()",
        "self.layers.append(SoftMax())", network, "behind the last Linear layer"),
    Bug("ReLU missing", NETWORK, "x = layer.forward(x)",
        "x = x if isinstance(layer, ReLU) else layer.forward(x)", network, "without a ReLU"),
    Bug("softmax missing", NETWORK, "for layer in self.layers:", "for layer in self.layers[:-1]:",
        network, "holds logits"),
    Bug("update goes up the gradient", NETWORK, STEP, STEP.replace(" - ", " + "), update,
        "goes up the gradient"),
    Bug("update without the learning rate", NETWORK, STEP, STEP.replace("learning_rate * ", ""),
        update, "leaves out the learning rate"),
    Bug("update of the weights alone", NETWORK, STEP,
        'if name == "weight":\n                    ' + STEP, update, "bias of .* is not updated"),
    Bug("update of the last layer alone", NETWORK,
        "for linear in self.layers[::2]:\n            for name, grad",
        "for linear in self.layers[-2:-1]:\n            for name, grad", update, "is not updated"),
    Bug("update replaces the weights", NETWORK, STEP,
        "linear.params[name] = -learning_rate * gradient", update, "replaced by the step"),
    Bug("update a thousand times too far", NETWORK, STEP,
        STEP.replace("learning_rate", "1000 * learning_rate"), lower, "do not lower the loss"),
    Bug("update taken twice", NETWORK, STEP, STEP.replace("learning_rate", "2 * learning_rate"),
        update, "takes the step twice"),
    Bug("update with momentum", NETWORK, STEP, "linear.v = {**vars(linear).get('v', {})}\n"
        "                linear.v[name] = 0.9 * linear.v.get(name, 0) + gradient\n"
        "                " + STEP.replace("gradient", "linear.v[name]"), update,
        "1.9 times the first step: is there a momentum"),
    # The training loop
    Bug("rows shuffled without their targets", LOOP, GATHER,
        "data.x_train.take(rows, axis=0), data.y_train", together, "targets of other rows"),
    Bug("targets shuffled apart", LOOP, GATHER,
        "data.x_train.take(rows, axis=0), data.y_train.take(np.random.permutation(rows), axis=0)",
        together, "targets of other rows"),
    Bug("last batch dropped", LOOP, BATCHES, "range(0, len(rows) - batch_size + 1, batch_size)",
        epoch, "short last batch"),
    Bug("last batch repeated", LOOP, BATCHES, "[*range(0, len(rows), batch_size), len(rows) - 1]",
        epoch, "none is repeated"),
    Bug("batches overlap", LOOP, "slice(start, start + batch_size)",
        "slice(start, start + batch_size + 1)", epoch, "the batches have"),
    Bug("first row never seen", LOOP, BATCHES, "range(1, len(rows), batch_size)", epoch,
        "the batches have"),
    Bug("one permutation for all epochs", LOOP, EPOCH,
        "            order = np.random.RandomState(0).permutation(n_rows)\n", epoch, "same order"),
    Bug("one permutation that is rolled", LOOP, EPOCH,
        "            order = rng.permutation(n_rows) if step == 1 else np.roll(order, 1)\n", epoch,
        "order of another, rolled"),
    Bug("batches of the same rows in every epoch", LOOP, EPOCH,
        EPOCH.replace("\n", " if step == 1 else np.concatenate([rng.permutation(rows) for rows in "
        "np.split(order, range(batch_size, n_rows, batch_size))])\n"), epoch,
        "same rows make a batch"),
    Bug("no shuffle", LOOP, EPOCH, "            order = np.arange(n_rows)\n", epoch,
        "not shuffled"),
    Bug("drawn with replacement", LOOP, EPOCH,
        "            order = rng.choice(n_rows, n_rows)\n", epoch, "exactly once"),
    Bug("an epoch too few", LOOP, "in range(1, max_steps + 1)", "in range(1, max_steps)", history,
        "history is of epochs"),
    Bug("global generator", LOOP, EPOCH,
        "            order = np.random.permutation(n_rows)\n", seed, "global generator"),
    Bug("update once an epoch", LOOP, "                    model.update(learning_rate)\n",
        "                model.update(learning_rate)\n", every_batch,
        "are 40 updates, but should be 200"),
    Bug("learning rate divided by the batch size", LOOP, "model.update(learning_rate)",
        "model.update(learning_rate / batch_size)", every_batch, "the rates"),
    Bug("learning rate that decays", LOOP, "model.update(learning_rate)",
        "model.update(learning_rate * (1 if step < 5 else 0.9))", every_batch, "at the rates"),
    Bug("gradient scaled in the loop", LOOP, "model.backward(loss.backward(predictions, y))",
        "model.backward(loss.backward(predictions, y) / 2)", together,
        "0.5 times the gradient of the loss"),
    Bug("update before the backward pass", LOOP,
        "                    model.backward(loss.backward(predictions, y))\n"
        "                    model.update(learning_rate)\n",
        "                    model.update(learning_rate)\n"
        "                    model.backward(loss.backward(predictions, y))\n",
        every_batch, "does not follow"),
    Bug("history without the start", LOOP, "        metrics = record(0)\n",
        "        metrics = evaluate(model, data)\n", history, "history is of epochs"),
    Bug("history off by one", LOOP, RECORD, RECORD.replace("step %", "(step - 1) %"), history,
        "history is of epochs"),
    Bug("history without the end", LOOP, RECORD, RECORD.replace(" or step == max_steps", ""),
        history, "history is of epochs"),
    Bug("evaluated on the training rows alone", LOOP, SPLITS,
        "((data.x_train, data.y_train), (data.x_train, data.y_train))", split,
        "test_loss .* is that of the train rows"),
    Bug("splits confused", LOOP, SPLITS,
        "((data.x_test, data.y_test), (data.x_train, data.y_train))", split,
        "train_loss .* is that of the test rows"),
    Bug("accuracy of the elements", LOOP, RIGHT,
        "(predictions > 0.5) == (targets > 0.5)", accuracy, "compares every element"),
    Bug("accuracy over the wrong axis", LOOP, RIGHT, RIGHT.replace("axis=1", "axis=0"),
        accuracy, "compares the columns"),
    # The perceptron
    Bug("perceptron starts at one", PERCEPTRON, "np.zeros(n_inputs + 1)", "np.ones(n_inputs + 1)",
        zero, "is all ones"),
    Bug("no weight for the bias", PERCEPTRON, "np.zeros(n_inputs + 1)", "np.zeros(n_inputs)", zero,
        "no place for the bias"),
    Bug("sign(0) is -1", PERCEPTRON, "@ self.weights >= 0, 1, -1)", "@ self.weights > 0, 1, -1)",
        sign, r"at w\.x \+ b = 0"),
    Bug("column of zeros for the bias", PERCEPTRON, "np.ones(len(x))])", "np.zeros(len(x))])", sign,
        "leaves out the bias"),
    Bug("labels of the wrong sign", PERCEPTRON, "@ self.weights >= 0, 1, -1)",
        "@ self.weights >= 0, -1, 1)", sign, "wrong sign"),
    Bug("perceptron goes up the gradient", PERCEPTRON, DESCEND, DESCEND.replace(" - ", " + "),
        descent, "goes up"),
    Bug("perceptron without its learning rate", PERCEPTRON, DESCEND,
        DESCEND.replace("self.learning_rate * ", ""), descent, "leaves out the learning rate"),
    Bug("perceptron's gradient summed", PERCEPTRON, GRADIENT, GRADIENT.removesuffix(" / n_wrong"),
        descent, "sums the gradient"),
    Bug("perceptron's gradient of w summed", PERCEPTRON, GRADIENT,
        GRADIENT + "; gradient[:-1] *= n_wrong", descent, "sums the gradient of w"),
    Bug("perceptron's gradient of b summed", PERCEPTRON, GRADIENT,
        GRADIENT + "; gradient[-1] *= n_wrong", descent, "sums the gradient of b"),
    Bug("perceptron corrects zero scores", PERCEPTRON,
        "wrong = np.where(scores >= 0, 1, -1) != labels",
        "wrong = labels * scores <= 0", zero_score, r"counts points at w\.x \+ b = 0"),
    Bug("perceptron from point to point", PERCEPTRON, DESCEND, "for row, label in zip(x, labels):\n"
        "                    if label * (row @ self.weights) < 0:\n"
        "                        self.weights = self.weights + self.learning_rate * label * row",
        descent, "takes a step for each point"),
    Bug("perceptron replaces its weights", PERCEPTRON, DESCEND,
        "self.weights = -self.learning_rate * gradient", zero_score, "replaces the weights"),
    Bug("perceptron's gradient averaged over all", PERCEPTRON, GRADIENT,
        GRADIENT.replace("n_wrong", "len(x)"), descent, "over all points"),
    Bug("perceptron learns from the right points", PERCEPTRON, "!= labels\n", "== labels\n",
        descent, "learns from the points that are right"),
    Bug("perceptron learns without labels", PERCEPTRON, GRADIENT,
        "gradient = -x[wrong].sum(axis=0) / n_wrong", descent, "leaves out the labels"),
    Bug("perceptron's bias not learned", PERCEPTRON, GRADIENT, GRADIENT + "; gradient[-1] = 0",
        descent, "leaves the bias"),
    Bug("perceptron never stops", PERCEPTRON, "            if n_wrong == 0:\n",
        "            if n_wrong < 0:\n", stops, "divides by zero"),
    Bug("perceptron stops too late", PERCEPTRON, '["converged_epoch"] = epoch\n',
        '["converged_epoch"] = epoch + 1\n', stops, "counts epochs from 1"),
    Bug("perceptron trains an epoch too many", PERCEPTRON, "in range(self.max_epochs)",
        "in range(self.max_epochs + 1)", most, "one epoch too many"),
    Bug("perceptron's loss of the wrong sign", PERCEPTRON, "0.0 - labels[wrong] @ scores[wrong]",
        "labels[wrong] @ scores[wrong]", most, "loss .* has the wrong sign"),
    Bug("labels overwritten", PERCEPTRON, "        history = {",
        "        labels[:1] = -labels[:1]\n        history = {", perceptron_args,
        "changes its argument"),
    Bug("points shuffled without their labels", PERCEPTRON, "POINTS_PER_CLASS)[order]",
        "POINTS_PER_CLASS)", gaussians, "labels of others"),
    Bug("classes not shuffled", PERCEPTRON, "order = rng.permutation(2 * POINTS_PER_CLASS)",
        "order = np.arange(2 * POINTS_PER_CLASS)", gaussians, "not shuffled"),
    Bug("test points are training points", PERCEPTRON, "points[N_TRAIN:], labels[N_TRAIN:]",
        "points[:40], labels[:40]", gaussians, "occur twice"),
    Bug("variance taken for a deviation", PERCEPTRON, "cov = cov_scale * np.eye",
        "cov = cov_scale**2 * np.eye", gaussians, "cov_scale is the variance"),
    Bug("class -1 with another covariance", PERCEPTRON, "(mean_neg, cov, ", "(mean_neg, cov / 4, ",
        gaussians, "points of class -1 vary"),
    Bug("class -1 at half of its mean", PERCEPTRON, "(mean_neg, cov, ", "(mean_neg / 2, cov, ",
        gaussians, "class -1 has its mean near"),
    Bug("means with the same second coordinate", PERCEPTRON, "(mean_pos, cov, ",
        "([mean_pos[0], mean_neg[1]], cov, ", gaussians, r"class \+1 has its mean near"),
    Bug("coordinates fully correlated", PERCEPTRON, "cov_scale * np.eye(len(mean_pos))",
        "cov_scale * np.ones((2, 2))", gaussians, "are correlated"),
]  # fmt: skip


class Verdict:
    """A pytest plugin that keeps what failed, and in which words."""

    def __init__(self):
        self.failures = []

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failures.append(report.longreprtext)


def failures(folder, check=None):
    """Return the texts of the checks that fail for the solution in a folder."""
    checks = str(ROOT / "tests" / "test_solution.py") + (f"::{check}" if check else "")
    verdict = Verdict()
    options = ["-p", "no:cacheprovider", f"--solution={folder}"]
    status = pytest.main([*options, checks], plugins=[verdict])
    assert status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return verdict.failures


@pytest.fixture
def copy(tmp_path):
    """A copy of the project's files, to break."""
    for file in FILES:
        shutil.copy(ROOT / file, tmp_path)
    return tmp_path


def plant(folder, bug):
    """Replace what is right by what is wrong."""
    source = (folder / bug.file).read_text()
    assert source.count(bug.right) == 1
    (folder / bug.file).write_text(source.replace(bug.right, bug.wrong))


def test_no_bug_is_planted_twice():
    assert len({(bug.file, bug.right, bug.wrong) for bug in BUGS}) == len(BUGS)


def test_the_code_without_a_bug_passes_every_check(copy):
    assert failures(copy) == []


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.replace(" ", "-"))
def test_a_planted_bug_is_caught_by_its_check(copy, bug):
    plant(copy, bug)
    found = failures(copy, bug.check)
    assert found, "not caught"
    assert any(re.search(bug.says, text) for text in found), found


@pytest.mark.parametrize(
    ("bug", "untrue"),
    [
        (Bug("bias gradient averaged", LAYERS, BIAS_GRADIENT,
            'self.grads["bias"] = dout.mean(axis=0)', "", ""), "size of the batch, twice"),
        (Bug("weight gradient averaged", LAYERS, WEIGHT_GRADIENT, WEIGHT_GRADIENT + " / len(x)",
            "", ""), "size of the batch, twice"),
        (Bug("loss averaged over the elements", LAYERS, LOSS,
            LOSS.replace("len(targets)", "targets.size").replace("1e-15", "1e-10"), "", ""),
            "clipped"),
        (Bug("gradient scaled in the loop", LOOP,
            "model.backward(loss.backward(predictions, y))",
            "model.backward(3 * loss.backward(predictions, y))", "", ""), "other rows"),
        (Bug("softmax over the batch, shifted by row", LAYERS, SHIFTED,
            SHIFTED.replace("sum(axis=0)", "sum(axis=1, keepdims=True)"), "", ""), "overflows"),
        (Bug("softmax shifted by column", LAYERS, "out -= out.max(axis=0)",
            "out -= out.max(axis=1, keepdims=True)", "", ""), "whole batch"),
        (Bug("input gradient not transposed", LAYERS, "return dout.dot(weight.T) if",
            "return dout.dot(weight) if", "", ""), "where the way back should begin"),
    ],
    ids=lambda value: getattr(value, "name", "").replace(" ", "-"),
)  # fmt: skip
def test_nothing_untrue_is_said_of_a_bug(copy, bug, untrue):
    plant(copy, bug)
    found = failures(copy)
    assert found
    assert not [text for text in found if re.search(untrue, text)]
    assert not [text for text in found if re.search("Traceback|^tests/|another exception", text)]


# Conventions are no mistakes.


@pytest.fixture
def other(tmp_path):
    """A copy of a right solution in other conventions, to break."""
    return shutil.copytree(ROOT / "tests" / "other_conventions", tmp_path / "other")


def test_a_solution_in_other_conventions_passes_and_they_are_listed(other, capfd):
    assert failures(other) == []
    _, _, told = capfd.readouterr().out.partition("conventions of this solution")
    for convention in (
        "layers take no rng",
        "weights have the shape (out, in)",
        "biases have the shape (1, out)",
        "SoftMax.backward passes the gradient through",
        "CrossEntropy.backward is given its arguments once more",
        "the trainer takes the step, not the MLP",
        "Perceptron.forward takes one point at a time",
        "there is no train_mlp_numpy.py",
    ):
        assert convention in told


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        (PERCEPTRON, {
            "np.zeros(n_inputs + 1)": "np.zeros((n_inputs + 1, 1))",
            "np.dot(self.weights[:-1], point) + self.weights[-1] >= 0":
                "(np.append(point, 1) @ self.weights).item() >= 0",
            "np.append(point, 1)\n": "np.append(point, 1)[:, None]\n",
        }, "the perceptron's weights have the shape"),
        (PERCEPTRON, {"errors = []\n": "errors = []\n        self.weights = 0 * self.weights\n"},
            "Perceptron.train begins with zero weights itself"),
        (PERCEPTRON, {"def generate_dataset": "def generate"}, "defines no generate_dataset"),
    ],
    ids=["weights-in-a-column", "training-from-zero", "no-data"],
)  # fmt: skip
def test_another_convention_is_accepted_and_told(other, capfd, file, changes, told):
    for right, wrong in changes.items():
        plant(other, Bug("", file, right, wrong, "", ""))
    assert failures(other) == []
    assert told in capfd.readouterr().out


def test_percentages_and_a_history_of_its_own_are_conventions(copy, capfd):
    plant(copy, Bug("", LOOP, "return float(np.mean(", "return 100 * float(np.mean(", "", ""))
    assert failures(copy) == []
    told = capfd.readouterr().out
    assert "accuracy is a percentage" in told
    assert "the accuracies of the history are percentages" in told
    plant(copy, Bug("", LOOP, "    return as_history(rows)\n", "", "", ""))
    assert failures(copy) == []
    assert "train returns a history of its own, or none" in capfd.readouterr().out
    plant(copy, Bug("", LOOP, "def accuracy(", "def right(", "", ""))
    assert failures(copy, accuracy) == []
    assert "train_mlp_numpy.py defines no accuracy" in capfd.readouterr().out


def test_a_perceptron_alone_is_checked(other):
    for file in (LAYERS, NETWORK):
        (other / file).unlink()
    assert failures(other) == []
    plant(other, Bug("", PERCEPTRON, "/ n_wrong", "", "", ""))
    assert any("sums the gradient" in text for text in failures(other))


PASS_THROUGH = "def backward(self, dout):\n        return dout\n"
TAKEN_APART = [
    Bug("", LAYERS, PASS_THROUGH, PASS_THROUGH.replace(
        "return dout", "return self.out * (dout - np.sum(dout * self.out, axis=1, keepdims=True))"
    ), "", ""),
    Bug("", LAYERS, "return (x - y) / len(x)", "return -y / x / len(x)", "", ""),
]  # fmt: skip


def test_a_softmax_and_a_loss_that_are_taken_apart_are_right_as_well(other, capfd):
    for change in TAKEN_APART:
        plant(other, change)
    assert failures(other) == []
    assert "is the gradient of the probabilities, -y / (p N)" in capfd.readouterr().out


@pytest.mark.parametrize(
    "bug",
    [
        Bug("bias gradient averaged", LAYERS, "np.sum(dout", "np.mean(dout", bias,
            "averaged over the batch, but should be summed"),
        Bug("weight gradient averaged", LAYERS, "dout.T @ self.x", "dout.T @ self.x / len(dout)",
            weight, "averaged over the batch, but should be summed"),
        Bug("softmax derivative taken by nobody", *TAKEN_APART[1][1:4], dlogits,
            "the derivative of the softmax is missing"),
        Bug("softmax derivative taken twice", *TAKEN_APART[0][1:4], gradients,
            "derivative of the softmax twice"),
        Bug("bias updated alone", PERCEPTRON, "np.append(point, 1)", "np.append(0 * point, 1)",
            descent, "updates the bias alone"),
    ],
    ids=lambda bug: bug.name.replace(" ", "-"),
)  # fmt: skip
def test_a_bug_is_caught_in_other_conventions_too(other, bug):
    plant(other, bug)
    assert any(re.search(bug.says, text) for text in failures(other, bug.check))


def test_nothing_of_this_project_stands_in_for_the_solution(other):
    mlp = (
        (other / "mlp_numpy.py")
        .read_text()
        .replace("\nfrom modules import Linear, ReLU, SoftMax\n", "")
    )
    late = "        from modules import Linear, ReLU, SoftMax\n        sizes ="
    (other / "mlp_numpy.py").write_text(mlp.replace("        sizes =", late))
    assert failures(other) == []
    plant(other, Bug("", LAYERS, "dout.T @ self.x", "dout.T @ self.x / len(dout)", "", ""))
    assert any("weight gradient of layer" in text for text in failures(other, gradients))
    (other / "perceptron.py").write_text("import common\n")
    assert any("perceptron.py cannot be imported" in text for text in failures(other, zero))


def check_from_a_shell(folder, *options):
    """Run pytest in another process, from this folder; return its status and what it printed."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", str(ROOT / "tests"), "--solution", ".", *options],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return result.returncode, result.stdout + result.stderr


def test_the_command_tells_a_teacher_what_is_wrong(other):
    plant(other, Bug("", LAYERS, "np.sum(dout", "np.mean(dout", "", ""))
    (other / "perceptron.py").write_text("def generate_dataset(:")
    (other / "mlp_numpy.py").unlink()
    status, told = check_from_a_shell(other)
    assert status == 1
    assert "the bias gradient of Linear.backward is averaged over the batch, but should be" in told
    assert "perceptron.py cannot be imported: SyntaxError" in told
    assert "not checked: there is no mlp_numpy.py" in told
    assert "Traceback" not in told


def test_a_folder_without_a_solution_is_a_usage_error(tmp_path):
    status, told = check_from_a_shell(tmp_path)
    assert status == 4
    assert "there is no modules.py, mlp_numpy.py or perceptron.py in '.'" in told


def test_two_processes_list_the_conventions_as_well(other):
    pytest.importorskip("xdist")
    status, told = check_from_a_shell(other, "-n", "2")
    assert status == 0
    assert told.count("- weights have the shape (out, in)") == 1


def test_a_call_that_raises_is_told_with_what_it_was_given(other):
    plant(other, Bug("", NETWORK, "    def backward(self, dout):", "    def update(self):\n"
        "        pass\n\n    def backward(self, dout):", "", ""))  # fmt: skip
    plant(other, Bug("", PERCEPTRON, "self.max_epochs, self.l", "self.max_epochs = 1e2\n"
        "        _, self.l", "", ""))  # fmt: skip
    told = "\n".join(failures(other))
    assert "MLP.update raises TypeError" in told
    assert re.search(r"Perceptron.train raises TypeError.* for points \(20, 2\), labels", told)
    assert "Traceback" not in told
    assert "test_solution.py:" not in told
