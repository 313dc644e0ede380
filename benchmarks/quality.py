"""How good the models are: a grid of privacy, trust and rivals on any numeric credit table.

    python -m benchmarks.quality --data FILE.csv --label COLUMN --catalogue FILE.yaml --nodes 3 \
        --epsilon inf,8,3,1 --mode local,distributed --seeds 3 --json OUT.json

The table is split 80/20 with the same share of defaults on both sides, once for each seed. The
training rows lie at institutions of unequal size whose customers differ: a softened order by the
catalogue's segment columns is cut, each share 0.6 of the last. Ours are trained by what nodes and
coordinator run, noise included, at delta 1e-5; each cell spends its epsilon whole, count and
calibration in it. The catalogue file is described in docs/benchmark-catalogue.md. Without --data,
a synthetic table.

Where hyperparameters come from: ours were fixed on synthetic worlds, and so was the prior that
training starts from (benchmarks/credit); docs/benchmark-catalogue.md says what the UCI table was
looked at for. LightGBM's were chosen on the UCI table, in its favour.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.credit import rivals
from benchmarks.credit.federated import Cohort, Settings, Trained, make_plan, train, train_freely
from benchmarks.credit.inside import InsideBanks
from benchmarks.credit.priors import PriorSettings, make_prior
from benchmarks.credit.report import Row, print_report, report
from benchmarks.credit.scorecard import make_scorecard
from benchmarks.credit.table import Recipe, Table, read_recipe, read_table
from benchmarks.credit.worlds import draw
from models.baselines.interface import LabelsUnusable
from models.encoder import Encoder
from models.metrics import auc, brier, ece, ks
from models.plan import Architecture, TrustMode
from models.prior import Prior
from models.privacy.guarantees import Guarantees
from models.training import fit_plain
from models.weights import Weights, logit
from protocols.errors import CredenceError, InvalidInput

DELTA = 1e-5
TEST_SHARE = 0.2
SMALLEST_TABLE = 200
MAX_NODES = 20
MAX_SEEDS = 20
HERE = Path(__file__).parent
ORIGIN = (
    "ours: numbers and public prior fixed on synthetic worlds only, though the UCI table was "
    "looked at while the method was made; "
    "rivals: LightGBM's chosen on the UCI table in its favour, the others' are defaults"
)

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """One split of a table: indices of both sides, and each row's institution."""

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    bank: NDArray[np.int64]


@dataclass(frozen=True)
class Study:
    """Everything that stays the same from cell to cell."""

    recipe: Recipe
    table: Table
    encoder: Encoder
    x: NDArray[np.float32]
    prior: Prior | None
    architecture: Architecture
    settings: Settings
    nodes: int


def split(table: Table, recipe: Recipe, nodes: int, seed: int) -> Split:
    """Cut a table; the same seed cuts the same way."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(table.label))
    chosen, held = train_test_split(
        rows, test_size=TEST_SHARE, random_state=seed, stratify=table.label
    )
    order = np.random.default_rng([seed, 0xBA]).normal(0, 0.5, len(rows))
    for name in recipe.segments or recipe.formulas[recipe.catalogue.signals[0].id].columns:
        ranks = np.argsort(np.argsort(np.nan_to_num(table.columns[name]), kind="stable"))
        order += (ranks / len(rows) - 0.5) * np.sqrt(12)
    shares = 0.6 ** np.arange(nodes)
    cuts = np.quantile(order, np.cumsum(shares / shares.sum())[:-1])
    return Split(np.sort(chosen), np.sort(held), np.searchsorted(cuts, order))


def cohorts(study: Study, cut: Split) -> list[Cohort]:
    """Each institution's training rows."""
    found = []
    for bank in range(study.nodes):
        rows = cut.train[cut.bank[cut.train] == bank]
        if len(np.unique(study.table.label[rows])) < 2:
            raise InvalidInput(f"institution {bank + 1} of {study.nodes} has one class of label")
        found.append(Cohort(study.x[rows], study.table.label[rows]))
    return found


def measured(study: Study, cut: Split, risk: Floats, pd: Floats | None = None) -> Row:
    """AUC and KS of everybody held out and AUC at each institution; Brier and ECE of a PD."""
    label = study.table.label[cut.test]
    row: Row = {"auc": auc(label, risk), "ks": ks(label, risk)}
    row["banks"] = [
        auc(label[cut.bank[cut.test] == bank], risk[cut.bank[cut.test] == bank])
        for bank in range(study.nodes)
    ]
    if pd is not None:
        row |= {"brier": brier(label, pd), "ece": ece(label, pd), "mean_pd": float(pd.mean())}
    return row


def rival_rows(study: Study, cut: Split, epsilons: Sequence[float], seed: int) -> dict[str, Row]:
    """What others make of all rows in one place."""
    table, chosen, held = study.table, cut.train, cut.test
    y = table.label[chosen]
    kept = [name for name in table.columns if name not in study.recipe.ignore]
    everything = np.stack([table.columns[name] for name in kept], axis=1)
    read = np.stack([table.columns[name] for name in sorted(study.recipe.columns())], axis=1)
    x, test_x = study.x[chosen], study.x[held]
    risks = {
        "LightGBM, every column": rivals.lightgbm(everything[chosen], y, everything[held], seed),
        "LightGBM, our columns": rivals.lightgbm(read[chosen], y, read[held], seed),
        "logistic regression": rivals.logistic(read[chosen], y, read[held]),
        "WOE scorecard": rivals.woe_scorecard(study.encoder, x, y, test_x),
    }
    if study.recipe.ranges:
        for epsilon in (one for one in epsilons if np.isfinite(one)):
            risks[f"DP-EBM, epsilon {epsilon:g}"] = rivals.dp_ebm(
                {name: column[chosen] for name, column in table.columns.items()},
                {name: column[held] for name, column in table.columns.items()},
                y, study.recipe.ranges, epsilon, DELTA, seed,
            )  # fmt: skip
    return {f"{name} (pooled)": measured(study, cut, risk) for name, risk in risks.items()}


def inside_banks(
    study: Study, cut: Split, parts: Sequence[Cohort], seed: int
) -> InsideBanks | None:
    """Each institution's own models, fitted without privacy, to blend shared scores with.

    None where an institution has too few outcomes of a class for models of its own.
    """
    held = [cut.test[cut.bank[cut.test] == bank] for bank in range(study.nodes)]
    tests = [Cohort(study.x[rows], study.table.label[rows]) for rows in held]
    try:
        return InsideBanks(study.encoder, parts, tests, seed)
    except LabelsUnusable:
        return None


def alone_rows(
    study: Study, cut: Split, parts: Sequence[Cohort], epsilons: Sequence[float], seed: int
) -> dict[str, Row]:
    """What each institution makes of its own rows, for its own customers."""
    rows: dict[str, Row] = {}
    for epsilon in epsilons:
        found = []
        for number, part in enumerate(parts):
            own = cut.test[cut.bank[cut.test] == number]
            risk = logit(_alone(study, part, epsilon, seed), study.x[own])
            found.append(auc(study.table.label[own], risk))
        said = f"epsilon {epsilon:g}" if np.isfinite(epsilon) else "no privacy"
        rows[f"each bank alone, {said}"] = {"banks": found}
    return rows


def _alone(study: Study, part: Cohort, epsilon: float, seed: int) -> Weights:
    if not np.isfinite(epsilon):
        return fit_plain(
            study.encoder, study.architecture, part.x, part.y,
            seed=seed, epochs=12, weight_decay=0.3,
        )  # fmt: skip
    plan = make_plan(
        study.recipe.catalogue, 1, study.architecture, study.settings,
        epsilon=epsilon, delta=DELTA, mode="local", rows=len(part.x),
    )  # fmt: skip
    return train(plan, study.encoder, study.prior, [part]).weights


def our_rows(
    study: Study,
    cut: Split,
    parts: Sequence[Cohort],
    epsilons: Sequence[float],
    modes: Sequence[TrustMode],
    inside: InsideBanks | None,
) -> tuple[dict[str, Row], dict[str, Guarantees]]:
    """Ours at each epsilon and mode, alone and inside each bank, and what each plan guarantees."""
    test_x = study.x[cut.test]
    rows: dict[str, Row] = {}

    def add(name: str, trained: Trained) -> None:
        rows[name] = measured(study, cut, trained.risk(test_x), trained.pd(test_x))
        if inside is not None:
            fused = name.replace("Credence", "fused inside each bank")
            rows[fused] = inside.fused(trained.weights, trained.calibration)

    kept: dict[str, Guarantees] = {}
    for epsilon in epsilons:
        if not np.isfinite(epsilon):
            free = train_freely(
                study.recipe.catalogue, study.encoder, study.architecture, parts, study.settings
            )
            add("Credence, no privacy", free)
            continue
        for mode in modes:
            name = f"Credence, epsilon {epsilon:g}, {mode}"
            plan = make_plan(
                study.recipe.catalogue, study.nodes, study.architecture, study.settings,
                epsilon=epsilon, delta=DELTA, mode=mode, rows=len(cut.train),
            )  # fmt: skip
            trained = train(plan, study.encoder, study.prior, parts)
            add(name, trained)
            if trained.guarantees is not None:
                kept[name] = trained.guarantees
            rows[f"WOE scorecard, federated, epsilon {epsilon:g}, {mode}"] = scorecard_row(
                study, cut, parts, epsilon, mode
            )
    return rows, kept


def scorecard_row(
    study: Study, cut: Split, parts: Sequence[Cohort], epsilon: float, mode: TrustMode
) -> Row:
    """The network's WOE scorecard at an epsilon of its own."""
    made = make_scorecard(study.encoder, parts, epsilon=epsilon, delta=DELTA, mode=mode)
    x = study.x[cut.test]
    row = measured(study, cut, made.core.raw(x), made.pd(x))
    return row | {"epsilon_promised": made.epsilon, "epsilon_alone": made.alone}


def run(
    table: Table,
    recipe: Recipe,
    *,
    nodes: int,
    epsilons: Sequence[float],
    modes: Sequence[TrustMode],
    seeds: int,
    progress: bool = True,
) -> dict[str, Any]:
    """The whole grid, as it is written to the JSON file."""
    if len(table.label) < SMALLEST_TABLE:
        raise InvalidInput(f"a table needs at least {SMALLEST_TABLE} rows")
    encoder = Encoder(recipe.catalogue)
    architecture = Architecture(block_dropout=0.0)
    prior = None
    settings = Settings()
    if recipe.world:
        prior = make_prior(recipe, architecture, PriorSettings())
        architecture = replace(architecture, prior=prior.sha256)
    else:
        settings = settings.without_prior()
    study = Study(
        recipe, table, encoder, encoder.encode(*recipe.signals(table.columns)), prior,
        architecture, settings, nodes,
    )  # fmt: skip
    found: dict[str, list[Row]] = {}
    kept: dict[str, Guarantees] = {}
    for seed in range(seeds):
        started = time.monotonic()
        cut = split(table, recipe, nodes, seed)
        parts = cohorts(study, cut)
        rows = rival_rows(study, cut, epsilons, seed)
        rows |= alone_rows(study, cut, parts, epsilons, seed)
        inside = inside_banks(study, cut, parts, seed)
        rows |= inside.own() if inside is not None else {}
        ours, kept = our_rows(study, cut, parts, epsilons, modes, inside)
        for name, row in (rows | ours).items():
            found.setdefault(name, []).append(row)
        if progress:
            print(f"split {seed + 1} of {seeds}: {time.monotonic() - started:.0f} s", flush=True)
    facts = {
        "rows": len(table.label),
        "default_rate": round(float(table.label.mean()), 4),
        "nodes": nodes,
        "splits": seeds,
        "delta": DELTA,
        "signals": len(recipe.catalogue.signals),
        "prior": "" if prior is None else prior.sha256,
        "hyperparameters": ORIGIN,
    }
    return facts | report(found, kept)


def _epsilons(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInput(f"--epsilon {text!r}: numbers or inf, with commas") from None
    if not all(0 < one <= 64 or one == float("inf") for one in found):
        raise InvalidInput(f"--epsilon {text!r}: above 0 and up to 64, or inf")
    return found


def _modes(text: str) -> list[TrustMode]:
    known: dict[str, TrustMode] = {"local": "local", "distributed": "distributed"}
    try:
        return [known[part] for part in text.split(",")]
    except KeyError:
        raise InvalidInput(f"--mode {text!r}: local, distributed or both with a comma") from None


def _count(name: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise InvalidInput(f"--{name} {value}: from {low} to {high}")
    return value


def _synthetic(rows: int) -> Path:
    """A synthetic table as a file, read back like anybody's."""
    table = draw(77, rows)
    path = Path(tempfile.mkdtemp()) / "synthetic.csv"
    names = [*table.columns, "default"]
    body = np.stack([*table.columns.values(), table.label], axis=1)
    np.savetxt(path, body, delimiter=",", header=",".join(names), comments="", fmt="%.6g")
    return path


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality", description=(__doc__ or "").split("\n\n")[0]
    )
    parser.add_argument("--data", type=Path, help="CSV file with a header")
    parser.add_argument("--label", default="default", help="its column of 0 and 1")
    parser.add_argument("--catalogue", type=Path, default=HERE / "uci.yaml")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--epsilon", default="inf,8,3,1")
    parser.add_argument("--mode", default="local,distributed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run; 2 when the input cannot be used."""
    given = arguments(argv)
    try:
        epsilons, modes = _epsilons(given.epsilon), _modes(given.mode)
        nodes = _count("nodes", given.nodes, 1, MAX_NODES)
        seeds = _count("seeds", given.seeds, 1, MAX_SEEDS)
        recipe = read_recipe(given.catalogue)
        if given.data is None:
            print("No --data: a synthetic table of 12,000 people.")
        data = _synthetic(12_000) if given.data is None else given.data
        table = read_table(data, given.label, recipe.columns())
        with threadpool_limits(limits=1):
            result = run(table, recipe, nodes=nodes, epsilons=epsilons, modes=modes, seeds=seeds)
    except CredenceError as error:
        print(f"{error} {error.next_step}", file=sys.stderr)
        return 2
    print_report(result)
    if given.json is not None:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main(sys.argv[1:]))
