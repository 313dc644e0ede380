"""Writes a log's leaves, all or a range, to a file that the verifier reads anywhere.

The format stands in `audit/verifier/export_source.py`. An export holds no ciphertext and no key: it
can go to a regulator or an archive as it is, and re-computes to the same root. Signed, it carries
checkpoints of its beginning and its end and the newest that witnesses cosigned.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from audit.checkpoint import NoteKey, sign_checkpoint
from audit.merkle import Frontier
from audit.verifier.export_source import EXPORT_FORMAT
from audit.verifier.locate import open_source
from audit.verifier.note import Checkpoint, Note
from audit.verifier.source import RawHead, RawNote, Source, SourceDamaged
from protocols.errors import CredenceError, InvalidInput, Unavailable
from protocols.keys import SigningKey

_BATCH = 4096
RawRow = tuple[int, bytes, bytes]
"""(sequence number, leaf, leaf hash)."""


class ExportFailed(Unavailable):
    """The export file could not be written; nothing is left of it."""

    code = "audit_export_failed"
    next_step = "Check that the directory exists, may be written and has free space."


class LogDamaged(CredenceError):
    """A log is so damaged that its leaves cannot be read in order."""

    code = "audit_log_damaged"
    next_step = "Run `credence audit verify log` on it; it names what is damaged."


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs an export.

    Attributes:
        origin: the log's.
        key: the log's.
        witnessed: the newest cosigned checkpoint; None: there is none.
        consistency: (old, new) -> consistency proof, for a checkpoint beyond the export's end.
    """

    origin: str
    key: SigningKey
    witnessed: bytes | None = None
    consistency: Callable[[int, int], Sequence[bytes]] | None = None


def export_log(
    home: Path,
    file: Path,
    *,
    start: int = 0,
    size: int | None = None,
    signer: Signer | None = None,
) -> RawHead:
    """Export the log of a home directory or database file, in one snapshot.

    Args:
        home: where the log is.
        file: replaced if it exists, once the new one is complete.
        start: the first leaf.
        size: leaves of the log at the end of the export; None: all.
        signer: None: the export is not signed.

    Returns:
        The exported head.

    Raises:
        LogUnreadable: there is no log.
        LogDamaged: its leaves cannot be read, or do not give its root.
        InvalidInput: not 0 <= start <= size <= the log's size.
        ExportFailed: the file system refuses.
    """
    try:
        with open_source(home) as source:
            return export_rows(file, source.head(), lambda: _rows(source), start, size, signer)
    except SourceDamaged as error:
        raise LogDamaged(str(error)) from error


def export_rows(
    file: Path,
    head: RawHead,
    rows: Callable[[], Iterator[RawRow]],
    start: int = 0,
    size: int | None = None,
    signer: Signer | None = None,
) -> RawHead:
    """As `export_log`, of any log: `rows` gives its leaves from the first on, again each time."""
    end = head.size if size is None else size
    if not 0 <= start <= end <= head.size:
        raise InvalidInput(f"a range is 0 <= from <= to <= {head.size}, the leaves of the log")
    if (start, end, signer) == (0, head.size, None):
        # As it lies there: the verifier says what is wrong with it.
        exported = RawHead(end, head.root, None)
    else:
        before, at_end = _frontiers(rows(), start, end)
        if end == head.size and at_end.root() != head.root:
            raise LogDamaged("the leaves do not give the root of the log")
        exported = RawHead(end, at_end.root(), None, start, before.hashes)
        if signer is not None:
            exported = _signed(exported, before, signer)
    ranged = (row for row in rows() if start <= row[0] < end)
    write_export(file, exported, signer.origin if signer else "", ranged)
    return exported


def write_export(file: Path, head: RawHead, origin: str, leaves: Iterable[RawRow]) -> int:
    """Write a whole export, or nothing.

    Args:
        file: replaced if it exists, once the new one is complete.
        head: what the header says.
        origin: the log's, or empty.
        leaves: (seq, leaf, leaf hash) in order.

    Returns:
        How many leaves were written.

    Raises:
        ExportFailed: the file system refuses.
    """
    partial = file.with_name(f".{file.name}.{secrets.token_hex(4)}.partial")
    try:
        try:
            with partial.open("xb") as stream:
                written = _write(stream, head, origin, leaves)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ExportFailed(f"{file} cannot be written ({error.strerror})") from error
    return written


def _signed(head: RawHead, before: Frontier, signer: Signer) -> RawHead:
    def own(size: int, root: bytes) -> RawNote:
        return RawNote(sign_checkpoint(Checkpoint(signer.origin, size, root), signer.key), ())

    notes = [own(head.size, head.root)]
    if head.start:
        notes.insert(0, own(head.start, before.root()))
    if signer.witnessed is not None:
        seen = Checkpoint.parse(Note.parse(signer.witnessed).text)
        path: Sequence[bytes] = ()
        if seen.size > head.size > 0 and signer.consistency is not None:
            path = signer.consistency(head.size, seen.size)
        if head.start <= seen.size <= head.size or path:
            notes.append(RawNote(signer.witnessed, tuple(path)))
    key = NoteKey(signer.origin, signer.key.verify_key).encode()
    return head._replace(notes=tuple(notes), key=key)


def _frontiers(rows: Iterable[RawRow], start: int, end: int) -> tuple[Frontier, Frontier]:
    """The tree at both ends of a range."""
    tree, before, batch = Frontier(), Frontier(), list[bytes]()
    for seq, _, leaf_hash in rows:
        if seq == start or len(batch) == _BATCH:
            tree, batch = tree.extend(batch), []
        if seq == start:
            before = tree
        if seq >= end:
            break
        batch.append(leaf_hash)
    tree = tree.extend(batch)
    return (tree if tree.size == start else before), tree


def _rows(source: Source) -> Iterator[RawRow]:
    for row in source.leaves():
        if not isinstance(row.leaf, bytes) or not isinstance(row.leaf_hash, bytes):
            raise SourceDamaged(f"leaf {row.seq} is not bytes")
        yield row.seq, row.leaf, row.leaf_hash


def _write(stream: BinaryIO, head: RawHead, origin: str, leaves: Iterable[RawRow]) -> int:
    stream.write(
        _line(
            {
                "before": [one.hex() for one in head.before],
                "format": EXPORT_FORMAT,
                "key": head.key,
                "log": origin,
                "notes": [
                    {"note": one.note.decode(), "path": [item.hex() for item in one.path]}
                    for one in head.notes
                ],
                "root": head.root.hex(),
                "size": head.size,
                "start": head.start,
            }
        )
    )
    written = 0
    for seq, leaf, leaf_hash in leaves:
        # Escaped surrogates carry even a damaged leaf byte for byte, for the verifier to name.
        text = leaf.decode("utf-8", "surrogateescape")
        stream.write(_line({"hash": leaf_hash.hex(), "leaf": text, "seq": seq}))
        written += 1
    return written


def _line(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"
