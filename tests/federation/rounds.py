"""Plans and rounds as a coordinator would send them to one node."""

from dataclasses import dataclass, field, replace

import numpy as np

from coordinator.bootstrap import Coordinator
from models.catalogue import Catalogue
from models.encoder import Encoder
from models.plan import CampaignPlan
from models.proposal import propose
from models.weights import initial_weights
from node.federation.trainer import Request
from protocols.canonical import sha256
from protocols.documents import Document, sign_document
from protocols.federation import PREVIOUS
from protocols.keys import SigningKey
from protocols.tensors import tensor_bytes

MEMBERS = ("bank-a", "bank-b", "bank-c")


@dataclass
class Campaign:
    """A plan, signed, and the rounds of it."""

    plan: CampaignPlan
    key: SigningKey
    encoder: Encoder
    document: Document = field(init=False)

    def __post_init__(self) -> None:
        self.document = sign_document("plan", self.plan.to_body(), self.key)

    def changed(self, **changes: object) -> "Campaign":
        """The same with other values, signed anew."""
        return replace(self, plan=replace(self.plan, **changes))

    def model(self, seed: int = 0) -> dict[str, bytes]:
        """Some weights of the plan's architecture."""
        weights = initial_weights(self.plan.architecture, self.encoder, seed)
        return {name: tensor_bytes(array) for name, array in weights.items()}

    def evaluation(self, seed: int = 0) -> Request:
        """The request of the evaluation, with the version to compare with where there is one."""
        previous: dict[str, bytes] = {}
        if self.plan.evaluation.previous:
            previous = {PREVIOUS + name: data for name, data in self.model(seed + 99).items()}
        return self.round(self.plan.rounds + 1, self.model(seed) | previous)

    def round(self, number: int, model: dict[str, bytes] | None = None) -> Request:
        """A round's request."""
        return Request(
            campaign_id=self.plan.campaign_id,
            number=number,
            plan_sha256=sha256(self.document.body),
            model=self.model(number) if model is None else model,
        )


def make_campaign(authority: Coordinator, catalogue: Catalogue, **options: object) -> Campaign:
    """A small campaign that a node of these tests accepts."""
    values: dict[str, object] = {
        "epsilon": 8.0,
        "rounds": 5,
        "follow_up_rounds": 2,
        "count_noise": 4.0,
        "minimum_cohort": 40,
    }
    campaign_id = str(options.pop("campaign_id", "camp-1"))
    members = options.pop("members", MEMBERS)
    plan = propose(catalogue, campaign_id, members, **(values | options))
    return Campaign(plan, authority.keys.directory, Encoder(catalogue))


def of_type(request: Request, name: str, array: np.ndarray) -> Request:
    """The same request with another tensor under `name`."""
    return replace(request, model={**request.model, name: tensor_bytes(array)})
