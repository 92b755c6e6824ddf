"""One line of a key passes in a minute, and the next one says how many were suppressed."""

import pytest
import structlog
from structlog.testing import capture_logs

from receiver.diagnostics.rate_limit import LogRateLimiter, RateLimitProcessor


@pytest.fixture
def clock():
    """Seconds, moved by the test."""
    return [0.0]


@pytest.fixture
def limiter(clock):
    return LogRateLimiter(lambda: clock[0])


@pytest.fixture
def logged(clock):
    """The events that pass the processor."""
    with capture_logs(processors=[RateLimitProcessor(lambda: clock[0])]) as events:
        yield events


def test_one_line_of_a_key_passes_in_a_minute_and_the_suppressed_ones_are_counted(limiter, clock):
    passed = {}
    for clock[0] in range(150):
        if (suppressed := limiter.suppressed("full")) is not None:
            passed[clock[0]] = suppressed
    assert passed == {0: 0, 60: 59, 120: 59}


def test_one_key_does_not_suppress_another(limiter):
    assert (limiter.suppressed("a"), limiter.suppressed("b"), limiter.suppressed("a")) == (0, 0, None)


def test_keys_that_are_always_new_are_bounded(limiter, clock):
    assert [key for key in range(1000) if limiter.suppressed(key) is not None] == list(range(20))
    clock[0] = 60
    assert [key for key in range(1000, 2000) if limiter.suppressed(key) is not None] == list(range(1000, 1020))


def test_several_lines_of_a_key_pass_where_max_lines_says_so(clock):
    limiter = LogRateLimiter(lambda: clock[0], max_lines=10)
    assert [limiter.suppressed("a") for _ in range(12)] == [0] * 10 + [None] * 2
    assert limiter.suppressed("b") == 0
    clock[0] = 60.0
    assert [limiter.suppressed("a") for _ in range(2)] == [2, 0]
    clock[0] = 130.0
    assert limiter.suppressed("a") == 0


def test_a_limit_key_lets_one_event_a_minute_pass_without_showing_the_key(logged, clock):
    log = structlog.get_logger()
    for clock[0] in range(70):
        log.warning("refused", limit_key="no token")
        log.warning("refused", limit_key="no JSON")
    event = {"event": "refused", "log_level": "warning"}
    assert logged == [event, event, event | {"left_out": 59}, event | {"left_out": 59}]


def test_a_limit_key_counts_for_each_event_text_and_exporter(logged):
    log = structlog.get_logger()
    for _ in range(3):
        for exporter in ("a", "b"):
            log.error("set aside", exporter=exporter, limit_key="HTTP 400")
        log.info("resent", limit_key="HTTP 400")
    assert [(event["event"], event.get("exporter")) for event in logged] == [
        ("set aside", "a"),
        ("set aside", "b"),
        ("resent", None),
    ]


def test_limit_seconds_lengthens_the_window_of_a_limit_key(logged, clock):
    for clock[0] in (0, 60, 3599, 3600):
        structlog.get_logger().info("unknown records", limit_key="scope", limit_seconds=3600)
    assert [event.get("left_out", 0) for event in logged] == [0, 2]


def test_warnings_without_a_limit_key_are_limited_to_ten_a_minute(logged, clock):
    for clock[0] in (*[0.0] * 12, 60.0, 60.0):
        structlog.get_logger().error("odd")
    assert [event.get("left_out", 0) for event in logged] == [0] * 10 + [2, 0]


def test_events_below_a_warning_without_a_limit_key_are_not_limited(logged):
    for _ in range(50):
        structlog.get_logger().info("listening")
    assert len(logged) == 50


def test_suppressed_events_pass_as_debug_where_that_is_asked_for(clock):
    with capture_logs(processors=[RateLimitProcessor(lambda: clock[0], keep_as_debug=True)]) as logged:
        for clock[0] in (0.0, 1.0, 60.0):
            structlog.get_logger().warning("refused", level="warning", limit_key="no token")
    assert [(event["level"], event.get("left_out", 0)) for event in logged] == [
        ("warning", 0),
        ("debug", 0),
        ("warning", 1),
    ]
