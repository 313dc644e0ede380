"""A model in force is watched over people who agreed, at a price that each node sets itself."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coordinator.bootstrap import Coordinator
from coordinator.schedule import TRAINING
from coordinator.storage import watch as results
from coordinator.watch.results import Result, read_result
from coordinator.watch.templates import PlanMaker
from coordinator.watch.wiring import make_scheduler, make_watches
from models.bundle import Bundle
from models.calibration import Calibration
from models.catalogue import Catalogue
from models.encoder import Encoder
from models.plan import CampaignPlan, PlanInvalid
from models.privacy.accountant import Accountant
from models.watch_plan import WatchPlan
from models.watch_proposal import propose_watch
from models.watch_tally import NotTheWatchedModel, watch_layout
from node.federation.ledger_wiring import build_watch_policy
from node.federation.trainer import RoundUnknown
from node.score_drift import score_drift
from node.storage import bundles, privacy_ledger, scores
from node.storage.scores import ScoreRow
from protocols.errors import SignatureInvalid
from protocols.keys import SigningKey
from tests.federation.rounds import MEMBERS, Campaign
from tests.federation.world import Bank, World, now_ms, open_world
from tests.node.scoring_world import make_bundle


@pytest.fixture(scope="module")
def model() -> Bundle:
    return make_bundle("model-0001", 1)


@pytest.fixture
def holding(bank: Bank, authority: Coordinator, model: Bundle) -> Bank:
    """A bank that answers with the model."""
    body, tensors = model.pack()
    row = bundles.BundleRow(model.version, body, bytes(64), "0" * 16, tensors, True, now_ms())
    with bank.node.database.write() as connection:
        bundles.add(connection, row)
    return bank


@pytest.fixture(scope="module")
def pattern(authority: Coordinator, catalogue: Catalogue, model: Bundle) -> Campaign:
    encoder = Encoder(catalogue)
    plan = propose_watch(
        encoder, "watch-1", MEMBERS, model, epsilon=0.6, count_noise=15.0, minimum_cohort=20
    )
    return Campaign(plan, authority.keys.directory, encoder)


@pytest.fixture
def watch(pattern: Campaign) -> Campaign:
    return replace(pattern)


def ledger(bank: Bank) -> list[str]:
    with bank.node.database.read() as connection:
        return [row.mechanism for row in privacy_ledger.charge_lines(connection, bank.member_id)]


def request(watch: Campaign, model: Bundle):
    from protocols.tensors import tensor_bytes

    weights = {name: tensor_bytes(array) for name, array in model.weights.items()}
    return watch.round(1, weights)


def lenient(bank: Bank, max_epsilon: float) -> None:
    """Another limit on what watching may cost."""
    acceptance = bank.worker.trainer._acceptance
    acceptance._watched = replace(acceptance._watched, max_epsilon=max_epsilon)


def test_a_watch_is_one_charged_tally_and_nothing_is_trained(holding, watch, model):
    """Count and tally stand in the ledger before the tally leaves, under names of their own."""
    trainer = holding.worker.trainer
    assert trainer.accept(watch.document).refusal == ""
    result = trainer.evaluate(request(watch, model))
    layout = watch_layout(watch.encoder, watch.plan.watch.signals)
    assert result.values.shape == (layout.size,)
    assert ledger(holding) == ["watch_count", "watch_tally"]
    assert 0.3 < result.epsilon <= 0.6
    again = trainer.evaluate(request(watch, model))
    np.testing.assert_array_equal(again.values, result.values)
    assert ledger(holding) == ["watch_count", "watch_tally"]
    with pytest.raises(RoundUnknown):
        trainer.train(request(watch, model))
    policy = build_watch_policy(holding.node, Accountant())
    assert policy.epsilon(policy.paid()) == pytest.approx(result.epsilon)


def test_a_watch_above_the_nodes_own_limit_is_refused_and_costs_nothing(holding, watch):
    for limit, code in ((0.0, "watch_refused"), (0.5, "watch_above_limit")):
        lenient(holding, limit)
        assert holding.worker.trainer.accept(watch.document).refusal == code
    assert ledger(holding) == []


def test_all_watches_together_stay_within_the_nodes_limit(holding, watch, model):
    lenient(holding, 0.7)
    trainer = holding.worker.trainer
    assert trainer.accept(watch.document).refusal == ""
    trainer.evaluate(request(watch, model))
    second = watch.changed(campaign_id="watch-2")
    assert trainer.accept(second.document).refusal == "watch_above_limit"
    assert len(ledger(holding)) == 2


def test_a_forged_watch_plan_gets_no_answer(holding, watch):
    """Signed by another key, or changed under its signature."""
    forged = replace(watch, key=SigningKey.generate()).document
    body = watch.document.body.replace(b'"watch-1"', b'"watch-9"')
    for document in (forged, replace(watch.document, body=body)):
        with pytest.raises(SignatureInvalid):
            holding.worker.trainer.accept(document)
    assert ledger(holding) == []


def test_a_watch_whose_noise_does_not_keep_its_promise_is_refused(holding, watch):
    privacy = replace(watch.plan.privacy, tally_noise=2.0)
    answer = holding.worker.trainer.accept(watch.changed(privacy=privacy).document)
    assert answer.refusal == "privacy_plan_inconsistent"


def test_only_the_model_in_force_is_watched_and_only_with_its_own_weights(holding, watch, model):
    trainer = holding.worker.trainer
    other = watch.changed(start_bundle="model-0099", campaign_id="watch-3")
    assert trainer.accept(other.document).refusal == "watched_model_unknown"
    assert trainer.accept(watch.document).refusal == ""
    moved = {name: array.copy() for name, array in model.weights.items()}
    moved["wide.bias"] += 1
    with pytest.raises(NotTheWatchedModel):
        trainer.evaluate(request(watch, replace(model, weights=moved)))
    assert ledger(holding) == ["watch_count"]


def give_scores(bank: Bank, version: str, at_ms: int, bands: str, first: int) -> None:
    made = [
        ScoreRow(
            score_id=f"s{first + number}", subject_ref=f"p{first + number}", consent_id="c",
            client_id="k", purpose="score", at_ms=at_ms, leaf_seq=0, idempotency_key=None,
            request_sha256=bytes(32),
            result=json.dumps({"score": 600, "band": {"code": band, "pd": 0.1},
                               "versions": {"model": version}}),
        )
        for number, band in enumerate(bands)
    ]  # fmt: skip
    with bank.node.database.write() as connection:
        scores.add_many(connection, made)


def test_a_node_compares_its_own_scores_and_nothing_leaves(holding, model):
    """Locally: no charge, no leaf, no message; a person counts once, by the newest score."""
    now, month = now_ms(), 30 * 86_400_000
    give_scores(holding, model.version, now - 2 * month, "A" * 60 + "C" * 60, 0)
    assert score_drift(holding.node, 30, now).psi is None
    give_scores(holding, model.version, now - 1, "A" * 30 + "C" * 90, 200)
    size = holding.node.audit.head().size
    found = score_drift(holding.node, 30, now)
    assert (found.reference, found.then, found.now, found.verdict) == ("earlier", 120, 120, "act")
    assert found.psi == pytest.approx(0.27, abs=0.02)
    assert (ledger(holding), holding.node.audit.head().size) == ([], size)


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": 1},
        {"watch": None},
        {"start_bundle": None},
        {"watch": WatchPlan(("a", "a"))},
    ],
)
def test_a_plan_that_watches_and_trains_is_none(pattern, change):
    with pytest.raises(PlanInvalid):
        CampaignPlan.from_body(replace(pattern.plan, **change).to_body())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with open_world(tmp_path, size=120) as opened:
        yield opened


def kept(world: World) -> list[Result]:
    with world.coordinator.database.read() as connection:
        rows = results.results(connection, 10)
    key = world.coordinator.keys.directory.verify_key
    return [read_result(row, key) for row in rows]


def test_a_watch_runs_from_its_plan_to_a_signed_result(world):
    """The campaign leaves its reference; the watch is read against it, kept and logged."""
    trained = world.finish(world.propose(rounds=2, epsilon=2.0).campaign_id)
    assert (trained.state, trained.kind) == ("completed", "training"), trained.detail
    plan = PlanMaker(world.proposals).watch({"minimum_cohort": 40, "epsilon": 0.6}, now_ms())
    with world.coordinator.database.write() as connection:
        world.proposals.store(connection, plan, now_ms())
    row = world.finish(plan.campaign_id)
    assert (row.state, row.kind, row.bundle_version, row.detail) == ("completed", "watch", None, "")
    watched, reference = kept(world)
    assert (watched.campaign_id, watched.against) == (plan.campaign_id, trained.campaign_id)
    assert watched.members == ("bank-a", "bank-b", "bank-c")
    assert len(watched.counts.signals) == 6
    assert reference.findings is None
    assert world.coordinator.registry.versions() == ["model-0001"]
    for bank in world.banks.values():
        assert ledger(bank)[-2:] == ["watch_count", "watch_tally"]
    check_that_drift_raises_an_alert_and_makes_a_listening_schedule_due(world, plan, watched)


def check_that_drift_raises_an_alert_and_makes_a_listening_schedule_due(world, plan, watched):
    coordinator, day = world.coordinator, 86_400_000
    scheduler, watches = make_scheduler(coordinator), make_watches(coordinator)
    scheduler.set(TRAINING, interval_ms=90 * day, gap_ms=day, template={}, now_ms=now_ms(),
                  on_drift=True)  # fmt: skip
    row = coordinator.registry.find()
    bundle = Bundle.load(row.manifest, row.tensors)
    # So few people leave a calibration that noise decides; what is far off is far off by this one.
    bundle = replace(bundle, manifest=replace(bundle.manifest, calibration=Calibration()))
    shifted = np.zeros_like(watched.counts.score)
    shifted[-3:] = 40_000.0
    moved = replace(watched.counts, score=shifted, signals={})
    late = now_ms() + 2 * day
    with coordinator.database.write() as connection:
        watches.conclude(
            connection, replace(plan, campaign_id="watch-later"), bundle, moved, MEMBERS, late
        )
        raised = {one.rule for one in results.open_alerts(connection)}
    assert "calibration_off" in raised
    assert scheduler.find(TRAINING).due_at_ms == late
    with coordinator.database.write() as connection:
        still = replace(plan, campaign_id="watch-last")
        reference = kept(world)[-1].counts
        watches.conclude(connection, still, bundle, reference, MEMBERS, late + 1)
        left = {one.rule for one in results.open_alerts(connection) if one.tone == "danger"}
    assert "score_drift" not in left
