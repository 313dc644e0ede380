"""A campaign of virtual nodes on Flower's simulation engine.

`python -m deploy.flower.simulation --nodes 200 --rounds 5`. Needs the extra `simulation` (Ray).
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deploy.flower.campaign import Wanted, build_campaign_app
from deploy.flower.homes import make_network
from deploy.flower.layout import Layout
from deploy.flower.node_app import VirtualNodes

CUSTOMERS = 80


@dataclass(frozen=True)
class Times:
    """How long it took, seconds."""

    homes: float
    simulation: float


def simulate(
    root: Path, *, nodes: int, rounds: int, people: int = CUSTOMERS, processes: int = 4
) -> Times:
    """Make a network below `root`, unless there is one, and run one campaign.

    The outcome is `root`/report.json.

    Args:
        root: a new or empty directory, or one with such a network.
        nodes: virtual nodes, as many as the network has.
        rounds: DP steps.
        people: customers of each node.
        processes: Ray actors that answer for the nodes.

    Raises:
        CredenceError: the campaign came to no bundle.
    """
    from flwr.simulation import run_simulation

    started = time.monotonic()
    layout = Layout(root)
    if not layout.coordinator.exists():
        make_network(root, nodes=nodes, people=people)
    made = time.monotonic()
    run_simulation(
        server_app=build_campaign_app(
            layout.coordinator, Wanted(nodes, rounds), root / "report.json"
        ),
        client_app=VirtualNodes(root),
        num_supernodes=nodes,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {"num_cpus": processes, "num_gpus": 0},
        },
    )
    return Times(made - started, time.monotonic() - made)


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="deploy.flower.simulation", description=__doc__)
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--people", type=int, default=CUSTOMERS, help="customers of each node")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument(
        "--dir", type=Path, help="keeps homes and report; homes there are used again"
    )
    options = parser.parse_args(arguments)
    if find_spec("ray") is None:
        parser.error("Ray is missing: pip install 'credence[simulation]'")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        root = options.dir or Path(scratch) / "network"
        times = simulate(
            root,
            nodes=options.nodes,
            rounds=options.rounds,
            people=options.people,
            processes=options.processes,
        )
        sys.stdout.write((root / "report.json").read_text())
        sys.stdout.write(f"\nhomes {times.homes:.1f} s, simulation {times.simulation:.1f} s\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
