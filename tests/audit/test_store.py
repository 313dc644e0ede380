"""The log in its database: atomic, append-only, provable; the same in each database."""

import contextlib

import pytest
import sqlalchemy.exc
from sqlalchemy import text

from audit.leaf import commitment, parse_leaf
from audit.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from audit.store import AuditLog, Head, LeafNotFound, create_audit_schema
from protocols.errors import InvalidInput
from tests.audit.naive import mth
from tests.audit.world import INDEX_KEY, ORIGIN, ActFailed, World, entry


@pytest.fixture
def world(any_world: World) -> World:
    return any_world


def stored(world: World) -> list[bytes]:
    with world.database.read() as connection:
        return [row.leaf for row in world.log.leaves(connection, 0, 1 << 40)]


def test_an_empty_log_has_the_empty_root(world: World) -> None:
    assert world.log.head() == Head(0, EMPTY_ROOT)
    assert stored(world) == []


def test_entries_stand_in_the_order_they_were_appended(world: World) -> None:
    with world.database.write() as connection:
        first = world.log.append(connection, entry(0))
        rest = world.log.append_many(connection, [entry(1), entry(2)])
    leaves = stored(world)
    assert [item.seq for item in (first, *rest)] == [0, 1, 2]
    assert [item.leaf_hash for item in (first, *rest)] == [leaf_hash(leaf) for leaf in leaves]
    assert [parse_leaf(leaf)["correlation"] for leaf in leaves] == ["req_0", "req_1", "req_2"]
    assert world.log.head() == Head(3, mth(leaves))


def test_appending_nothing_changes_nothing(world: World) -> None:
    world.append()
    assert world.log.head().size == 0


def test_an_act_that_rolls_back_leaves_no_leaf(world: World) -> None:
    world.append(entry(0))
    before = world.log.head()
    with contextlib.suppress(ActFailed), world.database.write() as connection:
        world.log.append(connection, entry(1))
        raise ActFailed
    assert world.log.head() == before
    assert len(stored(world)) == 1


def test_a_batch_with_one_bad_entry_writes_none(world: World) -> None:
    with world.database.write() as connection:
        with pytest.raises(InvalidInput):
            world.log.append_many(connection, [entry(0), entry(1, kind="Bad"), entry(2)])
        world.log.append(connection, entry(3))
    assert [parse_leaf(leaf)["correlation"] for leaf in stored(world)] == ["req_3"]


def test_a_leaf_is_visible_to_its_own_transaction_and_to_no_other(world: World) -> None:
    with world.database.write() as connection:
        world.log.append(connection, entry(0))
        assert world.log.head(connection).size == 1
        assert world.log.payload(0, connection) == {"number": 0}
        assert world.log.head().size == 0
        assert world.log.checkpoint().size == 0


def test_appending_outside_a_write_transaction_is_a_programming_error(world: World) -> None:
    with world.database.read() as connection, pytest.raises(RuntimeError):
        world.log.append(connection, entry(0))


def test_a_payload_is_read_back_and_can_be_shown_without_a_key(world: World) -> None:
    world.append(entry(0, payload={"b": [1, None], "a": "文"}))
    assert world.log.payload(0) == {"a": "文", "b": [1, None]}
    opening = world.log.opening(0)
    pc = commitment(opening.salt, opening.payload).hex()
    assert pc == parse_leaf(stored(world)[0])["pc"]


def test_a_leaf_that_is_not_there_is_not_found(world: World) -> None:
    with pytest.raises(LeafNotFound):
        world.log.payload(0)


def test_leaves_about_a_subject_are_found_by_that_subject_only(world: World) -> None:
    anna, bao = b"a" * 32, b"b" * 32
    world.append(entry(0, subject=anna), entry(1), entry(2, subject=bao), entry(3, subject=anna))
    assert world.log.about(anna) == [0, 3]
    assert world.log.about(bao) == [2]
    assert world.log.about(b"c" * 32) == []
    other = AuditLog(ORIGIN, world.database, world.keys, bytes(32))
    assert other.about(anna) == []


def test_proofs_of_every_leaf_and_every_older_tree_verify(world: World) -> None:
    world.fill(600, batch=100)
    world.fill(13, batch=1)
    log, leaves = world.log, stored(world)
    for size in (1, 2, 255, 256, 257, 511, 512, 600, 613):
        root = mth(leaves[:size])
        for seq in {0, 1, 254, 255, 256, 511, 512, size // 2, size - 1} & set(range(size)):
            proof = log.inclusion_proof(seq, size)
            verify_inclusion(seq, size, leaf_hash(leaves[seq]), proof, root)
        for old in {1, 128, 255, 256, 257, 512, size} & set(range(1, size + 1)):
            proof = log.consistency_proof(old, size)
            verify_consistency(old, size, mth(leaves[:old]), root, proof)


def test_no_proof_is_made_beyond_the_log(world: World) -> None:
    world.fill(3)
    for seq, size in ((0, 4), (3, 3), (-1, 3)):
        with pytest.raises(InvalidInput):
            world.log.inclusion_proof(seq, size)
    for old, new in ((0, 3), (2, 4), (3, 2)):
        with pytest.raises(InvalidInput):
            world.log.consistency_proof(old, new)


def test_the_schema_can_be_created_again_over_a_used_log(world: World) -> None:
    world.fill(2)
    head = world.log.head()
    with world.database.write() as connection:
        create_audit_schema(connection)
    assert world.log.head() == head


def test_an_error_of_the_database_does_not_carry_the_row(world: World) -> None:
    with world.database.write() as connection:
        statement = text("INSERT INTO audit_leaf VALUES (9, :leaf, :leaf)")
        with pytest.raises(sqlalchemy.exc.IntegrityError) as caught:
            connection.execute(statement, {"leaf": b"canary-7be1"})
    assert "canary-7be1" not in str(caught.value)


@pytest.mark.parametrize("origin", ["", "has space", "has+plus", "two\nlines", "o" * 129])
def test_a_log_needs_a_name_that_fits_a_checkpoint(world: World, origin: str) -> None:
    with pytest.raises(InvalidInput):
        AuditLog(origin, world.database, world.keys, INDEX_KEY)


def test_a_short_index_key_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput):
        AuditLog(ORIGIN, world.database, world.keys, b"short")
