"""A node's access over an empty database, on a clock that tests move, and its clients."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from fastapi import FastAPI, Response
from joserfc.jwk import ECKey, OKPKey

from api.http import problems
from api.http.access import Credentials, caller
from api.http.keyed import KeyedPosts
from api.http.limits import BodyLimits, LimitedBodies
from api.http.oauth import oauth_routes
from api.http.requests import RequestContext
from audit.leaf import parse_leaf
from node.access.wiring import Access, make_access
from node.bootstrap import Node, init_node, open_node
from node.settings import NodeSettings
from protocols.canonical import b64url_encode, sha256
from protocols.errors import Unavailable
from protocols.jose import parse_jwks
from tests.support.asgi import client_of

ISSUER = "https://scores.bank.example"
PROXY = "198.51.100.7"
START_MS = 1_790_000_000_000
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
Key = OKPKey | ECKey


def make_key(kind: str = "Ed25519") -> Key:
    return OKPKey.generate_key("Ed25519") if kind == "Ed25519" else ECKey.generate_key("P-256")


def algorithm(key: Key) -> str:
    return "EdDSA" if isinstance(key, OKPKey) else "ES256"


def jwt(key: Key, header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Signed rightly, whatever stands in it."""
    return sign(key, json.dumps({"alg": algorithm(key), **header}), json.dumps(claims))


def sign(key: Key, header: str, claims: str) -> str:
    signed = ".".join(b64url_encode(part.encode()) for part in (header, claims))
    if isinstance(key, OKPKey):
        signature = key.private_key.sign(signed.encode())
    else:
        der = key.private_key.sign(signed.encode(), ECDSA(SHA256()))
        signature = b"".join(one.to_bytes(32, "big") for one in decode_dss_signature(der))
    return f"{signed}.{b64url_encode(signature)}"


def public(key: Key) -> dict[str, Any]:
    return key.as_dict(private=False)


def key_set(*keys: Key) -> bytes:
    return json.dumps({"keys": [public(key) for key in keys]}).encode()


@dataclass
class Platform:
    """A financing platform with its key and, once it asked, its token."""

    world: "World"
    client_id: str
    key: Key
    http: httpx.Client
    token: str = ""

    def assertion(self, header: dict[str, Any] | None = None, **changes: Any) -> str:
        now_s = self.world.clock[0] // 1000
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": ISSUER,
            "iat": now_s,
            "exp": now_s + 60,
            "jti": secrets.token_urlsafe(12),
        }
        claims |= changes
        return jwt(
            self.key,
            {"kid": self.key.thumbprint()} | (header or {}),
            {name: value for name, value in claims.items() if value is not None},
        )

    def proof(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        key: Key | None = None,
        header: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        key = key or self.key
        claims: dict[str, Any] = {
            "htm": method,
            "htu": ISSUER + path,
            "iat": self.world.clock[0] // 1000,
            "jti": secrets.token_urlsafe(12),
        }
        if token:
            claims["ath"] = b64url_encode(sha256(token.encode()))
        claims |= changes
        return jwt(
            key,
            {"typ": "dpop+jwt", "jwk": public(key)} | (header or {}),
            {name: value for name, value in claims.items() if value is not None},
        )

    def ask(
        self, assertion: str | None = None, proof: str | None = "fresh", **fields: str
    ) -> httpx.Response:
        """Ask for a token."""
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion or self.assertion(),
        }
        proof = self.proof("POST", "/oauth/token") if proof == "fresh" else proof
        headers = {} if proof is None else {"DPoP": proof}
        return self.http.post("/oauth/token", data=form | fields, headers=headers)

    def sign_in(self, **fields: str) -> "Platform":
        answer = self.ask(**fields)
        assert answer.status_code == 200, answer.text
        self.token = answer.json()["access_token"]
        return self

    def call(
        self,
        method: str = "GET",
        path: str = "/v1/thing",
        *,
        proof: str | None = None,
        **given: Any,
    ) -> httpx.Response:
        """Call a route with the token and a proof of this call."""
        proof = proof or self.proof(method, path.partition("?")[0], token=self.token)
        headers = {"Authorization": f"DPoP {self.token}", "DPoP": proof, **given.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **given)


@dataclass
class World:
    """The node, its access and an application with three routes."""

    node: Node
    settings: NodeSettings
    clock: list[int] = field(default_factory=lambda: [START_MS])
    acts: list[str] = field(default_factory=list)
    fails: list[Exception] = field(default_factory=list)
    access: Access = field(init=False)
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Everything that a process holds in memory is made anew."""
        self.access = make_access(
            self.settings,
            database=self.node.database,
            audit=self.node.audit,
            clock=lambda: self.clock[0],
        )
        self.app = self._app()

    def http(self, address: str = "192.0.2.1") -> httpx.Client:
        return client_of(self.app, ISSUER, address)

    def platform(
        self, name: str, scopes: tuple[str, ...] = ("scores:read",), kind: str = "Ed25519"
    ) -> Platform:
        key = make_key(kind)
        keys = parse_jwks(key_set(key))
        row = self.access.clients.add_with_keys(name, self.clock[0], keys, scopes)
        return Platform(self, row.client_id, key, self.http())

    def kinds(self, since: int) -> list[str]:
        """Kinds of the leaves from `since` on."""
        leaves = self.node.log_reader.leaves(since, self.node.audit.head().size)
        return [str(parse_leaf(one.leaf.encode())["kind"]) for one in leaves]

    def _app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)
        problems.install(app)
        app.state.front = self.access.front
        app.include_router(oauth_routes(self.access))
        clients = self.access.clients

        @app.get("/v1/thing")
        def read(credentials: Credentials) -> dict[str, str]:
            return {"client": caller(clients, credentials, "scores:read").client_id}

        @app.post("/v1/thing", status_code=201)
        def write(body: dict[str, str], credentials: Credentials, response: Response) -> Any:
            client = caller(clients, credentials, "outcomes:write")
            self.acts.append(body.get("name", ""))
            if self.fails:
                raise self.fails.pop()
            response.headers["Location"] = f"/v1/thing/{len(self.acts)}"
            return {"number": len(self.acts), "client": client.client_id}

        @app.get("/v1/down")
        def down(credentials: Credentials) -> None:
            caller(clients, credentials, None)
            raise Unavailable("not now")

        app.add_middleware(KeyedPosts, clients=self.access.clients, calls=self.access.keyed_calls)
        app.add_middleware(LimitedBodies, limits=BodyLimits())
        app.add_middleware(RequestContext)
        return app


@contextmanager
def open_world(root: Path) -> Iterator[World]:
    init_node(
        root / "bank-a",
        member_id="bank-a",
        name="Bank A",
        role="bank",
        public_url=ISSUER,
        proxies=[PROXY],
        client_certificate_header="Client-Cert",
        client_rate=50.0,
        client_burst=1000,
    )
    node = open_node(root / "bank-a")
    try:
        yield World(node, node.settings)
    finally:
        node.close()
