"""The console as a server of its own beside a coordinator's ports."""

import hmac
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Response
from starlette.exceptions import HTTPException

from api.http import problems
from api.http.accounts.site import Site
from api.http.limits import BodyLimits, LimitedBodies
from api.http.log import coordinator_log_routes
from api.http.operator.campaigns import campaign_routes
from api.http.operator.commands import Commands
from api.http.operator.events import event_routes
from api.http.operator.live import Live, LiveLimits
from api.http.operator.members import member_routes
from api.http.operator.models import model_routes
from api.http.operator.overview import overview_routes
from api.http.operator.privacy import privacy_routes
from api.http.operator.relay import relay_routes
from api.http.operator.room import Room
from api.http.operator.session import PREFIX, OperatorSessions
from api.http.operator.sign_in import sign_in_routes
from api.http.operator.watch import watch_routes
from api.http.regulator.network import network_console
from api.http.regulator.reader import PREFIX as REGULATOR
from api.http.requests import RequestContext
from api.http.server import HttpServer
from api.http.web.language import Texts
from api.http.web.pages import Pages
from api.http.web.routes import page_router, see_other
from api.http.web.static_files import StaticFiles
from audit.proofs import LogReader
from coordinator.bootstrap import Coordinator
from coordinator.console.access import ConsoleAccess
from coordinator.console.reader import make_console
from coordinator.oversight.access import RegulatorAccess
from coordinator.settings import LOOPBACK, CoordinatorSettings
from protocols.errors import InvalidInput
from protocols.passkeys import RelyingParty

# Forms hold a token or a short text, calls what a passkey signed.
_LIMITS = BodyLimits(max_bytes=32 * 1024, form_paths=(f"{PREFIX}/", f"{REGULATOR}/"))


class ConsoleFace:
    """Serves the console of one coordinator; bound when it is made.

    Raises:
        PortInUse: its port is taken.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        listen: str,
        *,
        home: str,
        limits: LiveLimits | None = None,
        clock: Callable[[], int] | None = None,
    ) -> None:
        """Put it together and bind.

        Args:
            coordinator: whose.
            listen: `host:port`; port 0: any that is free.
            home: its directory as the operator calls it, for the commands on the pages.
            limits: of live streams.
            clock: UTC milliseconds.
        """
        clock = clock or _now_ms
        self.access = ConsoleAccess(coordinator.database, coordinator.audit, clock)
        console = make_console(coordinator, clock)
        self.live = Live(console.fingerprints, limits)
        # Bound before it is filled: the origin, and so the cookies, depend on the port.
        self.app = FastAPI(
            title="Credence operator console", docs_url=None, redoc_url=None, openapi_url=None
        )
        self._server = HttpServer(self.app, listen)
        settings = coordinator.settings
        self.origin = origin_of(settings, _with_port(listen, self._server.port))
        site = Site(_origins(self.origin))
        static_files = StaticFiles.load()
        pages = Pages(settings.name, texts=Texts.load(), static_files=static_files)
        room = Room(
            pages=pages,
            sessions=OperatorSessions(self.access, site),
            console=console,
            live=self.live,
            commands=Commands(home),
        )
        self.regulators = regulator_access(coordinator, clock, self.origin)
        supervision = network_console(
            coordinator, console, pages, self.regulators, site, room.commands.regulator()
        )
        reader = LogReader(
            coordinator.audit, coordinator.database, lambda: coordinator.keys.directory, clock
        )
        log = coordinator_log_routes(
            reader, lambda request: room.sessions.find(request) is not None
        )
        _fill(self.app, room, static_files, [log, *supervision])

    @property
    def port(self) -> int:
        """The port that was bound."""
        return self._server.port

    def link(self, token: str) -> str:
        """The address that spends a link's token."""
        return link_of(self.origin, token)

    def start(self) -> None:
        """Serve."""
        self._server.start()

    def stop(self) -> None:
        """End the streams, let running requests end, close."""
        self.live.close()
        self._server.stop()


def console_face(coordinator: Coordinator, home: str) -> ConsoleFace | None:
    """The console as the settings ask for it; None when they ask for none.

    Raises:
        PortInUse: its port is taken.
    """
    listen = coordinator.settings.listen_console
    return ConsoleFace(coordinator, listen, home=home) if listen else None


def origin_of(settings: CoordinatorSettings, listen: str = "") -> str:
    """What a browser calls the console.

    Raises:
        InvalidInput: the settings turn the console off.
    """
    where = listen or settings.listen_console
    if not where:
        raise InvalidInput(
            "the console is turned off: listen_console is empty",
            next_step="Set listen_console in credence.toml and start the coordinator again.",
        )
    return settings.console_origin or f"http://{where}"


def link_of(origin: str, token: str) -> str:
    """The address that spends a link's token."""
    return f"{origin}{PREFIX}/enter?token={token}"


def regulator_access(
    coordinator: Coordinator, clock: Callable[[], int], origin: str
) -> RegulatorAccess:
    """The regulators of a network, whose passkeys are bound to where its console is."""
    own = passkey_origin(origin)
    party = RelyingParty(urlsplit(own).hostname or "", (own,), coordinator.settings.name)
    key = hmac.digest(coordinator.keys.kek, b"credence/1|regulator|challenges", "sha256")
    return RegulatorAccess(coordinator.database, coordinator.audit, key, party, clock)


def passkey_origin(origin: str) -> str:
    """The name of the console that passkeys are bound to: an address is no domain (WebAuthn)."""
    scheme, _, rest = origin.partition("://")
    host, _, port = rest.rpartition(":")
    return f"{scheme}://localhost:{port}" if scheme == "http" and host in LOOPBACK else origin


def _fill(
    app: FastAPI, room: Room, static_files: StaticFiles, supervision: list[APIRouter]
) -> None:
    problems.install(app)
    app.include_router(static_files.routes())
    for router in (
        sign_in_routes(room.pages, room.sessions, room.commands),
        event_routes(room),
        overview_routes(room),
        member_routes(room),
        campaign_routes(room),
        privacy_routes(room),
        model_routes(room),
        watch_routes(room),
        relay_routes(room),
        _nothing_else(room),
        *supervision,
        _nothing_at(room.pages),
    ):
        app.include_router(router)

    @app.get("/", include_in_schema=False)
    def root() -> Response:
        return see_other(f"{PREFIX}/")

    app.add_middleware(LimitedBodies, limits=_LIMITS)
    app.add_middleware(RequestContext)


def _nothing_else(room: Room) -> APIRouter:
    router = room.router()

    @router.api_route("/{rest:path}", methods=["GET", "POST"])
    def nothing() -> Response:
        """A page, not a problem document, for an address that leads nowhere."""
        raise HTTPException(404)

    return router


def _nothing_at(pages: Pages) -> APIRouter:
    router = page_router(pages, REGULATOR, face="regulator")

    @router.api_route("/{rest:path}", methods=["GET", "POST"])
    def nothing() -> Response:
        """A page for an address that leads nowhere."""
        raise HTTPException(404)

    return router


def _origins(origin: str) -> tuple[str, ...]:
    """The origin, and its other names on loopback."""
    scheme, _, rest = origin.partition("://")
    host, _, port = rest.rpartition(":")
    if scheme == "http" and host in LOOPBACK:
        others = sorted(LOOPBACK - {host})
        return (origin, *(f"http://{other}:{port}" for other in others))
    return (origin,)


def _with_port(listen: str, port: int) -> str:
    return f"{listen.rpartition(':')[0]}:{port}"


def _now_ms() -> int:
    return int(time.time() * 1000)
