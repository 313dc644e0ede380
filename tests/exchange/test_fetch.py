"""The recipient's side: what is kept, what both logs say, and how a failure is reported."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from audit.leaf import parse_leaf
from node.consents.freshness import Freshness
from node.exchange.inbox import Inbox
from node.exchange.pipeline import Sent
from node.exchange.records import ReleaseRecorder
from node.exchange.report import HolderReport
from node.storage import consents, exchange, signals
from protocols.v1.exchange_pb2 import AnswerBody, SignalValue, SubjectAnswer
from tests.exchange.conftest import PEOPLE
from tests.network import AS_OF_MS, DAY_MS, MEMBERS, now_ms, open_network, person


def fetch(network, consents, *, purpose="score", deadline_s=20.0, **more):
    return network.node("bank-a").fetcher.fetch(
        consents, purpose=purpose, deadline_s=deadline_s, **more
    )


def kept(network, pseudonym, source, purpose="score", at_ms=None):
    with network.node("bank-a").database.read() as connection:
        return signals.find(connection, pseudonym, source, purpose, at_ms or now_ms())


def test_signals_of_all_holders_are_kept_for_their_purpose(network):
    made = network.consent("bank-a", PEOPLE[:3], holders=["payments", "public-records"])
    report = fetch(network, made)
    assert (report.asked, report.answered, report.complete) == (6, 6, True)
    vector = kept(network, PEOPLE[0], "payments")
    assert vector.signals["statement_balance"] == (1, 120.5)
    assert (vector.consent_id, vector.as_of_ms) == (made[0].consent_id, AS_OF_MS)
    assert kept(network, PEOPLE[0], "public-records").signals["tax_arrears"] == (2, 0.0)
    assert kept(network, PEOPLE[0], "payments", "train") is None


def test_signals_end_with_the_data_life_that_was_consented_to(network):
    made = network.consent("bank-a", PEOPLE[:1], holders=["payments"])
    fetch(network, made)
    expires = kept(network, PEOPLE[0], "payments").expires_at_ms
    assert abs(expires - (now_ms() + DAY_MS)) < 60_000
    assert kept(network, PEOPLE[0], "payments", at_ms=expires) is None


def test_both_sides_log_each_subject_under_one_correlation(network):
    made = network.consent("bank-a", PEOPLE[:2], holders=["payments"])
    fetch(network, made)
    leaves = {}
    for name in ("bank-a", "payments"):
        node = network.node(name)
        with node.database.read() as connection:
            record = exchange.of_consent(connection, made[0].consent_id)[-1]
            (stored,) = node.audit.leaves(connection, record.leaf_seq, record.leaf_seq + 1)
        leaves[name] = (record, parse_leaf(stored.leaf), node.audit.payload(record.leaf_seq))
    (in_record, in_leaf, in_payload), (out_record, out_leaf, out_payload) = leaves.values()
    assert (in_record.direction, out_record.direction) == ("in", "out")
    assert (in_record.peer, out_record.peer) == ("payments", "bank-a")
    assert in_leaf["correlation"] == out_leaf["correlation"] == in_record.request_id
    assert (in_leaf["kind"], out_leaf["kind"]) == ("exchange.received", "exchange.released")
    same = ("consent_hash", "request_hash", "signals", "refusal")
    assert [sorted(in_payload[name]) for name in same] == [
        sorted(out_payload[name]) for name in same
    ]


def test_refusals_are_reported_by_code_and_logged(network):
    made = network.consent("bank-a", PEOPLE[:3], holders=["payments"])
    network.withdraw("payments", made[2])
    report = fetch(network, made)
    (holder,) = report.holders
    assert (holder.answered, dict(holder.refused)) == (2, {"consent_withdrawn": 1})
    assert holder.complete
    with network.node("bank-a").database.read() as connection:
        record = exchange.of_consent(connection, made[2].consent_id)[-1]
    assert (record.refusal, record.signal_count) == ("consent_withdrawn", 0)


def test_a_withdrawal_that_came_meanwhile_keeps_the_answer_out(network):
    made = network.consent("bank-a", [PEOPLE[7]], holders=["payments"])
    network.withdraw("bank-a", made[0])  # the holder does not know yet
    report = fetch(network, made)
    assert dict(report.holders[0].refused) == {"consent_withdrawn": 1}
    assert kept(network, PEOPLE[7], "payments") is None


def test_more_subjects_than_a_request_takes_go_in_several(network):
    people = [person(number) for number in range(2000, 2600)]
    made = network.consent("bank-a", people, holders=["public-records"])
    seen = []
    report = fetch(network, made, progress=lambda *told: seen.append(told))
    (holder,) = report.holders
    assert (holder.answered, len(holder.request_ms)) == (600, 3)
    assert seen == [("public-records", done, 600) for done in (256, 512, 600)]
    assert report.median_ms > 0


def test_nobody_is_asked_for_nobody(network):
    report = fetch(network, [])
    assert (report.holders, report.asked, report.complete) == ((), 0, True)
    assert report.median_ms == 0


def test_a_holder_is_not_asked_of_itself(network):
    made = network.consent("bank-a", PEOPLE[:1], holders=["bank-a", "payments"])
    assert [one.holder for one in fetch(network, made).holders] == ["payments"]


def inbox_of(bank):
    return Inbox(
        member_id=bank.member_id,
        database=bank.database,
        catalogue=bank.documents.catalogue,
        recorder=ReleaseRecorder(bank.member_id, bank.audit),
        freshness=Freshness(bank.member_id),
    )


def test_an_answer_that_cannot_be_kept_costs_no_other_that_came_with_it(network, ask):
    made = network.consent("bank-a", PEOPLE[30:34], holders=["payments"])
    bank = network.node("bank-a")
    inbox, before = inbox_of(bank), bank.audit.head().size
    values = [SignalValue(signal="statement_balance", status=1, value=5.0, as_of_ms=1)]

    def store(one, answers):
        inbox.store(Sent([one], ask([one])), AnswerBody(answers=answers), now_ms())

    with ThreadPoolExecutor(4) as threads:
        with bank.database.write():  # one waits for this, the others for it
            stored = [
                threads.submit(store, one, [SubjectAnswer(signals=values)] * (one != made[2]))
                for one in made
            ]
            while inbox.waiting < 3:
                time.sleep(0.001)
        failed = [future.exception() is not None for future in stored]
    assert failed == [False, False, True, False]
    found = [kept(network, one, "payments") is not None for one in PEOPLE[30:34]]
    assert found == [True, True, False, True]
    assert bank.audit.head().size == before + 3


def test_what_an_answer_says_beyond_the_consent_is_not_kept(network, ask):
    (made,) = network.consent(
        "bank-a", [PEOPLE[9]], holders=["payments"], data_categories=["payment"]
    )
    inbox = inbox_of(network.node("bank-a"))
    values = [
        SignalValue(signal="statement_balance", status=1, value=5.0, as_of_ms=1),
        SignalValue(signal="tax_arrears", status=1, value=7.0, as_of_ms=1),
        SignalValue(signal="favourite_colour", status=1, value=9.0, as_of_ms=1),
        SignalValue(signal="revolving_utilisation", status=1, value=0.5, as_of_ms=1),
    ]
    answer = AnswerBody(
        catalogue_version="1",
        answers=[SubjectAnswer(consent_hash=made.consent_hash, signals=values)],
    )
    inbox.store(Sent([made], ask([made])), answer, now_ms())
    assert dict(kept(network, PEOPLE[9], "payments").signals) == {"statement_balance": (1, 5.0)}


def test_a_holder_that_is_down_costs_its_own_answers_only(tmp_path):
    with open_network(tmp_path, MEMBERS[:1] + MEMBERS[2:]) as network:
        made = network.consent("bank-a", PEOPLE[:2], holders=["payments", "public-records"])
        network.servers["payments"].stop(grace_s=0)
        started = time.monotonic()
        report = fetch(network, made, deadline_s=3.0)
        assert time.monotonic() - started < 6
        down, up = report.holders
        assert (down.holder, down.answered, down.unanswered) == ("payments", 0, 2)
        assert down.error in {"peer_unreachable", "deadline_exceeded"}
        assert (up.answered, up.complete, up.error) == (2, True, "")
        assert not report.complete


def test_a_member_that_is_not_in_the_directory_is_reported(network):
    made = network.consent("bank-a", PEOPLE[:1], holders=["payments"])
    elsewhere = [
        Elsewhere(made[0].consent_id, made[0].consent_hash, made[0].pseudonym),
    ]
    (holder,) = fetch(network, elsewhere).holders
    assert holder == HolderReport("nowhere", 1, 0, {}, "unknown_member", ())


def test_a_broken_connection_is_tried_again_without_a_second_use(tmp_path):
    with open_network(tmp_path, MEMBERS[:1] + MEMBERS[2:3]) as network:
        entry = network.entries["payments"]
        with cutting_proxy(entry.endpoint, after_bytes=60_000) as endpoint:
            network.entries["payments"] = replace(entry, endpoint=endpoint)
            network.publish()
            people = [person(number) for number in range(1000)]
            made = network.consent("bank-a", people, holders=["payments"])
            report = fetch(network, made, deadline_s=30)
        assert (report.answered, report.complete) == (1000, True)
        with network.node("payments").database.read() as connection:
            used = consents.terms_by_hash(connection, [one.consent_hash for one in made])
        assert {one.uses for one in used.values()} == {1}


@contextmanager
def cutting_proxy(endpoint, *, after_bytes):
    """Forwards TCP to `endpoint`; cuts the first connection when so much has come back."""
    host, _, port = endpoint.rpartition(":")
    listener = socket.create_server(("127.0.0.1", 0))
    cut = threading.Event()
    opened = [listener]

    def pump(source, sink, *, answers):
        passed = 0
        try:
            while data := source.recv(16_384):
                passed += len(data)
                if answers and passed > after_bytes and not cut.is_set():
                    cut.set()
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve():
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((host, int(port)))
                opened.extend((client, server))
                for pair in ((client, server, False), (server, client, True)):
                    threading.Thread(
                        target=pump, args=pair[:2], kwargs={"answers": pair[2]}, daemon=True
                    ).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        for one in opened:
            one.close()
    assert cut.is_set()


class Elsewhere:
    """A consent whose holder left the network."""

    holders = frozenset({"nowhere"})

    def __init__(self, consent_id, consent_hash, pseudonym):
        self.consent_id, self.consent_hash, self.pseudonym = consent_id, consent_hash, pseudonym


@pytest.mark.parametrize("purpose", ["score", "train"])
def test_a_second_fetch_replaces_the_first(network, purpose):
    made = network.consent("bank-a", [PEOPLE[12]], holders=["payments"])
    fetch(network, made, purpose=purpose)
    network.enrol("payments", PEOPLE[12], {"statement_balance": (1, 9.0)})
    fetch(network, made, purpose=purpose)
    assert kept(network, PEOPLE[12], "payments", purpose).signals["statement_balance"] == (1, 9.0)
