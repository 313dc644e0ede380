"""The production apps on Flower's simulation engine."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.engines.ledgers import charged
from tests.engines.processes import run

pytestmark = [
    pytest.mark.engines,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        find_spec("ray") is None, reason="Ray is not installed: pip install '.[simulation]'"
    ),
]


def test_eight_virtual_nodes_train_under_masks_and_each_ledger_says_what_it_paid(tmp_path: Path):
    """Same apps, no stream of ours: a bundle, everybody counted, one charge a round at each."""
    root = tmp_path / "network"
    run("deploy.flower.simulation", "--nodes", "8", "--rounds", "1", "--people", "80",
        "--processes", "2", "--dir", str(root))  # fmt: skip
    report = json.loads((root / "report.json").read_text())
    assert (report["state"], report["nodes"]) == ("completed", 8)
    assert [one["participants"] for one in report["rounds"]] == [8]
    assert charged(root, 8) == [3] * 8  # the count, the step, the calibration
