"""What a node has to tell its clients, as it lies in the database."""

import json
from typing import Any

from sqlalchemy import select

from audit.database import Database
from node.storage.webhook_tables import webhook_message


def bodies_to(database: Database, client_id: str) -> list[dict[str, Any]]:
    """All messages to a client that are kept, the oldest first."""
    query = select(webhook_message.c.body).where(webhook_message.c.client_id == client_id)
    with database.read() as connection:
        found = connection.execute(query.order_by(webhook_message.c.seq)).scalars()
        return [json.loads(body) for body in found]
