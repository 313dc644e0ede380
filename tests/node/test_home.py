"""A home is made whole or not at all, opened without torch, and served by one process."""

import stat
import subprocess
import sys

import pytest

from node.bootstrap import init_node, open_node
from node.home import HomeExists, is_running, only_process
from node.keystore import open_keystore
from node.network.documents import NotJoined
from protocols.errors import AlreadyRunning, HomeUnusable, InvalidInput, SignatureInvalid

GIVEN = {"member_id": "bank-a", "name": "Harbour Bank", "role": "bank"}


def names(directory):
    return [path.name for path in directory.iterdir()]


@pytest.fixture
def home(tmp_path):
    init_node(tmp_path / "home", **GIVEN)
    return tmp_path / "home"


def test_a_new_home_opens_before_it_has_joined(home):
    node = open_node(home)
    try:
        assert node.member_id == "bank-a"
        assert node.audit.head().size == 0
        with pytest.raises(NotJoined):
            node.documents.directory()
        with pytest.raises(NotJoined):
            node.identity()
        with pytest.raises(NotJoined):
            node.ingestion()
    finally:
        node.close()


def test_secrets_are_readable_by_their_owner_only(home):
    for name in ("kek", "keys.sealed"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_two_homes_share_no_secret(home, tmp_path):
    init_node(tmp_path / "other", **GIVEN)
    one, other = open_keystore(home), open_keystore(tmp_path / "other")
    for name in ("local_key", "audit_index", "kek", "tls"):
        assert getattr(one, name) != getattr(other, name)
    assert one.signing.seed != other.signing.seed
    assert one.sealing.private != other.sealing.private


def test_keys_do_not_open_under_another_key_encryption_key(home):
    (home / "kek").chmod(0o600)
    (home / "kek").write_bytes(bytes(32))
    with pytest.raises(SignatureInvalid):
        open_node(home)


def test_changed_keys_do_not_open(home):
    sealed = bytearray((home / "keys.sealed").read_bytes())
    sealed[-1] ^= 1
    (home / "keys.sealed").write_bytes(bytes(sealed))
    with pytest.raises(SignatureInvalid):
        open_node(home)


def test_missing_keys_are_one_clear_error(home):
    (home / "keys.sealed").unlink()
    with pytest.raises(HomeUnusable, match="keys"):
        open_node(home)


def test_a_directory_in_use_stays_as_it_is(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(HomeExists):
        init_node(tmp_path, **GIVEN)
    assert names(tmp_path) == ["letter.txt"]


@pytest.mark.parametrize("wrong", [{"role": "king"}, {"max_epsilon": 99.0}])
def test_a_wrong_argument_leaves_nothing_behind(tmp_path, wrong):
    with pytest.raises(InvalidInput, match=r"role|max_epsilon"):
        init_node(tmp_path / "home", **(GIVEN | wrong))
    assert names(tmp_path) == []


def test_a_place_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeUnusable, match="cannot make"):
        init_node(tmp_path / "file" / "home", **GIVEN)
    assert names(tmp_path) == ["file"]


def test_a_second_process_on_one_home_is_refused(home):
    assert not is_running(home)
    with only_process(home):
        assert is_running(home)
        with pytest.raises(AlreadyRunning, match=str(home)), only_process(home):
            pass
    assert not is_running(home)


def test_the_serving_process_loads_neither_torch_nor_flower_nor_ibis():
    heavy = ["torch", "flwr", "opacus", "ibis", "duckdb"]
    code = f"import sys, node.process, node.status; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
