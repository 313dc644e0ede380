"""API clients: added with their keys, recognised by what a call presents, limited, revoked.

A call is believed to come from a client when, in this order:

  1. it has one Authorization header, of a sane size;
  2. its token is an access token of this node for this API (`node.access.tokens`), or, where the
     setting `plain_tokens` allows them, a plain one: `<client id>.<secret>`, of which the SHA-256
     is kept and compared in constant time;
  3. the client is not revoked, and none of its access tokens were called back since;
  4. it holds what the token is bound to: the key, by a DPoP proof of this very call, or the
     certificate of its connection;
  5. it may call that often.

That a call was refused is logged (`node.access.refusals`).
"""

import hmac
import re
import secrets
from collections.abc import Sequence

from audit.database import Connection, Database
from audit.store import AuditLog
from node.access import keys as client_keys
from node.access.journal import ClientJournal
from node.access.limits import CallLimits
from node.access.presented import (
    DEFAULT_SCOPES,
    SCOPES,
    Client,
    Presented,
    QuotaExceeded,
    RateLimited,
    ScopeMissing,
    TokenRefused,
)
from node.access.proofs import Proofs
from node.access.recent import RecentClients
from node.access.refusals import Refusals
from node.access.tokens import AccessToken, AccessTokens
from node.storage import access, clients
from node.storage.access import KeyRow
from node.storage.clients import ClientRow
from protocols.canonical import b64url_encode, sha256
from protocols.errors import CredenceError, InvalidInput, NotFound, StateConflict
from protocols.identifiers import new_id
from protocols.jose import PublicJwk
from protocols.oauth import MAX_TOKEN_BYTES, ProofRefused

SECRET_BYTES = 32
MAX_RATE = 100_000.0
MAX_QUOTA = 2**53 - 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,119}")
_PLAIN = re.compile(r"(cli_[a-z0-9]{1,36})\.([A-Za-z0-9_-]{1,64})")


class ClientExists(StateConflict):
    """There is or was a client by that name."""

    code = "client_exists"
    next_step = "Choose another name, so that the log stays clear."


class PlainTokensOff(StateConflict):
    """This node takes no plain tokens."""

    code = "plain_tokens_off"
    next_step = "Give the client keys (--jwks or --generate); plain_tokens is for sandboxes."


class Clients:
    """The API clients of one node; thread-safe."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        *,
        refusals: Refusals,
        tokens: AccessTokens,
        proofs: Proofs,
        limits: CallLimits,
        plain_tokens: bool,
        recent: RecentClients | None = None,
    ) -> None:
        self._database = database
        self._journal = ClientJournal(audit)
        self._refusals = refusals
        self._tokens = tokens
        self._proofs = proofs
        self._limits = limits
        self._plain_tokens = plain_tokens
        self._recent = recent or RecentClients()

    # -- what an operator does

    def add(
        self, name: str, now_ms: int, scopes: Sequence[str] = DEFAULT_SCOPES
    ) -> tuple[ClientRow, str]:
        """Make a client with a plain token; its row and the token, which is nowhere else.

        Raises:
            PlainTokensOff: this node takes none.
            InvalidInput: a name or scope of the wrong form.
            ClientExists: the name is taken.
        """
        if not self._plain_tokens:
            raise PlainTokensOff("this node takes no plain tokens")
        secret = b64url_encode(secrets.token_bytes(SECRET_BYTES))
        row = _new(name, now_ms, scopes, sha256(secret.encode()))
        with self._database.write() as connection:
            self._insert(connection, row, ())
        return row, f"{row.client_id}.{secret}"

    def add_with_keys(
        self,
        name: str,
        now_ms: int,
        keys: Sequence[PublicJwk],
        scopes: Sequence[str] = DEFAULT_SCOPES,
    ) -> ClientRow:
        """Make a client that signs with `keys`.

        Raises:
            InvalidInput: a name or scope of the wrong form.
            ClientExists: the name is taken.
        """
        row = _new(name, now_ms, scopes, None)
        with self._database.write() as connection:
            self._insert(connection, row, keys)
            client_keys.add_keys(connection, row.client_id, keys, now_ms)
        return row

    def rotate(
        self, name: str, now_ms: int, keys: Sequence[PublicJwk], overlap_ms: int
    ) -> tuple[ClientRow, list[str], list[str]]:
        """Replace a client's keys: `keys` from now on, the others until the overlap ends.

        Without overlap its access tokens are called back too: whoever had a key may have one.

        Returns:
            the client, the kids that are new, the kids that end.

        Raises:
            NotFound: no valid client by that name or id.
            InvalidInput: too many keys, or an overlap out of range.
            ClientKeyUsed: a key that was rotated out before.
        """
        with self._database.write() as connection:
            row = self._valid(connection, name)
            new, ending = client_keys.replace_keys(
                connection, row.client_id, keys, now_ms, overlap_ms
            )
            if not overlap_ms:
                clients.next_generation(connection, row.client_id)
            self._journal.note(
                connection,
                "client.keys_rotated",
                row.client_id,
                now_ms,
                keys=sorted(key.thumbprint for key in keys),
                new=sorted(new),
                ending=sorted(ending),
                until_ms=now_ms + overlap_ms,
            )
        self._recent.forget(row.client_id)
        return row, new, ending

    def limit(
        self,
        name: str,
        now_ms: int,
        *,
        rate: float | None,
        burst: int | None,
        daily_quota: int | None,
    ) -> ClientRow:
        """Give a client limits of its own from its next call on; None: the node's.

        Raises:
            NotFound: no valid client by that name or id.
            InvalidInput: a limit out of range.
        """
        if rate is not None and not 0.01 <= rate <= MAX_RATE:
            raise InvalidInput(f"a rate is 0.01 to {MAX_RATE:g} calls a second")
        if burst is not None and not 1 <= burst <= MAX_RATE:
            raise InvalidInput(f"a burst is 1 to {MAX_RATE:g} calls")
        if daily_quota is not None and not 0 <= daily_quota <= MAX_QUOTA:
            raise InvalidInput("a daily quota is no number of calls")
        with self._database.write() as connection:
            row = self._valid(connection, name)
            clients.limit(connection, row.client_id, rate, burst, daily_quota)
            self._journal.note(
                connection,
                "client.limited",
                row.client_id,
                now_ms,
                limits=[None if one is None else str(one) for one in (rate, burst, daily_quota)],
            )
        self._recent.forget(row.client_id)
        return row

    def revoke(self, name: str, now_ms: int) -> ClientRow:
        """Refuse a client, from its next call on.

        Raises:
            NotFound: no valid client by that name or id.
        """
        with self._database.write() as connection:
            row = self._valid(connection, name)
            clients.revoke(connection, row.client_id, now_ms)
            self._journal.note(
                connection, "client.revoked", row.client_id, now_ms, scopes=row.scopes
            )
        self._recent.forget(row.client_id)
        return row

    def every(self) -> list[ClientRow]:
        """All clients, oldest first."""
        with self._database.read() as connection:
            return clients.every(connection)

    def keys_of(self, client_id: str) -> list[KeyRow]:
        """The keys that a client ever had, oldest first."""
        with self._database.read() as connection:
            return access.keys_of(connection, client_id)

    # -- what a call shows

    def recognise(self, presented: Presented, *, asked_again: bool = False) -> Client:
        """The client that a call comes from, by checks 1 to 5.

        Args:
            presented: what came with the call.
            asked_again: whether the call's own transaction makes check 3 again, with the
                generation that is given here; then a row read a moment ago does here.

        Raises:
            TokenRefused: check 1, 2 or 3, or another way of showing the token than it takes.
            ProofRefused, ProofMemoryFull: check 4.
            RateLimited, QuotaExceeded: check 5.
        """
        named: list[str] = []
        try:
            return self._recognised(presented, named, asked_again)
        except (TokenRefused, ProofRefused, RateLimited, QuotaExceeded) as error:
            self._refused(named[0] if named else None, error)
            raise

    def not_any_more(self, client: Client, error: TokenRefused) -> None:
        """A client that was recognised was refused by check 3 when it was made again."""
        self._recent.forget(client.client_id)
        self._refused(client.client_id, error)

    def require(self, client: Client, scope: str) -> None:
        """Check for a scope; that it was missing is logged.

        Raises:
            ScopeMissing: the client lacks it.
        """
        try:
            client.require(scope)
        except ScopeMissing as error:
            self._refused(client.client_id, error)
            raise

    def _recognised(self, presented: Presented, named: list[str], asked_again: bool) -> Client:
        scheme, text = _authorization(presented)  # 1
        plain = _PLAIN.fullmatch(text)
        if plain is not None:  # 2
            row, scopes = self._plain(scheme, self._find(plain[1], asked_again), plain[2], named)
        else:
            token = self._tokens.read(text)
            if token.audience not in _origins(presented):
                raise TokenRefused("the access token is for another API")
            row, scopes = self._in_force(
                token, self._find(token.client_id, asked_again), named
            )  # 3
            self._bound(token, text, scheme, presented)  # 4
        self._limits.take(row, presented.told)  # 5
        return Client(row.client_id, row.name, scopes, row.generation)

    def _find(self, client_id: str, asked_again: bool) -> ClientRow | None:
        row = self._recent.find(client_id) if asked_again else None
        if row is None:
            with self._database.glance() as connection:
                row = clients.find(connection, client_id)
            if row is not None:
                self._recent.keep(row)
        return row

    def _plain(
        self, scheme: str, row: ClientRow | None, secret: str, named: list[str]
    ) -> tuple[ClientRow, frozenset[str]]:
        # An unknown id takes the same path as a wrong secret.
        expected = row.token_sha256 if row is not None else None
        matches = hmac.compare_digest(sha256(secret.encode()), expected or bytes(32))
        if row is not None:
            named.append(row.client_id)
        allowed = self._plain_tokens and scheme == "bearer" and expected is not None
        if row is None or not matches or not allowed or row.revoked_at_ms is not None:
            raise TokenRefused("the token is not one of a valid client")
        return row, frozenset(row.scopes.split())

    def _in_force(
        self, token: AccessToken, row: ClientRow | None, named: list[str]
    ) -> tuple[ClientRow, frozenset[str]]:
        named.append(token.client_id)
        if row is None or row.revoked_at_ms is not None or row.generation != token.generation:
            raise TokenRefused("the access token is not valid here, or not any more")
        return row, token.scopes

    def _bound(self, token: AccessToken, text: str, scheme: str, presented: Presented) -> None:
        if token.binding == "jkt":
            # A bound token shown as a bearer token is one that somebody copied (RFC 9449, 7.1).
            if scheme != "dpop":
                raise TokenRefused("this access token is shown with the scheme DPoP and a proof")
            self._proofs.check(presented, text, token.bound_to)
            return
        certificate = presented.certificate or ""
        if scheme != "bearer" or not hmac.compare_digest(certificate, token.bound_to):
            raise TokenRefused("this access token is bound to another client certificate")

    def _refused(self, client_id: str | None, error: CredenceError) -> None:
        self._refusals.note(client_id, error.code)

    def _insert(self, connection: Connection, row: ClientRow, keys: Sequence[PublicJwk]) -> None:
        if clients.by_name(connection, row.name) is not None:
            raise ClientExists(f"there is a client {row.name!r} already")
        clients.add(connection, row)
        self._journal.note(
            connection,
            "client.added",
            row.client_id,
            row.created_at_ms,
            scopes=row.scopes,
            keys=sorted(key.thumbprint for key in keys),
        )

    @staticmethod
    def _valid(connection: Connection, name: str) -> ClientRow:
        row = clients.by_name(connection, name) or clients.find(connection, name)
        if row is None or row.revoked_at_ms is not None:
            raise NotFound(f"no valid client {name!r}")
        return row


def _new(name: str, now_ms: int, scopes: Sequence[str], token_sha256: bytes | None) -> ClientRow:
    if _NAME.fullmatch(name) is None:
        raise InvalidInput("a client's name is 1 to 120 letters, digits, blanks and ._-")
    if not scopes or not set(scopes) <= set(SCOPES):
        raise InvalidInput(f"scopes are of {', '.join(SCOPES)}")
    return ClientRow(
        client_id=new_id("cli"),
        name=name,
        token_sha256=token_sha256,
        scopes=" ".join(sorted(set(scopes))),
        created_at_ms=now_ms,
    )


def _authorization(presented: Presented) -> tuple[str, str]:
    values = list(presented.authorization)
    if len(values) != 1 or len(values[0]) > MAX_TOKEN_BYTES + 8 or not values[0].isascii():
        raise TokenRefused("a call has one Authorization header, of a sane size")
    scheme, _, text = values[0].partition(" ")
    return scheme.lower(), text.strip()


def _origins(presented: Presented) -> set[str]:
    return {"/".join(address.split("/", 3)[:3]) for address in presented.addresses}
