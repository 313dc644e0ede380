"""The network's signed documents at a node: member directory and signal catalogue.

Rules:
  1. A document is believed only under the directory key that the invitation pinned.
  2. A version is never taken back, and one version never has two bodies.
  3. What is in force is what the database holds; memory is a copy of it.
A node that cannot reach the coordinator goes on with what it has.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from audit.database import Connection, Database
from models.catalogue import Catalogue
from node.storage import documents as storage
from protocols.directory import Directory, accept
from protocols.documents import Document, verify_document
from protocols.errors import CredenceError
from protocols.keys import VerifyKey

Versioned = TypeVar("Versioned", Directory, Catalogue)

log = structlog.get_logger("node.documents")


class NotJoined(CredenceError):
    """The node is not a member of a network yet."""

    code = "not_joined"
    category = "conflict"
    next_step = "Join with `credence node join HOME --invitation TEXT`."


class CatalogueRollback(CredenceError):
    """A catalogue older than the one held, or another one under the same version."""

    code = "catalogue_rollback"
    category = "conflict"
    next_step = "Report this to the operator: an old or forked catalogue is being served."


class Documents:
    """Verified directory and catalogue; thread-safe."""

    def __init__(
        self,
        database: Database,
        directory_key: VerifyKey | None,
        fetch: Callable[[str], Document],
    ) -> None:
        """Read from `database`; refresh with `fetch`.

        Args:
            database: the node's.
            directory_key: pinned by the invitation; None before the node has joined.
            fetch: asks the coordinator for the newest document of a kind.
        """
        self._database = database
        self._key = directory_key
        self._fetch = fetch
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._directory: Directory | None = None
        self._catalogue: Catalogue | None = None
        self._refreshed_at = float("-inf")  # monotonic seconds

    def directory(self) -> Directory:
        """The directory in force.

        Raises:
            NotJoined: there is none yet.
        """
        with self._lock:
            if self._directory is None:
                self._load()
            if self._directory is None:
                raise NotJoined("this node has no member directory yet")
            return self._directory

    def catalogue(self) -> Catalogue:
        """The catalogue in force.

        Raises:
            NotJoined: there is none yet.
        """
        with self._lock:
            if self._catalogue is None:
                self._load()
            if self._catalogue is None:
                raise NotJoined("this node has no signal catalogue yet")
            return self._catalogue

    def install(self, *received: Document) -> None:
        """Verify documents and put all of them in force, or none; equal ones change nothing.

        Raises:
            NotJoined: no directory key is pinned.
            SignatureInvalid, Malformed: a document does not verify.
            DirectoryRollback, CatalogueRollback: it takes back what is held.
        """
        with self._lock:
            with self._database.write() as connection:
                verified = [self._store(connection, document) for document in received]
            # Only after the commit does memory follow the database (rule 3).
            for directory, catalogue in verified:
                self._adopt(directory, catalogue)

    def refresh(self) -> None:
        """Fetch both documents from the coordinator and install what is new.

        Raises:
            CredenceError: the coordinator cannot be reached, or serves what does not hold.
        """
        for kind in ("directory", "catalogue"):
            document = self._fetch(kind)
            if not self._holds(document):
                self.install(document)
        self._refreshed_at = time.monotonic()

    def refresh_if_older_than(self, seconds: float) -> None:
        """Refresh unless that was tried within `seconds`; failures are logged, not raised."""
        if not self._refreshing.acquire(blocking=False):
            return
        try:
            if time.monotonic() - self._refreshed_at >= seconds:
                self._refreshed_at = time.monotonic()
                self.refresh()
        except CredenceError as error:
            log.warning("documents.refresh_failed", code=error.code)
        finally:
            self._refreshing.release()

    def _holds(self, document: Document) -> bool:
        with self._lock:
            held = self._directory if document.kind == "directory" else self._catalogue
        if held is None or held.version != document.version:
            return False
        with self._database.read() as connection:
            stored = storage.newest(connection, document.kind)
        return stored is not None and stored.body == document.body

    def _load(self) -> None:
        """Read what the database holds; it was verified before it was stored, and is again."""
        if self._key is None:
            return
        with self._database.read() as connection:
            for kind in ("directory", "catalogue"):
                stored = storage.newest(connection, kind)
                if stored is not None:
                    self._adopt(*self._verified(None, stored))

    def _store(
        self, connection: Connection, document: Document
    ) -> tuple[Directory | None, Catalogue | None]:
        held = storage.newest(connection, document.kind)
        verified = self._verified(held, document)
        if held is None or document.version > held.version:
            storage.add(connection, document, int(time.time() * 1000))
        return verified

    def _verified(
        self, held: Document | None, document: Document
    ) -> tuple[Directory | None, Catalogue | None]:
        if self._key is None:
            raise NotJoined("no directory key is pinned yet")
        if document.kind == "directory":
            current = Directory.from_body(held.body) if held else None
            return accept(current, document, self._key), None
        body = verify_document(document, self._key, "catalogue")
        _refuse_rollback(held, document)
        return None, Catalogue.from_body(body)

    def _adopt(self, directory: Directory | None, catalogue: Catalogue | None) -> None:
        self._directory = _newer(self._directory, directory)
        self._catalogue = _newer(self._catalogue, catalogue)


def _refuse_rollback(held: Document | None, offered: Document) -> None:
    if held is None:
        return
    if offered.version < held.version:
        raise CatalogueRollback(
            f"catalogue version {offered.version} is older than {held.version}, held here"
        )
    if offered.version == held.version and offered.body != held.body:
        raise CatalogueRollback(f"two different catalogues of version {held.version}")


def _newer(held: Versioned | None, offered: Versioned | None) -> Versioned | None:
    if offered is None or (held is not None and held.version > offered.version):
        return held
    return offered
