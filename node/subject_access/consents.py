"""A person's consents as they read them: what each says, what happened, and who has confirmed it.

A consent of somebody else is answered exactly as one that does not exist.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from audit.database import Connection, Database
from consent.artefact import Artefact
from consent.lifecycle import Event, State
from consent.receipts import Confirmation
from consent.refusals import ConsentUnknown
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

PartyState = Literal["own", "confirmed", "refused", "waiting"]


@dataclass(frozen=True, slots=True)
class PartyLine:
    """What one institution has said about one event.

    Attributes:
        member_id: the institution.
        state: `own` (this node, at once), `confirmed`, `refused` or `waiting`.
        at_ms: since when it is in effect there; None while it waits.
        refusal: stable code, or empty.
        cannot_serve_after_ms: of a party that waits with a withdrawal: when it loses its last
            proof that the consent stands, so that it refuses by itself; None: not known.
        deleted: sets of figures that it attests to have deleted; None: it said nothing of it.
    """

    member_id: str
    state: PartyState
    at_ms: int | None = None
    refusal: str = ""
    cannot_serve_after_ms: int | None = None
    deleted: int | None = None


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


Bounds = Callable[[str], Mapping[str, int]]
"""consent id -> until when each waiting party could still prove that the consent stands."""


class OwnConsents:
    """Reads one person's consents; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        member_id: str,
        receipt: Callable[[str], dict[str, Any]],
        bounds: Bounds,
        clock: Callable[[], int],
    ) -> None:
        """Read from `database`.

        Args:
            database: the node's.
            member_id: this node.
            receipt: makes the receipt of a consent.
            bounds: when parties that have not acknowledged lose their last proof.
            clock: UTC milliseconds now.
        """
        self._database = database
        self._member_id = member_id
        self._receipt = receipt
        self._bounds = bounds
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
            happened = consent_events.events_of(connection, consent_id)
            confirmed = consent_outbox.confirmations(connection, consent_id)
        artefact = artefact_of(stored)
        bounds = (
            self._bounds(consent_id) if any(pending for _, pending in confirmed.values()) else {}
        )
        steps = tuple(
            self._step(event, artefact, *confirmed.get(event.event_id, ([], [])), bounds)
            for event in happened
        )
        return ConsentDetail(artefact, stored.terms.state, stored.terms.uses, steps)

    def receipt(self, pseudonym: bytes, consent_id: str) -> dict[str, Any]:
        """The receipt of one consent of the person (`consent.receipts`).

        Raises:
            ConsentUnknown: as `one`.
        """
        with self._database.read() as connection:
            _of(connection, pseudonym, consent_id)
        return self._receipt(consent_id)

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

    def _step(
        self,
        event: StoredEvent,
        artefact: Artefact,
        confirmed: Iterable[Confirmation],
        pending: Iterable[str],
        bounds: Mapping[str, int],
    ) -> Step:
        lines = [PartyLine(self._member_id, "own", event.at_ms)]
        lines += [
            PartyLine(
                one.member_id,
                "refused" if one.refusal else "confirmed",
                one.effective_at_ms,
                one.refusal,
            )
            for one in confirmed
        ]
        stops = event.event in {Event.WITHDRAW, Event.PAUSE, Event.INVALIDATE}
        lines += [
            PartyLine(one, "waiting", cannot_serve_after_ms=bounds.get(one) if stops else None)
            for one in pending
        ]
        told = {line.member_id for line in lines} & {self._member_id, *artefact.parties}
        shown = tuple(line for line in lines if line.member_id in told)
        return Step(event.event, event.actor, event.at_ms, event.leaf_seq, shown)


def _of(connection: Connection, pseudonym: bytes, consent_id: str) -> StoredConsent:
    stored = consents.find(connection, consent_id)
    if stored is None or stored.terms.pseudonym != pseudonym:
        raise ConsentUnknown("no consent of this person by that id")
    return stored
