"""To forget a person is to destroy keys; the log stays whole."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import select

from audit.database import Database
from audit.leaf import parse_leaf
from audit.merkle import leaf_hash, verify_inclusion
from audit.shredding import DataKeys, PayloadErased, data_key
from audit.verifier import Outcome, verify_path
from protocols.errors import InvalidInput, SignatureInvalid
from tests.audit.world import KEK, ActFailed, World, entry, open_world

ANNA, BAO = b"a" * 32, b"b" * 32


def erase(world: World, subject: bytes) -> int:
    with world.database.write() as connection:
        erasure, _ = world.log.erase(connection, subject, actor="operator", at_ms=1)
    return erasure.keys


def sealed_keys(world: World) -> list[bytes]:
    with world.keys_database.read() as connection:
        return list(connection.execute(select(data_key.c.sealed)).scalars())


def bytes_on_disk(home: Path, prefix: str) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(home.glob(prefix + "*")))


def test_there_is_one_key_for_each_subject_and_purpose(world: World) -> None:
    pairs = [(ANNA, "score"), (ANNA, "train"), (BAO, "score"), (b"", "score")]
    keys = world.keys.keys_for([*pairs, pairs[0]])
    assert len({key.key for key in keys.values()}) == len({k.key_id for k in keys.values()}) == 4
    assert world.keys.keys_for(pairs) == keys
    assert DataKeys(world.keys_database, KEK).keys_for(pairs[:1])[pairs[0]] == keys[pairs[0]]


def test_many_subjects_are_looked_up_at_once(world: World) -> None:
    pairs = [(number.to_bytes(32, "big"), "score") for number in range(1_203)]
    keys = world.keys.keys_for(pairs)
    assert len(keys) == 1_203
    assert world.keys.keys_for(pairs) == keys


def test_neither_a_key_nor_a_subject_stands_in_the_key_database(world: World) -> None:
    key = world.keys.keys_for([(ANNA, "score")])[ANNA, "score"]
    assert key.key not in bytes_on_disk(world.home, "datakeys.db")
    assert ANNA not in bytes_on_disk(world.home, "datakeys.db")
    assert key.key.hex() not in repr(key)
    assert repr(key.key) not in repr(key)


def test_another_key_encryption_key_opens_nothing(world: World) -> None:
    key = world.keys.keys_for([(ANNA, "score")])[ANNA, "score"]
    with pytest.raises(SignatureInvalid):
        DataKeys(world.keys_database, bytes(32)).key(key.key_id)


def test_a_sealed_key_moved_to_another_row_does_not_open(world: World) -> None:
    keys = world.keys.keys_for([(ANNA, "score"), (BAO, "score")])
    connection = sqlite3.connect(world.home / "datakeys.db")
    (sealed,) = connection.execute(
        "SELECT sealed FROM data_key WHERE key_id = ?", (keys[ANNA, "score"].key_id,)
    ).fetchone()
    connection.execute("UPDATE data_key SET sealed = ?", (sealed,))
    connection.commit()
    connection.close()
    with pytest.raises(SignatureInvalid):
        world.keys.key(keys[BAO, "score"].key_id)


def test_an_erased_payload_is_gone_and_others_stay(world: World) -> None:
    world.append(
        entry(0, subject=ANNA), entry(1, subject=BAO), entry(2, subject=ANNA, purpose="train")
    )
    assert erase(world, ANNA) == 2
    for seq in (0, 2):
        with pytest.raises(PayloadErased):
            world.log.payload(seq)
    assert world.log.payload(1) == {"number": 1}
    assert world.log.about(ANNA) == []
    assert world.log.about(BAO) == [1]


def test_the_erasure_is_logged_without_naming_the_subject(world: World) -> None:
    world.append(entry(0, subject=ANNA))
    erase(world, ANNA)
    with world.database.read() as connection:
        *_, last = world.log.leaves(connection, 0, 9)
    assert parse_leaf(last.leaf)["kind"] == "erasure.performed"
    assert world.log.payload(last.seq) == {"keys": 1, "leaves": 1}


def test_old_proofs_verify_after_an_erasure(world: World) -> None:
    world.append(*(entry(number, subject=ANNA) for number in range(5)))
    head = world.log.head()
    proof = world.log.inclusion_proof(2, 5)
    erase(world, ANNA)
    with world.database.read() as connection:
        (row,) = world.log.leaves(connection, 2, 3)
    assert proof == world.log.inclusion_proof(2, 5)
    verify_inclusion(2, 5, leaf_hash(row.leaf), proof, head.root)
    assert verify_path(world.home).outcome is Outcome.VALID


def test_no_file_holds_a_destroyed_key_any_more(world: World) -> None:
    world.append(entry(0, subject=ANNA), entry(1, subject=BAO))
    before = sealed_keys(world)
    assert all(key in bytes_on_disk(world.home, "datakeys.db") for key in before)
    erase(world, ANNA)
    (left,) = set(before) & set(sealed_keys(world))
    on_disk = bytes_on_disk(world.home, "datakeys.db")
    assert left in on_disk
    assert not any(key in on_disk for key in before if key != left)


def test_an_erasure_that_a_reader_keeps_from_the_files_says_so(world: World) -> None:
    world.append(entry(0, subject=ANNA))
    with world.keys_database.read() as reader:
        reader.execute(select(data_key)).all()
        erasure = world.keys.erase(ANNA)
    assert (erasure.keys, erasure.scrubbed) == (1, False)
    assert world.keys_database.scrub()


def test_an_erasure_in_one_process_holds_in_every_other(world: World) -> None:
    other = open_world(world.home)
    world.append(entry(0, subject=ANNA))
    other.append(entry(1, subject=ANNA))
    erase(other, ANNA)
    world.append(entry(3, subject=ANNA))
    for seq in (0, 1):
        with pytest.raises(PayloadErased):
            world.log.payload(seq)
    assert world.log.payload(3) == other.log.payload(3) == {"number": 3}
    other.close()


def test_erasing_twice_destroys_nothing_more_and_is_logged_again(world: World) -> None:
    world.append(entry(0, subject=ANNA))
    assert (erase(world, ANNA), erase(world, ANNA)) == (1, 0)
    assert world.log.head().size == 3


def test_a_failed_transaction_keeps_the_keys_destroyed_and_claims_nothing(world: World) -> None:
    world.append(entry(0, subject=ANNA))
    with contextlib.suppress(ActFailed), world.database.write() as connection:
        world.log.erase(connection, ANNA, actor="operator", at_ms=1)
        raise ActFailed
    assert world.log.head().size == 1
    with pytest.raises(PayloadErased):
        world.log.payload(0)
    erase(world, ANNA)
    assert world.log.about(ANNA) == []


def test_the_entries_about_nobody_cannot_be_erased(world: World) -> None:
    world.append(entry(0))
    with pytest.raises(InvalidInput), world.database.write() as connection:
        world.log.erase(connection, b"", actor="operator", at_ms=1)
    assert world.log.payload(0) == {"number": 0}


def test_a_short_key_encryption_key_is_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/datakeys.db")
    with pytest.raises(InvalidInput):
        DataKeys(database, b"short")
    database.close()
