"""Consents: the version in force and the versions it replaced.

The consent node, its holders and its recipients keep the same rows. What happened to a consent
stands in `node.storage.consent_events`, deliveries in `node.storage.consent_outbox`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, bindparam, func, insert, select, update

from audit.database import Connection
from consent.artefact import Artefact
from consent.lifecycle import State
from consent.policy import Terms
from node.storage.tables import consent, consent_superseded

T = TypeVar("T")

IN_LIST = 500  # bound parameters a statement; every database takes this many


@dataclass(frozen=True, slots=True)
class StoredConsent:
    """A consent as this node keeps it.

    Attributes:
        terms: what a decision depends on.
        version: the version in force.
        subject_key: the person's Ed25519 public key, 32 bytes.
        artefact: general JWS JSON with both signatures.
        event_at_ms: the time that the last signed event stated; 0: none so far.
        changed_seq: sequence number of the audit leaf of the last change.
    """

    terms: Terms
    version: int
    subject_key: bytes
    artefact: bytes
    event_at_ms: int
    changed_seq: int


@dataclass(frozen=True, slots=True)
class NewConsent:
    """A verified artefact, whose subject is known here, with its audit leaf's number."""

    artefact: Artefact
    jws: bytes
    pseudonym: bytes
    leaf_seq: int


@dataclass(frozen=True, slots=True)
class LiveConsent:
    """A consent that a purpose may rest on now.

    Attributes:
        consent_id: "con_" and 26 characters.
        consent_hash: 32 bytes.
        pseudonym: the person, 32 bytes.
        holders: member ids that may release.
        data_categories: source classes that may be used.
        max_epsilon: the most a training run may spend on the person; None without `train`.
    """

    consent_id: str
    consent_hash: bytes
    pseudonym: bytes
    holders: frozenset[str]
    data_categories: frozenset[str]
    max_epsilon: float | None


# -- consents


def add_many(connection: Connection, new: Sequence[NewConsent]) -> None:
    """Store consents that this node did not have, in state `active`."""
    if new:
        connection.execute(insert(consent), [_to_row(one) for one in new])


def supersede(connection: Connection, old: StoredConsent, new: NewConsent, at_ms: int) -> None:
    """Put a newer version in the place of `old`; its uses and events count from zero."""
    connection.execute(
        insert(consent_superseded).values(
            consent_hash=old.terms.consent_hash,
            consent_id=old.terms.consent_id,
            version=old.version,
            artefact=old.artefact,
            superseded_at_ms=at_ms,
        )
    )
    row = _to_row(new)
    connection.execute(
        update(consent).where(consent.c.consent_id == row.pop("consent_id")).values(row)
    )


def set_state(
    connection: Connection, consent_ids: Sequence[str], state: State, leaf_seqs: Sequence[int]
) -> None:
    """Move consents to `state`, each with the number of the leaf that says so."""
    connection.execute(
        update(consent)
        .where(consent.c.consent_id == bindparam("one"))
        .values(state=state.value, changed_seq=bindparam("leaf")),
        [{"one": one, "leaf": leaf} for one, leaf in zip(consent_ids, leaf_seqs, strict=True)],
    )


def note_event_time(connection: Connection, consent_id: str, at_ms: int) -> None:
    """Remember the time that a signed event stated, so that an older one is not replayed."""
    connection.execute(
        update(consent)
        .where(consent.c.consent_id == consent_id, consent.c.event_at_ms < at_ms)
        .values(event_at_ms=at_ms)
    )


def find(connection: Connection, consent_id: str) -> StoredConsent | None:
    """One consent, or None; locked for the rest of a write transaction."""
    return find_many(connection, [consent_id]).get(consent_id)


def find_many(connection: Connection, consent_ids: Iterable[str]) -> dict[str, StoredConsent]:
    """Consents by id; locked for the rest of a write transaction (a no-op on SQLite)."""
    found: dict[str, StoredConsent] = {}
    for chunk in _chunks(sorted(set(consent_ids))):
        query = select(consent).where(consent.c.consent_id.in_(chunk))
        rows = connection.execute(query.with_for_update())
        found.update({row.consent_id: _from_row(row) for row in rows})
    return found


def page(
    connection: Connection, *, before_seq: int | None, limit: int, states: Iterable[State] = ()
) -> list[StoredConsent]:
    """Up to `limit` consents, the newest change first, all changed before leaf `before_seq`."""
    query = select(consent)
    if before_seq is not None:
        query = query.where(consent.c.changed_seq < before_seq)
    wanted = [state.value for state in states]
    if wanted:
        query = query.where(consent.c.state.in_(wanted))
    query = query.order_by(consent.c.changed_seq.desc()).limit(limit)
    return [_from_row(row) for row in connection.execute(query)]


def of_subject(connection: Connection, pseudonym: bytes) -> list[StoredConsent]:
    """All consents of one person, newest change first."""
    query = select(consent).where(consent.c.pseudonym == pseudonym)
    rows = connection.execute(query.order_by(consent.c.changed_seq.desc()))
    return [_from_row(row) for row in rows]


def counts(connection: Connection) -> dict[State, int]:
    """How many consents are in each state."""
    query = select(consent.c.state, func.count()).group_by(consent.c.state)
    return {State(state): int(number) for state, number in connection.execute(query)}


# -- deciding


def terms_by_hash(connection: Connection, hashes: Iterable[bytes]) -> dict[bytes, Terms]:
    """Terms by consent hash; a replaced version has the state `superseded`, an unknown none.

    Locked for the rest of a write transaction (a no-op on SQLite).
    """
    found: dict[bytes, Terms] = {}
    wanted = sorted(set(hashes))
    for chunk in _chunks(wanted):
        query = select(*_TERMS).where(consent.c.consent_hash.in_(chunk)).with_for_update()
        found.update({row.consent_hash: _terms(row) for row in connection.execute(query)})
    for chunk in _chunks([one for one in wanted if one not in found]):
        old = consent_superseded.c.consent_hash
        query = select(old.label("old_hash"), *_TERMS).join(
            consent, consent.c.consent_id == consent_superseded.c.consent_id
        )
        for row in connection.execute(query.where(old.in_(chunk))):
            found[row.old_hash] = _terms(row, state=State.SUPERSEDED, consent_hash=row.old_hash)
    return found


def terms_by_id(connection: Connection, consent_ids: Iterable[str]) -> dict[str, Terms]:
    """Terms of the versions in force, by consent id."""
    found: dict[str, Terms] = {}
    for chunk in _chunks(sorted(set(consent_ids))):
        query = select(*_TERMS).where(consent.c.consent_id.in_(chunk)).with_for_update()
        found.update({row.consent_id: _terms(row) for row in connection.execute(query)})
    return found


def count_uses(connection: Connection, uses: Mapping[str, int]) -> int:
    """Add uses by consent id, on active consents only and never beyond `max_uses`.

    Returns:
        How many of the consents were counted; the others had no use left or are not active.
    """
    counted = 0
    for number in sorted(set(uses.values())):
        chosen = sorted(one for one, wanted in uses.items() if wanted == number)
        for chunk in _chunks(chosen):
            statement = update(consent).where(
                consent.c.consent_id.in_(chunk),
                consent.c.state == State.ACTIVE.value,
                consent.c.uses + number <= consent.c.max_uses,
            )
            counted += connection.execute(statement.values(uses=consent.c.uses + number)).rowcount
    return counted


def live(connection: Connection, purpose: str, member_id: str, now_ms: int) -> list[LiveConsent]:
    """Consents in force for `purpose` with `member_id` among the recipients, by pseudonym."""
    query = (
        select(
            consent.c.consent_id,
            consent.c.consent_hash,
            consent.c.pseudonym,
            consent.c.holders,
            consent.c.data_categories,
            consent.c.max_epsilon,
        )
        .where(
            consent.c.state == State.ACTIVE.value,
            consent.c.valid_from_ms <= now_ms,
            consent.c.valid_until_ms > now_ms,
            _lists(consent.c.purposes, purpose),
            _lists(consent.c.recipients, member_id),
        )
        .order_by(consent.c.pseudonym, consent.c.consent_id)
    )
    return [
        LiveConsent(
            consent_id=row.consent_id,
            consent_hash=row.consent_hash,
            pseudonym=row.pseudonym,
            holders=_set(row.holders),
            data_categories=_set(row.data_categories),
            max_epsilon=row.max_epsilon,
        )
        for row in connection.execute(query)
    ]


def overdue(connection: Connection, now_ms: int, limit: int) -> list[StoredConsent]:
    """Up to `limit` active or paused consents whose time is over."""
    query = select(consent).where(
        consent.c.state.in_([State.ACTIVE.value, State.PAUSED.value]),
        consent.c.valid_until_ms <= now_ms,
    )
    rows = connection.execute(query.order_by(consent.c.valid_until_ms).limit(limit))
    return [_from_row(row) for row in rows]


# -- rows

_TERMS: tuple[Any, ...] = (
    consent.c.consent_id,
    consent.c.consent_hash,
    consent.c.pseudonym,
    consent.c.controller,
    consent.c.state,
    consent.c.purposes,
    consent.c.recipients,
    consent.c.holders,
    consent.c.data_categories,
    consent.c.valid_from_ms,
    consent.c.valid_until_ms,
    consent.c.data_life_s,
    consent.c.max_epsilon,
    consent.c.max_uses,
    consent.c.uses,
)


def _to_row(new: NewConsent) -> dict[str, Any]:
    artefact = new.artefact
    return {
        "consent_id": artefact.consent_id,
        "consent_hash": artefact.consent_hash,
        "version": artefact.version,
        "pseudonym": new.pseudonym,
        "subject_key": artefact.subject_key,
        "controller": artefact.controller,
        "state": State.ACTIVE.value,
        "purposes": " ".join(artefact.purposes),
        "recipients": " ".join(artefact.recipient_ids),
        "holders": " ".join(artefact.holders),
        "data_categories": " ".join(artefact.data_categories),
        "artefact": new.jws,
        "valid_from_ms": artefact.valid_from_ms,
        "valid_until_ms": artefact.valid_until_ms,
        "data_life_s": artefact.data_life_s,
        "max_epsilon": artefact.max_epsilon,
        "max_uses": artefact.max_uses,
        "uses": 0,
        "event_at_ms": 0,
        "changed_seq": new.leaf_seq,
    }


def _from_row(row: Row[Any]) -> StoredConsent:
    return StoredConsent(
        terms=_terms(row),
        version=row.version,
        subject_key=row.subject_key,
        artefact=row.artefact,
        event_at_ms=row.event_at_ms,
        changed_seq=row.changed_seq,
    )


def _terms(
    row: Row[Any], *, state: State | None = None, consent_hash: bytes | None = None
) -> Terms:
    return Terms(
        consent_id=row.consent_id,
        consent_hash=consent_hash or row.consent_hash,
        pseudonym=row.pseudonym,
        controller=row.controller,
        state=state or State(row.state),
        purposes=_set(row.purposes),
        recipients=_set(row.recipients),
        holders=_set(row.holders),
        data_categories=_set(row.data_categories),
        valid_from_ms=row.valid_from_ms,
        valid_until_ms=row.valid_until_ms,
        data_life_s=row.data_life_s,
        max_epsilon=row.max_epsilon,
        max_uses=row.max_uses,
        uses=row.uses,
    )


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


def _lists(column: Any, word: str) -> ColumnElement[bool]:
    """Whether a space-separated column has `word` in it."""
    found: ColumnElement[bool] = (" " + column + " ").contains(f" {word} ", autoescape=True)
    return found


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), IN_LIST):
        yield items[start : start + IN_LIST]
