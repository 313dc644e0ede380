"""The whole network, small, as real processes: what the report promises is so on disk."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from audit.verifier import verify_path
from deploy.sandbox import layout
from deploy.sandbox.layout import Layout
from deploy.sandbox.people import Keyring
from node.bootstrap import open_node
from node.storage import consents, subjects, training
from protocols.pseudonyms import handle

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SHARE = 0.8
COMMAND = [sys.executable, "-m", "deploy.command", "demo"]
# The noise of a cohort's count (20 people) leaves two of three banks far above the 100 that they
# insist on: with 900 people one training in thirty was called off.
PEOPLE, ROUNDS = 1300, 12
SMALL = ["--subjects", str(PEOPLE), "--rounds", str(ROUNDS), "--epsilon", "6"]
SMALL += ["--consent", str(SHARE)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Layout, dict[str, Any]]:
    """A sandbox whose main job has run to its end, and its report."""
    root = tmp_path_factory.mktemp("demo") / "sandbox"
    report = root.parent / "report.json"
    done = subprocess.run(
        [*COMMAND, *SMALL, "--once", "--dir", str(root), "--json", str(report)],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return layout.load(root), json.loads(report.read_text())


def test_the_report_says_what_the_issue_of_every_stage_was(
    finished: tuple[Layout, dict[str, Any]],
) -> None:
    _, report = finished
    assert [one["member_id"] for one in report["members"]] == [
        "bank-a", "bank-b", "bank-c", "payments", "public-records",
    ]  # fmt: skip
    assert report["strangers_turned_away"] == 12
    assert len(report["signals"]) >= 12
    assert report["consents"]["withdrawn"] == 1
    assert abs(report["consents"]["granted"] / report["consents"]["asked"] - SHARE) < 0.05
    assert 0 < report["exchange"]["answered"] <= report["exchange"]["subjects"]
    assert report["training"]["rounds"] == ROUNDS
    made = report["pseudonyms"]
    assert (made["threshold"], len(made["trustees"])) == (3, 5)
    assert made["enrolments"] > 2 * PEOPLE  # banks, payments and public records enrol their own
    assert set(report["seconds"]) >= {
        "join",
        "ceremony",
        "ingest",
        "consent",
        "exchange",
        "train",
        "audit",
    }
    assert report["peak_memory_mib"] > 100


def test_the_ledgers_stay_under_the_epsilon_that_was_asked_for(
    finished: tuple[Layout, dict[str, Any]],
) -> None:
    _, report = finished
    assert report["training"]["delta"] == 1e-5
    for spent in report["training"]["epsilon"].values():
        assert 0 < spent <= 6


def test_the_score_comes_with_reasons_coverage_versions_and_a_receipt(
    finished: tuple[Layout, dict[str, Any]],
) -> None:
    answer = finished[1]["score"]
    assert 300 <= answer["score"] <= 850
    assert 0 < answer["pd"] < 1
    assert len(answer["reasons"]) <= 4
    assert {one["source"] for one in answer["coverage"]} == {
        "bank-a", "payments", "public-records",
    }  # fmt: skip
    assert answer["versions"]["model"]
    assert answer["receipt"]["tree_size"] > answer["receipt"]["seq"]


def test_a_withdrawal_refuses_score_and_exchange_and_leaves_the_round(
    finished: tuple[Layout, dict[str, Any]],
) -> None:
    withdrawal = finished[1]["withdrawal"]
    assert withdrawal["refused"] is True
    assert withdrawal["refusals"] == {
        "score call": "consent_withdrawn",
        "exchange with payments": "consent_withdrawn",
        "exchange with public-records": "consent_withdrawn",
        "training round": "left_out",
    }
    assert set(withdrawal["parties"]) >= {"payments", "public-records"}
    assert all(one["acknowledged_s"] < 5 for one in withdrawal["parties"].values())
    assert withdrawal["rounds_without"] > 0


def test_the_regulators_witness_has_cosigned_every_log(
    finished: tuple[Layout, dict[str, Any]],
) -> None:
    placed, report = finished
    watched = report["regulator"]["watches"]
    members = {f"{one.member_id}.members.credence" for one in placed.members}
    assert set(watched) == members | {"sandbox/coordinator"}
    assert min(watched.values()) > 0


def test_every_log_verifies_from_its_files_and_has_the_root_reported(
    finished: tuple[Layout, dict[str, Any]],
) -> None:
    placed, report = finished
    homes = {m.member_id: placed.home(m.member_id) for m in placed.members}
    homes["coordinator"] = placed.coordinator_home
    assert set(report["audit"]) == set(homes)
    for name, home in homes.items():
        checked = verify_path(home)
        assert int(checked.outcome) == 0
        said = report["audit"][name]
        # A process may write down its last acts after the report was made, never rewrite.
        assert checked.size >= said["size"]
        assert checked.size > said["size"] or checked.root.hex() == said["root"]


def test_an_edited_log_does_not_verify(finished: tuple[Layout, dict[str, Any]]) -> None:
    placed, _ = finished
    home = placed.home("payments")
    exported = placed.root / "payments.jsonl"
    subprocess.run(
        [sys.executable, "-m", "deploy.command", "audit", "export", str(home), "--out",
         str(exported)],
        check=True, capture_output=True,
    )  # fmt: skip
    lines = exported.read_text().splitlines()
    exported.write_text("\n".join([*lines[:40], *lines[41:]]) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "deploy.command", "audit", "verify", "export", str(exported)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3


def test_who_did_not_consent_is_in_no_consent_exchange_cohort_or_log(
    finished: tuple[Layout, dict[str, Any]],
) -> None:
    placed, report = finished
    keyring = Keyring.open(placed.root / "subjects" / "keyring")
    trained = 0
    for bank in placed.banks:
        node = open_node(placed.home(bank.member_id))
        try:
            with node.database.read() as connection:
                everybody = subjects.all_subjects(connection)
                live = {one.pseudonym for one in node.consents.live_consents(connection, "train")}
                manifests = {
                    consent_hash
                    for _, root in training.round_roots(
                        connection, report["training"]["campaign_id"]
                    )
                    for consent_hash in training.cohort_hashes(connection, root)
                }
                known = {
                    one.terms.consent_hash
                    for person in everybody
                    for one in consents.of_subject(connection, person.pseudonym)
                }
            silent = [
                one
                for one in everybody
                if not keyring.agrees(bank.member_id, one.customer_id, SHARE)
            ]
            assert silent
            trained += bool(manifests)  # one that was late may have sat the rounds out
            assert not live & {one.pseudonym for one in silent}
            assert manifests <= known
            for holder in ("payments", "public-records"):
                key = node.pair_keys.with_member(holder)
                handles = {handle(key, one.pseudonym).hex() for one in silent}
                database = (placed.home(holder) / "node.db").read_bytes()
                assert not [text for text in handles if text.encode() in database]
            words = [one.pseudonym.hex() for one in silent] + [one.subject_ref for one in silent]
            for log in (placed.root / "logs").iterdir():
                text = log.read_text(errors="replace")
                assert not [word for word in words if word in text]
        finally:
            node.close()
    assert trained >= 2


@pytest.fixture
def staying(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A demo that is to stay up, just started."""
    with subprocess.Popen(
        [*COMMAND, *SMALL, "--dir", str(tmp_path / "sandbox")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    ) as process:
        yield process
        process.kill()


def test_no_process_is_left_behind_when_it_is_killed(staying: subprocess.Popen[bytes]) -> None:
    parent = psutil.Process(staying.pid)
    deadline = time.monotonic() + 60
    while len(children := parent.children(recursive=True)) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    staying.send_signal(signal.SIGKILL)
    staying.wait(30)
    _, alive = psutil.wait_procs(children, timeout=40)
    assert alive == []


def test_a_second_demo_in_the_same_directory_is_one_clear_error(
    staying: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    deadline = time.monotonic() + 60
    while not (tmp_path / "sandbox" / "sandbox.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    done = subprocess.run(
        [*COMMAND, "--once", "--dir", str(tmp_path / "sandbox")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "sandbox_running" in done.stderr
    assert len(done.stderr.splitlines()) <= 3
