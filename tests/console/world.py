"""A coordinator with members and a campaign in its tables, its console served on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from api.http.operator.face import ConsoleFace
from api.http.operator.live import LiveLimits
from audit.leaf import parse_leaf
from coordinator.bootstrap import Coordinator, init_coordinator, open_coordinator
from coordinator.campaigns import Campaigns
from coordinator.membership import ACTOR
from coordinator.proposals import make_proposals
from coordinator.settings import make_settings
from coordinator.storage.campaigns import MemberRow, RoundRow
from coordinator.storage.members import Sighting
from models.plan import CampaignPlan
from protocols.joining import Declaration
from tests.coordinator.applicants import NOW, Applicant, join

QUICK = LiveLimits(
    streams=3, of_session=2, look_s=0.05, check_s=0.2, beat_s=0.3, whole_s=30, lost_s=5
)


@dataclass
class Clock:
    """Time that a test moves."""

    at_ms: int = NOW

    def __call__(self) -> int:
        return self.at_ms


@dataclass
class ConsoleWorld:
    """The coordinator, its console, and what a test needs of both."""

    coordinator: Coordinator
    face: ConsoleFace
    clock: Clock
    clients: list[httpx.Client] = field(default_factory=list)

    def browser(self) -> httpx.Client:
        """A browser nobody is signed in with."""
        client = httpx.Client(base_url=self.face.origin, timeout=10)
        self.clients.append(client)
        return client

    def token(self) -> str:
        """Of a new link."""
        return self.face.access.issue().token

    def enter(self, client: httpx.Client, token: str, **headers: str) -> httpx.Response:
        """Press the button of a link's page."""
        sent = {"Origin": self.face.origin, **headers}
        return client.post("/operator/enter", data={"token": token}, headers=sent)

    def operator(self) -> httpx.Client:
        """A browser that is signed in."""
        client = self.browser()
        assert self.enter(client, self.token()).status_code == 303
        return client

    def see(self, member_id: str) -> None:
        """A member calls."""
        directory = self.coordinator.membership.directory(self.clock())
        seen = {member_id: Sighting(self.clock(), directory.version)}
        self.coordinator.membership.note_seen(seen)

    def campaigns(self) -> Campaigns:
        return Campaigns(self.coordinator.audit, ACTOR)

    def propose(self, **options: object) -> CampaignPlan:
        """A campaign that two members accepted and that runs."""
        values = {"epsilon": 3.0, "rounds": 5, "count_noise": 4.0, **options}
        plan = make_proposals(self.coordinator).propose((), self.clock(), **values)
        campaigns = self.campaigns()
        with self.coordinator.database.write() as connection:
            for member_id in plan.members:
                row = MemberRow(member_id, "", 500)
                campaigns.answered(connection, plan.campaign_id, row, self.clock())
            for event in ("accept", "start"):
                campaigns.move(connection, plan.campaign_id, event, self.clock())
        return plan

    def round(self, plan: CampaignPlan, number: int) -> None:
        """A round is made."""
        row = RoundRow(number, 0.7 - number / 50, 0.3 * number, 0.4, 2, self.clock())
        with self.coordinator.database.write() as connection:
            self.campaigns().finish_round(connection, plan.campaign_id, row, b"state")

    def end(self, plan: CampaignPlan, event: str, detail: str) -> None:
        """A campaign ends, or waits."""
        with self.coordinator.database.write() as connection:
            self.campaigns().move(connection, plan.campaign_id, event, self.clock(), detail=detail)

    def kinds(self) -> list[str]:
        """The kinds of all leaves of the log, in order."""
        audit = self.coordinator.audit
        with self.coordinator.database.read() as connection:
            leaves = list(audit.leaves(connection, 0, audit.head().size))
        return [parse_leaf(leaf.leaf)["kind"] for leaf in leaves]


@contextmanager
def open_console(
    root: Path,
    *,
    names: dict[str, str] | None = None,
    limits: LiveLimits = QUICK,
    database_url: str = "",
) -> Iterator[ConsoleWorld]:
    """A network of banks by id and name, its console served."""
    home = root / "coordinator"
    settings = make_settings(name="harbour", listen_console="", database_url=database_url)
    init_coordinator(home, settings, NOW)
    coordinator = open_coordinator(home)
    for member_id, name in (names or {"bank-a": "Harbour Bank", "bank-b": "Meadow"}).items():
        join(coordinator, Named(member_id=member_id, name=name))
    clock = Clock()
    face = ConsoleFace(coordinator, "127.0.0.1:0", home="./coordinator", limits=limits, clock=clock)
    face.start()
    world = ConsoleWorld(coordinator, face, clock)
    try:
        yield world
    finally:
        for client in world.clients:
            client.close()
        face.stop()
        coordinator.close()


@dataclass
class Named(Applicant):
    """An institution with a name of its own."""

    name: str = "Bank"

    def declaration(self) -> bytes:
        body = super().declaration()
        return replace(Declaration.from_body(body), name=self.name).to_body()
