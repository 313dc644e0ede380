"""The people a round draws from: frozen before the step, checked again before its result leaves.

A subject is in only while its own live consent names this node as a recipient for `train`, covers
the classes of data used, and allows at least the epsilon that the campaign will have brought its
people to. Signals whose class the consent does not name count as missing. Encoding thousands of
rows takes a while, so encoded rows are kept and used again until signals, outcomes or the catalogue
change; the set of consents is read anew whenever any consent changed or one began or ran out.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from audit.database import Connection, Database
from audit.merkle import Frontier, leaf_hash
from models.catalogue import SignalStatus
from models.encoder import Encoder
from node.consents.freshness import Freshness
from node.federation.held_out import HeldOut
from node.storage import outcomes
from node.storage import signals as signal_rows
from node.storage import training_sources as sources
from node.storage.training_sources import TrainConsent, VectorRow
from protocols.errors import StateConflict

FOREVER_MS = 2**62
EPSILON_TOLERANCE = 1e-6


class CohortChanged(StateConflict):
    """A consent of the cohort changed while the step was computed; its result is thrown away."""

    code = "cohort_changed"
    next_step = "Freeze the cohort again and repeat the step."


@dataclass(frozen=True)
class Cohort:
    """A frozen set of consented subjects.

    Attributes:
        hashes: the consent hashes, sorted, 32 bytes each, joined.
        root: Merkle root of the sorted hashes (RFC 9162).
        x: float32[n, width], one encoded row a subject, in the order of `hashes`.
        y: uint8[n], 1 = default.
        held: bool[n], who does not train in the campaign.
        changed_seq: no consent changed after this audit sequence number when it was frozen.
        valid_until_ms: when a consent, its proof or a signal in it runs out, or another begins.
        foreign: whether other members control some of its consents, whose lists are read anew.
    """

    hashes: bytes
    root: bytes
    x: NDArray[np.float32]
    y: NDArray[np.uint8]
    held: NDArray[np.bool_]
    changed_seq: int
    valid_until_ms: int
    foreign: bool = False

    @property
    def size(self) -> int:
        """Subjects."""
        return len(self.y)

    @property
    def one_class(self) -> bool:
        """Whether nobody, or everybody, of them defaulted: there is nothing to tell apart."""
        return self.size == 0 or bool(self.y.min() == self.y.max())

    def consents(self) -> Iterator[bytes]:
        """The consent hashes one by one."""
        return (self.hashes[start : start + 32] for start in range(0, len(self.hashes), 32))


@dataclass(frozen=True)
class _Frozen:
    """The people as of one moment."""

    training: Cohort
    everybody: Cohort


@dataclass(frozen=True)
class _Rows:
    """Encoded candidates and for what they are good."""

    mark: tuple[object, ...]
    at: dict[tuple[bytes, str, frozenset[str]], int]
    x: NDArray[np.float32]
    y: NDArray[np.uint8]
    expires_at_ms: NDArray[np.int64]


class Cohorts:
    """Freezes cohorts for one campaign. For one thread at a time.

    Args:
        database: the node's.
        member_id: this node.
        encoder: of the campaign's catalogue.
        epsilon: what the campaign's end will have brought this population to.
        freshness: reads what other members' status lists prove.
        held_out: who does not train; None: nobody is held out.
    """

    def __init__(
        self,
        database: Database,
        member_id: str,
        encoder: Encoder,
        epsilon: float,
        freshness: Freshness | None = None,
        held_out: HeldOut | None = None,
    ) -> None:
        self._held_out = held_out
        self._freshness = freshness or Freshness(member_id)
        self._database = database
        self._member_id = member_id
        self._encoder = encoder
        self._epsilon = epsilon
        self._rows: _Rows | None = None
        self._frozen: _Frozen | None = None

    def freeze(self, now_ms: int) -> Cohort:
        """Those who train, as of now."""
        return self._freeze(now_ms).training

    def freeze_everybody(self, now_ms: int) -> Cohort:
        """Those who train and those who are held out, as of now."""
        return self._freeze(now_ms).everybody

    def _freeze(self, now_ms: int) -> _Frozen:
        with self._database.read() as connection:
            mark = (self._encoder.catalogue.sha256, *sources.signals_mark(connection))
            changed = sources.consents_changed_at(connection)
            frozen = self._frozen
            known = self._rows is not None and self._rows.mark == mark
            if (
                known
                and frozen is not None
                and frozen.everybody.changed_seq == changed
                and not frozen.everybody.foreign
                and now_ms < frozen.everybody.valid_until_ms
            ):
                return frozen
            consents = [
                one
                for one in self._live(connection, now_ms)
                if one.max_epsilon is not None
                and one.max_epsilon + EPSILON_TOLERANCE >= self._epsilon
            ]
            labels = outcomes.labels(connection)
            consents = [one for one in consents if one.pseudonym in labels]
            if self._rows is None or not known or not _covers(self._rows, consents, now_ms):
                self._rows = self._encode(connection, mark, consents, labels, now_ms)
            next_ms = sources.next_validity_ms(connection, now_ms)
            consents.sort(key=lambda consent: consent.consent_hash)
            held = self._held(consents)
            foreign = any(one.controller != self._member_id for one in consents)
            whole = _select(self._rows, consents, held, changed, next_ms)
            everybody = replace(whole, foreign=foreign)
            training = everybody
            if held.any():
                rest = [one for one, out in zip(consents, held, strict=True) if not out]
                part = _select(self._rows, rest, np.zeros(len(rest), bool), changed, next_ms)
                training = replace(part, foreign=foreign, valid_until_ms=whole.valid_until_ms)
            self._frozen = _Frozen(training, everybody)
            return self._frozen

    def _held(self, consents: list[TrainConsent]) -> NDArray[np.bool_]:
        if self._held_out is None:
            return np.zeros(len(consents), bool)
        return self._held_out.mask([one.pseudonym for one in consents])

    def check(self, connection: Connection, cohort: Cohort, now_ms: int) -> None:
        """Make sure, in the transaction that charges, that the whole cohort still stands.

        Raises:
            CohortChanged: a consent or a signal of it ran out, or a consent is no longer in force.
        """
        if now_ms >= cohort.valid_until_ms:
            raise CohortChanged("a consent or a signal of the cohort ran out")
        if not cohort.foreign and sources.consents_changed_at(connection) == cohort.changed_seq:
            return
        live = {one.consent_hash for one in self._live(connection, now_ms)}
        if not live.issuperset(cohort.consents()):
            raise CohortChanged("a consent of the cohort is no longer in force")

    def _live(self, connection: Connection, now_ms: int) -> list[TrainConsent]:
        """Consents in force; another member's only while its status list proves them."""
        found = sources.train_consents(connection, self._member_id, now_ms)
        fresh = self._freshness.read(connection, found, now_ms)
        live = []
        for one in found:
            proven_ms = fresh.proof(one)
            if proven_ms is None:
                live.append(one)
            elif now_ms < proven_ms:
                live.append(replace(one, valid_until_ms=min(one.valid_until_ms, proven_ms)))
        return live

    def _encode(
        self,
        connection: Connection,
        mark: tuple[object, ...],
        consents: list[TrainConsent],
        labels: Mapping[bytes, int],
        now_ms: int,
    ) -> _Rows:
        catalogue = self._encoder.catalogue
        by_subject: dict[bytes, list[VectorRow]] = {}
        for vector in sources.vectors(connection, catalogue.version, now_ms):
            by_subject.setdefault(vector.pseudonym, []).append(vector)
        classes = {spec.id: spec.source_class for spec in catalogue.signals}
        people: list[dict[str, tuple[int, float]]] = []
        expires = np.full(len(consents), FOREVER_MS, np.int64)
        for position, consent in enumerate(consents):
            usable = [
                vector
                for vector in by_subject.get(consent.pseudonym, [])
                if vector.consent_id in {None, consent.consent_id}
            ]
            people.append(_signals(usable, classes, consent.data_categories))
            expires[position] = min(
                (one.expires_at_ms for one in usable if one.expires_at_ms is not None),
                default=FOREVER_MS,
            )
        status, value = signal_rows.matrix(people, list(classes))
        return _Rows(
            mark=mark,
            at={_key(consent): position for position, consent in enumerate(consents)},
            x=self._encoder.encode(status, value),
            y=np.array([labels[one.pseudonym] for one in consents], np.uint8),
            expires_at_ms=expires,
        )


def _key(consent: TrainConsent) -> tuple[bytes, str, frozenset[str]]:
    return consent.pseudonym, consent.consent_id, consent.data_categories


def _covers(rows: _Rows, consents: Iterable[TrainConsent], now_ms: int) -> bool:
    """Whether all of them are encoded, with signals that have not run out."""
    found = [rows.at.get(_key(consent)) for consent in consents]
    return None not in found and bool((rows.expires_at_ms[found] > now_ms).all())  # type: ignore[index]


def _signals(
    vectors: Iterable[VectorRow], classes: Mapping[str, str], granted: frozenset[str]
) -> dict[str, tuple[int, float]]:
    """The signals of one subject; those of a class that was not granted are `no_consent`."""
    merged: dict[str, tuple[int, float]] = {}
    for vector in vectors:
        for signal, (status, value) in json.loads(vector.signals).items():
            if signal not in classes:
                continue
            allowed = classes[signal] in granted
            found = (int(status), float(value)) if allowed else (int(SignalStatus.NO_CONSENT), 0.0)
            # An answer says more than a holder's "not held" beside it.
            if signal not in merged or merged[signal][0] == SignalStatus.NOT_HELD:
                merged[signal] = found
    return merged


def _select(
    rows: _Rows,
    consents: list[TrainConsent],
    held: NDArray[np.bool_],
    changed_seq: int,
    next_ms: int | None,
) -> Cohort:
    """The cohort of these consents, which are in the order of their hashes."""
    chosen = np.array([rows.at[_key(consent)] for consent in consents], np.intp)
    ends = [consent.valid_until_ms for consent in consents]
    ends.append(FOREVER_MS if next_ms is None else next_ms)
    ends.append(int(rows.expires_at_ms[chosen].min(initial=FOREVER_MS)))
    hashes = [consent.consent_hash for consent in consents]
    return Cohort(
        hashes=b"".join(hashes),
        root=Frontier().extend(leaf_hash(one) for one in hashes).root(),
        x=rows.x[chosen],
        y=rows.y[chosen],
        held=held,
        changed_seq=changed_seq,
        valid_until_ms=min(ends),
    )
