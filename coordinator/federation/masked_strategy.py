"""The strategy of a campaign whose sums are masked: as `DpSgdStrategy`, from sums instead of parts.

A round's vector carries one more coordinate than a plain one: the declared cohort, so that only the
sum of cohorts is seen. What can be checked is checked on the sum:
  1. the cohort is one that so many members may have;
  2. the sum is no longer than that cohort and the plan's noise allow (`check_total`);
  3. a count of the tally lies between nothing and everybody, noise allowed for.
A round that fails is lost: it takes no step, and is never asked for again with another set.
"""

from collections.abc import Collection, Iterable, Mapping

import structlog

from coordinator.federation.flower import ArrayRecord, ConfigRecord, Grid, Message, MetricRecord
from coordinator.federation.masked_rounds import MaskedRounds, Opened, RoundLost
from coordinator.federation.masking_setup import MaskingSetup
from coordinator.federation.masking_steps import MaskingSteps
from coordinator.federation.office import CampaignBelowQuorum, Office
from coordinator.federation.strategy import PARTICIPANTS, DpSgdStrategy
from coordinator.storage import masking as rows
from models.aggregation import UpdateImplausible, aggregate_total, check_tally
from models.masking_terms import terms_of
from models.optimiser import ServerOptimiser
from models.plan import CampaignPlan
from models.weights import Weights
from protocols import federation as names
from protocols.errors import CredenceError, StateConflict
from protocols.masking.errors import CohortOfFew
from protocols.tensors import model_sha256

log = structlog.get_logger(__name__)


class Masks:
    """Brings a campaign's members to masks, or back to those they have.

    Args:
        office: what campaigns are run with.
        plan: the campaign's plan.
        plan_sha256: of its body.
        members: member id by Flower node id, of those that accepted.
    """

    def __init__(
        self, office: Office, plan: CampaignPlan, plan_sha256: bytes, members: Mapping[int, str]
    ) -> None:
        self._office = office
        self._plan = plan
        self._plan_sha256 = plan_sha256
        self.members = dict(members)

    def agree(self, grid: Grid) -> MaskedRounds:
        """The campaign's rounds, once its masks are agreed.

        Raises:
            CampaignBelowQuorum: too few members are left.
        """
        terms = terms_of(self._plan, self._plan_sha256)
        steps = MaskingSteps(grid, self._plan, self._plan_sha256, self.members)
        with self._office.database.read() as connection:
            row = rows.load(connection, self._plan.campaign_id)
        setup = MaskingSetup(
            terms,
            steps,
            directory=self._office.directory,
            now_ms=self._office.now_ms,
            keep=self._keep,
            excluded=self._excluded,
        )
        try:
            agreement = setup.agree(row)
        except CohortOfFew as error:
            raise CampaignBelowQuorum(f"the masks were not agreed: {error.message}") from error
        log.info("masking.agreed", members=len(agreement.layout.dealers))
        return MaskedRounds(terms, agreement, steps, self.members)

    def _keep(self, row: rows.MaskingRow) -> None:
        with self._office.database.write() as connection:
            rows.save(connection, self._plan.campaign_id, row)

    def _excluded(self, member_id: str, code: str) -> None:
        self._office.excluded(self._plan.campaign_id, 0, member_id, code)


class MaskedStrategy(DpSgdStrategy):
    """The strategy of one masked campaign.

    Args:
        plan, plan_sha256, optimiser, bands, previous: as `DpSgdStrategy`; the bands are not used.
        masks: brings the members to masks.
    """

    def __init__(
        self,
        plan: CampaignPlan,
        plan_sha256: bytes,
        optimiser: ServerOptimiser,
        bands: Mapping[int, int],
        masks: Masks,
        previous: Weights | None = None,
    ) -> None:
        super().__init__(plan, plan_sha256, optimiser, bands, previous)
        self._masks = masks
        self._agreed: MaskedRounds | None = None
        self._sent = b""
        self._cohorts: dict[tuple[str, ...], int] = {}

    @property
    def _rounds(self) -> MaskedRounds:
        if self._agreed is None:
            raise StateConflict("the campaign's masks are not agreed yet")
        return self._agreed

    def begin(self, grid: Grid) -> None:
        """Agree the masks."""
        self._agreed = self._masks.agree(grid)

    def _takes_part(self) -> Collection[int]:
        return self._rounds.ready()

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The messages of a training round, one to each member that can mask now."""
        self._sent = _hash(arrays)
        return super().configure_train(server_round, arrays, config, grid)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """The messages of the evaluation."""
        self._sent = _hash(arrays)
        return super().configure_evaluate(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Take one step; (None, None) below the quorum or, with `lost`, when there is none."""
        parameters = self.optimiser.parameters
        opened = self._open(server_round, replies, parameters + 2)
        if opened is None:
            return None, None
        try:
            cohorts = self._checked_cohorts(opened)
            result = aggregate_total(opened.total[:-1], self._plan, cohorts, parameters)
        except CredenceError as error:
            log.warning("campaign.sum_rejected", round=server_round, code=error.code)
            self.lost = True
            return None, None
        return self._stepped(result, len(opened.members), opened.epsilon)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Keep the summed tally, or return None below the quorum or when it is lost."""
        opened = self._open(server_round, replies, self.layout.size)
        if opened is None:
            return None
        try:
            # 3. Counts.
            check_tally(opened.total, self._plan, self.layout, len(opened.members))
        except UpdateImplausible as error:
            log.warning("campaign.sum_rejected", round=server_round, code=error.code)
            self.lost = True
            return None
        self.tally, self.tallies = opened.total, len(opened.members)
        return MetricRecord({PARTICIPANTS: len(opened.members), names.EPSILON: opened.epsilon})

    def _open(self, number: int, replies: Iterable[Message], length: int) -> Opened | None:
        self.lost = False
        rounds = self._rounds
        by_member = {one: node_id for node_id, one in self._masks.members.items()}
        try:
            opened = rounds.open(number, self._sent, list(replies), length)
        except RoundLost as error:
            log.warning("masking.round_lost", round=number, reason=error.message)
            self.lost = True
            return None
        else:
            members = () if opened is None else opened.members
            self.counted = tuple(sorted(by_member[one] for one in members))
            return opened
        finally:
            self.refusals = {by_member[one]: code for one, code in rounds.refusals.items()}

    def _checked_cohorts(self, opened: Opened) -> list[int]:
        # 1. The cohort. Members declare theirs once, so that the same members sum to the same.
        cohort, members = int(opened.total[-1]), len(opened.members)
        least = self._plan.minimum_cohort * members
        known = self._cohorts.setdefault(opened.members, cohort)
        if not least <= cohort <= self._plan.aggregation.row_limit * members or known != cohort:
            raise UpdateImplausible("the sum of the cohorts is not one these members may have")
        shares = [cohort // members] * members
        shares[0] += cohort - sum(shares)
        return shares


def _hash(arrays: ArrayRecord) -> bytes:
    return model_sha256({name: array.data for name, array in arrays.items()})
