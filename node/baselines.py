"""Baselines at one node: classic models fitted on its own consented rows, measured, thrown away.

The rows are those a training campaign would draw from now: live `train` consents that name this
node, their signals, known outcomes. Nothing fitted is kept or sent. The log says that it was done;
the consents are checked again in that transaction, so a withdrawal in between stops the figures.
"""

from collections.abc import Callable, Sequence
from typing import Any

from audit.leaf import Entry
from models.baselines.compare import KINDS, Comparison, compare
from models.baselines.kept import SharedScore
from models.encoder import Encoded, Encoder
from models.evaluate import Scorer
from models.weights import logit
from node.federation.cohort import Cohort, Cohorts
from node.network.pinned import directory_key
from node.parts import Node
from node.scoring.active_model import ActiveModel
from node.storage import bundles


def compare_baselines(
    node: Node, seed: int, now_ms: Callable[[], int], kinds: Sequence[str] = KINDS
) -> Comparison:
    """Fit and measure; see models/baselines/compare.py.

    The model in use, if there is one, is measured beside them. It may have learnt, under noise,
    from the held-out people too.

    Args:
        node: an opened node that has joined.
        seed: of cut and fits.
        now_ms: the clock, UTC milliseconds.
        kinds: which baselines.

    Raises:
        NotJoined: the node has no catalogue yet.
        LabelsUnusable: too few consented people with outcomes of a class.
        BaselinesNotInstalled: a kind needs scikit-learn.
        CohortChanged: a consent ended meanwhile; nothing is shown.
    """
    encoder = Encoder(node.documents.catalogue())
    cohorts = Cohorts(node.database, node.member_id, encoder, epsilon=0.0)
    cohort = cohorts.freeze(now_ms())
    scorer = _in_use(node)
    others, shared = {}, None
    if scorer is not None:
        shared = SharedScore.of(scorer.bundle)
        others[shared.version] = lambda x: _pd(scorer, x)
    found = compare(encoder, cohort.x, cohort.y, seed, kinds, others, shared)
    with node.database.write() as connection:
        at_ms = now_ms()
        cohorts.check(connection, cohort, at_ms)
        node.audit.append(connection, _entry(node, found, cohort, at_ms))
    return found


def _in_use(node: Node) -> Scorer | None:
    """The verified model in use, or None."""
    key = directory_key(node.settings)
    with node.database.read() as connection:
        if bundles.active_version(connection) is None or key is None:
            return None
        model = ActiveModel(lambda: key, node.documents.catalogue)
        return model.get(connection)


def _pd(scorer: Scorer, x: Encoded) -> Any:
    return scorer.bundle.manifest.calibration.pd(logit(scorer.bundle.weights, x))


def _entry(node: Node, found: Comparison, cohort: Cohort, at_ms: int) -> Entry:
    facts = {
        "cohort_root": cohort.root.hex(),
        "cohort_size": cohort.size,
        "models": [line.model for line in found.lines],
        "seed": found.seed,
    }
    return Entry(
        kind="training.baselines",
        actor=node.member_id,
        purpose="train",
        correlation="",
        payload=facts,
        subject=None,
        at_ms=at_ms,
    )
