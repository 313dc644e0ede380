"""Trees: one, a forest of them, and boosted ones; local to a node, and called so.

scikit-learn is an optional extra and is loaded when a tree is fitted. The rows are the encoded
ones; each column's split may only go the catalogue's way. A tree's probabilities are sure of
themselves: the calibration on rows that it never saw takes that back.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from models.baselines.boosted import Boosted, from_sklearn
from models.baselines.interface import Floats, Labels, log_odds
from models.encoder import Encoded, Encoder
from protocols.errors import CredenceError

# Settings were chosen once on synthetic borrowers.
TREE = {"max_depth": 6, "min_samples_leaf": 40}
FOREST = {"n_estimators": 120, "max_depth": 10, "min_samples_leaf": 15, "max_features": "sqrt"}
BOOSTED = {
    "max_iter": 150,
    "learning_rate": 0.05,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 30,
    "l2_regularization": 5.0,
    "early_stopping": False,
}


class BaselinesNotInstalled(CredenceError):
    """Trees need scikit-learn, which is not installed here."""

    code = "baselines_not_installed"
    category = "unavailable"
    next_step = (
        "Install the extra: pip install 'credence[baselines]'; or ask for the scorecards with "
        "--only expert_scorecard --only woe_logistic."
    )


@dataclass(frozen=True)
class _Trees:
    """A fitted classifier of scikit-learn."""

    model: Any
    settings: Mapping[str, Any]

    def raw(self, x: Encoded) -> Floats:
        """Log-odds of default, float64[n]."""
        with one_thread():
            return log_odds(self.model.predict_proba(x)[:, 1])

    def facts(self) -> Mapping[str, Any]:
        """Its settings."""
        return {"settings": dict(self.settings), "library": "scikit-learn"}


@dataclass(frozen=True)
class TreeLearner:
    """One of scikit-learn's classifiers, kept to the catalogue's directions.

    Attributes:
        encoder: of the rows.
        kind: its name here.
        module, classifier: where scikit-learn has it.
        settings: what it is made with.
        monotone: whether the directions hold.
    """

    encoder: Encoder
    kind: str
    module: str
    classifier: str
    settings: Mapping[str, Any]
    monotone: bool = True

    def learn(self, x: Encoded, y: Labels, seed: int) -> _Trees:
        """Fit.

        Raises:
            BaselinesNotInstalled: there is no scikit-learn.
        """
        make = getattr(load(self.module), self.classifier)
        model = make(**self.settings, random_state=seed, monotonic_cst=_signs(self.encoder))
        return _Trees(model.fit(x, y), self.settings)


def decision_tree(encoder: Encoder) -> TreeLearner:
    """One tree."""
    return TreeLearner(encoder, "decision_tree", "sklearn.tree", "DecisionTreeClassifier", TREE)


def random_forest(encoder: Encoder) -> TreeLearner:
    """Trees on drawn rows and columns, averaged."""
    return TreeLearner(
        encoder, "random_forest", "sklearn.ensemble", "RandomForestClassifier", FOREST
    )


@dataclass(frozen=True)
class LocalGbdt:
    """Gradient-boosted trees of one node."""

    encoder: Encoder
    kind: str = "local_gbdt"
    monotone: bool = True

    def learn(self, x: Encoded, y: Labels, seed: int) -> Boosted:
        """Fit, and take the trees out of the library: they can be written down.

        Raises:
            BaselinesNotInstalled: there is no scikit-learn.
        """
        make = load("sklearn.ensemble").HistGradientBoostingClassifier
        signs = _signs(self.encoder)
        model = make(**BOOSTED, random_state=seed, monotonic_cst=signs)
        with one_thread():
            return from_sklearn(model.fit(x, y), x)


def _signs(encoder: Encoder) -> list[int]:
    """The catalogue's directions as a list: a tree of scikit-learn turns the signs of an array of
    int8 around in place, which would reach the encoder and every second tree of a forest.
    """
    signs: list[int] = encoder.wide_signs.tolist()
    return signs


def one_thread() -> AbstractContextManager[object]:
    """Keeps OpenMP from spinning: beside a running node more threads make small fits slower."""
    limits: AbstractContextManager[object] = load("threadpoolctl").threadpool_limits(limits=1)
    return limits


def load(name: str) -> ModuleType:
    """A module of scikit-learn, or of what comes with it.

    Raises:
        BaselinesNotInstalled: there is none.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise BaselinesNotInstalled("scikit-learn is not installed here") from error
