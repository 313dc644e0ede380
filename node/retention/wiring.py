"""The retention of an opened node."""

from node.home import RECORDS_DIRECTORY
from node.parts import Node
from node.retention.service import RetentionService


def retention_of(node: Node) -> RetentionService:
    """Its schedules, on its tables and records."""
    return RetentionService(
        node.database, node.audit, node.home / RECORDS_DIRECTORY, node.rights.clock
    )
