"""A look at a tree visits what changed or is due. What was emitted before is not read again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from receiver.core.state.settings import SECOND
from receiver.events import AnyEvent
from tests.support.core_runs import Stream
from tests.support.factories import NOON, RELAY, a_session, at
from tests.support.read_counter import CountedEmittedItems

CALLS = 2_000  # of each quarter's looks the visits are counted; 10,000 calls give the same numbers


def named(number: int) -> list[AnyEvent]:
    """Calls with an id."""
    told = a_session()
    for i in range(number):
        told.call("bash", 1 + i, 1.2 + i, call=f"c{i}")
    return told.told


def reported(number: int) -> list[AnyEvent]:
    """Reports without an id, each beside a call with one."""
    told = a_session()
    for i in range(number // 2):
        told.call("bash", 1 + i, 1.2 + i, call=f"c{i}").report("bash", 1.003 + i, 1.195 + i, agent="build")
    return told.told


def reported_alone(number: int) -> list[AnyEvent]:
    """Reports without an id, and nothing else."""
    told = a_session()
    for i in range(number):
        told.report("skill", 1 + i, 1.2 + i)
    return told.told


@pytest.mark.parametrize("story", [named, reported, reported_alone])
def test_records_that_were_emitted_before_are_not_visited_by_later_looks(story):
    told = story(CALLS)
    stream = Stream(now=NOON).tell(RELAY, *a_session().created(0).told)
    emitted = stream.forest.emitted["ses_a"] = CountedEmittedItems()
    by_quarter: list[int] = []
    for i, event in enumerate(told):
        stream.tell(RELAY, event).until(stream.now + SECOND)
        if i and i % (len(told) // 4) == 0:
            by_quarter.append(emitted.visited)
    visits = [later - sooner for sooner, later in pairwise([0, *by_quarter])]
    assert stream.now > at(CALLS / 2)
    assert visits[-1] <= 1.1 * visits[1] + 10, visits
