"""The log of a home that a command signs for, be it a node's or a coordinator's."""

import tomllib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli.homes import opened_coordinator, opened_node
from api.cli.times import now_ms

if TYPE_CHECKING:
    from audit.proofs import LogReader


@contextmanager
def own_log(home: Path) -> "Iterator[tuple[LogReader, str]]":
    """Open the log in `home` with its keys; the reader, and the member's or network's name.

    Raises:
        HomeUnusable: `home` is neither a node's nor a coordinator's, or a file cannot be read.
    """
    from audit.proofs import LogReader
    from audit.witness_store import epoch

    with ExitStack() as stack:
        if _is_coordinator(home):
            coordinator = stack.enter_context(opened_coordinator(home))
            keys = coordinator.keys
            log, database, name = coordinator.audit, coordinator.database, coordinator.settings.name
            reader = LogReader(log, database, lambda: keys.directory, now_ms)
        else:
            node = stack.enter_context(opened_node(home))
            name = node.member_id
            log, database, reader = node.audit, node.database, node.log_reader
        with database.read() as connection:
            current = epoch(connection)
        if current is not None:  # after an old state was put back, a log goes by another name
            log.origin = current.origin
        yield reader, name


def _is_coordinator(home: Path) -> bool:
    """Whether its settings are there and name no member."""
    settings = home / "credence.toml"
    return settings.is_file() and "member_id" not in tomllib.loads(settings.read_text("utf-8"))
