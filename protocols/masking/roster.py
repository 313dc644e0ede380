"""The keys of a campaign: announced, signed by the member's own key, and fixed before any is used.

A member announces a fresh X25519 mask key, a fresh Ed25519 key for the campaign's views, and a
commitment to its part of the joint seed, all signed by the key that the directory lists for it.
Everybody checks everybody's announcement against its own copy of the directory: the coordinator,
who carries them, can put no key of its own between two members. It can leave members out; whoever
is left with fewer than the plan allows stops.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from protocols.canonical import canonical_json, parse_canonical, sha256
from protocols.directory import Directory
from protocols.errors import CredenceError, Malformed
from protocols.keys import SigningKey, VerifyKey
from protocols.masking.errors import MaskingMalformed, MaskKeyForeign
from protocols.member_keys import hex32

KEYS_DOMAIN: Final = "mask-keys"
REVEAL_DOMAIN: Final = "mask-reveal"
MAX_BODY_BYTES: Final = 64 * 1024


@dataclass(frozen=True)
class Signed:
    """A body and the signature over it, as they travel."""

    body: bytes
    signature: bytes

    def to_bytes(self) -> bytes:
        """The 64-byte signature, then the body."""
        return self.signature + self.body

    @classmethod
    def from_bytes(cls, data: bytes) -> "Signed":
        """Read it back; nothing is verified.

        Raises:
            MaskingMalformed: too short or too long.
        """
        if not 64 < len(data) <= 64 + MAX_BODY_BYTES:
            raise MaskingMalformed("a signed body is 64 bytes of signature and a body")
        return cls(data[64:], data[:64])


@dataclass(frozen=True)
class Announcement:
    """One member's keys for one campaign.

    Attributes:
        role: the member's role in the directory.
        mask_key: X25519, 32 bytes.
        view_key: Ed25519, 32 bytes; signs what the member says within the campaign.
        seed_commitment: SHA-256 of its part of the joint seed.
    """

    campaign_id: str
    plan_sha256: bytes
    member_id: str
    role: str
    mask_key: bytes
    view_key: bytes
    seed_commitment: bytes

    def sign(self, key: SigningKey) -> Signed:
        """Signed by the member's own key."""
        body = canonical_json({
            "campaign_id": self.campaign_id,
            "plan": self.plan_sha256.hex(),
            "member_id": self.member_id,
            "role": self.role,
            "mask_key": self.mask_key.hex(),
            "view_key": self.view_key.hex(),
            "seed_commitment": self.seed_commitment.hex(),
        })  # fmt: skip
        return Signed(body, key.sign(KEYS_DOMAIN, body))


@dataclass(frozen=True)
class Roster:
    """The announcements of a campaign, by member id, all verified.

    Attributes:
        sha256: over all bodies in the order of ids; two members with one hash see one roster.
    """

    members: Mapping[str, Announcement]
    sha256: bytes

    @property
    def ids(self) -> tuple[str, ...]:
        """Member ids, sorted."""
        return tuple(self.members)

    def view_key(self, member_id: str) -> VerifyKey:
        """The key that signs a member's views.

        Raises:
            MaskKeyForeign: it is not in the roster.
        """
        found = self.members.get(member_id)
        if found is None:
            raise MaskKeyForeign("the signer is not in the campaign's roster")
        return VerifyKey(found.view_key)


def read_roster(
    announcements: Sequence[Signed],
    *,
    campaign_id: str,
    plan_sha256: bytes,
    plan_members: Sequence[str],
    directory: Directory | None,
    now_ms: int,
) -> Roster:
    """Verify announcements against the directory held here; None: this side verified them before.

    Checks, for each: 1. its form; 2. it is for this campaign and plan; 3. its member is in the
    plan, and appears once; 4. the member is active, in that role, and signed it; 5. no key is
    another member's.

    Raises:
        MaskingMalformed: checks 1 to 3.
        MaskKeyForeign: checks 4 or 5.
    """
    found: dict[str, Announcement] = {}
    for signed in announcements:
        # 1. Form.
        one = _announcement(signed.body)
        # 2. This campaign, this plan.
        if one.campaign_id != campaign_id or not hmac.compare_digest(one.plan_sha256, plan_sha256):
            raise MaskingMalformed("mask keys of another campaign or plan")
        # 3. A member of the plan, once.
        if one.member_id in found or one.member_id not in plan_members:
            raise MaskingMalformed("mask keys of a member outside the plan, or twice")
        # 4. Its own signature, by the directory.
        if directory is not None:
            verify_member(one, signed, directory, now_ms)
        found[one.member_id] = one
    # 5. Keys are the member's own.
    keys = [key for one in found.values() for key in (one.mask_key, one.view_key)]
    if len(set(keys)) != len(keys):
        raise MaskKeyForeign("two members announce the same key")
    ordered = {member_id: found[member_id] for member_id in sorted(found)}
    bodies = {_announcement(signed.body).member_id: signed.body for signed in announcements}
    digest = sha256(b"".join(sha256(bodies[member_id]) for member_id in ordered))
    return Roster(ordered, digest)


def verify_member(
    announcement: Announcement, signed: Signed, directory: Directory, now_ms: int
) -> None:
    """Check that an active member in that role signed its announcement.

    Raises:
        MaskKeyForeign: it did not.
    """
    try:
        entry = directory.active_member(announcement.member_id)
        entry.verify(KEYS_DOMAIN, signed.body, signed.signature, now_ms)
    except CredenceError as error:
        raise MaskKeyForeign("mask keys that no active member signed") from error
    if entry.role != announcement.role:
        raise MaskKeyForeign("mask keys in another role than the directory's")


def sign_reveal(roster: Roster, member_id: str, part: bytes, key: SigningKey) -> Signed:
    """A member's part of the joint seed, for the roster that it has fixed."""
    body = canonical_json(
        {"roster": roster.sha256.hex(), "member_id": member_id, "part": part.hex()}
    )
    return Signed(body, key.sign(REVEAL_DOMAIN, body))


def joint_seed(roster: Roster, reveals: Sequence[Signed]) -> tuple[tuple[str, ...], bytes]:
    """The members that showed their part, sorted, and SHA-256 over all parts.

    Raises:
        MaskingMalformed: a part for another roster, or twice, or not the one committed to.
        SignatureInvalid: not signed by the member's key in the roster.
    """
    parts: dict[str, bytes] = {}
    for signed in reveals:
        body = read_fields(signed.body, {"roster", "member_id", "part"})
        member_id, part = body["member_id"], hex32(body["part"])
        if not isinstance(member_id, str) or member_id in parts:
            raise MaskingMalformed("a part of the joint seed comes twice")
        roster.view_key(member_id).verify(REVEAL_DOMAIN, signed.body, signed.signature)
        if hex32(body["roster"]) != roster.sha256:
            raise MaskingMalformed("a part of the joint seed for another roster")
        if sha256(part) != roster.members[member_id].seed_commitment:
            raise MaskingMalformed("a part of the joint seed is not the one committed to")
        parts[member_id] = part
    ids = tuple(sorted(parts))
    return ids, sha256(roster.sha256 + b"".join(parts[member_id] for member_id in ids))


def _announcement(body: bytes) -> Announcement:
    names = {
        "campaign_id", "plan", "member_id", "role", "mask_key", "view_key", "seed_commitment"
    }  # fmt: skip
    value = read_fields(body, names)
    texts = [value[name] for name in ("campaign_id", "member_id", "role")]
    if not all(isinstance(text, str) and len(text) <= 64 for text in texts):
        raise MaskingMalformed("mask keys with a field of the wrong form")
    return Announcement(
        campaign_id=texts[0],
        plan_sha256=hex32(value["plan"]),
        member_id=texts[1],
        role=texts[2],
        mask_key=hex32(value["mask_key"]),
        view_key=hex32(value["view_key"]),
        seed_commitment=hex32(value["seed_commitment"]),
    )


def read_fields(body: bytes, names: set[str]) -> dict[str, Any]:
    """A canonical JSON object with exactly these fields.

    Raises:
        MaskingMalformed: it is something else.
    """
    try:
        value = parse_canonical(body, max_bytes=MAX_BODY_BYTES)
    except Malformed as error:
        raise MaskingMalformed("a body of secure aggregation does not parse") from error
    if not isinstance(value, dict) or set(value) != names:
        raise MaskingMalformed("a body of secure aggregation with other fields than it must have")
    return value
