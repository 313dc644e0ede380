"""A person's consents as they read them: what each says, what happened, and who has confirmed it.

A consent of somebody else is answered exactly as one that does not exist.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from audit.database import Connection, Database
from consent.artefact import Artefact
from consent.lifecycle import Event, State
from consent.refusals import ConsentUnknown
from node.consents.parties import Parties, PartyStanding
from node.consents.stored import artefact_of
from node.storage import consent_events, consent_lists, consent_outbox, consents
from node.storage.consent_events import StoredEvent
from node.storage.consents import StoredConsent

RUNNING = (State.ACTIVE, State.PAUSED)
WAITING = (State.REQUESTED,)
ENDED = (
    State.WITHDRAWN,
    State.EXPIRED,
    State.SUPERSEDED,
    State.INVALIDATED,
    State.REFUSED,
    State.LAPSED,
)
PAGE = 20

# Told to nobody: they are between the person and this node.
_OWN_EVENTS = frozenset({"request", "refuse", "lapse", "expire"})

PartyState = Literal["own", "confirmed", "refused", "waiting", "overtaken"]


@dataclass(frozen=True, slots=True)
class PartyLine:
    """What one institution has said about one event.

    Attributes:
        member_id: the institution.
        state: `own` (this node, at once), `confirmed`, `refused`, `waiting`, or `overtaken`: it
            was not told, since something later made it needless.
        at_ms: since when it is in effect there; None while it waits.
        refusal: stable code, or empty.
        cannot_serve_after_ms: of an event that stops the consent: when a party that was told
            nothing loses its last proof that it stands, so that it refuses by itself.
        deleted: figures, scores and kept answers that it attests to have deleted; None: it said
            nothing of it.
        deleted_at_ms: when.
    """

    member_id: str
    state: PartyState
    at_ms: int | None = None
    refusal: str = ""
    cannot_serve_after_ms: int | None = None
    deleted: int | None = None
    deleted_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One event in the life of a consent, with every party's answer."""

    event: Event
    actor: str
    at_ms: int
    leaf_seq: int
    parties: tuple[PartyLine, ...]

    @property
    def answered(self) -> int:
        """How many parties do not wait any more."""
        return sum(party.state != "waiting" for party in self.parties)


@dataclass(frozen=True, slots=True)
class ConsentCard:
    """A consent in a list.

    Attributes:
        artefact: its terms.
        state: where its life stands.
        changed_seq: leaf of its last change; the next page begins before it.
    """

    artefact: Artefact
    state: State
    changed_seq: int

    @property
    def consent_id(self) -> str:
        """Its id."""
        return self.artefact.consent_id


@dataclass(frozen=True, slots=True)
class ConsentDetail:
    """One consent with all that happened to it.

    Attributes:
        artefact: the version in force.
        state: where its life stands.
        uses: releases counted at this node.
        steps: in order.
    """

    artefact: Artefact
    state: State
    uses: int
    steps: tuple[Step, ...]

    @property
    def consent_id(self) -> str:
        """Its id."""
        return self.artefact.consent_id

    def last(self, event: Event) -> Step | None:
        """The last step of a kind."""
        found = [step for step in self.steps if step.event is event]
        return found[-1] if found else None


@dataclass(frozen=True, slots=True)
class ConsentPage:
    """Some consents; `older` is where the next page begins, None at the end."""

    cards: tuple[ConsentCard, ...]
    older: int | None


class OwnConsents:
    """Reads one person's consents; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        member_id: str,
        receipt: Callable[[str], dict[str, Any]],
        parties: Parties,
        training_proof: Callable[[str], dict[str, Any]],
        clock: Callable[[], int],
    ) -> None:
        """Read from `database`.

        Args:
            database: the node's.
            member_id: this node.
            receipt: makes the receipt of a consent.
            parties: says where the parties of a consent stand.
            training_proof: shows that a withdrawn consent is in no later round.
            clock: UTC milliseconds now.
        """
        self._database = database
        self._member_id = member_id
        self._receipt = receipt
        self._parties = parties
        self._training_proof = training_proof
        self._clock = clock

    def now_ms(self) -> int:
        """Now, UTC milliseconds: when a receipt is made."""
        return self._clock()

    def page(
        self,
        pseudonym: bytes,
        states: Sequence[State] = RUNNING,
        *,
        before: int | None = None,
        limit: int = PAGE,
    ) -> ConsentPage:
        """A page of the person's consents, the newest change first."""
        with self._database.read() as connection:
            ids = consent_lists.ids_of_subject(
                connection, pseudonym, states, before=before, limit=limit + 1
            )
            stored = consents.find_many(connection, [one for one, _ in ids[:limit]])
        cards = tuple(
            ConsentCard(artefact_of(stored[one]), stored[one].terms.state, seq)
            for one, seq in ids[:limit]
        )
        return ConsentPage(cards, cards[-1].changed_seq if len(ids) > limit else None)

    def counts(self, pseudonym: bytes) -> dict[State, int]:
        """How many consents the person has in each state."""
        with self._database.read() as connection:
            return consent_lists.counts_of_subject(connection, pseudonym)

    def stopping(self, pseudonym: bytes, limit: int = 5) -> dict[str, int]:
        """Withdrawn consents that parties have not acknowledged yet: id -> how many parties."""
        with self._database.read() as connection:
            return consent_lists.unacknowledged(connection, pseudonym, limit)

    def one(self, pseudonym: bytes, consent_id: str) -> ConsentDetail:
        """One consent of the person.

        Raises:
            ConsentUnknown: there is none by that id, or it is somebody else's.
        """
        with self._database.read() as connection:
            stored = _of(connection, pseudonym, consent_id)
            steps = self._steps(connection, consent_id)
        return ConsentDetail(artefact_of(stored), stored.terms.state, stored.terms.uses, steps)

    def receipt(self, pseudonym: bytes, consent_id: str) -> dict[str, Any]:
        """The receipt of one consent of the person (`consent.receipts`).

        Raises:
            ConsentUnknown: as `one`.
        """
        with self._database.read() as connection:
            _of(connection, pseudonym, consent_id)
        return self._receipt(consent_id)

    def training_proof(self, pseudonym: bytes, consent_id: str) -> dict[str, Any]:
        """Shows that no training round after its withdrawal drew on a consent of the person.

        Raises:
            ConsentUnknown: as `one`.
            NotWithdrawn: it was not withdrawn.
        """
        with self._database.read() as connection:
            _of(connection, pseudonym, consent_id)
        return self._training_proof(consent_id)

    def export(self, pseudonym: bytes) -> list[dict[str, Any]]:
        """All consents of the person with their receipts and what was signed."""
        with self._database.read() as connection:
            stored = consents.of_subject(connection, pseudonym)
        return [
            {
                "record_id": one.terms.consent_id,
                "state": one.terms.state.value,
                "receipt": self._receipt(one.terms.consent_id),
                "signed": one.artefact.decode("utf-8"),
            }
            for one in stored
        ]

    def _steps(self, connection: Connection, consent_id: str) -> tuple[Step, ...]:
        confirmed = consent_outbox.confirmations(connection, consent_id)
        steps = []
        for event in consent_events.events_of(connection, consent_id):
            answered, pending = confirmed.get(event.event_id, ([], []))
            since = {one.member_id: one.effective_at_ms for one in answered}
            standings = self._parties.with_event(connection, consent_id, event)
            lines = tuple(
                self._line(one, since.get(one.member_id), event, one.member_id in pending)
                for one in standings
                # Who was never told of an event, since another overtook it, is not asked about it.
                if one.member_id == self._member_id or event.event.value not in _OWN_EVENTS
            )
            steps.append(Step(event.event, event.actor, event.at_ms, event.leaf_seq, lines))
        return tuple(steps)

    def _line(
        self, one: PartyStanding, since_ms: int | None, event: StoredEvent, pending: bool
    ) -> PartyLine:
        deleted = one.deletion
        state: PartyState = "confirmed"
        if one.member_id == self._member_id:
            state, since_ms = "own", event.at_ms
        elif one.refusal:
            state = "refused"
        elif since_ms is None and one.acknowledged_at_ms is None:
            state = "waiting" if pending else "overtaken"
        return PartyLine(
            one.member_id,
            state,
            since_ms if since_ms is not None else one.acknowledged_at_ms,
            one.refusal,
            one.cannot_serve_after_ms,
            None if deleted is None else deleted.total,
            None if deleted is None else deleted.at_ms,
        )


def _of(connection: Connection, pseudonym: bytes, consent_id: str) -> StoredConsent:
    stored = consents.find(connection, consent_id)
    if stored is None or stored.terms.pseudonym != pseudonym:
        raise ConsentUnknown("no consent of this person by that id")
    return stored
