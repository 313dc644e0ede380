"""The operator's and the institution's commands about membership."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from api.cli.main import app
from node.network.standing import standing
from node.status import summary
from protocols.errors import CredenceError
from protocols.member_keys import EarlierKeys
from tests.membership.test_suspension import admitted
from tests.membership.world import DAY_MS, kinds_of, now_ms


def credence(*arguments):
    """What the command answers; an error is raised, as it is printed by `main`."""
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=True)


def code_of(result):
    assert isinstance(result.exception, CredenceError)
    return result.exception.code


def home(world):
    return world.root / "coordinator"


def rows(world):
    told = credence("coordinator", "members", home(world), "--json")
    assert told.exit_code == 0, told.output
    return {row["member_id"]: row for row in json.loads(told.output)}


def day(days):
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


def test_members_shows_licence_certificate_standing_and_what_was_acknowledged(world):
    told = credence("coordinator", "licence", home(world), "bank-b", "--number", "L-9",
                    "--until", day(10))  # fmt: skip
    assert told.exit_code == 0, told.output
    world.nodes["bank-a"].documents.refresh()
    world.nodes["bank-a"].documents.refresh()  # tells which version it holds now
    world.coordinator.membership.note_seen(world.coordinator.presence.take())
    found = rows(world)
    assert found["bank-a"]["up_to_date"]
    assert found["bank-a"]["acknowledged_version"] == world.directory.version
    assert not found["bank-b"]["up_to_date"]
    assert found["bank-b"]["licence"] == "L-9"
    assert found["bank-b"]["licence_ends_soon"]
    assert not found["bank-a"]["licence_ends_soon"]
    assert found["bank-a"]["last_seen_at_ms"] > now_ms() - 60_000
    assert 80 * DAY_MS < found["bank-a"]["certificate_until_ms"] - now_ms() <= 90 * DAY_MS
    table = credence("coordinator", "members", home(world)).output
    assert "L-9" in table
    assert day(10)[:7] in table


def test_suspend_reinstate_and_revoke_are_in_force_with_the_next_directory(world):
    for command, status in (("suspend", "suspended"), ("reinstate", "active")):
        told = credence("coordinator", command, home(world), "bank-b")
        assert told.exit_code == 0, told.output
        assert rows(world)["bank-b"]["status"] == status
    assert credence("coordinator", "revoke", home(world), "bank-b").exit_code == 1  # not confirmed
    assert rows(world)["bank-b"]["status"] == "active"
    assert credence("coordinator", "revoke", home(world), "bank-b", "--yes").exit_code == 0
    assert rows(world)["bank-b"]["status"] == "revoked"
    told = credence("coordinator", "reinstate", home(world), "bank-b")
    assert code_of(told) == "state_conflict"


@pytest.mark.parametrize("until", ["tomorrow", "2027-13-01", "20271231x"])
def test_a_day_that_is_none_is_a_usage_error(world, until):
    told = credence("coordinator", "licence", home(world), "bank-b", "--number", "L", "--until",
                    until)  # fmt: skip
    assert told.exit_code == 2


def test_a_licence_that_is_over_is_not_entered_and_admits_nobody(world):
    told = credence("coordinator", "licence", home(world), "bank-b", "--number", "L", "--until",
                    day(-2))  # fmt: skip
    assert told.exit_code == 1
    world.make("bank-l", licence_until=day(-2))
    line = credence("coordinator", "invite", home(world), "bank-l").output.split()[0]
    told = credence("node", "join", world.root / "bank-l", "--invitation", line)
    assert code_of(told) == "licence_expired"


def test_the_operators_end_of_a_licence_counts_when_it_is_sooner(world):
    world.make("bank-l", licence="L-1", licence_until=day(400))
    line = credence("coordinator", "invite", home(world), "bank-l", "--licence-until",
                    day(200)).output.split()[0]  # fmt: skip
    told = credence("node", "join", world.root / "bank-l", "--invitation", line)
    assert told.exit_code == 0, told.output
    row = rows(world)["bank-l"]
    assert row["licence"] == "L-1"
    assert 200 * DAY_MS < row["licence_until_ms"] - now_ms() < 202 * DAY_MS


@pytest.mark.parametrize("role", ["licensed_agency", "platform_operator", "regulator"])
def test_every_role_may_be_invited_and_join(world, role):
    member_id = role.replace("_", "-")
    world.join(member_id, role)
    assert rows(world)[member_id]["role"] == role


def test_rotate_keys_beside_a_running_node(world):
    before = world.directory.member("bank-a")
    told = credence("node", "rotate-keys", world.root / "bank-a", "--overlap-hours", 2, "--json")
    assert told.exit_code == 0, told.output
    facts = json.loads(told.output)
    entry = world.directory.member("bank-a")
    assert facts["signing_key"] == entry.signing_key.hex() != before.signing_key.hex()
    assert facts["overlap_until_ms"] - now_ms() <= 2 * 3_600_000
    assert admitted(world, "bank-a", "payments")
    assert "membership.keys_rotated" in kinds_of(world.nodes["bank-a"].audit)
    again = credence("node", "rotate-keys", world.root / "bank-a")
    assert again.exit_code == 0
    assert "then destroyed" in again.output


def test_rotate_keys_of_a_node_that_has_not_joined_is_one_clear_error(world):
    told = credence("node", "rotate-keys", world.make("bank-n"))
    assert code_of(told) == "not_joined"


def test_a_nodes_status_warns_of_its_licence_and_shows_how_it_stands(world):
    bank = world.nodes["bank-a"]
    assert summary(bank)["network"]["warnings"] == []
    credence("coordinator", "licence", home(world), "bank-a", "--number", "L", "--until", day(29))
    bank.documents.refresh()
    network = summary(bank)["network"]
    assert [one["code"] for one in network["warnings"]] == ["licence_ends_soon"]
    assert network["status"] == "active"
    told = credence("node", "status", bank.home)
    assert "licence_ends_soon" in told.output


def codes(world, *, later_ms=0, **changes):
    bank = world.nodes["bank-a"]
    directory = bank.documents.directory()
    members = tuple(
        replace(one, **changes) if one.member_id == "bank-a" else one for one in directory.members
    )
    now = now_ms() + later_ms
    directory = replace(directory, members=members).at(now)
    found = standing("bank-a", directory, bank.identity().certificate, DAY_MS, now)
    return [one["code"] for one in found["warnings"]]


def test_every_warning_has_its_code(world):
    assert codes(world) == []
    assert codes(world, licence_until_ms=now_ms() + 31 * DAY_MS) == []
    assert codes(world, licence_until_ms=now_ms() + 29 * DAY_MS) == ["licence_ends_soon"]
    assert codes(world, licence_until_ms=now_ms() - 1) == ["licence_expired"]
    assert codes(world, status="suspended") == ["member_suspended"]
    assert codes(world, status="revoked") == ["member_revoked"]
    assert codes(world, later_ms=16 * 60_000) == ["directory_late"]
    assert codes(world, later_ms=2 * DAY_MS) == ["directory_stale"]
    assert codes(world, later_ms=70 * DAY_MS) == ["certificate_not_renewed", "directory_stale"]
    assert codes(world, later_ms=91 * DAY_MS) == ["certificate_expired", "directory_stale"]


def test_status_says_until_when_old_keys_are_honoured(world):
    bank = world.nodes["bank-a"]
    directory = bank.documents.directory()
    until = now_ms() + 60_000
    earlier = (EarlierKeys(bytes(32), bytes(32), now_ms(), until),)
    members = tuple(
        replace(one, earlier_keys=earlier) if one.member_id == "bank-a" else one
        for one in directory.members
    )
    found = standing("bank-a", replace(directory, members=members),
                     bank.identity().certificate, DAY_MS, now_ms())  # fmt: skip
    assert found["keys_overlap_until_ms"] == until
