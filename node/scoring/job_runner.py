"""Works on jobs: begins their lines, writes down what became of them, ends them.

Each line is one score call (`node.scoring.group`) under a key of its own, so that a line whose
score was made right before a crash gets that very score after it, never a second one. Requests go
before batches, and a line that waits for its holders keeps no other waiting.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import Any, Protocol

from audit.database import Connection, Database
from node.scoring.job_states import JobEvent, JobState, after
from node.scoring.requests import Scored, ScoreRequest
from node.storage import score_jobs
from node.storage.score_jobs import JobRow, LineRow
from protocols.errors import CredenceError

WINDOW = 32  # lines under way at a time: half a group is left to who waits for an answer
ATTEMPTS = 6  # of a line that fails for want of something, such as a model; then it is refused
REST_MS = 1_000  # before the second attempt; twice as long before each further one
TURN_S = 1.0  # how long one `step` works
RESULTS_LIVE_MS = 7 * 86_400 * 1000
RECEIVING_MS = 120_000

Key = tuple[str, int]


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


class JobRunner:
    """Works on jobs, in one thread."""

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
