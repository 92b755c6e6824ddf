"""OTLP/JSON: where it differs from protobuf's own JSON mapping, and what must not crash."""

import json

import pytest
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from receiver.codec.export_service import export_response
from receiver.codec.otlp_json import from_protobuf, response_json, to_protobuf
from receiver.codec.validate import validate
from receiver.errors import MalformedError, TooLargeError

TRACE_HEX, SPAN_HEX = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"
TRACE, SPAN = bytes.fromhex(TRACE_HEX), bytes.fromhex(SPAN_HEX)


def logs_of(*records):
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}).encode()


def spans_of(*spans):
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}).encode()


def metric_of(**data):
    metric = {"name": "m", **data}
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()


def log(body):
    request = ExportLogsServiceRequest.FromString(to_protobuf("logs", body))
    return request.resource_logs[0].scope_logs[0].log_records[0]


def span(body):
    request = ExportTraceServiceRequest.FromString(to_protobuf("traces", body))
    return request.resource_spans[0].scope_spans[0].spans[0]


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_ids_are_hex_in_either_case_on_spans_and_links(case):
    ids = {"traceId": case(TRACE_HEX), "spanId": case(SPAN_HEX)}
    read = span(spans_of({**ids, "parentSpanId": case(SPAN_HEX), "links": [ids, ids]}))
    assert (read.trace_id, read.span_id, read.parent_span_id) == (TRACE, SPAN, SPAN)
    assert [(link.trace_id, link.span_id) for link in read.links] == [(TRACE, SPAN)] * 2


def test_ids_are_hex_on_log_records():
    read = log(logs_of({"traceId": TRACE_HEX, "spanId": SPAN_HEX}))
    assert (read.trace_id, read.span_id) == (TRACE, SPAN)


@pytest.mark.parametrize("kind", ["gauge", "sum", "histogram", "exponentialHistogram"])
def test_ids_are_hex_on_the_exemplars_of_every_metric_kind(kind):
    point = {"exemplars": [{"traceId": TRACE_HEX, "spanId": SPAN_HEX}]}
    body = to_protobuf("metrics", metric_of(**{kind: {"dataPoints": [point]}}))
    metric = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics[0]
    exemplar = getattr(metric, metric.WhichOneof("data")).data_points[0].exemplars[0]
    assert (exemplar.trace_id, exemplar.span_id) == (TRACE, SPAN)


def test_ids_under_the_names_of_the_proto_file_are_not_taken_for_base64():
    body = {"resource_spans": [{"scope_spans": [{"spans": [{"trace_id": TRACE_HEX, "span_id": SPAN_HEX}]}]}]}
    read = span(json.dumps(body).encode())
    assert (read.trace_id, read.span_id) == (TRACE, SPAN)


def test_an_id_that_is_not_hex_is_refused_by_its_name(subtests):
    for value in ["xyz", "abc", 7, ["00"], "5b 8e", "é"]:
        for field in ["traceId", "spanId", "parentSpanId"]:
            refused = pytest.raises(MalformedError, match=f"{field} is not a string of hex digits")
            with subtests.test(value=value, field=field), refused:
                to_protobuf("traces", spans_of({field: value}))


# What a Collector 0.155.0 does with each of them too: 400, "expect { or , or } or n".
BARE = ["text", "", "stringValue", ["stringValue"], [], 5, True]
RECORD = "resourceLogs.scopeLogs.logRecords"


def test_what_is_to_be_an_object_and_is_not_is_refused_by_its_name(subtests):
    for value in BARE:
        for record, field in [
            (lambda value: {"body": value}, "body"),
            (lambda value: {"body": {"kvlistValue": value}}, "body.kvlistValue"),
            (lambda value: {"body": {"array_value": {"values": [{}, value]}}}, "body.arrayValue.values"),
            (lambda value: {"attributes": [{"key": "a", "value": value}]}, "attributes.value"),
            (lambda value: {"attributes": [value]}, "attributes"),
        ]:
            with subtests.test(value=value, record=record, field=field):
                with pytest.raises(MalformedError) as refused:
                    to_protobuf("logs", logs_of(record(value)))
                assert str(refused.value) == f"{RECORD}.{field} is not a JSON object, which it must be"


def test_so_is_what_stands_for_a_resource_in_either_spelling(subtests):
    for value in BARE:
        with subtests.test(value=value):
            for key, signal in (
                ("resourceSpans", "traces"),
                ("resource_spans", "traces"),
                ("resourceMetrics", "metrics"),
            ):
                for body in ({key: [{"resource": value}]}, {key: [value]}):
                    with pytest.raises(MalformedError, match="is not a JSON object"):
                        to_protobuf(signal, json.dumps(body).encode())


def test_an_object_or_null_is_taken_where_an_object_is_to_be_and_an_unknown_field_holds_anything():
    assert not log(logs_of({"body": None, "future": "text", "futures": [["x"]]})).HasField("body")
    assert log(logs_of({"body": {"future": "text"}})).HasField("body")
    assert log(logs_of({"body": {"stringValue": "text"}})).body.string_value == "text"


def test_an_attribute_or_unknown_field_that_is_called_like_an_id_is_left_alone():
    attribute = {"key": "traceId", "value": {"stringValue": "not hex"}}
    read = log(logs_of({"attributes": [attribute], "unknown": {"traceId": "not hex"}}))
    assert read.attributes[0].value.string_value == "not hex"


@pytest.mark.parametrize("value", ["1790000000000000000", 1790000000000000000, 1.79e18, "1.79e18"])
def test_64_bit_integers_come_as_strings_or_numbers(value):
    assert log(logs_of({"timeUnixNano": value})).time_unix_nano == 1790000000000000000


def test_enums_are_integers_even_unknown_ones():
    assert span(spans_of({"kind": 3, "status": {"code": 2}})).kind == 3
    assert log(logs_of({"severityNumber": 99})).severity_number == 99


def test_null_is_an_unset_field():
    read = log(logs_of({"traceId": None, "body": None, "attributes": None, "timeUnixNano": None}))
    assert read.ByteSize() == 0
    assert log(logs_of({"body": {"stringValue": None}})).body.WhichOneof("value") is None


def test_unknown_fields_are_ignored_at_every_level():
    assert log(logs_of({"brandNew": {"a": [1]}, "eventName": "x"})).event_name == "x"


def test_half_a_surrogate_pair_costs_one_character_and_not_the_request():
    # JavaScript's slice() cuts an emoji in two, and JSON.stringify writes the half as an escape.
    body = logs_of({"body": {"stringValue": "?"}}).replace(b"?", rb"a\ud83d \\ud83d \ud83d\ude00")
    assert log(body).body.string_value == "a\ufffd \\ud83d \U0001f600"


def test_what_is_not_an_export_request_is_malformed_in_one_line(subtests):
    for body in [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"resourceLogs": 3}',
        b'{"resourceLogs": [3]}',
        b'{"resourceLogs": [null]}',
        b'{"resourceLogs": {"scopeLogs": 1}}',
        logs_of({"timeUnixNano": "soon"}),
        logs_of({"timeUnixNano": -1}),
        logs_of({"timeUnixNano": 1.5}),
        logs_of({"body": {"intValue": 10**30}}),
        logs_of({"body": {"stringValue": 1}}),
        logs_of({"body": {"stringValue": "a", "intValue": 1}}),
        logs_of({"attributes": "no"}),
        logs_of({"timeUnixNano": 0}).replace(b": 0", b": 1e400"),
        b'{"resourceLogs":' + b"[" * 200_000,
        b'{"x":' * 200_000,
        b'{"x":' * 200_000 + b"1" + b"}" * 200_000,  # 3.13 reads some thousand levels, 3.14 some ten thousand
    ]:
        with subtests.test(body=body):
            with pytest.raises(MalformedError) as refused:
                to_protobuf("logs", body)
            assert "\n" not in str(refused.value)
            assert len(str(refused.value)) < 500


def test_a_body_of_more_objects_than_are_read_is_refused():
    with pytest.raises(TooLargeError, match="500000 objects"):
        to_protobuf("logs", b"[" + b"{}," * 500_001)


@pytest.mark.parametrize("end", [b'"', b"", b'\\"' * 2_000_000])
def test_a_text_in_the_body_is_read_once_however_long_and_whether_or_not_it_is_closed(end):
    with pytest.raises(MalformedError):
        to_protobuf("logs", b'"' + b"{" * 500_001 + end)


def test_nested_values_are_read_or_refused_but_never_crash():
    for depth in (10, 30, 50, 100, 300):
        value = '{"arrayValue":{"values":[' * depth + '{"intValue":1}' + "]}}" * depth
        body = f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{value}}}]}}]}}]}}'.encode()
        try:
            protobuf = to_protobuf("logs", body)
            assert validate("logs", protobuf).request.items == 1
            assert to_protobuf("logs", from_protobuf("logs", protobuf).encode()) == protobuf
        except MalformedError:
            assert depth > 30


def test_written_json_is_one_line_with_hex_ids_integer_enums_and_string_integers():
    request = ExportTraceServiceRequest()
    written = (
        request.resource_spans.add()
        .scope_spans.add()
        .spans.add(trace_id=TRACE, span_id=SPAN, kind=3, start_time_unix_nano=1790000000000000000, name="two\nlines")
    )
    written.links.add(trace_id=TRACE, span_id=SPAN)
    written.attributes.add(key="n").value.int_value = 5
    line = from_protobuf("traces", request.SerializeToString())
    assert "\n" not in line
    assert json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0] == {
        "traceId": TRACE_HEX,
        "spanId": SPAN_HEX,
        "kind": 3,
        "startTimeUnixNano": "1790000000000000000",
        "name": "two\nlines",
        "links": [{"traceId": TRACE_HEX, "spanId": SPAN_HEX}],
        "attributes": [{"key": "n", "value": {"intValue": "5"}}],
    }


def test_there_and_back_gives_the_same_message():
    body = to_protobuf("logs", logs_of({"traceId": TRACE_HEX, "spanId": SPAN_HEX, "timeUnixNano": "7"}))
    assert to_protobuf("logs", from_protobuf("logs", body).encode()) == body


def test_writing_what_is_not_a_message_is_malformed():
    with pytest.raises(MalformedError):
        from_protobuf("logs", b"hello")


def test_answers_in_json():
    assert response_json(export_response("logs", 0, "")) == b"{}"
    assert json.loads(response_json(export_response("traces", 2, "bad ids"))) == {
        "partialSuccess": {"rejectedSpans": "2", "errorMessage": "bad ids"}
    }
    status = Status(code=14, message="later")
    detail = Any()
    detail.Pack(RetryInfo())
    status.details.append(detail)
    assert json.loads(response_json(status))["code"] == 14


SECRET = "hunter2, said the prompt: Failed to parse hunter2 field: x"


@pytest.mark.parametrize(
    ("record", "path"),
    [
        ({"timeUnixNano": SECRET}, "timeUnixNano"),
        ({"body": {"intValue": SECRET}}, "body"),
        ({"body": {"doubleValue": SECRET}}, "body"),
        ({"body": {"stringValue": [SECRET]}}, "body.stringValue"),
        ({"attributes": [{"key": "a", "value": {"boolValue": SECRET}}]}, "attributes.value"),
    ],
)
def test_what_is_wrong_is_named_and_not_quoted(record, path):
    """The log says it too."""
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
    with pytest.raises(MalformedError) as raised:
        to_protobuf("logs", body)
    told = str(raised.value)
    assert f"resourceLogs.scopeLogs.logRecords.{path}" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "document",
    [{"resourceLogs": SECRET}, {"resourceLogs": {"a": SECRET}}, SECRET, [SECRET]],
)
def test_what_has_another_shape_is_not_quoted_either(document):
    with pytest.raises(MalformedError) as raised:
        to_protobuf("logs", json.dumps(document).encode())
    assert "hunter2" not in str(raised.value)
