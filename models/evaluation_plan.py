"""What a campaign measures of its model when it is trained, and on whom.

A share of the consented people is held out: they are in no round of the campaign, and the figures
of the model card are taken from them. Who they are is decided in each node, by a keyed hash of the
split's name and the pseudonym (`node/federation/held_out.py`): it depends on no data and on nobody
else's presence, so adding or removing a person moves nobody from one side to the other. A follow-up
keeps the split of the campaign that it continues, or it would learn from those it is measured on.
"""

from dataclasses import asdict, dataclass
from typing import Any

from models.fields import Fields
from protocols.errors import InvalidInput

MAX_HELD_OUT = 0.5
MAX_HIDDEN = 256
# Largest `Layout.spread` of a tally: room that the ring of masked sums keeps for its noise.
MAX_SPREAD = 2.0


@dataclass(frozen=True)
class EvaluationPlan:
    """Part of a campaign's plan.

    Attributes:
        held_out: share of the people who never train in this campaign; 0: the figures are taken
            from those it learned from, and nothing is said of membership inference.
        split: name of the split; campaigns of one name hold the same people out.
        previous: version of the model it is compared with, or empty for none.
        previous_hidden: hidden units of that model; 0 for none.
    """

    held_out: float = 0.0
    split: str = ""
    previous: str = ""
    previous_hidden: int = 0

    def to_json(self) -> dict[str, Any]:
        """JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, body: object, error: type[InvalidInput]) -> "EvaluationPlan":
        """Read within limits."""
        fields = Fields(body, "evaluation", error)
        result = cls(
            held_out=fields.number("held_out", 0, MAX_HELD_OUT),
            split=fields.possibly_empty_text("split", 40),
            previous=fields.possibly_empty_text("previous", 40),
            previous_hidden=fields.integer("previous_hidden", 0, MAX_HIDDEN),
        )
        fields.done()
        if result.held_out and not result.split:
            raise error("evaluation: people are held out under the name of a split")
        if bool(result.previous) != bool(result.previous_hidden):
            raise error("evaluation: a previous model is named with its hidden units")
        return result


MEASURE_NOTHING_APART = EvaluationPlan()
