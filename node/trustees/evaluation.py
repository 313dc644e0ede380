"""Evaluations for other members: counted, logged, then computed, in this order.

A batch is answered when
1. it is 1 to `oprf.MAX_BATCH` elements of the group, none the identity,
2. this node holds a share of the key of that epoch, and it is the one the key vouches for,
3. with it the caller stays within its quota of the UTC day.
The count and the audit leaf commit in one transaction before anything is evaluated, so that the
log is never short. Who the elements stand for cannot be known here; they are not kept.
"""

from collections.abc import Callable
from dataclasses import dataclass

from audit.database import Database
from audit.leaf import Entry
from audit.store import AuditLog
from node.enrolment.pseudonym_keys import PseudonymKeys
from node.storage import pseudonyms as storage
from node.trustees.shares import Shares
from protocols.enrolment import Evaluated, evaluate_batch, split_elements
from protocols.errors import CredenceError
from protocols.identifiers import new_id

DAY_MS = 86_400_000
DAYS_KEPT = 2


class QuotaExhausted(CredenceError):
    """The member has asked for as many pseudonyms today as one member may."""

    code = "quota_exhausted"
    category = "forbidden"
    next_step = "Go on tomorrow (UTC), or ask this trustee for a larger quota."


@dataclass(frozen=True)
class EvaluationService:
    """Evaluates blinded elements under this node's share.

    Attributes:
        database: the node's.
        audit: its log.
        keys: pseudonym keys believed here.
        shares: this node's shares.
        quota: elements a member may have evaluated a UTC day.
        now_ms: the clock.
    """

    database: Database
    audit: AuditLog
    keys: PseudonymKeys
    shares: Shares
    quota: int
    now_ms: Callable[[], int]

    def evaluate(self, requester: str, epoch: int, blinded: bytes) -> Evaluated:
        """Evaluate a batch for a member.

        Args:
            requester: member id of the caller.
            epoch: of the key.
            blinded: elements, 32 bytes each, one after the other.

        Raises:
            Malformed: 1.
            NoPseudonymKey, NotATrustee, ShareDamaged: 2.
            QuotaExhausted: 3; nothing was counted.
            DatabaseUnavailable: it could not be logged; nothing was evaluated.
        """
        elements = split_elements(blinded)  # 1
        share, index = self.shares.open(self.keys.of_epoch(epoch))  # 2
        self._charge(requester, epoch, len(elements))  # 3
        return evaluate_batch(share, index, elements)

    def _charge(self, requester: str, epoch: int, number: int) -> None:
        now_ms = self.now_ms()
        day = now_ms // DAY_MS
        with self.database.write(parallel=True) as connection:
            total = storage.count_evaluations(connection, requester, day, number)
            if total > self.quota:
                raise QuotaExhausted(f"the quota of {self.quota:,} a day does not cover {number:,}")
            storage.forget_days_before(connection, day - DAYS_KEPT)
            facts = {"epoch": epoch, "elements": number, "elements_today": total}
            entry = Entry(
                kind="pseudonym.evaluated",
                actor=requester,
                purpose="pseudonyms",
                correlation=new_id("evl"),
                payload=facts,
                subject=None,
                at_ms=now_ms,
            )
            submitted = self.audit.submit(connection, [entry])
        self.audit.wait(submitted)
