"""What every test starts from."""

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _logging_as_shipped() -> Iterator[None]:
    """A command under test sets the log up for its process, which here is ours."""
    yield
    structlog.reset_defaults()
