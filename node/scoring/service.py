"""Score calls of API clients: taken at any time, answered in groups, holders asked in between."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from node.group_commit import GroupCommit
from node.scoring.group import Answered, Ask, Asked, Call, ScoreGroups
from node.scoring.reading import ScoreReader
from node.scoring.requests import IdempotencyKeyReused, Scored, ScoreRequest
from node.scoring.sources import ScoreSources
from node.telemetry.measures import Measure
from node.telemetry.telemetry import Telemetry
from protocols.errors import CredenceError

MOST = 64  # calls in one group: it holds the write lock while it is answered
# A group at work and the event loop take the interpreter away from each other. So of a crowd nearly
# all are waited for: first the loop reads them, then they are scored.
GATHER_S, MOST_OF_IT = 0.012, 0.9
ASKING = 16  # calls that ask holders at a time; each waits up to the deadline for them


class ScoringService:
    """Scores subjects; thread-safe.

    A call takes its turn in a group (`node.scoring.group`, where the checks are). One whose holders
    have to be asked leaves it, asks, and takes another turn: nobody waits for others' holders.
    """

    def __init__(
        self,
        groups: ScoreGroups,
        reader: ScoreReader,
        sources: ScoreSources,
        admit: Callable[[], None] = lambda: None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Score with these parts.

        Args:
            groups: answers groups of calls.
            reader: reads scores again.
            sources: asks holders.
            admit: raises while no score may be given out at all.
            telemetry: told how long each call took.
        """
        self._groups = groups
        self._reader = reader
        self._sources = sources
        self._admit = admit
        self._telemetry = telemetry or Telemetry()
        self._turns = GroupCommit[Call, Answered](
            self._groups.answer, MOST, gather_s=GATHER_S, most=MOST_OF_IT
        )
        self._asking = ThreadPoolExecutor(ASKING, thread_name_prefix="asking")
        self._lock = threading.Lock()
        self._asking_now = 0
        self._under_way: dict[tuple[str, str], tuple[bytes, Future[Scored]]] = {}

    def score(self, request: ScoreRequest) -> Scored:
        """Score a subject; waits. See `begin`."""
        return self.begin(request).result()

    def begin(self, request: ScoreRequest) -> Future[Scored]:
        """Score a subject; the checks are those of `node.scoring.group`.

        The future's result, or what it raises:
            UnknownSubject: 1.
            ReleaseRefused: 2, one class a reason.
            InsufficientData: 4.
            NoModel, BundleInvalid, SignatureInvalid: 5.
            IdempotencyKeyReused: the key stands for another request.
            DatabaseUnavailable: nothing could be recorded, so nothing is answered.

        Raises:
            InvalidInput: a field of the wrong form.
            LogUnwitnessed, LogQuarantined: no score may be given out now.
        """
        request.check()
        self._admit()
        given: Future[Scored] = Future()
        given.set_running_or_notify_cancel()  # who asked may go; what was begun is finished
        began = time.perf_counter()
        given.add_done_callback(lambda done: self._measure(done, began))
        first = self._first(request, given)
        if first is not None:
            first.add_done_callback(lambda done: _repeat(done, given))
        else:
            self._take_turn(Call(request), given)
        return given

    def read(self, score_id: str, client_id: str) -> Scored:
        """A score that the client was given before; see `ScoreReader.read`."""
        return self._reader.read(score_id, client_id)

    def check_model(self) -> str:
        """The version of the model in use; see `ScoreReader.check_model`."""
        return self._reader.check_model()

    def depths(self) -> dict[str, int]:
        """How many calls wait: for their group, and to ask holders or while they are asked."""
        return {"group": self._turns.waiting, "holders": self._asking_now}

    def close(self) -> None:
        """Answer who waits, then end the threads."""
        self._asking.shutdown()
        self._turns.close()

    def _measure(self, done: Future[Scored], began: float) -> None:
        taken = time.perf_counter() - began
        self._telemetry.measures.observe(Measure.SCORE_SECONDS, taken, _outcome(done))

    def _first(self, request: ScoreRequest, given: Future[Scored]) -> Future[Scored] | None:
        """The same call of the same client, when it is under way; else this one is from now on."""
        named = request.named
        if named is None:
            return None
        digest = request.digest()
        with self._lock:
            known, first = self._under_way.setdefault(named, (digest, given))
        if known != digest:
            raise IdempotencyKeyReused("this idempotency key stands for another request")
        if first is not given:
            return first
        given.add_done_callback(lambda _: self._under_way.pop(named))
        return None

    def _take_turn(self, call: Call, given: Future[Scored]) -> None:
        turn = self._turns.submit_later(call)
        turn.add_done_callback(lambda over: self._over(call, over, given))

    def _over(self, call: Call, turn: Future[Answered], given: Future[Scored]) -> None:
        error = turn.exception()
        if error is not None:
            given.set_exception(error)
            return
        outcome = turn.result()
        if isinstance(outcome, Ask):
            with self._lock:
                self._asking_now += 1
            self._asking.submit(self._ask, call, outcome, given)
        else:
            given.set_result(outcome)

    def _ask(self, call: Call, ask: Ask, given: Future[Scored]) -> None:
        try:
            with self._telemetry.tracer.span("score.ask"):
                reports = self._sources.ask(ask.person, ask.purpose)
        except Exception as error:  # noqa: BLE001 - it is whose future it is
            given.set_exception(error)
            return
        finally:
            with self._lock:
                self._asking_now -= 1
        self._take_turn(Call(call.request, Asked(ask.person.consent_hash, reports)), given)


def _outcome(done: Future[Scored]) -> str:
    error = done.exception()
    if error is None:
        return "repeated" if done.result().repeated else "given"
    refused = isinstance(error, CredenceError) and error.category not in {"internal", "unavailable"}
    return "refused" if refused else "failed"


def _repeat(first: Future[Scored], given: Future[Scored]) -> None:
    error = first.exception()
    if error is not None:
        given.set_exception(error)
    else:
        scored = first.result()
        given.set_result(Scored(scored.score_id, scored.body, repeated=True))
