"""The network's signed documents at a node: member directory and signal catalogue.

Rules:
  1. A document is believed only under the directory key that the invitation pinned.
  2. A version is never taken back, and one version never has two bodies.
  3. What is in force is what the database holds; memory is a copy of it.
  4. A directory is as good from a member as from the coordinator: when the coordinator is away, or
     hides what a caller says it holds, members are asked.
  5. Whoever decides reads the directory as it stands now: a licence runs out without a new version.
  6. A directory that is too old allows no release (`fresh_directory`): whoever keeps news from a
     node must not profit from it.
A node that cannot reach the coordinator goes on with what it has, within rule 6.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

import structlog

from audit.database import Connection, Database
from models.catalogue import Catalogue
from node.storage import documents as storage
from protocols.directory import Directory, accept
from protocols.documents import Document, verify_document
from protocols.errors import CredenceError
from protocols.keys import VerifyKey

_NEVER_MS = 2**63

Versioned = TypeVar("Versioned", Directory, Catalogue)

KEPT_VERSIONS = 8
DISBELIEF_S = 60.0  # who said it has a newer directory and did not give it is not asked so long
ON_DEMAND_S = 1.0
UNDER_WAY_S = 3.0  # how long one who needs the newest waits for another's refresh

log = structlog.get_logger("node.documents")


class NotJoined(CredenceError):
    """The node is not a member of a network yet."""

    code = "not_joined"
    category = "conflict"
    next_step = "Join with `credence node join HOME --invitation TEXT`."


class DirectoryStale(CredenceError):
    """The newest directory here is too old to release anything by."""

    code = "directory_stale"
    category = "unavailable"
    retryable = True
    next_step = "Let the node reach the coordinator or any member: it has had no news for too long."


class CatalogueRollback(CredenceError):
    """A catalogue older than the one held, or another one under the same version."""

    code = "catalogue_rollback"
    category = "conflict"
    next_step = "Report this to the operator: an old or forked catalogue is being served."


class Peers(Protocol):
    """Other members, where the coordinator is not to be had."""

    def some(self, directory: Directory) -> list[str]:
        """A few active members to ask, in random order."""
        ...

    def directory_of(self, member_id: str) -> Document:
        """The newest directory that a member holds, not verified yet."""
        ...


Changed = Callable[[Connection, Directory | None, Directory], None]
"""Told of a new directory beside the one it replaces, in the transaction that stores it."""


class Documents:
    """Verified directory and catalogue; thread-safe."""

    def __init__(
        self,
        database: Database,
        directory_key: VerifyKey | None,
        fetch: Callable[[str], Document],
        *,
        peers: Peers | None = None,
        changed: Changed | None = None,
        max_age_s: float = 86_400.0,
        clock: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        """Read from `database`; refresh with `fetch`.

        Args:
            database: the node's.
            directory_key: pinned by the invitation; None before the node has joined.
            fetch: asks the coordinator for the newest document of a kind.
            peers: asked when the coordinator is away; None: nobody is.
            changed: see `Changed`.
            max_age_s: how old a directory may be to release by, seconds.
            clock: UTC milliseconds now.
        """
        self._database = database
        self._key = directory_key
        self._fetch = fetch
        self._peers = peers
        self._changed = changed
        self._max_age_ms = int(max_age_s * 1000)
        self._clock = clock
        self._lock = threading.Lock()
        self._refreshing = threading.Lock()
        self._directory: Directory | None = None
        self._standing: Directory | None = None  # the same as it stands until `_stands_until_ms`
        self._stands_until_ms = 0
        self._coordinator_away = False
        self._disbelieved: dict[str, float] = {}  # member id: until, monotonic seconds
        self._heard_at = float("-inf")
        self._catalogue: Catalogue | None = None
        self._refreshed_at = float("-inf")  # monotonic seconds

    def directory(self) -> Directory:
        """The directory in force, as it stands now (rule 5).

        Raises:
            NotJoined: there is none yet.
        """
        now_ms = self._clock()
        with self._lock:
            if self._directory is None:
                self._load()
            if self._directory is None:
                raise NotJoined("this node has no member directory yet")
            if self._standing is None or now_ms >= self._stands_until_ms:
                self._standing = self._directory.at(now_ms)
                self._stands_until_ms = self._directory.next_lapse_ms(now_ms) or _NEVER_MS
            return self._standing

    def fresh_directory(self) -> Directory:
        """The directory in force, for whoever releases something by it (rule 6).

        Raises:
            NotJoined: there is none yet.
            DirectoryStale: it is too old.
        """
        directory = self.directory()
        age_ms = self._clock() - directory.issued_at_ms
        if age_ms > self._max_age_ms:
            raise DirectoryStale(
                f"the newest member directory here is {age_ms // 60_000} minutes old"
            )
        return directory

    def document(self, kind: str) -> Document:
        """A document in force as it was signed, to be passed on.

        Raises:
            NotJoined: there is none yet.
        """
        with self._database.read() as connection:
            stored = storage.newest(connection, kind)
        if stored is None:
            raise NotJoined(f"this node has no {kind} yet")
        return stored

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
        # Never the lock around the transaction: who writes looks into the directory meanwhile.
        with self._database.write() as connection:
            verified = [self._store(connection, document) for document in received]
        # Only after the commit does memory follow the database (rule 3), and never back.
        with self._lock:
            for directory, catalogue in verified:
                self._adopt(directory, catalogue)

    def refresh(self) -> None:
        """Fetch both documents from the coordinator and install what is new.

        When that fails, a few members are asked for their directory before it is raised.

        Raises:
            CredenceError: the coordinator cannot be reached, or serves what does not hold.
        """
        self.adopt_stored()
        try:
            for kind in ("directory", "catalogue"):
                self._install_new(self._fetch(kind))
        except CredenceError:
            self._coordinator_away = True
            self._ask_peers()
            raise
        self._coordinator_away = False
        self._refreshed_at = time.monotonic()

    def refresh_if_older_than(self, seconds: float) -> None:
        """Refresh unless that was tried within `seconds`; failures are logged, not raised."""
        self._try_refresh(seconds, wait_s=0.0)

    def look_again(self) -> None:
        """Somebody is not in the directory who should be: refresh, unless that was just done.

        Waits a while for a refresh that is under way; failures are logged, not raised.
        """
        self._try_refresh(ON_DEMAND_S, wait_s=UNDER_WAY_S)

    def _try_refresh(self, seconds: float, wait_s: float) -> None:
        if not self._refreshing.acquire(timeout=wait_s):
            return  # another thread's refresh is under way
        try:
            if time.monotonic() - self._refreshed_at >= seconds:
                self._refreshed_at = time.monotonic()
                self.refresh()
        except CredenceError as error:
            log.warning("documents.refresh_failed", code=error.code)
        finally:
            self._refreshing.release()

    def heard_of(self, version: int, member_id: str) -> None:
        """A member says it holds this version: get it when it is newer; failures are logged.

        The coordinator is asked first, unless it was away a moment ago; then that member.
        """
        if version <= self._version() or not self._refreshing.acquire(blocking=False):
            return
        try:
            now = time.monotonic()
            if now - self._heard_at < ON_DEMAND_S or now < self._disbelieved.get(member_id, 0):
                return
            self._heard_at = now
            self._catch_up(version, member_id)
        except CredenceError as error:
            log.warning("documents.not_given", member=member_id, code=error.code)
        finally:
            self._refreshing.release()

    def _catch_up(self, version: int, member_id: str) -> None:
        if not self._coordinator_away:
            try:
                self._install_new(self._fetch("directory"))
            except CredenceError as error:
                self._coordinator_away = True
                log.warning("documents.refresh_failed", code=error.code)
        if version <= self._version() or self._peers is None:
            return
        self.directory().active_member(member_id)  # nobody else is asked
        self._disbelieved[member_id] = time.monotonic() + DISBELIEF_S
        self._install_new(self._peers.directory_of(member_id))
        if version <= self._version():
            self._disbelieved.pop(member_id, None)

    def _ask_peers(self) -> None:
        if self._peers is None:
            return
        try:
            asked = self._peers.some(self.directory())
        except CredenceError:
            return
        for member_id in asked:
            try:
                self._install_new(self._peers.directory_of(member_id))
            except CredenceError as error:
                log.info("documents.not_given", member=member_id, code=error.code)

    def _install_new(self, document: Document) -> None:
        if not self._holds(document):
            self.install(document)

    def _version(self) -> int:
        with self._lock:
            return self._directory.version if self._directory is not None else 0

    def adopt_stored(self) -> None:
        """Follow what another process of this node has stored meanwhile."""
        with self._lock:
            held = {
                "directory": self._directory.version if self._directory else 0,
                "catalogue": self._catalogue.version if self._catalogue else 0,
            }
            with self._database.read() as connection:
                stored = {kind: storage.newest_version(connection, kind) for kind in held}
            if stored != held:
                self._load()

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
            storage.add(connection, document, self._clock())
            storage.forget(connection, document.kind, document.version - KEPT_VERSIONS)
            directory = verified[0]
            if directory is not None and self._changed is not None:
                before = Directory.from_body(held.body) if held else None
                self._changed(connection, before, directory)
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
        self._standing = None
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
