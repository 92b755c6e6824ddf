"""A turn of an agent that never says idle is over when its last answer ended with no call open (`answered`)."""

from __future__ import annotations

import pytest

from receiver import semconv as sc
from receiver.core.state.settings import SECOND, BuilderSettings
from tests.support.core_runs import Stream, trees
from tests.support.factories import NOON, RELAY, SETTINGS, a_session, at
from tests.support.span_laws import violations

INFER_NOTHING = BuilderSettings(infer=False)


def turn():
    """A request, a call, and the last answer at 9 s."""
    story = a_session().created(0).request(1, 3).answered(3).call("exec_command", 4, 6, mcp=False)
    return story.request(7, 9).answered(9)


def end_reason(spans):
    session = next(s for s in spans if s.name == "invoke_agent")
    attributes = dict(session.attributes)
    return attributes[sc.END_REASON], attributes.get(sc.INFERRED, ())


def closes_after(story, settings=SETTINGS):
    """How long after its last record a session closes, in seconds of the receiver's clock."""
    stream = Stream(settings, now=at(10)).tell(RELAY, *story.told)
    while not stream.forest.sessions["ses_a"].closed:
        stream.until(min(stream.deadlines.values()))
    return (stream.now - at(10)) // SECOND


def test_a_session_whose_last_answer_ended_closes_after_the_idle_timeout_marked():
    assert closes_after(turn()) == 62
    assert end_reason(trees(turn())) == ("idle", ("end_reason",))


@pytest.mark.parametrize(
    "story",
    [
        turn().call("exec_command", 9.5),
        turn().call("exec_command", 8, None),  # it began while the answer was still coming
        turn().call("exec_command", 8, 9.5),
        turn().request(9.5),
        turn().busy(9.5),
    ],
    ids=["open call", "open call of the answer", "call that ended later", "next request", "next prompt"],
)
def test_a_turn_that_goes_on_after_an_answer_does_not_rest(story):
    assert closes_after(story) == 602
    assert end_reason(trees(story)) == ("inactive", ())


def test_an_idle_that_was_said_is_not_marked():
    assert end_reason(trees(turn().idle(9.1))) == ("idle", ())


def test_without_inference_an_answer_ends_no_turn():
    assert closes_after(turn(), INFER_NOTHING) == 602
    assert end_reason(trees(turn(), settings=INFER_NOTHING)) == ("inactive", ())


def test_what_follows_later_than_the_idle_timeout_is_the_next_segment_in_any_order():
    told = turn().request(100, 102).answered(102).told
    story, turned = a_session(), a_session()
    for event in told:
        story.tell(event)
    for event in [*reversed(told), *told]:
        turned.tell(event)
    spans = trees(story)
    assert [s.name for s in spans].count("invoke_agent") == 2
    assert trees(turned) == spans
    assert violations(spans) == []


def test_a_session_that_is_told_as_it_happens_gives_the_same_spans():
    stream = Stream(now=NOON)
    for event in turn().told:
        stream.until(stream.now + SECOND).tell(RELAY, event)
    assert sorted(s.span_id for s in stream.drain().spans) == sorted(s.span_id for s in trees(turn()))
