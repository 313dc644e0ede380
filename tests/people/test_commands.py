"""`credence node portal-code` and `credence node staff` as an operator types them."""

import json
from pathlib import Path

import pytest

from api.cli.main import app, main
from tests.people.world import CUSTOMERS, World


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command prints."""
    app(list(arguments), standalone_mode=False)
    return capsys.readouterr().out


def test_a_code_of_the_command_opens_the_account(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Printed once, alone on its line, for a letter or a counter clerk."""
    home = str(world.node.home)
    code = run(capsys, "node", "portal-code", home, "--customer", CUSTOMERS[0]).strip()
    assert len(code) == 9
    shown = json.loads(
        run(capsys, "node", "portal-code", home, "--customer", CUSTOMERS[1], "--json")
    )
    assert shown["address"] == "http://localhost:7501/portal/activate"
    assert world.visitor().activate(CUSTOMERS[1], shown["code"]).is_redirect


def test_staff_are_added_listed_changed_and_closed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The life of a colleague's account at the terminal."""
    home = str(world.node.home)
    staff = ("node", "staff")
    given = ("--login", "mei", "--name", "Mei [b]Chen", "--role", "desk", "--json")
    code = json.loads(run(capsys, *staff, "add", home, *given))["code"]
    assert world.visitor().activate("mei", code, "desk").is_redirect
    assert "Mei [b]Chen" in run(capsys, *staff, "list", home)
    assert "has admin" in run(capsys, *staff, "roles", home, "--login", "mei", "--role", "admin")
    again = json.loads(run(capsys, *staff, "code", home, "--login", "mei", "--json"))["code"]
    assert again != code
    run(capsys, *staff, "close", home, "--login", "mei")
    (row,) = json.loads(run(capsys, *staff, "list", home, "--json"))
    assert row["roles"] == ["admin"]
    assert row["closed_at_ms"] is not None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("portal-code", "--customer", "Z-9999"), "subject_unknown"),
        (("staff", "close", "--login", "nobody"), "staff_unknown"),
        (("staff", "add", "--login", "mei", "--name", "M", "--role", "root"), "invalid_input"),
    ],
)
def test_a_mistake_is_told_in_lines(
    world: World,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: str,
) -> None:
    """The code of the error and what to do."""
    options = list(arguments)
    first = next(at for at, one in enumerate(options) if one.startswith("--"))
    line = ["credence", "node", *options[:first], str(Path(world.node.home)), *options[first:]]
    monkeypatch.setattr("sys.argv", line)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert code in capsys.readouterr().err
