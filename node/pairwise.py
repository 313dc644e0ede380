"""Pairwise keys with other members, derived once per peer, key and epoch."""

from collections.abc import Callable

from protocols.directory import Directory
from protocols.keys import SealingKey, pair_key

MAX_CACHED = 4096  # two epochs of the largest directory


class PairKeys:
    """The secrets this member shares with each other member, one a key epoch; thread-safe."""

    def __init__(
        self, member_id: str, sealing: SealingKey, directory: Callable[[], Directory]
    ) -> None:
        self._member_id = member_id
        self._sealing = sealing
        self._directory = directory
        self._derived: dict[tuple[str, bytes, int], bytes] = {}

    def with_member(self, member_id: str, epoch: int | None = None) -> bytes:
        """The 32-byte key shared with another member.

        Args:
            member_id: the other one.
            epoch: key epoch; None: the one in force.

        Raises:
            UnknownMember: not in the directory.
            InvalidInput: it is this member itself.
        """
        directory = self._directory()
        peer = directory.member(member_id)
        if epoch is None:
            epoch = directory.epoch
        name = (member_id, peer.sealing_key, epoch)
        key = self._derived.get(name)
        if key is None:
            low, high = sorted((self._member_id, member_id))
            key = pair_key(self._sealing, peer.sealing_key, low=low, high=high, epoch=epoch)
            if len(self._derived) >= MAX_CACHED:
                self._derived.clear()
            self._derived[name] = key
        return key
