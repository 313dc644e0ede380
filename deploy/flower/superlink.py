"""A campaign of virtual nodes on a stock SuperLink, every node a SuperNode process on loopback.

`python -m deploy.flower.superlink --nodes 3 --rounds 2`. Runs `flower-superlink`,
`flower-supernode` and `flwr run` as they are installed, without TLS: all of it stays on this
machine. A SuperNode starts a process for every message, so a step takes seconds.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.flower.homes import make_network
from deploy.flower.layout import Layout, member_id
from protocols.errors import InvalidInput, Unavailable

COMMANDS = ("flower-superlink", "flower-supernode", "flwr")
APP = Path(__file__).parent / "app"
CUSTOMERS = 80
STOP_S = 10.0
POLL_S = 0.2


class EngineFailed(Unavailable):
    """A process of Flower's ended, or the campaign came to no end in time."""

    code = "flower_engine_failed"
    next_step = "Read the logs beside the homes."


@dataclass(frozen=True)
class Engine:
    """A SuperLink and its SuperNodes below `root`.

    Attributes:
        root: of the homes; logs and Flower's own home lie beside them.
        commands: paths of Flower's commands by name.
        port: of the SuperLink.
    """

    root: Path
    commands: Mapping[str, str]
    port: int

    @property
    def environment(self) -> dict[str, str]:
        """Of every process; no answer of theirs depends on this user's Flower configuration."""
        code = str(Path(__file__).parents[2])
        return {
            **os.environ,
            "FLWR_HOME": str(self.root / "flwr"),
            "FLWR_SUPEREXEC_TASK_POLL_INTERVAL": str(POLL_S),
            "PATH": os.pathsep.join(
                (str(Path(self.commands["flwr"]).parent), os.environ.get("PATH", ""))
            ),
            "PYTHONPATH": os.pathsep.join(filter(None, (code, os.environ.get("PYTHONPATH", "")))),
        }

    @contextmanager
    def process(
        self, name: str, command: str, *arguments: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """One of Flower's long-lived commands, stopped at the end of the block."""
        with (self.root / f"{name}.log").open("wb") as out:
            running = subprocess.Popen(  # noqa: S603 - commands found on the PATH, our arguments
                [self.commands[command], *arguments],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=self.environment,
            )
            try:
                yield running
            finally:
                running.terminate()
                try:
                    running.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    running.kill()
                    running.wait()

    def submit(self, **config: object) -> None:
        """`flwr run` the app.

        Raises:
            EngineFailed: the SuperLink did not take it.
        """
        home = self.root / "flwr"
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(
            '[superlink]\ndefault = "loopback"\n\n[superlink.loopback]\n'
            f'address = "127.0.0.1:{self.port}"\ninsecure = true\n'
        )
        said = " ".join(
            f'{key}="{value}"' if isinstance(value, Path) else f"{key}={value}"
            for key, value in config.items()
        )
        run = [self.commands["flwr"], "run", str(APP), "loopback", "--run-config", said]
        done = subprocess.run(  # noqa: S603 - as above
            run, env=self.environment, capture_output=True, check=False, timeout=60
        )
        (self.root / "flwr-run.log").write_bytes(done.stdout + done.stderr)
        if done.returncode:
            raise EngineFailed("the SuperLink did not take the campaign")


def missing_commands() -> list[str]:
    """Commands of Flower's that are not installed."""
    return [name for name in COMMANDS if _command(name) is None]


def run_on_superlink(
    root: Path, *, nodes: int, rounds: int, people: int = CUSTOMERS, timeout_s: float = 300.0
) -> Path:
    """Make a network below `root` and run one campaign; the path of its report.

    Args:
        root: a new or empty directory.
        nodes: SuperNodes.
        rounds: DP steps.
        people: customers of each node.
        timeout_s: how long the campaign may take.

    Raises:
        InvalidInput: Flower's commands are not installed.
        EngineFailed: a process ended, or the campaign took too long.
    """
    if absent := missing_commands():
        raise InvalidInput(f"not installed: {', '.join(absent)}")
    layout = make_network(root, nodes=nodes, people=people)
    port, *others = _free_ports(nodes + 1)
    engine = Engine(root, {name: _command(name) or "" for name in COMMANDS}, port)
    report = root / "report.json"
    with ExitStack() as stack:
        running = [stack.enter_context(_superlink(engine))]
        _listening(port, running)
        running += [
            stack.enter_context(_supernode(engine, layout, number, own))
            for number, own in enumerate(others)
        ]
        engine.submit(coordinator=layout.coordinator, report=report, nodes=nodes, rounds=rounds)
        _wait(report, running, timeout_s)
    return report


@contextmanager
def _superlink(engine: Engine) -> Iterator[subprocess.Popen[bytes]]:
    arguments = (
        "--insecure", "--host", "127.0.0.1", "--port", str(engine.port),
        "--disable-runtime-dependency-installation",
    )  # fmt: skip
    with engine.process("superlink", "flower-superlink", *arguments) as running:
        yield running


@contextmanager
def _supernode(
    engine: Engine, layout: Layout, number: int, port: int
) -> Iterator[subprocess.Popen[bytes]]:
    arguments = (
        "--insecure", "--superlink", f"127.0.0.1:{engine.port}", "--port", str(port),
        "--node-config", f'home="{layout.node(number)}"',
    )  # fmt: skip
    with engine.process(member_id(number), "flower-supernode", *arguments) as running:
        yield running


def _wait(report: Path, running: Sequence[subprocess.Popen[bytes]], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not report.exists():
        _require_alive(running)
        if time.monotonic() > deadline:
            raise EngineFailed(f"no end after {timeout_s:g} s")
        time.sleep(POLL_S)


def _listening(port: int, running: Sequence[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + 60
    while True:
        _require_alive(running)
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise EngineFailed("the SuperLink does not listen") from None
            time.sleep(POLL_S)
        else:
            return


def _require_alive(running: Sequence[subprocess.Popen[bytes]]) -> None:
    if any(one.poll() is not None for one in running):
        raise EngineFailed("a process of the engine ended")


def _command(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        bound = [stack.enter_context(closing(socket.socket())) for _ in range(count)]
        for one in bound:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in bound]


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="deploy.flower.superlink", description=__doc__)
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--people", type=int, default=CUSTOMERS, help="customers of each node")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds")
    parser.add_argument("--dir", type=Path, help="keeps homes, logs and report; new or empty")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        report = run_on_superlink(
            options.dir or Path(scratch) / "network",
            nodes=options.nodes,
            rounds=options.rounds,
            people=options.people,
            timeout_s=options.timeout,
        )
        sys.stdout.write(report.read_text() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
