"""A remote parent: a session is below the span of the program that called it, or links to it (docs/contract.md 6.6)."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from receiver import semconv as sc
from receiver.core.state.ids import trace_id
from receiver.core.state.remote_parent import MAX_REMOTES, Remote, believed, learn_remote
from receiver.core.state.settings import SECOND
from receiver.events import REPORTED
from tests.support.core_runs import Stream, trees
from tests.support.factories import NOON, RELAY, SETTINGS, a_session, at, remote
from tests.support.span_laws import attribute, is_session, violations

ONE, TWO, OTHER = remote(1, 1), remote(1, 2), remote(2, 3)
LINK = replace(SETTINGS, remote_parent="link")


def ids(name: str) -> tuple[bytes, bytes]:
    trace, span = name.split("-")
    return bytes.fromhex(trace), bytes.fromhex(span)


def sessions(spans):
    return [s for s in spans if is_session(s)]


def remote_links(span):
    return [(k.trace_id, k.span_id) for k in span.links if dict(k.attributes)[sc.LINK_TYPE] == sc.LINK_REMOTE]


def a_turn(name="ses_a"):
    return a_session(name).created(0).call("read", 1, 2)


class TestBelow:
    def test_the_whole_tree_is_in_the_callers_trace_below_its_span(self):
        parent = a_turn().below(0, ONE).call("task", 3, 9, child="ses_b").idle(10)
        child = a_session("ses_b").created(4, parent="ses_a").call("bash", 5, 6).idle(8)
        spans = trees(parent, child)
        assert {s.trace_id for s in spans} == {ids(ONE)[0]}
        top = spans[0]
        assert (top.parent_span_id, top.remote_parent) == (ids(ONE)[1], True)
        assert not any(s.remote_parent for s in spans[1:])
        assert top.links == ()
        assert violations(spans) == []

    def test_a_child_session_keeps_its_parent_whatever_its_records_state(self):
        parent = a_turn().call("task", 3, 9, child="ses_b").idle(10)
        child = a_session("ses_b").created(4, parent="ses_a").below(4, ONE).idle(8)
        spans = trees(parent, child)
        assert {s.trace_id for s in spans} == {trace_id("ses_a", 1)}
        assert violations(spans) == []

    def test_of_several_the_most_reliable_is_believed_then_the_earliest(self):
        def above(*told):
            session = a_turn()
            for time, name, rank in told:
                session.below(time, name, rank=rank)
            return sessions(trees(session))[0].parent_span_id

        assert above((1, ONE, 0), (2, OTHER, 0)) == ids(ONE)[1]
        assert above((2, OTHER, 0), (1, ONE, 0)) == ids(ONE)[1]
        assert above((1, ONE, REPORTED), (2, OTHER, 0)) == ids(OTHER)[1]


class TestSegments:
    def test_a_remote_parent_stated_once_is_of_the_first_segment(self):
        told = a_turn().below(0, ONE).idle(3).below(100, ONE).call("read", 100, 101).idle(102)
        first, second = sessions(trees(told))
        assert (first.trace_id, first.parent_span_id) == ids(ONE)
        assert (second.trace_id, second.parent_span_id) == (trace_id("ses_a", 2), b"")
        assert [(k.trace_id, k.span_id) for k in second.links] == [(first.trace_id, first.span_id)]

    def test_a_new_remote_parent_is_of_the_segment_in_which_it_was_stated(self):
        told = a_turn().below(0, ONE).idle(3).below(100, OTHER).call("read", 100, 101).idle(102)
        assert [(s.trace_id, s.parent_span_id) for s in sessions(trees(told))] == [ids(ONE), ids(OTHER)]


class TestLink:
    def test_the_session_keeps_its_trace_and_links_to_the_caller(self):
        (top,) = sessions(trees(a_turn().below(0, ONE), settings=LINK))
        assert (top.trace_id, top.parent_span_id, top.remote_parent) == (trace_id("ses_a", 1), b"", False)
        assert remote_links(top) == [ids(ONE)]

    def test_a_remote_parent_stated_after_spans_were_emitted_is_a_link(self):
        stream = Stream(now=NOON)
        for event in a_turn().told:
            stream.tell(RELAY, event)
        stream.until(at(30))
        assert [s.name for s in stream.spans] == ["execute_tool read"]
        for event in a_session().below(30, ONE).idle(31).told:
            stream.tell(RELAY, event)
        spans = stream.drain().spans
        (top,) = sessions(spans)
        assert (top.trace_id, top.parent_span_id) == (trace_id("ses_a", 1), b"")
        assert remote_links(top) == [ids(ONE)]
        assert violations(spans) == []

    def test_emitted_spans_keep_their_remote_parent_when_a_better_one_is_stated(self):
        stream = Stream(now=NOON, stored=True)
        for event in a_turn().below(1, TWO, rank=REPORTED).told:
            stream.tell(RELAY, event)
        stream.until(at(30))
        for event in a_session().below(0, OTHER).idle(31).told:
            stream.tell(RELAY, event)
        (top,) = sessions(stream.drain().spans)
        assert (top.trace_id, top.parent_span_id, top.remote_parent) == (*ids(TWO), True)
        assert remote_links(top) == [ids(OTHER)]

    def test_a_remote_parent_stated_after_the_session_closed_changes_nothing(self):
        stream = Stream(now=NOON)
        for event in a_turn().idle(3).told:
            stream.tell(RELAY, event)
        stream.drain()
        assert len(sessions(stream.spans)) == 1
        for event in a_session().below(3, ONE).told:
            stream.tell(RELAY, event)
        assert len(sessions(stream.drain().spans)) == 1


class TestMerging:
    @given(
        st.lists(st.tuples(st.sampled_from([ONE, TWO, OTHER]), st.integers(0, 2), st.integers(0, 5)), max_size=9),
        st.randoms(use_true_random=False),
    )
    def test_order_and_repetition_do_not_matter(self, told, chance: random.Random):
        def learned(these):
            held = {}
            for name, rank, time in these:
                learn_remote(held, name, rank, time)
            return held

        again = told + chance.sample(told, len(told) // 2)
        chance.shuffle(again)
        assert learned(again) == learned(told)

    def test_of_too_many_the_earliest_are_kept(self):
        held = {}
        for number in range(MAX_REMOTES + 5, 0, -1):
            learn_remote(held, remote(1, number), 0, number * SECOND)
        assert len(held) == MAX_REMOTES
        assert max(time for _, time in held.values()) == MAX_REMOTES * SECOND

    def test_of_no_statement_none_is_believed(self):
        assert believed({}) is None
        assert believed({ONE: (0, 5), TWO: (0, 4)}) == Remote(*ids(TWO))


def test_a_child_by_inference_is_in_the_trace_of_its_roots_remote_parent():
    parent = a_session().created(0).below(0, ONE).call("task", 1, 9, agent="explore").idle(10)
    child = a_session("ses_b").created(1.01, root=False, agent="explore").below(2, ONE).call("bash", 3, 4).idle(8.995)
    spans = trees(parent, child)
    assert violations(spans) == []
    assert [attribute(s, sc.SESSION_ID) for s in sessions(spans) if s.remote_parent] == ["ses_a"]
