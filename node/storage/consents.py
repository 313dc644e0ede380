"""Consents: the version in force and the versions it replaced.

The consent node, its holders and its recipients keep the same rows. What happened to a consent
stands in `node.storage.consent_events`, deliveries in `node.storage.consent_outbox`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Row, bindparam, func, insert, select, update

from audit.bulk import SelectByKeys, UpdateByKeys
from audit.database import Connection
from consent.artefact import Artefact
from consent.lifecycle import State
from consent.policy import Terms
from node.storage.consent_grants import granted, grants_of, grants_text
from node.storage.tables import consent, consent_superseded

T = TypeVar("T")

IN_LIST = 500  # bound parameters a statement; every database takes this many


@dataclass(frozen=True, slots=True)
class StoredConsent:
    """A consent as this node keeps it.

    Attributes:
        terms: what a decision depends on.
        version: the version in force.
        auth_method: by what it speaks for the person (`consent.authority`).
        artefact: general JWS JSON with both signatures.
        event_at_ms: the time that the last signed event stated; 0: none so far.
        changed_seq: sequence number of the audit leaf of the last change.
    """

    terms: Terms
    version: int
    auth_method: str
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


def add_many(
    connection: Connection, new: Sequence[NewConsent], state: State = State.ACTIVE
) -> None:
    """Store consents that this node did not have, in the state in which a consent begins."""
    if new:
        connection.execute(insert(consent), [_to_row(one, state) for one in new])


def put_in_place(connection: Connection, new: NewConsent) -> None:
    """Put a consent in force, in the place of the request that it grants."""
    row = _to_row(new, State.ACTIVE)
    connection.execute(
        update(consent).where(consent.c.consent_id == row.pop("consent_id")).values(row)
    )


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
    put_in_place(connection, new)


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
    for terms in map(_terms, _BY_HASH(connection, wanted)):
        found[terms.consent_hash] = terms
    for old_hash, *row in _BY_OLD_HASH(connection, [one for one in wanted if one not in found]):
        found[old_hash] = replace(_terms(row), state=State.SUPERSEDED, consent_hash=old_hash)
    return found


def terms_by_id(connection: Connection, consent_ids: Iterable[str]) -> dict[str, Terms]:
    """Terms of the versions in force, by consent id."""
    found: dict[str, Terms] = {}
    for terms in map(_terms, _BY_ID(connection, sorted(set(consent_ids)))):
        found[terms.consent_id] = terms
    return found


def count_uses(connection: Connection, uses: Mapping[str, int]) -> int:
    """Add uses by consent id, on active consents only and never beyond `max_uses`.

    Returns:
        How many of the consents were counted; the others had no use left or are not active.
    """
    counted = 0
    for number in sorted(set(uses.values())):
        chosen = sorted(one for one, wanted in uses.items() if wanted == number)
        values = {"more": number, "active": State.ACTIVE.value}
        counted += _COUNT_USES(connection, chosen, **values)
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
            consent.c.grants,
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
    found = []
    for row in connection.execute(query):
        categories = granted(row.grants, _set(row.data_categories), member_id, purpose)
        if categories:
            found.append(
                LiveConsent(
                    consent_id=row.consent_id,
                    consent_hash=row.consent_hash,
                    pseudonym=row.pseudonym,
                    holders=_set(row.holders),
                    data_categories=categories,
                    max_epsilon=row.max_epsilon,
                )
            )
    return found


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
    consent.c.grants,
)

_BY_HASH = SelectByKeys(
    lambda keys: select(*_TERMS).where(consent.c.consent_hash.in_(keys)).with_for_update()
)
_BY_ID = SelectByKeys(
    lambda keys: select(*_TERMS).where(consent.c.consent_id.in_(keys)).with_for_update()
)
_BY_OLD_HASH = SelectByKeys(
    lambda keys: (
        select(consent_superseded.c.consent_hash.label("old_hash"), *_TERMS)
        .join(consent, consent.c.consent_id == consent_superseded.c.consent_id)
        .where(consent_superseded.c.consent_hash.in_(keys))
    )
)
_COUNT_USES = UpdateByKeys(
    lambda keys: (
        update(consent)
        .where(
            consent.c.consent_id.in_(keys),
            # Inside a function: SQLite would take the index on the state, and read every consent.
            func.coalesce(consent.c.state, "") == bindparam("active"),
            consent.c.uses + bindparam("more") <= consent.c.max_uses,
        )
        .values(uses=consent.c.uses + bindparam("more"))
    )
)


def _to_row(new: NewConsent, state: State) -> dict[str, Any]:
    artefact = new.artefact
    return {
        "consent_id": artefact.consent_id,
        "consent_hash": artefact.consent_hash,
        "version": artefact.version,
        "pseudonym": new.pseudonym,
        "auth_method": artefact.auth_method,
        "controller": artefact.controller,
        "state": state.value,
        "purposes": " ".join(artefact.purposes),
        "recipients": " ".join(artefact.recipient_ids),
        "holders": " ".join(artefact.holders),
        "data_categories": " ".join(artefact.data_categories),
        "grants": grants_text(artefact.grants),
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
        terms=_terms(tuple(getattr(row, column.name) for column in _TERMS)),
        version=row.version,
        auth_method=row.auth_method,
        artefact=row.artefact,
        event_at_ms=row.event_at_ms,
        changed_seq=row.changed_seq,
    )


def _terms(row: Sequence[Any]) -> Terms:
    """Terms from the columns `_TERMS`, which are the fields of `Terms` in order."""
    (consent_id, consent_hash, pseudonym, controller, state,
     purposes, recipients, holders, data_categories, *numbers, grants) = row  # fmt: skip
    numbers.append(grants_of(grants))
    return Terms(
        consent_id, consent_hash, pseudonym, controller, State(state),
        _set(purposes), _set(recipients), _set(holders), _set(data_categories), *numbers,
    )  # fmt: skip


@lru_cache(maxsize=4096)  # a network has few different lists, and many consents
def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


def _lists(column: Any, word: str) -> ColumnElement[bool]:
    """Whether a space-separated column has `word` in it."""
    found: ColumnElement[bool] = (" " + column + " ").contains(f" {word} ", autoescape=True)
    return found


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), IN_LIST):
        yield items[start : start + IN_LIST]
