"""One run of the main job: what it was asked for, where it is, what it found so far."""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.sandbox.layout import Layout
from deploy.sandbox.processes import Supervisor
from deploy.sandbox.progress import Stage, Stages
from deploy.sandbox.report import Report
from protocols.errors import CredenceError

if TYPE_CHECKING:
    from deploy.sandbox.acts import Person
    from deploy.sandbox.financing import Platform

SECRET_FILE = "keyring"  # noqa: S105 - a file's name
HOLDOUT_FILE = "holdout.csv"


class JobFailed(CredenceError):
    """A stage of the main job did not do what it promises."""

    code = "demo_failed"
    next_step = "Read the log of the member named, in the sandbox's logs directory."


@dataclass(frozen=True)
class Options:
    """What the main job is run with.

    Attributes:
        data: the real clients' CSV file; None: a synthetic population.
        subjects: size of the synthetic population.
        seed: of the population.
        consent_share: share of people who consent.
        epsilon: the most that training may spend on anybody.
        delta: at this delta.
        rounds: training rounds; None: the default.
        relayed: members that accept no connection.
    """

    data: Path | None
    subjects: int
    seed: int
    consent_share: float
    epsilon: float
    delta: float
    rounds: int | None
    relayed: tuple[str, ...] = ()


@dataclass
class Run:
    """One run of the main job."""

    layout: Layout
    options: Options
    supervisor: Supervisor
    stages: Stages
    report: Report = field(default_factory=dict)
    person: "Person | None" = None
    platform: "Platform | None" = None

    @property
    def secret(self) -> Path:
        """Where the sandbox's people keep their keys."""
        return self.layout.root / "subjects" / SECRET_FILE

    @property
    def holdout(self) -> Path:
        """Outcomes that nobody trains on."""
        return self.layout.root / HOLDOUT_FILE


def in_parallel(stage: Stage, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Run calls (function, arguments) in processes of their own, as many as there are processors.

    The first that fails, or Ctrl-C, ends the others: what they do is in transactions.

    Returns:
        Their results, in the order of `calls`.
    """
    context = multiprocessing.get_context("spawn")
    workers = min(len(calls), _processors())
    stage.advance(0, len(calls))
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_settle_in) as pool:
        futures = [pool.submit(*call) for call in calls]
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                stage.advance(done, len(calls))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        results: list[Any] = [future.result() for future in futures]
    return results


def _processors() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 2


def _settle_in() -> None:
    """Prepare a process of the pool.

    Processes side by side fill the machine: numerics with threads of their own would fight over it.
    What services log belongs into a node's log, not between the stages.
    """
    from api.cli import logs

    logs.quiet()
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
