"""The expert scorecard in the registry: a version from before anybody trained.

It is published and plays no part until an operator gives it one; a campaign's first model does not
wait for it, and is champion as if it were not there.
"""

from audit.leaf import Entry
from audit.witness_state import Operation
from coordinator.bootstrap import Coordinator
from coordinator.storage import bundles
from coordinator.storage.bundles import BundleRow
from models.baselines.published import EXPERT, expert_bundle, expert_version
from models.catalogue import Catalogue
from protocols.documents import sign_document


def publish_expert(coordinator: Coordinator, catalogue: Catalogue, at_ms: int) -> str:
    """Sign the expert scorecard of a catalogue and put it into the registry; once a catalogue.

    Args:
        coordinator: an opened coordinator.
        catalogue: in force.
        at_ms: UTC milliseconds.

    Returns:
        Its version.

    Raises:
        LogNotTrusted: the coordinator's log is in quarantine, or unwitnessed for too long.
    """
    coordinator.witnessing.gate.require(Operation.TRAINING)
    version = expert_version(catalogue)
    body, tensors = expert_bundle(catalogue, at_ms).pack()
    signed = sign_document("bundle", body, coordinator.keys.directory)
    with coordinator.database.write() as connection:
        if bundles.find(connection, version) is not None:
            return version
        row = BundleRow(
            version=version,
            campaign_id=EXPERT,
            manifest=signed.body,
            signature=signed.signature,
            key_id=signed.key_id,
            tensors=tensors,
            created_at_ms=at_ms,
        )
        bundles.add(connection, row)
        entry = Entry(
            kind="model.expert_published",
            actor=coordinator.settings.name,
            purpose="",
            correlation=version,
            payload={"version": version, "catalogue_version": catalogue.version},
            subject=None,
            at_ms=at_ms,
        )
        coordinator.audit.append(connection, entry)
    return version
