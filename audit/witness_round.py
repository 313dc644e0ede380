"""The heartbeat: a signed head goes to all witnesses at once, under one deadline.

    start     what do you hold of my log?           all witnesses, before anything is served
    beat      here is my head, and how it continues what you have     every `heartbeat_s`

A witness that has another size than was thought says so, and is asked again once; one that holds
more than the log has, or that finds no continuation, is asked what it holds, and then the log
knows that it was put back (`audit.witness_keeper`).
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from audit.verifier.cosignature import CosignatureKey
from audit.witness import Answer
from audit.witness_keeper import LogKeeper
from audit.witness_state import Gate, Operation, Standing
from audit.witness_store import SignedHead
from protocols.errors import CredenceError

HEARTBEAT_S = 60.0
RETRY_S = 5.0
DEADLINE_S = 3.0
_AT_ONCE = 16

log = structlog.get_logger("audit.witness")


class WitnessPeer(Protocol):
    """A witness of another organisation, and the way to it."""

    @property
    def organisation(self) -> str:
        """Who runs it."""
        ...

    @property
    def keys(self) -> Sequence[CosignatureKey]:
        """The keys it may cosign with."""
        ...

    def add_checkpoint(self, body: bytes, timeout_s: float) -> Answer:
        """Its answer to an `add-checkpoint` request; raises a `CredenceError` if there is none."""
        ...

    def latest(self, origin: str, timeout_s: float) -> Sequence[bytes]:
        """The newest note that it holds of each epoch of a log; raises a `CredenceError`."""
        ...


@dataclass(frozen=True, slots=True)
class Beat:
    """What came of one round.

    Attributes:
        size: leaves of the head; None: none was signed.
        cosigned: organisations that cosigned it.
        refused: what others answered, or why there was no answer, by organisation.
        witnessed: whether there are as many as the policy asks for.
    """

    size: int | None = None
    cosigned: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)
    witnessed: bool = False


class Rounds:
    """Asks witnesses for one log; `tick` for one thread at a time."""

    def __init__(
        self,
        keeper: LogKeeper,
        base: str,
        peers: Callable[[], Sequence[WitnessPeer]],
        gate: Gate,
        now_ms: Callable[[], int],
        *,
        heartbeat_s: float = HEARTBEAT_S,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """Keep `keeper`'s log, first named `base`, witnessed by `peers`."""
        self._keeper = keeper
        self._base = base
        self._peers = peers
        self._gate = gate
        self._now_ms = now_ms
        self._heartbeat_ms = int(heartbeat_s * 1000)
        self._retry_ms = int(min(RETRY_S, heartbeat_s) * 1000)
        self._deadline_s = deadline_s
        self._due_ms = 0
        self._sizes: dict[str, int] = {}
        self._told: dict[Operation, Standing] = {}
        self.last = Beat()

    def start(self) -> bool:
        """Before anything is served: open the log's epoch and ask what witnesses hold of it.

        Returns:
            Whether enough of them answered; else `tick` asks again.
        """
        self._keeper.open()
        self._sizes = self._keeper.sizes()
        self._hear(self._peers())
        return self._keeper.heard

    def tick(self) -> None:
        """One round, if it is time for one."""
        if self._now_ms() >= self._due_ms:
            self.beat()
        self._tell()

    def beat(self) -> Beat:
        """One round now."""
        peers = self._peers()
        if not self._keeper.heard:
            self._hear(peers)
        head = self._keeper.sign()
        if head is None:
            self.last = Beat()
        else:
            self.last = self._gather(head, peers)
        # Whose witnesses come themselves, and who has none to ask, waits for the next head.
        met = self.last.witnessed or (head is not None and not peers)
        self._due_ms = self._now_ms() + (self._heartbeat_ms if met else self._retry_ms)
        return self.last

    def _hear(self, peers: Sequence[WitnessPeer]) -> None:
        def ask(peer: WitnessPeer) -> str:
            notes = peer.latest(self._base, self._deadline_s)
            self._keeper.hear(peer.organisation, notes)
            return ""

        self._each(peers, ask)

    def _gather(self, head: SignedHead, peers: Sequence[WitnessPeer]) -> Beat:
        met = threading.Event()

        def ask(peer: WitnessPeer) -> str:
            refusal, witnessed = self._ask(head, peer)
            if witnessed:
                met.set()
            return refusal

        outcomes = self._each(peers, ask)
        return Beat(
            head.checkpoint.size,
            tuple(sorted(name for name, refusal in outcomes.items() if not refusal)),
            {name: refusal for name, refusal in outcomes.items() if refusal},
            met.is_set(),
        )

    def _ask(self, head: SignedHead, peer: WitnessPeer) -> tuple[str, bool]:
        """Why the witness did not cosign, or nothing; and whether the head is witnessed now."""
        size = head.checkpoint.size
        names = [key.name for key in peer.keys]
        old = min(max((self._sizes.get(name, 0) for name in names), default=0), size)
        answer = peer.add_checkpoint(self._keeper.request(head, old), self._deadline_s)
        if answer.status == 409 and (held := _size(answer.body)) is not None and held <= size:
            answer = peer.add_checkpoint(self._keeper.request(head, held), self._deadline_s)
        if answer.status in {409, 422}:  # it holds more, or something else
            self._keeper.hear(peer.organisation, peer.latest(self._base, self._deadline_s))
        if answer.status != 200:
            return f"answered {answer.status}", False
        witnessed = self._keeper.take(head, answer.body, peer.keys)
        for name in names:
            self._sizes[name] = size
        return "", witnessed

    def _each(
        self, peers: Sequence[WitnessPeer], ask: Callable[[WitnessPeer], str]
    ) -> dict[str, str]:
        """Ask all at once; what came of each, by organisation, `late` where nothing did in time."""
        outcomes = {peer.organisation: "late" for peer in peers}
        if not peers:
            return outcomes
        pool = ThreadPoolExecutor(min(_AT_ONCE, len(peers)), thread_name_prefix="witness")
        try:
            asked: dict[Future[str], str] = {
                pool.submit(ask, peer): peer.organisation for peer in peers
            }
            for one in wait(asked, timeout=2 * self._deadline_s).done:
                outcomes[asked[one]] = _outcome(one)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        return outcomes

    def _tell(self) -> None:
        """Log how classes of operations stand, when that changes."""
        now = self._gate.standings()
        for operation, standing in now.items():
            before = self._told.get(operation, Standing.WITNESSED)
            if standing is not before:
                tell = log.info if standing is Standing.WITNESSED else log.warning
                tell("log.standing", operation=operation.value, standing=standing.value)
        self._told = now


def _outcome(done: "Future[str]") -> str:
    error = done.exception()
    if error is None:
        return done.result()
    if isinstance(error, CredenceError):
        return error.code
    log.error("witness.failed", error=type(error).__name__)
    return "failed"


def _size(body: bytes) -> int | None:
    text = body.removesuffix(b"\n")
    return int(text) if text.isdigit() and len(text) <= 19 else None
