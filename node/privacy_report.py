"""What training has spent of the privacy of this node's people, read from its ledger.

What was spent in all is the newest line's, as it was written then. Epsilon of one campaign or of
one mechanism is computed from its lines alone: such figures do not add up to the whole, which
composes more tightly than a sum.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from models.privacy.accountant import Accountant
from models.privacy.charge import Charge
from node.parts import Node
from node.storage import privacy_ledger as rows
from node.storage.privacy_ledger import ChargeRow


@dataclass(frozen=True)
class Share:
    """A part of a ledger.

    Attributes:
        name: of the campaign or mechanism.
        charges: how many lines.
        epsilon: of these lines alone, under the plans' assumptions.
        epsilon_alone: likewise, by this node's own noise.
        last_at_ms: when the newest was written, UTC milliseconds.
    """

    name: str
    charges: int
    epsilon: float
    epsilon_alone: float
    last_at_ms: int


@dataclass(frozen=True)
class PopulationPrivacy:
    """One population's ledger.

    Attributes:
        population: whose privacy; all subjects of a node are one population.
        epsilon: spent, under the plans' assumptions.
        epsilon_alone: spent by this node's own noise, against all other parties together.
        max_epsilon, max_epsilon_alone: the ceilings; None: none.
        delta: where all of these hold.
        charges: lines of the ledger.
        campaigns, mechanisms: its parts.
    """

    population: str
    epsilon: float
    epsilon_alone: float
    max_epsilon: float
    max_epsilon_alone: float | None
    delta: float
    charges: int
    campaigns: tuple[Share, ...]
    mechanisms: tuple[Share, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)


def privacy_report(node: Node) -> list[PopulationPrivacy]:
    """The ledger of every population; this node's own stands there even when it is empty."""
    with node.database.read() as connection:
        names = sorted({node.member_id, *rows.populations(connection)})
        ledgers = {name: rows.charge_lines(connection, name) for name in names}
    accountant = Accountant()
    settings = node.settings
    return [
        PopulationPrivacy(
            population=name,
            epsilon=lines[-1].epsilon_after if lines else 0.0,
            epsilon_alone=lines[-1].epsilon_alone_after if lines else 0.0,
            max_epsilon=settings.max_epsilon,
            max_epsilon_alone=settings.max_epsilon_alone,
            delta=settings.delta,
            charges=len(lines),
            campaigns=_shares(lines, lambda line: line.campaign_id, accountant, settings.delta),
            mechanisms=_shares(lines, lambda line: line.mechanism, accountant, settings.delta),
        )
        for name, lines in ledgers.items()
    ]


def _shares(
    lines: Iterable[ChargeRow],
    key: Callable[[ChargeRow], str],
    accountant: Accountant,
    delta: float,
) -> tuple[Share, ...]:
    parts: dict[str, list[ChargeRow]] = {}
    for line in lines:
        parts.setdefault(key(line), []).append(line)
    return tuple(
        Share(
            name=name,
            charges=len(part),
            epsilon=accountant.epsilon([(_charge(one), 1) for one in part], delta),
            epsilon_alone=accountant.epsilon(
                [(_charge(one, alone=True), 1) for one in part], delta
            ),
            last_at_ms=part[-1].at_ms,
        )
        for name, part in parts.items()
    )


def _charge(line: ChargeRow, *, alone: bool = False) -> Charge:
    noise = line.own_noise_multiplier if alone else line.noise_multiplier
    return Charge(line.mechanism, noise, line.sampling_rate)
