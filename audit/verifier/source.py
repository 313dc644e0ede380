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


class RawHead(NamedTuple):
    """The head as stored; an export has no frontier."""

    size: int
    root: bytes
    frontier: bytes | None


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
