"""Where the parts that watch over people are put together."""

from collections.abc import Callable
from dataclasses import dataclass

from audit.database import Database
from audit.store import AuditLog
from node.consents.freshness import Freshness
from node.exchange.client import ExchangeClient
from node.monitoring.looking import Looking
from node.monitoring.service import Monitors
from node.network.documents import Documents
from node.scoring.active_model import ActiveModel
from node.scoring.consent import ScoreConsent
from node.scoring.own_use import OwnUse
from node.scoring.sources import ScoreSources
from node.settings import NodeSettings
from node.webhooks.service import Webhooks
from protocols.keys import VerifyKey


@dataclass(frozen=True)
class Monitoring:
    """What watches over people.

    Attributes:
        monitors: for clients.
        looking: the work behind.
    """

    monitors: Monitors
    looking: Looking


def make_monitoring(
    settings: NodeSettings,
    *,
    database: Database,
    audit: AuditLog,
    documents: Documents,
    directory_key: Callable[[], VerifyKey],
    fetcher: ExchangeClient,
    webhooks: Webhooks,
    clock: Callable[[], int],
    admit: Callable[[], None],
) -> Monitoring:
    """The parts of a node that watch over people."""
    own_use = OwnUse(settings.member_id, documents.directory, Freshness(settings.member_id))
    consent = ScoreConsent(settings.member_id, own_use)
    monitors = Monitors(
        database=database,
        audit=audit,
        consent=consent,
        webhooks=webhooks,
        member_id=settings.member_id,
        now_ms=clock,
    )
    looking = Looking(
        database=database,
        audit=audit,
        monitors=monitors,
        consent=consent,
        sources=ScoreSources(
            member_id=settings.member_id,
            directory=documents.directory,
            fetcher=fetcher,
            deadline_s=settings.fetch_deadline_s,
        ),
        model=ActiveModel(directory_key, documents.catalogue),
        fetcher=fetcher,
        directory=documents.directory,
        webhooks=webhooks,
        member_id=settings.member_id,
        deadline_s=settings.fetch_deadline_s,
        every_ms=int(settings.monitor_every_s * 1000),
        now_ms=clock,
        admit=admit,
    )
    return Monitoring(monitors, looking)
