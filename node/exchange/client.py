"""The recipient's side: ask the holders that a consent names, in parallel, under one deadline.

Each holder is asked over one stream in requests of up to 256 subjects. An answer is believed after
`protocols.envelope.open_answer`: it is for this very request, signed by the holder that was asked,
and sealed to this request's one-use key. A holder that fails or is late costs its own answers
only; the report says so, holder by holder.

What failed for the moment (`CredenceError.retryable`) is tried again a few times before the
deadline, later each time and at no fixed moment, and no sooner than the holder asked for. What was
sent and not answered goes again byte for byte, so that it counts once whatever became of it. A
holder that keeps failing is left alone for a while (`node.exchange.breaker`).
"""

import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from models.catalogue import SignalStatus
from node.exchange.breaker import BreakerLimits, Breakers
from node.exchange.inbox import Inbox
from node.exchange.pipeline import Consented, Pipeline, Sent
from node.exchange.report import FetchReport, HolderReport, Tally
from node.exchange.service import AnswerWithdrawn
from node.network.pairwise import PairKeys
from node.network.rpc_errors import Overloaded, PeerFailed, remote_errors
from node.network.transport import MemberChannels, ready_within
from node.telemetry.measures import Measure
from node.telemetry.telemetry import Telemetry
from protocols.directory import Directory
from protocols.envelope import Limits, Query, new_request, open_answer
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.pseudonyms import query_token
from protocols.suites import strongest
from protocols.v1.exchange_pb2 import SealedAnswer
from protocols.v1.exchange_pb2_grpc import ExchangeStub

WINDOW = 3  # requests under way: one at the holder, one on the wire, one being opened
RETRIES = 3  # streams in a row that may break without an answer
FIRST_PAUSE_S = 0.1  # doubles with every retry in a row
LONGEST_PAUSE_S = 2.0
RECONNECT_S = 5.0
LIFETIME_MS = 60_000
PARALLEL_HOLDERS = 24  # streams; below what one member may have under way at a holder

Progress = Callable[[str, int, int], None]
"""Told (holder, subjects done, subjects asked) after every answer, from several threads."""

log = structlog.get_logger("node.exchange")


class ExchangeClient:
    """Fetches signals from holders; thread-safe."""

    def __init__(
        self,
        *,
        member_id: str,
        signing_key: Callable[[], SigningKey],
        directory: Callable[[], Directory],
        channels: MemberChannels,
        pair_keys: PairKeys,
        inbox: Inbox,
        limits: Limits,
        breakers: Breakers | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._member_id = member_id
        self._key = signing_key
        self._directory = directory
        self._channels = channels
        self._pair_keys = pair_keys
        self._inbox = inbox
        self._limits = limits
        self._breakers = breakers or Breakers(BreakerLimits(), time.monotonic)
        self._telemetry = telemetry or Telemetry()
        self._threads = ThreadPoolExecutor(PARALLEL_HOLDERS, thread_name_prefix="fetch")

    def fetch(
        self,
        people: Sequence[Consented],
        *,
        purpose: str,
        deadline_s: float,
        signals: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> FetchReport:
        """Ask every holder that the consents name, and keep what comes.

        Args:
            people: consents as this node keeps them; each is asked of its own holders, except
                this node itself.
            purpose: `score`, `train` or `monitor`.
            deadline_s: over all holders together, seconds.
            signals: ids wanted; empty: all that the consents grant.
            progress: see `Progress`.

        Returns:
            What each holder came to; a holder's failure is in its report, not raised.

        Raises:
            NotJoined: this node is not a member yet.
        """
        self._directory()
        by_holder: dict[str, list[Consented]] = {}
        for person in people:
            for holder in person.holders - {self._member_id}:
                by_holder.setdefault(holder, []).append(person)
        ends_at = time.monotonic() + deadline_s
        asked = [
            self._threads.submit(
                self._ask_holder, holder, mine, purpose, tuple(signals), ends_at, progress
            )
            for holder, mine in sorted(by_holder.items())
        ]
        return FetchReport(purpose, tuple(future.result() for future in asked))

    def close(self) -> None:
        """End the threads; fetches under way finish first."""
        self._threads.shutdown(wait=True)

    def _ask_holder(
        self,
        holder: str,
        people: Sequence[Consented],
        purpose: str,
        signals: Sequence[str],
        ends_at: float,
        progress: Progress | None,
    ) -> HolderReport:
        began = time.perf_counter()
        tally = Tally(holder, len(people))
        try:
            requests = self._requests(holder, people, purpose, signals)
            for sent, answer in self._converse(holder, requests, ends_at):
                self._take(sent, answer, tally)
                if progress is not None:
                    progress(holder, tally.done, tally.asked)
        except CredenceError as error:
            tally.error = error.code
            log.warning("exchange.incomplete", holder=holder, code=error.code)
        taken = time.perf_counter() - began
        status = tally.error or "answered"
        self._telemetry.measures.observe(Measure.FETCH_SECONDS, taken, holder, status)
        return tally.report()

    def _requests(
        self, holder: str, people: Sequence[Consented], purpose: str, signals: Sequence[str]
    ) -> Iterator[Sent]:
        """Signed requests, made as they are drawn so that none is old when it is sent."""
        # One pair of keys for the whole conversation, whatever is replaced meanwhile.
        key, pair_key = self._key(), self._pair_keys.with_member(holder)
        directory = self._directory()
        suite_number = strongest(
            directory.member(self._member_id).suites, directory.member(holder).suites
        )
        for start in range(0, len(people), self._limits.max_queries):
            some = people[start : start + self._limits.max_queries]
            queries = [
                Query(one.consent_hash, query_token(pair_key, one.pseudonym, one.consent_hash))
                for one in some
            ]
            request = new_request(
                sender=self._member_id,
                holder=holder,
                purpose=purpose,
                queries=queries,
                now_ms=_now_ms(),
                key=key,
                signals=signals,
                lifetime_ms=LIFETIME_MS,
                suite_number=suite_number,
                limits=self._limits,
            )
            yield Sent(some, request)

    def _converse(
        self, holder: str, requests: Iterator[Sent], ends_at: float
    ) -> Iterator[tuple[Sent, SealedAnswer]]:
        """Requests with their answers, over as many streams as it takes."""
        breaker = self._breakers.of(holder)
        again: list[Sent] = []
        failures = 0
        while True:
            breaker.admit()
            pipeline = Pipeline(itertools.chain(again, requests), WINDOW)
            answered, outcome = 0, None
            try:
                channel = self._channels.to_member(holder)  # the way there may have changed
                for sent, answer in _stream(ExchangeStub(channel), holder, pipeline, ends_at):
                    answered += 1
                    yield sent, answer
            except AnswerWithdrawn as error:
                # A consent ended since these bytes were first answered: they are not sent again.
                outcome, again = None, pipeline.close()[1:]
                log.warning("exchange.not_answered", holder=holder, code=error.code)
            except CredenceError as error:
                outcome, again = error, pipeline.close()
                failures = 1 if answered else failures + 1
                if failures > RETRIES or not _pause(error, failures, ends_at):
                    raise
                # Whoever answered a moment ago is given time to come back, others are not.
                wait_s = min(RECONNECT_S, ends_at - time.monotonic()) if answered else 0.0
                if not ready_within(channel, wait_s):
                    raise
            else:
                return
            finally:
                pipeline.close()
                breaker.note(outcome)

    def _take(self, sent: Sent, answer: SealedAnswer, tally: Tally) -> None:
        opened = open_answer(sent.request, answer, self._directory(), self._limits)
        received = self._inbox.store(sent, opened, _now_ms())
        tally.request_ms.append((time.monotonic() - sent.sent_at) * 1000)
        tally.answered += sum(1 for one in received if not one.refusal)
        tally.refused.update(one.refusal for one in received if one.refusal)
        tally.signals.update(
            SignalStatus(status).name.lower()
            for one in received
            if one.vector is not None
            for status, _ in one.vector.signals.values()
        )


def _stream(
    stub: ExchangeStub, holder: str, pipeline: Pipeline, ends_at: float
) -> Iterator[tuple[Sent, SealedAnswer]]:
    left_s = max(0.001, ends_at - time.monotonic())
    with remote_errors(holder):
        answers: Iterable[SealedAnswer] = stub.FetchBatch(pipeline.messages(), timeout=left_s)
        for answer in answers:
            yield pipeline.answered(), answer
    if pipeline.close():
        raise PeerFailed(f"{holder} ended the stream before it had answered")


def _pause(error: CredenceError, failures: int, ends_at: float) -> bool:
    """Wait before a retry; False when there is to be none: for good, or not before the deadline."""
    if not error.retryable:
        return False
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (failures - 1))
    pause_s = random.uniform(longest / 2, longest)  # noqa: S311 - spreads callers, protects nothing
    if isinstance(error, Overloaded):
        pause_s += error.retry_after_ms / 1000
    if time.monotonic() + pause_s >= ends_at:
        return False
    time.sleep(pause_s)
    return True


def _now_ms() -> int:
    return int(time.time() * 1000)
