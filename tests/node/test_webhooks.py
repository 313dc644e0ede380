"""Messages reach their endpoint signed, once or more, for a day, and nobody else."""

import base64
import socket
import threading

import pytest

from node.storage import webhooks as storage
from node.webhooks.endpoints import (
    MAX_ENDPOINTS,
    EndpointDisabled,
    EndpointUnknown,
    TooManyEndpoints,
)
from node.webhooks.schedule import ATTEMPTS, delay_s
from protocols.errors import InvalidInput, NotFound, SignatureInvalid
from protocols.standard_webhooks import parse_public_key, public_key_text, verify
from tests.node.webhook_world import CLIENT, WebhookWorld, open_webhooks, verified

HOUR_MS = 3_600_000


@pytest.fixture
def world(tmp_path):
    with open_webhooks(tmp_path) as opened:
        yield opened


def endpoint(world: WebhookWorld, types=()):
    shown = world.webhooks.endpoints.add(CLIENT, world.receiver.url, types)
    return shown.endpoint.endpoint_id, [public_key_text(key) for key, _ in shown.keys]


def test_a_message_arrives_signed_as_the_standard_says(world: WebhookWorld) -> None:
    """Verified by the specification alone, and by `protocols.standard_webhooks`."""
    endpoint_id, public = endpoint(world)
    message_id = world.emit()
    assert world.work() == 1
    (heard,) = world.receiver.heard
    body = verified(heard, public, world.clock[0] // 1000)
    assert body == {
        "type": "monitor.score_drop",
        "timestamp": "2026-09-21T14:13:20.000Z",
        "data": {"monitor_id": "mon_1"},
    }
    assert heard.headers["webhook-id"] == message_id
    assert heard.path == "/hooks?from=credence"
    assert heard.headers["content-type"] == "application/json"
    keys = [parse_public_key(one) for one in public]
    assert verify(keys, heard.headers, heard.body, world.clock[0] // 1000) == message_id
    (delivery,) = world.log(endpoint_id)
    assert (delivery.state, [one.status for one in delivery.attempts]) == ("delivered", [204])
    assert world.work(10 * HOUR_MS) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"body": b"{}"},
        {"webhook-id": "msg_other"},
        {"webhook-id": "a.b"},
        {"webhook-timestamp": "1790000001"},
        {"webhook-signature": "v1,AAAA"},
        {"webhook-signature": "v1a,AAAA v1a,!!"},
        {"later": 301},
        {"later": -301},
    ],
)
def test_what_was_changed_is_old_or_is_signed_otherwise_is_not_believed(
    world: WebhookWorld, change: dict
) -> None:
    _, public = endpoint(world)
    world.emit()
    world.work()
    (heard,) = world.receiver.heard
    keys = [parse_public_key(one) for one in public]
    now_s = world.clock[0] // 1000 + change.pop("later", 0)
    body = change.pop("body", heard.body)
    with pytest.raises(SignatureInvalid):
        verify(keys, heard.headers | change, body, now_s)


def test_what_fails_is_tried_again_later_each_time_for_about_a_day(world: WebhookWorld) -> None:
    """Every attempt is in the log; the endpoint is disabled, and says why; it can start again."""
    endpoint_id, _ = endpoint(world)
    world.receiver.statuses = [500] * 100
    world.emit()
    begun = world.clock[0]
    assert world.work() == 1
    for failed in range(1, ATTEMPTS):
        wait_ms = int(delay_s(failed, lambda: 0.5) * 1000)
        assert world.work(wait_ms - 1) == 0
        assert world.work(1) == 1
    assert 20 * HOUR_MS < world.clock[0] - begun < 28 * HOUR_MS
    (delivery,) = world.log(endpoint_id)
    assert (delivery.state, len(delivery.attempts)) == ("failed", ATTEMPTS)
    assert {one.failure for one in delivery.attempts} == {"refused"}
    shown = world.webhooks.endpoints.get(CLIENT, endpoint_id).endpoint
    assert (shown.state, shown.disabled_for) == ("disabled", "failing")
    world.emit()
    assert world.work() == 0
    with pytest.raises(EndpointDisabled):
        world.webhooks.endpoints.test(CLIENT, endpoint_id)
    world.receiver.statuses = []
    world.webhooks.endpoints.change(CLIENT, endpoint_id, active=True)
    assert world.webhooks.endpoints.replay(CLIENT, endpoint_id, from_ms=begun) == 2
    assert world.work() == 2
    assert [one.state for one in world.log(endpoint_id)] == ["delivered", "delivered", "failed"]


def test_delays_grow_and_are_spread() -> None:
    drawn = [delay_s(1, lambda: 0.0), delay_s(1, lambda: 0.5), delay_s(1, lambda: 0.999)]
    assert drawn[0] < drawn[1] < drawn[2]
    every = [delay_s(failed, lambda: 0.5) for failed in range(1, ATTEMPTS)]
    assert every == sorted(every)
    assert delay_s(ATTEMPTS, lambda: 0.5) is None


def test_an_endpoint_that_is_gone_is_disabled_at_once(world: WebhookWorld) -> None:
    endpoint_id, _ = endpoint(world)
    world.receiver.statuses = [410]
    world.emit()
    world.work()
    assert world.webhooks.endpoints.get(CLIENT, endpoint_id).endpoint.disabled_for == "gone"


def test_a_failure_that_ends_is_forgotten_and_retry_after_is_heeded(world: WebhookWorld) -> None:
    endpoint_id, _ = endpoint(world)
    world.receiver.statuses, world.receiver.answer_headers = [429], {"Retry-After": "120"}
    world.emit()
    world.work()
    assert world.webhooks.endpoints.get(CLIENT, endpoint_id).endpoint.failing_since_ms is not None
    assert world.work(119_000) == 0
    assert world.work(1_000) == 1
    assert world.webhooks.endpoints.get(CLIENT, endpoint_id).endpoint.failing_since_ms is None


def test_a_redirect_is_not_followed(world: WebhookWorld) -> None:
    endpoint_id, _ = endpoint(world)
    world.receiver.statuses = [302]
    world.receiver.answer_headers = {"Location": world.receiver.url + "&again"}
    world.emit()
    world.work()
    assert len(world.receiver.heard) == 1
    assert world.log(endpoint_id)[0].attempts[0].failure == "redirected"


def test_an_endpoint_that_trickles_its_answer_is_cut_off(world: WebhookWorld) -> None:
    """The whole attempt ends in time, not each read."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def trickle() -> None:
        line, _ = listener.accept()
        with line:
            while not done.wait(0.05):
                try:
                    line.sendall(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=trickle)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    shown = world.webhooks.endpoints.add(CLIENT, url)
    world.emit()
    world.work()
    done.set()
    thread.join()
    listener.close()
    (delivery,) = world.log(shown.endpoint.endpoint_id)
    assert delivery.attempts[0].failure in {"timeout", "unreachable"}
    assert delivery.attempts[0].ms < 5_000


def test_a_crash_after_the_claim_delivers_later_and_under_the_same_id(world: WebhookWorld) -> None:
    endpoint(world)
    message_id = world.emit()
    with world.database.write() as connection:
        assert len(storage.claim(connection, world.clock[0], 60_000, 10, ())) == 1
    assert world.work() == 0
    assert world.work(60_000) == 1
    assert world.receiver.heard[0].headers["webhook-id"] == message_id


def test_a_message_of_a_transaction_that_fails_is_never_sent(world: WebhookWorld) -> None:
    endpoint(world)

    def fail() -> None:
        with world.database.write() as connection:
            world.webhooks.emit(connection, CLIENT, "monitor.ended", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert world.work() == 0


def test_only_wanted_types_of_the_own_client_arrive(world: WebhookWorld) -> None:
    endpoint_id, _ = endpoint(world, ["monitor.ended"])
    world.emit("monitor.score_drop")
    with world.database.write() as connection:
        world.webhooks.emit(connection, "cli_other", "monitor.ended", {})
    assert world.work() == 0
    world.emit("monitor.ended")
    assert world.work() == 1
    assert [one.type for one in world.log(endpoint_id)] == ["monitor.ended"]
    with pytest.raises(InvalidInput):
        world.emit("nothing.known")


def test_a_replaced_key_signs_beside_its_successor_for_a_day(world: WebhookWorld) -> None:
    endpoint_id, before = endpoint(world)
    after = world.webhooks.endpoints.rotate(CLIENT, endpoint_id)
    new = [public_key_text(after.keys[0][0])]
    assert new != before
    world.emit()
    world.work()
    for public in (before, new):
        verified(world.receiver.heard[0], public, world.clock[0] // 1000)
    world.clock[0] += 24 * HOUR_MS
    world.webhooks.deliverer.forget()
    world.emit()
    world.work()
    heard = world.receiver.heard[1]
    verified(heard, new, world.clock[0] // 1000)
    assert " " not in heard.headers["webhook-signature"]


def test_no_two_endpoints_share_a_key_and_none_is_kept_in_the_clear(world: WebhookWorld) -> None:
    """What one client is told does not verify for another."""
    (_, first), (_, second) = endpoint(world), endpoint(world)
    assert first != second
    world.emit()
    world.work()
    heard = world.receiver.heard[0]
    believed = [
        public for public in (first, second) if _believes(public, heard, world.clock[0] // 1000)
    ]
    assert len(believed) == 1


def _believes(public, heard, now_s: int) -> bool:
    try:
        verify([parse_public_key(one) for one in public], heard.headers, heard.body, now_s)
    except SignatureInvalid:
        return False
    return True


def test_what_rests_on_a_consent_that_is_not_in_force_is_withheld(world: WebhookWorld) -> None:
    """From what waits and from replays alike."""
    endpoint_id, _ = endpoint(world)
    message_id = world.emit(consent_id="con_ended")
    world.work()
    world.webhooks.endpoints.replay(CLIENT, endpoint_id, message_id=message_id)
    world.work()
    assert world.receiver.heard == []
    assert [one.state for one in world.log(endpoint_id)] == ["withheld", "withheld"]


def test_one_message_or_a_span_is_replayed_under_its_id(world: WebhookWorld) -> None:
    endpoint_id, _ = endpoint(world)
    first = world.emit()
    world.work(HOUR_MS)
    world.emit()
    world.work()
    replay = world.webhooks.endpoints.replay
    assert replay(CLIENT, endpoint_id, message_id=first) == 1
    assert replay(CLIENT, endpoint_id, from_ms=0, until_ms=world.clock[0]) == 1
    world.work()
    assert [one.headers["webhook-id"] for one in world.receiver.heard].count(first) == 3
    with pytest.raises(NotFound):
        replay(CLIENT, endpoint_id, message_id="msg_none")


def test_another_client_sees_and_moves_nothing(world: WebhookWorld) -> None:
    endpoint_id, _ = endpoint(world)
    endpoints = world.webhooks.endpoints
    for act in (endpoints.get, endpoints.rotate, endpoints.test, endpoints.remove):
        with pytest.raises(EndpointUnknown):
            act("cli_other", endpoint_id)
    assert endpoints.of_client("cli_other") == []
    message_id = world.emit()
    other = endpoints.add("cli_other", world.receiver.url).endpoint.endpoint_id
    with pytest.raises(NotFound):
        endpoints.replay("cli_other", other, message_id=message_id)


def test_a_removed_endpoint_gets_nothing_and_its_place_is_free(world: WebhookWorld) -> None:
    made = [endpoint(world)[0] for _ in range(MAX_ENDPOINTS)]
    with pytest.raises(TooManyEndpoints):
        endpoint(world)
    world.emit()
    for one in made:
        world.webhooks.endpoints.remove(CLIENT, one)
    assert world.work() == 0
    endpoint(world)


def test_old_messages_are_forgotten(world: WebhookWorld) -> None:
    endpoint_id, _ = endpoint(world)
    world.emit()
    world.work()
    world.clock[0] += 31 * 24 * HOUR_MS
    world.webhooks.deliverer.forget()
    assert world.log(endpoint_id) == []


def test_each_act_about_an_endpoint_has_its_leaf_and_none_names_its_url(
    world: WebhookWorld,
) -> None:
    endpoint_id, _ = endpoint(world)
    world.webhooks.endpoints.rotate(CLIENT, endpoint_id)
    world.webhooks.endpoints.change(CLIENT, endpoint_id, active=False)
    world.webhooks.endpoints.remove(CLIENT, endpoint_id)
    assert world.audit.head().size == 4


def test_a_public_key_is_written_as_the_standard_says(world: WebhookWorld) -> None:
    _, (public,) = endpoint(world)
    assert len(base64.b64decode(public.removeprefix("whpk_"))) == 32
    assert public_key_text(parse_public_key(public)) == public
    for wrong in ("", "whpk_", "whsk_AAAA", "whpk_!!", public[:-4]):
        with pytest.raises(InvalidInput):
            parse_public_key(wrong)
