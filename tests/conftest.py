"""The option that points the checks of test_solution.py at somebody else's solution.

python -m pytest tests --solution PATH
"""

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from solution import Solution, alone

ROOT = Path(__file__).parent.parent
SOLUTION = pytest.StashKey()
sys.path.append(str(ROOT))  # run from elsewhere, pytest does not find the settings that say so


def pytest_addoption(parser):
    """Add --solution."""
    parser.addoption(
        "--solution",
        metavar="PATH",
        help="check the modules.py, mlp_numpy.py and perceptron.py in this folder instead of ours",
    )


def pytest_configure(config):
    """Prepare for somebody else's code, which may draw, and warn, when it is imported."""
    folder = config.getoption("--solution")
    if folder is None:
        return
    if not (Path(folder) / "modules.py").is_file():
        raise pytest.UsageError(
            f"--solution: there is no modules.py in {folder!r}; name its folder"
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
def solution(request):
    """The solution that is checked: ours, or the one in the folder named on the command line."""
    config = request.config
    folder = config.getoption("--solution")
    config.stash[SOLUTION] = Solution(Path(folder or ROOT))
    with alone(Path(folder).resolve()) if folder else nullcontext():
        yield config.stash[SOLUTION]


def pytest_terminal_summary(terminalreporter, config):
    """With --solution, list its conventions."""
    if config.getoption("--solution") and SOLUTION in config.stash:
        terminalreporter.section("conventions of this solution")
        for line in config.stash[SOLUTION].conventions or ["those of this project"]:
            terminalreporter.write_line(f"- {line}")
