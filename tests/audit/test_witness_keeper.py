"""A log before its witnesses: heartbeat, outage, what is kept of its heads."""

import pytest
from sqlalchemy.exc import IntegrityError

from audit import witness_store as store
from audit.witness_keeper import epoch_of
from audit.witness_state import (
    LogUnwitnessed,
    Operation,
    Standing,
)
from tests.audit.witness_world import (
    BASE,
    started,
)

STOPPING = (Operation.SCORE, Operation.RELEASE, Operation.TRAINING)
NEVER = (Operation.CONSENT, Operation.RIGHTS)


def test_a_head_is_cosigned_by_all_and_kept_as_one_note(tmp_path, peers, clock):
    with started(tmp_path / "home", peers, clock) as process:
        process.fill(7)
        beat = process.rounds.beat()
        assert (beat.size, beat.witnessed) == (7, True)
        assert beat.cosigned == ("bank-b", "payments", "regulator")
        process.fill(5)
        process.rounds.beat()
        with process.database.read() as connection:
            note = store.latest_witnessed(connection)
        found = process.keeper.policy().check(note)
        assert (found.checkpoint.size, found.met) == (12, True)
        assert found.organisations == ("bank-b", "payments", "regulator")


def test_the_heartbeat_comes_every_minute_and_sooner_where_witnesses_are_missing(
    tmp_path, peers, clock
):
    with started(tmp_path / "home", peers, clock) as process:
        process.fill(1)
        process.rounds.tick()
        first = process.rounds.last
        clock.on(30)
        process.rounds.tick()
        assert process.rounds.last is first
        for peer in peers:
            peer.down = True
        clock.on(31)
        process.rounds.tick()
        assert not process.rounds.last.witnessed
        peers[0].down = peers[1].down = False
        clock.on(6)
        process.rounds.tick()
        assert process.rounds.last.cosigned == ("bank-b", "payments")
        assert process.rounds.last.refused == {"regulator": "unavailable"}


def test_without_witnesses_for_a_minute_nothing_changes_for_ten_it_says_so_for_four_hours_it_stops(
    tmp_path, peers, clock
):
    with started(tmp_path / "home", peers, clock) as process:
        process.fill(1)
        process.rounds.beat()
        for peer in peers[1:]:
            peer.down = True  # one organisation alone is not enough
        for seconds, expected, never in (
            (61, Standing.WITNESSED, Standing.WITNESSED),
            (600, Standing.DEGRADED, Standing.DEGRADED),
            (4 * 3600, Standing.STOPPED, Standing.DEGRADED),
        ):
            clock.on(seconds)
            process.fill(1)
            assert not process.rounds.beat().witnessed
            standings = process.gate.standings()
            assert {standings[one] for one in STOPPING} == {expected}
            assert {standings[one] for one in NEVER} == {never}
        for one in STOPPING:
            with pytest.raises(LogUnwitnessed):
                process.gate.require(one)
        for one in NEVER:
            process.gate.require(one)
        assert process.gate.view()["state"] == "stopped"
        peers[1].down = False
        clock.on(5)
        assert process.rounds.beat().witnessed
        for one in STOPPING:
            process.gate.require(one)


def test_a_network_too_small_for_two_witnesses_works_by_setting_and_says_so(tmp_path, clock):
    with started(tmp_path / "home", [], clock, minimum=0) as process:
        process.fill(1)
        process.rounds.beat()
        clock.on(30 * 86_400)
        process.gate.require(Operation.SCORE)
        assert process.gate.view()["minimum"] == 0
        assert process.keeper.policy().quorum == "none"


def test_nothing_is_signed_before_enough_witnesses_said_what_they_hold(tmp_path, peers, clock):
    for peer in peers[1:]:
        peer.down = True
    with started(tmp_path / "home", peers, clock) as process:
        process.fill(3)
        assert process.rounds.beat().size is None
        assert process.keeper.newest() is None
        peers[1].down = False
        assert process.rounds.beat().witnessed


@pytest.mark.parametrize(
    ("origin", "epoch"),
    [(BASE, 1), (BASE + "/2", 2), (BASE + "/12", 12), (BASE + "/1", 0), (BASE + "/02", 0),
     (BASE + "/x", 0), (BASE + "/", 0), ("other", 0), (BASE + "/2/3", 0)],
)  # fmt: skip
def test_an_origin_names_one_epoch(origin, epoch):
    assert epoch_of(origin, BASE) == epoch


def test_old_heads_are_thinned_to_one_an_hour_and_the_newest_is_never_forgotten(
    tmp_path, peers, clock
):
    with started(tmp_path / "home", peers, clock) as process:
        for _ in range(6):
            process.fill(1)
            process.rounds.beat()
            clock.on(1800)
        clock.on(8 * 86_400)
        process.fill(1)
        process.rounds.beat()
        with process.database.read() as connection:
            sizes = connection.exec_driver_sql("SELECT size FROM audit_checkpoint").scalars().all()
            witnessed = store.newest_witnessed(connection)
        assert len(sizes) in {4, 5}  # three hours, or parts of four, and the newest
        assert max(sizes) == witnessed.checkpoint.size == 7
        with pytest.raises(IntegrityError), process.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM audit_checkpoint WHERE size = 7")
