"""What can go wrong with a request about a person's rights."""

from protocols.errors import CredenceError, NotFound, StateConflict


class RequestUnknown(NotFound):
    """There is no such request, or it is not this person's: nobody can tell which."""

    code = "rights_request_unknown"
    next_step = "Open the request from your own list."


class AlreadyDisputed(StateConflict):
    """The person disputes this item already."""

    code = "already_disputed"
    next_step = "Follow the dispute that is open; add a statement to it."


class TooManyRequests(StateConflict):
    """The person has as many requests open as one may have."""

    code = "too_many_rights_requests"
    next_step = "Wait for those that are open, or withdraw one."


class ItemUnknown(NotFound):
    """The item is none that this person's institutions hold."""

    code = "rights_item_unknown"
    next_step = "Choose an item of the list; another's is disputed at the institution that has it."


class NoPath(StateConflict):
    """No consent of the person links this institution and the one that holds the item."""

    code = "rights_no_path"
    next_step = "Write to the institution that holds the item; its contact is in the directory."


class ReportNotFree(StateConflict):
    """The two free reports of this calendar year were given."""

    code = "report_not_free"
    next_step = "Ask the institution: a further report is at the price that it sets."


class StaffRoleMissing(CredenceError):
    """This member of staff has not the role that the step needs."""

    code = "staff_role_missing"
    category = "forbidden"
    next_step = "Ask a colleague who has the role."


class FourEyes(CredenceError):
    """The step needs a second person, not the one who acted before."""

    code = "second_person_needed"
    category = "forbidden"
    next_step = "Ask a colleague who has not acted on this before."


class ConsentsStillLive(StateConflict):
    """Consents in force still have this person's data used."""

    code = "consents_still_live"
    next_step = "Have the person withdraw their consents first; then delete."


class WordOutdated(StateConflict):
    """A notice is older than what was heard since."""

    code = "rights_word_outdated"
    next_step = "Nothing to do: the newer word is in effect."


class NoticeReused(StateConflict):
    """A notice's id was used for another notice."""

    code = "rights_notice_reused"
    next_step = "Give every notice an id of its own."


class NotTheirs(CredenceError):
    """A member speaks about a person or an item that is not its to speak about."""

    code = "rights_not_theirs"
    category = "forbidden"
    next_step = "Only the person's consent node, or who furnished the item, may say this."


class ConsentNotHere(NotFound):
    """None of the consents that a notice names is kept here yet."""

    code = "rights_consent_not_here"
    retryable = True
    next_step = "Deliver the consents first; the notice is tried again."


class LegallyHeld(StateConflict):
    """A legal hold keeps what a deletion would take."""

    code = "legally_held"
    next_step = "Release the hold first, or refuse and say that a hold stands in the way."
