"""Which plans a node answers, and which it refuses by code."""

from dataclasses import replace

import pytest

from models.aggregation_plan import IN_CLEAR
from models.plan import CampaignExpired
from node.federation.acceptance import Answer, CampaignNotAccepted
from node.storage import training
from protocols.errors import CredenceError, SignatureInvalid
from protocols.keys import SigningKey
from tests.federation.books import leaves, ledger
from tests.federation.world import now_ms


def test_a_plan_is_answered_with_a_band_and_the_count_is_charged(bank, accepted):
    with bank.node.database.read() as connection:
        row = training.find_campaign(connection, "camp-1")
    assert 50 <= row.cohort_band <= 110
    assert [(line.round, line.mechanism) for line in ledger(bank)] == [(0, "cohort_count")]


def test_a_plan_that_comes_again_gets_the_same_answer_and_no_new_noise(bank, accepted):
    trainer = bank.worker.trainer
    with bank.node.database.read() as connection:
        band = training.find_campaign(connection, "camp-1").cohort_band
    for _ in range(3):
        # The band itself travels only inside masked sums.
        assert trainer.accept(accepted.document) == Answer("camp-1", "", 0)
    with bank.node.database.read() as connection:
        assert training.find_campaign(connection, "camp-1").cohort_band == band
    assert len(ledger(bank)) == 1


def test_a_tampered_plan_gets_no_answer(bank, campaign):
    body = campaign.document.body.replace(b'"rounds":5', b'"rounds":6')
    with pytest.raises(SignatureInvalid):
        bank.worker.trainer.accept(replace(campaign.document, body=body))
    assert ledger(bank) == []


def test_a_plan_signed_by_another_key_gets_no_answer(bank, campaign):
    forged = replace(campaign, key=SigningKey.generate())
    with pytest.raises(SignatureInvalid):
        bank.worker.trainer.accept(forged.document)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"members": ("bank-b", "bank-c")}, "plan_not_for_us"),
        ({"catalogue_version": 2}, "catalogue_unknown"),
        ({"catalogue_sha256": "0" * 64}, "catalogue_unknown"),
        ({"quorum": 1, "aggregation": IN_CLEAR}, "too_few_members"),
        ({"aggregation": IN_CLEAR}, "plan_not_masked"),
        ({"rounds": 50}, "privacy_plan_inconsistent"),
        ({"minimum_cohort": 10_000}, "cohort_too_small"),
    ],
)
def test_a_plan_outside_this_nodes_limits_is_refused_by_code(bank, campaign, change, code):
    answer = bank.worker.trainer.accept(campaign.changed(**change).document)
    assert (answer.refusal, answer.cohort_band) == (code, 0)
    with pytest.raises(CampaignNotAccepted):
        bank.worker.trainer.train(campaign.changed(**change).round(1))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"epsilon": 9.0}, "epsilon_above_limit"),
        ({"delta": 1e-4}, "epsilon_above_limit"),
        ({"noise_multiplier": 0.5}, "privacy_plan_inconsistent"),
        ({"epsilon": 2.0}, "privacy_plan_inconsistent"),
    ],
)
def test_inflated_privacy_parameters_are_refused_by_code(bank, campaign, change, code):
    privacy = replace(campaign.plan.privacy, **change)
    answer = bank.worker.trainer.accept(campaign.changed(privacy=privacy).document)
    assert answer.refusal == code
    assert ledger(bank) == []


def test_a_plan_past_its_deadline_is_refused_and_so_are_its_rounds(bank, campaign):
    """Whoever holds a round back, or a plan, gets nothing for it after the deadline."""
    trainer, soon = bank.worker.trainer, now_ms() + 60_000
    late = campaign.changed(deadline_at_ms=now_ms() - 1)
    assert trainer.accept(late.document).refusal == "campaign_expired"
    assert ledger(bank) == []
    short = campaign.changed(deadline_at_ms=soon)
    assert trainer.accept(short.document).refusal == ""
    trainer.train(short.round(1))
    trainer._now_ms = trainer._acceptance._now_ms = lambda: soon
    for number in (1, 2):
        with pytest.raises(CampaignExpired):
            trainer.train(short.round(number))
    assert len(ledger(bank)) == 2


def test_a_larger_network_than_allowed_is_refused(bank, campaign):
    architecture = replace(campaign.plan.architecture, hidden=129)
    answer = bank.worker.trainer.accept(campaign.changed(architecture=architecture).document)
    assert answer.refusal == "architecture_refused"


def test_another_plan_under_an_answered_id_is_refused(bank, accepted):
    answer = bank.worker.trainer.accept(accepted.changed(seed=9).document)
    assert answer.refusal == "campaign_not_accepted"


def test_every_refusal_of_a_plan_is_logged(bank, campaign):
    before = leaves(bank)
    bank.worker.trainer.accept(campaign.changed(quorum=1, aggregation=IN_CLEAR).document)
    assert leaves(bank) == before + 1
    assert bank.node.audit.payload(before) == {"code": "too_few_members"}


def test_all_refusals_have_codes():
    from node.federation import policy

    classes = [cls for cls in vars(policy).values() if isinstance(cls, type)]
    codes = [cls.code for cls in classes if issubclass(cls, CredenceError)]
    assert len(set(codes)) == len(codes)
    assert all(len(code) <= 40 for code in codes)
