"""One node in a masked campaign: what it keeps, what it refuses, and that it says so in its log."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from models.aggregation_plan import IN_CLEAR
from models.masking_terms import terms_of
from node.federation.acceptance import CampaignNotAccepted
from node.federation.masking import Identity, Masking, MaskingRequest
from node.federation.wiring import build_worker
from node.storage import masking as rows
from node.storage import training
from protocols import federation as names
from protocols.canonical import canonical_json, sha256
from protocols.directory import Directory
from protocols.errors import CredenceError
from protocols.keys import SigningKey
from protocols.masking.errors import (
    CohortOfFew,
    MaskingMalformed,
    MaskingNotReady,
    MaskKeyForeign,
    RosterChanged,
    ViewRefused,
    ViewUnsupported,
)
from protocols.masking.layout import Graph, Layout
from protocols.masking.opening import Opening
from protocols.masking.party import Party
from protocols.masking.roster import Roster, Signed, read_roster
from protocols.masking.shares import read_deal
from protocols.masking.view import View
from protocols.masking.wire import Masked, Unmasked, join, join_map, split
from protocols.tensors import model_sha256
from tests.federation.rounds import Campaign
from tests.federation.world import Bank, now_ms
from tests.protocols.masking_cohort import Views

US, OTHERS = "bank-a", ("bank-b", "bank-c")


@dataclass
class Table:
    """A real node and two bare parties at one table; the test is the coordinator."""

    bank: Bank
    campaign: Campaign
    keys: dict[str, SigningKey]
    directory: Directory
    masking: Masking
    others: dict[str, Party]
    roster: Roster | None = None
    layout: Layout | None = None
    signed: dict[str, Signed] | None = None

    @property
    def digest(self) -> bytes:
        return sha256(self.campaign.document.body)

    def ask(self, step: str, *parts: bytes) -> list[bytes]:
        body = join(parts)
        request = MaskingRequest(step, self.campaign.plan.campaign_id, self.digest, body)
        return split(self.masking.answer(request))

    def announced(self) -> dict[str, Signed]:
        found = {one: party.announce(self.keys[one]) for one, party in self.others.items()}
        (own,) = self.ask(names.KEYS_STEP)
        return {US: Signed.from_bytes(own), **found}

    def agree(self) -> "Table":
        given = list(self.announced().values())
        terms = terms_of(self.campaign.plan, self.digest)
        self.roster = read_roster(
            given, campaign_id=terms.campaign_id, plan_sha256=self.digest,
            plan_members=terms.members, directory=self.directory, now_ms=now_ms(),
        )  # fmt: skip
        (own,) = self.ask(names.ROSTER_STEP, *(one.to_bytes() for one in given))
        reveals = [Signed.from_bytes(own)]
        reveals += [party.fix_roster(self.roster) for party in self.others.values()]
        (own,) = self.ask(names.DEAL_STEP, *(one.to_bytes() for one in reveals))
        self.signed = {US: Signed.from_bytes(own)}
        self.signed |= {one: party.deal(reveals) for one, party in self.others.items()}
        self.layout = Layout(Graph.of(terms, self.roster, reveals), (US, *OTHERS))
        for one, party in self.others.items():
            peers = self.layout.neighbours(one)
            assert party.start(self.layout.dealers, [self.signed[peer] for peer in peers]) == ()
        assert self.start() == []
        return self

    def start(self) -> list[bytes]:
        dealers = canonical_json(list(self.layout.dealers))
        return self.ask(names.START_STEP, dealers, *(self.signed[p].to_bytes() for p in OTHERS))

    def input(self, number: int) -> tuple[Masked, np.ndarray]:
        """The node's masked round, and what it hides."""
        request = self.campaign.round(number)
        trainer = self.bank.worker.trainer
        result = trainer.train(request)
        open_campaign = trainer.campaign(request)
        model = model_sha256(request.model)
        return self.masking.mask(open_campaign, number, model, result.values), result.values

    def view(self, number: int, members: tuple[str, ...] = (US, *OTHERS)) -> View:
        model = model_sha256(self.campaign.round(number).model)
        campaign_id = self.campaign.plan.campaign_id
        return View(campaign_id, self.digest, self.layout.sha256, number, model, members)

    def restart(self) -> None:
        """The worker's process ends; a new one opens the same home."""
        self.bank.worker = build_worker(self.bank.node)
        assert self.bank.worker.trainer.accept(self.campaign.document).refusal == ""
        self.masking = _masking(self.bank, self.directory)

    def refusals(self) -> list[str]:
        audit = self.bank.node.audit
        found = []
        for seq in range(audit.head().size):
            payload = audit.payload(seq)
            if payload is not None and "code" in payload:
                found.append(payload["code"])
        return found


def _masking(bank: Bank, directory: Directory) -> Masking:
    """The masking of a node, which sees the two others in its directory too."""
    masking = bank.worker.masking
    masking._identity = replace(masking._identity, directory=lambda: directory)
    assert isinstance(masking._identity, Identity)
    return masking


@pytest.fixture
def table(bank: Bank, campaign: Campaign) -> Table:
    keys = {one: SigningKey.generate() for one in OTHERS}
    known = bank.node.documents.directory()
    own = known.member(US)
    added = [replace(own, member_id=one, signing_key=keys[one].verify_key.bytes) for one in OTHERS]
    directory = replace(known, members=(own, *added))
    assert bank.worker.trainer.accept(campaign.document).refusal == ""
    terms = terms_of(campaign.plan, sha256(campaign.document.body))
    others = {one: Party(terms, one, "bank", bytes([at]) * 32, Views())
              for at, one in enumerate(OTHERS)}  # fmt: skip
    return Table(bank, campaign, keys, directory, _masking(bank, directory), others)


def test_a_masked_round_hides_the_noised_sum_and_the_whole_opens(table):
    """What leaves is uniform to look at; with the two others it opens to the exact sum."""
    table.agree()
    masked, hidden = table.input(1)
    ring = terms_of(table.campaign.plan, table.digest).ring
    seen = ring.decode(ring.unpack(masked.octets))
    assert not (seen[:-1] == hidden).any()
    rest = {one: np.arange(len(hidden) + 1) * at for at, one in enumerate(OTHERS)}
    view = table.view(1)
    inputs = {US: masked} | {
        one: party.mask(1, view.model_sha256, rest[one]) for one, party in table.others.items()
    }
    kind, own = table.ask(names.VIEW_STEP, view.to_body())
    assert kind == names.SIGNED
    signatures = {US: own} | {
        one: party.sign_view(view.to_body()) for one, party in table.others.items()
    }
    deals = {one: read_deal(table.layout.graph, deal) for one, deal in table.signed.items()}
    opening = Opening(table.layout, ring, view, inputs, deals)
    seed, *pairs = table.ask(names.UNMASK_STEP, view.to_body(), join_map(signatures))
    opening.take(US, Unmasked(seed, tuple(pairs)))
    for one, party in table.others.items():
        opening.take(one, party.unmask(view.to_body(), signatures))
    total = opening.total()
    with table.bank.node.database.read() as connection:
        band = training.find_campaign(connection, "camp-1").cohort_band
    assert (total[:-1] == hidden + sum(values[:-1] for values in rest.values())).all()
    assert total[-1] == band + sum(values[-1] for values in rest.values())


def test_a_restarted_worker_sends_the_same_bytes_and_signs_no_other_view(table):
    """Masks, keys and the signed view outlive the process; an invented dropout is refused."""
    table.agree()
    before, _ = table.input(1)
    table.ask(names.VIEW_STEP, table.view(1).to_body())
    table.restart()
    lie = table.view(1, (US, "bank-b"))
    kind, other = table.ask(names.VIEW_STEP, lie.to_body())
    assert (kind, other) == (names.OTHER, table.view(1).to_body())
    with pytest.raises(ViewRefused):
        table.ask(names.UNMASK_STEP, lie.to_body(), join_map({}))
    after, _ = table.input(1)
    assert (after.octets == before.octets).all()
    assert after.parts() == before.parts()
    assert "round_view_inconsistent" in table.refusals()
    assert "round_view_refused" in table.refusals()


def test_a_view_without_a_majority_of_signatures_opens_nothing_and_is_logged(table):
    table.agree()
    table.input(1)
    view = table.view(1)
    _, own = table.ask(names.VIEW_STEP, view.to_body())
    for signatures in ({}, {US: own}, {US: own, "bank-b": own}):
        with pytest.raises(ViewUnsupported):
            table.ask(names.UNMASK_STEP, view.to_body(), join_map(signatures))
    assert table.refusals().count("round_view_unsupported") == 3


def test_a_cohort_of_one_is_refused(table):
    """Neither a roster nor a view of this node alone is gone along with."""
    with pytest.raises(CohortOfFew):
        table.ask(names.ROSTER_STEP, table.announced()[US].to_bytes())
    table.agree()
    table.input(1)
    with pytest.raises(CohortOfFew):
        table.ask(names.VIEW_STEP, table.view(1, (US,)).to_body())


def test_keys_that_no_member_signed_are_refused_and_logged(table):
    """A coordinator that announces keys of its own for a bank stands in no middle."""
    given = table.announced()
    stranger = Party(
        terms_of(table.campaign.plan, table.digest), "bank-b", "bank", bytes(32), Views()
    )
    given["bank-b"] = stranger.announce(SigningKey.generate())
    with pytest.raises(MaskKeyForeign):
        table.ask(names.ROSTER_STEP, *(one.to_bytes() for one in given.values()))
    assert "mask_key_foreign" in table.refusals()


def test_another_roster_for_the_same_campaign_is_refused_also_after_a_restart(table):
    table.agree()
    again = table.announced()
    fresh = Party(
        terms_of(table.campaign.plan, table.digest), "bank-b", "bank", bytes([9]) * 32, Views()
    )
    again["bank-b"] = fresh.announce(table.keys["bank-b"])
    for _ in range(2):
        with pytest.raises(RosterChanged):
            table.ask(names.ROSTER_STEP, *(one.to_bytes() for one in again.values()))
        table.restart()
    assert table.refusals().count("mask_roster_changed") == 2


def test_nothing_is_trained_before_the_masks_are_agreed(table):
    """A coordinator that skips the agreement gets no result, and nothing is charged."""
    opened = table.bank.worker.trainer.campaign(table.campaign.round(1))
    with pytest.raises(MaskingNotReady):
        table.masking.require_ready(opened)
    table.ask(names.KEYS_STEP)
    with pytest.raises(MaskingNotReady):
        table.masking.require_ready(opened)


def test_masks_are_made_for_an_accepted_masked_plan_only(table, campaign):
    with pytest.raises(CampaignNotAccepted):
        table.masking.answer(MaskingRequest(names.KEYS_STEP, "camp-2", table.digest, b""))
    with pytest.raises(CampaignNotAccepted):
        table.masking.answer(MaskingRequest(names.KEYS_STEP, "camp-1", bytes(32), b""))
    with pytest.raises(MaskingMalformed):
        terms_of(replace(campaign.plan, aggregation=IN_CLEAR), bytes(32))


@pytest.mark.parametrize("step", ["", "open", "view", "unmask", "stand_in", "start", "deal"])
@pytest.mark.parametrize("body", [b"\0", b"\xff" * 40, join([b"{}"]), join([b"", b"", b""])])
def test_garbage_in_a_step_is_refused_by_code(table, step, body):
    """Whatever the bytes: a typed refusal, and the agreed masks still work."""
    table.agree()
    with pytest.raises(CredenceError):
        table.masking.answer(MaskingRequest(step, "camp-1", table.digest, body))
    assert table.start() == []


def test_the_secret_of_a_campaign_is_sealed_and_forgotten_with_the_next(table):
    table.agree()
    with table.bank.node.database.read() as connection:
        row = rows.find(connection, "camp-1")
    assert len(row.secret) == 32 + 28
    with table.bank.node.database.write() as connection:
        rows.begin(connection, replace(row, campaign_id="camp-2"))
        assert rows.find(connection, "camp-1") is None


def test_a_cohort_of_one_node_stands_in_the_log(table):
    """A coordinator that names this node alone would see its part; the round is not opened."""
    table.agree()
    table.input(1)
    with pytest.raises(CohortOfFew):
        table.ask(names.VIEW_STEP, table.view(1, (US,)).to_body())
    assert CohortOfFew.code in table.refusals()


def test_different_models_to_different_nodes_open_nothing_and_stand_in_the_log(table):
    """A view about another model than the one this node was sent is not signed."""
    table.agree()
    table.input(1)
    other = replace(table.view(1), model_sha256=bytes(32))
    with pytest.raises(ViewRefused):
        table.ask(names.VIEW_STEP, other.to_body())
    assert table.refusals()[-1] == ViewRefused.code
