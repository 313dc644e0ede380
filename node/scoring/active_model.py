"""The model in use: verified and loaded once, loaded again when it changes.

Whoever holds a scorer keeps it: a score under way ends with the model it began with.
"""

import threading
from collections.abc import Callable

import structlog

from audit.database import Connection
from models.bundle import Bundle
from models.catalogue import Catalogue
from models.evaluate import Scorer
from node.storage import bundles, documents
from node.storage.bundles import BundleRow
from protocols.documents import Document, verify_document
from protocols.errors import CredenceError, NotFound, Unavailable
from protocols.keys import VerifyKey

log = structlog.get_logger(__name__)

KEPT = 4


class NoModel(Unavailable):
    """No model bundle is in use at this node."""

    code = "no_model"
    next_step = (
        "See `credence node models list`: a model is used once the network has released one, this "
        "node has fetched it and no rule of its own stands against it."
    )


class UnknownModelVersion(NotFound):
    """This node keeps no bundle of that version."""

    code = "unknown_model_version"
    next_step = "See the versions it keeps with `credence node models list`."


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
        self._loading = threading.Lock()
        self._held: dict[str, Scorer] = {}
        self._unusable = ""  # the challenger that could not be loaded, said once

    def get(self, connection: Connection, version: str | None = None) -> Scorer:
        """The scorer of the active bundle; or of the kept bundle `version`, to compute it again.

        A kept version is had whatever has become of it since, with the catalogue that it reads as
        long as this node keeps that: what it once said can be shown again.

        Raises:
            NoModel: no bundle is active.
            UnknownModelVersion: no bundle `version` is kept here.
            SignatureInvalid, BundleInvalid: the bundle is not what was signed, or reads a
                catalogue that is not kept here.
        """
        if version is not None:
            return self._scorer(connection, version, former=True)
        active = bundles.active_version(connection)
        if active is None:
            raise NoModel("no model is in use at this node")
        return self._scorer(connection, active)

    def with_challenger(self, connection: Connection) -> tuple[Scorer, Scorer | None]:
        """The scorer of the active bundle, and that of the one in its shadow.

        A challenger that cannot be loaded is left out: it must not cost an answer.

        Raises:
            NoModel, SignatureInvalid, BundleInvalid: as `get`, about the active one.
        """
        active, shadow = bundles.in_use(connection)
        if active is None:
            raise NoModel("no model is in use at this node")
        scorer = self._scorer(connection, active)
        if shadow is None or shadow == active:
            return scorer, None
        try:
            return scorer, self._scorer(connection, shadow)
        except CredenceError as error:
            if self._unusable != shadow:
                log.warning("challenger.unusable", version=shadow, code=error.code)
            self._unusable = shadow
            return scorer, None

    def _scorer(self, connection: Connection, version: str, *, former: bool = False) -> Scorer:
        catalogue = self._catalogue()
        held = self._fitting(version, catalogue)
        if held is not None:
            return held
        with self._loading:  # one loads; who wants another version that is held does not wait
            held = self._fitting(version, catalogue)
            if held is not None:
                return held
            row = bundles.find(connection, version)
            if row is None:
                raise UnknownModelVersion(f"no bundle {version} is kept here")
            bundle = self._verified(row)
            other = self._earlier(connection, bundle, catalogue) if former else None
            if other is not None:
                return Scorer(bundle, other)
            loaded = Scorer(bundle, catalogue)
            # A new dict: who reads takes no lock.
            kept = [(name, one) for name, one in self._held.items() if name != version]
            self._held = {version: loaded, **dict(kept[: KEPT - 1])}
            return loaded

    def _fitting(self, version: str, catalogue: Catalogue) -> Scorer | None:
        held = self._held.get(version)
        return held if held is not None and held.encoder.catalogue is catalogue else None

    def _verified(self, row: BundleRow) -> Bundle:
        document = Document("bundle", 0, row.manifest, row.signature, row.key_id)
        manifest = verify_document(document, self._directory_key(), "bundle")
        return Bundle.load(manifest, row.tensors)

    def _earlier(
        self, connection: Connection, bundle: Bundle, catalogue: Catalogue
    ) -> Catalogue | None:
        """The catalogue that a bundle reads, when it is not the one in force but still kept."""
        manifest = bundle.manifest
        if manifest.catalogue_sha256 == catalogue.sha256:
            return None
        for document in documents.every(connection, "catalogue"):
            if document.version == manifest.catalogue_version:
                body = verify_document(document, self._directory_key(), "catalogue")
                return Catalogue.from_body(body)
        return None
