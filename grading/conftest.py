"""The option that points the checks of test_solution.py at somebody else's solution.

python -m pytest grading --solution PATH
"""

import os
from contextlib import nullcontext
from itertools import chain
from pathlib import Path

import pytest

from grading.solution import ROOT, Solution, alone

FILES = "modules.py", "mlp_numpy.py", "perceptron.py"


def pytest_addoption(parser):
    """Add --solution."""
    parser.addoption(
        "--solution",
        metavar="PATH",
        help="check the solution in this folder, of files named as ours, instead of ours",
    )


def named_folder(config):
    """Return the folder that --solution names, or None; only `pytest grading` knows the option."""
    return config.getoption("--solution", default=None)


def pytest_configure(config):
    """Prepare for somebody else's code, which may draw, and warn, when it is imported."""
    folder = named_folder(config)
    if folder is None:
        return
    if not any((Path(folder) / name).is_file() for name in FILES):
        raise pytest.UsageError(
            f"--solution: there is no {', '.join(FILES[:-1])} or {FILES[-1]} in {folder!r}; "
            "name the folder of a solution"
        )
    os.environ["MPLBACKEND"] = "agg"
    config.addinivalue_line("filterwarnings", "ignore")
    config.option.reportchars += "s"  # what is not checked, and why
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "short"


@pytest.fixture(scope="session")
def checked(pytestconfig):
    """The solution that is checked: ours, or the one in the folder named on the command line."""
    folder = named_folder(pytestconfig)
    with alone(Path(folder).resolve()) if folder else nullcontext():
        yield Solution(Path(folder or ROOT))


@pytest.fixture
def solution(request, checked):
    """The solution that is checked; what is known of its conventions goes into the report."""
    checked.calls.clear()
    yield checked
    request.node.user_properties += [("convention", line) for line in checked.conventions]


def pytest_terminal_summary(terminalreporter, config):
    """With --solution, list its conventions, which may come from other processes (-n 2)."""
    if named_folder(config):
        terminalreporter.section("conventions of this solution")
        reports = chain.from_iterable(terminalreporter.stats.values())
        found = chain.from_iterable(getattr(report, "user_properties", ()) for report in reports)
        for _, line in dict.fromkeys(found) or [("", "those of this project")]:
            terminalreporter.write_line(f"- {line}")
