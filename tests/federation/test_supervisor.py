"""The worker is kept alive, and never outlives its node."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from node.federation.supervisor import Supervisor
from tests.federation.world import wait_until

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
UNTIL_INPUT_CLOSES = [sys.executable, "-c", "import sys; sys.stdin.buffer.read()"]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_worker_that_ends_is_started_again(tmp_path: Path):
    supervisor = Supervisor(tmp_path, [sys.executable, "-c", "pass"])
    supervisor.start()
    try:
        wait_until(lambda: supervisor.starts >= 2, 10.0)
    finally:
        supervisor.stop()
    assert supervisor.pid is None


def test_a_worker_is_stopped_with_its_node(tmp_path: Path):
    supervisor = Supervisor(tmp_path, SLEEP)
    supervisor.start()
    wait_until(lambda: supervisor.pid is not None, 10.0)
    pid = supervisor.pid
    supervisor.stop()
    assert gone(pid)
    assert supervisor.starts == 1


def test_a_worker_ends_when_the_supervising_process_is_killed():
    script = (
        "import sys, time; from pathlib import Path;"
        "from node.federation.supervisor import Supervisor;"
        f"s = Supervisor(Path('.'), {UNTIL_INPUT_CLOSES!r}); s.start();"
        "[time.sleep(0.01) for _ in range(1000) if s.pid is None];"
        "print(s.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        pid = int(parent.stdout.readline())
        assert not gone(pid)
    finally:
        parent.kill()
        parent.communicate()
    wait_until(lambda: gone(pid), 10.0)


def test_the_supervisor_loads_no_torch():
    script = "import sys, node.federation.supervisor; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_worker_of_no_home_says_so_and_ends(tmp_path: Path):
    command = [sys.executable, "-m", "node.federation.worker", str(tmp_path / "nowhere")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "home_unusable" in done.stdout + done.stderr


@pytest.fixture(autouse=True)
def _from_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(root))
