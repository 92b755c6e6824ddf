"""Where a full or an old trace goes on in the next one: what left beyond a cut keeps it, whatever is told later."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receiver import semconv as sc
from receiver.core.apply_events import Source
from receiver.core.segmentation import rollover
from receiver.core.segmentation.segment import ActivityRun
from receiver.core.state.session import Pin, Session
from receiver.core.state.settings import SECOND
from receiver.model import Span
from tests.support.core_runs import Stream
from tests.support.factories import NOON, RELAY, SETTINGS, ASession, a_session, at
from tests.support.span_laws import attribute, is_session, violations

YOUNG = replace(SETTINGS, max_trace_age=45 * SECOND)
SMALL = replace(SETTINGS, max_spans_per_trace=3)


def streamed(settings, *told: tuple[float, ASession], source: Source = RELAY) -> list[Span]:
    """What leaves if sessions tell something at these moments (s)."""
    stream = Stream(settings, now=NOON)
    for time, session in told:
        stream.until(at(time)).tell(source, *session.told)
    spans = stream.drain().spans
    assert violations(spans) == []
    return spans


def named(spans: list[Span], call: str) -> Span:
    return next(s for s in spans if attribute(s, sc.TOOL_CALL_ID) == call)


def session_span(spans: list[Span], session: str, segment: int = 1) -> Span:
    of_session = (s for s in spans if is_session(s) and attribute(s, sc.SESSION_ID) == session)
    return next(s for s in of_session if attribute(s, sc.SESSION_SEGMENT) == segment)


class TestWhatIsToldLater:
    """Found by the laws: a child's first span left beyond a cut before the task call was told that had started it."""

    FILLED = a_session().created(0).call("bash", 0.5, call="long").request(1, 2).request(3, 4).request(5, 6)
    ENDED = a_session().call("bash", 0.5, 40, call="long").idle(41)

    def test_a_call_after_a_cut_is_beyond_it_with_the_child_that_it_started(self):
        child = a_session("ses_b").created(10, parent="ses_a").request(10, 20)
        caller = a_session().call("task", 8, 30, call="maker", child="ses_b")
        spans = streamed(SMALL, (6, self.FILLED), (20, child), (31, caller), (41, self.ENDED))
        call, below = named(spans, "maker"), session_span(spans, "ses_b")
        assert below.trace_id == call.trace_id == session_span(spans, "ses_a", 2).trace_id
        assert below.parent_span_id == call.span_id

    def test_also_where_the_trace_goes_on_again_before_the_child_closes(self):
        child = a_session("ses_b").created(10, parent="ses_a").request(10, 20)
        caller = a_session().call("task", 8, 30, call="maker", child="ses_b")
        later = a_session().request(31, 32).request(33, 34).request(35, 36)
        spans = streamed(SMALL, (6, self.FILLED), (20, child), (30, caller), (37, later), (41, self.ENDED))
        call, below = named(spans, "maker"), session_span(spans, "ses_b")
        assert (below.trace_id, below.parent_span_id) == (call.trace_id, call.span_id)

    def test_a_cut_by_age_stays_where_it_was_when_something_left_beyond_it(self):
        first = a_session().created(0).request(1, 40)
        late = a_session().call("bash", 0.5, call="long").request(110, 120)
        before = a_session().call("read", 107, 122, call="before").call("bash", 0.5, 130, call="long").idle(130)
        spans = streamed(YOUNG, (40, first), (120, late), (130, before))
        assert session_span(spans, "ses_a", 2).start == at(110)
        assert named(spans, "before").trace_id == session_span(spans, "ses_a", 1).trace_id


class TestWhatHasClosed:
    """Found by the laws: the first part of a trace had left, and nothing yet from beyond the cut that ended it."""

    def test_the_cut_that_ended_a_closed_trace_is_kept(self):
        stream = Stream(YOUNG, now=NOON)
        stream.tell(RELAY, *a_session().created(0).request(1, 40).call("bash", 46, call="long").told).until(at(60))
        (root,) = stream.forest.sessions.values()
        assert [c.number for c in root.closed] == [1]
        assert (root.pins, root.cuts) == ({}, [at(45)])

    def test_it_divides_the_sessions_below_too(self):
        told = [
            (0, a_session().created(0)),
            (44, a_session("ses_d").request(41, 44)),
            (46, a_session("ses_c").note("session.error", 45.1)),
            (46, a_session("ses_b").call("task", 40.1, 45.1, child="ses_c")),
            (46, a_session().call("task", 40, 45.1, child="ses_b")),
            (94, a_session("ses_e").call("bash", 74, 94)),
            (94, a_session("ses_d").call("task", 46, 94, child="ses_e")),
            (95, a_session().call("task", 94, 94.1, child="ses_d")),
        ]
        spans = streamed(YOUNG, *told, source=replace(RELAY, wait=6 * SECOND))
        parts = [(attribute(s, sc.SESSION_ID), s.start) for s in spans if is_session(s)]
        assert {("ses_a", at(45)), ("ses_d", at(45))} <= set(parts)


class TestCuts:
    def test_by_number_is_after_all_that_has_left_and_all_that_began(self):
        top = Session("ses_a", reach=at(5), pins={1: Pin(at(0), at(3), b"", 1)})
        assert rollover.by_number(top) == at(5) + 1
        top.pins[1].last = at(9)
        assert rollover.by_number(top) == at(9) + 1

    @pytest.mark.parametrize(
        ("last", "found"),
        [(0, [45, 95]), (44, [45, 95]), (60, [60 + 1 / SECOND, 105 + 1 / SECOND])],
    )
    def test_by_age_counts_from_the_first_activity_of_each_trace(self, last, found):
        runs = [ActivityRun(at(0), at(40), "ses_a", 0, True), ActivityRun(at(50), at(150), "ses_a", 0, True)]
        top = Session("ses_a", pins={1: Pin(at(0), at(last), b"", 1)})
        begun = [at(t) for t in (0, 50, 100, 139)]
        assert list(rollover.by_age(top, runs, begun, [at(0), at(150) + 1], 45 * SECOND)) == [at(t) for t in found]

    def test_by_age_waits_for_the_next_beginning_where_nothing_began_for_so_long(self):
        runs = [ActivityRun(at(0), at(50_000), "ses_a", 0, True)]
        begun = [at(t) for t in (0, 1, 1_000, 1_050, 40_000)]
        ages = rollover.by_age(Session("ses_a"), runs, begun, [at(0), at(50_000) + 1], 45 * SECOND)
        assert list(ages) == [at(t) for t in (1_000, 1_045, 40_000)]

    def test_those_before_what_left_are_kept(self):
        top = Session("ses_a", cuts=[at(5)])
        rollover.keep(top, [at(5), at(10), at(20)], at(12))
        assert top.cuts == [at(5), at(10)]
