"""Makes calls out of requests and pauses, whatever carries them (sans-IO).

A call: a token is obtained where none is held that lasts (client credentials with private_key_jwt,
bound to the client's key by DPoP), the request is sent with a proof of its own, and what came back
becomes a result or an error. It is sent again

1. with a fresh proof, once, when the server asks for its nonce (RFC 9449 section 8);
2. with a fresh token, once, when the one it was sent with is refused;
3. after a pause, a few times, when nothing came back or the node is busy: only where the call does
   no more by being sent twice. Pauses grow and are random; what `Retry-After` asks for is kept to,
   unless it asks for more than `longest_pause_s`, which is the caller's to wait out.
"""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from api.sdk.errors import AnswerMalformed, ApiError, NotAuthenticated, Unreachable, error_of
from api.sdk.keys import ClientKey, client_assertion, dpop_proof, now_s
from api.sdk.wire import Call, HttpAnswer, HttpRequest, NoAnswer, Pause, Result, Steps

TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORM = "application/x-www-form-urlencoded"
AGENT = "credence-sdk-python/1"
BUSY = frozenset({408, 429, 502, 503, 504})
IN_FLIGHT = "idempotency_key_in_flight"
LEEWAY_S = 10.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Patience:
    """How long a call goes on.

    Attributes:
        attempts: how often a request is sent, at most.
        first_pause_s: about how long the first pause is; each next is twice as long.
        longest_pause_s: no pause is longer.
    """

    attempts: int = 4
    first_pause_s: float = 0.2
    longest_pause_s: float = 10.0


@dataclass(frozen=True)
class Identity:
    """Who calls.

    Attributes:
        client_id: as `credence client add` said it.
        key: the client's.
        scopes: asked for; empty: all the client may have.
        audience: of the assertion: the issuer of the node's tokens; empty: the node's address.
        certificate: whether tokens are bound to the client's TLS certificate (RFC 8705), which is
            in the client's `verify`, instead of to the key by DPoP.
    """

    client_id: str
    key: ClientKey
    scopes: tuple[str, ...] = ()
    audience: str = ""
    certificate: bool = False


@dataclass
class _Token:
    value: str
    kind: str  # DPoP | Bearer
    until_s: float


class Core:
    """The sans-IO half of a client; one object serves one client of one node."""

    def __init__(
        self,
        base_url: str,
        who: Identity | str | None,
        *,
        patience: Patience | None = None,
        clock: Callable[[], float] = now_s,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Call a node.

        Args:
            base_url: of the node's API, without `/v1`.
            who: an identity; a plain token where the node allows them; None: public calls only.
            patience: with calls that may be repeated.
            clock: UTC seconds.
            chance: a number from 0 below 1; pauses are drawn with it.
        """
        self.base_url = base_url.rstrip("/")
        self._identity = who if isinstance(who, Identity) else None
        self._plain = _Token(who, "Bearer", float("inf")) if isinstance(who, str) else None
        self._token = self._plain
        self._patience = patience or Patience()
        self._clock = clock
        self._chance = chance
        self._nonce: str | None = None

    def make(self, call: Call[Result]) -> Steps[Result]:
        """Make a call.

        Raises:
            ApiError: the node refused; the class says what kind of refusal.
            Unreachable: nothing came back.
            AnswerMalformed: what came back is no answer of a node.
        """
        again = {"nonce": True, "token": True}
        attempt = 1
        while True:
            token = None if call.public else (yield from self._valid_token())
            answer = yield self._request(call, token)
            if isinstance(answer, HttpAnswer) and answer.status < 400:
                self._note_nonce(answer)
                return _read(call, answer)
            error = self._failure(answer)
            if isinstance(error, ApiError) and isinstance(answer, HttpAnswer):
                if self._note_nonce(answer) and again["nonce"] and _wants_nonce(answer, error):
                    again["nonce"] = False  # 1
                    continue
                if isinstance(error, NotAuthenticated) and self._renewable(token, again):
                    continue  # 2
            pause = self._pause(call, error, attempt)  # 3
            if pause is None:
                raise error
            yield Pause(pause)
            attempt += 1

    def _valid_token(self) -> Steps[_Token | None]:
        token = self._token
        if token is not None and token.until_s > self._clock() + LEEWAY_S:
            return token
        if self._identity is None:
            return None
        attempt, nonces = 1, 0
        while True:
            answer = yield self._token_request(self._identity)
            if isinstance(answer, HttpAnswer) and answer.status == 200:
                self._note_nonce(answer)
                self._token = self._read_token(answer, self._identity)
                return self._token
            error = self._failure(answer)
            if isinstance(answer, HttpAnswer) and self._note_nonce(answer) and not nonces:
                nonces += 1
                continue
            pause = self._pause(None, error, attempt)
            if pause is None:
                raise error
            yield Pause(pause)
            attempt += 1

    def _renewable(self, token: _Token | None, again: dict[str, bool]) -> bool:
        if self._identity is None or not again["token"]:
            return False
        again["token"] = False
        if self._token is token:  # another call may have renewed it meanwhile
            self._token = None
        return True

    def _token_request(self, who: Identity) -> HttpRequest:
        audience = who.audience or self.base_url
        now = self._clock()
        fields = {
            "grant_type": "client_credentials",
            "client_id": who.client_id,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": client_assertion(who.key, who.client_id, audience, now),
        }
        if who.scopes:
            fields["scope"] = " ".join(who.scopes)
        headers = {"Content-Type": FORM, **_COMMON}
        if not who.certificate:
            address = self.base_url + TOKEN_PATH
            headers["DPoP"] = dpop_proof(who.key, "POST", address, now, nonce=self._nonce)
        return HttpRequest("POST", TOKEN_PATH, headers, urlencode(fields).encode())

    def _read_token(self, answer: HttpAnswer, who: Identity) -> _Token:
        fields = _object(answer)
        value, life = fields.get("access_token"), fields.get("expires_in")
        kind = "Bearer" if who.certificate else "DPoP"
        given = str(fields.get("token_type", "")).lower()
        if not isinstance(value, str) or not isinstance(life, int) or given != kind.lower():
            raise AnswerMalformed("the token endpoint's answer holds no token bound as we asked")
        return _Token(value, kind, self._clock() + life)

    def _request(self, call: Call[Any], token: _Token | None) -> HttpRequest:
        path = path_of(call)
        headers = dict(_COMMON)
        if call.body is not None:
            headers["Content-Type"] = call.content_type
        if call.idempotency_key is not None:
            headers["Idempotency-Key"] = call.idempotency_key
        if token is not None:
            headers["Authorization"] = f"{token.kind} {token.value}"
        if token is not None and token.kind == "DPoP" and self._identity is not None:
            headers["DPoP"] = dpop_proof(
                self._identity.key,
                call.method,
                self.base_url + path,
                self._clock(),
                token=token.value,
                nonce=self._nonce,
            )
        return HttpRequest(call.method, path, headers, call.body or b"")

    def _failure(self, answer: HttpAnswer | NoAnswer | None) -> ApiError | Unreachable:
        if isinstance(answer, HttpAnswer):
            return error_of(answer.status, answer.headers, answer.body)
        reason = answer.reason if answer is not None else "no answer"
        return Unreachable(f"no node's API answers at {self.base_url} ({reason})")

    def _pause(
        self, call: Call[Any] | None, error: ApiError | Unreachable, attempt: int
    ) -> float | None:
        """How long to wait before the next attempt; None: there is none."""
        repeatable = call is None or call.repeatable or call.idempotency_key is not None
        if attempt >= self._patience.attempts or not repeatable:
            return None
        asked = None
        if isinstance(error, ApiError):
            if error.status not in BUSY and error.problem != IN_FLIGHT:
                return None
            asked = error.retry_after_s
        if asked is not None and asked > self._patience.longest_pause_s:
            return None
        grown: float = self._patience.first_pause_s * 2.0 ** (attempt - 1)
        drawn = grown * (0.5 + self._chance())
        return min(max(drawn, asked or 0.0), self._patience.longest_pause_s)

    def _note_nonce(self, answer: HttpAnswer) -> bool:
        """Keep the nonce the server gave; whether it is a new one."""
        nonce = answer.headers.get("dpop-nonce")
        new = nonce is not None and nonce != self._nonce
        if nonce is not None:
            self._nonce = nonce
        return new


_COMMON = {"Accept": "application/json", "User-Agent": AGENT}


def path_of(call: Call[Any]) -> str:
    """Where a call goes: path and query."""
    places = {name: quote(str(value), safe="") for name, value in call.path.items()}
    query = [(name, _text(value)) for name, value in call.query.items() if value is not None]
    path = call.template.format(**places)
    return f"{path}?{urlencode(query)}" if query else path


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _wants_nonce(answer: HttpAnswer, error: ApiError) -> bool:
    named = answer.headers.get("www-authenticate", "") + error.problem
    return answer.status in {400, 401} and "use_dpop_nonce" in named


def _read(call: Call[Result], answer: HttpAnswer) -> Result:
    try:
        return call.read(answer)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AnswerMalformed(
            f"the answer to {call.operation} is not what this SDK reads"
        ) from error


def _object(answer: HttpAnswer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise AnswerMalformed("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise AnswerMalformed("the answer is no JSON object")
    return found
