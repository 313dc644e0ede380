"""What virtual nodes charged themselves."""

from contextlib import closing
from pathlib import Path

from deploy.flower.layout import Layout
from node.bootstrap import open_node
from node.storage.privacy_ledger import charges


def charged(root: Path, nodes: int) -> list[int]:
    """How many mechanisms each node was charged for."""
    return [_charged(Layout(root).node(number)) for number in range(nodes)]


def _charged(home: Path) -> int:
    with closing(open_node(home)) as node, node.database.read() as connection:
        return sum(count for *_, count in charges(connection, node.member_id))
