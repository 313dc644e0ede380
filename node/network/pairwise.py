"""Pairwise keys with other members, derived once per peer, keys and epoch.

While somebody's keys are being replaced there are several: what this node sends is made with the
first of them, what it receives may be made with any.
"""

import time
from collections.abc import Callable, Sequence

from protocols.directory import Directory
from protocols.keys import SealingKey, pair_key

MAX_CACHED = 8192  # two epochs of the largest directory, with some of its keys being replaced


class PairKeys:
    """The secrets this member shares with each other member, one a key epoch; thread-safe."""

    def __init__(
        self,
        member_id: str,
        own: Callable[[], Sequence[SealingKey]],
        directory: Callable[[], Directory],
        clock: Callable[[], int] = lambda: int(time.time() * 1000),
    ) -> None:
        """Derive from this member's keys and the directory's.

        Args:
            member_id: this member.
            own: its sealing keys in use, first the one to send with.
            directory: gives the directory in force.
            clock: UTC milliseconds now.
        """
        self._member_id = member_id
        self._own = own
        self._directory = directory
        self._clock = clock
        self._derived: dict[tuple[str, bytes, bytes, int], bytes] = {}

    @property
    def epoch(self) -> int:
        """The key epoch in force."""
        return self._directory().epoch

    def with_member(self, member_id: str, epoch: int | None = None) -> bytes:
        """The 32-byte key to share with another member now.

        Args:
            member_id: the other one.
            epoch: key epoch; None: the one in force.

        Raises:
            UnknownMember: not in the directory.
            InvalidInput: it is this member itself.
        """
        directory = self._directory()
        peer = directory.member(member_id)
        epoch = directory.epoch if epoch is None else epoch
        return self._key(member_id, self._own()[0], peer.sealing_key, epoch)

    def candidates(self, member_id: str, epoch: int | None = None) -> tuple[bytes, ...]:
        """All keys that another member may have used, the likeliest first.

        Raises:
            UnknownMember: not in the directory.
            InvalidInput: it is this member itself.
        """
        directory = self._directory()
        peer = directory.member(member_id)
        epoch = directory.epoch if epoch is None else epoch
        return tuple(
            self._key(member_id, own, public, epoch)
            for own in self._own()
            for public in peer.sealing_keys(self._clock())
        )

    def _key(self, member_id: str, own: SealingKey, public: bytes, epoch: int) -> bytes:
        name = (member_id, own.public, public, epoch)
        key = self._derived.get(name)
        if key is None:
            low, high = sorted((self._member_id, member_id))
            key = pair_key(own, public, low=low, high=high, epoch=epoch)
            if len(self._derived) >= MAX_CACHED:
                self._derived.clear()
            self._derived[name] = key
        return key
