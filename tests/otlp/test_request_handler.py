"""Requests that end in an error: enough is logged for an operator to see why, and no client can fill the log."""

import pytest
from structlog.testing import capture_logs

from receiver.diagnostics.rate_limit import RateLimitProcessor
from receiver.errors import MalformedError, UnauthenticatedError, UnavailableError
from receiver.otlp.request_handler import RequestHandler


@pytest.fixture
def clock():
    """Seconds, moved by the test."""
    return [0.0]


@pytest.fixture
def logged(clock):
    """The events that pass the rate limit."""
    with capture_logs(processors=[RateLimitProcessor(lambda: clock[0])]) as events:
        yield events


@pytest.fixture
def requests():
    async def accept(_):
        raise AssertionError

    return RequestHandler("grpc", accept, None)


def test_a_refused_request_is_logged_with_client_and_reason(requests, logged):
    requests.refuse(None, UnauthenticatedError("the bearer token is not valid"), "ipv4:10.0.0.7:5")
    assert logged == [
        {
            "event": "request refused",
            "log_level": "warning",
            "transport": "grpc",
            "peer": "ipv4:10.0.0.7:5",
            "reason": "the bearer token is not valid",
        }
    ]


def test_the_same_error_is_logged_once_a_minute_with_the_number_suppressed(requests, logged, clock):
    for clock[0] in range(150):
        requests.refuse("logs", MalformedError("not OTLP"), "peer")
    assert [event.get("left_out", 0) for event in logged] == [0, 59, 59]


def test_a_refused_request_does_not_suppress_one_that_the_client_may_retry(requests, logged):
    requests.refuse("logs", MalformedError("not OTLP"), "peer")
    requests.refuse("logs", UnavailableError("the store is full"), "peer")
    assert [(event["event"], event["signal"], event["reason"]) for event in logged] == [
        ("request refused", "logs", "not OTLP"),
        ("request not accepted; the client may retry", "logs", "the store is full"),
    ]


def test_requests_that_are_not_otlp_are_logged_once_a_minute_for_each_code(requests, logged, clock):
    for clock[0] in range(90):
        requests.refuse_non_otlp("404", "nothing is served at /v1/log", "10.0.0.7")
        requests.refuse_non_otlp("415", "content type must be", "10.0.0.7")
    reasons = ["nothing is served at /v1/log", "content type must be"]
    assert [event["reason"] for event in logged] == reasons * 2


def test_a_defect_is_logged_each_time_with_its_traceback(requests, logged):
    error = KeyError("x")
    for _ in range(2):
        requests.refuse("logs", error, "peer")
    assert [(event["log_level"], event["exc_info"]) for event in logged] == [("error", error)] * 2
