"""What a consent grants to whom: by recipient, purpose and class of data."""

import pytest

from consent.artefact import Artefact
from consent.clauses import Grant, Recipient, canonical_grants
from consent.policy import Refusal, decide
from protocols.data_classes import PROHIBITED, is_data_class
from protocols.errors import InvalidInput, Malformed
from protocols.member_entry import MemberEntry
from tests.consent.samples import NOW_MS, TEMPLATE, TEMPLATES, artefact, body_with, facts, terms

TWO = (Recipient("bank-a", "Bank A", ""), Recipient("bank-b", "Bank B", ""))
SPLIT = (
    Grant("bank-a", "score", ("payment", "public_record")),
    Grant("bank-b", "monitor", ("payment",)),
)


def split(**changes):
    given = {
        "recipients": TWO,
        "handles": {"bank-b": b"3" * 32, "payments": b"1" * 32, "public-records": b"2" * 32},
        "purposes": ("monitor", "score"),
        "training": None,
        "grants": SPLIT,
    }
    return artefact(**{**given, **changes})


def test_recipients_may_be_granted_different_purposes_and_classes():
    """Each gets what was granted to it, at every holder, and nothing of the other's."""
    made = split()
    assert Artefact.parse(made.body()) == made
    assert made.granted("bank-a", "score") == {"payment", "public_record"}
    assert made.granted("bank-b", "monitor") == {"payment"}
    assert made.granted("bank-b", "score") == made.granted("bank-a", "monitor") == set()
    assert made.granted("bank-c", "score") == set()
    held_terms = terms(
        purposes=frozenset(made.purposes),
        recipients=frozenset(made.recipient_ids),
        grants={(one.recipient, one.purpose): frozenset(one.data_categories) for one in SPLIT},
    )
    asked = facts(held_terms, requester="bank-b", purpose="monitor", categories=frozenset())
    assert decide(asked, NOW_MS).categories == {"payment"}
    asked = facts(held_terms, requester="bank-b", purpose="score")
    assert decide(asked, NOW_MS).refusal is Refusal.PURPOSE_NOT_GRANTED
    asked = facts(
        held_terms, requester="bank-b", purpose="monitor", categories=frozenset({"public_record"})
    )
    assert decide(asked, NOW_MS).refusal is Refusal.CATEGORY_NOT_GRANTED


@pytest.mark.parametrize(
    "changes",
    [
        {"grants": SPLIT[::-1]},
        {"grants": (*SPLIT, SPLIT[1])},
        {"grants": SPLIT[:1]},
        {"purposes": ("monitor", "score", "train")},
        {"data_categories": ("payment", "public_record", "tax")},
        {"recipients": TWO[:1]},
        {"grants": tuple(Grant(one, "score", ("payment",)) for one in ("bank-a", "bank-b"))},
        {"grants": (SPLIT[0], Grant("bank-b", "monitor", ()))},
        {"grants": (SPLIT[0], Grant("bank-b", "monitor", ("disease",)))},
    ],
    ids=["order", "twice", "one", "purpose", "class", "stranger", "uniform", "empty", "prohibited"],
)
def test_grants_have_one_encoding_and_agree_with_what_they_add_up_to(changes):
    """Another order, a repetition, a recipient without a grant, or nothing said: refused."""
    with pytest.raises(Malformed):
        Artefact.parse(split(**changes).body())


def test_grants_that_say_nothing_more_are_left_out():
    """So equal terms have equal hashes."""
    alike = [Grant(one, "score", ("payment",)) for one in ("bank-b", "bank-a")]
    assert canonical_grants(alike) == ()
    assert canonical_grants(SPLIT[::-1]) == SPLIT


@pytest.mark.parametrize("name", [*PROHIBITED, "religious_belief", "blood", "gene", "diseases"])
def test_a_prohibited_class_cannot_be_expressed_anywhere(name):
    """Not in a consent, a grant, a template, a catalogue, what a member holds, or settings."""
    from models.catalogue import CatalogueInvalid, SignalSpec
    from node.settings import SettingsInvalid, make_settings

    assert not is_data_class(name)
    with pytest.raises(Malformed):
        Artefact.parse(body_with(data_categories=[name]))
    for spec in ({"source_class": name}, {"id": name}, {"family": name}, {"block": name}):
        given = {"id": "x", "title": "X", "unit": "ratio", "source_class": "payment",
                 "block": "b", "edges": (1.0,), "monotone": 0, "family": "f",
                 "reference": None}  # fmt: skip
        with pytest.raises(CatalogueInvalid):
            SignalSpec(**{**given, **spec})
    with pytest.raises(SettingsInvalid):
        make_settings(member_id="bank-a", name="A", role="bank", holds=(name,))
    with pytest.raises(InvalidInput):
        MemberEntry(
            "bank-a", "A", "bank", "", "", (name,), bytes(32), bytes(32), bytes(32), "h:1",
            "active", 0,
        )  # fmt: skip


def test_restricted_classes_take_the_notice_of_adverse_consequences():
    """Income, deposits, securities, insurance, real estate and tax (article 14)."""
    restricted = {"income", "deposits", "securities", "insurance", "real_estate", "tax"}
    assert TEMPLATE.adverse_notice_categories == restricted
    notice = TEMPLATE.adverse_notice("en").sha256
    for name in restricted:
        with pytest.raises(InvalidInput):
            TEMPLATES.check(artefact(data_categories=(name,)))
        TEMPLATES.check(artefact(data_categories=(name,), adverse_notice_sha256=notice))
