"""A node's own rules about model versions, and its comparisons of two."""

from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, insert, select, update

from audit.database import Connection
from node.storage.model_tables import model_comparison, model_rule

Rule = Literal["pinned", "refused"]


@dataclass(frozen=True, slots=True)
class RuleRow:
    """A rule: `pinned`, this node answers with that version alone; `refused`, never with it."""

    version: str
    rule: Rule
    why: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a challenger would have said against what was answered, over `count` scores.

    Attributes:
        version: the version that answered.
        failed: scores that the challenger could not make.
        pd_difference, points_difference: sums of challenger less answer.
        points_distance: sum of absolute differences in points.
        better_band, worse_band: how often the challenger's band is better, or worse.
        since_ms, until_ms: of the first and the last score.
    """

    version: str
    challenger: str
    count: int
    failed: int
    pd_difference: float
    points_difference: float
    points_distance: float
    better_band: int
    worse_band: int
    since_ms: int
    until_ms: int

    def plus(self, other: "Comparison") -> "Comparison":
        """Both together."""
        return Comparison(
            version=self.version,
            challenger=self.challenger,
            count=self.count + other.count,
            failed=self.failed + other.failed,
            pd_difference=self.pd_difference + other.pd_difference,
            points_difference=self.points_difference + other.points_difference,
            points_distance=self.points_distance + other.points_distance,
            better_band=self.better_band + other.better_band,
            worse_band=self.worse_band + other.worse_band,
            since_ms=min(self.since_ms, other.since_ms),
            until_ms=max(self.until_ms, other.until_ms),
        )


def rules(connection: Connection) -> dict[str, RuleRow]:
    """All rules, by version."""
    columns = [model_rule.c[name] for name in RuleRow.__slots__]
    rows = connection.execute(select(*columns).order_by(model_rule.c.version))
    return {row[0]: RuleRow(*row) for row in rows}


def set_rule(connection: Connection, row: RuleRow) -> None:
    """Put a rule in force in place of the version's old one; a pin also replaces another pin."""
    remove_rule(connection, row.version)
    if row.rule == "pinned":
        connection.execute(delete(model_rule).where(model_rule.c.rule == "pinned"))
    values = {name: getattr(row, name) for name in RuleRow.__slots__}
    connection.execute(insert(model_rule).values(**values))


def remove_rule(connection: Connection, version: str) -> None:
    """Take back the rule about a version, if there is one."""
    connection.execute(delete(model_rule).where(model_rule.c.version == version))


def comparisons(connection: Connection) -> list[Comparison]:
    """All comparisons, the newest first."""
    columns = [model_comparison.c[name] for name in Comparison.__slots__]
    rows = connection.execute(select(*columns).order_by(model_comparison.c.until_ms.desc()))
    return [Comparison(*row) for row in rows]


def add_comparison(connection: Connection, more: Comparison) -> None:
    """Add to the comparison of the same two versions, or begin one."""
    same = (model_comparison.c.version == more.version) & (
        model_comparison.c.challenger == more.challenger
    )
    columns = [model_comparison.c[name] for name in Comparison.__slots__]
    held = connection.execute(select(*columns).where(same)).one_or_none()
    whole = more if held is None else Comparison(*held).plus(more)
    values = {name: getattr(whole, name) for name in Comparison.__slots__}
    if held is None:
        connection.execute(insert(model_comparison).values(**values))
    else:
        connection.execute(update(model_comparison).where(same).values(**values))
