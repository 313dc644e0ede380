"""What a serving process costs: its start, its memory, and the evaluation of the model.

    python -m benchmarks.serving [--starts 5] [--rounds 5] [--json]

Start-up is that of `credence node run` on a joined node until `/healthz` answers, with the bytecode
that an installed package has: a start before the measured ones writes it, to a folder of its own.
Its floor is an interpreter that does nothing. Evaluation is one thread over many subjects: without
reasons; with reasons as arrays; with each of them read, as objects; and as answers with texts. Its
floor is one product of the encoded matrix with the hidden layer.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from models.catalogue import load_default
from models.evaluate import Scorer, Scores
from models.reasons import Reasons, principal_reasons
from models.weights import logit
from node.scoring.evaluation import evaluate_many
from tests.network import MemberSpec, open_network
from tests.node.coordinated import free_port
from tests.node.scoring_world import make_bundle

SUBJECTS = 20_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = starting(arguments.starts) | evaluating(arguments.rounds)
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for name, figure in figures.items():
        print(f"{name:<36}{figure:>14,.3g}")


def starting(starts: int) -> dict[str, float]:
    """Seconds and memory of `starts` serving processes, one after another; medians."""
    with tempfile.TemporaryDirectory() as folder:
        root, port = Path(folder), free_port()
        options = {"http": f"127.0.0.1:{port}", "train": False, "witness_minimum": 0}
        with open_network(root, [MemberSpec("bank-a", "bank", ("credit_account",), options)]):
            home = root / "bank-a"
        environment = os.environ | {"PYTHONPYCACHEPREFIX": str(root / "bytecode")}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        _started(home, port, environment)
        measured = [_started(home, port, environment) for _ in range(starts)]
    floor = [_seconds([sys.executable, "-c", "pass"]) for _ in range(starts)]
    seconds, processor, rss, pss = map(statistics.median, zip(*measured, strict=True))
    return {
        "interpreter_start_s": statistics.median(floor),
        "node_start_s": seconds,
        "node_start_processor_s": processor,
        "node_rss_mib": rss,
        "node_pss_mib": pss,
    }


def _started(
    home: Path, port: int, environment: dict[str, str]
) -> tuple[float, float, float, float]:
    began = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-m", "deploy.command", "node", "run", str(home)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        while not _answers(port):
            assert process.poll() is None, "the node did not start"
            time.sleep(0.002)
        seconds = time.perf_counter() - began
        shown = psutil.Process(process.pid)
        times = shown.cpu_times()
        time.sleep(2.0)  # what its background threads load by themselves
        memory = shown.memory_full_info()
        mib = 1 << 20
        return seconds, times.user + times.system, memory.rss / mib, memory.pss / mib
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True)  # noqa: S603 - our own command
    return time.perf_counter() - began


def evaluating(rounds: int) -> dict[str, float]:
    """Subjects a second on one thread; medians of `rounds`."""
    scorer = Scorer(make_bundle("bench", 1), load_default())
    status, value = population(SUBJECTS)
    names = [spec.id for spec in scorer.encoder.catalogue.signals]
    people = [
        dict(zip(names, zip(row, said, strict=True), strict=True))
        for row, said in zip(status[:2000].tolist(), value[:2000].tolist(), strict=True)
    ]
    encoded = scorer.encoder.encode(status, value)
    hidden = scorer.bundle.weights["hidden.weight"]
    with threadpool_limits(1):
        rates = {
            "one_product_per_s": _rate(lambda: encoded @ hidden.T, SUBJECTS, rounds),
            "scores_per_s": _rate(lambda: scorer.score(status, value), SUBJECTS, rounds),
            "reasons_per_s": _rate(lambda: scorer.explain(status, value), SUBJECTS, rounds),
            "scores_with_reasons_per_s": _rate(
                lambda: _with_reasons(scorer, status, value), SUBJECTS, rounds
            ),
            "with_every_reason_read_per_s": _rate(
                lambda: list(_with_reasons(scorer, status, value)[1]), SUBJECTS, rounds
            ),
            "answers_with_texts_per_s": _rate(
                lambda: evaluate_many(scorer, people, ["en"] * len(people)), len(people), rounds
            ),
        }
    return rates | {"largest_difference_to_torch": _difference(scorer, status, value)}


def _with_reasons(scorer: Scorer, status: np.ndarray, value: np.ndarray) -> tuple[Scores, Reasons]:
    """Points, PD, band and up to four reasons of each subject, in one pass."""
    scores, lost = scorer.judge(status, value)
    return scores, principal_reasons(lost, scorer.encoder)


def population(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Made-up subjects: uint8[n, m] statuses and float64[n, m] values in catalogue order."""
    signals = load_default().signals
    rng = np.random.default_rng(7)
    status = rng.choice([1, 1, 1, 2, 3], size=(number, len(signals))).astype(np.uint8)
    value = rng.exponential(3.0, size=(number, len(signals)))
    return status, np.where(status == 1, value, 0.0)


def _rate(run, number: int, rounds: int) -> float:
    run()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return number / statistics.median(times)


def _difference(scorer: Scorer, status: np.ndarray, value: np.ndarray) -> float:
    """Largest difference of PD, before calibration, between NumPy's and torch's evaluation."""
    import torch

    from models.network import NeuralScorecard

    encoded = scorer.encoder.encode(status, value)
    network = NeuralScorecard(scorer.bundle.manifest.architecture, scorer.encoder.width)
    network.load_state_dict(
        {name: torch.from_numpy(array) for name, array in scorer.bundle.weights.items()}
    )
    with torch.no_grad():
        other = network.eval()(torch.from_numpy(encoded)).numpy().ravel()
    ours = logit(scorer.bundle.weights, encoded)
    return float(np.abs(_pd(other.astype(np.float64)) - _pd(ours)).max())


def _pd(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


if __name__ == "__main__":
    main()
