"""OTLP's nouns, frozen: what a codec reads for the dialects, and what the core gives back to be written.

No protobuf here and no OpenCode here. Times are nanoseconds since the Unix epoch, 0 where none was sent.
Attributes are read-only mappings that may decode a value only when it is asked for.
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
    """One Export request as it came: `body` is the serialized protobuf message, `items` the records it holds."""

    signal: Signal
    body: bytes
    items: int


@dataclass(frozen=True, slots=True)
class Resource:
    """Who sent a record. `raw` is the serialized Resource message, kept for the spans built from its records."""

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

    `value` is a sum's or gauge's number. `count`, `sum`, `min` and `max` are a histogram's, `bucketed` what its buckets
    add up to; `None` where not sent. `recorded` is False where the producer says that it has no value to report.
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
    """A named, timed remark on a span."""

    name: str
    time: int
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class SpanRecord:
    """A span that a client sent. `raw` is the serialized Span message, for handing it on untouched."""

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
    """From a span to another; `remote` says that this is another program's."""

    trace_id: bytes
    span_id: bytes
    attributes: tuple[tuple[str, AttributeValue], ...] = ()
    remote: bool = False


@dataclass(frozen=True, slots=True)
class BuiltEvent:
    """A span event to be written."""

    name: str
    time: int
    attributes: tuple[tuple[str, AttributeValue], ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """A span that the core built, ready to be written. `resource` is the producer's serialized Resource message;
    `remote_parent` says that the span above is another program's."""

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
