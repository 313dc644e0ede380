"""Consents under many calls at one moment, on the holder's real database file."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select

from consent.authority import account, controller
from consent.delivery import Delivery, Kind
from consent.events import ConsentEvent
from consent.lifecycle import Event, State
from consent.policy import Terms
from consent.signatures import sign_alone
from node.storage import consents
from node.storage.tables import consent_event, release
from tests.exchange.conftest import PEOPLE
from tests.network import Network, now_ms


def all_at_once(calls: list[Callable[[], object]]) -> list[object]:
    """Start all of `calls` at one moment; what they came to."""
    gate = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        gate.wait(timeout=30)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [one.result() for one in [pool.submit(run, call) for call in calls]]


def refusal_of(network: Network, opened, request) -> str:
    sealed = network.node("payments").exchange.answer(request.message, "bank-a", now_ms())
    (answer,) = opened(request, sealed).answers
    assert bool(answer.refusal) != bool(answer.signals)
    return answer.refusal


def ended(network: Network, made: Terms, event: Event, authority=None) -> Delivery:
    """A word about the consent that its consent node sends to the holder."""
    said = ConsentEvent(
        event, made.consent_id, made.consent_hash, "bank-a",
        authority or account("password_totp"), now_ms(),
    )  # fmt: skip
    return Delivery(Kind.EVENT, sign_alone(said.body(), network.node("bank-a").keys.signing))


def test_no_use_beyond_the_last_is_made_by_50_calls_at_one_moment(network, ask, opened):
    """Ten uses and 50 calls: ten are answered, 40 refused, and the row says ten."""
    (made,) = network.consent("bank-a", PEOPLE[:1], holders=["payments"], max_uses=10)
    asked = [ask([made]) for _ in range(50)]
    found = all_at_once([lambda one=one: refusal_of(network, opened, one) for one in asked])
    assert sorted(found) == [""] * 10 + ["uses_exhausted"] * 40
    with network.node("payments").database.read() as connection:
        assert consents.terms_by_id(connection, [made.consent_id])[made.consent_id].uses == 10


def test_nothing_is_released_after_a_withdrawal_commits_among_100_exchanges(network, ask, opened):
    """The log's order proves it: every release stands before the withdrawal's leaf."""
    (made,) = network.consent("bank-a", PEOPLE[1:2], holders=["payments"])
    holder = network.node("payments")
    asked = [ask([made]) for _ in range(100)]
    word = ended(network, made, Event.WITHDRAW)
    started = threading.Semaphore(0)

    def exchange(some):
        found = []
        for one in some:
            found.append(refusal_of(network, opened, one))
            started.release()
        return found

    def withdraw():
        for _ in range(20):  # some have come through before
            started.acquire()
        (answer,) = holder.consents.receive("bank-a", [word])
        return answer.refusal, answer.effective_at_ms

    # 20 callers of five exchanges each, so that many begin before and many after.
    calls = [lambda some=asked[first::20]: exchange(some) for first in range(20)]
    *found, (refusal, _) = all_at_once([*calls, withdraw])
    assert refusal == ""
    assert refusal_of(network, opened, ask([made])) == "consent_withdrawn"
    with holder.database.read() as connection:
        rows = connection.execute(
            select(release.c.leaf_seq, release.c.refusal, release.c.signal_count).where(
                release.c.consent_id == made.consent_id, release.c.direction == "out"
            )
        ).all()
        (withdrawn,) = connection.execute(
            select(consent_event.c.leaf_seq).where(
                consent_event.c.consent_id == made.consent_id,
                consent_event.c.event == Event.WITHDRAW.value,
            )
        ).scalars()
    assert len(rows) == 101
    before = {row.refusal for row in rows if row.leaf_seq < withdrawn}
    after = {row.refusal for row in rows if row.leaf_seq > withdrawn}
    assert before == {""}
    assert after == {"consent_withdrawn"}
    assert all(row.signal_count == 0 for row in rows if row.leaf_seq > withdrawn)
    told = [one for some in found for one in some]
    assert sorted([*told, "consent_withdrawn"]) == sorted(row.refusal for row in rows)


def test_each_end_of_a_consent_is_refused_by_its_own_code(network, ask, opened):
    """Paused, invalidated, superseded, expired by the clock: each refused at the next call."""
    made = network.consent("bank-a", PEOPLE[2:5], holders=["payments"])
    holder = network.node("payments")
    words = [
        ended(network, made[0], Event.PAUSE),
        ended(network, made[1], Event.INVALIDATE, controller("identity_error", "desk")),
    ]
    assert [one.refusal for one in holder.consents.receive("bank-a", words)] == ["", ""]
    with holder.database.write() as connection:
        stored = consents.find(connection, made[2].consent_id)
        assert stored is not None
        consents.set_state(connection, [made[2].consent_id], State.SUPERSEDED, [0])
    found = [refusal_of(network, opened, ask([one])) for one in made]
    assert found == ["consent_paused", "consent_invalidated", "consent_superseded"]
    (over,) = network.consent(
        "bank-a", PEOPLE[5:6], holders=["payments"],
        valid_from_ms=now_ms() - 2000, valid_until_ms=now_ms() - 1000,
    )  # fmt: skip
    assert refusal_of(network, opened, ask([over])) == "consent_expired"
