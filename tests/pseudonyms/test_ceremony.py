"""Five members make a key over a board that its keeper can neither forge nor bend."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from audit.database import Database
from coordinator.ceremonies.board import (
    CeremonyUnfinished,
    EntryStands,
    NotYours,
    RoundClosed,
)
from coordinator.ceremonies.lifecycle import STATES, TRANSITIONS, CeremonyTransitionInvalid, advance
from coordinator.storage import ceremonies as rows
from coordinator.storage.ceremonies import EntryRow
from node.enrolment.pseudonym_keys import PseudonymKeys
from node.storage.schema import ensure_schema
from node.trustees.board_client import SignedEntry
from node.trustees.participation import BoardForged, BoardWithheld, CeremonyTooWeak
from node.trustees.shares import NotATrustee, ShareDamaged
from protocols import ristretto
from protocols.canonical import canonical_json
from protocols.ceremony import KeyRollback, KeyUnconfirmed, PseudonymKey, sign_entry
from protocols.documents import sign_document
from protocols.errors import InvalidInput, NotFound, SignatureInvalid
from protocols.keys import SigningKey
from protocols.secret_sharing import recover
from tests.pseudonyms.world import NAMES, make_member


def test_five_members_make_a_key_that_any_three_shares_give(world):
    world.announce()
    assert world.run() == "completed"
    key = world.members["bank-a"].keys.newest()
    opened = {m.shares.open(key)[1]: m.shares.open(key)[0] for m in world.members.values()}
    for chosen in ((1, 2, 3), (2, 4, 5)):
        secret = recover({index: opened[index] for index in chosen})
        assert ristretto.multiply_base(secret) == key.public_key
    assert key.trustees == NAMES
    assert {m.keys.newest().public_key for m in world.members.values()} == {key.public_key}


def test_every_round_leaves_a_leaf_with_hashes_and_no_share_is_at_the_coordinator(world):
    world.announce()
    world.run()
    audit = world.coordinator.audit
    with world.coordinator.database.read() as connection:
        size = audit.head(connection).size
        leaves = [leaf.leaf for leaf in audit.leaves(connection, 0, size)]
        entries = rows.entries(connection, world.board.current()[0].ceremony_id)
    for state in ("announced", "commitment", "deal", "verdict", "answer", "confirmation"):
        assert [leaf for leaf in leaves if f'"ceremony.{state}"'.encode() in leaf]
    key = world.members["bank-a"].keys.newest()
    shares = [m.shares.open(key)[0].hex().encode() for m in world.members.values()]
    for entry in entries:
        assert not [share for share in shares if share in entry.body]


def test_a_share_is_sealed_at_rest_and_opens_for_nobody_else(world):
    world.announce()
    world.run()
    member = world.members["bank-a"]
    key = member.keys.newest()
    share, _ = member.shares.open(key)
    with pytest.raises(SignatureInvalid):
        replace(member.shares, kek=b"x" * 32).open(key)
    with pytest.raises(SignatureInvalid):
        replace(member.shares, member_id="bank-b").open(key)
    path = member.database.url.removeprefix("sqlite:///")
    member.database.scrub()
    assert share not in Path(path).read_bytes()


def test_a_share_of_another_key_is_found_out(world):
    ceremony_id = world.announce()
    world.run()
    member = world.members["bank-a"]
    member.shares.store(ceremony_id, 1, 1, ristretto.random_scalar(), 0)
    with pytest.raises(ShareDamaged):
        member.shares.open(member.keys.newest())


def test_a_silent_trustee_is_left_out_at_the_deadline_and_the_others_get_a_key(world):
    world.announce()
    assert world.run(without=("bank-c",)) == "completed"
    row, _ = world.board.current()
    assert row.detail == "bank-c: silent"
    key = world.members["bank-a"].keys.newest()
    assert "bank-c" not in key.trustees
    with pytest.raises(NotATrustee):
        world.members["bank-c"].shares.open(key)


def test_too_few_trustees_make_no_key_and_the_silent_are_named(world):
    world.announce()
    assert world.run(without=NAMES[:3]) == "failed"
    detail = world.board.current()[0].detail
    assert all(f"{name}: silent" in detail for name in NAMES[:3])
    with pytest.raises(NotFound):
        world.coordinator.membership.document("ceremony")


def test_a_failed_epoch_is_tried_again_and_a_second_ceremony_waits_for_the_first(world):
    world.announce()
    with pytest.raises(CeremonyUnfinished):
        world.announce()
    world.run(without=NAMES[:3])
    world.announce()
    assert world.run() == "completed"
    assert world.members["bank-a"].keys.newest().epoch == 1


def begin(world):
    """Open the first round; its ceremony."""
    world.announce()
    assert world.board.turn(world.clock())
    return world.board.ceremony(world.board.current()[0])


def entry(world, ceremony, name="bank-a", round_="commitment", body=b"{}", key=None):
    key = key or world.members[name].applicant.signing
    return EntryRow(round_, name, body, sign_entry(ceremony, round_, name, body, key))


def test_an_entry_that_the_member_did_not_sign_is_refused(world):
    ceremony = begin(world)
    forged = entry(world, ceremony, key=SigningKey.generate())
    with pytest.raises(SignatureInvalid):
        world.board.post("bank-a", ceremony.ceremony_id, forged, world.clock())


def test_nobody_posts_in_anothers_name(world):
    ceremony = begin(world)
    with pytest.raises(NotYours):
        world.board.post("bank-b", ceremony.ceremony_id, entry(world, ceremony), world.clock())


def test_an_entry_of_another_ceremony_or_round_is_no_entry_of_this_one(world):
    ceremony = begin(world)
    other = replace(ceremony, ceremony_id="cer_other")
    replayed = entry(world, other)
    with pytest.raises(SignatureInvalid):
        world.board.post("bank-a", ceremony.ceremony_id, replayed, world.clock())
    moved = replace(entry(world, ceremony, round_="verdict"), round="commitment")
    with pytest.raises(SignatureInvalid):
        world.board.post("bank-a", ceremony.ceremony_id, moved, world.clock())
    with pytest.raises(NotFound):
        world.board.post("bank-a", "cer_other", replayed, world.clock())


def test_the_same_entry_again_is_taken_and_another_is_not(world):
    ceremony = begin(world)
    first = entry(world, ceremony)
    world.board.post("bank-a", ceremony.ceremony_id, first, world.clock())
    world.board.post("bank-a", ceremony.ceremony_id, first, world.clock())
    other = entry(world, ceremony, body=b'{"x":1}')
    with pytest.raises(EntryStands):
        world.board.post("bank-a", ceremony.ceremony_id, other, world.clock())


def test_a_round_is_read_when_it_is_closed_and_posted_to_while_it_is_open(world):
    ceremony = begin(world)
    with pytest.raises(RoundClosed):
        world.board.read(ceremony.ceremony_id, "commitment")
    early = entry(world, ceremony, round_="deal")
    with pytest.raises(RoundClosed):
        world.board.post("bank-a", ceremony.ceremony_id, early, world.clock())
    late = entry(world, ceremony)
    with pytest.raises(RoundClosed):
        world.board.post("bank-a", ceremony.ceremony_id, late, world.clock() + 60_000)


def test_a_stranger_is_no_trustee(world):
    with pytest.raises(Exception, match="no member"):
        world.board.announce(3, [*NAMES, "stranger"], world.clock())
    ceremony = begin(world)
    entry_row = EntryRow("nonsense", "bank-a", b"{}", bytes(64))
    with pytest.raises(InvalidInput):
        world.board.post("bank-a", ceremony.ceremony_id, entry_row, world.clock())


def test_a_board_that_withholds_a_trustees_own_entry_is_found_out_by_it(world):
    victim = world.members["bank-b"]
    victim.board.show = lambda round_, found: [e for e in found if e.member_id != "bank-b"]
    world.announce()
    with pytest.raises(BoardWithheld):
        world.run()
    assert world.run(without=("bank-b",)) == "completed"  # it is silent from then on


def test_a_board_that_forges_an_entry_is_found_out(world):
    def forge(_round, found):
        return [SignedEntry("bank-c", b"{}", bytes(64)), *found[:2], *found[3:]]

    world.members["bank-b"].board.show = forge
    world.announce()
    with pytest.raises(BoardForged):
        world.run()


def test_a_board_that_shows_two_trustees_different_boards_gets_no_key(world):
    def hide(round_, found):
        return [e for e in found if not (round_ == "answer" and e.member_id == "bank-c")]

    world.members["bank-b"].board.show = hide
    world.announce()
    assert world.run() == "failed"
    assert "transcript_diverged" in world.board.current()[0].detail


def test_a_threshold_that_is_no_majority_is_not_taken_part_in(world):
    world.announce(threshold=2)
    with pytest.raises(CeremonyTooWeak):
        world.run()
    for member in world.members.values():
        with member.database.read() as connection:
            assert member.keys.epochs() == []
            assert connection is not None


def test_a_trustee_that_starts_anew_in_the_middle_is_named_and_the_next_ceremony_works(world):
    world.announce()
    for _ in range(2):
        world.board.turn(world.clock())
        for member in world.members.values():
            member.step()
    old = world.members["bank-b"]
    old.database.close()
    path = old.database.url.removeprefix("sqlite:///")
    world.members["bank-b"] = make_member(world.coordinator, world.clock, old.applicant, path)
    assert world.run() == "failed"  # it has dealt, so its confirmation is missed
    assert "bank-b: silent" in world.board.current()[0].detail
    world.announce()
    assert world.run() == "completed"


def signed(world, key, **changes):
    changed = replace(key, **changes)
    return sign_document("ceremony", changed.to_body(), world.coordinator.keys.directory)


def test_a_coordinator_cannot_make_a_key_up(world):
    world.announce()
    world.run()
    member = world.members["bank-a"]
    key = member.keys.newest()
    fresh = ristretto.multiply_base(ristretto.random_scalar())
    later = {"version": 2, "ceremony": replace(key.ceremony, epoch=2, ceremony_id="cer_2")}
    for changes in (
        later,
        later | {"public_key": fresh},
        later | {"verification_shares": key.verification_shares | {"bank-a": fresh}},
        later | {"confirmations": {}},
    ):
        with pytest.raises(KeyUnconfirmed):
            member.keys.install(signed(world, key, **changes))
    assert member.keys.epochs() == [1]


def test_a_key_is_believed_under_the_directory_key_only_and_never_taken_back(world):
    world.announce()
    world.run()
    member = world.members["bank-a"]
    first = world.coordinator.membership.document("ceremony")
    world.announce()
    world.run()
    assert member.keys.epochs() == [2, 1]
    with pytest.raises(KeyRollback):
        member.keys.install(first)
    forged = sign_document("ceremony", first.body, SigningKey.generate())
    with pytest.raises(SignatureInvalid):
        member.keys.install(forged)


def test_shares_of_two_epochs_are_kept_and_older_ones_destroyed(world):
    for _ in range(3):
        world.announce()
        assert world.run() == "completed"
    member = world.members["bank-a"]
    assert member.keys.epochs()[0] == 3
    member.shares.open(member.keys.of_epoch(2))
    with pytest.raises(NotATrustee):
        member.shares.open(member.keys.of_epoch(1))


@pytest.mark.parametrize("field", ["public_key", "verification_shares", "threshold", "trustees"])
def test_a_key_document_of_the_wrong_form_is_refused(world, field):
    world.announce()
    world.run()
    body = world.members["bank-a"].keys.newest().to_body()
    value = json.loads(body) | {field: None}
    with pytest.raises(InvalidInput):
        PseudonymKey.from_parsed(json.loads(canonical_json(value)))


def test_what_is_not_in_the_table_is_an_error():
    for state in STATES:
        for event in ("close", "complete", "fail"):
            if (state, event) not in TRANSITIONS:
                with pytest.raises(CeremonyTransitionInvalid):
                    advance(state, event)


def test_a_key_of_trustees_not_in_the_directory_yet_is_believed_after_another_look(world, tmp_path):
    world.announce()
    world.run()
    membership = world.coordinator.membership
    database = Database(f"sqlite:///{tmp_path / 'late.db'}")
    ensure_schema(database)
    held = [replace(membership.directory(), members=())]
    late = PseudonymKeys(
        database,
        world.coordinator.keys.directory.verify_key,
        lambda: held[0],
        membership.document,
        lambda: held.insert(0, membership.directory()),
    )
    assert late.newest().epoch == 1
    database.close()
