"""All baselines on the same rows, measured on the same people that none of them saw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models.baselines.expert import ExpertScorecard
from models.baselines.fusion import Fusion
from models.baselines.interface import Baseline, Floats, Labels, Learner, check_rows, cut
from models.baselines.kept import (
    OWN_FUSION,
    OWN_WEIGHTS,
    SHARED_FUSION,
    SharedScore,
    fit_kept,
)
from models.baselines.trees import LocalGbdt, decision_tree, random_forest
from models.baselines.woe import WoeLogistic
from models.calibration import sigmoid
from models.encoder import Encoded, Encoder
from models.metrics import auc, ece, ks
from protocols.errors import InvalidInput

TEST_SHARE = 0.3
KINDS = (
    "expert_scorecard",
    "woe_logistic",
    "decision_tree",
    "random_forest",
    "local_gbdt",
    "fusion",
)


@dataclass(frozen=True)
class Line:
    """What one model reaches on the held-out people."""

    model: str
    auc: float
    ks: float
    ece: float


@dataclass(frozen=True)
class Comparison:
    """A comparison.

    Attributes:
        lines: one a model.
        fitted: people the baselines were fitted and calibrated on.
        held_out: people all were measured on.
        seed: of cut and fits.
        cards: what each baseline is.
    """

    lines: tuple[Line, ...]
    fitted: int
    held_out: int
    seed: int
    cards: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        """JSON object, cards without their tables."""
        return {
            "fitted": self.fitted,
            "held_out": self.held_out,
            "seed": self.seed,
            "models": [asdict(line) for line in self.lines],
        }


def baselines(encoder: Encoder, kinds: Sequence[str] = KINDS) -> tuple[Baseline, ...]:
    """The baselines of those names, in the order of `KINDS`; a fusion is of all the others.

    Raises:
        InvalidInput: a name is not known.
    """
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise InvalidInput(f"no baseline {unknown[0]!r}; there are {', '.join(KINDS)}")
    single: tuple[Learner, ...] = (
        ExpertScorecard(encoder),
        WoeLogistic(encoder),
        decision_tree(encoder),
        random_forest(encoder),
        LocalGbdt(encoder),
    )
    every = (*single, Fusion(encoder, single))
    return tuple(Baseline(one, encoder) for one in every if one.kind in kinds)


def compare(
    encoder: Encoder,
    x: Encoded,
    y: Labels,
    seed: int,
    kinds: Sequence[str] = KINDS,
    others: Mapping[str, Callable[[Encoded], Floats]] | None = None,
    shared: SharedScore | None = None,
) -> Comparison:
    """Fit on seven tenths of the rows, measure on the rest.

    Args:
        encoder: of the catalogue.
        x: float32[n, width].
        y: [n], 1 = default.
        seed: 0 to 2^32 - 1.
        kinds: which baselines.
        others: models that exist already, by name: probability of default of encoded rows.
        shared: the network's score; where both of their own models are among `kinds`, the two
            fusions that a node can keep are measured too.

    Raises:
        LabelsUnusable: too few outcomes of a class.
        BaselinesNotInstalled: a kind needs scikit-learn and there is none.
    """
    wanted = baselines(encoder, kinds)
    check_rows(encoder, x, y)
    learned, kept = cut(y, TEST_SHARE, seed)
    fitted = [one.fit(x[learned], y[learned], seed) for one in wanted]
    answers = {one.kind: one.pd(x[kept]) for one in fitted}
    answers |= {name: pd(x[kept]) for name, pd in (others or {}).items()}
    if shared is not None and set(OWN_WEIGHTS) <= set(kinds):
        for kind in (OWN_FUSION, SHARED_FUSION):
            blend = fit_kept(encoder, kind, x[learned], y[learned], seed, shared).model
            answers[kind] = sigmoid(blend.logit(x[kept]))
    truth = y[kept]
    return Comparison(
        lines=tuple(
            Line(name, auc(truth, pd), ks(truth, pd), ece(truth, pd))
            for name, pd in answers.items()
        ),
        fitted=len(learned),
        held_out=len(kept),
        seed=seed,
        cards=tuple(one.card() for one in fitted),
    )
