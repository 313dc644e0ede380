"""The training worker: `python -m node.federation.worker HOME`.

A process of its own, so that the serving process holds no torch. It keeps one outbound stream to
the coordinator and runs the node's ClientApp in itself, for as long as it lives. It ends on SIGTERM
or SIGINT, or under `--supervised` when its standard input closes: no worker outlives its node.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run until told to stop; 0 at the end, 1 when the node cannot be opened."""
    parser = argparse.ArgumentParser(prog="node.federation.worker", description=__doc__)
    parser.add_argument("home", type=Path, help="the node's home directory")
    parser.add_argument("--supervised", action="store_true", help="end when standard input closes")
    options = parser.parse_args(arguments)
    _log_as_json()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if options.supervised:
        threading.Thread(target=_until_input_closes, args=(stop,), daemon=True).start()
    return _run(options.home, stop)


def _run(home: Path, stop: threading.Event) -> int:
    # One thread for each worker: several nodes may share a machine, and a step is small. Said
    # before torch is loaded, which reads it then.
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    from node.bootstrap import open_node
    from protocols.errors import CredenceError

    try:
        with closing(open_node(home)) as node:
            from node.federation.wiring import build_worker

            build_worker(node).run(stop)
    except CredenceError as error:
        log.error("worker.ended", code=error.code, message=error.message)  # noqa: TRY400
        return 1
    return 0


def _log_as_json() -> None:
    """One JSON object a line on standard error, like the node it belongs to."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _until_input_closes(stop: threading.Event) -> None:
    # Not through sys.stdin: its lock, held by this thread at exit, would abort the process.
    while os.read(0, 4096):
        pass
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
