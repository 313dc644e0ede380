"""The ceiling a population's charges must stay under.

The ledger itself (what was charged, when) is the node's table; this is the rule it applies before
it writes a row. A charge that would pass the ceiling is refused: training stops when it is spent.
"""

from dataclasses import dataclass

from models.privacy.accountant import Accountant
from models.privacy.charge import Charge, Charges
from protocols.errors import CredenceError


class BudgetSpent(CredenceError):
    """The population's privacy budget does not allow this mechanism."""

    code = "budget_exhausted"
    category = "forbidden"
    next_step = "Stop training on this population; raising its ceiling is a decision of its owner."


@dataclass(frozen=True)
class Budget:
    """Epsilon and delta that all charges of one population may reach together."""

    epsilon: float
    delta: float

    def admit(self, accountant: Accountant, paid: Charges, next_charge: Charge) -> float:
        """Epsilon after one more charge.

        Raises:
            BudgetSpent: it would pass the ceiling.
        """
        after = accountant.epsilon([*paid, (next_charge, 1)], self.delta)
        if after > self.epsilon:
            raise BudgetSpent(
                f"{next_charge.mechanism} would raise epsilon to {after:.3f} "
                f"of {self.epsilon:.3f} at delta {self.delta:g}"
            )
        return after
