"""One bulk enrolment: batches under way side by side, trustees replaced when they fail.

A trustee that is down, over quota, or returns a wrong proof is left out and another is asked; what
was wrong with whom is reported. One that does not answer may come back: it is asked again when
there are not enough others. One that proved false or has no quota left is not asked again.
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import structlog

from node.enrolment.trustees import Evaluator
from node.enrolment.workers import Workers
from protocols.ceremony import PseudonymKey
from protocols.enrolment import Evaluated, joined
from protocols.errors import CredenceError, Unavailable
from protocols.oprf import Blinded, ProofInvalid

BATCH = 1024  # of at most `oprf.MAX_BATCH`: about half a second of one core in all

log = structlog.get_logger("node.enrolment")


class TrusteesUnavailable(Unavailable):
    """Fewer trustees than the threshold answered as they should; what was done so far is kept."""

    code = "trustees_unavailable"
    next_step = "Bring the trustees named back, then start again: only who is missing is asked for."


class Run:
    """An enrolment under one key. `failed` says which trustees were left out, and why (codes)."""

    def __init__(
        self, key: PseudonymKey, evaluator: Evaluator, workers: Workers, *, side_by_side: int = 4
    ) -> None:
        """Prepare.

        Args:
            key: of the epoch.
            evaluator: reaches the trustees.
            workers: do the arithmetic.
            side_by_side: batches under way at one time.
        """
        self._key = key
        self._evaluator = evaluator
        self._workers = workers
        self._side_by_side = side_by_side
        self._shares = {key.index(n): share for n, share in key.verification_shares.items()}
        self._lock = threading.Lock()
        self._out: set[str] = set()  # not to be asked again
        self.failed: dict[str, str] = {}

    def enrol(self, inputs: Sequence[bytes]) -> Iterator[tuple[int, Sequence[bytes]]]:
        """Pseudonyms of OPRF inputs, batch by batch as they are done: (first place, pseudonyms).

        Raises:
            TrusteesUnavailable: a batch found too few trustees.
        """
        starts = iter(range(0, len(inputs), BATCH))
        askers = self._side_by_side * self._key.threshold
        with (
            ThreadPoolExecutor(self._side_by_side, "enrol") as batches,
            ThreadPoolExecutor(askers, "enrol-ask") as asking,
        ):
            pending: dict[Future[Sequence[bytes]], int] = {}

            def submit() -> None:
                start = next(starts, None)
                if start is not None:
                    batch = inputs[start : start + BATCH]
                    pending[batches.submit(self._batch, start // BATCH, batch, asking)] = start

            for _ in range(self._side_by_side):
                submit()
            try:
                while pending:
                    done, _ = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        start = pending.pop(future)
                        submit()
                        yield start, future.result()
            finally:
                for future in pending:
                    future.cancel()

    def _batch(
        self, number: int, inputs: Sequence[bytes], asking: ThreadPoolExecutor
    ) -> Sequence[bytes]:
        blinded = self._workers.blind(inputs)
        untried = self._order(number)
        good: dict[str, Evaluated] = {}
        verified: frozenset[int] = frozenset()
        while True:
            self._ask(blinded, untried, good, asking)
            finished = self._workers.finish(blinded, self._shares, [*good.values()], verified)
            if not finished.wrong:
                return finished.pseudonyms
            for name in [n for n, one in good.items() if one.index in finished.wrong]:
                del good[name]
                self._leave_out(name, ProofInvalid.code, for_good=True)
            verified = frozenset(one.index for one in good.values())

    def _ask(
        self,
        blinded: Sequence[Blinded],
        untried: list[str],
        good: dict[str, Evaluated],
        asking: ThreadPoolExecutor,
    ) -> None:
        """Fill `good` up to the threshold from `untried`, those at its end first."""
        data, epoch = joined(blinded), self._key.epoch
        while (missing := self._key.threshold - len(good)) > 0:
            if missing > len(untried):
                reasons = ", ".join(f"{n}: {code}" for n, code in sorted(self.failed.items()))
                raise TrusteesUnavailable(f"too few trustees answer: {reasons}")
            chosen = [untried.pop() for _ in range(missing)]
            answers = {
                name: asking.submit(self._evaluator.evaluate, name, epoch, data) for name in chosen
            }
            for name, future in answers.items():
                try:
                    one = future.result()
                except CredenceError as error:
                    self._leave_out(name, error.code, for_good=not error.retryable)
                    continue
                if one.index != self._key.index(name):
                    self._leave_out(name, ProofInvalid.code, for_good=True)
                    continue
                good[name] = one

    def _order(self, number: int) -> list[str]:
        """Whom to ask, last first; who failed before comes first, and load is spread."""
        names = self._key.trustees
        turned = [*names[number % len(names) :], *names[: number % len(names)]]
        with self._lock:
            usable = [name for name in turned if name not in self._out]
            return sorted(usable, key=lambda name: name not in self.failed)

    def _leave_out(self, name: str, code: str, *, for_good: bool) -> None:
        with self._lock:
            known = self.failed.get(name) == code
            self.failed[name] = code
            if for_good:
                self._out.add(name)
        if not known:
            log.warning("enrolment.trustee_replaced", trustee=name, code=code)
