"""`/metrics` for Prometheus: counts of the process, nothing about people.

Who may read, numbered:

1. Where a token is set (`metrics_token_file`), whoever sends it as a bearer token.
2. Otherwise who calls from this machine itself. What a reverse proxy forwards comes from there too,
   from anybody: a request that says it was forwarded is refused.

Who may not is told that there is nothing here.
"""

import hmac
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from node.telemetry.gauges import Gauge
from node.telemetry.measures import Measure, Measures

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.registry import CollectorRegistry

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def metrics_routes(
    measures: Measures, gauges: Callable[[], Iterable[Gauge]], token: bytes | None
) -> APIRouter:
    """`/metrics`.

    Args:
        measures: what the process counts.
        gauges: looks at what only stands somewhere.
        token: who sends it may read; None: who calls from this machine.
    """
    router = APIRouter(include_in_schema=False)
    held: list[CollectorRegistry] = []

    @router.get("/metrics")
    def metrics(request: Request) -> Response:
        """Everything, in Prometheus' text format."""
        if not _may_read(request, token):
            raise HTTPException(404)
        # Loaded by the first who asks: a process that nobody scrapes does without.
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        if not held:
            held.append(_registry(measures, gauges))
        return Response(generate_latest(held[0]), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


def _may_read(request: Request, token: bytes | None) -> bool:
    if token is not None:  # 1
        sent = request.headers.get("authorization", "").encode()
        return hmac.compare_digest(sent, b"Bearer " + token)
    if any(name in request.headers for name in _FORWARDED):  # 2
        return False
    return request.client is not None and _is_loopback(request.client.host)


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _registry(measures: Measures, gauges: Callable[[], Iterable[Gauge]]) -> "CollectorRegistry":
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.registry import Collector

    class Counted(Collector):
        def collect(self) -> "Iterator[Metric]":
            for measure in Measure:
                yield _family(measures, measure)
            yield from _gauges(gauges())

    registry = CollectorRegistry()
    registry.register(Counted())
    ProcessCollector(registry=registry)
    return registry


def _family(measures: Measures, measure: Measure) -> "Metric":
    from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

    told = measure.value
    if not told.bounds:
        counter = CounterMetricFamily(told.name, told.help, labels=told.labels)
        for labels, series in measures.read(measure).items():
            counter.add_metric(labels, series.count)
        return counter
    histogram = HistogramMetricFamily(told.name, told.help, labels=told.labels)
    ends = [*map(str, told.bounds), "+Inf"]
    for labels, series in measures.read(measure).items():
        upto, buckets = 0, []
        for end, number in zip(ends, series.buckets, strict=True):
            upto += number
            buckets.append((end, float(upto)))
        histogram.add_metric(labels, buckets, series.total)
    return histogram


def _gauges(found: Iterable[Gauge]) -> "Iterator[Metric]":
    from prometheus_client.core import GaugeMetricFamily

    families: dict[str, GaugeMetricFamily] = {}
    for one in found:
        family = families.get(one.name)
        if family is None:
            names = tuple(one.labels)
            family = families[one.name] = GaugeMetricFamily(one.name, one.help, labels=names)
        family.add_metric(tuple(one.labels.values()), one.value)
    yield from families.values()
