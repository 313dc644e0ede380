"""Around one score: how sure it is, products, computing it again, notices, what would change it."""

import dataclasses

import pytest

from audit.shredding import DataKeys
from consent.refusals import ConsentWithdrawn
from models.calibration import BINS
from models.catalogue import load_default
from models.exclusions import Exclusion, exclusion_of, exclusion_text
from models.reasons import LANGUAGES
from node.scoring.active_model import UnknownModelVersion
from node.scoring.inputs import KEY_PURPOSE, ScoreInputsGone
from node.scoring.products import (
    MandatorySourceMissing,
    Products,
    ProductUnknown,
    PurposeNotOfProduct,
)
from node.scoring.requests import ScoreExpired, ScoreUnknown
from node.scoring.what_if import Choice, changes
from node.storage import bundles, deletions, pseudonyms, score_inputs
from node.storage.products import EVERY_CLIENT, ProductRow
from protocols.documents import sign_document
from protocols.errors import InvalidInput
from tests.network import DAY_MS, now_ms
from tests.node.scoring_world import (
    ACCOUNT,
    BANK,
    HOLDERS,
    PRESENT,
    World,
    make_bundle,
    open_world,
    ref,
)

CLIENT = "cli_test"
EVERYBODY = frozenset({"score"})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory):
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _now(world: World):
    yield
    world.clock[0] = 0


_next = iter(range(1, 10_000))


def scored(world: World, **terms):
    (one,) = world.enrol(next(_next))
    consent = world.consent(one, **terms)
    return one, consent, world.score(one, consent).answer


def publish(world: World, version: str, **changes) -> None:
    """A bundle whose manifest says more than the usual one."""
    made = make_bundle(version, 1)
    manifest = dataclasses.replace(made.manifest, **changes)
    body, tensors = dataclasses.replace(made, manifest=manifest).pack()
    document = sign_document("bundle", body, world.network.directory_key)
    row = bundles.BundleRow(
        version, document.body, document.signature, document.key_id, tensors, False, now_ms()
    )
    with world.node.database.write() as connection:
        bundles.add(connection, row)
        bundles.activate(connection, version)


def use(world: World, version: str) -> None:
    with world.node.database.write() as connection:
        bundles.activate(connection, version)


# -- the answer


def test_a_pd_comes_with_its_interval_where_the_bundle_knows_it(world: World) -> None:
    one, consent, before = scored(world)
    assert before["pd_interval"] is None
    calibration = dataclasses.replace(
        make_bundle("x", 1).manifest.calibration, deviations=(0.2,) * BINS
    )
    publish(world, "sure", calibration=calibration)
    answer = world.score(one, consent).answer
    use(world, "test-1")
    interval = answer["pd_interval"]
    assert interval["low"] < answer["pd"] == before["pd"] < interval["high"]
    assert interval["level"] == 0.95


def test_a_file_thinner_than_the_bundle_asks_for_gets_no_number(world: World) -> None:
    """Own signals and two of the payments' are 8 of 21 with a value: 0.38."""
    one, consent, _ = scored(world)
    publish(world, "strict", minimum_present=0.5)
    answer = world.score(one, consent, language="zh-Hant").answer
    publish(world, "lenient", minimum_present=0.3)
    lenient = world.score(one, consent).answer
    use(world, "test-1")
    assert answer["score"] is answer["pd"] is answer["band"] is None
    assert answer["exclusion"] == {
        "code": "too_thin",
        "text": exclusion_text("too_thin", "zh-Hant"),
    }
    assert answer["signal_coverage"] > 0
    assert lenient["score"]
    assert lenient["exclusion"] is None


def test_an_exclusion_is_told_by_rules_and_in_every_language() -> None:
    assert exclusion_of(0.0, 0.0, 0.0) is Exclusion.NO_DATA
    assert exclusion_of(0.3, 0.0, 0.1) is Exclusion.TOO_THIN
    assert exclusion_of(0.3, 0.1, 0.1) is None
    texts = {exclusion_text(code, one) for code in Exclusion for one in LANGUAGES}
    assert len(texts) == len(Exclusion) * len(LANGUAGES)


def test_the_uses_that_are_left_are_told(world: World) -> None:
    one, consent, first = scored(world, max_uses=3)
    assert first["consent_uses_left"] == 2
    assert world.score(one, consent).answer["consent_uses_left"] == 1
    _, _, elsewhere = scored(world, holders=list(HOLDERS))
    assert elsewhere["consent_uses_left"] is None


# -- products


def products_of(world: World) -> Products:
    return world.node.around_scores.products


def test_a_product_is_the_clients_own_or_everybodys_and_for_its_purposes(world: World) -> None:
    one, consent, standard = scored(world)
    assert standard["product"] == "standard"
    with pytest.raises(ProductUnknown):
        world.score(one, consent, product="leasing")
    leasing = ProductRow(CLIENT, "leasing", EVERYBODY, frozenset(), True, None)
    products_of(world).put(leasing)
    assert world.score(one, consent, product="leasing").answer["product"] == "leasing"
    with pytest.raises(ProductUnknown):
        world.score(one, consent, product="leasing", client_id="cli_other")
    products_of(world).put(dataclasses.replace(leasing, client_id=EVERY_CLIENT))
    assert world.score(one, consent, product="leasing", client_id="cli_other")
    products_of(world).put(dataclasses.replace(leasing, purposes=frozenset({"monitor"})))
    with pytest.raises(PurposeNotOfProduct):
        world.score(one, consent, product="leasing")
    products_of(world).drop(CLIENT, "leasing")
    with pytest.raises(ProductUnknown):
        products_of(world).drop(CLIENT, "leasing")
    for bad in ("", "Leasing", "x" * 41):
        with pytest.raises(InvalidInput):
            world.score(one, consent, product=bad)


def test_a_mandatory_source_that_gave_nothing_stops_the_score_unless_it_may_be_skipped(
    world: World,
) -> None:
    one, consent, _ = scored(world, holders=[BANK])
    must = ProductRow(CLIENT, "must", EVERYBODY, frozenset({"payments"}), False, None)
    products_of(world).put(must)
    before = world.leaves()
    with pytest.raises(MandatorySourceMissing, match="payments"):
        world.score(one, consent, product="must")
    assert world.leaves() == before
    products_of(world).put(dataclasses.replace(must, product="may", may_skip=True))
    assert world.score(one, consent, product="may").answer["score"]


def test_signals_older_than_the_product_allows_are_asked_for_again(world: World) -> None:
    one, consent, first = scored(world)
    fresh = ProductRow(CLIENT, "fresh", EVERYBODY, frozenset(), True, 3600)
    products_of(world).put(fresh)

    def payments(answer) -> str:
        return next(one["status"] for one in answer["coverage"] if one["source"] == "payments")

    assert payments(first) == "fetched"
    assert payments(world.score(one, consent, product="fresh").answer) == "cached"
    world.clock[0] = 2 * 3600 * 1000
    assert payments(world.score(one, consent).answer) == "cached"
    assert payments(world.score(one, consent, product="fresh").answer) == "fetched"


@pytest.mark.parametrize(
    "change",
    [
        {"product": "A b"},
        {"purposes": frozenset()},
        {"purposes": frozenset({"train"})},
        {"mandatory": frozenset({"no member"})},
        {"max_age_s": -1},
    ],
)
def test_a_product_out_of_its_range_is_not_set_up(world: World, change: dict) -> None:
    row = ProductRow(CLIENT, "p", EVERYBODY, frozenset(), True, None)
    with pytest.raises(InvalidInput):
        products_of(world).put(dataclasses.replace(row, **change))


# -- computed again


def test_a_past_decision_comes_out_equal_whatever_has_changed_since(world: World) -> None:
    one, _, answer = scored(world)
    world.publish("newer", seed=9)
    world.network.enrol_many(BANK, {one: {"credit_limit": (PRESENT, 1.0)}})
    before = world.leaves()
    again = world.node.around_scores.rescoring.rescore(answer["score_id"], CLIENT)
    use(world, "test-1")
    told = again.to_json()
    assert (again.equal, again.differences) == (True, ())
    assert {name: told[name] for name in again.result} == {
        name: answer[name] for name in again.result
    }
    assert told["versions"] == answer["versions"]
    assert (world.leaves(), told["receipt"]["seq"]) == (before + 1, before)
    payload = world.node.audit.payload(told["receipt"]["seq"])
    assert payload == {"score_id": answer["score_id"], "differences": []}


def test_an_answer_that_was_changed_afterwards_is_found_out(world: World) -> None:
    _one, _, answer = scored(world)
    forged = f'"score":{answer["score"]}', f'"score":{answer["score"] + 1}'
    with world.node.database.write() as connection:
        statement = "UPDATE score SET result = replace(result, ?, ?) WHERE score_id = ?"
        connection.exec_driver_sql(statement, (*forged, answer["score_id"]))
    again = world.node.around_scores.rescoring.rescore(answer["score_id"], CLIENT)
    assert (again.equal, again.differences) == (False, ("score",))


def test_inputs_live_as_long_as_the_data_and_not_a_moment_longer(world: World) -> None:
    _, _, answer = scored(world)
    rescoring = world.node.around_scores.rescoring
    world.clock[0] = answer["expires_at_ms"] - now_ms() - 5_000
    assert rescoring.rescore(answer["score_id"], CLIENT).equal
    world.clock[0] = DAY_MS + 5_000
    with pytest.raises(ScoreInputsGone):
        rescoring.rescore(answer["score_id"], CLIENT)
    with world.node.database.write() as connection:
        assert score_inputs.delete_expired(connection, now_ms() + 2 * DAY_MS) > 0


def test_inputs_are_sealed_and_go_with_the_consent_or_with_the_person(world: World) -> None:
    one, consent, answer = scored(world)
    with world.node.database.read() as connection:
        row = score_inputs.find(connection, answer["score_id"], now_ms())
    assert b"credit_limit" not in row.sealed
    assert b"50000" not in row.sealed
    other, _, erased = scored(world)
    keys = DataKeys(world.node.data_keys_database, world.node.keys.kek)
    assert (other, KEY_PURPOSE) in keys.keys_for([(other, KEY_PURPOSE)])
    keys.erase(other)
    rescoring = world.node.around_scores.rescoring
    with pytest.raises(ScoreInputsGone):
        rescoring.rescore(erased["score_id"], CLIENT)
    world.network.withdraw(BANK, consent)
    with pytest.raises(ConsentWithdrawn):
        rescoring.rescore(answer["score_id"], CLIENT)
    with world.node.database.write() as connection:
        assert score_inputs.delete_by_consent(connection, consent.consent_id) == 1
        assert score_inputs.delete_of_person(connection, one) == 0


def test_inputs_of_a_person_are_found_after_a_change_of_pseudonyms(world: World) -> None:
    one, _, _ = scored(world)
    with world.node.database.write() as connection:
        pseudonyms.rename(connection, {one: bytes(31) + b"7"})
        assert score_inputs.delete_of_person(connection, one) == 0
        assert score_inputs.delete_of_person(connection, bytes(31) + b"7") == 1


def test_inputs_go_with_their_score(world: World) -> None:
    _, consent, answer = scored(world)
    with world.node.database.write() as connection:
        assert deletions.delete_scores(connection, consent.consent_id) == 1
        assert score_inputs.find(connection, answer["score_id"], now_ms()) is None


def test_a_past_decision_of_a_model_that_is_not_kept_says_so(world: World) -> None:
    world.publish("gone", seed=4)
    _one, _, answer = scored(world)
    use(world, "test-1")
    with world.node.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM bundle WHERE version = 'gone'")
    world.node.scoring._reader._model._held.clear()
    with pytest.raises(UnknownModelVersion):
        world.node.around_scores.rescoring.rescore(answer["score_id"], CLIENT)
    with pytest.raises(ScoreUnknown):
        world.node.around_scores.rescoring.rescore(answer["score_id"], "cli_other")


# -- notices


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_notice_says_all_that_a_person_has_to_be_told(world: World, language: str) -> None:
    _one, _, answer = scored(world)
    before = world.leaves()
    notices = world.node.around_scores.adverse_actions
    told = notices.notice(answer["score_id"], CLIENT, language)
    assert world.leaves() == before + 1
    assert (told["score"], told["scale"]) == (answer["score"], answer["scale"])
    assert told["scored_at_ms"] == answer["issued_at_ms"]
    assert [one["code"] for one in told["reasons"]] == [one["code"] for one in answer["reasons"]]
    assert {one["member_id"] for one in told["sources"]} == {BANK, *HOLDERS}
    assert all(one["name"] for one in told["sources"])
    name = told["furnished_by"]["name"]
    assert name in told["texts"]["decision"]
    assert name in told["texts"]["how_to_dispute"]
    assert "20" in told["texts"]["right_to_dispute"]
    assert told["versions"] == answer["versions"]
    assert (told["texts"]["decision"].isascii(), told["reasons"][0]["text"].isascii()) == (
        language == "en",
        language == "en",
    )
    with pytest.raises(InvalidInput):
        notices.notice(answer["score_id"], CLIENT, "tlh")


def test_a_notice_is_read_as_its_score_is(world: World) -> None:
    _, consent, answer = scored(world)
    notices = world.node.around_scores.adverse_actions
    with pytest.raises(ScoreUnknown):
        notices.notice(answer["score_id"], "cli_other", "en")
    world.clock[0] = DAY_MS + 5_000
    with pytest.raises(ScoreExpired):
        notices.notice(answer["score_id"], CLIENT, "en")
    world.clock[0] = 0
    world.network.withdraw(BANK, consent)
    with pytest.raises(ConsentWithdrawn):
        notices.notice(answer["score_id"], CLIENT, "en")


# -- what would change it


def test_only_what_a_person_can_change_is_changed_and_only_for_the_better() -> None:
    catalogue = load_default()
    known = ACCOUNT | {
        "statement_balance": (PRESENT, 45_000.0),
        "paid_ratio_1m": (PRESENT, 0.05),
        "paid_ratio_3m": (PRESENT, 1.4),
    }
    changed = changes(catalogue, known, Choice(30, 6, in_full=True))
    assert changed == {
        "statement_balance": (1, 15_000.0),
        "worst_status_3m": (1, 0.0),
        "worst_status_6m": (1, 0.0),
        "late_months_6m": (1, 0.0),
        "months_since_late": (1, 7.0),
        "paid_ratio_1m": (1, 1.0),
    }
    three = changes(catalogue, known, Choice(on_time=3))
    assert set(three) == {"worst_status_3m", "months_since_late"}
    assert changes(catalogue, known, Choice()) == {}
    assert changes(catalogue, {"dishonest_debtor": (PRESENT, 1.0)}, Choice(10, 6, True)) == {}
    frozen = tuple(dataclasses.replace(one, changeable=False) for one in catalogue.signals)
    nothing = dataclasses.replace(catalogue, signals=frozen)
    assert changes(nothing, known, Choice(30, 6, in_full=True)) == {}
    for bad in (Choice(utilisation=31), Choice(on_time=12), Choice(utilisation=-1)):
        with pytest.raises(InvalidInput):
            bad.check()


def test_trying_something_out_stores_nothing_but_that_the_person_looked(world: World) -> None:
    calibration = dataclasses.replace(make_bundle("x", 1).manifest.calibration, shift=-14.0)
    publish(world, "milder", calibration=calibration)  # away from the end of the scale
    one, _, answer = scored(world)
    tables = ("score", "score_input", "signal_vector")

    def rows() -> list[int]:
        with world.node.database.read() as connection:
            counts = (f"SELECT count(*) FROM {table}" for table in tables)
            return [connection.exec_driver_sql(count).scalar_one() for count in counts]

    before, leaves = rows(), world.leaves()
    tried = world.node.around_scores.what_if.try_out(ref(one), one, Choice(10, 6, in_full=True))
    assert tried.before == answer["score"]
    assert tried.after is not None
    assert tried.after != tried.before
    assert "statement_balance" in tried.changed
    assert (rows(), world.leaves()) == (before, leaves + 1)
    assert world.node.audit.payload(leaves) == {}
    use(world, "test-1")


def test_without_kept_figures_there_is_nothing_to_try_out(world: World) -> None:
    (one,) = world.enrol(next(_next))
    with pytest.raises(ScoreInputsGone):
        world.node.around_scores.what_if.try_out(ref(one), one, Choice())
