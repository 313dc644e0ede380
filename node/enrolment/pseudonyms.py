"""Identifiers become pseudonyms here and nowhere else in a node.

The members' threshold VOPRF makes a pseudonym (`docs/pseudonyms.md`): this node blinds, a threshold
of trustees evaluate, and this node verifies and combines. Who was enrolled once is not asked for
again: the pseudonym is kept under a keyed hash of the identifier, batch by batch, so that an
enrolment that was cut off goes on where it was.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from audit.database import Database
from node.enrolment.run import Run
from node.enrolment.trustees import Evaluator
from node.enrolment.workers import Workers
from node.storage import pseudonyms as storage
from protocols.ceremony import PseudonymKey
from protocols.legal_ids import oprf_input
from protocols.pseudonyms import cache_key, subject_ref

PROCESSES_FROM = 4096  # identifiers; below, starting processes costs more than they save

Progress = Callable[[int, int], None]


class KeySource(Protocol):
    """Where the public side of keys comes from: `node.enrolment.pseudonym_keys`."""

    def newest(self) -> PseudonymKey:
        """The key of the newest epoch; raises `NoPseudonymKey`."""
        ...

    def of_epoch(self, epoch: int) -> PseudonymKey:
        """The key of an epoch; raises `NoPseudonymKey`."""
        ...


class Pseudonyms(Protocol):
    """What the rest of a node needs of pseudonyms."""

    def pseudonyms(
        self, identifiers: Sequence[str], *, progress: Progress | None = None
    ) -> list[bytes]:
        """One pseudonym of 32 bytes for each identifier, in order."""
        ...

    def subject_ref(self, pseudonym: bytes) -> str:
        """The reference this node's own clients use for a person."""
        ...


@dataclass(frozen=True)
class Enrolled:
    """What an enrolment did.

    Attributes:
        epoch: of the pseudonyms.
        pseudonyms: one for each identifier, in order.
        asked: how many the trustees were asked for; the others were known.
        failed: trustee -> code, those that were replaced.
    """

    epoch: int
    pseudonyms: list[bytes]
    asked: int
    failed: dict[str, str]


class PseudonymService:
    """Turns identifiers into pseudonyms and pseudonyms into local references."""

    def __init__(
        self,
        *,
        database: Database,
        keys: KeySource,
        evaluator: Evaluator,
        local_key: bytes,
        processes: int | None = None,
    ) -> None:
        """Enrol through the trustees.

        Args:
            database: keeps what was enrolled.
            keys: the pseudonym keys believed here.
            evaluator: reaches their trustees.
            local_key: this node's own, for references and for the keys of what is kept.
            processes: for large enrolments; None: one a processor.
        """
        self._database = database
        self._keys = keys
        self._evaluator = evaluator
        self._local_key = local_key
        self._processes = processes if processes is not None else os.cpu_count() or 1

    def pseudonyms(
        self, identifiers: Sequence[str], *, progress: Progress | None = None
    ) -> list[bytes]:
        """One pseudonym of 32 bytes for each identifier, in order, of the epoch in force here.

        Raises:
            InvalidInput: an identifier has a wrong form or check character; nobody was asked.
            NoPseudonymKey: there was no key ceremony yet.
            TrusteesUnavailable: too few trustees answer as they should.
        """
        return self.enrol(identifiers, progress=progress).pseudonyms

    def pseudonym(self, identifier: str) -> bytes:
        """The pseudonym of one identifier; see `pseudonyms`."""
        return self.pseudonyms([identifier])[0]

    def subject_ref(self, pseudonym: bytes) -> str:
        """The reference this node's own clients use for a person; other nodes' differ."""
        return subject_ref(self._local_key, pseudonym)

    def enrol(
        self,
        identifiers: Sequence[str],
        *,
        epoch: int | None = None,
        progress: Progress | None = None,
    ) -> Enrolled:
        """Pseudonyms of an epoch, asking only for those that are not known yet.

        Args:
            identifiers: any spelling, of any scheme; may repeat.
            epoch: None: the one this node's tables use, or the newest before there is one.
            progress: called with (done, to do) after every batch.

        Raises:
            As `pseudonyms`.
        """
        inputs = [oprf_input(identifier) for identifier in identifiers]
        key = self._keys.of_epoch(epoch) if epoch is not None else self._key_in_force()
        places = [cache_key(self._local_key, data) for data in inputs]
        with self._database.read() as connection:
            known = storage.find_enrolled(connection, key.epoch, places)
        missing = {place: data for place, data in zip(places, inputs, strict=True)
                   if place not in known}  # fmt: skip
        failed = self._ask(key, missing, known, progress) if missing else {}
        return Enrolled(key.epoch, [known[place] for place in places], len(missing), failed)

    def _ask(
        self,
        key: PseudonymKey,
        missing: dict[bytes, bytes],
        known: dict[bytes, bytes],
        progress: Progress | None,
    ) -> dict[str, str]:
        wanted, inputs = list(missing), list(missing.values())
        processes = self._processes if len(inputs) >= PROCESSES_FROM else 1
        done = 0
        with Workers(processes) as workers:
            run = Run(key, self._evaluator, workers, side_by_side=processes + 2)
            for start, names in run.enrol(inputs):
                batch = dict(zip(wanted[start : start + len(names)], names, strict=True))
                with self._database.write() as connection:
                    storage.put_enrolled(connection, key.epoch, batch)
                known.update(batch)
                done += len(names)
                if progress is not None:
                    progress(done, len(inputs))
        return run.failed

    def _key_in_force(self) -> PseudonymKey:
        with self._database.read() as connection:
            epoch = storage.epoch_in_force(connection)
        if epoch is not None:
            return self._keys.of_epoch(epoch)
        newest = self._keys.newest()
        with self._database.write() as connection:
            storage.put_epoch_in_force(connection, newest.epoch, int(time.time() * 1000))
        return newest
