"""What goes wrong in secure aggregation; the codes that travel."""

from protocols.errors import CredenceError, Malformed, SignatureInvalid, StateConflict


class MaskingMalformed(Malformed):
    """A message of secure aggregation is not what it must be."""

    code = "masking_malformed"


class MaskKeyForeign(SignatureInvalid):
    """Mask keys that no active member of the directory signed for this campaign and plan."""

    code = "mask_key_foreign"
    next_step = "Somebody stands in the middle, or the directory here is old: report it."


class RosterChanged(StateConflict):
    """Another set of mask keys than the one this node has fixed for the campaign."""

    code = "mask_roster_changed"
    next_step = "A campaign keeps the keys it began with; propose a new one for other members."


class MaskingNotReady(StateConflict):
    """The campaign's masks are not agreed here yet."""

    code = "masking_not_ready"
    next_step = "Send this node the dealt shares first."


class CohortOfFew(CredenceError):
    """Fewer members than the plan lets a sum be opened for."""

    code = "masked_cohort_too_small"
    category = "forbidden"
    next_step = "Bring more of the plan's members back; nothing was opened."


class ViewRefused(CredenceError):
    """A round's view that this node cannot sign or answer: not its input, or not its round."""

    code = "round_view_refused"
    category = "forbidden"
    next_step = "Show every member the round as it was."


class ViewInconsistent(CredenceError):
    """Another view of a round that this node has signed a view of already."""

    code = "round_view_inconsistent"
    category = "conflict"
    next_step = "Members were told different things about one round: report the coordinator."


class ViewUnsupported(CredenceError):
    """Too few members have signed the view for it to be the only one."""

    code = "round_view_unsupported"
    category = "forbidden"
    next_step = "Collect signatures of at least the plan's threshold of members."


class ShareInvalid(SignatureInvalid):
    """A share that does not fit its dealer's commitments, or was not meant for this holder."""

    code = "mask_share_invalid"
    next_step = "The dealer is left out of the sums."


class AnswerWrong(SignatureInvalid):
    """A member opened something else than it had committed to."""

    code = "mask_answer_wrong"
    next_step = "Its masks are opened by its neighbours instead; look at its version."


class MaskMismatch(CredenceError):
    """A member's masks do not fit those of most of its neighbours."""

    code = "mask_mismatch"
    category = "invalid"
    next_step = "It is left out of the round; look at its version."
