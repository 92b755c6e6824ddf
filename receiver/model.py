"""OTLP's records as frozen classes: those that the codec decodes, and the spans that the core builds.

Nothing here depends on protobuf or on an agent. Times are nanoseconds since the Unix epoch, 0 where none was sent.
Attributes are read-only mappings that may decode a value on access.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Signal: TypeAlias = Literal["logs", "metrics", "traces"]
SIGNALS: tuple[Signal, ...] = ("logs", "metrics", "traces")

Value: TypeAlias = "str | bool | int | float | bytes | Sequence[Value] | Mapping[str, Value] | None"
Attributes: TypeAlias = Mapping[str, Value]

# OTLP enumerations (opentelemetry/proto/trace/v1/trace.proto, metrics.proto)
KIND_INTERNAL, KIND_SERVER, KIND_CLIENT = 1, 2, 3
STATUS_UNSET, STATUS_OK, STATUS_ERROR = 0, 1, 2
TEMPORALITY_DELTA, TEMPORALITY_CUMULATIVE = 1, 2


@dataclass(frozen=True, slots=True)
class Request:
    """One received Export request: `body` is the serialized protobuf message, `items` the number of its records."""

    signal: Signal
    body: bytes
    items: int


@dataclass(frozen=True, slots=True)
class Resource:
    """The producer of a record. `raw` is the serialized Resource message, which the spans built from it get."""

    attributes: Attributes
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Scope:
    """The instrumentation scope of a record."""

    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log record."""

    resource: Resource
    scope: Scope
    time: int
    observed: int
    event_name: str
    attributes: Attributes
    body: Value
    trace_id: bytes = b""
    span_id: bytes = b""


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One data point of a sum, gauge or histogram.

    `value` is a sum's or gauge's number. `count`, `sum`, `min` and `max` are a histogram's, `bucketed` is the sum of
    its bucket counts; None where not sent. `recorded` is False if the flag NO_RECORDED_VALUE is set.
    """

    resource: Resource
    scope: Scope
    name: str
    unit: str
    kind: Literal["sum", "gauge", "histogram", "other"]
    temporality: int
    monotonic: bool
    attributes: Attributes
    start: int
    time: int
    value: float | int | None = None
    count: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bucketed: int | None = None
    recorded: bool = True


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """An event of a span."""

    name: str
    time: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A received span. `raw` is the serialized Span message, to pass it through unchanged."""

    resource: Resource
    scope: Scope
    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    start: int
    end: int
    attributes: Attributes
    status_code: int
    status_message: str
    events: Sequence[SpanEvent]
    raw: bytes = b""


AttributeValue: TypeAlias = str | bool | int | float | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """A link to another span; `remote`: of another program."""

    trace_id: bytes
    span_id: bytes
    attributes: tuple[tuple[str, AttributeValue], ...] = ()
    remote: bool = False


@dataclass(frozen=True, slots=True)
class BuiltEvent:
    """An event of a built span."""

    name: str
    time: int
    attributes: tuple[tuple[str, AttributeValue], ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A span that the core built.

    `resource` is the producer's serialized Resource message; `remote_parent`: the parent span is another program's.
    """

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    kind: int
    start: int
    end: int
    attributes: tuple[tuple[str, AttributeValue], ...]
    status_code: int = STATUS_UNSET
    status_message: str = ""
    events: tuple[BuiltEvent, ...] = ()
    links: tuple[Link, ...] = ()
    dropped_attributes_count: int = 0
    dropped_events_count: int = 0
    resource: bytes = field(default=b"", repr=False)
    remote_parent: bool = False
