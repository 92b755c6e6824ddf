"""A trace for each thing that a user asked for: where it begins, what lies in it, and when it leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from receiver import semconv as sc
from receiver.core.state.ids import trace_id
from receiver.core.state.settings import SECOND
from receiver.events import PARTIAL, SPAN
from tests.support.core_runs import Stream, batch, trees
from tests.support.factories import NOON, RELAY, SETTINGS, a_session, at, remote
from tests.support.span_laws import attribute, canonical, dangling_links, is_late, is_session, violations

TURNS = replace(SETTINGS, trace_mode="turn")


def sessions(spans, session="ses_a"):
    found = [s for s in spans if is_session(s) and attribute(s, sc.SESSION_ID) == session]
    return sorted(found, key=lambda s: (s.start, attribute(s, sc.SESSION_SEGMENT)))


def times(spans, session="ses_a"):
    return [((s.start - NOON) / SECOND, (s.end - NOON) / SECOND) for s in sessions(spans, session)]


def links(span, kind):
    return [k.span_id for k in span.links if dict(k.attributes)[sc.LINK_TYPE] == kind]


def built(*told, settings=TURNS):
    spans = trees(*told, settings=settings)
    assert violations(spans) == dangling_links(spans) == []
    assert not any(map(is_late, spans))
    return spans


def streamed(*told, until=None, settings=TURNS, stored=False):
    stream = Stream(settings, now=NOON, stored=stored)
    for time, event in sorted(((_time(e), e) for s in told for e in s.told), key=lambda pair: pair[0]):
        if until is not None and time > at(until):
            continue
        stream.until(max(stream.now, time)).tell(RELAY, event)
    return stream


def _time(event) -> int:
    return getattr(event, "end", None) or getattr(event, "time", None) or getattr(event, "start", 0) or 0


def asked(session, time, **fields):
    return session.note("user_prompt", time, **fields).busy(time)


def two_turns(name="ses_a"):
    told = asked(a_session(name).created(0, model="m1"), 0).request(1, 3, input_tokens=5).call("read", 3, 4).idle(5)
    return asked(told, 30).request(31, 33, input_tokens=7).call("bash", 33, 34).idle(35)


class TestWhereTheyBegin:
    def test_each_prompt_begins_a_trace_that_ends_with_its_last_thing(self):
        spans = built(two_turns())
        assert times(spans) == [(0, 5), (30, 35)]
        assert [s.trace_id for s in sessions(spans)] == [trace_id("ses_a", 1), trace_id("ses_a", 2)]
        assert {s.trace_id for s in spans if s.name == "execute_tool bash"} == {trace_id("ses_a", 2)}

    def test_a_session_is_one_trace_where_nobody_asked_for_more(self):
        assert times(built(two_turns(), settings=SETTINGS)) == [(0, 35)]

    def test_what_lies_before_the_first_prompt_belongs_to_its_turn(self):
        told = asked(a_session().created(0).call("read", 1, 2), 5).request(6, 7).idle(8)
        assert times(built(told)) == [(0, 8)]

    def test_a_prompt_while_it_works_begins_a_turn_and_a_call_stays_in_the_one_that_began_it(self):
        told = asked(a_session().created(0), 0).call("bash", 1, 9)
        told = asked(told, 5).call("read", 9, 10).idle(11)
        spans = built(told)
        assert times(spans) == [(0, 9), (5, 11)]
        first, second = sessions(spans)
        assert {s.name for s in spans if s.parent_span_id == first.span_id} == {"execute_tool bash"}
        assert attribute(first, sc.END_REASON) == "rollover"
        assert attribute(second, sc.END_REASON) == "idle"

    @pytest.mark.parametrize(("idle", "count"), [(True, 2), (False, 1)])
    def test_a_message_that_may_be_the_agents_own_begins_one_only_after_an_idle(self, idle, count):
        told = asked(a_session().created(0), 0, needs_idle=True).request(1, 2)
        told = asked(told.idle(2) if idle else told, 3, needs_idle=True).request(4, 5).idle(6)
        assert len(sessions(built(told))) == count

    def test_where_no_prompt_is_told_the_first_thing_after_an_idle_begins_one(self):
        told = a_session().created(0).request(1, 3, rank=SPAN).idle(3).idle(3.1)
        told.request(20, 22, rank=SPAN).call("read", 22, 23, rank=SPAN).request(24, 25, rank=SPAN).idle(25)
        assert times(built(told)) == [(0, 3.1), (20, 25)]

    def test_a_long_pause_begins_one_too(self):
        told = asked(a_session().created(0), 0).request(1, 2).idle(3).call("read", 100, 101).idle(102)
        assert times(built(told)) == [(0, 3), (100, 102)]

    def test_where_neither_is_told_pauses_alone_divide(self):
        told = a_session().created(0).call("read", 1, 2).call("read", 30, 31)
        assert times(built(told)) == [(0, 31)]

    def test_what_a_fork_copied_begins_nothing(self):
        told = a_session().note("user_prompt", 0, key="old").created(20)
        told = asked(told, 21, key="new").request(22, 23).idle(24)
        assert len(sessions(built(told))) == 1


class TestWhatTheySay:
    def test_each_has_its_own_totals_events_and_number_and_the_same_conversation(self):
        first, second = sessions(built(two_turns()))
        assert [attribute(s, sc.INPUT_TOKENS) for s in (first, second)] == [5, 7]
        assert [len(s.events) for s in (first, second)] == [1, 1]
        assert [attribute(s, sc.SESSION_SEGMENT) for s in (first, second)] == [1, 2]
        assert {attribute(s, sc.CONVERSATION_ID) for s in (first, second)} == {"ses_a"}
        assert {attribute(s, sc.END_REASON) for s in (first, second)} == {"idle"}

    def test_each_links_to_the_one_before(self):
        first, second = sessions(built(two_turns()))
        assert links(first, sc.LINK_TURN) == []
        assert links(second, sc.LINK_TURN) == [first.span_id]
        assert links(second, sc.LINK_CONTINUED) == []

    def test_each_says_what_was_so_at_its_time(self):
        told = two_turns()
        told.created(30, model="m2")
        assert [attribute(s, sc.REQUEST_MODEL) for s in sessions(built(told))] == ["m1", "m2"]

    def test_a_traceparent_that_comes_with_a_prompt_is_of_that_turn(self):
        told = two_turns().below(0, remote(1, 1)).below(30, remote(2, 2))
        assert [s.trace_id[-1] for s in sessions(built(told))] == [1, 2]


def with_a_child(until=8.0, prompt=30.0):
    parent = asked(a_session().created(0), 0).call("task", 1, 9, call="t1", child="ses_b", background=True).idle(10)
    parent = asked(parent, prompt).call("read", prompt + 1, prompt + 2).idle(prompt + 3)
    child = asked(a_session("ses_b").created(2, parent="ses_a"), 2).call("bash", 3, 4).call("read", until - 1, until)
    return parent, child.idle(until)


class TestChildren:
    def test_a_child_lies_in_the_turn_that_began_it(self):
        spans = built(*with_a_child())
        assert {s.trace_id for s in sessions(spans, "ses_b")} == {trace_id("ses_a", 1)}
        assert times(spans) == [(0, 10), (30, 33)]

    def test_and_stays_there_when_it_outlives_it(self):
        spans = built(*with_a_child(until=40))
        assert {s.trace_id for s in spans if attribute(s, sc.SESSION_ID) == "ses_b"} == {trace_id("ses_a", 1)}
        assert times(spans) == [(0, 40), (30, 33)]

    def test_also_what_it_begins_later(self):
        parent, child = with_a_child(until=60)
        child.call("task", 45, 50, call="t2", child="ses_c")
        grandchild = asked(a_session("ses_c").created(46, parent="ses_b"), 46).call("grep", 47, 48).idle(49)
        spans = built(parent, child, grandchild)
        assert {s.trace_id for s in spans if attribute(s, sc.SESSION_ID) == "ses_c"} == {trace_id("ses_a", 1)}

    def test_a_child_that_is_asked_again_in_a_later_turn_goes_on_there(self):
        parent, child = with_a_child()
        parent.call("task", 31, 39, call="t2", child="ses_b").idle(41)
        asked(child, 32).call("grep", 33, 34).idle(38)
        spans = built(parent, child)
        first, second = sessions(spans, "ses_b")
        assert [s.trace_id for s in (first, second)] == [trace_id("ses_a", 1), trace_id("ses_a", 2)]
        calls = {s.span_id: attribute(s, sc.TOOL_CALL_ID) for s in spans}
        assert [calls[s.parent_span_id] for s in (first, second)] == ["t1", "t2"]

    def test_each_in_a_trace_of_its_own_where_that_is_asked_for_too(self):
        spans = built(*with_a_child(until=40), settings=replace(TURNS, child_sessions="linked"))
        assert {s.trace_id for s in sessions(spans, "ses_b")} == {trace_id("ses_b", 1)}
        assert len(sessions(spans)) == 2


class TestWhenTheyLeave:
    @pytest.mark.parametrize("stored", [False, True])
    def test_when_the_next_one_began_and_all_of_it_settled(self, stored):
        stream = streamed(two_turns(), until=30, stored=stored)
        assert sessions(stream.spans) == []
        stream.until(at(30) + TURNS.settle)
        assert times(stream.spans) == [(0, 5)]

    def test_not_while_something_of_it_is_not_over(self):
        told = asked(a_session().created(0), 0).call("bash", 1, None, rank=PARTIAL, call="c1")
        told = asked(told, 5)
        stream = streamed(told).until(at(30))
        assert sessions(stream.spans) == []
        for event in a_session().call("bash", 1, 31, call="c1").told:
            stream.tell(RELAY, event)
        stream.until(at(40))
        assert times(stream.spans) == [(0, 31)]

    def test_not_while_a_child_that_it_began_is_open(self):
        stream = streamed(*with_a_child(until=40)).until(at(60))
        assert sessions(stream.spans) == []
        assert times(stream.drain().spans) == [(0, 40), (30, 33)]

    @pytest.mark.parametrize("stored", [False, True])
    @pytest.mark.parametrize("told", [(two_turns(),), with_a_child(), with_a_child(until=40)])
    def test_the_same_as_offline(self, told, stored):
        offline = batch([(RELAY, e) for s in told for e in s.told], TURNS).spans
        assert canonical(streamed(*told, stored=stored).drain().spans) == canonical(offline)

    def test_a_turn_that_is_flushed_goes_on_in_the_next(self):
        stream = streamed(two_turns(), until=31).flush()
        for event in a_session().call("bash", 33, 34).idle(35).told:
            stream.tell(RELAY, event)
        spans = stream.drain().spans
        assert violations(spans) == []
        assert [attribute(s, sc.SESSION_SEGMENT) for s in sessions(spans)] == [1, 2, 3]


class TestRollOver:
    def test_a_turn_that_is_too_long_goes_on_in_a_continuation(self):
        told = asked(a_session().created(0), 0)
        for second in range(1, 9):
            told.call("read", second, second + 0.5)
        told = asked(told.idle(9), 30).call("read", 31, 32).idle(33)
        spans = built(told, settings=replace(TURNS, max_spans_per_trace=4))
        kinds = [dict(k.attributes)[sc.LINK_TYPE] for s in sessions(spans) for k in s.links]
        assert kinds == [sc.LINK_CONTINUED, sc.LINK_CONTINUED, sc.LINK_TURN]

    def test_turns_are_counted_apart(self):
        told = a_session().created(0)
        for number in range(6):
            told = (
                asked(told, number * 20, key=str(number))
                .call("read", number * 20 + 1, number * 20 + 2)
                .idle(number * 20 + 3)
            )
        assert len(sessions(built(told, settings=replace(TURNS, max_spans_per_trace=3)))) == 6
        assert len(sessions(built(told, settings=replace(TURNS, max_trace_age=45 * SECOND)))) == 6
