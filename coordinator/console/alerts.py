"""What an operator should look at, out of what is known; the worst first.

member_silent     an active member has not called for a minute
member_lapsed     a member's licence ran out: it is turned away
licence_ending    a member's licence ends within thirty days
certificate_ending  its certificate ends within a fortnight
campaign_paused   the newest campaign waits for its quorum
campaign_failed   the newest campaign failed
campaign_aborted  the newest campaign was not accepted, or ended by an operator
ceremony_failed   the newest ceremony made no key

What watches find, drift above all, has rules of its own (`coordinator/watch/rules.py`).
"""

from collections.abc import Iterator, Sequence

from coordinator.console.views import (
    CERTIFICATE_WARNING_MS,
    DAY_MS,
    Alert,
    CampaignLine,
    CeremonyLine,
    MemberLine,
)

_CERTIFICATE_DAYS = CERTIFICATE_WARNING_MS // DAY_MS
_DANGER_DAYS = 3


def alerts(
    members: Sequence[MemberLine],
    campaigns: Sequence[CampaignLine],
    ceremonies: Sequence[CeremonyLine],
    now_ms: int,
) -> tuple[Alert, ...]:
    """All alerts; each list is as `Console` gives it, the newest first."""
    found = [
        *_of_members(members, now_ms),
        *_of_campaign(campaigns[:1]),
        *_of_ceremony(ceremonies[:1]),
    ]
    return tuple(sorted(found, key=lambda one: one.tone != "danger"))


def _of_members(members: Sequence[MemberLine], now_ms: int) -> Iterator[Alert]:
    for line in members:
        one = line.facts
        if one.status == "lapsed":
            yield Alert("member_lapsed", "danger", one.member_id)
            continue
        if one.status != "active":
            continue
        if line.silent:
            since = one.last_seen_at_ms
            minutes = None if since is None else float((now_ms - since) // 60_000)
            yield Alert("member_silent", "danger", one.member_id, minutes)
        if line.certificate_days < _CERTIFICATE_DAYS:
            tone = "danger" if line.certificate_days < _DANGER_DAYS else "warn"
            yield Alert("certificate_ending", tone, one.member_id, float(line.certificate_days))
        if line.licence_days is not None and one.licence_ends_soon:
            yield Alert("licence_ending", "warn", one.member_id, float(line.licence_days))


def _of_campaign(newest: Sequence[CampaignLine]) -> Iterator[Alert]:
    tones = {"paused": "warn", "failed": "danger", "aborted": "warn"}
    for one in newest:
        if one.state in tones:
            yield Alert(
                f"campaign_{one.state}", tones[one.state], one.campaign_id, detail=one.detail
            )


def _of_ceremony(newest: Sequence[CeremonyLine]) -> Iterator[Alert]:
    for one in newest:
        if one.state == "failed":
            yield Alert("ceremony_failed", "danger", one.ceremony_id, detail=one.detail)
