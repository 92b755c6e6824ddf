"""When building waits for an exporter, and when the log says so."""

import pytest
from structlog.testing import capture_logs

from receiver.diagnostics.rate_limit import LogRateLimiter
from receiver.pipeline.backpressure import Backpressure
from receiver.storage.interface import QueueSize


class Queues:
    """Queue sizes by exporter, as a store gives them."""

    def __init__(self):
        self.items = {"a": 0, "b": 0}

    def queue_size(self, exporter):
        return QueueSize(1, self.items[exporter])


@pytest.fixture
def queues():
    return Queues()


@pytest.fixture
def clock():
    """Seconds, moved by the test."""
    return [0.0]


@pytest.fixture
def backpressure(queues, clock):
    return Backpressure(queues, {"b", "a"}, {"a": 10, "b": 20}.get, LogRateLimiter(lambda: clock[0]))


def check(backpressure, full):
    """The lines that one call of is_full() logs; its answer is checked."""
    with capture_logs() as logged:
        assert backpressure.is_full() == full
    return [f"{line['event'].split(':')[0]} {line.get('exporter', '')}".strip() for line in logged]


def test_each_queue_is_compared_with_its_own_bound(backpressure, queues):
    assert check(backpressure, False) == []
    queues.items = {"a": 9, "b": 19}
    assert check(backpressure, False) == []
    queues.items["b"] = 20
    assert check(backpressure, True) == ["building waits b"]


def test_the_beginning_and_the_end_of_a_wait_are_each_logged_once(backpressure, queues):
    queues.items["a"] = 14
    assert [check(backpressure, True) for _ in range(3)] == [["building waits a"], [], []]
    queues.items["a"] = 0
    assert [check(backpressure, False) for _ in range(3)] == [["building resumed"], [], []]


def test_a_queue_that_fills_again_and_again_is_logged_once_a_minute(backpressure, queues, clock):
    logged = []
    for clock[0] in range(120):
        queues.items["a"] = 10 * (clock[0] % 2)
        logged += check(backpressure, bool(clock[0] % 2))
    assert logged == ["building waits a", "building resumed"] * 2


def test_a_wait_that_was_not_logged_is_logged_when_the_minute_is_over(backpressure, queues, clock):
    for items in (10, 0, 10):
        queues.items["a"] = items
        check(backpressure, items > 0)
    clock[0] = 60.0
    assert check(backpressure, True) == ["building waits a"]


def test_the_log_names_another_queue_when_only_that_one_is_still_full(backpressure, queues):
    queues.items = {"a": 10, "b": 0}
    assert check(backpressure, True) == ["building waits a"]
    queues.items = {"a": 10, "b": 20}
    assert check(backpressure, True) == []
    queues.items = {"a": 0, "b": 20}
    assert check(backpressure, True) == ["building waits b"]
    queues.items = {"a": 0, "b": 0}
    assert check(backpressure, False) == ["building resumed"]
