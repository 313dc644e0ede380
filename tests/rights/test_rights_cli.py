"""`credence node rights`: the desk from a terminal, with the same rules."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from api.cli.node import app
from node.storage import people
from node.storage.people import AccountRow
from protocols.errors import CredenceError
from protocols.identifiers import new_id
from tests.network import now_ms
from tests.rights.world import BANK, RightsWorld, open_rights


@pytest.fixture
def there(tmp_path: Path) -> Iterator[RightsWorld]:
    with open_rights(tmp_path) as world:
        for name, roles in (("anna", "desk"), ("ben", "desk privacy_officer"), ("carl", "admin")):
            row = AccountRow(
                account_id=new_id("acc"),
                realm="desk",
                login=name,
                name=name.title(),
                roles=roles,
                language="en",
                user_handle=name.encode().ljust(32),
                created_at_ms=now_ms(),
            )
            with world.world.node.database.write() as connection:
                people.add(connection, row)
        yield world


def run(there: RightsWorld, *arguments: str) -> Result:
    home = str(there.world.node.home)
    command, *rest = arguments
    return CliRunner().invoke(app, ["rights", command, home, *rest])


def test_the_list_is_by_deadline_and_names_nobody(there: RightsWorld) -> None:
    """Ids, kinds, items and dates; neither a reference nor a text of a person."""
    one, _ = there.person(1)
    there.bank.dispute(one, BANK, "credit_limit", "My secret words.")
    there.bank.person.delete(one)
    shown = run(there, "list", "--as", "anna", "--json")
    rows = json.loads(shown.stdout)["requests"]
    assert [row["kind"] for row in rows] == ["deletion", "dispute"]
    assert "secret" not in shown.stdout
    assert one.hex()[:16] not in shown.stdout
    assert "2 waiting, 0 overdue" in run(there, "list", "--as", "anna").stdout
    assert json.loads(run(there, "list", "--as", "anna", "--kind", "review", "--json").stdout) == {
        "requests": []
    }


def test_a_correction_takes_two_of_the_staff_here_too(there: RightsWorld) -> None:
    """One proposes, another approves; the same one cannot."""
    one, _ = there.person(1)
    asked = there.bank.person.correct(one, "credit_limit", "It is 60,000.").request_id
    proposed = run(there, "answer", asked, "--as", "anna", "--action", "propose",
                   "--text", "Yes.", "--value", "60000")  # fmt: skip
    assert "is now proposed" in proposed.stdout
    refused = run(there, "answer", asked, "--as", "anna", "--action", "approve")
    assert isinstance(refused.exception, CredenceError)
    assert refused.exception.code == "second_person_needed"
    done = run(there, "answer", asked, "--as", "ben", "--action", "approve", "--json")
    assert json.loads(done.stdout)["state"] == "corrected"


def test_who_is_not_of_the_desk_sees_nothing(there: RightsWorld) -> None:
    """A role of the desk, and a name that is known, else nothing is shown or done."""
    refused = run(there, "list", "--as", "carl")
    assert isinstance(refused.exception, CredenceError)
    assert refused.exception.code == "staff_role_missing"
    assert run(there, "list", "--as", "nobody").exit_code == 2
    assert run(there, "answer", "rgt_x", "--as", "anna", "--action", "burn").exit_code == 2
