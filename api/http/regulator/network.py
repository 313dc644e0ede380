"""The network: the morning's page and the coordinator's registers. Nothing here is about people."""

from collections import Counter
from typing import Any

from fastapi import APIRouter, Request, Response

from api.http.accounts.site import Site
from api.http.regulator.export import export_routes
from api.http.regulator.incidents import incident_routes
from api.http.regulator.log import log_routes
from api.http.regulator.network_session import NetworkReaders
from api.http.regulator.network_sign_in import network_sign_in_routes
from api.http.regulator.room import Room, sign_out_routes
from api.http.regulator.spent import spent_chart
from api.http.web.pages import Pages
from api.http.web.plots import rows as draw_rows
from audit.database import Connection
from audit.incidents import every
from audit.oversight import Oversight
from coordinator.bootstrap import Coordinator
from coordinator.console.reader import Console
from coordinator.console.views import MemberLine, Privacy
from coordinator.oversight.access import RegulatorAccess

LICENCE_SOON_DAYS = 30
_MOST_BARS = 12
REGISTERS = (
    ("members.csv", "members"),
    ("models.csv", "models"),
    ("campaigns.csv", "campaigns"),
    ("epsilon.csv", "epsilon"),
    ("incidents.csv", "incidents"),
)


def network_console(
    coordinator: Coordinator,
    console: Console,
    pages: Pages,
    access: RegulatorAccess,
    site: Site,
    command: str,
) -> list[APIRouter]:
    """The routes of `/regulator/` at a coordinator."""
    readers = NetworkReaders(access, site)
    oversight = Oversight(
        coordinator.database, coordinator.audit, lambda: coordinator.keys.directory, console.clock,
        coordinator.witnessing.keeper.policy,
    )  # fmt: skip
    room = Room(
        pages=pages,
        readers=readers,
        oversight=oversight,
        place="regulator_network",
        member_name=lambda one: _names(console).get(one, one),
    )
    return [
        *network_sign_in_routes(pages, readers, command),
        sign_out_routes(room),
        network_routes(room, console),
        log_routes(room),
        incident_routes(room),
        export_routes(room, REGISTERS),
    ]


def network_routes(room: Room, console: Console) -> APIRouter:
    """The pages; each is read while the transaction with its leaf is open."""
    router = room.router()
    _morning(router, room, console)
    _members(router, room, console)
    _models(router, room, console)
    _epsilon(router, room, console)
    return router


def _morning(router: APIRouter, room: Room, console: Console) -> None:
    @router.get("/")
    def morning(request: Request) -> Response:
        """What a supervisor wants to see first."""
        reader = room.readers.require(request)
        with room.reading(reader, "morning") as connection:
            members, models = console.members(), console.models()
            campaigns, privacy, alerts = console.campaigns(), console.privacy(), console.alerts()
            incidents = every(connection)
            health = room.oversight.health(connection)
        soon = [one for one in members if _ends_soon(one)]
        return room.page(
            request, "network.html", reader, members=members, soon=soon, health=health,
            standing=Counter(one.facts.status for one in members), alerts=alerts,
            incidents=[one for one in incidents if one.is_open],
            active=next((one for one in models if one.standing == "champion"), None),
            campaigns=campaigns, ended=Counter(one.state for one in campaigns),
            **_licences(room, request, members), **_spent(room, request, privacy),
        )  # fmt: skip


def _members(router: APIRouter, room: Room, console: Console) -> None:
    @router.get("/members")
    def members(request: Request) -> Response:
        """Members and their licences."""
        reader = room.readers.require(request)
        with room.reading(reader, "members"):
            found = console.members()
        return room.page(request, "members.html", reader, members=found, soon=LICENCE_SOON_DAYS)

    header = ("member_id", "name", "role", "status", "licence", "licence_until_ms",
              "licence_days", "joined_at_ms")  # fmt: skip
    room.add_register(router, "members.csv", header, lambda _: [
        (one.facts.member_id, one.facts.name, one.facts.role, one.facts.status,
         one.facts.licence, one.facts.licence_until_ms, one.licence_days, one.facts.joined_at_ms)
        for one in console.members()
    ])  # fmt: skip


def _models(router: APIRouter, room: Room, console: Console) -> None:
    @router.get("/models")
    def models(request: Request) -> Response:
        """Versions and their cards."""
        reader = room.readers.require(request)
        with room.reading(reader, "models"):
            found, alerts = console.models(), console.alerts()
        return room.page(
            request, "models.html", reader, models=found,
            alerts=[one for one in alerts if one.kind.startswith("model")],
        )  # fmt: skip

    header = ("version", "standing", "campaign_id", "auc", "ks", "epsilon", "created_at_ms")
    room.add_register(router, "models.csv", header, lambda _: [
        (one.version, one.standing, one.campaign_id, one.figures.get("auc"),
         one.figures.get("ks"), one.epsilon, one.created_at_ms)
        for one in console.models()
    ])  # fmt: skip
    of_campaigns = ("campaign_id", "state", "rounds", "bundle_version", "created_at_ms",
                    "finished_at_ms")  # fmt: skip
    room.add_register(router, "campaigns.csv", of_campaigns, lambda _: [
        (one.campaign_id, one.state, one.rounds_done, one.bundle_version, one.created_at_ms,
         one.finished_at_ms)
        for one in console.campaigns()
    ])  # fmt: skip


def _epsilon(router: APIRouter, room: Room, console: Console) -> None:
    @router.get("/epsilon")
    def epsilon(request: Request) -> Response:
        """Epsilon of every node beside the ceiling."""
        reader = room.readers.require(request)
        with room.reading(reader, "epsilon"):
            found = console.privacy()
        return room.page(request, "epsilon.html", reader, **_spent(room, request, found))

    def by_node(_: Connection) -> list[tuple[Any, ...]]:
        found = console.privacy()
        return [] if found is None else [
            (one.member_id, one.promised, one.alone, found.ceiling, found.delta)
            for one in found.nodes
        ]  # fmt: skip

    header = ("member_id", "epsilon_promised", "epsilon_alone", "ceiling", "delta")
    room.add_register(router, "epsilon.csv", header, by_node)


def _licences(room: Room, request: Request, members: tuple[MemberLine, ...]) -> dict[str, Any]:
    ending = sorted(
        (one.licence_days, one.facts.name) for one in members if one.licence_days is not None
    )
    if not ending:
        return {"licences": None}
    line = room.say(request, "licences.line", count=LICENCE_SOON_DAYS)
    bars = [(name, [(float(max(days, 0)), "a")]) for days, name in ending[:_MOST_BARS]]
    plot, drawn = draw_rows(bars, (float(LICENCE_SOON_DAYS), line), digits=0)
    message = room.say(request, "licences.message")
    return {"licences": plot, "licence_bars": drawn, "licences_message": message}


def _spent(room: Room, request: Request, found: Privacy | None) -> dict[str, Any]:
    if found is None or not found.nodes:
        return {"epsilon": None, "largest": None, "ceiling": None}
    of_each = [(one.member_id, one.promised, one.alone) for one in found.nodes]
    return {
        **spent_chart(room, request, of_each, found.ceiling),
        "largest": max(one.promised for one in found.nodes),
        "ceiling": found.ceiling,
    }


def _ends_soon(one: MemberLine) -> bool:
    return one.licence_days is not None and one.licence_days < LICENCE_SOON_DAYS


def _names(console: Console) -> dict[str, str]:
    return {line.facts.member_id: line.facts.name for line in console.members()}
