"""Sessions as links see them: the task calls of one, and the turns of one that may be a child."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from receiver.core.builder import Builder
from receiver.core.linking.candidates import agent_at, task_calls, task_reports, turns
from receiver.core.state.forest import Forest
from receiver.core.state.items import EmittedRecord, ItemKind
from receiver.core.state.settings import SECOND
from tests.support.factories import NOON, RELAY, SETTINGS, ASession, a_session, at


def forest_of(*sessions: ASession) -> Forest:
    forest, builder = Forest(), Builder(SETTINGS)
    for session in sessions:
        for event in session.told:
            builder.take(forest, RELAY, event)
    return forest


def turns_of(session: ASession) -> list[tuple[float, float]]:
    """When each turn begins and ends, in seconds after NOON."""
    forest = forest_of(session)
    return [((t.start - NOON) / SECOND, (t.end - NOON) / SECOND) for t in turns(forest, forest.sessions[session.id])]


class TestTaskCalls:
    def test_calls_of_other_tools_without_a_child_are_none(self):
        forest = forest_of(a_session().call("bash", 1, 2).call("task", 3, 4).call("skill", 5, 6, child="ses_b"))
        found = task_calls(forest, forest.sessions["ses_a"])
        assert [(c.start, c.child) for c in found] == [(at(3), ""), (at(5), "ses_b")]

    def test_emitted_calls_are_found_with_the_facts_that_were_kept(self):
        forest = forest_of(a_session().created(0, project="p"))
        record = EmittedRecord(at(1), at(2), "task", failed=True, task=("explore", "digest", "trace"))
        forest.add_emitted("ses_a", ItemKind.CALL, "call_1", record)
        (call,) = task_calls(forest, forest.sessions["ses_a"])
        assert (call.key, call.agent, call.label, call.context) == ("call_1", "explore", "digest", "trace")
        assert (call.failed, call.project) == (True, "p")

    def test_reports_are_task_calls_too(self):
        forest = forest_of(a_session().report("task", 1, 2).report("bash", 1, 2))
        (call,) = task_reports(forest.sessions["ses_a"])
        assert (call.start, call.end) == (at(1), at(2))


class TestTurns:
    def test_a_session_that_was_not_resumed_is_one_turn(self):
        assert turns_of(a_session().created(0).call("bash", 1, 2).idle(3)) == [(0, 3)]

    def test_a_prompt_after_the_session_was_idle_begins_a_turn(self):
        session = (
            a_session().created(0).call("bash", 1, 2).idle(3).note("user_prompt", 10).call("bash", 11, 12).idle(13)
        )
        assert turns_of(session) == [(0, 3), (10, 13)]

    def test_a_prompt_while_a_call_runs_begins_none(self):
        session = a_session().created(0).call("bash", 1, 12).idle(3).note("user_prompt", 10).idle(13)
        assert turns_of(session) == [(0, 13)]

    def test_without_idle_a_prompt_after_something_ended_begins_a_turn(self):
        session = a_session().created(0).request(1, 2).note("user_prompt", 10).request(11, 12)
        assert turns_of(session) == [(0, 2), (10, 12)]

    @given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=8))
    def test_turns_follow_one_another_and_cover_the_session(self, steps):
        session, time = a_session().created(0), 0
        for pause, says_idle in steps:
            session.note("user_prompt", time + pause).call("bash", time + pause + 1, time + pause + 2)
            time += pause + 3
            if says_idle:
                session.idle(time)
        found = turns_of(session)
        assert all(begin <= end for begin, end in found)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(found))
        assert found[0][0] == 0


def test_the_agent_is_the_one_of_the_last_turn_that_began():
    forest = forest_of(a_session().created(0, agent="build").created(10, agent="plan"))
    session = forest.sessions["ses_a"]
    assert [agent_at(session, at(t)) for t in (-1, 5, 10, 99)] == ["build", "build", "plan", "plan"]
