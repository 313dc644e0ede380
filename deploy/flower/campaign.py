"""One campaign on an engine of Flower's: the production ServerApp between an offer and a bundle.

The plan is signed and proposed as `credence train` does, and offered to the nodes in a Flower
message, because no stream of ours is there to carry it. Who accepts is kept; then the same app, the
same strategy and the same journal as in production make the rounds, on the engine's grid. A node is
known by what it signs: a Flower node that speaks for another member has none of its keys, and its
mask keys are refused.
"""

import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from coordinator.bootstrap import Coordinator, open_coordinator
from coordinator.campaigns import UNFINISHED
from coordinator.federation.flower import (
    ConfigRecord,
    Context,
    Grid,
    Message,
    RecordDict,
    ServerApp,
)
from coordinator.federation.journal import RoundJournal, restore
from coordinator.federation.masked_strategy import MaskedStrategy, Masks
from coordinator.federation.office import CampaignBelowQuorum, Office, Patience
from coordinator.federation.publication import Trained, make_bundle
from coordinator.federation.runner import make_office
from coordinator.federation.server_app import build_server_app
from coordinator.federation.streams import Streams
from coordinator.proposals import make_proposals
from coordinator.storage import bundles as bundle_rows
from coordinator.storage import campaigns as rows
from deploy.flower.grid import MemberGrid
from deploy.flower.layout import MINIMUM_COHORT, now_ms
from deploy.flower.offers import BAND, DOCUMENT, MEMBER, OFFER, OFFER_QUERY, REFUSAL
from models.encoder import Encoder
from models.plan import CampaignPlan
from protocols.canonical import sha256
from protocols.documents import Document, to_proto
from protocols.errors import CredenceError, NotFound

log = structlog.get_logger(__name__)

# An engine has no streams to wait for: what is below the quorum stays so.
IMPATIENT = Patience(pause=0.1, attempts=2)
POLL_S = 0.5


@dataclass(frozen=True)
class Wanted:
    """What to run.

    Attributes:
        nodes: how many are waited for.
        rounds: DP steps.
        deadline_s: how long a round waits.
        arrival_s: how long all nodes are waited for at the start.
        mode: `local` or `distributed` noise.
    """

    nodes: int
    rounds: int
    deadline_s: float = 300.0
    arrival_s: float = 120.0
    mode: str = "distributed"


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        state: of the campaign at its end; the error where it failed.
        bundle: the version published.
        nodes: that accepted.
        refusals: code by member id.
        offer_s: seconds until all nodes had answered the plan.
        rounds: number, participants, loss, epsilon and seconds of each.
        total_s: seconds from the offer to the bundle.
    """

    state: str
    bundle: str = ""
    nodes: int = 0
    refusals: Mapping[str, str] = field(default_factory=dict)
    offer_s: float = 0.0
    rounds: tuple[Mapping[str, Any], ...] = ()
    total_s: float = 0.0

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(asdict(self), indent=1))
        beside.replace(path)


@dataclass(frozen=True)
class _Answers:
    bands: Mapping[int, int]
    members: Mapping[int, str]
    refusals: Mapping[str, str]


def build_campaign_app(home: Path, wanted: Wanted, report: Path) -> ServerApp:
    """The app of one campaign.

    Args:
        home: the coordinator's.
        wanted: what to run.
        report: where the outcome is written, also of a campaign that failed.
    """
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        _run(home, wanted, report, grid, context)

    return app


def build_configured_app() -> ServerApp:
    """The same, told by Flower's run configuration: `coordinator`, `report`, `nodes`, `rounds`."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        config = context.run_config
        wanted = Wanted(int(config["nodes"]), int(config["rounds"]))
        home, report = Path(str(config["coordinator"])), Path(str(config["report"]))
        _run(home, wanted, report, grid, context)

    return app


def _run(home: Path, wanted: Wanted, report: Path, grid: Grid, context: Context) -> None:
    try:
        with closing(open_coordinator(home)) as coordinator:
            outcome = EngineCampaign(coordinator, wanted).run(grid, context)
    except CredenceError as error:
        Outcome(state=f"{error.code}: {error.message}").write(report)
        raise
    outcome.write(report)


class EngineCampaign:
    """Runs one campaign on an engine's grid.

    Args:
        coordinator: an opened one.
        wanted: what to run.
    """

    def __init__(self, coordinator: Coordinator, wanted: Wanted) -> None:
        self._coordinator = coordinator
        self._wanted = wanted
        self._office = make_office(coordinator, Streams(), IMPATIENT)

    def run(self, grid: Grid, context: Context) -> Outcome:
        """Run to the end.

        Raises:
            CampaignBelowQuorum: too few nodes came, accepted or stayed.
        """
        self._arrived(grid)
        started = time.monotonic()
        plan = self._proposed()
        document = self._document(plan)
        answers = self._offered(grid, document)
        offer_s = time.monotonic() - started
        if len(answers.members) < plan.quorum:
            raise CampaignBelowQuorum(f"{len(answers.members)} accepted; {answers.refusals}")
        self._noted(plan, answers)
        numbers = {member_id: node for node, member_id in answers.members.items()}
        office = replace(self._office, numbers=lambda: numbers)
        bundle = _trained(office, plan, document, answers, grid, context)
        return self._outcome(plan, bundle, answers, offer_s, time.monotonic() - started)

    def _arrived(self, grid: Grid) -> None:
        deadline = time.monotonic() + self._wanted.arrival_s
        while len(list(grid.get_node_ids())) < self._wanted.nodes:
            if time.monotonic() > deadline:
                raise CampaignBelowQuorum("not all nodes came")
            time.sleep(POLL_S)

    def _proposed(self) -> CampaignPlan:
        proposals = make_proposals(self._coordinator)
        with self._office.database.read() as connection:
            left = rows.in_states(connection, UNFINISHED)
        for row in left:  # of a run that was stopped
            proposals.abort(row.campaign_id, now_ms())
        return proposals.propose(
            (),
            now_ms(),
            rounds=self._wanted.rounds,
            follow_up_rounds=0,
            previous=None,
            count_noise=4.0,
            minimum_cohort=MINIMUM_COHORT,
            round_deadline_s=self._wanted.deadline_s,
            mode=self._wanted.mode,
        )

    def _document(self, plan: CampaignPlan) -> Document:
        with self._office.database.read() as connection:
            row = rows.find(connection, plan.campaign_id)
        if row is None:
            raise NotFound(f"no campaign {plan.campaign_id}")
        return Document("plan", 0, row.plan, row.signature, row.key_id)

    def _offered(self, grid: Grid, document: Document) -> _Answers:
        record = ConfigRecord({DOCUMENT: to_proto(document).SerializeToString()})
        content = RecordDict({OFFER: record})
        messages = [
            Message(content, node_id, OFFER_QUERY, group_id=OFFER)
            for node_id in grid.get_node_ids()
        ]
        bands: dict[int, int] = {}
        members: dict[int, str] = {}
        refusals: dict[str, str] = {}
        for reply in grid.send_and_receive(messages, timeout=self._wanted.deadline_s):
            node_id = reply.metadata.src_node_id
            if reply.has_error():
                refusals[f"node {node_id}"] = "no_answer"
                log.warning("offer.failed", reason=reply.error.reason)
                continue
            said = reply.content[OFFER]
            member_id, refusal = str(said[MEMBER]), str(said[REFUSAL])
            if refusal:
                refusals[member_id] = refusal
            elif member_id not in members.values():
                members[node_id], bands[node_id] = member_id, int(said[BAND])
        return _Answers(bands, members, refusals)

    def _noted(self, plan: CampaignPlan, answers: _Answers) -> None:
        office = self._office
        accepted = set(answers.members.values())
        with office.database.write() as connection:
            for member_id in plan.members:
                refusal = "" if member_id in accepted else "no_answer"
                row = rows.MemberRow(member_id, answers.refusals.get(member_id, refusal), 0)
                office.campaigns.answered(connection, plan.campaign_id, row, now_ms())
        office.move(plan.campaign_id, "accept")
        office.move(plan.campaign_id, "start")

    def _outcome(
        self, plan: CampaignPlan, bundle: str, answers: _Answers, offer_s: float, total_s: float
    ) -> Outcome:
        with self._office.database.read() as connection:
            done = rows.rounds(connection, plan.campaign_id)
        return Outcome(
            state=self._office.state(plan.campaign_id),
            bundle=bundle,
            nodes=len(answers.members),
            refusals=answers.refusals,
            offer_s=round(offer_s, 2),
            rounds=tuple(
                {
                    "round": one.round,
                    "participants": one.participants,
                    "loss": one.loss,
                    "epsilon": one.epsilon,
                    "seconds": round(one.seconds, 2),
                }
                for one in done
            ),
            total_s=round(total_s, 2),
        )


def _trained(
    office: Office,
    plan: CampaignPlan,
    document: Document,
    answers: _Answers,
    engine: Grid,
    context: Context,
) -> str:
    """Make the rounds with the production app and publish; the bundle's version."""
    encoder, digest = Encoder(office.catalogue()), sha256(document.body)
    optimiser = restore(office, plan, encoder, None)
    grid = MemberGrid(engine, answers.members)
    journal = RoundJournal(office, plan, optimiser, grid)
    masks = Masks(office, plan, digest, answers.members)
    strategy = MaskedStrategy(plan, digest, optimiser, answers.bands, masks)
    build_server_app(plan, strategy, journal)(grid, context)
    trained = Trained(
        weights=optimiser.averaged,
        tally=strategy.summed(),
        tallies=strategy.tallies,
        loss=journal.loss,
    )
    with office.database.write() as connection:
        version = f"model-{len(bundle_rows.versions(connection)) + 1:04d}"
        row = make_bundle(
            plan, encoder, trained, journal.contributors(), version, office.key, now_ms()
        )
        missing = journal.missing()
        at_ms = now_ms()
        office.campaigns.complete(connection, plan.campaign_id, row, at_ms, missing=missing)
        office.releases.published(
            connection, row.version, plan.campaign_id, at_ms, promote=office.auto_promote
        )
    return version
