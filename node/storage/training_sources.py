"""What training draws from: live `train` consents, and the signals of those who gave them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, or_, select

from audit.database import Connection
from node.storage import marks, reported_outcomes
from node.storage.consent_grants import granted
from node.storage.marks import Marks
from node.storage.rights_tables import subject_mark
from node.storage.signals import OWN
from node.storage.tables import consent, outcome, signal_vector

TRAIN = "train"


@dataclass(frozen=True, slots=True)
class TrainConsent:
    """A consent in force that names this node as a recipient for training.

    Attributes:
        controller: member id of the consent node.
        data_categories: source classes that may be used.
        max_epsilon: the most a training run may spend; None: no own ceiling.
    """

    consent_id: str
    consent_hash: bytes
    pseudonym: bytes
    controller: str
    data_categories: frozenset[str]
    max_epsilon: float | None
    valid_until_ms: int


@dataclass(frozen=True, slots=True)
class VectorRow:
    """Signals usable in training, `signals` still JSON; own ones name no consent."""

    pseudonym: bytes
    signals: str
    consent_id: str | None
    expires_at_ms: int | None


def consents_changed_at(connection: Connection) -> int:
    """Audit sequence number of the last change of any consent; -1 when there is none."""
    found = connection.execute(select(func.max(consent.c.changed_seq))).scalar_one()
    return -1 if found is None else int(found)


def train_consents(connection: Connection, member_id: str, now_ms: int) -> list[TrainConsent]:
    """Consents in force for training by this member, one a subject, the last changed one."""
    rows = connection.execute(
        select(
            consent.c.consent_id,
            consent.c.consent_hash,
            consent.c.pseudonym,
            consent.c.controller,
            consent.c.purposes,
            consent.c.recipients,
            consent.c.data_categories,
            consent.c.grants,
            consent.c.max_epsilon,
            consent.c.valid_until_ms,
        )
        .where(
            consent.c.state == "active",
            consent.c.valid_from_ms <= now_ms,
            consent.c.valid_until_ms > now_ms,
        )
        .order_by(consent.c.changed_seq)
    )
    sets: dict[str, frozenset[str]] = {}  # few distinct lists, many rows

    def as_set(text: str) -> frozenset[str]:
        if text not in sets:
            sets[text] = frozenset(text.split())
        return sets[text]

    found: dict[bytes, TrainConsent] = {}
    for row in rows:
        if TRAIN not in as_set(row.purposes) or member_id not in as_set(row.recipients):
            continue
        categories = granted(row.grants, as_set(row.data_categories), member_id, TRAIN)
        if categories:
            found[row.pseudonym] = TrainConsent(
                row.consent_id,
                row.consent_hash,
                row.pseudonym,
                row.controller,
                categories,
                row.max_epsilon,
                row.valid_until_ms,
            )
    return list(found.values())


def next_validity_ms(connection: Connection, now_ms: int) -> int | None:
    """When the next active consent that is not yet valid becomes so, or None."""
    found = connection.execute(
        select(func.min(consent.c.valid_from_ms)).where(
            consent.c.state == "active", consent.c.valid_from_ms > now_ms
        )
    ).scalar_one()
    return None if found is None else int(found)


def signals_mark(connection: Connection) -> tuple[object, ...]:
    """A value that changes when signals, disputes of them, or outcomes for training do."""
    vectors = connection.execute(
        select(
            signal_vector.c.source,
            signal_vector.c.purpose,
            func.count(),
            func.min(signal_vector.c.as_of_ms),
            func.max(signal_vector.c.as_of_ms),
            func.max(signal_vector.c.expires_at_ms),
            func.max(signal_vector.c.catalogue_version),
        )
        .where(signal_vector.c.purpose.in_([OWN, TRAIN]))
        .group_by(signal_vector.c.source, signal_vector.c.purpose)
        .order_by(signal_vector.c.source, signal_vector.c.purpose)
    )
    labels = connection.execute(
        select(func.count(), func.sum(outcome.c.label), func.max(outcome.c.observed_at_ms))
    )
    flags = connection.execute(select(func.count(), func.max(subject_mark.c.since_ms)))
    reported = reported_outcomes.mark(connection)
    return (*map(tuple, vectors), *map(tuple, labels), *map(tuple, flags), reported)


def vectors(connection: Connection, catalogue_version: int, now_ms: int) -> Iterator[VectorRow]:
    """Live vectors that are this node's own or were released to it for training.

    An item that is disputed now is so in them, and no model learns from it.
    """
    marked = marks.every(connection)
    rows = connection.execute(
        select(
            signal_vector.c.source,
            signal_vector.c.pseudonym,
            signal_vector.c.signals,
            signal_vector.c.consent_id,
            signal_vector.c.expires_at_ms,
        ).where(
            signal_vector.c.purpose.in_([OWN, TRAIN]),
            signal_vector.c.catalogue_version == catalogue_version,
            or_(signal_vector.c.expires_at_ms.is_(None), signal_vector.c.expires_at_ms > now_ms),
        )
    )
    for source, pseudonym, stored, *rest in rows:
        yield VectorRow(pseudonym, _flagged(marked.get(pseudonym), source, stored), *rest)


def _flagged(marked: Marks | None, source: str, stored: str) -> str:
    return stored if marked is None else json.dumps(marked.flagged(source, json.loads(stored)))
