"""Decodes request bytes to records with the trimmed schema of proto/receiver/codec/wire.proto.

Attributes are decoded when a dialect reads them. Spans that pass through stay bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from receiver.codec import wire_pb2 as wire
from receiver.codec.values import LazyMap, plain
from receiver.model import LogRecord, MetricPoint, Resource, Scope, SpanEvent, SpanRecord

_POINTS: dict[str, Literal["sum", "gauge", "histogram"]] = {"sum": "sum", "gauge": "gauge", "histogram": "histogram"}

NO_RECORDED_VALUE = 1  # DataPointFlags, metrics.proto
MAX_CACHED_BYTES = 16_384  # of a resource or scope; usual ones have some hundred. It bounds the caches' memory


def _resource(raw: bytes) -> Resource:
    return _cached_resource(raw) if len(raw) <= MAX_CACHED_BYTES else _read_resource(raw)


def _read_resource(raw: bytes) -> Resource:
    return Resource(LazyMap(wire.Resource.FromString(raw).attributes), raw)


def _scope(raw: bytes) -> Scope:
    return _cached_scope(raw) if len(raw) <= MAX_CACHED_BYTES else _read_scope(raw)


def _read_scope(raw: bytes) -> Scope:
    scope = wire.Scope.FromString(raw)
    return Scope(scope.name, scope.version)


_cached_resource, _cached_scope = lru_cache(1024)(_read_resource), lru_cache(1024)(_read_scope)


def log_records(body: bytes) -> Iterator[LogRecord]:
    """The records of a serialized ExportLogsServiceRequest."""
    for resource_logs in wire.Logs.FromString(body).resource_logs:
        resource = _resource(resource_logs.resource)
        for scope_logs in resource_logs.scope_logs:
            scope = _scope(scope_logs.scope)
            for record in scope_logs.log_records:
                yield LogRecord(
                    resource,
                    scope,
                    record.time_unix_nano,
                    record.observed_time_unix_nano,
                    record.event_name,
                    LazyMap(record.attributes),
                    plain(record.body),
                    record.trace_id,
                    record.span_id,
                )


def metric_points(body: bytes) -> Iterator[MetricPoint]:
    """The data points of a serialized ExportMetricsServiceRequest.

    The points of exponential histograms and summaries are not decoded: an empty point of kind `other` represents the
    metric.
    """
    for resource_metrics in wire.Metrics.FromString(body).resource_metrics:
        resource = _resource(resource_metrics.resource)
        for scope_metrics in resource_metrics.scope_metrics:
            scope = _scope(scope_metrics.scope)
            for metric in scope_metrics.metrics:
                yield from _points(resource, scope, metric)


def _points(resource: Resource, scope: Scope, metric: wire.Metric) -> Iterator[MetricPoint]:
    kind = _POINTS.get(metric.WhichOneof("data") or "")
    if kind is None:
        yield MetricPoint(resource, scope, metric.name, metric.unit, "other", 0, False, {}, 0, 0)
        return
    if kind == "histogram":
        for bucket in metric.histogram.data_points:
            yield MetricPoint(
                resource,
                scope,
                metric.name,
                metric.unit,
                kind,
                metric.histogram.aggregation_temporality,
                True,
                LazyMap(bucket.attributes),
                bucket.start_time_unix_nano,
                bucket.time_unix_nano,
                count=bucket.count,
                sum=bucket.sum if bucket.HasField("sum") else None,
                min=bucket.min if bucket.HasField("min") else None,
                max=bucket.max if bucket.HasField("max") else None,
                bucketed=sum(bucket.bucket_counts) if bucket.bucket_counts else None,
                recorded=not bucket.flags & NO_RECORDED_VALUE,
            )
        return
    data = metric.sum if kind == "sum" else metric.gauge
    for point in data.data_points:
        which = point.WhichOneof("value")
        yield MetricPoint(
            resource,
            scope,
            metric.name,
            metric.unit,
            kind,
            data.aggregation_temporality,
            data.is_monotonic,
            LazyMap(point.attributes),
            point.start_time_unix_nano,
            point.time_unix_nano,
            value=None if which is None else point.as_double if which == "as_double" else point.as_int,
            recorded=not point.flags & NO_RECORDED_VALUE,
        )


class Envelope(NamedTuple):
    """The resource and scope of a span, as bytes, to pass it through unchanged."""

    resource: bytes
    resource_schema_url: str
    scope: bytes
    scope_schema_url: str


def span_records(body: bytes) -> Iterator[tuple[SpanRecord, Envelope]]:
    """The spans of a serialized ExportTraceServiceRequest, each with its envelope."""
    for resource_spans in wire.Traces.FromString(body).resource_spans:
        resource = _resource(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            scope = _scope(scope_spans.scope)
            envelope = Envelope(
                resource_spans.resource, resource_spans.schema_url, scope_spans.scope, scope_spans.schema_url
            )
            for raw in scope_spans.spans:
                yield _span(resource, scope, raw), envelope


def _span(resource: Resource, scope: Scope, raw: bytes) -> SpanRecord:
    span = wire.Span.FromString(raw)
    return SpanRecord(
        resource,
        scope,
        span.trace_id,
        span.span_id,
        span.parent_span_id,
        span.name,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        LazyMap(span.attributes),
        span.status.code,
        span.status.message,
        [SpanEvent(e.name, e.time_unix_nano, LazyMap(e.attributes)) for e in span.events],
        raw,
    )
