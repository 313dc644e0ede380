"""The asynchronous client: carries what the core asks for over httpx."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import httpx

from api.sdk import calls
from api.sdk.core import Core, Identity, Patience
from api.sdk.errors import RequestEnded
from api.sdk.jobs import score_of
from api.sdk.making import Page
from api.sdk.results import LogLeaf, Score
from api.sdk.transport import TIMEOUT_S, address_of, answer_of, request_of, too_large
from api.sdk.wire import Call, HttpAnswer, HttpRequest, NoAnswer, Pause, Result


class AsyncClient:
    """Calls one node's API; an asynchronous context manager, for one event loop.

    async with AsyncClient(url, Identity(client_id, key)) as node:
        score = await node.score(subject, consent_id)
    """

    def __init__(
        self,
        base_url: str,
        who: Identity | str | None = None,
        *,
        patience: Patience | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
        verify: Any = True,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Call a node; arguments as of `api.sdk.sync_client.Client`."""
        self.core = Core(base_url, who, patience=patience)
        self._pause = pause
        address = address_of(self.core.base_url)
        self._http = httpx.AsyncClient(
            base_url=address, timeout=timeout_s, transport=transport, verify=verify
        )

    async def make(self, call: Call[Result]) -> Result:
        """Make any call of `api.sdk.calls`; raises as `Core.make`."""
        steps = self.core.make(call)
        answer: HttpAnswer | NoAnswer | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: Result = end.value
                return result
            answer = await self._take(step)

    async def pages(
        self, page: Callable[[str | None], Call[Page[Result]]]
    ) -> AsyncIterator[Result]:
        """Every item of a list that comes in pages, asked for as they are read."""
        cursor: str | None = None
        while True:
            found = await self.make(page(cursor))
            for one in found.items:
                yield one
            if found.next_cursor is None:
                return
            cursor = found.next_cursor

    async def _take(self, step: HttpRequest | Pause) -> HttpAnswer | NoAnswer | None:
        if isinstance(step, Pause):
            await self._pause(step.seconds)
            return None
        try:
            async with self._http.stream(**request_of(step)) as response:
                body = bytearray()
                async for part in response.aiter_bytes():
                    body += part
                    if too_large(body):
                        return NoAnswer("too large an answer")
                return answer_of(response, bytes(body))
        except httpx.HTTPError as error:
            return NoAnswer(type(error).__name__)

    async def score(self, subject: str, consent_id: str, **options: Any) -> Score:
        """Score a subject; options as in `api.sdk.calls.create_score`."""
        return await self.make(calls.create_score(subject, consent_id, **options))

    async def get_score(self, score_id: str) -> Score:
        """Read a score again."""
        return await self.make(calls.get_score(score_id))

    async def wait_for(self, request_id: str, *, polls: int = 600, every_s: float = 1.0) -> Score:
        """The score that a score request comes to; see `api.sdk.sync_client.Client.wait_for`."""
        for _ in range(polls):
            state = await self.make(calls.get_score_request(request_id))
            if state.ended:
                return score_of(state)
            await self._pause(every_s)
        raise RequestEnded(f"{request_id} is still open")

    async def receipt(self, seq: int) -> bytes:
        """The receipt of one entry of the log, for `api.sdk.proofs`."""
        return await self.make(calls.log_receipt(seq))

    async def checkpoint(self, *, witnessed: bool = True) -> str:
        """The newest checkpoint of the log, a signed note."""
        return await self.make(calls.log_checkpoint(witnessed=witnessed))

    async def leaves(self, start: int = 0) -> AsyncIterator[LogLeaf]:
        """The public part of every entry of the log from `start` on."""
        while found := await self.make(calls.log_leaves(start)):
            for one in found:
                yield one
            start = found[-1].seq + 1

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
