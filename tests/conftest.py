"""What every test starts from."""

import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests.postgresql import postgresql as postgresql  # noqa: PLC0414 - a fixture

# How long an example takes says more of the machine than of the code.
settings.register_profile("house", deadline=None)
settings.load_profile("house")


@pytest.fixture(autouse=True)
def _logging_apart() -> Iterator[None]:
    """Log lines beside the output of a command under test, whatever a test before it set up."""
    structlog.reset_defaults()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))
    yield
    structlog.reset_defaults()
