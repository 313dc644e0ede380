"""What a node counts about itself: useful to operators, silent about people."""

import httpx
import pytest
from fastapi import FastAPI

from api.http.metrics import metrics_routes
from node.telemetry.measures import MOST_SERIES, OTHER, Measure, Measures
from node.telemetry.token import read_token
from node.telemetry.tracing import NoTracer, SpanTracer, make_tracer
from protocols.errors import HomeUnusable
from tests.api.test_scores import body_for
from tests.node.scoring_world import World
from tests.support import loops

TOKEN = b"0123456789abcdef"


@pytest.fixture(scope="module")
def scraped(world: World, url: str, token: str) -> tuple[str, dict[str, str]]:
    """Metrics after calls of every outcome, and what must not be in them."""
    sent = body_for(world)
    canaries = {"key": "canary-key-4711", "query": "canary-query", "path": "canary-path"}
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}) as client:
        made = client.post("/v1/scores", json=sent, headers={"Idempotency-Key": canaries["key"]})
        assert made.status_code == 201
        assert client.get(made.headers["location"]).status_code == 200
        assert client.post("/v1/scores", json=sent | {"subject": "sub_nobody"}).status_code == 404
        assert client.get(f"/{canaries['path']}?who={canaries['query']}").status_code == 404
        client.request("CANARYMETHOD", "/v1/scores")
        (known,) = [one for one in world.clients.every() if one.name == "platform"]
        secrets = canaries | sent | {"score": made.json()["score_id"], "client": known.client_id}
        secrets |= {"method": "CANARYMETHOD", "token": token, "name": "platform"}
        secrets.pop("purpose")
        return client.get("/metrics").text, secrets


def test_requests_scores_holders_commits_and_the_model_are_counted(scraped) -> None:
    text, _ = scraped
    for line in (
        'credence_http_requests_total{method="POST",route="/v1/scores",status="201"}',
        'credence_http_requests_total{method="GET",route="/v1/scores/{score_id}",status="200"}',
        'credence_http_requests_total{method="GET",route="-",status="404"}',
        'credence_http_request_seconds_bucket{le="0.001",route="/v1/scores"}',
        'credence_score_seconds_count{outcome="given"}',
        'credence_score_seconds_count{outcome="refused"}',
        "credence_score_group_calls_bucket",
        "credence_score_commit_seconds_count",
        'credence_holder_fetch_seconds_count{holder="payments",status="answered"}',
        'credence_model_info{role="active",version="test-1"} 1.0',
        'credence_log_standing{standing="witnessed"}',
        "credence_log_entries",
        'credence_score_queue{queue="group"} 0.0',
        "process_resident_memory_bytes",
    ):
        assert line in text, line


def test_nothing_a_caller_sends_and_no_id_is_a_label(scraped) -> None:
    text, secrets = scraped
    for name, secret in secrets.items():
        assert secret not in text, name


def test_a_measure_takes_a_bounded_number_of_series() -> None:
    measures = Measures()
    for number in range(MOST_SERIES + 50):
        measures.count(Measure.REQUESTS, "GET", f"/{number}", "200")
    series = measures.read(Measure.REQUESTS)
    assert len(series) == MOST_SERIES + 1
    assert series[OTHER, OTHER, OTHER].count == 50


async def status_of(token: bytes | None, host: str, headers: dict[str, str]) -> int:
    app = FastAPI()
    app.include_router(metrics_routes(Measures(), list, token))
    transport = httpx.ASGITransport(app, client=(host, 5000))
    async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
        return (await client.get("/metrics", headers=headers)).status_code


@pytest.mark.parametrize(
    ("token", "host", "headers", "status"),
    [
        (None, "127.0.0.1", {}, 200),
        (None, "::1", {}, 200),
        (None, "::ffff:127.0.0.1", {}, 200),
        (None, "192.0.2.7", {}, 404),
        (None, "not-an-address", {}, 404),
        (None, "127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 404),
        (None, "127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 404),
        (TOKEN, "192.0.2.7", {"Authorization": f"Bearer {TOKEN.decode()}"}, 200),
        (TOKEN, "192.0.2.7", {"Authorization": "Bearer 0123456789abcdeg"}, 404),
        (TOKEN, "127.0.0.1", {}, 404),
    ],
)
def test_metrics_are_read_from_this_machine_or_with_the_token(token, host, headers, status) -> None:
    assert loops.run(status_of(token, host, headers)) == status


def test_a_token_that_is_short_or_missing_is_an_error_at_the_start(tmp_path) -> None:
    assert read_token(tmp_path, "") is None
    (tmp_path / "token").write_bytes(TOKEN + b"\n")
    assert read_token(tmp_path, "token") == TOKEN
    (tmp_path / "token").write_bytes(b"short")
    for file in ("token", "elsewhere"):
        with pytest.raises(HomeUnusable):
            read_token(tmp_path, file)


def test_without_a_collector_there_is_no_tracing() -> None:
    assert isinstance(make_tracer(None, "bank-a"), NoTracer)


def test_a_span_says_what_the_table_allows_and_nothing_of_what_was_raised() -> None:
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    exporter = memory.InMemorySpanExporter()
    tracer = SpanTracer(SimpleSpanProcessor(exporter), "bank-a")
    with tracer.span("score.group") as note:
        note("credence.calls", 3)
        with pytest.raises(ValueError, match="may not say"):
            note("subject", "sub_canary")
    with pytest.raises(RuntimeError), tracer.span("http.request"):
        raise RuntimeError("sub_canary")
    group, failed = exporter.get_finished_spans()
    assert dict(group.attributes) == {"credence.calls": 3}
    assert "canary" not in failed.to_json() + group.to_json()
    tracer.close()
