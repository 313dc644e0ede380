"""What a score says, of whom it was asked, and what is written down."""

import json

import pytest

from models.exclusions import exclusion_text
from node.storage import scores
from protocols.errors import InvalidInput
from tests.network import DAY_MS, now_ms
from tests.node.scoring_world import ACCOUNT, BANK, World, ref


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
