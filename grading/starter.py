"""Write the assignment as a student gets it: python -m grading.starter DIR.

The four files are made from this project's own, read as text: the classes and functions that the
assignment asks for, with their signatures and their docstrings, but for the formulas, which have
only their names here. What is not part of the exercise, such as loading the data, stays whole.
"""

import argparse
import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
TO_WRITE = {  # the docstring of each, with shapes and the names of formulas; None is our own
    "perceptron.py": {
        "Perceptron.__init__": "Set `weights` to zeros: one for each input, then the bias.",
        "Perceptron.forward": None,
        "Perceptron.train": """Minimise the perceptron loss by batch gradient descent.

        Each epoch makes one update, with the gradient averaged over the misclassified points, until
        none is misclassified, or for max_epochs. x has the shape (N, n_inputs), labels (N,).
        """,
        "generate_dataset": """Draw 100 points of each class, and split them.

    The points of a class are Gaussian, with covariance cov_scale * I. Shuffle all, and keep 160 for
    training. Returns train_points (160, d), train_labels (160,), test_points (40, d), test_labels
    (40,); labels are +1 and -1.
    """,
    },
    "modules.py": {
        "Linear.__init__": "Set `params` and `grads`; as_rng(rng) is a generator for the weight.",
        "Linear.forward": "Return out, the affine map of x. Keep what `backward` needs.",
        "Linear.backward": "dout is dL/dout. Set the `grads` of weight and bias; return dL/dx.",
        "ReLU.forward": "Return x where it is positive, else 0.",
        "ReLU.backward": "Return dL/dx. At x = 0 there is no derivative; take 0.",
        "SoftMax.forward": "Return the softmax of each row; large logits must not overflow.",
        "SoftMax.backward": "Return dL/dx: for each row, dout times the Jacobian of the softmax.",
        "CrossEntropy.forward": "Return the mean cross-entropy, a float in nats; finite at p = 0.",
        "CrossEntropy.backward": "Return dL/dlogits, (N, C), of these arrays or of forward's.",
    },
    "mlp_numpy.py": {
        "MLP.__init__": "Set `layers`, the list of all layers, in the order of the forward pass.",
        "MLP.forward": None,
        "MLP.backward": None,
        "MLP.update": "Take a step of gradient descent with every parameter.",
    },
    "train_mlp_numpy.py": {
        "train": """Train the model in place, for max_steps epochs.

    Each epoch visits every row once, in a new random order, drawn from `rng`, a generator, an int
    seed or None. A batch_size of None is the full batch. Return whatever you want to plot, with an
    entry every eval_freq epochs.
    """,
        "accuracy": "Return the fraction of rows whose most probable class is the right one.",
    },
}
GIVEN = {"modules.py": ["as_rng"], "train_mlp_numpy.py": ["DATASETS", "Data", "load_data"]}
FIRST_PARAGRAPH = ("CrossEntropy",)  # the rest of its docstring derives the gradient
IMPORTS = ("np", "NamedTuple", "Linear", "ReLU", "SoftMax", "CrossEntropy", "MLP", "as_rng")
LEFT_OUT = ("backend", "callback")  # parameters that the assignment does not ask for


def emptied(function, doc):
    """Return a function that raises NotImplementedError, with this docstring or its own."""
    doc, args = doc or ast.get_docstring(function, clean=False), function.args
    kept = [pair for pair in zip(args.kwonlyargs, args.kw_defaults, strict=True)
            if pair[0].arg not in LEFT_OUT]  # fmt: skip
    args.kwonlyargs, args.kw_defaults = [a for a, _ in kept], [default for _, default in kept]
    function.body = [ast.Expr(ast.Constant(doc)), *ast.parse("raise NotImplementedError").body]
    return function


def starter(file):
    """Return the text of one of the four files, as a student gets it."""
    text = (ROOT / file).read_text(encoding="utf-8")
    tree, to_write, parts = ast.parse(text), TO_WRITE[file], []
    title = ast.get_docstring(tree).split("\n")[0]
    head = [f'"""{title}\n\nReplace each `raise NotImplementedError`.\n"""\n']
    for node in tree.body:
        name = getattr(node, "name", None) or ast.unparse(getattr(node, "targets", [node])[0])
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [alias for alias in node.names if (alias.asname or alias.name) in IMPORTS]
            head += [ast.unparse(node)] * bool(node.names)
        elif name in GIVEN.get(file, ()):
            parts.append("\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno]))
        elif isinstance(node, ast.FunctionDef) and name in to_write:
            node.decorator_list = []
            parts.append(ast.unparse(emptied(node, to_write[name])))
        elif isinstance(node, ast.ClassDef):
            methods = [(m, f"{name}.{getattr(m, 'name', '')}") for m in node.body]
            methods = [emptied(m, to_write[full]) for m, full in methods if full in to_write]
            if methods:
                doc = ast.get_docstring(node, clean=False)
                doc = doc.split("\n\n")[0] if name in FIRST_PARAGRAPH else doc
                node.body = [ast.Expr(ast.Constant(doc)), *methods]
                parts.append(ast.unparse(node))
    return "\n\n\n".join(["\n".join(head), *parts]) + "\n"


def main(argv=None):
    """Write the files from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m grading.starter", description=__doc__.split("\n")[0]
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="an empty or a new folder")
    folder = parser.parse_args(argv).folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in TO_WRITE:
            with open(folder / file, "x", encoding="utf-8") as new:
                new.write(starter(file))
    except OSError as error:
        parser.error(f"argument DIR: {error}; name a new or an empty folder")
    print(f"wrote {', '.join(TO_WRITE)} to {folder}")


if __name__ == "__main__":
    main()
