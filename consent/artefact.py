"""The consent artefact: what a person agreed to, in bytes that two parties signed.

The body is RFC 8785 canonical JSON and `consent_hash` its SHA-256. The subject signs it with a key
of their own, so that no institution can make up a consent; the consent node (the *controller*)
countersigns. Both signatures stand in one general JSON JWS (RFC 7515) whose `kid`s are key ids.

A person is named in it only by pairwise handles, one for each member that has to find them: a
reader who is not that member learns nothing from one. Terms follow ISO/IEC TS 27560 and the use
limits of account aggregators; the purposes are granted one by one (PIPL articles 14 and 23).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from consent.fields import CONSENT_ID, DECIMAL, WORD, Fields
from protocols.canonical import canonical_json, parse_canonical, sha256
from protocols.errors import SignatureInvalid
from protocols.identifiers import PURPOSES, is_field_name, is_member_id, new_id
from protocols.jws import add_signature, sign_general, unverified_payload, verify_general
from protocols.keys import SigningKey, VerifyKey

TYPE = "credence.consent/1"
CRYPTO_SUITE = 1  # Ed25519, SHA-256; the exchange's suite 1

MAX_BODY_BYTES = 16 * 1024
MAX_JWS_BYTES = 32 * 1024  # base64 and three signatures on top
MAX_PARTIES = 32
MAX_CATEGORIES = 16
MAX_VERSION = 1_000_000
MAX_EPOCH = 2**31
MAX_DATA_LIFE_S = 10 * 366 * 86_400
MAX_USES = 1_000_000

_JURISDICTION = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")  # ISO 3166
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")  # BCP 47
_METHOD = re.compile(r"device_key|passkey")


@dataclass(frozen=True, slots=True)
class Recipient:
    """A member that may receive, as the person was told of it (PIPL article 23)."""

    member_id: str
    name: str
    contact: str


@dataclass(frozen=True, slots=True)
class Notice:
    """The text the person read: its version, language and SHA-256."""

    version: int
    language: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class TrainingTerms:
    """The privacy loss the person accepts in training; decimals, as written in the artefact.

    Attributes:
        epsilon: the most that may be spent on them, for example "8".
        delta: at this delta, for example "0.00001".
    """

    epsilon: str
    delta: str


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
        subject_key: the person's Ed25519 public key, 32 bytes.
        auth_method: how the person's key is held: `device_key` or `passkey`.
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
    subject_key: bytes
    auth_method: str = field(default="device_key")

    @cached_property
    def _body(self) -> bytes:
        return canonical_json(_to_json(self))

    def body(self) -> bytes:
        """The canonical bytes that are signed."""
        return self._body

    @cached_property
    def consent_hash(self) -> bytes:
        """SHA-256 of the canonical bytes; by it a request names this version."""
        return sha256(self._body)

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
        found = cls._read(Fields(parse_canonical(body, max_bytes=MAX_BODY_BYTES), "the consent"))
        found.__dict__["_body"] = body  # canonical and complete: encoding again gives the same
        return found

    @classmethod
    def _read(cls, fields: Fields) -> Self:
        fields.constant("type", TYPE)
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
            recipients=tuple(map(_recipient, fields.objects("recipients", 1, MAX_PARTIES))),
            holders=fields.words("holders", is_member_id, 1, MAX_PARTIES),
            handles=fields.digests_by_member("handles", 2 * MAX_PARTIES),
            handle_epoch=fields.integer("handle_epoch", 0, MAX_EPOCH),
            purposes=fields.words("purposes", PURPOSES.__contains__, 1, len(PURPOSES)),
            data_categories=fields.words("data_categories", is_field_name, 1, MAX_CATEGORIES),
            valid_from_ms=fields.time_ms("valid_from_ms"),
            valid_until_ms=fields.time_ms("valid_until_ms"),
            data_life_s=fields.integer("data_life_s", 1, MAX_DATA_LIFE_S),
            max_uses=fields.integer("max_uses", 1, MAX_USES),
            notice=_notice(notice),
            adverse_notice_sha256=fields.digest_or_none("adverse_notice_sha256"),
            automated_decision=fields.flag("automated_decision"),
            training=_training(fields.object_or_none("training")),
            subject_key=fields.digest("subject_key"),
            auth_method=fields.text("auth_method", _METHOD),
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


def new_consent_id() -> str:
    """A fresh consent id, from 128 random bits."""
    return new_id("con")


def sign_as_subject(artefact: Artefact, subject_key: SigningKey) -> bytes:
    """The artefact as a JWS with the subject's signature; the controller countersigns."""
    return sign_general(artefact.body(), [(subject_key.verify_key.key_id, subject_key)])


def countersign(jws: bytes, node_key: SigningKey) -> bytes:
    """Add the controller's signature to what the subject signed (verify that first)."""
    return add_signature(jws, node_key.verify_key.key_id, node_key, max_bytes=MAX_JWS_BYTES)


def grant(artefact: Artefact, subject_key: SigningKey, node_key: SigningKey) -> bytes:
    """The artefact as a JWS with both signatures, where one place holds both keys."""
    return countersign(sign_as_subject(artefact, subject_key), node_key)


def verify_subject(jws: bytes) -> Artefact:
    """Check what a subject handed in, before the controller countersigns.

    Checks 1 to 3 and 6 of `verify_artefact`, with the subject's signature as the only one.

    Raises:
        Malformed: see `verify_artefact`.
        SignatureInvalid: see `verify_artefact`.
    """
    artefact = Artefact.parse(unverified_payload(jws, max_bytes=MAX_JWS_BYTES))
    subject = VerifyKey(artefact.subject_key)
    verify_general(jws, {subject.key_id: subject}, max_bytes=MAX_JWS_BYTES)
    return artefact


def verify_artefact(jws: bytes, controller_key: Callable[[str], VerifyKey]) -> Artefact:
    """Check an artefact as it travels.

    1. its size and form are those of a JWS;
    2. its payload is a consent, every field within its grammar;
    3. in canonical bytes, so that its hash is the only one;
    4. the controller it names is known;
    5. the subject's key is not the controller's;
    6. the subject and the controller, and nobody else, signed exactly these bytes.

    Args:
        jws: the bytes as received.
        controller_key: gives a member's signature key; raises `UnknownMember`.

    Raises:
        Malformed: 1, 2, 3.
        CredenceError: 4, whatever `controller_key` raises.
        SignatureInvalid: 5, 6.
    """
    # 1, 2, 3
    artefact = Artefact.parse(unverified_payload(jws, max_bytes=MAX_JWS_BYTES))
    # 4
    controller = controller_key(artefact.controller)
    subject = VerifyKey(artefact.subject_key)
    # 5
    if subject == controller:
        raise SignatureInvalid("a controller cannot consent in a subject's place")
    # 6
    keys = {subject.key_id: subject, controller.key_id: controller}
    verify_general(jws, keys, max_bytes=MAX_JWS_BYTES)
    return artefact


def _recipient(fields: Fields) -> Recipient:
    found = Recipient(
        member_id=fields.member("member_id"),
        name=fields.prose("name", 1, 120),
        contact=fields.prose("contact", 0, 200),
    )
    fields.end()
    return found


def _notice(fields: Fields) -> Notice:
    found = Notice(
        version=fields.integer("version", 1, MAX_VERSION),
        language=fields.text("language", _LANGUAGE),
        sha256=fields.digest("sha256"),
    )
    fields.end()
    return found


def _training(fields: Fields | None) -> TrainingTerms | None:
    if fields is None:
        return None
    found = TrainingTerms(
        epsilon=fields.text("epsilon", DECIMAL), delta=fields.text("delta", DECIMAL)
    )
    fields.constant("unit", "subject")
    fields.end()
    return found


def _to_json(artefact: Artefact) -> dict[str, Any]:
    training = artefact.training
    return {
        "type": TYPE,
        "crypto_suite": CRYPTO_SUITE,
        "consent_id": artefact.consent_id,
        "version": artefact.version,
        "prev_hash": _hex(artefact.prev_hash),
        "template": {
            "template_id": artefact.template_id,
            "sha256": artefact.template_sha256.hex(),
        },
        "jurisdiction": artefact.jurisdiction,
        "controller": artefact.controller,
        "recipients": [
            {"member_id": one.member_id, "name": one.name, "contact": one.contact}
            for one in artefact.recipients
        ],
        "holders": list(artefact.holders),
        "handles": {member: handle.hex() for member, handle in artefact.handles.items()},
        "handle_epoch": artefact.handle_epoch,
        "purposes": list(artefact.purposes),
        "data_categories": list(artefact.data_categories),
        "valid_from_ms": artefact.valid_from_ms,
        "valid_until_ms": artefact.valid_until_ms,
        "data_life_s": artefact.data_life_s,
        "max_uses": artefact.max_uses,
        "notice": {
            "version": artefact.notice.version,
            "language": artefact.notice.language,
            "sha256": artefact.notice.sha256.hex(),
        },
        "adverse_notice_sha256": _hex(artefact.adverse_notice_sha256),
        "automated_decision": artefact.automated_decision,
        "training": None
        if training is None
        else {"epsilon": training.epsilon, "delta": training.delta, "unit": "subject"},
        "subject_key": artefact.subject_key.hex(),
        "auth_method": artefact.auth_method,
    }


def _hex(digest: bytes | None) -> str | None:
    return None if digest is None else digest.hex()
