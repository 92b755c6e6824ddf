"""Live markers: emitted early and once, below the session span that comes later, and the same offline."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver import semconv as sc
from receiver.events import HOOK, PARTIAL
from tests.support.core_runs import Stream, batch, trees
from tests.support.factories import NOON, RELAY, SETTINGS, a_session, at
from tests.support.span_laws import attribute, canonical, is_late, is_session, violations
from tests.support.strategies import stories

MARKED = replace(SETTINGS, live_markers=True)


def is_marker(span) -> bool:
    return attribute(span, sc.MARKER) == sc.STARTED


def markers(spans):
    return [s for s in spans if is_marker(s)]


def names(spans):
    return sorted((s.name, attribute(s, sc.SESSION_ID)) for s in markers(spans))


def a_tree():
    parent = a_session().created(0).call("task", 1, 9, call="t1", child="ses_b").idle(10)
    return [parent, a_session("ses_b").created(2, parent="ses_a").call("bash", 3, 4).idle(8)]


def running(*sessions, until: float, stored: bool = False):
    stream = Stream(MARKED, now=NOON, stored=stored)
    for session in sessions:
        for event in session.told:
            stream.tell(RELAY, event)
    return stream.until(at(until))


class TestMarkerSpans:
    def test_every_session_and_task_call_has_one_marker(self):
        spans = trees(*a_tree(), settings=MARKED)
        assert names(spans) == [("session started", "ses_a"), ("session started", "ses_b"), ("task started", "ses_a")]
        assert violations(spans) == []

    def test_markers_have_no_duration_and_are_below_their_session(self):
        spans = trees(*a_tree(), settings=MARKED)
        sessions = {attribute(s, sc.SESSION_ID): s for s in spans if is_session(s)}
        for span in markers(spans):
            up = sessions[attribute(span, sc.SESSION_ID)]
            assert (span.parent_span_id, span.trace_id, span.end) == (up.span_id, up.trace_id, span.start)
        task = next(s for s in spans if s.name == "task started")
        assert (task.start, attribute(task, sc.TOOL_CALL_ID)) == (at(1), "t1")

    def test_markers_change_no_other_span(self):
        rest = [s for s in trees(*a_tree(), settings=MARKED) if not is_marker(s)]
        assert canonical(rest) == canonical(trees(*a_tree()))

    def test_every_segment_has_a_marker(self):
        told = a_session().created(0).idle(1).call("read", 100, 101).idle(102)
        assert len(markers(trees(told, settings=MARKED))) == 2

    def test_a_session_that_is_only_named_has_no_marker(self):
        told = a_session().created(0).call("task", 1, 9, child="ses_b").idle(10)
        assert names(trees(told, settings=MARKED)) == [("session started", "ses_a"), ("task started", "ses_a")]

    def test_a_marker_has_the_earliest_beginning_that_was_stated(self):
        told = a_session().created(0).call("task", 1, None, rank=HOOK, call="t1")
        told.call("task", 2, 9, call="t1").idle(10)
        spans = trees(told, settings=MARKED)
        (task,) = [s for s in spans if s.name == "task started"]
        assert task.start == at(1)


class TestWhenMarkersAreEmitted:
    @pytest.mark.parametrize("stored", [False, True])
    def test_a_marker_is_emitted_soon_after_the_beginning(self, stored):
        told = a_session().created(0).call("task", 1, None, rank=PARTIAL, call="t1").busy(1)
        stream = running(told, until=5, stored=stored)
        assert names(stream.spans) == [("session started", "ses_a"), ("task started", "ses_a")]
        for event in a_session().call("task", 1, 400, call="t1").idle(401).told:
            stream.until(at(401)).tell(RELAY, event)
        spans = stream.drain().spans
        assert len(markers(spans)) == 2
        assert violations(spans) == []
        assert not any(map(is_late, spans))

    def test_a_marker_waits_for_settle(self):
        assert markers(running(a_session().created(0).busy(1), until=1).spans) == []

    def test_a_marker_waits_until_the_sessions_place_is_decided(self):
        stream = running(a_session().call("read", 1, 2).busy(3), until=60)
        assert stream.spans == []
        assert names(stream.drain().spans) == [("session started", "ses_a")]

    def test_repeated_records_emit_no_second_marker(self):
        stream = running(a_session().created(0).call("task", 1, None, rank=PARTIAL, call="t1"), until=5)
        for event in a_session().created(0).call("task", 1, None, rank=PARTIAL, call="t1").told:
            stream.tell(RELAY, event)
        stream.until(at(20))
        assert len(markers(stream.spans)) == 2

    @settings(max_examples=40)
    @given(stories(live=True), st.booleans())
    def test_the_same_as_offline(self, story, stored):
        stream = Stream(MARKED, now=NOON, stored=stored)
        for moment, source, event in story.arrivals():
            stream.until(moment).tell(source, event)
        assert canonical(stream.drain().spans) == canonical(batch(story.told(), MARKED).spans)


def test_there_are_no_markers_by_default():
    assert markers(trees(*a_tree())) == []
