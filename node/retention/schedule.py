"""The schedules: what class of record is kept how long, counted from when, and why. This is data.

CRIR is the Credit Reporting Industry Regulation, PIPL the Personal Information Protection Law.
"law" marks a period that the article gives; "own" one that the network holds itself to where law
says "as long as needed". What deletes sooner (a consent's end, a data life, a person's deletion)
is not here: a schedule is the longest that a record is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from node.retention.calendar import Period


class RecordClass(StrEnum):
    """Classes of records with a schedule."""

    LATE_STATEMENT = "late_statement"
    PUBLIC_RECORD = "public_record"
    OUTCOME = "outcome"
    OWN_SIGNALS = "own_signals"
    SCORE = "score"
    REQUEST_TEXT = "request_text"
    CORRECTION = "correction"
    REPORT = "report"


class Action(StrEnum):
    """What happens at the end: the record goes, or what people wrote in it."""

    DELETE = "delete"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Rule:
    """One schedule.

    Attributes:
        period: how long.
        starts: the event from whose end it is counted, as docs/regulator.md names it.
        basis: the article it rests on.
        is_law: whether the article gives the period itself.
        action: what happens then.
        negative: whether it is an item of adverse information (CRIR 16).
    """

    period: Period
    starts: str
    basis: str
    is_law: bool
    action: Action
    negative: bool = False


_FIVE, _THREE = Period(years=5), Period(years=3)

SCHEDULE: Mapping[RecordClass, Rule] = MappingProxyType(
    {
        RecordClass.LATE_STATEMENT: Rule(
            _FIVE, "arrears_ended", "CRIR 16", True, Action.DELETE, negative=True
        ),
        RecordClass.PUBLIC_RECORD: Rule(
            _FIVE, "record_closed", "CRIR 16", True, Action.DELETE, negative=True
        ),
        RecordClass.OUTCOME: Rule(
            _FIVE, "outcome_observed", "CRIR 16", True, Action.DELETE, negative=True
        ),
        RecordClass.OWN_SIGNALS: Rule(
            _FIVE, "signals_computed", "CRIR 16", True, Action.DELETE, negative=True
        ),
        RecordClass.SCORE: Rule(_THREE, "score_issued", "PIPL 56", True, Action.DELETE),
        RecordClass.REQUEST_TEXT: Rule(_THREE, "request_ended", "PIPL 19", False, Action.CLEAR),
        RecordClass.CORRECTION: Rule(_FIVE, "corrected", "PIPL 19", False, Action.DELETE),
        RecordClass.REPORT: Rule(_FIVE, "report_given", "PIPL 19", False, Action.DELETE),
    }
)
