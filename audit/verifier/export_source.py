"""Reads an export: JSON Lines, one header line, then one line a leaf.

    {"format": "credence-audit-export/1", "root": <hex>, "size": <leaves>}
    {"hash": <hex of the leaf hash>, "leaf": <the leaf, a JSON text>, "seq": <number>}

Line length bounds every allocation; `audit.export` writes this format.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from audit.verifier.source import RawHead, RawLeaf, SourceDamaged
from protocols.errors import Malformed

EXPORT_FORMAT = "credence-audit-export/1"
MAX_LINE_BYTES = 16_384


class ExportSource:
    """The leaves and the head of an export file."""

    has_store = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def head(self) -> RawHead:
        """Size and root from the header.

        Raises:
            Malformed: the first line is not the header of an export.
        """
        with self._path.open("rb") as stream:
            head = _head_of(stream.readline(MAX_LINE_BYTES))
        if head is None:
            raise Malformed(f"{self._path} is not an audit export")
        return head

    def leaves(self) -> Iterator[RawLeaf]:
        """The leaves, in the order of the file."""
        with self._path.open("rb") as stream:
            stream.readline(MAX_LINE_BYTES)
            while line := stream.readline(MAX_LINE_BYTES):
                leaf = _leaf_of(line)
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


def _head_of(line: bytes) -> RawHead | None:
    match _fields(line):
        case {"format": "credence-audit-export/1", "size": int(size), "root": str(root)}:
            root_bytes = _unhex(root)
            return None if root_bytes is None else RawHead(size, root_bytes, None)
    return None


def _leaf_of(line: bytes) -> RawLeaf | None:
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
