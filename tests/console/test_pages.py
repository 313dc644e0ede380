"""What the console's pages show, and what they never do."""

import csv
import io
import re
from pathlib import Path

import httpx
import pytest

from coordinator.relay.ledger import CarriedLedger
from coordinator.releases import Order
from coordinator.storage import bundles
from coordinator.storage.bundles import BundleRow
from protocols.canonical import canonical_json, parse_json
from tests.console.world import ConsoleWorld, open_console
from tests.models.test_card import card_of
from tests.node.scoring_world import make_bundle

MARKUP = "<img src=x onerror=alert(1)> & Sons"
PAGES = ("", "members", "campaigns", "privacy", "models", "relay", "ceremonies")
DAY_MS = 86_400_000


def rows(client: httpx.Client, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(path).text)))


def publish(world: ConsoleWorld, version: str, campaign_id: str, **metrics: float) -> None:
    body, tensors = make_bundle(version, 4).pack()
    manifest = parse_json(body, max_bytes=1 << 20)
    manifest |= {"campaign_id": campaign_id, "metrics": metrics}
    manifest["card"] = {"rows": "1000+", "gaps": {"age": 0.01}, "text": "<script>x</script>"}
    row = BundleRow(
        version, campaign_id, canonical_json(manifest), bytes(64), "k" * 16, tensors, world.clock()
    )
    coordinator = world.coordinator
    with coordinator.database.write() as connection:
        bundles.add(connection, row)
        coordinator.releases.published(
            connection, version, campaign_id, world.clock(), promote=True
        )


def test_an_empty_network_says_what_will_appear(world: ConsoleWorld, operator) -> None:
    for path in PAGES:
        answer = operator.get(f"/operator/{path}")
        assert answer.status_code == 200, path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
    assert "No campaign yet" in operator.get("/operator/").text
    assert "credence train ./coordinator" in operator.get("/operator/campaigns").text


def test_presence_and_days_left_stand_beside_each_member(world: ConsoleWorld, operator) -> None:
    """A member that called within the minute is online, another is not."""
    world.see("bank-a")
    found = {one["member_id"]: one for one in rows(operator, "/operator/members.csv")}
    assert (found["bank-a"]["online"], found["bank-b"]["online"]) == ("1", "0")
    assert 88 <= int(found["bank-a"]["certificate_days"]) <= 90
    assert found["bank-a"]["licence_days"] == ""
    world.clock.at_ms += 60_000
    found = {one["member_id"]: one for one in rows(operator, "/operator/members.csv")}
    assert found["bank-a"]["online"] == "0"
    text = operator.get("/operator/").text
    assert text.count("Member silent") == 2
    assert "1 minute" in text


def test_a_certificate_and_a_licence_near_their_end_are_alerts(world, operator) -> None:
    until = world.clock() + 20 * DAY_MS
    world.coordinator.membership.set_licence("bank-a", "L-7", until, world.clock())
    assert "Licence ends soon" in operator.get("/operator/").text
    world.clock.at_ms += 80 * DAY_MS
    client = world.operator()
    text = client.get("/operator/").text
    assert "Certificate ends soon" in text
    assert "Licence run out" in text
    assert "credence coordinator licence ./coordinator bank-a" in text


def test_a_campaign_shows_its_rounds_as_they_come(world: ConsoleWorld, operator) -> None:
    """Progress, loss and epsilon are there with the round, and the figures as CSV."""
    plan = world.propose()
    path = f"/operator/campaigns/{plan.campaign_id}"
    assert "after the first round" in operator.get(path).text
    for number in (1, 2, 3):
        world.round(plan, number)
    text = operator.get(path).text
    assert "3 of 5 rounds" in text
    assert 'class="curve tone-a"' in text
    assert "ceiling 3.00" in text
    assert f"credence train ./coordinator --abort {plan.campaign_id}" in text
    assert [one["round"] for one in rows(operator, f"{path}/rounds.csv")] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("event", "words"),
    [("fail", "Campaign failed"), ("abort", "ended before its goal"), ("pause", "its quorum")],
)
def test_a_campaign_that_does_not_go_on_is_an_alert(world, operator, event, words) -> None:
    plan = world.propose()
    world.end(plan, event, "below quorum, round 2: bank-b no answer")
    text = operator.get("/operator/").text
    assert words in text
    assert "bank-b no answer" in text


def test_epsilon_stands_by_node_in_both_modes(world: ConsoleWorld, operator) -> None:
    """Alone is what holds on a node's own noise; under the ceiling while the plan is kept."""
    plan = world.propose(mode="distributed", honest_minimum=2, masked=True)
    for number in range(1, 6):
        world.round(plan, number)
    found = rows(operator, "/operator/privacy.csv")
    assert [one["member_id"] for one in found] == ["bank-a", "bank-b"]
    for one in found:
        promised, alone = float(one["epsilon_promised"]), float(one["epsilon_alone"])
        assert 0 < promised < alone
        assert promised <= float(one["ceiling"]) == 3.0
    text = operator.get("/operator/privacy").text
    assert 'class="reference"' in text
    assert "ceiling 3.00" in text


def test_versions_have_their_cards_and_no_figure_of_a_card_is_an_alert(world, operator) -> None:
    """Figures that the card has are shown, with AUC and KS over the versions."""
    publish(world, "model-0001", "camp-1", loss=0.5, auc=0.77, ks=0.41, auc_low=0.75, auc_high=0.79)
    world.clock.at_ms += 1000
    publish(world, "model-0002", "camp-2", loss=0.5, auc=0.78, ks=0.43, psi=0.31, novel=1.5)
    listed = rows(operator, "/operator/models.csv")
    assert [(one["version"], one["standing"]) for one in listed] == [
        ("model-0002", "champion"), ("model-0001", "retired"),
    ]  # fmt: skip
    text = operator.get("/operator/models").text
    assert "AUC 0.780, KS 0.430" in text
    card = operator.get("/operator/models/model-0001").text
    assert "0.750\u20130.790" in card
    assert "gaps.age" in card
    assert "<script>x" not in card
    assert "novel" in operator.get("/operator/models/model-0002").text
    assert "drift" not in operator.get("/operator/").text.split('id="alerts"')[1].lower()


def test_each_version_shows_its_part_who_answers_with_it_and_what_may_be_done(
    world: ConsoleWorld, operator
) -> None:
    """Who runs what is seen at a glance; what changes it is a command, never a button."""
    for number in (1, 2, 3):
        publish(world, f"model-000{number}", f"camp-{number}")
    order = Order(world.clock(), "ann", MARKUP)
    world.coordinator.releases.challenge("model-0001", order)
    world.coordinator.running.said("bank-a", "model-0003", 4, world.clock())
    found = {one["version"]: one for one in rows(operator, "/operator/models.csv")}
    assert found["model-0003"]["answered_by"] == "bank-a"
    assert found["model-0001"]["standing"] == "challenger"
    champion = operator.get("/operator/models/model-0003").text
    assert "credence coordinator models rollback ./coordinator --why REASON" in champion
    assert "models promote" not in champion
    challenger = operator.get("/operator/models/model-0001").text
    assert "models stage ./coordinator model-0001 --member MEMBER" in challenger
    assert "No member says that it answers with it" in challenger
    assert "&lt;img src=x" in challenger
    assert "<img" not in challenger


def publish_with_card(world: ConsoleWorld, version: str) -> None:
    """A bundle whose card came from a tally of made-up people."""
    body, tensors = make_bundle(version, 4).pack()
    card = card_of(9000, 0.5)
    manifest = parse_json(body, max_bytes=1 << 20)
    manifest |= {"card": card.to_json(), "metrics": card.flat()}
    row = BundleRow(
        version, "camp-1", canonical_json(manifest), bytes(64), "k" * 16, tensors, world.clock()
    )
    with world.coordinator.database.write() as connection:
        bundles.add(connection, row)


def test_a_model_card_is_read_with_its_intervals_charts_and_limits(world, operator) -> None:
    publish_with_card(world, "model-0001")
    page = operator.get("/operator/models/model-0001").text
    assert page.count('role="img"') == 3  # level, shares, approval
    for words in ("people held out of training (20 %)", "5,000\u201310,000", "as shipped", "Limits",
                  "age, sex and the like", "Membership attack, AUC", "512"):  # fmt: skip
        assert (words in page) is (words not in {"512", "as shipped"}), words
    assert "model-0001" in operator.get("/operator/models.csv").text


def test_relay_volume_is_by_hour_and_pair(world: ConsoleWorld, operator) -> None:
    coordinator = world.coordinator
    ledger = CarriedLedger(coordinator.database, coordinator.audit, world.clock)
    ledger.add("bank-a", "bank-b", 1500, 500)
    ledger.add("bank-a", "bank-b", 1000, 0)
    ledger.write()
    text = operator.get("/operator/relay").text
    assert "2 calls, 3.0 kB" in text
    assert sum(int(one["sealed_bytes"]) for one in rows(operator, "/operator/relay.csv")) == 3000
    ledger.add("bank-b", "bank-a", 1, 1)
    ledger.write()
    assert "3 calls" in operator.get("/operator/relay").text
    world.clock.at_ms += DAY_MS
    assert "Nothing was relayed" in world.operator().get("/operator/relay").text


def test_markup_in_a_members_name_is_shown_and_not_run(tmp_path: Path) -> None:
    """Nor does a name become a formula in a spreadsheet."""
    names = {"bank-a": MARKUP, "bank-b": '=HYPERLINK("https://evil.example")'}
    with open_console(tmp_path, names=names) as world:
        operator = world.operator()
        plan = world.propose()
        world.round(plan, 1)
        world.end(plan, "fail", "internal: <b>x</b>")
        for path in (*PAGES, f"campaigns/{plan.campaign_id}"):
            text = operator.get(f"/operator/{path}").text
            assert "<img src=x" not in text
            assert "<b>x" not in text
            assert not re.search(r"\s(style|on[a-z]+)=", text.replace("&lt;img src=x onerror=", ""))
        assert "&lt;img src=x" in operator.get("/operator/members").text
        listed = rows(operator, "/operator/members.csv")
        assert [one["name"] for one in listed] == [MARKUP, "'" + names["bank-b"]]


def test_the_console_changes_nothing_but_sessions(world: ConsoleWorld, operator) -> None:
    """No page takes a form that acts: acts stay on the command line, where the home is."""
    own = {"Origin": world.face.origin}
    before = len(world.kinds())
    for path in PAGES:
        assert operator.get(f"/operator/{path}").status_code == 200
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = operator.request(method, f"/operator/{path}", headers=own)
            assert answer.status_code in {404, 405}
    assert len(world.kinds()) == before


def test_an_address_that_leads_nowhere_is_a_page(world: ConsoleWorld, operator) -> None:
    for path in ("nothing", "campaigns/none", "models/none", "campaigns/none/rounds.csv"):
        answer = operator.get(f"/operator/{path}")
        assert answer.status_code == 404
        assert "text/html" in answer.headers["content-type"]
    assert operator.get("/").headers["location"] == "/operator/"


def test_every_page_is_in_every_language(world: ConsoleWorld, operator) -> None:
    plan = world.propose()
    world.round(plan, 1)
    for language in ("zh-Hans", "zh-Hant"):
        for path in (*PAGES, f"campaigns/{plan.campaign_id}"):
            answer = operator.get(f"/operator/{path}?lang={language}")
            assert answer.status_code == 200
            assert f'<html lang="{language}">' in answer.text
