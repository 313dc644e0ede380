"""What may follow what: a later version of a consent, a later word of its subject.

Signatures say who spoke; these rules say whether it still counts. They hold alike at the consent
node, at holders and at recipients, so that all of them come to the same state.
"""

from dataclasses import dataclass

from consent.artefact import Artefact
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
        subject_key: the person's Ed25519 public key, 32 bytes.
        state: where its lifecycle stands.
        event_at_ms: the time the last signed event stated; 0: none.
    """

    consent_hash: bytes
    version: int
    controller: str
    subject_key: bytes
    state: State
    event_at_ms: int


def check_version(artefact: Artefact, held: Held) -> bool:
    """Whether a verified artefact replaces the version in force.

    1. the same controller and the same subject key made both;
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
    if artefact.controller != held.controller or artefact.subject_key != held.subject_key:
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
    """Whether a verified event of a subject speaks about the consent held.

    1. the consent's own controller and subject key signed it;
    2. a withdrawal counts whatever version it saw and whatever its clock said, because withdrawing
       is never harder than granting (PIPL article 15);
    3. anything else is about the version in force,
    4. and later than what the person said last, by a clock that is not far ahead.

    Raises:
        ControllerMismatch, SignatureInvalid: 1.
        ConsentConflict: 3.
        EventOutdated: 4.
    """
    # 1
    if event.controller != held.controller:
        raise ControllerMismatch("the event names another consent node than the consent")
    if event.subject_key != held.subject_key:
        raise SignatureInvalid("the event is signed by another key than the consent")
    # 2
    if event.event is Event.WITHDRAW:
        return
    # 3
    if event.consent_hash != held.consent_hash:
        raise ConsentConflict("the event is about another version of the consent")
    # 4
    if event.at_ms <= held.event_at_ms:
        raise EventOutdated("a later statement is already in effect")
    if event.at_ms > now_ms + CLOCK_SKEW_MS:
        raise EventOutdated("the event's time lies in the future")
