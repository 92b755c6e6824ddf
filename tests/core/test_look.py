"""A look may stop between two changes: the next one goes on where it stopped."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.core.state.settings import BuilderSettings
from tests.support.core_runs import Stream
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
