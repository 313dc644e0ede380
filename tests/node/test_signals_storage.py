"""Repositories of subjects and signal vectors."""

import numpy as np
import pytest

from audit.bulk import MAX_KEYS
from audit.database import Database
from models.catalogue import SignalStatus
from node.storage import outcomes, signals, subjects
from node.storage.signals import OWN, SignalVector
from node.storage.subjects import Subject, UnknownSubject
from node.storage.tables import metadata

NOW = 1_000
ANN, BEN = b"a" * 32, b"b" * 32


@pytest.fixture
def connection(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/node.db")
    metadata.create_all(database.engine)
    with database.write() as opened:
        yield opened
    database.close()


def vector(pseudonym=ANN, source="payments", purpose="score", expires=None, **signal_values):
    values = signal_values or {"paid_amount_1m": (1, 5.5)}
    return SignalVector(pseudonym, source, purpose, 1, 1, values, "con_1", expires)


def test_subjects_are_found_by_each_of_their_names(connection):
    ann = Subject(ANN, "sub_ann", "c1", NOW)
    subjects.replace_all(connection, [ann, Subject(BEN, "sub_ben", "c2", NOW)])
    assert subjects.by_pseudonym(connection, ANN) == ann
    assert subjects.by_ref(connection, "sub_ann") == ann
    assert subjects.by_customer(connection, "c1") == ann
    assert subjects.find(connection, b"x" * 32) is None
    assert subjects.count(connection) == 2
    with pytest.raises(UnknownSubject):
        subjects.by_ref(connection, "sub_nobody")


def test_a_known_subject_keeps_the_day_it_was_enrolled(connection):
    subjects.replace_all(connection, [Subject(ANN, "sub_ann", "c1", 1)])
    subjects.replace_all(
        connection, [Subject(ANN, "sub_ann", "c9", 2), Subject(BEN, "sub_ben", "c1", 2)]
    )
    found = subjects.all_subjects(connection)
    assert [(one.customer_id, one.enrolled_at_ms) for one in found] == [("c1", 2), ("c9", 1)]


def test_a_vector_comes_back_as_it_went_in(connection):
    stored = vector(expires=NOW + 1, paid_amount_1m=(1, 0.1), tax_arrears=(4, 0.0))
    signals.put_many(connection, [stored])
    assert signals.find(connection, ANN, "payments", "score", NOW) == stored


def test_a_vector_of_another_purpose_is_another_vector(connection):
    signals.put_many(connection, [vector(purpose="train"), vector(purpose="score")])
    assert len(signals.of_subject(connection, ANN, NOW)) == 2
    assert signals.find(connection, ANN, "payments", "monitor", NOW) is None


def test_a_newer_vector_replaces_the_older_one(connection):
    signals.put_many(connection, [vector(paid_amount_1m=(1, 1.0))])
    signals.put_many(connection, [vector(paid_amount_1m=(2, 0.0))])
    (found,) = signals.of_subject(connection, ANN, NOW)
    assert found.signals == {"paid_amount_1m": (2, 0.0)}


def test_an_expired_vector_is_not_seen_and_then_deleted(connection):
    signals.put_many(connection, [vector(expires=NOW), vector(BEN, expires=NOW + 1)])
    assert signals.find(connection, ANN, "payments", "score", NOW) is None
    assert set(signals.of_source(connection, "payments", "score", NOW)) == {BEN}
    assert signals.delete_expired(connection, NOW) == 1
    assert signals.count(connection, "payments", "score") == 1


def test_a_withdrawn_consent_takes_what_was_fetched_under_it(connection):
    other = SignalVector(BEN, "payments", "score", 1, 1, {}, "con_2", None)
    signals.put_many(connection, [vector(), vector(purpose="train"), other])
    assert signals.delete_by_consent(connection, "con_1") == 2
    assert signals.of_subject(connection, BEN, NOW) == [other]


def test_own_vectors_are_replaced_as_a_whole_and_fetched_ones_stay(connection):
    own = [SignalVector(p, "bank-a", OWN, 1, 1, {"credit_limit": (1, 9.0)}) for p in (ANN, BEN)]
    signals.put_many(connection, [vector()])
    signals.replace_own(connection, "bank-a", own)
    signals.replace_own(connection, "bank-a", own[:1])
    assert signals.count(connection, "bank-a", OWN) == 1
    assert signals.count(connection, "payments", "score") == 1
    with pytest.raises(ValueError, match="own vector"):
        signals.replace_own(connection, "bank-a", [vector()])


def test_many_people_are_read_at_once(connection):
    people = [n.to_bytes(32, "big") for n in range(MAX_KEYS * 2 + 1)]
    signals.put_many(connection, [vector(p) for p in people])
    found = signals.of_pseudonyms(connection, [*people, ANN], "payments", "score", NOW)
    assert set(found) == set(people)


def test_a_matrix_has_the_catalogues_columns_and_absent_is_not_held():
    status, value = signals.matrix([{"b": (1, 2.5)}, {"a": (2, 0.0)}], ["a", "b"])
    held = int(SignalStatus.NOT_HELD)
    np.testing.assert_array_equal(status, np.array([[held, 1], [2, held]], dtype=np.uint8))
    np.testing.assert_array_equal(value, [[0, 2.5], [0, 0]])
    assert (status.dtype, value.dtype) == (np.uint8, np.float64)
    assert signals.matrix([], ["a"])[0].shape == (0, 1)


def test_outcomes_are_replaced_as_a_whole(connection):
    outcomes.replace_all(connection, [outcomes.Outcome(BEN, 1, 5), outcomes.Outcome(ANN, 0, 5)])
    assert list(outcomes.labels(connection).items()) == [(ANN, 0), (BEN, 1)]
    outcomes.replace_all(connection, [])
    assert outcomes.count(connection) == 0
