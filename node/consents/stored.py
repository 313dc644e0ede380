"""The artefact of a stored consent, which was verified before it was stored."""

from consent.artefact import MAX_JWS_BYTES, Artefact
from consent.lifecycle import State
from node.storage.consents import StoredConsent
from protocols.jws import unverified_payload

# States of terms that were asked for and never granted.
UNGRANTED = frozenset({State.REQUESTED, State.REFUSED, State.LAPSED})


def artefact_of(stored: StoredConsent) -> Artefact:
    """The terms as signed; of what was only asked for, the terms asked for."""
    body = unverified_payload(stored.artefact, max_bytes=MAX_JWS_BYTES)
    if stored.terms.state in UNGRANTED:
        return Artefact.parse_request(body)
    return Artefact.parse(body)
