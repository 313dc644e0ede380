"""All that a node does about people's rights, in one place for the faces."""

from collections.abc import Callable
from dataclasses import dataclass

from audit.database import Connection, Database
from consent.right_notices import Acknowledgement
from consent.rights import Freeze
from node.rights.delivery import Pushed, RightsDeliverer
from node.rights.desk import RightsDesk
from node.rights.inbox import RightsInbox
from node.rights.mail import Mail
from node.rights.person import PersonRights
from node.rights.steps import Action, Clerk
from node.rights.views import FreezeView
from node.storage import freezing, rights_outbox
from node.storage.rights import Request


@dataclass(frozen=True)
class RightsService:
    """The parts, and acts that are told to other members at once.

    Attributes:
        person: what people do.
        desk: what staff do.
        inbox: what other members say.
    """

    person: PersonRights
    desk: RightsDesk
    inbox: RightsInbox
    deliverer: RightsDeliverer
    mail: Mail
    database: Database
    member_id: str
    clock: Callable[[], int]

    def freeze(self, pseudonym: bytes) -> FreezeView:
        """Freeze here, tell the holders now, and see who has acknowledged."""
        self.person.freeze(pseudonym)
        self.deliverer.push(at_once=True)
        return self.person.frozen(pseudonym)

    def unfreeze(self, pseudonym: bytes) -> FreezeView:
        """Lift the freeze here, tell the holders now, and see who has acknowledged."""
        self.person.unfreeze(pseudonym)
        self.deliverer.push(at_once=True)
        return self.person.frozen(pseudonym)

    def dispute(
        self,
        pseudonym: bytes,
        source: str,
        signal: str,
        text: str,
        *,
        statement: str = "",
        once: str | None = None,
    ) -> Request:
        """Dispute an item and tell who furnished it now; see `PersonRights.dispute`."""
        opened = self.person.dispute(
            pseudonym, source, signal, text, statement=statement, once=once
        )
        self.deliverer.push(at_once=True)
        return opened

    def act(
        self,
        clerk: Clerk,
        request_id: str,
        action: Action,
        text: str = "",
        value: float | None = None,
    ) -> Request:
        """Take a step at the desk and tell other members now; see `RightsDesk.act`."""
        after = self.desk.act(clerk, request_id, action, text, value)
        self.deliverer.push(at_once=True)
        return after

    def receive(self, peer: str, body: bytes, signature: bytes) -> Acknowledgement:
        """Take a notice of another member; see `RightsInbox.receive`."""
        return self.inbox.receive(peer, body, signature)

    def push_pending(self) -> Pushed:
        """Deliver what waits; call every second or so."""
        self._tell_new_holders()
        return self.deliverer.push()

    def _tell_new_holders(self) -> None:
        """Who froze and then granted a consent is frozen at its holders too."""
        with self.database.read() as connection:
            frozen = freezing.frozen_by(connection, self.member_id)
        for pseudonym, at_ms in frozen:
            with self.database.read() as connection:
                if not self._untold(connection, pseudonym):
                    continue
            with self.database.write() as connection:
                links = self._untold(connection, pseudonym)
                self.mail.about_freeze(connection, pseudonym, Freeze.FROZEN, at_ms, links)

    def _untold(self, connection: Connection, pseudonym: bytes) -> dict[str, list[bytes]]:
        told = {one.member_id for one in rights_outbox.told(connection, pseudonym, "")}
        links = self.mail.holders(connection, pseudonym)
        return {member: hashes for member, hashes in links.items() if member not in told}
