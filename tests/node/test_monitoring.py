"""People are watched over under a live consent for it, and not a look longer."""

import itertools
import json

import pytest

from consent.refusals import ReleaseRefused
from node.monitoring.service import MonitorExists, MonitorUnknown
from node.storage import monitors as storage
from node.storage import signals, webhooks
from node.storage.subjects import UnknownSubject
from protocols.errors import InvalidInput
from tests.network import MEMBERS
from tests.node.scoring_world import ACCOUNT, BANK, PRESENT, World, open_world, ref
from tests.node.webhook_bodies import bodies_to

CLIENT = "cli_platform"
BANK_B = next(one for one in MEMBERS if one.member_id == "bank-b")
_people = itertools.count(7000)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with open_world(tmp_path_factory.mktemp("monitoring")) as opened:
        yield opened


def watched(world: World, events=(), **terms):
    """A new person with a consent, and a monitor over them."""
    (one,) = world.enrol(next(_people))
    consent = world.consent(one, **{"purposes": ["monitor"], **terms})
    begin = world.node.monitoring.monitors.begin
    return one, consent, begin(CLIENT, ref(one), consent.consent_id, events, {})


def look(world: World):
    """Let there be new signals, and look."""
    with world.node.database.write() as connection:
        storage.wake_all(connection)
    return world.node.monitoring.looking.step()


def messages(world: World, monitor_id: str) -> list[tuple[str, dict]]:
    told = [(one["type"], one["data"]) for one in bodies_to(world.node.database, CLIENT)]
    return [(type_, data) for type_, data in told if data.get("monitor_id") == monitor_id]


def get(world: World, row):
    return world.node.monitoring.monitors.get(CLIENT, row.monitor_id)


def events(world: World, row):
    return world.node.monitoring.monitors.events(CLIENT, row.monitor_id, before=2**62, limit=50)


LATE = {**ACCOUNT, "current_status": (PRESENT, 3.0), "credit_limit": (PRESENT, 90_000.0)}


def test_what_changes_is_told_with_ids_alone_and_read_with_its_figures(world: World) -> None:
    """An event is an entry of the log and a webhook; the webhook says nothing about the person."""
    one, _, row = watched(world)
    look(world)
    assert messages(world, row.monitor_id) == []
    assert set(get(world, row).baseline and json.loads(get(world, row).baseline)["points"]) == {
        "bank-a,payments,public-records"
    }
    world.network.enrol_many(BANK, {one: LATE})
    world.network.enrol_many("public-records", {one: {"dishonest_debtor": (PRESENT, 1.0)}})
    before = world.leaves()
    look(world)
    told = messages(world, row.monitor_id)
    assert {type_ for type_, _ in told} >= {"monitor.delinquency", "monitor.new_debt"}
    for _, data in told:
        assert set(data) == {"monitor_id", "event_id", "subject", "consent_id"}
    read = {event.detail.get("signal"): event.detail for event in events(world, row)}
    assert read["current_status"] == {"signal": "current_status", "from": 0.0, "to": 3.0}
    assert read["dishonest_debtor"]["to"] == 1.0
    assert read["credit_limit"]["to"] == 90_000.0
    assert world.leaves() > before + len(told)
    look(world)
    assert len(messages(world, row.monitor_id)) == len(told)


def test_what_was_released_for_a_score_is_not_looked_at(world: World) -> None:
    """Holders are asked for the purpose `monitor`, and only under a consent that grants it."""
    _, consent, _ = watched(world)
    look(world)
    with world.node.database.read() as connection:
        kept = signals.of_subject(connection, consent.pseudonym, 0)
    assert {vector.purpose for vector in kept} == {"own", "monitor"}


@pytest.mark.parametrize("terms", [{"purposes": ["score"]}, {"recipients": ["payments"]}])
def test_a_consent_for_something_else_begins_nothing(world: World, terms: dict) -> None:
    before = world.leaves()
    with pytest.raises(ReleaseRefused):
        watched(world, **terms)
    assert world.leaves() <= before + 1  # the consent's own


def test_a_withdrawal_ends_the_monitor_and_says_so(world: World) -> None:
    """Mid-way: what was noticed is not told any more, nor read, and the baseline is gone."""
    one, consent, row = watched(world)
    look(world)
    world.network.enrol_many(BANK, {one: LATE})
    look(world)
    told = len(messages(world, row.monitor_id))
    world.network.withdraw(BANK, consent)
    with world.node.database.write() as connection:
        storage.forget_by_consent(connection, consent.consent_id)
        assert {event.detail.get("to") for event in storage.events(
            connection, row.monitor_id, before=2**62, limit=9
        )} == {None}  # fmt: skip
        assert not webhooks.consent_stands(connection, consent.consent_id, 0)
    look(world)
    ended = get(world, row)
    assert (ended.state, ended.ended_for, ended.baseline) == ("ended", "consent_withdrawn", None)
    *_, (type_, data) = messages(world, row.monitor_id)
    assert (type_, data["cause"]) == ("monitor.ended", "consent_withdrawn")
    assert len(messages(world, row.monitor_id)) == told + 1
    with pytest.raises(ReleaseRefused):
        events(world, row)
    look(world)
    assert len(messages(world, row.monitor_id)) == told + 1


def test_spent_uses_end_it_and_a_look_counts_as_one(world: World) -> None:
    _, _, row = watched(world, max_uses=2)
    for _ in range(3):
        look(world)
    assert get(world, row).ended_for == "uses_exhausted"


def test_a_client_ends_its_own_monitor_and_no_other(world: World) -> None:
    one, consent, row = watched(world)
    monitors = world.node.monitoring.monitors
    with pytest.raises(MonitorExists):
        monitors.begin(CLIENT, ref(one), consent.consent_id, (), {})
    for act in (monitors.get, monitors.stop):
        with pytest.raises(MonitorUnknown):
            act("cli_other", row.monitor_id)
    monitors.stop(CLIENT, row.monitor_id)
    monitors.stop(CLIENT, row.monitor_id)
    assert get(world, row).ended_for == "by_client"
    assert messages(world, row.monitor_id) == []
    monitors.begin(CLIENT, ref(one), consent.consent_id, (), {})


def test_only_events_that_are_wanted_are_told(world: World) -> None:
    one, _, row = watched(world, ["new_debt"])
    look(world)
    world.network.enrol_many(BANK, {one: LATE})
    look(world)
    assert [event.type for event in events(world, row)] == ["new_debt"]


def test_nothing_is_begun_for_strangers_or_with_wrong_words(world: World) -> None:
    one, consent, _ = watched(world)
    begin = world.node.monitoring.monitors.begin
    with pytest.raises(UnknownSubject):
        begin(CLIENT, "sub_nobody", consent.consent_id, (), {})
    for events_, thresholds in ((["divorce"], {}), ((), {"fear": 1}), ((), {"new_lenders": 0})):
        with pytest.raises(InvalidInput):
            begin(CLIENT, ref(one), consent.consent_id, events_, thresholds)
    (other,) = world.enrol(next(_people))
    with pytest.raises(ReleaseRefused) as refused:
        begin(CLIENT, ref(other), consent.consent_id, (), {})
    assert refused.value.code == "subject_mismatch"


def test_a_person_of_whom_nobody_says_anything_is_looked_at_again_later(world: World) -> None:
    (one,) = world.enrol(next(_people))
    for holder in (BANK, "payments", "public-records"):
        world.network.enrol_many(holder, {one: {}})
    consent = world.consent(one, purposes=["monitor"])
    row = world.node.monitoring.monitors.begin(CLIENT, ref(one), consent.consent_id, (), {})
    look(world)
    assert (get(world, row).state, get(world, row).hindered_by) == (
        "active", "monitor_nothing_said",
    )  # fmt: skip


def test_lenders_are_counted_across_holders_by_tokens_that_name_nobody(world: World) -> None:
    """The one who asks is not counted; a further lender is an event."""
    world.network.add(BANK_B)
    world.network.publish()
    world.network.servers["bank-b"].start()
    one, consent, row = watched(world, holders=(BANK, "bank-b", "payments"))
    look(world)
    assert json.loads(get(world, row).baseline)["lenders"] == {"bank-b,payments": 0}
    world.network.enrol_many("bank-b", {one: ACCOUNT})
    look(world)
    assert "multi_lender_growth" in [event.type for event in events(world, row)]
    assert json.loads(get(world, row).baseline)["lenders"] == {"bank-b,payments": 1}
    with world.node.database.write() as connection:
        kept = storage.lenders(connection, consent.consent_id, 0)
        assert len(kept["bank-b"]) == 6 + 16
        assert b"bank" not in kept["bank-b"]
        storage.forget_by_consent(connection, consent.consent_id)
        assert storage.lenders(connection, consent.consent_id, 0) == {}
