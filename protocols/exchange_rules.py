"""What a request and an answer must look like, apart from keys and signatures.

`wrong_shape` and `wrong_answer` are run by whoever makes a message and again by whoever receives
it, so that nobody sends what the other must refuse. Their texts repeat nothing from the bytes.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from protocols.identifiers import PURPOSES, is_field_name, is_member_id, is_record_id
from protocols.suites import suite
from protocols.v1.exchange_pb2 import (
    AnswerBody,
    RequestBody,
    SignalStatus,
    SubjectAnswer,
    SubjectQuery,
)

NONCE_BYTES: Final = 16
HASH_BYTES: Final = 32

_PRESENT: Final = SignalStatus.SIGNAL_STATUS_PRESENT
# A disputed item travels with its value, flagged.
_VALUED: Final = frozenset({_PRESENT, SignalStatus.SIGNAL_STATUS_DISPUTED})
_WITHHELD: Final = frozenset(SignalStatus.values()) - {
    SignalStatus.SIGNAL_STATUS_UNSPECIFIED,
    *_VALUED,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is accepted; both sides of a network use the same.

    Attributes:
        max_request_bytes: largest serialized request body.
        max_answer_bytes: largest padded answer body; the largest bucket.
        smallest_bucket_bytes: answers are padded to this or a power of two above it.
        max_queries: subjects in one request.
        max_signals: signal ids in one request, and signals in one subject's answer.
        max_lifetime_ms: longest time from issue to expiry.
        clock_skew_ms: tolerated difference of clocks.
    """

    max_request_bytes: int = 64 * 1024
    max_answer_bytes: int = 2 * 1024 * 1024
    smallest_bucket_bytes: int = 512
    max_queries: int = 256
    max_signals: int = 128
    max_lifetime_ms: int = 60_000
    clock_skew_ms: int = 60_000


DEFAULT_LIMITS: Final = Limits()


def wrong_shape(body: RequestBody, limits: Limits) -> str | None:
    """What is wrong with a request's fields, or None; says nothing that came from the bytes.

    Raises:
        SuiteUnsupported: the suite is not one of this software.
    """
    consents = {query.consent_hash for query in body.queries}
    lifetime = body.expires_at_ms - body.issued_at_ms
    rules = (
        (is_record_id(body.request_id), "the request id"),
        (_is_member(getattr(body, "from")), "the sender's member id"),
        (_is_member(body.to), "the holder's member id"),
        (len(body.nonce) == NONCE_BYTES, "the nonce is 16 bytes"),
        (len(body.recipient_epk) == suite(body.suite).public_bytes, "the one-use key's length"),
        (body.purpose in PURPOSES, "the purpose"),
        (body.issued_at_ms >= 0, "the time of issue"),
        (0 < lifetime <= limits.max_lifetime_ms, "the lifetime"),
        (1 <= len(body.queries) <= limits.max_queries, "the number of queries"),
        (len(consents) == len(body.queries), "a consent is asked about twice"),
        (all(map(_whole_query, body.queries)), "a query's hash and token are 32 bytes each"),
        (len(body.signals) <= limits.max_signals, "the number of signals"),
        (len(set(body.signals)) == len(body.signals), "a signal is asked for twice"),
        (all(map(is_field_name, body.signals)), "a signal's name"),
    )
    return next((reason for holds, reason in rules if not holds), None)


def _whole_query(query: SubjectQuery) -> bool:
    return len(query.consent_hash) == HASH_BYTES and len(query.token) == HASH_BYTES


def wrong_answer(answer: AnswerBody, body: RequestBody, limits: Limits) -> str | None:
    """What is wrong with an answer to `body`, or None."""
    if answer.request_id != body.request_id:
        return "another request id"
    if answer.holder != body.to:
        return "another holder"
    earliest = body.issued_at_ms - limits.clock_skew_ms
    if not earliest <= answer.answered_at_ms <= body.expires_at_ms + limits.clock_skew_ms:
        return "answered outside the request's time"
    answered = [item.consent_hash for item in answer.answers]
    if answered != [query.consent_hash for query in body.queries]:
        return "not one answer per query in order"
    asked = frozenset(body.signals)
    if not all(_whole_answer(item, asked, limits) for item in answer.answers):
        return "a subject's answer"
    return None


def _whole_answer(item: SubjectAnswer, asked: frozenset[str], limits: Limits) -> bool:
    signals = item.signals
    if item.refusal:
        return is_field_name(item.refusal) and not signals
    names = set()
    for signal in signals:
        names.add(signal.signal)
        status = signal.status
        if signal.as_of_ms < 0:
            return False
        if status in _VALUED:
            if not math.isfinite(signal.value):
                return False
        # A value beside any other status would leak what the status withholds.
        elif status not in _WITHHELD or signal.value != 0:
            return False
    if not len(names) == len(signals) <= limits.max_signals:
        return False
    return asked.issuperset(names) if asked else all(map(_is_signal_name, names))


# The same few members, and for every subject of a batch the same few signals.
_is_member = lru_cache(maxsize=1024)(is_member_id)
_is_signal_name = lru_cache(maxsize=1024)(is_field_name)
