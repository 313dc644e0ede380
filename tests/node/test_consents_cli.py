"""`credence consent` as typed at a terminal, beside running nodes."""

import json

import pytest
import typer
from typer.testing import CliRunner

from api.cli import consent, console
from node.storage import subjects
from node.storage.subjects import Subject
from tests.network import MEMBERS, now_ms, open_network, person

runner = CliRunner()


def call(*arguments):
    """Run one command as `main` does: an error of ours is lines and exit code 1."""
    outer = typer.Typer()

    @outer.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
    def main():
        with console.errors_as_lines():
            consent.app([str(argument) for argument in arguments], standalone_mode=True)

    return runner.invoke(outer, [])


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    with open_network(tmp_path_factory.mktemp("cli"), MEMBERS) as made:
        for node in made.nodes.values():
            people = [
                Subject(person(n), node.pseudonyms.subject_ref(person(n)), f"C{n}", now_ms())
                for n in range(3)
            ]
            with node.database.write() as connection:
                subjects.replace_all(connection, people)
        yield made


@pytest.fixture
def bank(network):
    return network.node("bank-a")


def subject_of(node, number):
    return node.pseudonyms.subject_ref(person(number))


def granted(bank, key, *options, number=0):
    result = call("grant", bank.home, "--subject", subject_of(bank, number), "--key", key,
                  *options, "--json")  # fmt: skip
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_consent_is_granted_listed_and_withdrawn_with_the_persons_own_key(
    bank, network, tmp_path
):
    key = tmp_path / "person.key"
    made = granted(bank, key, "--new-key", "--purpose", "score")
    assert set(made["confirmed"]) == {"payments", "public-records"}
    assert key.stat().st_mode & 0o777 == 0o600

    listed = json.loads(call("list", bank.home, "--state", "active", "--json").stdout)
    (row,) = [one for one in listed["consents"] if one["consent_id"] == made["consent_id"]]
    assert row["subject_ref"] == subject_of(bank, 0)
    assert row["purposes"] == ["score"]

    withdrawn = call("withdraw", bank.home, made["consent_id"], "--key", key, "--json")
    assert json.loads(withdrawn.stdout)["state"] == "withdrawn"
    at_holder = call("list", network.node("payments").home, "--state", "withdrawn", "--json")
    assert made["consent_id"] in at_holder.stdout


def test_text_says_what_was_granted_and_who_knows(bank, tmp_path):
    result = call("grant", bank.home, "--subject", subject_of(bank, 1),
                  "--key", tmp_path / "k", "--new-key")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "payments: in effect since" in result.output
    assert "You may withdraw at any time" in " ".join(result.output.split())
    assert "active" in call("list", bank.home).output


def test_the_receipt_is_json(bank, tmp_path):
    made = granted(bank, tmp_path / "k", "--new-key")
    receipt = json.loads(call("receipt", bank.home, made["consent_id"]).stdout)
    assert receipt["record_id"] == made["consent_id"]
    assert receipt["events"][0]["event"] == "grant"


def test_another_persons_key_does_not_withdraw(bank, tmp_path):
    made = granted(bank, tmp_path / "one", "--new-key")
    granted(bank, tmp_path / "two", "--new-key", number=1)
    result = call("withdraw", bank.home, made["consent_id"], "--key", tmp_path / "two")
    assert result.exit_code == 1
    assert "signature_invalid" in result.output


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--subject", "sub_nobody"], 1, "subject_unknown"),
        (["--days", "4000"], 1, "consent_out_of_bounds"),
        (["--holder", "nobody"], 1, "unknown_member"),
        (["--language", "fr"], 1, "template_unknown"),
        (["--purpose", "advertise"], 2, "a purpose is one of"),
    ],
    ids=lambda one: one[0] if isinstance(one, list) else None,
)
def test_a_grant_that_cannot_be_says_why_and_leaves_no_key(bank, tmp_path, options, code, said):
    key = tmp_path / "k"
    subject = [] if "--subject" in options else ["--subject", subject_of(bank, 0)]
    result = call("grant", bank.home, *subject, *options, "--key", key, "--new-key")
    assert result.exit_code == code
    assert said in " ".join(result.output.split())
    assert not key.exists()


def test_a_key_file_that_is_none_is_a_wrong_call(bank, tmp_path):
    (tmp_path / "k").write_text("not a key")
    for key in (tmp_path / "k", tmp_path / "missing"):
        result = call("grant", bank.home, "--subject", subject_of(bank, 0), "--key", key)
        assert result.exit_code == 2
        assert "64 hex digits" in " ".join(result.output.split())
    taken = call("grant", bank.home, "--subject", subject_of(bank, 0),
                 "--key", tmp_path / "k", "--new-key")  # fmt: skip
    assert taken.exit_code == 2
    assert (tmp_path / "k").read_text() == "not a key"


def test_an_unknown_consent_or_state_is_said_plainly(bank, tmp_path):
    (tmp_path / "k").write_text("ab" * 32)
    unknown = call("withdraw", bank.home, "con_" + "a" * 26, "--key", tmp_path / "k")
    assert unknown.exit_code == 1
    assert "consent_unknown" in unknown.output
    assert call("list", bank.home, "--state", "alive").exit_code == 2


def test_every_command_shows_an_example():
    for command in ("grant", "withdraw", "list", "receipt"):
        assert "Example: credence consent" in call(command, "--help").output


def test_the_desk_asks_for_a_consent_and_declares_one_invalid(bank, tmp_path):
    """A request waits in the portal; an invalid consent ends with reason and actor."""
    asked = call("request", bank.home, "--subject", subject_of(bank, 1), "--json")
    consent_id = json.loads(asked.output)["consent_id"]
    assert bank.consents.get(consent_id).terms.state.value == "requested"
    made = granted(bank, tmp_path / "p.key", "--new-key", "--json", number=1)
    ended = call(
        "invalidate", bank.home, made["consent_id"], "--reason", "not_informed", "--by", "desk",
        "--json",
    )  # fmt: skip
    assert json.loads(ended.output)["state"] == "invalidated"
    wrong = call("invalidate", bank.home, consent_id, "--reason", "whim", "--by", "desk")
    assert wrong.exit_code == 2


def test_a_consent_signed_on_paper_is_marked_and_carries_the_papers_hash(bank, tmp_path):
    """The officer's key signs; the list says by which kind."""
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(b"the scan")
    made = granted(bank, tmp_path / "o.key", "--new-key", "--paper", scan, "--json", number=2)
    listed = json.loads(call("list", bank.home, "--json").output)["consents"]
    (row,) = [one for one in listed if one["consent_id"] == made["consent_id"]]
    assert row["auth_method"] == "branch"
    missing = call(
        "grant", bank.home, "--subject", subject_of(bank, 2), "--key", tmp_path / "o.key",
        "--paper", tmp_path / "none.pdf",
    )  # fmt: skip
    assert missing.exit_code == 2
