"""One server for all tests of the grader: it imports once what submissions import."""

import pytest

from grading import measure


@pytest.fixture(scope="session", autouse=True)
def server():
    measure.start_server(for_many=True)
