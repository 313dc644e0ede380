"""What a node's `credence.toml` may say, read once when a process opens the node.

The environment overrides the file: `CREDENCE_NODE_MAX_EPSILON=2` stands for `max_epsilon = 2`.
Every error names the file (or the variable), the key and what it should be.
"""

import json
import os
import re
import tomllib
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from audit.witness_peers import MAX_EXTERNAL, ExternalWitness
from protocols.data_classes import is_data_class
from protocols.errors import HomeUnusable, InvalidInput
from protocols.identifiers import is_endpoint, is_member_id

SETTINGS_FILE = "credence.toml"
ENV_PREFIX = "CREDENCE_NODE_"


def _checked(holds: Callable[[str], bool], form: str) -> AfterValidator:
    def check(text: str) -> str:
        if not holds(text):
            raise ValueError(f"must be {form}")
        return text

    return AfterValidator(check)


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _is_listen(text: str) -> bool:
    # Port 0 asks the system for a free one.
    return is_endpoint(text.removesuffix(":0") + ":1" if text.endswith(":0") else text)


PRINTABLE = _checked(str.isprintable, "one line of printable characters")
MemberId = Annotated[str, _checked(is_member_id, "a letter, then 1 to 40 of a-z, 0-9 and hyphen")]
Endpoint = Annotated[str, _checked(is_endpoint, "host:port")]
Listen = Annotated[str, _checked(_is_listen, "host:port")]
MemberPort = Annotated[
    str, _checked(lambda text: not text or _is_listen(text), "host:port, or empty")
]
SourceClass = Annotated[str, _checked(is_data_class, "a source class of the catalogue")]
Day = Annotated[str, _checked(_is_day, "a day, YYYY-MM-DD")]
Role = Literal[
    "bank",
    "data_provider",
    "public_record_publisher",
    "licensed_agency",
    "platform_operator",
    "regulator",
]


def _is_origin(text: str) -> bool:
    # Browsers let passkeys and __Host- cookies work on HTTPS and on this machine alone.
    return _ORIGIN.fullmatch(text) is not None


_ORIGIN = re.compile(
    r"https://[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?(:[0-9]{1,5})?"
    r"|http://(localhost|127\.0\.0\.1)(:[0-9]{1,5})?"
)
_ISSUER = re.compile(rf"({_ORIGIN.pattern})(/[!-~]{{0,300}})?")


def _is_issuer(text: str) -> bool:
    return _ISSUER.fullmatch(text) is not None and "?" not in text and "#" not in text


_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?")
Origin = Annotated[
    str, _checked(_is_origin, "https://HOST or http://localhost, a port, and nothing after it")
]
Domain = Annotated[
    str, _checked(lambda text: not text or bool(_DOMAIN.fullmatch(text)), "a domain, or empty")
]


def _is_witness(line: str) -> bool:
    try:
        ExternalWitness.parse(line)
    except InvalidInput:
        return False
    return True


WitnessLine = Annotated[
    str, StringConstraints(max_length=600), _checked(_is_witness, "ORGANISATION KEY URL")
]
Cidr = Annotated[str, _checked(lambda text: _is_network(text), "a network, such as 10.0.0.0/8")]
Address = Annotated[str, _checked(lambda text: _is_address(text), "an IP address")]


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def end_of_day_ms(day: str) -> int:
    """The midnight (UTC) that ends a day `YYYY-MM-DD`, UTC milliseconds."""
    midnight = datetime.combine(date.fromisoformat(day), time.min, UTC) + timedelta(days=1)
    return int(midnight.timestamp()) * 1000


class SettingsInvalid(InvalidInput):
    """The node's settings do not hold."""

    code = "settings_invalid"
    next_step = "Correct that key and start again."


class NodeSettings(BaseSettings):
    """Settings of one node.

    Attributes:
        member_id: the institution's id in the network, also the label of its host name.
        name: legal name, as the directory shows it.
        role: what kind of institution it is.
        licence: licence number, as the directory shows it; may be empty.
        licence_until: last day of the licence, YYYY-MM-DD; None: it does not end.
        contact: where a subject or another member reaches it; may be empty.
        holds: source classes of the catalogue whose records this node keeps.
        listen: where other members are served over mutual TLS; empty: no connection is accepted,
            and members come through the coordinator's relay.
        http: where the HTTP API is served.
        endpoint: what members dial, when that differs from `listen`.
        relay: whether members may also come through the relay; None: when nothing is listened on.
        database_url: any SQLAlchemy URL; empty: `node.db` in the home directory.
        as_of: the day (YYYY-MM-DD) that every signal's window closes before; None: the end of the
            last statement month in the records.
        max_epsilon: privacy budget of a population over all campaigns; none is joined past it.
        delta: the delta at which epsilon is counted.
        minimum_cohort: fewest consented subjects with which this node takes part in training.
        max_epsilon_alone: the most a population may lose by this node's own noise alone, that is
            if all other parties conspire (`distributed` plans only); None: no such ceiling.
        minimum_quorum: fewest members that must be in every round that this node takes part in.
        masked_only: whether only masked sums are taken part in; otherwise the coordinator may see
            this node's part of them.
        max_hidden: largest hidden layer of a network that it trains.
        architectures: kinds of network it trains: `wide_deep`, and `wide_deep_prior`, which starts
            from a public prior.
        train_purposes: what a model may be for, as plans call it.
        max_watch_epsilon: what all watches of models in force together may cost the people here;
            it is part of `max_epsilon`, not beside it; 0: none are taken part in.
        train: whether to keep a training worker; None: banks do.
        fetch_deadline_s: how long a fetch for one score waits for its holders, seconds.
        status_life_s: how long a status list is relied on, this node's by others and others' here,
            seconds; a withdrawal bites within it wherever nothing else arrives.
        refresh_s: how often the directory and the catalogue are refreshed, seconds.
        directory_max_age_s: how old the newest directory may be while this node releases anything,
            seconds. The coordinator issues one every five minutes, and any peer passes it on; who
            has had none for a day is cut off from all of them, and would not hear of a member that
            was revoked. A shorter limit makes a night's outage of the coordinator one of all its
            members; a longer one gives more time to somebody who keeps a revocation from a node.
        evaluation_quota: as a trustee, identifiers that one member may have evaluated a UTC day.
        enrolment_processes: for large enrolments; None: one a processor.
        retention_runs: whether the running node deletes once a day what its schedules say; off
            where the records are of a past that is played again.
        public_url: where people find the portal, scheme and host; None: `http` on localhost.
        rp_id: domain that passkeys are bound to, the public host or one above it; empty: that host.
        origins: other addresses of the same pages.
        proxies: addresses of the reverse proxies in front of `http`, whose X-Forwarded-For counts.
        plain_tokens: whether API clients may have plain bearer tokens, which open everything for
            whoever copies one; for sandboxes.
        client_rate: calls a second of one API client in the long run, unless it has its own.
        client_burst: calls at once, likewise.
        client_daily_quota: calls a UTC day, likewise.
        client_certificate_header: where `proxies` tell the certificate of an API client's TLS
            connection: `Client-Cert` (RFC 9440), or another with its SHA-256 in hex; empty: they
            do not. They have to remove it from what comes from outside.
        oidc_issuer: the institution's own sign-in service (OpenID Connect); None: there is none.
        oidc_client_id: this node's name there.
        oidc_secret_file: file that holds its secret there, from the home directory; empty: none.
        oidc_scopes: what is asked for.
        oidc_customer_claim: the claim of its ID tokens that holds the customer number.
        oidc_second_factor: whether it always asks for more than a password.
        metrics_token_file: file that holds the token of who reads `/metrics`, from the home
            directory; empty: it is read from this machine alone, and not through a proxy.
        otlp_endpoint: where traces are sent, the base address of an OpenTelemetry collector (OTLP
            over HTTP; takes the extra `telemetry`); None: none are made.
        witness_minimum: how many other organisations must cosign this node's log before it counts
            as witnessed; 0 only where the network is too small to have two: nothing stops then.
        witness_heartbeat_s: how often the log's head is cosigned, seconds.
        witness_degraded_s: after how long without witnesses the node says so, seconds.
        witness_stopped_s: after how long scores, releases and training stop, seconds; consents and
            rights never do.
        witnesses: witnesses outside the network, each `ORGANISATION KEY URL`.
        monitor_every_s: how often a person who is watched over is looked at, seconds, besides when
            there are new records.
        webhook_networks: networks (CIDR) that webhooks may go to besides public addresses; plain
            `http` only to loopback addresses among them. Empty: nothing inside this network.
        webhook_ca_file: file of authorities, PEM, from the home directory, that the certificates of
            webhooks may be of besides the system's; empty: none.
        coordinator_endpoint: member port of the coordinator; written by `join`.
        directory_key: hex of the Ed25519 key that signs the network's documents; written by `join`.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    member_id: MemberId
    name: Annotated[str, StringConstraints(min_length=1, max_length=120), PRINTABLE]
    role: Role
    licence: Annotated[str, StringConstraints(max_length=120), PRINTABLE] = ""
    licence_until: Day | None = None
    contact: Annotated[str, StringConstraints(max_length=200), PRINTABLE] = ""
    holds: tuple[SourceClass, ...] = Field(default=(), max_length=16)
    listen: MemberPort = "127.0.0.1:7500"
    http: Listen = "127.0.0.1:7501"
    endpoint: Endpoint | None = None
    relay: bool | None = None
    database_url: str = ""
    as_of: Day | None = None
    max_epsilon: float = Field(default=3.0, gt=0, le=20)
    delta: float = Field(default=1e-5, gt=0, lt=1e-2)
    minimum_cohort: int = Field(default=100, ge=1)
    max_epsilon_alone: float | None = Field(default=None, gt=0, le=1000)
    minimum_quorum: int = Field(default=2, ge=1, le=1000)
    masked_only: bool = True
    max_hidden: int = Field(default=128, ge=1, le=256)
    max_watch_epsilon: float = Field(default=1.0, ge=0, le=20)
    architectures: tuple[Literal["wide_deep", "wide_deep_prior"], ...] = (
        "wide_deep",
        "wide_deep_prior",
    )
    train_purposes: tuple[
        Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,39}$")], ...
    ] = ("credit_scoring",)
    train: bool | None = None
    fetch_deadline_s: float = Field(default=2.0, gt=0, le=60)
    status_life_s: float = Field(default=60.0, ge=1, le=60)
    refresh_s: float = Field(default=10.0, ge=0.05, le=10)
    directory_max_age_s: float = Field(default=86_400.0, ge=60, le=7 * 86_400)
    evaluation_quota: int = Field(default=1_000_000, ge=0)
    enrolment_processes: int | None = Field(default=None, ge=1, le=256)
    retention_runs: bool = True
    public_url: Origin | None = None
    rp_id: Domain = ""
    origins: tuple[Origin, ...] = Field(default=(), max_length=8)
    proxies: tuple[Address, ...] = Field(default=(), max_length=16)
    plain_tokens: bool = False
    client_rate: float = Field(default=200.0, ge=0.01, le=100_000)
    client_burst: int = Field(default=400, ge=1, le=100_000)
    client_daily_quota: int = Field(default=2_000_000, ge=0, le=2**53 - 1)
    client_certificate_header: Annotated[
        str, StringConstraints(pattern=r"^([A-Za-z][A-Za-z0-9-]{0,59})?$")
    ] = ""
    oidc_issuer: Annotated[str, _checked(_is_issuer, "an https:// address")] | None = None
    oidc_client_id: Annotated[str, StringConstraints(max_length=200), PRINTABLE] = ""
    oidc_secret_file: Annotated[str, StringConstraints(max_length=500), PRINTABLE] = ""
    oidc_scopes: tuple[Annotated[str, StringConstraints(pattern=r"^[!-~]{1,60}$")], ...] = (
        "openid",
    )
    oidc_customer_claim: Annotated[str, StringConstraints(min_length=1, max_length=100)] = (
        "customer_id"
    )
    oidc_second_factor: bool = False
    metrics_token_file: Annotated[str, StringConstraints(max_length=500), PRINTABLE] = ""
    otlp_endpoint: Annotated[str, _checked(_is_issuer, "an https:// address")] | None = None
    witness_minimum: int = Field(default=2, ge=0, le=64)
    witness_heartbeat_s: float = Field(default=60.0, ge=0.1, le=3600)
    witness_degraded_s: int = Field(default=600, ge=1, le=86_400)
    witness_stopped_s: int = Field(default=4 * 3600, ge=1, le=7 * 86_400)
    witnesses: tuple[WitnessLine, ...] = Field(default=(), max_length=MAX_EXTERNAL)
    monitor_every_s: float = Field(default=86_400.0, ge=60, le=30 * 86_400)
    webhook_networks: tuple[Cidr, ...] = Field(default=(), max_length=16)
    webhook_ca_file: Annotated[str, StringConstraints(max_length=500), PRINTABLE] = ""
    coordinator_endpoint: Endpoint | None = None
    directory_key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the file, and nothing else."""
        return env_settings, init_settings

    @property
    def dialled(self) -> str | None:
        """The endpoint that other members dial; None: it accepts no connection."""
        return (self.endpoint or self.listen) if self.listen else None

    @property
    def keeps_relay(self) -> bool:
        """Whether a line to the coordinator's relay is kept."""
        return not self.listen if self.relay is None else self.relay

    @property
    def licence_until_ms(self) -> int | None:
        """The end of the licence's last day in UTC, milliseconds; None: it does not end."""
        return None if self.licence_until is None else end_of_day_ms(self.licence_until)

    @property
    def trains(self) -> bool:
        """Whether a training worker runs beside the node."""
        return self.role == "bank" if self.train is None else self.train

    @property
    def joined(self) -> bool:
        """Whether `join` has been through: a coordinator is known."""
        return self.coordinator_endpoint is not None and self.directory_key is not None


def load_settings(home: Path) -> NodeSettings:
    """Read HOME/credence.toml.

    Raises:
        HomeUnusable: there is no such file, or it cannot be read.
        SettingsInvalid: it is not TOML, has an unknown key or a value out of range.
    """
    path = home / SETTINGS_FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HomeUnusable(
            f"{home} is not a node's home: {SETTINGS_FILE} cannot be read ({error.strerror})",
            next_step="Make one with `credence node init HOME`, or correct the path.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{path}: {error}") from error
    return _validated(values, str(path))


def make_settings(**values: Any) -> NodeSettings:
    """Settings from arguments (None: the default), checked like a file's.

    Raises:
        SettingsInvalid: a value is out of range.
    """
    given = {key: value for key, value in values.items() if value is not None}
    return _validated(given, "options")


def settings_text(settings: NodeSettings) -> str:
    """`settings` as TOML."""
    values = settings.model_dump(mode="json", exclude_none=True)
    # A JSON string, number or array of strings is also a TOML one.
    return "".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items()
    )


def _validated(values: dict[str, Any], where: str) -> NodeSettings:
    try:
        return NodeSettings(**values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        variable = f"{ENV_PREFIX}{str(first['loc'][0]).upper()}" if first["loc"] else ""
        source = variable if variable in os.environ else f"{where}: {key}"
        raise SettingsInvalid(f"{source}: {first['msg']}") from error
