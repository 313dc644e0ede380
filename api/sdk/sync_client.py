"""The synchronous client: carries what the core asks for over httpx."""

import time
from collections.abc import Callable, Iterator
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


class Client:
    """Calls one node's API; a context manager. May be shared between threads.

    with Client("https://node.bank.example", Identity(client_id, ClientKey.read(path))) as node:
        score = node.score(subject, consent_id)
    """

    def __init__(
        self,
        base_url: str,
        who: Identity | str | None = None,
        *,
        patience: Patience | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
        verify: Any = True,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        """Call a node.

        Args:
            base_url: of the node's API.
            who: an identity; a plain token where a sandbox allows them; None: public calls only.
            patience: with calls that may be repeated.
            timeout_s: of one request.
            transport: another than httpx's own.
            verify: an `ssl.SSLContext` with the CA to trust, and the client's certificate.
            pause: waits between attempts.

        Raises:
            Unreachable: `base_url` is no address.
        """
        self.core = Core(base_url, who, patience=patience)
        self._pause = pause
        address = address_of(self.core.base_url)
        self._http = httpx.Client(
            base_url=address, timeout=timeout_s, transport=transport, verify=verify
        )

    def make(self, call: Call[Result]) -> Result:
        """Make any call of `api.sdk.calls`; raises as `Core.make`."""
        steps = self.core.make(call)
        answer: HttpAnswer | NoAnswer | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                result: Result = end.value
                return result
            answer = self._take(step)

    def pages(self, page: Callable[[str | None], Call[Page[Result]]]) -> Iterator[Result]:
        """Every item of a list that comes in pages, asked for as they are read."""
        cursor: str | None = None
        while True:
            found = self.make(page(cursor))
            yield from found.items
            if found.next_cursor is None:
                return
            cursor = found.next_cursor

    def _take(self, step: HttpRequest | Pause) -> HttpAnswer | NoAnswer | None:
        if isinstance(step, Pause):
            self._pause(step.seconds)
            return None
        try:
            with self._http.stream(**request_of(step)) as response:
                body = bytearray()
                for part in response.iter_bytes():
                    body += part
                    if too_large(body):
                        return NoAnswer("too large an answer")
                return answer_of(response, bytes(body))
        except httpx.HTTPError as error:
            return NoAnswer(type(error).__name__)

    def score(self, subject: str, consent_id: str, **options: Any) -> Score:
        """Score a subject; options as in `api.sdk.calls.create_score`."""
        return self.make(calls.create_score(subject, consent_id, **options))

    def get_score(self, score_id: str) -> Score:
        """Read a score again."""
        return self.make(calls.get_score(score_id))

    def wait_for(self, request_id: str, *, polls: int = 600, every_s: float = 1.0) -> Score:
        """The score that a score request comes to.

        Raises:
            RequestEnded: it ended without one, or is open after all polls.
        """
        for _ in range(polls):
            state = self.make(calls.get_score_request(request_id))
            if state.ended:
                return score_of(state)
            self._pause(every_s)
        raise RequestEnded(f"{request_id} is still open")

    def receipt(self, seq: int) -> bytes:
        """The receipt of one entry of the log, for `api.sdk.proofs`."""
        return self.make(calls.log_receipt(seq))

    def checkpoint(self, *, witnessed: bool = True) -> str:
        """The newest checkpoint of the log, a signed note."""
        return self.make(calls.log_checkpoint(witnessed=witnessed))

    def leaves(self, start: int = 0) -> Iterator[LogLeaf]:
        """The public part of every entry of the log from `start` on."""
        while found := self.make(calls.log_leaves(start)):
            yield from found
            start = found[-1].seq + 1

    def close(self) -> None:
        """Close connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
