"""`credence coordinator`, `credence client` and `credence score` as typed at a terminal."""

import json
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from api.cli import client, console, coordinator, products, scoring
from coordinator.bootstrap import open_coordinator
from coordinator.home import only_process
from node.access.presented import Presented
from node.bootstrap import open_node
from protocols.invitations import Invitation
from tests.api.test_scores import body_for
from tests.coordinator.applicants import Applicant, join
from tests.node.scoring_world import World


def application() -> typer.Typer:
    app = typer.Typer()
    app.add_typer(coordinator.app, name="coordinator")
    app.add_typer(client.app, name="client")
    app.add_typer(products.app, name="product")
    app.add_typer(scoring.app, name="score")
    return app


def call(*arguments: str | Path) -> Result:
    """Run one command as `main` does."""
    app = application()
    runner = CliRunner()
    outer = typer.Typer()

    @outer.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def main() -> None:
        with console.errors_as_lines():
            app([str(argument) for argument in arguments], standalone_mode=True)

    return runner.invoke(outer, [])


def said(result: Result) -> str:
    return " ".join(re.sub(r"\s+", " ", result.output).split())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = call("coordinator", "init", tmp_path / "c", "--name", "demo")
    assert made.exit_code == 0, made.output
    return tmp_path / "c"


@pytest.fixture
def node_home(world: World) -> Path:
    return world.node.home


def test_a_network_is_founded_once(home: Path) -> None:
    again = call("coordinator", "init", home, "--name", "demo")
    assert again.exit_code == 1
    assert "coordinator_home_exists" in said(again)
    assert "Give a new or empty directory." in said(again)


def test_wrong_options_are_named_and_leave_nothing(tmp_path: Path) -> None:
    made = call("coordinator", "init", tmp_path / "c", "--listen-members", "nowhere")
    assert made.exit_code == 1
    assert "listen_members" in said(made)
    assert list(tmp_path.iterdir()) == []


def test_an_invitation_is_one_line_that_a_node_can_read(home: Path) -> None:
    made = call("coordinator", "invite", home, "bank-a", "--role", "bank", "--json")
    body = json.loads(made.output)
    assert Invitation.from_text(body["invitation"]).member_id == "bank-a"
    text = call("coordinator", "invite", home, "bank-b")
    line = next(line for line in text.output.splitlines() if line.startswith("credence-invite:"))
    assert Invitation.from_text(line).member_id == "bank-b"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("Bank A",), "invalid_input"), (("bank-a", "--role", "king"), "invalid_input")],
)
def test_an_invitation_for_nonsense_is_one_clear_error(
    home: Path, arguments: tuple[str, ...], code: str
) -> None:
    made = call("coordinator", "invite", home, *arguments)
    assert made.exit_code == 1
    assert code in said(made)


def test_status_and_members_have_a_json_form(home: Path) -> None:
    facts = json.loads(call("coordinator", "status", home, "--json").output)
    assert facts["name"] == "demo"
    assert facts["running"] is False
    assert facts["members"] == 0
    assert facts["directory_version"] == 1
    assert facts["audit"]["size"] >= 1
    assert json.loads(call("coordinator", "members", home, "--json").output) == []
    assert "not running" in said(call("coordinator", "status", home))
    assert "no members yet" in said(call("coordinator", "members", home))


def test_a_member_is_listed_suspended_and_reinstated(home: Path) -> None:
    opened = open_coordinator(home)
    join(opened, Applicant())
    opened.close()
    assert "Harbour Bank" in said(call("coordinator", "members", home))
    assert "suspended since directory version 3" in said(
        call("coordinator", "suspend", home, "bank-a")
    )
    (row,) = json.loads(call("coordinator", "members", home, "--json").output)
    assert (row["member_id"], row["status"], row["last_seen_at_ms"]) == (
        "bank-a", "suspended", None
    )  # fmt: skip
    assert call("coordinator", "reinstate", home, "bank-a").exit_code == 0
    assert call("coordinator", "suspend", home, "bank-z").exit_code == 1


def test_a_second_run_on_one_home_is_refused(home: Path) -> None:
    with only_process(home):
        result = call("coordinator", "run", home)
    assert result.exit_code == 1
    assert "already_running" in said(result)


@pytest.mark.parametrize("command", ["status", "members", "run"])
def test_a_directory_that_is_no_home_is_named(tmp_path: Path, command: str) -> None:
    result = call("coordinator", command, tmp_path / "nothing")
    assert result.exit_code == 1
    assert "home_unusable" in said(result)


def test_a_client_is_added_listed_and_revoked(node_home: Path, tmp_path: Path) -> None:
    file = tmp_path / "desk.token"
    added = call("client", "add", node_home, "--name", "Desk", "--token-file", file, "--json")
    assert added.exit_code == 0, added.output
    token = file.read_text().strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert token not in added.output
    listed = json.loads(call("client", "list", node_home, "--json").output)
    desk = next(one for one in listed if one["name"] == "Desk")
    assert desk["scopes"] == ["scores:read", "scores:write"]
    assert token.partition(".")[2] not in json.dumps(listed)
    assert call("client", "revoke", node_home, "--name", "Desk").exit_code == 0
    assert "Desk" in said(call("client", "list", node_home))
    again = call("client", "revoke", node_home, "--name", "Desk")
    assert (again.exit_code, "not_found" in said(again)) == (1, True)


def test_a_token_without_a_file_is_printed_once(node_home: Path) -> None:
    added = call("client", "add", node_home, "--name", "Shown", "--json")
    token = json.loads(added.output)["token"]
    node = open_node(node_home)
    assert node.clients.recognise(Presented.bearer(token)).name == "Shown"
    node.close()


def test_no_client_is_made_when_its_token_cannot_be_written(
    node_home: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("precious")
    result = call("client", "add", node_home, "--name", "Lost", "--token-file", taken)
    assert result.exit_code == 1
    assert taken.read_text() == "precious"
    assert "Lost" not in call("client", "list", node_home).output
    missing = tmp_path / "new.token"
    twice = call("client", "add", node_home, "--name", "a\tb", "--token-file", missing)
    assert twice.exit_code == 1
    assert not missing.exists()


@pytest.fixture
def token_file(token: str, tmp_path: Path) -> Path:
    path = tmp_path / "client.token"
    path.write_text(token + "\n")
    return path


def test_a_score_is_printed_for_a_person_and_as_json(
    world: World, url: str, token_file: Path
) -> None:
    body = body_for(world)
    common = ("score", url, "--subject", body["subject"], "--consent", body["consent_id"],
              "--token-file", token_file)  # fmt: skip
    answer = json.loads(call(*common, "--json").output)
    assert 300 <= answer["score"] <= 850
    text = said(call(*common))
    assert f"{answer['score']} band {answer['band']['code']}" in text
    assert answer["reasons"][0]["text"].split()[0] in text
    assert "payments cached" in text


def test_a_refused_score_tells_the_problem_and_fails(
    world: World, url: str, token_file: Path
) -> None:
    body = body_for(world, purposes=["train"])
    common = ("score", url, "--subject", body["subject"], "--consent", body["consent_id"],
              "--token-file", token_file)  # fmt: skip
    result = call(*common)
    assert result.exit_code == 1
    assert "purpose_not_granted" in said(result)
    as_json = call(*common, "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.output)["code"] == "purpose_not_granted"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nonsense", "http://[::"])
def test_a_node_that_does_not_answer_is_one_clear_error(url: str, token_file: Path) -> None:
    result = call("score", url, "--subject", "s", "--consent", "c", "--token-file", token_file)
    assert result.exit_code == 1
    assert "sdk_unreachable" in said(result)


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff\xfe"])
def test_a_token_file_that_holds_no_token_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "broken.token"
    if content is not None:
        file.write_bytes(content)
    result = call("score", "http://127.0.0.1:9", "--subject", "s", "--consent", "c",
                  "--token-file", file)  # fmt: skip
    assert result.exit_code == 1
    assert "invalid_input" in said(result)


@pytest.mark.parametrize(
    "arguments",
    [
        ("coordinator", "init"), ("coordinator", "run"), ("coordinator", "invite"),
        ("coordinator", "members"), ("coordinator", "status"), ("coordinator", "suspend"),
        ("coordinator", "reinstate"), ("client", "add"), ("client", "list"), ("client", "revoke"),
        ("score",),
    ],
)  # fmt: skip
def test_every_command_explains_itself_with_an_example(arguments: tuple[str, ...]) -> None:
    result = call(*arguments, "--help")
    assert result.exit_code == 0
    assert f"Example: credence {' '.join(arguments)}" in said(result)
