"""The first schema: the node's tables, the audit log's, and what may only be appended to."""

from alembic import op

import audit.configuration
import audit.incidents  # noqa: F401
import node.storage.access_tables
import node.storage.masking_tables
import node.storage.model_tables
import node.storage.monitor_tables
import node.storage.outcome_tables
import node.storage.own_model_tables
import node.storage.people_tables
import node.storage.request_tables
import node.storage.retention_tables
import node.storage.scoring_tables
import node.storage.status_tables
import node.storage.webhook_tables  # noqa: F401
from audit.store import create_audit_schema
from audit.witness_tables import create_witness_schema
from node.storage.append_only import protect
from node.storage.rights_tables import rights_event
from node.storage.tables import consent_event, metadata, privacy_charge, release

revision = "0001"
down_revision = None


def upgrade() -> None:
    connection = op.get_bind()
    metadata.create_all(connection)
    create_audit_schema(connection)
    create_witness_schema(connection)
    for table in (consent_event, release, privacy_charge, rights_event):
        protect(connection, table)
