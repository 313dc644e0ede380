"""What a person may ask of an institution about their data, as tables: states, events, deadlines.

Not a release (`consent.policy`), not a consent (`consent.lifecycle`): what a person says about
the data themselves. What is not in a table is an error. Articles: PIPL is the Personal Information
Protection Law, CRIR the Credit Reporting Industry Regulation (State Council Order 631).
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from protocols.errors import InvalidInput, StateConflict

DAY_MS = 86_400_000

MAX_STATEMENT = 200  # characters of a person's statement beside an item
MAX_TEXT = 2_000  # characters of what somebody writes in a request or an answer
MAX_LINES = 60

FREE_REPORTS_A_YEAR = 2
# The calendar year is that of the place where the person lives (UTC+8, no summer time since 1992).
YEAR_OFFSET_MS = 8 * 3_600_000


class Kind(StrEnum):
    """What is asked; the values are stored and travel."""

    DISPUTE = "dispute"
    CORRECTION = "correction"
    DELETION = "deletion"
    REVIEW = "review"
    ACCESS = "access"


class State(StrEnum):
    """Where a request stands; the values are stored and shown."""

    OPENED = "opened"
    WITH_FURNISHER = "with_furnisher"
    PROPOSED = "proposed"  # one member of staff has decided, a second has not yet agreed
    ANSWERED = "answered"  # looked into, could not be confirmed either way, recorded as such
    CORRECTED = "corrected"
    REJECTED = "rejected"
    IN_REVIEW = "in_review"
    UPHELD = "upheld"
    CHANGED = "changed"
    ERASED = "erased"
    RESTRICTED = "restricted"  # kept because law says so, never served
    FULFILLED = "fulfilled"
    REFUSED = "refused"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"


class Event(StrEnum):
    """What can happen to a request; the values are stored."""

    SEND = "send"
    PROPOSE = "propose"
    RETURN = "return"
    APPROVE_CORRECTION = "approve_correction"
    HEAR_CORRECTED = "hear_corrected"  # the furnisher, another member, says it corrected the item
    ANSWER = "answer"
    REJECT = "reject"
    CLOSE = "close"
    APPROVE_ERASURE = "approve_erasure"
    APPROVE_RESTRICTION = "approve_restriction"
    TAKE = "take"
    UPHOLD = "uphold"
    CHANGE = "change"
    FULFIL = "fulfil"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"


class RightsConflict(StateConflict):
    """A request in this state does not know this step."""

    code = "rights_state_conflict"
    next_step = "Look at the request's state; somebody may have acted on it meanwhile."


class TextRefused(InvalidInput):
    """A text is empty, too long, or has characters that are not for reading."""

    code = "rights_text_refused"
    next_step = "Write plain text within the length that the form names."


_Table = Mapping[tuple[State, Event], State]

# Of the records of this very institution: one proposes, another agrees.
_FOUR_EYES: _Table = {
    (State.OPENED, Event.PROPOSE): State.PROPOSED,
    (State.PROPOSED, Event.RETURN): State.OPENED,
    (State.OPENED, Event.REFUSE): State.REFUSED,
    (State.OPENED, Event.WITHDRAW): State.WITHDRAWN,
    (State.PROPOSED, Event.WITHDRAW): State.WITHDRAWN,
}

TRANSITIONS: Mapping[Kind, _Table] = {
    # CRIR 25: found wrong, corrected; found right, the flag goes; neither, both sides are recorded.
    Kind.DISPUTE: {
        (State.OPENED, Event.SEND): State.WITH_FURNISHER,
        (State.OPENED, Event.WITHDRAW): State.WITHDRAWN,
        (State.WITH_FURNISHER, Event.PROPOSE): State.PROPOSED,
        (State.WITH_FURNISHER, Event.HEAR_CORRECTED): State.CORRECTED,
        (State.WITH_FURNISHER, Event.ANSWER): State.ANSWERED,
        (State.WITH_FURNISHER, Event.REJECT): State.REJECTED,
        (State.WITH_FURNISHER, Event.WITHDRAW): State.WITHDRAWN,
        (State.PROPOSED, Event.RETURN): State.WITH_FURNISHER,
        (State.PROPOSED, Event.APPROVE_CORRECTION): State.CORRECTED,
        (State.PROPOSED, Event.WITHDRAW): State.WITHDRAWN,
        (State.ANSWERED, Event.CLOSE): State.CLOSED,
        (State.CORRECTED, Event.CLOSE): State.CLOSED,
        (State.REJECTED, Event.CLOSE): State.CLOSED,
    },
    Kind.CORRECTION: {
        **_FOUR_EYES,
        (State.PROPOSED, Event.APPROVE_CORRECTION): State.CORRECTED,
    },
    Kind.DELETION: {
        **_FOUR_EYES,
        (State.PROPOSED, Event.APPROVE_ERASURE): State.ERASED,
        (State.PROPOSED, Event.APPROVE_RESTRICTION): State.RESTRICTED,
    },
    Kind.REVIEW: {
        (State.OPENED, Event.TAKE): State.IN_REVIEW,
        (State.IN_REVIEW, Event.RETURN): State.OPENED,
        (State.IN_REVIEW, Event.UPHOLD): State.UPHELD,
        (State.IN_REVIEW, Event.CHANGE): State.CHANGED,
        (State.OPENED, Event.WITHDRAW): State.WITHDRAWN,
        (State.IN_REVIEW, Event.WITHDRAW): State.WITHDRAWN,
    },
    Kind.ACCESS: {
        (State.OPENED, Event.FULFIL): State.FULFILLED,
        (State.OPENED, Event.REFUSE): State.REFUSED,
        (State.OPENED, Event.WITHDRAW): State.WITHDRAWN,
    },
}

# An item is shown as disputed from the moment its dispute is opened until it is closed.
FLAGGED = frozenset(
    {
        State.OPENED,
        State.WITH_FURNISHER,
        State.PROPOSED,
        State.ANSWERED,
        State.CORRECTED,
        State.REJECTED,
    }
)


def advance(kind: Kind, state: State, event: Event) -> State:
    """The state after `event`.

    Raises:
        RightsConflict: the kind's table has no such entry.
    """
    after = TRANSITIONS[kind].get((state, event))
    if after is None:
        raise RightsConflict(f"a {kind} that is {state} does not know {event}")
    return after


def has_ended(kind: Kind, state: State) -> bool:
    """Whether nothing leads out of `state`."""
    return all(known is not state for known, _ in TRANSITIONS[kind])


def is_four_eyes(kind: Kind, event: Event) -> bool:
    """Whether `event` agrees to what another member of staff has proposed."""
    return (
        event
        in {
            Event.APPROVE_CORRECTION,
            Event.APPROVE_ERASURE,
            Event.APPROVE_RESTRICTION,
        }
        and (State.PROPOSED, event) in TRANSITIONS[kind]
    )


# -- deadlines


class SetBy(StrEnum):
    """Where a period comes from."""

    LAW = "law"
    INSTITUTION = "institution"  # the law says "in time"; this is what the network holds itself to


@dataclass(frozen=True, slots=True)
class Deadline:
    """By when an answer is due.

    Attributes:
        days: from the day it was received.
        articles: what it rests on.
        set_by: whether the number of days is the law's or ours.
    """

    days: int
    articles: tuple[str, ...]
    set_by: SetBy

    def due_at_ms(self, received_at_ms: int) -> int:
        """The moment after which it is late."""
        return received_at_ms + self.days * DAY_MS


DEADLINES: Mapping[Kind, Deadline] = {
    # "within 20 days of receiving the dispute ... in writing"; furnisher and desk share the days.
    Kind.DISPUTE: Deadline(20, ("CRIR 25",), SetBy.LAW),
    # PIPL says "in time"; of an own record a credit institution takes no longer than of a dispute.
    Kind.CORRECTION: Deadline(20, ("PIPL 46", "CRIR 25"), SetBy.INSTITUTION),
    Kind.DELETION: Deadline(15, ("PIPL 47",), SetBy.INSTITUTION),
    Kind.REVIEW: Deadline(15, ("PIPL 24", "PIPL 48"), SetBy.INSTITUTION),
    Kind.ACCESS: Deadline(15, ("PIPL 45",), SetBy.INSTITUTION),
}

# To the regulator, who answers within 30 days; shown beside every outcome.
COMPLAINT = Deadline(30, ("CRIR 26",), SetBy.LAW)


@dataclass(frozen=True, slots=True)
class Retention:
    """What law says to keep of a source class after a person asks to delete it.

    Attributes:
        years: counted from the end of the event; None: nothing has to be kept.
        article: what says so.
    """

    years: int | None
    article: str


# CRIR 16: adverse information is kept for five years from the end of the event, then deleted.
RETENTION: Mapping[str, Retention] = {
    "credit_account": Retention(5, "CRIR 16"),
    "public_record": Retention(5, "CRIR 16"),
}
NOT_KEPT = Retention(None, "PIPL 47")


def retention(source_class: str) -> Retention:
    """What law says to keep of a source class."""
    return RETENTION.get(source_class, NOT_KEPT)


# -- freeze


class Freeze(StrEnum):
    """Whether a person lets anything be released."""

    OPEN = "open"
    FROZEN = "frozen"


class FreezeEvent(StrEnum):
    """What a person does about it, in one step."""

    FREEZE = "freeze"
    UNFREEZE = "unfreeze"


FREEZE_TRANSITIONS: Mapping[tuple[Freeze, FreezeEvent], Freeze] = {
    (Freeze.OPEN, FreezeEvent.FREEZE): Freeze.FROZEN,
    (Freeze.FROZEN, FreezeEvent.FREEZE): Freeze.FROZEN,
    (Freeze.FROZEN, FreezeEvent.UNFREEZE): Freeze.OPEN,
    (Freeze.OPEN, FreezeEvent.UNFREEZE): Freeze.OPEN,
}


# -- reports


def report_year(at_ms: int) -> int:
    """The calendar year in which a report is counted."""
    days = (at_ms + YEAR_OFFSET_MS) // DAY_MS
    # Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    shifted = days + 719_468
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    leaps = day_of_era // 1_460 - day_of_era // 36_524 + day_of_era // 146_096
    year_of_era = (day_of_era - leaps) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    january_or_february = (5 * day_of_year + 2) // 153 >= 10
    return int(year_of_era + era * 400 + january_or_february)


def is_free(number: int) -> bool:
    """Whether the `number`-th report of a calendar year, from 1, costs nothing."""
    return number <= FREE_REPORTS_A_YEAR


# -- texts


def clean_text(text: str, most: int = MAX_TEXT, *, least: int = 1) -> str:
    """What a person or a member of staff wrote, fit to be stored and shown.

    Line ends become line feeds, the text is brought into NFC and stripped. It is stored as
    written otherwise: escaping is the business of who shows it.

    Raises:
        TextRefused: fewer than `least` or more than `most` characters, too many lines, or a
            character that is no text: controls, surrogates, and those that turn the reading order.
    """
    if len(text) > 4 * most:  # before any work on it
        raise TextRefused(f"at most {most} characters")
    tidy = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not least <= len(tidy) <= most:
        raise TextRefused(f"between {least} and {most} characters")
    if tidy.count("\n") >= MAX_LINES:
        raise TextRefused(f"at most {MAX_LINES} lines")
    if any(not _is_text(one) for one in tidy):
        raise TextRefused("a character in it is not for reading")
    return tidy


# Invisible, and yet part of how a text is written: joiners of scripts and of emoji.
_JOINERS = frozenset("\u200c\u200d")
# Controls, halves and private characters; format characters, which hide or turn what is read
# (Unicode TR 36, section 2.10); separators of lines and paragraphs.
_NO_TEXT = frozenset({"Cc", "Cs", "Co", "Cn", "Cf", "Zl", "Zp"})


def _is_text(one: str) -> bool:
    return one == "\n" or one in _JOINERS or unicodedata.category(one) not in _NO_TEXT
