"""Where each party of a consent stands with the newest thing that changed it.

One function for the portal, the receipt and the commands: a party has acknowledged, or it cannot
serve after a moment that needs nothing from it, because its proof of this node's status list has
run out by then (docs/consent.md derives it).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from audit.database import Connection, Database
from consent.deletion import Deletion, parse_signed
from consent.lifecycle import Event
from consent.refusals import ConsentUnknown
from consent.status_list import LIFE_MS
from node.storage import consent_events, consent_outbox, consents, deletions
from node.storage.consent_events import StoredEvent
from node.storage.deletions import Received

# After these a party that does not know of them must not go on as before.
STOPS = frozenset({Event.WITHDRAW, Event.INVALIDATE, Event.PAUSE, Event.SUPERSEDE})
ENDS = frozenset({Event.WITHDRAW, Event.INVALIDATE})


@dataclass(frozen=True, slots=True)
class PartyStanding:
    """One party and one event.

    Attributes:
        member_id: the party.
        acknowledged_at_ms: when its answer came, by this node's clock; None: it has not.
        refusal: the code it answered with; empty: in effect there, or no answer yet.
        cannot_serve_after_ms: of an event that stops the consent: the latest moment at which a
            party that was told nothing can serve; None: the event stops nothing.
        deletion: what the party attests to have deleted; None: nothing was to be, or no answer.
    """

    member_id: str
    acknowledged_at_ms: int | None
    refusal: str
    cannot_serve_after_ms: int | None
    deletion: Deletion | None


class Parties:
    """Reads where parties stand; stateless."""

    def __init__(self, database: Database, member_id: str, life_ms: int = LIFE_MS) -> None:
        """Read for the consent node `member_id`, whose status lists live for `life_ms`."""
        self._database = database
        self._member_id = member_id
        self._life_ms = life_ms

    def parties(self, consent_id: str) -> list[PartyStanding]:
        """Where each party, and this node, stands with the newest event of a consent.

        Raises:
            ConsentUnknown: this node keeps no consent of this id.
        """
        with self._database.read() as connection:
            happened = consent_events.events_of(connection, consent_id)
            if not happened:
                raise ConsentUnknown("this node keeps no consent of this id")
            return self.with_event(connection, consent_id, happened[-1])

    def with_event(
        self, connection: Connection, consent_id: str, event: StoredEvent
    ) -> list[PartyStanding]:
        """Where each party stands with one event, this node first; by member id."""
        stored = consents.find(connection, consent_id)
        if stored is None:
            raise ConsentUnknown("this node keeps no consent of this id")
        answered, _ = consent_outbox.confirmations(connection, consent_id).get(
            event.event_id, ([], [])
        )
        refusals = {one.member_id: one.refusal for one in answered}
        since = {one.member_id: one.effective_at_ms for one in answered}
        received = deletions.received_of(connection, event.event_id)
        until_ms = self.cannot_serve_after_ms(event)
        own = None
        if event.event in ENDS:
            own = deletions.find(connection, self._member_id, consent_id)
        found = [PartyStanding(self._member_id, event.at_ms, "", until_ms, own)]
        terms = stored.terms
        return found + [
            PartyStanding(
                member_id=party,
                acknowledged_at_ms=_received_ms(party, received, since),
                refusal=refusals.get(party, ""),
                cannot_serve_after_ms=until_ms,
                deletion=_deletion(received.get(party)),
            )
            for party in sorted((terms.holders | terms.recipients) - {self._member_id})
        ]

    def cannot_serve_after_ms(self, event: StoredEvent) -> int | None:
        """When a party that heard nothing of an event has no proof any more, UTC milliseconds."""
        return event.at_ms + self._life_ms if event.event in STOPS else None


def _received_ms(
    party: str, received: Mapping[str, Received], since: Mapping[str, int]
) -> int | None:
    one = received.get(party)
    return one.received_at_ms if one is not None else since.get(party)


def _deletion(received: Received | None) -> Deletion | None:
    if received is None or received.deletion is None:
        return None
    return parse_signed(received.deletion)
