"""One step of secure aggregation: asked of some members over Flower's grid, answered by some."""

from collections.abc import Mapping

import structlog

from coordinator.federation.flower import ConfigRecord, Grid, Message, RecordDict
from models.plan import CampaignPlan
from protocols import federation as names
from protocols.errors import CredenceError

log = structlog.get_logger(__name__)


class MaskingSteps:
    """Asks the members of one campaign.

    Args:
        grid: the campaign's.
        plan: its plan.
        plan_sha256: of the plan's body.
        members: member id by Flower node id.

    Attributes:
        refusals: code by member id, of the last step.
    """

    def __init__(
        self, grid: Grid, plan: CampaignPlan, plan_sha256: bytes, members: Mapping[int, str]
    ) -> None:
        self._grid = grid
        self._plan = plan
        self._plan_sha256 = plan_sha256
        self._members = dict(members)
        self.refusals: dict[str, str] = {}

    def present(self) -> list[str]:
        """The members that can be asked now, sorted."""
        attached = self._grid.get_node_ids()
        return sorted(self._members[one] for one in attached if one in self._members)

    def ask(self, step: str, bodies: Mapping[str, bytes]) -> dict[str, bytes]:
        """Ask each of some members with a body of its own.

        Returns:
            The bodies of the answers, by member id. Who is away or refuses is left out; a
            refusal stands in `refusals`.
        """
        self.refusals = {}
        numbers = {member_id: number for number, member_id in self._members.items()}
        present = set(self.present())
        messages = [
            self._message(step, numbers[member_id], body)
            for member_id, body in sorted(bodies.items())
            if member_id in present
        ]
        replies = self._grid.send_and_receive(messages, timeout=self._plan.round_deadline_s)
        found: dict[str, bytes] = {}
        for reply in replies:
            member_id = self._members[reply.metadata.src_node_id]
            body = self._body(reply, member_id, step)
            if body is not None:
                found[member_id] = body
        return {member_id: found[member_id] for member_id in sorted(found)}

    def _message(self, step: str, number: int, body: bytes) -> Message:
        config = ConfigRecord(
            {
                names.STEP: step,
                names.CAMPAIGN_ID: self._plan.campaign_id,
                names.PLAN_SHA256: self._plan_sha256,
                names.BODY: body,
            }
        )
        content = RecordDict({names.MASKING: config})
        return self._grid.create_message(content, names.MASKING_QUERY, number, group_id=step)

    def _body(self, reply: Message, member_id: str, step: str) -> bytes | None:
        if reply.has_error():
            code = reply.error.reason or CredenceError.code
        else:
            record = reply.content.get(names.MASKING)
            body = record.get(names.BODY) if isinstance(record, ConfigRecord) else None
            if isinstance(body, bytes):
                return body
            code = "masking_malformed"
        log.warning("masking.refused", member=member_id, step=step, code=code)
        self.refusals[member_id] = code
        return None
