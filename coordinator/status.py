"""How a coordinator is doing, in one JSON object."""

from typing import Any

from audit.witness_view import witness_view
from coordinator.bootstrap import Coordinator
from coordinator.storage import campaigns


def summary(coordinator: Coordinator, now_ms: int) -> dict[str, Any]:
    """Documents in force, members, the newest campaign, bundles and the audit log's head."""
    membership = coordinator.membership
    directory = membership.directory()
    head = coordinator.audit.head()
    return {
        "name": coordinator.settings.name,
        "endpoints": {
            "members": coordinator.settings.dialled_by_members,
            "enrolment": coordinator.settings.dialled_to_enrol,
        },
        "directory_version": directory.version,
        "directory_key": coordinator.keys.directory.verify_key.bytes.hex(),
        "catalogue_version": membership.document("catalogue").version,
        "members": len(directory.members),
        "invitations": len(membership.pending_invitations(now_ms)),
        "campaign": _newest_campaign(coordinator),
        "bundles": coordinator.registry.versions(),
        "champion": coordinator.registry.champion(),
        "witnesses": witness_view(coordinator.database, coordinator.witnessing.gate),
        "audit": {"size": head.size, "root": head.root.hex()},
    }


def _newest_campaign(coordinator: Coordinator) -> dict[str, Any] | None:
    with coordinator.database.read() as connection:
        row = campaigns.newest(connection)
        if row is None:
            return None
        rounds = campaigns.rounds(connection, row.campaign_id)
    last = rounds[-1] if rounds else None
    return {
        "campaign_id": row.campaign_id,
        "state": row.state,
        "detail": row.detail,
        "rounds": len(rounds),
        "loss": last.loss if last else None,
        "epsilon": last.epsilon if last else None,
        "bundle_version": row.bundle_version,
    }
