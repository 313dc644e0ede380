"""A small network in memory: a directory of two banks and a data provider, with their keys."""

from dataclasses import dataclass, replace

import pytest

from protocols.directory import Directory, MemberEntry
from protocols.keys import SealingKey, SigningKey
from tests.protocols.masking_cohort import Cohort, terms

NOW = 1_750_000_000_000


@dataclass(frozen=True)
class Member:
    """A member's keys and its entry."""

    entry: MemberEntry
    signing: SigningKey
    sealing: SealingKey


@dataclass(frozen=True)
class Network:
    """All that two members need to talk."""

    key: SigningKey
    members: dict[str, Member]
    directory: Directory

    def with_status(self, member_id: str, status: str) -> Directory:
        members = tuple(
            replace(entry, status=status) if entry.member_id == member_id else entry
            for entry in self.directory.members
        )
        return replace(self.directory, version=self.directory.version + 1, members=members)


def make_member(number: int, member_id: str, role: str, holds: tuple[str, ...]) -> Member:
    signing = SigningKey.from_seed(bytes([number]) * 32)
    sealing = SealingKey.from_bytes(bytes([number + 100]) * 32)
    entry = MemberEntry(
        member_id=member_id,
        name=f"{member_id} Ltd",
        role=role,
        licence=f"L-{number}",
        contact=f"privacy@{member_id}.example",
        holds=holds,
        signing_key=signing.verify_key.bytes,
        sealing_key=sealing.public,
        certificate_sha256=bytes([number]) * 32,
        endpoint=f"127.0.0.1:{5000 + number}",
        status="active",
        joined_at_ms=NOW - 1000,
    )
    return Member(entry, signing, sealing)


def make_network() -> Network:
    members = [
        make_member(1, "bank-a", "bank", ("credit_account",)),
        make_member(2, "bank-b", "bank", ("credit_account",)),
        make_member(3, "payments", "data_provider", ("payment",)),
    ]
    key = SigningKey.from_seed(b"\x09" * 32)
    directory = Directory(
        version=3,
        issued_at_ms=NOW,
        epoch=1,
        members=tuple(member.entry for member in members),
        directory_key=key.verify_key.bytes,
    )
    return Network(key, {member.entry.member_id: member for member in members}, directory)


@pytest.fixture(scope="session")
def network() -> Network:
    return make_network()


@pytest.fixture
def five() -> Cohort:
    """Five members with their masks agreed, threshold three."""
    return Cohort(terms(5, 3)).agree()
