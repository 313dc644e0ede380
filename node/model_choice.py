"""Which version a node answers with: what the release names, within the node's own rules.

1. Only a version that the release in force names and that is not withdrawn.
2. Never one that this node refuses.
3. One that this node pinned is answered with alone: while it cannot be, nothing is.
4. Else the staged version when this node is one of its members, or the champion.
5. Until that one is here, and while it is refused, the one before stays, within 1 and 2.
6. The challenger is scored in the shadow of answers, within 1 and 2, and is never the answer.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass

from node.storage.models import RuleRow
from protocols.releases import Release


@dataclass(frozen=True, slots=True)
class Choice:
    """What a node answers with, and what it scores in its shadow; None: nothing."""

    active: str | None
    shadow: str | None


@dataclass(frozen=True)
class Situation:
    """What a choice depends on.

    Attributes:
        member_id: this node.
        release: in force.
        rules: this node's own, by version.
        usable: versions that are kept here, are the release's very bundles, and read the catalogue
            in force.
        active: what it answers with now.
    """

    member_id: str
    release: Release
    rules: Mapping[str, RuleRow]
    usable: Set[str]
    active: str | None

    @property
    def pinned(self) -> str | None:
        """The version that this node pinned, or None."""
        return next((one.version for one in self.rules.values() if one.rule == "pinned"), None)

    @property
    def wanted(self) -> str | None:
        """What it is to answer with, whether it is here or not."""
        return self.pinned or self.release.named_for(self.member_id)

    def allowed(self, version: str | None) -> bool:
        """Whether it may be used here at all."""
        if version is None or version not in self.release.models:  # 1
            return False
        rule = self.rules.get(version)
        return rule is None or rule.rule != "refused"  # 2


def choose(situation: Situation) -> Choice:
    """What to answer with, and what to score in its shadow; see the module's rules."""
    active = _active(situation)
    challenger = situation.release.challenger
    shadow = (
        challenger if situation.allowed(challenger) and challenger in situation.usable else None
    )
    return Choice(active, shadow if shadow != active else None)  # 6


def _active(situation: Situation) -> str | None:
    wanted = situation.wanted
    if situation.allowed(wanted) and wanted in situation.usable:  # 4
        return wanted
    if situation.pinned is not None:  # 3
        return None
    return situation.active if situation.allowed(situation.active) else None  # 5
