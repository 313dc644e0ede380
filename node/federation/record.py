"""How a noised result is written down: charge, cohort and audit leaf in one transaction."""

from typing import Any, Protocol

from audit.database import Connection
from audit.leaf import Entry
from models.privacy.charge import Prices
from node.federation.cohort import Cohort
from node.federation.ledger import PrivacyLedger
from node.federation.ledger_guard import CHARGE_KIND, LedgerGuard
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
        guard: refuses a ledger that was put back.
    """

    def __init__(
        self, audit: Log, member_id: str, ledger: PrivacyLedger, guard: LedgerGuard
    ) -> None:
        self._guard = guard
        self._audit = audit
        self._member_id = member_id
        self._ledger = ledger

    def charged(
        self,
        connection: Connection,
        campaign_id: str,
        number: int,
        prices: Prices,
        cohort: Cohort,
        model_hash: bytes,
        at_ms: int,
    ) -> tuple[int, float]:
        """Charge one mechanism run on a cohort.

        Returns:
            The leaf's sequence number, and epsilon after the charge.

        Raises:
            BudgetSpent: the ledger does not admit it; the caller must roll back.
            LedgerRolledBack: the ledger is behind what this node signed; likewise.
        """
        self._guard.require_ahead(connection)
        spent, charge = self._ledger.price(connection, prices), prices.promised
        rows.keep_cohort(connection, cohort.root, cohort.hashes, at_ms)
        facts = {
            "round": number,
            "charge": self._ledger.lines(connection) + 1,
            "mechanism": charge.mechanism,
            "noise_multiplier": charge.noise_multiplier,
            "own_noise_multiplier": prices.alone.noise_multiplier,
            "sampling_rate": charge.sampling_rate,
            "epsilon_after": spent.promised,
            "epsilon_alone_after": spent.alone,
            "delta": self._ledger.delta,
            "cohort_root": cohort.root.hex(),
            "cohort_size": cohort.size,
            "model_hash": model_hash.hex(),
        }
        seq = self._leaf(connection, CHARGE_KIND, campaign_id, facts, at_ms)
        self._ledger.charge(
            connection,
            prices,
            campaign_id=campaign_id,
            round_=number,
            spent=spent,
            at_ms=at_ms,
            leaf_seq=seq,
        )
        return seq, spent.promised

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
