"""A consent node records what its customers signed, and nothing else."""

from dataclasses import replace

import pytest

from consent.artefact import sign_as_subject, verify_artefact
from consent.authority import device_key
from consent.lifecycle import State
from consent.refusals import ConsentExpired, SubjectMismatch
from consent.succession import ConsentConflict, ControllerMismatch
from consent.templates import DAY_MS, ConsentOutOfBounds, TemplateUnknown
from node.consents.inbox import HandleEpochUnusable
from node.consents.service import GRANT_BATCH, OfferTerms, SignedGrant
from node.storage.subjects import UnknownSubject
from protocols.directory import MemberNotActive, UnknownMember
from protocols.errors import InvalidInput, Malformed, SignatureInvalid
from tests.node.consent_world import START_MS, ConsentWorld, person, subject_key


@pytest.fixture
def world(tmp_path):
    made = ConsentWorld(tmp_path)
    made.member("bank-a").enrol(1, 2, 3)
    yield made
    made.close()


@pytest.fixture
def bank(world):
    return world.member("bank-a")


def refused(bank, grant, error):
    """The grant is refused and has left nothing behind."""
    leaves = bank.leaves()
    with pytest.raises(error):
        bank.consents.record_many([grant])
    assert bank.consents.counts() == {}
    assert bank.consents.waiting() == {}
    assert bank.leaves() == leaves


def changed(world, **changes):
    """A grant of person 1 with changed terms, signed by them."""
    artefact = replace(world.artefact("bank-a", 1), **changes)
    return SignedGrant(person(1), sign_as_subject(artefact, subject_key(1)))


def test_a_recorded_consent_carries_both_signatures_and_can_be_looked_up(world, bank):
    (recorded,) = bank.consents.record_many([world.signed("bank-a", 1)])
    stored = bank.consents.get(recorded.consent_id)
    artefact = verify_artefact(stored.artefact, lambda _: bank.signing.verify_key)
    assert artefact.consent_hash == recorded.consent_hash == stored.terms.consent_hash
    assert stored.terms.state is State.ACTIVE
    assert stored.terms.pseudonym == person(1)
    assert stored.terms.max_epsilon == 8.0


def test_each_consent_has_one_audit_leaf_that_names_it(world, bank):
    recorded = bank.consents.record_many([world.signed("bank-a", n) for n in (1, 2)])
    assert bank.leaves() == 2
    seqs = [bank.consents.get(one.consent_id).changed_seq for one in recorded]
    assert seqs == [0, 1]
    payload = bank.audit.payload(1)
    assert payload["consent_hash"] == recorded[1].consent_hash.hex()
    assert bank.audit.about(person(2)) == [1]


def test_every_party_but_the_node_itself_is_promised_a_delivery(world, bank):
    bank.consents.record_many([world.signed("bank-a", 1)])
    assert bank.consents.waiting() == {"payments": 1, "public-records": 1}


def test_more_consents_than_a_transaction_takes_are_recorded_in_several(world, bank):
    many = GRANT_BATCH + 3
    bank.enrol(*range(10, 10 + many))
    recorded = bank.consents.record_many(world.signed("bank-a", n) for n in range(10, 10 + many))
    assert len(recorded) == many == bank.consents.counts()[State.ACTIVE]


def test_one_bad_grant_leaves_out_its_whole_batch(world, bank):
    good, bad = world.signed("bank-a", 1), SignedGrant(person(2), b"{}")
    with pytest.raises(Malformed):
        bank.consents.record_many([good, bad])
    assert bank.consents.counts() == {}


def test_a_grant_signed_by_anyone_but_the_subject_is_refused(world, bank):
    artefact = world.artefact("bank-a", 1)
    refused(
        bank, SignedGrant(person(1), sign_as_subject(artefact, subject_key(2))), SignatureInvalid
    )
    refused(bank, SignedGrant(person(1), sign_as_subject(artefact, bank.signing)), SignatureInvalid)


def test_the_node_cannot_consent_in_a_persons_place(world, bank):
    artefact = replace(
        world.artefact("bank-a", 1), authority=device_key(bank.signing.verify_key.bytes)
    )
    refused(bank, SignedGrant(person(1), sign_as_subject(artefact, bank.signing)), SignatureInvalid)


def test_a_grant_for_another_controller_is_refused(world, bank):
    world.member("bank-b").enrol(1)
    refused(bank, world.signed("bank-b", 1), ControllerMismatch)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"max_uses": 1001}, ConsentOutOfBounds),
        ({"template_sha256": bytes(32)}, TemplateUnknown),
        ({"valid_from_ms": START_MS - DAY_MS, "valid_until_ms": START_MS}, ConsentExpired),
        ({"handle_epoch": 0}, HandleEpochUnusable),
        ({"handle_epoch": 2}, HandleEpochUnusable),
        ({"version": 2, "prev_hash": bytes(32)}, ConsentConflict),
    ],
    ids=["bounds", "template", "expired", "old epoch", "future epoch", "nothing to replace"],
)
def test_terms_that_do_not_hold_here_are_refused(world, bank, changes, error):
    refused(bank, changed(world, **changes), error)


def test_a_grant_recorded_for_another_person_is_refused(world, bank):
    refused(bank, replace(world.signed("bank-a", 1), pseudonym=person(2)), SubjectMismatch)


def test_a_person_the_node_does_not_know_cannot_be_recorded(world, bank):
    refused(bank, world.signed("bank-a", 9), UnknownSubject)


def test_a_party_that_is_no_active_member_cannot_be_named(world, bank):
    grant = world.signed("bank-a", 1)
    world.publish(payments="suspended")
    refused(bank, grant, MemberNotActive)


def test_a_consent_in_force_is_not_recorded_twice(world, bank):
    grant = world.signed("bank-a", 1)
    bank.consents.record_many([grant])
    with pytest.raises(ConsentConflict):
        bank.consents.record_many([grant])
    with pytest.raises(ConsentConflict):
        bank.consents.record_many([world.signed("bank-a", 2)] * 2)
    assert bank.leaves() == 1


def test_an_offer_names_every_active_source_and_what_they_hold(world, bank):
    artefact = world.artefact("bank-a", 1)
    assert artefact.holders == ("bank-a", "payments", "public-records")
    assert artefact.parties == ("payments", "public-records")
    assert artefact.data_categories == ("credit_account", "payment", "public_record")
    world.publish(public_records="revoked")
    assert world.artefact("bank-a", 1).holders == ("bank-a", "payments")


def test_an_offer_can_be_narrowed(world, bank):
    artefact = world.artefact(
        "bank-a", 1, purposes=["score"], holders=["payments"], data_categories=["payment"]
    )
    assert artefact.purposes == ("score",)
    assert artefact.training is None
    assert artefact.holders == ("payments",)
    assert artefact.data_categories == ("payment",)


def test_an_offer_shows_the_notice_in_the_persons_language(world, bank):
    offer = bank.consents.offer(OfferTerms(language="zh-Hans"))
    assert offer.notice_text.startswith("您同意")


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"holders": ["nobody"]}, UnknownMember),
        ({"holders": []}, InvalidInput),
        ({"data_categories": []}, InvalidInput),
        ({"language": "fr"}, TemplateUnknown),
    ],
    ids=str,
)
def test_an_offer_that_cannot_be_made_says_why(world, bank, terms, error):
    with pytest.raises(error):
        bank.consents.offer(OfferTerms(**terms))


def test_live_consents_are_those_of_the_purpose_and_of_now(world, bank):
    both = world.grant("bank-a", 1, push=False)
    score = world.grant("bank-a", 2, push=False, purposes=["score"], valid_days=1)

    def live(purpose):
        with bank.database.read() as connection:
            return {one.consent_id for one in bank.consents.live_consents(connection, purpose)}

    assert live("score") == {both, score}
    assert live("train") == {both}
    assert live("monitor") == set()
    world.tick(DAY_MS)
    assert live("score") == {both}
