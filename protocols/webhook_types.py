"""Types of webhook messages; a name is never re-used for something else."""

from typing import Final, Literal, get_args

MessageType = Literal[
    "batch.completed",
    "endpoint.test",
    "monitor.delinquency",
    "monitor.ended",
    "monitor.multi_lender_growth",
    "monitor.new_debt",
    "monitor.score_drop",
    "score_request.completed",
]
MESSAGE_TYPES: Final[tuple[str, ...]] = get_args(MessageType)
TEST: Final = "endpoint.test"
ENDED: Final = "monitor.ended"
