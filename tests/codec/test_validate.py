"""Validation of received requests."""

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.codec.validate import validate
from receiver.errors import MalformedError
from receiver.model import SIGNALS

TRACE, SPAN = b"t" * 16, b"s" * 8


def traces(*scopes):
    request = ExportTraceServiceRequest()
    for spans in scopes:
        request.resource_spans.add().scope_spans.add().spans.extend(spans)
    return request.SerializeToString()


def names(body):
    request = ExportTraceServiceRequest.FromString(body)
    scopes = [scope for resource in request.resource_spans for scope in resource.scope_spans]
    return [[span.name for span in scope.spans] for scope in scopes]


def test_log_records_are_counted_over_all_scopes_and_the_body_is_kept_as_it_is():
    request = ExportLogsServiceRequest()
    for _ in range(2):
        scope = request.resource_logs.add().scope_logs.add()
        for _ in range(3):
            scope.log_records.add()
    body = request.SerializeToString()
    validated = validate("logs", body)
    assert validated.request.items == 6
    assert validated.request.body is body
    assert (validated.rejected, validated.message) == (0, "")


def test_data_points_of_every_metric_kind_are_counted():
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for points, kind in enumerate(("gauge", "sum", "histogram", "exponential_histogram", "summary"), 1):
        data = getattr(scope.metrics.add(name=kind), kind)
        for _ in range(points):
            data.data_points.add()
    scope.metrics.add(name="without data")
    assert validate("metrics", request.SerializeToString()).request.items == 1 + 2 + 3 + 4 + 5


def test_an_empty_body_is_an_empty_request(subtests):
    for signal in SIGNALS:
        with subtests.test(signal=signal):
            assert validate(signal, b"").request.items == 0


def test_a_body_that_is_not_protobuf_is_malformed_and_names_the_signal(subtests):
    for signal in SIGNALS:
        for body in [b"hello", b"\x0a\xff", b"\x00", b"{}" * 9, bytes(range(256))]:
            refused = pytest.raises(MalformedError, match=f"not a protobuf Export request for {signal}")
            with subtests.test(signal=signal, body=body), refused:
                validate(signal, body)


def test_spans_with_valid_ids_are_unchanged():
    span = Span(name="a", trace_id=TRACE, span_id=SPAN, parent_span_id=SPAN)
    span.links.add(trace_id=TRACE, span_id=SPAN)
    span.links.add()
    body = traces([span, Span(name="b", trace_id=TRACE, span_id=SPAN)])
    validated = validate("traces", body)
    assert validated.request.body is body
    assert (validated.request.items, validated.rejected) == (2, 0)


def test_spans_with_invalid_ids_are_removed_and_the_others_stay(subtests):
    for bad in [
        {"trace_id": b"", "span_id": SPAN},
        {"trace_id": TRACE + b"x", "span_id": SPAN},
        {"trace_id": bytes(16), "span_id": SPAN},
        {"trace_id": TRACE, "span_id": b""},
        {"trace_id": TRACE, "span_id": bytes(8)},
        {"trace_id": TRACE, "span_id": SPAN, "parent_span_id": b"abc"},
        {"trace_id": TRACE, "span_id": SPAN, "links": [Span.Link(trace_id=b"abc", span_id=SPAN)]},
    ]:
        with subtests.test(bad=bad):
            good = [Span(name=name, trace_id=TRACE, span_id=SPAN, start_time_unix_nano=7) for name in "abc"]
            body = traces([good[0], Span(name="bad", **bad), good[1]], [good[2]])
            validated = validate("traces", body)
            assert (validated.request.items, validated.rejected) == (3, 1)
            assert validated.message.startswith("1 of 4 spans refused")
            assert names(validated.request.body) == [["a", "b"], ["c"]]
            assert validate("traces", validated.request.body).rejected == 0


def test_a_request_of_invalid_spans_only_becomes_empty():
    validated = validate("traces", traces([Span(name="bad")]))
    assert (validated.request.items, validated.rejected) == (0, 1)
