"""What is said of requests that end in an error: enough for an operator to see it, and never a flood."""

import logging

import pytest

from receiver.errors import MalformedError, UnauthenticatedError, UnavailableError
from receiver.otlp.request_handler import Admission


@pytest.fixture
def clock():
    """Seconds, moved by the test."""
    return [0.0]


@pytest.fixture
def admission(clock, caplog):
    async def accept(_):
        raise AssertionError

    caplog.set_level(logging.DEBUG, "receiver.otlp.request_handler")
    return Admission("grpc", accept, None, clock=lambda: clock[0])


def said(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_wrong_token_is_said_with_who_sent_it(admission, caplog):
    admission.refuse(None, UnauthenticatedError("the bearer token is not valid"), "ipv4:10.0.0.7:5")
    assert said(caplog) == [
        ("WARNING", "grpc request from ipv4:10.0.0.7:5 refused: the bearer token is not valid"),
    ]


def test_a_client_that_repeats_itself_is_said_once_a_minute(admission, caplog, clock):
    for clock[0] in range(150):
        admission.refuse("logs", MalformedError("not OTLP"), "peer")
    assert [level for level, _ in said(caplog)].count("WARNING") == 3
    assert len(said(caplog)) == 150


def test_one_kind_does_not_hide_another(admission, caplog):
    admission.refuse("logs", MalformedError("not OTLP"), "peer")
    admission.refuse("logs", UnavailableError("the store is full"), "peer")
    assert [level for level, _ in said(caplog)] == ["WARNING", "WARNING"]
    assert said(caplog)[1][1] == "grpc request for logs from peer turned away: the store is full"


def test_what_is_none_of_otlps_is_said_too(admission, caplog, clock):
    for clock[0] in range(90):
        admission.refuse_foreign("404", "nothing is served at /v1/log", "10.0.0.7")
        admission.refuse_foreign("415", "content type must be", "10.0.0.7")
    assert [level for level, _ in said(caplog)].count("WARNING") == 4
    assert said(caplog)[0][1] == "grpc request from 10.0.0.7 refused: nothing is served at /v1/log"


def test_a_defect_is_said_each_time_with_its_traceback(admission, caplog):
    for _ in range(2):
        admission.refuse("logs", KeyError("x"), "peer")
    assert [(record.levelname, bool(record.exc_info)) for record in caplog.records] == [("ERROR", True)] * 2
