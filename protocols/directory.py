"""The signed member directory: who is in the network, with which keys, in which state.

The coordinator issues versions; a node accepts a version only when its signature verifies and it
does not take back an earlier one (`accept`). `epoch` counts key epochs: pairwise keys, and with
them handles and tokens, change with it.
"""

from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, Self, cast

from protocols.canonical import canonical_json, parse_canonical
from protocols.documents import MAX_DOCUMENT_BYTES, Document, verify_document
from protocols.errors import CredenceError, InvalidInput, Malformed
from protocols.identifiers import check_member_id, check_role, is_endpoint, is_field_name
from protocols.keys import VerifyKey
from protocols.suites import X25519, is_suite_list

Status = Literal["active", "suspended", "revoked"]
STATUSES: Final[tuple[Status, ...]] = ("active", "suspended", "revoked")
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


class DirectoryRollback(CredenceError):
    """A directory older than the one held, or another one under the same version."""

    code = "directory_rollback"
    category = "conflict"
    next_step = "Report this to the operator: an old or forked directory is being served."


@dataclass(frozen=True, slots=True)
class MemberEntry:
    """One member as the network knows it.

    Attributes:
        member_id: `[a-z][a-z0-9-]{1,40}`.
        name: legal name, 1 to 120 characters.
        role: one of `protocols.identifiers.ROLES`.
        licence: licence number, up to 120 characters.
        contact: where complaints and breach notices go, up to 200 characters.
        holds: source classes it can answer for, sorted.
        signing_key: 32-byte Ed25519 public key.
        sealing_key: 32-byte X25519 public key.
        certificate_sha256: SHA-256 of its certificate's DER, 32 bytes.
        endpoint: `host:port` of its exchange, or None when it accepts no connection.
        status: active, suspended or revoked.
        joined_at_ms: UTC milliseconds.
        suites: cipher suites it speaks (`protocols.suites`), sorted; numbers may be unknown here.
    """

    member_id: str
    name: str
    role: str
    licence: str
    contact: str
    holds: tuple[str, ...]
    signing_key: bytes
    sealing_key: bytes
    certificate_sha256: bytes
    endpoint: str | None
    status: Status
    joined_at_ms: int
    suites: tuple[int, ...] = (X25519,)

    def __post_init__(self) -> None:
        check_member_id(self.member_id)
        check_role(self.role)
        _check_text("a legal name", self.name, 1, 120)
        _check_text("a licence number", self.licence, 0, 120)
        _check_text("a contact", self.contact, 0, 200)
        if list(self.holds) != sorted(set(self.holds)) or not all(map(is_field_name, self.holds)):
            raise InvalidInput("what a member holds is a sorted list of source classes, each once")
        if {len(self.signing_key), len(self.sealing_key), len(self.certificate_sha256)} != {32}:
            raise InvalidInput("a member's keys and certificate hash are 32 bytes each")
        if self.endpoint is not None and not is_endpoint(self.endpoint):
            raise InvalidInput("an endpoint is host:port")
        if self.status not in STATUSES:
            raise InvalidInput(f"a member's status is one of {', '.join(STATUSES)}")
        if self.joined_at_ms < 0:
            raise InvalidInput("a time is in milliseconds since 1970")
        if not is_suite_list(self.suites):
            raise InvalidInput("a member's cipher suites are a sorted list of numbers, each once")

    @property
    def verify_key(self) -> VerifyKey:
        """The member's signature key."""
        return VerifyKey(self.signing_key)

    @property
    def active(self) -> bool:
        """Whether the member may ask and be asked."""
        return self.status == "active"

    def to_json(self) -> dict[str, Any]:
        """The entry as a JSON object; bytes in hex."""
        return {item.name: _json_value(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Read an entry back.

        Raises:
            Malformed: a field is missing, unknown or of the wrong form.
        """
        if not isinstance(value, dict) or set(value) != {item.name for item in fields(cls)}:
            raise Malformed("a directory entry with other fields than it must have")
        try:
            return cls(**{name: _entry_value(name, item) for name, item in value.items()})
        except (InvalidInput, TypeError, ValueError) as error:
            raise Malformed("a directory entry with a field of the wrong form") from error


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
        """
        entry = self.member(member_id)
        if not entry.active:
            raise MemberNotActive(f"member {member_id} is {entry.status}")
        return entry

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
                directory_key=_from_hex(value["directory_key"]),
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


def _check_text(what: str, text: str, least: int, most: int) -> None:
    if not least <= len(text) <= most or not text.isprintable():
        raise InvalidInput(f"{what} is {least} to {most} printable characters")


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return list(value) if isinstance(value, tuple) else value


def _entry_value(name: str, value: Any) -> Any:
    if name in {"signing_key", "sealing_key", "certificate_sha256"}:
        return _from_hex(value)
    if name == "holds":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise Malformed("what a member holds is a list of texts")
        return tuple(cast("list[str]", value))
    if name == "suites":
        if not is_suite_list(value):
            raise Malformed("a member's cipher suites are a sorted list of numbers, each once")
        return tuple(cast("list[int]", value))
    if name == "joined_at_ms":
        if type(value) is not int:
            raise Malformed("a time is a whole number")
        return value
    if name == "endpoint" and value is None:
        return None
    if not isinstance(value, str):
        raise Malformed(f"{name} is a text")
    return value


def _from_hex(value: Any) -> bytes:
    if not isinstance(value, str) or len(value) != 64:
        raise Malformed("a key or hash is 64 hex digits")
    try:
        data = bytes.fromhex(value)
    except ValueError as error:
        raise Malformed("a key or hash is 64 hex digits") from error
    if data.hex() != value:
        raise Malformed("hex digits are lower case")
    return data
