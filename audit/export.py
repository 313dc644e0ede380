"""Writes a log's leaves to a file that the verifier reads anywhere.

The format stands in `audit/verifier/export_source.py`. An export holds no ciphertext and no key:
it can go to a regulator or an archive as it is, and re-computes to the same root.
"""

import json
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from audit.verifier.export_source import EXPORT_FORMAT
from audit.verifier.locate import open_source
from audit.verifier.source import RawHead, Source, SourceDamaged
from protocols.errors import CredenceError, Unavailable


class ExportFailed(Unavailable):
    """The export file could not be written; nothing is left of it."""

    code = "audit_export_failed"
    next_step = "Check that the directory exists, may be written and has free space."


class LogDamaged(CredenceError):
    """A log is so damaged that its leaves cannot be read in order."""

    code = "audit_log_damaged"
    next_step = "Run `credence audit verify` on it; it names what is damaged."


def export_log(home: Path, file: Path) -> RawHead:
    """Export the log of a home directory or database file, in one snapshot.

    Returns:
        The exported head.

    Raises:
        LogUnreadable: there is no log.
        LogDamaged: its leaves cannot be read.
        ExportFailed: the file system refuses.
    """
    try:
        with open_source(home) as source:
            head = source.head()
            write_export(file, head.size, head.root, _leaves(source))
    except SourceDamaged as error:
        raise LogDamaged(str(error)) from error
    return head


def write_export(
    file: Path, size: int, root: bytes, leaves: Iterable[tuple[int, bytes, bytes]]
) -> int:
    """Write a whole export, or nothing.

    Args:
        file: replaced if it exists, once the new one is complete.
        size: leaves in the head.
        root: the head's root hash.
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
                written = _write(stream, size, root, leaves)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ExportFailed(f"{file} cannot be written ({error.strerror})") from error
    return written


def _leaves(source: Source) -> Iterator[tuple[int, bytes, bytes]]:
    for row in source.leaves():
        if not isinstance(row.leaf, bytes) or not isinstance(row.leaf_hash, bytes):
            raise SourceDamaged(f"leaf {row.seq} is not bytes")
        yield row.seq, row.leaf, row.leaf_hash


def _write(
    stream: BinaryIO, size: int, root: bytes, leaves: Iterable[tuple[int, bytes, bytes]]
) -> int:
    stream.write(_line({"format": EXPORT_FORMAT, "root": root.hex(), "size": size}))
    written = 0
    for seq, leaf, leaf_hash in leaves:
        # Escaped surrogates carry even a damaged leaf byte for byte, for the verifier to name.
        text = leaf.decode("utf-8", "surrogateescape")
        stream.write(_line({"hash": leaf_hash.hex(), "leaf": text, "seq": seq}))
        written += 1
    return written


def _line(fields: dict[str, object]) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode("ascii") + b"\n"
