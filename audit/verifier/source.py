"""What a log to be verified is read through.

What comes out is as it lies there and not to be trusted, not even its types; `check` judges it.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from protocols.errors import NotFound


class LogUnreadable(NotFound):
    """There is no audit log at this place, or it may not be read."""

    code = "audit_log_unreadable"
    next_step = "Give the home directory of a node or coordinator, its database, or an export file."


class SourceDamaged(Exception):
    """Reading broke off in the middle; the message says how. Becomes a finding, not an error."""


class RawNote(NamedTuple):
    """A checkpoint that an export carries.

    Attributes:
        note: the signed note.
        path: consistency proof from the export's end to the note, where that is further on.
    """

    note: bytes
    path: tuple[bytes, ...]


class RawHead(NamedTuple):
    """The head as stored.

    Attributes:
        size: leaves.
        root: 32 bytes.
        frontier: as a database has it; an export has none.
        start: the first leaf that an export holds.
        before: roots of the perfect subtrees of the leaves before, largest first.
        notes: the checkpoints that an export carries.
        key: verifier key of these, as the export names it.
    """

    size: int
    root: bytes
    frontier: bytes | None
    start: int = 0
    before: tuple[bytes, ...] = ()
    notes: tuple[RawNote, ...] = ()
    key: str = ""


class RawLeaf(NamedTuple):
    """A leaf as stored; `ciphertext_hash` is None where the payload is missing or not carried."""

    seq: int
    leaf: object
    leaf_hash: object
    ciphertext_hash: bytes | None


class Source(Protocol):
    """A log as it lies there."""

    has_store: bool
    """Whether it is a whole database (payloads, tiles, index) and not just leaves."""

    def head(self) -> RawHead:
        """The head."""

    def leaves(self) -> Iterator[RawLeaf]:
        """All leaves in order of their sequence numbers."""

    def tile(self, level: int, index: int) -> tuple[object, object] | None:
        """(hashes, root) of a stored tile."""

    def tile_names(self) -> Iterator[tuple[int, int]]:
        """(level, index) of all stored tiles."""

    def index_rows(self) -> Iterator[tuple[object, int, object]]:
        """(tag, seq, guard) of all rows of the subject index."""

    def stray_payloads(self) -> Iterator[int]:
        """Sequence numbers of payloads without a leaf."""
