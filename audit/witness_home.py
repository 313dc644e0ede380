"""A witness outside the network, a supervisor's for example, in a home directory of its own.

    HOME/witness.json      its name, its organisation, where it listens, the network's directory key
    HOME/kek, keys.sealed  its signing key
    HOME/directory.json    the newest signed member directory, which says which logs there are
    HOME/witness.db        what it holds of each log, and evidence of forks

The directory key is the only thing that is trusted at first; it comes with the invitation, or from
the operator. Logs bring the directory themselves when the witness does not know them.
"""

import json
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from audit.database import Connection, Database
from audit.verifier.cosignature import CosignatureKey
from audit.verifier.note import NoteKey, valid_key_name
from audit.witness import Answer, Witness
from audit.witness_peers import ExternalWitness, watched_keys
from audit.witness_store import held_notes
from audit.witness_tables import create_witness_schema
from protocols.directory import Directory, accept
from protocols.documents import MAX_DOCUMENT_BYTES, Document
from protocols.errors import HomeUnusable, InvalidInput, Malformed
from protocols.identifiers import is_endpoint
from protocols.keys import SigningKey, VerifyKey
from protocols.keystore import open_keys, seal_keys

SETTINGS_FILE = "witness.json"
DIRECTORY_FILE = "directory.json"
DATABASE_FILE = "witness.db"
MAX_DIRECTORY_BYTES = 2 * MAX_DOCUMENT_BYTES
_DIRECTORY_FIELDS = {"version", "body", "signature", "key_id"}


@dataclass(frozen=True, slots=True)
class WitnessSettings:
    """What a witness is told once.

    Attributes:
        name: key name of its cosignatures, a schema-less URL.
        organisation: who runs it.
        listen: host:port of its HTTP face.
        directory_key: the network's, 64 hex digits.
    """

    name: str
    organisation: str
    listen: str
    directory_key: str

    def __post_init__(self) -> None:
        if not valid_key_name(self.name) or not valid_key_name(self.organisation):
            raise InvalidInput("a witness's name and organisation hold neither space nor plus")
        if not is_endpoint(self.listen):
            raise InvalidInput("a witness listens at host:port")
        try:
            VerifyKey(bytes.fromhex(self.directory_key))
        except ValueError as error:
            raise InvalidInput("a directory key is 64 hex digits") from error


def init_witness(home: Path, settings: WitnessSettings) -> CosignatureKey:
    """Make a witness in `home`, a new or empty directory; its public key.

    Raises:
        HomeUnusable: `home` is not empty, or cannot be written.
    """
    key, kek = SigningKey.generate(), secrets.token_bytes(32)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(home.iterdir()):
            raise HomeUnusable(f"{home} is not empty; it stays as it is")
        _write(home / "kek", kek)
        _write(home / "keys.sealed", seal_keys(kek, {"witness": key.seed}))
        _write(home / SETTINGS_FILE, (json.dumps(asdict(settings), indent=2) + "\n").encode())
    except OSError as error:
        raise HomeUnusable(f"cannot write {home}: {error.strerror}") from error
    return CosignatureKey(settings.name, key.verify_key)


class WitnessHome:
    """An opened witness; thread-safe."""

    def __init__(self, home: Path, now_ms: Callable[[], int]) -> None:
        """Open the witness in `home`.

        Raises:
            HomeUnusable: there is none, or a file of it cannot be read.
            DatabaseUnavailable: its database cannot be opened.
        """
        self._home = home
        self._now_ms = now_ms
        try:
            self.settings = WitnessSettings(**json.loads(_read(home / SETTINGS_FILE)))
        except (ValueError, TypeError) as error:
            raise HomeUnusable(f"{home / SETTINGS_FILE} is not a witness's") from error
        keys = open_keys(_read(home / "kek"), _read(home / "keys.sealed"))
        self._key = SigningKey.from_seed(keys["witness"])
        self.database = Database(f"sqlite:///{home / DATABASE_FILE}")
        with self.database.write() as connection:
            create_witness_schema(connection)
        self._directory: Directory | None = None
        if (home / DIRECTORY_FILE).exists():
            self.take_directory(_read(home / DIRECTORY_FILE))
        self._witness = Witness(self.settings.name, lambda: self._key, self._watched)

    @property
    def key(self) -> CosignatureKey:
        """Its public key."""
        return CosignatureKey(self.settings.name, self._key.verify_key)

    @property
    def line(self) -> str:
        """What a log writes into `witnesses`, when this machine is asked."""
        url = f"http://{self.settings.listen}"
        return f"{self.settings.organisation} {self.key.encode()} {url}"

    @property
    def directory(self) -> Directory | None:
        """The newest directory it has; None: it knows no logs yet."""
        return self._directory

    def answer(self, body: bytes) -> Answer:
        """Answer an `add-checkpoint` request."""
        return self._witness.answer(self.database, body, self._now_ms())

    def latest(self, origin: str) -> list[bytes]:
        """What it holds of a log."""
        with self.database.read() as connection:
            return held_notes(connection, origin)

    def take_directory(self, data: bytes) -> int:
        """Take a signed directory, from anybody; the version in force.

        Raises:
            Malformed: it is none.
            SignatureInvalid: the network's directory key did not sign it.
            DirectoryRollback: it is older than the one held, or beside it.
        """
        document = read_directory(data)
        key = VerifyKey(bytes.fromhex(self.settings.directory_key))
        directory = accept(self._directory, document, key)
        if directory != self._directory:
            replacing = self._home / f"{DIRECTORY_FILE}.{secrets.token_hex(4)}"
            _write(replacing, data)
            replacing.replace(self._home / DIRECTORY_FILE)
            self._directory = directory
        return directory.version

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _watched(self, connection: Connection, origin: str) -> Sequence[NoteKey]:
        if self._directory is None:
            return ()
        return watched_keys(self._directory, connection, origin, self._now_ms())


def directory_file(document: Document) -> bytes:
    """A signed directory as a file."""
    fields = {
        "version": document.version,
        "body": document.body.decode(),
        "signature": document.signature.hex(),
        "key_id": document.key_id,
    }
    return (json.dumps(fields) + "\n").encode()


def read_directory(data: bytes) -> Document:
    """Inverse of `directory_file`; nothing is verified yet.

    Raises:
        Malformed: another form.
    """
    if len(data) > MAX_DIRECTORY_BYTES:
        raise Malformed(f"a directory file has at most {MAX_DIRECTORY_BYTES} bytes")
    try:
        fields: Any = json.loads(data)
        if set(fields) != _DIRECTORY_FIELDS or type(fields["version"]) is not int:
            raise Malformed("this is no directory file")
        return Document(
            "directory",
            fields["version"],
            fields["body"].encode(),
            bytes.fromhex(fields["signature"]),
            str(fields["key_id"]),
        )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed("this is no directory file") from error


def external(home: WitnessHome, url: str) -> ExternalWitness:
    """The witness as a log's settings name it, at `url`."""
    return ExternalWitness.parse(f"{home.settings.organisation} {home.key.encode()} {url}")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HomeUnusable(
            f"{path.parent} is not a witness's home: {path.name} cannot be read",
            next_step="Make one with `credence witness init HOME`, or correct the path.",
        ) from error


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
