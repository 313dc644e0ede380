"""The SDK against the application of a node, as a financing platform uses it."""

import asyncio
import itertools
import json
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI

from api.sdk import AsyncClient, Client, ClientKey, Identity, calls
from api.sdk.errors import ConsentRefused, IdempotencyConflict, Missing, NotAuthenticated
from api.sdk.proofs import ReceiptInvalid, check_promise_of, check_score
from audit.verifier.note import NoteKey
from protocols.errors import SignatureInvalid
from protocols.keys import SigningKey
from tests.node.scoring_world import World, ref
from tests.sdk.conftest import URL, Bridge
from tests.support import loops

_people = itertools.count(7000)


def granted(world: World) -> tuple[bytes, str, str]:
    """A new person, their reference and their consent."""
    (one,) = world.enrol(next(_people))
    return one, ref(one), world.consent(one).consent_id


def test_a_score_is_asked_for_read_again_and_proved(world: World, client: Client) -> None:
    _, subject, consent = granted(world)
    score = client.score(subject, consent, language="zh-Hans")
    assert score.subject == subject
    assert score.coverage
    assert client.get_score(score.score_id).raw == score.raw
    key = NoteKey(world.node.audit.origin, world.node.keys.signing.verify_key).encode()
    check_promise_of(score, key)
    entry = check_score(score, client.receipt(score.receipt.seq), [key])
    assert entry.key_given
    assert entry.content == "shown"


def test_an_answer_that_was_altered_is_not_the_one_in_the_log(world: World, client: Client) -> None:
    """A score that somebody changed on its way does not pass for the node's."""
    _, subject, consent = granted(world)
    score = client.score(subject, consent)
    receipt = client.receipt(score.receipt.seq)
    better = {**score.raw, "pd": 0.001}
    with pytest.raises(ReceiptInvalid):
        check_score(replace(score, raw=better), receipt)
    elsewhere = replace(score, receipt=replace(score.receipt, leaf_hash="0" * 64))
    stranger = NoteKey(world.node.audit.origin, SigningKey.generate().verify_key).encode()
    with pytest.raises(SignatureInvalid):
        check_score(elsewhere, receipt)
    with pytest.raises(SignatureInvalid):
        check_promise_of(score, stranger)
    with pytest.raises(SignatureInvalid):
        check_score(score, receipt, [stranger])


def test_a_receipt_of_another_entry_is_not_this_scores(world: World, client: Client) -> None:
    first, second = (client.score(*granted(world)[1:]) for _ in range(2))
    with pytest.raises(ReceiptInvalid):
        check_score(first, client.receipt(second.receipt.seq))


def test_a_withdrawn_consent_is_an_error_of_its_own(world: World, client: Client) -> None:
    one, subject, _ = granted(world)
    terms = world.consent(one)
    world.network.withdraw("bank-a", terms)
    with pytest.raises(ConsentRefused) as refused:
        client.score(subject, terms.consent_id)
    assert refused.value.problem == "consent_withdrawn"
    with pytest.raises(Missing):
        client.get_score("scr_none")


def test_a_repeated_call_gives_the_same_score(world: World, client: Client) -> None:
    _, subject, consent = granted(world)
    scores = {client.score(subject, consent, idempotency_key="k-1").score_id for _ in range(2)}
    assert len(scores) == 1
    with pytest.raises(IdempotencyConflict):
        client.score(subject, consent, idempotency_key="k-1", language="zh-Hant")


def test_another_key_opens_nothing(app: FastAPI, who: Identity) -> None:
    """A client id without the client's key is worth nothing."""
    other = Identity(who.client_id, ClientKey.generate())
    with (
        Client(URL, other, transport=Bridge(app)) as client,
        pytest.raises(NotAuthenticated) as refused,
    ):
        client.checkpoint()
    assert refused.value.problem == "client_assertion_refused"


def test_many_calls_side_by_side(world: World, app: FastAPI, who: Identity) -> None:
    people = [granted(world)[1:] for _ in range(4)]

    async def run() -> list[str]:
        async with AsyncClient(URL, who, transport=httpx.ASGITransport(app)) as client:
            found = await asyncio.gather(*(client.score(*one) for one in people))
            leaves = [one.seq async for one in client.leaves()]
            assert leaves == list(range(len(leaves)))
            return [one.subject for one in found]

    assert loops.run(run()) == [subject for subject, _ in people]


def test_an_endpoint_is_kept_and_its_deliveries_come_in_pages(client: Client) -> None:
    made = client.make(calls.create_webhook_endpoint("https://93.184.215.14/hook"))
    for _ in range(3):
        client.make(calls.test_webhook_endpoint(made.endpoint_id))
    listed = client.pages(
        lambda cursor: calls.list_webhook_deliveries(made.endpoint_id, limit=2, cursor=cursor)
    )
    assert [one.type for one in listed] == ["endpoint.test"] * 3
    assert json.dumps(made.public_keys).startswith('["whpk_')
    client.make(calls.delete_webhook_endpoint(made.endpoint_id))
    with pytest.raises(Missing):
        client.make(calls.get_webhook_endpoint(made.endpoint_id))
