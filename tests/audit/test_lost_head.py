"""A log whose head was lost: old backups, forks, rewritten history, and how it goes on."""

from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from audit import incidents
from audit import witness_store as store
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.leaf import Entry, parse_leaf
from audit.merkle import Frontier, leaf_hash
from audit.ranges import export_range
from audit.receipts import prove
from audit.verifier import verify_path
from audit.verifier.evidence import EvidenceOutcome, check_evidence
from audit.verifier.note import NoteKey
from audit.verifier.report import Outcome
from audit.verifier.trust import Trust
from audit.witness import Witness
from audit.witness_keeper import NothingToConfirm
from audit.witness_state import (
    LogContinued,
    LogQuarantined,
    Operation,
)
from protocols.errors import StateConflict
from protocols.keys import SigningKey
from tests.audit.witness_world import (
    BASE,
    LOG_KEY,
    START_MS,
    Clock,
    LocalPeer,
    back_up,
    started,
)

STOPPING = (Operation.SCORE, Operation.RELEASE, Operation.TRAINING)
NEVER = (Operation.CONSENT, Operation.RIGHTS)
KEYS = [NoteKey(BASE, LOG_KEY.verify_key)]
ENTRY = Entry("score.read", "bank-a", "score", "late", {}, None, START_MS)


def _restored(tmp_path: Path, peers: list[LocalPeer], clock: Clock) -> Path:
    """A home put back to 5 leaves, of which 9 had been witnessed."""
    home, backup = tmp_path / "home", tmp_path / "backup"
    with started(home, peers, clock) as process:
        process.fill(5)
        process.rounds.beat()
    back_up(home, backup)
    with started(home, peers, clock) as process:
        process.fill(4)
        process.rounds.beat()
    clock.on(60)
    return backup


def test_an_old_backup_is_quarantined_and_goes_on_under_an_origin_that_names_what_was_lost(
    tmp_path, peers, clock
):
    backup = _restored(tmp_path, peers, clock)
    with started(backup, peers, clock) as process:
        assert process.log.origin == f"{BASE}/2"
        for one in STOPPING:
            with pytest.raises(LogQuarantined):
                process.gate.require(one)
        for one in NEVER:
            process.gate.require(one)
        with process.database.read() as connection:
            (first,) = process.log.leaves(connection, 5, 6)
            epoch = store.epoch(connection)
        leaf = parse_leaf(first.leaf)
        lost = peers[0].latest(BASE, 1)[0]
        assert leaf["kind"] == "log.continued"
        assert leaf["correlation"] == "9:" + lost.decode().split("\n")[2]
        assert process.log.payload(5)["last"] == lost.decode()
        assert (epoch.size, epoch.last, epoch.cause) == (5, lost, "witness_ahead")

        process.fill(9, "after")
        assert process.rounds.beat().size is None  # nothing is signed before an operator's word
        process.keeper.confirm("tested")
        assert process.rounds.beat().witnessed
        for peer in peers:  # the old head stands; nothing was ever signed beside it
            assert [note.decode().split("\n")[:2] for note in peer.latest(BASE, 1)] == [
                [BASE, "9"],
                [f"{BASE}/2", "18"],  # with the incident's two leaves
            ]
            with peer.database.read() as connection:
                assert store.evidence(connection) == []


def test_an_operator_confirms_a_continuation_and_training_stays_stopped(tmp_path, peers, clock):
    backup = _restored(tmp_path, peers, clock)
    with started(backup, peers, clock) as process:
        process.keeper.confirm("disk lost, backup of Tuesday")
        process.rounds.beat()
        clock.on(1)
        process.gate.require(Operation.SCORE)
        process.gate.require(Operation.RELEASE)
        with pytest.raises(LogContinued):
            process.gate.require(Operation.TRAINING)
        with pytest.raises(NothingToConfirm):
            process.keeper.confirm("again")
        kinds = [parse_leaf(one)["kind"] for one in _last(process, 2)]
        assert kinds == ["log.continuation_confirmed", "incident.closed"]
    with started(backup, peers, clock) as process:  # what was decided holds after a restart
        assert process.log.origin == f"{BASE}/2"
        process.gate.require(Operation.SCORE)


def test_on_every_database_a_lost_head_opens_an_incident_that_the_operators_word_closes(
    tmp_path, peers, clock, any_url
):
    with started(tmp_path / "home", peers, clock, url=any_url) as process:
        process.fill(7)
        assert process.rounds.beat().witnessed
        with process.database.write(parallel=True) as connection:  # numbered later on a server
            process.log.submit(connection, [ENTRY])
        longer = sign_checkpoint(Checkpoint(BASE, 99, bytes(32)), LOG_KEY)
        assert not process.keeper.hear("payments", [longer])
        with process.database.read() as connection:
            (found,) = incidents.every(connection)
            epoch = store.epoch(connection)
            (first,) = process.log.leaves(connection, epoch.size, epoch.size + 1)
        assert (found.kind, found.about, found.is_open) == ("quarantine", BASE, True)
        assert parse_leaf(first.leaf)["kind"] == "log.continued"
        assert [parse_leaf(one)["kind"] for one in _last(process, 1)] == ["incident.opened"]
        again = sign_checkpoint(Checkpoint(BASE + "/2", 99, bytes(32)), LOG_KEY)
        assert not process.keeper.hear("payments", [again])
        process.keeper.confirm("a test")
        with process.database.read() as connection:
            (ended,) = incidents.every(connection)
        assert (ended.incident_id, ended.closed_by) == (found.incident_id, "operator")
        for peer in peers:
            process.keeper.hear(peer.organisation, [])
        assert process.rounds.beat().witnessed
        with pytest.raises(IntegrityError), process.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM audit_checkpoint WHERE size > 9")
        with pytest.raises(IntegrityError), process.database.write() as connection:
            connection.exec_driver_sql("UPDATE audit_epoch SET origin = 'x' WHERE epoch = 2")


def test_a_fork_is_an_incident_of_the_witness_that_keeps_a_log_and_is_opened_once(
    tmp_path, peers, clock, any_url
):
    with started(tmp_path / "forked", peers, clock, minimum=0) as forked:
        forked.fill(9)
        head = forked.keeper.sign()
        first = forked.keeper.request(head, 0)
    other = _rewrite(tmp_path, peers, clock, "other")
    with started(other, [], clock, minimum=0) as process:
        second = process.keeper.request(process.keeper.sign(), 9)
    with started(tmp_path / "home", peers, clock, url=any_url) as process:
        record = incidents.fork_recorder(process.log, "bank-a")
        witness = Witness("bank-a.example/w", lambda: LOG_KEY, lambda _, origin: KEYS, record)
        assert witness.answer(process.database, first, START_MS).status == 200
        for _ in range(2):
            assert witness.answer(process.database, second, START_MS).status == 422
        with process.database.read() as connection:
            (found,) = incidents.every(connection)
            (kept,) = store.evidence(connection)
        assert (found.kind, found.about) == ("fork_evidence", BASE)
        assert kept.sha256.hex() in found.text
        assert [parse_leaf(one)["kind"] for one in _last(process, 1)] == ["incident.opened"]
        with process.database.write() as connection:
            incidents.close_incident(
                connection, process.log, found.incident_id, actor="operator", at_ms=START_MS
            )
        assert witness.answer(process.database, second, START_MS).status == 422
        with process.database.read() as connection:
            assert not incidents.every(connection)[0].is_open


def test_the_same_backup_put_back_twice_never_meets_its_first_continuation(tmp_path, peers, clock):
    backup = _restored(tmp_path, peers, clock)
    back_up(backup, tmp_path / "again")
    with started(backup, peers, clock) as process:
        process.keeper.confirm("once")
        assert process.rounds.beat().witnessed
    with started(tmp_path / "again", peers, clock) as process:
        assert process.log.origin == f"{BASE}/3"
        process.keeper.confirm("twice")
        assert process.rounds.beat().witnessed


def test_the_newest_database_comes_back_as_long_as_nobody_confirmed_its_loss(
    tmp_path, peers, clock
):
    backup = _restored(tmp_path, peers, clock)
    with started(backup, peers, clock) as process:
        process.rounds.beat()
    with started(tmp_path / "home", peers, clock) as process:
        assert process.log.origin == BASE
        assert process.rounds.beat().witnessed
        for one in STOPPING:
            process.gate.require(one)


def test_one_witness_that_knows_better_is_enough(tmp_path, peers, clock):
    backup = _restored(tmp_path, peers, clock)
    for peer in peers:
        peer.down = True
    with started(backup, peers, clock) as process:
        assert process.rounds.beat().size is None
        peers[2].down = False
        process.rounds.beat()
        assert process.log.origin == f"{BASE}/2"
        clock.on(1)
        assert process.gate.view()["quarantined"]


def test_a_witness_cannot_make_up_a_head_of_the_log(tmp_path, peers, clock):
    liar = peers[0]
    other = SigningKey.from_seed(b"o" * 32)
    liar.latest = lambda origin, timeout_s: [  # type: ignore[method-assign]
        sign_checkpoint(Checkpoint(BASE, 99, bytes(32)), other),
        sign_checkpoint(Checkpoint("nobody.example", 99, bytes(32)), LOG_KEY),
        b"nothing",
    ]
    with started(tmp_path / "home", peers, clock) as process:
        process.fill(3)
        assert process.rounds.beat().witnessed
        assert process.log.origin == BASE


def _last(process, count: int) -> list[bytes]:
    with process.database.read() as connection:
        size = process.log.head(connection).size
        return [one.leaf for one in process.log.leaves(connection, size - count, size)]


def _rewrite(tmp_path: Path, peers: list[LocalPeer], clock: Clock, mark: str) -> Path:
    """A home of the same keys whose history was written anew, hashes and all, and is longer."""
    home = tmp_path / "rewritten"
    with started(home, [], clock, minimum=0) as process:
        process.fill(20, mark)
    return home


def test_rewritten_history_is_refused_by_every_witness_and_the_verifier_says_diverged(
    tmp_path, peers, clock
):
    with started(tmp_path / "home", peers, clock) as process:
        process.fill(9)
        process.rounds.beat()
        with process.database.read() as connection:
            kept = store.latest_witnessed(connection)
    rewritten = _rewrite(tmp_path, peers, clock, "other")

    trust = Trust.of(KEYS, None, [kept])
    assert verify_path(rewritten / "node.db", trust).outcome is Outcome.DIVERGED

    # Even one who skips the questions before serving is refused, and convicted.
    with started(rewritten, [], clock, minimum=0) as process:
        head = process.keeper.sign()
        for peer in peers:
            assert peer.add_checkpoint(process.keeper.request(head, 9), 1).status == 422
            with peer.database.read() as connection:
                (evidence,) = store.evidence(connection)
            assert check_evidence(evidence.body, KEYS).outcome is EvidenceOutcome.FORKED

    with started(rewritten, peers, clock) as process:  # and one who asks, knows
        assert process.log.origin == f"{BASE}/2"
        with process.database.read() as connection:
            assert store.epoch(connection).cause == "witness_diverged"


def test_a_log_cut_below_a_head_that_its_own_home_remembers_is_found_without_witnesses(
    tmp_path, clock
):
    home = tmp_path / "home"
    with started(home, [], clock, minimum=0) as process:
        process.fill(4)
        process.rounds.beat()
        with process.database.write() as connection:
            connection.exec_driver_sql("DROP TRIGGER audit_head_update_refused")
            connection.exec_driver_sql("DROP TRIGGER audit_leaf_delete_refused")
            connection.exec_driver_sql("DROP TRIGGER audit_payload_delete_refused")
        with process.database.write() as connection:
            leaves = list(process.log.leaves(connection, 0, 3))
            frontier = Frontier().extend([leaf_hash(one.leaf) for one in leaves])
            connection.exec_driver_sql("DELETE FROM audit_leaf WHERE seq >= 3")
            connection.exec_driver_sql("DELETE FROM audit_payload WHERE seq >= 3")
            connection.exec_driver_sql(
                "UPDATE audit_head SET size = 3, root = ?, frontier = ?",
                (frontier.root(), frontier.to_bytes()),
            )
        with pytest.raises(StateConflict):
            process.keeper.sign()
    with started(home, [], clock, minimum=0) as process:
        assert process.log.origin == f"{BASE}/2"


def test_no_receipt_or_export_of_a_quarantined_log_is_signed_either(tmp_path, peers, clock):
    backup, file = _restored(tmp_path, peers, clock), tmp_path / "export.jsonl"
    with started(backup, peers, clock) as process:

        def export() -> None:
            export_range(process.database, process.log, lambda: LOG_KEY, file, 0, None)

        with pytest.raises(LogQuarantined):
            export()
        assert not file.exists()
        with process.database.read() as connection, pytest.raises(LogQuarantined):
            prove(process.log, connection, 0, LOG_KEY)
        process.keeper.confirm("tested")
        with process.database.read() as connection:
            assert prove(process.log, connection, 0, LOG_KEY).seq == 0
        export()
        assert verify_path(file).outcome is Outcome.VALID
