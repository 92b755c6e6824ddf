"""What OpenCode 2 adds to the event relay's records: its names of tools and inputs, its error texts, forks, skills."""

from __future__ import annotations

from typing import Any

import pytest

from receiver.codec.decode import log_records
from receiver.dialects.opencode.event_relay import logs
from receiver.events import EXACT, CallEvent, Discarded, ForkEvent, NoteEvent, RequestEvent, ServerEvent, SessionEvent
from tests.golden.rewrite import HERE, built_from
from tests.support.factories import NOON, at, logs_request, relay_record

NOTHING: frozenset[str] = frozenset()
NOON_MS = NOON // 1_000_000


def events_of(name: str, body: Any = None, **attributes: Any):
    """The events of one record, once it went over the wire."""
    record = relay_record(name, 1, body, **attributes)
    return logs(next(log_records(logs_request(record).body)), NOTHING)


def call_of(tool: str, status: str = "completed", **state: Any) -> CallEvent:
    part = {"sessionID": "ses_a", "type": "tool", "callID": "c", "tool": tool, "state": {"status": status, **state}}
    return next(e for e in events_of("message.part.updated", {"part": part}) if isinstance(e, CallEvent))


def test_a_subagent_call_is_a_task_call_that_names_agent_and_child():
    state = {"status": "completed", "input": {"agent": "explore"}, "metadata": {"sessionId": "ses_b"}}
    part = {"sessionID": "ses_a", "type": "tool", "callID": "c", "tool": "subagent", "state": state}
    call, child = events_of("message.part.updated", {"part": part})
    assert (call.tool, call.own_name, call.agent, call.child) == ("task", "subagent", "explore", "ses_b")
    assert child == SessionEvent(session="ses_b", rank=1, agent="explore")


def test_a_failed_subagent_call_names_its_child_in_its_error():
    call = call_of("subagent", "error", error="Subagent failed (sessionID: ses_b): bad key")
    assert (call.child, call.error_type) == ("ses_b", "subagent_failed")


def test_a_skill_is_named_by_its_id():
    assert call_of("skill", input={"id": "release-notes"}).skill == "release-notes"


def test_a_file_is_named_by_path():
    assert call_of("read", input={"path": "README.md"}).file_path == "README.md"


@pytest.mark.parametrize("tool", ["read_mcp_resource", "list_mcp_resources"])
def test_a_resource_tool_loses_its_namespace_and_names_a_server(tool):
    state = {"status": "completed", "input": {"server": "notes"}}
    part = {"sessionID": "ses_a", "type": "tool", "callID": "c", "tool": f"opencode_{tool}", "state": state}
    call, server = events_of("message.part.updated", {"part": part})
    assert call.tool == tool
    assert server == ServerEvent(server="notes", time=at(1))


@pytest.mark.parametrize(
    ("text", "interrupted", "kind"),
    [
        ("The user declined this tool call", True, "permission_rejected"),
        ("Tool execution interrupted", True, "cancelled"),
        ("Tool execution interrupted", False, "cancelled"),
        ("Subagent cancelled (sessionID: ses_b)", False, "cancelled"),
        ("Tool call arguments were malformed JSON", False, "invalid_arguments"),
        ("Unknown agent: nobody", False, "unknown_agent"),
        ("Subagent depth limit reached (1).", False, "depth_limit"),
        ("Unknown tool: nothing", False, "tool_error"),
    ],
)
def test_a_failed_call_has_a_class(text, interrupted, kind):
    assert call_of("shell", "error", error=text, metadata={"interrupted": interrupted}).error_type == kind


def test_an_answer_ends_when_it_was_streamed_and_not_after_its_calls():
    times = {"created": NOON_MS, "streamed": NOON_MS + 400, "completed": NOON_MS + 900}
    info = {"id": "msg_1", "sessionID": "ses_a", "role": "assistant", "time": times}
    (answer,) = events_of("message.updated", {"info": info})
    assert isinstance(answer, RequestEvent)
    assert (answer.rank, answer.end) == (EXACT, at(0.4))


def test_an_answer_that_is_streamed_and_not_completed_is_not_over():
    info = {"id": "m", "sessionID": "ses_a", "role": "assistant", "time": {"created": NOON_MS, "streamed": NOON_MS + 4}}
    (answer,) = events_of("message.updated", {"info": info})
    assert answer.end is None


@pytest.mark.parametrize("given", [{"body": {"origin": "ses_o"}}, {"session_origin_id": "ses_o"}])
def test_a_fork_names_its_origin(given):
    record = relay_record("session.forked", 1, given.get("body"), session_id="ses_a")
    if "session_origin_id" in given:
        record.attributes.add(key="session.origin_id").value.string_value = "ses_o"
    assert logs(next(log_records(logs_request(record).body)), NOTHING) == (ForkEvent(session="ses_a", origin="ses_o"),)


@pytest.mark.parametrize("origin", [None, "ses_a"])
def test_a_fork_of_nothing_or_of_itself_is_malformed(origin):
    body = {"origin": origin} if origin else {}
    assert events_of("session.forked", body, session_id="ses_a") == (Discarded(reason="malformed"),)


def test_a_skill_that_the_user_named_is_an_event_of_the_session():
    assert events_of("session.skill.activated", {"sessionID": "ses_a", "id": "n", "name": "notes"}) == (
        NoteEvent(
            session="ses_a",
            time=at(1),
            name="session.skill.activated",
            key="notes",
            attributes=(("gen_ai.skill.name", "notes"),),
        ),
    )
    assert events_of("session.skill.activated", {"sessionID": "ses_a"}) == (Discarded(reason="malformed"),)


def test_a_call_inside_a_call_is_a_call_of_its_session():
    part = {"sessionID": "ses_a", "type": "tool", "callID": "c.1", "parentCallID": "c", "tool": "my_db_query"}
    (call,) = events_of("message.part.updated", {"part": {**part, "state": {"status": "completed"}}})
    assert (call.session, call.call, call.tool) == ("ses_a", "c.1", "my_db_query")


def test_simulated_recordings_infer_nothing_but_the_server_of_an_ambiguous_tool_name():
    for folder in sorted(HERE.glob("C/*-opencode2-simulated-*")):
        inferred = {dict(span.attributes).get("opencode.inferred") for span in built_from(folder).spans}
        assert inferred <= {None, ("mcp.server",)}
