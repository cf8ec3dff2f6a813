"""Write the assignment as a student gets it: python -m grading.starter DIR.

The four files are made from this project's own, read as text: the classes and functions that the
assignment asks for, with their signatures and with docstrings that name the formulas, but do not
give them. What is not part of the exercise, such as loading the data, stays whole.
"""

import argparse
import ast
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTS = {  # the lines of each file
    "perceptron.py": ["import numpy as np"],
    "modules.py": ["import numpy as np"],
    "mlp_numpy.py": [
        "import numpy as np",
        "",
        "from modules import Linear, ReLU, SoftMax, as_rng",
    ],
    "train_mlp_numpy.py": [
        "from typing import NamedTuple",
        "",
        "import numpy as np",
        "from sklearn import datasets",
        "from sklearn.model_selection import train_test_split",
        "from sklearn.utils import shuffle",
        "",
        "from mlp_numpy import MLP",
        "from modules import CrossEntropy, as_rng",
    ],
}
GIVEN = {  # what stays as it is
    "perceptron.py": [],
    "modules.py": ["check_same_shape", "as_rng"],
    "mlp_numpy.py": [],
    "train_mlp_numpy.py": ["Data", "DATASETS", "load_data"],
}
TO_WRITE = {  # the docstring of each, with shapes and the names of formulas; None is our own
    "perceptron.py": {
        "Perceptron.__init__": """Keep max_epochs and learning_rate, and set `weights` to zeros.

        There is a weight for each input, and then the bias.
        """,
        "Perceptron.forward": None,
        "Perceptron.train": """Minimise the perceptron loss by batch gradient descent.

        Each epoch makes one update, with the gradient averaged over the misclassified points.
        Training ends when no point is misclassified, or after max_epochs.

        Args:
            x: the points, of shape (N, n_inputs).
            labels: their labels, +1 or -1, of shape (N,).
        """,
        "generate_dataset": """Draw 100 points of each class, shuffle all, and split them.

    The points of a class are Gaussian, with covariance cov_scale * I.

    Args:
        mean_pos: the mean of class +1, a point of d coordinates.
        mean_neg: the mean of class -1.
        cov_scale: the variance of each coordinate.
        rng: a NumPy generator, an int seed, or None for a new seed each time.

    Returns:
        train_points (160, d), train_labels (160,), test_points (40, d), test_labels (40,).
    """,
    },
    "modules.py": {
        "Linear.__init__": """Set `params` and `grads`.

        `rng` is a NumPy generator, an int seed or None. as_rng(rng) is a generator in any case: let
        it draw the weights.
        """,
        "Linear.forward": "Return out. Keep what `backward` needs.",
        "Linear.backward": "dout is dL/dout. Set the `grads` of W and b; return dL/dx.",
        "ReLU.forward": "Return x where it is positive, else 0.",
        "ReLU.backward": "Return dL/dx. At x = 0 there is no derivative; take 0.",
        "SoftMax.forward": "Return the softmax of each row; large logits must not overflow.",
        "SoftMax.backward": "Return dL/dx: for each row, dout times the Jacobian of the softmax.",
        "CrossEntropy.forward": """Return the mean cross-entropy, a float in nats; finite at p = 0.

        NumPy takes targets of a wrong shape without a word: call check_same_shape first.
        """,
        "CrossEntropy.backward": """Return the gradient with respect to the logits, (N, C).

        Predictions and targets are those that `forward` was given.
        """,
    },
    "mlp_numpy.py": {
        "MLP.__init__": """Set `layers`, the list of all layers, in the order of the forward pass.

        Args:
            n_inputs: the number of features of a sample.
            n_hidden: a list of the number of units in each hidden layer, such as [20]. If it is
                empty, the network is softmax regression.
            n_classes: the number of classes, at least 2.
            rng: draws the weights: a NumPy generator, an int seed or None.
        """,
        "MLP.forward": None,
        "MLP.backward": None,
        "MLP.update": "Make an update of gradient descent to every parameter.",
    },
    "train_mlp_numpy.py": {
        "train": """Train the model in place.

    Each epoch visits every training row once, in a new random order. The last batch may be short.

    Args:
        model: an MLP.
        data: a Data, such as load_data returns.
        learning_rate: an update is the gradient times this.
        max_steps: the number of epochs. (The assignment calls an epoch a step.)
        eval_freq: the number of epochs from one evaluation of the model to the next.
        batch_size: the number of rows in a batch; None is the full batch.
        rng: draws the orders: a NumPy generator, an int seed or None.

    Returns:
        Whatever you want to plot, such as the loss and the accuracy at each evaluation.
    """,
        "accuracy": """Return the fraction of rows whose most probable class is the right one.

    Predictions and one-hot targets have the shape (N, C).
    """,
    },
}
CLASSES = {  # docstrings in place of our own, which have formulas
    "Linear": """An affine map from x to out, with a weight W and a bias b.

    x    (N, in_features)
    W    (in_features, out_features), in params["weight"]; at first from a normal distribution
         with mean 0 and standard deviation 0.1
    b    (out_features,), in params["bias"]; at first zero
    out  (N, out_features)

    `grads` has the names and shapes of `params`. Each `backward` overwrites it.
    """,
    "CrossEntropy": """The loss of probabilities (predictions) for one-hot targets, both (N, C).

    The predictions are the softmax of logits. `backward` returns the gradient with respect to
    these logits. So a network's backward pass begins at its last Linear layer.
    """,
}
LEFT_OUT = ("backend=", "callback=")  # parameters that the assignment does not ask for


def starter(file):
    """Return the text of one of the four files, as a student gets it."""
    text = (ROOT / file).read_text(encoding="utf-8")
    tree = ast.parse(text, file)
    title = ast.get_docstring(tree).split("\n")[0]
    head = [f'"""{title}', "", "Replace each `raise NotImplementedError`.", '"""', ""]
    parts = ["\n".join(head + IMPORTS[file])]
    for node in tree.body:
        name = name_of(node)
        if name in GIVEN[file]:
            lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
            parts.append("\n".join(lines))
        elif name in TO_WRITE[file]:
            parts.append(emptied(node, text, TO_WRITE[file][name]))
        elif isinstance(node, ast.ClassDef):
            methods = emptied_methods(node, text, TO_WRITE[file])
            if methods:
                doc = CLASSES.get(name) or ast.get_docstring(node, clean=False)
                class_head = f'class {name}:\n    """{doc}"""'
                parts.append("\n\n".join([class_head, *methods]))
    return "\n\n\n".join(parts) + "\n"


def name_of(node):
    """Return the name of a class or a function, or of the variable that is assigned to, or ""."""
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    return getattr(node, "name", "")


def emptied_methods(node, text, to_write):
    """Return the text of those methods of a class that are to be written."""
    methods = []
    for method in node.body:
        full_name = f"{node.name}.{name_of(method)}"
        if full_name in to_write:
            methods.append(emptied(method, text, to_write[full_name]))
    return methods


def emptied(function, text, doc):
    """Return a function that raises NotImplementedError, with this docstring or its own."""
    first_line = function.body[0].lineno  # of the docstring
    head = text.splitlines()[function.lineno - 1 : first_line - 1]
    head = [line for line in head if not line.strip().startswith(LEFT_OUT)]
    doc = doc or ast.get_docstring(function, clean=False)
    indent = " " * (function.col_offset + 4)
    return "\n".join([*head, f'{indent}"""{doc}"""', f"{indent}raise NotImplementedError"])


# Below is the command line.


def main(argv=None):
    """Write the files from the command line; return the exit status."""
    try:
        folder = parse_flags(argv)
        texts = {file: starter(file) for file in TO_WRITE}  # all, before the first is written
        for file, text in texts.items():
            write(folder / file, text)
        print(f"wrote {', '.join(TO_WRITE)} to {folder}", flush=True)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130  # as shells expect it after Ctrl-C
    except SyntaxError as error:
        print(f"error: a file of this project is broken: {error}; restore it", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def write(path, text):
    """Write a file as a whole."""
    scratch = Path(f"{path}.{os.getpid()}.tmp")
    try:
        scratch.write_text(text, encoding="utf-8", newline="\n")
        os.replace(scratch, path)  # only now, so that there is never half a file at `path`
    except BaseException:  # a full disk, or Ctrl-C
        scratch.unlink(missing_ok=True)
        raise


def parse_flags(argv):
    """Return the folder, which is there and has none of the files, or exit with status 2."""
    parser = argparse.ArgumentParser(
        prog="python -m grading.starter",
        description=__doc__.split(":")[0] + ".",
        epilog="Example: python -m grading.starter mine",
        usage=argparse.SUPPRESS,  # an error is one line, without usage
    )
    parser.add_argument("folder", metavar="DIR", help="an empty or a new folder")
    text = parser.parse_args(argv).folder
    if not text:
        parser.error("argument DIR: '' is no name; name a new or an empty folder")
    folder = Path(text).expanduser()
    for file in TO_WRITE:
        if (folder / file).exists():
            parser.error(f"argument DIR: {folder / file} exists; name a new or an empty folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"argument DIR: {error}; name a new or an empty folder")
    return folder


if __name__ == "__main__":
    sys.exit(main())
