"""The whole main job, timed stage by stage: `python -m benchmarks.main_job [--data FILE.csv]`.

Runs `credence demo --once` as a user would, in a directory of its own. The floor of a training
round is the same round's work without a network: one DP step of every bank, one after another.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.training_step import measure


def run(options: list[str]) -> dict[str, Any]:
    """One demo; its report."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "report.json"
        where = ["--dir", str(Path(scratch) / "sandbox"), "--json", str(out)]
        command = [sys.executable, "-m", "deploy.command", "demo", "--once", *where, *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own
        report: dict[str, Any] = json.loads(out.read_text())
    return report


def main() -> None:
    """Print stage times, the round beside its floor, memory and the quality table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="the real clients' CSV file")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    report = run(["--data", options.data] if options.data else [])
    step_ms = measure(rows=max(1, report["subjects"] * 8 // 15 // 3), repeats=20)["private_ms"]
    round_ms = report["training"]["round_median_s"] * 1000
    result = {
        "subjects": report["subjects"],
        "seconds": report["seconds"],
        "total_s": round(sum(report["seconds"].values()), 1),
        "peak_memory_mib": report["peak_memory_mib"],
        "round_median_ms": round_ms,
        "dp_step_of_three_banks_ms": round(3 * step_ms, 1),
        "round_over_floor": round(round_ms / (3 * step_ms), 2),
        "auc": report["auc"],
        "epsilon": report["training"]["epsilon"],
    }
    if options.json:
        print(json.dumps(result, indent=2))
        return
    for name, value in result.items():
        print(f"{name:<28} {value}")


if __name__ == "__main__":
    main()
