"""What a coordinator's `credence.toml` may say, read once when its process starts.

The environment overrides the file (`CREDENCE_COORDINATOR_LISTEN_MEMBERS=0.0.0.0:7400`). Every
error names the file, the key and what it should be.
"""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from audit.witness_peers import MAX_EXTERNAL, ExternalWitness
from protocols.errors import HomeUnusable, InvalidInput

SETTINGS_FILE = "credence.toml"

# "host:port"; an IPv6 host stands in brackets.
Endpoint = Annotated[
    str,
    StringConstraints(pattern=r"^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$", max_length=260),
]

HttpsOrigin = Annotated[
    str, StringConstraints(pattern=r"^https://[a-z0-9.-]+(:[0-9]{1,5})?$", max_length=260)
]


def _witness_line(line: str) -> str:
    try:
        ExternalWitness.parse(line)
    except InvalidInput as error:
        raise ValueError(error.message) from error
    return line


WitnessLine = Annotated[str, StringConstraints(max_length=600), AfterValidator(_witness_line)]
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})


class CoordinatorSettingsInvalid(InvalidInput):
    """The coordinator's settings do not hold."""

    code = "coordinator_settings_invalid"
    next_step = "Correct that line of credence.toml and start again."


class CoordinatorSettings(BaseSettings):
    """Settings of one coordinator.

    Attributes:
        name: the network's name; also the origin of its audit log and the subject of its CA.
        listen_members: where members are served over mutual TLS.
        listen_enrolment: where invited nodes join over TLS.
        members_endpoint: what members dial, when that differs from `listen_members`.
        enrolment_endpoint: what invited nodes dial, when it differs from `listen_enrolment`.
        listen_console: where the operator's console is served; empty: nowhere.
        console_origin: what a browser calls the console, when a proxy with TLS stands before it
            (`https://console.example`); needed when it does not listen on loopback.
        database_url: any SQLAlchemy URL; empty: `coordinator.db` in the home directory.
        certificate_days: life of a member's certificate, 1..90.
        overlap_hours: how long a replaced certificate is honoured beside its successor, 1..720.
        invitation_hours: life of an invitation, 1..720.
        witness_minimum: how many other organisations must cosign this log before it counts as
            witnessed; 0 only where the network has fewer members than two.
        witness_heartbeat_s: how often the log's head is signed anew, seconds.
        witness_degraded_s: after how long without witnesses the coordinator says so, seconds.
        witness_stopped_s: after how long it says that it is stopped, seconds.
        witnesses: witnesses outside the network, each `ORGANISATION KEY URL`.
        campaign_poll_s: how often the campaign table is looked at, seconds.
        auto_promote: whether the bundle of a completed campaign becomes champion at once; if not,
            it waits for `credence coordinator models`. The first one always does.
        campaign_hours: from a campaign's proposal to its deadline, unless it asks for another.
    """

    model_config = SettingsConfigDict(
        env_prefix="CREDENCE_COORDINATOR_", extra="forbid", frozen=True
    )

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{0,62}$")] = "credence"
    listen_members: Endpoint = "127.0.0.1:7400"
    listen_enrolment: Endpoint = "127.0.0.1:7401"
    members_endpoint: Endpoint | None = None
    enrolment_endpoint: Endpoint | None = None
    listen_console: Endpoint | Literal[""] = "127.0.0.1:7402"
    console_origin: HttpsOrigin | None = None
    database_url: str = ""
    certificate_days: int = Field(default=90, ge=1, le=90)
    overlap_hours: int = Field(default=72, ge=1, le=720)
    invitation_hours: int = Field(default=72, ge=1, le=720)
    witness_minimum: int = Field(default=2, ge=0, le=64)
    witness_heartbeat_s: float = Field(default=60.0, ge=0.1, le=3600)
    witness_degraded_s: int = Field(default=600, ge=1, le=86_400)
    witness_stopped_s: int = Field(default=4 * 3600, ge=1, le=7 * 86_400)
    witnesses: tuple[WitnessLine, ...] = Field(default=(), max_length=MAX_EXTERNAL)
    campaign_poll_s: float = Field(default=0.2, ge=0.05, le=60)
    auto_promote: bool = True
    campaign_hours: int = Field(default=48, ge=1, le=24 * 90)

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

    @model_validator(mode="after")
    def _console_in_the_clear_on_loopback_only(self) -> Self:
        if self.listen_console and self.console_origin is None:
            host = self.listen_console.rpartition(":")[0]
            if host not in LOOPBACK:
                raise ValueError("listen_console off loopback needs a console_origin with https")
        return self

    @property
    def dialled_by_members(self) -> str:
        """The endpoint that members dial."""
        return self.members_endpoint or self.listen_members

    @property
    def dialled_to_enrol(self) -> str:
        """The endpoint that invited nodes dial."""
        return self.enrolment_endpoint or self.listen_enrolment


def load_settings(home: Path) -> CoordinatorSettings:
    """Read HOME/credence.toml.

    Raises:
        HomeUnusable: there is no such file, or it cannot be read.
        CoordinatorSettingsInvalid: it is not TOML, has an unknown key or a value out of range.
    """
    path = home / SETTINGS_FILE
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HomeUnusable(
            f"{home} is not a coordinator's home: {SETTINGS_FILE} cannot be read",
            next_step="Make one with `credence coordinator init HOME`, or correct the path.",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CoordinatorSettingsInvalid(f"{path}: {error}") from error
    return _validated(values, str(path))


def make_settings(**values: Any) -> CoordinatorSettings:
    """Settings from arguments (None: the default), checked like a file's.

    Raises:
        CoordinatorSettingsInvalid: a value is out of range.
    """
    return _validated({key: value for key, value in values.items() if value is not None}, "options")


def save_settings(home: Path, settings: CoordinatorSettings) -> None:
    """Write `settings` as HOME/credence.toml."""
    lines = [
        # A JSON string or number is also a TOML one.
        f"{key} = {json.dumps(value)}"
        for key, value in settings.model_dump(exclude_none=True).items()
    ]
    (home / SETTINGS_FILE).write_text("\n".join([*lines, ""]), encoding="utf-8")


def _validated(values: dict[str, Any], where: str) -> CoordinatorSettings:
    try:
        return CoordinatorSettings(**values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise CoordinatorSettingsInvalid(f"{where}: {key}: {first['msg']}") from error
