"""Scores that are made later: asked for by a request (one subject) or a batch (many).

What was taken in is in the database before its client is told so, and is worked on until its
deadline whatever crashes in between. Each line is one score call (`node.scoring.group`) under a key
of its own, so that a line whose score was made right before a crash gets that very score after it,
never a second one. Requests go before batches; nobody waits for others' holders.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import Any, Protocol

from audit.database import Connection, Database
from node.scoring.job_states import JobEvent, JobState, after
from node.scoring.requests import IdempotencyKeyReused, Scored, ScoreRequest
from node.storage import score_jobs
from node.storage.score_jobs import JobRow, LineRow
from protocols.errors import CredenceError, NotFound, StateConflict
from protocols.identifiers import new_id

WINDOW = 32  # lines under way at a time: half a group is left to who waits for an answer
ATTEMPTS = 6  # of a line that fails for want of something, such as a model; then it is refused
REST_MS = 1_000  # before the second attempt; twice as long before each further one
TURN_S = 1.0  # how long one `step` works
RESULTS_LIVE_MS = 7 * 86_400 * 1000
MOST_OPEN = {"request": 1000, "batch": 4}  # of one client
RECEIVING_MS = 120_000


class JobUnknown(NotFound):
    """This client began no such request or batch, or its results have gone."""

    code = "job_unknown"
    next_step = "Results are kept for 7 days; ask again with a new request or batch."


class TooManyJobs(CredenceError):
    """This client has as many requests or batches open as it may."""

    code = "too_many_jobs"
    category = "conflict"
    retryable = True
    next_step = "Wait until some are done, or cancel them."


class JobInFlight(StateConflict):
    """The lines of this batch are still coming, by another call with this idempotency key."""

    code = "job_in_flight"
    retryable = True


class Scores(Protocol):
    """Makes scores; `node.scoring.service.ScoringService` does."""

    def begin(self, request: ScoreRequest) -> Future[Scored]:
        """Score a subject."""
        ...


class Emit(Protocol):
    """Tells a client something, in the caller's transaction; `node.webhooks.outbox.Outbox.emit`."""

    def __call__(
        self,
        connection: Connection,
        client_id: str,
        type: str,  # noqa: A002
        data: dict[str, Any],
    ) -> object:
        """Tell it."""
        ...


Key = tuple[str, int]


class ScoreJobs:
    """Takes jobs in, works on them, tells how they stand; `step` runs in one thread."""

    def __init__(
        self, database: Database, scores: Scores, emit: Emit, now_ms: Callable[[], int]
    ) -> None:
        """Work with these parts.

        Args:
            database: where jobs are kept.
            scores: makes the scores.
            emit: tells clients that a job ended.
            now_ms: UTC milliseconds.
        """
        self._database = database
        self._scores = scores
        self._emit = emit
        self._now_ms = now_ms
        self._under_way: dict[Key, Future[Scored]] = {}
        self._failed: dict[Key, tuple[int, int]] = {}  # line -> (attempts, rests until)
        self._since: dict[str, int] = {}  # job -> no line before this one is open

    # -- taking in

    def request(self, asked: ScoreRequest, deadline_ms: int) -> tuple[JobRow, bool]:
        """Take in a request for one score; the job, and whether it was there before.

        Args:
            asked: the call; a repeated `idempotency_key` finds the first call's job.
            deadline_ms: how long it may take.

        Raises:
            InvalidInput: a field of the wrong form.
            IdempotencyKeyReused: the key stands for another request.
            TooManyJobs: the client has too many open.
        """
        asked.check()
        row = self._row("request", "srq", asked, JobState.OPEN, deadline_ms)
        row = replace(row, total=1, request_sha256=asked.digest())
        with self._database.write() as connection:
            known = self._same(connection, row)
            if known is not None:
                return known, True
            self._admit(connection, row)
            score_jobs.add(connection, row)
            line = LineRow(row.job_id, 1, asked.subject_ref, asked.consent_id)
            score_jobs.add_lines(connection, [line])
        return row, False

    def receive(self, asked: ScoreRequest, deadline_ms: int) -> JobRow:
        """Begin a batch whose lines are about to come; see `node.scoring.batches`.

        Raises:
            InvalidInput, TooManyJobs: as `request`.
            JobInFlight: one under the same key is being received.
        """
        asked.check()
        row = self._row("batch", "bat", asked, JobState.RECEIVING, deadline_ms)
        with self._database.write() as connection:
            self._admit(connection, row)
            if row.idempotency_key is not None and score_jobs.under_key(
                connection, row.client_id, row.idempotency_key
            ):
                raise JobInFlight("a batch under this key is being received")
            score_jobs.add(connection, row)
        return row

    def known_batch(self, client_id: str, key: str | None) -> JobRow | None:
        """The batch that a client began under a key before, all its lines here; or None.

        Raises:
            JobInFlight: its lines are still coming.
        """
        if key is None:
            return None
        with self._database.read() as connection:
            row = score_jobs.under_key(connection, client_id, key)
        if row is not None and row.state == JobState.RECEIVING:
            raise JobInFlight("a batch under this key is being received")
        return row

    def add_lines(self, lines: list[LineRow]) -> None:
        """Store lines of a batch that is being received."""
        with self._database.write() as connection:
            score_jobs.add_lines(connection, lines)

    def received(self, row: JobRow, total: int, digest: bytes) -> JobRow:
        """All lines of a batch are here: it is worked on from now on.

        Raises:
            JobEnded: it took too long and was given up.
        """
        state = after(JobState(row.state), JobEvent.RECEIVED)
        done = replace(row, state=state, total=total, request_sha256=digest)
        with self._database.write() as connection:
            if not score_jobs.change(
                connection, row.job_id, row.state, state=state, total=total, request_sha256=digest
            ):
                raise JobUnknown("this batch took too long to arrive and was given up")
        return done

    def abandon(self, row: JobRow) -> None:
        """Forget a batch that was not received whole."""
        with self._database.write() as connection:
            score_jobs.drop(connection, [row.job_id])

    # -- telling

    def find(self, job_id: str, client_id: str, kind: str) -> JobRow:
        """A job of this client.

        Raises:
            JobUnknown: it has none by that id.
        """
        with self._database.read() as connection:
            return _owned(connection, job_id, client_id, kind)

    def lines(self, row: JobRow, after_line: int, limit: int) -> list[LineRow]:
        """Lines of a job, in order."""
        with self._database.read() as connection:
            return score_jobs.lines_after(connection, row.job_id, after_line, limit)

    def cancel(self, job_id: str, client_id: str, kind: str) -> JobRow:
        """End a job; lines under way are finished, no other is begun. Twice is as once.

        Raises:
            JobUnknown: the client has none by that id.
            JobEnded: it has ended by itself.
        """
        with self._database.write() as connection:
            row = _owned(connection, job_id, client_id, kind)
            state = after(JobState(row.state), JobEvent.CANCEL)
            if state != row.state:
                values = {"state": state, "ended_at_ms": self._now_ms()}
                score_jobs.change(connection, job_id, row.state, **values)
            return _owned(connection, job_id, client_id, kind)

    # -- working

    def step(self) -> None:
        """One turn: begin lines, write down what became of others, until little is left to do.

        Raises:
            DatabaseUnavailable: nothing is lost; the next turn goes on.
        """
        until_ms = self._now_ms() + int(TURN_S * 1000)
        while True:
            self._write_down()
            self._begin()
            if not self._under_way or self._now_ms() >= until_ms:
                return
            # Fast lines end together; slow ones must not keep others waiting.
            wait(self._under_way.values(), timeout=0.05)

    def tidy(self) -> None:
        """Forget batches that stopped coming, and results that nobody fetched in their time."""
        now_ms = self._now_ms()
        with self._database.write() as connection:
            gone = score_jobs.over(connection, now_ms - RECEIVING_MS, now_ms - RESULTS_LIVE_MS)
            if gone:
                score_jobs.drop(connection, gone)
        for job_id in gone:
            self._since.pop(job_id, None)

    def _begin(self) -> None:
        now_ms = self._now_ms()
        with self._database.read() as connection:
            jobs = score_jobs.in_state(connection, JobState.OPEN)
            begun = list(self._next(connection, jobs, now_ms))
            busy = {job_id for job_id, _ in self._under_way} | {job.job_id for job, _ in begun}
            over = [
                job
                for job in jobs
                if now_ms >= job.deadline_at_ms
                or (
                    job.job_id not in busy
                    and not score_jobs.open_lines(connection, job.job_id, 1, 1)
                )
            ]
        for job, line in begun:
            self._under_way[line.job_id, line.line] = self._begun(_asked(job, line))
        if over:
            with self._database.write() as connection:
                for job in over:
                    event = JobEvent.DEADLINE if now_ms >= job.deadline_at_ms else JobEvent.DONE
                    self._end(connection, job.job_id, event)

    def _next(
        self, connection: Connection, jobs: list[JobRow], now_ms: int
    ) -> Iterator[tuple[JobRow, LineRow]]:
        free = WINDOW - len(self._under_way)
        for job in jobs:
            if free <= 0:
                return
            if now_ms >= job.deadline_at_ms:
                continue
            taken = sum(
                1 for job_id, _ in (*self._under_way, *self._failed) if job_id == job.job_id
            )
            found = score_jobs.open_lines(
                connection, job.job_id, self._since.get(job.job_id, 1), free + taken
            )
            if found:
                self._since[job.job_id] = found[0].line
            for line in found:
                key = (line.job_id, line.line)
                if key in self._under_way or self._failed.get(key, (0, 0))[1] > now_ms:
                    continue
                if free > 0:
                    free -= 1
                    yield job, line

    def _begun(self, asked: ScoreRequest) -> Future[Scored]:
        try:
            return self._scores.begin(asked)
        except CredenceError as error:  # no score may be given out at all now
            refused: Future[Scored] = Future()
            refused.set_exception(error)
            return refused

    def _write_down(self) -> None:
        done = {key: future for key, future in self._under_way.items() if future.done()}
        if not done:
            return
        now_ms = self._now_ms()
        again: dict[Key, tuple[int, int]] = {}
        with self._database.write() as connection:
            for (job_id, line), future in done.items():
                error = future.exception()
                if error is None:
                    score_jobs.end_line(connection, job_id, line, future.result().score_id, None)
                    continue
                attempts = self._failed.get((job_id, line), (0, 0))[0] + 1
                if _may_pass(error) and attempts < ATTEMPTS:
                    rest_ms = REST_MS << (attempts - 1)
                    again[job_id, line] = (attempts, now_ms + rest_ms)
                    continue
                code = error.code if isinstance(error, CredenceError) else "internal"
                score_jobs.end_line(connection, job_id, line, None, code)
            for job_id in {job_id for job_id, _ in done}:
                self._end_if_done(connection, job_id)
        for key in done:
            del self._under_way[key]
            self._failed.pop(key, None)
        self._failed |= again

    def _end_if_done(self, connection: Connection, job_id: str) -> None:
        if not score_jobs.open_lines(connection, job_id, self._since.get(job_id, 1), 1):
            self._end(connection, job_id, JobEvent.DONE)

    def _end(self, connection: Connection, job_id: str, event: JobEvent) -> None:
        row = score_jobs.find(connection, job_id)
        if row is None or row.state != JobState.OPEN:
            return  # cancelled meanwhile
        state = after(JobState.OPEN, event)
        score_jobs.change(connection, job_id, row.state, state=state, ended_at_ms=self._now_ms())
        self._since.pop(job_id, None)
        first = score_jobs.lines_after(connection, job_id, 0, 1)
        told: dict[str, Any] = {"state": str(state)}
        if row.kind == "request":
            line = first[0] if first else None
            told |= {"request_id": job_id, "score_id": line.score_id if line else None,
                     "code": line.code if line else None}  # fmt: skip
        else:
            told |= {"batch_id": job_id, "total": row.total, "scored": row.scored,
                     "refused": row.refused}  # fmt: skip
        kind = "score_request.completed" if row.kind == "request" else "batch.completed"
        self._emit(connection, row.client_id, kind, told)

    def _row(
        self, kind: str, prefix: str, asked: ScoreRequest, state: JobState, deadline_ms: int
    ) -> JobRow:
        now_ms = self._now_ms()
        return JobRow(
            job_id=new_id(prefix),
            client_id=asked.client_id,
            kind=kind,
            state=state,
            purpose=asked.purpose,
            product=asked.product,
            language=asked.language,
            total=0,
            scored=0,
            refused=0,
            created_at_ms=now_ms,
            deadline_at_ms=now_ms + deadline_ms,
            ended_at_ms=None,
            idempotency_key=asked.idempotency_key,
            request_sha256=bytes(32),
        )

    def _same(self, connection: Connection, row: JobRow) -> JobRow | None:
        if row.idempotency_key is None:
            return None
        known = score_jobs.under_key(connection, row.client_id, row.idempotency_key)
        if known is not None and known.request_sha256 != row.request_sha256:
            raise IdempotencyKeyReused("this idempotency key stands for another request")
        return known

    def _admit(self, connection: Connection, row: JobRow) -> None:
        states = (JobState.OPEN, JobState.RECEIVING)
        held = score_jobs.count(connection, row.client_id, row.kind, states)
        if held >= MOST_OPEN[row.kind]:
            raise TooManyJobs(f"{held} are open; at most {MOST_OPEN[row.kind]} at a time")


def _asked(job: JobRow, line: LineRow) -> ScoreRequest:
    return ScoreRequest(
        subject_ref=line.subject_ref,
        consent_id=line.consent_id,
        purpose=job.purpose,
        client_id=job.client_id,
        language=job.language,
        idempotency_key=f"{line.job_id}_{line.line}",
        product=job.product,
    )


def _may_pass(error: BaseException) -> bool:
    """Whether it failed for want of something that may come by itself."""
    return isinstance(error, CredenceError) and error.category == "unavailable"


def _owned(connection: Connection, job_id: str, client_id: str, kind: str) -> JobRow:
    row = score_jobs.find(connection, job_id)
    if row is None or row.client_id != client_id or row.kind != kind:
        raise JobUnknown("this client began nothing by that id, or its results have gone")
    return row
