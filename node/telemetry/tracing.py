"""Traces of a running node, for an OpenTelemetry collector where one is configured.

Without one nothing is imported and a span costs a call. A span says what kind of work was done and
how long it took: a route's template, a status, a member of the network, a number of calls. What a
span may say is a table; a path, a reference, a client or a consent is not in it.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Final, Protocol

from protocols.errors import CredenceError

TIMEOUT_S: Final = 3.0
ATTRIBUTES: Final = frozenset(
    {
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "credence.calls",
        "credence.holder",
        "credence.status",
    }
)

Note = Callable[[str, str | int], None]
"""Says something about a span that is open; raises `ValueError` for what may not be said."""


class TelemetryMissing(CredenceError):
    """Traces are configured, but the packages that send them are not installed."""

    code = "telemetry_missing"
    category = "invalid"
    next_step = "Install `credence[telemetry]`, or take `otlp_endpoint` out of the settings."


class Tracer(Protocol):
    """Makes spans."""

    def span(self, name: str) -> AbstractContextManager[Note]:
        """Work that begins now and ends with the block; what it raises marks it as failed."""
        ...

    def close(self) -> None:
        """Send what is still here."""
        ...


class NoTracer:
    """Nobody looks."""

    def span(self, name: str) -> AbstractContextManager[Note]:  # noqa: ARG002 - as `Tracer`
        """Nothing."""
        return _NOTHING

    def close(self) -> None:
        """Nothing."""


def make_tracer(endpoint: str | None, service: str, timeout_s: float = TIMEOUT_S) -> Tracer:
    """The tracer of a process.

    Args:
        endpoint: base address of an OTLP collector over HTTP; None: there is none.
        service: name of this process in the traces, a member id.
        timeout_s: how long spans are tried to be sent, all attempts together; then they are lost.
            A process that ends waits no longer for a collector that is not there.

    Raises:
        TelemetryMissing: the extra `telemetry` is not installed.
    """
    if endpoint is None:
        return NoTracer()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TelemetryMissing("the packages that send traces are not installed") from error
    address = f"{endpoint.rstrip('/')}/v1/traces"
    exporter = OTLPSpanExporter(endpoint=address, timeout=timeout_s)
    return SpanTracer(BatchSpanProcessor(exporter), service)


class SpanTracer:
    """Hands spans to a processor of the OpenTelemetry SDK."""

    def __init__(self, processor: Any, service: str) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        # Only this: what the SDK would find out by itself about machine and process stays here.
        resource = Resource({"service.name": "credence-node", "service.instance.id": service})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("credence")

    @contextmanager
    def span(self, name: str) -> Iterator[Note]:
        """See `Tracer`."""
        # No exception is recorded: its text may quote what nobody outside may read.
        with self._tracer.start_as_current_span(
            name, record_exception=False, set_status_on_exception=False
        ) as span:

            def note(key: str, value: str | int) -> None:
                if key not in ATTRIBUTES:
                    raise ValueError(f"a span may not say {key}")
                span.set_attribute(key, value)

            yield note

    def close(self) -> None:
        """See `Tracer`."""
        self._provider.shutdown()


def _say_nothing(key: str, value: str | int) -> None:
    """For `NoTracer`."""


_NOTHING: Final = nullcontext(_say_nothing)
