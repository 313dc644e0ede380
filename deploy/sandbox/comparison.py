"""Is it worth it? AUC and KS on held-out customers, alone, together, and pooled without privacy.

Everybody is measured on the same people: held-out customers whose consent to `score` lives. The two
federated rows are the nodes' own scores, under the same consent checks as the API's. The two
others are trained here, on the rows that the banks' cohorts are made of: a bank alone on its own
signals, and all banks' rows pooled, which no network may do and only this sandbox can.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.sandbox import holdout
from node.storage.signals import SignalVector

ALONE = "bank alone, own signals"
FEDERATED_OWN = "federated, own signals"
FEDERATED = "federated, exchanged signals"
POOLED = "pooled without privacy"
ROWS = (ALONE, FEDERATED_OWN, FEDERATED, POOLED)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BankRows:
    """What one bank contributes to the comparison.

    Attributes:
        bank: member id.
        x: float32[n, width], its cohort's encoded training rows, exchanged signals included.
        y: uint8[n], their outcomes.
        test_x: float32[m, width], its held-out customers.
        labels: uint8[m], their outcomes.
        own: float64[m], probability of default by the shared model on own signals.
        exchanged: float64[m], the same with exchanged signals.
        refused: held-out customers left out, for want of a consent.
    """

    bank: str
    x: NDArray[np.float32]
    y: NDArray[np.uint8]
    test_x: NDArray[np.float32]
    labels: NDArray[np.uint8]
    own: Floats
    exchanged: Floats
    refused: int


def collect(home: Path, holdout_file: Path) -> BankRows:
    """Read one bank's rows and let its node score its held-out customers."""
    from models.encoder import Encoder
    from node.bootstrap import open_node
    from node.federation.cohort import Cohorts
    from node.storage import signals, subjects

    outcomes = holdout.read(holdout_file)
    node = open_node(home)
    try:
        now_ms = int(time.time() * 1000)
        catalogue = node.documents.catalogue()
        encoder = Encoder(catalogue)
        with node.database.read() as connection:
            known = subjects.all_subjects(connection)
            held = {one.pseudonym: one for one in known if one.customer_id in outcomes}
            consents = [
                one
                for one in node.consents.live_consents(connection, "score")
                if one.pseudonym in held
            ]
            vectors = [signals.of_subject(connection, one.pseudonym, now_ms) for one in consents]
        merged = [
            {name: said for vector in vectors_of for name, said in _held(vector)}
            for vectors_of in vectors
        ]
        status, value = signals.matrix(merged, [spec.id for spec in catalogue.signals])
        asked = [(held[one.pseudonym].subject_ref, one.consent_id) for one in consents]
        own = node.batch_scoring.score_batch(asked, exchanged=False)
        exchanged = node.batch_scoring.score_batch(asked)
        cohort = Cohorts(node.database, node.member_id, encoder, epsilon=0.0).freeze(now_ms)
        return BankRows(
            bank=node.member_id,
            x=cohort.x,
            y=cohort.y,
            test_x=encoder.encode(status, value),
            labels=np.array(
                [outcomes[held[one.pseudonym].customer_id] for one in consents], np.uint8
            ),
            own=own.pd,
            exchanged=exchanged.pd,
            refused=len(held) - len(consents),
        )
    finally:
        node.close()


@dataclass(frozen=True)
class Fit:
    """A network trained without privacy, for comparison: what it learns from, what it is tried on.

    Attributes:
        x: float32[n, width].
        y: uint8[n].
        test_x: float32[m, width].
        own_only: whether exchanged signals are hidden from it.
    """

    x: NDArray[np.float32]
    y: NDArray[np.uint8]
    test_x: NDArray[np.float32]
    own_only: bool


def fits(rows: Sequence[BankRows]) -> list[Fit]:
    """Each bank alone, then all of them pooled."""
    pooled = Fit(
        np.concatenate([one.x for one in rows]),
        np.concatenate([one.y for one in rows]),
        np.concatenate([one.test_x for one in rows]),
        own_only=False,
    )
    return [*(Fit(one.x, one.y, one.test_x, own_only=True) for one in rows), pooled]


def risk_of(fit: Fit, seed: int) -> Floats:
    """Train one and return its log-odds for the people it is tried on, float64[m]."""
    from models.catalogue import load_default
    from models.encoder import Encoder
    from models.plan import Architecture
    from models.training import fit_plain
    from models.weights import logit

    encoder = Encoder(load_default())
    x, test_x = fit.x, fit.test_x
    if fit.own_only:
        absent = np.array([block != "bank" for block in encoder.catalogue.blocks])
        x = encoder.drop_blocks(x, np.broadcast_to(absent, (len(x), len(absent))))
        test_x = encoder.drop_blocks(test_x, np.broadcast_to(absent, (len(test_x), len(absent))))
    return logit(fit_plain(encoder, Architecture(), x, fit.y, seed=seed), test_x)


def tables(
    rows: Sequence[BankRows], alone: Sequence[Floats], pooled: Floats
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """AUC and KS: row -> `pooled` and each bank -> value.

    Args:
        rows: of every bank.
        alone: risk of each bank's held-out customers by the bank's own network.
        pooled: risk of all of them, bank after bank, by the pooled network.
    """
    ends = np.cumsum([len(one.labels) for one in rows])[:-1]
    risk: Mapping[str, Sequence[Floats]] = {
        ALONE: alone,
        FEDERATED_OWN: [one.own for one in rows],
        FEDERATED: [one.exchanged for one in rows],
        POOLED: np.split(pooled, ends),
    }
    return _table("auc", rows, risk), _table("ks", rows, risk)


def _table(
    metric: str, rows: Sequence[BankRows], risk: Mapping[str, Sequence[Floats]]
) -> dict[str, dict[str, float]]:
    from models import metrics

    measure = {"auc": metrics.auc, "ks": metrics.ks}[metric]
    everybody = np.concatenate([one.labels for one in rows]).astype(np.float64)
    table = {}
    for name, parts in risk.items():
        line = {"pooled": round(measure(everybody, np.concatenate(parts)), 4)}
        for one, part in zip(rows, parts, strict=True):
            line[one.bank] = round(measure(one.labels.astype(np.float64), part), 4)
        table[name] = line
    return table


def _held(vector: SignalVector) -> list[tuple[str, tuple[int, float]]]:
    """What a vector says; a holder's "not held" says nothing beside another's answer."""
    from models.catalogue import SignalStatus

    return [
        (name, said)
        for name, said in vector.signals.items()
        if said[0] != int(SignalStatus.NOT_HELD)
    ]
