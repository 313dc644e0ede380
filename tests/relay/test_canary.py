"""What a relay that records all it sees learns of people: nothing.

Consents, a withdrawal and an exchange pass through it with known values in them. None of them is
found among the recorded bytes in any encoding a careless program might use, and none in the
relay's logs or the coordinator's ledger.
"""

import base64
import struct

import pytest
import structlog

from consent.events import sign_event
from consent.lifecycle import Event, State
from protocols.pseudonyms import handle, query_token
from tests.network import AS_OF_MS, person
from tests.relay.world import HIDDEN, SUBJECT_KEY, open_world

AMOUNT = 7_654_321.25
NUMBER = 4242
SIGNALS = {"statement_balance": (1, AMOUNT), "paid_ratio_3m": (1, 0.123456789)}


def encodings(value):
    """A value's bytes as a program might write them down."""
    if isinstance(value, float):
        yield from (struct.pack(form, value) for form in ("<d", ">d"))
        yield from (repr(value).encode(), f"{value:,}".encode())
        return
    data = value.encode() if isinstance(value, str) else value
    yield data
    yield data[::-1]
    yield data.hex().encode()
    yield data.hex().upper().encode()
    yield data.decode("latin-1").encode("utf-16-le")
    yield from base64s(data)
    yield base64.b32encode(data).rstrip(b"=")
    yield base64.b32encode(data).rstrip(b"=").lower()


def base64s(data):
    """Base64, standard and URL-safe, at each of the three places a value may stand in a text."""
    for code in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # Only what the value alone decides: its neighbours change the first and last digits.
            text = code(bytes(shift) + data)
            yield text[(0, 2, 3)[shift] : -4 or None][:40]


def found(canaries, haystack):
    return [
        (name, form)
        for name, value in canaries.items()
        for form in encodings(value)
        if len(form) >= 5 and form in haystack
    ]


def test_the_search_finds_what_is_there():
    canaries = {"id": "con_abcdefghijk", "hash": bytes(range(32)), "amount": AMOUNT}
    for value in canaries.values():
        for form in encodings(value):
            assert found(canaries, b"..." + form + b"...")
    text = base64.b64encode(b'{"id":"con_abcdefghijk","more":1}')
    assert found(canaries, text)


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """The recorded frames, what was carried and what was logged, and the canaries."""
    with (
        structlog.testing.capture_logs() as logs,
        open_world(tmp_path_factory.mktemp("canary")) as world,
    ):
        yield carry(world) | {"logs": repr(logs).encode()}


def carry(world):
    bank, holder = world.network.node("bank-a"), world.network.node(HIDDEN)
    world.network.enrol(HIDDEN, person(7), SIGNALS)
    recorded = world.grant(7)
    assert bank.consents.push_pending().accepted == 1
    stored = bank.consents.get(recorded.consent_id)
    with bank.database.read() as connection:
        people = bank.consents.live_consents(connection, "score")
    report = world.fetch(people)
    assert (report.answered, report.complete) == (1, True)
    said = sign_event(bank.consents.event(recorded.consent_id, Event.WITHDRAW), SUBJECT_KEY)
    assert list(bank.consents.withdraw(recorded.consent_id, said).confirmed) == [HIDDEN]
    assert holder.consents.get(recorded.consent_id).terms.state is State.WITHDRAWN
    pair_key = bank.pair_keys.with_member(HIDDEN)
    consent_hash = stored.terms.consent_hash
    canaries = {
        "pseudonym": person(7),
        "subject reference at the bank": "sub_7",
        "consent id": recorded.consent_id,
        "consent hash": consent_hash,
        "artefact": bytes(stored.artefact[:64]),
        "subject key": SUBJECT_KEY.verify_key.bytes,
        "handle": handle(pair_key, person(7)),
        "token": query_token(pair_key, person(7), consent_hash),
        "pair key": pair_key,
        "balance": AMOUNT,
        "ratio": 0.123456789,
        "signal": "statement_balance",
        "other signal": "paid_ratio_3m",
        "purpose score": "score",
        "purpose train": "train",
        "category": "credit_account",
        "as of": struct.pack("<q", AS_OF_MS),
        "withdrawal": "withdraw",
        "method": "FetchBatch",
        "other method": "Deliver",
        "service": "credence.v1",
        "acknowledgement": "effective",
    }
    assert len(world.relay.seen) > 10
    frames = b"\x00".join(world.relay.seen)
    return {
        "frames": frames,
        "canaries": canaries,
        "ledger": repr(world.relay.carried_calls).encode(),
    }


@pytest.mark.parametrize("place", ["frames", "ledger", "logs"])
def test_nothing_about_a_person_is_found_at_the_relay(seen, place):
    assert found(seen["canaries"], seen[place]) == []


def test_the_relay_did_carry_it(seen):
    assert len(seen["frames"]) > 5_000
    assert b"bank-a" in seen["frames"]  # whose call it is, it knows
