"""What leaves a log as a file is judged without it: the verdict, its exit status, and the place."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit import witness_store as store
from audit.checkpoint import sign_checkpoint, signer_of
from audit.export import Signer, export_log
from audit.oversight import Oversight
from audit.proofs import LogReader
from audit.ranges import export_range
from audit.verifier import Checkpoint, NoteKey, Outcome, Policy
from audit.verifier import commands as offline
from audit.verifier.__main__ import main
from audit.verifier.consistency import check_consistency, check_path
from audit.verifier.cosignature import CosignatureKey
from audit.verifier.policy import Witness
from audit.verifier.promise import PROMISE_DOMAIN, promised
from audit.verifier.receipt import check_receipt
from audit.verifier.trust import NO_TRUST
from audit.witness import cosign
from audit.witness_tables import create_witness_schema
from protocols.errors import CredenceError, SignatureInvalid
from protocols.keys import SigningKey
from tests.audit import foreign, naive
from tests.audit.world import ORIGIN, World, entry

KEY = SigningKey.from_seed(bytes(32))
NOTE_KEY = NoteKey(ORIGIN, KEY.verify_key)
PERSON = b"p" * 32
WITNESSES = {name: SigningKey.from_seed(name.encode().ljust(32)) for name in ("w-b", "w-c")}
POLICY = Policy.of(
    [NOTE_KEY],
    [Witness(name, CosignatureKey(name, key.verify_key)) for name, key in WITNESSES.items()],
    2,
)


def holds(text: bytes, signature: bytes) -> bool:
    try:
        KEY.verify_key.verify_raw(text, signature)
    except SignatureInvalid:
        return False
    return True


def witnessed(world: World, *names: str) -> bytes:
    note = sign_checkpoint(world.log.checkpoint(), KEY)
    text = note.decode().rpartition("\n\n")[0] + "\n"
    return note + b"".join(cosign(name, WITNESSES[name], text, 1_000) for name in names)


@dataclass
class Desk:
    """A log whose files are handed out, and a reader's command."""

    world: World
    reader: LogReader
    folder: Path

    def write(self, name: str, content: bytes | str | dict[str, Any]) -> Path:
        file = self.folder / name
        if isinstance(content, dict):
            content = json.dumps(content)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    def receipt(self, seq: int, *, opened: bool = True) -> dict[str, Any]:
        return self.reader.receipt(seq, opened=opened).to_json()

    def run(self, what: str, *arguments: object, keyed: bool = True) -> int:
        key = ["--key", NOTE_KEY.encode()] if keyed else []
        return main([what, *map(str, arguments), *key])


@pytest.fixture
def desk(world: World, tmp_path: Path) -> Desk:
    with world.database.write() as connection:
        create_witness_schema(connection)
    world.append(*(entry(number, subject=PERSON if number == 7 else None) for number in range(30)))
    reader = LogReader(world.log, world.database, lambda: KEY, lambda: 0)
    return Desk(world, reader, tmp_path)


# -- exports


@pytest.mark.parametrize(
    ("start", "size"), [(0, 30), (0, 0), (13, 30), (8, 16), (29, 30), (30, 30)]
)
def test_a_range_verifies_here_and_by_a_foreign_hand(
    desk: Desk, capsys: pytest.CaptureFixture[str], start: int, size: int
) -> None:
    file = desk.folder / "range.jsonl"
    signer = Signer(
        ORIGIN, KEY, witnessed(desk.world, "w-b", "w-c"), desk.world.log.consistency_proof
    )
    export_log(desk.world.home, file, start=start, size=size, signer=signer)
    leaves = foreign.export(file.read_text().splitlines(), ORIGIN, holds)
    assert [leaf["correlation"] for leaf in leaves] == [f"req_{at}" for at in range(start, size)]
    assert desk.run("export", file) == 0
    policy = desk.write("policy", POLICY.encode())
    # Nothing leads from no leaves to a witnessed head: an empty export is only signed.
    assert desk.run("export", file, "--policy", policy, keyed=False) == (0 if size else 4)
    assert "DIVERGES" not in capsys.readouterr().out


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_changed_leaf_of_a_range_is_named(desk: Desk, data: st.DataObject) -> None:
    file = desk.folder / "range.jsonl"
    if not file.exists():
        export_log(desk.world.home, file, start=11, signer=Signer(ORIGIN, KEY))
    lines = file.read_text().splitlines(keepends=True)
    at = data.draw(st.integers(1, len(lines) - 1))
    fields = json.loads(lines[at])
    fields["leaf"] = fields["leaf"].replace('"bank-a"', '"bank-z"')
    changed = desk.write(
        "changed.jsonl", "".join([*lines[:at], json.dumps(fields) + "\n", *lines[at + 1 :]])
    )
    verdict = offline.verify_export(changed, NO_TRUST)
    assert verdict.outcome is Outcome.INVALID
    assert verdict.fields["first_failure"]["seq"] == 10 + at


def test_a_range_of_another_history_diverges_from_its_own_checkpoints(desk: Desk) -> None:
    """What comes before the range cannot be replaced: its root is signed, and so is the end's."""
    file = desk.folder / "range.jsonl"
    export_log(desk.world.home, file, start=8, signer=Signer(ORIGIN, KEY))
    lines = file.read_text().splitlines(keepends=True)
    head = json.loads(lines[0])
    head["before"] = ["11" * 32]
    tree = foreign.pair(bytes.fromhex("11" * 32), bytes(32))
    assert tree
    head["root"] = _root(head["before"], lines[1:])
    forged = desk.write("forged.jsonl", "".join([json.dumps(head) + "\n", *lines[1:]]))
    assert desk.run("export", forged) == 5


def _root(before: list[str], lines: list[str]) -> str:
    stack, size = [bytes.fromhex(one) for one in before], 8
    for line in lines:
        node, bits = bytes.fromhex(json.loads(line)["hash"]), size
        while bits & 1:
            node, bits = foreign.pair(stack.pop(), node), bits >> 1
        stack.append(node)
        size += 1
    return foreign.fold(stack).hex()


def test_an_export_signed_by_somebody_else_is_invalid(desk: Desk) -> None:
    file = desk.folder / "range.jsonl"
    export_log(desk.world.home, file, signer=Signer(ORIGIN, SigningKey.from_seed(b"x" * 32)))
    assert desk.run("export", file) == 3


def test_a_kept_checkpoint_from_before_a_range_cannot_be_compared_and_it_is_said(
    desk: Desk,
) -> None:
    kept = desk.write("kept", sign_checkpoint(desk.world.log.checkpoint(), KEY))
    desk.world.fill(10)
    file = desk.folder / "range.jsonl"
    export_log(desk.world.home, file, start=35, signer=Signer(ORIGIN, KEY))
    assert desk.run("export", file, "--checkpoint", kept) == 4
    export_log(desk.world.home, file, start=20, signer=Signer(ORIGIN, KEY))
    assert desk.run("export", file, "--checkpoint", kept) == 0


# -- receipts


def test_a_receipt_holds_here_and_by_a_foreign_hand(desk: Desk) -> None:
    for seq in (0, 5, 16, 29):
        fields = desk.receipt(seq)
        assert foreign.receipt(json.dumps(fields), ORIGIN, holds)["correlation"] == f"req_{seq}"
        assert desk.run("receipt", desk.write("receipt", fields)) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.update(payload=fields["payload"].replace("5", "6")),
        lambda fields: fields.update(leaf=fields["leaf"].replace("bank-a", "bank-b")),
        lambda fields: fields.update(seq=6),
        lambda fields: fields["path"].pop(),
    ],
)
def test_an_invalid_receipt_names_its_place(
    desk: Desk, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], None]
) -> None:
    fields = desk.receipt(5)
    change(fields)
    assert desk.run("receipt", desk.write("receipt", fields)) == 3
    assert f"{fields['seq']}" in capsys.readouterr().out


def test_an_erased_receipt_still_holds_and_says_so(desk: Desk) -> None:
    """The proof made before erasure verifies after it; a new one says that the content is gone."""
    before = desk.write("before", desk.receipt(7))
    with desk.world.database.write() as connection:
        desk.world.log.erase(connection, PERSON, actor="bank-a", at_ms=1)
    assert desk.run("receipt", before) == 0
    for opened in (True, False):
        after = desk.receipt(7, opened=opened)
        assert (after["content"], after["payload"], after["salt"]) == ("erased", None, None)
        assert desk.run("receipt", desk.write("after", after)) == 6
    assert desk.receipt(8, opened=False)["content"] == "withheld"


def test_a_receipt_without_the_witnesses_of_the_policy_is_unwitnessed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = desk.write("policy", POLICY.encode())
    file = desk.write("receipt", desk.receipt(5))
    assert desk.run("receipt", file, "--policy", policy, keyed=False) == 4
    note = witnessed(desk.world, "w-b", "w-c")
    desk.world.fill(10)
    monkeypatch.setattr("audit.proofs.latest_witnessed", lambda _: note)
    complete = desk.receipt(5)
    assert complete["checkpoint"].encode() == note
    assert desk.run("receipt", desk.write("r", complete), "--policy", policy, keyed=False) == 0
    young = desk.receipt(35)  # the witnessed head does not cover it yet
    assert desk.run("receipt", desk.write("r", young), "--policy", policy, keyed=False) == 4


def test_a_kept_checkpoint_of_another_history_contradicts_a_receipt(desk: Desk) -> None:
    other = sign_checkpoint(Checkpoint(ORIGIN, 30, bytes(32)), KEY)
    file = desk.write("receipt", desk.receipt(5))
    assert desk.run("receipt", file, "--checkpoint", desk.write("kept", other)) == 5
    smaller = sign_checkpoint(Checkpoint(ORIGIN, 20, bytes(32)), KEY)
    assert desk.run("receipt", file, "--checkpoint", desk.write("kept", smaller)) == 4


def test_a_receipt_keeps_the_promise_made_with_the_act_or_breaks_it(desk: Desk) -> None:
    file = desk.write("receipt", desk.receipt(5))
    leaf_hash = check_receipt(file.read_bytes()).leaf_hash.hex()

    def promise(seq: int, hashed: str, key: SigningKey = KEY) -> Path:
        signature = key.sign(PROMISE_DOMAIN, promised(ORIGIN, seq, hashed)).hex()
        said = {"log": ORIGIN, "seq": seq, "leaf_hash": hashed, "signature": signature}
        return desk.write("answer", {"score": 700, "receipt": said})

    assert desk.run("receipt", file, "--promise", promise(5, leaf_hash)) == 0
    assert desk.run("receipt", file, "--promise", promise(5, "00" * 32)) == 3
    assert desk.run("receipt", file, "--promise", promise(6, leaf_hash)) == 3
    stranger = SigningKey.from_seed(b"x" * 32)
    assert desk.run("receipt", file, "--promise", promise(5, leaf_hash, stranger)) == 3


# -- consistency


def test_a_log_that_grew_is_shown_to_continue_a_kept_checkpoint(desk: Desk) -> None:
    kept = sign_checkpoint(desk.world.log.checkpoint(), KEY)
    desk.world.fill(25)
    file = desk.write("proof", desk.reader.consistency_file(kept))
    assert desk.run("consistency", file) == 0
    assert desk.run("consistency", file, "--checkpoint", desk.write("kept", kept)) == 0
    other = sign_checkpoint(Checkpoint(ORIGIN, 30, bytes(32)), KEY)
    assert desk.run("consistency", file, "--checkpoint", desk.write("kept", other)) == 5
    fields = json.loads(file.read_text())
    fields["path"][0] = "00" * 32
    assert desk.run("consistency", desk.write("bad", fields)) == 3


def test_what_is_handed_out_after_the_logs_key_was_replaced_verifies_under_the_key_it_names(
    desk: Desk,
) -> None:
    """The newest witnessed head is signed with the earlier key, for a minute as a rule."""
    checkpoint = desk.world.log.checkpoint()
    old = sign_checkpoint(checkpoint, KEY)
    with desk.world.database.write() as connection:
        store.open_epoch(connection, store.Epoch(1, ORIGIN, 0, b"", "founded", 0, 0, ""))
        store.add_signed(connection, checkpoint, old, 0)
        store.mark_witnessed(connection, checkpoint, witnessed(desk.world, "w-b", "w-c"), 0)
    policy = desk.write("policy", POLICY.encode())
    for key, status in ((KEY, 0), (SigningKey.generate(), 4)):
        rotated = NoteKey(ORIGIN, key.verify_key)
        both = POLICY.encode() if key is KEY else f"log {rotated.encode()}\n" + POLICY.encode()
        policy.write_text(both)
        reader = LogReader(desk.world.log, desk.world.database, lambda key=key: key, lambda: 0)
        file = desk.write("receipt", reader.receipt(5, opened=True).to_json())
        assert desk.run("receipt", file, keyed=False) == 0
        assert desk.run("receipt", file, "--policy", policy, keyed=False) == status
        grown = desk.write("proof", reader.consistency_file(old))
        keys = ["--key", NOTE_KEY.encode(), "--key", rotated.encode()]
        assert desk.run("consistency", grown, *keys, keyed=False) == 0
        assert NoteKey.parse(json.loads(grown.read_text())["key"]) == rotated
        assert rotated == signer_of(json.loads(grown.read_text())["new"].encode(), [rotated])
        span = desk.folder / f"range-{status}"
        export_range(desk.world.database, desk.world.log, lambda key=key: key, span, 0, None)
        assert desk.run("export", span, keyed=False) == 0
        read = Policy.parse(policy.read_bytes())
        clock = desk.reader.now_ms
        oversight = Oversight(desk.world.database, desk.world.log, lambda key=key: key, clock,
                              lambda read=read: read)  # fmt: skip
        shown = oversight.prove("reg_1", 5)
        assert (shown["key"], shown["witnessed_key"]) == (rotated.encode(), NOTE_KEY.encode())


def test_two_signed_roots_of_one_size_are_evidence(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = desk.reader.consistency_file(sign_checkpoint(desk.world.log.checkpoint(), KEY))
    fields["old"] = sign_checkpoint(Checkpoint(ORIGIN, 30, bytes(32)), KEY).decode()
    assert desk.run("consistency", desk.write("fork", fields)) == 5
    assert "the evidence" in capsys.readouterr().out


@pytest.mark.parametrize("new", [1, 2, 3, 7, 8, 9, 30])
def test_consistency_is_that_of_the_rfc_and_no_other(new: int) -> None:
    leaves = [bytes([number]) for number in range(new)]
    for old in range(new + 1):
        proof = naive.proof(old, leaves) if 0 < old < new else []
        roots = naive.mth(leaves[:old]), naive.mth(leaves)
        check_path(old, new, *roots, proof)
        for wrong in ([*proof, bytes(32)], proof[:-1], [bytes(32), *proof[1:]]):
            if wrong != proof:
                with pytest.raises(CredenceError):
                    check_path(old, new, *roots, wrong)
        if old:
            with pytest.raises(CredenceError):
                check_path(old, new, bytes(32), roots[1], proof)


@given(st.binary(max_size=300))
def test_any_bytes_are_refused_with_a_code(data: bytes) -> None:
    with pytest.raises(CredenceError):
        check_consistency(data, NO_TRUST)
