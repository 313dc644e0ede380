"""The release: which model version plays which part in the network, signed by its directory key.

Every change of a part makes the next release. A node scores only with a version that the newest
release it has seen names, and only with the very bundle whose hash stands there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from protocols.canonical import canonical_json, parse_canonical, sha256
from protocols.documents import MAX_DOCUMENT_BYTES, Document, verify_document
from protocols.errors import CredenceError, InvalidInput, Malformed
from protocols.identifiers import is_member_id
from protocols.keys import VerifyKey

KIND: Final = "release"
MAX_VERSIONS: Final = 4_096
MAX_STAGED: Final = 2_048
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_HASH = re.compile(r"[0-9a-f]{64}")
_FIELDS = {"version", "at_ms", "champion", "challenger", "staged", "models", "withdrawn"}


class ReleaseRollback(CredenceError):
    """A release older than the one held, or another one under the same serial."""

    code = "release_rollback"
    category = "conflict"
    next_step = "Report this to the operator: an old or forked release is being served."


@dataclass(frozen=True, slots=True)
class Staged:
    """A version that some members score with before the others do; `members` sorted."""

    version: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Release:
    """One release.

    Attributes:
        serial: counts up from 1; the `version` of the document.
        at_ms: when, UTC milliseconds.
        champion: what members score with; None: nothing.
        challenger: what is scored beside it for comparison, never for an answer; or None.
        staged: what some members score with already; or None.
        models: hex SHA-256 of the manifest by version, of all that are published and not withdrawn.
        withdrawn: versions that no member may score with, sorted.
    """

    serial: int
    at_ms: int
    champion: str | None
    challenger: str | None
    staged: Staged | None
    models: Mapping[str, str]
    withdrawn: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.serial < 1 or self.at_ms < 0:
            raise InvalidInput("a release's serial counts from 1, its time from 0")
        if len(self.models) + len(self.withdrawn) > MAX_VERSIONS:
            raise InvalidInput(f"a release names at most {MAX_VERSIONS} versions")
        if not all(map(is_version, (*self.models, *self.withdrawn))):
            raise InvalidInput("a version is 1 to 40 letters, digits, dots, hyphens, underscores")
        if not all(_HASH.fullmatch(one) for one in self.models.values()):
            raise InvalidInput("a release names each manifest by its SHA-256 in hex")
        if list(self.withdrawn) != sorted(set(self.withdrawn) - set(self.models)):
            raise InvalidInput("withdrawn versions are sorted, each once, and no models any more")
        parts = [one for one in (self.champion, self.challenger, self._staged()) if one is not None]
        if len(set(parts)) != len(parts) or not set(parts) <= set(self.models):
            raise InvalidInput("champion, challenger and staged are different, published versions")
        if self.staged is not None:
            _check_members(self.staged.members)

    def named_for(self, member_id: str) -> str | None:
        """The version that a member is to score with."""
        if self.staged is not None and member_id in self.staged.members:
            return self.staged.version
        return self.champion

    def to_body(self) -> bytes:
        """RFC 8785 canonical JSON, to be signed as a document of kind `release`."""
        staged = self.staged
        return canonical_json({
            "version": self.serial,
            "at_ms": self.at_ms,
            "champion": self.champion,
            "challenger": self.challenger,
            "staged": None if staged is None
            else {"version": staged.version, "members": list(staged.members)},
            "models": dict(self.models),
            "withdrawn": list(self.withdrawn),
        })  # fmt: skip

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read a release back from bytes whose signature was verified.

        Raises:
            Malformed: a field is missing, unknown or of the wrong form.
        """
        return cls._from_parsed(parse_canonical(body, max_bytes=MAX_DOCUMENT_BYTES))

    @classmethod
    def _from_parsed(cls, value: Any) -> Self:
        if (
            not isinstance(value, dict)
            or set(value) != _FIELDS
            or type(value["version"]) is not int
            or type(value["at_ms"]) is not int
            or not all(_is_text_or_none(value[name]) for name in ("champion", "challenger"))
            or not _are_texts(value["withdrawn"])
            or not isinstance(value["models"], dict)
            or not _are_texts(list(value["models"].values()))
        ):
            raise Malformed("a release with other fields than it must have")
        try:
            return cls(
                serial=value["version"],
                at_ms=value["at_ms"],
                champion=value["champion"],
                challenger=value["challenger"],
                staged=_staged(value["staged"]),
                models=value["models"],
                withdrawn=tuple(value["withdrawn"]),
            )
        except InvalidInput as error:
            raise Malformed("a release with a field of the wrong form") from error

    def _staged(self) -> str | None:
        return None if self.staged is None else self.staged.version


def accept(held: Document | None, document: Document, key: VerifyKey) -> Release:
    """Verify a release and decide whether it replaces the one held.

    Checks: 1. the document verifies under the network's directory key; 2. its body is a release;
    3. its serial is not below the one held; 4. under an equal serial the bytes are equal; 5. what
    was withdrawn stays withdrawn.

    Args:
        held: the newest release seen here, None before the first.
        document: what was received.
        key: the directory key, pinned by the invitation.

    Raises:
        SignatureInvalid: check 1.
        Malformed: checks 1 or 2.
        ReleaseRollback: checks 3, 4 or 5.
    """
    # 1. Signature, kind and canonical form.
    parsed = verify_document(document, key, KIND)
    # 2. Body.
    offered = Release._from_parsed(parsed)  # noqa: SLF001 - same module, already parsed
    if held is None:
        return offered
    # 3. Serial.
    if offered.serial < held.version:
        raise ReleaseRollback(f"release {offered.serial} is older than {held.version}, held here")
    # 4. Fork.
    if offered.serial == held.version and document.body != held.body:
        raise ReleaseRollback(f"two different releases under serial {held.version}")
    # 5. Withdrawals.
    if not set(Release.from_body(held.body).withdrawn) <= set(offered.withdrawn):
        raise ReleaseRollback("a release that takes a withdrawal back")
    return offered


def manifest_hash(manifest: bytes) -> str:
    """What a release names a bundle by: hex SHA-256 of the manifest's signed bytes."""
    return sha256(manifest).hex()


def is_version(text: str) -> bool:
    """Whether `text` can name a model version."""
    return _VERSION.fullmatch(text) is not None


def _staged(value: Any) -> Staged | None:
    if value is None:
        return None
    if (
        not isinstance(value, dict)
        or set(value) != {"version", "members"}
        or not isinstance(value["version"], str)
        or not _are_texts(value["members"])
    ):
        raise Malformed("a release's staged version is a version and its members")
    return Staged(value["version"], tuple(value["members"]))


def _check_members(members: tuple[str, ...]) -> None:
    if not 1 <= len(members) <= MAX_STAGED or list(members) != sorted(set(members)):
        raise InvalidInput(f"a version is staged at 1 to {MAX_STAGED} members, sorted, each once")
    if not all(map(is_member_id, members)):
        raise InvalidInput("a version is staged at members, by their ids")


def _is_text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)
