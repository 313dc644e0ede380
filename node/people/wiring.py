"""Puts the accounts' room together from a node's settings and parts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from audit.database import Database
from audit.store import AuditLog
from node.people.accounts import Accounts
from node.people.attempts import AttemptLimits, Attempts
from node.people.challenges import Challenges
from node.people.factors import FactorService
from node.people.journal import Journal
from node.people.oidc import Fetch, Oidc, OidcSettings
from node.people.oidc_http import ProviderHttp
from node.people.secrets import PeopleKeys
from node.people.sessions import Sessions
from node.people.sign_in import SignIn
from node.people.staff import Staff
from node.people.tickets import Tickets
from node.settings import NodeSettings, SettingsInvalid
from protocols.passkeys import RelyingParty
from protocols.passwords import PasswordCost, Passwords

OIDC_RETURN = "/portal/sign-in/institution/return"


@dataclass(frozen=True)
class People:
    """Accounts of people and staff.

    Attributes:
        relying_party: the site that passkeys are bound to.
        origins: addresses of the pages, the public one first.
        proxies: reverse proxies in front of them.
        accounts: made, found, closed.
        staff: accounts at the desk.
        sessions: who is signed in.
        sign_in: opens sessions.
        factors: what accounts are opened with.
        oidc: sign-in through the institution's own service; None: it has none.
        attempts: what limits guessing; drops what has ended.
    """

    relying_party: RelyingParty
    origins: tuple[str, ...]
    proxies: tuple[str, ...]
    accounts: Accounts
    staff: Staff
    sessions: Sessions
    sign_in: SignIn
    factors: FactorService
    oidc: Oidc | None
    attempts: Attempts


def make_people(
    settings: NodeSettings,
    *,
    home: Path,
    kek: bytes,
    database: Database,
    audit: AuditLog,
    clock: Callable[[], int],
    cost: PasswordCost | None = None,
    limits: AttemptLimits | None = None,
    fetch: Fetch | None = None,
) -> People:
    """The accounts of one node.

    Args:
        settings: of the node.
        home: its directory, which a relative path of a secret starts from.
        kek: its key-encryption key, 32 bytes.
        database: with the node's tables.
        audit: its log.
        clock: UTC milliseconds.
        cost: of a password's hash; None: the default.
        limits: on attempts to sign in; None: the default.
        fetch: reaches the OpenID provider; None: over HTTP.

    Raises:
        SettingsInvalid: addresses, or those of the OpenID provider, do not fit together.
    """
    keys, journal, passwords = PeopleKeys.derive(kek), Journal(audit), Passwords(cost)
    origins, party = addresses(settings)
    sessions = Sessions(database, clock)
    attempts = Attempts(database, keys, clock, limits)
    challenges, tickets = Challenges(keys, clock), Tickets(keys, clock)
    accounts = Accounts(
        database=database,
        keys=keys,
        attempts=attempts,
        sessions=sessions,
        journal=journal,
        clock=clock,
    )
    oidc = None
    if (provider := _oidc_settings(settings, home, origins[0])) is not None:
        oidc = Oidc(
            provider,
            fetch=fetch or ProviderHttp(),
            database=database,
            tickets=tickets,
            accounts=accounts,
            attempts=attempts,
            sessions=sessions,
            journal=journal,
            clock=clock,
        )
    return People(
        relying_party=party,
        origins=origins,
        proxies=settings.proxies,
        accounts=accounts,
        staff=Staff(database=database, accounts=accounts, journal=journal, clock=clock),
        sessions=sessions,
        sign_in=SignIn(
            database=database,
            keys=keys,
            attempts=attempts,
            challenges=challenges,
            sessions=sessions,
            journal=journal,
            passwords=passwords,
            relying_party=party,
            clock=clock,
        ),
        factors=FactorService(
            database=database,
            keys=keys,
            challenges=challenges,
            tickets=tickets,
            sessions=sessions,
            journal=journal,
            passwords=passwords,
            relying_party=party,
            clock=clock,
        ),
        oidc=oidc,
        attempts=attempts,
    )


def addresses(settings: NodeSettings) -> tuple[tuple[str, ...], RelyingParty]:
    """The origins of a node's pages, the public one first, and the site of its passkeys.

    Raises:
        SettingsInvalid: `rp_id` is not the public host or a domain above it.
    """
    port = settings.http.rpartition(":")[2]
    if settings.public_url is not None:
        first: tuple[str, ...] = (settings.public_url,)
    else:
        first = (f"http://localhost:{port}", f"http://127.0.0.1:{port}")
    origins = tuple(dict.fromkeys((*first, *settings.origins)))
    host = urlsplit(origins[0]).hostname or ""
    rp_id = settings.rp_id or host
    if host != rp_id and not host.endswith(f".{rp_id}"):
        raise SettingsInvalid(f"rp_id: must be {host} or a domain above it")
    return origins, RelyingParty(rp_id=rp_id, origins=origins, name=settings.name)


def _oidc_settings(settings: NodeSettings, home: Path, public: str) -> OidcSettings | None:
    if settings.oidc_issuer is None:
        return None
    if not settings.oidc_client_id:
        raise SettingsInvalid("oidc_client_id: must be there when oidc_issuer is")
    if "openid" not in settings.oidc_scopes:
        raise SettingsInvalid("oidc_scopes: must hold openid")
    return OidcSettings(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        secret_file=home / settings.oidc_secret_file if settings.oidc_secret_file else None,
        scopes=settings.oidc_scopes,
        customer_claim=settings.oidc_customer_claim,
        second_factor=settings.oidc_second_factor,
        redirect_uri=public + OIDC_RETURN,
    )
