"""Looking for the places of many sessions: the work grows with those that are near in time, not with all there are."""

from __future__ import annotations

import pytest

from receiver.core.builder import Builder
from receiver.core.linking import task_links
from receiver.core.state.forest import Forest
from tests.support.core_runs import batch
from tests.support.factories import RELAY, SETTINGS, a_session, arriving, at, session_id

MANY = 300


def busy_producer():
    """Sessions, a minute apart, nobody knows of which kind; of two tasks of each, one has started another session."""
    for number in range(MANY):
        begin = 60 * number
        parent = a_session(session_id(begin, 2 * number)).created(begin, root=None)
        yield parent.report("task", begin + 1, begin + 5).report("task", begin + 10, begin + 12).idle(begin + 20)
        child = a_session(session_id(begin + 1.01, 2 * number + 1)).created(begin + 1.01, root=None)
        yield child.report("bash", begin + 2, begin + 3).idle(begin + 4.98)


@pytest.fixture
def compared(monkeypatch):
    """How many pairs of a session and a call were compared."""
    pairs, cost = [], task_links.cost
    monkeypatch.setattr(task_links, "cost", lambda child, call: pairs.append(1) or cost(child, call))
    return pairs


def test_many_sessions_are_compared_with_what_is_near(compared):
    told = [(RELAY, event) for session in busy_producer() for event in session.told]
    outcome = batch(told)
    assert len({span.trace_id for span in outcome.spans}) == MANY
    assert len(compared) <= 50 * MANY


def test_a_look_at_few_of_many_compares_few(compared):
    forest, builder = Forest(), Builder(SETTINGS)
    sessions = list(busy_producer())
    for session in sessions:
        for event in session.told:
            builder.take(forest, arriving(RELAY, at(60 * MANY)), event)
    builder.advance(forest, [session.id for session in sessions[:10]], at(60 * MANY + 1))
    assert len(compared) <= 50 * 10
