"""The seal of a relayed call: bytes in, bytes out."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.directory import Directory, MemberEntry, MemberNotActive, UnknownMember
from protocols.errors import CredenceError, Malformed, SignatureInvalid
from protocols.keys import SealingKey, SigningKey
from protocols.member_keys import EarlierKeys
from protocols.relay import (
    DEFAULT_RELAY_LIMITS,
    RelayBusy,
    RelayFrameRefused,
    RelayReplayed,
    RelaySealBroken,
    RelayTicketRefused,
    check_frame,
)
from protocols.relay_frames import PIECE_BYTES, End, Message
from protocols.relay_seal import accept_call, open_call
from protocols.relay_tickets import TICKET_CALLS, TICKET_LIFE_MS, TICKET_RENEW_MS, Tickets
from protocols.v1.relay_pb2 import (
    RelayClose,
    RelayFrame,
    RelayOpening,
    RelayTicket,
    RelayTicketBody,
)

NOW = 1_700_000_000_000
MAX = 1 << 20
SIGNING = {name: SigningKey.generate() for name in ("bank-a", "bank-b", "payments")}
SEALING = {name: SealingKey.generate() for name in SIGNING}


def entry(name, **changes):
    values = {
        "member_id": name,
        "name": name,
        "role": "bank",
        "licence": "",
        "contact": "",
        "holds": (),
        "signing_key": SIGNING[name].verify_key.bytes,
        "sealing_key": SEALING[name].public,
        "certificate_sha256": bytes(32),
        "endpoint": None,
        "status": "active",
        "joined_at_ms": 0,
    }
    return MemberEntry(**(values | changes))


def directory(**entries):
    members = {name: entry(name) for name in SIGNING} | entries
    key = SigningKey.from_seed(bytes(32)).verify_key.bytes
    return Directory(1, NOW, 0, tuple(members[name] for name in sorted(members)), key)


@pytest.fixture
def tickets():
    return Tickets("payments")


def ticket_of(tickets, at_ms=NOW, signing=None):
    return tickets.issue(signing or SIGNING["payments"], SEALING["payments"], at_ms)


def opened(ticket, **changes):
    given = {
        "caller": "bank-a",
        "key": SIGNING["bank-a"],
        "callee": entry("payments"),
        "ticket": ticket,
        "method": "/x/Y",
        "timeout_ms": 5000,
        "directory_version": 7,
        "now_ms": NOW,
    }
    return open_call(**(given | changes))


def accepted(opening, tickets, listed=None, **changes):
    given = {
        "own_id": "payments",
        "tickets": tickets,
        "directory": listed or directory(),
        "now_ms": NOW,
    }
    return accept_call(opening, **(given | changes))


def a_call():
    tickets = Tickets("payments")
    opening, mine = opened(ticket_of(tickets))
    return mine, accepted(opening, tickets).sealed


def test_a_call_is_accepted_with_what_its_caller_said(tickets):
    opening, mine = opened(ticket_of(tickets))
    call = accepted(opening, tickets)
    assert (call.caller, call.method, call.timeout_ms) == ("bank-a", "/x/Y", 5000)
    assert call.directory_version == 7
    (frame,) = call.sealed.outgoing.message(b"answer")
    assert mine.incoming.take(frame, MAX) == Message(b"answer")
    assert mine.incoming.take(call.sealed.outgoing.end(b"s"), MAX) == End(b"s")


@given(data=st.binary(max_size=3 * 300_000).map(lambda some: some * 7))
@settings(max_examples=25, deadline=None)
def test_any_message_arrives_whole_in_bounded_frames(data):
    mine, theirs = a_call()
    frames = list(mine.outgoing.message(data))
    assert all(len(frame) <= PIECE_BYTES * 1.12 + 64 for frame in frames)
    taken = [theirs.incoming.take(frame, len(data) + 1) for frame in frames]
    assert taken[:-1] == [None] * (len(frames) - 1)
    assert taken[-1] == Message(data)


@given(
    order=st.lists(st.integers(0, 5), max_size=12),
    flips=st.dictionaries(st.integers(0, 11), st.integers(0, 2000), max_size=2),
)
def test_whatever_a_relay_passes_on_only_a_prefix_of_what_was_sent_is_believed(order, flips):
    mine, theirs = a_call()
    other, _ = a_call()
    sent = [frame for n in range(5) for frame in mine.outgoing.message(b"%d" % n)]
    sent.append(next(other.outgoing.message(b"0")))  # of another call
    believed = []
    for place, index in enumerate(order):
        frame = bytearray(sent[index])
        if place in flips:
            frame[flips[place] % len(frame)] ^= 1
        try:
            believed.append(theirs.incoming.take(bytes(frame), MAX))
        except RelaySealBroken:
            break
    assert believed == [Message(b"%d" % n) for n in range(len(believed))]


def test_lengths_tell_steps_only():
    mine, _ = a_call()
    lengths = {len(next(mine.outgoing.message(bytes(n)))) for n in range(250)}
    assert len(lengths) == 1
    assert len({len(next(mine.outgoing.message(bytes(n)))) for n in range(4000, 5000)}) <= 9


def test_nothing_is_taken_after_the_end():
    mine, theirs = a_call()
    theirs.incoming.take(mine.outgoing.end(), MAX)
    with pytest.raises(RelaySealBroken):
        theirs.incoming.take(next(mine.outgoing.message(b"more")), MAX)


def test_a_message_beyond_the_receivers_limit_is_refused_before_it_is_joined():
    mine, theirs = a_call()
    frames = mine.outgoing.message(bytes(3 * PIECE_BYTES))
    assert theirs.incoming.take(next(frames), PIECE_BYTES) is None
    with pytest.raises(RelayFrameRefused):
        theirs.incoming.take(next(frames), PIECE_BYTES)


@pytest.mark.parametrize("kind", [0, 1, 5, 255])
def test_a_sealed_frame_of_an_unknown_kind_is_refused(kind):
    mine, theirs = a_call()
    with pytest.raises(RelayFrameRefused):
        theirs.incoming.take(mine.outgoing.seal(kind, b""), MAX)


def test_an_end_within_a_message_is_refused():
    mine, theirs = a_call()
    frames = mine.outgoing.message(bytes(2 * PIECE_BYTES))
    theirs.incoming.take(next(frames), MAX)
    with pytest.raises(RelayFrameRefused):
        theirs.incoming.take(mine.outgoing.end(), MAX)


def test_the_same_opening_is_accepted_once(tickets):
    opening, _ = opened(ticket_of(tickets))
    accepted(opening, tickets)
    with pytest.raises(RelayReplayed):
        accepted(opening, tickets)


def test_an_opening_to_an_earlier_process_of_the_callee_is_refused(tickets):
    opening, _ = opened(ticket_of(tickets))
    restarted = Tickets("payments")
    ticket_of(restarted)
    with pytest.raises(RelayTicketRefused):
        accepted(opening, restarted)


def test_the_ticket_before_the_newest_is_honoured_and_older_ones_are_forgotten(tickets):
    first, _ = opened(ticket_of(tickets))
    again, _ = opened(ticket_of(tickets))
    ticket_of(tickets)
    accepted(again, tickets)
    with pytest.raises(RelayTicketRefused):
        accepted(first, tickets)


def test_a_ticket_is_renewed_by_age_and_by_use(tickets):
    assert tickets.due(NOW)
    ticket = ticket_of(tickets)
    assert not tickets.due(NOW + TICKET_RENEW_MS - 1)
    assert tickets.due(NOW + TICKET_RENEW_MS)
    body = RelayTicketBody.FromString(ticket.body)
    held = tickets.find(body.session_id)
    held.calls.update(os.urandom(16) for _ in range(TICKET_CALLS // 2 + 1))
    assert tickets.due(NOW)
    held.calls.update(os.urandom(16) for _ in range(TICKET_CALLS // 2))
    with pytest.raises(RelayBusy):
        tickets.claim(held, bytes(16))


@pytest.mark.parametrize(
    ("status", "error"), [("suspended", MemberNotActive), ("revoked", MemberNotActive)]
)
def test_a_caller_that_is_not_active_is_refused(tickets, status, error):
    opening, _ = opened(ticket_of(tickets))
    with pytest.raises(error):
        accepted(opening, tickets, directory(**{"bank-a": entry("bank-a", status=status)}))


def test_a_call_cannot_be_carried_to_another_member(tickets):
    opening, _ = opened(ticket_of(tickets))
    with pytest.raises(SignatureInvalid):
        accepted(opening, tickets, own_id="bank-b")


def test_a_caller_cannot_take_anothers_name(tickets):
    opening, _ = opened(ticket_of(tickets), caller="bank-b")
    with pytest.raises(SignatureInvalid):
        accepted(opening, tickets)
    opening, _ = opened(ticket_of(tickets), caller="nowhere")
    with pytest.raises(UnknownMember):
        accepted(opening, tickets)


def test_a_caller_signs_with_the_key_it_replaced_as_long_as_that_is_honoured(tickets):
    newer = SigningKey.generate().verify_key.bytes
    earlier = EarlierKeys(
        SIGNING["bank-a"].verify_key.bytes, SEALING["bank-a"].public, NOW - 1000, NOW + 1000
    )
    listed = directory(**{"bank-a": entry("bank-a", signing_key=newer, earlier_keys=(earlier,))})
    opening, _ = opened(ticket_of(tickets))
    with pytest.raises(SignatureInvalid):
        accepted(opening, tickets, listed, now_ms=NOW + 1000)
    accepted(opening, tickets, listed, now_ms=NOW + 999)


@pytest.mark.parametrize("at_ms", [NOW - TICKET_LIFE_MS - 60_001, NOW + 60_001])
def test_a_ticket_out_of_its_time_is_refused(tickets, at_ms):
    with pytest.raises(RelayTicketRefused):
        opened(ticket_of(tickets, at_ms))


def test_a_ticket_of_another_member_or_hand_is_refused(tickets):
    with pytest.raises(RelayTicketRefused):
        opened(ticket_of(tickets, signing=SIGNING["bank-b"]))
    with pytest.raises(RelayTicketRefused):
        opened(ticket_of(tickets), callee=entry("bank-b"))
    other = entry("payments", sealing_key=SealingKey.generate().public)
    with pytest.raises(RelayTicketRefused):
        opened(ticket_of(tickets), callee=other)


@pytest.mark.parametrize(
    "change", [{"session_key": bytes(32)}, {"session_key": b""}, {"session_id": b"x"}]
)
def test_a_ticket_with_a_field_of_the_wrong_form_is_refused(change):
    body = RelayTicketBody(
        member_id="payments",
        session_id=bytes(16),
        session_key=SealingKey.generate().public,
        sealing_key=SEALING["payments"].public,
        issued_at_ms=NOW,
    )
    for name, value in change.items():
        setattr(body, name, value)
    data = body.SerializeToString()
    signature = SIGNING["payments"].sign("relay-ticket", data)
    with pytest.raises(RelayTicketRefused):
        opened(RelayTicket(body=data, signature=signature))


@given(data=st.binary(max_size=400))
def test_no_bytes_crash_the_reading_of_an_opening(data):
    tickets = Tickets("payments")
    ticket_of(tickets)
    try:
        opening = RelayOpening.FromString(data)
    except Exception:  # noqa: BLE001 - protobuf's own refusal comes before ours
        return
    with pytest.raises(CredenceError):
        accepted(opening, tickets)


@given(data=st.binary(max_size=200))
def test_no_bytes_crash_the_reading_of_a_ticket(data):
    signature = SIGNING["payments"].sign("relay-ticket", data)
    with pytest.raises(RelayTicketRefused):
        opened(RelayTicket(body=data, signature=signature))


def test_an_opening_with_a_field_of_the_wrong_form_is_refused(tickets):
    opening, _ = opened(ticket_of(tickets))
    opening.call_id = b"short"
    with pytest.raises(Malformed):
        accepted(opening, tickets)


@pytest.mark.parametrize(
    "frame",
    [
        RelayFrame(),
        RelayFrame(sealed=b""),
        RelayFrame(sealed=bytes(DEFAULT_RELAY_LIMITS.frame_bytes + 1)),
        RelayFrame(credit=0),
        RelayFrame(credit=65),
        RelayFrame(close=RelayClose(code="x" * 41)),
        RelayFrame(ticket=RelayTicket(body=bytes(2000))),
        RelayFrame(opening=RelayOpening(sealed=bytes(5000))),
    ],
    ids=["empty", "nothing", "large", "no credit", "much", "long code", "ticket", "opening"],
)
def test_a_frame_outside_its_bounds_is_refused(frame):
    with pytest.raises(RelayFrameRefused):
        check_frame(frame, DEFAULT_RELAY_LIMITS)
