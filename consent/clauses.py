"""The clauses of an artefact: recipients and what they may have, the notice, training's terms."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from consent.fields import DECIMAL, Fields
from protocols.data_classes import is_data_class
from protocols.errors import Malformed
from protocols.identifiers import PURPOSES

MAX_PARTIES: Final = 32
MAX_CATEGORIES: Final = 16
MAX_VERSION: Final = 1_000_000

_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")  # BCP 47


@dataclass(frozen=True, slots=True)
class Recipient:
    """A member that may receive, as the person was told of it (PIPL article 23)."""

    member_id: str
    name: str
    contact: str


@dataclass(frozen=True, slots=True)
class Notice:
    """The text the person read: its version, language and SHA-256."""

    version: int
    language: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class TrainingTerms:
    """The privacy loss the person accepts in training; decimals, as written in the artefact.

    Attributes:
        epsilon: the most that may be spent on them, for example "8".
        delta: at this delta, for example "0.00001".
    """

    epsilon: str
    delta: str


@dataclass(frozen=True, slots=True)
class Grant:
    """What one recipient may have for one purpose.

    Attributes:
        recipient: member id.
        purpose: `score`, `train` or `monitor`.
        data_categories: source classes, sorted.
    """

    recipient: str
    purpose: str
    data_categories: tuple[str, ...]


def read_recipient(fields: Fields) -> Recipient:
    """Read a recipient."""
    found = Recipient(
        member_id=fields.member("member_id"),
        name=fields.prose("name", 1, 120),
        contact=fields.prose("contact", 0, 200),
    )
    fields.end()
    return found


def read_notice(fields: Fields) -> Notice:
    """Read what a consent says of its notice."""
    found = Notice(
        version=fields.integer("version", 1, MAX_VERSION),
        language=fields.text("language", _LANGUAGE),
        sha256=fields.digest("sha256"),
    )
    fields.end()
    return found


def read_training(fields: Fields | None) -> TrainingTerms | None:
    """Read the terms of training, where there are any."""
    if fields is None:
        return None
    found = TrainingTerms(
        epsilon=fields.text("epsilon", DECIMAL), delta=fields.text("delta", DECIMAL)
    )
    fields.constant("unit", "subject")
    fields.end()
    return found


def read_grants(values: Sequence[Fields] | None) -> tuple[Grant, ...]:
    """Read grants, sorted by recipient and purpose, each pair once.

    Raises:
        Malformed: they are not.
    """
    if values is None:
        return ()
    found = tuple(map(_grant, values))
    keys = [(grant.recipient, grant.purpose) for grant in found]
    if any(left >= right for left, right in pairwise(keys)):
        raise Malformed("the consent: grants are not sorted or repeat themselves")
    return found


def canonical_grants(grants: Sequence[Grant]) -> tuple[Grant, ...]:
    """Grants as an artefact has them: sorted, and none where all recipients may have the same.

    Args:
        grants: at least one, each pair of recipient and purpose once.
    """
    ordered = tuple(sorted(grants, key=lambda grant: (grant.recipient, grant.purpose)))
    return () if is_uniform(ordered) else ordered


def is_uniform(grants: Sequence[Grant]) -> bool:
    """Whether every recipient may have the same categories for the same purposes."""
    recipients = {grant.recipient for grant in grants}
    purposes = {grant.purpose for grant in grants}
    whole = len(grants) == len(recipients) * len(purposes)
    return whole and len({grant.data_categories for grant in grants}) <= 1


def grant_json(grant: Grant) -> dict[str, Any]:
    """A grant as it stands in an artefact."""
    return {
        "recipient": grant.recipient,
        "purpose": grant.purpose,
        "data_categories": list(grant.data_categories),
    }


def _grant(fields: Fields) -> Grant:
    found = Grant(
        recipient=fields.member("recipient"),
        purpose=fields.choice("purpose", PURPOSES),
        data_categories=fields.words("data_categories", is_data_class, 1, MAX_CATEGORIES),
    )
    fields.end()
    return found
