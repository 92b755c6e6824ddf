"""One line of a kind in a minute, and how many were not said."""

import pytest

from receiver.diagnostics.rate_limit import LogRateLimiter


@pytest.fixture
def clock():
    """Seconds, moved by the test."""
    return [0.0]


@pytest.fixture
def seldom(clock):
    return LogRateLimiter(lambda: clock[0])


def test_one_of_a_kind_is_said_in_a_minute_and_the_others_are_counted(seldom, clock):
    said = {}
    for clock[0] in range(150):
        if (unsaid := seldom.unsaid("full")) is not None:
            said[clock[0]] = unsaid
    assert said == {0: 0, 60: 59, 120: 59}


def test_one_kind_does_not_hide_another(seldom):
    assert (seldom.unsaid("a"), seldom.unsaid("b"), seldom.unsaid("a")) == (0, 0, None)


def test_kinds_that_are_always_new_are_bounded(seldom, clock):
    said = [kind for kind in range(1000) if seldom.unsaid(kind) is not None]
    assert len(said) == 20
    clock[0] = 60
    assert [kind for kind in range(1000, 2000) if seldom.unsaid(kind) is not None] == list(range(1000, 1020))


def test_so_many_of_a_kind_as_are_wanted_are_said_at_once(clock):
    seldom = LogRateLimiter(lambda: clock[0], at_once=10)
    assert [seldom.unsaid("a") for _ in range(12)] == [0] * 10 + [None] * 2
    assert seldom.unsaid("b") == 0
    clock[0] = 60.0
    assert [seldom.unsaid("a") for _ in range(2)] == [2, 0]
    clock[0] = 130.0
    assert seldom.unsaid("a") == 0
