"""The model in use: the active bundle, verified and loaded once, loaded again when it changes."""

import threading
from collections.abc import Callable

from audit.database import Connection
from models.bundle import Bundle
from models.catalogue import Catalogue
from models.evaluate import Scorer
from node.storage import bundles
from node.storage.bundles import BundleRow
from protocols.documents import Document, verify_document
from protocols.errors import NotFound, Unavailable
from protocols.keys import VerifyKey


class NoModel(Unavailable):
    """No model bundle is in use at this node yet."""

    code = "no_model"
    next_step = "Train one, or wait until the node has fetched the network's newest bundle."


class UnknownModelVersion(NotFound):
    """This node keeps no bundle of that version."""

    code = "unknown_model_version"


class ActiveModel:
    """Hands out the scorer of the model in use; thread-safe.

    A bundle is believed only when its signed manifest verifies under the network's directory key
    and its tensors have the hash that the manifest names, each time it is loaded.
    """

    def __init__(
        self, directory_key: Callable[[], VerifyKey], catalogue: Callable[[], Catalogue]
    ) -> None:
        """Load with the catalogue in force.

        Args:
            directory_key: the key the invitation pinned; raises before the node has joined.
            catalogue: the catalogue in force.
        """
        self._directory_key = directory_key
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._held: Scorer | None = None

    def get(self, connection: Connection, version: str | None = None) -> Scorer:
        """The scorer of the active bundle, or of the kept bundle `version`.

        Raises:
            NoModel: no bundle is active.
            UnknownModelVersion: no bundle `version` is kept here.
            SignatureInvalid, BundleInvalid: the bundle is not what was signed, or reads another
                catalogue than the one in force.
        """
        wanted = version or bundles.active_version(connection)
        if wanted is None:
            raise NoModel("no model is in use at this node yet")
        catalogue = self._catalogue()
        with self._lock:
            held = self._held
            if held is not None and _is(held, wanted, catalogue):
                return held
            row = bundles.find(connection, wanted)
            if row is None:
                raise UnknownModelVersion(f"no bundle {wanted} is kept here")
            loaded = self._load(row, catalogue)
            if row.active:
                self._held = loaded
            return loaded

    def _load(self, row: BundleRow, catalogue: Catalogue) -> Scorer:
        document = Document("bundle", 0, row.manifest, row.signature, row.key_id)
        manifest = verify_document(document, self._directory_key(), "bundle")
        return Scorer(Bundle.load(manifest, row.tensors), catalogue)


def _is(held: Scorer, version: str, catalogue: Catalogue) -> bool:
    return held.bundle.version == version and held.encoder.catalogue is catalogue
