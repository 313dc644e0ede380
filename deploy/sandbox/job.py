"""The main job: join, key, ingest, consent, exchange, train, score, withdraw, audit.

Each stage is a function of the run; what it learns goes into the report.
"""

from collections.abc import Callable

from deploy.sandbox import acts, preparation
from deploy.sandbox.progress import Stage
from deploy.sandbox.report import Report
from deploy.sandbox.run import Run

STAGES: tuple[tuple[str, Callable[[Run, Stage], None]], ...] = (
    ("join", preparation.join),
    ("ceremony", preparation.ceremony),
    ("ingest", preparation.ingest),
    ("consent", preparation.consent),
    ("exchange", preparation.exchange),
    ("train", acts.train),
    ("compare", acts.compare),
    ("score", acts.score),
    ("withdraw", acts.withdraw),
    ("audit", acts.audit),
)


def run_main_job(run: Run) -> Report:
    """All stages in order; returns the report.

    Raises:
        CredenceError: a stage failed; the processes are the caller's to stop.
    """
    for name, act in STAGES:
        with run.stages.stage(name) as shown:
            act(run, shown)
    run.supervisor.check()
    run.report["seconds"] = dict(run.stages.seconds)
    run.report["peak_memory_mib"] = round(run.supervisor.peak_memory_mib)
    return run.report
