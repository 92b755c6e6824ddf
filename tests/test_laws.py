"""The laws of docs/contract.md 7 as properties, in virtual time.

1 well-formed, 2 order does not matter, 4 nothing unsaid, 5 conservation and 7 streaming equals batch are here.
3 (crash does not matter) needs processes and 6 (bounded) needs queues: they have test modules of their own.
"""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import semconv as sc
from receiver.codec.encode import spans_request
from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.pipeline.record_reader import RecordReader
from tests.support.core_runs import Stream, batch
from tests.support.factories import NOON, SETTINGS
from tests.support.span_laws import (
    attribute,
    canonical,
    dangling_links,
    in_short,
    inferred,
    is_late,
    is_session,
    violations,
)
from tests.support.strategies import CHAOS, CHAOTIC, garbage, stories

# a story that breaks a law is printed in full
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

STATED = BuilderSettings(infer=False)
SMALL = BuilderSettings(max_spans_per_trace=5)
YOUNG = BuilderSettings(max_trace_age=45 * SECOND)
EACH = {"usual": SETTINGS, "stated": STATED, "small": SMALL, "young": YOUNG}
REMOTE_LINK = BuilderSettings(remote_parent="link")
LINKED = BuilderSettings(child_sessions="linked")
SMALL_LINKED = BuilderSettings(child_sessions="linked", max_spans_per_trace=5)
MARKED = BuilderSettings(live_markers=True)
TURNS = BuilderSettings(trace_mode="turn")
LINKED_TURNS = BuilderSettings(trace_mode="turn", child_sessions="linked", live_markers=True)
ASKED_FOR = {
    "remote_link": REMOTE_LINK,
    "linked": LINKED,
    "marked": MARKED,
    "turns": TURNS,
    "linked_turns": LINKED_TURNS,
}
SOON = (0, 3_000, 20_000, 61_000)  # ms between turns: mostly sooner than a pause would divide them
ROLLING_TURNS = BuilderSettings(trace_mode="turn", max_spans_per_trace=5, max_trace_age=45 * SECOND)
EACH |= {**ASKED_FOR, "small_linked": SMALL_LINKED, "rolling_turns": ROLLING_TURNS}


class TestWhateverIsTold:
    """Events without sense or order."""

    @given(CHAOS, st.sampled_from(sorted(EACH)))
    def test_what_leaves_is_well_formed(self, told, settings):
        spans = batch(told, EACH[settings]).spans
        assert violations(spans) == []
        assert not any(is_late(s) for s in spans)

    @given(CHAOS, st.sampled_from(["usual", "stated", "young", *ASKED_FOR]), st.randoms(use_true_random=False))
    def test_order_and_repetition_do_not_matter(self, told, settings, chance: random.Random):
        again = told + chance.sample(told, len(told) // 2)
        chance.shuffle(again)
        assert canonical(batch(again, EACH[settings]).spans) == canonical(batch(told, EACH[settings]).spans)

    @given(CHAOS)
    def test_nothing_is_inferred_if_nothing_may_be(self, told):
        assert [s for s in batch(told, STATED).spans if inferred(s)] == []

    @given(st.lists(st.tuples(st.integers(0, 900), CHAOTIC), max_size=25), st.sampled_from(sorted(EACH)), st.booleans())
    def test_what_leaves_bit_by_bit_is_well_formed(self, told, settings, stored):
        stream = Stream(EACH[settings], now=NOON, stored=stored)
        for pause, (source, event) in told:
            stream.until(stream.now + pause * SECOND // 4).tell(source, event)
        assert violations(stream.drain().spans) == []


class TestStories:
    """What a well-behaved agent does, as a well-behaved producer reports it."""

    @given(stories(stated=None), st.sampled_from(sorted(EACH)))
    def test_what_leaves_is_well_formed(self, story, settings):
        outcome = batch(story.told(), EACH[settings])
        assert violations(outcome.spans) == []
        assert dangling_links(outcome.spans) == []
        assert not any(is_late(s) for s in outcome.spans)

    @given(stories(stated=None), st.randoms(use_true_random=False), st.sampled_from(["usual", *ASKED_FOR]))
    def test_order_and_repetition_do_not_matter(self, story, chance: random.Random, settings):
        told = story.told()
        again = told + chance.sample(told, len(told) // 2)
        chance.shuffle(again)
        assert canonical(batch(again, EACH[settings]).spans) == canonical(batch(told, EACH[settings]).spans)

    @given(stories())
    def test_every_call_has_a_span_and_every_child_hangs_below_its_call(self, story):
        spans = batch(story.told()).spans
        by_id = {s.span_id: s for s in spans}
        calls = {(attribute(s, sc.SESSION_ID), attribute(s, sc.TOOL_CALL_ID)) for s in spans}
        assert story.calls <= calls
        for span in spans:
            child = attribute(span, sc.SESSION_ID)
            if is_session(span) and child in story.parents:
                up = by_id[span.parent_span_id]
                assert attribute(up, sc.SESSION_ID) == story.parents[child]
                if not is_session(up) and "parent" not in inferred(span):
                    maker = (attribute(up, sc.SESSION_ID), attribute(up, sc.TOOL_CALL_ID))
                    assert maker in story.makers[child]

    @given(stories(live=True), st.booleans())
    def test_streaming_equals_batch_for_a_relay(self, story, stored):
        same(streamed(story, SETTINGS, stored), batch(story.told()).spans)

    @given(stories(live=False), st.booleans())
    def test_streaming_equals_batch_for_producers_that_send_in_batches(self, story, stored):
        same(streamed(story, SETTINGS, stored), batch(story.told()).spans)

    @given(stories(), st.booleans(), st.sampled_from(sorted(ASKED_FOR)))
    def test_streaming_equals_batch_for_traces_that_are_asked_for(self, story, stored, settings):
        same(streamed(story, EACH[settings], stored), batch(story.told(), EACH[settings]).spans)

    @given(stories(live=True, named=True, background=True, pauses=SOON), st.booleans())
    def test_streaming_equals_batch_where_children_outlive_turns(self, story, stored):
        same(streamed(story, TURNS, stored), batch(story.told(), TURNS).spans)


class TestTurns:
    """Each turn is a trace, whatever goes on below it."""

    @given(stories(background=True, named=True, pauses=SOON), st.sampled_from(["turns", "rolling_turns"]))
    def test_what_leaves_is_well_formed(self, story, settings):
        spans = batch(story.told(), EACH[settings]).spans
        assert violations(spans) == dangling_links(spans) == []
        assert not any(is_late(s) for s in spans)

    @given(stories(background=True, named=True, pauses=SOON))
    def test_every_turn_but_the_first_links_to_the_one_before(self, story):
        spans = batch(story.told(), TURNS).spans
        by_id = {s.span_id: s for s in spans}
        for span in spans:
            if is_session(span) and attribute(span, sc.SESSION_SEGMENT) > 1:
                (before,) = [by_id[k.span_id] for k in span.links if dict(k.attributes)[sc.LINK_TYPE] == sc.LINK_TURN]
                assert attribute(before, sc.SESSION_ID) == attribute(span, sc.SESSION_ID)
                assert attribute(before, sc.SESSION_SEGMENT) == attribute(span, sc.SESSION_SEGMENT) - 1

    @given(stories(background=True, named=True, pauses=SOON))
    def test_the_same_calls_and_requests_as_in_one_trace(self, story):
        def items(spans):  # what has no end is cut at the end of its turn
            return sorted((s.span_id, s.name, s.start) for s in spans if not is_session(s))

        assert items(batch(story.told(), TURNS).spans) == items(batch(story.told()).spans)


class TestLinkedChildren:
    """Each session's traces hold its own spans and no others; links say which session started which."""

    @given(stories(), st.sampled_from(["linked", "small_linked"]))
    def test_every_trace_is_of_one_session(self, story, settings):
        spans = batch(story.told(), EACH[settings]).spans
        remote = {s.trace_id for s in spans if s.remote_parent}  # two roots may have the same caller
        owners: dict[bytes, set] = {}
        for span in spans:
            owners.setdefault(span.trace_id, set()).add(attribute(span, sc.SESSION_ID))
        assert [held for trace, held in owners.items() if len(held) > 1 and trace not in remote] == []

    @given(stories())
    def test_every_child_links_to_a_call_that_started_it_and_every_span_names_the_root(self, story):
        spans = batch(story.told(), LINKED).spans
        by_id = {s.span_id: s for s in spans}
        for span in spans:
            session = attribute(span, sc.SESSION_ID)
            if session not in story.parents:
                continue
            top = session
            while top in story.parents:
                top = story.parents[top]
            assert attribute(span, sc.ROOT_SESSION_ID) == top
            if is_session(span):
                assert not span.parent_span_id
                up = [by_id[k.span_id] for k in span.links if dict(k.attributes)[sc.LINK_TYPE] in UP]
                assert [attribute(s, sc.SESSION_ID) for s in up] == [story.parents[session]]
                if not is_session(up[0]) and "parent" not in inferred(span):
                    assert (story.parents[session], attribute(up[0], sc.TOOL_CALL_ID)) in story.makers[session]

    @given(stories())
    def test_the_same_spans_as_nested_but_for_where_they_hang(self, story):
        def facts(spans):
            return sorted((s.span_id, s.name, s.start, s.end, s.kind) for s in spans)

        assert facts(batch(story.told(), LINKED).spans) == facts(batch(story.told()).spans)


UP = (sc.LINK_TASK, sc.LINK_PARENT)


class TestRollOver:
    """Traces that would be too large or too old continue in the next one."""

    @given(stories(stated=None), st.sampled_from(["small", "young"]))
    def test_every_trace_but_the_first_is_linked_to_the_one_before(self, story, settings):
        spans = batch(story.told(), EACH[settings]).spans
        by_id = {s.span_id: s for s in spans}
        for span in spans:
            if is_session(span) and attribute(span, sc.SESSION_SEGMENT) > 1:
                before = [by_id[k.span_id] for k in span.links if dict(k.attributes)[sc.LINK_TYPE] == sc.LINK_CONTINUED]
                assert [attribute(s, sc.SESSION_ID) for s in before] == [attribute(span, sc.SESSION_ID)]
                assert attribute(before[0], sc.SESSION_SEGMENT) == attribute(span, sc.SESSION_SEGMENT) - 1

    @given(stories(stated=None), st.randoms(use_true_random=False), st.sampled_from(["small", "young"]))
    def test_order_and_repetition_do_not_matter(self, story, chance: random.Random, settings):
        told = story.told()
        again = told + chance.sample(told, len(told) // 2)
        chance.shuffle(again)
        same(batch(again, EACH[settings]).spans, batch(told, EACH[settings]).spans)

    @pytest.mark.skipif(
        os.environ.get("HYPOTHESIS_PROFILE") != "deep",
        reason="known gap (docs/limits.md): a few long sessions are cut elsewhere than offline; `make deep` shows them",
    )
    @given(stories(live=True, named=True, pauses=(0, 3_000, 90_000, 700_000)))
    def test_streaming_equals_batch_where_age_decides(self, story):
        same(streamed(story, YOUNG), batch(story.told(), YOUNG).spans)

    @given(stories(stated=None), st.sampled_from(["small", "young"]))
    def test_streaming_is_well_formed_and_tells_the_same_calls(self, story, settings):
        spans = streamed(story, EACH[settings])
        offline = batch(story.told(), EACH[settings]).spans
        assert {s.span_id for s in spans if not is_session(s)} == {s.span_id for s in offline if not is_session(s)}


class TestGarbage:
    """Anything that is OTLP."""

    @given(st.lists(garbage(), min_size=1, max_size=4))
    def test_every_record_is_used_or_discarded_for_a_named_reason(self, requests):
        reading = RecordReader(frozenset({"errors", "arguments", "results", "prompts", "paths", "titles"}))
        told = []
        for request in requests:
            result = reading.read(request, arrival=0)
            assert result.used.total() + result.discarded.total() == request.items
            assert result.discarded.keys() <= sc.DISCARDS.keys()
            assert not result.discarded["internal_error"]
            told.extend(result.events)
        outcome = batch(told)
        assert violations(outcome.spans) == []
        assert outcome.discards.keys() <= sc.DISCARDS.keys()
        assert all(spans_request(outcome.spans) for _ in [0] if outcome.spans)


def same(some, others):
    """Two sets of spans hold the same ones."""
    both = set(canonical(some)) & set(canonical(others))
    only_some, only_others = ([in_short(s) for s in held if canonical([s])[0] not in both] for held in (some, others))
    assert "\n".join(["", *only_some]) == "\n".join(["", *only_others])


def streamed(story, settings, stored=False):
    """What a running receiver makes of a story, and nothing of it late."""
    stream = Stream(settings, now=NOON, stored=stored)
    for at, source, event in story.arrivals():
        stream.until(at).tell(source, event)
    spans = stream.drain().spans
    assert violations(spans) == []
    return spans
