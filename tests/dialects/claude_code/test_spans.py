"""Events from Claude Code's spans, and the spans that pass through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver.codec.decode import span_records
from receiver.dialects.claude_code.spans import spans
from receiver.events import (
    EXACT,
    SPAN,
    CallEvent,
    Discarded,
    PermissionEvent,
    RequestEvent,
    SessionEvent,
    StateEvent,
)
from receiver.model import STATUS_ERROR
from receiver.pipeline.record_reader import RecordReader
from tests.support import claude_code_records as claude
from tests.support.claude_code_records import SESSION
from tests.support.factories import any_value, at
from tests.support.strategies import ANY_TIMES, ANY_VALUES

NOTHING: frozenset[str] = frozenset()


def read(span: Span, scope: str = claude.TRACING):
    """The events of one span, encoded and decoded."""
    ((held, _),) = span_records(claude.spans(span, scope=scope).body)
    return spans(held, NOTHING)


def events_of(span: Span):
    """The events of a span, except that its session is a root and busy."""
    root, busy, *rest = read(span) or ()
    assert root == SessionEvent(session=SESSION, root=True)
    assert busy == StateEvent(session=SESSION, time=span.start_time_unix_nano, state="busy")
    return rest


@pytest.mark.parametrize("scope", [claude.TRACING, "com.anthropic.claude_code.traces"])
def test_a_tool_span_has_the_exact_times_of_its_call(scope):
    span = claude.span("tool", 1, 3, 2, tool_name="Agent", tool_use_id="toolu_1", subagent_type="Explore")
    assert read(span, scope)[2:] == (
        CallEvent(session=SESSION, call="toolu_1", rank=EXACT, start=at(1), end=at(3)),
        CallEvent(session=SESSION, call="toolu_1", rank=SPAN, tool="task", agent="Explore"),
    )


def test_a_tool_span_names_skill_and_mcp_tool():
    (_, skill) = events_of(claude.span("tool", 1, 3, 2, tool_name="Skill", tool_use_id="t", skill_name="notes"))
    assert (skill.tool, skill.skill) == ("skill", "notes")
    (_, mcp) = events_of(claude.span("tool", 1, 3, 2, tool_name="mcp__my_db__run", gen_ai__tool__call__id="t"))
    assert (mcp.call, mcp.mcp_server, mcp.mcp_tool) == ("t", "my_db", "run")


def test_the_execution_span_has_the_calls_status():
    known = {
        "tool_use_id": "toolu_1",
        "success": "false",
        "error": "ENOENT: no such file",
        "error_class": "Error:ENOENT",
    }
    failed = claude.span("tool.execution", 1, 3, 3, status=STATUS_ERROR, **known)
    assert events_of(failed) == [
        CallEvent(
            session=SESSION,
            call="toolu_1",
            rank=SPAN,
            start=at(1),
            end=at(3),
            status="error",
            error_type="Error:ENOENT",
            error="ENOENT: no such file",
        )
    ]
    (well,) = events_of(claude.span("tool.execution", 1, 3, 3, tool_use_id="toolu_1", success=True))
    assert (well.status, well.error_type) == ("completed", None)


def test_a_permission_wait_span_with_a_call_id_is_a_permission():
    answered = {"decision": "accept", "source": "user_temporary"}
    assert events_of(claude.span("tool.blocked_on_user", 1, 2, 4, tool_use_id="toolu_1", **answered)) == [
        PermissionEvent(
            session=SESSION,
            permission="toolu_1",
            rank=SPAN,
            call="toolu_1",
            asked=at(1),
            replied=at(2),
            reply="once",
        )
    ]
    nobody_asked = {"decision": "accept", "source": "config", "tool_use_id": "toolu_1"}
    for span in ({**answered}, nobody_asked):
        assert read(claude.span("tool.blocked_on_user", 1, 2, 4, **span)) == (Discarded(reason="not_of_the_tree"),)


def test_a_request_span():
    span = claude.span(
        "llm_request",
        1,
        3,
        5,
        model="claude-opus-4-8",
        query_source="repl_main_thread",
        request_id="req_1",
        input_tokens=4,
        output_tokens=9,
        cache_read_tokens=10,
        stop_reason="tool_use",
        success=True,
    )
    request, session = events_of(span)
    assert request == RequestEvent(
        session=SESSION,
        request="req_1",
        rank=SPAN,
        start=at(1),
        end=at(3),
        model="claude-opus-4-8",
        response_id="req_1",
        finish="tool_use",
        input_tokens=14,
        output_tokens=9,
        cache_read_tokens=10,
    )
    assert session == SessionEvent(session=SESSION, time=at(3), model="claude-opus-4-8")


def test_a_failed_request_span():
    span = claude.span("llm_request", 1, 3, 5, status=STATUS_ERROR, request_id="r", status_code=529, error="Overloaded")
    (request,) = events_of(span)
    assert (request.error_type, request.error) == ("529", "Overloaded")


def test_an_interaction_span_is_activity_of_the_session():
    assert events_of(claude.span("interaction", 1, 9, 1)) == [StateEvent(session=SESSION, time=at(9), state="busy")]


@pytest.mark.parametrize(
    "span",
    [
        claude.span("llm_request", 1, 2, 5, model="qwen3.5"),
        claude.span("tool", 1, 2, 2, session__id=None, tool_use_id="t"),
        claude.span("tool", 1, 2, 2, session__id="ses_e070d064dffebDSylEN4sgt8BZ", tool_use_id="t"),
    ],
    ids=["request without an id", "no session", "a session of OpenCode"],
)
def test_spans_without_ids_pass_through(span):
    result = RecordReader(NOTHING).read(claude.spans(span), 0)
    assert result.events == []
    assert [raw for _, raw in result.foreign_spans] == [span.SerializeToString()]


def test_spans_of_no_use_are_discarded():
    for span in (claude.span("hook", 1, 2, 6), claude.span("tool", 1, 2, 2), claude.span("tool.execution", 1, 2, 2)):
        (event,) = read(span)
        assert isinstance(event, Discarded)
    backwards = claude.span("tool", 3, 2, 2, tool_use_id="t")
    assert read(backwards) == (Discarded(reason="no_time"),)


_ATTRIBUTES = ["session.id", "tool_use_id", "tool_name", "tool_input", "request_id", "success", "status_code", "error"]


@given(
    name=st.sampled_from(["interaction", "llm_request", "tool", "tool.execution", "tool.blocked_on_user", "hook"]),
    attributes=st.dictionaries(st.sampled_from([*_ATTRIBUTES, "decision", "source", "model"]), ANY_VALUES, max_size=6),
    start=ANY_TIMES,
    end=ANY_TIMES,
)
def test_no_span_makes_the_reader_raise(name, attributes, start, end):
    span = claude.span(name, 1, 2, 1)
    span.start_time_unix_nano, span.end_time_unix_nano = start, end
    for key, value in attributes.items():
        span.attributes.add(key=key).value.CopyFrom(any_value(value))
    result = RecordReader(NOTHING).read(claude.spans(span), 0)
    read_of_it = sum(result.used.values()) + sum(result.discarded.values())
    assert read_of_it == 1
    assert not result.discarded["internal_error"]
    assert bool(result.foreign_spans) == bool(result.discarded["handed_on"])
