"""The mark that makes a freeze bite, set from what a consent node says."""

from audit.database import Connection
from consent.rights import Freeze
from node.storage import marks
from node.storage.marks import Mark, MarkKind
from node.storage.rights import FreezeWord


def set_frozen(connection: Connection, pseudonym: bytes, word: FreezeWord) -> None:
    """Set or take away the mark that a consent node's word makes."""
    marks.remove(connection, pseudonym, MarkKind.FROZEN, word.controller)
    if word.state is Freeze.FROZEN:
        mark = Mark(MarkKind.FROZEN, "", "", word.controller, word.at_ms)
        marks.put(connection, pseudonym, mark)
