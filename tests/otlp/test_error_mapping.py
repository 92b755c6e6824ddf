"""Every error has one gRPC status and one HTTP status."""

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from receiver.errors import (
    ConfigError,
    ExportError,
    MalformedError,
    RefusedError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from receiver.otlp.error_mapping import expected, grpc_status, http_refusal, http_status

Code = grpc.StatusCode


@pytest.mark.parametrize(
    ("error", "code", "http"),
    [
        (MalformedError("no"), Code.INVALID_ARGUMENT, 400),
        (TooLargeError("no"), Code.RESOURCE_EXHAUSTED, 413),
        (UnauthenticatedError("no"), Code.UNAUTHENTICATED, 401),
        (RefusedError("no"), Code.INVALID_ARGUMENT, 400),
    ],
)
def test_a_refusal_has_its_reason_and_no_retry_info(error, code, http):
    assert grpc_status(error) == (code, "no", ())
    status, headers, body = http_status(error)
    assert (status, headers) == (http, {})
    assert (body.code, body.message, len(body.details)) == (code.value[0], "no", 0)


@pytest.mark.parametrize(("seconds", "header"), [(0, "1"), (0.2, "1"), (5.0, "5"), (7.1, "8")])
def test_unavailable_says_when_to_retry(seconds, header):
    error = UnavailableError("disk full", retry_after=seconds)
    code, message, metadata = grpc_status(error)
    assert (code, message) == (Code.UNAVAILABLE, "disk full")
    details = Status.FromString(dict(metadata)["grpc-status-details-bin"])
    assert (details.code, details.message) == (14, "disk full")
    http, headers, body = http_status(error)
    assert (http, headers) == (503, {"Retry-After": header})
    for status in (details, body):
        retry = RetryInfo()
        assert status.details[0].Unpack(retry)
        assert retry.retry_delay.ToMilliseconds() == round(seconds * 1000)


@pytest.mark.parametrize("error", [ValueError("/secret/path"), ConfigError("x"), ExportError("x"), KeyError("x")])
def test_any_other_error_is_internal_without_its_text(error):
    code, message, metadata = grpc_status(error)
    assert (code, metadata) == (Code.INTERNAL, ())
    assert str(error) not in message.split()
    http, headers, body = http_status(error)
    assert (http, headers, body.code, body.message) == (500, {}, 13, message)
    assert not expected(error)


def test_a_long_message_is_cut_to_fit_a_trailer():
    assert len(grpc_status(MalformedError("x" * 100_000))[1]) <= 1024


@pytest.mark.parametrize(("http", "code"), [(404, 5), (405, 12), (415, 3), (417, 3)])
def test_a_refusal_of_http_itself_has_a_status_body(http, code):
    assert http_refusal(http, "why") == Status(code=code, message="why")
