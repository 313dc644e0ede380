"""What may follow what: a later version of a consent, a later word of its subject.

Signatures say who spoke; these rules say whether it still counts. They hold alike at the consent
node, at holders and at recipients, so that all of them come to the same state.
"""

from dataclasses import dataclass

from consent.artefact import Artefact
from consent.authority import ACCOUNT, BRANCH, CONTROLLER, Authority
from consent.events import ConsentEvent
from consent.lifecycle import ENDED, Event, State
from consent.policy import REFUSAL_OF_STATE
from consent.refusals import refusal_error
from protocols.errors import CredenceError, SignatureInvalid, StateConflict

# How far a person's clock may run ahead of ours before a pause or a resumption is refused.
CLOCK_SKEW_MS = 60_000


class ConsentConflict(StateConflict):
    """Another document stands already where this one wants to be."""

    code = "consent_conflict"
    next_step = "Fetch the version in force and have the person sign one that follows it."


class ConsentRollback(StateConflict):
    """An older version of a consent than the one in force."""

    code = "consent_rollback"
    next_step = "Use the newest version of the consent."


class EventOutdated(StateConflict):
    """A statement that is older than one already in effect, or from a clock far ahead."""

    code = "event_outdated"
    next_step = "Have the person say so again, with a clock that is right."


class ControllerMismatch(CredenceError):
    """Who delivers is not the consent node that the document names."""

    code = "controller_mismatch"
    category = "forbidden"
    next_step = "Only the consent node delivers a consent and what follows it."


@dataclass(frozen=True, slots=True)
class Held:
    """The version in force, as far as these rules look at it.

    Attributes:
        consent_hash: its hash, 32 bytes.
        version: its number.
        controller: member id of the consent node.
        authority: by what it speaks for the person.
        state: where its lifecycle stands.
        event_at_ms: the time the last signed event stated; 0: none.
    """

    consent_hash: bytes
    version: int
    controller: str
    authority: Authority
    state: State
    event_at_ms: int


def check_version(artefact: Artefact, held: Held) -> bool:
    """Whether a verified artefact replaces the version in force.

    1. the same controller, kind of authority and key made both: what one key granted, another
       cannot widen;
    2. the consent has not ended;
    3. the very same document again changes nothing;
    4. a lower version is a rollback, another document of the same version a conflict;
    5. the next version names the hash of this one; a gap is bridged (the versions between never
       arrived here), for the person signed the newest.

    Returns:
        True: it replaces it; False: it is the version in force.

    Raises:
        ConsentConflict: 1, 4, 5.
        ReleaseRefused: 2, with the code of the state.
        ConsentRollback: 4.
    """
    # 1
    same = held.authority.same_person(artefact.auth_method, artefact.subject_key)
    if artefact.controller != held.controller or not same:
        raise ConsentConflict("another party made the consent of this id")
    # 2
    if held.state in ENDED:
        raise refusal_error(REFUSAL_OF_STATE[held.state])
    # 3
    if artefact.consent_hash == held.consent_hash:
        return False
    # 4
    if artefact.version < held.version:
        raise ConsentRollback(f"version {held.version} of the consent is in force")
    if artefact.version == held.version:
        raise ConsentConflict(f"another version {held.version} of the consent is in force")
    # 5
    if artefact.version == held.version + 1 and artefact.prev_hash != held.consent_hash:
        raise ConsentConflict("the new version does not follow the one in force")
    return True


def check_event(event: ConsentEvent, held: Held, now_ms: int) -> None:
    """Whether a verified event speaks about the consent held.

    1. the consent's own controller signed it, and the consent's own authority stands behind it; to
       withdraw or pause, a signed-in session or a branch is enough for any consent, because
       stopping is never harder than granting (PIPL article 15); that a consent is invalid, the
       controller says alone;
    2. a withdrawal or an invalidation counts whatever version it saw and whatever its clock said;
    3. anything else is about the version in force, on the site that its attestation named,
    4. and later than what the person said last, by a clock that is not far ahead.

    Raises:
        ControllerMismatch, SignatureInvalid: 1.
        ConsentConflict: 3.
        EventOutdated: 4.
    """
    # 1
    if event.controller != held.controller:
        raise ControllerMismatch("the event names another consent node than the consent")
    if not _may_say(event, held):
        raise SignatureInvalid("the event is signed by another key than the consent")
    # 2
    if event.event in {Event.WITHDRAW, Event.INVALIDATE}:
        return
    # 3
    if event.consent_hash != held.consent_hash:
        raise ConsentConflict("the event is about another version of the consent")
    stated = event.authority.attestation_sha256
    if stated is not None and stated != held.authority.attestation_sha256:
        raise ConsentConflict("the event comes with another attestation than the consent")
    # 4
    if event.at_ms <= held.event_at_ms:
        raise EventOutdated("a later statement is already in effect")
    if event.at_ms > now_ms + CLOCK_SKEW_MS:
        raise EventOutdated("the event's time lies in the future")


def _may_say(event: ConsentEvent, held: Held) -> bool:
    authority = event.authority
    if event.event is Event.INVALIDATE:
        return authority.method == CONTROLLER
    if authority.own_signature:
        return held.authority.same_person(authority.method, authority.key)
    stops = event.event in {Event.WITHDRAW, Event.PAUSE}
    return stops or held.authority.method in {ACCOUNT, BRANCH}
