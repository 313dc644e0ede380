"""What a watch looks at: part of the signed plan of a campaign that trains nobody."""

from dataclasses import dataclass
from typing import Any

from models.fields import Fields
from protocols.errors import InvalidInput

# More would need more room for noise in the ring of masked sums (`evaluation_plan.MAX_SPREAD`).
MAX_SIGNALS = 12


@dataclass(frozen=True)
class WatchPlan:
    """Part of the plan of a watch.

    Attributes:
        signals: ids of the signals whose distribution is looked at, beside the score's.
    """

    signals: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return {"signals": list(self.signals)}

    @classmethod
    def from_json(cls, body: object, error: type[InvalidInput]) -> "WatchPlan | None":
        """Read within limits; null: the plan is not one of a watch."""
        if body is None:
            return None
        fields = Fields(body, "watch", error)
        signals = tuple(fields.texts("signals", MAX_SIGNALS, 64))
        fields.done()
        if len(set(signals)) != len(signals):
            raise error("watch: each signal is named once")
        return cls(signals)
