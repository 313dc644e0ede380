"""One entry of a log, shown to the person it is about: the file proves itself or fails."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from api.cli.audit import app
from audit.checkpoint import NoteKey
from audit.receipts import prove
from audit.shredding import PayloadErased
from audit.store import LeafNotFound
from audit.verifier.receipt import ReceiptInvalid, check_receipt
from protocols.errors import CredenceError, Malformed, SignatureInvalid
from protocols.keys import SigningKey
from tests.audit.world import ORIGIN, World, entry

KEY = SigningKey.from_seed(bytes(32))
OTHER = SigningKey.from_seed(bytes(range(32)))
PERSON, STRANGER = b"p" * 32, b"s" * 32
NOTE_KEY = NoteKey(ORIGIN, KEY.verify_key)

Change = Callable[[dict[str, Any]], None]


def proof(world: World, seq: int, key: SigningKey = KEY) -> dict[str, Any]:
    with world.database.read() as connection:
        return prove(world.log, connection, seq, key).to_json()


def check(fields: dict[str, Any], *keys: NoteKey) -> Any:
    return check_receipt(json.dumps(fields).encode(), keys)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 255, 256, 257, 700])
def test_every_entry_proves_itself_in_a_log_of_any_size(world: World, size: int) -> None:
    """A person can check each of their entries, wherever it stands."""
    world.fill(size)
    for seq in sorted({0, 1, size // 2, size - 2, size - 1} & set(range(size))):
        found = check(proof(world, seq), NOTE_KEY)
        assert (found.seq, found.payload) == (seq, {"number": seq})
        assert found.checkpoint.size == size
        assert found.key_given


def _payload(fields: dict[str, Any]) -> None:
    fields["payload"] = fields["payload"].replace("5", "6")


def _leaf(fields: dict[str, Any]) -> None:
    fields["leaf"] = fields["leaf"].replace("bank-a", "bank-b")


def _moved(fields: dict[str, Any]) -> None:
    fields["seq"] = 4


def _beyond(fields: dict[str, Any]) -> None:
    fields["seq"] = 10_000


def _sibling(fields: dict[str, Any]) -> None:
    fields["path"][0] = "00" * 32


def _short(fields: dict[str, Any]) -> None:
    fields["path"].pop()


def _long(fields: dict[str, Any]) -> None:
    fields["path"].append("00" * 32)


def _size(fields: dict[str, Any]) -> None:
    fields["checkpoint"] = fields["checkpoint"].replace("\n30\n", "\n29\n")


@pytest.mark.parametrize("change", [_payload, _leaf, _moved, _beyond, _sibling, _short, _long])
def test_a_changed_entry_or_path_is_found(world: World, change: Change) -> None:
    """What a person is shown cannot be made up after the fact."""
    world.fill(30)
    fields = proof(world, 5)
    change(fields)
    with pytest.raises(ReceiptInvalid):
        check(fields, NOTE_KEY)


def test_a_changed_checkpoint_is_found(world: World) -> None:
    world.fill(30)
    fields = proof(world, 5)
    _size(fields)
    with pytest.raises((SignatureInvalid, ReceiptInvalid)):
        check(fields, NOTE_KEY)


def test_a_root_that_somebody_else_signed_is_refused(world: World) -> None:
    """A file that agrees with itself is not enough for who knows the member's key."""
    world.fill(30)
    fields = proof(world, 5, OTHER)
    assert not check(fields).key_given
    with pytest.raises(SignatureInvalid):
        check(fields, NOTE_KEY)


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.pop("salt"),
        lambda fields: fields.update(more=1),
        lambda fields: fields.update(seq="5"),
        lambda fields: fields.update(seq=True),
        lambda fields: fields.update(path="00"),
        lambda fields: fields.update(path=[1]),
        lambda fields: fields.update(path=["00" * 32] * 65),
        lambda fields: fields.update(salt="zz" * 32),
        lambda fields: fields.update(format="other"),
        lambda fields: fields.update(leaf="[" * 5000),
        lambda fields: fields.update(payload="\ud800"),
        lambda fields: fields.update(checkpoint="nothing"),
        lambda fields: fields.update(key="nothing"),
    ],
)
def test_a_file_of_another_form_is_malformed(world: World, change: Change) -> None:
    world.fill(30)
    fields = proof(world, 5)
    change(fields)
    with pytest.raises((Malformed, ReceiptInvalid)):
        check(fields, NOTE_KEY)


@given(st.binary(max_size=500))
def test_any_bytes_are_refused_with_a_code(data: bytes) -> None:
    with pytest.raises(CredenceError):
        check_receipt(data)


def test_an_entry_is_about_one_person_alone(world: World) -> None:
    """Numbers of other people's entries lead nowhere."""
    world.append(entry(0, subject=PERSON), entry(1, subject=STRANGER), entry(2, subject=PERSON))
    assert [leaf.seq for leaf in world.log.newest_about(PERSON, limit=10)] == [2, 0]
    assert [leaf.seq for leaf in world.log.newest_about(PERSON, before=2, limit=10)] == [0]
    assert [world.log.is_about(seq, PERSON) for seq in range(4)] == [True, False, True, False]


def test_nothing_is_proved_of_an_entry_that_is_not_there(world: World) -> None:
    world.fill(3)
    with pytest.raises(LeafNotFound):
        proof(world, 3)


def test_an_erased_entry_has_no_content_to_show(world: World) -> None:
    world.append(entry(0, subject=PERSON))
    with world.database.write() as connection:
        world.log.erase(connection, PERSON, actor="bank-a", at_ms=1)
    with pytest.raises(PayloadErased):
        proof(world, 0)


def test_a_person_checks_a_file_at_a_prompt(world: World) -> None:
    """The command that the portal names says what stands in the log, or fails."""
    world.fill(30)
    file = world.home / "entry-5.json"
    file.write_text(json.dumps(proof(world, 5)), encoding="utf-8")
    told = CliRunner().invoke(app, ["verify", "receipt", str(file), "--key", NOTE_KEY.encode()])
    assert told.exit_code == 0, told.output
    assert "place 5 of the log" in told.stdout
    assert "give --key" not in told.stdout
    assert "give --key" in CliRunner().invoke(app, ["verify", "receipt", str(file)]).stdout
    printed = json.loads(CliRunner().invoke(app, ["verify", "receipt", str(file), "--json"]).stdout)
    assert printed["payload"] == {"number": 5}
    changed = proof(world, 5)
    _payload(changed)
    file.write_text(json.dumps(changed), encoding="utf-8")
    refused = CliRunner().invoke(app, ["verify", "receipt", str(file)])
    assert refused.exit_code == 3
    assert "entry 5 of the log" in refused.stdout


def test_many_payloads_are_read_at_once_without_the_erased(world: World) -> None:
    world.append(entry(0, subject=PERSON), entry(1, subject=STRANGER), entry(2))
    assert world.log.payloads([2, 0, 1, 7]) == {
        0: {"number": 0},
        1: {"number": 1},
        2: {"number": 2},
    }
    with world.database.write() as connection:
        world.log.erase(connection, PERSON, actor="bank-a", at_ms=1)
    assert set(world.log.payloads(range(3))) == {1, 2}
    assert world.log.payloads([]) == {}
