"""The node's own privacy ledger: nothing noised leaves before it is charged here.

A charge is a row, written in the transaction that also writes the round and its audit leaf, and
committed before the result is sent: a crash can charge what never left, never the reverse. Epsilon
is computed afresh from every row of the population at each charge: campaigns compose exactly.
"""

import math
from dataclasses import dataclass

from audit.database import Connection
from models.privacy.accountant import Accountant
from models.privacy.budget import Budget
from models.privacy.charge import Charge, Charges, Prices
from node.storage import privacy_ledger as rows


@dataclass(frozen=True)
class Spent:
    """Epsilon after a charge, at the ledger's delta.

    Attributes:
        promised: under the plans' assumptions.
        alone: by this node's own noise.
    """

    promised: float
    alone: float


class PrivacyLedger:
    """The ledger of one population at one node. For one thread at a time.

    Args:
        population: whose privacy is spent; all subjects of a node are one population.
        budget: the ceiling of all campaigns together.
        accountant: composes charges; it keeps what it has computed.
        max_epsilon_alone: ceiling by this node's own noise alone; None: none.
    """

    def __init__(
        self,
        population: str,
        budget: Budget,
        accountant: Accountant,
        max_epsilon_alone: float | None = None,
    ) -> None:
        self._alone_limit = max_epsilon_alone
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

    def paid(
        self, connection: Connection, *, besides: str = "", alone: bool = False
    ) -> list[tuple[Charge, int]]:
        """Everything charged so far, by other campaigns than `besides`."""
        found = rows.charges(connection, self._population, besides=besides, alone=alone)
        return [(Charge(mechanism, noise, rate), count) for mechanism, noise, rate, count in found]

    def epsilon(self, connection: Connection) -> float:
        """What is spent, at this ledger's delta."""
        return self._accountant.epsilon(self.paid(connection), self.delta)

    def compose(self, charges: Charges) -> float:
        """Epsilon of some charges alone, at this ledger's delta."""
        return self._accountant.epsilon(charges, self.delta)

    def projected(self, connection: Connection, more: Charges, *, besides: str = "") -> float:
        """What would be spent after `more`, on top of all campaigns other than `besides`."""
        paid = self.paid(connection, besides=besides)
        return self._accountant.epsilon([*paid, *more], self.delta)

    def lines(self, connection: Connection) -> int:
        """How many charges were written."""
        return rows.count(connection, self._population)

    def price(self, connection: Connection, prices: Prices) -> Spent:
        """Epsilon after one more charge, in the caller's write transaction.

        Raises:
            BudgetSpent: it would pass a ceiling; nothing may be released.
        """
        promised = self._budget.admit(self._accountant, self.paid(connection), prices.promised)
        budget = Budget(
            math.inf if self._alone_limit is None else self._alone_limit, self._budget.delta
        )
        paid = self.paid(connection, alone=True)
        return Spent(promised, budget.admit(self._accountant, paid, prices.alone))

    def charge(
        self,
        connection: Connection,
        prices: Prices,
        *,
        campaign_id: str,
        round_: int,
        spent: Spent,
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
                mechanism=prices.promised.mechanism,
                noise_multiplier=prices.promised.noise_multiplier,
                own_noise_multiplier=prices.alone.noise_multiplier,
                sampling_rate=prices.promised.sampling_rate,
                epsilon_after=spent.promised,
                epsilon_alone_after=spent.alone,
                delta=self.delta,
                at_ms=at_ms,
                leaf_seq=leaf_seq,
            ),
        )
