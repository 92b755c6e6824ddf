"""Which responses of a backend are retryable, and when."""

import re

import grpc
from google.rpc.status_pb2 import Status

from receiver.codec.export_service import EXPORT_SERVICES, export_response
from receiver.codec.otlp_json import response_json
from receiver.errors import PermanentExportError, RetryableExportError
from receiver.exporters.error_hints import _HINTS, for_command_line, with_hint
from receiver.exporters.partial_success import parse_partial_success
from receiver.exporters.responses import grpc_failure, http_failure, unreachable
from receiver.model import SIGNALS

RETRYABLE = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
NOW = 1_700_000_000.0


def rpc_error(code, details="because", trailing=()):
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details)


def test_every_grpc_code_is_permanent_or_retryable(subtests):
    for code in [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]:
        with subtests.test(code=code):
            error = grpc_failure(rpc_error(code), "there:4317")

            assert isinstance(error, RetryableExportError if code.name in RETRYABLE else PermanentExportError)
            message, _, remedy = str(error).partition(" (")
            assert message == f"there:4317: {code.name}: because"
            assert bool(remedy) == (code.name in {"UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED"})


def test_resource_exhausted_is_retryable_only_with_retry_info(retry_info):
    code = grpc.StatusCode.RESOURCE_EXHAUSTED

    error = grpc_failure(rpc_error(code, trailing=retry_info(code, 2.5)), "there:4317")

    assert isinstance(error, RetryableExportError)
    assert error.retry_after == 2.5


def test_retry_info_of_zero_is_ignored(retry_info):
    code = grpc.StatusCode.UNAVAILABLE

    assert grpc_failure(rpc_error(code, trailing=retry_info(code, 0)), "x").retry_after is None


def test_malformed_status_details_are_ignored():
    trailing = (("grpc-status-details-bin", b"\xff\xff"),)

    error = grpc_failure(rpc_error(grpc.StatusCode.UNAVAILABLE, trailing=trailing), "x")

    assert error.retry_after is None


def test_every_http_status_is_permanent_or_retryable(subtests):
    for status in [400, 401, 403, 404, 408, 413, 429, 500, 501, 502, 503, 504]:
        with subtests.test(status=status):
            error = http_failure(status, {}, b"", "http://there", NOW)

            assert isinstance(error, RetryableExportError if status in {429, 502, 503, 504} else PermanentExportError)


def test_retry_after_is_seconds_or_a_date(subtests):
    for header, seconds in [
        ("7", 7.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ]:
        with subtests.test(header=header, seconds=seconds):
            assert http_failure(503, {"Retry-After": header}, b"", "x", NOW).retry_after == seconds


def test_the_backends_message_is_reported_in_one_line(subtests):
    for content_type, body in [
        ("application/x-protobuf", Status(message="no such tenant").SerializeToString()),
        ("application/json; charset=utf-8", b'{"code":5,"message":"no such tenant"}'),
        ("text/plain", b"no such\r\ntenant\x1b"),
        ("application/json", b"no such tenant"),
    ]:
        with subtests.test(content_type=content_type, body=body):
            error = http_failure(404, {"Content-Type": content_type}, body, "http://there/v1/traces", NOW)

            assert str(error) == "http://there/v1/traces: HTTP 404: no such tenant (check the path of the endpoint)"


def test_a_redirect_is_a_permanent_error_with_its_target():
    error = http_failure(308, {"Location": "https://elsewhere/"}, b"<html>", "http://there", NOW)

    assert isinstance(error, PermanentExportError)
    assert str(error) == "http://there: HTTP 308: redirected to https://elsewhere/"


def test_a_backend_that_does_not_answer_is_retryable():
    assert str(unreachable(TimeoutError(), "x")) == "x: no answer in time"
    assert str(unreachable(ConnectionResetError(104, "reset by peer"), "x")) == "x: [Errno 104] reset by peer"


def test_a_partial_success_is_read_in_both_encodings(subtests):
    for signal in SIGNALS:
        with subtests.test(signal=signal):
            answer = export_response(signal, 3, "too old")

            for rejection in (
                parse_partial_success(signal, answer.SerializeToString()),
                parse_partial_success(signal, response_json(answer), "application/json"),
            ):
                assert (rejection.count, rejection.message) == (3, "too old")


def test_a_full_success_has_no_parse_partial_success():
    assert parse_partial_success("traces", b"") is None
    assert parse_partial_success("traces", b"{}", "application/json") is None
    assert parse_partial_success("traces", b'{"partialSuccess":{}}', "application/json") is None


def test_an_unreadable_response_is_a_success(subtests):
    for content_type in ["application/x-protobuf", "application/json", "text/html"]:
        with subtests.test(content_type=content_type):
            assert parse_partial_success("traces", b"\xff<html>", content_type) is None


def test_a_warning_without_rejected_records_is_kept():
    answer = EXPORT_SERVICES["traces"].response()
    answer.partial_success.error_message = "deprecated"

    assert parse_partial_success("traces", answer.SerializeToString()).count == 0


def test_hints_on_the_command_line_name_no_configuration_key(subtests):
    for words, hint in _HINTS:
        with subtests.test(words=words, hint=hint):
            message = for_command_line(with_hint(f"there: {words}"))

            assert message.startswith(f"there: {words} (")
            assert not re.search(r"otlp_|insecure|headers::", message)
