"""A holder that kills itself between commit and answer: `python -m tests.exchange.doomed HOME DIE`.

Prints its port, and serves until it is killed. With DIE = 1 it dies (SIGKILL) when the first
answer has been committed and before it leaves.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from node.bootstrap import open_node
from node.network.server import member_server


def main(home: Path, die: bool) -> None:
    node = open_node(home)
    commit = node.exchange.answer_soon

    async def answer(*arguments: Any, **more: Any) -> Any:
        answered = await commit(*arguments, **more)
        if die:
            os.kill(os.getpid(), signal.SIGKILL)
        return answered

    node.exchange.answer_soon = answer  # type: ignore[method-assign]
    server = member_server(node)
    port = server.bind("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] == "1")
