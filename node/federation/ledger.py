"""The node's own privacy ledger: nothing noised leaves before it is charged here.

A charge is a row, written in the transaction that also writes the round and its audit leaf, and
committed before the result is sent: a crash can charge what never left, never the reverse. Epsilon
is computed afresh from every row of the population at each charge: campaigns compose exactly.
"""

from audit.database import Connection
from models.privacy.accountant import Accountant
from models.privacy.budget import Budget
from models.privacy.charge import Charge, Charges
from node.storage import privacy_ledger as rows


class PrivacyLedger:
    """The ledger of one population at one node. For one thread at a time.

    Args:
        population: whose privacy is spent; all subjects of a node are one population.
        budget: the ceiling of all campaigns together.
        accountant: composes charges; it keeps what it has computed.
    """

    def __init__(self, population: str, budget: Budget, accountant: Accountant) -> None:
        self._population = population
        self._budget = budget
        self._accountant = accountant

    @property
    def delta(self) -> float:
        """The delta at which this ledger counts."""
        return self._budget.delta

    @property
    def limit(self) -> float:
        """The ceiling."""
        return self._budget.epsilon

    def paid(self, connection: Connection, *, besides: str = "") -> list[tuple[Charge, int]]:
        """Everything charged so far, by other campaigns than `besides`."""
        found = rows.charges(connection, self._population, besides=besides)
        return [(Charge(mechanism, noise, rate), count) for mechanism, noise, rate, count in found]

    def epsilon(self, connection: Connection) -> float:
        """What is spent, at this ledger's delta."""
        return self._accountant.epsilon(self.paid(connection), self.delta)

    def projected(self, connection: Connection, more: Charges, *, besides: str = "") -> float:
        """What would be spent after `more`, on top of all campaigns other than `besides`."""
        paid = self.paid(connection, besides=besides)
        return self._accountant.epsilon([*paid, *more], self.delta)

    def price(self, connection: Connection, charge: Charge) -> float:
        """Epsilon after one more charge, in the caller's write transaction.

        Raises:
            BudgetSpent: it would pass the ceiling; nothing may be released.
        """
        return self._budget.admit(self._accountant, self.paid(connection), charge)

    def charge(
        self,
        connection: Connection,
        charge: Charge,
        *,
        campaign_id: str,
        round_: int,
        epsilon_after: float,
        at_ms: int,
        leaf_seq: int,
    ) -> None:
        """Write the charge that `price` admitted, in the same transaction."""
        rows.add_charge(
            connection,
            rows.ChargeRow(
                population=self._population,
                campaign_id=campaign_id,
                round=round_,
                mechanism=charge.mechanism,
                noise_multiplier=charge.noise_multiplier,
                sampling_rate=charge.sampling_rate,
                epsilon_after=epsilon_after,
                delta=self.delta,
                at_ms=at_ms,
                leaf_seq=leaf_seq,
            ),
        )
