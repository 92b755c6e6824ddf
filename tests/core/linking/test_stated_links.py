"""Links that spans state, in trees: parallel tasks that nothing else could tell apart, told in any order, live and
offline."""

from __future__ import annotations

import random

from receiver.core.apply_events import Source
from receiver.events import LineageEvent
from receiver.semconv import CHILD_SESSION_ID, INFERRED
from tests.support.core_runs import Stream, batch
from tests.support.factories import a_session, at, session_id

NATIVE = Source(producer="native", key="k1", resource=b"", wait=0, arrival=0)
ROOT, TWINS = session_id(0), [session_id(1, number) for number in (1, 2, 3)]


def twins(stated: bool = True):
    """Three tasks that begin and end at once, each with a child that looks like the others."""
    root = a_session(ROOT).created(0).busy(0)
    told = []
    for child in TWINS:
        own = a_session(child).created(1, parent=ROOT).busy(1)
        told += own.call("read", 2, 3, call=f"of {child}").idle(9).told
    for number, child in enumerate(TWINS):
        root.call("task", 1, 9, call=f"task{number}")
        spans = [LineageEvent(span=b"call%d" % number, parent=b"turn", session=ROOT, call=f"task{number}")]
        spans += [LineageEvent(span=b"execute%d" % number, parent=b"call%d" % number)]
        spans += [LineageEvent(span=b"run%d" % number, parent=b"execute%d" % number)]
        spans += [LineageEvent(span=b"run%d" % number, session=child)]
        told += spans if stated else []
    root.idle(10)
    return [(NATIVE, event) for event in [*root.told, *told]]


def links(spans):
    """The child that each call names; and whether any of them was inferred."""
    named = {
        dict(s.attributes)["gen_ai.tool.call.id"]: child
        for s in spans
        if (child := dict(s.attributes).get(CHILD_SESSION_ID))
    }
    return named, any("parent" in dict(s.attributes).get(INFERRED, ()) for s in spans)


STATED = {f"task{number}": child for number, child in enumerate(TWINS)}


def test_alike_and_at_once_none_is_chosen_where_no_span_says_which():
    assert links(batch(twins(stated=False)).spans)[0] == {}


def test_spans_say_which_in_any_order_and_told_twice(subtests):
    for seed in range(20):
        with subtests.test(seed=seed):
            told = twins()
            expected = sorted(map(repr, batch(told).spans))
            assert links(batch(told).spans) == (STATED, False)
            mixed = [*told, *told[::2]]
            random.Random(seed).shuffle(mixed)
            assert sorted(map(repr, batch(mixed).spans)) == expected


def test_a_receiver_that_runs_says_the_same(subtests):
    for seed in range(20):
        with subtests.test(seed=seed):
            told = twins()
            expected = sorted(map(repr, batch(told).spans))
            random.Random(seed).shuffle(told)
            stream = Stream(stored=True)
            for number, (source, event) in enumerate(told):
                stream.until(at(11) + number)
                stream.tell(source, event)
            assert sorted(map(repr, stream.drain().spans)) == expected


def test_a_link_that_comes_after_its_call_has_left_changes_nothing():
    spans = [event for _, event in twins() if isinstance(event, LineageEvent)]
    stream = Stream(stored=True)
    stream.tell(NATIVE, *(event for _, event in twins(stated=False))).until(at(2000))
    before = list(stream.spans)
    assert links(before)[0] == {}
    stream.tell(NATIVE, *spans)
    assert stream.discards["already_left"] == len(TWINS)
    assert stream.drain().spans == before


def test_a_child_that_was_there_before_is_called_and_keeps_its_parent():
    """A task that takes up another session's child again, by its id."""
    older, later = session_id(0, 1), session_id(5)
    told = [
        LineageEvent(span=b"call", session=later, call="task"),
        LineageEvent(span=b"run", parent=b"call", session=older),
    ]
    stream = Stream().tell(NATIVE, *a_session(later).created(5).call("task", 6, 8, call="task").told, *told)
    assert stream.forest.open(older).parent is None
    assert stream.forest.open(later).calls["task"].get("child") == older
