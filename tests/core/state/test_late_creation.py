"""A session's creation time arrives after spans were emitted that began before it: these are no copies, and the
session's span covers them. Found by merging recordings whose times do not agree."""

from __future__ import annotations

import pytest

from receiver.events import SessionEvent
from tests.support.core_runs import Stream
from tests.support.factories import NOON, RELAY, ASession, a_session, at
from tests.support.span_laws import is_session, violations

ROOT = SessionEvent(session="ses_a", root=True, time=at(0))


@pytest.mark.parametrize("created", [20, 200])
@pytest.mark.parametrize("stored", [False, True])
def test_a_sessions_span_covers_what_was_emitted_before_its_creation_was_known(created: float, stored: bool):
    late = a_session().created(created).call("bash", created + 1, created + 2).idle(created + 3)
    spans = told_in_turn([a_session().tell(ROOT).call("read", 1, 2)], [late], stored)
    assert min(s.start for s in spans if is_session(s)) <= at(1)


@pytest.mark.parametrize("created", [20, 200])
def test_a_sessions_span_covers_what_was_emitted_below_it_before_its_creation_was_known(created: float):
    caller = a_session().tell(ROOT).call("task", 0.5, call="maker", child="ses_b")
    child = a_session("ses_b").created(1, parent="ses_a").call("read", 1, 2)
    late = a_session().created(created).call("bash", created + 1, created + 2).idle(created + 3)
    told_in_turn([caller, child], [late])


def told_in_turn(first: list[ASession], then: list[ASession], stored: bool = False):
    """The spans if some records arrive after those of others were emitted."""
    stream = Stream(now=NOON, stored=stored)
    for told in (first, then):
        for session in told:
            stream.tell(RELAY, *session.told)
        stream.until(stream.now + at(10) - NOON)
        assert stream.spans
    spans = stream.drain().spans
    assert violations(spans) == []
    return spans
