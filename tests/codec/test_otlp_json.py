"""OTLP/JSON: its differences from protobuf's JSON mapping, and malformed bodies."""

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


def test_ids_are_hex_in_either_case_on_spans_and_links(subtests):
    for case in [str.lower, str.upper]:
        with subtests.test(case=case):
            ids = {"traceId": case(TRACE_HEX), "spanId": case(SPAN_HEX)}
            read = span(spans_of({**ids, "parentSpanId": case(SPAN_HEX), "links": [ids, ids]}))
            assert (read.trace_id, read.span_id, read.parent_span_id) == (TRACE, SPAN, SPAN)
            assert [(link.trace_id, link.span_id) for link in read.links] == [(TRACE, SPAN)] * 2


def test_ids_are_hex_on_log_records():
    read = log(logs_of({"traceId": TRACE_HEX, "spanId": SPAN_HEX}))
    assert (read.trace_id, read.span_id) == (TRACE, SPAN)


def test_ids_are_hex_on_the_exemplars_of_every_metric_kind(subtests):
    for kind in ["gauge", "sum", "histogram", "exponentialHistogram"]:
        with subtests.test(kind=kind):
            point = {"exemplars": [{"traceId": TRACE_HEX, "spanId": SPAN_HEX}]}
            body = to_protobuf("metrics", metric_of(**{kind: {"dataPoints": [point]}}))
            metric = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0].metrics[0]
            exemplar = getattr(metric, metric.WhichOneof("data")).data_points[0].exemplars[0]
            assert (exemplar.trace_id, exemplar.span_id) == (TRACE, SPAN)


def test_ids_with_proto_field_names_are_read_as_hex():
    body = {"resource_spans": [{"scope_spans": [{"spans": [{"trace_id": TRACE_HEX, "span_id": SPAN_HEX}]}]}]}
    read = span(json.dumps(body).encode())
    assert (read.trace_id, read.span_id) == (TRACE, SPAN)


def test_an_id_that_is_not_hex_is_refused_with_its_name(subtests):
    for value in ["xyz", "abc", 7, ["00"], "5b 8e", "é"]:
        for field in ["traceId", "spanId", "parentSpanId"]:
            refused = pytest.raises(MalformedError, match=f"{field} is not a string of hex digits")
            with subtests.test(value=value, field=field), refused:
                to_protobuf("traces", spans_of({field: value}))


# What a Collector 0.155.0 does with each of them too: 400, "expect { or , or } or n".
BARE = ["text", "", "stringValue", ["stringValue"], [], 5, True]
RECORD = "resourceLogs.scopeLogs.logRecords"


def test_a_value_in_place_of_an_object_is_refused_with_its_path(subtests):
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


def test_a_value_in_place_of_a_resource_is_refused_under_either_name(subtests):
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


def test_objects_null_and_any_unknown_field_are_accepted():
    assert not log(logs_of({"body": None, "future": "text", "futures": [["x"]]})).HasField("body")
    assert log(logs_of({"body": {"future": "text"}})).HasField("body")
    assert log(logs_of({"body": {"stringValue": "text"}})).body.string_value == "text"


def test_attributes_and_unknown_fields_called_trace_id_are_unchanged():
    attribute = {"key": "traceId", "value": {"stringValue": "not hex"}}
    read = log(logs_of({"attributes": [attribute], "unknown": {"traceId": "not hex"}}))
    assert read.attributes[0].value.string_value == "not hex"


def test_64_bit_integers_may_be_strings_or_numbers(subtests):
    for value in ["1790000000000000000", 1790000000000000000, 1.79e18, "1.79e18"]:
        with subtests.test(value=value):
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


def test_half_a_surrogate_pair_becomes_one_replacement_character():
    # JavaScript's slice() cuts an emoji in two, and JSON.stringify writes the half as an escape.
    body = logs_of({"body": {"stringValue": "?"}}).replace(b"?", rb"a\ud83d \\ud83d \ud83d\ude00")
    assert log(body).body.string_value == "a\ufffd \\ud83d \U0001f600"


def test_an_invalid_json_request_is_malformed_in_one_line(subtests):
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


def test_a_json_body_with_too_many_objects_is_refused():
    with pytest.raises(TooLargeError, match="500000 objects"):
        to_protobuf("logs", b"[" + b"{}," * 500_001)


def test_counting_objects_takes_linear_time_for_long_and_unclosed_strings(subtests):
    for end in [b'"', b"", b'\\"' * 2_000_000]:
        with subtests.test(end=end), pytest.raises(MalformedError):
            to_protobuf("logs", b'"' + b"{" * 500_001 + end)


def test_deeply_nested_values_are_decoded_or_refused():
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


def test_a_message_translated_to_json_and_back_is_the_same():
    body = to_protobuf("logs", logs_of({"traceId": TRACE_HEX, "spanId": SPAN_HEX, "timeUnixNano": "7"}))
    assert to_protobuf("logs", from_protobuf("logs", body).encode()) == body


def test_translating_an_invalid_message_to_json_is_malformed():
    with pytest.raises(MalformedError):
        from_protobuf("logs", b"hello")


def test_responses_in_json():
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


def test_a_wrong_value_is_named_by_its_field_and_not_quoted(subtests):
    """The error's text is logged too."""
    for record, path in [
        ({"timeUnixNano": SECRET}, "timeUnixNano"),
        ({"body": {"intValue": SECRET}}, "body"),
        ({"body": {"doubleValue": SECRET}}, "body"),
        ({"body": {"stringValue": [SECRET]}}, "body.stringValue"),
        ({"attributes": [{"key": "a", "value": {"boolValue": SECRET}}]}, "attributes.value"),
    ]:
        with subtests.test(record=record, path=path):
            body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()
            with pytest.raises(MalformedError) as raised:
                to_protobuf("logs", body)
            text = str(raised.value)
            assert f"resourceLogs.scopeLogs.logRecords.{path}" in text
            assert "hunter2" not in text


def test_a_value_in_place_of_an_object_is_not_quoted(subtests):
    for document in [{"resourceLogs": SECRET}, {"resourceLogs": {"a": SECRET}}, SECRET, [SECRET]]:
        with subtests.test(document=document):
            with pytest.raises(MalformedError) as raised:
                to_protobuf("logs", json.dumps(document).encode())
            assert "hunter2" not in str(raised.value)
