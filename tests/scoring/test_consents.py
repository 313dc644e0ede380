"""The consent behind a score: which refuses it, and how its uses are counted."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from consent.refusals import (
    ConsentExpired,
    ConsentNotYetValid,
    ConsentUnknown,
    ConsentWithdrawn,
    PurposeNotGranted,
    RecipientNotNamed,
    SubjectMismatch,
    UsesExhausted,
)
from node.access.presented import TokenRefused
from node.storage import clients
from node.storage.subjects import UnknownSubject
from protocols.errors import CredenceError
from tests.network import DAY_MS, now_ms, person
from tests.node.scoring_world import BANK, World


@pytest.mark.parametrize(
    ("terms", "error"),
    [
        ({"purposes": ["train"]}, PurposeNotGranted),
        ({"recipients": ["payments"]}, RecipientNotNamed),
        ({"valid_until_ms": 1_000_000, "valid_from_ms": 0}, ConsentExpired),
        (
            {"valid_from_ms": now_ms() + DAY_MS, "valid_until_ms": now_ms() + 2 * DAY_MS},
            ConsentNotYetValid,
        ),
    ],
)
def test_a_consent_that_does_not_cover_the_call_refuses_it(
    shared: World, fresh, terms: dict, error: type[CredenceError]
) -> None:
    (one,) = shared.enrol(fresh())
    consent = shared.consent(one, **terms)
    before = shared.leaves()
    with pytest.raises(error):
        shared.score(one, consent)
    assert shared.leaves() == before


def test_a_consent_without_any_category_of_ours_gives_no_score(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one, data_categories=["tax"])
    assert shared.score(one, terms).answer["exclusion"]["code"] == "no_data"


def test_anothers_consent_opens_nothing(shared: World, fresh) -> None:
    one, other = shared.enrol(fresh(), fresh())
    with pytest.raises(SubjectMismatch):
        shared.score(one, shared.consent(other))


def test_unknown_subjects_and_consents_are_told_apart_from_refusals(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one)
    with pytest.raises(UnknownSubject):
        shared.score(person(9_999), terms)
    with pytest.raises(ConsentUnknown):
        shared.score(one, dataclasses.replace(terms, consent_id="con_unknown"))


def test_a_withdrawal_bites_at_the_next_call_and_at_reading(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one)
    scored = shared.score(one, terms, idempotency_key="k1")
    shared.network.withdraw(BANK, terms)
    with pytest.raises(ConsentWithdrawn):
        shared.score(one, terms)
    with pytest.raises(ConsentWithdrawn):
        shared.score(one, terms, idempotency_key="k1")
    with pytest.raises(ConsentWithdrawn):
        shared.scoring.read(scored.score_id, "cli_test")


def test_a_withdrawal_while_holders_are_asked_stops_the_score(world: World) -> None:
    (one,) = world.enrol(1)
    terms = world.consent(one)
    ask, asked = world.node.fetcher.fetch, threading.Event()

    class Withdrawing:
        def fetch(self, people, *, purpose, deadline_s):
            report = ask(people, purpose=purpose, deadline_s=deadline_s)
            world.network.withdraw(BANK, terms)
            asked.set()
            return report

    world.scoring._sources._fetcher = Withdrawing()
    with pytest.raises(ConsentWithdrawn):
        world.score(one, terms)
    assert asked.is_set()
    with world.node.database.read() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM score").scalar_one()
    assert rows == 0


def test_uses_of_own_signals_are_counted_and_end(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one, max_uses=2, holders=[BANK])
    shared.score(one, terms)
    shared.score(one, terms)
    with pytest.raises(UsesExhausted):
        shared.score(one, terms)


def test_parallel_calls_never_spend_more_uses_than_there_are(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one, max_uses=3, holders=[BANK])

    def outcome(_: int) -> str:
        try:
            shared.score(one, terms)
        except UsesExhausted:
            return "exhausted"
        return "scored"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(outcome, range(8)))
    assert outcomes.count("scored") == 3


def test_a_client_whose_tokens_were_called_back_meanwhile_is_given_no_score(
    shared: World, fresh
) -> None:
    """It is asked in the score's own transaction; nothing was spent."""
    (one,) = shared.enrol(fresh())
    row, _ = shared.clients.add(f"platform {fresh()}", now_ms())
    terms = shared.consent(one, max_uses=1)
    call = {"client_id": row.client_id, "generation": row.generation}
    with shared.node.database.write() as connection:
        clients.next_generation(connection, row.client_id)
    with pytest.raises(TokenRefused):
        shared.score(one, terms, **call)
    assert not shared.score(one, terms, **call | {"generation": row.generation + 1}).repeated
    with shared.node.database.write() as connection:
        clients.revoke(connection, row.client_id, now_ms())
    with pytest.raises(TokenRefused):
        shared.score(one, terms, **call | {"generation": row.generation + 1})
