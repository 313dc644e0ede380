"""Puts the room together for one node."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from consent.templates import Templates
from node.consents.training_proof import make_training_proof
from node.home import RECORDS_DIRECTORY
from node.parts import Node
from node.subject_access.access_log import AccessLog
from node.subject_access.choices import GrantChoices
from node.subject_access.consents import OwnConsents
from node.subject_access.export import SubjectExports
from node.subject_access.holdings import HoldingsReader
from node.subject_access.scores import OwnScores


@dataclass(frozen=True)
class SubjectAccess:
    """What a person may read of their own.

    Attributes:
        log: who looked.
        consents: what was granted, to whom.
        choices: what can be granted.
        scores: the score.
        holdings: what is held.
        exports: all of it, to take away.
    """

    log: AccessLog
    consents: OwnConsents
    choices: GrantChoices
    scores: OwnScores
    holdings: HoldingsReader
    exports: SubjectExports


def subject_access(node: Node) -> SubjectAccess:
    """The room over a node's parts."""
    log = AccessLog(
        database=node.database,
        audit=node.audit,
        signing_key=lambda: node.keys.signing,
        directory=node.documents.directory,
        policy=node.witnessing.keeper.policy,
    )

    def training_proof(consent_id: str) -> dict[str, Any]:
        return make_training_proof(node.database, node.audit, consent_id, node.keys.signing)

    own_consents = OwnConsents(
        database=node.database,
        member_id=node.member_id,
        receipt=node.consents.receipt,
        parties=node.statuses.parties,
        training_proof=training_proof,
        clock=_clock,
    )
    choices = GrantChoices(node.member_id, node.documents.directory, Templates.load_default())
    scores = OwnScores(node.database, _clock)
    holdings = HoldingsReader(
        database=node.database,
        member_id=node.member_id,
        catalogue=node.documents.catalogue,
        directory=node.documents.directory,
        clock=_clock,
    )

    def records(customer_id: str) -> Mapping[str, list[dict[str, Any]]]:
        # pyarrow takes a moment to load; only an export needs it.
        from node.records.store import RecordStore

        return RecordStore(node.home / RECORDS_DIRECTORY).of_customer(customer_id)

    exports = SubjectExports(
        institution=node.settings.name,
        holdings=holdings,
        scores=scores,
        access=log,
        records=records,
        database=node.database,
        audit=node.audit,
        clock=_clock,
    )
    return SubjectAccess(log, own_consents, choices, scores, holdings, exports)


def _clock() -> int:
    return int(time.time() * 1000)
