"""Scores at a node: what is checked, what is read, what is written down."""

import dataclasses
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
from models.bundle import BundleInvalid
from models.exclusions import exclusion_text
from node.scoring.active_model import NoModel
from node.scoring.requests import IdempotencyKeyReused, ScoreExpired, ScoreUnknown
from node.storage import scores
from node.storage.subjects import UnknownSubject
from protocols.errors import CredenceError, InvalidInput, SignatureInvalid
from tests.network import DAY_MS, now_ms, person
from tests.node.scoring_world import ACCOUNT, BANK, World, open_world, ref


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    """One world for tests that use people of their own."""
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture
def world(tmp_path: Path):
    with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
def fresh():
    """Numbers of people that nobody used before."""
    return _numbers


class _Numbers:
    def __init__(self) -> None:
        self._next = 0

    def __call__(self) -> int:
        self._next += 1
        return self._next


_numbers = _Numbers()


def coverage(scored) -> dict[str, dict]:
    return {one["source"]: one for one in scored.answer["coverage"]}


def test_a_score_says_what_it_is_why_and_from_what(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    answer = shared.score(one, shared.consent(one)).answer
    assert 300 <= answer["score"] <= 850
    assert answer["scale"] == {"low": 300, "high": 850}
    assert 0 < answer["pd"] < 1
    assert answer["band"]["code"] in "ABCDEFGH"
    assert answer["versions"] == {"model": "test-1", "catalogue": 1, "calibration": 1}
    assert answer["subject"] == ref(one)
    assert 0 < answer["signal_coverage"] < 1
    assert now_ms() < answer["expires_at_ms"] <= now_ms() + DAY_MS


def test_reasons_are_at_most_four_and_each_family_is_told_once(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    reasons = shared.score(one, shared.consent(one)).answer["reasons"]
    assert 1 <= len(reasons) <= 4
    assert len({reason["family"] for reason in reasons}) == len(reasons)
    assert all(reason["direction"] == "lowers" and reason["text"] for reason in reasons)


def test_reasons_are_told_in_the_language_asked_for(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one)
    texts = {
        language: shared.score(one, terms, language=language).answer["reasons"][0]["text"]
        for language in ("en", "zh-Hans", "zh-Hant")
    }
    assert len(set(texts.values())) == 3
    with pytest.raises(InvalidInput):
        shared.score(one, terms, language="tlh")


def test_the_receipt_proves_the_leaf_in_the_log(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    answer = shared.score(one, shared.consent(one)).answer
    receipt, audit = answer["receipt"], shared.node.audit
    assert receipt["log"] == audit.origin
    assert audit.head().size == receipt["tree_size"]
    assert audit.head().root.hex() == receipt["root"]
    payload = audit.payload(receipt["seq"])
    assert payload["score_id"] == answer["score_id"]
    assert payload["score"] == answer["score"]


def test_the_leaf_names_no_person(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    receipt = shared.score(one, shared.consent(one)).answer["receipt"]
    with shared.node.database.read() as connection:
        (stored,) = shared.node.audit.leaves(connection, receipt["seq"], receipt["seq"] + 1)
    assert ref(one).encode() not in stored.leaf
    assert one.hex().encode() not in stored.leaf


def test_holders_are_asked_once_and_then_read_from_the_cache(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one)
    first = coverage(shared.score(one, terms))
    assert {name: entry["status"] for name, entry in first.items()} == {
        BANK: "own",
        "payments": "fetched",
        "public-records": "fetched",
    }
    assert first["payments"]["present"] == 2
    assert first["public-records"]["none_on_record"] == 2
    second = coverage(shared.score(one, terms))
    assert second["payments"]["status"] == second["public-records"]["status"] == "cached"


def test_what_was_released_under_another_consent_is_not_read(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    shared.score(one, shared.consent(one))
    narrow = shared.consent(one, holders=[BANK])
    assert set(coverage(shared.score(one, narrow))) == {BANK}
    other = shared.consent(one)
    assert coverage(shared.score(one, other))["payments"]["status"] == "fetched"


def test_only_granted_categories_are_read_and_asked_for(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one, data_categories=["payment"])
    found = coverage(shared.score(one, terms))
    assert set(found) == {"payments"}
    with shared.node.database.read() as connection:
        from node.storage import signals

        assert "public-records" not in {
            vector.source for vector in signals.of_subject(connection, one, now_ms())
        }


def test_a_holder_that_is_away_costs_its_own_signals_only(world: World) -> None:
    (one,) = world.enrol(1)
    terms = world.consent(one)
    world.network.servers["payments"].stop(grace_s=0)
    found = coverage(world.score(one, terms))
    assert found["payments"]["status"] == "unavailable"
    assert found["payments"]["code"]
    assert found["payments"]["missing"] > 0
    assert found["public-records"]["status"] == "fetched"


def test_a_holder_that_refuses_is_named_with_its_code(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one)
    shared.network.withdraw("payments", terms)
    found = coverage(shared.score(one, terms))
    assert (found["payments"]["status"], found["payments"]["code"]) == (
        "refused",
        "consent_withdrawn",
    )


def test_a_suspended_holder_is_neither_asked_nor_read(world: World) -> None:
    (one,) = world.enrol(1)
    terms = world.consent(one)
    assert "payments" in coverage(world.score(one, terms))
    world.network.change("payments", status="suspended")
    assert set(coverage(world.score(one, terms))) == {BANK, "public-records"}


def test_who_is_not_known_gets_an_exclusion_with_its_own_leaf_instead_of_a_number(
    shared: World, fresh
) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one, data_categories=["enquiry", "credit_account"])
    shared.network.enrol_many(BANK, {one: dict.fromkeys(ACCOUNT, (3, 0.0))})
    before = shared.leaves()
    answer = shared.score(one, terms, language="zh-Hans").answer
    assert shared.leaves() == before + 1
    assert [answer[name] for name in ("score", "pd", "pd_interval", "band")] == [None] * 4
    assert (answer["reasons"], answer["factors"]) == ([], [])
    assert answer["exclusion"] == {
        "code": "no_data",
        "text": exclusion_text("no_data", "zh-Hans"),
    }
    payload = shared.node.audit.payload(answer["receipt"]["seq"])
    assert payload["exclusion"] == "no_data"
    assert "score" not in payload


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


def test_the_same_call_again_gives_the_same_score_and_one_leaf(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one)
    first = shared.score(one, terms, idempotency_key="order-1")
    before = shared.leaves()
    second = shared.score(one, terms, idempotency_key="order-1")
    assert second.repeated
    assert second.body == first.body
    assert shared.leaves() == before
    assert shared.score(one, terms).score_id != first.score_id


def test_parallel_equal_calls_make_one_score(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    terms = shared.consent(one)
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: shared.score(one, terms, idempotency_key="once"), range(6)))
    assert len({scored.score_id for scored in made}) == 1
    assert sum(not scored.repeated for scored in made) == 1


def test_a_key_stands_for_one_request_of_one_client_for_a_day(world: World) -> None:
    one, other = world.enrol(1, 2)
    terms, others = world.consent(one), world.consent(other)
    first = world.score(one, terms, idempotency_key="k")
    with pytest.raises(IdempotencyKeyReused):
        world.score(other, others, idempotency_key="k")
    assert not world.score(other, others, idempotency_key="k", client_id="cli_other").repeated
    world.clock[0] = DAY_MS + 1
    again = world.score(one, terms, idempotency_key="k")
    assert not again.repeated
    assert again.score_id != first.score_id


@pytest.mark.parametrize("key", ["", "with space", "ü", "x" * 65, "a\nb"])
def test_a_malformed_idempotency_key_is_refused(shared: World, key: str) -> None:
    with pytest.raises(InvalidInput):
        shared.score(person(1), dataclasses.replace(_terms(), consent_id="c"), idempotency_key=key)


def _terms():
    from consent.lifecycle import State
    from consent.policy import Terms

    empty = frozenset[str]()
    return Terms("con_x", bytes(32), bytes(32), BANK, State.ACTIVE, empty, empty, empty, empty,
                 0, 1, 1, None, 1, 0)  # fmt: skip


def test_a_score_is_read_again_by_its_client_only_and_the_reading_is_logged(
    shared: World, fresh
) -> None:
    (one,) = shared.enrol(fresh())
    scored = shared.score(one, shared.consent(one))
    before = shared.leaves()
    assert shared.scoring.read(scored.score_id, "cli_test").body == scored.body
    assert shared.leaves() == before + 1
    with pytest.raises(ScoreUnknown):
        shared.scoring.read(scored.score_id, "cli_other")
    with pytest.raises(ScoreUnknown):
        shared.scoring.read("scr_none", "cli_test")


def test_a_score_past_its_life_is_not_read(world: World) -> None:
    (one,) = world.enrol(1)
    scored = world.score(one, world.consent(one))
    world.clock[0] = DAY_MS + 60_000  # the data life of these consents is a day
    with pytest.raises(ScoreExpired):
        world.scoring.read(scored.score_id, "cli_test")


def test_without_a_model_there_is_no_score(tmp_path: Path) -> None:
    with open_world(tmp_path, model=False) as world:
        (one,) = world.enrol(1)
        with pytest.raises(NoModel):
            world.score(one, world.consent(one))


def test_a_new_bundle_is_used_from_the_next_score_on(world: World) -> None:
    (one,) = world.enrol(1)
    terms = world.consent(one)
    first = world.score(one, terms).answer
    world.publish("test-2", seed=5)
    second = world.score(one, terms).answer
    assert (first["versions"]["model"], second["versions"]["model"]) == ("test-1", "test-2")
    assert first["pd"] != second["pd"]


def test_a_bundle_changed_in_the_database_is_not_used(world: World) -> None:
    (one,) = world.enrol(1)
    terms = world.consent(one)
    with world.node.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE bundle SET manifest = CAST(replace(manifest, 'cmp_test', 'cmp_tess') AS BLOB)"
        )
    with pytest.raises((SignatureInvalid, BundleInvalid)):
        world.score(one, terms)


def test_tensors_changed_in_the_database_are_not_used(world: World) -> None:
    (one,) = world.enrol(1)
    terms = world.consent(one)
    with world.node.database.write() as connection:
        connection.exec_driver_sql("UPDATE bundle SET tensors = zeroblob(length(tensors))")
    with pytest.raises(BundleInvalid):
        world.score(one, terms)


def test_the_row_and_the_answer_are_the_same_bytes(shared: World, fresh) -> None:
    (one,) = shared.enrol(fresh())
    scored = shared.score(one, shared.consent(one))
    with shared.node.database.read() as connection:
        row = scores.find(connection, scored.score_id)
    assert row is not None
    assert row.result == scored.body
    assert row.leaf_seq == json.loads(row.result)["receipt"]["seq"]


def test_factors_tell_every_family_once_and_add_up_with_the_reasons(shared: World, fresh) -> None:
    """What raised the score is told beside what lowered it; a reason is a factor that takes."""
    (one,) = shared.enrol(fresh())
    answer = shared.score(one, shared.consent(one)).answer
    factors = {factor["family"]: factor["points"] for factor in answer["factors"]}
    assert len(factors) == len(answer["factors"])
    for reason in answer["reasons"]:
        assert factors[reason["family"]] == -reason["points"]
