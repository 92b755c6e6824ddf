"""A valid traceparent is read for every dialect and signal."""

from __future__ import annotations

import json

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.codec.encode import REMOTE, SAMPLED
from receiver.core.state.settings import BuilderSettings
from receiver.dialects.shared.traceparent import read
from receiver.events import EXACT, REPORTED, RemoteParentEvent
from receiver.pipeline.record_reader import RecordReader
from tests.support.factories import at, built, key_values, logs_request, metrics_request, relay_record, spans_request
from tests.support.otlp_requests import spans_in

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
GIVEN, NAMED = f"00-{TRACE}-{SPAN}-01", f"{TRACE}-{SPAN}"
OTHER = f"00-{TRACE}-{'1' * 16}-00"


def events_of(*requests):
    reading = RecordReader(frozenset())
    events = [event for request in requests for _, event in reading.read(request, 0).events]
    return [e for e in events if isinstance(e, RemoteParentEvent)]


def created(**attributes):
    return relay_record("session.created", 1, {"info": {"id": "ses_a"}}, session_id="ses_a", **attributes)


def test_a_valid_traceparent_is_read(subtests):
    for value in [
        GIVEN,
        f" {GIVEN} ",
        f"00-{TRACE}-{SPAN}-00",
        f"01-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-what-follows",
    ]:
        with subtests.test(value=value):
            assert read(value) == NAMED


def test_an_invalid_traceparent_is_ignored(subtests):
    for value in [
        None,
        7,
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"0g-{TRACE}-{SPAN}-01",
        GIVEN + "-" + "x" * 600,
    ]:
        with subtests.test(value=value):
            assert read(value) is None


class TestWhere:
    def test_traceparent_as_an_attribute_of_a_log_record(self):
        (only,) = events_of(logs_request(created(traceparent=GIVEN)))
        assert (only.session, only.time, only.rank, only.remote) == ("ses_a", at(1), EXACT, NAMED)

    def test_traceparent_as_a_field_of_the_body(self):
        body = {"info": {"id": "ses_a"}, "traceparent": GIVEN}
        (only,) = events_of(logs_request(relay_record("session.created", 1, body)))
        assert (only.rank, only.remote) == (EXACT, NAMED)

    def test_traceparent_in_a_body_of_json_text(self):
        data = {"sessionID": "ses_a", "skill": "notes", "duration_ms": 5, "traceparent": GIVEN}
        record = relay_record("", 1)
        record.body.CopyFrom(AnyValue(string_value=json.dumps({"type": "skill_invocation", "data": data})))
        (only,) = events_of(logs_request(record, scope="opencode"))
        assert (only.session, only.remote) == ("ses_a", NAMED)

    def test_traceparent_in_the_resource(self, subtests):
        for name in ["traceparent", "TRACEPARENT", "process.environment_variable.TRACEPARENT"]:
            with subtests.test(name=name):
                (only,) = events_of(logs_request(created(), resource={"service.name": "opencode", name: GIVEN}))
                assert (only.rank, only.remote) == (REPORTED, NAMED)

    def test_a_records_traceparent_wins_over_its_resources(self):
        (only,) = events_of(logs_request(created(traceparent=GIVEN), resource={"traceparent": OTHER}))
        assert only.remote == NAMED

    def test_traceparent_on_a_span(self):
        attributes = {"session.id": "ses_a", "ai.toolCall.id": "c1", "ai.toolCall.name": "read", "traceparent": GIVEN}
        span = Span(name="ai.toolCall", start_time_unix_nano=at(1), end_time_unix_nano=at(2))
        span.attributes.extend(key_values(attributes))
        (only,) = events_of(spans_request(span))
        assert (only.time, only.remote) == (at(1), NAMED)

    def test_traceparent_on_a_metric_point(self):
        metric = Metric(name="opencode.tool.executions")
        metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
        metric.sum.is_monotonic = True
        point = metric.sum.data_points.add(as_int=1, start_time_unix_nano=at(1), time_unix_nano=at(5))
        point.attributes.extend(key_values({"session.id": "ses_a", "tool.name": "read", "traceparent": GIVEN}))
        (only,) = events_of(metrics_request(metric))
        assert (only.time, only.remote) == (at(1), NAMED)

    def test_a_discarded_record_gives_no_remote_parent(self):
        assert events_of(logs_request(relay_record("session.idle", 1, {}, traceparent=GIVEN))) == []


def test_the_exported_parent_and_link_have_the_remote_flag():
    request = logs_request(created(traceparent=GIVEN))
    (below,) = _spans(built(request))
    assert (below.trace_id.hex(), below.parent_span_id.hex()) == (TRACE, SPAN)
    assert below.flags == SAMPLED | REMOTE
    (beside,) = _spans(built(request, settings=BuilderSettings(remote_parent="link")))
    assert (beside.flags, beside.parent_span_id) == (SAMPLED, b"")
    (link,) = beside.links
    assert (link.trace_id.hex(), link.span_id.hex(), link.flags) == (TRACE, SPAN, REMOTE)


def _spans(result):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    requests = (ExportTraceServiceRequest.FromString(one) for one in spans_in(result.requests()))
    return [s for r in requests for rs in r.resource_spans for ss in rs.scope_spans for s in ss.spans]
