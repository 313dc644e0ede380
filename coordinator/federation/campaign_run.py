"""One campaign from proposal to bundle, or to an honest end.

In whatever state a campaign is found, after a crash too, it goes on from there: the plan is offered
again (nodes give their kept answers) and the rounds continue after the last checkpoint. It is
completed only with a bundle, in one transaction.
"""

import time
from collections.abc import Collection, Mapping

import structlog

from coordinator.federation.flower import ConfigRecord, Context, RecordDict, run_id_of
from coordinator.federation.grid import StreamGrid
from coordinator.federation.journal import RoundJournal, restore
from coordinator.federation.masked_strategy import MaskedStrategy, Masks
from coordinator.federation.office import CampaignBelowQuorum, Office, listed
from coordinator.federation.publication import Trained, make_bundle
from coordinator.federation.server_app import build_server_app
from coordinator.federation.strategy import DpSgdStrategy
from coordinator.storage import bundles as bundle_rows
from coordinator.storage import campaigns as rows
from models.bundle import Bundle
from models.encoder import Encoder
from models.plan import CampaignPlan
from models.watch_tally import Counted, read_counts
from models.weights import Weights
from protocols import federation as names
from protocols.canonical import sha256
from protocols.documents import Document, to_proto, verify_document
from protocols.errors import NotFound
from protocols.v1.federation_pb2 import Acceptance

log = structlog.get_logger(__name__)

NO_ANSWER = "no_answer"


class StartBundleMissing(NotFound):
    """A plan starts from a bundle, or compares with one, that is not in the registry."""

    code = "start_bundle_missing"
    next_step = "Propose the follow-up of a published bundle."


class CampaignRun:
    """Runs one campaign.

    Args:
        office: what campaigns are run with.
        row: the campaign as found.

    Raises:
        SignatureInvalid, Malformed: the stored plan was changed.
    """

    def __init__(self, office: Office, row: rows.CampaignRow) -> None:
        self._office = office
        self._id = row.campaign_id
        self._state = row.state
        # What is offered to nodes is verified first: a changed row must not reach them.
        self._document = Document("plan", 0, row.plan, row.signature, row.key_id)
        body = verify_document(self._document, office.key.verify_key, "plan")
        self._plan = CampaignPlan.from_body(body)
        self._encoder = Encoder(office.catalogue())

    def run(self) -> None:
        """Run to the end.

        Raises:
            CampaignBelowQuorum: it could not go on; nothing was published.
            CampaignTransitionInvalid: it was ended or held meanwhile; nothing was published.
            StreamsClosed: the process stops; the campaign resumes with the next one.
        """
        streams = self._office.streams
        # Before the plan is offered: a node counts its people to answer it.
        self._state = self._office.wait_while_held(self._id)
        streams.offer(self._id, to_proto(self._document), self._plan.members)
        try:
            bands = self._gather()
            version = self._train(bands)
        finally:
            streams.withdraw(self._id)
        if version:
            self._announce(version)

    def _gather(self) -> dict[str, int]:
        """Bring the campaign to running; the cohort bands of the members that take part."""
        if self._state == "proposed":
            self._note(self._answers(self._plan.members, len(self._plan.members)))
        with self._office.database.read() as connection:
            known = rows.members(connection, self._id)
        bands = {row.member_id: row.cohort_band for row in known if not row.refusal}
        refusals = {row.member_id: row.refusal for row in known if row.refusal}
        quorum = self._plan.quorum
        if len(bands) < quorum:
            raise CampaignBelowQuorum(
                f"{len(bands)} accepted, the quorum is {quorum}; {listed(refusals)}"
            )
        if self._state == "proposed":
            self._office.move(self._id, "accept")
        else:
            # They must hold the campaign open again before a round reaches them.
            answers = self._answers(bands, quorum)
            back = sum(not answer.refusal for answer in answers.values())
            if back < quorum:
                raise CampaignBelowQuorum(f"{back} members are back, the quorum is {quorum}")
        state = self._office.wait_while_held(self._id)
        if state == "accepted":
            self._office.move(self._id, "start")
        elif state == "paused":
            self._office.move(self._id, "resume")
        return bands

    def _answers(self, members: Collection[str], enough: int) -> dict[str, Acceptance]:
        """Answers to the plan: until `enough` are there, then what the grace period brings."""
        streams, patience = self._office.streams, self._office.patience
        deadline = time.monotonic() + patience.answers
        found = streams.answers(self._id, members, 0.0)
        while len(found) < enough and time.monotonic() < deadline:
            found = streams.answers(self._id, members, 0.1)
        found = streams.answers(self._id, members, patience.grace)
        # Who accepted was charged for its count: the statement of that is kept, or it is out.
        stated = {
            key: answer.ledger
            for key, answer in found.items()
            if answer.ledger or not answer.refusal
        }
        refused = self._office.ledgers.take(stated) if stated else {}
        return found | {key: Acceptance(refusal=code) for key, code in refused.items()}

    def _note(self, answers: Mapping[str, Acceptance]) -> None:
        at_ms = self._office.now_ms()
        with self._office.database.write() as connection:
            for member_id in self._plan.members:
                answer = answers.get(member_id, Acceptance(refusal=NO_ANSWER))
                row = rows.MemberRow(member_id, answer.refusal, answer.cohort_band)
                self._office.campaigns.answered(connection, self._id, row, at_ms)

    def _train(self, bands: Mapping[str, int]) -> str:
        """Make the rounds that are left and publish; the bundle's version, empty of a watch."""
        office, run_id = self._office, run_id_of(self._id)
        numbers = office.numbers()
        optimiser = restore(office, self._plan, self._encoder, self._start_weights())
        grid = StreamGrid(
            office.streams, run_id, bands, grace_s=office.patience.grace, ledgers=office.ledgers
        )
        journal = RoundJournal(office, self._plan, optimiser, grid)
        plan_sha256 = sha256(self._document.body)
        compared = self._compared()
        previous = None if compared is None else compared.weights
        known = {numbers[member_id]: band for member_id, band in bands.items()}
        if self._plan.aggregation.masked:
            members = {numbers[member_id]: member_id for member_id in bands}
            masks = Masks(self._office, self._plan, plan_sha256, members)
            strategy: DpSgdStrategy = MaskedStrategy(
                self._plan, plan_sha256, optimiser, known, masks, previous
            )
        else:
            strategy = DpSgdStrategy(self._plan, plan_sha256, optimiser, known, previous)
        app = build_server_app(self._plan, strategy, journal)
        app(grid, Context(run_id, 0, {}, RecordDict(), {}))
        office.wait_while_held(self._id)
        if self._plan.watch is not None:
            self._conclude(strategy)
            return ""
        return self._publish(strategy, journal, bands, compared)

    def _start_weights(self) -> Weights | None:
        version = self._plan.start_bundle
        return None if version is None else self._bundle(version).weights

    def _compared(self) -> Bundle | None:
        """The version that the plan compares with."""
        version = self._plan.evaluation.previous
        return self._bundle(version) if version else None

    def _bundle(self, version: str) -> Bundle:
        with self._office.database.read() as connection:
            row = bundle_rows.find(connection, version)
        if row is None:
            raise StartBundleMissing(f"the plan speaks of bundle {version}, which is not here")
        return Bundle.load(row.manifest, row.tensors)

    def _same_split(self, compared: Bundle) -> bool:
        with self._office.database.read() as connection:
            row = rows.find(connection, compared.manifest.campaign_id)
        if row is None:
            return False
        before = CampaignPlan.from_body(row.plan).evaluation
        ours = self._plan.evaluation
        return (before.split, before.held_out) == (ours.split, ours.held_out)

    def _publish(
        self,
        strategy: DpSgdStrategy,
        journal: RoundJournal,
        bands: Mapping[str, int],
        compared: Bundle | None,
    ) -> str:
        office, at_ms = self._office, self._office.now_ms()
        trained = Trained(
            weights=strategy.optimiser.averaged,
            tally=strategy.summed(),
            tallies=strategy.tallies,
            loss=journal.loss,
            bands=bands,
            previous=compared,
            same_split=compared is not None and self._same_split(compared),
        )
        with office.database.read() as connection:
            version = f"model-{len(bundle_rows.versions(connection)) + 1:04d}"
        bundle = make_bundle(
            self._plan,
            self._encoder,
            trained,
            journal.contributors(),
            version,
            office.key,
            at_ms,
        )
        missing = journal.missing()
        with office.database.write() as connection:
            office.campaigns.complete(connection, self._id, bundle, at_ms, missing=missing)
            promote = office.auto_promote
            office.releases.published(connection, version, self._id, at_ms, promote=promote)
            office.watches.deposit(
                connection, self._plan, version, self._counted(strategy),
                journal.contributors(), at_ms,
            )  # fmt: skip
        log.info("campaign.completed", campaign=self._id, bundle=version)
        return version

    def _conclude(self, strategy: DpSgdStrategy) -> None:
        """Keep what a watch found, and end it."""
        office, at_ms = self._office, self._office.now_ms()
        by_node = {node: member_id for member_id, node in office.numbers().items()}
        members = {by_node[node] for node in strategy.counted}
        with office.database.read() as connection:
            answers = rows.members(connection, self._id)
        why = {one.member_id: one.refusal or NO_ANSWER for one in answers}
        missing = "; ".join(
            f"{one} took no part: {why.get(one, NO_ANSWER)}"
            for one in self._plan.members
            if one not in members
        )
        bundle = self._bundle(self._plan.start_bundle or "")
        with office.database.write() as connection:
            found = office.watches.conclude(
                connection, self._plan, bundle, self._counted(strategy), sorted(members), at_ms
            )
            digest = sha256(found.to_body()).hex()
            office.campaigns.conclude(connection, self._id, digest, at_ms, missing=missing)
        log.info("watch.completed", campaign=self._id, bundle=bundle.version)

    def _counted(self, strategy: DpSgdStrategy) -> Counted:
        """The score's distribution, and the signals' where they were tallied."""
        layout, noise = strategy.layout, self._plan.privacy.node_tally_noise
        return read_counts(layout, strategy.summed(), noise, strategy.tallies)

    def _announce(self, version: str) -> None:
        """Tell every attached member of the new bundle; those away find it when they return."""
        streams = self._office.streams
        grid = StreamGrid(streams, run_id_of(self._id), streams.attached(), grace_s=0.0)
        content = RecordDict({names.BUNDLE: ConfigRecord({names.VERSION: version})})
        messages = [
            grid.create_message(content, names.BUNDLE_QUERY, node_id, group_id=version)
            for node_id in grid.get_node_ids()
        ]
        replies = grid.send_and_receive(messages, timeout=self._office.patience.bundle)
        active = sum(not reply.has_error() for reply in replies)
        log.info("campaign.announced", bundle=version, told=len(messages), active=active)
