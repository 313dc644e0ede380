"""Members as an operator wants to see them."""

from dataclasses import asdict, dataclass
from typing import Any

from coordinator.storage.members import MemberRow
from protocols.certificate_facts import valid_until_ms
from protocols.directory import Directory
from protocols.licences import LICENCE_WARNING_MS


@dataclass(frozen=True)
class MemberView:
    """One member.

    Attributes:
        member_id, name, role, licence, holds, endpoint, joined_at_ms: as in its directory entry.
        licence_until_ms: end of its licence; None: it does not end.
        licence_ends_soon: whether that is in less than 30 days, or over.
        certificate_until_ms: end of its certificate.
        status: active, suspended, revoked; or lapsed: its licence ran out.
        last_seen_at_ms: when it last called; None: never.
        acknowledged_version: the directory version that it last said it holds; 0: none.
        up_to_date: whether that is the newest.
    """

    member_id: str
    name: str
    role: str
    licence: str
    licence_until_ms: int | None
    licence_ends_soon: bool
    holds: tuple[str, ...]
    endpoint: str | None
    certificate_until_ms: int
    status: str
    joined_at_ms: int
    last_seen_at_ms: int | None
    acknowledged_version: int
    up_to_date: bool

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self) | {"holds": list(self.holds)}


def overview(directory: Directory, rows: list[MemberRow], now_ms: int) -> list[MemberView]:
    """All members, in the order of `rows`."""
    standing = directory.at(now_ms)
    return [_view(standing, row, now_ms) for row in rows]


def _view(directory: Directory, row: MemberRow, now_ms: int) -> MemberView:
    entry = directory.member(row.member_id)
    end = entry.licence_until_ms
    return MemberView(
        member_id=entry.member_id,
        name=entry.name,
        role=entry.role,
        licence=entry.licence,
        licence_until_ms=end,
        licence_ends_soon=end is not None and end - now_ms < LICENCE_WARNING_MS,
        holds=entry.holds,
        endpoint=entry.endpoint,
        certificate_until_ms=valid_until_ms(row.certificate_der),
        status=entry.status,
        joined_at_ms=row.joined_at_ms,
        last_seen_at_ms=row.last_seen_at_ms,
        acknowledged_version=row.acknowledged_version,
        up_to_date=row.acknowledged_version == directory.version,
    )
