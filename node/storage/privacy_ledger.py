"""The lines of the privacy ledger, append-only: every mechanism run on this node's people."""

from dataclasses import asdict, dataclass, fields

from sqlalchemy import func, insert, select

from audit.database import Connection
from node.storage.tables import privacy_charge


@dataclass(frozen=True, slots=True)
class ChargeRow:
    """One line of the privacy ledger; it never changes.

    Attributes:
        noise_multiplier: under the plan's assumption; sigma over the L2 sensitivity.
        own_noise_multiplier: what this node alone added; the same in `local` mode.
        epsilon_after, epsilon_alone_after: what was spent then, by each.
    """

    population: str
    campaign_id: str
    round: int
    mechanism: str
    noise_multiplier: float
    own_noise_multiplier: float
    sampling_rate: float
    epsilon_after: float
    epsilon_alone_after: float
    delta: float
    at_ms: int
    leaf_seq: int


_COLUMNS = [privacy_charge.c[item.name] for item in fields(ChargeRow)]


def charges(
    connection: Connection, population: str, *, besides: str = "", alone: bool = False
) -> list[tuple[str, float, float, int]]:
    """Everything charged to a population: (mechanism, noise multiplier, sampling rate, count).

    Args:
        connection: read or write.
        population: whose ledger.
        besides: a campaign to leave out; empty: none.
        alone: by the noise that this node alone added.
    """
    columns = privacy_charge.c
    kind = (
        privacy_charge.c.mechanism,
        columns.own_noise_multiplier if alone else columns.noise_multiplier,
        privacy_charge.c.sampling_rate,
    )
    rows = connection.execute(
        select(*kind, func.count())
        .where(privacy_charge.c.population == population, privacy_charge.c.campaign_id != besides)
        .group_by(*kind)
        .order_by(*kind)
    )
    return [(str(row[0]), float(row[1]), float(row[2]), int(row[3])) for row in rows]


def count(connection: Connection, population: str) -> int:
    """How many lines a population's ledger has."""
    counted = connection.execute(
        select(func.count())
        .select_from(privacy_charge)
        .where(privacy_charge.c.population == population)
    )
    return int(counted.scalar_one())


def populations(connection: Connection) -> list[str]:
    """The populations that were charged for anything."""
    found = select(privacy_charge.c.population).distinct().order_by(privacy_charge.c.population)
    return list(connection.execute(found).scalars())


def add_charge(connection: Connection, row: ChargeRow) -> None:
    """Add a line; a second charge for one (population, campaign, round, mechanism) is an error."""
    connection.execute(insert(privacy_charge).values(**asdict(row)))


def charge_lines(connection: Connection, population: str) -> list[ChargeRow]:
    """The whole ledger of a population, in order."""
    rows = connection.execute(
        select(*_COLUMNS)
        .where(privacy_charge.c.population == population)
        .order_by(privacy_charge.c.charge_id)
    )
    return [ChargeRow(*row) for row in rows]


def leaves_of(connection: Connection, population: str, mechanism: str) -> list[int]:
    """Leaves of the charges of one mechanism to a population, in order."""
    rows = connection.execute(
        select(privacy_charge.c.leaf_seq)
        .where(privacy_charge.c.population == population, privacy_charge.c.mechanism == mechanism)
        .order_by(privacy_charge.c.charge_id)
    )
    return [int(row[0]) for row in rows]


def last_charge(connection: Connection, population: str) -> ChargeRow | None:
    """The newest line of a population's ledger, or None."""
    row = connection.execute(
        select(*_COLUMNS)
        .where(privacy_charge.c.population == population)
        .order_by(privacy_charge.c.charge_id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else ChargeRow(*row)
