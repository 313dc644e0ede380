"""When a file says too little: a code instead of a made-up score.

A network always has a number, also for somebody nobody knows. A bundle names how many signals must
have a value for its number to mean something; below that the answer is an exclusion, told to
lenders and people alike by its code.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import resources

import yaml

from protocols.errors import InvalidInput

MINIMUM_PRESENT = 0.1
"""The share that bundles are published with: of 21 signals that holders send, 3 with a value.

"Nothing on record" tells a network something, but a file of nothing else is no credit history.
"""


class Exclusion(StrEnum):
    """Why there is no score."""

    NO_DATA = "no_data"
    TOO_THIN = "too_thin"


def exclusion_of(coverage: float, present: float, minimum_present: float) -> Exclusion | None:
    """Why a file is not scored, or None.

    Args:
        coverage: share of the holders' signals that said something, 0..1.
        present: share of them that have a value, 0..1.
        minimum_present: of the bundle.
    """
    if coverage <= 0:
        return Exclusion.NO_DATA
    return Exclusion.TOO_THIN if present < minimum_present else None


@cache
def _texts() -> Mapping[str, Mapping[str, str]]:
    text = resources.files("models").joinpath("exclusions.yaml").read_text(encoding="utf-8")
    loaded: dict[str, dict[str, str]] = yaml.safe_load(text)
    return loaded


def exclusion_text(code: str, language: str) -> str:
    """What an exclusion says to a person.

    Raises:
        InvalidInput: no text for this code and language.
    """
    try:
        return _texts()[code][language]
    except KeyError:
        raise InvalidInput(f"no exclusion text for {code!r} in {language!r}") from None
