"""A coordinator in a temporary home, not yet serving."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.bootstrap import Coordinator, init_coordinator, open_coordinator
from coordinator.settings import make_settings
from tests.coordinator.applicants import NOW, free_port


@pytest.fixture
def home(tmp_path: Path, database_url: str) -> Path:
    path = tmp_path / "coordinator"
    settings = make_settings(
        name="test",
        listen_members=f"127.0.0.1:{free_port()}",
        listen_enrolment=f"127.0.0.1:{free_port()}",
        database_url=database_url,
    )
    init_coordinator(path, settings, NOW)
    return path


@pytest.fixture
def coordinator(home: Path) -> Iterator[Coordinator]:
    opened = open_coordinator(home)
    yield opened
    opened.close()
