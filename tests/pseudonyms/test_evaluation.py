"""A trustee evaluates for members within their quota, and never without a count and a leaf."""

from dataclasses import replace

import pytest

from audit.database import Database
from audit.shredding import DataKeys
from audit.store import AuditLog
from node.enrolment.pseudonym_keys import NoPseudonymKey
from node.storage import pseudonyms as storage
from node.trustees.evaluation import DAY_MS, EvaluationService, QuotaExhausted
from node.trustees.shares import NotATrustee
from protocols import oprf, ristretto
from protocols.enrolment import blind_batch, finish_batch, joined
from protocols.errors import Malformed
from tests.pseudonyms.world import NAMES

ELEMENT = ristretto.multiply_base(ristretto.scalar_of(7))
INPUTS = [b"one", b"two", b"three"]


@pytest.fixture
def services(world, tmp_path):
    """Every member's evaluation service after a ceremony; a quota of eight a day."""
    world.announce()
    assert world.run() == "completed"
    made, databases = {}, []
    for name, member in world.members.items():
        databases.append(Database(f"sqlite:///{tmp_path}/{name}-datakeys.db"))
        keys = DataKeys(databases[-1], b"k" * 32)
        audit = AuditLog(f"credence.test/{name}", member.database, keys, b"i" * 32)
        made[name] = EvaluationService(
            member.database, audit, member.keys, member.shares, 8, world.clock
        )
    yield made
    for database in databases:
        database.close()


def count(service, world, requester="bank-c"):
    with service.database.read() as connection:
        return storage.evaluations(connection, requester, world.clock() // DAY_MS)


def test_three_evaluations_verify_and_make_the_same_pseudonyms_whoever_is_asked(services, world):
    key = world.members["bank-a"].keys.newest()
    shares = {key.index(name): share for name, share in key.verification_shares.items()}
    results = []
    for chosen in (NAMES[:3], NAMES[2:]):
        blinded = blind_batch(INPUTS)
        answers = [services[n].evaluate("bank-c", 1, joined(blinded)) for n in chosen]
        results.append(finish_batch(blinded, shares, answers))
    assert results[0].wrong == ()
    assert results[0].pseudonyms == results[1].pseudonyms
    assert len(set(results[0].pseudonyms)) == 3


def test_a_batch_is_counted_and_logged_with_the_requester_and_no_element(services, world):
    service = services["bank-a"]
    data = joined(blind_batch(INPUTS))
    service.evaluate("bank-c", 1, data)
    assert count(service, world) == 3
    payload = service.audit.payload(service.audit.head().size - 1)
    assert payload == {"epoch": 1, "elements": 3, "elements_today": 3}
    with service.database.read() as connection:
        (leaf,) = service.audit.leaves(connection, 1, 2)  # after the share it keeps
    assert b'"actor":"bank-c"' in leaf.leaf
    assert data[:32].hex() not in str(leaf)


def test_over_the_quota_the_whole_batch_is_refused_and_nothing_is_counted(services, world):
    service = services["bank-a"]
    data = joined(blind_batch(INPUTS))
    service.evaluate("bank-c", 1, data)
    service.evaluate("bank-c", 1, data)
    with pytest.raises(QuotaExhausted):
        service.evaluate("bank-c", 1, data)
    assert count(service, world) == 6
    assert service.audit.head().size == 3
    service.evaluate("bank-b", 1, data)  # another member's quota is its own
    world.clock.at_ms += DAY_MS
    service.evaluate("bank-c", 1, data)  # and so is another day's


def test_what_cannot_be_logged_is_not_evaluated(services):
    service = services["bank-a"]

    class Broken:
        def submit(self, *_):
            raise Malformed("the log refuses")

    broken = replace(service, audit=Broken())
    with pytest.raises(Malformed, match="refuses"):
        broken.evaluate("bank-c", 1, joined(blind_batch(INPUTS)))
    with service.database.read() as connection:
        assert storage.evaluations(connection, "bank-c", service.now_ms() // DAY_MS) == 0


@pytest.mark.parametrize(
    "data",
    [b"", bytes(31), bytes(32), b"\xff" * 32, ELEMENT * 4097],
)
def test_what_is_no_batch_of_elements_is_refused_before_it_counts(services, world, data):
    with pytest.raises(Malformed):
        services["bank-a"].evaluate("bank-c", 1, data)
    assert count(services["bank-a"], world) == 0


def test_no_key_and_no_share_are_errors_of_their_own(services, world):
    data = joined(blind_batch(INPUTS))
    with pytest.raises(NoPseudonymKey):
        services["bank-a"].evaluate("bank-c", 2, data)
    world.announce()
    assert world.run(without=("bank-b",)) == "completed"
    world.members["bank-b"].keys.install(world.coordinator.membership.document("ceremony"))
    with pytest.raises(NotATrustee):
        services["bank-b"].evaluate("bank-c", 2, data)


def test_a_proof_binds_the_share_and_the_whole_batch(services, world):
    key = world.members["bank-a"].keys.newest()
    blinded = blind_batch(INPUTS)
    done = services["bank-a"].evaluate("bank-c", 1, joined(blinded))
    pieces = [done.elements[at : at + 32] for at in range(0, len(done.elements), 32)]
    elements = [one.element for one in blinded]
    oprf.verify(key.verification_shares["bank-a"], elements, pieces, done.proof)
    for public, evaluated in (
        (key.verification_shares["bank-b"], pieces),
        (key.verification_shares["bank-a"], [pieces[1], pieces[0], pieces[2]]),
    ):
        with pytest.raises(oprf.ProofInvalid):
            oprf.verify(public, elements, evaluated, done.proof)
