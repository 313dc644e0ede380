"""A node that answers by script, for what the core makes of answers; both clients talk to it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx

from api.sdk import AsyncClient, Client, ClientKey, Identity, Patience
from protocols.keys import SigningKey
from tests.support import loops

URL = "https://node.example"
KEY = ClientKey(SigningKey.from_seed(b"k" * 32))
WHO = Identity("cli_one", KEY)
TOKEN = {"access_token": "token-1", "token_type": "DPoP", "expires_in": 300, "scope": "x"}
BOTH = ("sync", "async")


def problem(status: int, code: str, **headers: str) -> httpx.Response:
    """A refusal."""
    body = {"code": code, "detail": "why", "request_id": "req_1", "retryable": False,
            "next_step": "do", "status": status}  # fmt: skip
    return httpx.Response(status, json=body, headers=headers)


def token(value: str = "token-1") -> httpx.Response:
    return httpx.Response(200, json={**TOKEN, "access_token": value})


@dataclass
class Scripted:
    """Answers in turn, remembers requests and pauses."""

    answers: list[httpx.Response | Exception]
    requests: list[httpx.Request] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def make(self, kind: str, call, who=WHO, patience: Patience | None = None):
        """Make one call with a client of `kind`."""
        return self.session(kind, [call], who, patience)[0]

    def session(self, kind: str, calls: Sequence, who=WHO, patience: Patience | None = None):
        """Make calls one after the other with one client."""
        transport = httpx.MockTransport(self)
        if kind == "sync":
            with Client(URL, who, patience=patience, transport=transport,
                        pause=self.pauses.append) as client:  # fmt: skip
                return [client.make(call) for call in calls]

        async def run():
            async with AsyncClient(URL, who, patience=patience, transport=transport,
                                   pause=self._pause) as client:  # fmt: skip
                return [await client.make(call) for call in calls]

        return loops.run(run())


def claims(text: str) -> tuple[dict, dict]:
    """Header and claims of a compact JWS."""
    from protocols.canonical import b64url_decode

    head, body, _ = text.split(".")
    return json.loads(b64url_decode(head)), json.loads(b64url_decode(body))


Answer = Callable[[httpx.Request], httpx.Response]
