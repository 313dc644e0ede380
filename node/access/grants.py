"""The client credentials grant (RFC 6749 section 4.4): an assertion in, an access token out.

Checks, in this order:

  1. the form: the grant, the kind of assertion, nothing twice;
  2. the assertion names a client and a key of it that are both in force;
  3. the assertion itself (`protocols.oauth`, A1 to A5);
  4. the scopes asked for are the client's; none asked for: all of them;
  5. what the token will be bound to: the key of a DPoP proof, or the certificate of the connection;
  6. the client's rate;
  7. in one transaction with the leaf: client and key are still in force, and the assertion was not
     shown before.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from audit.database import Connection, Database
from audit.store import AuditLog
from node.access import keys as client_keys
from node.access.journal import ClientJournal
from node.access.limits import CallLimits
from node.access.presented import Presented
from node.access.proofs import Proofs
from node.access.refusals import Refusals
from node.access.tokens import LIFE_S, AccessToken, AccessTokens, Confirmation
from node.storage import access, clients
from node.storage.clients import ClientRow
from protocols.errors import CredenceError, InvalidInput, Malformed
from protocols.jose import Compact, PublicJwk
from protocols.oauth import (
    ASSERTION_TYPE,
    MAX_TOKEN_BYTES,
    AssertionRefused,
    asserted_client,
    check_assertion,
)

GRANT_TYPE = "client_credentials"
TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path


class TokenRequestInvalid(InvalidInput):
    """A token request of the wrong form."""

    code = "token_request_invalid"
    next_step = "Send grant_type, client_assertion_type and client_assertion as a form, each once."
    oauth: ClassVar[str] = "invalid_request"


class GrantUnknown(InvalidInput):
    """A grant that is not given here."""

    code = "grant_unknown"
    next_step = "Use grant_type=client_credentials."
    oauth: ClassVar[str] = "unsupported_grant_type"


class ScopeRefused(InvalidInput):
    """A scope was asked for that the client does not have."""

    code = "scope_refused"
    next_step = "Ask for scopes that the node's operator gave the client."
    oauth: ClassVar[str] = "invalid_scope"


@dataclass(frozen=True, slots=True)
class Granted:
    """An access token, given out.

    Attributes:
        token: compact JWS.
        token_type: `DPoP`, or `Bearer` when it is bound to a certificate.
        expires_in_s: seconds.
        scope: what it may be used for, space separated.
    """

    token: str
    token_type: str
    expires_in_s: int
    scope: str


class Grants:
    """Gives out access tokens; thread-safe."""

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        now_ms: Callable[[], int],
        *,
        refusals: Refusals,
        tokens: AccessTokens,
        proofs: Proofs,
        limits: CallLimits,
    ) -> None:
        self._database = database
        self._journal = ClientJournal(audit)
        self._refusals = refusals
        self._now_ms = now_ms
        self._tokens = tokens
        self._proofs = proofs
        self._limits = limits

    def grant(
        self, form: Sequence[tuple[str, str]], presented: Presented, issuers: Sequence[str]
    ) -> Granted:
        """Give out a token, by checks 1 to 7.

        Args:
            form: fields of the request, in order.
            presented: what came with it.
            issuers: what this server is called; the first is what the token is for.

        Raises:
            TokenRequestInvalid, GrantUnknown: check 1.
            AssertionRefused: check 2, 3 or 7.
            ScopeRefused: check 4.
            ProofRefused, ProofMemoryFull: check 5.
            RateLimited, QuotaExceeded: check 6.
        """
        named: list[str] = []
        try:
            return self._grant(_fields(form), presented, issuers, named)
        except CredenceError as error:
            if error.category != "internal":
                self._refusals.note(named[0] if named else None, error.code)
            raise

    def _grant(
        self,
        fields: Mapping[str, str],
        presented: Presented,
        issuers: Sequence[str],
        named: list[str],
    ) -> Granted:
        now_ms = self._now_ms()
        assertion = _assertion(fields)  # 1
        client_id, kid = asserted_client(assertion)
        if fields.get("client_id", client_id) != client_id:
            raise AssertionRefused("client_id and the assertion name different clients")
        with self._database.read() as connection:
            row, key = _in_force(connection, client_id, kid, now_ms)  # 2
        named.append(client_id)
        audiences = {*issuers, *(issuer + TOKEN_PATH for issuer in issuers)}
        shown = check_assertion(assertion, key, client_id, audiences, now_ms / 1000)  # 3
        scopes = _scopes(fields, row)  # 4
        binding, bound_to = self._binding(presented)  # 5
        self._limits.take(row, presented.told)  # 6
        token = AccessToken(
            client_id=client_id,
            scopes=scopes,
            generation=row.generation,
            binding=binding,
            bound_to=bound_to,
            audience=issuers[0],
            expires_s=now_ms // 1000 + LIFE_S,
        )
        with self._database.write() as connection:  # 7
            current, _ = _in_force(connection, client_id, kid, now_ms)
            if current.generation != row.generation:
                raise AssertionRefused("the client's keys were replaced just now")
            if not access.spend(connection, shown.digest, shown.until_s * 1000):
                raise AssertionRefused("the assertion was shown before")
            self._journal.issued(
                connection, client_id, now_ms, key=key.thumbprint, scopes=sorted(scopes)
            )
        scope = " ".join(sorted(scopes))
        kind = "DPoP" if binding == "jkt" else "Bearer"
        return Granted(self._tokens.issue(token), kind, LIFE_S, scope)

    def _binding(self, presented: Presented) -> tuple[Confirmation, str]:
        if presented.certificate is not None and not presented.proofs:
            return "x5t#S256", presented.certificate
        return "jkt", self._proofs.check(presented)


def _fields(form: Sequence[tuple[str, str]]) -> dict[str, str]:
    fields = dict(form)
    if len(fields) != len(form):  # RFC 6749 section 3.2
        raise TokenRequestInvalid("a field of the token request is there twice")
    return fields


def _assertion(fields: Mapping[str, str]) -> Compact:
    if fields.get("grant_type") != GRANT_TYPE:
        if "grant_type" not in fields:
            raise TokenRequestInvalid("the token request has no grant_type")
        raise GrantUnknown("this grant_type is not given here")
    if fields.get("client_assertion_type") != ASSERTION_TYPE:
        raise AssertionRefused("clients authenticate with a client_assertion (private_key_jwt)")
    try:
        return Compact.parse(fields.get("client_assertion", ""), max_bytes=MAX_TOKEN_BYTES)
    except Malformed as error:
        raise AssertionRefused("the assertion is not a JWT") from error


def _in_force(
    connection: Connection, client_id: str, kid: str, now_ms: int
) -> tuple[ClientRow, PublicJwk]:
    row = clients.find(connection, client_id)
    keys = client_keys.in_force(connection, client_id, now_ms) if row is not None else []
    found = next((key for key in keys if key.kid == kid), None)
    if row is None or row.revoked_at_ms is not None or found is None:
        raise AssertionRefused("no client with this key is in force")
    return row, client_keys.public_key(found.jwk)


def _scopes(fields: Mapping[str, str], row: ClientRow) -> frozenset[str]:
    own = frozenset(row.scopes.split())
    asked = frozenset(fields.get("scope", "").split()) or own
    if not asked <= own:
        raise ScopeRefused("the client does not have a scope that it asks for")
    return asked
