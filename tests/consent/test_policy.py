"""The release policy: a closed list of refusals, each reachable, in a fixed order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.lifecycle import State
from consent.policy import REFUSAL_OF_STATE, Refusal, decide
from consent.refusals import ERRORS, ReleaseRefused, refusal_error
from protocols.errors import error_classes
from tests.consent.samples import NOW_MS, facts, terms

# What goes wrong -> the refusal, in the order of the checks.
BROKEN = {
    "the requester is suspended": (
        facts(requester_active=False),
        Refusal.REQUESTER_NOT_ACTIVE,
    ),
    "there is no such consent": (facts(None), Refusal.CONSENT_UNKNOWN),
    "the token names somebody else": (facts(subject_matches=False), Refusal.SUBJECT_MISMATCH),
    "it was never given": (facts(terms(state=State.REQUESTED)), Refusal.CONSENT_NOT_ACTIVE),
    "it was refused": (facts(terms(state=State.REFUSED)), Refusal.CONSENT_NOT_ACTIVE),
    "the offer lapsed": (facts(terms(state=State.LAPSED)), Refusal.CONSENT_NOT_ACTIVE),
    "it is paused": (facts(terms(state=State.PAUSED)), Refusal.CONSENT_PAUSED),
    "it was withdrawn": (facts(terms(state=State.WITHDRAWN)), Refusal.CONSENT_WITHDRAWN),
    "it was marked expired": (facts(terms(state=State.EXPIRED)), Refusal.CONSENT_EXPIRED),
    "it was replaced": (facts(terms(state=State.SUPERSEDED)), Refusal.CONSENT_SUPERSEDED),
    "it never held": (facts(terms(state=State.INVALIDATED)), Refusal.CONSENT_INVALIDATED),
    "its time has not begun": (
        facts(terms(valid_from_ms=NOW_MS + 1)),
        Refusal.CONSENT_NOT_YET_VALID,
    ),
    "its time is over": (facts(terms(valid_until_ms=NOW_MS)), Refusal.CONSENT_EXPIRED),
    "no list proves that it was not withdrawn": (
        facts(status_proof_until_ms=NOW_MS),
        Refusal.STATUS_STALE,
    ),
    "its controller is not this node, and there is no list of it": (
        facts(status_proof_until_ms=0),
        Refusal.STATUS_STALE,
    ),
    "another recipient asks": (facts(requester="bank-b"), Refusal.RECIPIENT_NOT_NAMED),
    "another holder is asked": (facts(holder="bank-c"), Refusal.HOLDER_NOT_NAMED),
    "the purpose was left out": (facts(purpose="monitor"), Refusal.PURPOSE_NOT_GRANTED),
    "none of the data was granted": (
        facts(categories=frozenset({"income"})),
        Refusal.CATEGORY_NOT_GRANTED,
    ),
    "the person froze it": (facts(frozen=True), Refusal.SUBJECT_FROZEN),
    "its uses are spent": (facts(terms(uses=10)), Refusal.USES_EXHAUSTED),
}


def test_a_release_within_the_consent_is_allowed_for_the_data_life():
    decision = decide(facts(), NOW_MS)
    assert decision.allowed
    assert decision.categories == {"payment"}
    assert decision.expires_at_ms == NOW_MS + 86_400_000


@pytest.mark.parametrize(("broken", "refusal"), BROKEN.values(), ids=BROKEN)
def test_each_broken_term_has_its_refusal(broken, refusal):
    decision = decide(broken, NOW_MS)
    assert decision.refusal is refusal
    assert not decision.allowed
    assert not decision.categories
    assert decision.expires_at_ms == 0


def test_every_refusal_is_reachable():
    assert {refusal for _, refusal in BROKEN.values()} == set(Refusal)


def test_every_state_but_active_has_a_refusal():
    assert set(REFUSAL_OF_STATE) == set(State) - {State.ACTIVE}


def test_an_ended_consent_is_refused_as_ended_though_more_is_wrong_with_it():
    wrong = facts(
        terms(state=State.WITHDRAWN, uses=10, valid_until_ms=0), requester="x", purpose="y"
    )
    assert decide(wrong, NOW_MS).refusal is Refusal.CONSENT_WITHDRAWN


def test_whoever_is_not_of_the_consent_learns_nothing_of_its_state():
    for state in State:
        wrong = facts(terms(state=state), subject_matches=False)
        assert decide(wrong, NOW_MS).refusal is Refusal.SUBJECT_MISMATCH


def test_asking_for_everything_gets_what_was_granted():
    assert decide(facts(categories=frozenset()), NOW_MS).categories == {"payment", "public_record"}


def test_of_several_categories_those_granted_are_released():
    asked = frozenset({"payment", "income"})
    assert decide(facts(categories=asked), NOW_MS).categories == {"payment"}


def test_a_recipients_own_use_needs_no_holder():
    assert decide(facts(holder=None), NOW_MS).allowed


def test_uses_of_the_same_transaction_count():
    last = facts(terms(uses=9))
    assert decide(last, NOW_MS).allowed
    assert decide(last.with_uses(1), NOW_MS).refusal is Refusal.USES_EXHAUSTED
    assert facts(None).with_uses(3).terms is None


@given(
    st.builds(
        lambda flags, state, times, uses, asked: (flags, state, times, uses, asked),
        st.tuples(*[st.booleans()] * 4),
        st.sampled_from(State),
        st.tuples(st.integers(-2, 2), st.integers(-2, 2)),
        st.integers(0, 3),
        st.frozensets(st.sampled_from(["payment", "income", "public_record"])),
    )
)
def test_nothing_is_released_unless_every_term_holds(drawn):
    (active, matches, named, granted), state, (begins, ends), uses, asked = drawn
    given_facts = facts(
        terms(
            state=state,
            valid_from_ms=NOW_MS + begins,
            valid_until_ms=NOW_MS + ends,
            uses=uses,
            max_uses=2,
        ),
        requester_active=active,
        subject_matches=matches,
        requester="bank-a" if named else "bank-b",
        purpose="score" if granted else "monitor",
        categories=asked,
    )
    decision = decide(given_facts, NOW_MS)
    whole = (
        active
        and matches
        and named
        and granted
        and state is State.ACTIVE
        and begins <= 0 < ends
        and uses < 2
        and asked != {"income"}
    )
    assert decision.allowed is whole
    assert decision.categories <= {"payment", "public_record"}


def test_every_refusal_has_an_error_with_its_code_and_a_next_step():
    assert set(ERRORS) == set(Refusal)
    for refusal in Refusal:
        error = refusal_error(refusal)
        assert error.code == refusal.value
        assert error.message
        assert error.next_step
        assert error_classes()[refusal.value] is type(error)
    assert issubclass(ERRORS[Refusal.CONSENT_PAUSED], ReleaseRefused)


def test_facts_are_values():
    assert facts() == replace(facts())
