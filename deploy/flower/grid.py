"""An engine's grid, narrowed to the nodes that take part in a campaign."""

from collections.abc import Iterable, Mapping

from coordinator.federation.flower import Grid, Message, RecordDict, Run


class MemberGrid(Grid):
    """What a campaign's apps see of an engine's grid.

    Args:
        engine: Flower's own.
        members: member id by Flower node id, of those that accepted.
    """

    def __init__(self, engine: Grid, members: Mapping[int, str]) -> None:
        self._engine = engine
        self._members = dict(members)

    @property
    def members(self) -> frozenset[str]:
        """The members that take part."""
        return frozenset(self._members.values())

    def drop(self, member_id: str) -> None:
        """The member takes no further part."""
        self._members = {key: one for key, one in self._members.items() if one != member_id}

    def set_run(self, run: Run) -> None:
        """Set the engine's run."""
        self._engine.set_run(run)

    @property
    def run(self) -> Run:
        """The engine's run."""
        return self._engine.run

    def get_node_ids(self) -> Iterable[int]:
        """The Flower node ids of the members that the engine has there now."""
        return [one for one in self._engine.get_node_ids() if one in self._members]

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """A message of this run."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages; their ids, in order."""
        found: Iterable[str] = self._engine.push_messages(messages)
        return found

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The replies that are there now."""
        found: Iterable[Message] = self._engine.pull_messages(message_ids)
        return found

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send messages and wait for their replies, at most `timeout` seconds."""
        sent = list(messages)
        found: Iterable[Message] = (
            self._engine.send_and_receive(sent, timeout=timeout) if sent else []
        )
        return found
