"""A home opened for one command: its log stays out of what the command prints."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import structlog

from api.cli.homes import opened_coordinator, opened_node, refuse_unless_running
from coordinator.bootstrap import init_coordinator
from coordinator.home import only_process
from coordinator.settings import make_settings
from node.bootstrap import init_node
from protocols.errors import Unavailable


@pytest.fixture
def homes(tmp_path: Path) -> Path:
    init_coordinator(tmp_path / "coordinator", make_settings(name="demo"))
    init_node(tmp_path / "bank-a", member_id="bank-a", name="Harbour Bank", role="bank")
    return tmp_path


@pytest.mark.parametrize("kind", ["coordinator", "bank-a"])
def test_what_is_logged_stays_out_of_the_output(
    homes: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or a `--json` would be none; an error is told, beside the output."""
    structlog.reset_defaults()  # as a process begins
    opened: AbstractContextManager[object]
    opened = (opened_coordinator if kind == "coordinator" else opened_node)(homes / kind)
    with opened:
        structlog.get_logger().warning("running.not_noted")
        structlog.get_logger().error("keys.not_ours")
    told = capsys.readouterr()
    assert told.out == ""
    assert "keys.not_ours" in told.err
    assert "running.not_noted" not in told.err


def test_what_only_a_running_coordinator_does_is_refused_without_one(homes: Path) -> None:
    """The advice ends with what becomes of it then."""
    home = homes / "coordinator"
    with pytest.raises(Unavailable) as refused:
        refuse_unless_running(home, ", then try again.")
    assert refused.value.next_step.endswith(f"`credence coordinator run {home}`, then try again.")
    with only_process(home):
        refuse_unless_running(home, ", then try again.")
