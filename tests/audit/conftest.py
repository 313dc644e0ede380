from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.database import Database
from audit.witness_tables import create_witness_schema
from tests.audit.witness_world import Clock, LocalPeer
from tests.audit.world import World, open_world
from tests.postgresql import Server


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A log in SQLite, the embedded default."""
    opened = open_world(tmp_path / "home")
    yield opened
    opened.close()


@pytest.fixture
def server_world(tmp_path: Path, postgresql: Server) -> Iterator[World]:
    """A log in PostgreSQL."""
    opened = open_world(tmp_path / "home", postgresql.url())
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_world(request: pytest.FixtureRequest) -> World:
    """A log in every database that there is."""
    opened: World = request.getfixturevalue(
        "world" if request.param == "sqlite" else "server_world"
    )
    return opened


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of every kind that there is."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/any.db"
    server: Server = request.getfixturevalue("postgresql")
    return server.url()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def peers(tmp_path: Path, clock: Clock) -> Iterator[list[LocalPeer]]:
    made = []
    for name in ("bank-b", "payments", "regulator"):
        database = Database(f"sqlite:///{tmp_path}/{name}.db")
        with database.write() as connection:
            create_witness_schema(connection)
        made.append(LocalPeer(name, database, clock))
    yield made
    for peer in made:
        peer.database.close()
