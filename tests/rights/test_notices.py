"""Notices of other members: who may say what, about whom, and how often."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent.right_notices import (
    DOMAIN,
    MAX_NOTICE_BYTES,
    Notice,
    Topic,
    decimal_value,
    verify_acknowledgement,
)
from consent.rights import DAY_MS
from node.rights.errors import ConsentNotHere, NotTheirs
from protocols.errors import CredenceError, InvalidInput, Malformed, SignatureInvalid
from protocols.identifiers import new_id
from protocols.keys import SigningKey
from tests.network import now_ms, person
from tests.rights.world import ANNA, BANK, HOLDER, RightsWorld, open_rights

OTHER = "public-records"


@pytest.fixture
def there(tmp_path: Path) -> Iterator[RightsWorld]:
    with open_rights(tmp_path) as world:
        yield world


def notice(topic: Topic, consents: tuple[bytes, ...], **changes: object) -> Notice:
    """A notice of the bank to the holder."""
    about_item: dict[str, object] = {
        "request_id": "rgt_" + "a" * 26,
        "furnisher": HOLDER,
        "signal": "paid_ratio_1m",
    }
    made = Notice(
        topic=topic,
        message_id=new_id("rgm"),
        sender=BANK,
        receiver=HOLDER,
        at_ms=now_ms(),
        consents=tuple(sorted(consents)),
    )
    if topic not in {Topic.FREEZE, Topic.UNFREEZE}:
        made = replace(made, **about_item)  # type: ignore[arg-type]
    if topic is Topic.DISPUTE:
        made = replace(made, text="No.", due_at_ms=now_ms() + DAY_MS)
    return replace(made, **changes)  # type: ignore[arg-type]


def signed(made: Notice, key: SigningKey) -> tuple[bytes, bytes]:
    """Its body, and a signature of it."""
    return made.body(), key.sign(DOMAIN, made.body())


def tell(there: RightsWorld, made: Notice, *, peer: str = BANK, to: str = HOLDER) -> str:
    """The refusal with which `to` answers a notice that `peer` signed and brought."""
    body, signature = signed(made, there.world.network.node(peer).keys.signing)
    receiver = there.world.network.node(to)
    answer = receiver.rights.receive(peer, body, signature)
    entry = receiver.documents.directory().member(to)
    verify_acknowledgement(answer, body, entry, now_ms())
    return answer.refusal


def test_a_dispute_is_taken_once_however_often_it_is_told(there: RightsWorld) -> None:
    """The same bytes again are acknowledged again; other bytes under the id are refused."""
    _, terms = there.person(1)
    made = notice(Topic.DISPUTE, (terms.consent_hash,))
    assert tell(there, made) == ""
    assert tell(there, made) == ""
    assert len(there.holder.desk.waiting(ANNA)) == 1
    assert tell(there, replace(made, text="Else.")) == "rights_notice_reused"


def test_only_the_persons_consent_node_speaks_for_them(there: RightsWorld) -> None:
    """Another member can neither dispute nor freeze for the bank's customer."""
    one, terms = there.person(1)
    for topic in (Topic.DISPUTE, Topic.FREEZE):
        made = notice(topic, (terms.consent_hash,), sender=OTHER)
        assert tell(there, made, peer=OTHER) == "rights_not_theirs"
    assert there.fetch(one, terms)["paid_ratio_1m"] == (1, 0.05)


def test_a_notice_of_another_sender_or_for_another_member_is_refused(there: RightsWorld) -> None:
    """Signed by one and brought by another, or addressed elsewhere: the call fails, unsigned."""
    _, terms = there.person(1)
    made = notice(Topic.FREEZE, (terms.consent_hash,))
    body, signature = signed(made, there.world.node.keys.signing)
    with pytest.raises(SignatureInvalid):
        there.holder.receive(OTHER, body, signature)
    elsewhere = notice(Topic.FREEZE, (terms.consent_hash,), receiver=OTHER)
    body, signature = signed(elsewhere, there.world.node.keys.signing)
    with pytest.raises(NotTheirs):
        there.holder.receive(BANK, body, signature)
    with pytest.raises(SignatureInvalid):
        there.holder.receive(BANK, body, bytes(64))


def test_consents_of_two_people_or_of_nobody_are_refused(there: RightsWorld) -> None:
    """A notice is about one person; a consent that has not arrived yet makes it wait."""
    _, terms = there.person(1)
    _, others = there.person(2)
    both = notice(Topic.FREEZE, (terms.consent_hash, others.consent_hash))
    assert tell(there, both) == "rights_not_theirs"
    with pytest.raises(ConsentNotHere) as refused:
        tell(there, notice(Topic.FREEZE, (bytes(32),)))
    assert refused.value.retryable


def test_an_item_the_furnisher_does_not_hold_is_not_disputed(there: RightsWorld) -> None:
    """A signal of another class, or of no catalogue."""
    _, terms = there.person(1)
    for signal in ("credit_limit", "no_such_signal"):
        made = notice(Topic.DISPUTE, (terms.consent_hash,), signal=signal)
        assert tell(there, made) == "rights_item_unknown"


def test_a_peer_opens_one_dispute_for_an_item_of_a_person(there: RightsWorld) -> None:
    """A member cannot fill another's desk."""
    _, terms = there.person(1)
    assert tell(there, notice(Topic.DISPUTE, (terms.consent_hash,))) == ""
    for letter in "bcd":
        made = notice(Topic.DISPUTE, (terms.consent_hash,), request_id="rgt_" + letter * 26)
        assert tell(there, made) == "already_disputed"


def test_a_deadline_cannot_be_put_off_by_who_passes_the_matter_on(there: RightsWorld) -> None:
    """At most 20 days from when the furnisher received it, whatever the notice says."""
    _, terms = there.person(1)
    far = notice(Topic.DISPUTE, (terms.consent_hash,), due_at_ms=now_ms() + 400 * DAY_MS)
    assert tell(there, far) == ""
    (case,) = there.holder.desk.waiting(ANNA)
    assert case.due_at_ms <= now_ms() + 20 * DAY_MS


def test_an_older_word_on_a_freeze_does_not_undo_a_newer_one(there: RightsWorld) -> None:
    """A replayed or delayed `unfreeze` leaves the person frozen."""
    _, terms = there.person(1)
    at_ms = now_ms()
    assert tell(there, notice(Topic.FREEZE, (terms.consent_hash,), at_ms=at_ms)) == ""
    late = notice(Topic.UNFREEZE, (terms.consent_hash,), at_ms=at_ms - 1)
    assert tell(there, late) == "rights_word_outdated"
    assert tell(there, notice(Topic.FREEZE, (terms.consent_hash,), at_ms=at_ms)) == ""
    later = notice(Topic.UNFREEZE, (terms.consent_hash,), at_ms=at_ms + 1)
    assert tell(there, later) == ""


def test_only_the_furnisher_that_was_asked_replies(there: RightsWorld) -> None:
    """A reply about another's item, about no dispute, or a second one is refused."""
    one, terms = there.person(1)
    opened = there.bank.dispute(one, HOLDER, "paid_ratio_1m", "No.")
    reply = notice(
        Topic.REPLY,
        (terms.consent_hash,),
        sender=HOLDER,
        receiver=BANK,
        request_id=opened.request_id,
        text="It is right.",
        finding="rejected",
    )
    forged = replace(reply, sender=OTHER, message_id=new_id("rgm"))
    assert tell(there, forged, peer=OTHER, to=BANK) == "rights_not_theirs"
    unknown = replace(reply, request_id="rgt_" + "z" * 26, message_id=new_id("rgm"))
    assert tell(there, unknown, peer=HOLDER, to=BANK) == "rights_request_unknown"
    assert tell(there, reply, peer=HOLDER, to=BANK) == ""
    second = replace(reply, finding="corrected", message_id=new_id("rgm"))
    assert tell(there, second, peer=HOLDER, to=BANK) == "rights_state_conflict"


def test_a_member_that_is_suspended_is_not_heard(there: RightsWorld) -> None:
    """The directory decides who speaks."""
    _, terms = there.person(1)
    made = notice(Topic.FREEZE, (terms.consent_hash,))
    there.world.network.change(BANK, status="suspended")
    with pytest.raises(CredenceError, match=r"active|suspended"):
        tell(there, made)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_notice_are_malformed(data: bytes) -> None:
    """Whatever arrives either is a notice in canonical bytes or `malformed`."""
    with pytest.raises(Malformed):
        Notice.parse(data)


@pytest.mark.parametrize(
    "change",
    [
        {"text": ""},
        {"due_at_ms": 0},
        {"finding": "rejected"},
        {"signal": ""},
        {"request_id": ""},
        {"furnisher": ""},
    ],
)
def test_a_dispute_that_does_not_hold_together_is_malformed(change: dict[str, object]) -> None:
    """It names its item, what is wrong and until when, and no finding."""
    made = notice(Topic.DISPUTE, (person(1),), **change)
    with pytest.raises(Malformed):
        Notice.parse(made.body())


def test_what_a_notice_says_is_text(there: RightsWorld) -> None:
    """A text that turns its reading order, has controls or is too long does not parse."""
    for text in ("a\u202eb", "a\x00b", "x" * 2001, " x"):
        with pytest.raises(Malformed):
            Notice.parse(notice(Topic.DISPUTE, (person(1),), text=text).body())
    with pytest.raises(Malformed):
        Notice.parse(b"{" + b" " * MAX_NOTICE_BYTES + b"}")
    assert there.holder.desk.waiting(ANNA) == []


@given(st.text(max_size=30))
def test_a_typed_value_is_a_plain_number_or_refused(text: str) -> None:
    """No exponents, no infinities, no other digits than 0 to 9."""
    try:
        value = decimal_value(text)
    except InvalidInput:
        return
    assert value == float(text.strip().replace(",", ""))
    assert set(text.strip()) <= set("0123456789.,-")
