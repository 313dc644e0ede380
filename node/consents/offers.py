"""What a consent node offers a person to sign: the terms, filled in from directory and template."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from consent.artefact import Artefact, new_consent_id
from consent.authority import Authority, device_key
from consent.clauses import Grant, Notice, Recipient, TrainingTerms, canonical_grants
from consent.templates import DAY_MS, DAY_S, Template, Templates
from node.network.pairwise import PairKeys
from protocols.directory import Directory, MemberEntry
from protocols.errors import InvalidInput
from protocols.pseudonyms import handle

TEMPLATE = "credit-assessment"

# Of whom a person is asked by default: those whose trade it is to know, not other lenders.
_SOURCES = frozenset({"data_provider", "public_record_publisher", "licensed_agency"})


@dataclass(frozen=True, slots=True)
class OfferTerms:
    """What may be chosen when a consent is offered; the rest follows from it.

    Attributes:
        purposes: of `score`, `train`, `monitor`.
        recipients: member ids that may receive; None: this node.
        grants: what each recipient may have for each purpose, where they differ; purposes,
            recipients and data categories are then what these add up to.
        holders: member ids; None: this node and every active data source of the network.
        data_categories: source classes; None: all that the holders hold and the template allows.
        valid_days: how long it is valid from now on.
        data_life_days: how long what is received may be kept.
        max_uses: releases at each holder.
        epsilon: the most training may spend on the person, a decimal.
        delta: at this delta, a decimal.
        language: of the notice, BCP 47.
        jurisdiction: ISO 3166.
    """

    purposes: Sequence[str] = ("score", "train")
    recipients: Sequence[str] | None = None
    grants: Sequence[Grant] = ()
    holders: Sequence[str] | None = None
    data_categories: Sequence[str] | None = None
    valid_days: int = 365
    data_life_days: int = 30
    max_uses: int = 200
    epsilon: str = "8"
    delta: str = "0.00001"
    language: str = "en"
    jurisdiction: str = "CN"


@dataclass(frozen=True)
class Offer:
    """Terms ready for any number of people; `artefact` makes them one person's.

    Attributes:
        notice_text: what each of them has to be shown,
        adverse_notice_text: and this too, unless it is empty.
    """

    notice_text: str
    adverse_notice_text: str
    template_id: str
    template_sha256: bytes
    jurisdiction: str
    controller: str
    recipients: tuple[Recipient, ...]
    grants: tuple[Grant, ...]
    holders: tuple[str, ...]
    handle_epoch: int
    purposes: tuple[str, ...]
    data_categories: tuple[str, ...]
    valid_from_ms: int
    valid_until_ms: int
    data_life_s: int
    max_uses: int
    notice: Notice
    adverse_notice_sha256: bytes | None
    training: TrainingTerms | None
    pair_keys: Mapping[str, bytes]

    def handles(self, pseudonym: bytes) -> dict[str, bytes]:
        """By which each other party finds the person, 32 bytes each."""
        return {member: handle(key, pseudonym) for member, key in self.pair_keys.items()}

    def artefact(
        self,
        pseudonym: bytes,
        authority: Authority | bytes,
        *,
        replaces: Artefact | None = None,
        consent_id: str | None = None,
    ) -> Artefact:
        """One person's consent, for them to sign.

        Args:
            pseudonym: the person, 32 bytes.
            authority: by what they grant it; bytes: their Ed25519 public key.
            replaces: the version in force that this one is to replace.
            consent_id: of the request that this one grants.
        """
        if replaces is not None:
            consent_id = replaces.consent_id
        return Artefact(
            consent_id=consent_id or new_consent_id(),
            version=replaces.version + 1 if replaces else 1,
            prev_hash=replaces.consent_hash if replaces else None,
            template_id=self.template_id,
            template_sha256=self.template_sha256,
            jurisdiction=self.jurisdiction,
            controller=self.controller,
            recipients=self.recipients,
            holders=self.holders,
            handles=self.handles(pseudonym),
            handle_epoch=self.handle_epoch,
            purposes=self.purposes,
            data_categories=self.data_categories,
            valid_from_ms=self.valid_from_ms,
            valid_until_ms=self.valid_until_ms,
            data_life_s=self.data_life_s,
            max_uses=self.max_uses,
            notice=self.notice,
            adverse_notice_sha256=self.adverse_notice_sha256,
            automated_decision=True,
            training=self.training,
            authority=device_key(authority) if isinstance(authority, bytes) else authority,
            grants=self.grants,
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    recipients: frozenset[str]
    purposes: frozenset[str]
    categories: frozenset[str]


class ConsentOffers:
    """Makes offers of this node as controller."""

    def __init__(
        self,
        member_id: str,
        directory: Callable[[], Directory],
        templates: Templates,
        pair_keys: PairKeys,
    ) -> None:
        self._member_id = member_id
        self._directory = directory
        self._templates = templates
        self._pair_keys = pair_keys

    def offer(self, terms: OfferTerms, now_ms: int) -> Offer:
        """Fill in an offer.

        Raises:
            NotJoined: this node has no directory yet.
            UnknownMember, MemberNotActive: a holder or recipient is not in the network.
            TemplateUnknown: there is no notice in the language.
            InvalidInput: the holders hold nothing that may be asked for.
        """
        directory = self._directory()
        template = self._templates.get(TEMPLATE)
        holders = self._holders(directory, terms.holders)
        asked = self._asked(terms, holders, template)
        recipients = [directory.active_member(one) for one in sorted(asked.recipients)]
        categories = asked.categories
        adverse = None
        if categories & template.adverse_notice_categories:
            adverse = template.adverse_notice(terms.language)
        notice = template.notice(terms.language)
        ids = tuple(sorted(holder.member_id for holder in holders))
        return Offer(
            notice_text=template.notices[notice],
            adverse_notice_text=template.adverse_notices[adverse] if adverse else "",
            template_id=template.template_id,
            template_sha256=template.sha256,
            jurisdiction=terms.jurisdiction,
            controller=self._member_id,
            recipients=tuple(Recipient(one.member_id, one.name, one.contact) for one in recipients),
            grants=canonical_grants(terms.grants),
            holders=ids,
            handle_epoch=directory.epoch,
            purposes=tuple(sorted(asked.purposes)),
            data_categories=tuple(sorted(categories)),
            valid_from_ms=now_ms,
            valid_until_ms=now_ms + terms.valid_days * DAY_MS,
            data_life_s=terms.data_life_days * DAY_S,
            max_uses=terms.max_uses,
            notice=notice,
            adverse_notice_sha256=adverse.sha256 if adverse else None,
            training=TrainingTerms(terms.epsilon, terms.delta)
            if "train" in asked.purposes
            else None,
            pair_keys={
                one: self._pair_keys.with_member(one, directory.epoch)
                for one in sorted({*ids, *asked.recipients} - {self._member_id})
            },
        )

    def _asked(
        self, terms: OfferTerms, holders: Sequence[MemberEntry], template: Template
    ) -> _Asked:
        held = {category for holder in holders for category in holder.holds}
        if terms.grants:
            named = {category for one in terms.grants for category in one.data_categories}
            return _Asked(
                frozenset(one.recipient for one in terms.grants),
                frozenset(one.purpose for one in terms.grants),
                frozenset(named),
            )
        categories = frozenset(
            held & template.data_categories
            if terms.data_categories is None
            else terms.data_categories
        )
        if not categories:
            raise InvalidInput("the holders hold no data that a consent may be about")
        recipients = frozenset(terms.recipients or (self._member_id,))
        return _Asked(recipients, frozenset(terms.purposes), categories)

    def _holders(self, directory: Directory, wanted: Iterable[str] | None) -> list[MemberEntry]:
        if wanted is not None:
            return [directory.active_member(member_id) for member_id in sorted(set(wanted))]
        return [
            entry
            for entry in directory.members
            if entry.active
            and entry.holds
            and (entry.member_id == self._member_id or entry.role in _SOURCES)
        ]
