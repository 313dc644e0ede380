"""What secure aggregation costs: masked rounds against rounds in clear, in one run.

    python -m benchmarks.secure_aggregation [--json FILE]

A round: five banks, a network of about 20,000 parameters, a coordinator, real mutual TLS on
loopback, all in one process; the same members train masked campaigns and such in clear, in turns.
Bound: 1.5 times. A campaign: three banks, the default network, 200 rounds from proposal to signed
bundle, on two processors. Bound: 90 s. A server: 100 members in a sparse graph, 20,000 values, five
of them absent and two silent: what a round costs the coordinator and a member, beside the bare sum.
"""

import argparse
import json
import logging
import os
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch

from models.encoder import Encoder
from models.plan import Architecture, CampaignPlan
from models.weights import parameter_count
from protocols.masking.opening import Opening
from tests.federation.world import World, now_ms, open_world
from tests.protocols.masking_cohort import Cohort, member_ids, terms

FIVE = tuple(f"bank-{letter}" for letter in "abcde")
ROUND_BOUND, CAMPAIGN_BOUND_S = 1.5, 90.0
WIDE = Architecture(hidden=122)
TURNS, ROUNDS = 4, 20


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    figures = {"round": a_round(), "campaign": a_campaign(), "server": a_server()}
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


def a_round() -> dict[str, float]:
    """Median seconds of a masked round and of one in clear; processor seconds of all parties."""
    seconds: dict[str, list[float]] = {"masked": [], "in clear": []}
    processor = {"masked": 0.0, "in clear": 0.0}
    for turn in range(TURNS):
        # Fresh banks each time: a longer ledger takes longer to compose.
        for name in sorted(seconds, reverse=bool(turn % 2)):
            taken, used = _rounds(masked=name == "masked")
            seconds[name] += taken
            processor[name] += used
    hidden, clear = (statistics.median(seconds[name]) for name in ("masked", "in clear"))
    used = processor["masked"] / processor["in clear"]
    print(
        f"a round, 5 nodes, about 20,000 parameters: masked {hidden * 1000:.0f} ms, in clear "
        f"{clear * 1000:.0f} ms: {hidden / clear:.2f} times (bound {ROUND_BOUND}); "
        f"processor time of all parties, the agreement included: {used:.2f} times",
        flush=True,
    )
    return {"masked_s": hidden, "in_clear_s": clear, "ratio": hidden / clear, "cpu": used}


def _rounds(*, masked: bool) -> tuple[list[float], float]:
    with (
        tempfile.TemporaryDirectory() as folder,
        open_world(Path(folder), size=500, names=FIVE) as world,
    ):
        for bank in world.banks.values():
            # These banks let their noised part be seen, for once.
            policy = bank.worker.trainer._acceptance._policy  # noqa: SLF001
            policy.limits = replace(policy.limits, masked_only=False)
        plan = _propose(world, rounds=ROUNDS, architecture=WIDE, masked=masked)
        began = time.process_time()
        assert 20_000 < parameter_count(WIDE, Encoder(world.catalogue).width) < 21_000
        row = world.finish(plan.campaign_id, 120.0)
        assert row.state == "completed", row.detail
        used = time.process_time() - began
        return [one.seconds for one in world.rounds(plan.campaign_id)[2:]], used


def a_campaign() -> dict[str, float]:
    """Seconds of 200 rounds, all in."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:2])
    try:
        with tempfile.TemporaryDirectory() as folder, open_world(Path(folder), size=500) as world:
            began = time.perf_counter()
            plan = _propose(world, rounds=200)
            row = world.finish(plan.campaign_id, 300.0)
            taken = time.perf_counter() - began
            assert row.state == "completed", row.detail
            assert all(one.participants == 3 for one in world.rounds(plan.campaign_id))
    finally:
        os.sched_setaffinity(0, allowed)
    print(
        f"a campaign, 3 nodes, 200 masked rounds, two processors: {taken:.1f} s "
        f"(bound {CAMPAIGN_BOUND_S:.0f} s)",
        flush=True,
    )
    return {"seconds": taken}


def a_server() -> dict[str, float]:
    """Milliseconds of one round with 100 members."""
    ids = member_ids(100)
    cohort = Cohort(terms(100, 51)).agree()
    values = cohort.values(1, 20_000)
    absent, silent = ids[10:15], ids[50:52]
    inputs, member = {}, []
    for one in ids:
        if one not in absent:
            began = time.perf_counter()
            inputs[one] = cohort.parties[one].mask(1, bytes(32), values[one])
            member.append(time.perf_counter() - began)
    view = cohort.view(inputs, model=bytes(32))
    body, signatures = view.to_body(), cohort.sign(view)
    standing = [one for one in view.members if one not in silent]
    answers = {one: cohort.parties[one].unmask(body, signatures) for one in standing}
    missing = {one: inputs[one].salt for one in silent}
    parts = {one: cohort.parties[one].stand_in(body, signatures, missing) for one in standing}
    began = time.perf_counter()
    opening = Opening(cohort.layout, cohort.terms.ring, view, inputs, cohort.deals)
    for one, answer in answers.items():
        opening.take(one, answer)
    for one, part in parts.items():
        opening.take_parts(one, part)
    assert opening.recover() == ()
    total = opening.total()
    server = time.perf_counter() - began
    assert (total == sum(values[one] for one in inputs)).all()
    vectors = [values[one] for one in inputs]
    began = time.perf_counter()
    np.stack(vectors).sum(axis=0)
    bare = time.perf_counter() - began
    figures = {
        "neighbours": len(cohort.layout.neighbours(ids[0])),
        "server_ms": server * 1000,
        "member_ms": statistics.median(member) * 1000,
        "bare_sum_ms": bare * 1000,
    }
    print(
        f"a server, 100 nodes with {figures['neighbours']} neighbours each, 5 absent, 2 silent: "
        f"{figures['server_ms']:.0f} ms to open a round (the bare sum {figures['bare_sum_ms']:.0f} "
        f"ms); {figures['member_ms']:.1f} ms to mask at a member",
        flush=True,
    )
    return figures


def _propose(world: World, **options: Any) -> CampaignPlan:
    values = {"epsilon": 1.0, "count_noise": 40.0, "tally_noise": 40.0, "follow_up_rounds": 0}
    return world.proposals.propose(
        tuple(world.banks), now_ms(), **{**values, "minimum_cohort": 40, **options}
    )


if __name__ == "__main__":
    main()
