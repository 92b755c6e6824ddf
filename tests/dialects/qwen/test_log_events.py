"""What Qwen Code's log events tell. The attributes are those of recordings (docs/producers.md 25)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from receiver import semconv as sc
from receiver.dialects.table import DIALECTS
from receiver.events import CallEvent, NoteEvent, RequestEvent, ServerEvent, SessionEvent, StateEvent
from receiver.pipeline.record_reader import RecordReader
from tests.support.factories import at, built, key_values, logs_request
from tests.support.span_laws import violations
from tests.support.strategies import ANY_VALUES

S = "971f77d3-e2c9-4d21-a913-4c1c0d66482a"
MAIN = f"{S}########0"
KID = f"{S}#kid-a-call_1"
NAMES = ("config", "user_prompt", "tool_call", "api_response", "api_error", "subagent_execution")


def record(
    name: str, time: float, prompt_id: str | None = MAIN, session: str | None = S, **attributes: Any
) -> LogRecord:
    made = LogRecord(time_unix_nano=at(time))
    known = {"event.name": name, "session.id": session, "prompt_id": prompt_id} | attributes
    made.attributes.extend(key_values({name: value for name, value in known.items() if value is not None}))
    return made


def call(id_: str, tool: str, time: float, ms: int = 500, prompt_id: str = MAIN, **more: Any) -> LogRecord:
    base = {"call_id": id_, "function_name": tool, "duration_ms": ms, "status": "success", "tool_type": "native"}
    base |= {"execution_status": "success", "success": True, "decision": "auto_accept"}
    return record("qwen-code.tool_call", time, prompt_id, **(base | more))


def response(time: float, ms: int = 300, prompt_id: str = MAIN, **more: Any) -> LogRecord:
    tokens = {"input_token_count": 110, "output_token_count": 21, "cached_content_token_count": 40}
    base = {"model": "qwen3", "duration_ms": ms, "response_id": f"r{time}", "thoughts_token_count": 3, **tokens}
    return record("qwen-code.api_response", time, prompt_id, **(base | more))


def read(made: LogRecord, kind: type, scope: str = "qwen-code") -> list[Any]:
    found = RecordReader(frozenset()).read(logs_request(made, scope=scope), 0)
    return [event for _, event in found.events if isinstance(event, kind)]


def only(made: LogRecord, kind: type) -> Any:
    (event,) = read(made, kind)
    return event


def test_a_call_ends_at_its_record_and_its_name_is_not_split_into_server_and_tool():
    event = only(call("c1", "run_shell_command", 3), CallEvent)
    assert (event.session, event.call, event.tool, event.start, event.end) == (
        S,
        "c1",
        "run_shell_command",
        at(2.5),
        at(3),
    )
    assert (event.status, event.mcp, event.mcp_server, event.permission_reply) == ("completed", False, None, "auto")


def test_an_mcp_call_names_its_server_and_tool():
    event = only(call("c1", "mcp__lab_db__run_query", 3, tool_type="mcp", mcp_server_name="lab_db"), CallEvent)
    assert (event.mcp, event.mcp_server, event.mcp_tool) == (True, "lab_db", "run_query")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"status": "error", "error_type": "file_not_found", "success": False}, ("error", "file_not_found")),
        ({"status": "error", "success": False}, ("error", "tool_error")),
        ({"status": "cancelled", "execution_status": "cancelled", "success": False}, ("error", "cancelled")),
    ],
)
def test_a_failed_or_cancelled_call_says_why(attributes, expected):
    event = only(call("c1", "read_file", 3, **attributes), CallEvent)
    assert (event.status, event.error_type) == expected


def test_a_skill_call_names_its_skill():
    event = only(call("c1", "skill", 3, function_args='{"skill": "release-notes"}'), CallEvent)
    assert (event.tool, event.skill) == ("skill", "release-notes")


def test_an_agent_call_names_the_subagent_that_it_started():
    event = only(call("call_1", "agent", 3, function_args='{"subagent_type": "kid-a"}'), CallEvent)
    assert (event.tool, event.child, event.agent, event.background) == ("task", KID, "kid-a", True)


def test_an_agent_call_is_in_the_foreground_if_asked_for_or_made_by_a_subagent():
    asked = '{"subagent_type": "kid-a", "run_in_background": false}'
    assert only(call("call_1", "agent", 3, function_args=asked), CallEvent).background is False
    nested = call("c2", "agent", 3, prompt_id=f"{KID}#0", function_args='{"subagent_type": "kid-b"}')
    assert only(nested, CallEvent).background is False


def test_an_agent_call_that_did_not_run_started_no_subagent():
    failed = {"status": "error", "execution_status": "not_started", "success": False}
    event = only(call("call_1", "agent", 3, function_args='{"subagent_type": "kid-a"}', **failed), CallEvent)
    assert event.child is None


def test_the_prompt_id_tells_a_subagent_from_the_main_agent():
    event = only(call("c2", "read_file", 3, prompt_id=f"{KID}#4"), CallEvent)
    assert event.session == KID
    root, agent = read(call("c2", "read_file", 3, prompt_id=f"{KID}#4"), SessionEvent)
    assert (root.session, root.root) == (S, True)
    assert (agent.session, agent.subagent, agent.shared_session, agent.agent_id) == (KID, True, S, KID)


@pytest.mark.parametrize("prompt_id", [MAIN, f"{MAIN}/automatic/5", "other#kid-a-call_1#0", f"{S}#", f"{S}##0", ""])
def test_other_prompt_ids_are_the_main_agents(prompt_id):
    assert only(call("c2", "read_file", 3, prompt_id=prompt_id), CallEvent).session == S


def test_a_request_counts_cached_input_and_reasoning_within_its_totals():
    event = only(response(3), RequestEvent)
    assert (event.start, event.end, event.model) == (at(2.7), at(3), "qwen3")
    assert (event.input_tokens, event.output_tokens) == (110, 21)
    assert (event.cache_read_tokens, event.reasoning_tokens) == (40, 3)


def test_a_failed_request_has_its_http_status_as_error():
    failed = record("qwen-code.api_error", 3, duration_ms=100, status_code=400, error_type="BadRequestError")
    assert only(failed, RequestEvent).error_type == "400"
    failed = record("qwen-code.api_error", 3, duration_ms=100, error_type="TimeoutError")
    assert only(failed, RequestEvent).error_type == "TimeoutError"


def test_a_prompt_begins_a_turn():
    prompt = record("qwen-code.user_prompt", 1, prompt_length=12)
    assert only(prompt, NoteEvent).attributes == (("opencode.prompt.length", 12),)
    assert only(prompt, StateEvent).state == "busy"


def test_the_configuration_names_mcp_servers():
    made = record("qwen-code.config", 1, None, mcp_servers="lab_db,weather-svc")
    assert [event.server for event in read(made, ServerEvent)] == ["lab_db", "weather-svc"]


def test_a_process_without_a_turn_is_no_trace():
    start, end = record("session.start", 1, None), record("session.end", 2, None)
    assert (
        built(logs_request(start, record("qwen-code.config", 1, None, mcp_servers="x"), end, scope="qwen-code")).spans
        == []
    )


def test_records_of_other_scopes_are_not_read():
    assert read(response(1), RequestEvent, scope="other") == []


def test_a_background_subagent_outlives_its_call_and_lies_below_it():
    records = (
        record("qwen-code.user_prompt", 1, prompt_length=2),
        response(2),
        call("call_1", "agent", 3, function_args='{"subagent_type": "kid-a"}'),
        response(5, prompt_id=f"{KID}#0", subagent_name="kid-a"),
        call("k1", "read_file", 6, prompt_id=f"{KID}#0"),
        response(8),
    )
    spans = built(logs_request(*records, scope="qwen-code")).spans
    assert violations(spans) == []
    by_id = {span.span_id: span for span in spans}
    (agent,) = [s for s in spans if s.name == "invoke_agent kid-a"]
    task = by_id[agent.parent_span_id]
    assert task.name == "execute_tool task kid-a"
    assert dict(task.attributes)[sc.TASK_BACKGROUND] is True
    assert agent.end > task.end
    assert sc.INFERRED not in dict(agent.attributes)


def test_a_subagent_whose_call_was_never_reported_stays_in_the_session():
    """The process was killed while the call ran."""
    records = (
        record("qwen-code.user_prompt", 1, prompt_length=2),
        response(2),
        response(5, prompt_id=f"{KID}#0", subagent_name="kid-a"),
    )
    spans = built(logs_request(*records, scope="qwen-code")).spans
    assert violations(spans) == []
    assert {dict(span.attributes)[sc.SESSION_ID] for span in spans} == {S}
    (agent,) = [s for s in spans if s.name == "invoke_agent kid-a"]
    assert agent.parent_span_id
    assert "parent" in dict(agent.attributes)[sc.INFERRED]


@given(
    st.sampled_from(NAMES),
    st.dictionaries(
        st.sampled_from(
            ("session.id", "prompt_id", "call_id", "function_name", "function_args", "status", "duration_ms")
        ),
        ANY_VALUES,
    ),
)
def test_any_value_of_any_attribute_is_read_without_an_error(name, values):
    made = LogRecord(time_unix_nano=at(1))
    made.attributes.extend(key_values({"event.name": f"qwen-code.{name}", **values}))
    result = RecordReader(frozenset()).read(logs_request(made, scope="qwen-code"), 0)
    assert "internal_error" not in result.discarded


def test_the_dialect_adopts_its_spans():
    (dialect,) = [d for d in DIALECTS if d.name == "qwen"]
    assert dialect.adopts
