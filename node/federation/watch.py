"""What this node lets itself be asked when a model in force is watched.

A watch trains nobody, but what it counts is of people, and is charged. Besides everything that any
plan is checked for (`node.federation.policy`), one of a watch is accepted only when
  W1. this node's operator allows watching at all;
  W2. all watches of this population together, this one included, stay within what the operator
      allows watching to cost;
  W3. the model that it watches is the one that this node answers with, or scores in the shadow of
      its answers: what is asked about is a model in force, and no other. Its weights, sent with
      the question, must be those very ones (`models.watch_tally.WatchTally`).
"""

from dataclasses import dataclass

from audit.database import Database
from models.bundle import Bundle
from models.plan import CampaignPlan
from models.privacy.accountant import Accountant
from models.privacy.charge import WATCH, WATCH_COUNT, Charge, campaign_charges
from models.weights import Weights
from node.federation.policy import EPSILON_TOLERANCE, PlanRefused
from node.storage import bundles
from node.storage import privacy_ledger as rows


class WatchRefused(PlanRefused):
    """This node lets no model be watched over its people."""

    code = "watch_refused"
    next_step = "Its operator may set max_watch_epsilon; the watch goes on with the others."


class WatchTooDear(PlanRefused):
    """All watches together would cost more epsilon than this node allows watching."""

    code = "watch_above_limit"
    next_step = "Watch with less epsilon or less often; the limit is the node's max_watch_epsilon."


class WatchedModelUnknown(PlanRefused):
    """The watch is of a model that nobody is scored with at this node."""

    code = "watched_model_unknown"
    next_step = "Watch the model in force, when the node has fetched it."


@dataclass(frozen=True)
class WatchPolicy:
    """Checks W1 to W3.

    Attributes:
        database: the node's.
        population: whose ledger.
        max_epsilon: what all watches together may cost; 0: none are allowed.
        delta: where that holds.
        accountant: composes charges.
    """

    database: Database
    population: str
    max_epsilon: float
    delta: float
    accountant: Accountant

    def admit(self, plan: CampaignPlan) -> None:
        """Decide on the plan of a watch that is new here.

        Raises:
            WatchRefused, WatchTooDear, WatchedModelUnknown: a check fails; nothing was charged.
        """
        # W1. At all.
        if self.max_epsilon <= 0:
            raise WatchRefused("no model is watched over the people of this node")
        # W2. All watches together.
        spent = self.epsilon([*self.paid(), *campaign_charges(plan)])
        if spent > self.max_epsilon + EPSILON_TOLERANCE:
            raise WatchTooDear(
                f"watching would have cost epsilon {spent:.3f} of {self.max_epsilon:g}"
            )
        # W3. A model in force.
        self.weights(plan)

    def weights(self, plan: CampaignPlan) -> Weights:
        """The weights of the watched model, as they are kept here.

        Raises:
            WatchedModelUnknown: nobody is scored with that version here.
        """
        version = plan.start_bundle or ""
        with self.database.read() as connection:
            row = bundles.find(connection, version)
            in_use = bundles.in_use(connection)
        if row is None or version not in in_use:
            raise WatchedModelUnknown(f"model {version} is not one that is scored with here")
        return Bundle.load(row.manifest, row.tensors).weights

    def paid(self) -> list[tuple[Charge, int]]:
        """What watching has been charged."""
        with self.database.read() as connection:
            found = rows.charges(connection, self.population)
        return [
            (Charge(mechanism, noise, rate), count)
            for mechanism, noise, rate, count in found
            if mechanism in {WATCH, WATCH_COUNT}
        ]

    def epsilon(self, charges: list[tuple[Charge, int]]) -> float:
        """Epsilon of some charges at this node's delta."""
        return self.accountant.epsilon(charges, self.delta)
