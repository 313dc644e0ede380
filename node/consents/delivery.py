"""Telling holders and recipients: what is promised in the outbox is delivered and acknowledged.

Each party is served on its own, several at a time, what ends a consent first. A party that cannot
be reached is left alone for a moment that grows to `MAX_PAUSE_MS`; nothing is lost meanwhile, for
the outbox is in the database, and any process of the node may go on with it. An answer counts only
under the party's own signature. Deliveries are idempotent, so two processes may push at once.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from audit.database import Database
from consent.deletion import verify_deletion
from consent.delivery import Acknowledgement, Delivery, verify_acknowledgement
from consent.fields import MAX_TIME_MS
from consent.lifecycle import Event
from node.storage import consent_outbox, deletions
from node.storage.consent_outbox import Answer, Due
from node.storage.deletions import Received
from protocols.directory import Directory
from protocols.errors import CredenceError, SignatureInvalid
from protocols.keys import VerifyKey

BATCH = 512
MAX_PARALLEL = 8
FIRST_PAUSE_MS = 250
MAX_PAUSE_MS = 4_000  # a withdrawal waits no longer once its holder is back (5 s at the 99th)

FIRST_RETRY_MS = 5_000
MAX_RETRY_MS = 6 * 3_600_000

# Refusals that time or the other side's housekeeping may cure; others are final for a grant.
RETRYABLE = frozenset(
    {
        "subject_unknown",
        "consent_unknown",
        "unknown_member",
        "member_not_active",
        "signature_invalid",
        "template_unknown",
    }
)
# A party where the consent has ended already needs no more telling.
SETTLED = frozenset({"consent_state_conflict"})

log = structlog.get_logger("node.consents")


class Courier(Protocol):
    """Carries deliveries to a member and its acknowledgements back."""

    def deliver(self, member_id: str, deliveries: Sequence[Delivery]) -> Iterator[Acknowledgement]:
        """Answers in any order; raises a `CredenceError` when the member cannot be reached."""
        ...


@dataclass
class PushReport:
    """What one push came to.

    Attributes:
        accepted: deliveries in effect at their party.
        refused: deliveries refused, by code.
        unreachable: members that did not answer, with the error's code.
    """

    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    unreachable: dict[str, str] = field(default_factory=dict)

    def add(self, answers: Iterable[Answer]) -> None:
        """Count a member's answers."""
        for one in answers:
            if one.refusal:
                self.refused[one.refusal] = self.refused.get(one.refusal, 0) + 1
            else:
                self.accepted += 1


class ConsentDeliverer:
    """Empties the outbox; thread-safe."""

    def __init__(
        self,
        *,
        database: Database,
        directory: Callable[[], Directory],
        courier: Courier,
        clock: Callable[[], int],
    ) -> None:
        self._database = database
        self._directory = directory
        self._courier = courier
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: dict[str, tuple[int, int]] = {}  # member -> (in a row, not before ms)

    def push_pending(self) -> PushReport:
        """Deliver all that is due to members that are not being left alone."""
        now_ms = self._clock()
        with self._database.read() as connection:
            waiting = consent_outbox.waiting_members(connection, now_ms)
        with self._lock:
            members = [one for one in waiting if self._failures.get(one, (0, 0))[1] <= now_ms]
        return self._push(members, None)

    def push_consent(self, consent_id: str, members: Sequence[str]) -> PushReport:
        """Deliver at once what is due about one consent, also to members just unreachable."""
        return self._push(members, consent_id)

    def _push(self, members: Sequence[str], consent_id: str | None) -> PushReport:
        report = PushReport()
        if not members:
            return report
        if len(members) == 1:
            self._push_member(members[0], consent_id, report)
            return report
        with ThreadPoolExecutor(
            min(len(members), MAX_PARALLEL), thread_name_prefix="consents-push"
        ) as pool:
            pushes = [pool.submit(self._push_member, one, consent_id, report) for one in members]
            for push in pushes:
                push.result()
        return report

    def _push_member(self, member_id: str, consent_id: str | None, report: PushReport) -> None:
        try:
            while batch := self._due(member_id, consent_id):
                answers = self._exchange(member_id, batch)
                with self._lock:
                    report.add(answers)
                if len(answers) < len(batch):
                    raise SignatureInvalid("not every delivery was acknowledged")
        except CredenceError as error:
            self._leave_alone(member_id, error)
            with self._lock:
                report.unreachable[member_id] = error.code
        else:
            with self._lock:
                self._failures.pop(member_id, None)

    def _due(self, member_id: str, consent_id: str | None) -> list[Due]:
        with self._database.read() as connection:
            return consent_outbox.due(
                connection, member_id, self._clock(), BATCH, consent_id=consent_id
            )

    def _exchange(self, member_id: str, batch: Sequence[Due]) -> list[Answer]:
        keys = self._directory().member(member_id).verify_keys(self._clock())
        waiting = {one.delivery.delivery_id: one for one in batch}
        answers: list[Answer] = []
        received: list[Received] = []
        try:
            deliveries = [one.delivery for one in batch]
            for acknowledgement in self._courier.deliver(member_id, deliveries):
                due = waiting.pop(acknowledgement.delivery_id, None)
                if due is None or not 0 <= acknowledgement.effective_at_ms <= MAX_TIME_MS:
                    raise SignatureInvalid("an acknowledgement of nothing that was delivered")
                _verify(acknowledgement, due.delivery, keys)
                if acknowledgement.deletion:
                    verify_deletion(acknowledgement.deletion, member_id, due.consent_id, keys)
                answers.append(self._answer(due, acknowledgement))
                deletion = acknowledgement.deletion or None
                received.append(Received(due.event_id, member_id, self._clock(), deletion))
        finally:
            # What was answered before the line broke counts.
            if answers:
                with self._database.write() as connection:
                    consent_outbox.settle(connection, member_id, answers)
                    deletions.note_received(connection, received)
        return answers

    def _answer(self, due: Due, acknowledgement: Acknowledgement) -> Answer:
        refusal = acknowledgement.refusal
        return Answer(
            event_id=due.event_id,
            refusal=refusal,
            effective_at_ms=acknowledgement.effective_at_ms,
            signature=acknowledgement.signature,
            final=not refusal or _is_final(due.event, refusal),
            retry_at_ms=self._clock() + retry_after_ms(due.refusals),
        )

    def _leave_alone(self, member_id: str, error: CredenceError) -> None:
        with self._lock:
            failures = self._failures.get(member_id, (0, 0))[0] + 1
            pause_ms = min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** min(failures - 1, 10))
            self._failures[member_id] = (failures, self._clock() + pause_ms)
        log.warning("consents.push_failed", peer=member_id, code=error.code, failures=failures)


def _verify(
    acknowledgement: Acknowledgement, delivery: Delivery, keys: Sequence[VerifyKey]
) -> None:
    """Check that the party signed, under a key it may sign with now."""
    for key in keys[:-1]:
        try:
            verify_acknowledgement(acknowledgement, delivery, key)
        except SignatureInvalid:
            continue
        else:
            return
    verify_acknowledgement(acknowledgement, delivery, keys[-1])


def retry_after_ms(refusals: int) -> int:
    """How long a delivery that was refused `refusals` times before waits, milliseconds."""
    return min(MAX_RETRY_MS, FIRST_RETRY_MS * int(2 ** min(refusals, 20)))


def _is_final(event: Event, refusal: str) -> bool:
    # That a consent ended is told until it is heard; only "it has ended here" settles it.
    if event in {Event.WITHDRAW, Event.INVALIDATE}:
        return refusal in SETTLED
    return refusal not in RETRYABLE
