"""What each recipient may have for each purpose, as one column of a consent's row.

"bank-b:score:payment,tax bank-c:train:payment"; empty where all recipients may have all. A network
has few different lists and many consents, so a text is read once.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from consent.clauses import Grant


def grants_text(grants: Sequence[Grant]) -> str:
    """The column of an artefact's grants."""
    return " ".join(
        f"{one.recipient}:{one.purpose}:{','.join(one.data_categories)}" for one in grants
    )


@lru_cache(maxsize=4096)
def grants_of(text: str) -> Mapping[tuple[str, str], frozenset[str]] | None:
    """(recipient, purpose) -> source classes; None: all recipients may have all."""
    if not text:
        return None
    found: dict[tuple[str, str], frozenset[str]] = {}
    for word in text.split():
        recipient, purpose, categories = word.split(":")
        found[recipient, purpose] = frozenset(categories.split(","))
    return found


def granted(text: str, categories: frozenset[str], recipient: str, purpose: str) -> frozenset[str]:
    """What a recipient, named by the consent, may have for a purpose that it names."""
    grants = grants_of(text)
    return categories if grants is None else grants.get((recipient, purpose), frozenset())
