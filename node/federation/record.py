"""How a noised result is written down: charge, cohort and audit leaf in one transaction."""

from typing import Any, Protocol

from audit.database import Connection
from audit.leaf import Entry
from models.privacy.charge import Charge
from node.federation.cohort import Cohort
from node.federation.ledger import PrivacyLedger
from node.storage import training as rows


class Appended(Protocol):
    """Where an entry stands in the log."""

    @property
    def seq(self) -> int:
        """Sequence number."""


class Log(Protocol):
    """The part of the audit log that is used here."""

    def append(self, connection: Connection, entry: Entry) -> Appended:
        """Append an entry in the caller's transaction."""


class Recorder:
    """Writes what training did, always inside the caller's write transaction.

    Args:
        audit: the node's log.
        member_id: this node, the actor in the log.
        ledger: what it spends.
    """

    def __init__(self, audit: Log, member_id: str, ledger: PrivacyLedger) -> None:
        self._audit = audit
        self._member_id = member_id
        self._ledger = ledger

    def charged(
        self,
        connection: Connection,
        campaign_id: str,
        number: int,
        charge: Charge,
        cohort: Cohort,
        model_hash: bytes,
        at_ms: int,
    ) -> tuple[int, float]:
        """Charge one mechanism run on a cohort.

        Returns:
            The leaf's sequence number, and epsilon after the charge.

        Raises:
            BudgetSpent: the ledger does not admit it; the caller must roll back.
        """
        epsilon = self._ledger.price(connection, charge)
        rows.keep_cohort(connection, cohort.root, cohort.hashes, at_ms)
        facts = {
            "round": number,
            "mechanism": charge.mechanism,
            "noise_multiplier": charge.noise_multiplier,
            "sampling_rate": charge.sampling_rate,
            "epsilon_after": epsilon,
            "delta": self._ledger.delta,
            "cohort_root": cohort.root.hex(),
            "cohort_size": cohort.size,
            "model_hash": model_hash.hex(),
        }
        seq = self._leaf(connection, "training.round", campaign_id, facts, at_ms)
        self._ledger.charge(
            connection,
            charge,
            campaign_id=campaign_id,
            round_=number,
            epsilon_after=epsilon,
            at_ms=at_ms,
            leaf_seq=seq,
        )
        return seq, epsilon

    def refused(self, connection: Connection, campaign_id: str, code: str, at_ms: int) -> None:
        """Note that this node refused a plan or a round."""
        self._leaf(connection, "training.refused", campaign_id, {"code": code}, at_ms)

    def _leaf(
        self,
        connection: Connection,
        kind: str,
        campaign_id: str,
        facts: dict[str, Any],
        at_ms: int,
    ) -> int:
        entry = Entry(
            kind=kind,
            actor=self._member_id,
            purpose="train",
            correlation=campaign_id,
            payload=facts,
            subject=None,
            at_ms=at_ms,
        )
        return self._audit.append(connection, entry).seq
