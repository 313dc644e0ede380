"""Deciding on releases from stored rows: many at a time, and never one use too many."""

import pytest

from consent.lifecycle import Event, State
from consent.policy import Refusal, ReleaseFacts, decide
from node.storage import consents
from tests.node.consent_world import ConsentWorld, person


@pytest.fixture
def world(tmp_path):
    made = ConsentWorld(tmp_path, ("bank-a", "bank-b", "payments"))
    for member in made.members.values():
        member.enrol(*range(1, 40))
    yield made
    made.close()


@pytest.fixture
def holder(world):
    return world.member("payments")


def facts(terms, **changes):
    made = {
        "terms": terms,
        "requester": "bank-a",
        "requester_active": True,
        "holder": "payments",
        "purpose": "score",
        "categories": frozenset({"payment"}),
        "subject_matches": True,
        "status_proof_until_ms": 2**52,
    }
    return ReleaseFacts(**{**made, **changes})


def found(member, hashes):
    with member.database.read() as connection:
        return consents.terms_by_hash(connection, hashes)


def hash_of(world, consent_id):
    return world.artefact_of("bank-a", consent_id).consent_hash


def test_terms_read_from_the_database_decide_like_the_artefact_says(world, holder):
    consent_hash = hash_of(world, world.grant("bank-a", 1, purposes=["score"], max_uses=1))
    terms = found(holder, [consent_hash])[consent_hash]
    assert terms.pseudonym == person(1)
    assert decide(facts(terms), world.now_ms).allowed
    for changes, refusal in [
        ({"purpose": "train"}, Refusal.PURPOSE_NOT_GRANTED),
        ({"requester": "bank-b"}, Refusal.RECIPIENT_NOT_NAMED),
        ({"holder": "public-records"}, Refusal.HOLDER_NOT_NAMED),
        ({"categories": frozenset({"tax"})}, Refusal.CATEGORY_NOT_GRANTED),
    ]:
        assert decide(facts(terms, **changes), world.now_ms).refusal is refusal


def test_a_hash_nobody_knows_is_absent(holder):
    assert found(holder, [bytes(32)]) == {}
    assert decide(facts(None), 0).refusal is Refusal.CONSENT_UNKNOWN


def test_many_are_read_with_two_statements(world, holder):
    hashes = [hash_of(world, world.grant("bank-a", n, push=False)) for n in range(1, 31)]
    world.member("bank-a").consents.push_pending()
    statements = []
    with holder.database.read() as connection:
        driver = connection.connection.driver_connection
        driver.set_trace_callback(statements.append)
        terms = consents.terms_by_hash(connection, [*hashes, bytes(32), hashes[0]])
        driver.set_trace_callback(None)
    assert set(terms) == set(hashes)
    assert len([one for one in statements if one.startswith("SELECT")]) == 2


def test_a_withdrawal_is_seen_by_the_next_transaction(world, holder):
    consent_id = world.grant("bank-a", 1)
    consent_hash = hash_of(world, consent_id)
    said = world.said("bank-a", consent_id, 1, Event.WITHDRAW)
    world.member("bank-a").consents.withdraw(consent_id, said)
    decision = decide(facts(found(holder, [consent_hash])[consent_hash]), world.now_ms)
    assert decision.refusal is Refusal.CONSENT_WITHDRAWN


def test_uses_are_counted_up_to_the_last_and_not_beyond(world, holder):
    ids = [world.grant("bank-a", n, max_uses=2) for n in (1, 2)]
    with holder.database.write() as connection:
        assert consents.count_uses(connection, {ids[0]: 1, ids[1]: 2}) == 2
    with holder.database.write() as connection:
        assert consents.count_uses(connection, {ids[0]: 1, ids[1]: 1}) == 1
    with holder.database.read() as connection:
        uses = {one: terms.uses for one, terms in consents.terms_by_id(connection, ids).items()}
    assert uses == {ids[0]: 2, ids[1]: 2}


def test_only_an_active_consent_is_used(world, holder):
    consent_id = world.grant("bank-a", 1)
    said = world.said("bank-a", consent_id, 1, Event.PAUSE)
    world.member("bank-a").consents.apply(consent_id, said)
    with holder.database.write() as connection:
        assert consents.count_uses(connection, {consent_id: 1}) == 0


def test_a_new_version_starts_with_no_uses(world, holder):
    consent_id = world.grant("bank-a", 1, max_uses=1)
    with holder.database.write() as connection:
        consents.count_uses(connection, {consent_id: 1})
    first = world.artefact_of("bank-a", consent_id)
    bank = world.member("bank-a")
    bank.consents.record_many([world.signed("bank-a", 1, replaces=first, max_uses=1)])
    bank.consents.push_pending()
    with holder.database.read() as connection:
        assert consents.terms_by_id(connection, [consent_id])[consent_id].uses == 0


def test_live_consents_name_what_a_fetch_needs(world):
    bank = world.member("bank-a")
    consent_id = world.grant("bank-a", 1)
    paused = world.grant("bank-a", 2)
    bank.consents.apply(paused, world.said("bank-a", paused, 2, Event.PAUSE))
    with bank.database.read() as connection:
        (live,) = bank.consents.live_consents(connection, "train")
    assert live.consent_id == consent_id
    assert live.holders == {"bank-a", "payments"}
    assert live.max_epsilon == 8.0
    with world.member("payments").database.read() as connection:
        assert world.member("payments").consents.live_consents(connection, "train") == []
    assert bank.consents.counts() == {State.ACTIVE: 1, State.PAUSED: 1}
