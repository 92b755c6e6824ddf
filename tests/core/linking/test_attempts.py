"""An answer without a start began with the last attempt before it, unless that was answered already."""

from __future__ import annotations

import random

from receiver import semconv as sc
from receiver.core.state.settings import SECOND, BuilderSettings
from receiver.events import REPORTED, AttemptEvent, RequestEvent
from tests.support.core_runs import Stream, trees
from tests.support.factories import NOON, RELAY, ASession, a_session, at


def attempt(story: ASession, start: float, end: float) -> ASession:
    return story.tell(AttemptEvent(session=story.id, start=at(start), end=at(end)))


def answer(story: ASession, end: float) -> ASession:
    return story.tell(RequestEvent(session=story.id, request=f"answer:{end}", rank=REPORTED, end=at(end)))


def turns() -> ASession:
    """Two answered requests; between them one that was cut off; then an answer whose attempt was lost."""
    story = answer(attempt(a_session().created(0), 1, 2), 3)
    story = answer(attempt(attempt(story, 4, 5), 6, 7), 8)
    return answer(story, 10)


def starts(spans):
    return {s.end: (s.start, dict(s.attributes).get(sc.INFERRED)) for s in spans if s.name == "chat"}


def test_an_answer_began_with_the_last_attempt_before_it():
    assert starts(trees(turns())) == {
        at(3): (at(1), ("start",)),
        at(8): (at(6), ("start",)),
        at(10): (at(10), ("start",)),
    }


def test_order_and_repetition_do_not_matter():
    expected = trees(turns())
    for seed in range(20):
        told = turns().told * 2
        random.Random(seed).shuffle(told)
        story = a_session()
        for event in told:
            story.tell(event)
        assert trees(story) == expected


def test_a_session_that_is_told_as_it_happens_and_twice_gives_the_same_spans():
    stream = Stream(now=NOON)
    told = turns().told
    for number, event in enumerate(told):
        stream.tell(RELAY, event, *told[:number]).until(stream.now + 5 * SECOND)
    assert starts(stream.drain().spans) == starts(trees(turns()))


def test_without_inference_no_start_is_given():
    assert starts(trees(turns(), settings=BuilderSettings(infer=False))) == {}
