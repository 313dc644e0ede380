"""Enrolment asks a threshold of trustees, replaces those that fail, and asks for nobody twice."""

from dataclasses import replace
from pathlib import Path

import pytest

from audit.database import Database
from node.enrolment import run
from node.enrolment.run import TrusteesUnavailable
from node.network.rpc_errors import PeerUnreachable
from node.storage import pseudonyms as storage
from node.storage.schema import ensure_schema
from node.trustees.evaluation import QuotaExhausted
from protocols.errors import InvalidInput
from tests.node.ingest_world import identifier
from tests.trustees import make_trustees

PEOPLE = [identifier(number) for number in range(1, 26)]


@pytest.fixture
def database(tmp_path):
    opened = Database(f"sqlite:///{tmp_path}/node.db")
    ensure_schema(opened)
    yield opened
    opened.close()


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(run, "BATCH", 4)


def swapped(answer):
    """A right answer, two of its elements exchanged."""
    return replace(
        answer, elements=answer.elements[32:64] + answer.elements[:32] + answer.elements[64:]
    )


def test_a_person_has_one_pseudonym_whichever_trustees_answer(database, small_batches, tmp_path):
    trustees = make_trustees(3, 5)
    names = trustees.service(database).pseudonyms(PEOPLE)
    assert len(set(names)) == len(PEOPLE)
    other = Database(f"sqlite:///{tmp_path}/other.db")
    ensure_schema(other)
    trustees.down = dict.fromkeys(("bank-a", "payments"), PeerUnreachable("down"))
    assert trustees.service(other, b"o" * 32).pseudonyms(PEOPLE[::-1]) == names[::-1]
    other.close()


def test_who_is_known_is_not_asked_for_again(database):
    trustees = make_trustees()
    service = trustees.service(database)
    first = service.enrol(PEOPLE[:10])
    asked = trustees.asked.total()
    again = service.enrol([*PEOPLE[:10], PEOPLE[0], PEOPLE[10]])
    assert (first.asked, again.asked) == (10, 1)
    assert again.pseudonyms[:10] == first.pseudonyms
    assert again.pseudonyms[10] == first.pseudonyms[0]
    assert trustees.asked.total() == asked + 2  # one person, two trustees


def test_an_enrolment_that_was_cut_off_goes_on_where_it_was(database, small_batches):
    trustees = make_trustees()
    service = trustees.service(database)

    def cut(done, _total):
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        service.enrol(PEOPLE, progress=cut)
    with database.read() as connection:
        kept = storage.count_enrolled(connection)[1]
    assert kept >= 8
    progress = []
    done = trustees.service(database).enrol(PEOPLE, progress=lambda *at: progress.append(at))
    assert done.asked == len(PEOPLE) - kept
    assert progress[-1] == (done.asked, done.asked)
    assert len(set(done.pseudonyms)) == len(PEOPLE)


@pytest.mark.parametrize(
    ("error", "code"),
    [(PeerUnreachable("down"), "peer_unreachable"), (QuotaExhausted("full"), "quota_exhausted")],
)
def test_a_trustee_that_does_not_answer_is_replaced_and_reported(database, error, code):
    trustees = make_trustees(3, 5)
    trustees.down = {"bank-a": error, "bank-c": error}
    done = trustees.service(database).enrol(PEOPLE)
    assert set(done.failed.values()) == {code}
    assert set(done.failed) <= {"bank-a", "bank-c"}
    assert len(set(done.pseudonyms)) == len(PEOPLE)


def test_a_trustee_that_returns_a_wrong_share_is_found_replaced_and_reported(
    database, small_batches, tmp_path
):
    trustees = make_trustees(3, 5)
    honest = Database(f"sqlite:///{tmp_path}/honest.db")
    ensure_schema(honest)
    expected = trustees.service(honest).pseudonyms(PEOPLE)
    honest.close()
    for meddle in (
        swapped,
        lambda answer: replace(answer, proof=bytes(64)),
        lambda answer: replace(answer, elements=answer.elements[:-32]),
        lambda answer: replace(answer, index=4),
        lambda answer: replace(answer, elements=bytes(len(answer.elements))),
    ):
        path = tmp_path / f"{id(meddle)}.db"
        fresh = Database(f"sqlite:///{path}")
        ensure_schema(fresh)
        trustees.meddle = {"bank-b": meddle}
        done = trustees.service(fresh).enrol(PEOPLE)
        assert done.failed == {"bank-b": "evaluation_proof_invalid"}
        assert done.pseudonyms == expected
        fresh.close()


def test_with_too_few_trustees_nothing_is_made_up_and_the_failed_are_named(database):
    trustees = make_trustees(3, 5)
    trustees.down = {"bank-a": PeerUnreachable("down"), "bank-b": QuotaExhausted("full")}
    trustees.meddle = {"bank-c": swapped}
    with pytest.raises(TrusteesUnavailable) as caught:
        trustees.service(database).pseudonyms(PEOPLE)
    for told in ("bank-a: peer_unreachable", "bank-b: quota_exhausted",
                 "bank-c: evaluation_proof_invalid"):  # fmt: skip
        assert told in caught.value.message
    with database.read() as connection:
        assert storage.count_enrolled(connection) == {}


def test_one_wrong_identifier_stops_before_anybody_is_asked(database):
    trustees = make_trustees()
    wrong = PEOPLE[0][:-1] + ("1" if PEOPLE[0][-1] != "1" else "2")
    with pytest.raises(InvalidInput) as caught:
        trustees.service(database).pseudonyms([*PEOPLE, wrong])
    assert wrong not in str(caught.value)
    assert trustees.asked.total() == 0


def test_processes_of_their_own_make_the_same_pseudonyms(database, tmp_path, monkeypatch):
    trustees = make_trustees()
    expected = trustees.service(database).pseudonyms(PEOPLE)
    other = Database(f"sqlite:///{tmp_path}/other.db")
    ensure_schema(other)
    monkeypatch.setattr("node.enrolment.pseudonyms.PROCESSES_FROM", 1)
    assert trustees.service(other, processes=2).pseudonyms(PEOPLE) == expected
    other.close()


def test_what_is_kept_does_not_tell_who_it_is_without_the_local_key(database):
    service = make_trustees().service(database)
    service.pseudonyms(PEOPLE)
    database.scrub()
    kept = Path(database.url.removeprefix("sqlite:///")).read_bytes()
    assert not [one for one in PEOPLE if one.encode() in kept]


def test_each_epoch_has_its_own_pseudonyms_and_keeps_the_one_in_force(database):
    trustees = make_trustees(epochs=2)
    trustees.made = trustees.made[:1]
    service = trustees.service(database)
    old = service.pseudonyms(PEOPLE)
    trustees.made = make_trustees(epochs=2).made
    assert service.pseudonyms(PEOPLE) == old  # a newer key changes nothing by itself
    new = service.enrol(PEOPLE, epoch=2).pseudonyms
    assert not set(old) & set(new)
