"""What people see of their requests, their freeze and their reports, and what the desk sees."""

from collections.abc import Mapping
from dataclasses import dataclass

from consent.rights import Freeze
from node.rights.deletion import Plan
from node.rights.items import Item
from node.rights.steps import Action
from node.storage.credit_reports import Report
from node.storage.rights import Happening, Request
from node.storage.rights_outbox import Told
from node.storage.subjects import Subject


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request as its person, or the desk, sees it."""

    request: Request
    happened: tuple[Happening, ...]
    told: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class FreezeView:
    """Whether a person is frozen, since when, and who has acknowledged it."""

    state: Freeze
    since_ms: int | None
    told: tuple[Told, ...]


@dataclass(frozen=True, slots=True)
class Reports:
    """Reports of the calendar year."""

    year: int
    given: tuple[Report, ...]
    free_left: int


@dataclass(frozen=True, slots=True)
class CaseView:
    """A request as the desk sees it.

    Attributes:
        request: the request.
        person: who it is about; None: no longer known here.
        happened: what happened to it, in order.
        told: what other members were told, and answered.
        proposal: what a colleague proposed; empty: nothing.
        actions: what this member of staff can do now.
        plan: of a deletion: what it would do now.
    """

    request: Request
    person: Subject | None
    happened: tuple[Happening, ...]
    told: tuple[Told, ...]
    proposal: Mapping[str, object]
    actions: tuple[Action, ...]
    plan: Plan | None


@dataclass(frozen=True, slots=True)
class PersonFile:
    """What the desk sees of a person it looked up."""

    person: Subject
    items: tuple[Item, ...]
    requests: tuple[Request, ...]
