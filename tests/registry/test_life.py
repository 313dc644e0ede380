"""The life of a model version at the coordinator: a table, and nothing beside it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.registry import BundleNotReleased
from coordinator.releases import (
    STATES,
    TRANSITIONS,
    ModelTransitionInvalid,
    NothingToRollBackTo,
    Order,
    UnknownBundle,
    advance,
    champions,
    standings,
)
from coordinator.storage import releases as rows
from coordinator.storage.releases import MoveRow
from protocols.directory import UnknownMember
from protocols.errors import InvalidInput, SignatureInvalid
from protocols.releases import Release
from tests.postgresql import on_each_database
from tests.registry.world import Registry

EVENTS = sorted({event for _, event in TRANSITIONS})


def current(registry: Registry) -> Release:
    return Release.from_body(registry.document().body)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", EVENTS)
def test_what_is_not_in_the_table_is_an_error(state, event):
    """A version moves as the table says, or not at all."""
    if (state, event) in TRANSITIONS:
        assert advance(state, event) == TRANSITIONS[(state, event)]
    else:
        with pytest.raises(ModelTransitionInvalid):
            advance(state, event)


def test_a_withdrawn_version_has_no_way_back():
    assert not [event for state, event in TRANSITIONS if state == "withdrawn"]


def test_the_first_bundle_is_champion_at_once_and_later_ones_by_the_setting(registry):
    registry.publish("m1")
    assert current(registry).champion == "m1"
    registry.publish("m2", promote=False)
    assert current(registry).champion == "m1"
    registry.publish("m3", promote=True)
    assert registry.coordinator.registry.standings() == {
        "m1": "retired", "m2": "published", "m3": "champion",
    }  # fmt: skip


@on_each_database
def test_challenge_stage_promote_rollback_each_make_one_release_and_one_leaf(registry):
    """Every act is one transaction: its moves, the next release, one leaf that says it all."""
    releases, audit = registry.coordinator.releases, registry.coordinator.audit
    registry.publish("m1")
    registry.publish("m2")
    acts = [
        lambda: releases.challenge("m2", registry.order(who="ann", why="AUC is better")),
        lambda: releases.stage("m2", ["bank-b", "bank-a", "bank-b"], registry.order()),
        lambda: releases.promote("m2", registry.order()),
        lambda: releases.rollback(registry.order(why="too strict")),
    ]
    made = []
    for act in acts:
        leaves, serial = audit.head().size, current(registry).serial
        made.append(act())
        assert (audit.head().size, current(registry)) == (leaves + 1, made[-1])
        assert made[-1].serial == serial + 1
    challenged, staged, promoted, back = made
    assert (challenged.champion, challenged.challenger) == ("m1", "m2")
    assert (staged.challenger, staged.staged.members) == (None, ("bank-a", "bank-b"))
    assert (promoted.champion, promoted.staged) == ("m2", None)
    assert back.champion == "m1"
    with registry.coordinator.database.read() as connection:
        moves = rows.moves(connection)
    assert [(one.version, one.after) for one in moves] == [
        ("m1", "champion"), ("m2", "challenger"), ("m2", "staged"), ("m1", "retired"),
        ("m2", "champion"), ("m2", "retired"), ("m1", "champion"),
    ]  # fmt: skip
    assert (moves[1].who, moves[1].why, moves[-1].why) == ("ann", "AUC is better", "too strict")


def test_one_challenger_and_one_staged_version_at_a_time(registry):
    for version in ("m1", "m2", "m3"):
        registry.publish(version)
    releases = registry.coordinator.releases
    releases.challenge("m2", registry.order())
    assert releases.challenge("m3", registry.order()).challenger == "m3"
    releases.stage("m2", ["bank-a"], registry.order())
    staged = releases.stage("m3", ["bank-b"], registry.order()).staged
    assert (staged.version, staged.members) == ("m3", ("bank-b",))
    assert registry.coordinator.registry.standings()["m2"] == "published"
    releases.challenge("m2", registry.order())
    assert current(registry).staged == staged  # another act keeps who it is staged at
    assert releases.drop("m3", registry.order()).staged is None


@on_each_database
def test_withdrawing_the_champion_brings_the_one_before_back(registry):
    for version in ("m1", "m2", "m3"):
        registry.publish(version, promote=True)
    releases = registry.coordinator.releases
    assert releases.withdraw("m2", registry.order()).champion == "m3"
    after = releases.withdraw("m3", registry.order())
    assert (after.champion, after.withdrawn) == ("m1", ("m2", "m3"))
    assert set(after.models) == {"m1"}
    last = releases.withdraw("m1", registry.order())
    assert (last.champion, last.models) == (None, {})
    registry.publish("m4", promote=False)
    assert current(registry).champion is None


def test_a_rollback_needs_somewhere_to_go(registry):
    releases = registry.coordinator.releases
    with pytest.raises(NothingToRollBackTo):
        releases.rollback(registry.order())
    registry.publish("m1")
    registry.publish("m2")
    with pytest.raises(NothingToRollBackTo):
        releases.rollback(registry.order())
    with pytest.raises(ModelTransitionInvalid):
        releases.rollback(registry.order(), "m2")  # never was champion
    with pytest.raises(UnknownBundle):
        releases.rollback(registry.order(), "m7")


def test_a_rollback_goes_on_back_and_never_to_where_it_came_from(registry):
    for version in ("m1", "m2", "m3"):
        registry.publish(version, promote=True)
    releases = registry.coordinator.releases
    assert releases.rollback(registry.order()).champion == "m2"
    assert releases.rollback(registry.order()).champion == "m1"
    with pytest.raises(NothingToRollBackTo):
        releases.rollback(registry.order())


def test_what_cannot_be_done_changes_nothing(registry):
    """A refused act leaves the release, the moves and the log as they were."""
    registry.publish("m1")
    registry.publish("m2")
    releases, before = registry.coordinator.releases, registry.document()
    size = registry.coordinator.audit.head().size
    refused = [
        (UnknownBundle, lambda: releases.promote("m9", registry.order())),
        (ModelTransitionInvalid, lambda: releases.promote("m1", registry.order())),
        (ModelTransitionInvalid, lambda: releases.drop("m2", registry.order())),
        (UnknownMember, lambda: releases.stage("m2", ["bank-z"], registry.order())),
        (InvalidInput, lambda: releases.stage("m2", [], registry.order())),
    ]
    for error, act in refused:
        with pytest.raises(error):
            act()
    assert registry.document() == before
    assert registry.coordinator.audit.head().size == size
    assert registry.coordinator.registry.standings()["m2"] == "published"


@pytest.mark.parametrize("facts", [{"who": "x" * 65}, {"why": "y" * 201}, {"why": "a\nb"}])
def test_who_and_why_are_short_lines(facts):
    with pytest.raises(InvalidInput):
        Order(1, **facts)


def test_a_release_changed_in_the_database_is_not_signed_anew(registry):
    registry.publish("m1")
    registry.publish("m2")
    from sqlalchemy import text

    with registry.coordinator.database.write() as connection:
        body = registry.document().body.replace(b'"champion":"m1"', b'"champion":"m2"')
        connection.execute(
            text("UPDATE document SET body = :b WHERE kind = 'release' AND version = :v"),
            {"b": body, "v": registry.document().version},
        )
    with pytest.raises(SignatureInvalid):
        registry.coordinator.releases.challenge("m2", registry.order())


@on_each_database
def test_only_what_the_release_lets_a_member_use_is_served(registry):
    """A withdrawn version is served to nobody, a staged one to its members alone."""
    for version in ("m1", "m2", "m3", "m4"):
        registry.publish(version, promote=version == "m2")
    releases, served = registry.coordinator.releases, registry.coordinator.registry
    releases.challenge("m3", registry.order())
    releases.stage("m4", ["bank-b"], registry.order())
    for version in ("m1", "m2", "m3", ""):
        assert len(list(served.pieces("bank-a", version))) > 1
    assert list(served.pieces("bank-b")) == list(served.pieces("bank-b", "m4"))
    with pytest.raises(BundleNotReleased):
        next(served.pieces("bank-a", "m4"))
    releases.drop("m4", registry.order())
    releases.withdraw("m1", registry.order())
    for version in ("m4", "m1"):
        with pytest.raises(BundleNotReleased):
            next(served.pieces("bank-b", version))
    with pytest.raises(UnknownBundle):
        next(served.pieces("bank-a", "m9"))


@on_each_database
def test_what_members_say_they_run_is_written_when_it_changes(registry):
    running = registry.coordinator.running
    running.said("bank-a", "", 0, 1)
    running.said("bank-a", "m1", 1, 2)
    running.said("bank-a", "m1", 2, 3)
    row = running.every()["bank-a"]
    assert (row.version, row.serial, row.since_ms) == ("m1", 2, 2)


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 3)), max_size=40))
@settings(deadline=None, max_examples=60)
def test_there_is_never_more_than_one_champion_to_return_to_each(steps):
    """However versions move, the line of champions names each once, none of them withdrawn."""
    versions = [f"m{number}" for number in range(4)]
    states = dict.fromkeys(versions, "published")
    moves: list[MoveRow] = []
    for event, number in steps:
        version = versions[number]
        after = TRANSITIONS.get((states[version], event))
        if after is not None:
            moves.append(MoveRow(1, version, event, states[version], after, "", "", 1))
            states[version] = after
    line = champions(moves)
    assert len(set(line)) == len(line)
    assert not [one for one in line if states[one] == "withdrawn"]
    assert standings(versions, moves) == states
