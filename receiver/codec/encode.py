"""Encodes spans to request bytes, with one ResourceSpans for each resource.

The bytes of several requests may be concatenated: an OTLP request is a repeated field, so the result is a request too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as WireSpan

from receiver import __version__
from receiver.codec import wire_pb2 as wire
from receiver.codec.decode import Envelope
from receiver.model import AttributeValue, Span
from receiver.semconv import SCHEMA_URL, SCOPE_NAME

SAMPLED = 0x01  # the W3C trace flag of every built span
REMOTE = 0x300  # SpanFlags of trace.proto: CONTEXT_HAS_IS_REMOTE and CONTEXT_IS_REMOTE


def spans_request(spans: Iterable[Span]) -> bytes:
    """A serialized ExportTraceServiceRequest of built spans, grouped by resource, otherwise in the given order."""
    request = ExportTraceServiceRequest()
    scopes: dict[bytes, ScopeSpans] = {}
    for span in spans:
        scope = scopes.get(span.resource)
        if scope is None:
            resource_spans = request.resource_spans.add()
            resource_spans.resource.MergeFromString(span.resource)
            scope = scopes[span.resource] = resource_spans.scope_spans.add(schema_url=SCHEMA_URL)
            scope.scope.name = SCOPE_NAME
            scope.scope.version = __version__
        _write(scope.spans.add(), span)
    return request.SerializeToString()


def _write(out: WireSpan, span: Span) -> None:
    out.trace_id = span.trace_id
    out.span_id = span.span_id
    if span.parent_span_id:
        out.parent_span_id = span.parent_span_id
    out.flags = SAMPLED | REMOTE if span.remote_parent else SAMPLED
    out.name = span.name
    out.kind = span.kind  # type: ignore[assignment]
    out.start_time_unix_nano = span.start
    out.end_time_unix_nano = span.end
    _write_attributes(out.attributes, span.attributes)
    out.dropped_attributes_count = span.dropped_attributes_count
    out.dropped_events_count = span.dropped_events_count
    if span.status_code:
        out.status.code = span.status_code  # type: ignore[assignment]
        out.status.message = span.status_message
    for event in span.events:
        written = out.events.add(name=event.name, time_unix_nano=event.time)
        _write_attributes(written.attributes, event.attributes)
    for link in span.links:
        to = out.links.add(trace_id=link.trace_id, span_id=link.span_id, flags=REMOTE if link.remote else 0)
        _write_attributes(to.attributes, link.attributes)


def _write_attributes(out: object, attributes: Sequence[tuple[str, AttributeValue]]) -> None:
    for key, value in attributes:
        pair: KeyValue = out.add(key=key)  # type: ignore[attr-defined]
        if isinstance(value, str):
            pair.value.string_value = value
        elif isinstance(value, bool):
            pair.value.bool_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        elif isinstance(value, float):
            pair.value.double_value = value
        else:
            for one in value:
                pair.value.array_value.values.add(string_value=one)


def pass_through(spans: Iterable[tuple[Envelope, bytes]]) -> bytes:
    """A serialized ExportTraceServiceRequest of serialized spans that pass through unchanged."""
    request = wire.Traces()
    resources: dict[tuple[bytes, str], wire.ResourceSpans] = {}
    scopes: dict[Envelope, wire.ScopeSpans] = {}
    for envelope, span in spans:
        scope_spans = scopes.get(envelope)
        if scope_spans is None:
            key = (envelope.resource, envelope.resource_schema_url)
            resource_spans = resources.get(key)
            if resource_spans is None:
                resource_spans = resources[key] = request.resource_spans.add(resource=key[0], schema_url=key[1])
            scope_spans = resource_spans.scope_spans.add(scope=envelope.scope, schema_url=envelope.scope_schema_url)
            scopes[envelope] = scope_spans
        scope_spans.spans.append(span)
    return request.SerializeToString()
