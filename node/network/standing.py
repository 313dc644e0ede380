"""What an institution should know of its membership: how it stands, and what needs attention."""

from dataclasses import dataclass
from typing import Any

from protocols.certificate_facts import valid_from_ms, valid_until_ms
from protocols.directory import Directory
from protocols.licences import LICENCE_WARNING_MS

DAY_MS = 86_400_000
DIRECTORY_LATE_MS = 15 * 60_000  # the coordinator issues one every five minutes


@dataclass(frozen=True)
class Attention:
    """Something that needs attention: a stable code and a sentence."""

    code: str
    text: str


def standing(
    member_id: str, directory: Directory, certificate: bytes, max_age_ms: int, now_ms: int
) -> dict[str, Any]:
    """This node's own entry, and warnings.

    Args:
        member_id: this member.
        directory: in force, as it stands now.
        certificate: its own, PEM or DER.
        max_age_ms: how old a directory may be to release by.
        now_ms: UTC milliseconds.
    """
    entry = directory.member(member_id)
    found = [
        *_of_status(entry.status),
        *_of_licence(entry.licence_until_ms, now_ms),
        *_of_certificate(certificate, now_ms),
        *_of_directory(now_ms - directory.issued_at_ms, max_age_ms),
    ]
    return {
        "status": entry.status,
        "licence": entry.licence,
        "licence_until_ms": entry.licence_until_ms,
        "certificate_until_ms": valid_until_ms(certificate),
        "signing_key_id": entry.verify_key.key_id,
        "keys_overlap_until_ms": max(
            (one.until_ms for one in entry.earlier_keys if now_ms < one.until_ms), default=None
        ),
        "warnings": [{"code": one.code, "text": one.text} for one in found],
    }


def _of_status(status: str) -> list[Attention]:
    if status in {"suspended", "revoked"}:
        return [Attention(f"member_{status}", f"this member is {status}: ask the operator why")]
    return []


def _of_licence(end_ms: int | None, now_ms: int) -> list[Attention]:
    if end_ms is None or end_ms - now_ms >= LICENCE_WARNING_MS:
        return []
    if end_ms <= now_ms:
        text = "the licence has run out: no member answers; give the operator the new one"
        return [Attention("licence_expired", text)]
    days = -(-(end_ms - now_ms) // DAY_MS)
    text = f"the licence runs out within {days} days; give the operator the new one"
    return [Attention("licence_ends_soon", text)]


def _of_certificate(certificate: bytes, now_ms: int) -> list[Attention]:
    begin, end = valid_from_ms(certificate), valid_until_ms(certificate)
    if end <= now_ms:
        text = "the certificate has expired: join again with a new invitation"
        return [Attention("certificate_expired", text)]
    # It is renewed with a third of its life left.
    if (end - now_ms) * 4 < end - begin:
        text = "the certificate should have been renewed: is the coordinator reachable?"
        return [Attention("certificate_not_renewed", text)]
    return []


def _of_directory(age_ms: int, max_age_ms: int) -> list[Attention]:
    if age_ms > max_age_ms:
        text = "the member directory is too old: nothing is released until there is news"
        return [Attention("directory_stale", text)]
    if age_ms > DIRECTORY_LATE_MS:
        text = f"the member directory is {age_ms // 60_000} minutes old: is there a network?"
        return [Attention("directory_late", text)]
    return []
