"""Puts a node's access together from its settings and parts."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from audit.database import Database
from audit.store import AuditLog
from node.access.clients import Clients
from node.access.grants import Grants
from node.access.idempotency import KEPT_MS, KeyedCalls
from node.access.limits import DAY_MS, CallLimits, Limits
from node.access.proofs import Proofs
from node.access.refusals import Refusals
from node.access.tokens import AccessTokens
from node.settings import NodeSettings
from node.storage import access, keyed_calls
from protocols.errors import CredenceError


@dataclass(frozen=True)
class Front:
    """What is in front of the API.

    Attributes:
        origins: what it is called; empty: `localhost` at the port that a call came to.
        proxies: addresses of the reverse proxies in front of it.
        certificate_header: in which they tell the client's certificate; empty: they do not.
    """

    origins: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    certificate_header: str = ""


@dataclass(frozen=True)
class Access:
    """Who may call, and how it is shown.

    Attributes:
        clients: added, recognised, revoked.
        grants: gives out access tokens.
        tokens: signs and verifies them.
        keyed_calls: calls with an Idempotency-Key.
        front: what is in front of the API.
    """

    clients: Clients
    grants: Grants
    tokens: AccessTokens
    keyed_calls: KeyedCalls
    front: Front
    _limits: CallLimits
    _database: Database
    _clock: Callable[[], int]

    def tidy(self) -> None:
        """Drop what has ended."""
        now_ms = self._clock()
        with self._database.write() as connection:
            access.forget_spent(connection, now_ms)
            access.forget_usage(connection, now_ms // DAY_MS - 1)
            keyed_calls.forget(connection, now_ms - KEPT_MS)

    def close(self) -> None:
        """Give back what was set aside of quotas; when that fails, it counts as used."""
        with suppress(CredenceError):
            self._limits.give_back()


def make_access(
    settings: NodeSettings, *, database: Database, audit: AuditLog, clock: Callable[[], int]
) -> Access:
    """The access of one node.

    Args:
        settings: of the node.
        database: with the node's tables.
        audit: its log.
        clock: UTC milliseconds.
    """
    limits = CallLimits(
        database,
        Limits(settings.client_rate, settings.client_burst, settings.client_daily_quota),
        clock,
    )
    tokens, proofs = AccessTokens(clock), Proofs(clock)
    refusals = Refusals(database, audit, clock)
    clients = Clients(
        database,
        audit,
        refusals=refusals,
        tokens=tokens,
        proofs=proofs,
        limits=limits,
        plain_tokens=settings.plain_tokens,
    )
    grants = Grants(
        database,
        audit,
        clock,
        refusals=refusals,
        tokens=tokens,
        proofs=proofs,
        limits=limits,
    )
    public = () if settings.public_url is None else (settings.public_url, *settings.origins)
    return Access(
        clients=clients,
        grants=grants,
        tokens=tokens,
        keyed_calls=KeyedCalls(database, clock),
        front=Front(public, settings.proxies, settings.client_certificate_header),
        _limits=limits,
        _database=database,
        _clock=clock,
    )
