"""Where the parts that score are put together."""

from collections.abc import Callable
from dataclasses import dataclass

from audit.database import Database
from audit.receipts import sign_promise
from audit.shredding import DataKeys
from audit.store import AuditLog
from node.consents.freshness import Freshness
from node.exchange.client import ExchangeClient
from node.network.documents import Documents
from node.network.membership import MembershipClient
from node.releases import Releases
from node.scoring.active_model import ActiveModel
from node.scoring.adverse_action import AdverseActions
from node.scoring.batch import BatchScoring
from node.scoring.batches import BatchResults
from node.scoring.consent import ScoreConsent
from node.scoring.group import ScoreGroups
from node.scoring.inputs import ScoreInputs
from node.scoring.job_runner import JobRunner
from node.scoring.jobs import ScoreJobs
from node.scoring.own_use import OwnUse
from node.scoring.products import Products
from node.scoring.reading import ScoreReader
from node.scoring.rescoring import Rescoring
from node.scoring.service import ScoringService
from node.scoring.shadow import Shadow
from node.scoring.sources import ScoreSources
from node.scoring.what_if import WhatIf
from node.settings import NodeSettings
from node.telemetry.telemetry import Telemetry
from node.webhooks.outbox import Outbox
from protocols.keys import SigningKey, VerifyKey


@dataclass(frozen=True)
class Scoring:
    """What scores at a node.

    Attributes:
        service: scores for API clients.
        batch: scores of many subjects.
        releases: which model version is scored with.
        shadow: how the challenger compares.
        around: what else a client may ask about scores.
    """

    service: ScoringService
    batch: BatchScoring
    releases: Releases
    shadow: Shadow
    around: "AroundScores"


@dataclass(frozen=True)
class AroundScores:
    """What else API clients may ask for.

    Attributes:
        reader: reads scores again.
        jobs: scores that are made later.
        runner: works on them.
        results: what became of batches.
        rescoring: past decisions computed again.
        adverse_actions: the data of notices.
        products: what clients may ask for by name.
        what_if: what would change a person's score, for themselves.
    """

    reader: ScoreReader
    jobs: ScoreJobs
    runner: JobRunner
    results: BatchResults
    rescoring: Rescoring
    adverse_actions: AdverseActions
    products: Products
    what_if: WhatIf


def make_scoring(
    settings: NodeSettings,
    *,
    database: Database,
    audit: AuditLog,
    data_keys: DataKeys,
    documents: Documents,
    signing_key: Callable[[], SigningKey],
    directory_key: Callable[[], VerifyKey],
    membership: MembershipClient,
    fetcher: ExchangeClient,
    clock: Callable[[], int],
    admit: Callable[[], None],
    telemetry: Telemetry,
) -> Scoring:
    """The parts of a node that score, and those that follow the network's models."""
    model = ActiveModel(directory_key, documents.catalogue)
    own_use = OwnUse(settings.member_id, documents.directory, Freshness(settings.member_id))
    consent = ScoreConsent(settings.member_id, own_use)
    sources = ScoreSources(
        member_id=settings.member_id,
        directory=documents.directory,
        fetcher=fetcher,
        deadline_s=settings.fetch_deadline_s,
    )
    shadow = Shadow(database, clock)
    inputs = ScoreInputs(data_keys)

    def promise(seq: int, leaf_hash: bytes) -> bytes:
        return sign_promise(signing_key(), audit.origin, seq, leaf_hash)

    groups = ScoreGroups(
        database=database,
        audit=audit,
        model=model,
        consent=consent,
        sources=sources,
        shadow=shadow,
        inputs=inputs,
        now_ms=clock,
        promise=promise,
        telemetry=telemetry,
    )
    reader = ScoreReader(
        database=database,
        audit=audit,
        model=model,
        consent=consent,
        sources=sources,
        now_ms=clock,
    )
    service = ScoringService(groups, reader, sources, admit, telemetry)
    batch = BatchScoring(
        database=database,
        audit=audit,
        model=model,
        consent=consent,
        sources=sources,
        now_ms=clock,
        admit=admit,
    )
    releases = Releases(
        database=database,
        audit=audit,
        member_id=settings.member_id,
        directory_key=directory_key,
        catalogue=documents.catalogue,
        ask=membership.release,
        fetch=membership.bundle,
        warm=model.get,
        now_ms=clock,
    )
    jobs = ScoreJobs(database, clock)
    around = AroundScores(
        reader=reader,
        jobs=jobs,
        runner=JobRunner(database, service, Outbox(clock).emit, clock),
        results=BatchResults(jobs, reader),
        rescoring=Rescoring(
            database=database,
            audit=audit,
            model=model,
            reader=reader,
            inputs=inputs,
            now_ms=clock,
            promise=promise,
        ),
        adverse_actions=AdverseActions(
            member_id=settings.member_id,
            database=database,
            audit=audit,
            reader=reader,
            directory=documents.directory,
            now_ms=clock,
        ),
        products=Products(database, audit, clock),
        what_if=WhatIf(database, audit, model, inputs, clock),
    )
    return Scoring(service, batch, releases, shadow, around)
