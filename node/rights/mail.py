"""What this member tells others about its customers' rights: promised in the act's transaction."""

from collections.abc import Iterable
from typing import Any

from audit.database import Connection
from consent.right_notices import MAX_CONSENTS, Notice, Topic
from consent.rights import Freeze
from node.storage import consent_lists, rights_outbox
from node.storage.consent_lists import ConsentParties
from node.storage.rights import Request
from protocols.identifiers import new_id


class Mail:
    """Writes notices into the outbox; stateless."""

    def __init__(self, member_id: str) -> None:
        """Write as member `member_id`."""
        self._member_id = member_id

    def holders(self, connection: Connection, pseudonym: bytes) -> dict[str, list[bytes]]:
        """Members that the person's consents name as holders, with those consents' hashes."""
        found: dict[str, list[bytes]] = {}
        for one in consent_lists.kept_by(connection, pseudonym, self._member_id):
            for member in sorted(one.holders - {self._member_id}):
                known = found.setdefault(member, [])
                if len(known) < MAX_CONSENTS:
                    known.append(one.consent_hash)
        return found

    def about_item(
        self, connection: Connection, request: Request, topic: Topic, now_ms: int
    ) -> list[str]:
        """Tell everybody who holds or received the item about its dispute; who is told."""
        told = []
        links = self._concerned(connection, request)
        for member, hashes in links.items():
            furnishes = member == request.source
            first = topic is Topic.DISPUTE
            notice = self._notice(
                topic,
                member,
                hashes,
                now_ms,
                request_id=request.origin_request,
                furnisher=request.source,
                signal=request.signal,
                # What the person wrote is for who has to look into it, nobody else.
                text=request.text if first and furnishes else "",
                statement=request.statement,
                due_at_ms=request.due_at_ms if first else 0,
                finding=request.finding if topic is Topic.CLOSED else "",
            )
            rights_outbox.promise(connection, request.pseudonym, request.request_id, notice)
            told.append(member)
        return told

    def reply(self, connection: Connection, request: Request, now_ms: int) -> None:
        """Tell the person's consent node what was found."""
        hashes = consent_lists.hashes_kept_by(connection, request.pseudonym, request.origin)
        notice = self._notice(
            Topic.REPLY,
            request.origin,
            hashes[:MAX_CONSENTS],
            now_ms,
            request_id=request.origin_request,
            furnisher=self._member_id,
            signal=request.signal,
            text=request.outcome,
            finding=request.finding,
        )
        rights_outbox.promise(connection, request.pseudonym, request.request_id, notice)

    def about_freeze(
        self,
        connection: Connection,
        pseudonym: bytes,
        state: Freeze,
        at_ms: int,
        links: dict[str, list[bytes]],
    ) -> None:
        """Tell members that a person froze, or no longer does."""
        topic = Topic.FREEZE if state is Freeze.FROZEN else Topic.UNFREEZE
        for member, hashes in links.items():
            notice = self._notice(topic, member, hashes, at_ms)
            rights_outbox.promise(connection, pseudonym, "", notice)

    def _concerned(self, connection: Connection, request: Request) -> dict[str, list[bytes]]:
        consents = consent_lists.kept_by(connection, request.pseudonym, self._member_id)
        naming = [one for one in consents if request.source in one.holders]
        members = {request.source} | frozenset[str]().union(*(one.recipients for one in naming))
        return {
            member: hashes
            for member in sorted(members - {self._member_id})
            if (hashes := _hashes(naming, member))
        }

    def _notice(
        self, topic: Topic, member: str, hashes: Iterable[bytes], at_ms: int, **fields: Any
    ) -> Notice:
        return Notice(
            topic=topic,
            message_id=new_id("rgm"),
            sender=self._member_id,
            receiver=member,
            at_ms=at_ms,
            consents=tuple(sorted(set(hashes))),
            **fields,
        )


def _hashes(consents: Iterable[ConsentParties], member: str) -> list[bytes]:
    named = [one.consent_hash for one in consents if member in one.holders | one.recipients]
    return named[:MAX_CONSENTS]
