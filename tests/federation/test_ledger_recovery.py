"""A ledger that is lost for good counts as spent, and nothing less."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api.cli.node import app
from models.privacy.accountant import Accountant
from node.federation.ledger_recovery import NothingToRecover, RecoveryNotConfirmed
from node.federation.ledger_wiring import build_recovery
from node.home import DATABASE_FILE
from tests.federation.rounds import Campaign
from tests.federation.test_ledger_guard import lines, put_back
from tests.federation.world import Bank, now_ms


@pytest.fixture
def lost(bank: Bank, campaign: Campaign, accountant: Accountant, tmp_path: Path):
    """A bank whose database is the one before it trained, and what it had signed since."""
    bank.node.close()
    backup = shutil.copytree(bank.home, tmp_path / "backup")
    bank = bank.moved_to(bank.home, accountant)
    assert bank.worker.trainer.accept(campaign.document).refusal == ""
    bank.worker.trainer.train(campaign.round(1))
    signed = bank.worker.guard.statement()
    restored = put_back(bank, backup, whole=False, accountant=accountant)
    yield restored, signed
    restored.node.close()


def test_a_lost_ledger_is_counted_as_spent_and_trains_nobody(lost, campaign):
    """The safe form: all of the budget, for good; the coordinator's reminder is no second loss."""
    bank, signed = lost
    trainer, guard = bank.worker.trainer, bank.worker.guard
    assert trainer.accept(campaign.document).refusal == "ledger_rolled_back"
    done = CliRunner().invoke(
        app, ["recover-ledger", str(bank.home), "--confirm", "bank-a", "--json"]
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["lost_lines"] == 2
    assert told["epsilon"] >= told["ceiling"] == 8.0
    assert [line.mechanism for line in lines(bank)] == ["ledger_recovery"] * 2
    guard.remind(signed)
    assert trainer.accept(campaign.document).refusal == "budget_exhausted"
    # A statement of the recovered ledger leads on from here, and the count has not gone back.
    guard.require()
    guard.statement()
    with pytest.raises(NothingToRecover):
        build_recovery(bank.node).lost()
    check_that_putting_it_back_once_more_is_seen(bank, campaign)


def check_that_putting_it_back_once_more_is_seen(bank, campaign):
    with bank.node.database.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER privacy_charge_delete_refused")
        connection.exec_driver_sql("DELETE FROM privacy_charge")
    bank.worker.guard._sound = False
    assert bank.worker.trainer.accept(campaign.document).refusal == "ledger_rolled_back"


def test_nothing_is_given_up_without_the_populations_name(lost):
    bank, _ = lost
    for confirm in ("", "yes", "bank-b"):
        with pytest.raises(RecoveryNotConfirmed):
            build_recovery(bank.node).recover(confirm, now_ms())
    assert lines(bank) == []


def test_a_ledger_that_is_whole_gives_up_nothing(bank, campaign):
    bank.worker.trainer.accept(campaign.document)
    bank.worker.guard.statement()
    with pytest.raises(NothingToRecover):
        build_recovery(bank.node).recover("bank-a", now_ms())
    assert len(lines(bank)) == 1
    assert (bank.home / DATABASE_FILE).exists()
