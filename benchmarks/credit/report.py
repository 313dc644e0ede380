"""The quality benchmark's figures: means over splits, and how they are printed."""

from typing import Any

import numpy as np

from benchmarks.credit.inside import compared
from models.privacy.guarantees import Guarantees

FIGURES = ("auc", "ks", "brier", "ece", "mean_pd", "epsilon_promised", "epsilon_alone")
Row = dict[str, Any]


def report(found: dict[str, list[Row]], kept: dict[str, Guarantees]) -> dict[str, Any]:
    """Means over the splits, with every split's own figures.

    Args:
        found: rows of each model, one a split.
        kept: what the plans behind some of them guarantee.
    """
    rows = []
    for name, splits in found.items():
        row: Row = {"model": name}
        for figure in FIGURES:
            values = [one[figure] for one in splits if figure in one]
            if values:
                row[figure] = round(float(np.mean(values)), 4)
        row["auc_by_split"] = [round(one["auc"], 4) for one in splits if "auc" in one]
        row["auc_by_bank"] = np.mean([one["banks"] for one in splits], axis=0).round(4).tolist()
        row["auc_by_split_and_bank"] = np.round([one["banks"] for one in splits], 4).tolist()
        if name in kept:
            row["epsilon_promised"] = round(kept[name].promised, 4)
            row["epsilon_alone"] = round(kept[name].alone, 4)
            row["honest_minimum"] = kept[name].honest_minimum
        rows.append(row)
    return {
        "models": rows,
        "fused_against_own": compared({row["model"]: row for row in rows}),
    }


def print_report(result: dict[str, Any]) -> None:
    """The grid as a table."""
    print(
        f"\n{result['rows']:,} rows, {result['default_rate']:.1%} defaults, "
        f"{result['nodes']} institutions, mean of {result['splits']} splits, "
        f"delta {result['delta']:g}"
    )
    print(f"{'':48} {'AUC':>6} {'KS':>6} {'ECE':>6} {'alone*':>7}  AUC at each institution")
    for row in result["models"]:
        figures = [f"{row[name]:.4f}" if name in row else "" for name in ("auc", "ks", "ece")]
        alone = f"{row['epsilon_alone']:.2f}" if "epsilon_alone" in row else ""
        banks = " ".join(f"{value:.4f}" for value in row["auc_by_bank"])
        print(
            f"{row['model']:48} {figures[0]:>6} {figures[1]:>6} {figures[2]:>6} {alone:>7}  {banks}"
        )
    for line in result["fused_against_own"]:
        print(
            f"{line['fused']} at or above {line['own']}: {line['at_or_above']} of {line['cells']} "
            f"(bank, split); least {line['least']:+.4f}, mean {line['mean']:+.4f}"
        )
    print("* epsilon by a node's own noise, against all other parties together")
    print(f"Hyperparameters: {result['hyperparameters']}.")
