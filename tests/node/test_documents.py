"""The network's documents: believed under one key, never taken back, all or none."""

import threading
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace

import pytest

from audit.database import Database
from models.catalogue import load_default
from node.network import documents as documents_module
from node.network.documents import CatalogueRollback, Documents, NotJoined
from node.network.rpc_errors import PeerUnreachable
from node.storage.schema import ensure_schema
from protocols.canonical import canonical_json, parse_json
from protocols.directory import Directory, DirectoryRollback, MemberEntry
from protocols.documents import sign_document
from protocols.errors import CredenceError, SignatureInvalid
from protocols.keys import SigningKey

KEY = SigningKey.generate()


def directory(version, *, key=KEY, epoch=1, issued_at_ms=1):
    made = Directory(version, issued_at_ms, epoch, (), key.verify_key.bytes)
    return sign_document("directory", made.to_body(), key)


def catalogue(version, *, key=KEY, title=None):
    body = parse_json(load_default().to_body(), max_bytes=2**20)
    body["version"] = version
    if title:
        body["signals"][0]["title"] = title
    return sign_document("catalogue", canonical_json(body), key)


class Coordinator:
    """Serves what it is told to serve."""

    def __init__(self):
        self.documents = {}
        self.asked = 0

    def fetch(self, kind):
        self.asked += 1
        if kind not in self.documents:
            raise PeerUnreachable("nobody there")
        return self.documents[kind]


@pytest.fixture
def coordinator():
    return Coordinator()


@pytest.fixture
def database(tmp_path):
    opened = Database(f"sqlite:///{tmp_path}/node.db")
    ensure_schema(opened)
    yield opened
    opened.close()


@pytest.fixture
def documents(database, coordinator):
    return Documents(database, KEY.verify_key, coordinator.fetch)


def test_without_documents_a_node_has_not_joined(documents):
    for read in (documents.directory, documents.catalogue):
        with pytest.raises(NotJoined):
            read()


def test_newer_versions_take_over_and_outlive_the_process(documents, database, coordinator):
    documents.install(directory(1), catalogue(1))
    documents.install(directory(3), catalogue(2))
    assert (documents.directory().version, documents.catalogue().version) == (3, 2)
    again = Documents(database, KEY.verify_key, coordinator.fetch)
    assert (again.directory().version, again.catalogue().version) == (3, 2)


def test_an_equal_document_changes_nothing(documents):
    documents.install(directory(1), catalogue(1))
    before = documents.directory()
    documents.install(directory(1), catalogue(1))
    assert documents.directory() == before


@pytest.mark.parametrize(
    ("offered", "error"),
    [
        (directory(1), DirectoryRollback),
        (directory(2, issued_at_ms=9), DirectoryRollback),
        (directory(3, epoch=0), DirectoryRollback),
        (catalogue(1), CatalogueRollback),
        (catalogue(2, title="Another"), CatalogueRollback),
        (directory(9, key=SigningKey.generate()), SignatureInvalid),
        (catalogue(9, key=SigningKey.generate()), SignatureInvalid),
        (replace(directory(9), signature=bytes(64)), SignatureInvalid),
        (replace(directory(9), kind="catalogue"), CredenceError),
    ],
)
def test_what_does_not_hold_is_refused_and_nothing_with_it(documents, offered, error):
    documents.install(directory(2), catalogue(2))
    with pytest.raises(error):
        documents.install(directory(5), catalogue(5), offered)
    assert (documents.directory().version, documents.catalogue().version) == (2, 2)


def test_nothing_is_installed_before_a_key_is_pinned(database, coordinator):
    unpinned = Documents(database, None, coordinator.fetch)
    with pytest.raises(NotJoined):
        unpinned.install(directory(1))


def test_a_refresh_brings_what_the_coordinator_has(documents, coordinator):
    documents.install(directory(1), catalogue(1))
    coordinator.documents = {"directory": directory(2), "catalogue": catalogue(1)}
    documents.refresh()
    assert (documents.directory().version, documents.catalogue().version) == (2, 1)


def test_a_coordinator_that_is_away_leaves_what_is_there(documents):
    documents.install(directory(1), catalogue(1))
    with pytest.raises(PeerUnreachable):
        documents.refresh()
    documents.refresh_if_older_than(0)
    assert documents.directory().version == 1


def test_a_forked_coordinator_is_not_followed(documents, coordinator):
    documents.install(directory(2), catalogue(1))
    coordinator.documents = {"directory": directory(2, issued_at_ms=9), "catalogue": catalogue(1)}
    with pytest.raises(DirectoryRollback):
        documents.refresh()


def test_refreshing_on_demand_asks_no_more_often_than_it_is_told(documents, coordinator):
    documents.install(directory(1), catalogue(1))
    coordinator.documents = {"directory": directory(2), "catalogue": catalogue(1)}
    for _ in range(5):
        documents.refresh_if_older_than(60)
    assert coordinator.asked == 2
    assert documents.directory().version == 2


def test_who_looks_again_while_a_refresh_is_under_way_sees_what_it_brings(documents, coordinator):
    documents.install(directory(1), catalogue(1))
    coordinator.documents = {"directory": directory(2), "catalogue": catalogue(1)}
    fetch, asked, answer = coordinator.fetch, threading.Event(), threading.Event()

    def slow(kind):
        asked.set()
        assert answer.wait(10)
        return fetch(kind)

    documents._fetch = slow
    refreshing = threading.Thread(target=documents.refresh_if_older_than, args=(0,))
    looking = threading.Thread(target=documents.look_again)
    refreshing.start()
    assert asked.wait(10)
    looking.start()
    looking.join(0.2)
    assert looking.is_alive()  # it does not go on with what is about to be replaced
    answer.set()
    looking.join(10)
    refreshing.join(10)
    assert documents.directory().version == 2
    assert coordinator.asked == 2  # both documents, once


class Peers:
    """Members that give what they are told to give."""

    def __init__(self):
        self.documents, self.asked = {}, []

    def some(self, directory):
        return list(self.documents)

    def directory_of(self, member_id):
        self.asked.append(member_id)
        return self.documents[member_id]


def member(member_id):
    key = bytes([len(member_id)]) * 32
    return MemberEntry(member_id, member_id, "bank", "", "", (), key, key, key, None, "active", 1)


def with_members(version, *names):
    made = Directory(version, 1, 1, tuple(map(member, sorted(names))), KEY.verify_key.bytes)
    return sign_document("directory", made.to_body(), KEY)


@pytest.fixture
def peers():
    return Peers()


@pytest.fixture
def told(database, coordinator, peers):
    documents = Documents(database, KEY.verify_key, coordinator.fetch, peers=peers)
    documents.install(with_members(1, "bank-a", "bank-bb"), catalogue(1))
    return documents


def test_who_says_it_has_a_newer_directory_is_asked_when_the_coordinator_is_away(told, peers):
    peers.documents["bank-a"] = with_members(5, "bank-a", "bank-bb")
    told.heard_of(5, "bank-a")
    assert told.directory().version == 5


def test_the_coordinator_is_asked_first(told, peers, coordinator):
    coordinator.documents = {"directory": with_members(5, "bank-a")}
    told.heard_of(5, "bank-a")
    assert (told.directory().version, peers.asked) == (5, [])


def test_nobody_is_asked_for_a_directory_that_is_here(told, peers, coordinator):
    told.heard_of(1, "bank-a")
    told.heard_of(0, "bank-a")
    assert (coordinator.asked, peers.asked) == (0, [])


def test_who_promises_a_directory_and_has_none_is_not_asked_again_and_again(
    told, peers, monkeypatch
):
    monkeypatch.setattr(documents_module, "ON_DEMAND_S", 0.0)
    peers.documents["bank-a"] = with_members(1, "bank-a", "bank-bb")
    for _ in range(5):
        told.heard_of(2**40, "bank-a")
    assert peers.asked == ["bank-a"]
    peers.documents["bank-bb"] = with_members(2, "bank-a", "bank-bb")
    told.heard_of(2, "bank-bb")
    assert told.directory().version == 2


def test_a_stranger_is_not_asked_for_a_directory(told, peers):
    told.heard_of(5, "bank-x")
    assert peers.asked == []


def test_what_another_process_of_the_node_has_stored_is_followed(told, database, coordinator):
    beside = Documents(database, KEY.verify_key, coordinator.fetch)
    beside.install(with_members(4, "bank-a"))
    assert told.directory().version == 1
    told.adopt_stored()
    assert told.directory().version == 4


def test_who_writes_looks_into_the_directory_while_a_new_one_waits_to_be_stored(
    documents, database
):
    """Both have to get on: the one has the database's turn, the other waits for it."""
    documents.install(directory(1), catalogue(1))
    with ThreadPoolExecutor(1) as other, database.write():
        installing = other.submit(documents.install, directory(2))
        wait([installing], timeout=0.2)  # it waits for its turn by now
        looked = ThreadPoolExecutor(1)
        assert looked.submit(documents.directory).result(5).version == 1
        looked.shutdown()
    installing.result(5)
    assert documents.directory().version == 2
