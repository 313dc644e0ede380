"""Two parties lay their exchanges beside each other; who omits or alters an entry is named."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from audit.proofs import LogReader
from audit.verifier import Outcome
from audit.verifier.__main__ import main as verifier
from audit.verifier.commands import Verdict, read_trusts, verify_reconciliation
from audit.verifier.cosignature import CosignatureKey
from audit.verifier.reconcile import GRACE_MS
from audit.verifier.statement import DOMAIN
from audit.witness_peers import COORDINATOR, ExternalWitness, policy_for
from node.exchange.reconciling import Reconciler
from node.exchange.statement import write_statement
from protocols.errors import InvalidInput, Malformed
from protocols.keys import SigningKey
from protocols.v1.reconciliation_pb2 import StatementPart
from tests.exchange.conftest import PEOPLE
from tests.network import Network, now_ms

LATER_MS = 2 * GRACE_MS
Lines = list[dict[str, Any]]


@dataclass
class Parties:
    """A bank and a holder that exchanged something, each with its statement's file."""

    network: Network
    files: dict[str, Path]

    def reader(self, name: str, later_ms: int = LATER_MS) -> LogReader:
        node = self.network.node(name)
        return LogReader(
            node.audit, node.database, lambda: node.keys.signing, lambda: now_ms() + later_ms
        )

    def state(self, name: str, peer: str, later_ms: int = LATER_MS, period: int = 60_000) -> int:
        since, until = now_ms() - period, now_ms() + 60_000
        reader = self.reader(name, later_ms)
        return write_statement(reader, name, peer, since, until, self.files[name])

    def rewrite(self, name: str, change: Callable[[Lines], Lines], *, sign: bool = True) -> None:
        """What a party does that states falsely: change its file, and sign it again."""
        file = self.files[name]
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        changed = change(lines[:-1])
        changed[0]["rows"] = len(changed) - 1
        body = b"".join(json.dumps(line).encode() + b"\n" for line in changed)
        signature = lines[-1]["signature"]
        if sign:
            key = self.network.node(name).keys.signing
            signature = key.sign(DOMAIN, hashlib.sha256(body).digest()).hex()
        file.write_bytes(body + json.dumps({"signature": signature}).encode() + b"\n")

    def verdict(self, *opened: Path) -> Verdict:
        keys = [self.reader(name).key.encode() for name in ("bank-a", "payments")]
        left, right = self.files["bank-a"], self.files["payments"]
        return verify_reconciliation(left, right, read_trusts(keys, ()), opened)


@pytest.fixture(scope="module")
def exchanged(network: Network) -> int:
    """Six acts, one of them a refusal."""
    made = network.consent("bank-a", PEOPLE[10:16], holders=["payments"])
    network.withdraw("payments", made[5])
    report = network.node("bank-a").fetcher.fetch(made, purpose="score", deadline_s=20.0)
    assert (report.asked, report.answered) == (6, 5)
    return 6


@pytest.fixture
def parties(network: Network, exchanged: int, tmp_path: Path) -> Parties:
    files = {name: tmp_path / f"{name}.statement" for name in ("bank-a", "payments")}
    found = Parties(network, files)
    assert found.state("bank-a", "payments") >= exchanged
    assert found.state("payments", "bank-a") >= exchanged
    return found


def test_honest_parties_agree_on_every_act(parties: Parties, exchanged: int) -> None:
    verdict = parties.verdict()
    assert (verdict.outcome, verdict.fields["findings"]) == (Outcome.VALID, [])
    assert verdict.fields["matched"] >= exchanged


def test_a_statement_shows_no_payload(parties: Parties) -> None:
    """Neither people, nor consents, nor signals, nor the request's hash stand in the files."""
    node = parties.network.node("bank-a")
    for file in parties.files.values():
        text = file.read_text()
        assert not any(person.hex() in text for person in PEOPLE)
        assert "statement_balance" not in text
        for line in text.splitlines()[1:-1]:
            row = json.loads(line)
            assert row["tag"] != row["content"]
        seqs = [json.loads(line)["seq"] for line in text.splitlines()[1:-1]]
        if file.name.startswith("bank-a"):
            for payload in node.audit.payloads(seqs).values():
                for name in ("consent_hash", "request_hash", "answered"):
                    assert payload[name] not in text


@pytest.mark.parametrize("name", ["bank-a", "payments"])
def test_who_omits_an_entry_is_named(parties: Parties, name: str) -> None:
    """Catalogue item 29."""
    parties.rewrite(name, lambda lines: lines[:3] + lines[4:])
    verdict = parties.verdict()
    assert verdict.outcome is Outcome.UNRECONCILED
    (finding,) = verdict.fields["findings"]
    assert (finding["what"], finding["party"]) == ("missing", name)
    (other,) = finding["seqs"]
    assert other != name
    assert any(f"{name} has no entry" in line for line in verdict.lines)


@pytest.mark.parametrize("name", ["bank-a", "payments"])
def test_who_alters_a_leaf_is_named_with_its_place(parties: Parties, name: str) -> None:
    """A leaf changed after the fact does not lead to the root that its own log signed."""
    seqs: list[int] = []

    def change(lines: Lines) -> Lines:
        leaf = json.loads(lines[2]["leaf"])
        lines[2]["leaf"] = lines[2]["leaf"].replace(leaf["purpose"], "monitor")
        seqs.append(lines[2]["seq"])
        return lines

    parties.rewrite(name, change)
    verdict = parties.verdict()
    assert verdict.outcome is Outcome.INVALID
    assert f"{name}.statement: entry {seqs[0]}" in verdict.lines[0]


@pytest.mark.parametrize("name", ["bank-a", "payments"])
def test_who_states_another_content_than_its_leaf_is_named_once_it_is_opened(
    parties: Parties, name: str, tmp_path: Path
) -> None:
    def change(lines: Lines) -> Lines:
        lines[2]["content"] = "00" * 32
        return lines

    parties.rewrite(name, change)
    verdict = parties.verdict()
    assert verdict.outcome is Outcome.UNRECONCILED
    (finding,) = verdict.fields["findings"]
    assert (finding["what"], finding["party"]) == ("differs", "")
    opened = []
    for member, seq in finding["seqs"].items():
        opened.append(tmp_path / f"{member}.receipt")
        receipt = parties.reader(member).shown(seq)
        opened[-1].write_text(json.dumps(receipt.to_json()))
    (finding,) = parties.verdict(*opened).fields["findings"]
    assert (finding["what"], finding["party"]) == ("falsified", name)


def test_a_statement_that_its_member_did_not_sign_is_invalid(parties: Parties) -> None:
    parties.rewrite("payments", lambda lines: lines[:2] + lines[3:], sign=False)
    assert parties.verdict().outcome is Outcome.INVALID


def test_an_entry_that_came_later_is_awaited_and_then_matches(
    parties: Parties, exchanged: int
) -> None:
    """A holder's young entry without its counterpart is no discrepancy yet."""
    parties.state("bank-a", "payments", later_ms=0)
    parties.rewrite("bank-a", lambda lines: lines[:-1])
    verdict = parties.verdict()
    assert verdict.outcome is Outcome.VALID
    (finding,) = verdict.fields["findings"]
    assert (finding["what"], finding["party"]) == ("pending", "bank-a")
    parties.state("bank-a", "payments")
    assert parties.verdict().fields["findings"] == []


def test_an_erased_person_is_paired_by_the_request_and_said_to_be_erased(
    parties: Parties,
) -> None:
    person = PEOPLE[16]
    made = parties.network.consent("bank-a", [person], holders=["payments"])
    node = parties.network.node("bank-a")
    assert node.fetcher.fetch(made, purpose="score", deadline_s=20.0).answered == 1
    with node.database.write() as connection:
        node.audit.erase(connection, person, actor="bank-a", at_ms=now_ms())
    parties.state("bank-a", "payments")
    parties.state("payments", "bank-a")
    verdict = parties.verdict()
    assert verdict.outcome is Outcome.VALID
    assert [one["what"] for one in verdict.fields["findings"]] == ["erased"]


def test_statements_of_other_parties_are_not_reconciled(parties: Parties) -> None:
    parties.rewrite("payments", lambda lines: [lines[0] | {"peer": "bank-b"}, *lines[1:]])
    with pytest.raises(Exception, match="not of two parties about each other"):
        parties.verdict()
    parties.state("payments", "bank-a")
    parties.rewrite("payments", lambda lines: [lines[0] | {"member": "bank-b"}, *lines[1:]])
    with pytest.raises(Exception, match="is not bank-b's"):
        parties.verdict()


# -- online


def test_each_side_is_asked_over_the_member_port_and_both_are_logged(
    parties: Parties, exchanged: int, tmp_path: Path
) -> None:
    """A member states to its caller what it exchanged with it, and to nobody else anything."""
    bank, holder = parties.network.node("bank-a"), parties.network.node("payments")
    since, until = now_ms() - 60_000, now_ms() + 1
    verdict = bank.reconciler().reconcile("payments", since, until, tmp_path)
    assert verdict.fields["matched"] >= exchanged
    assert verdict.outcome in {Outcome.VALID, Outcome.UNWITNESSED}  # a discrepancy is graver
    for node, kind, peer in (
        (holder, "exchange.stated", "bank-a"), (bank, "exchange.reconciled", "payments"),
    ):  # fmt: skip
        leaf = node.log_reader.leaf(node.audit.head().size - 1)
        assert json.loads(leaf.leaf)["kind"] == kind
        assert json.loads(leaf.leaf)["correlation"] == peer
    third = parties.network.node("public-records").reconciler()
    assert third.reconcile("payments", since, until, tmp_path).fields["matched"] == 0
    for wrong in ((until, since), (0, until)):
        with pytest.raises(InvalidInput):
            bank.reconciler().reconcile("payments", *wrong, tmp_path)


def test_a_side_whose_head_is_not_witnessed_is_said_to_be_so_until_it_is(
    parties: Parties, tmp_path: Path
) -> None:
    """Each log's own operator does not count as its witness; what is found is told all the same."""
    bank, holder = parties.network.node("bank-a"), parties.network.node("payments")
    made = parties.network.consent("bank-a", [PEOPLE[17]], holders=["payments"])
    assert bank.fetcher.fetch(made, purpose="score", deadline_s=20.0).answered == 1

    def ask() -> tuple[Verdict, list[bool]]:
        since, until = now_ms() - 60_000, now_ms() + 1
        verdict = bank.reconciler().reconcile("payments", since, until, tmp_path)
        noted = bank.audit.payload(bank.audit.head().size - 1)
        assert noted["outcome"] == verdict.outcome.name.lower()
        return verdict, [one["witnessed"] for one in verdict.fields["checkpoints"]]

    files = [str(tmp_path / f"{name}.statement") for name in ("bank-a", "payments")]
    policies = []
    for node in (bank, holder):
        policy = tmp_path / f"{node.member_id}.policy"
        policy.write_text(node.witnessing.keeper.policy().encode())
        policies.append(f"--policy={policy}")
    verdict, witnessed = ask()
    assert (int(verdict.outcome), witnessed) == (4, [False, False])
    assert verifier(["reconcile", *files, *policies]) == 4
    for node, expected in ((holder, [False, True]), (bank, [True, True])):
        node.witnessing.rounds.start()
        assert node.witnessing.rounds.beat().witnessed
        verdict, witnessed = ask()
        assert witnessed == expected
    assert verdict.outcome is Outcome.VALID
    # Offline, with the policy that each log's owner publishes; one alone names one log's key.
    assert verifier(["reconcile", *files, *policies]) == 0
    assert verifier(["reconcile", *files, policies[0]]) == 3
    with pytest.raises(SystemExit, match="2"):
        verifier(["reconcile", *files, *policies, policies[0]])
    with pytest.raises(InvalidInput):
        read_trusts((), [tmp_path] * 3)


def test_no_witness_is_asked_for_where_the_settings_ask_for_none(parties: Parties) -> None:
    directory, keys = parties.network.directory(), [parties.reader("payments").key]
    assert policy_for(directory, [], "payments", keys, 0, now_ms()) is None
    outside = ExternalWitness("payments", directory_witness(b"p"), "https://payments.example/w")
    other = ExternalWitness("regulator", directory_witness(b"r"), "https://regulator.example/w")
    policy = policy_for(directory, [outside, other], "payments", keys, 2, now_ms())
    assert policy is not None
    assert "payments" not in policy.organisations
    assert {"bank-a", COORDINATOR, "regulator"} <= set(policy.organisations)


def directory_witness(seed: bytes) -> CosignatureKey:
    return CosignatureKey("outside.example/w", SigningKey.from_seed(seed * 32).verify_key)


@dataclass
class Handed:
    """A channel to somebody who answers with a file, whatever is asked."""

    file: Path

    def unary_stream(self, *_: Any, **__: Any) -> Any:
        return lambda *_, **__: [StatementPart(data=self.file.read_bytes())]


@pytest.mark.parametrize("lie", ["period", "member", "time", "key"])
def test_an_answer_that_is_not_what_was_asked_for_is_refused(
    parties: Parties, tmp_path: Path, lie: str
) -> None:
    """What would hide an entry, or excuse its absence, is found although the member signed it."""
    since, until = now_ms() - 50_000, now_ms() + 10_000
    holder = parties.reader("payments", 0)
    write_statement(holder, "payments", "bank-a", since, until, parties.files["payments"])

    def change(lines: Lines) -> Lines:
        changed = {
            "period": {"since_ms": until - 1},
            "member": {"peer": "bank-b"},
            "time": {"taken_at_ms": since - GRACE_MS},
            "key": {},
        }[lie]
        return [lines[0] | changed, *lines[1:]]

    parties.rewrite("payments", change)
    bank = parties.network.node("bank-a")
    keys = [bank.keys.signing.verify_key if lie == "key" else holder.key.key]
    asking = Reconciler(
        member_id="bank-a",
        reader=bank.log_reader,
        to_member=lambda _: Handed(parties.files["payments"]),  # type: ignore[arg-type, return-value]
        keys_of=lambda _: keys,
        policy_of=lambda *_: None,
    )
    folder = tmp_path / "asked"
    folder.mkdir()
    if lie == "key":
        assert asking.reconcile("payments", since, until, folder).outcome is Outcome.INVALID
        return
    words = {"period": "another period", "member": "not of two parties", "time": "not of now"}
    with pytest.raises(Malformed, match=words[lie]):
        asking.reconcile("payments", since, until, folder)
