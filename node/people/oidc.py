"""Signing in through the institution's own OpenID provider.

Authorization code flow with PKCE (OAuth 2.1 draft; RFC 7636, RFC 9700):

1. the provider is the issuer of the settings; its discovery document names the same issuer, and all
   its addresses are HTTPS, or loopback as the issuer itself;
2. state, nonce and code verifier are random, made for one sign-in, and kept sealed in a cookie of
   the browser that began it;
3. what comes back carries that state, which is used once, and the issuer where it names one
   (RFC 9207);
4. the code is exchanged with the verifier; the ID token passes the checks of `protocols.id_token`;
5. one claim of it is a customer number, and the institution knows that customer.

What the claim says is the institution's own word about who its customer is, and as good as that.
"""

import hmac
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from audit.database import Database
from node.people.accounts import Accounts
from node.people.attempts import Attempts
from node.people.browser import Browser
from node.people.journal import Journal
from node.people.oidc_http import ProviderRefused, ProviderUnavailable
from node.people.sessions import PORTAL, Sessions
from node.people.sign_in import SignInRefused
from node.people.tickets import TicketRefused, Tickets
from node.storage import web_sessions
from protocols.canonical import b64url_encode, parse_json, sha256
from protocols.errors import FileUnusable, Malformed
from protocols.id_token import IdTokenRejected, verify_id_token

FLOW_MS = 10 * 60_000
DISCOVERY_LIFE_MS = 60 * 60_000
KEYS_LIFE_MS = 60_000  # a new key of the provider is known within that
MAX_DOCUMENT = 64 * 1024
MAX_CODE = 2000
MAX_SECRET_BYTES = 4096
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """How this institution's provider is used.

    Attributes:
        issuer: pinned; nothing else is believed.
        client_id: ours.
        secret_file: holds our secret there; None: we are a public client. It is read with each
            sign-in, so that it can be replaced while the node runs.
        scopes: asked for; `openid` among them.
        customer_claim: the claim that holds the customer number.
        second_factor: whether the provider always asks for more than a password; where it does
            not say so itself (`mfa` in `amr`, RFC 8176).
        redirect_uri: our address that it sends people back to.
    """

    issuer: str
    client_id: str
    secret_file: Path | None
    scopes: tuple[str, ...]
    customer_claim: str
    second_factor: bool
    redirect_uri: str


class Fetch(Protocol):
    """What reaches the provider: `node.people.oidc_http.ProviderHttp`."""

    def get(self, url: str) -> bytes:
        """The body of a document."""
        ...

    def post(
        self, url: str, fields: Mapping[str, str], auth: tuple[str, str] | None = None
    ) -> bytes:
        """The answer to a form."""
        ...


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in that was begun: where to send the browser, and what its cookie keeps."""

    location: str
    ticket: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Returned:
    """What came back in the address: `code` and `state`, or `error`."""

    state: str
    code: str = field(repr=False, default="")
    issuer: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody who signed in.

    Attributes:
        token: of the new session.
        next_page: where they wanted to go when they began.
    """

    token: str = field(repr=False)
    next_page: str


@dataclass(frozen=True, slots=True)
class _Provider:
    authorization: str
    token: str
    jwks: str


class Oidc:
    """Signs people in through one provider."""

    def __init__(
        self,
        settings: OidcSettings,
        *,
        fetch: Fetch,
        database: Database,
        tickets: Tickets,
        accounts: Accounts,
        attempts: Attempts,
        sessions: Sessions,
        journal: Journal,
        clock: Callable[[], int],
    ) -> None:
        self.settings = settings
        self._fetch = fetch
        self._database = database
        self._tickets = tickets
        self._accounts = accounts
        self._attempts = attempts
        self._sessions = sessions
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[int, bytes]] = {}

    def begin(self, next_page: str, *, again: str | None = None) -> Begun:
        """Begin a sign-in.

        Args:
            next_page: where to go afterwards.
            again: the account that shows again who it is; None: whoever signs in.

        Raises:
            ProviderUnavailable: its discovery document cannot be had, or is not what it must be.
        """
        provider = self._discover()
        state, nonce, verifier = (b64url_encode(secrets.token_bytes(32)) for _ in range(3))  # 2
        content = {
            "state": state,
            "nonce": nonce,
            "verifier": verifier,
            "next": next_page,
            "again": again or "",
            "began_s": str(self._clock() // 1000),
        }
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": b64url_encode(sha256(verifier.encode())),
            "code_challenge_method": "S256",
            **({"prompt": "login", "max_age": "0"} if again else {}),
        }
        ticket = self._tickets.seal("oidc", "", content, FLOW_MS)
        joint = "&" if urlsplit(provider.authorization).query else "?"
        return Begun(f"{provider.authorization}{joint}{urlencode(query)}", ticket)

    def finish(self, ticket: str, returned: Returned, browser: Browser) -> Entered:
        """End a sign-in.

        Raises:
            SignInRefused: a check fails, or the customer is not known here.
            ProviderUnavailable: the provider does not answer.
            FileUnusable: our secret there cannot be read.
            TooManyAttempts: from this address.
        """
        attempt = self._attempts.begin(PORTAL, "", browser.address)
        try:
            begun = self._tickets.open("oidc", "", ticket)
            claims = self._claims(begun, returned)
        except (TicketRefused, IdTokenRejected, ProviderRefused, Malformed) as error:
            self._refused()
            raise SignInRefused("the institution's sign-in does not hold") from error
        customer_id = claims.get(self.settings.customer_claim)  # 5
        with self._database.write() as connection:
            unused = web_sessions.spend(
                connection, sha256(returned.state.encode()), self._clock() + FLOW_MS
            )  # 3
            account = (
                self._accounts.of_customer(connection, customer_id, browser.language)
                if unused and isinstance(customer_id, str) and 0 < len(customer_id) <= 64
                else None
            )
            same = account is not None and begun["again"] in {"", account.account_id}
            if account is not None and same:
                self._attempts.succeeded(connection, attempt)
                token = self._sessions.open(
                    connection,
                    account,
                    "oidc",
                    browser.agent,
                    browser.token,
                    second_factor=self._second_factor(claims),
                )
                self._journal.did(
                    connection, "sign_in.succeeded", account, self._clock(), method="oidc"
                )
                return Entered(token, begun["next"])
        self._refused()
        raise SignInRefused("the institution knows no such customer here")

    def _claims(self, begun: Mapping[str, str], returned: Returned) -> Mapping[str, Any]:
        same = hmac.compare_digest(returned.state.encode(), begun["state"].encode())
        if not same or returned.issuer not in {None, self.settings.issuer}:  # 3
            raise TicketRefused("what came back belongs to another sign-in")
        if returned.error or not 0 < len(returned.code) <= MAX_CODE:
            raise TicketRefused("the provider did not sign anybody in")
        provider = self._discover()
        answer = self._fetch.post(provider.token, *self._exchange(begun, returned))  # 4
        body = _object(answer)
        token = body.get("id_token")
        if not isinstance(token, str):
            raise IdTokenRejected("the provider gave no ID token")
        return verify_id_token(
            token,
            self._keep(provider.jwks, KEYS_LIFE_MS),
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            nonce=begun["nonce"],
            now_s=self._clock() // 1000,
            authenticated_since_s=int(begun["began_s"]) if begun["again"] else None,
        )

    def _exchange(
        self, begun: Mapping[str, str], returned: Returned
    ) -> tuple[dict[str, str], tuple[str, str] | None]:
        fields = {
            "grant_type": "authorization_code",
            "code": returned.code,
            "redirect_uri": self.settings.redirect_uri,
            "code_verifier": begun["verifier"],
            "client_id": self.settings.client_id,
        }
        file = self.settings.secret_file
        return fields, None if file is None else (self.settings.client_id, _secret(file))

    def _discover(self) -> _Provider:
        issuer = self.settings.issuer
        address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            found = _object(self._keep(address, DISCOVERY_LIFE_MS))
        except Malformed as error:
            raise ProviderUnavailable("the provider's description does not parse") from error
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        places = [found.get(name) for name in names]
        if found.get("issuer") != issuer or not all(_is_safe(one, issuer) for one in places):  # 1
            raise ProviderUnavailable("the provider's description is not of the issuer set here")
        return _Provider(*(str(one) for one in places))

    def _keep(self, address: str, life_ms: int) -> bytes:
        """A document, fetched when the one that is kept has grown old."""
        now_ms = self._clock()
        with self._lock:
            until_ms, body = self._kept.get(address, (0, b""))
            if now_ms < until_ms:
                return body
        body = self._fetch.get(address)
        with self._lock:
            self._kept[address] = (now_ms + life_ms, body)
        return body

    def _second_factor(self, claims: Mapping[str, Any]) -> bool:
        methods = claims.get("amr")
        return self.settings.second_factor or (isinstance(methods, list) and "mfa" in methods)

    def _refused(self) -> None:
        with self._database.write() as connection:
            self._journal.refused(
                connection, "sign_in.refused", PORTAL, None, self._clock(), method="oidc"
            )


def _secret(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_SECRET_BYTES).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FileUnusable(f"the secret of oidc_secret_file cannot be read from {file}") from error


def _object(body: bytes) -> dict[str, Any]:
    found = parse_json(body, max_bytes=MAX_DOCUMENT, max_depth=8)
    if not isinstance(found, dict):
        raise Malformed("the provider's answer is no JSON object")
    return found


def _is_safe(address: object, issuer: str) -> bool:
    if not isinstance(address, str) or len(address) > 500:
        return False
    try:
        parts, pinned = urlsplit(address), urlsplit(issuer)
    except ValueError:
        return False
    local = parts.scheme == pinned.scheme == "http" and parts.hostname in _LOOPBACK
    return bool(parts.hostname) and (parts.scheme == "https" or local) and not parts.fragment
