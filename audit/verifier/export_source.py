"""Reads an export: JSON Lines, one header line, then one line a leaf.

    {"before": [<hex>...], "format": "credence.log-export/1", "key": <verifier key or "">,
     "log": <origin>, "notes": [{"note": <signed note>, "path": [<hex>...]}...],
     "root": <hex>, "size": <leaves of the log>, "start": <number of the first leaf>}
    {"hash": <hex of the leaf hash>, "leaf": <the leaf, a JSON text>, "seq": <number>}

An export holds the leaves start <= seq < size. `before` are the roots of the perfect subtrees that
the leaves before `start` make (RFC 9162 section 2.1), one for every 1 bit of `start`, the largest
first: whoever folds them from the right has the root at `start`, and with the leaves every later
one. `notes` are checkpoints: of `start`, of `size`, and the newest that witnesses cosigned; `path`
is the consistency proof from `size` to a note that is further on, and empty otherwise.

Line length bounds every allocation; `audit.export` writes this format.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.verifier.source import RawHead, RawLeaf, RawNote, SourceDamaged
from protocols.errors import Malformed

EXPORT_FORMAT = "credence.log-export/1"
MAX_LINE_BYTES = 16_384
MAX_HEADER_BYTES = 1024 * 1024
_MAX_NOTES = 8
_MAX_HASHES = 128


class ExportSource:
    """The leaves and the head of an export file."""

    has_store = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def head(self) -> RawHead:
        """The header.

        Raises:
            Malformed: the first line is not the header of an export.
        """
        with self._path.open("rb") as stream:
            head = head_of(stream.readline(MAX_HEADER_BYTES))
        if head is None:
            raise Malformed(f"{self._path} is not an audit export")
        return head

    def leaves(self) -> Iterator[RawLeaf]:
        """The leaves, in the order of the file."""
        with self._path.open("rb") as stream:
            stream.readline(MAX_HEADER_BYTES)
            while line := stream.readline(MAX_LINE_BYTES):
                leaf = leaf_of(line)
                if leaf is None:
                    raise SourceDamaged("a line of the export is cut off or not a leaf")
                yield leaf

    def tile(self, level: int, index: int) -> tuple[object, object] | None:  # noqa: ARG002
        """None: an export carries no tiles."""
        return None

    def tile_names(self) -> Iterator[tuple[int, int]]:
        """None."""
        return iter(())

    def index_rows(self) -> Iterator[tuple[object, int, object]]:
        """None: an export carries no subject index."""
        return iter(())

    def stray_payloads(self) -> Iterator[int]:
        """None: an export carries no payloads."""
        return iter(())


def head_of(line: bytes) -> RawHead | None:
    """The header line, or None: it is none."""
    match _fields(line):
        case {
            "format": "credence.log-export/1",
            "start": int(start),
            "size": int(size),
            "root": str(root),
            "before": list(before),
            "notes": list(notes),
            "key": str(key),
        } if 0 <= start <= size < 1 << 63 and len(before) == start.bit_count():
            root_bytes, hashes = _unhex(root), _hashes(before)
            carried = [_note_of(one) for one in notes[:_MAX_NOTES]]
            if root_bytes is None or hashes is None or len(notes) > _MAX_NOTES:
                return None
            if not all(carried):
                return None
            return RawHead(
                size, root_bytes, None, start, hashes, tuple(one for one in carried if one), key
            )
    return None


def _note_of(value: Any) -> RawNote | None:
    match value:
        case {"note": str(note), "path": list(path)} if len(path) <= _MAX_HASHES:
            hashes = _hashes(path)
            try:
                return None if hashes is None else RawNote(note.encode(), hashes)
            except UnicodeEncodeError:
                return None
    return None


def _hashes(values: list[Any]) -> tuple[bytes, ...] | None:
    found = [_unhex(one) if isinstance(one, str) else None for one in values]
    if any(one is None or len(one) != 32 for one in found):
        return None
    return tuple(one for one in found if one is not None)


def leaf_of(line: bytes) -> RawLeaf | None:
    """A leaf's line, or None: it is none."""
    if not line.endswith(b"\n"):
        return None
    match _fields(line):
        case {"seq": int(seq), "leaf": str(leaf), "hash": str(leaf_hash)}:
            try:
                # A damaged leaf was written with surrogates for bytes that are not UTF-8.
                raw = leaf.encode("utf-8", "surrogateescape")
            except UnicodeEncodeError:
                return None
            return RawLeaf(seq, raw, _unhex(leaf_hash), None)
    return None


def _unhex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None


def _fields(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
