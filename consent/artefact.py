"""The consent artefact: what a person agreed to, in bytes that two parties signed.

The body is RFC 8785 canonical JSON and `consent_hash` its SHA-256. The subject signs it with a key
of their own, so that no institution can make up a consent; the consent node (the *controller*)
countersigns. The signatures stand in one general JSON JWS (RFC 7515) whose `kid`s are key ids.
Where the person confirmed by other means, the artefact is marked so (`consent.authority`).

A person is named in it only by pairwise handles, one for each member that has to find them: a
reader who is not that member learns nothing from one. Terms follow ISO/IEC TS 27560 and the use
limits of account aggregators; the purposes are granted one by one (PIPL articles 14 and 23).

Mostly all recipients may have the same. Where they may not, `grants` says what each may have for
each purpose; `purposes` and `data_categories` are then the unions. One set of terms has one
encoding: `grants` is null exactly when it would say nothing more.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from consent.attestation import (
    AttestationInvalid,
    SubjectAttestation,
    hash_of_handles,
    verify_attestation,
)
from consent.authority import CONTROLLER, METHODS, PASSKEY, Authority
from consent.clauses import (
    MAX_CATEGORIES,
    MAX_PARTIES,
    MAX_VERSION,
    Grant,
    Notice,
    Recipient,
    TrainingTerms,
    is_uniform,
    read_grants,
    read_notice,
    read_recipient,
    read_training,
)
from consent.encoding import CRYPTO_SUITE, REQUEST_TYPE, TYPE, to_json
from consent.fields import CONSENT_ID, WORD, Fields
from consent.signatures import (
    MAX_JWS_BYTES,
    attested,
    countersign,
    sign,
    verify_signers,
)
from protocols.canonical import canonical_json, parse_canonical, sha256
from protocols.data_classes import is_data_class
from protocols.errors import Malformed
from protocols.identifiers import PURPOSES, is_member_id, new_id
from protocols.jws import unverified_payload
from protocols.keys import SigningKey, VerifyKey

__all__ = [
    "MAX_JWS_BYTES",
    "Artefact",
    "Grant",
    "Notice",
    "Recipient",
    "TrainingTerms",
    "check_attestation",
    "countersign",
    "grant",
    "new_consent_id",
    "sign_as_subject",
    "verify_artefact",
    "verify_subject",
]

MAX_BODY_BYTES = 16 * 1024
MAX_EPOCH = 2**31
MAX_DATA_LIFE_S = 10 * 366 * 86_400
MAX_USES = 1_000_000

_JURISDICTION = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")  # ISO 3166


@dataclass(frozen=True)
class Artefact:
    """The terms of one version of a consent.

    Attributes:
        consent_id: "con_" and 26 base32 characters; all versions share it.
        version: counts up from 1.
        prev_hash: `consent_hash` of the version this one replaces; None for the first.
        template_id: the template whose bounds apply.
        template_sha256: its hash, 32 bytes.
        jurisdiction: whose law applies, ISO 3166.
        controller: member id of the consent node.
        recipients: who may receive, sorted by member id.
        holders: member ids that may release, sorted.
        handles: for each holder and recipient but the controller, the 32-byte handle by which it
            finds the person.
        handle_epoch: the key epoch of the handles.
        purposes: of `score`, `train`, `monitor`, sorted.
        data_categories: source classes that may be released, sorted.
        valid_from_ms: first moment of validity, UTC milliseconds.
        valid_until_ms: first moment after it.
        data_life_s: how long a recipient may keep what it received, seconds.
        max_uses: releases allowed at each holder.
        notice: the text the person read.
        adverse_notice_sha256: hash of the notice of adverse consequences, where a category needs
            one (Regulation on the Credit Reporting Industry, article 14).
        automated_decision: whether a decision may be taken by automated means alone.
        training: what training may spend; present exactly when `train` is granted.
        authority: by what it speaks for the person.
        grants: what each recipient may have for each purpose; empty: all may have all.
    """

    consent_id: str
    version: int
    prev_hash: bytes | None
    template_id: str
    template_sha256: bytes
    jurisdiction: str
    controller: str
    recipients: tuple[Recipient, ...]
    holders: tuple[str, ...]
    handles: Mapping[str, bytes]
    handle_epoch: int
    purposes: tuple[str, ...]
    data_categories: tuple[str, ...]
    valid_from_ms: int
    valid_until_ms: int
    data_life_s: int
    max_uses: int
    notice: Notice
    adverse_notice_sha256: bytes | None
    automated_decision: bool
    training: TrainingTerms | None
    authority: Authority
    grants: tuple[Grant, ...] = ()

    @cached_property
    def _body(self) -> bytes:
        return canonical_json(to_json(self))

    def body(self) -> bytes:
        """The canonical bytes that are signed."""
        return self._body

    @cached_property
    def consent_hash(self) -> bytes:
        """SHA-256 of the canonical bytes; by it a request names this version."""
        return sha256(self._body)

    @property
    def subject_key(self) -> bytes:
        """The person's own key, Ed25519 or COSE; empty: they confirmed by other means."""
        return self.authority.key

    @property
    def auth_method(self) -> str:
        """The kind of `authority`."""
        return self.authority.method

    @property
    def is_request(self) -> bool:
        """Whether these are terms that an institution asks for, and nobody has granted."""
        return self.authority.method == CONTROLLER

    def granted(self, recipient: str, purpose: str) -> frozenset[str]:
        """Source classes that a recipient may have for a purpose; empty: none."""
        if self.grants:
            return frozenset(
                category
                for one in self.grants
                if one.recipient == recipient and one.purpose == purpose
                for category in one.data_categories
            )
        named = recipient in self.recipient_ids and purpose in self.purposes
        return frozenset(self.data_categories) if named else frozenset()

    @property
    def recipient_ids(self) -> tuple[str, ...]:
        """Member ids of the recipients, sorted."""
        return tuple(recipient.member_id for recipient in self.recipients)

    @property
    def parties(self) -> tuple[str, ...]:
        """Holders and recipients but the controller, sorted: who has to be told of every event."""
        return tuple(sorted({*self.holders, *self.recipient_ids} - {self.controller}))

    @property
    def max_epsilon(self) -> float | None:
        """What training may spend on the person; None: nothing, it was not granted."""
        return None if self.training is None else float(self.training.epsilon)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read an artefact's body.

        Raises:
            Malformed: too large, not canonical, a field missing, unknown or out of its grammar, or
                fields that contradict one another.
        """
        found = cls._read(body, TYPE)
        if found.auth_method not in METHODS:
            raise Malformed("a consent is granted by a person")
        return found

    @classmethod
    def parse_request(cls, body: bytes) -> Self:
        """Read the terms that an institution asks for.

        Raises:
            Malformed: as `parse`, or they are a consent.
        """
        found = cls._read(body, REQUEST_TYPE)
        if not found.is_request:
            raise Malformed("a request for consent is made by its controller")
        return found

    @classmethod
    def _read(cls, body: bytes, kind: str) -> Self:
        value = parse_canonical(body, max_bytes=MAX_BODY_BYTES)
        found = cls._from_fields(Fields(value, "the consent"), kind)
        found.__dict__["_body"] = body  # canonical and complete: encoding again gives the same
        return found

    @classmethod
    def _from_fields(cls, fields: Fields, kind: str) -> Self:
        fields.constant("type", kind)
        fields.constant("crypto_suite", CRYPTO_SUITE)
        template, notice = fields.object("template"), fields.object("notice")
        found = cls(
            consent_id=fields.text("consent_id", CONSENT_ID),
            version=fields.integer("version", 1, MAX_VERSION),
            prev_hash=fields.digest_or_none("prev_hash"),
            template_id=template.text("template_id", WORD),
            template_sha256=template.digest("sha256"),
            jurisdiction=fields.text("jurisdiction", _JURISDICTION),
            controller=fields.member("controller"),
            recipients=tuple(map(read_recipient, fields.objects("recipients", 1, MAX_PARTIES))),
            holders=fields.words("holders", is_member_id, 1, MAX_PARTIES),
            handles=fields.digests_by_member("handles", 2 * MAX_PARTIES),
            handle_epoch=fields.integer("handle_epoch", 0, MAX_EPOCH),
            purposes=fields.words("purposes", PURPOSES.__contains__, 1, len(PURPOSES)),
            data_categories=fields.words("data_categories", is_data_class, 1, MAX_CATEGORIES),
            valid_from_ms=fields.time_ms("valid_from_ms"),
            valid_until_ms=fields.time_ms("valid_until_ms"),
            data_life_s=fields.integer("data_life_s", 1, MAX_DATA_LIFE_S),
            max_uses=fields.integer("max_uses", 1, MAX_USES),
            notice=read_notice(notice),
            adverse_notice_sha256=fields.digest_or_none("adverse_notice_sha256"),
            automated_decision=fields.flag("automated_decision"),
            training=read_training(fields.object_or_none("training")),
            authority=Authority.read(fields.object("authority")),
            grants=read_grants(fields.objects_or_none("grants", 2, MAX_PARTIES * len(PURPOSES))),
        )
        template.end()
        fields.end()
        found._check_whole(fields)
        return found

    def _check_whole(self, fields: Fields) -> None:
        ids = self.recipient_ids
        fields.require(list(ids) == sorted(set(ids)), "recipients are sorted, each once")
        fields.require(set(self.handles) == set(self.parties), "a handle for each other party")
        fields.require(self.valid_from_ms < self.valid_until_ms, "validity ends after it begins")
        first = self.version == 1
        fields.require(first == (self.prev_hash is None), "a later version names the one before")
        fields.require(
            ("train" in self.purposes) == (self.training is not None),
            "training terms stand exactly when training is granted",
        )
        self._check_grants(fields)

    def _check_grants(self, fields: Fields) -> None:
        if not self.grants:
            return
        named = {one.recipient for one in self.grants}
        purposes = {one.purpose for one in self.grants}
        categories = {category for one in self.grants for category in one.data_categories}
        whole = (
            named == set(self.recipient_ids)
            and purposes == set(self.purposes)
            and categories == set(self.data_categories)
        )
        fields.require(whole, "grants and what they add up to agree")
        fields.require(not is_uniform(self.grants), "grants stand where recipients differ")


def new_consent_id() -> str:
    """A fresh consent id, from 128 random bits."""
    return new_id("con")


def sign_as_subject(artefact: Artefact, key: SigningKey) -> bytes:
    """The artefact as a JWS with the signature of the subject's device key, or of the officer."""
    return sign(artefact.body(), artefact.authority, key)


def grant(artefact: Artefact, subject_key: SigningKey, node_key: SigningKey) -> bytes:
    """The artefact as a JWS with both signatures, where one place holds both keys."""
    return countersign(sign_as_subject(artefact, subject_key), node_key)


def verify_subject(jws: bytes) -> Artefact:
    """Check what a subject handed in, before the controller countersigns.

    Checks 1 to 3, 6 and 7 of `verify_artefact`, with the subject's (or the officer's) signature as
    the only one. The attestation of a passkey is the controller's own: `check_attestation`.

    Raises:
        Malformed, AttestationInvalid, SignatureInvalid: see `verify_artefact`.
    """
    artefact = Artefact.parse(unverified_payload(jws, max_bytes=MAX_JWS_BYTES))
    verify_signers(jws, artefact.authority, None)
    return artefact


def verify_artefact(jws: bytes, controller_key: Callable[[str], VerifyKey]) -> Artefact:
    """Check an artefact as it travels.

    1. its size and form are those of a JWS;
    2. its payload is a consent, every field within its grammar;
    3. in canonical bytes, so that its hash is the only one;
    4. the controller it names is known;
    5. the subject's key is not the controller's;
    6. a passkey comes with the controller's attestation that it is this person's;
    7. those who have to sign by its authority, and nobody else, signed exactly these bytes.

    Args:
        jws: the bytes as received.
        controller_key: gives a member's signature key; raises `UnknownMember`.

    Raises:
        Malformed: 1, 2, 3.
        CredenceError: 4, whatever `controller_key` raises.
        AttestationInvalid: 6.
        SignatureInvalid: 5, 7.
    """
    # 1, 2, 3
    artefact = Artefact.parse(unverified_payload(jws, max_bytes=MAX_JWS_BYTES))
    # 4
    controller = controller_key(artefact.controller)
    # 6
    stated = check_attestation(jws, artefact, controller)
    # 5, 7
    verify_signers(jws, artefact.authority, controller, stated)
    return artefact


def check_attestation(
    jws: bytes, artefact: Artefact, controller: VerifyKey
) -> SubjectAttestation | None:
    """Check whose passkey signed, by the controller's attestation; None for other authorities.

    1. the artefact names it by its hash, and it is of the artefact's key;
    2. it is by the artefact's controller, about the person of these handles;
    3. the controller signed it.

    Raises:
        Malformed: it is no attestation.
        AttestationInvalid: 1, 2.
        SignatureInvalid: 3.
    """
    if artefact.auth_method != PASSKEY:
        return None
    # 1
    found, evidence = attested(jws, artefact.authority)
    # 2
    handles = hash_of_handles(artefact.handles)
    if found.controller != artefact.controller or found.handle_epoch != artefact.handle_epoch:
        raise AttestationInvalid("the attestation is by another consent node, or of another epoch")
    if found.handles_sha256 != handles:
        raise AttestationInvalid("the attestation is about another person, or other parties")
    # 3
    verify_attestation(evidence, controller)
    return found
