"""Processor time of an enrolment: in this process, or spread over processes of its own.

Threads are of no use: the work is short calls into a library under the interpreter's lock.
"""

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from types import TracebackType
from typing import Self

from protocols.enrolment import Evaluated, Finished, blind_batch, finish_batch
from protocols.oprf import Blinded
from protocols.ristretto import Element


class Workers:
    """Blinds, verifies and combines batches; a context manager that ends its processes."""

    def __init__(self, processes: int) -> None:
        """Use so many processes; 1 or less: work in the calling thread."""
        self._pool: ProcessPoolExecutor | None = None
        if processes > 1:
            # Spawned: a fork of a process with gRPC's threads would inherit their locks.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(processes, mp_context=context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def blind(self, inputs: Sequence[bytes]) -> list[Blinded]:
        """`protocols.enrolment.blind_batch`."""
        if self._pool is None:
            return blind_batch(inputs)
        return self._pool.submit(blind_batch, inputs).result()

    def finish(
        self,
        blinded: Sequence[Blinded],
        verification_shares: Mapping[int, Element],
        evaluations: Sequence[Evaluated],
        verified: frozenset[int],
    ) -> Finished:
        """`protocols.enrolment.finish_batch`."""
        arguments = (blinded, dict(verification_shares), evaluations, verified)
        if self._pool is None:
            return finish_batch(*arguments)
        return self._pool.submit(finish_batch, *arguments).result()
