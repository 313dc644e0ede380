"""A person at the portal of their bank: what they sign there holds at another institution."""

import json
from dataclasses import replace

import pytest

from consent.artefact import Artefact
from consent.authority import branch
from consent.clauses import Grant
from consent.lifecycle import State
from consent.refusals import ReleaseRefused
from consent.templates import ConsentOutOfBounds, TemplateUnknown
from node.consents.personal import (
    PREPARED_MS,
    AccountProof,
    GrantChoice,
    PasskeyProof,
    PreparedExpired,
)
from node.consents.service import OfferTerms, SignedGrant
from protocols.errors import CredenceError, Malformed, SignatureInvalid
from tests.node.consent_world import person
from tests.passkey_device import es256
from tests.personal.signing import (
    APP,
    DEVICE,
    OFFICER,
    SCORE,
    SIGNER,
    by_account,
    by_passkey,
    held_state,
)


def test_a_consent_signed_by_passkey_at_the_bank_is_in_force_at_the_holder(world, bank, mine):
    """The holder believes the passkey by the bank's attestation, which travels with it."""
    consent_id = by_passkey(mine)
    assert bank.consents.push_pending().accepted == 1
    stored = world.member("payments").consents.get(consent_id)
    assert stored.terms.state is State.ACTIVE
    assert stored.auth_method == "passkey"
    assert b'"header":{"authenticatorData"' in stored.artefact


def test_a_consent_confirmed_in_the_account_is_marked_as_such_everywhere(world, bank, mine):
    """It says by which second factor, and a holder reads it there."""
    consent_id = by_account(mine)
    bank.consents.push_pending()
    stored = world.member("payments").consents.get(consent_id)
    assert (stored.terms.state, stored.auth_method) == (State.ACTIVE, "account")
    assert mine.artefact(person(1), consent_id).authority.confirmed_by == "password_totp"


def test_a_consent_signed_in_a_branch_carries_the_papers_hash(world, bank):
    """An officer's key signs it and the bank countersigns; it travels like any other."""
    offer = bank.consents.offer(SCORE)
    artefact = offer.artefact(person(1), branch(OFFICER.verify_key.bytes, b"p" * 32))
    signed = SignedGrant(person(1), world_sign(artefact))
    (recorded,) = bank.consents.record_many([signed])
    assert bank.consents.push_pending().accepted == 1
    stored = world.member("payments").consents.get(recorded.consent_id)
    assert stored.auth_method == "branch"


def world_sign(artefact):
    from consent.artefact import sign_as_subject

    return sign_as_subject(artefact, OFFICER)


def test_what_is_prepared_says_all_that_the_person_has_to_read(mine):
    """The notice's text, the notice of adverse consequences where one is due, and until when."""
    ready = mine.prepare(person(1), GrantChoice(SCORE), SIGNER)
    assert "You allow the institutions" in ready.notice_text
    assert ready.adverse_notice_text == ""
    assert ready.artefact == Artefact.parse(ready.body)
    restricted = OfferTerms(purposes=("score",), data_categories=("income", "payment"))
    ready = mine.prepare(person(1), GrantChoice(restricted), APP)
    assert "may lower your score" in ready.adverse_notice_text
    assert ready.challenge == b""


def test_recipients_get_what_each_was_granted(world, bank, mine):
    """Another bank is let in for one class and purpose only, at the holder too."""
    grants = (
        Grant("bank-a", "score", ("credit_account", "payment")),
        Grant("bank-b", "monitor", ("payment",)),
    )
    consent_id = by_passkey(mine, choice=GrantChoice(OfferTerms(grants=grants)))
    assert bank.consents.push_pending().accepted == 2
    terms = world.member("payments").consents.get(consent_id).terms
    assert terms.granted("bank-a", "score") == {"credit_account", "payment"}
    assert terms.granted("bank-b", "monitor") == {"payment"}
    assert not terms.granted("bank-b", "score")
    other = world.member("bank-b")
    with other.database.read() as connection:
        (live,) = other.consents.live_consents(connection, "monitor")
        assert live.data_categories == {"payment"}
        assert other.consents.live_consents(connection, "score") == []


def test_the_same_answer_handed_in_twice_grants_once(bank, mine):
    """A double click changes nothing; after a withdrawal the old answer grants nothing."""
    ready = mine.prepare(person(1), GrantChoice(SCORE), SIGNER)
    proof = PasskeyProof(DEVICE.get(ready.challenge))
    first = mine.grant(person(1), ready.body, proof)
    assert mine.grant(person(1), ready.body, proof) == first
    assert bank.leaves() == 1
    mine.withdraw(person(1), first.consent_id, APP)
    with pytest.raises(ReleaseRefused):
        mine.grant(person(1), ready.body, proof)
    assert held_state(bank, first.consent_id) is State.WITHDRAWN


@pytest.mark.parametrize(
    "bend",
    [{"key": es256()}, {"origin": "https://bank-a.evil.example"}, {"rp_id": "evil.example"}],
    ids=["another passkey", "another site", "another relying party"],
)
def test_a_forged_assertion_grants_nothing(bank, mine, bend):
    """Made by another passkey or on another site: refused, and nothing is stored."""
    ready = mine.prepare(person(1), GrantChoice(SCORE), SIGNER)
    forged = replace(DEVICE, **bend).get(ready.challenge)
    with pytest.raises(SignatureInvalid):
        mine.grant(person(1), ready.body, PasskeyProof(forged))
    assert bank.leaves() == 0


def test_an_assertion_re_used_for_a_wider_consent_grants_nothing(bank, mine):
    """The challenge is the consent's own bytes: no other body goes with it."""
    ready = mine.prepare(person(1), GrantChoice(SCORE), SIGNER)
    used = PasskeyProof(DEVICE.get(ready.challenge))
    wider = mine.prepare(person(1), GrantChoice(OfferTerms(purposes=("score", "train"))), SIGNER)
    for body in (wider.body, ready.body.replace(b'"max_uses":200', b'"max_uses":999')):
        with pytest.raises(SignatureInvalid):
            mine.grant(person(1), body, used)
    assert bank.leaves() == 0


def test_a_consent_prepared_for_somebody_else_is_not_granted(bank, mine):
    """Its handles are another person's, and the attestation is about them."""
    ready = mine.prepare(person(2), GrantChoice(SCORE), SIGNER)
    proof = PasskeyProof(DEVICE.get(ready.challenge))
    with pytest.raises(ReleaseRefused):
        mine.grant(person(1), ready.body, proof)
    ready = mine.prepare(person(2), GrantChoice(SCORE), APP)
    with pytest.raises(ReleaseRefused):
        mine.grant(person(1), ready.body, APP)
    assert bank.leaves() == 0


def test_what_was_prepared_long_ago_is_read_again(world, mine):
    """After 15 minutes the person reads it once more."""
    ready = mine.prepare(person(1), GrantChoice(SCORE), APP)
    world.tick(PREPARED_MS)
    with pytest.raises(PreparedExpired):
        mine.grant(person(1), ready.body, APP)


def test_a_confirmation_of_another_kind_does_not_do(mine):
    """Prepared for a passkey, confirmed in the account: refused; and the other way round."""
    ready = mine.prepare(person(1), GrantChoice(SCORE), SIGNER)
    with pytest.raises(SignatureInvalid):
        mine.grant(person(1), ready.body, APP)
    ready = mine.prepare(person(1), GrantChoice(SCORE), APP)
    with pytest.raises(CredenceError):
        mine.grant(person(1), ready.body, PasskeyProof(DEVICE.get(b"c" * 32)))
    with pytest.raises(SignatureInvalid):
        mine.grant(person(1), ready.body, AccountProof("oidc"))


@pytest.mark.parametrize("response", [b"", b"{}", b"[]", b'{"response":{"signature":1}}'])
def test_an_answer_that_is_none_is_refused(mine, response):
    """Whatever a page posts ends in a typed error."""
    ready = mine.prepare(person(1), GrantChoice(SCORE), SIGNER)
    with pytest.raises(Malformed):
        mine.grant(person(1), ready.body, PasskeyProof(response))


def test_an_unknown_template_version_is_refused(bank, mine):
    """A body that names another version of the template than is held here."""
    ready = mine.prepare(person(1), GrantChoice(SCORE), APP)
    value = json.loads(ready.body)
    value["template"]["sha256"] = "0" * 64
    from protocols.canonical import canonical_json

    with pytest.raises(TemplateUnknown):
        mine.grant(person(1), canonical_json(value), APP)
    assert bank.leaves() == 0


def test_a_choice_beyond_the_template_is_refused_before_anybody_signs(mine):
    """Nobody is talked into more than the template's bounds."""
    with pytest.raises(ConsentOutOfBounds):
        mine.prepare(person(1), GrantChoice(OfferTerms(max_uses=5000)), SIGNER)
