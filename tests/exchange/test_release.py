"""What a holder releases, to whom, and what it writes down."""

import threading

import pytest
from sqlalchemy import event

from models.catalogue import SignalStatus
from node.exchange.service import AnswerWithdrawn
from node.storage import consents, exchange
from protocols.envelope import Query
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from tests.exchange.conftest import BALANCE, PEOPLE
from tests.network import now_ms, person


@pytest.fixture
def fetch(network, ask, opened):
    """Ask payments about consents; the answers, by consent."""

    def call(made, **changed):
        request = ask(made, **changed)
        sealed = network.node("payments").exchange.answer(request.message, "bank-a", now_ms())
        return list(opened(request, sealed).answers)

    return call


def signals_of(answer):
    return {one.signal: (int(one.status), one.value) for one in answer.signals}


def grant(network, people=PEOPLE[:1], **terms):
    return network.consent("bank-a", people, **({"holders": ["payments"]} | terms))


def test_the_signals_that_the_holder_keeps_are_released(network, fetch):
    (answer,) = fetch(grant(network))
    released = signals_of(answer)
    assert answer.refusal == ""
    assert released["statement_balance"] == (SignalStatus.PRESENT, 120.5)
    assert released["unpaid_months_6m"] == (SignalStatus.NONE_ON_RECORD, 0.0)
    assert released["paid_ratio_1m"] == (SignalStatus.NOT_HELD, 0.0)
    payment = {
        spec.id for spec in network.node("payments").documents.catalogue().held_by("payment")
    }
    assert set(released) == payment


def test_someone_without_records_is_none_on_record(network, fetch):
    (answer,) = fetch(grant(network, [person(999)]))
    assert {status for status, _ in signals_of(answer).values()} == {SignalStatus.NONE_ON_RECORD}


def test_nothing_is_released_beyond_the_categories_consented_to(network, fetch):
    made = grant(network, data_categories=["public_record"])
    (answer,) = fetch(made)
    assert (answer.refusal, list(answer.signals)) == ("category_not_granted", [])
    (answer,) = fetch(made, signals=["statement_balance"])
    assert (answer.refusal, list(answer.signals)) == ("category_not_granted", [])
    (answer,) = fetch(made, signals=["statement_balance", "tax_arrears"])
    assert signals_of(answer) == {
        "statement_balance": (SignalStatus.NO_CONSENT, 0.0),
        "tax_arrears": (SignalStatus.NOT_HELD, 0.0),
    }


def test_only_what_was_asked_for_is_released(network, fetch):
    (answer,) = fetch(grant(network), signals=["statement_balance", "no_such_signal"])
    assert signals_of(answer) == {
        "statement_balance": (SignalStatus.PRESENT, 120.5),
        "no_such_signal": (SignalStatus.NOT_HELD, 0.0),
    }


def test_a_withdrawn_consent_is_refused_at_once(network, fetch):
    made = grant(network)
    assert fetch(made)[0].refusal == ""
    network.withdraw("payments", made[0])
    (answer,) = fetch(made)
    assert (answer.refusal, list(answer.signals)) == ("consent_withdrawn", [])


def test_an_unknown_consent_is_refused(network, fetch):
    (answer,) = fetch([], queries=[Query(bytes(32), bytes(32))])
    assert (answer.refusal, list(answer.signals)) == ("consent_unknown", [])


def test_a_token_of_another_person_is_refused(network, fetch):
    made, other = grant(network), grant(network, PEOPLE[1:2])
    (answer,) = fetch([], queries=[Query(made[0].consent_hash, other[0].consent_hash)])
    assert (answer.refusal, list(answer.signals)) == ("subject_mismatch", [])


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"purposes": ["train"]}, "purpose_not_granted"),
        ({"recipients": ["bank-b"]}, "recipient_not_named"),
        ({"holders": ["public-records"], "recipients": ["bank-a", "payments"]}, "holder_not_named"),
        ({"valid_until_ms": 2}, "consent_expired"),
        ({"valid_from_ms": now_ms() + 7_200_000}, "consent_not_yet_valid"),
    ],
)
def test_terms_that_do_not_cover_the_request_are_refused(network, fetch, terms, code):
    terms = {"valid_from_ms": 1, **terms}
    (answer,) = fetch(grant(network, **terms))
    assert (answer.refusal, list(answer.signals)) == (code, [])


def test_uses_are_counted_and_end(network, fetch):
    made = grant(network, max_uses=2)
    assert [fetch(made)[0].refusal for _ in range(3)] == ["", "", "uses_exhausted"]
    with network.node("payments").database.read() as connection:
        kept = consents.terms_by_hash(connection, [made[0].consent_hash])
    assert kept[made[0].consent_hash].uses == 2


def test_uses_are_counted_over_requests_that_arrive_together(network, ask, opened):
    (made,) = grant(network, max_uses=3)
    requests = [ask([made]) for _ in range(8)]
    stub = ExchangeStub(network.node("bank-a").channels.to_member("payments"))
    found, start = [], threading.Barrier(8)

    def call(request):
        start.wait()
        answer = opened(request, stub.Fetch(request.message, timeout=20))
        found.append(answer.answers[0].refusal)

    threads = [threading.Thread(target=call, args=[request]) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [""] * 3 + ["uses_exhausted"] * 5


def test_one_refused_subject_does_not_touch_the_others(network, fetch):
    made = grant(network, PEOPLE[:3])
    network.withdraw("payments", made[1])
    answers = fetch(made)
    assert [answer.refusal for answer in answers] == ["", "consent_withdrawn", ""]
    assert [answer.consent_hash for answer in answers] == [one.consent_hash for one in made]


def test_every_subject_has_its_record_and_its_leaf(network, ask):
    made = grant(network, PEOPLE[:2])
    network.withdraw("payments", made[1])
    payments = network.node("payments")
    before = payments.audit.head().size
    request = ask(made)
    payments.exchange.answer(request.message, "bank-a", now_ms())
    with payments.database.read() as connection:
        records = [exchange.of_consent(connection, one.consent_id)[-1] for one in made]
    assert [one.leaf_seq for one in records] == [before, before + 1]
    assert [one.refusal for one in records] == ["", "consent_withdrawn"]
    assert {one.request_id for one in records} == {request.body.request_id}
    told = payments.audit.payload(before)
    assert told["request_hash"] == request.request_hash.hex()
    assert told["consent_hash"] == made[0].consent_hash.hex()
    assert "120.5" not in str(told)
    assert payments.audit.about(PEOPLE[0])[-1] == before


def test_identical_bytes_get_the_identical_answer_and_leave_one_trace(network, ask):
    made = grant(network, max_uses=1)
    payments, request = network.node("payments"), ask(made)
    first = payments.exchange.answer(request.message, "bank-a", now_ms())
    head = payments.audit.head()
    again = payments.exchange.answer(request.message, "bank-a", now_ms())
    assert again == first
    assert payments.audit.head() == head


def test_identical_bytes_get_nothing_once_a_consent_behind_them_has_ended(network, ask):
    made = grant(network, PEOPLE[:2])
    payments, request = network.node("payments"), ask(made)
    payments.exchange.answer(request.message, "bank-a", now_ms())
    network.withdraw("payments", made[1])
    with pytest.raises(AnswerWithdrawn):
        payments.exchange.answer(request.message, "bank-a", now_ms())


def test_a_suspended_member_is_refused_at_its_next_call(network, ask):
    made = grant(network)
    stub = ExchangeStub(network.node("bank-a").channels.to_member("payments"))
    stub.Fetch(ask(made).message, timeout=10)
    network.change("bank-a", status="suspended")
    try:
        with pytest.raises(Exception, match="suspended"):
            stub.Fetch(ask(made).message, timeout=10)
    finally:
        network.change("bank-a", status="active")
    stub.Fetch(ask(made).message, timeout=10)


def test_the_answers_length_tells_no_single_value(network, ask):
    made = grant(network, PEOPLE[:2])
    lengths = set()
    for number, balance in enumerate((0.0, 1.5, 123456.75)):
        network.enrol("payments", PEOPLE[0], BALANCE | {"statement_balance": (1, balance)})
        sealed = network.node("payments").exchange.answer(
            ask(made[number % 2 : number % 2 + 1]).message, "bank-a", now_ms()
        )
        lengths.add(len(sealed.sealed))
    assert len(lengths) == 1
    network.enrol("payments", PEOPLE[0], BALANCE)


def test_uses_are_counted_without_reading_every_consent(network, ask):
    payments, sent = network.node("payments"), []

    def watch(driver, *_):
        driver.set_trace_callback(sent.append)

    event.listen(payments.database.engine, "checkout", watch)
    try:
        payments.exchange.answer(ask(grant(network)).message, "bank-a", now_ms())
    finally:
        event.remove(payments.database.engine, "checkout", watch)
    (update,) = {sql for sql in sent if sql.startswith("UPDATE consent ")}
    with payments.database.read() as connection:
        (plan,) = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {update}").all()
        connection.connection.driver_connection.set_trace_callback(None)
    assert "(consent_id=?)" in plan[-1]
