"""A look builds each tree once, and may stop between two changes: the next one goes on where it stopped."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.core import look
from receiver.core.state.settings import BuilderSettings
from tests.support.core_runs import Stream, batch
from tests.support.factories import NOON, RELAY, SETTINGS, a_session, at
from tests.support.span_laws import canonical, violations
from tests.support.strategies import stories

EACH = {
    "usual": SETTINGS,
    "small": BuilderSettings(max_spans_per_trace=5),
    "linked": BuilderSettings(child_sessions="linked"),
    "turns": BuilderSettings(trace_mode="turn", live_markers=True),
}


def test_a_look_stops_when_it_has_emitted_enough_spans():
    told = a_session().created(0)
    for i in range(9):
        told.call("bash", 1 + i, 1.5 + i)
    stream = Stream(now=NOON).tell(RELAY, *told.told)
    outcome = stream.builder.advance(stream.forest, ["ses_a"], at(30), max_spans=4)
    assert (len(outcome.spans), outcome.stopped) == (4, True)
    assert outcome.deadlines == {"ses_a": at(30)}
    rest = stream.builder.advance(stream.forest, ["ses_a"], at(30))
    assert (len(rest.spans), rest.stopped) == (5, False)


@settings(max_examples=max(8, settings.default.max_examples // 20))  # each has many looks
@given(stories(stated=None), st.sampled_from(sorted(EACH)), st.integers(1, 3))
def test_looks_that_stop_emit_the_same_spans(story, name, max_spans):
    spans = []
    for limit in (None, max_spans):
        stream = Stream(EACH[name], now=NOON, max_spans=limit)
        for moment, source, event in story.arrivals():
            stream.until(moment).tell(source, event)
        spans.append(stream.drain().spans)
        assert violations(spans[-1]) == []
    assert canonical(spans[0]) == canonical(spans[1])


def test_a_look_builds_each_tree_once(monkeypatch):
    built = Counter()

    class CountedTree(look.TreeLook):
        def __init__(self, its_look, root):
            built[root.id] += 1
            super().__init__(its_look, root)

    monkeypatch.setattr(look, "TreeLook", CountedTree)
    child = a_session("ses_b").created(1.1, parent="ses_a").call("read", 1.2, 1.3).idle(1.4)
    parent = a_session().created(0).call("task", 1, 2, child="ses_b").call("bash", 3, 4).idle(5)
    spans = batch([(RELAY, event) for event in (*parent.told, *child.told, *a_session("ses_c").created(0).told)]).spans
    assert len(spans) == 6
    assert built == {"ses_a": 1, "ses_c": 1}
