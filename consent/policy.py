"""May this signal be released, for this purpose, to this member, now? Pure and closed.

`decide` is given facts that were read inside the transaction that also writes the release, so that
what it found is still true when the answer leaves. Every outcome is one of `Refusal`; there is no
path to a release but through all the checks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from consent.lifecycle import State


class Refusal(StrEnum):
    """Why nothing is released; the values travel in answers and stand in release records."""

    REQUESTER_NOT_ACTIVE = "requester_not_active"
    CONSENT_UNKNOWN = "consent_unknown"
    SUBJECT_MISMATCH = "subject_mismatch"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    CONSENT_PAUSED = "consent_paused"
    CONSENT_SUPERSEDED = "consent_superseded"
    CONSENT_INVALIDATED = "consent_invalidated"
    CONSENT_EXPIRED = "consent_expired"
    CONSENT_NOT_ACTIVE = "consent_not_active"
    CONSENT_NOT_YET_VALID = "consent_not_yet_valid"
    STATUS_STALE = "status_stale"
    RECIPIENT_NOT_NAMED = "recipient_not_named"
    HOLDER_NOT_NAMED = "holder_not_named"
    PURPOSE_NOT_GRANTED = "purpose_not_granted"
    CATEGORY_NOT_GRANTED = "category_not_granted"
    SUBJECT_FROZEN = "subject_frozen"
    USES_EXHAUSTED = "uses_exhausted"


REFUSAL_OF_STATE: dict[State, Refusal] = {
    State.REQUESTED: Refusal.CONSENT_NOT_ACTIVE,
    State.REFUSED: Refusal.CONSENT_NOT_ACTIVE,
    State.LAPSED: Refusal.CONSENT_NOT_ACTIVE,
    State.PAUSED: Refusal.CONSENT_PAUSED,
    State.WITHDRAWN: Refusal.CONSENT_WITHDRAWN,
    State.EXPIRED: Refusal.CONSENT_EXPIRED,
    State.SUPERSEDED: Refusal.CONSENT_SUPERSEDED,
    State.INVALIDATED: Refusal.CONSENT_INVALIDATED,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What the consent in force says, as its keeper stores it.

    Attributes:
        consent_id: "con_" and 26 characters.
        consent_hash: SHA-256 of the artefact's canonical bytes.
        pseudonym: the subject, 32 bytes.
        controller: member id of the consent node.
        state: where its lifecycle stands.
        purposes: of `score`, `train`, `monitor`.
        recipients: member ids that may receive.
        holders: member ids that may release.
        data_categories: source classes that may be released.
        valid_from_ms: first moment of validity.
        valid_until_ms: first moment after it.
        data_life_s: how long a recipient may keep what it received, seconds.
        max_epsilon: the most a training run may spend on this person; None: no training terms.
        max_uses: releases allowed at each holder.
        uses: releases made here so far.
        grants: (recipient, purpose) -> source classes; None: all recipients may have all.
    """

    consent_id: str
    consent_hash: bytes
    pseudonym: bytes
    controller: str
    state: State
    purposes: frozenset[str]
    recipients: frozenset[str]
    holders: frozenset[str]
    data_categories: frozenset[str]
    valid_from_ms: int
    valid_until_ms: int
    data_life_s: int
    max_epsilon: float | None
    max_uses: int
    uses: int
    grants: Mapping[tuple[str, str], frozenset[str]] | None = None

    def granted(self, recipient: str, purpose: str) -> frozenset[str]:
        """Source classes that a recipient may have for a purpose; empty: none."""
        if self.grants is not None:
            return self.grants.get((recipient, purpose), frozenset())
        named = recipient in self.recipients and purpose in self.purposes
        return self.data_categories if named else frozenset()


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """All that a decision depends on.

    Attributes:
        terms: the consent's terms; None: no such consent here.
        requester: member id of the caller, from its certificate.
        requester_active: whether the directory has it as active.
        holder: member id of the node that decides; None: the requester uses what it already has.
        purpose: what the requester says it is for.
        categories: source classes asked for; empty: whatever the consent allows.
        subject_matches: whether the request speaks of the consent's own subject.
        status_proof_until_ms: until when the controller's status list proves here that the consent
            was not withdrawn; None: this node is the controller, and knows without a proof.
        frozen: whether the person froze what this node keeps of them.
    """

    terms: Terms | None
    requester: str
    requester_active: bool
    holder: str | None
    purpose: str
    categories: frozenset[str]
    subject_matches: bool
    status_proof_until_ms: int | None
    frozen: bool = False

    def with_uses(self, more: int) -> "ReleaseFacts":
        """The same facts after `more` uses counted in the same transaction."""
        if self.terms is None or more == 0:
            return self
        return replace(self, terms=replace(self.terms, uses=self.terms.uses + more))


@dataclass(frozen=True, slots=True)
class Decision:
    """What `decide` found.

    Attributes:
        refusal: why not; None: release.
        categories: source classes that may be released; those asked for and not in here are
            answered with the status `no_consent`.
        expires_at_ms: when the recipient has to delete what it receives.
    """

    refusal: Refusal | None
    categories: frozenset[str] = frozenset()
    expires_at_ms: int = 0

    @property
    def allowed(self) -> bool:
        """Whether anything may be released."""
        return self.refusal is None


def decide(facts: ReleaseFacts, now_ms: int) -> Decision:
    """Decide one release.

    The checks, in this order; the first that fails is the answer:

    1. the requester is an active member of the network;
    2. this node keeps the consent;
    3. the request speaks of the consent's own subject;
    4. the consent's state is `active`;
    5. now is within its validity;
    6. a proof of the controller's status list that is not too old says so too, unless this node is
       the controller;
    7. the requester is among its recipients;
    8. this node is among its holders (unless the requester uses what it already has);
    9. the purpose was granted to this requester;
    10. and so was at least one of the categories asked for;
    11. the person has not frozen what this node keeps of them;
    12. a use is left.
    """
    # 1
    if not facts.requester_active:
        return Decision(Refusal.REQUESTER_NOT_ACTIVE)
    # 2
    terms = facts.terms
    if terms is None:
        return Decision(Refusal.CONSENT_UNKNOWN)
    # 3 to 9
    refusal = _not_theirs(facts) or _not_live(terms, facts, now_ms) or _not_covered(terms, facts)
    if refusal is not None:
        return Decision(refusal)
    # 10
    granted = terms.granted(facts.requester, facts.purpose)
    categories = facts.categories & granted if facts.categories else granted
    if not categories:
        return Decision(Refusal.CATEGORY_NOT_GRANTED)
    # 11, 12
    refusal = _not_left(terms, facts)
    if refusal is not None:
        return Decision(refusal)
    return Decision(None, categories, now_ms + terms.data_life_s * 1000)


def _not_theirs(facts: ReleaseFacts) -> Refusal | None:
    # 3
    return None if facts.subject_matches else Refusal.SUBJECT_MISMATCH


def _not_live(terms: Terms, facts: ReleaseFacts, now_ms: int) -> Refusal | None:
    # 4
    if terms.state is not State.ACTIVE:
        return REFUSAL_OF_STATE[terms.state]
    # 5
    if now_ms < terms.valid_from_ms:
        return Refusal.CONSENT_NOT_YET_VALID
    if now_ms >= terms.valid_until_ms:
        return Refusal.CONSENT_EXPIRED
    # 6
    proven_until_ms = facts.status_proof_until_ms
    if proven_until_ms is not None and now_ms >= proven_until_ms:
        return Refusal.STATUS_STALE
    return None


def _not_covered(terms: Terms, facts: ReleaseFacts) -> Refusal | None:
    # 7
    if facts.requester not in terms.recipients:
        return Refusal.RECIPIENT_NOT_NAMED
    # 8
    if facts.holder is not None and facts.holder not in terms.holders:
        return Refusal.HOLDER_NOT_NAMED
    # 9
    if not terms.granted(facts.requester, facts.purpose):
        return Refusal.PURPOSE_NOT_GRANTED
    return None


def _not_left(terms: Terms, facts: ReleaseFacts) -> Refusal | None:
    # 11
    if facts.frozen:
        return Refusal.SUBJECT_FROZEN
    # 12
    return Refusal.USES_EXHAUSTED if terms.uses >= terms.max_uses else None
