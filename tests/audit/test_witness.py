"""A witness cosigns a log that only grows, and keeps what shows that one did not."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy.exc import IntegrityError

from audit import witness_store as store
from audit.checkpoint import Checkpoint, check_origin, sign_checkpoint
from audit.database import Database
from audit.verifier.cosignature import CosignatureKey, cosignature_of
from audit.verifier.evidence import EvidenceInvalid, EvidenceOutcome, check_evidence, make_evidence
from audit.verifier.note import Note, NoteKey, NoteSignature
from audit.verifier.policy import Policy
from audit.verifier.policy import Witness as PolicyWitness
from audit.witness import Answer, Witness, cosign
from audit.witness_request import MAX_REQUEST_BYTES, encode_request, parse_request
from audit.witness_tables import create_witness_schema, witness_state
from protocols.errors import InvalidInput, Malformed, SignatureInvalid
from protocols.keys import SigningKey
from tests.audit.naive import mth as root
from tests.audit.naive import proof as consistency_proof
from tests.postgresql import Server

NOW_MS = 1_700_000_000_000
ORIGIN = "bank-a.members.credence"
LOG = SigningKey.from_seed(b"l" * 32)
OWN = SigningKey.from_seed(b"w" * 32)
NAME = "bank-b.members.credence/witness"
KEYS = (NoteKey(ORIGIN, LOG.verify_key),)
HONEST = [b"leaf %d" % number for number in range(64)]
REWRITTEN = [b"changed" if number == 3 else leaf for number, leaf in enumerate(HONEST)]


@dataclass
class Stand:
    """A witness and its database."""

    database: Database
    witness: Witness

    def add(self, leaves: list[bytes], old: int, size: int) -> Answer:
        return self.witness.answer(self.database, request(leaves, old, size), NOW_MS)

    def held(self) -> Checkpoint | None:
        with self.database.read() as connection:
            found = store.held(connection, ORIGIN)
        return found.checkpoint if found else None

    def evidence(self) -> list[bytes]:
        with self.database.read() as connection:
            return [one.body for one in store.evidence(connection)]


def note(leaves: list[bytes], size: int, key: SigningKey = LOG, origin: str = ORIGIN) -> bytes:
    return sign_checkpoint(Checkpoint(origin, size, root(leaves[:size])), key)


def request(leaves: list[bytes], old: int, size: int) -> bytes:
    proof = consistency_proof(old, leaves[:size]) if 0 < old < size else []
    return encode_request(old, proof, note(leaves, size))


@pytest.fixture
def stand(any_url: str) -> Iterator[Stand]:
    database = Database(any_url)
    with database.write() as connection:
        create_witness_schema(connection)
    watched = {ORIGIN: KEYS}
    yield Stand(database, Witness(NAME, lambda: OWN, lambda _, origin: watched.get(origin, ())))
    database.close()


def test_a_growing_log_is_cosigned_at_every_step(stand):
    for old, size in ((0, 0), (0, 5), (5, 5), (5, 8), (8, 33), (33, 64)):
        answer = stand.add(HONEST, old, size)
        assert answer.status == 200
        whole = Note.parse(note(HONEST, size) + answer.body)
        found = cosignature_of(whole, whole.signatures[-1], CosignatureKey(NAME, OWN.verify_key))
        assert found.at_s == NOW_MS // 1000
        assert stand.held().size == size


def test_each_wrong_request_gets_the_answer_that_c2sp_gives_it_and_changes_nothing(stand):
    stand.add(HONEST, 0, 5)
    stranger = SigningKey.from_seed(b"s" * 32)
    asked = {
        400: b"old 5\n\nnot a checkpoint",
        404: encode_request(0, [], note(HONEST, 5, origin="nobody.example")),
        403: encode_request(5, [], note(HONEST, 5, stranger)),
        422: encode_request(5, [bytes(32)], note(HONEST, 8)),
    }
    for status, body in asked.items():
        assert stand.witness.answer(stand.database, body, NOW_MS).status == status
    assert stand.add(HONEST, 4, 8) == Answer(409, b"5\n")
    assert stand.held().size == 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 1\n",
        b"old 01\n\n" + note(HONEST, 5),
        b"old -1\n\n" + note(HONEST, 5),
        b"old 9\n\n" + note(HONEST, 5),
        b"old 0\nAAAA\n\n" + note(HONEST, 5),
        encode_request(0, [bytes(32)], note(HONEST, 5)),
        encode_request(2, [bytes(32)] * 64, note(HONEST, 5)),
        b"old 2\n\xff\n\n" + note(HONEST, 5),
        b"old 0\n\n" + b"x" * MAX_REQUEST_BYTES,
    ],
)
def test_what_is_no_request_is_refused_before_the_database_is_touched(body):
    with pytest.raises(Malformed):
        parse_request(body)


def test_a_second_root_at_one_size_is_refused_and_proven_to_anybody(stand):
    stand.add(HONEST, 0, 9)
    assert stand.add(REWRITTEN, 9, 9).status == 422
    (kept,) = stand.evidence()
    found = check_evidence(kept, KEYS)
    assert (found.outcome, found.keys_given) == (EvidenceOutcome.FORKED, True)
    assert stand.held().root == root(HONEST[:9])


def test_history_rewritten_below_a_witnessed_head_is_refused_and_proven(stand):
    stand.add(HONEST, 0, 9)
    assert stand.add(REWRITTEN, 9, 20).status == 422
    (kept,) = stand.evidence()
    found = check_evidence(kept)
    assert found.outcome == EvidenceOutcome.FORKED
    assert found.prefix_root == root(REWRITTEN[:9])
    assert stand.held().size == 9


def test_heads_that_no_proof_joins_are_kept_as_unexplained(stand):
    stand.add(HONEST, 0, 8)  # a power of two: its root is not in the proof
    assert stand.add(REWRITTEN, 8, 20).status == 422
    (kept,) = stand.evidence()
    assert check_evidence(kept, KEYS).outcome == EvidenceOutcome.UNEXPLAINED


def test_evidence_against_an_honest_log_cannot_be_made_up(stand):
    stand.add(HONEST, 0, 9)
    honest = make_evidence(
        note(HONEST, 9), note(HONEST, 20), consistency_proof(9, HONEST[:20]), KEYS
    )
    with pytest.raises(EvidenceInvalid):
        check_evidence(honest, KEYS)
    with pytest.raises(EvidenceInvalid):
        check_evidence(make_evidence(note(HONEST, 9), note(HONEST, 9), [], KEYS), KEYS)
    forged = SigningKey.from_seed(b"f" * 32)
    made_up = make_evidence(note(HONEST, 9), note(REWRITTEN, 9, forged), [], KEYS)
    with pytest.raises(SignatureInvalid):
        check_evidence(made_up, KEYS)
    with pytest.raises(Malformed):
        check_evidence(b'{"format":"credence.fork-evidence/1"}')


def test_of_racing_heads_the_witness_never_goes_back(stand):
    stand.add(HONEST, 0, 5)
    gate = threading.Barrier(12)
    answers: list[tuple[int, int]] = []

    def ask(size: int) -> None:
        gate.wait()
        answers.append((size, stand.add(HONEST, 5, size).status))

    threads = [threading.Thread(target=ask, args=(6 + number,)) for number in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    won = [size for size, status in answers if status == 200]
    assert len(won) == 1
    assert {status for _, status in answers} == {200, 409}
    assert stand.held().size == won[0]


def test_the_database_itself_refuses_to_take_a_witness_back(stand):
    stand.add(HONEST, 0, 9)
    for change in ({"size": 5}, {"root": bytes(32)}):
        with pytest.raises(IntegrityError), stand.database.write() as connection:
            connection.execute(witness_state.update().values(**change))
    with pytest.raises(IntegrityError), stand.database.write() as connection:
        connection.execute(witness_state.delete())


def test_no_table_of_heads_or_evidence_is_emptied_on_a_server(postgresql: Server) -> None:
    """TRUNCATE fires no trigger of a row; a witness that forgot would sign a fork."""
    database = Database(postgresql.url())
    with database.write() as connection:
        create_witness_schema(connection)
    for table in ("witness_state", "witness_evidence", "audit_checkpoint", "audit_epoch"):
        with pytest.raises(IntegrityError, match="append-only"), database.write() as connection:
            connection.exec_driver_sql(f"TRUNCATE {table}")
    database.close()


def test_the_cosignature_of_the_specifications_form_verifies():
    text = note(HONEST, 5)
    parsed = Note.parse(text)
    line = cosign(NAME, OWN, parsed.text, 1_679_315_147_000)
    whole = Note.parse(text + line)
    key = CosignatureKey(NAME, OWN.verify_key)
    assert cosignature_of(whole, whole.signatures[1], key).at_s == 1_679_315_147
    signed = b"cosignature/v1\ntime 1679315147\n" + parsed.text.encode()
    OWN.verify_key.verify_raw(signed, whole.signatures[1].signature[8:])
    assert CosignatureKey.parse(key.encode()) == key
    with pytest.raises(Malformed):
        CosignatureKey.parse(KEYS[0].encode())
    with pytest.raises(InvalidInput):
        check_origin("cosignature/v1")


@pytest.mark.parametrize("change", ["time", "signature", "name"])
def test_a_changed_cosignature_does_not_count(change):
    text = note(HONEST, 5)
    whole = Note.parse(text + cosign(NAME, OWN, Note.parse(text).text, NOW_MS))
    line = whole.signatures[1]
    changed = {
        "time": replace(line, signature=bytes(8) + line.signature[8:]),
        "signature": replace(line, signature=line.signature[:-1] + b"\0"),
        "name": replace(line, name="somebody"),
    }[change]
    with pytest.raises(SignatureInvalid):
        cosignature_of(whole, changed, CosignatureKey(NAME, OWN.verify_key))


# -- policy


def witnesses(*organisations: str) -> dict[str, tuple[SigningKey, PolicyWitness]]:
    made = {}
    for organisation in organisations:
        key = SigningKey.from_seed(organisation.encode().ljust(32, b"."))
        named = CosignatureKey(f"{organisation}.example/w", key.verify_key)
        made[organisation] = key, PolicyWitness(organisation.split("/")[0], named)
    return made


def cosigned(*by: tuple[SigningKey, PolicyWitness]) -> bytes:
    base = note(HONEST, 9)
    text = Note.parse(base).text
    return base + b"".join(cosign(one.key.name, key, text, NOW_MS) for key, one in by)


def test_two_organisations_are_counted_and_two_keys_of_one_are_not():
    made = witnesses("bank-b", "bank-b/2", "payments")
    policy = Policy.of(KEYS, [one for _, one in made.values()], 2)
    alone = policy.check(cosigned(made["bank-b"], made["bank-b/2"]))
    assert (alone.met, alone.organisations, alone.missing) == (False, ("bank-b",), 1)
    both = policy.check(cosigned(made["bank-b"], made["payments"]))
    assert (both.met, both.organisations) == (True, ("bank-b", "payments"))


def test_a_policy_file_says_the_same_as_the_policy_it_was_written_from():
    made = witnesses("bank-b", "bank-b/2", "payments")
    policy = Policy.of(KEYS, [one for _, one in made.values()], 2)
    assert Policy.parse(policy.encode().encode()) == policy
    assert Policy.parse(b"quorum none\n").minimum == 0


def test_a_foreign_policy_with_groups_in_groups_is_evaluated():
    made = witnesses("x1", "x2", "x3", "y1")
    lines = [f"log {KEYS[0].encode()}"]
    lines += [f"witness {name} {one.key.encode()}" for name, (_, one) in made.items()]
    lines += ["group X 2 x1 x2 x3", "group Y any y1", "# both", "group B all X Y", "quorum B"]
    policy = Policy.parse("\n".join([*lines, ""]).encode())
    assert not policy.check(cosigned(made["x1"], made["y1"])).met
    assert policy.check(cosigned(made["x1"], made["x3"], made["y1"])).met


def test_the_log_itself_and_unknown_witnesses_do_not_count():
    made = witnesses("bank-b", "payments", "stranger")
    policy = Policy.of(KEYS, [made["bank-b"][1], made["payments"][1]], 2)
    assert not policy.check(cosigned(made["bank-b"], made["stranger"])).met
    with pytest.raises(Malformed):
        Policy.of(KEYS, [PolicyWitness("bank-a", CosignatureKey("x", LOG.verify_key))], 1)
    with pytest.raises(SignatureInvalid):
        policy.check(note(HONEST, 9, made["bank-b"][0]))
    spoiled = Note.parse(cosigned(made["bank-b"], made["payments"]))
    last = spoiled.signatures[-1]
    bad = NoteSignature(last.name, last.key_id, last.signature[:-1] + b"\0")
    with pytest.raises(SignatureInvalid):
        policy.check(Note(spoiled.text, (*spoiled.signatures[:-1], bad)).encode())


@pytest.mark.parametrize(
    "text",
    ["", "quorum", "quorum nobody", "quorum none\nquorum none", "group g any a\nquorum g",
     "nonsense x\nquorum none", "group g 1\nquorum none", "log x\nquorum none", "é\nquorum none"],
)  # fmt: skip
def test_what_is_no_policy_is_refused(text):
    with pytest.raises(Malformed):
        Policy.parse(text.encode())
