"""A refused release as an error, for the faces: one class a refusal, its code the wire code.

An exchange answers with the bare code; an API or a command raises the error, whose `next_step`
tells its reader what would help.
"""

from typing import ClassVar

from consent.policy import Refusal
from protocols.errors import Category, CredenceError


class ReleaseRefused(CredenceError):
    """A consent does not allow this release."""

    code = "release_refused"
    category: ClassVar[Category] = "forbidden"
    next_step = "Ask the person for a consent that covers this."


class RequesterNotActive(ReleaseRefused):
    """The requesting member is suspended or revoked."""

    code = "requester_not_active"
    next_step = "Ask the operator why this member is not active in the directory."


class ConsentUnknown(ReleaseRefused):
    """This node keeps no such consent."""

    code = "consent_unknown"
    category = "not_found"
    next_step = "Check the consent id, and that the consent was delivered to this node."


class SubjectMismatch(ReleaseRefused):
    """The consent was given by another person."""

    code = "subject_mismatch"
    next_step = "Name the consent that this person gave."


class ConsentWithdrawn(ReleaseRefused):
    """The person withdrew the consent."""

    code = "consent_withdrawn"
    next_step = "Stop, and delete what was received; only the person can grant a new consent."


class ConsentPaused(ReleaseRefused):
    """The person paused the consent."""

    code = "consent_paused"
    retryable = True
    next_step = "Wait until the person resumes it."


class ConsentSuperseded(ReleaseRefused):
    """A newer version replaced this one."""

    code = "consent_superseded"
    next_step = "Use the newest version of the consent."


class ConsentInvalidated(ReleaseRefused):
    """The consent was declared invalid."""

    code = "consent_invalidated"


class ConsentExpired(ReleaseRefused):
    """The consent's time is over."""

    code = "consent_expired"


class ConsentNotActive(ReleaseRefused):
    """The consent was never given."""

    code = "consent_not_active"


class ConsentNotYetValid(ReleaseRefused):
    """The consent's time has not begun."""

    code = "consent_not_yet_valid"
    retryable = True
    next_step = "Try again when the consent's validity has begun."


class StatusStale(ReleaseRefused):
    """This node has no fresh proof that the consent was not withdrawn."""

    code = "status_stale"
    category = "unavailable"
    retryable = True
    next_step = "Try again when this node reaches the consent node, or has its newest status list."


class RecipientNotNamed(ReleaseRefused):
    """The consent does not name this recipient."""

    code = "recipient_not_named"


class HolderNotNamed(ReleaseRefused):
    """The consent does not name this holder."""

    code = "holder_not_named"


class PurposeNotGranted(ReleaseRefused):
    """The person did not grant this purpose."""

    code = "purpose_not_granted"


class CategoryNotGranted(ReleaseRefused):
    """The person granted none of the data categories asked for."""

    code = "category_not_granted"


class SubjectFrozen(ReleaseRefused):
    """The person froze what this node keeps of them."""

    code = "subject_frozen"
    next_step = "Only the person can lift the freeze; ask them."


class UsesExhausted(ReleaseRefused):
    """The consent's uses are spent."""

    code = "uses_exhausted"


ERRORS: dict[Refusal, type[ReleaseRefused]] = {
    Refusal(cls.code): cls for cls in ReleaseRefused.__subclasses__()
}


def refusal_error(refusal: Refusal) -> ReleaseRefused:
    """The error of a refusal."""
    cls = ERRORS[refusal]
    return cls((cls.__doc__ or refusal).rstrip("."))
