"""Whatever becomes of the holder's process, a request has one effect and one answer."""

import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from node.bootstrap import open_node
from node.network.rpc_errors import PeerUnreachable, remote_errors
from node.storage import consents, exchange
from protocols.envelope import Query, new_request, open_answer
from protocols.pseudonyms import query_token
from protocols.suites import MLKEM768_X25519
from protocols.v1.exchange_pb2_grpc import ExchangeStub
from tests.network import MEMBERS, now_ms, open_network, person

ROOT = Path(__file__).parents[2]


@contextmanager
def holder(network, *, die):
    """Payments in a process of its own; the directory names its port."""
    command = [sys.executable, "-m", "tests.exchange.doomed"]
    with subprocess.Popen(
        [*command, str(network.root / "payments"), "1" if die else "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            endpoint = f"127.0.0.1:{int(process.stdout.readline())}"
            entry = network.entries["payments"]
            network.entries["payments"] = replace(entry, endpoint=endpoint)
            network.publish()
            yield process, ExchangeStub(network.node("bank-a").channels.to_member("payments"))
        finally:
            process.kill()


def ask(network, terms):
    bank = network.node("bank-a")
    token = query_token(bank.pair_keys.with_member("payments"), terms.pseudonym, terms.consent_hash)
    return new_request(
        sender="bank-a",
        holder="payments",
        purpose="score",
        queries=[Query(terms.consent_hash, token)],
        now_ms=now_ms(),
        key=bank.keys.signing,
        suite_number=MLKEM768_X25519,
    )


def traces(node, terms):
    """What the log and the tables say of one consent: size of the log, records, uses."""
    with node.database.read() as connection:
        records = exchange.of_consent(connection, terms.consent_id)
        kept = consents.terms_by_hash(connection, [terms.consent_hash])
    return node.audit.head(), records, kept[terms.consent_hash].uses


def test_a_holder_killed_between_commit_and_answer_gives_the_same_answer_later(tmp_path):
    with open_network(tmp_path, [MEMBERS[0], MEMBERS[2]], serve=False) as network:
        payments = network.node("payments")
        network.enrol("payments", person(1), {"statement_balance": (1, 120.5)})
        (terms,) = network.consent("bank-a", [person(1)], holders=["payments"], max_uses=1)
        request = ask(network, terms)
        before = payments.audit.head().size
        with (
            holder(network, die=True) as (process, stub),
            pytest.raises(PeerUnreachable),
            remote_errors("payments"),
        ):
            stub.Fetch(request.message, timeout=20)
        assert process.wait(20) == -signal.SIGKILL
        left = traces(payments, terms)
        assert (left[0].size, len(left[1]), left[2]) == (before + 1, 1, 1)
        with payments.database.read() as connection:
            kept = exchange.claimed(connection, "bank-a", [request.body.nonce])
        with holder(network, die=False) as (_, stub):
            answers = [stub.Fetch(request.message, timeout=20) for _ in range(2)]
        assert {answer.sealed for answer in answers} == {kept[request.body.nonce].answer}
        opened = open_answer(request, answers[0], network.directory())
        assert opened.answers[0].signals[0].signal
        assert opened.answers[0].refusal == ""
        assert traces(payments, terms) == left


def test_a_used_nonce_is_remembered_over_a_restart_and_forgotten_when_its_time_is_over(tmp_path):
    with open_network(tmp_path, [MEMBERS[0], MEMBERS[2]], serve=False) as network:
        (terms,) = network.consent("bank-a", [person(1)], holders=["payments"])
        request = ask(network, terms)
        first = network.node("payments").exchange.answer(request.message, "bank-a", now_ms())
        after = open_node(network.root / "payments")
        try:
            assert after.exchange.answer(request.message, "bank-a", now_ms()) == first
            assert after.exchange.forget(now_ms()) == 0
            ends_at_ms = request.body.expires_at_ms + 60_000
            assert after.exchange.forget(ends_at_ms) == 0
            assert after.exchange.forget(ends_at_ms + 1) == 1
        finally:
            after.close()
