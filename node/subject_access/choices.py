"""What a person may choose from when they grant a consent at this node."""

from collections.abc import Callable
from dataclasses import dataclass

from consent.templates import DAY_MS, Templates
from node.consents.offers import TEMPLATE
from protocols.directory import Directory, MemberEntry
from protocols.identifiers import PURPOSES

# Whose trade it is to decide on credit; others are asked, and receive nothing.
_RECEIVES = frozenset({"bank"})
_SOURCES = frozenset({"data_provider", "public_record_publisher", "licensed_agency"})
VALIDITIES = (30, 90, 180, 365)


@dataclass(frozen=True, slots=True)
class DataKind:
    """A kind of data.

    Attributes:
        source_class: as the catalogue names it.
        holders: member ids that keep it, this node first.
        restricted: whether it may only be asked for with the notice of adverse consequences.
    """

    source_class: str
    holders: tuple[str, ...]
    restricted: bool


@dataclass(frozen=True, slots=True)
class Choices:
    """All of it.

    Attributes:
        purposes: in the order in which they are read.
        recipients: member ids, this node first.
        kinds: kinds of data that somebody keeps.
        validities: days, within the template's bounds for every purpose.
        adverse_notice: the text that stands beside restricted kinds.
    """

    purposes: tuple[str, ...]
    recipients: tuple[str, ...]
    kinds: tuple[DataKind, ...]
    validities: tuple[int, ...]
    adverse_notice: str

    def holders_of(self, classes: frozenset[str]) -> tuple[str, ...]:
        """Who keeps any of `classes`, sorted."""
        kept = [one for kind in self.kinds if kind.source_class in classes for one in kind.holders]
        return tuple(sorted(set(kept)))


class GrantChoices:
    """Reads what can be chosen now, from the directory and the template."""

    def __init__(
        self, member_id: str, directory: Callable[[], Directory], templates: Templates
    ) -> None:
        self._member_id = member_id
        self._directory = directory
        self._templates = templates

    def read(self, language: str) -> Choices:
        """What can be chosen.

        Args:
            language: of the notice, BCP 47.

        Raises:
            NotJoined: this node has no directory yet.
        """
        template = self._templates.get(TEMPLATE)
        members = [one for one in self._directory().members if one.active]
        members.sort(key=lambda one: (one.member_id != self._member_id, one.member_id))
        kinds = [
            DataKind(
                source_class,
                tuple(one.member_id for one in members if self._keeps(one, source_class)),
                source_class in template.adverse_notice_categories,
            )
            for source_class in sorted(template.data_categories)
        ]
        kept = [kind for kind in kinds if kind.holders]
        kept.sort(key=lambda kind: (kind.restricted, kind.source_class))
        longest = template.strictest(PURPOSES).max_validity_ms // DAY_MS
        return Choices(
            purposes=tuple(one for one in ("score", "train", "monitor") if one in template.bounds),
            recipients=tuple(
                one.member_id
                for one in members
                if one.member_id == self._member_id or one.role in _RECEIVES
            ),
            kinds=tuple(kept),
            validities=tuple(days for days in VALIDITIES if days <= longest),
            adverse_notice=template.adverse_notices[template.adverse_notice(language)],
        )

    def _keeps(self, member: MemberEntry, source_class: str) -> bool:
        own = member.member_id == self._member_id
        return source_class in member.holds and (own or member.role in _SOURCES)
