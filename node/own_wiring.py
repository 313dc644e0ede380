"""How the parts around kept models are put together; only commands of the operator need them."""

import time

from node.consents.freshness import Freshness
from node.network.pinned import pinned_key
from node.own_models import OwnModels
from node.parts import Node
from node.scoring.active_model import ActiveModel
from node.scoring.consent import ScoreConsent
from node.scoring.own_decisions import OwnDecisions
from node.scoring.own_use import OwnUse
from node.scoring.sources import ScoreSources


def own_models(node: Node) -> OwnModels:
    """The kept models of an opened node."""
    return OwnModels(
        database=node.database,
        audit=node.audit,
        member_id=node.member_id,
        signing_key=lambda: node.keys.signing,
        catalogue=node.documents.catalogue,
        model=_network_models(node),
        now_ms=_clock,
    )


def own_decisions(node: Node) -> OwnDecisions:
    """Decisions by the kept model in use."""
    own_use = OwnUse(node.member_id, node.documents.directory, Freshness(node.member_id))
    return OwnDecisions(
        member_id=node.member_id,
        database=node.database,
        audit=node.audit,
        own_models=own_models(node),
        model=_network_models(node),
        consent=ScoreConsent(node.member_id, own_use),
        sources=ScoreSources(
            member_id=node.member_id,
            directory=node.documents.directory,
            fetcher=node.fetcher,
            deadline_s=node.settings.fetch_deadline_s,
        ),
        now_ms=_clock,
    )


def _network_models(node: Node) -> ActiveModel:
    return ActiveModel(lambda: pinned_key(node.settings), node.documents.catalogue)


def _clock() -> int:
    return int(time.time() * 1000)
