"""Validates a received request with the complete OTLP schema: parses it, counts its records, removes unusable spans.

A pure function over bytes. Building decodes with a trimmed schema that skips most fields, so every stored request must
have been parsed once with the complete one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.codec.export_service import EXPORT_SERVICES
from receiver.errors import MalformedError
from receiver.model import Request, Signal

_NO_TRACE, _NO_SPAN = bytes(16), bytes(8)


@dataclass(frozen=True, slots=True)
class Validated:
    """A valid request. `rejected` of its records were removed, for the reason in `message`."""

    request: Request
    rejected: int = 0
    message: str = ""


def validate(signal: Signal, body: bytes) -> Validated:
    """Parse `body`, a serialized Export request of `signal`, and count its records.

    Spans with invalid ids are removed, since a backend refuses a whole request for one of them. Otherwise the result
    has the same `body` object.

    Raises MalformedError when it is not such a message.
    """
    try:
        message = EXPORT_SERVICES[signal].request.FromString(body)
    except DecodeError:
        size = len(body)
        raise MalformedError(f"the body ({size} bytes) is not a protobuf Export request for {signal}") from None
    if signal == "logs":
        return Validated(Request(signal, body, _count_logs(cast(ExportLogsServiceRequest, message))))
    if signal == "metrics":
        return Validated(Request(signal, body, _count_points(cast(ExportMetricsServiceRequest, message))))
    return _validate_traces(cast(ExportTraceServiceRequest, message), body)


def _count_logs(message: ExportLogsServiceRequest) -> int:
    return sum(len(scope.log_records) for resource in message.resource_logs for scope in resource.scope_logs)


def _count_points(message: ExportMetricsServiceRequest) -> int:
    return sum(
        _points(metric)
        for resource in message.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )


def _points(metric: Metric) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def _validate_traces(message: ExportTraceServiceRequest, body: bytes) -> Validated:
    scopes = [scope for resource in message.resource_spans for scope in resource.scope_spans]
    total = sum(len(scope.spans) for scope in scopes)
    kept = [[span for span in scope.spans if _exportable(span)] for scope in scopes]
    rejected = total - sum(map(len, kept))
    if not rejected:
        return Validated(Request("traces", body, total))
    for scope, spans in zip(scopes, kept, strict=True):
        if len(spans) < len(scope.spans):
            copies = [Span.FromString(span.SerializeToString()) for span in spans]
            del scope.spans[:]
            scope.spans.extend(copies)
    reason = f"{rejected} of {total} spans refused: a trace id is 16 bytes, a span id 8, and neither is all zero"
    return Validated(Request("traces", message.SerializeToString(), total - rejected), rejected, reason)


def _exportable(span: Span) -> bool:
    """Whether backends accept the span: its ids, its parent's and its links' have valid sizes."""
    trace_id, span_id = span.trace_id, span.span_id
    if len(trace_id) != 16 or len(span_id) != 8 or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return False
    if len(span.parent_span_id) not in (0, 8):
        return False
    return all(len(link.trace_id) in (0, 16) and len(link.span_id) in (0, 8) for link in span.links)
