"""What Copilot CLI's spans tell. The attributes are those of recordings (docs/producers.md 23)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from receiver import semconv as sc
from receiver.core.state.settings import BuilderSettings
from receiver.pipeline.record_reader import RecordReader
from tests.support.factories import at, built, key_values, spans_request
from tests.support.span_laws import violations
from tests.support.strategies import ANY_VALUES

CONVERSATION = "33f76952-f829-4fd1-80fe-6fb210336622"
RESOURCE = {"service.name": "github-copilot", "service.version": "1.0.102"}
DIGEST = "e29c326a47d541ac0f846ebc857c0989cc12cb77f44b1cca588328545e13c06b"  # of lab_db


def span(operation: str, start: float, end: float, id: int, parent: int = 0, trace: int = 1, **more: Any) -> Span:
    """A span. Of attributes `__` stands for a dot."""
    named = {k.replace("__", "."): v for k, v in more.items() if k != "failed"}
    known = {"gen_ai.operation.name": operation, "gen_ai.conversation.id": CONVERSATION}
    made = Span(name=operation, trace_id=trace.to_bytes(16, "big"), span_id=id.to_bytes(8, "big"))
    made.parent_span_id = parent.to_bytes(8, "big") if parent else b""
    made.start_time_unix_nano, made.end_time_unix_nano = at(start), at(end)
    made.attributes.extend(key_values(known | named))
    if more.get("failed"):
        made.status.code, made.status.message = 2, "Model call failed"
    return made


def call(tool: str, start: float, end: float, id: int, parent: int, **more: Any) -> Span:
    named = {"gen_ai__tool__name": tool, "gen_ai__tool__call__id": f"call_{id}"}
    return span("execute_tool", start, end, id, parent, **{**named, **more})


def conversation() -> list[Span]:
    """A prompt with a subagent that outlives its call, and the next prompt."""
    return [
        span("invoke_agent", 0, 9, 1),
        span("chat", 1, 2, 2, 1, github__copilot__turn_id="0"),
        call("task", 2, 2.02, 3, 1),
        span("invoke_agent", 2.01, 6, 4, 3, gen_ai__agent__name="kid"),
        span("chat", 3, 4, 5, 4, github__copilot__initiator="sub-agent"),
        call("bash", 4, 5, 6, 4, gen_ai__agent__name="kid"),
        span("invoke_agent", 20, 22, 7, trace=2),
        span("chat", 20.5, 21, 8, 7, trace=2, github__copilot__turn_id="0"),
    ]


def spans_of(*spans: Span, settings: BuilderSettings | None = None):
    request = spans_request(*spans, scope="github.copilot", resource=RESOURCE)
    return built(request, settings=settings or BuilderSettings())


def test_a_conversation_is_one_session_and_its_subagent_lies_below_its_call_in_any_order():
    told = conversation()
    result = spans_of(*told)
    assert spans_of(*reversed(told), *told).spans == result.spans
    assert violations(result.spans) == []
    root, child = sorted((s for s in result.spans if s.name.startswith("invoke_agent")), key=lambda s: s.start)
    attributes = {s.span_id: dict(s.attributes) for s in result.spans}
    assert (root.start, root.end, attributes[root.span_id][sc.END_REASON]) == (at(0), at(22), "idle")
    assert attributes[child.parent_span_id][sc.TOOL_CALL_ID] == "call_3"
    below = [s for s in result.spans if s.parent_span_id == child.span_id]
    assert sorted(s.name for s in below) == ["chat", "execute_tool bash"]
    assert not any(sc.INFERRED in a for a in attributes.values())
    assert result.untouched == []


def test_a_failed_attempt_of_the_main_agent_is_its_own():
    failed = span("chat", 2.5, 2.6, 9, 1, github__copilot__turn_id="0", error__type="ModelCallError", failed=True)
    chats = [s for s in spans_of(*conversation(), failed).spans if s.start == at(2.5)]
    assert [(s.status_code, dict(s.attributes)[sc.ERROR_TYPE]) for s in chats] == [(2, "ModelCallError")]
    assert dict(chats[0].attributes)[sc.SESSION_ID] == CONVERSATION


@pytest.mark.parametrize(("servers", "server"), [((), DIGEST), (("lab_db",), "lab_db")])
def test_an_mcp_server_is_named_if_it_is_configured(servers, server):
    hashed = call(f"{DIGEST}/{'ab' * 32}", 3, 4, 9, 1, github__copilot__tool__parameters__mcp_server_name_hash=DIGEST)
    spans = spans_of(*conversation(), hashed, settings=BuilderSettings(mcp_servers=servers)).spans
    (mcp,) = (s for s in spans if sc.MCP_SERVER in dict(s.attributes))
    assert dict(mcp.attributes)[sc.MCP_SERVER] == server
    assert mcp.name == f"tools/call {'ab' * 32}"


def test_a_tool_with_an_underscore_is_no_mcp_tool():
    (named,) = (s for s in spans_of(*conversation(), call("read_agent", 3, 4, 9, 1)).spans if "read_agent" in s.name)
    assert named.name == "execute_tool read_agent"


@pytest.mark.parametrize(("scope", "service", "ours"), [
    ("github.copilot", "any", True), ("renamed", "github-copilot", True), ("renamed", "any", False)
])  # fmt: skip
def test_its_spans_are_known_by_scope_or_service(scope, service, ours):
    request = spans_request(span("chat", 1, 2, 3), scope=scope, resource={"service.name": service})
    assert bool(RecordReader(frozenset()).read(request, 0).agent_spans) is ours


def test_a_span_of_an_unknown_operation_is_adopted():
    read = RecordReader(frozenset()).read(spans_request(span("other", 1, 2, 3), scope="github.copilot"), 0)
    assert read.discarded == {"adopted": 1}


@given(st.sampled_from(["invoke_agent", "chat", "execute_tool"]), st.dictionaries(st.sampled_from(
    ["gen_ai.conversation.id", "gen_ai.tool.name", "gen_ai.tool.call.id", "gen_ai.response.finish_reasons"]
), ANY_VALUES))  # fmt: skip
def test_no_span_breaks_the_reading(operation, attributes):
    request = spans_request(span(operation, 1, 2, 3, **attributes), scope="github.copilot")
    assert "internal_error" not in RecordReader(frozenset()).read(request, 0).discarded
