"""One sealed question and its sealed answer (`protocols/v1/exchange.proto`).

The recipient of signals asks: it makes a one-use HPKE key (RFC 9180, base mode), puts its public
half inside the body and signs the body. The holder verifies, answers, seals the answer to that
key and signs it. `info` binds the ciphertext to the request body, holder and recipient, and the
request body names every consent; the one-use key gives forward secrecy. Answers are padded, so
that their length tells the order of magnitude and no more. The suite (`protocols.suites`) is the
strongest that both directory entries list.

Signature domains: `request` over the body; `answer` over SHA-256(body) || sealed.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from google.protobuf.message import DecodeError

from protocols.canonical import sha256
from protocols.directory import Directory, MemberEntry
from protocols.errors import CredenceError, InvalidInput, Malformed
from protocols.exchange_rules import (
    DEFAULT_LIMITS,
    NONCE_BYTES,
    Limits,
    wrong_answer,
    wrong_shape,
)
from protocols.identifiers import new_id
from protocols.keys import SigningKey
from protocols.padding import pad, unpad
from protocols.suites import X25519, SuiteDowngrade, SuiteUnsupported, refuse_downgrade, suite
from protocols.v1.exchange_pb2 import (
    AnswerBody,
    RequestBody,
    SealedAnswer,
    SealedRequest,
    SubjectQuery,
)

__all__ = [
    "DEFAULT_LIMITS",
    "AnswerMismatch",
    "Limits",
    "OutgoingRequest",
    "Query",
    "RequestExpired",
    "RequestFromFuture",
    "SenderMismatch",
    "SuiteDowngrade",
    "SuiteUnsupported",
    "VerifiedRequest",
    "WrongAudience",
    "new_request",
    "open_answer",
    "query_count",
    "seal_answer",
    "seal_body",
    "sign_answer",
    "verify_request",
]


class WrongAudience(CredenceError):
    """The request is addressed to another member."""

    code = "wrong_audience"
    category = "forbidden"
    next_step = "Send the request to the member it names."


class SenderMismatch(CredenceError):
    """The request is signed for one member and comes over another's connection."""

    code = "sender_mismatch"
    category = "unauthenticated"
    next_step = "Ask over a connection of the member that signs."


class RequestExpired(CredenceError):
    """The request's time is over."""

    code = "request_expired"
    category = "invalid"
    next_step = "Make a new request; if it stays, compare the clocks of both sides."


class RequestFromFuture(CredenceError):
    """The request says it was made later than now."""

    code = "request_from_future"
    category = "invalid"
    next_step = "Synchronise the clocks of both sides (NTP)."


class AnswerMismatch(CredenceError):
    """An answer that does not belong to the request it is given for."""

    code = "answer_mismatch"
    category = "invalid"
    next_step = "Discard the answer and ask again; report the holder if it stays."


class Query(NamedTuple):
    """One subject asked about: hash of the consent, and `pseudonyms.query_token` (32 bytes)."""

    consent_hash: bytes
    token: bytes


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """A request this member made, with what it needs to open the answer.

    Attributes:
        message: to send.
        body: the parsed body.
        request_hash: SHA-256 of the body's bytes.
        private_key: raw one-use HPKE key; forget it with this object.
    """

    message: SealedRequest
    body: RequestBody
    request_hash: bytes
    private_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifiedRequest:
    """A request whose every check passed.

    Attributes:
        body: the parsed body.
        request_hash: SHA-256 of the body's bytes as received.
        sender: the caller's directory entry.
        nonce_until_ms: until then (body.from, body.nonce) must be remembered as used.
    """

    body: RequestBody
    request_hash: bytes
    sender: MemberEntry
    nonce_until_ms: int


def new_request(
    *,
    sender: str,
    holder: str,
    purpose: str,
    queries: Sequence[Query],
    now_ms: int,
    key: SigningKey,
    signals: Sequence[str] = (),
    lifetime_ms: int = 30_000,
    request_id: str | None = None,
    suite_number: int = X25519,
    limits: Limits = DEFAULT_LIMITS,
) -> OutgoingRequest:
    """Make and sign a request.

    Args:
        sender: own member id.
        holder: member id of the one asked.
        purpose: `score`, `train` or `monitor`.
        queries: 1 to `limits.max_queries` subjects, each consent once.
        now_ms: UTC milliseconds.
        key: own signing key.
        signals: ids of the wanted signals; empty means all that the consents allow.
        lifetime_ms: from now to expiry.
        request_id: 1 to 40 URL-safe characters; a fresh one when None.
        suite_number: `protocols.suites.strongest` of both members' entries.
        limits: the bounds in force.

    Raises:
        InvalidInput: an argument is outside its bounds.
        SuiteUnsupported: this software does not speak the suite.
    """
    private, public = suite(suite_number).generate()
    body = RequestBody(
        suite=suite_number,
        request_id=new_id("req") if request_id is None else request_id,
        to=holder,
        issued_at_ms=now_ms,
        expires_at_ms=now_ms + lifetime_ms,
        nonce=os.urandom(NONCE_BYTES),
        recipient_epk=public,
        purpose=purpose,
        queries=[SubjectQuery(consent_hash=q.consent_hash, token=q.token) for q in queries],
        signals=signals,
        **{"from": sender},
    )
    wrong = wrong_shape(body, limits)
    data = body.SerializeToString(deterministic=True)
    if wrong is not None or len(data) > limits.max_request_bytes:
        raise InvalidInput(f"cannot ask this: {wrong or 'the request is too large'}")
    return OutgoingRequest(
        message=SealedRequest(body=data, signature=key.sign("request", data)),
        body=body,
        request_hash=sha256(data),
        private_key=private,
    )


def verify_request(
    message: SealedRequest,
    *,
    own_id: str,
    directory: Directory,
    now_ms: int,
    peer_id: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> VerifiedRequest:
    """Verify a request as its holder.

    Checks: 1. size, before anything is parsed; 2. protobuf form; 3. a suite of this software;
    4. shape: ids, nonce, key, purpose, 1 to 256 queries with each consent once, signal names,
    lifetime of at most 60 s; 5. the sender is an active member, and the one whose connection
    carries the request; 6. signature over the bytes as received; 7. audience; 8. the suite is the
    strongest that both members' entries list; 9. time, within the clock skew.
    Replay and consent are the caller's: it must claim `(from, nonce)` in the transaction that
    records the release.

    Args:
        message: as received.
        own_id: this member's id.
        directory: the directory in force.
        now_ms: UTC milliseconds.
        peer_id: member id of the mutual-TLS peer; None only when a relay carried the request.
        limits: the bounds in force.

    Raises:
        Malformed: checks 1, 2 or 4.
        SuiteUnsupported: check 3.
        UnknownMember, MemberNotActive, SenderMismatch: check 5.
        SignatureInvalid: check 6.
        WrongAudience: check 7.
        SuiteUnsupported, SuiteDowngrade: check 8.
        RequestExpired, RequestFromFuture: check 9.
    """
    # 1, 2. Size and form.
    body = _parsed(message, limits)
    # 3. Suite.
    suite(body.suite)
    # 4. Shape.
    wrong = wrong_shape(body, limits)
    if wrong is not None:
        raise Malformed(f"the request is refused: {wrong}")
    # 5. Sender.
    sender_id = str(getattr(body, "from"))
    sender = directory.active_member(sender_id)
    if peer_id is not None and peer_id != sender_id:
        raise SenderMismatch("the request names another sender than the connection")
    # 6. Signature.
    sender.verify("request", message.body, message.signature, now_ms)
    # 7. Audience.
    if body.to != own_id:
        raise WrongAudience("the request is addressed to another member")
    # 8. Downgrade.
    refuse_downgrade(body.suite, directory.member(own_id).suites, sender.suites)
    # 9. Time.
    if body.issued_at_ms > now_ms + limits.clock_skew_ms:
        raise RequestFromFuture("the request was issued later than this node's clock says")
    if now_ms > body.expires_at_ms + limits.clock_skew_ms:
        raise RequestExpired("the request has expired")
    return VerifiedRequest(
        body=body,
        request_hash=sha256(message.body),
        sender=sender,
        nonce_until_ms=body.expires_at_ms + limits.clock_skew_ms,
    )


def query_count(message: SealedRequest, limits: Limits = DEFAULT_LIMITS) -> int:
    """How many subjects a request asks about, before anything in it is believed.

    Raises:
        Malformed: checks 1 or 2 of `verify_request`.
    """
    return len(_parsed(message, limits).queries)


def _parsed(message: SealedRequest, limits: Limits) -> RequestBody:
    if len(message.body) > limits.max_request_bytes:
        raise Malformed(f"a request body is at most {limits.max_request_bytes} bytes")
    try:
        return RequestBody.FromString(message.body)
    except DecodeError as error:
        raise Malformed("the request body is not a RequestBody") from error


def seal_answer(
    request: VerifiedRequest,
    answer: AnswerBody,
    key: SigningKey,
    limits: Limits = DEFAULT_LIMITS,
) -> SealedAnswer:
    """Pad, seal and sign the holder's answer: `sign_answer` of `seal_body`."""
    return sign_answer(request, seal_body(request, answer, limits), key)


def seal_body(
    request: VerifiedRequest, answer: AnswerBody, limits: Limits = DEFAULT_LIMITS
) -> bytes:
    """Pad and seal an answer; the same call again gives other bytes.

    Raises:
        AnswerMismatch: the answer does not answer exactly this request.
        InvalidInput: it does not fit the largest bucket.
        Malformed: nothing can be sealed to the request's one-use key.
    """
    wrong = wrong_answer(answer, request.body, limits)
    if wrong is not None:
        raise AnswerMismatch(f"not an answer to this request: {wrong}")
    plaintext = pad(
        answer.SerializeToString(deterministic=True),
        smallest=limits.smallest_bucket_bytes,
        largest=limits.max_answer_bytes,
    )
    return suite(request.body.suite).seal(
        plaintext, request.body.recipient_epk, _info(request.request_hash, request.body)
    )


def sign_answer(request: VerifiedRequest, sealed: bytes, key: SigningKey) -> SealedAnswer:
    """Sign what `seal_body` made; Ed25519 gives the same bytes for the same key every time."""
    return SealedAnswer(
        request_hash=request.request_hash,
        sealed=sealed,
        signature=key.sign("answer", request.request_hash + sealed),
    )


def open_answer(
    request: OutgoingRequest,
    message: SealedAnswer,
    directory: Directory,
    limits: Limits = DEFAULT_LIMITS,
) -> AnswerBody:
    """Verify and open the answer to a request of one's own.

    Checks: 1. size; 2. it names this request; 3. signed by the holder that was asked, an active
    member; 4. opens under the one-use key, bound to request, holder and recipient; 5. padding;
    6. protobuf form; 7. it answers exactly what was asked: request id, holder, time, one answer
    per query in order, no signal that was not asked for, no value beside a refusal.

    Raises:
        Malformed: checks 1, 5 or 6.
        AnswerMismatch: checks 2 or 7.
        UnknownMember, MemberNotActive: check 3, the holder left the network.
        SignatureInvalid: checks 3 or 4.
    """
    # 1. Size.
    sealing = suite(request.body.suite)
    if len(message.sealed) > limits.max_answer_bytes + sealing.overhead:
        raise Malformed(f"a sealed answer is at most {limits.max_answer_bytes} bytes")
    # 2. Request.
    if message.request_hash != request.request_hash:
        raise AnswerMismatch("an answer to another request")
    # 3. Signature.
    holder = directory.active_member(request.body.to)
    signed = request.request_hash + message.sealed
    holder.verify("answer", signed, message.signature, request.body.issued_at_ms)
    # 4. Seal.
    info = _info(request.request_hash, request.body)
    padded = sealing.open(message.sealed, request.private_key, info)
    # 5. Padding.
    data = unpad(padded, smallest=limits.smallest_bucket_bytes, largest=limits.max_answer_bytes)
    # 6. Form.
    try:
        answer = AnswerBody.FromString(data)
    except DecodeError as error:
        raise Malformed("the answer is not an AnswerBody") from error
    # 7. Content.
    wrong = wrong_answer(answer, request.body, limits)
    if wrong is not None:
        raise AnswerMismatch(f"not an answer to this request: {wrong}")
    return answer


def _info(request_hash: bytes, body: RequestBody) -> bytes:
    # No separator between the ids is needed: the request hash before them fixes both.
    return b"credence/1|" + request_hash + f"{body.to}{getattr(body, 'from')}".encode()
