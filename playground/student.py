"""A student's layers and network, in the place of this project's: python -m playground FOLDER.

The folder holds `modules.py` and `mlp_numpy.py`, as `python -m grading.starter` writes them. They
are trained by this project's loop, and each new run takes the files as they are then.
"""

import inspect
import sys
import traceback
from functools import partial
from importlib import invalidate_caches
from itertools import pairwise
from pathlib import Path
from types import FunctionType, ModuleType

import numpy as np

import train_mlp_numpy
from playground.answers import explained
from playground.run import Code, linears_of, shapes_of

FILES = ("modules", "mlp_numpy")


def load(folder):
    """Import the student's files; return their Code.

    Raises ValueError if something is missing, and whatever the files raise.
    """
    for name in FILES:
        if not (folder / f"{name}.py").is_file():
            raise ValueError(f"{folder} has no {name}.py. `python -m grading.starter` writes one.")
    modules, mlp_numpy = imported(folder)
    for module, name in ((modules, "CrossEntropy"), (mlp_numpy, "MLP")):
        if not hasattr(module, name):
            raise ValueError(f"{module.__name__}.py has no class {name}.")
    return Code(partial(checked_network, mlp_numpy.MLP), runner_with(modules.CrossEntropy))


def imported(folder):
    """Return the student's modules, in the order of FILES.

    They are run from their source, and no .pyc file is used: after two edits within one second,
    Python would take the old one. This project's modules of the same names have their place again
    afterwards.
    """
    before = dict(sys.modules)
    caches_nothing = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    invalidate_caches()  # or a file that was written just now may not be found
    try:
        modules = [new_module(name, folder / f"{name}.py") for name in FILES]
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = caches_nothing
        for name, module in list(sys.modules.items()):
            if name not in before and is_in(getattr(module, "__file__", None), folder):
                del sys.modules[name]  # a file of the student that these import
        for name in FILES:
            sys.modules[name] = before[name]
    return modules


def new_module(name, path):
    """Run a file as the module of this name, so that other files import it, and return it."""
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module
    code = compile(path.read_bytes(), str(path), "exec")
    exec(code, vars(module))
    return module


def checked_network(network_class, n_inputs, n_hidden, n_classes, rng):
    """Return the student's network; raise ValueError if it cannot be trained or drawn."""
    signature = inspect.signature(network_class)
    try:
        signature.bind(n_inputs, n_hidden, n_classes, rng)
    except TypeError as error:
        raise ValueError(
            "MLP must take n_inputs, n_hidden, n_classes and rng, the generator of its weights, "
            f"as the starter has it; yours takes {signature}."
        ) from error
    model = network_class(n_inputs, n_hidden, n_classes, rng)
    if not hasattr(model, "layers"):
        raise ValueError("MLP needs `layers`, the list of its layers from first to last.")
    check_params(model, [n_inputs, *n_hidden, n_classes])
    given = np.shape(model.forward(np.zeros((3, n_inputs))))
    if given != (3, n_classes):
        raise ValueError(
            f"MLP.forward must return the probabilities of 3 rows, an array of the shape "
            f"(3, {n_classes}), got one of the shape {given}."
        )
    return model


def check_params(model, sizes):
    """Raise ValueError unless the parameters have the shapes of a network of these sizes."""
    shapes = list(pairwise(sizes))
    params = [linear.params for linear in linears_of(model)]
    given = [np.shape(layer_params.get("weight")) for layer_params in params]
    if given != shapes:
        raise ValueError(
            f'params["weight"] of the layers of MLP must have the shapes {shapes}, got {given}.'
        )
    for layer_params, (_, n_out) in zip(params, shapes, strict=True):
        given = np.shape(layer_params.get("bias"))
        if given not in ((n_out,), (1, n_out)):
            raise ValueError(
                f'params["bias"] of {n_out} units must have the shape ({n_out},), got {given}.'
            )


def runner_with(cross_entropy):
    """Return an epoch_runner that trains with this class as the loss.

    It is a copy of train_epoch in which the name CrossEntropy means the student's class.
    """
    names = vars(train_mlp_numpy) | {"CrossEntropy": cross_entropy}
    train_epoch = FunctionType(train_mlp_numpy.train_epoch.__code__, names)

    def epoch_runner(model, data, batch_size, learning_rate):
        linears = linears_of(model)
        shapes = shapes_of(linears)

        def run_epoch(order):
            train_epoch(model, data, batch_size, learning_rate, order)
            if shapes_of(linears) != shapes:  # a gradient of another shape was broadcast
                raise ValueError(
                    "`grads` must have the shapes of `params`. Before the update, weight and bias "
                    f"of each layer had the shapes {shapes}, and now {shapes_of(linears)}."
                )

        return run_epoch

    return epoch_runner


def explained_in(folder, error):
    """Return what to say about an exception: where in the student's files it came from, too."""
    place = place_in(folder, error)
    if place is None:
        return explained(error)
    if isinstance(error, NotImplementedError):
        return f"{place}: this is not written yet."
    message = error.msg if isinstance(error, SyntaxError) else error  # `msg` has no place
    return f"{place}: {type(error).__name__}: {message}"


def place_in(folder, error):
    """Return the file and the line of the student in which an exception came up, or None."""
    if isinstance(error, SyntaxError) and is_in(error.filename, folder):
        return f"{Path(error.filename).name}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        if is_in(frame.filename, folder):
            return f"{Path(frame.filename).name}, line {frame.lineno}, {frame.name}"
    return None


def is_in(filename, folder):
    """Return whether a file lies in the folder."""
    return filename is not None and folder in Path(filename).parents
