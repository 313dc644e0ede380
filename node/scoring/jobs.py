"""Scores that are made later: asked for by a request (one subject) or a batch (many).

What was taken in is in the database before its client is told so, and is worked on until its
deadline whatever crashes in between (`node.scoring.job_runner`).
"""

from collections.abc import Callable
from dataclasses import replace

from audit.database import Connection, Database
from node.scoring.job_states import JobEvent, JobState, after
from node.scoring.requests import IdempotencyKeyReused, ScoreRequest
from node.storage import score_jobs
from node.storage.score_jobs import JobRow, LineRow
from protocols.errors import CredenceError, NotFound, StateConflict
from protocols.identifiers import new_id

MOST_OPEN = {"request": 1000, "batch": 4}  # of one client


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


class ScoreJobs:
    """Takes jobs in and tells how they stand; thread-safe."""

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

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


def _owned(connection: Connection, job_id: str, client_id: str, kind: str) -> JobRow:
    row = score_jobs.find(connection, job_id)
    if row is None or row.client_id != client_id or row.kind != kind:
        raise JobUnknown("this client began nothing by that id, or its results have gone")
    return row
