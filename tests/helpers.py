"""What the tests of several files share."""

import functools
import io
import os
import runpy
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from train_mlp_numpy import train_epoch


def params_of(model):
    """Return copies of the weight and the bias of each Linear layer, first to last."""
    copies = []
    for linear in model.linear_layers:
        copies.append(linear.params["weight"].copy())
        copies.append(linear.params["bias"].copy())
    return copies


def grads_of(model):
    """Return copies of their gradients, in the same order."""
    copies = []
    for linear in model.linear_layers:
        copies.append(linear.grads["weight"].copy())
        copies.append(linear.grads["bias"].copy())
    return copies


def all_equal(arrays, others):
    """Return whether each of these arrays equals its counterpart among as many others."""
    pairs = zip(arrays, others, strict=True)
    return all(np.array_equal(array, other) for array, other in pairs)


def small_batch():
    """Return six random rows x of three features, and their targets, one-hot, of four classes."""
    x = np.random.default_rng(0).normal(size=(6, 3))
    targets = np.eye(4)[[0, 1, 2, 3, 1, 1]]
    return x, targets


# Below is what the tests of the commands share. A command is a function `main` of its flags.

# What a user may have in a file `matplotlibrc`.
ODD_SETTINGS = {
    "axes.facecolor": "black",
    "axes.grid": True,
    "axes.unicode_minus": False,
    "figure.dpi": 33,
    "figure.facecolor": "red",
    "font.size": 30,
    "lines.linewidth": 9,
    "savefig.bbox": "tight",
    "savefig.transparent": True,
    "text.usetex": True,
}


@functools.cache
def has_compiled_loop():
    """Return whether the backend "numba" can be used here."""
    try:
        from speed.compiled import check_equal

        check_equal(train_epoch)
    except (ImportError, ValueError):
        return False
    return True


def skip_without_compiled_loop():
    """Skip the test that calls this where the backend "numba" cannot be used."""
    if not has_compiled_loop():
        pytest.skip("needs Numba, and layers that do what the compiled loop does")


def refusal(main, flags, capsys):
    """Run a command that refuses its flags with status 2; return the one line that it prints."""
    with pytest.raises(SystemExit) as end:
        main(flags)
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    return line


def help_text(main, capsys):
    """Return what a command prints for --help."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")  # so that no line is wrapped
        with pytest.raises(SystemExit) as end:
            main(["--help"])
    assert end.value.code == 0
    return capsys.readouterr().out


def status_without_reader(path, flags, monkeypatch):
    """Run a script into a pipe that nobody reads, as with `| head -1`; return its exit status."""
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    with open(writing_end, "w") as stdout:  # writes what is left when it is closed, as at the end
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "argv", [path, *flags])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(path, run_name="__main__")
    return end.value.code


def watch_replacements(monkeypatch):
    """Return a dict that gets the name and the size of each file when os.replace puts it in place.

    If a file is larger in the end, it was not whole.
    """
    sizes = {}
    replace = os.replace

    def watched(scratch, path):
        assert Path(scratch).parent == Path(path).parent  # or it might be another disk
        sizes[Path(path).name] = os.path.getsize(scratch)
        replace(scratch, path)

    monkeypatch.setattr(os, "replace", watched)
    return sizes


def run_twice_at_once(run, name):
    """Call `run`, and again, as if in another process, when it is about to put `name` in place."""
    replace = os.replace
    has_come = []

    def replace_after_the_other(scratch, path):
        if Path(path).name == name and not has_come:
            has_come.append(True)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "getpid", lambda: 0)  # it is in the names of scratch files
                run()
        replace(scratch, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace_after_the_other)
        run()
    assert has_come, f"{name} was not put in place by os.replace"


# Below is what the tests of pictures share.

BLUE = "#0072B2"  # class 0
ORANGE = "#E69F00"  # class 1
GREEN = "#009E73"  # class 2


def skip_if_another_matplotlib_drew(png):
    """Skip a comparison with this picture where it names another version than the running one.

    Another version may place and smooth the same picture differently.

    Args:
        png: a path, or an open file.
    """
    with Image.open(png) as image:
        software = image.info["Software"]
    if not software.startswith(f"Matplotlib version{matplotlib.__version__},"):
        pytest.skip(f"the picture was drawn by {software}")


def pixels(figure):
    """Draw a figure, which fails on a label that cannot be set; return a PNG of it, as bytes."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()
