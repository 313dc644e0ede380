"""Batches: JSON lines in, JSON lines out.

A line in is `{"subject": ..., "consent_id": ...}`. Limits hold while bytes come, before anything is
parsed:

1. the whole is at most `MAX_BYTES`;
2. a line is at most `MAX_LINE_BYTES`, with nothing nested;
3. there are at most `MAX_LINES`, and at least one;
4. every line is what it must be, else the batch is refused whole, with the line's number.

A line out says what became of the line in of the same number: `score`, the answer as for a single
call, checked and logged as any reading; or `error`, the stable code. Lines go out in order, each
once as the cursor moves, as soon as all before them are done.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import orjson

from node.scoring.job_states import JobState
from node.scoring.jobs import ScoreJobs
from node.scoring.reading import ScoreReader
from node.scoring.requests import IdempotencyKeyReused, Scored, ScoreRequest
from node.storage.score_jobs import JobRow, LineRow
from protocols.canonical import canonical_json, parse_json
from protocols.errors import InvalidInput, Malformed

MAX_BYTES = 16 * 1024 * 1024
MAX_LINE_BYTES = 512
MAX_LINES = 100_000
PAGE = 500
_STORED_AT_ONCE = 1000
_REFERENCE = re.compile(r"[!-~]{1,40}")


class BatchInvalid(InvalidInput):
    """A batch is not JSON lines of subjects and consents, or over its limits."""

    code = "batch_invalid"
    next_step = "Correct the line named in the message and send the batch again."


class Intake:
    """Takes one batch in, chunk by chunk as it comes; used by one thread at a time."""

    def __init__(self, jobs: ScoreJobs, asked: ScoreRequest, deadline_ms: int) -> None:
        """Begin.

        Args:
            jobs: where the batch goes.
            asked: its client, purpose, product, language and idempotency key.
            deadline_ms: how long it may take.

        Raises:
            InvalidInput, TooManyJobs, JobInFlight: it is not taken in.
        """
        asked.check()
        self._jobs = jobs
        self._known = jobs.known_batch(asked.client_id, asked.idempotency_key)
        self._row = self._known or jobs.receive(asked, deadline_ms)
        self._sha256 = hashlib.sha256(
            canonical_json([asked.purpose, asked.product, asked.language])
        )
        self._bytes = 0
        self._count = 0
        self._rest = b""
        self._lines: list[LineRow] = []

    def feed(self, chunk: bytes) -> None:
        """Take more bytes.

        Raises:
            BatchInvalid: checks 1 to 4; the batch is to be abandoned.
        """
        self._bytes += len(chunk)
        if self._bytes > MAX_BYTES:  # 1
            raise BatchInvalid(f"a batch is at most {MAX_BYTES} bytes")
        self._sha256.update(chunk)
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            self._take(line)
        if len(self._rest) > MAX_LINE_BYTES:  # 2
            raise BatchInvalid(f"line {self._count + 1}: over {MAX_LINE_BYTES} bytes")

    def close(self) -> tuple[JobRow, bool]:
        """All bytes are here: the batch is worked on from now on; and whether it was known.

        Raises:
            BatchInvalid: checks 3 and 4 of what was left.
            IdempotencyKeyReused: the key stands for another batch.
        """
        if self._rest:
            self._take(self._rest)
        if not self._count:  # 3
            raise BatchInvalid("a batch holds at least one line")
        digest = self._sha256.digest()
        if self._known is not None:
            if self._known.request_sha256 != digest:
                raise IdempotencyKeyReused("this idempotency key stands for another batch")
            return self._known, True
        self._store()
        return self._jobs.received(self._row, self._count, digest), False

    def abandon(self) -> None:
        """Forget what was taken in."""
        if self._known is None:
            self._jobs.abandon(self._row)

    def _take(self, line: bytes) -> None:
        self._count += 1
        if self._count > MAX_LINES:  # 3
            raise BatchInvalid(f"a batch holds at most {MAX_LINES} lines")
        subject, consent_id = _parsed(line.removesuffix(b"\r"), self._count)
        if self._known is None:
            self._lines.append(LineRow(self._row.job_id, self._count, subject, consent_id))
            if len(self._lines) >= _STORED_AT_ONCE:
                self._store()

    def _store(self) -> None:
        if self._lines:
            self._jobs.add_lines(self._lines)
        self._lines = []


@dataclass(frozen=True, slots=True)
class Results:
    """Some lines of what became of a batch.

    Attributes:
        body: JSON lines.
        cursor: number of the last line in it, for the next call.
        more: whether lines are still to come.
        waiting: whether the next ones are still being worked on.
    """

    body: bytes
    cursor: int
    more: bool
    waiting: bool


class BatchResults:
    """Tells what became of batches; thread-safe."""

    def __init__(self, jobs: ScoreJobs, reader: ScoreReader) -> None:
        self._jobs = jobs
        self._reader = reader

    def page(self, job: JobRow, cursor: int, limit: int = PAGE) -> Results:
        """Lines after number `cursor` that are done, in order and without a gap.

        Of a batch that ended before its lines were done, those left say so.
        """
        found = self._jobs.lines(job, cursor, limit + 1)
        ended = job.state not in {JobState.OPEN, JobState.RECEIVING}
        told = []
        for line in found[:limit]:
            if line.open and not ended:
                break
            told.append(line)
        ids = [line.score_id for line in told if line.score_id is not None]
        read = self._reader.read_many(ids, job.client_id) if ids else {}
        out = [_out(line, read.get(line.score_id or ""), str(job.state)) for line in told]
        more = len(found) > len(told)
        return Results(
            body=b"".join(orjson.dumps(one) + b"\n" for one in out),
            cursor=told[-1].line if told else cursor,
            more=more,
            waiting=more and len(told) < limit,
        )


def _parsed(line: bytes, number: int) -> tuple[str, str]:
    """Checks 2 and 4 of one line."""
    try:
        value = parse_json(line, max_bytes=MAX_LINE_BYTES, max_depth=1)
    except (Malformed, InvalidInput):
        raise BatchInvalid(f"line {number}: not a flat JSON object of at most {MAX_LINE_BYTES} "
                           "bytes") from None  # fmt: skip
    if not isinstance(value, dict) or set(value) != {"subject", "consent_id"}:
        raise BatchInvalid(f"line {number}: needs `subject` and `consent_id`, nothing else")
    subject, consent_id = value["subject"], value["consent_id"]
    if not all(isinstance(one, str) and _REFERENCE.fullmatch(one) for one in (subject, consent_id)):
        raise BatchInvalid(f"line {number}: references are 1 to 40 visible ASCII characters")
    return subject, consent_id


def _out(line: LineRow, read: object, state: str) -> dict[str, Any]:
    said = {"line": line.line, "subject": line.subject_ref, "consent_id": line.consent_id}
    if isinstance(read, Scored):
        return said | {"score": orjson.Fragment(read.body)}
    code = getattr(read, "code", None) or line.code or f"batch_{state}"
    return said | {"error": {"code": code}}
