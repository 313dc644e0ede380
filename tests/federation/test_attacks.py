"""What a dishonest coordinator asks of a node: each refused by its code, and in the node's log."""

from dataclasses import replace

import numpy as np
import pytest

from models.aggregation_plan import IN_CLEAR
from node.federation.trainer import RoundReplayed
from node.settings import make_settings
from node.storage import outcomes, privacy_ledger, training
from node.storage.outcomes import Outcome
from protocols.errors import CredenceError
from tests.federation.rounds import Campaign
from tests.federation.world import AS_OF_MS, Bank


def codes(bank: Bank) -> list[str]:
    """The codes in the node's log, in order."""
    audit = bank.node.audit
    with bank.node.database.read() as connection:
        found = [audit.payload(seq, connection) for seq in range(audit.head(connection).size)]
    return [one["code"] for one in found if "code" in one]


def charged(bank: Bank) -> int:
    with bank.node.database.read() as connection:
        return privacy_ledger.count(connection, bank.member_id)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"catalogue_version": 7, "catalogue_sha256": "a" * 64}, "catalogue_unknown"),
        ({"quorum": 1, "aggregation": IN_CLEAR}, "too_few_members"),
        ({"members": ("bank-a",), "quorum": 1, "aggregation": IN_CLEAR}, "too_few_members"),
        ({"purpose": "marketing"}, "purpose_refused"),
    ],
    ids=["catalogue unknown", "cohort of one node", "one member", "purpose"],
)
def test_a_plan_that_a_node_must_not_join_is_refused_logged_and_free(
    bank: Bank, campaign: Campaign, change, code
):
    answer = bank.worker.trainer.accept(campaign.changed(**change).document)
    assert answer.refusal == code
    assert codes(bank) == [code]
    assert charged(bank) == 0


@pytest.mark.parametrize("change", [{"epsilon": 9.0}, {"noise_multiplier": 0.5}])
def test_a_larger_epsilon_openly_or_by_less_noise_is_refused_logged_and_free(
    bank: Bank, campaign: Campaign, change
):
    privacy = replace(campaign.plan.privacy, **change)
    answer = bank.worker.trainer.accept(campaign.changed(privacy=privacy).document)
    assert answer.refusal in {"epsilon_above_limit", "privacy_plan_inconsistent"}
    assert codes(bank) == [answer.refusal]
    assert charged(bank) == 0


@pytest.mark.parametrize("setting", [{"architectures": ("wide_deep_prior",)}, {"max_hidden": 8}])
def test_an_operator_decides_which_networks_are_trained(bank: Bank, campaign: Campaign, setting):
    policy = bank.worker.trainer._acceptance._policy
    limits = {"architectures": policy.limits.architectures, "max_hidden": policy.limits.max_hidden}
    policy.limits = replace(policy.limits, **{**limits, **setting})
    assert bank.worker.trainer.accept(campaign.document).refusal == "architecture_refused"


def test_what_an_operator_allows_are_settings_of_the_node():
    made = make_settings(
        member_id="bank-a",
        name="Bank",
        role="bank",
        max_hidden=16,
        minimum_quorum=3,
        architectures=("wide_deep",),
        train_purposes=("credit_scoring", "fraud"),
        max_epsilon_alone=9.0,
    )
    assert (made.max_hidden, made.minimum_quorum) == (16, 3)
    with pytest.raises(CredenceError) as refused:
        make_settings(member_id="bank-a", name="B", role="bank", architectures=("transformer",))
    assert refused.value.code == "settings_invalid"


def one_class(bank: Bank, label: int) -> None:
    with bank.node.database.write() as connection:
        rows = [Outcome(pseudonym, label, AS_OF_MS) for pseudonym in bank.people]
        outcomes.replace_all(connection, rows)


@pytest.mark.parametrize("label", [0, 1])
def test_labels_of_one_class_are_refused_after_the_same_charge_and_told_to_nobody(
    bank: Bank, campaign: Campaign, label
):
    """That nobody here (or everybody) defaulted is about people: the coordinator hears of size."""
    one_class(bank, label)
    answer = bank.worker.trainer.accept(campaign.document)
    assert (answer.refusal, answer.cohort_band) == ("cohort_too_small", 0)
    assert codes(bank) == ["label_one_class"]
    assert charged(bank) == 1
    with bank.node.database.read() as connection:
        assert training.find_campaign(connection, "camp-1").cohort_band == 0


def test_labels_that_become_of_one_class_end_the_nodes_part(bank: Bank, campaign: Campaign):
    trainer = bank.worker.trainer
    assert trainer.accept(campaign.document).refusal == ""
    one_class(bank, 0)
    with pytest.raises(CredenceError) as refused:
        trainer.train(campaign.round(1))
    assert refused.value.code == "cohort_too_small"
    assert codes(bank) == ["cohort_too_small"]
    assert charged(bank) == 1


def test_a_replayed_round_is_refused_logged_and_free(bank: Bank, campaign: Campaign):
    """A round asked again with another model would show the same people twice."""
    trainer = bank.worker.trainer
    assert trainer.accept(campaign.document).refusal == ""
    first = trainer.train(campaign.round(1))
    with pytest.raises(RoundReplayed):
        trainer.train(campaign.round(1, campaign.model(41)))
    trainer.train(campaign.round(2))
    with pytest.raises(RoundReplayed):
        trainer.train(campaign.round(1))
    with pytest.raises(CredenceError):
        trainer.train(campaign.round(9, campaign.model()))
    assert codes(bank) == ["round_replayed", "round_replayed", "round_unknown"]
    assert charged(bank) == 3
    assert np.count_nonzero(first.values)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_a_model_of_nan_or_infinity_is_refused_and_logged(bank: Bank, campaign: Campaign, poison):
    from tests.federation.rounds import of_type

    trainer = bank.worker.trainer
    assert trainer.accept(campaign.document).refusal == ""
    with pytest.raises(CredenceError):
        trainer.train(of_type(campaign.round(1), "wide.bias", np.array([poison], np.float32)))
    assert codes(bank) == ["tensor_refused"]
    assert charged(bank) == 1
