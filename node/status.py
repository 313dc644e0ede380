"""How a node is doing, in one JSON object; counts, versions and hashes, nothing about a person."""

import time
from typing import Any

from audit.database import Connection
from audit.witness_view import witness_view
from node.network.documents import NotJoined
from node.network.standing import standing
from node.parts import Node
from node.storage import bundles, exchange, outcomes, privacy_ledger, signals, subjects


def summary(node: Node) -> dict[str, Any]:
    """Membership, what it knows, its consents, releases, model, privacy ledger and log."""
    settings = node.settings
    head = node.audit.head()
    with node.database.read() as connection:
        known = _known(connection, node)
    return {
        "member_id": node.member_id,
        "name": settings.name,
        "role": settings.role,
        "holds": list(settings.holds),
        "endpoints": {"members": settings.dialled, "http": settings.http},
        "network": _network(node),
        **known,
        "consents": {state.value: number for state, number in node.consents.counts().items()},
        "deliveries_waiting": node.consents.waiting(),
        "witnesses": witness_view(node.database, node.witnessing.gate),
        "audit": {"origin": node.audit.origin, "size": head.size, "root": head.root.hex()},
    }


def _network(node: Node) -> dict[str, Any] | None:
    try:
        directory, catalogue = node.documents.directory(), node.documents.catalogue()
        certificate = node.identity().certificate
    except NotJoined:
        return None
    now_ms = int(time.time() * 1000)
    return {
        "coordinator": node.settings.coordinator_endpoint,
        "directory_version": directory.version,
        "members": len(directory.members),
        "catalogue_version": catalogue.version,
        "directory_age_s": max(0, now_ms - directory.issued_at_ms) // 1000,
        **standing(
            node.member_id,
            directory,
            certificate,
            int(node.settings.directory_max_age_s * 1000),
            now_ms,
        ),
    }


def _known(connection: Connection, node: Node) -> dict[str, Any]:
    charged = privacy_ledger.last_charge(connection, node.member_id)
    totals = exchange.totals(connection)
    return {
        "subjects": subjects.count(connection),
        "outcomes": outcomes.count(connection),
        "signals": {
            "own": signals.count(connection, node.member_id, signals.OWN),
            "fetched": signals.count_fetched(connection, node.member_id),
        },
        "releases": {
            "out": totals.get(("out", False), 0),
            "out_refused": totals.get(("out", True), 0),
            "in": totals.get(("in", False), 0),
            "in_refused": totals.get(("in", True), 0),
        },
        "model": bundles.active_version(connection),
        "privacy": {
            "epsilon": charged.epsilon_after if charged else 0.0,
            "max_epsilon": node.settings.max_epsilon,
            "delta": node.settings.delta,
        },
    }
