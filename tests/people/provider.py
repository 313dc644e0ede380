"""An OpenID provider on loopback: real HTTP, real keys; what it says wrongly is up to a test."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from api.http.server import HttpServer

Key = ECKey | RSAKey | OKPKey
CLIENT, SECRET = "credence-node", "a secret of the institution"


@dataclass
class Provider:
    """The provider and its misbehaviour.

    Attributes:
        customer: whose customer number the next person to sign in has.
        claims: changes the claims of an ID token.
        sign: signs them; None: as it should.
        description: changes the discovery document.
        asked: the parameters of the last authorization request.
        forgetful: whether a code works again and again.
        delay_s: how long the token endpoint takes.
        now_ms: the clock.
    """

    url: str = ""
    customer: str = "A-0001"
    claims: Callable[[dict[str, Any]], dict[str, Any]] = lambda claims: claims
    sign: Callable[[dict[str, Any]], str] | None = None
    description: Callable[[dict[str, Any]], Any] = lambda found: found
    asked: dict[str, str] = field(default_factory=dict)
    forgetful: bool = False
    delay_s: float = 0.0
    now_ms: Callable[[], int] = lambda: int(time.time() * 1000)
    key: Key = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one"}))
    algorithm: str = "ES256"
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def signed(self, claims: dict[str, Any]) -> str:
        """An ID token as it should be."""
        header = {"alg": self.algorithm, "kid": self.key.kid}
        return jwt.encode(header, claims, self.key, algorithms=[self.algorithm])

    def app(self) -> FastAPI:
        """Its endpoints."""
        app = FastAPI(openapi_url=None)

        @app.get("/.well-known/openid-configuration")
        def describe() -> Response:
            found = {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
            }
            body = self.description(found)
            return body if isinstance(body, Response) else JSONResponse(body)

        @app.get("/authorize")
        def authorize(request: Request) -> Response:
            asked = self.asked = dict(request.query_params)
            code = secrets.token_urlsafe(16)
            self.codes[code] = asked
            back = {"code": code, "state": asked["state"], "iss": self.url}
            return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(back)}", 302)

        @app.post("/token")
        async def token(request: Request) -> Response:
            time.sleep(self.delay_s)
            return self._token(request, await request.body())

        @app.get("/keys")
        def keys() -> dict[str, Any]:
            return {"keys": [self.key.as_dict(private=False)]}

        return app

    def _token(self, request: Request, body: bytes) -> Response:
        from urllib.parse import parse_qs

        given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        asked = self.codes.get(given["code"])
        if not self.forgetful:
            self.codes.pop(given["code"], None)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        challenge = hashlib.sha256(given["code_verifier"].encode()).digest()
        if (
            asked is None
            or request.headers.get("authorization") != f"Basic {basic}"
            or given["redirect_uri"] != asked["redirect_uri"]
            or base64.urlsafe_b64encode(challenge).decode().rstrip("=") != asked["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        now_s = self.now_ms() // 1000
        claims = self.claims(
            {
                "iss": self.url,
                "sub": "p-1",
                "aud": CLIENT,
                "exp": now_s + 300,
                "iat": now_s,
                "auth_time": now_s,
                "nonce": asked["nonce"],
                "customer_id": self.customer,
            }
        )
        made = (self.sign or self.signed)(claims)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": made})


def unsigned(claims: dict[str, Any]) -> str:
    """An ID token with alg none."""
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none"}, claims)
    ) + "."  # fmt: skip


def with_public_key_as_secret(provider: Provider) -> Callable[[dict[str, Any]], str]:
    """Algorithm confusion: HS256 keyed with what everybody may read."""
    public = json.dumps(provider.key.as_dict(private=False)).encode()
    secret = OctKey.import_key(public)
    return lambda claims: jwt.encode({"alg": "HS256", "kid": "one"}, claims, secret)


@contextmanager
def serving(provider: Provider) -> Iterator[Provider]:
    """Serve it on a free port of loopback."""
    server = HttpServer(provider.app(), "127.0.0.1:0")
    provider.url = f"http://127.0.0.1:{server.port}"
    server.start()
    try:
        yield provider
    finally:
        server.stop()
