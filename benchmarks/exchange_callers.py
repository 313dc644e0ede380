"""The asking side of the exchange benchmark: event loops in one or several processes.

A call in flight is a task, as the echo's is, so that what is measured is calls and not threads that
wait for their turn.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from node.bootstrap import Node, open_node
from node.network.transport import TransportLimits, channel_options, open_channel
from protocols.certificates import member_dns
from protocols.envelope import OutgoingRequest, Query, new_request, open_answer
from protocols.pseudonyms import query_token
from protocols.v1.exchange_pb2 import SealedAnswer
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from tests.network import now_ms

ECHO = "/benchmark/Echo"
HOLDER = member_dns("payments")
LIMITS = TransportLimits()


@dataclass(frozen=True)
class Person:
    """Whom to ask about, and under which consent."""

    consent_id: str
    consent_hash: bytes
    pseudonym: bytes
    holders: frozenset[str]


@dataclass(frozen=True)
class Asking:
    """What a caller needs to ask: its home, the holder's ports and the people."""

    home: Path
    endpoint: str
    echo: str
    suite: int
    people: Sequence[Person]


@dataclass(frozen=True)
class Times:
    """Seconds of each call, and the processor time that this process used for all of them."""

    calls: list[float]
    cpu_s: float


class Caller:
    """A bank that asks, in this process."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.bank: Node = open_node(asking.home)
        self._identity = self.bank.identity()
        self.exchange = open_channel(
            asking.endpoint, HOLDER, self._identity.ca, self._identity, LIMITS
        )
        self._pair_key = self.bank.pair_keys.with_member("payments")

    def request(self, people: Sequence[Person]) -> OutgoingRequest:
        """A signed request about some people."""
        return new_request(
            sender="bank-a",
            holder="payments",
            purpose="score",
            queries=[
                Query(
                    one.consent_hash,
                    query_token(self._pair_key, one.pseudonym, one.consent_hash),
                )
                for one in people
            ],
            now_ms=now_ms(),
            key=self.bank.keys.signing,
            lifetime_ms=60_000,
            suite_number=self.asking.suite,
        )

    def open(self, request: OutgoingRequest, answer: SealedAnswer) -> None:
        """Open an answer; a refusal ends the benchmark."""
        opened = open_answer(request, answer, self.bank.documents.directory())
        if any(one.refusal for one in opened.answers):
            raise SystemExit("a subject was refused")

    def sizes(self) -> tuple[int, int]:
        """Bytes of one subject's request and answer on the wire."""
        request = self.request(self.asking.people[:1])
        answer = ExchangeStub(self.exchange).Fetch(request.message, timeout=60)
        return request.message.ByteSize(), answer.ByteSize()

    def echo(self, calls: int, tasks: int, sizes: tuple[int, int]) -> Times:
        """Bare calls with messages of these sizes."""
        asked = sizes[1].to_bytes(4, "big") + bytes(sizes[0] - 4)

        async def run() -> Times:
            async with self._channel(self.asking.echo) as channel:
                call = channel.unary_unary(ECHO)

                async def one(_: int) -> None:
                    await call(asked, timeout=60)

                return await _spread(one, calls, tasks)

        return asyncio.run(run())

    def unary(self, calls: int, tasks: int, offset: int) -> Times:
        """Whole exchanges of one subject each, from the `offset`th person on."""
        people = self.asking.people

        async def run() -> Times:
            async with self._channel(self.asking.endpoint) as channel:
                fetch = ExchangeStub(channel).Fetch

                async def one(number: int) -> None:
                    at = (offset + number) % len(people)
                    request = self.request(people[at : at + 1])
                    self.open(request, await fetch(request.message, timeout=60))

                return await _spread(one, calls, tasks)

        return asyncio.run(run())

    def _channel(self, endpoint: str) -> grpc.aio.Channel:
        shown = self._identity
        credentials = grpc.ssl_channel_credentials(shown.ca, shown.key, shown.certificate)
        return grpc.aio.secure_channel(endpoint, credentials, channel_options(HOLDER, LIMITS))

    def close(self) -> None:
        """Close the node and its channels."""
        self.exchange.close()
        self.bank.close()


class Callers:
    """Callers in processes of their own, each with its share of the calls in flight."""

    def __init__(self, pool: ProcessPoolExecutor, processes: int, in_flight: int) -> None:
        self._pool = pool
        self._processes = processes
        self._in_flight = in_flight

    def echo(self, calls: int, sizes: tuple[int, int]) -> Times:
        """`calls` bare calls in all."""
        return self._all("echo", calls, lambda _: (sizes,))

    def unary(self, calls: int) -> Times:
        """`calls` exchanges in all."""
        return self._all("unary", calls, lambda share: (share * calls // self._processes,))

    def _all(self, name: str, calls: int, more: Callable[[int], tuple[Any, ...]]) -> Times:
        share = calls // self._processes, self._in_flight // self._processes
        pending = [
            self._pool.submit(_run, name, (*share, *more(number)))
            for number in range(self._processes)
        ]
        done = [one.result() for one in pending]
        return Times([t for one in done for t in one.calls], sum(one.cpu_s for one in done))


@contextmanager
def callers(asking: Asking, processes: int, in_flight: int) -> Iterator[Callers]:
    """Callers that are ready to call."""
    with ProcessPoolExecutor(processes, get_context("spawn"), _open, (asking,)) as pool:
        yield Callers(pool, processes, in_flight)


_CALLER: list[Caller] = []  # of a pool's process, which runs one


def _open(asking: Asking) -> None:
    _CALLER.append(Caller(asking))


def _run(name: str, arguments: tuple[Any, ...]) -> Times:
    times: Times = getattr(_CALLER[0], name)(*arguments)
    return times


async def _spread(one: Callable[[int], Awaitable[None]], calls: int, tasks: int) -> Times:
    times: list[float] = []

    async def some(offset: int) -> None:
        for number in range(offset, calls, tasks):
            began = time.perf_counter()
            await one(number)
            times.append(time.perf_counter() - began)

    began = time.process_time()
    await asyncio.gather(*(some(offset) for offset in range(tasks)))
    return Times(times, time.process_time() - began)
