"""What every test starts from."""

import os
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests.postgresql import postgresql as postgresql  # noqa: PLC0414 - a fixture

# How long an example takes says more of the machine than of the code.
settings.register_profile("house", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=400)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cycles",
        type=int,
        default=0,
        help="how many more processes tests/audit/test_crash.py kills, at events drawn at random",
    )


@pytest.fixture(autouse=True)
def _logging_apart() -> Iterator[None]:
    """Log lines beside the output of a command under test, whatever a test before it set up."""
    structlog.reset_defaults()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    yield
    structlog.reset_defaults()
