"""A ledger whose newest state is lost for good: what is left of its budget is given up.

What the lost lines had charged is unknown, and could be anything up to the ceiling. So it is
counted as all of it: one line, with next to no noise, stands for everything that may have been
released, and brings the population to its ceiling or beyond; further lines only make up the count
that was signed. Nobody of the population is trained on after that. The lines and their leaves name
the statements that hold no more, so that the same statement, handed back by the coordinator, is not
taken for another loss; a newer one, of a charge that is not here, is.

Refused: 1. when nothing is lost; 2. when lines were changed, and not lost; 3. without the
population's own name as a confirmation.
"""

from dataclasses import dataclass

from audit.database import Connection, Database
from audit.leaf import Entry
from audit.store import AuditLog
from models.privacy.charge import Charge, Prices
from node.federation.ledger import PrivacyLedger, Spent
from node.federation.ledger_guard import CHARGE_KIND, RECOVERY, LedgerGuard, Lost
from protocols.errors import InvalidInput, StateConflict

# Epsilon 19.9 at delta 1e-5: the smallest noise that any plan may ask for.
ALL_OF_IT = 0.3
NOTHING = 1e4
_MOST_LINES = 1_000_000


class NothingToRecover(StateConflict):
    """Ledger and log continue everything that this node signed."""

    code = "ledger_not_lost"
    next_step = "Nothing needs to be done: train on."


class RecoveryNotConfirmed(InvalidInput):
    """Giving up a budget needs the population's name as a confirmation."""

    code = "recovery_not_confirmed"
    next_step = "Give the node's member id with --confirm, if the newest database is lost for good."


@dataclass(frozen=True)
class Recovered:
    """What was given up.

    Attributes:
        lost_lines: lines that were signed for and are gone.
        lines: lines of the ledger now.
        epsilon: spent, as it counts now.
        ceiling: of the population.
    """

    lost_lines: int
    lines: int
    epsilon: float
    ceiling: float


@dataclass(frozen=True)
class LedgerRecovery:
    """Gives up the budget of one population. For one thread at a time.

    Attributes:
        database: the node's.
        audit: its log.
        member_id: this node, whose people are the population.
        ledger: theirs.
        guard: says what is lost.
    """

    database: Database
    audit: AuditLog
    member_id: str
    ledger: PrivacyLedger
    guard: LedgerGuard

    def lost(self) -> Lost:
        """What is lost.

        Raises:
            NothingToRecover: nothing.
            LedgerRolledBack: lines of the ledger were changed.
        """
        with self.database.read() as connection:
            return self._lost(connection)

    def recover(self, confirm: str, at_ms: int) -> Recovered:
        """Count the whole budget as spent, in one transaction with its leaves.

        Args:
            confirm: the member id, once more.
            at_ms: UTC milliseconds.

        Raises:
            NothingToRecover: nothing is lost.
            LedgerRolledBack: lines of the ledger were changed.
            RecoveryNotConfirmed: `confirm` is something else.
        """
        with self.database.write() as connection:
            # 1. Something is lost; 2. and not changed.
            lost = self._lost(connection)
            # 3. Meant.
            if confirm != self.member_id:
                raise RecoveryNotConfirmed(
                    "what is left of the budget would be counted as spent, for good"
                )
            before = self.ledger.lines(connection)
            number = 0
            while number == 0 or self.ledger.epsilon(connection) < self.ledger.limit:
                self._line(connection, lost, number, ALL_OF_IT, at_ms)
                number += 1
            while self.ledger.lines(connection) < min(lost.charges, _MOST_LINES):
                self._line(connection, lost, number, NOTHING, at_ms)
                number += 1
            return Recovered(
                lost_lines=max(0, lost.charges - before),
                lines=self.ledger.lines(connection),
                epsilon=self.ledger.epsilon(connection),
                ceiling=self.ledger.limit,
            )

    def _lost(self, connection: Connection) -> Lost:
        found = self.guard.lost(connection)
        if found is None:
            raise NothingToRecover("ledger and log continue all that this node signed")
        return found

    def _line(
        self, connection: Connection, lost: Lost, number: int, noise: float, at_ms: int
    ) -> None:
        charge = Charge(RECOVERY, noise, 1.0)
        paid = [*self.ledger.paid(connection), (charge, 1)]
        spent = Spent(self.ledger.compose(paid), self.ledger.compose(
            [*self.ledger.paid(connection, alone=True), (charge, 1)]
        ))  # fmt: skip
        campaign_id = f"lost-{lost.digests[0][:24]}"
        facts = {
            "round": number,
            "charge": self.ledger.lines(connection) + 1,
            "mechanism": charge.mechanism,
            "noise_multiplier": charge.noise_multiplier,
            "own_noise_multiplier": charge.noise_multiplier,
            "sampling_rate": charge.sampling_rate,
            "epsilon_after": spent.promised,
            "epsilon_alone_after": spent.alone,
            "delta": self.ledger.delta,
            "lost_charges": lost.charges,
            "lost_at_ms": lost.at_ms,
            "lost": list(lost.digests),
        }
        entry = Entry(
            kind=CHARGE_KIND,
            actor=self.member_id,
            purpose="train",
            correlation=campaign_id,
            payload=facts,
            subject=None,
            at_ms=at_ms,
        )
        seq = self.audit.append(connection, entry).seq
        self.ledger.charge(
            connection,
            Prices(charge, charge),
            campaign_id=campaign_id,
            round_=number,
            spent=spent,
            at_ms=at_ms,
            leaf_seq=seq,
        )
