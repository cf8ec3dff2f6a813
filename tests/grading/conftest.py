"""Run the checks of grading/ in this process."""

from pathlib import Path

import pytest

CHECKS = Path(__file__).parents[2] / "grading" / "test_solution.py"


class Verdict:
    """A pytest plugin that keeps what failed, in which words, and whatever else was told."""

    def __init__(self):
        self.failures, self.told = [], set()

    def pytest_runtest_logreport(self, report):
        self.told |= {line for _, line in report.user_properties}
        if report.skipped:
            self.told.add(report.longrepr[2])
        if report.failed:
            self.failures.append(report.longreprtext)


@pytest.fixture
def verdict():
    """A function from a solution's folder, or None for this project, and a check, or None for all,
    to a Verdict."""

    def judge(folder=None, check=None):
        found = Verdict()
        options = [
            "-p",
            "no:cacheprovider",
            "-p",
            "no:unraisableexception",
            *([f"--solution={folder}"] if folder else []),
        ]
        checks = f"{CHECKS}::test_{check}" if check else str(CHECKS)
        status = pytest.main([*options, checks], plugins=[found])
        assert status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        return found

    return judge
