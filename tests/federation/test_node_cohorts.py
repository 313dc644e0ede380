"""Who withdrew is in no later round, whenever the withdrawal commits."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from audit.merkle import Frontier, leaf_hash
from node.federation.cohort import CohortChanged, Cohorts
from node.federation.held_out import HeldOut
from node.federation.policy import CohortTooSmall
from node.storage import consents, training
from tests.federation.books import ledger
from tests.federation.world import now_ms


def test_a_withdrawn_subject_is_in_no_later_cohort(bank, accepted):
    trainer = bank.worker.trainer
    trainer.train(accepted.round(1))
    held = HeldOut(bank.node.keys.local_key, accepted.plan.evaluation)
    gone = next(one for one in bank.people if not held.has(one))
    bank.withdraw(gone)
    trainer.train(accepted.round(2))
    with bank.node.database.read() as connection:
        terms = consents.terms_by_id(connection, [bank.consent_of[gone]])
        gone_hash = terms[bank.consent_of[gone]].consent_hash
        roots = dict(training.round_roots(connection, "camp-1"))
        first, second = (training.cohort_hashes(connection, roots[number]) for number in (1, 2))
    assert gone_hash in first
    assert gone_hash not in second
    assert len(second) == len(first) - 1
    assert second == sorted(second)
    assert Frontier().extend(map(leaf_hash, second)).root() == roots[2]


class RacingCohorts(Cohorts):
    """A withdrawal commits between freezing and charging."""

    race: Callable[[], None] | None = None

    def freeze(self, at_ms: int):
        frozen = super().freeze(at_ms)
        if self.race is not None:
            race, self.race = self.race, None
            race()
        return frozen


def test_a_withdrawal_while_a_step_is_computed_throws_its_result_away(bank, accepted):
    acceptance = bank.worker.trainer._acceptance
    node = bank.node
    racing = RacingCohorts(node.database, node.member_id, accepted.encoder, 8.0)
    racing.race = lambda: bank.withdraw(bank.people[0])
    acceptance._open = replace(acceptance._open, cohorts=racing)
    bank.worker.trainer.train(accepted.round(1))
    with node.database.read() as connection:
        ((_, root),) = training.round_roots(connection, "camp-1")
        assert len(training.cohort_hashes(connection, root)) == len(bank.people) - 1
    assert len(ledger(bank)) == 2


def test_a_frozen_cohort_does_not_survive_a_withdrawal(bank, accepted):
    cohorts = Cohorts(bank.node.database, bank.member_id, accepted.encoder, 8.0)
    frozen = cohorts.freeze(now_ms())
    with bank.node.database.write() as connection:
        cohorts.check(connection, frozen, now_ms())
    bank.withdraw(bank.people[5])
    with bank.node.database.write() as connection, pytest.raises(CohortChanged):
        cohorts.check(connection, frozen, now_ms())


def test_too_many_withdrawals_end_a_nodes_part(bank, accepted):
    for pseudonym in bank.people[:45]:
        bank.withdraw(pseudonym)
    with pytest.raises(CohortTooSmall):
        bank.worker.trainer.train(accepted.round(1))
    assert len(ledger(bank)) == 1
