"""Nodes change to the pseudonyms of another key one after the other, and find people all along."""

from dataclasses import replace

import pytest

from node.consents.handles import HandleIndex
from node.enrolment.rotation import EnrolmentIncomplete, Rotation
from node.storage import pseudonyms as storage
from node.storage import signals, subjects
from protocols.errors import InvalidInput
from protocols.pseudonyms import handle
from tests.network import MEMBERS, open_network
from tests.node.ingest_world import MEMBER, NOW_MS, World, bank_tables, identifier, write_tables
from tests.trustees import make_trustees

PAIR = b"p" * 32
CUSTOMERS = ("c1", "c2", "c3")


class OneKey:
    """The pair key of all members."""

    def candidates(self, _member_id, _epoch=None):
        return (PAIR,)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path / "home")
    made.trustees.made = make_trustees(epochs=2).made[:1]
    made.service.ingest_directory(write_tables(tmp_path / "inbox", **bank_tables()), now_ms=NOW_MS)
    made.trustees.made = make_trustees(epochs=2).made
    yield made
    made.close()


@pytest.fixture
def rotation(world):
    def identifiers():
        return world.store.load().customers["identifier"].to_pylist()

    return Rotation(world.database, world.audit, world.pseudonyms, MEMBER, identifiers)


def known(world):
    with world.database.read() as connection:
        return subjects.all_subjects(connection)


def test_after_enrolment_people_are_found_by_the_handles_of_both_keys(world, rotation):
    old = {one.customer_id: one.pseudonym for one in known(world)}
    index = HandleIndex(OneKey())
    with world.database.read() as connection:
        assert len(index.people(connection, "payments", 0)) == 3
    new = dict(zip(CUSTOMERS, rotation.enrol(2).pseudonyms, strict=True))
    for in_use in (old, new):
        with world.database.read() as connection:
            found = index.people(connection, "payments", 0)
        for customer in CUSTOMERS:
            assert found[handle(PAIR, old[customer])] == in_use[customer]
            assert found[handle(PAIR, new[customer])] == in_use[customer]
        if in_use is old:
            assert rotation.switch(2, NOW_MS) == 3


def test_a_switch_renames_everybody_at_once_and_clients_keep_their_references(world, rotation):
    before = known(world)
    new = rotation.enrol(2).pseudonyms
    rotation.switch(2, NOW_MS)
    after = known(world)
    assert [one.pseudonym for one in after] == new
    assert [one.subject_ref for one in after] == [one.subject_ref for one in before]
    with world.database.read() as connection:
        own = signals.of_source(connection, MEMBER, signals.OWN, NOW_MS)
        assert set(own) == set(new)
        assert storage.epoch_in_force(connection) == 2
    assert rotation.names_of(new[0]) == [new[0], before[0].pseudonym]


def test_an_ingest_after_the_switch_keeps_references_and_asks_for_nobody(world, rotation, tmp_path):
    before = known(world)
    rotation.enrol(2)
    rotation.switch(2, NOW_MS)
    asked = world.trustees.asked.total()
    world.service.ingest_directory(tmp_path / "inbox", now_ms=NOW_MS)
    assert [one.subject_ref for one in known(world)] == [one.subject_ref for one in before]
    assert world.trustees.asked.total() == asked


def test_nobody_is_renamed_while_somebody_has_no_new_pseudonym(world, rotation):
    before = known(world)
    world.pseudonyms.enrol([identifier(1), identifier(2)], epoch=2)
    with pytest.raises(EnrolmentIncomplete, match="1 people"):
        rotation.switch(2, NOW_MS)
    assert known(world) == before
    with pytest.raises(InvalidInput):
        rotation.switch(1, NOW_MS)


def test_after_retirement_the_old_names_are_gone(world, rotation):
    old = [one.pseudonym for one in known(world)]
    rotation.enrol(2)
    rotation.switch(2, NOW_MS)
    rotation.retire(NOW_MS)
    index = HandleIndex(OneKey())
    with world.database.read() as connection:
        found = index.people(connection, "payments", 0)
        assert storage.count_enrolled(connection) == {2: 3}
    assert not [one for one in old if handle(PAIR, one) in found]


def test_a_person_who_left_is_forgotten_under_every_key(world, rotation, tmp_path):
    rotation.enrol(2)
    tables = {name: [r for r in rows if r[0] != "c2"] for name, rows in bank_tables().items()}
    world.service.ingest_directory(write_tables(tmp_path / "inbox", **tables), now_ms=NOW_MS)
    with world.database.read() as connection:
        assert storage.count_enrolled(connection) == {1: 2, 2: 2}


def test_a_bank_that_switched_is_answered_by_a_holder_that_has_not(tmp_path):
    old, new = b"o" * 32, b"n" * 32
    with open_network(tmp_path, [MEMBERS[0], MEMBERS[2]]) as network:
        holder, bank = network.node("payments"), network.node("bank-a")
        network.enrol("payments", old, {"statement_balance": (1, 12.5)})
        terms = network.consent("bank-a", [old], holders=["payments"])
        with holder.database.write() as connection:
            subjects.replace_all(connection, [subjects.Subject(old, "sub_x", "c1", NOW_MS)])
            storage.put_enrolled(connection, 1, {b"k" * 32: old})
        switched = [replace(one, pseudonym=new) for one in terms]
        refused = bank.fetcher.fetch(switched, purpose="score", deadline_s=5)
        assert refused.holders[0].refused == {"subject_mismatch": 1}
        with holder.database.write() as connection:
            storage.put_enrolled(connection, 2, {b"k" * 32: new})
        answered = bank.fetcher.fetch(switched, purpose="score", deadline_s=5)
        assert answered.answered == 1
