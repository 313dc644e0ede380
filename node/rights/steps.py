"""The steps of the desk, as a table: which event each is, and which role may take it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from consent.rights import Event, Kind
from node.rights.errors import StaffRoleMissing

DESK, PRIVACY_OFFICER = "desk", "privacy_officer"
EITHER = frozenset({DESK, PRIVACY_OFFICER})
OFFICER = frozenset({PRIVACY_OFFICER})


class Action(StrEnum):
    """What staff can do with a request; the values stand in forms."""

    ANSWER = "answer"  # looked into, cannot be confirmed either way
    REJECT = "reject"  # the item is right
    PROPOSE = "propose"  # a correction, or a deletion
    APPROVE = "approve"  # what a colleague proposed
    RETURN = "return"
    CLOSE = "close"
    REFUSE = "refuse"
    TAKE = "take"
    UPHOLD = "uphold"
    CHANGE = "change"
    FULFIL = "fulfil"


# The steps of each kind: the event, and who may.
_Step = tuple[Event, frozenset[str]]
STEPS: Mapping[tuple[Kind, Action], _Step] = {
    (Kind.DISPUTE, Action.ANSWER): (Event.ANSWER, EITHER),
    (Kind.DISPUTE, Action.REJECT): (Event.REJECT, EITHER),
    (Kind.DISPUTE, Action.PROPOSE): (Event.PROPOSE, EITHER),
    (Kind.DISPUTE, Action.APPROVE): (Event.APPROVE_CORRECTION, EITHER),
    (Kind.DISPUTE, Action.RETURN): (Event.RETURN, EITHER),
    (Kind.DISPUTE, Action.CLOSE): (Event.CLOSE, EITHER),
    (Kind.CORRECTION, Action.PROPOSE): (Event.PROPOSE, EITHER),
    (Kind.CORRECTION, Action.APPROVE): (Event.APPROVE_CORRECTION, EITHER),
    (Kind.CORRECTION, Action.RETURN): (Event.RETURN, EITHER),
    (Kind.CORRECTION, Action.REFUSE): (Event.REFUSE, EITHER),
    (Kind.DELETION, Action.PROPOSE): (Event.PROPOSE, EITHER),
    (Kind.DELETION, Action.APPROVE): (Event.APPROVE_ERASURE, OFFICER),
    (Kind.DELETION, Action.RETURN): (Event.RETURN, EITHER),
    (Kind.DELETION, Action.REFUSE): (Event.REFUSE, OFFICER),
    (Kind.REVIEW, Action.TAKE): (Event.TAKE, OFFICER),
    (Kind.REVIEW, Action.RETURN): (Event.RETURN, OFFICER),
    (Kind.REVIEW, Action.UPHOLD): (Event.UPHOLD, OFFICER),
    (Kind.REVIEW, Action.CHANGE): (Event.CHANGE, OFFICER),
    (Kind.ACCESS, Action.FULFIL): (Event.FULFIL, EITHER),
    (Kind.ACCESS, Action.REFUSE): (Event.REFUSE, EITHER),
}

WRITTEN = frozenset(Action) - {Action.APPROVE, Action.RETURN, Action.TAKE}


@dataclass(frozen=True, slots=True)
class Clerk:
    """A member of staff who acts: an id that stands in the log, and roles."""

    staff_id: str
    roles: frozenset[str]


def require(clerk: Clerk, roles: frozenset[str]) -> None:
    """Refuse who has none of the roles.

    Raises:
        StaffRoleMissing: they have none.
    """
    if not clerk.roles & roles:
        raise StaffRoleMissing(f"this needs the role {' or '.join(sorted(roles))}")
