"""Puts the room of people's rights together."""

from collections.abc import Callable

import grpc

from audit.database import Database
from audit.store import AuditLog
from node.network.documents import Documents
from node.rights.casework import Casework
from node.rights.client import GrpcRightsCourier
from node.rights.deletion import Deletion, Holdings
from node.rights.delivery import RightsDeliverer
from node.rights.desk import RightsDesk
from node.rights.inbox import RightsInbox
from node.rights.items import Items
from node.rights.mail import Mail
from node.rights.person import PersonRights
from node.rights.service import RightsService
from protocols.keys import SigningKey


def rights_service(
    *,
    member_id: str,
    database: Database,
    audit: AuditLog,
    signing_key: Callable[[], SigningKey],
    documents: Documents,
    to_member: Callable[[str], grpc.Channel],
    holdings: Holdings,
    clock: Callable[[], int],
) -> RightsService:
    """The room of one node."""
    casework, mail = Casework(audit, member_id), Mail(member_id)
    items = Items(member_id, documents.directory, documents.catalogue)
    return RightsService(
        person=PersonRights(
            database=database,
            casework=casework,
            mail=mail,
            items=items,
            member_id=member_id,
            clock=clock,
        ),
        desk=RightsDesk(
            database=database,
            casework=casework,
            mail=mail,
            items=items,
            deletion=Deletion(member_id, audit, documents.catalogue, holdings),
            member_id=member_id,
            clock=clock,
        ),
        inbox=RightsInbox(
            database=database,
            casework=casework,
            member_id=member_id,
            signing_key=signing_key,
            directory=documents.directory,
            furnishes=items.furnishes,
            clock=clock,
        ),
        deliverer=RightsDeliverer(
            database=database,
            signing_key=signing_key,
            directory=documents.directory,
            courier=GrpcRightsCourier(to_member),
            clock=clock,
        ),
        mail=mail,
        database=database,
        member_id=member_id,
        clock=clock,
    )
