"""What every test starts from."""

import io
import os
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

from tests.postgresql import database_url as database_url  # noqa: PLC0414 - a fixture
from tests.postgresql import postgresql as postgresql  # noqa: PLC0414 - a fixture

# Read when numpy and torch are loaded, here and in the processes that tests start: small matrices
# gain nothing from threads, and on a busy machine these wait for each other, fifty times as long.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

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


def pytest_configure() -> None:
    _log_into(io.StringIO())


@pytest.fixture(autouse=True)
def _logging_apart() -> Iterator[None]:
    """Log lines apart from the output of a command under test; a test that fails shows them.

    A server's thread may still log when its test has ended and pytest prints: nobody reads that.
    """
    lines = io.StringIO()
    _log_into(lines)
    yield
    _log_into(io.StringIO())
    sys.stderr.write(lines.getvalue())


def _log_into(lines: io.StringIO) -> None:
    structlog.reset_defaults()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(lines))
