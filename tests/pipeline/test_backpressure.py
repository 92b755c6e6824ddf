"""When building waits for an exporter, and what the log says of it."""

import pytest
from structlog.testing import capture_logs

from receiver.diagnostics.rate_limit import LogRateLimiter
from receiver.pipeline.backpressure import Backpressure
from receiver.storage.interface import QueueSize


class Queues:
    """Exporters' queues, as a store knows their sizes."""

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


def look(backpressure, full):
    """What is said when building looks; whether it has to wait is checked."""
    with capture_logs() as said:
        assert backpressure.is_full() == full
    return [f"{line['event'].split(':')[0]} {line.get('exporter', '')}".strip() for line in said]


def test_each_queue_has_its_own_bound(backpressure, queues):
    assert look(backpressure, False) == []
    queues.items = {"a": 9, "b": 19}
    assert look(backpressure, False) == []
    queues.items["b"] = 20
    assert look(backpressure, True) == ["building waits b"]


def test_the_beginning_is_said_once_and_the_end(backpressure, queues):
    queues.items["a"] = 14
    assert [look(backpressure, True) for _ in range(3)] == [["building waits a"], [], []]
    queues.items["a"] = 0
    assert [look(backpressure, False) for _ in range(3)] == [["building goes on"], [], []]


def test_a_queue_that_fills_again_and_again_is_told_of_once_in_a_while(backpressure, queues, clock):
    said = []
    for clock[0] in range(120):
        queues.items["a"] = 10 * (clock[0] % 2)
        said += look(backpressure, bool(clock[0] % 2))
    assert said == ["building waits a", "building goes on"] * 2


def test_the_last_word_is_that_it_waits_where_it_does(backpressure, queues, clock):
    for items in (10, 0, 10):
        queues.items["a"] = items
        look(backpressure, items > 0)
    clock[0] = 60.0
    assert look(backpressure, True) == ["building waits a"]


def test_another_queue_that_it_waits_for_then_is_named(backpressure, queues):
    queues.items = {"a": 10, "b": 0}
    assert look(backpressure, True) == ["building waits a"]
    queues.items = {"a": 10, "b": 20}
    assert look(backpressure, True) == []
    queues.items = {"a": 0, "b": 20}
    assert look(backpressure, True) == ["building waits b"]
    queues.items = {"a": 0, "b": 0}
    assert look(backpressure, False) == ["building goes on"]
