"""Fixed keys, and a seeded source where the system's random one would be."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from protocols.directory import Directory, MemberEntry
from protocols.keys import SealingKey, SigningKey

NOW_MS = 1_780_000_000_000
DAY_MS = 86_400_000
MEMBERS = (
    ("bank-a", "bank", ("credit_account",)),
    ("bank-b", "bank", ("credit_account",)),
    ("payments", "data_provider", ("payment",)),
)


def seed(label: str) -> bytes:
    """32 bytes: SHA-256 of `credence vectors|` and a label."""
    return hashlib.sha256(b"credence vectors|" + label.encode()).digest()


def signing(name: str) -> SigningKey:
    """The Ed25519 key of a name."""
    return SigningKey.from_seed(seed(f"signing {name}"))


def sealing(name: str) -> SealingKey:
    """The X25519 key of a name."""
    return SealingKey.from_bytes(seed(f"sealing {name}"))


@contextmanager
def seeded(label: str) -> Iterator[None]:
    """Within the block, random bytes are SHA-256 of the label and a counter."""
    count = 0

    def source(size: int = 32) -> bytes:
        nonlocal count
        out = b""
        while len(out) < size:
            out += seed(f"{label} {count}")
            count += 1
        return out[:size]

    with patch("os.urandom", source), patch("secrets.token_bytes", source):
        yield


def entry(member_id: str, role: str, holds: tuple[str, ...]) -> MemberEntry:
    """The directory entry of one of `MEMBERS`."""
    return MemberEntry(
        member_id=member_id,
        name=f"{member_id} Ltd",
        role=role,
        licence=f"L-{member_id}",
        contact=f"privacy@{member_id}.example",
        holds=holds,
        signing_key=signing(member_id).verify_key.bytes,
        sealing_key=sealing(member_id).public,
        certificate_sha256=seed(f"certificate {member_id}"),
        endpoint=f"{member_id}.example:7443",
        status="active",
        joined_at_ms=NOW_MS - DAY_MS,
    )


def directory(version: int = 3, suites: tuple[int, ...] = (1,)) -> Directory:
    """The directory of these vectors; every member speaks `suites`."""
    return Directory(
        version=version,
        issued_at_ms=NOW_MS,
        epoch=1,
        members=tuple(replace(entry(*member), suites=suites) for member in MEMBERS),
        directory_key=signing("directory").verify_key.bytes,
    )
