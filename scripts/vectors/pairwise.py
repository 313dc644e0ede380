"""Vectors of what two members derive for themselves: pair key, handle, token."""

from typing import Any

from protocols.keys import pair_key
from protocols.pseudonyms import handle, query_token, subject_ref
from scripts.vectors.seeds import sealing, seed

PSEUDONYM = seed("pseudonym")
EPOCH = 1


def key_with(member_id: str, epoch: int = EPOCH) -> bytes:
    """The pair key of bank-a and another member."""
    low, high = sorted(("bank-a", member_id))
    return pair_key(sealing("bank-a"), sealing(member_id).public, low=low, high=high, epoch=epoch)


def handle_for(member_id: str, pseudonym: bytes) -> bytes:
    """The handle by which bank-a names a person to another member."""
    return handle(key_with(member_id), pseudonym)


def page() -> dict[str, Any]:
    """One of each, the pair key in two epochs."""
    key, consent_hash, local = key_with("payments"), seed("consent hash"), seed("local key")
    return {
        "vectors": [
            *(_pair(epoch) for epoch in (EPOCH, EPOCH + 1)),
            {
                "check": "handle",
                "name": "a handle",
                "pair_key": key.hex(),
                "pseudonym": PSEUDONYM.hex(),
                "handle": handle(key, PSEUDONYM).hex(),
            },
            {
                "check": "token",
                "name": "a query token",
                "pair_key": key.hex(),
                "pseudonym": PSEUDONYM.hex(),
                "consent_hash": consent_hash.hex(),
                "token": query_token(key, PSEUDONYM, consent_hash).hex(),
            },
            {
                "check": "subject_ref",
                "name": "a subject reference",
                "local_key": local.hex(),
                "pseudonym": PSEUDONYM.hex(),
                "subject_ref": subject_ref(local, PSEUDONYM),
            },
        ]
    }


def _pair(epoch: int) -> dict[str, Any]:
    return {
        "check": "pair_key",
        "name": f"the pair key of epoch {epoch}",
        "low": "bank-a",
        "high": "payments",
        "low_private": sealing("bank-a").private.hex(),
        "low_public": sealing("bank-a").public.hex(),
        "high_private": sealing("payments").private.hex(),
        "high_public": sealing("payments").public.hex(),
        "epoch": epoch,
        "pair_key": key_with("payments", epoch).hex(),
    }
