"""The signed member directory: who is in the network, with which keys, in which state.

The coordinator issues versions; a node accepts a version only when its signature verifies and it
does not take back an earlier one (`accept`). `epoch` counts key epochs: pairwise keys, and with
them handles and tokens, change with it. A licence runs out by itself, on the reader's clock:
whoever decides by a directory reads it as it stands now (`Directory.at`).
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from protocols.canonical import canonical_json, parse_canonical
from protocols.documents import MAX_DOCUMENT_BYTES, Document, verify_document
from protocols.errors import CredenceError, InvalidInput, Malformed
from protocols.keys import VerifyKey
from protocols.member_entry import STATUSES, MemberEntry, Status
from protocols.member_keys import hex32

__all__ = [
    "STATUSES",
    "Directory",
    "DirectoryRollback",
    "LicenceExpired",
    "MemberEntry",
    "MemberNotActive",
    "Status",
    "UnknownMember",
    "accept",
]

MAX_MEMBERS: Final = 2048


class UnknownMember(CredenceError):
    """No member by that id in the directory held here."""

    code = "unknown_member"
    category = "forbidden"
    next_step = "Check the id; a member that joined a moment ago appears with the next directory."


class MemberNotActive(CredenceError):
    """The member is suspended or revoked."""

    code = "member_not_active"
    category = "forbidden"
    next_step = "Ask the operator of the network why this member is not active."


class LicenceExpired(MemberNotActive):
    """The licence that a member acts under has run out."""

    code = "licence_expired"
    next_step = "The operator enters the new licence: `credence coordinator licence`."


class DirectoryRollback(CredenceError):
    """A directory older than the one held, or another one under the same version."""

    code = "directory_rollback"
    category = "conflict"
    next_step = "Report this to the operator: an old or forked directory is being served."


@dataclass(frozen=True, slots=True)
class Directory:
    """One version of the directory.

    Attributes:
        version: counts up from 1.
        issued_at_ms: UTC milliseconds.
        epoch: key epoch, never decreases.
        members: sorted by id, every id once.
        directory_key: the 32-byte Ed25519 key that signs this network's documents.
    """

    version: int
    issued_at_ms: int
    epoch: int
    members: tuple[MemberEntry, ...]
    directory_key: bytes
    _by_id: dict[str, MemberEntry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ids = [entry.member_id for entry in self.members]
        if ids != sorted(set(ids)) or len(ids) > MAX_MEMBERS:
            raise InvalidInput(f"a directory lists up to {MAX_MEMBERS} members sorted, each once")
        if self.version < 1 or self.issued_at_ms < 0 or self.epoch < 0:
            raise InvalidInput("a directory's version counts from 1, its epoch and time from 0")
        VerifyKey(self.directory_key)
        object.__setattr__(self, "_by_id", {entry.member_id: entry for entry in self.members})

    def member(self, member_id: str) -> MemberEntry:
        """The entry of a member, whatever its status.

        Raises:
            UnknownMember: there is none.
        """
        entry = self._by_id.get(member_id)
        if entry is None:
            raise UnknownMember("no member by this id in the directory")
        return entry

    def active_member(self, member_id: str) -> MemberEntry:
        """The entry of a member that may act now.

        Raises:
            UnknownMember: there is none.
            MemberNotActive: it is suspended or revoked.
            LicenceExpired: its licence has run out.
        """
        entry = self.member(member_id)
        if entry.status == "lapsed":
            raise LicenceExpired(f"the licence of member {member_id} has run out")
        if not entry.active:
            raise MemberNotActive(f"member {member_id} is {entry.status}")
        return entry

    def at(self, now_ms: int) -> Self:
        """This directory as it stands at a time: who is active, but licensed no more, has lapsed.

        For deciding by, never for signing.
        """
        if not any(_lapses(entry, now_ms) for entry in self.members):
            return self
        members = (
            replace(entry, status="lapsed") if _lapses(entry, now_ms) else entry
            for entry in self.members
        )
        return replace(self, members=tuple(members))

    def next_lapse_ms(self, now_ms: int) -> int | None:
        """When the next licence of an active member runs out after `now_ms`; None: never."""
        ends = [
            entry.licence_until_ms
            for entry in self.members
            if entry.active and entry.licence_until_ms is not None
        ]
        return min((end for end in ends if end > now_ms), default=None)

    def to_body(self) -> bytes:
        """RFC 8785 canonical JSON, to be signed as a document of kind `directory`."""
        return canonical_json({
            "version": self.version,
            "issued_at_ms": self.issued_at_ms,
            "epoch": self.epoch,
            "members": [entry.to_json() for entry in self.members],
            "directory_key": self.directory_key.hex(),
        })  # fmt: skip

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read a directory back from bytes whose signature was verified.

        Raises:
            Malformed: a field is missing, unknown or of the wrong form.
        """
        return cls._from_parsed(parse_canonical(body, max_bytes=MAX_DOCUMENT_BYTES))

    @classmethod
    def _from_parsed(cls, value: Any) -> Self:
        numbers = ("version", "issued_at_ms", "epoch")
        if (
            not isinstance(value, dict)
            or set(value) != {*numbers, "members", "directory_key"}
            or not all(type(value[name]) is int for name in numbers)
            or not isinstance(value["members"], list)
        ):
            raise Malformed("a directory with other fields than it must have")
        entries = tuple(MemberEntry.from_json(item) for item in value["members"])
        try:
            return cls(
                version=value["version"],
                issued_at_ms=value["issued_at_ms"],
                epoch=value["epoch"],
                members=entries,
                directory_key=hex32(value["directory_key"]),
            )
        except InvalidInput as error:
            raise Malformed("a directory with a field of the wrong form") from error


def accept(current: Directory | None, document: Document, key: VerifyKey) -> Directory:
    """Verify a directory and decide whether to replace the one held.

    Checks: 1. the document verifies under the pinned key; 2. its body is a directory that names
    that same key; 3. its version is not below the one held; 4. under an equal version the bytes
    are equal; 5. neither epoch nor time of issue goes back.

    Args:
        current: the directory held, None at first.
        document: what was received.
        key: the directory key, pinned by the invitation.

    Returns:
        The directory to hold from now on.

    Raises:
        SignatureInvalid: check 1.
        Malformed: checks 1 or 2.
        DirectoryRollback: checks 3, 4 or 5.
    """
    # 1. Signature, kind and canonical form.
    parsed = verify_document(document, key, "directory")
    # 2. Body.
    offered = Directory._from_parsed(parsed)  # noqa: SLF001 - same module, already parsed
    if offered.directory_key != key.bytes:
        raise Malformed("the directory names another directory key than the one pinned")
    if current is None:
        return offered
    # 3. Version.
    if offered.version < current.version:
        raise DirectoryRollback(
            f"directory version {offered.version} is older than {current.version}, held here"
        )
    # 4. Fork.
    if offered.version == current.version:
        if document.body != current.to_body():
            raise DirectoryRollback(f"two different directories of version {current.version}")
        return current
    # 5. Epoch and time.
    if offered.epoch < current.epoch or offered.issued_at_ms < current.issued_at_ms:
        raise DirectoryRollback("a newer directory with an older epoch or time of issue")
    return offered


def _lapses(entry: MemberEntry, now_ms: int) -> bool:
    end = entry.licence_until_ms
    return entry.active and end is not None and now_ms >= end
