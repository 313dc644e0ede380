"""Legal names of members, as people know them."""

from collections.abc import Callable

from protocols.directory import Directory, UnknownMember
from protocols.errors import CredenceError


class MemberNames:
    """Names by member id, from the directory in force."""

    def __init__(self, directory: Callable[[], Directory]) -> None:
        self._directory = directory

    def of(self, member_id: str) -> str:
        """The legal name; the id of a member that left the directory."""
        try:
            return self._directory().member(member_id).name
        except (UnknownMember, CredenceError):
            return member_id
