"""The production apps on a stock SuperLink, every node a SuperNode process."""

import json
from pathlib import Path

import pytest

from deploy.flower.superlink import missing_commands
from tests.engines.ledgers import charged
from tests.engines.processes import run

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        bool(missing_commands()), reason="Flower's commands are not installed beside Python"
    ),
]


def test_two_supernodes_train_under_masks_on_a_stock_superlink(tmp_path: Path):
    """`flwr run` sends two modules that name installed apps; the campaign ends with a bundle."""
    root = tmp_path / "network"
    run("deploy.flower.superlink", "--nodes", "2", "--rounds", "1", "--timeout", "240",
        "--dir", str(root))  # fmt: skip
    report = json.loads((root / "report.json").read_text())
    assert (report["state"], report["nodes"]) == ("completed", 2)
    assert [one["participants"] for one in report["rounds"]] == [2]
    assert charged(root, 2) == [3] * 2  # the count, the step, the calibration
