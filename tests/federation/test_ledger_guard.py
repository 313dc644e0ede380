"""A privacy ledger that was put back, shortened or changed trains nobody."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.cli.node import app
from models.privacy.accountant import Accountant
from node.bootstrap import open_node
from node.federation.ledger_guard import STATEMENT_FILE, LedgerRolledBack
from node.home import DATABASE_FILE
from node.storage import privacy_ledger
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.ledger_statement import LedgerStatement, LedgerStatementInvalid, read_statement
from tests.federation.rounds import Campaign
from tests.federation.world import Bank

KEY = SigningKey.generate()


def lines(bank: Bank) -> list[privacy_ledger.ChargeRow]:
    with bank.node.database.read() as connection:
        return privacy_ledger.charge_lines(connection, bank.member_id)


def last_code(bank: Bank) -> str:
    audit = bank.node.audit
    return str(audit.payload(audit.head().size - 1).get("code"))


def put_back(bank: Bank, backup: Path, *, whole: bool, accountant: Accountant) -> Bank:
    """The bank on an old copy of its database, or of its whole home."""
    bank.node.close()
    if whole:
        shutil.rmtree(bank.home)
        shutil.copytree(backup, bank.home)
    else:
        for old in bank.home.glob(DATABASE_FILE + "*"):
            old.unlink()
        for file in backup.glob(DATABASE_FILE + "*"):
            shutil.copy(file, bank.home / file.name)
    return bank.moved_to(bank.home, accountant)


@pytest.fixture
def trained(bank: Bank, campaign: Campaign, accountant: Accountant, tmp_path: Path):
    """A bank two rounds into a campaign, a backup from before, and what it last signed."""
    bank.node.close()
    backup = shutil.copytree(bank.home, tmp_path / "backup")
    bank = bank.moved_to(bank.home, accountant)
    assert bank.worker.trainer.accept(campaign.document).refusal == ""
    for number in (1, 2):
        bank.worker.trainer.train(campaign.round(number))
    return bank, backup, bank.worker.guard.statement()


@pytest.fixture
def closing() -> Iterator[list[Bank]]:
    opened: list[Bank] = []
    yield opened
    for bank in opened:
        bank.node.close()


def test_a_database_that_was_put_back_trains_nobody(trained, campaign, accountant, closing):
    """The statement beside the database says how far ledger and log had come."""
    bank, backup, _ = trained
    restored = put_back(bank, backup, whole=False, accountant=accountant)
    closing.append(restored)
    assert lines(restored) == []
    assert restored.worker.trainer.accept(campaign.document).refusal == "ledger_rolled_back"
    assert lines(restored) == []
    assert last_code(restored) == "ledger_rolled_back"


def test_a_home_that_was_put_back_is_found_out_by_what_the_coordinator_kept(
    trained, campaign, accountant, closing
):
    bank, backup, signed = trained
    restored = put_back(bank, backup, whole=True, accountant=accountant)
    closing.append(restored)
    restored.worker.guard.remind(signed)
    assert restored.worker.trainer.accept(campaign.document).refusal == "ledger_rolled_back"
    assert lines(restored) == []
    # It stays so when nobody reminds it any more.
    again = restored.moved_to(restored.home, accountant)
    closing.append(again)
    assert again.worker.trainer.accept(campaign.document).refusal == "ledger_rolled_back"


def test_another_history_of_the_same_length_is_not_the_one_that_was_signed(
    trained, campaign, accountant, closing
):
    """Whoever puts a ledger back and trains on shows a log that does not continue the old one."""
    bank, backup, signed = trained
    restored = put_back(bank, backup, whole=True, accountant=accountant)
    closing.append(restored)
    trainer = restored.worker.trainer
    assert trainer.accept(campaign.document).refusal == ""
    for number in (1, 2, 3):
        trainer.train(campaign.round(number))
    assert len(lines(restored)) > 3
    restored.worker.guard.remind(signed)
    assert trainer.accept(campaign.document).refusal == "ledger_rolled_back"


def test_a_reminder_that_this_node_did_not_sign_changes_nothing(trained, campaign):
    bank, _, signed = trained
    forged = LedgerStatement(bank.member_id, 10**6, bytes(60), 1).sign(KEY)
    for data in (forged, b"", b"x" * 200, signed[:-1], bytes(64) + signed[64:]):
        bank.worker.guard.remind(data)
    assert bank.worker.trainer.accept(campaign.document).refusal == ""


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM privacy_charge WHERE round = 2",
        "DELETE FROM privacy_charge WHERE round = 1",
        "DELETE FROM privacy_charge",
        "UPDATE privacy_charge SET noise_multiplier = 100 WHERE round = 1",
        "UPDATE privacy_charge SET epsilon_after = 0.001 WHERE round = 2",
        "UPDATE privacy_charge SET own_noise_multiplier = 9 WHERE round = 2",
    ],
)
def test_a_ledger_changed_under_its_log_is_found_out_by_the_log(
    trained, campaign, accountant, closing, change
):
    """Who can drop the triggers, and takes the statement away, still has the log against them."""
    bank, _, _ = trained
    with bank.node.database.write() as connection:
        for verb in ("update", "delete"):
            connection.exec_driver_sql(f"DROP TRIGGER privacy_charge_{verb}_refused")
        connection.exec_driver_sql(change)
    (bank.home / STATEMENT_FILE).unlink()
    reopened = bank.moved_to(bank.home, accountant)
    closing.append(reopened)
    assert reopened.worker.trainer.accept(campaign.document).refusal == "ledger_rolled_back"


def test_a_ledger_put_back_while_the_worker_runs_is_refused_at_the_next_charge(trained, campaign):
    bank, _, _ = trained
    with bank.node.database.write() as connection:
        connection.exec_driver_sql("DROP TRIGGER privacy_charge_delete_refused")
        connection.exec_driver_sql("DELETE FROM privacy_charge WHERE round = 2")
    with pytest.raises(LedgerRolledBack):
        bank.worker.trainer.train(campaign.round(3))
    assert len(lines(bank)) == 2
    assert last_code(bank) == "ledger_rolled_back"


def test_an_untouched_ledger_goes_on_after_a_restart(trained, campaign, accountant, closing):
    bank, _, signed = trained
    reopened = bank.moved_to(bank.home, accountant)
    closing.append(reopened)
    reopened.worker.guard.remind(signed)
    assert reopened.worker.trainer.accept(campaign.document).refusal == ""
    assert reopened.worker.trainer.train(campaign.round(3)).epsilon > 0


KILLED = """
import os, signal, sys
from pathlib import Path
from node.bootstrap import open_node
from node.federation.client_app import _request
from node.federation.wiring import build_worker
from protocols.documents import from_proto
from protocols.v1.membership_pb2 import SignedDocument
from tests.federation.rounds import Campaign
import pickle

home, plan, request = sys.argv[1:]
worker = build_worker(open_node(Path(home)))
document = from_proto(SignedDocument.FromString(Path(plan).read_bytes()))
assert worker.trainer.accept(document).refusal == ""
worker.trainer.train(pickle.loads(Path(request).read_bytes()))
os.kill(os.getpid(), signal.SIGKILL)  # charged and committed; nothing was sent
"""


def test_a_worker_killed_between_charge_and_send_was_charged_and_sends_the_same_bytes(
    bank, campaign, accountant, closing, tmp_path
):
    """Charged once: the same round asked again gives what was kept, another model nothing."""
    import pickle

    from protocols.documents import to_proto

    bank.node.close()
    plan, request = tmp_path / "plan", tmp_path / "request"
    plan.write_bytes(to_proto(campaign.document).SerializeToString())
    request.write_bytes(pickle.dumps(campaign.round(1)))
    command = [sys.executable, "-c", KILLED, str(bank.home), str(plan), str(request)]
    killed = subprocess.run(command, check=False, capture_output=True, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    reopened = bank.moved_to(bank.home, accountant)
    closing.append(reopened)
    before = lines(reopened)
    assert [(one.round, one.mechanism) for one in before] == [
        (0, "cohort_count"),
        (1, "dp_sgd_step"),
    ]
    trainer = reopened.worker.trainer
    assert trainer.accept(campaign.document).refusal == ""
    first, again = trainer.train(campaign.round(1)), trainer.train(campaign.round(1))
    np.testing.assert_array_equal(first.values, again.values)
    assert first.epsilon == before[-1].epsilon_after
    with pytest.raises(CredenceError, match="charged already"):
        trainer.train(campaign.round(1, campaign.model(99)))
    assert lines(reopened) == before


def test_the_command_shows_both_prices_by_campaign_and_mechanism(trained):
    bank, _, _ = trained
    done = CliRunner().invoke(app, ["privacy", str(bank.home), "--json"])
    assert done.exit_code == 0, done.output
    (one,) = json.loads(done.stdout)["populations"]
    last = lines(bank)[-1]
    assert (one["population"], one["charges"]) == (bank.member_id, 3)
    assert (one["epsilon"], one["epsilon_alone"]) == (last.epsilon_after, last.epsilon_alone_after)
    assert (one["max_epsilon"], one["max_epsilon_alone"]) == (8.0, None)
    assert [(part["name"], part["charges"]) for part in one["campaigns"]] == [("camp-1", 3)]
    assert {part["name"]: part["charges"] for part in one["mechanisms"]} == {
        "cohort_count": 1,
        "dp_sgd_step": 2,
    }
    shown = CliRunner().invoke(app, ["privacy", str(bank.home)]).stdout
    assert "of 8" in shown
    assert "#" in shown
    assert "alone" in shown


def test_what_was_written_into_the_ledger_stays_what_it_was(trained, campaign):
    """Frozen values: a line tells epsilon as of its own time, whatever is charged after it."""
    bank, _, _ = trained
    before = lines(bank)
    bank.worker.trainer.train(campaign.round(3))
    assert lines(bank)[: len(before)] == before


def test_a_distributed_plan_is_charged_by_both_prices(bank, catalogue, authority):
    from tests.federation.rounds import make_campaign

    shared = make_campaign(authority, catalogue, mode="distributed", epsilon=3.0)
    assert bank.worker.trainer.accept(shared.document).refusal == ""
    bank.worker.trainer.train(shared.round(1))
    count, step = lines(bank)
    assert count.own_noise_multiplier == count.noise_multiplier
    assert step.own_noise_multiplier == pytest.approx(step.noise_multiplier / 2**0.5)
    assert step.epsilon_alone_after > step.epsilon_after


def test_a_ceiling_on_what_own_noise_alone_keeps_is_kept(bank, catalogue, authority, closing):
    from tests.federation.rounds import make_campaign

    shared = make_campaign(authority, catalogue, mode="distributed", epsilon=3.0)
    bank.node.close()
    node = open_node(bank.home)
    settings = node.settings.model_copy(update={"max_epsilon_alone": 3.2})
    from node.federation.wiring import build_worker

    limited = replace(node, settings=settings)
    bank.node = node
    assert build_worker(limited).trainer.accept(shared.document).refusal == "epsilon_above_limit"


@given(st.binary(max_size=1200))
def test_bytes_that_are_no_statement_are_refused(data):
    with pytest.raises(CredenceError):
        read_statement(data, KEY.verify_key, "bank-a")


def test_a_statement_reads_as_it_was_signed_and_for_its_member_only():
    made = LedgerStatement("bank-a", 7, b"sealed", 9)
    data = made.sign(KEY)
    assert read_statement(data, KEY.verify_key, "bank-a") == made
    with pytest.raises(LedgerStatementInvalid):
        read_statement(data, KEY.verify_key, "bank-b")
    with pytest.raises(CredenceError):
        read_statement(data, SigningKey.generate().verify_key, "bank-a")
