"""Vectors of padding, a signed request and the sealed answer to it."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from protocols.canonical import sha256
from protocols.exchange_rules import DEFAULT_LIMITS
from protocols.padding import pad
from protocols.pseudonyms import query_token
from protocols.v1.exchange_pb2 import (
    AnswerBody,
    RequestBody,
    SignalStatus,
    SignalValue,
    SubjectAnswer,
    SubjectQuery,
)
from scripts.vectors import hpke
from scripts.vectors.consents import artefact
from scripts.vectors.pairwise import PSEUDONYM, key_with
from scripts.vectors.seeds import NOW_MS, directory, seed, signing

ONE_USE = seed("one-use key")


def request() -> RequestBody:
    """bank-a asks payments about one person."""
    consent_hash = artefact().consent_hash
    token = query_token(key_with("payments"), PSEUDONYM, consent_hash)
    return RequestBody(
        suite=1,
        request_id="req_" + "b" * 26,
        to="payments",
        issued_at_ms=NOW_MS,
        expires_at_ms=NOW_MS + 30_000,
        nonce=seed("nonce")[:16],
        recipient_epk=X25519PrivateKey.from_private_bytes(ONE_USE).public_key().public_bytes_raw(),
        purpose="score",
        queries=[SubjectQuery(consent_hash=consent_hash, token=token)],
        signals=["statement_balance", "unpaid_months_6m"],
        **{"from": "bank-a"},
    )


def answer() -> AnswerBody:
    """What payments says."""
    return AnswerBody(
        request_id=request().request_id,
        holder="payments",
        answered_at_ms=NOW_MS + 12,
        catalogue_version="1",
        answers=[
            SubjectAnswer(
                consent_hash=artefact().consent_hash,
                signals=[
                    SignalValue(
                        signal="statement_balance",
                        status=SignalStatus.SIGNAL_STATUS_PRESENT,
                        value=1250.5,
                        as_of_ms=NOW_MS - 1000,
                    ),
                    SignalValue(
                        signal="unpaid_months_6m",
                        status=SignalStatus.SIGNAL_STATUS_NONE_ON_RECORD,
                        as_of_ms=NOW_MS - 1000,
                    ),
                ],
            )
        ],
    )


def page() -> dict[str, Any]:
    """Padding at its edges; a request; its answer."""
    body = request().SerializeToString(deterministic=True)
    return {
        "context": {"directory": directory().to_body().decode(), "now_ms": NOW_MS + 10},
        "vectors": [
            *(_padding(length) for length in (0, 1, 511, 512, 513)),
            {
                "check": "request",
                "name": "a signed request",
                "sender_seed": signing("bank-a").seed.hex(),
                "body": body.hex(),
                "request_hash": sha256(body).hex(),
                "signature": signing("bank-a").sign("request", body).hex(),
            },
            _sealed(body),
        ],
    }


def _padding(length: int) -> dict[str, Any]:
    limits = DEFAULT_LIMITS
    data = (seed("padding") * 32)[:length]
    padded = pad(data, smallest=limits.smallest_bucket_bytes, largest=limits.max_answer_bytes)
    return {
        "check": "padding",
        "name": f"{length} bytes",
        "data": data.hex(),
        "padded": padded.hex(),
    }


def _sealed(body: bytes) -> dict[str, Any]:
    request_hash = sha256(body)
    info = b"credence/1|" + request_hash + b"payments" + b"bank-a"
    plain = answer().SerializeToString(deterministic=True)
    limits = DEFAULT_LIMITS
    padded = pad(plain, smallest=limits.smallest_bucket_bytes, largest=limits.max_answer_bytes)
    sealed = hpke.seal(seed("ephemeral"), bytes(request().recipient_epk), info, padded)
    return {
        "check": "answer",
        "name": "the sealed answer to it",
        "request_body": body.hex(),
        "one_use_private": ONE_USE.hex(),
        "ephemeral_private": seed("ephemeral").hex(),
        "info": info.hex(),
        "plaintext": plain.hex(),
        "sealed": sealed.hex(),
        "holder_seed": signing("payments").seed.hex(),
        "signature": signing("payments").sign("answer", request_hash + sealed).hex(),
    }
