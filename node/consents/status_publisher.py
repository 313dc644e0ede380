"""The consent node's side of status lists: what it answers who asks.

The bits are kept between questions and brought up to date from what changed since, inside one
snapshot; the head is signed anew for every question, over the asker's nonce. So an answer always
says how things stood after it was asked for: a withdrawal that has committed is in the very next.

What a party missed is given again from what the node keeps, to parties of that consent only.
"""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from audit.database import Database
from consent.delivery import Delivery, Kind
from consent.status_list import (
    LIFE_MS,
    Listed,
    StatusHead,
    bytes_of,
    compress,
    set_listed,
    sign_head,
)
from node.storage import consent_events, consents, statuses
from protocols.canonical import sha256
from protocols.keys import SigningKey

MAX_MISSED = 256
MAX_MISSED_BYTES = 1024 * 1024  # of one answer, give or take a document or two


class StatusAnswer(NamedTuple):
    """A signed head, and the compressed bits unless the asker has them."""

    head: bytes
    bits: bytes


class StatusPublisher:
    """Answers for the consents that this node controls; thread-safe."""

    def __init__(
        self,
        database: Database,
        member_id: str,
        signing_key: Callable[[], SigningKey],
        clock: Callable[[], int],
        life_ms: int = LIFE_MS,
    ) -> None:
        """Publish the list of `member_id`.

        Args:
            database: the node's.
            member_id: this node.
            signing_key: gives the key that the directory names.
            clock: UTC milliseconds now.
            life_ms: how long a head may be relied on.
        """
        self._database = database
        self._member_id = member_id
        self._key = signing_key
        self._clock = clock
        self._life_ms = life_ms
        self._lock = threading.Lock()
        self._changed = -1  # leaf of the last change that is in the bits
        self._entries = 0
        self._bits = bytearray()
        self._sha256 = sha256(b"")
        self._compressed = compress(b"")

    def answer(self, nonce: bytes, have_sha256: bytes) -> StatusAnswer:
        """The list as of now.

        Args:
            nonce: of the asker, 16 bytes.
            have_sha256: of the bits that the asker holds; empty: none.
        """
        issued_at_ms = self._clock()  # before the bits are read: the head is never too young
        with self._lock:
            self._catch_up()
            head = StatusHead(
                controller=self._member_id,
                version=self._changed + 1,
                nonce=nonce,
                issued_at_ms=issued_at_ms,
                expires_at_ms=issued_at_ms + self._life_ms,
                entries=self._entries,
                bits_sha256=self._sha256,
            )
            bits = b"" if have_sha256 == self._sha256 else self._compressed
        return StatusAnswer(sign_head(head, self._key()), bits)

    def missed(self, party: str, hashes: Sequence[bytes]) -> list[Delivery]:
        """What `party` should have been told about versions it holds; others are left out."""
        deliveries: list[Delivery] = []
        with self._database.read() as connection:
            held = statuses.consent_ids(connection, hashes[:MAX_MISSED])
            stored = consents.find_many(connection, held.values())
            said = consent_events.newest_evidence(connection, held.values())
            indices = statuses.indices_of(
                connection, [one.terms.consent_hash for one in stored.values()]
            )
        for consent_hash, consent_id in held.items():
            if sum(len(one.data) for one in deliveries) > MAX_MISSED_BYTES:
                break  # the rest is asked for again
            one = stored[consent_id]
            if one.terms.controller != self._member_id:
                continue
            if party not in one.terms.holders | one.terms.recipients:
                continue
            if one.terms.consent_hash != consent_hash:
                index = indices.get(one.terms.consent_hash)
                deliveries.append(Delivery(Kind.ARTEFACT, one.artefact, index))
            if consent_id in said:
                deliveries.append(Delivery(Kind.EVENT, said[consent_id]))
        return deliveries

    def _catch_up(self) -> None:
        with self._database.read() as connection:
            if statuses.changed_at(connection, self._member_id) == self._changed:
                return
            changes = statuses.changes(connection, self._member_id, self._changed)
        for one in changes:
            set_listed(self._bits, one.status_index, Listed(one.status))
            self._entries = max(self._entries, one.status_index + 1)
            self._changed = max(self._changed, one.changed)
        bits = bytes(self._bits).ljust(bytes_of(self._entries), b"\0")
        self._sha256, self._compressed = sha256(bits), compress(bits)
