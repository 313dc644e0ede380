"""A relay that drops, doubles, reorders, swaps, truncates or changes what it carries gains nothing.

Every meddling fails the call with its code, before anything is believed, and nothing is logged
twice.
"""

import itertools
import threading
import time

import pytest

from consent.lifecycle import State
from node.exchange.breaker import BreakerLimits, Breakers
from node.network.rpc_errors import remote_errors
from node.storage import consents, exchange
from protocols.errors import CredenceError
from protocols.v1.exchange_pb2 import SealedRequest
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from protocols.v1.relay_pb2 import RelayClose, RelayFrame
from tests.network import person
from tests.relay.world import HIDDEN, honest, open_world

BALANCE = {"statement_balance": (1, 120.5)}
PEOPLE = itertools.count(100)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with open_world(tmp_path_factory.mktemp("hostile")) as opened:
        opened.network.enrol_many(HIDDEN, {person(n): BALANCE for n in range(100, 12000)})
        yield opened


@pytest.fixture
def world(shared):
    # No test's failures make the bank leave the holder alone in the next.
    shared.network.node("bank-a").fetcher._breakers = Breakers(BreakerLimits(), time.monotonic)
    yield shared
    shared.relay.there = shared.relay.back = honest


def consented(world, count=1):
    people = [person(next(PEOPLE)) for _ in range(count)]
    return world.network.consent("bank-a", people, holders=[HIDDEN])


def logged(world, member_id, terms):
    with world.network.node(member_id).database.read() as connection:
        return [exchange.of_consent(connection, one.consent_id) for one in terms]


def uses(world, terms):
    with world.network.node(HIDDEN).database.read() as connection:
        known = consents.terms_by_hash(connection, [one.consent_hash for one in terms])
    return [known[one.consent_hash].uses for one in terms]


def nth(number, act):
    """Do `act` to the n-th frame that passes, let the others be."""
    count = itertools.count()

    def meddle(frame):
        return act(frame) if next(count) == number else [frame]

    return meddle


def drop(frame):
    return []


def double(frame):
    return [frame, frame]


def flipped(at):
    def flip(frame):
        changed = RelayFrame()
        changed.CopyFrom(frame)
        part = changed.opening if frame.HasField("opening") else changed
        data = bytearray(part.sealed)
        data[at] ^= 1
        part.sealed = bytes(data)
        return [changed]

    return flip


def cut(frame):
    changed = RelayFrame()
    changed.CopyFrom(frame)
    part = changed.opening if frame.HasField("opening") else changed
    part.sealed = part.sealed[:-1]
    return [changed]


class Reorder:
    """Holds the n-th frame back until the next has passed."""

    def __init__(self, number):
        self.number, self.count, self.held = number, itertools.count(), None

    def __call__(self, frame):
        if next(self.count) == self.number:
            self.held = RelayFrame()
            self.held.CopyFrom(frame)
            return []
        if self.held is not None:
            held, self.held = self.held, None
            return [frame, held]
        return [frame]


ALTERED = {
    "doubled": lambda: nth(1, double),
    "bit flipped at the start": lambda: nth(1, flipped(0)),
    "bit flipped in the tag": lambda: nth(1, flipped(-1)),
    "cut": lambda: nth(1, cut),
    "out of order": lambda: Reorder(1),
    "one dropped": lambda: nth(1, drop),
}


@pytest.mark.parametrize("kind", ALTERED)
def test_a_request_that_the_relay_alters_fails_the_call_and_is_not_answered_twice(world, kind):
    made = consented(world, 600)  # three requests
    world.relay.there = ALTERED[kind]()
    (holder,) = world.fetch(made, deadline_s=4).holders
    assert holder.error == "relay_seal_broken"
    assert holder.answered < 600
    world.relay.there = honest
    assert world.fetch(made).complete
    for mine, theirs in zip(
        logged(world, "bank-a", made), logged(world, HIDDEN, made), strict=True
    ):
        assert len({one.request_id for one in mine}) == len(mine)
        assert len({one.request_id for one in theirs}) == len(theirs)


@pytest.mark.parametrize("kind", ALTERED)
def test_an_answer_that_the_relay_alters_is_not_believed(world, kind):
    made = consented(world, 600)
    world.relay.back = ALTERED[kind]()
    (holder,) = world.fetch(made, deadline_s=4).holders
    assert holder.error == "relay_seal_broken"
    believed = sum(len(records) for records in logged(world, "bank-a", made))
    assert believed == holder.answered <= 256


@pytest.mark.parametrize("act", [flipped(0), cut], ids=["flipped", "cut"])
def test_an_opening_that_the_relay_alters_opens_no_call(world, act):
    made = consented(world)
    world.relay.there = nth(0, act)
    (holder,) = world.fetch(made, deadline_s=3).holders
    assert holder.error == "relay_seal_broken"
    assert logged(world, HIDDEN, made) == [[]]


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("caller", "bank-b", "signature_invalid"),
        ("caller", "nowhere", "unknown_member"),
        ("caller", "", "malformed"),
        ("call_id", b"x" * 16, "signature_invalid"),
        ("call_id", b"x", "malformed"),
        ("session_id", b"x" * 16, "relay_ticket_refused"),
        ("one_time_key", b"x" * 32, "signature_invalid"),
        ("one_time_key", bytes(32), "signature_invalid"),
        ("signature", b"x" * 64, "signature_invalid"),
        ("signature", b"", "signature_invalid"),
    ],
)
def test_an_opening_in_anothers_name_or_for_another_call_is_refused(world, name, value, code):
    made = consented(world)

    def replace(frame):
        if frame.HasField("opening"):
            setattr(frame.opening, name, value)
        return [frame]

    world.relay.there = replace
    (holder,) = world.fetch(made, deadline_s=3).holders
    assert holder.error == code
    assert logged(world, HIDDEN, made) == [[]]


def test_answers_swapped_between_two_calls_are_not_believed(world):
    made = [consented(world, 1000), consented(world, 1000)]  # more than a window: none is over soon
    held = {}

    def swap(frame):
        if len(held) == 2:
            return [frame]
        held.setdefault(frame.call, frame.sealed)
        if len(held) < 2:
            return []
        (one, sealed_one), (two, sealed_two) = held.items()
        return [RelayFrame(call=one, sealed=sealed_two), RelayFrame(call=two, sealed=sealed_one)]

    world.relay.back = swap
    reports = {}

    def ask(index):
        reports[index] = world.fetch(made[index], deadline_s=6)

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [reports[n].holders[0].error for n in range(2)] == ["relay_seal_broken"] * 2
    assert [reports[n].holders[0].answered for n in range(2)] == [0, 0]
    assert not any(itertools.chain(*(logged(world, "bank-a", terms) for terms in made)))


def test_a_whole_call_carried_twice_is_refused_and_counts_once(world):
    made = consented(world)
    frames = []

    def record(frame):
        copy = RelayFrame()
        copy.CopyFrom(frame)
        frames.append(copy)
        return [frame]

    world.relay.there = record
    assert world.fetch(made).complete
    world.relay.there = honest
    before = logged(world, HIDDEN, made)

    # The same frames as a new call, from the same member's connection.
    answers = replay(world, frames)
    assert answers[-1].close.code == "relay_replayed"
    assert not any(one.HasField("sealed") for one in answers)
    assert logged(world, HIDDEN, made) == before
    assert uses(world, made) == [1]


def test_a_call_replayed_to_a_node_that_restarted_is_refused(world):
    made = consented(world)
    frames = []

    def record(frame):
        copy = RelayFrame()
        copy.CopyFrom(frame)
        frames.append(copy)
        return [frame]

    world.relay.there = record
    assert world.fetch(made).complete
    world.relay.there = honest
    world.lines.pop(HIDDEN).stop()
    world.attach(HIDDEN)
    answers = replay(world, frames)
    assert answers[-1].close.code == "relay_ticket_refused"
    assert uses(world, made) == [1]


def replay(world, frames):
    """Dial as bank-a and send recorded frames; what comes back."""
    from protocols.v1.relay_pb2 import RelayDial
    from protocols.v1.relay_pb2_grpc import RelayStub

    node = world.network.node("bank-a")
    channel = node.channels.to_coordinator(node.settings.coordinator_endpoint)
    done = threading.Event()

    def sent():
        yield RelayFrame(dial=RelayDial(callee=HIDDEN))
        yield from frames
        done.wait(10)

    answers = []
    for answer in RelayStub(channel).Call(sent(), timeout=10):
        answers.append(answer)
        if answer.HasField("close"):
            break
    done.set()
    return answers


def test_a_call_that_the_relay_cuts_short_has_failed(world):
    made = consented(world, 600)
    world.relay.back = lambda frame: pretend_end(world, frame)
    (holder,) = world.fetch(made, deadline_s=4).holders
    assert (holder.error, holder.answered) == ("relay_truncated", 0)


def test_a_call_that_is_cut_is_taken_up_again_and_nothing_counts_twice(world):
    made = consented(world, 600)
    world.relay.back = nth(4, lambda frame: pretend_end(world, frame))
    assert world.fetch(made).complete
    assert set(uses(world, made)) == {1}
    for side in ("bank-a", HIDDEN):
        assert {len(records) for records in logged(world, side, made)} == {1}


def pretend_end(world, frame):
    """The relay says that the callee is done, and drops the rest."""
    line = world.relay._lines[HIDDEN]
    super(type(world.relay), world.relay).from_line(
        line, RelayFrame(call=frame.call, close=RelayClose())
    )
    return []


def test_a_refusal_whose_sealed_status_is_dropped_is_no_refusal_and_no_success(world):
    node = world.network.node("bank-a")
    world.relay.back = lambda frame: pretend_end(world, frame)
    way = ExchangeStub(node.routes.to_member(HIDDEN))
    with pytest.raises(CredenceError) as caught, remote_errors(HIDDEN):
        way.Fetch(SealedRequest(), timeout=4)
    assert caught.value.code == "relay_truncated"


def test_a_withdrawal_that_the_relay_drops_is_not_taken_for_delivered(world):
    from consent.events import sign_event
    from consent.lifecycle import Event
    from tests.relay.world import SUBJECT_KEY

    bank, holder = world.network.node("bank-a"), world.network.node(HIDDEN)
    recorded = world.grant(3)
    assert bank.consents.push_pending().accepted == 1
    said = sign_event(bank.consents.event(recorded.consent_id, Event.WITHDRAW), SUBJECT_KEY)

    world.relay.there = nth(1, flipped(5))
    changed = bank.consents.withdraw(recorded.consent_id, said)
    assert (list(changed.confirmed), list(changed.pending)) == ([], [HIDDEN])
    assert holder.consents.get(recorded.consent_id).terms.state is State.ACTIVE

    world.relay.there = honest
    assert bank.consents._deliverer.push_consent(recorded.consent_id, [HIDDEN]).accepted == 1
    assert holder.consents.get(recorded.consent_id).terms.state is State.WITHDRAWN


def test_an_acknowledgement_that_the_relay_makes_up_is_not_believed(world):
    bank = world.network.node("bank-a")
    world.grant(4)
    world.relay.back = nth(0, flipped(5))
    report = bank.consents.push_pending()
    assert report.accepted == 0
    assert report.unreachable == {HIDDEN: "relay_seal_broken"}


@pytest.mark.parametrize("of", ["bank-b", "old", "forged"])
def test_a_ticket_that_is_not_the_callees_own_is_refused(world, of):
    from protocols.relay_tickets import TICKET_LIFE_MS, Tickets
    from tests.network import now_ms

    node = world.network.node(HIDDEN)
    signing, at_ms, name = node.keys.signing, now_ms(), HIDDEN
    if of == "bank-b":
        other = world.network.node("bank-b")
        signing, name = other.keys.signing, "bank-b"
    elif of == "old":
        at_ms -= TICKET_LIFE_MS + 120_000
    else:
        signing = world.network.node("bank-b").keys.signing
    line = world.relay._lines[HIDDEN]
    good = line.ticket
    line.ticket = Tickets(name).issue(signing, node.keys.sealing, at_ms)
    try:
        (holder,) = world.fetch(consented(world), deadline_s=3).holders
    finally:
        line.ticket = good
    assert holder.error == "relay_ticket_refused"
