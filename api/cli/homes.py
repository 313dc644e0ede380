"""A home opened for one short command, beside whatever process runs on it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.bootstrap import Coordinator
    from node.parts import Node


@contextmanager
def opened_node(home: Path) -> Iterator["Node"]:
    """The node in `home`; what it logs stays out of the command's output.

    Raises:
        HomeUnusable: `home` is no node's, or a file of it cannot be read.
    """
    from api.cli import logs
    from node.bootstrap import open_node

    logs.quiet()
    node = open_node(home)
    try:
        yield node
    finally:
        node.close()


@contextmanager
def opened_coordinator(home: Path) -> Iterator["Coordinator"]:
    """The coordinator in `home`; what it logs stays out of the command's output.

    Raises:
        HomeUnusable: `home` is no coordinator's, or a file of it cannot be read.
    """
    from api.cli import logs
    from coordinator.bootstrap import open_coordinator

    logs.quiet()
    coordinator = open_coordinator(home)
    try:
        yield coordinator
    finally:
        coordinator.close()


def refuse_unless_running(home: Path, then: str) -> None:
    """Refuse what only a running coordinator carries out.

    Args:
        home: the coordinator's.
        then: what follows "Start it with ..." in the advice.

    Raises:
        Unavailable: no process runs on `home`.
    """
    from coordinator.home import is_running
    from protocols.errors import Unavailable

    if not is_running(home):
        raise Unavailable(
            f"no coordinator runs on {home}",
            next_step=f"Start it with `credence coordinator run {home}`{then}",
        )
