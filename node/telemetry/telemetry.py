"""What counts and traces in one process, handed to the parts that are watched."""

from dataclasses import dataclass, field

from node.telemetry.measures import Measures
from node.telemetry.tracing import NoTracer, Tracer


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Counters and spans.

    Attributes:
        measures: what is counted.
        tracer: where spans go.
    """

    measures: Measures = field(default_factory=Measures)
    tracer: Tracer = field(default_factory=NoTracer)
