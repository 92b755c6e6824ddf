"""What Codex CLI's log events tell. The attributes are those of recordings (docs/producers.md 22)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver import semconv as sc
from receiver.dialects.table import DIALECTS
from receiver.events import CallEvent, NoteEvent, RequestEvent, ServerEvent, SessionEvent, StateEvent
from receiver.pipeline.record_reader import RecordReader
from tests.support.factories import at, built, key_values, logs_request, spans_request
from tests.support.span_laws import violations
from tests.support.strategies import ANY_VALUES

ROOT, CHILD = "01a222d9-39db-7c80-9f30-d55debf33955", "01a222d9-3bfb-72e3-8cff-332f0a9a3753"
SCOPE = "codex_otel.log_only"
ANSWER = {"event.kind": "response.completed", "input_token_count": "110", "output_token_count": "21"}
NAMES = ("tool_result", "tool_decision", "api_request", "sse_event", "agent_communication", "conversation_starts")


def record(name: str, time: float, session: str | None = ROOT, span: bytes = b"", **attributes: Any) -> LogRecord:
    """A record as Codex sends it: no time of its own, a source line for a name."""
    made = LogRecord(observed_time_unix_nano=at(time), event_name="event otel/src/events/session_telemetry.rs:837")
    known = {"event.name": f"codex.{name}"} | ({"conversation.id": session} if session else {})
    made.attributes.extend(key_values(known | attributes))
    if span:
        made.trace_id, made.span_id = b"t" * 16, span
    return made


def result(call: str, tool: str, time: float, ms: int = 500, **more: Any) -> LogRecord:
    told = {
        "call_id": call,
        "tool_name": tool,
        "duration_ms": str(ms),
        "success": "true",
        "tool_namespace": "functions",
    }
    return record("tool_result", time, **{**told, "agent_name": "/root", "mcp_server": "", **more})


def told(made: LogRecord, kind: type, scope: str = SCOPE) -> list[Any]:
    read = RecordReader(frozenset()).read(logs_request(made, scope=scope), 0)
    return [event for _, event in read.events if isinstance(event, kind)]


def test_a_call_ends_at_its_record_and_its_name_is_not_split():
    (call,) = told(result("c1", "exec_command", 3), CallEvent)
    assert (call.call, call.tool, call.start, call.end) == ("c1", "exec_command", at(2.5), at(3))
    assert (call.status, call.mcp, call.mcp_server) == ("completed", False, None)


def test_an_mcp_call_names_its_server():
    (call,) = told(result("c1", "get_weather", 3, mcp_server="weather-svc", success="false"), CallEvent)
    assert (call.mcp, call.mcp_server, call.mcp_tool, call.status) == (True, "weather-svc", "get_weather", "error")


def test_a_decision_begins_a_call():
    decided = record("tool_decision", 1, call_id="c1", tool_name="exec_command", source="Config", decision="approved")
    (call,) = told(decided, CallEvent)
    assert (call.start, call.end, call.permission_reply) == (at(1), None, "auto")


@pytest.mark.parametrize("scope", [SCOPE, ""])
def test_records_without_a_scope_are_known_by_their_name(scope):
    assert told(result("c1", "exec_command", 3), CallEvent, scope)


def test_a_wrong_scope_is_not_guessed_to_be_codex():
    assert told(result("c1", "exec_command", 3), CallEvent, "other") == []


def test_only_the_completed_event_with_tokens_is_an_answer():
    assert told(record("sse_event", 3, **{"event.kind": "response.completed"}), RequestEvent) == []
    (answer,) = told(record("sse_event", 3, **ANSWER), RequestEvent)
    assert (answer.end, answer.input_tokens, answer.output_tokens) == (at(3), 110, 21)
    assert [s.state for s in told(record("sse_event", 3, **ANSWER), StateEvent)] == ["answered"]


def test_a_failed_attempt_is_a_request_with_its_status():
    failed = record("api_request", 3, duration_ms="200", **{"http.response.status_code": 429, "error.message": "http"})
    (request,) = told(failed, RequestEvent)
    assert (request.start, request.end, request.error_type) == (at(2.8), at(3), "429")


def test_a_session_starts_with_its_configured_servers_and_its_prompt_is_noted():
    started = record("conversation_starts", 0, mcp_servers="lab_db, weather-svc", provider_name="openai")
    assert [e.server for e in told(started, ServerEvent)] == ["lab_db", "weather-svc"]
    assert told(started, SessionEvent)[0].provider == "openai"
    assert told(record("user_prompt", 1, prompt_length="12"), NoteEvent)[0].attributes


def spawned(output: str, *more: LogRecord):
    records = [
        record("conversation_starts", 0),
        record("conversation_starts", 1.02, CHILD),
        result("s1", "spawn_agent", 1.06, 60, output=output),
        result("w1", "exec_command", 3, 900, **{"conversation.id": CHILD, "agent_name": "/root/kid"}),
        record("sse_event", 4, CHILD, **ANSWER),
        record("sse_event", 5, **ANSWER),
        *more,
    ]
    orders = records, [*reversed(records), *records]
    trees = [built(logs_request(*order, scope=SCOPE)).spans for order in orders]
    assert {s.span_id: s for s in trees[0]} == {s.span_id: s for s in trees[1]}
    assert violations(trees[0]) == []
    by_call = {dict(s.attributes).get(sc.TOOL_CALL_ID): s for s in trees[0]}
    child = next(s for s in trees[0] if s.name.startswith("invoke_agent") and s.parent_span_id)
    return by_call, child


def test_a_spawn_whose_output_names_the_thread_is_its_parent_as_stated():
    calls, child = spawned(f'{{"agent_id":"{CHILD}","nickname":"Ada"}}')
    assert child.parent_span_id == calls["s1"].span_id
    assert "parent" not in dict(child.attributes).get(sc.INFERRED, ())


def test_a_spawn_whose_output_names_the_task_is_the_parent_as_inferred():
    sent = {"kind": "spawn", "state": "send", "sender_thread_id": ROOT, "receiver_thread_id": CHILD}
    other = result("s2", "spawn_agent", 1.08, 60, output='{"task_name":"/root/other"}')
    calls, child = spawned('{"task_name":"/root/kid"}', record("agent_communication", 1.03, None, **sent), other)
    assert child.parent_span_id == calls["s1"].span_id
    assert "parent" in dict(child.attributes)[sc.INFERRED]


def test_its_own_spans_are_adopted_and_others_are_not():
    for service, adopted in (("codex_exec", 1), ("other", 0)):
        request = spans_request(Span(name="append_items"), scope="codex_exec", resource={"service.name": service})
        assert RecordReader(frozenset()).read(request, 0).discarded["adopted"] == adopted


@given(st.sampled_from(NAMES), st.dictionaries(st.sampled_from(
    ["call_id", "tool_name", "duration_ms", "output", "event.kind", "input_token_count", "kind", "conversation.id"]
), ANY_VALUES))  # fmt: skip
def test_no_record_breaks_the_reading(name, attributes):
    read = RecordReader(frozenset(), DIALECTS).read(logs_request(record(name, 1, **attributes), scope=SCOPE), 0)
    assert "internal_error" not in read.discarded
