"""What privacy costs a training step: one DP-SGD step of a node against a plain step.

Both see 5,000 rows at the plan's sampling rate on one thread. The plain step is the floor: the
same network, one batch gradient, no clipping, no noise. Run: `python -m benchmarks.training_step`.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch.nn import functional

from models.catalogue import load_default
from models.encoder import Encoder
from models.local_step import LocalStep
from models.network import NeuralScorecard
from models.proposal import propose
from models.weights import initial_weights


def measure(rows: int, repeats: int) -> dict[str, float]:
    """Median milliseconds of each step on one thread, taken in turns, and their ratio."""
    torch.set_num_threads(1)
    catalogue = load_default()
    encoder = Encoder(catalogue)
    plan = propose(catalogue, "benchmark", ["bank-a"])
    weights = initial_weights(plan.architecture, encoder, 0)
    rng = np.random.default_rng(0)
    x = (rng.random((rows, encoder.width)) < 0.3).astype(np.float32)
    y = rng.integers(0, 2, rows)
    step = LocalStep(plan, encoder)
    network = NeuralScorecard(plan.architecture, encoder.width)
    labels = torch.from_numpy(y.astype(np.float32))

    def private() -> None:
        step.noisy_sum(weights, x, y)

    def plain() -> None:
        chosen = rng.random(rows) < plan.privacy.sampling_rate
        network.zero_grad()
        logits = network(torch.from_numpy(x[chosen]))
        loss = functional.binary_cross_entropy_with_logits(logits, labels[torch.from_numpy(chosen)])
        torch.autograd.backward(loss)

    times: dict[str, list[float]] = {"private": [], "plain": []}
    for turn in range(repeats + 3):
        for name, run in (("private", private), ("plain", plain)):
            taken = _milliseconds(run)
            if turn >= 3:
                times[name].append(taken)
    private_ms, plain_ms = (statistics.median(times[name]) for name in ("private", "plain"))
    return {"private_ms": private_ms, "plain_ms": plain_ms, "ratio": private_ms / plain_ms}


def _milliseconds(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--repeats", type=int, default=50)
    arguments = parser.parse_args()
    with threadpool_limits(limits=1):
        print(json.dumps(measure(arguments.rows, arguments.repeats)))


if __name__ == "__main__":
    main()
