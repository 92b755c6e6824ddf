"""Inferred edges are counted by what they lead to and by whether the times decided them; stated ones are not."""

from collections import Counter

import pytest

from receiver.core.state.settings import BuilderSettings
from tests.support.core_runs import Stream, batch
from tests.support.factories import RELAY, SETTINGS, a_session, arriving

PARENT, CALL = "parent_session", "task_call"


def a_parent(*tasks, **fields):
    """A session with task calls, each (start, end)."""
    session = a_session("ses_a").created(0)
    for number, (start, end) in enumerate(tasks):
        session.call("task", start, end, call=f"t{number}", **fields)
    return session.deleted(60)


def a_child(start, end, **fields):
    """A session that was active for as long."""
    return a_session("ses_b").created(start, **{"root": False, **fields}).call("read", start, end).deleted(end)


def edges(*sessions, settings=SETTINGS):
    """What is counted when all is told."""
    return batch([(RELAY, event) for session in sessions for event in session.told], settings).edges


def test_what_is_stated_is_no_inferred_edge():
    assert edges(a_parent((1, 5), child="ses_b"), a_child(1, 4.99, parent="ses_a")) == Counter()


def test_a_task_call_that_the_times_decide():
    assert edges(a_parent((1, 5), (1, 9)), a_child(1, 4.99, parent="ses_a")) == Counter({(CALL, "decided"): 1})


def test_task_calls_that_fit_equally():
    assert edges(a_parent((1, 5), (1, 5)), a_child(1, 4.99, parent="ses_a")) == Counter({(CALL, "ambiguous"): 1})


def test_a_parent_that_nobody_states_is_an_edge_and_its_call_another():
    assert edges(a_parent((1, 5)), a_child(1, 4.99)) == Counter({(PARENT, "decided"): 1, (CALL, "decided"): 1})


def test_a_parent_that_the_times_do_not_decide():
    other = a_session("ses_c").created(0).call("task", 1, 5, call="t9").deleted(60)
    assert edges(a_parent((1, 5)), other, a_child(1, 4.99)) == Counter({(PARENT, "ambiguous"): 1})


def test_a_session_of_nobody_is_no_edge():
    assert edges(a_parent((1, 5)), a_child(20, 30)) == Counter()


def test_nothing_is_counted_where_nothing_may_be_inferred():
    never = BuilderSettings(infer=False)
    assert edges(a_parent((1, 5), (1, 5)), a_child(1, 4.99, parent="ses_a"), settings=never) == Counter()


@pytest.mark.parametrize("again", [1, 2])
def test_an_edge_is_counted_once_however_often_it_is_told_and_looked_at(again):
    stream, counted = Stream(), Counter()
    advance = stream.builder.advance

    def watched(*arguments, **options):
        outcome = advance(*arguments, **options)
        counted.update(outcome.edges)
        return outcome

    stream.builder.advance = watched
    for session in (a_parent((1, 5)), a_child(1, 4.99)) * again:
        stream.tell(arriving(RELAY, stream.now), *session.told)
    stream.drain()
    assert counted == Counter({(PARENT, "decided"): 1, (CALL, "decided"): 1})
