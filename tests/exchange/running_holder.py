"""A node in a process of its own, all of it: `python -m tests.exchange.running_holder HOME`.

Prints its port when it serves, and serves until its standard input is closed.
"""

import sys
import time
from pathlib import Path

import structlog

from node.process import running


def main(home: Path) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with running(home, lambda: int(time.time() * 1000)) as process:
        sys.stdout.write(f"{process.port}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
