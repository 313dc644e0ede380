"""Two nodes on PostgreSQL exchange signals over mutual TLS as they do on SQLite."""

from audit.snapshot import copy_log
from audit.verifier import Outcome, verify_path
from tests.network import MEMBERS, MemberSpec, open_network

PERSON = b"p" * 32


def test_signals_are_exchanged_between_nodes_on_postgresql(tmp_path, postgresql):
    members = [
        MemberSpec(one.member_id, one.role, one.holds, {"database_url": postgresql.url()})
        for one in MEMBERS
        if one.member_id in {"bank-a", "payments"}
    ]
    with open_network(tmp_path, members) as network:
        network.enrol("payments", PERSON, {"statement_balance": (1, 120.0)})
        terms = network.consent("bank-a", [PERSON], holders=["payments"])
        report = network.node("bank-a").fetcher.fetch(terms, purpose="score", deadline_s=10)
        assert (report.asked, report.answered, report.complete) == (1, 1, True)
        for member_id in ("bank-a", "payments"):
            node = network.node(member_id)
            assert not (node.home / "node.db").exists()
            size = copy_log(node.database, tmp_path / f"{member_id}.db")
            assert size > 0
            assert verify_path(tmp_path / f"{member_id}.db").outcome is Outcome.VALID
