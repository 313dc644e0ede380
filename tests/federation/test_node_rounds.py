"""What a node does with rounds of a plan that it accepted, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from models.evaluation import evaluation_layout
from models.evaluation_plan import EvaluationPlan
from models.privacy.accountant import Accountant
from models.privacy.budget import BudgetSpent
from models.privacy.charge import Charge
from models.weights import parameter_count
from node.federation.acceptance import CampaignNotAccepted
from node.federation.held_out import HeldOut
from node.federation.trainer import RoundReplayed, RoundUnknown
from node.federation.wiring import build_worker
from node.storage import privacy_ledger, training
from protocols.federation import PREVIOUS
from protocols.tensors import TensorRefused
from tests.federation.books import leaves, ledger
from tests.federation.rounds import of_type


def test_a_step_gives_one_noised_vector_and_is_charged_with_its_leaf(bank, accepted):
    size, before = parameter_count(accepted.plan.architecture, accepted.encoder.width), leaves(bank)
    result = bank.worker.trainer.train(accepted.round(1))
    assert result.values.dtype == np.int64
    assert result.values.shape == (size + 1,)
    assert np.count_nonzero(result.values) > size * 0.99
    line = ledger(bank)[-1]
    assert (line.round, line.mechanism, line.epsilon_after) == (1, "dp_sgd_step", result.epsilon)
    assert (leaves(bank), line.leaf_seq) == (before + 1, before)
    payload = bank.node.audit.payload(line.leaf_seq)
    assert payload["round"] == 1
    assert payload["epsilon_after"] == result.epsilon


def test_the_evaluation_is_one_noised_tally_after_the_last_round(bank, accepted):
    trainer = bank.worker.trainer
    for number in range(1, 6):
        trainer.train(accepted.round(number))
    result = trainer.evaluate(accepted.round(6))
    assert result.values.shape == (
        evaluation_layout(accepted.encoder.catalogue, accepted.plan.evaluation).size,
    )
    assert ledger(bank)[-1].mechanism == "evaluation_tally"


def test_the_evaluation_counts_everybody_and_the_steps_never_who_is_held_out(bank, accepted):
    trainer = bank.worker.trainer
    for number in range(1, 6):
        trainer.train(accepted.round(number))
    result = trainer.evaluate(accepted.evaluation())
    held = HeldOut(bank.node.keys.local_key, accepted.plan.evaluation).mask(bank.people)
    with bank.node.database.read() as connection:
        roots = dict(training.round_roots(connection, "camp-1"))
        sizes = {key: len(training.cohort_hashes(connection, one)) for key, one in roots.items()}
    apart = int(held.sum())
    assert 1 <= apart <= 38  # a fifth of 80 by the node's own key: 2e-8 lie outside
    assert sizes == dict.fromkeys(range(1, 6), 80 - apart) | {6: 80}
    layout = evaluation_layout(accepted.encoder.catalogue, accepted.plan.evaluation)
    noise = accepted.plan.privacy.node_tally_noise
    for name, people in (("calibration", 80 - apart), ("scores", apart), ("held_losses", apart)):
        cells = layout.read(result.values)[name]
        reach = 6 * layout.deviation(name, noise) * cells.size**0.5
        assert abs(float(cells.sum()) - people) < reach


def test_an_evaluation_comes_with_exactly_the_models_of_the_plan(bank, campaign):
    """A version to compare with that the plan does not name, or without it, is refused for free."""
    evaluation = replace(campaign.plan.evaluation, previous="model-0001", previous_hidden=16)
    trainer, compared = bank.worker.trainer, campaign.changed(evaluation=evaluation)
    trainer.accept(compared.document)
    asked = compared.evaluation()
    whole = asked.model
    without = {name: data for name, data in whole.items() if not name.startswith(PREVIOUS)}
    for model in (without, whole | {"previous.extra": b""}):
        with pytest.raises(TensorRefused):
            trainer.evaluate(replace(asked, model=model))
    with pytest.raises(TensorRefused):
        trainer.train(compared.round(1, whole))
    assert len(ledger(bank)) == 1
    assert trainer.evaluate(asked).values.shape == (
        evaluation_layout(compared.encoder.catalogue, evaluation).size,
    )


def test_who_is_held_out_depends_on_the_key_the_split_and_the_person_alone():
    people = [number.to_bytes(32, "big") for number in range(4000)]
    plan = EvaluationPlan(held_out=0.2, split="camp-1")
    held = HeldOut(bytes(32), plan).mask(people)
    assert 0.17 < held.mean() < 0.23
    np.testing.assert_array_equal(HeldOut(bytes(32), plan).mask(people[::-1])[::-1], held)
    np.testing.assert_array_equal(HeldOut(bytes(32), plan).mask(people[7:]), held[7:])
    others = (
        HeldOut(bytes(31) + b"x", plan),
        HeldOut(bytes(32), replace(plan, split="camp-2")),
    )
    for other in others:
        assert 0.28 < (other.mask(people) ^ held).mean() < 0.36
    assert not HeldOut(bytes(32), EvaluationPlan()).mask(people).any()


def test_a_whole_campaign_with_its_follow_up_stays_within_the_plans_epsilon(bank, accepted):
    trainer = bank.worker.trainer
    for number in range(1, 6):
        trainer.train(accepted.round(number))
    trainer.evaluate(accepted.round(6))
    follow = replace(accepted, plan=accepted.plan.follow_up("camp-2", "model-0001"))
    assert trainer.accept(follow.document).refusal == ""
    for number in (1, 2):
        trainer.train(follow.round(number))
    last = trainer.evaluate(follow.evaluation())
    assert 7.0 < last.epsilon <= 8.0
    charges = [(Charge(x.mechanism, x.noise_multiplier, x.sampling_rate), 1) for x in ledger(bank)]
    assert len(charges) == 11
    assert last.epsilon == pytest.approx(Accountant().epsilon(charges, 1e-5), abs=1e-9)


def test_a_second_full_campaign_is_refused_before_it_costs_anything(bank, accepted):
    trainer = bank.worker.trainer
    for number in range(1, 6):
        trainer.train(accepted.round(number))
    second = accepted.changed(campaign_id="camp-2")
    before = len(ledger(bank))
    assert trainer.accept(second.document).refusal == "budget_exhausted"
    assert len(ledger(bank)) == before


def test_training_stops_when_the_budget_is_spent(bank, accepted):
    trainer = bank.worker.trainer
    trainer.train(accepted.round(1))
    with bank.node.database.write() as connection:
        line = privacy_ledger.last_charge(connection, bank.member_id)
        for number in range(1, 40):
            other = replace(line, campaign_id="other", round=number)
            privacy_ledger.add_charge(connection, other)
    before = len(ledger(bank))
    with pytest.raises(BudgetSpent) as refused:
        trainer.train(accepted.round(2))
    assert refused.value.code == "budget_exhausted"
    assert len(ledger(bank)) == before


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("wide.bias", np.zeros(2, np.float32)),
        ("wide.bias", np.zeros((1, 1), np.float32)),
        ("wide.bias", np.zeros(1, np.float64)),
        ("wide.bias", np.array([np.nan], np.float32)),
        ("wide.bias", np.array([np.inf], np.float32)),
        ("extra", np.zeros(1, np.float32)),
    ],
    ids=["length", "shape", "dtype", "nan", "infinity", "extra tensor"],
)
def test_a_model_of_another_form_is_refused_and_costs_nothing(bank, accepted, name, array):
    with pytest.raises(TensorRefused):
        bank.worker.trainer.train(of_type(accepted.round(1), name, array))
    assert len(ledger(bank)) == 1


def test_a_model_without_a_tensor_is_refused(bank, accepted):
    request = accepted.round(1)
    model = {name: data for name, data in request.model.items() if name != "wide.bias"}
    with pytest.raises(TensorRefused):
        bank.worker.trainer.train(replace(request, model=model))


def test_a_repeated_round_gets_the_same_bytes_and_is_charged_once(bank, accepted):
    first = bank.worker.trainer.train(accepted.round(1))
    again = bank.worker.trainer.train(accepted.round(1))
    np.testing.assert_array_equal(first.values, again.values)
    assert first.epsilon == again.epsilon
    assert len(ledger(bank)) == 2


def test_a_charged_round_with_another_model_is_refused(bank, accepted):
    bank.worker.trainer.train(accepted.round(1))
    with pytest.raises(RoundReplayed):
        bank.worker.trainer.train(accepted.round(1, accepted.model(99)))
    assert len(ledger(bank)) == 2


def test_an_earlier_round_is_refused(bank, accepted):
    for number in (1, 3):
        bank.worker.trainer.train(accepted.round(number))
    for number in (1, 2):
        with pytest.raises(RoundReplayed):
            bank.worker.trainer.train(accepted.round(number))
    assert len(ledger(bank)) == 3


@pytest.mark.parametrize("number", [-1, 0, 6, 2**31])
def test_a_round_that_the_plan_does_not_have_is_refused(bank, accepted, number):
    with pytest.raises(RoundUnknown):
        bank.worker.trainer.train(accepted.round(number, accepted.model()))


def test_an_evaluation_before_its_time_is_refused(bank, accepted):
    with pytest.raises(RoundUnknown):
        bank.worker.trainer.evaluate(accepted.round(5))


def test_a_round_of_an_unknown_campaign_or_another_plan_is_refused(bank, accepted):
    for request in (
        replace(accepted.round(1), campaign_id="camp-9"),
        replace(accepted.round(1), plan_sha256=bytes(32)),
    ):
        with pytest.raises(CampaignNotAccepted):
            bank.worker.trainer.train(request)


def test_a_restart_keeps_ledger_answer_and_the_bytes_of_the_charged_round(bank, accepted):
    first = bank.worker.trainer.train(accepted.round(1))
    before = ledger(bank)
    # The process was killed after the commit, before the reply left; a new one takes over.
    bank.worker = build_worker(bank.node)
    with pytest.raises(CampaignNotAccepted):
        bank.worker.trainer.train(accepted.round(1))
    bank.worker.trainer.accept(accepted.document)
    again = bank.worker.trainer.train(accepted.round(1))
    np.testing.assert_array_equal(first.values, again.values)
    assert ledger(bank) == before
    following = bank.worker.trainer.train(accepted.round(2))
    assert following.epsilon > first.epsilon


def test_the_ledger_only_grows(bank, accepted):
    bank.worker.trainer.train(accepted.round(1))
    with bank.node.database.read() as connection, pytest.raises(Exception, match="append-only"):
        connection.exec_driver_sql("DELETE FROM privacy_charge")
    with bank.node.database.read() as connection, pytest.raises(Exception, match="append-only"):
        connection.exec_driver_sql("UPDATE privacy_charge SET noise_multiplier = 100")
