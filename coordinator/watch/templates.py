"""Plans from a schedule's template, or from a command's options: names and values, nothing else."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from coordinator.proposals import Proposals
from models.bundle import Bundle
from models.catalogue import Catalogue
from models.encoder import Encoder
from models.plan import CampaignPlan
from models.watch_proposal import propose_watch
from protocols.errors import InvalidInput

# What a template may say, and of what type each value is.
_SHARED: Final[Mapping[str, type | tuple[type, ...]]] = {
    "members": list,
    "epsilon": (int, float),
    "delta": (int, float),
    "minimum_cohort": int,
    "quorum": int,
    "mode": str,
    "round_deadline_s": (int, float),
}
OF_TRAINING: Final = {**_SHARED, "rounds": int, "follow_up_rounds": int, "purpose": str}
OF_WATCH: Final = {**_SHARED, "signals": list}
MODES: Final = ("local", "distributed")


@dataclass(frozen=True)
class PlanMaker:
    """Makes plans from templates, and stores them.

    Attributes:
        proposals: of the coordinator.
    """

    proposals: Proposals

    def training(self, template: Mapping[str, Any], now_ms: int) -> CampaignPlan:
        """A plan that trains.

        Raises:
            InvalidInput: the template says what no plan can be.
            CredenceError: a member cannot train, or there is no catalogue.
        """
        options = _checked(template, OF_TRAINING)
        members = options.pop("members", [])
        return self.proposals.plan(members, now_ms, **options)

    def watch(self, template: Mapping[str, Any], now_ms: int) -> CampaignPlan:
        """A plan that watches the model in force.

        Raises:
            UnknownBundle: there is none.
            InvalidInput: the template says what no plan can be.
            CredenceError: a member cannot take part, or the coordinator's log is not witnessed.
        """
        self.proposals.require_log()
        options = _checked(template, OF_WATCH)
        members = self.proposals.members(options.pop("members", []))
        row = self.proposals.registry.find()
        catalogue = Catalogue.from_body(self.proposals.membership.document("catalogue").body)
        bundle = Bundle.load(row.manifest, row.tensors)
        if bundle.manifest.catalogue_sha256 != catalogue.sha256:
            raise InvalidInput(f"model {bundle.version} is of another catalogue than the one now")
        return propose_watch(
            Encoder(catalogue),
            f"watch-{secrets.token_hex(6)}",
            members,
            bundle,
            deadline_at_ms=now_ms + self.proposals.life_ms,
            **options,
        )

    def of(self, kind: str) -> Callable[[Mapping[str, Any], int], CampaignPlan]:
        """`training` or `watch`."""
        return self.watch if kind == "watch" else self.training


def _checked(
    template: Mapping[str, Any], allowed: Mapping[str, type | tuple[type, ...]]
) -> dict[str, Any]:
    for name, value in template.items():
        if name not in allowed:
            raise InvalidInput(f"a template has no {name!r}; it may have {', '.join(allowed)}")
        if isinstance(value, bool) or not isinstance(value, allowed[name]):
            raise InvalidInput(f"template: {name} is of another type")
        if isinstance(value, list) and not all(isinstance(one, str) for one in value):
            raise InvalidInput(f"template: {name} is a list of names")
    if template.get("mode", MODES[0]) not in MODES:
        raise InvalidInput(f"template: mode is {' or '.join(MODES)}")
    return dict(template)
