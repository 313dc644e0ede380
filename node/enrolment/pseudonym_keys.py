"""The pseudonym keys a node believes: their public side, one an epoch.

A key is believed when the coordinator signed the document and at least a threshold of trustees
signed for what is in it (`protocols.ceremony.accept_key`). Every version received is kept, so that
the key before the newest stays usable while nodes enrol their customers anew.
"""

import threading
import time
from collections.abc import Callable

from audit.database import Database
from node.storage import documents as storage
from protocols.canonical import parse_canonical
from protocols.ceremony import KEY_KIND, KeyUnconfirmed, PseudonymKey, accept_key
from protocols.directory import Directory
from protocols.documents import MAX_DOCUMENT_BYTES, Document
from protocols.errors import CredenceError, NotFound
from protocols.keys import VerifyKey

REFRESH_S = 1.0


class NoPseudonymKey(CredenceError):
    """The network has made no pseudonym key yet, or not that one."""

    code = "pseudonym_key_missing"
    category = "conflict"
    next_step = "The operator starts a key ceremony: `credence ceremony start HOME`."


class PseudonymKeys:
    """Accepted keys; thread-safe."""

    def __init__(
        self,
        database: Database,
        directory_key: VerifyKey | None,
        directory: Callable[[], Directory],
        fetch: Callable[[str], Document],
        look_again: Callable[[], None] = lambda: None,
    ) -> None:
        """Read from `database`; refresh with `fetch`.

        Args:
            database: the node's.
            directory_key: pinned by the invitation; None before the node has joined.
            directory: the member directory in force.
            fetch: asks the coordinator for the newest document of a kind.
            look_again: gets the newest directory, for trustees that the one in force does not know.
        """
        self._database = database
        self._key = directory_key
        self._directory = directory
        self._fetch = fetch
        self._look_again = look_again
        self._lock = threading.Lock()
        self._held: dict[int, PseudonymKey] = {}  # by epoch
        self._asked_at = float("-inf")  # monotonic seconds

    def install(self, document: Document) -> PseudonymKey:
        """Verify a key and keep it; an equal one changes nothing.

        Raises:
            NoPseudonymKey: this node has joined no network.
            SignatureInvalid, Malformed, KeyRollback, KeyUnconfirmed: it does not hold.
        """
        if self._key is None:
            raise NoPseudonymKey("this node is no member of a network yet")
        try:
            return self._install(document, self._key)
        except KeyUnconfirmed:
            self._look_again()
            return self._install(document, self._key)

    def _install(self, document: Document, key: VerifyKey) -> PseudonymKey:
        with self._lock, self._database.write() as connection:
            held = storage.newest(connection, KEY_KIND)
            accepted = accept_key(held, document, key, self._directory())
            if held is None or document.version > held.version:
                storage.add(connection, document, int(time.time() * 1000))
        return accepted

    def newest(self) -> PseudonymKey:
        """The key of the newest epoch held here; asked for when there is none.

        Raises:
            NoPseudonymKey: there is none in the network.
        """
        if not self.epochs():
            self.refresh()
        epochs = self.epochs()
        if not epochs:
            raise NoPseudonymKey("the network has no pseudonym key yet")
        return self._held[epochs[0]]

    def of_epoch(self, epoch: int) -> PseudonymKey:
        """The key of an epoch; the coordinator is asked when it is not held here.

        Raises:
            NoPseudonymKey: there is none.
        """
        if epoch not in self.epochs():
            self.refresh()
        if epoch not in self.epochs():
            raise NoPseudonymKey(f"there is no pseudonym key of epoch {epoch}")
        return self._held[epoch]

    def epochs(self) -> list[int]:
        """The epochs whose key is held here, the newest first."""
        with self._database.read() as connection:
            found = storage.every(connection, KEY_KIND)
        # What is stored was verified when it came.
        for document in found:
            value = parse_canonical(document.body, max_bytes=MAX_DOCUMENT_BYTES)
            if value["epoch"] not in self._held:
                self._held[value["epoch"]] = PseudonymKey.from_parsed(value)
        return sorted(self._held, reverse=True)

    def refresh(self) -> None:
        """Ask the coordinator, at most once a second; it need not have a key.

        Raises:
            CredenceError: it cannot be reached, or what it serves does not hold.
        """
        if time.monotonic() - self._asked_at < REFRESH_S:
            return
        self._asked_at = time.monotonic()
        try:
            document = self._fetch(KEY_KIND)
        except NotFound:
            return
        self.install(document)
