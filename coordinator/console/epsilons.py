"""The most that each node can have spent, from the plans it accepted and the rounds that were made.

The node's own ledger is the truth, and stays with the node: it may be smaller, where the node was
away for some rounds, and larger, where it spent outside this network. A guarantee is composed over
all campaigns, since the same people may be in all of them.
"""

import threading
from collections.abc import Iterable, Mapping, Sequence

from coordinator.console.views import CampaignLine, NodeEpsilon, Privacy
from models.privacy.accountant import Accountant
from models.privacy.charge import Charge, count_charge, evaluation_charge, step_charge

_Charges = tuple[tuple[Charge, int], ...]
_KEPT = 256


class Epsilons:
    """Computes epsilon by node; thread-safe, keeps what it has computed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._accountant = Accountant()
        self._known: dict[tuple[_Charges, float], float] = {}

    def privacy(
        self,
        campaigns: Sequence[CampaignLine],
        accepted: Mapping[str, Iterable[str]],
        reported: float | None,
    ) -> Privacy | None:
        """Epsilon of every node that accepted a plan.

        Args:
            campaigns: all, the newest first.
            accepted: ids of the members that accepted, by campaign id.
            reported: the largest ledger that a node said it has.

        Returns:
            None when nobody has accepted anything.
        """
        members = sorted({one for taking_part in accepted.values() for one in taking_part})
        if not members:
            return None
        newest = campaigns[0].plan
        taken = {name: frozenset(ids) for name, ids in accepted.items()}
        nodes = []
        for member_id in members:
            own = [one for one in campaigns if member_id in taken.get(one.campaign_id, ())]
            nodes.append(
                NodeEpsilon(
                    member_id,
                    self._epsilon(own, newest.privacy.delta, alone=False),
                    self._epsilon(own, newest.privacy.delta, alone=True),
                )
            )
        return Privacy(
            nodes=tuple(nodes),
            ceiling=newest.privacy.epsilon,
            delta=newest.privacy.delta,
            reported=reported,
            mode=newest.privacy.mode,
            honest_minimum=newest.privacy.honest_minimum,
        )

    def _epsilon(self, campaigns: Sequence[CampaignLine], delta: float, *, alone: bool) -> float:
        charges = tuple(charge for one in campaigns for charge in _charges(one, alone=alone))
        key = (charges, delta)
        with self._lock:
            if key not in self._known:
                if len(self._known) >= _KEPT:
                    self._known.clear()
                self._known[key] = self._accountant.epsilon(charges, delta)
            return self._known[key]


def _charges(campaign: CampaignLine, *, alone: bool) -> _Charges:
    privacy = campaign.plan.privacy
    found = [(count_charge(privacy), 1)]
    if campaign.rounds_done:
        found.append((step_charge(privacy, alone=alone), campaign.rounds_done))
    if campaign.state == "completed" or campaign.rounds_done >= campaign.plan.rounds:
        found.append((evaluation_charge(privacy, alone=alone), 1))
    return tuple(found)
