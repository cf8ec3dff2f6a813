"""The option that points the checks of test_solution.py at somebody else's solution.

python -m pytest tests --solution PATH
"""

import os
import sys
from contextlib import nullcontext
from itertools import chain
from pathlib import Path

import pytest
from solution import Solution, alone

ROOT = Path(__file__).parent.parent
FILES = "modules.py", "mlp_numpy.py", "perceptron.py"
sys.path.append(str(ROOT))  # run from elsewhere, pytest does not find the settings that say so


def pytest_addoption(parser):
    """Add --solution."""
    parser.addoption(
        "--solution",
        metavar="PATH",
        help="check the solution in this folder, of files named as ours, instead of ours",
    )


def pytest_configure(config):
    """Prepare for somebody else's code, which may draw, and warn, when it is imported."""
    folder = config.getoption("--solution")
    if folder is None:
        return
    if not any((Path(folder) / name).is_file() for name in FILES):
        raise pytest.UsageError(
            f"--solution: there is no {', '.join(FILES[:-1])} or {FILES[-1]} in {folder!r}; "
            "name the folder of a solution"
        )
    os.environ["MPLBACKEND"] = "agg"
    config.addinivalue_line("filterwarnings", "ignore")
    if config.option.tbstyle == "auto":
        config.option.tbstyle = "short"


def pytest_ignore_collect(collection_path, config):
    """With --solution, leave out the tests of this project alone."""
    is_ours = collection_path.name.startswith("test_") and collection_path.suffix == ".py"
    if config.getoption("--solution") and is_ours and collection_path.name != "test_solution.py":
        return True
    return None


@pytest.fixture(scope="session")
def checked(request):
    """The solution that is checked: ours, or the one in the folder named on the command line."""
    folder = request.config.getoption("--solution")
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
    if config.getoption("--solution"):
        terminalreporter.section("conventions of this solution")
        reports = chain.from_iterable(terminalreporter.stats.values())
        found = chain.from_iterable(getattr(report, "user_properties", ()) for report in reports)
        for _, line in dict.fromkeys(found) or [("", "those of this project")]:
            terminalreporter.write_line(f"- {line}")
