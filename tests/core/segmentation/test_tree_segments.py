"""Where a session pauses for so long that what follows is another segment, by event time alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receiver import semconv as sc
from receiver.core.builder import Builder
from receiver.core.segmentation.tree_segments import TreeView, ended_at
from receiver.core.state.forest import Forest
from receiver.core.state.ids import trace_id
from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.events import GUESSED
from tests.support.core_runs import trees
from tests.support.factories import NOON, RELAY, SETTINGS, a_session, at
from tests.support.read_counter import CountedEmittedItems
from tests.support.span_laws import attribute, is_session

IDLE, INACTIVE = SETTINGS.idle_timeout // SECOND, SETTINGS.inactivity_timeout // SECOND


def told_of(*sessions, settings: BuilderSettings = SETTINGS) -> Forest:
    """What is known once every session told what it had to tell."""
    forest, builder = Forest(), Builder(settings)
    for session in sessions:
        for event in session.told:
            builder.take(forest, RELAY, event)
    return forest


def view(*sessions, settings: BuilderSettings = SETTINGS) -> TreeView:
    """The segments of the tree below the first session."""
    forest = told_of(*sessions, settings=settings)
    return TreeView(forest, forest.open(sessions[0].id), settings)


def created_by_its_id(session, time: float) -> TreeView:
    """The same for a session whose id tells when it was created."""
    forest = told_of(session)
    root = forest.open(session.id)
    root.facts["created"] = (GUESSED, at(time))
    return TreeView(forest, root, SETTINGS)


def segments(seen: TreeView, session: str = "ses_a") -> list[tuple[float, float]]:
    """Beginnings and ends, in seconds after NOON."""
    member = next(m for m in seen.members if m.id == session)
    return [((s.start - NOON) / SECOND, (s.end - NOON) / SECOND) for s in seen.segments(member)]


class TestPauses:
    def test_one_turn_is_one_segment(self):
        told = a_session().created(0).call("read", 1, 2).idle(3)
        assert segments(view(told)) == [(0, 3)]

    @pytest.mark.parametrize(("pause", "count"), [(IDLE, 1), (IDLE + 1, 2)])
    def test_after_it_said_that_it_is_idle(self, pause, count):
        told = a_session().created(0).call("read", 1, 2).idle(3).call("read", 3 + pause, 4 + pause)
        assert len(segments(view(told))) == count

    @pytest.mark.parametrize(("pause", "count"), [(IDLE + 1, 1), (INACTIVE, 1), (INACTIVE + 1, 2)])
    def test_when_it_never_said_so(self, pause, count):
        told = a_session().created(0).call("read", 1, 2).call("read", 2 + pause, 3 + pause)
        assert len(segments(view(told))) == count

    def test_work_after_idle_takes_the_idle_back(self):
        told = a_session().created(0).idle(3).busy(4).call("read", 4 + IDLE + 1, 5 + IDLE + 1)
        assert len(segments(view(told))) == 1

    def test_a_long_call_is_activity_all_along(self):
        told = a_session().created(0).call("bash", 1, 3 * INACTIVE).idle(3 * INACTIVE + 1)
        assert segments(view(told)) == [(0, 3 * INACTIVE + 1)]

    def test_the_order_of_telling_does_not_matter(self):
        told = a_session().created(0).call("read", 1, 2).idle(3).call("read", 100, 101).idle(102)
        forwards = segments(view(told))
        told.told.reverse()
        assert segments(view(told)) == forwards == [(0, 3), (100, 102)]

    def test_numbers_count_from_one(self):
        told = a_session().created(0).idle(1).call("read", 100, 101).idle(102)
        seen = view(told)
        assert [s.number for s in seen.segments(seen.root)] == [1, 2]


class TestTrees:
    def test_a_parent_goes_on_as_long_as_its_child_works(self):
        parent = a_session().created(0).idle(1)
        child = a_session("ses_b").created(2, parent="ses_a").call("bash", 3, 400).idle(401)
        again = parent.call("read", 430, 431).idle(432)
        assert segments(view(again, child)) == [(0, 432)]

    def test_a_child_pauses_where_its_root_does(self):
        parent = a_session().created(0).call("task", 1, 9, child="ses_b").idle(10)
        parent.call("task", 1001, 1009, call="again", child="ses_b").idle(1010)
        child = a_session("ses_b").created(2, parent="ses_a").idle(8).busy(1002).idle(1008)
        seen = view(parent, child)
        assert len(segments(seen)) == len(segments(seen, "ses_b")) == 2
        member = seen.members[1]
        traces = [seen.placement_in(member, s, s.start).trace for s in seen.segments(member)]
        assert traces == [trace_id("ses_a", 1), trace_id("ses_a", 2)]

    def test_a_session_has_a_place_however_deep_it_lies(self):
        depth = 500  # with a frame for each, Python would stop at some 480
        line = [a_session(f"ses_{n}").created(n, parent=f"ses_{n - 1}" if n else None) for n in range(depth)]
        seen = view(*line)
        placement = seen.placement(seen.members[-1], at(depth - 1))
        assert [s.session.id for s in seen.line(placement)] == [f"ses_{n}" for n in reversed(range(depth))]
        assert not placement.late

    def test_a_moment_has_the_trace_of_its_roots_segment(self):
        seen = view(a_session().created(0).idle(1).call("read", 100, 101).idle(102))
        assert seen.trace(at(1)) == (trace_id("ses_a", 1), 1)
        assert seen.trace(at(101)) == (trace_id("ses_a", 2), 2)

    def test_a_child_that_is_only_named_has_the_time_of_the_call_that_names_it(self):
        parent = a_session().created(0).call("task", 1, 9, child="ses_b").idle(10)
        seen = view(parent)
        assert segments(seen, "ses_b") == [(1, 9)]
        (only,) = seen.segments(seen.members[1])
        assert only.named_only
        assert only.start_guessed

    def test_and_none_where_nothing_may_be_inferred(self):
        parent = a_session().created(0).call("task", 1, 9, child="ses_b").idle(10)
        assert segments(view(parent, settings=replace(SETTINGS, infer=False)), "ses_b") == []


class TestBeginnings:
    def test_a_stated_creation_begins_the_first_segment(self):
        seen = view(a_session().created(0).call("read", 5, 6))
        (only,) = seen.segments(seen.root)
        assert (only.start, only.start_guessed) == (at(0), False)

    def test_a_creation_that_an_id_tells_is_guessed(self):
        seen = created_by_its_id(a_session().call("read", 5, 6), 1)
        (only,) = seen.segments(seen.root)
        assert (only.start, only.start_guessed) == (at(1), True)

    def test_a_creation_long_before_begins_nothing(self):
        assert segments(created_by_its_id(a_session().call("read", 1000, 1001), 1)) == [(1000, 1001)]


YEAR = 365 * 24 * 3600


class TestRollOver:
    def test_by_age(self):
        young = replace(SETTINGS, max_trace_age=45 * SECOND)
        told = a_session().created(0)
        for second in range(0, 100, 10):
            told.call("read", second, second + 1)
        seen = view(told, settings=young)
        found = seen.segments(seen.root)
        assert [(s.start - NOON) / SECOND for s in found] == [0, 45, 90]
        assert [s.rolled for s in found] == [True, True, False]

    def test_cuts_everything_below(self):
        young = replace(SETTINGS, max_trace_age=45 * SECOND)
        parent = a_session().created(0).call("task", 1, 99, child="ses_b").idle(100)
        child = a_session("ses_b").created(2, parent="ses_a").call("bash", 3, 90).call("read", 50, 51).idle(98)
        child.call("read", 95, 96)
        assert [start for start, _ in segments(view(parent, child, settings=young), "ses_b")] == [2, 45, 90]

    def test_time_in_which_nothing_begins_makes_no_trace(self):
        long = a_session().call("bash", -50 * YEAR, 1).call("read", 2, 3).idle(4)
        assert segments(view(long)) == [(-50 * YEAR, pytest.approx(2)), (2, 4)]
        waits = a_session().created(0).call("bash", 1, 50 * YEAR)
        assert segments(view(waits)) == [(0, 50 * YEAR)]

    def test_a_continuation_links_to_the_trace_before_it(self):
        spans = trees(a_session().created(0).idle(1).call("read", 100, 101).idle(102))
        first, second = sorted((s for s in spans if is_session(s)), key=lambda s: s.start)
        (link,) = second.links
        assert (link.trace_id, link.span_id) == (first.trace_id, first.span_id)
        assert dict(link.attributes)[sc.LINK_TYPE] == sc.LINK_CONTINUED
        assert [attribute(s, sc.SESSION_SEGMENT) for s in (first, second)] == [1, 2]


class TestManySegments:
    """Found by fuzzing: what had left was read again for each of a session's segments."""

    @pytest.mark.parametrize("segments", [10, 60])
    def test_what_has_left_is_read_as_often_for_many_as_for_few(self, segments):
        told = a_session()
        for day in range(segments):
            told.call("read", day * 86_400, day * 86_400 + 1)
        forest = told_of(told)
        emitted = forest.emitted["ses_a"] = CountedEmittedItems()
        spans = Builder(SETTINGS).advance(forest, ["ses_a"], None).spans
        assert (len(spans), len(emitted)) == (2 * segments, segments)
        assert emitted.loops < 20


def test_when_and_why_a_session_ended():
    assert ended_at(view(a_session().created(0).deleted(5)).root) == (at(5), "deleted")
    assert ended_at(view(a_session().created(0)).root) is None
