"""This node's part in secure aggregation, campaign by campaign: what it keeps and what it refuses.

The cryptography is `protocols.masking.party.Party`; here stand the secret, the directory and the
database. Whatever binds this node is committed before the answer that it binds leaves:
  1. only a campaign that this node accepted, under the plan it accepted, is answered for;
  2. mask keys are verified against the directory held here, and a roster is fixed once;
  3. a round's input is masked only when the trainer has charged and kept it;
  4. the view of a round is kept before it is signed, and there is one a round, whatever restarts.
A refusal that the coordinator cannot have caused in good faith is written to the audit log.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from audit.database import Database
from models.masking_terms import terms_of
from node.federation.acceptance import Acceptance, OpenCampaign
from node.federation.record import Recorder
from node.storage import masking as rows
from node.storage import training
from protocols import federation as names
from protocols.aead import decrypt, encrypt
from protocols.canonical import canonical_json, parse_canonical
from protocols.directory import Directory
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.masking.errors import (
    CohortOfFew,
    MaskingMalformed,
    MaskingNotReady,
    MaskKeyForeign,
    RosterChanged,
    ViewInconsistent,
    ViewRefused,
    ViewUnsupported,
)
from protocols.masking.party import Party
from protocols.masking.roster import Roster, Signed, read_roster
from protocols.masking.view import View
from protocols.masking.wire import Masked, join, join_map, split, split_map

log = structlog.get_logger(__name__)

# What an honest coordinator and honest members never cause.
ATTACKS = (
    CohortOfFew,
    MaskKeyForeign,
    RosterChanged,
    ViewInconsistent,
    ViewRefused,
    ViewUnsupported,
)
MAX_DEALERS_BYTES = 64 * 1024


@dataclass(frozen=True)
class MaskingRequest:
    """One step of secure aggregation that the coordinator asks for."""

    step: str
    campaign_id: str
    plan_sha256: bytes
    body: bytes


@dataclass(frozen=True)
class Identity:
    """Who this node is to the others.

    Attributes:
        member_id: its id.
        role: its role in the directory.
        signing: the key that the directory lists for it.
        kek: seals campaign secrets at rest, 32 bytes.
        directory: the directory in force here, fresh enough to decide by.
    """

    member_id: str
    role: str
    signing: Callable[[], SigningKey]
    kek: bytes
    directory: Callable[[], Directory]


class Masking:
    """One node's side of secure aggregation. For one thread at a time.

    Args:
        database: the node's.
        identity: who it is.
        acceptance: holds the open campaign.
        recorder: writes refusals.
        now_ms: the clock, UTC milliseconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        identity: Identity,
        acceptance: Acceptance,
        recorder: Recorder,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._identity = identity
        self._acceptance = acceptance
        self._recorder = recorder
        self._now_ms = now_ms
        self._party: tuple[bytes, Party] | None = None

    def answer(self, request: MaskingRequest) -> bytes:
        """Answer one step; the parts of the answer, joined.

        Raises:
            CredenceError: by its class; an attack is in the log then.
        """
        act = {
            names.KEYS_STEP: self._keys,
            names.ROSTER_STEP: self._roster,
            names.DEAL_STEP: self._deal,
            names.START_STEP: self._start,
            names.VIEW_STEP: self._view,
            names.UNMASK_STEP: self._unmask,
            names.STAND_IN_STEP: self._stand_in,
        }.get(request.step)
        if act is None:
            raise MaskingMalformed("no such step of secure aggregation")
        try:
            # 1. The campaign and its plan.
            campaign = self._acceptance.campaign(request.campaign_id, request.plan_sha256)
            return join(act(campaign, request.body))
        except ATTACKS as error:
            self._log_refusal(request.campaign_id, error)
            raise

    def forget(self) -> None:
        """Read the party anew from the database: another process may have moved it on."""
        self._party = None

    def require_ready(self, campaign: OpenCampaign) -> None:
        """Refuse a round before its campaign's masks are agreed.

        Raises:
            MaskingNotReady: they are not.
        """
        if not self._restored(campaign).ready:
            raise MaskingNotReady("the campaign's masks are not agreed here yet")

    def mask(
        self, campaign: OpenCampaign, number: int, model_sha256: bytes, values: NDArray[np.int64]
    ) -> Masked:
        """Mask the result of a round that the trainer has charged and kept.

        A training round carries the declared cohort as one more coordinate: the same number as
        long as the campaign lasts, noised when the plan was accepted.

        Raises:
            MaskingNotReady: the campaign's masks are not agreed yet.
            RingOverflow: a value is larger than the plan has room for.
        """
        if number <= campaign.plan.rounds:
            with self._database.read() as connection:
                row = training.find_campaign(connection, campaign.plan.campaign_id)
            band = 0 if row is None else row.cohort_band
            values = np.concatenate([values, np.array([band], np.int64)])
        return self._restored(campaign).mask(number, model_sha256, values)

    # The steps; each gives the parts of its answer.

    def _keys(self, campaign: OpenCampaign, body: bytes) -> list[bytes]:
        if body:
            raise MaskingMalformed("keys are asked for without a body")
        return [self._begun(campaign).announce(self._identity.signing()).to_bytes()]

    def _roster(self, campaign: OpenCampaign, body: bytes) -> list[bytes]:
        # 2. Verified here, fixed once.
        roster = _read(campaign, body, self._identity.directory(), self._now_ms())
        party = self._restored(campaign)
        fresh = party.roster_sha256 is None
        reveal = party.fix_roster(roster)
        if fresh:
            self._fix(campaign, announcements=body)
        return [reveal.to_bytes()]

    def _deal(self, campaign: OpenCampaign, body: bytes) -> list[bytes]:
        dealt = self._restored(campaign).deal([Signed.from_bytes(part) for part in split(body)])
        self._fix(campaign, reveals=body)
        return [dealt.to_bytes()]

    def _start(self, campaign: OpenCampaign, body: bytes) -> list[bytes]:
        dealers, *deals = split(body) or [b""]
        party = self._restored(campaign)
        fresh = not party.ready
        bad = party.start(_dealers(dealers), [Signed.from_bytes(part) for part in deals])
        if fresh:
            self._fix(campaign, dealers=dealers, deals=join(deals))
            log.info("masking.agreed", campaign=campaign.plan.campaign_id, bad_shares=len(bad))
        return [name.encode() for name in bad]

    def _view(self, campaign: OpenCampaign, body: bytes) -> list[bytes]:
        (view,) = _exactly(body, 1)
        party = self._with_input(campaign)
        try:
            # 3. and 4. Its own input; one view a round.
            return [names.SIGNED, party.sign_view(view)]
        except ViewInconsistent as error:
            # A coordinator that was killed asks anew and is told what was asked before.
            self._log_refusal(campaign.plan.campaign_id, error)
            return [names.OTHER, party.signed_view(View.from_body(view).number)]

    def _unmask(self, campaign: OpenCampaign, body: bytes) -> list[bytes]:
        view, signatures = _exactly(body, 2)
        opened = self._with_input(campaign).unmask(view, split_map(signatures))
        return [opened.seed, *opened.pairs]

    def _stand_in(self, campaign: OpenCampaign, body: bytes) -> list[bytes]:
        view, signatures, missing = _exactly(body, 3)
        party = self._restored(campaign)
        found = party.stand_in(view, split_map(signatures), split_map(missing))
        return [join_map({member_id: part.to_bytes() for member_id, part in found.items()})]

    # What the party is made of.

    def _begun(self, campaign: OpenCampaign) -> Party:
        plan = campaign.plan
        with self._database.write() as connection:
            row = rows.find(connection, plan.campaign_id)
            if row is None:
                sealed = encrypt(self._identity.kek, secrets.token_bytes(32), _aad(campaign))
                row = rows.MaskingRow(
                    plan.campaign_id, campaign.sha256, sealed, b"", b"", b"", b"", self._now_ms()
                )
                rows.begin(connection, row)
        return self._restored(campaign)

    def _restored(self, campaign: OpenCampaign) -> Party:
        """The party of this campaign, as far as it had come when this process began."""
        if self._party is not None and self._party[0] == campaign.sha256:
            return self._party[1]
        with self._database.read() as connection:
            row = rows.find(connection, campaign.plan.campaign_id)
        if row is None or row.plan_sha256 != campaign.sha256:
            raise MaskingNotReady("the campaign's masks are not begun here")
        identity = self._identity
        party = Party(
            terms_of(campaign.plan, campaign.sha256),
            identity.member_id,
            identity.role,
            decrypt(identity.kek, row.secret, _aad(campaign)),
            _Views(self, row.campaign_id),
        )
        if row.announcements:
            party.fix_roster(_read(campaign, row.announcements, None, 0))
        if row.reveals:
            party.deal([Signed.from_bytes(part) for part in split(row.reveals)])
        if row.dealers:
            deals = [Signed.from_bytes(part) for part in split(row.deals)]
            party.start(_dealers(row.dealers), deals)
        self._party = (campaign.sha256, party)
        return party

    def _with_input(self, campaign: OpenCampaign) -> Party:
        """The party, knowing the input it sent last, also after a restart."""
        party = self._restored(campaign)
        if not party.has_input:
            with self._database.read() as connection:
                kept = training.find_reply(connection, campaign.plan.campaign_id)
            if kept is not None:
                values = np.frombuffer(kept.result, "<i8").astype(np.int64)
                self.mask(campaign, kept.round, kept.model_hash, values)
        return party

    def _fix(self, campaign: OpenCampaign, **values: bytes) -> None:
        with self._database.write() as connection:
            rows.fix(connection, campaign.plan.campaign_id, **values)

    def _log_refusal(self, campaign_id: str, error: CredenceError) -> None:
        log.warning("masking.refused", campaign=campaign_id, code=error.code)
        with self._database.write() as connection:
            self._recorder.refused(connection, campaign_id, error.code, self._now_ms())

    def view_of(self, campaign_id: str, number: int) -> bytes | None:
        """The view that was signed of a round, or None."""
        with self._database.read() as connection:
            return rows.find_view(connection, campaign_id, number)

    def keep_view(self, campaign_id: str, number: int, body: bytes) -> None:
        """Keep a round's view; there is one."""
        with self._database.write() as connection:
            rows.add_view(connection, campaign_id, number, body, self._now_ms())


@dataclass(frozen=True)
class _Views:
    masking: Masking
    campaign_id: str

    def find(self, number: int) -> bytes | None:
        return self.masking.view_of(self.campaign_id, number)

    def keep(self, number: int, body: bytes) -> None:
        self.masking.keep_view(self.campaign_id, number, body)


def _read(campaign: OpenCampaign, body: bytes, directory: Directory | None, now_ms: int) -> Roster:
    return read_roster(
        [Signed.from_bytes(part) for part in split(body)],
        campaign_id=campaign.plan.campaign_id,
        plan_sha256=campaign.sha256,
        plan_members=campaign.plan.members,
        directory=directory,
        now_ms=now_ms,
    )


def _dealers(data: bytes) -> list[str]:
    found = parse_canonical(data, max_bytes=MAX_DEALERS_BYTES)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise MaskingMalformed("dealers are a list of member ids")
    return found


def _exactly(body: bytes, count: int) -> list[bytes]:
    parts = split(body)
    if len(parts) != count:
        raise MaskingMalformed(f"a step with {len(parts)} parts instead of {count}")
    return parts


def _aad(campaign: OpenCampaign) -> bytes:
    named = {"campaign_id": campaign.plan.campaign_id, "plan": campaign.sha256.hex()}
    return b"credence/1|mask-secret|" + canonical_json(named)
