"""A bank keeps a model of its own for its own decisions, and decides by it only while it may."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from api.cli.main import app
from audit.leaf import parse_leaf
from consent.refusals import ReleaseRefused
from models.baselines.interface import LabelsUnusable
from models.bundle import Bundle
from models.catalogue import Catalogue
from models.evaluate import Scorer
from node import own_wiring
from node.baselines import compare_baselines
from node.federation.cohort import CohortChanged
from node.own_models import OwnModels, OwnModelStale, OwnModelUnknown
from node.scoring.active_model import NoModel
from node.storage import bundles, outcomes, own_models, subjects
from node.storage.bundles import BundleRow
from node.storage.outcomes import Outcome
from node.storage.own_model_tables import own_model
from node.storage.subjects import Subject
from protocols.documents import sign_document
from protocols.keys import SigningKey
from tests.federation.world import AS_OF_MS, DAY_MS, Bank, now_ms
from tests.node.scoring_world import make_bundle

SCORECARD = "woe_logistic"
FUSION = "shared_fusion"


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.baselines.interface.LEAST_OF_A_CLASS", 5)


@pytest.fixture
def lending(bank: Bank) -> Bank:
    """The bank, two of five of whose customers defaulted."""
    label(bank, lambda number: number % 5 < 2)
    return bank


@pytest.fixture
def scoring(lending: Bank, authority) -> Bank:
    """The same with a bundle of the network in force."""
    publish(lending, authority, "test-1")
    return lending


def label(bank: Bank, defaulted: Callable[[int], bool]) -> None:
    with bank.node.database.write() as connection:
        rows = [
            Outcome(one, int(defaulted(number)), AS_OF_MS) for number, one in enumerate(bank.people)
        ]
        outcomes.replace_all(connection, rows)


def publish(bank: Bank, authority, version: str) -> None:
    """A signed bundle of the network comes into force."""
    body, tensors = make_bundle(version, seed=len(version)).pack()
    document = sign_document("bundle", body, authority.keys.directory)
    with bank.node.database.write() as connection:
        row = BundleRow(version, document.body, document.signature, document.key_id, tensors,
                        False, now_ms())  # fmt: skip
        bundles.add(connection, row)
        bundles.activate(connection, version)


def kept_at(bank: Bank, clock: Callable[[], int] = now_ms, **changes) -> OwnModels:
    parts = {
        "database": bank.node.database,
        "audit": bank.node.audit,
        "member_id": bank.member_id,
        "signing_key": lambda: bank.node.keys.signing,
        "catalogue": bank.node.documents.catalogue,
        "model": own_wiring._network_models(bank.node),
        "now_ms": clock,
    }
    return OwnModels(**(parts | changes))


def decide(bank: Bank, number: int = 3):
    one = bank.people[number]
    with bank.node.database.read() as connection:
        known = {s.pseudonym: s.subject_ref for s in subjects.all_subjects(connection)}
    return own_wiring.own_decisions(bank.node).decide(known[one], bank.consent_of[one])


def enrol(bank: Bank) -> None:
    """The bank's people become subjects that it can name."""
    with bank.node.database.write() as connection:
        people = [
            Subject(one, f"sub_{number}", f"customer-{number}", now_ms())
            for number, one in enumerate(bank.people)
        ]
        subjects.replace_all(connection, people)


def change(bank: Bank, model_id: str, **values) -> None:
    with bank.node.database.write() as connection:
        connection.execute(
            update(own_model).where(own_model.c.model_id == model_id).values(**values)
        )


def test_a_kept_model_has_a_card_a_log_entry_and_decides_once_it_is_in_use(lending):
    """Keeping, using and removing are in the log; the card says whose it is and that it is not
    private, in bands of people and without anybody in it."""
    models, before = kept_at(lending), lending.node.audit.head().size
    listed = models.keep(SCORECARD)
    assert (listed.active, listed.stale) == (False, ())
    card = listed.card.to_json()
    assert card["differentially_private"] is False
    assert card["people"] == "50-99"
    assert card["member_id"] == "bank-a"
    assert 0 <= card["figures"]["auc"] <= 1
    with lending.node.database.read() as connection, pytest.raises(OwnModelUnknown):
        models.in_use(connection, now_ms())
    assert models.use(listed.model_id).active
    models.remove(listed.model_id)
    assert models.every() == []
    with lending.node.database.read() as connection:
        found = lending.node.audit.leaves(connection, before, before + 9)
        kinds = [parse_leaf(one.leaf)["kind"] for one in found]
    assert kinds == ["own_model.kept", "own_model.used", "own_model.removed"]
    assert lending.node.audit.payload(before)["cohort_root"] == card["cohort_root"]


def test_a_fusion_decides_beside_the_networks_score_and_no_client_is_told(scoring):
    """The own score and the network's come from the same signals; the log has the decision, the
    table that API clients read from does not."""
    pytest.importorskip("sklearn")
    enrol(scoring)
    listed = kept_at(scoring).keep(FUSION, use=True)
    assert listed.card.shared_version == "test-1"
    assert set(listed.card.figures) == {"auc", "ks", "ece", "own_auc", "shared_auc"}
    before = scoring.node.audit.head().size
    found = decide(scoring)
    assert 0 < found.pd < 1
    assert found.network_version == "test-1"
    assert 300 <= found.points <= 850
    assert len(found.reasons) <= 4
    assert scoring.node.audit.head().size == before + 1
    logged = scoring.node.audit.payload(before)
    assert logged["model"] == listed.model_id
    assert logged["consent_id"] == scoring.consent_of[scoring.people[3]]
    with scoring.node.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM score").scalar_one() == 0


def test_the_comparison_measures_both_fusions_where_there_is_a_shared_score(scoring):
    pytest.importorskip("sklearn")
    found = compare_baselines(scoring.node, 0, now_ms, ["woe_logistic", "local_gbdt"])
    names = [line.model for line in found.lines]
    assert names == ["woe_logistic", "local_gbdt", "test-1", "own_fusion", "shared_fusion"]


def test_when_a_consent_ends_the_model_is_stale_and_decides_nothing(lending):
    """A withdrawal stops the kept model at once; fitting again leaves that person out."""
    enrol(lending)
    models = kept_at(lending)
    old = models.keep(SCORECARD, use=True)
    lending.withdraw(lending.people[0])
    (listed,) = models.every()
    assert (listed.stale, listed.consents_ended) == (("consents_ended",), 1)
    with pytest.raises(OwnModelStale, match="consents_ended"):
        decide(lending)
    new = models.keep(SCORECARD, use=True)
    assert new.card.cohort_root != old.card.cohort_root
    assert decide(lending).model_id == new.model_id
    with pytest.raises(OwnModelStale):
        models.use(old.model_id)


def test_a_person_without_a_consent_to_score_is_not_scored(lending):
    enrol(lending)
    kept_at(lending).keep("expert_scorecard", use=True)
    lending.withdraw(lending.people[5])
    new = kept_at(lending).keep("expert_scorecard", use=True)
    assert not new.stale
    with pytest.raises(ReleaseRefused):
        decide(lending, 5)


def test_when_the_data_life_of_a_signal_ends_the_model_is_stale(lending):
    models = kept_at(lending)
    models.keep(SCORECARD, use=True)
    later = kept_at(lending, lambda: now_ms() + 2 * DAY_MS)
    assert later.every()[0].stale == ("data_life_ended",)


def test_a_fusion_is_stale_once_another_shared_score_is_in_force(scoring, authority):
    """A kept model decides with the bundle it was blended with, or not at all."""
    pytest.importorskip("sklearn")
    models = kept_at(scoring)
    models.keep(FUSION, use=True)
    publish(scoring, authority, "test-22")
    assert models.every()[0].stale == ("shared_score_changed",)
    with scoring.node.database.read() as connection, pytest.raises(OwnModelStale):
        models.in_use(connection, now_ms())


def test_a_changed_catalogue_makes_a_kept_model_stale(lending):
    models = kept_at(lending)
    models.keep(SCORECARD)
    known = lending.node.documents.catalogue()
    other = Catalogue.from_body(known.to_body().replace(b'"version":1', b'"version":2'))
    moved = kept_at(lending, catalogue=lambda: other)
    assert moved.every()[0].stale == ("catalogue_changed",)


@pytest.mark.parametrize("what", ["body", "signature", "another's", "swapped"])
def test_a_kept_model_that_was_tampered_with_is_unreadable(lending, what):
    """Whoever changes a kept model in the database, or puts in one of another node or under
    another id, gets a model that decides nothing."""
    models = kept_at(lending)
    listed = models.keep(SCORECARD, use=True)
    with lending.node.database.read() as connection:
        row = own_models.find(connection, listed.model_id)
    if what == "body":
        body = json.loads(row.body)
        body["parts"][0]["body"]["base"] += 1
        change(lending, listed.model_id, body=json.dumps(body).encode())
    elif what == "signature":
        change(lending, listed.model_id, signature=bytes(64))
    elif what == "another's":
        change(
            lending, listed.model_id, signature=SigningKey.generate().sign("own-model", row.body)
        )
    else:
        change(lending, listed.model_id, active=False)
        with lending.node.database.write() as connection:
            own_models.add(connection, replace(row, model_id="own_other", active=True))
    with lending.node.database.read() as connection, pytest.raises(OwnModelStale, match="unread"):
        models.in_use(connection, now_ms())


def test_a_bundle_of_the_network_does_not_pass_for_a_kept_model(scoring):
    """Signatures name what they are for: a node's signature on anything else is none on this."""
    models = kept_at(scoring)
    listed = models.keep(SCORECARD)
    with scoring.node.database.read() as connection:
        row = own_models.find(connection, listed.model_id)
    change(scoring, listed.model_id, signature=scoring.node.keys.signing.sign("bundle", row.body))
    assert models.every()[0].stale == ("unreadable",)


def test_a_withdrawal_while_fitting_keeps_nothing(lending):
    """A changed cohort: what was fitted meanwhile is thrown away, and is not in the log."""
    times: list[int] = []

    def clock() -> int:
        times.append(now_ms())
        return times[0] + 400 * DAY_MS if len(times) == 2 else times[-1]

    before = lending.node.audit.head().size
    with pytest.raises(CohortChanged):
        kept_at(lending, clock).keep(SCORECARD)
    assert kept_at(lending).every() == []
    assert lending.node.audit.head().size == before


def test_a_model_that_came_into_force_while_fitting_keeps_nothing(scoring, authority):
    pytest.importorskip("sklearn")
    inner = own_wiring._network_models(scoring.node)

    class Changing:
        """Another bundle comes into force right after this one was read."""

        def get(self, connection, version=None) -> Scorer:
            return Scorer(
                Bundle(replace(inner.get(connection).bundle.manifest, version="test-0"),
                       inner.get(connection).bundle.weights),
                scoring.node.documents.catalogue(),
            )  # fmt: skip

    with pytest.raises(CohortChanged):
        kept_at(scoring, model=Changing()).keep(FUSION)


def test_one_class_and_too_few_rows_are_refused_by_code(lending):
    label(lending, lambda number: False)
    with pytest.raises(LabelsUnusable):
        kept_at(lending).keep(SCORECARD)
    label(lending, lambda number: number < 4)
    with pytest.raises(LabelsUnusable):
        kept_at(lending).keep(SCORECARD)


def test_without_a_network_model_there_is_no_fusion(lending):
    with pytest.raises(NoModel):
        kept_at(lending).keep(FUSION)
    with pytest.raises(OwnModelUnknown):
        kept_at(lending).use("own_nobody")


def test_the_command_keeps_lists_uses_scores_and_removes(lending):
    """The operator's whole way, without knowing anything but the commands."""
    enrol(lending)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["node", "own-models", *arguments])
        assert result.exit_code == 0, result.output
        if "--json" not in arguments:
            assert all(len(line) <= 100 for line in result.stdout.splitlines())
        return result.stdout

    home = str(lending.home)
    assert "keep HOME" in run("list", home)
    run("keep", home, "--kind", SCORECARD)
    (listed,) = json.loads(run("list", home, "--json"))
    assert "ready" in run("list", home)
    run("use", home, listed["model_id"])
    consent = lending.consent_of[lending.people[3]]
    asked = ("--subject", "sub_3", "--consent", consent)
    assert "not to be passed on" in run("score", home, *asked)
    assert json.loads(run("score", home, *asked, "--json"))["network"]["score"] is None
    run("remove", home, listed["model_id"])
    assert (
        CliRunner().invoke(app, ["node", "own-models", "keep", home, "--kind", "x"]).exit_code == 2
    )
