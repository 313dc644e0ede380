"""Where the room of people's rights is put together."""

from collections.abc import Callable

from node.network.wiring import Network
from node.opening import Opened
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


def make_rights(
    opened: Opened, network: Network, holdings: Holdings, clock: Callable[[], int]
) -> RightsService:
    """The room of one node.

    Args:
        opened: its home.
        network: its way to the others.
        holdings: what the node holds of a person beside signals.
        clock: UTC milliseconds.
    """
    database, audit, keys = opened.database, opened.audit, opened.keys
    member_id, documents = opened.settings.member_id, network.documents
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
            signing_key=lambda: keys.signing,
            directory=documents.directory,
            furnishes=items.furnishes,
            clock=clock,
        ),
        deliverer=RightsDeliverer(
            database=database,
            signing_key=lambda: keys.signing,
            directory=documents.directory,
            courier=GrpcRightsCourier(network.routes.to_member),
            clock=clock,
        ),
        mail=mail,
        database=database,
        member_id=member_id,
        clock=clock,
    )
